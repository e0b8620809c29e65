"""Work in processes: each item once, what is lost once more, and no process left behind."""

import multiprocessing
import os
import signal
import time
from pathlib import Path

import pytest

from datamodules.processes import LateError, LostError, num_processors, work
from tests.system_faults import wait_for_end


def test_each_item_is_worked_on_once_in_bounded_processes() -> None:
    done = list(work(lambda number: (number**2, os.getpid()), range(200), workers=3, time_limit=60))
    assert sorted(item for item, _ in done) == list(range(200))
    pids = set()
    for item, result in done:
        assert not isinstance(result, LostError) and result[0] == item**2
        pids.add(result[1])
    assert 1 <= len(pids) <= 3 and os.getpid() not in pids
    assert not multiprocessing.active_children()


def test_worker_processes_end_when_the_caller_stops_early() -> None:
    for _ in work(lambda item: item, range(200), workers=2, time_limit=60):
        break
    assert not multiprocessing.active_children()


@pytest.mark.parametrize("end, processes", [(signal.SIGKILL, 1), (signal.SIGALRM, 2)])  # out of memory; after a pause
def test_lost_items_are_tried_once_more_at_the_end(tmp_path: Path, end: signal.Signals, processes: int) -> None:
    def fall_once(item: int) -> int:
        with (tmp_path / f"{item}").open("a") as tries:
            tries.write("x")
        if item < 2 and (tmp_path / f"{item}").read_text() == "x":
            os.kill(os.getpid(), end)
        return os.getpid()

    done = dict(work(fall_once, range(6), workers=2, time_limit=60))
    assert sorted(done) == [*range(6)] and not any(isinstance(result, LostError) for result in done.values())
    assert {*list(done)[-2:]} == {0, 1} and len({done[0], done[1]}) == processes
    assert [(tmp_path / f"{item}").read_text() for item in range(6)] == ["xx", "xx", "x", "x", "x", "x"]


def test_item_that_is_late_twice_is_lost() -> None:
    ((item, result),) = work(lambda item: time.sleep(600), [7], workers=1, time_limit=0.1)
    assert item == 7 and isinstance(result, LateError) and str(result) == "it took longer than 0.1 s"
    assert not multiprocessing.active_children()


def test_process_that_hangs_ends_without_its_parent(tmp_path: Path) -> None:
    def hang(item: int) -> None:
        (tmp_path / f"{os.getpid()}").touch()
        os.kill(os.getppid(), signal.SIGKILL)
        time.sleep(600)

    def parent() -> None:
        list(work(hang, [0], workers=1, time_limit=0.5))

    process = multiprocessing.get_context("fork").Process(target=parent)
    process.start()
    process.join()
    pids = [int(path.name) for path in tmp_path.iterdir()]
    assert pids
    wait_for_end(*pids)


def test_processors_are_those_that_the_process_may_use(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 128)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {*range(9)}, raising=False)
    assert num_processors() == 9
    monkeypatch.delattr(os, "sched_getaffinity")
    assert num_processors() == 128
