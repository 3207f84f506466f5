"""How a voice moves: its intervals, what follows what, and the turns that return.

A melody needs a voice, and notes have none, so one says which is meant:

- ``track``: each track of a task is a voice, as in jSymbolic's melodic features
- ``skyline``: each task has one voice, made of all its tracks

At every distinct onset of the voice (a microsecond apart or less is one onset) the **highest** of the notes that start
there is the voice's note, whatever else still sounds; its pitch stays until the voice's next onset. So the skyline here
is that of the onsets: a low note counts if nothing starts above it, even under a long high note. An **interval** goes
from one onset of a voice to its next, however long the time between them, in semitones, upwards positive; n onsets make
n - 1 intervals. Drums are no melody and are left out.

jSymbolic takes the first note in the file of those that start together in a track and channel, which is as good as any;
where a track has one note at a time the two are equal.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal

import polars as pl

from kie_notes.analysis.door import TRACK_RUN, notes_helper, of_tracks, per_task, track_rows
from kie_notes.analysis.grouping import INSTANT, as_categories, check_choice, finish, group, keep_drums, share, tally
from kie_notes.analysis.rhythm import gaps

if TYPE_CHECKING:
    from collections.abc import Sequence

#: What counts as one melody.
Voice = Literal["track", "skyline"]

#: Whether a falling interval is negative, or as its size alone.
Direction = Literal["signed", "absolute"]

#: What stands in a table of transitions.
Measure = Literal["count", "share", "probability"]

#: Longest n-gram: one byte for each interval in a number of 64 bits.
_LONGEST: Final = 8

#: What is added to an interval to make it a byte: none is negative then, and bytes sort as intervals do.
_ZERO: Final = 128

#: A transition or an n-gram as one number: a column of the work.
_CODE = "__code"

#: How rows are counted.
_COUNT: Final = pl.len().cast(pl.UInt32).alias("count")

#: Whether a note is the first, or the last, of its onset: columns of the work.
_FIRST, _LAST = "__first", "__last"


@notes_helper
def melodic_intervals(notes: pl.LazyFrame, *, voice: Voice = "track") -> pl.LazyFrame:
    """Give the intervals between consecutive notes of each voice.

    Parameters
    ----------
    notes
        Notes table in canonical order. Drums are left out.
    voice
        Whether each track is a voice, or the highest note at each onset of the task is.

    Returns
    -------
    One row per interval, sorted by task, for ``track`` by track and instrument, and by start; a voice of one onset has
    no row:

    - ``task`` (String); for ``track`` also ``instrument`` (String), ``track`` (UInt16)
    - ``start`` (Float64): seconds, the onset that the interval begins with
    - ``seconds`` (Float64): to the voice's next onset, > 0
    - ``pitch`` (UInt8): MIDI note number that the interval begins with
    - ``interval`` (Int16): semitones to the next pitch, -127 to 127, upwards positive, 0 for a repeated note

    Raises
    ------
    NotesSchemaError
        If ``notes`` is not a notes table.
    NotesOrderError
        If a task's notes do not stand together or their starts descend (an ``InvalidOperationError`` of the same text
        when a LazyFrame is collected).
    ValueError
        If ``voice`` has a value that it cannot have.

    References
    ----------
    McKay, jSymbolic 2.2 manual, "Melodic Intervals": the intervals of its features M-1 and following, but for the
    choice among notes that start together. mgeval's ``avg_pitch_shift`` takes all notes in the order of the file,
    chords included.

    Examples
    --------
    >>> import polars as pl
    >>> from kie_notes.notes import NOTES_SCHEMA
    >>> melody = [("a", "Flute", pitch, start, 4.0, 0.5, 0) for start, pitch in ((0.0, 60), (1.0, 64), (1.0, 67))]
    >>> bass = ("a", "Cello", 43, 2.0, 3.0, 0.5, 1)
    >>> notes = pl.DataFrame([*melody, bass], schema=NOTES_SCHEMA, orient="row")
    >>> melodic_intervals(notes).rows()
    [('a', 'Flute', 0, 0.0, 1.0, 60, 7)]
    >>> melodic_intervals(notes, voice="skyline").rows()
    [('a', 0.0, 1.0, 60, 7), ('a', 1.0, 1.0, 67, -24)]
    """
    voices, keys = _voices(notes, voice)
    start, pitch = pl.col("start"), pl.col("pitch")
    before = pitch.list.len() - 1
    rows = voices.select(
        *keys,
        start=start.list.head(before),
        seconds=gaps(start),
        pitch=pitch.list.head(before),
        interval=gaps(pitch),
    )
    # Sorting voices and then unfolding them costs a fraction of sorting rows by their names.
    ordered = rows.sort([key for key in ("task", "track", "instrument") if key in keys])
    return ordered.explode("start", "seconds", "pitch", "interval").with_columns(pitch.cast(pl.UInt8))


@notes_helper
def interval_histogram(
    notes: pl.LazyFrame,
    *,
    voice: Voice = "track",
    by: str | Sequence[str] = "task",
    direction: Direction = "signed",
    normalize: bool = False,
) -> pl.LazyFrame:
    """Count the melodic intervals of each size.

    Parameters
    ----------
    notes
        Notes table in canonical order. Drums are left out.
    voice
        Whether each track is a voice, or the highest note at each onset of the task is.
    by
        Column or columns that make the groups: ``task``, and for ``track`` also ``instrument`` and ``track``. ``()``
        pools all voices.
    direction
        Whether falling intervals are negative (``signed``), or count with the rising ones of their size
        (``absolute``).
    normalize
        Whether to give shares of the group's intervals.

    Returns
    -------
    One row per group and interval that occurs, sorted by both; a group without an interval has no row:

    - the columns of ``by``; ``task`` and ``instrument`` are String
    - ``interval`` (Int16): semitones, -127 to 127, or 0 to 127
    - ``count`` (UInt32): intervals, > 0
    - with ``normalize``, in its place, ``share`` (Float64): 0 to 1, sums to 1 in each group

    Raises
    ------
    NotesSchemaError
        If ``notes`` is not a notes table.
    NotesOrderError
        If a task's notes do not stand together or their starts descend (an ``InvalidOperationError`` of the same text
        when a LazyFrame is collected).
    ValueError
        If ``by`` names a column that a voice does not have, or an option has a value that it cannot have.

    References
    ----------
    McKay, jSymbolic 2.2 manual, feature M-1 "Melodic Interval Histogram" (``absolute``, ``normalize``).

    Examples
    --------
    >>> import polars as pl
    >>> from kie_notes.notes import NOTES_SCHEMA
    >>> tune = zip((0.0, 1.0, 2.0, 3.0), (60, 62, 60, 67))
    >>> rows = [("a", "Flute", pitch, start, start + 1, 0.5, 0) for start, pitch in tune]
    >>> notes = pl.DataFrame(rows, schema=NOTES_SCHEMA, orient="row")
    >>> interval_histogram(notes).rows()
    [('a', -2, 1), ('a', 2, 1), ('a', 7, 1)]
    >>> interval_histogram(notes, direction="absolute").rows()
    [('a', 2, 2), ('a', 7, 1)]
    """
    check_choice("direction", direction, Direction)
    voices, _ = _voices(notes, voice)
    chosen, keys = group(voices, by, result=("interval", "count", "share", "start", "pitch"))
    steps = as_categories(chosen, keys).select(*keys, interval=gaps(pl.col("pitch"))).explode("interval")
    interval = pl.col("interval").abs() if direction == "absolute" else pl.col("interval")
    counted = tally(steps, keys, _COUNT, code=interval + _ZERO)
    rows = counted.with_columns(interval=pl.col("code").cast(pl.Int16) - _ZERO)
    return finish(rows, keys, order="interval", **_shown(normalize=normalize))


@notes_helper
def pitch_class_transitions(
    notes: pl.LazyFrame,
    *,
    voice: Voice = "track",
    by: str | Sequence[str] = "task",
    measure: Measure = "count",
) -> pl.LazyFrame:
    """Count which pitch class follows which in the voices.

    Parameters
    ----------
    notes
        Notes table in canonical order. Drums are left out.
    voice
        Whether each track is a voice, or the highest note at each onset of the task is.
    by
        Column or columns that make the groups: ``task``, and for ``track`` also ``instrument`` and ``track``. ``()``
        pools all voices.
    measure
        Whether to give the number of transitions, their share of the group's, or the probability of the second class
        after the first.

    Returns
    -------
    One row per group and pair of pitch classes that occurs, sorted by all three; a group without a transition has no
    row:

    - the columns of ``by``; ``task`` and ``instrument`` are String
    - ``from_pitch_class``, ``to_pitch_class`` (UInt8): 0 (C) to 11 (B)
    - ``count`` (UInt32): transitions from an onset of a voice to its next, > 0; or ``share`` (Float64): 0 to 1, sums to
      1 in each group; or ``probability`` (Float64): 0 to 1, sums to 1 for each ``from_pitch_class`` of a group

    Raises
    ------
    NotesSchemaError
        If ``notes`` is not a notes table.
    NotesOrderError
        If a task's notes do not stand together or their starts descend (an ``InvalidOperationError`` of the same text
        when a LazyFrame is collected).
    ValueError
        If ``by`` names a column that a voice does not have, or an option has a value that it cannot have.

    References
    ----------
    MIDI Toolbox, ``pcdist2``, the two-note distribution, which weights by duration; here each transition counts once.
    ``pretty_midi.PrettyMIDI.get_pitch_class_transition_matrix`` is another thing: all pairs of an instrument's notes of
    which one ends within 50 ms of the other's start, so that pairs of chords multiply, rests part a melody, and each
    note shorter than 50 ms follows itself; its time and memory grow with the square of the notes.

    Examples
    --------
    >>> import polars as pl
    >>> from kie_notes.notes import NOTES_SCHEMA
    >>> tune = zip((0.0, 1.0, 2.0, 3.0), (60, 62, 72, 67))
    >>> rows = [("a", "Flute", pitch, start, start + 1, 0.5, 0) for start, pitch in tune]
    >>> notes = pl.DataFrame(rows, schema=NOTES_SCHEMA, orient="row")
    >>> pitch_class_transitions(notes).rows()
    [('a', 0, 2, 1), ('a', 0, 7, 1), ('a', 2, 0, 1)]
    >>> pitch_class_transitions(notes, measure="probability").rows()
    [('a', 0, 2, 0.5), ('a', 0, 7, 0.5), ('a', 2, 0, 1.0)]
    """
    check_choice("measure", measure, Measure)
    voices, _ = _voices(notes, voice)
    names = ("from_pitch_class", "to_pitch_class")
    chosen, keys = group(voices, by, result=(*names, "count", "share", "probability", "start", "pitch"))
    later = pl.col("pitch").list.len() - 1
    voices = as_categories(chosen, keys)
    pairs = voices.select(*keys, before=pl.col("pitch").list.head(later), after=pl.col("pitch").list.tail(later))
    code = pl.col("before") % 12 * 12 + pl.col("after") % 12
    counted = tally(pairs.explode("before", "after"), keys, _COUNT, **{_CODE: code})
    count, first = pl.col("count"), pl.col(_CODE) // 12
    value = {
        "count": count,
        "share": count / count.sum().over(keys),
        "probability": count / count.sum().over(*keys, first),
    }[measure]
    both = {name: number.cast(pl.UInt8) for name, number in zip(names, (first, pl.col(_CODE) % 12), strict=True)}
    rows = counted.with_columns(value.alias(measure), **both)
    return finish(rows, keys, order=_CODE, **{name: pl.col(name) for name in (*names, measure)}).drop(_CODE)


@notes_helper
def interval_ngrams(
    notes: pl.LazyFrame,
    *,
    n: int = 3,
    voice: Voice = "track",
    by: str | Sequence[str] = "task",
    normalize: bool = False,
) -> pl.LazyFrame:
    """Count the melodic turns: ``n`` intervals of a voice in a row.

    They overlap: m intervals of a voice make m - n + 1 of them. A turn is the same on whatever pitch it begins, and
    whatever its rhythm.

    Parameters
    ----------
    notes
        Notes table in canonical order. Drums are left out.
    n
        Intervals in a row, 1 to 8; notes are one more.
    voice
        Whether each track is a voice, or the highest note at each onset of the task is.
    by
        Column or columns that make the groups: ``task``, and for ``track`` also ``instrument`` and ``track``. ``()``
        pools all voices.
    normalize
        Whether to give shares of the group's n-grams.

    Returns
    -------
    One row per group and n-gram that occurs, sorted by both (n-grams by their first interval, then the second, ...); a
    group whose voices are too short has no row:

    - the columns of ``by``; ``task`` and ``instrument`` are String
    - ``intervals`` (List(Int16)): ``n`` signed semitones
    - ``count`` (UInt32): > 0
    - with ``normalize``, in its place, ``share`` (Float64): 0 to 1, sums to 1 in each group

    Raises
    ------
    NotesSchemaError
        If ``notes`` is not a notes table.
    NotesOrderError
        If a task's notes do not stand together or their starts descend (an ``InvalidOperationError`` of the same text
        when a LazyFrame is collected).
    ValueError
        If ``by`` names a column that a voice does not have, or an option has a value that it cannot have.

    References
    ----------
    Downie 1999, "Evaluating a Simple Approach to Music Information Retrieval": interval-only n-grams.

    Examples
    --------
    >>> import polars as pl
    >>> from kie_notes.notes import NOTES_SCHEMA
    >>> tune = zip((0.0, 1.0, 2.0, 3.0, 4.0), (60, 62, 64, 66, 60))
    >>> rows = [("a", "Flute", pitch, start, start + 1, 0.5, 0) for start, pitch in tune]
    >>> interval_ngrams(pl.DataFrame(rows, schema=NOTES_SCHEMA, orient="row"), n=2).rows()
    [('a', [2, -6], 1), ('a', [2, 2], 2)]
    """
    if not 1 <= n <= _LONGEST:
        raise ValueError(f"n: expected 1 to {_LONGEST}, got {n!r}")
    voices, _ = _voices(notes, voice)
    chosen, keys = group(voices, by, result=("intervals", "count", "share", "start", "pitch"))
    steps = (gaps(pl.col("pitch")) + _ZERO).cast(pl.List(pl.UInt64))
    length = (pl.col("pitch").list.len().cast(pl.Int64) - n).clip(0)
    byte = [256 ** (n - 1 - k) for k in range(n)]
    code = pl.sum_horizontal(steps.list.slice(k, length) * byte[k] for k in range(n))
    codes = as_categories(chosen, keys).select(*keys, code.alias(_CODE))
    counted = codes.explode(_CODE).group_by(*keys, _CODE).agg(_COUNT)
    grams = pl.concat_list((pl.col(_CODE) // byte[k] % 256).cast(pl.Int16) - _ZERO for k in range(n))
    rows = counted.with_columns(intervals=grams)
    shown = {"intervals": pl.col("intervals"), **_shown(normalize=normalize)}
    return finish(rows, keys, order=_CODE, **shown).drop(_CODE)


def _voices(notes: pl.LazyFrame, voice: Voice) -> tuple[pl.LazyFrame, list[str]]:
    """One row per voice: the names of its keys, and lists, its onsets and the highest pitch at each as Int16."""
    check_choice("voice", voice, Voice)
    pitched, begins = keep_drums(notes, "exclude"), pl.col("start").diff() > INSTANT
    if voice == "skyline":
        first = begins.fill_null(value=True)
        pitch = _highest(first).filter(first.shift(-1, fill_value=True))
        return per_task(pitched, start=pl.col("start").filter(first), pitch=pitch), ["task"]
    # What can be said of all rows at once costs half of what it costs track by track.
    first = (begins | (pl.col(TRACK_RUN).diff() > 0)).fill_null(value=True)
    rows = track_rows(pitched, ("start", "pitch")).with_columns(first.alias(_FIRST))
    rows = rows.with_columns(
        _highest(pl.col(_FIRST)).alias("pitch"), pl.col(_FIRST).shift(-1, fill_value=True).alias(_LAST)
    )
    tops = of_tracks(rows, start=pl.col("start").filter(_FIRST), pitch=pl.col("pitch").filter(_LAST))
    return tops, ["task", "instrument", "track"]


def _highest(begins: pl.Expr) -> pl.Expr:
    """Give the highest pitch of the onset so far, as Int16, from whether a note is its onset's first."""
    # Onsets are numbered upwards, so the running maximum of (onset, pitch) holds the highest pitch of the onset so far.
    return ((begins.cum_sum().cast(pl.Int64) * _ZERO + pl.col("pitch")).cum_max() % _ZERO).cast(pl.Int16)


def _shown(*, normalize: bool) -> dict[str, pl.Expr]:
    """Turn counts into what the user sees: a count, or a share of the group's."""
    return {"share": share(pl.col("count"))} if normalize else {"count": pl.col("count")}
