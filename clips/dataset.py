"""Videos as training clips, and as all the views of a test."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset, default_collate

from clips.decoding import VideoError, VideoIndex, read_frames, read_index
from clips.rate_batches import Draw
from clips.sampling import ShortVideo, clip_frames, random_start, span
from clips.targets import Target, Video
from clips.transforms import cut, random_box, resized
from clips.views import VideoViews, Views, plan_views

PastEnd = Literal["error", "clip"]


@dataclass(frozen=True)
class ClipSpec:
    """What a clip is, the same in training and test; sizes in pixels, as the datamodules document them."""

    num_frames: int
    fps: float | None
    folder_fps: float | None
    short_video: ShortVideo
    crop_size: int
    past_end: PastEnd
    past_end_tolerance: float


class _Videos:
    """Videos whose indices are read once and kept in the process that reads them."""

    def __init__(self, videos: Sequence[Video], num_labels: int, spec: ClipSpec) -> None:
        self.videos, self.num_labels, self.spec = list(videos), num_labels, spec
        self._indices: dict[int, VideoIndex] = {}

    def __len__(self) -> int:
        return len(self.videos)

    def _open(self, number: int) -> tuple[Video, VideoIndex, float]:
        """The record, index and nominal frame rate of a video; its intervals are checked when it is first opened."""
        video = self.videos[number]
        index = self._indices.get(number)
        if index is None:
            index = read_index(video.path)
            check_intervals(video, index.duration, self.spec)
            self._indices[number] = index
        return video, index, self.spec.fps or index.fps


def check_intervals(video: Video, duration: float, spec: ClipSpec) -> None:
    """Refuse intervals that lie past the end of a video.

    Raises:
        ValueError: if an interval starts at or after the end, or ends more than `past_end_tolerance` seconds after it, and
            `past_end` is `error`.
    """
    if spec.past_end == "clip" or not len(video.intervals):
        return
    starts, ends = video.intervals[:, 0], video.intervals[:, 1]
    late = (starts >= duration) | (np.isfinite(ends) & (ends > duration + spec.past_end_tolerance))
    if late.any():
        label, (start, end) = video.labels[late][0], video.intervals[late][0]
        raise ValueError(
            f"{video.name}: interval {start:g} to {end:g} s of label number {label} reaches past the end of {video.path}, "
            f"which lasts {duration:.3f} s; correct the annotation, raise past_end_tolerance (now "
            f"{spec.past_end_tolerance:g} s), or set past_end: clip to cut such intervals at the end"
        )


class TrainClips(_Videos, Dataset[dict[str, Any]]):
    """One random clip for each `Draw`, with the labels of that clip.

    A video that cannot be read is replaced by the next one of the split and reported in the sample's `broken`.

    Args:
        videos: the split.
        num_labels: K.
        spec: what a clip is.
        target: as in `clips.targets`.
        short_side: smallest and largest short side of the resized frames, drawn uniformly for each clip.
        flip: mirror half of the clips.
    """

    def __init__(
        self,
        videos: Sequence[Video],
        num_labels: int,
        spec: ClipSpec,
        *,
        target: Target,
        short_side: tuple[int, int],
        flip: bool,
    ) -> None:
        super().__init__(videos, num_labels, spec)
        self.target, self.short_side, self.flip = target, short_side, flip

    def __getitem__(self, draw: Draw) -> dict[str, Any]:
        """`clips` uint8 (1, C, T, H, W), `labels` float32 (K,), `index`, `rate`, `broken` {name: reason}."""
        broken: dict[str, str] = {}
        for number in range(draw.number, draw.number + len(self)):
            try:
                clips, labels = self._clip(number % len(self), draw)
            except VideoError as error:
                broken[self.videos[number % len(self)].name] = str(error)
                continue
            return {"clips": clips, "labels": labels, "index": number % len(self), "rate": draw.rate, "broken": broken}
        reasons = "\n".join(list(broken.values())[:5])
        raise VideoError(f"none of the {len(self)} training videos can be read; the first reasons:\n{reasons}")

    def _clip(self, number: int, draw: Draw) -> tuple[Tensor, Tensor]:
        spec, random = self.spec, np.random.default_rng(draw.key)
        video, index, fps = self._open(number)
        start = random_start(index.times, span(spec.num_frames, draw.rate, fps), random)
        try:
            numbers = clip_frames(
                index.times, start, num_frames=spec.num_frames, rate=draw.rate, fps=fps, short_video=spec.short_video
            )
        except ValueError as error:
            raise ValueError(f"{video.path}: {error}") from error
        size = resized(index.height, index.width, int(random.integers(self.short_side[0], self.short_side[1] + 1)))
        wanted, rows = np.unique(numbers, return_inverse=True)
        box = random_box(*size, spec.crop_size, flip=self.flip, random=random)
        frames = read_frames(index, wanted, size)
        seconds = index.times[numbers]
        labels = video.clip_labels(float(seconds.min()), float(seconds.max()), self.num_labels, self.target)
        return cut(frames[torch.from_numpy(rows)], box)[None], torch.from_numpy(labels)


class ViewedVideos(_Videos, Dataset[VideoViews]):
    """All views of each video, its distinct frames decoded once.

    Args:
        videos: the split.
        num_labels: K.
        spec: what a clip is.
        views: rate -> (positions in time, crops).
        short_side: short side of the resized frames.
        broken: `error` refuses a video that cannot be read; `report` gives it no views and says so.
        curve_step: seconds between the points of a score curve; None for no curve.
    """

    def __init__(
        self,
        videos: Sequence[Video],
        num_labels: int,
        spec: ClipSpec,
        *,
        views: Views,
        short_side: int,
        broken: Literal["error", "report"],
        curve_step: float | None = None,
    ) -> None:
        super().__init__(videos, num_labels, spec)
        self.views, self.short_side, self.broken, self.curve_step = views, short_side, broken, curve_step

    def __getitem__(self, number: int) -> VideoViews:
        """The views of one video.

        Raises:
            VideoError: if the video cannot be read and `broken` is `error`.
            ValueError: if a rate leaves one frame of the video.
        """
        labels = torch.from_numpy(self.videos[number].video_labels(self.num_labels))
        try:
            return self._views(number, labels)
        except VideoError as error:
            if self.broken == "error":
                raise
            return VideoViews(
                number, torch.empty(0, 1, 1, 3, dtype=torch.uint8), torch.empty(0, 0).long(), None, labels, str(error)
            )

    def _views(self, number: int, labels: Tensor) -> VideoViews:
        spec = self.spec
        video, index, fps = self._open(number)
        size = resized(index.height, index.width, self.short_side)
        try:
            plan = plan_views(
                index.times,
                size,
                self.views,
                num_frames=spec.num_frames,
                fps=fps,
                crop_size=spec.crop_size,
                short_video=spec.short_video,
                curve_step=self.curve_step,
            )
        except ValueError as error:
            raise ValueError(f"{video.path}: {error}") from error
        wanted, rows = np.unique(plan.numbers, return_inverse=True)
        frames = read_frames(index, wanted, size)
        return VideoViews(number, frames, torch.from_numpy(rows.reshape(plan.numbers.shape)), plan, labels)


def collate_train(samples: list[dict[str, Any]]) -> dict[str, Any]:
    """Stack the samples of a training batch; `broken` dictionaries are merged."""
    broken: dict[str, str] = {}
    for sample in samples:
        broken.update(sample.pop("broken"))
    return {**default_collate(samples), "broken": broken}
