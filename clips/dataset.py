"""Videos as training clips, and as all the views of a test."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset, default_collate, get_worker_info

from clips.decoding import VideoError, VideoIndex, read_frames
from clips.frame_folder import FrameFolder, read_folder_frames
from clips.index_cache import Indices
from clips.rate_batches import Draw
from clips.sampling import TOLERANCE, Array, ShortVideo, clip_frames, on_screen, random_start, span
from clips.targets import Target, Video
from clips.transforms import cut_boxes, cut_rows, random_box, resized
from clips.video_table import VideoTable
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
    index_cache: Path | None = None


@dataclass(frozen=True, eq=False)
class _Opened:
    """A video ready to be sampled: its frames `first`, `first` + 1, ... appear at `times`, counted from the first of them."""

    video: Video
    index: VideoIndex | FrameFolder
    fps: float
    times: Array
    first: int

    def read(self, numbers: NDArray[np.int64], size: tuple[int, int], *, shared: bool = False) -> tuple[Tensor, Tensor]:
        """The distinct frames among `numbers` (...), uint8 (M, H, W, 3), and the row of each number, int64 (...)."""
        wanted, rows = np.unique(numbers, return_inverse=True)
        wanted = wanted + self.first
        if isinstance(self.index, FrameFolder):
            frames = read_folder_frames(self.index, wanted, size, shared=shared)
        else:
            frames = read_frames(self.index, wanted, size, shared=shared)
        return frames, torch.from_numpy(rows.reshape(numbers.shape))


class _Videos:
    """Videos whose indices are kept in the process that reads them, and in the cache if there is one."""

    def __init__(self, videos: Sequence[Video], num_labels: int, spec: ClipSpec) -> None:
        self.videos, self.num_labels, self.spec = VideoTable.from_videos(videos), num_labels, spec
        self._indices = Indices(spec.folder_fps, spec.index_cache)

    def __len__(self) -> int:
        return len(self.videos)

    def _open(self, number: int) -> _Opened:
        """Find the frames of a video, and check its intervals."""
        video = self.videos[number]
        index = self._indices.of(video)
        check_intervals(video, index.duration, self.spec)
        times, first = window_times(video, index.times, index.duration)
        return _Opened(video, index, self.spec.fps or index.fps, times, first)


def window_times(video: Video, times: Array, duration: float) -> tuple[Array, int]:
    """The part of a video that its window shows.

    Args:
        video: the record; its window may reach past either end of the file and is cut there.
        times: (N,) seconds at which each frame of the file appears.
        duration: seconds.

    Returns:
        Seconds of the frames of the window, counted from the first of them, and that one's number.

    Raises:
        VideoError: if the window lies outside of the file.
    """
    if video.window is None:
        return times, 0
    start, end = video.window
    if start >= duration or end <= 0 or start >= end:
        raise VideoError(
            f"{video.name}: its window from {start:g} to {end:g} s lies outside of {video.path}, which lasts "
            f"{duration:.3f} s; get the whole file, or check at which second of the original it starts"
        )
    first = int(on_screen(times, np.array(start)))
    stop = max(first + 1, int(np.searchsorted(times, end - TOLERANCE)))
    return times[first:stop] - times[first], first


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
        """`clips` uint8 (1, C, T, H, W), `labels` float32 (K,), `index`, `rate`, `broken` {name: reason}.

        Where the data set has boxes also `boxes` float32 (P, 4), x1, y1, x2, y2 in pixels of the clip, and `box_labels`
        float32 (P, A), of the people who are at least partly in the clip.
        """
        broken: dict[str, str] = {}
        for number in range(draw.number, draw.number + len(self)):
            try:
                sample = self._clip(number % len(self), draw)
            except VideoError as error:
                broken[self.videos[number % len(self)].name] = str(error)
                continue
            return {**sample, "index": number % len(self), "rate": draw.rate, "broken": broken}
        reasons = "\n".join(list(broken.values())[:5])
        raise VideoError(f"none of the {len(self)} training videos can be read; the first reasons:\n{reasons}")

    def _clip(self, number: int, draw: Draw) -> dict[str, Tensor]:
        spec, random = self.spec, np.random.default_rng(draw.key)
        opened = self._open(number)
        video, index, times = opened.video, opened.index, opened.times
        start = random_start(times, span(spec.num_frames, draw.rate, opened.fps), random)
        try:
            numbers = clip_frames(
                times, start, num_frames=spec.num_frames, rate=draw.rate, fps=opened.fps, short_video=spec.short_video
            )
        except ValueError as error:
            raise ValueError(f"{video.path}: {error}") from error
        size = resized(index.height, index.width, int(random.integers(self.short_side[0], self.short_side[1] + 1)))
        box = random_box(*size, spec.crop_size, flip=self.flip, random=random)
        frames, rows = opened.read(numbers, size)
        seconds = index.times[numbers + opened.first]
        labels = video.clip_labels(float(seconds.min()), float(seconds.max()), self.num_labels, self.target)
        sample = {"clips": cut_rows(frames, rows, box)[None], "labels": torch.from_numpy(labels)}
        if video.boxes is not None and video.box_labels is not None:
            boxes = cut_boxes(video.boxes, size, box)
            seen = (boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1])
            sample |= {"boxes": boxes[seen], "box_labels": torch.from_numpy(video.box_labels).float()[seen]}
        return sample


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
        scored: logits (V, K) of videos that were scored before, by their number; they are not read again.
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
        scored: Mapping[int, Tensor] | None = None,
    ) -> None:
        super().__init__(videos, num_labels, spec)
        self.scored = scored or {}
        self.views, self.short_side, self.broken, self.curve_step = views, short_side, broken, curve_step

    def __getitem__(self, number: int) -> VideoViews:
        """The views of one video.

        Raises:
            VideoError: if the video cannot be read and `broken` is `error`.
            ValueError: if a rate leaves one frame of the video.
        """
        labels = torch.from_numpy(self.videos[number].video_labels(self.num_labels))
        nothing = (torch.empty(0, 1, 1, 3, dtype=torch.uint8), torch.empty(0, 0).long(), None)
        if number in self.scored:
            return VideoViews(number, *nothing, labels, boxes=self.videos[number].boxes, scored=self.scored[number])
        try:
            return self._views(number, labels)
        except VideoError as error:
            if self.broken == "error":
                raise
            return VideoViews(number, *nothing, labels, str(error))

    def _views(self, number: int, labels: Tensor) -> VideoViews:
        spec = self.spec
        opened = self._open(number)
        video = opened.video
        size = resized(opened.index.height, opened.index.width, self.short_side)
        try:
            plan = plan_views(
                opened.times,
                size,
                self.views,
                num_frames=spec.num_frames,
                fps=opened.fps,
                crop_size=spec.crop_size,
                short_video=spec.short_video,
                curve_step=self.curve_step,
            )
        except ValueError as error:
            raise ValueError(f"{video.path}: {error}") from error
        # in a worker, which sends them as they are: else they would be there twice
        frames, rows = opened.read(plan.numbers, size, shared=get_worker_info() is not None)
        return VideoViews(number, frames, rows, plan, labels, boxes=video.boxes)


def collate_train(samples: list[dict[str, Any]]) -> dict[str, Any]:
    """Stack the samples of a training batch; `broken` dictionaries are merged, boxes stay a list of B tensors."""
    broken: dict[str, str] = {}
    for sample in samples:
        broken.update(sample.pop("broken"))
    people = {key: [sample.pop(key) for sample in samples] for key in ("boxes", "box_labels") if key in samples[0]}
    return {**default_collate(samples), **people, "broken": broken}
