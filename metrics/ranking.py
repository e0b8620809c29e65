"""One ranked list of one label, and the area under its precision-recall curve.

Video mAP, frame mAP, detection mAP and AVA's mAP differ in what a row of the list is and when it is a hit; from there on
they are the same sum over falling scores. Rows with the same score have no order: precision is taken at the end of their
tie, so that a value depends on the scores alone and never on the order of a file.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt

Area = Literal["mean_precision", "interpolated"]
Floats = npt.NDArray[np.floating[Any]]

# cells of the (resamples, rows) tables worked on at a time: bounds the scratch memory, about 40 bytes a cell
_CELLS = 1 << 22


@dataclass(frozen=True, eq=False)
class Ranking:
    """The ranked list of one label.

    Args:
        scores: (n,) floating point, of each row (a video, a time step, a detection); -inf ranks last; no NaN.
        hits: (n,) bool, whether the row is right.
        units: (n,) integer, number of the video that the row belongs to, 0 .. U-1.
        positives: (U,) int64, how many there are to find in each video; a row that is not there is a miss.
    """

    scores: Floats
    hits: npt.NDArray[np.bool_]
    units: npt.NDArray[np.integer[Any]]
    positives: npt.NDArray[np.int64]


def mean_precision(scores: Floats, hits: npt.NDArray[np.bool_]) -> float:
    """Mean over the positives of the precision at the end of each one's tie, all positives being among the rows.

    The same as `areas(..., "mean_precision")` without weights, by two sorts of values and no sort of places: an order of
    magnitude faster on millions of rows.

    Args:
        scores: (n,) floating point, without NaN; -inf ranks last.
        hits: (n,) bool.

    Returns:
        In [0, 1]; NaN without a positive.
    """
    found = np.sort(scores[hits])
    if not len(found):
        return float("nan")
    rows = np.sort(scores)
    values, first, counts = np.unique(found, return_index=True, return_counts=True)
    hits_above = len(found) - first
    rows_above = len(rows) - np.searchsorted(rows, values, side="left")
    return float((counts * (hits_above / rows_above)).sum() / len(found))


def areas(ranking: Ranking, area: Area, weights: npt.NDArray[Any] | None = None) -> npt.NDArray[np.float64]:
    """Area under the precision-recall curve, for each of R weightings of the videos.

    Args:
        ranking: n rows of U videos.
        area: `mean_precision`: the mean over the positives of the precision at each (a miss counts 0); `interpolated`:
            each precision is first raised to the highest at an equal or higher recall (PASCAL VOC 2010, ActivityNet, AVA).
        weights: (R, U) not negative, how often each video counts; once each when None (R = 1).

    Returns:
        (R,) float64 in [0, 1]; NaN where there is nothing to find.

    Raises:
        ValueError: an unknown area.
    """
    if area not in get_args(Area):
        raise ValueError(f"area must be one of {', '.join(get_args(Area))}, got {area!r}")
    if weights is None:
        weights = np.ones((1, len(ranking.positives)))
    total = weights @ ranking.positives.astype(np.float64)
    order = np.argsort(-ranking.scores, kind="stable")
    scores, hits, units = ranking.scores[order], ranking.hits[order], ranking.units[order]
    ends = np.flatnonzero(np.append(scores[1:] != scores[:-1], True)) if len(scores) else np.empty(0, np.int64)
    result = np.full(len(weights), np.nan)
    step = max(1, _CELLS // max(1, len(scores)))
    for first in range(0, len(weights), step):
        part = slice(first, first + step)
        rows = weights[part][:, units].astype(np.float64)
        seen = rows.cumsum(axis=1)[:, ends]
        found = (rows * hits).cumsum(axis=1)[:, ends]
        precision = np.divide(found, seen, out=np.zeros_like(found), where=seen > 0)
        if area == "interpolated":
            precision = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
        gains = np.diff(found, axis=1, prepend=0.0)
        there = total[part] > 0
        result[part][there] = (gains * precision).sum(axis=1)[there] / total[part][there]
    return result
