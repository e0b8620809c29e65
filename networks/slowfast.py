"""SlowFast: a wide network on few frames beside a narrow one on many, joined on the way.

Feichtenhofer, Fan, Malik, He, "SlowFast Networks for Video Recognition", ICCV 2019 (https://arxiv.org/abs/1812.03982),
table 1 and section 3.4. What the public networks need (T: frames of a clip, all of which the fast pathway takes):

    8x8 and 16x8 R50 (T = 32, 64)     the defaults
    4x16 R50 (T = 32)                 alpha 8, lateral_kernel 5
    8x8 R101 (T = 32)                 depth 101, lateral_kernel 5
    16x8 R101_50_50 (T = 64)          depth 101, lateral_kernel 5, temporal_blocks 6
    AVA 32x2 and 64x2 R101_50_50      depth 101, lateral_kernel 5, temporal_blocks 6, last_stride 1, non_local [6, 13, 20]
    mmaction2's 8x8 R50 (T = 32)      lateral_norm false, slow_frames stride
"""

from collections.abc import Sequence
from functools import partial
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from networks.backbone import Backbone
from networks.checks import check_choice, check_clips, check_positive
from networks.non_local3d import NonLocal3D
from networks.residual3d import BLOCKS, WIDTHS, ConvNorm, Size, Stage, build_bottleneck


class SlowFast(Backbone):
    """SlowFast of 50, 101 or 152 layers, on one clip at the frame rate of the fast pathway.

    The features are both pathways at the time steps of the slow one, slow channels first. Their mean is what the
    classifiers of PySlowFast and pytorchvideo read (mmaction2's read the fast channels first), and their mean over time
    is what heads for boxes pool. `pathways` gives both maps, each at its own number of time steps.

    Args:
        depth: Layers of both pathways: 50, 101 or 152.
        alpha: Frames of the fast pathway for each frame of the slow one.
        beta: Channels of the fast pathway for each channel of the slow one.
        lateral_kernel: Time steps of the lateral convolutions: 7 in the published networks of 50 layers with alpha 4, 5
            in the others (mmaction2's with 101 layers and alpha 4: 7).
        lateral_norm: Whether batch norm and ReLU follow the lateral convolutions: not in most of mmaction2's.
        temporal_blocks: Blocks of res4, from its first, that see 3 frames, in both pathways; None for all.
        slow_frames: `linspace`: first and last frame and those evenly between, rounded down (PySlowFast,
            pytorchvideo); `stride`: every alpha-th from the first (mmaction2).
        last_stride: Of the last stage in space; 1 has dilation 2 instead, which doubles the size of the map
            (for detection).
        non_local: Blocks of res4, counted from 0, that a non-local block follows in the slow pathway.
        norm_eps: Of the batch norms.
        checkpointing: Keep only the blocks' inputs in a training step and compute the rest again.
        weights: File of public weights, or of this network's own.
        layout: Naming scheme of the file; None to find out.

    Raises:
        ValueError: If an argument is unknown or out of range, or the file does not fit.
        FileNotFoundError: If `weights` names no file.
    """

    def __init__(
        self,
        depth: Literal[50, 101, 152] = 50,
        *,
        alpha: int = 4,
        beta: float = 0.125,
        lateral_kernel: int = 7,
        lateral_norm: bool = True,
        temporal_blocks: int | None = None,
        slow_frames: Literal["linspace", "stride"] = "linspace",
        last_stride: Literal[1, 2] = 2,
        non_local: Sequence[int] = (),
        norm_eps: float = 1e-5,
        checkpointing: bool = False,
        weights: str | None = None,
        layout: str | None = None,
    ) -> None:
        super().__init__()
        check_choice("depth", str(depth), [str(known) for known in BLOCKS])
        check_choice("slow_frames", slow_frames, ("linspace", "stride"))
        check_choice("last_stride", str(last_stride), ("1", "2"))
        check_positive(alpha=alpha, lateral_kernel=lateral_kernel)
        counts = BLOCKS[depth]
        seen = counts[2] if temporal_blocks is None else temporal_blocks
        _check_ranges(counts[2], beta, lateral_kernel, seen, non_local)
        self.alpha, self.slow_frames = alpha, slow_frames
        res4 = [3] * seen + [1] * (counts[2] - seen)
        narrow = [round(beta * width) for width in WIDTHS]
        crossing = [narrow[0], *(4 * width for width in narrow[:-1])]  # out of the fast stem, res2, res3 and res4
        self.num_features = 4 * (WIDTHS[-1] + narrow[-1])
        pathway = partial(_Pathway, last_stride=last_stride, eps=norm_eps, checkpointing=checkpointing)
        self.slow = pathway(
            widths=WIDTHS,
            joined=[2 * width for width in crossing],
            stem_kernel=1,
            kernels=[[1] * counts[0], [1] * counts[1], res4, [3] * counts[3]],
            non_local=non_local,
        )
        self.fast = pathway(
            widths=narrow,
            joined=[0, 0, 0, 0],
            stem_kernel=5,
            kernels=[[3] * counts[0], [3] * counts[1], res4, [3] * counts[3]],
            non_local=(),
        )
        kernel, stride, activation = (lateral_kernel, 1, 1), (alpha, 1, 1), F.relu if lateral_norm else None
        self.laterals = nn.ModuleList(
            ConvNorm(width, 2 * width, kernel, stride, eps=norm_eps, norm=lateral_norm, activation=activation)
            for width in crossing
        )
        if weights is not None:
            from networks.checkpoints import load_checkpoint  # needed for files only

            load_checkpoint(self, weights, layout=layout)

    def forward(self, clips: Tensor) -> Tensor:
        """Extract the feature map of each clip.

        Args:
            clips: Normalised pixels, float `(B, 3, T, H, W)`, T divisible by alpha.

        Returns:
            Float `(B, D, T / alpha, H / 32, W / 32)`, rounded up (H / 16 and W / 16 with `last_stride` 1): 2048 slow
            channels, then the fast ones, means over the alpha frames of a step. D is 2304 with beta 1/8.

        Raises:
            ValueError: If the clips have another shape, are not floating point, or alpha does not divide T.
        """
        slow, fast = self.pathways(clips)
        return torch.cat([slow, torch.unflatten(fast, 2, (-1, self.alpha)).mean(3)], 1)

    def pathways(self, clips: Tensor) -> tuple[Tensor, Tensor]:
        """Extract the feature maps of both pathways.

        Args:
            clips: Normalised pixels, float `(B, 3, T, H, W)`, T divisible by alpha.

        Returns:
            Slow, float `(B, 2048, T / alpha, H', W')`, and fast, float `(B, 2048 beta, T, H', W')`.

        Raises:
            ValueError: If the clips have another shape, are not floating point, or alpha does not divide T.
        """
        check_clips(clips)
        places = torch.tensor(self.slow_indices(clips.shape[2]), device=clips.device)
        if self.frozen:  # `__call__` sees to this for `forward` only
            self.eval()
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.frozen):
            slow, fast = self.slow.start(clips.index_select(2, places)), self.fast.start(clips)
            for lateral, slow_stage, fast_stage in zip(self.laterals, self.slow.stages, self.fast.stages, strict=True):
                slow = slow_stage(torch.cat([slow, lateral(fast)], 1))
                fast = fast_stage(fast)
        return slow, fast

    def slow_indices(self, num_frames: int) -> list[int]:
        """Which frames of a clip the slow pathway takes.

        Args:
            num_frames: Frames of the clip, T.

        Returns:
            T / alpha places, counted from 0.

        Raises:
            ValueError: If alpha does not divide T.
        """
        if num_frames < 1 or num_frames % self.alpha:
            raise ValueError(
                f"clips must have a number of frames that alpha {self.alpha} divides, got {num_frames}; set num_frames "
                f"to a multiple of it, such as {8 * self.alpha}"
            )
        if self.slow_frames == "stride":
            return list(range(0, num_frames, self.alpha))
        # float32 as in training: of 160 frames with alpha 4 it takes another one than exact arithmetic
        places = torch.linspace(0, num_frames - 1, num_frames // self.alpha, dtype=torch.float32, device="cpu")
        return [int(place) for place in places]


class _Pathway(nn.Module):
    """Stem and four stages, which the network runs, because the lateral connections lie between them.

    Args:
        widths: Inner channels of the stages; the stem has those of the first.
        joined: Channels that are joined to the input of each stage.
        stem_kernel: Frames that the stem sees.
        kernels: Frames that each block of each stage sees.
        non_local: Blocks of the third stage that a non-local block follows.
        last_stride: Of the last stage.
        eps: Of the batch norms.
        checkpointing: Of the stages.
    """

    def __init__(
        self,
        *,
        widths: Sequence[int],
        joined: Sequence[int],
        stem_kernel: int,
        kernels: Sequence[Sequence[int]],
        non_local: Sequence[int],
        last_stride: int,
        eps: float,
        checkpointing: bool,
    ) -> None:
        super().__init__()
        self.stem = ConvNorm(3, widths[0], (stem_kernel, 7, 7), (1, 2, 2), eps=eps)
        self.stages = nn.ModuleList()
        in_width = widths[0]
        for stage, width in enumerate(widths):
            in_width += joined[stage]
            space = (1, 2, 2, last_stride)[stage]
            dilation = 2 if stage == 3 and last_stride == 1 else 1
            blocks = []
            for block, temporal in enumerate(kernels[stage]):
                stride: Size = (1, space, space) if block == 0 else (1, 1, 1)
                middle = ConvNorm(width, width, (1, 3, 3), stride, dilation=(1, dilation, dilation), eps=eps)
                attention = None
                if stage == 2 and block in non_local:
                    attention = NonLocal3D(4 * width, similarity="dot_product", pool=(2, 2, 2))
                blocks.append(
                    build_bottleneck(in_width, width, middle, stride, temporal=temporal, eps=eps, non_local=attention)
                )
                in_width = 4 * width
            self.stages.append(Stage(blocks, checkpointing=checkpointing))

    def start(self, clips: Tensor) -> Tensor:
        """(B, 3, T, H, W) -> (B, widths[0], T, H / 4, W / 4), rounded up."""
        return F.max_pool3d(self.stem(clips), (1, 3, 3), (1, 2, 2), (0, 1, 1))


def _check_ranges(
    blocks: int, beta: float, lateral_kernel: int, temporal_blocks: int, non_local: Sequence[int]
) -> None:
    if not 0 < beta <= 1 or beta * WIDTHS[0] % 1:
        raise ValueError(f"beta must be a multiple of 1/{WIDTHS[0]} up to 1, got {beta}; give for example 0.125")
    if lateral_kernel % 2 == 0:
        raise ValueError(f"lateral_kernel must be odd, got {lateral_kernel}; give 5 or 7 as in the published networks")
    if not 0 <= temporal_blocks <= blocks:
        raise ValueError(
            f"temporal_blocks must lie between 0 and the {blocks} blocks of res4, got {temporal_blocks}; leave it out "
            "for all of them"
        )
    if len(set(non_local)) < len(non_local) or not set(non_local) <= set(range(blocks)):
        raise ValueError(
            f"non_local must name blocks of res4 from 0 to {blocks - 1}, each once, got {list(non_local)}; the "
            "published networks for AVA have [6, 13, 20]"
        )
