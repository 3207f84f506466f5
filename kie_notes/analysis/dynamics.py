"""How loud the notes are, how far that spreads, and how it changes from onset to onset.

A velocity is a number from 0 to 1, the MIDI velocity divided by 127 (jSymbolic's loudness is the MIDI velocity, 0 to
127, scaled by the channel's volume, which the notes do not have). Drums are counted unless one leaves them out.

Transcribed velocities are often **one constant per instrument**. A spread is then no measure of anything played, so it
is null, and ``reason`` says why:

- ``one velocity``: all of the group's notes have one and the same
- ``one velocity per track``: no track of the group has two; what differs is one instrument from another
- ``one onset`` (changes alone): there is nothing to change to

Deviations have the divisor n (``ddof=0``): the notes are the piece, no sample of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal

import polars as pl

from kie_notes.analysis.door import notes_helper, per_track
from kie_notes.analysis.grouping import (
    INSTANT,
    Drums,
    as_number,
    check_choice,
    exact_sum,
    finish_groups,
    group,
    keep_drums,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

#: What a change of velocity is averaged over.
Scope = Literal["task", "track"]

#: What makes a track: one instrument of one task.
_TRACK: Final = ("task", "track", "instrument")

#: Velocities are compared as integer multiples of 1 / this, which is below the spacing of Float32 from 1/256 upwards.
_STEPS: Final = 2**32


@notes_helper
def velocity_statistics(
    notes: pl.LazyFrame, *, by: str | Sequence[str] = "task", drums: Drums = "include"
) -> pl.LazyFrame:
    """Give the mean velocity, its spread and range, and the number of different velocities.

    Parameters
    ----------
    notes
        Notes table, any order.
    by
        Column or columns that make the groups: ``task``, ``("task", "track")``, or any that was joined on. ``()`` pools
        all notes.
    drums
        Whether percussion is left out, counted too, or counted alone.

    Returns
    -------
    One row per group, sorted; a group without such notes has no row:

    - the columns of ``by``; ``task`` and ``instrument`` are String
    - ``mean_velocity`` (Float64): over notes, 0 to 1
    - ``standard_deviation`` (Float64): over notes, of the population (``ddof=0``), 0 to 0.5; null where ``reason`` is
    not
    - ``lowest``, ``highest`` (Float32): velocities, 0 to 1
    - ``range`` (Float64): from the lowest to the highest, 0 to 1; null where ``reason`` is not
    - ``velocity_levels`` (UInt32): different velocities, > 0
    - ``reason`` (String): why there is no spread, ``one velocity`` or ``one velocity per track``; null where there is
    one

    Raises
    ------
    NotesSchemaError
        If ``notes`` is not a notes table.
    ValueError
        If ``by`` names a column that there is not, or ``drums`` has a value that it cannot have.

    References
    ----------
    McKay, jSymbolic 2.2 manual, features D-1 "Dynamic Range" and D-2 "Variation of Dynamics", divided by 127. D-3
    "Variation of Dynamics in Each Voice" is the mean over a task's tracks of the standard deviation by track.

    Examples
    --------
    >>> import polars as pl
    >>> from kie_notes.notes import NOTES_SCHEMA
    >>> flute = [("a", "Flute", 60, 0.0, 1.0, velocity, 0) for velocity in (0.25, 0.75)]
    >>> notes = pl.DataFrame([*flute, ("a", "Oboe", 60, 0.0, 1.0, 0.5, 1)], schema=NOTES_SCHEMA, orient="row")
    >>> statistics = velocity_statistics(notes, by=("task", "instrument"))
    >>> statistics.select("instrument", "mean_velocity", "standard_deviation", "range", "reason").rows()
    [('Flute', 0.5, 0.25, 0.5, None), ('Oboe', 0.5, None, None, 'one velocity')]
    """
    result = ("mean_velocity", "standard_deviation", "lowest", "highest", "range", "velocity_levels", "reason")
    chosen, keys = group(keep_drums(notes, drums), by, result=result)
    cells = [*keys, *(name for name in (*_TRACK, "velocity") if name not in keys)]
    count, velocity = pl.col("count"), pl.col("velocity").cast(pl.Float64)
    mean = as_number(exact_sum(velocity * count)) / count.sum()
    variance = as_number(exact_sum(count * (velocity - mean) ** 2)) / count.sum()
    found = chosen.group_by(cells).agg(count=pl.len()).group_by(keys)
    spread = found.agg(
        mean_velocity=mean,
        standard_deviation=variance.sqrt(),
        lowest=pl.col("velocity").min(),
        highest=pl.col("velocity").max(),
        range=velocity.max() - velocity.min(),
        velocity_levels=pl.col("velocity").n_unique().cast(pl.UInt32),
        varied=pl.struct(_TRACK).n_unique() < pl.len(),  # a track has as many cells as velocities
    )
    rows = spread.with_columns(reason=_no_spread(pl.col("velocity_levels") == 1, pl.col("varied"))).with_columns(
        pl.when(pl.col("reason").is_null()).then(pl.col("standard_deviation", "range"))
    )
    return finish_groups(rows, keys, "mean_velocity", **{name: pl.col(name) for name in result[1:]})


@notes_helper
def velocity_change(notes: pl.LazyFrame, *, by: Scope = "task", drums: Drums = "include") -> pl.LazyFrame:
    """Give the mean change of velocity from one onset of a track to its next.

    An onset is as loud as the loudest of the notes that start there (within a microsecond), so a chord's voicing is no
    change and the order of its notes makes no difference.

    Parameters
    ----------
    notes
        Notes table in canonical order.
    by
        Whether to average over the changes of each task, those of all its tracks, or of each track.
    drums
        Whether percussion is left out, counted too, or counted alone.

    Returns
    -------
    One row per task, or per task and track, sorted; no such notes, no row:

    - ``task`` (String); for ``track`` also ``instrument`` (String), ``track`` (UInt16)
    - ``mean_velocity_change`` (Float64): mean of the absolute changes, 0 to 1; null where ``reason`` is not
    - ``changes`` (UInt32): the onsets but the first of each track, >= 0
    - ``reason`` (String): why there is no change, ``one velocity``, ``one velocity per track`` or ``one onset``; null
      where there is one

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
    McKay, jSymbolic 2.2 manual, feature D-4 "Average Note to Note Change in Dynamics", divided by 127. Three
    differences: it goes from note to note in the order of the file, chords included; its program divides the sum by the
    number of notes, not of changes; and it is 0 where it is null here.

    Examples
    --------
    >>> import polars as pl
    >>> from kie_notes.notes import NOTES_SCHEMA
    >>> rows = [("a", "Flute", 60, start, 4.0, velocity, 0) for start, velocity in ((0, 0.25), (1, 0.75), (2, 0.5))]
    >>> velocity_change(pl.DataFrame(rows, schema=NOTES_SCHEMA, orient="row")).rows()
    [('a', 0.375, 2, None)]
    """
    check_choice("by", by, Scope)
    begins = (pl.col("start").diff() > INSTANT).fill_null(value=True)
    steps = (pl.col("velocity").cast(pl.Float64) * _STEPS).round().cast(pl.Int64)
    # Onsets are numbered upwards, so the running maximum of (onset, velocity) holds the loudest of the onset so far.
    loudest = (begins.cum_sum().cast(pl.Int64) * (2 * _STEPS) + steps).cum_max() % (2 * _STEPS)
    tracks = per_track(
        keep_drums(notes, drums),
        changed=loudest.filter(begins.shift(-1, fill_value=True)).diff().abs().sum(),
        changes=(begins.sum() - 1).cast(pl.UInt32),
        quietest=pl.col("velocity").min(),
        loudest=pl.col("velocity").max(),
    )
    keys = ["task"] if by == "task" else ["task", "instrument", "track"]
    changed, changes, quietest = pl.col("changed"), pl.col("changes"), pl.col("quietest")
    found = tracks.group_by(keys).agg(
        changed=changed.sum(),
        changes=changes.sum().cast(pl.UInt32),
        constant=quietest.min() == pl.col("loudest").max(),
        varied=(quietest < pl.col("loudest")).any(),
    )
    reason = pl.when(changes == 0).then(pl.lit("one onset")).otherwise(_no_spread(pl.col("constant"), pl.col("varied")))
    mean = pl.when(reason.is_null()).then(changed.cast(pl.Float64) / _STEPS / changes)
    ordered = found.sort([key for key in _TRACK if key in keys])
    return ordered.select(*keys, mean_velocity_change=mean, changes=changes, reason=reason)


def _no_spread(constant: pl.Expr, varied: pl.Expr) -> pl.Expr:
    """Say why velocities have no spread, if they have none: the group's are one, or each of its tracks' are."""
    one, each = pl.lit("one velocity"), pl.lit("one velocity per track")
    return pl.when(constant).then(one).when(~varied).then(each)
