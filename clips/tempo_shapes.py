"""TempoShapes: a deterministic data set of encoded videos in which shapes do sixteen activities at three tempos.

A folder holds `videos/<split>_<number>.mp4`, `annotations.csv`, `labels.txt` and `made_by.json`.
"""

import csv
import io
import json
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

import numpy as np
import numpy.typing as npt

from clips.encoding import write_video
from clips.tempo_motion import FAMILIES, FPS
from clips.tempo_plan import LABELS, SIZES, SPLITS, TEMPO_OF_LABEL, PlannedVideo, plan
from clips.tempo_render import draw

__all__ = ["LABELS", "SIZES", "SPLITS", "TEMPO_OF_LABEL", "PlannedVideo", "annotations", "plan", "render", "write"]

VERSION = 1
"""Raised whenever the same seed would give other files."""

_COLUMNS = ("video", "label", "start", "end", "split")
_RECORD = "made_by.json"
# Small pictures with a keyframe twice a second: reading sixteen frames of a clip dominates the cost of training.
_ENCODING = {"preset": "ultrafast", "crf": "18", "g": "12"}


def render(video: PlannedVideo) -> npt.NDArray[np.uint8]:
    """Draw a planned video: uint8 `(N, 112, 112, 3)`, red, green, blue."""
    return draw(video.actors, video.num_frames, video.seed)


def annotations(videos: list[PlannedVideo]) -> list[tuple[str, str, float, float, str]]:
    """List each activity as `(video, label, start, end, split)`.

    Times are seconds from the first frame; frame i is on screen from i / 24 on, and `end` is exclusive: it is the time of
    the first frame after the activity. They are exact in float64, so `time * 24` rounds to the planned frame.
    """
    return [
        (video.name, FAMILIES[actor.family][act.twin], act.start / FPS, act.end / FPS, video.split)
        for video in videos
        for actor in video.actors
        for act in actor.activities
    ]


def write(
    root: str | Path,
    size: str,
    seed: int = 0,
    workers: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Write the data set; a call that was interrupted is continued by the next one.

    A video appears under its name only when it is complete, so one that is there is not drawn again. Threads suffice:
    drawing and encoding both release the interpreter's lock, and no caller needs a guard for new processes.

    Args:
        root: Folder of this size and seed; made if it does not exist.
        size: Key of `SIZES`.
        seed: Of the plan; the same seed gives the same bytes.
        workers: Threads; by default one a core.
        progress: Called with the number of finished and of all videos after each video that was drawn.

    Raises:
        ValueError: If size, seed or workers is wrong, or the folder holds another version, size or seed, or other files.
    """
    if workers is not None and workers < 1:
        raise ValueError(f"workers must be positive, got {workers}; pass 1 or more, or None for one a core")
    root, videos = Path(root), plan(size, seed)
    _claim(root, {"data_set": "TempoShapes", "version": VERSION, "size": size, "seed": seed, "videos": len(videos)})
    (root / "videos").mkdir(exist_ok=True)
    _replace(root / "labels.txt", "\n".join(LABELS) + "\n")
    _replace(root / "annotations.csv", _csv(annotations(videos)))
    missing = [video for video in videos if not (root / video.name).exists()]
    with ThreadPoolExecutor(workers or os.cpu_count() or 1) as pool:
        jobs = [pool.submit(_write_video, root / video.name, video) for video in missing]
        try:
            for count, job in enumerate(as_completed(jobs), start=len(videos) - len(missing) + 1):
                job.result()
                if progress is not None:
                    progress(count, len(videos))
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _write_video(path: Path, video: PlannedVideo) -> None:
    write_video(path, render(video), fps=FPS, options=_ENCODING)


def _claim(root: Path, made_by: dict[str, str | int]) -> None:
    """Leave our record in a new folder, or compare with the one that is there."""
    record = root / _RECORD
    if record.exists():
        found = record.read_text()
        if found != _text(made_by):
            raise ValueError(
                f"root {root} must hold {_text(made_by).strip()}, got {found.strip()}; "
                "pass another root, or delete the folder to make it anew"
            )
        return
    if root.exists() and any(root.iterdir()):
        raise ValueError(f"root {root} must be empty or made by TempoShapes, got other files; pass another root")
    root.mkdir(parents=True, exist_ok=True)
    _replace(record, _text(made_by))


def _text(made_by: dict[str, str | int]) -> str:
    return json.dumps(made_by) + "\n"


def _csv(rows: list[tuple[str, str, float, float, str]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_COLUMNS)
    writer.writerows(rows)  # floats are written in the shortest form that reads back to the same number
    return text.getvalue()


def _replace(path: Path, text: str) -> None:
    """Write a text file so that no reader ever sees half of it."""
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    partial.write_text(text, encoding="utf-8")
    os.replace(partial, path)
