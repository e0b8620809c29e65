"""A progress bar that says which stage runs and at which rate."""

from typing import Any

import lightning.pytorch as pl
from lightning.pytorch.callbacks import TQDMProgressBar

from callbacks.speed_invariant_tuning import SpeedInvariantTuning


class RateProgressBar(TQDMProgressBar):
    """Names the stage (1 training, 2 speed-invariant tuning, test) and the rates of the batch at hand.

    Args:
        refresh_rate: steps between updates; reading the rate waits for the device.
    """

    def __init__(self, refresh_rate: int = 10) -> None:
        super().__init__(refresh_rate=refresh_rate)

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Show stage, epoch and rate."""
        if self.refresh_rate == 0 or batch_idx % self.refresh_rate:
            return
        stage = 2 if any(isinstance(callback, SpeedInvariantTuning) for callback in _callbacks(trainer)) else 1
        rates = batch.get("rate") if isinstance(batch, dict) else None
        shown = "" if rates is None else f" · rate {'/'.join(f'{rate:g}' for rate in sorted(set(rates.tolist())))}"
        self.train_progress_bar.set_description_str(f"stage {stage} · epoch {trainer.current_epoch}{shown}")

    def on_test_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Show the rates of the ensemble."""
        super().on_test_start(trainer, pl_module)
        views = getattr(getattr(trainer, "datamodule", None), "test_views", {})
        self.test_progress_bar.set_description_str(f"test · rates {'/'.join(f'{rate:g}' for rate in views)}")


def _callbacks(trainer: pl.Trainer) -> list[pl.Callback]:
    callbacks: list[pl.Callback] = trainer.callbacks  # type: ignore[attr-defined]
    return callbacks
