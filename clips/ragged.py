"""Rows of different lengths in one array: what a table of videos is made of."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.integer[Any]]
_CHUNK = 65536  # rows that are gathered at once


@dataclass(frozen=True, eq=False)
class Ragged:
    """Row i is `values[offsets[i] : offsets[i + 1]]`.

    Args:
        values: the rows, one after another.
        offsets: (n + 1,) integers.
    """

    values: NDArray[Any]
    offsets: NDArray[Any]

    @classmethod
    def pack(cls, rows: Sequence[NDArray[Any]], empty: NDArray[Any]) -> Ragged:
        """Copy rows into one array; `empty` is one of the same width, and of the dtype that they shall have."""
        values = np.concatenate([empty, *rows], dtype=empty.dtype)
        return cls(values, offsets(np.fromiter(map(len, rows), np.int64, len(rows))))

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, row: int) -> NDArray[Any]:
        return self.values[self.offsets[row] : self.offsets[row + 1]]

    def counts(self) -> NDArray[np.int64]:
        """(n,) int64, length of each row."""
        return np.diff(self.offsets).astype(np.int64)

    def take(self, rows: Rows) -> Ragged:
        """A copy of the rows of these numbers."""
        return self._gather(self.offsets[:-1][rows], self.offsets[1:][rows])

    def without_first(self, length: int) -> Ragged:
        """A copy of all rows without their first values; each must have as many."""
        return self._gather(self.offsets[:-1] + length, self.offsets[1:])

    def _gather(self, starts: NDArray[Any], ends: NDArray[Any]) -> Ragged:
        growing = Growing(self.values[:0])
        for first in range(0, len(starts), _CHUNK):  # so that the places of their values take little memory
            start, end = (part[first : first + _CHUNK].astype(np.int64) for part in (starts, ends))
            found = offsets(end - start)
            places = np.arange(found[-1], dtype=np.int64) + np.repeat(start - found[:-1], end - start)
            growing.add(Ragged(self.values[places], found))
        return growing.done()


class Growing:
    """Rows that come a few at a time; their memory grows with them, so that nothing is there twice.

    Args:
        empty: an array of their dtype and width, without values.
    """

    def __init__(self, empty: NDArray[Any]) -> None:
        self.empty, self.values, self.counts = empty, bytearray(), array("q")

    def add(self, part: Ragged) -> None:
        """Copy rows.

        Raises:
            ValueError: if they are of another dtype or width.
        """
        expected, got = ((values.dtype, values.shape[1:]) for values in (self.empty, part.values))
        if expected != got:
            raise ValueError(f"expected rows of {expected[0]} {expected[1]}, got {got[0]} {got[1]}")
        self.values += part.values.tobytes()
        self.counts.frombytes(part.counts().tobytes())

    def done(self) -> Ragged:
        """All rows, integers in the smallest dtype that holds them."""
        values = np.frombuffer(self.values, self.empty.dtype).reshape(-1, *self.empty.shape[1:])
        return Ragged(narrow(values), offsets(np.frombuffer(self.counts, np.int64)))


@dataclass(frozen=True, eq=False)
class Texts(Sequence[str]):
    """Texts as bytes of UTF-8, one after another; any text that Python holds comes back as it was."""

    column: Ragged

    @classmethod
    def pack(cls, texts: Iterable[str]) -> Texts:
        """Copy texts, which are read once."""
        coded = [text.encode("utf-8", "surrogatepass") for text in texts]
        counts = np.fromiter(map(len, coded), np.int64, len(coded))
        return cls(Ragged(np.frombuffer(b"".join(coded), np.uint8), offsets(counts)))

    def __len__(self) -> int:
        return len(self.column)

    def __getitem__(self, row: int) -> str:  # type: ignore[override]
        return self.column[range(len(self))[row]].tobytes().decode("utf-8", "surrogatepass")

    def __iter__(self) -> Iterator[str]:
        return self.at(None)

    def at(self, rows: Rows | None) -> Iterator[str]:
        """The texts of these rows, or all."""
        return (self[int(row)] for row in (range(len(self)) if rows is None else rows))

    def take(self, rows: Rows) -> Texts:
        """A copy of the texts of these rows."""
        return Texts(self.column.take(rows))


def offsets(counts: NDArray[np.int64]) -> NDArray[Any]:
    """(n + 1,) int32, or int64 where that is too small: where each of n rows of these lengths begins, and the end."""
    ends = np.zeros(len(counts) + 1, np.int64)
    np.cumsum(counts, out=ends[1:])
    return ends.astype(np.int32) if ends[-1] < 2**31 else ends


def narrow(values: NDArray[Any]) -> NDArray[Any]:
    """Integers in the smallest dtype that holds them all; anything else as it is."""
    if values.dtype.kind not in "iu" or not values.size:
        return values
    low, high = int(values.min()), int(values.max())
    dtype = np.result_type(np.min_scalar_type(low), np.min_scalar_type(high if low >= 0 else -high - 1))
    return values.astype(dtype, copy=False)
