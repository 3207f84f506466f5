"""Pictures of results: a table in, axes in, the same axes out.

::

    over time    roll        piano_roll, by instrument, track, velocity or flag, with beats and chords over it
                 marked      hand_split, note_flags: notes of which something is said
                 layers      beats, find_motif, skyline: over a roll, or alone
                 spans       key_windows, chords, activity_segments, hardest_windows: a row each
                 curves      onset_density, sounding_density, polyphony_curve, harmonic_change, tonal_centroid
    how many     histograms  pitch_histogram, pitch_class_histogram, interval_histogram, inter_onset_histogram, ...
                 rows        drum_histogram, drum_class_shares, tempo, tessitura, instrument_fit, ...: a row each
                 matrices    pitch_class_transitions, interval_ngrams, doubling, onset_asynchrony, quality_score
    two sets     contrasts   compare, compare_histograms, transcription_scores, transcription_errors

A function bears the name of the helper whose result it draws; ``piano_roll`` draws the notes themselves. Nothing is
computed here but where things stand. Axes are labelled with units, and that is all: titles, sizes, styles and files are
the caller's, and text and lines take the colours of the axes, so pictures work on dark backgrounds too. Legends stand
outside the axes, where they cover nothing; a figure made with ``layout="constrained"`` makes room for them. They can be
read at the width of a column in print (3.4 inches), where names that have no room are shortened or left out. A result
without rows gives labelled axes that say what there is none of. matplotlib is loaded when the first picture is drawn.
"""

from kie_notes.plots.contrasts import compare, compare_histograms, transcription_errors, transcription_scores
from kie_notes.plots.curves import harmonic_change, onset_density, polyphony_curve, sounding_density, tonal_centroid
from kie_notes.plots.histograms import (
    duration_histogram,
    inter_onset_histogram,
    interval_histogram,
    pitch_class_histogram,
    pitch_histogram,
)
from kie_notes.plots.layers import beats, find_motif, skyline
from kie_notes.plots.marked import hand_split, note_flags
from kie_notes.plots.matrices import (
    doubling,
    interval_ngrams,
    onset_asynchrony,
    pitch_class_transitions,
    quality_score,
)
from kie_notes.plots.roll import piano_roll
from kie_notes.plots.rows import drum_class_shares, drum_histogram, instrument_fit, pitch_range, tempo, tessitura
from kie_notes.plots.spans import activity_segments, chords, hardest_windows, key_windows

__all__ = [
    "activity_segments",
    "beats",
    "chords",
    "compare",
    "compare_histograms",
    "doubling",
    "drum_class_shares",
    "drum_histogram",
    "duration_histogram",
    "find_motif",
    "hand_split",
    "hardest_windows",
    "harmonic_change",
    "instrument_fit",
    "inter_onset_histogram",
    "interval_histogram",
    "interval_ngrams",
    "key_windows",
    "note_flags",
    "onset_asynchrony",
    "onset_density",
    "piano_roll",
    "pitch_class_histogram",
    "pitch_class_transitions",
    "pitch_histogram",
    "pitch_range",
    "polyphony_curve",
    "quality_score",
    "skyline",
    "sounding_density",
    "tempo",
    "tessitura",
    "tonal_centroid",
    "transcription_errors",
    "transcription_scores",
]
