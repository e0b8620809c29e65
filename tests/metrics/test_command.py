"""`python -m metrics` on score files: every value against plain loops."""

import csv
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from annotations.label_names import label_names
from metrics.__main__ import main
from metrics.protocols import PROTOCOLS
from tests.metrics.conftest import Run, refused

ROOT = Path(__file__).resolve().parents[2]
K = 157
Actions = dict[str, tuple[float, list[tuple[int, float, float]]]]


def precision_at_hits(scores: list[float], hits: list[bool]) -> float | None:
    """Mean over the hits of the precision among all rows that score as high; None without a hit."""
    found = []
    for score, hit in zip(scores, hits, strict=True):
        if hit:
            above = [h for s, h in zip(scores, hits, strict=True) if s >= score]
            found.append(sum(above) / len(above))
    return sum(found) / len(found) if found else None


def mean(values: list[float | None]) -> float:
    present = [value for value in values if value is not None]
    return sum(present) / len(present)


def charades_csv(path: Path, videos: Actions) -> Path:
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "scene", "actions", "length"])
        for name, (length, actions) in videos.items():
            writer.writerow(
                [name, "Kitchen, small", ";".join(f"c{k:03d} {a:.2f} {b:.2f}" for k, a, b in actions), length]
            )
    return path


VIDEOS: Actions = {
    "AAAAA": (10.0, [(0, 0.0, 4.0), (2, 2.0, 12.0)]),
    "BBBBB": (20.0, []),
    "CCCCC": (8.0, [(0, 1.0, 2.0), (5, 3.0, 3.0)]),
    "DDDDD": (5.0, [(2, 0.0, 5.0)]),
    "EEEEE": (30.0, [(0, 10.0, 20.0), (0, 15.0, 25.0), (156, 4.0, 2.0)]),
}


@pytest.fixture
def charades(tmp_path: Path) -> Path:
    return charades_csv(tmp_path / "truth.csv", VIDEOS)


def score_lines(path: Path, scores: dict[str, np.ndarray]) -> Path:
    path.write_text("".join(f"{name} {' '.join(f'{value:.3f}' for value in row)}\n" for name, row in scores.items()))
    return path


def video_scores(names: list[str]) -> dict[str, np.ndarray]:
    random = np.random.default_rng(1)
    return {name: random.integers(0, 4, K) / 8 for name in names}  # few values: many ties


def label_values(scores: dict[str, np.ndarray], lowest: set[str]) -> list[float | None]:
    """AP of each label over the videos, those of `lowest` having -inf throughout."""
    truth = {name: {k for k, _, _ in actions} for name, (_, actions) in VIDEOS.items()}
    return [
        precision_at_hits(
            [-np.inf if name in lowest else float(scores[name][k]) for name in VIDEOS],
            [k in truth[name] for name in VIDEOS],
        )
        for k in range(K)
    ]


def test_charades_classify_prints_all_variants(
    charades: Path, tmp_path: Path, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    scores = video_scores(list(VIDEOS)[::-1])  # the order of the file does not matter
    path = score_lines(tmp_path / "scores.txt", scores)
    found = run("charades-classify", "--truth", charades, "--predictions", path, "--per-class")
    plain, official = label_values(scores, set()), label_values(scores, {"BBBBB"})
    assert mean(plain) != pytest.approx(mean(official))  # the test can tell them apart
    assert found["map"] == pytest.approx(mean(plain), abs=1e-12)
    assert found["map_official"] == pytest.approx(mean(official), abs=1e-12)
    assert found["map_absent_zero"] == pytest.approx(mean([value or 0.0 for value in plain]), abs=1e-12)
    assert found["map_official_nonzero"] == pytest.approx(mean([value for value in official if value]), abs=1e-12)
    counts = {k: len({name for name, (_, actions) in VIDEOS.items() if k in {a[0] for a in actions}}) for k in range(K)}
    weighted = sum(counts[k] * (official[k] or 0.0) for k in range(K)) / sum(counts.values())
    assert found["wap_official"] == pytest.approx(weighted, abs=1e-12)
    falling = sorted(range(K), key=lambda k: (-counts[k], k))
    assert found["map_head"] == pytest.approx(mean([plain[k] for k in falling[:53]]), abs=1e-12)
    assert found["map_medium"] is None and found["map_tail"] is None  # labels 0, 2, 5, 156 are all in the head
    names = label_names("charades")
    assert found["per_class_of"] == "map_official"
    assert found["per_class"] == {name: pytest.approx(official[k], abs=1e-12) for k, name in enumerate(names)}
    assert found["num_videos"] == 5
    printed = capsys.readouterr().out
    assert f"map_official              {100 * mean(official):.2f}  official script: videos without any label" in printed
    assert f"{'map_tail':24}      -  as map, the 52 least frequent labels of the truth" in printed
    assert f"{names[2]} " in printed and "1 truth videos have no label" in printed


def test_bootstrap_draws_whole_videos(charades: Path, tmp_path: Path, run: Run) -> None:
    scores = video_scores(list(VIDEOS))
    path = score_lines(tmp_path / "scores.txt", scores)
    found = run("charades-classify", "--truth", charades, "--predictions", path, "--bootstrap", 25)
    truth = {name: {k for k, _, _ in actions} for name, (_, actions) in VIDEOS.items()}
    draws = np.random.default_rng(0).multinomial(5, [1 / 5] * 5, size=25)
    means: list[float | None] = []
    value = mean(label_values(scores, set()))
    for draw in draws:
        names = [name for name, times in zip(VIDEOS, draw, strict=True) for _ in range(times)]
        values = [
            precision_at_hits([float(scores[n][k]) for n in names], [k in truth[n] for n in names]) for k in range(K)
        ]
        if any(value is not None for value in values):
            means.append(mean(values))
    ends = value + np.quantile(
        np.array(means, np.float64) - mean(means), [0.025, 0.975]
    )  # centred on the value of all videos
    assert 0 < ends[0] < value < ends[1] < 1
    assert (found["map_low"], found["map_high"]) == pytest.approx(tuple(ends), abs=1e-12)
    assert found["map_official_low"] <= found["map_official_high"]
    assert "map_head_low" not in found


def frame_lines(path: Path, scores: dict[str, np.ndarray], first: int = 1) -> Path:
    lines = [
        f"{name} {t + first} {' '.join(f'{value:.3f}' for value in row)}\n"
        for name, table in scores.items()
        for t, row in enumerate(table)
    ]
    path.write_text("".join(lines))
    return path


@pytest.mark.parametrize("first", [0, 1])
def test_charades_localize_scores_25_frames_a_video(charades: Path, tmp_path: Path, run: Run, first: int) -> None:
    random = np.random.default_rng(2)
    scores = {name: random.integers(0, 9, (25, K)) / 8 for name in VIDEOS}
    path = frame_lines(tmp_path / "scores.txt", scores, first)
    found = run("charades-localize", "--truth", charades, "--predictions", path)
    values: list[float | None] = []
    counts = []
    for k in range(K):
        hits = [
            any(a == k and start <= t / 25 * length <= end for a, start, end in actions)
            for length, actions in VIDEOS.values()
            for t in range(25)
        ]
        values.append(precision_at_hits([float(scores[name][t, k]) for name in VIDEOS for t in range(25)], hits))
        counts.append(sum(hits))
    assert found["map"] == pytest.approx(mean(values), abs=1e-12)
    weighted = sum(n * (value or 0.0) for n, value in zip(counts, values, strict=True)) / sum(counts)
    assert found["wap"] == pytest.approx(weighted, abs=1e-12)
    assert found["per_class"][label_names("charades")[156]] is None  # its only interval ends before it starts
    assert any("numbered from 0" in note for note in found["notes"]) == (first == 0)


def step_file(path: Path, steps: dict[str, int], num_labels: int, step: float = 0.5) -> dict[str, np.ndarray]:
    random = np.random.default_rng(3)
    scores = {name: (random.integers(0, 9, (n, num_labels)) / 8).astype(np.float32) for name, n in steps.items()}
    np.savez(path, step=step, **scores)  # type: ignore[arg-type]
    return scores


def open_hit(t: float, start: float, end: float) -> bool:
    return start < t < end


def closed_hit(t: float, start: float, end: float) -> bool:
    return start <= t <= end


@pytest.mark.parametrize("boundary", ["<", "<="])
def test_charades_fmap_prints_both_boundaries(charades: Path, tmp_path: Path, run: Run, boundary: str) -> None:
    steps = {"AAAAA": 20, "BBBBB": 10, "CCCCC": 18, "DDDDD": 9, "EEEEE": 60}  # CCCCC goes past its 8 s by one step
    scores = step_file(tmp_path / "steps.npz", steps, K)
    found = run(
        "charades-fmap",
        "--truth",
        charades,
        "--predictions",
        tmp_path / "steps.npz",
        "--boundary",
        boundary,
        "--bootstrap",
        9,
    )
    tables = {}
    for name, inside in (("fmap_open", open_hit), ("fmap_closed", closed_hit)):
        tables[name] = [
            precision_at_hits(
                [float(row[k]) for video in VIDEOS for row in scores[video]],
                [
                    any(a == k and inside(i * 0.5, start, end) for a, start, end in VIDEOS[video][1])
                    for video in VIDEOS
                    for i in range(steps[video])
                ],
            )
            for k in range(K)
        ]
        assert found[name] == pytest.approx(mean(tables[name]), abs=1e-12)
        assert found[f"{name}_absent_zero"] == pytest.approx(mean([value or 0.0 for value in tables[name]]), abs=1e-12)
        assert found[f"{name}_low"] <= found[f"{name}_high"]
    assert found["fmap_open"] != pytest.approx(found["fmap_closed"])
    main_name = {"<": "fmap_open", "<=": "fmap_closed"}[boundary]
    assert found["per_class_of"] == main_name
    assert found["per_class"] == {
        name: pytest.approx(value, abs=1e-12)
        for name, value in zip(label_names("charades"), tables[main_name], strict=True)
    }
    assert (found["step_seconds"], found["num_steps"]) == (0.5, 117)
    assert "1 steps lie past the annotated end of their video and count like the others" in found["notes"]


def multithumos(folder: Path, rows: dict[str, list[tuple[str, float, float]]]) -> Path:
    folder.mkdir()
    for name in label_names("multithumos"):
        none = [("video_validation_0000099", 0.0, 1.0)]  # no file may be empty; this video is not of the test set
        lines = [f"{video} {start:.2f} {end:.2f}\n" for video, start, end in rows.get(name, none)]
        (folder / f"{name}.txt").write_text("".join(lines))
    return folder


THUMOS = {
    "Jump": [
        ("video_test_0000001", 0.0, 3.0),
        ("video_test_0000002", 2.0, 4.0),
        ("video_validation_0000009", 0.0, 9.0),
    ],
    "Fall": [("video_test_0000001", 2.5, 4.5), ("video_test_0000002", 1.0, 1.0)],
}


@pytest.mark.parametrize("listed", [False, True])
def test_multithumos_fmap_takes_test_videos_or_a_list(tmp_path: Path, run: Run, listed: bool) -> None:
    folder = multithumos(tmp_path / "truth", THUMOS)
    names = ["video_test_0000001", "video_test_0000002"] + ["video_test_0000003"] * listed  # the last has no annotation
    (tmp_path / "list.txt").write_text("\n".join(names) + "\n")
    scores = step_file(tmp_path / "steps.npz", {name: 12 for name in names}, 65)
    options = ["--videos", tmp_path / "list.txt"] if listed else []
    found = run("multithumos-fmap", "--truth", folder, "--predictions", tmp_path / "steps.npz", *options)
    order, values = label_names("multithumos"), []
    for k, label in enumerate(order):
        hits = [any(v == n and a < i * 0.5 < b for v, a, b in THUMOS.get(label, [])) for n in names for i in range(12)]
        values.append(precision_at_hits([float(row[k]) for n in names for row in scores[n]], hits))
    assert sum(value is not None for value in values) == 2
    assert found["fmap_open"] == pytest.approx(mean(values), abs=1e-12)
    assert found["num_videos"] == len(names)


def conditional_values(
    preds: list[np.ndarray], truth: list[np.ndarray], label: int, given: int, tau: int
) -> tuple[float, float, float, float] | None:
    """Precision, recall, F1 and AP of a label at the steps chosen by another, by the definition; None without a positive."""
    scores, hits = [], []
    for p, t in zip(preds, truth, strict=True):
        for i in range(len(t)):
            near = range(i - tau, i) if tau > 0 else range(i + 1, i - tau + 1)
            chosen = t[i, given] if tau == 0 else not t[i, given] and any(t[n, given] for n in near if 0 <= n < len(t))
            if chosen:
                scores.append(float(p[i, label]))
                hits.append(bool(t[i, label]))
    area = precision_at_hits(scores, hits)
    if area is None:
        return None
    right = sum(hit and score >= 0.5 for score, hit in zip(scores, hits, strict=True))
    predicted = sum(score >= 0.5 for score in scores)
    precision, recall = right / predicted if right else 0.0, right / sum(hits)
    return precision, recall, 2 * precision * recall / (precision + recall) if right else 0.0, area


def test_action_conditional_counts_by_the_definition(tmp_path: Path, run: Run) -> None:
    folder = multithumos(tmp_path / "truth", THUMOS)
    names = ["video_test_0000001", "video_test_0000002"]
    scores = step_file(tmp_path / "steps.npz", {name: 12 for name in names}, 65)
    found = run(
        *("action-conditional", "--labels", "multithumos", "--truth", folder, "--predictions", tmp_path / "steps.npz"),
        *("--tau", -2, 0, 3, "--pair", "Fall", "Jump"),
    )
    order = label_names("multithumos")
    truth = [
        np.array(
            [
                [any(v == n and a <= i * 0.5 <= b for v, a, b in THUMOS.get(label, [])) for label in order]
                for i in range(12)
            ]
        )
        for n in names
    ]
    preds = [scores[n] for n in names]
    with (tmp_path / "out" / "values.pairs.csv").open(newline="") as file:
        table = list(csv.DictReader(file))
    fall, jump = order.index("Fall"), order.index("Jump")
    for tau in (-2, 0, 3):
        pairs = {
            (label, given): values
            for label, given in ((fall, jump), (jump, fall))
            if (values := conditional_values(preds, truth, label, given, tau)) is not None
        }
        assert (fall, jump) in pairs
        for i, name in enumerate(("precision", "recall", "f1", "map")):
            assert found[f"{name}_tau_{tau}"] == pytest.approx(mean([v[i] for v in pairs.values()]), abs=1e-12)
        for i, name in enumerate(("precision", "recall", "f1", "average_precision")):
            assert found[f"{name}_pair_tau_{tau}"] == pytest.approx(pairs[fall, jump][i], abs=1e-12)
        written = {(row["label"], row["given"]): row for row in table if row["tau"] == str(tau)}
        assert set(written) == {(order[label], order[given]) for label, given in pairs}
        for (label, given), values in pairs.items():
            row = written[order[label], order[given]]
            got = [float(row[name]) for name in ("precision", "recall", "f1", "average_precision")]
            assert got == pytest.approx(list(values), abs=1e-12)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--pair", "Fall", "Jumping"], "--pair: unknown label 'Jumping'; expected one of BaseballPitch"),
        (["--tau", "3", "3"], r"--tau names a number twice: [3, 3]; give each once"),
    ],
)
def test_action_conditional_refuses_bad_options(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], options: list[str], message: str
) -> None:
    folder = multithumos(tmp_path / "truth", THUMOS)
    step_file(tmp_path / "steps.npz", {"video_test_0000001": 3, "video_test_0000002": 3}, 65)
    words = [
        "action-conditional",
        "--labels",
        "multithumos",
        "--truth",
        folder,
        "--predictions",
        tmp_path / "steps.npz",
    ]
    assert message in refused(capsys, *words, *options)


def test_kinetics_accuracy_equals_plain_counts(tmp_path: Path, run: Run) -> None:
    names, random = label_names("kinetics400"), np.random.default_rng(6)
    clips = {f"clip{i:07d}_000001_000011": int(random.choice([0, 3, 3, 399])) for i in range(12)}
    rows = [f"{names[k]},{name[:11]},1,11,val,0\n" for name, k in clips.items()]
    (tmp_path / "truth.csv").write_text("label,youtube_id,time_start,time_end,split,is_cc\n" + "".join(rows))
    scores = {name: random.integers(0, 3, 400) / 8 for name in clips}
    for i, (name, k) in enumerate(clips.items()):
        scores[name][k] = 0.5
        scores[name][10 : 10 + i] = 0.5  # i other labels stand as high
    absent = next(iter(clips))
    del scores[absent]
    path = score_lines(tmp_path / "scores.txt", scores)
    found = run("kinetics", "--truth", tmp_path / "truth.csv", "--predictions", path, "--allow-missing")
    right = {
        k: {n: n in scores and sum(s >= scores[n][c] for s in scores[n]) <= k for n, c in clips.items()} for k in (1, 5)
    }
    assert found["top_1"] == pytest.approx(sum(right[1].values()) / 12, abs=1e-12)
    assert found["top_5"] == pytest.approx(sum(right[5].values()) / 12, abs=1e-12)
    assert found["mean_error"] == pytest.approx(
        1 - sum(right[1].values()) / 24 - sum(right[5].values()) / 24, abs=1e-12
    )
    classes = [[right[1][n] for n, c in clips.items() if c == k] for k in (0, 3, 399)]
    assert found["mean_class"] == pytest.approx(sum(sum(c) / len(c) for c in classes) / 3, abs=1e-12)
    assert found["per_class"][names[3]] == pytest.approx(sum(classes[1]) / len(classes[1]), abs=1e-12)
    assert 0 <= found["top_1"] < found["top_5"] < 1


def test_other_videos_are_refused_with_both_counts(
    charades: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = score_lines(tmp_path / "scores.txt", video_scores(["AAAAA", "ZZZZZ", "CCCCC", "DDDDD"]))
    message = refused(capsys, "charades-classify", "--truth", charades, "--predictions", path)
    assert message == (
        f"python -m metrics charades-classify: error: {path}, line 2: 1 of 4 predicted videos are not in the truth (ZZZZZ); "
        "2 of 5 truth videos have no prediction (BBBBB, EEEEE); expected the same videos in both; check --truth, the subset "
        "and the names, or pass --allow-missing: predictions of unknown videos are then left out, and truth videos without "
        "any rank last (-inf)\n"
    )


def test_allow_missing_ranks_missing_videos_last_and_says_so(
    charades: Path, tmp_path: Path, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    scores = video_scores(["AAAAA", "ZZZZZ", "BBBBB", "DDDDD"])
    path = score_lines(tmp_path / "scores.txt", scores)
    found = run("charades-classify", "--truth", charades, "--predictions", path, "--allow-missing")
    assert found["map"] == pytest.approx(mean(label_values(scores, {"CCCCC", "EEEEE"})), abs=1e-12)
    assert (found["num_missing_videos"], found["num_unknown_videos"]) == (2, 1)
    assert found["notes"][1:] == [
        "1 of 4 predicted videos are not in the truth (ZZZZZ): left out",
        "2 of 5 truth videos have no prediction (CCCCC, EEEEE): rank last (-inf)",
    ]
    assert found["notes"][2] in capsys.readouterr().out


def test_allow_missing_ranks_missing_frames_and_videos_last(charades: Path, tmp_path: Path, run: Run) -> None:
    scores = {name: np.full((25, K), 0.5) for name in ("AAAAA", "CCCCC", "DDDDD", "EEEEE")}
    path = frame_lines(tmp_path / "scores.txt", scores)
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:-5]))
    found = run("charades-localize", "--truth", charades, "--predictions", path, "--allow-missing")
    # label 0: 95 frames tie at 0.5, with 11 + 3 + 11 of its frames; the twelfth of EEEEE ranks last, with 29 others
    expected = (25 * 25 / 95 + 26 / 125) / 26
    assert found["per_class"][label_names("charades")[0]] == pytest.approx(expected, abs=1e-12)
    assert any("5 frames of 1 videos are missing, the first frame 21 of 'EEEEE'" in note for note in found["notes"])


def test_allow_missing_leaves_out_videos_whose_steps_are_unknown(charades: Path, tmp_path: Path, run: Run) -> None:
    step_file(tmp_path / "steps.npz", {"AAAAA": 20, "ZZZZZ": 4}, K)
    found = run("charades-fmap", "--truth", charades, "--predictions", tmp_path / "steps.npz", "--allow-missing")
    assert (found["num_videos"], found["num_steps"]) == (1, 20)
    assert found["notes"][-1] == "4 of 5 truth videos have no prediction (BBBBB, CCCCC, DDDDD, ...): are left out too"


def test_files_without_a_common_video_are_refused_even_so(
    charades: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = score_lines(tmp_path / "scores.txt", video_scores(["v_AAAAA"]))
    message = refused(capsys, "charades-classify", "--truth", charades, "--predictions", path, "--allow-missing")
    assert (
        "none of its 1 videos is in the truth, which has 5; expected the same names, got 'v_AAAAA' here and 'AAAAA'"
        in message
    )


def test_json_truth_is_restricted_to_its_subset(tmp_path: Path, run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    content = {
        name: {"subset": "testing", "duration": length, "actions": [list(action) for action in actions]}
        for name, (length, actions) in VIDEOS.items()
    }
    content["TRAIN"] = {"subset": "training", "duration": 3.0, "actions": [[7, 0, 1]]}
    truth = tmp_path / "charades.json"
    truth.write_text(json.dumps(content))
    scores = video_scores(list(VIDEOS))
    path = score_lines(tmp_path / "scores.txt", scores)
    words = ["charades-classify", "--truth", truth, "--predictions", path]
    assert run(*words)["map"] == pytest.approx(mean(label_values(scores, set())), abs=1e-12)
    capsys.readouterr()
    assert "has no video of the subset 'validation'; it has ['testing', 'training']" in refused(
        capsys, *words, "--subset", "validation"
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("AAAAA\nXXXXX\n", "list.txt, line 2: video 'XXXXX' is not in the truth; check --truth"),
        ("AAAAA\n\nAAAAA\n", "list.txt, line 3: 'AAAAA' stands in line 1 already; keep one of them"),
        ("\n", "list.txt is empty; expected one name a line"),
    ],
)
def test_bad_list_of_videos_is_refused(
    charades: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, message: str
) -> None:
    (tmp_path / "list.txt").write_text(text)
    path = score_lines(tmp_path / "scores.txt", video_scores(list(VIDEOS)))
    words = ["charades-classify", "--truth", charades, "--predictions", path, "--videos", tmp_path / "list.txt"]
    assert message in refused(capsys, *words)


def test_truth_given_twice_is_refused(charades: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = score_lines(tmp_path / "scores.txt", video_scores(list(VIDEOS)))
    message = refused(capsys, "charades-classify", "--truth", charades, charades, "--predictions", path)
    assert f"{charades}, line 2: video 'AAAAA' is in {charades}, line 2 too; give one truth of it" in message


def test_results_are_never_overwritten(
    charades: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = score_lines(tmp_path / "scores.txt", video_scores(list(VIDEOS)))
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    words = ["charades-classify", "--truth", str(charades), "--predictions", str(path)]
    assert main(words) == 0
    assert "written: scores.charades-classify.json" in capsys.readouterr().out
    before = Path("scores.charades-classify.json").read_bytes()
    assert main(words) == 2
    assert "scores.charades-classify.json exists already and results are never overwritten" in capsys.readouterr().err
    assert Path("scores.charades-classify.json").read_bytes() == before
    assert main([*words, "--output", "values.txt"]) == 2
    assert "--output must end in .json, got values.txt" in capsys.readouterr().err


def test_bootstrap_out_of_range_is_refused(charades: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["charades-classify", "--truth", charades, "--predictions", tmp_path / "s.txt", "--bootstrap", -1]
    assert "--bootstrap must be a number of resamples up to 1000000, got -1" in refused(capsys, *words)
    words[-1] = 10**12
    assert "--bootstrap must be a number of resamples up to 1000000, got 1000000000000" in refused(capsys, *words)


@pytest.mark.parametrize("name", list(PROTOCOLS))
def test_help_shows_the_form_of_the_files(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main([name, "--help"])
    assert stop.value.code == 0
    printed = capsys.readouterr().out
    assert PROTOCOLS[name].predictions in printed
    for option in ("--truth", "--predictions", "--output", "--allow-missing", "--bootstrap", "--per-class"):
        assert option in printed


def test_command_runs_as_a_module(charades: Path, tmp_path: Path) -> None:
    path = score_lines(tmp_path / "scores.txt", video_scores([*VIDEOS, "ZZZZZ"]))
    words = [sys.executable, "-m", "metrics", "charades-classify", "--truth", str(charades), "--predictions", str(path)]
    done = subprocess.run(
        [*words, "--output", str(tmp_path / "o.json")], cwd=ROOT, capture_output=True, text=True, timeout=120
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(
        f"python -m metrics charades-classify: error: {path}, line 6: 1 of 6 predicted videos"
    )
    assert "Traceback" not in done.stderr
