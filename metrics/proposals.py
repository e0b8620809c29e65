"""Temporal proposals: how much of the truth is covered by the first so many proposals, as ActivityNet measures it.

The official program (`eval_proposal.py`, Caba Heilbron et al., CVPR 2015) plots average recall (AR) against the average
number of proposals per video (AN) and reports the area under that curve. Its ways, all kept here:

- a video gets no fixed number of proposals but a fixed share of its own, the same for all videos, rounded down;
- that share is of all proposals of the file, those in videos without truth included, but these are then not looked at;
- a ground truth is found if any proposal reaches the threshold: one proposal may find several;
- the curve starts at 1/100 of the largest AN and the area left of it is missing, so that the best area is 99 %, not 100.

Where the program breaks ties of the score by the order of the file, ties go here by start, then end.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from metrics.detection import ACTIVITYNET_THRESHOLDS, Floats, Segments, overlaps
from metrics.matching import check_numbers

MAX_LARGEST = 1_000_000


@dataclass(frozen=True, eq=False)
class ProposalRecall:
    """The curve of recall over the average number of proposals.

    Args:
        recall: (thresholds, 100) float64 in [0, 1].
        numbers: (100,) float64, average number of proposals per video of each column; the last is the largest.
    """

    recall: Floats
    numbers: Floats

    @property
    def average_recall(self) -> Floats:
        """(100,) AR at each average number: the mean over the thresholds."""
        average: Floats = self.recall.mean(axis=0)
        return average

    @property
    def area(self) -> float:
        """Area under AR over AN, in percent of the largest AN (the official AUC); at most 99."""
        return float(100 * np.trapezoid(self.average_recall, self.numbers) / self.numbers[-1])


def proposal_recall(
    truth: Segments,
    predictions: Segments,
    num_videos: int,
    *,
    largest: float = 100,
    thresholds: Sequence[float] = ACTIVITYNET_THRESHOLDS,
) -> ProposalRecall:
    """Recall of the truth at a hundred average numbers of proposals per video.

    Args:
        truth: annotated segments; labels and scores are not read. Only videos that have one count.
        predictions: scored proposals; labels are not read.
        num_videos: U, videos of truth and predictions together.
        largest: the largest average number of proposals per video.
        thresholds: of tIoU, each in (0, 1].

    Raises:
        ValueError: an argument is out of range, or there is no truth.
    """
    check_numbers("videos of truth", truth.videos, num_videos)
    check_numbers("videos of predictions", predictions.videos, num_videos)
    if not len(thresholds) or not all(0 < threshold <= 1 for threshold in thresholds):
        raise ValueError(f"thresholds of tIoU must be above 0 and at most 1, got {list(thresholds)}")
    if not 0 < largest <= MAX_LARGEST:
        raise ValueError(
            f"largest must be a positive average number of proposals per video, up to {MAX_LARGEST}, got {largest}"
        )
    if not len(truth):
        raise ValueError("truth has no segment, so there is nothing to recall")
    starts, ends = predictions.intervals.T
    predictions = predictions.take(np.lexsort((ends, starts, -predictions.scores, predictions.videos)))
    counts = np.bincount(predictions.videos, minlength=num_videos)
    rank = np.arange(len(predictions)) - (counts.cumsum() - counts)[predictions.videos]
    scored = np.unique(truth.videos)
    # floats are rounded as in the official program, in its order of operations: the shares below decide by truncation
    share = largest * float(len(scored)) / max(1, len(predictions))
    kept = np.minimum((counts * share).astype(np.int64), counts)
    total = int(kept[scored].sum())
    levels = np.arange(1, 101) / 100.0
    numbers = levels * largest
    limits = np.zeros((num_videos, 100), np.int64)
    if total:
        shares = levels * (largest * float(len(scored)) / total)
        numbers = shares * (float(total) / len(scored))
        limits = np.minimum((kept[:, None] * shares).astype(np.int64), kept[:, None])
    found, which, iou = overlaps(predictions, truth, (predictions.videos, truth.videos), min(thresholds))
    recall = np.empty((len(thresholds), 100))
    for row, threshold in enumerate(thresholds):
        near = iou >= threshold
        first = np.full(len(truth), np.iinfo(np.int64).max)
        np.minimum.at(first, which[near], rank[found[near]])
        recall[row] = (first[:, None] < limits[truth.videos]).sum(axis=0) / len(truth)
    return ProposalRecall(recall, numbers)
