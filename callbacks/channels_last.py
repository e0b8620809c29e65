"""Convolution weights in the memory order that tensor cores like."""

import lightning.pytorch as pl
import torch


class ChannelsLast(pl.Callback):
    """Keep the weights of convolutions channels-last (`channels_last_3d`, and `channels_last` for 2D), in every command.

    Values do not change, only their order in memory. cuDNN then works in that order throughout: the first convolution
    converts the clips, which come as planes, and what follows stays so. It pays off with `bf16-mixed` or `16-mixed` on a GPU;
    on a CPU it may cost time.
    """

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Reorder in place, before the strategy wraps the module; the same parameters stay in the optimiser."""
        orders = {4: torch.channels_last, 5: torch.channels_last_3d}
        for parameter in pl_module.parameters():
            if parameter.ndim in orders:
                parameter.data = parameter.data.contiguous(memory_format=orders[parameter.ndim])
