"""Scores of segments and boxes as metrics for a test loop: what each video brings is kept once, on any number of processes.

The tables are float64, so that thresholds decide as in the functions of `metrics.detection` and its neighbours.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from metrics.blocks import BlockMetric
from metrics.detection import ACTIVITYNET_THRESHOLDS, Matching, Segments, detection_average_precision
from metrics.frame_detection import CAPACITY, ImageBoxes, image_rankings
from metrics.proposals import ProposalRecall, proposal_recall
from metrics.ranking import Area, areas


class _SegmentMetric(BlockMetric):
    """Keeps the true and the predicted segments of each video, as rows of start, end, label and score."""

    def update(
        self, index: int | Tensor, truth: Tensor, truth_labels: Tensor, segments: Tensor, labels: Tensor, scores: Tensor
    ) -> None:
        """Keep a video.

        Args:
            index: place of the video in its split.
            truth: (N, 2) floating point, start and end of the annotated segments in seconds; N may be 0.
            truth_labels: (N,) integers, 0 .. K-1.
            segments: (M, 2) floating point, start and end of the predicted segments in seconds; M may be 0.
            labels: (M,) integers, 0 .. K-1.
            scores: (M,) floating point.

        Raises:
            ValueError: shapes or dtypes differ from these.
        """
        _check_rows("segments of the truth", truth, 2, truth_labels)
        _check_rows("predicted segments", segments, 2, labels, scores)
        self._append(index, _table(truth, truth_labels), _table(segments, labels, scores))

    def _segments(self) -> tuple[Segments, Segments, int]:
        """Truth and predictions of all processes, and the number of videos."""
        blocks = self._blocks()
        tables = []
        for parts in ([block.truth for block in blocks], [block.rows for block in blocks]):
            rows = torch.cat(parts).numpy()
            tables.append(
                Segments(
                    videos=np.repeat(np.arange(len(parts)), [len(part) for part in parts]),
                    labels=rows[:, 2].astype(np.int64),
                    intervals=rows[:, :2],
                    scores=rows[:, 3] if rows.shape[1] == 4 else np.ones(len(rows)),
                )
            )
        return tables[0], tables[1], len(blocks)


class DetectionMeanAveragePrecision(_SegmentMetric):
    """Mean average precision of segments, over the labels of the truth and over thresholds of tIoU.

    Args:
        num_labels: K.
        thresholds: of tIoU; those of ActivityNet if not given.
        area: `interpolated` or `mean_precision`, see `metrics.ranking.areas`.
        matching: `prediction_first` (ActivityNet) or `truth_first` (THUMOS'14), see `metrics.detection`.
        **kwargs: passed on to `torchmetrics.Metric`.
    """

    def __init__(
        self,
        num_labels: int,
        thresholds: Sequence[float] = ACTIVITYNET_THRESHOLDS,
        area: Area = "interpolated",
        matching: Matching = "prediction_first",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.num_labels, self.thresholds = num_labels, tuple(thresholds)
        self.area, self.matching = area, matching

    def average_precision(self) -> npt.NDArray[np.float64]:
        """(thresholds, K) float64; NaN for a label without truth; call it on all processes alike.

        Raises:
            ValueError: no video was seen, or a threshold, a choice or a label is out of range.
        """
        return detection_average_precision(
            *self._segments(), self.num_labels, self.thresholds, area=self.area, matching=self.matching
        )

    def compute(self) -> Tensor:
        """The mean over labels and thresholds, a scalar float64; NaN without truth."""
        return _mean(self.average_precision())


class ProposalArea(_SegmentMetric):
    """Area under the average recall of proposals over their average number, in percent; labels are not read.

    Args:
        largest: the largest average number of proposals per video.
        **kwargs: passed on to `torchmetrics.Metric`.
    """

    def __init__(self, largest: float = 100, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.largest = largest

    def recall(self) -> ProposalRecall:
        """The whole curve; call it on all processes alike.

        Raises:
            ValueError: no video was seen, or none has truth.
        """
        return proposal_recall(*self._segments(), largest=self.largest)

    def compute(self) -> Tensor:
        """The area in percent, a scalar float64."""
        return torch.tensor(self.recall().area, dtype=torch.float64)


class BoxMeanAveragePrecision(BlockMetric):
    """AVA's frame-mAP of boxes that all have a score for every label.

    Args:
        capacity: labelled boxes that count in an image, 50 in the official program; all when None.
        **kwargs: passed on to `torchmetrics.Metric`.
    """

    def __init__(self, capacity: int | None = CAPACITY, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.capacity = capacity

    def update(self, index: int | Tensor, truth: Tensor, truth_labels: Tensor, boxes: Tensor, preds: Tensor) -> None:
        """Keep an image.

        Args:
            index: place of the image in its split.
            truth: (N, 4) floating point, x1, y1, x2, y2 of the annotated persons in any unit; N may be 0.
            truth_labels: (N, K) integers, multi-hot.
            boxes: (M, 4) floating point, of the detected persons in the same unit; M may be 0.
            preds: (M, K) floating point, score of each label.

        Raises:
            ValueError: shapes or dtypes differ from these.
        """
        _check_rows("boxes of the truth", truth, 4, truth_labels)
        _check_rows("predicted boxes", boxes, 4, scores=preds)
        if truth_labels.ndim != 2 or preds.shape[1:] != truth_labels.shape[1:]:
            raise ValueError(
                f"truth_labels and preds must be (N, K) and (M, K), got {tuple(truth_labels.shape)} and {tuple(preds.shape)}"
            )
        self._append(index, _table(truth, truth_labels), _table(boxes, preds))

    def average_precision(self) -> npt.NDArray[np.float64]:
        """(K,) float64; NaN for a label without truth; call it on all processes alike.

        Raises:
            ValueError: no image was seen, or a box of the truth is reversed.
        """
        blocks = self._blocks()
        num_labels = blocks[0].truth.shape[1] - 4
        tables = []
        for parts, scored in (([block.truth for block in blocks], False), ([block.rows for block in blocks], True)):
            table = torch.cat(parts).numpy()
            images = np.repeat(np.arange(len(parts)), [len(part) for part in parts])
            boxes, values = table[:, :4], table[:, 4:]
            rows, labels = np.nonzero(np.ones_like(values, np.bool_) if scored else values == 1)
            tables.append(ImageBoxes(images[rows], images[rows], labels, boxes[rows], values[rows, labels]))
        rankings = image_rankings(tables[0], tables[1], len(blocks), num_labels, capacity=self.capacity)
        return np.array([areas(ranking, "interpolated")[0] for ranking in rankings])

    def compute(self) -> Tensor:
        """The mean over the labels that the truth has, a scalar float64; NaN without truth."""
        return _mean(self.average_precision())


def _mean(values: npt.NDArray[np.float64]) -> Tensor:
    """Mean without the NaN of absent labels; NaN when there is nothing else."""
    return torch.from_numpy(values).nanmean()


def _table(*columns: Tensor) -> Tensor:
    """Columns side by side, (N,) or (N, D) each -> (N, sum of D) float64."""
    cpu = [column.detach().to("cpu", torch.float64) for column in columns]
    return torch.cat([column[:, None] if column.ndim == 1 else column for column in cpu], dim=1)


def _check_rows(
    name: str, places: Tensor, width: int, labels: Tensor | None = None, scores: Tensor | None = None
) -> None:
    """Refuse rows that do not fit together.

    Raises:
        ValueError: places are not (N, width) floating point, or there are not N integer labels or floating-point scores.
    """
    if places.ndim != 2 or places.shape[1] != width or not places.is_floating_point():
        raise ValueError(f"{name} must be (N, {width}) floating point, got {tuple(places.shape)} of {places.dtype}")
    for what, column, floating in (("labels", labels, False), ("scores", scores, True)):
        if column is not None and (len(column) != len(places) or column.is_floating_point() != floating):
            raise ValueError(
                f"{what} of {len(places)} {name} must be as many {'floating-point numbers' if floating else 'integers'}, "
                f"got {tuple(column.shape)} of {column.dtype}"
            )
