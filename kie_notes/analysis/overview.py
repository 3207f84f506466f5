"""All scalar descriptors of a task in one row: what a data set is filtered, compared and learnt from by.

Nothing is computed here: every column is one of another helper's, asked with its defaults, so its definition is there
and ``explain`` tells it by the column's name. A column keeps the name that its helper gives it. Where that name alone
would clash with another helper's, or would not say what it is of, a prefix goes before it:

====================  ====================================================
``pitch_``            ``mean_pitch``, ``task_summary`` and ``pitch_range``
``tessitura_``        ``tessitura``
``key_``              ``key``
``rolling_``          ``rolling_density``
``inter_onset_``      ``inter_onset_statistics``
``tempo_``            ``tempo``: of the best candidate
``syncopation_``      ``syncopation``
``microtiming_``      ``microtiming``
``velocity_``         ``velocity_statistics``
``velocity_change_``  ``velocity_change``
``drum_``             ``drum_class_shares``, ``drum_density``
``kick_bass_``        ``kick_bass_lock``
``quality_``          ``quality_score``
====================  ====================================================

What has a row per track, per pair of tracks, per window or per interval is no number of a task and is not here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import polars as pl

from kie_notes.analysis.articulation import note_durations, staccato_share
from kie_notes.analysis.beat_tracking import beats
from kie_notes.analysis.density import rolling_density
from kie_notes.analysis.door import notes_helper
from kie_notes.analysis.drums import DRUM_CLASSES, drum_class_shares, drum_density, kick_bass_lock
from kie_notes.analysis.dynamics import velocity_change, velocity_statistics
from kie_notes.analysis.explaining import nearest
from kie_notes.analysis.groove import groove_consistency, microtiming, swing_ratio, syncopation
from kie_notes.analysis.keys import key
from kie_notes.analysis.pitch import pitch_range
from kie_notes.analysis.pitch_statistics import (
    mean_pitch,
    pitch_class_entropy,
    pitch_count,
    pitch_entropy,
    tessitura,
)
from kie_notes.analysis.quality import FLAGS, quality_score
from kie_notes.analysis.rhythm import note_density
from kie_notes.analysis.scales import in_key_rate, scale_consistency
from kie_notes.analysis.summary import task_summary
from kie_notes.analysis.tempi import tempo
from kie_notes.analysis.texture import polyphony, polyphony_rate, silence_fraction
from kie_notes.analysis.timing import inter_onset_statistics, npvi

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

#: Prefix of a column, and what it is taken from: helper and names there, in the order of the table.
_COLUMNS: Final[tuple[tuple[str, Callable[..., pl.LazyFrame], tuple[str, ...]], ...]] = (
    ("", task_summary, ("notes", "drum_notes", "tracks", "instruments", "main_instrument", "duration")),
    ("pitch_", task_summary, ("lowest", "highest")),
    ("pitch_", pitch_range, ("range",)),
    ("", mean_pitch, ("mean_pitch",)),
    ("pitch_", mean_pitch, ("standard_deviation",)),
    ("", pitch_count, ("pitches",)),
    ("", pitch_entropy, ("pitch_entropy",)),
    ("", task_summary, ("pitch_classes",)),
    ("", pitch_class_entropy, ("pitch_class_entropy",)),
    ("tessitura_", tessitura, ("lowest", "highest", "median", "range")),
    ("", key, ("key",)),
    ("key_", key, ("score", "second", "margin")),
    ("", in_key_rate, ("in_key_rate",)),
    ("", scale_consistency, ("scale_consistency", "scale")),
    ("", note_density, ("notes_per_second", "notes_per_second_of_onsets")),
    ("rolling_", rolling_density, ("maximum_notes_per_second", "mean_notes_per_second", "densest_start")),
    (
        "inter_onset_",
        inter_onset_statistics,
        ("intervals", "mean_seconds", "std_seconds", "median_seconds", "minimum_seconds", "maximum_seconds"),
    ),
    ("", npvi, ("npvi",)),
    ("tempo_", tempo, ("bpm", "confidence")),
    ("", groove_consistency, ("groove_consistency", "shared_onsets", "compared_beats")),
    ("", syncopation, ("syncopation", "off_beat_share")),
    ("syncopation_", syncopation, ("onsets",)),
    ("", swing_ratio, ("swing_ratio", "swing_spread", "swung_beats")),
    ("microtiming_", microtiming, ("mean_deviation", "mean_absolute_deviation", "deviation_spread", "onsets")),
    ("", note_durations, ("mean_duration", "std_duration", "minimum_duration", "lower_quartile_duration")),
    ("", note_durations, ("median_duration", "upper_quartile_duration", "maximum_duration")),
    ("", staccato_share, ("staccato_share",)),
    ("", polyphony, ("mean_polyphony", "maximum_polyphony", "sounding_seconds")),
    ("", polyphony_rate, ("polyphony_rate",)),
    ("", silence_fraction, ("silence_fraction",)),
    ("", velocity_statistics, ("mean_velocity", "velocity_levels")),
    ("velocity_", velocity_statistics, ("standard_deviation", "lowest", "highest", "range", "reason")),
    ("", velocity_change, ("mean_velocity_change",)),
    ("velocity_change_", velocity_change, ("reason",)),
    ("drum_", drum_density, ("hits_per_second",)),
    ("drum_", drum_class_shares, tuple(DRUM_CLASSES)),
    ("", kick_bass_lock, ("kicks", "bass_onsets")),
    ("kick_bass_", kick_bass_lock, ("locked_share", "median_distance_ms", "mean_distance_ms")),
    ("quality_", quality_score, ("score",)),
    ("", quality_score, ("faulty_notes",)),
    ("quality_", quality_score, FLAGS),
)

#: Helpers that measure against beats, which are estimated once for all of them.
_BEATEN: Final = (groove_consistency, syncopation, swing_ratio, microtiming)


@notes_helper
def describe(notes: pl.LazyFrame, *, columns: Sequence[str] | None = None) -> pl.LazyFrame:
    """Describe each task by all scalar descriptors, in one wide row.

    Most of the time goes into tempo and beats, and so into the columns of tempo and groove: leave them out where they
    are not needed. What is not asked for is not computed.

    Parameters
    ----------
    notes
        Notes table in canonical order.
    columns
        The columns to give, beside ``task``; None: all.

    Returns
    -------
    One row per task, sorted; no notes, no rows; columns in the order of ``columns``, or in this. Types, units, ranges
    and what happens to drums are those of the helpers with their defaults; ``explain`` tells them by the name of a
    column. What a helper has no row for is null: a task of drums alone has no pitches, one without drums no shares of
    them. Columns after ``task`` (String):

    - at a glance: ``notes``, ``drum_notes``, ``tracks``, ``instruments``, ``main_instrument``, ``duration``
    - pitch: ``pitch_lowest``, ``pitch_highest``, ``pitch_range``, ``mean_pitch``, ``pitch_standard_deviation``,
      ``pitches``, ``pitch_entropy``, ``pitch_classes``, ``pitch_class_entropy``, ``tessitura_...``
    - keys and scales: ``key``, ``key_score``, ``key_second``, ``key_margin``, ``in_key_rate``, ``scale_consistency``,
      ``scale``
    - rhythm: ``notes_per_second``, ``notes_per_second_of_onsets``, ``rolling_...``, ``inter_onset_...``, ``npvi``
    - tempo and groove, by beats that are estimated: ``tempo_bpm``, ``tempo_confidence``, ``groove_consistency``,
      ``shared_onsets``, ``compared_beats``, ``syncopation``, ``off_beat_share``, ``syncopation_onsets``,
      ``swing_ratio``, ``swing_spread``, ``swung_beats``, ``microtiming_...``
    - articulation: ``mean_duration`` and the rest of ``note_durations``, ``staccato_share``
    - texture: ``mean_polyphony``, ``maximum_polyphony``, ``sounding_seconds``, ``polyphony_rate``, ``silence_fraction``
    - dynamics: ``mean_velocity``, ``velocity_levels``, ``velocity_...``, ``mean_velocity_change``,
      ``velocity_change_reason``
    - drums: ``drum_hits_per_second``, the share of each class as ``drum_kick``, ..., ``kicks``, ``bass_onsets``,
      ``kick_bass_...``
    - quality: ``quality_score``, ``faulty_notes``, and the notes that bear each flag as ``quality_too_short``, ...

    Raises
    ------
    NotesSchemaError
        If ``notes`` is not a notes table.
    NotesOrderError
        If a task's notes do not stand together or their starts descend (an ``InvalidOperationError`` of the same text
        when a LazyFrame is collected).
    ValueError
        If ``columns`` names one that there is not.

    Examples
    --------
    >>> import polars as pl
    >>> from kie_notes.notes import NOTES_SCHEMA
    >>> rows = [("a", "Flute", 60, 0.0, 2.0, 0.5, 0), ("a", "Drums", 36, 1.0, 1.5, 0.75, 1)]
    >>> notes = pl.DataFrame(rows, schema=NOTES_SCHEMA, orient="row")
    >>> describe(notes).shape
    (1, 101)
    >>> describe(notes, columns=["notes", "pitch_range", "silence_fraction", "drum_kick", "quality_score"]).rows()
    [('a', 2, 0, 0.0, 1.0, 1.0)]
    """
    sources = {prefix + name: (helper, name) for prefix, helper, names in _COLUMNS for name in names}
    wanted = list(dict.fromkeys(sources if columns is None else columns))
    for column in wanted:
        if column not in sources:
            raise ValueError(f"columns: describe has no column {column!r}; the nearest is '{nearest(column, sources)}'")
    taps = beats(notes)
    described = task_summary(notes).select("task")
    for helper in dict.fromkeys(sources[column][0] for column in wanted):
        options = {"beats": taps} if helper in _BEATEN else {"candidates": 1} if helper is tempo else {}
        taken = {column: pl.col(sources[column][1]) for column in wanted if sources[column][0] is helper}
        described = described.join(helper(notes, **options).select("task", **taken), on="task", how="left")
    return described.select("task", *wanted).sort("task")
