import csv
import importlib.util
import re
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from clips.encoding import write_video

EXAMPLES = Path(__file__).resolve().parents[1] / "docs" / "examples"
DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


def load(name: str) -> ModuleType:
    """An example as a module: the examples are scripts and in no package."""
    spec = importlib.util.spec_from_file_location(f"example_{name}", EXAMPLES / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    # dataclasses of a module with postponed annotations look their module up
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


gmdcsa24 = load("gmdcsa24")
fight = load("fight")


def real(name: str) -> Path:
    if not (DATA / name).is_dir():
        pytest.skip(f"the data set {name} is not beside the repository")
    return DATA / name


# lines as they stand in GMDCSA24 (MIT licence, copyright 2024 Ekram Alam), and a few that are worse
MESSY: list[tuple[str, list[Any], list[str]]] = [
    (" Sitting[0 to 1]; Sleeping[2 to 8]", [("Sitting", 0, 1), ("Sleeping", 2, 8)], []),
    (" Standing[3.3 to 5];Walking[5 to 7]; ", [("Standing", 3.3, 5), ("Walking", 5, 7)], []),
    (
        " Sitting[9.7 to 3]; Standing[0 to 0.5; 4.2 to 6.5]",
        [("Standing", 0, 0.5), ("Standing", 4.2, 6.5)],
        ["Sitting interval '9.7 to 3' does not end after its start: left out"],
    ),
    (
        " Reading; Sitting[0.8 to 8.1]",
        [("Reading", None, None), ("Sitting", 0.8, 8.1)],
        ["Reading has no times: taken for the whole video"],
    ),
    (" Falling (BW[5.9 to 10]", [("Falling (BW)", 5.9, 10)], ["'Falling (BW' lacks the closing parenthesis"]),
    (
        " Standing[2.4 to 3.6; 6.6 to 7.9; Walking[3.6 to 5.2; 7.9 to 9.2] ",
        [("Standing", 2.4, 3.6), ("Standing", 6.6, 7.9), ("Walking", 3.6, 5.2), ("Walking", 7.9, 9.2)],
        ["Standing lacks the closing bracket"],
    ),
    (" Eating[0.9 4.6]", [("Eating", 0.9, 4.6)], ["Eating interval '0.9 4.6' lacks the word 'to': read as 0.9 to 4.6"]),
    (" Falling (SW)[1.8 to 5]:; Walking[0 to 1]", [("Falling (SW)", 1.8, 5), ("Walking", 0, 1)], ["stray ':' ignored"]),
    (" Fall (FW)[0 to 3]", [("Falling (FW)", 0, 3)], ["'Fall (FW)' is spelled 'Falling (FW)' elsewhere: renamed"]),
    (" Falling (SW) [ 2.8 to 6]; Sitting [0 to 2.9]", [("Falling (SW)", 2.8, 6), ("Sitting", 0, 2.9)], []),
    ("Jumping[1 to 2]", [("Jumping", 1, 2)], ["'Jumping' is none of the known labels: kept as it is"]),
    ("[1 to 2]; Sitting[3 to 4]", [("Sitting", 3, 4)], ["interval '1 to 2' stands before any label: left out"]),
    ("Sitting 1 to 2]", [("Sitting", 1, 2)], ["Sitting interval '1 to 2' lacks the opening bracket"]),
    ("Sitting[2 to 2]", [], ["Sitting interval '2 to 2' does not end", "no activity can be read"]),
    ("", [], ["no activity can be read: the video is left out"]),
]


@pytest.mark.parametrize(("text", "expected", "repairs"), MESSY)
def test_gmdcsa24_reads_messy_cells(text: str, expected: list[Any], repairs: list[str]) -> None:
    cell = gmdcsa24.read_cell(text)
    assert [(activity.label, activity.start, activity.end) for activity in cell.activities] == expected
    assert len(cell.repairs) == len(repairs)
    for got, start in zip(cell.repairs, repairs, strict=True):
        assert got.startswith(start)


def write_subject(root: Path, subject: str, rows: list[str], clips: list[str]) -> None:
    folder = root / subject
    (folder / "Fall").mkdir(parents=True)
    (folder / "Fall.csv").write_text("\n".join(["File,Length,Time,Attire,Description, Classes", *rows]))
    for clip in clips:
        (folder / "Fall" / clip).touch()


@pytest.mark.parametrize(("arguments", "label"), [([], "Falling (BW)"), (["--merge-falls"], "Falling")])
def test_gmdcsa24_writes_annotations_and_repairs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], label: str
) -> None:
    rows = [
        "01.mp4,06,Day,Shirt,Walks then falls, Falling (BW)[2.1 to 6]; Walking[0 to 2]",
        "02.mp4,06,Day,Shirt,no clip, Fall (FW)[0 to 3]",
        "03.mp4,06,Day,Shirt,a comma, too many, Sitting[0 to 3]",
    ]
    write_subject(tmp_path / "data", "Subject 1", rows, ["01.mp4", "03.mp4"])
    write_subject(tmp_path / "data", "Subject 3", ["07.mp4,05,Day,Shirt,Reads, Reading"], ["07.mp4"])
    gmdcsa24.main([str(tmp_path / "data"), str(tmp_path / "out"), *arguments])
    assert (tmp_path / "out" / "annotations.csv").read_text(encoding="utf-8").splitlines() == [
        "video,label,start,end,split",
        f"Subject 1/Fall/01.mp4,{label},2.1,6,train",
        "Subject 1/Fall/01.mp4,Walking,0,2,train",
        "Subject 3/Fall/07.mp4,Reading,,,test",
    ]
    repairs = (tmp_path / "out" / "repairs.txt").read_text(encoding="utf-8")
    assert repairs.splitlines() == [
        "Subject 1/Fall.csv row 3 (02.mp4): 'Fall (FW)' is spelled 'Falling (FW)' elsewhere: renamed",
        "Subject 1/Fall.csv row 4: 7 columns instead of 6: left out",
        "Subject 1/Fall.csv: 1 of 2 rows have no clip: 02.mp4",
        "Subject 1/Fall/03.mp4: the clip has no row, left out",
        "Subject 3/Fall.csv row 2 (07.mp4): Reading has no times: taken for the whole video",
    ]
    assert capsys.readouterr().out == repairs


def open_rows(table: Path) -> list[list[str]]:
    with open(table, newline="", encoding="utf-8") as file:
        return list(csv.reader(file))[1:]


def test_gmdcsa24_reads_every_real_row() -> None:
    source = real("gmdcsa24")
    tables = {table: gmdcsa24.read_table(table, source) for table in sorted(source.glob("Subject */*.csv"))}
    cells = [cell for rows, _ in tables.values() for _, cell in rows]
    assert len(cells) == 16 + 16 + 23 + 25 + 22 + 21
    activities = [activity for cell in cells for activity in cell.activities]
    assert {activity.label for activity in activities} == set(gmdcsa24.LABELS)
    # however the cells are read, an interval is two numbers; one interval is reversed, one label has none
    numbers = [number for table in tables for line in open_rows(table) for number in re.findall(r"[\d.]+", line[5])]
    assert len(activities) == len(numbers) / 2 - 1 + 1
    assert all(activity.start is None or 0 <= activity.start < activity.end for activity in activities)
    repairs = [repair for _, repairs in tables.values() for repair in repairs]
    assert [repair.split(":")[0] for repair in repairs] == [
        "Subject 1/Fall.csv row 6 (05.mp4)",
        "Subject 2/ADL.csv row 7 (06.mp4)",
        "Subject 2/Fall.csv row 12 (11.mp4)",
        "Subject 2/Fall.csv row 20 (19.mp4)",
        "Subject 3/ADL.csv row 5 (04.mp4)",
        "Subject 3/ADL.csv row 13 (12.mp4)",
        "Subject 3/Fall.csv row 2 (01.mp4)",
        "Subject 3/Fall.csv row 3 (02.mp4)",
    ]


def test_gmdcsa24_converts_the_real_clips(tmp_path: Path) -> None:
    source = real("gmdcsa24")
    gmdcsa24.convert(source, tmp_path)
    rows = open_rows(tmp_path / "annotations.csv")
    assert {row[0] for row in rows} == {clip.relative_to(source).as_posix() for clip in source.glob("*/*/*.mp4")}
    assert all((split == "test") == video.startswith("Subject 3/") for video, *_, split in rows)


def film(seed: int, place: int) -> np.ndarray:
    """Six frames of a scene of coarse blocks, before which a bright square moves: (6, 72, 96, 3) uint8."""
    blocks = np.random.default_rng(seed).integers(0, 255, (18, 24, 3), dtype=np.uint8)
    frames = np.stack([blocks.repeat(4, axis=0).repeat(4, axis=1)] * 6)
    for number, frame in enumerate(frames):
        frame[place : place + 12, 8 * number : 8 * number + 12] = 250
    return frames


def test_fight_groups_clips_of_one_scene_and_of_near_numbers() -> None:
    films = {
        "fight/fi001.mp4": film(1, 0),
        "fight/fi010.mp4": film(2, 10),
        "fight/fi012.mp4": film(3, 20),  # another scene, but two numbers on
        "fight/fi020.mp4": film(4, 30),
        "noFight/nofi001.mp4": film(5, 50),  # the number of fi001, in the other folder
        "noFight/nofi050.mp4": film(1, 40),  # the scene of fi001, other people
    }
    groups = fight.find_groups({name: fight.portrait(frames) for name, frames in films.items()})
    assert groups == [
        ["fight/fi001.mp4", "noFight/nofi050.mp4"],
        ["fight/fi010.mp4", "fight/fi012.mp4"],
        ["fight/fi020.mp4"],
        ["noFight/nofi001.mp4"],
    ]


def test_fight_portrait_of_flat_pictures_is_no_scene() -> None:
    portrait = fight.portrait(np.full((2, 72, 96, 3), 90, dtype=np.uint8))
    assert np.isfinite(portrait).all()
    assert (portrait == 0).all()


def test_fight_test_part_comes_nearest_to_the_share_in_every_class() -> None:
    groups = [
        [f"fight/{number}.mp4" for number in range(7)],
        [f"noFight/{number}.mp4" for number in range(5)],
        ["fight/7.mp4", "fight/8.mp4", "noFight/5.mp4"],
        ["noFight/6.mp4", "noFight/7.mp4", "fight/9.mp4"],
        ["noFight/8.mp4"],
        ["noFight/9.mp4"],
    ]
    # 10 of each class: three of each are reached by groups 2 and 3 alone
    assert fight.choose_test(groups) == [groups[2], groups[3]]
    # equal counts go to the choice of more groups
    assert fight.choose_test([["a/1", "a/2"], ["a/3"], ["a/4"], ["a/5", "a/6", "a/7"]]) == [["a/3"], ["a/4"]]


def check_split(out: Path, groups: list[list[str]], clips: set[str]) -> tuple[list[str], list[str]]:
    train, test = ((out / f"{part}.txt").read_text(encoding="utf-8").splitlines() for part in ("train", "test"))
    assert sorted(train + test) == sorted(clips)
    for group in groups:
        assert set(group) <= set(train) or set(group) <= set(test)
    return train, test


def test_fight_splits_written_videos_by_scene(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    scenes = {"fight/fi001": 1, "fight/fi010": 2, "fight/fi020": 3, "noFight/nofi001": 1, "noFight/nofi030": 4}
    for place, (name, seed) in enumerate(scenes.items()):
        (tmp_path / "data" / name).parent.mkdir(parents=True, exist_ok=True)
        write_video(tmp_path / "data" / f"{name}.mp4", film(seed, 8 * place))
    fight.main([str(tmp_path / "data"), str(tmp_path / "out")])
    groups = [line.split()[2:] for line in capsys.readouterr().out.splitlines()]
    assert groups[0] == ["fight/fi001.mp4", "noFight/nofi001.mp4"]
    assert len(groups) == 4
    first = check_split(tmp_path / "out", groups, {f"{name}.mp4" for name in scenes})
    fight.main([str(tmp_path / "data"), str(tmp_path / "again")])
    assert check_split(tmp_path / "again", groups, {f"{name}.mp4" for name in scenes}) == first


@pytest.mark.parametrize(
    ("convert", "message"),
    [(gmdcsa24.convert, r"source must hold 'Subject N/ADL\.csv'"), (fight.split, r"source must hold folders of \.mp4")],
)
def test_examples_refuse_a_folder_without_data(tmp_path: Path, convert: Callable[..., None], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        convert(tmp_path, tmp_path / "out")


# pairs of one camera as seen by eye, across folders and with other people in view
SAME = """fi001-nofi003 fi015-fi017 fi022-nofi048 fi030-nofi057 fi074-nofi147 fi077-fi092 fi095-nofi013 fi099-fi101
fi104-nofi021 fi112-nofi036 fi130-nofi095 fi136-nofi102 fi141-nofi106 nofi084-nofi087"""


@pytest.mark.slow
def test_fight_splits_the_real_clips_by_scene(tmp_path: Path) -> None:
    source = real("fight")
    groups = fight.split(source, tmp_path)
    _, test = check_split(tmp_path, groups, {clip.relative_to(source).as_posix() for clip in source.glob("*/*.mp4")})
    for pair in SAME.split():
        assert any(set(pair.split("-")) <= {Path(name).stem for name in group} for group in groups), pair
    assert len(groups) > 12  # the rule joins scenes, not everything
    assert [sum(name.startswith(kind) for name in test) for kind in ("fight/", "noFight/")] == [16, 15]  # of 53 and 50
