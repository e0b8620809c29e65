"""Checkpoints that are whole or not there."""

import io
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins.io.torch_io import TorchCheckpointIO

from callbacks.files import write_whole
from callbacks.read_checkpoint import read_checkpoint


class AtomicCheckpointIO(TorchCheckpointIO):
    """Plugin of the Trainer, `Trainer(plugins=[AtomicCheckpointIO()])`: a checkpoint is never half-written.

    Lightning's own writes to the system's temporary folder and moves the file from there, which between two disks is a
    copy that a kill or a full disk cuts short. `cli.py` uses this one unless another is chosen.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any | None = None) -> None:
        """Write a checkpoint at once or not at all; remote addresses are left to Lightning.

        Raises:
            OSError: no room on the disk, or another reason; an earlier checkpoint of this name is as it was.
        """
        if storage_options is not None or "://" in str(path):
            super().save_checkpoint(checkpoint, path, storage_options)
            return
        data = io.BytesIO()
        torch.save(checkpoint, data)
        write_whole(Path(path), data.getbuffer())

    def load_checkpoint(
        self, path: str | Path, map_location: Any = "cpu", weights_only: bool | None = None
    ) -> dict[str, Any]:
        """Read a checkpoint as data, whatever `weights_only` says: what it wants to have called is refused.

        Raises:
            FileNotFoundError: there is no such file.
            ValueError: the file is damaged or carries objects that would be called; see `read_checkpoint`.
        """
        if "://" in str(path):
            return super().load_checkpoint(path, map_location, weights_only=True)
        return read_checkpoint(path)
