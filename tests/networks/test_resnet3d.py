from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from networks.residual3d import Bottleneck
from networks.resnet3d import ResNet3D, Variant

CLASSIFIER = 2048 * 400 + 400


def blocks(network: ResNet3D) -> list[list[Bottleneck]]:
    """Residual blocks of each stage."""
    return [[b for b in stage if isinstance(b, Bottleneck)] for stage in network.get_submodule("stages").children()]  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("arguments", "published"),
    [
        ({"variant": "i3d"}, 28_043_472),
        ({"variant": "slow"}, 32_454_096),
        ({"variant": "c2d"}, 24_327_632),
        ({"non_local": True}, 35_401_936),
        ({"non_local": True, "depth": 101}, 59_112_656),
        ({"non_local": True, "geometry": "mmaction2"}, 35_397_840),
    ],
)
def test_parameters_are_as_many_as_in_the_public_networks(arguments: dict[str, Any], published: int) -> None:
    with torch.device("meta"):
        network = ResNet3D(**arguments)

    assert sum(p.numel() for p in network.parameters()) == published - CLASSIFIER


@pytest.mark.parametrize(
    ("arguments", "num_frames", "steps"),
    [
        ({"variant": "slow"}, (8, 5), (8, 5)),
        ({"variant": "c2d"}, (8, 5), (4, 2)),
        ({"variant": "i3d", "non_local": True}, (8, 2), (4, 1)),
        ({"variant": "i3d", "depth": 101}, (8, 16), (4, 8)),
        ({"variant": "i3d", "non_local": True, "geometry": "mmaction2"}, (32, 5), (4, 1)),
    ],
)
def test_feature_map_has_its_documented_size(
    arguments: dict[str, Any], num_frames: tuple[int, int], steps: tuple[int, int]
) -> None:
    with torch.device("meta"):
        network = ResNet3D(**arguments)
        shapes = [network(torch.empty(2, 3, frames, *s)).shape for frames in num_frames for s in ((64, 64), (224, 250))]

    assert network.num_features == 2048
    assert shapes == [(2, 2048, length, *places) for length in steps for places in ((2, 2), (7, 8))]


@pytest.mark.parametrize(
    ("variant", "kernels"),
    [
        ("i3d", ([3, 3, 3], [3, 1, 3, 1], [3, 1, 3, 1, 3, 1], [1, 3, 1])),
        ("slow", ([1] * 3, [1] * 4, [3] * 6, [3] * 3)),
        ("c2d", ([1] * 3, [1] * 4, [1] * 6, [1] * 3)),
    ],
)
def test_temporal_kernels_lie_where_the_papers_put_them(variant: Variant, kernels: tuple[list[int], ...]) -> None:
    with torch.device("meta"):
        stages = blocks(ResNet3D(50, variant))
    found = tuple([b.a.get_parameter("conv.weight").shape[2] for b in stage] for stage in stages)

    assert found == kernels


@pytest.mark.parametrize("depth", [50, 101])
def test_non_local_blocks_follow_five_blocks_at_any_depth(depth: Any) -> None:
    with torch.device("meta"):
        stages = blocks(ResNet3D(depth, non_local=True))
    places = [(s, b) for s, stage in enumerate(stages) for b, block in enumerate(stage) if block.non_local is not None]

    assert places == [(1, 1), (1, 3), (2, 1), (2, 3), (2, 5)]


def by_frames(clips: Tensor, network: nn.Module) -> Tensor:
    """Apply a network of images `(N, 3, H, W)` to each frame."""
    maps = network(clips.transpose(1, 2).flatten(0, 1))
    return maps.unflatten(0, (len(clips), -1)).transpose(1, 2)  # type: ignore[no-any-return]


@pytest.mark.parametrize("variant", ["i3d", "slow", "c2d"])
@torch.no_grad()
def test_kernels_that_see_one_frame_give_the_maps_of_an_image_network(variant: Variant) -> None:
    torchvision = pytest.importorskip("torchvision")
    image = torchvision.models.resnet50(weights=None).double().eval()
    for name, buffer in image.named_buffers():
        if "running" in name:
            buffer.uniform_(0.5, 1.5)
    image.avgpool, image.fc = nn.Identity(), nn.Unflatten(1, (2048, 2, 2))
    network = ResNet3D(50, variant).double().eval()
    # same order: stem, then each block's convolutions with their norms, its projection last
    own, public = list(network.state_dict().values()), list(image.state_dict().values())
    for target, source in zip(own, public, strict=True):
        if target.ndim == 5:
            target.zero_()
            target[:, :, target.shape[2] // 2] = source
        else:
            target.copy_(source)
    frames = torch.randn(2, 3, 2, 64, 64, dtype=torch.float64)
    clips = frames if variant == "slow" else frames.repeat_interleave(2, dim=2)  # pairs that the pooling joins

    torch.testing.assert_close(network(clips), by_frames(frames, image), rtol=1e-10, atol=1e-10)


@torch.no_grad()
def test_pooling_over_time_takes_the_greater_of_two_frames() -> None:
    network = ResNet3D(50, "c2d").double().eval()
    clips = torch.randn(1, 3, 4, 32, 32, dtype=torch.float64)
    stem, (res2, *others) = network.stem, network.stages
    frames = res2(nn.functional.max_pool3d(stem(clips), (1, 3, 3), (1, 2, 2), (0, 1, 1)))
    features = torch.stack([torch.maximum(frames[:, :, t], frames[:, :, t + 1]) for t in (0, 2)], dim=2)
    for stage in others:
        features = stage(features)

    torch.testing.assert_close(network(clips), features)


def test_last_stride_of_one_doubles_the_map_with_dilated_kernels() -> None:
    with torch.device("meta"):
        network = ResNet3D(50, "slow", last_stride=1)
        assert network(torch.empty(1, 3, 4, 224, 256)).shape == (1, 2048, 4, 14, 16)
    convs = [block.b.get_submodule("conv") for block in blocks(network)[3]]

    assert [(c.stride, c.dilation) for c in convs if isinstance(c, nn.Conv3d)] == [((1, 1, 1), (1, 2, 2))] * 3


@pytest.mark.parametrize("arguments", [{"variant": "slow"}, {"non_local": True}, {"non_local": True, "last_stride": 1}])
def test_gradient_reaches_every_parameter(arguments: dict[str, Any]) -> None:
    network = ResNet3D(**arguments, checkpointing=True).eval()  # a norm in training removes the biases before it
    for name, parameter in network.named_parameters():
        if "non_local" in name:
            nn.init.normal_(parameter, std=1e-3)  # small, for a saturated softmax has no gradient
    network(torch.randn(1, 3, 4, 64, 64)).mean().backward()
    still = [name for name, p in network.named_parameters() if p.grad is None or not p.grad.abs().max() > 0]

    assert [name for name in still if not name.endswith("phi.bias")] == []  # a softmax does not see it


def test_checkpointing_reaches_every_stage() -> None:
    with torch.device("meta"):
        network = ResNet3D(checkpointing=True)

    assert [stage.checkpointing for stage in network.stages] == [True] * 4


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"depth": 18}, "depth must be one of 50, 101, 152, got '18'"),
        ({"variant": "x3d"}, "variant must be one of i3d, slow, c2d, got 'x3d'"),
        ({"similarity": "cosine"}, "similarity must be one of embedded_gaussian, dot_product, got 'cosine'"),
        ({"geometry": "caffe2"}, "geometry must be one of pyslowfast, mmaction2, got 'caffe2'"),
        ({"last_stride": 4}, "last_stride must be one of 1, 2, got '4'"),
    ],
)
def test_arguments_that_do_not_fit_are_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ResNet3D(**arguments)


@pytest.mark.parametrize(("geometry", "too_few", "least"), [("pyslowfast", 1, 2), ("mmaction2", 4, 5)])
def test_clips_of_too_few_frames_are_refused(geometry: Any, too_few: int, least: int) -> None:
    with torch.device("meta"):
        network = ResNet3D(geometry=geometry).eval()
        assert network(torch.empty(1, 3, least, 32, 32)).shape[2] == 1
        with pytest.raises(ValueError, match=f"clips must have at least {least} frames, .* got {too_few}"):
            network(torch.empty(1, 3, too_few, 32, 32))


def in_public_names(name: str) -> str:
    """Name in mmaction2's layout."""
    renamed = name.replace(".norm.", ".bn.")
    if name.startswith("stem"):
        return renamed.replace("stem", "backbone.conv1")
    _, stage, block, part, kind, leaf = renamed.split(".")
    part = {"a": "conv1", "b": "conv2", "c": "conv3", "shortcut": "downsample"}[part]
    return f"backbone.layer{int(stage) + 1}.{block}.{part}.{kind}.{leaf}"


def test_i3d_weights_trained_with_another_geometry_are_refused(tmp_path: Path) -> None:
    file = str(tmp_path / "i3d.pth")
    saved = ResNet3D().state_dict()
    torch.save({"state_dict": {in_public_names(name): tensor for name, tensor in saved.items()}}, file)
    read = ResNet3D(geometry="mmaction2", weights=file).state_dict()

    assert all(torch.equal(read[name], tensor) for name, tensor in saved.items())
    with pytest.raises(
        ValueError, match="geometry must be mmaction2 for weights in layout mmaction2, got 'pyslowfast'"
    ):
        ResNet3D(weights=file)


def test_weights_of_its_own_are_read_back(tmp_path: Path) -> None:
    file, saved = str(tmp_path / "c2d.pt"), ResNet3D(variant="c2d").state_dict()
    torch.save(saved, file)
    read = ResNet3D(variant="c2d", weights=file).state_dict()

    assert read.keys() == saved.keys()
    assert all(torch.equal(read[name], tensor) for name, tensor in saved.items())
