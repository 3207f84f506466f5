"""Who is heard when: the highest voice at each moment, and the stretches in which each track plays.

Both are tables of stretches ``[start, end)`` in seconds. A note sounds during ``[start, end)``, so one without duration
is never heard. Times that are less than a microsecond apart are one time.

A **skyline** takes the highest voice for the melody. Three readings of it are in use:

1. at each moment the highest pitch that sounds: a long low note is heard again when a short high one over it has ended
   (``covered="resumes"``);
2. the same, but a note is heard from its beginning or not at all: what a higher note cuts off, or covers when it
   begins, is over (``covered="ends"``; ``amads.skyline`` with ``threshold=0``, but for a note that begins below a
   cut-off one that still sounds, which is heard there);
3. at each onset the highest note that begins there, whatever sounds on over it (Uitdenbogerd and Zobel 1999). This is
   not offered here: low notes of an accompaniment break up a held melody.
"""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING, Literal

import numpy as np
import polars as pl

from kie_notes.analysis.door import notes_helper, per_task, per_track
from kie_notes.analysis.grouping import INSTANT, Drums, check_choice, keep_drums

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: What becomes of a note when a higher one that covered it ends: it is heard again, or it is over.
Covered = Literal["resumes", "ends"]

#: A note's code is its pitch, the edge at which it begins, and how low its track is: the greater is heard. Bits of the
#: last two; pitches take 7.
_EDGE_BITS, _TRACK_BITS = 31, 16


@notes_helper
def skyline(notes: pl.LazyFrame, *, covered: Covered = "resumes", drums: Drums = "exclude") -> pl.LazyFrame:
    """Give the highest pitch that sounds at each moment, and the track that it is of.

    Of two notes of one pitch the one that began later is heard (it was struck again), of two that began together that
    of the lower track.

    Parameters
    ----------
    notes
        Notes table in canonical order.
    covered
        Whether a note that a higher one covered is heard again when that ends, or is over.
    drums
        Whether percussion is left out, counted too, or counted alone.

    Returns
    -------
    One row per task and stretch in which one note is the highest, sorted by task and start; in silence there is no
    row, and a task in which nothing sounds has none:

    - ``task`` (String)
    - ``start``, ``end`` (Float64): seconds, the stretch is ``[start, end)``; stretches do not overlap
    - ``pitch`` (UInt8): MIDI note number
    - ``track`` (UInt16): of the note that is heard

    Raises
    ------
    NotesSchemaError
        If ``notes`` is not a notes table.
    NotesOrderError
        If a task's notes do not stand together or their starts descend (an ``InvalidOperationError`` of the same text
        when a LazyFrame is collected).
    ValueError
        If an option has a value that it cannot have.

    References
    ----------
    Uitdenbogerd and Zobel, Melodic matching techniques for large music databases, ACM Multimedia 1999. The module says
    how the readings differ. ``amads.skyline`` also leaves out notes shorter than its ``threshold``.

    Examples
    --------
    >>> import polars as pl
    >>> from kie_notes.notes import NOTES_SCHEMA
    >>> low, high = ("a", "Flute", 60, 0.0, 4.0, 0.5, 0), ("a", "Oboe", 72, 1.0, 2.0, 0.5, 1)
    >>> notes = pl.DataFrame([low, high], schema=NOTES_SCHEMA, orient="row")
    >>> skyline(notes).rows()
    [('a', 0.0, 1.0, 60, 0), ('a', 1.0, 2.0, 72, 1), ('a', 2.0, 4.0, 60, 0)]
    >>> skyline(notes, covered="ends").rows()
    [('a', 0.0, 1.0, 60, 0), ('a', 1.0, 2.0, 72, 1)]
    """
    check_choice("covered", covered, Covered)
    start, end = pl.col("start"), pl.col("end")
    times = start.append(end).sort()
    edges = times.filter((times.diff() > INSTANT).fill_null(value=True))
    first, last = (edges.search_sorted(time + INSTANT, side="right").cast(pl.Int64) - 1 for time in (start, end))
    tasks = per_task(
        keep_drums(notes, drums), edge=edges, first=first, last=last, pitch=pl.col("pitch"), track=pl.col("track")
    )
    schema = {"task": pl.String, "start": pl.Float64, "end": pl.Float64, "pitch": pl.UInt8, "track": pl.UInt16}
    return tasks.sort("task").map_batches(partial(_highest, covered=covered), schema=schema)


@notes_helper
def activity_segments(notes: pl.LazyFrame, *, gap: float = 0.0) -> pl.LazyFrame:
    """Give the stretches of time in which each track plays.

    Parameters
    ----------
    notes
        Notes table in canonical order. Drums are counted like any instrument; notes without duration are not.
    gap
        Rests to bridge, in seconds, >= 0: stretches that are as far apart or less are one.

    Returns
    -------
    One row per task, track and stretch, sorted by them; no notes, no rows:

    - ``task``, ``instrument`` (String), ``track`` (UInt16): two tracks of one name are two
    - ``start``, ``end`` (Float64): seconds, the stretch is ``[start, end)``
    - ``notes`` (UInt32): that begin in it, > 0

    Raises
    ------
    NotesSchemaError
        If ``notes`` is not a notes table.
    NotesOrderError
        If a task's notes do not stand together or their starts descend (an ``InvalidOperationError`` of the same text
        when a LazyFrame is collected).
    ValueError
        If ``gap`` is not 0 or above.

    References
    ----------
    With ``gap=0``, the lengths of a track's stretches sum to the ``sounding_seconds`` of ``instrument_activity``.

    Examples
    --------
    >>> import polars as pl
    >>> from kie_notes.notes import NOTES_SCHEMA
    >>> spans = [(0.0, 1.0), (0.5, 2.0), (2.25, 3.0), (6.0, 7.0)]
    >>> rows = [("a", "Flute", 60, start, end, 0.5, 0) for start, end in spans]
    >>> activity_segments(pl.DataFrame(rows, schema=NOTES_SCHEMA, orient="row"), gap=0.5).rows()
    [('a', 'Flute', 0, 0.0, 3.0, 3), ('a', 'Flute', 0, 6.0, 7.0, 1)]
    """
    if not 0 <= gap < math.inf:
        raise ValueError(f"gap: expected seconds, 0 or above, got {gap!r}")
    start, end = pl.col("start"), pl.col("end")
    heard = end.cum_max()
    begins = (start - heard.shift(1) > gap + INSTANT).fill_null(value=True)
    ends = begins.shift(-1, fill_value=True)
    segments = per_track(
        notes.filter(end - start > INSTANT),
        start=start.filter(begins),
        end=heard.filter(ends),
        notes=pl.int_range(1, pl.len() + 1).filter(ends),
    )
    before = pl.col("notes").list
    counts = before.eval(pl.element() - pl.element().shift(1, fill_value=0)).cast(pl.List(pl.UInt32))
    ordered = segments.with_columns(notes=counts).sort("task", "track", "instrument")
    return ordered.explode("start", "end", "notes").select("task", "instrument", "track", "start", "end", "notes")


def _highest(tasks: pl.DataFrame, covered: Covered) -> pl.DataFrame:
    """Give the stretches of the highest note; a task's ``edge`` are its times, which ``first`` and ``last`` number."""
    edges = tasks.select("task", "edge").explode("edge")
    notes = tasks.select("first", "last", "pitch", "track").explode("first", "last", "pitch", "track")
    offsets = np.concatenate([[0], np.cumsum(tasks["edge"].list.len().to_numpy(), dtype=np.int64)])
    offset = np.repeat(offsets[:-1], tasks["pitch"].list.len().to_numpy())
    first, last, pitch, track = (
        notes[name].to_numpy().astype(np.int64) for name in ("first", "last", "pitch", "track")
    )
    code = (pitch << (_EDGE_BITS + _TRACK_BITS)) | (first << _TRACK_BITS) | (2**_TRACK_BITS - 1 - track)
    heard = _greatest(first + offset, last + offset, code, edges.height)
    turns = np.flatnonzero(np.diff(heard, prepend=-1))
    code, until = heard[turns], np.append(turns[1:], edges.height)
    wanted = code >= 0
    if covered == "ends":
        task = np.searchsorted(offsets, turns, side="right") - 1
        wanted &= ((code >> _TRACK_BITS) & (2**_EDGE_BITS - 1)) == turns - offsets[task]
    turns, until, code = turns[wanted], until[wanted], code[wanted]
    return edges[turns].select(
        "task",
        start="edge",
        end=edges["edge"].gather(until),
        pitch=pl.Series((code >> (_EDGE_BITS + _TRACK_BITS)).astype(np.uint8)),
        track=pl.Series((2**_TRACK_BITS - 1 - code % 2**_TRACK_BITS).astype(np.uint16)),
    )


def _greatest(
    first: NDArray[np.int64], last: NDArray[np.int64], code: NDArray[np.int64], size: int
) -> NDArray[np.int64]:
    """Give the greatest code of the spans ``[first, last)`` that cover each of ``size`` places, -1 where none does.

    Each span is two blocks, of a power of two, that may overlap. A block is handed down to its halves, from the longest
    to those of one place, so the cost is that of one pass over the places per power of two.
    """
    long = last > first
    first, last, code = first[long], last[long], code[long]
    power = np.frexp(last - first)[1] - 1
    found = np.full(size, -1, dtype=np.int64)
    for exponent in range(power.max(initial=-1), -1, -1):
        half = 2**exponent
        halved = found.copy()
        np.maximum(halved[half:], found[:-half], out=halved[half:])
        chosen = power == exponent
        np.maximum.at(halved, first[chosen], code[chosen])
        np.maximum.at(halved, last[chosen] - half, code[chosen])
        found = halved
    return found
