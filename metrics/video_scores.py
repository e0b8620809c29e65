"""The scores of every view of every video, gathered for an ensemble or a file."""

from __future__ import annotations

from torch import Tensor

from metrics.base import VideoMetric, VideoRows


class VideoScores(VideoMetric):
    """Logits of all views of all videos, each video once, whatever the number of processes.

    Memory: 4 bytes for each video, view and label on every process (35 MB for 1863 videos, 30 views, 157 labels).

    Args:
        **kwargs: passed on to `torchmetrics.Metric`.
    """

    def update(self, index: Tensor, logits: Tensor, labels: Tensor) -> None:
        """Keep the views of a batch of videos.

        Args:
            index: (B,) int64, place of each video in its split.
            logits: (B, V, K) floating point, kept as float32; a row of -inf marks a video that could not be read.
            labels: (B, K) int64, multi-hot.

        Raises:
            ValueError: shapes or dtypes differ from these, or from those of the batches before.
        """
        if logits.ndim != 3:
            raise ValueError(
                f"logits must have shape (B, V, K), got {tuple(logits.shape)}: unfold the views, or add a view axis "
                "with logits[:, None]"
            )
        self._append(index, logits, labels)

    def compute(self) -> VideoRows:
        """All videos, sorted by index: `index, logits, labels = scores.compute()`.

        Returns:
            index (n,) int64, logits (n, V, K) float32, labels (n, K) int64, all on the CPU.

        Raises:
            ValueError: no video was seen, or two rows of one index have different labels.
        """
        return self._rows()
