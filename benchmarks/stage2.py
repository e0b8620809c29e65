"""A speed-invariant step, whose backbone is frozen, against a step that trains everything: time and peak memory.

`python -m benchmarks.stage2` runs the step of both stages in rounds (forward, loss, backward, SGD) on random clips, and
then each once more in a process of its own, whose peak memory it takes: on a GPU that of the allocator, with bfloat16; on
a CPU the largest resident size less that before the network was built. Four minutes on two cores.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import torch

from benchmarks.backbones import NUM_LABELS, read_backbone
from benchmarks.timing import interleaved
from lightning_modules import ActivitySpecific
from networks import SmallResNet3D

ROOT = Path(__file__).resolve().parents[1]
TIME, MEMORY = 0.4, 0.3  # targets
Shape = tuple[int, int, int, int]  # clips, frames, height, width
CPU: dict[str, Shape] = {
    "csn_152_ip": (1, 32, 224, 224),
    "slowfast_50_8x8": (1, 32, 224, 224),
    "demo": (32, 16, 28, 28),
}
CUDA: dict[str, Shape] = {
    "csn_152_ip": (8, 32, 224, 224),
    "slowfast_50_8x8": (8, 32, 224, 224),
    "demo": (32, 16, 28, 28),
}
QUICK: dict[str, Shape] = {"demo": (2, 8, 28, 28)}
STAGES = ("stage 1", "stage 2")


class Ratio(NamedTuple):
    """Stage 2 over stage 1."""

    network: str
    time: float
    memory: float


def stepper(name: str, shape: Sequence[int], stage: str) -> Callable[[], None]:
    """One training step of the activity-specific network as the stage leaves it; `demo` is that of `make demo`."""
    torch.manual_seed(0)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    batch, *size = shape
    if name == "demo":
        module = ActivitySpecific(SmallResNet3D(widths=[12, 24, 48, 96]), 16, num_observations=32, width=64, groups=8)
    else:
        backbone = read_backbone(name)
        groups = next(n for n in (32, 16, 8) if backbone.num_features % n == 0)
        module = ActivitySpecific(backbone, NUM_LABELS, groups=groups)
    module = module.to(device).train()
    if stage == "stage 2":
        module.backbone.freeze()  # type: ignore[operator]
    optimizer = module.optimizer([parameter for parameter in module.parameters() if parameter.requires_grad])
    clips = torch.randn(batch, 3, *size, device=device)
    labels = torch.randint(0, 2, (batch, module.num_labels), device=device)

    def step() -> None:
        optimizer.zero_grad()
        with torch.autocast(device, torch.bfloat16, enabled=device == "cuda"):
            outputs = module.training_logits(clips)
        torch.autograd.backward(torch.stack([module.loss(logits, labels) for logits in outputs]).sum())
        optimizer.step()
        if device == "cuda":
            torch.cuda.synchronize()

    return step


def peak(name: str, shape: Sequence[int], stage: str) -> int:
    """Bytes that two steps need, network and clips included; only true in a process that has done nothing else."""
    stepper("demo", QUICK["demo"], "stage 1")()  # the libraries that a first step loads belong to neither
    before = _resident("VmRSS")
    step = stepper(name, shape, stage)
    for _ in range(2):  # the optimiser's state appears in the first
        step()
    return torch.cuda.max_memory_allocated() if torch.cuda.is_available() else _resident("VmHWM") - before


def _resident(line: str) -> int:
    """Bytes, now (`VmRSS`) or at most (`VmHWM`); `getrusage` would begin with the size of the parent process."""
    status = dict(row.split(":", 1) for row in Path("/proc/self/status").read_text(encoding="utf-8").splitlines())
    return int(status[line].split()[0]) * 1024


def compare(name: str, shape: Shape, rounds: int) -> Ratio:
    """Measure one network; prints a line."""
    memory = {}
    for stage in STAGES:
        words = [sys.executable, "-m", "benchmarks.stage2", "--one", json.dumps([name, shape, stage])]
        done = subprocess.run(words, cwd=ROOT, check=True, capture_output=True, text=True)
        memory[stage] = int(done.stdout.splitlines()[-1])
    times = interleaved({stage: stepper(name, shape, stage) for stage in STAGES}, rounds)
    gpu = torch.cuda.is_available()  # whose work is not on the processor's clock
    seconds = {stage: [run.wall if gpu else run.cpu for run in runs] for stage, runs in times.items()}
    pairs = zip(*(seconds[stage] for stage in STAGES), strict=True)
    ratio = Ratio(name, median(two / one for one, two in pairs), memory[STAGES[1]] / memory[STAGES[0]])
    cells = " | ".join(f"{median(seconds[stage]):.3f}" for stage in STAGES)
    megabytes = " | ".join(f"{memory[stage] / 1e6:.0f}" for stage in STAGES)
    size = "x".join(map(str, shape))
    print(f"| {name} | {size} | {cells} | {ratio.time:.2f} | {megabytes} | {ratio.memory:.2f} |", flush=True)
    return ratio


def main(args: list[str] | None = None) -> list[Ratio]:
    """Print the table, and each target with what was reached."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.stage2", description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--networks", nargs="+", choices=list(CPU), help="some of the networks")
    parser.add_argument("--quick", action="store_true", help="the smallest network and one round, to see that it runs")
    parser.add_argument("--one", type=json.loads, help=argparse.SUPPRESS)
    options = parser.parse_args(args)
    if options.one:
        print(peak(*options.one))
        return []
    shapes: dict[str, Any] = QUICK if options.quick else CUDA if torch.cuda.is_available() else CPU
    clock = "wall, bfloat16, GPU" if torch.cuda.is_available() else f"CPU, float32, {torch.get_num_threads()} threads"
    print(f"seconds ({clock}) and peak MB of a training step, activity-specific head")
    print("| network | clips | s stage 1 | s stage 2 | ratio | MB stage 1 | MB stage 2 | ratio |")
    print("|---|---|---|---|---|---|---|---|")
    found = [
        compare(name, shape, 1 if options.quick else options.rounds)
        for name, shape in shapes.items()
        if not options.networks or name in options.networks
    ]
    for name, time, memory in found:
        for what, value, target in (("time", time, TIME), ("peak memory", memory, MEMORY)):
            verdict = "holds" if value <= target else "MISSED"
            print(f"{name}, {what} of stage 2 over stage 1: {value:.2f}, at most {target:g} wanted: {verdict}")
    return found


if __name__ == "__main__":
    main()
