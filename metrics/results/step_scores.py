"""Scores at the steps of each video in one .npz file: an array for each video and the length of a step."""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from metrics.results.text import ResultScores, check_score


@dataclass(frozen=True, eq=False)
class StepScores(ResultScores):
    """Scores of a result file at instants 0, step, 2 step, ... of each video.

    Args:
        step: seconds.
    """

    step: float = 0.0


def read_step_scores(path: Path, num_labels: int) -> StepScores:
    """Read a .npz of one (T, K) array for each video, under its name, and the seconds of a step under `step`.

    Args:
        path: the file, as `numpy.savez(path, step=0.1, **{name: scores, ...})` writes it.
        num_labels: K.

    Raises:
        ValueError: the file is not such a .npz; an array has another shape or is not of numbers; a score is NaN or +inf.
    """
    arrays = _read_arrays(path)
    if "step" not in arrays:
        raise ValueError(f"{path} has no array 'step'; expected the seconds of a step; add step=0.1 to numpy.savez")
    step = arrays.pop("step")
    if step.size != 1 or step.dtype.kind not in "fiu" or not 0 < float(step.item()) < np.inf:
        raise ValueError(
            f"{path}: 'step' is {step!r}; expected one positive number, the seconds of a step; write step=0.1"
        )
    if not arrays:
        raise ValueError(f"{path} holds no video; expected an array of steps x labels for each, under its name")
    where = {name: f"array {name!r}" for name in arrays}
    scores = {name: _check(f"{path}, {where[name]}", array, num_labels) for name, array in arrays.items()}
    return StepScores(path, scores, where, step=float(step.item()))


def _read_arrays(path: Path) -> dict[str, npt.NDArray[Any]]:
    if not path.is_file():
        raise ValueError(f"{path} is not a file; expected a .npz of predictions; check the path")
    try:
        with open(path, "rb") as stream:  # numpy leaves the file open when the archive is damaged
            loaded = np.load(stream, allow_pickle=False)
            if not isinstance(loaded, np.lib.npyio.NpzFile):
                raise ValueError("it holds a single array")
            return {key: loaded[key] for key in loaded.files}
    except (ValueError, zipfile.BadZipFile, EOFError, OSError) as error:
        raise ValueError(
            f"{path} cannot be read as a .npz of numbers: {error}; write it with numpy.savez(path, step=..., **arrays)"
        ) from error


def _check(place: str, array: npt.NDArray[Any], num_labels: int) -> npt.NDArray[np.float64]:
    if array.ndim != 2 or array.shape[1] != num_labels or not len(array) or array.dtype.kind not in "fiu":
        raise ValueError(
            f"{place}: expected numbers of shape (steps, {num_labels}) with at least one step, got {array.dtype} of shape "
            f"{array.shape}; write one row for each step and one column for each label"
        )
    scores = array.astype(np.float64)
    bad = np.argwhere(~(scores < np.inf))
    if len(bad):
        step, label = bad[0]
        check_score(float(scores[step, label]), f"{place}, step {step}, label {label}")
    return scores
