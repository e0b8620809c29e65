"""A tiny annotated data set, and the command line to run it."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import lightning.pytorch as pl
import numpy as np
import pytest
import torch
import yaml

from cli import VideoCLI, main
from clips.encoding import write_video

ROOT = Path(__file__).resolve().parents[1]
SHARED = ROOT.parent / "shared"
EXPERIMENTS = ROOT / "configs" / "experiments"
LABELS = ["ball", "dark", "left", "red", "still"]
SPLITS = {"train": 6, "val": 3, "test": 5}


def moving_square(random: np.random.Generator, num_frames: int, size: int = 40) -> np.ndarray:
    """uint8 (N, size, size, 3): a square that crosses the picture."""
    frames = np.full((num_frames, size, size, 3), random.integers(0, 120), np.uint8)
    colour, top, speed = random.integers(120, 255, 3), int(random.integers(size - 8)), random.uniform(-2, 2)
    for t in range(num_frames):
        left = int((size / 2 + speed * t) % (size - 8))
        frames[t, top : top + 8, left : left + 8] = colour
    return frames


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of annotations.csv and 14 videos of 40x40 pixels and two to three seconds, 24 fps."""
    folder, random = tmp_path_factory.mktemp("tiny"), np.random.default_rng(0)
    rows = ["video,label,start,end,split"]
    for split, count in SPLITS.items():
        for number in range(count):
            name, num_frames = f"{split}_{number}.mp4", int(random.integers(48, 73))
            write_video(folder / name, moving_square(random, num_frames), fps=24)
            rows.append(f"{name},{LABELS[number % 5]},,,{split}")
            start, length = random.uniform(0, num_frames / 24 - 0.5), random.uniform(0.2, 0.5)
            rows.append(f"{name},{LABELS[(number + 2) % 5]},{start:.3f},{start + length:.3f},{split}")
    (folder / "annotations.csv").write_text("\n".join(rows) + "\n")
    return folder


@pytest.fixture
def own(tiny: Path, tmp_path: Path) -> Path:
    """A copy of the tiny set, to damage."""
    return Path(shutil.copytree(tiny, tmp_path / "own"))


def settings(folder: Path) -> dict[str, object]:
    """Init arguments of a data module for the tiny set."""
    return {
        "annotations": str(folder / "annotations.csv"),
        "num_frames": 4,
        "fps": 24,
        "train_rates": [4],
        "short_side": [32, 36],
        "crop_size": 32,
        "test_short_side": 36,
        "batch_size": 3,
        "num_workers": 0,
        "val_views": {4: [1, 1]},
        "test_views": {4: [2, 1]},
    }


Run = Callable[..., VideoCLI]


def write_configs(tiny: Path, folder: Path) -> list[Path]:
    """The shipped trainer.yaml, and over it the tiny set on one CPU process with a CSV logger."""
    data = {"class_path": "AnnotatedVideosDataModule", "init_args": settings(tiny)}
    trainer = {
        "accelerator": "cpu",
        "devices": 1,
        "precision": "32-true",
        "max_epochs": 1,
        "check_val_every_n_epoch": 1,
        "log_every_n_steps": 1,
        "enable_model_summary": False,
        "default_root_dir": str(folder / "run"),
        "logger": {"class_path": "CSVLogger", "init_args": {"save_dir": ".", "name": ""}},
    }
    head = {"num_observations": 6, "width": 8, "groups": 4}
    backbone = {"class_path": "SmallResNet3D", "init_args": {"widths": [4, 8]}}
    model = {"class_path": "ActivitySpecific", "init_args": {"backbone": backbone, **head}}
    shared, base = folder / "shared.yaml", folder / "base.yaml"
    shared.write_text(yaml.safe_dump({"trainer": str(ROOT / "configs" / "trainer.yaml")}))
    base.write_text(yaml.safe_dump({"seed_everything": 0, "trainer": trainer, "model": model, "data": data}))
    return [shared, base]


def command(subcommand: str, configs: list[Path], *args: str) -> VideoCLI:
    """Run the command line with some configs laid over each other."""
    done = main([subcommand, *(word for config in configs for word in ("-c", str(config))), *args])
    assert done is not None
    return done


@pytest.fixture
def run(tiny: Path, tmp_path: Path) -> Run:
    """Run the command line on the tiny set in a folder of its own: `run("fit", "--key=value", configs=(...))`."""
    base = write_configs(tiny, tmp_path)
    return lambda subcommand, *args, configs=(): command(subcommand, [*base, *configs], *args)


@pytest.fixture(scope="session")
def trained(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Checkpoint of one epoch of stage 1, shared by all tests."""
    folder = tmp_path_factory.mktemp("stage1")
    command("fit", write_configs(tiny, folder))
    return folder / "run" / "checkpoints" / "last.ckpt"


@pytest.fixture
def stage1(trained: Path, tmp_path: Path) -> Path:
    """A copy of that checkpoint, to read, change or remove."""
    (tmp_path / "stage1").mkdir()
    return Path(shutil.copy(trained, tmp_path / "stage1" / "last.ckpt"))


def weights(path: Path) -> dict[str, torch.Tensor]:
    """State dict of a checkpoint."""
    state: dict[str, torch.Tensor] = torch.load(path, weights_only=True)["state_dict"]
    return state


@pytest.fixture(autouse=True)
def seeded() -> None:
    """The same draws in each test, whatever runs before it."""
    pl.seed_everything(0, verbose=False)


@pytest.fixture
def shared_data() -> Path:
    """Folder of real annotation files; the licences of most forbid to ship them."""
    folder = Path(os.environ.get("POLYTEMPO_DATA", SHARED / "data"))
    if not folder.is_dir():
        pytest.skip(f"no real annotations in {folder}; set POLYTEMPO_DATA to their folder")
    return folder
