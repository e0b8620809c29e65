"""A fit that is interrupted anywhere ends as the unbroken one: weights, optimiser, logged losses, bit by bit."""

import csv
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from callbacks import MidEpochCheckpoint
from metrics import load_scores
from tests.conftest import EXPERIMENTS, ROOT, Run
from tests.distributed_script import one_thread

EVERY_STEP = (
    "--trainer.callbacks={class_path: ModelCheckpoint, init_args: "
    "{dirpath: steps, filename: '{step}', save_top_k: -1, every_n_train_steps: 1}}"
)
AFTER_VALIDATION = EVERY_STEP.replace("every_n_train_steps: 1", "save_on_train_epoch_end: false")
SETTINGS = ("--data.batch_size=1", "--data.train_rates=[2, 4, 8]", "--trainer.max_epochs=3", "--model.dropout=0.5")


def differences(ours: Any, theirs: Any, at: str = "") -> list[str]:
    """Places where two nested containers of tensors and numbers differ in a single bit."""
    if isinstance(ours, dict) and isinstance(theirs, dict) and ours.keys() == theirs.keys():
        return [line for key in ours for line in differences(ours[key], theirs[key], f"{at}/{key}")]
    if isinstance(ours, list | tuple) and isinstance(theirs, list | tuple) and len(ours) == len(theirs):
        return [
            line for n, pair in enumerate(zip(ours, theirs, strict=True)) for line in differences(*pair, f"{at}/{n}")
        ]
    if isinstance(ours, torch.Tensor) and isinstance(theirs, torch.Tensor):
        return [] if torch.equal(ours, theirs) else [at]
    return [] if type(ours) is type(theirs) and ours == theirs else [f"{at}: {ours} != {theirs}"]


def logged(folder: Path) -> dict[tuple[str, int], str]:
    """What a run logged: (name, step) -> digits."""
    rows: dict[tuple[str, int], str] = {}
    for path in sorted(folder.glob("version_*/metrics.csv")):
        with path.open() as file:
            for row in csv.DictReader(file):
                for name, value in row.items():
                    if value and (name.startswith("val/") or name == "train/loss"):
                        assert rows.setdefault((name, int(row["step"])), value) == value, (name, row)
    return rows


def assert_same_end(cli: Any, path: Path, folder: Path, resumed: Any, again: Path) -> None:
    """The last state of two fits, and what both logged."""
    ends = []
    for run, at in ((cli, folder), (resumed, again)):
        run.trainer.save_checkpoint(at / "end.ckpt")
        end = torch.load(at / "end.ckpt", weights_only=True)
        end.pop("callbacks")  # paths of checkpoints
        ends.append(end)
    progress = [end.pop("loops")["fit_loop"] for end in ends]
    assert differences(*ends) == []
    for name in ("epoch_progress", "epoch_loop.batch_progress"):
        assert progress[0][name]["current"]["processed"] == progress[1][name]["current"]["processed"]
    whole, rest = logged(folder), logged(again)
    step = torch.load(path, weights_only=True)["global_step"]
    assert rest == {key: value for key, value in whole.items() if key[1] >= step}


CASES = {
    "in the second epoch, by workers": (8, EVERY_STEP, ["--data.num_workers=2"]),
    "in the first epoch": (4, EVERY_STEP, []),
    "at the last batch of an epoch": (12, EVERY_STEP, []),
    "at the end of an epoch, by workers": (
        6,
        EVERY_STEP.replace("every_n_train_steps: 1", "save_on_train_epoch_end: true"),
        ["--data.num_workers=2"],
    ),
    "between accumulated gradients": (4, EVERY_STEP, ["--trainer.accumulate_grad_batches=2"]),
    "before a validation within the epoch": (9, EVERY_STEP, ["--trainer.val_check_interval=2"]),
    "after a validation within the epoch": (8, AFTER_VALIDATION, ["--trainer.val_check_interval=2"]),
    "under a schedule": (8, EVERY_STEP, ["--model.scheduler=lightning_modules.schedules.WarmupCosine"]),
    "in a shortened epoch, by workers": (6, EVERY_STEP, ["--trainer.limit_train_batches=4", "--data.num_workers=2"]),
    "with a rate for each clip": (4, EVERY_STEP, ["--data.rate_per=clip", "--data.batch_size=2"]),
    "of a number of steps": (8, EVERY_STEP, ["--trainer.max_epochs=-1", "--trainer.max_steps=15"]),
}


@pytest.mark.parametrize(
    "case", [case if n == 0 else pytest.param(case, marks=pytest.mark.slow) for n, case in enumerate(CASES)]
)
def test_fit_resumed_equals_the_unbroken_one(run: Run, tmp_path: Path, case: str) -> None:
    step, checkpoints, settings = CASES[case]
    unbroken = run("fit", *SETTINGS, *settings, checkpoints)
    path = tmp_path / "run" / "steps" / f"step={step}.ckpt"
    folder = f"--trainer.default_root_dir={tmp_path / 'again'}"
    resumed = run("fit", *SETTINGS, *settings, checkpoints, folder, f"--ckpt_path={path}")
    assert_same_end(unbroken, path, tmp_path / "run", resumed, tmp_path / "again")


@pytest.mark.slow
def test_stage_two_resumed_in_mid_epoch_equals_the_unbroken_one(run: Run, stage1: Path, tmp_path: Path) -> None:
    tuning = (
        "--trainer.callbacks+=SpeedInvariantTuning",
        f"--trainer.callbacks.init_from={stage1}",
        "--data.num_workers=2",
    )
    unbroken = run("fit", *SETTINGS, EVERY_STEP, *tuning)
    stage1.unlink()  # not needed to go on
    path = tmp_path / "run" / "steps" / "step=9.ckpt"
    folder = f"--trainer.default_root_dir={tmp_path / 'again'}"
    resumed = run("fit", *SETTINGS, EVERY_STEP, *tuning, folder, f"--ckpt_path={path}")
    assert_same_end(unbroken, path, tmp_path / "run", resumed, tmp_path / "again")


def killed(seed: int, kills: int, folder: Path, *words: str) -> list[list[str]]:
    """The lines of `killed_runs.py`."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.killed_runs", str(seed), str(kills), str(folder), *words],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=280,
    )
    lines = [line.split() for line in done.stdout.splitlines() if line.startswith(("killed ", "ended "))]
    assert done.returncode == 0 and lines[-1] == ["ended", "0"], done.stderr[-3000:]
    return lines


@pytest.mark.slow
def test_fit_killed_again_and_again_ends_as_the_unbroken_one(run: Run, tmp_path: Path) -> None:
    every = "--trainer.callbacks+={class_path: MidEpochCheckpoint, init_args: {dirpath: checkpoints, minutes: 0}}"
    settings = [*SETTINGS, "--trainer.max_epochs=6", every, "--data.num_workers=2"]
    with one_thread():  # as killed_runs.py
        run("fit", *settings)
    configs = [word for name in ("shared.yaml", "base.yaml") for word in ("-c", str(tmp_path / name))]
    again = tmp_path / "again"
    root = f"--trainer.default_root_dir={again}"
    lines = killed(0, 5, again / "checkpoints", "fit", *configs, *settings, root, "--ckpt_path=last")
    assert [line[-1] for line in lines[:-1]] == ["-9"] * 5, lines
    ours, theirs = (torch.load(folder / "checkpoints" / "last.ckpt") for folder in (tmp_path / "run", again))
    for end in (ours, theirs):
        end.pop("callbacks"), end.pop("loops")
    assert differences(ours, theirs) == []
    whole, parts = logged(tmp_path / "run"), logged(again)
    # Lightning logs a step after its checkpoint is written: a kill in between costs that one row
    assert parts.items() <= whole.items() and len(whole) - len(parts) <= 5
    left = [path.name for path in (again / "checkpoints").iterdir()]
    assert not [name for name in left if name.endswith(".unfinished")]
    for name in left:
        assert torch.load(again / "checkpoints" / name, weights_only=True)["state_dict"]


@pytest.mark.slow
def test_test_killed_again_and_again_ends_as_the_unbroken_one(run: Run, stage1: Path, tmp_path: Path) -> None:
    args = (f"--ckpt_path={stage1}", "--data.test_views={2: [2, 2], 4: [3, 1]}")
    output, test = "--trainer.callbacks.output", EXPERIMENTS / "multi_rate_test.yaml"
    with one_thread():
        run("test", *args, f"{output}={tmp_path / 'one'}", configs=(test,))
    configs = [word for path in (tmp_path / "shared.yaml", tmp_path / "base.yaml", test) for word in ("-c", str(path))]
    journals = tmp_path / "run" / "unfinished_test"
    lines = killed(3, 3, journals, "test", *configs, *args, f"{output}={tmp_path / 'many'}")
    assert [line[-1] for line in lines[:-1]] == ["-9"] * 3, lines
    assert not journals.exists()
    one, many = (load_scores(tmp_path / name / "scores.npz") for name in ("one", "many"))
    assert torch.equal(one.logits, many.logits) and torch.equal(one.labels, many.labels) and one.videos == many.videos
    for name in ("ensemble.csv", "per_class.csv"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "many" / name).read_bytes()


def test_mid_epoch_checkpoints_lie_where_a_fit_goes_on_exactly(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    saved: list[int] = []
    monkeypatch.setattr(
        MidEpochCheckpoint, "_save_checkpoint", lambda self, trainer, path: saved.append(trainer.global_step)
    )
    every = "--trainer.callbacks={class_path: MidEpochCheckpoint, init_args: {dirpath: checkpoints, minutes: 0}}"
    run("fit", "--data.batch_size=1", every, "--data.clips_per_video=2", "--trainer.accumulate_grad_batches=2",
        "--trainer.val_check_interval=4", "--trainer.max_epochs=2")  # fmt: skip
    # of twelve batches, the even ones step; validation follows the 4th, the 8th and the last
    assert saved == [batch // 2 + epoch * 6 for epoch in range(2) for batch in (2, 6, 10)]
    saved.clear()
    run("fit", "--data.batch_size=1", every.replace("minutes: 0", "minutes: 5"), "--trainer.logger=false")
    assert saved == []
    with pytest.raises(ValueError, match="minutes must not be negative, got -1"):
        MidEpochCheckpoint(str(tmp_path), -1)


@pytest.mark.filterwarnings("ignore:Checkpoint directory")  # it holds what the fit goes on from
def test_last_is_the_newest_checkpoint_of_the_run_and_nothing_before_the_first(run: Run, tmp_path: Path) -> None:
    every = "--trainer.callbacks+={class_path: MidEpochCheckpoint, init_args: {dirpath: checkpoints, minutes: 0}}"
    settings = ("--data.batch_size=1", every, "--ckpt_path=last")
    with pytest.warns(UserWarning, match="there is no last checkpoint available"):
        assert run("fit", *settings, "--trainer.limit_train_batches=4").trainer.global_step == 4
    folder = tmp_path / "run" / "checkpoints"
    assert {path.name for path in folder.iterdir()} == {"last.ckpt", "last-within-epoch.ckpt", "epoch=0-step=4.ckpt"}
    cli = run("fit", *settings, "--trainer.max_epochs=2")
    assert cli.trainer.ckpt_path == str(folder / "last.ckpt") and cli.trainer.global_step == 10
    os.utime(folder / "last.ckpt", (1, 1))
    cli = run("fit", *settings, "--trainer.max_epochs=2")
    assert cli.trainer.ckpt_path == str(folder / "last-within-epoch.ckpt") and cli.trainer.global_step == 10


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:Checkpoint directory")
def test_what_cannot_go_on_exactly_is_said(run: Run, tmp_path: Path) -> None:
    run("fit", "--data.batch_size=1", EVERY_STEP)
    path = f"--ckpt_path={tmp_path / 'run' / 'steps' / 'step=2.ckpt'}"
    with pytest.warns(
        UserWarning, match=r"after 2 batches of an epoch and goes on with other batches \(batch_size 1 -> 2\)"
    ):
        run("fit", "--data.batch_size=2", EVERY_STEP, path)
    end = EVERY_STEP.replace("every_n_train_steps: 1", "save_on_train_epoch_end: true").replace("steps,", "ends,")
    run("fit", "--data.batch_size=1", end)
    path = f"--ckpt_path={tmp_path / 'run' / 'ends' / 'step=6.ckpt'}"
    with pytest.warns(UserWarning, match="give max_epochs, or go on from"):
        run("fit", "--data.batch_size=1", end, path, "--trainer.max_epochs=-1", "--trainer.max_steps=9")


@pytest.mark.parametrize("subcommand", ["validate", "test"])
def test_last_is_refused_where_there_is_none_to_score(run: Run, subcommand: str) -> None:
    with pytest.raises(ValueError, match=r"--ckpt_path last: no last\*\.ckpt in .*checkpoints; check --trainer"):
        run(subcommand, "--ckpt_path=last")


def test_a_second_mid_epoch_checkpoint_may_have_other_minutes_or_the_same(run: Run, tmp_path: Path) -> None:
    more = tmp_path / "more.yaml"
    more.write_text(
        "trainer: {callbacks+: [{class_path: MidEpochCheckpoint, init_args: {dirpath: checkpoints, minutes: 30}}]}"
    )
    run("fit", "--trainer.fast_dev_run=true", configs=(more,))
