"""Damaged copies of videos and pictures, read in a process apart: frames or a VideoError, in bounded time and memory."""

from pathlib import Path

import pytest

from tests.clips.fuzz import MEGABYTES, ODD, Case, Report, run, spread, table, write_sources
from tests.clips.fuzz_corpus import mutant, pieces
from tests.clips.fuzz_reading import Outcome


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return write_sources(tmp_path_factory.mktemp("sources"), ODD)


def test_mutation_is_the_same_bytes_each_time(sources: list[Path]) -> None:
    for path in sources:
        data = path.read_bytes()
        made = [mutant(data, path.name, number) for number in range(24)]
        assert made == [mutant(data, path.name, number) for number in range(24)]
        assert made[0] == (b"", "empty")
        assert made[1:] != [mutant(data, path.name, number, 1) for number in range(1, 24)]
        assert sum(changed != data for changed, _ in made) >= 20  # a byte may be replaced by itself


@pytest.mark.parametrize(
    "suffix, names",
    [
        (".mp4", [b"moov", b"trak", b"stsd", b"avc1", b"avcC", b"stsz", b"mdat"]),
        (".mkv", [0x1A45DFA3, 0x18538067, 0x1654AE6B, 0xAE, 0xE0, 0xB0, 0x1F43B675, 0xA3]),
        (".ts", ["packet"]),
        (".png", [b"IHDR", b"IDAT", b"IEND"]),
        (".jpg", [0xC0, 0xDA]),
    ],
)
def test_pieces_are_those_of_the_format(suffix: str, names: list[object], sources: list[Path]) -> None:
    for path in (path for path in sources if path.suffix == suffix and "hevc" not in path.name):
        found = pieces(path.read_bytes(), suffix)
        assert set(names) <= {piece.name for piece in found}
        assert sum(piece.end - piece.start for piece in found if piece.parent < 0) >= path.stat().st_size - 8


def test_damaged_copies_give_frames_or_a_video_error(sources: list[Path], tmp_path: Path) -> None:
    reports = list(run(spread(sources, 150, seed=0), tmp_path))
    failures = [(*report.case, report.outcome.detail) for report in reports if report.outcome.kind == "failure"]
    assert not failures
    assert {report.outcome.kind for report in reports} == {"frames", "error"}
    assert sum(report.outcome.compared == "equal" for report in reports) > 40


@pytest.mark.slow
def test_damaged_copies_of_real_clips_give_frames_or_a_video_error(shared_data: Path, tmp_path: Path) -> None:
    clips = sorted(path for path in (shared_data / "videos").rglob("*") if path.suffix in (".mp4", ".avi"))
    reports = list(run(spread(clips, 400, seed=1), tmp_path))
    assert not [(*report.case, report.outcome.detail) for report in reports if report.outcome.kind == "failure"]


def test_failures_are_counted_with_their_command(
    sources: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    case = Case(sources[0], 7, 3)
    reports = [
        Report(case, Outcome("failure", "kills the process: SIGSEGV")),
        Report(case, Outcome("frames"), 2.0, 300),
    ]
    (tmp_path / "keep").mkdir()
    assert table(reports, tmp_path / "keep", tmp_path) == 1
    printed = capsys.readouterr().out
    assert f"failure: --file {sources[0].name} --number 7 --seed 3" in printed and "SIGSEGV" in printed
    assert "slowest file 2.00 s" in printed and "peak memory 300 MB" in printed
    assert len(list((tmp_path / "keep").iterdir())) == 1
    assert MEGABYTES <= 1000
