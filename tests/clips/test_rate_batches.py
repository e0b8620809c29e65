import numpy as np
import pytest

from clips.rate_batches import RateBatches
from clips.shards import Shard


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


def test_epochs_differ_and_repeat_exactly() -> None:
    def epoch(number: int) -> list[object]:
        batches = RateBatches(20, 4, [2, 4, 8], seed=5)
        batches.set_epoch(number)
        return list(batches)

    assert epoch(0) == epoch(0) and epoch(7) == epoch(7)
    assert epoch(0) != epoch(1)


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
