from pathlib import Path
from typing import Any

import numpy as np
import pytest

from annotations.label_names import label_names
from datamodules.kinetics import KineticsDataModule

HEADER = "label,youtube_id,time_start,time_end,split"
NAMES = ["0wR5jVB-WPk_000417_000427", "--nQbRBE_zs_000104_000114", "xYz_000000_000010"]
ROWS = [
    "abseiling,0wR5jVB-WPk,417,427,{}",
    '"passing American football (in game)",--nQbRBE_zs,104,114,{}',
    '"air drumming",xYz,0,10,{}',
]


def annotations(folder: Path, split: str = "val", column: str = "val") -> dict[Any, Path]:
    path = folder / f"{split}.csv"
    path.write_text("\n".join([HEADER, *(row.format(column) for row in ROWS)]) + "\n")
    return {split: path}


def touch(*paths: Path) -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


@pytest.mark.parametrize("blank", [" ", "_"])
def test_videos_lie_in_the_folder_of_their_class(tmp_path: Path, blank: str) -> None:
    folders = ["abseiling", f"passing{blank}american{blank}football{blank}(in{blank}game)", f"air{blank}drumming"]
    val = tmp_path / "videos" / "val"
    files = [
        val / folder / (name + end) for folder, name, end in zip(folders, NAMES, (".mp4", ".mkv", ""), strict=True)
    ]
    touch(*files[:2])
    files[2].mkdir(parents=True)  # a folder of frames
    data = KineticsDataModule(tmp_path / "videos", annotations(tmp_path))
    videos = data.read_split("val")
    assert [video.name for video in videos] == NAMES and [video.path for video in videos] == files
    assert [[data.label_names[k] for k in video.labels] for video in videos] == [
        ["abseiling"],
        ["passing American football (in game)"],
        ["air drumming"],
    ]
    assert all(video.intervals.tolist() == [[0, np.inf]] for video in videos), "a file is its clip alone"
    assert not data.read_split("train") and not data.read_split("test")


@pytest.mark.parametrize(
    ("template", "place"),
    [
        ("{split}/{youtube_id}_{time_start:06d}_{time_end:06d}", "train/0wR5jVB-WPk_000417_000427.webm"),
        ("{youtube_id}", "0wR5jVB-WPk.mp4"),
        ("{label}/{split}/{youtube_id}_{time_start}", "abseiling/train/0wR5jVB-WPk_417.mp4"),
    ],
)
def test_other_places_are_a_template(tmp_path: Path, template: str, place: str) -> None:
    touch(tmp_path / place)
    data = KineticsDataModule(tmp_path, annotations(tmp_path, "train", "train"), file_name=template)
    videos = data.read_split("train")
    assert videos[0].path == tmp_path / place and videos[0].name == NAMES[0]


def test_videos_without_label_lie_in_no_class(tmp_path: Path) -> None:
    (tmp_path / "test.csv").write_text("youtube_id,time_start,time_end,split\n0wR5jVB-WPk,417,427,test\n")
    touch(tmp_path / "test" / f"{NAMES[0]}.mp4")
    (video,) = KineticsDataModule(tmp_path, {"test": tmp_path / "test.csv"}).read_split("test")
    assert video.path == tmp_path / "test" / f"{NAMES[0]}.mp4"
    assert video.labels.shape == (0,) and video.intervals.shape == (0, 2)


@pytest.mark.parametrize(("split", "stage"), [("test", "test"), ("val", "validate"), ("train", "fit")])
def test_videos_without_label_are_refused_before_the_run(tmp_path: Path, split: Any, stage: str) -> None:
    (tmp_path / "list.csv").write_text(f"youtube_id,time_start,time_end,split\n0wR5jVB-WPk,417,427,{split}\n")
    touch(tmp_path / split / f"{NAMES[0]}.mp4")
    data = KineticsDataModule(tmp_path, {split: tmp_path / "list.csv"}, predict=tmp_path / split)
    data.setup("predict")
    with pytest.raises(
        ValueError, match=rf"'{NAMES[0]}' of the {split} split has no label.*--data.predict.*test on val"
    ):
        data.setup(stage)


def test_missing_videos_are_reported_or_left_out_by_name(tmp_path: Path) -> None:
    touch(tmp_path / "val" / "abseiling" / f"{NAMES[0]}.mp4")
    data = KineticsDataModule(tmp_path, annotations(tmp_path))
    with pytest.raises(ValueError, match=r"2 of 3 videos of the val split"):
        data.setup("validate")
    assert data.read_split("val")[1].path.parent.name == "passing American football (in game)"


@pytest.mark.parametrize("column", ["val", "validate"])
def test_the_column_names_the_split(tmp_path: Path, column: str) -> None:
    assert len(KineticsDataModule(tmp_path, annotations(tmp_path, "val", column)).read_split("val")) == 3
    swapped = KineticsDataModule(tmp_path, annotations(tmp_path, "train", column))
    with pytest.raises(
        ValueError, match=f"train.csv, line 2: the row is of split '{column}', but the file is given as train"
    ):
        swapped.read_split("train")


@pytest.mark.parametrize(
    ("template", "message"),
    [("{split}/{id}", "known fields: split, label, youtube_id"), ("{split}/{youtube_id}.mp4", "without its suffix")],
)
def test_a_bad_template_is_refused(tmp_path: Path, template: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        KineticsDataModule(tmp_path, {}, file_name=template)


@pytest.mark.parametrize("edition", [400, 600, 700])
def test_each_edition_has_its_labels(tmp_path: Path, edition: Any) -> None:
    labels: Any = f"kinetics{edition}"
    data = KineticsDataModule(tmp_path, {}, labels=labels)
    assert data.num_labels == edition and data.label_names == label_names(f"kinetics{edition}")


def test_official_list_is_found_where_crawlers_put_it(tmp_path: Path, shared_data: Path) -> None:
    paths: dict[Any, Path] = {"val": shared_data / "kinetics" / "kinetics-400_val.csv"}
    touch(tmp_path / "val" / "air_drumming" / "--nQbRBEz2s_000104_000114.mp4")
    videos = KineticsDataModule(tmp_path, paths).read_split("val")
    assert len(videos) == 19906 and [video.name for video in videos if video.path.exists()] == [
        "--nQbRBEz2s_000104_000114"
    ]
