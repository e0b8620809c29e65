"""Start-up time and memory of a million annotated videos: `python -m benchmarks.annotations [--videos N] [--intervals I]`.

A simulated annotation file is read by `AnnotatedVideosDataModule` as before a training, from the file to the end of
`setup("fit")`: all rows and their checks, and whether each video exists. The videos are empty; a million paths are a
thousand folders that are links to one folder of a thousand files. Then forked workers take random samples' annotations,
and how much memory each has for itself is what Linux says of it (private pages in `smaps_rollup`).

For comparison a tenth of the videos as a list of `Video` objects, which the table replaces, scaled by ten; and the readers
of Charades' and Kinetics' own CSV formats, without the videos. Each measurement runs in a process of its own, on one thread;
megabytes are 10^6 bytes.
"""

from __future__ import annotations

import argparse
import gc
import json
import multiprocessing
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np

from annotations.label_names import label_names
from clips.targets import Video
from datamodules import AnnotatedVideosDataModule, KineticsDataModule
from datamodules.charades import charades_videos

ROOT = Path(__file__).resolve().parents[1]
NUM_LABELS = 157
FILES = 1000  # in a folder
LIST_SHARE = 10
TARGET_SECONDS, TARGET_MB = 20, 200
SHARES = (0.01, 0.1, 1)

Figures = dict[str, float]


def names(number: int) -> str:
    """Path of a video below the root, without suffix."""
    return f"part_{number // FILES:04d}/video_{number % FILES:06d}"


def write_files(folder: Path, videos: int, intervals: int) -> None:
    """Write the videos, `annotations.csv`, `charades.csv`, which has the same rows, and a `kinetics.csv` as long."""
    (folder / "files").mkdir()
    for number in range(min(FILES, videos)):
        (folder / "files" / f"video_{number:06d}.mp4").touch()
    for part in range(-(-videos // FILES)):
        (folder / f"part_{part:04d}").symlink_to("files")
    random = np.random.default_rng(0)
    classes = label_names("kinetics700")
    with (
        (folder / "annotations.csv").open("w") as table,
        (folder / "charades.csv").open("w") as charades,
        (folder / "kinetics.csv").open("w") as kinetics,
    ):
        kinetics.write("label,youtube_id,time_start,time_end,split\n")
        table.write("video,label,start,end,split\n")
        charades.write("id,actions,length\n")
        for number in range(videos):
            starts = random.uniform(0, 30, intervals)
            ends, labels = starts + random.uniform(0.1, 10, intervals), random.permutation(NUM_LABELS)[:intervals]
            name, split = names(number), "train" if number % 50 else "val"
            rows = list(zip(labels.tolist(), starts.tolist(), ends.tolist(), strict=True))
            table.writelines(f"{name}.mp4,activity {k:03d},{start:.2f},{end:.2f},{split}\n" for k, start, end in rows)
            actions = ";".join(f"c{k:03d} {start:.2f} {end:.2f}" for k, start, end in rows)
            charades.write(f"{name.replace('/', '_')},{actions},41.00\n")
            kinetics.write(f'"{classes[labels[0]]}",{number:011d},{number % 300},{number % 300 + 10},train\n')


def own_memory() -> float:
    """Megabytes of this process that no other shares."""
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
    return (
        sum(int(line.split()[1]) for line in lines if line.startswith(("Private_Clean", "Private_Dirty"))) * 1024 / 1e6
    )


def resident() -> float:
    """Megabytes of this process in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / 1e6


def setup(folder: Path) -> AnnotatedVideosDataModule:
    """What a training does first."""
    data = AnnotatedVideosDataModule(folder / "annotations.csv", crop_size=32, short_side=(32, 32), test_short_side=32)
    data.setup("fit")
    return data


def table(folder: Path) -> Figures:
    """Figures of the data module and of its workers."""
    figures, data = measured(lambda: setup(folder))
    return figures | workers(data.videos["train"])


def objects(folder: Path) -> Figures:
    """Figures of a share of the same videos as a list of objects, scaled to all of them."""
    videos = setup(folder).videos["train"]
    figures, records = measured(lambda: list(videos[::LIST_SHARE]))
    return {name: value * LIST_SHARE for name, value in (figures | workers(records)).items()}


def charades(folder: Path) -> Figures:
    """Figures of the reader of Charades' CSV files."""
    return measured(lambda: charades_videos(folder / "charades.csv", folder, "train"))[0]


def kinetics(folder: Path) -> Figures:
    """Figures of the reader of Kinetics' CSV files."""
    data = KineticsDataModule(folder, {"train": folder / "kinetics.csv"}, "kinetics700")
    return measured(lambda: data.read_split("train"))[0]


def measured(work: Callable[[], Any]) -> tuple[Figures, Any]:
    """Seconds, and megabytes more in memory afterwards and at the highest point; and what the work made."""
    gc.collect()
    before, wall, cpu = resident(), time.perf_counter(), time.process_time()
    result = work()
    figures = {"seconds": time.perf_counter() - wall, "cpu_seconds": time.process_time() - cpu}
    figures["after_mb"] = resident() - before
    figures["peak_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6 - before
    return figures, result


def workers(videos: Sequence[Video]) -> Figures:
    """Megabytes that a forked worker (the larger of two) gains for itself by looking at shares of the videos at random."""
    context = multiprocessing.get_context("fork")
    pipes = [context.Pipe(duplex=False) for _ in range(2)]
    processes = [context.Process(target=_look, args=(videos, seed, sender)) for seed, (_, sender) in enumerate(pipes)]
    for process in processes:
        process.start()
    sizes = [[receiver.recv() for _ in SHARES] for receiver, _ in pipes]
    for process in processes:
        process.join()
    return {f"worker_mb_{share:.0%}": max(found) for share, *found in zip(SHARES, *sizes, strict=True)}


def _look(videos: Sequence[Video], seed: int, sender: Connection) -> None:
    random, seen, before = np.random.default_rng(seed), 0, own_memory()
    for share in SHARES:
        while seen < share * len(videos):
            videos[int(random.integers(len(videos)))].clip_labels(3.0, 9.0, NUM_LABELS, "overlap")
            seen += 1
        sender.send(own_memory() - before)


TASKS: dict[str, Callable[[Path], Figures]] = {
    "table": table,
    "objects": objects,
    "charades": charades,
    "kinetics": kinetics,
}


def measure(name: str, folder: Path) -> Figures:
    """Run one task in a fresh process on one thread."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.annotations", "--task", name, "--folder", str(folder)],
        cwd=ROOT,
        env=os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"},
        check=True,
        capture_output=True,
        text=True,
    )
    figures: Figures = json.loads(done.stdout.splitlines()[-1])
    return figures


def main(args: list[str] | None = None) -> dict[str, Figures]:
    """Measure everything and print a line for each task, and whether the targets hold."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.annotations", description=__doc__)
    parser.add_argument("--videos", type=int, default=1_000_000)
    parser.add_argument("--intervals", type=int, default=7, help="of each video")
    parser.add_argument("--task", choices=TASKS, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args(args)
    if options.task:
        results = {options.task: TASKS[options.task](options.folder)}
        print(json.dumps(results[options.task]))
        return results
    results = {}
    with tempfile.TemporaryDirectory() as folder:
        write_files(Path(folder), options.videos, options.intervals)
        print(f"{options.videos:,} videos with {options.intervals} intervals each")
        for name in TASKS:
            results[name] = measure(name, Path(folder))
            figures = ", ".join(f"{key} {value:.3g}" for key, value in results[name].items())
            note = f" (of every {LIST_SHARE}th video, times {LIST_SHARE})" if name == "objects" else ""
            print(f"{name}{note}: {figures}", flush=True)
    if (options.videos, options.intervals) == (1_000_000, 7):
        for key, target in (("cpu_seconds", TARGET_SECONDS), ("after_mb", TARGET_MB)):
            held = "holds" if results["table"][key] <= target else "is missed"
            print(f"target {key} <= {target} {held}: {results['table'][key]:.3g}")
    return results


if __name__ == "__main__":
    main()
