"""Split the surveillance clips of fights by scene, so that no near-duplicate is in both parts.

The data set (Aktı et al., "Vision-based Fight Detection from Surveillance Cameras", IPTA 2019, MIT licence) is two
folders of clips, `fight` and `noFight`. Many clips are cut from one recording, across the folders too, and differ by a
few seconds: a random split would test on scenes that were trained on. This script writes

    OUT/train.txt, OUT/test.txt   clips relative to SOURCE, one a line

    python docs/examples/fight.py SOURCE OUT

Two clips are of one scene if a frame of one resembles a frame of the other (correlation of the local contrast on a grid
of 72 x 96 pixels, which sees the fixed camera and hardly the people), or if their numbers in one folder differ by at
most 2, as those of another camera at the same event often do. Groups are closed under this relation. A pair joined by
mistake only makes a group larger; a pair missed would leak.
"""

from __future__ import annotations

import argparse
import re
from pathlib import Path
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from clips.decoding import read_frames, read_index

Floats: TypeAlias = npt.NDArray[np.float64]

FRAMES = 9  # evenly over the clip: people move, the scene stays
SIZE = (72, 96)
RADIUS = 2  # pixels around each for its local mean and contrast
NOISE = 8.0  # grey levels below which contrast counts as flat
# over the clips of the project: different scenes reach 0.12, and the scenes seen by eye hold together from 0.17 on,
# but for three clips (camera moved, other camera) that the numbers bring in
SAME_SCENE = 0.14
NEAR = 2
TEST_SHARE = 0.3


def local_mean(image: Floats) -> Floats:
    """Mean of the square of 2 RADIUS + 1 pixels around each pixel, edges repeated: (..., H, W) -> (..., H, W)."""
    width = 2 * RADIUS + 1
    padded = np.pad(image, [(0, 0)] * (image.ndim - 2) + [(RADIUS, RADIUS)] * 2, mode="edge")
    windows = np.lib.stride_tricks.sliding_window_view(padded, (width, width), axis=(-2, -1))
    return np.asarray(windows.mean(axis=(-2, -1)), dtype=np.float64)


def portrait(frames: npt.NDArray[np.uint8]) -> Floats:
    """Local contrast of a few frames: (M, H, W, 3) uint8 -> (M, H * W) of mean 0 and length 1."""
    grey = frames.astype(np.float64).mean(axis=-1)
    detail = grey - local_mean(grey)
    contrast = (detail / (np.sqrt(local_mean(detail**2)) + NOISE)).reshape(len(frames), -1)
    contrast -= contrast.mean(axis=1, keepdims=True)
    return np.asarray(contrast / np.maximum(np.linalg.norm(contrast, axis=1, keepdims=True), 1e-12), dtype=np.float64)


def read_portrait(path: Path) -> Floats:
    """The portrait of a clip, from FRAMES frames spread evenly over it."""
    index = read_index(path)
    numbers = np.unique(np.linspace(0, index.total_frames - 1, FRAMES).round().astype(np.int64))
    return portrait(np.asarray(read_frames(index, numbers, size=SIZE)))


def neighbours(one: str, other: str) -> bool:
    """Whether two clips stand in one folder under near numbers: `fight/fi091.mp4`, `fight/fi092.mp4`."""
    found = [re.fullmatch(r"(.*?)(\d+)", Path(name).with_suffix("").as_posix()) for name in (one, other)]
    if found[0] is None or found[1] is None or found[0][1] != found[1][1]:
        return False
    return abs(int(found[0][2]) - int(found[1][2])) <= NEAR


def find_groups(clips: dict[str, Floats]) -> list[list[str]]:
    """Clips of one scene together: the largest group first, then by name; names in order within a group.

    Args:
        clips: portrait of each clip, by its name.
    """
    names = sorted(clips)
    group = {name: {name} for name in names}
    for place, one in enumerate(names):
        for other in names[place + 1 :]:
            alike = float((clips[one] @ clips[other].T).max()) >= SAME_SCENE
            if (alike or neighbours(one, other)) and group[one] is not group[other]:
                group[one] |= group[other]
                for name in group[other]:
                    group[name] = group[one]
    unique = {min(members): sorted(members) for members in group.values()}
    return sorted(unique.values(), key=lambda members: (-len(members), members))


def choose_test(groups: list[list[str]]) -> list[list[str]]:
    """The groups of the test part: those whose clips come nearest to TEST_SHARE of every class (folder).

    All reachable numbers of clips per class are tried, group by group; among choices that reach the same numbers the
    one with more groups is kept, so that the test part shows as many scenes as it can.
    """
    classes = sorted({Path(name).parts[0] for group in groups for name in group})
    counts = [tuple(sum(Path(name).parts[0] == kind for name in group) for kind in classes) for group in groups]
    reached: dict[tuple[int, ...], list[int]] = {(0,) * len(classes): []}
    for place, count in enumerate(counts):
        for total, chosen in list(reached.items()):
            larger = tuple(a + b for a, b in zip(total, count, strict=True))
            if larger not in reached or len(chosen) + 1 > len(reached[larger]):
                reached[larger] = [*chosen, place]
    wanted = [TEST_SHARE * sum(column) for column in zip(*counts, strict=True)]
    best = min(reached, key=lambda total: (sum(abs(a - b) for a, b in zip(total, wanted, strict=True)), total))
    return [groups[place] for place in reached[best]]


def split(source: Path, out: Path) -> list[list[str]]:
    """Write `train.txt` and `test.txt` into out, made if absent.

    Returns:
        The groups, the largest first.

    Raises:
        ValueError: source has no folder with clips.
    """
    paths = sorted(source.glob("*/*.mp4"))
    if not paths:
        raise ValueError(f"source must hold folders of .mp4 clips, got {source}: pass the data set's root")
    groups = find_groups({path.relative_to(source).as_posix(): read_portrait(path) for path in paths})
    test = sorted(name for group in choose_test(groups) for name in group)
    train = sorted({name for group in groups for name in group} - set(test))
    out.mkdir(parents=True, exist_ok=True)
    for part, names in (("train", train), ("test", test)):
        (out / f"{part}.txt").write_text("".join(f"{name}\n" for name in names), encoding="utf-8")
    return groups


def main(args: list[str] | None = None) -> None:
    """Parse the command line, split and print the groups."""
    parser = argparse.ArgumentParser(description="Split the clips of fights by scene.")
    parser.add_argument("source", type=Path, help="folder with 'fight' and 'noFight'")
    parser.add_argument("out", type=Path, help="folder for train.txt and test.txt")
    given = parser.parse_args(args)
    groups = split(given.source, given.out)
    test = (given.out / "test.txt").read_text(encoding="utf-8").split("\n")
    for group in groups:
        print("test " if group[0] in test else "train", len(group), " ".join(group))


if __name__ == "__main__":
    main()
