"""One folder a class, as Kinetics and UCF-101 are usually stored."""

from pathlib import Path
from typing import Any

import numpy as np

from annotations.values import read_text
from clips.ragged import Ragged, Texts, narrow
from clips.video_table import VideoTable
from datamodules.base import Split, VideoDataModule
from datamodules.files import SUFFIXES, check_disjoint, leaves_root, read_list


class FolderDataModule(VideoDataModule):
    """Videos with one label each, named by their folder: `root/train/CLASS/x.mp4`, or `root/CLASS/x.mp4` with lists.

    Args:
        root: folder of the splits, or of the classes when `splits` is given.
        splits: split name (train, val, test) -> text file with one path relative to `root` a line, such as `CLASS/x.mp4`
            (a class number behind the path, as in the lists of UCF-101, is not read).
        labels: text file with one class a line, in the order of the outputs; by default the folders, sorted.
        outside_root: allow listed paths that are absolute or lead out of `root` by `..`; links in it may lead anywhere.
        **kwargs: see `VideoDataModule`.

    Raises:
        ValueError: if there is no class folder, a listed video lies in an unknown one, or a list repeats a video or leaves
            the root.
    """

    def __init__(
        self,
        root: Path,
        splits: dict[Split, Path] | None = None,
        labels: Path | None = None,
        outside_root: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.root = root
        if not root.is_dir():
            raise ValueError(f"root {root} is not a folder")
        self.splits: dict[str, list[str]] = {}
        for split, path in (splits or {}).items():
            self.splits[split] = [_without_class_number(line) for line in read_list(path)]
            outside = next(filter(leaves_root, self.splits[split]), None)
            if outside is not None and not outside_root:
                lines = [_without_class_number(line.strip()) for line in read_text(path).splitlines()]
                raise ValueError(
                    f"{path}, line {lines.index(outside) + 1}: video {outside!r} leads out of root {root}; expected a path "
                    "below it: move or link the video there and correct the line, or, if you trust the list, set "
                    "outside_root: true"
                )
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

    def read_split(self, split: Split) -> VideoTable:
        """The videos of a split; their one label is their folder."""
        names = self.splits.get(split, [])
        number = {label: k for k, label in enumerate(self.label_names)}
        labels = narrow(np.array([number[Path(name).parent.name] for name in names], np.int64))
        one_each, whole = np.arange(len(names) + 1), np.tile([0.0, np.inf], (len(names), 1))
        return VideoTable.from_folder(self.root, Texts.pack(names), Ragged(labels, one_each), Ragged(whole, one_each))


def _without_class_number(line: str) -> str:
    head, _, tail = line.rpartition(" ")
    return head if head and tail.isdigit() else line
