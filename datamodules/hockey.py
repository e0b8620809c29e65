"""Hockey: 11 activities of ice hockey, several at a time."""

from pathlib import Path
from typing import Any

from clips.video_table import VideoTable
from datamodules.annotations import read_annotations
from datamodules.base import Split, VideoDataModule
from datamodules.files import read_list

NUM_LABELS = 11


class HockeyDataModule(VideoDataModule):
    """Hockey (Carbonneau et al. 2015), with the 11 activities of Sozykin et al. (https://arxiv.org/abs/1709.01421).

    The videos and labels come from their authors, in no published file format: write one table of video, label, start, end
    and split, as `datamodules.annotations.read_annotations` reads it.

    Args:
        annotations: CSV or JSON file with one row for each labelled interval; `split` is train, val or test.
        labels: text file with the 11 activities, one a line, in the order of the outputs.
        root: folder that the video paths are relative to; by default the folder of the annotation file.
        **kwargs: see `VideoDataModule`.

    Raises:
        ValueError: if there are not 11 labels, or naming file and row of what is wrong.
    """

    def __init__(self, annotations: Path, labels: Path, root: Path | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.label_names = read_list(labels)
        if len(self.label_names) != NUM_LABELS:
            raise ValueError(f"{labels}: expected the {NUM_LABELS} activities, one a line, got {len(self.label_names)}")
        self.annotations = read_annotations(annotations)
        self.root = root or annotations.parent
        unknown = sorted(set(self.annotations.splits) - {"train", "val", "test"})
        if unknown:
            raise ValueError(f"{annotations}: expected split train, val or test in each row, got {unknown[0]!r}")

    def read_split(self, split: Split) -> VideoTable:
        """The videos of a split, from the split column."""
        return self.annotations.split_videos(split, self.label_names, self.root)
