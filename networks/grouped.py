"""Grouped linear maps and the softmax that the attentions of the heads share."""

import torch
from torch import Tensor, nn

from networks.checks import check_groups


def attention_softmax(scores: Tensor) -> Tensor:
    """Softmax over the last dimension, computed in float32 at least.

    Scores of a dot product over many channels differ by little against their size, which half precision would round
    away.

    Args:
        scores: Float of any shape `(..., N)`, of any precision.

    Returns:
        Weights `(..., N)` that add to 1, float32, or float64 if the scores are.
    """
    if scores.dtype in (torch.float16, torch.bfloat16):
        scores = scores.float()
    return torch.softmax(scores, dim=-1)


class GroupedLinear(nn.Module):
    """Linear map without bias whose channels are split into groups with separate weights.

    Eq. 7 of arXiv:2009.07420, for the rows of a matrix: group n of the output reads group n of the input only.

    Args:
        in_features: Channels of the input.
        out_features: Channels of the output.
        groups: Number of groups n; divides both.
        gain: Standard deviation of the output at the start, for an input of unit variance.
        norm_act: Follow the map by BatchNorm and ReLU.

    Raises:
        ValueError: If `groups` does not divide the channels.
    """

    def __init__(
        self, in_features: int, out_features: int, groups: int, *, gain: float = 1.0, norm_act: bool = False
    ) -> None:
        super().__init__()
        check_groups(groups, in_features=in_features, out_features=out_features)
        self.groups = groups
        self.weight = nn.Parameter(torch.empty(groups, out_features // groups, in_features // groups))
        nn.init.normal_(self.weight, std=gain * (in_features // groups) ** -0.5)
        self.norm = nn.BatchNorm1d(out_features) if norm_act else None
        if self.norm is not None:
            nn.init.constant_(self.norm.weight, gain)

    def forward(self, rows: Tensor) -> Tensor:
        """Map each row.

        Args:
            rows: Float `(B, R, in_features)`.

        Returns:
            Float `(B, R, out_features)`.
        """
        split = torch.unflatten(rows, -1, (self.groups, -1))
        out = torch.einsum("brgi,goi->brgo", split, self.weight).flatten(2)
        if self.norm is None:
            return out
        return torch.relu(self.norm(out.flatten(0, 1))).view_as(out)
