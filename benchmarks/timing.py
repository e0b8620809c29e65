"""Fair timing of several ways to do one thing: side by side, in rounds, as ratios of processor time.

On a shared machine seconds say little. So every round runs all cases one after the other, the next round in another order,
and a case is judged by the median over the rounds of its processor time divided by ours of the same round.
"""

import resource
import time
from collections.abc import Callable, Mapping, Sequence
from statistics import median
from typing import NamedTuple

Case = Callable[[], object]


class Seconds(NamedTuple):
    """What one run took: processor time of this process and its finished children, and time on the wall."""

    cpu: float
    wall: float


class Target(NamedTuple):
    """How many times our processor time the fastest of some cases must take; `None` for those that are not installed."""

    what: str
    cases: Sequence[str]
    at_least: float


class Result(NamedTuple):
    """A target, what was reached (`None` if no case of it ran) and whether that is enough."""

    what: str
    reached: float | None
    at_least: float
    holds: bool | None


def now() -> Seconds:
    """Processor and wall clock; children count once they have been waited for."""
    own, children = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime
    return Seconds(cpu, time.perf_counter())


def timed(case: Case) -> Seconds:
    """Run once."""
    before = now()
    case()
    after = now()
    return Seconds(after.cpu - before.cpu, after.wall - before.wall)


def interleaved(cases: Mapping[str, Case], rounds: int, *, warm_up: bool = True) -> dict[str, list[Seconds]]:
    """Run every case once in each round, in rotating order.

    Args:
        cases: what to run, by name.
        rounds: how often.
        warm_up: run one more round before that is not counted.

    Returns:
        `rounds` timings of each case.

    Raises:
        ValueError: if there is no case or no round.
    """
    if not cases or rounds < 1:
        raise ValueError(f"expected at least one case and one round, got {len(cases)} cases and {rounds} rounds")
    names, times = list(cases), {name: list[Seconds]() for name in cases}
    for number in range(-int(warm_up), rounds):
        first = number % len(names)
        for name in names[first:] + names[:first]:
            seconds = timed(cases[name])
            if number >= 0:
                times[name].append(seconds)
    return times


def ratios(times: Mapping[str, Sequence[Seconds]], base: str) -> dict[str, float]:
    """Median over the rounds of each case's processor time over that of `base` in the same round."""
    return {
        name: median(run.cpu / max(ours.cpu, 1e-9) for run, ours in zip(runs, times[base], strict=True))
        for name, runs in times.items()
    }


def table(title: str, times: Mapping[str, Sequence[Seconds]], base: str, absent: Mapping[str, str]) -> str:
    """A Markdown table of median seconds and of ratios to `base`; cases that could not run stand below with the reason."""
    relative = ratios(times, base)
    lines = [f"\n{title}", "| case | CPU s | wall s | CPU / ours |", "|---|---|---|---|"]
    for name, runs in times.items():
        cpu, wall = median(run.cpu for run in runs), median(run.wall for run in runs)
        lines.append(f"| {name} | {cpu:.3f} | {wall:.3f} | {relative[name]:.2f} |")
    return "\n".join(lines + [f"| {name} | {reason} | | |" for name, reason in absent.items()])


def judge(relative: Mapping[str, float], targets: Sequence[Target]) -> list[Result]:
    """Compare the fastest case of each target with what it must reach."""
    results = []
    for what, cases, at_least in targets:
        reached = min((relative[case] for case in cases if case in relative), default=None)
        results.append(Result(what, reached, at_least, None if reached is None else reached >= at_least))
    return results


def report(results: Sequence[Result]) -> str:
    """One line for each target."""
    lines = []
    for what, reached, at_least, holds in results:
        if reached is None:
            lines.append(f"{what}: not measured here, at least {at_least:.2f} wanted")
        else:
            verdict = "holds" if holds else "MISSED"
            lines.append(f"{what}: {reached:.2f}, at least {at_least:.2f} wanted: {verdict}")
    return "\n".join(lines)
