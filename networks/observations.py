"""Observations: short descriptors of a clip, each from its own attention over space and time."""

from typing import Literal

import torch
from torch import Tensor, nn

from networks.checks import check_choice, check_groups, check_positive
from networks.grouped import attention_softmax

_SPREAD = 0.5  # standard deviation of the attention scores at the start, for a feature map of unit variance


class Observations(nn.Module):
    """Read K observations from a feature map (eq. 2-4, 6 and 7 of arXiv:2009.07420).

    Each observation k has three grouped linear maps of the channels, α, β and γ. The query is β at one position, the
    keys are γ at all of them, and the observation is the sum of α over the positions, weighted by the softmax of the
    unscaled products. The maps are linear, so the same numbers come out of far less work: β is applied at one
    position, γ is applied to the query in place of the keys (qᵀ(γF) = (γᵀq)ᵀF), and α to the weighted sum of the
    features in place of every position (α(Faᵀ) = (αF)aᵀ). With `norm_act` that does not hold and all three maps are
    formed at every position.

    The papers print the maps without bias (eq. 4), and only so do their parameter tables come out: with biases, 128
    observations in 16 groups need 6.4 M rather than the printed 6.3 M. `bias` adds them to α and β. A bias of γ would
    add the same number to every score of an observation, which the softmax cancels, so γ has none.

    Args:
        num_features: Channels C of the feature map.
        num_observations: Number of observations K.
        width: Channels D of an observation.
        groups: Number of channel groups n; divides C and D.
        query: `last` takes the query from the last position of the grid (last time, lowest row, rightmost column), as
            published; `mean` takes the mean over all positions (ours).
        bias: Whether α and β have biases.
        norm_act: Follow each map by BatchNorm and ReLU, the other reading of the papers' implementation note.

    Raises:
        ValueError: If a number is below 1, `groups` does not divide the channels, `query` is unknown, or both `bias`
            and `norm_act` are set.
    """

    def __init__(
        self,
        num_features: int,
        num_observations: int,
        width: int,
        groups: int,
        *,
        query: Literal["last", "mean"] = "last",
        bias: bool = False,
        norm_act: bool = False,
    ) -> None:
        super().__init__()
        check_positive(num_features=num_features, num_observations=num_observations, width=width)
        check_groups(groups, num_features=num_features, width=width)
        check_choice("query", query, ("last", "mean"))
        if bias and norm_act:
            raise ValueError("bias must be false when norm_act is true, got both; BatchNorm brings its own shift")
        self.num_observations, self.width, self.groups, self.query = num_observations, width, groups, query
        # group first: each product below is then one batched matrix product
        shape = (groups, num_observations, width // groups, num_features // groups)
        self.alpha, self.beta, self.gamma = (nn.Parameter(torch.empty(shape)) for _ in range(3))
        self.alpha_bias = nn.Parameter(torch.zeros(num_observations, width)) if bias else None
        self.beta_bias = nn.Parameter(torch.zeros(num_observations, width)) if bias else None
        self.norms = nn.ModuleList(nn.BatchNorm1d(num_observations * width) for _ in range(3 if norm_act else 0))
        self._reset_parameters()

    def _reset_parameters(self) -> None:
        """Start with scores of standard deviation 0.5: unscaled products of 128 channels saturate otherwise."""
        scale = self.alpha.shape[-1] ** -0.5
        gain = _SPREAD**0.5 * self.width**-0.25
        nn.init.normal_(self.alpha, std=scale)
        nn.init.normal_(self.beta, std=scale * gain)
        nn.init.normal_(self.gamma, std=scale * gain)
        for norm in list(self.norms)[1:]:  # of β and γ
            nn.init.constant_(norm.get_parameter("weight"), gain)

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Read the observations.

        Args:
            features: Float `(B, C, T', H', W')`.

        Returns:
            Observations, float `(B, K, D)`, and their attention attn_O, float32 `(B, K, T', H', W')`, which adds to 1
            over the positions.
        """
        flat = features.flatten(2)
        observations, attention = self._literal(flat) if self.norms else self._folded(flat)
        return observations, torch.unflatten(attention, -1, features.shape[2:])

    def _folded(self, flat: Tensor) -> tuple[Tensor, Tensor]:
        """Flat features `(B, C, N)` to observations `(B, K, D)` and attention `(B, K, N)`; linear maps only."""
        source = flat[..., -1] if self.query == "last" else flat.mean(-1)
        queries = self._map_once(source, self.beta)  # (n, K, B, D/n)
        if self.beta_bias is not None:
            queries = queries + torch.unflatten(self.beta_bias, -1, (self.groups, -1)).transpose(0, 1).unsqueeze(2)
        probes = (queries @ self.gamma).permute(2, 1, 0, 3).flatten(2)  # γᵀq, (B, K, C)
        attention = attention_softmax(probes @ flat)
        # features on the left: both gradients to them then lie in memory alike, and add up in one pass
        pooled = flat @ attention.to(flat.dtype).transpose(1, 2)  # (B, C, K)
        split = torch.unflatten(pooled, 1, (self.groups, -1)).permute(1, 3, 0, 2)  # (n, K, B, C/n)
        observations = (split @ self.alpha.transpose(2, 3)).permute(2, 1, 0, 3).flatten(2)
        if self.alpha_bias is not None:
            observations = observations + self.alpha_bias  # weights that add to 1 leave a constant as it is
        return observations, attention

    def _map_once(self, source: Tensor, weight: Tensor) -> Tensor:
        """One position `(B, C)` through all K maps: `(n, K, B, D/n)`."""
        split = torch.unflatten(source, -1, (self.groups, -1)).transpose(0, 1)  # (n, B, C/n)
        mapped = split @ weight.flatten(1, 2).transpose(1, 2)
        return torch.unflatten(mapped, -1, weight.shape[1:3]).transpose(1, 2)

    def _literal(self, flat: Tensor) -> tuple[Tensor, Tensor]:
        """The same with BatchNorm and ReLU after each map, which then has to be formed at every position."""
        values, queries, keys = (
            self._map_everywhere(flat, weight, norm)
            for weight, norm in zip((self.alpha, self.beta, self.gamma), self.norms, strict=True)
        )
        query = queries[..., -1] if self.query == "last" else queries.mean(-1)
        attention = attention_softmax((query.unsqueeze(2) @ keys).squeeze(2))
        observations = values @ attention.to(values.dtype).unsqueeze(-1)
        return observations.squeeze(-1), attention

    def _map_everywhere(self, flat: Tensor, weight: Tensor, norm: nn.Module) -> Tensor:
        """Features `(B, C, N)` through all K maps, BatchNorm and ReLU: `(B, K, D, N)`."""
        split = torch.unflatten(flat, 1, (self.groups, -1))
        mapped = torch.unflatten(weight.flatten(1, 2) @ split, 2, weight.shape[1:3])  # (B, n, K, D/n, N)
        mapped = norm(mapped.transpose(1, 2).flatten(1, 3))
        return torch.unflatten(torch.relu(mapped), 1, (self.num_observations, self.width))
