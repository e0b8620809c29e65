"""The head against the papers: their equations written out, and their tables of parameters and GFLOPs."""

import itertools
import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from networks import ActivitySpecificHead
from networks.activity_features import ActivityClassifier
from networks.observations import Observations


def grouped_map(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Eq. 7 as a grouped convolution: (B, C, N), (n, D/n, C/n) -> (B, D, N)."""
    return F.conv1d(x, weight.flatten(0, 1).unsqueeze(-1), bias, groups=weight.shape[0])


def literal_observations(maps: Observations, features: Tensor, gamma_bias: Tensor | None = None) -> Tensor:
    """Eq. 2-4 and 6, one observation after the other, each map at every position."""
    flat = features.flatten(2)
    rows = []
    for k in range(maps.num_observations):
        alpha_bias, beta_bias, last_bias = (
            None if b is None else b[k] for b in (maps.alpha_bias, maps.beta_bias, gamma_bias)
        )
        queries = grouped_map(flat, maps.beta[:, k], beta_bias)
        query = queries[..., -1] if maps.query == "last" else queries.mean(-1)
        scores = torch.einsum("bd,bdn->bn", query, grouped_map(flat, maps.gamma[:, k], last_bias))
        values = grouped_map(flat, maps.alpha[:, k], alpha_bias)
        rows.append(torch.einsum("bn,bdn->bd", scores.softmax(-1), values))
    return torch.stack(rows, 1)


def literal_head(head: ActivitySpecificHead, features: Tensor, gamma_bias: Tensor | None = None) -> list[Tensor]:
    """Eq. 1-12 without dropout, for the head with attn_A."""
    observations = literal_observations(head.observe, features, gamma_bias)
    assert head.combine is not None
    columns = observations.transpose(1, 2)
    keys = grouped_map(columns, head.combine.key.weight)
    if head.combine.query is None:
        scores = torch.einsum("ad,bdk->bak", head.combine.weight, keys)
    else:
        last = grouped_map(columns, head.combine.query.weight)[..., -1]
        scores = torch.einsum("ad,bd,bdk->bak", head.combine.weight, last, keys)
    activities = torch.einsum("bak,bkd->bad", scores.softmax(-1), observations)
    assert isinstance(head.classify, ActivityClassifier)
    logits = [activities @ head.classify.weight[0] + head.classify.bias]
    if head.correlate is not None and head.classify_correlated is not None:
        columns = activities.transpose(1, 2)
        queries, keys = (grouped_map(columns, m.weight) for m in (head.correlate.query, head.correlate.key))
        correlation = torch.einsum("bdi,bdj->bij", queries, keys).softmax(-1) + head.correlate.mask
        correlated = torch.einsum("bij,bjd->bid", correlation, activities)
        logits.append(correlated @ head.classify_correlated.weight[0] + head.classify_correlated.bias)
    return logits


def relative_error(ours: Tensor, theirs: Tensor) -> float:
    return float((ours - theirs).detach().abs().max() / theirs.detach().abs().max())


@pytest.mark.parametrize("groups", [1, 4, 8])
@pytest.mark.parametrize("query", ["last", "mean"])
@pytest.mark.parametrize("feature_query", ["learned", "last"])
@pytest.mark.parametrize("bias", [False, True])
def test_folded_head_equals_literal_in_values_and_gradients(
    groups: int, query: str, feature_query: str, bias: bool
) -> None:
    torch.manual_seed(0)
    head = ActivitySpecificHead(
        16,
        5,
        num_observations=3,
        width=8,
        groups=groups,
        query=query,  # type: ignore[arg-type]
        feature_query=feature_query,  # type: ignore[arg-type]
        dropout=0.0,
        bias=bias,
    ).double()
    for parameter in head.parameters():  # attention neither flat nor saturated, where gradients would be rounding
        torch.nn.init.normal_(parameter, std=parameter.shape[-1] ** -0.5)
    labels = torch.randint(0, 2, (20, 5))
    head.set_cooccurrence(labels.T @ labels)
    features = torch.randn(2, 16, 3, 2, 2, dtype=torch.float64, requires_grad=True)
    # the literal keys carry a bias that the head does not have: the softmax must cancel it
    gamma_bias = torch.randn(3, 8, dtype=torch.float64) if bias else None
    inputs = [features, *head.parameters()]
    ours, theirs = head(features), literal_head(head, features, gamma_bias)
    weights = [torch.randn_like(logits) for logits in ours]
    gradients = [
        torch.autograd.grad(sum((w * y).sum() for w, y in zip(weights, outputs, strict=True)), inputs)
        for outputs in (ours, theirs)
    ]

    assert len(ours) == len(theirs) == 2
    for y, expected in zip(ours, theirs, strict=True):
        assert relative_error(y, expected) < 1e-10
    for gradient, expected in zip(*gradients, strict=True):
        assert relative_error(gradient, expected) < 1e-10


@pytest.mark.parametrize("query", ["last", "mean"])
@pytest.mark.parametrize("training", [True, False])
def test_observations_with_norm_and_activation_equal_convolutions(query: str, training: bool) -> None:
    torch.manual_seed(0)
    maps = Observations(12, 3, 8, 4, query=query, norm_act=True).double()  # type: ignore[arg-type]
    for tensor in (*maps.parameters(), *(b for b in maps.buffers() if b.is_floating_point())):
        torch.nn.init.uniform_(tensor, 0.5, 1.5)
    for weight in (maps.alpha, maps.beta, maps.gamma):
        torch.nn.init.normal_(weight)
    features = torch.randn(4, 12, 2, 3, 2, dtype=torch.float64)
    rows = []
    for k in range(3):
        out = []
        for weight, norm in zip((maps.alpha, maps.beta, maps.gamma), maps.norms, strict=True):
            own = slice(8 * k, 8 * k + 8)
            mean, var, scale, shift = (
                norm.state_dict()[name][own] for name in ("running_mean", "running_var", "weight", "bias")
            )
            mapped = grouped_map(features.flatten(2), weight[:, k])
            out.append(F.batch_norm(mapped, mean.clone(), var.clone(), scale, shift, training=training).relu())
        query_vector = out[1][..., -1] if query == "last" else out[1].mean(-1)
        attention = torch.einsum("bd,bdn->bn", query_vector, out[2]).softmax(-1)
        rows.append(torch.einsum("bn,bdn->bd", attention, out[0]))

    observations, _ = maps.train(training)(features)

    assert relative_error(observations, torch.stack(rows, 1)) < 1e-10


def printed_head(num_labels: int = 157, *, groups: int, k: int = 64, **switches: bool | str) -> ActivitySpecificHead:
    """The head on the feature map of CSN-152 (2048 channels), without memory."""
    with torch.device("meta"):
        return ActivitySpecificHead(2048, num_labels, num_observations=k, groups=groups, **switches)  # type: ignore[arg-type]


# (groups, K, printed parameters in millions)
FIRST_2A = [(1, 64, "50.4"), (8, 64, "6.3"), (16, 64, "3.2"), (32, 64, "1.6")]
FIRST_2B = [(16, 16, "0.8"), (16, 32, "1.6"), (16, 64, "3.2"), (16, 128, "6.3")]
LATER_3A = [(1, 64, "50.4"), (8, 64, "6.3"), (32, 64, "1.6"), (64, 64, "0.8")]
LATER_3B = [(32, 16, "0.4"), (32, 32, "0.8"), (32, 64, "1.6"), (32, 128, "3.2")]


@pytest.mark.parametrize(
    ("correlation", "row"),
    [*itertools.product([False], FIRST_2A + FIRST_2B), *itertools.product([False, True], LATER_3A + LATER_3B)],
)
@pytest.mark.parametrize("feature_query", ["learned", "last"])
def test_number_of_parameters_is_the_printed_one(
    correlation: bool, row: tuple[int, int, str], feature_query: str
) -> None:
    groups, k, printed = row
    head = printed_head(groups=groups, k=k, correlation=correlation, feature_query=feature_query)

    assert f"{sum(p.numel() for p in head.parameters()) / 1e6:.1f}" == printed


@pytest.mark.parametrize(("num_labels", "printed"), [(157, "1.6"), (1024, "1.7")])
def test_number_of_parameters_hardly_grows_with_the_activities(num_labels: int, printed: str) -> None:
    head = printed_head(num_labels, groups=32)

    assert f"{sum(p.numel() for p in head.parameters()) / 1e6:.1f}" == printed


def test_biases_would_miss_the_printed_number_of_parameters() -> None:
    count = sum(p.numel() for p in printed_head(groups=16, k=128, correlation=False, bias=True).parameters())
    gamma_bias = 128 * 128

    assert f"{(count + gamma_bias) / 1e6:.1f}" == "6.4"


def literal_giga_macs(head: ActivitySpecificHead) -> float:
    """Multiply-accumulates of the literal form for one view of 32×224×224 (N = 4·7·7 positions), in 10⁹."""
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        literal_head(head, torch.empty(1, 2048, 4, 7, 7, device="meta"))
    return int(counter.get_total_flops()) / 2e9


@pytest.mark.parametrize(
    ("groups", "k", "printed"),
    [(1, 64, 9.87), (8, 64, 1.24), (32, 64, 0.32), (64, 64, 0.16), (32, 16, 0.08), (32, 32, 0.16), (32, 128, 0.62)],
)
def test_multiply_accumulates_are_the_printed_ones(groups: int, k: int, printed: float) -> None:
    assert literal_giga_macs(printed_head(groups=groups, k=k, correlation=False)) == pytest.approx(printed, abs=0.01)


def test_multiply_accumulates_for_more_activities_are_the_printed_ones() -> None:
    # the papers print 0.32 and 0.33: the second leaves out the products of A × A activities
    assert literal_giga_macs(printed_head(157, groups=32)) == pytest.approx(0.32, abs=0.01)
    assert literal_giga_macs(printed_head(1024, groups=32, correlation=False)) == pytest.approx(0.33, abs=0.01)
    assert literal_giga_macs(printed_head(1024, groups=32)) > 0.33 + 2 * 1024 * 1024 * 128 / 1e9 - 0.01


def entropy_share(attention: Tensor) -> float:
    """Mean entropy of the last dimension, as a share of that of the uniform distribution."""
    attention = attention.detach()
    return float(-(attention * attention.clamp_min(1e-30).log()).sum(-1).mean() / math.log(attention.shape[-1]))


@pytest.mark.parametrize("rectified", [False, True])
@pytest.mark.parametrize("norm_act", [False, True])
def test_untrained_head_is_not_saturated(rectified: bool, norm_act: bool) -> None:
    torch.manual_seed(0)
    head = ActivitySpecificHead(256, 20, num_observations=32, norm_act=norm_act, dropout=0.0)
    features = torch.randn(2, 256, 4, 7, 7)
    maps = head.attention(features.relu() if rectified else features)

    assert entropy_share(maps["attn_O"].flatten(2)) > 0.9
    assert entropy_share(maps["attn_A"]) > 0.6
    assert entropy_share(maps["attn_C"]) > 0.9
    assert all(bool(logits.abs().max() < 1) for logits in head(features))
