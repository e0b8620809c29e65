"""Every backbone under the activity-specific head: it trains, it freezes, in float32 and with bfloat16 autocast."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.backbones import read_backbone
from networks import (
    C3D,
    CSN,
    X3D,
    ActivitySpecificHead,
    Backbone,
    R2Plus1D,
    ResNet3D,
    SlowFast,
    SmallResNet3D,
    TimmFrames,
    Torchvision3D,
)
from tests.conftest import ROOT

LABELS = 5
SLOW = pytest.mark.slow
BACKBONES = [
    pytest.param(lambda: CSN(50, "ip"), id="ip-csn"),
    pytest.param(lambda: CSN(50, "ir", norm_eps=1e-5, last_stride=1), id="ir-csn-finer"),
    pytest.param(lambda: ResNet3D(50, "i3d", non_local=True), id="i3d-nln"),
    pytest.param(lambda: ResNet3D(50, "i3d", non_local=True, geometry="mmaction2"), id="i3d-nln-mmaction2", marks=SLOW),
    pytest.param(lambda: ResNet3D(50, "slow", last_stride=1), id="slow-finer", marks=SLOW),
    pytest.param(lambda: ResNet3D(50, "c2d"), id="c2d", marks=SLOW),
    pytest.param(lambda: SlowFast(), id="slowfast"),
    pytest.param(lambda: SlowFast(alpha=8, lateral_kernel=5), id="slowfast-4x16", marks=SLOW),
    pytest.param(lambda: SlowFast(lateral_norm=False, slow_frames="stride"), id="slowfast-mmaction2", marks=SLOW),
    pytest.param(lambda: X3D("S"), id="x3d"),
    pytest.param(lambda: X3D("S", last_conv=False, shortcut_norm=False), id="x3d-without-conv5"),
    pytest.param(lambda: C3D(), id="c3d"),
    pytest.param(lambda: R2Plus1D(18), id="r2plus1d"),
    pytest.param(lambda: R2Plus1D(50), id="r2plus1d-bottleneck", marks=SLOW),
    pytest.param(lambda: SmallResNet3D(widths=[4, 8]), id="small"),
    pytest.param(lambda: TimmFrames("resnet18"), id="timm"),
    pytest.param(lambda: Torchvision3D("r3d_18"), id="torchvision"),
]


def under_a_head(build: Callable[[], Backbone]) -> tuple[Backbone, ActivitySpecificHead]:
    backbone = build()
    groups = 4 if backbone.num_features % 4 == 0 else 2
    head = ActivitySpecificHead(backbone.num_features, LABELS, num_observations=6, width=8, groups=groups)
    head.set_cooccurrence(torch.ones(LABELS, LABELS, dtype=torch.int64))
    return backbone, head


def loss_of(outputs: tuple[Tensor, ...], labels: Tensor) -> Tensor:
    """Sum of the losses of both outputs."""
    return torch.stack([F.binary_cross_entropy_with_logits(logits.float(), labels) for logits in outputs]).sum()


def copy_of(module: nn.Module) -> dict[str, Tensor]:
    """All parameters and buffers as they are now."""
    return {name: value.clone() for name, value in module.state_dict().items()}


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=["float32", "bf16"])
@pytest.mark.parametrize("build", BACKBONES)
def test_backbone_trains_then_freezes_under_the_head(build: Callable[[], Backbone], dtype: torch.dtype) -> None:
    backbone, head = under_a_head(build)
    # 24 frames, as on some CPUs torch 2's bfloat16 gradient of a (3, 1, 1) convolution over two time steps holds garbage
    clips = torch.randn(2, 3, 24, 32, 32)
    labels = (torch.arange(2 * LABELS).reshape(2, LABELS) % 3 == 0).float()
    autocast = torch.autocast("cpu", dtype, enabled=dtype != torch.float32)

    with autocast:  # stage 1: everything learns
        outputs = head(backbone(clips))
    assert [tuple(logits.shape) for logits in outputs] == [(2, LABELS)] * 2
    loss_of(outputs, labels).backward()  # type: ignore[no-untyped-call]
    for module in (backbone, head):
        for name, parameter in module.named_parameters():
            if parameter.requires_grad:
                assert parameter.grad is not None and parameter.grad.isfinite().all(), name
    first = next(p for p in backbone.parameters() if p.requires_grad)
    assert first.grad is not None and first.grad.any(), "no gradient arrives at the first layer"

    backbone.freeze()  # stage 2: the head alone learns
    backbone.train(), head.train()
    before, head_before = copy_of(backbone), copy_of(head)
    optimizer = torch.optim.SGD([*backbone.parameters(), *head.parameters()], lr=0.1, weight_decay=0.1)
    optimizer.zero_grad()
    with autocast:
        outputs = head(backbone(clips))
    loss_of(outputs, labels).backward()  # type: ignore[no-untyped-call]
    optimizer.step()
    after = copy_of(backbone)
    assert list(after) == list(before)
    assert all(torch.equal(after[name], value) for name, value in before.items())
    unmoved = [n for n, p in head.named_parameters() if torch.equal(p, head_before[n])]
    assert not unmoved
    assert all(parameter.grad is None for parameter in backbone.parameters())


@SLOW
@pytest.mark.parametrize("path", sorted((ROOT / "configs" / "backbones").glob("*.yaml")), ids=lambda path: path.stem)
def test_shipped_network_gives_finite_logits_and_gradients_of_the_head(path: Path) -> None:
    backbone, head = under_a_head(lambda: read_backbone(path.stem))
    backbone.freeze()
    size = 224 if "mvit" in path.stem else 64
    outputs = head(backbone(torch.randn(1, 3, 16, size, size)))
    assert all(logits.shape == (1, LABELS) and logits.isfinite().all() for logits in outputs)
    loss_of(outputs, torch.ones(1, LABELS)).backward()  # type: ignore[no-untyped-call]
    assert all(p.grad is not None and p.grad.isfinite().all() for p in head.parameters())
