import math

import pytest
import torch
from torch import Tensor, nn

from networks import AveragePoolingHead, DecoupledAttention, NonLocalBlock, TemporalSelfAttention
from networks.attention import SpatialSelfAttention

KINDS = ["none", "temporal", "nonlocal", "decoupled"]


def build(kind: str) -> AveragePoolingHead:
    torch.manual_seed(0)
    return AveragePoolingHead(6, 4, dropout=0.0, attention=kind)  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [(2, 3, 3), (5, 2, 1)])
def test_head_gives_logits_for_any_grid(kind: str, size: tuple[int, int, int]) -> None:
    assert build(kind)(torch.randn(3, 6, *size)).shape == (3, 4)


@pytest.mark.parametrize("kind", KINDS)
def test_untrained_head_is_the_baseline(kind: str) -> None:
    head, features = build(kind), torch.randn(2, 6, 2, 3, 3)

    assert torch.allclose(head(features), head.classify(features.flatten(2).mean(-1)), atol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_gradient_reaches_every_parameter(kind: str) -> None:
    head = build(kind)
    for parameter in head.parameters():
        nn.init.normal_(parameter)
    head(torch.randn(2, 6, 2, 3, 3)).square().sum().backward()

    for name, parameter in head.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().max() > 0, name


def trained(layer: nn.Module) -> nn.Module:
    torch.manual_seed(1)
    for parameter in layer.parameters():
        nn.init.normal_(parameter, std=0.5)
    return layer


def seen_from_origin(layer: nn.Module) -> Tensor:
    """Which positions of a 2×3×2 grid the output at position 0, 0, 0 depends on."""
    features = torch.randn(1, 6, 2, 3, 2, requires_grad=True)
    (gradient,) = torch.autograd.grad(trained(layer)(features)[..., 0, 0, 0].sum(), features)
    return gradient[0].abs().sum(0) > 0


@pytest.mark.parametrize(
    ("layer", "positions"),
    [
        (TemporalSelfAttention, (slice(None), 0, 0)),
        (SpatialSelfAttention, (0, slice(None), slice(None))),
        (NonLocalBlock, (slice(None), slice(None), slice(None))),
        (DecoupledAttention, (slice(None), slice(None), slice(None))),
    ],
)
def test_attention_sees_its_axes_and_no_others(layer: type[nn.Module], positions: tuple[int | slice, ...]) -> None:
    expected = torch.zeros(2, 3, 2, dtype=torch.bool)
    expected[positions] = True

    assert torch.equal(seen_from_origin(layer(6)), expected)


def test_nonlocal_block_equals_its_equation() -> None:
    block = trained(NonLocalBlock(6)).double()
    assert isinstance(block, NonLocalBlock)
    features = torch.randn(2, 6, 2, 3, 2, dtype=torch.float64)
    flat = features.flatten(2)
    query, key, value = (
        torch.einsum("oc,bcn->bon", w, flat) + b[:, None]
        for w, b in zip(block.maps.weight.chunk(3), block.maps.bias.chunk(3), strict=True)
    )
    attention = (torch.einsum("bon,bom->bnm", query, key) / math.sqrt(3)).softmax(-1)
    mixed = torch.einsum("bnm,bom->bon", attention, value)
    expected = flat + torch.einsum("co,bon->bcn", block.out.weight, mixed) + block.out.bias[:, None]

    assert torch.allclose(block(features), expected.view_as(features), atol=1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_bfloat16_autocast_is_finite(kind: str) -> None:
    with torch.autocast("cpu", torch.bfloat16):
        logits = build(kind)(20 * torch.randn(2, 6, 2, 3, 3))

    assert logits.isfinite().all()


def test_unknown_attention_is_refused() -> None:
    with pytest.raises(ValueError, match="attention must be one of none, temporal, nonlocal, decoupled, got 'global'"):
        build("global")


def test_features_of_another_width_are_refused() -> None:
    with pytest.raises(ValueError, match=r"features must have shape \(B, 6, T', H', W'\), got \(2, 5, 2, 3, 3\)"):
        build("none")(torch.randn(2, 5, 2, 3, 3))
