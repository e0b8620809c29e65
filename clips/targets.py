"""The `Video` record and what a clip of it is to be labelled with."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

Target = Literal["overlap", "video", "fraction"]


@dataclass(frozen=True, eq=False)
class Video:
    """One annotated video.

    Args:
        name: what the annotations call it; unique in a split.
        path: the file, or the folder of its frames.
        labels: (I,) int64, label number of each annotated interval.
        intervals: (I, 2) float64, start (inclusive) and end (exclusive) of each interval, seconds from the first frame;
            a label of the whole video has 0 and infinity. An interval that ends at or before its start, as official
            files hold some, covers no instant: its label is one of the video but of no clip.
        window: start and end in seconds between which all clips and views lie, for one moment of a long file; None
            for the whole file.
        boxes: (P, 4) float32, people at that moment: x1, y1, x2, y2 as shares of the width and height; None if the data
            set has none.
        box_labels: (P, A) int64, multi-hot, which of A actions each of them does; the K labels, if the data set does not say
            otherwise; None if it is not known.
        frame_numbers: first and last number of the pictures that a folder of frames must have; None if only the first is
            known to be 0 or 1.
    """

    name: str
    path: Path
    labels: NDArray[np.int64]
    intervals: NDArray[np.float64]
    window: tuple[float, float] | None = None
    boxes: NDArray[np.float32] | None = None
    box_labels: NDArray[np.int64] | None = None
    frame_numbers: tuple[int, int] | None = None

    def video_labels(self, num_labels: int) -> NDArray[np.int64]:
        """(K,) int64, 1 for each label that occurs anywhere in the video."""
        target = np.zeros(num_labels, dtype=np.int64)
        target[self.labels] = 1
        return target

    def clip_labels(self, start: float, end: float, num_labels: int, target: Target) -> NDArray[np.float32]:
        """Labels of a clip.

        Args:
            start: instant of the first sampled frame, seconds.
            end: instant of the last sampled frame, seconds.
            num_labels: K.
            target: `overlap`: 1 for each label with an interval that touches the span, gaps between sampled frames
                included; `video`: the video's labels; `fraction`: the share of the span that the label covers.

        Returns:
            (K,) float32 in 0..1.

        Raises:
            ValueError: if `target` is unknown or the span is reversed.
        """
        if target not in get_args(Target):
            raise ValueError(f"target must be one of {get_args(Target)}, got {target!r}")
        if end < start:
            raise ValueError(f"a clip must not end before it starts, got {start} to {end} s")
        if target == "video":
            return self.video_labels(num_labels).astype(np.float32)
        values = np.zeros(num_labels, dtype=np.float32)
        first, last = self.intervals[:, 0], self.intervals[:, 1]
        touching = (first <= end) & (last > start) & (last > first)
        if target == "overlap" or end == start:
            values[self.labels[touching]] = 1
            return values
        for label in np.unique(self.labels[touching]):
            covered, reached = 0.0, start
            for since, until in sorted(self.intervals[touching & (self.labels == label)].tolist()):
                since, until = max(since, reached), min(until, end)
                covered += max(0.0, until - since)
                reached = max(reached, until)
            values[label] = covered / (end - start)
        return values
