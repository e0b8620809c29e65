"""Means of average precisions over labels, in all the ways that papers take them."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np
import numpy.typing as npt
import torch

from metrics.average_precision import Absent, mean_over_labels, weighted_mean
from metrics.bootstrap import Interval, NoPositiveError, bootstrap
from metrics.label_groups import group_means, label_groups
from metrics.protocols.report import Row
from metrics.ranking import Area, Ranking

Floats = npt.NDArray[np.float64]
Counts = npt.NDArray[np.int64]


def mean_row(name: str, meaning: str, values: Floats, interval: Interval | None = None) -> Row:
    """The mean over the labels that occur.

    Args:
        name: of the row.
        meaning: of the row.
        values: AP of each label, any shape; NaN for an absent one.
        interval: of this mean.
    """
    return Row(name, _mean(values), meaning, interval)


def variant_rows(name: str, values: Floats, counts: Counts) -> list[Row]:
    """The other means of the same average precisions that are in use, and those of thirds of the labels.

    Args:
        name: of the main row, which these are variants of.
        values: (K,) AP of each label; NaN for an absent one.
        counts: (K,) positives of each label in the truth.
    """
    absent = int(np.isnan(values).sum())
    zero = int((values == 0).sum())
    rows = [
        Row(f"{name}_absent_zero", _mean(values, "zero"), f"as {name}, the {absent} absent labels counting 0"),
        Row(f"{name}_nonzero", _mean(values, "nonzero"), f"as {name}, without the {zero} labels whose AP is 0"),
    ]
    sizes = {group: len(labels) for group, labels in label_groups(counts).items()}
    words = {"head": "most frequent labels", "medium": "labels between", "tail": "least frequent labels"}
    for group, value in group_means(values, counts).items():
        rows.append(Row(f"{name}_{group}", value, f"as {name}, the {sizes[group]} {words[group]} of the truth"))
    return rows


def weighted_row(name: str, main: str, values: Floats, counts: Counts) -> Row:
    """The mean weighted by the positives of each label, as the official Charades scripts print it (WAP)."""
    value = weighted_mean(torch.from_numpy(values), torch.from_numpy(counts))
    return Row(name, float(value), f"as {main}, each label weighted by its positives")


def interval(rankings: Iterable[Ranking], num_videos: int, resamples: int, area: Area) -> Interval | None:
    """Bootstrap interval of the mean over the rankings; None when no resamples are asked for, NaN without a positive."""
    if not resamples:
        return None
    try:
        return bootstrap(rankings, num_videos, area=area, resamples=resamples)
    except NoPositiveError:
        return Interval(math.nan, math.nan, math.nan, resamples)  # the report says so


def _mean(values: Floats, absent: Absent = "skip") -> float:
    return float(mean_over_labels(torch.from_numpy(values), absent))
