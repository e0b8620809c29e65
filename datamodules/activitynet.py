"""ActivityNet 1.3."""

from pathlib import Path
from typing import Any

from annotations.activitynet import read_activitynet
from annotations.label_names import label_names
from clips.dataset import PastEnd
from clips.targets import Video
from clips.video_table import VideoTable
from datamodules.base import Split, VideoDataModule
from datamodules.files import VideoFiles

_SUBSET = {"train": "training", "val": "validation"}


class ActivityNetDataModule(VideoDataModule):
    """ActivityNet 1.3: 200 activities in untrimmed videos, labelled where their segments are; tested on validation.

    The labels of the testing subset are withheld, so it is never a split here; `predict` reads its videos.

    Args:
        annotations: the official JSON file, such as `activity_net.v1-3.min.json`, or its reduced form.
        roots: folders of the videos, named `v_ID.mp4` or with another suffix; the archives unpack into several.
        subsets: CSV file of the subsets, only for the reduced form; see `annotations.activitynet`.
        past_end: some segments end after their video, so they are cut there; see `VideoDataModule`.
        **kwargs: see `VideoDataModule`; videos that are no longer to be had go into the list `leave_out`.

    Raises:
        ValueError: if `roots` is empty.
    """

    def __init__(
        self,
        annotations: Path,
        roots: list[Path],
        subsets: Path | None = None,
        past_end: PastEnd = "clip",
        **kwargs: Any,
    ) -> None:
        super().__init__(past_end=past_end, **kwargs)
        if not roots:
            raise ValueError("roots must name at least one folder of videos, got none")
        self.label_names = label_names("activitynet")
        self.annotations, self.roots, self.subsets = annotations, roots, subsets

    def read_split(self, split: Split) -> VideoTable:
        """The training or validation videos.

        Raises:
            ValueError: if the annotations do not state the subsets, or a video lies in two folders.
        """
        if split == "test":
            return VideoTable.from_videos([])
        records = read_activitynet(self.annotations, self.label_names, self.subsets)
        if any(not record.subset for record in records):
            raise ValueError(f"{self.annotations} does not state the subsets; give the CSV file of them as `subsets`")
        folders = [VideoFiles(root) for root in self.roots]
        return VideoTable.from_videos(
            Video(record.name, _path(folders, f"v_{record.name}", record.where), record.labels, record.intervals)
            for record in records
            if record.subset == _SUBSET[split]
        )


def _path(folders: list[VideoFiles], name: str, where: str) -> Path:
    paths = [folder.path(name, where) for folder in folders]
    found = [path for path in paths if path.exists()]
    if len(found) > 1:
        raise ValueError(f"video {name!r} is there twice: {found[0]} and {found[1]}; keep one")
    return (found or paths)[0]
