import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from annotations.label_names import label_names
from clips.encoding import write_video
from clips.video_table import VideoTable
from datamodules.charades import CharadesDataModule
from datamodules.charades_ego import CharadesEgoDataModule
from tests.conftest import moving_square

HEADER = "id,subject,scene,quality,relevance,verified,script,objects,descriptions,actions,length"
SMALL: dict[str, Any] = {"num_frames": 4, "fps": 24, "short_side": [32, 32], "crop_size": 32, "test_short_side": 32}
LOADING: dict[str, Any] = {"batch_size": 2, "num_workers": 0, "val_views": {4: [1, 1]}, "test_views": {4: [2, 1]}}


def table(path: Path, **actions: str) -> Path:
    """A file in the format of Charades with one row a video; all last 2 s."""
    rows = [f'{name},S1,Kitchen,6,7,Yes,"One, two.",cup,,{cell},2.00' for name, cell in actions.items()]
    path.write_text("\n".join([HEADER, *rows]) + "\n")
    return path


def videos(folder: Path, *names: str) -> Path:
    folder.mkdir()
    for name in names:
        write_video(folder / f"{name}.mp4", moving_square(np.random.default_rng(0), 48), fps=24)
    return folder


@pytest.fixture
def paths(tmp_path: Path) -> dict[str, Any]:
    """Two training and two validation videos, with an overlap, an end past the video, a reversed interval and no action."""
    return {
        "train": table(tmp_path / "train.csv", AAAA1="c092 0.50 1.20;c147 0.00 33.00;c011 1.90 0.10", AAAA2=""),
        "val": table(tmp_path / "test.csv", BBBB1="c000 0.00 1.00;c156 23.10 22.04", BBBB2=""),
        "root": videos(tmp_path / "Charades_v1_480", "AAAA1", "AAAA2", "BBBB1", "BBBB2"),
    }


def test_splits_are_the_two_lists_and_the_test_is_on_the_second(paths: dict[str, Any]) -> None:
    data = CharadesDataModule(**paths, **SMALL, **LOADING)
    assert data.num_labels == 157 and data.label_names == label_names("charades")
    assert [video.name for video in data.read_split("train")] == ["AAAA1", "AAAA2"]
    assert [video.path for video in data.read_split("val")] == [paths["root"] / f"BBBB{n}.mp4" for n in (1, 2)]
    assert data.read_split("test") == []
    data.setup("test")
    assert [video.name for video in data.videos["test"]] == ["BBBB1", "BBBB2"]


def test_real_oddities_are_loaded_without_a_setting(paths: dict[str, Any]) -> None:
    data = CharadesDataModule(**paths, **SMALL, **LOADING)
    assert data.spec.past_end == "clip"
    data.setup("fit")
    data.setup("test")
    assert sorted(number for batch in data.train_dataloader() for number in batch["index"].tolist()) == [0, 1]
    labels = {
        data.videos["test"][n].name: row
        for b in data.test_dataloader()
        for n, row in zip(b.index, b.labels, strict=True)
    }
    assert labels["BBBB1"].nonzero().flatten().tolist() == [0, 156], "a reversed interval labels its video"
    assert labels["BBBB2"].sum() == 0 and len(labels) == 2, "a video without action is tested on"
    with pytest.raises(ValueError, match="reaches past the end"):
        strict = CharadesDataModule(**paths, past_end="error", **SMALL, **LOADING)
        strict.setup("fit")
        list(strict.train_dataloader())


def test_target_of_a_clip_is_what_overlaps_it(tmp_path: Path) -> None:
    actions = [(92, 0.5, 1.2), (147, 0.0, 33.0), (11, 1.9, 0.1), (3, 1.0, 1.0), (5, 1.0, 1.3), (6, 2.5, 3.0)]
    cell = ";".join(f"c{label:03d} {start:.2f} {end:.2f}" for label, start, end in actions)
    root = tmp_path / "videos"
    root.mkdir()
    shades = np.arange(48, dtype=np.uint8)[:, None, None, None] * 5  # frame i is of shade 5 i
    write_video(root / "AAAA1.mp4", np.broadcast_to(shades, (48, 32, 32, 3)), fps=24)
    train, val = table(tmp_path / "train.csv", AAAA1=cell), table(tmp_path / "test.csv", BBBB1="")
    data = CharadesDataModule(train, val, root, clips_per_video=40, **{**SMALL, **LOADING})
    data.videos["train"] = VideoTable.from_videos(data.read_split("train"))
    seen = set()
    for batch in data.train_dataloader():
        for clip, labels in zip(batch["clips"], batch["labels"], strict=True):
            frames = (clip[0].float().mean(dim=(0, 2, 3)) / 5).round().int().tolist()
            assert frames == list(range(frames[0], frames[0] + 13, 4)), "four frames at rate 4"
            start, end = frames[0] / 24, frames[-1] / 24
            expected = {k for k, since, until in actions if until > since and since <= end and until > start}
            assert set(labels.nonzero().flatten().tolist()) == expected
            seen.add(frozenset(expected))
    assert {frozenset({147}), frozenset({147, 92}), frozenset({147, 92, 5})} <= seen


def test_videos_may_be_folders_of_frames(paths: dict[str, Any], tmp_path: Path) -> None:
    frames = tmp_path / "Charades_v1_rgb"
    (frames / "AAAA1").mkdir(parents=True)
    (frames / "AAAA2").mkdir()
    data = CharadesDataModule(**{**paths, "root": frames}, folder_fps=24, **SMALL)
    assert [video.path for video in data.read_split("train")] == [frames / "AAAA1", frames / "AAAA2"]


def test_missing_video_is_reported_when_the_split_is_needed(paths: dict[str, Any]) -> None:
    (paths["root"] / "AAAA2.mp4").unlink()
    with pytest.raises(ValueError, match=r"1 of 2 videos of the train split do not exist, the first: .*AAAA2\.mp4"):
        CharadesDataModule(**paths, **SMALL).setup("fit")


def test_a_video_of_both_lists_is_refused(paths: dict[str, Any], tmp_path: Path) -> None:
    paths["val"] = table(tmp_path / "test.csv", AAAA2="", BBBB1="")
    with pytest.raises(ValueError, match="'AAAA2' is in the train list and in the val list"):
        CharadesDataModule(**paths, **SMALL).read_split("train")


def test_json_form_holds_both_splits(paths: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "charades.json"
    content = {
        "AAAA1": {"subset": "training", "duration": 2.0, "actions": [[92, 0.5, 1.2]]},
        "BBBB1": {"subset": "testing", "duration": 2.0, "actions": [[0, 0.0, 1.0]]},
    }
    path.write_text(json.dumps(content))
    data = CharadesDataModule(path, path, paths["root"], **SMALL)
    ((train,), (val,)) = data.read_split("train"), data.read_split("val")
    assert (train.name, train.labels.tolist(), val.name, val.labels.tolist()) == ("AAAA1", [92], "BBBB1", [0])
    path.write_text(json.dumps({"AAAA1": content["AAAA1"]}))
    with pytest.raises(ValueError, match="has no video whose subset is testing"):
        data.read_split("val")


def test_charades_ego_is_trained_on_as_well_and_never_tested_on(paths: dict[str, Any], tmp_path: Path) -> None:
    ego = table(tmp_path / "ego.csv", CCCC1EGO="c001 0.00 1.00", CCCC1="c001 0.20 1.00")
    root = videos(tmp_path / "CharadesEgo_v1_480", "CCCC1", "CCCC1EGO")
    data = CharadesDataModule(**paths, ego_train=ego, ego_root=root, **SMALL, **LOADING)
    data.setup("fit")
    data.setup("test")
    assert [video.name for video in data.videos["train"]] == ["AAAA1", "AAAA2", "ego/CCCC1EGO", "ego/CCCC1"]
    assert [video.path.parent for video in data.videos["train"]] == [paths["root"]] * 2 + [root] * 2
    assert [video.name for video in data.videos["test"]] == ["BBBB1", "BBBB2"]
    assert int(torch.diagonal(data.cooccurrence())[1]) == 2
    table(ego, AAAA1="c002 0.00 1.00", BBBB1="")
    videos(tmp_path / "again", "AAAA1", "BBBB1")
    joined = {**paths, "ego_train": ego, "ego_root": tmp_path / "again", **SMALL, **LOADING}
    with pytest.raises(ValueError, match="'ego/BBBB1' has the id of a validation video"):
        CharadesDataModule(**joined).setup("fit")
    (tmp_path / "same.txt").write_text("ego/BBBB1\n")
    data = CharadesDataModule(**joined, leave_out=tmp_path / "same.txt")
    data.setup("fit")
    assert [video.name for video in data.videos["train"]] == ["AAAA1", "AAAA2", "ego/AAAA1"]
    with pytest.raises(ValueError, match="ego_train and ego_root belong together"):
        CharadesDataModule(**paths, ego_train=ego)


def test_charades_ego_alone(tmp_path: Path) -> None:
    root = videos(tmp_path / "CharadesEgo_v1_480", "CCCC1", "CCCC1EGO", "DDDD1EGO")
    train = table(tmp_path / "train.csv", CCCC1EGO="c001 0.00 1.00;c109 23.10 22.04", CCCC1="")
    val = table(tmp_path / "test.csv", DDDD1EGO="c156 0.00 9.00")
    data = CharadesEgoDataModule(train, val, root, **SMALL, **LOADING)
    assert data.num_labels == 157 and data.spec.past_end == "clip" and data.read_split("test") == []
    data.setup("fit")
    assert [(video.name, video.labels.tolist()) for video in data.videos["train"]] == [
        ("CCCC1EGO", [1, 109]),
        ("CCCC1", []),
    ]
    data.setup("test")
    assert [video.path for video in data.videos["test"]] == [root / "DDDD1EGO.mp4"]
    table(train, DDDD1EGO="")
    with pytest.raises(ValueError, match="'DDDD1EGO' is in the train list and in the val list"):
        data.setup("fit")
