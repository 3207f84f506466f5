from functools import partial

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kie_notes.analysis.groove import groove_consistency, microtiming, swing_ratio, syncopation
from kie_notes.errors import NotesOrderError, NotesSchemaError
from kie_notes.notes import NOTES_SCHEMA

HELPERS = [groove_consistency, syncopation, swing_ratio, microtiming]

#: Beats of the drawn tables, at uneven steps; task c has only one.
TAPS = pl.DataFrame(
    {"task": ["a"] * 6 + ["b"] * 9 + ["c"], "time": [0.0, 0.5, 0.9, 1.4, 2.0, 2.4, *[k / 4 for k in range(9)], 0.0]}
)


def notes_at(table, starts, *, task="a", instrument="Flute"):
    return table([(task, instrument, 60, float(start), float(start) + 0.1, 0.5, 0) for start in starts])


def taps(count, *, step=1.0, task="a"):
    return pl.DataFrame({"task": [task] * count, "time": [k * step for k in range(count)]})


# groove_consistency


def test_patterns_that_repeat_are_consistent(table):
    starts = [bar * 4 + k for bar in range(5) for k in (0, 0.5, 1.75, 2, 3.25)]
    assert groove_consistency(notes_at(table, starts), beats=taps(21)).rows() == [("a", 1.0, 1.0, 16)]


def test_patterns_that_share_nothing_are_not(table):
    starts = [0, 0.5, 2.25, 2.75]
    found = groove_consistency(notes_at(table, starts), beats=taps(5), group=2)
    assert found.rows() == [("a", 0.5, 0.0, 2)]  # of 8 steps, 4 differ


#: muspy.groove_consistency(music, measure_resolution=steps * group) of notes at these steps, bars that fill the piece.
MUSPY = [
    (
        4,
        4,
        5,
        [1, 3, 4, 6, 10, 11, 13, 14, 20, 24, 27, 31, 35, 47, 48, 49, 51, 52, 55, 58, 59, 60, 67, 69, 70, 76],
        0.5625,
    ),
    (2, 6, 4, [0, 8, 10, 11, 12, 13, 18, 19, 20, 24, 34, 38, 42, 43, 44, 46], 0.5833333333333333),
    (2, 4, 6, [0, 4, 9, 10, 16, 19, 21, 22, 30, 35, 37, 38, 41, 42, 43, 44], 0.5),
    (4, 4, 4, [0, 1, 2, 3, 11, 16, 22, 23, 24, 25, 26, 28, 30, 35, 37, 45, 47, 50, 54, 57, 61], 0.39583333333333337),
]


@pytest.mark.parametrize(("group", "steps", "bars", "onsets", "expected"), MUSPY)
def test_groups_that_are_bars_have_the_consistency_that_muspy_finds(table, group, steps, bars, onsets, expected):
    notes = notes_at(table, [step / steps for step in onsets])
    found = groove_consistency(notes, beats=taps(bars * group + 1), steps=steps, group=group)
    assert found["groove_consistency"].item() == pytest.approx(expected, rel=1e-12)


def test_golden_groove_is_that_of_muspy(golden, reference):
    found = groove_consistency(golden, beats=taps(33, step=0.625, task="golden"))
    assert found["groove_consistency"].item() == reference["muspy.groove_consistency mr=480 (4 beats of 120 ticks)"]


def test_onsets_are_at_the_nearest_step(table):
    starts = [0.0, 0.24, 1.02, 1.26, 1.98, 2.25, 3.0, 3.251]
    assert groove_consistency(notes_at(table, starts), beats=taps(5), group=1).row(0)[1:] == (1.0, 1.0, 3)


def test_too_few_beats_for_two_groups_are_null(table):
    assert groove_consistency(notes_at(table, [0.0, 1.5]), beats=taps(5)).rows() == [("a", None, None, 0)]


# syncopation


@pytest.mark.parametrize(
    ("onsets", "expected"),
    [  # sixteen steps in four beats; weights by hand, from the definition of Gómez et al. (2005)
        ([0, 4, 8, 12], 0),
        ([0, 4, 6, 10, 12], (2 * 2 + 2) / 5),  # shiko
        ([0, 3, 6, 10, 12], (8 + 4 + 2) / 5),  # son
        ([0, 3, 7, 10, 12], (8 + 8 + 2) / 5),  # rumba: 7 lasts to 10, beyond the beat at 8
        ([0, 3, 6, 10, 11], (8 + 4 + 2 + 4) / 5),  # soukous: 11 is the last, and lasts until the next beat
        ([0, 3, 6, 10, 13], (8 + 4 + 2 * 2 + 4) / 5),  # bossa-nova
    ],
)
def test_timelines_have_the_weighted_note_to_beat_distance(table, onsets, expected):
    found = syncopation(notes_at(table, [step / 4 for step in onsets]), beats=taps(5))
    assert found["syncopation"].item() == pytest.approx(expected, rel=1e-12)


def test_what_lasts_beyond_the_beat_after_the_next_counts_once(table):
    held = syncopation(notes_at(table, [0.5, 2.0]), beats=taps(5))
    longer = syncopation(notes_at(table, [0.5, 2.25]), beats=taps(5))
    assert held["syncopation"].item() == (4 + 0) / 2
    assert longer["syncopation"].item() == (2 + 4) / 2


def test_onsets_a_little_off_the_beat_are_on_it(table):
    found = syncopation(notes_at(table, [0.0, 0.96, 2.03, 2.5]), beats=taps(5))
    assert found.rows() == [("a", 0.5, 0.25, 4)]


def test_thirds_of_a_beat_are_told_from_quarters(table):
    found = syncopation(notes_at(table, [0.0, 1 / 3, 1.0]), beats=taps(4))
    assert found["syncopation"].item() == pytest.approx(1.0)  # 3, once, of three onsets


# swing_ratio


@pytest.mark.parametrize("ratio", [1.0, 1.5, 2.0, 3.0])
def test_eighths_have_the_ratio_in_which_they_divide_the_beat(table, ratio):
    off = ratio / (1 + ratio)
    notes = notes_at(table, [k + x for k in range(8) for x in (0.0, off)])
    found = swing_ratio(notes, beats=taps(9))
    assert found["swing_ratio"].item() == pytest.approx(ratio)
    assert found["swing_spread"].item() == pytest.approx(0, abs=1e-9)
    assert found["swung_beats"].item() == 8


def test_beats_that_two_eighths_do_not_fill_have_no_ratio(table):
    starts = [0.0, 1 + 0.0, 1.25, 2.0, 2.3, 2.6, 3.6, 4.0, 4.85, 5.0, 5.6]
    found = swing_ratio(notes_at(table, starts), beats=taps(7))
    assert found["swung_beats"].item() == 1
    assert found["swing_ratio"].item() == pytest.approx(1.5)


def test_an_onset_a_little_before_a_beat_is_the_beats(table):
    found = swing_ratio(notes_at(table, [0.0, 0.5, 0.95, 1.6]), beats=taps(4))
    assert found["swung_beats"].item() == 2


def test_no_pair_of_eighths_is_null(table):
    assert swing_ratio(notes_at(table, [0.0, 1.0]), beats=taps(3)).rows() == [("a", None, None, 0)]


# microtiming


def test_deviations_are_in_seconds_from_the_nearest_step(table):
    found = microtiming(notes_at(table, [0.0, 0.52, 1.04, 1.46]), beats=taps(3), steps=2).row(0)
    late = [0.0, 0.02, 0.04, -0.04]
    assert found[1:] == pytest.approx((np.mean(late), np.mean(np.abs(late)), np.std(late), 4))


def test_a_beats_length_makes_no_difference_to_a_deviation(table):
    slow = microtiming(notes_at(table, [0.0, 1.01]), beats=taps(3, step=2.0), steps=2)
    fast = microtiming(notes_at(table, [0.0, 0.51]), beats=taps(3), steps=2)
    assert slow["mean_deviation"].item() == pytest.approx(0.005)
    assert fast["mean_deviation"].item() == pytest.approx(0.005)


def test_onsets_on_estimated_beats_deviate_by_nothing(table):
    notes = notes_at(table, [0.3 + k * 0.5 for k in range(40)])
    assert microtiming(notes)["mean_absolute_deviation"].item() == pytest.approx(0, abs=1e-9)


# beats


def test_onsets_outside_the_beats_are_not_counted(table):
    notes = notes_at(table, [0.5, 1.0, 2.0, 3.0, 3.5])
    assert syncopation(notes, beats=taps(3).with_columns(pl.col("time") + 1))["onsets"].to_list() == [2]


def test_an_onset_a_rounding_error_short_of_a_beat_is_on_it(table):
    later = taps(3).with_columns(pl.col("time") + 1)
    assert syncopation(notes_at(table, [np.nextafter(1.0, 0.0), 2.0]), beats=later).rows() == [("a", 0.0, 0.0, 2)]


def test_notes_of_a_chord_are_one_onset(table):
    notes = notes_at(table, [0.0, 0.5, 0.5, 0.5, 1.0])
    assert microtiming(notes, beats=taps(3))["onsets"].to_list() == [3]


@pytest.mark.parametrize("helper", HELPERS)
def test_a_task_without_beats_has_no_row(table, helper):
    notes = pl.concat([notes_at(table, [0.0, 0.5]), notes_at(table, [0.0, 0.5], task="b")])
    assert helper(notes, beats=taps(4, task="b"))["task"].to_list() == ["b"]


@pytest.mark.parametrize("helper", HELPERS)
def test_without_beats_they_are_estimated(golden, helper):
    estimated, given_beats = helper(golden), helper(golden, beats=taps(33, step=0.625, task="golden"))
    assert estimated["task"].to_list() == ["golden"]
    value = estimated.columns[1]
    if estimated[value].item() is not None:
        assert estimated[value].item() == pytest.approx(given_beats[value].item(), abs=0.1)


@pytest.mark.parametrize("helper", HELPERS)
def test_rows_and_kinds_of_beats_make_no_difference(table, helper):
    notes = notes_at(table, [0.0, 0.6, 1.0, 1.4, 2.0])
    expected = helper(notes, beats=taps(4))
    doubled = pl.concat([taps(4), taps(4)]).sample(fraction=1, shuffle=True, seed=1)
    assert helper(notes, beats=doubled).equals(expected)
    assert helper(notes, beats=taps(4).lazy()).equals(expected)
    assert helper(notes, beats=taps(4).cast({"task": pl.Categorical})).equals(expected)


@pytest.mark.parametrize("helper", HELPERS)
def test_a_table_that_holds_no_beats_is_refused(table, helper):
    wrong = pl.DataFrame({"task": ["a"], "beat": [1.0]})
    with pytest.raises(NotesSchemaError, match="beats: expected columns 'task' of text and 'time' Float64"):
        helper(notes_at(table, [0.0]), beats=wrong)


@pytest.mark.parametrize("helper", HELPERS)
def test_drums_can_be_left_out_or_counted_alone(table, helper):
    flute, drums = notes_at(table, [0.0, 0.6, 1.0, 2.3]), notes_at(table, [0.0, 0.25, 1.6], instrument="Drums")
    both = pl.concat([flute, drums]).sort("start", maintain_order=True)
    assert helper(both, beats=taps(4), drums="exclude").equals(helper(flute, beats=taps(4)))
    assert helper(both, beats=taps(4), drums="only").equals(helper(drums, beats=taps(4)))


# all of them


@pytest.mark.parametrize("helper", [groove_consistency, syncopation, microtiming])
@pytest.mark.parametrize("steps", [0, 97])
def test_steps_are_counted(table, helper, steps):
    with pytest.raises(ValueError, match=f"steps: expected . to 96, got {steps}"):
        helper(notes_at(table, [0.0]), steps=steps)


def test_beats_of_a_group_are_counted(table):
    with pytest.raises(ValueError, match="group: expected 1 to 64, got 0"):
        groove_consistency(notes_at(table, [0.0]), group=0)


def test_columns_have_the_types_that_are_documented(golden):
    text, number, count = pl.String, pl.Float64, pl.UInt32
    assert groove_consistency(golden).schema == {
        "task": text,
        "groove_consistency": number,
        "shared_onsets": number,
        "compared_beats": count,
    }
    assert syncopation(golden).schema == {
        "task": text,
        "syncopation": number,
        "off_beat_share": number,
        "onsets": count,
    }
    assert swing_ratio(golden).schema == {
        "task": text,
        "swing_ratio": number,
        "swing_spread": number,
        "swung_beats": count,
    }
    assert microtiming(golden).schema == {
        "task": text,
        "mean_deviation": number,
        "mean_absolute_deviation": number,
        "deviation_spread": number,
        "onsets": count,
    }


@pytest.mark.parametrize("helper", HELPERS)
def test_no_notes_give_no_rows_of_the_same_columns(golden, helper):
    empty = helper(golden.clear())
    assert (empty.height, empty.schema) == (0, helper(golden).schema)


@pytest.mark.parametrize("helper", HELPERS)
def test_a_lazy_frame_gives_the_same_lazily(golden, helper):
    lazy = helper(golden.lazy())
    assert lazy.collect().equals(helper(golden))
    assert lazy.collect_schema() == helper(golden).schema


@pytest.mark.parametrize("helper", HELPERS)
@settings(max_examples=25)
@given(data=st.data())
def test_values_are_in_the_range_that_is_documented(helper, note_tables, data):
    found = helper(data.draw(note_tables()), beats=TAPS)
    ranges = {
        "groove_consistency": (0, 1),
        "shared_onsets": (0, 1),
        "syncopation": (0, 24),
        "off_beat_share": (0, 1),
        "swing_ratio": (2 / 3 - 1e-6, 4 + 1e-6),
        "swing_spread": (0, 4),
        "mean_deviation": (-0.075, 0.075),  # half a step of the longest beat
        "mean_absolute_deviation": (0, 0.075),
        "deviation_spread": (0, 0.075),
    }
    for name in set(ranges) & set(found.columns):
        low, high = ranges[name]
        assert found[name].drop_nulls().is_between(low, high + 1e-9).all()


@pytest.mark.parametrize("helper", HELPERS)
@settings(max_examples=25)
@given(data=st.data(), pitch=st.integers(0, 127))
def test_pitch_makes_no_difference(helper, note_tables, data, pitch):
    notes = data.draw(note_tables())
    flat = notes.with_columns(pl.lit(pitch, pl.UInt8).alias("pitch"))
    assert helper(flat, beats=TAPS).equals(helper(notes, beats=TAPS))


@pytest.mark.parametrize("helper", HELPERS)
@settings(max_examples=25)
@given(data=st.data())
def test_tasks_worked_on_apart_and_put_together_are_the_same(helper, note_tables, data):
    notes = data.draw(note_tables(min_size=1))
    with_beats = partial(helper, beats=TAPS)
    apart = pl.concat(with_beats(part) for part in notes.partition_by("task", maintain_order=True))
    assert apart.equals(with_beats(notes))


@pytest.mark.parametrize("helper", HELPERS)
@settings(max_examples=25)
@given(data=st.data())
def test_shuffled_rows_give_the_right_answer_or_the_order_error(helper, note_tables, data):
    notes = data.draw(note_tables())
    shuffled = pl.DataFrame(data.draw(st.permutations(notes.rows())), schema=NOTES_SCHEMA, orient="row")
    try:
        result = helper(shuffled, beats=TAPS)
    except NotesOrderError as error:
        assert "sort_notes" in str(error)  # noqa: PT017  # either outcome is right
    else:
        assert result.equals(helper(notes, beats=TAPS))
