import ast
from collections import Counter
from itertools import pairwise

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from kie_notes.analysis.melody import interval_histogram, interval_ngrams, melodic_intervals, pitch_class_transitions
from kie_notes.errors import NotesOrderError, NotesSchemaError
from kie_notes.notes import NOTES_SCHEMA

COUNTS = [interval_histogram, pitch_class_transitions, interval_ngrams]
HELPERS = [melodic_intervals, *COUNTS]
VOICES = ["track", "skyline"]
few = settings(max_examples=25)


def tune(table, *pitches, task="a", instrument="Flute", track=0, first=0.0):
    starts = [first + k for k in range(len(pitches))]
    rows = zip(starts, pitches, strict=True)
    return table([(task, instrument, pitch, start, start + 0.5, 0.5, track) for start, pitch in rows])


@pytest.fixture
def duet(table):
    """A flute that climbs over a cello that falls an octave half a second later, and a drum."""
    notes = pl.concat(
        [
            tune(table, 72, 74, 77),
            tune(table, 48, 36, instrument="Cello", track=1, first=0.5),
            tune(table, 35, 99, instrument="Drums", track=2),
        ]
    )
    return notes.sort("start", "track")


def voices_of(notes, voice):
    """Give (onset in grid steps, highest pitch) by voice, the plain way."""
    voices = {}
    for task, name, pitch, start, _, _, track in notes.rows():
        if name != "Drums":
            onsets = voices.setdefault((task, name, track) if voice == "track" else (task,), {})
            tick = round(start * 192)
            onsets[tick] = max(onsets.get(tick, 0), pitch)
    return {key: sorted(onsets.items()) for key, onsets in voices.items()}


# melodic_intervals


def test_each_track_is_a_voice(duet):
    assert melodic_intervals(duet).rows() == [
        ("a", "Flute", 0, 0.0, 1.0, 72, 2),
        ("a", "Flute", 0, 1.0, 1.0, 74, 3),
        ("a", "Cello", 1, 0.5, 1.0, 48, -12),
    ]


def test_the_skyline_goes_through_all_tracks(duet):
    assert melodic_intervals(duet, voice="skyline").rows() == [
        ("a", 0.0, 0.5, 72, -24),
        ("a", 0.5, 0.5, 48, 26),
        ("a", 1.0, 0.5, 74, -38),
        ("a", 1.5, 0.5, 36, 41),
    ]


@pytest.mark.parametrize("voice", VOICES)
def test_the_highest_note_of_an_onset_is_the_voices(table, voice):
    chords = [(60, 0.0), (67, 0.0), (64, 0.0), (62, 1.0), (55, 1.0)]
    notes = table([("a", "Piano", pitch, start, 2.0, 0.5, 0) for pitch, start in chords])
    assert melodic_intervals(notes, voice=voice).select("pitch", "interval").rows() == [(67, -5)]


@pytest.mark.parametrize("voice", VOICES)
def test_onsets_a_rounding_error_apart_are_one(table, voice):
    notes = table([("a", "Piano", p, s, 2.0, 0.5, 0) for p, s in ((60, 0.3), (72, 0.1 * 3), (64, 1.0))])
    assert melodic_intervals(notes.sort("start"), voice=voice).select("pitch", "interval").rows() == [(72, -8)]


def test_a_low_note_under_a_long_high_one_is_in_the_skyline(table):
    notes = table([("a", "Flute", 90, 0.0, 9.0, 0.5, 0), ("a", "Cello", 40, 1.0, 2.0, 0.5, 1)])
    assert melodic_intervals(notes, voice="skyline")["interval"].to_list() == [-50]


def test_a_repeated_note_is_an_interval_of_nothing(table):
    assert melodic_intervals(tune(table, 60, 60))["interval"].to_list() == [0]


def test_the_widest_intervals_are_kept(table):
    assert melodic_intervals(tune(table, 0, 127, 0))["interval"].to_list() == [127, -127]


def test_one_note_has_no_interval(table):
    notes = pl.concat([tune(table, 60), tune(table, 60, 61, task="b")])
    assert melodic_intervals(notes)["task"].to_list() == ["b"]


def test_two_tracks_of_one_name_are_two_voices(table):
    notes = pl.concat([tune(table, 60, 61), tune(table, 70, 72, track=1)]).sort("start", "track")
    assert melodic_intervals(notes).select("track", "interval").rows() == [(0, 1), (1, 2)]


@few
@given(data=st.data(), voice=st.sampled_from(VOICES))
def test_intervals_are_those_found_note_by_note(note_tables, data, voice):
    notes = data.draw(note_tables())
    expected = {
        (*key, start, later - start, pitch, after - pitch)
        for key, onsets in voices_of(notes, voice).items()
        for (start, pitch), (later, after) in pairwise(onsets)
    }
    found = melodic_intervals(notes, voice=voice)
    assert {(*row[:-4], round(row[-4] * 192), round(row[-3] * 192), *row[-2:]) for row in found.rows()} == expected
    assert found.height == len(expected)


def test_golden_intervals_of_the_bass_are_the_references(golden, reference):
    bass = golden.filter(pl.col("instrument") == "Electric Bass (finger)")
    expected = ast.literal_eval(str(reference["bass melodic interval histogram (signed)"]))
    assert dict(interval_histogram(bass, by=()).rows()) == {int(step): count for step, count in expected.items()}
    assert melodic_intervals(bass)["interval"].abs().mean() == reference["bass mean |interval|"]


# interval_histogram


def test_falling_intervals_are_negative_or_as_wide_as_rising_ones(table):
    notes = tune(table, 60, 62, 60, 67)
    assert interval_histogram(notes).rows() == [("a", -2, 1), ("a", 2, 1), ("a", 7, 1)]
    assert interval_histogram(notes, direction="absolute").rows() == [("a", 2, 2), ("a", 7, 1)]


def test_intervals_of_a_tasks_voices_are_pooled_or_told_apart(duet):
    assert interval_histogram(duet).rows() == [("a", -12, 1), ("a", 2, 1), ("a", 3, 1)]
    by_track = interval_histogram(duet, by=("task", "instrument"))
    assert by_track.rows() == [("a", "Cello", -12, 1), ("a", "Flute", 2, 1), ("a", "Flute", 3, 1)]


def test_shares_of_intervals(table):
    shares = interval_histogram(tune(table, 60, 62, 64, 65, 67), normalize=True)
    assert shares.rows() == [("a", 1, 0.25), ("a", 2, 0.75)]


# pitch_class_transitions


def test_transitions_are_between_consecutive_onsets_whatever_the_octave(table):
    assert pitch_class_transitions(tune(table, 60, 62, 72, 74, 67)).rows() == [
        ("a", 0, 2, 2),
        ("a", 2, 0, 1),
        ("a", 2, 7, 1),
    ]


def test_a_transitions_probability_is_among_those_from_its_class(table):
    notes = tune(table, 60, 62, 72, 74, 67)
    assert pitch_class_transitions(notes, measure="probability")["probability"].to_list() == [1.0, 0.5, 0.5]
    assert pitch_class_transitions(notes, measure="share")["share"].to_list() == [0.5, 0.25, 0.25]


def test_a_short_note_does_not_follow_itself_and_a_rest_parts_nothing(table):
    # pretty_midi's matrix has (0, 0) and (4, 4) here, and nothing else.
    notes = table([("a", "Flute", 60, 0.0, 0.01, 0.5, 0), ("a", "Flute", 64, 5.0, 5.01, 0.5, 0)])
    assert pitch_class_transitions(notes).rows() == [("a", 0, 4, 1)]


def test_transitions_of_a_gapless_tune_are_pretty_midis(table):
    import pretty_midi

    pitches = (60, 64, 67, 64, 60, 59, 60, 64, 72, 71)
    notes = table([("a", "Flute", pitch, k / 2, (k + 1) / 2, 0.5, 0) for k, pitch in enumerate(pitches)])
    flute = pretty_midi.Instrument(73)
    flute.notes = [pretty_midi.Note(80, pitch, k / 2, (k + 1) / 2) for k, pitch in enumerate(pitches)]
    matrix = flute.get_pitch_class_transition_matrix()
    theirs = [("a", a, b, int(n)) for a, row in enumerate(matrix) for b, n in enumerate(row) if n]
    assert pitch_class_transitions(notes).rows() == theirs


# interval_ngrams


def test_turns_overlap(table):
    notes = tune(table, 60, 62, 64, 66, 60)
    assert interval_ngrams(notes, n=2).rows() == [("a", [2, -6], 1), ("a", [2, 2], 2)]


def test_turns_end_with_their_voice(duet):
    assert interval_ngrams(duet, n=2).rows() == [("a", [2, 3], 1)]


def test_the_longest_turns_hold_the_widest_intervals(table):
    notes = tune(table, 0, 127, 0, 127, 0, 127, 0, 127, 0)
    assert interval_ngrams(notes, n=8).rows() == [("a", [127, -127] * 4, 1)]
    assert interval_ngrams(tune(table, *range(60, 68)), n=8).height == 0


@pytest.mark.parametrize("n", [0, -1, 9])
def test_a_turn_has_one_to_eight_intervals(table, n):
    with pytest.raises(ValueError, match=f"n: expected 1 to 8, got {n}"):
        interval_ngrams(tune(table, 60, 61), n=n)


@few
@given(data=st.data(), voice=st.sampled_from(VOICES), n=st.integers(1, 8))
def test_turns_are_those_found_note_by_note(note_tables, data, voice, n):
    notes = data.draw(note_tables())
    expected = Counter()
    for key, onsets in voices_of(notes, voice).items():
        steps = [b - a for (_, a), (_, b) in pairwise(onsets)]
        expected.update((key[0], tuple(steps[k : k + n])) for k in range(len(steps) - n + 1))
    found = interval_ngrams(notes, voice=voice, n=n).rows()
    assert {(task, tuple(steps)): count for task, steps, count in found} == expected
    assert found == sorted(found)


# What holds for all of them.


@few
@given(data=st.data(), voice=st.sampled_from(VOICES))
def test_totals_are_the_numbers_of_intervals(note_tables, data, voice):
    notes = data.draw(note_tables())
    total = melodic_intervals(notes, voice=voice).height
    counts = [helper(notes, voice=voice, by=())["count"].sum() for helper in COUNTS[:2]]
    assert [*counts, interval_ngrams(notes, voice=voice, n=1)["count"].sum()] == [total] * 3


@few
@given(data=st.data())
def test_shares_sum_to_one_in_each_group(note_tables, data):
    notes = data.draw(note_tables())
    tables = [
        (interval_histogram(notes, normalize=True), "share", ["task"]),
        (interval_ngrams(notes, n=2, normalize=True), "share", ["task"]),
        (pitch_class_transitions(notes, measure="share"), "share", ["task"]),
        (pitch_class_transitions(notes, measure="probability"), "probability", ["task", "from_pitch_class"]),
    ]
    for result, value, keys in tables:
        assert result.group_by(keys).agg(pl.col(value).sum())[value].to_list() == pytest.approx(
            [1.0] * result.select(keys).n_unique()
        )


@few
@given(data=st.data(), by=st.integers(-36, 55))
@pytest.mark.parametrize("helper", [interval_histogram, interval_ngrams])
def test_a_transposed_piece_has_the_same_intervals(helper, note_tables, data, by):
    notes = data.draw(note_tables())
    moved = notes.with_columns((pl.col("pitch").cast(pl.Int16) + by).cast(pl.UInt8).alias("pitch"))
    assert helper(moved).equals(helper(notes))


@few
@given(data=st.data())
def test_a_transposed_piece_has_the_transposed_transitions(note_tables, data):
    notes = data.draw(note_tables())
    moved = pitch_class_transitions(notes.with_columns(pl.col("pitch") + 5))
    back = moved.with_columns((pl.col("from_pitch_class", "to_pitch_class") + 7) % 12)
    assert_frame_equal(back, pitch_class_transitions(notes), check_row_order=False)


@few
@given(data=st.data(), voice=st.sampled_from(VOICES))
@pytest.mark.parametrize("helper", COUNTS)
def test_a_slower_and_later_piece_has_the_same_counts(helper, note_tables, data, voice):
    notes = data.draw(note_tables())
    slower = notes.with_columns(pl.col("start", "end") * 2 + 1)
    assert helper(slower, voice=voice).equals(helper(notes, voice=voice))


@pytest.mark.parametrize("voice", VOICES)
@pytest.mark.parametrize("helper", HELPERS)
def test_no_notes_give_no_rows_of_the_same_schema(duet, helper, voice):
    none = helper(duet.head(0), voice=voice)
    assert none.height == 0
    assert none.schema == helper(duet, voice=voice).schema


@pytest.mark.parametrize("helper", HELPERS)
def test_drums_have_no_melody(duet, helper):
    assert helper(duet.filter(pl.col("instrument") == "Drums")).height == 0


def test_columns_have_the_types_that_are_documented(duet):
    text, count = pl.String(), pl.UInt32()
    steps = {"start": pl.Float64(), "seconds": pl.Float64(), "pitch": pl.UInt8(), "interval": pl.Int16()}
    classes = {"from_pitch_class": pl.UInt8(), "to_pitch_class": pl.UInt8()}
    assert dict(melodic_intervals(duet).schema) == {"task": text, "instrument": text, "track": pl.UInt16(), **steps}
    assert dict(melodic_intervals(duet, voice="skyline").schema) == {"task": text, **steps}
    assert dict(interval_histogram(duet).schema) == {"task": text, "interval": pl.Int16(), "count": count}
    assert dict(interval_ngrams(duet).schema) == {"task": text, "intervals": pl.List(pl.Int16), "count": count}
    assert dict(pitch_class_transitions(duet).schema) == {"task": text, **classes, "count": count}


@pytest.mark.parametrize("helper", HELPERS)
def test_a_lazyframe_gives_the_same(duet, helper):
    lazy = helper(duet.lazy())
    assert isinstance(lazy, pl.LazyFrame)
    assert lazy.collect().equals(helper(duet))


@pytest.mark.parametrize("helper", HELPERS)
def test_what_is_no_notes_table_is_refused(duet, helper):
    with pytest.raises(NotesSchemaError, match="missing column 'pitch'"):
        helper(duet.drop("pitch"))


@pytest.mark.parametrize("helper", HELPERS)
def test_an_unknown_voice_is_refused(duet, helper):
    with pytest.raises(ValueError, match="voice: expected one of 'track', 'skyline', got 'soprano'"):
        helper(duet, voice="soprano")


def test_an_unknown_measure_or_direction_is_refused(duet):
    with pytest.raises(ValueError, match="measure: expected one of 'count', 'share', 'probability', got 'odds'"):
        pitch_class_transitions(duet, measure="odds")
    with pytest.raises(ValueError, match="direction: expected one of 'signed', 'absolute', got 'up'"):
        interval_histogram(duet, direction="up")


@pytest.mark.parametrize("helper", COUNTS)
def test_groups_are_of_what_a_voice_has(duet, helper):
    with pytest.raises(ValueError, match="by: no column 'velocity'"):
        helper(duet, by="velocity")
    with pytest.raises(ValueError, match="by: no column 'track'"):
        helper(duet, voice="skyline", by=("task", "track"))


@pytest.mark.parametrize("voice", VOICES)
@pytest.mark.parametrize("helper", HELPERS)
def test_starts_that_descend_are_an_error(table, helper, voice):
    with pytest.raises(NotesOrderError, match=r"task a: notes are not in canonical order; call sort_notes\(notes\)"):
        helper(tune(table, 60, 61, 62).reverse(), voice=voice)


@few
@given(data=st.data(), voice=st.sampled_from(VOICES))
@pytest.mark.parametrize("helper", HELPERS)
def test_shuffled_rows_give_the_right_answer_or_the_order_error(helper, note_tables, data, voice):
    notes = data.draw(note_tables())
    shuffled = pl.DataFrame(data.draw(st.permutations(notes.rows())), schema=NOTES_SCHEMA, orient="row")
    try:
        result = helper(shuffled, voice=voice)
    except NotesOrderError:
        return
    assert result.equals(helper(notes, voice=voice))


@few
@given(data=st.data(), voice=st.sampled_from(VOICES))
@pytest.mark.parametrize("helper", HELPERS)
def test_tasks_worked_on_apart_and_put_together_are_the_same(helper, note_tables, data, voice):
    notes = data.draw(note_tables(min_size=1))
    apart = pl.concat(helper(part, voice=voice) for part in notes.partition_by("task", maintain_order=True))
    assert apart.equals(helper(notes, voice=voice))
