"""The report of the command `scan`: a table that grows row by row, what it says in short, and the list of bad videos."""

import csv
import io
import uuid
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO

from rich.console import Console
from rich.markup import escape
from rich.table import Table

COLUMNS = (
    "status",  # good, bad or odd
    "file",
    "problem",  # why it cannot be read
    "annotations",  # what does not fit the file
    "odd",  # kind: detail; kind: detail
    "frames",
    "seconds",
    "fps",
    "height",
    "width",
    "codec",
    "container",
    "indexed",  # by its packets, or by decoding all pictures
    "decoded",  # all, sampled or none; empty if the process died of the file
    "bytes",
    "mtime_ns",
)

Row = dict[str, str]


def read_report(path: Path) -> dict[str, Row]:
    """The rows of an earlier scan by file; none if there is no report. A last row without its end is left out.

    Raises:
        ValueError: if the file is no report.
    """
    try:
        with path.open(newline="", encoding="utf-8", errors="surrogateescape") as file:
            text = file.read()
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise ValueError(f"report {path} cannot be read ({error.strerror}); name another file") from error
    try:
        rows = list(csv.reader(io.StringIO(text, newline="")))  # only its own line ends are ends of rows
    except csv.Error:
        rows = []
    if rows and (not text.endswith("\n") or len(rows[-1]) < len(COLUMNS)):  # a line end may be in the midst of a name
        rows.pop()
    if text and (not rows or tuple(rows[0]) != COLUMNS or any(len(row) != len(COLUMNS) for row in rows[1:])):
        raise ValueError(
            f"report {path} was not written by this version of scan (expected the columns {', '.join(COLUMNS)}); name "
            "another file"
        )
    return {row[1]: dict(zip(COLUMNS, row, strict=True)) for row in rows[1:]}


def write_report(path: Path, rows: Iterable[Row]) -> None:
    """Write a report in one step: at all times the whole old file or the whole new one is there.

    Raises:
        ValueError: if it cannot be written.
    """
    with _named(f"report {path}", "--report"), _whole(path) as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


@contextmanager
def growing_report(path: Path) -> Iterator[Callable[[Row], None]]:
    """Append rows to a report, each of which is in the file before the next begins.

    Raises:
        ValueError: by the function that is given, if it cannot be written.
    """
    file = path.open("a", newline="", encoding="utf-8", errors="surrogateescape")
    writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")

    def append(row: Row) -> None:
        with _named(f"report {path}", "--report"):
            writer.writerow(row)
            file.flush()

    try:
        yield append
    finally:
        with suppress(OSError):  # the row that `append` could not write
            file.close()


def write_bad_list(path: Path, names: Sequence[str]) -> Path:
    """Write names one a line; beside a file with other names, under the next free number. Returns where they are.

    Raises:
        ValueError: if a name holds a line break, or the list cannot be written.
    """
    broken = next((name for name in names if "\n" in name or "\r" in name), None)
    if broken is not None:
        raise ValueError(f"video {broken!r} has a line break in its name, which no list can hold; rename it")
    text, free, number = "".join(f"{name}\n" for name in names), path, 0
    with _named(f"list of bad videos {path}", "--bad_list"):
        while free.exists() and free.read_text(encoding="utf-8", errors="surrogateescape") != text:
            number += 1
            free = path.with_stem(f"{path.stem}-{number}")
        with _whole(free) as file:
            file.write(text)
    return free


@contextmanager
def _whole(path: Path) -> Iterator[TextIO]:
    """A file to write beside a path, whose place it takes when all is written."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    try:
        with temporary.open("w", newline="", encoding="utf-8", errors="surrogateescape") as file:
            yield file
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def _named(what: str, option: str) -> Iterator[None]:
    """Say what cannot be written, which the system's error on a full disk does not."""
    try:
        yield
    except OSError as error:
        raise ValueError(
            f"{what} cannot be written ({error.strerror}); make room there, or choose a folder for it with {option}"
        ) from error


def show(rows: Sequence[Row], title: str) -> None:
    """Print how many files are good, bad and odd, how many have each odd thing, and the first of the bad."""
    console, counts = Console(), Counter(row["status"] for row in rows)
    kinds: dict[str, list[Row]] = {}
    for row in rows:
        for kind in {note.partition(":")[0] for note in _notes(row)}:
            kinds.setdefault(kind, []).append(row)
    table = Table(title=title, title_justify="left")
    for column in ("", "files", "the first"):
        table.add_column(column, justify="right" if column == "files" else "left", overflow="fold")
    for status in ("good", "odd", "bad"):
        table.add_row(status, str(counts[status]), "", end_section=status == "bad")
    for kind, having in sorted(kinds.items()):
        table.add_row(escape(_printable(kind)), str(len(having)), escape(_printable(having[0]["file"])))
    console.print(table)
    for row in [row for row in rows if row["status"] == "bad"][:10]:
        text = _printable(f"bad: {row['problem'] or row['annotations']}")
        console.print(text, markup=False, highlight=False, soft_wrap=True)
    if counts["bad"] > 10:
        console.print(f"and {counts['bad'] - 10} more bad files in the report")


def _printable(text: str) -> str:
    """With names that are not UTF-8 spelt out."""
    return text.encode("utf-8", "backslashreplace").decode()


def _notes(row: Row) -> list[str]:
    notes = [note for note in row["odd"].split("; ") if note]
    if row["status"] != "bad" and row["annotations"]:
        notes.append(row["annotations"])
    return notes + ["indexed by decoding: "] * (row["indexed"] == "pictures")
