"""UCF-101 and HMDB-51."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from annotations.label_names import label_names
from datamodules.hmdb51 import HMDB51DataModule
from datamodules.ucf101 import UCF101DataModule


@pytest.fixture
def ucf(tmp_path: Path) -> dict[str, Any]:
    """Lists of fold 2 and a folder for the videos."""
    lists, root = tmp_path / "ucfTrainTestlist", tmp_path / "UCF-101"
    lists.mkdir()
    root.mkdir()
    (lists / "trainlist02.txt").write_text("Archery/v_Archery_g01_c01.avi 3\r\nYoYo/v_YoYo_g02_c01.avi 101\r\n")
    (lists / "testlist02.txt").write_text("YoYo/v_YoYo_g08_c01.avi\r\n")
    return {"lists": lists, "root": root}


@pytest.mark.parametrize("flat", [False, True])
def test_ucf101_lies_by_class_or_flat(ucf: dict[str, Any], flat: bool) -> None:
    for label, name in (("Archery", "v_Archery_g01_c01"), ("YoYo", "v_YoYo_g02_c01"), ("YoYo", "v_YoYo_g08_c01")):
        path = ucf["root"] / ("" if flat else label) / f"{name}.avi"
        path.parent.mkdir(exist_ok=True)
        path.touch()
    data = UCF101DataModule(**ucf, fold=2)
    assert data.label_names == label_names("ucf101") and not data.read_split("val")
    data.setup("fit")
    data.setup("test")
    assert [(video.name, video.labels.tolist()) for video in data.videos["train"]] == [
        ("Archery/v_Archery_g01_c01", [2]),
        ("YoYo/v_YoYo_g02_c01", [100]),
    ]
    (test,) = data.videos["test"]
    assert test.path == ucf["root"] / ("" if flat else "YoYo") / "v_YoYo_g08_c01.avi"
    assert test.intervals.tolist() == [[0, np.inf]]


@pytest.mark.parametrize("split", ["train", "test"])
def test_a_clip_in_both_lists_of_a_fold_is_refused(ucf: dict[str, Any], split: Any) -> None:
    (ucf["lists"] / "testlist02.txt").write_text("Archery/v_Archery_g01_c01.avi\r\n")
    with pytest.raises(ValueError, match="'Archery/v_Archery_g01_c01' is in the train list and in the test list"):
        UCF101DataModule(**ucf, fold=2).read_split(split)


def test_ucf101_takes_folders_of_frames(ucf: dict[str, Any]) -> None:
    folder = ucf["root"] / "YoYo" / "v_YoYo_g08_c01"
    folder.mkdir(parents=True)
    assert [video.path for video in UCF101DataModule(**ucf, fold=2).read_split("test")] == [folder]


def test_a_missing_fold_or_root_is_named(ucf: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"trainlist03\.txt does not exist"):
        UCF101DataModule(**ucf, fold=3).read_split("train")
    ucf["root"].rmdir()
    with pytest.raises(ValueError, match="UCF-101 is not a folder"):
        UCF101DataModule(**ucf, fold=2).read_split("test")


def test_official_folds_of_ucf101(tmp_path: Path, shared_data: Path) -> None:
    lists = shared_data / "ucf101" / "ucf101_splits"
    data = UCF101DataModule(tmp_path, lists)
    sides: Any = [data.read_split(split) for split in ("train", "test")]
    assert [len(side) for side in sides] == [9537, 3783]
    names = label_names("ucf101")
    assert all([names[k] for k in video.labels] == [video.name.split("/")[0]] for side in sides for video in side)


def test_hmdb51_takes_the_training_and_test_videos_of_the_fold(tmp_path: Path) -> None:
    lists, root = tmp_path / "testTrainMulti_7030_splits", tmp_path / "hmdb51_org"
    lists.mkdir()
    for name in label_names("hmdb51"):
        lines = [f"a_{name}_f.avi 1 ", f"b.c_{name}_f.avi 2 ", f"d_{name}_f.avi 0 "]
        (lists / f"{name}_test_split3.txt").write_text("\n".join(lines))
        (root / name).mkdir(parents=True)
        for line in lines:
            (root / name / line.split()[0]).touch()
    data = HMDB51DataModule(root, lists, fold=3)
    data.setup("fit")
    data.setup("test")
    for split, start in (("train", "a"), ("test", "b.c")):
        assert len(data.videos[split]) == 51 and data.videos[split][50].labels.tolist() == [50]
        assert data.videos[split][0].name == f"brush_hair/{start}_brush_hair_f"
        assert data.videos[split][0].path == root / "brush_hair" / f"{start}_brush_hair_f.avi"
    assert not data.read_split("val") and data.num_labels == 51
