"""What a drum kit plays: which of its pieces, how often, and how close kick and bass are.

The pitch of a percussion note is a key of a drum kit. Its name is that of the General MIDI 2 standard kit, and its
class is read off the name:

=============  =======================  =================================================================
class          keys                     pieces
=============  =======================  =================================================================
``kick``       35 36                    bass drums
``snare``      37 38 40                 snares and side stick
``hat``        42 44 46                 hi-hats
``tom``        41 43 45 47 48 50        toms
``cymbal``     49 51 52 53 55 57 59     crash, ride, ride bell, Chinese, splash
``other``      the rest of 27 to 87     hand clap, tambourine, cowbell, bongos, ...
``unmapped``   below 27 and above 87    keys that General MIDI 2 leaves without a name
=============  =======================  =================================================================

On the keys that it has, this is the reduction of Gillick et al. 2019 (Groove MIDI Dataset), with its two hi-hats, its
three toms and its crash and ride taken together; electronic kits' keys of its own (22, 26, 58) are read as General MIDI
here.

**Drum labels of transcribed notes are unreliable**: a steady pulse can come out as 58 Vibraslap, a shaker as 73 Short
Guiro or 61 Low Bongo. A class says how a note is labelled, not what was played. Look at the shares of ``other`` and
``unmapped`` first. Pitches stay as they are, nothing is corrected. There are no beats in the notes, so nothing here
knows of a backbeat.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import polars as pl

from kie_notes.analysis.door import notes_helper, per_task
from kie_notes.analysis.grouping import (
    INSTANT,
    as_number,
    drums_mask,
    exact_sum,
    finish,
    finish_groups,
    group,
    keep_drums,
    share,
    tally,
)
from kie_notes.instruments import drum_name, find_instrument

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

#: The classes, in the order of the columns that bear their names, and their keys, General MIDI 2 (RP-024); ``other`` is
#: every other key that has a name, ``unmapped`` what has none.
DRUM_CLASSES: Final = {
    "kick": (35, 36),
    "snare": (37, 38, 40),
    "hat": (42, 44, 46),
    "tom": (41, 43, 45, 47, 48, 50),
    "cymbal": (49, 51, 52, 53, 55, 57, 59),
    "other": tuple(k for k in range(27, 88) if k < 35 or k in (39, 54, 56, 58) or k > 59),
    "unmapped": (*range(27), *range(88, 128)),
}

#: Class and name by key.
_CLASSES: Final = {key: name for name, keys in DRUM_CLASSES.items() for key in keys}
_NAMES: Final = {key: drum_name(key) for key in range(128)}

#: Stands for the pitch of notes that are no drums.
_NO_KEY: Final = 128

#: Whether a note is a kick, or of a bass: columns of the work.
_KICK, _BASS = "__kick", "__bass"


@notes_helper
def drum_histogram(notes: pl.LazyFrame, *, by: str | Sequence[str] = "task", normalize: bool = False) -> pl.LazyFrame:
    """Count the notes of each percussion key, with its name and class.

    The labels are unreliable: a steady pulse can come out as 58 Vibraslap. They say how a note is labelled, not what
    was played.

    Parameters
    ----------
    notes
        Notes table, any order. Only drums are counted.
    by
        Column or columns that make the groups; ``()`` pools all notes.
    normalize
        Whether to give shares of the group's drum notes.

    Returns
    -------
    One row per group and key that occurs, sorted by both; a group without drums has no row:

    - the columns of ``by``; ``task`` and ``instrument`` are String
    - ``pitch`` (UInt8): the key, as it came
    - ``drum`` (String): its name in the General MIDI 2 standard kit; null outside 27 to 87
    - ``drum_class`` (String): ``kick``, ``snare``, ``hat``, ``tom``, ``cymbal``, ``other`` or ``unmapped``
    - ``count`` (UInt32): notes, > 0
    - with ``normalize``, in its place, ``share`` (Float64): 0 to 1, sums to 1 in each group

    Raises
    ------
    NotesSchemaError
        If ``notes`` is not a notes table.
    ValueError
        If ``by`` names a column that there is not.

    References
    ----------
    General MIDI 2, RP-024 (MIDI Association): names of the keys; ``pretty_midi.note_number_to_drum_name`` has those of
    35 to 81.

    Examples
    --------
    >>> import polars as pl
    >>> from kie_notes.notes import NOTES_SCHEMA
    >>> rows = [("a", "Drums", key, 0.0, 0.1, 0.5, 0) for key in (36, 42, 42, 99)]
    >>> drum_histogram(pl.DataFrame(rows, schema=NOTES_SCHEMA, orient="row")).rows()
    [('a', 36, 'Bass Drum 1', 'kick', 1), ('a', 42, 'Closed Hi Hat', 'hat', 2), ('a', 99, None, 'unmapped', 1)]
    """
    counts, keys = _counts(notes, by, result=("pitch", "drum", "drum_class", "count", "share"))
    pitch, count = pl.col("pitch"), pl.col("count")
    rows = counts.with_columns(
        pitch.cast(pl.UInt8),
        drum=pitch.replace_strict(_NAMES, return_dtype=pl.String),
        drum_class=pitch.replace_strict(_CLASSES, return_dtype=pl.String),
    )
    shown = {"share": share(count)} if normalize else {"count": count}
    return finish(rows, keys, order="pitch", drum=pl.col("drum"), drum_class=pl.col("drum_class"), **shown)


@notes_helper
def drum_class_shares(notes: pl.LazyFrame, *, by: str | Sequence[str] = "task") -> pl.LazyFrame:
    """Give each class's share of the drum notes.

    The labels are unreliable: a steady pulse can come out as 58 Vibraslap. They say how a note is labelled, not what
    was played; a large share of ``other`` or ``unmapped`` is a sign of it.

    Parameters
    ----------
    notes
        Notes table, any order. Only drums are counted.
    by
        Column or columns that make the groups; ``()`` pools all notes.

    Returns
    -------
    One row per group, sorted; a group without drums has no row:

    - the columns of ``by``; ``task`` and ``instrument`` are String
    - ``drum_notes`` (UInt32): > 0
    - ``kick``, ``snare``, ``hat``, ``tom``, ``cymbal``, ``other``, ``unmapped`` (Float64): shares of them, 0 to 1; they
      sum to 1

    Raises
    ------
    NotesSchemaError
        If ``notes`` is not a notes table.
    ValueError
        If ``by`` names a column that there is not.

    References
    ----------
    General MIDI 2, RP-024 (MIDI Association); classes after Gillick et al. 2019, "Learning to Groove with Inverse
    Sequence Transformations".

    Examples
    --------
    >>> import polars as pl
    >>> from kie_notes.notes import NOTES_SCHEMA
    >>> rows = [("a", "Drums", key, 0.0, 0.1, 0.5, 0) for key in (36, 42, 42, 99)]
    >>> shares = drum_class_shares(pl.DataFrame(rows, schema=NOTES_SCHEMA, orient="row"))
    >>> shares.select("drum_notes", "kick", "snare", "hat", "unmapped").rows()
    [(4, 0.25, 0.0, 0.5, 0.25)]
    """
    counts, keys = _counts(notes, by, result=("drum_notes", *DRUM_CLASSES, "pitch", "count"))
    hits = {name: _hits(name) for name in DRUM_CLASSES}
    found = counts.group_by(keys).agg(drum_notes=pl.col("count").sum(), **hits)
    shares = found.with_columns(pl.col(name) / pl.col("drum_notes") for name in DRUM_CLASSES)
    return finish_groups(shares, keys, "drum_notes", **_columns())


@notes_helper
def drum_density(notes: pl.LazyFrame) -> pl.LazyFrame:
    """Give the hits per second of the drums and of each class.

    The labels are unreliable: a steady pulse can come out as 58 Vibraslap. They say how a note is labelled, not what
    was played. Hits of all drums in windows are ``onset_density(notes, window=..., drums="only")``.

    Parameters
    ----------
    notes
        Notes table, any order. Only drums are counted.

    Returns
    -------
    One row per task, sorted; a task without drums has no row:

    - ``task`` (String)
    - ``hits_per_second`` (Float64): drum notes / (the last end of any of the task's notes), time counted from 0 s; null
      where that end is 0
    - ``kick``, ``snare``, ``hat``, ``tom``, ``cymbal``, ``other``, ``unmapped`` (Float64): the same of each class's
      notes, >= 0; they sum to ``hits_per_second``

    Raises
    ------
    NotesSchemaError
        If ``notes`` is not a notes table.

    References
    ----------
    McKay, jSymbolic 2.2 manual, feature RT-5 "Note Density", of some of the notes.

    Examples
    --------
    >>> import polars as pl
    >>> from kie_notes.notes import NOTES_SCHEMA
    >>> rows = [("a", "Drums", key, 0.0, 0.1, 0.5, 0) for key in (36, 42, 42)]
    >>> notes = pl.DataFrame([*rows, ("a", "Flute", 60, 0.0, 2.0, 0.5, 1)], schema=NOTES_SCHEMA, orient="row")
    >>> drum_density(notes).select("task", "hits_per_second", "kick", "snare", "hat").rows()
    [('a', 1.5, 0.5, 0.0, 1.0)]
    """
    # Other notes are counted too, under a key that is none: the task's end may be one of theirs.
    key = pl.when(drums_mask()).then(pl.col("pitch").cast(pl.UInt16)).otherwise(_NO_KEY)
    cell = pl.struct(pl.len().alias("count"), pl.col("end").max()).alias("cell")
    found = tally(notes, ["task"], cell, pitch=key).unnest("cell").group_by("task")
    hits = found.agg(
        hits_per_second=pl.col("count").filter(pl.col("pitch") != _NO_KEY).sum(),
        end=pl.col("end").max(),
        **{name: _hits(name) for name in DRUM_CLASSES},
    )
    end = pl.col("end")
    rates = [pl.when(end > 0).then(pl.col(name) / end).alias(name) for name in ("hits_per_second", *DRUM_CLASSES)]
    rows = hits.filter(pl.col("hits_per_second") > 0).with_columns(rates)
    return finish_groups(rows, ["task"], "hits_per_second", **_columns())


@notes_helper
def kick_bass_lock(notes: pl.LazyFrame, *, tolerance: float = 0.05) -> pl.LazyFrame:
    """Say how close the kicks are to the bass: how many have a bass note beside them, and how far off that is.

    Each onset of a kick (keys 35 and 36 of the drums) is measured to the nearest onset of a bass (an instrument of the
    General MIDI family Bass, programs 32 to 39), of two equally near ones the earlier. The labels of drums are
    unreliable: a kick that is labelled otherwise is missed.

    Parameters
    ----------
    notes
        Notes table in canonical order.
    tolerance
        Seconds up to which, inclusively, the two are together, > 0.

    Returns
    -------
    One row per task with a kick, sorted:

    - ``task`` (String)
    - ``kicks`` (UInt32): distinct onsets of kicks, > 0
    - ``bass_onsets`` (UInt32): distinct onsets of basses
    - ``locked_share`` (Float64): kicks with a bass onset within ``tolerance`` / kicks, 0 to 1; null without bass
    - ``median_distance_ms`` (Float64): of the kicks that have one, milliseconds to the bass onset, the bass after the
      kick positive, within ``tolerance``; null where no kick has one
    - ``mean_distance_ms`` (Float64): of the same, without sign, >= 0

    Raises
    ------
    NotesSchemaError
        If ``notes`` is not a notes table.
    NotesOrderError
        If a task's notes do not stand together or their starts descend (an ``InvalidOperationError`` of the same text
        when a LazyFrame is collected).
    ValueError
        If ``tolerance`` is not above 0.

    References
    ----------
    50 ms is the tolerance of onsets in ``mir_eval.transcription``. The measure is this library's own.

    Examples
    --------
    >>> import polars as pl
    >>> from kie_notes.notes import NOTES_SCHEMA
    >>> kicks = [("a", "Drums", 36, start, start + 0.125, 0.5, 0) for start in (0.0, 1.0)]
    >>> bass = [("a", "Slap Bass 1", 33, start, start + 0.5, 0.5, 1) for start in (0.015625, 2.0)]
    >>> rows = sorted([*kicks, *bass], key=lambda row: row[3])
    >>> kick_bass_lock(pl.DataFrame(rows, schema=NOTES_SCHEMA, orient="row")).rows()
    [('a', 2, 2, 0.5, 15.625, 15.625)]
    """
    if not 0 < tolerance < math.inf:
        raise ValueError(f"tolerance: expected seconds above 0, got {tolerance!r}")
    marked = notes.with_columns(
        (drums_mask() & pl.col("pitch").is_in(DRUM_CLASSES["kick"])).alias(_KICK),
        pl.col("instrument").map_batches(_are_basses, return_dtype=pl.Boolean, is_elementwise=True).alias(_BASS),
    )
    start, kick, bass = pl.col("start"), pl.col(_KICK), pl.col(_BASS)
    bass_start = pl.when(bass).then(start)
    first_of_onset = (start.filter(kick).diff() > INSTANT).fill_null(value=True)
    lists = per_task(
        marked.filter(kick | bass),
        before=(start - bass_start.forward_fill()).filter(kick).filter(first_of_onset),
        after=(bass_start.backward_fill() - start).filter(kick).filter(first_of_onset),
        bass_onsets=(start.filter(bass).diff() > INSTANT).fill_null(value=True).sum().cast(pl.UInt32),
    )
    before, after = pl.col("before"), pl.col("after").fill_null(math.inf)
    nearest = pl.when(after + INSTANT < before.fill_null(math.inf)).then(after).otherwise(0.0 - before)
    locked = nearest.filter(nearest.abs() <= tolerance + INSTANT)
    found = (
        lists.explode("before", "after")
        .group_by("task")
        .agg(
            kicks=pl.len().cast(pl.UInt32),
            bass_onsets=pl.col("bass_onsets").first(),
            locked=locked.len(),
            median=locked.median(),
            distance=as_number(exact_sum(locked.abs())),
        )
    )
    count = pl.col("locked")
    return found.select(
        "task",
        "kicks",
        "bass_onsets",
        locked_share=pl.when(pl.col("bass_onsets") > 0).then(count / pl.col("kicks")),
        median_distance_ms=pl.col("median") * 1000,
        mean_distance_ms=pl.when(count > 0).then(pl.col("distance") * 1000 / count),
    ).sort("task")


def _counts(notes: pl.LazyFrame, by: str | Sequence[str], *, result: Collection[str]) -> tuple[pl.LazyFrame, list[str]]:
    """One row per group and key that occurs among the drums, with the number of notes."""
    chosen, keys = group(keep_drums(notes, "only"), by, result=result)
    return tally(chosen, keys, pl.len().alias("count").cast(pl.UInt32), pitch=pl.col("pitch")), keys


def _hits(drum_class: str) -> pl.Expr:
    """Add up the notes of a class, as an answer over keys and their counts."""
    return pl.col("count").filter(pl.col("pitch").is_in(DRUM_CLASSES[drum_class])).sum()


def _columns() -> dict[str, pl.Expr]:
    """Give the columns that bear the classes' names."""
    return {name: pl.col(name) for name in DRUM_CLASSES}


def _are_basses(instruments: pl.Series) -> pl.Series:
    # Names are read once per batch, as for drums.
    families = {name: find_instrument(name) for name in instruments.unique() if name is not None}
    basses = [name for name, found in families.items() if found is not None and found.family == "Bass"]
    return instruments.is_in(basses).fill_null(value=False)
