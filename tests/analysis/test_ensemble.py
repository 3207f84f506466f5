import math
from functools import partial

import mir_eval
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kie_notes.analysis.ensemble import doubling, onset_asynchrony
from kie_notes.errors import NotesOrderError
from kie_notes.notes import NOTES_SCHEMA

HELPERS = [onset_asynchrony, doubling, partial(onset_asynchrony, tolerance=1.0)]
ORDERED = HELPERS


def duo(table, flute, oboe, second="Oboe"):
    """Make a task of two tracks of (start, pitch) pairs, or starts alone."""
    rows = [("a", "Flute", *note(one), 0.5, 0) for one in flute] + [("a", second, *note(one), 0.5, 1) for one in oboe]
    return table(sorted(rows, key=lambda row: (row[3], row[6], row[2])))


def note(one):
    start, pitch = one if isinstance(one, tuple) else (one, 60)
    return pitch, start, start + 0.5


def some(table):
    return duo(table, [0.0, 1.0], [0.01, 1.02])


# onset_asynchrony


def differences(notes, **options):
    return onset_asynchrony(notes, **options).select("matched", "mean_ms", "median_ms", "std_ms").rows()


def test_the_difference_is_by_how_much_the_other_track_is_later(table):
    notes = duo(table, [0.0, 1.0, 2.0], [0.01, 1.03, 1.99])
    assert differences(notes) == [(3, pytest.approx(10.0), pytest.approx(10.0), pytest.approx(math.sqrt(800 / 3)))]


def test_onsets_farther_apart_than_the_tolerance_do_not_match(table):
    assert differences(duo(table, [0.0, 1.0], [0.05, 1.06])) == [(1, pytest.approx(50.0), pytest.approx(50.0), None)]


def test_an_onset_is_matched_with_the_nearest_and_once(table):
    # 0.02 is as near to 0.0 as to 0.04: the earlier has it
    assert differences(duo(table, [0.0, 0.04], [0.02])) == [(1, pytest.approx(20.0), pytest.approx(20.0), None)]
    assert differences(duo(table, [0.0, 0.03], [0.02])) == [(1, pytest.approx(-10.0), pytest.approx(-10.0), None)]


def test_tracks_that_never_meet_have_a_row_without_a_mean(table):
    notes = duo(table, [0.0, 1.0], [0.5])
    assert onset_asynchrony(notes).rows() == [("a", "Flute", 0, "Oboe", 1, 2, 1, 0, None, None, None)]


def test_notes_of_a_chord_are_one_onset(table):
    notes = duo(table, [(0.0, 60), (0.0, 64)], [(0.01, 67), (0.01, 72)])
    assert onset_asynchrony(notes).select("onsets", "other_onsets", "matched").rows() == [(1, 1, 1)]


def test_a_task_of_one_track_has_no_pair(table):
    assert onset_asynchrony(duo(table, [0.0, 1.0], [])).height == 0


def test_each_pair_of_tracks_has_a_row(table):
    rows = [("a", "Flute", 60, 0.0, 1.0, 0.5, track) for track in (0, 2, 5)]
    assert onset_asynchrony(table(rows)).select("track", "other_track").rows() == [(0, 2), (0, 5), (2, 5)]


def test_drums_can_be_left_out(table):
    notes = duo(table, [0.0], [0.0], second="Drums")
    assert onset_asynchrony(notes).height == 1
    assert onset_asynchrony(notes, drums="exclude").height == 0


@pytest.mark.parametrize("helper", HELPERS[:2])
@pytest.mark.parametrize("tolerance", [-0.1, math.nan, math.inf])
def test_a_tolerance_is_not_below_zero(table, helper, tolerance):
    with pytest.raises(ValueError, match=f"tolerance: expected seconds, 0 or above, got {tolerance}"):
        helper(some(table), tolerance=tolerance)


apart = st.lists(st.integers(0, 40), max_size=12, unique=True).map(lambda places: [k / 4 for k in sorted(places)])


@settings(max_examples=60)
@given(first=apart, second=apart, late=st.sampled_from([-0.04, 0.0, 0.03]))
def test_matches_of_onsets_that_lie_apart_are_those_of_mir_eval(table, first, second, late):
    second = [start + late for start in second if start + late >= 0]
    expected = mir_eval.util.match_events(first, second, 0.05)
    found = onset_asynchrony(duo(table, first, second))
    assert found["matched"].sum() == len(expected)
    shifts = [1000 * (second[b] - first[a]) for a, b in expected]
    means = [pytest.approx(sum(shifts) / len(shifts), abs=1e-6)] if shifts else [None] * found.height
    assert found["mean_ms"].to_list() == means


@settings(max_examples=60)
@given(data=st.data(), tolerance=st.sampled_from([0, 1, 10, 192]))
def test_matches_are_each_others_nearest(note_tables, data, tolerance):
    notes = data.draw(note_tables())
    tracks = {}
    for task, name, _, start, _, _, track in notes.rows():
        tracks.setdefault((task, track, name), set()).add(round(start * 192))
    expected = []
    for (task, track, name), onsets in sorted(tracks.items()):
        for (task_of_other, other_track, other_name), others in sorted(tracks.items()):
            if task == task_of_other and (track, name) < (other_track, other_name):
                late = [nearest(a, others) - a for a in onsets if nearest(nearest(a, others), onsets) == a]
                late = [d for d in late if abs(d) <= tolerance]
                mean = pytest.approx(sum(late) / len(late) / 0.192, abs=1e-5) if late else None
                expected.append((task, name, track, other_name, other_track, len(onsets), len(others), len(late), mean))
    assert onset_asynchrony(notes, tolerance=tolerance / 192).drop("median_ms", "std_ms").rows() == expected


def nearest(one, others):
    return min(others, key=lambda other: (abs(other - one), other))


# doubling


def shares(notes, **options):
    return doubling(notes, **options).select("track", "unison_share", "doubled_share").rows()


def test_unisons_and_octaves_double(table):
    notes = duo(table, [(0.0, 72), (1.0, 74), (2.0, 76)], [(0.0, 60), (1.0, 74)])
    assert shares(notes) == [(0, pytest.approx(1 / 3), pytest.approx(2 / 3)), (1, 0.5, 1.0)]


@pytest.mark.parametrize("pitch", [59, 61, 64, 66, 67, 70])
def test_other_intervals_do_not_double(table, pitch):
    assert shares(duo(table, [(0.0, 60)], [(0.0, pitch)])) == [(0, 0.0, 0.0), (1, 0.0, 0.0)]


def test_notes_that_begin_apart_do_not_double(table):
    assert shares(duo(table, [0.0, 1.0], [0.05, 1.06])) == [(0, 0.5, 0.5), (1, 0.5, 0.5)]


def test_a_note_is_doubled_once(table):
    notes = duo(table, [(0.0, 60)], [(0.0, 48), (0.0, 60), (0.0, 72)])
    assert shares(notes) == [(0, 1.0, 1.0), (1, pytest.approx(1 / 3), 1.0)]


def test_a_track_does_not_double_itself(table):
    assert doubling(duo(table, [(0.0, 60), (0.0, 72)], [])).height == 0


@settings(max_examples=60)
@given(data=st.data(), tolerance=st.sampled_from([0, 1, 10, 192]))
def test_doubling_is_what_comparing_all_notes_gives(note_tables, data, tolerance):
    notes = data.draw(note_tables())
    tracks = {}
    for task, name, pitch, start, _, _, track in notes.rows():
        if name != "Drums":
            tracks.setdefault((task, track, name), []).append((round(start * 192), pitch))
    expected = []
    for (task, track, name), own in sorted(tracks.items()):
        for (task_of_other, other_track, other_name), others in sorted(tracks.items()):
            if task == task_of_other and (track, name) != (other_track, other_name):
                steps = [{pitch - p for s, p in others if abs(s - start) <= tolerance} for start, pitch in own]
                unison = sum(0 in found for found in steps) / len(own)
                doubled = sum(any(step % 12 == 0 for step in found) for found in steps) / len(own)
                both = (pytest.approx(unison), pytest.approx(doubled))
                expected.append((task, name, track, other_name, other_track, len(own), *both))
    assert doubling(notes, tolerance=tolerance / 192).rows() == expected


@settings(max_examples=30)
@given(data=st.data(), semitones=st.sampled_from([-12, -1, 5, 12]))
def test_doubling_does_not_change_with_key(note_tables, data, semitones):
    notes = data.draw(note_tables())
    moved = notes.with_columns((pl.col("pitch").cast(pl.Int16) + semitones).cast(pl.UInt8))
    assert doubling(moved).equals(doubling(notes))


# both


def test_columns_have_the_types_that_are_documented(table):
    keys = {"task": pl.String, "instrument": pl.String, "track": pl.UInt16}
    others, count, number = {"other_instrument": pl.String, "other_track": pl.UInt16}, pl.UInt32, pl.Float64
    counts = dict.fromkeys(("onsets", "other_onsets", "matched"), count)
    spread = dict.fromkeys(("mean_ms", "median_ms", "std_ms"), number)
    assert onset_asynchrony(some(table)).schema == {**keys, **others, **counts, **spread}
    parts = {"notes": count, "unison_share": number, "doubled_share": number}
    assert doubling(some(table)).schema == {**keys, **others, **parts}


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
