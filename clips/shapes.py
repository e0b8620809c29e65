"""TempoShapes: a deterministic data set of encoded videos in which shapes do sixteen activities at many tempos.

What it is made of, how often its labels meet, and what it can and cannot show: `docs/tempo_shapes.md`.
"""

import csv
import io
import json
import multiprocessing
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import numpy as np
from tqdm import tqdm

from clips.encoding import write_video
from clips.shapes_motion import FAMILIES, FPS, TEMPOS, Activity, Actor
from clips.shapes_render import SIDE, render

VERSION = 2
"""Raised whenever the same seed would give other videos."""

Size = Literal["tiny", "demo", "full"]
SPLITS = ("train", "val", "test")
LABELS: tuple[str, ...] = tuple(label for twins in FAMILIES.values() for label in twins)
"""The sixteen labels, in the order of the outputs: twins side by side."""

TEMPO_OF_LABEL: dict[str, str] = {
    label: tempo for tempo, families in TEMPOS.items() for family in families for label in FAMILIES[family]
}
"""brief, medium or slow."""

_COUNTS: dict[str, tuple[int, int, int]] = {"tiny": (32, 12, 24), "demo": (1200, 60, 160), "full": (4000, 400, 800)}
_SECONDS: dict[str, tuple[float, float]] = {"tiny": (3.0, 4.0), "demo": (6.0, 12.0), "full": (6.0, 12.0)}

_families = list(FAMILIES)
COMPANIONS: tuple[tuple[str, str], ...] = tuple(zip(_families[::2], _families[1::2], strict=True))
"""Families that like to appear together; each video takes two neighbouring pairs of this ring."""

P_TOGETHER = 0.7  # a family's companion appears in its video
P_SAME_TWIN = 0.8  # companions do their first or their second twins alike
P_BOTH_TWINS = 0.1  # an actor of a brief or medium family does both twins, one after the other
P_IDLE = 0.15  # an actor does nothing that has a label


@dataclass(frozen=True)
class PlannedVideo:
    """All that is decided about a video before a pixel is drawn.

    Args:
        name: path of the file relative to the folder of the data set.
        split: train, val or test.
        num_frames: N.
        actors: two to four.
    """

    name: str
    split: str
    num_frames: int
    actors: tuple[Actor, ...]


def plan(size: Size, seed: int = 0) -> list[PlannedVideo]:
    """All videos of a size, without drawing them; a function of its arguments alone.

    Raises:
        ValueError: if the size is unknown.
    """
    if size not in get_args(Size):
        raise ValueError(f"size must be one of {get_args(Size)}, got {size!r}")
    return [
        _plan_video(size, split, number, seed)
        for split, count in zip(SPLITS, _COUNTS[size], strict=True)
        for number in range(count)
    ]


def _plan_video(size: Size, split: str, number: int, seed: int) -> PlannedVideo:
    random = np.random.default_rng((seed, SPLITS.index(split), number))
    shortest, longest = (round(seconds * FPS) for seconds in _SECONDS[size])
    frames = int(random.integers(shortest, longest + 1))
    cast: list[tuple[str, int]] = []
    first = number % len(COMPANIONS)  # all pairs equally often, so that every label occurs in every split
    for pair in (COMPANIONS[first], COMPANIONS[(first + 1) % len(COMPANIONS)]):
        twin = int(random.integers(2))
        other = twin if random.random() < P_SAME_TWIN else 1 - twin
        both = P_TOGETHER / (2 - P_TOGETHER)  # then P(companion | family) = P_TOGETHER
        draw = random.random()
        if draw < (1 + both) / 2:
            cast.append((pair[0], twin))
        if draw < both or draw >= (1 + both) / 2:
            cast.append((pair[1], other))
    actors = []
    for (family, twin), corner in zip(cast, random.permutation(4), strict=False):
        place = (SIDE * (0.25 + 0.5 * float(corner % 2)), SIDE * (0.25 + 0.5 * float(corner // 2)))
        idle = random.random() < P_IDLE
        activities = tuple(_activities(family, twin, frames, random))
        actors.append(Actor(family, place, int(random.integers(2**31)), () if idle else activities))
    return PlannedVideo(f"videos/{split}_{number:04d}.mp4", split, frames, tuple(actors))


def _activities(family: str, twin: int, frames: int, random: np.random.Generator) -> Iterator[Activity]:
    """One long activity of a slow family; bouts of the others with pauses between them."""
    if family in TEMPOS["slow"]:
        length = round(frames * random.uniform(0.7, 1.0))
        start = int(random.integers(frames - length + 1))
        yield Activity(twin, start, start + length, 0.0)
        return
    both = random.random() < P_BOTH_TWINS
    speeds = {"spin": (1.2, 3.6), "orbit": (0.5, 1.0), "saw": (0.7, 1.2)}.get(family, (1.0, 1.0))
    speed = float(np.exp(random.uniform(np.log(speeds[0]), np.log(speeds[1]))))
    beat = int(random.choice((4, 8)))
    start, number = int(random.integers(2, 20)), 0
    while True:
        brief = family in ("flash", "dodge")
        length = beat if brief else int(random.integers(36, 72))
        if start + length > frames:
            return
        yield Activity(1 - twin if both and number % 2 else twin, start, start + length, speed)
        start += length + int(random.integers(14, 36) if brief else random.integers(12, 30))
        number += 1


def annotations(videos: list[PlannedVideo]) -> str:
    """The CSV text of `datamodules.annotations`: seconds from the first frame, the end exclusive; exact to a frame."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("video", "label", "start", "end", "split"))
    for video in videos:
        rows = [
            (
                video.name,
                FAMILIES[actor.family][act.twin],
                f"{act.start / FPS:.6f}",
                f"{act.end / FPS:.6f}",
                video.split,
            )
            for actor in video.actors
            for act in actor.activities
        ]
        writer.writerows(rows or [(video.name, "", "", "", video.split)])
    return text.getvalue()


def write(root: Path, size: Size, seed: int = 0, workers: int | None = None) -> None:
    """Write the videos, annotations.csv, labels.txt and made_by.json; files that are there already are kept.

    A file appears under its name only when it is complete, so an interrupted call is continued by the next one.

    Args:
        root: folder of this size; made if it does not exist.
        size: `tiny`, `demo` or `full`.
        seed: of the plan.
        workers: processes; by default one a core.

    Raises:
        ValueError: if the folder holds another version, size or seed, or files of something else.
    """
    videos = plan(size, seed)
    made_by = {"data_set": "TempoShapes", "version": VERSION, "size": size, "seed": seed}
    record = root / "made_by.json"
    if record.exists():
        found = json.loads(record.read_text())
        if found != made_by:
            raise ValueError(f"{root} holds {found}, not {made_by}; choose another root, or remove the folder")
    elif root.exists() and any(root.iterdir()):
        raise ValueError(f"{root} is not empty and not a TempoShapes folder; choose another root")
    (root / "videos").mkdir(parents=True, exist_ok=True)
    record.write_text(json.dumps(made_by) + "\n")
    (root / "labels.txt").write_text("\n".join(LABELS) + "\n")
    (root / "annotations.csv").write_text(annotations(videos))
    missing = [(video, root) for video in videos if not (root / video.name).exists()]
    if not missing:
        return
    count = min(workers or os.cpu_count() or 1, len(missing))
    if count == 1:
        for job in tqdm(missing, desc=f"TempoShapes {size}"):
            _write_video(job)
        return
    with multiprocessing.get_context("spawn").Pool(count) as pool:
        for _ in tqdm(pool.imap_unordered(_write_video, missing, chunksize=4), f"TempoShapes {size}", len(missing)):
            pass


def _write_video(job: tuple[PlannedVideo, Path]) -> None:
    video, root = job
    # an easy encoding: what is measured is recognition, and decoding is half the work of training on small pictures
    options = {"preset": "ultrafast", "crf": "16", "g": "12"}
    write_video(root / video.name, render(video.actors, video.num_frames), fps=FPS, options=options)
