"""Test videos like those of Charades: 30 s, 24 fps, 640x480, H.264 with a keyframe every 250 or every 12 pictures.

`python -m benchmarks.videos --source FOLDER` joins the real clips in a folder, each at most 400 pictures long and scaled
to fill the picture, until 30 s are full; without real clips a moving picture is drawn. Videos that are there already are
kept. Scene cuts get no keyframe, since a video of Charades is one take and the cuts here come from joining.
"""

import argparse
import os
from collections.abc import Iterator, Mapping, Sequence
from itertools import cycle, islice
from pathlib import Path
from zlib import crc32

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from benchmarks.peers import Read
from clips.decoding import read_frames, read_index
from clips.encoding import write_video

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "data" / "benchmark_videos"
FPS, NUM_FRAMES, SIZE = 24, 720, (480, 640)
PER_CLIP, AT_ONCE = 400, 50
SUFFIXES = (".mp4", ".avi", ".mkv", ".webm")

Picture = NDArray[np.uint8]


def default_sources() -> list[Path]:
    """Folders of real clips, where they are at hand."""
    data = Path(os.environ.get("POLYTEMPO_DATA", ROOT.parent / "shared" / "data"))
    return [folder for name in ("gmdcsa24", "fight", "videos") if (folder := data / name).is_dir()]


def videos(
    gop: int, folder: Path, sources: Sequence[Path], size: tuple[int, int] = SIZE, num_frames: int = NUM_FRAMES
) -> list[Path]:
    """One video for each folder of clips, or a drawn one if there is none; made where it is not there yet.

    Args:
        gop: pictures from one keyframe to the next.
        folder: where the videos are kept.
        sources: folders of clips, searched with their subfolders.
        size: height and width, both even.
        num_frames: length.

    Raises:
        ValueError: if a folder holds no clip.
    """
    folder.mkdir(parents=True, exist_ok=True)
    made = []
    found = [(source.name, sorted(p for p in source.rglob("*") if p.suffix.lower() in SUFFIXES)) for source in sources]
    for name, clips in found or [("drawn", [])]:
        if found and not clips:
            raise ValueError(f"{name}: expected a folder of clips ({', '.join(SUFFIXES)}), got none; name another")
        # the name changes with the clips, so that a kept video is never taken for another one
        mark = crc32(repr([[(clip.name, clip.stat().st_size) for clip in clips], size, num_frames]).encode())
        path = folder / f"{name}_{mark:08x}_g{gop}.mp4"
        if not path.exists():
            print(f"making {path.name}", flush=True)
            pictures = joined(clips, size) if clips else drawn(size)
            write_video(path, islice(pictures, num_frames), fps=FPS, options=_options(gop))
        made.append(path)
    return made


def _options(gop: int) -> dict[str, str]:
    return {"preset": "medium", "crf": "23", "g": str(gop), "sc_threshold": "0"}


def joined(clips: Sequence[Path], size: tuple[int, int]) -> Iterator[Picture]:
    """Pictures `(H, W, 3)` of one clip after the other, without end."""
    for path in cycle(clips):
        index = read_index(path)
        scale = max(size[0] / index.height, size[1] / index.width)
        filled = (max(size[0], round(index.height * scale)), max(size[1], round(index.width * scale)))
        top, left = (filled[0] - size[0]) // 2, (filled[1] - size[1]) // 2
        numbers = np.arange(min(index.total_frames, PER_CLIP))
        for first in range(0, len(numbers), AT_ONCE):
            frames = read_frames(index, numbers[first : first + AT_ONCE], filled).numpy()
            yield from frames[:, top : top + size[0], left : left + size[1]]


def drawn(size: tuple[int, int]) -> Iterator[Picture]:
    """A camera that wanders over a picture of many scales, squares that cross it, and a little noise; without end."""
    random, (height, width) = np.random.default_rng(0), size
    canvas = np.zeros((2 * height, 2 * width, 3))
    for step in (4, 16, 64):
        cells = random.uniform(0, step, (2 * height // step + 1, 2 * width // step + 1, 3))
        canvas += np.kron(cells, np.ones((step, step, 1)))[: 2 * height, : 2 * width]
    canvas *= 200 / canvas.max()
    noise = random.normal(0, 2, (height + 16, width + 16, 1))
    side, place = height // 5, random.uniform(0, 1, (6, 2))
    speed, colours = random.uniform(-0.02, 0.02, (6, 2)), random.integers(0, 255, (6, 3))
    for t in range(2**31):
        top, left = round(height / 2 * (1 + np.sin(t / 90))), round(width / 2 * (1 + np.sin(t / 70)))
        picture = canvas[top : top + height, left : left + width].copy()
        for at, colour in zip((place + speed * t) % 1, colours, strict=True):
            y, x = (at * [height - side, width - side]).astype(int)
            picture[y : y + side, x : x + side] = colour
        down, right = random.integers(16, size=2)
        yield np.clip(picture + noise[down : down + height, right : right + width], 0, 255).astype(np.uint8)


def numbered(size: tuple[int, int], num_frames: int) -> Iterator[Picture]:
    """Pictures that show their number in ten vertical bars, the highest bit first."""
    for number in range(num_frames):
        bits = np.array([number >> bit & 1 for bit in range(9, -1, -1)], np.uint8) * 255
        yield np.broadcast_to(np.repeat(bits, size[1] // 10)[None, :, None], (*size, 3))


def shown_numbers(frames: Tensor) -> NDArray[np.int64]:
    """The numbers in pictures of `numbered`, resized to (T, H, W, 3): uint8, or floats in 0..1."""
    bright = frames.float().mean((1, 3)) / (255 if frames.dtype == torch.uint8 else 1)
    centres = ((np.arange(10) + 0.5) * bright.shape[1] / 10).astype(int)
    numbers: NDArray[np.int64] = (bright[:, centres] > 0.5).numpy() @ (1 << np.arange(9, -1, -1))
    return numbers


def check_numbers(reads: Mapping[str, Read], folder: Path) -> None:
    """Say which ways give other frames than those asked for, so that no one compares different work."""
    folder.mkdir(parents=True, exist_ok=True)
    path, random = folder / "numbered_g250.mp4", np.random.default_rng(0)
    if not path.exists():
        write_video(path, numbered(SIZE, NUM_FRAMES), fps=FPS, options=_options(250))
    for name, read in reads.items():
        off = 0
        for rate in (2, 4, 8):
            numbers = random.integers(NUM_FRAMES - 31 * rate) + np.arange(32, dtype=np.int64) * rate
            off = max(off, int(np.abs(shown_numbers(read(path, numbers, (256, 341))) - numbers).max()))
        print(f"{name}: " + (f"gives frames up to {off} off those asked for" if off else "gives the frames asked for"))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of every benchmark that reads videos."""
    parser.add_argument("--source", type=Path, action="append", help="folder of real clips; may be given several times")
    parser.add_argument("--folder", type=Path, default=FOLDER, help="where the test videos are kept")
    parser.add_argument("--rounds", type=int, default=7, help="timed rounds")
    parser.add_argument("--quick", action="store_true", help="one small drawn video and one round, to see that it runs")


def chosen(options: argparse.Namespace, gop: int) -> list[Path]:
    """The videos that the options of `add_arguments` ask for; a small drawn one if it has to be quick."""
    if options.quick:
        return videos(gop, options.folder, [], (120, 160), 300)
    return videos(gop, options.folder, default_sources() if options.source is None else options.source)


def main(args: list[str] | None = None) -> None:
    """Make the videos and tell their bit rates."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.videos", description=__doc__)
    add_arguments(parser)
    options = parser.parse_args(args)
    for gop in (250, 12):
        for path in chosen(options, gop):
            index = read_index(path)
            rate = path.stat().st_size * 8 / index.duration / 1e3
            print(f"{path}: {index.total_frames} frames, {index.width}x{index.height}, {rate:.0f} kbit/s")


if __name__ == "__main__":
    main()
