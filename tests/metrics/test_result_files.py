import io
import json
import warnings
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from metrics.results import (
    read_frame_scores,
    read_segment_json,
    read_segment_lines,
    read_step_scores,
    read_video_scores,
)


def written(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def test_video_scores_keep_every_number_and_its_place(tmp_path: Path) -> None:
    # blanks or tabs, a trailing blank, an empty line, minus infinity, a byte-order mark: all as the official script reads
    text = "\ufeffone 0.1 1e-3 -2 \n\ntwo\t0.25\t-inf\t3\n"
    found = read_video_scores(written(tmp_path / "s.txt", text), 3)
    assert {name: row.tolist() for name, row in found.scores.items()} == {
        "one": [0.1, 0.001, -2.0],
        "two": [0.25, -np.inf, 3.0],
    }
    assert found.where == {"one": "line 1", "two": "line 3"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "a 1 2\n",
            r"s\.txt, line 1: expected 4 columns separated by blanks \(id and 3 scores\), got 3; write one score",
        ),
        ("a 1 2 3\nb 1 2 3 4\n", r"s\.txt, line 2: expected 4 columns .*, got 5"),
        ("a_b 1 2 3\nb\n", r"s\.txt, line 2: expected 4 columns .*, got 1;"),
        ("a_b 1 2 3\nb 1 0_5 3\n", r"s\.txt, line 2, column 3: '0_5' is not a number"),
        ("a,1,2,3\n", r"s\.txt, line 1: expected 4 columns separated by blanks .*, got 1"),
        ("a 1 2 3\nb 1 x 3\n", r"s\.txt, line 2, column 3: 'x' is not a number; expected one such as 0\.25"),
        (
            "a 1 2 3\nb 1 2 nan\n",
            r"s\.txt, line 2, column 4: the score is NaN, which has no rank; .*look for a diverged",
        ),
        ("a inf 2 3\n", r"s\.txt, line 1, column 2: the score is \+inf; expected a finite number, or -inf"),
        ("a 1 2 3\n\na 4 5 6\n", r"s\.txt, line 3: video 'a' stands in line 1 already; keep one of them"),
        ("\n \n", r"s\.txt is empty; expected a line for each prediction"),
    ],
)
def test_video_scores_refuse_a_bad_line_by_its_number(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read_video_scores(written(tmp_path / "s.txt", text), 3)


def test_scores_refuse_what_is_no_text_file(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"no\.txt is not a file; expected a file of predictions; check the path"):
        read_video_scores(tmp_path / "no.txt", 3)
    (tmp_path / "s.txt").write_bytes(b"a 1 2 3\nb\xff 1 2 3\n")
    with pytest.raises(ValueError, match=r"s\.txt, after line \d: not UTF-8 text"):
        read_video_scores(tmp_path / "s.txt", 3)


@pytest.mark.parametrize("first", [0, 1])
def test_frame_scores_come_in_the_order_of_the_frames(tmp_path: Path, first: int) -> None:
    rows = [("a", 2, 0.5), ("b", 0, 0.1), ("a", 0, 0.3), ("a", 1, 0.4), ("b", 2, 0.2), ("b", 1, 0.9)]
    text = "".join(f"{name} {frame + first} {score} {-score}\n" for name, frame, score in rows)
    found = read_frame_scores(written(tmp_path / "s.txt", text), 2, 3)
    assert found.scores["a"].tolist() == [[0.3, -0.3], [0.4, -0.4], [0.5, -0.5]]
    assert found.scores["b"].tolist() == [[0.1, -0.1], [0.9, -0.9], [0.2, -0.2]]
    assert found.where == {"a": "line 1", "b": "line 2"}
    assert len(found.notes) == (first == 0)  # numbers that differ from the official ones are said


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a 1 .1\na 2 .1\na 2 .1\n", r"s\.txt, line 3: frame 2 of video 'a' stands in line 2 already; keep one"),
        ("a 1 .1\na 4 .1\n", r"s\.txt, line 2: frame '4'; expected a whole number from 1 to 3 \(or from 0 to 2\)"),
        ("a 1 .1\na\n", r"s\.txt, line 2: only an id, 'a'; expected `id frame s0 s1 \.\.\.`"),
        (f"a {'9' * 5000} .1\n", r"s\.txt, line 1: frame '9{60}'; expected a whole number from 1 to 3"),
        ("a 1.5 .1\n", r"s\.txt, line 1: frame '1\.5'; expected a whole number"),
        ("a 1 .1 .2\n", r"s\.txt, line 1: expected 3 columns separated by blanks \(id, frame and 1 scores\), got 4"),
        ("a 1 nan\n", r"s\.txt, line 1, column 3: the score is NaN"),
        ("a 0 1\na 1 1\na 2 1\nb 3 1\n", r"s\.txt, line 1: frame 0, and frame 3 in line 4; .* renumber them"),
        (
            "a 1 1\na 2 1\na 3 1\nb 1 1\nb 3 1\n",
            r"s\.txt, line 4: 1 frames of 1 videos are missing, the first frame 2 of 'b'; expected 3 lines for each video; "
            r"add them, or pass --allow-missing to rank them last",
        ),
    ],
)
def test_frame_scores_refuse_a_bad_line_by_its_number(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read_frame_scores(written(tmp_path / "s.txt", text), 1, 3)


def test_missing_frames_rank_last_where_allowed(tmp_path: Path) -> None:
    path = written(tmp_path / "s.txt", "a 1 .1\na 3 .3\nb 1 .1\nb 2 .2\nb 3 .3\n")
    found = read_frame_scores(path, 1, 3, allow_missing=True)
    assert found.scores["a"].tolist() == [[0.1], [-np.inf], [0.3]]
    assert found.notes == ("1 frames of 1 videos are missing, the first frame 2 of 'a': they rank last (-inf)",)


def test_step_scores_read_what_numpy_wrote(tmp_path: Path) -> None:
    a, b = np.array([[0.1, 0.2], [0.3, -np.inf]], np.float32), np.array([[1, 0]])
    np.savez(tmp_path / "s.npz", step=0.25, a=a, **{"b/c": b})  # type: ignore[arg-type]
    found = read_step_scores(tmp_path / "s.npz", 2)
    assert found.step == 0.25
    assert list(found.scores) == ["a", "b/c"]
    np.testing.assert_array_equal(found.scores["a"], a.astype(np.float64))
    np.testing.assert_array_equal(found.scores["b/c"], [[1.0, 0.0]])


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"a": np.zeros((2, 2))}, r"s\.npz has no array 'step'; expected the seconds of a step; add step=0\.1"),
        ({"step": 0.0, "a": np.zeros((2, 2))}, r"s\.npz: 'step' is .*; expected one positive number"),
        ({"step": np.nan, "a": np.zeros((2, 2))}, r"s\.npz: 'step' is .*; expected one positive number"),
        ({"step": [0.1, 0.1], "a": np.zeros((2, 2))}, r"s\.npz: 'step' is .*; expected one positive number"),
        ({"step": 0.1}, r"s\.npz holds no video; expected an array of steps x labels"),
        (
            {"step": 0.1, "a": np.zeros((2, 3))},
            r"array 'a': expected numbers of shape \(steps, 2\) .*, got float64 of shape \(2, 3\)",
        ),
        (
            {"step": 0.1, "a": np.zeros((0, 2))},
            r"array 'a': expected numbers of shape \(steps, 2\) with at least one step",
        ),
        (
            {"step": 0.1, "a": np.zeros(2)},
            r"array 'a': expected numbers of shape \(steps, 2\) .*, got float64 of shape \(2,\)",
        ),
        ({"step": 0.1, "a": np.array([["x", "y"]])}, r"array 'a': expected numbers of shape"),
        ({"step": 0.1, "a": np.array([[0, 1], [2, np.nan]])}, r"array 'a', step 1, label 1: the score is NaN"),
        ({"step": 0.1, "a": np.array([[0, np.inf]])}, r"array 'a', step 0, label 1: the score is \+inf"),
        ({"step": 1e308, "a": np.zeros((2, 2))}, r"s\.npz: 'step' is 1e\+308; expected one positive number"),
        ({"step": 0.1, "a": np.zeros((2, 2), np.float16)}, r"array 'a': scores in float16, .* write .* as float32"),
        ({"step": 0.1, "a": np.array([{}], dtype=object)}, r"s\.npz cannot be read as a \.npz of numbers"),
    ],
)
def test_step_scores_refuse_a_bad_array_by_its_name(tmp_path: Path, arrays: dict[str, Any], message: str) -> None:
    np.savez(tmp_path / "s.npz", **arrays)
    with pytest.raises(ValueError, match=message):
        read_step_scores(tmp_path / "s.npz", 2)


@pytest.mark.parametrize("content", [b"", b"text", b"PK\x03\x04 cut short"])
def test_step_scores_refuse_a_damaged_file(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "s.npz").write_bytes(content)
    with pytest.raises(
        ValueError, match=r"s\.npz cannot be read as a \.npz of numbers: .*; write it with numpy\.savez"
    ):
        read_step_scores(tmp_path / "s.npz", 2)


@pytest.mark.parametrize(
    ("step", "exact"), [(np.float32(0.1), 0.1), (np.float16(0.1), 0.1), (np.float32(1 / 3), 1 / 3)]
)
def test_step_scores_read_the_number_that_a_rounded_step_stands_for(
    tmp_path: Path, step: np.floating[Any], exact: float
) -> None:
    np.savez(tmp_path / "s.npz", step=step, a=np.zeros((2, 2)))
    assert read_step_scores(tmp_path / "s.npz", 2).step == exact != float(step)


def zipped(path: Path, members: list[tuple[str, bytes]]) -> Path:
    with warnings.catch_warnings(), zipfile.ZipFile(path, "w") as archive:
        warnings.simplefilter("ignore")  # of a name given twice, which is meant
        for name, content in members:
            archive.writestr(name, content)
    return path


def saved(array: Any) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


STEP, ARRAY = ("step.npy", saved(0.1)), ("a.npy", saved(np.zeros((2, 2))))


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ([STEP, ("a.txt", b"0 1\n")], "its member 'a.txt' is no array"),
        ([STEP, ("a.npy", b"0 1\n")], "its member 'a' is no array"),
        ([STEP, ARRAY, ("a.npy", saved(np.ones((2, 2))))], "it holds 'a' twice, keep one"),
        ([STEP, ARRAY, ("a", saved(np.ones((2, 2))))], "it holds 'a' twice, keep one"),
    ],
)
def test_step_scores_refuse_members_that_are_no_arrays_or_twice(
    tmp_path: Path, members: list[tuple[str, bytes]], message: str
) -> None:
    with pytest.raises(ValueError, match=rf"s\.npz cannot be read as a \.npz of numbers: {message}; write it with"):
        read_step_scores(zipped(tmp_path / "s.npz", members), 2)


def test_step_scores_refuse_damage_wherever_it_is(tmp_path: Path) -> None:
    path, kinds = tmp_path / "s.npz", set()
    np.savez_compressed(path, step=0.1, a=np.arange(40.0).reshape(20, 2))
    content = path.read_bytes()
    for place in range(len(content)):
        path.write_bytes(content[:place] + bytes([content[place] ^ 0xFF]) + content[place + 1 :])
        try:
            read_step_scores(path, 2)  # some bytes, such as dates, do not matter
        except ValueError as error:
            assert str(path) in str(error) and "\n" not in str(error)
            kinds.add(type(error.__cause__ and error.__cause__.__cause__).__name__)
    assert {"error", "BadZipFile", "NotImplementedError"} <= kinds, kinds  # the first is zlib's


def test_segment_json_keeps_rows_and_videos_without_any(tmp_path: Path) -> None:
    results = {
        "a": [{"label": "Dance", "score": 0.5, "segment": [1, 2.5]}, {"label": "Sit", "score": 1, "segment": [0, 0]}],
        "b": [],
    }
    path = written(tmp_path / "s.json", json.dumps({"version": "x", "results": results, "external_data": {}}))
    found = read_segment_json(path, labels=True, segments=True)
    assert (found.videos, found.labels) == (["a", "a"], ["Dance", "Sit"])
    assert (found.intervals.tolist(), found.scores.tolist()) == ([[1.0, 2.5], [0.0, 0.0]], [0.5, 1.0])
    assert found.rows == ["results['a'][0]", "results['a'][1]"]
    assert found.where == {"a": "results['a']", "b": "results['b']"}


ROW = {"label": "Sit", "score": 0.5, "segment": [1, 2]}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[1", r"s\.json cannot be read as JSON: .*line 1"),
        ("[]", r"s\.json: expected a JSON object, got a list"),
        ('{"database": {}}', r"s\.json: expected an object 'results' of video id -> list of predictions, got None"),
        ('{"results": {}}', r"s\.json: expected an object 'results' .*, got \{\}"),
        ('{"results": {"a": [], "a": []}}', r"s\.json cannot be read as JSON: 'a' is there twice; keep one"),
        ({"a": {}}, r"s\.json, results\['a'\]: expected a list of predictions, got \{\}"),
        ({"a": [[1]]}, r"s\.json, results\['a'\]\[0\]: expected an object with a 'score', got \[1\]"),
        ({"a": [ROW, ROW | {"label": 3}]}, r"results\['a'\]\[1\]: expected 'label', a class name, got 3"),
        (
            {"a": [{"score": 1}]},
            r"results\['a'\]\[0\]: expected 'label', a class name, got only 'score'; write the official",
        ),
        ({"a": [ROW | {"score": "1"}]}, r"results\['a'\]\[0\]: expected 'score', a number, got '1'"),
        ({"a": [ROW | {"score": True}]}, r"results\['a'\]\[0\]: expected 'score', a number, got True"),
        ({"a": [ROW | {"score": float("nan")}]}, r"results\['a'\]\[0\]: the score is NaN, which has no rank"),
        ({"a": [ROW | {"score": float("inf")}]}, r"results\['a'\]\[0\]: the score is \+inf"),
        (
            {"a": [ROW | {"segment": [1]}]},
            r"results\['a'\]\[0\]: expected 'segment', \[start, end\] in seconds, got \[1\]",
        ),
        (
            {"a": [ROW | {"segment": [2, 1]}]},
            r"results\['a'\]\[0\]: the segment goes from 2\.0 to 1\.0; expected finite",
        ),
        ({"a": [ROW | {"segment": [0, 10**400]}]}, r"\['a'\]\[0\]: the number 10{19}\.\.\. of 401 digits is too large"),
        (
            {"a": [ROW | {"score": -(10**400)}]},
            r"results\['a'\]\[0\]: the number -10{18}\.\.\. of 402 digits is too large",
        ),
        (
            {"a": [ROW | {"segment": [-1e308, 1e308]}]},
            r"from -1e\+308 to 1e\+308; expected finite seconds, .* up to 1e\+09",
        ),
        ({"a": [ROW | {"segment": [0, float("nan")]}]}, r"results\['a'\]\[0\]: the segment goes from 0\.0 to nan"),
    ],
)
def test_segment_json_refuses_a_bad_entry_by_its_key(tmp_path: Path, content: Any, message: str) -> None:
    text = content if isinstance(content, str) else json.dumps({"results": content})
    with pytest.raises(ValueError, match=message):
        read_segment_json(written(tmp_path / "s.json", text), labels=True, segments=True)


def test_segment_json_asks_only_for_what_its_task_has(tmp_path: Path) -> None:
    path = written(tmp_path / "s.json", json.dumps({"results": {"a": [{"score": 0.5, "segment": [1, 2]}]}}))
    found = read_segment_json(path, labels=False, segments=True)
    assert (found.labels, found.intervals.tolist()) == ([""], [[1.0, 2.0]])
    with pytest.raises(ValueError, match=r"expected 'label', a class name, got only 'score', 'segment'"):
        read_segment_json(path, labels=True, segments=False)
    path.write_text(json.dumps({"results": {"a": [{"score": 0.5, "label": "Sit"}]}}))
    assert np.isnan(read_segment_json(path, labels=True, segments=False).intervals).all()


def test_segment_lines_keep_rows_and_drop_the_suffix(tmp_path: Path) -> None:
    path = written(tmp_path / "s.txt", "v.mp4 1 2.5 7 .25\n\nw\t0 3\tDiving -1\n")
    found = read_segment_lines(path)
    assert (found.videos, found.labels) == (["v", "w"], ["7", "Diving"])
    assert (found.intervals.tolist(), found.scores.tolist()) == ([[1.0, 2.5], [0.0, 3.0]], [0.25, -1.0])
    assert found.where == {"v": "line 1", "w": "line 3"}


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("v 1 2 7", r"s\.txt, line 2: expected 5 columns separated by blanks .*, got 4"),
        ("v x 2 7 1", r"s\.txt, line 2, column 2: 'x' is not a number"),
        ("v 1 2 7 Diving", r"s\.txt, line 2, column 5: 'Diving' is not a number"),
        ("v 2 1 7 1", r"s\.txt, line 2: the segment goes from 2\.0 to 1\.0; expected finite seconds, the start first"),
        ("v 0_5 6 7 1", r"s\.txt, line 2, column 2: '0_5' is not a number"),
        ("v 1 2e9 7 1", r"s\.txt, line 2: the segment goes from 1\.0 to 2000000000\.0; expected .* up to 1e\+09"),
        ("v 1 inf 7 1", r"s\.txt, line 2: the segment goes from 1\.0 to inf"),
        ("v 1 2 7 nan", r"s\.txt, line 2, column 5: the score is NaN"),
    ],
)
def test_segment_lines_refuse_a_bad_line_by_its_number(tmp_path: Path, line: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read_segment_lines(written(tmp_path / "s.txt", f"v 0 1 7 1\n{line}\n"))
