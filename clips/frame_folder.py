"""A folder of numbered pictures as a video, as Charades, AVA and Volleyball are often stored.

Frame k of the folder is on screen from k / fps seconds on, k = 0 being the lowest number in the folder. A missing number
would shift all later frames in time, so it is an error; so is a lowest number other than 0 or 1, unless the data set
says which numbers its folders have.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame
from numpy.typing import NDArray
from torch import Tensor

from clips.decoding import Painter, checked_numbers, checked_size, empty_frames
from clips.index import LIMIT
from clips.packets import VideoError

DECODERS = {".jpg": "mjpeg", ".jpeg": "mjpeg", ".png": "png", ".webp": "webp", ".bmp": "bmp"}

_NUMBER = re.compile(r"(\d+)$")


@dataclass(frozen=True, eq=False)
class FrameFolder:
    """Facts about one folder of frames; small and picklable.

    Attributes:
        path: The folder.
        names: File names, N of them, in the order of their numbers.
        times: Seconds at which each frame appears, float64 `(N,)`.
        fps: Frames a second.
        height: Pixels of the first frame, which all others must have.
        width: As `height`.
    """

    path: Path
    names: tuple[str, ...]
    times: NDArray[np.float64]
    fps: float
    height: int
    width: int

    @property
    def total_frames(self) -> int:
        """Number of frames."""
        return len(self.names)

    @property
    def duration(self) -> float:
        """Seconds from the first frame to the end of the last."""
        return len(self.names) / self.fps


def read_frame_folder(path: Path, fps: float | None, numbers: tuple[int, int] | None = None) -> FrameFolder:
    """List the frames of a folder and read the size of the first.

    Args:
        path: Folder of pictures whose names end in their number, such as `0BX9N-000001.jpg`; other files are ignored.
        fps: Frames a second.
        numbers: First and last number that the folder must have; by default it must begin with 0 or 1.

    Raises:
        ValueError: If `fps` is None or not positive.
        VideoError: If there is no such folder or picture, a name has no number, a number is missing or is there twice,
            or the first picture cannot be decoded.
    """
    if fps is None or not fps > 0:
        raise ValueError(
            f"folder_fps must be the frame rate at which folders of frames were extracted, got {fps} for {path}; set it"
        )
    numbered = _numbered(path)
    first, last = numbered[0][0], numbered[-1][0]
    if numbers is not None and (first, last) != numbers:
        raise VideoError(
            f"{path}: expected frames {numbers[0]} to {numbers[1]}, got {first} to {last}; extract the frames again"
        )
    if numbers is None and first > 1:
        raise VideoError(
            f"{path}: expected frames from 0 or 1 on, got {numbered[0][1]} first, which would shift all annotations in time; "
            "extract the frames again"
        )
    names = tuple(name for _, name in numbered)
    picture = _decode(path / names[0])
    return FrameFolder(path, names, np.arange(len(names)) / fps, fps, picture.height, picture.width)


def frame_size(path: Path) -> tuple[int, int]:
    """Height and width in pixels of the first picture of a folder, whatever else it holds.

    Raises:
        VideoError: If there is no such folder or picture, or it cannot be decoded.
    """
    picture = _decode(path / _numbered(path)[0][1])
    return picture.height, picture.width


def _numbered(path: Path) -> list[tuple[int, str]]:
    """Number and name of each picture of a folder, consecutive."""
    if not path.is_dir():
        raise VideoError(f"{path}: expected a folder of frames, got {'a file' if path.exists() else 'nothing'}")
    numbered: list[tuple[int, str]] = []
    for name in os.listdir(path):
        stem, suffix = os.path.splitext(name)
        if suffix.lower() in DECODERS and not name.startswith("."):
            digits = _NUMBER.search(stem)
            if digits is None:
                raise VideoError(
                    f"{path / name}: expected a name that ends in the number of the frame; rename or move it"
                )
            numbered.append((int(digits[1]), name))
    if not numbered:
        raise VideoError(f"{path}: expected pictures ({', '.join(DECODERS)}), got none; extract the frames again")
    numbered.sort()
    for (last, name), (number, after) in pairwise(numbered):
        if number != last + 1:
            fault = f"both have number {number}" if number == last else f"leave out {number - last - 1} frame(s)"
            raise VideoError(f"{path}: {name} and {after} {fault}; extract the frames again or leave this video out")
    return numbered


def read_folder_frames(
    index: FrameFolder, numbers: NDArray[np.int64], size: tuple[int, int] | None = None, *, shared: bool = False
) -> Tensor:
    """Decode chosen frames of a folder.

    Args:
        index: Of the folder, as `read_frame_folder` gives it.
        numbers: Frame numbers from 0, strictly increasing, int64 `(M,)`.
        size: Height and width to resize to (bilinear); `None` keeps the size.
        shared: Decode into shared memory, which a loader worker hands over without another copy.

    Returns:
        uint8 `(M, H, W, 3)`, RGB.

    Raises:
        ValueError: If the numbers are not strictly increasing or not in the folder, or the size is not positive.
        VideoError: If a picture cannot be decoded or has another size than the first.
    """
    numbers = checked_numbers(index, numbers)
    frames = empty_frames(len(numbers), *checked_size(index, size), shared)
    painter = Painter(frames.numpy(), (False, False, False))
    for slot, number in enumerate(numbers.tolist()):
        path = index.path / index.names[number]
        picture = _decode(path)
        if (picture.height, picture.width) != (index.height, index.width):
            raise VideoError(
                f"{path}: expected {index.height}x{index.width} pixels as {index.names[0]} has, got "
                f"{picture.height}x{picture.width}; extract the frames again"
            )
        try:
            painter.paint(slot, picture)
        except av.FFmpegError as error:
            raise VideoError(
                f"{path}: expected a picture that can be resized and converted to RGB, but {error.strerror}; extract it again"
            ) from error
    return frames


def _decode(path: Path) -> VideoFrame:
    context = av.CodecContext.create(DECODERS[path.suffix.lower()], "r")
    assert isinstance(context, VideoCodecContext)
    context.thread_count = 1
    context.options = {**LIMIT, "err_detect": "explode"}
    try:
        frames = [*context.decode(av.Packet(path.read_bytes())), *context.decode(None)]
    except (av.FFmpegError, OSError) as error:
        raise VideoError(f"{path}: expected a readable picture, but {error.strerror}; extract it again") from error
    if len(frames) != 1 or frames[0].is_corrupt:
        raise VideoError(f"{path}: expected one whole picture, got {len(frames)}; extract it again")
    return frames[0]
