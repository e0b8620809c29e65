"""The lists of UCF-101 and HMDB-51."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from annotations.hmdb51 import read_hmdb51
from annotations.label_names import label_names
from annotations.ucf101 import read_ucf101

NAMES = ["Archery", "Biking"]


def write(path: Path, *lines: str) -> Path:
    path.write_bytes("\r\n".join([*lines, ""]).encode())
    return path


@pytest.mark.parametrize("number", ["", " 2"])
def test_the_class_of_ucf101_is_the_folder(tmp_path: Path, number: str) -> None:
    lines = ["Biking/v_Biking_g08_c01.avi" + number, "", "Biking/v_Biking_g08_c02.avi" + number]
    records = read_ucf101(write(tmp_path / "list.txt", *lines), NAMES)
    assert [record.name for record in records] == ["Biking/v_Biking_g08_c01", "Biking/v_Biking_g08_c02"]
    assert [record.labels.tolist() for record in records] == [[1], [1]]
    assert records[0].intervals.tolist() == [[0.0, np.inf]] and records[1].where.endswith("list.txt, line 3")


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["Swimming/v_a.avi"], "line 1: unknown class 'Swimming'; expected one of 2"),
        (["Biking/v_a.avi 1"], "line 1: class Biking has number 2, but the line says 1"),
        (["Biking/v_a.avi x"], "line 1: class Biking has number 2, but the line says x"),
        (["Biking/v_a.avi 2 2"], "line 1: expected 'CLASS/video.avi'"),
        (["v_a.avi"], "line 1: expected 'CLASS/video.avi'"),
        (["Biking/v_a.avi", "Biking/v_a.avi 2"], "line 2: video Biking/v_a is listed before, at .*line 1"),
        ([], "is empty"),
    ],
)
def test_a_bad_list_of_ucf101_is_named_by_its_line(tmp_path: Path, lines: list[str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read_ucf101(write(tmp_path / "list.txt", *lines), NAMES)


@pytest.mark.parametrize(("fold", "train", "test"), [(1, 9537, 3783), (2, 9586, 3734), (3, 9624, 3696)])
def test_official_folds_of_ucf101(shared_data: Path, fold: int, train: int, test: int) -> None:
    folder, names = shared_data / "ucf101" / "ucf101_splits", label_names("ucf101")
    index = [line.split() for line in (folder / "classInd.txt").read_text().split("\n") if line.strip()]
    assert [[str(k + 1), name] for k, name in enumerate(names)] == index and len(names) == 101
    sides = [read_ucf101(folder / f"{side}list0{fold}.txt", names) for side in ("train", "test")]
    assert [len(side) for side in sides] == [train, test] and train + test == 13320
    groups = [{record.name.rsplit("_", 1)[0] for record in side} for side in sides]
    assert not groups[0] & groups[1], "a group is on one side"
    assert len(groups[0] | groups[1]) == 101 * 25
    assert {record.labels[0] for record in sides[1]} == set(range(101))


@pytest.fixture
def lists(tmp_path: Path) -> Path:
    write(tmp_path / "golf_test_split2.txt", "Some (#1) video!_golf_f_cm.avi 1 ", "b.x_golf.avi 2 ", "c_golf.avi 0 ")
    write(tmp_path / "wave_test_split2.txt", "c_golf.avi 2")
    return tmp_path


def test_the_numbers_of_hmdb51_are_training_test_and_unused(lists: Path) -> None:
    records = read_hmdb51(lists, 2, ["golf", "wave"])
    assert [(record.name, record.subset, record.labels.tolist()) for record in records] == [
        ("golf/Some (#1) video!_golf_f_cm", "train", [0]),
        ("golf/b.x_golf", "test", [0]),
        ("golf/c_golf", "", [0]),
        ("wave/c_golf", "test", [1]),
    ]
    assert records[3].intervals.tolist() == [[0.0, np.inf]]


def test_a_bad_list_of_hmdb51_is_named_by_its_line(lists: Path) -> None:
    with pytest.raises(
        ValueError, match=r"wave_test_split1\.txt does not exist; expected one for each of the 1 classes"
    ):
        read_hmdb51(lists, 1, ["wave"])
    for line, message in (
        ("a.avi 3", "line 2: expected 'video.avi N'"),
        ("a.avi", "line 2: expected 'video.avi N'"),
        ("c_golf.avi 1", "line 2: video wave/c_golf is listed before, at .*line 1"),
    ):
        write(lists / "wave_test_split2.txt", "c_golf.avi 2", line)
        with pytest.raises(ValueError, match=message):
            read_hmdb51(lists, 2, ["wave"])


@pytest.mark.parametrize("text", ["", "\n \n"])
def test_an_empty_list_of_a_class_is_refused(lists: Path, text: str) -> None:
    (lists / "wave_test_split2.txt").write_text(text)
    with pytest.raises(ValueError, match=r"wave_test_split2\.txt is empty"):
        read_hmdb51(lists, 2, ["golf", "wave"])


def test_hmdb51_has_51_classes_in_alphabetical_order() -> None:
    names = label_names("hmdb51")
    assert len(names) == 51 and names == sorted(set(names))
    counts = Counter(name.partition("_")[0] for name in names)
    assert counts["sword"] == counts["climb"] == counts["kick"] == 2 and counts["shoot"] == 3
