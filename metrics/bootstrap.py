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
    """Percentile interval of the mean over `rankings` when whole videos are drawn with replacement (Efron, 1979).

    Steps of one video, or detections in it, are not independent, so videos are drawn and never rows. A ranking without a
    positive in a resample is left out of its mean.

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
    weights = random.multinomial(num_videos, np.full(num_videos, 1 / num_videos), size=resamples)
    total, count = np.zeros(resamples), np.zeros(resamples)
    for ranking in rankings:
        values = areas(ranking, area, weights)
        total += np.nan_to_num(values)
        count += ~np.isnan(values)
    if not count.any():
        raise ValueError("no label has a positive, so there is no mean to bootstrap")
    means: npt.NDArray[np.float64] = total[count > 0] / count[count > 0]
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(low), float(high), level, resamples)
