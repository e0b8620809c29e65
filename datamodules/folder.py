"""One folder a class, as Kinetics and UCF-101 are usually stored."""

from pathlib import Path
from typing import Any

import numpy as np

from clips.targets import Video
from datamodules.base import Split, VideoDataModule
from datamodules.files import SUFFIXES, check_disjoint, read_list


class FolderDataModule(VideoDataModule):
    """Videos with one label each, named by their folder: `root/train/CLASS/x.mp4`, or `root/CLASS/x.mp4` with lists.

    Args:
        root: folder of the splits, or of the classes when `splits` is given.
        splits: split name (train, val, test) -> text file with one path relative to `root` a line, such as `CLASS/x.mp4`
            (a class number behind the path, as in the lists of UCF-101, is not read).
        labels: text file with one class a line, in the order of the outputs; by default the folders, sorted.
        **kwargs: see `VideoDataModule`.

    Raises:
        ValueError: if there is no class folder, a listed video lies in an unknown one, or a list repeats a video.
    """

    def __init__(
        self,
        root: Path,
        splits: dict[Split, Path] | None = None,
        labels: Path | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.root = root
        if not root.is_dir():
            raise ValueError(f"root {root} is not a folder")
        self.splits: dict[str, list[str]] = {}
        for split, path in (splits or {}).items():
            self.splits[split] = [_without_class_number(line) for line in read_list(path)]
        if splits is None:
            for split in ("train", "val", "test"):
                files = sorted((root / split).glob("*/*"))
                self.splits[split] = [str(f.relative_to(root)) for f in files if f.suffix.lower() in SUFFIXES]
        folders = {Path(name).parent.name for names in self.splits.values() for name in names}
        self.label_names = read_list(labels) if labels else sorted(folders)
        if not self.label_names:
            raise ValueError(
                f"no video in {root}; expected {root}/train/CLASS/video.mp4, or {root}/CLASS/video.mp4 with `splits`"
            )
        unknown = sorted(folders - set(self.label_names))
        if unknown:
            raise ValueError(f"videos lie in folder {unknown[0]!r}, which is not among the labels of {labels}")
        check_disjoint(self.splits)

    def read_split(self, split: Split) -> list[Video]:
        """The videos of a split; their one label is their folder."""
        number = {label: k for k, label in enumerate(self.label_names)}
        whole = np.array([[0.0, np.inf]])
        return [
            Video(name, self.root / name, np.array([number[Path(name).parent.name]]), whole)
            for name in self.splits.get(split, [])
        ]


def _without_class_number(line: str) -> str:
    head, _, tail = line.rpartition(" ")
    return head if head and tail.isdigit() else line
