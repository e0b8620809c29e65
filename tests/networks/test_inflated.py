import copy
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from networks import TimmFrames
from networks.inflated import InflatedTimm, inflate

timm = pytest.importorskip("timm")
SMALL = ("test_resnet", "resnet18", "resnet50d")
INCEPTIONS = ("inception_v3", "inception_resnet_v2", "inception_v4")
SLOW = pytest.param("inception_v4", marks=pytest.mark.slow)


@cache
def image_model(name: str) -> nn.Module:
    """A float64 model whose batch norms have statistics and scales of their own, so that losing them would show."""
    torch.manual_seed(0)
    model: nn.Module = timm.create_model(name, num_classes=0).double().eval()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            for tensor in (module.weight, module.running_var):
                assert tensor is not None
                nn.init.uniform_(tensor, 0.8, 1.2)
            for tensor in (module.bias, module.running_mean):
                assert tensor is not None
                nn.init.normal_(tensor, std=0.1)
    return model


def both(model: nn.Module, size: int, num_frames: int, **options: Any) -> tuple[Tensor, Tensor]:
    """The map of one picture, `(D, H', W')`, and of the clip that repeats it, `(T', D, H', W')`."""
    network = inflate(model, function="forward_features", **options)
    picture = torch.randn(1, 3, size, size, dtype=torch.float64)
    with torch.no_grad():
        flat: Tensor = model.forward_features(picture)  # type: ignore[operator]
        deep: Tensor = network(picture[:, :, None].expand(-1, -1, num_frames, -1, -1))
    assert flat.abs().max() > 1e-3
    return flat[0], deep[0].transpose(0, 1)


@pytest.mark.parametrize("name", [*SMALL, INCEPTIONS[0], pytest.param(INCEPTIONS[1], marks=pytest.mark.slow), SLOW])
def test_centre_rule_gives_every_frame_its_own_map(name: str) -> None:
    size = 75 if name in INCEPTIONS else 64
    flat, deep = both(image_model(name), size, 2, temporal=3, rule="centre")

    assert len(deep) == 2
    for step in deep:
        torch.testing.assert_close(step, flat, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(
    ("name", "size", "temporal", "reach"),
    [
        ("test_resnet", 64, 3, 1 + 1 + 8),
        ("test_resnet", 64, 5, 2 * (1 + 1 + 8)),
        ("resnet18", 32, 3, 1 + 4 * 4),  # the first convolution and two for each of eight blocks
    ],
)
def test_repeat_rule_gives_the_map_where_no_convolution_reaches_beyond_the_clip(
    name: str, size: int, temporal: int, reach: int
) -> None:
    flat, deep = both(image_model(name), size, 2 * reach + 3, temporal=temporal, rule="repeat")

    for step in deep[reach:-reach]:
        torch.testing.assert_close(step, flat, rtol=1e-6, atol=1e-6)
    assert not torch.allclose(deep[0], flat, rtol=1e-6, atol=1e-6)  # zeros beyond the clip


def test_repeat_rule_holds_inside_an_inception() -> None:
    model = copy.deepcopy(image_model("inception_v3"))
    # up to the block after the second pool: five convolutions larger than 1×1, and two of its own
    model.Mixed_5c = model.Mixed_5d = model.Mixed_6a = nn.Identity()
    for name in ("6b", "6c", "6d", "6e", "7a", "7b", "7c"):
        setattr(model, f"Mixed_{name}", nn.Identity())
    flat, deep = both(model, 75, 15, temporal=3, rule="repeat")

    torch.testing.assert_close(deep[7], flat, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("rule", ["repeat", "centre"])
def test_weights_are_spread_over_time(rule: Any) -> None:
    layer = nn.Conv2d(2, 4, (1, 3), (2, 1), (0, 1), groups=2)
    made = inflate(nn.Sequential(layer, nn.Conv2d(4, 4, 1)), 3, rule=rule, temporal_strides=(2,))
    clip = torch.randn(1, 2, 5, 6, 7)
    found, point = made.get_submodule("0"), made.get_submodule("1")
    assert isinstance(found, nn.Conv3d) and isinstance(point, nn.Conv3d)

    assert point.kernel_size == point.stride == (1, 1, 1)
    assert found.stride == (2, 2, 1)
    shares = (1 / 3, 1 / 3, 1 / 3) if rule == "repeat" else (0, 1, 0)
    frames = [torch.zeros(1, 2, 6, 7), *clip.unbind(2), torch.zeros(1, 2, 6, 7)]
    for step, start in enumerate((0, 2, 4)):  # first of three frames, of which one lies before the clip
        mixed = sum((frames[start + n] * shares[n] for n in range(3)), torch.zeros(()))
        expected = F.conv2d(mixed, layer.weight, layer.bias, (2, 1), (0, 1), groups=2)
        torch.testing.assert_close(found(clip)[:, :, step], expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", ["resnet18", "resnet50d", "inception_v3"])
def test_strides_in_time_follow_the_halvings(name: str) -> None:
    model = image_model(name)
    network = inflate(model, rule="centre", temporal_strides=(2, 1, 1, 2), function="forward_features")
    clips = torch.randn(1, 3, 9, 75, 75, dtype=torch.float64)
    with torch.no_grad():
        found = network(clips)
        expected = torch.stack([model.forward_features(clips[:, :, t]) for t in (0, 4, 8)], 2)  # type: ignore[operator]

    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-9)


def test_backbone_strides_in_time() -> None:
    backbone = InflatedTimm("test_resnet", temporal_strides=(2, 1, 1, 2))

    assert backbone(torch.randn(1, 3, 9, 64, 64)).shape == (1, backbone.num_features, 3, 2, 2)


def test_network_learns_and_leaves_the_image_model_alone() -> None:
    model = copy.deepcopy(image_model("inception_v3")).train()
    before = copy.deepcopy(model.state_dict())
    network = inflate(model, function="forward_features")
    network(torch.randn(2, 3, 2, 75, 75, dtype=torch.float64)).square().mean().backward()

    assert network.training
    assert all(parameter.grad is not None for parameter in network.parameters())
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert [m for m in network.modules() if isinstance(m, nn.Conv2d | nn.BatchNorm2d)] == []
    assert {n for n, _ in network.named_parameters()} == {n for n, _ in model.named_parameters()}


@pytest.mark.parametrize("backbone", [TimmFrames, InflatedTimm])
@pytest.mark.parametrize("in_channels", [2, 10])
def test_first_layer_starts_from_the_mean_over_colours(tmp_path: Path, backbone: Any, in_channels: int) -> None:
    colours = timm.create_model("test_resnet", num_classes=0)
    torch.save(colours.state_dict(), tmp_path / "weights.pt")
    options = {"temporal": 1} if backbone is InflatedTimm else {}
    network = backbone("test_resnet", in_channels=in_channels, weights=str(tmp_path / "weights.pt"), **options)
    given, made = colours.state_dict(), network.model.state_dict()
    first = made["conv1.0.weight"]

    assert first.shape[:2] == (given["conv1.0.weight"].shape[0], in_channels)
    for channel in range(in_channels):
        red, green, blue = given["conv1.0.weight"].unbind(1)
        torch.testing.assert_close(first[:, channel].reshape(red.shape), (red + green + blue) / 3)
    assert all(torch.equal(made[name].reshape(t.shape), t) for name, t in given.items() if name != "conv1.0.weight")
    assert network(torch.randn(1, in_channels, 2, 64, 64)).shape == (1, 96, 2, 2, 2)
    with pytest.raises(ValueError, match=rf"clips must have shape \(B, {in_channels}, T, H, W\)"):
        network(torch.randn(1, 3, 2, 64, 64))


class _Pooled(nn.Module):
    def __init__(self, **options: Any) -> None:
        super().__init__()
        self.options = options

    def forward(self, x: Tensor) -> Tensor:
        pooled: Tensor = F.max_pool2d(x, 3, **self.options) + F.avg_pool2d(x, 3, **self.options)
        return pooled


@pytest.mark.parametrize("options", [{"stride": 2}, {"stride": 1, "padding": 1}, {"stride": 2, "ceil_mode": True}, {}])
def test_pools_that_are_functions_see_single_frames(options: dict[str, Any]) -> None:
    pooled = _Pooled(**options)
    clip = torch.randn(2, 3, 4, 8, 9)

    expected = torch.stack([pooled(frame) for frame in clip.unbind(2)], 2)
    torch.testing.assert_close(inflate(pooled)(clip), expected)


class _Branching(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x if x.sum() > 0 else -x


class _Joined(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([x, x], 2)


@pytest.mark.parametrize(
    ("network", "options", "message"),
    [
        (nn.Conv2d(1, 1, 3), {"temporal": 2}, "temporal must be odd, got 2"),
        (nn.Conv2d(1, 1, 3), {"rule": "mean"}, "rule must be one of repeat, centre, got 'mean'"),
        (nn.Sequential(nn.Conv2d(1, 1, 3)), {"temporal_strides": (2,)}, "at most 0 strides, .* got 1"),
        (nn.Sequential(nn.Conv2d(1, 1, 3)), {"temporal_strides": (0,)}, r"temporal_strides\[0\] must be a positive"),
        (nn.Sequential(nn.ReLU(), nn.LayerNorm(3)), {}, "got 1 others in Sequential, first: 1: LayerNorm; take a"),
        (nn.Sequential(nn.Conv2d(1, 1, 3, padding_mode="reflect")), {}, "first: 0: Conv2d"),
        (nn.Sequential(_Joined()), {}, "first: 0: cat"),
        (nn.Sequential(_Branching()), {}, "must run the same layers whatever its input, got Sequential"),
        ("seresnet18", {}, "layer1.0.se: mean"),
        ("resnetblur18", {}, "got .* others in ResNet, first: .*: pad"),
        ("tf_efficientnet_lite0", {}, "first: conv_stem: Conv2dSame"),
        ("vit_tiny_patch16_224", {}, "VisionTransformer, first: patch_embed"),
    ],
)
def test_what_cannot_be_inflated_is_named(network: Any, options: dict[str, Any], message: str) -> None:
    if isinstance(network, str):
        network, options = timm.create_model(network, num_classes=0), {"function": "forward_features"}
    with pytest.raises(ValueError, match=message):
        inflate(network, **options)
