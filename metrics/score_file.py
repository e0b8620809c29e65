"""Scores of a test run in one file, so that every ensemble can be evaluated again without a video.

The file is a .npz of plain arrays (no pickle): `index`, `videos`, `logits`, `labels`, `view_rates`, `label_names`,
`single_label` and `version`, with the shapes of `ScoreFile`.
"""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from metrics.npz_file import read_arrays

Array: TypeAlias = npt.NDArray[Any]

VERSION = 1
_KEYS = ("version", "index", "videos", "logits", "labels", "view_rates", "label_names", "single_label")
_WRITER = "`cli.py test` with MultiRateEnsemble writes one"


@dataclass(frozen=True)
class ScoreFile:
    """What a test run leaves behind: n videos, V views, K labels.

    Args:
        index: (n,) int64, place of each video in its split, rising.
        videos: n names of the videos, row by row.
        logits: (n, V, K) float32; -inf throughout for a video that could not be read.
        labels: (n, K) int64, multi-hot.
        view_rates: (V,) float64, frames between two sampled frames of each view.
        label_names: K names of the labels.
        single_label: each video has exactly one label, so that scores are softmax and not sigmoid.
    """

    index: Tensor
    videos: list[str]
    logits: Tensor
    labels: Tensor
    view_rates: Tensor
    label_names: list[str]
    single_label: bool = False


def save_scores(path: str | Path, scores: ScoreFile) -> None:
    """Write a score file at once or not at all: under another name first, forced to the disk, then renamed.

    Args:
        path: where to write; ends in .npz; nothing may exist there. Missing folders are made.
        scores: what to write.

    Raises:
        ValueError: the path exists or does not end in .npz, or the fields of scores do not fit together.
    """
    path = Path(path)
    if path.suffix != ".npz":
        raise ValueError(f"path must end in .npz, got {path}")
    _refuse_existing(path)
    arrays: dict[str, Array] = {
        "version": np.array(VERSION, dtype=np.int64),
        "index": scores.index.cpu().numpy(),
        "videos": np.array(scores.videos, dtype=np.str_),
        "logits": scores.logits.detach().cpu().numpy(),
        "labels": scores.labels.cpu().numpy(),
        "view_rates": scores.view_rates.cpu().to(torch.float64).numpy(),
        "label_names": np.array(scores.label_names, dtype=np.str_),
        "single_label": np.array(scores.single_label, dtype=np.bool_),
    }
    fault = _fault(arrays)
    if fault:
        raise ValueError(f"scores cannot be written to {path}: {fault}")
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with open(unfinished, "wb") as file:
            np.savez(file, **arrays)  # type: ignore[arg-type] # numpy types the keywords as its own allow_pickle
            file.flush()
            os.fsync(file.fileno())  # what the scores were gathered from may be removed as soon as they are written
        _refuse_existing(path)  # another run may have finished meanwhile
        unfinished.rename(path)
    finally:
        unfinished.unlink(missing_ok=True)
    with suppress(OSError):  # not every file system can force a folder to the disk
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def load_scores(path: str | Path) -> ScoreFile:
    """Read a score file and check that its parts fit together.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is no score file, is damaged, holds pickled objects or has another version.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no score file at {path}: {_WRITER}")
    arrays = _read_arrays(path)
    fault = _fault(arrays)
    if fault:
        raise ValueError(f"{path} is damaged: {fault}")
    return ScoreFile(
        index=torch.from_numpy(arrays["index"]),
        videos=[str(name) for name in arrays["videos"]],
        logits=torch.from_numpy(arrays["logits"]),
        labels=torch.from_numpy(arrays["labels"]),
        view_rates=torch.from_numpy(arrays["view_rates"]),
        label_names=[str(name) for name in arrays["label_names"]],
        single_label=bool(arrays["single_label"]),
    )


def _read_arrays(path: Path) -> dict[str, Array]:
    """The arrays of a score file of this version, not yet checked against each other."""
    try:
        arrays = read_arrays(path, _KEYS)
    except ValueError as error:
        raise ValueError(f"{path} cannot be read as a score file: {error}; {_WRITER}") from error
    missing = [key for key in _KEYS if key not in arrays]
    if missing:
        raise ValueError(f"{path} is no score file: it lacks {', '.join(missing)}; {_WRITER}")
    if arrays["version"].tolist() != VERSION:
        raise ValueError(
            f"{path} has version {arrays['version']}, this code reads version {VERSION}: run the test again"
        )
    return arrays


def _refuse_existing(path: Path) -> None:
    if path.exists() or path.is_symlink():
        raise ValueError(f"path {path} exists already and scores are never overwritten: move it or choose another name")


def _fault(arrays: dict[str, Array]) -> str | None:
    """What is wrong with the arrays of a score file, in words; None if nothing is."""
    dtypes = {"index": "i8", "videos": "U", "logits": "f4", "labels": "i8", "view_rates": "f8", "label_names": "U"}
    for key, kind in dtypes.items():
        got = arrays[key].dtype
        if got.kind != kind[0] or (kind[1:] and got.itemsize != int(kind[1:])):
            return f"{key} must have dtype {np.dtype(kind).name}, got {got}"
    if arrays["logits"].ndim != 3:
        return f"logits must have shape (n, V, K), got {arrays['logits'].shape}"
    n, views, num_labels = arrays["logits"].shape
    shapes: dict[str, tuple[int, ...]] = {
        "index": (n,),
        "videos": (n,),
        "labels": (n, num_labels),
        "view_rates": (views,),
        "label_names": (num_labels,),
        "single_label": (),
    }
    for key, shape in shapes.items():
        if arrays[key].shape != shape:
            return (
                f"{key} must have shape {shape} for logits of shape {(n, views, num_labels)}, got {arrays[key].shape}"
            )
    if n > 1 and not bool((np.diff(arrays["index"]) > 0).all()):
        return "index must rise strictly, each video once"
    if not bool(np.isin(arrays["labels"], (0, 1)).all()):
        return "labels must hold 0 and 1 only"
    wrong = (np.isnan(arrays["logits"]) | (arrays["logits"] == np.inf)).any((1, 2))
    if wrong.any():
        return (
            f"logits must not hold NaN or +inf, got them for {wrong.sum()} videos, first {arrays['videos'][wrong][0]}"
        )
    return None
