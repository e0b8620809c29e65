import re

import numpy as np
import pytest
import torch

from annotations.records import AnnotatedVideo
from metrics.localization import LocalizationMeanAveragePrecision, localization_instants, localization_labels

NUM_LABELS = 9


def video(duration: float | None, labels: list[int], intervals: list[tuple[float, float]]) -> AnnotatedVideo:
    return AnnotatedVideo(
        name="AAAAA",
        subset="",
        duration=duration,
        labels=np.array(labels, np.int64),
        intervals=np.array(intervals, np.float64).reshape(-1, 2),
        where="test.csv, line 2",
    )


def official_truth(record: AnnotatedVideo, num_labels: int) -> list[list[int]]:
    """The script's loops: frame j of 1 .. 25 is (j - 1) / 25 of the length; both ends of an interval belong to it."""
    assert record.duration is not None
    table = []
    for j in range(1, 26):
        instant = (j - 1) / 25 * record.duration
        row = [0] * num_labels
        for label, (start, end) in zip(record.labels.tolist(), record.intervals.tolist(), strict=True):
            if start <= instant and instant <= end:
                row[label] = 1
        table.append(row)
    return table


def official_means(scores: list[list[list[float]]], truth: list[list[list[int]]]) -> tuple[float, float]:
    """Mean and weighted mean of AP, for scores without ties and labels that all occur."""
    rows = [
        (s, t)
        for of_scores, of_truth in zip(scores, truth, strict=True)
        for s, t in zip(of_scores, of_truth, strict=True)
    ]
    values, positives = [], []
    for label in range(len(rows[0][0])):
        ranked = sorted(rows, key=lambda row: -row[0][label])
        right, total = 0, 0.0
        for place, (_, row) in enumerate(ranked, start=1):
            if row[label]:
                right += 1
                total += right / place
        values.append(total / right)
        positives.append(right)
    weighted = sum(value * count for value, count in zip(values, positives, strict=True)) / sum(positives)
    return sum(values) / len(values), weighted


def test_localization_instants_start_at_0_and_end_before_the_end() -> None:
    assert localization_instants(50.0).tolist() == pytest.approx([2.0 * j for j in range(25)], abs=1e-12)
    assert localization_instants(1.0, num_frames=4).tolist() == [0.0, 0.25, 0.5, 0.75]


@pytest.mark.parametrize("duration", [30.46, 24.83, 0.04, 194.33])
def test_localization_instants_have_the_bits_of_the_script(duration: float) -> None:
    assert localization_instants(duration).tolist() == [(j - 1) / 25 * duration for j in range(1, 26)]


def test_localization_labels_hold_at_both_ends() -> None:
    # the instants 4 and 6 of 50 seconds; an interval between two instants; one past the end; one that ends before it starts
    record = video(50.0, [0, 1, 2, 3], [(4.0, 6.0), (6.1, 7.9), (47.0, 60.0), (9.0, 3.0)])
    got = localization_labels(record, 4)
    assert got.shape == (25, 4)
    assert [np.flatnonzero(column).tolist() for column in got.T] == [[2, 3], [], [24], []]


def test_localization_labels_equal_the_loops_of_the_script() -> None:
    random = np.random.default_rng(0)
    for _ in range(20):
        duration = round(float(random.uniform(5, 40)), 2)
        starts = random.uniform(0, duration, 12).round(1)
        ends = np.minimum(starts + random.uniform(0, 15, 12).round(1), 99)
        ends[:3] = localization_instants(duration)[random.integers(0, 25, 3)]  # exactly at an instant
        record = video(duration, random.integers(0, NUM_LABELS, 12).tolist(), list(zip(starts, ends, strict=True)))
        assert localization_labels(record, NUM_LABELS).astype(int).tolist() == official_truth(record, NUM_LABELS)


def test_localization_map_equals_the_script() -> None:
    random = np.random.default_rng(3)
    metric = LocalizationMeanAveragePrecision(NUM_LABELS)
    scores, truth = [], []
    for index in range(8):
        intervals = [(start, start + 9.0) for start in random.uniform(0, 20, NUM_LABELS).tolist()]
        record = video(30.5, list(range(NUM_LABELS)), intervals) if index else video(30.5, [], [])
        preds = torch.from_numpy(random.standard_normal((25, NUM_LABELS)))
        if index == 4:
            preds = (
                -100 - preds.abs()
            )  # a video that ranks last; -inf would tie, and the script breaks ties by file order
        for _ in range(1 + index % 2):  # as a padded sampler repeats videos
            metric.update(index, preds, torch.from_numpy(localization_labels(record, NUM_LABELS)))
        scores.append(preds.float().tolist())
        truth.append(official_truth(record, NUM_LABELS))
    mean, weighted = official_means(scores, truth)
    assert metric.compute().item() == pytest.approx(mean, abs=1e-12)
    assert metric.weighted().item() == pytest.approx(weighted, abs=1e-12)


@pytest.mark.parametrize(("duration", "num_frames"), [(0.0, 25), (-1.0, 25), (np.inf, 25), (np.nan, 25), (3.0, 0)])
def test_localization_instants_refuse_by_message(duration: float, num_frames: int) -> None:
    with pytest.raises(ValueError, match="duration and num_frames must be positive"):
        localization_instants(duration, num_frames)


@pytest.mark.parametrize("duration", [0.0, -3.0, float("inf")])
def test_localization_names_the_video_without_a_positive_duration(duration: float) -> None:
    record = video(duration, [0], [(0.0, 1.0)])
    message = f"{re.escape(record.where)}: video {record.name} has a duration of {duration} s; expected a positive one"
    with pytest.raises(ValueError, match=message):
        localization_labels(record, 2)


def test_localization_refuses_by_message() -> None:
    with pytest.raises(ValueError, match=r"test\.csv, line 2: video AAAAA has no duration"):
        localization_labels(video(None, [], []), 3)
    metric = LocalizationMeanAveragePrecision(3)
    with pytest.raises(ValueError, match="video 2: preds must have 25 rows, one an instant, got 24"):
        metric.update(2, torch.rand(24, 3), torch.zeros(24, 3, dtype=torch.int64))
    with pytest.raises(ValueError, match="absent must be one of"):
        LocalizationMeanAveragePrecision(3, absent="drop")  # type: ignore[arg-type]
