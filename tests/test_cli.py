"""The command line as a person uses it."""

import csv
import json
import math
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml

from cli import main
from clips.encoding import write_video
from tests.conftest import EXPERIMENTS, LABELS, ROOT, Run, moving_square

TEST = EXPERIMENTS / "multi_rate_test.yaml"
FEW = "--data.test_views={2: [1, 1], 4: [1, 1]}"


def test_wrong_key_in_a_yaml_is_named(run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for section, wrong in (("trainer", "max_epoch"), ("data", "train_rate"), ("model", "num_observation")):
        extra = tmp_path / "extra.yaml"
        extra.write_text(yaml.safe_dump({section: {wrong: 3} if section == "trainer" else {"init_args": {wrong: 3}}}))
        with pytest.raises(SystemExit):
            run("fit", configs=(extra,))
        assert wrong in capsys.readouterr().err


def test_abbreviated_option_is_refused(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        run("fit", "--trainer.max_epoch=3")
    assert "max_epoch" in capsys.readouterr().err


def test_the_command_line_wins_over_what_the_checkpoint_stores(run: Run, stage1: Path) -> None:
    cli = run("test", f"--ckpt_path={stage1}", "--model.score=features", "--model.dropout=0.9")
    assert cli.model.score == "features" and cli.model.hparams["dropout"] == 0.9


def test_checkpoint_loads_without_unpickling_code_and_rebuilds_the_module(stage1: Path) -> None:
    import lightning.pytorch as pl

    stored = torch.load(stage1, weights_only=True)
    assert stored["label_names"] == LABELS and stored["num_labels"] == 5
    module = pl.LightningModule.load_from_checkpoint(stage1, num_labels=5, weights_only=True)
    assert type(module).__name__ == "ActivitySpecific"
    assert all(torch.equal(value, module.state_dict()[key]) for key, value in stored["state_dict"].items())


def test_run_keeps_its_config_and_learning_curves(run: Run, tmp_path: Path) -> None:
    run("fit", "--trainer.max_epochs=2")
    folder = tmp_path / "run" / "version_0"
    config = yaml.safe_load((folder / "config_fit.yaml").read_text())
    assert config["trainer"]["max_epochs"] == 2 and config["data"]["init_args"]["train_rates"] == [4]
    with (folder / "metrics.csv").open() as rows:
        logged = list(csv.DictReader(rows))
    for name in ("train/loss", "val/loss", "val/map", "lr-SGD"):
        values = [float(row[name]) for row in logged if row.get(name)]
        assert values and all(map(math.isfinite, values)), name
    with pytest.warns(UserWarning, match="exists and is not empty"):
        run("fit", "--trainer.max_epochs=1")  # a second run in the same folder leaves the first one alone
    assert (folder.parent / "version_1" / "config_fit.yaml").exists()
    assert yaml.safe_load((folder / "config_fit.yaml").read_text()) == config


@pytest.mark.parametrize("absolute", [True, False])
def test_saved_config_writes_to_the_same_folders(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, absolute: bool
) -> None:
    monkeypatch.chdir(tmp_path)
    root, other = (tmp_path / name if absolute else Path(name) for name in ("a/b", "other"))
    run("fit", "--trainer.max_epochs=0", f"--trainer.default_root_dir={root}")
    saved = root / "version_0" / "config_fit.yaml"
    for words, folder in (([], root), ([f"--trainer.default_root_dir={other}"], other)):
        cli = main(["fit", "-c", str(saved), *words])
        assert cli is not None
        places = {callback.dirpath for callback in cli.trainer.checkpoint_callbacks}  # type: ignore[attr-defined]
        assert places == {str(tmp_path / folder / "checkpoints")} and cli.trainer.loggers[0].save_dir == str(folder)


def test_weights_that_may_be_untrained_are_not_scored_in_silence(run: Run, tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match="no --ckpt_path: validate takes the weights that the configuration loads"):
        run("validate", "--trainer.limit_val_batches=0")
    with pytest.raises(ValueError, match=rf"no last\*\.ckpt in {tmp_path}/run/checkpoints; check"):  # named once
        run("validate", "--ckpt_path=last")


def test_commands_without_a_trainer_are_named_with_the_others(capsys: pytest.CaptureFixture[str]) -> None:
    for words, status in ((["train"], 2), (["--help"], 0)):
        with pytest.raises(SystemExit) as end:
            main(words)
        assert end.value.code == status and "predict,scan,evaluate}" in "".join(capsys.readouterr())


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("evaluate none.npz", "no score file at none.npz: `cli.py test` with MultiRateEnsemble writes one"),
        ("scan --data FolderDataModule --data.root none", "root none is not a folder"),
        ("scan -c base.yaml", "scan takes the data alone, with --data CONFIG"),
    ],
)
def test_what_a_command_refuses_is_one_line(words: str, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(words.split())
    (line,) = capsys.readouterr().err.splitlines()
    assert end.value.code == 2 and line.startswith(f"cli.py {words.split()[0]}: error: ") and message in line


def test_wandb_is_offline_without_account_prompt_or_network(run: Run, tmp_path: Path) -> None:
    """Run in a process of its own: W&B starts a service."""
    run("fit", "--trainer.fast_dev_run=true")  # writes the configs
    env = {key: value for key, value in os.environ.items() if not key.startswith("WANDB")}
    env |= {"HOME": str(tmp_path), "HTTPS_PROXY": "http://127.0.0.1:9", "HTTP_PROXY": "http://127.0.0.1:9"}
    loggers = tmp_path / "loggers.yaml"
    shipped = yaml.safe_load((ROOT / "configs" / "trainer.yaml").read_text())["logger"]
    loggers.write_text(yaml.safe_dump({"trainer": {"logger": shipped}}))
    configs = ["-c", "shared.yaml", "-c", "base.yaml", "-c", str(loggers)]
    done = subprocess.run(
        [sys.executable, str(ROOT / "cli.py"), "fit", *configs, "--trainer.default_root_dir=w"],
        cwd=tmp_path,
        env=env,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=170,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert list((tmp_path / "w").glob("wandb/offline-run-*/run-*.wandb"))
    assert (tmp_path / "w" / "version_0" / "metrics.csv").exists()


@pytest.mark.parametrize("kind", ["file", "folder", "list"])
def test_predict_writes_scores_and_curves(run: Run, stage1: Path, tiny: Path, tmp_path: Path, kind: str) -> None:
    names = ["test_0.mp4", "test_1.mp4"]
    (tmp_path / "in").mkdir()
    for name in names:
        (tmp_path / "in" / name).write_bytes((tiny / name).read_bytes())
    (tmp_path / "list.txt").write_text("".join(f"in/{name}\n" for name in names))
    source = {"file": "in/test_0.mp4", "folder": "in", "list": "list.txt"}[kind]
    views = "--data.test_views={2: [2, 1], 4: [2, 1]}"
    out = f"--trainer.callbacks={{class_path: WritePredictions, init_args: {{output: {tmp_path / 'out'}}}}}"
    run("predict", f"--ckpt_path={stage1}", views, f"--data.predict={tmp_path / source}", "--data.curve_step=0.5", out)
    videos = json.loads((tmp_path / "out" / "predictions.json").read_text())
    assert [Path(video["video"]).name for video in videos] == (names[:1] if kind == "file" else names)
    for video in videos:
        scores = [row["score"] for row in video["scores"]]
        assert scores == sorted(scores, reverse=True) and {row["label"] for row in video["scores"]} == set(LABELS)
        for row in video["scores"]:  # as many views at both rates: the ensemble is their mean
            assert row["score"] == pytest.approx((row["rate_2"] + row["rate_4"]) / 2, abs=2e-6)
        assert [point["time"] for point in video["curve"]] == [0.5 * n for n in range(len(video["curve"]))]
        assert len(video["curve"]) >= 4 and all(0 <= point[label] <= 1 for point in video["curve"] for label in LABELS)
    with (tmp_path / "out" / "predictions.csv").open() as rows:
        assert len(list(csv.DictReader(rows))) == 5 * len(videos)
    with (tmp_path / "out" / "curves.csv").open() as rows:
        assert len(list(csv.DictReader(rows))) == sum(len(video["curve"]) for video in videos)


def test_predict_scores_a_video_as_the_test_does(run: Run, stage1: Path, tiny: Path, tmp_path: Path) -> None:
    from metrics import load_scores, reduce_views

    views = "--data.test_views={2: [2, 2], 4: [3, 1]}"
    run("test", f"--ckpt_path={stage1}", views, configs=(TEST,))
    run("predict", f"--ckpt_path={stage1}", views, f"--data.predict={tiny / 'test_3.mp4'}")
    file = load_scores(next((tmp_path / "run").rglob("scores.npz")))
    expected = dict(zip(LABELS, reduce_views(file.logits)[3].tolist(), strict=True))
    (video,) = json.loads(next((tmp_path / "run").rglob("predictions.json")).read_text())
    for row in video["scores"]:
        assert row["score"] == pytest.approx(expected[row["label"]], abs=2e-6)


def test_predict_without_a_path_says_which_option(run: Run, stage1: Path) -> None:
    with pytest.raises(ValueError, match=r"predict is not set; .*--data\.predict PATH"):
        run("predict", f"--ckpt_path={stage1}")


def test_fit_and_test_run_in_bf16_mixed(run: Run, tmp_path: Path) -> None:
    run("fit", "--trainer.precision=bf16-mixed")
    checkpoint = tmp_path / "run" / "checkpoints" / "last.ckpt"
    cli = run("test", "--trainer.precision=bf16-mixed", FEW, f"--ckpt_path={checkpoint}", configs=(TEST,))
    assert 0 <= float(cli.trainer.logged_metrics["test/map_ensemble"]) <= 1
    assert all(
        value.dtype == torch.float32
        for value in torch.load(checkpoint)["state_dict"].values()
        if value.is_floating_point()
    )


def test_broken_test_video_is_reported_in_the_test(run: Run, stage1: Path, tiny: Path) -> None:
    broken = tiny / "test_4.mp4"
    whole = broken.read_bytes()
    try:
        broken.write_bytes(whole[: len(whole) // 3])
        with pytest.raises(ValueError, match=r"test_4\.mp4"):
            run("test", f"--ckpt_path={stage1}", FEW, configs=(TEST,))
        with pytest.warns(
            UserWarning, match=r"1 of 5 test videos cannot be read and count as scored lowest:\n  test_4\.mp4"
        ):
            run("test", f"--ckpt_path={stage1}", FEW, "--data.broken_test=report", configs=(TEST,))
    finally:
        broken.write_bytes(whole)


def test_broken_training_videos_are_listed_at_the_end_of_the_epoch(run: Run, tiny: Path) -> None:
    broken = tiny / "train_4.mp4"
    whole = broken.read_bytes()
    try:
        broken.write_bytes(b"")
        with pytest.warns(UserWarning, match=r"1 training videos could not be read .*:\n  train_4\.mp4: "):
            cli = run("fit", "--data.max_broken=0.5")
        assert float(cli.trainer.logged_metrics["train/broken_videos"]) == 1
    finally:
        broken.write_bytes(whole)


def test_class_folders_train_with_one_label(run: Run, tmp_path: Path) -> None:
    import numpy as np

    random = np.random.default_rng(0)
    for split in ("train", "test"):
        for name in ("run", "jump", "sit"):
            (tmp_path / "set" / split / name).mkdir(parents=True)
            write_video(tmp_path / "set" / split / name / "0.mp4", moving_square(random, 30))
    data = yaml.safe_load((tmp_path / "base.yaml").read_text())["data"]["init_args"]
    data.pop("annotations")
    (tmp_path / "data.yaml").write_text(
        yaml.safe_dump({"class_path": "FolderDataModule", "init_args": {**data, "root": str(tmp_path / "set")}})
    )
    one_label = ("--data", str(tmp_path / "data.yaml"), "--model.single_label=true")
    run("fit", *one_label)
    checkpoint = tmp_path / "run" / "checkpoints" / "last.ckpt"
    cli = run(
        "test", *one_label, "--data.test_views={2: [1, 1], 4: [1, 1]}", f"--ckpt_path={checkpoint}", configs=(TEST,)
    )
    assert {"test/top1", "test/top1_rate_2", "test/top1_ensemble"} <= cli.trainer.logged_metrics.keys()
    assert cli.datamodule.label_names == ["jump", "run", "sit"]


def test_last_checkpoint_is_of_the_last_epoch_whatever_is_validated(run: Run, tmp_path: Path) -> None:
    run("fit", "--trainer.max_epochs=2", "--trainer.check_val_every_n_epoch=5")
    assert torch.load(tmp_path / "run" / "checkpoints" / "last.ckpt", weights_only=True)["epoch"] == 1
