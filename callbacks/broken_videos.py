"""Say at the end of each epoch which training videos could not be read."""

import warnings

import lightning.pytorch as pl
from lightning.pytorch.utilities import rank_zero_warn

from callbacks.files import gather_dict


class BrokenVideos(pl.Callback):
    """Lists the training videos that were replaced because they cannot be read, and logs their number.

    The share above which training stops is the data's `max_broken`.
    """

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Gather from all processes, log `train/broken_videos`, list what is new."""
        mine: dict[str, str] = getattr(getattr(trainer, "datamodule", None), "broken", {})
        broken = gather_dict(mine)
        mine.update(broken)  # `max_broken` is of those of all processes, and then stops them all at the same step
        # gathered already: there is nothing left to add up
        warnings.filterwarnings("ignore", message=r"It is recommended to use `self\.log\('train/broken_videos")
        pl_module.log("train/broken_videos", float(len(broken)), rank_zero_only=True)
        if broken:
            listing = "\n".join(f"  {name}: {reason}" for name, reason in sorted(broken.items()))
            rank_zero_warn(f"{len(broken)} training videos could not be read and were replaced by others:\n{listing}")
