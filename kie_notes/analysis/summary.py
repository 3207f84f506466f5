"""Tasks and their instruments at a glance: one row each, the numbers that one looks at first.

Every number is one of the other modules', by the same definition: pitches without drums (``pitch``), notes per second
with them (``rhythm``), polyphony as distinct pitches (``texture``). ``instrument_summary`` keeps the drums' rows, whose
pitches are percussion keys.
"""

from __future__ import annotations

import polars as pl

from kie_notes.analysis.door import notes_helper, per_task, per_track
from kie_notes.analysis.grouping import as_number, drums_mask, exact_sum
from kie_notes.analysis.texture import polyphony, sounding_seconds


@notes_helper
def task_summary(notes: pl.LazyFrame) -> pl.LazyFrame:
    """Describe each task in one row.

    Parameters
    ----------
    notes
        Notes table in canonical order.

    Returns
    -------
    One row per task, sorted; no notes, no rows. Pitches and polyphony leave drums out and are null for a task of drums
    alone; everything else counts them:

    - ``task`` (String)
    - ``notes``, ``drum_notes``, ``tracks``, ``instruments`` (UInt32): the last are distinct names, drums included
    - ``main_instrument`` (String): the name with most notes, of several the first in the alphabet
    - ``duration`` (Float64): last end in seconds, from 0 s
    - ``notes_per_second`` (Float64): ``notes`` / ``duration``; null where that is 0
    - ``lowest``, ``highest`` (UInt8): MIDI note numbers
    - ``pitch_classes`` (UInt32): distinct ones, 0 to 12
    - ``mean_polyphony`` (Float64), ``maximum_polyphony`` (UInt32): distinct pitches at once, see ``polyphony``
    - ``mean_velocity`` (Float64): over notes, 0-1
    - ``velocity_levels`` (UInt32): distinct velocities; where it is 1, velocity says nothing

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
    >>> rows = [("a", "Flute", 60, 0.0, 2.0, 0.5, 0), ("a", "Drums", 36, 1.0, 1.5, 0.75, 1)]
    >>> summary = task_summary(pl.DataFrame(rows, schema=NOTES_SCHEMA, orient="row"))
    >>> summary.select("notes", "drum_notes", "main_instrument", "highest", "mean_polyphony").rows()
    [(2, 1, 'Drums', 60, 1.0)]
    """
    pitch, drum = pl.col("pitch"), pl.col("__drum")
    pitched = pitch.filter(~drum)
    counted = per_task(
        notes.with_columns(drums_mask().alias("__drum")),
        notes=pl.len().cast(pl.UInt32),
        drum_notes=drum.sum().cast(pl.UInt32),
        tracks=pl.col("track").n_unique().cast(pl.UInt32),
        instruments=pl.col("instrument").n_unique().cast(pl.UInt32),
        main_instrument=pl.col("instrument").mode().cast(pl.String).min(),
        duration=pl.col("end").max(),
        lowest=pitched.min(),
        highest=pitched.max(),
        pitch_classes=(pitched % 12).n_unique().cast(pl.UInt32),
        mean_velocity=pl.col("velocity").cast(pl.Float64).mean(),
        velocity_levels=pl.col("velocity").n_unique().cast(pl.UInt32),
    )
    density = pl.when(pl.col("duration") > 0).then(pl.col("notes") / pl.col("duration"))
    return (
        counted.join(polyphony(notes), on="task", how="left")
        .with_columns(notes_per_second=density)
        .select(
            *(
                "task",
                "notes",
                "drum_notes",
                "tracks",
                "instruments",
                "main_instrument",
                "duration",
                "notes_per_second",
            ),
            *("lowest", "highest", "pitch_classes", "mean_polyphony", "maximum_polyphony"),
            *("mean_velocity", "velocity_levels"),
        )
        .sort("task")
    )


@notes_helper
def instrument_summary(notes: pl.LazyFrame) -> pl.LazyFrame:
    """Describe each track of each task in one row.

    Parameters
    ----------
    notes
        Notes table in canonical order. Drums are described like any instrument; their pitches are percussion keys.

    Returns
    -------
    One row per task and track, sorted by both; no notes, no rows:

    - ``task``, ``instrument`` (String), ``track`` (UInt16): two tracks of one name are two rows
    - ``notes`` (UInt32): > 0
    - ``lowest``, ``highest`` (UInt8): MIDI note numbers
    - ``mean_pitch`` (Float64): over notes
    - ``mean_pitch_by_seconds`` (Float64): weighted by duration; null where no note has any
    - ``pitch_q05``, ``pitch_q95`` (Float64): 5 % and 95 % quantiles over notes, linear between neighbours
    - ``sounding_seconds`` (Float64): time in which at least one note of the track sounds, >= 0
    - ``mean_velocity`` (Float64): over notes, 0-1
    - ``velocity_levels`` (UInt32): distinct velocities; where it is 1, velocity says nothing

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
    >>> rows = [("a", "Flute", 60, 0.0, 3.0, 0.5, 0), ("a", "Flute", 64, 1.0, 2.0, 0.5, 0)]
    >>> summary = instrument_summary(pl.DataFrame(rows, schema=NOTES_SCHEMA, orient="row"))
    >>> summary.select("instrument", "notes", "mean_pitch", "mean_pitch_by_seconds", "sounding_seconds").rows()
    [('Flute', 2, 62.0, 61.0, 3.0)]
    """
    pitch, seconds = pl.col("pitch"), pl.col("end") - pl.col("start")
    tracks = per_track(
        notes,
        notes=pl.len().cast(pl.UInt32),
        lowest=pitch.min(),
        highest=pitch.max(),
        mean_pitch=pitch.mean(),
        mean_pitch_by_seconds=(as_number(exact_sum(pitch * seconds)) / as_number(exact_sum(seconds))).fill_nan(None),
        pitch_q05=pitch.quantile(0.05, "linear"),
        pitch_q95=pitch.quantile(0.95, "linear"),
        sounding_seconds=sounding_seconds(),
        mean_velocity=pl.col("velocity").cast(pl.Float64).mean(),
        velocity_levels=pl.col("velocity").n_unique().cast(pl.UInt32),
    )
    return tracks.sort("task", "track", "instrument")
