"""Kinetics-400, -600 and -700."""

import os
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, Literal

import numpy as np

from annotations.kinetics import read_kinetics
from annotations.label_names import label_names
from annotations.records import AnnotatedVideo
from clips.targets import Video
from clips.video_table import VideoTable
from datamodules.base import Split, VideoDataModule
from datamodules.files import SUFFIXES, VideoFiles

_SUBSETS = {"train": {"train"}, "val": {"val", "validate", "validation"}, "test": {"test"}}


class KineticsDataModule(VideoDataModule):
    """Kinetics: ten-second clips of 400, 600 or 700 activities, one each.

    Videos are named `youtube_id_000012_000022`, as their files are; `leave_out` takes a list of such names, without
    suffix: those that could not be downloaded.

    Args:
        root: folder of the videos.
        annotations: split name (train, val, test) -> official CSV file of the split; without `test` the tests are on `val`.
            A file without a column `label` cannot be tested on: its videos can be predicted, with `predict`.
        labels: which edition; the 700 of 2020 have the classes of `kinetics700`.
        file_name: where a video lies under the root, without the suffix (any known one, or a folder of frames, is taken).
            `{label}` is found with spaces or with underscores, in any case; it is left out for a video without label.
        **kwargs: see `VideoDataModule`.

    Raises:
        ValueError: if `file_name` has a suffix or an unknown field.
    """

    def __init__(
        self,
        root: Path,
        annotations: dict[Split, Path],
        labels: Literal["kinetics400", "kinetics600", "kinetics700"] = "kinetics400",
        file_name: str = "{split}/{label}/{youtube_id}_{time_start:06d}_{time_end:06d}",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.label_names = label_names(labels)
        self.root, self.annotations = root, annotations
        self.places = file_name.split("/")
        try:
            last = [place.format(**_fields("x", "x", "x", 0, 0)) for place in self.places][-1]
        except (KeyError, IndexError, ValueError) as error:
            fields = ", ".join(_fields("x", "x", "x", 0, 0))
            raise ValueError(
                f"file_name {file_name!r} cannot be filled in ({error!r}); known fields: {fields}"
            ) from error
        if Path(last).suffix in SUFFIXES:
            raise ValueError(f"file_name {file_name!r} must be without its suffix; all of {sorted(SUFFIXES)} are tried")

    def setup(self, stage: str) -> None:
        """Read the splits that the stage needs.

        Raises:
            ValueError: as in `VideoDataModule`, or if the videos of such a split have no labels.
        """
        super().setup(stage)
        for split, videos in self.videos.items():
            unlabelled = videos.take(np.flatnonzero(videos.num_intervals() == 0))
            if split != "predict" and unlabelled:
                raise ValueError(
                    f"video {unlabelled[0].name!r} of the {split} split has no label, because its file has no column label; "
                    "predict these videos (--data.predict), or leave out annotations.test to test on val"
                )

    def read_split(self, split: Split) -> VideoTable:
        """The clips of a split, those that are not there included.

        Raises:
            ValueError: if a row of the file is of another split.
        """
        records = read_kinetics(self.annotations[split], self.label_names) if split in self.annotations else []
        other = next((record for record in records if record.subset not in _SUBSETS[split]), None)
        if other:
            raise ValueError(f"{other.where}: the row is of split {other.subset!r}, but the file is given as {split}")
        whole, none = np.array([[0.0, np.inf]]), np.empty((0, 2))  # a file holds its clip alone; one array for all
        paths = _paths(self.root, split, self.places, records, self.label_names)
        return VideoTable.from_videos(
            Video(record.name, path, record.labels, whole if len(record.labels) else none)
            for record, path in zip(records, paths, strict=True)
        )


def _paths(
    root: Path, split: str, places: list[str], records: list[AnnotatedVideo], label_names: list[str]
) -> Iterator[Path]:
    folders = cache(_folders)

    @cache
    def find(above: tuple[str, ...]) -> tuple[Path, VideoFiles | None]:
        folder = root
        for place in filter(None, above):
            folder = folders(folder).get(_plain(place), folder / place)
        return folder, VideoFiles(folder) if folder.is_dir() else None

    for record in records:
        label = label_names[record.labels[0]] if len(record.labels) else ""
        youtube_id, start, end = record.name.rsplit("_", 2)
        fields = _fields(split, label, youtube_id, int(start), int(end))
        *above, name = (place.format(**fields) for place in places)
        folder, files = find(tuple(above))
        # a missing class is reported by video
        yield files.path(name, record.where) if files else folder / f"{name}.mp4"


def _fields(split: str, label: str, youtube_id: str, time_start: int, time_end: int) -> dict[str, Any]:
    return {
        "split": split,
        "label": label,
        "youtube_id": youtube_id,
        "time_start": time_start,
        "time_end": time_end,
    }


def _folders(parent: Path) -> dict[str, Path]:
    if not parent.is_dir():
        return {}
    with os.scandir(parent) as entries:
        return {_plain(entry.name): Path(entry.path) for entry in entries if entry.is_dir()}


def _plain(name: str) -> str:
    return name.replace("_", " ").lower()
