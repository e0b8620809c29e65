"""Arguments of all data modules that are refused before anything is read."""

from clips.views import Views


def checked_views(name: str, views: dict[float, tuple[int, int]]) -> Views:
    """Rate -> (positions, crops), with rates as floats.

    Raises:
        ValueError: if a rate is not positive, or there is no position or crop.
    """
    for rate, (positions, crops) in views.items():
        if float(rate) <= 0 or min(positions, crops) < 1:
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


def check_amounts(max_broken: float, curve_step: float | None, **counts: int) -> None:
    """Refuse counts below 1, a share outside of 0 to 1 and a step in seconds that is not positive.

    Raises:
        ValueError: naming the argument and what it got.
    """
    for name, count in counts.items():
        if count < 1:
            raise ValueError(f"{name} must be at least 1, got {count}")
    if not 0 <= max_broken <= 1:
        raise ValueError(f"max_broken is a share of the training videos, 0 to 1, got {max_broken}")
    if curve_step is not None and curve_step <= 0:
        raise ValueError(f"curve_step must be positive seconds or null, got {curve_step}")
