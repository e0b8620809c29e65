from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from networks.checkpoints import convert
from networks.r2plus1d import R2Plus1D, middle_width


@pytest.mark.parametrize(
    ("arguments", "clip", "expected"),
    [
        ({"depth": 34}, (32, 112, 112), (512, 4, 7, 7)),
        ({"depth": 34}, (8, 112, 112), (512, 1, 7, 7)),
        ({"depth": 18}, (9, 50, 66), (512, 2, 4, 5)),
        ({"depth": 50}, (16, 64, 64), (2048, 2, 4, 4)),
        ({"depth": 152, "stem_pool": True}, (32, 224, 224), (2048, 4, 7, 7)),
    ],
)
def test_feature_map_divides_time_and_space(
    arguments: dict[str, Any], clip: tuple[int, int, int], expected: tuple[int, int, int, int]
) -> None:
    with torch.device("meta"), torch.no_grad():  # shapes only: no memory, no work
        backbone = R2Plus1D(**arguments)
        features = backbone(torch.empty(2, 3, *clip))

    assert backbone.num_features == expected[0]
    assert features.shape == (2, *expected)


@pytest.mark.parametrize(("depth", "millions", "giga"), [(34, 63.6, 199.0), (152, 118.0, 329.1)])
def test_size_is_the_published_one(depth: Any, millions: float, giga: float) -> None:
    # VMZ's table; its operations are those of 128 pixels, though it names 112
    with torch.device("meta"), torch.no_grad(), FlopCounterMode(display=False) as counter:
        backbone = R2Plus1D(depth)
        backbone(torch.empty(1, 3, 32, 128, 128))
    count = sum(p.numel() for p in backbone.parameters()) + backbone.num_features * 400 + 400

    assert count / 1e6 == pytest.approx(millions, rel=0.003)
    assert counter.get_total_flops() / 2e9 == pytest.approx(giga, abs=0.05)


@pytest.mark.parametrize(("widths", "expected"), [((64, 64), 144), ((64, 128), 230), ((128, 128), 288)])
def test_separated_convolution_has_no_more_weights_than_the_whole_one(widths: tuple[int, int], expected: int) -> None:
    before, after = widths
    whole = 27 * before * after

    assert middle_width(before, after) == expected
    assert whole - (9 * before + 3 * after) < expected * (9 * before + 3 * after) <= whole


def torchvision_network(depth: int) -> nn.Module:
    """torchvision's network from its own blocks, with VMZ's rule for the width between space and time."""
    resnet: Any = pytest.importorskip("torchvision.models.video.resnet")

    class Conv(resnet.Conv2Plus1D):  # type: ignore[misc]
        def __init__(self, before: int, after: int, _: int, stride: int = 1) -> None:
            super().__init__(before, after, int(3 * 3 * 3 * before * after / (3 * 3 * before + 3 * after)), stride)

    block, layers = {18: (resnet.BasicBlock, [2, 2, 2, 2]), 50: (resnet.Bottleneck, [3, 4, 6, 3])}[depth]
    model: nn.Module = resnet.VideoResNet(block, [Conv] * 4, layers, resnet.R2Plus1dStem)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm3d):
            module.eps = 1e-3
    return model.double().eval()


@pytest.mark.parametrize("depth", [18, 50])
def test_features_are_those_of_torchvisions_blocks(depth: Any) -> None:
    model, backbone = torchvision_network(depth), R2Plus1D(depth).double().eval()
    for name, tensor in model.state_dict().items():
        if name.endswith("running_mean"):
            tensor.copy_(0.1 * torch.randn_like(tensor))
        elif name.endswith("running_var"):
            tensor.copy_(torch.rand_like(tensor) + 0.5)
    backbone.load_state_dict(convert(model.state_dict(), backbone, "vmz").tensors)
    seen: list[Tensor] = []
    model.get_submodule("avgpool").register_forward_hook(lambda _, inputs, __: seen.append(inputs[0]))
    clips = torch.randn(1, 3, 6, 24, 32, dtype=torch.float64)
    with torch.no_grad():
        model(clips)
        features = backbone(clips)

    assert seen[0].abs().max() > 0
    assert torch.allclose(features, seen[0], rtol=1e-9, atol=1e-9 * float(seen[0].abs().max()))


def test_pooling_after_the_stem_takes_the_greatest_of_nine() -> None:
    backbone = R2Plus1D(18, stem_pool=True).eval()
    clips = torch.randn(1, 3, 4, 32, 32)
    with torch.no_grad():
        pooled = nn.MaxPool3d((1, 3, 3), (1, 2, 2), (0, 1, 1))(backbone.stem(clips))
        expected = nn.Sequential(*backbone.stages)(pooled)

        assert torch.equal(backbone(clips), expected)


def test_gradient_reaches_every_parameter() -> None:
    backbone = R2Plus1D(50)
    backbone(torch.randn(2, 3, 4, 32, 32)).square().mean().backward()

    assert [n for n, p in backbone.named_parameters() if p.grad is None or p.grad.abs().max() == 0] == []


def test_checkpointing_changes_no_number() -> None:
    plain, saving = R2Plus1D(18), R2Plus1D(18, checkpointing=True)
    saving.load_state_dict(plain.state_dict())
    clips = torch.randn(2, 3, 2, 32, 32)
    for backbone in (plain, saving):
        backbone(clips).square().mean().backward()

    for a, b in zip(plain.parameters(), saving.parameters(), strict=True):
        assert a.grad is not None
        assert b.grad is not None
        assert a.grad.abs().max() > 0
        assert torch.equal(a.grad, b.grad)
    assert all(torch.equal(a, b) for a, b in zip(plain.buffers(), saving.buffers(), strict=True))


def test_public_weights_are_loaded(tmp_path: Path) -> None:
    model = torchvision_network(18).float()
    torch.save(model.state_dict(), tmp_path / "r2plus1d_18.pth")
    backbone = R2Plus1D(18, weights=str(tmp_path / "r2plus1d_18.pth"))

    # both list their tensors in the order of the forward pass
    assert all(
        torch.equal(*pair)
        for pair in zip(backbone.state_dict().values(), list(model.state_dict().values())[:-2], strict=True)
    )


def test_unknown_depth_is_refused() -> None:
    with pytest.raises(ValueError, match="depth must be one of 18, 34, 50, 101, 152, got '20'"):
        R2Plus1D(20)  # type: ignore[arg-type]
