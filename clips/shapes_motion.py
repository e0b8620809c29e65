"""Motions of TempoShapes: what each activity does to an actor, as numbers for each frame and without pixels.

Eight families of two twins. Twins differ by the order or the sign of a motion, never by a pose: each pose that one twin
takes, the other takes for as long. A family lives at one of three tempos, seen against clips of 16 frames:

* brief: over within 4 to 8 frames (flash, dodge), or so fast that coarse sampling folds it over (spin);
* medium: a cycle of about a second (saw) or of one to two (orbit);
* slow: one trend through most of the video under a jitter from frame to frame, so that only a long span shows its sign.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FPS = 24
"""Frames a second of each video."""

Curve = NDArray[np.float64]

FAMILIES: dict[str, tuple[str, str]] = {
    "flash": ("flash_bright_first", "flash_dark_first"),
    "size": ("grow", "shrink"),
    "dodge": ("dodge_left_first", "dodge_right_first"),
    "drift": ("drift_left", "drift_right"),
    "spin": ("spin_clockwise", "spin_counterclockwise"),
    "glow": ("brighten", "fade"),
    "orbit": ("orbit_clockwise", "orbit_counterclockwise"),
    "saw": ("rise_slowly_fall_fast", "fall_slowly_rise_fast"),
}
"""Twins of each family; two neighbours in this order (flash and size, dodge and drift, ...) are companions."""

TEMPOS: dict[str, tuple[str, ...]] = {
    "brief": ("flash", "dodge", "spin"),
    "medium": ("orbit", "saw"),
    "slow": ("size", "drift", "glow"),
}
"""Families of each tempo."""

SWING = 12.0  # pixels of a dodge, a drift, a saw, an orbit to either side
JITTER = 0.25  # standard deviation of a slow actor's jitter, as a part of half its trend


@dataclass(frozen=True)
class Activity:
    """One activity of one actor.

    Args:
        twin: which of the family's two labels, 0 or 1.
        start: first frame.
        end: frame after the last.
        speed: cycles a second of a spin, an orbit or a saw; not used by the others.
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
        family: key of `FAMILIES`; sets colour, outline and what its activities move.
        home: centre (x, y) in pixels when at rest.
        seed: of its jitter and of its phases.
        activities: in order of time, not overlapping; empty for an idle actor.
    """

    family: str
    home: tuple[float, float]
    seed: int
    activities: tuple[Activity, ...]


@dataclass(frozen=True)
class Motion:
    """Pose of one actor in each of N frames; every curve is float64 (N,).

    Args:
        x: centre, pixels from the left.
        y: centre, pixels from the top.
        radius: half of the shape's width, pixels.
        gain: brightness, 0 to 1.
        angle: of the bright half of a spinner, radians, clockwise on the screen.
    """

    x: Curve
    y: Curve
    radius: Curve
    gain: Curve
    angle: Curve


def _pulses(actor: Actor, frames: int, random: np.random.Generator) -> Curve:
    """+1 for the first half of an activity, -1 for the second; the other way round for the second twin."""
    curve = np.zeros(frames)
    for activity in actor.activities:
        half = (activity.start + activity.end) // 2
        curve[activity.start : half] = activity.sign
        curve[half : activity.end] = -activity.sign
    return curve


def _trend(actor: Actor, frames: int, random: np.random.Generator) -> Curve:
    """From -sign to +sign along an activity, level around it, plus jitter; an idle actor jitters about a random level."""
    curve = np.full(frames, random.uniform(-1, 1))
    for activity in actor.activities:
        curve = np.interp(np.arange(frames), (activity.start, activity.end - 1), (-activity.sign, activity.sign))
    return np.clip(curve + JITTER * random.normal(size=frames), -1.9, 1.9).astype(np.float64)


def _phase(actor: Actor, frames: int, random: np.random.Generator) -> Curve:
    """Angle that turns at the activity's speed and swings to and fro between activities, radians."""
    velocity = np.cos(2 * np.pi * 0.6 * np.arange(frames) / FPS + random.uniform(0, 2 * np.pi)) * 2 * np.pi * 0.4
    for activity in actor.activities:
        velocity[activity.start : activity.end] = activity.sign * 2 * np.pi * activity.speed
    angle: Curve = random.uniform(0, 2 * np.pi) + np.cumsum(velocity) / FPS
    return angle


def _saw(actor: Actor, frames: int, random: np.random.Generator) -> Curve:
    """Height from -1 (top) to 1 (bottom): a saw tooth during an activity, an even triangle otherwise."""
    speed, up = np.full(frames, 0.8), np.full(frames, 0.5)
    for activity in actor.activities:
        speed[activity.start : activity.end] = activity.speed
        up[activity.start : activity.end] = 0.5 + 0.35 * activity.sign
    cycle = (random.uniform() + np.cumsum(speed) / FPS) % 1.0
    height: Curve = 1 - 2 * np.where(cycle < up, cycle / up, (1 - cycle) / (1 - up))
    return height


_COURSES: dict[str, Callable[[Actor, int, np.random.Generator], Curve]] = {
    **dict.fromkeys(("flash", "dodge"), _pulses),
    **dict.fromkeys(("size", "drift", "glow"), _trend),
    **dict.fromkeys(("spin", "orbit"), _phase),
    "saw": _saw,
}


def motion(actor: Actor, num_frames: int) -> Motion:
    """Poses of one actor.

    Args:
        actor: who moves.
        num_frames: N, frames of the video.

    Returns:
        The pose in each frame, each curve float64 (N,).
    """
    course = _COURSES[actor.family](actor, num_frames, np.random.default_rng(actor.seed))
    still = np.zeros(num_frames)
    x, y, radius, gain, angle = (still + rest for rest in (*actor.home, 13.0, 0.85, 0.0))
    match actor.family:
        case "flash":
            gain = 0.6 + 0.4 * course
        case "glow":
            gain = np.clip(0.55 + 0.28 * course, 0.05, 1.0)
        case "size":
            radius = 12.0 + 6.0 * course
        case "dodge":
            x = x - SWING * course
        case "drift":
            x = x - 0.8 * SWING * course
        case "saw":
            y = y + SWING * course
        case "orbit":
            radius = radius - 2
            x, y = x + SWING * np.cos(course), y + SWING * np.sin(course)
        case "spin":
            radius, angle = radius + 2, course
    return Motion(x, y, radius, gain, angle)
