"""The backbone of a module, for callbacks that freeze it."""

import warnings
from typing import Any

import lightning.pytorch as pl


def backbone_to_freeze(callback: pl.Callback, pl_module: pl.LightningModule, method: str) -> Any:
    """The module's backbone, which the callback is going to freeze with a method of it.

    Raises:
        ValueError: the module has no backbone with this method.
    """
    backbone = getattr(pl_module, "backbone", None)
    if not hasattr(backbone, method):
        raise ValueError(
            f"{type(callback).__name__} needs {type(pl_module).__name__}.backbone to be a networks.Backbone, "
            f"got {type(backbone).__name__}; wrap the network in one"
        )
    # Lightning warns of modules in eval mode, which is what freezing is for
    warnings.filterwarnings("ignore", message=r"Found \d+ module\(s\) in eval mode")
    return backbone
