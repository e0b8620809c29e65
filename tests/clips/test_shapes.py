import csv
import io
import json
from pathlib import Path

import numpy as np
import pytest

from clips import shapes
from clips.decoding import read_frames, read_index
from clips.shapes import COMPANIONS, LABELS, SPLITS, TEMPO_OF_LABEL, PlannedVideo, annotations, plan, write
from clips.shapes_motion import FAMILIES, FPS, TEMPOS, Activity, Actor, motion
from clips.shapes_render import SIDE, render


def families(video: PlannedVideo) -> set[str]:
    return {actor.family for actor in video.actors}


def labels(video: PlannedVideo) -> set[str]:
    return {FAMILIES[actor.family][act.twin] for actor in video.actors for act in actor.activities}


def test_sixteen_labels_of_three_tempos() -> None:
    assert len(set(LABELS)) == 16 and set(TEMPO_OF_LABEL) == set(LABELS)
    assert sorted(family for group in TEMPOS.values() for family in group) == sorted(FAMILIES)


def test_plan_is_a_function_of_size_and_seed() -> None:
    assert plan("tiny", 3) == plan("tiny", 3)
    assert plan("tiny", 3) != plan("tiny", 4)
    with pytest.raises(ValueError, match=r"size must be one of .*, got 'huge'"):
        plan("huge")  # type: ignore[arg-type]


@pytest.mark.parametrize("size", ["tiny", "demo"])
def test_every_label_occurs_in_training_and_test(size: shapes.Size) -> None:
    for split in ("train", "test"):
        found = set().union(*(labels(video) for video in plan(size) if video.split == split))
        assert found == set(LABELS), (split, set(LABELS) - found)


def test_labels_meet_as_often_as_documented() -> None:
    videos = plan("full")
    for first, second in COMPANIONS:
        both = sum({first, second} <= families(video) for video in videos)
        for family in (first, second):
            assert both / sum(family in families(video) for video in videos) == pytest.approx(
                shapes.P_TOGETHER, abs=0.03
            )
    for pair, opposite in ((0, 2), (1, 3)):
        assert not any(families(v) & set(COMPANIONS[pair]) and families(v) & set(COMPANIONS[opposite]) for v in videos)
    idle = [not actor.activities for video in videos for actor in video.actors]
    assert np.mean(idle) == pytest.approx(shapes.P_IDLE, abs=0.02)
    assert {len(video.actors) for video in videos} == {2, 3, 4}
    for family, twins in FAMILIES.items():
        present = [video for video in videos if labels(video) & set(twins)]
        share = np.mean([set(twins) <= labels(video) for video in present])
        limit = 0 if family in TEMPOS["slow"] else shapes.P_BOTH_TWINS
        assert share <= limit + 0.03, family


@pytest.mark.parametrize("family", FAMILIES)
def test_single_frames_of_twins_look_alike(family: str) -> None:
    """Each pose that one twin takes, the other takes for as long."""
    poses = []
    for twin in (0, 1):
        values = []
        for seed in range(300):
            activity = Activity(twin, 24, 168 if family in TEMPOS["slow"] else 72, 0.9)
            if family in ("flash", "dodge"):
                activity = Activity(twin, 24, 32, 1.0)
            course = motion(Actor(family, (28.0, 28.0), seed, (activity,)), 192)
            inside = slice(activity.start, activity.end)
            values.append(np.stack([course.x, course.y, course.radius, course.gain, np.sin(course.angle)])[:, inside])
        poses.append(np.concatenate(values, axis=1))
    for one, other in zip(*poses, strict=True):
        quantiles = np.linspace(0.05, 0.95, 10)
        spread = max(np.ptp(one), 1e-9)
        assert np.abs(np.quantile(one, quantiles) - np.quantile(other, quantiles)).max() < 0.06 * spread


def test_twins_differ_by_the_sign_of_their_motion() -> None:
    for family in TEMPOS["slow"]:
        slopes = []
        for twin in (0, 1):
            course = motion(Actor(family, (28.0, 28.0), 1, (Activity(twin, 0, 192, 0.0),)), 192)
            moved = {"size": course.radius, "drift": course.x, "glow": course.gain}[family]
            slopes.append(np.polyfit(np.arange(192), moved, 1)[0])
        assert slopes[0] * slopes[1] < 0


def test_annotations_are_exact_to_the_frame() -> None:
    videos = plan("tiny")
    rows = list(csv.DictReader(io.StringIO(annotations(videos))))
    assert {row["video"] for row in rows} == {video.name for video in videos}
    acts = [
        (video.name, FAMILIES[actor.family][act.twin], act.start, act.end)
        for video in videos
        for actor in video.actors
        for act in actor.activities
    ]
    found = [
        (r["video"], r["label"], round(float(r["start"]) * FPS), round(float(r["end"]) * FPS))
        for r in rows
        if r["label"]
    ]
    assert sorted(found) == sorted(acts)
    for video in videos:
        assert all(0 <= act.start < act.end <= video.num_frames for actor in video.actors for act in actor.activities)


def test_pixels_follow_the_motion() -> None:
    actor = Actor("dodge", (56.0, 56.0), 0, (Activity(0, 4, 8, 1.0),))
    frames = render((actor,), 12)
    assert frames.shape == (12, SIDE, SIDE, 3) and frames.dtype == np.uint8
    centre = [np.argwhere(frame[..., 0] > 150)[:, 1].mean() for frame in frames]
    assert centre == pytest.approx([56] * 4 + [44] * 2 + [68] * 2 + [56] * 4, abs=0.6)


def test_files_are_deterministic_resumable_and_guarded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(shapes._COUNTS, "tiny", (2, 1, 1))
    for folder in ("a", "b"):
        write(tmp_path / folder, "tiny", 1, workers=1)
    videos = plan("tiny", 1)
    for video in videos:
        assert (tmp_path / "a" / video.name).read_bytes() == (tmp_path / "b" / video.name).read_bytes()
    index = read_index(tmp_path / "a" / videos[0].name)
    assert index.total_frames == videos[0].num_frames and index.fps == pytest.approx(24)
    decoded = read_frames(index, np.array([0, 20]))
    drawn = render(videos[0].actors, videos[0].num_frames)[[0, 20]]
    assert np.abs(decoded.numpy().astype(int) - drawn).mean() < 6
    assert (tmp_path / "a" / "labels.txt").read_text().split() == list(LABELS)
    kept, lost = (tmp_path / "a" / video.name for video in videos[:2])
    whole, before = lost.read_bytes(), kept.stat().st_mtime_ns
    lost.unlink()
    write(tmp_path / "a", "tiny", 1, workers=1)
    assert lost.read_bytes() == whole and kept.stat().st_mtime_ns == before
    with pytest.raises(ValueError, match=r"holds .*'seed': 1.*, not .*'seed': 2.*; choose another root"):
        write(tmp_path / "a", "tiny", 2, workers=1)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("precious")
    with pytest.raises(ValueError, match="is not empty and not a TempoShapes folder"):
        write(tmp_path / "mine", "tiny", 1, workers=1)
    assert json.loads((tmp_path / "a" / "made_by.json").read_text())["version"] == shapes.VERSION
    assert {video.split for video in videos} == set(SPLITS)
