import pytest

from benchmarks.timing import Seconds, Target, interleaved, judge, ratios, report, table


def test_every_case_runs_once_a_round_in_rotating_order() -> None:
    ran: list[str] = []
    cases = {name: (lambda name=name: ran.append(name)) for name in "abc"}
    times = interleaved(cases, 3, warm_up=False)
    assert "".join(ran) == "abc" + "bca" + "cab"
    assert {name: len(runs) for name, runs in times.items()} == {"a": 3, "b": 3, "c": 3}
    ran.clear()
    assert len(interleaved(cases, 2)["a"]) == 2 and len(ran) == 9  # a warm-up round that is not counted


def test_processor_time_is_counted_and_sleep_is_not() -> None:
    import time

    def work() -> None:
        end = time.process_time() + 0.05
        while time.process_time() < end:
            pass

    times = interleaved({"work": work, "sleep": lambda: time.sleep(0.05)}, 1, warm_up=False)
    assert times["work"][0].cpu >= 0.05 > times["sleep"][0].cpu
    assert times["sleep"][0].wall >= 0.05


def test_ratio_is_the_median_of_the_ratios_of_the_rounds() -> None:
    ours, theirs = [1.0, 2.0, 4.0], [3.0, 2.0, 8.0]  # 3, 1 and 2 times
    times = {"ours": [Seconds(cpu, 9.0) for cpu in ours], "theirs": [Seconds(cpu, 1.0) for cpu in theirs]}
    assert ratios(times, "ours") == {"ours": 1.0, "theirs": 2.0}
    shown = table("title", times, "ours", {"absent": "not installed (x)"})
    assert "| theirs | 3.000 | 1.000 | 2.00 |" in shown and "| absent | not installed (x) | | |" in shown


def test_fastest_case_of_a_target_decides() -> None:
    targets = [Target("fast", ["a", "b"], 1.5), Target("far", ["b"], 3.0), Target("missing", ["c"], 2.0)]
    results = judge({"ours": 1.0, "a": 1.5, "b": 2.0}, targets)
    assert [(result.reached, result.holds) for result in results] == [(1.5, True), (2.0, False), (None, None)]
    lines = report(results).splitlines()
    assert lines[0].endswith("holds") and lines[1].endswith("MISSED") and "not measured" in lines[2]


def test_nothing_to_time_is_an_error() -> None:
    with pytest.raises(ValueError, match="0 cases and 1 rounds"):
        interleaved({}, 1)
