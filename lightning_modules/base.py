"""Steps, loss, scores and optimiser that all methods share; no architecture."""

import os
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any

import lightning.pytorch as pl
import torch
import torch.nn.functional as F
from lightning.pytorch.cli import OptimizerCallable
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler
from torchmetrics import Metric

from lightning_modules.finite_scores import check_finite
from metrics import VideoMean, VideoMeanAveragePrecision, VideoMeanLabelAccuracy, VideoTopK, reduce_views

SchedulerCallable = Callable[[Optimizer, int], LRScheduler]


def printed_sgd(params: Any) -> Optimizer:
    """SGD as the papers print it; the momentum, which they leave out, is the usual 0.9."""
    return torch.optim.SGD(params, lr=3.5e-2, momentum=0.9, weight_decay=1.25e-5)


class MultiLabelModule(pl.LightningModule, ABC):
    """A backbone and a head that score labels of clips; a method provides both and `forward`.

    Training reads a batch of `datamodules`: `clips` float (B, 1, C, T, H, W) and `labels` (B, K). Validation, test and
    prediction read any object with `views()`, `unfold()`, `index` and `labels`, as `clips.views.ViewBatch`.

    Args:
        backbone: clips (B, C, T, H, W) -> features (B, D, T', H', W').
        num_labels: K; linked to the data, so it is not set by hand.
        optimizer: given the trainable parameters; SGD as the papers print it by default.
        scheduler: given the optimiser and the number of steps of the fit, such as `WarmupCosine`; steps once a batch.
        single_label: exactly one label per video: softmax, cross-entropy, top-1, top-5 (of more than five labels) and mean
            label accuracy instead of sigmoid, binary cross-entropy and mean average precision.
    """

    def __init__(
        self,
        backbone: nn.Module,
        num_labels: int,
        *,
        optimizer: OptimizerCallable = printed_sgd,
        scheduler: SchedulerCallable | None = None,
        single_label: bool = False,
    ) -> None:
        super().__init__()
        if num_labels < 1:
            raise ValueError(f"num_labels must be at least 1, got {num_labels}")
        with warnings.catch_warnings():  # of modules among them: they are taken out in the next lines
            warnings.simplefilter("ignore", UserWarning)
            self.save_hyperparameters(logger=False)
        for name, value in list(self.hparams.items()):
            if isinstance(value, nn.Module) or callable(value):  # built in Python: not loadable with weights_only
                self.hparams.pop(name)
        self.backbone, self.num_labels, self.single_label = backbone, num_labels, single_label
        self.optimizer, self.scheduler = optimizer, scheduler
        self.val_loss = VideoMean()
        self.val_metrics = _metrics("val", single_label, num_labels)
        self.test_metrics = _metrics("test", single_label, num_labels)

    def setup(self, stage: str) -> None:
        """Compare the training videos with `single_label`.

        Raises:
            ValueError: if it is set and one of them has several labels.
        """
        data: Any = getattr(self.trainer, "datamodule", None)
        if stage == "fit" and self.single_label and hasattr(data, "cooccurrence"):
            pairs = data.cooccurrence().triu(1).nonzero().tolist()
            if pairs:
                one, other = (data.label_names[k] for k in pairs[0])
                raise ValueError(
                    f"single_label: true expects one label a video, but some training videos have both {one!r} and "
                    f"{other!r}; leave it out, or correct the annotations"
                )

    @abstractmethod
    def forward(self, clips: Tensor) -> Tensor:
        """Clips float (N, C, T, H, W) to logits (N, K)."""

    def training_logits(self, clips: Tensor) -> Sequence[Tensor]:
        """Each set of logits (N, K) that has a loss of its own; the losses are added."""
        return (self(clips),)

    def loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Mean binary cross-entropy (cross-entropy when `single_label`) in float32, a scalar.

        Args:
            logits: (N, K).
            labels: (N, K) in 0..1.
        """
        if self.single_label:
            return F.cross_entropy(logits.float(), labels.float())
        return F.binary_cross_entropy_with_logits(logits.float(), labels.float())

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
        """Seed dropout from (seed, epoch, batch, rank): a resumed fit draws what the unbroken one would have drawn."""
        seed = int(os.environ.get("PL_GLOBAL_SEED", 0))
        torch.manual_seed(hash((seed, self.current_epoch, batch_idx, self.global_rank)) % 2**63)

    def training_step(self, batch: dict[str, Tensor], batch_idx: int) -> Tensor:
        """Loss of one batch of random clips."""
        clips = batch["clips"].flatten(0, 1)
        losses = [self.loss(logits, batch["labels"]) for logits in self.training_logits(clips)]
        loss = torch.stack(losses).sum()
        self.log("train/loss", loss.detach(), prog_bar=True, on_step=True, on_epoch=False, batch_size=len(clips))
        return loss

    def score_views(self, batch: Any) -> Tensor:
        """Logits float32 (B, V, K) of all views of a batch, a few views at a time."""
        logits = [self(clips).float() for clips in batch.views()]
        stacked = torch.cat(logits) if logits else torch.empty(0, self.num_labels, device=self.device)
        check_finite(stacked, batch, self._trainer)
        unfolded: Tensor = batch.unfold(stacked)
        return unfolded

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        """Mean loss over views, and the metrics of the mean scores; each video counts once on any number of processes."""
        logits = self.score_views(batch)
        labels = batch.labels.to(logits.device)
        losses = logits.new_full((len(logits),), torch.nan)  # of videos that cannot be read
        for video in logits.isfinite().all(2).all(1).nonzero().flatten().tolist():
            losses[video] = self.loss(logits[video], labels[video].expand(logits.shape[1], -1))
        self.val_loss.update(batch.index, losses)
        self.log("val/loss", self.val_loss, on_step=False, on_epoch=True, batch_size=len(logits))
        self._update(self.val_metrics, batch, logits)

    def test_step(self, batch: Any, batch_idx: int) -> dict[str, Tensor]:
        """`index` (B,), `logits` float32 (B, V, K) and `labels` (B, K) for callbacks; metrics of the mean scores."""
        logits = self.score_views(batch)
        self._update(self.test_metrics, batch, logits)
        return {"index": batch.index, "logits": logits, "labels": batch.labels}

    def predict_step(self, batch: Any, batch_idx: int) -> dict[str, Tensor]:
        """`index` (B,) and `logits` float32 (B, V, K)."""
        return {"index": batch.index, "logits": self.score_views(batch)}

    def _update(self, metrics: nn.ModuleDict, batch: Any, logits: Tensor) -> None:
        preds = reduce_views(logits, single_label=self.single_label)
        for name, metric in metrics.items():
            assert isinstance(metric, Metric)
            metric.update(batch.index, preds, batch.labels)
            self.log(name, metric, on_step=False, on_epoch=True, prog_bar=name == "val/map", batch_size=len(preds))

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """The optimiser of all parameters that require a gradient, and the schedule over all steps."""
        optimizer = self.optimizer([parameter for parameter in self.parameters() if parameter.requires_grad])
        if self.scheduler is None:
            return optimizer
        schedule = self.scheduler(optimizer, int(self.trainer.estimated_stepping_batches))
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep the label names, so that a checkpoint is never read with other data in silence."""
        checkpoint["label_names"] = list(getattr(getattr(self.trainer, "datamodule", None), "label_names", []))
        checkpoint["num_labels"] = self.num_labels

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Refuse a checkpoint of other labels."""
        names = getattr(getattr(self._trainer, "datamodule", None), "label_names", [])
        check_labels(checkpoint, self.num_labels, list(names))


def check_labels(checkpoint: dict[str, Any], num_labels: int, label_names: list[str]) -> None:
    """Refuse a checkpoint whose labels are not those of the data.

    Raises:
        ValueError: with both numbers, or the first label that differs.
    """
    theirs, names = checkpoint.get("num_labels", num_labels), checkpoint.get("label_names", [])
    if theirs != num_labels:
        raise ValueError(
            f"the checkpoint scores {theirs} labels, the data have {num_labels}; use the data that it was trained on, or "
            "train anew"
        )
    if names and label_names and names != label_names:
        first = next(k for k, (a, b) in enumerate(zip(names, label_names, strict=True)) if a != b)
        raise ValueError(
            f"the checkpoint calls label {first} {names[first]!r}, the data call it {label_names[first]!r}; give the data "
            "the label file of the training"
        )


def _metrics(stage: str, single_label: bool, num_labels: int) -> nn.ModuleDict:
    if not single_label:
        return nn.ModuleDict({f"{stage}/map": VideoMeanAveragePrecision()})
    accuracy: dict[str, nn.Module] = {f"{stage}/top{k}": VideoTopK(k) for k in (1, 5) if k == 1 or k < num_labels}
    return nn.ModuleDict({**accuracy, f"{stage}/mean_label_accuracy": VideoMeanLabelAccuracy()})
