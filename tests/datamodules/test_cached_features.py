"""A feature cache that several processes fill: what one of them alone cannot know."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from clips.feature_cache import FeatureCache
from datamodules import AnnotatedVideosDataModule, cached_features
from datamodules.cached_features import fill_cache, open_cache
from tests.conftest import settings
from tests.system_faults import make_read_only

CPU = torch.device("cpu")
Filled = tuple[AnnotatedVideosDataModule, FeatureCache]


def pixel(clips: torch.Tensor) -> torch.Tensor:
    """In the place of a backbone: the first pixel, float (N, 3, 1, 1, 1)."""
    return clips[:, :, :1, :1, :1]


def opened(folder: Path, root: Path, max_broken: float = 0.2) -> Filled:
    """The tiny set, and its cache of one clip a unit."""
    options: dict[str, Any] = {**settings(folder), "annotations": folder / "annotations.csv", "train_rates": [4, 8]}
    data = AnnotatedVideosDataModule(**options, max_broken=max_broken)
    data.setup("fit")
    cache = FeatureCache(root, 1)
    open_cache(data, cache, pixel, CPU, {"backbone": "pixel"})
    return data, cache


@pytest.fixture
def broken(own: Path) -> Path:
    """A set of six training videos, one of which cannot be read."""
    (own / "train_2.mp4").write_bytes(b"no video")
    return own


@pytest.fixture
def other(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[Any], Any]], None]:
    """A second process: what it has where this one has something is the function's result."""

    def tell(function: Callable[[Any], Any]) -> None:
        monkeypatch.setattr(cached_features, "_gather", lambda mine: [mine, function(mine)])

    return tell


def test_processes_with_other_videos_are_refused(tiny: Path, tmp_path: Path, other: Any) -> None:
    def their(mine: Any) -> Any:
        return ("there", mine[1].with_name("0123"), {**mine[2], "videos": "copied"})

    other(their)
    with pytest.raises(ValueError, match=r"process 1 on there is .*0123: they differ in videos; .*cp -p, rsync -t"):
        opened(tiny, tmp_path / "cache")
    assert not (tmp_path / "cache").exists()


def test_folder_that_the_first_process_has_made_must_be_there(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cached_features, "_rank", lambda: 1)
    with pytest.raises(
        ValueError, match=r"made by process 0, is not there on .*need one cache, in a folder that their"
    ):
        opened(tiny, tmp_path)


def test_what_others_have_written_must_be_there(tiny: Path, tmp_path: Path) -> None:
    data, cache = opened(tiny, tmp_path)
    with pytest.raises(ValueError, match=r"6 of 12 units .*are not there on .*need one cache, in a folder that their"):
        fill_cache(data, cache, pixel, CPU, rank=0, world_size=2)
    assert fill_cache(data, cache, pixel, CPU, rank=0, world_size=1) == 6, "the work of the first try is kept"


def test_unreadable_videos_of_all_processes_are_counted_before_the_first_epoch(
    tiny: Path, tmp_path: Path, other: Any
) -> None:
    data, cache = opened(tiny, tmp_path)
    other(lambda mine: (0, {"train_0.mp4": "cut", "train_1.mp4": "cut"}) if isinstance(mine, tuple) else mine)
    with pytest.raises(ValueError, match="2 of 6 training videos cannot be read, more than max_broken"):
        fill_cache(data, cache, pixel, CPU)


def test_cache_that_is_only_read_serves_with_videos_that_were_replaced(
    broken: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "cache"
    assert fill_cache(*opened(broken, root), pixel, CPU) == 12
    assert fill_cache(*opened(broken, root), pixel, CPU) == 2, "tried again"
    make_read_only(monkeypatch, root)
    data, cache = opened(broken, root)
    assert fill_cache(data, cache, pixel, CPU) == 0 and list(data.broken) == ["train_2.mp4"]
    with pytest.raises(ValueError, match="1 of 6 training videos cannot be read, more than max_broken"):
        fill_cache(*opened(broken, root, max_broken=0.1), pixel, CPU)
