"""Volleyball: clips of 41 frames, with the activity of the group and the players' actions."""

from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from annotations.label_names import label_names
from annotations.volleyball import VolleyballFrame, read_volleyball
from clips.frame_folder import frame_size
from clips.targets import Video
from datamodules.base import Split, VideoDataModule

# Frames of a clip before and after the annotated one
_AROUND = 20

# The split of the data set's authors, by video
_VIDEOS = {
    "train": (1, 3, 6, 7, 10, 13, 15, 16, 18, 22, 23, 31, 32, 36, 38, 39, 40, 41, 42, 48, 50, 52, 53, 54),
    "val": (0, 2, 8, 12, 17, 19, 24, 26, 27, 28, 30, 33, 46, 49, 51),
    "test": (4, 5, 9, 11, 14, 20, 21, 25, 29, 34, 35, 37, 43, 44, 45, 47),
}


class VolleyballDataModule(VideoDataModule):
    """Volleyball: 4830 clips of 55 games, as folders of the 20 frames before, the annotated one, and the 20 after.

    Videos are named `GAME/FRAME`; a folder without all of its 41 frames is broken. Left and right are labels of the
    group: its configs set `flip: false`.

    Args:
        root: folder of the games, `root/7/annotations.txt` and `root/7/38025/38005.jpg` to `38045.jpg`.
        task: `personal`: which of the 9 actions any player does, multi-label; `group`: which of the 8 activities the two
            teams do, single-label; `boxes`: as `group`, with each player's box, cut at the picture's edge, and actions in
            `Video.boxes` and `Video.box_labels`, whose columns `box_label_names` names.
        folder_fps: the frames carry no time; at 25 a second and with `fps` null or 25, rates count frames.
        **kwargs: see `VideoDataModule`.
    """

    left_out_below = True

    def __init__(
        self,
        root: Path,
        task: Literal["personal", "group", "boxes"] = "personal",
        folder_fps: float | None = 25,
        **kwargs: Any,
    ) -> None:
        super().__init__(folder_fps=folder_fps, **kwargs)
        self.group_names, self.box_label_names = label_names("volleyball_group"), label_names("volleyball_personal")
        self.label_names = self.box_label_names if task == "personal" else self.group_names
        self.root, self.task = root, task

    def read_split(self, split: Split) -> list[Video]:
        """The clips of a split, game by game."""
        videos = []
        for game in map(str, _VIDEOS[split]):
            if game in self.left_out:  # whose annotations may be missing with it
                continue
            frames = read_volleyball(self.root / game / "annotations.txt", self.group_names, self.box_label_names)
            size = self._frame_size(game, frames) if self.task == "boxes" else None
            videos += [self._video(game, frame, size) for frame in frames]
        return videos

    def _video(self, game: str, frame: VolleyballFrame, size: tuple[int, int] | None) -> Video:
        labels = np.unique(frame.actions) if self.task == "personal" else np.array([frame.group])
        intervals = np.tile([0.0, np.inf], (len(labels), 1))
        middle = int(frame.frame)
        video = Video(
            f"{game}/{frame.frame}",
            self.root / game / frame.frame,
            labels,
            intervals,
            frame_numbers=(middle - _AROUND, middle + _AROUND),
        )
        if size is None:
            return video
        box_labels = np.eye(len(self.box_label_names), dtype=np.int64)[frame.actions]
        return replace(video, boxes=_shares(frame, size), box_labels=box_labels)

    def _frame_size(self, game: str, frames: list[VolleyballFrame]) -> tuple[int, int] | None:
        """Width and height of the pictures of a game; None if none of its clips is there, which `setup` reports."""
        folders = (self.root / game / frame.frame for frame in frames)
        folder = next((folder for folder in folders if folder.is_dir()), None)
        if folder is None:
            return None
        height, width = frame_size(folder)
        return width, height


def _shares(frame: VolleyballFrame, size: tuple[int, int]) -> NDArray[np.float32]:
    """(P, 4) float32, boxes as shares of the width and height, cut at the edge of the picture.

    Raises:
        ValueError: if a box lies outside the picture.
    """
    boxes: NDArray[np.float32] = np.clip(frame.boxes / np.array([*size, *size]), 0, 1).astype(np.float32)
    outside = np.flatnonzero((boxes[:, 2:] <= boxes[:, :2]).any(axis=1))
    if len(outside):
        raise ValueError(
            f"{frame.where}: box {frame.boxes[outside[0]].tolist()} lies outside the {size[0]}x{size[1]} pictures of the "
            "clip; correct the line, or extract the frames at their original size"
        )
    return boxes
