import json
from pathlib import Path

import numpy as np
import pytest

from annotations.charades import read_charades
from annotations.label_names import label_names

HEADER = "id,subject,scene,quality,relevance,verified,script,objects,descriptions,actions,length"
ROW = 'ABCD1,QX12,Kitchen,6,7,Yes,A person waits.,cup;table,"Somebody, maybe tired, waits.",{actions},{length}'


def write(folder: Path, *rows: str, header: str = HEADER) -> Path:
    path = folder / "split.csv"
    path.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    return path


def test_table_is_read_as_it_is_written_odd_rows_included(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        ROW.format(actions="c012 1.50 9.75;c156 0.00 20.00", length="21.04"),
        'ABCD2,QX12,Stairs,6,,No,"Two lines\nof a ""script"", with a comma",,,,30.25',  # no action
        "ABCD3,QX13,Stairs,6,7,Yes,x,,y,c000 3.00 33.00;c000 23.10 22.04;c156 4.00 4.00,",  # past the end, reversed, empty
    )
    videos = read_charades(path)
    assert [(v.name, v.subset, v.duration) for v in videos] == [
        ("ABCD1", "", 21.04),
        ("ABCD2", "", 30.25),
        ("ABCD3", "", None),
    ]
    assert [v.labels.tolist() for v in videos] == [[12, 156], [], [0, 0, 156]]
    assert [v.intervals.tolist() for v in videos] == [
        [[1.5, 9.75], [0.0, 20.0]],
        [],
        [[3.0, 33.0], [23.1, 22.04], [4.0, 4.0]],
    ]
    assert all(v.labels.dtype == np.int64 and v.intervals.shape == (len(v.labels), 2) for v in videos)
    assert [v.where.removeprefix(str(path)) for v in videos] == [", line 2", ", line 4", ", line 5"]


def test_table_of_charades_ego_is_read_with_its_further_columns(tmp_path: Path) -> None:
    rows = ["ABCD1EGO,Q,Bedroom,7,7,Yes,s,o,d,c011 0.00 22.04,26.75,Yes,WXYZ9", "ABCD1,Q,Bedroom,7,7,Yes,s,o,d,,,No,"]
    videos = read_charades(write(tmp_path, *rows, header=HEADER + ",egocentric,charades_video"))
    assert [(v.name, v.duration, v.labels.tolist()) for v in videos] == [("ABCD1EGO", 26.75, [11]), ("ABCD1", None, [])]


def test_byte_order_mark_and_windows_line_ends_change_nothing(tmp_path: Path) -> None:
    path = write(tmp_path, ROW.format(actions="c005 1 2", length="9"))
    plain = read_charades(path)
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n"))
    (marked,) = read_charades(path)
    assert (marked.name, marked.labels.tolist(), marked.duration) == (plain[0].name, [5], 9.0)


def test_json_form_gives_the_same_labels_and_its_subset(tmp_path: Path) -> None:
    path = tmp_path / "charades.json"
    path.write_text(json.dumps({"ABCD1": {"subset": "testing", "duration": 21.04, "actions": [[12, 1.5, 9.75]]}}))
    (video,) = read_charades(path)
    assert (video.name, video.subset, video.duration) == ("ABCD1", "testing", 21.04)
    assert video.labels.tolist() == [12] and video.intervals.tolist() == [[1.5, 9.75]]


@pytest.mark.parametrize(
    ("actions", "length", "message"),
    [
        ("c157 1.00 2.00", "9", "line 3: unknown class 'c157'; expected c000 to c156"),
        ("c92 1.00 2.00", "9", "line 3: unknown class 'c92'"),
        ("92 1.00 2.00", "9", "line 3: unknown class '92'"),
        ("c092 1.00", "9", "line 3: expected actions such as .* got 'c092 1.00'"),
        ("c092 1.00 2.00;", "9", "line 3: expected actions such as .* got ''"),
        ("c092 1.00 two", "9", "line 3: end must be a finite number of seconds, got 'two'"),
        ("c092 1.00 2_0.00", "9", "line 3: end must be a finite number of seconds, got '2_0.00'"),
        ("c092 nan 2.00", "9", "line 3: start must be a finite number of seconds, got 'nan'"),
        ("c092 1.00 inf", "9", "line 3: end must be a finite number of seconds, got 'inf'"),
        ("c092 1.00 2.00", "long", "line 3: length must be a finite number of seconds, got 'long'"),
        ("c092 1.00 2.00,extra", "9", "line 3: expected 11 cells"),
    ],
)
def test_malformed_row_is_refused_with_its_line(tmp_path: Path, actions: str, length: str, message: str) -> None:
    good = ROW.replace("ABCD1", "ABCD0").format(actions="", length="")
    with pytest.raises(ValueError, match=message):
        read_charades(write(tmp_path, good, ROW.format(actions=actions, length=length)))


@pytest.mark.parametrize(
    ("rows", "header", "message"),
    [
        ([ROW] * 2, HEADER, "line 3: video 'ABCD1' is there before, at .*line 2"),
        ([ROW.replace("ABCD1", " ")], HEADER, "line 2: the id is empty"),
        ([ROW], HEADER.replace("actions", "action"), "line 1: column 'actions' is missing"),
        ([], HEADER, "has no video"),
        (["ABCD1,Q"], HEADER, "line 2: expected 11 cells"),
        ([], "", "is empty; expected a line with the names of the columns"),
        ([ROW + ",1"], HEADER + ",length", "line 1: column 'length' is there twice"),
        ([ROW, "ABCD2," + "x" * 131073], HEADER, "line 3: the row that begins here is no CSV .*field limit"),
        ([ROW, '"ABCD2,\n' + "x" * 131073], HEADER, "line 3: the row that begins here is no CSV .*field limit"),
    ],
)
def test_malformed_table_is_refused(tmp_path: Path, rows: list[str], header: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read_charades(write(tmp_path, *(row.format(actions="", length="") for row in rows), header=header))


def test_absent_or_unreadable_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="does not exist"):
        read_charades(tmp_path / "absent.csv")
    path = write(tmp_path, ROW.format(actions="", length=""))
    path.write_bytes(path.read_bytes().replace(b"waits", b"\xff\xfe"))
    with pytest.raises(ValueError, match="line 2: not UTF-8 text"):
        read_charades(path)


def test_class_names_are_those_of_the_official_numbers() -> None:
    names = label_names("charades")
    assert len(names) == len(set(names)) == 157 and all(name == name.strip() for name in names)
    spots = {
        0: "Holding some clothes",
        2: "Taking some clothes from somewhere",
        59: "Sitting in a chair",
        92: "Watching/Looking outside of a window",
        97: "Walking through a doorway",
        121: "Wash a dish/dishes",
        147: "Someone is cooking something",
        156: "Someone is eating something",
    }
    assert {number: names[number] for number in spots} == spots
