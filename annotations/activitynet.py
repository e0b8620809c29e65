"""ActivityNet 1.3: the official JSON file, and the reduced one of the codes for temporal proposals.

Caba Heilbron et al., ActivityNet: A Large-Scale Video Benchmark for Human Activity Understanding (CVPR 2015).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from annotations.records import AnnotatedVideo
from annotations.values import Action, annotated_video, csv_table, read_json, seconds

SUBSETS = ("training", "validation", "testing")


def read_activitynet(path: Path, label_names: Sequence[str], subsets: Path | None = None) -> list[AnnotatedVideo]:
    """Read the videos of all subsets; those of `testing` have no annotation.

    Args:
        path: the official file, `{"database": {"ID": {"subset", "duration", "annotations": [{"segment", "label"}]}}}`, or
            the reduced form, `{"v_ID": {"duration_second", "annotations": [{"segment", "label"}]}}`.
        label_names: K names; label k is `label_names[k]`.
        subsets: CSV file with the columns `video` and `subset`, such as `video_info_new.csv`, for the reduced form, which
            does not state them.

    Returns:
        One record for each video, in the order of the file, named without `v_`; segments as written, those of no length
        or past the end included. `subset` is training, validation or testing; empty where no file states it.

    Raises:
        ValueError: naming file, video and annotation: another structure, no or repeated video, unknown subset or label,
            segment that is no pair of finite numbers, video that `subsets` does not list.
    """
    content = read_json(path)
    if "database" in content:
        if subsets is not None:
            raise ValueError(f"{path} states the subsets itself; leave out {subsets}")
        entries, keys = content["database"], ["subset", "duration", "annotations"]
    else:
        entries, keys = content, ["duration_second", "annotations"]
    if not isinstance(entries, dict):
        raise ValueError(f"{path}: database must be an object of videos, got a {type(entries).__name__}")
    if not entries:
        raise ValueError(f"{path} has no video; is the file complete?")
    listed = _read_subsets(subsets) if subsets else None
    numbers = {name: k for k, name in enumerate(label_names)}
    return [_video(key, entry, keys, numbers, listed, f"{path}, video {key!r}") for key, entry in entries.items()]


def _video(
    key: str,
    entry: object,
    keys: list[str],
    numbers: Mapping[str, int],
    listed: Mapping[str, str] | None,
    where: str,
) -> AnnotatedVideo:
    official = "subset" in keys
    if not isinstance(entry, dict) or not set(keys) <= set(entry) or not (official or key.startswith("v_")):
        raise ValueError(
            f"{where}: expected a video with the keys {keys}, named {'ID' if official else 'v_ID'}; is this a file of "
            "ActivityNet, official or reduced?"
        )
    if listed is not None and key not in listed:
        raise ValueError(f"{where}: the video has no row in the file of the subsets")
    subset = entry["subset"] if official else listed[key] if listed is not None else ""
    if official and subset not in SUBSETS:
        raise ValueError(f"{where}: subset must be one of {SUBSETS}, got {subset!r}")
    duration = seconds(entry[keys[-2]], keys[-2], where)
    if not isinstance(entry["annotations"], list):
        raise ValueError(f"{where}: annotations must be a list, got {entry['annotations']!r}")
    actions = [_action(row, numbers, f"{where}, annotation {n}") for n, row in enumerate(entry["annotations"])]
    return annotated_video(key if official else key.removeprefix("v_"), subset, duration, actions, where)


def _action(row: object, numbers: Mapping[str, int], where: str) -> Action:
    segment = row.get("segment") if isinstance(row, dict) else None
    if not isinstance(row, dict) or not isinstance(segment, list) or len(segment) != 2:
        raise ValueError(f'{where}: expected {{"segment": [start, end], "label": "..."}}, got {row!r}')
    label = row.get("label")
    if not isinstance(label, str) or label not in numbers:
        raise ValueError(f"{where}: unknown label {label!r}; expected one of the {len(numbers)} class names")
    return numbers[label], seconds(segment[0], "start", where), seconds(segment[1], "end", where)


def _read_subsets(path: Path) -> dict[str, str]:
    rows = csv_table(path)
    number, columns = next(rows)
    missing = sorted({"video", "subset"} - set(columns))
    if missing:
        raise ValueError(f"{path}, line {number}: column {missing[0]!r} is missing; got {columns}")
    listed: dict[str, str] = {}
    for number, cells in rows:
        where, row = f"{path}, line {number}", dict(zip(columns, cells, strict=True))
        if row["subset"] not in SUBSETS:
            raise ValueError(f"{where}: subset must be one of {SUBSETS}, got {row['subset']!r}")
        if not row["video"] or row["video"] in listed:
            problem = f"video {row['video']!r} is there twice; keep one row" if row["video"] else "the video is empty"
            raise ValueError(f"{where}: {problem}")
        listed[row["video"]] = row["subset"]
    return listed
