import json
from collections import defaultdict
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from metrics.activitynet import Scored, VideoHitAtK, classification, classification_rankings, hits_at_k
from metrics.ranking import areas

Row = tuple[int, int, float]  # video, label, score


def scored(rows: list[Row]) -> Scored:
    table = np.array(rows, np.float64).reshape(-1, 3)
    return Scored(table[:, 0].astype(np.int64), table[:, 1].astype(np.int64), table[:, 2])


def loop_average_precision(truth: set[tuple[int, int]], predictions: list[Row], label: int) -> float:
    """Interpolated AP; the rows of one score come together; of two rows of one video the lower is wrong."""
    positives = sum(1 for _, true in truth if true == label)
    if not positives:
        return float("nan")
    seen: set[int] = set()
    ranked = []
    for video, _, score in sorted((row for row in predictions if row[1] == label), key=lambda row: -row[2]):
        ranked.append((score, (video, label) in truth and video not in seen))
        seen.add(video)
    points = []
    for level in sorted({score for score, _ in ranked}, reverse=True):
        above = [hit for score, hit in ranked if score >= level]
        points.append((sum(above) / positives, sum(above) / len(above)))
    total, before = 0.0, 0.0
    for place, (recall, _) in enumerate(points):
        total += (recall - before) * max(precision for _, precision in points[place:])
        before = recall
    return total


def loop_hits(truth: set[tuple[int, int]], predictions: list[Row], k: int) -> tuple[float, float]:
    """Of equal scores, wrong labels and repeated rows come first; a label is looked for among the k first rows."""
    labels: dict[int, list[int]] = defaultdict(list)
    rows: dict[int, list[tuple[float, bool, int]]] = defaultdict(list)
    for video, label in truth:
        labels[video].append(label)
    for row in sorted(predictions, key=lambda row: -row[2]):
        good = row[1] in labels[row[0]] and all(row[1] != label for _, _, label in rows[row[0]])
        rows[row[0]].append((-row[2], good, row[1]))
    hit, average = [], []
    for video, own in labels.items():
        if not own:
            continue
        found = []
        for label in own:
            others = [row for row in rows[video] if row[2] != label or row[1]]  # its own repeated rows take no place
            found.append(label in [row[2] for row in sorted(others)[:k]])
        hit.append(any(found))
        average.append(sum(found) / len(found))
    return sum(hit) / len(hit), sum(average) / len(average)


def some_rows(random: np.random.Generator, levels: int) -> tuple[list[Row], list[Row]]:
    """Video 7 has no truth, 8 no predictions, label 4 no truth; labels and rows are repeated."""
    truth: list[Row] = [(video, int(random.integers(4)), 1.0) for video in [0, 1, 2, 3, 4, 5, 6, 8] for _ in range(2)]
    truth.append(truth[0])
    predictions = [
        (int(random.integers(8)), int(random.integers(5)), float(random.integers(levels))) for _ in range(60)
    ]
    return truth, predictions


@pytest.mark.parametrize("levels", [1, 4, 10**6])
@pytest.mark.parametrize("seed", range(3))
def test_classification_equals_the_loop(seed: int, levels: int) -> None:
    random = np.random.default_rng(seed)
    truth, predictions = some_rows(random, levels)
    pairs = {row[:2] for row in truth}
    assert len(pairs) < len(truth), "some video has one label twice"
    expected = [loop_average_precision(pairs, predictions, label) for label in range(5)]
    for _ in range(2):
        order = [random.permutation(len(rows)) for rows in (truth, predictions)]
        got = classification(
            scored([truth[row] for row in order[0]]),
            scored([predictions[row] for row in order[1]]),
            9,
            5,
            ks=(1, 2, 3, 9),
        )
        np.testing.assert_allclose(got.average_precision, expected, rtol=1e-12)
        for k in (1, 2, 3, 9):
            np.testing.assert_allclose((got.hit[k], got.average_hit[k]), loop_hits(pairs, predictions, k), rtol=1e-12)


def test_classification_is_as_computed_by_hand() -> None:
    truth = scored([(0, 0, 1), (0, 0, 1), (0, 1, 1), (1, 1, 1), (2, 0, 1)])  # video 0 has two labels, one of them twice
    predictions = scored(
        [
            (0, 0, 0.9),
            (0, 2, 0.6),
            (0, 1, 0.5),
            (1, 0, 0.8),
            (1, 1, 0.8),  # as high as a wrong one
            (2, 0, 0.1),
            (3, 0, 0.95),  # a video without truth
        ]
    )
    got = classification(truth, predictions, 4, 3, ks=(1, 2, 3))
    # label 0, from the top: wrong, right, wrong, right -> 1/2 at both; label 1: right, right
    np.testing.assert_allclose(got.average_precision, [0.5, 1, np.nan])
    assert got.hit == {1: float(Fraction(2, 3)), 2: 1.0, 3: 1.0}
    assert got.average_hit == {1: 0.5, 2: float(Fraction(5, 6)), 3: 1.0}


@pytest.mark.parametrize(("k", "expected"), [(1, (0.5, 0.25)), (2, (1.0, 1.0))])
def test_wrong_labels_stand_above_true_ones_of_the_same_score(k: int, expected: tuple[float, float]) -> None:
    truth = scored([(0, 0, 1), (0, 1, 1), (1, 0, 1)])
    predictions = [(0, 0, 0.5), (0, 1, 0.5), (1, 0, 0.5), (1, 2, 0.5)]  # in video 0 only true labels tie
    for rows in (predictions, predictions[::-1]):
        assert hits_at_k(truth, scored(rows), 2, 3, k) == expected


def test_a_drawn_video_counts_as_often_as_it_is_drawn() -> None:
    truth = scored([(0, 0, 1), (1, 0, 1)])
    (ranking,) = classification_rankings(truth, scored([(2, 0, 0.9), (0, 0, 0.8), (1, 0, 0.7)]), 3, 1)
    got = areas(ranking, "interpolated", np.array([[1, 1, 1], [2, 0, 1], [1, 2, 0], [0, 0, 3]]))
    np.testing.assert_allclose(got, [2 / 3, 2 / 3, 1, np.nan])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"k": 0}, "k must be positive, got 0"),
        ({"num_videos": 1}, "videos of predictions must be numbers from 0 to 0, got 1 to 1"),
        ({"num_labels": 2}, "labels of truth must be numbers from 0 to 1, got 2 to 2"),
        ({"truth": scored([])}, "truth has no label"),
    ],
)
def test_hits_refuse_bad_arguments_by_name(arguments: dict[str, Any], message: str) -> None:
    good = {"truth": scored([(0, 2, 1)]), "predictions": scored([(1, 0, 1)]), "num_videos": 2, "num_labels": 3, "k": 1}
    with pytest.raises(ValueError, match=message):
        hits_at_k(**{**good, **arguments})


def test_scored_refuses_columns_that_cannot_be_scored() -> None:
    two = np.zeros(2, np.int64)
    with pytest.raises(ValueError, match="videos, labels and scores must all be \\(n,\\)"):
        Scored(two, two, np.zeros(3))
    with pytest.raises(ValueError, match=r"scores must not be NaN, .* in row 1"):
        Scored(two, two, np.array([0, np.nan]))


@pytest.mark.parametrize("average", [False, True])
@pytest.mark.parametrize("k", [1, 3])
def test_hit_metric_equals_the_loop_with_each_video_once(k: int, average: bool) -> None:
    generator = torch.Generator().manual_seed(0)
    preds = torch.randint(0, 6, (20, 5), generator=generator) / 6
    preds[4] = -torch.inf  # could not be read
    labels = (torch.rand(20, 5, generator=generator) < 0.3).long()
    assert (labels.sum(1) == 0).any() and (labels.sum(1) > 1).any() and labels[4].any()
    metric = VideoHitAtK(k=k, average=average)
    for rows in ([5, 3, 19, 4], [*range(3), *range(6, 19)], [3, 0, 19]):
        metric.update(torch.tensor(rows), preds[rows], labels[rows])
    truth = {(video, label) for video, label in labels.nonzero().tolist()}
    loop_rows = [(video, label, preds[video, label].item()) for video in range(20) if video != 4 for label in range(5)]
    got = metric.compute()
    assert got.dtype == torch.float64
    np.testing.assert_allclose(got.item(), loop_hits(truth, loop_rows, k)[average], rtol=1e-12)


def test_hit_metric_refuses_what_it_cannot_rank() -> None:
    with pytest.raises(ValueError, match="k must be positive"):
        VideoHitAtK(k=0)
    with pytest.raises(ValueError, match="float16"):
        VideoHitAtK().update(torch.arange(1), torch.rand(1, 3).half(), torch.ones(1, 3).long())


def test_official_sample_predictions_score_as_the_loop(shared_data: Path) -> None:
    folder = shared_data / "activitynet"
    subsets = dict(line.split(",")[:6:5] for line in (folder / "video_info_new.csv").read_text().splitlines())
    annotated = json.loads((folder / "anet_anno_action.json").read_text())
    given = json.loads((folder / "sample_classification_prediction.json").read_text())["results"]
    kept = {name: rows["annotations"] for name, rows in annotated.items() if subsets[name] == "validation"}
    names = {name: number for number, name in enumerate(sorted({*kept, *(f"v_{name}" for name in given)}))}
    kinds = sorted({row["label"] for rows in annotated.values() for row in rows["annotations"]})
    truth: list[Row] = [(names[n], kinds.index(row["label"]), 1.0) for n, rows in kept.items() for row in rows]
    predictions: list[Row] = [
        (names[f"v_{n}"], kinds.index(row["label"]), row["score"]) for n, rows in given.items() for row in rows
    ]
    assert (len(names), len(kinds), len(predictions)) == (4926, 200, 4933)
    got = classification(scored(truth), scored(predictions), len(names), 200, ks=(1, 3))
    pairs = {row[:2] for row in truth}
    of_label = [[row for row in predictions if row[1] == label] for label in range(200)]
    expected = [loop_average_precision(pairs, of_label[label], label) for label in range(200)]
    np.testing.assert_allclose(got.average_precision, expected, rtol=1e-12)
    for k in (1, 3):
        np.testing.assert_allclose((got.hit[k], got.average_hit[k]), loop_hits(pairs, predictions, k), rtol=1e-12)
    assert 0 < got.average_hit[1] < got.average_hit[3] <= 1
