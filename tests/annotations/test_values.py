"""Files that no reader can make sense of are named with the line, whichever reader opens them."""

import gzip
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from annotations.actions_json import read_actions_json
from annotations.activitynet import read_activitynet
from annotations.ava import read_boxes, read_excluded, read_label_map
from annotations.charades import read_charades
from annotations.hmdb51 import read_hmdb51
from annotations.interval_files import read_interval_files
from annotations.kinetics import read_kinetics
from annotations.ucf101 import read_ucf101
from annotations.values import csv_rows, csv_table, load_json, read_text, seconds, whole_number
from annotations.volleyball import read_volleyball
from datamodules.annotations import read_annotations
from datamodules.files import read_list


def subsets(path: Path) -> Any:
    (path.parent / "reduced.json").write_text('{"v_a": {"duration_second": 1, "annotations": []}}')
    return read_activitynet(path.parent / "reduced.json", ["walk"], path)


READERS: dict[str, tuple[str, Callable[[Path], Any]]] = {
    "actions_json": ("a.json", lambda path: read_actions_json(path, num_labels=3, first_id=0)),
    "activitynet": ("a.json", lambda path: read_activitynet(path, ["walk"])),
    "activitynet subsets": ("a.csv", subsets),
    "ava boxes": ("a.csv", lambda path: read_boxes(path, scored=False)),
    "ava excluded": ("a.csv", read_excluded),
    "ava label map": ("a.pbtxt", read_label_map),
    "charades": ("a.csv", read_charades),
    "hmdb51": ("walk_test_split1.txt", lambda path: read_hmdb51(path.parent, 1, ["walk"])),
    "interval files": ("walk.txt", lambda path: read_interval_files([path], ["walk"])),
    "kinetics": ("a.csv", lambda path: read_kinetics(path, ["walk"])),
    "ucf101": ("a.txt", lambda path: read_ucf101(path, ["walk"])),
    "volleyball": ("a.txt", lambda path: read_volleyball(path, ["walk"], ["walk"])),
    "own table": ("a.csv", read_annotations),
    "own JSON": ("a.json", read_annotations),
    "list": ("a.txt", read_list),
}


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\xe9", "line 1: not UTF-8 text"),
        ("walk 1 2\n".encode("utf-16"), "line 1: not UTF-8 text"),
        (gzip.compress(b"walk 1 2\n"), "line 1: not UTF-8 text"),
        ("walk 1 2\n".encode("utf-16-le"), "line 1: NUL character"),
        (None, "does not exist"),
    ],
    ids=["latin-1", "utf-16", "gzip", "utf-16 without mark", "missing"],
)
def test_a_file_that_is_no_text_is_named_with_its_line(
    tmp_path: Path, reader: str, content: bytes | None, message: str
) -> None:
    name, read = READERS[reader]
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=message) as error:
        read(tmp_path / name)
    assert name in str(error.value) and type(error.value) is ValueError


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize(("bad", "message"), [(b"\xff", "line 4: not UTF-8"), (b"\0", "line 4: NUL")])
def test_the_line_is_that_of_the_bad_byte(tmp_path: Path, mark: bytes, bad: bytes, message: str) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(mark + b"a,b\r\n1,2\n\n3," + bad + b"\n4,5\n")
    for read in (read_text, lambda path: list(csv_rows(path)), lambda path: list(csv_table(path))):
        with pytest.raises(ValueError, match=message):
            read(path)


def test_text_is_read_with_or_without_a_byte_order_mark(tmp_path: Path) -> None:
    for mark in ("", "\ufeff"):
        (tmp_path / "a.txt").write_text(f"{mark}Müller\n", encoding="utf-8")
        assert read_text(tmp_path / "a.txt") == "Müller\n" and list(csv_rows(tmp_path / "a.txt")) == [(1, ["Müller"])]
    with pytest.raises(ValueError, match="is a folder; expected a file"):
        read_text(tmp_path)


def test_rows_have_the_number_of_their_last_line(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(b'a,b\r\n\r\n1,"x\ny"\n2, z\n')
    assert list(csv_rows(path)) == [(1, ["a", "b"]), (4, ["1", "x\ny"]), (5, ["2", " z"])]
    assert list(csv_rows(path, skip_blanks=True))[2] == (5, ["2", "z"])
    assert list(csv_table(path)) == list(csv_rows(path))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('a,b\n1,2\n\n3,"4\n5,6\n', "line 4: the row that begins here is no CSV .*unexpected end of data"),
        ('a,b\n1,2\n\n3,"4"x\n', "line 4: the row that begins here is no CSV .*expected after"),
        (f"a,b\n1,2\n\n3,{'x' * 131073}\n", "line 4: the row that begins here is no CSV .*field limit"),
        ("a,b\n1,2\n3\n", "line 3: expected 2 cells, got 1"),
        ("a,b\n1,2,3\n", "line 2: expected 2 cells, got 3"),
        ("b,a,b\n", "line 1: column 'b' is there twice"),
        ("\n", "a.csv is empty; expected a line with the names of the columns"),
    ],
)
def test_a_bad_table_is_named_by_the_first_line_of_the_row(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "a.csv"
    path.write_text(text)
    with pytest.raises(ValueError, match=message):
        list(csv_table(path))


def test_stray_quotes_are_read_where_a_file_may_hold_them(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text('a,b\n1,"x"y\n')
    assert list(csv_table(path, strict=False)) == [(1, ["a", "b"]), (2, ["1", "xy"])]


@pytest.mark.parametrize("text", ["", "-1", "1.5", "1_0", "1234567", "9" * 5000, "٣", "²", " 1", "+1"])
def test_a_whole_number_is_one_to_six_plain_digits(text: str) -> None:
    assert (whole_number("0902"), whole_number("999999"), whole_number("0")) == (902, 999999, 0)
    with pytest.raises(ValueError, match="expected a whole number from 0 to 999999"):
        whole_number(text)


def test_seconds_have_no_underscore() -> None:
    assert seconds("10.5", "start", "here") == 10.5 == seconds(10.5, "start", "here")
    for value in ("1_0", "1_0.5", 10**400, True, None):
        with pytest.raises(ValueError, match="here: start must be a finite number of seconds"):
            seconds(value, "start", "here")


def test_repeated_keys_are_found_in_one_pass(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    keys = ", ".join(f'"k{number}": 0' for number in [*range(60_000), 59_999])
    path.write_text(f"{{{keys}}}")
    with pytest.raises(ValueError, match="'k59999' is there twice"):
        load_json(path)  # a count for each key takes minutes
