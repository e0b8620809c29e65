"""Features of a fixed set of training clips on disk: what a frozen backbone makes of them, computed once.

A cache holds M clips of each video at each rate, drawn as training draws them (start, crop, flip, size), with their
labels. It lies in a folder named by a hash of everything that the features depend on, so that features of other weights,
videos or transforms are never read by mistake, and it is filled in any number of sittings and by any number of processes.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from clips.index_cache import content_stamp
from clips.rate_batches import Draw
from clips.targets import Video

_VERSION = 1


class FeatureCache:
    """Features and labels of n videos x R rates x M clips; `open` must come before anything is read or written.

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
        self._written: list[tuple[int, int]] = []

    def open(
        self, key: dict[str, Any], num_videos: int, rates: Sequence[float], num_labels: int, shape: Sequence[int]
    ) -> None:
        """Find the cache of a key, or make an empty one; several processes may do so at once.

        Args:
            key: what the features depend on; plain values that JSON can hold.
            num_videos: n.
            rates: the R downsampling rates.
            num_labels: K.
            shape: of one clip's features, D, T', H', W'.

        Raises:
            ValueError: if the disk has no room for it.
        """
        self.rates = [float(rate) for rate in rates]
        self.units = (num_videos, len(self.rates))
        clips = (*self.units, self.num_clips)
        key = {**key, "version": _VERSION, "rates": self.rates, "num_clips": self.num_clips}
        key |= {"num_labels": num_labels, "shape": list(shape)}
        self.folder = self.root / hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()[:16]
        # bfloat16 is int16 to NumPy, which has no such type
        self._layout: dict[str, tuple[str, tuple[int, ...]]] = {
            "features": ("<i2", (*clips, *shape)),
            "labels": ("<f4", (*clips, num_labels)),
            "index": ("<i4", clips),
            "done": ("|u1", self.units),
        }
        self._columns = {}
        self._make(key)

    def _make(self, key: dict[str, Any]) -> None:
        """Files of the full size, full of holes: what is not yet written takes no room."""
        sizes = {name: int(np.dtype(kind).itemsize * np.prod(shape)) for name, (kind, shape) in self._layout.items()}
        self.folder.mkdir(parents=True, exist_ok=True)
        there = sum(path.stat().st_blocks * 512 for path in self.folder.iterdir())
        free = shutil.disk_usage(self.folder).free
        if sum(sizes.values()) > there + free:
            raise ValueError(
                f"the feature cache {self.folder} needs {sum(sizes.values()) / 1e9:.1f} GB for {self.units[0]} videos, "
                f"{self.units[1]} rates and {self.num_clips} clips each, but the disk has {(there + free) / 1e9:.1f} GB; "
                "take another folder or fewer clips"
            )
        for name, size in sizes.items():
            path = self.folder / name
            if path.exists() and path.stat().st_size >= size:  # full perhaps, and not ours to write to
                continue
            with path.open("ab") as file:  # never shortens what another process has begun
                if os.fstat(file.fileno()).st_size < size:
                    file.truncate(size)
        if not (self.folder / "key.json").exists():
            (self.folder / "key.json").write_text(json.dumps(key, indent=1) + "\n", encoding="utf-8")

    @property
    def num_bytes(self) -> int:
        """Size of all features of the cache."""
        kind, shape = self._layout["features"]
        return int(np.dtype(kind).itemsize * np.prod(shape))

    def missing(self) -> list[tuple[int, int]]:
        """Video number and place of the rate of whatever is not yet written."""
        done = np.fromfile(self.folder / "done", dtype=np.uint8).reshape(self.units)
        return [(int(video), int(rate)) for video, rate in np.argwhere(done == 0)]

    def draws(self, video: int, rate: int) -> list[Draw]:
        """The M clips of a video at a rate; the same for every run, whatever its seed."""
        return [Draw(video, self.rates[rate], (0, video, rate, clip)) for clip in range(self.num_clips)]

    def write(self, video: int, rate: int, features: Tensor, labels: Tensor, index: Tensor) -> None:
        """Store the clips of a video at a rate; they count once `commit` was called.

        Clips that show another video, since this one cannot be read, are used but never count: the next run tries again.

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
        if bool((index == video).all()):
            self._written.append((video, rate))

    def commit(self) -> None:
        """Bring what was written to the disk, and only then say that it is there."""
        for name in self._layout:
            if name == "done":
                for video, rate in self._written:
                    self._put(name, video, rate, np.ones((), np.uint8))
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
    """Hash of what training clips take from videos: names, labels, intervals, windows, and size and age of the files."""
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
