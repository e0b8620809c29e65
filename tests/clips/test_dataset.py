"""Windows of long files, people's boxes, and folders of frames through the data sets."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from clips.dataset import ClipSpec, TrainClips, ViewedVideos, collate_train, window_times
from clips.decoding import VideoError
from clips.encoding import write_video
from clips.rate_batches import Draw
from clips.targets import Video
from clips.transforms import Box, cut_boxes
from clips.views import collate_views
from tests.clips.test_frame_folder import write_picture

SPEC = ClipSpec(4, None, 10, "repeat_last", 32, "clip", 1.0)
NONE = np.empty(0, np.int64)


def level_frames(count: int) -> np.ndarray:
    """Frame k has grey level 4 k, so that a pixel tells which frame it is from."""
    return np.full((count, 32, 48, 3), (4 * np.arange(count))[:, None, None, None], np.uint8)


def record(path: Path, **changes: Any) -> Video:
    return replace(Video("v", path, NONE, np.empty((0, 2))), **changes)


@pytest.fixture(scope="module")
def movie(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("movie") / "movie.mp4"
    write_video(path, level_frames(50), fps=10)
    return path


def shown(clips: torch.Tensor) -> list[int]:
    """Frame numbers that a clip (C, T, H, W) shows."""
    return [round(float(level) / 4) for level in clips.float().mean(dim=(0, 2, 3))]


@pytest.mark.parametrize("seed", range(6))
def test_training_clip_stays_in_its_window(movie: Path, seed: int) -> None:
    labels, intervals = np.array([0, 1, 2]), np.array([[0.0, 1.0], [2.3, 2.5], [3.05, 4.0]])
    video = record(movie, window=(2.0, 3.0), labels=labels, intervals=intervals)
    data = TrainClips([video], 3, SPEC, target="overlap", short_side=(32, 32), flip=False)
    sample = data[Draw(0, 2.0, (0, seed))]
    frames = shown(sample["clips"][0])
    assert frames[0] >= 20 and frames[-1] <= 29 and np.diff(frames).tolist() == [2, 2, 2]
    assert sample["labels"].tolist() == [0, float(frames[0] <= 24 and frames[-1] >= 23), 0]


def test_views_of_a_window_are_those_of_a_file_cut_there(movie: Path, tmp_path: Path) -> None:
    write_video(tmp_path / "cut.mp4", level_frames(50)[20:35], fps=10)
    options: dict[str, Any] = {"views": {2.0: (3, 1), 4.0: (2, 2)}, "short_side": 32, "broken": "error"}
    whole = ViewedVideos([record(movie, window=(2.0, 3.5))], 0, SPEC, **options)[0]
    part = ViewedVideos([record(tmp_path / "cut.mp4")], 0, SPEC, **options)[0]
    assert whole.plan is not None and part.plan is not None
    np.testing.assert_array_equal(whole.plan.numbers, part.plan.numbers)
    assert torch.allclose(whole.frames.float().mean(dim=(1, 2, 3)), part.frames.float().mean(dim=(1, 2, 3)), atol=1.5)


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_worker_decodes_views_where_it_sends_them_from(movie: Path, tmp_path: Path, kind: str) -> None:
    for k, picture in enumerate(level_frames(20)):
        write_picture(tmp_path / f"{k + 1:06d}.png", picture)

    class Told(ViewedVideos):
        """Each item with whether its frames are in shared memory already."""

        def __getitem__(self, number: int) -> Any:
            item = super().__getitem__(number)
            return item.frames.is_shared(), item  # type: ignore[no-untyped-call]

    video = record(movie if kind == "file" else tmp_path)
    data = Told([video], 0, SPEC, views={2.0: (2, 1)}, short_side=32, broken="error")
    ((shared, sent),) = DataLoader(data, batch_size=None, num_workers=1)
    unshared, here = data[0]
    assert (shared, unshared) == (True, False)
    assert torch.equal(sent.frames, here.frames) and torch.equal(sent.rows, here.rows)


def test_window_is_cut_at_the_ends_of_the_file() -> None:
    times = np.arange(10) / 10
    video = record(Path("x"), window=(-1.0, 0.35))
    found, first = window_times(video, times, 1.0)
    assert first == 0 and found.tolist() == pytest.approx([0, 0.1, 0.2, 0.3])
    found, first = window_times(replace(video, window=(0.55, 2.0)), times, 1.0)
    assert first == 5 and found.tolist() == pytest.approx([0, 0.1, 0.2, 0.3, 0.4])


@pytest.mark.parametrize("window", [(1.0, 3.0), (-2.0, 0.0), (0.5, 0.5)])
def test_window_outside_of_the_file_is_an_error(window: tuple[float, float]) -> None:
    with pytest.raises(VideoError, match=r"lies outside of x, which lasts 1.000 s"):
        window_times(record(Path("x"), window=window), np.arange(10) / 10, 1.0)


def test_folder_of_frames_gives_the_clips_of_its_pictures(tmp_path: Path) -> None:
    for k, picture in enumerate(level_frames(20)):
        write_picture(tmp_path / f"{k + 1:06d}.png", picture)
    data = TrainClips([record(tmp_path)], 0, SPEC, target="overlap", short_side=(32, 32), flip=False)
    frames = shown(data[Draw(0, 3.0, (1, 1))]["clips"][0])
    assert np.diff(frames).tolist() == [3, 3, 3]
    views = ViewedVideos([record(tmp_path)], 0, SPEC, views={5.0: (1, 1)}, short_side=32, broken="error")[0]
    assert [round(float(frame.float().mean()) / 4) for frame in views.frames] == [2, 7, 12, 17]


def test_cut_boxes_follow_crop_and_mirror() -> None:
    boxes = np.array([[0.25, 0.25, 0.5, 0.75], [0.0, 0.0, 0.1, 0.1], [0.5, 0.5, 1.0, 1.0]], np.float32)
    found = cut_boxes(boxes, (100, 200), Box(20, 40, 60))
    torch.testing.assert_close(found, torch.tensor([[10.0, 5, 60, 55], [0, 0, 0, 0], [60, 30, 60, 60]]))
    mirrored = cut_boxes(boxes[:1], (100, 200), Box(20, 40, 60, flip=True))
    torch.testing.assert_close(mirrored, torch.tensor([[0.0, 5, 50, 55]]))


def test_boxes_enclose_the_same_pixels_in_the_clip(movie: Path, tmp_path: Path) -> None:
    frames = np.zeros((12, 64, 96, 3), np.uint8)
    frames[:, 24:40, 36:60] = 255
    write_video(tmp_path / "person.mp4", frames, fps=10)
    boxes = np.array([[36 / 96, 24 / 64, 60 / 96, 40 / 64], [0, 0, 1 / 96, 1 / 64]], np.float32)
    video = record(tmp_path / "person.mp4", boxes=boxes, box_labels=np.array([[1, 0], [0, 1]]))
    data = TrainClips([video], 2, SPEC, target="video", short_side=(40, 50), flip=True)
    batch = collate_train([data[Draw(0, 1.0, (2, seed))] for seed in range(4)])
    seen = 0
    for clip, people, labels in zip(batch["clips"][:, 0, 0, 0], batch["boxes"], batch["box_labels"], strict=True):
        assert len(people) == len(labels) <= 2 and labels.dtype == torch.float32
        for (x1, y1, x2, y2), label in zip(people.round().int().tolist(), labels.tolist(), strict=True):
            if label == [1, 0] and (x2 - x1) * (y2 - y1) > 30:
                inside = clip[y1:y2, x1:x2].float().mean()
                outside = (clip.float().sum() - clip[y1:y2, x1:x2].float().sum()) / (32 * 32 - (x2 - x1) * (y2 - y1))
                seen += 1
                assert inside > 190 and outside < 40
    assert seen >= 3


def test_view_batch_gives_boxes_in_step_with_its_views(movie: Path) -> None:
    boxes = np.array([[0.0, 0.0, 1.0, 1.0], [0.9, 0.0, 1.0, 1.0]], np.float32)
    data = ViewedVideos([record(movie, boxes=boxes)], 0, SPEC, views={2.0: (2, 3)}, short_side=32, broken="error")
    batch = collate_views([data[0], data[0]], num_views=6, views_per_step=4)
    steps = list(batch.boxes())
    assert [len(step) for step in steps] == [len(clips) for clips in batch.views()] == [4, 4, 4]
    expected = [
        [[0, 0, 32, 32], [32, 0, 32, 32]],
        [[0, 0, 32, 32], [32, 0, 32, 32]],
        [[0, 0, 32, 32], [27.2, 0, 32, 32]],
    ]
    torch.testing.assert_close(torch.stack(steps[0][:3]), torch.tensor(expected))
    bare = ViewedVideos([record(movie)], 0, SPEC, views={2.0: (1, 1)}, short_side=32, broken="error")[0]
    with pytest.raises(ValueError, match="gives no boxes"):
        next(collate_views([bare], num_views=1, views_per_step=1).boxes())
