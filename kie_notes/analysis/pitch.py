"""Which pitches sound, and how much of each.

Pitches are MIDI note numbers, middle C = 60; a pitch class is the number modulo 12, C = 0. Percussion keys are no
pitches, so drums are left out unless one asks for them (pretty_midi and muspy leave them out as well).

A note's share in a histogram is its weight:

=====================  =====================================================
``count``              1
``seconds``            end - start
``velocity``           velocity, 0-1
``velocity_seconds``   velocity times (end - start)
=====================  =====================================================

With ``count``, ``seconds`` and ``velocity_seconds``, a normalised pitch-class histogram per task is
``PrettyMIDI.get_pitch_class_histogram`` with ``use_duration`` and ``use_velocity`` False or True; where that gives
zeros (no note, or no weight), there is no row here, or a null share. mgeval's histograms are another thing: frames
weighted by velocity, from the first track alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import polars as pl

from kie_notes.analysis.door import notes_helper
from kie_notes.analysis.grouping import (
    Drums,
    as_number,
    check_choice,
    exact_sum,
    finish,
    finish_groups,
    group,
    keep_drums,
    share,
    tally,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

#: What a note adds to a histogram.
Weight = Literal["count", "seconds", "velocity", "velocity_seconds"]

#: How pitch classes follow one another: C, C#, D, ..., B; or C, G, D, ..., F, so that neighbours are a fifth apart.
Order = Literal["chromatic", "fifths"]

#: A pitch class's place in the order, a column of the work.
_PLACE = "__place"


@notes_helper
def pitch_histogram(
    notes: pl.LazyFrame,
    *,
    by: str | Sequence[str] = "task",
    weight: Weight = "count",
    normalize: bool = False,
    drums: Drums = "exclude",
) -> pl.LazyFrame:
    """Add up the notes of each pitch.

    Parameters
    ----------
    notes
        Notes table, any order.
    by
        Column or columns that make the groups: ``task``, ``instrument``, ``track``, or any that was joined on. ``()``
        pools all notes.
    weight
        What a note adds: 1, its seconds, its velocity, or the product of the last two.
    normalize
        Whether to give shares of the group's total.
    drums
        Whether percussion is left out, counted too, or counted alone.

    Returns
    -------
    One row per group and pitch that occurs, sorted by both; no notes, no rows:

    - the columns of ``by``; ``task`` and ``instrument`` are String
    - ``pitch`` (UInt8): MIDI note number
    - ``count`` (UInt32), or ``seconds``, ``velocity``, ``velocity_seconds`` (Float64): sum of the weights, >= 0
    - with ``normalize``, in its place, ``share`` (Float64): 0 to 1, sums to 1 in each group; null where the group's
      total is 0 (nothing but zero-length notes, say)

    Raises
    ------
    NotesSchemaError
        If ``notes`` is not a notes table.
    ValueError
        If ``by`` names a column that there is not, or an option has a value that it cannot have.

    References
    ----------
    McKay, jSymbolic 2.2 manual, feature P-1 "Basic Pitch Histogram" (``count``).

    Examples
    --------
    >>> import polars as pl
    >>> from kie_notes.notes import NOTES_SCHEMA
    >>> rows = [("a", "Flute", 60, 0.0, 1.0, 0.5, 0), ("a", "Flute", 72, 1.0, 1.5, 0.5, 0)]
    >>> drum = ("a", "Drums", 36, 0.0, 1.0, 0.5, 1)
    >>> notes = pl.DataFrame([*rows, drum], schema=NOTES_SCHEMA, orient="row")
    >>> pitch_histogram(notes).rows()
    [('a', 60, 1), ('a', 72, 1)]
    >>> pitch_histogram(notes, by=(), weight="seconds", normalize=True, drums="include").rows()
    [(36, 0.4), (60, 0.4), (72, 0.2)]
    """
    sums, keys = _sums(notes, by, weight, drums, pitch=pl.col("pitch"))
    return finish(sums, keys, order="pitch", **_shown(weight, normalize=normalize))


@notes_helper
def pitch_class_histogram(
    notes: pl.LazyFrame,
    *,
    by: str | Sequence[str] = "task",
    weight: Weight = "count",
    normalize: bool = False,
    order: Order = "chromatic",
    drums: Drums = "exclude",
) -> pl.LazyFrame:
    """Add up the notes of each pitch class.

    Parameters
    ----------
    notes
        Notes table, any order.
    by
        Column or columns that make the groups: ``task``, ``instrument``, ``track``, or any that was joined on. ``()``
        pools all notes.
    weight
        What a note adds: 1, its seconds, its velocity, or the product of the last two.
    normalize
        Whether to give shares of the group's total.
    order
        How a group's rows follow one another: ``chromatic`` (C, C#, D, ...) or by ``fifths`` (C, G, D, ...), where the
        j-th row is pitch class ``7 * j % 12``. The rows are the same.
    drums
        Whether percussion is left out, counted too, or counted alone.

    Returns
    -------
    Twelve rows per group, those of zeros included, sorted by group and, as ``order`` says, pitch class; no notes, no
    rows:

    - the columns of ``by``; ``task`` and ``instrument`` are String
    - ``pitch_class`` (UInt8): 0 (C) to 11 (B)
    - ``count`` (UInt32), or ``seconds``, ``velocity``, ``velocity_seconds`` (Float64): sum of the weights, >= 0
    - with ``normalize``, in its place, ``share`` (Float64): 0 to 1, sums to 1 in each group; null where the group's
      total is 0

    Raises
    ------
    NotesSchemaError
        If ``notes`` is not a notes table.
    ValueError
        If ``by`` names a column that there is not, or an option has a value that it cannot have.

    References
    ----------
    ``pretty_midi.PrettyMIDI.get_pitch_class_histogram``: equal, with ``normalize``. McKay, jSymbolic 2.2 manual,
    features P-2 "Pitch Class Histogram" and, by ``fifths``, P-3 "Folded Fifths Pitch Class Histogram"; both go by
    ``count``.

    Examples
    --------
    >>> import polars as pl
    >>> from kie_notes.notes import NOTES_SCHEMA
    >>> rows = [("a", "Flute", 60, 0.0, 1.0, 0.5, 0), ("a", "Flute", 73, 1.0, 1.5, 0.5, 0)]
    >>> notes = pl.DataFrame(rows, schema=NOTES_SCHEMA, orient="row")
    >>> pitch_class_histogram(notes, weight="seconds").head(3).rows()
    [('a', 0, 1.0), ('a', 1, 0.5), ('a', 2, 0.0)]
    >>> pitch_class_histogram(notes, order="fifths")["pitch_class"].to_list()
    [0, 7, 2, 9, 4, 11, 6, 1, 8, 3, 10, 5]
    """
    check_choice("order", order, Order)
    sums, keys = _sums(notes, by, weight, drums, pitch_class=pl.col("pitch") % 12)
    classes = {str(k): pl.col(weight).filter(pl.col("pitch_class") == k).sum() for k in range(12)}
    twelve = sums.group_by(keys).agg(**classes).unpivot(list(classes), index=keys, variable_name="k", value_name=weight)
    number = pl.col("k").cast(pl.UInt8)
    rows = twelve.with_columns((number * 7 % 12 if order == "fifths" else number).alias(_PLACE), pitch_class=number)
    shown = {"pitch_class": pl.col("pitch_class"), **_shown(weight, normalize=normalize)}
    return finish(rows, keys, order=_PLACE, **shown).drop(_PLACE)


@notes_helper
def pitch_range(notes: pl.LazyFrame, *, by: str | Sequence[str] = "task", drums: Drums = "exclude") -> pl.LazyFrame:
    """Give the lowest and the highest pitch, and how far they are apart.

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
    - ``lowest``, ``highest`` (UInt8): MIDI note numbers
    - ``range`` (UInt8): semitones from the lowest to the highest

    Raises
    ------
    NotesSchemaError
        If ``notes`` is not a notes table.
    ValueError
        If ``by`` names a column that there is not, or ``drums`` has a value that it cannot have.

    References
    ----------
    ``muspy.pitch_range``, which is -127 where there are only drums.

    Examples
    --------
    >>> import polars as pl
    >>> from kie_notes.notes import NOTES_SCHEMA
    >>> rows = [("a", "Flute", 60, 0.0, 1.0, 0.5, 0), ("a", "Flute", 72, 1.0, 1.5, 0.5, 0)]
    >>> pitch_range(pl.DataFrame(rows, schema=NOTES_SCHEMA, orient="row")).rows()
    [('a', 60, 72, 12)]
    """
    chosen, keys = group(keep_drums(notes, drums), by, result=("lowest", "highest", "range"))
    ends = chosen.group_by(keys).agg(lowest=pl.col("pitch").min(), highest=pl.col("pitch").max())
    width = pl.col("highest") - pl.col("lowest")
    return finish_groups(ends, keys, "lowest", highest=pl.col("highest"), range=width)


def _sums(
    notes: pl.LazyFrame, by: str | Sequence[str], weight: Weight, drums: Drums, /, **number: pl.Expr
) -> tuple[pl.LazyFrame, list[str]]:
    """One row per group and number, the sum named after the weight: a count, or seconds and velocities in grains."""
    check_choice("weight", weight, Weight)
    chosen, keys = group(keep_drums(notes, drums), by, result=("pitch", *number, weight, "share"))
    seconds, velocity = pl.col("end") - pl.col("start"), pl.col("velocity").cast(pl.Float64)
    value = {
        "count": pl.len(),
        "seconds": exact_sum(seconds),
        "velocity": exact_sum(velocity),
        "velocity_seconds": exact_sum(velocity * seconds),
    }[weight]
    return tally(chosen, keys, value.alias(weight), **number).with_columns(pl.col(*number).cast(pl.UInt8)), keys


def _shown(weight: Weight, *, normalize: bool) -> dict[str, pl.Expr]:
    """Turn sums into what the user sees: a count, a number, or a share of the group's total."""
    part = pl.col(weight)
    if normalize:
        return {"share": share(part)}
    return {weight: part.cast(pl.UInt32) if weight == "count" else as_number(part)}
