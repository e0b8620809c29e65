"""Every shipped config builds what it says."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonargparse import ArgumentParser

from cli import main
from datamodules import VideoDataModule
from tests.conftest import ROOT, settings

CONFIGS = ROOT / "configs"
STAGE1 = sorted((CONFIGS / "experiments").glob("tempo_shapes_a*.yaml"))
OWN_DATA = [CONFIGS / "experiments" / f"{name}.yaml" for name in ("average_pooling", "activity_specific")]
OVERLAYS = [path for path in sorted((CONFIGS / "experiments").glob("*.yaml")) if path not in STAGE1 + OWN_DATA]
DATA = sorted((CONFIGS / "data").glob("*.yaml"))
ABLATIONS = sorted((CONFIGS / "ablations").glob("*.yaml"))


def build(folder: Path, *configs: Path) -> Any:
    """Model, data and trainer of some configs laid over each other, without the loggers."""
    quiet = folder / "quiet.yaml"
    quiet.write_text(yaml.safe_dump({"trainer": {"logger": False, "accelerator": "cpu", "precision": "32-true"}}))
    files = [word for config in (*configs, quiet) for word in ("--config", str(config))]
    return main([*files, f"--trainer.default_root_dir={folder}"], run=False)


def own_data(tiny: Path, folder: Path) -> Path:
    """A config of the tiny annotated set."""
    data = folder / "data.yaml"
    data.write_text(yaml.safe_dump({"data": {"class_path": "AnnotatedVideosDataModule", "init_args": settings(tiny)}}))
    return data


def shapes(head: Any) -> dict[str, tuple[int, ...]]:
    """Names and shapes of all tensors of a head."""
    return {name: tuple(value.shape) for name, value in head.state_dict().items()}


@pytest.mark.parametrize("path", STAGE1, ids=lambda path: path.stem)
def test_stage_1_builds(path: Path, tmp_path: Path) -> None:
    cli = build(tmp_path, path)
    assert cli.model.num_labels == cli.datamodule.num_labels == len(cli.datamodule.label_names)
    assert cli.datamodule.train_rates == [4]
    names = {type(callback).__name__ for callback in cli.trainer.callbacks}
    assert {"ModelCheckpoint", "RateProgressBar", "BrokenVideos", "WritePredictions"} <= names


@pytest.mark.parametrize("path", OWN_DATA, ids=lambda path: path.stem)
def test_stage_1_takes_data_of_ones_own(path: Path, tiny: Path, tmp_path: Path) -> None:
    cli = build(tmp_path, path, own_data(tiny, tmp_path))
    assert cli.model.num_labels == 5 and type(cli.model.backbone).__name__ == "Torchvision3D"


@pytest.mark.parametrize("path", OVERLAYS, ids=lambda path: path.stem)
def test_overlay_builds_and_keeps_the_callbacks_of_the_trainer(path: Path, tmp_path: Path) -> None:
    cli = build(tmp_path, CONFIGS / "experiments" / "tempo_shapes_activity_specific.yaml", path)
    assert "ModelCheckpoint" in {type(callback).__name__ for callback in cli.trainer.callbacks}
    chosen = yaml.safe_load(path.read_text()).get("data", {}).get("init_args", {})
    for name, value in chosen.items():
        found = getattr(cli.datamodule, name)
        assert found == ({k: tuple(v) for k, v in value.items()} if isinstance(value, dict) else value)


@pytest.mark.parametrize("path", ABLATIONS, ids=lambda path: path.stem)
def test_ablation_changes_what_it_names(path: Path, tiny: Path, tmp_path: Path) -> None:
    method = "average_pooling" if path.stem.endswith("_attention") else "activity_specific"
    base = (CONFIGS / "experiments" / f"{method}.yaml", own_data(tiny, tmp_path))
    changed = build(tmp_path, *base, path)
    chosen = yaml.safe_load(path.read_text())
    for name, value in chosen.get("model", {}).get("init_args", {}).items():
        assert changed.model.hparams[name] == value
    if "model" in chosen:  # the switch reaches the network
        assert shapes(changed.model.head) != shapes(build(tmp_path, *base).model.head)
    for name, value in chosen.get("data", {}).get("init_args", {}).items():
        found = getattr(changed.datamodule, name)
        assert found == ({k: tuple(v) for k, v in value.items()} if isinstance(value, dict) else value)


@pytest.mark.parametrize("path", DATA, ids=lambda path: path.stem)
def test_data_config_names_a_data_module_and_arguments_that_it_takes(path: Path) -> None:
    parser = ArgumentParser(exit_on_error=False)
    parser.add_subclass_arguments(VideoDataModule, "data")
    parsed = parser.parse_args([f"--data={path}"])  # not instantiated: the annotation files are not here
    chosen = yaml.safe_load(path.read_text())
    assert parsed.data.class_path.rpartition(".")[2] == chosen["class_path"]
    assert set(chosen["init_args"]) <= set(vars(parsed.data.init_args))


def test_papers_30_views(tmp_path: Path) -> None:
    for name in ("experiments/multi_rate_test", "ablations/two_rates_test", "ablations/one_rate_test"):
        views = build(
            tmp_path, CONFIGS / "experiments" / "tempo_shapes_activity_specific.yaml", CONFIGS / f"{name}.yaml"
        )
        assert sum(positions * crops for positions, crops in views.datamodule.test_views.values()) == 30
