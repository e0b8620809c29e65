"""What the readers share: text, CSV and JSON files with the place of each fault, checked numbers, columns from rows."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, TypeGuard

import numpy as np
import numpy.typing as npt

from annotations.records import AnnotatedVideo

Action = tuple[int, float, float]  # label, start, end


def read_text(path: Path) -> str:
    """The text of a file in UTF-8, with or without a byte order mark.

    Raises:
        ValueError: if there is no such file, or naming file and line: bytes that are not UTF-8, NUL character.
    """
    _check_file(path)
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise ValueError(
            f"{path}, line {line}: not UTF-8 text ({error.reason}); expected a text file, not a packed one; convert it"
        ) from error
    if "\0" in text:
        raise _nul(path, text.count("\n", 0, text.index("\0")) + 1)
    return text


def csv_rows(path: Path, *, strict: bool = True, skip_blanks: bool = False) -> Iterator[tuple[int, list[str]]]:
    """Line number and cells of each row of a CSV file; empty lines are no rows. The file is never held as a whole.

    The number is that of the last line of a row whose cells hold line breaks.

    Args:
        path: the file.
        strict: refuse text behind a closing quote, and a quote that is never closed.
        skip_blanks: drop blanks behind a comma.

    Raises:
        ValueError: as `read_text`, or naming file and first line of a row that is no CSV.
    """
    _check_file(path)
    with path.open(newline="", encoding="utf-8-sig") as file:
        reader = csv.reader(_without_nul(path, file), strict=strict, skipinitialspace=skip_blanks)
        first = 1
        try:
            for cells in reader:
                if cells:
                    yield reader.line_num, cells
                first = reader.line_num + 1
        except csv.Error as error:
            raise ValueError(
                f"{path}, line {first}: the row that begins here is no CSV ({error}); look for a quote that is not closed"
            ) from error
        except UnicodeDecodeError:
            read_text(path)  # names the line
            raise


def csv_table(path: Path, *, strict: bool = True, skip_blanks: bool = False) -> Iterator[tuple[int, list[str]]]:
    """As `csv_rows` for a file with a header, which is the first item: names all different, rows all as long.

    Raises:
        ValueError: as `csv_rows`, or naming file and line: column that is there twice, row of another length, no header.
    """
    rows = csv_rows(path, strict=strict, skip_blanks=skip_blanks)
    number, columns = next(rows, (0, []))
    if not columns:
        raise ValueError(f"{path} is empty; expected a line with the names of the columns")
    twice = _repeated(columns)
    if twice is not None:
        raise ValueError(f"{path}, line {number}: column {twice!r} is there twice; keep one")
    yield number, columns
    for number, cells in rows:
        if len(cells) != len(columns):
            raise ValueError(f"{path}, line {number}: expected {len(columns)} cells, got {len(cells)}")
        yield number, cells


def whole_number(text: str) -> int:
    """A number of one to six plain digits, as seconds of a video are.

    Raises:
        ValueError: if it is none.
    """
    if not (text.isascii() and text.isdecimal() and len(text) <= 6):
        raise ValueError(f"expected a whole number from 0 to 999999, got {text!r}")
    return int(text)


def seconds(value: object, name: str, where: str) -> float:
    """A finite number, from JSON or from text; Python's underscores between digits are no part of it.

    Raises:
        ValueError: if it is none; starting with `where` and naming `name`.
    """
    try:
        number = float(value) if _is_numeric(value) else math.nan
    except (ValueError, OverflowError):
        number = math.nan
    if not math.isfinite(number):
        raise ValueError(f"{where}: {name} must be a finite number of seconds, got {value!r}; correct the file")
    return number


def annotated_video(
    name: str, subset: str, duration: float | None, actions: Iterable[Action], where: str
) -> AnnotatedVideo:
    """A record with the columns of its actions."""
    return AnnotatedVideo(name, subset, duration, *columns_of(actions), where)


def columns_of(actions: Iterable[Action]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """(I,) int64 and (I, 2) float64: labels and intervals of actions."""
    rows = list(actions)
    labels = np.array([label for label, _, _ in rows], dtype=np.int64)
    return labels, np.array([(start, end) for _, start, end in rows], dtype=np.float64).reshape(-1, 2)


def load_json(path: Path) -> Any:
    """What a JSON file holds.

    Raises:
        ValueError: as `read_text`, or if it is not valid JSON, nested too deeply, or an object in it has a key twice (of
            which Python would keep the last in silence).
    """
    text = read_text(path)
    try:
        return json.loads(text, object_pairs_hook=_unique)
    except ValueError as error:
        raise ValueError(f"{path} cannot be read as JSON: {error}") from error
    except RecursionError:
        raise ValueError(f"{path} cannot be read as JSON: it is nested too deeply; is it of another format?") from None


def read_json(path: Path) -> dict[str, Any]:
    """The object of a JSON file.

    Raises:
        ValueError: as `load_json`, or if it holds no object.
    """
    content = load_json(path)
    if not isinstance(content, dict):
        raise ValueError(f"{path}: expected a JSON object, got a {type(content).__name__}")
    return content


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) < len(pairs):
        raise ValueError(f"{_repeated(key for key, _ in pairs)!r} is there twice; keep one")
    return content


def _repeated(names: Iterable[str]) -> str | None:
    """The first name that was there before."""
    seen: set[str] = set()
    for name in names:
        if name in seen:
            return name
        seen.add(name)
    return None


def _is_numeric(value: object) -> TypeGuard[int | float | str]:
    if isinstance(value, str):
        return "_" not in value
    return isinstance(value, int | float) and not isinstance(value, bool)


def _check_file(path: Path) -> None:
    if not path.is_file():
        problem = "is a folder; expected a file" if path.is_dir() else "does not exist"
        raise ValueError(f"annotation file {path} {problem}")


def _without_nul(path: Path, lines: Iterable[str]) -> Iterator[str]:
    for number, line in enumerate(lines, 1):
        if "\0" in line:
            raise _nul(path, number)
        yield line


def _nul(path: Path, line: int) -> ValueError:
    return ValueError(
        f"{path}, line {line}: NUL character; expected text in UTF-8, not UTF-16 or a binary file; convert it"
    )
