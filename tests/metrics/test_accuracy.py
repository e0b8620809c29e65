from collections.abc import Callable
from fractions import Fraction

import numpy as np
import pytest
import torch
from torch import Tensor

from metrics.accuracy import (
    VideoMeanLabelAccuracy,
    VideoMeanTopError,
    label_accuracy,
    mean_label_accuracy,
    mean_top_error,
)


def some_videos(n: int = 60, num_labels: int = 8) -> tuple[Tensor, Tensor]:
    """Scores of six levels, so that they tie; label 5 never occurs; video 7 could not be read."""
    generator = torch.Generator().manual_seed(1)
    preds = torch.randint(0, 6, (n, num_labels), generator=generator) / 6
    truth = torch.randint(0, num_labels, (n,), generator=generator)
    truth[truth == 5] = 2
    preds[torch.arange(n), truth] += 0.4
    preds[7] = -torch.inf
    return preds, torch.nn.functional.one_hot(truth, num_labels)


def right(preds: list[float], label: int, k: int) -> bool:
    """Whether the label is among the k first, the others standing above it where they tie."""
    above = sum(1 for other, score in enumerate(preds) if other != label and score >= preds[label])
    return above < k and preds[label] > -float("inf")


def loop_error(preds: Tensor, labels: Tensor) -> float:
    rows = [(scores.tolist(), int(label.argmax())) for scores, label in zip(preds, labels, strict=True)]
    errors = [Fraction(sum(not right(scores, label, k) for scores, label in rows), len(rows)) for k in (1, 5)]
    return float(100 * sum(errors) / 2)


def loop_accuracy(preds: Tensor, labels: Tensor) -> float:
    hits: dict[int, list[bool]] = {}
    for scores, label in zip(preds, labels.argmax(1).tolist(), strict=True):
        hits.setdefault(label, []).append(right(scores.tolist(), label, 1))
    return float(sum(Fraction(sum(own), len(own)) for own in hits.values()) / len(hits))


FUNCTIONS = [(mean_top_error, loop_error), (mean_label_accuracy, loop_accuracy)]


@pytest.mark.parametrize(("function", "loop"), FUNCTIONS)
def test_scores_of_single_labels_equal_the_loop(
    function: Callable[[Tensor, Tensor], Tensor], loop: Callable[[Tensor, Tensor], float]
) -> None:
    preds, labels = some_videos()
    got = function(preds, labels)
    assert got.dtype == torch.float64 and got.shape == ()
    np.testing.assert_allclose(got.item(), loop(preds, labels), rtol=1e-12)
    order = torch.randperm(len(preds))
    np.testing.assert_allclose(function(preds[order], labels[order].bool()).item(), got.item(), rtol=1e-12)


def test_mean_top_error_is_as_computed_by_hand() -> None:
    preds = torch.tensor([[6.0, 5, 4, 3, 2, 1], [6, 5, 4, 3, 2, 1], [6, 5, 4, 3, 2, 1], [6, 6, 4, 3, 2, 1]])
    labels = torch.nn.functional.one_hot(torch.tensor([0, 4, 5, 0]), 6)
    # top-1 error 3/4 (the last ties), top-5 error 1/4
    assert mean_top_error(preds, labels).item() == 50


def test_mean_label_accuracy_weighs_labels_and_not_videos() -> None:
    labels = torch.nn.functional.one_hot(torch.tensor([0, 0, 0, 0, 1]), 3)
    preds = torch.tensor([[1.0, 0, 0]]).repeat(5, 1)
    assert mean_label_accuracy(preds, labels).item() == 0.5


def test_label_accuracy_is_that_of_each_label_and_nan_without_a_video() -> None:
    preds, labels = some_videos()
    values = label_accuracy(preds, labels)
    assert values.dtype == torch.float64 and values.shape == (8,) and values.isnan().nonzero().tolist() == [[5]]
    for label in (0, 1, 2, 3, 4, 6, 7):
        own = [right(scores.tolist(), label, 1) for scores in preds[labels[:, label] == 1]]
        assert values[label].item() == sum(own) / len(own)
    assert mean_label_accuracy(preds, labels).item() == pytest.approx(np.nanmean(values.numpy()), abs=1e-15)


@pytest.mark.parametrize("function", [mean_top_error, mean_label_accuracy])
def test_no_video_gives_nan(function: Callable[[Tensor, Tensor], Tensor]) -> None:
    assert function(torch.zeros(0, 6), torch.zeros(0, 6, dtype=torch.int64)).isnan()


@pytest.mark.parametrize("function", [mean_top_error, mean_label_accuracy])
def test_two_labels_in_a_row_are_refused(function: Callable[[Tensor, Tensor], Tensor]) -> None:
    with pytest.raises(ValueError, match="exactly one label in each row, got 2 in row 1"):
        function(torch.rand(2, 6), torch.tensor([[0, 1, 0, 0, 0, 0], [0, 1, 1, 0, 0, 0]]))


def test_top_5_of_fewer_labels_is_refused() -> None:
    with pytest.raises(ValueError, match="k must be between 1 and the number of labels \\(4\\), got 5"):
        mean_top_error(torch.rand(2, 4), torch.eye(4).long()[:2])


@pytest.mark.parametrize(
    ("metric", "loop"), [(VideoMeanTopError(), loop_error), (VideoMeanLabelAccuracy(), loop_accuracy)]
)
def test_metrics_of_single_labels_equal_the_loop_with_each_video_once(
    metric: VideoMeanTopError | VideoMeanLabelAccuracy, loop: Callable[[Tensor, Tensor], float]
) -> None:
    preds, labels = some_videos()
    for rows in ([9, 59, 7], [*range(7), 8, *range(10, 59)], [3, 0, 59]):
        metric.update(torch.tensor(rows), preds[rows], labels[rows])
    np.testing.assert_allclose(metric.compute().item(), loop(preds, labels), rtol=1e-12)
    with pytest.raises(ValueError, match="float16"):
        metric.update(torch.arange(1), preds[:1].half(), labels[:1])
    assert metric.higher_is_better == isinstance(metric, VideoMeanLabelAccuracy)
