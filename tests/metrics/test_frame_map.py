import json
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.metrics import average_precision_score
from torch import Tensor

from benchmarks.metrics import SMALL, main
from metrics.average_precision import Absent
from metrics.frame_map import FrameMeanAveragePrecision, frame_average_precision, frame_rankings
from metrics.ranking import areas

LENGTHS = [13, 40, 1, 0, 27]
NUM_LABELS = 11  # not a multiple of the 8 labels worked on at a time


def videos(seed: int = 0, ties: bool = False) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Scores (T, K) float32 and truth (T, K) of videos of `LENGTHS`; label 3 never occurs."""
    random = np.random.default_rng(seed)
    preds = [random.random((steps, NUM_LABELS), dtype=np.float32) for steps in LENGTHS]
    labels = [random.random((steps, NUM_LABELS)) < 0.3 for steps in LENGTHS]
    for truth in labels:
        truth[:, 3] = False
    return [np.round(table, 1) if ties else table for table in preds], labels


def reference(preds: list[np.ndarray], labels: list[np.ndarray]) -> np.ndarray:
    scores, truth = np.concatenate(preds), np.concatenate(labels)
    return np.array(
        [
            average_precision_score(truth[:, k], scores[:, k]) if truth[:, k].any() else np.nan
            for k in range(scores.shape[1])
        ]
    )


def tensors(preds: list[np.ndarray], labels: list[np.ndarray]) -> Iterator[tuple[int, Tensor, Tensor]]:
    for index, (scores, truth) in enumerate(zip(preds, labels, strict=True)):
        yield index, torch.from_numpy(scores), torch.from_numpy(truth).long()


@pytest.mark.parametrize("ties", [False, True])
def test_frame_average_precision_equals_scikit_learn(ties: bool) -> None:
    preds, labels = videos(ties=ties)
    got = frame_average_precision(preds, labels)
    assert got.dtype == np.float64
    np.testing.assert_allclose(got, reference(preds, labels), rtol=0, atol=1e-12)
    assert np.isnan(got).tolist() == [k == 3 for k in range(NUM_LABELS)]


def test_frame_rankings_have_the_areas_and_the_units_of_the_videos() -> None:
    preds, labels = videos(ties=True)
    expected = reference(preds, labels)
    for label, ranking in enumerate(frame_rankings(preds, labels)):
        assert areas(ranking, "mean_precision")[0] == pytest.approx(expected[label], abs=1e-12, nan_ok=True)
        assert ranking.positives.tolist() == [int(truth[:, label].sum()) for truth in labels]
        assert np.bincount(ranking.units, minlength=5).tolist() == LENGTHS
    assert label == NUM_LABELS - 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda preds, labels: ([], []), "one table for each video, got 0 and 0"),
        (lambda preds, labels: (preds, labels[:-1]), "one table for each video, got 5 and 4"),
        (lambda preds, labels: (preds, [*labels[:-1], labels[0]]), r"video 4: .* got \(27, 11\) and \(13, 11\)"),
        (
            lambda preds, labels: (preds, [table.astype(int) for table in labels]),
            "video 0: .* bool, got float32 and int",
        ),
        (lambda preds, labels: ([table * np.nan for table in preds], labels), "video 0: preds hold NaN"),
    ],
)
def test_frame_average_precision_refuses_by_message(change: Callable[..., Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        frame_average_precision(*change(*videos()))


@pytest.mark.parametrize("absent", ["skip", "zero", "nonzero"])
def test_frame_map_is_the_mean_over_labels(absent: Absent) -> None:
    preds, labels = videos()
    metric = FrameMeanAveragePrecision(NUM_LABELS, absent)
    for video in tensors(preds, labels):
        metric.update(*video)
    values = reference(preds, labels)
    expected = np.nan_to_num(values).mean() if absent == "zero" else np.nanmean(values)
    assert metric.compute().dtype == torch.float64
    assert metric.compute().item() == pytest.approx(expected, abs=1e-12)
    np.testing.assert_allclose(metric.average_precision().numpy(), values, rtol=0, atol=1e-12)


def test_frame_map_by_hand() -> None:
    metric = FrameMeanAveragePrecision(1)
    metric.update(0, torch.tensor([[0.9], [0.5]]), torch.tensor([[0], [1]]))
    metric.update(1, torch.tensor([[0.7], [0.5], [0.1]]), torch.tensor([[1], [0], [1]]))
    # 0.9 miss, 0.7 hit at place 2, then a tie over places 3 and 4 with one hit, place 5
    assert metric.compute().item() == pytest.approx((1 / 2 + 2 / 4 + 3 / 5) / 3, abs=1e-15)


@pytest.mark.parametrize(("length", "stride"), [(8, 8), (8, 3), (16, 2), (5, 5)])
def test_frame_map_averages_the_scores_of_windows_that_overlap(length: int, stride: int) -> None:
    random = np.random.default_rng(1)
    _, labels = videos()
    metric = FrameMeanAveragePrecision(NUM_LABELS)
    means, windows = [], []
    for index, truth in enumerate(labels):
        given: list[list[list[float]]] = [[] for _ in truth]
        for first in range(0, len(truth), stride):
            window = random.random((min(length, len(truth) - first), NUM_LABELS), dtype=np.float32)
            windows.append((index, first, window))
            for step, scores in enumerate(window):
                given[first + step].append(scores.tolist())
        means.append(np.array([np.mean(scores, axis=0) for scores in given]).reshape(len(truth), NUM_LABELS))
    for index, first, window in [windows[place] for place in random.permutation(len(windows))]:
        place = slice(first, first + len(window))
        metric.update(index, torch.from_numpy(window), torch.from_numpy(labels[index][place]), first)
    np.testing.assert_allclose(metric.average_precision().numpy(), reference(means, labels), rtol=0, atol=1e-12)


def test_frame_map_ignores_a_repeated_window_beside_an_overlapping_one() -> None:
    preds, labels = videos(ties=True)
    once, padded = FrameMeanAveragePrecision(NUM_LABELS), FrameMeanAveragePrecision(NUM_LABELS)
    scores, truth = torch.from_numpy(preds[1]), torch.from_numpy(labels[1])
    for metric, repeats in ((once, 1), (padded, 3)):
        for _ in range(repeats):
            metric.update(5, scores[:30], truth[:30])
        metric.update(5, scores[10:] * 0.3, truth[10:], first=10)
    assert padded.compute() == once.compute()


def test_frame_map_of_equal_scores_in_windows_keeps_their_ties() -> None:
    whole, split = FrameMeanAveragePrecision(NUM_LABELS), FrameMeanAveragePrecision(NUM_LABELS)
    preds, labels = videos(ties=True)
    for index, scores, truth in tensors(preds, labels):
        whole.update(index, scores, truth)
        for first, end in pairwise(range(0, len(scores) + 1, 3)):  # three windows a step
            split.update(index, scores[first : end + 6], truth[first : end + 6], first)
        split.update(index, scores[len(scores) // 3 * 3 :], truth[len(scores) // 3 * 3 :], len(scores) // 3 * 3)
    assert split.compute() == whole.compute()


def test_frame_map_refuses_windows_with_different_truth() -> None:
    metric = FrameMeanAveragePrecision(2)
    truth = torch.tensor([[1, 0], [0, 0], [0, 1], [1, 1]])
    metric.update(3, torch.rand(4, 2), truth, first=4)
    metric.update(3, torch.rand(2, 2), torch.tensor([[0, 1], [1, 0]]), first=6)
    with pytest.raises(ValueError, match="video 3 has two different truths at step 7, in windows that overlap"):
        metric.compute()


def test_frame_map_takes_scores_of_minus_infinity() -> None:
    preds, labels = videos()
    metric = FrameMeanAveragePrecision(NUM_LABELS)
    for index, scores, truth in tensors(preds, labels):
        metric.update(index, torch.full_like(scores, -torch.inf) if index == 1 else scores, truth)
    expected = reference([np.full_like(table, -1) if k == 1 else table for k, table in enumerate(preds)], labels)
    np.testing.assert_allclose(metric.average_precision().numpy(), expected, rtol=0, atol=1e-12)


def test_frame_map_keeps_bits_and_float32() -> None:
    metric = FrameMeanAveragePrecision(157)
    metric.update(0, torch.rand(10, 157, dtype=torch.float64), torch.zeros(10, 157, dtype=torch.bool))
    assert (metric.truth[0].shape, metric.truth[0].dtype) == ((10, 20), torch.uint8)
    assert (metric.rows[0].shape, metric.rows[0].dtype) == ((10, 157), torch.float32)


@pytest.mark.parametrize(
    ("preds", "labels", "message"),
    [
        (torch.rand(3, 4), torch.ones(3, 4, dtype=torch.int64), r"video 7: preds must be \(steps, 5\), got \(3, 4\)"),
        (torch.rand(3, 5).half(), torch.ones(3, 5, dtype=torch.int64), "preds must be float32 or float64, got .*16"),
        (torch.rand(3, 5), torch.ones(2, 5, dtype=torch.int64), r"got \(3, 5\) and \(2, 5\)"),
        (torch.rand(3, 5) * torch.nan, torch.ones(3, 5, dtype=torch.int64), "preds hold NaN in 3 of 3 rows"),
        (torch.rand(3, 5), torch.full((3, 5), 2), "labels must hold 0 and 1 only"),
    ],
)
def test_frame_map_refuses_bad_steps_by_message(preds: Tensor, labels: Tensor, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        FrameMeanAveragePrecision(5).update(7, preds, labels)


def test_frame_map_refuses_bad_arguments() -> None:
    with pytest.raises(ValueError, match="num_labels must be positive, got 0"):
        FrameMeanAveragePrecision(0)
    with pytest.raises(ValueError, match="absent must be one of skip, zero, nonzero, got 'drop'"):
        FrameMeanAveragePrecision(3, absent="drop")  # type: ignore[arg-type]


@pytest.mark.parametrize("task", list(SMALL))
def test_benchmark_of_metrics_measures_each_task(task: str, capsys: pytest.CaptureFixture[str]) -> None:
    result = main(["--task", task, "--sizes", json.dumps(SMALL[task])])[task]
    assert json.loads(capsys.readouterr().out) == result
    assert all(np.isfinite(value) and value > 0 for value in result.values())


@pytest.mark.slow
def test_benchmark_of_metrics_prints_a_line_for_each_task(capsys: pytest.CaptureFixture[str]) -> None:
    main(["--small"])
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(" (")[0] for line in lines] == list(SMALL)
    assert all("11 labels, 6,000 steps" in line and "peak_gb" in line for line in lines)
