"""One damaged file read in every way; what must hold of the result is asserted here."""

from __future__ import annotations  # Packet is generic to type checkers only

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from clips.dataset import ClipSpec, TrainClips, ViewedVideos
from clips.decoding import Painter, VideoError, VideoIndex, read_frames, read_index
from clips.frame_folder import read_folder_frames, read_frame_folder
from clips.rate_batches import Draw
from clips.targets import Video

_SPEC = ClipSpec(4, None, 24, "loop", 32, "clip", 1.0)


@dataclass
class Outcome:
    """What reading one file gave: `frames`, `error` or `failure`, why, and how a plain full decode compares."""

    kind: str
    detail: str = ""
    compared: str = ""


def examine(path: Path, dataset: bool) -> Outcome:
    """Read a file in all ways; any exception but a VideoError that names the file goes through."""
    detail, compared = "", ""
    try:
        if path.is_dir():
            folder = read_frame_folder(path, 24)
            for numbers, size in (([0, 2], None), ([0, 1], (20, 30))):
                assert read_folder_frames(folder, np.array(numbers), size).shape[0] == len(numbers)
        else:
            index = read_index(path)
            _check(index)
            detail, compared = _read(index)
        if dataset:
            _through_datasets(path)
    except VideoError as error:
        assert str(path) in str(error), f"a VideoError that does not name {path}: {error}"
        detail = _anonymous(error, path)
    return Outcome("error" if detail else "frames", detail, compared)


def _check(index: VideoIndex) -> None:
    times = index.times
    assert index.total_frames == len(index.packets.place) > 0 and times[0] == 0
    assert np.isfinite(times).all() and (np.diff(times) >= 0).all(), times
    assert 0 < index.fps < np.inf and 0 < index.duration < np.inf, (index.fps, index.duration)
    assert index.height > 0 and index.width > 0


def _read(index: VideoIndex) -> tuple[str, str]:
    """Frames from all over a video against a plain full decode; the reason if some cannot be read."""
    last, detail, shown = index.total_frames - 1, "", {}
    wanted = np.unique(np.array([0, last // 3, last // 2, last]))
    for numbers, size in ((wanted, None), (wanted[-1:], (32, 48)), (np.arange(min(last + 1, 5)), (32, 48))):
        try:
            frames = read_frames(index, numbers, size).numpy()
        except VideoError as error:
            assert str(index.path) in str(error), f"a VideoError that does not name {index.path}: {error}"
            detail = _anonymous(error, index.path)
            continue
        assert frames.shape == (len(numbers), *(size or (index.height, index.width)), 3)
        if size is None:
            shown = dict(zip(numbers.tolist(), frames, strict=True))
    return detail, _compare(index, shown) if shown else ""


def _compare(index: VideoIndex, shown: dict[int, np.ndarray]) -> str:
    """Compare frames with those of a plain full decode, put in the order of their times where the index went by times."""
    expected, differing = np.empty((1, index.height, index.width, 3), np.uint8), []
    painter = Painter(expected, index.turn)
    try:
        times = [frame.pts for frame in _full_decode(index)]
        if len(times) != index.total_frames:
            return f"frames {len(times)} instead of {index.total_frames}"
        order = list(range(len(times)))
        if index.packets.checksums is None:
            order.sort(key=lambda j: times[j] or 0)
        number_of = {j: number for number, j in enumerate(order)}
        for j, frame in enumerate(_full_decode(index)):
            if number_of[j] in shown:
                painter.paint(0, frame)
                if not np.array_equal(expected[0], shown[number_of[j]]):
                    differing.append(number_of[j])
    except (av.FFmpegError, IndexError):
        return "a full decode fails"
    return f"frames {differing} of {len(times)} differ" if differing else "equal"


def _full_decode(index: VideoIndex) -> Iterator[VideoFrame]:
    """All frames in sequence, but for those that the end of the file cuts short."""
    with av.open(f"file:{index.path}", metadata_errors="ignore") as container:
        stream = container.streams[index.stream]
        assert isinstance(stream, VideoStream)
        stream.codec_context.thread_count, stream.codec_context.options = 1, {"err_detect": "explode"}
        packets: list[Packet[VideoStream] | None] = [packet for packet in container.demux(stream) if packet.size]
        while packets[-1] is not None and packets[-1].is_corrupt:
            packets.pop()
        for packet in [*packets, None]:
            yield from stream.codec_context.decode(packet)


def _through_datasets(path: Path) -> None:
    video = Video(path.name, path, np.zeros(1, np.int64), np.array([[0, np.inf]]))
    views = {1.0: (2, 1), 2.0: (1, 3)}
    try:
        tested = ViewedVideos([video], 1, _SPEC, views=views, short_side=36, broken="report", curve_step=1.0)[0]
        assert len(tested.frames) or str(path) in tested.error
        TrainClips([video], 1, _SPEC, target="overlap", short_side=(32, 40), flip=True)[Draw(0, 1.0, (0, 0))]
    except VideoError as error:
        assert "none of the 1 training videos can be read" in str(error), error
        raise
    except ValueError as error:  # a whole but very short video gives the same
        if "leaves one frame" not in str(error):
            raise
        raise VideoError(str(error)) from error


def _anonymous(error: VideoError, path: Path) -> str:
    return re.sub(r"\d+", "N", str(error).replace(str(path), "")).strip(":/ ")
