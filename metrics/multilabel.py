"""Measures of multi-label classification over rows (steps or videos), as in Table 2 of MLAD (CVPR 2021).

Definitions of Tsoumakas, Katakis, Vlahavas, "Mining Multi-label Data", 2010, as scikit-learn has them. Scores that are
tied count against the ranking. torchmetrics has them too, but breaks ties by the order of the labels in the ranking
loss, and puts logits through a sigmoid of its own, which can tie them.
"""

from __future__ import annotations

import zlib
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from metrics.average_precision import check_precision, check_scores
from metrics.blocks import BlockMetric

MEASURES = ("hamming_loss", "zero_one_loss", "ranking_loss", "coverage", "jaccard", "lrap")

# cells compared at a time: bounds the scratch memory
_CELLS = 1 << 22


def multilabel_suite(preds: Tensor, labels: Tensor, threshold: float = 0.5) -> dict[str, float]:
    """Mean over rows of six measures; see `multilabel_sums` for what each is.

    Args:
        preds: (n, K) floating-point scores, without NaN.
        labels: (n, K) integer or bool, multi-hot.
        threshold: a label is predicted where its score is not below this.

    Returns:
        `hamming_loss`, `zero_one_loss`, `ranking_loss`, `coverage` (small is good), `jaccard`, `lrap` (large is good).

    Raises:
        ValueError: there is no row; see `metrics.average_precision.check_scores`.
    """
    if not len(preds):
        raise ValueError("preds must have at least one row, got none")
    return dict(zip(MEASURES, (multilabel_sums(preds, labels, threshold) / len(preds)).tolist(), strict=True))


def multilabel_sums(preds: Tensor, labels: Tensor, threshold: float = 0.5) -> Tensor:
    """Sum over rows of the six measures.

    hamming_loss: share of the K decisions that are wrong. zero_one_loss: 1 if any is. jaccard: labels both true and
    predicted among those true or predicted, 0 where there is neither (averaged over rows, "samples").
    With r(k) the number of labels whose score is not below that of k, and r+(k) the number of true ones among them:
    coverage: the largest r(k) of a true label k, 0 without one. lrap: the mean over true labels of r+(k) / r(k).
    ranking_loss: share of the pairs of a true and a false label whose false one is not scored lower. In a row whose
    labels are all false or all true, lrap is 1 and ranking_loss 0.

    Args:
        preds: (n, K) floating-point scores, without NaN.
        labels: (n, K) integer or bool, multi-hot.
        threshold: a label is predicted where its score is not below this.

    Returns:
        (6,) float64 on the CPU, in the order of `MEASURES`.

    Raises:
        ValueError: see `metrics.average_precision.check_scores`.
    """
    check_scores(preds, labels)
    sums = torch.zeros(len(MEASURES), dtype=torch.float64)
    rows = max(1, _CELLS // max(1, preds.shape[1]))
    for scores, truth in zip(torch.split(preds.detach(), rows), torch.split(labels, rows), strict=True):
        sums += _row_values(scores.cpu(), truth.to("cpu", torch.bool), threshold).sum(dim=1)
    return sums


def _row_values(preds: Tensor, labels: Tensor, threshold: float) -> Tensor:
    """(6, n) float64: the measures of each row."""
    decided = preds >= threshold
    # as float64 from here on: torch divides integers in float32
    wrong, both, either, num_true = (
        cells.sum(dim=1).to(torch.float64) for cells in (decided != labels, decided & labels, decided | labels, labels)
    )
    coverage, missed, precision = (torch.zeros(len(preds), dtype=torch.float64) for _ in range(3))
    # one line for each true label, a few at a time: the labels ranked at or above it
    row, label = labels.nonzero(as_tuple=True)
    step = max(1, _CELLS // max(1, preds.shape[1]))
    for of_line, own in zip(torch.split(row, step), torch.split(label, step), strict=True):
        above = preds[of_line] >= preds[of_line, own][:, None]
        rank = above.sum(dim=1).to(torch.float64)
        hits = (above & labels[of_line]).sum(dim=1)
        coverage.scatter_reduce_(0, of_line, rank, "amax")
        missed.index_add_(0, of_line, rank - hits)
        precision.index_add_(0, of_line, hits / rank)
    mixed = (num_true > 0) & (num_true < preds.shape[1])
    return torch.stack(
        (
            wrong / preds.shape[1],
            (wrong > 0).to(torch.float64),
            torch.where(mixed, missed / (num_true * (preds.shape[1] - num_true)).clamp(min=1), 0.0),
            coverage,
            both / either.clamp(min=1),
            torch.where(mixed, precision / num_true.clamp(min=1), 1.0),
        )
    )


class MultilabelSuite(BlockMetric):
    """The six measures over the rows of all videos, each row once, whatever the number of processes.

    Keeps seven numbers for each video or window, not its scores.

    Args:
        num_labels: K.
        threshold: see `multilabel_suite`.
        **kwargs: passed on to `torchmetrics.Metric`.
    """

    def __init__(self, num_labels: int, threshold: float = 0.5, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.num_labels = num_labels
        self.threshold = threshold

    def update(self, index: int | Tensor, preds: Tensor, labels: Tensor, first: int | Tensor = 0) -> None:
        """Keep what the rows of a video, or of one window of it, add up to.

        Args:
            index: place of the video in its split.
            preds: (S, K) float32 or float64 scores of consecutive steps (S = 1: of the whole video).
            labels: (S, K) integer or bool, multi-hot.
            first: number of the first of these steps in the video; windows must not overlap.

        Raises:
            ValueError: shapes or dtypes differ from these, or preds hold NaN.
        """
        check_precision(preds)
        sums = multilabel_sums(preds, labels, self.threshold)
        if preds.shape[1] != self.num_labels:
            raise ValueError(f"video {int(index)}: preds must be (steps, {self.num_labels}), got {tuple(preds.shape)}")
        check = zlib.crc32(labels.to("cpu", torch.bool).contiguous().flatten().numpy().data)
        truth = torch.tensor([[len(labels), check]])
        self._append(index, truth, sums[None], first)

    def compute(self) -> dict[str, Tensor]:
        """The measures of `multilabel_suite`, each a scalar float64.

        Raises:
            ValueError: no row was seen, or two windows of a video overlap.
        """
        blocks = self._blocks()
        for before, after in pairwise(blocks):
            if before.video == after.video and after.first < before.first + int(before.truth[0, 0]):
                raise ValueError(
                    f"the windows of video {after.video} from the steps {before.first} and {after.first} overlap: give "
                    "each step once"
                )
        rows = sum(int(block.truth[0, 0]) for block in blocks)
        if not rows:
            raise ValueError("preds must have at least one row, got none")
        sums = torch.zeros(len(MEASURES), dtype=torch.float64)
        for block in blocks:  # in the order of the videos, so that rounding does not depend on the processes
            sums += block.rows[0]
        return dict(zip(MEASURES, sums / rows, strict=True))
