"""What every metric over videos shares: one row for each video, kept once, exact on any number of processes.

A distributed sampler repeats videos so that all processes get as many, and a metric that counts rows counts those
twice. Here each row carries `index`, the place of its video in the split; after the gather every index is kept once.
"""

from __future__ import annotations

from abc import ABC
from collections.abc import Iterator
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities import dim_zero_cat


class VideoRows:
    """The rows of all processes, sorted by index, each video once; unpacks as `index, scores, labels`.

    Not a tuple on purpose: torchmetrics squeezes each tensor of one element in what `compute` returns, which would take
    the video axis from a split of one video.

    Args:
        index: (n,) int64, rising.
        scores: (n, ...) float32, what the metric gathered for each video.
        labels: (n, K) int64, multi-hot.
    """

    def __init__(self, index: Tensor, scores: Tensor, labels: Tensor) -> None:
        self.index = index
        self.scores = scores
        self.labels = labels

    def __iter__(self) -> Iterator[Tensor]:
        return iter((self.index, self.scores, self.labels))

    def __len__(self) -> int:
        return len(self.index)


class VideoMetric(Metric, ABC):
    """Abstract metric that gathers one row of scores and labels for each video, on the CPU.

    Subclasses write `update`, which ends in `_append`, and `compute`, which begins with `_rows`.

    Args:
        **kwargs: passed on to `torchmetrics.Metric`.
    """

    is_differentiable = False
    higher_is_better = True
    full_state_update = False

    index: list[Tensor] | Tensor
    scores: list[Tensor] | Tensor
    labels: list[Tensor] | Tensor

    def __init__(self, **kwargs: Any) -> None:
        # torchmetrics cannot gather for a process that saw no video (its stand-in is one-dimensional and float), nor
        # states on the CPU over NCCL: `gather_rows` does both
        super().__init__(**{"compute_on_cpu": True, "dist_sync_fn": gather_rows, **kwargs})
        for name in ("index", "scores", "labels"):
            self.add_state(name, default=[], dist_reduce_fx="cat")

    def _append(self, index: Tensor, scores: Tensor, labels: Tensor) -> None:
        """Keep a batch: index (B,), scores (B, ...) floating point, labels (B, K); all copied to the CPU."""
        if index.ndim != 1 or index.is_floating_point():
            raise ValueError(
                f"index must be (B,) integers, got shape {tuple(index.shape)} and {index.dtype}: pass batch['index']"
            )
        if labels.ndim != 2 or labels.is_floating_point():
            raise ValueError(
                f"labels must be (B, K) integers, got shape {tuple(labels.shape)} and {labels.dtype}: pass the "
                "multi-hot batch['labels']"
            )
        if not scores.is_floating_point():
            raise ValueError(f"scores must be floating point, got {scores.dtype}")
        if not len(index) == len(scores) == len(labels) or scores.shape[-1] != labels.shape[1]:
            raise ValueError(
                f"index, scores and labels must describe the same videos and labels, got shapes {tuple(index.shape)}, "
                f"{tuple(scores.shape)} and {tuple(labels.shape)}"
            )
        # copies: a tensor from a loader's worker would hold its shared memory open for the whole run
        kept = (
            index.detach().to("cpu", torch.int64, copy=True),
            scores.detach().to("cpu", torch.float32, copy=True),
            labels.detach().to("cpu", torch.int64, copy=True),
        )
        for state, rows in zip((self.index, self.scores, self.labels), kept, strict=True):
            assert isinstance(state, list), "states are lists until they are synchronised"
            if state and rows.shape[1:] != state[0].shape[1:]:
                raise ValueError(
                    f"every batch must have rows of one shape, got {tuple(rows.shape[1:])} after "
                    f"{tuple(state[0].shape[1:])}: call reset() between splits"
                )
            state.append(rows)

    def _rows(self) -> VideoRows:
        """All rows, sorted by index; the first of each repeated index is kept.

        Raises:
            ValueError: no video was seen, or two rows of one index have different labels.
        """
        if len(self.index) == 0:
            raise ValueError(f"{type(self).__name__} has seen no video: call update before compute")
        index, scores, labels = (dim_zero_cat(state).cpu() for state in (self.index, self.scores, self.labels))
        order = index.argsort(stable=True)
        index, scores, labels = index[order], scores[order], labels[order]
        first = torch.ones_like(index, dtype=torch.bool)
        first[1:] = index[1:] != index[:-1]
        differs = ~first[1:] & (labels[1:] != labels[:-1]).any(dim=1)
        if bool(differs.any()):
            raise ValueError(
                f"index {int(index[1:][differs][0])} came with two different rows of labels: an index must name one "
                "video; use one metric for each split and call reset() between runs"
            )
        return VideoRows(index[first], scores[first], labels[first])


def gather_rows(rows: Tensor, group: Any = None) -> list[Tensor]:
    """Every process's rows, on the CPU, in the order of the processes; counts may differ and may be zero.

    Args:
        rows: (n, ...) of any dtype; the trailing shape and dtype agree on all processes that have rows.
        group: process group; all processes when None.

    Returns:
        One tensor (n_i, ...) for each process that has rows, or `[rows]` when none has.

    Raises:
        ValueError: the trailing shapes or dtypes differ; raised on every process alike, so that none waits.
    """
    world = dist.get_world_size(group)
    facts: list[Any] = [None] * world
    dist.all_gather_object(facts, (tuple(rows.shape), rows.dtype), group=group)
    filled = [(shape[1:], dtype) for shape, dtype in facts if shape[0] > 0]
    if not filled:
        return [rows]
    if any(fact != filled[0] for fact in filled):
        raise ValueError(f"processes gathered rows of different shapes or dtypes: {filled}; give all the same views")
    shape, dtype = filled[0]
    counts = [fact[0][0] for fact in facts]
    sent = torch.zeros((max(counts), *shape), dtype=dtype, device=_gather_device(group))
    if len(rows):
        sent[: len(rows)] = rows
    received = [torch.empty_like(sent) for _ in range(world)]
    dist.all_gather(received, sent, group=group)
    return [part[:count].cpu() for part, count in zip(received, counts, strict=True) if count]


def _gather_device(group: Any) -> torch.device:
    """The device that the group's backend can send from: gloo and MPI send from the CPU, the others do not."""
    accelerator = torch.accelerator.current_accelerator()
    backend = dist.get_backend(group)
    if accelerator is None or backend in ("gloo", "mpi", "ucc") or "cpu:" in backend:
        return torch.device("cpu")
    return torch.device(accelerator.type, torch.accelerator.current_device_index())
