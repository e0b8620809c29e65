"""What callbacks that write files share: a free name, whole files, rows of a table, and what all processes know."""

import contextlib
import csv
import fcntl
import io
import os
import secrets
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import torch.distributed as dist

Key = TypeVar("Key", int, str)
Value = TypeVar("Value")

_UNFINISHED = ".unfinished"
_ABANDONED = 60.0  # seconds without a change, after which an unfinished file may be a killed process's


def free_paths(folder: Path, *names: str) -> list[Path]:
    """The named files in a folder, with the first of "", "-1", "-2", ... behind their stems that is free for all."""
    paths, number = [folder / name for name in names], 0
    while any(path.exists() for path in paths):
        number += 1
        paths = [folder / f"{Path(name).stem}-{number}{Path(name).suffix}" for name in names]
    return paths


def check_writable(folder: Path) -> None:
    """Refuse a folder in which nothing can be written, before hours are spent on what belongs there.

    Raises:
        ValueError: with the folder and the reason.
    """
    there = next(place for place in (folder, *folder.absolute().parents) if place.exists())
    try:
        tempfile.TemporaryFile(dir=there).close()
    except OSError as error:
        raise ValueError(
            f"nothing can be written to the output folder {folder}: {error.strerror} ({there}); choose another with "
            "--trainer.default_root_dir or the output of the callback, or make this one a writable folder"
        ) from error


def write_whole(path: Path, data: bytes | memoryview) -> None:
    """Write a file at once or not at all, whatever happens to the process, the disk or the machine.

    The data go to a file beside the path, are forced to the disk, and then take the place of what was there.

    Raises:
        OSError: the data do not fit on the disk, or cannot be written for another reason; what was there is as it was.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # no other process may have the name, also of another machine or container, where process numbers repeat
    unfinished = path.with_name(f".{path.name}.{secrets.token_hex(8)}{_UNFINISHED}")
    try:
        with unfinished.open("xb") as file:
            with contextlib.suppress(OSError):  # not every file system can lock
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            _remove_abandoned(path.parent, os.fstat(file.fileno()).st_mtime)
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
            unfinished.replace(path)
    except OSError as error:
        unfinished.unlink(missing_ok=True)  # before the room that is left is measured
        raise OSError(
            error.errno,
            f"{len(data)} bytes cannot be written ({error.strerror}; {shutil.disk_usage(path.parent).free} bytes are free); "
            "what was there before is as it was",
            str(path),
        ) from error
    finally:
        unfinished.unlink(missing_ok=True)
    with contextlib.suppress(OSError):  # not every file system can force a folder to the disk
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def _remove_abandoned(folder: Path, now: float) -> None:
    """Remove what killed processes left half-written; `now` is by the clock of the file system, s.

    A living process holds a lock; but not between making a file and locking it, and not every lock is seen by other machines.
    Hence the age.
    """
    for left in folder.glob(f".*{_UNFINISHED}"):
        with contextlib.suppress(OSError):
            if now - left.stat().st_mtime < _ABANDONED:
                continue
            with left.open("r+b") as file:  # NFS locks only what is open for writing
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                left.unlink()


def write_rows(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write rows of equal keys as CSV, floats with six digits."""
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, list(rows[0]))
    writer.writeheader()
    for row in rows:
        writer.writerow({key: f"{cell:.6f}" if isinstance(cell, float) else cell for key, cell in row.items()})
    write_whole(path, text.getvalue().encode())


def gather_dict(mine: Mapping[Key, Value]) -> dict[Key, Value]:
    """The union of the dictionaries of all processes."""
    if not (dist.is_available() and dist.is_initialized()):
        return dict(mine)
    parts: list[Any] = [None] * dist.get_world_size()
    dist.all_gather_object(parts, dict(mine))
    return {key: value for part in parts for key, value in part.items()}
