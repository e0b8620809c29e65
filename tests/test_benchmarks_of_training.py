"""The benchmarks of the head, of stage 2 and of long runs: that they run, and that they compare equal work."""

import subprocess
import sys

import pytest
import torch

from benchmarks import head, memory, stage2
from networks.observations import Observations
from tests.conftest import ROOT


def test_ways_of_the_head_benchmark_agree() -> None:
    maps = Observations(16, 3, 8, 4).double()
    features = torch.randn(2, 16, 2, 3, 3, dtype=torch.float64, requires_grad=True)
    assert head.apart(maps, features) < 1e-12
    with torch.no_grad():
        maps.alpha[0, 0, 0, 0] += 1e-3
    changed = head.grouped(maps, features)
    with torch.no_grad():
        maps.alpha[0, 0, 0, 0] -= 1e-3
    assert not torch.allclose(changed, head.ours(maps, features), atol=1e-8)


def test_step_of_stage_2_leaves_the_backbone_alone() -> None:
    for stage, moves in (("stage 1", True), ("stage 2", False)):
        step = stage2.stepper("demo", (2, 4, 28, 28), stage)
        module = step.__closure__ and next(
            c.cell_contents for c in step.__closure__ if hasattr(c.cell_contents, "head")
        )
        assert isinstance(module, torch.nn.Module)
        before = {name: value.clone() for name, value in module.state_dict().items()}
        step()
        moved = {
            name.split(".")[0] for name, value in module.state_dict().items() if not torch.equal(before[name], value)
        }
        assert "head" in moved and ("backbone" in moved) == moves


def test_growth_of_a_process_is_seen(capsys: pytest.CaptureFixture[str]) -> None:
    def looks(**last: float) -> list[dict[str, memory.Look]]:
        still = memory.Look(100e6, 80e6, 60e6, 9)
        return [{"parent": still, "train worker 0": still}] * 6 + [
            {"parent": still, "train worker 0": still._replace(**last)}
        ] * 3

    assert memory.flat(looks()) and memory.flat(looks(anonymous=61e6))
    assert "| parent | 100 100 100 | 80 80 80 | 60 60 60 | 9 9 9 | flat |" in capsys.readouterr().out
    assert not memory.flat(looks(anonymous=90e6)) and not memory.flat(looks(files=10))
    assert "| train worker 0 | 100 100 100 | 80 80 80 | 60 60 60 | 9 9 10 | GROWS |" in capsys.readouterr().out


@pytest.mark.slow
def test_benchmarks_run(capsys: pytest.CaptureFixture[str]) -> None:
    assert set(head.main(["--quick", "--step"])) == {"faster", "time", "macs"}
    (ratio,) = stage2.main(["--quick"])
    assert 0 < ratio.time < 2 and 0 < ratio.memory < 2
    shown = capsys.readouterr().out
    for what in ("head over backbone, time: ", "demo, peak memory of stage 2 over stage 1: "):
        assert what in shown


@pytest.mark.slow
def test_memory_benchmark_runs() -> None:
    words = [sys.executable, "-m", "benchmarks.memory", "--quick", "--minutes=0.1"]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    for what in ("| parent | ", "| test worker 1 | ", "memory and open files of every process: "):
        assert what in done.stdout
