import json
from pathlib import Path
from typing import Any

import pytest

from annotations.activitynet import read_activitynet
from annotations.label_names import label_names

NAMES = ["Archery", "BMX", "Zumba"]


def segment(start: Any, end: Any, label: Any = "BMX") -> dict[str, Any]:
    return {"segment": [start, end], "label": label}


def official(**database: Any) -> dict[str, Any]:
    return {"database": database, "taxonomy": [{"nodeId": 1, "nodeName": "BMX"}], "version": "VERSION 1.3"}


def entry(*annotations: Any, subset: str = "training") -> dict[str, Any]:
    return {"subset": subset, "duration": 20.5, "url": "u", "resolution": "320x240", "annotations": list(annotations)}


def reduced(*annotations: Any) -> dict[str, Any]:
    return {"duration_second": 20.5, "duration_frame": 500, "annotations": list(annotations), "feature_frame": 496}


def write(folder: Path, content: Any, subsets: str | None = None) -> tuple[Path, Path | None]:
    path = folder / "activitynet.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    if subsets is None:
        return path, None
    (folder / "subsets.csv").write_text(subsets)
    return path, folder / "subsets.csv"


def test_official_and_reduced_file_give_the_same_records(tmp_path: Path) -> None:
    rows = [segment(1.5, 30.0, "Zumba"), segment(4, 4)]  # past the end, and of no length
    path, _ = write(tmp_path, official(**{"v_abc-def_1": entry(*rows), "b": entry(subset="testing")}))
    first, second = read_activitynet(path, NAMES)
    assert first.name == "v_abc-def_1", "an official name may begin with v_"
    path, subsets = write(
        tmp_path,
        {"v_v_abc-def_1": reduced(*rows), "v_b": reduced()},
        "video,numFrame,subset\nv_b,9,testing\nv_v_abc-def_1,9,training\nv_other,9,validation\n",
    )
    for one, other in zip((first, second), read_activitynet(path, NAMES, subsets), strict=True):
        assert (one.name, one.subset, one.duration) == (other.name, other.subset, other.duration)
        assert one.labels.tolist() == other.labels.tolist() and one.intervals.tolist() == other.intervals.tolist()
    assert first.labels.tolist() == [2, 1] and first.intervals.tolist() == [[1.5, 30.0], [4.0, 4.0]]
    assert (first.subset, first.duration, second.subset, second.intervals.shape) == (
        "training",
        20.5,
        "testing",
        (0, 2),
    )
    assert [video.subset for video in read_activitynet(path, NAMES)] == ["", ""]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (official(a=entry(segment(1, 2), segment(1, 2, "Chess"))), "video 'a', annotation 1: unknown label 'Chess'"),
        (official(a=entry(segment(1, 2, ["BMX"]))), "annotation 0: unknown label"),
        (official(a=entry({"segment": [1, 2, 3], "label": "BMX"})), "annotation 0: expected .*segment"),
        (official(a=entry({"label": "BMX"})), "annotation 0: expected .*segment"),
        (official(a=entry(segment(1, "x"))), "annotation 0: end must be a finite number of seconds, got 'x'"),
        (
            official(a=entry(segment(float("nan"), 2))),
            "annotation 0: start must be a finite number of seconds, got nan",
        ),
        (official(a=entry(subset="train")), "video 'a': subset must be one of .*got 'train'"),
        (
            official(a={"subset": "training", "annotations": []}),
            r"expected a video with the keys \['subset', 'duration', ",
        ),
        (official(a={**entry(), "duration": None}), "video 'a': duration must be a finite number"),
        (official(a={**entry(), "annotations": {}}), "annotations must be a list"),
        ({"database": [1]}, "database must be an object of videos, got a list"),
        ({"a": reduced()}, "video 'a': expected a video with the keys .* named v_ID"),
        ({"v_a": {}}, "video 'v_a': expected a video with the keys"),
        ('{"v_a": 1, "v_a": 1}', "'v_a' is there twice"),
        ({}, "has no video"),
        (official(), "has no video"),
        (f'{{"v_a": {"9" * 5000}}}', "cannot be read as JSON"),
        (official(a={**entry(), "duration": int("9" * 400)}), "video 'a': duration must be a finite number"),
    ],
)
def test_malformed_file_is_refused_with_video_and_annotation(tmp_path: Path, content: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message) as error:
        read_activitynet(write(tmp_path, content)[0], NAMES)
    assert "activitynet.json" in str(error.value)


@pytest.mark.parametrize(
    ("subsets", "message"),
    [
        ("video,split\nv_a,training\n", "line 1: column 'subset' is missing"),
        ("video,subset\nv_a,train\n", "line 2: subset must be one of .*got 'train'"),
        ("video,subset\nv_a,training\nv_a,testing\n", "line 3: video 'v_a' is there twice"),
        ("video,subset\nv_a,training,1\n", "line 2: expected 2 cells, got 3"),
        ("video,subset\nv_a\n", "line 2: expected 2 cells, got 1"),
        ("video,subset\n,training\n", "line 2: the video is empty"),
        ("video,subset,video\nv_a,training,v_a\n", "line 1: column 'video' is there twice"),
        ('video,subset\nv_b,training\nv_a,"training\n', "line 3: the row that begins here is no CSV"),
        ("", "subsets.csv is empty"),
        ("video,subset\nv_b,training\n", "video 'v_a': the video has no row in the file of the subsets"),
    ],
)
def test_malformed_subsets_are_refused(tmp_path: Path, subsets: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read_activitynet(*_swap(write(tmp_path, {"v_a": reduced()}, subsets)))


def _swap(paths: tuple[Path, Path | None]) -> tuple[Path, list[str], Path | None]:
    return paths[0], NAMES, paths[1]


def test_subsets_beside_the_official_file_or_absent_are_refused(tmp_path: Path) -> None:
    path, subsets = write(tmp_path, official(a=entry()), "video,subset\nv_a,training\n")
    with pytest.raises(ValueError, match="states the subsets itself"):
        read_activitynet(path, NAMES, subsets)
    path, _ = write(tmp_path, {"v_a": reduced()})
    with pytest.raises(ValueError, match="does not exist"):
        read_activitynet(path, NAMES, tmp_path / "absent.csv")


def test_real_file_holds_all_videos(shared_data: Path) -> None:
    folder, names = shared_data / "activitynet", label_names("activitynet")
    videos = read_activitynet(folder / "anet_anno_action.json", names, folder / "video_info_new.csv")
    subsets = [video.subset for video in videos]
    assert len(videos) == 19228 and not any(video.name.startswith("v_v_") for video in videos)
    assert [subsets.count(name) for name in ("training", "validation", "testing")] == [9649, 4728, 4851]
    assert sum(len(set(video.labels.tolist())) == 2 for video in videos) == 11
    assert {len(video.labels) for video in videos if video.subset == "testing"} == {0}
    assert sum(len(video.labels) for video in videos) == 22152
    assert sum(int((video.intervals[:, 0] == video.intervals[:, 1]).sum()) for video in videos) == 12
    content = json.loads((folder / "anet_anno_action.json").read_text())
    assert names == sorted({row["label"] for video in content.values() for row in video["annotations"]})
    for video in videos[::997]:
        rows = content[f"v_{video.name}"]["annotations"]
        assert [names[k] for k in video.labels] == [row["label"] for row in rows]
        assert video.intervals.tolist() == [row["segment"] for row in rows]
