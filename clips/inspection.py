"""Facts about a video file that matter to who uses it, though its reader copes with all of them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import av
import numpy as np
from av.container import InputContainer
from av.stream import Disposition
from av.video.stream import VideoStream

from clips.index import open_video
from clips.packets import VideoIndex

_BOXES = {b"moov", b"trak", b"edts", b"mdia"}  # the boxes of MP4 on the way to the edit list of a track
_TURNS = {
    (True, True, False): "turned by 90 degrees clockwise",
    (False, True, True): "turned by 180 degrees",
    (True, False, True): "turned by 270 degrees clockwise",
}
_LATE = 0.2  # seconds: more than the delay of reordered pictures, and enough to shift annotations


@dataclass(frozen=True)
class VideoFacts:
    """What a file is, and what is odd about it.

    Attributes:
        codec: FFmpeg's name of the format of the pictures, such as `h264`.
        container: FFmpeg's first name of the format of the file, such as `mov`, which stands for MP4 too.
        odd: One sentence a thing, what kind it is before the colon.
    """

    codec: str
    container: str
    odd: tuple[str, ...]


@contextmanager
def silence() -> Iterator[None]:
    """Keep FFmpeg from writing about damaged files to the terminal; what matters is raised as an error anyway."""
    level = av.logging.get_level()
    av.logging.set_level(av.logging.PANIC)
    try:
        yield
    finally:
        av.logging.set_level(level)


def inspect_video(index: VideoIndex) -> VideoFacts:
    """Read the headers of a file again and compare them with its index.

    Raises:
        VideoError: If the file can no longer be opened.
    """
    with open_video(index.path, index.stream) as (container, stream):
        name = container.format.name.split(",")[0]
        announced = _mp4_notes if name == "mov" else _count_notes
        odd = [*_time_notes(index), *announced(index, container, stream), *_stream_notes(index, container, stream)]
        return VideoFacts(stream.codec_context.codec.canonical_name, name, tuple(odd))


def _time_notes(index: VideoIndex) -> Iterator[str]:
    steps = np.diff(index.times)
    if not len(steps):
        yield "one picture: no motion to see"
        return
    middle = float(np.median(steps))
    drift = np.abs(index.times - np.arange(len(index.times)) / index.fps).max() * index.fps
    if steps.max() > 1.5 * middle or steps.min() < 0.5 * middle or drift > 0.5:
        low, high = 1000 * float(steps.min()), 1000 * float(steps.max())
        yield f"variable frame rate: pictures stay for {low:.1f} to {high:.1f} ms"


def _mp4_notes(index: VideoIndex, container: InputContainer, stream: VideoStream) -> Iterator[str]:
    edits, missing = _edits_and_missing(index.path)
    if missing:
        yield f"cut short: {missing} bytes that the headers announce are missing at the end"
    hidden = (len(index.packets.size) if missing else stream.frames or len(index.packets.size)) - index.total_frames
    if hidden or len(edits) > 1 or any(first < 0 or speed != 1 for first, speed in edits):
        yield f"edit list: {len(edits)} entries, {hidden} pictures are not shown"


def _count_notes(index: VideoIndex, container: InputContainer, stream: VideoStream) -> Iterator[str]:
    packets, end = len(index.packets.size), float(index.times[-1])
    seconds = (container.duration or 0) / av.time_base
    if stream.frames > packets:
        yield f"cut short: the header announces {stream.frames} pictures, the file holds {packets}"
    elif 0 < stream.frames < packets:
        yield f"wrong count: the header announces {stream.frames} pictures, the file holds {packets}"
    elif not stream.frames and end < 0.95 * seconds - 1:  # sound may last a little longer
        yield f"cut short: the header announces {seconds:.1f} s, the pictures end at {end:.1f} s"
    if packets > index.total_frames:
        yield f"hidden pictures: {packets - index.total_frames} of {packets} are not shown"


def _stream_notes(index: VideoIndex, container: InputContainer, stream: VideoStream) -> Iterator[str]:
    start = float((stream.start_time or 0) * (stream.time_base or 0))
    if abs(start) > _LATE:
        yield f"late start: the first picture has the time {start:.3f} s, from which seconds count here"
    streams = [s.index for s in container.streams.video if not s.disposition & Disposition.attached_pic]
    if len(streams) > 1:
        yield f"several video streams: number {index.stream} of {streams} is read"
    if any(index.turn):
        yield f"rotation: shown {_TURNS.get(index.turn, 'mirrored')}"


def _edits_and_missing(path: Path) -> tuple[list[tuple[int, float]], int]:
    """First tick (-1 for a pause) and speed of each entry of the video's edit list; bytes missing at the end of the file."""
    edits: list[tuple[int, float]] = []
    of_video: list[tuple[int, float]] = []
    size, end = path.stat().st_size, 0
    with path.open("rb") as file:
        for kind, start, end in _boxes(file, 0, size):
            if kind == b"trak":
                edits = []
            elif kind == b"elst":
                file.seek(start)
                edits = _entries(file.read(min(end - start, 1 << 20)))
            elif kind == b"hdlr":
                file.seek(start + 8)
                of_video = of_video or (edits if file.read(4) == b"vide" else [])
    return of_video, max(0, end - size)


def _boxes(file: BinaryIO, at: int, stop: int) -> Iterator[tuple[bytes, int, int]]:
    """Kind, start and end of the content of each box, those on the way to an edit list before what they hold."""
    while at + 8 <= stop:
        file.seek(at)
        head = file.read(16)
        size, kind = int.from_bytes(head[:4], "big"), head[4:8]
        begin = at + (16 if size == 1 else 8)
        size = int.from_bytes(head[8:], "big") if size == 1 else size or stop - at
        if at + size < begin:
            return
        yield kind, begin, at + size
        if kind in _BOXES:
            yield from _boxes(file, begin, min(at + size, stop))
        at += size


def _entries(content: bytes) -> list[tuple[int, float]]:
    wide, count = content[:1] == b"\1", int.from_bytes(content[4:8], "big")
    width = 8 if wide else 4
    entries = []
    for at in range(8, min(len(content), 8 + count * (2 * width + 4)), 2 * width + 4):
        first = int.from_bytes(content[at + width : at + 2 * width], "big", signed=True)
        speed = int.from_bytes(content[at + 2 * width : at + 2 * width + 4], "big", signed=True) / 65536
        entries.append((first, speed))
    return entries
