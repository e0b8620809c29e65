"""Which test videos each process scores."""

from collections.abc import Iterator

from torch.utils.data import Sampler


class Shard(Sampler[int]):
    """Every `world_size`-th video from `rank` on, wrapped around so that all ranks take the same number of steps.

    The repeats are harmless: whatever is gathered is keyed by the video's index and kept once.

    Raises:
        ValueError: if there is no video.
    """

    def __init__(self, num_videos: int, rank: int = 0, world_size: int = 1) -> None:
        if num_videos < 1:
            raise ValueError(f"num_videos must be at least 1, got {num_videos}")
        self.num_videos, self.rank, self.world_size = num_videos, rank, world_size

    def __len__(self) -> int:
        return -(-self.num_videos // self.world_size)

    def __iter__(self) -> Iterator[int]:
        for step in range(len(self)):
            yield (step * self.world_size + self.rank) % self.num_videos
