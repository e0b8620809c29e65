"""Records of what a video file holds, and the choice of the packets that given frames need."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from clips.h264 import Start

NO_TIME = int(np.iinfo(np.int64).min)


class VideoError(ValueError):
    """A file that cannot be read as video; the message names the file, what was expected, what is there, a remedy."""


class PacketRow(NamedTuple):
    """One packet, as the container describes it."""

    position: int
    size: int
    pts: int | None
    dts: int | None
    start: Start
    reference: bool
    hidden: bool
    cut: bool


@dataclass(frozen=True, eq=False)
class PacketTable:
    """The packets of a video stream in decode order, P of them, S of which can start decoding.

    Attributes:
        position: Byte offset in the file, int64 `(P,)`; with `size` it identifies a packet after a seek.
        size: Bytes, int32 `(P,)`.
        order: Place in presentation order, int32 `(P,)`, comparable within the table.
        reference: Whether other pictures may need this one, bool `(P,)`.
        place: The packet of each shown frame, int32 `(N,)`.
        starts: Packets where decoding can begin, ascending, int32 `(S,)`; the first is always 0.
        seek_times: Presentation and decoding time of the starts in ticks of the stream, int64 `(S, 2)`; `NO_TIME`
            where unknown.
        checksums: Of the decoded frames, uint32 `(N,)`, or `None` for a table read off the packets alone.
    """

    position: NDArray[np.int64]
    size: NDArray[np.int32]
    order: NDArray[np.int32]
    reference: NDArray[np.bool_]
    place: NDArray[np.int32]
    starts: NDArray[np.int32]
    seek_times: NDArray[np.int64]
    checksums: NDArray[np.uint32] | None

    def plan(self, places: NDArray[np.int32]) -> NDArray[np.bool_]:
        """Choose the packets to decode: a skipped one cannot change a wanted picture.

        Args:
            places: Packets of the wanted pictures, int32 `(M,)`, M at least 1.

        Returns:
            Whether to decode each packet, bool `(P,)`.
        """
        begin = np.searchsorted(self.starts, places, side="right") - 1
        # Shown before the keyframe that it follows in the file: its references lie before that keyframe too.
        leading = self.order[places] < self.order[self.starts[begin]]
        begin = np.maximum(begin - leading, 0)
        needed = np.zeros(len(self.size), np.bool_)
        used = np.unique(begin)
        for row in used:
            first, last = self.starts[row], places[begin == row].max()
            needed[first:last] |= self.reference[first:last]
        needed[places] = needed[self.starts[used]] = True
        return needed


@dataclass(frozen=True, eq=False)
class VideoIndex:
    """Facts about one video file; small and picklable.

    Attributes:
        path: The file.
        times: Seconds at which each shown frame appears, float64 `(N,)`, in presentation order, non-decreasing and
            relative to the first.
        fps: Average frames a second; the rate that the stream states (or 1) for a single frame.
        height: Pixels as displayed, after the file's rotation; a pixel aspect ratio is not applied.
        width: As `height`.
        stream: Place of the video stream in the file.
        turn: How a decoded picture becomes the displayed one: transpose, then mirror left-right, then upside-down.
        packets: What `decoding.py` needs to decode few packets.
    """

    path: Path
    times: NDArray[np.float64]
    fps: float
    height: int
    width: int
    stream: int
    turn: tuple[bool, bool, bool]
    packets: PacketTable

    @property
    def total_frames(self) -> int:
        """Number of shown frames."""
        return len(self.times)

    @property
    def duration(self) -> float:
        """Seconds from the first frame to the end of the last, which is taken to last `1 / fps`."""
        return float(self.times[-1]) + 1 / self.fps


def turn_of(matrix: bytes) -> tuple[bool, bool, bool]:
    """Transpose, left-right and upside-down of a display matrix; the identity where it is not a right angle."""
    # x' = a x + c y and y' = b x + d y, in 16.16 fixed point
    a, b, _, c, d = np.frombuffer(matrix, "<i4")[:5].tolist()
    if a == d == 0 and b and c:
        return True, c < 0, b < 0
    return (False, a < 0, d < 0) if b == c == 0 else (False, False, False)


def frame_times(
    rows: Sequence[PacketRow], place: NDArray[np.int32], seconds: float, rate: float
) -> NDArray[np.float64]:
    """Seconds of the shown frames: by their own times, else by the decoding times in order, else by the frame rate."""
    shown = [rows[j] for j in place]
    decoding = [row.dts for row in shown]
    for ticks in ([row.pts for row in shown], decoding if None in decoding else sorted(d or 0 for d in decoding)):
        if None not in ticks:
            times = np.array(ticks, np.int64)
            if np.all(np.diff(times) >= 0) and (times[-1] > times[0] or len(times) == 1):
                return np.asarray((times - times[0]) * seconds, np.float64)
    return np.arange(len(place), dtype=np.float64) / rate


def tabulate(
    rows: Sequence[PacketRow],
    order: NDArray[np.int32],
    place: NDArray[np.int32],
    checksums: NDArray[np.uint32] | None,
) -> PacketTable:
    """Turn packet descriptions into columns.

    Args:
        rows: All packets in decode order, P of them.
        order: As in `PacketTable`, -1 for packets without a picture where all were decoded.
        place: As in `PacketTable`.
        checksums: As in `PacketTable`.
    """
    # A keyframe without a picture of its own is no place to begin: what it lacks is unknown.
    starts = [j for j, row in enumerate(rows) if j == 0 or (row.start != Start.NO and order[j] >= 0)]
    known = [(NO_TIME if t is None else t) for j in starts for t in (rows[j].pts, rows[j].dts)]
    return PacketTable(
        position=np.array([row.position for row in rows], np.int64),
        size=np.array([row.size for row in rows], np.int32),
        order=order,
        reference=np.array([row.reference for row in rows], np.bool_),
        place=place,
        starts=np.array(starts, np.int32),
        seek_times=np.array(known, np.int64).reshape(-1, 2),
        checksums=checksums,
    )
