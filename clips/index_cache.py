"""Indices of videos, kept on disk and, a bounded number of them, in memory, so that few files are read through again."""

import json
import os
import platform
import uuid
import warnings
import zlib
from collections import OrderedDict
from dataclasses import fields
from hashlib import blake2b
from pathlib import Path
from typing import Any, NamedTuple

import av
import numpy as np
from numpy.typing import NDArray

from clips.decoding import VideoIndex, read_index
from clips.frame_folder import DECODERS, FrameFolder, read_frame_folder
from clips.packets import PacketTable
from clips.targets import Video

_FORMAT = 1  # raise it whenever `read_index` comes to say something else about a file
# A decoder of another version or machine may give other pixels, hence other checksums.
_READER = f"{_FORMAT} {platform.machine()} {av.library_versions}"
_KEPT = {False: 60e6, True: 8e6}  # bytes of indices, without and with a cache


class Stamp(NamedTuple):
    """What tells that a file is still the same: bytes, and nanoseconds of its last change."""

    size: int
    mtime: int


def stamp_of(path: Path) -> Stamp | None:
    """The stamp of a file or folder; None if it is not there."""
    try:
        status = path.stat()
    except (OSError, ValueError):  # also a name that no file can have
        return None
    return Stamp(status.st_size, status.st_mtime_ns)


def content_stamp(path: Path) -> Stamp | None:
    """As `stamp_of`, but of a folder of frames their number, with the bytes of three, and the latest change of it or them.

    A folder's own stamp stays as it is when its frames are written anew in place, which the first, middle and last show. To
    ask for all would take hours for the millions of a data set on a file server.
    """
    own = stamp_of(path)
    if own is None or not path.is_dir():
        return own
    try:
        names = sorted(name for name in os.listdir(path) if os.path.splitext(name)[1].lower() in DECODERS)
    except OSError:  # whoever reads it will say so
        names = []
    seen = [stamp_of(path / names[place]) for place in (0, len(names) // 2, -1) if names]
    there = [stamp for stamp in seen if stamp is not None]
    return Stamp(len(names) + sum(one.size for one in there), max(one.mtime for one in [own, *there]))


class IndexCache:
    """A folder with a small file for the index of each video; any number of processes may read and fill it at once.

    An entry is found by the path from the folder to the video, so both can be moved together (keep the times of change), and
    counts only for the same size, time of change and version of the reader. Entries that do not count, or are damaged, are
    made anew from the video. A folder that cannot be written to is only read, with a warning.

    Args:
        folder: made where absent.

    Raises:
        ValueError: if the folder is not there and cannot be made.
    """

    def __init__(self, folder: Path) -> None:
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ValueError(
                f"index_cache must be a folder, or where one can be made, got {folder}: {error.strerror}; name another"
            ) from error
        self.folder = folder
        self._warned = False

    def knows(self, path: Path) -> bool:
        """Whether the entry of a video is there and counts."""
        return _load(path, *self._place(path)) is not None

    def read(self, path: Path) -> VideoIndex:
        """The index of a video, from its entry or else from the file, whose entry is then written.

        Raises:
            VideoError: as `read_index`.
        """
        entry, head = self._place(path)
        index = _load(path, entry, head)
        if index is None:
            index = read_index(path)
            if self._place(path)[1] == head:  # the file did not change meanwhile
                self._write(entry, _pack(index, head))
        return index

    def _place(self, path: Path) -> tuple[Path, list[Any]]:
        """Where the entry of a video is, and how it must begin."""
        key = os.path.relpath(path, self.folder)
        name = blake2b(os.fsencode(key), digest_size=16).hexdigest()
        return self.folder / name[:2] / name[2:], [_READER, ascii(key), list(stamp_of(path) or ())]

    def _write(self, entry: Path, data: bytes) -> None:
        temporary = entry.with_name(f"{uuid.uuid4().hex}.tmp")
        try:
            entry.parent.mkdir(exist_ok=True)
            try:
                temporary.write_bytes(data)
                temporary.replace(entry)
            finally:
                temporary.unlink(missing_ok=True)
        except OSError as error:
            if not self._warned:
                self._warned = True
                warnings.warn(
                    f"index_cache {self.folder} cannot be written to ({error.strerror}): videos that it does not know are "
                    "read through again each time; make it writable, or fill it with the command scan",
                    stacklevel=2,
                )


def _pack(index: VideoIndex, head: list[Any]) -> bytes:
    """A line of JSON and all columns, compressed together, so that damage shows in the checksum of the whole."""
    columns: dict[str, NDArray[Any] | None] = {"times": index.times}
    columns |= {field.name: getattr(index.packets, field.name) for field in fields(PacketTable)}
    facts = {name: getattr(index, name) for name in ("fps", "height", "width", "stream", "turn")}
    shapes = {name: None if x is None else [x.dtype.str, x.shape] for name, x in columns.items()}
    text = json.dumps([head, facts, shapes]).encode()
    return zlib.compress(b"\n".join([text, b"".join(_thin(x) for x in columns.values() if x is not None)]))


def _load(path: Path, entry: Path, head: list[Any]) -> VideoIndex | None:
    try:
        return _unpack(entry.read_bytes(), path, head)
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError, MemoryError, zlib.error):
        return None


def _unpack(data: bytes, path: Path, head: list[Any]) -> VideoIndex:
    text, _, rest = zlib.decompress(data).partition(b"\n")
    found, facts, shapes = json.loads(text)
    if found != head:
        raise ValueError("an entry of another file, of another state of it, or of another reader")
    columns: dict[str, Any] = {}
    at = 0
    for name, form in shapes.items():
        columns[name] = None
        if form is not None:
            kind, shape = np.dtype(form[0]), form[1]
            size = kind.itemsize * int(np.prod(shape))
            columns[name] = _thick(rest[at : at + size], kind, shape)
            at += size
    times, turn = columns.pop("times"), tuple(facts.pop("turn"))
    return VideoIndex(path=path, times=times, turn=turn, packets=PacketTable(**columns), **facts)


def _thin(column: NDArray[Any]) -> bytes:
    """Differences between the bits of neighbouring rows, all first bytes first: exact, and mostly zeros."""
    bits = np.ascontiguousarray(column).view(f"u{column.itemsize}")
    bits = np.diff(bits, axis=0, prepend=np.zeros_like(bits[:1]))
    return bits.reshape(-1).view(np.uint8).reshape(-1, column.itemsize).T.tobytes()


def _thick(data: bytes, kind: np.dtype[Any], shape: list[int]) -> NDArray[Any]:
    planes = np.frombuffer(data, np.uint8).reshape(kind.itemsize, -1)
    bits = np.ascontiguousarray(planes.T).view(f"u{kind.itemsize}").reshape(shape)
    return np.cumsum(bits, axis=0, dtype=bits.dtype).view(kind)


class Indices:
    """Indices of videos and of folders of frames; those last used stay in memory, as long as their files do not change.

    Args:
        folder_fps: frames a second of folders of frames.
        cache: folder of an `IndexCache` for the files; None for none. Folders of frames are listed anew (2 ms for 720).

    Raises:
        ValueError: as `IndexCache`.
    """

    def __init__(self, folder_fps: float | None, cache: Path | None) -> None:
        self.folder_fps = folder_fps
        self.read = IndexCache(cache).read if cache else read_index
        self._most = _KEPT[cache is not None]
        self._kept: OrderedDict[Path, tuple[Stamp, VideoIndex | FrameFolder]] = OrderedDict()
        self._bytes = 0.0

    def of(self, video: Video) -> VideoIndex | FrameFolder:
        """The index of a video.

        Raises:
            VideoError: if it cannot be read.
        """
        stamp = stamp_of(video.path)
        kept = self._kept.pop(video.path, None)
        if kept is not None:
            self._bytes -= _size(kept[1])
        if kept is not None and kept[0] == stamp:
            index = kept[1]
        elif video.path.is_dir():
            index = read_frame_folder(video.path, self.folder_fps, video.frame_numbers)
        else:
            index = self.read(video.path)
        if stamp is not None:
            self._kept[video.path] = stamp, index
            self._bytes += _size(index)
        while self._bytes > self._most and len(self._kept) > 1:
            self._bytes -= _size(self._kept.popitem(last=False)[1][1])
        return index


def _size(index: VideoIndex | FrameFolder) -> int:
    """About how many bytes an index takes: its arrays of a value a frame, or the names of the pictures."""
    return 5000 + index.total_frames * (90 if isinstance(index, FrameFolder) else 30)
