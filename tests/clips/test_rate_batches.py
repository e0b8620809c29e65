from collections.abc import Iterable
from functools import partial

import numpy as np
import pytest
from torch.utils.data import Dataset

from clips.rate_batches import Draw, RateBatches, RatePer, TrainLoader
from clips.shards import Shard


class _Draws(Dataset[Draw]):
    def __getitem__(self, draw: Draw) -> Draw:
        return draw


def test_one_rate_a_batch_drawn_uniformly() -> None:
    batches = RateBatches(300, 2, [2, 4, 8], seed=1)
    drawn = []
    for epoch in range(4):
        batches.set_epoch(epoch)
        for batch in batches:
            assert len({draw.rate for draw in batch}) == 1
            drawn.append(batch[0].rate)
    counts = [drawn.count(rate) for rate in (2, 4, 8)]
    assert len(drawn) == 600 and min(counts) > 150


def test_a_rate_for_each_clip_when_asked() -> None:
    batch = next(iter(RateBatches(64, 64, [2, 4, 8], per="clip")))
    assert {draw.rate for draw in batch} == {2, 4, 8}


@pytest.mark.parametrize("world_size", [1, 2, 3])
def test_ranks_draw_the_same_rates_and_disjoint_videos(world_size: int) -> None:
    ranks = [list(RateBatches(37, 4, [2, 4], rank=rank, world_size=world_size, seed=3)) for rank in range(world_size)]
    assert len({len(batches) for batches in ranks}) == 1
    seen: list[int] = []
    for step in zip(*ranks, strict=True):
        assert len({batch[0].rate for batch in step}) == 1
        seen += [draw.number for batch in step for draw in batch]
    assert len(seen) == len(set(seen)) == 37 // (4 * world_size) * 4 * world_size


@pytest.mark.parametrize("per", ["batch", "clip"])
@pytest.mark.parametrize("videos", [37, 24, 5])
def test_clips_of_a_step_do_not_depend_on_the_number_of_processes(per: RatePer, videos: int) -> None:
    def steps(world_size: int) -> list[set[Draw]]:
        ranks = [
            list(RateBatches(videos, 12 // world_size, [2, 4, 8], per=per, rank=rank, world_size=world_size, seed=3))
            for rank in range(world_size)
        ]
        return [{draw for batch in step for draw in batch} for step in zip(*ranks, strict=True)]

    alone = steps(1)
    assert sum(map(len, alone)) == max(videos // 12 * 12, min(videos, 12))
    for world_size in (2, 3, 4):
        if videos >= 12:
            assert steps(world_size) == alone
        else:  # fewer than a global batch: the same clips, and as many more as give each process the same number
            (few,), (more,) = alone, steps(world_size)
            assert {draw.number for draw in more} == {draw.number for draw in few} == set(range(videos))
            assert len(more) == -(-videos // world_size) * world_size


def test_epochs_differ_and_repeat_exactly() -> None:
    def epoch(number: int) -> list[object]:
        batches = RateBatches(20, 4, [2, 4, 8], seed=5)
        batches.set_epoch(number)
        return list(batches)

    assert epoch(0) == epoch(0) and epoch(7) == epoch(7)
    assert epoch(0) != epoch(1)


@pytest.mark.parametrize("per", ["batch", "clip"])
def test_batches_behind_those_done_are_what_they_would_have_been(per: RatePer) -> None:
    whole = list(RateBatches(23, 3, [2, 4, 8], per=per, seed=2))
    for done in range(len(whole) + 1):
        batches = RateBatches(23, 3, [2, 4, 8], per=per, seed=2, done=partial(int, done))
        assert list(batches) == whole[done:] and len(batches) == len(whole)


@pytest.mark.parametrize("workers", [0, 2])
def test_loader_draws_the_epoch_that_is_set_after_it_is_iterated_over(workers: int) -> None:
    def numbers(loader: Iterable[list[Draw]]) -> list[list[int]]:
        return [[draw.number for draw in batch] for batch in loader]

    batches = RateBatches(12, 3, [2], seed=2)
    loader = TrainLoader(_Draws(), batch_sampler=batches, collate_fn=list, num_workers=workers)
    iterator = iter(loader)
    batches.set_epoch(4)
    late = RateBatches(12, 3, [2], seed=2)
    late.set_epoch(4)
    assert numbers(iterator) == numbers(late)
    batches.set_epoch(5)
    late.set_epoch(5)
    assert numbers(loader) == numbers(late)


def test_lightning_reaches_the_epoch_through_the_sampler_attribute() -> None:
    batches = RateBatches(20, 4, [2])
    batches.sampler.set_epoch(3)
    assert batches.epoch == 3


def test_every_clip_of_a_run_has_a_key_of_its_own() -> None:
    batches = RateBatches(6, 2, [2], clips_per_video=3)
    keys = []
    for epoch in range(2):
        batches.set_epoch(epoch)
        draws = [draw for batch in batches for draw in batch]
        assert np.bincount([draw.number for draw in draws]).tolist() == [3] * 6
        keys += [draw.key for draw in draws]
    assert len(set(keys)) == len(keys) == 36


@pytest.mark.parametrize("world_size", [1, 2, 3])
def test_fewer_videos_than_a_batch_still_train_on_every_rank(world_size: int) -> None:
    for rank in range(world_size):
        (batch,) = RateBatches(5, 8, [4], rank=rank, world_size=world_size)
        assert len(batch) == -(-5 // world_size)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0, 2, [4]), "num_videos must be at least 1, got 0"),
        ((3, 0, [4]), "batch_size must be at least 1, got 0"),
        ((3, 2, []), "rates must be positive and at least one"),
        ((3, 2, [4, -1]), "rates must be positive"),
    ],
)
def test_bad_argument_is_named(arguments: tuple[int, int, list[float]], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        RateBatches(*arguments)


@pytest.mark.parametrize(("videos", "world_size"), [(7, 2), (7, 3), (2, 3), (6, 3)])
def test_shards_have_equal_length_and_cover_every_video(videos: int, world_size: int) -> None:
    shards = [list(Shard(videos, rank, world_size)) for rank in range(world_size)]
    assert len({len(shard) for shard in shards}) == 1
    assert {number for shard in shards for number in shard} == set(range(videos))
    with pytest.raises(ValueError, match="num_videos must be at least 1, got 0"):
        Shard(0)
