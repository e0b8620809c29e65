"""The report of a scan in a file: what is left of one that was cut, and what is said when a disk is full."""

import re
from pathlib import Path

import pytest

from datamodules.scan_report import COLUMNS, growing_report, read_report, write_bad_list, write_report
from tests.system_faults import files_of_at_most

ROWS = [
    dict.fromkeys(COLUMNS, "1") | {"file": name} for name in ("a.mp4", 'b "quoted", with\na line end\n.mp4', "c.mp4")
]


def test_report_that_was_cut_anywhere_has_its_whole_rows(tmp_path: Path) -> None:
    path = tmp_path / "scan.csv"
    whole = []  # bytes up to the end of each row
    for count in range(4):
        write_report(path, ROWS[:count])
        whole.append(path.stat().st_size)
    data = path.read_bytes()
    for end in range(whole[0], len(data) + 1):
        path.write_bytes(data[:end])
        count = sum(end >= size for size in whole[1:])
        assert list(read_report(path).values()) == ROWS[:count], end


@pytest.mark.parametrize("text", ["a,b\n1,2\n", "x" * 200_000, "\n"])
def test_other_file_is_no_report(tmp_path: Path, text: str) -> None:
    (tmp_path / "mine").write_text(text)
    with pytest.raises(ValueError, match="mine was not written by this version of scan"):
        read_report(tmp_path / "mine")


def test_full_disk_is_named_with_the_file_and_what_was_there_stays(tmp_path: Path) -> None:
    path, bad = tmp_path / "scan.csv", tmp_path / "bad.txt"
    write_report(path, ROWS)
    data = path.read_bytes()
    said = f"{re.escape(str(path))} cannot be written .*; make room there, or choose a folder for it with --report"
    with files_of_at_most(len(data) + 100):
        with pytest.raises(ValueError, match=f"report {said}"):
            write_report(path, ROWS * 10)
        assert path.read_bytes() == data
        with pytest.raises(ValueError, match=f"report {said}"), growing_report(path) as append:
            for row in ROWS * 10:
                append(row)
        with pytest.raises(ValueError, match=r"list of bad videos .*bad\.txt cannot be written .* with --bad_list"):
            write_bad_list(bad, [f"{number}.mp4" for number in range(1000)])
    assert list(read_report(path).values()) == ROWS and list(tmp_path.iterdir()) == [path]
