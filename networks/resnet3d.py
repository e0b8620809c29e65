"""ResNets of one pathway over clips: I3D, Slow and C2D, with or without non-local blocks.

Slow: Feichtenhofer et al., "SlowFast Networks for Video Recognition", ICCV 2019 (https://arxiv.org/abs/1812.03982).
I3D, C2D and their non-local forms: Wang et al., "Non-local Neural Networks", CVPR 2018
(https://arxiv.org/abs/1711.07971).
"""

from typing import Literal, get_args

import torch.nn.functional as F
from torch import Tensor, nn

from networks.backbone import Backbone
from networks.checks import check_choice, check_clips
from networks.non_local3d import Geometry, NonLocal3D, Similarity
from networks.residual3d import BLOCKS, WIDTHS, Bottleneck, ConvNorm, Size, Stage, build_bottleneck

Variant = Literal["i3d", "slow", "c2d"]
_NON_LOCAL = ((), (1, 3), (1, 3, 5), ())  # blocks of res2 to res5 that a non-local block follows, at any depth


class ResNet3D(Backbone):
    """I3D, Slow or C2D with 50, 101 or 152 layers.

    Args:
        depth: Layers: 50, 101 or 152.
        variant: `i3d`: temporal kernels of 5 in the stem, and of 3 in each block of res2 and in every other block
            from res3 on; `slow`: of 3 in res4 and res5 only, time is never reduced; `c2d`: none. `i3d` and `c2d`
            halve time after res2.
        non_local: Whether non-local blocks follow blocks 1 and 3 of res3, and 1, 3 and 5 of res4.
        similarity: How their products become weights. No file tells: the one that its network was trained with.
        geometry: Whose network. `mmaction2`'s `i3d` reduces time by 2 in the stem and once more in the first
            pooling, and its non-local blocks compute otherwise (see `NonLocal3D`); all else is equal.
        last_stride: Of res5 in space; 1 has dilation 2 instead, which doubles the size of the map (for detection).
        norm_eps: Of the batch norms in stem and residual blocks.
        checkpointing: Keep only the blocks' inputs in a training step and compute the rest again.
        weights: File of public weights, or of this network's own.
        layout: Naming scheme of the file; None to find out.

    Raises:
        ValueError: If an argument is unknown, or the file does not fit, be it by its layout's geometry.
        FileNotFoundError: If `weights` names no file.
    """

    num_features = 2048

    def __init__(
        self,
        depth: Literal[50, 101, 152] = 50,
        variant: Variant = "i3d",
        *,
        non_local: bool = False,
        similarity: Similarity = "embedded_gaussian",
        geometry: Geometry = "pyslowfast",
        last_stride: Literal[1, 2] = 2,
        norm_eps: float = 1e-5,
        checkpointing: bool = False,
        weights: str | None = None,
        layout: str | None = None,
    ) -> None:
        super().__init__()
        check_choice("depth", str(depth), [str(known) for known in BLOCKS])
        check_choice("variant", variant, get_args(Variant))
        check_choice("similarity", similarity, get_args(Similarity))
        check_choice("geometry", geometry, get_args(Geometry))
        check_choice("last_stride", str(last_stride), ("1", "2"))
        # in frames per step: of the stem, of the first pooling, of the one after res2
        halving = {"i3d": (1, 1, 2), "slow": (1, 1, 1), "c2d": (1, 1, 2)}[variant]
        if variant == "i3d" and geometry == "mmaction2":
            halving = (2, 2, 2)
        self.time_strides = halving
        kernel: Size = (5 if variant == "i3d" else 1, 7, 7)
        self.stem = ConvNorm(3, 64, kernel, (halving[0], 2, 2), eps=norm_eps)
        self.stages = nn.ModuleList()
        in_width = 64
        for stage, (width, count) in enumerate(zip(WIDTHS, BLOCKS[depth], strict=True)):
            space = {0: 1, 3: last_stride}.get(stage, 2)
            dilation = 2 if stage == 3 and last_stride == 1 else 1
            blocks: list[Bottleneck] = []
            for block in range(count):
                stride = (1, space, space) if block == 0 else (1, 1, 1)
                middle = ConvNorm(width, width, (1, 3, 3), stride, dilation=(1, dilation, dilation), eps=norm_eps)
                follows = non_local and block in _NON_LOCAL[stage]
                blocks.append(
                    build_bottleneck(
                        in_width,
                        width,
                        middle,
                        stride,
                        temporal=_temporal_kernel(variant, stage, block),
                        eps=norm_eps,
                        non_local=NonLocal3D(4 * width, similarity=similarity, geometry=geometry) if follows else None,
                    )
                )
                in_width = 4 * width
            self.stages.append(Stage(blocks, checkpointing=checkpointing))
        if weights is not None:
            from networks.checkpoints import load_checkpoint  # needed for files only

            loaded = load_checkpoint(self, weights, layout=layout)
            if variant == "i3d" and loaded.layout != "native":
                _check_geometry(geometry, loaded.layout)

    def forward(self, clips: Tensor) -> Tensor:
        """Extract the feature map of each clip.

        Args:
            clips: Normalised pixels, float `(B, 3, T, H, W)`.

        Returns:
            Float `(B, 2048, T', H / 32, W / 32)`, space rounded up, 16 in place of 32 with `last_stride` 1. T' is T
            for `slow`, T / 2 rounded down for `i3d` and `c2d`, T / 8 for `i3d` of `mmaction2`.

        Raises:
            ValueError: If the clips have another shape, are not floating point, or have too few frames.
        """
        check_clips(clips)
        _, first, second = self.time_strides
        features = F.max_pool3d(self.stem(clips), (1, 3, 3), (first, 2, 2), (0, 1, 1))
        if features.shape[2] < second:
            least = 2 if first == 1 else 5
            raise ValueError(
                f"clips must have at least {least} frames, of which the pooling after res2 leaves one, got "
                f"{clips.shape[2]}; give longer clips"
            )
        for number, stage in enumerate(self.stages):
            features = stage(features)
            if number == 0 and second > 1:
                features = F.max_pool3d(features, (second, 1, 1))
        return features


def _check_geometry(geometry: str, layout: str) -> None:
    """Refuse an I3D of one geometry with the weights of the other: no shape would tell."""
    expected = "mmaction2" if layout == "mmaction2" else "pyslowfast"
    if geometry != expected:
        raise ValueError(
            f"geometry must be {expected} for weights in layout {layout}, got {geometry!r}; set geometry to {expected}, "
            "with which they were trained"
        )


def _temporal_kernel(variant: str, stage: int, block: int) -> int:
    """Frames that the first convolution of a block sees; stages 0 to 3 are res2 to res5."""
    if variant == "slow":
        return 3 if stage >= 2 else 1
    if variant == "c2d":
        return 1
    if stage == 0:
        return 3
    first, second = (3, 1) if stage < 3 else (1, 3)  # 3 1 3 1 in res3 and res4, 1 3 1 in res5
    return second if block % 2 else first
