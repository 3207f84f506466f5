"""How dense the notes are in the densest place, and how many sound in each window.

``rhythm.onset_density`` counts onsets in windows that are laid side by side; the densities here are of windows wherever
they lie, and of notes that sound on. Windows are half-open, ``[a, a + window)``, and drums are counted unless one
leaves them out. Times are floats and edges are met exactly: what is less than a microsecond short of an edge is on it.
"""

from __future__ import annotations

import math

import polars as pl

from kie_notes.analysis.door import notes_helper, per_task
from kie_notes.analysis.grouping import INSTANT, Drums, keep_drums


@notes_helper
def rolling_density(notes: pl.LazyFrame, *, window: float = 5.0, drums: Drums = "include") -> pl.LazyFrame:
    """Say how many notes per second start in the densest window, and in the window after a note on average.

    The windows are those that begin with a note, ``[start, start + window)``: no window elsewhere holds more than the
    fullest of them. The mean is over notes (notes of a chord have one window and count each), so it says how dense it
    is around a note; the mean over all places is ``note_density``.

    Parameters
    ----------
    notes
        Notes table in canonical order.
    window
        Length of a window in seconds, > 0.
    drums
        Whether percussion is left out, counted too, or counted alone.

    Returns
    -------
    One row per task, sorted by task; a task without such notes has no row:

    - ``task`` (String)
    - ``maximum_notes_per_second`` (Float64): notes that start in the fullest window / ``window``, > 0
    - ``mean_notes_per_second`` (Float64): the same of the window that begins with a note, averaged over notes, > 0
    - ``densest_start`` (Float64): seconds, where the fullest window begins; the earliest, if several are as full

    Raises
    ------
    NotesSchemaError
        If ``notes`` is not a notes table.
    NotesOrderError
        If a task's notes do not stand together or their starts descend (an ``InvalidOperationError`` of the same text
        when a LazyFrame is collected).
    ValueError
        If ``window`` is not above 0, or ``drums`` has a value that it cannot have.

    References
    ----------
    After McKay, jSymbolic 2.2 manual, feature RT-6 "Note Density Variability", which has windows of 5 s as well, but
    side by side: a burst that lies across an edge is halved there.

    Examples
    --------
    >>> import polars as pl
    >>> from kie_notes.notes import NOTES_SCHEMA
    >>> rows = [("a", "Flute", 60, start, 9.0, 0.5, 0) for start in (0.0, 1.75, 2.0, 2.25, 6.0)]
    >>> rolling_density(pl.DataFrame(rows, schema=NOTES_SCHEMA, orient="row"), window=1.0).rows()
    [('a', 3.0, 1.6, 1.75)]
    """
    _check_window(window)
    start, count = pl.col("start"), pl.int_range(pl.len())
    # The notes of a chord stand in rows one after the other; the window of each begins with the first of them.
    chord = pl.when(start.diff() > INSTANT).then(count).otherwise(0).cum_max()
    held = start.search_sorted(start + max(window - INSTANT, 0.0), side="right").cast(pl.Int64) - chord
    found = per_task(keep_drums(notes, drums), start=start, held=held).sort("task")
    # A column of divisors: by one number Polars divides through its reciprocal, but not in a table of one row.
    counts = pl.col("held").list
    seconds = counts.len() * 0.0 + window
    return found.select(
        "task",
        maximum_notes_per_second=counts.max() / seconds,
        mean_notes_per_second=counts.sum() / (counts.len() * seconds),
        densest_start=pl.col("start").list.get(counts.arg_max()),
    )


@notes_helper
def sounding_density(notes: pl.LazyFrame, *, window: float = 1.0, drums: Drums = "include") -> pl.LazyFrame:
    """Count the notes that sound in consecutive windows, wherever they started.

    Windows are ``[k * window, (k + 1) * window)``, laid from 0 s. A note sounds during ``[start, end)``, so one that
    ends on an edge does not sound in the window that begins there, and one without duration sounds in none.

    Parameters
    ----------
    notes
        Notes table in canonical order.
    window
        Length of a window in seconds, > 0.
    drums
        Whether percussion is left out, counted too, or counted alone.

    Returns
    -------
    One row per task and window, from the first to the last in which anything sounds, silent windows between them
    included, sorted by both; a task in which nothing sounds has no row:

    - ``task`` (String)
    - ``window_start`` (Float64): seconds, ``k * window``
    - ``notes`` (UInt32): notes that sound somewhere in the window, >= 0

    Raises
    ------
    NotesSchemaError
        If ``notes`` is not a notes table.
    NotesOrderError
        If a task's notes do not stand together or their starts descend (an ``InvalidOperationError`` of the same text
        when a LazyFrame is collected).
    ValueError
        If ``window`` is not above 0, or ``drums`` has a value that it cannot have.

    References
    ----------
    With one pitch per note, the number of entries above 0 in a column of ``pretty_midi``'s piano roll at ``fs = 1 /
    window``, where that does not round a short note away.

    Examples
    --------
    >>> import polars as pl
    >>> from kie_notes.notes import NOTES_SCHEMA
    >>> rows = [("a", "Flute", 60, 0.5, 2.0, 0.5, 0), ("a", "Flute", 64, 1.0, 1.25, 0.5, 0)]
    >>> sounding_density(pl.DataFrame(rows, schema=NOTES_SCHEMA, orient="row")).rows()
    [('a', 0.0, 1), ('a', 1.0, 2)]
    """
    _check_window(window)
    start, end = pl.col("start"), pl.col("end")
    first = ((start.first() + INSTANT) / window).floor().cast(pl.Int64)
    last = ((end.max() - INSTANT) / window).floor().cast(pl.Int64)
    begun = start.search_sorted(pl.int_range(first + 1, last + 2) * window - INSTANT, side="left")
    over = end.sort().search_sorted(pl.int_range(first, last + 1) * window + INSTANT, side="right")
    sounding = keep_drums(notes, drums).filter(end - start > INSTANT)
    windows = per_task(sounding, k=pl.int_range(first, last + 1), notes=begun - over)
    return (
        windows.sort("task")
        .explode("k", "notes")
        .select("task", window_start=pl.col("k") * window, notes=pl.col("notes"))
    )


def _check_window(window: float) -> None:
    if not 0 < window < math.inf:
        raise ValueError(f"window: expected seconds above 0, got {window!r}")
