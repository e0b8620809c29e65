from collections.abc import Callable
from importlib import import_module

import numpy as np
import pytest
import torch
from sklearn.metrics import average_precision_score
from torch import Tensor

from metrics import average_precision, mean_average_precision


def random_case(n: int, num_labels: int, seed: int, share: float = 0.3) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    labels = (torch.rand(n, num_labels, generator=generator) < share).long()
    labels[0] = 1  # every label occurs
    return torch.randn(n, num_labels, generator=generator).sigmoid(), labels


def reference(preds: Tensor, labels: Tensor) -> np.ndarray:
    # each column alone: scikit-learn's macro average would hide which label differs
    columns = zip(labels.T.numpy(), preds.double().T.numpy(), strict=True)
    return np.array([average_precision_score(truth, score) for truth, score in columns])


def as_is(preds: Tensor) -> Tensor:
    return preds


def rounded_to_tenths(preds: Tensor) -> Tensor:
    return (preds * 10).round() / 10


def through_bfloat16(preds: Tensor) -> Tensor:
    return (preds * 8 - 4).sigmoid().bfloat16().float()


def constant(preds: Tensor) -> Tensor:
    return torch.full_like(preds, 0.5)


def some_unreadable(preds: Tensor) -> Tensor:
    # scikit-learn refuses -inf: the reference uses -1, which ranks alike below all probabilities
    return torch.where(torch.arange(len(preds))[:, None] % 5 == 0, -1.0, preds)


@pytest.mark.parametrize("change", [as_is, rounded_to_tenths, through_bfloat16, constant, some_unreadable])
@pytest.mark.parametrize("seed", [0, 1])
def test_average_precision_equals_scikit_learn(change: Callable[[Tensor], Tensor], seed: int) -> None:
    preds, labels = random_case(203, 17, seed)
    preds = change(preds)
    got = average_precision(preds, labels)
    assert got.dtype == torch.float64
    np.testing.assert_allclose(got.numpy(), reference(preds, labels), rtol=0, atol=1e-12)
    unreadable = preds.masked_fill(preds == -1, -torch.inf)
    torch.testing.assert_close(average_precision(unreadable, labels), got, rtol=0, atol=0)


def test_average_precision_in_chunks_equals_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    preds, labels = random_case(50, 13, 3)
    whole = average_precision(preds, labels)
    # the module by its full name: in the room the name is the function's
    monkeypatch.setattr(import_module("metrics.average_precision"), "_CELLS", 150)  # three labels at a time
    torch.testing.assert_close(average_precision(preds, labels), whole, rtol=0, atol=0)


def test_average_precision_does_not_depend_on_row_order() -> None:
    preds, labels = random_case(60, 5, 4)
    preds = rounded_to_tenths(preds)
    order = torch.randperm(60, generator=torch.Generator().manual_seed(0))
    # the terms of the sum come in another order: equal but for the last bit
    torch.testing.assert_close(average_precision(preds[order], labels[order]), average_precision(preds, labels))


def test_average_precision_is_exact_by_hand() -> None:
    preds = torch.tensor([[0.9], [0.8], [0.8], [0.1]])
    labels = torch.tensor([[1], [0], [1], [1]])
    # places 1, then a tie over places 2 and 3 (2 of 3 right), then place 4
    assert average_precision(preds, labels).item() == pytest.approx((1 / 1 + 2 / 3 + 3 / 4) / 3, abs=1e-15)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16])
def test_average_precision_takes_any_float_and_bool_labels(dtype: torch.dtype) -> None:
    preds, labels = random_case(40, 4, 5)
    got = average_precision(preds.to(dtype), labels.bool())
    np.testing.assert_allclose(got.numpy(), reference(preds.to(dtype), labels), rtol=0, atol=1e-12)


def test_average_precision_of_absent_label_is_nan() -> None:
    got = average_precision(torch.rand(6, 3), torch.tensor([[1, 0, 0]] * 6))
    assert got[0] == 1
    assert got[1:].isnan().all()
    assert average_precision(torch.rand(0, 3), torch.zeros(0, 3, dtype=torch.int64)).isnan().all()


@pytest.mark.parametrize(
    ("preds", "labels", "message"),
    [
        (
            torch.rand(4, 3),
            torch.zeros(4, 2, dtype=torch.int64),
            r"shape \(videos, labels\), got \(4, 3\) and \(4, 2\)",
        ),
        (torch.rand(4), torch.zeros(4, dtype=torch.int64), r"got \(4,\) and \(4,\)"),
        (torch.ones(2, 2, dtype=torch.int64), torch.ones(2, 2, dtype=torch.int64), "preds must be floating point"),
        (torch.rand(2, 2), torch.ones(2, 2), r"labels must be integer or bool, got torch.float32"),
        (torch.rand(2, 2), torch.full((2, 2), 2), "labels must hold 0 and 1 only"),
        (torch.tensor([[0.5], [torch.nan]]), torch.ones(2, 1, dtype=torch.int64), "NaN in 1 of 2 rows, first in row 1"),
    ],
)
def test_average_precision_refuses_by_message(preds: Tensor, labels: Tensor, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        average_precision(preds, labels)
    with pytest.raises(ValueError, match=message):
        mean_average_precision(preds, labels, unlabelled="minus_inf")


def official_charades(preds: Tensor, labels: Tensor) -> float:
    """Written out as the protocol says, one video at a time; for scores without ties."""
    score, truth = preds.double().tolist(), labels.tolist()
    for row in range(len(score)):
        if sum(truth[row]) == 0:
            score[row] = [-float("inf")] * len(score[row])
    values = []
    for label in range(labels.shape[1]):
        right, precisions = 0, []
        for place, row in enumerate(sorted(range(len(score)), key=lambda row: -score[row][label]), start=1):
            if truth[row][label]:
                right += 1
                precisions.append(right / place)
        if precisions:
            values.append(sum(precisions) / len(precisions))
    return sum(values) / len(values)


def test_mean_average_precision_follows_charades_protocol() -> None:
    preds, labels = random_case(80, 12, 6, share=0.05)
    preds = preds.logit()  # below 0 too: -inf must stand below every score, not at the lowest probability
    labels[20:30] = 0  # videos without labels
    labels[:, 7] = 0  # an absent label
    got = mean_average_precision(preds, labels, absent="skip", unlabelled="minus_inf")
    assert got.item() == pytest.approx(official_charades(preds, labels), abs=1e-12)
    assert got > mean_average_precision(preds, labels)  # unlabelled videos can hurt only as negatives


def test_mean_average_precision_choices_differ_as_named() -> None:
    preds, labels = random_case(40, 4, 7)
    labels[:, 1] = 0
    present = average_precision(preds, labels)[[0, 2, 3]]
    assert mean_average_precision(preds, labels).item() == pytest.approx(present.mean().item(), abs=1e-15)
    assert mean_average_precision(preds, labels, absent="zero").item() == pytest.approx(present.sum().item() / 4)


def test_mean_average_precision_without_any_label_is_nan_or_zero() -> None:
    labels = torch.zeros(5, 2, dtype=torch.int64)
    assert mean_average_precision(torch.rand(5, 2), labels).isnan()
    assert mean_average_precision(torch.rand(5, 2), labels, absent="zero") == 0


@pytest.mark.parametrize("name", ["absent", "unlabelled"])
def test_mean_average_precision_refuses_unknown_choice(name: str) -> None:
    with pytest.raises(ValueError, match=f"{name} must be one of .*, got 'drop'"):
        mean_average_precision(torch.rand(2, 2), torch.ones(2, 2, dtype=torch.int64), **{name: "drop"})  # type: ignore[arg-type]
