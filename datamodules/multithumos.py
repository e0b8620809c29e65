"""MultiTHUMOS: dense activities of the videos of THUMOS'14."""

from pathlib import Path
from typing import Any, Literal

from annotations.actions_json import read_actions_json
from annotations.interval_files import read_interval_files
from annotations.label_names import label_names
from annotations.records import AnnotatedVideo
from clips.dataset import PastEnd
from clips.targets import Video
from datamodules.base import Split, VideoDataModule
from datamodules.files import VideoFiles, check_disjoint, read_list

# Trained on the validation videos of THUMOS'14, because its training videos are clips of one activity.
_PREFIX = {"train": "video_validation_", "val": "video_test_"}


class MultiThumosDataModule(VideoDataModule):
    """MultiTHUMOS: 65 sports activities, dense in time; 200 training videos, tested on the 213 test videos.

    Args:
        annotations: folder of the 65 files `CLASS.txt`, or `multithumos.json`.
        train_root: folder of the validation videos of THUMOS'14 (`video_validation_0000266.mp4`).
        val_root: folder of its test videos (`video_test_0000004.mp4`).
        splits: split name (train, val) -> text file with one video a line; by default the videos of the annotations that
            are named `video_validation_` and `video_test_`.
        past_end: some intervals end after their video, so they are cut there; see `VideoDataModule`.
        **kwargs: see `VideoDataModule`.
    """

    def __init__(
        self,
        annotations: Path,
        train_root: Path,
        val_root: Path,
        splits: dict[Literal["train", "val"], Path] | None = None,
        past_end: PastEnd = "clip",
        **kwargs: Any,
    ) -> None:
        super().__init__(past_end=past_end, **kwargs)
        self.label_names = label_names("multithumos")
        self.annotations = annotations
        self.roots = {"train": train_root, "val": val_root}
        self.splits: dict[str, list[str]] = {split: read_list(path) for split, path in (splits or {}).items()}
        check_disjoint(self.splits)

    def read_split(self, split: Split) -> list[Video]:
        """The training or validation videos; there is no other split.

        Raises:
            ValueError: if a list names a video without annotation, or a video is named otherwise and there are no lists.
        """
        if split == "test":
            return []
        records = {record.name: record for record in self._records()}
        files, videos = VideoFiles(self.roots[split]), []
        for name in self.splits.get(split, []) if self.splits else _named(split, list(records)):
            if name not in records:
                raise ValueError(f"video {name!r} of the {split} list has no annotation in {self.annotations}")
            videos.append(
                Video(name, files.path(name, records[name].where), records[name].labels, records[name].intervals)
            )
        return videos

    def _records(self) -> list[AnnotatedVideo]:
        if self.annotations.is_dir():
            return read_interval_files(sorted(self.annotations.glob("*.txt")), self.label_names)
        return read_actions_json(self.annotations, num_labels=self.num_labels, first_id=1)


def _named(split: Split, names: list[str]) -> list[str]:
    other = [name for name in names if not name.startswith(tuple(_PREFIX.values()))]
    if other:
        raise ValueError(
            f"video {other[0]!r} is named neither {' nor '.join(_PREFIX.values())}...; give lists as `splits`"
        )
    return [name for name in names if name.startswith(_PREFIX[split])]
