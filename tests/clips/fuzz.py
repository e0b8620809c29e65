"""Read damaged copies of videos and pictures in a process apart: frames or a VideoError, in bounded time and memory.

`python -m tests.clips.fuzz --count 2000` damages the clips in the folder of real data and files written here, and prints
what came of them; each failure with the command that repeats it.
"""

import argparse
import os
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Iterable, Iterator
from multiprocessing import get_context
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import NamedTuple

import av

from clips.frame_folder import DECODERS
from tests.clips.fuzz_corpus import mutant
from tests.clips.fuzz_reading import Outcome, examine
from tests.clips.odd_files import KINDS, pictures
from tests.clips.test_frame_folder import write_picture

SECONDS, MEGABYTES = 10, 1000  # processor time of one file, resident memory of the whole process
_PATIENCE = 60  # seconds on the clock, for a hang that takes no processor time
ODD = ("hevc open GOP", "h264 open GOP mkv", "vp9", "h264 open GOP mpegts", "h264 fragmented", "rotated 90", "h264 flv")


class Case(NamedTuple):
    """Mutation `number` of a file."""

    path: Path
    number: int
    seed: int


class Report(NamedTuple):
    """A case, what came of it, and its cost: processor seconds, and the highest resident memory so far in MB."""

    case: Case
    outcome: Outcome
    seconds: float = 0.0
    megabytes: int = 0


def spread(paths: Iterable[Path], count: int, seed: int) -> list[Case]:
    """The first mutations of each file, `count` in all."""
    paths = list(paths)
    return [Case(paths[j % len(paths)], j // len(paths), seed) for j in range(count)]


def run(cases: Iterable[Case], scratch: Path) -> Iterator[Report]:
    """Read the cases one after another in a process that is replaced when it dies, hangs or has grown too large.

    Args:
        cases: What to read.
        scratch: Folder for the file that is being read; it is left there when its process dies.
    """
    process: BaseProcess | None = None
    for case in cases:
        if process is None:
            parent, child = get_context("spawn").Pipe()
            process = get_context("spawn").Process(target=_serve, args=(child, scratch), daemon=True)
            process.start()
            child.close()
        parent.send(case)
        try:
            report = parent.recv() if parent.poll(_PATIENCE) else _lost(case, f"hangs: no answer after {_PATIENCE} s")
        except EOFError:
            process.join()
            code = -(process.exitcode or 0)
            why = (
                f"takes over {SECONDS} s"
                if code == signal.SIGPROF
                else f"kills the process: {signal.Signals(code).name}"
            )
            report = _lost(case, why)
        if report.megabytes > MEGABYTES:
            report = report._replace(outcome=Outcome("failure", f"takes {report.megabytes} MB"))
        if report.outcome.kind == "failure":
            process.kill()
            process.join()
            process = None
        yield report
    if process is not None:
        process.kill()
        process.join()


def _lost(case: Case, why: str) -> Report:
    return Report(case, Outcome("failure", why))


def _serve(pipe: Connection, scratch: Path) -> None:
    av.logging.set_level(av.logging.PANIC)
    while True:
        case: Case = pipe.recv()
        path, _ = write_mutant(case, scratch)
        began = time.process_time()
        signal.setitimer(signal.ITIMER_PROF, SECONDS)  # its signal ends the process
        try:
            outcome = examine(path, dataset=case.number % 3 == 0)
        except BaseException:
            outcome = Outcome("failure", traceback.format_exc(limit=-3))
        signal.setitimer(signal.ITIMER_PROF, 0)
        pipe.send(Report(case, outcome, time.process_time() - began, _peak()))


def write_mutant(case: Case, scratch: Path) -> tuple[Path, str]:
    """Write the file of a case, a picture as the first or second of a folder of three; what to read, what was done."""
    data, told = mutant(case.path.read_bytes(), case.path.name, case.number, case.seed)
    if case.path.suffix not in DECODERS:
        (scratch / f"bad{case.path.suffix}").write_bytes(data)
        return scratch / f"bad{case.path.suffix}", told
    folder = scratch / "frames"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for number in range(3):
        bad = number == case.number % 2
        (folder / f"{number}{case.path.suffix}").write_bytes(data if bad else case.path.read_bytes())
    return folder, told


def _peak() -> int:
    """Highest resident memory of this process in MB; 0 where the system does not tell."""
    try:
        status = Path("/proc/self/status").read_text()
    except OSError:
        return 0
    return int(status.partition("VmHWM:")[2].split()[0]) // 1000


def write_sources(folder: Path, kinds: Iterable[str]) -> list[Path]:
    """Write a video of each kind of `odd_files`, and a picture of each format that FFmpeg can write here."""
    folder.mkdir(exist_ok=True)
    paths = []
    for kind in kinds:
        (folder / kind).mkdir()
        made = KINDS[kind](folder / kind)
        paths.append(made.rename(folder / f"{kind.replace(' ', '_').replace(',', '')}{made.suffix}"))
    for suffix in (".jpg", ".png"):
        paths.append(folder / f"picture{suffix}")
        write_picture(paths[-1], pictures(1)[0])
    return paths


def table(reports: Iterable[Report], keep: Path | None, scratch: Path) -> int:
    """Print counts and failures; the number of failures."""
    files: dict[str, Counter[str]] = {}
    errors, compared, seconds, megabytes, failures = Counter[str](), Counter[str](), [0.0], 0, 0
    for case, outcome, took, peak in reports:
        files.setdefault(case.path.name, Counter())[outcome.kind] += 1
        seconds.append(took)
        megabytes = max(megabytes, peak)
        if outcome.kind == "error":
            errors[outcome.detail[:110]] += 1
        if outcome.compared:
            compared["frames differ" if outcome.compared.startswith("frames") else outcome.compared] += 1
        if outcome.kind == "failure" or outcome.compared.startswith("frames"):
            path, told = write_mutant(case, scratch)
            where = f"--file {case.path.name} --number {case.number} --seed {case.seed}"
            print(f"{outcome.kind}: {where} ({told})\n  {outcome.detail.strip()} {outcome.compared}", flush=True)
            if keep is not None and outcome.kind == "failure":
                target = keep / f"{case.path.stem}_{case.number}_{case.seed}{path.suffix}"
                shutil.copytree(path, target) if path.is_dir() else shutil.copy(path, target)
        failures += outcome.kind == "failure"
    print(f"\n{'file':45}{'frames':>8}{'errors':>8}{'failures':>9}")
    for name, counts in files.items():
        print(f"{name:45}{counts['frames']:8}{counts['error']:8}{counts['failure']:9}")
    total = sum(files.values(), Counter[str]())
    print(f"{'all':45}{total['frames']:8}{total['error']:8}{total['failure']:9}\n")
    for counted in (compared, errors):
        print(*(f"{number:6} {what}" for what, number in counted.most_common()), "", sep="\n")
    print(f"slowest file {max(seconds):.2f} s of processor time, all {sum(seconds):.0f} s; peak memory {megabytes} MB")
    return failures


def main() -> int:
    """The command line; exit status 1 if there is a failure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=2000, help="damaged copies in all")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--data", type=Path, default=Path(os.environ.get("POLYTEMPO_DATA", "../shared/data")) / "videos"
    )
    parser.add_argument("--keep", type=Path, help="folder for the files that fail")
    parser.add_argument("--file", help="only this file, by its name")
    parser.add_argument("--number", type=int, help="only this mutation of --file")
    args = parser.parse_args()
    if args.keep is not None:
        args.keep.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        av.logging.set_level(av.logging.PANIC)
        paths = sorted(path for path in args.data.rglob("*") if path.suffix in (".mp4", ".avi", ".mkv", ".webm"))
        paths += write_sources(Path(folder) / "sources", ODD)
        paths = [path for path in paths if args.file in (None, path.name)]
        cases = spread(paths, args.count, args.seed)
        if args.number is not None:
            cases = [Case(path, args.number, args.seed) for path in paths]
        began = time.monotonic()
        (Path(folder) / "scratch").mkdir()
        failures = table(run(cases, Path(folder) / "scratch"), args.keep, Path(folder) / "scratch")
        print(f"{len(cases)} files in {time.monotonic() - began:.0f} s")
    return failures > 0


if __name__ == "__main__":
    sys.exit(main())
