from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from networks import Torchvision3D

CONVOLUTIONAL = ["r3d_18", "r2plus1d_18", "mc3_18", "s3d", "swin3d_t", "swin3d_s", "swin3d_b"]
TRANSFORMERS = ["mvit_v1_b", "mvit_v2_s"]


@pytest.mark.parametrize(
    ("name", "size", "expected"),
    [
        ("r3d_18", (16, 112, 112), (512, 2, 7, 7)),
        ("r3d_18", (8, 64, 96), (512, 1, 4, 6)),
        ("r2plus1d_18", (16, 112, 112), (512, 2, 7, 7)),
        ("mc3_18", (16, 112, 112), (512, 16, 7, 7)),
        ("s3d", (64, 224, 224), (1024, 8, 7, 7)),
        ("s3d", (16, 96, 64), (1024, 2, 3, 2)),
        ("mvit_v1_b", (16, 224, 224), (768, 8, 7, 7)),
        ("mvit_v2_s", (16, 224, 224), (768, 8, 7, 7)),
        ("swin3d_t", (32, 224, 224), (768, 16, 7, 7)),
        ("swin3d_s", (8, 64, 96), (768, 4, 2, 3)),
        ("swin3d_b", (8, 64, 64), (1024, 4, 2, 2)),
    ],
)
def test_feature_map_has_the_shape_before_pooling(
    name: str, size: tuple[int, int, int], expected: tuple[int, int, int, int]
) -> None:
    with torch.device("meta"):  # shapes only: no memory, no work
        backbone = Torchvision3D(name)  # type: ignore[arg-type]
        features = backbone(torch.empty(2, 3, *size))

    assert backbone.num_features == expected[0]
    assert features.shape == (2, *expected)


def original(name: str, backbone: Torchvision3D, clips: Tensor, layer: str, of: str) -> Tensor:
    """What enters or leaves a layer when torchvision runs its own forward on the same weights."""
    video: Any = pytest.importorskip("torchvision.models.video")
    model: nn.Module = getattr(video, name)(weights=None).eval()
    model.load_state_dict(backbone.model.state_dict(), strict=False)
    seen: list[Tensor] = []
    model.get_submodule(layer).register_forward_hook(
        lambda _, inputs, output: seen.append(inputs[0] if of == "input" else output)
    )
    model(clips)
    return seen[0]


@pytest.mark.parametrize(
    ("name", "size"), [("r3d_18", (8, 32, 32)), ("s3d", (16, 224, 224)), ("swin3d_t", (4, 64, 64))]
)
def test_features_are_those_that_torchvision_pools(name: str, size: tuple[int, int, int]) -> None:
    torch.manual_seed(0)
    backbone = Torchvision3D(name).eval()  # type: ignore[arg-type]
    clips = torch.randn(1, 3, *size)
    with torch.no_grad():
        expected = original(name, backbone, clips, "avgpool", "input")
        assert torch.allclose(backbone(clips), expected, rtol=1e-4, atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("name", TRANSFORMERS)
def test_features_are_the_tokens_without_the_class_token(name: str) -> None:
    torch.manual_seed(0)
    backbone = Torchvision3D(name).eval()  # type: ignore[arg-type]
    clips = torch.randn(1, 3, 16, 224, 224)
    with torch.no_grad():
        tokens = original(name, backbone, clips, "norm", "output")
        features = backbone(clips)

    assert torch.allclose(features.flatten(2).transpose(1, 2), tokens[:, 1:], rtol=1e-4, atol=1e-5)


def test_gradient_reaches_every_parameter() -> None:
    torch.manual_seed(0)
    backbone = Torchvision3D("r3d_18")
    backbone(torch.randn(2, 3, 4, 32, 32)).square().mean().backward()

    assert all(p.grad is not None and p.grad.abs().max() > 0 for p in backbone.parameters())


@pytest.mark.slow
@pytest.mark.parametrize("name", [*CONVOLUTIONAL, *TRANSFORMERS])
def test_no_parameter_is_left_without_gradient(name: str) -> None:
    backbone = Torchvision3D(name)  # type: ignore[arg-type]
    size = (16, 224, 224) if name in TRANSFORMERS else (16, 64, 64)
    backbone(torch.randn(1, 3, *size)).square().mean().backward()

    assert [n for n, p in backbone.named_parameters() if p.grad is None] == []


def test_weights_of_a_file_are_loaded(tmp_path: Path) -> None:
    video: Any = pytest.importorskip("torchvision.models.video")
    state = video.r3d_18(weights=None, num_classes=3).state_dict()
    torch.save(state, tmp_path / "weights.pt")
    backbone = Torchvision3D("r3d_18", weights=str(tmp_path / "weights.pt"))

    assert len(backbone.model.state_dict()) == len(state) - 2
    assert all(torch.equal(tensor, state[name]) for name, tensor in backbone.model.state_dict().items())


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    with torch.device("meta"):
        names = list(Torchvision3D("mc3_18").model.state_dict())
    torch.save({name: torch.zeros(1) for name in names}, tmp_path / "weights.pt")

    with pytest.raises(ValueError, match=r"must fit the network, got \d+ differences, first: .*; take the file of"):
        Torchvision3D("r3d_18", weights=str(tmp_path / "weights.pt"))


@pytest.mark.parametrize("size", [(8, 224, 224), (16, 112, 112), (16, 224, 256)])
@pytest.mark.parametrize("name", TRANSFORMERS)
def test_size_without_position_embeddings_is_refused(name: str, size: tuple[int, int, int]) -> None:
    with torch.device("meta"):
        backbone = Torchvision3D(name)  # type: ignore[arg-type]
        with pytest.raises(ValueError, match=rf"16 frames of 224x224 pixels for {name}.*got {size[0]} of {size[1]}"):
            backbone(torch.empty(1, 3, *size))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"name": "x3d_m"}, "name must be one of r3d_18, .*, got 'x3d_m'"),
        ({"name": "r3d_18", "pretrained": True, "weights": "x.pt"}, "choose one of the two"),
    ],
)
def test_arguments_that_do_not_fit_are_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Torchvision3D(**arguments)
