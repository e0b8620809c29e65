"""A tiny fit whose batch 1 is not finite; `python -m tests.callbacks.non_finite_fit FOLDER` runs it on two processes."""

import contextlib
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import lightning.pytorch as pl
import torch
from torch import Tensor, nn
from torch.multiprocessing.spawn import ProcessExitedException, ProcessRaisedException
from torch.utils.data import DataLoader

from callbacks import NonFiniteGuard

BAD = (1,)  # batches of an epoch


class Module(pl.LightningModule):
    """Two layers and a batch norm."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.first, self.norm, self.last = nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2)

    def forward(self, clips: Tensor) -> Tensor:
        logits: Tensor = self.last(self.norm(self.first(clips)).relu())
        return logits

    def training_step(self, batch: dict[str, Tensor], batch_idx: int) -> Tensor:
        loss: Tensor = self(batch["clips"]).float().square().mean()
        return loss

    def configure_optimizers(self) -> Any:
        return torch.optim.SGD(self.parameters(), lr=0.1, momentum=0.9, weight_decay=0.01)


class Data(pl.LightningDataModule):
    """Four batches an epoch; the second of the last process holds the value."""

    def __init__(self, value: float = 1.0) -> None:
        super().__init__()
        self.value = value
        self.videos = {"train": [SimpleNamespace(name=name) for name in ("good", "also", "bad.mp4")]}

    def batches(self, value: float = 1.0) -> list[dict[str, Tensor]]:
        random = torch.Generator().manual_seed(0)
        found = []
        for number in range(4):
            clips, bad = torch.randn(2, 3, generator=random), number in BAD
            if bad:
                clips[0, 0] *= value
            index, rate = torch.tensor([2, 1] if bad else [0, 1]), torch.tensor([4.0, 8.0])
            found.append({"clips": clips, "index": index, "rate": rate})
        return found

    def train_dataloader(self) -> Any:
        assert self.trainer is not None
        last = self.trainer.global_rank == self.trainer.world_size - 1
        batches: Any = self.batches(self.value if last else 1.0)
        return DataLoader(batches, batch_size=None)


def fit(
    folder: Path,
    *callbacks: pl.Callback,
    value: float = torch.nan,
    module: Module | None = None,
    ckpt_path: Path | None = None,
    **settings: Any,
) -> tuple[pl.Trainer, Module]:
    """Fit with a value in the bad batch of the last process."""
    pl.seed_everything(0, verbose=False)
    module = module or Module()
    options: dict[str, Any] = {
        "accelerator": "cpu",
        "devices": 1,
        "max_epochs": 1,
        "logger": False,
        "enable_checkpointing": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "use_distributed_sampler": False,
    }
    trainer = pl.Trainer(default_root_dir=folder, callbacks=list(callbacks), **options | settings)
    trainer.fit(module, datamodule=Data(value), ckpt_path=ckpt_path, weights_only=True)
    return trainer, module


def free_of(module: nn.Module) -> bool:
    """Whether everything in the module is finite."""
    return all(bool(value.isfinite().all()) for value in module.state_dict().values())


class Left(pl.Callback):
    """Keeps what each process ends with."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        torch.save(pl_module.state_dict(), self.folder / f"rank_{trainer.global_rank}.pt")


class Told(NonFiniteGuard):
    """Keeps what each process is told."""

    def on_before_backward(self, trainer: pl.Trainer, pl_module: pl.LightningModule, loss: Tensor) -> None:
        try:
            super().on_before_backward(trainer, pl_module, loss)
        except ValueError as error:
            assert self.output is not None
            (self.output / f"error_{trainer.global_rank}.txt").write_text(str(error))
            wait = time.monotonic() + 20  # the parent ends the others when the first has failed
            while len(list(self.output.glob("error_*.txt"))) < trainer.world_size and time.monotonic() < wait:
                time.sleep(0.05)
            raise


if __name__ == "__main__":
    out = Path(sys.argv[1])
    two: dict[str, Any] = {"devices": 2, "strategy": "ddp_fork", "max_epochs": 2}
    fit(out, NonFiniteGuard(skip=2, output=out), Left(out), **two)
    with contextlib.suppress(ProcessRaisedException, ProcessExitedException):
        fit(out, Told(output=out), **two)
        print("not stopped")
