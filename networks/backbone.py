"""What every backbone offers: its number of features, its feature map, and a freeze that holds."""

from abc import ABC, abstractmethod
from typing import Any, Self

import torch
from torch import Tensor, nn


class Backbone(nn.Module, ABC):
    """Turn clips into feature maps, and stay exactly as it is once frozen.

    Attributes:
        num_features: Number of feature channels D.
        frozen: Whether `freeze` was called. Not part of the state dict: freezing is a choice of the run, not of the
            weights.
    """

    num_features: int

    def __init__(self) -> None:
        super().__init__()
        self.frozen = False

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

    def train(self, mode: bool = True) -> Self:
        """Set training mode, or keep evaluation mode when frozen.

        Args:
            mode: True for training, False for evaluation.

        Returns:
            The backbone itself.
        """
        return super().train(mode and not self.frozen)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run `forward`; without a graph and in evaluation mode when frozen."""
        if not self.frozen:
            return super().__call__(*args, **kwargs)
        # a child may have been put in training mode on its own, and its BatchNorm would then move
        super().train(False)
        with torch.no_grad():
            return super().__call__(*args, **kwargs)
