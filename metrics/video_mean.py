"""Mean over videos of one number each, such as a loss."""

from __future__ import annotations

import torch
from torch import Tensor

from metrics.base import VideoMetric


class VideoMean(VideoMetric):
    """Mean over the videos that have a value; each video once, whatever the number of processes.

    Lightning's own mean counts twice what a distributed sampler repeats, and waits for ever where one process logs a value
    and another has none.

    Args:
        **kwargs: passed on to `torchmetrics.Metric`.
    """

    higher_is_better = False

    def update(self, index: Tensor, values: Tensor) -> None:
        """Keep the values of a batch of videos.

        Args:
            index: (B,) int64, place of each video in its split.
            values: (B,) floating point, kept as float32; NaN for a video without a value.

        Raises:
            ValueError: shapes or dtypes differ from these.
        """
        if values.ndim != 1:
            raise ValueError(f"values must have shape (B,), one for each video, got {tuple(values.shape)}")
        self._append(index, values[:, None], torch.zeros(len(values), 1, dtype=torch.int64))

    def compute(self) -> Tensor:
        """The mean, a float64 scalar; NaN if no video has a value.

        Raises:
            ValueError: no video was seen.
        """
        return self._rows().scores.to(torch.float64).nanmean()
