"""The scores of an unfinished test on disk, video by video, so that a killed test goes on where it stopped."""

import fcntl
import mmap
import os
import secrets
import struct
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

_MAGIC = b"view scores 1\n"
_FRAME = struct.Struct("<II")  # bytes of a record, their CRC-32
_HEAD = struct.Struct("<qqqII")  # video, its file's bytes and time of change, V, K; then V x K float32
_SYNC = 5.0  # seconds between two times that the records are forced to the disk: only a power failure costs so much

Stamp = tuple[int, int]


class ScoreJournal:
    """Records of one video each, in one file for each process that ever wrote; any number of processes reads all files.

    A kill leaves the record that was being written cut off at the end of its file; it fails its checksum and is left out.
    Two tests with one key may run at once: the file of a living process is locked, and stays when the other test ends.

    Args:
        folder: of the files of one test, named by `callbacks.module_key.key_of` what its scores depend on.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._known: set[Path] = set()  # the files that were read or written here
        self._file = -1
        self._synced = 0.0

    def read(self, now: Callable[[int], Stamp | None]) -> dict[int, Tensor]:
        """Float32 (V, K) of each video that is there and whose file is as it was when it was scored.

        Args:
            now: video -> bytes and time of change of its file, ns; None if the video is not wanted.
        """
        found: dict[int, Tensor] = {}
        for path in sorted(self.folder.glob("*.scores")):
            with suppress(FileNotFoundError), path.open("rb") as file:  # another test with this key may have ended
                self._known.add(path)
                if path.stat().st_size < len(_MAGIC):
                    continue
                with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
                    found |= {video: logits for video, was, logits in _records(data) if now(video) == was}
        return found

    def append(self, video: int, was: Stamp, logits: Tensor) -> None:
        """Write the record of a video; after this call a kill cannot lose it.

        Raises:
            OSError: it cannot be written.
        """
        if self._file < 0:
            self._file = self._create()
        values = logits.detach().cpu().numpy().astype("<f4")
        record = _HEAD.pack(video, *was, *values.shape) + values.tobytes()
        data = _FRAME.pack(len(record), zlib.crc32(record)) + record
        if os.write(self._file, data) != len(data):
            raise OSError(None, "the disk is full", str(self.folder))
        if time.monotonic() - self._synced > _SYNC:
            os.fsync(self._file)
            self._synced = time.monotonic()

    def _create(self) -> int:
        self.folder.mkdir(parents=True, exist_ok=True)
        # a name that no earlier file had: another test may have read that one, and removes it
        path = self.folder / f"{secrets.token_hex(8)}.scores"
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
        _lock(file)
        os.write(file, _MAGIC)
        self._known.add(path)
        return file

    def close(self) -> None:
        """Write no more."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def remove(self) -> None:
        """Remove the files that this journal read or wrote, and their folders if nothing else is in them.

        A file that a living process goes on writing stays: that process removes it.
        """
        self.close()
        for path in self._known:
            with suppress(OSError), path.open("r+b") as file:  # NFS locks only what is open for writing
                if _lock(file.fileno()):
                    path.unlink(missing_ok=True)
        for folder in (self.folder, self.folder.parent):
            try:
                folder.rmdir()
            except OSError:
                return


def _lock(file: int) -> bool:
    """Lock a file, unless a living process has; True also where the file system cannot lock.

    A lock of the process: loader workers, which outlive a killed test for a moment, do not inherit it, and it does not stop
    the next test of this process. (It ends as soon as the process closes the file, wherever it was opened.)
    """
    try:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):  # what a held lock gives, depending on the system
        return False
    except OSError:
        pass
    return True


def _records(data: mmap.mmap) -> Iterator[tuple[int, Stamp, Tensor]]:
    """The whole records at the start of a file."""
    if data[: len(_MAGIC)] != _MAGIC:
        return
    at = len(_MAGIC)
    while at + _FRAME.size <= len(data):
        size, check = _FRAME.unpack_from(data, at)
        record = data[at + _FRAME.size : at + _FRAME.size + size]
        if len(record) != size or zlib.crc32(record) != check:
            return
        video, length, changed, views, labels = _HEAD.unpack_from(record)
        values = np.frombuffer(record, "<f4", offset=_HEAD.size).reshape(views, labels)
        yield video, (length, changed), torch.from_numpy(values.astype(np.float32))
        at += _FRAME.size + size
