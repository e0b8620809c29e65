"""One of several processes of the distributed test: `block_script.py RANK WORLD FOLDER`."""

import sys
import warnings
from pathlib import Path

import torch
import torch.distributed as dist
from torch import Tensor

from metrics.action_conditional import ActionConditionalMetric
from metrics.blocks import Block, BlockMetric
from metrics.frame_map import FrameMeanAveragePrecision
from metrics.localization import LocalizationMeanAveragePrecision
from metrics.multilabel import MultilabelSuite

NUM_VIDEOS = 7


class Kept(BlockMetric):
    """Says what it holds."""

    def update(self, index: int, truth: Tensor, rows: Tensor, first: int = 0) -> None:
        self._append(index, truth, rows, first)

    def compute(self) -> list[Block]:
        # two calls of different columns, as a metric makes that works on a few labels at a time
        left = self._blocks(truth=slice(0, 1), rows=slice(0, 2))
        right = self._blocks(truth=slice(1, 2), rows=slice(2, 4))
        return [
            Block(a.video, a.first, torch.cat((a.truth, b.truth), 1), torch.cat((a.rows, b.rows), 1))
            for a, b in zip(left, right, strict=True)
        ]


def tables(video: int) -> tuple[Tensor, Tensor]:
    """Truth (N, 2) int64 and predictions (M, 4) float64 of a video; video 2 has no truth, 4 no predictions, 6 neither."""
    generator = torch.Generator().manual_seed(video)
    truth = torch.randint(0, 99, (0 if video in (2, 6) else video + 1, 2), generator=generator)
    rows = torch.randn(0 if video in (4, 6) else 3 * video + 2, 4, generator=generator, dtype=torch.float64)
    return truth, rows


def shares(world: int) -> dict[str, list[list[int]]]:
    """The videos of each process, for each case: with repeats across and inside processes, and none at all."""
    return {
        "padded": [[video % NUM_VIDEOS for video in range(rank, NUM_VIDEOS + 2, world)] for rank in range(world)],
        "repeats": [[6, 2, 2, *range(rank, NUM_VIDEOS)] if rank == 0 else [3, 0, 6] for rank in range(world)],
        "last has all": [list(range(NUM_VIDEOS)) if rank == world - 1 else [] for rank in range(world)],
        "empty tables": [[6] if rank == 0 else [] for rank in range(world)],
    }


def compute(videos: list[int]) -> list[tuple[int, int, Tensor, Tensor]]:
    metric = Kept()
    for video in videos:
        metric.update(video, *tables(video), first=10 * video)
    # clones: a saved view takes the whole storage along
    return [(block.video, block.first, block.truth.clone(), block.rows.clone()) for block in metric.compute()]


def measure(videos: list[int], windows: slice) -> dict[str, Tensor]:
    """What the metrics over steps say, after some videos and, of some more, the windows that this process has.

    Args:
        videos: those that this process has whole.
        windows: of the list of all windows, which overlap, so that their steps are averaged over processes.
    """
    frame, given = FrameMeanAveragePrecision(11), ActionConditionalMetric(11, tau=2)
    suite, localization = MultilabelSuite(11), LocalizationMeanAveragePrecision(11)
    for video in videos:
        preds, labels = steps(video)
        suite.update(video, preds, labels)
        localization.update(video, preds[:25], labels[:25])
    overlapping = [(video, first) for video in range(NUM_VIDEOS) for first in (0, 10, 20)]
    for video, first in overlapping[windows]:
        preds, labels = steps(video)
        part = slice(first, first + 15)
        frame.update(video, preds[part] + first / 100, labels[part], first)
        given.update(video, preds[part] + first / 100, labels[part], first)
    found = {"frame map": frame.compute(), "localization": localization.compute(), **suite.compute(), **given.compute()}
    return {**found, "weighted": localization.weighted(), "per label": frame.average_precision()}


def steps(video: int) -> tuple[Tensor, Tensor]:
    """Scores with ties (35, 11) and truth of a video."""
    generator = torch.Generator().manual_seed(100 + video)
    preds = (torch.rand(35, 11, generator=generator) * 20).round() / 20
    return preds, (torch.rand(35, 11, generator=generator) < 0.2).long()


def refuses(videos: list[int], change: int, message: str) -> None:
    """All processes raise, so that none waits for another."""
    metric = Kept()
    for video in videos:
        truth, rows = tables(video)
        metric.update(video, truth + change, rows)
    try:
        metric.compute()
    except ValueError as error:
        assert message in str(error)
    else:
        raise AssertionError(f"no error: {message}")


def main(rank: int, world: int, folder: Path) -> None:
    torch.set_num_threads(1)
    warnings.simplefilter("error")
    warnings.filterwarnings("ignore", "The ``compute`` method of metric")  # true of the empty process
    dist.init_process_group("gloo", init_method=f"file://{folder}/store{world}", rank=rank, world_size=world)
    measured: dict[str, dict[str, Tensor]] = {}
    results = {name: compute(videos[rank]) for name, videos in shares(world).items()}
    for name, videos in shares(world).items():
        windows = {"padded": slice(rank, None, world), "repeats": slice(0, None) if rank == 0 else slice(0, 7)}
        if name in windows:
            measured[name] = measure([*videos[rank], *range(rank, NUM_VIDEOS, world)], windows[name])
    refuses([], 0, "Kept has seen no video")
    if world > 1:
        refuses([1, 3] if rank == 0 else [3], rank, "video 3 came twice from step 0 with different truth")
    dist.destroy_process_group()
    torch.save((results, measured), folder / f"{world}_{rank}.pt")


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]))
