"""Say what to do when the machine fails: a full disk, a folder that cannot be written to, a worker that is killed."""

import errno
import re
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.utilities import rank_zero_warn

from callbacks.files import check_writable

_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class FaultAdvice(pl.Callback):
    """Refuse output folders that cannot be written to before anything is computed; add advice to errors of the machine.

    Logs are written whenever a checkpoint is, so that a kill costs both or neither. `cli.py` adds it to every run.
    """

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Try the folders of checkpoints, logs and callbacks.

        Raises:
            ValueError: naming the folder that cannot be written to.
        """
        if not trainer.is_global_zero or getattr(trainer, "fast_dev_run", False):
            return
        for folder in dict.fromkeys(_outputs(trainer, stage)):
            check_writable(folder)

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Say what Lightning does with an epoch that is over, where steps are counted and not epochs."""
        epochs: Any = trainer.fit_loop.epoch_progress.current
        if trainer.max_steps != -1 and trainer.fit_loop.restarting and 0 < epochs.processed == epochs.ready:
            rank_zero_warn(
                "the checkpoint is of the end of an epoch and max_steps ends this run: Lightning then counts an epoch "
                "without batches, and the clips of later epochs differ from those of the unbroken run; give max_epochs, or "
                "go on from a checkpoint of MidEpochCheckpoint"
            )

    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Write the logs up to here, so that a kill after this checkpoint leaves no gap in them."""
        for logger in trainer.loggers:
            logger.save()

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        """Add notes, which Python shows below the error."""
        if isinstance(exception, OSError) and exception.errno in _NO_ROOM:
            where = exception.filename or trainer.default_root_dir
            exception.add_note(
                f"The disk or the quota of {where} is full: make room there, or choose another folder with "
                "--trainer.default_root_dir."
            )
        elif _of_a_dead_worker(exception):
            exception.add_note(f"A process that loads videos has died. {_why(trainer)}")
        else:
            return
        newest = _newest_checkpoint(trainer)
        if newest and trainer.state.fn == "fit":
            exception.add_note(f"The newest checkpoint is whole; go on from it: fit ... --ckpt_path {newest}")


def _outputs(trainer: pl.Trainer, stage: str) -> Iterator[Path]:
    yield Path(trainer.default_root_dir)
    for logger in trainer.loggers:
        if logger.save_dir:
            yield Path(logger.save_dir)
    for callback in trainer.callbacks:  # type: ignore[attr-defined]
        if isinstance(callback, ModelCheckpoint) and callback.dirpath and stage == "fit":
            yield Path(callback.dirpath)
        elif getattr(callback, "output_stage", None) == stage and callback.output:
            yield Path(callback.output)
        elif (
            isinstance(cache := getattr(callback, "cache", None), str | Path)
            and stage == "fit"
            and not any(Path(cache).glob("*"))
        ):
            yield Path(cache)  # one that holds something may be full, and on a disk that is only read


def _of_a_dead_worker(exception: BaseException) -> bool:
    """Whether a loader says so, or its connection to a process broke, which may be noticed first."""
    if isinstance(exception, RuntimeError):
        return re.search(r"DataLoader worker .*(killed|exited)", str(exception)) is not None
    files = {Path(frame.f_code.co_filename).name for frame, _ in traceback.walk_tb(exception.__traceback__)}
    return isinstance(exception, OSError | EOFError) and {"dataloader.py", "connection.py"} <= files


def _why(trainer: pl.Trainer) -> str:
    data: Any = getattr(trainer, "datamodule", None)
    settings = [
        f"{name} (now {getattr(data, name)})"
        for name in ("num_workers", "batch_size" if trainer.state.fn == "fit" else "test_batch_size")
        if hasattr(data, name)
    ]
    return (
        "Mostly the kernel killed it because memory ran out (its log says so: dmesg): lower "
        f"{' or '.join(settings) or 'the number of workers'}, or give the job more memory, shared memory (/dev/shm) among it."
    )


def _newest_checkpoint(trainer: pl.Trainer) -> Path | None:
    folders = {Path(c.dirpath) for c in trainer.checkpoint_callbacks if isinstance(c, ModelCheckpoint) and c.dirpath}
    found = [path for folder in folders for path in folder.glob("*.ckpt")]
    return max(found, key=lambda path: path.stat().st_mtime, default=None)
