"""Time and memory of the metrics over time steps: `python -m benchmarks.metrics`, or with `--small` in seconds.

Each measurement runs in a process of its own, on one thread, so that its peak memory is that of one task. Speed is
printed as a ratio to scikit-learn where it has the same measure; seconds and memory are those of this machine.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from metrics.action_conditional import action_conditional
from metrics.average_precision import average_precision
from metrics.frame_map import FrameMeanAveragePrecision

ROOT = Path(__file__).resolve().parents[1]
STEPS_OF_VIDEO = 2500

Sizes = dict[str, int]
# the targets: frame mAP in 60 s and 4 GB, the action-conditional table in 10 s
FULL: dict[str, Sizes] = {
    "frame_map": {"num_labels": 157, "steps": 5_000_000},
    "action_conditional": {"num_labels": 65, "steps": 46_000},
    "average_precision": {"num_labels": 157, "steps": 46_000},
}
SMALL: dict[str, Sizes] = {name: {"num_labels": 11, "steps": 6_000} for name in FULL}


def frame_map(num_labels: int, steps: int) -> dict[str, float]:
    """Update and compute f-mAP; making the scores is not counted."""
    generator = torch.Generator().manual_seed(0)
    metric = FrameMeanAveragePrecision(num_labels)
    seconds = 0.0
    for index, first in enumerate(range(0, steps, STEPS_OF_VIDEO)):
        preds = torch.rand(min(STEPS_OF_VIDEO, steps - first), num_labels, generator=generator)
        labels = torch.rand(preds.shape, generator=generator) < 0.02
        start = time.perf_counter()
        metric.update(index, preds, labels)
        seconds += time.perf_counter() - start
    start = time.perf_counter()
    value = float(metric.compute())
    return {"update_s": seconds, "compute_s": time.perf_counter() - start, "map": value}


def steps_of(num_labels: int, steps: int) -> tuple[np.ndarray, np.ndarray]:
    """Scores (T, K) float32 and truth (T, K), each label at one step in twenty: every pair of labels occurs."""
    random = np.random.default_rng(0)
    return random.random((steps, num_labels), dtype=np.float32), random.random((steps, num_labels)) < 0.05


def action_conditional_table(num_labels: int, steps: int) -> dict[str, float]:
    """Precision, recall, F1 and AP of all pairs, at tau 0 and 20."""
    preds, labels = steps_of(num_labels, steps)
    videos = [slice(first, first + 200) for first in range(0, steps, 200)]
    result = {}
    for tau in (0, 20):
        start = time.perf_counter()
        tables = action_conditional([preds[part] for part in videos], [labels[part] for part in videos], tau)
        result[f"tau_{tau}_s"] = time.perf_counter() - start
        result[f"tau_{tau}_pairs"] = float((~np.isnan(tables.recall)).sum())
    return result


def average_precision_ratio(num_labels: int, steps: int) -> dict[str, float]:
    """Time of scikit-learn over ours, on the same scores."""
    from sklearn.metrics import average_precision_score

    preds, labels = steps_of(num_labels, steps)
    labels[0] = True
    ours, theirs = torch.from_numpy(preds), torch.from_numpy(labels)
    fast = best(lambda: average_precision(ours, theirs))
    slow = best(lambda: [average_precision_score(*column) for column in zip(labels.T, preds.T, strict=True)])
    return {"ours_s": fast, "scikit_learn_s": slow, "ratio": slow / fast}


def best(work: Callable[[], object], repeats: int = 3) -> float:
    """Shortest of a few runs, seconds."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return min(times)


TASKS: dict[str, Callable[..., dict[str, float]]] = {
    "frame_map": frame_map,
    "action_conditional": action_conditional_table,
    "average_precision": average_precision_ratio,
}


def measure(name: str, sizes: Sizes) -> dict[str, float]:
    """Run one task in a fresh process on one thread; its figures and its peak memory in GB (1e9 bytes)."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.metrics", "--task", name, "--sizes", json.dumps(sizes)],
        cwd=ROOT,
        env=os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"},
        check=True,
        capture_output=True,
        text=True,
    )
    result: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return result


def main(args: list[str] | None = None) -> dict[str, dict[str, float]]:
    """Measure everything and print a line for each task."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.metrics", description=__doc__)
    parser.add_argument("--small", action="store_true", help="tiny sizes, to see that it runs")
    parser.add_argument("--task", choices=TASKS, help=argparse.SUPPRESS)
    parser.add_argument("--sizes", type=json.loads, help=argparse.SUPPRESS)
    options = parser.parse_args(args)
    if options.task:
        result = TASKS[options.task](**options.sizes)
        # kilobytes on Linux
        result["peak_gb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9
        print(json.dumps(result))
        return {options.task: result}
    results = {}
    for name, sizes in (SMALL if options.small else FULL).items():
        results[name] = measure(name, sizes)
        figures = ", ".join(f"{key} {value:.3g}" for key, value in results[name].items())
        print(f"{name} ({sizes['num_labels']} labels, {sizes['steps']:,} steps): {figures}", flush=True)
    return results


if __name__ == "__main__":
    main()
