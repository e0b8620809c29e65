"""Every network against what the original computes in float64 with the same weights under its public names."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision.ops import roi_align

from networks.backbone import Backbone
from networks.c3d import C3D
from networks.checkpoints import convert
from networks.csn import CSN
from networks.resnet3d import ResNet3D
from networks.slowfast import SlowFast
from networks.x3d import X3D
from tests.conftest import SHARED
from tests.networks import reference

TOLERANCE = 1e-9  # of the largest value
AVA: dict[str, Any] = {"temporal_blocks": 6, "last_stride": 1, "non_local": (6, 13, 20)}

# how the network of each file is built, and the modules of its classifier
NETWORKS: dict[str, tuple[Callable[[], Backbone], tuple[str, ...]]] = {
    "caffe2__i3d_nln_8x8_r50": (lambda: ResNet3D(50, "i3d", non_local=True), ("pred",)),
    "caffe2__slowfast_32x2_r101_50_50_ava": (lambda: SlowFast(101, lateral_kernel=5, **AVA), ("pred",)),
    "caffe2__slowfast_8x8_r50": (lambda: SlowFast(), ("pred",)),
    "mmaction2__c3d": (lambda: C3D(), ("backbone.fc6", "backbone.fc7", "cls_head.fc_cls")),
    "mmaction2__i3d_nl_r50_embedded_gaussian": (
        lambda: ResNet3D(50, "i3d", non_local=True, geometry="mmaction2"),
        ("cls_head.fc_cls",),
    ),
    "mmaction2__ip_csn_152": (lambda: CSN(152, "ip"), ("cls_head.fc_cls",)),
    "mmaction2__ir_csn_152": (lambda: CSN(152, "ir"), ("cls_head.fc_cls",)),
    "mmaction2__slowfast_r50": (lambda: SlowFast(lateral_norm=False, slow_frames="stride"), ("cls_head.fc_cls",)),
    "pyslowfast__i3d_nln_8x8_r101": (lambda: ResNet3D(101, "i3d", non_local=True), ("head.projection",)),
    "pyslowfast__i3d_nln_8x8_r50": (lambda: ResNet3D(50, "i3d", non_local=True), ("head.projection",)),
    "pyslowfast__slow_8x8_r50": (lambda: ResNet3D(50, "slow"), ("head.projection",)),
    "pyslowfast__slowfast_16x8_r101_50_50": (
        lambda: SlowFast(101, lateral_kernel=5, temporal_blocks=6),
        ("head.projection",),
    ),
    "pyslowfast__slowfast_16x8_r50_charades": (lambda: SlowFast(), ("head.projection",)),
    "pyslowfast__slowfast_32x2_r101_50_50_ava": (
        lambda: SlowFast(101, lateral_kernel=5, **AVA),
        ("head.projection",),
    ),
    "pyslowfast__slowfast_4x16_r50": (lambda: SlowFast(alpha=8, lateral_kernel=5), ("head.projection",)),
    "pyslowfast__slowfast_8x8_r101": (lambda: SlowFast(101, lateral_kernel=5), ("head.projection",)),
    "pyslowfast__slowfast_8x8_r50": (lambda: SlowFast(), ("head.projection",)),
    "pyslowfast__x3d_m": (lambda: X3D("M"), ("head.lin_5", "head.projection")),
    "pytorchvideo__c2d_r50": (lambda: ResNet3D(50, "c2d"), ("blocks.6.proj",)),
    "pytorchvideo__csn_r101": (lambda: CSN(101, "ir", norm_eps=1e-5), ("blocks.5.proj",)),
    "pytorchvideo__i3d_r50": (lambda: ResNet3D(50, "i3d"), ("blocks.6.proj",)),
    "pytorchvideo__slow_r50": (lambda: ResNet3D(50, "slow"), ("blocks.5.proj",)),
    "pytorchvideo__slowfast_16x8_r101_50_50": (
        lambda: SlowFast(101, lateral_kernel=5, temporal_blocks=6),
        ("blocks.6.proj",),
    ),
    "pytorchvideo__slowfast_r101": (lambda: SlowFast(101, lateral_kernel=5), ("blocks.6.proj",)),
    "pytorchvideo__slowfast_r50": (lambda: SlowFast(), ("blocks.6.proj",)),
    "pytorchvideo__x3d_m": (lambda: X3D("M", shortcut_norm=False), ("blocks.5.pool.post_conv", "blocks.5.proj")),
    "vmz__ip_csn_152": (lambda: CSN(152, "ip"), ("fc",)),
    "vmz__ir_csn_152": (lambda: CSN(152, "ir"), ("fc",)),
}
# one of each kind and layout; the rest are `slow`, for the fast tests are to stay fast
FAST = {
    "caffe2__slowfast_8x8_r50",
    "mmaction2__i3d_nl_r50_embedded_gaussian",
    "mmaction2__slowfast_r50",
    "pyslowfast__i3d_nln_8x8_r50",
    "pyslowfast__slowfast_8x8_r50",
    "pyslowfast__x3d_m",
    "pytorchvideo__c2d_r50",
    "pytorchvideo__csn_r101",
    "vmz__ip_csn_152",
}


@pytest.fixture
def shared_reference() -> Path:
    """Folder of the files of expected values."""
    folder = Path(os.environ.get("POLYTEMPO_REFERENCE", SHARED / "reference"))
    if not folder.is_dir():
        pytest.skip(f"no reference values in {folder}; set POLYTEMPO_REFERENCE to their folder")
    return folder


def files() -> list[Any]:
    return [pytest.param(name, marks=[] if name in FAST else [pytest.mark.slow]) for name in NETWORKS]


def test_table_has_a_network_for_each_file(shared_reference: Path) -> None:
    assert sorted(NETWORKS) == sorted(path.stem for path in shared_reference.glob("*.json"))


@pytest.mark.parametrize(
    ("name", "shape", "norms", "first"),
    [
        ("layer1.0.conv1.0.weight", (64, 64, 1, 1, 1), (), (0.12334189432739182, -0.11103898010870074)),
        ("layer1.0.conv3.1.weight", (256,), ("layer1.0.conv3.1",), (0.26179371947114316, 0.21210459244658486)),
        ("layer1.0.conv3.1.running_var", (256,), ("layer1.0.conv3.1",), (1.0057142481448036, 1.086472581941535)),
        ("fc.bias", (400,), (), (0.04085312703523264, 0.19662604156909008)),
        (
            "s3.pathway0_nonlocal1.conv_theta.weight",
            (256, 512, 1, 1, 1),
            (),
            (-0.002601408047416995, -0.0017726532166284276),
        ),
        ("res2_0_branch2a_bn_riv", (64,), (), (1.2578720374893377, 1.1847823389699697)),
    ],
)
def test_rule_gives_the_published_values(
    name: str, shape: tuple[int, ...], norms: tuple[str, ...], first: tuple[float, float]
) -> None:
    made = reference.tensor(name, shape, frozenset(norms)).flatten()
    assert made[:2].tolist() == pytest.approx(first, rel=1e-15)


@pytest.mark.parametrize("name", files())
@torch.no_grad()
def test_network_computes_what_the_original_computes(name: str, shared_reference: Path) -> None:
    given = json.loads((shared_reference / f"{name}.json").read_text())
    assert (given["format"], given["weights"]["rule"]) == (1, "pcg64-crc32-v1")
    state = reference.state_dict(given["entries"], given["weights"]["xor"])
    build, classifier = NETWORKS[name]
    network = build().double().eval()
    converted = convert(state, network, given["layout"])
    assert converted.layout == convert(state, network).layout == given["layout"]
    assert len(converted.left_out) + len(converted.tensors) - added_counters(network, given) == len(state)
    network.load_state_dict(converted.tensors)
    parameters = sum(p.numel() for p in network.parameters())
    parameters += sum(state[left].numel() for left in converted.left_out)
    assert parameters == given["parameters"]

    maps = feature_maps(network, reference.clip(given["input"]), given["input"])
    layers = [linear(state, layer) for layer in classifier]
    if "fc7" in given["outputs"]:
        maps["fc7"] = maps["features"].flatten(1)
        for weight, bias in layers[:2]:
            maps["fc7"] = F.relu(F.linear(maps["fc7"], weight, bias))
    assert set(maps) == set(given["outputs"])
    for key, wanted in given["outputs"].items():
        check_map(maps[key], wanted)
    if "logits" in given:
        logits = classify(maps, layers, fast_first=given["layout"] == "mmaction2")
        assert logits.shape == (1, given["logits"]["count"])
        check(logits[0, :32], given["logits"]["first"])
    if "roi_logits" in given:
        wanted = given["roi_logits"]
        pooled = torch.cat([pool_boxes(maps[way], wanted) for way in ("slow", "fast")], 1)
        check(F.linear(pooled, *layers[0])[:, :32], wanted["values"])


def added_counters(network: Backbone, given: dict[str, Any]) -> int:
    """Counters of batch norms that the file lacks."""
    public: list[str] = [name for name, _, _ in given["entries"]]
    count, kept = (sum(n.endswith("num_batches_tracked") for n in names) for names in (network.state_dict(), public))
    return count - kept


def feature_maps(network: Backbone, clip: Tensor, given: dict[str, Any]) -> dict[str, Tensor]:
    if isinstance(network, SlowFast):
        assert network.slow_indices(clip.shape[2]) == given["slow_indices"]
        assert list(range(clip.shape[2])) == given["fast_indices"]
        return dict(zip(("slow", "fast"), network.pathways(clip), strict=True))
    if isinstance(network, X3D):
        before: list[Tensor] = []
        handle = network.stages[-1].register_forward_hook(lambda module, inputs, output: before.append(output))
        conv5 = network(clip)
        handle.remove()
        return {"features": before[0], "conv5": conv5}
    return {"features": network(clip)}


def linear(state: dict[str, Tensor], layer: str) -> tuple[Tensor, Tensor | None]:
    """Weight (out, in) and bias of a layer, by its public name."""
    weight, bias = (f"{layer}_w", f"{layer}_b") if layer == "pred" else (f"{layer}.weight", f"{layer}.bias")
    return state[weight].flatten(1), state.get(bias)


def classify(maps: dict[str, Tensor], layers: list[tuple[Tensor, Tensor | None]], *, fast_first: bool) -> Tensor:
    """Logits (1, K) of the mean over time and space."""
    if "fc7" in maps:
        return F.linear(maps["fc7"], *layers[-1])
    if "slow" in maps:
        ways = ("fast", "slow") if fast_first else ("slow", "fast")
        features = torch.cat([maps[way].mean((2, 3, 4)) for way in ways], 1)
    else:
        features = maps.get("conv5", maps["features"]).mean((2, 3, 4))
    for weight, bias in layers[:-1]:
        features = F.relu(F.linear(features, weight, bias))
    return F.linear(features, *layers[-1])


def pool_boxes(features: Tensor, given: dict[str, Any]) -> Tensor:
    """(1, D, T, H, W) -> (boxes, D): mean over time, RoI align, maximum of each box."""
    boxes = torch.tensor(given["boxes"], dtype=torch.float64)
    size, scale, samples = given["resolution"], given["scale"], given["sampling_ratio"]
    pooled: Tensor = roi_align(features.mean(2), boxes, size, scale, samples, given["aligned"])
    return pooled.amax((2, 3))


def check_map(got: Tensor, wanted: dict[str, Any]) -> None:
    assert list(got.shape) == wanted["shape"]
    places = np.rint(np.linspace(0, got.numel() - 1, 64)).astype(int)
    assert places.tolist() == wanted["positions"]
    check(got.flatten()[torch.from_numpy(places)], wanted["values"])
    std = got.std(correction=0).item()
    assert got.mean().item() == pytest.approx(wanted["mean"], rel=0, abs=TOLERANCE * wanted["std"])
    assert std == pytest.approx(wanted["std"], rel=TOLERANCE)


def check(got: Tensor, wanted: Any) -> None:
    expected = torch.tensor(wanted, dtype=torch.float64)
    assert got.shape == expected.shape
    assert (got - expected).abs().max() <= TOLERANCE * expected.abs().max()
