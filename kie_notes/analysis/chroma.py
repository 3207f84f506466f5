"""Which pitch classes sound when, as NumPy arrays over many tasks at once: what harmony is read from.

Where an answer cannot be an expression (a path through keys or chords), it is one function over the arrays of a batch
of whole tasks. Times in it are whole microseconds, so seconds of a pitch class are exact in any order of the notes. A
batch has some 260,000 notes, or one task if that has more: memory is bounded however many tasks there are.

A note sounds during ``[start, end)``. The seconds of a segment are counted without unfolding notes over segments: a
note adds one to a running count where it begins and takes one off where it ends.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
import polars as pl

from kie_notes.analysis.door import per_task
from kie_notes.analysis.grouping import Drums, keep_drums

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

#: Microseconds in a second.
MICROSECONDS: Final = 1_000_000

#: Notes of a batch.
_BATCH = 2**18


class TaskNotes(NamedTuple):
    """The notes of a batch of tasks: each note's task as a row of ``names``, and its pitch and times in seconds."""

    names: pl.Series
    task: NDArray[np.int64]
    pitch: NDArray[np.int64]
    start: NDArray[np.float64]
    end: NDArray[np.float64]


class Segments(NamedTuple):
    """Stretches of time, task after task: task, bounds in microseconds, and what sounds.

    ``chroma`` has the microseconds that each pitch class sounds, notes of one pitch class added up.
    """

    task: NDArray[np.int64]
    start: NDArray[np.int64]
    end: NDArray[np.int64]
    chroma: NDArray[np.float64]


def over_tasks(
    notes: pl.LazyFrame, drums: Drums, answer: Callable[[TaskNotes], pl.DataFrame], schema: pl.Schema
) -> pl.LazyFrame:
    """Ask ``answer`` about batches of whole tasks; its rows of ``schema`` come in no particular order.

    Notes that are not in canonical order are an error, as in ``per_task``.
    """
    lists = per_task(keep_drums(notes, drums), pitch=pl.col("pitch"), start=pl.col("start"), end=pl.col("end"))

    def answers(tasks: pl.DataFrame) -> pl.DataFrame:
        return pl.concat([schema.to_frame(), *map(answer, _batches(tasks))])

    return lists.map_batches(answers, schema=schema, streamable=True)


def windows(notes: TaskNotes, length: int) -> Segments:
    """Cut tasks into windows of ``length`` microseconds from 0 s on, from the first start's to the last end's."""
    start, end = _microseconds(notes.start), _microseconds(notes.end)
    count = len(notes.names)
    first, last = _extremes(notes.task, start, end, count)
    first //= length
    edges = np.maximum(-(-last // length) - first, 1) + 1
    task = np.repeat(np.arange(count), edges)
    origin = np.repeat(np.cumsum(edges) - edges, edges)
    bounds = (np.arange(len(task)) - origin + first[task]) * length
    return _cut(notes, start, end, task, bounds)


def between_onsets(notes: TaskNotes) -> Segments:
    """Cut tasks wherever a note starts, and where silence begins; silences are segments of their own."""
    start, end = _microseconds(notes.start), _microseconds(notes.end)
    width = int(end.max(initial=0)) + 1
    begins = notes.task * width + start
    over = np.maximum.accumulate(notes.task * width + end)
    silent = over < np.append(begins[1:], np.iinfo(np.int64).max)
    bounds = np.unique(np.concatenate([begins, over[silent]]))
    return _cut(notes, start, end, bounds // width, bounds % width)


def lowest_pitch(notes: TaskNotes, segments: Segments) -> NDArray[np.int64]:
    """Give the lowest pitch that sounds in each segment, -1 in silence; the segments are cut where notes start."""
    width = int(max(notes.end.max(initial=0) * MICROSECONDS, segments.end.max(initial=0))) + 2
    begins = segments.task * width + segments.start
    first, stop = (
        np.searchsorted(begins, notes.task * width + _microseconds(time)) for time in (notes.start, notes.end)
    )
    held = stop - first
    note = np.repeat(np.arange(len(held)), held)
    segment = np.arange(len(note)) + np.repeat(first - np.cumsum(held) + held, held)
    lowest = np.full(len(begins), 128)
    np.minimum.at(lowest, segment, notes.pitch[note])
    return np.where(lowest < 128, lowest, -1)


def _batches(tasks: pl.DataFrame) -> Iterator[TaskNotes]:
    lengths = tasks["pitch"].list.len().to_numpy().astype(np.int64)
    batch = np.cumsum(lengths) // _BATCH
    edges = np.flatnonzero(np.diff(batch, prepend=-1, append=-1)).tolist()
    for first, last in pairwise(edges):
        some = tasks[first:last]
        pitch, start, end = (some[name].explode().to_numpy() for name in ("pitch", "start", "end"))
        task = np.repeat(np.arange(some.height), lengths[first:last])
        yield TaskNotes(some["task"], task, pitch.astype(np.int64), start, end)


def _microseconds(seconds: NDArray[np.float64]) -> NDArray[np.int64]:
    return np.rint(seconds * MICROSECONDS).astype(np.int64)


def _extremes(
    task: NDArray[np.int64], start: NDArray[np.int64], end: NDArray[np.int64], count: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """First start and last end of each task, whose notes stand together."""
    begin = np.searchsorted(task, np.arange(count))
    return start[begin], np.maximum.reduceat(end, begin)


def _cut(
    notes: TaskNotes,
    start: NDArray[np.int64],
    end: NDArray[np.int64],
    task: NDArray[np.int64],
    bounds: NDArray[np.int64],
) -> Segments:
    """Say what sounds between the ``bounds`` of each ``task``, the last of which is no segment's start."""
    width = int(max(end.max(initial=0), bounds.max(initial=0))) + 1
    edges = task * width + bounds
    # Where a note starts and ends: a segment, and how far into it.
    first, last = (np.searchsorted(edges, notes.task * width + time, side="right") - 1 for time in (start, end))
    shape, pitch_class = len(edges) * 12, notes.pitch % 12
    begun, ended = first * 12 + pitch_class, last * 12 + pitch_class
    sounding = np.cumsum((np.bincount(begun, minlength=shape) - np.bincount(ended, minlength=shape)).reshape(-1, 12), 0)
    length = np.diff(edges, append=edges[-1:])
    late, part = (
        np.bincount(cell, time - bounds[at], shape) for cell, time, at in ((begun, start, first), (ended, end, last))
    )
    chroma = sounding * length[:, None] + (part - late).reshape(-1, 12)
    real = np.append(task[1:] == task[:-1], False)
    return Segments(task[real], bounds[real], (bounds + length)[real], chroma[real])
