"""Frames of a video file as tensors: few packets decoded, and every picture equal to that of a full decode.

A packet reaches the decoder only if a wanted picture needs it. Where a seek misses its keyframe, or a picture does not
come out as the index says, the file is decoded again from its start; if that fails too, it is an error. Damage is an
error as well, never concealed, and so is damage to a picture that a wanted one refers to. Only in files that begin
between keyframes and in H.264 that begins with a recovery point, which no decoder opens without leniency, a damaged
picture may be shown as FFmpeg conceals it; so may, in files that were decoded in full for their index, one that refers
to a picture that FFmpeg decoded without an error but marked as damaged. Damage that FFmpeg
does not report (a changed bit that still is valid video, a slice or a packet lost without a trace) is shown as FFmpeg
decodes it, and may then differ from a full decode.
"""

from __future__ import annotations  # Packet is generic to type checkers only

from collections.abc import Generator, Iterator
from contextlib import closing
from itertools import chain
from pathlib import Path
from typing import Protocol

import av
import numpy as np
import torch
from av.container import InputContainer
from av.packet import Packet
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame
from av.video.reformatter import Interpolation, VideoReformatter
from av.video.stream import VideoStream
from numpy.typing import NDArray
from torch import Tensor

from clips.index import MAX_PIXELS, checksum, filled, label, open_video, place_of, prepare, read_index
from clips.packets import NO_TIME, PacketTable, VideoError, VideoIndex

__all__ = ["VideoError", "VideoIndex", "read_frames", "read_index"]


class _AstrayError(Exception):
    """The file does not behave as its index says; the message tells how."""


def read_frames(
    index: VideoIndex, numbers: NDArray[np.int64], size: tuple[int, int] | None = None, *, shared: bool = False
) -> Tensor:
    """Decode chosen frames of a video, each one once.

    Args:
        index: Of the file, as `read_index` gives it.
        numbers: Frame numbers in presentation order, strictly increasing, int64 `(M,)`.
        size: Height and width to resize to (bilinear), as displayed; `None` keeps the size of the file.
        shared: Decode into shared memory, which a loader worker hands over without another copy.

    Returns:
        uint8 `(M, H, W, 3)`, RGB, turned as the file asks; resizing comes before turning. In memory they are planes.

    Raises:
        ValueError: If the numbers are not strictly increasing or not in the video, or the size is not positive.
        VideoError: If a frame cannot be decoded, or the file has changed since it was indexed.
    """
    numbers = checked_numbers(index, numbers)
    frames = empty_frames(len(numbers), *checked_size(index, size), shared)
    painter = Painter(frames.numpy(), index.turn)
    # packet -> slot; what the first way leaves missing is decoded again from the start of the file
    missing = {int(index.packets.place[number]): slot for slot, number in enumerate(numbers)}
    reason = ""
    for sequential in (False, True):
        if missing:
            reason = _fill(painter, missing, index, sequential)
    if missing:
        number = int(numbers[min(missing.values())])
        raise VideoError(
            f"{index.path}: expected {index.total_frames} readable frames, but frame {number} cannot be decoded "
            f"({reason}); the file is damaged or has changed since it was indexed: index it again, replace it, "
            "re-encode it or leave it out"
        )
    return frames


class _Frames(Protocol):
    """What a file and a folder of frames have in common here."""

    @property
    def path(self) -> Path: ...

    @property
    def height(self) -> int: ...

    @property
    def width(self) -> int: ...

    @property
    def total_frames(self) -> int: ...


def checked_numbers(index: _Frames, numbers: NDArray[np.int64]) -> NDArray[np.int64]:
    """The frame numbers as int64.

    Raises:
        ValueError: If they are not integers `(M,)`, not strictly increasing, or not in the video.
    """
    numbers = np.asarray(numbers)
    if numbers.ndim != 1 or (numbers.size and not np.issubdtype(numbers.dtype, np.integer)):
        raise ValueError(f"numbers must be integers of shape (M,), got {numbers.dtype} {numbers.shape}")
    if np.any(numbers[1:] <= numbers[:-1]):
        raise ValueError(f"numbers must be strictly increasing, got {numbers.tolist()}; pass them through np.unique")
    if len(numbers) and (numbers[0] < 0 or numbers[-1] >= index.total_frames):
        raise ValueError(
            f"numbers must lie in 0 ... {index.total_frames - 1}, got {numbers[0]} ... {numbers[-1]} for {index.path}"
        )
    return numbers.astype(np.int64)


def checked_size(index: _Frames, size: tuple[int, int] | None) -> tuple[int, int]:
    """Height and width of the frames to return.

    Raises:
        ValueError: If they are not positive.
        VideoError: If they make more than `MAX_PIXELS`.
    """
    height, width = (index.height, index.width) if size is None else size
    if height < 1 or width < 1:
        raise ValueError(f"size must be a positive height and width, got {size}; pass None for the size of the file")
    if height * width > MAX_PIXELS:  # as a short side of some pixels asks for where the file claims to be a thin line
        raise VideoError(
            f"{index.path}: expected to resize {index.height} x {index.width} to at most {MAX_PIXELS:,} pixels, got "
            f"{height} x {width}; ask for a smaller size, or leave it out if the size in its headers is wrong"
        )
    return height, width


def empty_frames(count: int, height: int, width: int, shared: bool) -> Tensor:
    """Room for frames, uint8 `(M, H, W, 3)`, each colour of each frame a plane: what resizing and networks work on."""
    planes = torch.empty(count, 3, height, width, dtype=torch.uint8)
    return (planes.share_memory_() if shared else planes).permute(0, 2, 3, 1)  # type: ignore[no-untyped-call]


class Painter:
    """Converts decoded pictures into their slots of an array of shape `(M, H, W, 3)`."""

    def __init__(self, out: NDArray[np.uint8], turn: tuple[bool, bool, bool]) -> None:
        self._out, self._turn = out, turn
        self._reformatter = VideoReformatter()  # kept, because a new one builds its filters again

    def paint(self, slot: int, frame: VideoFrame) -> None:
        transpose, mirror, flip = self._turn
        height, width = self._out.shape[1:3] if not transpose else self._out.shape[2:0:-1]
        # A resize to packed RGB is slow, and at even widths halves the colours' resolution; one to planes does neither.
        kind = "rgb24" if (frame.height, frame.width) == (height, width) else "gbrp"
        frame = self._reformatter.reformat(frame, width, height, kind, interpolation=Interpolation.BILINEAR, threads=1)
        depth, targets = (3, [slice(None)]) if kind == "rgb24" else (1, [slice(1, 2), slice(2, 3), slice(0, 1)])
        for plane, target in zip(frame.planes, targets, strict=True):
            shape, strides = (height, width, depth), (plane.line_size, depth, 1)
            picture: NDArray[np.uint8] = np.ndarray(shape, np.uint8, memoryview(plane), 0, strides)
            picture = picture.transpose(1, 0, 2) if transpose else picture
            self._out[slot, :, :, target] = picture[:: -1 if flip else 1, :: -1 if mirror else 1]


def _fill(painter: Painter, missing: dict[int, int], index: VideoIndex, sequential: bool) -> str:
    """Paint the missing pictures and take them off the list; return why some are left, should there be any."""
    table = index.packets
    places = np.array(sorted(missing), np.int32)
    needed = table.plan(places)
    if sequential:
        needed[: places[-1] + 1] = True
    number_of = {} if table.checksums is None else {int(j): n for n, j in enumerate(table.place)}
    slots, spoilt, reason = dict(missing), [], "no picture comes out"
    try:
        with closing(_pictures(index, needed)) as pictures:
            for place, frame in pictures:  # up to the end: a damaged picture can come out after those that refer to it
                if frame.is_corrupt:
                    spoilt.append(place)
                if place not in missing:
                    continue
                if frame.is_corrupt:
                    raise _AstrayError("a packet is damaged")
                if table.checksums is not None and checksum(frame) != table.checksums[number_of[place]]:
                    raise _AstrayError("its pixels differ from those indexed")
                painter.paint(missing[place], frame)
                del missing[place]
    except _AstrayError as error:
        reason = str(error)
    except av.FFmpegError as error:
        reason = f"FFmpeg cannot resize it or convert it to RGB: '{error.strerror}'"
    if spoilt and table.checksums is None:  # checksums tell that the pictures are those of a full decode
        for place in slots.keys() - missing.keys():
            if table.plan(np.array([place], np.int32))[spoilt].any():
                missing[place], reason = slots[place], "a picture that it refers to is damaged"
    return reason


def _pictures(index: VideoIndex, needed: NDArray[np.bool_]) -> Generator[tuple[int, VideoFrame]]:
    """Decode the needed packets; yield the pictures with the packets that they came from."""
    table = index.packets
    first, last = np.flatnonzero(needed)[[0, -1]].tolist()
    starts, strict = set(table.starts.tolist()), table.checksums is None
    skipped = False
    with open_video(index.path, index.stream) as (container, stream):
        context = stream.codec_context
        prepare(context, strict)
        for place, packet in _packets(table, container, stream, first):
            if not needed[place]:
                skipped = skipped or bool(table.reference[place])
                continue
            frames = []
            try:
                if skipped and place in starts:  # what was left out must not reach into the next pictures
                    frames = context.decode(None)
                    context.flush_buffers()
                skipped = False
                frames += _feed(context, place, packet)
                if place == last:
                    frames += context.decode(None)
            except av.FFmpegError as error:
                if strict:  # else the checksums tell
                    yield from ((j, frame) for j, frame in _pending(context) if j != place)
                    raise _AstrayError(f"FFmpeg reports '{error.strerror}' at packet {place}") from error
            yield from ((place_of(frame), frame) for frame in frames)
            if place == last:
                return


def _feed(context: VideoCodecContext, place: int, packet: Packet[VideoStream]) -> list[VideoFrame]:
    label(packet, place)
    return context.decode(packet)


def _pending(context: VideoCodecContext) -> list[tuple[int, VideoFrame]]:
    """Pictures that were complete before the decoder met an error."""
    try:
        return [(place_of(frame), frame) for frame in context.decode(None)]
    except av.FFmpegError:
        return []


def _packets(
    table: PacketTable, container: InputContainer, stream: VideoStream, first: int
) -> Iterator[tuple[int, Packet[VideoStream]]]:
    """Packets with their places, from `first` or an earlier one on, each compared with the table."""
    place, packets = 0, filled(container.demux(stream))
    if first > 0:
        place, packets = _seek(table, container, stream, first)
    try:
        for packet in packets:
            if place >= len(table.size):
                return  # the cut-off end
            position = -1 if packet.pos is None else packet.pos
            if packet.size != table.size[place] or position != table.position[place]:
                raise _AstrayError(f"packet {place} is not the indexed one")
            yield place, packet
            place += 1
    except av.FFmpegError as error:
        raise _AstrayError(f"FFmpeg reports '{error.strerror}' after packet {place}") from error
    if place < len(table.size):
        raise _AstrayError(f"the file ends after {place} packets of {len(table.size)}")


def _seek(
    table: PacketTable, container: InputContainer, stream: VideoStream, first: int
) -> tuple[int, Iterator[Packet[VideoStream]]]:
    """Land on packet `first` or before it; tell where."""
    row = int(np.searchsorted(table.starts, first))
    for time in table.seek_times[row].tolist():  # by presentation time few containers land late, by decoding time fewer
        if time == NO_TIME:
            continue
        try:
            container.seek(time, stream=stream)
            packets = filled(container.demux(stream))
            packet = next(packets, None)
        except av.FFmpegError:
            continue
        if packet is None or packet.pos is None:
            continue
        landed = np.flatnonzero((table.position == packet.pos) & (table.size == packet.size))
        if len(landed) == 1 and landed[0] <= first:
            return int(landed[0]), chain([packet], packets)
    raise _AstrayError(f"no seek reaches packet {first}")
