"""Checks of whole splits against the plain loops that they stand for."""

import random
from pathlib import Path

import numpy as np
import pytest

from clips.targets import Video
from clips.video_table import VideoTable
from datamodules.checks import check_apart, check_videos


def table(paths: list[Path], names: list[str] | None = None) -> VideoTable:
    names = names or [str(number) for number in range(len(paths))]
    none = np.empty(0, np.int64), np.empty((0, 2))
    return VideoTable.from_videos(Video(name, path, *none) for name, path in zip(names, paths, strict=True))


def test_first_name_that_is_there_again_is_named(tmp_path: Path) -> None:
    outcomes = set()
    for seed in range(12):
        generator = random.Random(seed)
        names = [f"video {generator.randrange(30_000)}" for _ in range(200)]
        expected = next((name for place, name in enumerate(names) if name in names[:place]), None)
        outcomes.add(expected is None)
        if expected is None:
            check_videos(table([tmp_path] * 200, names), "train")
        else:
            with pytest.raises(ValueError, match=f"video '{expected}' is listed twice in the train split"):
                check_videos(table([tmp_path] * 200, names), "train")
    assert outcomes == {True, False}


def test_missing_files_are_counted_and_the_first_are_named(tmp_path: Path) -> None:
    (tmp_path / "there").touch()
    (tmp_path / "broken").symlink_to("nowhere")
    paths = [tmp_path / ("there" if number % 3 else f"gone{number}") for number in range(40)]
    with pytest.raises(
        ValueError, match=r"14 of 40 videos of the val split do not exist, the first: .*gone0; check"
    ) as error:
        check_videos(table(paths), "val")
    assert str(error.value).endswith(": 0, 3, 6, 9, 12, 15, 18, 21, 24, 27, ...")
    with pytest.raises(ValueError, match=r"1 of 2 videos of the val split .*one a line: 1$"):
        check_videos(table([tmp_path, tmp_path / "broken"]), "val")
    check_videos(table([tmp_path / "there", tmp_path]), "val")


def test_shared_files_are_counted_however_their_paths_are_written() -> None:
    train = [Path("/data/a.mp4"), Path("/data/./b.mp4"), Path("rel/c.mp4")]
    check_apart(table(train), table([Path("/data/d.mp4"), Path("c.mp4")]))
    check_apart(table(train), table([]))
    with pytest.raises(ValueError, match=r"2 training videos are of files .* the first /data/b\.mp4 \(video '1'\)"):
        check_apart(table(train), table([Path("/data/b.mp4"), Path("/other"), Path("rel//c.mp4")]))
