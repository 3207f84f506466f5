"""How much of a task keeps to one scale.

A note keeps to a scale if its pitch class is one of it; notes count alike, long or short. The scales are the major, the
natural minor and the harmonic minor: a natural minor has the notes of the major a minor third above, so scales of those
two kinds are twelve sets of notes. Percussion keys are no pitches, and are left out unless one asks for them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal

import polars as pl

from kie_notes.analysis.door import notes_helper
from kie_notes.analysis.grouping import check_choice
from kie_notes.analysis.keys import KEYS, KeyMethod, key
from kie_notes.analysis.pitch import pitch_class_histogram

if TYPE_CHECKING:
    from kie_notes.analysis.grouping import Drums

#: Which scale stands on the root.
ScaleMode = Literal["major", "minor", "harmonic_minor"]

#: Semitones above the root.
SCALES: Final = {
    "major": (0, 2, 4, 5, 7, 9, 11),
    "minor": (0, 2, 3, 5, 7, 8, 10),
    "harmonic_minor": (0, 2, 3, 5, 7, 8, 11),
}


@notes_helper
def scale_consistency(notes: pl.LazyFrame, *, drums: Drums = "exclude") -> pl.LazyFrame:
    """Give the share of notes that the best-fitting major or natural minor scale has.

    Parameters
    ----------
    notes
        Notes table, any order.
    drums
        Whether percussion is left out, counted too, or counted alone.

    Returns
    -------
    One row per task, sorted; a task without such notes has no row:

    - ``task`` (String)
    - ``scale_consistency`` (Float64): notes in the scale / notes; at least 7/12, at most 1
    - ``scale`` (String): that scale by the name of its major, such as ``Eb major``, which is that of its relative
      minor too; of equal ones the first upwards from C

    Raises
    ------
    NotesSchemaError
        If ``notes`` is not a notes table.
    ValueError
        If ``drums`` has a value that it cannot have.

    References
    ----------
    Mogren, C-RNN-GAN (2016), "scale consistency"; ``muspy.scale_consistency``: equal.

    Examples
    --------
    >>> import polars as pl
    >>> from kie_notes.notes import NOTES_SCHEMA
    >>> rows = [("a", "Flute", pitch, 0.0, 1.0, 0.5, 0) for pitch in (60, 62, 65, 66, 67, 70)]
    >>> scale_consistency(pl.DataFrame(rows, schema=NOTES_SCHEMA, orient="row")).rows()
    [('a', 0.8333333333333334, 'Eb major')]
    """
    inside = {KEYS[root]: _counted(root, "major") for root in range(12)}
    sums = pitch_class_histogram(notes, drums=drums).group_by("task").agg(pl.col("count").sum(), **inside)
    most = pl.concat_list(*inside)
    names = pl.lit(pl.Series(list(inside)).implode())
    return sums.select(
        "task",
        scale_consistency=most.list.max() / pl.col("count"),
        scale=names.list.get(most.list.arg_max()),
    ).sort("task")


@notes_helper
def in_scale_rate(
    notes: pl.LazyFrame, *, root: int = 0, mode: ScaleMode = "major", drums: Drums = "exclude"
) -> pl.LazyFrame:
    """Give the share of notes that a scale has.

    Parameters
    ----------
    notes
        Notes table, any order.
    root
        Pitch class of the scale's first note, 0 (C) to 11 (B).
    mode
        Which scale: ``major``, ``minor`` (natural) or ``harmonic_minor``.
    drums
        Whether percussion is left out, counted too, or counted alone.

    Returns
    -------
    One row per task, sorted; a task without such notes has no row:

    - ``task`` (String)
    - ``in_scale_rate`` (Float64): notes in the scale / notes, 0 to 1

    Raises
    ------
    NotesSchemaError
        If ``notes`` is not a notes table.
    ValueError
        If an option has a value that it cannot have.

    References
    ----------
    ``muspy.pitch_in_scale_rate``: equal for its modes ``major`` and ``minor``. After Dong et al., MuseGAN (2018).

    Examples
    --------
    >>> import polars as pl
    >>> from kie_notes.notes import NOTES_SCHEMA
    >>> rows = [("a", "Flute", pitch, 0.0, 1.0, 0.5, 0) for pitch in (60, 62, 65, 66)]
    >>> in_scale_rate(pl.DataFrame(rows, schema=NOTES_SCHEMA, orient="row"), root=7).rows()
    [('a', 0.75)]
    """
    check_choice("mode", mode, ScaleMode)
    if root not in range(12):
        raise ValueError(f"root: expected a pitch class, 0 (C) to 11 (B), got {root!r}")
    sums = pitch_class_histogram(notes, drums=drums).group_by("task").agg(pl.col("count").sum(), n=_counted(root, mode))
    return sums.select("task", in_scale_rate=pl.col("n") / pl.col("count")).sort("task")


@notes_helper
def in_key_rate(notes: pl.LazyFrame, *, method: KeyMethod = "combined", drums: Drums = "exclude") -> pl.LazyFrame:
    """Give the share of notes that the scale of the task's own key has.

    Parameters
    ----------
    notes
        Notes table in canonical order.
    method
        How the key is found, see ``key``.
    drums
        Whether percussion is left out, counted too, or counted alone.

    Returns
    -------
    One row per task, sorted; a task without such notes has no row:

    - ``task`` (String)
    - ``key`` (String): as ``key`` finds it
    - ``in_key_rate`` (Float64): notes in the key's scale / notes, 0 to 1; minor is the natural minor. Null without key

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
    ``muspy.pitch_in_scale_rate`` with the root and the mode of the key.

    Examples
    --------
    >>> import polars as pl
    >>> from kie_notes.notes import NOTES_SCHEMA
    >>> scale = enumerate([60, 62, 64, 66, 67, 69, 71, 72])
    >>> rows = [("a", "Flute", pitch, float(k), k + 1.0, 0.5, 0) for k, pitch in scale]
    >>> in_key_rate(pl.DataFrame(rows, schema=NOTES_SCHEMA, orient="row")).rows()
    [('a', 'C major', 0.875)]
    """
    inside = {name: _counted(at % 12, "major" if at < 12 else "minor") for at, name in enumerate(KEYS)}
    sums = pitch_class_histogram(notes, drums=drums).group_by("task").agg(pl.col("count").sum(), **inside)
    place = pl.col("key").replace_strict(list(KEYS), range(24), default=None, return_dtype=pl.Int64)
    found = key(notes, method=method, drums=drums).join(sums, on="task")
    rate = pl.concat_list(*inside).list.get(place) / pl.col("count")
    return found.select("task", "key", in_key_rate=rate).sort("task")


def _counted(root: int, mode: ScaleMode) -> pl.Expr:
    """Count, over the twelve rows of a task's histogram, the notes that the scale has."""
    scale = [(root + step) % 12 for step in SCALES[mode]]
    return pl.col("count").filter(pl.col("pitch_class").is_in(scale)).sum()
