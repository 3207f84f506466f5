"""Processes of our own: how they are started, and how they end with the process that started them."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections import deque
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import TYPE_CHECKING, TypeVar

from kie_notes.errors import WorkerError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

T = TypeVar("T")
R = TypeVar("R")


def pool(count: int) -> ProcessPoolExecutor:
    """Processes with one Polars thread each: as many threads as cores in each of them would only be in the way."""
    spawn = multiprocessing.get_context("spawn")  # a copy made by fork would lack Polars' threads, and hang
    return ProcessPoolExecutor(count, mp_context=spawn, initializer=_begin)


def _begin() -> None:
    os.putenv("POLARS_MAX_THREADS", "1")
    threading.Thread(target=_end_too, daemon=True).start()


def _end_too() -> None:
    """End when the parent does, however it ends: a pool's process would wait for its next work for ever."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def in_order(
    job: Callable[[T], Iterable[R]], items: Iterable[T], workers: int, *, here: Callable[[T], bool]
) -> Iterator[R]:
    """Give what the job gives for each item, in the items' order; other processes work on all but those for here.

    Two items a process are under way, so that none waits and few results are held.

    Raises
    ------
    WorkerError
        If one of the processes died.
    """
    under_way: deque[tuple[T, Future[list[R]] | None]] = deque()
    with pool(workers) as others:
        try:
            for item in items:
                under_way.append((item, None if here(item) else others.submit(_listed, job, item)))
                if len(under_way) > 2 * workers:
                    yield from _results(job, *under_way.popleft())
            while under_way:
                yield from _results(job, *under_way.popleft())
        except BrokenProcessPool as fault:
            told = "killed, or out of memory: fewer processes take less"
            raise WorkerError(f"one of the processes that read the files died ({told})") from fault
        finally:
            others.shutdown(cancel_futures=True)


def _listed(job: Callable[[T], Iterable[R]], item: T) -> list[R]:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which gives no more work then
    return list(job(item))


def _results(job: Callable[[T], Iterable[R]], item: T, future: Future[list[R]] | None) -> Iterable[R]:
    return job(item) if future is None else future.result()
