"""Which pitch classes sound when, as NumPy arrays over many tasks at once: what harmony is read from.

Times are whole microseconds, so seconds of a pitch class are exact in any order of the notes.

A note sounds during ``[start, end)``. The seconds of a segment are counted without unfolding notes over segments: a
note adds one to a running count where it begins and takes one off where it ends.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from kie_notes.analysis.batches import TaskNotes

#: Microseconds in a second.
MICROSECONDS: Final = 1_000_000

#: The pitch class of each pitch: to look it up costs a sixth of a division.
PITCH_CLASS: Final = np.arange(128) % 12


class Segments(NamedTuple):
    """Stretches of time, task after task: task, bounds in microseconds, and what sounds.

    ``chroma`` has the microseconds that each pitch class sounds, notes of one pitch class added up.
    """

    task: NDArray[np.int64]
    start: NDArray[np.int64]
    end: NDArray[np.int64]
    chroma: NDArray[np.float64]


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
    shape, pitch_class = len(edges) * 12, PITCH_CLASS[notes.pitch]
    begun, ended = first * 12 + pitch_class, last * 12 + pitch_class
    sounding = np.cumsum((np.bincount(begun, minlength=shape) - np.bincount(ended, minlength=shape)).reshape(-1, 12), 0)
    length = np.diff(edges, append=edges[-1:])
    late, part = (
        np.bincount(cell, time - bounds[at], shape) for cell, time, at in ((begun, start, first), (ended, end, last))
    )
    chroma = sounding * length[:, None] + (part - late).reshape(-1, 12)
    real = np.append(task[1:] == task[:-1], False)
    return Segments(task[real], bounds[real], (bounds + length)[real], chroma[real])
