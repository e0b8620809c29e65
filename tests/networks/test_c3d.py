from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch.utils.flop_counter import FlopCounterMode

from networks.c3d import C3D


@pytest.mark.parametrize(
    ("clip", "expected"),
    [((16, 112, 112), (1, 4, 4)), ((16, 16, 16), (1, 1, 1)), ((37, 128, 171), (2, 5, 6)), ((32, 64, 31), (2, 3, 1))],
)
def test_feature_map_has_the_shape_after_the_last_pooling(
    clip: tuple[int, int, int], expected: tuple[int, int, int]
) -> None:
    with torch.device("meta"):  # shapes only: no memory, no work
        backbone = C3D()
        features = backbone(torch.empty(2, 3, *clip))

    assert features.shape == (2, backbone.num_features, *expected)
    assert expected == (clip[0] // 16, clip[1] // 32 + 1, clip[2] // 32 + 1)


def test_size_is_the_published_one() -> None:
    with torch.device("meta"), torch.no_grad(), FlopCounterMode(display=False) as counter:
        backbone = C3D()
        backbone(torch.empty(1, 3, 16, 112, 112))
    count = sum(p.numel() for p in backbone.parameters())
    classifier = (8192 * 4096 + 4096) + (4096 * 4096 + 4096) + (4096 * 101 + 101)  # fc6, fc7, UCF-101

    assert count + classifier == 78_409_573
    assert counter.get_total_flops() / 2e9 == pytest.approx(38.5, abs=0.05)


def test_features_are_those_of_the_figure() -> None:
    backbone = C3D().double()
    x = clips = torch.randn(1, 3, 16, 24, 40, dtype=torch.float64)
    w = list(backbone.parameters())  # weight and bias of each convolution in turn
    with torch.no_grad():
        for tensor in w[1::2]:
            tensor.normal_()
        x = F.max_pool3d(F.conv3d(x, w[0], w[1], padding=1).clamp(min=0), (1, 2, 2), (1, 2, 2))
        x = F.max_pool3d(F.conv3d(x, w[2], w[3], padding=1).clamp(min=0), 2, 2)
        x = F.conv3d(x, w[4], w[5], padding=1).clamp(min=0)
        x = F.max_pool3d(F.conv3d(x, w[6], w[7], padding=1).clamp(min=0), 2, 2)
        x = F.conv3d(x, w[8], w[9], padding=1).clamp(min=0)
        x = F.max_pool3d(F.conv3d(x, w[10], w[11], padding=1).clamp(min=0), 2, 2)
        x = F.conv3d(x, w[12], w[13], padding=1).clamp(min=0)
        x = F.conv3d(x, w[14], w[15], padding=1).clamp(min=0)
        x = F.max_pool3d(F.pad(x, (1, 1, 1, 1)), 2, 2)  # nothing is below the zeros of the padding
        features = backbone(clips)

    assert x.abs().max() > 0
    assert torch.allclose(features, x, rtol=1e-9)


def test_signal_neither_dies_nor_explodes_on_its_way() -> None:
    with torch.no_grad():
        features = C3D()(torch.randn(1, 3, 16, 64, 64))

    assert 0.1 < features.std() < 10


def test_gradient_reaches_every_parameter_and_checkpointing_changes_none() -> None:
    backbone, clips = C3D(checkpointing=True), torch.randn(1, 3, 16, 32, 32)
    gradients = []
    for backbone.convs.checkpointing in (True, False):
        backbone.zero_grad()
        backbone(clips).square().mean().backward()
        gradients.append([p.grad for p in backbone.parameters()])

    for a, b in zip(*gradients, strict=True):
        assert a is not None
        assert b is not None
        assert a.abs().max() > 0
        assert torch.equal(a, b)


def test_public_weights_are_loaded(tmp_path: Path) -> None:
    names = ["conv1a", "conv2a", "conv3a", "conv3b", "conv4a", "conv4b", "conv5a", "conv5b"]
    state = C3D().state_dict()
    public = {
        f"backbone.{name}.conv.{leaf}": state[f"convs.{n}.{leaf}"]
        for n, name in enumerate(names)
        for leaf in ("weight", "bias")
    }
    torch.save({"state_dict": public | {"backbone.fc6.bias": torch.zeros(4096)}}, tmp_path / "c3d.pth")
    backbone = C3D(weights=str(tmp_path / "c3d.pth"))

    assert all(torch.equal(tensor, state[name]) for name, tensor in backbone.state_dict().items())


@pytest.mark.parametrize(("clip", "got"), [((8, 112, 112), "8 of 112x112"), ((16, 112, 15), "16 of 112x15")])
def test_clips_that_pooling_leaves_nothing_of_are_refused(clip: tuple[int, int, int], got: str) -> None:
    with torch.device("meta"), pytest.raises(ValueError, match=f"at least 16 .* of 16x16 pixels for C3D, got {got}"):
        C3D()(torch.zeros(1, 3, *clip))
