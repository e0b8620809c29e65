"""The benchmarks of reading run, with or without the packages of others."""

from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks import clips, loader, views
from benchmarks.peers import Peer, usable
from benchmarks.timing import Result
from benchmarks.videos import numbered, shown_numbers, videos
from clips.decoding import read_index


def test_pictures_tell_their_numbers() -> None:
    frames = torch.from_numpy(np.stack(list(numbered((24, 40), 1024))))
    assert shown_numbers(frames).tolist() == list(range(1024))
    assert shown_numbers(frames[5:6].float() / 255).tolist() == [5]


def test_videos_are_drawn_once_with_the_keyframes_asked_for(tmp_path: Path) -> None:
    (path,) = videos(12, tmp_path, [], (32, 48), 30)
    index = read_index(path)
    assert (index.total_frames, index.height, index.width, index.fps) == (30, 32, 48, 24)
    assert index.packets.starts.tolist() == [0, 12, 24]
    made = path.stat().st_mtime_ns
    assert videos(12, tmp_path, [], (32, 48), 30) == [path] and path.stat().st_mtime_ns == made


def test_folder_of_clips_becomes_one_video(tmp_path: Path) -> None:
    source = videos(12, tmp_path / "clips", [], (32, 48), 20)[0].parent
    (path,) = videos(250, tmp_path / "made", [source], (48, 64), 50)  # the clip two and a half times, scaled to fill
    index = read_index(path)
    assert path.name.startswith("clips_") and (index.total_frames, index.height, index.width) == (50, 48, 64)
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="empty: expected a folder of clips"):
        videos(250, tmp_path / "made", [tmp_path / "empty"])


def test_absent_packages_are_named() -> None:
    def read(*_: object) -> torch.Tensor:
        raise AssertionError

    reads, absent = usable({"here": Peer(read, ("json",)), "gone": Peer(read, ("json", "no_such_package"))})
    assert list(reads) == ["here"] and absent == {"gone": "not installed (no_such_package)"}


def check(results: list[Result], always: set[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Every target is reported, and those that need no package are measured."""
    printed = capsys.readouterr().out.splitlines()
    for result in results:
        assert any(line.startswith(f"{result.what}: ") for line in printed)
    assert always <= {result.what for result in results if result.reached is not None}


@pytest.mark.slow
def test_clips_benchmark_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    results = clips.main(["--quick", "--folder", str(tmp_path)])
    assert len(results) == 9
    check(results, {f"rate {rate}, PySlowFast's steps" for rate in (2, 4, 8)}, capsys)


@pytest.mark.slow
def test_views_benchmark_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    results = views.main(["--quick", "--folder", str(tmp_path)])
    assert len(results) == 5  # one spacing of keyframes
    check(results, {f"GOP 250, {name}" for name in (views.ITEM_PER_VIEW, views.DECODE_ALL)}, capsys)


@pytest.mark.slow
def test_loader_benchmark_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    results = loader.main(["--quick", "--folder", str(tmp_path)])
    assert len(results) == 2
    check(results, set(), capsys)
