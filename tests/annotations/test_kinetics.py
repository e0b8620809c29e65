import csv
from collections import Counter
from pathlib import Path

import pytest

from annotations.kinetics import read_kinetics
from annotations.label_names import label_names

HEADER = "label,youtube_id,time_start,time_end,split,is_cc"


def write(path: Path, *lines: str) -> Path:
    path.write_text("\n".join(lines) + "\n")
    return path


def test_rows_become_clips(tmp_path: Path) -> None:
    rows = ["abseiling,0wR5jVB-WPk,417,427,val,0", '"air drumming",--nQbRBEz2s,4,14,val,1']
    records = read_kinetics(write(tmp_path / "val.csv", HEADER, *rows), ["abseiling", "air drumming"])
    assert [record.name for record in records] == ["0wR5jVB-WPk_000417_000427", "--nQbRBEz2s_000004_000014"]
    assert [record.labels.tolist() for record in records] == [[0], [1]]
    assert [record.intervals.tolist() for record in records] == [[[417.0, 427.0]], [[4.0, 14.0]]]
    assert [(record.subset, record.duration) for record in records] == [("val", 10.0)] * 2
    assert records[1].where == f"{tmp_path / 'val.csv'}, line 3"


def test_a_test_list_has_no_labels(tmp_path: Path) -> None:
    path = write(tmp_path / "test.csv", "youtube_id,time_start,time_end,split", "0wR5jVB-WPk,417,427,test")
    (record,) = read_kinetics(path, ["abseiling"])
    assert record.name == "0wR5jVB-WPk_000417_000427" and len(record.labels) == len(record.intervals) == 0


def test_clips_share_the_arrays_of_their_class_and_times(tmp_path: Path) -> None:
    rows = ["abseiling,a,1,11,val,0", "abseiling,b,1,11,val,0", "air drumming,c,2,12,val,0"]
    a, b, c = read_kinetics(write(tmp_path / "val.csv", HEADER, *rows), ["abseiling", "air drumming"])
    assert a.labels is b.labels and a.intervals is b.intervals, "650000 clips fit into memory"
    assert c.labels.tolist() == [1] and c.intervals.tolist() == [[2, 12]] and a.labels.tolist() == [0]


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([HEADER, "jumping,a,1,11,val,0"], "line 2: unknown class 'jumping'; expected one of the 2"),
        ([HEADER, ",a,1,11,val,0"], "line 2: unknown class ''"),
        ([HEADER, "abseiling,a,1,11,val"], "line 2: expected 6 cells"),
        ([HEADER, "abseiling,a,1,11,val,0,0"], "line 2: expected 6 cells"),
        ([HEADER, "abseiling,a,1.5,11,val,0"], "line 2: expected whole seconds from 0 to 999999, got '1.5'"),
        ([HEADER, "abseiling,a,-1,9,val,0"], "line 2: expected whole seconds"),
        ([HEADER, "abseiling,a,11,11,val,0"], "line 2: expected time_start before time_end"),
        ([HEADER, "abseiling,a,1,11,val,0", "air drumming,a,1,11,val,0"], "line 3: clip a_000001_000011 .* line 2"),
        ([HEADER, f"abseiling,a,{'1' * 5000},11,val,0"], "line 2: expected whole seconds"),
        ([HEADER, "abseiling,a,1_0,11,val,0"], "line 2: expected whole seconds"),
        ([HEADER, "abseiling,,1,11,val,0"], "line 2: expected a youtube_id of .* got ''"),
        ([HEADER, "abseiling,../a,1,11,val,0"], "line 2: expected a youtube_id of .* got '../a'"),
        ([HEADER, "abseiling,a ,1,11,val,0"], "line 2: expected a youtube_id of .* got 'a '"),
        ([HEADER, "abseiling,a,1,11,val,yes"], "line 2: expected is_cc 0 or 1, got 'yes'"),
        ([HEADER, "abseiling,a,1,11,val,"], "line 2: expected is_cc 0 or 1, got ''"),
        ([HEADER, 'abseiling,a,1,11,val,"0', "abseiling,b,1,11,val,0"], "line 2: the row that begins here is no CSV"),
        (
            [HEADER, 'abseiling,a,1,11,val,"0', '"air drumming",b,1,11,val,0'],
            "line 2: the row that begins here is no CSV",
        ),
        ([HEADER, f"{'x' * 131073},a,1,11,val,0"], "line 2: the row that begins here is no CSV"),
        ([HEADER + ",is_cc", "abseiling,a,1,11,val,0,0"], "line 1: column 'is_cc' is there twice"),
        ([HEADER], "has no clip"),
        ([], "val.csv is empty"),
        (["label,youtube_id,time_start,split"], "expected the columns"),
        ([HEADER + ",path"], "expected the columns"),
    ],
)
def test_a_bad_file_is_named_by_its_line(tmp_path: Path, lines: list[str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read_kinetics(write(tmp_path / "val.csv", *lines), ["abseiling", "air drumming"])


def test_class_lists_have_the_published_sizes_order_and_overlap() -> None:
    names = {number: label_names(f"kinetics{number}") for number in (400, 600, 700)}
    for number, listed in names.items():
        assert len(listed) == len(set(listed)) == number and listed == sorted(listed, key=str.lower)
    # Carreira et al.: 368 classes of the 400 are among the 600, and 597 of the 600 among the 700, where one of them is
    # spelt with a small letter
    assert len(set(names[400]) & set(names[600])) == 368
    assert len({name.lower() for name in names[600]} & {name.lower() for name in names[700]}) == 597


def test_official_validation_list(shared_data: Path) -> None:
    path = shared_data / "kinetics" / "kinetics-400_val.csv"
    records = read_kinetics(path, label_names("kinetics400"))
    assert len(records) == len({record.name for record in records}) == 19906
    assert {record.subset for record in records} == {"val"} and {record.duration for record in records} == {10.0}
    with path.open(newline="") as file:
        rows = list(csv.reader(file))[1:]
    expected = Counter(row[0] for row in rows)
    assert sorted(expected) == label_names("kinetics400") and len(expected) == 400
    found = Counter(label_names("kinetics400")[record.labels[0]] for record in records)
    assert found == expected
    with pytest.raises(ValueError, match="unknown class"):
        read_kinetics(path, label_names("kinetics600"))
