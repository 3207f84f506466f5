from itertools import pairwise

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kie_notes.analysis.motifs import find_motif
from kie_notes.errors import NotesOrderError


def melody(pitches, *, starts=None, name="Flute", task="a", track=0):
    starts = starts or [k / 2 for k in range(len(pitches))]
    return [(task, name, p, s, s + 0.5, 0.5, track) for p, s in zip(pitches, starts, strict=True)]


def places(found):
    return found.select("start", "pitch").rows()


def test_all_occurrences_are_found_overlapping_ones_too(table):
    notes = table(melody([60, 62, 64, 66, 60, 62]))
    assert find_motif(notes, intervals=[2, 2]).rows() == [
        ("a", 0, "Flute", 60, 0.0, 1.5),
        ("a", 0, "Flute", 62, 0.5, 2.0),
    ]


def test_a_descending_interval_is_below_zero(table):
    assert places(find_motif(table(melody([60, 62, 60])), intervals=[-2])) == [(0.5, 62)]


def test_a_pattern_does_not_go_on_in_the_next_task(table):
    notes = table(melody([60], task="a") + melody([62], task="b"))
    assert find_motif(notes, intervals=[2]).height == 0


def test_the_skyline_is_the_highest_note_of_each_onset(table):
    top, low = melody([72, 74, 76]), melody([48, 49, 50], track=1, name="Bass")
    notes = table(sorted(top + low, key=lambda n: (n[3], n[6])))
    assert places(find_motif(notes, intervals=[2, 2])) == [(0.0, 72)]
    assert find_motif(notes, intervals=[1, 1]).height == 0


def test_each_track_is_searched_by_itself_if_asked(table):
    top, low = melody([72, 74, 76]), melody([48, 49, 50], track=1, name="Bass")
    notes = table(sorted(top + low, key=lambda n: (n[3], n[6])))
    found = find_motif(notes, intervals=[1, 1], voice="track")
    assert found.select("track", "instrument", "pitch").rows() == [(1, "Bass", 48)]


def test_notes_of_a_spread_chord_are_one_onset(table):
    notes = table(melody([60, 64, 67, 69], starts=[0.0, 0.02, 0.04, 1.0]))
    assert places(find_motif(notes, intervals=[2])) == [(0.04, 67)]
    assert find_motif(notes, intervals=[4, 3, 2], chord_seconds=0.0).height == 1


def test_drums_have_no_melody(table):
    assert find_motif(table(melody([60, 62], name="Drums")), intervals=[2]).height == 0


@pytest.mark.parametrize("tempo", [0.5, 1.0, 1.7])
def test_durations_are_proportions_whatever_the_tempo(table, tempo):
    starts = [0.0, 0.5, 1.0, 2.0, 3.0, 3.5]
    notes = table(melody([60, 62, 64, 60, 62, 64], starts=[s * tempo for s in starts]))
    assert places(find_motif(notes, intervals=[2, 2], durations=[1, 1])) == [(0.0, 60)]
    assert places(find_motif(notes, intervals=[2, 2], durations=[4, 2])) == [(2.0 * tempo, 60)]


@pytest.mark.parametrize(("late", "found"), [(0.1, 1), (0.11, 0), (-0.1, 1), (-0.11, 0)])
def test_a_time_may_differ_by_the_tolerance(table, late, found):
    notes = table(melody([60, 62, 64], starts=[0.0, 0.5 + late, 1.0]))
    assert find_motif(notes, intervals=[2, 2], durations=[1, 1]).height == found


def test_the_theme_of_the_golden_bass_is_found_in_each_round(golden):
    # Chords C Am F G, twice: the bass plays each root twice a bar.
    bass = golden.filter(pl.col("instrument") == "Electric Bass (finger)")["pitch"].to_list()
    intervals = [b - a for a, b in pairwise(bass[:8])]
    found = find_motif(golden, intervals=intervals, voice="track").filter(pl.col("track") == 1)
    assert places(found.select("start", "pitch")) == [(0.0, bass[0]), (10.0, bass[0])]


@settings(max_examples=40)
@given(data=st.data())
def test_motifs_are_those_that_a_walk_over_the_notes_finds(note_tables, data):
    notes = data.draw(note_tables())
    expected = []
    for task in sorted(set(notes["task"].to_list())):
        tops = {}
        for _, name, pitch, start, end, _, track in notes.filter(pl.col("task") == task).rows():
            if name != "Drums" and (start not in tops or pitch >= tops[start][1]):
                tops[start] = (track, pitch, end)
        line = [(start, *tops[start]) for start in sorted(tops)]
        for (s, track, p, _), (_, _, q, end) in pairwise(line):
            if q - p == 1:
                expected.append((task, track, p, s, end))
    found = find_motif(notes, intervals=[1], chord_seconds=0.0)
    assert found.select("task", "track", "pitch", "start", "end").rows() == expected


@settings(max_examples=30)
@given(data=st.data(), up=st.integers(-30, 30), stretch=st.sampled_from([1, 2, 4]), later=st.integers(0, 5))
def test_transposed_or_moved_music_has_its_motifs_where_they_go(note_tables, data, up, stretch, later):
    notes = data.draw(note_tables())
    changed = notes.with_columns(
        (pl.col("pitch").cast(pl.Int16) + up).cast(pl.UInt8), pl.col("start", "end") * stretch + later
    )
    options = {"intervals": [12, -12], "durations": [1, 1], "voice": "track"}
    here = find_motif(notes, **options, chord_seconds=0.0)
    there = find_motif(changed, **options, chord_seconds=0.0)
    assert there["start"].to_list() == [start * stretch + later for start in here["start"].to_list()]
    assert there["pitch"].to_list() == [pitch + up for pitch in here["pitch"].to_list()]


@settings(max_examples=30)
@given(data=st.data(), voice=st.sampled_from(["skyline", "track"]))
def test_tasks_worked_on_apart_and_put_together_are_the_same(note_tables, data, voice):
    notes = data.draw(note_tables(min_size=1))
    parts = notes.partition_by("task", maintain_order=True)
    apart = pl.concat(find_motif(part, intervals=[0], voice=voice) for part in parts)
    assert apart.equals(find_motif(notes, intervals=[0], voice=voice))


def test_lazy_frames_give_lazy_frames_of_the_same(table):
    notes = table(melody([60, 62]))
    lazy = find_motif(notes.lazy(), intervals=[2])
    assert isinstance(lazy, pl.LazyFrame)
    assert lazy.collect().equals(find_motif(notes, intervals=[2]))


@pytest.mark.parametrize("voice", ["skyline", "track"])
def test_no_notes_give_no_rows_of_the_same_schema(table, voice):
    none, some = (find_motif(table(melody(p)), intervals=[2], voice=voice) for p in ([], [60, 62]))
    assert (none.height, some.height) == (0, 1)
    assert none.schema == some.schema
    assert some.dtypes == [pl.String, pl.UInt16, pl.String, pl.UInt8, pl.Float64, pl.Float64]


@pytest.mark.parametrize("voice", ["skyline", "track"])
def test_starts_that_descend_are_an_error(table, voice):
    with pytest.raises(NotesOrderError, match=r"task a: notes are not in canonical order; call sort_notes\(notes\)"):
        find_motif(table(melody([60, 62])).reverse(), intervals=[2], voice=voice)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"intervals": []}, "intervals: expected one at least, got none"),
        ({"intervals": [1], "durations": [1, 2]}, "durations: expected 1, one per interval, got 2"),
        ({"intervals": [1], "durations": [0]}, r"durations: expected numbers above 0, got \[0\]"),
        ({"intervals": [1], "tolerance": 2}, "tolerance: expected a number from 0 to 1, got 2"),
        ({"intervals": [1], "voice": "alto"}, "voice: expected one of 'skyline', 'track', got 'alto'"),
        ({"intervals": [1], "chord_seconds": -1}, "chord_seconds: expected seconds from 0, got -1"),
    ],
)
def test_an_option_out_of_its_range_is_refused(table, options, message):
    with pytest.raises(ValueError, match=message):
        find_motif(table([]), **options)
