from fractions import Fraction

import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from metrics.ranking import Area, Ranking, areas, mean_precision

TIES = [None, 8, 2, 1]  # how many different scores; None: all differ


def scores_and_hits(n: int, levels: int | None, seed: int, share: float = 0.3) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    scores = random.standard_normal(n) if levels is None else random.integers(0, levels, n) / 7
    hits = random.random(n) < share
    hits[0] = True
    return scores.astype(np.float32), hits


def points(scores: np.ndarray, hits: np.ndarray, positives: int) -> list[tuple[Fraction, Fraction]]:
    """(recall, precision) after each group of rows with one score, falling."""
    curve, seen, found = [], 0, 0
    for score in sorted(set(scores.tolist()), reverse=True):
        group = [bool(hit) for other, hit in zip(scores.tolist(), hits, strict=True) if other == score]
        seen, found = seen + len(group), found + sum(group)
        curve.append((Fraction(found, positives), Fraction(found, seen)))
    return curve


def literal_area(scores: np.ndarray, hits: np.ndarray, positives: int, area: Area) -> float:
    if positives == 0:
        return float("nan")
    curve = points(scores, hits, positives)
    total, before = Fraction(0), Fraction(0)
    for place, (recall, precision) in enumerate(curve):
        if area == "interpolated":
            precision = max(other for _, other in curve[place:])
        total, before = total + (recall - before) * precision, recall
    return float(total)


@pytest.mark.parametrize("levels", TIES)
@pytest.mark.parametrize("seed", range(3))
def test_mean_precision_equals_scikit_learn(levels: int | None, seed: int) -> None:
    scores, hits = scores_and_hits(301, levels, seed)
    assert mean_precision(scores, hits) == pytest.approx(average_precision_score(hits, scores), abs=1e-12)


@pytest.mark.parametrize("seed", range(3))
def test_mean_precision_ranks_minus_infinity_last(seed: int) -> None:
    scores, hits = scores_and_hits(120, 5, seed)
    unreadable = np.random.default_rng(seed + 9).random(120) < 0.4
    # scikit-learn refuses -inf: the reference uses a number below all others
    expected = average_precision_score(hits, np.where(unreadable, -1.0, scores))
    got = mean_precision(np.where(unreadable, -np.inf, scores).astype(np.float32), hits)
    assert got == pytest.approx(expected, abs=1e-12)


def test_mean_precision_is_exact_by_hand() -> None:
    scores = np.array([0.1, 0.8, 0.9, 0.8, -np.inf])
    hits = np.array([True, True, True, False, True])
    # place 1, a tie over places 2 and 3 with 2 of 3 right, place 4, place 5
    assert mean_precision(scores, hits) == pytest.approx((1 / 1 + 2 / 3 + 3 / 4 + 4 / 5) / 4, abs=1e-15)


def test_mean_precision_does_not_depend_on_row_order() -> None:
    scores, hits = scores_and_hits(200, 9, 0)
    order = np.random.default_rng(1).permutation(200)
    assert mean_precision(scores[order], hits[order]) == mean_precision(scores, hits)


def test_mean_precision_without_a_positive_is_nan() -> None:
    assert np.isnan(mean_precision(np.arange(3.0), np.zeros(3, bool)))
    assert np.isnan(mean_precision(np.empty(0), np.empty(0, bool)))


def ranking(n: int, levels: int | None, seed: int, num_units: int = 7, missed: int = 4) -> Ranking:
    """A list whose truth holds more than the list, as detections do."""
    scores, hits = scores_and_hits(n, levels, seed)
    random = np.random.default_rng(seed + 50)
    units = random.integers(0, num_units, n)
    positives = np.bincount(units[hits], minlength=num_units)
    np.add.at(positives, random.integers(0, num_units, missed), 1)
    return Ranking(scores, hits, units, positives)


@pytest.mark.parametrize("area", ["mean_precision", "interpolated"])
@pytest.mark.parametrize("levels", TIES)
@pytest.mark.parametrize("missed", [0, 5])
def test_areas_equal_the_sum_in_fractions(area: Area, levels: int | None, missed: int) -> None:
    given = ranking(60, levels, 3, missed=missed)
    expected = literal_area(given.scores, given.hits, int(given.positives.sum()), area)
    assert areas(given, area).tolist() == pytest.approx([expected], abs=1e-12)


@pytest.mark.parametrize("levels", TIES)
def test_areas_without_misses_equal_mean_precision(levels: int | None) -> None:
    given = ranking(80, levels, 5, missed=0)
    assert areas(given, "mean_precision")[0] == pytest.approx(mean_precision(given.scores, given.hits), abs=1e-12)


@pytest.mark.parametrize("area", ["mean_precision", "interpolated"])
@pytest.mark.parametrize("levels", TIES)
def test_areas_of_weights_equal_repeated_videos(area: Area, levels: int | None) -> None:
    given = ranking(60, levels, 8)
    weights = np.random.default_rng(0).integers(0, 4, (9, 7))
    weights[0] = 0  # no video at all
    weights[1] = [3, 0, 0, 0, 0, 0, 0]  # one video only
    got = areas(given, area, weights)
    for row, value in zip(weights, got, strict=True):
        rows = np.repeat(np.arange(60), row[given.units])
        expected = literal_area(given.scores[rows], given.hits[rows], int(row @ given.positives), area)
        assert value == pytest.approx(expected, abs=1e-12, nan_ok=True)
    assert np.isnan(got[0])


@pytest.mark.parametrize("area", ["mean_precision", "interpolated"])
def test_areas_in_parts_equal_whole(area: Area, monkeypatch: pytest.MonkeyPatch) -> None:
    given = ranking(90, 40, 1)
    weights = np.random.default_rng(0).integers(0, 3, (11, 7))
    whole = areas(given, area, weights)
    for cells in (11, 40):  # one score at a time, and three
        monkeypatch.setattr("metrics.ranking._CELLS", cells)
        np.testing.assert_allclose(areas(given, area, weights), whole, rtol=0, atol=1e-12)


@pytest.mark.parametrize("area", ["mean_precision", "interpolated"])
def test_areas_rank_minus_infinity_last(area: Area) -> None:
    given = ranking(60, 5, 2)
    lost = np.random.default_rng(4).random(60) < 0.4
    infinite = Ranking(np.where(lost, -np.inf, given.scores), given.hits, given.units, given.positives)
    low = Ranking(np.where(lost, -1.0, given.scores), given.hits, given.units, given.positives)
    np.testing.assert_array_equal(areas(infinite, area), areas(low, area))


@pytest.mark.parametrize("area", ["mean_precision", "interpolated"])
def test_areas_of_an_empty_list(area: Area) -> None:
    nothing = np.empty(0)
    no_list = Ranking(nothing, nothing.astype(bool), nothing.astype(np.int64), np.array([2, 0]))
    assert areas(no_list, area).tolist() == [0.0]
    assert np.isnan(areas(no_list, area, np.array([[0, 5]]))).all()


def test_areas_refuse_unknown_area() -> None:
    with pytest.raises(ValueError, match="area must be one of mean_precision, interpolated, got '11 points'"):
        areas(ranking(5, None, 0), "11 points")  # type: ignore[arg-type]
