"""The cells of an annotation table, a chunk of rows at a time, as numbers in a few arrays."""

import csv
import math
from array import array
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from annotations.values import csv_table
from datamodules.annotation_rows import COLUMNS, check_columns, rows, text
from datamodules.files import leaves_root

_CHUNK = 600  # rows at once; fewer than the 700 new objects at which Python looks for garbage among them

Cells = Sequence[Sequence[str]]


def chunks(path: Path) -> Iterator[Cells]:
    """Chunks of rows of a CSV or JSON file, each as one sequence of cells for each of COLUMNS.

    Raises:
        WrongRow: if a row after those that were given is no CSV or of another length.
        ValueError: naming file and row of all else that cannot be read.
    """
    return _json_cells(path) if path.suffix == ".json" else _csv_cells(path)


class WrongRow(Exception):
    """Some row after those that were added is wrong; which one, and how, `annotation_rows.refuse` says."""


class Numbers(dict[str, int]):
    """Number of each text, those that differ by blanks around them alike; `texts` are without."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def __missing__(self, raw: str) -> int:
        bare = raw.strip()
        if bare != raw:
            self[raw] = self[bare]
        else:
            self[raw] = len(self.texts)
            self.texts.append(raw)
        return self[raw]


class Columns:
    """Rows that are right in themselves, as numbers.

    Args:
        outside_root: allow videos whose path leads out of the root.

    Attributes:
        numbers: of each row those of its video, label and split among `names`, `vocabulary` and `splits`.
        times: start and end of each row, seconds; 0 and infinity where both are empty.
    """

    def __init__(self, outside_root: bool) -> None:
        self.outside_root = outside_root
        self.names, self.vocabulary, self.splits = Numbers(), Numbers(), Numbers()
        self.numbers, self.times = array("i"), array("d")

    def add(self, cells: Cells) -> None:
        """Add rows, given as one sequence of cells for each of COLUMNS.

        Raises:
            WrongRow: if there is something wrong with one of them; then none is added.
        """
        video, label, start, end, split = cells
        known, times = len(self.names.texts), _times(start, end)
        numbers = np.empty((len(times), 3), np.intc)
        for place, (of_text, texts) in enumerate(((self.names, video), (self.vocabulary, label), (self.splits, split))):
            numbers[:, place] = list(map(of_text.__getitem__, texts))
        for name in self.names.texts[known:]:
            if not name or (not self.outside_root and leaves_root(name)):
                raise WrongRow
        self.numbers.frombytes(numbers.tobytes())
        self.times.frombytes(times.tobytes())

    def num_rows(self) -> int:
        """Rows that were added."""
        return len(self.times) // 2


def _times(start: Sequence[str], end: Sequence[str]) -> NDArray[np.float64]:
    """(n, 2) float64, seconds of cells; 0 and infinity where both are empty."""
    (starts, has_start), (ends, has_end) = _seconds(start), _seconds(end)
    starts[~has_start], ends[~has_end] = 0, math.inf
    good = (has_start == has_end) & (starts >= 0) & (starts < ends) & (~has_end | (ends < math.inf))
    if not good.all():
        raise WrongRow
    return np.stack([starts + 0.0, ends], axis=1)  # 0.0 for -0.0


def _seconds(cells: Sequence[str]) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """(n,) float64, numbers of cells, and (n,) bool that is False for empty ones."""
    try:
        if "_" in "".join(cells):  # which Python reads between digits
            raise WrongRow
        try:
            return np.fromiter(map(float, cells), np.float64, len(cells)), np.ones(len(cells), np.bool_)
        except ValueError:
            bare = [cell.strip() for cell in cells]  # also of blanks that `float` does not know
            return np.array([float(cell) if cell else 0.0 for cell in bare]), np.array([bool(cell) for cell in bare])
    except ValueError:
        raise WrongRow from None


def _csv_cells(path: Path) -> Iterator[Cells]:
    _, columns = next(csv_table(path, skip_blanks=True))
    check_columns(set(columns), str(path))
    with path.open("rb") as file:
        if any(b"\0" in block for block in iter(lambda: file.read(1 << 20), b"")):
            raise WrongRow
    with path.open(newline="", encoding="utf-8-sig") as lines:
        reader = csv.reader(lines, strict=True, skipinitialspace=True)
        next(row for row in reader if row)
        try:
            while chunk := list(islice(reader, _CHUNK)):
                filled = [row for row in chunk if row]
                if set(map(len, filled)) - {len(columns)}:
                    raise WrongRow
                if filled:
                    cells = dict(zip(columns, zip(*filled, strict=True), strict=True))
                    yield [cells.get(name) or ("",) * len(filled) for name in COLUMNS]
        except (csv.Error, UnicodeDecodeError):
            raise WrongRow from None


def _json_cells(path: Path) -> Iterator[Cells]:
    records = rows(path)
    while chunk := [fields for _, fields in islice(records, _CHUNK)]:
        yield [[text(fields, name) for fields in chunk] for name in COLUMNS]
