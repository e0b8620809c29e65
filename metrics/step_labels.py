"""From annotated intervals to multi-hot labels of time steps."""

from __future__ import annotations

from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt

Boundary = Literal["<", "<="]


def step_labels(
    labels: npt.NDArray[Any],
    intervals: npt.NDArray[Any],
    num_labels: int,
    instants: npt.NDArray[Any],
    boundary: Boundary,
) -> npt.NDArray[np.bool_]:
    """Which labels hold at which instants.

    A step i of features that are `step` seconds apart has the instant i * step. Published code differs at the ends of an
    interval: TGM, PDAN and MS-TCT take start < t < end (`<`), MLAD and the official Charades localization script
    start <= t <= end (`<=`). An interval of no length has one instant under `<=` and none under `<`; one that ends
    before it starts has none under either. Intervals may overlap, repeat, and reach past the instants.

    Args:
        labels: (I,) integers in 0 .. num_labels - 1, one for each interval.
        intervals: (I, 2) start and end in seconds.
        num_labels: K.
        instants: (T,) seconds, in any order.
        boundary: `<` or `<=`.

    Returns:
        (T, K) bool.

    Raises:
        ValueError: an unknown boundary, a wrong shape, a label out of range, or an interval or instant that is NaN.
    """
    if boundary not in get_args(Boundary):
        raise ValueError(f"boundary must be one of {', '.join(get_args(Boundary))}, got {boundary!r}")
    labels, intervals, instants = (
        np.asarray(labels),
        np.asarray(intervals, np.float64),
        np.asarray(instants, np.float64),
    )
    if labels.ndim != 1 or intervals.shape != (len(labels), 2) or instants.ndim != 1:
        raise ValueError(
            f"labels must be (I,), intervals (I, 2) and instants (T,), got {labels.shape}, {intervals.shape} and "
            f"{instants.shape}"
        )
    if len(labels) and not (labels.dtype.kind in "iu" and labels.min() >= 0 and labels.max() < num_labels):
        raise ValueError(
            f"labels must be integers in 0 .. {num_labels - 1}, got {labels.dtype} from {labels.min()} to {labels.max()}"
        )
    if np.isnan(intervals).any() or np.isnan(instants).any():
        raise ValueError("intervals and instants must be numbers, got NaN: leave out what has no time")
    result = np.zeros((len(instants), num_labels), np.bool_)
    for label, (start, end) in zip(labels, intervals, strict=True):
        if boundary == "<":
            result[:, label] |= (start < instants) & (instants < end)
        else:
            result[:, label] |= (start <= instants) & (instants <= end)
    return result
