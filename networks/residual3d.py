"""The residual blocks that CSN, I3D, C2D, Slow, SlowFast and X3D share: three convolutions around a shortcut.

He et al., "Deep Residual Learning for Image Recognition", CVPR 2016 (https://arxiv.org/abs/1512.03385), in three
dimensions. What sets the networks apart is the middle convolution, the temporal kernels and the strides.
"""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial

import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.checkpoint import checkpoint

Size = tuple[int, int, int]

BLOCKS = {50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3)}  # layers -> blocks of res2 to res5
WIDTHS = (64, 128, 256, 512)  # inner channels of res2 to res5; four times as many come out


class ConvNorm(nn.Module):
    """A 3D convolution, its batch norm, and an activation.

    Padding keeps the size at stride 1.

    Args:
        in_width: Channels in.
        width: Channels out.
        kernel: Time, height and width of the kernel.
        stride: Of the convolution.
        dilation: Of the convolution.
        groups: Of the convolution.
        eps: Of the batch norm.
        norm: Whether there is a batch norm.
        activation: Applied last; None for none.
    """

    def __init__(
        self,
        in_width: int,
        width: int,
        kernel: Size,
        stride: Size = (1, 1, 1),
        *,
        dilation: Size = (1, 1, 1),
        groups: int = 1,
        eps: float = 1e-5,
        norm: bool = True,
        activation: Callable[[Tensor], Tensor] | None = F.relu,
    ) -> None:
        super().__init__()
        t, h, w = (d * (k // 2) for k, d in zip(kernel, dilation, strict=True))
        self.conv = nn.Conv3d(in_width, width, kernel, stride, (t, h, w), dilation, groups, bias=False)
        # by the inputs of one sum: counted by outputs, a depthwise convolution would start far too small
        nn.init.kaiming_normal_(self.conv.weight, mode="fan_in", nonlinearity="relu")
        self.norm = nn.BatchNorm3d(width, eps=eps) if norm else nn.Identity()
        self.activation = activation

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, T, H, W) -> (B, width, T', H', W')."""
        out: Tensor = self.norm(self.conv(x))
        return out if self.activation is None else self.activation(out)


class Bottleneck(nn.Module):
    """`relu(c(b(a(x))) + shortcut(x))`, then, where there is one, a non-local block.

    Args:
        a: First convolution, to the inner width.
        b: Middle convolution, which carries the stride.
        c: Last convolution, without activation.
        shortcut: Of another width or stride than the input; None for the input itself.
        non_local: Block on the sum, which keeps its shape.
    """

    def __init__(
        self,
        a: nn.Module,
        b: nn.Module,
        c: nn.Module,
        shortcut: nn.Module | None = None,
        non_local: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.a, self.b, self.c = a, b, c
        self.shortcut, self.non_local = shortcut, non_local

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, T, H, W) -> (B, out, T', H', W')."""
        out = self.c(self.b(self.a(x)))
        out = F.relu(out + (x if self.shortcut is None else self.shortcut(x)))
        return out if self.non_local is None else self.non_local(out)


def build_bottleneck(
    in_width: int,
    width: int,
    middle: nn.Module,
    stride: Size,
    *,
    temporal: int = 1,
    eps: float = 1e-5,
    non_local: nn.Module | None = None,
) -> Bottleneck:
    """The usual block: 1×1 convolutions around the middle one, and a projection where the shape changes.

    Args:
        in_width: Channels in.
        width: Inner channels; `4 * width` come out.
        middle: Convolution from `width` to `width` channels.
        stride: Of the middle convolution, and so of the shortcut.
        temporal: Frames that the first convolution sees.
        eps: Of the batch norms.
        non_local: Block on the sum.
    """
    shortcut = None
    if stride != (1, 1, 1) or in_width != 4 * width:
        shortcut = ConvNorm(in_width, 4 * width, (1, 1, 1), stride, eps=eps, activation=None)
    return Bottleneck(
        ConvNorm(in_width, width, (temporal, 1, 1), eps=eps),
        middle,
        ConvNorm(width, 4 * width, (1, 1, 1), eps=eps, activation=None),
        shortcut,
        non_local,
    )


class Stage(nn.Sequential):
    """Blocks in a row; with `checkpointing` a training step keeps only what goes in and computes the rest again.

    Args:
        blocks: In their order.
        checkpointing: Whether to trade time for memory: one more forward pass, the same gradients and running
            statistics.
    """

    def __init__(self, blocks: Sequence[nn.Module], *, checkpointing: bool = False) -> None:
        super().__init__(*blocks)
        self.checkpointing = checkpointing

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, T, H, W) -> (B, out, T', H', W')."""
        for block in self:
            if self.checkpointing and self.training:
                # the first pass moves the running statistics, the second one must not
                contexts = partial(_contexts, block)
                x = checkpoint(block, x, use_reentrant=False, context_fn=contexts)
            else:
                x = block(x)
        return x


def _contexts(block: nn.Module) -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
    return nullcontext(), _StatisticsKept(block)


class _StatisticsKept(AbstractContextManager[None]):
    """Batch norms of a block normalise as ever, and leave their running statistics alone; may be entered again."""

    def __init__(self, block: nn.Module) -> None:
        self.norms = [norm for norm in block.modules() if isinstance(norm, _BatchNorm)]

    def __enter__(self) -> None:
        self.found = [(norm.momentum, norm.num_batches_tracked) for norm in self.norms]
        for norm in self.norms:
            # without the statistics fewer tensors would be saved than in the first pass, which is an error
            norm.momentum, norm.num_batches_tracked = 0.0, None

    def __exit__(self, *raised: object) -> None:
        for norm, (momentum, tracked) in zip(self.norms, self.found, strict=True):
            norm.momentum, norm.num_batches_tracked = momentum, tracked
