"""Scores at the steps of each video in one .npz file: an array for each video and the length of a step."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from metrics.npz_file import read_arrays
from metrics.results.text import ResultScores, check_score
from metrics.step_labels import MAX_SECONDS, meant_step


@dataclass(frozen=True, eq=False)
class StepScores(ResultScores):
    """Scores of a result file at instants 0, step, 2 step, ... of each video.

    Args:
        step: seconds; see `metrics.step_labels.step_instants`.
    """

    step: float = 0.0


def read_step_scores(path: Path, num_labels: int) -> StepScores:
    """Read a .npz of one (T, K) array for each video, under its name, and the seconds of a step under `step`.

    Args:
        path: the file, as `numpy.savez(path, step=0.1, **{name: scores, ...})` writes it.
        num_labels: K.

    Raises:
        ValueError: the file is not such a .npz; the step is not from 0 to 1e9; an array has another
            shape, is not of numbers, or is of float16; a score is NaN or +inf.
    """
    arrays = _read_arrays(path)
    if "step" not in arrays:
        raise ValueError(f"{path} has no array 'step'; expected the seconds of a step; add step=0.1 to numpy.savez")
    step = arrays.pop("step")
    if step.size != 1 or step.dtype.kind not in "fiu" or not 0 < float(step.item()) <= MAX_SECONDS:
        got = step.item() if step.size == 1 else f"of shape {step.shape}"
        raise ValueError(
            f"{path}: 'step' is {got!r}; expected one positive number, the seconds of a step, up to {MAX_SECONDS:g}; write "
            "step=0.1"
        )
    if not arrays:
        raise ValueError(f"{path} holds no video; expected an array of steps x labels for each, under its name")
    where = {name: f"array {name!r}" for name in arrays}
    scores = {name: _check(f"{path}, {where[name]}", array, num_labels) for name, array in arrays.items()}
    return StepScores(path, scores, where, step=_seconds(step))


def _seconds(step: npt.NDArray[Any]) -> float:
    """The step in float64: a float32 or float16 stands for the number that was rounded to it, such as 0.1."""
    return float(meant_step(step.reshape(-1)[0])) if step.dtype.kind == "f" else float(step.item())


def _read_arrays(path: Path) -> dict[str, npt.NDArray[Any]]:
    if not path.is_file():
        raise ValueError(f"{path} is not a file; expected a .npz of predictions; check the path")
    try:
        return read_arrays(path)
    except ValueError as error:
        raise ValueError(
            f"{path} cannot be read as a .npz of numbers: {error}; write it with numpy.savez(path, step=..., **arrays)"
        ) from error


def _check(place: str, array: npt.NDArray[Any], num_labels: int) -> npt.NDArray[np.float64]:
    if array.ndim != 2 or array.shape[1] != num_labels or not len(array) or array.dtype.kind not in "fiu":
        raise ValueError(
            f"{place}: expected numbers of shape (steps, {num_labels}) with at least one step, got {array.dtype} of shape "
            f"{array.shape}; write one row for each step and one column for each label"
        )
    if array.dtype == np.float16:
        raise ValueError(
            f"{place}: scores in float16, whose rounding makes equal what was not; write the model's scores as float32 or "
            "float64"
        )
    scores = array.astype(np.float64)
    bad = np.argwhere(~(scores < np.inf))
    if len(bad):
        step, label = bad[0]
        check_score(float(scores[step, label]), f"{place}, step {step}, label {label}")
    return scores
