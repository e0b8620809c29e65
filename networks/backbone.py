"""What every backbone offers: its number of features, its feature map, and a freeze that holds."""

from abc import ABC, abstractmethod
from typing import Any, Self

import torch
from torch import Tensor, nn

from networks.freezing import freeze_stages


class Backbone(nn.Module, ABC):
    """Turn clips into feature maps, and stay exactly as it is once frozen.

    Attributes:
        num_features: Number of feature channels D.
        frozen: Whether `freeze` was called. Not part of the state dict: freezing is a choice of the run, not of the
            weights.
        bypassed: Whether calls return what they are given, for a step on features that were computed before.
    """

    num_features: int

    def __init__(self) -> None:
        super().__init__()
        self.frozen = False
        self.bypassed = False
        self._still: list[nn.Module] = []  # batch norms that stay in evaluation mode; a list registers none of them

    @abstractmethod
    def forward(self, clips: Tensor) -> Tensor:
        """Extract the feature map of each clip.

        Args:
            clips: Normalised pixels, float `(B, C, T, H, W)`.

        Returns:
            Features before any pooling, float `(B, D, T', H', W')` with D = `num_features`.
        """

    def freeze(self) -> None:
        """Fix weights and running statistics for the rest of the run (Algorithm 1, step 2, of arXiv:2009.07420).

        Parameters need no gradient, every layer stays in evaluation mode whatever `train` is told, and calls record
        no graph, so that no optimiser and no forward pass can move a parameter or a buffer.
        """
        self.frozen = True
        self.requires_grad_(False)
        self.eval()

    def freeze_first(self, num_stages: int, *, weights: bool, norm_statistics: bool, norm_affine: bool) -> None:
        """Fix parts of the stem and the first stages for the rest of the run, and let the later stages learn.

        Args:
            num_stages: Stages after the stem: 0 for the stem alone.
            weights: Whether weights other than those of norms need no gradient.
            norm_statistics: Whether batch norms stay in evaluation mode, whatever `train` is told: they normalise by
                their running statistics and leave them alone.
            norm_affine: Whether scales and shifts of norms need no gradient.

        Raises:
            ValueError: If the backbone has no stages, fewer than `num_stages`, or no switch is on.
        """
        self._still += freeze_stages(
            self, num_stages, weights=weights, norm_statistics=norm_statistics, norm_affine=norm_affine
        )

    def train(self, mode: bool = True) -> Self:
        """Set training mode, or keep evaluation mode of what is frozen.

        Args:
            mode: True for training, False for evaluation.

        Returns:
            The backbone itself.
        """
        super().train(mode and not self.frozen)
        self._keep_still()
        return self

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run `forward`; without a graph and in evaluation mode when frozen; nothing at all when bypassed."""
        if self.bypassed:
            return args[0]
        # a child may have been put in training mode on its own, and its BatchNorm would then move
        self._keep_still()
        if not self.frozen:
            return super().__call__(*args, **kwargs)
        super().train(False)
        with torch.no_grad():
            return super().__call__(*args, **kwargs)

    def _keep_still(self) -> None:
        for norm in self._still:
            norm.eval()
