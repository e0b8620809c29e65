import csv
import errno
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any, ClassVar

import lightning.pytorch as pl
import numpy as np
import pytest
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.strategies import SingleDeviceStrategy

from callbacks import SpeedInvariantTuning
from clips.feature_cache import FeatureCache, fingerprint
from clips.rate_batches import Draw
from clips.targets import Video
from clips.views import normalise
from datamodules.cached_features import open_cache
from networks import Backbone
from tests.conftest import EXPERIMENTS, LABELS, ROOT, Run, weights, write_configs
from tests.system_faults import make_read_only

STAGE2 = EXPERIMENTS / "speed_invariant.yaml"
RATES = (2.0, 4.0, 8.0)


@pytest.fixture
def tune(run: Run, stage1: Path, tmp_path: Path) -> Any:
    """Stage 2 from a cache of two clips: `tune(name, *args)` gives the command line, run in a folder of that name."""

    def call(name: str, *args: str) -> Any:
        return run(
            "fit",
            f"--trainer.default_root_dir={tmp_path / name}",
            "--trainer.max_epochs=2",
            "--data.train_rates=[2,4,8]",
            f"--trainer.callbacks.init_from={stage1}",
            f"--trainer.callbacks.cache={tmp_path / 'features'}",
            "--trainer.callbacks.cache_clips=2",
            *args,
            configs=(STAGE2,),
        )

    return call


@pytest.fixture
def passes(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The number of clips of each pass through the backbone's own forward."""
    seen: list[int] = []
    original = Backbone.__call__

    def counted(self: Backbone, clips: torch.Tensor) -> Any:
        if not self.bypassed:
            seen.append(len(clips))
        return original(self, clips)

    monkeypatch.setattr(Backbone, "__call__", counted)
    return seen


def test_cache_holds_the_features_of_the_drawn_clips(tune: Any) -> None:
    cli = tune("run")
    data, cache = cli.datamodule, cli.datamodule.features
    for video, rate, clip in [(0, 0, 0), (3, 1, 1), (5, 2, 0)]:
        sample = data.train_clips()[Draw(video, RATES[rate], (0, video, rate, clip))]
        wanted = cli.model.backbone(normalise(sample["clips"], data.mean, data.std))[0]
        features, labels, index = cache.read(video, rate, clip)
        assert features.dtype == torch.bfloat16
        torch.testing.assert_close(features.float(), wanted, rtol=2**-8, atol=1e-6)
        assert torch.equal(labels, sample["labels"]) and index == sample["index"] == video
    first, second = (cache.read(0, 1, clip)[0] for clip in (0, 1))
    assert not torch.equal(first, second)


def test_no_video_passes_the_backbone_again(tune: Any, passes: list[int]) -> None:
    tune("first", "--trainer.limit_val_batches=0")
    assert sum(passes) == 1 + 6 * 3 * 2  # the shape, then videos x rates x clips
    passes.clear()
    tune("second", "--trainer.limit_val_batches=0")
    assert passes == [1]
    passes.clear()
    tune("third")
    assert sum(passes) == 1 + 2 * 3  # in each of two epochs a view of three validation videos


def test_tuning_moves_the_head_alone_and_is_the_same_from_a_full_cache(tune: Any, stage1: Path, tmp_path: Path) -> None:
    tune("a")
    tune("b", "--data.num_workers=2")
    first, second = (weights(tmp_path / name / "checkpoints" / "last.ckpt") for name in ("a", "b"))
    before = weights(stage1)
    for key, value in before.items():
        assert torch.equal(first[key], second[key])
        if key.startswith("backbone."):
            assert torch.equal(first[key], value), key
    assert any(not torch.equal(first[key], value) for key, value in before.items() if key.startswith("head."))


def test_first_loss_is_that_of_the_head_on_the_drawn_clips(tune: Any, stage1: Path, tmp_path: Path) -> None:
    cli = tune("run", "--trainer.max_steps=1", "--model.dropout=0", "--trainer.limit_val_batches=0")
    data, module = cli.datamodule, cli.model
    clips, labels = [], []
    for draw in next(iter(data.train_dataloader().batch_sampler)):
        clip = int(np.random.default_rng(draw.key).integers(2))
        sample = data.train_clips()[Draw(draw.number, draw.rate, (0, draw.number, RATES.index(draw.rate), clip))]
        clips.append(normalise(sample["clips"], data.mean, data.std))
        labels.append(sample["labels"])
    module.load_state_dict(weights(stage1))
    module.train()
    features = module.backbone(torch.cat(clips)).bfloat16().float()
    loss = sum(module.loss(logits, torch.stack(labels)).item() for logits in module.head(features))
    with (tmp_path / "run" / "version_0" / "metrics.csv").open() as file:
        logged = [float(row["train/loss"]) for row in csv.DictReader(file) if row.get("train/loss")]
    assert logged[0] == pytest.approx(loss, rel=1e-4)


def test_interrupted_computation_goes_on_where_it_stopped(tune: Any, passes: list[int]) -> None:
    cache: FeatureCache = tune("first", "--trainer.limit_val_batches=0").datamodule.features
    whole = {path.name: path.read_bytes() for path in cache.folder.iterdir()}
    for name in ("features", "labels"):  # the last two videos were never written
        size = len(whole[name]) // 6 * 4
        (cache.folder / name).write_bytes(whole[name][:size])
    (cache.folder / "done").write_bytes(whole["done"][: 4 * 3])
    passes.clear()
    tune("second", "--trainer.limit_val_batches=0")
    assert sum(passes) == 1 + 2 * 3 * 2
    assert {path.name: path.read_bytes() for path in cache.folder.iterdir()} == whole


@pytest.mark.parametrize("change", ["--data.flip=false", "--data.mean=[0,0,0]"])
def test_other_clips_go_into_another_cache(tune: Any, tmp_path: Path, change: str) -> None:
    steps = ("--trainer.max_steps=1", "--trainer.limit_val_batches=0")
    tune("first", *steps)
    (first,) = (tmp_path / "features").iterdir()
    before = (first / "features").read_bytes()
    tune("second", *steps, change)
    assert len(list((tmp_path / "features").iterdir())) == 2
    assert (first / "features").read_bytes() == before


def test_other_weights_go_into_another_cache(tune: Any, stage1: Path, tmp_path: Path) -> None:
    steps = ("--trainer.max_steps=1", "--trainer.limit_val_batches=0")
    tune("first", *steps)
    checkpoint = torch.load(stage1, weights_only=True)
    next(value for key, value in checkpoint["state_dict"].items() if "running_var" in key)[0] += 1
    torch.save(checkpoint, stage1)
    tune("second", *steps)
    assert len(list((tmp_path / "features").iterdir())) == 2


def test_other_seed_uses_the_same_cache(tune: Any, tmp_path: Path, passes: list[int]) -> None:
    steps = ("--trainer.max_steps=1", "--trainer.limit_val_batches=0")
    tune("first", *steps)
    passes.clear()
    tune("second", *steps, "--seed_everything=7")
    assert passes == [1]


def test_one_more_label_is_another_cache(tune: Any, stage1: Path, tmp_path: Path) -> None:
    steps = ("--trainer.max_steps=1", "--trainer.limit_val_batches=0", "--trainer.callbacks.reinit_head=true")
    state = {key: value for key, value in weights(stage1).items() if key.startswith("backbone.")}
    torch.save({"state_dict": state}, stage1)
    for number, labels in enumerate((LABELS, [*LABELS, "yawn"])):
        (tmp_path / "labels.txt").write_text("\n".join(labels))
        cache = tune(str(number), *steps, f"--data.labels={tmp_path / 'labels.txt'}").datamodule.features
        assert all(cache.read(video, 0, 0)[1].shape == (len(labels),) for video in range(6))
    assert len(list((tmp_path / "features").iterdir())) == 2


def test_features_follow_the_pictures_of_a_folder_of_frames(tmp_path: Path) -> None:
    (tmp_path / "000001.jpg").write_bytes(b"one")
    os.utime(tmp_path / "000001.jpg", ns=(0, 1))
    videos = [Video("folder", tmp_path, np.empty(0, np.int64), np.empty((0, 2)))]
    before, folder = fingerprint(videos), tmp_path.stat().st_mtime_ns
    (tmp_path / "000001.jpg").write_bytes(b"two")
    assert tmp_path.stat().st_mtime_ns == folder and fingerprint(videos) != before


def test_module_and_data_serve_videos_again_after_a_fit_that_failed(
    tune: Any, stage1: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cli = tune("good", "--trainer.limit_val_batches=0")
    module, data = cli.model, cli.datamodule
    trainer: dict[str, Any] = {
        "logger": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "accelerator": "cpu",
    }

    def fail(*args: Any) -> None:
        raise RuntimeError("in a step")

    monkeypatch.setattr(module, "training_step", fail)
    tuning = SpeedInvariantTuning(stage1, cache=cli.datamodule.features.root, cache_clips=2)
    with pytest.raises(RuntimeError, match="in a step"):
        pl.Trainer(max_epochs=1, callbacks=[tuning, ModelCheckpoint(save_top_k=0)], **trainer).fit(module, data)
    monkeypatch.undo()
    assert not module.backbone.bypassed
    pl.Trainer(max_steps=1, callbacks=[ModelCheckpoint(save_top_k=0)], **trainer).fit(module, data)
    assert data.features is None


def test_checkpoint_of_stage_1_is_not_resumed_as_stage_2(tune: Any, stage1: Path) -> None:
    with pytest.raises(ValueError, match=r"one of stage 1: .*give it with --trainer\.callbacks\.init_from"):
        tune("run", f"--ckpt_path={stage1}")


def test_full_cache_serves_where_nothing_can_be_written(
    tune: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder,) = (tune("first", "--trainer.limit_val_batches=0").datamodule.features.folder,)
    make_read_only(monkeypatch, folder)
    tune("second", "--trainer.limit_val_batches=0")


def test_full_disk_is_named(tune: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(file: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("clips.feature_cache.os.fsync", full)
    with pytest.raises(OSError, match=r"the feature cache cannot be written: No space left.*/features/") as caught:
        tune("run")
    assert any("make room there" in note for note in caught.value.__notes__)


def test_cache_needs_a_positive_number_of_clips(tune: Any) -> None:
    with pytest.raises(ValueError, match="cached clips per video and rate must be at least 1, got 0"):
        tune("run", "--trainer.callbacks.cache_clips=0")


def test_disk_without_room_is_refused_before_anything_is_computed(
    tune: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: type("Usage", (), {"free": 1000}))
    with pytest.raises(
        ValueError, match=r"needs .* GB for 6 videos, 3 rates and 2 clips each, but the disk has 0\.0 GB"
    ):
        tune("run")
    assert not list((tmp_path / "features").glob("*/features"))


def test_a_video_that_cannot_be_read_is_replaced_and_counted(tune: Any, tiny: Path, tmp_path: Path) -> None:
    root = tmp_path / "videos"
    shutil.copytree(tiny, root)
    (root / "train_2.mp4").write_bytes(b"no video")
    place = (f"--data.annotations={root / 'annotations.csv'}", "--data.max_broken=0.2", "--trainer.limit_val_batches=0")
    with pytest.warns(UserWarning, match="1 training videos could not be read and were replaced"):
        data = tune("run", *place).datamodule
    assert [data.features.read(video, 0, 0)[2] for video in (1, 2, 3)] == [1, 3, 3]
    assert list(data.broken) == ["train_2.mp4"]
    assert data.features.missing() == [] and data.features.replaced() == [(2, 0), (2, 1), (2, 2)]
    with pytest.raises(ValueError, match="1 of 6 training videos cannot be read, more than max_broken"):
        tune("strict", *place, "--data.max_broken=0.1", "--data.target=video")


def test_fast_dev_run_fills_no_cache(tune: Any, tmp_path: Path, passes: list[int], caplog: Any) -> None:
    with caplog.at_level("INFO"):
        tune("run", "--trainer.fast_dev_run=true")
    assert passes == [3, 1] and not (tmp_path / "features").exists()
    assert sum("fast_dev_run tunes on videos, without the cache" in line for line in caplog.messages) == 1


@pytest.fixture
def restored_late(monkeypatch: pytest.MonkeyPatch) -> None:
    """A strategy that loads checkpoints after the start of the fit, as FSDP and DeepSpeed do on GPUs."""
    monkeypatch.setattr(SingleDeviceStrategy, "restore_checkpoint_after_setup", True)


@pytest.mark.usefixtures("restored_late")
def test_strategies_that_shard_weights_are_refused(tune: Any) -> None:
    with pytest.raises(ValueError, match="leaves each process the whole backbone, got SingleDeviceStrategy; take"):
        tune("run")


def test_resumed_fit_needs_no_stage_1_where_checkpoints_are_loaded_late(
    tune: Any, stage1: Path, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    steps = ("--trainer.callbacks.cache=null", "--trainer.limit_val_batches=0", "--trainer.limit_train_batches=1")
    tune("first", *steps, "--trainer.max_epochs=1")
    stage1.unlink()
    request.getfixturevalue("restored_late")
    resumed = tune("second", *steps, f"--ckpt_path={tmp_path / 'first' / 'checkpoints' / 'last.ckpt'}")
    assert resumed.trainer.current_epoch == 2
    with pytest.raises(ValueError, match=r"init_from: checkpoint .* does not exist; run stage 1 first"):
        tune("third", *steps)


def test_boxes_of_people_are_refused() -> None:
    class WithBoxes:
        videos: ClassVar = {"train": [type("Boxed", (), {"boxes": np.zeros((1, 4))})]}

    with pytest.raises(
        ValueError, match="WithBoxes has boxes of people, which a feature cache does not hold; leave cache out"
    ):
        open_cache(WithBoxes(), FeatureCache(Path(), 1), torch.nn.Identity(), torch.device("cpu"), {})  # type: ignore[arg-type]


@pytest.mark.slow
def test_two_processes_fill_the_cache_of_one(tune: Any, tiny: Path, stage1: Path, tmp_path: Path) -> None:
    alone: FeatureCache = tune("alone", "--trainer.limit_val_batches=0").datamodule.features
    configs = [word for path in (*write_configs(tiny, tmp_path), STAGE2) for word in ("-c", str(path))]
    options = [
        "--trainer.devices=2", "--trainer.strategy=ddp", "--trainer.max_epochs=2", "--trainer.limit_val_batches=0",
        "--data.train_rates=[2,4,8]", f"--trainer.callbacks.init_from={stage1}", "--trainer.callbacks.cache_clips=2",
        f"--trainer.callbacks.cache={tmp_path / 'both'}", f"--trainer.default_root_dir={tmp_path / 'ddp'}",
    ]  # fmt: skip
    done = subprocess.run(
        [sys.executable, str(ROOT / "cli.py"), "fit", *configs, *options], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    (folder,) = (tmp_path / "both").iterdir()
    assert folder.name == alone.folder.name and set((folder / "done").read_bytes()) == {1}
    for name in ("labels", "index"):
        assert (folder / name).read_bytes() == (alone.folder / name).read_bytes()
    ours, theirs = (
        torch.from_numpy(np.fromfile(path / "features", np.int16)).view(torch.bfloat16).float()
        for path in (folder, alone.folder)
    )
    torch.testing.assert_close(ours, theirs, rtol=2**-7, atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("own", ["cache", "videos"])
def test_machines_without_one_cache_of_the_same_videos_are_refused(
    own: str, tiny: Path, stage1: Path, tmp_path: Path
) -> None:
    words = [word for path in (*write_configs(tiny, tmp_path), STAGE2) for word in ("-c", str(path))]
    words += ["--trainer.num_nodes=2", "--trainer.strategy=ddp", f"--trainer.callbacks.init_from={stage1}"]
    running = []
    with socket.socket() as held:  # the port stays ours, and those who ask for it by number may share it
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        held.bind(("", 0))
        for rank in range(2):
            copy = Path(shutil.copytree(tiny, tmp_path / f"videos_{rank}"))
            for video in copy.glob("*.mp4"):
                os.utime(video, ns=(rank, rank))
            data, cache = (copy, tmp_path / "cache") if own == "videos" else (tiny, tmp_path / f"cache_{rank}")
            more = [f"--data.annotations={data / 'annotations.csv'}", f"--trainer.callbacks.cache={cache}"]
            place = {"RANK": rank, "GROUP_RANK": rank, "LOCAL_RANK": 0, "WORLD_SIZE": 2, "LOCAL_WORLD_SIZE": 1}
            place |= {"MASTER_PORT": held.getsockname()[1], "OMP_NUM_THREADS": 1}
            env = {**os.environ, "MASTER_ADDR": "127.0.0.1", "TORCHELASTIC_RUN_ID": "two"}
            with (tmp_path / f"errors_{rank}").open("w") as errors:
                command = [sys.executable, str(ROOT / "cli.py"), "fit", *words, *more]
                env |= {name: str(value) for name, value in place.items()}
                running.append(subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL, stderr=errors))
        assert [process.wait(timeout=280) for process in running] == [1, 1]
    wanted = {"cache": "made by process 0, is not there on", "videos": "they differ in videos"}[own]
    for rank in range(2):
        error = (tmp_path / f"errors_{rank}").read_text()
        assert wanted in error and "all processes need one cache" in error
