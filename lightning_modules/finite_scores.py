"""Refuse scores that are no numbers, by the name of the video."""

from typing import Any

import torch
from torch import Tensor

_SPLITS = {"test": "test", "validate": "val", "sanity_check": "val", "predict": "predict"}


def check_finite(logits: Tensor, batch: Any, trainer: Any) -> None:
    """Refuse NaN and +inf, and views whose logits are all -inf, which would pass for a video that cannot be read.

    Args:
        logits: (N, K), of the views of a batch whose videos can be read.
        batch: has `unfold` and `index`, as `clips.views.ViewBatch`.
        trainer: whose data name the videos; None is allowed.

    Raises:
        ValueError: with the videos and how many of their views are wrong.
    """
    wrong = (logits.isnan() | (logits == torch.inf)).any(1) | (logits == -torch.inf).all(1)
    if not wrong.any():
        return
    counts = (batch.unfold(wrong.float()[:, None]) > 0).sum((1, 2)).tolist()
    stage = getattr(getattr(trainer, "state", None), "stage", None)
    data = getattr(trainer, "datamodule", None)
    videos = getattr(data, "videos", {}).get(_SPLITS.get(getattr(stage, "value", ""), ""))
    names = [str(number) if videos is None else videos[number].name for number in batch.index.tolist()]
    listing = ", ".join(f"{name} ({count} of its views)" for name, count in zip(names, counts, strict=True) if count)
    raise ValueError(
        f"the network scores NaN or infinity for {listing}: look for NaN in the weights (a fit that diverged), or for an "
        "overflow in half precision, which --trainer.precision=32-true rules out"
    )
