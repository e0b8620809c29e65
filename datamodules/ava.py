"""AVA: every second of a movie, with a box around each person and what each does."""

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from annotations.ava import keyframes, read_boxes, read_excluded, read_label_map
from annotations.label_names import label_names
from clips.targets import Video
from clips.video_table import VideoTable
from datamodules.base import Split, VideoDataModule
from datamodules.files import VideoFiles

Persons = dict[tuple[float, ...], list[int]]


class AvaDataModule(VideoDataModule):
    """AVA v2.1 or v2.2: one video for each annotated second, all its clips within a window around that instant.

    Videos are named `MOVIE/0902`. Their labels are those of all persons together; who does what is in `Video.boxes` and
    `Video.box_labels`. The metric reads the same official files.

    Args:
        annotations: split name (train, val, test) -> official CSV file; without `test` the tests are on `val`.
        root: folder of the movies (`root/MOVIE.mkv`), or of a folder of frames each (`root/MOVIE/MOVIE_000001.jpg`).
        excluded: split name -> official CSV file of keyframes that do not count; they are left out.
        label_map: official `.pbtxt` file of the actions to recognise, such as the 60 of the challenge, which are then the
            outputs, by rising number; by default all 80. Persons without any of them stay, without label.
        detections: CSV file of detected persons with scores, to test on instead of the annotated ones: on every keyframe
            of a movie of the split with a detection that counts. They have no `box_labels`.
        min_score: lowest score of a detection that counts.
        keyframe_span: seconds around the keyframe that clips lie in.
        video_start: second of the movie at which the files begin: 0 for whole movies, 900 for the cuts of 15 minutes and the
            frames extracted from them.
        **kwargs: see `VideoDataModule`.

    Raises:
        ValueError: if an argument is out of range, or an official file cannot be read.
    """

    left_out_below = True

    def __init__(
        self,
        annotations: dict[Split, Path],
        root: Path,
        excluded: dict[Split, Path] | None = None,
        label_map: Path | None = None,
        detections: Path | None = None,
        min_score: float = 0.8,
        keyframe_span: float = 2.0,
        video_start: float = 0.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if keyframe_span <= 0 or video_start < 0:
            raise ValueError(
                f"keyframe_span must be positive and video_start from 0 on, got {keyframe_span} and {video_start} s"
            )
        names = read_label_map(label_map) if label_map else dict(enumerate(label_names("ava"), 1))
        self.label_names = list(names.values())
        self.outputs = {action: k for k, action in enumerate(names)}
        self.annotations, self.excluded, self.root = annotations, excluded or {}, root
        self.detections, self.min_score = detections, min_score
        self.keyframe_span, self.video_start = keyframe_span, video_start

    def read_split(self, split: Split) -> VideoTable:
        """The keyframes of a split, in the order of its file."""
        source: Split = split if split in self.annotations or split != "test" else "val"
        if source not in self.annotations:
            return VideoTable.from_videos([])
        boxes = read_boxes(self.annotations[source], scored=False)
        annotated = keyframes(boxes)
        lines = dict(zip(reversed(boxes.videos), boxes.lines[::-1].tolist(), strict=True))  # the first of each movie
        excluded = read_excluded(self.excluded[source]) if source in self.excluded else set()
        detected = self._detected({movie for movie, _ in annotated}) if split == "test" and self.detections else None
        path, file = cache(VideoFiles(self.root).path), self.annotations[source]
        return VideoTable.from_videos(
            self._video(
                path(key[0], f"{file}, line {lines[key[0]]}"),
                key,
                annotated.get(key, {}),
                detected[key] if detected is not None else None,
            )
            for key in (annotated if detected is None else detected)
            if key not in excluded
        )

    def _detected(self, movies: set[str]) -> dict[tuple[str, int], Persons]:
        """Detections that count, on the movies of a split."""
        assert self.detections is not None
        frames = keyframes(read_boxes(self.detections, scored=True), self.min_score)
        found = {key: persons for key, persons in frames.items() if key[0] in movies}
        if not found:
            raise ValueError(
                f"{self.detections} has no detection with a score of {self.min_score:g} or more on the {len(movies)} movies "
                "of the split; check that both are of one split"
            )
        return found

    def _video(self, path: Path, key: tuple[str, int], annotated: Persons, detected: Persons | None) -> Video:
        movie, second = key
        middle, half = second - self.video_start, self.keyframe_span / 2
        if middle < 0:
            raise ValueError(
                f"keyframe {movie},{second} is before video_start {self.video_start:g}; correct video_start"
            )
        multi_hot = np.zeros((len(annotated), self.num_labels), np.int64)
        for person, actions in enumerate(annotated.values()):
            multi_hot[person, [self.outputs[action] for action in actions if action in self.outputs]] = 1
        labels = np.flatnonzero(multi_hot.any(axis=0))
        return Video(
            f"{movie}/{second:04d}",
            path,
            labels,
            np.tile([0.0, np.inf], (len(labels), 1)),
            window=(max(0.0, middle - half), middle + half),
            boxes=np.array(list(annotated if detected is None else detected), np.float32),
            box_labels=multi_hot if detected is None else None,
        )
