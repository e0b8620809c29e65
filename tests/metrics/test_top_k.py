import pytest
import torch
from sklearn.metrics import top_k_accuracy_score

from metrics import top_k_accuracy


def one_hot(truth: list[int], num_labels: int) -> torch.Tensor:
    return torch.nn.functional.one_hot(torch.tensor(truth), num_labels)


@pytest.mark.parametrize("k", [1, 3, 6])
def test_top_k_equals_scikit_learn(k: int) -> None:
    generator = torch.Generator().manual_seed(0)
    preds = torch.randn(101, 7, generator=generator)
    truth = torch.randint(7, (101,), generator=generator)
    expected = top_k_accuracy_score(truth.numpy(), preds.numpy(), k=k, labels=range(7))
    assert top_k_accuracy(preds, one_hot(truth.tolist(), 7), k).item() == pytest.approx(expected, abs=1e-15)


@pytest.mark.parametrize(("k", "expected"), [(1, 0.0), (2, 0.0), (3, 0.5), (4, 1.0)])
def test_top_k_counts_ties_against_the_model(k: int, expected: float) -> None:
    preds = torch.tensor([[0.2, 0.2, 0.2, 0.1], [0.3, 0.3, 0.3, 0.3]])
    assert top_k_accuracy(preds, one_hot([0, 0], 4), k) == expected


def test_top_k_counts_unreadable_video_as_wrong() -> None:
    preds = torch.tensor([[0.9, 0.1], [-torch.inf, -torch.inf], [0.9, -torch.inf]])
    assert top_k_accuracy(preds, one_hot([0, 0, 0], 2), 2).item() == pytest.approx(1 / 3)


@pytest.mark.parametrize("k", [0, 4, -1])
def test_top_k_refuses_k_out_of_range(k: int) -> None:
    with pytest.raises(ValueError, match=rf"k must be between 1 and the number of labels \(3\), got {k}"):
        top_k_accuracy(torch.rand(2, 3), one_hot([0, 1], 3), k)


@pytest.mark.parametrize(("row", "count"), [([1, 1, 0], 2), ([0, 0, 0], 0)])
def test_top_k_refuses_rows_without_exactly_one_label(row: list[int], count: int) -> None:
    labels = torch.tensor([[1, 0, 0], row])
    with pytest.raises(ValueError, match=f"exactly one label in each row, got {count} in row 1"):
        top_k_accuracy(torch.rand(2, 3), labels, 1)
