"""The videos of a split as a few arrays: a million of them are read quickly and stay one copy for all workers.

A list of a million `Video` objects is a gigabyte, and since whoever looks at an object counts that reference in it, each
forked worker ends up with a copy of its own. Arrays are only read; the record of a video is made when it is asked for.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from clips.ragged import Growing, Ragged, Rows, Texts
from clips.targets import Video

_CHUNK = 4096  # videos that are packed, or counted, at once
_BLOCK = 1 << 20  # bytes that are looked through at once
_OPTIONAL: dict[str, type[np.generic]] = {
    "window": np.float64,
    "boxes": np.float32,
    "box_labels": np.int64,
    "frame_numbers": np.int64,
}

Optional = tuple[Ragged, NDArray[np.bool_]]


class VideoTable(Sequence[Video]):
    """Records of videos, held as columns; `table[i]` makes the record of video i.

    Args:
        names: n names.
        paths: n paths, without their prefix but otherwise as `str(Path)` writes them.
        labels: n rows of integers (I,), of any dtype that holds them.
        intervals: n rows (I, 2) float64.
        prefix: text in front of all paths.
        optional: `window` (1, 2), `boxes` (P, 4), `box_labels` (P, A) and `frame_numbers` (1, 2) where some video has them:
            n rows, and (n,) bool that is False where the record has None.

    Raises:
        ValueError: if the columns are not of one length.
    """

    def __init__(
        self,
        names: Texts,
        paths: Texts,
        labels: Ragged,
        intervals: Ragged,
        *,
        prefix: str = "",
        optional: Mapping[str, Optional] | None = None,
    ) -> None:
        self._names, self._paths, self._labels, self._intervals = names, paths, labels, intervals
        self._prefix, self._optional = prefix, dict(optional or {})
        self._rows: Rows | None = None  # which videos of the columns; None for all in their order
        lengths = {len(column) for column in (names, paths, labels, intervals)}
        lengths |= {len(part) for column in self._optional.values() for part in column}
        if len(lengths) > 1:
            raise ValueError(f"each column must have one row a video, got {sorted(lengths)} rows")

    @classmethod
    def from_videos(cls, videos: Iterable[Video]) -> VideoTable:
        """Pack records, which are read once and not kept; a table is returned as it is.

        Raises:
            ValueError: naming the video, if its columns are not of the shape or kind that `Video` states.
        """
        if isinstance(videos, VideoTable):
            return videos
        records, packing = iter(videos), _Packing()
        while chunk := list(islice(records, _CHUNK)):
            packing.add(chunk)
        return packing.table()

    @classmethod
    def from_folder(cls, root: Path, names: Texts, labels: Ragged, intervals: Ragged) -> VideoTable:
        """Videos that are named by their path relative to a folder, `root / name`; columns as above."""
        if _as_path_writes(names):
            return cls(names, names, labels, intervals, prefix=str(root / "x")[:-1])
        return cls(names, Texts.pack(str(root / name) for name in names), labels, intervals)

    def take(self, rows: Rows) -> VideoTable:
        """The videos of these numbers, in this order; the columns are shared."""
        table = VideoTable.__new__(VideoTable)
        table.__dict__.update(self.__dict__)
        table._rows = (rows if self._rows is None else self._rows[rows]).astype(np.int32)
        return table

    def __len__(self) -> int:
        return len(self._names) if self._rows is None else len(self._rows)

    @overload
    def __getitem__(self, number: int) -> Video: ...
    @overload
    def __getitem__(self, number: slice) -> VideoTable: ...
    def __getitem__(self, number: int | slice) -> Video | VideoTable:
        """The record of a video, its arrays its own; or the table of a slice."""
        if isinstance(number, slice):
            return self.take(np.arange(len(self))[number])
        row = range(len(self))[number]
        row = row if self._rows is None else int(self._rows[row])
        cells = {name: self._cell(name, row) for name in self._optional}
        for name in ("window", "frame_numbers"):
            if cells.get(name) is not None:
                cells[name] = tuple(cells[name][0].tolist())
        return Video(
            self._names[row],
            Path(self._prefix + self._paths[row]),
            self._labels[row].astype(np.int64),
            self._intervals[row].astype(np.float64),
            **cells,
        )

    def _cell(self, name: str, row: int) -> Any:
        column, there = self._optional[name]
        return column[row].astype(_OPTIONAL[name]) if there[row] else None

    def __iter__(self) -> Iterator[Video]:
        return map(self.__getitem__, range(len(self)))

    def names(self) -> Iterator[str]:
        """The name of each video, without the rest of its record."""
        return self._names.at(self._rows)

    def paths(self) -> Iterator[str]:
        """The path of each video, without the rest of its record."""
        return (self._prefix + path for path in self._paths.at(self._rows))

    def num_intervals(self) -> NDArray[np.int64]:
        """(n,) int64, annotated intervals of each video."""
        return self._labels.counts() if self._rows is None else self._labels.counts()[self._rows]

    def cooccurrence(self, num_labels: int) -> NDArray[np.int64]:
        """(K, K) int64, videos that have both labels; the diagonal counts those that have one.

        Raises:
            ValueError: if there is a label outside of 0..K-1.
        """
        matrix = np.zeros(num_labels * num_labels, np.int64)
        rows = np.arange(len(self)) if self._rows is None else self._rows
        for first in range(0, len(rows), _CHUNK):
            labels = self._labels.take(rows[first : first + _CHUNK])
            numbers, counts = labels.values.astype(np.int64), labels.counts()
            if len(numbers) and not 0 <= numbers.min() <= numbers.max() < num_labels:
                raise ValueError(f"labels must be from 0 to {num_labels - 1}, got {numbers.min()} to {numbers.max()}")
            once = np.unique(np.repeat(np.arange(len(counts)), counts) * num_labels + numbers)
            videos, found = np.divmod(once, num_labels)
            counts = np.bincount(videos, minlength=len(counts))
            partners = Ragged(found, np.concatenate([[0], counts.cumsum()])).take(videos)  # all labels of its video
            np.add.at(matrix, np.repeat(found, counts[videos]) * num_labels + partners.values, 1)
        return matrix.reshape(num_labels, num_labels)

    def __getstate__(self) -> dict[str, Any]:
        """What goes to a worker that is not forked: only the videos of the table."""
        state = self.__dict__.copy()
        if self._rows is not None:
            taken: dict[int, Any] = {}  # the names may be the paths too
            for name in ("_names", "_paths", "_labels", "_intervals"):
                column = state[name]
                if id(column) not in taken:
                    taken[id(column)] = column.take(self._rows)
                state[name] = taken[id(column)]
            state["_optional"] = {
                name: (column.take(self._rows), there[self._rows]) for name, (column, there) in self._optional.items()
            }
            state["_rows"] = None
        return state


class _Packing:
    """The columns of records that come a few at a time."""

    def __init__(self) -> None:
        self.names, self.paths = Growing(np.empty(0, np.uint8)), Growing(np.empty(0, np.uint8))
        self.labels, self.intervals = Growing(np.empty(0, np.int64)), Growing(np.empty((0, 2), np.float64))
        self.optional: dict[str, tuple[Growing, bytearray]] = {}
        self.prefix: str | None = None

    def add(self, videos: Sequence[Video]) -> None:
        """Copy records."""
        for video in videos:
            labels, intervals = np.asarray(video.labels), np.asarray(video.intervals)
            if labels.ndim != 1 or labels.dtype.kind not in "iu" or intervals.shape != (len(labels), 2):
                raise ValueError(
                    f"video {video.name!r}: expected integer labels (I,) and intervals (I, 2), got {labels.dtype} labels "
                    f"{labels.shape} and intervals {intervals.shape}"
                )
        for name in _OPTIONAL:
            self._add_optional(name, [getattr(video, name) for video in videos])
        paths = [str(video.path) for video in videos]
        ends = [min(paths), max(paths)]
        ends += [] if self.prefix is None else [self.prefix]
        self.prefix = os.path.commonprefix(ends)  # noqa: RUF071  what they begin with, be it half a name
        self.names.add(Texts.pack(video.name for video in videos).column)
        self.paths.add(Texts.pack(paths).column)
        self.labels.add(Ragged.pack([video.labels for video in videos], self.labels.empty))
        self.intervals.add(Ragged.pack([video.intervals for video in videos], self.intervals.empty))

    def _add_optional(self, name: str, cells: Sequence[Any]) -> None:
        there = [cell is not None for cell in cells]
        if any(there) and name not in self.optional:
            empty, before = _cell(name, cells[there.index(True)])[:0], len(self.names.counts)
            self.optional[name] = Growing(empty), bytearray(before)
            self.optional[name][0].add(Ragged(empty, np.zeros(before + 1, np.int64)))  # None so far
        if name in self.optional:
            growing, flags = self.optional[name]
            rows = [growing.empty if cell is None else _cell(name, cell) for cell in cells]
            widths = sorted({growing.empty.shape[1], *(row.shape[1] for row in rows)})
            if len(widths) > 1:
                raise ValueError(f"{name} of all videos must have as many columns, got {widths[0]} and {widths[-1]}")
            growing.add(Ragged.pack(rows, growing.empty))
            flags += bytes(there)

    def table(self) -> VideoTable:
        """All records."""
        prefix = self.prefix or ""
        return VideoTable(
            Texts(self.names.done()),
            Texts(self.paths.done().without_first(len(prefix.encode("utf-8", "surrogatepass")))),
            self.labels.done(),
            self.intervals.done(),
            prefix=prefix,
            optional={
                name: (rows.done(), np.frombuffer(there, np.bool_)) for name, (rows, there) in self.optional.items()
            },
        )


def _cell(name: str, value: Any) -> NDArray[Any]:
    return np.array(value, _OPTIONAL[name], ndmin=2)


def _as_path_writes(names: Texts) -> bool:
    """Whether `str(Path(name)) == name` for all; may say no without need, where the slow way is right too."""
    data, ends = names.column.values, names.column.offsets
    if os.sep != "/" or not names.column.counts().all():
        return False
    edges = np.concatenate([data[ends[:-1]], data[ends[1:] - 1]])
    blocks = (data[start : start + _BLOCK + 2].tobytes() for start in range(0, len(data), _BLOCK))
    return not np.isin(edges, list(b"/.")).any() and not any(b"//" in block or b"/./" in block for block in blocks)
