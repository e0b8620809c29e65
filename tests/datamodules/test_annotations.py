import csv
import json
import math
import random
from pathlib import Path

import numpy as np
import pytest

from datamodules import annotation_columns
from datamodules.annotations import read_annotations
from datamodules.files import check_disjoint, list_videos, read_list

HEADER = "video,label,start,end,split\n"


def write(folder: Path, text: str, name: str = "annotations.csv") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def test_rows_become_videos_with_intervals_whole_labels_and_no_labels(tmp_path: Path) -> None:
    path = write(tmp_path, HEADER + "a.mp4,walk,1.5,3,train\na.mp4, sit,,,train\nb.mp4,,,,train\nc.mp4,walk,0,1,test\n")
    annotations = read_annotations(path)
    assert annotations.labels() == ["sit", "walk"]
    first, second = annotations.split_videos("train", ["sit", "walk"], tmp_path / "videos")
    assert (first.name, second.name) == ("a.mp4", "b.mp4")
    assert first.path == tmp_path / "videos" / "a.mp4"
    assert first.labels.tolist() == [1, 0]
    assert first.intervals.tolist() == [[1.5, 3.0], [0.0, math.inf]]
    assert second.labels.tolist() == [] and second.intervals.shape == (0, 2)


def test_json_holds_the_same_rows(tmp_path: Path) -> None:
    records = [{"video": "a.mp4", "label": "walk", "start": 1.5, "end": 3}, {"video": "b.mp4", "label": ""}]
    annotations = read_annotations(write(tmp_path, json.dumps(records), "annotations.json"))
    (video, empty) = annotations.videos(["a.mp4", "b.mp4"], ["walk"], tmp_path)
    assert video.intervals.tolist() == [[1.5, 3.0]] and not len(empty.labels)


@pytest.mark.parametrize("name", ["a.csv", "a.json"])
@pytest.mark.parametrize("blank", ["\x1c", "\x1f", "\x85", "\xa0", "\t", "\u3000"])
def test_all_kinds_of_blanks_around_times_are_passed_over(tmp_path: Path, name: str, blank: str) -> None:
    rows = [("a", "walk", f"{blank}2", f"3{blank}", ""), ("b", "walk", blank, f"{blank}{blank}", "")]
    columns = HEADER.strip().split(",")
    text = json.dumps([dict(zip(columns, row, strict=True)) for row in rows])
    if name.endswith("csv"):
        text = HEADER + "".join(f"{','.join(row)}\n" for row in rows)
    first, second = read_annotations(write(tmp_path, text, name)).videos(["a", "b"], ["walk"], tmp_path)
    assert first.intervals.tolist() == [[2, 3]] and second.intervals.tolist() == [[0, math.inf]]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("a.mp4,walk,3,3,train\n", r"annotations\.csv, line 2: zero-length interval 3 to 3 s of label 'walk'"),
        ("a.mp4,walk,3,1,train\n", r"line 2: reversed interval 3 to 1 s of label 'walk'; correct the row"),
        ("a.mp4,walk,x,1,train\n", "line 2: start must be seconds, got 'x'"),
        ("a.mp4,walk,-1,1,train\n", "line 2: start must be finite seconds from 0 on, got '-1'"),
        ("a.mp4,walk,0,nan,train\n", "line 2: end must be finite seconds"),
        ("a.mp4,walk,1,,train\n", "line 2: start and end must both be given"),
        ("a.mp4,walk,0,1\n", "line 2: expected 5 cells"),
        ("a.mp4,walk,0,1,train,x\n", "line 2: expected 5 cells"),
        ("a.mp4,walk,0,1_0,train\n", "line 2: end must be seconds, got '1_0'"),
        ('a.mp4,walk,0,1,"train\nb.mp4,walk,0,1,train\n', "line 2: the row that begins here is no CSV"),
        (f"a.mp4,{'x' * 131073},0,1,train\n", "line 2: the row that begins here is no CSV"),
        (",walk,0,1,train\n", "line 2: the video is empty"),
        ("a.mp4,walk,0,1,train\na.mp4,walk,0,1,train\n", "line 3: repeats an earlier row of video 'a.mp4'"),
        ("a.mp4,walk,0,1,train\na.mp4,sit,0,1,test\n", "line 3: video 'a.mp4' is in split 'test' here and in 'train'"),
        ("", "has no annotation"),
    ],
)
def test_bad_row_is_named_with_file_line_value_and_remedy(tmp_path: Path, rows: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read_annotations(write(tmp_path, HEADER + rows))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"a": 1}', "expected a list of objects"),
        ("[{]", "cannot be read as JSON"),
        ('[{"video": "a", "label": "b", "label": "c"}]', "'label' is there twice"),
        (
            '[{"video": "a", "label": "b"}, {"video": "a", "label": ["b"]}]',
            r"record 1: label must be a string, got \['b'\]",
        ),
        ('[{"video": "a", "label": NaN}]', "record 0: label must be a string, got nan"),
        ('[{"video": "a", "label": 3}]', "record 0: label must be a string, got 3"),
        ('[{"video": 7, "label": "b"}]', "record 0: video must be a string, got 7"),
        ('[{"video": "a", "label": "b", "split": true}]', "record 0: split must be a string, got True"),
        ("[" * 100_000, "nested too deeply"),
        ('[{"video": "a", "label": "b", "begin": 1}]', r"record 0: expected the columns .*'begin'"),
    ],
)
def test_bad_json_is_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read_annotations(write(tmp_path, text, "annotations.json"))


def test_unknown_column_label_and_video_are_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="line 1: column 'label' is there twice"):
        read_annotations(write(tmp_path, "video,label,label\na.mp4,walk,run\n"))
    with pytest.raises(ValueError, match=r"expected the columns video and label.*got \['begin', 'label', 'video'\]"):
        read_annotations(write(tmp_path, "video,label,begin\n"))
    annotations = read_annotations(write(tmp_path, HEADER + "a.mp4,walk,0,1,train\n"))
    with pytest.raises(ValueError, match=r"line 2: unknown label 'walk'; expected one of the 1 listed"):
        annotations.videos(["a.mp4"], ["run"], tmp_path)
    with pytest.raises(ValueError, match=r"video 'z\.mp4' of a split has no row"):
        annotations.videos(["z.mp4"], ["walk"], tmp_path)
    with pytest.raises(ValueError, match="does not exist"):
        read_annotations(tmp_path / "none.csv")


@pytest.mark.parametrize(
    ("name", "text"), [("a.json", '[{"video": "a", "label": "b"}]'), ("a.csv", "video,label\na,b\n")]
)
def test_a_byte_order_mark_changes_nothing(tmp_path: Path, name: str, text: str) -> None:
    annotations = read_annotations(write(tmp_path, "\ufeff" + text, name))
    assert list(annotations.names) == ["a"] and annotations.labels() == ["b"]


def test_null_is_empty_in_json(tmp_path: Path) -> None:
    text = '[{"video": "a", "label": null, "start": null, "end": null, "split": null}]'
    annotations = read_annotations(write(tmp_path, text, "a.json"))
    assert list(annotations.names) == ["a"] and annotations.splits == [""] and not annotations.labels()
    (video,) = annotations.videos(["a"], [], tmp_path)
    assert len(video.labels) == 0 and video.intervals.shape == (0, 2)


def test_lists_are_text_with_or_without_a_byte_order_mark(tmp_path: Path) -> None:
    assert read_list(write(tmp_path, "\ufeffa\nb\n", "list.txt")) == ["a", "b"]
    (tmp_path / "latin.txt").write_bytes(b"a\ncaf\xe9\n")
    with pytest.raises(ValueError, match=r"latin\.txt, line 2: not UTF-8 text"):
        read_list(tmp_path / "latin.txt")
    with pytest.raises(ValueError, match="is a folder"):
        read_list(tmp_path)


def test_a_list_that_is_not_there_is_named_as_a_list(tmp_path: Path) -> None:
    for path, problem in ((tmp_path / "nolist.txt", "does not exist"), (tmp_path, "is a folder")):
        with pytest.raises(ValueError, match=f"^list file {path} {problem}; expected a text file .* correct its path"):
            read_list(path)


def test_repeats_in_a_long_list_are_found_in_one_pass(tmp_path: Path) -> None:
    names = [f"video{number}" for number in range(60_000)]
    with pytest.raises(ValueError, match="names 'video7' more than once"):
        read_list(write(tmp_path, "\n".join([*names, "video7"]), "list.txt"))  # counting each takes minutes


def test_lists_refuse_repeats_and_emptiness(tmp_path: Path) -> None:
    assert read_list(write(tmp_path, "a\n\n b \n", "list.txt")) == ["a", "b"]
    with pytest.raises(ValueError, match="names 'a' more than once"):
        read_list(write(tmp_path, "a\nb\na\n", "list.txt"))
    with pytest.raises(ValueError, match="is empty"):
        read_list(write(tmp_path, "\n", "list.txt"))
    with pytest.raises(ValueError, match="'a' is in the train list and in the test list"):
        check_disjoint({"train": ["a"], "test": ["b", "a"]})


def test_videos_to_predict_come_from_a_file_a_folder_or_a_list(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    for name in ("b.mp4", "sub/a.AVI", "notes.md"):
        (tmp_path / name).touch()
    assert list_videos(tmp_path) == [tmp_path / "b.mp4", tmp_path / "sub/a.AVI"]
    assert list_videos(tmp_path / "b.mp4") == [tmp_path / "b.mp4"]
    assert list_videos(write(tmp_path, "sub/a.AVI\n", "list.txt")) == [tmp_path / "sub/a.AVI"]
    with pytest.raises(ValueError, match="1 of 1 videos do not exist"):
        list_videos(tmp_path / "none.mp4")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="no video under"):
        list_videos(tmp_path / "empty")


def literal(path: Path) -> dict[str, list[tuple[str, float, float, str]]]:
    """Video -> its rows, read one by one."""
    rows: dict[str, list[tuple[str, float, float, str]]] = {}
    with path.open(newline="", encoding="utf-8") as file:
        for cells in csv.DictReader(file, skipinitialspace=True):
            row = {key: (cells.get(key) or "").strip() for key in ("video", "label", "start", "end", "split")}
            start, end = (float(row["start"]), float(row["end"])) if row["start"] else (0.0, math.inf)
            rows.setdefault(row["video"], []).append((row["label"], start, end, row["split"]))
    return rows


def random_table(folder: Path, seed: int) -> Path:
    """Rows of many videos in a mixed order, written in all ways that a CSV file allows."""
    draw = random.Random(seed)
    columns = draw.choice(
        [["video", "label", "start", "end", "split"], ["end", "video", "start", "label"], ["label", "video"]]
    )
    seen: set[tuple[str, ...]] = set()
    lines = [",".join(columns)]
    for _ in range(draw.randrange(1, 200)):
        video = draw.choice(["a.mp4", "b/c.mp4", "Müller.mp4", "with, comma", 'with "quotes"', "line\nbreak"])
        start = draw.uniform(0, 50)
        timed = "start" in columns and draw.random() < 0.7
        cells = {
            "video": video,
            "label": draw.choice(["walk", "sit down", "", "été"]),
            "start": draw.choice([f"{start:.2f}", repr(start), f"{start:.3e}", "-0"]) if timed else "",
            "end": f"{start + draw.uniform(1, 9):.4f}" if timed else "",
            "split": "train" if video < "b" else "val",
        }
        key = tuple(cells[name] for name in columns)
        if key in seen:
            continue
        seen.add(key)
        text = [
            f'"{cells[c].replace(chr(34), chr(34) * 2)}"' if set(cells[c]) & set(',"\n') else cells[c] for c in columns
        ]
        lines.append(draw.choice([",", ", "]).join(text) + draw.choice(["", "" if '"' in text[-1] else " "]))
        lines += [""] * (draw.random() < 0.1)
    path = folder / "random.csv"
    path.write_bytes(draw.choice(["\n", "\r\n"]).join(lines).encode())
    return path


@pytest.mark.parametrize("chunk", [1, 5, 600])
@pytest.mark.parametrize("seed", range(8))
def test_columns_hold_what_a_reader_of_one_row_at_a_time_finds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int, chunk: int
) -> None:
    monkeypatch.setattr(annotation_columns, "_CHUNK", chunk)
    path = random_table(tmp_path, seed)
    expected, annotations = literal(path), read_annotations(path)
    labels = sorted({label for rows in expected.values() for label, *_ in rows if label})
    assert list(annotations.names) == list(expected) and annotations.labels() == labels
    for names, order in ((list(expected), labels), (sorted(expected), labels[::-1])):
        for name, video in zip(names, annotations.videos(names, order, tmp_path), strict=True):
            rows = [row for row in expected[name] if row[0]]
            assert (video.name, video.path) == (name, tmp_path / name)
            assert [order[number] for number in video.labels] == [label for label, *_ in rows]
            assert video.intervals.tolist() == [[start, end] for _, start, end, _ in rows]
            assert not np.signbit(video.intervals).any() and video.labels.dtype == np.int64
    for split in ("train", "val", "", "test"):
        names = [name for name, rows in expected.items() if rows[0][3] == split]
        assert [video.name for video in annotations.split_videos(split, labels, tmp_path)] == names


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ("b.mp4,walk,5,4,train", r"line 1502: reversed interval 5 to 4 s of label 'walk'"),
        ("b.mp4,walk,5", r"line 1502: expected 5 cells, got 3"),
        ('b.mp4,"walk"x,5,6,train', r"line 1502: the row that begins here is no CSV"),
        ("b.mp4,walk,5,6\0,train", r"line 1502: NUL character"),
        ("b.mp4,wal\udcff,5,6,train", r"line 1502: not UTF-8 text"),
        ("v3.mp4,walk,3,4,train", r"line 1502: repeats an earlier row of video 'v3\.mp4', label 'walk'"),
        (" v3.mp4, walk,3.0,4e0,train", r"line 1502: repeats an earlier row of video 'v3\.mp4', label 'walk'"),
        (
            "v3.mp4,sit,3,4,val",
            r"line 1502: video 'v3\.mp4' is in split 'val' here and in 'train' at .*a\.csv, line 5;",
        ),
        ("v3.mp4,run,,,train", r"line 1502: unknown label 'run'; expected one of the 1 listed"),
    ],
)
def test_bad_row_far_down_is_found(tmp_path: Path, bad: str, message: str) -> None:
    rows = [f"v{number}.mp4,walk,{number},{number + 1},train" for number in range(1499)]
    text = HEADER + "\n".join([*rows, "", bad, "late.mp4,walk,1,2,train"]) + "\n"
    (tmp_path / "a.csv").write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(ValueError, match=rf"a\.csv, {message}"):
        read_annotations(tmp_path / "a.csv").split_videos("train", ["walk"], tmp_path)


def test_rows_of_equal_hash_are_no_repeats(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("datamodules.annotations._MIX", np.uint64(0))  # all hashes are 0
    rows = "a.mp4,walk,0,1,train\nb.mp4,walk,0,1,train\na.mp4,sit,0,1,train\na.mp4,walk,0,2,train\na.mp4,walk,,,train\n"
    assert len(read_annotations(write(tmp_path, HEADER + rows)).names) == 2
    with pytest.raises(ValueError, match=r"line 7: repeats an earlier row of video 'a\.mp4', label 'sit'"):
        read_annotations(write(tmp_path, HEADER + rows + "a.mp4,sit,0,1,train\n"))
