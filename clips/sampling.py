"""Which frames a clip shows: index arithmetic in time, without video and without pixels.

A clip of T frames at downsampling rate r shows the instants `start + i * r / fps`, i = 0..T-1, where `fps` is the
*nominal* frame rate of the data set (24 for Charades). An instant is mapped to the frame that is on screen then, so rate
4 covers the same seconds in a 15, 24 or 30 fps file and in one of variable frame rate.
"""

from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

ShortVideo = Literal["repeat_last", "loop"]
Array = NDArray[np.float64]
Numbers = NDArray[np.int64]

# Containers round time stamps (Matroska to a millisecond), so an instant this close before a frame already shows it.
TOLERANCE = 1e-3


def span(num_frames: int, rate: float, fps: float) -> float:
    """Seconds from the first to the last sampled instant of a clip.

    Raises:
        ValueError: if one of the arguments is not positive.
    """
    for name, value in (("num_frames", num_frames), ("rate", rate), ("fps", fps)):
        if not value > 0:
            raise ValueError(f"{name} must be positive, got {value}")
    return (num_frames - 1) * rate / fps


def on_screen(times: Array, instants: NDArray[np.floating[Any]]) -> Numbers:
    """Number of the frame on screen at each instant.

    Args:
        times: (N,) seconds at which each frame appears, ascending, the first 0.
        instants: (...) seconds; those outside the video give its first or last frame.

    Returns:
        int64, same shape as `instants`.
    """
    numbers = np.searchsorted(times, np.asarray(instants) + TOLERANCE, side="right") - 1
    return np.clip(numbers, 0, len(times) - 1).astype(np.int64)


def clip_frames(
    times: Array, start: float, *, num_frames: int, rate: float, fps: float, short_video: ShortVideo = "repeat_last"
) -> Numbers:
    """Frame numbers of one clip.

    Args:
        times: (N,) seconds at which each frame appears, ascending, the first 0.
        start: instant of the first sampled frame, seconds.
        num_frames: T.
        rate: downsampling rate, in frames of the nominal frame rate.
        fps: nominal frame rate.
        short_video: what a video that ends before the clip shows then: `repeat_last` (the papers') its last frame,
            `loop` itself again from its beginning.

    Returns:
        int64 (T,), in the order of time.

    Raises:
        ValueError: if an argument is out of range, or the clip would show one frame only.
    """
    if short_video not in get_args(ShortVideo):
        raise ValueError(f"short_video must be one of {get_args(ShortVideo)}, got {short_video!r}")
    seconds = span(num_frames, rate, fps)
    if not 0 <= start <= times[-1] + TOLERANCE:
        raise ValueError(f"start must lie in the video's 0 to {times[-1]:.3f} s, got {start}")
    instants = start + np.arange(num_frames) * (rate / fps)
    duration = (
        float(times[-1]) * len(times) / max(len(times) - 1, 1)
    )  # the last frame is shown for as long as a mean one
    if num_frames > 1 and instants[1] > duration - TOLERANCE:
        raise ValueError(
            f"rate {rate:g} leaves one frame: {num_frames} frames {rate / fps:.3f} s apart, the first at {start:.3f} s, but "
            f"the video has {len(times)} frames and ends after {duration:.3f} s; use a smaller rate"
        )
    if short_video == "loop" and seconds > times[-1]:
        instants = np.maximum((instants + TOLERANCE) % duration - TOLERANCE, 0.0)
    return on_screen(times, instants)


def last_start(times: Array, seconds: float) -> float:
    """Latest instant at which a clip that spans `seconds` still ends in the video; 0 for a shorter video."""
    return max(0.0, float(times[-1]) - seconds)


def random_start(times: Array, seconds: float, random: np.random.Generator) -> float:
    """Instant of a frame drawn uniformly from those where a clip that spans `seconds` fits."""
    fitting = np.searchsorted(times, last_start(times, seconds) + TOLERANCE, side="right")
    return float(times[random.integers(max(1, int(fitting)))])


def uniform_starts(times: Array, seconds: float, positions: int) -> Array:
    """Instants of `positions` clips spread evenly from the first to the last possible start; one clip is centred.

    Returns:
        (positions,) seconds, each the instant of a frame.

    Raises:
        ValueError: if `positions` is not positive.
    """
    if positions < 1:
        raise ValueError(f"positions must be at least 1, got {positions}")
    last = last_start(times, seconds)
    wanted = np.array([last / 2] if positions == 1 else np.linspace(0.0, last, positions), dtype=np.float64)
    return times[on_screen(times, wanted)]


def centred_starts(times: Array, seconds: float, centres: Array) -> Array:
    """Instants of clips that are centred on the given instants as far as the video allows.

    Returns:
        same shape as `centres`, seconds, each the instant of a frame.
    """
    return times[on_screen(times, np.clip(centres - seconds / 2, 0.0, last_start(times, seconds)))]
