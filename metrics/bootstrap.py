"""How far a mean average precision would move with other test videos of the same kind."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from metrics.ranking import Area, Ranking, areas

MAX_RESAMPLES = 1_000_000
_CELLS = 1 << 24  # of a table (resamples, videos) held at a time: 128 MiB


class NoPositiveError(ValueError):
    """No ranking has a positive in any resample."""


@dataclass(frozen=True)
class Interval:
    """A bootstrap interval of a mean over labels.

    Args:
        low: lower end, same unit as the metric.
        high: upper end.
        level: share of the resamples between them.
        resamples: how many there were.
    """

    low: float
    high: float
    level: float
    resamples: int


def bootstrap(
    rankings: Iterable[Ranking],
    num_videos: int,
    *,
    area: Area = "mean_precision",
    resamples: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> Interval:
    """Interval of the mean over `rankings`, from how it spreads when whole videos are drawn with replacement (Efron, 1979).

    Steps of one video, or detections in it, are not independent, so videos are drawn and never rows. A ranking without a
    positive in a resample is left out of its mean. A video that is drawn twice stands beside itself in the ranked list,
    which raises average precision: the plain percentiles lie too high and can miss the value itself. Hence the interval
    is the value plus the percentiles of (resample - mean of the resamples).

    Args:
        rankings: one for each label (and each threshold, where a metric averages over thresholds); read once, in order.
        num_videos: U, the same for all rankings.
        area: see `metrics.ranking.areas`.
        resamples: how many; the time is proportional.
        level: share of the resamples inside the interval.
        seed: of the draw.

    Raises:
        ValueError: an argument is out of range.
        NoPositiveError: no ranking has a positive in any resample; a ValueError.
    """
    if num_videos < 1 or not 1 <= resamples <= MAX_RESAMPLES or not 0 < level < 1:
        raise ValueError(
            f"num_videos and resamples must be positive and level between 0 and 1, got {num_videos}, {resamples}, {level}; "
            f"resamples go up to {MAX_RESAMPLES}"
        )
    kept = list(_weights(num_videos, resamples, seed)) if resamples * num_videos <= _CELLS else None
    total, count = np.zeros(1 + resamples), np.zeros(1 + resamples)
    for ranking in rankings:
        parts = _weights(num_videos, resamples, seed) if kept is None else kept  # the same numbers, drawn again
        values = np.concatenate([areas(ranking, area, weights) for weights in parts])
        total += np.nan_to_num(values)
        count += ~np.isnan(values)
    if not count[1:].any():
        raise NoPositiveError("no label has a positive, so there is no mean to bootstrap")
    means: npt.NDArray[np.float64] = (total / np.maximum(count, 1))[count > 0]
    value, resampled = means[0], means[1:]
    low, high = np.clip(value + np.quantile(resampled - resampled.mean(), [(1 - level) / 2, (1 + level) / 2]), 0, 1)
    return Interval(float(low), float(high), level, resamples)


def _weights(num_videos: int, resamples: int, seed: int) -> Iterator[npt.NDArray[np.int64]]:
    """How often each resample draws each video, in tables of bounded size; the first row gives the value itself."""
    random, share = np.random.default_rng(seed), np.full(num_videos, 1 / num_videos)
    size = max(1, _CELLS // num_videos)
    for first in range(0, resamples, size):
        drawn = random.multinomial(num_videos, share, size=min(size, resamples - first))
        yield drawn if first else np.concatenate([np.ones((1, num_videos), drawn.dtype), drawn])
