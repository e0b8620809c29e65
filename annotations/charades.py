"""Charades and Charades-Ego: tables of videos with `c012 1.50 9.75;c156 0.00 20.00` in a cell.

Sigurdsson et al., Hollywood in Homes (https://arxiv.org/abs/1604.01753); Charades-Ego (https://arxiv.org/abs/1804.09626).
"""

from __future__ import annotations

import re
from pathlib import Path

from annotations.actions_json import read_actions_json
from annotations.records import AnnotatedVideo
from annotations.values import Action, annotated_video, csv_table, seconds

NUM_LABELS = 157
_LABEL = re.compile(r"c\d{3}", re.ASCII)


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
    is_json = path.suffix.lower() == ".json"
    videos = read_actions_json(path, num_labels=NUM_LABELS, first_id=0) if is_json else _read_csv(path)
    if not videos:
        raise ValueError(f"{path} has no video")
    return videos


def _read_csv(path: Path) -> list[AnnotatedVideo]:
    videos: list[AnnotatedVideo] = []
    places: dict[str, str] = {}
    rows = csv_table(path, strict=False)  # stray quotes in a script; a row that they spoil has another number of cells
    number, columns = next(rows)
    missing = sorted({"id", "actions", "length"} - set(columns))
    if missing:
        raise ValueError(f"{path}, line {number}: column {missing[0]!r} is missing; got {columns}")
    for number, cells in rows:
        where = f"{path}, line {number}"  # the last one of a row whose cells hold line breaks
        row = dict(zip(columns, cells, strict=True))
        name, length = row["id"].strip(), row["length"].strip()
        if not name or name in places:
            problem = f"video {name!r} is there before, at {places[name]}" if name else "the id is empty"
            raise ValueError(f"{where}: {problem}; a video has one row and a name")
        places[name] = where
        duration = seconds(length, "length", where) if length else None
        videos.append(annotated_video(name, "", duration, _actions(row["actions"], where), where))
    return videos


def _actions(cell: str, where: str) -> list[Action]:
    actions = []
    for text in cell.split(";") if cell.strip() else []:
        parts = text.split()
        if len(parts) != 3:
            raise ValueError(f"{where}: expected actions such as 'c012 1.50 9.75;c156 0.00 20.00', got {text!r}")
        label, start, end = parts
        if not _LABEL.fullmatch(label) or int(label[1:]) >= NUM_LABELS:
            raise ValueError(f"{where}: unknown class {label!r}; expected c000 to c{NUM_LABELS - 1}")
        actions.append((int(label[1:]), seconds(start, "start", where), seconds(end, "end", where)))
    return actions
