import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kie_notes.analysis.hands import hand_demands, hand_split
from kie_notes.errors import NotesOrderError
from kie_notes.notes import NOTES_SCHEMA, sort_notes


def every_part(notes):
    return hand_split(notes, parts="all")


def demands_of_every_part(notes):
    return hand_demands(notes, parts="all")


HELPERS = [hand_split, hand_demands, every_part, demands_of_every_part]


def piano(pitch, start, end=9.0, *, track=0, name="Acoustic Grand Piano", task="a"):
    return (task, name, pitch, start, end, 0.5, track)


def lefts(notes):
    return [(start, pitch) for start, pitch in hand_split(notes).filter(hand="left").select("start", "pitch").rows()]


# hand_split


def test_a_chord_too_wide_for_one_hand_is_split_in_its_gap(table):
    assert lefts(table([piano(pitch, 0.0) for pitch in (43, 50, 72, 76, 79)])) == [(0.0, 43), (0.0, 50)]


def test_a_semitone_of_stretch_is_cheaper_than_a_boundary_between_neighbours(table):
    assert lefts(table([piano(pitch, 0.0) for pitch in (40, 52, 53, 65)])) == [(0.0, 40)]


def test_what_one_hand_can_play_is_the_right_hands(table):
    assert lefts(table([piano(60 + k % 8, k / 4) for k in range(20)])) == []


def test_a_melody_over_a_broken_chord_keeps_to_its_hand(table):
    broken = [piano(pitch, k / 4) for k, pitch in enumerate([48, 55, 52, 55] * 4)]
    melody = [piano(pitch, float(k)) for k, pitch in enumerate([76, 79, 77, 74])]
    notes = sort_notes(table([*broken, *melody]))
    assert {pitch for _, pitch in lefts(notes)} == {48, 52, 55}
    assert hand_split(notes).filter(hand="right")["pitch"].to_list() == [76, 79, 77, 74]


def test_the_hands_keep_their_places_where_one_rests(table):
    both = [piano(pitch, float(k)) for k in range(3) for pitch in (40, 74)]
    left_alone = [piano(pitch, 3.0 + k) for k, pitch in enumerate([40, 45, 41])]
    assert lefts(table([*both, *left_alone])) == [(0.0, 40), (1.0, 40), (2.0, 40), (3.0, 40), (4.0, 45), (5.0, 41)]


def test_only_keyboards_are_split_unless_all_is_asked(table):
    rows = [piano(60, 0.0, name=name, track=k) for k, name in enumerate(["Celesta", "Church Organ", "Flute", "Drums"])]
    assert hand_split(table(rows))["instrument"].to_list() == ["Celesta", "Church Organ"]
    assert every_part(table(rows))["instrument"].to_list() == ["Celesta", "Church Organ", "Flute"]


@settings(max_examples=25)
@given(data=st.data())
def test_every_note_has_a_hand_and_the_left_hands_notes_of_an_onset_are_below(note_tables, data):
    notes = data.draw(note_tables())
    hands = every_part(notes)
    columns = ["task", "track", "instrument", "pitch", "start", "end", "velocity"]
    pitched = notes.filter(pl.col("instrument") != "Drums").with_columns(pl.col("task", "instrument").cast(pl.String))
    order = ["task", "start", "track", "pitch", "end", "velocity"]
    assert hands.select(columns).equals(pitched.select(columns).sort(order))
    for part in hands.partition_by("task", "track", "start"):
        left, right = (part.filter(hand=hand)["pitch"] for hand in ("left", "right"))
        assert left.is_empty() or right.is_empty() or left.max() < right.min()


@settings(max_examples=25)
@given(data=st.data(), semitones=st.integers(-36, 48), seconds=st.integers(0, 1000))
def test_a_transposed_and_later_part_is_split_in_the_same_way(note_tables, data, semitones, seconds):
    notes = data.draw(note_tables())
    pitch = (pl.col("pitch").cast(pl.Int16) + semitones).cast(pl.UInt8)
    moved = notes.with_columns(pitch, pl.col("start", "end") + seconds)
    assert every_part(moved)["hand"].to_list() == every_part(notes)["hand"].to_list()


def least_cost(onsets, reach, hands=None):
    """The least cost of a path of boundaries (that makes these hands), by trying every pair of neighbours, in 64ths."""
    pitches = sorted({pitch for _, struck in onsets for pitch in struck})
    bounds = range(pitches[0] - 8, pitches[-1] + 10)
    best = None
    for at, (time, struck) in enumerate(onsets):
        recent = [p for t, some in onsets[: at + 1] if round(t * 1e6) >= round(time * 1e6) - 500_000 for p in some]
        cost = {}
        for b in bounds:
            low, high = [p for p in recent if p < b], [p for p in recent if p >= b]
            spans = sum(max(0, max(some) - min(some) - reach) for some in (low, high) if some)
            near = [p - b if p >= b else b - 1 - p for p in struck]
            cost[b] = 64 * (spans + near.count(0)) + sum(max(0, 6 - d) for d in near)
            if hands and {p: "left" if p < b else "right" for p in struck} != hands[at]:
                cost[b] = 10**9
        if best:
            cost = {b: cost[b] + min(best[a] + 64 * abs(a - b) for a in bounds) for b in bounds}
        best = cost
    return min(best.values())


@settings(max_examples=25)
@given(data=st.data(), reach=st.integers(1, 24))
def test_no_split_costs_less(note_tables, data, reach):
    notes = data.draw(note_tables(min_size=1)).filter(pl.col("instrument") != "Drums")
    for part in hand_split(notes, parts="all", reach=reach).partition_by("task", "track"):
        starts = sorted(set(part["start"].to_list()))
        struck = {start: part.filter(start=start).select("pitch", "hand").rows() for start in starts}
        onsets = [(start, [pitch for pitch, _ in struck[start]]) for start in starts]
        assert least_cost(onsets, reach, [dict(struck[start]) for start in starts]) == least_cost(onsets, reach)


def test_two_staves_in_one_track_are_told_apart_better_than_by_middle_c(samples):
    pianos = samples.filter(pl.col("instrument").cast(pl.String).str.contains("Piano"))
    two = pianos.filter(pl.col("track").n_unique().over("task") == 2)
    mean = pl.col("pitch").mean().over("task", "track")
    upper = (mean == mean.max().over("task")).alias("upper")
    labelled = two.with_columns(upper, instrument=pl.lit("Celesta", pl.Categorical()), track=pl.lit(0, pl.UInt16))
    key = ["task", "pitch", "start", "end", "velocity"]
    truth = labelled.with_columns(pl.col("task").cast(pl.String)).unique(key, keep="first").select(*key, "upper")
    split = hand_split(sort_notes(labelled.drop("upper"))).join(truth, on=key)
    right = split.with_columns(ours=(pl.col("hand") == "right") == pl.col("upper"))
    by_piece = right.group_by("task").agg(pl.col("ours").mean(), c4=((pl.col("pitch") >= 60) == pl.col("upper")).mean())
    assert by_piece.height > 15
    assert by_piece["ours"].mean() > 0.87
    assert by_piece["ours"].mean() > by_piece["c4"].mean() + 0.03


# hand_demands


def test_demands_of_two_chords_are_counted_by_hand(table):
    rows = [piano(pitch, 0.0) for pitch in (40, 54, 76)] + [piano(pitch, 2.0) for pitch in (43, 47, 76)]
    assert hand_demands(table(rows)).drop("task", "instrument", "track").rows() == [
        ("left", 4, 2, 1.5, 14, pytest.approx(13.5), 0.5, 2.0, 1.0),
        ("right", 2, 2, 0.5, 0, 0.0, 0.0, 0.0, 0.0),
    ]


def test_one_onset_has_no_speed_and_no_leap(table):
    demands = hand_demands(table([piano(60, 0.0), piano(64, 0.0)]))
    assert demands.select("hand", "notes", "notes_per_second", "largest_leap", "displacement_per_second").rows() == [
        ("right", 2, None, None, None)
    ]


@settings(max_examples=15)
@given(data=st.data())
def test_the_hands_notes_add_up(note_tables, data):
    notes = data.draw(note_tables())
    assert demands_of_every_part(notes)["notes"].sum() == notes.filter(pl.col("instrument") != "Drums").height


# both


@pytest.mark.parametrize("helper", HELPERS)
def test_no_notes_give_no_rows_of_the_same_schema(table, helper):
    none = helper(table([]))
    assert none.height == 0
    assert none.schema == helper(table([piano(60, 0.0)])).schema


@pytest.mark.parametrize("helper", HELPERS)
def test_a_lazyframe_gives_the_same_answer(golden, helper):
    assert helper(golden.lazy()).collect().equals(helper(golden))


@pytest.mark.parametrize("helper", HELPERS)
def test_starts_that_descend_are_an_error(table, helper):
    with pytest.raises(NotesOrderError, match=r"task a: notes are not in canonical order; call sort_notes\(notes\)"):
        helper(table([piano(60, 1.0), piano(64, 0.0)]))


@pytest.mark.parametrize("helper", [every_part, demands_of_every_part])
@settings(max_examples=10)
@given(data=st.data())
def test_shuffled_rows_give_the_right_answer_or_the_order_error(helper, note_tables, data):
    notes = data.draw(note_tables())
    shuffled = pl.DataFrame(data.draw(st.permutations(notes.rows())), schema=NOTES_SCHEMA, orient="row")
    try:
        result = helper(shuffled)
    except NotesOrderError:
        return
    assert result.equals(helper(notes))


@pytest.mark.parametrize("helper", [every_part, demands_of_every_part])
@settings(max_examples=10)
@given(data=st.data())
def test_tasks_worked_on_apart_and_put_together_are_the_same(helper, note_tables, data):
    notes = data.draw(note_tables(min_size=1))
    apart = pl.concat(map(helper, notes.partition_by("task", maintain_order=True)))
    assert apart.equals(helper(notes))


@pytest.mark.parametrize("helper", [hand_split, hand_demands])
def test_options_that_mean_nothing_are_refused(table, helper):
    with pytest.raises(ValueError, match="reach: expected semitones from 1 to 127, got 0"):
        helper(table([]), reach=0)
    with pytest.raises(ValueError, match="parts: expected one of 'keyboard', 'all', got 'piano'"):
        helper(table([]), parts="piano")
