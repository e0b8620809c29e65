"""Folders of frames read as videos: equal to the pictures, in their order, and refused where frames are missing."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from av.video.codeccontext import VideoCodecContext

from clips.decoding import VideoError
from clips.frame_folder import frame_size, read_folder_frames, read_frame_folder


def write_picture(path: Path, picture: np.ndarray) -> None:
    """One uint8 (H, W, 3) picture; PNG keeps every value, JPEG nearly."""
    codec = {".png": "png", ".jpg": "mjpeg"}[path.suffix]
    context = VideoCodecContext.create(codec, "w")
    assert isinstance(context, VideoCodecContext)
    context.height, context.width = picture.shape[:2]
    context.pix_fmt = {"png": "rgb24", "mjpeg": "yuvj444p"}[codec]
    context.time_base = Fraction(1)
    frame = av.VideoFrame.from_ndarray(picture, format="rgb24").reformat(format=context.pix_fmt)
    path.write_bytes(b"".join(bytes(packet) for packet in [*context.encode(frame), *context.encode(None)]))


def pictures(count: int, height: int = 16, width: int = 24) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, height, width, 3), dtype=np.uint8)


WANTED = (8, 12)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Numbers 8 to 12, so that sorting by text would put 10 first."""
    for k, picture in enumerate(pictures(5)):
        write_picture(tmp_path / f"ID-{k + 8}.png", picture)
    (tmp_path / "readme.txt").write_text("no frame")
    return tmp_path


def test_frames_equal_the_pictures_in_the_order_of_their_numbers(folder: Path) -> None:
    index = read_frame_folder(folder, 25, WANTED)
    assert (index.total_frames, index.height, index.width, index.fps) == (5, 16, 24, 25)
    assert index.names[0] == "ID-8.png" and index.duration == pytest.approx(0.2)
    np.testing.assert_allclose(index.times, [0, 0.04, 0.08, 0.12, 0.16])
    frames = read_folder_frames(index, np.array([0, 2, 4]))
    np.testing.assert_array_equal(frames.numpy(), pictures(5)[[0, 2, 4]])


def test_jpeg_is_read_in_full_range_and_resized(tmp_path: Path) -> None:
    levels = np.array([0, 80, 255], np.uint8)
    for k, level in enumerate(levels):
        write_picture(tmp_path / f"{k:05d}.jpg", np.full((32, 48, 3), level))
    frames = read_folder_frames(read_frame_folder(tmp_path, 24), np.arange(3), (16, 24))
    assert frames.shape == (3, 16, 24, 3)
    assert np.abs(frames.numpy().astype(int) - levels[:, None, None, None]).max() <= 2


@pytest.mark.parametrize("fps", [None, 0, -1])
def test_frame_rate_is_needed(folder: Path, fps: float | None) -> None:
    with pytest.raises(ValueError, match="folder_fps must be the frame rate"):
        read_frame_folder(folder, fps, WANTED)


def test_missing_frame_is_an_error(folder: Path) -> None:
    (folder / "ID-10.png").unlink()
    with pytest.raises(VideoError, match=r"ID-9.png and ID-11.png leave out 1 frame"):
        read_frame_folder(folder, 24, WANTED)


@pytest.mark.parametrize(
    ("numbers", "message"),
    [
        (None, r"expected frames from 0 or 1 on, got ID-8.png first"),
        ((7, 12), "expected frames 7 to 12, got 8 to 12"),
        ((8, 13), "expected frames 8 to 13, got 8 to 12"),
    ],
)
def test_frames_missing_at_an_end_are_an_error(folder: Path, numbers: tuple[int, int] | None, message: str) -> None:
    with pytest.raises(VideoError, match=message):
        read_frame_folder(folder, 24, numbers)
    assert frame_size(folder) == (16, 24)


def test_two_frames_of_one_number_are_an_error(folder: Path) -> None:
    write_picture(folder / "ID-08.png", pictures(1)[0])
    with pytest.raises(VideoError, match="both have number 8"):
        read_frame_folder(folder, 24, WANTED)


def test_name_without_number_is_an_error(folder: Path) -> None:
    (folder / "cover.jpg").write_bytes(b"")
    with pytest.raises(VideoError, match=r"cover.jpg: expected a name that ends in the number"):
        read_frame_folder(folder, 24, WANTED)


def test_folder_without_pictures_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(VideoError, match="expected pictures"):
        read_frame_folder(tmp_path, 24)
    with pytest.raises(VideoError, match="expected a folder of frames, got nothing"):
        read_frame_folder(tmp_path / "absent", 24)


def test_damaged_or_differing_picture_is_an_error_that_names_it(folder: Path) -> None:
    index = read_frame_folder(folder, 24, WANTED)
    (folder / "ID-9.png").write_bytes((folder / "ID-9.png").read_bytes()[:60])
    with pytest.raises(VideoError, match=r"ID-9.png"):
        read_folder_frames(index, np.array([1]))
    write_picture(folder / "ID-11.png", pictures(1, 20, 24)[0])
    with pytest.raises(VideoError, match=r"ID-11.png: expected 16x24 pixels as ID-8.png has, got 20x24"):
        read_folder_frames(index, np.array([0, 3]))


@pytest.mark.parametrize("numbers", [[3, 1], [0, 5], [-1, 2]])
def test_numbers_outside_or_out_of_order_are_refused(folder: Path, numbers: list[int]) -> None:
    with pytest.raises(ValueError, match="numbers must"):
        read_folder_frames(read_frame_folder(folder, 24, WANTED), np.array(numbers))
