import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from annotations.label_names import label_names
from clips.encoding import write_video
from datamodules.activitynet import ActivityNetDataModule
from tests.conftest import moving_square

SMALL: dict[str, Any] = {"num_frames": 4, "fps": 30, "short_side": [32, 32], "crop_size": 32, "test_short_side": 32}
DATABASE = {
    "aaa": ("training", [([0.2, 0.7], "Zumba"), ([1.0, 90.0], "Archery")]),
    "v_b": ("training", [([0.4, 0.4], "Zumba")]),
    "ccc": ("validation", [([0.0, 0.9], "Welding")]),
    "ddd": ("testing", []),
}


@pytest.fixture
def annotations(tmp_path: Path) -> Path:
    """An official file of four videos."""
    database = {
        name: {
            "subset": subset,
            "duration": 2.0,
            "annotations": [{"segment": segment, "label": label} for segment, label in rows],
        }
        for name, (subset, rows) in DATABASE.items()
    }
    path = tmp_path / "activity_net.v1-3.min.json"
    path.write_text(json.dumps({"database": database, "taxonomy": [], "version": "VERSION 1.3"}))
    return path


def test_splits_are_training_and_validation_and_never_testing(annotations: Path, tmp_path: Path) -> None:
    data = ActivityNetDataModule(annotations, [tmp_path], **SMALL)
    names = label_names("activitynet")
    assert data.label_names == names and data.num_labels == 200 and data.spec.past_end == "clip"
    train = data.read_split("train")
    assert [(v.name, v.path.name) for v in train] == [("aaa", "v_aaa.mp4"), ("v_b", "v_v_b.mp4")]
    assert [[names[k] for k in v.labels] for v in train] == [["Zumba", "Archery"], ["Zumba"]]
    assert train[0].intervals.tolist() == [[0.2, 0.7], [1.0, 90.0]]
    assert [v.name for v in data.read_split("val")] == ["ccc"] and not data.read_split("test")


def test_videos_lie_in_several_folders_with_any_suffix(annotations: Path, tmp_path: Path) -> None:
    first, second = tmp_path / "v1-2", tmp_path / "v1-3"
    for path in (first / "v_aaa.webm", second / "v_v_b.mkv", second / "v_ccc.mp4"):
        path.parent.mkdir(exist_ok=True)
        path.touch()
    data = ActivityNetDataModule(annotations, [first, second], **SMALL)
    assert [v.path for v in data.read_split("train")] == [first / "v_aaa.webm", second / "v_v_b.mkv"]
    assert [v.path for v in data.read_split("val")] == [second / "v_ccc.mp4"]
    (second / "v_aaa.mp4").touch()
    with pytest.raises(ValueError, match=r"video 'v_aaa' is there twice: .*v1-2.* and .*v1-3"):
        data.read_split("train")
    with pytest.raises(ValueError, match="roots must name at least one folder"):
        ActivityNetDataModule(annotations, [], **SMALL)


def test_clips_and_test_videos_have_the_labels_of_their_segments(annotations: Path, tmp_path: Path) -> None:
    for name in ("aaa", "v_b", "ccc"):
        write_video(tmp_path / f"v_{name}.mp4", moving_square(np.random.default_rng(0), 60), fps=30)
    loading: dict[str, Any] = {"num_workers": 0, "batch_size": 1, "test_views": {4: [1, 1]}, "clips_per_video": 30}
    data = ActivityNetDataModule(annotations, [tmp_path], **SMALL, **loading)
    data.setup("fit")
    data.setup("test")
    archery, welding, zumba = (data.label_names.index(name) for name in ("Archery", "Welding", "Zumba"))
    seen: dict[int, set[tuple[int, ...]]] = {0: set(), 1: set()}
    for batch in data.train_dataloader():
        seen[int(batch["index"])].add(tuple(batch["labels"][0].nonzero().flatten().tolist()))
    assert {(zumba,), (archery,)} <= seen[0] <= {(), (zumba,), (archery,), (archery, zumba)}
    assert seen[1] == {()}, "a segment of no length is of no clip"
    (batch,) = data.test_dataloader()
    assert batch.labels[0].nonzero().flatten().tolist() == [welding]


def test_reduced_form_needs_the_file_of_the_subsets(tmp_path: Path) -> None:
    path, subsets = tmp_path / "anet_anno_action.json", tmp_path / "video_info_new.csv"
    path.write_text(json.dumps({"v_aaa": {"duration_second": 2.0, "annotations": []}}))
    with pytest.raises(ValueError, match="does not state the subsets; give the CSV file"):
        ActivityNetDataModule(path, [tmp_path], **SMALL).read_split("train")
    subsets.write_text("video,numFrame,subset\nv_aaa,60,validation\n")
    data = ActivityNetDataModule(path, [tmp_path], subsets, **SMALL)
    assert [video.name for video in data.read_split("val")] == ["aaa"] and not data.read_split("train")


def test_real_file_holds_9649_and_4728_videos(shared_data: Path, tmp_path: Path) -> None:
    folder = shared_data / "activitynet"
    data = ActivityNetDataModule(folder / "anet_anno_action.json", [tmp_path], folder / "video_info_new.csv", **SMALL)
    train, val = data.read_split("train"), data.read_split("val")
    assert (len(train), len(val)) == (9649, 4728) and all(len(video.labels) for video in [*train, *val])
    assert not {video.name for video in train} & {video.name for video in val}
