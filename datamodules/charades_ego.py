"""Charades-Ego: the same activities from the first and the third person."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from annotations.label_names import label_names
from clips.dataset import PastEnd
from clips.targets import Video
from datamodules.base import Split, VideoDataModule
from datamodules.charades import charades_videos
from datamodules.files import check_disjoint


class CharadesEgoDataModule(VideoDataModule):
    """Charades-Ego v1: the 157 labels of Charades; a video of the first person is named ID + `EGO`, its pair ID.

    Args:
        train: `CharadesEgo_v1_train.csv`, or its part `CharadesEgo_v1_train_only1st.csv` or `..._only3rd.csv`.
        val: `CharadesEgo_v1_test.csv`, or a part; published numbers are those of `CharadesEgo_v1_test_only1st.csv`.
        root: folder of all videos (`CharadesEgo_v1_480`), or of a folder of frames each.
        past_end: real intervals end after their video, so they are cut there; see `VideoDataModule`.
        **kwargs: see `VideoDataModule`.
    """

    def __init__(self, train: Path, val: Path, root: Path, past_end: PastEnd = "clip", **kwargs: Any) -> None:
        super().__init__(past_end=past_end, **kwargs)
        self.label_names = label_names("charades")
        self.train, self.val, self.root = train, val, root

    def read_split(self, split: Split) -> Sequence[Video]:
        """The training or validation videos; there is no other split."""
        if split == "test":
            return []
        val = charades_videos(self.val, self.root, "val")
        if split == "val":
            return val
        videos = charades_videos(self.train, self.root, "train")
        check_disjoint({"train": videos.names(), "val": val.names()})
        return videos
