"""How far apart onsets are, and how evenly they follow one another.

The intervals are those of ``rhythm.inter_onset_intervals``: between consecutive distinct onsets, in seconds, of a whole
task or of each of its tracks; notes that start within a microsecond of each other are one onset. Drums are counted
unless one leaves them out. A standard deviation is that of the intervals themselves (n, not n - 1, below the line), and
null where there are fewer than two.
"""

from __future__ import annotations

import polars as pl

from kie_notes.analysis.door import notes_helper
from kie_notes.analysis.grouping import Drums, as_number, exact_sum, keep_drums
from kie_notes.analysis.rhythm import PER_KEYS, Per, gaps, onsets_per


@notes_helper
def inter_onset_statistics(notes: pl.LazyFrame, *, per: Per = "task", drums: Drums = "include") -> pl.LazyFrame:
    """Describe the times between consecutive distinct onsets: mean, spread, median and extremes.

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
    One row per task (or track), sorted by task (or task and track); a task without such notes has no row:

    - ``task`` (String); with ``per="track"`` also ``instrument`` (String), ``track`` (UInt16)
    - ``intervals`` (UInt32): distinct onsets less one, >= 0
    - ``mean_seconds``, ``std_seconds``, ``median_seconds``, ``minimum_seconds``, ``maximum_seconds`` (Float64): of the
      intervals, > 0 (the deviation >= 0); null where there is none (the deviation, where there are fewer than two)

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
    McKay, jSymbolic 2.2 manual, feature RT-7 "Average Time Between Attacks" (which leaves out one tick per interval).
    mgeval's ``avg_IOI`` counts the zeros inside chords as well and is smaller.

    Examples
    --------
    >>> import polars as pl
    >>> from kie_notes.notes import NOTES_SCHEMA
    >>> rows = [("a", "Flute", 60, start, 3.0, 0.5, 0) for start in (0.5, 1.0, 1.0, 1.25)]
    >>> inter_onset_statistics(pl.DataFrame(rows, schema=NOTES_SCHEMA, orient="row")).rows()
    [('a', 2, 0.375, 0.125, 0.375, 0.25, 0.5)]
    """
    found = onsets_per(per, keep_drums(notes, drums)).select(pl.exclude("start"), seconds=gaps(pl.col("start")))
    interval, intervals = pl.element(), pl.col("seconds").list
    mean = as_number(exact_sum(interval)) / interval.len()
    variance = as_number(exact_sum((interval - mean) ** 2)) / interval.len()
    count = intervals.len()
    return found.sort(PER_KEYS[per]).select(
        pl.exclude("seconds"),
        intervals=count,
        mean_seconds=pl.when(count > 0).then(intervals.agg(mean)),
        std_seconds=pl.when(count > 1).then(intervals.agg(variance).sqrt()),
        median_seconds=intervals.median(),
        minimum_seconds=intervals.min(),
        maximum_seconds=intervals.max(),
    )


@notes_helper
def npvi(notes: pl.LazyFrame, *, per: Per = "task", drums: Drums = "include") -> pl.LazyFrame:
    """Give the normalised pairwise variability index of the times between onsets: how uneven neighbours are.

    ``100 / (m - 1) * sum(|d[k] - d[k + 1]| / ((d[k] + d[k + 1]) / 2))`` over the m intervals d between consecutive
    distinct onsets. 0 is an even pulse, 200 the bound that it nears when every second interval vanishes; it does not
    change when the music is played faster.

    Parameters
    ----------
    notes
        Notes table in canonical order.
    per
        Whether an interval is to the next onset of the task, whichever instrument it is of, or of the same track; the
        index was made for single melodies, so the second is closer to the literature.
    drums
        Whether percussion is left out, counted too, or counted alone.

    Returns
    -------
    One row per task (or track), sorted by task (or task and track); a task without such notes has no row:

    - ``task`` (String); with ``per="track"`` also ``instrument`` (String), ``track`` (UInt16)
    - ``intervals`` (UInt32): m, >= 0
    - ``npvi`` (Float64): 0 to 200; null where there are fewer than two intervals

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
    Daniele and Patel, An empirical study of historical patterns in musical rhythm, Music Perception 31 (2013).
    ``music21.analysis.patel.nPVI`` and ``amads``' ``normalized_pairwise_variability_index`` agree; the former takes the
    notated lengths of the notes of one part, so rests and chords are the caller's affair there.

    Examples
    --------
    >>> import polars as pl
    >>> from kie_notes.notes import NOTES_SCHEMA
    >>> rows = [("a", "Flute", 60, start, 3.0, 0.5, 0) for start in (0.0, 1.5, 2.0, 3.5)]
    >>> npvi(pl.DataFrame(rows, schema=NOTES_SCHEMA, orient="row")).rows()
    [('a', 3, 100.0)]
    """
    found = onsets_per(per, keep_drums(notes, drums)).select(pl.exclude("start"), seconds=gaps(pl.col("start")))
    interval, following = pl.element(), pl.element().shift(-1)
    contrast = (interval - following).abs() / (interval + following)
    contrasts = pl.col("seconds").list.agg(as_number(exact_sum(contrast)))
    count = pl.col("seconds").list.len()
    return found.sort(PER_KEYS[per]).select(
        pl.exclude("seconds"),
        intervals=count,
        npvi=pl.when(count > 1).then(200 * contrasts / (count.cast(pl.Int64) - 1)),
    )
