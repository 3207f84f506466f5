"""The notes of many tasks at once as NumPy arrays, for answers that cannot be an expression, or are slow as one.

Such an answer is one function over the arrays of a batch of whole tasks. A batch has some 260,000 notes, or one task if
that has more: memory is bounded however many tasks there are, and no task costs a call of its own.

Tasks are worked on together by laying them one after the other on one axis of whole numbers. Its points are 60 ns apart
(``points`` says when they are not): what comes first is decided on it, while the times that are answered stay exact.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import polars as pl

from kie_notes.analysis.door import per_task
from kie_notes.analysis.grouping import Drums, keep_drums

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

#: Notes of a batch.
_BATCH = 2**18

#: Points of an axis in a second.
_POINTS = 2**24


class TaskNotes(NamedTuple):
    """The notes of a batch of tasks: each note's task as a row of ``tasks``, its pitch, and its times in seconds.

    ``tasks`` has one row per task: ``task``, its name, and what else was asked about its notes.
    """

    tasks: pl.DataFrame
    task: NDArray[np.int64]
    pitch: NDArray[np.int64]
    start: NDArray[np.float64]
    end: NDArray[np.float64]

    @property
    def names(self) -> pl.Series:
        """The names of the tasks."""
        return self.tasks["task"]

    def first(self) -> NDArray[np.int64]:
        """Give the first note of each task."""
        return np.flatnonzero(np.diff(self.task, prepend=-1))


def over_tasks(
    notes: pl.LazyFrame,
    drums: Drums,
    answer: Callable[[TaskNotes], pl.DataFrame],
    schema: pl.Schema,
    /,
    **more: pl.Expr,
) -> pl.LazyFrame:
    """Ask ``answer`` about batches of whole tasks; its rows of ``schema`` come in no particular order.

    ``more`` is evaluated over each task's notes, as in ``per_task``. Notes that are not in canonical order are an
    error, as there.
    """
    pitch, start, end = (pl.col(name) for name in ("pitch", "start", "end"))
    lists = per_task(keep_drums(notes, drums), ordered=True, pitch=pitch, start=start, end=end, **more)

    def answers(tasks: pl.DataFrame) -> pl.DataFrame:
        return pl.concat([schema.to_frame(), *map(answer, _batches(tasks))])

    return lists.map_batches(answers, schema=schema, streamable=True)


def _batches(tasks: pl.DataFrame) -> Iterator[TaskNotes]:
    lengths = tasks["pitch"].list.len().to_numpy().astype(np.int64)
    batch = np.cumsum(lengths) // _BATCH
    edges = np.flatnonzero(np.diff(batch, prepend=-1, append=-1)).tolist()
    for first, last in pairwise(edges):
        some = tasks[first:last]
        pitch, start, end = (some[name].explode().to_numpy() for name in ("pitch", "start", "end"))
        task = np.repeat(np.arange(some.height), lengths[first:last])
        yield TaskNotes(some.drop("pitch", "start", "end"), task, pitch.astype(np.int64), start, end)


def points(seconds: float, lanes: int) -> float:
    """Give the points in a second of an axis that ``lanes`` recordings of ``seconds`` fit on: fewer only for weeks."""
    return min(_POINTS, 2.0 ** math.floor(61 - math.log2((lanes + 1) * (seconds + 1))))


def whole(seconds: NDArray[np.float64], each: float) -> NDArray[np.int64]:
    """Give the nearest points of an axis that has ``each`` in a second."""
    return np.rint(seconds * each).astype(np.int64)
