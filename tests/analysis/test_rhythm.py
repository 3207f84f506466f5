import math
from fractions import Fraction
from functools import partial
from itertools import pairwise

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kie_notes.analysis.rhythm import (
    duration_histogram,
    inter_onset_histogram,
    inter_onset_intervals,
    note_density,
    onset_density,
)
from kie_notes.errors import NotesOrderError
from kie_notes.notes import NOTES_SCHEMA

BY_TRACK = [partial(inter_onset_intervals, per="track"), partial(inter_onset_histogram, per="track")]
ORDERED = [onset_density, inter_onset_intervals, inter_onset_histogram, *BY_TRACK]
HELPERS = [note_density, duration_histogram, *ORDERED]


def notes_at(table, *starts, task="a", instrument="Flute", seconds=0.5):
    return table([(task, instrument, 60, start, start + seconds, 0.5, 0) for start in starts])


# onset_density


def test_windows_are_laid_from_zero_and_begin_with_the_first_onset(table):
    assert onset_density(notes_at(table, 2.5, 2.75, 3.5)).rows() == [("a", 2.0, 2.0), ("a", 3.0, 1.0)]


def test_a_window_without_an_onset_is_a_row_with_zero(table):
    result = onset_density(notes_at(table, 0.5, 3.5))
    assert result["notes_per_second"].to_list() == [1.0, 0.0, 0.0, 1.0]


def test_a_long_note_counts_only_where_it_starts(table):
    assert onset_density(notes_at(table, 0.5, 2.5, seconds=10.0))["notes_per_second"].to_list() == [1.0, 0.0, 1.0]


def test_an_onset_on_an_edge_belongs_to_the_window_that_begins_there(table):
    assert onset_density(notes_at(table, 1.0)).rows() == [("a", 1.0, 1.0)]


@pytest.mark.parametrize("k", [1, 3, 6, 7, 12, 14, 17, 19, 23, 24, 28, 29, 35, 57, 1001])
def test_an_onset_on_an_edge_that_no_float_meets_belongs_to_the_window_that_begins_there(table, k):
    start = float(Fraction(k, 10))  # 0.3 is less than 3 * 0.1, and 0.7 / 0.1 is less than 7
    assert onset_density(notes_at(table, start), window=0.1)["window_start"].to_list() == [pytest.approx(k / 10)]


def test_an_edge_between_two_windows_is_met_as_well(table):
    windows = onset_density(notes_at(table, 0.05, 0.3, 0.55), window=0.1)
    assert windows["notes_per_second"].to_list() == pytest.approx([10.0, 0.0, 0.0, 10.0, 0.0, 10.0])


def test_an_onset_a_rounding_error_short_of_an_edge_is_on_it(table):
    assert onset_density(notes_at(table, math.nextafter(2.0, 0.0)))["window_start"].to_list() == [2.0]


def test_notes_per_second_are_per_second_whatever_the_window(table):
    assert onset_density(notes_at(table, 0.0, 0.1, 0.2), window=0.5)["notes_per_second"].to_list() == [6.0]
    assert onset_density(notes_at(table, 0.0, 0.1, 0.2), window=4.0)["notes_per_second"].to_list() == [0.75]


def test_each_task_has_its_own_windows(table):
    notes = pl.concat([notes_at(table, 5.5, task="b"), notes_at(table, 0.5, task="a")])
    assert onset_density(notes).rows() == [("a", 0.0, 1.0), ("b", 5.0, 1.0)]


@pytest.mark.parametrize("window", [0.0, -1.0, math.nan, math.inf])
def test_a_window_must_be_above_zero(table, window):
    with pytest.raises(ValueError, match=f"window: expected seconds above 0, got {window}"):
        onset_density(notes_at(table, 0.0), window=window)


@given(data=st.data(), window=st.sampled_from([(1, 1), (1, 4), (1, 10), (1, 3), (5, 7), (5, 1)]))
def test_windows_hold_the_onsets_that_exact_arithmetic_finds(note_tables, data, window):
    notes = data.draw(note_tables())
    exact = Fraction(*window)
    expected = []
    for task in sorted(set(notes["task"])):
        hits = [Fraction(n, 192) // exact for n in grid(notes, task)]
        expected += [(task, k, hits.count(k)) for k in range(min(hits), max(hits) + 1)]
    found = onset_density(notes, window=float(exact)).rows()
    rounded = [(task, round(at / exact), round(density * exact)) for task, at, density in found]
    assert rounded == expected


@given(data=st.data(), window=st.floats(0.01, 10.0))
def test_windows_hold_every_onset_once(note_tables, data, window):
    notes = data.draw(note_tables())
    assert onset_density(notes, window=window)["notes_per_second"].sum() * window == pytest.approx(notes.height)


def grid(notes, task):
    return [round(start * 192) for start in notes.filter(pl.col("task").cast(pl.String) == task)["start"]]


# note_density


def test_both_densities_of_a_task(table):
    notes = notes_at(table, 1.0, 1.5, 2.0, seconds=1.0)
    assert note_density(notes).rows() == [("a", 1.0, 2.0)]


def test_one_onset_has_no_density_between_onsets(table):
    assert note_density(notes_at(table, 1.0, 1.0)).rows() == [("a", 2 / 1.5, None)]


def test_notes_that_end_at_zero_have_no_density(table):
    assert note_density(notes_at(table, 0.0, seconds=0.0)).rows() == [("a", None, None)]


def test_densities_of_instruments(table):
    notes = pl.concat([notes_at(table, 0.0, 1.5), notes_at(table, 0.0, instrument="Drums")])
    assert note_density(notes, by=("task", "instrument")).rows() == [
        ("a", "Drums", 2.0, None),
        ("a", "Flute", 1.0, 1 / 1.5),
    ]
    assert note_density(notes, drums="exclude").rows() == [("a", 1.0, 1 / 1.5)]


def test_a_density_over_tasks_is_refused(table):
    with pytest.raises(ValueError, match="by: a density needs 'task' among its groups"):
        note_density(notes_at(table, 0.0), by="instrument")


def test_golden_densities_are_jsymbolics_and_midi_toolboxs(golden, reference):
    ((_, whole, between),) = note_density(golden).rows()
    assert whole == pytest.approx(reference["np.note density n/T (jSymbolic, incl drums)"], rel=1e-12)
    assert between == pytest.approx(reference["amads note_density seconds"], rel=1e-12)


# duration_histogram


def test_a_bin_holds_its_lower_edge_and_not_its_upper_one(table):
    notes = pl.concat([notes_at(table, 0.0, seconds=d) for d in (0.25, 0.49, 0.5, 1.0, 1.99)])
    assert duration_histogram(notes).rows() == [("a", 0.25, 0.5, 2), ("a", 0.5, 1.0, 1), ("a", 1.0, 2.0, 2)]


def test_notes_without_duration_have_a_bin_of_their_own(table):
    assert duration_histogram(notes_at(table, 3.0, seconds=0.0)).rows() == [("a", 0.0, 0.0, 1)]


@pytest.mark.parametrize("tick", [1, 5, 77, 1001, 23456])
def test_a_duration_a_rounding_error_short_of_an_edge_is_on_it(table, tick):
    start, end = tick / 192, (tick + 96) / 192  # whose difference is a little less than a half, or more
    notes = table([("a", "Flute", 60, start, end, 0.5, 0)])
    assert duration_histogram(notes)["bin_start"].to_list() == [0.5]


def test_octaves_can_be_divided(table):
    notes = pl.concat([notes_at(table, 0.0, seconds=d) for d in (1.0, 1.41, 1.42, 2.0)])
    result = duration_histogram(notes, bins_per_octave=2)
    assert result["bin_start"].to_list() == pytest.approx([1.0, math.sqrt(2), 2.0])
    assert result["bin_end"].to_list() == pytest.approx([math.sqrt(2), 2.0, 2 * math.sqrt(2)])
    assert result["count"].to_list() == [2, 1, 1]


def test_shares_of_durations_sum_to_one(table):
    notes = pl.concat([notes_at(table, 0.0, seconds=d) for d in (0.3, 0.3, 0.3, 3.0)])
    assert duration_histogram(notes, by=(), normalize=True).rows() == [(0.25, 0.5, 0.75), (2.0, 4.0, 0.25)]


@pytest.mark.parametrize("bins", [0, -1, 101])
def test_an_octave_has_one_to_a_hundred_bins(table, bins):
    with pytest.raises(ValueError, match=f"bins_per_octave: expected 1 to 100, got {bins}"):
        duration_histogram(notes_at(table, 0.0), bins_per_octave=bins)


@given(data=st.data())
def test_bins_hold_the_durations_that_exact_arithmetic_finds(note_tables, data):
    notes = data.draw(note_tables())
    expected = {}
    for task, _, _, start, end, _, _ in notes.rows():
        ticks = round((end - start) * 192)
        low = max((Fraction(2) ** k for k in range(-8, 5) if Fraction(2) ** k <= Fraction(ticks, 192)), default=0)
        expected[task, low] = expected.get((task, low), 0) + 1
    found = {(task, Fraction(low)): count for task, low, _, count in duration_histogram(notes).rows()}
    assert found == expected


# inter_onset_intervals


def test_intervals_are_between_distinct_onsets(table):
    notes = notes_at(table, 0.5, 1.0, 1.0, 1.25)
    assert inter_onset_intervals(notes).rows() == [("a", 0.5, 0.5), ("a", 1.0, 0.25)]


def test_onsets_a_rounding_error_apart_are_one(table):
    notes = notes_at(table, 1.0, math.nextafter(1.0, 2.0), 2.0)
    assert inter_onset_intervals(notes)["seconds"].to_list() == pytest.approx([1.0])


def test_a_task_with_one_onset_has_no_interval(table):
    notes = pl.concat([notes_at(table, 1.0, 1.0, task="a"), notes_at(table, 1.0, 3.0, task="b")])
    assert inter_onset_intervals(notes).rows() == [("b", 1.0, 2.0)]


def test_intervals_leave_drums_out_when_asked(table):
    rows = [
        ("a", name, 60, start, start + 1, 0.5, 0) for name, start in (("Flute", 0.0), ("Drums", 0.5), ("Flute", 2.0))
    ]
    assert inter_onset_intervals(table(rows))["seconds"].to_list() == [0.5, 1.5]
    assert inter_onset_intervals(table(rows), drums="exclude")["seconds"].to_list() == [2.0]


@given(data=st.data())
def test_intervals_are_the_steps_between_the_sorted_set_of_onsets(note_tables, data):
    notes = data.draw(note_tables())
    expected = []
    for task in sorted(set(notes["task"])):
        onsets = sorted(set(grid(notes, task)))
        expected += [(task, a, b - a) for a, b in pairwise(onsets)]
    found = inter_onset_intervals(notes).rows()
    assert [(task, round(start * 192), round(seconds * 192)) for task, start, seconds in found] == expected


def test_golden_intervals_have_the_mean_and_npvi_of_the_peers(golden, reference):
    seconds = inter_onset_intervals(golden)["seconds"].to_list()
    assert sum(seconds) / len(seconds) == pytest.approx(
        reference["np.mean IOI between distinct onset times s"], rel=1e-12
    )
    contrasts = [abs(a - b) / ((a + b) / 2) for a, b in pairwise(seconds)]
    npvi = 100 * sum(contrasts) / len(contrasts)
    assert npvi == pytest.approx(reference["amads npvi of distinct-onset IOIs"], rel=1e-9)


def test_onsets_are_those_of_pretty_midis_own_tests(samples, peer_tests):
    compared = 0
    for task, expected in peer_tests.items():
        notes = samples.filter(pl.col("task").cast(pl.String) == task)
        if "onsets" in expected:
            intervals = inter_onset_intervals(notes)
            onsets = [*intervals["start"], intervals["start"][-1] + intervals["seconds"][-1]]
            assert onsets == pytest.approx(expected["onsets"])
            assert note_density(notes)["notes_per_second_of_onsets"].item() * 60 == expected["note_per_minute"]
            compared += 1
    assert compared == 1


def test_intervals_of_a_track_are_between_its_own_onsets(table):
    notes = pl.concat([notes_at(table, 0.0), notes_at(table, 1.0, 1.5, instrument="Drums"), notes_at(table, 4.0)])
    assert inter_onset_intervals(notes, per="track").rows() == [
        ("a", "Drums", 0, 1.0, 0.5),
        ("a", "Flute", 0, 0.0, 4.0),
    ]


def test_what_intervals_are_of_is_one_of_two(table):
    with pytest.raises(ValueError, match="per: expected one of 'task', 'track', got 'voice'"):
        inter_onset_intervals(notes_at(table, 0.0), per="voice")


# inter_onset_histogram


def test_an_interval_on_an_edge_is_in_the_bin_that_begins_there(table):
    notes = notes_at(table, 0.0, 0.5, 1.0, 1.49, 2.49)
    assert inter_onset_histogram(notes).rows() == [("a", 0.25, 0.5, 1), ("a", 0.5, 1.0, 2), ("a", 1.0, 2.0, 1)]


def test_notes_of_a_chord_are_no_interval(table):
    assert inter_onset_histogram(notes_at(table, 0.0, 0.0, 1.0)).rows() == [("a", 1.0, 2.0, 1)]


def test_histograms_of_tracks_have_their_names(table):
    notes = pl.concat([notes_at(table, 0.0), notes_at(table, 1.0, 2.0, instrument="Drums"), notes_at(table, 4.0)])
    assert inter_onset_histogram(notes, per="track").rows() == [
        ("a", "Drums", 0, 1.0, 2.0, 1),
        ("a", "Flute", 0, 4.0, 8.0, 1),
    ]


def test_shares_of_intervals_sum_to_one(table):
    notes = notes_at(table, 0.0, 0.3, 0.6, 0.9, 3.9)
    result = inter_onset_histogram(notes, normalize=True, bins_per_octave=3)
    assert result["share"].to_list() == [0.75, 0.25]
    assert result["bin_start"].to_list() == pytest.approx([2 ** (-6 / 3), 2 ** (4 / 3)])


@settings(max_examples=30)
@given(data=st.data(), per=st.sampled_from(["task", "track"]))
def test_bins_hold_every_interval_once(note_tables, data, per):
    notes = data.draw(note_tables())
    keys = ["task"] if per == "task" else ["task", "instrument", "track"]
    counts = inter_onset_histogram(notes, per=per).group_by(keys, maintain_order=True).agg(pl.col("count").sum())
    intervals = inter_onset_intervals(notes, per=per).group_by(keys, maintain_order=True).len()
    assert counts.rows() == intervals.rows()


# all of them


def test_columns_have_the_types_that_are_documented(table):
    notes = notes_at(table, 0.0, 1.0)
    text, number, count = pl.String, pl.Float64, pl.UInt32
    assert onset_density(notes).schema == {"task": text, "window_start": number, "notes_per_second": number}
    assert inter_onset_intervals(notes).schema == {"task": text, "start": number, "seconds": number}
    assert duration_histogram(notes).schema == {"task": text, "bin_start": number, "bin_end": number, "count": count}
    assert note_density(notes).columns == ["task", "notes_per_second", "notes_per_second_of_onsets"]
    assert note_density(notes).dtypes == [text, number, number]


@pytest.mark.parametrize("helper", HELPERS)
def test_no_notes_give_no_rows_of_the_same_schema(table, helper):
    none = helper(table([]))
    assert none.height == 0
    assert none.schema == helper(notes_at(table, 0.0, 1.0)).schema


def test_no_notes_have_no_shares_of_durations(table):
    assert duration_histogram(table([]), normalize=True).schema["share"] == pl.Float64


@pytest.mark.parametrize("helper", HELPERS)
def test_an_unknown_drums_policy_is_refused(table, helper):
    with pytest.raises(ValueError, match="drums: expected one of 'exclude', 'include', 'only', got 'yes'"):
        helper(notes_at(table, 0.0), drums="yes")


@pytest.mark.parametrize("helper", ORDERED)
def test_starts_that_descend_are_an_error(table, helper):
    with pytest.raises(NotesOrderError, match=r"task a: notes are not in canonical order; call sort_notes\(notes\)"):
        helper(notes_at(table, 1.0, 0.0))


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
