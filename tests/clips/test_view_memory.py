"""The memory of a test with many views follows from `views_per_step`."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
# A process of its own, because peak memory never falls. Not getrusage: its peak is that of the parent if that had more.
PEAKS = """
import numpy as np
import torch

from clips.transforms import Box
from clips.views import VideoViews, ViewBatch, ViewPlan

torch.set_num_threads(1)
SIZE, LENGTH = 96, 16
frames = torch.zeros(64, 128, 170, 3, dtype=torch.uint8)


def peak(views, step):
    rows = np.stack([np.arange(LENGTH) + view % 8 for view in range(views)])
    plan = ViewPlan(rows, np.ones(views), [Box(3, view % 40, SIZE) for view in range(views)], views, np.empty(0))
    video = VideoViews(0, frames, torch.from_numpy(rows), plan, torch.empty(0).long())
    count = sum(len(clips) for clips in ViewBatch([video], views, step).views())
    assert count == views
    lines = open("/proc/self/status").read().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:"))


few = peak(8, 4)
print(few, peak(200, 4), peak(200, 40), SIZE * SIZE * LENGTH * 3 * 4)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux's /proc")
def test_memory_of_views_grows_with_those_of_a_step_not_with_all() -> None:
    done = subprocess.run([sys.executable, "-c", PEAKS], cwd=ROOT, check=True, capture_output=True, text=True)
    few, many, large_steps, view = map(int, done.stdout.split())
    # 200 views are 354 MB of floats; a step of 4 is 7 MB, one of 40 is 71 MB, and two steps may be alive at a time
    assert many - few < 30 * view
    assert large_steps - many > 30 * view
