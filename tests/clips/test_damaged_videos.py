"""What is not a video, or is damaged, gives a VideoError that names the file; never wrong pixels, a crash or a leak."""

import gc
import os
import wave
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from clips.decoding import VideoError, VideoIndex, read_frames, read_index
from clips.encoding import write_video
from clips.index import filled
from tests.clips.odd_files import FRAMES, full_decode, pictures

pytestmark = pytest.mark.usefixtures("quiet")


@pytest.mark.parametrize(
    "numbers, message",
    [
        ([3, 3], "strictly increasing"),
        ([5, 2], "strictly increasing"),
        ([-1, 2], r"must lie in 0 ... 49, got -1 ... 2"),
        ([0, 50], r"must lie in 0 ... 49, got 0 ... 50"),
        ([0.5], "must be integers"),
        ([[1]], r"shape \(M,\)"),
    ],
)
def test_wrong_numbers_are_refused(numbers: list[object], message: str, made: Callable[[str], Path]) -> None:
    with pytest.raises(ValueError, match=message):
        read_frames(read_index(made("h264")), np.array(numbers))


def test_wrong_size_is_refused(made: Callable[[str], Path]) -> None:
    with pytest.raises(ValueError, match="size must be a positive height and width"):
        read_frames(read_index(made("h264")), np.array([0]), (0, 5))


def _sound(path: Path) -> None:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes(bytes(16000))


BAD_FILES: dict[str, tuple[str, Callable[[Path], object], str]] = {
    "missing": ("a.mp4", lambda path: None, "got nothing; correct the path"),
    "directory": ("a.mp4", lambda path: path.mkdir(), "got a directory"),
    "empty": ("a.mp4", lambda path: path.write_bytes(b""), "got an empty one"),
    "text": ("a.mp4", lambda path: path.write_text("no video, " * 500), "FFmpeg reports 'Invalid data"),
    "noise": ("a.mp4", lambda path: path.write_bytes(np.random.default_rng(0).bytes(9000)), "FFmpeg reports"),
    "zeros": ("a.avi", lambda path: path.write_bytes(bytes(9000)), "FFmpeg reports"),
    "sound": ("a.wav", _sound, "expected a video stream, got streams: audio"),
}


@pytest.mark.parametrize("case", BAD_FILES)
def test_file_without_video_is_refused(case: str, tmp_path: Path) -> None:
    name, make, message = BAD_FILES[case]
    make(tmp_path / name)
    with pytest.raises(VideoError, match=message) as error:
        read_index(tmp_path / name)
    assert str(tmp_path / name) in str(error.value)


def test_colon_in_a_name_is_no_protocol(
    tmp_path: Path, made: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "http:1.mp4").write_bytes(made("h264").read_bytes())
    monkeypatch.chdir(tmp_path)
    assert read_index("http:1.mp4").total_frames == FRAMES


def test_file_without_its_tables_is_refused(tmp_path: Path, made: Callable[[str], Path]) -> None:
    (tmp_path / "cut.mp4").write_bytes(made("h264").read_bytes()[:-2000])  # `moov` is at the end
    with pytest.raises(VideoError, match="FFmpeg reports"):
        read_index(tmp_path / "cut.mp4")


@pytest.mark.parametrize(
    "suffix, codec", [(".mp4", "libx264"), (".mkv", "libx264"), (".ts", "libx264"), (".avi", "mpeg4")]
)
def test_cut_off_file_gives_its_intact_frames(tmp_path: Path, suffix: str, codec: str) -> None:
    whole, cut = tmp_path / f"a{suffix}", tmp_path / f"b{suffix}"
    options = {"movflags": "faststart"} if suffix == ".mp4" else None
    write_video(whole, pictures(), codec=codec, options={"g": "12"}, container_options=options)
    index = read_index(whole)
    at = int(index.packets.position[30])
    cut.write_bytes(whole.read_bytes()[: at + 20])
    part = read_index(cut)
    assert 25 <= part.total_frames <= 31
    frames, complete = read_frames(part, np.arange(25)).numpy(), full_decode(whole)
    np.testing.assert_array_equal(frames, complete[:25])


def _damaged(source: Path, target: Path, index: VideoIndex, packet: int) -> Path:
    """Zero a packet but for its first bytes."""
    data, start = bytearray(source.read_bytes()), int(index.packets.position[packet]) + 9
    end = int(index.packets.position[packet] + index.packets.size[packet])
    data[start:end] = bytes(end - start)
    target.write_bytes(data)
    return target


def test_damage_in_the_middle_is_an_error_where_it_matters(tmp_path: Path, made: Callable[[str], Path]) -> None:
    index = read_index(made("h264 long GOP"))
    key = int(index.packets.starts[1])  # the second of two
    hurt = int(np.flatnonzero(index.packets.reference[:key])[-3])
    damaged = read_index(_damaged(made("h264 long GOP"), tmp_path / "b.mp4", index, hurt))
    before, after = np.array([0, 3]), np.arange(key, FRAMES)
    expected = full_decode(made("h264 long GOP"))
    np.testing.assert_array_equal(read_frames(damaged, before).numpy(), expected[before])
    np.testing.assert_array_equal(read_frames(damaged, after).numpy(), expected[after])
    number = int(np.flatnonzero(index.packets.place == hurt)[0])
    with pytest.raises(VideoError, match=rf"b\.mp4.* frame {number} cannot be decoded .*FFmpeg reports.*re-encode it"):
        read_frames(damaged, np.array([0, number]))


def test_damage_in_a_file_that_must_be_decoded_is_an_error(tmp_path: Path, made: Callable[[str], Path]) -> None:
    index = read_index(made("h264 open GOP"))
    with pytest.raises(VideoError, match=r"expected a picture in packet .* the file is damaged"):
        read_index(_damaged(made("h264 open GOP"), tmp_path / "b.mp4", index, 13))


def test_broken_last_packet_is_an_error_for_its_frame_alone(tmp_path: Path, made: Callable[[str], Path]) -> None:
    index = read_index(made("h264"))
    last = len(index.packets.size) - 1
    number = int(np.flatnonzero(index.packets.place == last)[0])
    damaged = read_index(_damaged(made("h264"), tmp_path / "b.mp4", index, last))
    read_frames(damaged, np.delete(np.arange(FRAMES), number))
    with pytest.raises(VideoError, match=f"frame {number} cannot be decoded"):
        read_frames(damaged, np.arange(FRAMES))


def test_file_that_changed_since_it_was_indexed_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    write_video(path, pictures())
    index = read_index(path)
    write_video(path, pictures(40)[::-1])
    with pytest.raises(VideoError, match="has changed since it was indexed: index it again"):
        read_frames(index, np.array([30]))


@pytest.mark.parametrize("kind", ["h264", "h264 open GOP mpegts", "hevc open GOP mkv", "av1", "mpeg4 avi", "vp9"])
def test_damaged_bytes_give_frames_or_a_video_error(kind: str, tmp_path: Path, made: Callable[[str], Path]) -> None:
    whole, path = made(kind).read_bytes(), tmp_path / f"bad{made(kind).suffix}"
    for seed in range(12):
        random = np.random.default_rng(seed)
        data, at = bytearray(whole), int(random.integers(len(whole) - 60))
        match seed % 3:
            case 0:
                data[at : at + 60] = random.bytes(60)
            case 1:
                del data[at : at + 60]
            case _:
                del data[at:]
        path.write_bytes(data)
        try:
            index = read_index(path)
            assert read_frames(index, np.arange(index.total_frames), (8, 8)).shape == (index.total_frames, 8, 8, 3)
        except VideoError as error:
            assert path.name in str(error)


def test_packets_end_where_pyav_loses_count() -> None:
    class Packet:
        size = 4

    def packets() -> Iterator[Packet]:
        yield Packet()
        raise IndexError

    assert len(list(filled(packets()))) == 1  # type: ignore[arg-type]


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="counts open files through procfs")
def test_no_file_stays_open(made: Callable[[str], Path], tmp_path: Path) -> None:
    (tmp_path / "bad.mp4").write_bytes(made("h264").read_bytes()[:3000])
    index = read_index(made("h264"))
    gc.collect()  # what earlier tests left open
    before = len(os.listdir("/proc/self/fd"))
    for number in range(20):
        read_frames(index, np.array([number]))
        read_index(made("h264 avi"))
        with pytest.raises(VideoError):
            read_index(tmp_path / "bad.mp4")
    assert len(os.listdir("/proc/self/fd")) <= before  # fewer where garbage of before goes only now
