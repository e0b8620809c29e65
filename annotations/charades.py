"""Charades and Charades-Ego: tables of videos with `c012 1.50 9.75;c156 0.00 20.00` in a cell.

Sigurdsson et al., Hollywood in Homes (https://arxiv.org/abs/1604.01753); Charades-Ego (https://arxiv.org/abs/1804.09626).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt

from annotations.actions_json import read_actions_json
from annotations.records import AnnotatedVideo
from annotations.values import Action, columns_of, csv_table, seconds

NUM_LABELS = 157
_LABEL = re.compile(r"c\d{3}", re.ASCII)
_PLAIN = re.compile(r"(?:c\d{3} \d{1,9}\.\d{1,9} \d{1,9}\.\d{1,9}(?:;(?=c)|$))+", re.ASCII)

Columns = tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]


def read_charades(path: Path) -> list[AnnotatedVideo]:
    """Read `Charades_v1_train.csv`, any of its sisters of Charades-Ego, or `charades.json`.

    Of a CSV file the columns `id`, `actions` and `length` count; a video without actions or without length has an empty
    cell. A JSON file is one of `annotations.actions_json` whose ids start at 0.

    Returns:
        One record for each video, in the order of the file. Label k is class c00k. Intervals are as written: many real
        ones end after the video, and some before they start. `subset` is empty for a CSV file, which is one split.

    Raises:
        ValueError: naming file and line: missing or repeated column, row of another length, repeated or empty id,
            malformed action, unknown class, time that is no finite number; or no video at all.
    """
    return list(iterate_charades(path))


def iterate_charades(path: Path) -> Iterator[AnnotatedVideo]:
    """The records of `read_charades`, which raises the same, one by one: a CSV file is never held as a whole."""
    is_json = path.suffix.lower() == ".json"
    videos = iter(read_actions_json(path, num_labels=NUM_LABELS, first_id=0)) if is_json else _read_csv(path)
    first = next(videos, None)
    if first is None:
        raise ValueError(f"{path} has no video")
    yield first
    yield from videos


def _read_csv(path: Path) -> Iterator[AnnotatedVideo]:
    places: dict[str, int] = {}
    rows = csv_table(path, strict=False)  # stray quotes in a script; a row that they spoil has another number of cells
    number, columns = next(rows)
    missing = sorted({"id", "actions", "length"} - set(columns))
    if missing:
        raise ValueError(f"{path}, line {number}: column {missing[0]!r} is missing; got {columns}")
    name_at, actions_at, length_at = map(columns.index, ("id", "actions", "length"))
    for number, cells in rows:
        where = f"{path}, line {number}"  # the last one of a row whose cells hold line breaks
        name, length = cells[name_at].strip(), cells[length_at].strip()
        if not name or name in places:
            problem = f"video {name!r} is there before, at {path}, line {places[name]}" if name else "the id is empty"
            raise ValueError(f"{where}: {problem}; a video has one row and a name")
        places[name] = number
        duration = seconds(length, "length", where) if length else None
        labels, intervals = _plain_actions(cells[actions_at]) or _actions(cells[actions_at], where)
        yield AnnotatedVideo(name, "", duration, labels, intervals, where)


def _plain_actions(cell: str) -> Columns | None:
    """The columns of the actions of a cell that is written as all official ones are, and None for any other."""
    if not _PLAIN.fullmatch(cell):
        return None
    words = cell.replace(";", " ").split(" ")
    numbers = np.array([int(word[1:]) for word in words[::3]], np.int64)
    times = np.array([list(map(float, words[1::3])), list(map(float, words[2::3]))], np.float64)
    return (numbers, times.T.copy()) if numbers.max() < NUM_LABELS else None


def _actions(cell: str, where: str) -> Columns:
    actions: list[Action] = []
    for text in cell.split(";") if cell.strip() else []:
        parts = text.split()
        if len(parts) != 3:
            raise ValueError(f"{where}: expected actions such as 'c012 1.50 9.75;c156 0.00 20.00', got {text!r}")
        label, start, end = parts
        if not _LABEL.fullmatch(label) or int(label[1:]) >= NUM_LABELS:
            raise ValueError(f"{where}: unknown class {label!r}; expected c000 to c{NUM_LABELS - 1}")
        actions.append((int(label[1:]), seconds(start, "start", where), seconds(end, "end", where)))
    return columns_of(actions)
