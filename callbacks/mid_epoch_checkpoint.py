"""Checkpoints within long epochs, from which a fit goes on exactly."""

from datetime import timedelta
from typing import Any

import lightning.pytorch as pl
from lightning.pytorch.callbacks import ModelCheckpoint


class MidEpochCheckpoint(ModelCheckpoint):
    """Write `last-within-epoch.ckpt` every so many minutes of training, over the one before.

    Only where a resumed fit equals the unbroken one: after a step of the optimiser, not within accumulated gradients, and
    not where a validation or the end of the epoch follows, which Lightning would leave out. `--ckpt_path last` takes the
    newest of this file and `last.ckpt`.

    Args:
        dirpath: folder of the checkpoint.
        minutes: between two checkpoints.

    Raises:
        ValueError: if `minutes` is negative.
    """

    def __init__(self, dirpath: str, minutes: float = 30) -> None:
        if minutes < 0:
            raise ValueError(f"minutes must not be negative, got {minutes}")
        super().__init__(
            dirpath,
            "last-within-epoch",
            train_time_interval=timedelta(minutes=minutes),
            enable_version_counter=False,
        )

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Save if it is time and the place is right; the time of a wrong place is made up for at the next right one."""
        done, every = batch_idx + 1, trainer.val_check_batch
        counted = trainer.fit_loop.total_batch_idx + 1 if trainer.check_val_every_n_epoch is None else done
        validates = every is not None and every != float("inf") and counted % every == 0
        if done < trainer.num_training_batches and done % trainer.accumulate_grad_batches == 0 and not validates:
            super().on_train_batch_end(trainer, pl_module, outputs, batch, batch_idx)

    @property
    def state_key(self) -> str:
        """One of its own: nothing is stored under it, and Lightning refuses two that are equal."""
        return f"{type(self).__qualname__}{id(self)}"

    def state_dict(self) -> dict[str, Any]:
        """Nothing: the file has one name, and Lightning would warn of a run without this callback."""
        return {}
