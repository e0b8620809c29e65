from pathlib import Path

import numpy as np
import pytest

from datamodules.hockey import HockeyDataModule

LABELS = [f"activity {k}" for k in range(11)]


def write(path: Path, *lines: str) -> Path:
    path.write_text("\n".join(lines) + "\n")
    return path


def test_the_table_is_read_with_the_labels_in_their_order(tmp_path: Path) -> None:
    rows = ["a.mp4,activity 3,1.5,4,train", "a.mp4,activity 10,2,5,train", "b.mp4,,,,val", "c.mp4,activity 0,,,test"]
    table = write(tmp_path / "annotations.csv", "video,label,start,end,split", *rows)
    data = HockeyDataModule(table, write(tmp_path / "labels.txt", *LABELS), root=tmp_path / "videos")
    assert data.label_names == LABELS and data.num_labels == 11
    (train,), (val,), (test,) = (data.read_split(split) for split in ("train", "val", "test"))
    assert train.labels.tolist() == [3, 10] and train.intervals.tolist() == [[1.5, 4], [2, 5]]
    assert train.path == tmp_path / "videos" / "a.mp4" and len(val.labels) == 0
    assert test.labels.tolist() == [0] and test.intervals.tolist() == [[0, np.inf]]


@pytest.mark.parametrize("labels", [LABELS[:10], [*LABELS, "one more"]])
def test_there_are_eleven_labels(tmp_path: Path, labels: list[str]) -> None:
    table = write(tmp_path / "annotations.csv", "video,label,split", "a.mp4,activity 3,train")
    with pytest.raises(ValueError, match=rf"labels.txt: expected the 11 activities, one a line, got {len(labels)}"):
        HockeyDataModule(table, write(tmp_path / "labels.txt", *labels))


@pytest.mark.parametrize("split", ["", "training"])
def test_each_row_has_a_split(tmp_path: Path, split: str) -> None:
    table = write(tmp_path / "annotations.csv", "video,label,split", f"a.mp4,activity 3,{split}")
    with pytest.raises(ValueError, match=f"expected split train, val or test in each row, got '{split}'"):
        HockeyDataModule(table, write(tmp_path / "labels.txt", *LABELS))


def test_an_unknown_activity_is_named_by_its_row(tmp_path: Path) -> None:
    table = write(tmp_path / "annotations.csv", "video,label,split", "a.mp4,curling,train")
    data = HockeyDataModule(table, write(tmp_path / "labels.txt", *LABELS))
    with pytest.raises(ValueError, match="line 2: unknown label 'curling'"):
        data.read_split("train")
