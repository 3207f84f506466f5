"""When notes begin, how densely, and how long they last.

There is no metre in the notes, so everything is in seconds. An **onset** is a time at which a note starts; notes of a
chord share one. Drums are counted unless one leaves them out, since they carry the rhythm (jSymbolic counts them too).
Onsets follow one another either in the task as a whole, whatever instruments they are of, or in each of its tracks: the
option ``per`` says which.

Times are floats and edges are met exactly: what starts, or lasts, less than a microsecond short of an edge is counted
as on it (``0.1 * 3`` is not ``0.3``, and 2.5 - 2.0 may be a little less than 0.5).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final, Literal

import polars as pl

from kie_notes.analysis.door import notes_helper, per_task, per_track
from kie_notes.analysis.grouping import (
    INSTANT,
    Drums,
    as_categories,
    check_choice,
    finish,
    finish_groups,
    group,
    keep_drums,
    share,
    tally,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

#: Whose onsets follow one another: all of a task's, or those of each of its tracks by itself.
Per = Literal["task", "track"]

#: The columns that name a row, by ``per``, in the order of their sorting.
PER_KEYS: Final = {"task": ["task"], "track": ["task", "track", "instrument"]}

#: What is added to the number of a duration's bin to make it an unsigned code; 0 itself is the bin of no duration.
_BIN_OFFSET = 2**15


@notes_helper
def onset_density(notes: pl.LazyFrame, *, window: float = 1.0, drums: Drums = "include") -> pl.LazyFrame:
    """Count note onsets per task in consecutive windows.

    Windows are half-open, ``[k * window, (k + 1) * window)``, and are laid from 0 s, not from the first onset.

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
    One row per task and window, from the window of the task's first onset to that of its last, windows without an onset
    included, sorted by both; no notes, no rows:

    - ``task`` (String)
    - ``window_start`` (Float64): seconds, ``k * window``
    - ``notes_per_second`` (Float64): notes that start in the window / ``window``, >= 0

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
    McKay, jSymbolic 2.2 manual, features RT-5 "Note Density" and RT-6 "Note Density Variability" (windows of 5 s).

    Examples
    --------
    >>> import polars as pl
    >>> from kie_notes.notes import NOTES_SCHEMA
    >>> rows = [("a", "Flute", 60, start, 3.0, 0.5, 0) for start in (0.5, 1.0, 1.5)]
    >>> onset_density(pl.DataFrame(rows, schema=NOTES_SCHEMA, orient="row")).rows()
    [('a', 0.0, 1.0), ('a', 1.0, 2.0)]
    """
    if not 0 < window < math.inf:
        raise ValueError(f"window: expected seconds above 0, got {window!r}")
    start = pl.col("start")
    first, last = (((end + INSTANT) / window).floor().cast(pl.Int64) for end in (start.first(), start.last()))
    edges = pl.int_range(first + 1, last + 1) * window - INSTANT
    below = pl.lit(0, pl.UInt32).append(start.search_sorted(edges)).append(pl.len())
    windows = per_task(keep_drums(notes, drums), k=pl.int_range(first, last + 1), onsets=below.diff().slice(1))
    # A column of divisors: by one number Polars divides through its reciprocal, but not in a table of one row.
    seconds = pl.col("onsets") * 0.0 + window
    return (
        windows.sort("task")
        .explode("k", "onsets")
        .select("task", window_start=pl.col("k") * window, notes_per_second=pl.col("onsets") / seconds)
    )


@notes_helper
def note_density(notes: pl.LazyFrame, *, by: str | Sequence[str] = "task", drums: Drums = "include") -> pl.LazyFrame:
    """Give the notes per second, by the two definitions in use.

    Parameters
    ----------
    notes
        Notes table, any order.
    by
        Column or columns that make the groups, ``task`` among them: seconds of different recordings do not compare.
    drums
        Whether percussion is left out, counted too, or counted alone.

    Returns
    -------
    One row per group, sorted; a group without such notes has no row:

    - the columns of ``by``; ``task`` and ``instrument`` are String
    - ``notes_per_second`` (Float64): n / (the group's last end), time counted from 0 s, > 0; null if that end is 0
    - ``notes_per_second_of_onsets`` (Float64): (n - 1) / (last onset - first onset), >= 0; null where all notes start
      at one time

    Raises
    ------
    NotesSchemaError
        If ``notes`` is not a notes table.
    ValueError
        If ``by`` leaves out ``task`` or names a column that there is not, or ``drums`` has a value that it cannot have.

    References
    ----------
    First: McKay, jSymbolic 2.2 manual, feature RT-5 "Note Density". Second: Eerola and Toiviainen, MIDI Toolbox,
    ``notedensity``; also ``amads.note_density``.

    Examples
    --------
    >>> import polars as pl
    >>> from kie_notes.notes import NOTES_SCHEMA
    >>> rows = [("a", "Flute", 60, start, start + 0.5, 0.5, 0) for start in (0.5, 1.0, 1.5)]
    >>> note_density(pl.DataFrame(rows, schema=NOTES_SCHEMA, orient="row")).rows()
    [('a', 1.5, 2.0)]
    """
    chosen, keys = group(keep_drums(notes, drums), by, result=("notes_per_second", "notes_per_second_of_onsets"))
    if "task" not in keys:
        raise ValueError("by: a density needs 'task' among its groups, seconds of different recordings do not compare")
    first, last = pl.col("start").min(), pl.col("start").max()
    found = chosen.group_by(keys).agg(notes=pl.len(), end=pl.col("end").max(), span=last - first)
    whole = pl.when(pl.col("end") > 0).then(pl.col("notes") / pl.col("end"))
    between = pl.when(pl.col("span") > INSTANT).then((pl.col("notes") - 1) / pl.col("span"))
    rows = found.with_columns(notes_per_second=whole, between=between)
    return finish_groups(rows, keys, "notes_per_second", notes_per_second_of_onsets=pl.col("between"))


@notes_helper
def duration_histogram(
    notes: pl.LazyFrame,
    *,
    by: str | Sequence[str] = "task",
    bins_per_octave: int = 1,
    normalize: bool = False,
    drums: Drums = "include",
) -> pl.LazyFrame:
    """Count notes by their duration, in bins of equal ratio.

    Bin edges are ``2 ** (k / bins_per_octave)`` seconds, k any integer: with one bin per octave ..., 1/4, 1/2, 1, 2,
    ... A bin holds its lower edge, not its upper one. Notes without duration (below a microsecond) have a bin of their
    own.

    Parameters
    ----------
    notes
        Notes table, any order.
    by
        Column or columns that make the groups; ``()`` pools all notes.
    bins_per_octave
        Bins from one duration to its double, 1 to 100.
    normalize
        Whether to give shares of the group's notes.
    drums
        Whether percussion is left out, counted too, or counted alone.

    Returns
    -------
    One row per group and bin in which a duration falls, sorted by both; no notes, no rows:

    - the columns of ``by``; ``task`` and ``instrument`` are String
    - ``bin_start``, ``bin_end`` (Float64): seconds, the bin is ``[bin_start, bin_end)``; both 0 for no duration
    - ``count`` (UInt32): notes, > 0
    - with ``normalize``, in its place, ``share`` (Float64): 0 to 1, sums to 1 in each group

    Raises
    ------
    NotesSchemaError
        If ``notes`` is not a notes table.
    ValueError
        If ``by`` names a column that there is not, or an option has a value that it cannot have.

    References
    ----------
    After Eerola and Toiviainen, MIDI Toolbox, ``durdist1``, whose nine bins are in beats; here there are no beats, so
    the bins are in seconds, and as many as there are durations.

    Examples
    --------
    >>> import polars as pl
    >>> from kie_notes.notes import NOTES_SCHEMA
    >>> rows = [("a", "Flute", 60, 2.0, end, 0.5, 0) for end in (2.0, 2.25, 2.3, 2.5)]
    >>> duration_histogram(pl.DataFrame(rows, schema=NOTES_SCHEMA, orient="row")).rows()
    [('a', 0.0, 0.0, 1), ('a', 0.25, 0.5, 2), ('a', 0.5, 1.0, 1)]
    """
    seconds = pl.col("end") - pl.col("start")
    code = _octave_bin(seconds, bins_per_octave)
    chosen, keys = group(keep_drums(notes, drums), by, result=("bin_start", "bin_end", "count", "share"))
    counts = tally(chosen, keys, pl.len().alias("count"), bin=code)
    return _octave_table(counts, keys, bins_per_octave, normalize=normalize)


@notes_helper
def inter_onset_intervals(notes: pl.LazyFrame, *, per: Per = "task", drums: Drums = "include") -> pl.LazyFrame:
    """Give the times between consecutive distinct onsets.

    Notes that start together (within a microsecond) are one onset, so no interval is 0.

    Parameters
    ----------
    notes
        Notes table in canonical order.
    per
        Whether an interval is to the next onset of the task, whichever instrument it is of, or of the same track.
    drums
        Whether percussion is left out, counted too, or counted alone.

    Returns
    -------
    One row per task (or track) and interval, sorted by task (or task and track) and start; one onset alone has no row:

    - ``task`` (String); with ``per="track"`` also ``instrument`` (String), ``track`` (UInt16)
    - ``start`` (Float64): seconds, the onset that the interval begins with
    - ``seconds`` (Float64): to the next onset, > 0

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
    Mean and nPVI of these (``inter_onset_statistics``, ``npvi``) are jSymbolic's RT-7 "Average Time Between Attacks"
    and ``amads``' ``normalized_pairwise_variability_index`` (Daniele and Patel 2013). mgeval's ``avg_IOI`` counts the
    zeros inside chords as well and is smaller.

    Examples
    --------
    >>> import polars as pl
    >>> from kie_notes.notes import NOTES_SCHEMA
    >>> rows = [("a", "Flute", 60, start, 3.0, 0.5, 0) for start in (0.5, 1.0, 1.0, 1.25)]
    >>> inter_onset_intervals(pl.DataFrame(rows, schema=NOTES_SCHEMA, orient="row")).rows()
    [('a', 0.5, 0.5), ('a', 1.0, 0.25)]
    """
    found = onsets_per(per, keep_drums(notes, drums)).sort(PER_KEYS[per])
    start = pl.col("start")
    return found.with_columns(start.list.head(start.list.len() - 1), seconds=gaps(start)).explode("start", "seconds")


@notes_helper
def inter_onset_histogram(
    notes: pl.LazyFrame,
    *,
    per: Per = "task",
    bins_per_octave: int = 1,
    normalize: bool = False,
    drums: Drums = "include",
) -> pl.LazyFrame:
    """Count the times between consecutive distinct onsets, in bins of equal ratio.

    The intervals are those of ``inter_onset_intervals``, the bins those of ``duration_histogram``: their edges are
    ``2 ** (k / bins_per_octave)`` seconds, and a bin holds its lower edge, not its upper one.

    Parameters
    ----------
    notes
        Notes table in canonical order.
    per
        Whether an interval is to the next onset of the task, whichever instrument it is of, or of the same track.
    bins_per_octave
        Bins from one interval to its double, 1 to 100.
    normalize
        Whether to give shares of the task's (or track's) intervals.
    drums
        Whether percussion is left out, counted too, or counted alone.

    Returns
    -------
    One row per task (or track) and bin in which an interval falls, sorted by them; one onset alone has no row:

    - ``task`` (String); with ``per="track"`` also ``instrument`` (String), ``track`` (UInt16)
    - ``bin_start``, ``bin_end`` (Float64): seconds, the bin is ``[bin_start, bin_end)``
    - ``count`` (UInt32): intervals, > 0
    - with ``normalize``, in its place, ``share`` (Float64): 0 to 1, sums to 1 in each task (or track)

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
    After Eerola and Toiviainen, MIDI Toolbox, ``ioidist1``, whose bins are in beats; here there are no beats, so the
    bins are in seconds, and as many as there are intervals.

    Examples
    --------
    >>> import polars as pl
    >>> from kie_notes.notes import NOTES_SCHEMA
    >>> rows = [("a", "Flute", 60, start, 3.0, 0.5, 0) for start in (0.5, 1.0, 1.0, 1.25, 1.75)]
    >>> inter_onset_histogram(pl.DataFrame(rows, schema=NOTES_SCHEMA, orient="row")).rows()
    [('a', 0.25, 0.5, 1), ('a', 0.5, 1.0, 2)]
    """
    code, keys = _octave_bin(pl.col("seconds"), bins_per_octave), PER_KEYS[per]
    found = as_categories(onsets_per(per, keep_drums(notes, drums)), keys)
    intervals = found.select(*keys, seconds=gaps(pl.col("start"))).explode("seconds")
    counts = tally(intervals, keys, pl.len().alias("count"), bin=code)
    table = _octave_table(counts, keys, bins_per_octave, normalize=normalize)
    return table.select(*sorted(keys, key=("task", "instrument", "track").index), pl.exclude(keys))


def answers_per(per: Per, notes: pl.LazyFrame, /, **answers: pl.Expr) -> pl.LazyFrame:
    """Evaluate ``answers`` over the notes of each task, or of each track."""
    check_choice("per", per, Per)
    return per_task(notes, ordered=True, **answers) if per == "task" else per_track(notes, **answers)


def onsets_per(per: Per, notes: pl.LazyFrame) -> pl.LazyFrame:
    """List the onsets, each once, of each task or track: ``start``."""
    return answers_per(per, notes, start=distinct_onsets())


def distinct_onsets() -> pl.Expr:
    """Give the onsets, each once, as an answer over notes whose starts ascend."""
    start = pl.col("start")
    return start.filter((start.diff() > INSTANT).fill_null(value=True))


def gaps(lists: pl.Expr) -> pl.Expr:
    """Give the differences between the neighbours in each list."""
    return lists.list.diff().list.slice(1)


def _octave_bin(seconds: pl.Expr, bins_per_octave: int) -> pl.Expr:
    """Number the bin in which a length of time falls: 0 for none, else the bin's k and an offset."""
    if not 1 <= bins_per_octave <= 100:
        raise ValueError(f"bins_per_octave: expected 1 to 100, got {bins_per_octave!r}")
    number = ((seconds + INSTANT).log(2) * bins_per_octave).floor() + _BIN_OFFSET
    return pl.when(seconds < INSTANT).then(0).otherwise(number).cast(pl.UInt64)


def _octave_table(counts: pl.LazyFrame, keys: list[str], bins_per_octave: int, *, normalize: bool) -> pl.LazyFrame:
    """Give the numbered bins (``bin``, ``count``) their edges, and their counts the form that is asked for."""
    edges = {"bin_start": _BIN_OFFSET, "bin_end": _BIN_OFFSET - 1}
    octaves = pl.col("bin") * 0.0 + bins_per_octave  # a column, for the same reason as in onset_density
    octave = {name: (pl.col("bin").cast(pl.Float64) - offset) / octaves for name, offset in edges.items()}
    rows = counts.with_columns(
        **{name: pl.when(pl.col("bin") > 0).then(pl.lit(2.0).pow(k)).otherwise(0.0) for name, k in octave.items()}
    )
    shown = {"share": share(pl.col("count"))} if normalize else {"count": pl.col("count").cast(pl.UInt32)}
    return finish(rows, keys, order="bin_start", bin_end=pl.col("bin_end"), **shown)
