import pytest
import torch
from torch import Tensor, nn

from networks import ActivitySpecificHead

SWITCHES: list[dict[str, bool | str]] = [
    {},
    {"correlation": False},
    {"observations": False},
    {"observations": False, "correlation": False},
    {"features": False, "correlation": False},
    {"query": "mean"},
    {"feature_query": "last"},
    {"shared_classifier": False},
    {"bias": True},
    {"norm_act": True},
    {"norm_act": True, "query": "mean", "feature_query": "last"},
]


def build(**switches: bool | str | int | float) -> ActivitySpecificHead:
    torch.manual_seed(0)
    return ActivitySpecificHead(
        16,
        5,
        **{"num_observations": 6, "width": 8, "groups": 4, **switches},  # type: ignore[arg-type]
    )


def cooccurrence() -> Tensor:
    labels = torch.tensor([[1, 1, 0, 0, 0], [1, 0, 1, 0, 0], [1, 1, 0, 0, 1], [0, 1, 0, 0, 0]])
    return labels.T @ labels


@pytest.mark.parametrize("switches", SWITCHES)
@pytest.mark.parametrize("size", [(2, 3, 3), (1, 2, 4), (4, 1, 2)])
def test_head_gives_logits_for_any_grid(switches: dict[str, bool | str], size: tuple[int, int, int]) -> None:
    logits = build(**switches)(torch.randn(3, 16, *size))

    assert len(logits) == (2 if switches.get("correlation", True) else 1)
    assert all(y.shape == (3, 5) for y in logits)


@pytest.mark.parametrize("switches", SWITCHES)
def test_gradient_reaches_every_parameter(switches: dict[str, bool | str]) -> None:
    head = build(**switches, dropout=0.0)
    for parameter in head.parameters():
        nn.init.normal_(parameter, mean=0.1)
    sum(y.square().sum() for y in head(torch.randn(3, 16, 2, 3, 3))).backward()

    for name, parameter in head.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().max() > 0, name


def test_query_is_taken_from_the_last_position() -> None:
    features = torch.randn(1, 16, 2, 3, 3)
    changed = features.clone()
    changed[..., 0, 0, 0], changed[..., 0, 1, 1] = features[..., 0, 1, 1], features[..., 0, 0, 0]
    moved = features.clone()
    moved[..., 0, 0, 0], moved[..., -1, -1, -1] = features[..., -1, -1, -1], features[..., 0, 0, 0]
    last, mean = build(dropout=0.0), build(dropout=0.0, query="mean")
    for head in (last, mean):
        nn.init.normal_(head.observe.beta)

    # attention does not depend on the order of the other positions, so only moving the last one changes anything
    assert torch.allclose(last(features)[0], last(changed)[0], atol=1e-5)
    assert not torch.allclose(last(features)[0], last(moved)[0], atol=1e-3)
    assert torch.allclose(mean(features)[0], mean(moved)[0], atol=1e-5)


def test_attention_maps_add_to_one_and_explain_the_logits() -> None:
    head = build(dropout=0.0)
    head.set_cooccurrence(cooccurrence())
    features = torch.randn(2, 16, 2, 3, 4)
    maps = head.attention(features)
    observations, _ = head.observe(features)
    activities = maps["attn_A"] @ observations
    assert head.correlate is not None and head.classify_correlated is not None
    correlated = (maps["attn_C"] + head.correlate.mask) @ activities

    assert {name: tuple(m.shape) for name, m in maps.items()} == {
        "attn_O": (2, 6, 2, 3, 4),
        "attn_A": (2, 5, 6),
        "attn_C": (2, 5, 5),
    }
    assert torch.allclose(maps["attn_O"].sum((2, 3, 4)), torch.ones(2, 6))
    assert torch.allclose(maps["attn_A"].sum(-1), torch.ones(2, 5))
    assert torch.allclose(maps["attn_C"].sum(-1), torch.ones(2, 5))
    assert torch.allclose(head(features)[0], head.classify(activities), atol=1e-6)
    assert torch.allclose(head(features)[1], head.classify_correlated(correlated), atol=1e-6)


def test_ablations_have_only_the_maps_they_use() -> None:
    features = torch.randn(1, 16, 2, 2, 2)

    assert set(build(features=False, correlation=False).attention(features)) == {"attn_O"}
    no_observations = build(observations=False, correlation=False).attention(features)
    assert set(no_observations) == {"attn_O"}
    assert no_observations["attn_O"].shape[1] == 5  # one for each activity


def test_mask_is_the_conditional_frequency() -> None:
    head = build()
    assert head.correlate is not None
    assert torch.equal(head.correlate.mask, torch.zeros(5, 5))
    head.set_cooccurrence(cooccurrence())
    third = 1 / 3

    expected = [
        [1, 2 * third, third, 0, third],  # activity 0 occurs 3 times, twice with 1, once with 2 and once with 4
        [2 * third, 1, 0, 0, third],
        [1, 0, 1, 0, 0],
        [0, 0, 0, 0, 0],  # never occurs
        [1, 1, 0, 0, 1],
    ]
    assert torch.equal(head.correlate.mask, torch.tensor(expected))
    assert head.correlate.mask.dtype == torch.float32
    assert all(logits.isfinite().all() for logits in head(torch.randn(2, 16, 2, 2, 2)))


def test_mask_travels_in_the_state_dict() -> None:
    head, other = build(), build()
    head.set_cooccurrence(cooccurrence())
    for parameter in head.parameters():
        nn.init.normal_(parameter)
    state = head.state_dict()
    other.load_state_dict(state)
    features = torch.randn(2, 16, 2, 2, 2)

    assert "correlate.mask" in state
    assert other.correlate is not None and other.correlate.mask[0, 0] == 1
    assert all(torch.equal(a, b) for a, b in zip(head.eval()(features), other.eval()(features), strict=True))


@pytest.mark.parametrize(
    ("counts", "message"),
    [
        (torch.eye(4, dtype=torch.int64), r"counts must be integers of shape \(5, 5\), got torch.int64 \(4, 4\)"),
        (torch.eye(5), r"got torch.float32 \(5, 5\)"),
        (torch.ones(5, 5, dtype=torch.int64).triu(), "symmetric"),
        (torch.eye(5, dtype=torch.int64) - 2, "between 0 and the diagonal"),
        (3 - torch.eye(5, dtype=torch.int64), "between 0 and the diagonal"),
    ],
)
def test_counts_that_are_no_counts_are_refused(counts: Tensor, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build().set_cooccurrence(counts)


def test_counts_without_correlation_are_refused() -> None:
    with pytest.raises(ValueError, match="needs a head with correlation"):
        build(correlation=False).set_cooccurrence(cooccurrence())


@pytest.mark.parametrize("switches", SWITCHES)
def test_bfloat16_autocast_is_finite_and_keeps_softmax_in_float32(switches: dict[str, bool | str]) -> None:
    head = build(**switches)
    features = 30 * torch.randn(2, 16, 2, 3, 3)
    with torch.autocast("cpu", torch.bfloat16):
        logits = head(features.bfloat16())
        maps = head.attention(features.bfloat16())
    sum(y.float().sum() for y in logits).backward()

    assert all(y.isfinite().all() for y in logits)
    assert all(m.dtype == torch.float32 and m.isfinite().all() for m in maps.values())
    assert torch.allclose(maps["attn_O"].sum((2, 3, 4)), torch.ones(()), atol=1e-5)
    assert all(p.grad is not None and p.grad.isfinite().all() for p in head.parameters())


def test_dropout_acts_in_training_only() -> None:
    head, features = build(dropout=0.9), torch.randn(2, 16, 2, 2, 2)

    assert not torch.equal(head(features)[0], head(features)[0])
    head.eval()
    assert torch.equal(head(features)[0], head(features)[0])


@pytest.mark.parametrize(
    ("switches", "message"),
    [
        ({"groups": 3}, "groups must divide num_features 16, got 3"),
        ({"groups": 16, "width": 8}, "groups must divide width 8, got 16"),
        ({"groups": 0}, "groups must be a positive integer, got 0"),
        ({"width": 0}, "width must be a positive integer, got 0"),
        ({"num_observations": -1}, "num_observations must be a positive integer, got -1"),
        ({"query": "first"}, "query must be one of last, mean, got 'first'"),
        ({"feature_query": "mean"}, "feature_query must be one of learned, last, got 'mean'"),
        ({"dropout": 1.0}, r"dropout must lie in \[0, 1\), got 1.0"),
        ({"features": False}, "correlation must be false and observations true when features is false"),
        ({"features": False, "correlation": False, "observations": False}, "observations=False"),
        ({"bias": True, "norm_act": True}, "bias must be false when norm_act is true"),
    ],
)
def test_arguments_that_do_not_fit_are_refused(switches: dict[str, bool | str | int | float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build(**switches)


@pytest.mark.parametrize("shape", [(2, 8, 2, 3, 3), (2, 16, 3, 3)])
def test_features_that_do_not_fit_are_refused(shape: tuple[int, ...]) -> None:
    for call in (build().forward, build().attention):
        with pytest.raises(ValueError, match=r"features must have shape \(B, 16, T', H', W'\), got \(2, "):
            call(torch.randn(shape))
