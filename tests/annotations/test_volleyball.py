from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest

from annotations.label_names import label_names
from annotations.volleyball import VolleyballFrame, read_volleyball

LINES = [
    "29885.jpg r_spike 430 575 82 170 waiting 563 491 82 177 digging ",
    "",
    "29905.jpg l-pass -6 582 86 131 falling ",
]


def read(path: Path) -> list[VolleyballFrame]:
    return read_volleyball(path, label_names("volleyball_group"), label_names("volleyball_personal"))


def write(path: Path, *lines: str) -> Path:
    path.write_text("\n".join(lines))
    return path


def test_frames_are_read_with_their_players(tmp_path: Path) -> None:
    first, second = read(write(tmp_path / "annotations.txt", *LINES))
    groups, actions = label_names("volleyball_group"), label_names("volleyball_personal")
    assert (first.frame, groups[first.group]) == ("29885", "r_spike")
    assert (second.frame, groups[second.group]) == ("29905", "l_pass"), "- and _ are one"
    assert first.boxes.tolist() == [[430, 575, 512, 745], [563, 491, 645, 668]]
    assert [actions[k] for k in first.actions] == ["waiting", "digging"]
    assert second.boxes.tolist() == [[-6, 582, 80, 713]] and second.where == f"{tmp_path / 'annotations.txt'}, line 3"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("30000.jpg r_dig 1 2 3 4 waiting", "line 4: unknown activity 'r_dig'; expected one of r_set, "),
        ("30000.jpg r_set 1 2 3 4 running", "line 4: unknown activity 'running'; expected one of waiting, "),
        ("30000.jpg r_set 1 2 3 waiting", "line 4: .* five cells 'X Y W H action' .* got 6"),
        ("30000.jpg", "line 4: .* got 1"),
        ("r_set 30000.jpg", "line 4: expected 'frame.jpg group'"),
        ("30000.jpg r_set waiting 1 2 3 4", "line 4: unknown activity '4'|line 4: expected a box X Y W H"),
        ("30000.jpg r_set 1 2 0 4 waiting", "line 4: expected a box X Y W H .* got 1 2 0 4"),
        ("30000.jpg r_set 1 2 3 -4 waiting", "line 4: expected a box"),
        ("30000.jpg r_set 1_0 2 3 4 waiting", "line 4: expected a box X Y W H .* got 1_0 2 3 4"),
        ("30000.jpg r_set nan 2 3 4 waiting", "line 4: expected a box"),
        ("29885.jpg r_set 1 2 3 4 waiting", "line 4: frame 29885 is annotated before, at .*line 1"),
    ],
)
def test_a_bad_line_is_named(tmp_path: Path, line: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read(write(tmp_path / "annotations.txt", *LINES, line))


def test_an_empty_or_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="has no annotated frame"):
        read(write(tmp_path / "annotations.txt", ""))
    with pytest.raises(ValueError, match="does not exist"):
        read(tmp_path / "other.txt")


def overlap(a: Sequence[float], b: Sequence[float]) -> float:
    """Intersection over union of two boxes."""
    wide, high = (max(0.0, min(a[k + 2], b[k + 2]) - max(a[k], b[k])) for k in (0, 1))
    area = sum((box[2] - box[0]) * (box[3] - box[1]) for box in (a, b))
    return wide * high / (area - wide * high)


def test_real_games(shared_data: Path) -> None:
    folder = shared_data / "volleyball" / "videos"
    frames = read(folder / "7" / "annotations.txt")
    names = label_names("volleyball_group")
    expected = {"r_set": 23, "r_spike": 16, "r_pass": 16, "r_winpoint": 6, "l_winpoint": 4, "l_pass": 17, "l_spike": 10}
    assert Counter(names[frame.group] for frame in frames) == {**expected, "l_set": 14}
    assert len(frames) == 106 == sum(expected.values()) + 14
    words = (folder / "7" / "annotations.txt").read_text().split()
    for k, name in enumerate(label_names("volleyball_personal")):
        assert sum(int((frame.actions == k).sum()) for frame in frames) == words.count(name) > 0
    assert sum(len(frame.boxes) for frame in frames) == 1216
    middle = next(frame for frame in frames if frame.frame == "38025")
    tracked = [
        line.split() for line in (shared_data / "volleyball/tracking/7/38025/38025.txt").read_text().splitlines()
    ]
    there = {tuple(map(float, row[1:5])) for row in tracked if row[5] == "38025"}
    overlaps = sorted(max(overlap(box, other) for other in there) for box in middle.boxes.tolist())
    assert overlaps[len(overlaps) // 2] > 0.6, "X Y W H: most boxes are those that others tracked"
    assert len(read(folder / "39" / "annotations.txt")) == 2
