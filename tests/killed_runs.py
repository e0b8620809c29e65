"""Run the command line again and again, killed each time: `killed_runs.py SEED KILLS FOLDER SUBCOMMAND ARGUMENT...`.

Each run is a fork of this process, which has imported everything, and is killed by SIGKILL: at any moment after something
changed in the folder, or in the middle of writing a whole file, before it takes its place, or just after; a test in the
middle of a record of its journal. The last run is left alone. Prints one line a run.
"""

import contextlib
import os
import signal
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch

import callbacks.files
import callbacks.score_journal
from cli import main

PLACES = {"fit": ("any", "half", "unnamed", "named"), "test": ("record",)}


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(60)


def _kill_at_write(place: str, number: int) -> None:
    """Die at the `number`-th file that is written whole: half-way, before it is renamed, or after."""
    replace, open_path, seen = Path.replace, Path.open, 0

    def opened(self: Path, mode: str = "r", *args: Any, **kwargs: Any) -> Any:
        nonlocal seen
        file = open_path(self, mode, *args, **kwargs)
        if self.suffix == ".unfinished" and "x" in mode:
            seen += 1
            if place == "half" and seen == number:

                def write(data: Any) -> None:
                    os.write(file.fileno(), bytes(data)[: len(data) // 2])
                    _die()

                file.write = write  # type: ignore[method-assign, assignment]
        return file

    def replaced(self: Path, target: Path) -> Path:
        if place == "unnamed" and seen == number:
            _die()
        done = replace(self, target)
        if place == "named" and seen == number:
            _die()
        return done

    Path.open, Path.replace = opened, replaced  # type: ignore[method-assign, assignment]


class _System:
    """The module `os`, but that the `number`-th write ends half-way."""

    def __init__(self, number: int) -> None:
        self.left = number

    def __getattr__(self, name: str) -> Any:
        return getattr(os, name)

    def write(self, file: int, data: bytes) -> int:
        self.left -= 1
        if self.left == 0:
            os.write(file, data[: len(data) // 2])
            _die()
        return os.write(file, data)


def _changes(folder: Path) -> set[tuple[str, int, int]]:
    """Name, time of change and size of each file; one that is renamed meanwhile may be left out."""
    found = set()
    if folder.is_dir():
        with os.scandir(folder) as files:
            for file in files:
                with contextlib.suppress(FileNotFoundError):
                    found.add((file.name, file.stat().st_mtime_ns, file.stat().st_size))
    return found


def run(words: list[str], place: str, when: float, folder: Path) -> int:
    """Fork a run and kill it; `when` is in seconds for `any`, in files or records written for the others."""
    before = _changes(folder)
    child = os.fork()
    if child == 0:
        code = 1
        try:
            warnings.simplefilter("ignore")
            callbacks.files._ABANDONED = 0.0  # the next run follows at once
            if place == "record":
                callbacks.score_journal.os = _System(int(when))  # type: ignore[assignment, attr-defined]
            elif place not in ("any", "none"):
                _kill_at_write(place, int(when))
            main(words)
            code = 0
        finally:
            sys.stdout.flush()
            os._exit(code)
    if place == "any":
        ended = os.WEXITED | os.WNOHANG | os.WNOWAIT  # its number is its own until it is waited for
        while _changes(folder) == before and os.waitid(os.P_PID, child, ended) is None:
            time.sleep(0.001)
        time.sleep(when)
        os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    for path in folder.glob("*.ckpt"):
        torch.load(path, weights_only=True)  # whole, whenever the run died
    assert any(folder.glob("*.ckpt")) or not any(name.endswith(".ckpt") for name, *_ in before)
    return os.waitstatus_to_exitcode(status)


if __name__ == "__main__":
    torch.set_num_threads(1)
    random, folder, words = np.random.default_rng(int(sys.argv[1])), Path(sys.argv[3]), sys.argv[4:]
    for number in range(int(sys.argv[2])):
        places = PLACES[words[0]]
        place = places[number % len(places)]
        when = random.uniform(0, 0.06) if place == "any" else float(random.integers(1, 5))
        print("\nkilled", place, round(when, 3), run(words, place, when, folder), flush=True)
    print("\nended", run(words, "none", 0, folder), flush=True)
