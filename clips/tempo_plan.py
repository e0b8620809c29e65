"""Plan of TempoShapes: who is on the stage of each video and does what when, without pixels or files."""

from dataclasses import dataclass

import numpy as np

from clips.tempo_motion import FAMILIES, FPS, TEMPOS, Activity, Actor
from clips.tempo_render import SIDE

SPLITS = ("train", "val", "test")

LABELS: tuple[str, ...] = tuple(label for twins in FAMILIES.values() for label in twins)
"""The sixteen labels in the order of the outputs, twins side by side."""

TEMPO_OF_LABEL: dict[str, str] = {
    label: tempo for tempo, families in TEMPOS.items() for family in families for label in FAMILIES[family]
}
"""brief, medium or slow."""

_families = tuple(FAMILIES)
COMPANIONS: tuple[tuple[str, str], ...] = tuple(zip(_families[::2], _families[1::2], strict=True))
"""Pairs of families that like to meet, in a ring: a video takes two neighbouring pairs, so opposite ones never meet."""

P_COMPANION = 0.7
"""Chance that a family's companion is in its video."""
P_SAME_TWIN = 0.75
"""Chance that two companions both do their first or both their second twin."""
P_BOTH_TWINS = 0.1
"""Chance that an active actor of a brief or medium family alternates between its twins."""
P_IDLE = 0.15
"""Chance that an actor has no activity; at least one actor of each video has."""

_SPEEDS = {"spin": (1.2, 3.6), "orbit": (0.5, 1.0), "saw": (0.7, 1.2)}  # cycles a second
_BEATS = (4, 8)  # frames of a flash or a pop: rate 4 shows both halves of the longer only, rate 8 of neither
_ROLL_CALL = 4  # videos that open each split and together show every label


@dataclass(frozen=True)
class Size:
    """How much to make.

    Args:
        train: Videos for training.
        val: Videos for validation.
        test: Videos for the test.
        shortest: Seconds of the shortest video.
        longest: Seconds of the longest video.
    """

    train: int
    val: int
    test: int
    shortest: float
    longest: float


SIZES: dict[str, Size] = {
    "tiny": Size(8, 4, 5, 3.0, 4.0),
    "demo": Size(600, 30, 60, 6.0, 12.0),
    "full": Size(1600, 200, 400, 6.0, 12.0),
}


@dataclass(frozen=True)
class PlannedVideo:
    """All that is decided about a video before a pixel is drawn.

    Args:
        name: Path of the file relative to the folder of the data set.
        split: train, val or test.
        num_frames: N.
        seed: Of the noise.
        actors: Two to four.
    """

    name: str
    split: str
    num_frames: int
    seed: int
    actors: tuple[Actor, ...]


def plan(size: str, seed: int = 0) -> list[PlannedVideo]:
    """Plan all videos of a size; a function of its arguments alone, each video seeded on its own.

    Raises:
        ValueError: If the size is unknown or the seed negative.
    """
    if size not in SIZES:
        raise ValueError(f"size must be one of {sorted(SIZES)}, got {size!r}; pass one of these")
    if seed < 0:
        raise ValueError(f"seed must not be negative, got {seed}; pass 0 or more")
    counts = (SIZES[size].train, SIZES[size].val, SIZES[size].test)
    return [
        _plan_video(SIZES[size], split, number, seed)
        for split, count in zip(SPLITS, counts, strict=True)
        for number in range(count)
    ]


def _cast(number: int, rng: np.random.Generator) -> list[tuple[str, int, bool]]:
    """Family, twin and idleness of each actor of a video."""
    if number < _ROLL_CALL:
        pairs = COMPANIONS[:2] if number % 2 == 0 else COMPANIONS[2:]
        return [(family, number // 2, False) for pair in pairs for family in pair]
    first = int(rng.integers(len(COMPANIONS)))
    cast = []
    for first_family, second_family in (COMPANIONS[first], COMPANIONS[(first + 1) % len(COMPANIONS)]):
        twin = int(rng.integers(2))
        other = twin if rng.random() < P_SAME_TWIN else 1 - twin
        both = P_COMPANION / (2 - P_COMPANION)  # then P(companion | family) is P_COMPANION
        draw = rng.random()
        if draw < (1 + both) / 2:
            cast.append((first_family, twin, bool(rng.random() < P_IDLE)))
        if draw < both or draw >= (1 + both) / 2:
            cast.append((second_family, other, bool(rng.random() < P_IDLE)))
    if all(idle for _, _, idle in cast):
        cast[0] = (cast[0][0], cast[0][1], False)
    return cast


def _plan_video(size: Size, split: str, number: int, seed: int) -> PlannedVideo:
    rng = np.random.default_rng((seed, SPLITS.index(split), number))
    frames = int(rng.integers(round(size.shortest * FPS), round(size.longest * FPS) + 1))
    actors = []
    for (family, twin, idle), corner in zip(_cast(number, rng), rng.permutation(4), strict=False):
        column, row = int(corner) % 2, int(corner) // 2
        home = tuple(SIDE * (0.25 + 0.5 * place) + float(rng.uniform(-3, 3)) for place in (column, row))
        activities = _activities(family, twin, frames, rng)
        actors.append(Actor(family, (home[0], home[1]), int(rng.integers(2**31)), () if idle else activities))
    name = f"videos/{split}_{number:04d}.mp4"
    return PlannedVideo(name, split, frames, int(rng.integers(2**31)), tuple(actors))


def _activities(family: str, twin: int, frames: int, rng: np.random.Generator) -> tuple[Activity, ...]:
    """One long activity of a slow family; bouts of the others with pauses between them, all at the actor's speed."""
    if family in TEMPOS["slow"]:
        length = round(frames * rng.uniform(0.7, 1.0))
        start = int(rng.integers(frames - length + 1))
        return (Activity(twin, start, start + length, 0.0),)
    alternates = rng.random() < P_BOTH_TWINS
    slowest, fastest = _SPEEDS.get(family, (1.0, 1.0))
    speed = float(np.exp(rng.uniform(np.log(slowest), np.log(fastest)))) if family in _SPEEDS else 0.0
    beat = int(rng.choice(_BEATS))
    bouts: list[Activity] = []
    start = int(rng.integers(2, 13))
    while True:
        brief = family in ("flash", "pop")
        length = beat if brief else int(rng.integers(36, 56))
        if start + length > frames:
            return tuple(bouts)
        bouts.append(Activity(1 - twin if alternates and len(bouts) % 2 else twin, start, start + length, speed))
        start += length + int(rng.integers(12, 30))
