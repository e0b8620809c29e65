"""Which prediction belongs to which ground truth: what segments, proposals and boxes share."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

Indices = npt.NDArray[np.int64]

# pairs made at a time: bounds the scratch memory, about 100 bytes a pair, whatever the number of predictions
_PAIRS = 1 << 21


def check_numbers(name: str, numbers: npt.NDArray[Any], count: int) -> None:
    """Refuse numbers of videos or labels that are not in 0 .. count - 1.

    Raises:
        ValueError: some are not.
    """
    if len(numbers) and not 0 <= numbers.min() <= numbers.max() < count:
        raise ValueError(
            f"{name} must be numbers from 0 to {count - 1}, got {int(numbers.min())} to {int(numbers.max())}"
        )


def equal_pairs(left: npt.NDArray[Any], right: npt.NDArray[Any]) -> Iterator[tuple[Indices, Indices]]:
    """All pairs of places whose keys are equal, a bounded number at a time.

    Args:
        left: (n,) integer keys, such as the number of the video of each prediction.
        right: (m,) integer keys.

    Yields:
        Places in left and in right, rising by the place in left, then by the place in right.
    """
    order = np.argsort(right, kind="stable")
    ranked = right[order]
    first = np.searchsorted(ranked, left, side="left")
    counts = np.searchsorted(ranked, left, side="right") - first
    ends = counts.cumsum()
    start = 0
    while start < len(left):
        done = ends[start - 1] if start else 0
        stop = max(start + 1, int(np.searchsorted(ends, done + _PAIRS, side="right")))
        part = counts[start:stop]
        places = np.repeat(np.arange(start, stop), part)
        within = np.arange(len(places)) - np.repeat(part.cumsum() - part, part)
        yield places, order[first[places] + within]
        start = stop


def greedy_matches(left: Indices, right: Indices, num_left: int, num_right: int) -> npt.NDArray[np.bool_]:
    """Match one to one, going through pairs in their order and taking each whose two sides are both still free.

    Taken in rounds: a pair that is the first of both its sides among the pairs left over is taken whatever the others do.

    Args:
        left: (n,) place of the left side of each pair, the pair to be taken first standing first.
        right: (n,) place of the right side.
        num_left: how many places there are on the left.
        num_right: how many on the right.

    Returns:
        (num_left,) whether each place on the left was matched.
    """
    matched, taken = np.zeros(num_left, np.bool_), np.zeros(num_right, np.bool_)
    while len(left):
        place = np.arange(len(left))
        first_left, first_right = np.full(num_left, len(left)), np.full(num_right, len(left))
        np.minimum.at(first_left, left, place)
        np.minimum.at(first_right, right, place)
        sure = (first_left[left] == place) & (first_right[right] == place)
        matched[left[sure]] = True
        taken[right[sure]] = True
        free = ~matched[left] & ~taken[right]
        left, right = left[free], right[free]
    return matched
