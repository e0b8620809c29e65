"""Cost of every backbone with a head, against the published figures, and its speed beside torchvision's.

python -m benchmarks.backbones                    parameters and multiply-accumulates; computes nothing, needs no memory
python -m benchmarks.backbones --speed            clips per second and peak memory as well, GPU if there is one
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
import yaml
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

import networks
from networks import ActivitySpecificHead, AveragePoolingHead, Backbone

ROOT = Path(__file__).resolve().parents[1]
CONFIGS = ROOT / "configs" / "backbones"
NUM_LABELS = 157  # Charades


@dataclass(frozen=True)
class Row:
    """A published figure and the clip that it is for.

    Attributes:
        config: Of `configs/backbones`.
        clip: Frames, height, width.
        source: Where the figure is printed.
        params: Millions of parameters, with the classifier for `labels` labels; None where not printed.
        gflops: Billions of multiply-accumulates for one clip; None where not printed.
        labels: Labels of the printed classifier.
        changes: Arguments of the network that differ from those of the config.
    """

    config: str
    clip: tuple[int, int, int]
    source: str
    params: float | None
    gflops: float | None
    labels: int = 400
    changes: dict[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The config, and what is changed."""
        return ", ".join([self.config, *(f"{key} {value}" for key, value in self.changes.items())])


ROWS = (
    Row("i3d_nln_101", (128, 256, 256), "2009.07420 table 4", 54.3, 359.0, changes={"geometry": "mmaction2"}),
    Row("i3d_nln_101", (8, 256, 256), "-", None, None),
    Row("slowfast_101_16x8", (64, 256, 256), "2009.07420 table 4", 59.9, 234.0, changes={"non_local": [6, 13, 20]}),
    Row("csn_152_ip", (32, 256, 256), "2009.07420 table 4", 32.8, 109.0),
    Row("x3d_xl", (16, 356, 356), "2009.07420 table 4", 11.0, 48.4),
    Row("csn_152_ip", (32, 256, 256), "1904.02811", 32.8, 108.8),
    Row("csn_152_ir", (32, 256, 256), "1904.02811", 29.6, 96.7),
    Row("csn_152_ip", (32, 224, 224), "-", None, None),
    Row("csn_101_pytorchvideo", (32, 256, 256), "pytorchvideo", 22.21, 75.62),
    Row("i3d_nln_50", (8, 256, 256), "-", None, None),
    Row("i3d_nln_50", (8, 256, 256), "pytorchvideo", 28.04, 37.53, changes={"non_local": False}),
    Row("i3d_nln_50_mmaction2", (32, 224, 224), "-", None, None),
    Row("slow_50", (8, 256, 256), "pytorchvideo", 32.45, 54.52),
    Row("c2d_50", (8, 256, 256), "pytorchvideo", 24.33, 25.89),
    Row("slowfast_50_8x8", (32, 256, 256), "pytorchvideo", 34.57, 65.71),
    Row("slowfast_50_8x8", (32, 256, 256), "1812.03982", None, 65.7),
    Row("slowfast_50_4x16", (32, 256, 256), "pytorchvideo", 34.48, 36.69),
    Row("slowfast_50_4x16", (32, 256, 256), "1812.03982", None, 36.1),
    Row("slowfast_50_8x8_mmaction2", (32, 256, 256), "-", None, None),
    Row("slowfast_101_8x8", (32, 256, 256), "pytorchvideo", 62.83, 127.20),
    Row("slowfast_101_8x8", (32, 256, 256), "1812.03982", None, 106.0, changes={"temporal_blocks": 6}),
    Row("slowfast_101_16x8", (64, 256, 256), "pytorchvideo", 53.77, 215.61),
    Row("slowfast_101_16x8", (64, 256, 256), "1812.03982", None, 213.0),
    Row("slowfast_101_ava", (32, 224, 224), "-", None, None),
    Row("x3d_s", (13, 160, 160), "2004.04730", 3.76, 1.96),
    Row("x3d_m", (16, 224, 224), "2004.04730", 3.76, 4.73),
    Row("x3d_m", (16, 256, 256), "pytorchvideo", 3.79, 6.72, changes={"shortcut_norm": False}),
    Row("x3d_l", (16, 312, 312), "2004.04730", 6.08, 18.37),
    Row("x3d_xl", (16, 312, 312), "2004.04730", 11.0, 35.84),
    Row("c3d", (16, 112, 112), "VMZ", None, 38.5),
    Row("r2plus1d_34", (32, 128, 128), "VMZ", 63.6, 199.0),
    Row("r2plus1d_34", (32, 112, 112), "1711.11248", 63.5, 152.4),
    Row("r2plus1d_152", (32, 128, 128), "VMZ", 118.0, 329.1),
    Row("timm_resnet50", (1, 224, 224), "torchvision resnet50", 25.56, 4.089, 1000),
    Row("torchvision_r2plus1d_18", (16, 112, 112), "torchvision", 31.51, 40.519),
    Row("torchvision_s3d", (16, 224, 224), "torchvision", 8.32, 17.979),
    Row("torchvision_swin3d_t", (16, 224, 224), "torchvision", 28.16, 43.882),
    Row("torchvision_mvit_v2_s", (16, 224, 224), "torchvision", 34.54, 64.224),
)
# R(2+1)D of 18 layers is torchvision's but for the widths of a few middle layers: the two should be equally fast
SPEED: list[tuple[str, dict[str, Any]]] = [
    ("r2plus1d_34", {"depth": 18}),
    ("torchvision_r2plus1d_18", {}),
    ("torchvision_s3d", {}),
    ("csn_152_ip", {}),
    ("csn_152_ir", {}),
    ("i3d_nln_50", {}),
    ("slow_50", {}),
    ("slowfast_50_8x8", {}),
    ("x3d_m", {}),
    ("c3d", {}),
]
SPEED_CLIP = {"cpu": (1, 16, 112, 112), "cuda": (8, 32, 224, 224)}  # clips, frames, height, width
SMALL_CLIP = (1, 8, 32, 32)


class Network(nn.Module):
    """A backbone under a head."""

    def __init__(self, backbone: Backbone, head: nn.Module) -> None:
        super().__init__()
        self.backbone, self.head = backbone, head

    def forward(self, clips: Tensor) -> Any:
        """Clips (B, 3, T, H, W) to the outputs of the head."""
        return self.head(self.backbone(clips))


def read_backbone(config: str, **changes: Any) -> Backbone:
    """The network of a config, without weights."""
    chosen = yaml.safe_load((CONFIGS / f"{config}.yaml").read_text(encoding="utf-8"))
    backbone: Backbone = getattr(networks, chosen["class_path"])(**chosen["init_args"] | changes)
    return backbone


def build(config: str, head: str, num_labels: int = NUM_LABELS, **changes: Any) -> Network:
    """The network of a config under a head: `average` pooling or `specific` to activities."""
    backbone = read_backbone(config, **changes)
    width = backbone.num_features
    if head == "average":
        return Network(backbone, AveragePoolingHead(width, num_labels))
    groups = next(n for n in (32, 16, 8, 4, 2, 1) if width % n == 0)
    return Network(backbone, ActivitySpecificHead(width, num_labels, groups=groups))


def cost(network: nn.Module, clip: tuple[int, int, int]) -> tuple[int, int]:
    """Parameters, and multiply-accumulates of products and convolutions for one clip; nothing is computed."""
    shadow = network.to("meta").eval()
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        shadow(torch.empty(1, 3, *clip, device="meta"))
    return sum(parameter.numel() for parameter in shadow.parameters()), counter.get_total_flops() // 2


def table(rows: tuple[Row, ...] = ROWS) -> list[dict[str, Any]]:
    """Costs of each row, ours and printed; prints a line of Markdown for each."""
    print("| config | clip | params M | GFLOPs | printed | deviation | + head M | + head G | source |")
    print("|---|---|---|---|---|---|---|---|---|")
    found = []
    for row in rows:
        with torch.device("meta"):
            plain = build(row.config, "average", row.labels, **row.changes)
            specific = build(row.config, "specific", **row.changes)
        params, macs = cost(plain, row.clip)
        with_head, macs_with_head = cost(specific, row.clip)
        classifier = sum(parameter.numel() for parameter in plain.head.parameters())
        line: dict[str, Any] = {
            "config": row.config,
            "params": params / 1e6,
            "gflops": macs / 1e9,
            "head_params": (with_head - params + classifier) / 1e6,
            "head_gflops": (macs_with_head - macs) / 1e9,
            "printed": (row.params, row.gflops),
        }
        printed = " / ".join("-" if value is None else f"{value:g}" for value in line["printed"])
        pairs = zip((line["params"], line["gflops"]), line["printed"], strict=True)
        apart = " / ".join("-" if value is None else f"{ours / value - 1:+.1%}" for ours, value in pairs)
        clip = "x".join(map(str, row.clip))
        print(
            f"| {row.name} | {clip} | {line['params']:.2f} | {line['gflops']:.2f} | {printed} | {apart} "
            f"| {line['head_params']:.2f} | {line['head_gflops']:.3f} | {row.source} |",
            flush=True,
        )
        found.append(line)
    return found


def speed(config: str, changes: dict[str, Any], mode: str, shape: tuple[int, ...]) -> dict[str, float]:
    """Clips per second of evaluation and of a training step, and peak memory in GB (1e9 bytes).

    Args:
        config: Of `configs/backbones`.
        changes: Arguments of the network that differ from those of the config.
        mode: `eager`, `channels_last_3d`, `bf16` (with channels_last_3d) or `compile` (with both).
        shape: Clips, frames, height, width.
    """
    device = "cuda" if torch.cuda.is_available() else "cpu"
    batch, *clip = shape
    network: Any = build(config, "specific", **changes).to(device)
    clips = torch.randn(batch, 3, *clip, device=device)
    if mode != "eager":
        network = network.to(memory_format=torch.channels_last_3d)
        clips = clips.contiguous(memory_format=torch.channels_last_3d)
    if mode == "compile":
        network = torch.compile(network)
    autocast = torch.autocast(device, torch.bfloat16, enabled=mode in ("bf16", "compile"))

    def evaluate() -> None:
        with torch.no_grad(), autocast:
            network(clips)

    def train() -> None:
        with autocast:
            loss = sum(logits.float().square().mean() for logits in network(clips))
        loss.backward()
        network.zero_grad()

    network.eval()
    result = {"evaluate": batch / _seconds(evaluate)}
    network.train()
    result["train"] = batch / _seconds(train)
    memory = torch.cuda.max_memory_allocated() if device == "cuda" else _resident()
    return result | {"peak_gb": memory / 1e9}


def _seconds(work: Callable[[], None], repeats: int = 2) -> float:
    """Shortest of a few calls after one that is not counted."""
    times = []
    for _ in range(repeats + 1):
        start = time.perf_counter()
        work()
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        times.append(time.perf_counter() - start)
    return min(times[1:])


def _resident() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024  # kilobytes on Linux


def speeds(small: bool) -> list[dict[str, Any]]:
    """Measure each network and mode in a fresh process, one after the other; prints a line for each."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    shape = SMALL_CLIP if small else SPEED_CLIP[device]
    modes = ["eager", "channels_last_3d", "bf16", "compile"] if device == "cuda" and not small else ["eager"]
    chosen = SPEED[:2] if small else SPEED
    threads = f", {torch.get_num_threads()} threads" if device == "cpu" else ""
    print(f"{device}{threads}, {shape[0]} x {shape[1]} x {shape[2]} x {shape[3]}, clips per second")
    print("| config | mode | evaluate | train | peak GB |\n|---|---|---|---|---|")
    found = []
    for name, changes in chosen:
        title = ", ".join([name, *(f"{key} {value}" for key, value in changes.items())])
        for mode in modes:
            words = [
                sys.executable,
                "-m",
                "benchmarks.backbones",
                "--one",
                json.dumps([name, changes, mode, list(shape)]),
            ]
            done = subprocess.run(words, cwd=ROOT, env=os.environ, check=True, capture_output=True, text=True)
            line = json.loads(done.stdout.splitlines()[-1])
            print(
                f"| {title} | {mode} | {line['evaluate']:.2f} | {line['train']:.2f} | {line['peak_gb']:.2f} |",
                flush=True,
            )
            found.append({"config": title, "mode": mode} | line)
    return found


def main(args: list[str] | None = None) -> dict[str, list[dict[str, Any]]]:
    """Print the tables."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.backbones", description=__doc__)
    parser.add_argument("--speed", action="store_true", help="measure clips per second and memory as well")
    parser.add_argument("--small", action="store_true", help="few networks and tiny clips, to see that it runs")
    parser.add_argument("--one", type=json.loads, help=argparse.SUPPRESS)
    options = parser.parse_args(args)
    if options.one:
        print(json.dumps(speed(*options.one)))
        return {}
    result = {"cost": table(tuple(row for row in ROWS if row.config in ("x3d_s", "c3d")) if options.small else ROWS)}
    if options.speed:
        result["speed"] = speeds(options.small)
    return result


if __name__ == "__main__":
    main()
