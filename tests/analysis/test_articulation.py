import math
from functools import partial

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kie_notes.analysis.articulation import note_durations, note_overlap, staccato_share
from kie_notes.errors import NotesOrderError
from kie_notes.notes import NOTES_SCHEMA

HELPERS = [note_durations, staccato_share, note_overlap, partial(note_durations, by=("task", "instrument"))]
ORDERED = [note_overlap]


def lasting(table, *durations, task="a", instrument="Flute"):
    return table([(task, instrument, 60, float(k), k + seconds, 0.5, 0) for k, seconds in enumerate(durations)])


def playing(table, *spans, instrument="Flute", track=0):
    return table([("a", instrument, pitch, start, end, 0.5, track) for pitch, start, end in spans])


def some(table):
    return playing(table, (60, 0.0, 1.25), (62, 1.0, 2.0), (62, 2.0, 3.0))


# note_durations


def test_durations_are_described_by_mean_spread_quartiles_and_extremes(table):
    ((_, number, mean, std, *quartiles),) = note_durations(lasting(table, 0.5, 1.0, 1.5, 2.0, 5.0)).rows()
    assert (number, mean, quartiles) == (5, 2.0, [0.5, 1.0, 1.5, 2.0, 5.0])
    assert std == pytest.approx(math.sqrt(2.5))  # squares of -1.5, -1, -0.5, 0 and 3 sum to 12.5


def test_one_note_has_no_spread(table):
    assert note_durations(lasting(table, 0.5)).rows() == [("a", 1, 0.5, None, 0.5, 0.5, 0.5, 0.5, 0.5)]


def test_durations_of_all_notes_can_be_pooled(table):
    notes = pl.concat([lasting(table, 1.0), lasting(table, 3.0, task="b", instrument="Drums")])
    assert note_durations(notes, by=())["mean_duration"].to_list() == [2.0]
    assert note_durations(notes, by=(), drums="exclude")["mean_duration"].to_list() == [1.0]


def test_golden_mean_duration_is_the_reference(golden, reference):
    expected = reference["np.mean duration all"]
    assert note_durations(golden)["mean_duration"].item() == pytest.approx(expected, rel=1e-12)


@settings(max_examples=50)
@given(data=st.data())
def test_mean_durations_are_what_whole_ticks_give(note_tables, data):
    notes = data.draw(note_tables())
    lengths = {}
    for task, _, _, start, end, _, _ in notes.rows():
        lengths.setdefault(task, []).append(round((end - start) * 192))
    expected = [(task, len(all_), pytest.approx(sum(all_) / len(all_) / 192)) for task, all_ in sorted(lengths.items())]
    assert note_durations(notes).select("task", "notes", "mean_duration").rows() == expected


# staccato_share


def test_a_note_of_a_tenth_of_a_second_is_not_staccato(table):
    assert staccato_share(lasting(table, 0.05, 0.1, 0.5, 1.0)).rows() == [("a", 4, 0.25)]


@pytest.mark.parametrize("k", [2, 3, 7, 29, 1001])
def test_a_tenth_of_a_second_that_no_float_meets_is_one(table, k):
    notes = playing(table, (60, k / 10, (k + 1) / 10))  # 0.3 - 0.2 is less than 0.1, 0.4 - 0.3 is more
    assert staccato_share(notes)["staccato_share"].to_list() == [0.0]


def test_golden_staccato_is_jsymbolics(golden, reference):
    expected = reference["np.staccato frac <0.1s"]
    assert staccato_share(golden)["staccato_share"].item() == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("threshold", [0.0, -1.0, math.nan, math.inf])
def test_a_threshold_must_be_above_zero(table, threshold):
    with pytest.raises(ValueError, match=f"threshold: expected seconds above 0, got {threshold}"):
        staccato_share(some(table), threshold=threshold)


# note_overlap


def overlaps(notes, *names):
    return note_overlap(notes).select(*names).rows()


def test_a_note_that_sounds_into_the_next_is_legato(table):
    notes = playing(table, (60, 0.0, 1.25), (62, 1.0, 2.0), (64, 2.0, 2.5), (65, 3.0, 4.0))
    names = ("transitions", "legato_share", "legato_seconds", "legato_ratio")
    assert overlaps(notes, *names) == [(3, 1 / 3, 0.25, 0.25 / 3)]


def test_a_repeat_is_no_transition(table):
    notes = playing(table, (60, 0.0, 1.5), (60, 1.0, 2.0))
    assert overlaps(notes, "transitions", "legato_share", "legato_seconds") == [(0, None, 0.0)]
    assert overlaps(notes, "repeats", "repeat_overlap_share", "repeat_overlap_seconds") == [(1, 1.0, 0.5)]


def test_a_repeat_may_come_after_other_notes(table):
    notes = playing(table, (60, 0.0, 2.5), (62, 1.0, 2.0), (60, 2.0, 3.0))
    assert overlaps(notes, "repeats", "repeat_overlap_seconds") == [(1, 0.5)]
    assert overlaps(notes, "transitions", "legato_seconds") == [(2, 1.5)]


def test_notes_of_a_chord_lead_on_together(table):
    notes = playing(table, (60, 0.0, 1.5), (64, 0.0, 1.0), (67, 0.0, 1.0), (62, 1.0, 2.0))
    assert overlaps(notes, "transitions", "legato_share") == [(3, 1 / 3)]


def test_notes_that_touch_do_not_overlap(table):
    notes = playing(table, (60, 0.0, math.nextafter(1.0, 2.0)), (62, 1.0, 2.0))
    assert overlaps(notes, "legato_share") == [(0.0,)]


def test_tracks_do_not_lead_to_each_other(table):
    one, two = playing(table, (60, 0.0, 3.0)), playing(table, (62, 1.0, 2.0), instrument="Oboe", track=1)
    assert overlaps(pl.concat([one, two]), "instrument", "transitions") == [("Flute", 0), ("Oboe", 0)]


@settings(max_examples=50)
@given(data=st.data())
def test_overlaps_are_what_looking_at_each_note_finds(note_tables, data):
    notes = data.draw(note_tables())
    tracks = {}
    for task, name, pitch, start, end, _, track in notes.rows():
        tracks.setdefault((task, track, name), []).append((round(start * 192), pitch, round(end * 192)))
    expected = []
    for (task, track, name), played in sorted(tracks.items()):
        if name != "Drums":
            expected.append((task, name, track, *look(played)))
    names = ("transitions", "legato_seconds", "repeats", "repeat_overlap_seconds")
    assert note_overlap(notes).select("task", "instrument", "track", *names).rows() == expected


def look(played):
    legato, repeated = [], []
    for k, (start, pitch, end) in enumerate(played):
        later = [onset for onset, *_ in played if onset > start]
        again = [onset for onset, other, _ in played[k + 1 :] if other == pitch]
        if (
            later
            and (min(later), pitch) not in {(onset, other) for onset, other, _ in played}
            and min(again, default=None) != start
        ):
            legato.append(max(0, end - min(later)))
        if again:
            repeated.append(max(0, end - again[0]))
    return (
        len(legato),
        pytest.approx(sum(legato) / 192),
        len(repeated),
        pytest.approx(sum(repeated) / 192),
    )


# all of them


def test_columns_have_the_types_that_are_documented(table):
    keys, number, count = {"task": pl.String, "instrument": pl.String, "track": pl.UInt16}, pl.Float64, pl.UInt32
    assert note_durations(some(table)).dtypes == [pl.String, count, *[number] * 7]
    assert staccato_share(some(table)).schema == {"task": pl.String, "notes": count, "staccato_share": number}
    legato = dict.fromkeys(("legato_share", "legato_seconds", "legato_ratio"), number)
    repeat = dict.fromkeys(("repeat_overlap_share", "repeat_overlap_seconds"), number)
    assert note_overlap(some(table)).schema == {**keys, "transitions": count, "repeats": count, **legato, **repeat}


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
