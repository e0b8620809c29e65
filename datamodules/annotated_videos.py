"""Anybody's videos: one annotation file of video, label, start and end."""

from pathlib import Path
from typing import Any

from clips.video_table import VideoTable
from datamodules.annotations import read_annotations
from datamodules.base import Split, VideoDataModule
from datamodules.files import check_disjoint, read_list


class AnnotatedVideosDataModule(VideoDataModule):
    """Videos with timed or untimed labels from one CSV or JSON file.

    The format is that of `datamodules.annotations.read_annotations`; `docs/own_data.md` shows an example.

    Args:
        annotations: CSV or JSON file.
        root: folder that the video paths are relative to; by default the folder of the annotation file.
        labels: text file with one label a line, in the order of the outputs; by default the labels that occur, sorted.
        splits: split name (train, val, test) -> text file with one video a line; by default the column `split`.
        outside_root: allow video paths that are absolute or lead out of `root` by `..`; links in it may lead anywhere.
        **kwargs: see `VideoDataModule`.

    Raises:
        ValueError: naming file and row of what is wrong.
    """

    def __init__(
        self,
        annotations: Path,
        root: Path | None = None,
        labels: Path | None = None,
        splits: dict[Split, Path] | None = None,
        outside_root: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.annotations = read_annotations(annotations, outside_root=outside_root)
        self.root = root or annotations.parent
        self.label_names = read_list(labels) if labels else self.annotations.labels()
        unknown = sorted(set(self.annotations.splits) - {"", "train", "val", "test"})
        if unknown and splits is None:
            raise ValueError(f"{annotations}: unknown split {unknown[0]!r}; expected train, val or test")
        self.splits: dict[str, list[str]] = {split: read_list(path) for split, path in (splits or {}).items()}
        check_disjoint(self.splits)

    def read_split(self, split: Split) -> VideoTable:
        """The videos of a split, from its list or from the split column."""
        if self.splits:
            return self.annotations.videos(self.splits.get(split, ()), self.label_names, self.root)
        return self.annotations.split_videos(split, self.label_names, self.root)
