"""Lines are shaped as the official files have them; the label maps and excluded keyframes are read in place."""

from pathlib import Path

import numpy as np
import pytest

from annotations.ava import keyframes, read_boxes, read_excluded, read_label_map
from annotations.label_names import label_names

ROWS = [
    "aMovie_-001,0902,0.002,0.118,0.714,0.977,12,1",
    "aMovie_-001,0902,0.002,0.118,0.714,0.977,79,1",
    "aMovie_-001,0902,0.444,0.054,1.000,0.990,12,0",
    "aMovie_-001,1798,0.000,0.069,0.985,0.985,80,2",
    "-bMovie_002,0902,0.002,0.118,0.714,0.977,17,0",
]


def write(path: Path, *lines: str) -> Path:
    path.write_text("\n".join(lines) + "\n")
    return path


def test_annotated_boxes_are_read_column_by_column(tmp_path: Path) -> None:
    table = read_boxes(write(tmp_path / "boxes.csv", *ROWS[:3], "", *ROWS[3:]), scored=False)
    cells = [row.split(",") for row in ROWS]
    assert table.videos == [row[0] for row in cells]
    assert table.seconds.tolist() == [902, 902, 902, 1798, 902] and table.seconds.dtype == np.int64
    assert table.boxes.tolist() == [[float(cell) for cell in row[2:6]] for row in cells]
    assert table.actions.tolist() == [12, 79, 12, 80, 17]
    assert table.scores.tolist() == [1.0] * 5, "the number of the person is no score"
    assert table.lines.tolist() == [1, 2, 3, 5, 6] and table.path == tmp_path / "boxes.csv"


def test_rows_of_v1_without_persons_and_with_blanks_are_read(tmp_path: Path) -> None:
    table = read_boxes(write(tmp_path / "v1.csv", "m, 0902, 0.1, 0.2, 0.3, 0.4, 80"), scored=False)
    assert table.actions.tolist() == [80] and table.boxes.tolist() == [[0.1, 0.2, 0.3, 0.4]]


def test_detections_may_be_without_action(tmp_path: Path) -> None:
    rows = ["m,0902,0.1,0.2,0.3,0.4,,0.995518", "m,0902,0.1,0.2,0.3,0.4,-1,0.5", "m,0903,0.1,0.2,0.3,0.4,80,1e-3"]
    table = read_boxes(write(tmp_path / "detections.csv", *rows, rows[0]), scored=True)
    assert table.actions.tolist() == [-1, -1, 80, -1] and table.scores.tolist() == [0.995518, 0.5, 0.001, 0.995518]


@pytest.mark.parametrize("scored", [False, True])
def test_a_file_without_boxes_is_refused(tmp_path: Path, scored: bool) -> None:
    with pytest.raises(ValueError, match=r"none\.csv has no box"):
        read_boxes(write(tmp_path / "none.csv", ""), scored=scored)


@pytest.mark.parametrize("scored", [False, True])
@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("m,0902,0.1,0.2,0.3,0.4", "got 6"),
        ("m,0902,0.1,0.2,0.3,0.4,12,1,1", "got 9"),
        ("m,0902,0.1,0.2,0.3,left,12,1", "expected numbers"),
        ("m,902.5,0.1,0.2,0.3,0.4,12,1", "expected numbers"),
        ("m,0902,0.1,0.2,0.3,0.4,walk,1", "expected numbers"),
        ("m,0902,0.1,0.2,0.3,0.4,12,1_", "expected numbers"),
        (f"m,{'9' * 25},0.1,0.2,0.3,0.4,12,1", "expected numbers"),
        ("m,9_02,0.1,0.2,0.3,0.4,12,1", "expected numbers"),
        ("m,-902,0.1,0.2,0.3,0.4,12,1", "expected numbers"),
        ("m,٩٠٢,0.1,0.2,0.3,0.4,12,1", "expected numbers"),
        ("m,0902,0.1_1,0.2,0.3,0.4,12,1", "expected numbers"),
        ("m,0902,0.1,0.2,0.3,0.4,1_2,1", "expected numbers"),
        (",0902,0.1,0.2,0.3,0.4,12,1", "the video is empty"),
        ('m,0902,0.1,0.2,0.3,0.4,12,"1', "the row that begins here is no CSV"),
        ("m,0902,0.3,0.2,0.3,0.4,12,1", "x1 < x2"),
        ("m,0902,0.1,0.4,0.3,0.2,12,1", "y1 < y2"),
        ("m,0902,0.1,0.2,1.001,0.4,12,1", "0 to 1"),
        ("m,0902,-0.1,0.2,0.3,0.4,12,1", "0 to 1"),
        ("m,0902,nan,0.2,0.3,0.4,12,1", "0 to 1"),
        ("m,0902,0.1,0.2,0.3,0.4,0,1", "from 1 to 80, got 0"),
        ("m,0902,0.1,0.2,0.3,0.4,81,1", "from 1 to 80, got 81"),
    ],
)
def test_a_bad_row_is_named_by_its_line(tmp_path: Path, row: str, message: str, scored: bool) -> None:
    path = write(tmp_path / "boxes.csv", ROWS[0], row)
    with pytest.raises(ValueError, match=f"boxes.csv, line 2.*{message}"):
        read_boxes(path, scored=scored)


@pytest.mark.parametrize(
    ("rows", "scored", "message"),
    [
        (["m,0902,0.1,0.2,0.3,0.4,,1"], False, "line 1: expected numbers"),
        (["m,0902,0.1,0.2,0.3,0.4,-1,1"], False, "line 1: expected an action from 1 to 80, got -1"),
        (["m,0902,0.1,0.2,0.3,0.4,12"], True, "line 1: expected 8 cells, the last a score, got 7"),
        (["m,0902,0.1,0.2,0.3,0.4,12,inf"], True, "line 1: expected a finite score"),
        ([ROWS[0], ROWS[1], ROWS[0]], False, "line 3: repeats line 1"),
    ],
)
def test_what_only_one_kind_of_file_may_have(tmp_path: Path, rows: list[str], scored: bool, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read_boxes(write(tmp_path / "boxes.csv", *rows), scored=scored)


def test_rows_of_one_box_are_one_person(tmp_path: Path) -> None:
    frames = keyframes(read_boxes(write(tmp_path / "boxes.csv", *ROWS), scored=False))
    first, second = (0.002, 0.118, 0.714, 0.977), (0.444, 0.054, 1.0, 0.99)
    assert frames == {
        ("aMovie_-001", 902): {first: [12, 79], second: [12]},
        ("aMovie_-001", 1798): {(0.0, 0.069, 0.985, 0.985): [80]},
        ("-bMovie_002", 902): {first: [17]},
    }
    assert list(frames["aMovie_-001", 902]) == [first, second]


def test_detections_count_from_their_score_on(tmp_path: Path) -> None:
    rows = [f"m,0902,0.1,0.2,{right},0.4,,{score}" for right, score in ((0.3, 0.79), (0.4, 0.8), (0.5, 0.9))]
    frames = keyframes(read_boxes(write(tmp_path / "detections.csv", *rows), scored=True), min_score=0.8)
    assert frames == {("m", 902): {(0.1, 0.2, 0.4, 0.4): [], (0.1, 0.2, 0.5, 0.4): []}}


FORMS = [
    'item {\n  name: "walk"\n  id: 14\n}\nitem {\n  name: "ride (e.g., a bike)"\n  id: 2\n}\n',
    'item { name: "walk" id: 14 } item { name: "ride (e.g., a bike)" id: 2 }',
    'label {\n  name: "walk"\n  label_id: 14\n  label_type: PERSON_MOVEMENT\n}\n'
    'label {\n  name: "ride (e.g., a bike)"\n  label_id: 2\n  label_type: OBJECT_MANIPULATION\n}\n',
]


def test_names_of_a_label_map_may_hold_quotes_braces_and_fields(tmp_path: Path) -> None:
    path = tmp_path / "map.pbtxt"
    path.write_bytes(b'\xef\xbb\xbfitem { name: "say \\"hi\\"" id: 14 } item { name: "a\\\\b {id: 3}" id: 2 }')
    assert list(read_label_map(path).items()) == [(2, "a\\b {id: 3}"), (14, 'say "hi"')]


@pytest.mark.parametrize("text", FORMS)
def test_label_maps_of_all_forms_are_one(tmp_path: Path, text: str) -> None:
    path = tmp_path / "map.pbtxt"
    path.write_text(text)
    assert list(read_label_map(path).items()) == [(2, "ride (e.g., a bike)"), (14, "walk")]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('item {\n name: "walk" id: 14\n}\nitem {\n name: "run"\n}', "line 4: expected a block"),
        ('item { name: "walk" id: 14 }\nitem { name: "run" id: 14 }', "line 2: expected each action .* once, got 14"),
        ('item { name: "walk" id: 81 }', "line 1: .* got 81"),
        ('item { name: "walk" id: 14 }\nwalk 14', "line 2: expected a block"),
        ('item { name: "walk" id: 14 id: 15 }', "line 1: expected a block"),
        ('item { name: "walk" name: "run" id: 14 }', "line 1: expected a block"),
        ('item { name: "" id: 14 }', "line 1: expected a block"),
        ("item { name: walk id: 14 }", "line 1: expected a block"),
        (f'item {{ name: "walk" id: {"1" * 5000} }}', "line 1: expected a block"),
        (
            'item { name: "walk" id: 14 }\nitem { name: "walk" id: 15 }',
            "line 2: action 15 has the name 'walk' of an ear",
        ),
        ("", "has no label"),
    ],
)
def test_a_bad_label_map_is_named_by_its_line(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "map.pbtxt"
    path.write_text(text)
    with pytest.raises(ValueError, match=message):
        read_label_map(path)


def test_excluded_keyframes(tmp_path: Path) -> None:
    path = write(tmp_path / "excluded.csv", "5BDj0ow5hnA,0908", "5BDj0ow5hnA,1058")
    assert read_excluded(path) == {("5BDj0ow5hnA", 908), ("5BDj0ow5hnA", 1058)}
    for line in ("5BDj0ow5hnA,0908,1", f"5BDj0ow5hnA,{'1' * 5000}", ",0908", "5BDj0ow5hnA,-908", "5BDj0ow5hnA,9_08"):
        with pytest.raises(ValueError, match="line 2: expected video,second"):
            read_excluded(write(path, "5BDj0ow5hnA,0908", line))
    with pytest.raises(ValueError, match="does not exist"):
        read_excluded(tmp_path / "missing.csv")


def test_official_label_maps_have_60_of_the_80_names_shipped(shared_data: Path) -> None:
    names = label_names("ava")
    assert len(names) == len(set(names)) == 80
    maps = [read_label_map(path) for path in sorted((shared_data / "ava").glob("*.pbtxt"))]
    assert len(maps) == 2 and maps[0] == maps[1] and len(maps[0]) == 60
    assert [names[number - 1] for number in maps[0]] == list(maps[0].values())
    text = next((shared_data / "ava").glob("*2019.pbtxt")).read_text()
    assert sorted(maps[0]) == sorted(int(part.split()[0]) for part in text.split("id:")[1:])


def test_official_excluded_keyframes(shared_data: Path) -> None:
    path = next((shared_data / "ava").glob("ava_val_excluded*"))
    excluded = read_excluded(path)
    assert len(excluded) == 37 == len(path.read_text().split())
    assert ("5BDj0ow5hnA", 1038) in excluded and ("yn9WN9lsHRE", 1056) in excluded
