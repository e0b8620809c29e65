"""What a protocol found: rows of a table on the screen, a flat JSON file, and a CSV file of pairs of labels."""

from __future__ import annotations

import csv
import io
import json
import math
import os
import uuid
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from metrics.bootstrap import Interval


@dataclass(frozen=True)
class Row:
    """One value of the table.

    Args:
        name: key in the JSON file.
        value: a fraction, shown as percent.
        meaning: what sets this variant apart from the others.
        interval: bootstrap interval, if one was asked for.
    """

    name: str
    value: float
    meaning: str
    interval: Interval | None = None


@dataclass(frozen=True)
class Report:
    """What a protocol found.

    Args:
        rows: in the order of the table.
        num_videos: how many were scored.
        notes: what was done that a reader has to know, one sentence each.
        per_class_of: name of the row whose values `per_class` splits.
        per_class: label name -> (value, positives in the truth); the value is NaN for an absent label.
        facts: further entries of the JSON file.
        table: heads and lines of a file `.pairs.csv` beside the JSON file; none when empty.
    """

    rows: list[Row]
    num_videos: int
    notes: list[str]
    per_class_of: str = ""
    per_class: dict[str, tuple[float, int]] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)
    table: list[Sequence[Any]] = field(default_factory=list)


def per_class(
    names: Sequence[str], values: npt.NDArray[np.float64], counts: npt.NDArray[np.int64]
) -> dict[str, tuple[float, int]]:
    """Label name -> (value, positives), from (K,) arrays."""
    return {name: (float(v), int(n)) for name, v, n in zip(names, values, counts, strict=True)}


def as_text(report: Report, *, with_classes: bool) -> str:
    """The table on the screen: percent with two decimals, columns aligned; then the notes."""
    cells = [["metric", "value", "interval", "what it is"]]
    cells += [[row.name, _shown(row.value), _range(row), row.meaning] for row in report.rows]
    if not any(row.interval for row in report.rows):
        cells = [[name, value, meaning] for name, value, _, meaning in cells]
    blocks = [_aligned(cells, right={1})]
    if with_classes and report.per_class:
        lines = [["label", "positives", report.per_class_of]]
        lines += [[name, str(n), _shown(value)] for name, (value, n) in report.per_class.items()]
        blocks.append(_aligned(lines, right={1, 2}))
    blocks.append(
        "\n".join([f"{report.num_videos} videos; values in percent, fractions in the JSON file", *_notes(report)])
    )
    return "\n\n".join(blocks)


def as_json(report: Report, protocol: str, truth: Sequence[Path], predictions: Path) -> dict[str, Any]:
    """The JSON file: fractions, null where there is no value; `per_class` maps label name to value."""
    result: dict[str, Any] = {"protocol": protocol, "truth": [str(path) for path in truth]}
    result |= {"predictions": str(predictions), "num_videos": report.num_videos}
    for row in report.rows:
        result[row.name] = _or_null(row.value)
        if row.interval is not None:
            result[f"{row.name}_low"] = _or_null(row.interval.low)
            result[f"{row.name}_high"] = _or_null(row.interval.high)
    result |= {"notes": _notes(report)} | report.facts
    if report.per_class:
        result["per_class_of"] = report.per_class_of
        result["per_class"] = {name: _or_null(value) for name, (value, _) in report.per_class.items()}
    return result


def free_outputs(output: Path) -> tuple[Path, Path]:
    """Where to write the JSON file and, if there is one, the table.

    Raises:
        ValueError: the name does not end in .json, one of the two exists, or they cannot be written there.
    """
    if output.suffix != ".json":
        raise ValueError(f"--output must end in .json, got {output}")
    table = output.with_suffix(".pairs.csv")
    for path in (output, table):
        try:
            there = path.exists() or path.is_symlink()
        except OSError as error:
            raise ValueError(f"{output} cannot be written: {error.strerror}; give another --output") from error
        if there:
            raise ValueError(
                f"{path} exists already and results are never overwritten; give another name with --output"
            )
    folder = next(folder for folder in output.absolute().parents if folder.exists())
    if not folder.is_dir() or not os.access(folder, os.W_OK | os.X_OK):
        raise ValueError(
            f"{output} cannot be written: {folder} is no folder that may be written to; give another --output"
        )
    return output, table


def write(report: Report, content: dict[str, Any], output: Path) -> list[Path]:
    """Write the files at once or not at all: under other names first, then renamed; returns which.

    Raises:
        ValueError: see `free_outputs`; or the files cannot be written.
    """
    target, table = free_outputs(output)
    texts = {target: json.dumps(content, indent=2, allow_nan=False, ensure_ascii=False) + "\n"}
    if report.table:
        lines = io.StringIO(newline="")
        csv.writer(lines).writerows(report.table)
        texts[table] = lines.getvalue()
    unfinished = {path: path.with_name(f".{path.name}.{uuid.uuid4().hex}") for path in texts}
    renamed: list[Path] = []
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        for path, text in texts.items():
            # bytes of a file name that are no text become \udcXX, which JSON has too
            unfinished[path].write_bytes(text.encode("utf-8", "backslashreplace"))
        free_outputs(output)  # another run may have finished meanwhile
        for path, other in unfinished.items():
            other.rename(path)
            renamed.append(path)
    except OSError as error:
        raise ValueError(f"{output} cannot be written: {error.strerror}; give another --output") from error
    finally:
        for other in (*unfinished.values(), *(renamed if len(renamed) < len(texts) else ())):
            with suppress(OSError):
                other.unlink(missing_ok=True)
    return list(texts)


def _notes(report: Report) -> list[str]:
    """The notes, and one on the intervals that do not exist."""
    names = [row.name for row in report.rows if row.interval is not None and math.isnan(row.interval.low)]
    text = f"no bootstrap interval of {', '.join(names)}: no label has a positive in any resample"
    return [*report.notes, text] if names else report.notes


def _or_null(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _shown(value: float) -> str:
    return f"{100 * value:.2f}" if math.isfinite(value) else "-"


def _range(row: Row) -> str:
    if row.interval is None or math.isnan(row.interval.low):
        return ""
    return f"{_shown(row.interval.low)} to {_shown(row.interval.high)}"


def _aligned(cells: list[list[str]], right: set[int]) -> str:
    """Columns of equal width, two blanks between them; numbers of `right` columns end below each other."""
    widths = [max(len(line[i]) for line in cells) for i in range(len(cells[0]))]
    lines = [
        "  ".join(
            cell.rjust(w) if i in right else cell.ljust(w) for i, (cell, w) in enumerate(zip(line, widths, strict=True))
        )
        for line in cells
    ]
    return "\n".join(line.rstrip() for line in lines)
