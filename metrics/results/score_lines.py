"""Text files of scores, one line a video or one line a frame: the official submissions of Charades."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from metrics.results.text import Floats, ResultScores, check_score, lines, to_number


def read_video_scores(path: Path, num_labels: int) -> ResultScores:
    """Lines `id s0 s1 ...`, separated by blanks or tabs.

    Args:
        path: the file.
        num_labels: K, scores on each line.

    Returns:
        (K,) for each video.

    Raises:
        ValueError: a line has another number of columns, a score is not a number, NaN or +inf, or a video stands twice.
    """
    scores: dict[str, Floats] = {}
    where: dict[str, str] = {}
    for number, line in lines(path):
        name, rest = _first(line)
        if name in where:
            raise ValueError(f"{path}, line {number}: video {name!r} stands in {where[name]} already; keep one of them")
        where[name] = f"line {number}"
        scores[name] = _scores(path, number, ["id"], rest, num_labels)
    return ResultScores(path, scores, where)


def read_frame_scores(path: Path, num_labels: int, num_frames: int, *, allow_missing: bool = False) -> ResultScores:
    """Lines `id frame s0 s1 ...`, separated by blanks or tabs, in any order.

    Frames are numbered from 1, or from 0 throughout, as in the official script.

    Args:
        path: the file.
        num_labels: K, scores on each line.
        num_frames: T, frames that each video must have.
        allow_missing: give a missing frame -inf throughout, as the official script does, instead of refusing the file.

    Returns:
        (T, K) for each video.

    Raises:
        ValueError: as for `read_video_scores`; a frame is out of range, stands twice, or is missing.
    """
    rows: dict[str, dict[int, Floats]] = {}
    place: dict[tuple[str, int], int] = {}
    for number, line in lines(path):
        name, rest = _first(line)
        word, rest = _first(rest)
        if not word:
            raise ValueError(
                f"{path}, line {number}: only an id, {name[:60]!r}; expected `id frame s0 s1 ...`; add them"
            )
        row = _scores(path, number, ["id", "frame"], rest, num_labels)
        frame = _frame(path, number, word, num_frames)
        if (name, frame) in place:
            raise ValueError(
                f"{path}, line {number}: frame {frame} of video {name!r} stands in line {place[name, frame]} already; "
                "keep one of them"
            )
        place[name, frame] = number
        rows.setdefault(name, {})[frame] = row
    where = {name: f"line {place[name, next(iter(frames))]}" for name, frames in rows.items()}
    first, notes = _first_frame(path, place, num_frames)
    missing = [(name, i) for name in rows for i in range(first, first + num_frames) if i not in rows[name]]
    if missing:
        name, frame = missing[0]
        videos = len({name for name, _ in missing})
        text = f"{len(missing)} frames of {videos} videos are missing, the first frame {frame} of {name!r}"
        if not allow_missing:
            raise ValueError(
                f"{path}, {where[name]}: {text}; expected {num_frames} lines for each video; add them, or pass "
                "--allow-missing to rank them last"
            )
        notes.append(f"{text}: they rank last (-inf)")
    scores = {name: np.full((num_frames, num_labels), -np.inf) for name in rows}
    for name, frames in rows.items():
        for frame, row in frames.items():
            scores[name][frame - first] = row
    return ResultScores(path, scores, where, tuple(notes))


def _first(line: str) -> tuple[str, str]:
    """The first word of a line, empty if there is none, and what follows it."""
    words = [*line.split(maxsplit=1), "", ""]
    return words[0], words[1]


def _frame(path: Path, number: int, word: str, num_frames: int) -> int:
    # Python refuses to read thousands of digits, with a message of its own
    if not (word.isascii() and word.isdigit() and len(word) < 10 and int(word) <= num_frames):
        raise ValueError(
            f"{path}, line {number}: frame {word[:60]!r}; expected a whole number from 1 to {num_frames} (or from 0 to "
            f"{num_frames - 1}); write `id frame s0 s1 ...`"
        )
    return int(word)


def _first_frame(path: Path, place: dict[tuple[str, int], int], num_frames: int) -> tuple[int, list[str]]:
    """The number of the first frame, 0 or 1, and what to say of it."""
    ends = {frame: (name, line) for (name, frame), line in place.items() if frame in (0, num_frames)}
    if len(ends) == 2:
        raise ValueError(
            f"{path}, line {ends[0][1]}: frame 0, and frame {num_frames} in line {ends[num_frames][1]}; expected frames 1 "
            f"to {num_frames}, or 0 to {num_frames - 1} throughout; renumber them"
        )
    if 0 in ends:
        return 0, [f"frames are numbered from 0 to {num_frames - 1}; the official numbers are 1 to {num_frames}"]
    return 1, []


def _scores(path: Path, number: int, head: list[str], rest: str, num_labels: int) -> Floats:
    """The scores of one line, of which `rest` is what follows the columns of `head`."""
    words = rest.split()
    if len(words) != num_labels:
        raise ValueError(
            f"{path}, line {number}: expected {len(head) + num_labels} columns separated by blanks ({', '.join(head)} and "
            f"{num_labels} scores), got {len(head) + len(words)}; write one score for each label, in their order"
        )
    try:
        if "_" in rest:  # see to_number
            raise ValueError
        row = np.fromiter(map(float, words), np.float64, num_labels)
    except ValueError:
        row = np.array([to_number(word, _place(path, number, head, i)) for i, word in enumerate(words)])
    if not (row < np.inf).all():
        bad = int((~(row < np.inf)).argmax())
        check_score(float(row[bad]), _place(path, number, head, bad))
    return row


def _place(path: Path, number: int, head: list[str], index: int) -> str:
    return f"{path}, line {number}, column {len(head) + index + 1}"
