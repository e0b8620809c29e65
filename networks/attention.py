"""Attention layers that share one map for all channels: the rivals of activity-specific features."""

import torch.nn.functional as F
from torch import Tensor, nn

from networks.checks import check_features, check_positive


class _SelfAttention(nn.Module):
    """Residual dot-product attention within sequences; all channels share its map.

    The inner width is half the channels, as in non-local networks (arXiv:1711.07971). The products are divided by the
    root of the width, so that the softmax is not saturated at the start. The output map starts at zero: the layer is
    then the identity, and a pretrained feature map enters the classifier undisturbed.

    Args:
        num_features: Channels of the sequences.
    """

    def __init__(self, num_features: int) -> None:
        super().__init__()
        check_positive(num_features=num_features)
        inner = max(num_features // 2, 1)
        self.num_features = num_features
        self.maps = nn.Linear(num_features, 3 * inner)
        self.out = nn.Linear(inner, num_features)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def attend(self, rows: Tensor) -> Tensor:
        """Sequences, float `(S, R, C)`, to the same shape."""
        query, key, value = self.maps(rows).chunk(3, dim=-1)
        attended: Tensor = self.out(F.scaled_dot_product_attention(query, key, value))
        return rows + attended


class TemporalSelfAttention(_SelfAttention):
    """Attention over time, at each place of the grid on its own (arXiv:2009.07420, Table 3e).

    Args:
        num_features: Channels C of the feature map.
    """

    def forward(self, features: Tensor) -> Tensor:
        """Let each position look at the same place at other times.

        Args:
            features: Float `(B, C, T', H', W')`.

        Returns:
            Float `(B, C, T', H', W')`.

        Raises:
            ValueError: If the feature map does not fit.
        """
        check_features(features, self.num_features)
        rows = features.permute(0, 3, 4, 2, 1)  # (B, H', W', T', C)
        out = self.attend(rows.flatten(0, 2)).view_as(rows)
        return out.permute(0, 4, 3, 1, 2)


class SpatialSelfAttention(_SelfAttention):
    """Attention over space, within each time step on its own.

    Args:
        num_features: Channels C of the feature map.
    """

    def forward(self, features: Tensor) -> Tensor:
        """Let each position look at the other places at the same time.

        Args:
            features: Float `(B, C, T', H', W')`.

        Returns:
            Float `(B, C, T', H', W')`.

        Raises:
            ValueError: If the feature map does not fit.
        """
        check_features(features, self.num_features)
        rows = features.permute(0, 2, 3, 4, 1)  # (B, T', H', W', C)
        out = self.attend(rows.flatten(2, 3).flatten(0, 1)).view_as(rows)
        return out.permute(0, 4, 1, 2, 3)


class NonLocalBlock(_SelfAttention):
    """Attention over space and time at once (non-local block, arXiv:1711.07971, embedded Gaussian).

    Args:
        num_features: Channels C of the feature map.
    """

    def forward(self, features: Tensor) -> Tensor:
        """Let each position look at all others.

        Args:
            features: Float `(B, C, T', H', W')`.

        Returns:
            Float `(B, C, T', H', W')`.

        Raises:
            ValueError: If the feature map does not fit.
        """
        check_features(features, self.num_features)
        rows = features.flatten(2).transpose(1, 2)  # (B, N, C)
        return self.attend(rows).transpose(1, 2).view_as(features)


class DecoupledAttention(nn.Module):
    """Two layers, first attention over space, then over time (arXiv:2009.07420, Table 3e).

    Args:
        num_features: Channels C of the feature map.
    """

    def __init__(self, num_features: int) -> None:
        super().__init__()
        self.spatial = SpatialSelfAttention(num_features)
        self.temporal = TemporalSelfAttention(num_features)

    def forward(self, features: Tensor) -> Tensor:
        """Let each position look at its time step, then at its place.

        Args:
            features: Float `(B, C, T', H', W')`.

        Returns:
            Float `(B, C, T', H', W')`.

        Raises:
            ValueError: If the feature map does not fit.
        """
        attended: Tensor = self.temporal(self.spatial(features))
        return attended
