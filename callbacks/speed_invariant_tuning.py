"""Stage 2 of the papers: the backbone stays as stage 1 left it, the head learns clips at several rates.

Algorithm 1 of Zhang, Li, Marsic (https://arxiv.org/abs/2009.07420v1). The division of labour: this callback loads, freezes
and checks; `data.train_rates` chooses the rates; `model.optimizer` the learning rate.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.utilities import rank_zero_info

from callbacks.frozen_backbone import backbone_to_freeze
from callbacks.module_key import key_of
from callbacks.read_checkpoint import read_checkpoint


class SpeedInvariantTuning(pl.Callback):
    """Start from the weights of stage 1, freeze the backbone for the whole fit, train the rest.

    The backbone's weights and batch statistics stay bit-equal: it takes no gradient, stays in eval mode after every
    `train()` and runs without a graph. Resuming (`fit --ckpt_path`) continues stage 2; `init_from` is not needed for it.

    Args:
        init_from: checkpoint of stage 1.
        rates: downsampling rates to tune at; must be those of the data's `train_rates`.
        reinit_head: start from a fresh head instead of stage 1's.
        cache: folder to keep the backbone's features of `cache_clips` random clips of each training video at each rate in.
            They are computed before the first epoch, in bfloat16, and all epochs tune on them: no video is read and no
            backbone is run but for validation. Later runs with the same backbone, videos and clips use them again,
            whatever their seed; an interrupted computation goes on where it stopped. A change of code is not noticed:
            remove the folder after one. Several machines must share the folder. Not for strategies that shard weights;
            `fast_dev_run` leaves it out. None tunes on the videos.
        cache_clips: clips per video and rate; each step draws one of them.

    Raises:
        ValueError: at the start of the fit: rates of data and callback differ, the checkpoint is missing, lacks weights, or
            has other labels; the module has no `backbone` that can be frozen; the optimiser holds frozen parameters; the
            disk has no room for the cache, the data cannot fill one, or the processes do not share it.
    """

    def __init__(
        self,
        init_from: Path,
        rates: Sequence[float] = (2, 4, 8),
        reinit_head: bool = False,
        cache: Path | None = None,
        cache_clips: int = 4,
    ) -> None:
        if not rates or min(rates) <= 0:
            raise ValueError(f"rates must be positive and at least one, got {list(rates)}")
        self.init_from, self.rates, self.reinit_head = Path(init_from), sorted(map(float, rates)), reinit_head
        self.cache, self.cache_clips = None if cache is None else Path(cache), cache_clips
        self._waiting = self._cached = False

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Load and freeze before the strategy wraps the module, so that no process waits for frozen gradients."""
        if stage != "fit":
            return
        self._check_rates(trainer)
        backbone = backbone_to_freeze(self, pl_module, "freeze")
        self._waiting = not self.init_from.is_file()  # a fit that is resumed does not need it: known only later
        if not self._waiting:
            self._load(pl_module)
        backbone.freeze()
        self._cached = self.cache is not None and not trainer.fast_dev_run  # type: ignore[attr-defined]
        if self.cache is not None:
            data = getattr(trainer, "datamodule", None)
            if not hasattr(data, "cache_features") or not hasattr(backbone, "bypassed"):
                raise ValueError(
                    "cache needs a datamodules.VideoDataModule and a networks.Backbone, got "
                    f"{type(data).__name__} and {type(backbone).__name__}; leave cache out"
                )
            if trainer.strategy.restore_checkpoint_after_setup:
                raise ValueError(
                    "cache needs a strategy that leaves each process the whole backbone, got "
                    f"{type(trainer.strategy).__name__}; take --trainer.strategy ddp, or leave cache out"
                )
            if not self._cached:  # a whole cache would take hours
                rank_zero_info(f"fast_dev_run tunes on videos, without the cache {self.cache}")
                return
            data.cache_features(self.cache, self.cache_clips)  # type: ignore[union-attr]
            backbone.bypassed = False

    def _check_rates(self, trainer: pl.Trainer) -> None:
        theirs = getattr(getattr(trainer, "datamodule", None), "train_rates", None)
        if theirs is not None and sorted(map(float, theirs)) != self.rates:
            raise ValueError(
                f"SpeedInvariantTuning has rates {_plain(self.rates)}, the data have train_rates {_plain(theirs)}; make them "
                "equal: --data.train_rates and the callback's rates"
            )

    def _load(self, pl_module: pl.LightningModule) -> None:
        checkpoint = read_checkpoint(self.init_from)
        state: dict[str, torch.Tensor] = checkpoint.get("state_dict", checkpoint)
        try:
            pl_module.on_load_checkpoint(checkpoint)  # refuses other labels
        except ValueError as error:
            raise ValueError(f"init_from {self.init_from}: {error}") from error
        if self.reinit_head:
            state = {key: value for key, value in state.items() if key.startswith("backbone.")}
        ours = pl_module.state_dict()
        wanted = {key for key in ours if not self.reinit_head or key.startswith("backbone.")}
        wrong = sorted(key for key in wanted & state.keys() if ours[key].shape != state[key].shape)
        if wanted != state.keys() or wrong:
            raise ValueError(
                f"init_from: {self.init_from} does not fit the model: missing {sorted(wanted - state.keys())[:3]}, "
                f"unexpected {sorted(state.keys() - wanted)[:3]}, other shape {wrong[:3]}; give the model the config of "
                "stage 1, or set reinit_head: true to take the backbone alone"
            )
        pl_module.load_state_dict(state, strict=False)

    def on_load_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """A resumed fit takes its weights from its own checkpoint, which is not one of stage 1.

        Raises:
            ValueError: if its optimiser held the parameters that are frozen now.
        """
        self._waiting = False
        groups = [group for state in checkpoint.get("optimizer_states", ()) for group in state["param_groups"]]
        held, parameters = sum(len(group["params"]) for group in groups), list(pl_module.parameters())
        if held == len(parameters) != sum(parameter.requires_grad for parameter in parameters):
            raise ValueError(
                "the checkpoint to resume is one of stage 1: its optimiser held the backbone, which is frozen now; give it "
                "with --trainer.callbacks.init_from and start stage 2 in a folder of its own, without --ckpt_path"
            )

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Refuse to start from nothing, and an optimiser that would move frozen parameters; fill the cache."""
        if not trainer.strategy.restore_checkpoint_after_setup:  # else a resumed fit has its weights only later
            self._check_started()
        frozen = {id(parameter) for parameter in pl_module.backbone.parameters()}  # type: ignore[union-attr]
        held = [p for optimizer in trainer.optimizers for group in optimizer.param_groups for p in group["params"]]
        if any(id(parameter) in frozen for parameter in held):
            raise ValueError(
                f"the optimiser of {type(pl_module).__name__} holds parameters of the frozen backbone; give it only those "
                "with requires_grad in configure_optimizers"
            )
        if self._cached:
            self._fill(trainer, pl_module)

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Refuse to start from nothing with strategies that load a checkpoint after the start of the fit (FSDP)."""
        self._check_started()

    def _check_started(self) -> None:
        if self._waiting:
            raise ValueError(
                f"init_from: checkpoint {self.init_from} does not exist; run stage 1 first, or give its checkpoint with "
                "--trainer.callbacks.init_from PATH"
            )

    def _fill(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        backbone, plugin = pl_module.backbone, trainer.precision_plugin

        def extract(clips: torch.Tensor) -> torch.Tensor:
            with plugin.forward_context():
                features: torch.Tensor = backbone(plugin.convert_input(clips))  # type: ignore[operator]
            return features

        key = {"backbone": key_of(backbone, {"precision": trainer.precision})}  # type: ignore[arg-type]
        data = trainer.datamodule  # type: ignore[attr-defined]
        count = data.fill_features(extract, pl_module.device, key)
        cache = data.features
        rank_zero_info(
            f"stage 2 tunes on {cache.num_bytes / 1e9:.2f} GB of features in {cache.folder}, {count} clips new"
        )

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """What comes from the cache went through the backbone already."""
        if self._cached:
            pl_module.backbone.bypassed = True  # type: ignore[union-attr]

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Validation comes from the videos."""
        if self._cached:
            pl_module.backbone.bypassed = False  # type: ignore[union-attr]

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        """Lightning does not tear down then."""
        self.teardown(trainer, pl_module, "fit")

    def teardown(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """The same module may be used on videos again."""
        if stage == "fit" and self._cached:
            pl_module.backbone.bypassed = False  # type: ignore[union-attr]


def _plain(rates: Sequence[Any]) -> list[float | int]:
    return [int(rate) if float(rate).is_integer() else float(rate) for rate in rates]
