"""Temporal detection: average precision of scored segments against annotated ones, at thresholds of temporal overlap.

Two official protocols differ in more than the thresholds. **ActivityNet** (Caba Heilbron et al., CVPR 2015;
`eval_detection.py`): each prediction, by falling score, takes the free ground truth of its video and label that it overlaps
most, if tIoU >= threshold; interpolated AP. **THUMOS'14** (`TH14evalDet.m`): each ground truth, one after the other, takes
the free prediction that overlaps it most, if tIoU > threshold; AP is the mean precision at the hits. MultiTHUMOS and
THUMOS'14 in later code (ActionFormer, OpenTAD) are ActivityNet's protocol at other thresholds.

The official programs break ties by the order of the file. Here predictions with one score have one place in the ranking
(`metrics.ranking`), and where matching needs an order, ties go by start, then end: the order of the rows never matters.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from metrics.matching import Indices, check_numbers, equal_pairs, greedy_matches
from metrics.ranking import Area, Ranking, areas

Matching = Literal["prediction_first", "truth_first"]
Floats = npt.NDArray[np.float64]

# by linspace, as the official code and OpenTAD have them: the 0.3 and 0.7 of MultiTHUMOS come out one bit above
# (0.30000000000000004), so that an overlap of 0.3 is no hit there, and the 0.9 of ActivityNet one bit below
ACTIVITYNET_THRESHOLDS: tuple[float, ...] = tuple(np.linspace(0.5, 0.95, 10).tolist())
THUMOS14_THRESHOLDS: tuple[float, ...] = tuple(np.linspace(0.1, 0.7, 7).tolist())
MULTITHUMOS_THRESHOLDS: tuple[float, ...] = tuple(np.linspace(0.1, 0.9, 9).tolist())


@dataclass(frozen=True, eq=False)
class Segments:
    """Segments of many videos as columns, in any order.

    Args:
        videos: (n,) int64, number of the video of each, 0 .. U-1.
        labels: (n,) int64, 0 .. K-1.
        intervals: (n, 2) float64, start and end in seconds; may be empty or reversed, as some official ones are.
        scores: (n,) float64; not read where the segments are ground truth.

    Raises:
        ValueError: the columns do not fit together, an interval is not finite, or a score is NaN.
    """

    videos: npt.NDArray[np.int64]
    labels: npt.NDArray[np.int64]
    intervals: Floats
    scores: Floats

    def __post_init__(self) -> None:
        """Refuse columns that cannot be scored."""
        n = len(self.videos)
        shapes = [np.shape(column) for column in (self.videos, self.labels, self.intervals, self.scores)]
        if shapes != [(n,), (n,), (n, 2), (n,)]:
            raise ValueError(f"videos, labels, intervals and scores must be (n,), (n,), (n, 2) and (n,), got {shapes}")
        if not np.isfinite(self.intervals).all():
            row = int(np.flatnonzero(~np.isfinite(self.intervals).all(axis=1))[0])
            raise ValueError(f"intervals must be finite seconds, got {self.intervals[row].tolist()} in row {row}")
        if np.isnan(self.scores).any():
            row = int(np.flatnonzero(np.isnan(self.scores))[0])
            raise ValueError(
                f"scores must not be NaN, which has no rank, got one in row {row}: look for a diverged model"
            )

    def __len__(self) -> int:
        return len(self.videos)

    def take(self, rows: npt.NDArray[Any]) -> Segments:
        """These rows, in this order."""
        return Segments(self.videos[rows], self.labels[rows], self.intervals[rows], self.scores[rows])


def temporal_iou(left: Floats, right: Floats) -> Floats:
    """Intersection over union of pairs of intervals, (n, 2) and (n, 2) -> (n,) in [0, 1].

    0 where either interval is empty or reversed. The official ActivityNet code divides 0 by 0 if both are empty, and takes
    the NaN for a hit; that accident is not repeated.
    """
    shared = np.minimum(left[:, 1], right[:, 1]) - np.maximum(left[:, 0], right[:, 0])
    union = (right[:, 1] - right[:, 0]) + (left[:, 1] - left[:, 0]) - shared
    iou = np.zeros(len(left))
    np.divide(shared, union, out=iou, where=shared > 0)
    return iou


def overlaps(
    predictions: Segments, truth: Segments, keys: tuple[npt.NDArray[Any], npt.NDArray[Any]], minimum: float
) -> tuple[Indices, Indices, Floats]:
    """Pairs of a prediction and a ground truth of one key whose tIoU is positive and at least `minimum`.

    Args:
        predictions: n segments.
        truth: m segments.
        keys: (n,) and (m,) integers; only pairs with equal keys are looked at.
        minimum: smallest tIoU of interest.

    Returns:
        (p,) places in predictions, rising; (p,) places in truth; (p,) tIoU.
    """
    found: list[tuple[Indices, Indices, Floats]] = [(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0))]
    for left, right in equal_pairs(*keys):
        iou = temporal_iou(predictions.intervals[left], truth.intervals[right])
        keep = (iou > 0) & (iou >= minimum)
        found.append((left[keep], right[keep], iou[keep]))
    left, right, iou = (np.concatenate(parts) for parts in zip(*found, strict=True))
    return left, right, iou


def detection_rankings_at(
    truth: Segments,
    predictions: Segments,
    num_videos: int,
    num_labels: int,
    thresholds: Sequence[float],
    *,
    matching: Matching = "prediction_first",
    ambiguous: Segments | None = None,
) -> Iterator[list[Ranking]]:
    """Ranked lists of each label at each of several thresholds; the overlaps are computed once for all.

    Args:
        truth: annotated segments; scores are not read.
        predictions: scored segments. Those in a video without truth are false positives, as in the official programs.
        num_videos: U, videos of truth and predictions together.
        num_labels: K.
        thresholds: of tIoU, each in (0, 1].
        matching: who chooses, see the module: `prediction_first` (ActivityNet) or `truth_first` (THUMOS'14, which also
            takes a reversed interval as if it were written the right way round).
        ambiguous: THUMOS'14's segments of the class `Ambiguous`, labels not read: a prediction that is no hit and overlaps
            one of them by any amount is left out of the list, of whatever label.

    Yields:
        For each threshold K rankings, whose units are the numbers of the videos.

    Raises:
        ValueError: a threshold, a choice or a number is out of range.
    """
    if matching not in get_args(Matching):
        raise ValueError(f"matching must be one of {', '.join(get_args(Matching))}, got {matching!r}")
    if not len(thresholds) or not all(0 < threshold <= 1 for threshold in thresholds):
        raise ValueError(f"thresholds of tIoU must be above 0 and at most 1, got {list(thresholds)}")
    for name, part in (("truth", truth), ("predictions", predictions)):
        check_numbers(f"videos of {name}", part.videos, num_videos)
        check_numbers(f"labels of {name}", part.labels, num_labels)
    # the order of the rows ends here: by label, then by what decides who comes first
    starts, ends = truth.intervals.T
    truth = truth.take(np.lexsort((ends, starts, truth.videos, truth.labels)))
    starts, ends = predictions.intervals.T
    predictions = predictions.take(
        np.lexsort((ends, starts, predictions.videos, -predictions.scores, predictions.labels))
    )
    if matching == "truth_first":
        truth, predictions = _upright(truth), _upright(predictions)
    keys = (predictions.labels * num_videos + predictions.videos, truth.labels * num_videos + truth.videos)
    left, right, iou = overlaps(predictions, truth, keys, min(thresholds))
    order = np.lexsort((right, -iou, left) if matching == "prediction_first" else (left, -iou, right))
    left, right, iou = left[order], right[order], iou[order]
    void = np.zeros(len(predictions), np.bool_)
    if ambiguous is not None:
        check_numbers("videos of ambiguous", ambiguous.videos, num_videos)
        void[overlaps(predictions, _upright(ambiguous), (predictions.videos, ambiguous.videos), 0)[0]] = True
    positives = [np.bincount(truth.videos[truth.labels == label], minlength=num_videos) for label in range(num_labels)]
    bounds = np.searchsorted(predictions.labels, np.arange(num_labels + 1))
    for threshold in thresholds:
        near = iou >= threshold if matching == "prediction_first" else iou > threshold
        hits = greedy_matches(left[near], right[near], len(predictions), len(truth))
        rankings = []
        for label in range(num_labels):
            rows = np.arange(bounds[label], bounds[label + 1])
            rows = rows[hits[rows] | ~void[rows]]
            rankings.append(Ranking(predictions.scores[rows], hits[rows], predictions.videos[rows], positives[label]))
        yield rankings


def _upright(segments: Segments) -> Segments:
    """The same with each interval's smaller end first."""
    return Segments(segments.videos, segments.labels, np.sort(segments.intervals, axis=1), segments.scores)


def detection_rankings(
    truth: Segments,
    predictions: Segments,
    num_videos: int,
    num_labels: int,
    threshold: float,
    *,
    matching: Matching = "prediction_first",
    ambiguous: Segments | None = None,
) -> list[Ranking]:
    """Ranked lists of each label at one threshold, see `detection_rankings_at`."""
    return next(
        detection_rankings_at(
            truth, predictions, num_videos, num_labels, [threshold], matching=matching, ambiguous=ambiguous
        )
    )


def detection_average_precision(
    truth: Segments,
    predictions: Segments,
    num_videos: int,
    num_labels: int,
    thresholds: Sequence[float] = ACTIVITYNET_THRESHOLDS,
    *,
    area: Area = "interpolated",
    matching: Matching = "prediction_first",
    ambiguous: Segments | None = None,
) -> Floats:
    """Average precision of each label at each threshold; ActivityNet's as it stands.

    THUMOS'14's own is `area="mean_precision", matching="truth_first"` with its ambiguous segments. The mean of a protocol
    is over the labels that the truth has: `numpy.nanmean(result, axis=1)`.

    Args:
        truth: see `detection_rankings_at`, as for all that is not named here.
        predictions: likewise.
        num_videos: U.
        num_labels: K.
        thresholds: of tIoU.
        area: see `metrics.ranking.areas`.
        matching: `prediction_first` or `truth_first`.
        ambiguous: segments that no prediction is blamed for.

    Returns:
        (thresholds, K) float64; NaN for a label without truth.

    Raises:
        ValueError: see `detection_rankings_at` and `metrics.ranking.areas`.
    """
    tables = detection_rankings_at(
        truth, predictions, num_videos, num_labels, thresholds, matching=matching, ambiguous=ambiguous
    )
    return np.array([[areas(ranking, area)[0] for ranking in rankings] for rankings in tables])
