"""A backbone whose first stages stay as they are while the rest learns."""

import lightning.pytorch as pl

from callbacks.frozen_backbone import backbone_to_freeze


class FreezeStages(pl.Callback):
    """Fix the stem and the first stages of the backbone for a whole fit, with a switch for each thing that could move.

    The usual recipe for fine-tuning on clips that do not fit many to a batch is `norm_statistics` and `norm_affine` on
    all stages, as SlowFast does on AVA. To fix a whole backbone for stage 2 take `SpeedInvariantTuning`.

    Args:
        num_stages: stages after the stem; 0 for the stem alone.
        weights: fix weights other than those of norms.
        norm_statistics: keep batch norms in evaluation mode: they normalise by their running statistics, which stay.
        norm_affine: fix scales and shifts of norms.

    Raises:
        ValueError: at the start of the fit: the module has no `backbone` with stages, or too few; no switch is on.
    """

    def __init__(
        self, num_stages: int, *, weights: bool = True, norm_statistics: bool = True, norm_affine: bool = True
    ) -> None:
        self.num_stages = num_stages
        self.switches = {"weights": weights, "norm_statistics": norm_statistics, "norm_affine": norm_affine}

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Freeze before the strategy wraps the module and the optimiser is built."""
        if stage != "fit":
            return
        backbone_to_freeze(self, pl_module, "freeze_first").freeze_first(self.num_stages, **self.switches)
