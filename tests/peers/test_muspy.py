"""MusPy judges: pitches, scales, polyphony, drums and groove of every sample, live.

Left out: ``empty_beat_rate`` and ``empty_measure_rate``, where a note that merely ends on a beat fills the next one.
"""

import math
from collections import Counter

import polars as pl
import pytest

from kie_notes.analysis import (
    drum_histogram,
    groove_consistency,
    in_key_rate,
    in_scale_rate,
    pitch_class_count,
    pitch_class_entropy,
    pitch_count,
    pitch_entropy,
    pitch_range,
    polyphony,
    polyphony_rate,
    scale_consistency,
    task_summary,
)

muspy = pytest.importorskip("muspy")

#: Steps per second: those of the service's own times.
STEPS = 192

SHARPS = {"C#": 1, "F#": 6, "G#": 8}
TONICS = {"C": 0, "Db": 1, "D": 2, "Eb": 3, "E": 4, "F": 5, "G": 7, "Ab": 8, "A": 9, "Bb": 10, "B": 11, **SHARPS}


def music_of(notes, steps):
    """Give a task's notes to muspy, times as whole steps."""
    tracks = []
    for track in notes.partition_by("track", "instrument", maintain_order=True):
        columns = (track["pitch"], *((track[name] * steps + 0.5 + 1e-9).floor().cast(int) for name in ("start", "end")))
        taken = [
            muspy.Note(time=start, pitch=pitch, duration=end - start)
            for pitch, start, end in zip(*(column.to_list() for column in columns), strict=True)
        ]
        tracks.append(muspy.Track(is_drum=track["instrument"][0] == "Drums", notes=taken))
    return muspy.Music(resolution=steps, tracks=tracks)


@pytest.fixture(scope="module")
def snapped(on_grid):
    return on_grid(STEPS)


@pytest.fixture(scope="module")
def music(snapped, by_task):
    return {task: music_of(notes, STEPS) for task, notes in by_task(snapped).items()}


@pytest.fixture(scope="module")
def melodic(music):
    # muspy's answer for drums alone is NaN, 0 or -127; there is no row here.
    return {task: one for task, one in music.items() if not all(track.is_drum for track in one.tracks)}


@pytest.mark.parametrize(
    ("ours", "column", "theirs"),
    [
        (pitch_count, "pitches", "n_pitches_used"),
        (pitch_class_count, "pitch_classes", "n_pitch_classes_used"),
        (pitch_range, "range", "pitch_range"),
    ],
)
def test_numbers_of_pitches_are_muspys_exactly(samples, melodic, values, ours, column, theirs):
    assert values(ours(samples), column) == {task: getattr(muspy, theirs)(one) for task, one in melodic.items()}


@pytest.mark.parametrize(
    ("ours", "column"),
    [
        (pitch_entropy, "pitch_entropy"),
        (pitch_class_entropy, "pitch_class_entropy"),
        (scale_consistency, "scale_consistency"),
    ],
)
def test_entropies_and_scale_consistency_are_muspys_to_twelve_decimals(samples, melodic, values, ours, column):
    theirs = {task: getattr(muspy, column)(one) for task, one in melodic.items()}
    assert values(ours(samples), column) == pytest.approx(theirs, abs=1e-12)


@pytest.mark.parametrize("mode", ["major", "minor"])
def test_rates_in_all_scales_are_muspys_to_twelve_decimals(samples, melodic, values, mode):
    for root in range(12):
        theirs = {task: muspy.pitch_in_scale_rate(one, root, mode) for task, one in melodic.items()}
        assert values(in_scale_rate(samples, root=root, mode=mode), "in_scale_rate") == pytest.approx(theirs, abs=1e-12)


def test_rates_in_the_tasks_own_keys_are_muspys_to_twelve_decimals(samples, melodic, values):
    theirs = {}
    for task, name in in_key_rate(samples).select("task", "key").rows():
        tonic, mode = name.split()
        theirs[task] = muspy.pitch_in_scale_rate(melodic[task], TONICS[tonic], mode)
    assert values(in_key_rate(samples), "in_key_rate") == pytest.approx(theirs, abs=1e-12)


def test_mean_polyphony_on_the_grid_is_muspys_to_nine_decimals(snapped, melodic, values):
    theirs = {task: muspy.polyphony(one) for task, one in melodic.items()}
    assert values(polyphony(snapped), "mean_polyphony") == pytest.approx(theirs, abs=1e-9)


@pytest.mark.parametrize("threshold", [1, 2, 3, 4])
def test_polyphony_rates_on_the_grid_are_muspys_for_one_pitch_less(snapped, music, values, threshold):
    # muspy's threshold is a number of pitches that must be exceeded (>), the one here is to be reached (>=).
    theirs = {task: muspy.polyphony_rate(one, threshold - 1) for task, one in music.items()}
    found = values(polyphony_rate(snapped, threshold=threshold), "polyphony_rate")
    assert found == pytest.approx(theirs, abs=1e-9)


def test_mean_polyphony_off_the_grid_differs_from_muspys_by_what_the_grid_takes(samples, melodic, values):
    # Times are moved by up to half a step there, 2.6 ms; here they stay as they are.
    theirs = {task: muspy.polyphony(one) for task, one in melodic.items()}
    assert values(polyphony(samples), "mean_polyphony") == pytest.approx(theirs, rel=0.02)


def test_drum_notes_and_their_keys_are_muspys_exactly(samples, music, values):
    hits = {
        (task, key): count
        for task, one in music.items()
        for key, count in Counter(note.pitch for track in one.tracks if track.is_drum for note in track.notes).items()
    }
    assert values(drum_histogram(samples), "count", ("task", "pitch")) == hits
    drums = {task: sum(len(track.notes) for track in one.tracks if track.is_drum) for task, one in music.items()}
    assert values(task_summary(samples), "drum_notes") == drums


def test_groove_consistency_of_bars_of_two_seconds_is_muspys_to_twelve_decimals(samples, by_task, values):
    # Sixteen steps a bar, onsets at the nearest: as coarse a grid as grooves are compared on. muspy counts the bar in
    # which the last note ends, and one more where that is on a bar line.
    theirs, taps = {}, []
    for task, notes in by_task(samples).items():
        one = music_of(notes, 8)
        bars = one.get_end_time() // 16 + 1
        taps += [(task, 2.0 * k) for k in range(bars + 1)]
        expected = muspy.groove_consistency(one, 16)
        theirs[task] = None if math.isnan(expected) else expected
    beats = pl.DataFrame(taps, schema={"task": pl.String, "time": pl.Float64}, orient="row")
    found = groove_consistency(samples, beats=beats, steps=16, group=1)
    assert values(found, "groove_consistency") == pytest.approx(theirs, abs=1e-12)
