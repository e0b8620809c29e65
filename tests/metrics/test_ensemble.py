import math
from importlib import import_module
from typing import Any

import pytest
import torch
from torch import Tensor

from metrics import (
    RateRow,
    Reduction,
    mean_average_precision,
    rate_subsets,
    rate_table,
    reduce_views,
    top_k_accuracy,
)

INF = math.inf


def some_logits(n: int = 5, views: int = 4, num_labels: int = 3) -> Tensor:
    return 3 * torch.randn(n, views, num_labels, generator=torch.Generator().manual_seed(0))


def literal(logits: Tensor, reduction: str, weights: list[float], single_label: bool) -> list[list[float]]:
    """The three rules with Python floats, one number at a time."""

    def activate(row: list[float]) -> list[float]:
        if not single_label:
            return [1 / (1 + math.exp(-x)) for x in row]
        return [math.exp(x) / sum(math.exp(other) for other in row) for x in row]

    def vote(rows: list[list[float]]) -> list[float]:
        columns = zip(*rows, strict=True)
        return [sum(w * x for w, x in zip(weights, column, strict=True)) / sum(weights) for column in columns]

    result = []
    for video in logits.double().tolist():
        if reduction == "mean":
            result.append(vote([activate(row) for row in video]))
        elif reduction == "max":
            result.append([max(column) for column in zip(*[activate(row) for row in video], strict=True)])
        else:
            result.append(activate(vote(video)))
    return result


@pytest.mark.parametrize("single_label", [False, True])
@pytest.mark.parametrize(
    ("reduction", "weights"),
    [
        ("mean", None),
        ("mean", [1.0, 2.0, 0.0, 0.5]),
        ("max", None),
        ("mean_logits", None),
        ("mean_logits", [0.0, 0.0, 3.0, 1.0]),
    ],
)
def test_reduce_views_equals_the_formula(reduction: Reduction, weights: list[float] | None, single_label: bool) -> None:
    logits = some_logits()
    given = None if weights is None else torch.tensor(weights)
    got = reduce_views(logits, reduction=reduction, weights=given, single_label=single_label)
    expected = torch.tensor(literal(logits, reduction, weights or [1.0] * 4, single_label), dtype=torch.float64)
    assert got.dtype == torch.float64
    torch.testing.assert_close(got, expected, rtol=0, atol=1e-14)


def test_reduce_views_in_parts_equals_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    logits = some_logits(11)
    whole = reduce_views(logits)
    monkeypatch.setattr(import_module("metrics.ensemble"), "_CELLS", 40)  # three videos at a time
    torch.testing.assert_close(reduce_views(logits), whole, rtol=0, atol=0)


def test_reduce_views_keeps_apart_what_float32_would_round() -> None:
    # sigmoids of float32 are all 1 here; the order of the videos must survive
    logits = torch.tensor([[[20.0]], [[21.0]], [[22.0]]])
    preds = reduce_views(logits)[:, 0]
    assert preds[0] < preds[1] < preds[2]
    assert (logits.sigmoid() == 1).all()


@pytest.mark.parametrize("reduction", ["mean", "max", "mean_logits"])
@pytest.mark.parametrize("single_label", [False, True])
def test_reduce_views_of_unreadable_video_is_minus_inf(reduction: Reduction, single_label: bool) -> None:
    logits = some_logits()
    logits[1] = -INF
    logits[3, 2] = -INF  # one view is enough: the video was not scored as asked
    logits[4, 0, 0] = -INF  # one label alone is a score like any other
    got = reduce_views(logits, reduction=reduction, single_label=single_label)
    assert (got[[1, 3]] == -INF).all()
    assert got[[0, 2, 4]].isfinite().all()


def test_reduce_views_leaves_views_without_weight_out() -> None:
    logits = some_logits(2, 3, 2)
    logits[0, 2, 1] = -INF
    weights = torch.tensor([1.0, 1.0, 0.0])
    got = reduce_views(logits, reduction="mean_logits", weights=weights)
    torch.testing.assert_close(got, reduce_views(logits[:, :2], reduction="mean_logits"), rtol=0, atol=0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"logits": torch.zeros(2, 3)}, r"of shape \(n, V, K\) with V > 0, got \(2, 3\)"),
        ({"logits": torch.zeros(2, 0, 3)}, r"with V > 0, got \(2, 0, 3\)"),
        ({"logits": torch.zeros(2, 2, 3, dtype=torch.int64)}, "must be floating point"),
        ({"reduction": "median"}, "reduction must be one of mean, max, mean_logits, got 'median'"),
        ({"reduction": "max", "weights": torch.ones(2)}, "weights have no meaning with reduction 'max'"),
        ({"weights": torch.ones(3)}, r"weights must have shape \(2,\), one for each view, got \(3,\)"),
        ({"weights": torch.tensor([1.0, -1.0])}, "weights must be finite, not negative and not all 0"),
        ({"weights": torch.tensor([0.0, 0.0])}, "not all 0"),
        ({"weights": torch.tensor([1.0, math.nan])}, "weights must be finite"),
        ({"logits": torch.tensor([[[0.0]], [[math.nan]]])}, r"NaN or \+inf in 1 of 2 videos, first in row 1"),
        ({"logits": torch.tensor([[[INF]], [[0.0]]])}, r"NaN or \+inf in 1 of 2 videos, first in row 0"),
    ],
)
def test_reduce_views_refuses_by_message(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        reduce_views(**({"logits": torch.zeros(2, 2, 3)} | change))


@pytest.mark.parametrize(
    ("rates", "expected"),
    [
        ([4.0], [(4,)]),
        ([4, 2, 4], [(2,), (4,), (2, 4)]),
        ([8, 2, 4], [(2,), (4,), (8,), (2, 4), (2, 8), (4, 8), (2, 4, 8)]),
    ],
)
def test_rate_subsets_are_singles_pairs_and_all(rates: list[float], expected: list[tuple[float, ...]]) -> None:
    assert rate_subsets(rates) == expected


def test_rate_subsets_of_four_rates_leave_triples_out() -> None:
    assert [len(subset) for subset in rate_subsets([1, 2, 4, 8])] == [1] * 4 + [2] * 6 + [4]


def test_rate_subsets_refuse_no_rates() -> None:
    with pytest.raises(ValueError, match="at least one rate"):
        rate_subsets([])


VIEW_RATES = torch.tensor([2.0, 4.0, 4.0, 8.0])


@pytest.mark.parametrize("reduction", ["mean", "max", "mean_logits"])
def test_rate_table_scores_each_choice_of_views(reduction: Reduction) -> None:
    logits = some_logits(30)
    labels = (torch.rand(30, 3, generator=torch.Generator().manual_seed(1)) < 0.4).long()
    table = rate_table(logits, labels, VIEW_RATES, reduction=reduction)
    views = {(2.0,): [0], (4.0,): [1, 2], (8.0,): [3], (2.0, 4.0): [0, 1, 2], (2.0, 8.0): [0, 3], (4.0, 8.0): [1, 2, 3]}
    views[(2.0, 4.0, 8.0)] = [0, 1, 2, 3]
    assert [row.rates for row in table] == list(views)
    for row in table:
        chosen = views[row.rates]
        expected = mean_average_precision(reduce_views(logits[:, chosen], reduction=reduction), labels)
        assert row == RateRow(row.rates, len(chosen), map=expected.item())


def test_rate_table_weighs_the_views_of_a_rate() -> None:
    logits = some_logits(30)
    labels = (torch.rand(30, 3, generator=torch.Generator().manual_seed(1)) < 0.4).long()
    # 0.1 does not survive float32: the weight must be found all the same
    rates = torch.tensor([0.1, 4.0, 4.0, 8.0])
    table = rate_table(logits, labels, rates, rate_weights={0.1: 3.0, 4: 0.5, 8: 1.0})
    preds = reduce_views(logits, weights=torch.tensor([3.0, 0.5, 0.5, 1.0]))
    assert table[-1].map == mean_average_precision(preds, labels).item()
    assert table[-1].map != rate_table(logits, labels, rates)[-1].map


@pytest.mark.parametrize(("num_labels", "has_top5"), [(3, False), (5, False), (7, True)])
def test_rate_table_of_single_labels_holds_accuracies(num_labels: int, has_top5: bool) -> None:
    logits = some_logits(40, 4, num_labels)
    labels = torch.nn.functional.one_hot(torch.arange(40) % num_labels, num_labels)
    row = rate_table(logits, labels, VIEW_RATES, single_label=True)[-1]
    preds = reduce_views(logits, single_label=True)
    assert row.map is None
    assert row.top1 == top_k_accuracy(preds, labels, 1).item()
    assert row.top5 == (top_k_accuracy(preds, labels, 5).item() if has_top5 else None)


def test_rate_table_passes_the_protocol_on() -> None:
    logits = some_logits(30)
    labels = (torch.rand(30, 3, generator=torch.Generator().manual_seed(1)) < 0.4).long()
    labels[:, 2] = 0
    skip = rate_table(logits, labels, VIEW_RATES)[0].map
    zero = rate_table(logits, labels, VIEW_RATES, absent="zero", unlabelled="minus_inf")[0].map
    preds = reduce_views(logits[:, :1])
    assert skip == mean_average_precision(preds, labels).item()
    assert zero == mean_average_precision(preds, labels, absent="zero", unlabelled="minus_inf").item()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"view_rates": [2, 4]}, "got 2 rates for logits of shape"),
        ({"rate_weights": {2: 1.0, 4: 1.0}}, "rate_weights has no weight for rate 8"),
        ({"rate_weights": {2: 1.0, 4: 0.0, 8: 1.0}}, "rate_weights must be positive, got 0.0 for rate 4"),
        ({"rate_weights": {2: 1, 4: 1, 8: 1}, "reduction": "max"}, "weights have no meaning"),
        ({"absent": "drop"}, "absent must be one of"),
        ({"single_label": True}, "exactly one label in each row"),
    ],
)
def test_rate_table_refuses_by_message(change: dict[str, Any], message: str) -> None:
    given: dict[str, Any] = {
        "logits": some_logits(),
        "labels": torch.ones(5, 3, dtype=torch.int64),
        "view_rates": VIEW_RATES,
    }
    with pytest.raises(ValueError, match=message):
        rate_table(**(given | change))
