"""Training clips out of a DataLoader with two workers, from 30 s videos of 640x480: `python -m benchmarks.loader`.

Our data module as it trains: 32 frames at a random rate of 2, 4 or 8, short side 256 to 320, a random crop of 224x224,
mirrored or not, batches of 4. The others give the very same clips, drawn by the same code, but read them in their way.
Workers are started anew in each round, and their processor time counts. Indices are kept, as from the second epoch on.
"""

import argparse
import multiprocessing
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from torch import Tensor

import clips.dataset
from benchmarks.peers import PEERS, Numbers, Read, usable
from benchmarks.timing import Case, Result, Target, interleaved, judge, ratios, report, table
from benchmarks.videos import add_arguments, check_numbers, chosen
from clips.dataset import TrainClips
from clips.decoding import read_frames
from clips.packets import VideoIndex
from clips.rate_batches import Draw
from clips.targets import Video
from datamodules.base import Split, VideoDataModule

OURS, ANEW = "ours", "ours, each worker reads the indices anew"
OTHERS = [name for name in PEERS if "range" not in name and "PyAV" not in name]
WANTED = {"torchcodec": 1.5, "pytorchvideo": 4.5}
CLIPS_PER_VIDEO = 8


class FolderOfVideos(VideoDataModule):
    """Videos without labels."""

    label_names = ["none"]  # noqa: RUF012  as the data sets have it

    def __init__(self, paths: list[Path], **options: Any) -> None:
        super().__init__(**options)
        self.paths = paths
        self.kept: TrainClips | None = None

    def read_split(self, split: Split) -> list[Video]:
        """All of them, for training."""
        nothing = (np.empty(0, np.int64), np.empty((0, 2)))
        return [Video(path.name, path, *nothing) for path in self.paths] if split == "train" else []

    def keep_indices(self) -> None:
        """Read every video once in this process, so that workers forked later have their indices."""
        self.kept = super().train_clips()
        for number in range(len(self.paths)):
            self.kept[Draw(number, 4.0, (0,))]

    def train_clips(self) -> TrainClips:
        """With the indices, if they are kept."""
        return self.kept or super().train_clips()


def module(paths: list[Path]) -> FolderOfVideos:
    """Ready to train."""
    data = FolderOfVideos(
        paths,
        train_rates=[2, 4, 8],
        rate_per="clip",
        fps=24,
        clips_per_video=CLIPS_PER_VIDEO,
        batch_size=4,
        num_workers=2,
    )
    data.setup("fit")
    return data


def epoch(data: FolderOfVideos, read: Read | None = None) -> None:
    """One epoch of the train loader with new workers, which read clips in another way than ours if `read` is given."""

    def others(index: VideoIndex, numbers: Numbers, size: tuple[int, int], *, shared: bool) -> Tensor:
        assert read is not None
        return read(index.path, numbers, size)

    count = 0
    with patch.object(clips.dataset, "read_frames", others if read else read_frames):
        for batch in data.train_dataloader():  # forks the workers, and ends them when the loop lets go of it
            assert batch["clips"].shape[1:] == (1, 3, 32, 224, 224) and not batch["broken"], batch["broken"]
            count += len(batch["clips"])
    assert count == len(data.paths) * CLIPS_PER_VIDEO // data.batch_size * data.batch_size
    assert not multiprocessing.active_children(), "processor time of workers counts once they have ended"


def main(args: list[str] | None = None) -> list[Result]:
    """Measure and print the table and what became of the targets."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.loader", description=__doc__)
    add_arguments(parser)
    parser.add_argument("--gop", type=int, default=250, help="pictures from one keyframe to the next")
    options = parser.parse_args(args)
    torch.set_num_threads(1)
    paths = chosen(options, options.gop)
    anew, kept = module(paths), module(paths)
    kept.keep_indices()
    reads, absent = usable({name: PEERS[name] for name in OTHERS})
    check_numbers(reads, options.folder)
    cases: dict[str, Case] = {OURS: partial(epoch, kept), ANEW: partial(epoch, anew)}
    cases |= {name: partial(epoch, kept, read) for name, read in reads.items()}
    times = interleaved(cases, 1 if options.quick else options.rounds, warm_up=not options.quick)
    print(table(f"{len(paths) * CLIPS_PER_VIDEO} clips, GOP {options.gop}, 2 workers", times, OURS, absent), flush=True)
    targets = [Target(what, [name for name in OTHERS if what in name], ratio) for what, ratio in WANTED.items()]
    results = judge(ratios(times, OURS), targets)
    print("\n" + report(results))
    return results


if __name__ == "__main__":
    main()
