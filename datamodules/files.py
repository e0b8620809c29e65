"""Which files of a folder are videos, and lists of them."""

import os
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePath

import numpy as np

from annotations.values import read_text
from clips.targets import Video

SUFFIXES = {".mp4", ".avi", ".mkv", ".webm", ".mov", ".m4v", ".mpg", ".mpeg", ".ts", ".wmv", ".flv", ".3gp"}


def read_list(path: Path) -> list[str]:
    """Non-empty lines of a text file in UTF-8.

    Raises:
        ValueError: if the file does not exist, is no text, is empty, or repeats a line.
    """
    if not path.is_file():
        problem = "is a folder" if path.is_dir() else "does not exist"
        raise ValueError(
            f"list file {path} {problem}; expected a text file with one entry a line: correct its path, or write it"
        )
    lines = [line.strip() for line in read_text(path).split("\n") if line.strip()]
    if not lines:
        raise ValueError(f"list file {path} is empty; expected one entry a line")
    repeated = next((line for line, count in Counter(lines).items() if count > 1), None)
    if repeated is not None:
        raise ValueError(f"list file {path} names {repeated!r} more than once; remove the repeats")
    return lines


def leaves_root(name: str) -> bool:
    """Whether a path, taken as relative to a folder, may lead out of it: it is absolute, or has a step `..`.

    Its text decides. After a link a step up leads where the link's maker did not mean, so `a/../b` is refused as well.
    """
    if ".." not in name and ":" not in name and not name.startswith(("/", "\\")):
        return False
    path = PurePath(name)
    return bool(path.anchor) or ".." in path.parts


def list_videos(path: Path) -> list[Path]:
    """The videos that a path stands for: a video file, a folder (searched below), or a text file of paths.

    Relative paths in a text file are relative to the folder of that file.

    Raises:
        ValueError: if the path does not exist or stands for no video.
    """
    if path.is_dir():
        videos = sorted(file for file in path.rglob("*") if file.suffix.lower() in SUFFIXES)
    elif path.suffix.lower() in {".txt", ".list", ".lst"}:
        videos = [path.parent / line for line in read_list(path)]
    else:
        videos = [path]
    if not videos:
        raise ValueError(f"no video under {path}; known suffixes are {sorted(SUFFIXES)}")
    missing = [video for video in videos if not video.is_file()]
    if missing:
        raise ValueError(f"{len(missing)} of {len(videos)} videos do not exist, the first: {missing[0]}")
    return videos


def to_predict(path: Path | None) -> list[Video]:
    """Records without labels of the videos that a path stands for, as `list_videos`.

    Raises:
        ValueError: if there is no path, or it stands for no video.
    """
    if path is None:
        raise ValueError("predict is not set; give a video, a folder or a list: --data.predict PATH")
    nothing = (np.empty(0, np.int64), np.empty((0, 2), np.float64))
    return [Video(str(video), video, *nothing) for video in list_videos(path)]


class VideoFiles:
    """The videos of a folder by their name without suffix: files, or folders of frames.

    What a file of annotations names lies in the folder, or is refused; links in the folder may lead anywhere.

    Args:
        root: the folder; not searched below.

    Raises:
        ValueError: if the root is not a folder.
    """

    def __init__(self, root: Path) -> None:
        if not root.is_dir():
            raise ValueError(
                f"root {root} is not a folder; expected the folder of the videos, or of one folder of frames each"
            )
        self.root = root
        self._files: dict[str, str] = {}
        self._twice: dict[str, set[str]] = {}
        with os.scandir(root) as entries:
            for entry in entries:
                name, _, suffix = entry.name.rpartition(".")
                if not (name and f".{suffix.lower()}" in SUFFIXES):
                    if not entry.is_dir():
                        continue
                    name = entry.name
                if self._files.setdefault(name, entry.name) != entry.name:
                    self._twice.setdefault(name, {self._files[name]}).add(entry.name)

    def path(self, name: str, where: str) -> Path:
        """File or folder of a video; `root/name.mp4` if there is none, for `VideoDataModule` to report with the others.

        Args:
            name: what the annotations call the video.
            where: file and line of the name, for messages.

        Raises:
            ValueError: if two files or folders have the name, or it is a path that leads out of the folder.
        """
        if name in self._twice:
            paths = sorted(str(self.root / file) for file in self._twice[name])
            raise ValueError(f"video {name!r} is there twice: {paths}; keep one")
        file = self._files.get(name, f"{name}.mp4")
        if leaves_root(file):
            raise ValueError(
                f"{where}: video {name!r} leads out of {self.root}; expected the name of a video in that folder: correct the "
                "file, and ask where it came from"
            )
        return self.root / file


def check_disjoint(splits: Mapping[str, Iterable[str]]) -> None:
    """Refuse a video that two splits list.

    Raises:
        ValueError: naming the video and the splits.
    """
    place: dict[str, str] = {}
    for split, names in splits.items():
        for name in names:
            if name in place:
                raise ValueError(f"video {name!r} is in the {place[name]} list and in the {split} list; keep one")
            place[name] = split
