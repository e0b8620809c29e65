"""How far a mean average precision would move with other test videos of the same kind."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from metrics.ranking import Area, Ranking, areas


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
        ValueError: an argument is out of range, or no ranking has a positive in any resample.
    """
    if num_videos < 1 or resamples < 1 or not 0 < level < 1:
        raise ValueError(
            f"num_videos and resamples must be positive and level between 0 and 1, got {num_videos}, {resamples}, {level}"
        )
    random = np.random.default_rng(seed)
    drawn = random.multinomial(num_videos, np.full(num_videos, 1 / num_videos), size=resamples)
    weights = np.concatenate([np.ones((1, num_videos), drawn.dtype), drawn])  # the first row gives the value itself
    total, count = np.zeros(len(weights)), np.zeros(len(weights))
    for ranking in rankings:
        values = areas(ranking, area, weights)
        total += np.nan_to_num(values)
        count += ~np.isnan(values)
    if not count[1:].any():
        raise ValueError("no label has a positive, so there is no mean to bootstrap")
    means: npt.NDArray[np.float64] = (total / np.maximum(count, 1))[count > 0]
    value, resampled = means[0], means[1:]
    low, high = np.clip(value + np.quantile(resampled - resampled.mean(), [(1 - level) / 2, (1 + level) / 2]), 0, 1)
    return Interval(float(low), float(high), level, resamples)
