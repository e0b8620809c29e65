"""`python -m metrics` on files of segments and boxes: every value against plain loops."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from annotations.label_names import label_names
from tests.metrics.conftest import Run, refused

Row = tuple[str, str, float, float, float]  # video, label, start, end, score


def area_of(ranked: list[tuple[float, bool]], positives: int, *, interpolated: bool) -> float | None:
    """Area under the curve of (score, hit) rows with equal scores taken together; None without a positive."""
    if not positives:
        return None
    points, last = [], 0.0
    for score in sorted({score for score, _ in ranked}, reverse=True):
        above = [hit for s, hit in ranked if s >= score]
        points.append((sum(above) / positives, sum(above) / len(above)))
    area = 0.0
    for i, (recall, precision) in enumerate(points):
        height = max(p for _, p in points[i:]) if interpolated else precision
        area, last = area + (recall - last) * height, recall
    return area


def mean(values: list[float | None]) -> float:
    present = [value for value in values if value is not None]
    return sum(present) / len(present)


def tiou(a: tuple[float, float], b: tuple[float, float]) -> float:
    shared = min(a[1], b[1]) - max(a[0], b[0])
    return shared / (a[1] - a[0] + b[1] - b[0] - shared) if shared > 0 else 0.0


def prediction_first(truth: list[Row], predictions: list[Row], threshold: float) -> float | None:
    """ActivityNet's AP of one label: each prediction, by falling score, takes the free truth it overlaps most."""
    free, ranked = sorted(truth, key=lambda row: (row[0], row[2], row[3])), []
    for row in sorted(predictions, key=lambda row: (-row[4], row[0], row[2], row[3])):
        near = [(tiou(row[2:4], t[2:4]), t) for t in free if t[0] == row[0]]
        best = max(near, key=lambda pair: pair[0], default=(0.0, row))
        hit = best[0] >= threshold
        if hit:
            free.remove(best[1])
        ranked.append((row[4], hit))
    return area_of(ranked, len(truth), interpolated=True)


def truth_first(truth: list[Row], predictions: list[Row], threshold: float, ambiguous: list[Row]) -> float | None:
    """THUMOS'14's AP of one label: each truth takes the free prediction it overlaps most; ambiguous misses are dropped."""
    order = sorted(range(len(predictions)), key=lambda i: -predictions[i][4])
    hit = dict.fromkeys(order, False)
    for t in sorted(truth, key=lambda row: (row[0], row[2], row[3])):
        near = [(tiou(predictions[i][2:4], t[2:4]), i) for i in order if predictions[i][0] == t[0] and not hit[i]]
        overlap, i = max(near, key=lambda pair: pair[0], default=(0.0, -1))
        if overlap > threshold:
            hit[i] = True
    kept = [
        i
        for i in order
        if hit[i] or not any(a[0] == predictions[i][0] and tiou(a[2:4], predictions[i][2:4]) > 0 for a in ambiguous)
    ]
    return area_of([(predictions[i][4], hit[i]) for i in kept], len(truth), interpolated=False)


def activitynet(path: Path, truth: list[Row], extra: tuple[str, ...] = ()) -> Path:
    """The official JSON of these validation videos, of a training and of a testing video."""
    database: dict[str, Any] = {
        name: {"subset": "validation", "duration": 100.0, "annotations": []}
        for name in (*dict.fromkeys(r[0] for r in truth), *extra)
    }
    for name, label, start, end, _ in truth:
        database[name]["annotations"].append({"segment": [start, end], "label": label})
    sit = [{"segment": [0, 9], "label": "Archery"}]
    database |= {"tr": {"subset": "training", "duration": 9.0, "annotations": sit}}
    database |= {"te": {"subset": "testing", "duration": 9.0, "annotations": []}}
    path.write_text(json.dumps({"version": "VERSION 1.3", "taxonomy": [], "database": database}))
    return path


def submission(path: Path, rows: list[Row], keys: tuple[str, ...], videos: list[str]) -> Path:
    results: dict[str, list[Any]] = {name: [] for name in videos}
    for name, label, start, end, score in rows:
        entry = {"label": label, "segment": [start, end], "score": score}
        results[name].append({key: entry[key] for key in (*keys, "score")})
    path.write_text(json.dumps({"version": "VERSION 1.3", "results": results, "external_data": {"used": False}}))
    return path


def random_rows(seed: int, videos: list[str], labels: list[str], count: int) -> list[Row]:
    """Segments on a coarse grid with few scores: overlaps at thresholds, ties, several on one truth."""
    random = np.random.default_rng(seed)
    rows = {}
    for _ in range(count):
        start, length = float(random.integers(0, 30)), float(random.integers(1, 12))
        video, label = str(random.choice(videos)), str(random.choice(labels))
        rows[video, label, start, start + length] = float(random.integers(1, 9)) / 8
    return [(*key, score) for key, score in rows.items()]


VIDEOS = ["v1", "v2", "v3", "v4"]
LABELS = ["Archery", "Ballet", "Zumba"]


def test_activitynet_detection_equals_plain_loops(tmp_path: Path, run: Run) -> None:
    truth, predictions = random_rows(0, VIDEOS, LABELS[:2], 25), random_rows(1, VIDEOS, LABELS, 60)
    found = run(
        *("activitynet-detection", "--truth", activitynet(tmp_path / "t.json", truth), "--bootstrap", 5),
        *("--predictions", submission(tmp_path / "p.json", predictions, ("label", "segment"), VIDEOS)),
    )
    tables = {}
    for i in range(10):
        threshold = float(np.linspace(0.5, 0.95, 10)[i])
        tables[i] = [
            prediction_first([t for t in truth if t[1] == name], [p for p in predictions if p[1] == name], threshold)
            for name in label_names("activitynet")
        ]
        assert found[f"map_{threshold:.2f}"] == pytest.approx(mean(tables[i]), abs=1e-12)
    assert 0.05 < found["map_0.50"] < 0.9
    assert found["map_average"] == pytest.approx(sum(mean(table) for table in tables.values()) / 10, abs=1e-12)
    assert found["map_average_absent_zero"] == pytest.approx(found["map_average"] * 2 / 200, abs=1e-12)
    archery = sum(table[label_names("activitynet").index("Archery")] or 0.0 for table in tables.values()) / 10
    assert found["per_class"]["Archery"] == pytest.approx(archery, abs=1e-12)
    assert found["per_class"]["Zumba"] is None
    assert found["num_videos"] == 4
    assert found["map_average_low"] <= found["map_average_high"] and "map_0.75_low" in found


def test_activitynet_classification_equals_plain_loops(
    tmp_path: Path, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    truth = [("v1", "Archery", 3.0, 4.0, 0.0), *random_rows(0, VIDEOS, LABELS[:2], 6), ("v3", "Zumba", 1.0, 2.0, 0.0)]
    random = np.random.default_rng(5)
    names = label_names("activitynet")
    scored = {*names[::7], *LABELS}
    predictions: list[Row] = [
        (v, name, 0, 0, float(random.integers(1, 9)) / 8) for v in VIDEOS for name in names if name in scored
    ]
    found = run(
        *("activitynet-classification", "--truth", activitynet(tmp_path / "t.json", truth, tuple(VIDEOS))),
        *("--predictions", submission(tmp_path / "p.json", predictions, ("label",), VIDEOS), "--per-class"),
    )
    labels = {video: {t[1] for t in truth if t[0] == video} for video in {t[0] for t in truth}}
    values = [
        area_of(
            [(p[4], name in labels.get(p[0], ())) for p in predictions if p[1] == name],
            sum(name in own for own in labels.values()),
            interpolated=True,
        )
        for name in names
    ]
    assert found["map"] == pytest.approx(mean(values), abs=1e-12)
    positives = sum("Archery" in own for own in labels.values())
    assert positives < sum(t[1] == "Archery" for t in truth)  # some video has several segments of it
    line = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("Archery "))
    assert line.split()[1] == str(positives)
    for k in (1, 3):
        shares = []
        for video, own in labels.items():
            scores = {p[1]: p[4] for p in predictions if p[0] == video}
            ranked = sorted(scores, key=lambda n: (-scores[n], n in own, names.index(n)))  # ties: wrong labels first
            first = own.intersection(ranked[:k])
            shares.append(len(first) / len(own))
        assert found[f"hit_at_{k}"] == pytest.approx(sum(share > 0 for share in shares) / len(shares), abs=1e-12)
        assert found[f"average_hit_at_{k}"] == pytest.approx(sum(shares) / len(shares), abs=1e-12)


def test_activitynet_proposal_equals_plain_loops(tmp_path: Path, run: Run) -> None:
    truth, proposals = random_rows(0, VIDEOS, LABELS[:1], 12), random_rows(1, VIDEOS, LABELS[:1], 90)
    found = run(
        *("activitynet-proposal", "--truth", activitynet(tmp_path / "t.json", truth), "--largest", 10),
        *("--predictions", submission(tmp_path / "p.json", proposals, ("segment",), VIDEOS)),
    )
    ranked = {v: sorted((p for p in proposals if p[0] == v), key=lambda p: (-p[4], p[2], p[3])) for v in VIDEOS}
    share = 10 * len(VIDEOS) / len(proposals)
    kept = {v: rows[: int(len(rows) * share)] for v, rows in ranked.items()}
    total = sum(map(len, kept.values()))
    recall, numbers = [], []
    for level in range(1, 101):
        part = level / 100 * (10 * len(VIDEOS) / total)
        seen = {v: rows[: min(int(len(rows) * part), len(rows))] for v, rows in kept.items()}
        hits = [
            any(tiou(p[2:4], t[2:4]) >= threshold for p in seen[t[0]])
            for threshold in np.linspace(0.5, 0.95, 10)
            for t in truth
        ]
        recall.append(sum(hits) / len(hits))
        numbers.append(part * total / len(VIDEOS))
    area = sum((numbers[i + 1] - numbers[i]) * (recall[i] + recall[i + 1]) / 2 for i in range(99)) / numbers[-1]
    assert found["auc"] == pytest.approx(area, abs=1e-12)
    for number in (1, 5, 10):
        assert found[f"ar_at_{number}"] == pytest.approx(recall[number * 10 - 1], abs=1e-12)
    assert 0 < found["ar_at_5"] < found["ar_at_10"] and "ar_at_50" not in found


def test_official_samples_score_only_with_allow_missing(
    shared_data: Path, run: Run, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    folder = shared_data / "activitynet"
    words = [
        *("activitynet-classification", "--truth", folder / "anet_anno_action.json", folder / "video_info_new.csv"),
        *("--predictions", folder / "sample_classification_prediction.json"),
    ]
    message = refused(capsys, *words)
    assert "198 of 4926 predicted videos are not in the truth (" in message
    assert "sample_classification_prediction.json, results['" in message and "--allow-missing" in message
    found = run(*words, "--allow-missing")
    truth, predicted = sample(folder, "classification")
    values = []
    for name in label_names("activitynet"):
        own = {video for video, rows in truth.items() if any(row["label"] == name for row in rows)}
        rows = [(row["score"], video in own) for video in predicted for row in predicted[video] if row["label"] == name]
        values.append(area_of(rows, len(own), interpolated=True))
    assert found["map"] == pytest.approx(mean(values), abs=1e-12)
    hits = []
    for video, rows in truth.items():
        own, scores = {row["label"] for row in rows}, {row["label"]: row["score"] for row in predicted[video]}
        hits.append(min(scores, key=lambda n: (-scores[n], n in own)) in own)
    assert found["hit_at_1"] == pytest.approx(sum(hits) / len(hits), abs=1e-12)
    assert (found["num_videos"], found["num_unknown_videos"], found["num_missing_videos"]) == (4728, 198, 0)


def test_official_detection_sample_equals_plain_loops(shared_data: Path, run: Run) -> None:
    folder = shared_data / "activitynet"
    found = run(
        *("activitynet-detection", "--truth", folder / "anet_anno_action.json", folder / "video_info_new.csv"),
        *("--predictions", folder / "sample_detection_prediction.json", "--allow-missing"),
    )
    truth, predicted = sample(folder, "detection")
    rows: dict[str, tuple[list[Row], list[Row]]] = {name: ([], []) for name in label_names("activitynet")}
    for kind, table in enumerate((truth, predicted)):
        for video, entries in table.items():
            for entry in entries:
                start, end = entry["segment"]
                rows[entry["label"]][kind].append((video, entry["label"], start, end, entry.get("score", 0.0)))
    for threshold in (0.5, 0.75, 0.95):
        values = [prediction_first_by_video(*parts, threshold) for parts in rows.values()]
        assert found[f"map_{threshold:.2f}"] == pytest.approx(mean(values), abs=1e-12)
    assert "19 predictions repeat another one exactly" in found["notes"][1]


def sample(folder: Path, task: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Annotations of the validation videos, and the official sample predictions of these videos."""
    lines = (folder / "video_info_new.csv").read_text().splitlines()[1:]
    subset = {line.split(",")[0]: line.split(",")[5] for line in lines}
    truth = json.loads((folder / "anet_anno_action.json").read_text())
    kept = {name[2:]: video["annotations"] for name, video in truth.items() if subset[name] == "validation"}
    predicted = json.loads((folder / f"sample_{task}_prediction.json").read_text())["results"]
    return kept, {name: rows for name, rows in predicted.items() if name in kept}


def prediction_first_by_video(truth: list[Row], predictions: list[Row], threshold: float) -> float | None:
    """`prediction_first` where all scores are equal, so that videos can be matched one after the other."""
    assert {row[4] for row in predictions} == {1.0}
    hits = 0
    for video in {row[0] for row in truth}:
        free = sorted(row[2:4] for row in truth if row[0] == video)
        for row in sorted(row[2:4] for row in predictions if row[0] == video):
            overlaps = [tiou(row, other) for other in free]
            if overlaps and max(overlaps) >= threshold:
                free.pop(overlaps.index(max(overlaps)))
                hits += 1
    return hits / len(truth) * hits / len(predictions)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (("v1", "archery", 0, 1, 0.5), r"results['v1'][0]: unknown label 'archery'; expected one of 200 known ones"),
        (("v1", "archery", 0, 1, 0.5), "did you mean 'Archery'?"),
        (("tr", "Archery", 0, 1, 0.5), "results['tr']: 1 of 5 predicted videos are not in the truth (tr); expected"),
    ],
)
def test_activitynet_refuses_bad_predictions(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], row: Row, message: str
) -> None:
    truth = activitynet(tmp_path / "t.json", random_rows(0, VIDEOS, LABELS, 20))
    videos = sorted({*VIDEOS, row[0]})
    path = submission(tmp_path / "p.json", [row], ("label", "segment"), videos)
    assert message in refused(capsys, "activitynet-detection", "--truth", truth, "--predictions", path)


def test_activitynet_classification_refuses_a_label_given_twice(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    truth = activitynet(tmp_path / "t.json", [("v1", "Archery", 0.0, 1.0, 0.0)])
    rows = [("v1", "Archery", 0.0, 0.0, 0.5), ("v1", "Ballet", 0.0, 0.0, 0.5), ("v1", "Archery", 0.0, 0.0, 0.25)]
    path = submission(tmp_path / "p.json", rows, ("label",), ["v1"])
    message = refused(capsys, "activitynet-classification", "--truth", truth, "--predictions", path)
    assert (
        "results['v1'][2]: label 'Archery' of this video stands in results['v1'][0] already; keep one of them"
        in message
    )


def test_activitynet_says_when_the_subsets_are_missing(
    shared_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    truth = shared_data / "activitynet" / "anet_anno_action.json"
    path = submission(tmp_path / "p.json", [], ("label",), ["v1"])
    words = ["activitynet-classification", "--predictions", path, "--truth", truth]
    assert "does not say which video is of the subset 'validation'; give the CSV file" in refused(capsys, *words)
    assert "expected one JSON file and at most one CSV file of subsets, got" in refused(capsys, *words, truth)


def thumos_folder(folder: Path, labels: list[str], rows: list[Row], ending: str, ambiguous: list[Row]) -> Path:
    folder.mkdir()
    files = {name: [row for row in rows if row[1] == name] for name in labels}
    files |= {"Ambiguous": ambiguous} if ambiguous else {}
    for name, part in files.items():
        part = part or [("video_validation_0000099", name, 0.0, 1.0, 0.0)]  # no file may be empty; not of the test set
        (folder / f"{name}{ending}.txt").write_text(
            "".join(f"{v}  {start:.1f} {end:.1f}\n" for v, _, start, end, _ in part)
        )
    return folder


def result_lines(path: Path, rows: list[Row], names: dict[str, object]) -> Path:
    path.write_text("".join(f"{v} {start} {end} {names[label]} {score}\n" for v, label, start, end, score in rows))
    return path


TESTS = ["video_test_0000001", "video_test_0000002", "video_test_0000003"]


@pytest.mark.parametrize("numbered", [True, False])
def test_thumos14_prints_both_programs_side_by_side(tmp_path: Path, run: Run, numbered: bool) -> None:
    names = label_names("thumos14")
    truth, predictions = random_rows(3, TESTS, names[:3], 30), random_rows(4, TESTS, names[:4], 80)
    ambiguous: list[Row] = [
        (TESTS[1], "Ambiguous", 3.0, 9.0, 0.0),
        (TESTS[2], "Ambiguous", 20.0, 25.0, 0.0),
        ("video_test_0000099", "Ambiguous", 0.0, 1.0, 0.0),  # of a video that has no label, and so is not scored
    ]
    folder = thumos_folder(tmp_path / "annotation", names, truth, "_test", ambiguous)
    (folder / "detclasslist.txt").write_text("7 BaseballPitch\n9 BasketballDunk\n")
    written: dict[str, object] = (
        dict(zip(names, (7, 9, 12, 21), strict=False)) if numbered else {name: name for name in names}
    )
    path = result_lines(tmp_path / "p.txt", predictions, written)
    found = run("thumos14-detection", "--truth", folder, "--predictions", path)
    for name in ("map", "official_map"):
        means = {}
        for i, threshold in enumerate(np.linspace(0.1, 0.7, 7).tolist()):
            values = []
            for label in names:
                own = [t for t in truth if t[1] == label], [p for p in predictions if p[1] == label]
                values.append(
                    prediction_first(*own, threshold) if name == "map" else truth_first(*own, threshold, ambiguous)
                )
            means[i] = mean(values)
            assert found[f"{name}_{threshold:.1f}"] == pytest.approx(means[i], abs=1e-12)
        assert found[f"{name}_average"] == pytest.approx(sum(means[i] for i in range(2, 7)) / 5, abs=1e-12)
        assert found[f"{name}_average_0.1_0.7"] == pytest.approx(sum(means.values()) / 7, abs=1e-12)
        assert found[f"{name}_average_0.1_0.5"] == pytest.approx(sum(means[i] for i in range(5)) / 5, abs=1e-12)
    assert found["map_0.5"] != pytest.approx(found["official_map_0.5"])
    assert any("2 ambiguous segments" in note for note in found["notes"])


def test_multithumos_detection_averages_nine_thresholds(tmp_path: Path, run: Run) -> None:
    names = label_names("multithumos")
    truth, predictions = random_rows(3, TESTS, names[:3], 30), random_rows(4, TESTS, names[:4], 80)
    folder = thumos_folder(tmp_path / "annotations", names, truth, "", [])
    path = result_lines(tmp_path / "p.txt", predictions, {name: k for k, name in enumerate(names, 1)})
    found = run("thumos14-detection", "--labels", "multithumos", "--truth", folder, "--predictions", path)
    values = [
        mean(
            [
                prediction_first([t for t in truth if t[1] == n], [p for p in predictions if p[1] == n], i / 10)
                for n in names
            ]
        )
        for i in range(1, 10)
    ]
    assert found["map_average"] == pytest.approx(sum(values) / 9, abs=1e-9)
    assert found["map_0.9"] == pytest.approx(values[-1], abs=1e-9)


def test_thumos14_refuses_unknown_labels_and_videos(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names = label_names("thumos14")
    folder = thumos_folder(tmp_path / "annotation", names, random_rows(3, TESTS[:2], names, 60), "_test", [])
    words = ["thumos14-detection", "--truth", folder, "--predictions", tmp_path / "p.txt"]
    good = "video_test_0000001 0 1 7 .5\nvideo_test_0000002 0 1 9 .5\n"
    for line, message in (
        (
            "video_test_0000001 0 1 8 .5\n",
            f"{tmp_path / 'p.txt'}, line 3: unknown label '8'; expected one of 40 known ones",
        ),
        (
            "video_test_0000003 0 1 7 .5\n",
            f"{tmp_path / 'p.txt'}, line 3: 1 of 3 predicted videos are not in the truth",
        ),
    ):
        (tmp_path / "p.txt").write_text(good + line)
        assert message in refused(capsys, *words)


AvaRow = tuple[str, int, tuple[float, float, float, float], int, float]


def ava_iou(a: tuple[float, ...], b: tuple[float, ...]) -> float:
    width, height = (min(a[i + 2], b[i + 2]) - max(a[i], b[i]) for i in (0, 1))
    if width <= 0 or height <= 0:
        return 0.0
    return width * height / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - width * height)


def ava_value(truth: list[AvaRow], predictions: list[AvaRow], label: int) -> float | None:
    """VOC's AP of one label: a prediction looks only at the truth that it overlaps most."""
    own, taken, ranked = [t for t in truth if t[3] == label], set(), []
    for row in sorted((p for p in predictions if p[3] == label), key=lambda p: -p[4]):
        near = [(ava_iou(row[2], t[2]), t[:3]) for t in own if t[:2] == row[:2]]
        overlap, key = max(near, default=(0.0, row[:3]))
        hit = overlap >= 0.5 and key not in taken
        if hit:
            taken.add(key)
        ranked.append((row[4], hit))
    return area_of(ranked, len(own), interpolated=True)


def ava_csv(path: Path, rows: list[AvaRow]) -> Path:
    path.write_text(
        "".join(f"{v},{s:04d},{','.join(map(str, box))},{label},{last}\n" for v, s, box, label, last in rows)
    )
    return path


def ava_rows(seed: int, count: int, labels: tuple[int, ...], *, persons: bool) -> list[AvaRow]:
    random = np.random.default_rng(seed)
    rows = {}
    for i, score in enumerate(random.permutation(count) + 1):
        x, y = (float(random.choice([0.1, 0.15, 0.5])) for _ in range(2))
        key = (
            f"m{random.integers(3)}",
            int(random.integers(902, 905)),
            (x, y, x + 0.25, y + 0.25),
            int(random.choice(labels)),
        )
        rows[key] = float(i) if persons else float(score) / count
    return [(*key, int(last) if persons else last) for key, last in rows.items()]


def test_ava_equals_plain_loops(tmp_path: Path, run: Run) -> None:
    truth, predictions = (
        ava_rows(0, 60, (12, 17, 80, 2), persons=True),
        ava_rows(1, 400, (12, 17, 80, 2), persons=False),
    )
    (tmp_path / "map.pbtxt").write_text(
        'item { name: "stand" id: 12 } item { name: "carry" id: 17 }\n'
        'item { name: "watch" id: 80 } item { name: "dance" id: 3 }'
    )
    (tmp_path / "excluded.csv").write_text("m0,0902\n")
    found = run(
        *("ava", "--truth", ava_csv(tmp_path / "t.csv", truth), "--labels", tmp_path / "map.pbtxt"),
        *(
            "--predictions",
            ava_csv(tmp_path / "p.csv", predictions),
            "--exclude",
            tmp_path / "excluded.csv",
            "--bootstrap",
            4,
        ),
    )
    kept = [[r for r in rows if r[3] != 2 and r[:2] != ("m0", 902)] for rows in (truth, predictions)]
    assert max(sum(p[:2] == q[:2] for p in kept[1]) for q in kept[1]) < 50  # no image is full
    values = {label: ava_value(kept[0], kept[1], label) for label in (3, 12, 17, 80)}
    assert found["map"] == pytest.approx(mean(list(values.values())), abs=1e-12)
    assert found["map_all_boxes"] == found["map"]
    names = {"dance": 3, "stand": 12, "carry": 17, "watch": 80}
    assert found["per_class"] == {name: pytest.approx(values[label], abs=1e-12) for name, label in names.items()}
    assert found["map_person_movement"] == pytest.approx(values[12], abs=1e-12)
    assert found["map_object_manipulation"] == pytest.approx(values[17], abs=1e-12)
    assert found["map_person_interaction"] == pytest.approx(values[80], abs=1e-12)
    assert found["map_low"] <= found["map_high"]
    other, excluded = sum(r[3] == 2 for r in predictions), sum(r[:2] == ("m0", 902) for r in predictions)
    head = f"of {len(predictions)} predicted rows are"
    assert f"{other} {head} of actions outside the label map and do not count" in found["notes"]
    assert f"{excluded} {head} at excluded keyframes and do not count" in found["notes"]


def test_ava_reads_fifty_boxes_an_image_and_prints_all_beside(tmp_path: Path, run: Run) -> None:
    box, far = (0.1, 0.1, 0.4, 0.4), (0.5, 0.5, 0.9, 0.9)
    predictions: list[AvaRow] = [("m0", 902, far, 17, 1 - i / 100) for i in range(50)] + [("m0", 902, box, 12, 0.1)]
    (tmp_path / "map.pbtxt").write_text('item { name: "stand" id: 12 } item { name: "carry" id: 17 }')
    found = run(
        *("ava", "--truth", ava_csv(tmp_path / "t.csv", [("m0", 902, box, 12, 0)]), "--labels", tmp_path / "map.pbtxt"),
        *("--predictions", ava_csv(tmp_path / "p.csv", predictions)),
    )
    assert (found["map"], found["map_all_boxes"]) == (0.0, 1.0)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("m0,0902,0.1,0.1,0.4,0.4,12\n", "p.csv, line 1: expected 8 cells"),
        ("m0,0902,0.1,0.1,0.4,0.4,12,nan\n", "p.csv, line 1: expected a finite score, got nan"),
        ("m0,0902,0.1,0.1,0.4,0.4,,0.9\n", "p.csv, line 1: the row has no action, as 1 rows; expected one of 1 to 80"),
        (
            "m0,0902,0.1,0.1,0.4,0.4,12,0.9\nm0,0902,0.1,0.1,0.4,0.4,12,0.8\nm0,0902,0.1,0.1,0.4,0.4,12,0.9\n",
            "p.csv, line 3: repeats line 1; remove it",
        ),
        (
            "m0,0902,0.1,0.1,0.4,0.4,12,0.9\nm7,0902,0.1,0.1,0.4,0.4,12,0.9\n",
            "p.csv, line 2: 1 of 2 predicted videos are not",
        ),
    ],
)
def test_ava_refuses_bad_rows_by_their_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, message: str
) -> None:
    (tmp_path / "p.csv").write_text(text)
    (tmp_path / "map.pbtxt").write_text('item { name: "stand" id: 12 }')
    truth = ava_csv(tmp_path / "t.csv", [("m0", 902, (0.1, 0.1, 0.4, 0.4), 12, 0)])
    words = ["ava", "--truth", truth, "--labels", tmp_path / "map.pbtxt", "--predictions", tmp_path / "p.csv"]
    assert message in refused(capsys, *words)
