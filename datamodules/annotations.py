"""The annotation table of anybody's data: one row for each labelled interval, read into columns."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clips.ragged import Ragged, Rows, Texts, narrow, offsets
from clips.video_table import VideoTable
from datamodules.annotation_columns import Columns, WrongRow, chunks
from datamodules.annotation_rows import find, refuse

_MIX = np.uint64(0x9E3779B97F4A7C15)


@dataclass(frozen=True, eq=False)
class Annotations:
    """What a table says of n videos, in the order of their first rows.

    Args:
        path: the file.
        names: n names.
        splits: what the column split holds; empty text where it is empty or lacks.
        split_numbers: (n,) integers, which of `splits` each video has.
        vocabulary: the labels that occur, sorted.
        label_numbers: n rows (I,), which of `vocabulary` each interval has.
        intervals: n rows (I, 2) float64, start and end in seconds; 0 and infinity for the whole video.
    """

    path: Path
    names: Texts
    splits: list[str]
    split_numbers: NDArray[np.integer[Any]]
    vocabulary: list[str]
    label_numbers: Ragged
    intervals: Ragged

    def labels(self) -> list[str]:
        """The labels that occur, sorted."""
        return list(self.vocabulary)

    def videos(self, names: Iterable[str], label_names: list[str], root: Path) -> VideoTable:
        """Records of the named videos, their files relative to `root`.

        Raises:
            ValueError: if a video has no row or a label is not among `label_names`.
        """
        return self._records(self._numbers(list(names)), label_names, root)

    def split_videos(self, split: str, label_names: list[str], root: Path) -> VideoTable:
        """Records of the videos whose split column says `split`; as `videos`, without their names in between."""
        return self._records(self._in_split(split), label_names, root)

    def _in_split(self, name: str) -> Rows:
        return np.flatnonzero(self.split_numbers == (self.splits.index(name) if name in self.splits else -1))

    def _numbers(self, names: list[str]) -> Rows:
        numbers = dict.fromkeys(names, -1)
        for number, name in enumerate(self.names):
            if name in numbers:
                numbers[name] = number
        missing = next((name for name in names if numbers[name] < 0), None)
        if missing is not None:
            raise ValueError(
                f"video {missing!r} of a split has no row in {self.path}; a video without labels needs a row with an "
                "empty label"
            )
        return np.array([numbers[name] for name in names], np.int64)

    def _records(self, numbers: Rows, label_names: list[str], root: Path) -> VideoTable:
        labels = self.label_numbers
        if label_names != self.vocabulary and self.vocabulary:
            outputs = {label: k for k, label in enumerate(label_names)}
            output = narrow(np.array([outputs.get(label, -1) for label in self.vocabulary], np.int64))
            labels = Ragged(output[labels.values], labels.offsets)
            self._check_known(labels, numbers, label_names)
        return VideoTable.from_folder(root, self.names, labels, self.intervals).take(numbers)

    def _check_known(self, outputs: Ragged, numbers: Rows, label_names: list[str]) -> None:
        unknown = np.concatenate([np.zeros(1, np.int64), np.cumsum(outputs.values < 0)])
        of_video = np.diff(unknown[outputs.offsets])[numbers]
        if not of_video.any():
            return
        video = int(numbers[np.argmax(of_video > 0)])
        label = self.vocabulary[self.label_numbers[video][np.argmax(outputs[video] < 0)]]
        raise ValueError(
            f"{find(self.path, self.names[video], label)}: unknown label {label!r}; expected one of the "
            f"{len(label_names)} listed, such as {label_names[:3]}; correct the row or the label file"
        )


def read_annotations(path: Path, *, outside_root: bool = False) -> Annotations:
    """Read a CSV file with a header, or a JSON list of objects, with the keys video, label, start, end and split.

    `label` may be empty (a video without any activity); `start` and `end` may both be empty or absent (the whole video);
    `split` may be absent. Times are seconds from the first frame, the end exclusive. In JSON all but times are strings; null
    is empty. A CSV file is never held as a whole, a JSON file is.

    Args:
        path: the file.
        outside_root: allow videos whose path is absolute or leads out of the root by `..`. A path is judged by its text:
            where links below the root lead is the business of who made them.

    Raises:
        ValueError: naming file and row: missing, repeated or unknown column, text that is none, number that is none,
            zero-length or reversed interval, one of start and end missing, path that leaves the root, repeated row, two
            splits for one video, no row at all.
    """
    columns = Columns(outside_root)
    try:
        for cells in chunks(path):
            columns.add(cells)
    except WrongRow:
        refuse(path, after=columns.num_rows(), outside_root=outside_root)
    if not columns.num_rows():
        raise ValueError(f"{path} has no annotation; expected rows of video, label, start, end")
    return _grouped(path, columns)


def _grouped(path: Path, columns: Columns) -> Annotations:
    """The columns ordered by video; they are emptied.

    Raises:
        ValueError: if a row is repeated or a video is in two splits.
    """
    columns.names.clear()  # so that what stays can take its memory
    names, splits, labels = Texts.pack(columns.names.texts), columns.splits.texts, columns.vocabulary.texts
    video, label, split = np.frombuffer(columns.numbers, np.intc).reshape(-1, 3).T
    times = np.frombuffer(columns.times, np.float64).reshape(-1, 2)
    del columns.names, columns.numbers
    if (video[1:] < video[:-1]).any():
        order = np.argsort(video, kind="stable")
        video, label, split, times = video[order], label[order], split[order], times[order]
    moved = (video[1:] == video[:-1]) & (split[1:] != split[:-1])
    suspects = np.union1d(video[1:][moved], video[_repeated(video, label, times)])
    if len(suspects):
        refuse(path, repeated={names[number] for number in suspects}, outside_root=columns.outside_root)
    split_numbers = narrow(split[np.append(True, video[1:] != video[:-1])])
    if "" in labels:
        kept = label != labels.index("")
        video, label, times = video[kept], label[kept], times[kept]
    vocabulary = sorted(set(labels) - {""})
    rank = {text: number for number, text in enumerate(vocabulary)}
    numbers = narrow(np.array([rank.get(text, 0) for text in labels], np.int64))[label]
    ends = offsets(np.bincount(video, minlength=len(names)))
    return Annotations(path, names, splits, split_numbers, vocabulary, Ragged(numbers, ends), Ragged(times, ends))


def _repeated(video: NDArray[np.int32], label: NDArray[np.int32], times: NDArray[np.float64]) -> Rows:
    """Numbers of the rows that are those of an earlier one, found among equal hashes."""
    hashes = video.astype(np.uint64)
    for column in (label.astype(np.uint64), *times.view(np.uint64).T):
        hashes ^= column
        hashes *= _MIX
        hashes ^= hashes >> np.uint64(29)
    ordered = np.sort(hashes)
    twice = ordered[1:][ordered[1:] == ordered[:-1]]
    seen: set[tuple[object, ...]] = set()
    repeated = []
    for row in np.flatnonzero(np.isin(hashes, twice)) if len(twice) else ():
        key = (video[row], label[row], *times[row])
        if key in seen:
            repeated.append(row)
        seen.add(key)
    return np.array(repeated, np.int64)
