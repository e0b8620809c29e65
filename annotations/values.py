"""What the readers share: checked numbers, JSON without repeated keys, columns from rows."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from annotations.records import AnnotatedVideo

Action = tuple[int, float, float]  # label, start, end


def seconds(value: object, name: str, where: str) -> float:
    """A finite number, from JSON or from text.

    Raises:
        ValueError: if it is none; starting with `where` and naming `name`.
    """
    try:
        number = float(value) if isinstance(value, int | float | str) and not isinstance(value, bool) else math.nan
    except (ValueError, OverflowError):
        number = math.nan
    if not math.isfinite(number):
        raise ValueError(f"{where}: {name} must be a finite number of seconds, got {value!r}; correct the file")
    return number


def annotated_video(
    name: str, subset: str, duration: float | None, actions: Iterable[Action], where: str
) -> AnnotatedVideo:
    """A record with the columns of its actions."""
    rows = list(actions)
    return AnnotatedVideo(
        name,
        subset,
        duration,
        np.array([label for label, _, _ in rows], dtype=np.int64),
        np.array([(start, end) for _, start, end in rows], dtype=np.float64).reshape(-1, 2),
        where,
    )


def read_json(path: Path) -> dict[str, Any]:
    """The object of a JSON file.

    Raises:
        ValueError: if there is no such file, it is not valid JSON, an object in it has a key twice (of which Python would
            keep the last in silence), or it holds no object.
    """
    if not path.is_file():
        raise ValueError(f"annotation file {path} does not exist")
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"), object_pairs_hook=_unique)
    except ValueError as error:
        raise ValueError(f"{path} cannot be read as JSON: {error}") from error
    if not isinstance(content, dict):
        raise ValueError(f"{path}: expected a JSON object, got a {type(content).__name__}")
    return content


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise ValueError(f"{twice!r} is there twice; keep one")
    return content
