"""The command scan: what its report says, what a second start reads, and what kills it not."""

import csv
import faulthandler
import multiprocessing
import os
import re
import shutil
import signal
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np
import pytest
import yaml

import datamodules.scan
from cli import main
from clips.decoding import read_index
from clips.encoding import write_video
from clips.index_cache import IndexCache
from datamodules import AnnotatedVideosDataModule
from datamodules.scan import scan
from datamodules.scan_report import COLUMNS
from tests.clips.odd_files import FRAMES, KINDS, pictures
from tests.clips.test_frame_folder import write_picture
from tests.conftest import ROOT
from tests.system_faults import wait_for_end

GOOD = {"frames": "50", "seconds": str(49 / 24 + 1 / 24), "height": "48", "width": "64", "codec": "h264"}


@pytest.fixture(scope="module")
def kinds(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Make a file of a kind, once."""
    files: dict[str, Path] = {}

    def make(kind: str) -> Path:
        if kind not in files:
            files[kind] = KINDS[kind](tmp_path_factory.mktemp("video"))
        return files[kind]

    return make


Kinds = Callable[[str], Path]


def data_set(folder: Path, *rows: str, **settings: object) -> AnnotatedVideosDataModule:
    (folder / "annotations.csv").write_text("\n".join(["video,label,start,end,split", *rows]) + "\n")
    return AnnotatedVideosDataModule(folder / "annotations.csv", **settings)  # type: ignore[arg-type]


def copies(folder: Path, source: Path, *names: str) -> list[str]:
    """Copies of a video, and the rows of training videos that they are."""
    for name in names:
        shutil.copy(source, folder / name)
    return [f"{name},walk,0,1,train" for name in names]


def rows_of(report: Path) -> dict[str, dict[str, str]]:
    """The rows by the name of the file; no file may have two."""
    with report.open(newline="") as file:
        rows = list(csv.DictReader(file))
    found = {Path(row["file"]).name: row for row in rows}
    assert len(found) == len(rows)
    return found


Reads = Callable[[], list[str]]


@pytest.fixture
def reads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Reads:
    """The names of the files that were read since the last call, in any process, and sorted."""
    log, examine = tmp_path / "reads.log", datamodules.scan._examine

    def logged(job: datamodules.scan._Job) -> dict[str, str]:
        with log.open("a") as file:
            file.write(f"{job.video.path.name}\n")
        return examine(job)

    def names() -> list[str]:
        found = sorted(log.read_text().split()) if log.exists() else []
        log.unlink(missing_ok=True)
        return found

    monkeypatch.setattr(datamodules.scan, "_examine", logged)
    return names


def damage(path: Path, frame: int) -> None:
    """Overwrite the packet of a frame."""
    index = read_index(path)
    place = int(index.packets.place[frame])
    start, size = int(index.packets.position[place]), int(index.packets.size[place])
    with path.open("r+b") as file:
        file.seek(start + 5)
        file.write(b"\xff" * (size - 5))


def test_report_tells_good_bad_and_odd(kinds: Kinds, tmp_path: Path) -> None:
    for name, kind in {"good": "h264", "late": "h264", "turned": "rotated 90", "edited": "edit list"}.items():
        shutil.copy(kinds(kind), tmp_path / f"{name}.mp4")
    shutil.copy(kinds("variable rate"), tmp_path / "variable.mp4")
    (tmp_path / "truncated.mp4").write_bytes(kinds("h264").read_bytes()[:-1500])
    avi = kinds("mpeg4 avi")
    (tmp_path / "short.avi").write_bytes(avi.read_bytes()[: read_index(avi).packets.position[30]])
    (tmp_path / "empty.mp4").touch()
    names = ["good.mp4", "late.mp4", "turned.mp4", "edited.mp4", "variable.mp4"]
    names += ["truncated.mp4", "short.avi", "empty.mp4", "absent.mp4"]
    rows = [f"{name},walk,0,1,{'train' if number % 2 else 'test'}" for number, name in enumerate(names)]
    data = data_set(tmp_path, *rows, "late.mp4,run,1,9,train")
    assert scan(data, tmp_path / "out" / "scan.csv", workers=2) == 4
    found = rows_of(tmp_path / "out" / "scan.csv")
    assert {name: row["status"] for name, row in found.items()} == {
        "good.mp4": "good",
        "late.mp4": "bad",
        "turned.mp4": "odd",
        "edited.mp4": "odd",
        "variable.mp4": "odd",
        "truncated.mp4": "bad",
        "short.avi": "odd",
        "empty.mp4": "bad",
        "absent.mp4": "bad",
    }
    for name, (column, text) in {
        "late.mp4": ("annotations", "interval 1 to 9 s of label number 0 reaches past the end"),
        "turned.mp4": ("odd", "rotation: shown turned by 90 degrees clockwise"),
        "edited.mp4": ("odd", "edit list: 1 entries, 9 pictures are not shown"),
        "variable.mp4": ("odd", "variable frame rate: pictures stay for 8.3 to 66.7 ms"),
        "truncated.mp4": ("problem", "FFmpeg reports 'Invalid data"),
        "short.avi": ("odd", "cut short: the header announces 50 pictures, the file holds 30"),
        "empty.mp4": ("problem", "got an empty one"),
        "absent.mp4": ("problem", "got nothing; correct the path"),
    }.items():
        assert text in found[name][column], name
    assert not [row for key, row in found["good.mp4"].items() if key in ("problem", "annotations", "odd") and row]
    assert GOOD.items() <= found["good.mp4"].items() and found["good.mp4"]["container"] == "mov"
    assert (found["turned.mp4"]["height"], found["turned.mp4"]["width"]) == ("64", "48")
    assert (found["good.mp4"]["indexed"], found["short.avi"]["indexed"]) == ("packets", "pictures")
    status = (tmp_path / "good.mp4").stat()
    assert (found["good.mp4"]["bytes"], found["good.mp4"]["mtime_ns"]) == (str(status.st_size), str(status.st_mtime_ns))


def test_its_list_makes_the_data_set_usable(kinds: Kinds, tmp_path: Path) -> None:
    rows = copies(tmp_path, kinds("h264"), "a.mp4", "b.mp4", "late.mp4")
    rows += ["late.mp4,run,1,9,train", "absent.mp4,run,,,train", "gone.mp4,run,,,val"]
    assert scan(data_set(tmp_path, *rows), tmp_path / "scan.csv", workers=1) == 3
    names = (tmp_path / "scan_bad.txt").read_text().split()
    assert names == ["late.mp4", "absent.mp4", "gone.mp4"]
    with pytest.raises(ValueError, match="absent"):
        data_set(tmp_path, *rows).setup("fit")
    usable = data_set(tmp_path, *rows, leave_out=tmp_path / "scan_bad.txt")
    usable.setup("fit")
    assert [video.name for video in usable.videos["train"]] == ["a.mp4", "b.mp4"]
    assert scan(usable, tmp_path / "scan.csv", workers=1) == 0  # what is left out is not bad
    (tmp_path / "b.mp4").write_bytes(b"no video")
    usable = data_set(tmp_path, *rows, leave_out=tmp_path / "scan_bad.txt")
    assert scan(usable, tmp_path / "scan.csv", workers=1) == 1
    assert (tmp_path / "scan_bad.txt").read_text().split() == names  # never overwritten
    assert (tmp_path / "scan_bad-1.txt").read_text().split() == [*names, "b.mp4"]


def test_intervals_are_cut_or_refused_as_a_run_does_without_reading_again(
    kinds: Kinds, tmp_path: Path, reads: Reads
) -> None:
    rows = [*copies(tmp_path, kinds("h264"), "a.mp4"), "a.mp4,run,1,9,train"]
    assert scan(data_set(tmp_path, *rows), tmp_path / "scan.csv", workers=1) == 1 and reads() == ["a.mp4"]
    assert scan(data_set(tmp_path, *rows, past_end="clip"), tmp_path / "scan.csv", workers=1) == 0
    (row,) = rows_of(tmp_path / "scan.csv").values()
    assert (row["status"], row["annotations"]) == ("odd", "past the end: intervals are cut there") and not reads()
    assert scan(data_set(tmp_path, rows[0]), tmp_path / "scan.csv", workers=1) == 0
    (row,) = rows_of(tmp_path / "scan.csv").values()
    assert (row["status"], row["annotations"]) == ("good", "") and not reads()


@pytest.mark.parametrize("frames, status", [("none", "good"), ("sampled", "good"), ("all", "bad")])
def test_damage_in_the_middle_is_found_by_decoding_all(kinds: Kinds, tmp_path: Path, frames: str, status: str) -> None:
    row = copies(tmp_path, kinds("h264 closed GOP"), "a.mp4")
    damage(tmp_path / "a.mp4", 30)  # keyframes are 0, 12, 24, 36 and 48; five samples are 0, 12, 24, 36 and 49
    scan(data_set(tmp_path, *row), tmp_path / "scan.csv", frames, workers=1)  # type: ignore[arg-type]
    (found,) = rows_of(tmp_path / "scan.csv").values()
    assert found["status"] == status and found["decoded"] == frames
    assert ("frame 30 cannot be decoded" in found["problem"]) == (status == "bad")


def test_long_file_is_decoded_in_blocks(kinds: Kinds, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    row, blocks = copies(tmp_path, kinds("h264"), "a.mp4"), []
    monkeypatch.setattr(datamodules.scan, "_BLOCK", 16)
    monkeypatch.setattr(datamodules.scan, "read_frames", lambda _, numbers, size: blocks.append(numbers.tolist()))
    job = datamodules.scan._Job(data_set(tmp_path, *row).read_split("train")[0], "all", None, None)
    datamodules.scan._examine(job)
    assert [len(block) for block in blocks] == [16, 16, 16, 2] and np.concatenate(blocks).tolist() == [*range(FRAMES)]


def test_second_start_reads_only_what_is_missing_or_has_changed(kinds: Kinds, tmp_path: Path, reads: Reads) -> None:
    rows, report = copies(tmp_path, kinds("h264"), "a.mp4", "b.mp4", "c.mp4"), tmp_path / "scan.csv"
    rows.append("absent.mp4,run,,,train")

    def again(**settings: object) -> list[str]:
        scan(data_set(tmp_path, *rows), report, workers=2, **settings)  # type: ignore[arg-type]
        return reads()

    assert again() == ["a.mp4", "absent.mp4", "b.mp4", "c.mp4"]
    assert again() == again(frames="none") == ["absent.mp4"]
    os.utime(tmp_path / "a.mp4", ns=(0, 0))
    write_video(tmp_path / "b.mp4", pictures(20))
    assert again() == ["a.mp4", "absent.mp4", "b.mp4"]
    assert rows_of(report)["b.mp4"]["frames"] == "20" and rows_of(report)["a.mp4"]["mtime_ns"] == "0"
    assert again(frames="all") == ["a.mp4", "absent.mp4", "b.mp4", "c.mp4"]
    assert again() == ["absent.mp4"]
    shutil.copy(kinds("h264"), tmp_path / "absent.mp4")
    rows.append(copies(tmp_path, kinds("h264"), "d.mp4")[0])
    assert again() == ["absent.mp4", "d.mp4"] and again() == []
    assert list(rows_of(report)) == ["a.mp4", "b.mp4", "c.mp4", "absent.mp4", "d.mp4"]  # as in the data set


def test_processes_are_as_many_as_it_may_use(kinds: Kinds, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data, seen = data_set(tmp_path, *copies(tmp_path, kinds("h264"), "a.mp4")), []
    monkeypatch.setattr(os, "cpu_count", lambda: 128)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 5}, raising=False)

    def here(
        function: Callable[..., object], items: Iterable[object], **settings: object
    ) -> Iterator[tuple[object, ...]]:
        seen.append(settings["workers"])
        return ((item, function(item)) for item in items)

    monkeypatch.setattr(datamodules.scan, "work", here)
    assert scan(data, tmp_path / "scan.csv") == 0 and seen == [2]


def test_rows_of_other_splits_are_kept(kinds: Kinds, tmp_path: Path, reads: Reads) -> None:
    rows = [*copies(tmp_path, kinds("h264"), "a.mp4", "b.mp4"), "absent.mp4,run,,,val"]
    report = tmp_path / "scan.csv"
    assert scan(data_set(tmp_path, *rows), report, splits="train", workers=1) == 0 and reads() == ["a.mp4", "b.mp4"]
    assert scan(data_set(tmp_path, *rows), report, splits="val,test", workers=1) == 1 and reads() == ["absent.mp4"]
    assert list(rows_of(report)) == ["absent.mp4", "a.mp4", "b.mp4"]
    assert scan(data_set(tmp_path, *rows), report, splits="train", workers=1) == 0 and reads() == []


def test_scan_that_was_killed_goes_on_where_it_was(
    kinds: Kinds, tmp_path: Path, reads: Reads, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [f"{number:02}.mp4" for number in range(24)]
    rows, report = copies(tmp_path, kinds("h264"), *names), tmp_path / "scan.csv"
    data, examine = data_set(tmp_path, *rows), datamodules.scan._examine

    def slow(job: datamodules.scan._Job) -> dict[str, str]:
        """All three processes begin, a few items are finished, and the others wait for the kill."""
        parent = multiprocessing.parent_process()
        assert parent is not None
        (tmp_path / f"{os.getpid()}.pid").touch()
        (tmp_path / f"{job.video.name}.begun").touch()
        while parent.is_alive() and (len(list(tmp_path.glob("*.pid"))) < 3 or len(list(tmp_path.glob("*.begun"))) > 8):
            time.sleep(0.01)
        return examine(job)

    with monkeypatch.context() as patch:
        patch.setattr(datamodules.scan, "_examine", slow)
        process = multiprocessing.get_context("fork").Process(target=scan, args=(data, report), kwargs={"workers": 3})
        process.start()
        while not report.exists() or len(rows_of(report)) < 5:
            assert process.is_alive()
            time.sleep(0.01)
        assert process.pid is not None
        os.kill(process.pid, signal.SIGKILL)
        process.join()
    workers = [int(path.stem) for path in tmp_path.glob("*.pid")]
    wait_for_end(*workers)  # they find that nobody waits
    assert len(workers) == 3
    finished = set(rows_of(report))
    assert 5 <= len(finished) < 24
    reads()
    with report.open("a") as file:
        file.write("good,half a ro")  # as a full disk leaves it
    assert scan(data, report, workers=2) == 0
    assert set(reads()) == set(names) - finished
    found = rows_of(report)
    assert list(found) == names and all(GOOD.items() <= row.items() for row in found.values())


def test_file_that_kills_its_process_is_bad_and_the_rest_goes_on(
    kinds: Kinds, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ["a.mp4", "kills.mp4", "b.mp4", "crashes.mp4", "ends.mp4", "hangs.mp4", "c.mp4"]
    data, examine = data_set(tmp_path, *copies(tmp_path, kinds("h264"), *names)), datamodules.scan._examine

    def fatal(job: datamodules.scan._Job) -> dict[str, str]:
        match job.video.name.removesuffix(".mp4"):
            case "kills":
                os.kill(os.getpid(), signal.SIGKILL)
            case "crashes":
                faulthandler.disable()  # pytest's would print where
                os.kill(os.getpid(), signal.SIGSEGV)
            case "ends":
                os._exit(3)
            case "hangs":
                signal.setitimer(signal.ITIMER_REAL, 0.1)  # the limit that is set, but sooner
                time.sleep(600)
        return examine(job)

    with monkeypatch.context() as patch:
        patch.setattr(datamodules.scan, "_examine", fatal)
        assert scan(data, tmp_path / "scan.csv", workers=2) == 4
    found = rows_of(tmp_path / "scan.csv")
    assert {name: row["problem"].partition(": ")[2] for name, row in found.items()} == {
        "a.mp4": "",
        "b.mp4": "",
        "c.mp4": "",
        "kills.mp4": "the process that read it was killed by SIGKILL",
        "crashes.mp4": "the process that read it was killed by SIGSEGV",
        "ends.mp4": "the process that read it ended with status 3",
        "hangs.mp4": "it took longer than 600 s",
    }
    assert scan(data, tmp_path / "scan.csv", workers=2) == 0  # these four are tried again


def test_index_cache_is_filled(kinds: Kinds, tmp_path: Path, reads: Reads, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [*copies(tmp_path, kinds("h264"), "a.mp4", "b.mp4"), "absent.mp4,run,,,train"]
    scan(data_set(tmp_path, *rows), tmp_path / "scan.csv", workers=1)
    assert reads() == ["a.mp4", "absent.mp4", "b.mp4"]
    for expected in (["a.mp4", "absent.mp4", "b.mp4"], ["absent.mp4"]):  # the report alone does not make the cache
        data = data_set(tmp_path, *rows, index_cache=tmp_path / "cache")
        assert scan(data, tmp_path / "scan.csv", workers=2) == 1
        assert reads() == expected
        assert all(IndexCache(tmp_path / "cache").knows(tmp_path / name) for name in ("a.mp4", "b.mp4"))
    settings = {"num_frames": 4, "crop_size": 32, "short_side": (32, 32), "test_short_side": 32, "num_workers": 0}
    data = data_set(tmp_path, *rows[:2], **settings, index_cache=tmp_path / "cache")
    monkeypatch.setattr("clips.index_cache.read_index", None)
    data.setup("fit")
    (batch,) = data.train_dataloader()
    assert not batch["broken"] and batch["clips"].shape == (2, 1, 3, 4, 32, 32)


def test_folders_of_frames_are_scanned(kinds: Kinds, tmp_path: Path, reads: Reads) -> None:
    for name, numbers in {"gap": (1, 2, 4), "noise": (1, 2, 3)}.items():
        (tmp_path / name).mkdir()
        for number in numbers:
            shutil.copy(kinds("h264"), tmp_path / name / f"{name}-{number:06}.png")  # no picture
    (tmp_path / "good").mkdir()
    for number, picture in enumerate(pictures(6)):
        write_picture(tmp_path / "good" / f"good-{number:06}.png", picture)
    rows = [f"{name},walk,,,train" for name in ("gap", "noise", "good")]
    data = data_set(tmp_path, *rows, folder_fps=24.0)
    assert scan(data, tmp_path / "scan.csv", "all", workers=1) == 2 and reads() == ["gap", "good", "noise"]
    found = rows_of(tmp_path / "scan.csv")
    assert (found["good"]["container"], found["good"]["frames"], found["good"]["fps"]) == ("folder", "6", "24.0")
    scan(data, tmp_path / "scan.csv", "all", workers=1)
    assert reads() == ["gap", "noise"]  # what is wrong with a folder may change without a trace
    scan(data_set(tmp_path, *rows, folder_fps=12.0), tmp_path / "scan.csv", "all", workers=1)
    assert rows_of(tmp_path / "scan.csv")["good"]["seconds"] == "0.5"


def test_wrong_arguments_are_refused(kinds: Kinds, tmp_path: Path) -> None:
    data = data_set(tmp_path, *copies(tmp_path, kinds("h264"), "a.mp4"))
    with pytest.raises(ValueError, match="splits must be some of train,val,test, got 'training'"):
        scan(data, tmp_path / "scan.csv", splits="training")
    with pytest.raises(ValueError, match="has no video in val; check"):
        scan(data, tmp_path / "scan.csv", splits="val")
    for wrong in ({"workers": 0}, {"time_limit": 0.0}, {"time_limit": float("inf")}, {"time_limit": float("nan")}):
        with pytest.raises(ValueError, match="workers must be at least 1 and time_limit above 0"):
            scan(data, tmp_path / "scan.csv", **wrong)
    (tmp_path / "mine.csv").write_text("a,b\n1,2\n")
    with pytest.raises(ValueError, match="was not written by this version of scan"):
        scan(data, tmp_path / "mine.csv")
    assert (tmp_path / "mine.csv").read_text() == "a,b\n1,2\n" and not (tmp_path / "scan.csv").exists()


def test_command_takes_a_data_config_and_tells_by_its_status(
    kinds: Kinds, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data_set(tmp_path, *copies(tmp_path, kinds("h264"), "a.mp4"))
    config = {
        "class_path": "AnnotatedVideosDataModule",
        "init_args": {"annotations": str(tmp_path / "annotations.csv")},
    }
    (tmp_path / "data.yaml").write_text(yaml.safe_dump(config))
    words = ["scan", "--data", str(tmp_path / "data.yaml"), "--report", str(tmp_path / "scan.csv"), "--frames", "all"]
    words += ["--workers=1", f"--data.init_args.index_cache={tmp_path / 'cache'}"]
    assert main([*words, f"--data.root={tmp_path}"]) is None
    assert rows_of(tmp_path / "scan.csv")["a.mp4"]["decoded"] == "all" and "good" in capsys.readouterr().out
    assert IndexCache(tmp_path / "cache").knows(tmp_path / "a.mp4")
    with pytest.raises(SystemExit):
        main([*words, f"--data.root={tmp_path}", "--data.train_rates", "[2, 4, 60]"])
    assert "rate 60 leaves one frame" in capsys.readouterr().out
    (tmp_path / "empty").mkdir()
    with pytest.raises(SystemExit) as end:
        main([*words, f"--data.root={tmp_path / 'empty'}"])
    assert end.value.code == 1 and "--data.leave_out" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        main([*words, "--frame=all"])  # no abbreviation


def test_page_names_every_column_and_odd_thing() -> None:
    page = (ROOT / "docs" / "scan.md").read_text(encoding="utf-8")
    code = (ROOT / "clips" / "inspection.py").read_text(encoding="utf-8")
    kinds = set(re.findall(r'yield f?"([a-z ]+): ', code))
    assert len(kinds) >= 7 and not [kind for kind in kinds if kind != "one picture" and kind not in page]
    assert not [column for column in COLUMNS if f"`{column}`" not in page]


def test_video_too_short_for_the_largest_rate_is_bad(tmp_path: Path) -> None:
    for name, count in (("one.mp4", 1), ("three.mp4", 3), ("long.mp4", 9)):
        write_video(tmp_path / name, pictures(count))
    rows = [f"{name}.mp4,walk,,,train" for name in ("one", "three", "long")]
    data = data_set(tmp_path, *rows, train_rates=[2, 4], val_views={2: (1, 1)}, test_views={2: (1, 1)})
    assert scan(data, tmp_path / "scan.csv", workers=1) == 2
    found = rows_of(tmp_path / "scan.csv")
    assert [found[f"{name}.mp4"]["status"] for name in ("one", "three", "long")] == ["bad", "bad", "good"]
    assert "rate 4 leaves one frame" in found["three.mp4"]["annotations"]
    assert (tmp_path / "scan_bad.txt").read_text() == "one.mp4\nthree.mp4\n"


def test_mended_file_is_read_again_though_its_size_and_time_are_the_same(
    tmp_path: Path, kinds: Kinds, reads: Reads
) -> None:
    (row,) = copies(tmp_path, kinds("h264"), "a.mp4")
    whole, status = (tmp_path / "a.mp4").read_bytes(), (tmp_path / "a.mp4").stat()
    for content, bad in ((bytes(len(whole)), 1), (whole, 0)):
        (tmp_path / "a.mp4").write_bytes(content)
        os.utime(tmp_path / "a.mp4", ns=(status.st_mtime_ns, status.st_mtime_ns))
        assert scan(data_set(tmp_path, row), tmp_path / "scan.csv", workers=1) == bad
    assert reads() == ["a.mp4", "a.mp4"]


@pytest.mark.parametrize("name", ["a\u2028b.mp4", "Title [dQw4w9] x.mp4", "a[/b].mp4", "form\x0cfeed.mp4"])
def test_names_that_look_like_line_ends_or_markup_pass(
    tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_bytes(b"no video")
    rows = [f"{name},walk,,,train"]
    for _ in range(2):
        assert scan(data_set(tmp_path, *rows), tmp_path / "scan.csv", workers=1) == 1
    assert "bad: " in capsys.readouterr().out
    (tmp_path / "good.mp4").touch()
    usable = data_set(tmp_path, *rows, "good.mp4,walk,,,train", leave_out=tmp_path / "scan_bad.txt")
    usable.setup("fit")
    assert list(usable.videos["train"].names()) == ["good.mp4"]


def test_bad_folder_leaves_out_itself_and_not_what_is_in_it(tmp_path: Path, kinds: Kinds) -> None:
    (tmp_path / "kitchen").mkdir()
    rows = [*copies(tmp_path, kinds("h264"), "kitchen/1.mp4", "kitchen/2.mp4"), "kitchen,walk,,,train"]
    assert scan(data_set(tmp_path, *rows), tmp_path / "scan.csv", workers=1) == 1
    usable = data_set(tmp_path, *rows, leave_out=tmp_path / "scan_bad.txt")
    usable.setup("fit")
    assert list(usable.videos["train"].names()) == ["kitchen/1.mp4", "kitchen/2.mp4"]


def test_report_that_cannot_be_written_is_refused_before_anything_is_read(
    tmp_path: Path, kinds: Kinds, reads: Reads
) -> None:
    (row,) = copies(tmp_path, kinds("h264"), "a.mp4")
    for report in (tmp_path / "a.mp4" / "scan.csv", tmp_path):
        with pytest.raises(ValueError, match=r"report .* cannot be (read|written) \("):
            scan(data_set(tmp_path, row), report)
    assert reads() == []
