import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from annotations.label_names import label_names
from clips.encoding import write_video
from datamodules.multithumos import MultiThumosDataModule
from tests.conftest import moving_square

NAMES = label_names("multithumos")
SMALL: dict[str, Any] = {"num_frames": 4, "fps": 30, "short_side": [32, 32], "crop_size": 32, "test_short_side": 32}
TRAIN, TEST, OTHER = "video_validation_0000266", "video_test_0000004", "video_test_0000009"


@pytest.fixture
def folders(tmp_path: Path) -> dict[str, Any]:
    """The 65 files, almost all of one other video, and two empty folders of videos."""
    folder = tmp_path / "annotations"
    folder.mkdir()
    for name in NAMES:
        (folder / f"{name}.txt").write_text(f"{OTHER} 1.00 2.00\n")
    (folder / "Walk.txt").write_text(f"{TRAIN} 0.20 1.10\n{TEST} 0.00 900.00\n")
    (folder / "BaseballPitch.txt").write_text(f"{TRAIN} 1.00 1.00\n")
    roots = {"train_root": tmp_path / "validation", "val_root": tmp_path / "test"}
    for root in roots.values():
        root.mkdir()
    return {"annotations": folder, **roots}


def test_videos_are_split_by_name_and_lie_in_two_folders(folders: dict[str, Any]) -> None:
    data = MultiThumosDataModule(**folders, **SMALL)
    assert data.num_labels == 65 and data.label_names[20] == "Walk" and data.spec.past_end == "clip"
    ((train,), (other, val)) = data.read_split("train"), data.read_split("val")
    assert (train.name, train.path) == (TRAIN, folders["train_root"] / f"{TRAIN}.mp4")
    assert train.labels.tolist() == [0, 20] and train.intervals.tolist() == [[1.0, 1.0], [0.2, 1.1]]
    assert (val.name, val.path) == (TEST, folders["val_root"] / f"{TEST}.mp4")
    assert val.labels.tolist() == [20] and val.intervals.tolist() == [[0.0, 900.0]]
    assert (other.name, len(other.labels)) == (OTHER, 63) and data.read_split("test") == []


def test_json_form_gives_the_same_videos(folders: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "multithumos.json"
    content = {
        TEST: {"subset": "testing", "duration": 33.7, "actions": [[21, 0.0, 900.0]]},
        TRAIN: {"subset": "training", "duration": 80.1, "actions": [[1, 1.0, 1.0], [21, 0.2, 1.1]]},
    }
    path.write_text(json.dumps(content))
    text, form = (
        MultiThumosDataModule(**folders, **SMALL),
        MultiThumosDataModule(**{**folders, "annotations": path}, **SMALL),
    )
    for split in ("train", "val"):
        one, other = text.read_split(split)[-1], form.read_split(split)[-1]
        assert (one.name, one.labels.tolist()) == (other.name, other.labels.tolist())
        assert one.intervals.tolist() == other.intervals.tolist()


def test_lists_choose_the_videos(folders: dict[str, Any], tmp_path: Path) -> None:
    train, val = tmp_path / "train.txt", tmp_path / "val.txt"
    train.write_text(f"{TEST}\n")
    val.write_text(f"{TRAIN}\n")
    data = MultiThumosDataModule(**folders, splits={"train": train, "val": val}, **SMALL)
    assert [[video.name for video in data.read_split(split)] for split in ("train", "val")] == [[TEST], [TRAIN]]
    val.write_text("video_test_0009999\n")
    data = MultiThumosDataModule(**folders, splits={"train": train, "val": val}, **SMALL)
    with pytest.raises(ValueError, match="video 'video_test_0009999' of the val list has no annotation"):
        data.read_split("val")
    val.write_text(f"{TEST}\n")
    with pytest.raises(ValueError, match="is in the train list and in the val list"):
        MultiThumosDataModule(**folders, splits={"train": train, "val": val}, **SMALL)


def test_video_of_neither_name_needs_lists(folders: dict[str, Any]) -> None:
    (folders["annotations"] / "Run.txt").write_text("my_video 1 2\n")
    with pytest.raises(ValueError, match="'my_video' is named neither video_validation_ nor video_test_"):
        MultiThumosDataModule(**folders, **SMALL).read_split("train")


def test_empty_class_file_is_refused(folders: dict[str, Any]) -> None:
    (folders["annotations"] / "Run.txt").write_text("")
    with pytest.raises(ValueError, match=r"Run\.txt is empty"):
        MultiThumosDataModule(**folders, **SMALL).read_split("train")


def test_missing_class_file_is_refused(folders: dict[str, Any]) -> None:
    (folders["annotations"] / "Sit.txt").unlink()
    with pytest.raises(ValueError, match=r"1 of 65 classes have no file, the first: .*Sit\.txt"):
        MultiThumosDataModule(**folders, **SMALL).read_split("train")


def test_clips_are_drawn_from_videos_with_odd_intervals(folders: dict[str, Any]) -> None:
    write_video(folders["train_root"] / f"{TRAIN}.mp4", moving_square(np.random.default_rng(0), 60), fps=30)
    write_video(folders["val_root"] / f"{TEST}.mp4", moving_square(np.random.default_rng(1), 60), fps=30)
    write_video(folders["val_root"] / f"{OTHER}.mp4", moving_square(np.random.default_rng(2), 60), fps=30)
    loading: dict[str, Any] = {"num_workers": 0, "batch_size": 1, "test_views": {4: [1, 1]}, "clips_per_video": 8}
    data = MultiThumosDataModule(**folders, **SMALL, **loading)
    data.setup("fit")
    data.setup("test")
    labels = [tuple(batch["labels"][0].nonzero().flatten().tolist()) for batch in data.train_dataloader()]
    assert set(labels) <= {(), (20,)} and (20,) in labels, "an interval of no length is of no clip"
    _, batch = data.test_dataloader()
    assert batch.labels[0].nonzero().flatten().tolist() == [20]


def test_real_files_hold_200_and_213_videos(shared_data: Path, tmp_path: Path) -> None:
    data = MultiThumosDataModule(shared_data / "multithumos" / "annotations", tmp_path, tmp_path, **SMALL)
    for split, listed, count in (("train", "train", 200), ("val", "test", 213)):
        names = [video.name for video in data.read_split(split)]  # type: ignore[arg-type]
        assert len(names) == count
        assert set(names) == set((shared_data / "multithumos" / f"mlad_{listed}_list.txt").read_text().split())
