"""Headers and packets that lie: sizes, counts, times, damage that FFmpeg marks without an error."""

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from clips.decoding import VideoError, read_frames, read_index
from clips.encoding import write_video
from clips.frame_folder import read_folder_frames, read_frame_folder
from clips.mp4 import claimed_samples
from tests.clips.odd_files import FRAMES, full_decode, patch, pictures
from tests.clips.test_frame_folder import write_picture

pytestmark = pytest.mark.usefixtures("quiet")


def _copy(source: Path, target: Path, change: Callable[[bytearray], None]) -> Path:
    target.write_bytes(source.read_bytes())
    return patch(target, change)


def _constant_sizes(data: bytearray) -> None:
    at = data.index(b"stsz") + 8
    data[at : at + 8] = (1).to_bytes(4, "big") + (1 << 26).to_bytes(4, "big")


def _long_fragment(data: bytearray) -> None:
    at = data.index(b"trun") + 8
    data[at : at + 4] = (1 << 26).to_bytes(4, "big")


@pytest.mark.parametrize("kind, change", [("h264", _constant_sizes), ("h264 fragmented", _long_fragment)])
def test_more_samples_than_memory_holds_are_refused(
    kind: str, change: Callable[[bytearray], None], made: Callable[[str], Path], tmp_path: Path
) -> None:
    path = _copy(made(kind), tmp_path / "bad.mp4", change)
    with pytest.raises(VideoError, match=r"bad\.mp4: expected at most 5,000,000 samples, .* announce 67,108,[89]"):
        read_index(path)


@pytest.mark.parametrize("kind", ["h264", "h264 fragmented", "mpeg4 mp4", "av1"])
def test_claimed_samples_are_the_packets_of_an_intact_file(kind: str, made: Callable[[str], Path]) -> None:
    with av.open(str(made(kind))) as container:
        packets = sum(packet.size > 0 for packet in container.demux(video=0))
    assert claimed_samples(made(kind)) == packets == FRAMES


@pytest.mark.parametrize("kind", ["h264 avi", "h264 open GOP mkv", "h264 open GOP mpegts", "h264 elementary"])
def test_other_containers_claim_no_samples(kind: str, made: Callable[[str], Path]) -> None:
    assert claimed_samples(made(kind)) == 0


def test_sound_of_single_ticks_is_not_counted(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "a.mov"), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 8000), np.int16), format="s16", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = 8000, 0, Fraction(1, 8000)
        container.mux([*stream.encode(frame), *stream.encode(None)])
    assert b"stsz" in (tmp_path / "a.mov").read_bytes() and claimed_samples(tmp_path / "a.mov") == 0


def _parameter_set(width: int, height: int) -> bytes:
    """H.264 sequence parameter set of baseline video (ITU-T H.264, 7.3.2.1.1), with emulation prevention."""

    def golomb(value: int) -> str:
        digits = f"{value + 1:b}"
        return "0" * (len(digits) - 1) + digits

    text = f"{66:08b}{0:08b}{62:08b}" + "".join(golomb(value) for value in (0, 0, 2, 1))
    text += "0" + golomb(width // 16 - 1) + golomb(height // 16 - 1) + "11001"
    text += "0" * (-len(text) % 8)
    data = b"\x67" + int(text, 2).to_bytes(len(text) // 8, "big")
    for last in range(4):
        data = data.replace(b"\0\0" + bytes([last]), b"\0\0\3" + bytes([last]))
    return data


@pytest.mark.parametrize("suffix", [".h264", ".mp4"])
@pytest.mark.parametrize("size", [(64, 48), (16384, 8192)])
def test_pictures_beyond_the_limit_are_refused(suffix: str, size: tuple[int, int], tmp_path: Path) -> None:
    path = tmp_path / "a.h264"
    write_video(path, pictures(10), options={"profile": "baseline", "x264-params": "ref=1"})
    data = path.read_bytes()
    path.write_bytes(data[: data.index(b"\x67")] + _parameter_set(*size) + data[data.index(b"\0\0\1\x68") :])
    if suffix == ".mp4":
        with av.open(str(path)) as old, av.open(str(tmp_path / "a.mp4"), "w") as new:
            copy = new.add_stream_from_template(old.streams.video[0])
            for number, packet in enumerate(p for p in old.demux(video=0) if p.size):
                packet.pts, packet.dts, packet.duration = number, number, 1
                packet.time_base, packet.stream = Fraction(1, 24), copy
                new.mux(packet)
    path = path.with_suffix(suffix)
    if size == (64, 48):
        assert read_frames(read_index(path), np.arange(10)).shape == (10, 48, 64, 3)
    else:
        with pytest.raises(VideoError, match="35,389,440 pixels, got 8192 x 16384" if suffix == ".mp4" else "FFmpeg"):
            read_index(path)


@pytest.mark.parametrize("size, message", [((256, 200_000), "to at most 35,389,440 pixels"), ((32, 1 << 20), "cannot")])
def test_frames_too_large_to_make_are_refused(
    size: tuple[int, int], message: str, made: Callable[[str], Path], tmp_path: Path
) -> None:
    with pytest.raises(VideoError, match=message) as error:
        read_frames(read_index(made("h264")), np.array([0]), size)
    assert str(made("h264")) in str(error.value)
    write_picture(tmp_path / "0.png", pictures(1)[0])
    with pytest.raises(VideoError, match=str(tmp_path)):
        read_folder_frames(read_frame_folder(tmp_path, 24), np.array([0]), size)


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
@pytest.mark.parametrize("last, refused", [(24 * 99 * (FRAMES - 1), False), (24 * 101 * (FRAMES - 1), True)])
def test_time_stamps_far_apart_are_refused(suffix: str, last: int, refused: bool, tmp_path: Path) -> None:
    path = tmp_path / f"a{suffix}"
    write_video(path, pictures(), pts=[*range(FRAMES - 1), last], time_base=Fraction(1, 24))
    if refused:
        with pytest.raises(VideoError, match=r"expected at least one picture in 100 s, got 50 in 4949 s"):
            read_index(path)
    else:
        assert read_index(path).total_frames == FRAMES


def _marked(path: Path) -> tuple[int, int]:
    """Errors and damaged pictures that FFmpeg reports in a full decode."""
    errors = marked = 0
    with av.open(str(path)) as container:
        context = container.streams.video[0].codec_context
        context.thread_count, context.options = 1, {"err_detect": "explode"}
        for packet in container.demux(video=0):
            try:
                marked += sum(frame.is_corrupt for frame in context.decode(packet))
            except av.FFmpegError:
                errors += 1
    return errors, marked


def test_pictures_that_refer_to_a_marked_one_are_errors(made: Callable[[str], Path], tmp_path: Path) -> None:
    """Zeros in a packet, where the decoder reports no error but marks a picture: no wrong pixel comes out of such a file."""
    source, path, found = made("h264"), tmp_path / "a.mp4", 0
    table, expected = read_index(source).packets, full_decode(source)
    for packet in np.setdiff1d(np.flatnonzero(table.reference), table.starts).tolist():
        start, size = int(table.position[packet]), int(table.size[packet])
        begin, end = start + int(0.3 * size), start + int(0.6 * size)
        data = source.read_bytes()
        path.write_bytes(data[:begin] + bytes(end - begin) + data[end:])
        if _marked(path) != (0, 1):
            continue
        found += 1
        index, refused = read_index(path), []
        for number in range(FRAMES):
            try:
                frames = read_frames(index, np.array([number]))
                np.testing.assert_array_equal(frames[0], expected[number])
            except VideoError:
                refused.append(int(table.place[number]))
        following = [int(start) for start in table.starts if start > packet] or [FRAMES]
        assert packet in refused and len(refused) > 1
        assert all(packet <= place < following[0] for place in refused)
    assert found
