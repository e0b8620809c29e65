"""A 3D residual network small enough to be trained from scratch on a CPU."""

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from networks.backbone import Backbone
from networks.checks import check_clips, check_positive


class _ResidualBlock(nn.Module):
    """Two 3×3×3 convolutions around a shortcut."""

    def __init__(self, in_width: int, width: int, stride: tuple[int, int, int]) -> None:
        super().__init__()
        self.conv1 = nn.Conv3d(in_width, width, 3, stride, padding=1, bias=False)
        self.norm1 = nn.BatchNorm3d(width)
        self.conv2 = nn.Conv3d(width, width, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm3d(width)
        self.shortcut: nn.Module = nn.Identity()
        if stride != (1, 1, 1) or in_width != width:
            self.shortcut = nn.Sequential(
                nn.Conv3d(in_width, width, 1, stride, bias=False),
                nn.BatchNorm3d(width),
            )

    def forward(self, x: Tensor) -> Tensor:
        out = F.relu(self.norm1(self.conv1(x)))
        return F.relu(self.norm2(self.conv2(out)) + self.shortcut(x))


class SmallResNet3D(Backbone):
    """Residual 3D network for small clips on few cores.

    The first two widths are a stem of two convolutions, which reduces space by 4, because pixels are what costs; each
    further width is a stage of residual blocks, which reduces space by 2, the last one time instead. So the direction
    of a motion is seen at the frame rate of the clip by all the layers before it. It is ours, for experiments without
    a GPU; for results to compare with the papers take a pretrained backbone.

    Args:
        widths: Channels of the two convolutions of the stem and of each stage; the last is `num_features`.
        blocks: Residual blocks in each stage.
        in_channels: Colour channels of the clips.

    Raises:
        ValueError: If there are fewer than two widths, or a number is below 1.
    """

    def __init__(self, widths: Sequence[int] = (16, 32, 64, 128), *, blocks: int = 1, in_channels: int = 3) -> None:
        super().__init__()
        if len(widths) < 2:
            raise ValueError(
                f"widths must name the two convolutions of the stem, and stages, got {list(widths)}; give for example "
                "[16, 32, 64, 128]"
            )
        check_positive(blocks=blocks, in_channels=in_channels, **{f"widths[{n}]": w for n, w in enumerate(widths)})
        self.in_channels = in_channels
        self.num_features = widths[-1]
        self.stem = nn.Sequential(
            nn.Conv3d(in_channels, widths[0], (3, 5, 5), (1, 2, 2), padding=(1, 2, 2), bias=False),
            nn.BatchNorm3d(widths[0]),
            nn.ReLU(),
            nn.Conv3d(widths[0], widths[1], 3, (1, 2, 2), padding=1, bias=False),
            nn.BatchNorm3d(widths[1]),
            nn.ReLU(),
        )
        layers: list[nn.Module] = []
        in_width = widths[1]
        for stage, width in enumerate(widths[2:], start=2):
            first = (2, 1, 1) if stage == len(widths) - 1 else (1, 2, 2)
            for block in range(blocks):
                layers.append(_ResidualBlock(in_width, width, first if block == 0 else (1, 1, 1)))
                in_width = width
        self.stages = nn.Sequential(*layers)
        for module in self.modules():
            if isinstance(module, nn.Conv3d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, clips: Tensor) -> Tensor:
        """Extract the feature map of each clip.

        Args:
            clips: Normalised pixels, float `(B, in_channels, T, H, W)`.

        Returns:
            Float `(B, D, T', H', W')`; with four widths T' = T / 2 and H' = H / 8, W' = W / 8, rounded up.

        Raises:
            ValueError: If the clips have another shape or are not floating point.
        """
        check_clips(clips, self.in_channels)
        features: Tensor = self.stages(self.stem(clips))
        return features
