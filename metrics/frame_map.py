"""Mean average precision over time steps (f-mAP): every step of every video is a row, each step once.

The per-frame measure of MultiTHUMOS (Yeung et al., "Every Moment Counts", IJCV 2018) and of dense Charades. Published
scripts that join overlapping windows count their inner steps several times; here such a step counts once, with the mean
of its scores.
"""

from __future__ import annotations

from abc import ABC
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from metrics.average_precision import Absent, check_precision, check_protocol, check_scores, mean_over_labels
from metrics.blocks import BlockMetric
from metrics.ranking import Floats, Ranking, mean_precision

Bools = npt.NDArray[np.bool_]

# labels worked on at a time: one byte of packed truth, and a cache line read in two passes
_WIDTH = 8


def frame_average_precision(preds: Sequence[Floats], labels: Sequence[Bools]) -> npt.NDArray[np.float64]:
    """Average precision of each label over the steps of all videos.

    Args:
        preds: for each video, scores (T_v, K) floating point, without NaN; -inf ranks last.
        labels: for each video, truth (T_v, K) bool.

    Returns:
        (K,) float64; NaN for a label without positives.

    Raises:
        ValueError: see `check_steps`.
    """
    num_labels = check_steps(preds, labels)
    parts = (slice(first, first + _WIDTH) for first in range(0, num_labels, _WIDTH))
    return np.array([value for part in parts for value in _values(preds, labels, part)])


def frame_rankings(preds: Sequence[Floats], labels: Sequence[Bools]) -> Iterator[Ranking]:
    """The ranked list of steps of each label, whose units are the videos, one label at a time.

    Args:
        preds: for each video, scores (T_v, K) floating point, without NaN; -inf ranks last.
        labels: for each video, truth (T_v, K) bool.

    Yields:
        K rankings, in the order of the labels.

    Raises:
        ValueError: see `check_steps`.
    """
    num_labels = check_steps(preds, labels)
    units = np.repeat(np.arange(len(preds)), [len(table) for table in preds])
    for first in range(0, num_labels, _WIDTH):
        for score, hit in zip(*_columns(preds, labels, slice(first, first + _WIDTH)), strict=True):
            yield Ranking(score, hit, units, np.bincount(units[hit], minlength=len(preds)))


def check_steps(preds: Sequence[Floats], labels: Sequence[Bools]) -> int:
    """K of scores and truth of steps, after a look at their shapes and types.

    Raises:
        ValueError: there is no video, or a video's tables do not fit together, have the wrong dtype or hold NaN.
    """
    if not len(preds) or len(preds) != len(labels):
        raise ValueError(f"preds and labels must hold one table for each video, got {len(preds)} and {len(labels)}")
    for video, (scores, truth) in enumerate(zip(preds, labels, strict=True)):
        if scores.ndim != 2 or scores.shape != truth.shape or scores.shape[1] != preds[0].shape[1]:
            raise ValueError(
                f"video {video}: preds and labels must both have shape (steps, {preds[0].shape[-1]}), got {scores.shape} "
                f"and {truth.shape}"
            )
        if scores.dtype.kind != "f" or truth.dtype != np.bool_:
            raise ValueError(
                f"video {video}: preds must be floating point and labels bool, got {scores.dtype} and {truth.dtype}"
            )
        if np.isnan(scores).any():
            raise ValueError(f"video {video}: preds hold NaN, which has no rank; look for a diverged model")
    return int(preds[0].shape[1])


def _columns(preds: Sequence[Floats], labels: Sequence[Bools], part: slice) -> tuple[Floats, Bools]:
    """Scores and truth of some labels, a contiguous row for each: (labels, steps of all videos)."""
    steps = sum(len(table) for table in preds)
    width = preds[0][:, part].shape[1]
    dtype = np.result_type(*(table.dtype for table in preds))  # means of windows are float64 beside float32
    scores, hits = np.empty((width, steps), dtype), np.empty((width, steps), np.bool_)
    first = 0
    for score, truth in zip(preds, labels, strict=True):
        place = slice(first, first + len(score))
        scores[:, place], hits[:, place] = score[:, part].T, truth[:, part].T
        first += len(score)
    return scores, hits


class StepMetric(BlockMetric, ABC):
    """Abstract metric over time steps: scores as float32 and truth as bits, 4 1/8 bytes for a step and label.

    Args:
        num_labels: K.
        **kwargs: passed on to `torchmetrics.Metric`.

    Raises:
        ValueError: num_labels is not positive.
    """

    def __init__(self, num_labels: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if num_labels < 1:
            raise ValueError(f"num_labels must be positive, got {num_labels}")
        self.num_labels = num_labels

    def _keep(self, index: int | Tensor, preds: Tensor, labels: Tensor, first: int | Tensor) -> None:
        """Keep steps: preds (S, K) floating point, labels (S, K) multi-hot, of the steps from `first` on."""
        check_precision(preds)
        check_scores(preds, labels)
        if preds.shape[1] != self.num_labels:
            raise ValueError(f"video {int(index)}: preds must be (steps, {self.num_labels}), got {tuple(preds.shape)}")
        bits = np.packbits(labels.detach().to("cpu", torch.bool).numpy(), axis=1)
        self._append(index, torch.from_numpy(bits), preds.detach().to(torch.float32), first)

    def _steps(self, part: slice) -> tuple[list[tuple[int, int]], list[Floats], list[Bools]]:
        """Some labels of all steps, each step once, in the order of videos and steps.

        Args:
            part: labels; starts and ends at multiples of 8, or at K.

        Returns:
            (video, first step), scores (S, labels) and truth (S, labels) of each stretch of consecutive steps: whole
            videos and windows as they came, or joined to longer stretches where they overlap.

        Raises:
            ValueError: overlapping windows have different truth, or as `BlockMetric._blocks`.
        """
        blocks = self._blocks(truth=slice(part.start // 8, -(-part.stop // 8)), rows=part)
        width = min(part.stop, self.num_labels) - part.start
        stretches: list[list[tuple[int, int, Floats, Bools]]] = []
        end = (-1, 0)
        for block in blocks:
            truth = np.unpackbits(block.truth.numpy(), axis=1, count=width).view(np.bool_)
            if block.video != end[0] or block.first >= end[1]:
                stretches.append([])
                end = (block.video, block.first)
            stretches[-1].append((block.video, block.first, block.rows.numpy(), truth))
            end = (block.video, max(end[1], block.first + len(truth)))
        joined = [stretch[0] if len(stretch) == 1 else _join(stretch) for stretch in stretches]
        return [key[:2] for key in joined], [key[2] for key in joined], [key[3] for key in joined]


def _join(windows: list[tuple[int, int, Floats, Bools]]) -> tuple[int, int, Floats, Bools]:
    """One stretch from overlapping windows in the order of their first steps: the mean score of each step."""
    video, start, scores, _ = windows[0]
    steps = max(first + len(table) for _, first, table, _ in windows) - start
    total, votes = np.zeros((steps, scores.shape[1])), np.zeros((steps, 1), np.int64)
    positive = np.zeros((steps, scores.shape[1]), np.int64)
    for _, first, table, truth in windows:
        place = slice(first - start, first - start + len(table))
        total[place] += table
        positive[place] += truth
        votes[place] += 1
    differs = ((positive > 0) & (positive < votes)).any(axis=1)
    if differs.any():
        raise ValueError(
            f"video {video} has two different truths at step {start + int(differs.argmax())}, in windows that overlap: "
            "check the first step that is given with each window"
        )
    return video, start, total / votes, positive > 0


class FrameMeanAveragePrecision(StepMetric):
    """Mean average precision over the steps of all videos, each step once, whatever the windows and processes.

    Works on 8 labels at a time: the memory beside the scores is 100 bytes for each step, not for each step and label.

    Args:
        num_labels: K.
        absent: see `metrics.average_precision.mean_over_labels`.
        **kwargs: passed on to `torchmetrics.Metric`.

    Raises:
        ValueError: an unknown choice.
    """

    def __init__(self, num_labels: int, absent: Absent = "skip", **kwargs: Any) -> None:
        super().__init__(num_labels, **kwargs)
        check_protocol(absent, "negative")
        self.absent: Absent = absent

    def update(self, index: int | Tensor, preds: Tensor, labels: Tensor, first: int | Tensor = 0) -> None:
        """Keep the scores of a video, or of one window of it.

        The same window given again (a sampler that repeats videos) is ignored; windows that overlap are averaged.

        Args:
            index: place of the video in its split.
            preds: (S, K) float32 or float64 scores of consecutive steps, kept as float32; -inf ranks last.
            labels: (S, K) integer or bool, multi-hot.
            first: number of the first of these steps in the video; 0 when the whole video is given at once.

        Raises:
            ValueError: shapes or dtypes differ from these, or preds hold NaN.
        """
        self._keep(index, preds, labels, first)

    def average_precision(self) -> Tensor:
        """(K,) float64 average precision of each label over all steps so far; NaN for a label without positives."""
        return step_average_precision(self)

    def compute(self) -> Tensor:
        """The mean average precision, a scalar float64; NaN if every label is left out."""
        return mean_over_labels(self.average_precision(), self.absent)


def step_average_precision(metric: StepMetric) -> Tensor:
    """(K,) float64 average precision of each label over the steps that a metric holds."""
    parts = [slice(first, min(first + _WIDTH, metric.num_labels)) for first in range(0, metric.num_labels, _WIDTH)]
    return torch.tensor([value for part in parts for value in _values_of(metric, part)], dtype=torch.float64)


# functions, so that the columns of some labels are gone before those of the next ones are made


def _values_of(metric: StepMetric, part: slice) -> list[float]:
    _, preds, labels = metric._steps(part)
    return [value for half in (slice(0, 4), slice(4, 8)) for value in _values(preds, labels, half)]


def _values(preds: Sequence[Floats], labels: Sequence[Bools], part: slice) -> list[float]:
    return [mean_precision(score, hit) for score, hit in zip(*_columns(preds, labels, part), strict=True)]
