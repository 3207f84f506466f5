"""Notes without what ``kie_notes.analysis.quality`` flags, and a table of what was changed.

Every repair is named, does one thing, and gives ``Repaired(notes, changes)``: nothing is mended on the quiet. The notes
come back in canonical order with whatever columns they had; ``changes`` has one row per note that is no longer as it
was. A note whose ``new_start`` and ``new_end`` are null is gone (dropped, or merged into another), so

    notes before = notes after + changes without ``new_start``

=======================  =====================  ===================================================================
repair                   flag that it clears    what it does
=======================  =====================  ===================================================================
``drop_duplicates``      ``duplicate``          keeps the first of equal notes
``drop_short``           ``too_short``          drops
``drop_octave_ghosts``   ``octave_ghost``       drops
``drop_out_of_range``    ``out_of_range``       drops
``merge_echoes``         ``echo``               drops, and lengthens the note that was echoed to the last end
``merge_fragments``      ``fragment``           drops, and lengthens the note that was cut to the last end
``trim_overlaps``        ``overlap``            ends a note where the next of its pitch starts; of notes that start
                                                together keeps the longest
``trim_to_duration``     ``past_end``           ends notes where the audio does, drops those that start later
``snap_to_grid``         ``off_grid``           moves starts and ends to the nearest multiple of a step
=======================  =====================  ===================================================================

A repair clears its own flag, with the same thresholds, but may bring others: a trimmed note can be too short. A
sensible order is that of the table from duplicates to merging, then trimming, then ``drop_short`` last; whoever repairs
should keep the changes with the data. For a DataFrame both tables are DataFrames; for a LazyFrame both are lazy, and
each runs the query when it is collected.

Every repair also raises ``NotesSchemaError`` if ``notes`` is not a notes table. Those that compare notes with one
another raise ``NotesOrderError`` if a task's notes do not stand together or their starts descend (for a LazyFrame an
``InvalidOperationError`` of the same text, when it is collected).
"""

from __future__ import annotations

import math

import polars as pl

from kie_notes.analysis.quality import (
    AXIS,
    GRID,
    LANE,
    LENGTH,
    LENGTH_IN_SECONDS,
    OFF,
    ON,
    ROW,
    SHORTEST,
    STRETCH,
    TOGETHER,
    by_group,
    by_time,
    echo,
    flagged,
    heard,
    laid_by_pitch,
    lengths_of,
)
from kie_notes.analysis.repairing import CHAIN, END, PART, REASON, START, WHOLE, merged, repair, ticks, without


@repair
def drop_duplicates(notes: pl.LazyFrame) -> pl.LazyFrame:
    """Drop notes that have the track, pitch, start and end of an earlier row.

    Parameters
    ----------
    notes
        Notes table in canonical order.

    Returns
    -------
    ``Repaired(notes, changes)``; velocity does not count, and the row that comes first stays.

    Raises
    ------
    NotesSchemaError, NotesOrderError
        As every repair.

    References
    ----------
    ``miditok.utils.remove_duplicated_notes``, with durations considered.

    Examples
    --------
    >>> import polars as pl
    >>> from kie_notes.notes import NOTES_SCHEMA
    >>> rows = [("a", "Flute", 60, 0.0, 1.0, velocity, 0) for velocity in (0.25, 0.5)]
    >>> repaired = drop_duplicates(pl.DataFrame(rows, schema=NOTES_SCHEMA, orient="row"))
    >>> repaired.notes.rows()
    [('a', 'Flute', 60, 0.0, 1.0, 0.25, 0)]
    >>> repaired.changes.rows()
    [('a', 0, 'Flute', 60, 0.0, 1.0, None, None, 'duplicate')]
    """
    return without(notes, "duplicate")


@repair
def drop_short(notes: pl.LazyFrame, *, shortest: float = SHORTEST) -> pl.LazyFrame:
    """Drop notes that last less than ``shortest``; those of drums stay.

    Parameters
    ----------
    notes
        Notes table in canonical order.
    shortest
        Seconds below which a note is too short, >= 0.

    Returns
    -------
    ``Repaired(notes, changes)``; a note of exactly that length stays.

    Raises
    ------
    ValueError
        If ``shortest`` is negative.

    Examples
    --------
    >>> import polars as pl
    >>> from kie_notes.notes import NOTES_SCHEMA
    >>> rows = [("a", "Flute", 60, 0.0, end, 0.5, 0) for end in (0.04, 0.05)]
    >>> drop_short(pl.DataFrame(rows, schema=NOTES_SCHEMA, orient="row")).changes.select("end", "reason").rows()
    [(0.04, 'too_short')]
    """
    return without(notes, "too_short", shortest=shortest)


@repair
def drop_octave_ghosts(notes: pl.LazyFrame, *, together: float = TOGETHER) -> pl.LazyFrame:
    """Drop notes that may be partials of a louder one, 12, 19 or 24 semitones below in their track.

    Parameters
    ----------
    notes
        Notes table in canonical order.
    together
        Seconds between starts that are meant to be one, >= 0; both bounds belong to it.

    Returns
    -------
    ``Repaired(notes, changes)``; a ghost's own ghosts are dropped with it.

    Raises
    ------
    ValueError
        If ``together`` is negative.

    Examples
    --------
    >>> import polars as pl
    >>> from kie_notes.notes import NOTES_SCHEMA
    >>> rows = [("a", "Flute", pitch, 0.0, 1.0, velocity, 0) for pitch, velocity in ((60, 0.75), (72, 0.25))]
    >>> repaired = drop_octave_ghosts(pl.DataFrame(rows, schema=NOTES_SCHEMA, orient="row"))
    >>> repaired.changes.select("pitch", "reason").rows()
    [(72, 'octave_ghost')]
    """
    return without(notes, "octave_ghost", together=together)


@repair
def drop_out_of_range(notes: pl.LazyFrame) -> pl.LazyFrame:
    """Drop notes outside the range that General MIDI 2 recommends for their instrument.

    Parameters
    ----------
    notes
        Notes table in canonical order.

    Returns
    -------
    ``Repaired(notes, changes)``; instruments for which it recommends none keep all notes; drums keep keys 27 to 87.

    Raises
    ------
    NotesSchemaError, NotesOrderError
        As every repair.

    Examples
    --------
    >>> import polars as pl
    >>> from kie_notes.notes import NOTES_SCHEMA
    >>> rows = [("a", "Flute", pitch, 0.0, 1.0, 0.5, 0) for pitch in (59, 60)]
    >>> drop_out_of_range(pl.DataFrame(rows, schema=NOTES_SCHEMA, orient="row")).notes["pitch"].to_list()
    [60]
    """
    return without(notes, "out_of_range")


@repair
def merge_echoes(notes: pl.LazyFrame, *, together: float = TOGETHER) -> pl.LazyFrame:
    """Merge notes that echo another track into the note that they echo.

    Parameters
    ----------
    notes
        Notes table in canonical order.
    together
        Seconds between starts that are meant to be one, >= 0; both bounds belong to it.

    Returns
    -------
    ``Repaired(notes, changes)``; the first note of a pitch stays, of those that start together that of the lowest
    track, and lasts until the last of them ends. Its velocity stays.

    Raises
    ------
    ValueError
        If ``together`` is negative.

    Examples
    --------
    >>> import polars as pl
    >>> from kie_notes.notes import NOTES_SCHEMA
    >>> rows = [("a", "Flute", 60, 0.0, 1.0, 0.5, 0), ("a", "Oboe", 60, 0.02, 2.0, 0.5, 1)]
    >>> repaired = merge_echoes(pl.DataFrame(rows, schema=NOTES_SCHEMA, orient="row"))
    >>> repaired.notes.rows()
    [('a', 'Flute', 60, 0.0, 2.0, 0.5, 0)]
    >>> repaired.changes.select("instrument", "new_start", "new_end", "reason").rows()
    [('Flute', 0.0, 2.0, 'lengthened'), ('Oboe', None, None, 'echo')]
    """
    part = echo(ticks("together", together)).is_not_null()
    chains = by_group(by_time(notes), **{PART: part, WHOLE: part.is_not_null(), CHAIN: (~part).cum_sum()})
    return merged(chains, "echo", STRETCH)


@repair
def merge_fragments(notes: pl.LazyFrame, *, gap: float = 0.0) -> pl.LazyFrame:
    """Merge notes of one track and pitch of which each begins where the one before ends.

    Parameters
    ----------
    notes
        Notes table in canonical order.
    gap
        Seconds of silence that may lie between them, >= 0; both bounds belong to it.

    Returns
    -------
    ``Repaired(notes, changes)``; the first note stays and lasts until the last of them ends. Its velocity stays. Of
    several notes that end there, the last in canonical order is gone on with.

    Raises
    ------
    ValueError
        If ``gap`` is negative.

    References
    ----------
    The wish of users of audio-to-midi. A score's repeated notes are merged too, if they touch.

    Examples
    --------
    >>> import polars as pl
    >>> from kie_notes.notes import NOTES_SCHEMA
    >>> rows = [("a", "Flute", 60, start, start + 1, 0.5, 0) for start in (0.0, 1.0, 2.125)]
    >>> notes = pl.DataFrame(rows, schema=NOTES_SCHEMA, orient="row")
    >>> merge_fragments(notes).notes.select("start", "end").rows()
    [(0.0, 2.0), (2.125, 3.125)]
    >>> merge_fragments(notes, gap=0.125).changes.select("start", "end", "new_end", "reason").rows()
    [(0.0, 1.0, 3.125, 'lengthened'), (1.0, 2.0, None, 'fragment'), (2.125, 3.125, None, 'fragment')]
    """
    near = ticks("gap", gap)
    again = ((pl.col(AXIS) == pl.col(AXIS).shift()) & (pl.col(OFF) == pl.col(OFF).shift())).fill_null(value=False)
    silence = pl.col(ON) - heard()
    part = ~again & (silence >= 0) & (silence <= near)
    whole = pl.col(OFF) >= heard()
    chains = by_group(laid_by_pitch(notes, near), **{PART: part, WHOLE: whole, CHAIN: (whole & ~part).cum_sum()})
    return merged(chains, "fragment", STRETCH, LANE)


@repair
def trim_overlaps(notes: pl.LazyFrame) -> pl.LazyFrame:
    """End each note where the next one of its track and pitch starts.

    Parameters
    ----------
    notes
        Notes table in canonical order.

    Returns
    -------
    ``Repaired(notes, changes)``; of notes that start together the longest stays, and those without duration. Equal
    notes stay: they are ``drop_duplicates``' business.

    Raises
    ------
    NotesSchemaError, NotesOrderError
        As every repair.

    References
    ----------
    The purpose is that of ``miditok.utils.fix_offsets_overlapping_notes``.

    Examples
    --------
    >>> import polars as pl
    >>> from kie_notes.notes import NOTES_SCHEMA
    >>> rows = [("a", "Flute", 60, start, 3.0, 0.5, 0) for start in (0.0, 1.0)]
    >>> repaired = trim_overlaps(pl.DataFrame(rows, schema=NOTES_SCHEMA, orient="row"))
    >>> repaired.notes.select("start", "end").rows()
    [(0.0, 1.0), (1.0, 3.0)]
    >>> repaired.changes.select("start", "end", "new_start", "new_end", "reason").rows()
    [(0.0, 3.0, 0.0, 1.0, 'overlap')]
    """
    axis, off = pl.col(AXIS), pl.col(OFF)
    last = axis.shift(-1).is_null() | (axis != axis.shift(-1))  # ... of those that start together
    same = (pl.col("pitch") == pl.col("pitch").shift(-1)).fill_null(value=False)
    longest = pl.when(last).then(off).backward_fill()
    following = pl.when(last).then(pl.when(same).then(pl.col("start").shift(-1)).otherwise(math.inf)).backward_fill()
    begins = pl.when(last).then(pl.when(same).then(pl.col(ON).shift(-1)).otherwise(2**62)).backward_fill()
    gone, cut = (off < longest) & (off > pl.col(ON)), begins < off
    return by_group(
        laid_by_pitch(notes, 0),
        **{START: pl.when(cut & ~gone).then("start"), END: pl.when(cut & ~gone).then(following)},
        **{REASON: pl.when(cut | gone).then(pl.lit("overlap"))},
    )


@repair
def trim_to_duration(notes: pl.LazyFrame, *, durations: pl.DataFrame) -> pl.LazyFrame:
    """End notes where the audio ends, and drop those that start there or later.

    Parameters
    ----------
    notes
        Notes table in canonical order.
    durations
        Length of the audio: a table with a column ``task`` (text) and a column ``duration`` (seconds), one row per
        task. Tasks that it does not know stay as they are.

    Returns
    -------
    ``Repaired(notes, changes)``; a note without duration at the very end stays.

    Raises
    ------
    ValueError
        If ``durations`` is no such table.

    Examples
    --------
    >>> import polars as pl
    >>> from kie_notes.notes import NOTES_SCHEMA
    >>> rows = [("a", "Flute", 60, start, start + 1, 0.5, 0) for start in (0.5, 1.5, 2.5)]
    >>> lengths = pl.DataFrame({"task": ["a"], "duration": [2.0]})
    >>> repaired = trim_to_duration(pl.DataFrame(rows, schema=NOTES_SCHEMA, orient="row"), durations=lengths)
    >>> repaired.notes.select("start", "end").rows()
    [(0.5, 1.5), (1.5, 2.0)]
    >>> repaired.changes.select("start", "end", "new_start", "new_end", "reason").rows()
    [(1.5, 2.5, 1.5, 2.0, 'past_end'), (2.5, 3.5, None, None, 'past_end')]
    """
    late = pl.col("past_end").is_not_null()
    stays = late & (pl.col(ON) < pl.col(LENGTH))
    return flagged(notes, ["past_end"], lengths_of(durations), SHORTEST, TOGETHER).with_columns(
        pl.when(stays).then("start").alias(START),
        pl.when(stays).then(LENGTH_IN_SECONDS).alias(END),
        pl.when(late).then(pl.lit("past_end")).alias(REASON),
    )


@repair
def snap_to_grid(notes: pl.LazyFrame, *, grid: int = GRID) -> pl.LazyFrame:
    """Move starts and ends to the nearest multiple of a step.

    Parameters
    ----------
    notes
        Notes table in canonical order.
    grid
        Steps in a second, > 0.

    Returns
    -------
    ``Repaired(notes, changes)``; a time half-way moves later, and a note that had a duration keeps one step of it.
    Times are the floats that ``step / grid`` gives, so a time that differs from them by its last bit is a change.

    Raises
    ------
    ValueError
        If ``grid`` is not above 0.

    Examples
    --------
    >>> import polars as pl
    >>> from kie_notes.notes import NOTES_SCHEMA
    >>> rows = [("a", "Flute", 60, 0.5, 0.751, 0.5, 0)]
    >>> repaired = snap_to_grid(pl.DataFrame(rows, schema=NOTES_SCHEMA, orient="row"), grid=4)
    >>> repaired.changes.select("start", "end", "new_start", "new_end", "reason").rows()
    [(0.5, 0.751, 0.5, 0.75, 'off_grid')]
    """
    if grid <= 0:
        raise ValueError(f"grid: expected steps a second above 0, got {grid!r}")
    start, end = pl.col("start"), pl.col("end")
    first, last = (start * grid).round(), (end * grid).round()
    last = pl.when((end > start) & (last == first)).then(last + 1).otherwise(last)
    # A column of divisors: by one number Polars divides through its reciprocal, which can be wrong in the last bit.
    steps = pl.col(ROW).cast(pl.Float64) * 0 + grid
    moved = (first / steps != start) | (last / steps != end)
    return notes.with_columns(
        pl.when(moved).then(first / steps).alias(START),
        pl.when(moved).then(last / steps).alias(END),
        pl.when(moved).then(pl.lit("off_grid")).alias(REASON),
    )
