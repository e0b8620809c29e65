import json
import os
import subprocess
import sys
from collections import defaultdict
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import metrics.matching
from metrics.detection import (
    ACTIVITYNET_THRESHOLDS,
    MULTITHUMOS_THRESHOLDS,
    THUMOS14_THRESHOLDS,
    Matching,
    Segments,
    detection_average_precision,
    detection_rankings,
    temporal_iou,
)
from metrics.detection_map import DetectionMeanAveragePrecision
from metrics.ranking import Area, areas

ROOT = Path(__file__).resolve().parents[2]
Row = tuple[int, int, float, float, float]  # video, label, start, end, score


def segments(rows: Sequence[Row]) -> Segments:
    table = np.array(rows, np.float64).reshape(-1, 5)
    return Segments(table[:, 0].astype(np.int64), table[:, 1].astype(np.int64), table[:, 2:4], table[:, 4])


def some_rows(count: int, videos: list[int], labels: int, random: np.random.Generator, odd: float = 0.1) -> list[Row]:
    """Whole seconds and eight levels of scores, so that overlaps and scores tie; some segments are empty or reversed."""
    rows: list[Row] = []
    for _ in range(count):
        start = int(random.integers(0, 20))
        length = int(random.integers(-3, 1)) if random.random() < odd else int(random.integers(1, 10))
        score = int(random.integers(8)) / 8
        rows.append((int(random.choice(videos)), int(random.integers(labels)), start, start + length, score))
    return rows


def loop_iou(left: Row, right: Row) -> float:
    shared = min(left[3], right[3]) - max(left[2], right[2])
    return 0.0 if shared <= 0 else shared / ((left[3] - left[2]) + (right[3] - right[2]) - shared)


def loop_activitynet(truth: list[Row], predictions: list[Row], threshold: float) -> list[tuple[float, bool]]:
    """Score and whether right, of the predictions of one label: the definition, one prediction after the other."""
    free = defaultdict(list)
    for true in sorted(truth, key=lambda row: (row[2], row[3])):
        free[true[0]].append(true)
    ranked = []
    for row in sorted(predictions, key=lambda row: (-row[4], row[2], row[3])):
        best = None
        for true in free[row[0]]:
            if loop_iou(row, true) >= threshold and (best is None or loop_iou(row, true) > loop_iou(row, best)):
                best = true
        if best is not None:
            free[row[0]].remove(best)
        ranked.append((row[4], best is not None))
    return ranked


def loop_thumos(
    truth: list[Row], predictions: list[Row], ambiguous: list[Row], threshold: float
) -> list[tuple[float, bool]]:
    """The same by the THUMOS'14 program: one ground truth after the other takes a prediction."""

    def upright(row: Row) -> Row:
        return (row[0], row[1], min(row[2:4]), max(row[2:4]), row[4])

    free = sorted(predictions, key=lambda row: (-row[4], row[2], row[3]))
    hits = []
    for true in sorted(truth, key=lambda row: (row[2], row[3])):
        own = [row for row in free if row[0] == true[0]]
        if own:
            best = max(own, key=lambda row: loop_iou(upright(row), upright(true)))  # the first of equals
            if loop_iou(upright(best), upright(true)) > threshold:
                hits.append((best[4], True))
                free.remove(best)
    clear = [
        row for row in free if not any(a[0] == row[0] and loop_iou(upright(row), upright(a)) > 0 for a in ambiguous)
    ]
    return hits + [(row[4], False) for row in clear]


def loop_area(ranked: list[tuple[float, bool]], positives: int, area: Area) -> float:
    """Precision is read at the end of each tie; interpolated, it is the highest at that recall or more."""
    if positives == 0:
        return float("nan")
    points = []
    for level in sorted({score for score, _ in ranked}, reverse=True):
        seen = [hit for score, hit in ranked if score >= level]
        points.append((sum(seen) / positives, sum(seen) / len(seen)))
    total, before = 0.0, 0.0
    for place, (recall, precision) in enumerate(points):
        height = max(p for _, p in points[place:]) if area == "interpolated" else precision
        total += (recall - before) * height
        before = recall
    return total


def loop_average_precision(
    truth: list[Row],
    predictions: list[Row],
    labels: int,
    thresholds: Sequence[float],
    area: Area,
    matching: Matching,
    ambiguous: list[Row],
) -> np.ndarray:
    table = np.empty((len(thresholds), labels))
    for place, threshold in enumerate(thresholds):
        for label in range(labels):
            true = [row for row in truth if row[1] == label]
            rows = [row for row in predictions if row[1] == label]
            if matching == "prediction_first":
                ranked = loop_activitynet(true, rows, threshold)
            else:
                ranked = loop_thumos(true, rows, ambiguous, threshold)
            table[place, label] = loop_area(ranked, len(true), area)
    return table


def test_official_thresholds_are_those_of_the_programs() -> None:
    np.testing.assert_array_equal(ACTIVITYNET_THRESHOLDS, np.linspace(0.5, 0.95, 10))
    np.testing.assert_array_equal(THUMOS14_THRESHOLDS, np.linspace(0.1, 0.7, 7))
    np.testing.assert_array_equal(MULTITHUMOS_THRESHOLDS, np.linspace(0.1, 0.9, 9))


@pytest.mark.parametrize(
    ("left", "right", "expected"),
    [
        ((0, 10), (5, 10), Fraction(1, 2)),
        ((0, 10), (5, 20), Fraction(1, 4)),
        ((0, 3), (0, 3), Fraction(1)),
        ((0, 10), (10, 20), Fraction(0)),  # they only touch
        ((0, 10), (12, 20), Fraction(0)),
        ((0, 10), (4, 4), Fraction(0)),  # empty
        ((4, 4), (4, 4), Fraction(0)),  # both empty: 0 / 0
        ((0, 5), (9, 4), Fraction(0)),  # reversed, lengths cancel: 0 / 0
    ],
)
def test_temporal_iou_is_finite_for_every_pair(
    left: tuple[float, float], right: tuple[float, float], expected: Fraction
) -> None:
    for first, second in ((left, right), (right, left)):
        got = temporal_iou(np.array([first], np.float64), np.array([second], np.float64))
        assert got.tolist() == [float(expected)]


def test_activitynet_average_precision_is_as_computed_by_hand() -> None:
    truth = segments([(0, 0, 0, 10, 1), (0, 0, 0, 8, 1), (1, 0, 0, 10, 1)])
    predictions = segments(
        [
            (0, 0, 0, 10, 0.9),  # takes (0, 10)
            (0, 0, 20, 30, 0.8),  # nothing there
            (0, 0, 0, 10, 0.7),  # (0, 10) is taken, its second choice (0, 8) overlaps by 0.8
            (1, 0, 4, 10, 0.6),  # 0.6
        ]
    )
    got = detection_average_precision(truth, predictions, 2, 1, [0.5, 0.75, 0.9])
    # hits: 1011, 1010, 1000; precision after each hit, raised to the highest that follows
    expected = [
        (1 + Fraction(3, 4) + Fraction(3, 4)) / 3,
        (1 + Fraction(2, 3)) / 3,
        Fraction(1, 3),
    ]
    np.testing.assert_allclose(got[:, 0], [float(value) for value in expected], rtol=1e-15)
    plain = detection_average_precision(truth, predictions, 2, 1, [0.5], area="mean_precision")
    np.testing.assert_allclose(plain, [[float((1 + Fraction(2, 3) + Fraction(3, 4)) / 3)]], rtol=1e-15)


def test_thumos_lets_the_truth_choose_above_the_threshold_and_ignores_ambiguous_segments() -> None:
    truth = segments([(0, 0, 0, 10, 1), (0, 0, 20, 30, 1)])
    predictions = segments(
        [
            (0, 0, 0, 6, 0.9),  # 0.6, but the truth prefers the next
            (0, 0, 0, 9, 0.8),  # 0.9
            (0, 0, 20, 25, 0.7),  # 0.5, not above 0.5
            (0, 0, 39, 45, 0.85),  # wrong, on the ambiguous segment
        ]
    )
    ambiguous = segments([(0, 0, 50, 44, 1), (0, 0, 0, 9, 1)])  # the first written backwards
    values = {}
    for name, extra in (("with", ambiguous), ("without", None)):
        values[name] = detection_average_precision(
            truth, predictions, 1, 1, [0.4, 0.5], area="mean_precision", matching="truth_first", ambiguous=extra
        )[:, 0]
    # without: wrong, wrong, right, right (or wrong at 0.5); with: the first two are not there
    np.testing.assert_allclose(values["without"], [(1 / 3 + 2 / 4) / 2, 1 / 6])
    np.testing.assert_allclose(values["with"], [1, 1 / 2])


@pytest.mark.parametrize("area", ["interpolated", "mean_precision"])
@pytest.mark.parametrize("matching", ["prediction_first", "truth_first"])
@pytest.mark.parametrize("seed", range(4))
def test_detection_average_precision_equals_the_loop(seed: int, matching: Matching, area: Area) -> None:
    random = np.random.default_rng(seed)
    # video 4 has no truth, 5 no predictions, 6 neither; label 3 has no truth, 4 no predictions
    truth = some_rows(60, [0, 1, 2, 3, 5], 3, random) + some_rows(5, [0, 5], 1, random)
    truth += [(0, 4, 2, 8, 1)]
    predictions = some_rows(300, [0, 1, 2, 3, 4], 4, random)
    ambiguous = some_rows(3, [0, 1], 1, random) if matching == "truth_first" else []
    thresholds = [*MULTITHUMOS_THRESHOLDS, 1.0]
    expected = loop_average_precision(truth, predictions, 5, thresholds, area, matching, ambiguous)
    assert np.isnan(expected).any(axis=0).tolist() == [False, False, False, True, False]
    assert (expected[:, 4] == 0).all() and 0 < np.nanmean(expected) < 1
    for _ in range(3):
        got = detection_average_precision(
            segments([truth[row] for row in random.permutation(len(truth))]),
            segments([predictions[row] for row in random.permutation(len(predictions))]),
            7,
            5,
            thresholds,
            area=area,
            matching=matching,
            ambiguous=segments(ambiguous) if ambiguous else None,
        )
        np.testing.assert_allclose(got, expected, rtol=1e-12, atol=1e-15)


def test_detection_does_not_depend_on_how_many_pairs_are_made_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(5)
    truth, predictions = segments(some_rows(40, [0, 1, 2], 2, random)), segments(some_rows(90, [0, 1, 2], 2, random))
    whole = detection_average_precision(truth, predictions, 3, 2)
    monkeypatch.setattr(metrics.matching, "_PAIRS", 3)
    np.testing.assert_array_equal(detection_average_precision(truth, predictions, 3, 2), whole)


def test_predictions_in_a_video_without_truth_are_wrong() -> None:
    truth, good = [(0, 0, 0, 5, 1)], [(0, 0, 0, 5, 0.5)]
    alone = detection_average_precision(segments(truth), segments(good), 2, 1, [0.5])
    beside = detection_average_precision(segments(truth), segments([*good, (1, 0, 0, 5, 0.9)]), 2, 1, [0.5])
    assert (alone.item(), beside.item()) == (1, 0.5)


@pytest.mark.parametrize(("truth", "predictions", "expected"), [(0, 3, np.nan), (3, 0, 0.0), (0, 0, np.nan)])
def test_detection_without_truth_or_predictions_is_nan_or_zero(truth: int, predictions: int, expected: float) -> None:
    random = np.random.default_rng(0)
    true, rows = (segments(some_rows(count, [0], 1, random)) for count in (truth, predictions))
    np.testing.assert_array_equal(detection_average_precision(true, rows, 1, 1, [0.5]), [[expected]])


def test_a_drawn_video_counts_as_often_as_it_is_drawn() -> None:
    random = np.random.default_rng(1)
    truth, predictions = some_rows(30, [0, 1, 2], 1, random), some_rows(80, [0, 1, 2], 1, random)
    (ranking,) = detection_rankings(segments(truth), segments(predictions), 3, 1, 0.5)
    drawn = areas(ranking, "interpolated", np.array([[2, 1, 0], [1, 1, 1]]))
    repeated = [
        [(video, *row[1:]) for row in rows for video in {0: (0, 2), 1: (1,), 2: ()}[row[0]]]
        for rows in (truth, predictions)
    ]
    expected = [
        detection_average_precision(segments(a), segments(b), 3, 1, [0.5]).item()
        for a, b in (repeated, (truth, predictions))
    ]
    np.testing.assert_allclose(drawn, expected, rtol=1e-12)
    assert len(set(expected)) == 2


BAD: list[tuple[dict[str, Any], str]] = [
    ({"thresholds": [0.0]}, "thresholds of tIoU must be above 0 and at most 1"),
    ({"thresholds": [0.5, 1.5]}, "thresholds of tIoU must be above 0 and at most 1"),
    ({"thresholds": []}, "thresholds of tIoU must be above 0 and at most 1"),
    ({"matching": "best"}, "matching must be one of prediction_first, truth_first, got 'best'"),
    ({"area": "trapezoid"}, "area must be one of"),
    ({"num_videos": 1}, "videos of predictions must be numbers from 0 to 0, got 1 to 1"),
    ({"num_labels": 2}, "labels of truth must be numbers from 0 to 1, got 2 to 2"),
    ({"ambiguous": segments([(7, 0, 0, 1, 1)])}, "videos of ambiguous must be numbers from 0 to 2, got 7 to 7"),
]


@pytest.mark.parametrize(("arguments", "message"), BAD)
def test_detection_refuses_bad_arguments_by_name(arguments: dict[str, Any], message: str) -> None:
    good = {"truth": segments([(0, 2, 0, 1, 1)]), "predictions": segments([(1, 0, 0, 1, 1)])}
    with pytest.raises(ValueError, match=message):
        detection_average_precision(**{**good, "num_videos": 3, "num_labels": 3, "thresholds": [0.5], **arguments})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"labels": np.zeros(2, np.int64)}, "must be \\(n,\\), \\(n,\\), \\(n, 2\\) and \\(n,\\)"),
        ({"intervals": np.array([[0.0, 1.0], [0.0, np.inf], [0.0, 1.0]])}, "finite seconds, got .* in row 1"),
        ({"scores": np.array([0.0, 1.0, np.nan])}, "scores must not be NaN, .* in row 2"),
    ],
)
def test_segments_refuse_columns_that_cannot_be_scored(change: dict[str, np.ndarray], message: str) -> None:
    columns = {"videos": np.zeros(3, np.int64), "labels": np.zeros(3, np.int64)}
    with pytest.raises(ValueError, match=message):
        Segments(**{**columns, "intervals": np.zeros((3, 2)), "scores": np.zeros(3), **change})


def metric_rows(rows: list[Row], video: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    own = torch.tensor([row for row in rows if row[0] == video], dtype=torch.float64).reshape(-1, 5)
    return own[:, 2:4], own[:, 1].long(), own[:, 4]


@pytest.mark.parametrize("order", [[0, 1, 2, 3], [3, 1, 0, 2], [2, 2, 0, 1, 0, 3, 3]])
def test_detection_metric_equals_the_function_with_each_video_once(order: list[int]) -> None:
    random = np.random.default_rng(2)
    truth, predictions = some_rows(30, [0, 1, 2], 3, random), some_rows(90, [0, 1, 3], 3, random)
    metric = DetectionMeanAveragePrecision(num_labels=4)
    for video in order:
        true, labels, _ = metric_rows(truth, video)
        metric.update(torch.tensor(10 * video), true, labels, *metric_rows(predictions, video))
    expected = detection_average_precision(segments(truth), segments(predictions), 4, 4)
    np.testing.assert_array_equal(metric.average_precision(), expected)
    got = metric.compute()
    assert got.dtype == torch.float64 and got.shape == ()
    np.testing.assert_allclose(got, np.nanmean(expected), rtol=1e-12)


def test_detection_metric_refuses_rows_that_do_not_fit() -> None:
    metric = DetectionMeanAveragePrecision(num_labels=2)
    two, labels, scores = torch.rand(2, 2), torch.zeros(2, dtype=torch.int64), torch.rand(2)
    with pytest.raises(ValueError, match="segments of the truth must be \\(N, 2\\) floating point"):
        metric.update(0, two.long(), labels, two, labels, scores)
    with pytest.raises(ValueError, match="labels of 2 predicted segments must be as many integers"):
        metric.update(0, two, labels, two, scores, scores)
    with pytest.raises(ValueError, match="scores of 2 predicted segments must be as many floating-point numbers"):
        metric.update(0, two, labels, two, labels, scores[:1])
    with pytest.raises(ValueError, match="has seen no video"):
        metric.average_precision()


@pytest.mark.slow
def test_detection_metrics_of_two_processes_equal_one(tmp_path: Path) -> None:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    script = Path(__file__).with_name("detection_script.py")
    started = [
        subprocess.Popen([sys.executable, script, str(rank), "2", tmp_path], env=environment, stderr=subprocess.PIPE)
        for rank in range(2)
    ]
    errors = [process.communicate(timeout=120)[1].decode() for process in started]
    assert [process.returncode for process in started] == [0, 0], errors
    results = [json.loads((tmp_path / f"{rank}.json").read_text()) for rank in range(2)]
    assert results[0] == results[1]
    assert results[0]["two processes"] == results[0]["one process"]


def test_official_sample_predictions_score_as_the_loop(shared_data: Path) -> None:
    folder = shared_data / "activitynet"
    subsets = dict(line.split(",")[:6:5] for line in (folder / "video_info_new.csv").read_text().splitlines())
    annotated = json.loads((folder / "anet_anno_action.json").read_text())
    given = json.loads((folder / "sample_detection_prediction.json").read_text())["results"]
    names = sorted({f"v_{name}" for name in given} | {name for name in annotated if subsets[name] == "validation"})
    numbers = {name: number for number, name in enumerate(names)}
    kinds = sorted({row["label"] for name in annotated for row in annotated[name]["annotations"]})
    labels = {name: number for number, name in enumerate(kinds)}
    truth = [
        (numbers[name], labels[row["label"]], *row["segment"], 1.0)
        for name in names
        for row in (annotated[name]["annotations"] if subsets.get(name) == "validation" else [])
    ]
    predictions = [
        (numbers[f"v_{name}"], labels[row["label"]], *row["segment"], row["score"])
        for name, rows in given.items()
        for row in rows
    ]
    assert (len(names), len(kinds), len(predictions)) == (4926, 200, 7654)
    got = detection_average_precision(segments(truth), segments(predictions), len(names), 200)
    by_label = [[[row for row in rows if row[1] == label] for label in range(200)] for rows in (truth, predictions)]
    for place, threshold in enumerate(ACTIVITYNET_THRESHOLDS):
        for label in range(200):
            true, rows = by_label[0][label], by_label[1][label]
            expected = loop_area(loop_activitynet(true, rows, threshold), len(true), "interpolated")
            np.testing.assert_allclose(got[place, label], expected, rtol=1e-12, atol=1e-15)
    assert 0 < got.mean() < 1
