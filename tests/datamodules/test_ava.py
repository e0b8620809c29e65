from pathlib import Path
from typing import Any

import numpy as np
import pytest

from clips.targets import Video
from datamodules.ava import AvaDataModule

TRAIN = [
    "movieA,0902,0.002,0.118,0.714,0.977,12,1",
    "movieA,0902,0.002,0.118,0.714,0.977,2,1",
    "movieA,0902,0.444,0.054,1.000,0.990,80,0",
    "movieA,0903,0.444,0.054,1.000,0.990,2,0",
    "movieB,1798,0.100,0.200,0.300,0.400,12,3",
]
VAL = ["movieC,0902,0.1,0.2,0.3,0.4,12,1", "movieC,0910,0.1,0.2,0.3,0.4,80,1", "movieC,0911,0.1,0.2,0.3,0.4,80,1"]
DETECTIONS = [
    "movieC,0902,0.11,0.2,0.3,0.4,,0.9",
    "movieC,0902,0.50,0.2,0.8,0.4,,0.79",
    "movieC,0902,0.60,0.2,0.8,0.4,,0.8",
    "movieC,0905,0.60,0.2,0.8,0.4,,0.99",
    "movieC,0910,0.60,0.2,0.8,0.4,,0.5",
    "movieC,0911,0.60,0.2,0.8,0.4,,0.99",
    "movieA,0902,0.60,0.2,0.8,0.4,,0.99",
]
MAP = 'item { name: "talk to" id: 80 } item { name: "stand" id: 12 }'


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Any]:
    """Three movies, one of them a folder of frames, and their official files."""
    for name, lines in {"train": TRAIN, "val": VAL, "detections": DETECTIONS, "excluded": ["movieC,0911"]}.items():
        (tmp_path / f"{name}.csv").write_text("\n".join(lines) + "\n")
    (tmp_path / "map.pbtxt").write_text(MAP)
    root = tmp_path / "movies"
    (root / "movieB").mkdir(parents=True)
    for name in ("movieA.mkv", "movieC.webm"):
        (root / name).touch()
    return {
        "annotations": {"train": tmp_path / "train.csv", "val": tmp_path / "val.csv"},
        "excluded": {"val": tmp_path / "excluded.csv"},
        "label_map": tmp_path / "map.pbtxt",
        "root": root,
    }


def facts(video: Video) -> tuple[str, str, list[int], Any, list[list[float]], list[list[int]]]:
    assert video.boxes is not None and video.box_labels is not None
    assert video.boxes.dtype == np.float32 and video.box_labels.dtype == np.int64
    assert video.intervals.tolist() == [[0, np.inf]] * len(video.labels)
    boxes = video.boxes.astype(np.float64).round(6).tolist()
    return video.name, video.path.name, video.labels.tolist(), video.window, boxes, video.box_labels.tolist()


def test_a_keyframe_is_a_video_with_its_persons(files: dict[str, Any]) -> None:
    data = AvaDataModule(**files)
    assert data.label_names == ["stand", "talk to"] and data.num_labels == 2
    assert [facts(video) for video in data.read_split("train")] == [
        (
            "movieA/0902",
            "movieA.mkv",
            [0, 1],
            (901.0, 903.0),
            [[0.002, 0.118, 0.714, 0.977], [0.444, 0.054, 1.0, 0.99]],
            [[1, 0], [0, 1]],
        ),
        ("movieA/0903", "movieA.mkv", [], (902.0, 904.0), [[0.444, 0.054, 1.0, 0.99]], [[0, 0]]),
        ("movieB/1798", "movieB", [0], (1797.0, 1799.0), [[0.1, 0.2, 0.3, 0.4]], [[1, 0]]),
    ]


def test_without_a_label_map_all_80_actions_are_outputs(files: dict[str, Any]) -> None:
    data = AvaDataModule(**{**files, "label_map": None})
    first = data.read_split("train")[0]
    assert data.num_labels == 80 and first.labels.tolist() == [1, 11, 79] and first.box_labels is not None
    assert first.box_labels.shape == (2, 80) and first.box_labels.sum(axis=1).tolist() == [2, 1]
    assert [data.label_names[k] for k in first.labels] == ["crawl", "stand", "watch (a person)"]


def test_windows_count_from_the_start_of_the_files(files: dict[str, Any]) -> None:
    data = AvaDataModule(**files, video_start=900, keyframe_span=5)
    assert [video.window for video in data.read_split("train")] == [(0.0, 4.5), (0.5, 5.5), (895.5, 900.5)]
    with pytest.raises(ValueError, match=r"keyframe movieA,902 is before video_start 903"):
        AvaDataModule(**files, video_start=903).read_split("train")


def test_excluded_keyframes_are_left_out_and_the_test_is_on_val(files: dict[str, Any]) -> None:
    data = AvaDataModule(**files)
    for split in ("val", "test"):
        assert [video.name for video in data.read_split(split)] == ["movieC/0902", "movieC/0910"]
    assert not AvaDataModule(**{**files, "annotations": {}}).read_split("val")


def test_detections_replace_the_boxes_of_the_test_alone(files: dict[str, Any], tmp_path: Path) -> None:
    data = AvaDataModule(**files, detections=tmp_path / "detections.csv")
    first, second = data.read_split("test")
    assert (first.name, first.labels.tolist()) == ("movieC/0902", [0]) and first.boxes is not None
    assert first.boxes.astype(np.float64).round(6).tolist() == [[0.11, 0.2, 0.3, 0.4], [0.6, 0.2, 0.8, 0.4]]
    assert (second.name, second.labels.tolist()) == ("movieC/0905", []), "no annotated person there"
    assert first.box_labels is None is second.box_labels
    val = data.read_split("val")[0]
    assert val.boxes is not None and val.boxes.shape == (1, 4) and val.box_labels is not None
    strict = AvaDataModule(**files, detections=tmp_path / "detections.csv", min_score=1)
    with pytest.raises(ValueError, match=r"detections.csv has no detection with a score of 1 or more on the 1 movies"):
        strict.read_split("test")


@pytest.mark.parametrize("arguments", [{"keyframe_span": 0}, {"video_start": -1}])
def test_times_out_of_range_are_refused(files: dict[str, Any], arguments: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="keyframe_span must be positive and video_start from 0 on"):
        AvaDataModule(**files, **arguments)  # type: ignore[arg-type]


def test_the_official_map_makes_60_outputs(files: dict[str, Any], shared_data: Path) -> None:
    path = shared_data / "ava" / "ava_action_list_v2.2_for_activitynet_2019.pbtxt"
    data = AvaDataModule(**{**files, "label_map": path})
    assert data.num_labels == 60 and data.outputs[1] == 0 and data.outputs[3] == 1 and data.outputs[80] == 59
    assert data.label_names[0] == "bend/bow (at the waist)" and data.label_names[-1] == "watch (a person)"
