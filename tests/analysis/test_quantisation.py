import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kie_notes.analysis.quantisation import quantise
from kie_notes.errors import NotesOrderError, NotesSchemaError
from kie_notes.notes import NOTES_SCHEMA, check_notes, sort_notes

#: Uneven beats of the drawn tables; task c has only one.
TAPS = pl.DataFrame({"task": ["a"] * 4 + ["b"] * 3 + ["c"], "time": [0.5, 1.0, 1.75, 2.0, 0.0, 0.5, 1.0, 3.0]})


def one(table, start, end):
    return table([("a", "Flute", 60, start, end, 0.5, 0)])


def times(result):
    return result.select("start", "end").row(0)


def taps(*seconds):
    return pl.DataFrame({"task": ["a"] * len(seconds), "time": seconds}, schema={"task": pl.String, "time": pl.Float64})


def test_times_go_to_the_nearest_line(table):
    found = quantise(one(table, 0.375, 1.1875), grid=0.25)
    assert found.row(0) == ("a", "Flute", 60, 0.5, 1.25, 0.5, 0, 0.125, 0.0625)


def test_a_time_in_the_middle_goes_to_the_later_line(table):
    assert times(quantise(one(table, 0.25, 0.75), grid=0.5)) == (0.5, 1.0)


def test_a_time_a_rounding_error_short_of_the_middle_does_so_too(table):
    assert times(quantise(one(table, 0.25 - 1e-9, 1.0), grid=0.5)) == (0.5, 1.0)


def test_lines_of_tenths_are_multiples_of_a_tenth(table):
    found = quantise(one(table, 0.31, 0.69), grid=0.1)
    assert times(found) == (3 * 0.1, 7 * 0.1)


def test_a_short_note_lasts_to_the_next_line(table):
    found = quantise(one(table, 0.95, 1.05), grid=0.5)
    assert times(found) == (1.0, 1.5)
    assert found["end_moved"].item() == pytest.approx(0.45)


def test_a_note_without_duration_keeps_none(table):
    assert times(quantise(one(table, 0.95, 0.95), grid=0.5)) == (1.0, 1.0)


def test_ends_can_move_with_starts_or_stay(table):
    note = one(table, 0.5625, 0.6875)
    assert times(quantise(note, grid=0.5, ends="with start")) == (0.5, 0.625)
    assert times(quantise(note, grid=0.5, ends="keep")) == (0.5, 0.6875)


def test_an_end_that_stays_is_not_before_its_start(table):
    found = quantise(one(table, 0.875, 0.9375), grid=0.5, ends="keep")
    assert times(found) == (1.0, 1.0)
    assert found["end_moved"].item() == 0.0625


def test_steps_divide_uneven_beats(table):
    notes = pl.concat([one(table, 0.2, 0.6), one(table, 1.2, 1.9)])
    found = quantise(notes, beats=taps(0.0, 1.0, 3.0), steps=2)
    assert found.select("start", "end").rows() == [(0.0, 0.5), (1.0, 2.0)]


def test_a_time_near_a_beat_is_that_beats_time_to_the_bit(table):
    beats = (0.23, 0.46, 0.69)  # 0.23 + 3 * (0.46 - 0.23) / 3 is not 0.46
    found = quantise(one(table, 0.45, 0.7), beats=taps(*beats), steps=3)
    assert times(found) == (beats[1], beats[2])


def test_beats_go_on_before_the_first_and_after_the_last(table):
    notes = pl.concat([one(table, 0.4, 0.9), one(table, 5.2, 5.9)])
    found = quantise(notes, beats=taps(1.0, 2.0, 3.0), steps=2)
    assert found.select("start", "end").rows() == [(0.5, 1.0), (5.0, 6.0)]


def test_no_time_is_below_zero(table):
    found = quantise(one(table, 0.0, 0.5), beats=taps(0.875, 1.875), steps=1)
    assert times(found) == (0.875, 1.875)


def test_without_grid_and_beats_the_beats_are_estimated(table):
    starts = [k * 0.5 + (0.01 if k % 2 else 0.0) for k in range(40)]
    notes = table([("a", "Flute", 60, start, start + 0.25, 0.5, 0) for start in starts])
    assert quantise(notes, steps=4)["start_moved"].abs().max() < 0.011


def test_a_task_with_fewer_than_two_beats_stays_and_says_so(table):
    found = quantise(one(table, 0.3, 0.6), beats=taps(0.5))
    assert found.row(0) == ("a", "Flute", 60, 0.3, 0.6, 0.5, 0, None, None)
    assert quantise(one(table, 0.3, 0.6), beats=taps())["start_moved"].to_list() == [None]


def test_the_result_is_a_notes_table_in_canonical_order(golden):
    found = quantise(golden, grid=0.4)
    check_notes(found)
    assert found.equals(sort_notes(found))


def test_tasks_come_by_name(table):
    notes = pl.concat([one(table, k / 2, 9.0).with_columns(pl.lit(task, pl.Categorical).alias("task"))
                       for task in "cab" for k in range(3)])  # fmt: skip
    found = quantise(notes, grid=0.5)
    assert found["task"].cast(pl.String).to_list() == list("aaabbbccc")
    assert found["start"].to_list() == [0.0, 0.5, 1.0] * 3


def test_other_columns_are_kept(table):
    found = quantise(one(table, 0.3, 0.6).with_columns(genre=pl.lit("waltz")), grid=0.5)
    assert found.columns == [*NOTES_SCHEMA, "genre", "start_moved", "end_moved"]
    assert found["genre"].item() == "waltz"


def test_golden_notes_are_on_a_grid_of_192nds_already(golden):
    found = quantise(golden, grid=1 / 192)
    assert found.select("start_moved", "end_moved").to_numpy() == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("grid", [0.0, -1.0, float("nan"), float("inf")])
def test_a_grid_is_above_zero(golden, grid):
    with pytest.raises(ValueError, match=f"grid: expected seconds above 0, got {grid}"):
        quantise(golden, grid=grid)


@pytest.mark.parametrize("steps", [0, 97])
def test_a_beat_has_one_to_96_steps(golden, steps):
    with pytest.raises(ValueError, match=f"steps: expected 1 to 96, got {steps}"):
        quantise(golden, steps=steps)


def test_grid_and_beats_are_not_both_given(golden):
    with pytest.raises(ValueError, match="grid, beats: expected one of the two, got both"):
        quantise(golden, grid=0.5, beats=TAPS)


def test_what_becomes_of_ends_is_one_of_three(golden):
    with pytest.raises(ValueError, match="ends: expected one of 'grid', 'with start', 'keep', got 'drop'"):
        quantise(golden, ends="drop")


def test_a_column_of_the_results_is_refused(golden):
    with pytest.raises(ValueError, match="notes: 'start_moved' is a column of the result; rename it first"):
        quantise(golden.with_columns(start_moved=pl.lit(0.0)), grid=0.5)


def test_a_table_that_holds_no_beats_is_refused(golden):
    with pytest.raises(NotesSchemaError, match="beats: expected columns 'task' of text and 'time' Float64"):
        quantise(golden, beats=pl.DataFrame({"task": ["golden"], "time": [1]}))


@pytest.mark.parametrize("options", [{"grid": 0.125}, {"beats": TAPS}])
def test_no_notes_give_no_rows_of_the_same_columns(golden, options):
    empty = quantise(golden.clear(), **options)
    assert (empty.height, empty.schema) == (0, quantise(golden, **options).schema)


@pytest.mark.parametrize("options", [{"grid": 0.125}, {"beats": TAPS}, {}])
def test_a_lazy_frame_gives_the_same_lazily(golden, options):
    lazy = quantise(golden.lazy(), **options)
    assert lazy.collect_schema() == quantise(golden, **options).schema
    assert lazy.collect().equals(quantise(golden, **options))


@settings(max_examples=40)
@given(data=st.data(), grid=st.sampled_from([0.07, 0.1, 0.125, 1 / 3]))
def test_starts_are_where_numpy_rounds_them(note_tables, data, grid):
    notes = data.draw(note_tables())
    moved = quantise(notes, grid=grid)
    starts = notes["start"].to_numpy()
    middle = np.abs(np.abs(starts / grid - np.round(starts / grid)) - 0.5) < 1e-4
    expected = np.where(middle, np.ceil(starts / grid - 0.1), np.round(starts / grid)) * grid
    pairs = sorted(zip(notes["task"], expected, strict=True))
    assert sorted(zip(moved["task"], moved["start"], strict=True)) == [(t, pytest.approx(x)) for t, x in pairs]


@pytest.mark.parametrize("options", [{"grid": 0.125}, {"beats": TAPS}])
@settings(max_examples=30)
@given(data=st.data())
def test_every_note_stays_and_is_moved_by_what_is_said(note_tables, options, data):
    notes = data.draw(note_tables())
    moved = quantise(notes, **options)
    back = moved.select(
        "task", "pitch", "track", *(pl.col(x) - pl.col(f"{x}_moved").fill_null(0) for x in ("start", "end"))
    )
    rows = [sorted((t, p, k, round(s, 9), round(e, 9)) for t, p, k, s, e in frame.rows()) for frame in
            (back, notes.select("task", "pitch", "track", "start", "end"))]  # fmt: skip
    assert rows[0] == rows[1]
    assert (moved["end"] >= moved["start"]).all()


@pytest.mark.parametrize("options", [{"grid": 0.125}, {"grid": 0.1}, {"beats": TAPS}])
@settings(max_examples=30)
@given(data=st.data())
def test_what_is_on_the_grid_stays(note_tables, options, data):
    once = quantise(data.draw(note_tables()), **options).drop("start_moved", "end_moved")
    again = quantise(once, **options)
    assert again.select("start_moved", "end_moved").fill_null(0).to_numpy() == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("options", [{"grid": 0.125}, {"beats": TAPS}])
@settings(max_examples=25)
@given(data=st.data())
def test_tasks_worked_on_apart_and_put_together_are_the_same(note_tables, options, data):
    notes = data.draw(note_tables(min_size=1))
    apart = pl.concat(quantise(part, **options) for part in notes.partition_by("task", maintain_order=True))
    assert apart.equals(quantise(notes, **options))


@pytest.mark.parametrize("options", [{"grid": 0.125}, {"beats": TAPS}])
@settings(max_examples=25)
@given(data=st.data())
def test_shuffled_rows_give_the_right_answer_or_the_order_error(note_tables, options, data):
    notes = data.draw(note_tables())
    shuffled = pl.DataFrame(data.draw(st.permutations(notes.rows())), schema=NOTES_SCHEMA, orient="row")
    try:
        result = quantise(shuffled, **options)
    except NotesOrderError as error:
        assert "sort_notes" in str(error)  # noqa: PT017  # either outcome is right
    else:
        assert result.equals(quantise(notes, **options))
