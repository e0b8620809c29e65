"""What callbacks that write files share: a free name, rows of a table, and what all processes know."""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import torch.distributed as dist

Key = TypeVar("Key", int, str)
Value = TypeVar("Value")


def free_paths(folder: Path, *names: str) -> list[Path]:
    """The named files in a folder, with the first of "", "-1", "-2", ... behind their stems that is free for all."""
    paths, number = [folder / name for name in names], 0
    while any(path.exists() for path in paths):
        number += 1
        paths = [folder / f"{Path(name).stem}-{number}{Path(name).suffix}" for name in names]
    return paths


def write_rows(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write rows of equal keys as CSV, floats with six digits."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        for row in rows:
            writer.writerow({key: f"{cell:.6f}" if isinstance(cell, float) else cell for key, cell in row.items()})


def gather_dict(mine: Mapping[Key, Value]) -> dict[Key, Value]:
    """The union of the dictionaries of all processes."""
    if not (dist.is_available() and dist.is_initialized()):
        return dict(mine)
    parts: list[Any] = [None] * dist.get_world_size()
    dist.all_gather_object(parts, dict(mine))
    return {key: value for part in parts for key, value in part.items()}
