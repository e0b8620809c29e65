"""Kinetics-400, -600 and -700: one CSV file a split, one ten-second clip of a YouTube video a row.

Kay et al., The Kinetics Human Action Video Dataset (https://arxiv.org/abs/1705.06950), and Carreira et al. for the sets of
600 (https://arxiv.org/abs/1808.01340) and 700 classes (https://arxiv.org/abs/1907.06987); the edition of 2020 has the
same 700 classes.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

from annotations.records import AnnotatedVideo
from annotations.values import annotated_video

_NEEDED = {"youtube_id", "time_start", "time_end", "split"}


def read_kinetics(path: Path, label_names: Sequence[str]) -> list[AnnotatedVideo]:
    """Read a file with the columns label, youtube_id, time_start, time_end, split and perhaps is_cc.

    Args:
        path: the CSV file; those of the test splits have no column `label`.
        label_names: K names; label k is the class `label_names[k]`.

    Returns:
        One record a row, named `youtube_id_000012_000022` as the files are, with the column `split` as subset. Its one
        interval is that of the clip in the YouTube video, not in the file, which holds only the clip; without a column
        `label` there is none.

    Raises:
        ValueError: missing or unknown column, and with the number of the line: wrong number of cells, unknown class, times
            that are not whole seconds or do not increase, clip that is listed twice.
    """
    if not path.is_file():
        raise ValueError(f"annotation file {path} does not exist")
    numbers = {name: k for k, name in enumerate(label_names)}
    records: dict[str, AnnotatedVideo] = {}
    with path.open(newline="", encoding="utf-8-sig") as file:
        reader = csv.DictReader(file)
        columns = set(reader.fieldnames or ())
        if not _NEEDED <= columns <= _NEEDED | {"label", "is_cc"}:
            raise ValueError(
                f"{path}: expected the columns label, youtube_id, time_start, time_end, split and perhaps is_cc; "
                f"got {sorted(columns)}"
            )
        for row in reader:
            where = f"{path}, line {reader.line_num}"
            if None in row or None in row.values():
                raise ValueError(f"{where}: expected {len(columns)} cells, got another number")
            start, end = _second(row["time_start"], where), _second(row["time_end"], where)
            if not start < end:
                raise ValueError(f"{where}: expected time_start before time_end, got {start} and {end}")
            label = row.get("label")
            if label is not None and label not in numbers:
                raise ValueError(
                    f"{where}: unknown class {label!r}; expected one of the {len(numbers)} classes of this edition, such "
                    f"as {label_names[0]!r}; check that file and data set are of one edition"
                )
            name = f"{row['youtube_id']}_{start:06d}_{end:06d}"
            if name in records:
                raise ValueError(f"{where}: clip {name} is listed before, at {records[name].where}; keep one")
            actions = [] if label is None else [(numbers[label], start, end)]
            records[name] = annotated_video(name, row["split"], float(end - start), actions, where)
    if not records:
        raise ValueError(f"{path} has no clip; expected one row for each")
    return list(records.values())


def _second(cell: str, where: str) -> int:
    if not cell.isdecimal():
        raise ValueError(f"{where}: expected whole seconds from 0 on, got {cell!r}")
    return int(cell)
