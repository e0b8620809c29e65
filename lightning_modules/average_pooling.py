"""Global average pooling and a linear layer: the baseline of the papers, and its rivals with shared attention.

Zhang, Li, Marsic: Multi-Label Activity Recognition using Activity-specific Features and Activity Correlations
(https://arxiv.org/abs/2009.07420), Table 1 "Baseline" and Table 3e. One feature vector is shared by all labels, which is
what `ActivitySpecific` is compared with.
"""

from typing import Any, Literal

from torch import Tensor

from lightning_modules.base import MultiLabelModule
from networks import AveragePoolingHead, Backbone


class AveragePooling(MultiLabelModule):
    """Backbone, optional shared attention, global average pooling, dropout, one linear layer.

    Args:
        backbone: clips to a feature map.
        num_labels: K; linked to the data.
        dropout: before the linear layer.
        attention: rival of Table 3e put before the pooling: `temporal` self-attention, a `nonlocal` block, or `decoupled`
            spatial and temporal attention.
        **kwargs: see `MultiLabelModule`.
    """

    def __init__(
        self,
        backbone: Backbone,
        num_labels: int,
        *,
        dropout: float = 0.5,
        attention: Literal["none", "temporal", "nonlocal", "decoupled"] = "none",
        **kwargs: Any,
    ) -> None:
        super().__init__(backbone, num_labels, **kwargs)
        self.head = AveragePoolingHead(backbone.num_features, num_labels, dropout=dropout, attention=attention)

    def forward(self, clips: Tensor) -> Tensor:
        """Clips (N, C, T, H, W) to logits (N, K)."""
        logits: Tensor = self.head(self.backbone(clips))
        return logits
