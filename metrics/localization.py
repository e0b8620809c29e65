"""Charades temporal localization: mean average precision over 25 equally spaced instants of each video.

As the official script Charades_v1_localize.m (Sigurdsson et al., "Hollywood in Homes", ECCV 2016): a label holds at an
instant if start <= t <= end, every instant of every video is a row, an instant without a label is a negative of all
labels, and a missing video ranks last. A submission names the instants by frames 1 .. 25; the script also takes 0 .. 24
and adds 1 to all. Where scores are tied the script follows the order of the file; here ties are grouped.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from annotations.records import AnnotatedVideo
from metrics.average_precision import Absent, check_protocol, mean_over_labels, weighted_mean
from metrics.frame_map import StepMetric, step_average_precision
from metrics.step_labels import step_labels

NUM_FRAMES = 25


def localization_instants(duration: float, num_frames: int = NUM_FRAMES) -> npt.NDArray[np.float64]:
    """The instants at which a video is judged: 0, d / n, 2 d / n, ..., d - d / n seconds.

    Args:
        duration: d, seconds, as the annotation file states it.
        num_frames: n.

    Returns:
        (n,) float64 seconds; the last one lies before the end of the video.

    Raises:
        ValueError: duration or num_frames is not positive.
    """
    if not 0 < duration < float("inf") or num_frames < 1:
        raise ValueError(f"duration and num_frames must be positive, got {duration} and {num_frames}")
    # in this order of operations, as in the script: the last bit decides at the end of an interval
    return np.arange(num_frames) / num_frames * duration


def localization_labels(video: AnnotatedVideo, num_labels: int) -> npt.NDArray[np.bool_]:
    """Truth of a video at its 25 instants.

    Args:
        video: record with its duration.
        num_labels: K.

    Returns:
        (25, K) bool.

    Raises:
        ValueError: the record has no positive duration; see `localization_instants` and `step_labels`.
    """
    if video.duration is None:
        raise ValueError(f"{video.where}: video {video.name} has no duration, which its 25 instants depend on")
    if not 0 < video.duration < float("inf"):
        raise ValueError(
            f"{video.where}: video {video.name} has a duration of {video.duration} s; expected a positive one, which its 25 "
            "instants depend on; correct the file or leave the video out"
        )
    instants = localization_instants(video.duration)
    return step_labels(video.labels, video.intervals, num_labels, instants, "<=")


class LocalizationMeanAveragePrecision(StepMetric):
    """Charades localization: mean average precision over 25 instants of each video, each video once.

    Args:
        num_labels: K.
        absent: see `metrics.average_precision.mean_over_labels`. The official script has no mean at all where a
            label is absent.
        **kwargs: passed on to `torchmetrics.Metric`.

    Raises:
        ValueError: an unknown choice.
    """

    def __init__(self, num_labels: int = 157, absent: Absent = "skip", **kwargs: Any) -> None:
        super().__init__(num_labels, **kwargs)
        check_protocol(absent, "negative")
        self.absent: Absent = absent

    def update(self, index: int | Tensor, preds: Tensor, labels: Tensor) -> None:
        """Keep the scores of a video.

        Args:
            index: place of the video in its split.
            preds: (25, K) float32 or float64 scores at `localization_instants`; -inf ranks last.
            labels: (25, K) integer or bool, multi-hot, as of `localization_labels`.

        Raises:
            ValueError: shapes or dtypes differ from these, or preds hold NaN.
        """
        if len(preds) != NUM_FRAMES:
            raise ValueError(f"video {int(index)}: preds must have {NUM_FRAMES} rows, one an instant, got {len(preds)}")
        self._keep(index, preds, labels, 0)

    def compute(self) -> Tensor:
        """The mean average precision, a scalar float64; NaN if every label is left out."""
        return mean_over_labels(step_average_precision(self), self.absent)

    def weighted(self) -> Tensor:
        """The mean weighted by the positives of each label, which the script prints beside the other: scalar float64."""
        positives = sum(np.unpackbits(block.truth.numpy(), axis=1).sum(axis=0) for block in self._blocks())
        return weighted_mean(step_average_precision(self), torch.from_numpy(positives[: self.num_labels]))
