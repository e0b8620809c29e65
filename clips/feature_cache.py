"""Features of a fixed set of training clips on disk: what a frozen backbone makes of them, computed once.

A cache holds M clips of each video at each rate, drawn as training draws them (start, crop, flip, size), with their
labels. It lies in a folder named by a hash of everything that the features depend on, so that features of other weights,
videos or transforms are never read by mistake, and it is filled in any number of sittings and by any number of processes.
"""

import errno
import hashlib
import json
import math
import os
import uuid
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from clips.disk_room import bytes_taken, check_room
from clips.index_cache import content_stamp
from clips.rate_batches import Draw
from clips.targets import Video

_VERSION = 1
_DONE, _REPLACED = 1, 2  # marks of units, in the file `done`; 0 is not yet written


class FeatureCache:
    """Features and labels of n videos x R rates x M clips; `open`, then `make` must come before these are read or written.

    The M clips of a video at a rate are a unit: written, counted and missed as a whole.

    Args:
        root: folder of caches.
        num_clips: M.

    Raises:
        ValueError: if `num_clips` is not positive.
    """

    def __init__(self, root: Path, num_clips: int) -> None:
        if num_clips < 1:
            raise ValueError(f"the number of cached clips per video and rate must be at least 1, got {num_clips}")
        self.root, self.num_clips = root, num_clips
        self._columns: dict[str, NDArray[Any]] = {}
        self._written: list[tuple[int, int, int]] = []

    def open(
        self, key: dict[str, Any], num_videos: int, rates: Sequence[float], num_labels: int, shape: Sequence[int]
    ) -> None:
        """Name the folder of a key's cache; nothing is made yet.

        Args:
            key: what the features depend on; plain values that JSON can hold.
            num_videos: n.
            rates: the downsampling rates, of which R are distinct; their order does not count.
            num_labels: K.
            shape: of one clip's features, D, T', H', W'.
        """
        self.rates = sorted({float(rate) for rate in rates})
        self.units = (num_videos, len(self.rates))
        clips = (*self.units, self.num_clips)
        key = {**key, "version": _VERSION, "rates": self.rates, "num_clips": self.num_clips}
        key |= {"num_labels": num_labels, "shape": list(shape)}
        self.key = key
        self.folder = self.root / hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()[:16]
        # bfloat16 is int16 to NumPy, which has no such type
        self._layout: dict[str, tuple[str, tuple[int, ...]]] = {
            "features": ("<i2", (*clips, *shape)),
            "labels": ("<f4", (*clips, num_labels)),
            "index": ("<i4", clips),
            "done": ("|u1", self.units),
        }
        self._columns = {}
        self._bytes = {
            name: int(np.dtype(kind).itemsize * np.prod(size)) for name, (kind, size) in self._layout.items()
        }

    @property
    def made(self) -> bool:
        """Whether its files are there in their full size, written or not."""
        return all(self._size(name) >= size for name, size in self._bytes.items())

    def make(self) -> None:
        """Files of the full size, full of holes: what is not yet written takes no room. Nothing if all of it is written.

        Several processes may do so at once.

        Raises:
            ValueError: if the disk has no room for what is missing.
        """
        if self.made and not self.missing():
            return  # not ours to write to, perhaps
        self.root.mkdir(parents=True, exist_ok=True)
        self._check_room()
        self.folder.mkdir(exist_ok=True)
        marked, units = self._size("done"), math.prod(self.units)  # the size first: it is made last
        whole = min(self._size(name) * units // size for name, size in self._bytes.items() if name != "done")
        if marked > whole:  # a copy that broke off: what has marks but no features must not count
            os.truncate(self.folder / "done", whole)
        for name, size in self._bytes.items():
            path = self.folder / name
            if path.exists() and path.stat().st_size >= size:  # full perhaps, and not ours to write to
                continue
            with path.open("ab") as file:  # never shortens what another process has begun
                if os.fstat(file.fileno()).st_size < size:
                    file.truncate(size)
        path = self.folder / "key.json"
        if path.exists():
            return
        temporary = self.folder / f".key.json.{uuid.uuid4().hex}"  # whole or not at all: nobody would write it again
        try:
            temporary.write_text(json.dumps(self.key, indent=1) + "\n", encoding="utf-8")
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)

    def _check_room(self) -> None:
        whole, there = sum(self._bytes.values()), sum(bytes_taken(self.folder / name) for name in self._bytes)
        missing = len(self.missing()) / math.prod(self.units) if self.made else 1.0
        # files may take less room than their size, and units may take room that do not yet count
        needed = min(whole - there, whole * missing)
        videos, rates = self.units
        check_room(self.folder, needed, f"{videos} videos, {rates} rates and {self.num_clips} clips each")

    def _size(self, name: str) -> int:
        path = self.folder / name
        return path.stat().st_size if path.exists() else 0

    @property
    def num_bytes(self) -> int:
        """Size of all features of the cache."""
        kind, shape = self._layout["features"]
        return int(np.dtype(kind).itemsize * np.prod(shape))

    def missing(self) -> list[tuple[int, int]]:
        """Video number and place of the rate of whatever is not yet written; `made` must be true."""
        return self._marked(0)

    def replaced(self) -> list[tuple[int, int]]:
        """The same of units that show another video, wholly or in part, since theirs could not be read."""
        return self._marked(_REPLACED)

    def _marked(self, mark: int) -> list[tuple[int, int]]:
        done = np.fromfile(self.folder / "done", dtype=np.uint8).reshape(self.units)
        return [(int(video), int(rate)) for video, rate in np.argwhere(done == mark)]

    @property
    def writable(self) -> bool:
        """Whether anything can be written to it at all."""
        try:
            with (self.folder / "done").open("r+b"):
                return True
        except OSError as error:
            if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
                return False
            raise

    def draws(self, video: int, rate: int) -> list[Draw]:
        """The M clips of a video at a rate; the same for every run, whatever its seed."""
        return [Draw(video, self.rates[rate], (0, video, rate, clip)) for clip in range(self.num_clips)]

    def write(self, video: int, rate: int, features: Tensor, labels: Tensor, index: Tensor) -> None:
        """Store the clips of a video at a rate; they count once `commit` was called.

        A unit with clips that show another video, since this one cannot be read, has a mark of its own, see `replaced`.

        Args:
            video: number.
            rate: place of the rate.
            features: float (M, D, T', H', W').
            labels: (M, K).
            index: (M,), which videos the clips really show, where a video cannot be read.
        """
        bits = features.to(torch.bfloat16).cpu().contiguous().view(torch.int16)
        for name, value in {"features": bits, "labels": labels, "index": index}.items():
            kind, shape = self._layout[name]
            array = value.cpu().numpy().astype(kind)
            if array.shape != shape[2:]:
                raise ValueError(f"{name} must have shape {shape[2:]}, got {array.shape}")
            self._put(name, video, rate, array)
        self._written.append((video, rate, _DONE if bool((index == video).all()) else _REPLACED))

    def commit(self) -> None:
        """Bring what was written to the disk, and only then say that it is there."""
        for name in self._layout:
            if name == "done":
                for video, rate, mark in self._written:
                    self._put(name, video, rate, np.array(mark, np.uint8))
            with self._changing(name) as file:
                os.fsync(file.fileno())
        self._written = []

    def _put(self, name: str, video: int, rate: int, array: NDArray[Any]) -> None:
        # written, not mapped: processes of several machines may share the file
        with self._changing(name) as file:
            file.seek((video * self.units[1] + rate) * array.nbytes)
            file.write(array.tobytes())

    @contextmanager
    def _changing(self, name: str) -> Iterator[BinaryIO]:
        """A file of the cache to write to; its errors say which, since a full disk has no name of its own."""
        path = self.folder / name
        try:
            with path.open("r+b") as file:
                yield file
        except OSError as error:
            raise OSError(error.errno, f"the feature cache cannot be written: {error.strerror}", str(path)) from error

    def read(self, video: int, rate: int, clip: int) -> tuple[Tensor, Tensor, int]:
        """Features bfloat16 (D, T', H', W'), labels float32 (K,) and the number of the video shown."""
        if not self._columns:
            self._columns = {
                name: np.memmap(self.folder / name, dtype=kind, mode="r", shape=shape)
                for name, (kind, shape) in self._layout.items()
            }
        at = (video, rate, clip)
        features = torch.from_numpy(np.array(self._columns["features"][at])).view(torch.bfloat16)
        return features, torch.from_numpy(np.array(self._columns["labels"][at])), int(self._columns["index"][at])

    def __getstate__(self) -> dict[str, Any]:
        """Without the maps: each process opens its own."""
        return {**self.__dict__, "_columns": {}}


class CachedClips(Dataset[dict[str, Any]]):
    """Cached features in the place of training clips: for each `Draw` one of the M clips of that video and rate.

    Args:
        cache: opened before the first sample is read.
        num_videos: n.
    """

    def __init__(self, cache: FeatureCache, num_videos: int) -> None:
        self.cache, self.num_videos = cache, num_videos

    def __len__(self) -> int:
        return self.num_videos

    def __getitem__(self, draw: Draw) -> dict[str, Any]:
        """`clips` bfloat16 (1, D, T', H', W'), features in fact; the rest as in `TrainClips`."""
        clip = int(np.random.default_rng(draw.key).integers(self.cache.num_clips))
        features, labels, index = self.cache.read(draw.number, self.cache.rates.index(draw.rate), clip)
        return {"clips": features[None], "labels": labels, "index": index, "rate": draw.rate, "broken": {}}


def fingerprint(videos: Iterable[Video]) -> str:
    """Hash of what training clips take from videos: names, labels, intervals, windows, size and time of change of files."""
    digest = hashlib.sha256()
    for video in videos:
        facts = (
            video.name,
            video.labels.tolist(),
            video.intervals.tolist(),
            video.window,
            content_stamp(video.path),
        )
        digest.update(repr(facts).encode())
    return digest.hexdigest()
