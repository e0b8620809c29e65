"""A killed worker, a full disk, a folder that cannot be written to, a vanished video: a clear error and whole files."""

import errno
import fcntl
import os
import resource
import signal
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import IO, Any

import pytest
import torch

from callbacks import AtomicCheckpointIO, FaultAdvice, MultiRateEnsemble, NonFiniteGuard, WritePredictions
from callbacks.fault_advice import _outputs
from callbacks.files import check_writable, write_whole
from clips.dataset import TrainClips
from clips.rate_batches import Draw
from tests.conftest import EXPERIMENTS, Run
from tests.system_faults import files_of_at_most

TEST = EXPERIMENTS / "multi_rate_test.yaml"
STEPS = "--trainer.callbacks={class_path: MidEpochCheckpoint, init_args: {dirpath: checkpoints, minutes: 0}}"
FEW = "--data.test_views={2: [1, 1], 4: [1, 1]}"


def at_step(monkeypatch: pytest.MonkeyPatch, step: int, act: Callable[[], object]) -> None:
    """Do something before a step of training."""

    def hook(self: Any, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
        if trainer.global_step == step:
            act()

    monkeypatch.setattr(FaultAdvice, "on_train_batch_start", hook, raising=False)


def notes(error: BaseException | None) -> list[str]:
    """What is shown below an error and those before it: loggers are told of an error, and may fail once more."""
    return [] if error is None else [*getattr(error, "__notes__", []), *notes(error.__context__)]


def test_what_does_not_fit_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "new" / "file"
    write_whole(path, b"before")
    with files_of_at_most(1000), pytest.raises(OSError, match=r"1001 bytes cannot be written .*as it was: .*new/file"):
        write_whole(path, b"x" * 1001)
    assert path.read_bytes() == b"before" and [file.name for file in path.parent.iterdir()] == ["file"]


def test_file_left_half_written_by_a_killed_process_is_removed_but_not_that_of_a_living_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock = fcntl.flock

    def nfs(file: IO[bytes], how: int) -> None:
        """As there, where such a lock is one of bytes."""
        if not file.writable():
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        lock(file, how)

    monkeypatch.setattr("callbacks.files.fcntl.flock", nfs)
    dead, slow, new = (tmp_path / f".{name}.ckpt.unfinished" for name in ("dead", "slow", "new"))
    for left in (dead, slow, new):
        left.write_bytes(b"half")
    for left in (dead, slow):
        os.utime(left, (time.time() - 90,) * 2)
    with slow.open("r+b") as file:
        lock(file, fcntl.LOCK_EX)
        write_whole(tmp_path / "c.ckpt", b"whole")
    assert {path.name for path in tmp_path.iterdir()} == {slow.name, new.name, "c.ckpt"}  # the new one may get its lock


def test_two_writers_of_one_file_leave_that_of_the_last_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sync, path = os.fsync, tmp_path / "a.ckpt"

    def another(file: int) -> None:
        """A process of another container, with the number of this one."""
        monkeypatch.setattr("callbacks.files.os.fsync", sync)
        write_whole(path, b"another")
        sync(file)

    monkeypatch.setattr("callbacks.files.os.fsync", another)
    write_whole(path, b"last")
    assert path.read_bytes() == b"last" and list(tmp_path.iterdir()) == [path]


def test_checkpoint_that_cannot_be_written_leaves_the_one_before(tmp_path: Path) -> None:
    plugin, path = AtomicCheckpointIO(), tmp_path / "a.ckpt"
    plugin.save_checkpoint({"weights": torch.ones(3)}, path)
    with files_of_at_most(4096), pytest.raises(OSError, match=r"bytes are free.*as it was: .*a\.ckpt"):
        plugin.save_checkpoint({"weights": torch.zeros(10_000)}, path)
    assert torch.equal(plugin.load_checkpoint(path)["weights"], torch.ones(3))
    plugin.save_checkpoint({"weights": torch.zeros(10_000)}, path)
    assert torch.equal(plugin.load_checkpoint(path, weights_only=True)["weights"], torch.zeros(10_000))


def test_full_disk_at_a_checkpoint_names_it_and_the_one_to_go_on_from(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
    at_step(monkeypatch, 1, lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (2000, hard)))
    path = tmp_path / "run" / "checkpoints" / "last-within-epoch.ckpt"
    with files_of_at_most(hard), pytest.raises(OSError) as error:
        run("fit", "--data.batch_size=1", STEPS)
    assert error.value.errno == errno.EFBIG and error.value.filename == str(path)
    assert f"fit ... --ckpt_path {path}" in error.value.__notes__[1]
    assert [file.name for file in path.parent.iterdir()] == [path.name]
    assert torch.load(path, weights_only=True)["global_step"] == 1


def test_full_disk_at_the_log_says_so(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    at_step(monkeypatch, 0, lambda: (tmp_path / "run" / "version_0" / "metrics.csv").symlink_to("/dev/full"))
    with pytest.raises(OSError, match="No space left on device") as error:
        run("fit")
    assert any(f"The disk or the quota of {tmp_path / 'run'} is full" in note for note in notes(error.value))


def test_full_disk_at_the_predictions_names_the_file(
    run: Run, stage1: Path, tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(file: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("callbacks.files.os.fsync", full)
    out = f"--trainer.callbacks={{class_path: WritePredictions, init_args: {{output: {tmp_path / 'out'}}}}}"
    with pytest.raises(OSError, match=r"(?s)No space left.*predictions\.json.*is full"):
        run("predict", f"--ckpt_path={stage1}", f"--data.predict={tiny / 'test_0.mp4'}", FEW, out)
    assert not list((tmp_path / "out").iterdir())


@pytest.mark.parametrize("folder", ["a file", "a folder of the system"])
@pytest.mark.parametrize("subcommand", ["fit", "test", "predict"])
def test_folder_that_cannot_be_written_to_is_refused_before_anything_is_read(
    run: Run, stage1: Path, tmp_path: Path, subcommand: str, folder: str
) -> None:
    (tmp_path / "file").touch()
    root = {"a file": tmp_path / "file" / "run", "a folder of the system": Path("/proc/run")}[folder]
    with pytest.raises(ValueError, match=f"nothing can be written to the output folder {root}"):
        run(subcommand, f"--trainer.default_root_dir={root}", f"--ckpt_path={stage1}", "--data.annotations=none.csv")


def test_output_folder_of_a_callback_is_refused_before_the_first_video(run: Run, stage1: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ValueError, match=r"nothing can be written to the output folder .*file/out"):
        run("test", f"--ckpt_path={stage1}", f"--trainer.callbacks.output={tmp_path / 'file' / 'out'}", configs=(TEST,))
    check_writable(tmp_path / "not" / "yet")
    assert not (tmp_path / "not").exists()


def test_output_folder_of_a_callback_is_tried_by_the_command_that_writes_there() -> None:
    guard, ensemble = NonFiniteGuard(output=Path("fit")), MultiRateEnsemble(output=Path("test"))
    callbacks = [guard, ensemble, WritePredictions(output=Path("predict"))]
    trainer: Any = SimpleNamespace(default_root_dir="root", loggers=[], callbacks=callbacks)
    for stage in ("fit", "test", "predict"):
        assert list(_outputs(trainer, stage)) == [Path("root"), Path(stage)]
    assert list(_outputs(trainer, "validate")) == [Path("root")]


@pytest.mark.filterwarnings("ignore:Checkpoint directory")  # it holds what the fit goes on from
def test_killed_worker_is_explained_and_the_fit_goes_on_from_the_checkpoint(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = ("--data.batch_size=1", "--data.num_workers=2", STEPS)
    path = tmp_path / "run" / "checkpoints" / "last-within-epoch.ckpt"
    parent, read = os.getpid(), TrainClips.__getitem__

    def die(self: TrainClips, draw: Draw) -> dict[str, Any]:
        """The worker that has the last clip to read waits for a checkpoint and dies: its clip cannot have been sent."""
        while draw.key[-1] == 5 and os.getpid() != parent:
            if path.exists():
                os.kill(os.getpid(), signal.SIGKILL)
            time.sleep(0.01)
        return read(self, draw)

    monkeypatch.setattr(TrainClips, "__getitem__", die)
    with pytest.raises((RuntimeError, OSError, EOFError)) as error:  # what is noticed first: the death or its silence
        run("fit", *settings)
    why, where = notes(error.value)[:2]
    assert "num_workers (now 2) or batch_size (now 1)" in why and f"--ckpt_path {path}" in where
    monkeypatch.undo()
    cli = run("fit", *settings, f"--ckpt_path={path}")
    assert cli.trainer.global_step == 6


def test_video_that_vanishes_in_mid_epoch_is_replaced_in_training_and_named_in_a_test(
    run: Run, stage1: Path, own: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = f"--data.annotations={own / 'annotations.csv'}"
    settings = (data, "--data.batch_size=1", "--trainer.max_epochs=2", "--data.max_broken=0.2")
    at_step(monkeypatch, 5, lambda: (own / "train_1.mp4").unlink())  # its index is in memory by then
    with pytest.warns(UserWarning, match=r"(?s)1 training videos could not be read and were replaced.*train_1\.mp4"):
        cli = run("fit", *settings)
    assert cli.trainer.global_step == 12 and list(cli.datamodule.broken) == ["train_1.mp4"]

    def vanish(self: Any, trainer: Any, pl_module: Any, batch: Any, batch_idx: int, dataloader_idx: int = 0) -> None:
        (own / "test_2.mp4").unlink(missing_ok=True)

    with monkeypatch.context() as patch:
        patch.setattr(FaultAdvice, "on_test_batch_start", vanish, raising=False)
        with pytest.raises(ValueError, match=r"test_2\.mp4"):
            run("test", f"--ckpt_path={stage1}", data, FEW, configs=(TEST,))
