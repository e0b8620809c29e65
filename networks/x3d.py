"""X3D: a tiny ResNet of depthwise 3D convolutions, expanded along one axis at a time.

Feichtenhofer, "X3D: Expanding Architectures for Efficient Video Recognition", CVPR 2020
(https://arxiv.org/abs/2004.04730), Table 1.
"""

from math import ceil
from typing import Literal

import torch.nn.functional as F
from torch import Tensor, nn

from networks.backbone import Backbone
from networks.checks import check_choice, check_clips
from networks.residual3d import Bottleneck, ConvNorm, Size, Stage

EXPANSIONS = {"S": (2.0, 2.2), "M": (2.0, 2.2), "L": (2.0, 5.0), "XL": (2.9, 5.0)}  # of width, of depth
WIDTHS = (12, 24, 48, 96)  # of X2D, before expansion
BLOCKS = (1, 2, 5, 3)
INNER = 2.25  # width of the depthwise convolution per width of the block
SQUEEZE = 1 / 16


class X3D(Backbone):
    """X3D-S, M, L or XL up to its global pooling.

    S and M are the same network, for clips of 13 frames of 160 pixels and of 16 frames of 224.

    Args:
        size: Expansion of the paper: `S`, `M`, `L` or `XL`.
        last_conv: Whether the map passes the paper's conv5: a 1×1×1 convolution to the inner width of the last stage,
            with norm and ReLU. Without it the map is that of the last stage, with fewer channels.
        shortcut_norm: Whether the very first shortcut has a batch norm: PySlowFast's weights have it, pytorchvideo's
            have not.
        norm_eps: Of the batch norms.
        last_stride: Of the last stage in space; 1 has dilation 2 instead, which doubles the size of the map
            (for detection).
        checkpointing: Keep only the blocks' inputs in a training step and compute the rest again.
        weights: File of public weights.
        layout: Naming scheme of the file; None to find out.

    Raises:
        ValueError: If an argument is unknown, or the file does not fit.
        FileNotFoundError: If `weights` names no file.
    """

    def __init__(
        self,
        size: Literal["S", "M", "L", "XL"] = "M",
        *,
        last_conv: bool = True,
        shortcut_norm: bool = True,
        norm_eps: float = 1e-5,
        last_stride: Literal[1, 2] = 2,
        checkpointing: bool = False,
        weights: str | None = None,
        layout: str | None = None,
    ) -> None:
        super().__init__()
        check_choice("size", size, list(EXPANSIONS))
        check_choice("last_stride", str(last_stride), ("1", "2"))
        expand_width, expand_depth = EXPANSIONS[size]
        in_width = round_width(WIDTHS[0] * expand_width)
        self.stem = _Stem(in_width, norm_eps)
        self.stages = nn.ModuleList()
        for stage, count in enumerate(BLOCKS):
            width = round_width(WIDTHS[stage] * expand_width)
            space = last_stride if stage == 3 else 2
            blocks: list[Bottleneck] = []
            for block in range(ceil(count * expand_depth)):
                stride: Size = (1, space, space) if block == 0 else (1, 1, 1)
                middle = _Depthwise(int(INNER * width), stride, 3 - space, excite=block % 2 == 0, eps=norm_eps)
                blocks.append(_block(in_width, width, middle, stride, shortcut_norm, norm_eps))
                in_width = width
            self.stages.append(Stage(blocks, checkpointing=checkpointing))
        self.num_features = int(INNER * in_width)
        self.last: nn.Module = ConvNorm(in_width, self.num_features, (1, 1, 1), eps=norm_eps)
        if weights is not None:
            from networks.checkpoints import load_checkpoint  # needed for files only

            load_checkpoint(self, weights, layout=layout)
        if not last_conv:  # after loading, since the files have it
            self.num_features, self.last = in_width, nn.Identity()

    def forward(self, clips: Tensor) -> Tensor:
        """Extract the feature map of each clip.

        Args:
            clips: Normalised pixels, float `(B, 3, T, H, W)`.

        Returns:
            Float `(B, D, T, H / 32, W / 32)`, rounded up: every frame has its features. D is 432 (XL: 630), or without
            `last_conv` 192 (XL: 280).

        Raises:
            ValueError: If the clips have another shape or are not floating point.
        """
        check_clips(clips)
        features: Tensor = self.stem(clips)
        for stage in self.stages:
            features = stage(features)
        return self.last(features)  # type: ignore[no-any-return]


def round_width(width: float) -> int:
    """The nearest multiple of 8, at least 8, and one more where that takes away over a tenth.

    Args:
        width: Number of channels after expansion.

    Returns:
        Number of channels of the network.
    """
    rounded = max(8, int(width + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * width else rounded


class _Stem(nn.Module):
    """1×3×3 convolution, then a depthwise one over five frames, norm and ReLU."""

    def __init__(self, width: int, eps: float) -> None:
        super().__init__()
        self.spatial = nn.Conv3d(3, width, (1, 3, 3), (1, 2, 2), (0, 1, 1), bias=False)
        self.temporal = nn.Conv3d(width, width, (5, 1, 1), padding=(2, 0, 0), groups=width, bias=False)
        self.norm = nn.BatchNorm3d(width, eps=eps)

    def forward(self, clips: Tensor) -> Tensor:
        return F.relu(self.norm(self.temporal(self.spatial(clips))))


class _SqueezeExcite(nn.Module):
    """Weigh the channels by what they hold on average (Hu et al., CVPR 2018, https://arxiv.org/abs/1709.01507)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.reduce = nn.Conv3d(width, round_width(SQUEEZE * width), 1)
        self.expand = nn.Conv3d(self.reduce.out_channels, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        weights: Tensor = self.expand(F.relu(self.reduce(x.mean((2, 3, 4), keepdim=True))))
        return x * weights.sigmoid()


class _Depthwise(ConvNorm):
    """Depthwise 3×3×3 convolution, norm, in some blocks squeeze and excitation, then swish."""

    def __init__(self, width: int, stride: Size, dilation: int, *, excite: bool, eps: float) -> None:
        dilations = (1, dilation, dilation)
        super().__init__(width, width, (3, 3, 3), stride, dilation=dilations, groups=width, eps=eps, activation=None)
        self.excite: nn.Module = _SqueezeExcite(width) if excite else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return F.silu(self.excite(super().forward(x)))


def _block(in_width: int, width: int, middle: nn.Module, stride: Size, shortcut_norm: bool, eps: float) -> Bottleneck:
    shortcut = None
    if stride != (1, 1, 1) or in_width != width:
        norm = shortcut_norm or in_width != width  # only the first stage keeps the width
        shortcut = ConvNorm(in_width, width, (1, 1, 1), stride, eps=eps, norm=norm, activation=None)
    return Bottleneck(
        ConvNorm(in_width, int(INNER * width), (1, 1, 1), eps=eps),
        middle,
        ConvNorm(int(INNER * width), width, (1, 1, 1), eps=eps, activation=None),
        shortcut,
    )
