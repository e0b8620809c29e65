"""Untrimmed classification as ActivityNet scores it: mean average precision and hits among the first k labels.

The official program (`eval_classification.py`, Caba Heilbron et al., CVPR 2015) takes labels of videos from a list of
scored (video, label) rows, as few or as many for each video as the file has. A video with many segments of one label has it
once. AP is interpolated, and its mean is over the labels of the truth. Versions before 2017 passed precision and recall
the wrong way round and cannot be compared.

Ties: rows with one score have one place in the ranking of a label; in the hits of a video, wrong labels stand above true
ones of the same score. The official program goes by the order of the file.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from metrics.matching import check_numbers, equal_pairs
from metrics.ranking import Ranking, areas
from metrics.video_map import PredsMetric

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Scored:
    """Labels of many videos as columns, in any order.

    Args:
        videos: (n,) int64, number of the video of each row, 0 .. U-1.
        labels: (n,) int64, 0 .. K-1.
        scores: (n,) floating point; not read where the rows are ground truth.

    Raises:
        ValueError: the columns do not fit together, or a score is NaN.
    """

    videos: npt.NDArray[np.int64]
    labels: npt.NDArray[np.int64]
    scores: npt.NDArray[np.floating[Any]]

    def __post_init__(self) -> None:
        """Refuse columns that cannot be scored."""
        shapes = [np.shape(column) for column in (self.videos, self.labels, self.scores)]
        if shapes != [(len(self.videos),)] * 3:
            raise ValueError(f"videos, labels and scores must all be (n,), got {shapes}")
        if np.isnan(self.scores).any():
            row = int(np.flatnonzero(np.isnan(self.scores))[0])
            raise ValueError(
                f"scores must not be NaN, which has no rank, got one in row {row}: look for a diverged model"
            )


@dataclass(frozen=True, eq=False)
class Classification:
    """Scores of untrimmed classification.

    Args:
        average_precision: (K,) float64, interpolated; NaN for a label without truth.
        hit: k -> share of the videos one of whose labels is among the k first (top-k accuracy where videos have one).
        average_hit: k -> mean over the videos of the share of their labels among the k first.
    """

    average_precision: Floats
    hit: dict[int, float]
    average_hit: dict[int, float]


def classification_rankings(truth: Scored, predictions: Scored, num_videos: int, num_labels: int) -> list[Ranking]:
    """Ranked lists of each label, whose units are the numbers of the videos.

    Args:
        truth: labels of the videos; repeated rows count once.
        predictions: scored rows. The row of a video and label with the highest score is the hit, a second one is wrong; a row
            of a video without truth is wrong.
        num_videos: U, videos of truth and predictions together.
        num_labels: K.

    Raises:
        ValueError: a number is out of range.
    """
    _check(truth, predictions, num_videos, num_labels)
    true = np.unique(truth.labels * num_videos + truth.videos)
    order = np.lexsort((predictions.videos, -predictions.scores, predictions.labels))
    keys = (predictions.labels * num_videos + predictions.videos)[order]
    hits = np.zeros(len(keys), np.bool_)
    hits[np.unique(keys, return_index=True)[1]] = True
    hits &= np.isin(keys, true)
    scores, units = predictions.scores[order], predictions.videos[order]
    bounds = np.searchsorted(predictions.labels[order], np.arange(num_labels + 1))
    rankings = []
    for label in range(num_labels):
        rows = slice(bounds[label], bounds[label + 1])
        positives = np.bincount(true[true // num_videos == label] % num_videos, minlength=num_videos)
        rankings.append(Ranking(scores[rows], hits[rows], units[rows], positives))
    return rankings


def hits_at_k(truth: Scored, predictions: Scored, num_videos: int, num_labels: int, k: int) -> tuple[float, float]:
    """Share of the videos with a true label among their k first, and mean share of the true labels there.

    Both are means over the videos of the truth; one without predictions has no hit. A row of -inf is never a hit.

    Raises:
        ValueError: k or a number is out of range, or there is no truth.
    """
    _check(truth, predictions, num_videos, num_labels)
    if k < 1:
        raise ValueError(f"k must be positive, got {k}")
    if not len(truth.videos):
        raise ValueError("truth has no label, so there is nothing to hit")
    true = np.unique(truth.videos * num_labels + truth.labels)
    videos, labels = true // num_labels, true % num_labels
    best, above = np.full(len(true), -np.inf), np.zeros(len(true), np.int64)
    keys = predictions.videos * num_labels + predictions.labels
    order = np.lexsort((-predictions.scores, keys))
    first = order[np.unique(keys[order], return_index=True)[1]]  # the highest row of each video and label
    right = np.zeros(len(keys), np.bool_)
    right[first] = np.isin(keys[first], true)
    best[np.searchsorted(true, keys[right])] = predictions.scores[right]
    for place, row in equal_pairs(videos, predictions.videos):
        level = predictions.scores[row] == best[place]
        before = (predictions.scores[row] > best[place]) | (
            level & (~right[row] | (predictions.labels[row] < labels[place]))
        )
        before &= predictions.labels[row] != labels[place]
        above += np.bincount(place[before], minlength=len(true))
    hit = (best > -np.inf) & (above < k)
    counts = np.bincount(videos, minlength=num_videos)
    found = np.bincount(videos[hit], minlength=num_videos)[counts > 0]
    return float((found > 0).mean()), float((found / counts[counts > 0]).mean())


def classification(
    truth: Scored, predictions: Scored, num_videos: int, num_labels: int, ks: Sequence[int] = (1, 3)
) -> Classification:
    """All scores of untrimmed classification, see `classification_rankings` and `hits_at_k`; official k is 3."""
    rankings = classification_rankings(truth, predictions, num_videos, num_labels)
    hits = {k: hits_at_k(truth, predictions, num_videos, num_labels, k) for k in ks}
    return Classification(
        np.array([areas(ranking, "interpolated")[0] for ranking in rankings]),
        {k: hit for k, (hit, _) in hits.items()},
        {k: average for k, (_, average) in hits.items()},
    )


def _check(truth: Scored, predictions: Scored, num_videos: int, num_labels: int) -> None:
    """Refuse numbers out of range.

    Raises:
        ValueError: a number is not in 0 .. num_videos - 1, or not in 0 .. num_labels - 1.
    """
    for name, part in (("truth", truth), ("predictions", predictions)):
        check_numbers(f"videos of {name}", part.videos, num_videos)
        check_numbers(f"labels of {name}", part.labels, num_labels)


class VideoHitAtK(PredsMetric):
    """Share of videos with a true label among the k highest scores, each video once; videos may have several labels.

    Args:
        k: how many of the highest scores count; of equal scores, wrong labels stand above true ones.
        average: take the share of a video's labels that are there, in place of whether one is.
        **kwargs: passed on to `torchmetrics.Metric`.

    Raises:
        ValueError: k is not positive.
    """

    def __init__(self, k: int = 3, average: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if k < 1:
            raise ValueError(f"k must be positive, got {k}")
        self.k, self.average = k, average

    def compute(self) -> Tensor:
        """The share, a scalar float64; videos without a label are left out."""
        _, preds, labels = self._rows()
        num_videos, num_labels = preds.shape
        videos, columns = (part.ravel() for part in np.indices((num_videos, num_labels)))
        truth = (labels == 1).numpy().ravel()
        rows = Scored(videos[truth], columns[truth], np.ones(truth.sum()))
        scored = Scored(videos, columns, preds.numpy().ravel())
        return torch.tensor(hits_at_k(rows, scored, num_videos, num_labels, self.k)[self.average], dtype=torch.float64)
