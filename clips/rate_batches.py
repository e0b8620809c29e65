"""Which videos and which rate make up each training batch."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
from torch.utils.data import DataLoader, Sampler

RatePer = Literal["batch", "clip"]


class Draw(NamedTuple):
    """One training clip: the video's number, the rate, and the key from which all its random choices follow."""

    number: int
    rate: float
    key: tuple[int, ...]


class RateBatches(Sampler[list[Draw]]):
    """Batches of one random order of the videos, each batch (or clip) at a rate drawn from a set.

    Every rank draws the same order and the same rates and takes a disjoint part of each global batch (Algorithm 1 of the
    papers draws one rate per iteration). All of it follows from (seed, epoch), so a resumed run draws what the unbroken
    one would have drawn, whatever the number of workers.

    Args:
        num_videos: videos in the split.
        batch_size: clips per batch and rank.
        rates: downsampling rates to draw from, uniformly.
        per: `batch` draws one rate for all clips of an iteration, `clip` one for each clip.
        clips_per_video: how often an epoch draws each video.
        rank: this process.
        world_size: number of processes.
        seed: of the run.
        done: asked at the start of each epoch how many of its batches were trained on before the run was interrupted; they
            are left out, and those behind them are what they would have been. None leaves out nothing.

    Raises:
        ValueError: if there is no video, no rate, or an argument out of range.
    """

    def __init__(
        self,
        num_videos: int,
        batch_size: int,
        rates: Sequence[float],
        *,
        per: RatePer = "batch",
        clips_per_video: int = 1,
        rank: int = 0,
        world_size: int = 1,
        seed: int = 0,
        done: Callable[[], int] | None = None,
    ) -> None:
        for name, value in (
            ("num_videos", num_videos),
            ("batch_size", batch_size),
            ("clips_per_video", clips_per_video),
        ):
            if value < 1:
                raise ValueError(f"{name} must be at least 1, got {value}")
        if not rates or min(rates) <= 0:
            raise ValueError(f"rates must be positive and at least one, got {list(rates)}")
        if per not in get_args(RatePer):
            raise ValueError(f"per must be one of {get_args(RatePer)}, got {per!r}")
        self.num_videos, self.batch_size, self.rates, self.per = num_videos, batch_size, list(rates), per
        self.clips_per_video, self.rank, self.world_size, self.seed = clips_per_video, rank, world_size, seed
        self.done = done
        self.epoch = 0
        # Lightning hands the epoch to `batch_sampler.sampler` only, never to a batch sampler itself.
        self.sampler = self

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch whose order and rates are drawn next."""
        self.epoch = epoch

    @property
    def plan(self) -> dict[str, Any]:
        """All that the batches of an epoch follow from, the same on every rank: plain numbers for a checkpoint."""
        names = ("num_videos", "clips_per_video", "batch_size", "world_size", "rates", "per", "seed")
        return {name: getattr(self, name) for name in names}

    def __len__(self) -> int:
        """Batches of an epoch; a remainder of its order is left out, unless it is all there is."""
        return max(1, self.num_videos * self.clips_per_video // (self.batch_size * self.world_size))

    def __iter__(self) -> Iterator[list[Draw]]:
        random = np.random.default_rng((self.seed, self.epoch))
        order = random.permutation(np.tile(np.arange(self.num_videos), self.clips_per_video))
        step = self.batch_size * self.world_size
        done = self.done() if self.done else 0
        for batch in range(len(self)):
            clips = order[batch * step : (batch + 1) * step]
            if len(clips) < step:  # fewer videos than one global batch: every rank still gets its share
                clips = np.resize(clips, -(-len(clips) // self.world_size) * self.world_size)
            rates = random.choice(self.rates, size=len(clips) if self.per == "clip" else 1)
            rates = np.broadcast_to(rates, len(clips))
            if batch < done:  # only now: the draws above are part of the sequence
                continue
            yield [
                Draw(int(clips[i]), float(rates[i]), (self.seed, self.epoch, batch * step + i))
                for i in range(self.rank, len(clips), self.world_size)
            ]


class TrainLoader(DataLoader[Any]):
    """A DataLoader whose epoch begins when its first batch is wanted.

    Others send workers off as soon as they are iterated over. Lightning iterates before it says which epoch it is, so that
    a resumed run with workers would train on the clips of epoch 0 again.
    """

    def __iter__(self) -> Iterator[Any]:  # type: ignore[override]  # of the base, an iterator of a private type
        yield from super().__iter__()
