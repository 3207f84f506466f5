import math

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kie_notes.analysis.education import (
    difficulty_parts,
    hardest_windows,
    instrument_fit,
    peak_notes_per_second,
    transposition,
)
from kie_notes.errors import NotesOrderError
from kie_notes.notes import NOTES_SCHEMA


def to_voice(notes):
    return transposition(notes, low=55, high=67)


HELPERS = [instrument_fit, to_voice, peak_notes_per_second, hardest_windows, difficulty_parts]


def flute(pitch, start, end, *, track=0, name="Flute", task="a"):
    return (task, name, pitch, start, end, 0.5, track)


# instrument_fit


def test_the_recommended_range_holds_both_of_its_ends(table):
    notes = table([flute(pitch, 0.0, 1.0) for pitch in (59, 60, 96, 97)])
    assert instrument_fit(notes).select("range_lowest", "range_highest", "share_in_range").rows() == [(60, 96, 0.5)]


def test_an_instrument_without_a_recommended_range_has_no_share(table):
    fit = instrument_fit(table([flute(60, 0.0, 1.0, name="Theremin")]))
    assert fit.select("range_lowest", "range_highest", "share_in_range").rows() == [(None, None, None)]


def test_the_tessitura_leaves_the_rare_pitches_at_both_ends(table):
    seconds = {60: 1, 62: 4, 64: 4, 90: 1}
    notes = table([flute(pitch, 0.0, float(held)) for pitch, held in seconds.items()])
    columns = ("tessitura_lowest", "tessitura_highest")
    assert instrument_fit(notes, middle=0.75).select(columns).rows() == [(62, 64)]
    assert instrument_fit(notes, middle=0.9).select(columns).rows() == [(60, 90)]


def test_notes_without_duration_have_no_tessitura(table):
    fit = instrument_fit(table([flute(60, 0.0, 0.0)]))
    assert fit.select("tessitura_lowest", "tessitura_highest").rows() == [(None, None)]


# transposition


def test_the_smallest_shift_that_fits_is_taken(table):
    notes = table([flute(70, 0.0, 1.0), flute(74, 0.0, 1.0)])
    assert to_voice(notes).select("share_in_range", "shift", "share_after", "shift_from", "shift_to").rows() == [
        (0.0, -7, 1.0, -15, -7)
    ]


def test_notes_that_fit_are_not_shifted(table):
    assert to_voice(table([flute(55, 0.0, 1.0), flute(67, 0.0, 1.0)]))["shift"].to_list() == [0]


def test_where_nothing_fits_most_notes_are_brought_in(table):
    notes = table([flute(pitch, 0.0, 1.0) for pitch in (20, 70, 71, 72)])
    assert to_voice(notes).select("shift", "share_after", "shift_from", "shift_to").rows() == [(-5, 0.75, None, None)]


def test_of_two_shifts_of_one_size_the_downward_one_is_taken(table):
    notes = table([flute(50, 0.0, 1.0), flute(72, 0.0, 1.0)])
    assert to_voice(notes)["shift"].to_list() == [-5]


def test_a_smaller_shift_up_is_taken_before_a_larger_one_down(table):
    notes = table([flute(50, 0.0, 1.0), flute(73, 0.0, 1.0)])
    assert to_voice(notes)["shift"].to_list() == [5]


def test_a_step_of_an_octave_keeps_pitch_classes(table):
    notes = table([flute(70, 0.0, 1.0)])
    assert transposition(notes, low=55, high=67, step=12)["shift"].to_list() == [-12]


def test_a_task_is_shifted_as_a_whole(table):
    notes = table([flute(70, 0.0, 1.0), flute(74, 0.0, 1.0, track=1), flute(36, 0.0, 1.0, name="Drums", track=2)])
    assert transposition(notes, low=55, high=67, by="task").rows() == [("a", 70, 74, 0.0, -7, 1.0, -15, -7)]


@settings(max_examples=15)
@given(data=st.data(), low=st.integers(0, 127), width=st.integers(0, 40), step=st.sampled_from([1, 2, 12]))
def test_no_other_shift_brings_more_notes_in(note_tables, data, low, width, step):
    notes = data.draw(note_tables())
    high = min(127, low + width)
    for row in transposition(notes, low=low, high=high, step=step).iter_rows(named=True):
        mine = notes.filter((pl.col("task") == row["task"]) & (pl.col("track") == row["track"]))["pitch"].to_list()
        shifts = range(-(127 // step * step), 128, step)
        best = min(shifts, key=lambda s: (-sum(low <= p + s <= high for p in mine), abs(s), s))
        share = sum(low <= p + best <= high for p in mine) / len(mine)
        assert (row["shift"], row["share_after"]) == (best, pytest.approx(share))


# peak_notes_per_second


def test_the_window_of_the_peak_does_not_hold_its_end(table):
    notes = table([flute(60, start, 9.0) for start in (0.0, 0.5, 1.0, 3.0)])
    assert peak_notes_per_second(notes).rows() == [("a", "Flute", 0, 2.0, 0.0)]


def test_a_window_may_begin_at_any_note(table):
    notes = table([flute(60, start, 9.0) for start in (0.0, 0.9, 1.0, 1.1)])
    assert peak_notes_per_second(notes, window=0.5).rows() == [("a", "Flute", 0, 6.0, 0.9)]


@settings(max_examples=15)
@given(data=st.data())
def test_the_peak_is_what_counting_from_every_note_gives(note_tables, data):
    notes = data.draw(note_tables())
    for task, _, track, peak, at in peak_notes_per_second(notes, window=0.5).rows():
        mine = notes.filter((pl.col("task") == task) & (pl.col("track") == track))["start"].to_list()
        counts = [sum(start <= other < start + 0.5 - 1e-9 for other in mine) for start in mine]
        assert (peak, at) == (max(counts) / 0.5, mine[counts.index(max(counts))])


# hardest_windows


def test_demands_of_a_window_are_counted_by_hand(table):
    # 0-2 s: tops 64, 60, 72 (a chord first); 2-4 s: a held note and one more.
    notes = table(
        [flute(60, 0.0, 0.5), flute(64, 0.0, 0.5), flute(60, 0.5, 1.0), flute(72, 1.0, 3.5), flute(71, 3.0, 3.5)]
    )
    assert hardest_windows(notes, window=2.0).drop("task", "instrument", "track").rows() == [
        (1, 0.0, 2.0, 2.0, 12, 8.0, 2),
        (2, 2.0, 4.0, 0.5, 0, 0.5, 2),
    ]


def test_only_the_first_windows_are_given(table):
    notes = table([flute(60, float(k), k + 1.0) for k in range(10)])
    assert hardest_windows(notes, window=1.0, top=2)["rank"].to_list() == [1, 2]


@settings(max_examples=15)
@given(data=st.data())
def test_windows_hold_every_note_once(note_tables, data):
    notes = data.draw(note_tables())
    windows = hardest_windows(notes, window=0.25, top=10_000, drums="include")
    assert round(windows["notes_per_second"].sum() * 0.25) == notes.height


# difficulty_parts


def test_parts_of_a_small_piece_are_counted_by_hand(table):
    notes = table([flute(60, 0.0, 0.5), flute(66, 0.0, 0.5), flute(60, 0.5, 1.0), flute(72, 2.0, 3.0)])
    (row,) = difficulty_parts(notes).iter_rows(named=True)
    assert row == {
        "task": "a",
        "instrument": "Flute",
        "track": 0,
        "notes": 4,
        "onsets": 3,
        "onsets_per_second": pytest.approx(1.0),
        "peak_notes_per_second": 3.0,
        "fastest_repetition": pytest.approx(2.0),
        "pitch_range": 12,
        "pitch_entropy": pytest.approx(1.5),  # 1/2, 1/4, 1/4
        "black_key_share": 0.25,
        "mean_movement": 9.0,
        "largest_movement": 12,
        "mean_chord_span": 2.0,
        "largest_chord_span": 6,
        "polyphony": 2,
        "rhythm_entropy": pytest.approx(1.0),  # 0.5 s and 1.5 s
    }


def test_one_onset_has_no_speed_movement_or_rhythm(table):
    columns = ("onsets_per_second", "mean_movement", "largest_movement", "fastest_repetition", "rhythm_entropy")
    assert difficulty_parts(table([flute(60, 1.0, 2.0)])).select(columns).rows() == [(None,) * 5]


def test_pitch_entropy_and_range_of_the_golden_fixture_are_muspys(golden, reference):
    one = golden.with_columns(
        track=pl.when(pl.col("instrument") == "Drums").then(1).otherwise(0).cast(pl.UInt16),
        instrument=pl.col("instrument")
        .cast(pl.String)
        .replace({"Electric Bass (finger)": "Acoustic Grand Piano"})
        .cast(pl.Categorical()),
    )
    (row,) = difficulty_parts(one).iter_rows(named=True)
    assert row["pitch_entropy"] == pytest.approx(reference["muspy.pitch_entropy"], rel=1e-12)
    assert row["pitch_range"] == reference["muspy.pitch_range"]


@settings(max_examples=15)
@given(data=st.data(), semitones=st.sampled_from([-12, 12, 24]))
def test_a_transposition_by_octaves_changes_no_demand(note_tables, data, semitones):
    notes = data.draw(note_tables())
    shifted = notes.with_columns((pl.col("pitch").cast(pl.Int16) + semitones).cast(pl.UInt8))
    assert difficulty_parts(shifted).equals(difficulty_parts(notes))
    assert hardest_windows(shifted).equals(hardest_windows(notes))


# all of them


@pytest.mark.parametrize("helper", HELPERS)
def test_no_notes_give_no_rows_of_the_same_schema(table, helper):
    none = helper(table([]))
    assert none.height == 0
    assert none.schema == helper(table([flute(60, 0.0, 1.0)])).schema


@pytest.mark.parametrize("helper", [instrument_fit, to_voice, hardest_windows, difficulty_parts])
def test_drums_are_left_out(table, helper):
    assert helper(table([flute(36, 0.0, 1.0, name="Drums")])).height == 0


@pytest.mark.parametrize("helper", HELPERS)
def test_a_lazyframe_gives_the_same_answer(golden, helper):
    assert helper(golden.lazy()).collect().equals(helper(golden))


@pytest.mark.parametrize("helper", HELPERS)
def test_starts_that_descend_are_an_error(table, helper):
    with pytest.raises(NotesOrderError, match=r"task a: notes are not in canonical order; call sort_notes\(notes\)"):
        helper(table([flute(60, 1.0, 2.0), flute(64, 0.0, 2.0)]))


@pytest.mark.parametrize("helper", HELPERS)
@settings(max_examples=10)
@given(data=st.data())
def test_shuffled_rows_give_the_right_answer_or_the_order_error(helper, note_tables, data):
    notes = data.draw(note_tables())
    shuffled = pl.DataFrame(data.draw(st.permutations(notes.rows())), schema=NOTES_SCHEMA, orient="row")
    try:
        result = helper(shuffled)
    except NotesOrderError:
        return
    assert result.equals(helper(notes))


@pytest.mark.parametrize("helper", HELPERS)
@settings(max_examples=10)
@given(data=st.data())
def test_tasks_worked_on_apart_and_put_together_are_the_same(helper, note_tables, data):
    notes = data.draw(note_tables(min_size=1))
    apart = pl.concat(map(helper, notes.partition_by("task", maintain_order=True)))
    assert apart.equals(helper(notes))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda n: instrument_fit(n, middle=1.0), "middle: expected a share from 0 to below 1, got 1.0"),
        (lambda n: transposition(n, low=70, high=60), "low, high: expected a range of MIDI note numbers, got 70 to 60"),
        (lambda n: transposition(n, low=60, high=70, step=0), "step: expected semitones above 0, got 0"),
        (lambda n: transposition(n, low=60, high=70, by="pupil"), "by: expected one of 'track', 'task', got 'pupil'"),
        (lambda n: peak_notes_per_second(n, window=math.inf), "window: expected seconds above 0, got inf"),
        (lambda n: hardest_windows(n, top=0), "top: expected 1 or more, got 0"),
        (lambda n: difficulty_parts(n, drums="all"), "drums: expected one of 'exclude', 'include', 'only', got 'all'"),
    ],
)
def test_options_that_mean_nothing_are_refused(table, call, message):
    with pytest.raises(ValueError, match=message):
        call(table([]))
