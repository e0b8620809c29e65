"""Motions of TempoShapes: what each activity does to an actor, as numbers for each frame and without pixels.

Eight families of two twins. Twins differ in the order or the sign of a motion and never in a pose: each pose that one
twin takes, the other takes as often. A family lives at one of three tempos, seen against clips of 16 frames:

* brief: over within 4 or 8 frames (flash, pop), or so fast that coarse sampling folds it over (spin);
* medium: a cycle of about a second (saw) or of one to two (orbit);
* slow: one trend through most of the video, under a jitter that is about as steep (size, hue, glow).
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

FPS = 24
"""Frames a second of each video."""

Curve = npt.NDArray[np.float64]

FAMILIES: dict[str, tuple[str, str]] = {
    "flash": ("flash_bright_first", "flash_dark_first"),
    "pop": ("pop_large_first", "pop_small_first"),
    "size": ("grow", "shrink"),
    "hue": ("turn_orange", "turn_violet"),
    "spin": ("spin_clockwise", "spin_counterclockwise"),
    "orbit": ("orbit_clockwise", "orbit_counterclockwise"),
    "glow": ("brighten", "fade"),
    "saw": ("rise_slowly_fall_fast", "fall_slowly_rise_fast"),
}
"""The twins of each family; two neighbours in this order (flash and pop, size and hue, ...) are companions."""

TEMPOS: dict[str, tuple[str, ...]] = {
    "brief": ("flash", "pop", "spin"),
    "medium": ("orbit", "saw"),
    "slow": ("size", "hue", "glow"),
}
"""The families of each tempo."""

_SHIFT = 12.0  # pixels of an orbit or a saw to either side
_JITTER = (0.25, 0.6)  # amplitude of a slow actor's jitter, as a part of half its trend
_JITTER_SECONDS = (1.2, 3.0)  # its periods: too long for rate 2 to average it away, short enough for rate 8
_TREND_ROOM = 1.3  # where jitter is cut off, in halves of a trend


@dataclass(frozen=True)
class Activity:
    """One activity of one actor.

    Args:
        twin: Which of the family's two labels, 0 or 1.
        start: First frame.
        end: Frame after the last.
        speed: Cycles a second of a spin, an orbit or a saw; 0 for the others.
    """

    twin: int
    start: int
    end: int
    speed: float

    @property
    def sign(self) -> int:
        """+1 for the first twin, -1 for the second."""
        return 1 - 2 * self.twin


@dataclass(frozen=True)
class Actor:
    """One coloured shape and all that it does.

    Args:
        family: Key of `FAMILIES`; sets colour, outline and what its activities move.
        home: Centre (x, y) in pixels when at rest.
        seed: Of its jitter and of its phases.
        activities: In order of time, not overlapping; empty for an idle actor.
    """

    family: str
    home: tuple[float, float]
    seed: int
    activities: tuple[Activity, ...]


@dataclass(frozen=True)
class Motion:
    """Pose of one actor in each of N frames; every curve is float64 `(N,)`.

    Args:
        x: Centre, pixels from the left.
        y: Centre, pixels from the top.
        radius: Half of the shape's width, pixels.
        gain: Brightness, 0 to 1.
        aim: Angle of a spinner's half disk in radians, clockwise on the screen; part of orange, 0 to 1, of a hue.
    """

    x: Curve
    y: Curve
    radius: Curve
    gain: Curve
    aim: Curve


def _pulses(actor: Actor, frames: int, rng: np.random.Generator) -> Curve:
    """+1 for the first half of an activity and -1 for the second, or the other way round for the second twin."""
    curve = np.zeros(frames)
    for activity in actor.activities:
        half = (activity.start + activity.end) // 2
        curve[activity.start : half] = activity.sign
        curve[half : activity.end] = -activity.sign
    return curve


def _trend(actor: Actor, frames: int, rng: np.random.Generator) -> Curve:
    """A level in 0..1 that rises or falls along the activity under a jitter; an idle actor jitters about one level."""
    level = np.full(frames, rng.uniform(-1, 1))
    for activity in actor.activities:
        level = np.interp(np.arange(frames), (activity.start, activity.end - 1), (-activity.sign, activity.sign))
    shortest, longest = np.log(_JITTER_SECONDS)
    periods = np.exp(rng.uniform(shortest, longest, 4))
    phases = rng.uniform(0, 2 * np.pi, size=4)
    waves = np.sin(2 * np.pi * np.arange(frames)[:, None] / FPS / periods + phases)
    jitter = rng.uniform(*_JITTER) * waves.sum(axis=1) / np.sqrt(2)
    curve: Curve = np.clip(0.5 + (level + jitter) / (2 * _TREND_ROOM), 0.0, 1.0)
    return curve


def _phase(actor: Actor, frames: int, rng: np.random.Generator) -> Curve:
    """An angle that turns at the activity's speed and swings to and fro otherwise, radians."""
    swing = np.cos(2 * np.pi * 0.6 * np.arange(frames) / FPS + rng.uniform(0, 2 * np.pi))
    velocity = 0.4 * swing
    for activity in actor.activities:
        velocity[activity.start : activity.end] = activity.sign * activity.speed
    angle: Curve = rng.uniform(0, 2 * np.pi) + 2 * np.pi * np.cumsum(velocity) / FPS
    return angle


def _saw(actor: Actor, frames: int, rng: np.random.Generator) -> Curve:
    """A height from 1 (bottom) to -1 (top): a saw tooth during an activity, an even triangle otherwise."""
    speed, rising = np.full(frames, 0.8), np.full(frames, 0.5)
    for activity in actor.activities:
        speed[activity.start : activity.end] = activity.speed
        rising[activity.start : activity.end] = 0.5 + 0.35 * activity.sign
    cycle = (rng.uniform() + np.cumsum(speed) / FPS) % 1.0
    curve: Curve = 1 - 2 * np.where(cycle < rising, cycle / rising, (1 - cycle) / (1 - rising))
    return curve


_COURSES: dict[str, Callable[[Actor, int, np.random.Generator], Curve]] = {
    **dict.fromkeys(("flash", "pop"), _pulses),
    **dict.fromkeys(("size", "hue", "glow"), _trend),
    **dict.fromkeys(("spin", "orbit"), _phase),
    "saw": _saw,
}


def motion(actor: Actor, num_frames: int) -> Motion:
    """Compute the poses of one actor.

    Args:
        actor: Who moves.
        num_frames: N, frames of the video.

    Returns:
        The pose in each frame; each curve is float64 `(N,)`.
    """
    course = _COURSES[actor.family](actor, num_frames, np.random.default_rng(actor.seed))
    still = np.zeros(num_frames)
    x, y, radius, gain, aim = (still + rest for rest in (*actor.home, 18.0, 0.85, 0.0))
    match actor.family:
        case "flash":
            radius, gain = still + 17, 0.6 + 0.4 * course
        case "pop":
            radius = 14 + 7 * course
        case "size":
            radius = 6 + 16 * course
        case "hue" | "spin":
            aim = course
        case "glow":
            gain = 0.1 + 0.9 * course
        case "orbit":
            radius = still + 10
            x, y = x + _SHIFT * np.cos(course), y + _SHIFT * np.sin(course)
        case "saw":
            radius = still + 11
            y = y + _SHIFT * course
    return Motion(x, y, radius, gain, aim)
