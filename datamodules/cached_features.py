"""Fill a feature cache: each training video through the frozen backbone, a few clips at each rate, once."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Sampler
from tqdm import tqdm

from clips.dataset import collate_train
from clips.feature_cache import FeatureCache, fingerprint
from clips.rate_batches import Draw
from clips.views import normalise

if TYPE_CHECKING:
    from datamodules.base import VideoDataModule

_COMMIT = 64  # batches between two commits: so much is computed again after a kill


class _Units(Sampler[list[Draw]]):
    """Batches of the clips that a cache lacks, whole units of a video at a rate."""

    def __init__(self, cache: FeatureCache, units: list[tuple[int, int]], batch_size: int) -> None:
        self.cache, self.units = cache, units
        self.per_batch = max(1, batch_size // cache.num_clips)

    def __len__(self) -> int:
        return -(-len(self.units) // self.per_batch)

    def __iter__(self) -> Iterator[list[Draw]]:
        for first in range(0, len(self.units), self.per_batch):
            batch = self.units[first : first + self.per_batch]
            yield [draw for video, rate in batch for draw in self.cache.draws(video, rate)]


def open_cache(
    data: "VideoDataModule",
    cache: FeatureCache,
    extract: Callable[[Tensor], Tensor],
    device: torch.device,
    key: dict[str, Any],
) -> None:
    """Find or make the cache of the training split.

    Args:
        data: after `setup("fit")`.
        cache: to open.
        extract: clips float (N, C, T, H, W) to features (N, D, T', H', W'), in evaluation mode.
        device: of the backbone.
        key: what the features depend on besides the data: weights and precision.

    Raises:
        ValueError: if the data set has boxes, which features cannot be cut to, or the disk is too small.
    """
    videos = data.videos["train"]
    if any(video.boxes is not None for video in islice(videos, 1)):
        raise ValueError(
            f"{type(data).__name__} has boxes of people, which a feature cache does not hold; leave cache out"
        )
    spec, size = data.spec, data.spec.crop_size
    channels = len(data.mean)
    shape = extract(torch.zeros(1, channels, spec.num_frames, size, size, device=device)).shape[1:]
    own = {
        "videos": fingerprint(videos),
        "clips": repr((replace(spec, index_cache=None), data.target, data.short_side, data.flip)),
        "classes": [type(data).__qualname__, type(data.train_clips()).__qualname__],
        "normalised": [data.mean.tolist(), data.std.tolist()],
    }
    cache.open({**own, **key}, len(videos), data.train_rates, data.num_labels, tuple(shape))


def fill_cache(
    data: "VideoDataModule",
    cache: FeatureCache,
    extract: Callable[[Tensor], Tensor],
    device: torch.device,
    rank: int = 0,
    world_size: int = 1,
) -> int:
    """Compute what a cache lacks, this process's share of it; the number of clips.

    Args:
        data: after `setup("fit")`.
        cache: opened.
        extract: as in `open_cache`.
        device: of the backbone.
        rank: this process.
        world_size: number of processes.

    Raises:
        ValueError: as of the data module, if too many videos cannot be read.
    """
    # by their own number, since another process may be writing already
    units = [(video, rate) for video, rate in cache.missing() if (video + rate) % world_size == rank]
    if not units:
        return 0
    batches = _Units(cache, units, data.batch_size)
    loader: DataLoader[Any] = DataLoader(
        data.train_clips(), batch_sampler=batches, collate_fn=collate_train, num_workers=data.num_workers
    )
    left = iter(units)
    for number, batch in enumerate(tqdm(loader, desc="features", disable=rank > 0)):
        batch = data.on_before_batch_transfer(batch, 0)
        features = extract(normalise(batch["clips"][:, 0].to(device), data.mean, data.std))
        for at, (video, rate) in enumerate(islice(left, batches.per_batch)):
            clips = slice(at * cache.num_clips, (at + 1) * cache.num_clips)
            cache.write(video, rate, features[clips], batch["labels"][clips], batch["index"][clips])
        if number % _COMMIT == _COMMIT - 1:
            cache.commit()
    cache.commit()
    return len(units) * cache.num_clips
