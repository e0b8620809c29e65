import sys
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from metrics.bootstrap import bootstrap
from metrics.ranking import Ranking, areas

VIDEOS, LABELS = 12, 3


def rankings(seed: int = 0, rows_of_video: int = 5) -> list[Ranking]:
    """Steps of some videos; the last label occurs in one video only, so that many resamples lack it."""
    random = np.random.default_rng(seed)
    units = np.repeat(np.arange(VIDEOS), rows_of_video)
    lists = []
    for label in range(LABELS):
        hits = random.random(len(units)) < 0.3 if label < 2 else units == 4
        scores = np.round(random.random(len(units)) + 0.3 * hits, 1)  # ties
        lists.append(Ranking(scores, hits, units, np.bincount(units[hits], minlength=VIDEOS)))
    return lists


def literal_means(lists: list[Ranking], resamples: int, seed: int) -> np.ndarray:
    """Repeat the rows of each drawn video, and let scikit-learn score them."""
    random = np.random.default_rng(seed)
    means = []
    for _ in range(resamples):
        weights = random.multinomial(VIDEOS, np.full(VIDEOS, 1 / VIDEOS))
        values = []
        for given in lists:
            rows = np.repeat(np.arange(len(given.scores)), weights[given.units])
            if given.hits[rows].any():
                values.append(average_precision_score(given.hits[rows], given.scores[rows]))
        if values:
            means.append(sum(values) / len(values))
    return np.array(means)


def spread(lists: list[Ranking], means: np.ndarray, level: float = 0.95) -> np.ndarray:
    """The value of all videos, plus the percentiles of the resamples about their mean."""
    value = np.mean([average_precision_score(given.hits, given.scores) for given in lists])
    expected: np.ndarray = value + np.quantile(means - means.mean(), [(1 - level) / 2, (1 + level) / 2])
    clipped: np.ndarray = np.clip(expected, 0, 1)
    return clipped


@pytest.mark.parametrize("level", [0.95, 0.5])
def test_bootstrap_equals_repeated_rows(level: float) -> None:
    means = literal_means(rankings(), 200, seed=7)
    got = bootstrap(iter(rankings()), VIDEOS, resamples=200, level=level, seed=7)
    expected = spread(rankings(), means, level)
    np.testing.assert_allclose([got.low, got.high], expected, rtol=0, atol=1e-12)
    assert (got.level, got.resamples) == (level, 200)


def test_bootstrap_leaves_out_resamples_without_a_positive() -> None:
    rare = rankings()[2:]
    means = literal_means(rare, 100, seed=1)
    assert len(means) < 100
    got = bootstrap(rare, VIDEOS, resamples=100, seed=1)
    np.testing.assert_allclose([got.low, got.high], spread(rare, means), rtol=0, atol=1e-12)


def test_bootstrap_holds_the_expected_value_as_often_as_it_says() -> None:
    """Draw many test sets of 60 videos from one distribution; 90 % intervals must hold the mean of all their values."""
    random, values, intervals = np.random.default_rng(0), [], []
    for _ in range(150):
        hits = random.random(60) < 0.2
        scores = random.normal(size=60) + 0.5 * hits
        given = Ranking(scores, hits, np.arange(60), hits.astype(np.int64))
        intervals.append(bootstrap([given], 60, resamples=200, level=0.9))
        values.append(average_precision_score(hits, scores))
    share = np.mean([got.low <= np.mean(values) <= got.high for got in intervals])
    assert 0.8 <= share <= 0.97, share


def test_bootstrap_is_the_same_for_a_seed_and_another_for_another() -> None:
    first, again, other = (bootstrap(rankings(), VIDEOS, resamples=50, seed=seed) for seed in (3, 3, 4))
    assert first == again
    assert (first.low, first.high) != (other.low, other.high)


def test_bootstrap_of_equal_videos_has_no_width() -> None:
    # each video alike: one hit above one miss, and the same for all
    units = np.repeat(np.arange(VIDEOS), 2)
    hits = np.tile([True, False], VIDEOS)
    given = Ranking(np.where(hits, 0.9, 0.1), hits, units, np.ones(VIDEOS, np.int64))
    got = bootstrap([given], VIDEOS, resamples=20)
    assert (got.low, got.high) == (1.0, 1.0)


@pytest.mark.parametrize(
    "change", [{"resamples": 0}, {"resamples": 1_000_001}, {"level": 1.0}, {"level": 0.0}, {"num_videos": 0}]
)
def test_bootstrap_refuses_arguments_out_of_range(change: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="num_videos and resamples must be positive and level between 0 and 1"):
        bootstrap(rankings(), **({"num_videos": VIDEOS} | change))  # type: ignore[arg-type]


def test_bootstrap_refuses_truth_without_a_positive() -> None:
    none = Ranking(np.ones(2), np.zeros(2, bool), np.array([0, 1]), np.zeros(VIDEOS, np.int64))
    with pytest.raises(ValueError, match="no label has a positive"):
        bootstrap([none], VIDEOS, resamples=5)


def test_bootstrap_in_parts_of_the_resamples_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = bootstrap(rankings(), VIDEOS, resamples=100, seed=2)
    drawn: list[int] = []
    plain = areas

    def watched(ranking: Ranking, area: Any, weights: Any = None) -> Any:
        drawn.append(len(weights))
        return plain(ranking, area, weights)

    module = sys.modules["metrics.bootstrap"]  # the package has a function of this name
    monkeypatch.setattr(module, "_CELLS", 7 * VIDEOS + 3)
    monkeypatch.setattr(module, "areas", watched)
    parts = bootstrap(iter(rankings()), VIDEOS, resamples=100, seed=2)
    assert drawn == LABELS * [8, *[7] * 13, 2]  # one more row at first, of all videos
    assert (parts.low, parts.high) == pytest.approx((whole.low, whole.high), abs=1e-14)
