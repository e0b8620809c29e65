"""One process, two and three, on one machine and on two: the same draws, metrics and files."""

import contextlib
import importlib.util
import json
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from lightning.fabric.utilities.exceptions import MisconfigurationException

from cli import main
from metrics import load_scores
from tests.conftest import EXPERIMENTS, ROOT, SPLITS, Run, weights, write_configs
from tests.distributed_script import one_thread, run_all
from tests.system_faults import runs, wait_for_end

VIEWS = "--data.test_views={2: [2, 2], 4: [3, 1]}"
TEST = ("-c", str(EXPERIMENTS / "multi_rate_test.yaml"), VIEWS)
TESTED = [f"test_{number}.mp4" for number in range(SPLITS["test"])]
PAGE = (ROOT / "docs" / "distributed.md").read_text(encoding="utf-8").replace("\\\n", " ")
COMMANDS = re.findall(r"cli\.py ((?:fit|test) .+)$", PAGE, flags=re.MULTILINE)
FREEZE = {"num_stages": 0, "weights": False, "norm_statistics": True, "norm_affine": False}
Commands = list[tuple[str, list[str]]]
Results = list[dict[str, Any]]
Start = tuple[list[str], dict[str, str]]


@pytest.fixture(scope="module")
def folder(tiny: Path, trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A set of its own with a broken video in each split, configs, a checkpoint, and lists of videos to predict."""
    folder = tmp_path_factory.mktemp("distributed")
    data = Path(shutil.copytree(tiny, folder / "set"))
    for broken in (TESTED[-1], "val_1.mp4", "train_4.mp4"):
        whole = (data / broken).read_bytes()
        (data / broken).write_bytes(whole[: len(whole) // 3])
    rows = (data / "annotations.csv").read_text().splitlines()
    (data / "single.csv").write_text("\n".join(rows[:1] + [row for row in rows if ",,," in row]) + "\n")
    (data / "all.txt").write_text("\n".join(TESTED[:-1]) + "\n")
    (data / "one.txt").write_text(f"{TESTED[0]}\n")
    write_configs(data, folder)
    shutil.copy(trained, folder / "last.ckpt")
    return folder


def commands(folder: Path, name: str, processes: int, workers: int) -> Commands:
    """All commands, each in a folder of its own; the clips of a training step are the same for any number of processes."""
    callbacks = [
        {"class_path": "FreezeStages", "init_args": FREEZE},
        {"class_path": "tests.distributed_script.Recorder"},
    ]
    extra = folder / f"{name}.yaml"
    extra.write_text(yaml.safe_dump({"trainer": {"callbacks+": callbacks, "max_epochs": 2}}))
    fit = ["-c", str(extra), "--model.dropout=0", "--data.class_path=tests.distributed_script.NoisyVideos"]
    fit += ["--data.clips_per_video=2", f"--data.batch_size={6 // processes}", f"--data.num_workers={workers}"]
    stage1, report = f"--ckpt_path={folder / 'last.ckpt'}", "--data.broken_test=report"
    fit += ["--data.train_rates=[2, 4]", "--data.rate_per=clip", report, "--data.max_broken=0.5"]
    single = (f"--data.annotations={folder / 'set' / 'single.csv'}", "--model.single_label=true")
    lists = {key: f"--data.predict={folder / 'set' / key}.txt" for key in ("all", "one")}
    words = {
        "fit": fit,
        "fit again": fit,
        "validate": [stage1, report],
        "test": [*TEST, stage1, report],
        "test limited": [*TEST, stage1, "--trainer.limit_test_batches=1"],
        "test single": [*TEST, stage1, report, *single],
        "predict": [VIEWS, stage1, lists["all"], "--data.curve_step=0.5"],
        "predict one": [VIEWS, stage1, lists["one"]],
    }
    out = {key: f"--trainer.default_root_dir={folder / name / key.replace(' ', '_')}" for key in words}
    return [(key.split()[0], [*words[key], out[key]]) for key in words]


@pytest.fixture(scope="module")
def one(folder: Path) -> Results:
    """What one process does, without workers."""
    in_test = pytest.warns(UserWarning, match=r"1 of 5 test videos cannot be read .*:\n  test_4\.mp4")
    with (
        one_thread(),
        in_test,
        pytest.warns(UserWarning, match=r"1 training videos could not be read .*:\n  train_4\.mp4"),
    ):
        return run_all([folder / "shared.yaml", folder / "base.yaml"], commands(folder, "one", 1, workers=0))


def start(folder: Path, name: str, todo: Commands, *more: str) -> list[str]:
    """Leave the commands for the script; the words that start it."""
    (folder / f"{name}.json").write_text(json.dumps({"commands": todo, "more": more}))
    return ["-m", "tests.distributed_script", str(folder), name]


def wait(started: list[Start], folder: Path, name: str, processes: int) -> list[Results]:
    """Run the given commands side by side with their environments; the results of all processes."""
    shared = {key: value for key, value in os.environ.items() if not key.startswith(("PL_", "SLURM_"))}
    shared |= {"OMP_NUM_THREADS": "1"}
    with contextlib.ExitStack() as open_files:
        # files: all wait for one that waits for a pipe to be read
        files = [open_files.enter_context(tempfile.TemporaryFile("w+")) for _ in started]
        running = [
            subprocess.Popen(
                [sys.executable, *words],
                cwd=ROOT,
                env={**shared, **more},
                stdout=subprocess.DEVNULL,
                stderr=file,
            )
            for (words, more), file in zip(started, files, strict=True)
        ]
        try:
            for process in running:
                process.wait(timeout=280)
        finally:
            for process in running:
                process.kill()
        for file in files:
            file.seek(0)
        errors = [file.read() for file in files]
    assert not any(process.returncode for process in running), "\n".join(error[-2000:] for error in errors)
    assert not any("terminate called" in error for error in errors)  # gloo's threads at the end of the interpreter
    assert not any("It is recommended to use" in error for error in errors)  # of values that all processes have
    return [torch.load(folder / f"{name}_{rank}.pt", weights_only=True) for rank in range(processes)]


@pytest.fixture
def port() -> Iterator[str]:
    """A port that the system gives to nobody else, but to those who ask for it by number and may share it, as torch does."""
    with socket.socket() as held:
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        held.bind(("", 0))
        yield str(held.getsockname()[1])


def same_clips(one: dict[str, Any], many: list[dict[str, Any]]) -> None:
    """Each step trains on the same clips: together, none twice."""
    assert all(len(result["steps"]) == len(one["steps"]) == 4 for result in many)
    for number, step in enumerate(one["steps"]):
        parts = [result["steps"][number]["clips"] for result in many]
        assert len({len(part) for part in parts}) == 1
        assert sorted(clip for part in parts for clip in part) == sorted(step["clips"])


def same_weights(one: dict[str, Any], many: list[dict[str, Any]]) -> None:
    """All processes hold the same weights, those of one process but for the order of sums."""
    moved = max(float((one["weights"][key] - value).abs().max()) for key, value in one["start"].items())
    assert moved > 1e-3
    for key, value in one["weights"].items():
        assert all(torch.equal(result["weights"][key], many[0]["weights"][key]) for result in many), key
        assert float((many[0]["weights"][key] - value).abs().max()) < 1e-4 * moved, key


def same_metrics(one: dict[str, Any], many: list[dict[str, Any]]) -> None:
    """Each process logs what one logs."""
    for result in many:
        for name in result["logged"].keys() | one["logged"].keys():
            assert abs(result["logged"][name] - one["logged"][name]) <= 1e-12, name


def same_files(one: Path, many: Path, *names: str) -> None:
    """Each of the named files exists once, and says the same."""
    for name in names:
        (expected,), (written,) = one.rglob(f"*{name}*"), many.rglob(f"*{name}*")
        if name == "scores":
            theirs, ours = load_scores(expected), load_scores(written)
            assert ours.videos == theirs.videos == TESTED and torch.equal(ours.labels, theirs.labels)
            assert torch.equal(ours.logits, theirs.logits)
            assert ours.logits[:-1].isfinite().all() and (ours.logits[-1] == -torch.inf).all()
        else:
            assert written.read_text() == expected.read_text()


def check(folder: Path, name: str, one: Results, many: list[Results]) -> None:
    """All commands of several processes against those of one."""
    first, again = ([results[number] for results in many] for number in (0, 1))
    same_clips(one[0], first)
    same_weights(one[0], first)
    assert [result["broken"] for result in first] == [["train_4.mp4"]] * len(many)
    noise = [value for result in first for step in result["steps"] for value in step["noise"]]
    assert len(set(noise)) == len(noise) == 3 * 4 * 6  # no worker of any process repeats a draw
    seeds = [step["seed"] for result in first for step in result["steps"]]
    assert len(set(seeds)) == len(seeds) == 4 * len(many)  # dropout differs between steps and processes
    assert [result["steps"] for result in again] == [result["steps"] for result in first]
    for number in (2, 3, 5):
        same_metrics(one[number], [results[number] for results in many])
    for test in ("test", "test_single"):
        same_files(folder / "one" / test, folder / name / test, "scores", "ensemble", "per_class")
    (limited,), (full,) = ((folder / name / test).rglob("scores.npz") for test in ("test_limited", "test"))
    assert load_scores(limited).videos == TESTED[: len(many)]
    assert torch.equal(load_scores(limited).logits, load_scores(full).logits[: len(many)])
    for predict, count in (("predict", 4), ("predict_one", 1)):
        same_files(folder / "one" / predict, folder / name / predict, "predictions.json", "predictions.csv", "curves")
        (path,) = (folder / name / predict).rglob("predictions.json")
        assert [Path(video["video"]).name for video in json.loads(path.read_text())] == TESTED[:count]


@pytest.mark.slow
def test_two_processes_do_what_one_does(folder: Path, one: Results) -> None:
    words = start(folder, "two", commands(folder, "two", 2, workers=1), "--trainer.devices=2", "--trainer.strategy=ddp")
    check(folder, "two", one, wait([(words, {})], folder, "two", 2))


@pytest.mark.slow
def test_three_processes_of_torchrun_do_what_one_does(folder: Path, one: Results) -> None:
    todo = commands(folder, "three", 3, workers=2)
    words = start(folder, "three", todo, "--trainer.devices=3", "--trainer.strategy=ddp")
    launch = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node=3", *words]
    check(folder, "three", one, wait([(launch, {})], folder, "three", 3))


@pytest.mark.slow
@pytest.mark.parametrize("launcher", ["torchrun", "slurm"])
def test_two_machines_do_what_one_process_does(folder: Path, one: Results, port: str, launcher: str) -> None:
    todo = [command for number, command in enumerate(commands(folder, launcher, 2, workers=0)) if number in (0, 3)]
    words = start(folder, launcher, todo, "--trainer.devices=1", "--trainer.num_nodes=2", "--trainer.strategy=ddp")
    started: list[Start] = []
    for node in ("0", "1"):
        if launcher == "torchrun":
            place = ["--nnodes=2", f"--node_rank={node}", "--nproc_per_node=1", "--master_addr=127.0.0.1"]
            started.append((["-m", "torch.distributed.run", *place, f"--master_port={port}", *words], {}))
        else:
            slurm = {
                "NTASKS": "2",
                "NTASKS_PER_NODE": "1",
                "NNODES": "2",
                "NODEID": node,
                "PROCID": node,
                "LOCALID": "0",
            }
            slurm |= {"JOB_NAME": "fit", "JOB_ID": "7", "NODELIST": "127.0.0.1"}
            started.append((words, {f"SLURM_{key}": value for key, value in slurm.items()} | {"MASTER_PORT": port}))
    fit, test = zip(*wait(started, folder, launcher, 2), strict=True)
    assert [result["place"] for result in fit] == [(0, 2), (1, 2)]
    same_clips(one[0], list(fit))
    same_weights(one[0], list(fit))
    same_metrics(one[3], list(test))
    same_files(folder / "one" / "test", folder / launcher / "test", "scores", "ensemble", "per_class")


@pytest.mark.slow
def test_no_process_is_left_behind_when_the_first_fails(folder: Path) -> None:
    alive = folder / "alive"
    alive.mkdir()
    callback = {"class_path": "tests.distributed_script.FirstFails", "init_args": {"folder": str(alive)}}
    extra = folder / "first_fails.yaml"
    extra.write_text(yaml.safe_dump({"trainer": {"callbacks+": [callback]}}))
    out = f"--trainer.default_root_dir={folder / 'first_fails'}"
    words = ["-m", "cli", "fit", "-c", "shared.yaml", "-c", "base.yaml", "-c", str(extra), out]
    words = [str(folder / word) if word.endswith(".yaml") else word for word in words]
    try:
        done = subprocess.run(
            [sys.executable, *words, "--trainer.devices=2", "--trainer.strategy=ddp"],
            cwd=ROOT,
            env={key: value for key, value in os.environ.items() if not key.startswith("PL_")},
            capture_output=True,
            text=True,
            timeout=280,
        )
        assert done.returncode == 1 and "the first process fails" in done.stderr, done.stderr[-2000:]
        (number,) = (int(path.name) for path in alive.iterdir())
        wait_for_end(number)  # the first process only sends the signal
    finally:
        for path in alive.iterdir():
            if runs(int(path.name)):
                os.kill(int(path.name), signal.SIGKILL)


@pytest.mark.parametrize("strategy", ["fsdp", "FSDPStrategy", "DeepSpeedStrategy"])
def test_strategies_are_parsed(run: Run, capsys: pytest.CaptureFixture[str], strategy: str) -> None:
    given = strategy
    if strategy.endswith("Strategy"):
        given = f"{{class_path: lightning.pytorch.strategies.{strategy}, init_args: {{timeout: '0:10:00'}}}}"
    with pytest.raises(SystemExit) as stopped:
        run("fit", f"--trainer.strategy={given}", "--print_config")
    printed = yaml.safe_load(capsys.readouterr().out)["trainer"]["strategy"]
    assert stopped.value.code == 0
    assert printed == strategy or printed["class_path"].endswith(f".{strategy}")


def test_sharded_strategies_say_what_is_missing(run: Run) -> None:
    with pytest.raises(ValueError, match="`fsdp` requires a GPU accelerator"):
        run("fit", "--trainer.strategy=fsdp", "--trainer.devices=2")
    if importlib.util.find_spec("deepspeed") is None:
        with pytest.raises(MisconfigurationException, match="you must have DeepSpeed installed"):
            run("fit", "--trainer.strategy=deepspeed_stage_2", "--trainer.devices=2")


@pytest.mark.parametrize("command", COMMANDS, ids=range(len(COMMANDS)))
def test_command_of_the_page_parses(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    data = yaml.safe_load((tmp_path / "base.yaml").read_text())["data"]
    (tmp_path / "my_data.yaml").write_text(yaml.safe_dump(data))
    (tmp_path / "configs").symlink_to(ROOT / "configs")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as stopped:
        main([*shlex.split(command), "--print_config"])
    assert stopped.value.code == 0
    trainer = yaml.safe_load(capsys.readouterr().out)["trainer"]
    assert str(trainer["devices"]) == re.findall(r"--trainer\.devices (\d)", command)[0]


@pytest.mark.gpu
@pytest.mark.parametrize("strategy", ["ddp", "fsdp", "deepspeed_stage_2"])
def test_sharded_strategies_tune_a_head_on_a_gpu(run: Run, stage1: Path, tmp_path: Path, strategy: str) -> None:
    if strategy.startswith("deepspeed"):
        pytest.importorskip("deepspeed")
    tuned = tune(run, stage1, tmp_path, "--trainer.accelerator=gpu", f"--trainer.strategy={strategy}")
    assert tuned.is_file() or strategy.startswith("deepspeed")  # which writes a folder


def tune(run: Run, stage1: Path, tmp_path: Path, *words: str) -> Path:
    """Stage 2 and its test in processes of their own, and the test of its checkpoint in this one."""
    run("fit", "--trainer.fast_dev_run=true")  # writes the configs
    command = [
        sys.executable,
        "-m",
        "cli",
        "fit",
        "-c",
        str(tmp_path / "shared.yaml"),
        "-c",
        str(tmp_path / "base.yaml"),
    ]
    tuning = ["-c", str(EXPERIMENTS / "speed_invariant.yaml"), f"--trainer.callbacks.init_from={stage1}"]
    more = ["--trainer.max_epochs=1", f"--trainer.default_root_dir={tmp_path / 'tuned'}"]
    subprocess.run([*command, *tuning, *more, *words], cwd=ROOT, check=True, timeout=280)
    path = tmp_path / "tuned" / "checkpoints" / "last.ckpt"
    if path.is_file():
        before, after = weights(stage1), weights(path)
        assert all(torch.equal(value, after[key]) for key, value in before.items() if key.startswith("backbone."))
        assert any(not torch.equal(value, after[key]) for key, value in before.items() if key.startswith("head."))
        run("test", f"--ckpt_path={path}", *TEST)
    return path
