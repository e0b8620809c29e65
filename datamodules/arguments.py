"""Arguments of all data modules that are refused before anything is read."""

import math
from collections.abc import Sequence

from clips.views import Views


def checked_rates(name: str, rates: Sequence[float]) -> list[float]:
    """Downsampling rates as floats.

    Raises:
        ValueError: if there is none, or one is not a positive number.
    """
    if not rates or not all(_positive(rate) for rate in rates):
        raise ValueError(f"{name} must be positive rates and at least one, got {list(rates)}")
    return [float(rate) for rate in rates]


def checked_views(name: str, views: dict[float, tuple[int, int]]) -> Views:
    """Rate -> (positions, crops), with rates as floats.

    Raises:
        ValueError: if a rate is not positive, or there is no position or crop.
    """
    for rate, (positions, crops) in views.items():
        if not _positive(rate) or min(positions, crops) < 1:
            raise ValueError(
                f"{name} maps a positive rate to [positions, crops] of at least 1, got {rate}: {[positions, crops]}"
            )
    return {float(rate): (positions, crops) for rate, (positions, crops) in views.items()}


def check_sizes(short_side: tuple[int, int], test_short_side: int, crop_size: int) -> None:
    """Refuse a crop that does not fit into the smallest frame, and a range of sizes that is reversed.

    Raises:
        ValueError: with all sizes, pixels.
    """
    if not crop_size <= min(short_side[0], test_short_side):
        raise ValueError(
            f"crop_size {crop_size} must fit into short_side {list(short_side)} and test_short_side {test_short_side}"
        )
    if short_side[0] > short_side[1]:
        raise ValueError(f"short_side must be [smallest, largest], got {list(short_side)}")


def check_channels(mean: Sequence[float], std: Sequence[float]) -> None:
    """Refuse what is not one finite number for red, green and blue each, or would divide pixels by nothing.

    Raises:
        ValueError: naming the argument and what it got.
    """
    for name, values in (("mean", mean), ("std", std)):
        if len(values) != 3 or not all(map(math.isfinite, values)):
            raise ValueError(f"{name} must be three numbers, of red, green and blue, got {list(values)}")
    if min(std) <= 0:
        raise ValueError(f"std must be positive, pixels are divided by it, got {list(std)}")


def check_share(name: str, value: float) -> None:
    """Refuse a share outside of 0 to 1.

    Raises:
        ValueError: naming the argument and what it got.
    """
    if not 0 <= value <= 1:
        raise ValueError(f"{name} is a share of the training videos, 0 to 1, got {value}")


def check_at_least(least: int, **values: float) -> None:
    """Refuse numbers below the least.

    Raises:
        ValueError: naming the argument and what it got.
    """
    for name, value in values.items():
        if not value >= least:  # nor NaN
            raise ValueError(f"{name} must be at least {least}, got {value}")


def check_positive(**values: float | None) -> None:
    """Refuse what is given and not a positive number.

    Raises:
        ValueError: naming the argument and what it got.
    """
    for name, value in values.items():
        if value is not None and not _positive(value):
            raise ValueError(f"{name} must be positive and finite, or null, got {value}")


def _positive(value: float) -> bool:
    return 0 < float(value) < math.inf
