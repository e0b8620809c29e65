from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from callbacks import SpeedInvariantTuning
from tests.conftest import EXPERIMENTS, Run, weights

STAGE2 = EXPERIMENTS / "speed_invariant.yaml"
RATES = "--data.train_rates=[2,4,8]"


def tune(run: Run, folder: Path, init_from: Path, *args: str) -> Any:
    return run(
        "fit",
        f"--trainer.default_root_dir={folder}",
        f"--trainer.callbacks.init_from={init_from}",
        "--trainer.max_epochs=3",
        *args,
        configs=(STAGE2,),
    )


def test_backbone_stays_bit_equal_and_the_head_moves(run: Run, stage1: Path, tmp_path: Path) -> None:
    module = tune(run, tmp_path / "stage2", stage1).model
    before, after = weights(stage1), weights(tmp_path / "stage2" / "checkpoints" / "last.ckpt")
    backbone = [key for key in before if key.startswith("backbone.")]
    assert any("running_mean" in key for key in backbone) and any("num_batches_tracked" in key for key in backbone)
    for key in backbone:
        assert torch.equal(before[key], after[key]), key
    learned = [
        key for key, value in before.items() if key.startswith("head.") and not key.endswith("mask") and value.numel()
    ]
    assert [key for key in learned if torch.equal(before[key], after[key])] == []
    module.train()
    assert module.head.training and not any(part.training for part in module.backbone.modules())
    assert not module.backbone(torch.rand(1, 3, 4, 32, 32, requires_grad=True)).requires_grad


def test_stage2_resumed_from_its_middle_ends_bit_equal(run: Run, stage1: Path, tmp_path: Path) -> None:
    unbroken = tmp_path / "unbroken"
    keep_all = ("--trainer.max_epochs=4", "--trainer.logger.save_dir=.")
    checkpoints = tmp_path / "all.yaml"
    checkpoints.write_text(
        "trainer: {callbacks: [{class_path: ModelCheckpoint, "
        "init_args: {dirpath: checkpoints, save_top_k: -1, save_last: true, save_on_train_epoch_end: true}}]}\n"
    )

    def fit(folder: Path, *args: str) -> None:
        run(
            "fit",
            RATES,
            f"--trainer.default_root_dir={folder}",
            f"--trainer.callbacks.init_from={stage1}",
            *keep_all,
            *args,
            configs=(checkpoints, STAGE2),
        )

    fit(unbroken)
    (middle,) = (unbroken / "checkpoints").glob("epoch=1-*.ckpt")
    stage1.unlink()  # a resumed fit does not need it any more
    fit(tmp_path / "resumed", f"--ckpt_path={middle}")
    left = torch.load(unbroken / "checkpoints" / "last.ckpt", weights_only=True)
    right = torch.load(tmp_path / "resumed" / "checkpoints" / "last.ckpt", weights_only=True)
    assert left["epoch"] == right["epoch"] == 3 and left["global_step"] == right["global_step"]
    for key, value in left["state_dict"].items():
        assert torch.equal(value, right["state_dict"][key]), key
    for number, state in left["optimizer_states"][0]["state"].items():
        assert torch.equal(state["momentum_buffer"], right["optimizer_states"][0]["state"][number]["momentum_buffer"])


def test_fresh_head_when_asked(run: Run, stage1: Path, tmp_path: Path) -> None:
    cli = tune(run, tmp_path / "kept", stage1, "--trainer.max_steps=0", "--trainer.limit_val_batches=0")
    kept = dict(cli.model.state_dict())
    cli = tune(
        run,
        tmp_path / "fresh",
        stage1,
        "--trainer.callbacks.reinit_head=true",
        "--trainer.max_steps=0",
        "--trainer.limit_val_batches=0",
    )
    fresh, trained = cli.model.state_dict(), weights(stage1)
    assert all(torch.equal(kept[key], value) for key, value in trained.items())
    assert all(torch.equal(fresh[key], value) for key, value in trained.items() if key.startswith("backbone."))
    assert any(not torch.equal(fresh[key], value) for key, value in trained.items() if key.startswith("head."))


def test_rates_that_disagree_are_refused(run: Run, stage1: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"has rates \[2, 4, 8\], the data have train_rates \[2, 4\]; make them equal"):
        tune(run, tmp_path, stage1, "--data.train_rates=[2,4]")


def test_missing_checkpoint_is_refused(run: Run, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"init_from: checkpoint .*none\.ckpt does not exist; run stage 1 first"):
        tune(run, tmp_path, tmp_path / "none.ckpt")


def test_checkpoint_of_another_model_is_refused(run: Run, stage1: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"does not fit the model: .*give the model the config of stage 1"):
        tune(run, tmp_path, stage1, "--model.correlation=false")


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("num_labels", 7, "the checkpoint scores 7 labels, the data have 5"),
        ("label_names", ["ball", "light", "left", "red", "still"], "calls label 1 'light', the data call it 'dark'"),
    ],
)
def test_checkpoint_of_other_labels_is_refused(
    run: Run, stage1: Path, tmp_path: Path, key: str, value: object, message: str
) -> None:
    checkpoint = torch.load(stage1, weights_only=True)
    torch.save({**checkpoint, key: value}, stage1)
    with pytest.raises(ValueError, match=f"init_from .*{message}"):
        tune(run, tmp_path, stage1)
    with pytest.raises(ValueError, match=message):
        run("test", f"--ckpt_path={stage1}")


def test_module_without_a_backbone_is_refused() -> None:
    callback, module = SpeedInvariantTuning(Path("none.ckpt")), SimpleNamespace(backbone=torch.nn.Linear(1, 1))
    with pytest.raises(
        ValueError, match=r"SpeedInvariantTuning needs .*\.backbone to be a networks.Backbone, got Linear"
    ):
        callback.setup(SimpleNamespace(), module, "fit")  # type: ignore[arg-type]


def test_harmless_outside_of_fit(run: Run, stage1: Path, tmp_path: Path) -> None:
    cli = run("test", f"--ckpt_path={stage1}", RATES, configs=(STAGE2,))
    assert all(parameter.requires_grad for parameter in cli.model.parameters())
