"""Every decoded frame equals that of a full sequential decode, or there is a VideoError."""

import pickle
from collections import Counter
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from av.video.reformatter import Interpolation

from clips import decoding
from clips.decoding import VideoError, VideoIndex, read_frames, read_index
from clips.encoding import write_video
from tests.clips.odd_files import FRAMES, HEIGHT, KINDS, WIDTH, full_decode, number_shown, pictures, remux, with_matrix

SHARED = Path(__file__).resolve().parents[2].parent / "shared" / "data" / "videos"
REAL = sorted(SHARED.glob("*/*.mp4")) + sorted(SHARED.glob("*/*.avi"))
SIZE = (36, 52)
PACKETS_ARE_ENOUGH = {
    "h264",
    "h264 long GOP",
    "h264 fragmented",
    "hevc open GOP",
    "av1",
    "vp9",
    "edit list",
    "late start",
}


def check_all(path: Path, draws: int = 8, stream: int | None = None) -> VideoIndex:
    """Compare all frames, then random subsets in two sizes, with the full decode."""
    index = read_index(path)
    native, resized = full_decode(path, None, stream), full_decode(path, SIZE, stream)
    assert index.total_frames == len(native)
    assert (index.height, index.width) == native.shape[1:3]
    random = np.random.default_rng(0)
    subsets = [
        np.sort(random.choice(len(native), random.integers(1, min(9, len(native) + 1)), False)) for _ in range(draws)
    ]
    for numbers in [np.arange(len(native)), *subsets]:
        frames = read_frames(index, numbers)
        assert frames.dtype == torch.uint8
        np.testing.assert_array_equal(frames.numpy(), native[numbers])
        np.testing.assert_array_equal(read_frames(index, numbers, SIZE).numpy(), resized[numbers])
    assert index.times[0] == 0 and np.all(np.diff(index.times) >= 0)
    return index


@pytest.mark.parametrize("width", [48, 49])
def test_resized_frames_have_colours_at_full_resolution(width: int, tmp_path: Path) -> None:
    y, x = np.mgrid[:72, :96]
    still = np.stack([128 + 90 * np.sin(x / 4), 128 + 90 * np.sin(y / 5 + x / 7), 128 + 90 * np.cos(x / 3)], -1)
    write_video(tmp_path / "still.mp4", [still.astype(np.uint8)])
    with av.open(str(tmp_path / "still.mp4")) as container:
        picture = next(container.decode(video=0))
    how = Interpolation.BILINEAR | Interpolation.FULL_CHR_H_INT  # FFmpeg chooses this by itself at odd widths only
    exact = picture.reformat(width, 36, "rgb24", interpolation=how).to_ndarray().astype(int)
    frame = read_frames(read_index(tmp_path / "still.mp4"), np.arange(1), (36, width))[0].numpy()
    assert np.abs(frame - exact).max() <= 1


@pytest.mark.parametrize("kind", KINDS)
def test_frames_equal_a_full_decode(kind: str, made: Callable[[str], Path]) -> None:
    index = check_all(made(kind), stream={"cover picture": 1}.get(kind))
    if kind in PACKETS_ARE_ENOUGH:
        assert index.packets.checksums is None
    if (index.height, index.width) == (HEIGHT, WIDTH) and kind != "rotated 180":
        shown = [number_shown(f) for f in read_frames(index, np.arange(index.total_frames)).numpy()]
        assert shown == list(range(shown[0], shown[0] + index.total_frames))  # cut files begin later


@pytest.mark.parametrize("path", REAL, ids=lambda path: path.name)
def test_real_frames_equal_a_full_decode(path: Path) -> None:
    check_all(path, draws=4)


@pytest.mark.skipif(not REAL, reason="the folder of shared videos is absent")
def test_real_files_are_all_there() -> None:
    assert len(REAL) == 8


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_every_single_frame_equals_a_full_decode(kind: str, made: Callable[[str], Path]) -> None:
    index, native = read_index(made(kind)), full_decode(made(kind), stream={"cover picture": 1}.get(kind))
    for number in range(len(native)):
        np.testing.assert_array_equal(read_frames(index, np.array([number]))[0].numpy(), native[number])
    for numbers in pairwise(range(0, len(native), 7)):
        np.testing.assert_array_equal(read_frames(index, np.array(numbers)).numpy(), native[list(numbers)])


@pytest.mark.parametrize(
    "kind", ["h264", "h264 avi", "mpeg4 avi", "hevc open GOP mpegts", "h264 open GOP", "edit list"]
)
def test_times_are_those_of_a_constant_rate(kind: str, made: Callable[[str], Path]) -> None:
    index = read_index(made(kind))
    np.testing.assert_allclose(index.times, np.arange(index.total_frames) / 24, atol=2e-5)
    assert index.fps == pytest.approx(24, abs=1e-3)
    assert index.duration == pytest.approx(index.total_frames / 24, abs=1e-3)


@pytest.mark.parametrize("kind", ["variable rate", "variable rate mkv", "late start", "late start mpegts"])
def test_times_are_those_written(kind: str, made: Callable[[str], Path]) -> None:
    index = read_index(made(kind))
    steps = np.random.default_rng(0).integers(1, 9, FRAMES)
    expected = np.cumsum(steps) - steps[0]
    np.testing.assert_allclose(index.times, expected / 120, atol=1.1e-3 if "mkv" in kind else 2e-5)
    assert index.fps == pytest.approx((FRAMES - 1) / index.times[-1])


def test_edit_list_hides_pictures(made: Callable[[str], Path]) -> None:
    index = read_index(made("edit list"))
    assert index.total_frames < len(index.packets.size)
    assert number_shown(read_frames(index, np.array([0]))[0].numpy()) > 0


def test_single_frame_has_the_rate_of_the_stream(tmp_path: Path) -> None:
    write_video(tmp_path / "one.mp4", pictures(1), fps=12)
    index = read_index(tmp_path / "one.mp4")
    assert (index.total_frames, index.fps, index.duration) == (1, 12.0, 1 / 12)


def test_stream_is_the_best_one_and_never_a_cover(made: Callable[[str], Path]) -> None:
    assert (read_index(made("two streams")).height, read_index(made("two streams")).stream) == (2 * HEIGHT, 1)
    assert (read_index(made("cover picture")).height, read_index(made("cover picture")).stream) == (HEIGHT, 1)


@pytest.mark.parametrize(
    "matrix, turned",
    [
        ((0, 1, -1, 0), lambda x: np.rot90(x, -1)),
        ((-1, 0, 0, 1), lambda x: x[:, ::-1]),
        ((1, 0, 0, -1), lambda x: x[::-1]),
        ((0, 1, 1, 0), lambda x: x.transpose(1, 0, 2)),
    ],
)
def test_display_matrix_is_applied(
    tmp_path: Path, matrix: tuple[int, ...], turned: Callable[[np.ndarray], np.ndarray]
) -> None:
    write_video(tmp_path / "a.mp4", pictures(3))
    plain = read_frames(read_index(tmp_path / "a.mp4"), np.arange(3)).numpy()
    index = read_index(with_matrix(tmp_path / "a.mp4", *matrix))
    frames = read_frames(index, np.arange(3)).numpy()
    assert frames.shape[1:3] == (index.height, index.width)
    for frame, upright in zip(frames, plain, strict=True):
        np.testing.assert_array_equal(frame, turned(upright))


def test_header_counts_are_not_used(made: Callable[[str], Path]) -> None:
    with av.open(str(made("wrong count"))) as container:
        assert container.streams.video[0].frames != FRAMES
    assert read_index(made("wrong count")).total_frames == FRAMES


def test_index_survives_pickling(made: Callable[[str], Path]) -> None:
    index = read_index(made("h264"))
    data = pickle.dumps(index)
    assert len(data) < 5000
    assert torch.equal(read_frames(pickle.loads(data), np.array([3, 40])), read_frames(index, np.array([3, 40])))


def test_no_numbers_give_no_frames(made: Callable[[str], Path]) -> None:
    assert read_frames(read_index(made("h264")), np.array([], np.int64), (8, 10)).shape == (0, 8, 10, 3)


def test_remuxed_copy_has_the_same_frames(tmp_path: Path, made: Callable[[str], Path]) -> None:
    copy = read_index(remux(made("h264"), tmp_path / "copy.mkv"))
    np.testing.assert_array_equal(read_frames(copy, np.array([9, 33])).numpy(), full_decode(made("h264"))[[9, 33]])


# What is decoded


@pytest.fixture
def work(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Counts of packets fed to decoders, pictures converted and files opened."""
    count: Counter[str] = Counter()

    def counted(name: str, target: object, attribute: str) -> None:
        original = getattr(target, attribute)

        def call(*args: object, **kwargs: object) -> object:
            count[name] += 1
            return original(*args, **kwargs)

        monkeypatch.setattr(target, attribute, call)

    counted("fed", decoding, "_feed")
    counted("converted", decoding.Painter, "paint")
    counted("opened", decoding, "open_video")
    return count


def test_packets_not_needed_are_not_fed(made: Callable[[str], Path], work: Counter[str]) -> None:
    index = read_index(made("h264 long GOP"))
    numbers = np.arange(1, 50, 8)
    read_frames(index, numbers)
    droppable = int((~index.packets.reference).sum())
    assert droppable > 10
    assert FRAMES - droppable <= work["fed"] + 8 and work["fed"] <= FRAMES - droppable + len(numbers)
    assert (work["converted"], work["opened"]) == (len(numbers), 1)


@pytest.mark.parametrize("kind", ["h264 closed GOP", "hevc open GOP", "mpeg4 avi", "av1", "h264 open GOP mpegts"])
def test_decoding_begins_near_the_wanted_frame(kind: str, made: Callable[[str], Path], work: Counter[str]) -> None:
    read_frames(read_index(made(kind)), np.array([44]))
    assert work["fed"] <= 24 and work["opened"] == 1


@pytest.mark.parametrize("kind", ["h264", "h264 open GOP", "mpeg4 avi", "edit list", "h264 elementary"])
def test_each_wanted_frame_is_converted_once(kind: str, made: Callable[[str], Path], work: Counter[str]) -> None:
    read_frames(read_index(made(kind)), np.array([0, 1, 5, 6, 7, 30, 39]), SIZE)
    assert work["converted"] == 7


def test_seek_that_misses_falls_back_to_the_start(
    made: Callable[[str], Path], work: Counter[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    index, numbers = read_index(made("h264")), np.array([20, 45])
    index.packets.seek_times[1:] = index.packets.seek_times[-1]  # every seek lands at the last keyframe
    index.packets.seek_times[-1] += 10**9
    np.testing.assert_array_equal(read_frames(index, numbers).numpy(), full_decode(made("h264"))[numbers])
    assert work["opened"] == 2


def test_pictures_that_do_not_match_their_checksum_are_decoded_from_the_start(
    made: Callable[[str], Path], work: Counter[str]
) -> None:
    index = read_index(made("mpeg4 avi"))
    assert index.packets.checksums is not None
    index.packets.checksums[40] += 1
    with pytest.raises(VideoError, match=r"frame 40 cannot be decoded \(its pixels differ"):
        read_frames(index, np.array([3, 40]))
    assert (work["opened"], work["converted"]) == (2, 1)
