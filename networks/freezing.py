"""Fix the first stages of a backbone, with one switch for each thing that could move."""

from collections.abc import Sequence
from typing import cast

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

_NORMS = (_BatchNorm, nn.GroupNorm, nn.LayerNorm)


def freeze_stages(
    backbone: nn.Module, num_stages: int, *, weights: bool, norm_statistics: bool, norm_affine: bool
) -> list[nn.Module]:
    """Fix parts of the stem and the first stages of a backbone, in place.

    For two pathways this holds in both, and for the lateral connections into the fixed stages. Nothing later is
    changed, and what was fixed before stays so.

    Args:
        backbone: With `stem` and `stages`, or with `slow` and `fast` that have both, and `laterals` of which the n-th
            feeds the n-th stage.
        num_stages: Stages after the stem: 0 for the stem alone.
        weights: Whether weights and biases of all but norms need no gradient.
        norm_statistics: Whether batch norms are put in evaluation mode, so that they normalise by their running
            statistics and leave them alone. `train()` undoes that: `Backbone.freeze_first` does not let it.
        norm_affine: Whether weights and biases of norms need no gradient.

    Returns:
        The batch norms put in evaluation mode; empty without `norm_statistics`.

    Raises:
        ValueError: If the backbone has no stages, fewer than `num_stages`, or no switch is on.
    """
    if not (weights or norm_statistics or norm_affine):
        raise ValueError(
            "weights, norm_statistics or norm_affine must be true, got false for all three; switch on what should stay "
            "fixed"
        )
    modules = [module for part in _first(backbone, num_stages) for module in part.modules()]
    for module in modules:
        if norm_affine if isinstance(module, _NORMS) else weights:
            for parameter in module.parameters(recurse=False):
                parameter.requires_grad_(False)
    if not norm_statistics:
        return []
    norms = [module for module in modules if isinstance(module, _BatchNorm)]
    for norm in norms:
        norm.eval()
    return list(norms)


def _first(backbone: nn.Module, num_stages: int) -> list[nn.Module]:
    """Stem and first stages, and the lateral connections into them."""
    pathways = [p for p in (getattr(backbone, name, None) for name in ("slow", "fast")) if isinstance(p, nn.Module)]
    found: list[nn.Module] = []
    for pathway in pathways or [backbone]:
        if not hasattr(pathway, "stem") or not hasattr(pathway, "stages"):
            raise ValueError(
                f"backbone must have a stem and stages, got {type(backbone).__name__} without; take one of the residual "
                "networks, or freeze it as a whole"
            )
        stages = cast(Sequence[nn.Module], pathway.stages)
        if not 0 <= num_stages <= len(stages):
            raise ValueError(
                f"num_stages must lie between 0 (the stem alone) and {len(stages)}, got {num_stages}; "
                f"{type(backbone).__name__} has {len(stages)} stages"
            )
        found += [cast(nn.Module, pathway.stem), *stages[:num_stages]]
    return found + list(cast(Sequence[nn.Module], getattr(backbone, "laterals", ())))[:num_stages]
