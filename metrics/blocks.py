"""What metrics share whose videos have varying numbers of rows: steps, windows, true and predicted segments.

A block is what one video, or one window of it, brings: a table of truth and a table of predictions. A distributed
sampler repeats videos so that all processes get as many; here each block carries a key, and each key is kept once.
"""

from __future__ import annotations

import zlib
from abc import ABC
from typing import Any, NamedTuple

import torch
import torch.distributed as dist
from torch import Tensor
from torchmetrics import Metric

from metrics.base import gather_rows

ALL = slice(None)

# bytes of a slab: above the size from which malloc always maps memory of its own
_SLAB = 1 << 26


class Block(NamedTuple):
    """One video, or one window of it.

    Args:
        video: `index` of the video, its place in its split.
        first: number of the window's first step in its video; 0 for a whole video.
        truth: (N, D) rows of truth on the CPU; N may be 0.
        rows: (M, E) rows of predictions on the CPU; M may be 0.
    """

    video: int
    first: int
    truth: Tensor
    rows: Tensor


class _Facts(NamedTuple):
    """What a process says of its blocks: (index, first, checksum of truth), (N, M), and the tables' columns and dtypes."""

    keys: list[tuple[int, int, int]]
    sizes: list[tuple[int, int]]
    columns: list[tuple[int, torch.dtype]]


class _Slab:
    """Memory for the tables of many blocks.

    A table of its own for each block would lie between the temporary tensors of the training loop, and the holes that
    those leave take as much memory again as the tables.
    """

    def __init__(self) -> None:
        self.bytes = torch.empty(0, dtype=torch.uint8, device="cpu")
        self.used = 0

    def keep(self, table: Tensor) -> Tensor:
        """A contiguous copy on the CPU."""
        size = table.numel() * table.element_size()
        if self.used + size > len(self.bytes):
            self.bytes, self.used = torch.empty(max(size, _SLAB), dtype=torch.uint8, device="cpu"), 0
        copy = self.bytes[self.used : self.used + size].view(table.dtype).view(table.shape)
        self.used += -(-size // 16) * 16  # whatever its dtype, the next table starts at a multiple of its item size
        return copy.copy_(table.detach())


class BlockMetric(Metric, ABC):
    """Abstract metric that keeps one block of rows for each video or window, on the CPU, each block once.

    Subclasses write `update`, which ends in `_append`, and `compute`, which begins with `_blocks`. Processes send
    nothing to each other before `compute` asks for it, and then only the columns that it asks for: a metric with many
    columns asks for a few at a time, and no process ever holds the rows of all.

    Args:
        **kwargs: passed on to `torchmetrics.Metric`.
    """

    is_differentiable = False
    higher_is_better = True
    full_state_update = False

    keys: list[Tensor]
    truth: list[Tensor]
    rows: list[Tensor]

    def __init__(self, **kwargs: Any) -> None:
        # torchmetrics' own sync copies every state and joins it with all processes' states: `_blocks` gathers instead
        super().__init__(**{"sync_on_compute": False, **kwargs})
        for name in ("keys", "truth", "rows"):
            self.add_state(name, default=[], dist_reduce_fx=None)

    def _append(self, index: int | Tensor, truth: Tensor, rows: Tensor, first: int | Tensor = 0) -> None:
        """Keep a block; both tables are copied to the CPU and keep their dtypes.

        Args:
            index: place of the video in its split, not negative.
            truth: (N, D) rows; D > 0 and the dtype are the same for all blocks; N may be 0.
            rows: (M, E) rows of predictions, likewise; M may be 0.
            first: number of the window's first step in its video; 0 for a whole video.

        Raises:
            ValueError: index or first is negative, or a table has another shape or dtype than those before.
        """
        index, first = int(index), int(first)
        if index < 0 or first < 0:
            raise ValueError(f"index and first step must not be negative, got {index} and {first}")
        for name, table, kept in (("truth", truth, self.truth), ("predictions", rows, self.rows)):
            if table.ndim != 2 or table.shape[1] == 0:
                raise ValueError(f"{name} of video {index} must be (rows, columns), got shape {tuple(table.shape)}")
            if kept and (table.shape[1], table.dtype) != (kept[0].shape[1], kept[0].dtype):
                raise ValueError(
                    f"{name} of video {index} have {table.shape[1]} columns of {table.dtype}, after {kept[0].shape[1]} "
                    f"of {kept[0].dtype}: give all videos the same columns, and call reset() between splits"
                )
        if not self.keys:
            self._slab = _Slab()  # blocks from before a reset may still be in use
        # copies: a tensor from a loader's worker would hold its shared memory open for the whole run
        truth, rows = self._slab.keep(truth), self._slab.keep(rows)
        check = zlib.crc32(truth.flatten().view(torch.uint8).numpy().data)
        self.keys.append(torch.tensor([index, first, check]))
        self.truth.append(truth)
        self.rows.append(rows)

    def _blocks(self, truth: slice = ALL, rows: slice = ALL) -> list[Block]:
        """The blocks of all processes, sorted by video and first step; where a key came more than once, the first one.

        All processes must call this alike. A single process gets views of what it holds, without a copy. With others,
        each receives the chosen columns of all blocks, which takes about three times their size while they come in.

        Args:
            truth: columns of the tables of truth.
            rows: columns of the tables of predictions.

        Raises:
            ValueError: no process has a block, a key came with two different tables of truth, or the processes' tables
                differ in columns or dtype; raised on every process alike, so that none waits.
        """
        facts = self._facts()
        kept = _kept(facts, type(self).__name__)
        tables = [self._table(number, columns, facts, kept) for number, columns in enumerate((truth, rows))]
        keys = [facts[rank].keys[place] for rank, place in kept]
        blocks = [Block(index, first, *of_block) for (index, first, _), *of_block in zip(keys, *tables, strict=True)]
        return sorted(blocks, key=lambda block: (block.video, block.first))

    def _facts(self) -> list[_Facts]:
        """What each process holds."""
        own = _Facts(
            keys=[(index, first, check) for index, first, check in (key.tolist() for key in self.keys)],
            sizes=[(len(truth), len(rows)) for truth, rows in zip(self.truth, self.rows, strict=True)],
            columns=[(kept[0].shape[1], kept[0].dtype) for kept in (self.truth, self.rows) if kept],
        )
        if not self._has_peers():
            return [own]
        facts: list[Any] = [None] * dist.get_world_size(self.process_group)
        dist.all_gather_object(facts, own, group=self.process_group)
        return facts

    def _table(self, number: int, columns: slice, facts: list[_Facts], kept: list[tuple[int, int]]) -> list[Tensor]:
        """Truth (number 0) or predictions (number 1) of each block that is kept, in that order."""
        own = (self.truth, self.rows)[number]
        if not self._has_peers():
            return [own[place][:, columns].cpu() for _, place in kept]
        width, dtype = next(of_rank.columns for of_rank in facts if of_rank.columns)[number]
        empty = torch.empty((0, width), dtype=dtype)[:, columns]
        rank = dist.get_rank(self.process_group)
        sent = torch.cat([empty, *(own[place][:, columns].cpu() for owner, place in kept if owner == rank)])
        parts = iter(gather_rows(sent, self.process_group))  # one for each process that has rows, in their order
        received: list[Tensor] = []
        for owner, of_owner in enumerate(facts):
            sizes = [of_owner.sizes[place][number] for rank, place in kept if rank == owner]
            if sizes:
                received += torch.split(next(parts) if sum(sizes) else empty, sizes)
        return received

    def _has_peers(self) -> bool:
        return dist.is_available() and dist.is_initialized() and dist.get_world_size(self.process_group) > 1


def _kept(facts: list[_Facts], name: str) -> list[tuple[int, int]]:
    """(process, place) of the first block of each key, in the order of the processes and places."""
    columns = [of_rank.columns for of_rank in facts if of_rank.columns]
    if not columns:
        raise ValueError(f"{name} has seen no video: call update before compute")
    if any(other != columns[0] for other in columns):
        raise ValueError(f"processes hold tables of different columns or dtypes: {columns}; give all the same labels")
    checks: dict[tuple[int, int], int] = {}
    kept = []
    for rank, of_rank in enumerate(facts):
        for place, (index, first, check) in enumerate(of_rank.keys):
            if (index, first) not in checks:
                kept.append((rank, place))
            elif checks[index, first] != check:
                raise ValueError(
                    f"video {index} came twice from step {first} with different truth: an index must name one video; "
                    "use one metric for each split and call reset() between runs"
                )
            checks[index, first] = check
    return kept
