"""Damaged copies of video files and pictures: mutation `number` of a file is the same bytes each time."""

import zlib
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

_MP4 = {b"moov": 0, b"trak": 0, b"mdia": 0, b"minf": 0, b"stbl": 0, b"edts": 0, b"dinf": 0, b"udta": 0, b"mvex": 0}
_MP4 |= {b"moof": 0, b"traf": 0, b"stsd": 8, b"avc1": 78, b"hvc1": 78, b"hev1": 78, b"mp4v": 78, b"meta": 4}
_EBML = {0x18538067, 0x1549A966, 0x1654AE6B, 0xAE, 0xE0, 0x1F43B675, 0xA0, 0x1C53BB6B, 0xBB, 0xB7, 0x114D9B74, 0x4DBB}
_MEDIA = {b"mdat", b"movi", 0x1F43B675, 0xA3, 0xA0, b"IDAT", 0xDA}  # the rest of a file describes it
_PADDING = {b"JUNK", b"free", b"ISFT", b"", bytes(4), 0xEC}
_LIES = (
    0,
    1,
    2,
    3,
    255,
    256,
    16384,
    65535,
    65536,
    1 << 20,
    1 << 26,
    0x7FFFFFFF,
    0x80000000,
    0xFFFFFFFF,
    1 << 62,
    (1 << 64) - 1,
)


class Piece(NamedTuple):
    """A box, chunk, element, packet or segment at bytes `start` to `end`, whose content begins at `head`."""

    start: int
    head: int
    end: int
    name: object
    parent: int


def pieces(data: bytes, suffix: str) -> list[Piece]:
    """All pieces of a file, outer before inner; empty for a kind of file that is not made of any."""
    step = {".mp4": _box, ".avi": _chunk, ".mkv": _element, ".webm": _element, ".png": _png, ".jpg": _segment}.get(
        suffix
    )
    if suffix == ".ts":
        return [Piece(at, at + 4, at + 188, "packet", -1) for at in range(0, len(data) - 187, 188)]
    found: list[Piece] = []

    def walk(start: int, end: int, parent: int) -> None:
        while step is not None and start < end:
            head, stop, name, inner = step(data, start, end)
            if not start < head <= stop <= end:
                return
            found.append(Piece(start, head, stop, name, parent))
            if inner is not None:
                walk(inner, stop, len(found) - 1)
            start = stop

    walk({".png": 8, ".jpg": 2}.get(suffix, 0), len(data), -1)
    return found


Step = tuple[int, int, object, int | None]  # where the content begins and ends, the name, and where inner pieces begin


def _box(data: bytes, at: int, end: int) -> Step:
    size, name = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8]
    if size == 1:
        return at + 16, at + int.from_bytes(data[at + 8 : at + 16], "big"), name, None
    return at + 8, at + size if size else end, name, at + 8 + _MP4[name] if name in _MP4 else None


def _chunk(data: bytes, at: int, end: int) -> Step:
    size, name = int.from_bytes(data[at + 4 : at + 8], "little"), data[at : at + 4]
    stop = min(at + 8 + size + size % 2, end)
    if name in (b"RIFF", b"LIST"):
        return at + 12, stop, data[at + 8 : at + 12], at + 12
    return at + 8, stop, name, None


def _element(data: bytes, at: int, end: int) -> Step:
    name_length, size_length = (
        9 - data[at].bit_length(),
        9 - data[min(at + 9 - data[at].bit_length(), end - 1)].bit_length(),
    )
    name = int.from_bytes(data[at : at + name_length], "big")
    head = at + name_length + size_length
    size = int.from_bytes(data[at + name_length : head], "big") & ((1 << 7 * size_length) - 1)
    stop = end if size == (1 << 7 * size_length) - 1 else head + size
    return head, stop, name, head if name in _EBML else None


def _png(data: bytes, at: int, end: int) -> Step:
    return at + 8, at + 12 + int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8], None


def _segment(data: bytes, at: int, end: int) -> Step:
    if data[at + 1] == 0xDA:  # the compressed picture, up to the end
        return at + 4, end, 0xDA, None
    return at + 4, at + 2 + int.from_bytes(data[at + 2 : at + 4], "big"), data[at + 1], None


def _span(random: np.random.Generator, length: int) -> tuple[int, int]:
    """A place and a size in a file, small sizes as likely as large ones."""
    size = int(2 ** random.uniform(0, np.log2(max(length / 2, 2))))
    start = int(random.integers(max(length - size, 1)))
    return start, start + size


def _flips(data: bytearray, suffix: str, random: np.random.Generator) -> str:
    count = int(2 ** random.uniform(0, 9))
    for at in random.integers(len(data), size=count):
        data[at] ^= 1 << int(random.integers(8))
    return f"{count} bits flipped"


def _header_flips(data: bytearray, suffix: str, random: np.random.Generator) -> str:
    """Bits of one header piece flipped: its sizes, counts, tables, parameter sets."""
    piece = _header(data, suffix, random)
    count = int(random.integers(1, 9))
    for at in random.integers(piece.start, piece.end, size=count):
        data[at] ^= 1 << int(random.integers(8))
    return f"{count} bits flipped in {piece.name!r} at {piece.start}"


def _header(data: bytearray, suffix: str, random: np.random.Generator) -> Piece:
    """A piece that describes the media; of one that holds others, the part before the first of them."""
    found = pieces(bytes(data), suffix)
    inner = {piece.parent: piece.start for piece in reversed(found)}
    headers = [
        piece._replace(end=inner.get(j, piece.end))
        for j, piece in enumerate(found)
        if piece.name not in _PADDING and not {piece.name, found[piece.parent].name} & _MEDIA
    ]
    if not headers or (suffix == ".ts" and random.random() < 0.5):
        return Piece(0, 0, min(len(data), 1024), "head", -1)
    return headers[int(random.integers(len(headers)))]


def _lie(data: bytearray, suffix: str, random: np.random.Generator) -> str:
    """A number in a header replaced: a size, a count, a duration, a time scale, a table entry, a codec's setting."""
    piece, told = _header(data, suffix, random), []
    order = "little" if suffix in (".avi", ".bmp", ".webp") else "big"
    for _ in range(int(random.integers(1, 4))):
        width = int(random.choice([1, 2, 4, 8], p=[0.15, 0.3, 0.45, 0.1]))
        length = min(piece.end - piece.start, 64 if random.random() < 0.7 else len(data))
        at = piece.start + int(random.integers(max(length // width, 1))) * width
        old = int.from_bytes(data[at : at + width], order)  # type: ignore[arg-type]
        value = [int(random.choice(np.array(_LIES, np.uint64))), old + 1, old - 1, old * 2, old // 2, old << 8][
            int(random.choice(6, p=[0.6, 0.1, 0.1, 0.1, 0.05, 0.05]))
        ] % (1 << 8 * width)
        data[at : at + width] = value.to_bytes(width, order)  # type: ignore[arg-type]
        told.append(f"{old:#x} -> {value:#x} at {at}")
    if suffix == ".png":  # else the checksum would give the lie away
        data[piece.end - 4 : piece.end] = zlib.crc32(data[piece.start + 4 : piece.end - 4]).to_bytes(4, "big")
    return f"{piece.name!r}: {', '.join(told)}"


def _boxes(data: bytearray, suffix: str, random: np.random.Generator) -> str:
    """Two neighbours swapped, or a piece removed or repeated, without correcting sizes and offsets elsewhere."""
    found = pieces(bytes(data), suffix)
    if len(found) < 2:
        return _block(data, suffix, random)
    depths = sorted({piece.parent for piece in found})
    parent = depths[int(random.integers(len(depths)))]
    family = [piece for piece in found if piece.parent == parent]
    first, second = sorted(random.choice(len(family), 2).tolist())
    a, b = family[first], family[second]
    match int(random.integers(3)):
        case 0 if first != second:
            data[a.start : b.end] = data[b.start : b.end] + data[a.end : b.start] + data[a.start : a.end]
            return f"{a.name!r} at {a.start} and {b.name!r} at {b.start} swapped"
        case 1:
            del data[a.start : a.end]
            return f"{a.name!r} at {a.start} removed"
        case _:
            data[b.end : b.end] = data[a.start : a.end]
            return f"{a.name!r} at {a.start} repeated at {b.end}"


def _block(data: bytearray, suffix: str, random: np.random.Generator) -> str:
    """A run of bytes zeroed, replaced by noise, removed, or copied elsewhere."""
    (start, end), (other, _) = _span(random, len(data)), _span(random, len(data))
    match int(random.integers(4)):
        case 0:
            data[start:end] = bytes(len(data[start:end]))
            return f"bytes {start} to {end} zeroed"
        case 1:
            data[start:end] = random.bytes(len(data[start:end]))
            return f"bytes {start} to {end} replaced by noise"
        case 2:
            del data[start:end]
            return f"bytes {start} to {end} removed"
        case _:
            data[other:other] = data[start:end]
            return f"bytes {start} to {end} inserted at {other}"


def _truncation(data: bytearray, suffix: str, random: np.random.Generator) -> str:
    at = int(random.integers(len(data)))
    if random.random() < 0.2:
        del data[:at]
        return f"the first {at} bytes removed"
    del data[at:]
    return f"cut off at byte {at}"


_MUTATIONS: list[Callable[[bytearray, str, np.random.Generator], str]] = [
    _lie, _flips, _boxes, _truncation, _lie, _block, _header_flips, _boxes,
]  # fmt: skip


def mutant(data: bytes, name: str, number: int, seed: int = 0) -> tuple[bytes, str]:
    """Mutation `number` of a file: its bytes, and what was done; number 0 is the empty file.

    Args:
        data: The whole file.
        name: File name; its suffix tells what the file is made of.
        number: From 0; consecutive numbers take turns among the ways of damaging a file.
        seed: Another seed gives other mutations for each number but 0.
    """
    if number == 0:
        return b"", "empty"
    random = np.random.default_rng([seed, zlib.crc32(name.encode()), number])
    changed, suffix = bytearray(data), name[name.rfind(".") :]
    told = _MUTATIONS[number % len(_MUTATIONS)](changed, suffix, random)
    return bytes(changed), told
