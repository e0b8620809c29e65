from pathlib import Path
from typing import Any

import numpy as np
import pytest

from annotations.label_names import label_names
from datamodules.volleyball import VolleyballDataModule

# "No. of videos" of the authors' readme: 24, 15 and 16 of the 55
SIZES = {"train": 24, "val": 15, "test": 16}
LINE = "1000.jpg l-spike 10 20 30 40 standing 50 60 70 80 spiking 90 20 30 40 standing "


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """55 games of one annotated frame."""
    for game in range(55):
        (tmp_path / str(game) / "1000").mkdir(parents=True)
        (tmp_path / str(game) / "annotations.txt").write_text(f"{LINE}\n")
    return tmp_path


def test_the_split_is_the_authors(root: Path) -> None:
    splits: Any = SIZES
    games = {split: {video.name for video in VolleyballDataModule(root).read_split(split)} for split in splits}
    assert {split: len(names) for split, names in games.items()} == SIZES
    assert set().union(*games.values()) == {f"{game}/1000" for game in range(55)}
    assert (
        {"7/1000", "39/1000"} <= games["train"] and {"0/1000", "51/1000"} <= games["val"] and "4/1000" in games["test"]
    )


def test_personal_actions_are_those_of_all_players(root: Path) -> None:
    data = VolleyballDataModule(root)
    video = data.read_split("train")[0]
    assert (video.name, video.path) == ("1/1000", root / "1" / "1000")
    assert [data.label_names[k] for k in video.labels] == ["spiking", "standing"] and data.num_labels == 9
    assert video.intervals.tolist() == [[0, np.inf]] * 2 and video.boxes is None is video.box_labels


def test_group_is_one_label(root: Path) -> None:
    data = VolleyballDataModule(root, task="group")
    video = data.read_split("val")[0]
    assert [data.label_names[k] for k in video.labels] == ["l_spike"] and data.num_labels == 8 and video.boxes is None
    assert video.intervals.tolist() == [[0, np.inf]]


def test_without_pictures_there_are_no_boxes_and_setup_reports_the_clips(root: Path) -> None:
    for folder in root.glob("*/1000"):
        folder.rmdir()
    data = VolleyballDataModule(root, task="boxes")
    assert data.read_split("train")[0].boxes is None
    with pytest.raises(ValueError, match=r"24 of 24 videos of the train split do not exist"):
        data.setup("fit")


def test_a_missing_game_is_named(root: Path) -> None:
    (root / "7" / "annotations.txt").unlink()
    with pytest.raises(ValueError, match=r"7/annotations\.txt does not exist"):
        VolleyballDataModule(root).read_split("train")


@pytest.fixture
def real(root: Path, shared_data: Path) -> Path:
    """Only game 7 has pictures, those of one real clip."""
    for folder in root.glob("*/1000"):
        folder.rmdir()
    (root / "7" / "annotations.txt").unlink()
    (root / "7").rmdir()
    (root / "7").symlink_to(shared_data / "volleyball" / "videos" / "7")
    return root


def test_boxes_are_shares_of_the_real_pictures(real: Path) -> None:
    data = VolleyballDataModule(real, task="boxes")
    videos = [video for video in data.read_split("train") if video.name.startswith("7/")]
    assert len(videos) == 106 and data.num_labels == 8 and data.box_label_names == label_names("volleyball_personal")
    lines = [line.split() for line in (real / "7" / "annotations.txt").read_text().splitlines()]
    for video, line in zip(videos, lines, strict=True):
        assert video.boxes is not None and video.box_labels is not None and video.boxes.dtype == np.float32
        players = [line[start : start + 5] for start in range(2, len(line), 5)]
        assert video.name == f"7/{line[0].removesuffix('.jpg')}" and len(video.labels) == 1
        for box, multi_hot, (left, top, width, height, action) in zip(
            video.boxes, video.box_labels, players, strict=True
        ):
            x, y = int(left), int(top)
            corners = [x / 1280, y / 720, min((x + int(width)) / 1280, 1), (y + int(height)) / 720]
            assert np.allclose(box, corners, rtol=0, atol=1e-6)
            assert [data.box_label_names[k] for k in np.flatnonzero(multi_hot)] == [action]
    edge = max(float(video.boxes.max()) for video in videos if video.boxes is not None)
    assert edge == 1.0, "one real box reaches 6 pixels out of the picture and is cut there"


def test_a_box_outside_the_picture_is_refused(real: Path, shared_data: Path) -> None:
    (real / "6" / "annotations.txt").write_text("38025.jpg l-spike 1300 20 30 40 standing\n")
    (real / "6" / "38025").symlink_to(shared_data / "volleyball" / "videos" / "7" / "38025")
    with pytest.raises(ValueError, match=r"line 1: box \[1300.0, 20.0, 1330.0, 60.0\] lies outside the 1280x720"):
        VolleyballDataModule(real, task="boxes").read_split("train")
