"""Where a view is cut from its frames: one draw for all frames of the view, in pixels of the resized frame."""

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


class Box(NamedTuple):
    """A square crop of the resized frame, in pixels, and whether it is mirrored."""

    top: int
    left: int
    size: int
    flip: bool = False


def resized(height: int, width: int, short_side: int) -> tuple[int, int]:
    """Height and width after a resize that keeps the aspect ratio and gives the short side `short_side` pixels.

    Raises:
        ValueError: if a size is not positive.
    """
    if min(height, width, short_side) < 1:
        raise ValueError(f"sizes must be positive, got a frame of {height}x{width} and short_side {short_side}")
    if height <= width:
        return short_side, max(short_side, round(width * short_side / height))
    return max(short_side, round(height * short_side / width)), short_side


def _check(height: int, width: int, size: int) -> None:
    if not 1 <= size <= min(height, width):
        raise ValueError(
            f"crop size must be 1 to {min(height, width)} for frames of {height}x{width}, got {size}; "
            "make the short side larger or the crop smaller"
        )


def random_box(height: int, width: int, size: int, *, flip: bool, random: np.random.Generator) -> Box:
    """A crop drawn uniformly; mirrored with probability 1/2 if `flip`.

    Raises:
        ValueError: if the crop is larger than the frame.
    """
    _check(height, width, size)
    top, left = random.integers(height - size + 1), random.integers(width - size + 1)
    return Box(int(top), int(left), size, bool(flip and random.random() < 0.5))


def uniform_boxes(height: int, width: int, size: int, crops: int) -> list[Box]:
    """`crops` crops spread evenly along the long side, centred on the other; one crop is central.

    Raises:
        ValueError: if the crop is larger than the frame or `crops` is not positive.
    """
    _check(height, width, size)
    if crops < 1:
        raise ValueError(f"crops must be at least 1, got {crops}")
    free_height, free_width = height - size, width - size
    shares = [0.5] if crops == 1 else np.linspace(0.0, 1.0, crops).tolist()
    if free_width >= free_height:
        return [Box(round(free_height / 2), round(share * free_width), size) for share in shares]
    return [Box(round(share * free_height), round(free_width / 2), size) for share in shares]


def cut(frames: Tensor, box: Box) -> Tensor:
    """Cut one view.

    Args:
        frames: (T, H0, W0, C) of any dtype.
        box: crop inside (H0, W0).

    Returns:
        (C, T, size, size), same dtype: a view of `frames` unless it is mirrored.
    """
    view = frames[:, box.top : box.top + box.size, box.left : box.left + box.size].permute(3, 0, 1, 2)
    return torch.flip(view, dims=(3,)) if box.flip else view


def cut_rows(frames: Tensor, rows: Tensor, box: Box) -> Tensor:
    """Cut one view of chosen frames: `cut(frames[rows], box)`, but only the pixels of the view are copied.

    Args:
        frames: (M, H0, W0, C) of any dtype.
        rows: (T,) int64, rows of `frames`, on the same device.
        box: crop inside (H0, W0).

    Returns:
        as `cut`.
    """
    planes = cut(frames, box._replace(flip=False)).transpose(0, 1)
    # whole rows of planes are copied, which indexing does pixel by pixel
    view = planes.index_select(0, rows).transpose(0, 1)
    return torch.flip(view, dims=(3,)) if box.flip else view


def cut_boxes(boxes: NDArray[np.float32], size: tuple[int, int], box: Box) -> Tensor:
    """Where people's boxes lie in a view; parts outside of it are cut off, so that one wholly outside has no area.

    Args:
        boxes: (P, 4) x1, y1, x2, y2 as shares of the width and height of the frame.
        size: height and width of the resized frame, pixels.
        box: the view's crop.

    Returns:
        (P, 4) float32, pixels of the view.
    """
    height, width = size
    pixels = torch.from_numpy(boxes) * torch.tensor([width, height, width, height])
    pixels = (pixels - torch.tensor([box.left, box.top, box.left, box.top])).clamp(0, box.size)
    if box.flip:
        pixels = torch.stack([box.size - pixels[:, 2], pixels[:, 1], box.size - pixels[:, 0], pixels[:, 3]], dim=1)
    return pixels
