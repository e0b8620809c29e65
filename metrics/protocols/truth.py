"""The annotations that a result file is scored against, from the official files, restricted to the videos of the test."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from annotations.actions_json import read_actions_json
from annotations.charades import read_charades
from annotations.interval_files import read_interval_files
from annotations.records import AnnotatedVideo

Truth = dict[str, AnnotatedVideo]


def add_truth(parser: ArgumentParser, files: str, subset: str) -> None:
    """Options that say which annotations and which of their videos count."""
    parser.add_argument("--truth", type=Path, nargs="+", required=True, metavar="FILE", help=files)
    parser.add_argument(
        "--subset",
        default=subset,
        help="videos of which subset count, where the truth names subsets (default: %(default)s)",
    )
    parser.set_defaults(usual_subset=subset)
    parser.add_argument(
        "--videos", type=Path, metavar="LIST", help="text file with the names of the videos that count, one a line"
    )


def charades_truth(args: Namespace) -> Truth:
    """Charades: CSV files of the test split, or charades.json."""
    refuse_folders(args.truth)
    videos = [video for path in args.truth for video in read_charades(path)]
    return restricted(args, videos, may_be_unlabelled=False)


def thumos_truth(args: Namespace, names: Sequence[str], files: Sequence[Path]) -> Truth:
    """MultiTHUMOS or THUMOS'14: one text file a label, or multithumos.json.

    The text files know neither subsets nor durations nor videos without an annotation: the subset is read from the names
    (`video_test_...`), and --videos may name videos without any.
    """
    if any(path.suffix == ".json" for path in files):
        videos = [video for path in files for video in read_actions_json(path, num_labels=len(names), first_id=1)]
        return restricted(args, videos, may_be_unlabelled=False)
    return restricted(args, read_interval_files(files, names), may_be_unlabelled=True)


def refuse_folders(paths: Sequence[Path]) -> None:
    """Say what is wrong where a folder stands for a file of annotations.

    Raises:
        ValueError: one of the paths is a folder.
    """
    folder = next((path for path in paths if path.is_dir()), None)
    if folder is not None:
        raise ValueError(f"--truth {folder} is a folder; expected a file of annotations; name the file in it")


def subset_notes(args: Namespace, truth: Truth) -> list[str]:
    """A note where --subset was given and chose nothing."""
    if args.subset == args.usual_subset:
        return []
    if args.videos is not None:
        return [f"--subset {args.subset} is not looked at: --videos names the videos"]
    if any(_subset(video) for video in truth.values()):
        return []
    return [f"--subset {args.subset} chooses nothing: the truth names no subsets, so all its videos count"]


def truth_files(paths: Sequence[Path]) -> list[Path]:
    """The given files; a folder stands for the text files in it.

    Raises:
        ValueError: a folder has none.
    """
    files: list[Path] = []
    for path in paths:
        found = sorted(path.glob("*.txt")) if path.is_dir() else [path]
        if not found:
            raise ValueError(f"--truth {path} has no .txt file; expected one file a label, <Label>.txt")
        files += found
    return files


def restricted(args: Namespace, videos: Sequence[AnnotatedVideo], *, may_be_unlabelled: bool) -> Truth:
    """The videos of --subset and --videos, by name.

    Raises:
        ValueError: a video stands twice, none is left, or --videos names one that the truth does not have.
    """
    truth: Truth = {}
    for video in videos:
        if video.name in truth:
            raise ValueError(
                f"{video.where}: video {video.name!r} is in {truth[video.name].where} too; give one truth of it"
            )
        truth[video.name] = video
    if args.videos is not None:
        return {
            name: _listed(args.videos, truth, name, number, may_be_unlabelled) for number, name in _list(args.videos)
        }
    kept = {name: video for name, video in truth.items() if _subset(video) in ("", args.subset)}
    if not kept:
        known = sorted({_subset(video) for video in truth.values()})
        raise ValueError(
            f"--truth {args.truth[0]} has no video of the subset {args.subset!r}; it has {known}; choose with --subset"
        )
    return kept


def _subset(video: AnnotatedVideo) -> str:
    """What the file or else the official form of the name says; empty if neither does."""
    if video.subset or not video.name.startswith("video_"):
        return video.subset
    return {"test": "testing", "validation": "training"}.get(video.name.split("_")[1], "")


def _list(path: Path) -> list[tuple[int, str]]:
    if not path.is_file():
        raise ValueError(f"--videos {path} is not a file; expected one name a line")
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(
            f"--videos {path}: not UTF-8 text ({error.reason}); expected one name a line; convert it"
        ) from error
    named = [(i, line.strip()) for i, line in enumerate(text.splitlines(), 1) if line.strip()]
    first: dict[str, int] = {}
    for number, name in named:
        if name in first:
            raise ValueError(f"{path}, line {number}: {name!r} stands in line {first[name]} already; keep one of them")
        first[name] = number
    if not named:
        raise ValueError(f"--videos {path} is empty; expected one name a line")
    return named


def _listed(path: Path, truth: Truth, name: str, number: int, may_be_unlabelled: bool) -> AnnotatedVideo:
    if name in truth:
        return truth[name]
    if not may_be_unlabelled:
        raise ValueError(
            f"{path}, line {number}: video {name!r} is not in the truth; check --truth and the form of the name"
        )
    empty = np.empty(0, np.int64)
    return AnnotatedVideo(name, "", None, empty, np.empty((0, 2)), f"{path}, line {number}")
