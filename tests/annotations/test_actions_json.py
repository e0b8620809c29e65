import json
from pathlib import Path
from typing import Any

import pytest

from annotations.actions_json import read_actions_json


def write(folder: Path, content: Any) -> Path:
    path = folder / "actions.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def video(**changes: Any) -> dict[str, Any]:
    return {"subset": "training", "duration": 30.5, "actions": [[24, 1.25, 3.5]], **changes}


@pytest.mark.parametrize("first_id", [0, 1])
def test_ids_count_from_the_first_id(tmp_path: Path, first_id: int) -> None:
    actions = [[first_id, 0.5, 2.0], [first_id + 64, 21.0, 25.0], [first_id + 3, 7, 7]]  # the last past the end, empty
    content = {"b": video(actions=actions), "a": video(subset="testing", actions=[])}
    first, second = read_actions_json(write(tmp_path, content), num_labels=65, first_id=first_id)
    assert (first.name, first.subset, first.duration) == ("b", "training", 30.5)
    assert first.labels.tolist() == [0, 64, 3] and first.intervals.tolist() == [[0.5, 2.0], [21.0, 25.0], [7.0, 7.0]]
    assert (second.name, second.subset, second.labels.shape, second.intervals.shape) == ("a", "testing", (0,), (0, 2))
    assert second.where.endswith("video 'a'")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            {"a": video(actions=[[24, 1, 2], [66, 1, 2]])},
            "video 'a', action 1: expected a label id from 1 to 65, got 66",
        ),
        ({"a": video(actions=[[0, 1, 2]])}, "expected a label id from 1 to 65, got 0"),
        ({"a": video(actions=[[1.5, 1, 2]])}, "expected a label id from 1 to 65, got 1.5"),
        ({"a": video(actions=[[True, 1, 2]])}, "expected a label id from 1 to 65, got True"),
        ({"a": video(actions=[[24, 1]])}, r"action 0: expected \[id, start, end\], got \[24, 1\]"),
        ({"a": video(actions=[[24, 1, "late"]])}, "action 0: end must be a finite number of seconds, got 'late'"),
        ({"a": video(actions=[[24, None, 2]])}, "action 0: start must be a finite number of seconds, got None"),
        ({"a": video(actions=[[24, float("nan"), 2]])}, "action 0: start must be a finite number of seconds, got nan"),
        ({"a": video(actions=[[24, 1, float("inf")]])}, "action 0: end must be a finite number of seconds, got inf"),
        ({"a": video(actions={"24": 1})}, r"actions must be a list of \[id, start, end\]"),
        ({"a": video(duration="?")}, "video 'a': duration must be a finite number of seconds"),
        ({"a": video(subset="validation")}, "video 'a': subset must be one of .*got 'validation'"),
        (
            {"a": {"subset": "training", "actions": []}},
            r"expected the keys subset, duration and actions, got \['actions', ",
        ),
        ({"a": [1]}, "video 'a': expected the keys subset, duration and actions, got a list"),
        ('{"a": {"x": 1}, "a": {"x": 1}}', "'a' is there twice"),
        ({}, "has no video"),
        ({"a": video(duration="3_0.5")}, "video 'a': duration must be a finite number of seconds, got '3_0.5'"),
        ("[" * 100_000, "nested too deeply"),
        ([1], "expected a JSON object, got a list"),
        ("{", "cannot be read as JSON"),
    ],
)
def test_malformed_file_is_refused_with_video_and_action(tmp_path: Path, content: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message) as error:
        read_actions_json(write(tmp_path, content), num_labels=65, first_id=1)
    assert "actions.json" in str(error.value)


def test_absent_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="does not exist"):
        read_actions_json(tmp_path / "absent.json", num_labels=65, first_id=1)
