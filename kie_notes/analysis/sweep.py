"""How many distinct pitches sound, as arrays over many tasks at once: what texture is read from.

Notes are cut into pieces that never overlap in pitch; at any time, the pieces that have begun less those that have
ended is the number of pitches. Pieces keep their exact times.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from kie_notes.analysis.batches import points, whole
from kie_notes.analysis.grouping import INSTANT

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from kie_notes.analysis.batches import TaskNotes

    Whole = NDArray[np.int64]
    Floats = NDArray[np.float64]

#: Seconds are summed as whole multiples of these, the greater and what it leaves: exactly, in whatever order.
_COARSE, _FINE = 2.0**-20, 2.0**-50


class Pieces(NamedTuple):
    """Stretches in which one pitch sounds, task after task; in each, ``start`` and ``end`` go by pitch and time.

    ``onset`` has the starts of each task in their own order, ``first`` the first row of each task, ``each`` the points
    of an axis in a second.
    """

    task: Whole
    start: Floats
    end: Floats
    onset: Floats
    first: Whole
    each: float


class Turns(NamedTuple):
    """When the number of pitches changes, and to what, task after task, each from 0 s on."""

    task: Whole
    at: Floats
    pitches: Whole


def pieces(notes: TaskNotes) -> Pieces:
    """Cut each note where the next of its pitch begins, and lengthen it to the longest before."""
    rows, last = np.arange(len(notes.task)), float(notes.end.max(initial=0))
    each = points(last, 128 * len(notes.names))
    bits = len(rows).bit_length()
    lane = notes.task * 128 + notes.pitch
    order = np.sort(lane << bits | rows) & (1 << bits) - 1
    lane, start, end = lane[order], notes.start[order], notes.end[order]
    # One running maximum serves all lanes. It finds the note that lasts longest; the end is that note's own.
    far = lane * math.ceil((last + 1) * each) + whole(end, each)
    longest = end[np.maximum.accumulate(np.where(far == np.maximum.accumulate(far), rows, 0))]
    following = np.append(np.where(lane[1:] == lane[:-1], start[1:], np.inf), np.inf)
    return Pieces(notes.task, start, np.minimum(longest, following), notes.start, notes.first(), each)


def held_seconds(cut: Pieces) -> Floats:
    """Give the seconds of all pieces of each task, added up exactly and rounded once."""
    return exact_sums(cut.end - cut.start, cut.first)


def exact_sums(seconds: Floats, first: Whole) -> Floats:
    """Add up seconds from each ``first`` row to the next, exactly as ``grouping.exact_sum`` does."""
    coarse = np.rint(seconds * (1 / _COARSE))
    fine = np.rint((seconds - coarse * _COARSE) * (1 / _FINE))
    most, rest = (np.add.reduceat(part.astype(np.int64), first) for part in (coarse, fine))
    return most * _COARSE + rest * _FINE


def most_at_once(cut: Pieces) -> Whole:
    """Give the most pieces of each task that sound at one time."""
    begin, over = _axis(cut)
    met = math.floor(INSTANT * cut.each)
    # Pieces of earlier tasks have all begun and ended: they are counted on both sides.
    sounding = np.arange(1, len(begin) + 1) - np.searchsorted(np.sort(over), begin + met, side="right")
    return np.maximum.reduceat(sounding, cut.first)


def turns(cut: Pieces) -> Turns:
    """Follow the number of pieces that sound; turns that are less than a microsecond apart are one."""
    begin, over = _axis(cut)
    order, first = np.argsort(over, kind="stable"), cut.first
    # Each task begins at 0 s; where a piece begins follow those that have begun, those that are over, and the zeros.
    row = np.arange(len(begin)) + np.searchsorted(over[order], begin, side="right") + cut.task + 1
    zero = 2 * first + np.arange(len(first))
    step = np.full(2 * len(begin) + len(first), -1)
    step[row], step[zero] = 1, 0
    at = np.zeros(len(step))
    at[row], at[step < 0] = cut.onset, cut.end[order]
    new = np.zeros(len(step), np.bool_)
    new[zero] = True
    number = np.cumsum(step)
    # What counts is the number after the last turn of an instant.
    kept = np.flatnonzero(new | (np.diff(at, prepend=0) > INSTANT))
    at, number, new = at[kept], number[np.append(kept[1:], len(step)) - 1], new[kept]
    turned = new | (np.diff(number, prepend=-1) != 0)
    return Turns((np.cumsum(new) - 1)[turned], at[turned], number[turned])


def _axis(cut: Pieces) -> tuple[Whole, Whole]:
    """Lay tasks one after the other: where onsets are, ascending, and where pieces end."""
    axis = cut.task * math.ceil((float(cut.end.max(initial=0)) + 1) * cut.each)
    return axis + whole(cut.onset, cut.each), axis + whole(cut.end, cut.each)
