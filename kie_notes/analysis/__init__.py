"""Questions that a notes table can answer, one module per musical subject, one function per quantity.

::

    notes ─┬─ at a glance   summary, overview (``describe``: every number of a task in one row)
           ├─ pitch         pitch, pitch_statistics, scales, keys, local_keys, harmony, tension
           ├─ melody        melody, motifs, voices
           ├─ rhythm        rhythm, timing, density, articulation, tempi, beat_tracking, groove
           ├─ together      texture, ensemble, drums, dynamics
           ├─ teaching      education, hands
           ├─ transcription quality, repairs, quantisation, transcription
           └─ data sets     comparison, similarity, splits

A function takes a notes table first and all options by keyword; a DataFrame gives a DataFrame, a LazyFrame a LazyFrame
that nothing has evaluated yet. A result is a table that says in its docstring what one row is. Tasks never influence
one another, but in the last line of the drawing, where it is the question. ``catalogue()`` lists what each function
means, where it comes from and what confirms it; ``explain("polyphony_rate")`` says so of one.

All names below are names of ``kie_notes`` too, and each is loaded when it is first used. No module bears the name of a
function: it would hide it.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from kie_notes.analysis.articulation import note_durations, note_overlap, staccato_share
    from kie_notes.analysis.beat_tracking import beats
    from kie_notes.analysis.comparison import compare, compare_histograms
    from kie_notes.analysis.density import rolling_density, sounding_density
    from kie_notes.analysis.drums import DRUM_CLASSES, drum_class_shares, drum_density, drum_histogram, kick_bass_lock
    from kie_notes.analysis.dynamics import velocity_change, velocity_statistics
    from kie_notes.analysis.education import (
        difficulty_parts,
        hardest_windows,
        instrument_fit,
        peak_notes_per_second,
        transposition,
    )
    from kie_notes.analysis.ensemble import doubling, onset_asynchrony
    from kie_notes.analysis.explaining import catalogue, explain
    from kie_notes.analysis.groove import groove_consistency, microtiming, swing_ratio, syncopation
    from kie_notes.analysis.hands import hand_demands, hand_split
    from kie_notes.analysis.harmony import chords
    from kie_notes.analysis.keys import KEYS, key
    from kie_notes.analysis.local_keys import key_windows
    from kie_notes.analysis.melody import (
        interval_histogram,
        interval_ngrams,
        melodic_intervals,
        pitch_class_transitions,
    )
    from kie_notes.analysis.motifs import find_motif
    from kie_notes.analysis.overview import describe
    from kie_notes.analysis.pitch import pitch_class_histogram, pitch_histogram, pitch_range
    from kie_notes.analysis.pitch_statistics import (
        mean_pitch,
        pitch_class_count,
        pitch_class_entropy,
        pitch_count,
        pitch_entropy,
        tessitura,
    )
    from kie_notes.analysis.quality import FAULTS, FLAGS, note_flags, quality_score
    from kie_notes.analysis.quantisation import quantise
    from kie_notes.analysis.repairing import Repaired
    from kie_notes.analysis.repairs import (
        drop_duplicates,
        drop_octave_ghosts,
        drop_out_of_range,
        drop_short,
        merge_echoes,
        merge_fragments,
        snap_to_grid,
        trim_overlaps,
        trim_to_duration,
    )
    from kie_notes.analysis.rhythm import (
        duration_histogram,
        inter_onset_histogram,
        inter_onset_intervals,
        note_density,
        onset_density,
    )
    from kie_notes.analysis.scales import in_key_rate, in_scale_rate, scale_consistency
    from kie_notes.analysis.similarity import near_duplicates
    from kie_notes.analysis.splits import split_tasks
    from kie_notes.analysis.summary import instrument_summary, task_summary
    from kie_notes.analysis.tempi import tempo
    from kie_notes.analysis.tension import harmonic_change, tonal_centroid
    from kie_notes.analysis.texture import (
        instrument_activity,
        polyphony,
        polyphony_curve,
        polyphony_rate,
        silence_fraction,
    )
    from kie_notes.analysis.timing import inter_onset_statistics, npvi
    from kie_notes.analysis.transcription import transcription_errors, transcription_scores
    from kie_notes.analysis.voices import activity_segments, skyline

__all__ = [
    "DRUM_CLASSES",
    "FAULTS",
    "FLAGS",
    "KEYS",
    "Repaired",
    "activity_segments",
    "beats",
    "catalogue",
    "chords",
    "compare",
    "compare_histograms",
    "describe",
    "difficulty_parts",
    "doubling",
    "drop_duplicates",
    "drop_octave_ghosts",
    "drop_out_of_range",
    "drop_short",
    "drum_class_shares",
    "drum_density",
    "drum_histogram",
    "duration_histogram",
    "explain",
    "find_motif",
    "groove_consistency",
    "hand_demands",
    "hand_split",
    "hardest_windows",
    "harmonic_change",
    "in_key_rate",
    "in_scale_rate",
    "instrument_activity",
    "instrument_fit",
    "instrument_summary",
    "inter_onset_histogram",
    "inter_onset_intervals",
    "inter_onset_statistics",
    "interval_histogram",
    "interval_ngrams",
    "key",
    "key_windows",
    "kick_bass_lock",
    "mean_pitch",
    "melodic_intervals",
    "merge_echoes",
    "merge_fragments",
    "microtiming",
    "near_duplicates",
    "note_density",
    "note_durations",
    "note_flags",
    "note_overlap",
    "npvi",
    "onset_asynchrony",
    "onset_density",
    "peak_notes_per_second",
    "pitch_class_count",
    "pitch_class_entropy",
    "pitch_class_histogram",
    "pitch_class_transitions",
    "pitch_count",
    "pitch_entropy",
    "pitch_histogram",
    "pitch_range",
    "polyphony",
    "polyphony_curve",
    "polyphony_rate",
    "quality_score",
    "quantise",
    "rolling_density",
    "scale_consistency",
    "silence_fraction",
    "skyline",
    "snap_to_grid",
    "sounding_density",
    "split_tasks",
    "staccato_share",
    "swing_ratio",
    "syncopation",
    "task_summary",
    "tempo",
    "tessitura",
    "tonal_centroid",
    "transcription_errors",
    "transcription_scores",
    "transposition",
    "trim_overlaps",
    "trim_to_duration",
    "velocity_change",
    "velocity_statistics",
]

#: Where each name lives.
_HOMES: Final = {
    "articulation": ("note_durations", "note_overlap", "staccato_share"),
    "beat_tracking": ("beats",),
    "comparison": ("compare", "compare_histograms"),
    "density": ("rolling_density", "sounding_density"),
    "drums": ("DRUM_CLASSES", "drum_class_shares", "drum_density", "drum_histogram", "kick_bass_lock"),
    "dynamics": ("velocity_change", "velocity_statistics"),
    "education": ("difficulty_parts", "hardest_windows", "instrument_fit", "peak_notes_per_second", "transposition"),
    "ensemble": ("doubling", "onset_asynchrony"),
    "explaining": ("catalogue", "explain"),
    "groove": ("groove_consistency", "microtiming", "swing_ratio", "syncopation"),
    "hands": ("hand_demands", "hand_split"),
    "harmony": ("chords",),
    "keys": ("KEYS", "key"),
    "local_keys": ("key_windows",),
    "melody": ("interval_histogram", "interval_ngrams", "melodic_intervals", "pitch_class_transitions"),
    "motifs": ("find_motif",),
    "overview": ("describe",),
    "pitch": ("pitch_class_histogram", "pitch_histogram", "pitch_range"),
    "pitch_statistics": (
        "mean_pitch",
        "pitch_class_count",
        "pitch_class_entropy",
        "pitch_count",
        "pitch_entropy",
        "tessitura",
    ),
    "quality": ("FAULTS", "FLAGS", "note_flags", "quality_score"),
    "quantisation": ("quantise",),
    "repairing": ("Repaired",),
    "repairs": (
        "drop_duplicates",
        "drop_octave_ghosts",
        "drop_out_of_range",
        "drop_short",
        "merge_echoes",
        "merge_fragments",
        "snap_to_grid",
        "trim_overlaps",
        "trim_to_duration",
    ),
    "rhythm": ("duration_histogram", "inter_onset_histogram", "inter_onset_intervals", "note_density", "onset_density"),
    "scales": ("in_key_rate", "in_scale_rate", "scale_consistency"),
    "similarity": ("near_duplicates",),
    "splits": ("split_tasks",),
    "summary": ("instrument_summary", "task_summary"),
    "tempi": ("tempo",),
    "tension": ("harmonic_change", "tonal_centroid"),
    "texture": ("instrument_activity", "polyphony", "polyphony_curve", "polyphony_rate", "silence_fraction"),
    "timing": ("inter_onset_statistics", "npvi"),
    "transcription": ("transcription_errors", "transcription_scores"),
    "voices": ("activity_segments", "skyline"),
}
_HOME: Final = {name: home for home, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> object:
    """Load a public name from its module at its first use."""
    if name not in _HOME:
        msg = f"module 'kie_notes.analysis' has no attribute {name!r}"
        raise AttributeError(msg)
    value: object = getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """List the public names too that are not loaded yet."""
    return sorted({*globals(), *__all__})
