"""Channel-separated networks: ResNets whose only convolution over space and time is depthwise.

Tran, Wang, Torresani, Feiszli, "Video Classification with Channel-Separated Convolutional Networks", ICCV 2019
(https://arxiv.org/abs/1904.02811). The papers' CSN-152 is the interaction-preserved one, pretrained on IG-65M.
"""

from typing import Literal

import torch.nn.functional as F
from torch import Tensor, nn

from networks.backbone import Backbone
from networks.checks import check_choice, check_clips
from networks.residual3d import BLOCKS, WIDTHS, Bottleneck, ConvNorm, Size, Stage, build_bottleneck

_NORM_EPS = {"vmz": 1e-3, "mmaction2": 1e-3, "pytorchvideo": 1e-5}  # of the published networks, by layout


class CSN(Backbone):
    """ir-CSN or ip-CSN with 50, 101 or 152 layers.

    Args:
        depth: Layers: 50, 101 or 152.
        bottleneck: `ir` (interaction-reduced): depthwise 3×3×3 in place of the middle convolution; `ip`
            (interaction-preserved): a 1×1×1 convolution with its norm, without activation, before it.
        norm_eps: Of the batch norms: 1e-3 for the weights of VMZ and mmaction2, 1e-5 for pytorchvideo's.
        last_stride: Of the last stage in space; 1 has dilation 2 instead, which doubles the size of the map
            (for detection).
        checkpointing: Keep only the blocks' inputs in a training step and compute the rest again.
        weights: File of public weights, or of this network's own.
        layout: Naming scheme of the file; None to find out.

    Raises:
        ValueError: If an argument is unknown, or the file does not fit, be it by its layout's epsilon.
        FileNotFoundError: If `weights` names no file.
    """

    num_features = 2048

    def __init__(
        self,
        depth: Literal[50, 101, 152] = 152,
        bottleneck: Literal["ir", "ip"] = "ip",
        *,
        norm_eps: float = 1e-3,
        last_stride: Literal[1, 2] = 2,
        checkpointing: bool = False,
        weights: str | None = None,
        layout: str | None = None,
    ) -> None:
        super().__init__()
        check_choice("depth", str(depth), [str(known) for known in BLOCKS])
        check_choice("bottleneck", bottleneck, ("ir", "ip"))
        check_choice("last_stride", str(last_stride), ("1", "2"))
        self.stem = ConvNorm(3, 64, (3, 7, 7), (1, 2, 2), eps=norm_eps)
        self.stages = nn.ModuleList()
        in_width = 64
        for stage, (width, count) in enumerate(zip(WIDTHS, BLOCKS[depth], strict=True)):
            space = last_stride if stage == 3 else 2
            dilation = 3 - space  # what the stride gives up
            blocks: list[Bottleneck] = []
            for block in range(count):
                stride = (2, space, space) if stage > 0 and block == 0 else (1, 1, 1)
                blocks.append(_block(in_width, width, stride, dilation, bottleneck, norm_eps))
                in_width = 4 * width
            self.stages.append(Stage(blocks, checkpointing=checkpointing))
        if weights is not None:
            from networks.checkpoints import load_checkpoint  # needed for files only

            loaded = load_checkpoint(self, weights, layout=layout)
            eps = _NORM_EPS.get(loaded.layout, norm_eps)
            if eps != norm_eps:  # no shape would tell
                raise ValueError(
                    f"norm_eps must be {eps} for weights in layout {loaded.layout}, got {norm_eps}; set norm_eps to "
                    f"{eps}, with which they were trained"
                )

    def forward(self, clips: Tensor) -> Tensor:
        """Extract the feature map of each clip.

        Args:
            clips: Normalised pixels, float `(B, 3, T, H, W)`.

        Returns:
            Float `(B, 2048, T / 8, H / 32, W / 32)`, rounded up; H / 16 and W / 16 with `last_stride` 1.

        Raises:
            ValueError: If the clips have another shape or are not floating point.
        """
        check_clips(clips)
        features = F.max_pool3d(self.stem(clips), (1, 3, 3), (1, 2, 2), (0, 1, 1))
        for stage in self.stages:
            features = stage(features)
        return features


def _block(in_width: int, width: int, stride: Size, dilation: int, kind: str, eps: float) -> Bottleneck:
    middle: nn.Module = ConvNorm(
        width, width, (3, 3, 3), stride, dilation=(1, dilation, dilation), groups=width, eps=eps
    )
    if kind == "ip":
        middle = nn.Sequential(ConvNorm(width, width, (1, 1, 1), eps=eps, activation=None), middle)
    return build_bottleneck(in_width, width, middle, stride, eps=eps)
