from collections import defaultdict
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import metrics.matching
from annotations.ava import AvaBoxes
from metrics.detection_map import BoxMeanAveragePrecision
from metrics.frame_detection import ImageBoxes, box_average_precision, box_iou, box_rankings, image_rankings
from metrics.ranking import areas

Box = tuple[float, float, float, float]
Row = tuple[str, int, Box, int, float]  # video, second, box, action, score


def file(rows: list[Row]) -> AvaBoxes:
    return AvaBoxes(
        path=Path("boxes.csv"),
        videos=[row[0] for row in rows],
        seconds=np.array([row[1] for row in rows], np.int64),
        boxes=np.array([row[2] for row in rows], np.float64).reshape(-1, 4),
        actions=np.array([row[3] for row in rows], np.int64),
        scores=np.array([row[4] for row in rows], np.float64),
        lines=np.arange(1, len(rows) + 1),
    )


def some_rows(count: int, random: np.random.Generator, videos: str, levels: int) -> list[Row]:
    """Boxes on a coarse grid with few scores, so that overlaps and scores tie; some have no area."""
    rows: list[Row] = []
    for _ in range(count):
        left, top = random.integers(0, 3, 2)
        width, height = random.integers(2, 6, 2) * (random.random(2) > 0.03)
        box = (left / 8, top / 8, (left + width) / 8, (top + height) / 8)
        action = int(random.choice([-1, 1, 3, 4, 12, 80]))
        rows.append((str(random.choice(list(videos))), int(random.integers(902, 905)), box, action, 0.5))
    return [(*row[:4], int(random.integers(levels)) / levels) for row in rows]


def loop_iou(left: Box, right: Box) -> float:
    width = max(0.0, min(left[2], right[2]) - max(left[0], right[0]))
    height = max(0.0, min(left[3], right[3]) - max(left[1], right[1]))
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (left, right)]
    union = areas[0] + areas[1] - width * height
    return width * height / union if union > 0 else 0.0


def loop_average_precision(
    truth: list[Row],
    predictions: list[Row],
    action: int,
    actions: list[int],
    excluded: set[tuple[str, int]],
    capacity: int,
) -> float:
    """Image after image, box after box, as the official program goes; then the area, the rows of one score together."""
    images: dict[tuple[str, int], list[Row]] = defaultdict(list)
    for row in predictions:
        if row[3] in actions and row[:2] not in excluded:
            images[row[:2]].append(row)
    own_truth = [row for row in truth if row[3] == action and row[:2] not in excluded]
    if not own_truth:
        return float("nan")
    ranked: list[tuple[float, bool]] = []
    for image, rows in images.items():
        # score, action, y1, x1, y2, x2: the tuples of the program's heap
        first = sorted(rows, key=lambda row: (row[4], row[3], row[2][1], row[2][0], row[2][3], row[2][2]))[-capacity:]
        there = sorted(row[2] for row in own_truth if row[:2] == image)
        taken = [False] * len(there)
        for row in sorted(first, key=lambda row: -row[4]):
            if row[3] != action or row[2][0] >= row[2][2] or row[2][1] >= row[2][3]:
                continue
            overlaps = [loop_iou(row[2], box) for box in there]
            best = overlaps.index(max(overlaps)) if there else -1
            hit = bool(there) and overlaps[best] >= 0.5 and not taken[best]
            if hit:
                taken[best] = True
            ranked.append((row[4], hit))
    points = []
    for level in sorted({score for score, _ in ranked}, reverse=True):
        above = [hit for score, hit in ranked if score >= level]
        points.append((sum(above) / len(own_truth), sum(above) / len(above)))
    total, before = 0.0, 0.0
    for place, (recall, _) in enumerate(points):
        total += (recall - before) * max(precision for _, precision in points[place:])
        before = recall
    return total


@pytest.mark.parametrize("levels", [1, 5, 10**6])
@pytest.mark.parametrize("capacity", [3, 7, 50])
@pytest.mark.parametrize("seed", range(3))
def test_box_average_precision_equals_the_loop(seed: int, capacity: int, levels: int) -> None:
    random = np.random.default_rng(seed)
    # video d has no truth, e no predictions; action 4 does not count, 80 never occurs in the truth
    truth = [row for row in some_rows(120, random, "abce", 1) if row[3] != 80]
    predictions = some_rows(250, random, "abcd", levels)
    actions, excluded = [80, 1, 12, 3], {("a", 903), ("d", 902), ("z", 902), ("b", 5000)}
    expected = [loop_average_precision(truth, predictions, action, actions, excluded, capacity) for action in actions]
    assert np.isnan(expected[0]) and (0 < np.nanmean(expected) < 1 or levels == 1)
    for _ in range(2):
        got = box_average_precision(
            file([truth[row] for row in random.permutation(len(truth))]),
            file([predictions[row] for row in random.permutation(len(predictions))]),
            actions,
            excluded,
            capacity=capacity,
        )
        np.testing.assert_allclose(got, expected, rtol=1e-12, atol=1e-15)


def test_no_capacity_reads_all_boxes_and_fifty_is_the_official_one() -> None:
    random = np.random.default_rng(9)
    truth, predictions = some_rows(60, random, "a", 1), some_rows(600, random, "a", 50)
    values = {}
    for name, capacity in {"none": None, "all": 600, "fifty": 50}.items():
        values[name] = box_average_precision(file(truth), file(predictions), [1, 3], capacity=capacity)
    np.testing.assert_array_equal(values["none"], values["all"])
    np.testing.assert_array_equal(box_average_precision(file(truth), file(predictions), [1, 3]), values["fifty"])
    assert (values["fifty"] != values["all"]).any()


def test_box_average_precision_is_as_computed_by_hand() -> None:
    whole, half, other = (0.0, 0.0, 0.5, 1.0), (0.0, 0.0, 0.5, 0.5), (0.5, 0.0, 1.0, 1.0)
    truth = file([("v", 902, whole, 1, 1), ("v", 902, (0.0, 0.0, 0.5, 0.75), 1, 1), ("v", 903, other, 1, 1)])
    predictions = file(
        [
            ("v", 902, whole, 1, 0.9),  # right
            ("v", 902, whole, 1, 0.8),  # wrong: has no second choice, though the other box overlaps by 3/4
            ("v", 903, (0.5, 0.0, 1.0, 0.5), 1, 0.7),  # right: IoU is exactly 1/2
            ("v", 904, whole, 1, 0.6),  # wrong: nobody there
            ("v", 902, half, 1, 0.5),  # right: 2/3 of the second box, 1/2 of the first
            ("v", 903, (0.5, 0.5, 0.5, 1.0), 1, 0.95),  # no area: not counted
            ("v", 903, other, 2, 0.99),  # of a label that does not count
        ]
    )
    (got,) = box_average_precision(truth, predictions, [1])
    # 1 0 1 0 1: precision 1, 2/3, 3/5
    np.testing.assert_allclose(got, float((1 + Fraction(2, 3) + Fraction(3, 5)) / 3), rtol=1e-15)
    (without,) = box_average_precision(truth, predictions, [1], {("v", 904), ("v", 903)})
    # 1 0 1 of two: 1, 2/3
    np.testing.assert_allclose(without, float((1 + Fraction(2, 3)) / 2), rtol=1e-15)


@pytest.mark.parametrize("step", [1, -1])
def test_a_box_between_two_of_the_truth_takes_the_one_of_lower_coordinates(step: int) -> None:
    left, between, right = ((x, 0.0, x + 0.5, 1.0) for x in (0.0, 0.125, 0.25))
    truth = [("v", 902, box, 1, 1.0) for box in (left, right)]
    predictions = [("v", 902, between, 1, 0.9), ("v", 902, left, 1, 0.8)]
    got = box_average_precision(file(truth[::step]), file(predictions[::step]), [1])
    assert got.tolist() == [0.5]  # the second comes too late


@pytest.mark.parametrize(
    ("left", "right", "expected"),
    [
        ((0, 0, 2, 2), (1, 0, 3, 2), 1 / 3),
        ((0, 0, 2, 2), (2, 0, 4, 2), 0),  # they only touch
        ((0, 0, 2, 2), (3, 3, 4, 4), 0),  # both sides negative: no positive product
        ((1, 1, 1, 1), (1, 1, 1, 1), 0),  # 0 / 0
        ((0, 0, 2, 2), (1, 1, 1, 2), 0),
    ],
)
def test_box_iou_is_finite_for_every_pair(left: Box, right: Box, expected: float) -> None:
    for first, second in ((left, right), (right, left)):
        assert box_iou(np.array([first], np.float64), np.array([second], np.float64)).tolist() == [expected]


def test_units_are_videos_and_a_drawn_video_counts_as_often_as_it_is_drawn() -> None:
    random = np.random.default_rng(4)
    truth, predictions = some_rows(60, random, "abc", 1), some_rows(150, random, "abc", 7)
    ranking = box_rankings(file(truth), file(predictions), [1])[0]
    assert len(ranking.positives) == 3 and set(ranking.units) == {0, 1, 2}
    drawn = areas(ranking, "interpolated", np.array([[2, 0, 1]]))[0]
    repeated = [
        [(name, *row[1:]) for row in rows for name in {"a": "ad", "b": "", "c": "c"}[row[0]]]
        for rows in (truth, predictions)
    ]
    np.testing.assert_allclose(drawn, box_average_precision(file(repeated[0]), file(repeated[1]), [1])[0], rtol=1e-12)


def test_boxes_do_not_depend_on_how_many_pairs_are_made_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(5)
    truth, predictions = file(some_rows(60, random, "ab", 1)), file(some_rows(100, random, "ab", 7))
    whole = box_average_precision(truth, predictions, [1, 3, 12])
    monkeypatch.setattr(metrics.matching, "_PAIRS", 3)
    np.testing.assert_array_equal(box_average_precision(truth, predictions, [1, 3, 12]), whole)


@pytest.mark.parametrize(("truth", "predictions", "expected"), [(0, 9, np.nan), (9, 0, 0.0), (0, 0, np.nan)])
def test_boxes_without_truth_or_predictions_are_nan_or_zero(truth: int, predictions: int, expected: float) -> None:
    row: Row = ("v", 902, (0.0, 0.0, 1.0, 1.0), 1, 0.5)
    got = box_average_precision(file([row] * truth), file([row] * predictions), [1], {("v", 903)})
    np.testing.assert_array_equal(got, [expected])


def images(boxes: list[Box], **columns: Any) -> ImageBoxes:
    zeros = np.zeros(len(boxes), np.int64)
    default = {"images": zeros, "videos": zeros, "labels": zeros, "scores": np.zeros(len(boxes))}
    return ImageBoxes(**{"boxes": np.array(boxes, np.float64).reshape(-1, 4), **default, **columns})


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"capacity": 0}, "capacity must be positive and threshold in \\(0, 1\\], got 0 and 0.5"),
        ({"threshold": 0}, "capacity must be positive and threshold in \\(0, 1\\], got 50 and 0"),
        ({"num_videos": 0}, "videos of truth must be numbers from 0 to -1, got 0 to 0"),
        ({"num_labels": 0}, "labels of truth must be numbers from 0 to -1, got 0 to 0"),
        (
            {"truth": images([(0, 0, 1, 1), (1, 0, 0, 1)])},
            "boxes of truth must be x1, y1, x2, y2 .* got .1.0, 0.0, 0.0",
        ),
    ],
)
def test_boxes_refuse_bad_arguments_by_name(arguments: dict[str, Any], message: str) -> None:
    good = {"truth": images([(0, 0, 1, 1)]), "predictions": images([(0, 0, 1, 1)]), "num_videos": 1, "num_labels": 1}
    with pytest.raises(ValueError, match=message):
        image_rankings(**{**good, **arguments})


def test_columns_that_cannot_be_scored_are_refused() -> None:
    with pytest.raises(ValueError, match="images, videos, labels, boxes and scores must be"):
        images([(0, 0, 1, 1)], labels=np.zeros(2, np.int64))
    with pytest.raises(ValueError, match=r"not NaN, got box .* with score nan in row 0"):
        images([(0, 0, 1, 1)], scores=np.array([np.nan]))
    with pytest.raises(ValueError, match=r"boxes must be finite .* in row 1"):
        images([(0, 0, 1, 1), (0, 0, np.inf, 1)])


@pytest.mark.parametrize("labels", [[], [1, 1]])
def test_labels_that_repeat_or_are_none_are_refused(labels: list[int]) -> None:
    with pytest.raises(ValueError, match="labels must be the numbers of the label map, each once"):
        box_rankings(file([]), file([]), labels)


def test_frame_metric_equals_the_loop_with_each_image_once() -> None:
    actions, metric = [1, 2, 3], BoxMeanAveragePrecision(capacity=8)
    truth: list[Row] = []
    predictions: list[Row] = []
    for image in [*range(12), 3, 0]:
        own = np.random.default_rng(image)  # a repeated image is the same
        people, found = (0 if image == 5 else 3), (0 if image == 7 else 5)
        corners = own.integers(0, 5, (people + found, 2)) / 8
        boxes = np.concatenate([corners, corners + own.integers(1, 5, (people + found, 2)) / 8], axis=1)
        labels, preds = own.random((people, 3)) < 0.5, own.integers(0, 9, (found, 3)) / 8
        metric.update(
            image,
            torch.from_numpy(boxes[:people]),
            torch.from_numpy(labels).long(),
            torch.from_numpy(boxes[people:]),
            torch.from_numpy(preds),
        )
        if image not in {row[1] for row in truth + predictions}:
            for box, multi_hot in zip(boxes[:people].tolist(), labels, strict=True):
                truth += [
                    ("v", image, tuple(box), action, 1.0) for action, on in zip(actions, multi_hot, strict=True) if on
                ]
            for box, scores in zip(boxes[people:].tolist(), preds.tolist(), strict=True):
                predictions += [
                    ("v", image, tuple(box), action, score) for action, score in zip(actions, scores, strict=True)
                ]
    expected = [loop_average_precision(truth, predictions, action, actions, set(), 8) for action in actions]
    assert min(expected) > 0
    np.testing.assert_allclose(metric.average_precision(), expected, rtol=1e-12)
    np.testing.assert_allclose(metric.compute().item(), np.mean(expected), rtol=1e-12)


def test_frame_metric_refuses_rows_that_do_not_fit() -> None:
    metric = BoxMeanAveragePrecision()
    boxes, multi_hot, preds = torch.rand(2, 4), torch.ones(2, 3, dtype=torch.int64), torch.rand(2, 3)
    with pytest.raises(ValueError, match="boxes of the truth must be \\(N, 4\\) floating point"):
        metric.update(0, boxes[:, :2], multi_hot, boxes, preds)
    with pytest.raises(ValueError, match="truth_labels and preds must be \\(N, K\\) and \\(M, K\\)"):
        metric.update(0, boxes, multi_hot, boxes, preds[:, :2])
    with pytest.raises(ValueError, match="scores of 2 predicted boxes must be as many floating-point numbers"):
        metric.update(0, boxes, multi_hot, boxes, multi_hot)


@pytest.mark.parametrize("second", [2**62, -(2**63), 10**9 + 1])
def test_seconds_that_could_overflow_are_refused_by_their_line(second: int) -> None:
    box = (0.1, 0.1, 0.4, 0.4)
    good, bad = file([("a", 902, box, 1, 1.0)]), file([("a", 902, box, 1, 1.0), ("b", second, box, 1, 1.0)])
    for pair in ((good, bad), (bad, good)):
        with pytest.raises(ValueError, match=f"line {bad.lines[1]}: the second is {second}; expected one up to 1e"):
            box_rankings(*pair, [1])


def test_excluded_seconds_that_could_overflow_are_refused() -> None:
    rows = file([("a", 902, (0.1, 0.1, 0.4, 0.4), 1, 1.0)])
    with pytest.raises(ValueError, match=r"excluded must be seconds up to 1e\+09, got 9{20} for 'a': correct the list"):
        box_rankings(rows, rows, [1], {("a", int("9" * 40))})
    assert box_rankings(rows, rows, [1], {("a", 10**9)})[0].hits.tolist() == [True]
