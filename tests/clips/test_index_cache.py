"""Indices from the cache equal those read from the files, whatever happens to either."""

import os
import pickle
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest

import clips.index_cache
from clips.dataset import ClipSpec, ViewedVideos
from clips.decoding import VideoError, VideoIndex, read_frames, read_index
from clips.encoding import write_video
from clips.index_cache import IndexCache, Indices, content_stamp
from clips.targets import Video
from tests.clips.odd_files import FRAMES, KINDS, pictures
from tests.conftest import ROOT

Made = Callable[[str], Path]


def equal(one: VideoIndex, other: VideoIndex) -> bool:
    """Whether two indices are the same to the last bit and type."""
    pairs = [(getattr(one, f.name), getattr(other, f.name)) for f in fields(one) if f.name != "packets"]
    pairs += [(getattr(one.packets, f.name), getattr(other.packets, f.name)) for f in fields(one.packets)]
    return pickle.dumps([a for a, _ in pairs]) == pickle.dumps([b for _, b in pairs])


def entries(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def video(path: Path, *interval: float) -> Video:
    return Video(path.name, path, np.array([0][: len(interval)]), np.array([interval]).reshape(-1, 2))


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The files that were really read."""
    seen: list[Path] = []

    def read(path: Path) -> VideoIndex:
        seen.append(path)
        return read_index(path)

    monkeypatch.setattr(clips.index_cache, "read_index", read)
    return seen


@pytest.mark.parametrize("kind", [kind for kind in KINDS if not kind.startswith(("hevc", "av1"))])
def test_index_from_the_cache_is_the_one_of_the_file(kind: str, made: Made, tmp_path: Path, reads: list[Path]) -> None:
    cache, path = IndexCache(tmp_path), made(kind)
    assert not cache.knows(path)
    first, again, plain = cache.read(path), IndexCache(tmp_path).read(path), read_index(path)
    assert len(reads) == 1 and cache.knows(path)
    assert equal(first, plain) and equal(again, plain) and again.path == path
    chosen = np.array([0, plain.total_frames // 2, plain.total_frames - 1])
    assert read_frames(again, chosen).equal(read_frames(plain, chosen))
    (entry,) = entries(tmp_path)
    assert entry.stat().st_size < 1000


def test_random_columns_come_back_exactly(made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(0)
    index = read_index(made("mpeg4 avi"))
    for column in (index.times, *(getattr(index.packets, f.name) for f in fields(index.packets))):
        column.view(np.uint8)[...] = random.integers(0, 256 if column.dtype != bool else 2, column.view(np.uint8).shape)
    monkeypatch.setattr(clips.index_cache, "read_index", lambda path: index)
    IndexCache(tmp_path).read(index.path)
    monkeypatch.setattr(clips.index_cache, "read_index", None)
    assert equal(IndexCache(tmp_path).read(index.path), index)


def test_changed_file_is_read_anew_and_its_entry_replaced(made: Made, tmp_path: Path, reads: list[Path]) -> None:
    path, cache = Path(shutil.copy(made("h264"), tmp_path / "a.mp4")), IndexCache(tmp_path / "cache")
    cache.read(path)
    shutil.copy(made("variable rate"), path)
    assert not cache.knows(path)
    assert equal(cache.read(path), read_index(path)) and cache.knows(path) and len(reads) == 2
    size, time = path.stat().st_size, path.stat().st_mtime_ns
    os.utime(path, ns=(time, time + 1))  # a nanosecond
    assert path.stat().st_size == size and not cache.knows(path)
    assert cache.read(path).total_frames == FRAMES and len(reads) == 3 and len(entries(cache.folder)) == 1


def test_content_of_a_folder_is_its_number_of_frames_and_three_of_them(tmp_path: Path) -> None:
    folder = tmp_path / "frames"
    folder.mkdir()
    (folder / "notes.txt").symlink_to("nowhere")
    frames = [folder / f"x-{number:06}.JPG" for number in range(9)]
    for path in frames:
        path.write_bytes(bytes(5))
        os.utime(path, ns=(7, 7))
    frames[5].unlink()
    frames[5].symlink_to("nowhere")

    def stamp(folder_time: int = 9) -> tuple[int, int] | None:
        os.utime(folder, ns=(folder_time, folder_time))
        return content_stamp(folder)

    was = stamp()
    assert was == stamp() and was is not None and was[1] == 9
    assert stamp(10) != was  # as when a file comes or goes
    for path in (frames[0], frames[4], frames[-1]):  # written anew in place
        path.write_bytes(bytes(6))
        os.utime(path, ns=(7, 7))
        assert stamp() != was
        path.write_bytes(bytes(5))
        assert stamp() != was
        os.utime(path, ns=(7, 7))
        assert stamp() == was
    frames[3].write_bytes(bytes(6))
    assert stamp() == was  # not looked at
    frames[3].unlink()
    assert stamp() != was
    for path in [*frames, folder / "notes.txt"]:
        path.unlink(missing_ok=True)
    assert stamp() == (0, 9)
    folder.rmdir()
    assert content_stamp(folder) is None


def test_vanished_file_is_no_longer_known(made: Made, tmp_path: Path) -> None:
    path, indices = Path(shutil.copy(made("h264"), tmp_path / "a.mp4")), Indices(None, tmp_path / "cache")
    indices.of(video(path))
    path.unlink()
    with pytest.raises(VideoError, match="got nothing; correct the path"):
        indices.of(video(path))


def damaged(data: bytes) -> list[bytes]:
    """Cut and changed copies."""
    changed = [bytearray(data) for _ in range(0, len(data), 7)]
    for number, copy in enumerate(changed):
        copy[number * 7] ^= 0x55
    return [b"", b"{}", *(data[:stop] for stop in range(1, len(data), 11)), *map(bytes, changed)]


def test_damaged_entry_is_never_believed_and_replaced(made: Made, tmp_path: Path, reads: list[Path]) -> None:
    path, cache = made("h264"), IndexCache(tmp_path)
    expected = cache.read(path)
    (entry,) = entries(tmp_path)
    data = entry.read_bytes()
    for copy in damaged(data):
        entry.write_bytes(copy)
        # a few bits of a compressed stream mean nothing
        assert not cache.knows(path) or equal(cache.read(path), expected)
    entry.write_bytes(data[: len(data) // 2])
    before = len(reads)
    assert equal(cache.read(path), expected) and len(reads) == before + 1
    assert entry.read_bytes() == data and cache.knows(path)


def test_entry_of_another_file_or_reader_is_not_believed(
    made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, other, cache = made("h264"), made("variable rate"), IndexCache(tmp_path)
    cache.read(path)
    (entry,) = entries(tmp_path)
    data = entry.read_bytes()
    cache.read(other)
    for place in entries(tmp_path):
        place.write_bytes(data)
    assert cache.knows(path) and not cache.knows(other)
    monkeypatch.setattr(clips.index_cache, "_READER", "later")
    assert not cache.knows(path)


def test_videos_and_cache_may_be_moved_together(made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "here").mkdir()
    shutil.copy(made("h264"), tmp_path / "here" / "a.mp4")
    IndexCache(tmp_path / "here" / "cache").read(tmp_path / "here" / "a.mp4")
    (tmp_path / "here").rename(tmp_path / "there")
    assert IndexCache(tmp_path / "there" / "cache").knows(tmp_path / "there" / "a.mp4")
    monkeypatch.chdir(tmp_path / "there")
    assert IndexCache(Path("cache")).knows(Path("a.mp4"))


def test_folder_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match=r"index_cache must be a folder.*/file/cache.*; name another"):
        IndexCache(tmp_path / "file" / "cache")


def test_folder_that_cannot_be_written_to_is_read_with_one_warning(
    made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    IndexCache(tmp_path).read(made("h264"))

    def refuse(*_: object) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(Path, "write_bytes", refuse)
    cache = IndexCache(tmp_path)
    assert cache.read(made("h264")).total_frames == FRAMES  # known: nothing to write
    with pytest.warns(UserWarning, match=r"index_cache .* cannot be written to \(Read-only file system\)") as seen:
        for _ in range(2):
            assert cache.read(made("variable rate")).total_frames == FRAMES
    assert len(seen) == 1 and len(entries(tmp_path)) == 1


WRITE_ON = """
import sys
from pathlib import Path
from clips.index_cache import IndexCache
import clips.index_cache as module
cache, index = IndexCache(Path(sys.argv[1])), module.read_index(Path(sys.argv[2]))
module.read_index = lambda path: index
module._load = lambda *_: None
print("ready", flush=True)
while True:
    cache.read(Path(sys.argv[2]))
"""


def test_killed_writers_leave_whole_entries(made: Made, tmp_path: Path) -> None:
    path = made("h264")
    command = [sys.executable, "-c", WRITE_ON, str(tmp_path), str(path)]
    writers = [subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE) for _ in range(2)]
    for writer in writers:
        assert writer.stdout is not None and writer.stdout.readline() == b"ready\n"
    expected, cache = read_index(path), IndexCache(tmp_path)
    while not cache.knows(path):
        assert all(writer.poll() is None for writer in writers)
    for _ in range(500):  # read while both write
        cached = clips.index_cache._load(path, *cache._place(path))
        assert cached is not None and equal(cached, expected)
    for writer in writers:
        writer.send_signal(signal.SIGKILL)
        writer.communicate()
    assert cache.knows(path)


def test_memory_of_indices_is_bounded(
    made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reads: list[Path]
) -> None:
    one = clips.index_cache._size(read_index(made("h264")))
    monkeypatch.setattr(clips.index_cache, "_KEPT", {False: 3 * one, True: one - 1})
    paths = [Path(shutil.copy(made("h264"), tmp_path / f"{number}.mp4")) for number in range(5)]
    indices = Indices(None, None)
    for number in (0, 1, 2, 0, 1, 2, 3, 0, 4, 4):
        indices.of(video(paths[number]))
        assert len(indices._kept) * one == indices._bytes <= 3 * one
    # 3 takes the place of 0, the longest unused; 0 that of 1; 4 that of 2
    assert [int(path.stem) for path in reads] == [0, 1, 2, 3, 0, 4]
    cached = Indices(None, tmp_path / "cache")
    for number in (0, 0, 1):  # a video that alone is longer than the bound is kept until the next one
        cached.of(video(paths[number]))
    assert [int(path.stem) for path in reads][6:] == [0, 1] and len(cached._kept) == 1


def test_changed_video_is_not_taken_from_memory(made: Made, tmp_path: Path, reads: list[Path]) -> None:
    path, indices = Path(shutil.copy(made("h264"), tmp_path / "a.mp4")), Indices(None, None)
    first = indices.of(video(path))
    assert indices.of(video(path)) is first
    write_video(path, pictures(20))
    assert indices.of(video(path)).total_frames == 20 and len(reads) == 2
    assert indices._bytes == clips.index_cache._size(indices.of(video(path)))


def test_intervals_are_checked_when_the_index_comes_from_the_cache(made: Made, tmp_path: Path) -> None:
    spec = ClipSpec(4, None, None, "repeat_last", 32, "error", 1.0, tmp_path)
    for _ in range(2):
        for record in (video(made("h264"), 0.0, 1.0), video(made("h264"), 0.0, 9.0)):  # of the same file
            opened = ViewedVideos([record], 1, spec, views={4: (1, 1)}, short_side=32, broken="error")
            if record.intervals[0, 1] > 3:
                with pytest.raises(ValueError, match=r"interval 0 to 9 s .* reaches past the end"):
                    opened[0]
            else:
                assert opened[0].index == 0
    assert len(entries(tmp_path)) == 1
