"""From annotated intervals to multi-hot labels of time steps."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt

Boundary = Literal["<", "<="]
MAX_SECONDS = 1e9  # over 30 years: beyond it seconds are a fault of the file, and sums of them may overflow


def meant_step(step: float | np.floating[Any]) -> Fraction:
    """The exact number of seconds that a rounded step stands for: 1/10 for 0.1, 1001/30000 for 0.03336666666666667.

    A number that needs fewer digits than its type can tell apart is that decimal. One that needs all of them is a fraction
    of small terms, if there is one within its rounding, and else its shortest decimal.

    Args:
        step: seconds, a float or a numpy scalar of the type that it was saved as.

    Raises:
        ValueError: it is not positive, or above 1e9.
    """
    value = np.float64(step) if isinstance(step, int | float) else step
    if not 0 < float(value) <= MAX_SECONDS:
        raise ValueError(f"step must be a positive number of seconds up to {MAX_SECONDS:g}, got {step!r}")
    text, kind = str(value), np.finfo(value.dtype)
    decimal = Fraction(text)
    if len(Decimal(text).normalize().as_tuple().digits) <= kind.precision:
        return decimal
    near = decimal.limit_denominator(10 ** (kind.precision // 2))
    return near if abs(near - decimal) <= Fraction(float(kind.eps)) * decimal else decimal


def step_instants(num_steps: int, step: float) -> npt.NDArray[np.float64]:
    """The instants 0, step, 2 step, ... of a video, each the float64 nearest to the exact product.

    In floats 3 * 0.1 is above 0.3, and a step at 0.3 s would lie past the end of an interval that ends there. Hence the
    product is taken of the number that the step stands for, see `meant_step`, and rounded once.

    Args:
        num_steps: T.
        step: seconds.

    Returns:
        (T,) float64 seconds.

    Raises:
        ValueError: see `meant_step`.
    """
    meant = meant_step(step)
    above, below = meant.numerator, meant.denominator
    return np.fromiter((i * above / below for i in range(num_steps)), np.float64, num_steps)  # integers: one rounding


def step_labels(
    labels: npt.NDArray[Any],
    intervals: npt.NDArray[Any],
    num_labels: int,
    instants: npt.NDArray[Any],
    boundary: Boundary,
) -> npt.NDArray[np.bool_]:
    """Which labels hold at which instants.

    A step i of features that are `step` seconds apart has the instant i * step, see `step_instants`. Published code
    differs at the ends of an interval: TGM, PDAN and MS-TCT take start < t < end (`<`), MLAD and the official Charades
    localization script start <= t <= end (`<=`). An interval of no length has one instant under `<=` and none under `<`;
    one that ends before it starts has none under either. Intervals may overlap, repeat, and reach past the instants.

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
