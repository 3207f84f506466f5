"""Where the pitches lie, how many there are, and how evenly they are used: one number, or a few, per group of notes.

All of it follows from the histogram of pitches, MIDI note numbers with middle C = 60, and of pitch classes, the numbers
modulo 12. Percussion keys are no pitches, so drums are left out unless one asks for them. The range from the lowest to
the highest pitch is ``kie_notes.analysis.pitch.pitch_range``.

A note weighs 1 (``count``), or its seconds, end - start (``seconds``). Then, h being a pitch's share of the weight:

- **mean** and **standard deviation** are those of the pitches as they stand, the deviation with the divisor n
  (``ddof=0``): the notes are the piece, no sample of it
- **entropy** is -sum h log2 h, in bits: 0 for one pitch, log2 k for k pitches of equal weight, so at most 7 for pitches
  and 3.585 for pitch classes; it is not divided by its maximum, as ``amads``' ``entropy`` is
- **quantiles** are pitches that occur; nothing is interpolated

By ``seconds``, what has no duration has no weight, and a group of such notes alone has null values.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import polars as pl

from kie_notes.analysis.door import notes_helper
from kie_notes.analysis.grouping import (
    INSTANT,
    Drums,
    as_number,
    check_choice,
    entropy,
    exact_sum,
    finish_groups,
    group,
    keep_drums,
    tally,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

#: What a note adds to a statistic.
PitchWeight = Literal["count", "seconds"]

#: What a group's notes of one pitch weigh, an Int128: a column of the work.
_WEIGHT = "__weight"


@notes_helper
def mean_pitch(
    notes: pl.LazyFrame,
    *,
    by: str | Sequence[str] = "task",
    weight: PitchWeight = "count",
    drums: Drums = "exclude",
) -> pl.LazyFrame:
    """Give the mean pitch and how far the pitches spread around it.

    Parameters
    ----------
    notes
        Notes table, any order.
    by
        Column or columns that make the groups; ``()`` pools all notes.
    weight
        What a note weighs: 1, or its seconds.
    drums
        Whether percussion is left out, counted too, or counted alone.

    Returns
    -------
    One row per group, sorted; a group without such notes has no row:

    - the columns of ``by``; ``task`` and ``instrument`` are String
    - ``mean_pitch`` (Float64): MIDI note number, 0 to 127; null where nothing has a weight
    - ``standard_deviation`` (Float64): semitones, of the population (``ddof=0``), >= 0; null where the mean is

    Raises
    ------
    NotesSchemaError
        If ``notes`` is not a notes table.
    ValueError
        If ``by`` names a column that there is not, or an option has a value that it cannot have.

    References
    ----------
    McKay, jSymbolic 2.2 manual, features P-14 "Mean Pitch" and P-24 "Pitch Variability" (``count``).

    Examples
    --------
    >>> import polars as pl
    >>> from kie_notes.notes import NOTES_SCHEMA
    >>> rows = [("a", "Flute", 60, 0.0, 1.0, 0.5, 0), ("a", "Flute", 70, 1.0, 1.25, 0.5, 0)]
    >>> notes = pl.DataFrame(rows, schema=NOTES_SCHEMA, orient="row")
    >>> mean_pitch(notes).rows()
    [('a', 65.0, 5.0)]
    >>> mean_pitch(notes, weight="seconds").rows()
    [('a', 62.0, 4.0)]
    """
    weights, keys = _weights(notes, by, weight, drums, "mean_pitch", "standard_deviation")
    part, pitch, total = pl.col(_WEIGHT), pl.col("pitch"), _total(weight)
    # Counted from the lowest, the mean of one pitch is that pitch to the last bit.
    mean = pitch.min() + _number((part * (pitch - pitch.min())).sum(), weight) / total
    squares = as_number(exact_sum(_number(part, weight) * (pitch - mean) ** 2))
    found = weights.group_by(keys).agg(mean_pitch=mean, deviation=(squares / total).sqrt())
    return finish_groups(found, keys, "mean_pitch", standard_deviation=pl.col("deviation"))


@notes_helper
def pitch_entropy(
    notes: pl.LazyFrame,
    *,
    by: str | Sequence[str] = "task",
    weight: PitchWeight = "count",
    drums: Drums = "exclude",
) -> pl.LazyFrame:
    """Give the entropy of the pitches: how many of them are used, and how evenly.

    Parameters
    ----------
    notes
        Notes table, any order.
    by
        Column or columns that make the groups; ``()`` pools all notes.
    weight
        What a note weighs: 1, or its seconds.
    drums
        Whether percussion is left out, counted too, or counted alone.

    Returns
    -------
    One row per group, sorted; a group without such notes has no row:

    - the columns of ``by``; ``task`` and ``instrument`` are String
    - ``pitch_entropy`` (Float64): bits, 0 to 7; null where nothing has a weight

    Raises
    ------
    NotesSchemaError
        If ``notes`` is not a notes table.
    ValueError
        If ``by`` names a column that there is not, or an option has a value that it cannot have.

    References
    ----------
    ``muspy.pitch_entropy`` (``count``): equal; where that is NaN, there is no row here.

    Examples
    --------
    >>> import polars as pl
    >>> from kie_notes.notes import NOTES_SCHEMA
    >>> rows = [("a", "Flute", pitch, 0.0, 1.0, 0.5, 0) for pitch in (60, 60, 72, 76)]
    >>> pitch_entropy(pl.DataFrame(rows, schema=NOTES_SCHEMA, orient="row")).rows()
    [('a', 1.5)]
    """
    weights, keys = _weights(notes, by, weight, drums, "pitch_entropy")
    return finish_groups(weights.group_by(keys).agg(pitch_entropy=_entropy(weight)), keys, "pitch_entropy")


@notes_helper
def pitch_class_entropy(
    notes: pl.LazyFrame,
    *,
    by: str | Sequence[str] = "task",
    weight: PitchWeight = "count",
    drums: Drums = "exclude",
) -> pl.LazyFrame:
    """Give the entropy of the pitch classes: how many of the twelve are used, and how evenly.

    Parameters
    ----------
    notes
        Notes table, any order.
    by
        Column or columns that make the groups; ``()`` pools all notes.
    weight
        What a note weighs: 1, or its seconds.
    drums
        Whether percussion is left out, counted too, or counted alone.

    Returns
    -------
    One row per group, sorted; a group without such notes has no row:

    - the columns of ``by``; ``task`` and ``instrument`` are String
    - ``pitch_class_entropy`` (Float64): bits, 0 to log2 12 = 3.585; null where nothing has a weight

    Raises
    ------
    NotesSchemaError
        If ``notes`` is not a notes table.
    ValueError
        If ``by`` names a column that there is not, or an option has a value that it cannot have.

    References
    ----------
    ``muspy.pitch_class_entropy`` (``count``): equal; where that is NaN, there is no row here. Wu and Yang 2020, "The
    Jazz Transformer on the Front Line", take its mean over windows of one bar and of four; there are no bars here.

    Examples
    --------
    >>> import polars as pl
    >>> from kie_notes.notes import NOTES_SCHEMA
    >>> rows = [("a", "Flute", pitch, 0.0, 1.0, 0.5, 0) for pitch in (60, 62, 72, 74)]
    >>> pitch_class_entropy(pl.DataFrame(rows, schema=NOTES_SCHEMA, orient="row")).rows()
    [('a', 1.0)]
    """
    weights, keys = _weights(notes, by, weight, drums, "pitch_class_entropy", classes=True)
    return finish_groups(weights.group_by(keys).agg(pitch_class_entropy=_entropy(weight)), keys, "pitch_class_entropy")


@notes_helper
def pitch_count(notes: pl.LazyFrame, *, by: str | Sequence[str] = "task", drums: Drums = "exclude") -> pl.LazyFrame:
    """Count the distinct pitches.

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
    - ``pitches`` (UInt32): 1 to 128

    Raises
    ------
    NotesSchemaError
        If ``notes`` is not a notes table.
    ValueError
        If ``by`` names a column that there is not, or ``drums`` has a value that it cannot have.

    References
    ----------
    ``muspy.n_pitches_used``: equal. McKay, jSymbolic 2.2 manual, feature P-4 "Number of Pitches".

    Examples
    --------
    >>> import polars as pl
    >>> from kie_notes.notes import NOTES_SCHEMA
    >>> rows = [("a", "Flute", pitch, 0.0, 1.0, 0.5, 0) for pitch in (60, 60, 72, 76)]
    >>> pitch_count(pl.DataFrame(rows, schema=NOTES_SCHEMA, orient="row")).rows()
    [('a', 3)]
    """
    weights, keys = _weights(notes, by, "count", drums, "pitches")
    return finish_groups(weights.group_by(keys).agg(pitches=pl.len().cast(pl.UInt32)), keys, "pitches")


@notes_helper
def pitch_class_count(
    notes: pl.LazyFrame, *, by: str | Sequence[str] = "task", drums: Drums = "exclude"
) -> pl.LazyFrame:
    """Count the distinct pitch classes.

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
    - ``pitch_classes`` (UInt32): 1 to 12

    Raises
    ------
    NotesSchemaError
        If ``notes`` is not a notes table.
    ValueError
        If ``by`` names a column that there is not, or ``drums`` has a value that it cannot have.

    References
    ----------
    ``muspy.n_pitch_classes_used``: equal. McKay, jSymbolic 2.2 manual, feature P-5 "Number of Pitch Classes".

    Examples
    --------
    >>> import polars as pl
    >>> from kie_notes.notes import NOTES_SCHEMA
    >>> rows = [("a", "Flute", pitch, 0.0, 1.0, 0.5, 0) for pitch in (60, 60, 72, 76)]
    >>> pitch_class_count(pl.DataFrame(rows, schema=NOTES_SCHEMA, orient="row")).rows()
    [('a', 2)]
    """
    weights, keys = _weights(notes, by, "count", drums, "pitch_classes", classes=True)
    return finish_groups(weights.group_by(keys).agg(pitch_classes=pl.len().cast(pl.UInt32)), keys, "pitch_classes")


@notes_helper
def tessitura(
    notes: pl.LazyFrame,
    *,
    by: str | Sequence[str] = "task",
    weight: PitchWeight = "seconds",
    coverage: float = 0.5,
    drums: Drums = "exclude",
) -> pl.LazyFrame:
    """Give the range of pitches in which the music mostly lies, and its middle.

    At most ``(1 - coverage) / 2`` of the weight lies below the range, and at most as much above it: the tessitura is
    the inclusive range from one quantile to the other, by default from the first quartile to the third. What is a
    microsecond (or a millionth of a note) short of a quantile has reached it.

    Parameters
    ----------
    notes
        Notes table, any order.
    by
        Column or columns that make the groups; ``()`` pools all notes.
    weight
        What a note weighs: its seconds, or 1.
    coverage
        The part of the weight that lies in the range, at least, 0 to 1. 1 makes it the range of all that sounds.
    drums
        Whether percussion is left out, counted too, or counted alone.

    Returns
    -------
    One row per group, sorted; a group without such notes has no row:

    - the columns of ``by``; ``task`` and ``instrument`` are String
    - ``lowest``, ``highest`` (UInt8): MIDI note numbers, both in the range; ``lowest`` is the lowest pitch such that it
      and what is below it make up ``(1 - coverage) / 2`` of the weight, ``highest`` the same from above; null where
      nothing has a weight
    - ``median`` (Float64): the pitch with half of the weight on either side, or the mean of the two next to that point;
      null where the others are
    - ``range`` (UInt8): semitones from ``lowest`` to ``highest``

    Raises
    ------
    NotesSchemaError
        If ``notes`` is not a notes table.
    ValueError
        If ``by`` names a column that there is not, or an option has a value that it cannot have.

    References
    ----------
    Thurmer 1988, "The tessiturogram", Journal of Voice 2; Titze 2008, "Quantifying tessitura in a song", Journal of
    Singing 65: the distribution of the time that is spent on each pitch. The range between its quartiles is the usual
    measure in studies of singers' parts. Quantiles are of type 1 in Hyndman and Fan 1996 (no interpolation), taken from
    either end, so that a mirrored piece has the mirrored tessitura.

    Examples
    --------
    >>> import polars as pl
    >>> from kie_notes.notes import NOTES_SCHEMA
    >>> rows = [("a", "Flute", 60 + k, k, k + seconds, 0.5, 0) for k, seconds in enumerate((1.0, 2.0, 4.0, 1.0))]
    >>> notes = pl.DataFrame(rows, schema=NOTES_SCHEMA, orient="row")
    >>> tessitura(notes).rows()
    [('a', 61, 62, 62.0, 1)]
    >>> tessitura(notes, weight="count", coverage=1.0).rows()
    [('a', 60, 63, 61.5, 3)]
    """
    if not 0 <= coverage <= 1:
        raise ValueError(f"coverage: expected 0 to 1, got {coverage!r}")
    weights, keys = _weights(notes, by, weight, drums, "lowest", "highest", "median", "range")
    lowest, highest = _quantiles(weight, (1 - coverage) / 2)
    lower, upper = _quantiles(weight, 0.5)
    found = weights.group_by(keys).agg(lowest=lowest, highest=highest, median=(lower.cast(pl.Float64) + upper) / 2)
    highest, width = pl.col("highest"), pl.col("highest") - pl.col("lowest")
    return finish_groups(found, keys, "lowest", highest=highest, median=pl.col("median"), range=width)


def _weights(
    notes: pl.LazyFrame, by: str | Sequence[str], weight: PitchWeight, drums: Drums, *result: str, classes: bool = False
) -> tuple[pl.LazyFrame, list[str]]:
    """One row per group and pitch (or pitch class) that occurs, with its weight: a count, or seconds in grains."""
    check_choice("weight", weight, PitchWeight)
    chosen, keys = group(keep_drums(notes, drums), by, result=("pitch", *result))
    value = pl.len().cast(pl.Int128) if weight == "count" else exact_sum(pl.col("end") - pl.col("start"))
    number = pl.col("pitch") % 12 if classes else pl.col("pitch")
    return tally(chosen, keys, value.alias(_WEIGHT), pitch=number), keys


def _number(weights: pl.Expr, weight: PitchWeight) -> pl.Expr:
    """Give an exact weight as Float64."""
    return weights.cast(pl.Float64) if weight == "count" else as_number(weights)


def _total(weight: PitchWeight) -> pl.Expr:
    """Give a group's weight, null where nothing has any."""
    weights = pl.col(_WEIGHT).sum()
    return pl.when(weights > 0).then(_number(weights, weight))


def _entropy(weight: PitchWeight) -> pl.Expr:
    """Give the entropy of a group's weights in bits, as an answer over its pitches."""
    return pl.when(_total(weight) > 0).then(entropy(pl.col(_WEIGHT)))


def _quantiles(weight: PitchWeight, part: float) -> tuple[pl.Expr, pl.Expr]:
    """Give the pitches at which ``part`` of a group's weight is reached from below and from above."""
    pitch, weights = pl.col("pitch").sort().cast(pl.UInt8), pl.col(_WEIGHT).sort_by("pitch")
    enough = part * _number(weights.sum(), weight) - INSTANT
    from_below, from_above = (_number(weights.cum_sum(reverse=down), weight) for down in (False, True))
    low, high = (pitch.filter((weights > 0) & (reached >= enough)) for reached in (from_below, from_above))
    return low.first(), high.last()
