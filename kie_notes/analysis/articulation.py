"""How long notes last, and whether they are joined to what follows or parted from it.

A duration is ``end - start`` in seconds. Ends are the weakest part of a transcription (pedal, reverberation and release
are heard as one), so compare durations of one source with each other. Drums are counted unless one leaves them out,
though the end of a stroke says little. What is less than a microsecond short of a bound counts as on it. A standard
deviation is that of the durations themselves (n, not n - 1, below the line), and null for a single one.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import polars as pl

from kie_notes.analysis.door import notes_helper, per_track
from kie_notes.analysis.grouping import INSTANT, Drums, as_number, exact_sum, finish_groups, group, keep_drums

if TYPE_CHECKING:
    from collections.abc import Sequence

#: The columns of ``note_durations`` after the keys and ``notes``.
_STATISTICS = (
    "mean_duration",
    "std_duration",
    "minimum_duration",
    "lower_quartile_duration",
    "median_duration",
    "upper_quartile_duration",
    "maximum_duration",
)


@notes_helper
def note_durations(notes: pl.LazyFrame, *, by: str | Sequence[str] = "task", drums: Drums = "include") -> pl.LazyFrame:
    """Describe how long the notes last: mean, spread, quartiles and extremes.

    Parameters
    ----------
    notes
        Notes table, any order.
    by
        Column or columns that make the groups; ``()`` pools all notes.
    drums
        Whether percussion is left out, counted too, or counted alone.

    Returns
    -------
    One row per group, sorted; a group without such notes has no row:

    - the columns of ``by``; ``task`` and ``instrument`` are String
    - ``notes`` (UInt32): > 0
    - ``mean_duration``, ``std_duration``, ``minimum_duration``, ``lower_quartile_duration``, ``median_duration``,
      ``upper_quartile_duration``, ``maximum_duration`` (Float64): seconds, >= 0; quartiles are linear between
      neighbours; the deviation is null for a single note

    Raises
    ------
    NotesSchemaError
        If ``notes`` is not a notes table.
    ValueError
        If ``by`` names a column that there is not, or ``drums`` has a value that it cannot have.

    References
    ----------
    McKay, jSymbolic 2.2 manual, feature RT-13 (mean duration). Others that give a mean duration count beats; these are
    seconds.

    Examples
    --------
    >>> import polars as pl
    >>> from kie_notes.notes import NOTES_SCHEMA
    >>> rows = [("a", "Flute", 60, 2.0, end, 0.5, 0) for end in (2.25, 2.5, 2.5, 2.75)]
    >>> durations = note_durations(pl.DataFrame(rows, schema=NOTES_SCHEMA, orient="row"))
    >>> durations.select("task", "notes", "mean_duration", "median_duration", "maximum_duration").rows()
    [('a', 4, 0.5, 0.5, 0.75)]
    """
    chosen, keys = group(keep_drums(notes, drums), by, result=("notes", *_STATISTICS))
    value, values = pl.element(), pl.col("duration").list
    mean = as_number(exact_sum(value)) / value.len()
    variance = as_number(exact_sum((value - mean) ** 2)) / value.len()
    rows = (
        chosen.select(*keys, duration=pl.col("end") - pl.col("start"))
        .group_by(keys)
        .agg("duration")
        .with_columns(
            notes=values.len(),
            mean_duration=values.agg(mean),
            std_duration=pl.when(values.len() > 1).then(values.agg(variance).sqrt()),
            minimum_duration=values.min(),
            lower_quartile_duration=values.agg(value.quantile(0.25, "linear")),
            median_duration=values.median(),
            upper_quartile_duration=values.agg(value.quantile(0.75, "linear")),
            maximum_duration=values.max(),
        )
    )
    return finish_groups(rows, keys, "notes", **{name: pl.col(name) for name in _STATISTICS})


@notes_helper
def staccato_share(
    notes: pl.LazyFrame, *, by: str | Sequence[str] = "task", threshold: float = 0.1, drums: Drums = "include"
) -> pl.LazyFrame:
    """Give the share of notes that are shorter than a tenth of a second.

    Parameters
    ----------
    notes
        Notes table, any order.
    by
        Column or columns that make the groups; ``()`` pools all notes.
    threshold
        Seconds, > 0; a note is short if ``end - start < threshold``.
    drums
        Whether percussion is left out, counted too, or counted alone.

    Returns
    -------
    One row per group, sorted; a group without such notes has no row:

    - the columns of ``by``; ``task`` and ``instrument`` are String
    - ``notes`` (UInt32): > 0
    - ``staccato_share`` (Float64): short notes / ``notes``, 0 to 1

    Raises
    ------
    NotesSchemaError
        If ``notes`` is not a notes table.
    ValueError
        If ``threshold`` is not above 0, ``by`` names a column that there is not, or ``drums`` has a value that it
        cannot have.

    References
    ----------
    McKay, jSymbolic 2.2 manual, feature RT-15 (notes shorter than 0.1 s; drums count there too).

    Examples
    --------
    >>> import polars as pl
    >>> from kie_notes.notes import NOTES_SCHEMA
    >>> rows = [("a", "Flute", 60, 2.0, end, 0.5, 0) for end in (2.05, 2.1, 2.5, 2.75)]
    >>> staccato_share(pl.DataFrame(rows, schema=NOTES_SCHEMA, orient="row")).rows()
    [('a', 4, 0.25)]
    """
    if not 0 < threshold < math.inf:
        raise ValueError(f"threshold: expected seconds above 0, got {threshold!r}")
    chosen, keys = group(keep_drums(notes, drums), by, result=("notes", "staccato_share"))
    short = pl.col("end") - pl.col("start") < threshold - INSTANT
    found = chosen.group_by(keys).agg(notes=pl.len().cast(pl.UInt32), short=short.sum())
    return finish_groups(found, keys, "notes", staccato_share=pl.col("short") / pl.col("notes"))


@notes_helper
def note_overlap(notes: pl.LazyFrame, *, drums: Drums = "exclude") -> pl.LazyFrame:
    """Say how far the notes of each track sound into those that follow them: on another pitch (legato), or their own.

    Two ways on from a note, both within its track:

    - a **transition** leads to the next later onset, unless the note's own pitch has begun again by then;
    - a **repeat** leads to the next note of the same pitch, however far off.

    The overlap of a note is ``end - start of what follows`` where that is positive (more than a microsecond), else 0.
    Notes of a chord are left together by the next onset: none is a transition to another. An overlap in a repeat is one
    pitch sounding twice, which no single string or key can do: more than a few point to a fault of the transcription.

    Parameters
    ----------
    notes
        Notes table in canonical order.
    drums
        Whether percussion is left out, counted too, or counted alone.

    Returns
    -------
    One row per task and track, sorted by both; a track without such notes has no row:

    - ``task``, ``instrument`` (String), ``track`` (UInt16)
    - ``transitions``, ``repeats`` (UInt32): >= 0
    - ``legato_share`` (Float64): transitions with an overlap / ``transitions``, 0 to 1; null where there is none
    - ``legato_seconds`` (Float64): sum of the overlaps of transitions, >= 0
    - ``legato_ratio`` (Float64): ``legato_seconds`` / the time from onset to onset, summed over transitions, >= 0; null
      where there is none
    - ``repeat_overlap_share``, ``repeat_overlap_seconds`` (Float64): the first two of repeats

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
    Bresin and Battel, Articulation strategies in expressive piano performance, Journal of New Music Research 29 (2000):
    the key overlap time, and its ratio to the inter-onset interval. There, it is of consecutive notes of a melody, and
    negative where they are apart; here gaps count as 0.

    Examples
    --------
    >>> import polars as pl
    >>> from kie_notes.notes import NOTES_SCHEMA
    >>> spans = [(60, 0.0, 1.25), (62, 1.0, 2.0), (64, 2.0, 3.5), (64, 3.0, 4.0)]
    >>> rows = [("a", "Flute", pitch, start, end, 0.5, 0) for pitch, start, end in spans]
    >>> note_overlap(pl.DataFrame(rows, schema=NOTES_SCHEMA, orient="row")).rows()
    [('a', 'Flute', 0, 2, 1, 0.5, 0.25, 0.125, 1.0, 0.5)]
    """
    start, pitch = pl.col("start"), pl.col("pitch")
    later = start.shift(-1)
    following = pl.when(later - start > INSTANT).then(later).backward_fill()
    # The notes of a pitch together, by their starts; of those that start together the first to end comes first.
    start_by, end_by, next_by = (x.sort_by(pitch, start, "end") for x in (start, pl.col("end"), following))
    again = pl.when(pitch.sort().shift(-1) == pitch.sort()).then(start_by.shift(-1))
    step = pl.struct(start=start_by, end=end_by, following=next_by, again=again)
    tracks = per_track(keep_drums(notes, drums), step=step).sort("task", "track", "instrument")
    begin, end, onward, same = (pl.element().struct.field(name) for name in ("start", "end", "following", "again"))
    leads_on = onward.is_not_null() & (same.is_null() | (same - onward > INSTANT))
    legato, doubled = (end - onward).filter(leads_on), (end - same).drop_nulls()
    measured = {
        "transitions": legato.len(),
        "legato": (legato > INSTANT).sum(),
        "legato_seconds": as_number(exact_sum(legato.filter(legato > INSTANT))),
        "interval_seconds": as_number(exact_sum((onward - begin).filter(leads_on))),
        "repeats": doubled.len(),
        "doubled": (doubled > INSTANT).sum(),
        "repeat_overlap_seconds": as_number(exact_sum(doubled.filter(doubled > INSTANT))),
    }
    found = tracks.with_columns(**{name: pl.col("step").list.agg(value) for name, value in measured.items()})
    return found.select(
        "task",
        "instrument",
        "track",
        pl.col("transitions", "repeats").cast(pl.UInt32),
        legato_share=(pl.col("legato") / pl.col("transitions")).fill_nan(None),
        legato_seconds=pl.col("legato_seconds"),
        legato_ratio=(pl.col("legato_seconds") / pl.col("interval_seconds")).fill_nan(None),
        repeat_overlap_share=(pl.col("doubled") / pl.col("repeats")).fill_nan(None),
        repeat_overlap_seconds=pl.col("repeat_overlap_seconds"),
    )
