"""Mean average precision and top-k accuracy over videos, as metrics for a training or test loop."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from metrics.average_precision import Absent, Unlabelled, check_precision, check_protocol, mean_average_precision
from metrics.base import VideoMetric
from metrics.top_k import top_k_accuracy


class PredsMetric(VideoMetric):
    """Abstract metric over one row of scores for each video; subclasses write `compute`."""

    def update(self, index: Tensor, preds: Tensor, labels: Tensor) -> None:
        """Keep a batch of scores.

        Args:
            index: (B,) int64, place of each video in its split.
            preds: (B, K) float32 or float64 probabilities, kept as float32; -inf for a video that could not be read.
            labels: (B, K) int64, multi-hot; where each video has one label, exactly one 1 in each row.

        Raises:
            ValueError: shapes or dtypes differ from these; half precision is refused, for it rounds different scores to
                one, which moves the rank.
        """
        if preds.ndim != 2:
            raise ValueError(f"preds must have shape (B, K), got {tuple(preds.shape)}: reduce the views first")
        check_precision(preds)
        self._append(index, preds, labels)


class VideoMeanAveragePrecision(PredsMetric):
    """Mean average precision over videos, each video once, whatever the number of processes.

    Args:
        absent: a label that no video has is left out of the mean ("skip", "nonzero") or counts as 0 ("zero"); give
            `**VARIANTS["charades"]` to name both choices at once.
        unlabelled: a video without any label is a negative of every label ("negative"), or its scores are sent to -inf
            as in the official Charades script ("minus_inf").
        **kwargs: passed on to `torchmetrics.Metric`.

    Raises:
        ValueError: an unknown choice.
    """

    def __init__(self, absent: Absent = "skip", unlabelled: Unlabelled = "negative", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        check_protocol(absent, unlabelled)
        self.absent: Absent = absent
        self.unlabelled: Unlabelled = unlabelled

    def compute(self) -> Tensor:
        """The mean average precision, a scalar float64; NaN if no label occurs and absent ones are skipped."""
        _, preds, labels = self._rows()
        return mean_average_precision(preds, labels, absent=self.absent, unlabelled=self.unlabelled)


class VideoTopK(PredsMetric):
    """Share of videos whose only label is among the k highest scores, each video once.

    Args:
        k: how many of the highest scores count; ties count against the model, see `metrics.top_k`.
        **kwargs: passed on to `torchmetrics.Metric`.

    Raises:
        ValueError: k is not positive.
    """

    def __init__(self, k: int = 1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if k < 1:
            raise ValueError(f"k must be positive, got {k}")
        self.k = k

    def compute(self) -> Tensor:
        """The accuracy, a scalar float64."""
        _, preds, labels = self._rows()
        return top_k_accuracy(preds, labels, self.k)
