"""Where in an epoch a resumed run goes on, and what makes a test the same as one that was interrupted."""

import hashlib
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import lightning.pytorch as pl
from lightning.pytorch.utilities import rank_zero_warn

from clips.rate_batches import RateBatches

if TYPE_CHECKING:
    from datamodules.base import VideoDataModule


def trained_on(trainer: pl.Trainer | None) -> RateBatches | None:
    """The batches that the trainer is fitting to."""
    batches = getattr(trainer.train_dataloader, "batch_sampler", None) if trainer else None
    return batches if isinstance(batches, RateBatches) else None


def batches_done(trainer: pl.Trainer | None, batches: RateBatches, resumed: dict[str, Any] | None) -> int:
    """Batches of the epoch that were trained on before the run was interrupted, where Lightning counts on from.

    Args:
        trainer: of the run.
        batches: whose epoch begins.
        resumed: `plan` of the batches that the checkpoint was trained on, if it says so.

    Warns:
        UserWarning: if what goes on cannot equal the unbroken run.
    """
    if trainer is None or trained_on(trainer) is not batches:  # iterated over by somebody else
        return 0
    done = trainer.fit_loop.batch_idx + 1
    if done and resumed and resumed != batches.plan:
        changed = ", ".join(
            f"{n} {resumed.get(n)} -> {now}" for n, now in batches.plan.items() if resumed.get(n) != now
        )
        rank_zero_warn(
            f"training was interrupted after {done} batches of an epoch and goes on with other batches ({changed}): in the "
            "rest of this epoch some clips may come again and some never; later epochs are whole"
        )
    return done


def score_facts(data: "VideoDataModule") -> dict[str, Any]:
    """What the logits of the test videos depend on, besides the weights; not how many go through the network at once.

    Args:
        data: after `setup("test")`.
    """
    videos = hashlib.sha256()
    for video in data.videos["test"]:
        boxes = None if video.boxes is None else video.boxes.tobytes()
        videos.update(repr((video.name, str(video.path), video.window, video.frame_numbers, boxes)).encode())
    return {
        "videos": videos.hexdigest(),
        "labels": data.label_names,
        "views": data.test_views,
        "clips": repr(replace(data.spec, index_cache=None)),
        "short_side": data.test_short_side,
        "normalised": [data.mean.tolist(), data.std.tolist()],
    }
