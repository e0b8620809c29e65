"""Memory and open files of a long run: whether anything grows in the parent or in the workers.

`python -m benchmarks.memory --minutes 30` draws random training clips and test views by turns through the loaders of the
data modules, two workers each, and looks into /proc after each turn. Among the videos are small ones, a 480p one of either
keyframe distance, and three that are damaged, since it is errors that leak most. The first tenth of the time is warm-up:
workers keep the index of each video that they open.

glibc keeps freed memory, as much as 100 MB in each process, which comes and goes and hides what leaks. So it is told here to
give all of it back, by two environment variables; `--plain-malloc` leaves it alone, and shows what a run usually holds.
"""

import argparse
import multiprocessing
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import numpy as np
import torch

from benchmarks.videos import FOLDER, videos
from clips import shapes
from clips.targets import Video
from clips.video_table import VideoTable
from datamodules import VideoDataModule
from datamodules.base import Split

SLACK = 8e6  # bytes that a process may gain
MALLOC = {"MALLOC_MMAP_THRESHOLD_": "131072", "MALLOC_TRIM_THRESHOLD_": "131072"}
NEAR = 3  # looks whose median is a start, a middle or an end


class Look(NamedTuple):
    """A process at one moment: bytes, shared ones counted in full (rss) or in parts (pss), and open files.

    Anonymous bytes are those of no file: what programs allocate, whatever other processes of the machine do.
    """

    rss: float
    pss: float
    anonymous: float
    files: float


class Files(VideoDataModule):
    """Any videos, one label for the whole of each; the same ones to train and to test."""

    def __init__(self, paths: Sequence[Path], **settings: Any) -> None:
        super().__init__(**settings)
        self.label_names = ["something"]
        table = VideoTable.from_videos(self.records(paths))
        self.videos = {"train": table, "test": table}

    @staticmethod
    def records(paths: Sequence[Path]) -> list[Video]:
        """One record a file."""
        whole = (np.zeros(1, np.int64), np.array([[0.0, np.inf]]))
        return [Video(path.name, path, *whole) for path in paths]

    def read_split(self, split: Split) -> VideoTable:
        """The same for each split."""
        return self.videos["train"]


def look(pid: int) -> Look:
    """Memory and open files of a process, from /proc."""
    folder, bytes_of = Path("/proc") / str(pid), dict[str, float]()
    for row in (folder / "smaps_rollup").read_text(encoding="utf-8").splitlines()[1:]:
        name, amount, *_ = row.split()
        bytes_of[name] = int(amount) * 1024
    return Look(bytes_of["Rss:"], bytes_of["Pss:"], bytes_of["Anonymous:"], len(list((folder / "fd").iterdir())))


def collect(folder: Path, quick: bool) -> list[Path]:
    """The videos; damaged ones are written beside the small ones."""
    shapes.write(folder, "tiny", workers=1)
    small = sorted((folder / "videos").rglob("*.mp4") if (folder / "videos").is_dir() else folder.rglob("*.mp4"))
    small = small[:: 17 if quick else 4]
    damaged = folder.parent / "damaged"
    damaged.mkdir()
    (damaged / "empty.mp4").write_bytes(b"")
    (damaged / "text.mp4").write_text("no video", encoding="utf-8")
    shutil.copy(small[0], damaged / "cut.mp4")
    with (damaged / "cut.mp4").open("r+b") as file:
        file.truncate(small[0].stat().st_size // 2)
    large = [] if quick else [path for gop in (250, 12) for path in videos(gop, FOLDER, [])]
    return [*small, *large, *sorted(damaged.iterdir())]


def turns(data: Files, seconds: float) -> list[dict[str, Look]]:
    """Train and test by turns until the time is over; all processes after each turn but those of the first tenth."""
    train, test = data.train_dataloader(), data.test_dataloader()
    looks: list[dict[str, Look]] = []
    begin, clips, views = time.monotonic(), 0, 0
    while time.monotonic() - begin < seconds or len(looks) < NEAR:
        for loader in (train, test):
            for batch in loader:
                if isinstance(batch, dict):
                    clips += len(data.on_after_batch_transfer(batch, 0)["clips"])
                else:
                    views += sum(len(step) for step in data.on_after_batch_transfer(batch, 0).views())
        if time.monotonic() - begin < seconds / 10:
            continue
        names = [f"{kind} worker {n}" for kind in ("train", "test") for n in range(data.num_workers)]
        workers = sorted(
            child.pid for child in multiprocessing.active_children() if child.pid
        )  # in order of their start
        looks.append({name: look(pid) for name, pid in zip(["parent", *names], [os.getpid(), *workers], strict=True)})
    print(f"{time.monotonic() - begin:.0f} s, {len(looks)} turns looked at, {clips} training clips, {views} test views")
    return looks


def flat(looks: Sequence[dict[str, Look]]) -> bool:
    """Whether no process gained anonymous memory or open files; prints start, middle and end of each."""
    print("| process | RSS MB | PSS MB | anonymous MB | open files | |\n|---|---|---|---|---|---|")
    places, verdicts = (0, (len(looks) - NEAR) // 2, len(looks) - NEAR), []
    for name in looks[0]:
        near = [[turn[name] for turn in looks[place : place + NEAR]] for place in places]
        start, middle, end = (Look(*(median(column) for column in zip(*some, strict=True))) for some in near)
        holds = end.anonymous - start.anonymous <= SLACK and end.files <= start.files
        cells = [
            " ".join(f"{value / unit:.0f}" for value in values)
            for unit, values in zip((1e6, 1e6, 1e6, 1), zip(start, middle, end, strict=True), strict=True)
        ]
        print(f"| {name} | {' | '.join(cells)} | {'flat' if holds else 'GROWS'} |")
        verdicts.append(holds)
    return all(verdicts)


def main(args: list[str] | None = None) -> bool:
    """Run, and print start, middle and end of every process."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.memory", description=__doc__.split("\n")[0])
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--quick", action="store_true", help="few small videos and few turns, to see that it runs")
    parser.add_argument(
        "--plain-malloc", action="store_true", help="let malloc keep what is freed, as it does by default"
    )
    options = parser.parse_args(args)
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        data = Files(
            collect(Path(folder) / "tiny", options.quick),
            train_rates=[2, 4, 8],
            test_views={2: (3, 3), 4: (4, 3), 8: (3, 3)},
            num_frames=8 if options.quick else 32,
            short_side=(128, 160),
            crop_size=112,
            test_short_side=128,
            batch_size=4,
            clips_per_video=1 if options.quick else 4,
            broken_test="report",
        )
        holds = flat(turns(data, options.minutes * 60))
    print(f"memory and open files of every process: {'flat' if holds else 'NOT flat'}")
    return holds


if __name__ == "__main__":
    if not MALLOC.keys() <= os.environ.keys() and "--plain-malloc" not in sys.argv:  # read when a process starts
        os.execve(sys.executable, [sys.executable, "-m", "benchmarks.memory", *sys.argv[1:]], os.environ | MALLOC)
    main()
