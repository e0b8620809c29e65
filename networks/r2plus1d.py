"""R(2+1)D: ResNets whose 3D convolutions are a convolution over space followed by one over time.

Tran, Wang, Torresani, Ray, LeCun, Paluri, "A Closer Look at Spatiotemporal Convolutions for Action Recognition", CVPR
2018 (https://arxiv.org/abs/1711.11248); pretrained on IG-65M in Ghadiyaram et al., "Large-Scale Weakly-Supervised
Pre-Training for Video Action Recognition", CVPR 2019 (https://arxiv.org/abs/1905.00561).
"""

from typing import Literal

import torch.nn.functional as F
from torch import Tensor, nn

from networks.backbone import Backbone
from networks.checks import check_choice, check_clips
from networks.residual3d import BLOCKS, WIDTHS, Bottleneck, ConvNorm, Stage, build_bottleneck

DEPTHS = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), **BLOCKS}
STEM = 45  # channels between the two convolutions of the stem


class R2Plus1D(Backbone):
    """R(2+1)D with 18 to 152 layers, in the form of VMZ.

    18 and 34 layers have blocks of two 3×3×3 convolutions, more layers have bottlenecks. torchvision's 18 layers are
    narrower at the start of stages 2 to 4; their weights go into `Torchvision3D`.

    Args:
        depth: Layers: 18, 34, 50, 101 or 152.
        stem_pool: Whether a spatial max pooling follows the stem, as VMZ does for clips of 224 pixels; the published
            weights were trained on 112 pixels without.
        norm_eps: Of the batch norms: 1e-3 for the weights of VMZ.
        checkpointing: Keep only the blocks' inputs in a training step and compute the rest again.
        weights: File of public weights.
        layout: Naming scheme of the file; None to find out.

    Raises:
        ValueError: If the depth is unknown, or the file does not fit.
        FileNotFoundError: If `weights` names no file.
    """

    def __init__(
        self,
        depth: Literal[18, 34, 50, 101, 152] = 34,
        *,
        stem_pool: bool = False,
        norm_eps: float = 1e-3,
        checkpointing: bool = False,
        weights: str | None = None,
        layout: str | None = None,
    ) -> None:
        super().__init__()
        check_choice("depth", str(depth), [str(known) for known in DEPTHS])
        self.stem_pool = stem_pool
        self.stem = nn.Sequential(
            ConvNorm(3, STEM, (1, 7, 7), (1, 2, 2), eps=norm_eps),
            ConvNorm(STEM, 64, (3, 1, 1), eps=norm_eps),
        )
        self.stages = nn.ModuleList()
        make_block, expansion = (_plain, 1) if depth < 50 else (_bottleneck, 4)
        in_width = 64
        for stage, (width, count) in enumerate(zip(WIDTHS, DEPTHS[depth], strict=True)):
            blocks: list[Bottleneck] = []
            for block in range(count):
                stride = 2 if stage > 0 and block == 0 else 1
                blocks.append(make_block(in_width, width, stride, norm_eps))
                in_width = expansion * width
            self.stages.append(Stage(blocks, checkpointing=checkpointing))
        self.num_features = in_width
        if weights is not None:
            from networks.checkpoints import load_checkpoint  # needed for files only

            load_checkpoint(self, weights, layout=layout)

    def forward(self, clips: Tensor) -> Tensor:
        """Extract the feature map of each clip.

        Args:
            clips: Normalised pixels, float `(B, 3, T, H, W)`.

        Returns:
            Float `(B, D, T / 8, H / 16, W / 16)`, rounded up, with half the height and width after `stem_pool`. D is
            512 up to 34 layers, 2048 above.

        Raises:
            ValueError: If the clips have another shape or are not floating point.
        """
        check_clips(clips)
        features: Tensor = self.stem(clips)
        if self.stem_pool:
            features = F.max_pool3d(features, (1, 3, 3), (1, 2, 2), (0, 1, 1))
        for stage in self.stages:
            features = stage(features)
        return features


def middle_width(in_width: int, width: int) -> int:
    """Channels between space and time that give as many weights as one 3×3×3 convolution has (Section 3.5).

    VMZ takes the widths of the convolution itself, torchvision those of the whole block.

    Args:
        in_width: Channels in.
        width: Channels out.

    Returns:
        Number of channels, rounded down.
    """
    return 27 * in_width * width // (9 * in_width + 3 * width)


def _separated(in_width: int, width: int, stride: int, eps: float, *, activate: bool = True) -> nn.Sequential:
    middle = middle_width(in_width, width)
    temporal = ConvNorm(middle, width, (3, 1, 1), (stride, 1, 1), eps=eps, activation=F.relu if activate else None)
    return nn.Sequential(ConvNorm(in_width, middle, (1, 3, 3), (1, stride, stride), eps=eps), temporal)


def _plain(in_width: int, width: int, stride: int, eps: float) -> Bottleneck:
    shortcut = None
    if stride > 1 or in_width != width:
        shortcut = ConvNorm(in_width, width, (1, 1, 1), (stride, stride, stride), eps=eps, activation=None)
    first = _separated(in_width, width, stride, eps)
    return Bottleneck(first, _separated(width, width, 1, eps, activate=False), nn.Identity(), shortcut)  # two only


def _bottleneck(in_width: int, width: int, stride: int, eps: float) -> Bottleneck:
    middle = _separated(width, width, stride, eps)
    return build_bottleneck(in_width, width, middle, (stride, stride, stride), eps=eps)
