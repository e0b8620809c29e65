import copy
from functools import cache

import pytest
import torch
from torch import Tensor, nn

from networks.backbone import Backbone
from networks.csn import CSN
from networks.freezing import freeze_stages
from networks.slowfast import SlowFast
from networks.small_resnet3d import SmallResNet3D

SWITCHES = ["weights", "norm_statistics", "norm_affine"]
CASES = [
    ("csn", 0, ("stem.",)),
    ("csn", 2, ("stem.", "stages.0.", "stages.1.")),
    ("slowfast", 0, ("slow.stem.", "fast.stem.")),
    ("slowfast", 1, ("slow.stem.", "fast.stem.", "slow.stages.0.", "fast.stages.0.", "laterals.0.")),
]


@cache
def built(name: str) -> Backbone:
    torch.manual_seed(0)
    backbone = CSN(50, "ip") if name == "csn" else SlowFast(50)
    for module in backbone.modules():
        if isinstance(module, nn.BatchNorm3d):
            nn.init.uniform_(module.bias, 0.1, 0.2)  # so that weight decay moves it where its gradient is zero
    return backbone


def kind(name: str) -> str:
    """Which switch is about a tensor, read off its name."""
    *_, layer, tensor = name.split(".")
    if tensor in ("running_mean", "running_var", "num_batches_tracked"):
        return "norm_statistics"
    return "norm_affine" if layer == "norm" else "weights"


def moved_in_a_step(backbone: Backbone) -> set[str]:
    """Names of the tensors that differ after a training step, in which everything that may learn gets a gradient."""
    before = {name: tensor.clone() for name, tensor in backbone.state_dict().items()}
    optimizer = torch.optim.SGD(backbone.parameters(), lr=0.1, weight_decay=0.1)
    backbone.eval()
    nn.Sequential(backbone).train()  # as a trainer does before each epoch
    features: Tensor = backbone(torch.randn(2, 3, 4, 32, 32))
    (features * torch.randn_like(features)).sum().backward()  # type: ignore[no-untyped-call]
    optimizer.step()
    return {name for name, tensor in backbone.state_dict().items() if not torch.equal(tensor, before[name])}


@pytest.mark.parametrize(("name", "num_stages", "parts"), CASES)
@pytest.mark.parametrize("switches", [SWITCHES, *([switch] for switch in SWITCHES)], ids="+".join)
def test_exactly_the_other_tensors_move(
    name: str, num_stages: int, parts: tuple[str, ...], switches: list[str]
) -> None:
    torch.manual_seed(1)
    backbone = copy.deepcopy(built(name))
    backbone.freeze_first(
        num_stages,
        weights="weights" in switches,
        norm_statistics="norm_statistics" in switches,
        norm_affine="norm_affine" in switches,
    )
    still = {key for key in backbone.state_dict() if key.startswith(parts) and kind(key) in switches}

    assert still
    assert moved_in_a_step(backbone) == set(backbone.state_dict()) - still


def test_statistics_stay_whatever_is_called() -> None:
    backbone = SmallResNet3D((4, 4, 4, 4))
    backbone.freeze_first(1, weights=False, norm_statistics=True, norm_affine=False)
    norms = {
        n for n, m in backbone.named_modules() if isinstance(m, nn.BatchNorm3d) and n.startswith(("stem", "stages.0"))
    }
    twin = copy.deepcopy(backbone)
    for each in (backbone, twin):
        each.train()
        for child in each.children():
            child.train()  # by itself
        before = {name: tensor.clone() for name, tensor in each.named_buffers()}
        each(torch.randn(2, 3, 4, 16, 16))
        stayed = {name for name, tensor in each.named_buffers() if torch.equal(tensor, before[name])}

        assert norms
        assert {name.rsplit(".", 1)[0] for name in stayed} == norms
        assert len(stayed) == 3 * len(norms)
        assert each.training
        assert not each.eval().training


def test_fixed_norms_are_returned_and_put_in_evaluation_mode() -> None:
    backbone = SmallResNet3D((4, 4, 4, 4))
    switches = {"weights": True, "norm_affine": True}

    assert freeze_stages(backbone, 0, norm_statistics=False, **switches) == []
    assert all(module.training for module in backbone.modules())
    norms = freeze_stages(backbone, 0, norm_statistics=True, **switches)
    assert norms == [module for module in backbone.modules() if not module.training]
    assert norms == [module for module in backbone.stem.modules() if isinstance(module, nn.BatchNorm3d)]


def test_freezing_all_of_it_still_holds_afterwards() -> None:
    backbone = SmallResNet3D((4, 4, 4, 4))
    backbone.freeze_first(1, weights=True, norm_statistics=True, norm_affine=True)
    backbone.freeze()

    assert not any(module.training for module in backbone.train().modules())
    assert not backbone(torch.randn(1, 3, 4, 16, 16)).requires_grad


@pytest.mark.parametrize(
    ("backbone", "num_stages", "switch", "message"),
    [
        (SmallResNet3D((4, 4, 4, 4)), 3, True, r"num_stages must lie between 0 \(the stem alone\) and 2, got 3"),
        (SmallResNet3D((4, 4, 4, 4)), -1, True, "and 2, got -1"),
        (SmallResNet3D((4, 4, 4, 4)), 1, False, "got false for all three"),
        (nn.Linear(1, 1), 1, True, "must have a stem and stages, got Linear without"),
    ],
)
def test_what_cannot_be_frozen_is_refused(backbone: nn.Module, num_stages: int, switch: bool, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        freeze_stages(backbone, num_stages, weights=switch, norm_statistics=switch, norm_affine=switch)
