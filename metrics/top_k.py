"""Top-k accuracy for data sets in which each video has one label."""

from __future__ import annotations

import torch
from torch import Tensor

from metrics.average_precision import check_scores


def top_k_accuracy(preds: Tensor, labels: Tensor, k: int) -> Tensor:
    """Share of videos whose label is among the k highest scores.

    Ties count against the model: labels with the score of the true one are taken to stand above it, so that a constant
    score earns nothing instead of a value that depends on the order of the labels. A row with a score that is not
    finite (a video that could not be read) counts as wrong.

    Args:
        preds: scores, (n, K), any floating-point dtype.
        labels: multi-hot truth, (n, K), integer or bool, exactly one 1 in each row.
        k: how many of the highest scores count, 1 <= k <= K.

    Returns:
        Scalar float64 in [0, 1]; NaN for n = 0.

    Raises:
        ValueError: k is out of range, or a row does not have exactly one label; see `check_scores`.
    """
    check_scores(preds, labels)
    videos, num_labels = preds.shape
    if not 1 <= k <= num_labels:
        raise ValueError(f"k must be between 1 and the number of labels ({num_labels}), got {k}")
    counts = labels.to(torch.int64).sum(dim=1)
    bad = (counts != 1).nonzero()
    if len(bad):
        row = int(bad[0])
        raise ValueError(
            f"labels must have exactly one label in each row, got {int(counts[row])} in row {row} "
            f"({len(bad)} of {videos} rows are so): use mean average precision for several labels"
        )
    truth = preds.gather(1, labels.to(torch.int64).argmax(dim=1, keepdim=True))
    not_below = (preds >= truth).sum(dim=1)  # counts the true label itself
    right = (not_below <= k) & preds.isfinite().all(dim=1)
    return right.to(torch.float64).mean()
