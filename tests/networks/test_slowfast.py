import json
import os
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from networks.slowfast import SlowFast

ROOT = Path(__file__).parents[2]
AVA = {"depth": 101, "lateral_kernel": 5, "temporal_blocks": 6, "last_stride": 1, "non_local": (6, 13, 20)}
MMACTION2 = {"lateral_norm": False, "slow_frames": "stride"}
PUBLIC: dict[str, dict[str, Any]] = {
    "caffe2__slowfast_32x2_r101_50_50_ava": AVA,
    "caffe2__slowfast_8x8_r50": {},
    "mmaction2__slowfast_r50": MMACTION2,
    "pyslowfast__slowfast_16x8_r101_50_50": {"depth": 101, "lateral_kernel": 5, "temporal_blocks": 6},
    "pyslowfast__slowfast_16x8_r50_charades": {},
    "pyslowfast__slowfast_32x2_r101_50_50_ava": AVA,
    "pyslowfast__slowfast_4x16_r50": {"alpha": 8, "lateral_kernel": 5},
    "pyslowfast__slowfast_8x8_r101": {"depth": 101, "lateral_kernel": 5},
    "pyslowfast__slowfast_8x8_r50": {},
    "pytorchvideo__slowfast_16x8_r101_50_50": {"depth": 101, "lateral_kernel": 5, "temporal_blocks": 6},
    "pytorchvideo__slowfast_r101": {"depth": 101, "lateral_kernel": 5},
    "pytorchvideo__slowfast_r50": {},
}


def reference(name: str) -> dict[str, Any]:
    """What is known of a public network."""
    folder = Path(os.environ.get("POLYTEMPO_REFERENCE", ROOT.parent / "shared" / "reference"))
    if not (folder / f"{name}.json").is_file():
        pytest.skip(f"no reference values of {name} in {folder}; set POLYTEMPO_REFERENCE to their folder")
    found: dict[str, Any] = json.loads((folder / f"{name}.json").read_text())
    return found


def build(**arguments: Any) -> SlowFast:
    """A network without memory, for shapes and counts."""
    with torch.device("meta"):
        return SlowFast(**arguments)


@cache
def public(name: str) -> SlowFast:
    """A public network without memory."""
    return build(**PUBLIC[name])


def randomise(network: nn.Module) -> None:
    """Give batch norms statistics and scales of their own, so that leaving one out would show."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm3d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, std=0.1)
            nn.init.normal_(module.running_mean, std=0.1)  # type: ignore[arg-type]
            nn.init.uniform_(module.running_var, 0.5, 1.5)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("arguments", "size", "slow", "fast"),
    [
        ({}, (32, 64, 64), (2048, 8, 2, 2), (256, 32, 2, 2)),
        ({}, (64, 224, 160), (2048, 16, 7, 5), (256, 64, 7, 5)),
        ({}, (4, 33, 65), (2048, 1, 2, 3), (256, 4, 2, 3)),
        ({"alpha": 8, "lateral_kernel": 5}, (32, 64, 96), (2048, 4, 2, 3), (256, 32, 2, 3)),
        ({"alpha": 8, "lateral_kernel": 5}, (8, 32, 32), (2048, 1, 1, 1), (256, 8, 1, 1)),
        ({"alpha": 1, "beta": 0.25}, (5, 32, 32), (2048, 5, 1, 1), (512, 5, 1, 1)),
        (AVA, (32, 64, 64), (2048, 8, 4, 4), (256, 32, 4, 4)),
        ({"last_stride": 1}, (64, 256, 340), (2048, 16, 16, 22), (256, 64, 16, 22)),
        (MMACTION2, (32, 64, 64), (2048, 8, 2, 2), (256, 32, 2, 2)),
    ],
)
def test_feature_maps_have_the_shapes_of_the_strides(
    arguments: dict[str, Any], size: tuple[int, ...], slow: tuple[int, ...], fast: tuple[int, ...]
) -> None:
    network = build(**arguments)
    with torch.device("meta"):
        clips = torch.empty(2, 3, *size)
        pair = network.pathways(clips)
        features = network(clips)

    assert tuple(pair[0].shape) == (2, *slow)
    assert tuple(pair[1].shape) == (2, *fast)
    assert network.num_features == slow[0] + fast[0]
    assert tuple(features.shape) == (2, slow[0] + fast[0], *slow[1:])


def test_features_are_slow_channels_then_fast_means_over_each_step() -> None:
    torch.manual_seed(0)
    network = SlowFast().eval()
    randomise(network)
    clips = torch.randn(2, 3, 12, 32, 48)
    with torch.no_grad():
        features, (slow, fast) = network(clips), network.pathways(clips)

    assert torch.equal(features[:, :2048], slow)
    for step in range(3):
        expected = sum((fast[:, :, 4 * step + n] for n in range(4)), torch.zeros(2, 256, 1, 2)) / 4
        assert torch.allclose(features[:, 2048:, step], expected, rtol=1e-5, atol=1e-6)
    means = torch.cat([slow.mean((2, 3, 4)), fast.mean((2, 3, 4))], 1)  # what a classifier of PySlowFast reads
    assert torch.allclose(features.mean((2, 3, 4)), means, rtol=1e-5, atol=1e-6)


def literal(
    state: Mapping[str, Tensor],
    clips: Tensor,
    places: list[int],
    *,
    alpha: int,
    temporal_blocks: int,
    dilated: bool,
    non_local: tuple[int, ...],
    lateral_norm: bool,
) -> tuple[Tensor, Tensor]:
    """SlowFast of 50 layers as table 1 of the paper has it, from tensors by name."""

    def norm(x: Tensor, name: str) -> Tensor:
        mean, var, weight, bias = (
            state[f"{name}.{part}"].view(-1, 1, 1, 1) for part in ("running_mean", "running_var", "weight", "bias")
        )
        return (x - mean) / (var + 1e-5).sqrt() * weight + bias

    def convolve(x: Tensor, name: str, time: int, space: int, stride: int = 1, dilation: int = 1) -> Tensor:
        weight = state[f"{name}.conv.weight"]
        assert tuple(weight.shape[2:]) == (time, space, space)
        padding = (time // 2, dilation * (space // 2), dilation * (space // 2))
        return norm(F.conv3d(x, weight, None, (1, stride, stride), padding, (1, dilation, dilation)), f"{name}.norm")

    def attend(x: Tensor, name: str) -> Tensor:
        def point(y: Tensor, part: str) -> Tensor:  # channels last
            weight, bias = state[f"{name}.{part}.weight"].flatten(1), state[f"{name}.{part}.bias"]
            return y.flatten(2).transpose(1, 2) @ weight.T + bias

        pooled = F.max_pool3d(x, 2)
        theta, phi, g = point(x, "theta"), point(pooled, "phi"), point(pooled, "g")
        seen = torch.zeros_like(theta)
        for key in range(phi.shape[1]):
            seen += (theta * phi[:, key : key + 1]).sum(-1, keepdim=True) * g[:, key : key + 1] / phi.shape[1]
        back = seen @ state[f"{name}.out.weight"].flatten(1).T + state[f"{name}.out.bias"]
        return x + norm(back.transpose(1, 2).reshape(x.shape), f"{name}.norm")

    maps = {}
    for path, time, frames in (("slow", 1, clips[:, :, places]), ("fast", 5, clips)):
        out = F.relu(convolve(frames, f"{path}.stem", time, 7, stride=2))
        maps[path] = F.max_pool3d(out, (1, 3, 3), (1, 2, 2), (0, 1, 1))
    for stage, count in enumerate((3, 4, 6, 3)):
        weight = state[f"laterals.{stage}.conv.weight"]
        lateral = F.conv3d(maps["fast"], weight, None, (alpha, 1, 1), (weight.shape[2] // 2, 0, 0))
        if lateral_norm:
            lateral = F.relu(norm(lateral, f"laterals.{stage}.norm"))
        maps["slow"] = torch.cat([maps["slow"], lateral], 1)
        for path, x in maps.items():
            for n in range(count):
                name = f"{path}.stages.{stage}.{n}"
                time = 3 if stage == 3 or (stage == 2 and n < temporal_blocks) or (stage < 2 and path == "fast") else 1
                stride = 2 if n == 0 and stage > 0 and not (dilated and stage == 3) else 1
                out = F.relu(convolve(x, f"{name}.a", time, 1))
                out = F.relu(convolve(out, f"{name}.b", 1, 3, stride, 2 if dilated and stage == 3 else 1))
                out = convolve(out, f"{name}.c", 1, 1)
                x = F.relu(out + (convolve(x, f"{name}.shortcut", 1, 1, stride) if n == 0 else x))
                if path == "slow" and stage == 2 and n in non_local:
                    x = attend(x, f"{name}.non_local")
            maps[path] = x
    return maps["slow"], maps["fast"]


@pytest.mark.parametrize(
    ("arguments", "places"),
    [
        ({"alpha": 8, "lateral_kernel": 5}, [0, 11, 23]),
        (MMACTION2, [0, 4, 8]),
        ({"lateral_kernel": 5, "temporal_blocks": 2, "last_stride": 1, "non_local": (1, 5)}, [0, 5, 11]),
    ],
)
def test_features_are_those_of_a_literal_forward_pass(arguments: dict[str, Any], places: list[int]) -> None:
    torch.manual_seed(0)
    network = SlowFast(**arguments).double().eval()
    randomise(network)
    alpha = network.alpha
    clips = torch.randn(1, 3, len(places) * alpha, 64, 48, dtype=torch.float64)
    with torch.no_grad():
        expected = literal(
            network.state_dict(),
            clips,
            places,
            alpha=alpha,
            temporal_blocks=arguments.get("temporal_blocks", 6),
            dilated=arguments.get("last_stride") == 1,
            non_local=arguments.get("non_local", ()),
            lateral_norm=arguments.get("lateral_norm", True),
        )
        got = network.pathways(clips)

    for one, other in zip(got, expected, strict=True):
        assert (one - other).abs().max() <= 1e-12 * other.abs().max()


@pytest.mark.parametrize("name", PUBLIC)
def test_slow_pathway_takes_the_frames_of_the_public_networks(name: str) -> None:
    shown = reference(name)["input"]

    assert public(name).slow_indices(shown["shape"][2]) == shown["slow_indices"]


@pytest.mark.parametrize(
    ("arguments", "num_frames", "expected"),
    [
        ({}, 32, [0, 4, 8, 13, 17, 22, 26, 31]),
        ({}, 4, [0]),
        ({}, 64, [0, 4, 8, 12, 16, 21, 25, 29, 33, 37, 42, 46, 50, 54, 58, 63]),
        ({"alpha": 8}, 32, [0, 10, 20, 31]),
        ({"alpha": 1}, 3, [0, 1, 2]),
        ({"slow_frames": "stride"}, 32, [0, 4, 8, 12, 16, 20, 24, 28]),
        ({"slow_frames": "stride", "alpha": 8}, 32, [0, 8, 16, 24]),
    ],
)
def test_slow_pathway_takes_even_frames(arguments: dict[str, Any], num_frames: int, expected: list[int]) -> None:
    assert build(**arguments).slow_indices(num_frames) == expected


def test_slow_pathway_sees_only_its_frames() -> None:
    torch.manual_seed(0)
    network = SlowFast().eval()
    seen: list[Tensor] = []
    network.slow.stem.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    clips = torch.randn(1, 3, 8, 32, 32)
    with torch.no_grad():
        network(clips)

    assert torch.equal(seen[0], clips[:, :, [0, 7]])


@pytest.mark.parametrize("num_frames", [30, 3, 0])
def test_frames_that_alpha_does_not_divide_are_refused(num_frames: int) -> None:
    with pytest.raises(ValueError, match=rf"that alpha 4 divides, got {num_frames}; set num_frames to a multiple"):
        build()(torch.empty(1, 3, num_frames, 32, 32, device="meta"))


@pytest.mark.parametrize("name", PUBLIC)
def test_parameters_are_as_many_as_those_of_the_public_networks(name: str) -> None:
    known = reference(name)
    classifier = [
        shape for entry, shape, _ in known["entries"] if re.match(r"head\.|blocks\.6\.|cls_head\.|pred_", entry)
    ]
    assert [len(shape) for shape in classifier] == [2, 1]
    (labels, features), _ = classifier
    network = public(name)

    assert features == network.num_features
    assert sum(p.numel() for p in network.parameters()) == known["parameters"] - labels * features - labels


def test_gradient_reaches_every_parameter() -> None:
    torch.manual_seed(0)
    network = SlowFast(last_stride=1, non_local=(2,))
    randomise(network)  # a new non-local block is the identity and lets no gradient into its convolutions
    network(torch.randn(2, 3, 8, 32, 32)).square().mean().backward()

    assert [n for n, p in network.named_parameters() if p.grad is None or p.grad.abs().max() == 0] == []


def test_checkpointing_changes_neither_gradients_nor_statistics() -> None:
    clips = torch.randn(2, 3, 4, 32, 32, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    results = []
    for checkpointing in (False, True):
        torch.manual_seed(0)
        network = SlowFast(checkpointing=checkpointing).double()
        network(clips).square().mean().backward()
        results.append(({n: p.grad for n, p in network.named_parameters()}, dict(network.named_buffers())))

    for plain, stored in zip(*results, strict=True):
        assert all(torch.allclose(plain[n], stored[n], rtol=1e-9, atol=1e-12) for n in plain)


def test_frozen_pathways_neither_move_nor_record() -> None:
    network = SlowFast()
    network.freeze()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    network.fast.stages[0].train()
    slow, fast = network.pathways(torch.randn(1, 3, 4, 32, 32, requires_grad=True))

    assert not slow.requires_grad
    assert not fast.requires_grad
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())


def test_norm_eps_reaches_all_residual_norms() -> None:
    norms = [module for module in build(norm_eps=1e-3).modules() if isinstance(module, nn.BatchNorm3d)]

    assert len(norms) == 2 * (1 + 3 * 16 + 4) + 4
    assert {norm.eps for norm in norms} == {1e-3}


def test_weights_are_read() -> None:
    with pytest.raises(FileNotFoundError, match="nowhere"):
        build(weights="nowhere.pyth")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"depth": 18}, "depth must be one of 50, 101, 152, got '18'"),
        ({"alpha": 0}, "alpha must be a positive integer, got 0"),
        ({"beta": 0.1}, "beta must be a multiple of 1/64 up to 1, got 0.1"),
        ({"beta": 0.0}, "beta must be a multiple of 1/64 up to 1, got 0.0"),
        ({"lateral_kernel": 6}, "lateral_kernel must be odd, got 6"),
        ({"temporal_blocks": 7}, "temporal_blocks must lie between 0 and the 6 blocks of res4, got 7"),
        ({"slow_frames": "random"}, "slow_frames must be one of linspace, stride, got 'random'"),
        ({"last_stride": 4}, "last_stride must be one of 1, 2, got '4'"),
        ({"non_local": (6, 13, 20)}, r"non_local must name blocks of res4 from 0 to 5, each once, got \[6, 13, 20\]"),
        ({"non_local": (1, 1)}, r"non_local must name blocks of res4 .* got \[1, 1\]"),
    ],
)
def test_arguments_that_do_not_fit_are_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build(**arguments)
