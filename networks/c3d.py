"""C3D: eight plain 3×3×3 convolutions with max pooling.

Tran, Bourdev, Fergus, Torresani, Paluri, "Learning Spatiotemporal Features with 3D Convolutional Networks", ICCV 2015
(https://arxiv.org/abs/1412.0767), Figure 3.
"""

from typing import cast

import torch.nn.functional as F
from torch import Tensor, nn

from networks.backbone import Backbone
from networks.checks import check_clips
from networks.residual3d import Size, Stage

WIDTHS = (64, 128, 256, 256, 512, 512, 512, 512)
POOLS: dict[int, tuple[Size, Size]] = {  # after which convolution: kernel, padding
    0: ((1, 2, 2), (0, 0, 0)),
    1: ((2, 2, 2), (0, 0, 0)),
    3: ((2, 2, 2), (0, 0, 0)),
    5: ((2, 2, 2), (0, 0, 0)),
    7: ((2, 2, 2), (0, 1, 1)),
}
SMALLEST = 16  # frames, and pixels of a side, that pooling leaves something of


class C3D(Backbone):
    """C3D up to its last pooling, in the form of mmaction2: biases, no batch norm.

    The fully connected layers fc6 and fc7 belong to the classifier: they fit clips of 16×112×112 only, and leave no
    map for a head.

    Args:
        checkpointing: Keep only the layers' inputs in a training step and compute the rest again.
        weights: File of public weights.
        layout: Naming scheme of the file; None to find out.

    Raises:
        ValueError: If the file does not fit.
        FileNotFoundError: If `weights` names no file.
    """

    num_features = 512

    def __init__(self, *, checkpointing: bool = False, weights: str | None = None, layout: str | None = None) -> None:
        super().__init__()
        in_widths = (3, *WIDTHS[:-1])
        pairs = zip(in_widths, WIDTHS, strict=True)
        layers = [_Layer(before, width, POOLS.get(n)) for n, (before, width) in enumerate(pairs)]
        self.convs = Stage(layers, checkpointing=checkpointing)
        if weights is not None:
            from networks.checkpoints import load_checkpoint  # needed for files only

            load_checkpoint(self, weights, layout=layout)

    def forward(self, clips: Tensor) -> Tensor:
        """Extract the feature map of each clip.

        Args:
            clips: Normalised pixels, float `(B, 3, T, H, W)`, at least 16 frames of 16×16.

        Returns:
            Float `(B, 512, T / 16, H / 32 + 1, W / 32 + 1)`, each quotient rounded down: the last pooling pads space.

        Raises:
            ValueError: If the clips have another shape, are smaller, or are not floating point.
        """
        check_clips(clips)
        if min(clips.shape[2:]) < SMALLEST:
            t, h, w = clips.shape[2:]
            raise ValueError(
                f"clips must have at least {SMALLEST} frames of {SMALLEST}x{SMALLEST} pixels for C3D, got {t} of "
                f"{h}x{w}; set num_frames or crop_size higher"
            )
        features: Tensor = self.convs(clips)
        return features


class _Layer(nn.Conv3d):
    """Convolution, ReLU, and in some layers max pooling."""

    def __init__(self, in_width: int, width: int, pool: tuple[Size, Size] | None) -> None:
        super().__init__(in_width, width, 3, padding=1)
        # without batch norms, the default would let the signal die out on its way
        nn.init.kaiming_normal_(self.weight, mode="fan_in", nonlinearity="relu")
        nn.init.zeros_(cast(Tensor, self.bias))
        self.pool = pool

    def forward(self, x: Tensor) -> Tensor:
        out = F.relu(super().forward(x))
        return out if self.pool is None else F.max_pool3d(out, self.pool[0], padding=self.pool[1])
