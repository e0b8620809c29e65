import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import networks
from networks import AveragePoolingHead, Backbone, SmallResNet3D


class _Restless(Backbone):
    """Everything that could move or vary: BatchNorm, dropout, and a child whose mode can be set by itself."""

    def __init__(self) -> None:
        super().__init__()
        self.num_features = 4
        self.layers = nn.Sequential(nn.Conv3d(3, 4, 1), nn.BatchNorm3d(4), nn.Dropout(0.5))

    def forward(self, clips: Tensor) -> Tensor:
        features: Tensor = self.layers(clips)
        return features


def state(module: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in module.state_dict().items()}


@pytest.mark.parametrize("backbone", [_Restless(), SmallResNet3D((4, 4))], ids=["restless", "small"])
def test_frozen_backbone_stays_bit_equal_whatever_is_called(backbone: Backbone) -> None:
    backbone.freeze()
    head = AveragePoolingHead(backbone.num_features, 2)
    both = nn.Sequential(backbone, head)
    before, head_before = state(backbone), state(head)
    optimizer = torch.optim.SGD(both.parameters(), lr=1.0, weight_decay=0.1)
    clips = torch.randn(2, 3, 4, 16, 16)
    for _ in range(3):
        both.train()
        next(backbone.children()).train()  # a child by itself
        backbone.requires_grad_(True)
        features = backbone(clips)
        assert not features.requires_grad
        assert not any(module.training for module in backbone.modules())
        optimizer.zero_grad()
        head(features).square().sum().backward()
        optimizer.step()

    assert all(torch.equal(tensor, before[name]) for name, tensor in backbone.state_dict().items())
    assert not any(torch.equal(tensor, head_before[name]) for name, tensor in head.state_dict().items())


def test_frozen_backbone_needs_no_gradient_and_is_deterministic() -> None:
    backbone = _Restless()
    backbone.freeze()
    clips = torch.randn(2, 3, 4, 8, 8)

    assert backbone.frozen
    assert not any(parameter.requires_grad for parameter in backbone.parameters())
    assert not backbone.train().training
    assert torch.equal(backbone(clips), backbone(clips))


def test_backbone_trains_until_frozen() -> None:
    backbone = _Restless()
    before = state(backbone)
    features = backbone.train()(torch.randn(2, 3, 4, 8, 8))

    assert backbone.training and not backbone.frozen
    assert features.requires_grad
    assert not torch.equal(backbone.state_dict()["layers.1.running_mean"], before["layers.1.running_mean"])
    assert not backbone.eval().training


@pytest.mark.parametrize("frozen", [False, True])
def test_outer_inference_mode_is_respected(frozen: bool) -> None:
    backbone = _Restless()
    if frozen:
        backbone.freeze()
    with torch.inference_mode():
        features = backbone(torch.randn(1, 3, 2, 4, 4))
        assert features.is_inference()
    with torch.no_grad():
        assert not backbone(torch.randn(1, 3, 2, 4, 4)).requires_grad
        assert not torch.is_grad_enabled()
    assert torch.is_grad_enabled()


def test_freezing_is_not_part_of_the_state_dict() -> None:
    backbone, other = _Restless(), _Restless()
    keys = list(backbone.state_dict())
    backbone.freeze()
    other.load_state_dict(backbone.state_dict())

    assert list(backbone.state_dict()) == keys
    assert not other.frozen


def test_backbone_without_forward_cannot_be_built() -> None:
    with pytest.raises(TypeError, match="abstract"):
        Backbone()  # type: ignore[abstract]


def test_importing_the_room_imports_neither_timm_nor_torchvision() -> None:
    code = "import sys, networks; sys.exit(any(m.split('.')[0] in ('timm', 'torchvision') for m in sys.modules))"

    assert subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parents[2], check=False).returncode == 0
    assert all(hasattr(networks, name) for name in networks.__all__)
