"""pretty_midi judges: pitch-class histograms, ends, onsets and the names of drums of every sample, live.

Left out: its tempo, whose choice of a cluster lacks an absolute value; its transition matrix, which is another thing
(``pitch_class_transitions`` says which).
"""

import numpy as np
import polars as pl
import pytest

from kie_notes.analysis import (
    drum_histogram,
    inter_onset_statistics,
    note_density,
    pitch_class_histogram,
    task_summary,
)
from kie_notes.notes import NOTES_SCHEMA

pretty_midi = pytest.importorskip("pretty_midi")

#: ``use_duration`` and ``use_velocity`` of each weight.
WEIGHTS = {
    "count": (False, False),
    "seconds": (True, False),
    "velocity": (False, True),
    "velocity_seconds": (True, True),
}


@pytest.fixture(scope="module")
def tracks(samples, by_track):
    """Give each track as an instrument, its notes as they are: nothing is rounded to ticks in a file."""
    found = {}
    for track, notes in by_track(samples).items():
        found[track] = pretty_midi.Instrument(0, is_drum=notes["instrument"][0] == "Drums")
        rows = notes.select(pl.col("velocity").cast(pl.Float64), "pitch", "start", "end").rows()
        found[track].notes = [pretty_midi.Note(*row) for row in rows]
    return found


@pytest.fixture(scope="module")
def midis(tracks):
    found = {}
    for (task, _), instrument in tracks.items():
        found.setdefault(task, pretty_midi.PrettyMIDI()).instruments.append(instrument)
    return found


@pytest.mark.parametrize("weight", WEIGHTS)
def test_shares_of_pitch_classes_are_pretty_midis_to_twelve_decimals(samples, midis, weight):
    ours = pitch_class_histogram(samples, weight=weight, normalize=True).group_by("task", maintain_order=True)
    theirs = {task: one.get_pitch_class_histogram(*WEIGHTS[weight], normalize=True) for task, one in midis.items()}
    found = dict(ours.agg("share").rows())
    assert found.keys() == {task for task, shares in theirs.items() if shares.any()}  # drums alone: zeros there
    for task, shares in found.items():
        assert shares == pytest.approx(theirs[task], abs=1e-12), task


@pytest.mark.parametrize("weight", WEIGHTS)
def test_sums_of_pitch_classes_of_a_track_are_pretty_midis_to_nine_decimals(samples, tracks, weight):
    # pretty_midi adds up in the order of the notes, here sums are exact.
    ours = pitch_class_histogram(samples, by=("task", "track"), weight=weight)
    found = ours.group_by("task", "track", maintain_order=True).agg(weight).rows()
    assert len(found) == sum(not one.is_drum for one in tracks.values())
    for task, track, sums in found:
        theirs = tracks[task, track].get_pitch_class_histogram(*WEIGHTS[weight])
        assert sums == pytest.approx(theirs, rel=1e-12, abs=1e-9), (task, track)


def test_a_task_ends_where_pretty_midis_file_does(samples, midis, values):
    # Its end is that of the last event of any kind; a table has notes alone.
    ends = {task: one.get_end_time() for task, one in midis.items()}
    assert values(task_summary(samples), "duration") == ends
    rate = {task: sum(len(one.notes) for one in midi.instruments) / ends[task] for task, midi in midis.items()}
    assert values(note_density(samples), "notes_per_second") == pytest.approx(rate, rel=1e-12)


def test_intervals_between_onsets_are_those_between_pretty_midis_onsets_to_nine_decimals(samples, midis):
    # Onsets that differ by less than a microsecond are one onset here and several there.
    for row in inter_onset_statistics(samples).rows(named=True):
        onsets = midis[row["task"]].get_onsets()
        steps = np.diff(onsets[np.diff(onsets, prepend=-1) > 1e-6])
        assert row["intervals"] == len(steps), row["task"]
        if len(steps) < 2:  # there is no spread, and perhaps nothing at all, to compare
            continue
        theirs = (steps.mean(), steps.std(), np.median(steps), steps.min(), steps.max())
        ours = [row[f"{name}_seconds"] for name in ("mean", "std", "median", "minimum", "maximum")]
        assert ours == pytest.approx(theirs, abs=1e-9), row["task"]


def test_names_of_drums_are_pretty_midis_where_it_has_one():
    # It has those of General MIDI 1, keys 35 to 81; General MIDI 2 names 27 to 34 and 82 to 87 as well.
    hits = [("a", "Drums", pitch, 0.0, 1.0, 0.5, 0) for pitch in range(128)]
    names = drum_histogram(pl.DataFrame(hits, schema=NOTES_SCHEMA, orient="row")).select("pitch", "drum").rows()
    judged = {pitch: pretty_midi.note_number_to_drum_name(pitch) for pitch, _ in names}
    assert sum(map(bool, judged.values())) == 47
    assert {pitch: name for pitch, name in names if judged[pitch]} == {k: name for k, name in judged.items() if name}
