"""Pixels of TempoShapes: flat coloured shapes on a plain grey ground."""

import numpy as np
from numpy.typing import NDArray

from clips.shapes_motion import Actor, Motion, motion

SIDE = 112
"""Width and height of each frame, pixels."""

GROUND = 64  # plain and the same everywhere: a ground of its own would name the video

_COLOURS: dict[str, tuple[int, int, int]] = {
    "flash": (255, 240, 40),
    "size": (60, 230, 60),
    "dodge": (255, 50, 40),
    "drift": (255, 150, 30),
    "spin": (245, 245, 245),
    "glow": (90, 140, 255),
    "orbit": (40, 230, 240),
    "saw": (250, 70, 240),
}
_SQUARE, _DIAMOND = {"flash", "glow"}, {"size", "drift"}  # the others are disks, a spinner half of one
_REACH = 32  # half the side of the window that holds an actor's whole way


def _mask(family: str, poses: Motion, left: int, top: int) -> NDArray[np.float32]:
    """Coverage of the window by the actor, float32 (N, 2R, 2R) from 0 to 1, with a soft edge of one pixel."""
    grid = np.arange(2 * _REACH, dtype=np.float32)
    dx = (grid[None, :] - (poses.x - left).astype(np.float32)[:, None])[:, None, :]
    dy = (grid[None, :] - (poses.y - top).astype(np.float32)[:, None])[:, :, None]
    if family in _SQUARE:
        distance = np.maximum(np.abs(dx), np.abs(dy)) * np.float32(1.1)
    elif family in _DIAMOND:
        distance = (np.abs(dx) + np.abs(dy)) * np.float32(0.8)
    else:
        distance = np.sqrt(dx * dx + dy * dy)
    mask: NDArray[np.float32] = np.clip(poses.radius.astype(np.float32)[:, None, None] - distance + 0.5, 0, 1)
    if family == "spin":
        cosine, sine = (f(poses.angle).astype(np.float32)[:, None, None] for f in (np.cos, np.sin))
        mask = mask * np.clip(cosine * dx + sine * dy + 0.5, 0, 1)
    return mask


def render(actors: tuple[Actor, ...], num_frames: int) -> NDArray[np.uint8]:
    """Draw a video.

    Args:
        actors: who is on the stage, one in each quarter at most.
        num_frames: N.

    Returns:
        Pixels, uint8 (N, 112, 112, 3), red, green, blue.
    """
    canvas = np.full((num_frames, SIDE, SIDE, 3), GROUND, np.uint8)
    for actor in actors:
        poses = motion(actor, num_frames)
        left, top = (int(np.clip(round(place) - _REACH, 0, SIDE - 2 * _REACH)) for place in actor.home)
        mask = _mask(actor.family, poses, left, top)
        window = canvas[:, top : top + 2 * _REACH, left : left + 2 * _REACH]
        for channel, value in enumerate(_COLOURS[actor.family]):
            paint = (poses.gain * value).astype(np.float32)[:, None, None]
            under = window[..., channel].astype(np.float32)
            window[..., channel] = under + mask * (paint - under)
    return canvas
