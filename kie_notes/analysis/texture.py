"""How many notes sound together, and when each instrument plays.

A note sounds during ``[start, end)``: at its end it is over, and a note without duration never sounds. What sounds
twice sounds once: notes of one pitch that overlap are one pitch, notes of one instrument that overlap are one stretch
of its playing. Times are real seconds and sums are over the exact stretches; no grid is laid over the notes. Ends and
starts that are a microsecond apart meet (the rounding of floats is no overlap).
"""

from __future__ import annotations

import numpy as np
import polars as pl

from kie_notes.analysis.batches import TaskNotes, over_tasks
from kie_notes.analysis.door import notes_helper, per_task, per_track
from kie_notes.analysis.grouping import INSTANT, Drums, keep_drums
from kie_notes.analysis.sweep import exact_sums, held_seconds, most_at_once, pieces, turns

_POLYPHONY = pl.Schema(
    {
        "task": pl.String(),
        "mean_polyphony": pl.Float64(),
        "maximum_polyphony": pl.UInt32(),
        "sounding_seconds": pl.Float64(),
    }
)
_CURVE = pl.Schema({"task": pl.String(), "start": pl.Float64(), "end": pl.Float64(), "pitches": pl.UInt32()})
_SECONDS = pl.Schema({"task": pl.String(), "seconds": pl.Float64()})


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
    found = over_tasks(notes, drums, _most_and_mean, _POLYPHONY, sounding_seconds=sounding_seconds())
    return found.sort("task")


def _most_and_mean(some: TaskNotes) -> pl.DataFrame:
    cut, sounding = pieces(some), pl.col("sounding_seconds")
    sums = some.tasks.with_columns(held=held_seconds(cut), maximum_polyphony=most_at_once(cut))
    sounds = sounding > INSTANT
    return sums.select(
        "task",
        mean_polyphony=pl.when(sounds).then(pl.col("held") / sounding),
        maximum_polyphony=pl.col("maximum_polyphony").cast(pl.UInt32),
        sounding_seconds=pl.when(sounds).then(sounding).otherwise(0.0),
    )


@notes_helper
def polyphony_curve(notes: pl.LazyFrame, *, drums: Drums = "exclude") -> pl.LazyFrame:
    """Give the number of distinct pitches that sound, as a step function of time.

    Parameters
    ----------
    notes
        Notes table in canonical order.
    drums
        Whether percussion is left out, counted too, or counted alone.

    Returns
    -------
    One row per task and stretch of time in which the number does not change, from 0 s to the last end, silence
    included, without gap or overlap, sorted by task and start; a task in which nothing sounds has no row:

    - ``task`` (String)
    - ``start``, ``end`` (Float64): seconds, the stretch is ``[start, end)``
    - ``pitches`` (UInt32): distinct pitches that sound, >= 0; another than in the rows before and after

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
    The number of pitches in each column of a piano roll, without its frames. ``polyphony`` gives its mean over the time
    in which anything sounds, and its maximum.

    Examples
    --------
    >>> import polars as pl
    >>> from kie_notes.notes import NOTES_SCHEMA
    >>> flute, oboe = ("a", "Flute", 60, 1.0, 3.0, 0.5, 0), ("a", "Oboe", 64, 2.0, 3.5, 0.5, 1)
    >>> polyphony_curve(pl.DataFrame([flute, oboe], schema=NOTES_SCHEMA, orient="row")).rows()
    [('a', 0.0, 1.0, 0), ('a', 1.0, 2.0, 1), ('a', 2.0, 3.0, 2), ('a', 3.0, 3.5, 1)]
    """
    lists = pl.Schema({name: dtype if name == "task" else pl.List(dtype) for name, dtype in _CURVE.items()})
    # Sorting tasks and then unfolding them costs a fraction of sorting rows by their names.
    return over_tasks(notes, drums, _stretches, lists).sort("task").explode("start", "end", "pitches")


def _stretches(some: TaskNotes) -> pl.DataFrame:
    found = turns(pieces(some))
    same = found.task[1:] == found.task[:-1]
    columns = {"start": found.at[:-1][same], "end": found.at[1:][same], "pitches": found.pitches[:-1][same]}
    rows = pl.DataFrame({"row": found.task[:-1][same], **columns}).with_columns(pl.col("pitches").cast(pl.UInt32))
    tasks = rows.group_by(pl.col("row").set_sorted(), maintain_order=True).agg(pl.all())
    return tasks.select(some.names.gather(tasks["row"]), pl.exclude("row"))


@notes_helper
def polyphony_rate(notes: pl.LazyFrame, *, threshold: int = 2, drums: Drums = "exclude") -> pl.LazyFrame:
    """Give the share of the time in which at least two (``threshold``) distinct pitches sound.

    Parameters
    ----------
    notes
        Notes table in canonical order.
    threshold
        Pitches, >= 1; the time counts in which as many or more sound (``>=``).
    drums
        Whether percussion is left out, counted too, or counted alone.

    Returns
    -------
    One row per task, sorted by task; a task without such notes has 0:

    - ``task`` (String)
    - ``polyphony_rate`` (Float64): of the task's length, which is from 0 s to the last end of any note, drums or not, 0
      to 1; null where that length is 0

    Raises
    ------
    NotesSchemaError
        If ``notes`` is not a notes table.
    NotesOrderError
        If a task's notes do not stand together or their starts descend (an ``InvalidOperationError`` of the same text
        when a LazyFrame is collected).
    ValueError
        If ``threshold`` is below 1, or ``drums`` has a value that it cannot have.

    References
    ----------
    Dong et al., MuseGAN, AAAI 2018 ("polyphonicity"). ``muspy.polyphony_rate`` counts the steps with **more** pitches
    than its ``threshold`` (``>``, though its text reads otherwise): its 2 is 3 here, its 1 is 2.

    Examples
    --------
    >>> import polars as pl
    >>> from kie_notes.notes import NOTES_SCHEMA
    >>> flute, oboe = ("a", "Flute", 60, 1.0, 3.0, 0.5, 0), ("a", "Oboe", 64, 2.0, 4.0, 0.5, 1)
    >>> polyphony_rate(pl.DataFrame([flute, oboe], schema=NOTES_SCHEMA, orient="row")).rows()
    [('a', 0.25)]
    """
    if threshold < 1:
        raise ValueError(f"threshold: expected 1 or more pitches, got {threshold!r}")

    def full(some: TaskNotes) -> pl.DataFrame:
        found = turns(pieces(some))
        same = found.task[1:] == found.task[:-1]
        counted = np.where(same & (found.pitches[:-1] >= threshold), np.diff(found.at), 0.0)
        first = np.flatnonzero(np.diff(found.task, prepend=-1))
        return some.tasks.with_columns(seconds=exact_sums(np.append(counted, 0.0), first))

    seconds = over_tasks(notes, drums, full, _SECONDS)
    return _share_of_length(notes, seconds).select("task", polyphony_rate="share")


@notes_helper
def silence_fraction(notes: pl.LazyFrame, *, drums: Drums = "exclude") -> pl.LazyFrame:
    """Give the share of the time in which nothing sounds.

    Parameters
    ----------
    notes
        Notes table in canonical order.
    drums
        Whether percussion is left out, counted too, or counted alone.

    Returns
    -------
    One row per task, sorted by task; a task without such notes has 1:

    - ``task`` (String)
    - ``silence_fraction`` (Float64): of the task's length, which is from 0 s to the last end of any note, drums or not,
      0 to 1; null where that length is 0

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
    McKay, jSymbolic 2.2 manual, feature R-41 "Complete Rests Fraction". ``muspy.empty_beat_rate`` asks it of beats,
    where a beat counts as full when a note merely ends on it.

    Examples
    --------
    >>> import polars as pl
    >>> from kie_notes.notes import NOTES_SCHEMA
    >>> flute, oboe = ("a", "Flute", 60, 1.0, 3.0, 0.5, 0), ("a", "Oboe", 64, 2.0, 4.0, 0.5, 1)
    >>> silence_fraction(pl.DataFrame([flute, oboe], schema=NOTES_SCHEMA, orient="row")).rows()
    [('a', 0.25)]
    """
    sounding = per_task(keep_drums(notes, drums), seconds=sounding_seconds())
    return _share_of_length(notes, sounding).select("task", silence_fraction=1 - pl.col("share"))


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


def _share_of_length(notes: pl.LazyFrame, sounding: pl.LazyFrame) -> pl.LazyFrame:
    """Divide each task's ``seconds`` (none: 0) by its length, that of all its notes: ``task``, ``share``."""
    lengths = per_task(notes, length=pl.col("end").max())
    seconds = pl.col("seconds").fill_null(0.0)
    share = pl.when(pl.col("length") > 0).then((seconds / pl.col("length")).clip(0.0, 1.0))
    return lengths.join(sounding, on="task", how="left").select("task", share=share).sort("task")
