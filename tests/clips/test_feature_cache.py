"""What a feature cache makes, finds and leaves on the disk; that its features are right shows in stage 2."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from clips.feature_cache import FeatureCache


def opened(root: Path, weights: str = "abc") -> FeatureCache:
    """A cache of three videos, two rates and two clips of 64 bytes each."""
    cache = FeatureCache(root, 2)
    cache.open({"weights": weights}, 3, [2, 4], 5, (8, 1, 2, 2))
    cache.make()
    return cache


def written(root: Path, videos: int = 3) -> FeatureCache:
    """Such a cache with its first videos written."""
    cache = opened(root)
    for video in range(videos):
        for rate in range(2):
            cache.write(video, rate, torch.ones(2, 8, 1, 2, 2), torch.ones(2, 5), torch.full((2,), video))
    cache.commit()
    return cache


@pytest.fixture
def full_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """No byte is free, and files take none, as zeros do where the disk compresses or copies leave holes."""
    monkeypatch.setattr(shutil, "disk_usage", lambda path: type("Usage", (), {"free": 0}))
    monkeypatch.setattr("clips.feature_cache.bytes_taken", lambda path: 0)


def test_the_key_is_written_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = Path.write_text

    def full(path: Path, text: str, **kwargs: Any) -> int:
        plain(path, text[:9], **kwargs)
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_text", full)
        with pytest.raises(OSError, match="No space left"):
            opened(tmp_path)
    (folder,) = tmp_path.iterdir()
    columns = {"features", "labels", "index", "done"}
    assert {path.name for path in folder.iterdir()} == columns
    assert opened(tmp_path).folder == folder, "the next start goes on there"
    assert {path.name for path in folder.iterdir()} == {*columns, "key.json"}
    assert json.loads((folder / "key.json").read_text())["weights"] == "abc"


def test_files_that_come_and_go_beside_the_columns_do_not_matter(tmp_path: Path) -> None:
    cache = opened(tmp_path)
    (cache.folder / ".key.json.0123").symlink_to("gone")  # as one that another process has just renamed
    opened(tmp_path)


def test_whole_cache_needs_no_room(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    written(tmp_path)
    request.getfixturevalue("full_disk")
    assert opened(tmp_path).read(2, 1, 1)[2] == 2


def test_room_is_asked_for_what_is_missing_and_other_caches_are_named(
    tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    other = opened(tmp_path, "of other weights").folder
    (tmp_path / "notes").mkdir()
    written(tmp_path, videos=2)
    request.getfixturevalue("full_disk")
    with pytest.raises(ValueError, match=r"needs another 0\.0 GB for 3 videos, 2 rates and 2 clips each") as caught:
        opened(tmp_path)
    assert f"that no run needs: {other.name} (0.0 GB); or take another" in str(caught.value)
    assert "notes" not in str(caught.value)


def test_order_of_the_rates_does_not_matter(tmp_path: Path) -> None:
    one, two = FeatureCache(tmp_path, 2), FeatureCache(tmp_path, 2)
    one.open({}, 3, [2, 4, 8], 5, (8,))
    two.open({}, 3, [8, 2, 4, 2], 5, (8,))
    assert one.folder == two.folder and one.draws(1, 2) == two.draws(1, 2) and one.units == two.units == (3, 3)


def test_units_that_show_another_video_have_a_mark_of_their_own(tmp_path: Path) -> None:
    cache = written(tmp_path, videos=2)
    assert cache.missing() == [(2, 0), (2, 1)] and cache.replaced() == []
    cache.write(2, 1, torch.ones(2, 8, 1, 2, 2), torch.ones(2, 5), torch.tensor([2, 0]))
    assert cache.missing() == [(2, 0), (2, 1)], "not yet on the disk"
    cache.commit()
    assert cache.missing() == [(2, 0)] and cache.replaced() == [(2, 1)]
    cache.write(2, 1, torch.ones(2, 8, 1, 2, 2), torch.ones(2, 5), torch.tensor([2, 2]))
    cache.commit()
    assert cache.replaced() == [], "it could be read again"


def test_marks_of_a_copy_that_broke_off_do_not_count(tmp_path: Path) -> None:
    features = written(tmp_path).folder / "features"
    with features.open("r+b") as file:
        file.truncate(features.stat().st_size // 2 + 1)
    assert opened(tmp_path).missing() == [(1, 1), (2, 0), (2, 1)]
