"""The JSON form in which Charades and MultiTHUMOS are passed around: one object of videos with numbered actions."""

from __future__ import annotations

from pathlib import Path

from annotations.records import AnnotatedVideo
from annotations.values import Action, annotated_video, read_json, seconds

SUBSETS = ("training", "testing")


def read_actions_json(path: Path, *, num_labels: int, first_id: int) -> list[AnnotatedVideo]:
    """Read `{"ID": {"subset": "training", "duration": 30.5, "actions": [[id, start, end], ...]}, ...}`.

    Args:
        path: the file, such as `charades.json` or `multithumos.json`.
        num_labels: K.
        first_id: what the file calls label number 0: 0 in `charades.json`, 1 in `multithumos.json`.

    Returns:
        One record for each video, in the order of the file; videos without action and odd intervals included.

    Raises:
        ValueError: naming file, video and action: no or repeated video, missing key, subset other than training and testing,
            malformed action, unknown label id, time that is no finite number.
    """
    videos = []
    for name, entry in read_json(path).items():
        where = f"{path}, video {name!r}"
        if not isinstance(entry, dict) or not {"subset", "duration", "actions"} <= set(entry):
            got = sorted(entry) if isinstance(entry, dict) else f"a {type(entry).__name__}"
            raise ValueError(f"{where}: expected the keys subset, duration and actions, got {got}")
        if entry["subset"] not in SUBSETS:
            raise ValueError(f"{where}: subset must be one of {SUBSETS}, got {entry['subset']!r}")
        if not isinstance(entry["actions"], list):
            raise ValueError(f"{where}: actions must be a list of [id, start, end], got {entry['actions']!r}")
        duration = seconds(entry["duration"], "duration", where)
        actions = [
            _action(action, num_labels, first_id, f"{where}, action {number}")
            for number, action in enumerate(entry["actions"])
        ]
        videos.append(annotated_video(name, entry["subset"], duration, actions, where))
    if not videos:
        raise ValueError(f"{path} has no video; is the file complete?")
    return videos


def _action(action: object, num_labels: int, first_id: int, where: str) -> Action:
    if not isinstance(action, list) or len(action) != 3:
        raise ValueError(f"{where}: expected [id, start, end], got {action!r}")
    label, start, end = action
    if type(label) is not int or not first_id <= label < first_id + num_labels:
        raise ValueError(
            f"{where}: expected a label id from {first_id} to {first_id + num_labels - 1}, got {label!r}; "
            "is this the file of another data set?"
        )
    return label - first_id, seconds(start, "start", where), seconds(end, "end", where)
