"""Labels by frequency: how a mean splits into the common and the rare ones."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

GROUPS = ("head", "medium", "tail")


def label_groups(counts: npt.NDArray[Any]) -> dict[str, npt.NDArray[np.int64]]:
    """Thirds of the labels by falling count; where 3 does not divide, the more frequent thirds are larger by one.

    Args:
        counts: (K,) positives of each label, in the training set if it is at hand, else in the truth.

    Returns:
        `head`, `medium` and `tail` -> label numbers, rising; labels of equal count stand in the order of their numbers.

    Raises:
        ValueError: counts are not (K,).
    """
    if np.ndim(counts) != 1:
        raise ValueError(f"counts must have shape (K,), got {np.shape(counts)}")
    order = np.argsort(-np.asarray(counts, np.float64), kind="stable")  # as float: unsigned counts have no negative
    return {name: np.sort(part) for name, part in zip(GROUPS, np.array_split(order, 3), strict=True)}


def group_means(values: npt.NDArray[Any], counts: npt.NDArray[Any]) -> dict[str, float]:
    """Mean of the values of each third of the labels; NaN values are left out, and a third without any is NaN.

    Args:
        values: (K,) average precision of each label.
        counts: (K,) as for `label_groups`.

    Raises:
        ValueError: the shapes differ.
    """
    if np.shape(values) != np.shape(counts):
        raise ValueError(f"values and counts must both be (K,), got {np.shape(values)} and {np.shape(counts)}")
    means = {}
    for name, labels in label_groups(counts).items():
        part = values[labels][~np.isnan(values[labels])]
        means[name] = float(part.mean()) if len(part) else float("nan")
    return means
