"""Where a melodic pattern occurs, whatever its transposition and its tempo.

A pattern is a row of melodic intervals in semitones and, if wanted, of durations between its onsets in proportion. It
is looked for in a **voice**: the top note of each onset, of the whole task (``skyline``) or of each track. Starts that
follow one another within ``chord_seconds`` are one onset, since players and transcribers spread chords. The top note of
an onset is the highest pitch that starts in it; a longer note of before that is still higher does not hide it, unlike
in the skyline of Uitdenbogerd and Zobel (1999), which clips notes but starts the same.

All occurrences are given, overlapping ones too. Drums have no melody and are left out.
"""

from __future__ import annotations

import math
from functools import reduce
from typing import TYPE_CHECKING, Final, Literal

import polars as pl

from kie_notes.analysis.door import notes_helper, per_task, per_track
from kie_notes.analysis.grouping import check_choice, keep_drums

if TYPE_CHECKING:
    from collections.abc import Sequence

#: Where melodies are looked for: in the top notes of a task, or of each of its tracks.
Voice = Literal["skyline", "track"]

#: Starts that follow one another within this many seconds are one onset. Players and transcribers spread the notes of a
#: chord by 10 to 30 ms; notes of a melody are further apart (a 32nd at 120 BPM is 62 ms).
CHORD_SECONDS: Final = 0.03

#: Rows and pitches have their places in one number while the notes of an onset are sorted.
_ROWS: Final = 2**32


@notes_helper
def find_motif(
    notes: pl.LazyFrame,
    *,
    intervals: Sequence[int],
    durations: Sequence[float] | None = None,
    tolerance: float = 0.2,
    voice: Voice = "skyline",
    chord_seconds: float = CHORD_SECONDS,
) -> pl.LazyFrame:
    """Find all occurrences of a melodic pattern, transposed or not, at any tempo.

    Parameters
    ----------
    notes
        Notes table in canonical order. Drums are left out.
    intervals
        Semitones from each note to the next, positive upwards; n intervals make a pattern of n + 1 notes.
    durations
        Times from each onset to the next, in any unit: only their proportions count. None: any rhythm.
    tolerance
        How far a time between onsets may be from what the proportions want, as a part of that, 0 to 1; the bound itself
        fits. 0.2 lets straight eighths pass for each other when played unevenly, and no triplet (1/3 off).
    voice
        ``skyline``: the top notes of the task. ``track``: those of each track by itself.
    chord_seconds
        Starts that follow one another within this time are one onset, >= 0.

    Returns
    -------
    One row per occurrence, sorted by task, start and track; no occurrence, no row:

    - ``task`` (String)
    - ``track`` (UInt16), ``instrument`` (String): of the pattern's first note
    - ``pitch`` (UInt8): MIDI number of the first note, which tells transpositions apart
    - ``start`` (Float64): start of the first note in seconds
    - ``end`` (Float64): end of the last note in seconds, > ``start`` but where notes have no duration

    Raises
    ------
    NotesSchemaError
        If ``notes`` is not a notes table.
    NotesOrderError
        If a task's notes do not stand together or their starts descend (an ``InvalidOperationError`` of the same text
        when a LazyFrame is collected).
    ValueError
        If there are no intervals, not as many durations as intervals, or an option has a value that it cannot have.

    References
    ----------
    Uitdenbogerd and Zobel, "Melodic matching techniques for large music databases", ACM Multimedia 1999: the top notes
    of a piece as its melody, compared by intervals. ``music21.search`` finds note names and
    rhythms in a part without chords, but nothing transposed.

    Examples
    --------
    >>> import polars as pl
    >>> from kie_notes.notes import NOTES_SCHEMA
    >>> melody = [(60, 0.0), (62, 1.0), (64, 2.0), (65, 4.0), (67, 4.5), (69, 5.0)]
    >>> rows = [("a", "Flute", pitch, start, start + 0.5, 0.5, 0) for pitch, start in melody]
    >>> notes = pl.DataFrame(rows, schema=NOTES_SCHEMA, orient="row")
    >>> find_motif(notes, intervals=[2, 2]).rows()
    [('a', 0, 'Flute', 60, 0.0, 2.5), ('a', 0, 'Flute', 65, 4.0, 5.5)]
    >>> find_motif(notes, intervals=[2, 1], durations=[1, 2]).rows()
    [('a', 0, 'Flute', 62, 1.0, 4.5)]
    """
    check_choice("voice", voice, Voice)
    _check_pattern(intervals, durations)
    if not 0 <= tolerance <= 1:
        raise ValueError(f"tolerance: expected a number from 0 to 1, got {tolerance!r}")
    size = len(intervals)
    voices = top_notes(keep_drums(notes, "exclude"), voice=voice, chord_seconds=chord_seconds)
    pitch, onset = pl.col("pitch").cast(pl.Int16), pl.col("start")
    fits = [pl.col("voice") == pl.col("voice").shift(-size)]
    fits += [pitch.shift(-k - 1) - pitch.shift(-k) == interval for k, interval in enumerate(intervals)]
    if durations is not None:
        whole = onset.shift(-size) - onset
        for k, duration in enumerate(durations):
            wanted = whole * (duration / math.fsum(durations))
            fits.append(((onset.shift(-k - 1) - onset.shift(-k)) - wanted).abs() <= wanted * tolerance + 1e-9)
    found = voices.with_columns(pl.col("end").shift(-size), here=reduce(pl.Expr.and_, fits)).filter("here")
    columns = ("task", "track", "instrument", "pitch", "start", "end")
    return found.select(columns).with_columns(pl.col("instrument").cast(pl.String)).sort("task", "start", "track")


def top_notes(notes: pl.LazyFrame, *, voice: Voice, chord_seconds: float) -> pl.LazyFrame:
    """Give the highest note of each onset of each voice: one row each, a voice's together and in their order.

    ``voice`` numbers the voices. Of equal pitches in one onset, the last in the table's order is given.
    """
    if not 0 <= chord_seconds < math.inf:
        raise ValueError(f"chord_seconds: expected seconds from 0, got {chord_seconds!r}")
    later = pl.col("start").diff() > chord_seconds + 1e-6
    number = later.fill_null(value=False).cum_sum().cast(pl.Int64)
    row = pl.int_range(pl.len(), dtype=pl.Int64)
    ascending = ((number * 128 + pl.col("pitch")) * _ROWS + row).sort()
    onset = ascending // (128 * _ROWS)
    top = (ascending % _ROWS).filter((onset != onset.shift(-1)).fill_null(value=True))
    names = ["pitch", "start", "end", *(("track", "instrument") if voice == "skyline" else ())]
    answers: dict[str, pl.Expr] = {name: pl.col(name).gather(top) for name in names}
    voices = per_track(notes, **answers) if voice == "track" else per_task(notes, ordered=True, **answers)
    return voices.with_row_index("voice").explode(*answers)


def _check_pattern(intervals: Sequence[int], durations: Sequence[float] | None) -> None:
    if not intervals:
        raise ValueError("intervals: expected one at least, got none")
    if durations is None:
        return
    if len(durations) != len(intervals):
        raise ValueError(f"durations: expected {len(intervals)}, one per interval, got {len(durations)}")
    if not all(0 < duration < math.inf for duration in durations):
        raise ValueError(f"durations: expected numbers above 0, got {list(durations)}")
