"""A table gives back exactly the records that it was made of, and nothing else goes to a worker."""

import io
import pickle
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from clips import video_table
from clips.ragged import Ragged, Texts, narrow
from clips.targets import Video
from clips.video_table import VideoTable

FIELDS = ("labels", "intervals", "boxes", "box_labels")
NAMES = ["a", "", "Müller/ü.mp4", "日本", "\ud800 half a pair", "\udce9 no UTF-8", "a\nb", "x" * 300]


def records(count: int, seed: int = 0) -> list[Video]:
    """Videos with all that a record may hold, and with as little."""
    random = np.random.default_rng(seed)
    videos = []
    for number in range(count):
        i, p = int(random.integers(0, 4)), int(random.integers(0, 3))
        moment: dict[str, Any] = {}
        if number % 3 == 1:
            moment = {"window": (0.1 * number, 0.1 * number + 2), "frame_numbers": (number, 2**40 + number)}
            moment["boxes"] = random.random((p, 4), np.float32)
        if number % 6 == 1:
            moment["box_labels"] = random.integers(0, 2, (p, 5))
        intervals = np.sort(random.random((i, 2)) * 1e3, axis=1)
        intervals[i // 2 :, 1] = np.inf
        path = Path("/data/set") / f"part{number % 2}" / f"{number}.mp4" if number % 5 else Path(f"other/{number}.mp4")
        name = f"{NAMES[number % len(NAMES)]} {number}"
        videos.append(Video(name, path, random.integers(0, 400, i), intervals, **moment))
    return videos


def assert_same(found: Video, video: Video) -> None:
    assert (found.name, found.path, found.window, found.frame_numbers) == (
        video.name,
        video.path,
        video.window,
        video.frame_numbers,
    )
    for name in FIELDS:
        one, other = getattr(found, name), getattr(video, name)
        assert (one is None) == (other is None)
        if other is not None:
            assert one.dtype == other.dtype and one.shape == other.shape and one.tobytes() == other.tobytes()


@pytest.mark.parametrize("chunk", [1, 7, 4096])
def test_every_record_comes_back_bit_for_bit(monkeypatch: pytest.MonkeyPatch, chunk: int) -> None:
    monkeypatch.setattr(video_table, "_CHUNK", chunk)
    videos = records(40)
    table = VideoTable.from_videos(video for video in videos)
    assert len(table) == 40
    for number, (found, video) in enumerate(zip(table, videos, strict=True)):
        assert_same(found, video)
        assert_same(table[number - 40], video)
        assert_same(table[np.int64(number)], video)  # type: ignore[call-overload]
    assert list(table.names()) == [video.name for video in videos]
    assert list(table.paths()) == [str(video.path) for video in videos]
    assert table.num_intervals().tolist() == [len(video.labels) for video in videos]
    with pytest.raises(IndexError):
        table[40]


def test_records_are_read_once_and_not_held(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(video_table, "_CHUNK", 10)
    alive: list[int] = []

    class Counted(np.ndarray):  # labels that say when they are gone
        def __del__(self) -> None:
            alive.append(-1)

    def stream() -> Iterator[Video]:
        for number in range(95):
            assert sum(alive) <= 20
            labels = np.array([number]).view(Counted)
            alive.append(1)
            yield Video(str(number), Path(f"{number}.mp4"), labels, np.zeros((1, 2)))

    table = VideoTable.from_videos(stream())
    assert len(table) == 95 and table[94].labels.tolist() == [94]
    assert VideoTable.from_videos(table) is table and not VideoTable.from_videos([])


def test_the_arrays_of_a_record_are_its_own() -> None:
    table = VideoTable.from_videos(records(10))
    for name in FIELDS:
        getattr(table[7], name)[...] = 9
    assert_same(table[7], records(10)[7])


@pytest.mark.parametrize("rows", [[5, 2, 2, 31], [], list(range(40))])
def test_some_videos_of_a_table_are_a_table(rows: list[int]) -> None:
    videos = records(40)
    table = VideoTable.from_videos(videos).take(np.array(rows, np.int64))
    for part in (table, table.take(np.arange(len(rows))), pickle.loads(pickle.dumps(table))):
        assert len(part) == len(rows)
        for found, row in zip(part, rows, strict=True):
            assert_same(found, videos[row])
        assert list(part.names()) == [videos[row].name for row in rows]
        assert part.num_intervals().tolist() == [len(videos[row].labels) for row in rows]
    assert [video.name for video in table[1:3]] == [videos[row].name for row in rows[1:3]]


def test_what_goes_to_a_worker_is_arrays_of_its_own_videos() -> None:
    videos = [Video(f"{k:05d}", Path(f"/d/{k:05d}"), np.arange(3), np.zeros((3, 2))) for k in range(2000)]
    table = VideoTable.from_videos(videos)
    whole, tenth = pickle.dumps(table), pickle.dumps(table.take(np.arange(0, 2000, 10)))
    assert len(whole) < 2000 * (5 + 5 + 3 + 48 + 4 * 4) + 3000 and len(tenth) < len(whole) / 10 + 3000
    kinds: set[Any] = set()

    class Pickler(pickle.Pickler):
        def persistent_id(self, obj: Any) -> None:
            kinds.add(type(obj))
            kinds.update({len(obj)} if isinstance(obj, list | dict | tuple | set) and len(obj) > 100 else ())

    Pickler(io.BytesIO()).dump(table)
    assert Video not in kinds and not any(isinstance(kind, int) for kind in kinds), "nothing is there once a video"


def test_columns_of_a_folder_make_the_records_of_joined_paths() -> None:
    labels, intervals = Ragged(np.array([3, 1, 2], np.uint8), np.array([0, 2, 3])), np.arange(6.0).reshape(3, 2)
    for root in (Path("/data/x"), Path("rel"), Path(), Path("/"), Path("/ü/../y")):
        for names in (["a/1.mp4", "b.mp4"], ["./a//1.mp4", "b/"], ["/abs/a", "../b"], ["a/./b", "."], ["a/", "/b"]):
            table = VideoTable.from_folder(root, Texts.pack(names), labels, Ragged(intervals, labels.offsets))
            assert [video.path for video in table] == [root / name for name in names]
            assert list(table.paths()) == [str(root / name) for name in names]
            assert [video.name for video in table] == names
            assert [video.labels.tolist() for video in table] == [[3, 1], [2]]
            assert table[0].labels.dtype == np.int64 and table[1].intervals.tolist() == [[4.0, 5.0]]


def test_cooccurrence_is_the_count_of_videos(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(video_table, "_CHUNK", 16)
    random = np.random.default_rng(1)
    videos = [
        Video(str(k), Path(str(k)), random.integers(0, 6, int(random.integers(0, 9))), np.empty(0)) for k in range(70)
    ]
    videos = [Video(v.name, v.path, v.labels, np.zeros((len(v.labels), 2))) for v in videos]
    table = VideoTable.from_videos(videos)
    for part, chosen in ((table, videos), (table.take(np.arange(0, 70, 3)), videos[::3])):
        expected = np.zeros((7, 7), int)
        for video in chosen:
            for j in set(video.labels.tolist()):
                for k in set(video.labels.tolist()):
                    expected[j, k] += 1
        found = part.cooccurrence(7)
        assert found.dtype == np.int64 and found.tolist() == expected.tolist()
    with pytest.raises(ValueError, match="labels must be from 0 to 4, got 0 to 5"):
        table.cooccurrence(5)


@pytest.mark.parametrize(
    ("labels", "intervals"),
    [
        (np.array([0.5]), np.zeros((1, 2))),
        (np.array([1, 2]), np.zeros((1, 2))),
        (np.array([1]), np.zeros(2)),
        (np.array([[1]]), np.zeros((1, 2))),
    ],
)
def test_record_that_is_none_is_named(labels: Any, intervals: Any) -> None:
    with pytest.raises(ValueError, match=r"video 'odd': expected integer labels \(I,\) and intervals \(I, 2\)"):
        VideoTable.from_videos([*records(3), Video("odd", Path("odd"), labels, intervals)])


@pytest.mark.parametrize("chunk", [1, 4096])
def test_box_labels_of_different_widths_are_refused(monkeypatch: pytest.MonkeyPatch, chunk: int) -> None:
    monkeypatch.setattr(video_table, "_CHUNK", chunk)
    rest: dict[str, Any] = {"labels": np.empty(0, np.int64), "intervals": np.empty((0, 2)), "boxes": np.zeros((1, 4))}
    videos = [Video("v", Path("v"), **rest, box_labels=np.zeros((1, width), np.int64)) for width in (3, 5)]
    with pytest.raises(ValueError, match="box_labels of all videos must have as many columns, got 3 and 5"):
        VideoTable.from_videos(videos)


def test_columns_of_different_lengths_are_refused() -> None:
    one, two = Texts.pack(["a"]), Texts.pack(["a", "b"])
    rows = Ragged(np.empty(0, np.uint8), np.zeros(2, np.int32))
    with pytest.raises(ValueError, match=r"one row a video, got \[1, 2\] rows"):
        VideoTable(one, two, rows, rows)


@pytest.mark.parametrize(
    ("values", "dtype"),
    [
        ([0, 255], np.uint8),
        ([0, 256], np.uint16),
        ([-1, 127], np.int8),
        ([-1, 200], np.int16),
        ([0, 2**32], np.uint64),
        ([-1, 2**62], np.int64),
    ],
)
def test_integers_are_kept_in_the_smallest_dtype(values: list[int], dtype: type) -> None:
    found = narrow(np.array(values, np.int64))
    assert found.dtype == dtype and found.tolist() == values


def test_rows_are_gathered_as_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("clips.ragged._CHUNK", 3)
    rows = [np.arange(count) + 10 * count for count in (0, 3, 1, 0, 5)]
    ragged = Ragged.pack(rows, np.empty(0, np.int64))
    order = np.array([4, 4, 0, 2, 1, 3, 1])
    taken = ragged.take(order)
    assert [taken[row].tolist() for row in range(len(taken))] == [rows[k].tolist() for k in order]
    assert all(b - a == len(row) for (a, b), row in zip(pairwise(ragged.offsets.tolist()), rows, strict=True))
