"""Writing of small video files: the counterpart of `decoding.py` for prepared data sets and for tests.

The same pictures and options give the same bytes: one encoding thread, no creation time and no library version in the
container. A file appears under its name only when it is complete.
"""

import os
import uuid
from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction
from itertools import count, pairwise
from pathlib import Path

import av
import numpy as np
from av.video.reformatter import VideoReformatter
from av.video.stream import VideoStream
from numpy.typing import NDArray

# A keyframe every 12 pictures keeps random access cheap; crf 18 is visually lossless.
_X264 = {"preset": "veryfast", "crf": "18", "g": "12"}
_EVEN_ONLY = ("libx264", "libx265")


def write_video(
    path: str | Path,
    frames: Iterable[NDArray[np.uint8]],
    *,
    fps: int | Fraction = 24,
    codec: str = "libx264",
    options: Mapping[str, str] | None = None,
    pts: Sequence[int] | None = None,
    time_base: Fraction | None = None,
    container_options: Mapping[str, str] | None = None,
) -> None:
    """Write RGB pictures as one 4:2:0 video stream; the container follows from the suffix of the path.

    Args:
        path: File to write; an existing one is replaced, and only once the new one is complete.
        frames: uint8 `(N, H, W, 3)` RGB, as an array or as anything that yields `(H, W, 3)` pictures of one size.
        fps: Pictures a second.
        codec: Name of an FFmpeg encoder, such as `libx264`, `libx265`, `libsvtav1` or `mpeg4`.
        options: Options of the encoder, laid over our defaults for `libx264` (preset veryfast, crf 18, g 12).
        pts: Strictly increasing times of the pictures in units of `time_base`, for a variable frame rate. By default
            0, 1, 2, ...
        time_base: Seconds in one unit of `pts`; by default `1 / fps`.
        container_options: Options of the container, such as `{"movflags": "faststart"}`.

    Raises:
        ValueError: If a picture has another shape or dtype, there is none, `pts` does not fit or decreases, or the
            size is odd where the encoder needs even sizes.
        av.error.FFmpegError: If FFmpeg refuses the codec, an option or the container.
    """
    path = Path(path)
    times = _checked_times(pts)
    # The suffix stays last because FFmpeg chooses the container by it.
    partial = path.with_name(f".{path.stem}.{uuid.uuid4().hex}{path.suffix}")
    try:
        merged = {"fflags": "bitexact", **(container_options or {})}
        with av.open(str(partial), "w", options=merged) as container:
            settings = _settings(codec, options or {})
            stream = container.add_stream(codec, rate=Fraction(fps), options=settings)
            assert isinstance(stream, VideoStream)
            _encode(container, stream, frames, times, time_base or 1 / Fraction(fps))
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def _settings(codec: str, options: Mapping[str, str]) -> dict[str, str]:
    if codec != "libx264":
        return dict(options)
    # Without this flag the look-ahead of x264 reads memory that it has not set, and every run gives other bytes.
    parameters = ":".join(filter(None, ["cpu-independent=1", options.get("x264-params")]))
    return {**_X264, **options, "x264-params": parameters}


def _checked_times(pts: Sequence[int] | None) -> list[int] | None:
    if pts is None:
        return None
    times = [int(t) for t in pts]
    if any(later <= earlier for earlier, later in pairwise(times)):
        raise ValueError(f"pts must be strictly increasing, got {times}; sort them and drop repeated times")
    return times


def _encode(
    container: av.container.OutputContainer,
    stream: VideoStream,
    frames: Iterable[NDArray[np.uint8]],
    times: list[int] | None,
    time_base: Fraction,
) -> None:
    context, reformatter, size = stream.codec_context, VideoReformatter(), None
    context.thread_count = 1  # several threads change the decisions of rate control
    context.pix_fmt = "yuv420p"
    context.time_base = time_base
    moments = iter(count() if times is None else times)
    for number, picture in enumerate(frames):
        if size is None:
            size = _checked_size(picture, context.name)
            context.height, context.width = size
        if picture.dtype != np.uint8 or picture.shape != (*size, 3):
            raise ValueError(
                f"frames must be uint8 pictures of one shape {(*size, 3)}, got {picture.dtype} {picture.shape} for "
                f"picture {number}; convert or resize it before"
            )
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
        frame = reformatter.reformat(frame, format="yuv420p", threads=1)
        frame.pts, frame.time_base = next(moments, None), time_base
        if frame.pts is None:
            raise ValueError(f"pts must hold one time per picture, got {number} times and more pictures")
        container.mux(stream.encode(frame))
    if size is None:
        raise ValueError("frames must hold at least one picture, got none")
    if times is not None and next(moments, None) is not None:
        raise ValueError(f"pts must hold one time per picture, got {len(times)} times for {number + 1} pictures")
    container.mux(stream.encode(None))


def _checked_size(picture: NDArray[np.uint8], codec: str) -> tuple[int, int]:
    if picture.ndim != 3 or picture.shape[2] != 3 or 0 in picture.shape:
        raise ValueError(f"frames must hold pictures of shape (H, W, 3), got {picture.shape}")
    height, width = picture.shape[:2]
    if codec in _EVEN_ONLY and (height % 2 or width % 2):
        raise ValueError(
            f"{codec} needs an even height and width in 4:2:0, got {height} x {width}; crop a row or a column"
        )
    return height, width
