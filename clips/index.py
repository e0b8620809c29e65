"""What a video file holds, learnt from one pass over its packets: frame times, size, and where decoding can begin.

Packets are believed only where that is safe: a known codec in a container that stores presentation times, whose first
packets decode to the very pictures that they announce. Every other file is decoded once in full, and a checksum of each
frame is kept for `decoding.py` to compare with: AVI, whose presentation times are invented by the demuxer; a capture
that begins between keyframes; hidden or merged pictures; H.264 with open GOPs, where a decoder that enters in the
middle has to be lenient and could not tell damage. Counts in file headers are never used.
"""

from __future__ import annotations  # Packet is generic to type checkers only

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import chain, islice
from pathlib import Path
from typing import NamedTuple
from zlib import crc32

import av
import numpy as np
from av.container import InputContainer
from av.packet import Packet
from av.sidedata.sidedata import SideData
from av.stream import Disposition
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from clips.h264 import Start, inspect_h264, nal_length_size
from clips.mp4 import MAX_SAMPLES, claimed_samples
from clips.packets import PacketRow, VideoError, VideoIndex, frame_times, tabulate, turn_of

MAX_PIXELS = 8192 * 4320  # of a picture: 8K; a size that is a lie would cost gigabytes before FFmpeg finds out
LIMIT = {"max_pixels": str(MAX_PIXELS)}  # option of all decoders

_CODECS = {"h264", "hevc", "av1", "libdav1d", "libaom-av1", "vp9", "libvpx-vp9"}  # one shown picture per packet
_CONTAINERS = {"mov", "matroska", "mpegts", "flv"}  # these store a presentation time with each picture
_MIN_FPS = 0.01  # on average; less is a damaged time stamp, of which sampling by time would make millions of instants
_HEAD = 20  # packets decoded to check the table: more than the 16 pictures that H.264 and HEVC may reorder


@contextmanager
def open_video(path: Path, number: int | None = None) -> Iterator[tuple[InputContainer, VideoStream]]:
    """Open a file and one of its video streams, and close it at the end.

    Args:
        path: The file.
        number: Place of the stream in the file; by default the one FFmpeg calls best, but never a cover picture.

    Raises:
        VideoError: If the file is absent, empty, not readable, or without a video stream that can be decoded.
    """
    if not path.is_file():
        kind = "a directory" if path.is_dir() else "nothing"
        raise VideoError(f"{path}: expected a video file, got {kind}; correct the path")
    if path.stat().st_size == 0:
        raise VideoError(f"{path}: expected a video file, got an empty one; download or copy it again")
    try:
        if number is None and (samples := claimed_samples(path)) > MAX_SAMPLES:
            raise VideoError(
                f"{path}: expected at most {MAX_SAMPLES:,} samples, but its headers announce {samples:,}; they are damaged: "
                "download it again or leave it out; split it if it really is so long"
            )
        # The prefix keeps FFmpeg from reading a colon in the name as a protocol.
        with av.open(f"file:{path}", "r", metadata_errors="ignore", options=LIMIT) as container:
            yield container, _video_stream(path, container, number)
    except (av.FFmpegError, OSError) as error:
        raise VideoError(
            f"{path}: expected a readable video, but FFmpeg reports '{error.strerror}'; the file is damaged, truncated "
            "or of another kind: download it again or leave it out"
        ) from error


def _video_stream(path: Path, container: InputContainer, number: int | None) -> VideoStream:
    streams = [s for s in container.streams.video if not s.disposition & Disposition.attached_pic]
    if number is not None:
        streams = [s for s in streams if s.index == number]
    if not streams:
        found = ", ".join(s.type for s in container.streams) or "none"
        raise VideoError(f"{path}: expected a video stream, got streams: {found}; leave the file out or replace it")
    best = container.streams.best("video")
    stream = next((s for s in streams if best is not None and s.index == best.index), streams[0])
    if stream.codec_context is None:
        raise VideoError(f"{path}: expected a codec that FFmpeg can decode, got an unknown one; convert the file")
    height, width = stream.codec_context.height, stream.codec_context.width
    if height * width > MAX_PIXELS:
        raise VideoError(
            f"{path}: expected pictures of at most {MAX_PIXELS:,} pixels, got {height} x {width}; its headers are damaged: "
            "download it again or leave it out; make its pictures smaller if they really are so large"
        )
    return stream


def prepare(context: VideoCodecContext, strict: bool) -> None:
    """Set a decoder to one thread, to say which packet each picture came from and, if strict, to conceal nothing."""
    context.thread_count = 1
    context.copy_opaque = True
    context.options = {**LIMIT, "err_detect": "explode"} if strict else LIMIT


def label(packet: Packet[VideoStream], place: int) -> None:
    """Note on a packet its place in decode order, for the picture that comes out of it."""
    packet.opaque = [place]  # a new object each time: PyAV drops what two packets share when the first one goes


def place_of(frame: VideoFrame) -> int:
    """Tell which packet a picture came from, -1 if the decoder does not say."""
    return int(frame.opaque[0]) if isinstance(frame.opaque, list) else -1


def filled(packets: Iterable[Packet[VideoStream]]) -> Iterator[Packet[VideoStream]]:
    """Leave out packets without data: to a decoder they would mean the end of the stream."""
    try:
        for packet in packets:
            if packet.size:
                yield packet
    except IndexError:  # PyAV at the end of a file in which further streams appeared on the way
        return


def checksum(frame: VideoFrame) -> int:
    """Checksum of the decoded pixels, without the padding of the rows."""
    layout = frame.format
    step = (layout.components[0].bits + 7) // 8 if layout.is_planar else layout.padded_bits_per_pixel // 8
    value = 0
    for plane in frame.planes:
        shape, stride = (plane.height, plane.width * step), abs(plane.line_size)
        if shape[1] <= stride and stride * shape[0] <= plane.buffer_size:  # not so for a palette
            rows = np.ndarray(shape, np.uint8, buffer=memoryview(plane), strides=(stride, 1))
            value = crc32(rows.tobytes(), value)
    return value


class _Pictures(NamedTuple):
    """Decoded pictures in the order in which they came out."""

    places: list[int]
    checksums: list[int]
    size: tuple[int, int]
    turn: tuple[bool, bool, bool]


def read_index(path: str | Path) -> VideoIndex:
    """Learn frame times, displayed size and decoding order of a video file.

    Most files cost one pass over their packets and the decoding of the first few; the others are decoded once. Packets
    that the end of the file cuts short are left out, and so are pictures that an edit list hides.

    Args:
        path: The file.

    Raises:
        VideoError: If the file cannot be read as video, or is damaged in a way that leaves the frames uncountable.
    """
    path = Path(path)
    with open_video(path) as (container, stream):
        rows, head = _scan(container, stream)
        while rows and rows[-1].cut:
            rows.pop()
        if not rows:
            raise VideoError(f"{path}: expected pictures, got a video stream without any; leave the file out")
        pictures, seconds = _trusted(container, stream, rows, head[: len(rows)]), float(stream.time_base or 0)
        number, rate = stream.index, float(stream.average_rate or stream.guessed_rate or 1)
    if pictures is None:
        pictures = _decode_all(path, number, rows)
        order, place = np.full(len(rows), -1, np.int32), np.array(pictures.places, np.int32)
        order[place] = np.arange(len(place))
        checksums = np.array(pictures.checksums, np.uint32)
    else:
        by_time = np.argsort([row.pts or 0 for row in rows])
        order, place = np.empty(len(rows), np.int32), by_time[[not rows[j].hidden for j in by_time]].astype(np.int32)
        order[by_time] = np.arange(len(rows))
        checksums = None
    times = frame_times(rows, place, seconds, rate)
    if len(times) > 1:
        rate = (len(times) - 1) / float(times[-1])
    if rate < _MIN_FPS and len(times) > 1:
        raise VideoError(
            f"{path}: expected at least one picture in {1 / _MIN_FPS:.0f} s, got {len(times)} in {times[-1]:.0f} s; its time "
            "stamps are damaged: download it again, re-encode it or leave it out"
        )
    height, width = pictures.size[::-1] if pictures.turn[0] else pictures.size
    table = tabulate(rows, order, place, checksums)
    return VideoIndex(path, times, rate, height, width, number, pictures.turn, table)


def _scan(container: InputContainer, stream: VideoStream) -> tuple[list[PacketRow], list[Packet[VideoStream]]]:
    """Describe all packets of a stream, and keep the first few."""
    context = stream.codec_context
    is_h264, length_size = context.name == "h264", nal_length_size(context.extradata or b"")
    rows: list[PacketRow] = []
    head: list[Packet[VideoStream]] = []
    for packet in filled(container.demux(stream)):
        reference, start = inspect_h264(bytes(packet), length_size) if is_h264 else (True, Start.EXACT)
        rows.append(
            PacketRow(
                -1 if packet.pos is None else packet.pos,
                packet.size,
                packet.pts,
                packet.dts,
                start if packet.is_keyframe else Start.NO,
                reference,
                packet.is_discard,
                packet.is_corrupt,
            )
        )
        if len(head) < _HEAD:
            head.append(packet)
    return rows, head


def _trusted(
    container: InputContainer, stream: VideoStream, rows: Sequence[PacketRow], head: Sequence[Packet[VideoStream]]
) -> _Pictures | None:
    """Decode the first packets; `None` if the packets do not announce exactly the pictures that come out."""
    context, times = stream.codec_context, [row.pts for row in rows]
    known = context.name in _CODECS and container.format.name.split(",")[0] in _CONTAINERS
    if not known or None in times or len(set(times)) < len(times) or rows[0].start != Start.EXACT:
        return None
    if any(row.cut or row.start == Start.OPEN for row in rows):
        return None
    try:
        pictures = _decode(Path(container.name), context, head, strict=True)
    except (VideoError, av.FFmpegError):
        return None
    announced = sorted((row.pts or 0, place) for place, row in enumerate(rows[: len(head)]) if not row.hidden)
    return pictures if pictures.places == [place for _, place in announced] else None


def _decode_all(path: Path, number: int, rows: Sequence[PacketRow]) -> _Pictures:
    with open_video(path, number) as (container, stream):
        packets = islice(filled(container.demux(stream)), len(rows))
        return _decode(path, stream.codec_context, packets, rows[0].start == Start.EXACT)


def _decode(path: Path, context: VideoCodecContext, packets: Iterable[Packet[VideoStream]], strict: bool) -> _Pictures:
    """Decode packets from the first of the file on, and note which of them gave a picture."""
    places: list[int] = []
    checksums: list[int] = []
    first: VideoFrame | None = None
    prepare(context, strict)
    for place, packet in enumerate(chain(packets, [None])):
        if packet is not None:
            label(packet, place)
        try:
            frames = context.decode(packet)
        except av.FFmpegError as error:
            if not strict and first is None:
                continue  # the file begins between keyframes: nothing can be shown yet
            raise VideoError(
                f"{path}: expected a picture in packet {place}, but FFmpeg reports '{error.strerror}'; the file is "
                "damaged: replace it, re-encode it or leave it out"
            ) from error
        for frame in frames:
            first = first or frame
            places.append(place_of(frame))
            checksums.append(checksum(frame))
    if first is None or min(places) < 0 or len(set(places)) < len(places):
        raise VideoError(
            f"{path}: expected one picture per packet, got {len(places)} pictures of {len(set(places))} packets; the "
            "file is damaged or its codec is not supported: convert it to H.264"
        )
    return _Pictures(places, checksums, (first.height, first.width), _turn(first))


def _turn(frame: VideoFrame) -> tuple[bool, bool, bool]:
    matrix = frame.side_data.get("DISPLAYMATRIX")
    return turn_of(bytes(matrix)) if isinstance(matrix, SideData) else (False, False, False)
