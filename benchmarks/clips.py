"""A random 32-frame clip at rate 2, 4 or 8 from 30 s videos of 640x480: `python -m benchmarks.clips`.

Short side 256, one thread. Ours keeps the index of a file, as the data sets do; `index each time` does not.
"""

import argparse
from functools import partial
from pathlib import Path

import numpy as np
import torch

from benchmarks.peers import PEERS, Numbers, Read, usable
from benchmarks.timing import Result, Target, interleaved, judge, ratios, report, table
from benchmarks.videos import add_arguments, check_numbers, chosen
from clips.decoding import read_frames, read_index
from clips.packets import VideoIndex
from clips.transforms import resized

NUM_FRAMES, SHORT_SIDE, PER_VIDEO, OURS = 32, 256, 2, "ours"
WANTED = {"torchcodec": 1.4, "decord": 1.4, "PySlowFast's steps": 2.9}


def draw(index: VideoIndex, rate: int, random: np.random.Generator) -> tuple[Path, Numbers, tuple[int, int]]:
    """A random clip of a video, and the size it is wanted in."""
    first = random.integers(index.total_frames - (NUM_FRAMES - 1) * rate)
    return (
        index.path,
        first + np.arange(NUM_FRAMES, dtype=np.int64) * rate,
        resized(index.height, index.width, SHORT_SIDE),
    )


def main(args: list[str] | None = None) -> list[Result]:
    """Measure and print a table for each rate, and what became of the targets."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.clips", description=__doc__)
    add_arguments(parser)
    parser.add_argument("--gop", type=int, default=250, help="pictures from one keyframe to the next")
    options = parser.parse_args(args)
    torch.set_num_threads(1)
    indices = {path: read_index(path) for path in chosen(options, options.gop)}
    reads, absent = usable({name: peer for name, peer in PEERS.items() if name != "pytorchvideo"})
    ours: dict[str, Read] = {
        OURS: lambda path, numbers, size: read_frames(indices[path], numbers, size),
        "ours, index each time": lambda path, numbers, size: read_frames(read_index(path), numbers, size),
    }
    check_numbers(reads, options.folder)
    results = []
    for rate in (2, 4, 8):
        random = np.random.default_rng(rate)
        drawn = [draw(index, rate, random) for index in indices.values() for _ in range(PER_VIDEO)]
        cases = {name: partial(_read_all, read, drawn) for name, read in (ours | reads).items()}
        times = interleaved(cases, 1 if options.quick else options.rounds, warm_up=not options.quick)
        print(table(f"{len(drawn)} clips, GOP {options.gop}, rate {rate}", times, OURS, absent), flush=True)
        targets = [Target(f"rate {rate}, {what}", [n for n in PEERS if what in n], x) for what, x in WANTED.items()]
        results += judge(ratios(times, OURS), targets)
    print("\n" + report(results))
    return results


def _read_all(read: Read, drawn: list[tuple[Path, Numbers, tuple[int, int]]]) -> None:
    for path, numbers, size in drawn:
        assert read(path, numbers, size).shape == (NUM_FRAMES, *size, 3)


if __name__ == "__main__":
    main()
