"""One text file a class with lines `video start end`, as MultiTHUMOS and THUMOS'14 are published.

Yeung et al., Every Moment Counts (https://arxiv.org/abs/1507.05738).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from annotations.records import AnnotatedVideo
from annotations.values import Action, annotated_video, read_text, seconds

_ENDINGS = ("_val", "_test")


def read_interval_files(paths: Sequence[Path], label_names: Sequence[str]) -> list[AnnotatedVideo]:
    """Read the files of all classes.

    Args:
        paths: files named by their class, `Walk.txt`, or as in THUMOS'14 `Diving_val.txt` and `Diving_test.txt`.
        label_names: K names; label k is the class `label_names[k]`, whatever the order of the files.

    Returns:
        One record for each video that has a line, in the order in which they occur; its intervals by label, then as in the
        file, odd ones (of no length, past the end of the video) included. Subset and duration are not in these files.

    Raises:
        ValueError: if a file is of no known class or of one that was read before, a class has no file or an empty one, or a
            line is malformed, with the number of the line.
    """
    files = _by_label(paths, label_names)
    actions: dict[str, list[Action]] = {}
    places: dict[str, str] = {}
    for label, path in files:
        lines = [(number, line) for number, line in enumerate(read_text(path).splitlines(), 1) if line.strip()]
        if not lines:
            raise ValueError(f"{path} is empty; expected one 'video start end' a line, or the class would be lost")
        for number, line in lines:
            where, parts = f"{path}, line {number}", line.split()
            if len(parts) != 3:
                raise ValueError(f"{where}: expected 'video start end', got {line!r}")
            name = parts[0]
            places.setdefault(name, where)
            interval = (label, seconds(parts[1], "start", where), seconds(parts[2], "end", where))
            actions.setdefault(name, []).append(interval)
    return [annotated_video(name, "", None, rows, places[name]) for name, rows in actions.items()]


def _by_label(paths: Sequence[Path], label_names: Sequence[str]) -> list[tuple[int, Path]]:
    """The files in the order of their labels, each kind of file (plain, `_val`, `_test`) complete."""
    numbers = {name: k for k, name in enumerate(label_names)}
    kinds: dict[str, dict[int, Path]] = {}
    for path in paths:
        ending = next((ending for ending in _ENDINGS if path.stem.endswith(ending)), "")
        label = numbers.get(path.stem.removesuffix(ending))
        if label is None:
            raise ValueError(f"{path} is not named by one of the {len(numbers)} classes, such as {label_names[0]}.txt")
        files = kinds.setdefault(ending, {})
        if label in files:
            raise ValueError(f"{path} and {files[label]} are files of the same class; give one")
        files[label] = path
    if not kinds:
        raise ValueError(f"no file to read; expected one for each of the {len(numbers)} classes")
    for ending, files in kinds.items():
        missing = [name for name, k in numbers.items() if k not in files]
        if missing:
            folder = next(iter(files.values())).parent
            raise ValueError(
                f"{len(missing)} of {len(numbers)} classes have no file, the first: {folder / (missing[0] + ending)}.txt"
            )
    return [(label, files[label]) for label in numbers.values() for files in kinds.values()]
