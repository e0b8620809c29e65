"""What is odd about a file is said of the files that have it and of no others."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from clips.decoding import read_frames, read_index
from clips.encoding import write_video
from clips.inspection import inspect_video
from tests.clips.odd_files import FRAMES, full_decode, patch, pictures, with_matrix

Made = Callable[[str], Path]

ODD = {
    "h264": [],
    "h264 closed GOP": [],
    "h264 open GOP": [],
    "h264 fragmented": [],
    "h264 flv": [],
    "h264 elementary": [],
    "vp9": [],
    "vp8": [],
    "mpeg4 avi": [],
    "mpeg2 mpegts": [],
    "odd size": [],
    "cover picture": [],
    "title not UTF-8": [],
    "edit list": ["edit list: 1 entries, 9 pictures are not shown"],
    "edit list, open GOP": ["edit list: 1 entries, 7 pictures are not shown"],
    "cut at an open GOP mpegts": ["hidden pictures: 3 of 41", "late start: the first picture has the time 0.583 s"],
    "variable rate": ["variable frame rate: pictures stay for 8.3 to 66.7 ms"],
    "variable rate mkv": ["variable frame rate: pictures stay for 8.0 to 66.0 ms"],
    "late start": [
        "variable frame rate",
        "edit list: 2 entries, 0 pictures are not shown",
        "late start: the first picture has the time 41.666 s",
    ],
    "late start mpegts": ["variable frame rate", "late start: the first picture has the time 41.667 s"],
    "two streams": ["several video streams: number 1 of [0, 1] is read"],
    "wrong count": ["cut short: the header announces 63 pictures, the file holds 50"],
}  # fmt: skip


@pytest.mark.parametrize("kind", ODD)
def test_odd_things_are_named(kind: str, made: Made) -> None:
    odd = inspect_video(read_index(made(kind))).odd
    assert len(odd) == len(ODD[kind]), odd
    assert all(found.startswith(expected) for found, expected in zip(odd, ODD[kind], strict=True)), odd


@pytest.mark.parametrize(
    "kind, codec, container",
    [
        ("h264", "h264", "mov"),
        ("h264 flv", "h264", "flv"),
        ("h264 open GOP mkv", "h264", "matroska"),
        ("mpeg4 avi", "mpeg4", "avi"),
        ("mpeg2 mpegts", "mpeg2video", "mpegts"),
        ("vp9", "vp9", "matroska"),
        ("av1", "av1", "mov"),
    ],
)
def test_codec_and_container_have_the_names_of_ffmpeg(kind: str, codec: str, container: str, made: Made) -> None:
    facts = inspect_video(read_index(made(kind)))
    assert (facts.codec, facts.container) == (codec, container)


@pytest.mark.parametrize(
    "matrix, note",
    [
        ((0, 1, -1, 0), "turned by 90 degrees clockwise"),
        ((-1, 0, 0, -1), "turned by 180 degrees"),
        ((0, -1, 1, 0), "turned by 270 degrees clockwise"),
        ((-1, 0, 0, 1), "mirrored"),
    ],
)
def test_rotation_is_the_one_that_is_shown(matrix: tuple[int, ...], note: str, tmp_path: Path) -> None:
    write_video(tmp_path / "a.mp4", pictures(3))
    stored = full_decode(tmp_path / "a.mp4")[0]
    index = read_index(with_matrix(tmp_path / "a.mp4", *matrix))
    assert inspect_video(index).odd == (f"rotation: shown {note}",)
    shown = read_frames(index, np.array([0]))[0].numpy()
    quarters = int(note.split()[2]) // 90 if note.startswith("turned") else 0
    assert np.array_equal(shown, np.rot90(stored, -quarters) if quarters else stored[:, ::-1])  # rot90 is anticlockwise


def test_file_that_was_cut_off_is_told(made: Made, tmp_path: Path) -> None:
    write_video(tmp_path / "front.mp4", pictures(), container_options={"movflags": "faststart"})
    whole = read_index(tmp_path / "front.mp4")
    data = (tmp_path / "front.mp4").read_bytes()
    keep = int(whole.packets.position[30])
    (tmp_path / "cut.mp4").write_bytes(data[:keep])
    index = read_index(tmp_path / "cut.mp4")
    assert index.total_frames < FRAMES and not inspect_video(whole).odd
    assert (
        f"cut short: {len(data) - keep} bytes that the headers announce are missing at the end"
        in inspect_video(index).odd
    )
    write_video(tmp_path / "a.mkv", pictures(60), fps=4)
    data = (tmp_path / "a.mkv").read_bytes()
    whole = read_index(tmp_path / "a.mkv")
    (tmp_path / "cut.mkv").write_bytes(data[: int(whole.packets.position[30])])
    odd = inspect_video(read_index(tmp_path / "cut.mkv")).odd
    assert any(note.startswith("cut short: the header announces 15.0 s, the pictures end at 7.") for note in odd)
    assert not inspect_video(whole).odd


def test_lying_boxes_do_no_harm(made: Made, tmp_path: Path) -> None:
    data = bytearray(made("edit list").read_bytes())
    at = data.index(b"elst")

    def lie(size: int, count: int) -> Callable[[bytearray], None]:
        def change(data: bytearray) -> None:
            data[at - 4 : at] = size.to_bytes(4, "big")
            data[at + 8 : at + 12] = count.to_bytes(4, "big")

        return change

    index = read_index(made("edit list"))
    for size, count in ((28, 2**31), (2**31, 1), (0, 1), (1, 1), (7, 1)):
        path = tmp_path / "lie.mp4"
        path.write_bytes(data)
        patch(path, lie(size, count))
        facts = inspect_video(type(index)(**{**vars(index), "path": path}))
        assert any(note.startswith("edit list") for note in facts.odd)
