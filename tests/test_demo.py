"""The demo from beginning to end, on the smallest set."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.demo import clear
from tests.conftest import ROOT


@pytest.mark.slow
def test_demo_runs_and_shows_what_it_measured(tmp_path: Path) -> None:
    done = subprocess.run(
        [
            *(sys.executable, "-m", "benchmarks.demo", f"--output={tmp_path / 'out'}", "--trainer.max_epochs=1"),
            *("--data.size=tiny", f"--data.root={tmp_path / 'data'}"),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=400,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    result = json.loads((tmp_path / "out" / "demo.json").read_text())
    assert list(result["map"]) == ["average pooling", "activity-specific", "+ speed-invariant tuning"]
    assert set(result["map"]["+ speed-invariant tuning"]) == {"2", "4", "8", "2+4", "2+8", "4+8", "2+4+8"}
    assert all(0 <= value <= 1 for table in result["map"].values() for value in table.values())
    assert (tmp_path / "out" / "demo.png").stat().st_size > 10_000
    for value in result["map"]["+ speed-invariant tuning"].values():
        assert f"{100 * value:.1f}" in done.stdout


def test_demo_removes_only_what_a_demo_wrote(tmp_path: Path) -> None:
    clear(tmp_path / "out")
    (tmp_path / "out" / "stage1").mkdir()
    (tmp_path / "out" / "notes.txt").write_text("mine")
    clear(tmp_path / "out")
    assert not (tmp_path / "out" / "stage1").exists() and (tmp_path / "out" / "notes.txt").exists()
    (tmp_path / "other" / "stage1").mkdir(parents=True)
    with pytest.raises(ValueError, match="holds files that no demo wrote; give an empty or a new folder"):
        clear(tmp_path / "other")
    assert (tmp_path / "other" / "stage1").exists()
