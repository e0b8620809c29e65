from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from networks.csn import CSN

CLASSIFIER = 2048 * 400 + 400


@pytest.mark.parametrize(
    ("arguments", "published"),
    [((152, "ip"), 33_016_592), ((152, "ir"), 29_703_568), ((101, "ir"), 22_213_776)],
)
def test_parameters_are_as_many_as_in_the_public_networks(arguments: Any, published: int) -> None:
    with torch.device("meta"):
        network = CSN(*arguments)

    assert sum(p.numel() for p in network.parameters()) == published - CLASSIFIER


@pytest.mark.parametrize(
    ("bottleneck", "last_stride", "maps"),
    [
        ("ir", 2, [(4, 7, 7), (1, 7, 7), (4, 2, 4)]),
        ("ip", 2, [(4, 7, 7), (1, 7, 7), (4, 2, 4)]),
        ("ip", 1, [(4, 14, 14), (1, 14, 14), (4, 4, 7)]),
    ],
)
def test_feature_map_has_its_documented_size(bottleneck: Any, last_stride: Any, maps: list[tuple[int, ...]]) -> None:
    with torch.device("meta"):
        network = CSN(50, bottleneck, last_stride=last_stride)
        shapes = [network(torch.empty(2, 3, *s)).shape for s in ((32, 224, 224), (5, 224, 224), (32, 64, 100))]

    assert network.num_features == 2048
    assert shapes == [(2, 2048, *expected) for expected in maps]


def literal(state: dict[str, Tensor], clips: Tensor, counts: tuple[int, ...], last_stride: int) -> Tensor:
    """CSN from its tables: names of tensors in, features out; ip where a block has two middle convolutions."""

    def conv_norm(x: Tensor, name: str, **options: Any) -> Tensor:
        x = F.conv3d(x, state[f"{name}.conv.weight"], **options)
        mean, variance, scale, shift = (
            state[f"{name}.norm.{leaf}"].view(-1, 1, 1, 1) for leaf in ("running_mean", "running_var", "weight", "bias")
        )
        return (x - mean) / torch.sqrt(variance + 1e-3) * scale + shift

    x = conv_norm(clips, "stem", stride=(1, 2, 2), padding=(1, 3, 3)).relu()
    x = F.max_pool3d(x, (1, 3, 3), (1, 2, 2), (0, 1, 1))
    for stage, count in enumerate(counts):
        spread = 2 if stage == 3 and last_stride == 1 else 1
        for number in range(count):
            block, stride = f"stages.{stage}.{number}", (1, 1, 1)
            if stage > 0 and number == 0:
                stride = (2, last_stride, last_stride) if stage == 3 else (2, 2, 2)
            y = conv_norm(x, f"{block}.a").relu()
            depthwise = f"{block}.b"
            if f"{block}.b.1.conv.weight" in state:
                y, depthwise = conv_norm(y, f"{block}.b.0"), f"{block}.b.1"
            options = {"stride": stride, "padding": (1, spread, spread), "dilation": (1, spread, spread)}
            y = conv_norm(y, depthwise, groups=y.shape[1], **options).relu()
            y = conv_norm(y, f"{block}.c")
            x = (y + (conv_norm(x, f"{block}.shortcut", stride=stride) if number == 0 else x)).relu()
    return x


@pytest.mark.parametrize("last_stride", [1, 2])
@pytest.mark.parametrize("bottleneck", ["ir", "ip"])
@torch.no_grad()
def test_network_equals_its_literal_form(bottleneck: Any, last_stride: Any) -> None:
    network = CSN(50, bottleneck, last_stride=last_stride).double().eval()
    for name, tensor in network.state_dict().items():
        if "norm" in name and tensor.is_floating_point():
            tensor.uniform_(0.2, 0.8)
    clips = torch.randn(2, 3, 9, 40, 64, dtype=torch.float64)
    want = literal(network.state_dict(), clips, (3, 4, 6, 3), last_stride)

    assert want.std() > 0.01
    torch.testing.assert_close(network(clips), want, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("bottleneck", ["ir", "ip"])
def test_gradient_reaches_every_parameter(bottleneck: Any) -> None:
    network = CSN(50, bottleneck, checkpointing=True)
    network(torch.randn(2, 3, 8, 64, 64)).square().mean().backward()

    assert [name for name, p in network.named_parameters() if p.grad is None or not p.grad.abs().max() > 0] == []
    assert {int(norm.num_batches_tracked or 0) for norm in network.modules() if isinstance(norm, nn.BatchNorm3d)} == {1}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"depth": 18}, "depth must be one of 50, 101, 152, got '18'"),
        ({"bottleneck": "basic"}, "bottleneck must be one of ir, ip, got 'basic'"),
        ({"last_stride": 4}, "last_stride must be one of 1, 2, got '4'"),
    ],
)
def test_arguments_that_do_not_fit_are_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        CSN(**arguments)


def test_clips_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match=r"clips must have shape \(B, 3, T, H, W\), got \(1, 1, 8, 32, 32\)"):
        CSN(50)(torch.zeros(1, 1, 8, 32, 32))


def test_weights_of_its_own_are_read_back(tmp_path: Path) -> None:
    saved = CSN(50, "ip").state_dict()
    torch.save(saved, tmp_path / "csn.pt")
    read = CSN(50, "ip", weights=str(tmp_path / "csn.pt")).state_dict()

    assert read.keys() == saved.keys()
    assert all(torch.equal(read[name], tensor) for name, tensor in saved.items())


def in_public_names(name: str) -> str:
    """Name in pytorchvideo's layout."""
    if name.startswith("stem"):
        return name.replace("stem", "blocks.0")
    _, stage, block, part, kind, leaf = name.split(".")
    inner = f"branch1_{kind}" if part == "shortcut" else f"branch2.{kind}_{part}"
    return f"blocks.{int(stage) + 1}.res_blocks.{block}.{inner}.{leaf}"


def test_weights_trained_with_another_epsilon_are_refused(tmp_path: Path) -> None:
    file = str(tmp_path / "csn.pyth")
    torch.save({"model_state": {in_public_names(k): v for k, v in CSN(50, "ir").state_dict().items()}}, file)

    CSN(50, "ir", norm_eps=1e-5, weights=file)
    with pytest.raises(ValueError, match=r"norm_eps must be 1e-05 for weights in layout pytorchvideo, got 0.001"):
        CSN(50, "ir", weights=file)
