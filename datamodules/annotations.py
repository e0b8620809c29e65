"""The annotation table of anybody's data: one row for each labelled interval."""

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from annotations.values import csv_table, load_json
from clips.targets import Video

COLUMNS = {"video", "label", "start", "end", "split"}


@dataclass(frozen=True)
class Row:
    """One interval: `label` is empty for a video without any; `start` and `end` are None for the whole video."""

    video: str
    label: str
    start: float | None
    end: float | None
    split: str
    where: str


@dataclass
class Annotations:
    """Rows grouped by video, in the order of the file."""

    path: Path
    rows: dict[str, list[Row]] = field(default_factory=dict)

    def labels(self) -> list[str]:
        """The labels that occur, sorted."""
        return sorted({row.label for rows in self.rows.values() for row in rows if row.label})

    def split(self, name: str) -> list[str]:
        """Videos whose split column says `name`."""
        return [video for video, rows in self.rows.items() if rows[0].split == name]

    def videos(self, names: Iterable[str], label_names: list[str], root: Path) -> list[Video]:
        """Records of the named videos, their files relative to `root`.

        Raises:
            ValueError: if a video has no row or a label is not among `label_names`.
        """
        number = {label: k for k, label in enumerate(label_names)}
        records = []
        for name in names:
            if name not in self.rows:
                raise ValueError(
                    f"video {name!r} of a split has no row in {self.path}; a video without labels needs a row with an "
                    "empty label"
                )
            labels, intervals = [], []
            for row in self.rows[name]:
                if not row.label:
                    continue
                if row.label not in number:
                    raise ValueError(
                        f"{row.where}: unknown label {row.label!r}; expected one of the {len(number)} listed, such as "
                        f"{label_names[:3]}; correct the row or the label file"
                    )
                labels.append(number[row.label])
                intervals.append((row.start or 0.0, math.inf if row.end is None else row.end))
            records.append(
                Video(name, root / name, np.array(labels, np.int64), np.array(intervals, np.float64).reshape(-1, 2))
            )
        return records


def read_annotations(path: Path) -> Annotations:
    """Read a CSV file with a header, or a JSON list of objects, with the keys video, label, start, end and split.

    `label` may be empty (a video without any activity); `start` and `end` may both be empty or absent (the whole video);
    `split` may be absent. Times are seconds from the first frame, the end exclusive. In JSON all but times are strings; null
    is empty.

    Raises:
        ValueError: naming file and row: missing, repeated or unknown column, text that is none, number that is none,
            zero-length or reversed interval, one of start and end missing, repeated row, two splits for one video, no row
            at all.
    """
    annotations = Annotations(path)
    seen: set[tuple[str, str, float | None, float | None]] = set()
    for where, fields in _read_json(path) if path.suffix == ".json" else _read_csv(path):
        row = _row(where, fields)
        key = (row.video, row.label, row.start, row.end)
        if key in seen:
            raise ValueError(f"{where}: repeats an earlier row of video {row.video!r}, label {row.label!r}; remove it")
        seen.add(key)
        rows = annotations.rows.setdefault(row.video, [])
        if rows and rows[0].split != row.split:
            raise ValueError(
                f"{where}: video {row.video!r} is in split {row.split!r} here and in {rows[0].split!r} at {rows[0].where}; "
                "a video belongs to one split"
            )
        rows.append(row)
    if not annotations.rows:
        raise ValueError(f"{path} has no annotation; expected rows of video, label, start, end")
    return annotations


def _read_csv(path: Path) -> Iterable[tuple[str, dict[str, Any]]]:
    rows = csv_table(path, skip_blanks=True)
    _, columns = next(rows)
    _check_columns(set(columns), str(path))
    for line, cells in rows:
        yield f"{path}, line {line}", dict(zip(columns, cells, strict=True))


def _read_json(path: Path) -> Iterable[tuple[str, dict[str, Any]]]:
    records = load_json(path)
    if not isinstance(records, list) or not all(isinstance(record, dict) for record in records):
        raise ValueError(f"{path}: expected a list of objects with the keys video, label, start, end")
    for number, fields in enumerate(records):
        where = f"{path}, record {number}"
        _check_columns(set(fields), where)
        for key in ("video", "label", "split"):
            if not isinstance(fields.get(key), str | None):
                raise ValueError(f"{where}: {key} must be a string, got {fields[key]!r}; one object holds one label")
        yield where, fields


def _check_columns(columns: set[str], where: str) -> None:
    if not {"video", "label"} <= columns <= COLUMNS:
        raise ValueError(
            f"{where}: expected the columns video and label, and optionally start, end, split; got {sorted(columns)}"
        )


def _row(where: str, fields: dict[str, Any]) -> Row:
    def text(key: str) -> str:
        value = fields.get(key)
        return "" if value is None else str(value).strip()

    def seconds(key: str) -> float | None:
        if not text(key):
            return None
        try:
            if "_" in text(key):  # which Python reads between digits
                raise ValueError
            value = float(text(key))
        except ValueError:
            raise ValueError(f"{where}: {key} must be seconds, got {text(key)!r}") from None
        if not 0 <= value < math.inf:
            raise ValueError(f"{where}: {key} must be finite seconds from 0 on, got {text(key)!r}")
        return value

    start, end = seconds("start"), seconds("end")
    if not text("video"):
        raise ValueError(f"{where}: the video is empty; expected a path relative to the video root")
    if (start is None) != (end is None):
        raise ValueError(f"{where}: start and end must both be given, or neither for the whole video")
    if start is not None and end is not None and not start < end:
        kind = "zero-length" if start == end else "reversed"
        raise ValueError(f"{where}: {kind} interval {start:g} to {end:g} s of label {text('label')!r}; correct the row")
    return Row(text("video"), text("label"), start, end, text("split"), where)
