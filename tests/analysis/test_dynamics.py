import statistics
from itertools import pairwise

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars import selectors
from polars.testing import assert_frame_equal

from kie_notes.analysis.dynamics import velocity_change, velocity_statistics
from kie_notes.errors import NotesOrderError, NotesSchemaError
from kie_notes.notes import NOTES_SCHEMA

HELPERS = [velocity_statistics, velocity_change]
few = settings(max_examples=25)


def played(table, *velocities, task="a", instrument="Flute", track=0, step=1.0):
    starts = [k * step for k in range(len(velocities))]
    rows = zip(starts, velocities, strict=True)
    return table([(task, instrument, 60, start, start + 0.5, velocity, track) for start, velocity in rows])


@pytest.fixture
def band(table):
    """A flute with dynamics, and a bass and drums of one velocity each."""
    notes = pl.concat(
        [
            played(table, 0.25, 0.75, 0.5),
            played(table, 1.0, 1.0, instrument="Cello", track=1),
            played(table, 0.5, 0.5, instrument="Drums", track=2),
        ]
    )
    return notes.sort("start", "track")


# velocity_statistics


def test_mean_spread_and_range_of_velocities(table):
    (row,) = velocity_statistics(played(table, 0.25, 0.25, 0.75, 0.75)).rows()
    assert row == ("a", 0.5, 0.25, 0.25, 0.75, 0.5, 2, None)


def test_one_velocity_has_no_spread_and_says_so(table):
    (row,) = velocity_statistics(played(table, 0.5, 0.5)).rows()
    assert row == ("a", 0.5, None, 0.5, 0.5, None, 1, "one velocity")


def test_tracks_of_one_velocity_each_have_no_spread_together(band):
    constant = band.filter(pl.col("instrument") != "Flute")
    (row,) = velocity_statistics(constant).select("standard_deviation", "range", "velocity_levels", "reason").rows()
    assert row == (None, None, 2, "one velocity per track")


def test_a_track_with_dynamics_gives_its_task_a_spread(band):
    (row,) = velocity_statistics(band).rows()
    velocities = [0.25, 0.75, 0.5, 1.0, 1.0, 0.5, 0.5]
    assert row[1:3] == pytest.approx((statistics.fmean(velocities), statistics.pstdev(velocities)))
    assert row[3:] == (0.25, 1.0, 0.75, 4, None)


def test_each_track_has_a_row_of_its_own(band):
    by_track = velocity_statistics(band, by=("task", "track")).select("track", "range", "velocity_levels", "reason")
    assert by_track.rows() == [(0, 0.5, 3, None), (1, None, 1, "one velocity"), (2, None, 1, "one velocity")]


def test_drums_are_counted_as_asked(band):
    means = [velocity_statistics(band, drums=drums)["mean_velocity"].item() for drums in ("only", "exclude")]
    assert means == [0.5, pytest.approx(0.7)]


def test_all_notes_can_be_pooled(table):
    notes = pl.concat([played(table, 0.25, 0.5), played(table, 0.75, task="b")])
    assert velocity_statistics(notes, by=())["mean_velocity"].to_list() == [0.5]


def test_constant_tracks_of_several_tasks_have_no_spread_together(table):
    notes = pl.concat([played(table, 0.25, 0.25), played(table, 0.75, task="b")])
    assert velocity_statistics(notes, by="instrument")["reason"].to_list() == ["one velocity per track"]


def test_golden_velocities_have_the_references_spread(golden, reference):
    mean, deviation, _, width = reference["np.vel mean,std(ddof0),std(ddof1),range"]
    (row,) = velocity_statistics(golden).select("mean_velocity", "standard_deviation", "range").rows()
    assert [127 * value for value in row] == pytest.approx([mean, deviation, width], rel=1e-6)  # ours are Float32


@few
@given(data=st.data())
def test_velocities_have_the_moments_of_the_standard_library(note_tables, data):
    notes = data.draw(note_tables())
    velocities = {}
    for task, *_, velocity, _ in notes.rows():
        velocities.setdefault(task, []).append(velocity)
    found = velocity_statistics(notes)
    assert found["task"].to_list() == sorted(velocities)
    for task, mean, deviation, lowest, highest, _, levels, reason in found.rows():
        values = velocities[task]
        assert mean == pytest.approx(statistics.fmean(values))
        assert (lowest, highest, levels) == (min(values), max(values), len(set(values)))
        assert deviation == (None if reason else pytest.approx(statistics.pstdev(values)))


@few
@given(data=st.data())
def test_a_reason_is_given_where_no_track_has_two_velocities(note_tables, data):
    notes = data.draw(note_tables())
    levels = notes.group_by("task", "track").agg(pl.col("velocity").n_unique())
    most = levels.group_by(pl.col("task").cast(pl.String)).agg(pl.col("velocity").max()).sort("task")
    assert velocity_statistics(notes)["reason"].is_null().to_list() == (most["velocity"] > 1).to_list()


@few
@given(data=st.data(), by=st.sampled_from(["task", (), ("instrument", "track")]))
def test_the_order_of_rows_makes_no_difference_to_the_last_bit(note_tables, data, by):
    notes = data.draw(note_tables())
    shuffled = pl.DataFrame(data.draw(st.permutations(notes.rows())), schema=NOTES_SCHEMA, orient="row")
    assert velocity_statistics(shuffled, by=by).equals(velocity_statistics(notes, by=by))


# velocity_change


def test_the_mean_of_the_absolute_changes(table):
    assert velocity_change(played(table, 0.25, 0.75, 0.5, 0.5)).rows() == [("a", 0.25, 3, None)]


def test_the_loudest_note_of_an_onset_is_its_velocity(table):
    onsets = [(0.0, 0.25), (0.0, 0.5), (0.0, 0.125), (1.0, 0.75), (1.0, 0.25)]
    notes = table([("a", "Piano", 60, start, 2.0, velocity, 0) for start, velocity in onsets])
    assert velocity_change(notes).rows() == [("a", 0.25, 1, None)]


def test_changes_are_within_tracks_and_averaged_over_all_of_them(band):
    assert velocity_change(band).rows() == [("a", 0.1875, 4, None)]  # (0.5 + 0.25 + 0 + 0) / 4
    assert velocity_change(band, by="track").rows() == [
        ("a", "Flute", 0, 0.375, 2, None),
        ("a", "Cello", 1, None, 1, "one velocity"),
        ("a", "Drums", 2, None, 1, "one velocity"),
    ]


def test_tracks_of_one_velocity_each_have_no_change(band):
    constant = band.filter(pl.col("instrument") != "Flute")
    assert velocity_change(constant).rows() == [("a", None, 2, "one velocity per track")]
    assert velocity_change(constant, drums="exclude").rows() == [("a", None, 1, "one velocity")]


def test_one_onset_has_no_change(table):
    notes = table([("a", "Piano", pitch, 0.0, 1.0, pitch / 127, 0) for pitch in (60, 64)])
    assert velocity_change(notes).rows() == [("a", None, 0, "one onset")]


@few
@given(data=st.data())
def test_changes_are_those_found_note_by_note(note_tables, data):
    notes = data.draw(note_tables())
    onsets = {}
    for task, name, _, start, _, velocity, track in notes.rows():
        loudest = onsets.setdefault((task, name, track), {})
        loudest[start] = max(loudest.get(start, 0), velocity)
    for task, name, track, mean, count, _ in velocity_change(notes, by="track").rows():
        steps = [abs(b - a) for a, b in pairwise(v for _, v in sorted(onsets.pop((task, name, track)).items()))]
        assert count == len(steps)
        assert mean is None or mean == pytest.approx(statistics.fmean(steps), abs=1e-9)
    assert not onsets


@few
@given(data=st.data())
def test_a_tasks_change_is_that_of_its_tracks_by_their_number(note_tables, data):
    notes = data.draw(note_tables())
    tracks = velocity_change(notes, by="track").with_columns(pl.col("mean_velocity_change").fill_null(0))
    total = (pl.col("mean_velocity_change") * pl.col("changes")).sum()
    pooled = tracks.group_by("task").agg(total=total, changes=pl.col("changes").sum()).sort("task")
    tasks = velocity_change(notes)
    assert tasks["changes"].to_list() == pooled["changes"].to_list()
    known = tasks.with_columns(total=pooled["total"]).drop_nulls("mean_velocity_change")
    assert (known["mean_velocity_change"] * known["changes"]).to_list() == pytest.approx(known["total"].to_list())


@few
@given(data=st.data())
def test_a_slower_and_later_piece_has_the_same_changes(note_tables, data):
    notes = data.draw(note_tables())
    slower = notes.with_columns(pl.col("start", "end") * 2 + 1)
    assert velocity_change(slower).equals(velocity_change(notes))


def test_starts_that_descend_are_an_error(table):
    with pytest.raises(NotesOrderError, match=r"task a: notes are not in canonical order; call sort_notes\(notes\)"):
        velocity_change(played(table, 0.5, 0.25).reverse())


@few
@given(data=st.data())
def test_shuffled_rows_give_the_right_change_or_the_order_error(note_tables, data):
    notes = data.draw(note_tables())
    shuffled = pl.DataFrame(data.draw(st.permutations(notes.rows())), schema=NOTES_SCHEMA, orient="row")
    try:
        result = velocity_change(shuffled)
    except NotesOrderError:
        return
    assert result.equals(velocity_change(notes))


def test_an_unknown_scope_is_refused(band):
    with pytest.raises(ValueError, match="by: expected one of 'task', 'track', got 'instrument'"):
        velocity_change(band, by="instrument")


# What holds for both.


@few
@given(data=st.data())
@pytest.mark.parametrize("helper", HELPERS)
def test_half_the_velocity_has_half_the_spread(helper, note_tables, data):
    notes = data.draw(note_tables())
    expected = helper(notes).with_columns(selectors.float() / 2)
    softer = helper(notes.with_columns(pl.col("velocity") / 2))
    assert_frame_equal(softer, expected, rel_tol=1e-9)


@few
@given(data=st.data())
@pytest.mark.parametrize("helper", HELPERS)
def test_tasks_worked_on_apart_and_put_together_are_the_same_to_the_last_bit(helper, note_tables, data):
    notes = data.draw(note_tables(min_size=1))
    apart = pl.concat(helper(part) for part in notes.partition_by("task", maintain_order=True))
    assert apart.equals(helper(notes))


@pytest.mark.parametrize("by", ["task", "track"])
@pytest.mark.parametrize("helper", HELPERS)
def test_no_notes_give_no_rows_of_the_same_schema(band, helper, by):
    none = helper(band.head(0), by=by)
    assert none.height == 0
    assert none.schema == helper(band, by=by).schema


def test_columns_have_the_types_that_are_documented(band):
    text, number, count, velocity = pl.String(), pl.Float64(), pl.UInt32(), pl.Float32()
    spread = {"mean_velocity": number, "standard_deviation": number, "lowest": velocity, "highest": velocity}
    rest = {"range": number, "velocity_levels": count, "reason": text}
    assert dict(velocity_statistics(band).schema) == {"task": text, **spread, **rest}
    change = {"mean_velocity_change": number, "changes": count, "reason": text}
    assert dict(velocity_change(band).schema) == {"task": text, **change}
    track = {"task": text, "instrument": text, "track": pl.UInt16()}
    assert dict(velocity_change(band, by="track").schema) == {**track, **change}


@pytest.mark.parametrize("helper", HELPERS)
def test_a_lazyframe_gives_the_same(band, helper):
    lazy = helper(band.lazy())
    assert isinstance(lazy, pl.LazyFrame)
    assert lazy.collect().equals(helper(band))


@pytest.mark.parametrize("helper", HELPERS)
def test_what_is_no_notes_table_is_refused(band, helper):
    with pytest.raises(NotesSchemaError, match="missing column 'velocity'"):
        helper(band.drop("velocity"))


@pytest.mark.parametrize("helper", HELPERS)
def test_an_unknown_drums_policy_is_refused(band, helper):
    with pytest.raises(ValueError, match="drums: expected one of 'exclude', 'include', 'only', got 'none'"):
        helper(band, drums="none")
