"""Fill a feature cache: each training video through the frozen backbone, a few clips at each rate, once.

All processes must have the same cache of the same videos: to one that does not see what another has written it is zeros.
"""

import socket
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor
from torch.utils.data import DataLoader, Sampler
from tqdm import tqdm

from clips.dataset import collate_train
from clips.feature_cache import FeatureCache, fingerprint
from clips.rate_batches import Draw
from clips.views import normalise

if TYPE_CHECKING:
    from datamodules.base import VideoDataModule

Value = TypeVar("Value")

_COMMIT = 64  # batches between two commits: so much is computed again after a kill
_SHARE = (
    "all processes need one cache, in a folder that their machines share, of the same videos: shared ones, or copies with "
    "equal times of change (cp -p, rsync -t)"
)


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
    """Find or make the cache of the training split, in all processes at once.

    Args:
        data: after `setup("fit")`.
        cache: to open.
        extract: clips float (N, C, T, H, W) to features (N, D, T', H', W'), in evaluation mode.
        device: of the backbone.
        key: what the features depend on besides the data: weights and precision.

    Raises:
        ValueError: if the data set has boxes, which features cannot be cut to; the disk is too small; the caches of the
            processes are not the same.
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
    _check_same(cache)
    problem = None
    if _rank() == 0:
        try:
            cache.make()
        except ValueError as error:
            problem = str(error)
    _raise_first(problem)
    if not cache.made:
        problem = (
            f"the feature cache {cache.folder}, made by process 0, is not there on {socket.gethostname()}; {_SHARE}"
        )
    _raise_first(problem)


def _check_same(cache: FeatureCache) -> None:
    """Refuse processes whose caches have different names."""
    caches = _gather((socket.gethostname(), cache.folder, cache.key))
    host, folder, key = caches[0]
    for rank, (other_host, other_folder, other_key) in enumerate(caches):
        if other_folder.name != folder.name:
            differ = [name for name in key if key[name] != other_key[name]]
            raise ValueError(
                f"the feature cache of process 0 on {host} is {folder}, that of process {rank} on {other_host} is "
                f"{other_folder}: they differ in {', '.join(differ)}; {_SHARE}"
            )


def fill_cache(
    data: "VideoDataModule",
    cache: FeatureCache,
    extract: Callable[[Tensor], Tensor],
    device: torch.device,
    rank: int = 0,
    world_size: int = 1,
) -> int:
    """Compute what a cache lacks, each process its share; the number of clips of all.

    Units of videos that could not be read are tried again, unless nothing can be written.

    Args:
        data: after `setup("fit")`.
        cache: opened.
        extract: as in `open_cache`.
        device: of the backbone.
        rank: this process.
        world_size: number of processes.

    Raises:
        ValueError: as of the data module, if too many videos of all processes cannot be read; if a process does not see
            what the others have written.
    """
    units, again = cache.missing(), cache.replaced()
    if units or cache.writable:
        units = sorted(units + again)
    # by their own number, since another process may be writing already
    units = [(video, rate) for video, rate in units if (video + rate) % world_size == rank]
    if units:
        _fill(data, cache, extract, device, units, rank)
    done = _gather((len(units), data.broken))  # and all have written
    lacking, problem = len(cache.missing()), None
    if lacking:
        problem = (
            f"{lacking} of {cache.units[0] * cache.units[1]} units (a video at a rate) of the feature cache {cache.folder} "
            f"are not there on {socket.gethostname()}, though all processes have written theirs; {_SHARE}"
        )
    _raise_first(problem)
    before = {data.videos["train"][video].name: "unreadable when the cache was filled" for video, _ in cache.replaced()}
    for _, broken in done:
        before |= broken
    data.count_broken(before)
    return sum(count for count, _ in done) * cache.num_clips


def _fill(
    data: "VideoDataModule",
    cache: FeatureCache,
    extract: Callable[[Tensor], Tensor],
    device: torch.device,
    units: list[tuple[int, int]],
    rank: int,
) -> None:
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


def _rank() -> int:
    return dist.get_rank() if dist.is_available() and dist.is_initialized() else 0


def _gather(mine: Value) -> list[Value]:
    """What each process has; returns once all have come here."""
    if not (dist.is_available() and dist.is_initialized()):
        return [mine]
    parts: list[Any] = [None] * dist.get_world_size()
    dist.all_gather_object(parts, mine)
    return parts


def _raise_first(problem: str | None) -> None:
    """Raise in all processes what one of them found, so that none waits for it."""
    for found in _gather(problem):
        if found:
            raise ValueError(found)
