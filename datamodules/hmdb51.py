"""HMDB-51."""

from pathlib import Path
from typing import Any, Literal

from annotations.hmdb51 import read_hmdb51
from annotations.label_names import label_names
from clips.video_table import VideoTable
from datamodules.base import Split, VideoDataModule
from datamodules.ucf101 import class_videos


class HMDB51DataModule(VideoDataModule):
    """HMDB-51: 51 activities, one a video, in three official folds; results are the mean over the folds.

    A fold has 70 training and 30 test videos of each class and leaves the others out; there is no validation split. Videos
    are named `CLASS/video`.

    Args:
        root: folder of the videos, `root/CLASS/video.avi` or all in one; or of a folder of frames each.
        lists: folder of the official lists, `testTrainMulti_7030_splits`.
        fold: 1, 2 or 3.
        **kwargs: see `VideoDataModule`.
    """

    def __init__(self, root: Path, lists: Path, fold: Literal[1, 2, 3] = 1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.label_names = label_names("hmdb51")
        self.root, self.lists, self.fold = root, lists, fold

    def read_split(self, split: Split) -> VideoTable:
        """The training or test videos of the fold."""
        if split == "val":
            return VideoTable.from_videos([])
        records = read_hmdb51(self.lists, self.fold, self.label_names)
        return VideoTable.from_videos(class_videos(self.root, (record for record in records if record.subset == split)))
