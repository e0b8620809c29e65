"""Work on one item after the other in processes of their own, whose death costs one item and no more."""

import multiprocessing as mp
import signal
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from multiprocessing.connection import Connection, wait
from typing import Any, Generic, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


class LostError(Exception):
    """Why there is no result: the process that worked on the item died, or was stopped at the time limit."""


def work(
    function: Callable[[Item], Result], items: Iterable[Item], *, workers: int, time_limit: float
) -> Iterator[tuple[Item, Result | LostError]]:
    """Apply a function to items, several at once, and yield each as it is finished.

    Args:
        function: must not raise; it and what it takes and gives can be pickled.
        items: taken one by one, when a process is free.
        workers: number of processes.
        time_limit: seconds for an item.

    Yields:
        The item, and its result or why there is none.
    """
    waiting = iter(items)
    crew: list[_Worker[Item, Result]] = []
    try:
        while True:
            while len(crew) < workers:
                try:
                    item = next(waiting)
                except StopIteration:
                    break
                crew.append(_Worker(function))
                crew[-1].begin(item, time_limit)
            if not crew:
                return
            rest = min(worker.deadline for worker in crew) - time.monotonic()
            ready = wait([worker.connection for worker in crew], max(0.0, rest))
            for worker in list(crew):
                if worker.connection in ready:
                    result = worker.result()
                elif worker.deadline <= time.monotonic():
                    result = LostError(f"it took longer than {time_limit:g} s")
                else:
                    continue
                item = worker.item
                try:
                    if isinstance(result, LostError):
                        raise StopIteration
                    worker.begin(next(waiting), time_limit)
                except StopIteration:
                    crew.remove(worker)
                    worker.stop()
                yield item, result
    finally:
        for worker in crew:
            worker.stop()


class _Worker(Generic[Item, Result]):
    """A process, and the item that it works on until its deadline."""

    item: Item
    deadline: float

    def __init__(self, function: Callable[[Item], Result]) -> None:
        self.connection, theirs = mp.Pipe()
        self.process = mp.Process(target=_serve, args=(theirs, function), daemon=True)
        self.process.start()
        theirs.close()  # so that its death ends the connection

    def begin(self, item: Item, time_limit: float) -> None:
        self.item, self.deadline = item, time.monotonic() + time_limit
        with suppress(OSError):  # it has just died, which `result` will find
            self.connection.send(item)

    def result(self) -> Result | LostError:
        try:
            result: Result = self.connection.recv()
            return result
        except (EOFError, OSError):
            self.process.join()
        code = self.process.exitcode or 0
        how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with status {code}"
        return LostError(f"the process that read it {how}")

    def stop(self) -> None:
        self.process.kill()
        self.process.join()
        self.connection.close()


def _serve(connection: Connection, function: Callable[[Any], Any]) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent stops its workers
    parent = mp.parent_process()
    assert parent is not None
    # Workers that are forked later hold copies of this connection, so it alone would not tell that the parent is gone.
    while connection in wait([connection, parent.sentinel]):
        try:
            connection.send(function(connection.recv()))
        except (EOFError, OSError):
            return
