"""Sample counts that the boxes of an MP4 or QuickTime file claim (ISO/IEC 14496-12), read before FFmpeg believes them.

FFmpeg sets memory aside for every sample that a table of constant sizes (`stsz`) or a fragment (`trun`) announces: four
changed bytes in a small file cost gigabytes.
"""

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import BinaryIO

MAX_SAMPLES = 5_000_000  # of all tracks: 46 hours of pictures at 30 a second, for which FFmpeg needs 325 MB

_MAX_BOXES = 1_000_000
_OUTER = {b"moov", b"trak", b"mdia", b"minf", b"stbl", b"moof", b"traf"}


def claimed_samples(path: Path) -> int:
    """Count the samples that the headers of a file announce; 0 if the file is not MP4.

    Sound whose samples last one tick each is left out: FFmpeg reads it by chunks.
    """
    total = samples = 0
    sound = ticks = False
    with path.open("rb") as file:
        for name, content in islice(_boxes(file, path.stat().st_size), _MAX_BOXES):
            words = [int.from_bytes(content[at : at + 4], "big") for at in (0, 4, 8, 12)]
            match name:
                case b"trak":
                    total, samples, sound, ticks = total + samples, 0, False, False
                case b"hdlr":
                    sound |= content[8:12] == b"soun"
                case b"stts":
                    ticks = words[1] == 1 and words[3] == 1
                case b"stsz":
                    samples = words[2]
                case b"trun":
                    total += words[1]
            if sound and ticks:
                samples = 0
    return total + samples


def _boxes(file: BinaryIO, size: int) -> Iterator[tuple[bytes, bytes]]:
    """Names of all boxes, outer before inner, and the first 16 bytes of what they hold."""
    at, ends = 0, [size]
    while True:
        while at + 8 > ends[-1]:
            at = ends.pop()
            if not ends:
                return
        file.seek(at)
        head = file.read(32)
        length, name, begin = int.from_bytes(head[:4], "big"), head[4:8], 8
        if length == 1:
            length, begin = int.from_bytes(head[8:16], "big"), 16
        end = min(at + length, ends[-1]) if length else ends[-1]
        if end < at + begin:  # FFmpeg leaves the rest of the outer box alone
            at = ends[-1]
            continue
        yield name, head[begin : begin + 16]
        if name in _OUTER:
            ends.append(end)
            at += begin
        else:
            at = end
