"""AVA v2.1 and v2.2: boxes of persons with their actions, detections with scores, label maps, excluded keyframes."""

from __future__ import annotations

import math
import re
from array import array
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from annotations.values import csv_rows, read_text, whole_number

NUM_ACTIONS = 80

_STRING = r'"(?:[^"\\]|\\.)*"'
_BLOCK = re.compile(rf'\w+\s*\{{((?:[^{{}}"]|{_STRING})*)\}}|\S+')
_FIELD = re.compile(rf"(\w+)\s*:\s*({_STRING}|[^\s,;]+)")


@dataclass(frozen=True, eq=False)
class AvaBoxes:
    """The rows of a file of boxes, column by column; a person with two actions has two rows with the same box.

    Args:
        path: the file.
        videos: n video names.
        seconds: (n,) int64, instant of the keyframe, seconds from the start of the movie.
        boxes: (n, 4) float64, x1, y1, x2, y2 as shares of the width and height, 0 to 1.
        actions: (n,) int64, official action numbers 1 to 80; -1 for a detection without an action.
        scores: (n,) float64; 1 where the file has none.
        lines: (n,) int64, line of each row, for messages.
    """

    path: Path
    videos: list[str]
    seconds: npt.NDArray[np.int64]
    boxes: npt.NDArray[np.float64]
    actions: npt.NDArray[np.int64]
    scores: npt.NDArray[np.float64]
    lines: npt.NDArray[np.int64]


def read_boxes(path: Path, *, scored: bool) -> AvaBoxes:
    """Read a CSV file without a header: video, second, x1, y1, x2, y2, action, and a person number or a score.

    Args:
        path: annotations such as `ava_val_v2.2.csv`, detections of persons, or results.
        scored: whether the eighth cell is a score, as in detections and results. Their action may be empty or -1: a
            person whose action is unknown. Otherwise the eighth cell, which v1.0 does not have, numbers the person.

    Raises:
        ValueError: naming file and line: wrong number of cells, no video, number that is none, second that is not one of
            up to six digits, box that is empty, reversed or reaches out of 0 to 1, action that is not 1 to 80, annotated
            row that is repeated; or a file without rows.
    """
    names: dict[str, str] = {}  # one string object a video, not one a row: result files have millions of rows
    videos: list[str] = []
    seconds, actions, lines = array("q"), array("q"), array("q")
    boxes, scores = array("d"), array("d")
    seen: dict[str, int] = {}
    for line, row in csv_rows(path, skip_blanks=True):
        try:
            video, second, x1, y1, x2, y2, action, *rest = row
            if len(rest) != 1 and (scored or rest):
                raise ValueError
        except ValueError:
            expected = "8 cells, the last a score" if scored else "7 cells, or 8 with the person's number"
            raise ValueError(f"{path}, line {line}: expected {expected}, got {len(row)}") from None
        try:
            if "_" in ",".join(row[1:]):  # which Python reads between digits
                raise ValueError
            box = (float(x1), float(y1), float(x2), float(y2))
            seconds.append(whole_number(second))
            number = -1 if scored and action in ("", "-1") else int(action)
            score = float(rest[0]) if scored else 1.0
            _ = int(rest[0]) if rest and not scored else 0
        except ValueError:
            raise ValueError(
                f"{path}, line {line}: expected numbers after the video (1 to 6 digits for the second, whole ones for the "
                f"action{'' if scored else ' and the person'}), got {','.join(row[1:])}"
            ) from None
        if not video:
            raise ValueError(f"{path}, line {line}: the video is empty; expected its name in the first cell")
        if not (0 <= box[0] < box[2] <= 1 and 0 <= box[1] < box[3] <= 1):
            raise ValueError(
                f"{path}, line {line}: expected a box x1 < x2, y1 < y2 in shares of the frame, 0 to 1, got {list(box)}"
            )
        if not (1 <= number <= NUM_ACTIONS or (scored and number == -1)):
            raise ValueError(f"{path}, line {line}: expected an action from 1 to {NUM_ACTIONS}, got {action}")
        if not math.isfinite(score):
            raise ValueError(f"{path}, line {line}: expected a finite score, got {rest[0]}")
        if not scored and (first := seen.setdefault(",".join(row), line)) != line:
            raise ValueError(f"{path}, line {line}: repeats line {first}; remove it")
        videos.append(names.setdefault(video, video))
        boxes.extend(box)
        actions.append(number)
        scores.append(score)
        lines.append(line)
    if not videos:
        raise ValueError(f"{path} has no box; expected one row for each person and action")
    return AvaBoxes(
        path,
        videos,
        np.array(seconds, np.int64),
        np.array(boxes, np.float64).reshape(-1, 4),
        np.array(actions, np.int64),
        np.array(scores, np.float64),
        np.array(lines, np.int64),
    )


def keyframes(
    table: AvaBoxes, min_score: float = -math.inf
) -> dict[tuple[str, int], dict[tuple[float, ...], list[int]]]:
    """The persons of each keyframe, in the order of the file: (video, second) -> box -> its actions.

    Rows with the same four numbers are one person, as in all published code; a person without known action has none. Rows
    with a score below `min_score` are left out.
    """
    frames: dict[tuple[str, int], dict[tuple[float, ...], list[int]]] = {}
    columns = (table.seconds.tolist(), table.boxes.tolist(), table.actions.tolist(), table.scores.tolist())
    for video, second, box, action, score in zip(table.videos, *columns, strict=True):
        if score >= min_score:
            actions = frames.setdefault((video, second), {}).setdefault(tuple(box), [])
            if action > 0:
                actions.append(action)
    return frames


def read_label_map(path: Path) -> dict[int, str]:
    """Action number -> name, in the order of the numbers, of a `.pbtxt` label map in either of its official forms.

    The blocks are `item { name: "..." id: 1 }` or `label { name: "..." label_id: 1 label_type: ... }`, on one line or
    many.

    Raises:
        ValueError: naming file and line: block without name or number or with two, number or name that an earlier block
            has, number that is not 1 to 80; no block.
    """
    text = read_text(path)
    names: dict[int, str] = {}
    for block in _BLOCK.finditer(text):
        where = f"{path}, line {text.count(chr(10), 0, block.start()) + 1}"
        fields = _FIELD.findall(block[1] or "")
        found = [value for key, value in fields if key == "name"]
        ids = [value for key, value in fields if key in ("id", "label_id")]
        try:
            (quoted,), (key,) = found, map(whole_number, ids)
            name = re.sub(r"\\(.)", r"\1", quoted[1:-1])
            if not name or quoted[0] != '"':
                raise ValueError
        except ValueError:
            raise ValueError(
                f'{where}: expected a block such as item {{ name: "walk" id: 14 }}, got {block[0]!r}'
            ) from None
        if key in names or not 1 <= key <= NUM_ACTIONS:
            raise ValueError(f"{where}: expected each action from 1 to {NUM_ACTIONS} once, got {key} for {name!r}")
        if name in names.values():
            raise ValueError(f"{where}: action {key} has the name {name!r} of an earlier one; correct one of them")
        names[key] = name
    if not names:
        raise ValueError(f'{path} has no label; expected blocks such as item {{ name: "walk" id: 14 }}')
    return dict(sorted(names.items()))


def read_excluded(path: Path) -> set[tuple[str, int]]:
    """The keyframes, as video and second, that are neither trained on nor scored: lines `video,second`.

    Raises:
        ValueError: naming file and line of what is not of that form.
    """
    excluded = set()
    for line, row in csv_rows(path, skip_blanks=True):
        try:
            video, second = row
            if not video:
                raise ValueError
            excluded.add((video, whole_number(second)))
        except ValueError:
            raise ValueError(
                f"{path}, line {line}: expected video,second such as 5BDj0ow5hnA,1038, got {','.join(row)}"
            ) from None
    return excluded
