import warnings

import numpy as np
import pytest
import torch
from sklearn import metrics as sklearn
from torch import Tensor
from torchmetrics.functional.classification import multilabel_coverage_error, multilabel_hamming_distance

from metrics.multilabel import MEASURES, MultilabelSuite, multilabel_suite


def rows(n: int = 60, num_labels: int = 7, seed: int = 0, ties: bool = False) -> tuple[Tensor, Tensor]:
    """Scores and truth; the first rows have no label, the next ones all, and the last one nothing predicted."""
    generator = torch.Generator().manual_seed(seed)
    preds = torch.rand(n, num_labels, generator=generator)
    labels = (torch.rand(n, num_labels, generator=generator) < 0.3).long()
    labels[:4], labels[4:8] = 0, 1
    preds[1], preds[5], preds[-1] = 0.1, 0.1, 0.2
    return (preds * 8).round() / 8 if ties else preds, labels


def reference(preds: Tensor, labels: Tensor, threshold: float) -> dict[str, float]:
    scores, truth = preds.double().numpy(), labels.numpy()
    decided = (scores >= threshold).astype(int)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", sklearn_warning())  # rows without any label count 0 in the Jaccard score
        jaccard = sklearn.jaccard_score(truth, decided, average="samples")
    return {
        "hamming_loss": sklearn.hamming_loss(truth, decided),
        "zero_one_loss": sklearn.zero_one_loss(truth, decided),
        "ranking_loss": sklearn.label_ranking_loss(truth, scores),
        "coverage": sklearn.coverage_error(truth, scores),
        "jaccard": jaccard,
        "lrap": sklearn.label_ranking_average_precision_score(truth, scores),
    }


def sklearn_warning() -> type[Warning]:
    from sklearn.exceptions import UndefinedMetricWarning

    kind: type[Warning] = UndefinedMetricWarning
    return kind


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("threshold", [0.5, 0.25])
@pytest.mark.parametrize("num_labels", [7, 2])
def test_multilabel_suite_equals_scikit_learn(ties: bool, threshold: float, num_labels: int) -> None:
    preds, labels = rows(num_labels=num_labels, ties=ties)
    got = multilabel_suite(preds, labels, threshold)
    expected = reference(preds, labels, threshold)
    assert list(got) == list(expected) == list(MEASURES)
    for name, value in expected.items():
        assert got[name] == pytest.approx(value, abs=1e-12), name


def test_multilabel_suite_equals_torchmetrics_where_it_has_no_ties() -> None:
    preds, labels = rows()
    preds, labels = preds[8:-1], labels[8:-1]
    got = multilabel_suite(preds, labels)
    assert got["hamming_loss"] == pytest.approx(
        multilabel_hamming_distance(preds, labels, 7, average="micro").item(), abs=1e-6
    )
    assert got["coverage"] == pytest.approx(multilabel_coverage_error(preds, labels, 7).item(), abs=1e-6)


@pytest.mark.parametrize(
    ("truth", "expected"),
    [
        # hamming, zero-one, ranking loss, coverage, jaccard, lrap, by hand for the scores .9 .6 .6 .1
        ([1, 0, 1, 0], (1 / 4, 1, 1 / 4, 3, 2 / 3, (1 / 1 + 2 / 3) / 2)),
        ([0, 0, 0, 1], (4 / 4, 1, 3 / 3, 4, 0 / 4, 1 / 4)),
        ([1, 1, 1, 0], (0, 0, 0, 3, 1, 1)),
        ([0, 0, 0, 0], (3 / 4, 1, 0, 0, 0, 1)),
        ([1, 1, 1, 1], (1 / 4, 1, 0, 4, 3 / 4, 1)),
    ],
)
def test_multilabel_suite_of_one_row_by_hand(truth: list[int], expected: tuple[float, ...]) -> None:
    got = multilabel_suite(torch.tensor([[0.9, 0.6, 0.6, 0.1]]), torch.tensor([truth]))
    assert tuple(got.values()) == pytest.approx(expected, abs=1e-15)


def test_multilabel_suite_of_nothing_true_and_nothing_predicted() -> None:
    got = multilabel_suite(torch.full((1, 3), 0.2), torch.zeros(1, 3, dtype=torch.int64))
    assert tuple(got.values()) == (0, 0, 0, 0, 0, 1)


def test_multilabel_suite_in_parts_equals_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    preds, labels = rows(ties=True)
    whole = multilabel_suite(preds, labels)
    monkeypatch.setattr("metrics.multilabel._CELLS", 15)  # two rows at a time, and then two labels
    for name, value in multilabel_suite(preds, labels).items():
        assert value == pytest.approx(whole[name], abs=1e-12)


def test_multilabel_suite_takes_scores_of_minus_infinity() -> None:
    preds, labels = rows()
    unreadable = torch.arange(len(preds))[:, None] % 3 == 0
    got = multilabel_suite(preds.masked_fill(unreadable, -torch.inf), labels)
    assert got == multilabel_suite(torch.where(unreadable, -1.0, preds), labels)


def test_multilabel_metric_counts_each_window_once() -> None:
    preds, labels = rows(ties=True)
    metric = MultilabelSuite(7, threshold=0.3)
    for index, place in ((2, slice(40, 60)), (0, slice(0, 1)), (1, slice(1, 40)), (2, slice(40, 60))):
        metric.update(index, preds[place], labels[place])
    # the same steps as two windows of one video
    windows = MultilabelSuite(7, threshold=0.3)
    windows.update(0, preds[33:], labels[33:], first=33)
    windows.update(0, preds[:33], labels[:33])
    for name, value in multilabel_suite(preds, labels, 0.3).items():
        assert metric.compute()[name].dtype == torch.float64
        assert metric.compute()[name].item() == pytest.approx(value, abs=1e-12)
        assert windows.compute()[name].item() == pytest.approx(value, abs=1e-12)


def test_multilabel_metric_refuses_what_it_cannot_count() -> None:
    preds, labels = rows()
    metric = MultilabelSuite(7)
    metric.update(0, preds, labels, first=5)
    metric.update(0, preds, labels, first=64)
    with pytest.raises(ValueError, match="windows of video 0 from the steps 5 and 64 overlap"):
        metric.compute()
    other = MultilabelSuite(7)
    other.update(1, preds, labels)
    other.update(1, preds, 1 - labels)
    with pytest.raises(ValueError, match="video 1 came twice from step 0 with different truth"):
        other.compute()
    with pytest.raises(ValueError, match=r"video 3: preds must be \(steps, 7\), got \(60, 5\)"):
        metric.update(3, preds[:, :5], labels[:, :5])
    with pytest.raises(ValueError, match="at least one row"):
        multilabel_suite(preds[:0], labels[:0])
    with pytest.raises(ValueError, match="NaN in 60 of 60 rows"):
        multilabel_suite(preds * np.nan, labels)
