"""`python -m metrics` on files and options that cannot be scored as they are: a message or a note, never a wrong number."""

import csv
import json
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from annotations.label_names import label_names
from metrics.__main__ import main
from metrics.protocols.report import Report, Row, write

K = 157


class Command:
    """Runs the command into a folder of its own."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.output = folder / "out" / "values.json"
        self.capsys = capsys

    def values(self, *words: object) -> dict[str, Any]:
        assert main([*map(str, words), "--output", str(self.output)]) == 0
        self.capsys.readouterr()
        content: dict[str, Any] = json.loads(self.output.read_text(encoding="utf-8"))
        return content

    def refused(self, *words: object) -> str:
        """The one message of a run that must fail with code 2, print nothing else and write nothing."""
        assert main([*map(str, words), "--output", str(self.output)]) == 2
        printed = self.capsys.readouterr()
        assert printed.out == "" and printed.err.count("\n") == 1
        assert not self.output.parent.exists()
        return printed.err


@pytest.fixture
def command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Command:
    return Command(tmp_path, capsys)


def charades_csv(path: Path, rows: list[tuple[str, str, float]]) -> Path:
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([("id", "actions", "length"), *rows])
    return path


def scored(path: Path, names: list[str], rows: int = 1) -> Path:
    frames = [f" {t + 1}" for t in range(rows)] if rows > 1 else [""]
    path.write_text("".join(f"{name}{frame} {' '.join(['0.5'] * K)}\n" for name in names for frame in frames))
    return path


@pytest.fixture
def classify(tmp_path: Path) -> list[object]:
    """The words of a run that succeeds, on two videos."""
    truth = charades_csv(tmp_path / "truth.csv", [("AAAAA", "c000 0 4", 10.0), ("BBBBB", "c002 1 2", 9.0)])
    predictions = scored(tmp_path / "scores.txt", ["AAAAA", "BBBBB"])
    return ["charades-classify", "--truth", truth, "--predictions", predictions]


@pytest.mark.parametrize("step", [0.1, np.float32(0.1)])
@pytest.mark.parametrize(("name", "rows"), [("fmap_open", {4, 5}), ("fmap_closed", {3, 4, 5, 6})])
def test_steps_at_the_ends_of_an_interval_are_on_their_side(
    tmp_path: Path, command: Command, name: str, rows: set[int], step: float
) -> None:
    truth = charades_csv(tmp_path / "truth.csv", [("AAAAA", "c000 0.3 0.6", 0.9)])
    scores = np.zeros((11, K), np.float32)
    scores[sorted(rows), 0] = 1
    np.savez(tmp_path / "steps.npz", step=step, AAAAA=scores)
    found = command.values("charades-fmap", "--truth", truth, "--predictions", tmp_path / "steps.npz")
    assert found[name] == 1.0
    assert found["step_seconds"] == 0.1
    assert "1 steps lie past the annotated end of their video and count like the others" in found["notes"]


def activitynet(folder: Path, segment: tuple[float, float] = (0.0, 5.0)) -> tuple[Path, dict[str, Any]]:
    """Truth of one video, and two entries that find it, of which the second scores less."""
    annotation = {"segment": segment, "label": "Archery"}
    database = {"v1": {"subset": "validation", "duration": 50.0, "annotations": [annotation]}}
    path = folder / "truth.json"
    path.write_text(json.dumps({"version": "VERSION 1.3", "taxonomy": [], "database": database}))
    return path, annotation


def submitted(path: Path, **results: list[dict[str, Any]]) -> Path:
    path.write_text(json.dumps({"version": "VERSION 1.3", "results": results, "external_data": {}}))
    return path


@pytest.mark.parametrize(
    ("largest", "numbers"), [(100, [1, 5, 10, 50, 100]), (150, [5, 10, 50, 100]), (2000, [50, 100])]
)
def test_recall_is_printed_only_at_numbers_on_the_curve(
    tmp_path: Path, command: Command, largest: int, numbers: list[int]
) -> None:
    truth, annotation = activitynet(tmp_path)
    entry = {"score": 0.5, "segment": annotation["segment"]}
    wrong = [{"score": 0.6 + i / 1e4, "segment": [40, 41 + i / 1e4]} for i in range(3000)]
    path = submitted(tmp_path / "p.json", v1=[entry, *wrong])
    found = command.values("activitynet-proposal", "--truth", truth, "--predictions", path, "--largest", largest)
    assert [key for key in found if key.startswith("ar_at_")] == [f"ar_at_{number}" for number in numbers]


@pytest.mark.parametrize("largest", ["0", "1000001", "1" + "0" * 400])
def test_a_largest_number_of_proposals_out_of_range_is_refused(tmp_path: Path, command: Command, largest: str) -> None:
    words = ["activitynet-proposal", "--truth", tmp_path / "t.json", "--predictions", tmp_path / "p.json"]
    message = command.refused(*words, "--largest", largest)
    assert f"--largest must be an average number of proposals from 1 to 1000000, got {largest[:20]};" in message


@pytest.mark.parametrize("threshold", ["nan", "inf", "-inf"])
def test_a_threshold_that_is_no_number_is_refused_before_anything_is_read(
    tmp_path: Path, command: Command, threshold: str
) -> None:
    words = ["action-conditional", "--labels", "charades", "--truth", tmp_path / "t.csv"]
    message = command.refused(*words, "--predictions", tmp_path / "p.npz", f"--threshold={threshold}")
    assert f"--threshold must be a finite score, got {threshold}; 0.5 is usual" in message


def test_files_that_cannot_be_written_whole_are_not_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    report = Report([Row("map", 0.5, "")], 1, [], table=[["a", "b"], [1, 2]])
    with pytest.raises(ValueError, match="JSON compliant"):
        write(report, {"a": 1, "b": float("nan")}, tmp_path / "o.json")
    assert list(tmp_path.iterdir()) == []
    plain = Path.write_bytes

    def full(path: Path, content: bytes) -> int:
        plain(path, content[:3])
        if "csv" in path.name:
            raise OSError(28, "No space left on device")
        return 3

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", full)
        with pytest.raises(
            ValueError, match=r"o\.json cannot be written: No space left on device; give another --output"
        ):
            write(report, {"a": 1}, tmp_path / "o.json")
    assert list(tmp_path.iterdir()) == []
    rename = Path.rename

    def half(path: Path, target: Path) -> Path:
        if target.suffix == ".csv":
            raise OSError(5, "Input/output error")
        return rename(path, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", half)
        with pytest.raises(ValueError, match=r"o\.json cannot be written: Input/output error"):
            write(report, {"a": 1}, tmp_path / "o.json")
    assert list(tmp_path.iterdir()) == []
    assert write(report, {"a": "\udcff"}, tmp_path / "o.json") == [tmp_path / "o.json", tmp_path / "o.pairs.csv"]
    assert json.loads((tmp_path / "o.json").read_text()) == {"a": "\udcff"}
    assert (tmp_path / "o.pairs.csv").read_bytes() == b"a,b\r\n1,2\r\n"


def test_an_output_below_a_file_is_refused_before_anything_is_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    words = ["charades-classify", "--truth", "no.csv", "--predictions", "no.txt"]
    assert main([*words, "--output", str(tmp_path / "file" / "deep" / "o.json")]) == 2
    assert f"{tmp_path / 'file'} is no folder that may be written to; give another --output" in capsys.readouterr().err
    assert main([*words, "--output", str(tmp_path / f"{'o' * 300}.json")]) == 2
    assert "oo.json cannot be written: File name too long; give another --output" in capsys.readouterr().err


def test_values_are_written_though_nobody_reads_what_is_printed(
    classify: list[object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as pipe:
        monkeypatch.setattr(sys, "stdout", pipe)
        assert main([*map(str, classify), "--output", str(tmp_path / "o.json")]) == 0
        monkeypatch.undo()
    assert json.loads((tmp_path / "o.json").read_text())["map"] == 0.5


def test_no_positive_gives_no_interval_and_a_note(tmp_path: Path, command: Command, classify: list[object]) -> None:
    found = command.values(*classify, "--bootstrap", 5)
    assert found["map_low"] <= 0.5 and len(found["notes"]) == 1
    command.output = tmp_path / "other" / "values.json"
    charades_csv(tmp_path / "truth.csv", [("AAAAA", "", 10.0), ("BBBBB", "", 9.0)])
    found = command.values(*classify, "--bootstrap", 5)
    assert (found["map"], found["map_low"], found["map_high"]) == (None, None, None)
    text = "no bootstrap interval of map_official, map: no label has a positive in any resample"
    assert found["notes"][-1] == text


def test_a_list_of_videos_may_begin_with_a_mark_and_must_be_text(
    tmp_path: Path, command: Command, classify: list[object]
) -> None:
    (tmp_path / "list.txt").write_bytes(b"AAAAA\nBBBBB\xff\n")
    message = command.refused(*classify, "--videos", tmp_path / "list.txt")
    assert f"--videos {tmp_path / 'list.txt'}: not UTF-8 text (invalid start byte); expected one name a line" in message
    (tmp_path / "list.txt").write_bytes(b"\xef\xbb\xbfAAAAA\nBBBBB\n")
    found = command.values(*classify, "--videos", tmp_path / "list.txt", "--subset", "training")
    assert found["num_videos"] == 2
    assert found["notes"][1] == "--subset training is not looked at: --videos names the videos"


def test_a_subset_that_chooses_nothing_is_noted(command: Command, classify: list[object]) -> None:
    found = command.values(*classify, "--subset", "training")
    assert found["notes"][1:] == [
        "--subset training chooses nothing: the truth names no subsets, so all its videos count"
    ]


def test_a_folder_of_truth_is_refused_where_a_file_is_expected(tmp_path: Path, command: Command) -> None:
    (tmp_path / "map.pbtxt").write_text('item { name: "stand" id: 12 }')
    message = f"--truth {tmp_path} is a folder; expected a file of annotations; name the file in it"
    for words in (
        ["charades-localize"],
        ["activitynet-detection"],
        ["ava", "--labels", tmp_path / "map.pbtxt"],
        ["kinetics"],
        ["action-conditional", "--labels", "charades"],
    ):
        assert message in command.refused(*words, "--truth", tmp_path, "--predictions", tmp_path / "p")


@pytest.mark.parametrize(("protocol", "keys"), [("detection", ("label", "segment")), ("proposal", ("segment",))])
def test_unknown_videos_are_left_out_with_a_word_on_the_official_program(
    tmp_path: Path, command: Command, protocol: str, keys: tuple[str, ...]
) -> None:
    truth, annotation = activitynet(tmp_path)
    entry = {key: annotation[key] for key in keys} | {"score": 0.5}
    path = submitted(tmp_path / "p.json", v1=[entry], v2=[entry])
    words = [f"activitynet-{protocol}", "--truth", truth, "--predictions", path, "--allow-missing"]
    note = command.values(*words)["notes"][0]
    assert note.startswith(
        "1 of 2 predicted videos are not in the truth (v2): left out (the official program counts their"
    )
    assert ("false positives" in note) == (protocol == "detection")


def test_a_segment_of_the_truth_beyond_all_time_is_refused(tmp_path: Path, command: Command) -> None:
    truth, _ = activitynet(tmp_path, (-1e308, 1e308))
    path = submitted(tmp_path / "p.json", v1=[{"label": "Archery", "segment": [0, 1], "score": 0.5}])
    message = command.refused("activitynet-detection", "--truth", truth, "--predictions", path)
    assert str(truth) in message and "'v1'" in message


def test_a_video_of_no_length_is_named(tmp_path: Path, command: Command) -> None:
    truth = charades_csv(tmp_path / "truth.csv", [("AAAAA", "c000 0 4", 0.0)])
    path = scored(tmp_path / "p.txt", ["AAAAA"], 25)
    message = command.refused("charades-localize", "--truth", truth, "--predictions", path)
    assert f"{truth}, line 2" in message and "AAAAA" in message


def test_real_dense_truth_scored_against_itself_is_perfect(shared_data: Path, tmp_path: Path, command: Command) -> None:
    folder = shared_data / "multithumos" / "annotations"
    if not folder.is_dir():
        pytest.skip("no annotations of MultiTHUMOS in the shared data")
    names, rows = label_names("multithumos"), []
    for k, name in enumerate(names):
        for line in (folder / f"{name}.txt").read_text().splitlines():
            video, start, end = line.split()
            # hundredths of a second, so that the comparisons below are between integers
            if "_test_" in video:
                rows.append((video, k, round(float(start) * 100), round(float(end) * 100)))
    scores = {}
    for video in sorted({row[0] for row in rows}):
        own = [row for row in rows if row[0] == video]
        table = np.zeros((min(2000, max(row[3] for row in own) // 10 + 5), len(names)), np.float32)
        for _, k, first, last in own:
            table[first // 10 + 1 : -(-last // 10), k] = 1  # first < 10 i < last
        scores[video] = table
    np.savez(tmp_path / "steps.npz", step=0.1, **scores)  # type: ignore[arg-type]
    found = command.values("multithumos-fmap", "--truth", folder, "--predictions", tmp_path / "steps.npz")
    assert found["fmap_open"] == 1.0
