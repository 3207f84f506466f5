"""How the tracks of a task go together: whether they begin notes together, and whether they play the same notes.

Both helpers compare each track with each other track of its task; two tracks of one name are two tracks. Drums are
compared where it is about time, and left out where it is about pitch. Onsets of players who play together lie some
30 ms apart (Rasch 1979), so "together" means within a ``tolerance``, which counts as met to the microsecond.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np
import polars as pl

from kie_notes.analysis.door import notes_helper, per_task, per_track
from kie_notes.analysis.grouping import INSTANT, Drums, keep_drums
from kie_notes.analysis.rhythm import distinct_onsets

#: A track, as one number; where somebody's own frame gives one number to several instruments, they are several.
_LANE: Final = pl.col("track").cast(pl.UInt64) * 2**32 + pl.col("instrument").to_physical().fill_null(2**32 - 1)

#: Onsets are compared as integers, in nanoseconds.
_NANOSECONDS: Final = 10**9


@notes_helper
def onset_asynchrony(notes: pl.LazyFrame, *, tolerance: float = 0.05, drums: Drums = "include") -> pl.LazyFrame:
    """Say how far apart the onsets are that each two tracks of a task share.

    An onset of one track and an onset of the other are matched if each is the other's nearest (of two that are as near,
    the earlier) and they are at most ``tolerance`` apart; so each is matched once at most. Notes of a track that start
    within a microsecond of each other are one onset.

    Parameters
    ----------
    notes
        Notes table in canonical order.
    tolerance
        Seconds that matched onsets may be apart, >= 0.
    drums
        Whether percussion is left out, counted too, or counted alone.

    Returns
    -------
    One row per task and pair of tracks, each pair once, sorted by task, track and other track; a task of one track has
    no row:

    - ``task``, ``instrument`` (String), ``track`` (UInt16): the lower track
    - ``other_instrument`` (String), ``other_track`` (UInt16): the higher one
    - ``onsets``, ``other_onsets``, ``matched`` (UInt32): distinct onsets of the two, and how many of them are matched
    - ``mean_ms``, ``median_ms`` (Float64): milliseconds by which the other track is later in a match, below 0 where it
      is earlier; null where none is matched
    - ``std_ms`` (Float64): standard deviation of the same (n below the line), null where fewer than two are matched

    Raises
    ------
    NotesSchemaError
        If ``notes`` is not a notes table.
    NotesOrderError
        If a task's notes do not stand together or their starts descend (an ``InvalidOperationError`` of the same text
        when a LazyFrame is collected).
    ValueError
        If ``tolerance`` is below 0, or ``drums`` has a value that it cannot have.

    References
    ----------
    Rasch, Synchronization in performed ensemble music, Acustica 43 (1979): asynchronisation is the standard deviation
    of onset differences. Where onsets are farther apart than twice the tolerance, ``matched`` is the size of
    ``mir_eval.util.match_events``.

    Examples
    --------
    >>> import polars as pl
    >>> from kie_notes.notes import NOTES_SCHEMA
    >>> onsets = [("Flute", 0.0, 0), ("Oboe", 0.01, 1), ("Flute", 1.0, 0), ("Oboe", 1.03, 1), ("Flute", 2.0, 0)]
    >>> rows = [("a", name, 60, start, start + 0.5, 0.5, track) for name, start, track in onsets]
    >>> onset_asynchrony(pl.DataFrame(rows, schema=NOTES_SCHEMA, orient="row")).rows()
    [('a', 'Flute', 0, 'Oboe', 1, 3, 2, 2, 20.0, 20.0, 10.0)]
    """
    farthest = round((_check_tolerance(tolerance) + INSTANT) * _NANOSECONDS)
    onsets = (distinct_onsets() * _NANOSECONDS).round().cast(pl.Int64)
    tracks = _with_lane(per_track(keep_drums(notes, drums), onset=onsets))
    pairs = tracks.join(tracks, on="task", suffix="_of_other").filter(pl.col("lane") < pl.col("lane_of_other"))
    # The last bit of an onset tells whose it is, so that one sort of integers lays a pair's onsets in time.
    mine, others = pl.col("onset").list, pl.col("onset_of_other").list
    sides = pl.concat_list(mine.eval(pl.element() * 2), others.eval(pl.element() * 2 + 1)).list.sort()
    found = pairs.with_columns(late=_matches(sides, farthest))
    late = pl.col("late").list
    # A column of divisors: by one number Polars divides through its reciprocal, but not in a table of one row.
    number = late.len()
    unit = number * 0.0 + _NANOSECONDS / 1000
    return found.sort("task", "lane", "lane_of_other").select(
        "task",
        "instrument",
        "track",
        other_instrument="instrument_of_other",
        other_track="track_of_other",
        onsets=mine.len(),
        other_onsets=others.len(),
        matched=number,
        mean_ms=pl.when(number > 0).then(late.sum() / (number * unit)),
        median_ms=late.median() / unit,
        std_ms=pl.when(number > 1).then(late.std(ddof=0) / unit),
    )


@notes_helper
def doubling(notes: pl.LazyFrame, *, tolerance: float = 0.05, drums: Drums = "exclude") -> pl.LazyFrame:
    """Say how much of each track another track doubles: begins with it in unison, or octaves above or below.

    A note is doubled by a track that begins a note of the same pitch class at most ``tolerance`` before or after it,
    once, however many such notes there are.

    Parameters
    ----------
    notes
        Notes table in canonical order.
    tolerance
        Seconds that the two onsets may be apart, >= 0.
    drums
        Whether percussion is left out, counted too, or counted alone.

    Returns
    -------
    One row per task and ordered pair of its tracks, sorted by task, track and other track; a task of one track has no
    row:

    - ``task``, ``instrument`` (String), ``track`` (UInt16): the track whose notes are counted
    - ``other_instrument`` (String), ``other_track`` (UInt16): the one that doubles them
    - ``notes`` (UInt32): of the first, > 0
    - ``unison_share`` (Float64): of its notes, those that the other doubles on the same pitch, 0 to 1
    - ``doubled_share`` (Float64): those that it doubles on the same pitch or octaves away, ``unison_share`` to 1

    Raises
    ------
    NotesSchemaError
        If ``notes`` is not a notes table.
    NotesOrderError
        If a task's notes do not stand together or their starts descend (an ``InvalidOperationError`` of the same text
        when a LazyFrame is collected).
    ValueError
        If ``tolerance`` is below 0, or ``drums`` has a value that it cannot have.

    References
    ----------
    Doubling as in orchestration (Adler, The Study of Orchestration): one line on two instruments. The tolerance is that
    of onsets in ``mir_eval.transcription``. Near 1 both ways, two tracks may be one instrument that was heard as two.

    Examples
    --------
    >>> import polars as pl
    >>> from kie_notes.notes import NOTES_SCHEMA
    >>> violin = [("a", "Violin", pitch, start, start + 1.0, 0.5, 0) for start, pitch in enumerate((72, 74, 76))]
    >>> cello = [("a", "Cello", pitch, start, start + 1.0, 0.5, 1) for start, pitch in enumerate((60, 74))]
    >>> rows = sorted(violin + cello, key=lambda row: row[3])
    >>> doubling(pl.DataFrame(rows, schema=NOTES_SCHEMA, orient="row", strict=False)).drop("task", "notes").rows()
    [('Violin', 0, 'Cello', 1, 0.3333333333333333, 0.6666666666666666), ('Cello', 1, 'Violin', 0, 0.5, 1.0)]
    """
    within = _check_tolerance(tolerance) + INSTANT
    chosen = keep_drums(notes, drums).with_columns(lane=_LANE)
    start, pitch = pl.col("start"), pl.col("pitch")
    # Pitch classes are laid one after the other on one axis, out of each other's reach.
    at = start + pitch % 12 * (start.last() + 2 * within)
    note = pl.struct("pitch", "lane", at=at).sort_by(at)
    place = pl.element().struct.field("at")
    near = place.search_sorted(place + within, side="right").cast(pl.Int64) - pl.int_range(1, pl.element().len() + 1)
    found = per_task(chosen, note=note).with_columns(near=pl.col("note").list.eval(near))
    schema = {"task": pl.String, "lane": pl.UInt64, "lane_of_other": pl.UInt64, "unison": pl.UInt32, "any": pl.UInt32}
    counts = found.map_batches(_count_doubled, schema=schema)
    tracks = per_track(chosen, lane=pl.col("lane").first(), notes=pl.len().cast(pl.UInt32))
    pairs = tracks.join(tracks, on="task", suffix="_of_other").filter(pl.col("lane") != pl.col("lane_of_other"))
    rows = pairs.join(counts, on=["task", "lane", "lane_of_other"], how="left")
    return rows.sort("task", "track", "instrument", "track_of_other", "instrument_of_other").select(
        "task",
        "instrument",
        "track",
        other_instrument="instrument_of_other",
        other_track="track_of_other",
        notes="notes",
        unison_share=pl.col("unison").fill_null(0) / pl.col("notes"),
        doubled_share=pl.col("any").fill_null(0) / pl.col("notes"),
    )


def _count_doubled(tasks: pl.DataFrame) -> pl.DataFrame:
    """Count the notes of each lane that each other lane doubles; ``near`` says how many next notes are in reach."""
    notes = tasks.select("note").explode("note").unnest("note")
    near = tasks.select("near").explode("near")["near"].to_numpy()
    one = np.repeat(np.arange(notes.height), near)
    other = one + 1 + np.arange(one.size) - np.repeat(np.cumsum(near) - near, near)
    lane, pitch = notes["lane"].to_numpy(), notes["pitch"].to_numpy()
    apart = lane[one] != lane[other]
    one, other = np.concatenate([one[apart], other[apart]]), np.concatenate([other[apart], one[apart]])
    meetings = pl.DataFrame({"note": one, "lane_of_other": lane[other], "unison": pitch[one] == pitch[other]})
    doubled = meetings.group_by("note", "lane_of_other").agg(pl.col("unison").any())
    whose = pl.Series(np.repeat(np.arange(tasks.height), tasks["note"].list.len().to_numpy()))
    cells = doubled.with_columns(task=whose.gather(doubled["note"]), lane=notes["lane"].gather(doubled["note"]))
    counts = cells.group_by("task", "lane", "lane_of_other").agg(pl.col("unison").sum(), any=pl.len())
    counted = counts.select(tasks["task"].gather(counts["task"]), "lane", "lane_of_other", "unison", "any")
    return counted.cast({"unison": pl.UInt32, "any": pl.UInt32})


def _matches(merged: pl.Expr, farthest: int) -> pl.Expr:
    """Give, in ns, how much later the other track is in each match of a pair's onsets, whose last bit is the side.

    Onsets that are each other's nearest have nothing between them, so only a turn from side to side can be a match. The
    nearest before it is where the turn before began, the nearest after it where the next one leads.
    """
    onset, previous = pl.element(), pl.element().shift(1)
    turns = merged.list.eval(pl.struct(begin=previous, end=onset).filter(onset % 2 != previous % 2))
    begin, end = (pl.element().struct.field(name) for name in ("begin", "end"))
    step = end // 2 - begin // 2
    earlier, later = begin // 2 - begin.shift(1) // 2, end.shift(-1) // 2 - end // 2
    nearest = (step < earlier).fill_null(value=True) & (step <= later).fill_null(value=True)
    return turns.list.eval(pl.when(end % 2 == 1).then(step).otherwise(-step).filter(nearest & (step <= farthest)))


def _with_lane(tracks: pl.LazyFrame) -> pl.LazyFrame:
    """Number each task's tracks, in the order of their sorting."""
    ordered = tracks.sort("task", "track", "instrument")
    return ordered.with_columns(lane=pl.int_range(pl.len()).over("task"))


def _check_tolerance(tolerance: float) -> float:
    if not 0 <= tolerance < math.inf:
        raise ValueError(f"tolerance: expected seconds, 0 or above, got {tolerance!r}")
    return tolerance
