import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kie_notes.analysis.quality import note_flags
from kie_notes.analysis.repairs import (
    drop_duplicates,
    drop_octave_ghosts,
    drop_out_of_range,
    drop_short,
    merge_echoes,
    merge_fragments,
    snap_to_grid,
    trim_overlaps,
    trim_to_duration,
)
from kie_notes.errors import NotesOrderError
from kie_notes.notes import NOTES_SCHEMA, sort_notes

LENGTHS = pl.DataFrame({"task": ["a", "b"], "duration": [1.0, 0.25]})


def to_length(notes):
    return trim_to_duration(notes, durations=LENGTHS)


#: Every repair, and the flag that it clears.
REPAIRS = {
    drop_duplicates: "duplicate",
    drop_short: "too_short",
    drop_octave_ghosts: "octave_ghost",
    drop_out_of_range: "out_of_range",
    merge_echoes: "echo",
    merge_fragments: "fragment",
    trim_overlaps: "overlap",
    to_length: "past_end",
    snap_to_grid: "off_grid",
}
COMPARING = [drop_duplicates, drop_octave_ghosts, merge_echoes, merge_fragments, trim_overlaps]
CHANGES = ["task", "track", "instrument", "pitch", "start", "end", "new_start", "new_end", "reason"]


def flute(pitch, start, end, *, velocity=0.5, track=0, name="Flute", task="a"):
    return (task, name, pitch, start, end, velocity, track)


def times(repaired):
    return repaired.notes.select("start", "end").rows()


def changed(repaired):
    return repaired.changes.select("start", "end", "new_start", "new_end", "reason").rows()


def test_the_first_of_equal_notes_stays(table):
    repaired = drop_duplicates(table([flute(60, 0.0, 1.0, velocity=0.25), flute(60, 0.0, 1.0, velocity=0.75)]))
    assert repaired.notes["velocity"].to_list() == [0.25]
    assert changed(repaired) == [(0.0, 1.0, None, None, "duplicate")]


def test_short_notes_go_and_those_of_drums_stay(table):
    repaired = drop_short(table([flute(60, 0.0, 0.01), flute(36, 0.0, 0.01, name="Drums", track=1)]))
    assert repaired.notes["pitch"].to_list() == [36]


def test_ghosts_and_their_ghosts_go(table):
    rows = [flute(pitch, 0.0, 1.0, velocity=velocity) for pitch, velocity in ((60, 0.75), (72, 0.5), (84, 0.25))]
    assert drop_octave_ghosts(table(rows)).notes["pitch"].to_list() == [60]


def test_pitches_out_of_range_go(table):
    assert drop_out_of_range(table([flute(59, 0.0, 1.0), flute(60, 0.0, 1.0)])).notes["pitch"].to_list() == [60]


def test_an_echo_is_merged_into_the_note_that_it_echoes(table):
    rows = [flute(60, 0.0, 1.0), flute(60, 0.02, 3.0, track=1), flute(60, 0.04, 2.0, track=2)]
    repaired = merge_echoes(table(rows))
    assert repaired.notes.select("track", "start", "end").rows() == [(0, 0.0, 3.0)]
    assert changed(repaired) == [
        (0.0, 1.0, 0.0, 3.0, "lengthened"),
        (0.02, 3.0, None, None, "echo"),
        (0.04, 2.0, None, None, "echo"),
    ]


def test_a_note_that_outlasts_its_echo_is_not_changed(table):
    repaired = merge_echoes(table([flute(60, 0.0, 4.0), flute(60, 0.0, 1.0, track=1)]))
    assert changed(repaired) == [(0.0, 1.0, None, None, "echo")]


def test_fragments_become_one_note(table):
    rows = [flute(60, 0.0, 1.0), flute(62, 0.5, 1.0), flute(60, 1.0, 2.0), flute(60, 2.0, 3.0), flute(60, 3.5, 4.0)]
    repaired = merge_fragments(table(rows))
    assert times(repaired) == [(0.0, 3.0), (0.5, 1.0), (3.5, 4.0)]
    assert changed(repaired) == [
        (0.0, 1.0, 0.0, 3.0, "lengthened"),
        (1.0, 2.0, None, None, "fragment"),
        (2.0, 3.0, None, None, "fragment"),
    ]


def test_a_gap_up_to_the_given_one_is_closed(table):
    notes = table([flute(60, 0.0, 1.0), flute(60, 1.125, 2.0), flute(60, 2.25, 3.0)])
    assert times(merge_fragments(notes, gap=0.125)) == [(0.0, 2.0), (2.25, 3.0)]


def test_a_fragment_goes_on_with_the_note_that_ends_there_not_with_one_inside_it(table):
    notes = table([flute(60, 0.0, 2.0), flute(60, 0.5, 1.0), flute(60, 2.0, 3.0)])
    assert times(merge_fragments(notes)) == [(0.0, 3.0), (0.5, 1.0)]


def test_the_lowest_key_at_the_beginning_is_no_fragment_of_nothing(table):
    assert merge_fragments(table([flute(0, 0.0, 1.0)]), gap=1.0).changes.height == 0


def test_an_overlapping_note_ends_where_the_next_starts(table):
    repaired = trim_overlaps(table([flute(60, 0.0, 4.0), flute(60, 1.0, 2.0), flute(60, 3.0, 5.0)]))
    assert times(repaired) == [(0.0, 1.0), (1.0, 2.0), (3.0, 5.0)]
    assert changed(repaired) == [(0.0, 4.0, 0.0, 1.0, "overlap")]


def test_of_overlapping_notes_that_start_together_the_longest_stays(table):
    repaired = trim_overlaps(table([flute(60, 0.0, 1.0), flute(60, 0.0, 3.0)]))
    assert times(repaired) == [(0.0, 3.0)]


def test_notes_end_where_the_audio_does(table):
    rows = [flute(60, 0.5, 0.75), flute(60, 0.9, 1.5), flute(62, 1.0, 1.5), flute(62, 2.0, 2.5, task="c")]
    repaired = to_length(table(rows))
    assert times(repaired) == [(0.5, 0.75), (0.9, 1.0), (2.0, 2.5)]
    assert changed(repaired) == [(0.9, 1.5, 0.9, 1.0, "past_end"), (1.0, 1.5, None, None, "past_end")]


def test_snapped_times_are_the_floats_of_the_grid(table):
    notes = table([flute(60, k / 192 + 1e-4, (k + 9) / 192 - 1e-4) for k in range(0, 9000, 7)])
    assert times(snap_to_grid(notes)) == [(k / 192, (k + 9) / 192) for k in range(0, 9000, 7)]


def test_a_snapped_note_keeps_a_step_of_its_duration(table):
    assert times(snap_to_grid(table([flute(60, 0.51, 0.52), flute(60, 0.52, 0.52)]), grid=2)) == [
        (0.5, 0.5),
        (0.5, 1.0),
    ]


def test_notes_on_the_grid_are_not_touched(table):
    assert snap_to_grid(table([flute(60, k / 192, (k + 1) / 192) for k in range(500)])).changes.height == 0


# all of them


@pytest.mark.parametrize("repair", REPAIRS)
@settings(max_examples=15)
@given(data=st.data())
def test_every_note_is_kept_or_accounted_for(repair, note_tables, data):
    notes = data.draw(note_tables())
    repaired = repair(notes)
    gone = repaired.changes.filter(pl.col("new_start").is_null())
    assert notes.height == repaired.notes.height + gone.height
    assert repaired.notes.schema == NOTES_SCHEMA
    assert repaired.changes.columns == CHANGES
    assert repaired.notes.equals(sort_notes(repaired.notes))
    moved = repaired.changes.drop_nulls("new_start")
    assert moved.filter((pl.col("new_start") == pl.col("start")) & (pl.col("new_end") == pl.col("end"))).height == 0
    key = ["task", "track", "pitch", "start", "end"]
    before = pl.concat([rows_of(repaired.notes, key), rows_of(repaired.changes, key)])
    after = rows_of(moved.with_columns(start="new_start", end="new_end"), key)
    assert before.sort(key).equals(pl.concat([rows_of(notes, key), after]).sort(key))


def rows_of(frame, key):
    return frame.select(key).with_columns(pl.col("task").cast(pl.String))


@pytest.mark.parametrize(("repair", "flag"), REPAIRS.items())
@settings(max_examples=15)
@given(data=st.data())
def test_a_repair_clears_its_flag_and_does_nothing_a_second_time(repair, flag, note_tables, data):
    notes = data.draw(note_tables())
    once = repair(notes).notes
    assert note_flags(once, flags=[flag], durations=LENGTHS).height == 0
    assert repair(once).changes.height == 0


@pytest.mark.parametrize("repair", REPAIRS)
@settings(max_examples=10)
@given(data=st.data())
def test_tasks_worked_on_apart_and_put_together_are_the_same(repair, note_tables, data):
    notes = data.draw(note_tables(min_size=1))
    parts = [repair(part) for part in notes.partition_by("task", maintain_order=True)]
    assert pl.concat(part.notes for part in parts).equals(repair(notes).notes)
    assert pl.concat(part.changes for part in parts).equals(repair(notes).changes)


@pytest.mark.parametrize("repair", REPAIRS)
def test_no_notes_give_two_tables_of_the_same_schemas(table, repair):
    none, some = repair(table([])), repair(table([flute(50, 0.0, 0.01), flute(50, 0.0, 2.0)]))
    assert (none.notes.height, none.changes.height) == (0, 0)
    assert (none.notes.schema, none.changes.schema) == (some.notes.schema, some.changes.schema)


@pytest.mark.parametrize("repair", REPAIRS)
def test_a_lazyframe_gives_two_lazyframes_of_the_same_answer(golden, repair):
    lazy, eager = repair(golden.lazy()), repair(golden)
    assert isinstance(lazy.notes, pl.LazyFrame)
    assert lazy.notes.collect().equals(eager.notes)
    assert lazy.changes.collect().equals(eager.changes)


@pytest.mark.parametrize("repair", REPAIRS)
def test_columns_of_ones_own_stay_with_their_notes(table, repair):
    notes = table([flute(60, 0.0, 1.0), flute(60, 1.0, 2.0)]).with_columns(echo=pl.Series(["x", "y"]))
    kept = repair(notes).notes
    assert kept["echo"].to_list()[0] == "x"
    assert kept.columns == notes.columns


@pytest.mark.parametrize("repair", COMPARING)
def test_starts_that_descend_are_an_error(table, repair):
    with pytest.raises(NotesOrderError, match=r"task a: notes are not in canonical order; call sort_notes\(notes\)"):
        repair(table([flute(60, 1.0, 2.0), flute(64, 0.0, 2.0)]))


def test_a_grid_of_no_steps_is_refused(table):
    with pytest.raises(ValueError, match="grid: expected steps a second above 0, got 0"):
        snap_to_grid(table([]), grid=0)


def test_a_negative_gap_is_refused(table):
    with pytest.raises(ValueError, match="gap: expected seconds, 0 or more, got -1"):
        merge_fragments(table([]), gap=-1)
