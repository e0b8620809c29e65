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

# cells of the (resamples, scores) and (scores, videos) tables worked on at a time: bounds the scratch memory
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
    units, positives = ranking.units, ranking.positives
    if weights is None:  # as if all rows were of one video, which is quicker
        units, positives, weights = np.zeros_like(units), positives.sum(keepdims=True), np.ones((1, 1))
    weights, num_units = np.asarray(weights, np.float64), len(positives)
    total = weights @ positives
    # only scores of hits matter: a row between two of them lowers the precision at the next one, and at the end of its own
    # tie precision is lower than at the hit above. level: place of the nearest of these scores at or below each row
    values = np.unique(ranking.scores[ranking.hits])
    level = np.searchsorted(values, ranking.scores, side="right") - 1
    order = np.argsort(level, kind="stable")
    order = order[np.searchsorted(level[order], 0) :]  # rows below all hits never count
    level, hits, units = level[order], ranking.hits[order], units[order]
    seen = weights @ np.bincount(units, minlength=num_units)
    found = weights @ np.bincount(units[hits], minlength=num_units)
    area_of, highest = np.zeros(len(weights)), np.zeros(len(weights))
    step = max(1, _CELLS // max(1, len(weights), num_units))
    # from the lowest score to the highest, so that the highest precision at an equal or higher recall is known
    for first in range(0, len(values), step):
        width = min(step, len(values) - first)
        part = slice(*np.searchsorted(level, (first, first + width)))
        cells = (level[part] - first) * num_units + units[part]
        rows_at = weights @ np.bincount(cells, minlength=width * num_units).reshape(width, num_units).T
        hits_at = weights @ np.bincount(cells[hits[part]], minlength=width * num_units).reshape(width, num_units).T
        at_or_above = seen[:, None] - (rows_at.cumsum(axis=1) - rows_at)
        hits_above = found[:, None] - (hits_at.cumsum(axis=1) - hits_at)
        precision = np.divide(hits_above, at_or_above, out=np.zeros_like(hits_above), where=at_or_above > 0)
        if area == "interpolated":
            precision = np.maximum(np.maximum.accumulate(precision, axis=1), highest[:, None])
            highest = precision[:, -1]
        area_of += (hits_at * precision).sum(axis=1)
        seen, found = seen - rows_at.sum(axis=1), found - hits_at.sum(axis=1)
    result: npt.NDArray[np.float64] = np.divide(area_of, total, out=np.full(len(weights), np.nan), where=total > 0)
    return result
