"""How onsets lie against the beats: how alike from group to group, how far off the beat, how swung, how exact.

Everything is measured against beats alone, since where bars begin is not known. Beats may be given; otherwise they are
estimated from all the notes (``kie_notes.analysis.positions`` says how, and what a position is). Whatever ``drums``
chooses is measured against the same beats.

An **onset** is a time at which one or more of the chosen notes start. Onsets before the first beat, and from the last
beat on, are not counted; a task without any that is has no row. ``steps`` divide the beat equally, and an onset is at
the nearest (one in the middle at the later; after the last of a beat comes the next beat).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import polars as pl

from kie_notes.analysis.door import notes_helper
from kie_notes.analysis.grouping import as_number, exact_sum
from kie_notes.analysis.positions import onset_positions

if TYPE_CHECKING:
    from kie_notes.analysis.grouping import Drums

#: A beat as the helpers take it.
_Beats = pl.LazyFrame | pl.DataFrame | None

#: An onset this near to a beat, as a share of the beat, is that beat's own in ``swing_ratio``.
_ON_BEAT: Final = 1 / 8

#: Where the second of two swung eighths may start, as a share of the beat: ratios of 2:3 to 4:1.
_OFF_BEAT: Final = (0.4, 0.8)


@notes_helper
def groove_consistency(
    notes: pl.LazyFrame, *, beats: _Beats = None, steps: int = 4, group: int = 4, drums: Drums = "include"
) -> pl.LazyFrame:
    """Say how alike the onset patterns of neighbouring groups of beats are.

    A pattern says of each step whether an onset is there. Every beat is compared with the one ``group`` beats later,
    which needs no bar lines: it is the comparison of neighbouring groups, averaged over all beats that a group could
    begin at.

    Parameters
    ----------
    notes
        Notes table in canonical order.
    beats
        Table with ``task`` (text) and ``time`` (Float64, seconds), one row per beat; without it beats are estimated.
    steps
        Steps per beat, 1 to 96.
    group
        Beats per group, 1 to 64: those of a bar or a phrase.
    drums
        Whether percussion is left out, counted too, or counted alone.

    Returns
    -------
    One row per task, sorted by task; a task without onsets between its beats has no row:

    - ``task`` (String)
    - ``groove_consistency`` (Float64): 1 - the share of steps that differ (Hamming distance), 0 to 1; null where the
      task has not more than ``group`` beats that have a next one
    - ``shared_onsets`` (Float64): of the steps that have an onset in either pattern, the share that has one in both
      (Jaccard index), 0 to 1; null also where there is none. It does not grow with silence, as the other does
    - ``compared_beats`` (UInt32): beats that have one ``group`` beats later

    Raises
    ------
    NotesSchemaError
        If ``notes`` is not a notes table, or ``beats`` no table of beats.
    NotesOrderError
        If a task's notes do not stand together or their starts descend (an ``InvalidOperationError`` of the same text
        when a LazyFrame is collected).
    ValueError
        If an option has a value that it cannot have.

    References
    ----------
    S.-L. Wu and Y.-H. Yang, "The Jazz Transformer on the front line", 2020: grooving pattern similarity, of all pairs
    of bars. ``muspy.groove_consistency``: of neighbouring bars; equal to it with ``measure_resolution = steps * group``
    where a bar is a group and the beats are those of whole bars. (At a file's own resolution muspy's steps are almost
    all empty and the value is almost 1, and a piece that ends on a bar line gets an empty bar more.)

    Examples
    --------
    >>> import polars as pl
    >>> from kie_notes.notes import NOTES_SCHEMA
    >>> rows = [("a", "Flute", 60, start, 9.0, 0.5, 0) for start in (0.0, 0.5, 1.0, 1.5, 2.0, 3.0)]
    >>> taps = pl.DataFrame({"task": ["a"] * 5, "time": [0.0, 1.0, 2.0, 3.0, 4.0]})
    >>> notes = pl.DataFrame(rows, schema=NOTES_SCHEMA, orient="row")
    >>> groove_consistency(notes, beats=taps, steps=2, group=2).rows()
    [('a', 0.5, 0.5, 2)]
    """
    _check_count("steps", steps, 96)
    _check_count("group", group, 64)
    line = (pl.col("position") * steps + 0.5 + 1e-9).floor().cast(pl.Int64)
    found = onset_positions(notes, beats, drums).with_columns(step=pl.col("beat") * steps + line)
    step, size = pl.col("step"), pl.col("beats").first() * steps
    width = size - group * steps
    here, there = step.unique(), step.unique() - group * steps
    tasks = found.group_by("task").agg(
        size=pl.max_horizontal(width, 0),
        left=((here >= 0) & (here < width)).sum().cast(pl.Int64),
        right=((there >= 0) & (there < width)).sum().cast(pl.Int64),
        both=here.filter(here < width).append(there.filter((there >= 0) & (there < width))).is_duplicated().sum() // 2,
    )
    either = pl.col("left") + pl.col("right") - pl.col("both").cast(pl.Int64)
    differ = either - pl.col("both").cast(pl.Int64)
    return tasks.select(
        "task",
        groove_consistency=pl.when(pl.col("size") > 0).then(1 - differ / pl.col("size")),
        shared_onsets=pl.when(either > 0).then(pl.col("both") / either),
        compared_beats=(pl.col("size") // steps).cast(pl.UInt32),
    ).sort("task")


@notes_helper
def syncopation(
    notes: pl.LazyFrame, *, beats: _Beats = None, steps: int = 12, drums: Drums = "include"
) -> pl.LazyFrame:
    """Say how syncopated the onsets are: weighted note-to-beat distance, and the share of onsets off the beat.

    An onset on a beat weighs 0. One off the beat weighs 1 / its distance to the nearest beat (as a share of the beat),
    twice that if it lasts beyond the next beat but not beyond the one after. It lasts until the next onset; the last
    onset until the next beat. The measure is the mean of all weights.

    Parameters
    ----------
    notes
        Notes table in canonical order.
    beats
        Table with ``task`` (text) and ``time`` (Float64, seconds), one row per beat; without it beats are estimated.
    steps
        Steps per beat that onsets are moved to before, 2 to 96: without it, an onset a little early would be far more
        syncopated than any other. 12 holds quarters and thirds of the beat.
    drums
        Whether percussion is left out, counted too, or counted alone.

    Returns
    -------
    One row per task, sorted by task; a task without onsets between its beats has no row:

    - ``task`` (String)
    - ``syncopation`` (Float64): mean weight, 0 to 2 * ``steps``; 0 where all onsets are on beats
    - ``off_beat_share`` (Float64): onsets that are not on a beat / onsets, 0 to 1
    - ``onsets`` (UInt32): distinct onsets after they were moved, > 0

    Raises
    ------
    NotesSchemaError
        If ``notes`` is not a notes table, or ``beats`` no table of beats.
    NotesOrderError
        If a task's notes do not stand together or their starts descend (an ``InvalidOperationError`` of the same text
        when a LazyFrame is collected).
    ValueError
        If an option has a value that it cannot have.

    References
    ----------
    F. Gómez, A. Melvin, D. Rappaport and G. Toussaint, "Mathematical measures of syncopation", Bridges 2005: WNBD. It
    is made for one rhythm; here the onsets of all chosen notes are one rhythm.

    Examples
    --------
    The son clave, sixteen steps in four beats, has (0 + 8 + 4 + 2 + 0) / 5:

    >>> import polars as pl
    >>> from kie_notes.notes import NOTES_SCHEMA
    >>> rows = [("a", "Claves", 75, k / 4, 9.0, 0.5, 0) for k in (0, 3, 6, 10, 12)]
    >>> taps = pl.DataFrame({"task": ["a"] * 5, "time": [0.0, 1.0, 2.0, 3.0, 4.0]})
    >>> syncopation(pl.DataFrame(rows, schema=NOTES_SCHEMA, orient="row"), beats=taps).rows()
    [('a', 2.8, 0.6, 5)]
    """
    _check_count("steps", steps, 96, least=2)
    line = (pl.col("position") * steps + 0.5 + 1e-9).floor().cast(pl.Int64)
    found = onset_positions(notes, beats, drums).with_columns(step=pl.col("beat") * steps + line)
    step = pl.col("step").unique().sort()
    onsets = found.group_by("task").agg(step=step, lasts=step.shift(-1)).explode("step", "lasts")
    into = pl.col("step") % steps
    next_beat = pl.col("step") - into + steps
    tied = (pl.col("lasts") > next_beat) & (pl.col("lasts") <= next_beat + steps)
    distance = pl.min_horizontal(into, steps - into)
    weight = pl.when(into > 0).then((1 + tied.fill_null(value=False).cast(pl.Int64)) * steps / distance).otherwise(0.0)
    tasks = onsets.with_columns(weight=weight, off=into > 0).group_by("task")
    total = tasks.agg(sum=exact_sum(pl.col("weight")), off=pl.col("off").sum(), onsets=pl.len())
    return total.select(
        "task",
        syncopation=as_number(pl.col("sum")) / pl.col("onsets"),
        off_beat_share=pl.col("off") / pl.col("onsets"),
        onsets=pl.col("onsets").cast(pl.UInt32),
    ).sort("task")


@notes_helper
def swing_ratio(notes: pl.LazyFrame, *, beats: _Beats = None, drums: Drums = "include") -> pl.LazyFrame:
    """Give the ratio of the long to the short eighth in the beats that two eighths fill.

    Such a beat has an onset on it (within an eighth of the beat) and exactly one more before the next beat's own, at
    0.4 to 0.8 of the beat. The first eighth lasts from the beat to that onset, the second from there to the next beat.

    Parameters
    ----------
    notes
        Notes table in canonical order.
    beats
        Table with ``task`` (text) and ``time`` (Float64, seconds), one row per beat; without it beats are estimated.
    drums
        Whether percussion is left out, counted too, or counted alone.

    Returns
    -------
    One row per task, sorted by task; a task without onsets between its beats has no row:

    - ``task`` (String)
    - ``swing_ratio`` (Float64): median of the ratios, 2/3 to 4: 1 is straight, 2 a triplet's; null where no beat has
      two eighths
    - ``swing_spread`` (Float64): upper less lower quartile of the ratios, interpolated, >= 0; null with it
    - ``swung_beats`` (UInt32): beats that have a ratio

    Raises
    ------
    NotesSchemaError
        If ``notes`` is not a notes table, or ``beats`` no table of beats.
    NotesOrderError
        If a task's notes do not stand together or their starts descend (an ``InvalidOperationError`` of the same text
        when a LazyFrame is collected).
    ValueError
        If ``drums`` has a value that it cannot have.

    References
    ----------
    A. Friberg and A. Sundström, "Swing ratios and ensemble timing in jazz performance", Music Perception 19, 2002; C.
    Corcoran and K. Frieler, "Playing it straight", Music Perception 38, 2021 (beat-upbeat ratio). Here the beats, not
    the first onset, begin and end the eighths, and a beat at the level of the eighths has no ratio.

    Examples
    --------
    >>> import polars as pl
    >>> from kie_notes.notes import NOTES_SCHEMA
    >>> rows = [("a", "Ride", 51, start, 9.0, 0.5, 0) for start in (0.0, 0.6, 1.0, 1.5, 2.0, 2.75, 3.0)]
    >>> taps = pl.DataFrame({"task": ["a"] * 4, "time": [0.0, 1.0, 2.0, 3.0]})
    >>> found = swing_ratio(pl.DataFrame(rows, schema=NOTES_SCHEMA, orient="row"), beats=taps)
    >>> found.with_columns(pl.selectors.float().round(6)).rows()
    [('a', 1.5, 1.0, 3)]
    """
    position = pl.col("position")
    low, high = _OFF_BEAT
    early = position >= 1 - _ON_BEAT
    own = pl.col("beat") + early.cast(pl.Int64)
    between = ~early & (position >= _ON_BEAT)
    found = onset_positions(notes, beats, drums).with_columns(own=own, between=between)
    off = position.filter(pl.col("between"))
    eighths = found.group_by("task", "own").agg(on=(~pl.col("between")).any(), more=off.len(), off=off.first())
    two = pl.col("on") & (pl.col("more") == 1) & pl.col("off").is_between(low - 1e-9, high + 1e-9)
    ratio = (pl.col("off") / (1 - pl.col("off"))).filter(two)
    quartiles = ratio.quantile(0.75, "linear") - ratio.quantile(0.25, "linear")
    tasks = eighths.group_by("task").agg(
        swing_ratio=ratio.median(), swing_spread=quartiles, swung_beats=two.sum().cast(pl.UInt32)
    )
    return tasks.sort("task")


@notes_helper
def microtiming(notes: pl.LazyFrame, *, beats: _Beats = None, steps: int = 4, drums: Drums = "include") -> pl.LazyFrame:
    """Say how far onsets are from the steps of the beats: on average, in size, and in spread.

    A deviation is positive where the onset is late. Beats that were estimated are placed on onsets, so that onsets on
    beats deviate by nothing: for the timing of a player, give beats from elsewhere (a click).

    Parameters
    ----------
    notes
        Notes table in canonical order.
    beats
        Table with ``task`` (text) and ``time`` (Float64, seconds), one row per beat; without it beats are estimated.
    steps
        Steps per beat, 1 to 96: no deviation is above half a step.
    drums
        Whether percussion is left out, counted too, or counted alone.

    Returns
    -------
    One row per task, sorted by task; a task without onsets between its beats has no row:

    - ``task`` (String)
    - ``mean_deviation`` (Float64): seconds, negative where onsets are early
    - ``mean_absolute_deviation`` (Float64): seconds, >= 0
    - ``deviation_spread`` (Float64): population standard deviation in seconds, >= 0
    - ``onsets`` (UInt32): distinct onsets, > 0

    Raises
    ------
    NotesSchemaError
        If ``notes`` is not a notes table, or ``beats`` no table of beats.
    NotesOrderError
        If a task's notes do not stand together or their starts descend (an ``InvalidOperationError`` of the same text
        when a LazyFrame is collected).
    ValueError
        If an option has a value that it cannot have.

    References
    ----------
    J. Bilmes, "Timing is of the essence", 1993 (deviations from the finest pulse); J. Gillick et al., "Learning to
    groove with inverse sequence transformations", 2019 (offsets from a grid of sixteenths).

    Examples
    --------
    >>> import polars as pl
    >>> from kie_notes.notes import NOTES_SCHEMA
    >>> rows = [("a", "Flute", 60, start, 9.0, 0.5, 0) for start in (0.0, 0.3125, 0.75, 0.9375)]
    >>> taps = pl.DataFrame({"task": ["a", "a"], "time": [0.0, 1.0]})
    >>> found = microtiming(pl.DataFrame(rows, schema=NOTES_SCHEMA, orient="row"), beats=taps)
    >>> found.drop("deviation_spread").rows()
    [('a', 0.0, 0.03125, 4)]
    """
    _check_count("steps", steps, 96)
    line = (pl.col("position") * steps + 0.5 + 1e-9).floor()
    late = (pl.col("position") - line / steps) * pl.col("seconds")
    found = onset_positions(notes, beats, drums).with_columns(late=late)
    onsets, deviation = pl.col("onsets"), pl.col("late")
    sums = {"sum": deviation, "size": deviation.abs(), "square": deviation * deviation}
    totals = found.group_by("task").agg(onsets=pl.len(), **{name: exact_sum(values) for name, values in sums.items()})
    mean, size, square = (as_number(pl.col(name)) / onsets for name in sums)
    return totals.select(
        "task",
        mean_deviation=mean,
        mean_absolute_deviation=size,
        deviation_spread=(square - mean * mean).clip(lower_bound=0).sqrt(),
        onsets=onsets.cast(pl.UInt32),
    ).sort("task")


def _check_count(option: str, value: int, most: int, *, least: int = 1) -> None:
    if not least <= value <= most:
        raise ValueError(f"{option}: expected {least} to {most}, got {value!r}")
