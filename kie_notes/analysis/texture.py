"""How many notes sound together, and when each instrument plays.

A note sounds during ``[start, end)``: at its end it is over, and a note without duration never sounds. What sounds
twice sounds once: notes of one pitch that overlap are one pitch, notes of one instrument that overlap are one stretch
of its playing. Times are real seconds and sums are over the exact stretches; no grid is laid over the notes. Ends and
starts that are a microsecond apart meet (the rounding of floats is no overlap).
"""

from __future__ import annotations

import math

import polars as pl

from kie_notes.analysis.door import DESCENDS, descends, in_order, notes_helper, per_run, per_track
from kie_notes.analysis.grouping import INSTANT, Drums, keep_drums


@notes_helper
def polyphony(notes: pl.LazyFrame, *, drums: Drums = "exclude") -> pl.LazyFrame:
    """Say how many distinct pitches sound at once: on average and at most.

    The mean is over the time in which anything sounds. A pitch that two notes, or two instruments, hold at once counts
    once.

    Parameters
    ----------
    notes
        Notes table in canonical order.
    drums
        Whether percussion is left out, counted too, or counted alone.

    Returns
    -------
    One row per task, sorted by task; a task without such notes has no row:

    - ``task`` (String)
    - ``mean_polyphony`` (Float64): pitches, >= 1; null where no note has a duration
    - ``maximum_polyphony`` (UInt32): pitches, >= 0
    - ``sounding_seconds`` (Float64): time in which at least one pitch sounds, >= 0

    Raises
    ------
    NotesSchemaError
        If ``notes`` is not a notes table.
    NotesOrderError
        If a task's notes do not stand together or their starts descend (an ``InvalidOperationError`` of the same text
        when a LazyFrame is collected).
    ValueError
        If ``drums`` has a value that it cannot have.

    References
    ----------
    ``muspy.polyphony``, whose grid of steps this does without: equal where all times are multiples of a step. Also
    McKay, jSymbolic 2.2 manual, feature C-6 "Average Number of Simultaneous Pitches".

    Examples
    --------
    >>> import polars as pl
    >>> from kie_notes.notes import NOTES_SCHEMA
    >>> flute, oboe = ("a", "Flute", 60, 0.0, 2.0, 0.5, 0), ("a", "Oboe", 60, 1.0, 3.0, 0.5, 1)
    >>> viola = ("a", "Viola", 48, 0.0, 1.5, 0.5, 2)
    >>> polyphony(pl.DataFrame([flute, viola, oboe], schema=NOTES_SCHEMA, orient="row")).rows()
    [('a', 1.5, 2, 3.0)]
    """
    start, end = pl.col("start"), pl.col("end")
    begun = pl.int_range(1, pl.len() + 1)
    ended = end.search_sorted(start + INSTANT, side="right").cast(pl.Int64)
    # Before a start at which all earlier pieces are over, there is silence since the last of them.
    silence = (start - end.shift(1)).clip(lower_bound=0).sum()
    found = per_run(
        _pieces(keep_drums(notes, drums)),
        pl.col(DESCENDS).first(),
        maximum=(begun - ended).max().cast(pl.UInt32),
        sounding=end.last() - start.first() - silence,
        held=(end - start).sum(),
    )
    sounds = pl.col("sounding") > INSTANT
    return (
        in_order(found)
        .select(
            "task",
            mean_polyphony=pl.when(sounds).then(pl.col("held") / pl.col("sounding")),
            maximum_polyphony=pl.col("maximum"),
            sounding_seconds=pl.when(sounds).then(pl.col("sounding")).otherwise(0.0),
        )
        .sort("task")
    )


@notes_helper
def instrument_activity(notes: pl.LazyFrame) -> pl.LazyFrame:
    """Say when each instrument plays, and for how much of the task.

    Parameters
    ----------
    notes
        Notes table in canonical order. Drums are counted like any instrument.

    Returns
    -------
    One row per task and track, sorted by both; no notes, no rows:

    - ``task``, ``instrument`` (String), ``track`` (UInt16): two tracks of one name are two rows
    - ``notes`` (UInt32): > 0
    - ``first_start``, ``last_end`` (Float64): seconds from the start of the recording
    - ``sounding_seconds`` (Float64): time in which at least one note of the track sounds, >= 0
    - ``share`` (Float64): of the task's length, which is from 0 s to the last end of any instrument, 0 to 1; null
      where that length is 0

    Raises
    ------
    NotesSchemaError
        If ``notes`` is not a notes table.
    NotesOrderError
        If a task's notes do not stand together or their starts descend (an ``InvalidOperationError`` of the same text
        when a LazyFrame is collected).

    Examples
    --------
    >>> import polars as pl
    >>> from kie_notes.notes import NOTES_SCHEMA
    >>> rows = [("a", "Flute", 60, 0.0, 2.0, 0.5, 0), ("a", "Flute", 64, 1.0, 3.0, 0.5, 0)]
    >>> oboe = ("a", "Oboe", 67, 2.0, 4.0, 0.5, 1)
    >>> instrument_activity(pl.DataFrame([*rows, oboe], schema=NOTES_SCHEMA, orient="row")).rows()
    [('a', 'Flute', 0, 2, 0.0, 3.0, 3.0, 0.75), ('a', 'Oboe', 1, 1, 2.0, 4.0, 2.0, 0.5)]
    """
    tracks = per_track(
        notes,
        notes=pl.len().cast(pl.UInt32),
        first_start=pl.col("start").first(),
        last_end=pl.col("end").max(),
        sounding_seconds=sounding_seconds(),
    )
    length = pl.col("last_end").max().over("task")
    # A product: Polars divides by what is the same in every row by multiplying with its reciprocal, so the last bit of
    # a quotient would depend on how many tasks there are.
    share = pl.when(length > 0).then(pl.col("sounding_seconds") * (1 / length))
    return tracks.with_columns(share=share).sort("task", "track", "instrument")


def sounding_seconds() -> pl.Expr:
    """Give the time in which any of the notes sounds, as an answer over notes whose starts ascend."""
    start, end = pl.col("start"), pl.col("end")
    silence = (start.shift(-1) - end.cum_max()).clip(lower_bound=0).sum()
    return end.max() - start.first() - silence


def _pieces(notes: pl.LazyFrame) -> pl.LazyFrame:
    """Cut each note where the next of its pitch begins, and lengthen it to the longest before: pieces never overlap.

    One row per note, in two columns that belong together only as a whole: ``start`` as it was, and ``end``, the ends of
    all pieces, ascending. At any time, the pieces that have begun less those that have ended is the number of pitches.
    """
    pitch, start, end = pl.col("pitch"), pl.col("start"), pl.col("end")
    # Pitches are laid one after the other on one axis, each as wide as the task is long, with a second between them: so
    # one running maximum serves all pitches, and the next start is of the same pitch or out of reach.
    width = end.max() - start.min() + 1
    longest = (end + pitch * width).sort_by(pitch, maintain_order=True).cum_max()
    following = (start + pitch * width).sort_by(pitch, maintain_order=True).shift(-1, fill_value=math.inf)
    ends = (pl.min_horizontal(longest, following) - pitch.sort() * width).sort()
    return per_run(notes, descends(ordered=True), start=start, end=ends).explode("start", "end")
