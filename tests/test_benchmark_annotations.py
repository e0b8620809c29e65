"""The benchmark of many annotations runs, on a few, and its figures are of what it says."""

from pathlib import Path

import pytest

from benchmarks.annotations import main, setup, write_files


def test_simulated_set_is_one_that_a_training_can_start_on(tmp_path: Path) -> None:
    write_files(tmp_path, 1050, 3)
    data = setup(tmp_path)
    videos = [*data.videos["train"], *data.videos["val"]]
    assert len({video.path for video in videos}) == 1050 and len(data.videos["val"]) == 21
    assert all(video.path.is_file() and len(video.labels) == len(set(video.labels.tolist())) == 3 for video in videos)


@pytest.mark.slow
def test_all_tasks_run_on_few_videos(capsys: pytest.CaptureFixture[str]) -> None:
    results = main(["--videos", "3000", "--intervals", "2"])
    assert set(results) == {"table", "objects", "charades", "kinetics"}
    assert all(figures["seconds"] > 0 for figures in results.values())
    workers = {"worker_mb_1%", "worker_mb_10%", "worker_mb_100%"}
    assert workers <= set(results["table"]) and workers <= set(results["objects"])
    out = capsys.readouterr().out
    assert "3,000 videos with 2 intervals each" in out and "target" not in out  # which are for a million
