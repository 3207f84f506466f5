import math
from functools import partial

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kie_notes.analysis.texture import instrument_activity
from kie_notes.analysis.voices import activity_segments, skyline
from kie_notes.errors import NotesOrderError
from kie_notes.notes import NOTES_SCHEMA

HELPERS = [skyline, partial(skyline, covered="ends"), activity_segments]
ORDERED = HELPERS


def playing(table, *spans, instrument="Flute", track=0, task="a"):
    return table([(task, instrument, pitch, start, end, 0.5, track) for pitch, start, end in spans])


def some(table):
    return playing(table, (60, 0.0, 4.0), (72, 1.0, 2.0), (55, 5.0, 6.0))


def heard(notes, **options):
    return skyline(notes, **options).select("start", "end", "pitch").rows()


# skyline


def test_a_covered_note_is_heard_again(table):
    notes = playing(table, (60, 0.0, 4.0), (72, 1.0, 2.0))
    assert heard(notes) == [(0.0, 1.0, 60), (1.0, 2.0, 72), (2.0, 4.0, 60)]


def test_a_covered_note_can_be_over(table):
    notes = playing(table, (60, 0.0, 4.0), (72, 1.0, 2.0))
    assert heard(notes, covered="ends") == [(0.0, 1.0, 60), (1.0, 2.0, 72)]


def test_a_note_that_begins_under_another_is_heard_when_that_ends_or_never(table):
    notes = playing(table, (72, 0.0, 2.0), (60, 1.0, 3.0))
    assert heard(notes) == [(0.0, 2.0, 72), (2.0, 3.0, 60)]
    assert heard(notes, covered="ends") == [(0.0, 2.0, 72)]


def test_a_chord_is_heard_as_its_highest_note(table):
    assert heard(playing(table, (60, 0.0, 1.0), (64, 0.0, 1.0), (67, 0.0, 1.0))) == [(0.0, 1.0, 67)]


def test_a_pitch_struck_again_is_a_new_stretch(table):
    assert heard(playing(table, (60, 0.0, 2.0), (60, 1.0, 3.0))) == [(0.0, 1.0, 60), (1.0, 3.0, 60)]


def test_of_two_tracks_in_unison_the_lower_is_named(table):
    flute, oboe = playing(table, (60, 0.0, 1.0)), playing(table, (60, 0.0, 1.0), instrument="Oboe", track=1)
    assert skyline(pl.concat([oboe, flute]))["track"].to_list() == [0]


def test_silence_has_no_row(table):
    assert heard(playing(table, (60, 0.0, 1.0), (60, 3.0, 4.0))) == [(0.0, 1.0, 60), (3.0, 4.0, 60)]


def test_overlaps_of_a_rounding_error_are_none(table):
    notes = playing(table, (72, 0.0, math.nextafter(1.0, 2.0)), (60, 1.0, 2.0))
    assert skyline(notes, covered="ends")["pitch"].to_list() == [72, 60]


def test_drums_are_no_melody_unless_asked(table):
    notes = pl.concat([playing(table, (60, 0.0, 1.0)), playing(table, (81, 0.0, 1.0), instrument="Drums", track=1)])
    assert heard(notes) == [(0.0, 1.0, 60)]
    assert heard(notes, drums="include") == [(0.0, 1.0, 81)]


@settings(max_examples=60)
@given(data=st.data())
def test_the_skyline_is_what_counting_step_by_step_gives(note_tables, data):
    notes = data.draw(note_tables())
    tops = {}
    for task, name, pitch, start, end, _, _ in notes.rows():
        for step in range(round(start * 192), round(end * 192)) if name != "Drums" else ():
            tops[task, step] = max(tops.get((task, step), 0), pitch)
    found = {}
    for task, start, end, pitch, _ in skyline(notes).rows():
        for step in range(round(start * 192), round(end * 192)):
            assert (task, step) not in found
            found[task, step] = pitch
    assert found == tops


@settings(max_examples=60)
@given(data=st.data())
def test_what_is_heard_only_once_begins_with_its_note(note_tables, data):
    notes = data.draw(note_tables()).filter(pl.col("instrument") != "Drums")
    onsets = {(task, start, pitch, track) for task, _, pitch, start, _, _, track in notes.rows()}
    whole = skyline(notes).rows()
    kept = [row for row in whole if (row[0], row[1], row[3], row[4]) in onsets]
    assert skyline(notes, covered="ends").rows() == kept


def test_what_becomes_of_covered_notes_is_one_of_two(table):
    with pytest.raises(ValueError, match="covered: expected one of 'resumes', 'ends', got 'cut'"):
        skyline(some(table), covered="cut")


# activity_segments


def test_notes_that_overlap_or_touch_are_one_stretch(table):
    notes = playing(table, (60, 0.0, 2.0), (62, 1.0, 1.5), (64, 2.0, 3.0), (65, 4.0, 5.0))
    assert activity_segments(notes).rows() == [("a", "Flute", 0, 0.0, 3.0, 3), ("a", "Flute", 0, 4.0, 5.0, 1)]


def test_a_rest_as_long_as_the_gap_is_bridged(table):
    notes = playing(table, (60, 0.0, 1.0), (62, 1.5, 2.0), (64, 2.75, 3.0))
    assert activity_segments(notes, gap=0.5).select("start", "end").rows() == [(0.0, 2.0), (2.75, 3.0)]


def test_each_track_has_its_own_stretches(table):
    notes = pl.concat([playing(table, (60, 0.0, 1.0)), playing(table, (60, 0.5, 2.0), instrument="Drums", track=1)])
    assert activity_segments(notes).select("instrument", "track", "end").rows() == [
        ("Flute", 0, 1.0),
        ("Drums", 1, 2.0),
    ]


def test_notes_without_duration_are_no_playing(table):
    assert activity_segments(playing(table, (60, 0.0, 0.0))).height == 0


@pytest.mark.parametrize("gap", [-0.1, math.nan, math.inf])
def test_a_gap_is_not_below_zero(table, gap):
    with pytest.raises(ValueError, match=f"gap: expected seconds, 0 or above, got {gap}"):
        activity_segments(some(table), gap=gap)


@settings(max_examples=60)
@given(data=st.data())
def test_stretches_add_up_to_the_time_that_each_track_sounds(note_tables, data):
    notes = data.draw(note_tables()).filter(pl.col("end") > pl.col("start"))
    keys = ["task", "instrument", "track"]
    lengths = activity_segments(notes).group_by(keys, maintain_order=True)
    totals = lengths.agg(seconds=(pl.col("end") - pl.col("start")).sum(), notes=pl.col("notes").sum())
    expected = instrument_activity(notes).select(*keys, "sounding_seconds", "notes").rows()
    assert totals.rows() == [(*names, pytest.approx(seconds), count) for *names, seconds, count in expected]


def test_golden_stretches_sound_as_long_as_the_reference_says(golden, reference):
    lengths = activity_segments(golden).group_by("instrument").agg((pl.col("end") - pl.col("start")).sum())
    assert dict(lengths.rows()) == {
        name: pytest.approx(reference[f"per-instrument {name}"]["sounding_s"], rel=1e-12)
        for name in ("Acoustic Grand Piano", "Electric Bass (finger)", "Drums")
    }


# both


def test_columns_have_the_types_that_are_documented(table):
    span = {"start": pl.Float64, "end": pl.Float64}
    assert skyline(some(table)).schema == {"task": pl.String, **span, "pitch": pl.UInt8, "track": pl.UInt16}
    keys = {"task": pl.String, "instrument": pl.String, "track": pl.UInt16}
    assert activity_segments(some(table)).schema == {**keys, **span, "notes": pl.UInt32}


@pytest.mark.parametrize("helper", HELPERS)
def test_no_notes_give_no_rows_of_the_same_schema(table, helper):
    none = helper(table([]))
    assert none.height == 0
    assert none.schema == helper(some(table)).schema


@pytest.mark.parametrize("helper", HELPERS)
def test_a_lazy_table_gives_the_same_lazily(table, helper):
    assert helper(some(table).lazy()).collect().equals(helper(some(table)))


@pytest.mark.parametrize("helper", HELPERS[:2])
def test_an_unknown_drums_policy_is_refused(table, helper):
    with pytest.raises(ValueError, match="drums: expected one of 'exclude', 'include', 'only', got 'yes'"):
        helper(table([]), drums="yes")


@pytest.mark.parametrize("helper", ORDERED)
def test_starts_that_descend_are_an_error(table, helper):
    notes = some(table)
    with pytest.raises(NotesOrderError, match=r"task a: notes are not in canonical order; call sort_notes\(notes\)"):
        helper(notes.reverse())


@pytest.mark.parametrize("helper", HELPERS)
@settings(max_examples=30)
@given(data=st.data())
def test_shuffled_rows_give_the_right_answer_or_the_order_error(helper, note_tables, data):
    notes = data.draw(note_tables())
    shuffled = pl.DataFrame(data.draw(st.permutations(notes.rows())), schema=NOTES_SCHEMA, orient="row")
    try:
        result = helper(shuffled)
    except NotesOrderError:
        assert helper in ORDERED
    else:
        assert result.equals(helper(notes))


@pytest.mark.parametrize("helper", HELPERS)
@settings(max_examples=30)
@given(data=st.data())
def test_tasks_worked_on_apart_and_put_together_are_the_same(helper, note_tables, data):
    notes = data.draw(note_tables(min_size=1))
    apart = pl.concat(helper(part) for part in notes.partition_by("task", maintain_order=True))
    assert apart.equals(helper(notes))
