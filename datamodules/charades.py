"""Charades, and for training also Charades-Ego."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any

from annotations.charades import iterate_charades
from annotations.label_names import label_names
from clips.dataset import PastEnd
from clips.targets import Video
from clips.video_table import VideoTable
from datamodules.base import Split, VideoDataModule
from datamodules.files import VideoFiles, check_disjoint


class CharadesDataModule(VideoDataModule):
    """Charades v1: 157 activities of everyday life at home, several at a time; tested on its test list.

    Videos without activity are kept: they are negatives of all labels in training, and in the test what the metric says.
    An interval that ends before it starts labels its video but no clip.

    Args:
        train: `Charades_v1_train.csv`, or `charades.json`.
        val: `Charades_v1_test.csv`, or `charades.json`.
        root: folder of the videos (`Charades_v1_480`), or of a folder of frames each (`Charades_v1_rgb`, 24 a second).
        ego_train: `CharadesEgo_v1_train.csv`, whose videos are then trained on as well, as `ego/ID`; never tested on.
        ego_root: folder of the videos of Charades-Ego.
        past_end: a third of the intervals end after their video, so they are cut there; see `VideoDataModule`.
        **kwargs: see `VideoDataModule`.

    Raises:
        ValueError: if only one of `ego_train` and `ego_root` is given.
    """

    def __init__(
        self,
        train: Path,
        val: Path,
        root: Path,
        ego_train: Path | None = None,
        ego_root: Path | None = None,
        past_end: PastEnd = "clip",
        **kwargs: Any,
    ) -> None:
        super().__init__(past_end=past_end, **kwargs)
        if (ego_train is None) != (ego_root is None):
            raise ValueError(f"ego_train and ego_root belong together, got {ego_train} and {ego_root}")
        self.label_names = label_names("charades")
        self.train, self.val, self.root = train, val, root
        self.ego_train, self.ego_root = ego_train, ego_root

    def read_split(self, split: Split) -> Sequence[Video]:
        """The training or validation videos; Charades has no public labels for another split."""
        if split == "test":
            return []
        val = charades_videos(self.val, self.root, "val")
        if split == "val":
            return val
        train = charades_videos(self.train, self.root, "train")
        check_disjoint({"train": train.names(), "val": val.names()})
        if self.ego_train is None or self.ego_root is None:
            return train
        return VideoTable.from_videos(chain(train, self._ego(self.ego_train, self.ego_root, set(val.names()))))

    def _ego(self, annotations: Path, root: Path, val: set[str]) -> Iterator[Video]:
        """The videos of Charades-Ego, named `ego/ID`, since an ID may also be that of another video of Charades."""
        for video in charades_videos(annotations, root, "train"):
            name = f"ego/{video.name}"
            if video.name in val and name not in self.left_out:
                raise ValueError(
                    f"{annotations}: training video {name!r} has the id of a validation video of {self.val}; if it "
                    f"shows the same, training on it would spoil the test: add {name!r} to the list leave_out"
                )
            yield replace(video, name=name)


def charades_videos(annotations: Path, root: Path, split: Split) -> VideoTable:
    """The videos of a file in the format of Charades, their files under `root`; of a JSON file those of the split.

    Raises:
        ValueError: if the JSON file has no video of the split.
    """
    files, subset = VideoFiles(root), {"train": "training", "val": "testing"}[split]
    videos = VideoTable.from_videos(
        Video(record.name, files.path(record.name, record.where), record.labels, record.intervals)
        for record in iterate_charades(annotations)
        if record.subset in ("", subset)
    )
    if not videos:
        raise ValueError(f"{annotations} has no video whose subset is {subset}")
    return videos
