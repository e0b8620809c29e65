"""What the readers of result files share: lines with their numbers, scores that have a rank, scores by video."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class ResultScores:
    """Scores of a result file, by video.

    Args:
        path: the file.
        scores: name -> float64 (K,) of a video, or (T, K) of its steps; -inf ranks last; neither NaN nor +inf.
        where: name -> place in the file, for messages.
        notes: how the file was read, where that is not a matter of course.
    """

    path: Path
    scores: dict[str, Floats]
    where: dict[str, str]
    notes: tuple[str, ...] = ()


def lines(path: Path) -> Iterator[tuple[int, str]]:
    """Number and text of each line that is not blank.

    Raises:
        ValueError: there is no such file, it is not UTF-8 text, or all of it is blank.
    """
    if not path.is_file():
        raise ValueError(f"{path} is not a file; expected a file of predictions; check the path")
    number, empty = 0, True
    try:
        with open(path, encoding="utf-8-sig") as file:
            for number, line in enumerate(file, 1):
                if not line.isspace():
                    empty = False
                    yield number, line
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{path}, after line {number}: not UTF-8 text ({error.reason}); expected a text file; convert it"
        ) from error
    if empty:
        raise ValueError(f"{path} is empty; expected a line for each prediction; check how it was written")


def to_number(word: str, place: str) -> float:
    """The number that a word stands for.

    Raises:
        ValueError: it is not one.
    """
    try:
        if "_" in word:  # Python reads 0_5 as 5, which nobody means in a file
            raise ValueError
        return float(word)
    except ValueError:
        raise ValueError(f"{place}: {word!r} is not a number; expected one such as 0.25; check the columns") from None


def check_score(value: float, place: str) -> float:
    """A score that can be ranked.

    Raises:
        ValueError: NaN or +inf.
    """
    if math.isnan(value):
        raise ValueError(
            f"{place}: the score is NaN, which has no rank; expected a number, or -inf for what was not scored; look "
            "for a diverged model"
        )
    if value == math.inf:
        raise ValueError(
            f"{place}: the score is +inf; expected a finite number, or -inf for what was not scored; look for an overflow"
        )
    return value
