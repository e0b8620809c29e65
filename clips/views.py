"""All views of test videos, cut lazily: each wanted frame travels once, the float views are made a few at a time."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from clips.sampling import ShortVideo, centred_starts, clip_frames, span, uniform_starts
from clips.transforms import Box, cut_boxes, cut_rows, uniform_boxes

Views = dict[float, tuple[int, int]]


@dataclass(frozen=True)
class ViewPlan:
    """Which views of one video are wanted, before any pixel is read.

    Args:
        numbers: (V, T) int64, frame numbers.
        rates: (V,) float, downsampling rate of each view.
        boxes: V crops.
        num_scored: the first so many views score the video; the rest draw its score curve, rate outermost.
        points: (P,) float, instants of the score curve in seconds; view `num_scored + r * P + p` is at point p.
    """

    numbers: NDArray[np.int64]
    rates: NDArray[np.float64]
    boxes: list[Box]
    num_scored: int
    points: NDArray[np.float64]


def plan_views(
    times: NDArray[np.float64],
    size: tuple[int, int],
    views: Views,
    *,
    num_frames: int,
    fps: float,
    crop_size: int,
    short_video: ShortVideo,
    curve_step: float | None = None,
) -> ViewPlan:
    """Lay out the views of a video: rates × positions × crops, rate outermost, then the views of its score curve.

    Args:
        times: (N,) seconds of each frame.
        size: height and width of the resized frames.
        views: rate -> (positions in time, crops).
        num_frames: T.
        fps: nominal frame rate.
        crop_size: pixels.
        short_video: as in `clips.sampling`.
        curve_step: seconds between the points of a score curve, each seen by one central view per rate; None for none.

    Raises:
        ValueError: if a rate leaves one frame, or the crop does not fit.
    """
    numbers: list[NDArray[np.int64]] = []
    rates: list[float] = []
    boxes: list[Box] = []

    def add(rate: float, starts: NDArray[np.float64], crops: int) -> None:
        for start in starts.tolist():
            clip = clip_frames(times, start, num_frames=num_frames, rate=rate, fps=fps, short_video=short_video)
            for box in uniform_boxes(*size, crop_size, crops):
                numbers.append(clip)
                rates.append(rate)
                boxes.append(box)

    for rate, (positions, crops) in views.items():
        add(rate, uniform_starts(times, span(num_frames, rate, fps), positions), crops)
    num_scored = len(boxes)
    points = np.empty(0)
    if curve_step is not None:
        points = np.arange(0.0, float(times[-1]) + 1e-9, curve_step)
        for rate in views:
            add(rate, centred_starts(times, span(num_frames, rate, fps), points), 1)
    return ViewPlan(np.stack(numbers), np.array(rates), boxes, num_scored, points)


@dataclass(frozen=True)
class VideoViews:
    """The distinct frames of one video and how its views are cut from them.

    Args:
        index: place in the split.
        frames: uint8 (M, H0, W0, 3), each wanted frame once, resized; empty if the video could not be read.
        rows: int64 (V, T), rows of `frames`.
        plan: the views.
        labels: int64 (K,), the labels of the whole video.
        error: why the video could not be read; empty if it could.
        boxes: (P, 4) float32, people as shares of the frame; None if the data set has none.
        scored: (V, K) float32, logits of the views from an earlier test that was interrupted; there are no frames then.
    """

    index: int
    frames: Tensor
    rows: Tensor
    plan: ViewPlan | None
    labels: Tensor
    error: str = ""
    boxes: NDArray[np.float32] | None = None
    scored: Tensor | None = None


@dataclass(frozen=True)
class ViewBatch:
    """Some test videos; `views` yields their views as float clips, video outermost.

    Every video of a batch has the same number of scored views; a video with a score curve is a batch of its own.
    """

    videos: list[VideoViews]
    num_views: int
    views_per_step: int
    mean: Tensor = field(default_factory=lambda: torch.zeros(3))
    std: Tensor = field(default_factory=lambda: torch.ones(3))

    @property
    def index(self) -> Tensor:
        """(B,) int64, place of each video in its split."""
        return torch.tensor([video.index for video in self.videos])

    @property
    def labels(self) -> Tensor:
        """(B, K) int64, labels of each whole video."""
        return torch.stack([video.labels for video in self.videos])

    @property
    def errors(self) -> dict[int, str]:
        """Why videos of the batch could not be read, by their index."""
        return {video.index: video.error for video in self.videos if video.error}

    def __len__(self) -> int:
        return len(self.videos)

    def to(self, device: torch.device | str, non_blocking: bool = False) -> "ViewBatch":
        """Move the pixels; Lightning calls this."""
        move = [replace(v, frames=v.frames.to(device, non_blocking=non_blocking)) for v in self.videos]
        return replace(self, videos=move)

    def pin_memory(self) -> "ViewBatch":
        """Pin the pixels; the DataLoader calls this."""
        return replace(self, videos=[replace(v, frames=v.frames.pin_memory()) for v in self.videos])

    def views(self) -> Iterator[Tensor]:
        """Yield normalised float32 clips (at most `views_per_step`, C, T, H, W) of the videos that have to be scored."""
        for ready in self._steps():
            cuts = []
            for video, view in ready:
                cuts.append(cut_rows(video.frames, video.rows[view].to(video.frames.device), _box(video, view)))
            yield normalise(torch.stack(cuts), self.mean, self.std)

    def boxes(self) -> Iterator[list[Tensor]]:
        """Yield, in step with `views`, the people in each clip: float32 (P, 4), x1, y1, x2, y2 in pixels of the clip.

        All people of the video, so that each gets a score: one who is outside of a view has a box without area there.

        Raises:
            ValueError: if the data set has no boxes.
        """
        for ready in self._steps():
            step = []
            for video, view in ready:
                if video.boxes is None:
                    raise ValueError(
                        f"the data set gives no boxes for video number {video.index}; choose one that does"
                    )
                size = (video.frames.shape[1], video.frames.shape[2])
                step.append(cut_boxes(video.boxes, size, _box(video, view)).to(video.frames.device))
            yield step

    def _steps(self) -> Iterator[list[tuple[VideoViews, int]]]:
        """The views of the videos that have to be scored, at most `views_per_step` at a time."""
        ready = [(self.videos[place], view) for place in self._ready() for view in range(len(self.videos[place].rows))]
        for first in range(0, len(ready), self.views_per_step):
            yield ready[first : first + self.views_per_step]

    def _ready(self) -> list[int]:
        """Places of the videos that could be read and were not scored before."""
        return [place for place, video in enumerate(self.videos) if not video.error and video.scored is None]

    def unfold(self, logits: Tensor) -> Tensor:
        """Put the logits of `views` in place, and beside them those of videos that were scored before.

        Args:
            logits: (sum of V over the videos that have to be scored, K).

        Returns:
            (B, V, K); -inf for a video that could not be read.
        """
        ready = self._ready()
        num_views = max((len(self.videos[place].rows) for place in ready), default=self.num_views)
        out = logits.new_full((len(self.videos), num_views, logits.shape[-1]), -torch.inf)
        out[ready] = logits.view(len(ready), num_views, logits.shape[-1])
        for place, video in enumerate(self.videos):
            if video.scored is not None and video.scored.shape == out.shape[1:]:  # marks of views are unfolded too
                out[place] = video.scored.to(out)
        return out


def _box(video: VideoViews, view: int) -> Box:
    assert video.plan is not None
    return video.plan.boxes[view]


def normalise(clips: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    """Pixels to network input, on the device of the clips.

    Args:
        clips: uint8 (..., C, T, H, W).
        mean: (C,), of pixels scaled to 0..1.
        std: (C,), of pixels scaled to 0..1.

    Returns:
        float32, same shape.
    """
    scale, shift = 1 / (255 * std), mean / std
    shape = (-1, 1, 1, 1)
    pixels = clips.to(torch.float32, copy=True)  # then in place: a step of views is the largest tensor of a test
    return pixels.mul_(scale.to(clips.device).view(shape)).sub_(shift.to(clips.device).view(shape))


def collate_views(videos: Sequence[VideoViews], *, num_views: int, views_per_step: int) -> ViewBatch:
    """Collate function of the test loaders."""
    return ViewBatch(list(videos), num_views, views_per_step)
