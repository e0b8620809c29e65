import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from networks.x3d import X3D, round_width

State = dict[str, Tensor]


@pytest.mark.parametrize(
    ("arguments", "clip", "expected"),
    [
        ({"size": "S"}, (13, 160, 160), (432, 13, 5, 5)),
        ({"size": "M"}, (16, 224, 224), (432, 16, 7, 7)),
        ({"size": "M"}, (5, 100, 60), (432, 5, 4, 2)),
        ({"size": "M", "last_conv": False}, (16, 64, 64), (192, 16, 2, 2)),
        ({"size": "XL"}, (16, 312, 312), (630, 16, 10, 10)),
        ({"size": "M", "last_stride": 1}, (8, 224, 256), (432, 8, 14, 16)),
    ],
)
def test_feature_map_keeps_time_and_divides_space(
    arguments: dict[str, Any], clip: tuple[int, int, int], expected: tuple[int, int, int, int]
) -> None:
    with torch.device("meta"), torch.no_grad():  # shapes only: no memory, no work
        backbone = X3D(**arguments)
        features = backbone(torch.empty(2, 3, *clip))

    assert backbone.num_features == expected[0]
    assert features.shape == (2, *expected)


@pytest.mark.parametrize(
    ("size", "shortcut_norm", "with_head", "paper"),
    [
        ("S", True, 3_794_322, 3.76e6),
        ("M", True, 3_794_322, 3.76e6),
        ("M", False, 3_794_274, 3.76e6),
        ("L", True, 6_153_432, 6.1e6),
        ("XL", True, 11_095_904, 11.0e6),
    ],
)
def test_parameters_are_those_of_the_paper(size: Any, shortcut_norm: bool, with_head: int, paper: float) -> None:
    with torch.device("meta"):
        backbone = X3D(size, shortcut_norm=shortcut_norm)
    head = backbone.num_features * 2048 + 2048 * 400 + 400  # two linear layers, the first without bias
    count = sum(p.numel() for p in backbone.parameters()) + head

    assert count == with_head
    assert count == pytest.approx(paper, abs=0.1e6)


@pytest.mark.parametrize(
    ("size", "clip", "giga"),
    [
        ("M", (16, 256), 6.2),
        pytest.param("S", (13, 182), 2.7, marks=pytest.mark.slow),
        pytest.param("L", (16, 356), 24.8, marks=pytest.mark.slow),
        pytest.param("XL", (16, 356), 48.4, marks=pytest.mark.slow),
    ],
)
def test_multiplications_are_those_of_the_paper(size: Any, clip: tuple[int, int], giga: float) -> None:
    with torch.device("meta"), torch.no_grad(), FlopCounterMode(display=False) as counter:
        X3D(size)(torch.empty(1, 3, clip[0], clip[1], clip[1]))

    assert counter.get_total_flops() / 2e9 == pytest.approx(giga, abs=0.05)


def test_widths_are_rounded_to_multiples_of_eight() -> None:
    # X3D-XL, and the squeezed widths of X3D-M and XL
    assert [round_width(2.9 * width) for width in (12, 24, 48, 96)] == [32, 72, 136, 280]
    assert [round_width(width / 16) for width in (54, 108, 216, 306, 432, 630)] == [8, 8, 16, 24, 32, 40]


def test_every_other_block_weighs_its_channels() -> None:
    with torch.device("meta"):
        names = X3D("M").state_dict()
    excited = {match[1] for name in names if (match := re.match(r"stages\.(\d\.\d+)\.b\.excite\.", name))}

    assert excited == {f"{s}.{b}" for s, count in enumerate((3, 5, 11, 7)) for b in range(0, count, 2)}


def literal(state: State, x: Tensor) -> Tensor:
    """X3D-M of Table 3 of the paper, written out from the tensors."""

    def norm(x: Tensor, name: str) -> Tensor:
        mean, var, weight, bias = (
            state[f"{name}.{leaf}"].view(-1, 1, 1, 1) for leaf in ("running_mean", "running_var", "weight", "bias")
        )
        return (x - mean) / (var + 1e-5).sqrt() * weight + bias

    def linear(x: Tensor, name: str) -> Tensor:
        return torch.einsum("oc,bcthw->bothw", state[f"{name}.weight"].flatten(1), x)

    x = F.conv3d(x, state["stem.spatial.weight"], stride=(1, 2, 2), padding=(0, 1, 1))
    x = F.conv3d(x, state["stem.temporal.weight"], padding=(2, 0, 0), groups=24)
    x = norm(x, "stem.norm").clamp(min=0)
    for stage, count in enumerate((3, 5, 11, 7)):
        for block in range(count):
            name, step = f"stages.{stage}.{block}", 2 if block == 0 else 1
            out = norm(linear(x, f"{name}.a.conv"), f"{name}.a.norm").clamp(min=0)
            inner = out.shape[1]
            out = F.conv3d(out, state[f"{name}.b.conv.weight"], stride=(1, step, step), padding=1, groups=inner)
            out = norm(out, f"{name}.b.norm")
            if block % 2 == 0:
                mean = out.mean((2, 3, 4), keepdim=True)
                less = linear(mean, f"{name}.b.excite.reduce") + state[f"{name}.b.excite.reduce.bias"].view(-1, 1, 1, 1)
                more = linear(less.clamp(min=0), f"{name}.b.excite.expand")
                out = out / (1 + (-more - state[f"{name}.b.excite.expand.bias"].view(-1, 1, 1, 1)).exp())
            out = out / (1 + (-out).exp())
            out = norm(linear(out, f"{name}.c.conv"), f"{name}.c.norm")
            if block == 0:
                x = norm(linear(x[..., ::2, ::2], f"{name}.shortcut.conv"), f"{name}.shortcut.norm")
            x = (x + out).clamp(min=0)
    return norm(linear(x, "last.conv"), "last.norm").clamp(min=0)


def scatter(backbone: X3D) -> X3D:
    """The backbone in float64 with norms that do something."""
    backbone = backbone.double().eval()
    for name, tensor in backbone.state_dict().items():
        if ".norm." in name and tensor.is_floating_point():
            tensor.copy_(torch.rand_like(tensor) + 0.5)
    return backbone


def test_features_are_those_of_the_formulas() -> None:
    backbone = scatter(X3D("M"))
    clips = torch.randn(2, 3, 4, 40, 64, dtype=torch.float64)
    with torch.no_grad():
        features, expected = backbone(clips), literal(backbone.state_dict(), clips)

    assert expected.abs().max() > 0
    assert torch.allclose(features, expected, rtol=1e-9, atol=1e-9 * float(expected.abs().max()))


def test_dilation_sees_what_the_stride_left_out() -> None:
    strided, dilated = scatter(X3D("S")), X3D("S", last_stride=1).double().eval()
    dilated.load_state_dict(strided.state_dict())
    x = torch.randn(1, 192, 2, 8, 8, dtype=torch.float64)
    for block in (1, 3, 5):  # those that take no mean over all positions
        name = f"stages.3.{block}"
        with torch.no_grad():
            sparse = strided.get_submodule(name)(x[..., ::2, ::2])
            dense = dilated.get_submodule(name)(x)

        assert torch.allclose(dense[..., ::2, ::2], sparse, rtol=1e-9)


@pytest.mark.parametrize("arguments", [{"last_conv": False}, {"shortcut_norm": False}])
def test_gradient_reaches_every_parameter(arguments: dict[str, Any]) -> None:
    backbone = X3D("S", **arguments)
    backbone(torch.randn(2, 3, 4, 64, 64)).square().mean().backward()

    assert [n for n, p in backbone.named_parameters() if p.grad is None or p.grad.abs().max() == 0] == []


def test_checkpointing_changes_no_number() -> None:
    plain, saving = X3D("S").double(), X3D("S", checkpointing=True).double()
    saving.load_state_dict(plain.state_dict())
    clips = torch.randn(2, 3, 2, 64, 64, dtype=torch.float64)
    for backbone in (plain, saving):
        backbone(clips).square().mean().backward()

    gradients = [[p.grad for p in backbone.parameters()] for backbone in (plain, saving)]
    assert all(torch.equal(a, b) for a, b in zip(*gradients, strict=True) if a is not None and b is not None)
    assert all(torch.equal(a, b) for a, b in zip(plain.buffers(), saving.buffers(), strict=True))


def pytorchvideo(state: State) -> State:
    """The tensors in the names of pytorchvideo's X3D, with a linear layer of its head."""
    rules: list[tuple[str, str | Callable[[re.Match[str]], str]]] = [
        (r"stem\.spatial", "blocks.0.conv.conv_t"),
        (r"stem\.temporal", "blocks.0.conv.conv_xy"),
        (r"stem\.norm", "blocks.0.norm"),
        (r"stages\.(\d)\.(\d+)\.", lambda m: f"blocks.{int(m[1]) + 1}.res_blocks.{m[2]}.branch2."),
        (r"branch2\.shortcut\.(conv|norm)", r"branch1_\1"),
        (r"b\.excite\.reduce", "norm_b.1.block.0"),
        (r"b\.excite\.expand", "norm_b.1.block.2"),
        (r"branch2\.([abc])\.(conv|norm)", r"branch2.\2_\1"),
        (r"last\.(conv|norm)", r"blocks.5.pool.pre_\1"),
    ]
    named = {}
    for name, tensor in state.items():
        for pattern, public in rules:
            name = re.sub(pattern, public, name)
        named[name] = tensor
    for name in [n for n in named if "branch2.norm_b." in n and ".block." not in n]:
        prefix, leaf = name.rsplit(".", 1)
        if f"{prefix}.1.block.0.weight" in named:  # norm and excitation in one sequence
            named[f"{prefix}.0.{leaf}"] = named.pop(name)
    return named | {"blocks.5.pool.post_conv.weight": torch.zeros(2048, 432, 1, 1, 1)}


@pytest.mark.parametrize("last_conv", [True, False])
def test_public_weights_are_loaded(last_conv: bool, tmp_path: Path) -> None:
    state = X3D("S", shortcut_norm=False).state_dict()
    torch.save({"model_state": pytorchvideo(state)}, tmp_path / "X3D_S.pyth")
    backbone = X3D("S", shortcut_norm=False, last_conv=last_conv, weights=str(tmp_path / "X3D_S.pyth"))

    assert len(backbone.state_dict()) == len(state) - (0 if last_conv else 6)
    assert all(torch.equal(tensor, state[name]) for name, tensor in backbone.state_dict().items())


def test_weights_without_the_first_norm_are_refused_where_it_is_expected(tmp_path: Path) -> None:
    torch.save({"model_state": pytorchvideo(X3D("S", shortcut_norm=False).state_dict())}, tmp_path / "X3D_S.pyth")

    with pytest.raises(ValueError, match=r"missing: stages\.0\.0\.shortcut\.norm\.weight"):
        X3D("S", weights=str(tmp_path / "X3D_S.pyth"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"size": "XS"}, "size must be one of S, M, L, XL, got 'XS'"),
        ({"last_stride": 3}, "last_stride must be one of 1, 2, got '3'"),
    ],
)
def test_arguments_that_do_not_fit_are_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        X3D(**arguments)
