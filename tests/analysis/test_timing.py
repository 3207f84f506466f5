import math
from functools import partial
from itertools import pairwise

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kie_notes.analysis.timing import inter_onset_statistics, npvi
from kie_notes.errors import NotesOrderError
from kie_notes.notes import NOTES_SCHEMA

HELPERS = [inter_onset_statistics, npvi, partial(inter_onset_statistics, per="track"), partial(npvi, per="track")]
ORDERED = HELPERS


def notes_at(table, *starts, task="a", instrument="Flute", track=0):
    return table([(task, instrument, 60, start, start + 0.5, 0.5, track) for start in starts])


def some(table):
    return notes_at(table, 0.0, 1.0, 1.5)


# inter_onset_statistics


def test_intervals_are_described_by_mean_spread_median_and_extremes(table):
    ((*_, mean, std, median, least, most),) = inter_onset_statistics(notes_at(table, 0.0, 1.0, 2.0, 6.0)).rows()
    assert (mean, median, least, most) == (2.0, 1.0, 1.0, 4.0)
    assert std == pytest.approx(math.sqrt(2))  # of 1, 1 and 4: variance (1 + 1 + 4) / 3


def test_notes_of_a_chord_are_one_onset(table):
    assert inter_onset_statistics(notes_at(table, 0.0, 0.0, 1.0))["intervals"].to_list() == [1]


def test_one_interval_has_no_spread(table):
    assert inter_onset_statistics(notes_at(table, 0.0, 1.0)).rows() == [("a", 1, 1.0, None, 1.0, 1.0, 1.0)]


def test_one_onset_has_no_interval_to_describe(table):
    assert inter_onset_statistics(notes_at(table, 3.0)).rows() == [("a", 0, None, None, None, None, None)]


def test_intervals_of_a_track_are_between_its_own_onsets(table):
    rows = [("a", name, 60, start, 9.0, 0.5, track) for name, start, track in (("Flute", 0.0, 0), ("Oboe", 1.0, 1))]
    notes = table([*rows, ("a", "Flute", 60, 4.0, 9.0, 0.5, 0)])
    result = inter_onset_statistics(notes, per="track")
    assert result.select("task", "instrument", "track", "intervals", "mean_seconds").rows() == [
        ("a", "Flute", 0, 1, 4.0),
        ("a", "Oboe", 1, 0, None),
    ]


def test_golden_mean_interval_is_jsymbolics(golden, reference):
    expected = reference["np.mean IOI between distinct onset times s"]
    assert inter_onset_statistics(golden)["mean_seconds"].item() == pytest.approx(expected, rel=1e-12)


def test_what_intervals_are_of_is_one_of_two(table):
    with pytest.raises(ValueError, match="per: expected one of 'task', 'track', got 'voice'"):
        inter_onset_statistics(some(table), per="voice")


# npvi


def test_an_even_pulse_has_no_variability(table):
    assert npvi(notes_at(table, 0.0, 0.5, 1.0, 1.5)).rows() == [("a", 3, 0.0)]


def test_variability_is_the_mean_contrast_of_neighbours(table):
    # intervals 1, 3 and 1: each pair differs by 2, which is the pair's mean
    assert npvi(notes_at(table, 0.0, 1.0, 4.0, 5.0)).rows() == [("a", 3, 100.0)]


def test_fewer_than_two_intervals_have_no_variability(table):
    assert npvi(notes_at(table, 0.0, 1.0)).rows() == [("a", 1, None)]
    assert npvi(notes_at(table, 0.0)).rows() == [("a", 0, None)]


def test_golden_variability_is_that_of_amads(golden, reference):
    expected = reference["amads npvi of distinct-onset IOIs"]
    assert npvi(golden)["npvi"].item() == pytest.approx(expected, rel=1e-12)


@settings(max_examples=50)
@given(data=st.data(), factor=st.sampled_from([2, 5, 60]), shift=st.sampled_from([0, 1, 1000]))
def test_variability_does_not_change_with_tempo_or_place(note_tables, data, factor, shift):
    notes = data.draw(note_tables())
    moved = notes.with_columns(pl.col("start", "end") * factor + shift)
    assert npvi(moved)["npvi"].to_list() == [close(value) for value in npvi(notes)["npvi"]]


@settings(max_examples=50)
@given(data=st.data())
def test_variability_is_what_the_formula_gives_in_whole_ticks(note_tables, data):
    notes = data.draw(note_tables())
    expected = {}
    for task, _, _, start, *_ in notes.rows():
        expected.setdefault(task, set()).add(round(start * 192))
    for task, _, index in npvi(notes).rows():
        seconds = [b - a for a, b in pairwise(sorted(expected[task]))]
        contrasts = [abs(a - b) / ((a + b) / 2) for a, b in pairwise(seconds)]
        assert index == (close(100 * sum(contrasts) / len(contrasts)) if contrasts else None)


def close(value):
    return value if value is None else pytest.approx(value, abs=1e-6)


# all of them


def test_columns_have_the_types_that_are_documented(table):
    keys, number = {"task": pl.String, "instrument": pl.String, "track": pl.UInt16}, pl.Float64
    names = ("mean_seconds", "std_seconds", "median_seconds", "minimum_seconds", "maximum_seconds")
    statistics = {"intervals": pl.UInt32, **dict.fromkeys(names, number)}
    assert inter_onset_statistics(some(table)).schema == {"task": pl.String, **statistics}
    assert inter_onset_statistics(some(table), per="track").schema == {**keys, **statistics}
    assert npvi(some(table)).schema == {"task": pl.String, "intervals": pl.UInt32, "npvi": number}


@pytest.mark.parametrize("helper", HELPERS)
def test_no_notes_give_no_rows_of_the_same_schema(table, helper):
    none = helper(table([]))
    assert none.height == 0
    assert none.schema == helper(some(table)).schema


@pytest.mark.parametrize("helper", HELPERS)
def test_a_lazy_table_gives_the_same_lazily(table, helper):
    assert helper(some(table).lazy()).collect().equals(helper(some(table)))


@pytest.mark.parametrize("helper", HELPERS)
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
