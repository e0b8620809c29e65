import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import metrics.matching
from metrics.detection import ACTIVITYNET_THRESHOLDS, Segments
from metrics.detection_map import ProposalArea
from metrics.proposals import proposal_recall

Row = tuple[int, float, float, float]  # video, start, end, score


def segments(rows: list[Row]) -> Segments:
    table = np.array(rows, np.float64).reshape(-1, 4)
    videos = table[:, 0].astype(np.int64)
    return Segments(videos, np.zeros_like(videos), table[:, 1:3], table[:, 3])


def some_rows(count: int, videos: list[int], random: np.random.Generator) -> list[Row]:
    """Starts and scores of few values, so that both tie; one segment in ten is empty or reversed."""
    rows = []
    for _ in range(count):
        start = float(random.integers(0, 15))
        length = float(random.integers(-2, 1)) if random.random() < 0.1 else float(random.integers(1, 9))
        rows.append((int(random.choice(videos)), start, start + length, float(random.integers(6)) / 6))
    return rows


def loop_recall(
    truth: list[Row], proposals: list[Row], largest: float, thresholds: list[float]
) -> tuple[np.ndarray, np.ndarray, float]:
    """The official steps one by one, for each video, threshold and share; sorted lists in place of data frames."""
    videos = sorted({row[0] for row in truth})
    ratio = largest * float(len(videos)) / len(proposals)
    kept: dict[int, list[Row]] = {}
    for video in videos:
        own = sorted((row for row in proposals if row[0] == video), key=lambda row: (-row[3], row[1], row[2]))
        kept[video] = own[: min(int(len(own) * ratio), len(own))]
    total = sum(len(own) for own in kept.values())
    shares = [step / 100.0 * (largest * float(len(videos)) / total) for step in range(1, 101)]
    recall = np.zeros((len(thresholds), 100))
    for line, threshold in enumerate(thresholds):
        for column, share in enumerate(shares):
            found = 0
            for video, start, end, _ in truth:
                own = kept[video]
                reached = False
                for _, left, right, _ in own[: min(int(len(own) * share), len(own))]:
                    shared = min(end, right) - max(start, left)
                    if shared > 0 and shared / ((end - start) + (right - left) - shared) >= threshold:
                        reached = True
                found += reached
            recall[line, column] = found / len(truth)
    numbers = np.array([share * (float(total) / len(videos)) for share in shares])
    average = recall.mean(axis=0)
    area = 0.0
    for column in range(1, 100):
        area += (numbers[column] - numbers[column - 1]) * (average[column] + average[column - 1]) / 2
    return recall, numbers, 100 * area / numbers[-1]


def test_recall_of_one_video_is_as_computed_by_hand() -> None:
    truth = segments([(0, 0, 10, 1), (0, 20, 30, 1)])
    # 0.6 of the first, then both exactly, and one more for nothing
    proposals = segments([(0, 0, 6, 0.9), (0, 0, 10, 0.8), (0, 20, 30, 0.7), (0, 50, 60, 0.6)])
    curve = proposal_recall(truth, proposals, 1, largest=4, thresholds=[0.5, 0.75])
    columns = [24, 25, 49, 50, 74, 75, 99]  # 1, 2 and 3 of 4 proposals from 0.25, 0.5 and 0.75 on: place 24, 49, 74
    assert curve.recall[0, columns].tolist() == [0.5, 0.5, 0.5, 0.5, 1, 1, 1]
    assert curve.recall[1, columns].tolist() == [0, 0, 0.5, 0.5, 1, 1, 1]
    assert curve.recall[:, 23].tolist() == [0, 0]
    np.testing.assert_allclose(curve.numbers, 4 * np.arange(1, 101) / 100, rtol=1e-15)
    average = [Fraction(0)] * 24 + [Fraction(1, 4)] * 25 + [Fraction(1, 2)] * 25 + [Fraction(1)] * 26
    area = sum((left + right) / 2 for left, right in zip(average[1:], average[:-1], strict=True))
    np.testing.assert_allclose(curve.area, float(area), rtol=1e-12)


def test_perfect_proposals_reach_99_percent() -> None:
    rows: list[Row] = [(video, 0, 10 + video, 1) for video in range(3)]
    many = rows * 100
    assert proposal_recall(segments(rows), segments(many), 3).area == pytest.approx(99, rel=1e-12)


@pytest.mark.parametrize("largest", [2, 3, 10, 40, 100])
@pytest.mark.parametrize("seed", range(3))
def test_proposal_recall_equals_the_loop(seed: int, largest: float) -> None:
    random = np.random.default_rng(seed)
    # video 4 has no truth, video 5 no proposals; video 3 has few, so that its share is rounded to none
    truth = some_rows(25, [0, 1, 2, 3, 5], random)
    proposals = some_rows(120, [0, 1, 2, 4], random) + some_rows(2, [3], random)
    thresholds = [0.3, *ACTIVITYNET_THRESHOLDS]
    recall, numbers, area = loop_recall(truth, proposals, largest, thresholds)
    assert 0 < recall.mean() < 1
    for _ in range(2):
        got = proposal_recall(
            segments([truth[row] for row in random.permutation(len(truth))]),
            segments([proposals[row] for row in random.permutation(len(proposals))]),
            6,
            largest=largest,
            thresholds=thresholds,
        )
        np.testing.assert_array_equal(got.recall, recall)
        np.testing.assert_array_equal(got.numbers, numbers)
        np.testing.assert_allclose(got.average_recall, recall.mean(axis=0), rtol=1e-15)
        np.testing.assert_allclose(got.area, area, rtol=1e-12)


def test_proposal_recall_does_not_depend_on_how_many_pairs_are_made_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(5)
    truth, proposals = segments(some_rows(20, [0, 1], random)), segments(some_rows(60, [0, 1, 2], random))
    whole = proposal_recall(truth, proposals, 3)
    monkeypatch.setattr(metrics.matching, "_PAIRS", 3)
    np.testing.assert_array_equal(proposal_recall(truth, proposals, 3).recall, whole.recall)


@pytest.mark.parametrize(
    ("proposals", "largest"),
    [
        ([], 100.0),
        ([(1, 0.0, 5.0, 1.0)], 100.0),  # of another video
        ([(0, 0.0, 5.0, 1.0)] * 10, 0.5),  # 0.5 of 10 proposals is none
    ],
)
def test_where_no_proposal_is_left_nothing_is_recalled(proposals: list[Row], largest: float) -> None:
    curve = proposal_recall(segments([(0, 0, 5, 1)]), segments(proposals), 2, largest=largest)
    assert not curve.recall.any()
    assert curve.area == 0
    assert curve.numbers[-1] == largest


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"thresholds": [0.0, 0.5]}, "thresholds of tIoU must be above 0 and at most 1"),
        ({"thresholds": []}, "thresholds of tIoU must be above 0 and at most 1"),
        ({"largest": 0}, "largest must be a positive average number"),
        (
            {"largest": float("inf")},
            "largest must be a positive average number of proposals per video, up to 1000000, got inf",
        ),
        ({"num_videos": 1}, "videos of predictions must be numbers from 0 to 0, got 1 to 1"),
        ({"truth": segments([])}, "truth has no segment"),
    ],
)
def test_proposal_recall_refuses_bad_arguments_by_name(arguments: dict[str, Any], message: str) -> None:
    good = {"truth": segments([(0, 0, 1, 1)]), "predictions": segments([(1, 0, 1, 1)]), "num_videos": 2}
    with pytest.raises(ValueError, match=message):
        proposal_recall(**{**good, **arguments})


def test_proposal_metric_equals_the_function_with_each_video_once() -> None:
    random = np.random.default_rng(3)
    truth, proposals = some_rows(20, [0, 1, 2], random), some_rows(60, [0, 1, 3], random)
    metric = ProposalArea(largest=20)
    for video in (3, 0, 2, 1, 0):
        true, rows = (
            torch.tensor([row for row in part if row[0] == video], dtype=torch.float64).reshape(-1, 4)
            for part in (truth, proposals)
        )
        metric.update(video, true[:, 1:3], true[:, 0].long(), rows[:, 1:3], rows[:, 0].long(), rows[:, 3])
    expected = proposal_recall(segments(truth), segments(proposals), 4, largest=20)
    np.testing.assert_array_equal(metric.recall().recall, expected.recall)
    assert metric.compute().item() == expected.area > 0


def test_official_sample_predictions_as_proposals_score_as_the_loop(shared_data: Path) -> None:
    folder = shared_data / "activitynet"
    subsets = dict(line.split(",")[:6:5] for line in (folder / "video_info_new.csv").read_text().splitlines())
    annotated = json.loads((folder / "anet_anno_action.json").read_text())
    given = json.loads((folder / "sample_detection_prediction.json").read_text())["results"]
    kept = {name: rows["annotations"] for name, rows in annotated.items() if subsets[name] == "validation"}
    names = {name: number for number, name in enumerate(sorted({*kept, *(f"v_{name}" for name in given)}))}
    # the first 150 videos: the loop is slow
    truth: list[Row] = [(names[n], *row["segment"], 1.0) for n, rows in kept.items() for row in rows if names[n] < 150]
    rows: list[Row] = [
        (names[f"v_{n}"], *row["segment"], row["score"])
        for n, of_video in given.items()
        for row in of_video
        if names[f"v_{n}"] < 150
    ]
    recall, _, area = loop_recall(truth, rows, 2, list(ACTIVITYNET_THRESHOLDS))
    got = proposal_recall(segments(truth), segments(rows), len(names), largest=2)
    np.testing.assert_array_equal(got.recall, recall)
    np.testing.assert_allclose(got.area, area, rtol=1e-12)
    assert 0 < area < 99
