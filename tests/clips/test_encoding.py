import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from clips.decoding import read_frames, read_index
from clips.encoding import write_video
from tests.clips.odd_files import number_shown, pictures


def test_written_bytes_are_the_same_each_time(tmp_path: Path) -> None:
    for name in ("a.mp4", "b.mp4"):
        write_video(tmp_path / name, iter(pictures(20)))
    assert (tmp_path / "a.mp4").read_bytes() == (tmp_path / "b.mp4").read_bytes()
    code = (
        "import sys; sys.path.insert(0, sys.argv[2]); from tests.clips.odd_files import pictures; "
        "from clips.encoding import write_video; write_video(sys.argv[1], pictures(20))"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "c.mp4"), str(Path(__file__).parents[2])], check=True)
    assert (tmp_path / "a.mp4").read_bytes() == (tmp_path / "c.mp4").read_bytes()


def test_written_pictures_come_back(tmp_path: Path) -> None:
    write_video(tmp_path / "a.mp4", pictures(20), options={"crf": "4"})
    frames = read_frames(read_index(tmp_path / "a.mp4"), np.arange(20)).numpy()
    assert np.abs(frames.astype(int) - pictures(20)).mean() < 12  # 4:2:0 blurs the colours of the pattern
    assert [number_shown(f) for f in frames] == list(range(20))


@pytest.mark.parametrize(
    "frames, settings, message",
    [
        (pictures(0), {}, "at least one picture, got none"),
        (pictures(3)[..., 0], {}, r"shape \(H, W, 3\)"),
        (pictures(3).astype(np.float32), {}, "must be uint8"),
        ([pictures(1)[0], pictures(1, 32)[0]], {}, "picture 1; convert or resize"),
        (pictures(3, 47), {}, "even height and width in 4:2:0, got 47 x 64"),
        (pictures(3), {"pts": [0, 2, 2]}, "strictly increasing"),
        (pictures(3), {"pts": [0, 2]}, "got 2 times and more pictures"),
        (pictures(3), {"pts": [0, 2, 3, 4]}, "got 4 times for 3 pictures"),
    ],
)
def test_wrong_pictures_are_refused_and_leave_no_file(
    tmp_path: Path, frames: np.ndarray, settings: dict[str, Any], message: str
) -> None:
    (tmp_path / "a.mp4").write_text("older file")
    with pytest.raises(ValueError, match=message):
        write_video(tmp_path / "a.mp4", frames, **settings)
    assert [p.name for p in tmp_path.iterdir()] == ["a.mp4"]
    assert (tmp_path / "a.mp4").read_text() == "older file"


def test_unknown_codec_leaves_no_file(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no-such-codec"):
        write_video(tmp_path / "a.mp4", pictures(2), codec="no-such-codec")
    assert not list(tmp_path.iterdir())
