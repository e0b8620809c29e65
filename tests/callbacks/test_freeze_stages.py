from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import yaml

from callbacks import FreezeStages
from tests.conftest import Run


@pytest.mark.parametrize("fixed", ["weights", "norm_statistics", "norm_affine"])
def test_only_what_is_named_stays(run: Run, tmp_path: Path, fixed: str) -> None:
    switches = dict.fromkeys(("weights", "norm_statistics", "norm_affine"), False) | {fixed: True}
    callback = {"class_path": "FreezeStages", "init_args": {"num_stages": 0, **switches}}
    config = tmp_path / "freeze.yaml"
    config.write_text(yaml.safe_dump({"trainer": {"callbacks+": [callback]}}))
    before = run("fit", "--trainer.max_epochs=0").model.state_dict()  # of the same seed
    after = run("fit", "--trainer.max_epochs=3", configs=(config,)).model.state_dict()
    stem = {
        "weights": ["0.weight", "3.weight"],
        "norm_statistics": [f"{n}.{leaf}" for n in (1, 4) for leaf in ("running_mean", "running_var")],
        "norm_affine": [f"{n}.{leaf}" for n in (1, 4) for leaf in ("weight", "bias")],
    }
    for kind, names in stem.items():
        for name in names:
            key = f"backbone.stem.{name}"
            assert torch.equal(before[key], after[key]) == (kind == fixed), key
    head = [key for key in before if key.startswith("head.") and not key.endswith("mask") and before[key].numel()]
    assert head and not [key for key in head if torch.equal(before[key], after[key])]


def test_other_stages_of_a_run_freeze_nothing_and_bad_modules_are_refused() -> None:
    callback, trainer = FreezeStages(1), SimpleNamespace()
    module: Any = SimpleNamespace(backbone=torch.nn.Linear(1, 1))
    callback.setup(trainer, module, "test")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"backbone to be a networks.Backbone, got Linear"):
        callback.setup(trainer, module, "fit")  # type: ignore[arg-type]
