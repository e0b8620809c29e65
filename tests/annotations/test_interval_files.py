from pathlib import Path

import numpy as np
import pytest

from annotations.interval_files import read_interval_files
from annotations.label_names import label_names

NAMES = ["Walk", "BodyBend", "Diving"]  # not in alphabetical order


def write(folder: Path, **files: str) -> list[Path]:
    for name, text in files.items():
        (folder / f"{name}.txt").write_text(text)
    return sorted(folder.glob("*.txt"))


def test_labels_are_places_in_the_list_of_names_whatever_the_order_of_the_files(tmp_path: Path) -> None:
    paths = write(
        tmp_path,
        Walk="video_test_0000004 0.20 1.10\nvideo_validation_0000050 3.00 3.00\n",
        BodyBend="video_validation_0000050  0.5 900.25\n\nvideo_test_0000004 2.0 1.0\nvideo_test_0000004 0.2 1.1\n",
        Diving="video_test_0000004 7 8\n",
    )
    videos = read_interval_files(paths, NAMES)
    assert [v.name for v in videos] == ["video_test_0000004", "video_validation_0000050"]
    assert [v.labels.tolist() for v in videos] == [[0, 1, 1, 2], [0, 1]]
    assert videos[0].intervals.tolist() == [[0.2, 1.1], [2.0, 1.0], [0.2, 1.1], [7.0, 8.0]]
    assert videos[1].intervals.tolist() == [[3.0, 3.0], [0.5, 900.25]]
    assert all(v.subset == "" and v.duration is None and v.labels.dtype == np.int64 for v in videos)
    assert videos[0].where == f"{tmp_path / 'Walk.txt'}, line 1"
    assert [v.labels.tolist() for v in read_interval_files(paths[::-1], NAMES)] == [[0, 1, 1, 2], [0, 1]]


def test_files_of_thumos_name_class_and_part(tmp_path: Path) -> None:
    names = ["Diving", "Billiards"]
    paths = write(
        tmp_path,
        Diving_val="video_validation_0000001 1 2\n",
        Diving_test="video_test_0000001  3 4\n",
        Billiards_val="video_validation_0000002 1 2\n",
        Billiards_test="video_test_0000001 5 6\n",
    )
    videos = {v.name: v for v in read_interval_files(paths, names)}
    assert videos["video_test_0000001"].labels.tolist() == [0, 1]
    assert videos["video_test_0000001"].intervals.tolist() == [[3, 4], [5, 6]]
    assert videos["video_validation_0000001"].labels.tolist() == [0]
    with pytest.raises(ValueError, match=r"1 of 2 classes have no file, the first: .*Billiards_test\.txt"):
        read_interval_files([path for path in paths if path.stem != "Billiards_test"], names)


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"Walk": "", "Diving": ""}, "1 of 3 classes have no file, the first: .*BodyBend.txt"),
        (
            {"Walk": "", "Diving": "", "BodyBend": "", "Ambiguous": ""},
            "Ambiguous.txt is not named by one of the 3 classes",
        ),
        ({"Walk": "v 1\n", "Diving": "", "BodyBend": ""}, "Walk.txt, line 1: expected 'video start end', got 'v 1'"),
        ({"Walk": "v 1 2\nv 1 2 3\n", "Diving": "", "BodyBend": ""}, "Walk.txt, line 2: expected 'video start end'"),
        ({"Walk": "v 1 x\n", "Diving": "", "BodyBend": ""}, "Walk.txt, line 1: end must be a finite number .* got 'x'"),
        ({"Walk": "v nan 2\n", "Diving": "", "BodyBend": ""}, "Walk.txt, line 1: start must be a finite number"),
        ({"Walk": "v 1 1_0\n", "Diving": "", "BodyBend": ""}, "Walk.txt, line 1: end must be a finite number"),
        ({"Walk": "v 1 2\n", "Diving": "v 1 2\n", "BodyBend": "\n \n"}, "BodyBend.txt is empty"),
        ({}, "no file to read"),
    ],
)
def test_malformed_folder_is_refused(tmp_path: Path, files: dict[str, str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read_interval_files(write(tmp_path, **files), NAMES)


def test_two_files_of_a_class_are_refused_and_so_is_an_absent_one(tmp_path: Path) -> None:
    paths = write(tmp_path, Walk="v 1 2", Diving="v 1 2", BodyBend="v 1 2")
    with pytest.raises(ValueError, match="are files of the same class"):
        read_interval_files([*paths, tmp_path / "other" / "Walk.txt"], NAMES)
    paths[0].unlink()
    with pytest.raises(ValueError, match="does not exist"):
        read_interval_files(paths, NAMES)


def test_class_names_of_multithumos_begin_with_those_of_thumos() -> None:
    names, first = label_names("multithumos"), label_names("thumos14")
    assert len(names) == len(set(names)) == 65 and names[:20] == first == sorted(first)
    assert names[20:] != sorted(names[20:])


def test_real_files_hold_all_intervals(shared_data: Path) -> None:
    paths = sorted((shared_data / "multithumos" / "annotations").glob("*.txt"))
    videos = read_interval_files(paths, label_names("multithumos"))
    assert len(videos) == 413 and sum(len(video.labels) for video in videos) == 38690
    assert sum(int((video.intervals[:, 0] == video.intervals[:, 1]).sum()) for video in videos) == 7
    counts = np.bincount(np.concatenate([video.labels for video in videos]), minlength=65)
    for name, count in zip(label_names("multithumos"), counts, strict=True):
        lines = (shared_data / "multithumos" / "annotations" / f"{name}.txt").read_text().splitlines()
        assert count == len([line for line in lines if line.strip()])


def test_order_of_names_is_that_of_the_ids_of_the_json_form(shared_data: Path) -> None:
    # some actions of the published multithumos.json, whose ids start at 1: one for each of several ids
    published = {
        "0000896": [(12, 18.6, 24.8), (21, 49.33, 53.0), (24, 42.0, 46.0), (32, 36.07, 36.4), (65, 0.03, 0.23)],
        "0000897": [(6, 10.4, 13.4), (28, 68.9, 69.67), (36, 12.03, 12.53)],
        "0000950": [(11, 11.6, 20.8), (34, 224.0, 226.0), (56, 12.68, 15.68), (57, 15.72, 18.52), (58, 18.56, 20.36)],
        "0000179": [
            (2, 7.8, 9.0),
            (38, 33.7, 33.93),
            (45, 7.17, 7.97),
            (47, 8.1, 8.8),
            (48, 8.4, 8.73),
            (49, 6.1, 8.5),
        ],
        "0000006": [(20, 18.8, 57.3), (31, 57.43, 59.43), (50, 11.0, 51.0), (52, 36.0, 56.0), (53, 10.0, 11.0)],
        "0000011": [(16, 0.4, 12.4), (60, 4.13, 10.03)],
        "0001201": [(15, 7.0, 11.7), (59, 8.13, 8.4)],
    }
    paths = sorted((shared_data / "multithumos" / "annotations").glob("*.txt"))
    videos = {video.name: video for video in read_interval_files(paths, label_names("multithumos"))}
    for name, actions in published.items():
        video = videos[f"video_test_{name}"]
        found = {
            (k + 1, *interval) for k, interval in zip(video.labels.tolist(), video.intervals.tolist(), strict=True)
        }
        assert set(actions) <= found
