"""Kinetics-400, -600 and -700: one CSV file a split, one ten-second clip of a YouTube video a row.

Kay et al., The Kinetics Human Action Video Dataset (https://arxiv.org/abs/1705.06950), and Carreira et al. for the sets of
600 (https://arxiv.org/abs/1808.01340) and 700 classes (https://arxiv.org/abs/1907.06987); the edition of 2020 has the
same 700 classes.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from annotations.records import AnnotatedVideo
from annotations.values import csv_table, whole_number

_NEEDED = {"youtube_id", "time_start", "time_end", "split"}
_ID = re.compile(r"[A-Za-z0-9_-]+")


def read_kinetics(path: Path, label_names: Sequence[str]) -> list[AnnotatedVideo]:
    """Read a file with the columns label, youtube_id, time_start, time_end, split and perhaps is_cc.

    Args:
        path: the CSV file; those of the test splits have no column `label`.
        label_names: K names; label k is the class `label_names[k]`.

    Returns:
        One record a row, named `youtube_id_000012_000022` as the files are, with the column `split` as subset. Its one
        interval is that of the clip in the YouTube video, not in the file, which holds only the clip; without a column
        `label` there is none. Records of one class share their `labels`, those of the same times their `intervals`.

    Raises:
        ValueError: missing, repeated or unknown column, and with the number of the line: wrong number of cells, unknown
            class, `youtube_id` that is none, times that are not whole seconds or do not increase, `is_cc` other than 0
            and 1, clip that is listed twice.
    """
    numbers = {name: k for k, name in enumerate(label_names)}
    labels = [np.array([k], np.int64) for k in range(len(label_names))]
    none, nowhere = np.empty(0, np.int64), np.empty((0, 2), np.float64)
    intervals: dict[tuple[int, int], npt.NDArray[np.float64]] = {}
    records: dict[str, AnnotatedVideo] = {}
    rows = csv_table(path)
    _, columns = next(rows)
    if not _NEEDED <= set(columns) <= _NEEDED | {"label", "is_cc"}:
        raise ValueError(
            f"{path}: expected the columns label, youtube_id, time_start, time_end, split and perhaps is_cc; "
            f"got {sorted(columns)}"
        )
    for line, cells in rows:
        where, row = f"{path}, line {line}", dict(zip(columns, cells, strict=True))
        start, end = _second(row["time_start"], where), _second(row["time_end"], where)
        if not start < end:
            raise ValueError(f"{where}: expected time_start before time_end, got {start} and {end}")
        if not _ID.fullmatch(row["youtube_id"]):
            raise ValueError(
                f"{where}: expected a youtube_id of letters, digits, - and _ alone, got {row['youtube_id']!r}"
            )
        if row.get("is_cc", "0") not in ("0", "1"):
            raise ValueError(f"{where}: expected is_cc 0 or 1, got {row['is_cc']!r}")
        label = row.get("label")
        if label is not None and label not in numbers:
            raise ValueError(
                f"{where}: unknown class {label!r}; expected one of the {len(numbers)} classes of this edition, such "
                f"as {label_names[0]!r}; check that file and data set are of one edition"
            )
        name = f"{row['youtube_id']}_{start:06d}_{end:06d}"
        if name in records:
            raise ValueError(f"{where}: clip {name} is listed before, at {records[name].where}; keep one")
        if (start, end) not in intervals:
            intervals[start, end] = np.array([[start, end]], np.float64)
        of_clip = (none, nowhere) if label is None else (labels[numbers[label]], intervals[start, end])
        records[name] = AnnotatedVideo(name, row["split"], float(end - start), *of_clip, where)
    if not records:
        raise ValueError(f"{path} has no clip; expected one row for each")
    return list(records.values())


def _second(cell: str, where: str) -> int:
    try:
        return whole_number(cell)
    except ValueError:
        raise ValueError(f"{where}: expected whole seconds from 0 to 999999, got {cell!r}") from None
