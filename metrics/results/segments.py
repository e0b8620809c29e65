"""Files of predicted segments and of ranked labels: ActivityNet's JSON and the text lines of THUMOS'14."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import numpy.typing as npt

from annotations.values import read_json
from metrics.results.text import check_score, lines, to_number
from metrics.step_labels import MAX_SECONDS


@dataclass(frozen=True, eq=False)
class ResultSegments:
    """Predictions of a result file, as columns of n rows.

    Args:
        path: the file.
        videos: n names.
        labels: n labels as written, a name or a number; empty where the file has none.
        intervals: (n, 2) float64, start and end in seconds; NaN where the file has none.
        scores: (n,) float64; -inf ranks last; neither NaN nor +inf.
        rows: n places in the file, for messages.
        where: name -> place in the file, of every video, also of one without predictions.
    """

    path: Path
    videos: list[str]
    labels: list[str]
    intervals: npt.NDArray[np.float64]
    scores: npt.NDArray[np.float64]
    rows: list[str]
    where: dict[str, str]


def read_segment_json(path: Path, *, labels: bool, segments: bool) -> ResultSegments:
    """The official submissions of ActivityNet: `{"results": {id: [{"score": ..., "label": ..., "segment": [s, e]}]}}`.

    Args:
        path: the file.
        labels: each prediction has a label (all tasks but proposals).
        segments: each prediction has a segment (all tasks but classification).

    Raises:
        ValueError: the file is not such a JSON, a key stands twice, or a prediction lacks a field or has a bad one.
    """
    results = _load(path).get("results")
    if not isinstance(results, dict) or not results:
        raise ValueError(
            f"{path}: expected an object 'results' of video id -> list of predictions, got {_short(results)}; write "
            'the official form, {"version": ..., "results": {...}, "external_data": {...}}'
        )
    columns: tuple[list[str], list[str], list[tuple[float, float]], list[float], list[str]] = ([], [], [], [], [])
    for name, entries in results.items():
        if not isinstance(entries, list):
            raise ValueError(
                f"{path}, results[{name!r}]: expected a list of predictions, got {_short(entries)}; write []"
            )
        for i, entry in enumerate(entries):
            row = f"results[{name!r}][{i}]"
            if not isinstance(entry, dict):
                raise ValueError(
                    f"{path}, {row}: expected an object with a 'score', got {_short(entry)}; check the form"
                )
            columns[0].append(name)
            columns[1].append(_label(path, row, entry) if labels else "")
            columns[2].append(_segment(path, row, entry) if segments else (math.nan, math.nan))
            columns[3].append(_score(path, row, entry))
            columns[4].append(row)
    return _segments(path, *columns, {name: f"results[{name!r}]" for name in results})


def read_segment_lines(path: Path) -> ResultSegments:
    """Lines `video start end label score`, separated by blanks: the result files of THUMOS'14.

    A suffix `.mp4` of the video is dropped, as by the official script.

    Raises:
        ValueError: a line has another number of columns, or one that is not a number.
    """
    columns: tuple[list[str], list[str], list[tuple[float, float]], list[float], list[str]] = ([], [], [], [], [])
    where: dict[str, str] = {}
    for number, line in lines(path):
        words, row = line.split(), f"line {number}"
        if len(words) != 5:
            raise ValueError(
                f"{path}, {row}: expected 5 columns separated by blanks (video, start, end, label, score), got "
                f"{len(words)}; write the seconds, then the number or the name of the label, then the score"
            )
        start, end, score = (to_number(words[i], f"{path}, {row}, column {i + 1}") for i in (1, 2, 4))
        columns[0].append(words[0].removesuffix(".mp4"))
        columns[1].append(words[3])
        columns[2].append(_ordered(path, row, start, end))
        columns[3].append(check_score(score, f"{path}, {row}, column 5"))
        columns[4].append(row)
        where.setdefault(columns[0][-1], row)
    return _segments(path, *columns, where)


def _segments(
    path: Path,
    videos: list[str],
    labels: list[str],
    intervals: list[tuple[float, float]],
    scores: list[float],
    rows: list[str],
    where: dict[str, str],
) -> ResultSegments:
    places = np.array(intervals, dtype=np.float64).reshape(-1, 2)
    return ResultSegments(path, videos, labels, places, np.array(scores, dtype=np.float64), rows, where)


def _load(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise ValueError(f"{path} is not a file; expected a JSON of predictions; check the path")

    return read_json(path)


def _label(path: Path, row: str, entry: dict[str, Any]) -> str:
    label = entry.get("label")
    if not isinstance(label, str):
        _refuse(path, row, entry, "label", "a class name")
    return label


def _score(path: Path, row: str, entry: dict[str, Any]) -> float:
    score = entry.get("score")
    if not isinstance(score, int | float) or isinstance(score, bool):
        _refuse(path, row, entry, "score", "a number")
    return check_score(_number(path, row, score), f"{path}, {row}")


def _segment(path: Path, row: str, entry: dict[str, Any]) -> tuple[float, float]:
    segment = entry.get("segment")
    if not (isinstance(segment, list) and len(segment) == 2 and all(map(_is_number, segment))):
        _refuse(path, row, entry, "segment", "[start, end] in seconds")
    return _ordered(path, row, _number(path, row, segment[0]), _number(path, row, segment[1]))


def _ordered(path: Path, row: str, start: float, end: float) -> tuple[float, float]:
    if not -MAX_SECONDS <= start <= end <= MAX_SECONDS:
        raise ValueError(
            f"{path}, {row}: the segment goes from {start} to {end}; expected finite seconds, the start first, "
            f"up to {MAX_SECONDS:g}; check the order of the columns"
        )
    return start, end


def _refuse(path: Path, row: str, entry: dict[str, Any], key: str, expected: str) -> NoReturn:
    got = f"{_short(entry[key])}" if key in entry else f"only {', '.join(map(repr, entry)) or 'an empty object'}"
    raise ValueError(f"{path}, {row}: expected {key!r}, {expected}, got {got}; write the official form of this task")


def _number(path: Path, row: str, value: int | float) -> float:
    try:
        return float(value)
    except OverflowError:
        text = f"{value}"
        raise ValueError(
            f"{path}, {row}: the number {text[:20]}... of {len(text)} digits is too large; expected one within 1e308; look "
            "for an overflow"
        ) from None


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
