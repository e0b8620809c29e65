"""Keep the resolved configuration with the run that it made."""

from pathlib import Path

import lightning.pytorch as pl
from lightning.pytorch.cli import SaveConfigCallback
from lightning.pytorch.loggers import WandbLogger


class LogConfig(SaveConfigCallback):
    """Write config_COMMAND.yaml into the run's own log folder and put it on the W&B run; an earlier run's file stays.

    The file can be used again: `-c config_fit.yaml` writes to the folders that this run writes to.
    The stock callback writes where a second run finds the first one's file and stops.
    """

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Ask for the log folder, which is a broadcast, on every process; the first one saves."""
        self._folder = trainer.log_dir
        super().setup(trainer, pl_module, stage)

    def save_config(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Write the file and update the W&B run."""
        if getattr(trainer, "fast_dev_run", False) or self._folder is None:
            return
        folder, stage = Path(self._folder), str(trainer.state.fn.value if trainer.state.fn else stage)
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{Path(self.config_filename).stem}_{stage}.yaml"
        self.parser.save(self.config, path, skip_none=False, overwrite=True, multifile=False)
        for logger in trainer.loggers:
            if isinstance(logger, WandbLogger):
                logger.experiment.config.update({stage: self.config.as_dict()}, allow_val_change=True)
