"""The non-local block as the published video networks compute it, between two residual blocks.

Wang, Girshick, Gupta, He, "Non-local Neural Networks", CVPR 2018 (https://arxiv.org/abs/1711.07971), equation 6. The
head in `attention.py` is another layer: no pooling, no batch norm, linear maps of its own.
"""

from typing import Literal

import torch.nn.functional as F
from torch import Tensor, nn

from networks.checks import check_choice, check_features
from networks.residual3d import Size

Similarity = Literal["embedded_gaussian", "dot_product"]
Geometry = Literal["pyslowfast", "mmaction2"]


class NonLocal3D(nn.Module):
    """`x + norm(out(weights · g))`, where each position weighs all pooled positions.

    With queries theta and keys phi of half the channels, the weights are their products through a softmax
    (`embedded_gaussian`), or divided by the number of keys (`dot_product`). The batch norm starts at zero, so that
    a new block is the identity.

    Args:
        num_features: Channels C.
        similarity: How products become weights.
        pool: Time, height and width of the max-pooling of keys and values.
        geometry: `pyslowfast` pools the block's input before phi and g, divides the products by the root of the
            inner width before the softmax, and has a bias in `out`; `mmaction2` pools what phi and g give, divides
            by nothing, and has no bias there.

    Raises:
        ValueError: If the similarity or the geometry is unknown.
    """

    def __init__(
        self,
        num_features: int,
        *,
        similarity: Similarity = "embedded_gaussian",
        pool: Size = (1, 2, 2),
        geometry: Geometry = "pyslowfast",
    ) -> None:
        super().__init__()
        check_choice("similarity", similarity, ("embedded_gaussian", "dot_product"))
        check_choice("geometry", geometry, ("pyslowfast", "mmaction2"))
        inner = num_features // 2
        self.num_features, self.similarity, self.pool = num_features, similarity, pool
        self.pool_first = geometry == "pyslowfast"
        self.scale = inner**-0.5 if geometry == "pyslowfast" else 1.0
        self.theta, self.phi, self.g = (nn.Conv3d(num_features, inner, 1) for _ in range(3))
        self.out = nn.Conv3d(inner, num_features, 1, bias=geometry == "pyslowfast")
        self.norm = nn.BatchNorm3d(num_features)
        for conv in (self.theta, self.phi, self.g, self.out):
            nn.init.normal_(conv.weight, std=0.01)  # as in the paper, section 4.1
        nn.init.zeros_(self.norm.weight)

    def forward(self, x: Tensor) -> Tensor:
        """Let each position see the others.

        Args:
            x: Float `(B, C, T, H, W)`.

        Returns:
            Float `(B, C, T, H, W)`.

        Raises:
            ValueError: If the features have other channels, or are smaller than the pooling.
        """
        check_features(x, self.num_features)
        if any(size < pool for size, pool in zip(x.shape[2:], self.pool, strict=True)):
            raise ValueError(
                f"features must span at least {self.pool} positions of time, height and width for the pooling of the "
                f"non-local block, got {tuple(x.shape[2:])}; give longer or larger clips"
            )
        if self.pool_first:
            pooled = F.max_pool3d(x, self.pool)
            keys, values = self.phi(pooled), self.g(pooled)
        else:
            keys, values = F.max_pool3d(self.phi(x), self.pool), F.max_pool3d(self.g(x), self.pool)
        # (B, N, inner) and twice (B, M, inner)
        query, key, value = (t.flatten(2).transpose(1, 2) for t in (self.theta(x), keys, values))
        if self.similarity == "dot_product":
            seen = query @ key.transpose(1, 2) @ value / key.shape[1]
        else:
            seen = F.scaled_dot_product_attention(query, key, value, scale=self.scale)
        seen = seen.transpose(1, 2).unflatten(2, x.shape[2:])
        return x + self.norm(self.out(seen))  # type: ignore[no-any-return]
