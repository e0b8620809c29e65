"""Volleyball: one file a video, one annotated frame a line, with the activity of the group and the players' actions.

Ibrahim et al., A Hierarchical Deep Temporal Model for Group Activity Recognition (https://arxiv.org/abs/1511.06040).
The files of the data set have each player as `X Y W H action`; its readme names the action first.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from annotations.values import read_text

_CELLS = 5


@dataclass(frozen=True, eq=False)
class VolleyballFrame:
    """One annotated frame, the middle one of a clip.

    Args:
        frame: name of the picture without its suffix, which is also that of the clip's folder.
        group: number of the group's activity.
        boxes: (P, 4) float64, left, top, right and bottom of each player in pixels, as written: some reach out of the
            picture.
        actions: (P,) int64, number of each player's action.
        where: file and line, for messages.
    """

    frame: str
    group: int
    boxes: npt.NDArray[np.float64]
    actions: npt.NDArray[np.int64]
    where: str


def read_volleyball(path: Path, group_names: Sequence[str], action_names: Sequence[str]) -> list[VolleyballFrame]:
    """Read an `annotations.txt`: lines `frame.jpg group X Y W H action X Y W H action ...`.

    Args:
        path: the file.
        group_names: names of the activities of a group; `l-pass` and `l_pass`, which the files mix, are one.
        action_names: names of the actions of a player.

    Raises:
        ValueError: naming file and line: cells that do not come in fives, unknown activity or action, box that is not
            four numbers or has no size, frame that is listed twice.
    """
    groups = {name: k for k, name in enumerate(group_names)}
    actions = {name: k for k, name in enumerate(action_names)}
    frames: dict[str, VolleyballFrame] = {}
    for line, text in enumerate(read_text(path).splitlines(), 1):
        where, cells = f"{path}, line {line}", text.split()
        if not cells:
            continue
        if len(cells) < 2 or len(cells) % _CELLS != 2 or Path(cells[0]).suffix != ".jpg":
            raise ValueError(
                f"{where}: expected 'frame.jpg group' and five cells 'X Y W H action' for each player, got {len(cells)} "
                f"cells that begin with {cells[:3]}"
            )
        frame = Path(cells[0]).stem
        if frame in frames:
            raise ValueError(f"{where}: frame {frame} is annotated before, at {frames[frame].where}; keep one")
        players = [cells[start : start + _CELLS] for start in range(2, len(cells), _CELLS)]
        group = _number(cells[1].replace("-", "_"), groups, where)
        boxes = [_box(player[:4], where) for player in players]
        numbers = [_number(player[4], actions, where) for player in players]
        frames[frame] = VolleyballFrame(
            frame, group, np.array(boxes, np.float64).reshape(-1, 4), np.array(numbers, np.int64), where
        )
    if not frames:
        raise ValueError(f"{path} has no annotated frame")
    return list(frames.values())


def _number(name: str, numbers: dict[str, int], where: str) -> int:
    if name not in numbers:
        raise ValueError(f"{where}: unknown activity {name!r}; expected one of {', '.join(numbers)}")
    return numbers[name]


def _box(cells: list[str], where: str) -> tuple[float, float, float, float]:
    try:
        if "_" in "".join(cells):  # which Python reads between digits
            raise ValueError
        left, top, width, height = (float(cell) for cell in cells)
    except ValueError:
        left, top, width, height = math.nan, math.nan, 0.0, 0.0
    if not (math.isfinite(left + top) and 0 < width < math.inf and 0 < height < math.inf):
        raise ValueError(
            f"{where}: expected a box X Y W H in pixels with a positive width and height, got {' '.join(cells)}"
        )
    return left, top, left + width, top + height
