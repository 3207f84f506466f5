"""Does a job for each of many items: here, in processes of its own, or on any executor; a fault is an outcome."""

from __future__ import annotations

import pickle
from concurrent.futures import BrokenExecutor, Executor, Future, ProcessPoolExecutor
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from kie_notes.errors import KieNotesError
from kie_notes.processes import pool

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import polars as pl

T = TypeVar("T")
R = TypeVar("R")

#: Who works: nobody but this process, a number of processes, or an executor (a pool, a cluster's).
Workers: TypeAlias = Executor | int | None

#: Items in a row that may kill the worker that has them to itself, before the others are not tried any more.
_DEATHS = 3

#: Faults that a message tells.
_TOLD = 5


class PartError(KieNotesError):
    """Some parts could not be worked on; all the others were.

    Attributes
    ----------
    faults
        One row per piece that failed: ``part`` (String), ``first_row`` (Int64, null: all of the part), ``fault``
        (String).
    answers
        What the others gave: that which would have been returned.
    """

    def __init__(self, faults: pl.DataFrame, answers: object) -> None:
        told = [f"{part}: {fault}" for part, fault in faults.select("part", "fault").head(_TOLD).rows()]
        more = [f"... and {faults.height - _TOLD} more"] if faults.height > _TOLD else []
        super().__init__(
            "\n".join([f"pieces that failed: {faults.height}; the others' answers are kept:", *told, *more])
        )
        self.faults = faults
        self.answers = answers


def outcomes(job: Callable[[T], R], items: Sequence[T], workers: Workers) -> list[R | Exception]:
    """Give for each item, in order, what the job gives for it, or what it raised."""
    if workers is None:
        return [_outcome(job, item) for item in items]
    if isinstance(workers, int):
        return _in_processes(job, items, workers)
    return _by(workers, job, items)


def check_workers(workers: Workers, helpers: object) -> None:
    """Raise an error if there are no workers, or if helpers cannot be sent to other processes."""
    if isinstance(workers, int) and workers < 1:
        raise ValueError(f"executor: expected an executor or a number of processes above 0, got {workers}")
    if isinstance(workers, int | ProcessPoolExecutor):
        try:
            pickle.dumps(helpers)
        except Exception as fault:
            told = "a function of a module, or functools.partial of one, can; a lambda cannot"
            raise ValueError(f"helper: cannot be sent to another process ({fault}): {told}") from fault


def _outcome(act: Callable[..., Any], *arguments: object) -> Any:  # noqa: ANN401 -- the result, or an exception
    try:
        return act(*arguments)
    except Exception as fault:  # noqa: BLE001 -- whatever it is, it is told with the item's name
        return fault


def _by(executor: Executor, job: Callable[[T], R], items: Sequence[T]) -> list[R | Exception]:
    given = [_outcome(executor.submit, job, item) for item in items]  # what has broken takes no more
    return [_outcome(one.result) if isinstance(one, Future) else one for one in given]


def _in_processes(job: Callable[[T], R], items: Sequence[T], count: int) -> list[R | Exception]:
    """Work in spawned processes; when one dies, what was not done goes to new ones.

    The death of one process ends its whole pool. If nothing was done between two deaths, the next item goes to a
    process by itself: should that die too, it is this item's fault.
    """
    done: dict[int, R | Exception] = {}
    alone, deaths = False, 0
    while left := [at for at in range(len(items)) if at not in done]:
        now = left[:1] if alone else left
        with pool(min(count, len(now))) as others:
            came = zip(now, _by(others, job, [items[at] for at in now]), strict=True)
        survived = {at: outcome for at, outcome in came if not isinstance(outcome, BrokenExecutor)}
        done |= survived
        if survived:
            alone, deaths = False, 0
        elif not alone:
            alone = True
        else:
            alone, deaths = False, deaths + 1
            died = BrokenExecutor("the process that worked on it died (out of memory, perhaps)")
            done |= dict.fromkeys(left if deaths == _DEATHS else now, died)
    return [done[at] for at in range(len(items))]
