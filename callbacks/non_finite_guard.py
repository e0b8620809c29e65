"""Stop a fit, or skip the step, when a training loss is NaN or infinite."""

import io
import os
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.utilities import move_data_to_device, rank_zero_warn
from torch import Tensor
from torch.optim import Optimizer

from callbacks.files import free_paths, gather_dict, write_whole


class NonFiniteGuard(pl.Callback):
    """Names the videos of a batch whose loss is NaN or infinite, before such a loss changes any weight.

    All processes agree on every loss before its backward pass, so that they stop or skip together. A process whose loss is
    not finite leaves `non_finite_step_N_rank_R.pt` in the log folder before the fit stops, a dictionary that
    `torch.load(weights_only=True)` reads: `batch` as the network saw it, `videos`, `loss`, `state_dict` before the step,
    `step`, `epoch`, `batch_idx`, `rank`, `seed`, `learning_rates`, `precision`.

    A skipped step changes no weight, no optimiser state and no buffer, such as running statistics of batch norms: what all
    processes and all batches of its gradient accumulation computed is thrown away. It counts as a step of the schedule, and
    under `16-mixed` the loss scale falls as after any overflow. Only the loss is looked at: a finite loss can still have a
    gradient that is not, and the loss of the next step then shows it.

    Of several guards the last one works, so that `callbacks+` can lay one with other settings over a shared configuration.

    Args:
        skip: how many steps of the whole fit, resumed or not, may be skipped; the next one stops it.
        output: folder of the dumps; the log folder of the run by default. Earlier dumps are never overwritten.

    Raises:
        ValueError: if `skip` is negative; during the fit, on every process, at a loss that may not be skipped.
    """

    output_stage = "fit"

    def __init__(self, skip: int = 0, output: Path | None = None) -> None:
        if skip < 0:
            raise ValueError(f"skip is a number of steps, 0 or more, got {skip}")
        self.skip, self.output = skip, output
        self.skipped = 0
        self._works = True
        self._dropping = False
        self._begun = False  # whether a batch of the current step was seen
        self._batch: Any = None
        self._batch_idx = 0
        self._buffers: dict[str, Tensor] = {}

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Leave the work to a later guard."""
        guards = [callback for callback in trainer.callbacks if isinstance(callback, NonFiniteGuard)]  # type: ignore[attr-defined]
        self._works = guards[-1] is self
        if stage == "fit":
            self.skipped = 0  # of an earlier fit; a resumed one reads its number later
            self._begun = False

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Before the first batch of a step, keep the buffers, which its forward passes change."""
        if not self._works:
            return
        self._batch, self._batch_idx = batch, batch_idx
        # a fit that is resumed with another accumulation may begin in the middle of a step
        if not self._begun or batch_idx % trainer.accumulate_grad_batches == 0:
            self._begun, self._dropping = True, False
            buffers = dict(pl_module.named_buffers())
            if self._buffers.keys() != buffers.keys():
                self._buffers = {name: torch.empty_like(buffer) for name, buffer in buffers.items()}
            _copy(buffers, self._buffers)

    def on_before_backward(self, trainer: pl.Trainer, pl_module: pl.LightningModule, loss: Tensor) -> None:
        """Agree with all processes whether every loss is finite."""
        if not self._works:
            return
        finite = bool(loss.detach().isfinite().all())
        if trainer.strategy.reduce_boolean_decision(finite, all=True):
            return
        # from here on all processes do the same, since gathering, folders and sharded weights need all of them
        mine = {} if finite else {trainer.global_rank: self._line(trainer, loss)}
        found = "\n".join(line for _, line in sorted(gather_dict(mine).items()))
        if not self._dropping and self.skipped >= self.skip:
            self._stop(trainer, found, None if finite else loss)
        self.skipped += not self._dropping
        self._dropping = True
        rank_zero_warn(
            f"the training loss is not finite; step {trainer.global_step} is skipped ({self.skipped} of at most "
            f"{self.skip}):\n{found}"
        )

    def on_before_optimizer_step(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, optimizer: Optimizer
    ) -> None:
        """Throw a step away: optimisers pass over parameters that have no gradient."""
        self._begun = False
        if self._dropping:
            optimizer.zero_grad(set_to_none=True)
            _copy(self._buffers, dict(pl_module.named_buffers()))

    def on_train_batch_end(self, *args: Any, **kwargs: Any) -> None:
        """Let the batch go."""
        self._batch = None

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Log `train/non_finite_steps`, the number of steps skipped so far."""
        if self.skip and self._works:
            pl_module.log("train/non_finite_steps", float(self.skipped), sync_dist=True)

    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Keep the number of steps skipped so far; not as the state of a callback, which each run would have to have."""
        if self._works:
            checkpoint["non_finite_steps"] = self.skipped

    def on_load_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Count on from there."""
        self.skipped = int(checkpoint.get("non_finite_steps", 0))

    def _line(self, trainer: pl.Trainer, loss: Tensor) -> str:
        """What is known of the batch of this process."""
        rates = self._batch.get("rate") if isinstance(self._batch, dict) else None
        at = "" if rates is None else f", rates {', '.join(f'{rate:g}' for rate in rates.tolist())}"
        videos = ", ".join(self._videos(trainer)) or "unknown"
        return f"  process {trainer.global_rank}: loss {float(loss.detach()):g}, videos {videos}{at}"

    def _videos(self, trainer: pl.Trainer) -> list[str]:
        """Names of the videos of the batch; their numbers where the data keep no list of videos."""
        if not isinstance(self._batch, dict) or "index" not in self._batch:
            return []
        videos = getattr(getattr(trainer, "datamodule", None), "videos", {}).get("train")
        return [str(number) if videos is None else videos[number].name for number in self._batch["index"].tolist()]

    def _stop(self, trainer: pl.Trainer, found: str, loss: Tensor | None) -> None:
        """Write the dump of a process whose `loss` is not finite, and raise on all of them."""
        folder = Path(self.output or trainer.log_dir or trainer.default_root_dir)
        state = trainer.strategy.lightning_module_state_dict()
        state = {name: self._buffers.get(name, value) for name, value in state.items()}
        rates = [float(group["lr"]) for optimizer in trainer.optimizers for group in optimizer.param_groups]
        mine: dict[int, str] = {}
        if loss is not None:
            dump = {
                "batch": self._batch,
                "videos": self._videos(trainer),
                "loss": float(loss.detach()),
                "state_dict": state,
                "step": trainer.global_step,
                "epoch": trainer.current_epoch,
                "batch_idx": self._batch_idx,
                "rank": trainer.global_rank,
                "seed": int(os.environ.get("PL_GLOBAL_SEED", 0)),
                "learning_rates": rates,
                "precision": str(trainer.precision),
            }
            name = f"non_finite_step_{trainer.global_step}_rank_{trainer.global_rank}.pt"
            mine[trainer.global_rank] = _save(folder, name, move_data_to_device(dump, "cpu"))
        dumps = ", ".join(path for _, path in sorted(gather_dict(mine).items()))
        broken = [name for name, value in state.items() if isinstance(value, Tensor) and not value.isfinite().all()]
        advice = (
            f"an earlier step broke the weights already ({len(broken)} tensors, first {broken[0]}): start from the last good "
            "checkpoint with a lower learning rate or with trainer.gradient_clip_val"
            if broken
            else "the weights are finite: look at these videos, lower the learning rate, or let NonFiniteGuard skip steps"
        )
        raise ValueError(
            f"the training loss of step {trainer.global_step} is not finite (learning rate "
            f"{', '.join(f'{rate:g}' for rate in dict.fromkeys(rates))}, precision {trainer.precision}, {self.skipped} steps "
            f"skipped before):\n{found}\nThis step changed no weight; {advice}. Written: {dumps}"
        )


def _save(folder: Path, name: str, dump: dict[str, Any]) -> str:
    """Write a dump at once or not at all; its path, or why there is none, since the fit has to stop in any case."""
    try:
        data = io.BytesIO()
        torch.save(dump, data)
        (path,) = free_paths(folder, name)
        write_whole(path, data.getbuffer())
        return str(path)
    except (OSError, RuntimeError, MemoryError) as error:
        return f"no dump in {folder} ({error})"


def _copy(sources: dict[str, Tensor], targets: dict[str, Tensor]) -> None:
    """Copy tensors of the same names, all at once."""
    if targets:
        with torch.no_grad():
            torch._foreach_copy_(list(targets.values()), [sources[name] for name in targets])
