"""Work on one item after the other in processes of their own, whose death costs one item and no more."""

import multiprocessing as mp
import os
import signal
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from multiprocessing.connection import Connection, wait
from typing import Any, Generic, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


class LostError(Exception):
    """Why there is no result: the process that worked on the item died."""


class LateError(LostError):
    """The process was stopped at the time limit."""


def num_processors() -> int:
    """Processors that this process may use, such as those of its SLURM job."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def work(
    function: Callable[[Item], Result], items: Iterable[Item], *, workers: int, time_limit: float
) -> Iterator[tuple[Item, Result | LostError]]:
    """Apply a function to items, several at once, and yield each as it is finished.

    What was lost is tried once more at the end, since the fault may have been that of the system: late items after a pause
    or a stalled disk, those whose process died one at a time, should memory have lacked.

    Args:
        function: must not raise; it and what it takes and gives can be pickled.
        items: taken one by one, when a process is free.
        workers: number of processes.
        time_limit: seconds for an item, at most 1e8 (as some systems' timers).

    Yields:
        The item, and its result or why there is none.
    """
    late: list[Item] = []
    died: list[Item] = []
    for item, result in _once(function, items, workers, time_limit):
        if isinstance(result, LostError):
            (late if isinstance(result, LateError) else died).append(item)
        else:
            yield item, result
    yield from _once(function, late, workers, time_limit)
    yield from _once(function, died, 1, time_limit)


def _once(
    function: Callable[[Item], Result], items: Iterable[Item], workers: int, time_limit: float
) -> Iterator[tuple[Item, Result | LostError]]:
    waiting = iter(items)
    crew: list[_Worker[Item, Result]] = []
    try:
        while True:
            while len(crew) < workers:
                try:
                    item = next(waiting)
                except StopIteration:
                    break
                crew.append(_Worker(function, time_limit))
                crew[-1].begin(item)
            if not crew:
                return
            ready = wait([worker.connection for worker in crew])
            for worker in [worker for worker in crew if worker.connection in ready]:
                item, result = worker.item, worker.result()
                try:
                    if isinstance(result, LostError):
                        raise StopIteration
                    worker.begin(next(waiting))
                except StopIteration:
                    crew.remove(worker)
                    worker.stop()
                yield item, result
    finally:
        for worker in crew:
            worker.stop()


class _Worker(Generic[Item, Result]):
    """A process, and the item that it works on."""

    item: Item

    def __init__(self, function: Callable[[Item], Result], time_limit: float) -> None:
        self.connection, theirs = mp.Pipe()
        self.time_limit = time_limit
        self.process = mp.Process(target=_serve, args=(theirs, function, time_limit), daemon=True)
        self.process.start()
        theirs.close()  # so that its death ends the connection

    def begin(self, item: Item) -> None:
        self.item = item
        with suppress(OSError):  # it has just died, which `result` will find
            self.connection.send(item)

    def result(self) -> Result | LostError:
        try:
            result: Result = self.connection.recv()
            return result
        except (EOFError, OSError):
            self.process.join()
        code = self.process.exitcode or 0
        if code == -signal.SIGALRM:
            return LateError(f"it took longer than {self.time_limit:g} s")
        how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with status {code}"
        return LostError(f"the process that read it {how}")

    def stop(self) -> None:
        self.process.kill()
        self.process.join()
        self.connection.close()


def _serve(connection: Connection, function: Callable[[Any], Any], time_limit: float) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent stops its workers
    # The system ends a process that is late, also one inside a decoder that never comes back to Python, or without a parent.
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    parent = mp.parent_process()
    assert parent is not None
    # Workers that are forked later hold copies of this connection, so it alone would not tell that the parent is gone.
    while connection in wait([connection, parent.sentinel]):
        try:
            item = connection.recv()
            signal.setitimer(signal.ITIMER_REAL, time_limit)
            result = function(item)
            signal.setitimer(signal.ITIMER_REAL, 0)
            connection.send(result)
        except (EOFError, OSError):
            return
