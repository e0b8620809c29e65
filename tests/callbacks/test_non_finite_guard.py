"""The guard against a reference that leaves the bad steps out by hand."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import pytest
import torch
from lightning.pytorch.plugins import MixedPrecision
from torch import Tensor, nn

from callbacks import NonFiniteGuard
from tests.callbacks.non_finite_fit import Data, Module, fit, free_of
from tests.conftest import ROOT, Run


def literal(skipped: set[int], accumulate: int, epochs: int = 2) -> tuple[Module, torch.optim.Optimizer]:
    """The fit as a plain loop over the optimiser's steps that are not skipped."""
    module, data = Module(), Data()
    optimizer = torch.optim.SGD(module.parameters(), lr=0.1, momentum=0.9, weight_decay=0.01)
    for epoch in range(epochs):
        batches = data.batches()
        for step in range(0, len(batches), accumulate):
            if step // accumulate + epoch * len(batches) // accumulate in skipped:
                continue
            optimizer.zero_grad()
            for batch in batches[step : step + accumulate]:
                (module(batch["clips"]).square().mean() / accumulate).backward()
            optimizer.step()
    return module, optimizer


@pytest.mark.parametrize(("accumulate", "skipped"), [(1, {1, 5}), (2, {0, 2})])
@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_skipped_step_changes_nothing(tmp_path: Path, accumulate: int, skipped: set[int], value: float) -> None:
    guard = NonFiniteGuard(skip=2)
    with pytest.warns(
        UserWarning, match=r"is skipped \([12] of at most 2\):\n  process 0: loss .*, videos bad\.mp4, also, rates 4, 8"
    ):
        trainer, module = fit(tmp_path, guard, value=value, accumulate_grad_batches=accumulate, max_epochs=2)
    expected, optimizer = literal(skipped, accumulate)
    for name, tensor in expected.state_dict().items():
        assert torch.equal(module.state_dict()[name], tensor), name
    ours = trainer.optimizers[0].state_dict()["state"]
    for number, state in optimizer.state_dict()["state"].items():
        assert torch.equal(ours[number]["momentum_buffer"], state["momentum_buffer"])
    assert float(trainer.logged_metrics["train/non_finite_steps"]) == guard.skipped == 2
    assert not list(tmp_path.rglob("non_finite*"))


def test_stop_names_the_videos_and_leaves_a_dump_that_repeats_the_loss(tmp_path: Path) -> None:
    (tmp_path / "non_finite_step_1_rank_0.pt").write_text("of an earlier fit")
    left = tmp_path / ".non_finite_step_0_rank_0.pt.0.unfinished"  # of a fit that was killed as it wrote
    left.touch()
    os.utime(left, (0, 0))
    before, _ = literal(set(range(1, 8)), 1)
    with pytest.raises(
        ValueError,
        match=r"(?s)loss of step 1 is not finite \(learning rate 0\.1, precision 32-true.*"
        r"loss nan, videos bad\.mp4, also, rates 4, 8\n.*weights are finite: look at these videos",
    ):
        fit(tmp_path, NonFiniteGuard(output=tmp_path))
    (path,) = tmp_path.glob("non_finite*-1.pt")
    dump = torch.load(path, weights_only=True)
    assert (tmp_path / "non_finite_step_1_rank_0.pt").read_text() == "of an earlier fit"
    assert not list(tmp_path.glob(".*"))
    assert dump["videos"] == ["bad.mp4", "also"] and dump["step"] == dump["batch_idx"] == 1 and dump["epoch"] == 0
    assert dump["learning_rates"] == [0.1] and dump["seed"] == 0 and dump["rank"] == 0
    for name, tensor in before.state_dict().items():
        assert torch.equal(dump["state_dict"][name], tensor), name
    seen = Data().batches(torch.nan)[1]["clips"]
    torch.testing.assert_close(dump["batch"]["clips"], seen, rtol=0, atol=0, equal_nan=True)
    module = Module()
    module.load_state_dict(dump["state_dict"])
    assert module.training_step(dump["batch"], 1).isnan()


def test_one_more_than_tolerated_stops_also_after_a_resume(tmp_path: Path) -> None:
    guard = NonFiniteGuard(skip=1, output=tmp_path)
    with pytest.warns(UserWarning, match="1 of at most 1"):
        trainer, _ = fit(tmp_path, guard, max_epochs=1)
    trainer.save_checkpoint(tmp_path / "one.ckpt")
    assert torch.load(tmp_path / "one.ckpt", weights_only=True)["non_finite_steps"] == 1
    with pytest.raises(ValueError, match=r"step 5 is not finite .*1 steps skipped before"):
        fit(tmp_path, NonFiniteGuard(skip=1, output=tmp_path), ckpt_path=tmp_path / "one.ckpt", max_epochs=2)


@pytest.mark.filterwarnings("ignore:You're resuming from a checkpoint that ended before the epoch ended")
def test_step_that_a_resume_begins_in_its_middle_is_skipped_whole(tmp_path: Path) -> None:
    class Save(pl.Callback):
        def on_train_batch_end(self, trainer: pl.Trainer, *args: Any) -> None:
            trainer.save_checkpoint(tmp_path / "one.ckpt")

    fit(tmp_path, Save(), max_steps=1)
    guard = NonFiniteGuard(skip=1)
    with pytest.warns(UserWarning, match="1 of at most 1"):  # of the batches 1 and 2, and then 3
        trainer, module = fit(tmp_path, guard, ckpt_path=tmp_path / "one.ckpt", accumulate_grad_batches=3)
    assert trainer.global_step == 3 and guard.skipped == 1 and free_of(module)
    assert module.norm.num_batches_tracked == 2  # without the batches of the step that was skipped


def test_of_two_guards_the_last_works(tmp_path: Path) -> None:
    first, last = NonFiniteGuard(), NonFiniteGuard(skip=2)
    with pytest.warns(UserWarning, match="of at most 2"):
        fit(tmp_path, first, last, max_epochs=2)
    assert (first.skipped, last.skipped) == (0, 2)
    with pytest.raises(ValueError, match="step 1 is not finite"):
        fit(tmp_path, NonFiniteGuard(skip=2), NonFiniteGuard(output=tmp_path))


def test_broken_weights_are_told_from_a_bad_batch(tmp_path: Path) -> None:
    module = Module()
    nn.init.constant_(module.last.bias, torch.nan)
    with pytest.raises(
        ValueError, match=r"step 0 .*\n.*\n.*earlier step broke the weights already \(1 tensors, first last\.bias"
    ):
        fit(tmp_path, NonFiniteGuard(output=tmp_path), module=module)


def test_fit_stops_also_where_no_dump_can_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match=r"videos bad\.mp4, also(.|\n)*Written: no dump in .*file"):
        fit(tmp_path, NonFiniteGuard(output=tmp_path / "file"))


def test_loss_scaling_survives_a_skipped_step(tmp_path: Path) -> None:
    for accumulate in (1, 2):
        plugin = MixedPrecision("16-mixed", "cpu")
        with pytest.warns(UserWarning, match="1 of at most 1"):
            _, module = fit(tmp_path, NonFiniteGuard(skip=1), plugins=[plugin], accumulate_grad_batches=accumulate)
        assert free_of(module) and plugin.state_dict()["scale"] == 2.0**15  # halved once
        before = Module().state_dict()
        assert not torch.equal(module.state_dict()["last.weight"], before["last.weight"])


def test_finite_fit_is_the_same_with_and_without_guard(tmp_path: Path) -> None:
    _, guarded = fit(tmp_path, NonFiniteGuard(), value=1.0)
    _, plain = fit(tmp_path, value=1.0)
    for name, tensor in plain.state_dict().items():
        assert torch.equal(guarded.state_dict()[name], tensor), name


def test_real_videos_are_named(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from lightning_modules import MultiLabelModule

    real = MultiLabelModule.training_step

    def step(self: Any, batch: dict[str, Tensor], batch_idx: int) -> Tensor:
        return real(self, batch, batch_idx) * (torch.nan if 4 in batch["index"].tolist() else 1)

    monkeypatch.setattr(MultiLabelModule, "training_step", step)
    with pytest.raises(ValueError, match=r"videos [^\n]*train_4\.mp4[^\n]*rates 4, 4, 4\n"):
        run("fit", "--trainer.callbacks=NonFiniteGuard")
    (path,) = (tmp_path / "run").rglob("non_finite_step_*_rank_0.pt")
    dump = torch.load(path, weights_only=True)
    assert dump["batch"]["clips"].shape == (3, 1, 3, 4, 32, 32) and 4 in dump["batch"]["index"]


@pytest.mark.slow
def test_all_processes_stop_or_skip_together(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.callbacks.non_finite_fit", str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert done.returncode == 0 and "not stopped" not in done.stdout, done.stderr[-3000:]
    assert "is skipped (2 of at most 2):\n  process 1: loss nan, videos bad.mp4, also" in done.stderr
    left = [torch.load(tmp_path / f"rank_{rank}.pt", weights_only=True) for rank in range(2)]
    start = Module().state_dict()
    for name in ("first.weight", "norm.bias", "last.bias"):  # running statistics are each process's own
        assert torch.equal(left[0][name], left[1][name]) and not torch.equal(left[0][name], start[name]), name
    for state in left:  # two epochs of four batches, two of which were skipped
        assert all(bool(value.isfinite().all()) for value in state.values()) and state["norm.num_batches_tracked"] == 6
    for rank in range(2):
        error = (tmp_path / f"error_{rank}.txt").read_text()
        assert "process 1: loss nan, videos bad.mp4, also" in error and "process 0" not in error
        assert "non_finite_step_1_rank_1.pt" in error
    assert [path.name for path in tmp_path.glob("non_finite*")] == ["non_finite_step_1_rank_1.pt"]


def test_negative_skip_is_refused() -> None:
    with pytest.raises(ValueError, match="skip is a number of steps, 0 or more, got -1"):
        NonFiniteGuard(skip=-1)
