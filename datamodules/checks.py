"""What is refused of splits before training: repeated, missing and shared videos, and lists that fit nothing."""

import os
from collections.abc import Callable, Iterable
from functools import lru_cache
from itertools import compress, islice
from pathlib import Path

import numpy as np

from clips.video_table import VideoTable
from datamodules.files import read_list

_REMEMBERED = 4096  # files known to exist or not


class LeftOut:
    """The videos that a list leaves out.

    Args:
        path: text file with one video name a line; None leaves out nothing.
        below: whether what stands before the slash of a name stands for all of them, as the movie of AVA's `MOVIE/0902`.

    Raises:
        ValueError: if the file does not exist, is empty, or repeats a line.
    """

    def __init__(self, path: Path | None, below: bool = False) -> None:
        self.path, self._below = path, below
        self._found = dict.fromkeys(read_list(path) if path else (), False)

    def __bool__(self) -> bool:
        return bool(self._found)

    def __contains__(self, name: str) -> bool:
        """Whether a video is listed; remembers what was found."""
        entry = name if name in self._found or not self._below else name.partition("/")[0]
        if entry not in self._found:
            return False
        self._found[entry] = True
        return True

    def check(self) -> None:
        """Refuse names that were in no split, once all were read.

        Raises:
            ValueError: with the first of them and their number.
        """
        unknown = [name for name, found in self._found.items() if not found]
        if unknown:
            raise ValueError(
                f"{self.path} names {len(unknown)} videos that no split has, the first {unknown[0]!r}; write names as the "
                "data set has them, without suffix where it has none, or remove them"
            )


def check_videos(videos: VideoTable, split: str) -> None:
    """Refuse a split that names a video twice, or a file or folder of frames that does not exist.

    Raises:
        ValueError: with the first of them and their number.
    """
    repeated = _first_repeat(videos.names, len(videos))
    if repeated is not None:
        raise ValueError(f"video {repeated!r} is listed twice in the {split} split; remove one of them")
    exists = lru_cache(_REMEMBERED)(os.path.exists)  # many records may show moments of one file
    there = np.fromiter(map(exists, videos.paths()), np.bool_, len(videos))
    missing = videos.take(np.flatnonzero(~there))
    if missing:
        missing[0].path.exists()  # raises where it is for lack of permission
        names_of = ", ".join(islice(missing.names(), 10)) + (", ..." if len(missing) > 10 else "")
        raise ValueError(
            f"{len(missing)} of {len(videos)} videos of the {split} split do not exist, the first: {missing[0].path}; check "
            f"the root folder, or name them in the file that leave_out points to, one a line: {names_of}"
        )


def check_apart(train: VideoTable, test: VideoTable) -> None:
    """Refuse a file that is trained on and tested on.

    Raises:
        ValueError: with the first of them and their number.
    """
    paths = set(test.paths())
    both = train.take(np.flatnonzero(np.fromiter((path in paths for path in train.paths()), np.bool_, len(train))))
    if both:
        raise ValueError(
            f"{len(both)} training videos are of files that are validated or tested on too, the first {both[0].path} (video "
            f"{both[0].name!r}); give each file to one split"
        )


def _first_repeat(texts: Callable[[], Iterable[str]], count: int) -> str | None:
    """The first text that was there before; a million texts are compared as numbers, not held."""
    hashes = np.fromiter(map(hash, texts()), np.int64, count)
    ordered = np.sort(hashes)
    twice = np.isin(hashes, ordered[1:][ordered[1:] == ordered[:-1]])
    seen: set[str] = set()
    for text in compress(texts(), twice.tolist()):
        if text in seen:
            return text
        seen.add(text)
    return None
