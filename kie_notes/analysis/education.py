"""What a part asks of whoever plays it: range, tessitura, speed, movement, and where it is hardest.

A *part* is one track of one task. An **onset** is a time at which notes of the part start (within a microsecond); its
*top* is its highest note, and the part's **movement** is between the tops of successive onsets, the rule by which a
melody is the upper edge of a texture. Windows are half-open. No number is a grade: each is one demand, in its unit, and
what they add up to depends on the instrument and the player.

Sources: Sebastien, Ralambondrainy, Sebastien and Conruyt, "Score Analyzer: Automatically Determining Scores Difficulty
Level for Instrumental e-Learning", ISMIR 2012; Chiu and Chen, "A Study on Difficulty Level Recognition of Piano Sheet
Music", IEEE ISM 2012; Ramoneda et al., "Score Difficulty Analysis for Piano Performance Education based on Fingering",
ICASSP 2022, and "Combining Piano Performance Dimensions for Score Difficulty Classification", 2023. They read scores,
with beats and fingerings; here there are seconds and notes alone.
"""

from __future__ import annotations

import math
from typing import Literal

import polars as pl

from kie_notes.analysis.door import notes_helper, per_task, per_track
from kie_notes.analysis.grouping import INSTANT, Drums, check_choice, entropy, keep_drums
from kie_notes.analysis.instrument_ranges import highest_in_range, lowest_in_range
from kie_notes.analysis.part_onsets import NUMBER, PART, fullest, of_notes, part_onsets

#: Whose notes are transposed together.
Together = Literal["track", "task"]


@notes_helper
def instrument_fit(notes: pl.LazyFrame, *, middle: float = 0.8) -> pl.LazyFrame:
    """Compare each part's pitches with the range that General MIDI 2 recommends for its instrument.

    The tessitura is where the part lies for most of its sounding time: the pitches between which the given share of it
    falls, with as much time below as above.

    Parameters
    ----------
    notes
        Notes table in canonical order. Drums are left out: their keys are no pitches.
    middle
        Share of the sounding time that the tessitura holds, 0 to 1.

    Returns
    -------
    One row per task and track, sorted by both; no pitched notes, no rows:

    - ``task``, ``instrument`` (String), ``track`` (UInt16)
    - ``notes`` (UInt32): > 0
    - ``lowest``, ``highest`` (UInt8): MIDI note numbers
    - ``range_lowest``, ``range_highest`` (UInt8): the recommended range, both inclusive; null where there is none
    - ``share_in_range`` (Float64): notes in that range, 0 to 1; null where there is none
    - ``tessitura_lowest`` (UInt8): the lowest pitch with more than (1 - ``middle``) / 2 of the seconds at it or below
    - ``tessitura_highest`` (UInt8): the highest with more than that at it or above; both null where no note has a
      duration

    Raises
    ------
    NotesSchemaError
        If ``notes`` is not a notes table.
    NotesOrderError
        If a task's notes do not stand together or their starts descend (an ``InvalidOperationError`` of the same text
        when a LazyFrame is collected).
    ValueError
        If ``middle`` is not from 0 to below 1.

    References
    ----------
    General MIDI 2, RP-024 (MIDI Association), for the ranges. Thurmer, "The tessiturogram", Journal of Voice 2 (1988):
    pitches weighted by the time that they are held.

    Examples
    --------
    >>> import polars as pl
    >>> from kie_notes.notes import NOTES_SCHEMA
    >>> rows = [("a", "Flute", 59, 0.0, 0.5, 0.5, 0), ("a", "Flute", 72, 0.5, 9.5, 0.5, 0)]
    >>> rows += [("a", "Flute", 84, 9.5, 10.0, 0.5, 0)]
    >>> instrument_fit(pl.DataFrame(rows, schema=NOTES_SCHEMA, orient="row")).rows()
    [('a', 'Flute', 0, 3, 59, 84, 60, 96, 0.6666666666666666, 72, 72)]
    """
    if not 0 <= middle < 1:
        raise ValueError(f"middle: expected a share from 0 to below 1, got {middle!r}")
    low, high, pitch = pl.col("__low"), pl.col("__high"), pl.col("pitch")
    bounds = {"__low": lowest_in_range(), "__high": highest_in_range()}
    held = ((pl.col("end") - pl.col("start")) * 1e6).round().cast(pl.Int64).sort_by(pitch)
    tail = held.sum() * ((1 - middle) / 2)
    return per_track(
        keep_drums(notes, "exclude").with_columns(**bounds),
        notes=pl.len().cast(pl.UInt32),
        lowest=pitch.min(),
        highest=pitch.max(),
        range_lowest=low.first(),
        range_highest=high.first(),
        share_in_range=pitch.is_between(low, high).mean(),
        tessitura_lowest=pitch.sort().filter(held.cum_sum() > tail).first(),
        tessitura_highest=pitch.sort().filter(held.cum_sum(reverse=True) > tail).last(),
    ).sort("task", "track", "instrument")


@notes_helper
def transposition(notes: pl.LazyFrame, *, low: int, high: int, by: Together = "track", step: int = 1) -> pl.LazyFrame:
    """Find the transposition that brings most notes into a range: a voice's, a pupil's, another instrument's.

    Of the shifts that bring equally many notes into the range the smallest is taken, of two of one size the downward.

    Parameters
    ----------
    notes
        Notes table in canonical order. Drums are left out.
    low, high
        The range, MIDI note numbers, both inclusive.
    by
        Whether each track is shifted by itself or all of a task's by the same.
    step
        Semitones of which the shift is a multiple, > 0: 12 keeps the pitch classes.

    Returns
    -------
    One row per task and track, or per task, sorted; no pitched notes, no rows:

    - ``task`` (String); by track ``instrument`` (String), ``track`` (UInt16)
    - ``lowest``, ``highest`` (UInt8): as the notes are
    - ``share_in_range`` (Float64): notes that are in the range as they are, 0 to 1
    - ``shift`` (Int16): semitones, upward positive
    - ``share_after`` (Float64): notes in the range after the shift, >= ``share_in_range``
    - ``shift_from``, ``shift_to`` (Int16): every shift from this to that brings all notes into the range, whether a
      multiple of ``step`` or not; null where none does

    Raises
    ------
    NotesSchemaError
        If ``notes`` is not a notes table.
    NotesOrderError
        If a task's notes do not stand together or their starts descend (an ``InvalidOperationError`` of the same text
        when a LazyFrame is collected).
    ValueError
        If the range is none, ``step`` is not above 0, or ``by`` has a value that it cannot have.

    Examples
    --------
    >>> import polars as pl
    >>> from kie_notes.notes import NOTES_SCHEMA
    >>> rows = [("a", "Flute", pitch, 0.0, 1.0, 0.5, 0) for pitch in (60, 72)]
    >>> notes = pl.DataFrame(rows, schema=NOTES_SCHEMA, orient="row")
    >>> transposition(notes, low=48, high=65).rows()
    [('a', 'Flute', 0, 60, 72, 0.5, -7, 1.0, -12, -7)]
    >>> transposition(notes, low=48, high=65, by="task", step=12).rows()
    [('a', 60, 72, 0.5, -12, 1.0, -12, -7)]
    """
    check_choice("by", by, Together)
    if not 0 <= low <= high <= 127:
        raise ValueError(f"low, high: expected a range of MIDI note numbers, got {low!r} to {high!r}")
    if step <= 0:
        raise ValueError(f"step: expected semitones above 0, got {step!r}")
    pitch, far = pl.col("pitch"), 127 // step * step
    shifts = pl.int_range(-far, far + 1, step)
    order = pitch.sort().cast(pl.Int64)
    inside = order.search_sorted(high - shifts, side="right") - order.search_sorted(low - shifts, side="left")
    # Most notes first, then the smallest shift, then the downward one: one number, the least of which is the best.
    best = (inside.cast(pl.Int64) * -1024 + shifts.abs() * 2 + (shifts > 0).cast(pl.Int64)).arg_min()
    answers = {
        "lowest": pitch.min(),
        "highest": pitch.max(),
        "share_in_range": pitch.is_between(low, high).mean(),
        "shift": best.cast(pl.Int16) * step - far,
        "share_after": inside.max() / pl.len(),
    }
    chosen = keep_drums(notes, "exclude")
    found = per_track(chosen, **answers) if by == "track" else per_task(chosen, ordered=False, **answers)
    first, last = low - pl.col("lowest").cast(pl.Int16), high - pl.col("highest").cast(pl.Int16)
    ends = {"shift_from": pl.when(first <= last).then(first), "shift_to": pl.when(first <= last).then(last)}
    return found.with_columns(**ends).sort(["task", "track", "instrument"] if by == "track" else "task")


@notes_helper
def peak_notes_per_second(notes: pl.LazyFrame, *, window: float = 1.0, drums: Drums = "include") -> pl.LazyFrame:
    """Give the greatest number of notes that each part starts in any window of a given length.

    Windows are half-open and begin at any note: no fixed ones cut a run in two.

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
    One row per task and track, sorted by both; no such notes, no rows:

    - ``task``, ``instrument`` (String), ``track`` (UInt16)
    - ``peak_notes_per_second`` (Float64): notes in the fullest window / ``window``, > 0
    - ``peak_start`` (Float64): seconds at which the first such window begins

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
    Chiu and Chen (2012), "playing speed", there the mean over a score.

    Examples
    --------
    >>> import polars as pl
    >>> from kie_notes.notes import NOTES_SCHEMA
    >>> rows = [("a", "Flute", 60, start, 9.0, 0.5, 0) for start in (0.0, 1.5, 2.0, 2.25, 2.5)]
    >>> peak_notes_per_second(pl.DataFrame(rows, schema=NOTES_SCHEMA, orient="row")).rows()
    [('a', 'Flute', 0, 3.0, 1.5)]
    """
    _check_window(window)
    count, first = fullest(window)
    found = per_track(keep_drums(notes, drums), peak_notes_per_second=count, peak_start=first)
    return found.with_columns(pl.col("peak_notes_per_second") / window).sort("task", "track", "instrument")


@notes_helper
def hardest_windows(
    notes: pl.LazyFrame, *, window: float = 8.0, top: int = 3, drums: Drums = "exclude"
) -> pl.LazyFrame:
    """Find the passages of each part that ask most, as sections to practise.

    Windows are laid from 0 s. In each part they are ranked by every one of the four demands, equal ones sharing the
    mean of their ranks, and then by the sum of the four ranks (Borda's count): no demand has a weight, and no unit is
    added to another.

    Parameters
    ----------
    notes
        Notes table in canonical order.
    window
        Length of a window in seconds, > 0.
    top
        Windows to give per part, >= 1.
    drums
        Whether percussion is left out, counted too, or counted alone.

    Returns
    -------
    One row per task, track and window, hardest first: sorted by task, track and rank. A window without an onset has no
    row:

    - ``task``, ``instrument`` (String), ``track`` (UInt16)
    - ``rank`` (UInt32): 1 is the hardest; of equals the earlier comes first
    - ``start``, ``end`` (Float64): seconds, ``[k * window, (k + 1) * window)``
    - ``notes_per_second`` (Float64): notes that start in it / ``window``, > 0
    - ``pitch_range`` (UInt8): semitones from its lowest to its highest note
    - ``movement_per_second`` (Float64): semitones between the tops of successive onsets, each counted where the later
      is, / ``window``
    - ``polyphony`` (UInt32): most notes sounding at an onset, those that sound on from before included

    Raises
    ------
    NotesSchemaError
        If ``notes`` is not a notes table.
    NotesOrderError
        If a task's notes do not stand together or their starts descend (an ``InvalidOperationError`` of the same text
        when a LazyFrame is collected).
    ValueError
        If ``window`` or ``top`` is not above 0, or ``drums`` has a value that it cannot have.

    References
    ----------
    The demands are after Sebastien et al. (2012), "playing speed", "hand displacement" and "polyphony", and Chiu and
    Chen (2012), "pitch range".

    Examples
    --------
    >>> import polars as pl
    >>> from kie_notes.notes import NOTES_SCHEMA
    >>> rows = [("a", "Flute", 60 + 12 * (k % 2), k / 4, k / 4 + 0.25, 0.5, 0) for k in range(8)]
    >>> easy = ("a", "Flute", 60, 3.0, 4.0, 0.5, 0)
    >>> notes = pl.DataFrame([*rows, easy], schema=NOTES_SCHEMA, orient="row")
    >>> hardest_windows(notes, window=2.0).drop("task", "instrument", "track").rows()
    [(1, 0.0, 2.0, 4.0, 12, 42.0, 1), (2, 2.0, 4.0, 0.5, 0, 6.0, 1)]
    """
    _check_window(window)
    if top < 1:
        raise ValueError(f"top: expected 1 or more, got {top!r}")
    number = ((pl.col("start") + INSTANT) / window).floor().cast(pl.Int64)
    windows = (
        part_onsets(keep_drums(notes, drums))
        .with_columns(k=number)
        .group_by(NUMBER, "k")
        .agg(
            pl.col(*PART).first(),
            notes_per_second=pl.col("struck").sum() / window,
            pitch_range=pl.col("top").max() - pl.col("bottom").min(),
            movement_per_second=pl.col("movement").cast(pl.Int64).sum() / window,
            polyphony=pl.col("sounding").max(),
        )
    )
    demands = ("notes_per_second", "pitch_range", "movement_per_second", "polyphony")
    points = pl.sum_horizontal(pl.col(name).rank("average", descending=True).over(NUMBER) for name in demands)
    place = pl.int_range(1, pl.len() + 1).over(NUMBER).cast(pl.UInt32)
    return (
        windows.with_columns(__points=points)
        .sort("task", "track", "instrument", "__points", "k")
        .with_columns(rank=place, start=pl.col("k") * window, end=(pl.col("k") + 1) * window)
        .filter(pl.col("rank") <= top)
        .select(*PART, "rank", "start", "end", *demands)
    )


@notes_helper
def difficulty_parts(notes: pl.LazyFrame, *, window: float = 1.0, drums: Drums = "exclude") -> pl.LazyFrame:
    """Give what each part demands, one column per demand; there is no grade.

    Parameters
    ----------
    notes
        Notes table in canonical order.
    window
        Length in seconds of the window in which the peak is sought, > 0.
    drums
        Whether percussion is left out, counted too, or counted alone.

    Returns
    -------
    One row per task and track, sorted by both; no such notes, no rows:

    - ``task``, ``instrument`` (String), ``track`` (UInt16)
    - ``notes``, ``onsets`` (UInt32): > 0
    - ``onsets_per_second`` (Float64): (onsets - 1) / (last onset - first onset); null where there is one onset
    - ``peak_notes_per_second`` (Float64): as the helper of that name
    - ``fastest_repetition`` (Float64): one pitch, strikes per second: 1 / the least time between two; null where none
      comes twice
    - ``pitch_range`` (UInt8): semitones; ``pitch_entropy`` (Float64): bits, of the counts of pitches
    - ``black_key_share`` (Float64): notes on black keys, 0 to 1
    - ``mean_movement`` (Float64), ``largest_movement`` (UInt8): semitones between the tops of successive onsets; null
      where there is one onset
    - ``mean_chord_span`` (Float64), ``largest_chord_span`` (UInt8): semitones from the lowest to the highest note of an
      onset, 0 for a single note
    - ``polyphony`` (UInt32): most notes sounding at an onset
    - ``rhythm_entropy`` (Float64): bits, of the counts of times between onsets in octaves, ``[2**k, 2**(k + 1))``
      seconds; null where there is one onset

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
    Chiu and Chen (2012): playing speed, pitch entropy, pitch range, hand stretch, hand displacement. Sebastien et al.
    (2012): playing speed, polyphony, hand displacement, irregularity of rhythm. Here they are in seconds instead of
    beats, and of the part instead of the hand, which ``hand_demands`` has.

    Examples
    --------
    >>> import polars as pl
    >>> from kie_notes.notes import NOTES_SCHEMA
    >>> rows = [("a", "Celesta", 60, 0.0, 1.0, 0.5, 0), ("a", "Celesta", 66, 0.0, 1.0, 0.5, 0)]
    >>> rows += [("a", "Celesta", 60, 0.5, 1.0, 0.5, 0)]
    >>> parts = difficulty_parts(pl.DataFrame(rows, schema=NOTES_SCHEMA, orient="row"))
    >>> parts.select("onsets_per_second", "fastest_repetition", "largest_movement", "mean_chord_span").rows()
    [(2.0, 2.0, 6, 3.0)]
    """
    _check_window(window)
    movement, span = pl.col("movement"), pl.col("top") - pl.col("bottom")
    octave = (pl.col("interval") + INSTANT).log(2).floor().cast(pl.Int16).drop_nulls()
    speed = (pl.len() - 1) / (pl.col("start").last() - pl.col("start").first())
    played = pl.len() > 1
    found = part_onsets(keep_drums(notes, drums), **of_notes(window)).group_by(NUMBER)
    return (
        found.agg(
            pl.col(*PART, *of_notes(window)).first(),
            onsets=pl.len().cast(pl.UInt32),
            onsets_per_second=pl.when(played).then(speed),
            mean_movement=movement.cast(pl.Int64).sum() / movement.count(),
            largest_movement=movement.max(),
            mean_chord_span=span.cast(pl.Int64).sum() / pl.len(),
            largest_chord_span=span.max(),
            polyphony=pl.col("sounding").max(),
            rhythm_entropy=pl.when(played).then(entropy(octave.unique_counts())),
        )
        .with_columns(pl.col("mean_movement").fill_nan(None), pl.col("peak_notes_per_second") / window)
        .select(
            *(*PART, "notes", "onsets", "onsets_per_second", "peak_notes_per_second", "fastest_repetition"),
            *("pitch_range", "pitch_entropy", "black_key_share", "mean_movement", "largest_movement"),
            *("mean_chord_span", "largest_chord_span", "polyphony", "rhythm_entropy"),
        )
        .sort("task", "track", "instrument")
    )


def _check_window(window: float) -> None:
    if not 0 < window < math.inf:
        raise ValueError(f"window: expected seconds above 0, got {window!r}")
