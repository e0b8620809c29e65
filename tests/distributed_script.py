"""Run commands of the command line one after the other in each of some processes: `distributed_script.py FOLDER NAME`.

FOLDER/NAME.json is a list of [command, [argument, ...]]. Each process writes FOLDER/NAME_RANK.pt, what `run_all` returns.
"""

import contextlib
import hashlib
import json
import os
import random
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import numpy as np
import torch

from cli import VideoCLI, main
from clips.dataset import TrainClips
from clips.rate_batches import Draw
from datamodules import AnnotatedVideosDataModule


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """Work as each of several processes does: the order of sums, and so their last bits, depends on the number of threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


class NoisyClips(TrainClips):
    """Clips with draws of the global generators, as a transform of a user's own might make."""

    def __getitem__(self, draw: Draw) -> dict[str, Any]:
        noise = [np.random.rand(), float(torch.rand(1, dtype=torch.float64)), random.random()]
        return {**super().__getitem__(draw), "noise": torch.tensor(noise, dtype=torch.float64)}


class NoisyVideos(AnnotatedVideosDataModule):
    """The data module with those clips."""

    def train_clips(self) -> TrainClips:
        clips = super().train_clips()
        clips.__class__ = NoisyClips
        return clips


class Recorder(pl.Callback):
    """Keeps what each training step was made of."""

    def __init__(self) -> None:
        self.steps: list[dict[str, Any]] = []

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """The weights before any step."""
        self.start = {name: value.detach().clone() for name, value in pl_module.named_parameters()}

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Videos, rates and pixels; draws of the workers' generators; the seed of dropout."""
        pixels = [hashlib.sha256(clip.numpy().tobytes()).hexdigest() for clip in batch["clips"]]
        self.steps.append(
            {
                "clips": list(zip(batch["index"].tolist(), batch["rate"].tolist(), pixels, strict=True)),
                "noise": batch["noise"].flatten().tolist() if "noise" in batch else [],
                "seed": torch.initial_seed(),
            }
        )


class FirstFails(pl.Callback):
    """The first process fails while the others are busy with something that does not end.

    Args:
        folder: the others leave their process number there, each as the name of a file.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if trainer.is_global_zero:
            deadline = time.monotonic() + 120
            while not list(self.folder.iterdir()) and time.monotonic() < deadline:
                time.sleep(0.1)
            raise ValueError("the first process fails")
        (self.folder / str(os.getpid())).touch()
        time.sleep(600)


def run_all(configs: list[Path], commands: Iterable[tuple[str, list[str]]], *more: str) -> list[dict[str, Any]]:
    """What each command logged, the steps that it trained, and its weights at the end."""
    done = []
    for subcommand, words in commands:
        cli = main([subcommand, *(word for config in configs for word in ("-c", str(config))), *words, *more])
        assert isinstance(cli, VideoCLI)
        callbacks: list[Any] = cli.trainer.callbacks  # type: ignore[attr-defined]
        recorders = [callback for callback in callbacks if type(callback).__name__ == "Recorder"]
        done.append(
            {
                "logged": {name: float(value) for name, value in cli.trainer.callback_metrics.items()},
                "steps": [step for recorder in recorders for step in recorder.steps],
                "start": recorders[0].start if recorders else {},
                "weights": cli.model.state_dict(),
                "broken": sorted(cli.datamodule.broken),
                "place": (cli.trainer.global_rank, cli.trainer.world_size),
            }
        )
    return done


if __name__ == "__main__":
    folder, name = Path(sys.argv[1]), sys.argv[2]
    given = json.loads((folder / f"{name}.json").read_text())
    result = run_all([folder / "shared.yaml", folder / "base.yaml"], given["commands"], *given["more"])
    torch.save(result, folder / f"{name}_{result[0]['place'][0]}.pt")
