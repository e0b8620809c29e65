"""Accuracy where each video has one label: the Kinetics challenge's error, and the mean over labels.

Ties count against the model and a video that could not be read is wrong, as in `metrics.top_k`.
"""

from __future__ import annotations

import torch
from torch import Tensor

from metrics.top_k import top_k_accuracy
from metrics.video_map import PredsMetric


def mean_top_error(preds: Tensor, labels: Tensor) -> Tensor:
    """Mean of the top-1 and the top-5 error in percent: the score of the Kinetics challenges since 2017.

    Args:
        preds: scores, (n, K), any floating-point dtype, K >= 5.
        labels: multi-hot truth, (n, K), integer or bool, exactly one 1 in each row.

    Returns:
        Scalar float64 in [0, 100]; NaN for n = 0.

    Raises:
        ValueError: see `metrics.top_k.top_k_accuracy`.
    """
    return 100 * (1 - (top_k_accuracy(preds, labels, 1) + top_k_accuracy(preds, labels, 5)) / 2)


def label_accuracy(preds: Tensor, labels: Tensor) -> Tensor:
    """For each label the share of its videos whose highest score is that of the label.

    Args:
        preds: scores, (n, K), any floating-point dtype.
        labels: multi-hot truth, (n, K), integer or bool, exactly one 1 in each row.

    Returns:
        (K,) float64 in [0, 1]; NaN for a label without a video.

    Raises:
        ValueError: see `metrics.top_k.top_k_accuracy`.
    """
    top_k_accuracy(preds, labels, 1)  # refuses what is not one label a row, before rows are chosen by label
    return torch.stack([top_k_accuracy(preds[rows], labels[rows], 1) for rows in labels.T == 1])


def mean_label_accuracy(preds: Tensor, labels: Tensor) -> Tensor:
    """Mean over the labels of the share of their videos whose highest score is theirs (mean per-class accuracy, MPCA).

    Args:
        preds: scores, (n, K), any floating-point dtype.
        labels: multi-hot truth, (n, K), integer or bool, exactly one 1 in each row.

    Returns:
        Scalar float64 in [0, 1]; labels without a video are left out; NaN for n = 0.

    Raises:
        ValueError: see `metrics.top_k.top_k_accuracy`.
    """
    return label_accuracy(preds, labels).nanmean()


class VideoMeanTopError(PredsMetric):
    """Mean of the top-1 and the top-5 error in percent (Kinetics challenge), see `mean_top_error`; lower is better."""

    higher_is_better = False

    def compute(self) -> Tensor:
        """The error in percent, a scalar float64."""
        _, preds, labels = self._rows()
        return mean_top_error(preds, labels)


class VideoMeanLabelAccuracy(PredsMetric):
    """Mean over the labels of the accuracy on their videos, see `mean_label_accuracy`."""

    def compute(self) -> Tensor:
        """The accuracy, a scalar float64."""
        _, preds, labels = self._rows()
        return mean_label_accuracy(preds, labels)
