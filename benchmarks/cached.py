"""Stage 2 from cached features against stage 2 from video: steps a second, and the mAP that both reach.

`python -m benchmarks.cached [--stage1 CHECKPOINT] [--seeds 0 1 2]` tunes the demo's network on TempoShapes from the same
stage-1 checkpoint both ways, once a seed, tests each with the multi-rate ensemble, and prints the table. Without
`--stage1` it trains stage 1 first (four minutes on two cores). Then it times both ways with CSN-152 on one clip of 32 frames
of 224x224 from a 480p video, 157 labels, random weights: the pictures of the demo are so small that its backbone costs
little more than its head. `--seeds` without a number leaves the demo out.
"""

import argparse
import json
import statistics
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

import lightning.pytorch as pl
import torch
from rich.console import Console
from rich.table import Table

from benchmarks.videos import FOLDER, default_sources, videos
from cli import main as cli
from lightning_modules import ActivitySpecific
from networks import CSN

EXPERIMENTS = Path(__file__).resolve().parents[1] / "configs" / "experiments"
STAGE1, TUNE, TEST = (
    str(EXPERIMENTS / f"tempo_shapes_{name}.yaml") for name in ("activity_specific", "tuning", "test")
)
TARGET = 20.0


class StepTimes(pl.Callback):
    """Seconds of each epoch but the first, in which workers start, without what lies between epochs."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start the clock."""
        self._start = time.perf_counter()

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Stop it at the last step."""
        if trainer.current_epoch > 0 and batch_idx == trainer.num_training_batches - 1:
            self.seconds.append((time.perf_counter() - self._start) / trainer.num_training_batches)


class Tuned(NamedTuple):
    """One stage 2: seconds of the whole fit, steps a second after its first epoch, mAP of the ensemble (0 to 1)."""

    seconds: float
    steps: float
    map: float


def run(command: str, folder: Path, config: dict[str, Any], *args: str, stage1: str = STAGE1) -> Any:
    """One command in a folder of its own, on CPU where there is no GPU, with a configuration laid over stage 1's."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{command}.yaml"
    path.write_text(json.dumps(config), encoding="utf-8")  # which is YAML as well
    machine = () if torch.cuda.is_available() else ("-c", str(EXPERIMENTS / "on_cpu.yaml"))
    words = ["-c", stage1, *machine, *args[:2], "-c", str(path), f"--trainer.default_root_dir={folder}", *args[2:]]
    return cli([command, *words])


def callbacks(*more: dict[str, Any]) -> dict[str, Any]:
    """Trainer settings: a checkpoint and the given callbacks, no logger, no bar."""
    keep = {"class_path": "ModelCheckpoint", "init_args": {"dirpath": "checkpoints", "save_last": True}}
    quiet = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False}
    return {"trainer": {**quiet, "callbacks": [keep, *more]}}


def tune(folder: Path, stage1: Path, seed: int, cache: Path | None) -> Tuned:
    """Stage 2 and its test."""
    settings = {"init_from": str(stage1), "rates": [2, 4, 8], "cache": None if cache is None else str(cache)}
    tuning = {"class_path": "SpeedInvariantTuning", "init_args": settings}
    config = callbacks({"class_path": "benchmarks.cached.StepTimes"}, tuning)
    begin = time.perf_counter()
    done = run("fit", folder, config, "-c", TUNE, f"--seed_everything={seed}", "--trainer.check_val_every_n_epoch=100")
    seconds = time.perf_counter() - begin
    checkpoint = f"--ckpt_path={folder / 'checkpoints' / 'last.ckpt'}"
    tested = run("test", folder, callbacks({"class_path": "MultiRateEnsemble"}), "-c", TEST, checkpoint)
    value = float(tested.trainer.logged_metrics["test/map_ensemble"])
    return Tuned(seconds, steps_a_second(done.trainer), value)


def steps_a_second(trainer: Any) -> float:
    """Of the median epoch of a fit, the first left out."""
    # by name: this file is `__main__` here and `benchmarks.cached` to the configuration
    times = next(callback for callback in trainer.callbacks if type(callback).__name__ == "StepTimes")
    return float(1 / statistics.median(times.seconds))


def large(output: Path, source: Path) -> float:
    """Steps a second with CSN-152 from the cache over those from a video."""
    output.mkdir(parents=True)
    labels = [f"label {number}" for number in range(157)]
    (output / "labels.txt").write_text("\n".join(labels), encoding="utf-8")
    (output / "videos.csv").write_text(f"video,label,split\n{source.name},{labels[0]},train\n", encoding="utf-8")
    module = ActivitySpecific(CSN(depth=152, bottleneck="ip"), len(labels))
    torch.save({"state_dict": module.state_dict()}, output / "stage1.ckpt")
    data = {"annotations": str(output / "videos.csv"), "labels": str(output / "labels.txt"), "root": str(source.parent)}
    clips = {"num_frames": 32, "fps": 24, "batch_size": 1, "num_workers": 1, "train_rates": [2, 4, 8]}
    steps = {}
    for way, cache, count in (("video", None, 3), ("cache", str(output / "features"), 60)):
        init = {"init_from": str(output / "stage1.ckpt"), "cache": cache, "cache_clips": 1}
        config = callbacks(
            {"class_path": "benchmarks.cached.StepTimes"}, {"class_path": "SpeedInvariantTuning", "init_args": init}
        )
        config["trainer"] |= {"max_epochs": 2, "limit_val_batches": 0}
        config["model"] = {
            "init_args": {"backbone": {"class_path": "CSN", "init_args": {"depth": 152, "bottleneck": "ip"}}}
        }
        arguments = {**data, **clips, "clips_per_video": count}
        config["data"] = {"class_path": "AnnotatedVideosDataModule", "init_args": arguments}
        done = run("fit", output / way, config, stage1=str(EXPERIMENTS / "activity_specific.yaml"))
        steps[way] = steps_a_second(done.trainer)
        print(f"CSN-152, stage 2 from {way}: {steps[way]:.2f} steps/s")
    return steps["cache"] / steps["video"]


def report(tuned: dict[str, dict[int, Tuned]]) -> None:
    """Print both ways, seed by seed, their means and spreads, and the ratio of the speeds."""
    table = Table("stage 2 from", "seed", "fit (s)", "steps/s", "ensemble mAP (%)")
    for way, runs in tuned.items():
        for seed, one in runs.items():
            table.add_row(way, str(seed), f"{one.seconds:.1f}", f"{one.steps:.1f}", f"{100 * one.map:.2f}")
        table.add_section()
    console = Console()
    console.print(table)
    for way, runs in tuned.items():
        maps = [100 * one.map for one in runs.values()]
        spread = f", {min(maps):.2f} to {max(maps):.2f}" if len(maps) > 1 else ""
        console.print(f"{way}: mean {statistics.mean(maps):.2f} % mAP{spread}")
    ratio = statistics.median(tuned["cache"][seed].steps / one.steps for seed, one in tuned["video"].items())
    console.print(f"steps/s of the demo's network, cache over video: {ratio:.1f}")


def main() -> None:
    """Run both ways with every seed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stage1", type=Path, help="checkpoint of stage 1 on TempoShapes; trained first if absent")
    parser.add_argument("--seeds", type=int, nargs="*", default=[0, 1, 2])
    parser.add_argument("--output", type=Path, default=Path("runs/benchmark_cached"), help="a folder that is not there")
    known = parser.parse_args()
    sys.argv = sys.argv[:1]  # LightningCLI warns of arguments that are not its own
    if known.output.exists():
        parser.error(f"--output {known.output} exists; give a new folder")
    torch.set_num_threads(1)  # small layers gain nothing from a second thread, and the loader wants the other core
    stage1 = known.stage1 or known.output / "stage1" / "checkpoints" / "last.ckpt"
    if known.stage1 is None and known.seeds:
        run("fit", known.output / "stage1", callbacks(), "-c", STAGE1, "--trainer.check_val_every_n_epoch=100")
    tuned: dict[str, dict[int, Tuned]] = {"video": {}, "cache": {}}
    for seed in known.seeds:
        tuned["video"][seed] = tune(known.output / f"video_{seed}", stage1, seed, None)
        tuned["cache"][seed] = tune(known.output / f"cache_{seed}", stage1, seed, known.output / "features")
    if known.seeds:
        report(tuned)
    ratio = large(known.output / "csn_152", videos(250, FOLDER, default_sources()[:1])[0])
    verdict = "holds" if ratio >= TARGET else "MISSED"
    print(f"steps/s with CSN-152, cache over video: {ratio:.1f}, at least {TARGET:g} wanted: {verdict}")


if __name__ == "__main__":
    main()
