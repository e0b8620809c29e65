"""The activity-specific head against the ways to compute its equations that come first to mind, and against a backbone.

python -m benchmarks.head             ratios to a grouped convolution and to a loop; about two minutes on two cores
python -m benchmarks.head --step      the share that the head adds to a training step of CSN-152 as well; a few minutes more

Every way computes equations 2 to 7 of arXiv:2009.07420 from the same weights; values and gradients are compared first.
"""

import argparse
from collections.abc import Callable, Sequence
from statistics import median
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.backbones import NUM_LABELS, build
from benchmarks.timing import interleaved, ratios, table
from networks import ActivitySpecificHead
from networks.observations import Observations

Way = Callable[[Observations, Tensor], Tensor]
Size = tuple[int, int, int, int]  # channels, observations, groups, width of an observation
PUBLISHED: Size = (2048, 64, 32, 128)
GRID = (4, 14, 14)  # N = 784 positions
CLIP = (32, 224, 224)
FASTER, SHARE = 10.0, 0.03  # targets


def ours(maps: Observations, features: Tensor) -> Tensor:
    """The module as it is."""
    observations: Tensor = maps(features)[0]
    return observations


def grouped(maps: Observations, features: Tensor) -> Tensor:
    """Three grouped convolutions form α, β and γ of all observations at every position, then einsum."""
    flat = features.flatten(2)
    values, queries, keys = (_convolved(flat, weight) for weight in (maps.alpha, maps.beta, maps.gamma))
    scores = torch.einsum("bkd,bkdn->bkn", queries[..., -1], keys)
    return torch.einsum("bkn,bkdn->bkd", scores.softmax(-1), values)


def _convolved(flat: Tensor, weight: Tensor) -> Tensor:
    """(B, C, N) through (n, K, D/n, C/n): (B, K, D, N)."""
    groups, count, width, _ = weight.shape
    mapped = F.conv1d(flat, weight.flatten(0, 2)[..., None], groups=groups)
    return torch.unflatten(mapped, 1, (groups, count, width)).transpose(1, 2).flatten(2, 3)


def looped(maps: Observations, features: Tensor) -> Tensor:
    """One observation after the other, each map at every position, as the equations are printed."""
    flat, rows = features.flatten(2), []
    for k in range(maps.num_observations):
        values, queries, keys = (
            F.conv1d(flat, weight[:, k].flatten(0, 1)[..., None], groups=maps.groups)
            for weight in (maps.alpha, maps.beta, maps.gamma)
        )
        scores = torch.einsum("bd,bdn->bn", queries[..., -1], keys)
        rows.append(torch.einsum("bn,bdn->bd", scores.softmax(-1), values))
    return torch.stack(rows, 1)


WAYS: dict[str, Way] = {"ours": ours, "grouped convolution + einsum": grouped, "loop over observations": looped}


def pass_through(maps: Observations, features: Tensor, way: Way) -> tuple[Tensor, ...]:
    """Observations, and gradients of their mean square to features and weights."""
    observations = way(maps, features)
    found: tuple[Tensor, ...] = torch.autograd.grad(observations.square().mean(), [features, *maps.parameters()])
    return observations.detach(), *found


def apart(maps: Observations, features: Tensor) -> float:
    """Largest difference of the other ways from ours in any value or gradient, as a share of its largest entry."""
    first = pass_through(maps, features, ours)
    return max(
        float((mine - theirs).abs().max() / mine.abs().max())
        for way in (grouped, looped)
        for mine, theirs in zip(first, pass_through(maps, features, way), strict=True)
    )


def observations(size: Size, grid: Sequence[int], batch: int, rounds: int) -> dict[str, float]:
    """Time of each way over that of ours; prints a table."""
    torch.manual_seed(0)
    channels, count, groups, width = size
    exact = Observations(64, 4, 16, 8).double()
    small = torch.randn(batch, 64, 2, 3, 3, dtype=torch.float64, requires_grad=True)
    maps = Observations(channels, count, width, groups)
    features = torch.randn(batch, channels, *grid, requires_grad=True)
    print(
        f"largest difference in values and gradients: {apart(exact, small):.1e} in float64 (small), ",
        end="",
        flush=True,
    )
    print(f"{apart(maps, features):.1e} in float32")
    cases: dict[str, Any] = {name: (lambda way=way: pass_through(maps, features, way)) for name, way in WAYS.items()}
    times = interleaved(cases, rounds)
    what = f"K={count}, n={groups}, C={channels}, D={width}, N={features[0, 0].numel()}, B={batch}, float32"
    print(table(f"observations, forward and backward, {what}", times, "ours", {}))
    return ratios(times, "ours")


def share(config: str, clip: tuple[int, int, int], batch: int, rounds: int) -> dict[str, float]:
    """What the whole head adds to a training step of a backbone, in time and in multiply-accumulates."""
    torch.manual_seed(0)
    network = build(config, "specific").train()
    head = network.head
    assert isinstance(head, ActivitySpecificHead)
    clips = torch.randn(batch, 3, *clip)
    with torch.no_grad():
        features = network.backbone(clips)
    features.requires_grad_()

    def step(part: Callable[[Tensor], Any], given: Tensor) -> None:
        logits = part(given)
        sum(one.square().mean() for one in (logits if isinstance(logits, tuple) else (logits,))).backward()
        network.zero_grad()

    times = interleaved(
        {"backbone": lambda: step(network.backbone, clips), "head": lambda: step(head, features)}, rounds
    )
    seconds = {name: median(run.cpu for run in runs) for name, runs in times.items()}
    giga = {}
    for name, part, given in (("backbone", network.backbone, clips), ("head", head, features)):
        with torch.no_grad(), FlopCounterMode(display=False) as counter:
            part.to("meta")(given.detach().to("meta"))
        giga[name] = counter.get_total_flops() / 2e9 / batch
    size = "x".join(map(str, (batch, *clip)))
    print(f"\n{config}, {size}, features {tuple(features.shape[1:])}, {NUM_LABELS} labels")
    print("| part | CPU s a step | GMACs a clip, forward |\n|---|---|---|")
    for name in seconds:
        print(f"| {name} | {seconds[name]:.3f} | {giga[name]:.3f} |")
    return {"time": seconds["head"] / seconds["backbone"], "macs": giga["head"] / giga["backbone"]}


def main(args: list[str] | None = None) -> dict[str, float]:
    """Print the tables, and each target with what was reached."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.head", description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--batch", type=int, default=2, help="clips of the observations")
    parser.add_argument("--step", action="store_true", help="compare the head with a step of CSN-152 as well")
    parser.add_argument("--quick", action="store_true", help="tiny sizes and one round, to see that it runs")
    options = parser.parse_args(args)
    print(f"{torch.get_num_threads()} threads, torch {torch.__version__}")
    if options.quick:
        relative = observations((64, 4, 8, 16), (2, 3, 3), 2, 1)
        added = share("csn_152_ip", (8, 64, 64), 1, 1) if options.step else {}
    else:
        relative = observations(PUBLISHED, GRID, options.batch, options.rounds)
        added = share("csn_152_ip", CLIP, 1, min(options.rounds, 3)) if options.step else {}
    reached = min(value for name, value in relative.items() if name != "ours")
    print(f"\nfaster than the other ways: {reached:.1f}, at least {FASTER:g} wanted: {_verdict(reached >= FASTER)}")
    for name, value in added.items():
        print(f"head over backbone, {name}: {value:.2%}, at most {SHARE:.0%} wanted: {_verdict(value <= SHARE)}")
    return {"faster": reached, **added}


def _verdict(holds: bool) -> str:
    return "holds" if holds else "MISSED"


if __name__ == "__main__":
    main()
