"""Pixels of TempoShapes: flat coloured shapes on a grey ground with mild noise."""

import numpy as np
import numpy.typing as npt

from clips.tempo_motion import Actor, Motion, motion

SIDE = 112
"""Width and height of each frame, pixels."""

# The same ground in all videos: with one of its own a small training set is learnt by heart instead of by motion.
_GROUND, _NOISE, _TILES = 64, 4.0, 8

_COLOURS: dict[str, tuple[int, int, int]] = {
    "flash": (255, 240, 40),
    "pop": (255, 50, 40),
    "size": (60, 230, 60),
    "hue": (255, 140, 20),
    "spin": (90, 150, 255),
    "orbit": (40, 230, 240),
    "glow": (255, 255, 255),
    "saw": (250, 70, 240),
}
_VIOLET = (110, 60, 255)  # the other end of hue
_SQUARES, _DIAMONDS = {"flash", "glow"}, {"hue"}  # the others are disks, a spinner half of one
_REACH = 32  # half the side of the window that holds an actor's whole way


def _mask(family: str, poses: Motion, left: int, top: int) -> npt.NDArray[np.float32]:
    """Coverage of the window by the actor, float32 `(N, 2R, 2R)` from 0 to 1, with a soft edge of one pixel."""
    grid = np.arange(2 * _REACH, dtype=np.float32)
    dx = (grid - (poses.x - left).astype(np.float32)[:, None])[:, None, :]
    dy = (grid - (poses.y - top).astype(np.float32)[:, None])[:, :, None]
    if family in _SQUARES:
        distance = np.maximum(np.abs(dx), np.abs(dy)) * np.float32(1.1)
    elif family in _DIAMONDS:
        distance = (np.abs(dx) + np.abs(dy)) * np.float32(0.8)
    else:
        distance = np.sqrt(dx * dx + dy * dy)
    mask: npt.NDArray[np.float32] = np.clip(poses.radius.astype(np.float32)[:, None, None] - distance + 0.5, 0, 1)
    if family == "spin":
        aim = poses.aim.astype(np.float32)[:, None, None]
        mask = mask * np.clip(np.cos(aim) * dx + np.sin(aim) * dy + 0.5, 0, 1)
    return mask


def _paint(family: str, poses: Motion, channel: int) -> npt.NDArray[np.float32]:
    """Value of one channel of the actor in each frame, float32 `(N, 1, 1)`."""
    value = np.full(poses.gain.shape, float(_COLOURS[family][channel]))
    if family == "hue":
        value = poses.aim * value + (1 - poses.aim) * _VIOLET[channel]
    painted: npt.NDArray[np.float32] = (poses.gain * value).astype(np.float32)[:, None, None]
    return painted


def draw(actors: tuple[Actor, ...], num_frames: int, seed: int) -> npt.NDArray[np.uint8]:
    """Draw a video.

    Args:
        actors: Who is on the stage, at most one in each quarter.
        num_frames: N.
        seed: Of the noise of the ground.

    Returns:
        Pixels, uint8 `(N, 112, 112, 3)`, red, green, blue.
    """
    rng = np.random.default_rng(seed)
    tiles = (_GROUND + rng.normal(0, _NOISE, size=(_TILES, SIDE, SIDE, 1))).clip(0, 255).astype(np.uint8)
    canvas = np.empty((num_frames, SIDE, SIDE, 3), np.uint8)
    canvas[:] = tiles[rng.integers(0, _TILES, size=num_frames)]
    for actor in actors:
        poses = motion(actor, num_frames)
        left, top = (int(np.clip(round(place) - _REACH, 0, SIDE - 2 * _REACH)) for place in actor.home)
        mask = _mask(actor.family, poses, left, top)
        window = canvas[:, top : top + 2 * _REACH, left : left + 2 * _REACH]
        for channel in range(3):
            under = window[..., channel].astype(np.float32)
            window[..., channel] = under + mask * (_paint(actor.family, poses, channel) - under)
    return canvas
