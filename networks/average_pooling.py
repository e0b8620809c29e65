"""The baseline head: one pooled feature for all activities, with or without attention before the pooling."""

from typing import Literal

from torch import Tensor, nn

from networks.attention import DecoupledAttention, NonLocalBlock, TemporalSelfAttention
from networks.checks import check_choice, check_dropout, check_features, check_positive

_ATTENTION: dict[str, type[nn.Module]] = {
    "none": nn.Identity,
    "temporal": TemporalSelfAttention,
    "nonlocal": NonLocalBlock,
    "decoupled": DecoupledAttention,
}


class AveragePoolingHead(nn.Module):
    """Global average pooling, dropout and a linear layer; the baseline of arXiv:2009.07420 and its rivals (Table 3e).

    Args:
        num_features: Channels C of the feature map.
        num_labels: Number of labels K.
        dropout: Share of the channels set to zero before the linear layer while training.
        attention: Residual layer before the pooling: `none` for the baseline, `temporal` self-attention, `nonlocal`
            block, or `decoupled` attention over space and then over time.

    Raises:
        ValueError: If a number is below 1, `dropout` is outside [0, 1), or `attention` is unknown.
    """

    def __init__(
        self,
        num_features: int,
        num_labels: int,
        *,
        dropout: float = 0.5,
        attention: Literal["none", "temporal", "nonlocal", "decoupled"] = "none",
    ) -> None:
        super().__init__()
        check_positive(num_features=num_features, num_labels=num_labels)
        check_dropout(dropout)
        check_choice("attention", attention, tuple(_ATTENTION))
        self.num_features, self.num_labels = num_features, num_labels
        self.attention = _ATTENTION[attention](num_features)
        self.dropout = nn.Dropout(dropout)
        self.classify = nn.Linear(num_features, num_labels)

    def forward(self, features: Tensor) -> Tensor:
        """Predict the labels of each clip.

        Args:
            features: Feature map, float `(B, C, T', H', W')`.

        Returns:
            Logits, float `(B, K)`.

        Raises:
            ValueError: If the feature map does not fit.
        """
        check_features(features, self.num_features)
        pooled = self.attention(features).mean(dim=(2, 3, 4))
        logits: Tensor = self.classify(self.dropout(pooled))
        return logits
