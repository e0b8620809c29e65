"""The rows of an annotation table one by one: what each may hold, and the message for the first that is wrong."""

import math
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, NoReturn

from annotations.values import csv_table, load_json
from datamodules.files import leaves_root

COLUMNS = ("video", "label", "start", "end", "split")


@dataclass(frozen=True)
class Row:
    """One interval: `label` is empty for a video without any; `start` and `end` are None for the whole video."""

    video: str
    label: str
    start: float | None
    end: float | None
    split: str
    where: str


def rows(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Place and cells of each row of a CSV or JSON file; what lacks has no key.

    Raises:
        ValueError: naming file and row: missing, repeated or unknown column, text that is none, file that is none.
    """
    return _json_rows(path) if path.suffix == ".json" else _csv_rows(path)


def text(fields: dict[str, Any], key: str) -> str:
    """A cell without blanks around it; empty where it lacks or is null."""
    value = fields.get(key)
    return "" if value is None else str(value).strip()


def refuse(path: Path, *, after: int = 0, repeated: Collection[str] = (), outside_root: bool) -> NoReturn:
    """Find the first row that is wrong, in a file of which that much is known, and say what is.

    Args:
        path: the file.
        after: rows at its beginning that are right in themselves.
        repeated: if there are any, videos of which rows are repeated, or of two splits, while each row is right.
        outside_root: allow paths that leave the root.

    Raises:
        ValueError: always.
    """
    seen: set[tuple[str, str, float | None, float | None]] = set()
    first: dict[str, Row] = {}
    for where, fields in islice(rows(path), after, None):
        if repeated and text(fields, "video") not in repeated:
            continue
        row = _row(where, fields, outside_root)
        if not repeated:
            continue
        key = (row.video, row.label, row.start, row.end)
        if key in seen:
            raise ValueError(f"{where}: repeats an earlier row of video {row.video!r}, label {row.label!r}; remove it")
        seen.add(key)
        before = first.setdefault(row.video, row)
        if before.split != row.split:
            raise ValueError(
                f"{where}: video {row.video!r} is in split {row.split!r} here and in {before.split!r} at {before.where}; "
                "a video belongs to one split"
            )
    raise ValueError(f"{path} changed while it was read; start again")


def find(path: Path, video: str, label: str) -> str:
    """Place of the first row of a video that has a label."""
    found = (where for where, row in rows(path) if text(row, "video") == video and text(row, "label") == label)
    return next(found, str(path))


def check_columns(columns: set[str], where: str) -> None:
    """Refuse unknown columns, and a table without video or label.

    Raises:
        ValueError: naming them.
    """
    if not {"video", "label"} <= columns <= set(COLUMNS):
        raise ValueError(
            f"{where}: expected the columns video and label, and optionally start, end, split; got {sorted(columns)}"
        )


def _csv_rows(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    table = csv_table(path, skip_blanks=True)
    _, columns = next(table)
    check_columns(set(columns), str(path))
    for line, cells in table:
        yield f"{path}, line {line}", dict(zip(columns, cells, strict=True))


def _json_rows(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    records = load_json(path)
    if not isinstance(records, list) or not all(isinstance(record, dict) for record in records):
        raise ValueError(f"{path}: expected a list of objects with the keys video, label, start, end")
    for number, fields in enumerate(records):
        where = f"{path}, record {number}"
        check_columns(set(fields), where)
        for key in ("video", "label", "split"):
            if not isinstance(fields.get(key), str | None):
                raise ValueError(f"{where}: {key} must be a string, got {fields[key]!r}; one object holds one label")
        yield where, fields


def _row(where: str, fields: dict[str, Any], outside_root: bool) -> Row:
    def seconds(key: str) -> float | None:
        cell = text(fields, key)
        if not cell:
            return None
        try:
            if "_" in cell:  # which Python reads between digits
                raise ValueError
            value = float(cell)
        except ValueError:
            raise ValueError(f"{where}: {key} must be seconds, got {cell!r}") from None
        if not 0 <= value < math.inf:
            raise ValueError(f"{where}: {key} must be finite seconds from 0 on, got {cell!r}")
        return value

    start, end = seconds("start"), seconds("end")
    video, label = text(fields, "video"), text(fields, "label")
    if not video:
        raise ValueError(f"{where}: the video is empty; expected a path relative to the video root")
    if not outside_root and leaves_root(video):
        raise ValueError(
            f"{where}: video {video!r} leads out of the video root; expected a path below it: move or link the video there "
            "and correct the row, or, if you trust the file, set outside_root: true"
        )
    if (start is None) != (end is None):
        raise ValueError(f"{where}: start and end must both be given, or neither for the whole video")
    if start is not None and end is not None and not start < end:
        kind = "zero-length" if start == end else "reversed"
        raise ValueError(f"{where}: {kind} interval {start:g} to {end:g} s of label {label!r}; correct the row")
    return Row(video, label, start, end, text(fields, "split"), where)
