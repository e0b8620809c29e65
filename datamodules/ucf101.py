"""UCF-101."""

from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Any, Literal

from annotations.label_names import label_names
from annotations.records import AnnotatedVideo
from annotations.ucf101 import read_ucf101
from clips.targets import Video
from clips.video_table import VideoTable
from datamodules.base import Split, VideoDataModule
from datamodules.files import VideoFiles, check_disjoint


class UCF101DataModule(VideoDataModule):
    """UCF-101: 101 activities, one a video, in three official folds; results are the mean over the folds.

    There is no validation split; the groups of videos from one source (g01 to g25) never cross a split. Videos are named
    `CLASS/v_CLASS_g01_c01`.

    Args:
        root: folder of the videos, `root/CLASS/v_CLASS_g01_c01.avi` or all in one; or of a folder of frames each.
        lists: folder of the official lists, `ucfTrainTestlist`.
        fold: 1, 2 or 3.
        **kwargs: see `VideoDataModule`.
    """

    def __init__(self, root: Path, lists: Path, fold: Literal[1, 2, 3] = 1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.label_names = label_names("ucf101")
        self.root, self.lists, self.fold = root, lists, fold

    def read_split(self, split: Split) -> VideoTable:
        """The training or test videos of the fold.

        Raises:
            ValueError: if both lists of the fold have a video.
        """
        if split == "val":
            return VideoTable.from_videos([])
        records = {
            side: read_ucf101(self.lists / f"{side}list{self.fold:02d}.txt", self.label_names)
            for side in ("train", "test")
        }
        check_disjoint({side: [record.name for record in listed] for side, listed in records.items()})
        return VideoTable.from_videos(class_videos(self.root, records[split]))


def class_videos(root: Path, records: Iterable[AnnotatedVideo]) -> Iterator[Video]:
    """Videos named `CLASS/x`: the file or folder x of `root/CLASS`, or of `root` if there is no such folder."""
    files = cache(VideoFiles)
    for record in records:
        label, _, name = record.name.partition("/")
        folder = root / label
        path = files(folder if folder.is_dir() else root).path(name, record.where)
        yield Video(record.name, path, record.labels, record.intervals)
