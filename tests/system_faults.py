"""Faults of the system for tests to play, and whether a process is still there."""

import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest


@contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    """The system refuses to let a file grow beyond `size` bytes, as a quota or a full disk does."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def make_read_only(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """Nothing below a folder can be opened but to be read; also for root, who may write to any folder of a disk."""
    opened = Path.open

    def only_read(path: Path, mode: str = "r", *args: Any, **kwargs: Any) -> Any:
        if path.is_relative_to(folder) and mode != "rb":
            raise PermissionError(13, "Permission denied", str(path))
        return opened(path, mode, *args, **kwargs)

    monkeypatch.setattr(Path, "open", only_read)


def runs(pid: int) -> bool:
    """Whether a process is there and has not ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def wait_for_end(*pids: int, seconds: float = 60.0) -> None:
    """Wait until processes have ended; fail if they do not."""
    deadline = time.monotonic() + seconds
    while left := [pid for pid in pids if runs(pid)]:
        assert time.monotonic() < deadline, f"processes {left} are left behind"
        time.sleep(0.01)
