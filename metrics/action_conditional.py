"""How well one action is found where another one is, was, or will be.

Tirupattur, Duarte, Rawat, Shah, "Modeling Multi-Label Action Dependencies for Temporal Action Localization", CVPR 2021,
§4, eq. 8-12. For labels i and j only some steps are looked at: with tau = 0 those that have j; with tau > 0 those
without j that have j among the tau steps before them; with tau < 0 those without j that have j among the -tau steps
after them. Steps of another video never count.

The authors' script differs from their text. Its window of tau steps holds the present one, so that its tau = 20 is
tau = 19 here; for tau < 0 it shifts the wrong way and takes steps too far ahead of label j. Its F1 is that of the mean
precision and the mean recall, which the F1 printed in their tables is not; `means` gives both kinds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from metrics.frame_map import Bools, StepMetric, check_steps
from metrics.ranking import Floats, mean_precision

Table = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class ActionConditional:
    """Tables (K, K) float64 of label i given label j, at [i, j]; NaN where i = j or no selected step has i.

    Args:
        precision: eq. 9 and 12; 0 where i is never predicted in the selected steps.
        recall: eq. 9 and 12.
        f1: harmonic mean of the two; 0 where both are 0.
        average_precision: AP of label i over the selected steps.
    """

    precision: Table
    recall: Table
    f1: Table
    average_precision: Table

    def means(self) -> dict[str, float]:
        """Means over the pairs that count: precision, recall, f1, f1_of_means, map; NaN if no pair counts.

        `f1_of_means` is the harmonic mean of the mean precision and the mean recall, as the authors' script prints it.
        """
        counts = ~np.isnan(self.recall)
        if not counts.any():
            return dict.fromkeys(("precision", "recall", "f1", "f1_of_means", "map"), float("nan"))
        precision, recall, f1, average = (
            float(table[counts].mean()) for table in (self.precision, self.recall, self.f1, self.average_precision)
        )
        of_means = 2 * precision * recall / (precision + recall) if precision + recall else 0.0
        return {"precision": precision, "recall": recall, "f1": f1, "f1_of_means": of_means, "map": average}


def action_conditional(
    preds: Sequence[Floats], labels: Sequence[Bools], tau: int, threshold: float = 0.5
) -> ActionConditional:
    """Precision, recall, F1 and average precision of each label given each other label.

    Args:
        preds: for each video, scores (T_v, K) floating point of consecutive steps, without NaN.
        labels: for each video, truth (T_v, K) bool.
        tau: steps to look back (positive) or ahead (negative) for label j; 0 for the same step.
        threshold: a label is predicted where its score is not below this.

    Raises:
        ValueError: see `check_steps`.
    """
    num_labels = check_steps(preds, labels)
    truth = np.concatenate(labels).T.copy()
    scores = np.concatenate(preds).T.copy()
    selected = np.concatenate([_selected(table, tau) for table in labels]).T.copy()
    tables = np.full((4, num_labels, num_labels), np.nan)
    for given in range(num_labels):
        steps = np.flatnonzero(selected[given])
        there = truth[:, steps]
        values = scores[:, steps]
        predicted = values >= threshold
        positives = there.sum(axis=1)
        correct = (there & predicted).sum(axis=1)
        counts = positives > 0
        counts[given] = False
        with np.errstate(invalid="ignore"):
            precision = np.where(correct > 0, correct / predicted.sum(axis=1), 0.0)
            recall = correct / positives
            f1 = np.where(correct > 0, 2 * precision * recall / (precision + recall), 0.0)
        for table, of_label in zip(tables, (precision, recall, f1), strict=False):
            table[counts, given] = of_label[counts]
        for label in np.flatnonzero(counts):
            tables[3, label, given] = mean_precision(values[label], there[label])
    return ActionConditional(*tables)


def _selected(truth: Bools, tau: int) -> Bools:
    """(T, K): the steps of one video that are looked at for each label j (eq. 10 and 11)."""
    if tau == 0:
        return truth
    if tau < 0:
        return _selected(truth[::-1], -tau)[::-1]
    # seen[t] counts j in the steps before t
    seen = np.concatenate([np.zeros((1, truth.shape[1]), np.int64), truth.cumsum(axis=0)])
    tau = min(tau, len(truth))  # also where it is too large for the arrays
    last = np.arange(len(truth))
    return ~truth & (seen[last + 1] > seen[np.maximum(last - tau, 0)])


class ActionConditionalMetric(StepMetric):
    """Means over all pairs of labels of the action-conditional measures, each step of each video once.

    Args:
        num_labels: K.
        tau: see `action_conditional`.
        threshold: see `action_conditional`.
        **kwargs: passed on to `torchmetrics.Metric`.
    """

    def __init__(self, num_labels: int, tau: int = 0, threshold: float = 0.5, **kwargs: Any) -> None:
        super().__init__(num_labels, **kwargs)
        self.tau = tau
        self.threshold = threshold

    def update(self, index: int | Tensor, preds: Tensor, labels: Tensor, first: int | Tensor = 0) -> None:
        """Keep the scores of a video, or of one window of it; see `metrics.frame_map.FrameMeanAveragePrecision.update`.

        Raises:
            ValueError: as there.
        """
        self._keep(index, preds, labels, first)

    def compute(self) -> dict[str, Tensor]:
        """`ActionConditional.means`, each a scalar float64.

        Raises:
            ValueError: steps are missing between the windows of a video, so that tau cannot be counted.
        """
        keys, preds, labels = self._steps(slice(0, self.num_labels))
        videos: dict[int, tuple[list[Floats], list[Bools], int]] = {}
        for (video, first), scores, truth in zip(keys, preds, labels, strict=True):
            parts = videos.setdefault(video, ([], [], first))
            known = parts[2] + sum(len(part) for part in parts[0])
            if first != known:
                raise ValueError(
                    f"video {video} has no scores for the steps {known} .. {first - 1}: tau counts consecutive steps, "
                    "give every window of each video"
                )
            parts[0].append(scores)
            parts[1].append(truth)
        tables = action_conditional(
            [np.concatenate(parts[0]) for parts in videos.values()],
            [np.concatenate(parts[1]) for parts in videos.values()],
            self.tau,
            self.threshold,
        )
        return {name: torch.tensor(value, dtype=torch.float64) for name, value in tables.means().items()}
