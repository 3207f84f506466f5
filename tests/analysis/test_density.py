import math

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kie_notes.analysis.density import rolling_density, sounding_density
from kie_notes.errors import NotesOrderError
from kie_notes.notes import NOTES_SCHEMA

HELPERS = [rolling_density, sounding_density]
ORDERED = HELPERS


def notes_at(table, *starts, task="a", seconds=0.5):
    return table([(task, "Flute", 60, start, start + seconds, 0.5, 0) for start in starts])


def some(table):
    return notes_at(table, 0.0, 1.0, 1.5)


def ticks(notes, task):
    rows = notes.filter(pl.col("task").cast(pl.String) == task).select("start", "end").rows()
    return [(round(start * 192), round(end * 192)) for start, end in rows]


# rolling_density


def test_the_densest_window_lies_where_the_notes_are(table):
    notes = notes_at(table, 0.0, 2.75, 3.0, 3.25, 9.0)  # side by side, no window of 1 s would hold three
    assert rolling_density(notes, window=1.0).rows() == [("a", 3.0, pytest.approx((1 + 3 + 2 + 1 + 1) / 5), 2.75)]


def test_of_windows_that_are_as_full_the_earliest_is_named(table):
    assert rolling_density(notes_at(table, 1.0, 1.5, 8.0, 8.5), window=1.0)["densest_start"].to_list() == [1.0]


def test_a_window_does_not_hold_its_end(table):
    assert rolling_density(notes_at(table, 0.0, 1.0), window=1.0)["maximum_notes_per_second"].to_list() == [1.0]


@pytest.mark.parametrize("k", [1, 3, 7, 12, 35, 1001])
def test_an_end_that_no_float_meets_is_not_held_either(table, k):
    notes = notes_at(table, k / 10, (k + 3) / 10)  # 0.4 - 0.1 is more than 0.3
    assert rolling_density(notes, window=0.3)["maximum_notes_per_second"].to_list() == [pytest.approx(1 / 0.3)]


def test_notes_of_a_chord_have_one_window(table):
    assert rolling_density(notes_at(table, 0.0, 0.0, 0.0), window=2.0).rows() == [("a", 1.5, 1.5, 0.0)]


@pytest.mark.parametrize("helper", HELPERS)
@pytest.mark.parametrize("window", [0.0, -1.0, math.nan, math.inf])
def test_a_window_must_be_above_zero(table, helper, window):
    with pytest.raises(ValueError, match=f"window: expected seconds above 0, got {window}"):
        helper(some(table), window=window)


@settings(max_examples=50)
@given(data=st.data(), window=st.sampled_from([1, 24, 192, 960]))
def test_windows_hold_what_counting_in_ticks_gives(note_tables, data, window):
    notes = data.draw(note_tables())
    expected = []
    for task in sorted(set(notes["task"])):
        starts = [start for start, _ in ticks(notes, task)]
        held = [sum(a <= b < a + window for b in starts) for a in starts]
        rate = 192 / window
        mean = pytest.approx(sum(held) / len(held) * rate)
        expected.append((task, pytest.approx(max(held) * rate), mean, starts[held.index(max(held))] / 192))
    assert rolling_density(notes, window=window / 192).rows() == expected


# sounding_density


def test_a_long_note_sounds_in_every_window_that_it_reaches(table):
    assert sounding_density(notes_at(table, 0.5, seconds=2.0)).rows() == [("a", 0.0, 1), ("a", 1.0, 1), ("a", 2.0, 1)]


def test_a_note_that_ends_on_an_edge_does_not_sound_after_it(table):
    assert sounding_density(notes_at(table, 0.5, seconds=0.5)).rows() == [("a", 0.0, 1)]


@pytest.mark.parametrize("k", [3, 6, 7, 14, 57, 1001])
def test_an_edge_that_no_float_meets_is_met(table, k):
    notes = table([("a", "Flute", 60, k / 10, (k + 3) / 10, 0.5, 0)])
    starts = sounding_density(notes, window=0.1)["window_start"].to_list()
    assert starts == pytest.approx([k / 10, (k + 1) / 10, (k + 2) / 10])


def test_notes_without_duration_sound_in_no_window(table):
    assert sounding_density(notes_at(table, 0.5, seconds=0.0)).height == 0


@settings(max_examples=50)
@given(data=st.data(), window=st.sampled_from([1, 50, 192, 960]))
def test_windows_hold_the_notes_that_sound_in_them_by_counting(note_tables, data, window):
    notes = data.draw(note_tables())
    expected = []
    for task in sorted(set(notes["task"])):
        spans = [(start, end) for start, end in ticks(notes, task) if end > start]
        if spans:
            first, last = min(spans)[0] // window, (max(end for _, end in spans) - 1) // window
            for k in range(first, last + 1):
                count = sum(start < (k + 1) * window and end > k * window for start, end in spans)
                expected.append((task, pytest.approx(k * window / 192), count))
    assert sounding_density(notes, window=window / 192).rows() == expected


# both


def test_columns_have_the_types_that_are_documented(table):
    number = pl.Float64
    names = ("maximum_notes_per_second", "mean_notes_per_second", "densest_start")
    assert rolling_density(some(table)).schema == {"task": pl.String, **dict.fromkeys(names, number)}
    assert sounding_density(some(table)).schema == {"task": pl.String, "window_start": number, "notes": pl.UInt32}


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
