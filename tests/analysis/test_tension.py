import math

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kie_notes.analysis.tension import harmonic_change, tonal_centroid
from kie_notes.errors import NotesOrderError
from kie_notes.notes import NOTES_SCHEMA

HELPERS = [tonal_centroid, harmonic_change]
AXES = [f"{circle}_{axis}" for circle in ("fifths", "minor_thirds", "major_thirds") for axis in ("sin", "cos")]


def held(*bars, task="a", name="Piano", seconds=1.0, start=0.0):
    return [
        (task, name, pitch, start + seconds * k, start + seconds * (k + 1), 0.5, 0)
        for k, bar in enumerate(bars)
        for pitch in sorted(bar)
    ]


def centroid(seconds):
    """Harte, Sandler and Gasser's equations 1 and 2, as printed, of the seconds of twelve pitch classes."""
    rows = [
        [radius * function(pitch_class * angle) for pitch_class in range(12)]
        for radius, angle in ((1, 7 * math.pi / 6), (1, 3 * math.pi / 2), (0.5, 2 * math.pi / 3))
        for function in (math.sin, math.cos)
    ]
    return [sum(x * c for x, c in zip(row, seconds, strict=True)) / sum(seconds) for row in rows]


def test_a_pitch_class_lies_on_its_three_circles(table):
    (row,) = tonal_centroid(table(held([60]))).select(AXES).rows()
    assert row == pytest.approx((0, 1, 0, 1, 0, 0.5), abs=1e-12)


def test_the_centroid_is_that_of_the_paper(golden, reference):
    # All of the golden fixture in one window: its pitch-class seconds are pretty_midi's.
    (row,) = tonal_centroid(golden, window=20.0).select(AXES).rows()
    assert row == pytest.approx(centroid(reference["pm.pch dur=1 vel=0 norm"]), abs=1e-6)


def test_a_tritone_balances_on_the_circle_of_fifths(table):
    found = tonal_centroid(table(held([60, 66]))).select("fifths_sin", "fifths_cos").rows()
    assert found == [pytest.approx((0, 0), abs=1e-12)]


def test_a_note_weighs_what_it_sounds_in_the_window(table):
    notes = table([("a", "Piano", 60, 0.0, 1.75, 0.5, 0), ("a", "Piano", 67, 1.5, 2.0, 0.5, 0)])
    found = tonal_centroid(notes)
    assert found["window_start"].to_list() == [0.0, 1.0]
    assert found.select(AXES).rows()[1] == pytest.approx(centroid([0.75] + [0] * 6 + [0.5] + [0] * 4), abs=1e-9)


def test_windows_are_laid_from_zero(table):
    notes = table(held([60], [62], start=2.25, seconds=0.5))
    assert tonal_centroid(notes, window=0.5)["window_start"].to_list() == [2.0, 2.5, 3.0]


def test_a_silent_window_has_no_centroid(table):
    found = tonal_centroid(table([*held([60]), *held([62], start=2.0)]))
    assert found["window_start"].to_list() == [0.0, 1.0, 2.0]
    assert [found[axis].is_null().to_list() for axis in AXES] == [[False, True, False]] * 6


def test_the_change_is_from_the_window_before_to_the_window_after(table):
    # C to C#: chords of 7/12, 9/12 and 4/12 of circles of radius 1, 1 and 1/2.
    expected = math.hypot(2 * math.sin(7 * math.pi / 12), 2 * math.sin(9 * math.pi / 12), math.sin(4 * math.pi / 12))
    found = harmonic_change(table(held([60], [60], [60], [61], [61])))["harmonic_change"].to_list()
    assert found == [None, pytest.approx(0, abs=1e-12), pytest.approx(expected), pytest.approx(expected), None]


def test_beside_a_silent_window_the_change_is_unknown(table):
    notes = table([*held([60], [60]), *held([60], [60], start=3.0)])
    assert harmonic_change(notes)["harmonic_change"].to_list() == [None, None, pytest.approx(0), None, None]


def test_tasks_do_not_touch(table):
    notes = table([*held([60], [62]), *held([61], [66], task="b")])
    assert harmonic_change(notes)["harmonic_change"].null_count() == 4


@pytest.mark.parametrize("helper", HELPERS)
def test_drums_are_left_out_unless_asked(table, helper):
    notes = table(sorted([*held([60], [64]), *held([42], [46], name="Drums")], key=lambda row: row[3]))
    assert helper(notes).equals(helper(notes.filter(pl.col("instrument") == "Piano")))
    assert not tonal_centroid(notes, drums="include").equals(tonal_centroid(notes))


@settings(max_examples=30)
@given(data=st.data(), up=st.integers(1, 11), window=st.sampled_from([0.25, 1.0]))
def test_transposing_turns_the_space_and_keeps_distances(note_tables, data, up, window):
    notes = data.draw(note_tables())
    higher = notes.with_columns((pl.col("pitch") + up).cast(pl.UInt8))
    ours, theirs = (harmonic_change(frame, window=window)["harmonic_change"] for frame in (notes, higher))
    assert ours.is_null().equals(theirs.is_null())
    assert ours.drop_nulls().to_list() == pytest.approx(theirs.drop_nulls().to_list(), abs=1e-9)


@settings(max_examples=30)
@given(data=st.data())
def test_centroids_lie_in_the_circles_and_changes_in_their_range(note_tables, data):
    notes = data.draw(note_tables())
    found = tonal_centroid(notes)
    for at, radius in ((0, 1), (2, 1), (4, 0.5)):
        length = (found[AXES[at]] ** 2 + found[AXES[at + 1]] ** 2).drop_nulls().sqrt()
        assert (length <= radius + 1e-9).all()
    assert harmonic_change(notes)["harmonic_change"].drop_nulls().is_between(0, 3).all()


@pytest.mark.parametrize("helper", HELPERS)
@settings(max_examples=20)
@given(data=st.data())
def test_tasks_worked_on_apart_and_put_together_are_the_same_to_the_last_bit(helper, note_tables, data):
    notes = data.draw(note_tables(min_size=1))
    parts = [notes.head(0), *notes.partition_by("task", maintain_order=True)]
    assert pl.concat(map(helper, parts)).equals(helper(notes))


@pytest.mark.parametrize("helper", HELPERS)
@settings(max_examples=20)
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
def test_no_notes_give_no_rows_of_the_same_schema(table, helper):
    assert helper(table([])).height == 0
    assert helper(table([])).schema == helper(table(held([60]))).schema


def test_columns_have_the_types_that_are_documented(golden):
    assert tonal_centroid(golden).schema == {"task": pl.String, **dict.fromkeys(["window_start", *AXES], pl.Float64)}
    assert harmonic_change(golden).schema == {
        "task": pl.String,
        "window_start": pl.Float64,
        "harmonic_change": pl.Float64,
    }


@pytest.mark.parametrize("helper", HELPERS)
def test_a_lazy_frame_gives_the_same(golden, helper):
    assert helper(golden.lazy()).collect().equals(helper(golden))


@pytest.mark.parametrize("helper", HELPERS)
def test_an_option_that_cannot_be_is_refused(table, helper):
    with pytest.raises(ValueError, match=r"window: expected seconds, at least 0\.001, got 0"):
        helper(table([]), window=0)
    with pytest.raises(ValueError, match="drums: expected one of 'exclude', 'include', 'only', got 'no'"):
        helper(table([]), drums="no")


@pytest.mark.parametrize("helper", HELPERS)
def test_starts_that_descend_are_an_error(table, helper):
    with pytest.raises(NotesOrderError, match=r"task a: notes are not in canonical order; call sort_notes\(notes\)"):
        helper(table(held([60], [62])[::-1]))
