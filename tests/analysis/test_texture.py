import math

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kie_notes.analysis.texture import (
    instrument_activity,
    polyphony,
    polyphony_curve,
    polyphony_rate,
    silence_fraction,
)
from kie_notes.errors import NotesOrderError
from kie_notes.notes import NOTES_SCHEMA

HELPERS = [polyphony, polyphony_curve, polyphony_rate, silence_fraction, instrument_activity]

#: Steps a second of the grid that muspy was given: 24 a quarter at 120 BPM.
MUSPY_STEPS = 48


def flute(pitch, start, end, *, track=0, name="Flute", task="a"):
    return (task, name, pitch, start, end, 0.5, track)


# polyphony


def test_polyphony_is_averaged_over_the_time_in_which_anything_sounds(table):
    notes = table([flute(60, 1.0, 3.0), flute(64, 2.0, 3.0), flute(67, 5.0, 6.0)])
    assert polyphony(notes).rows() == [("a", pytest.approx(4 / 3), 2, pytest.approx(3.0))]


def test_a_pitch_that_sounds_twice_counts_once(table):
    notes = table([flute(60, 0.0, 2.0), flute(60, 1.0, 3.0, name="Oboe", track=1)])
    assert polyphony(notes).rows() == [("a", pytest.approx(1.0), 1, pytest.approx(3.0))]


def test_a_short_note_inside_a_long_one_of_its_pitch_does_not_end_it(table):
    notes = table([flute(60, 0.0, 4.0), flute(60, 1.0, 2.0), flute(64, 3.0, 4.0)])
    assert polyphony(notes).rows() == [("a", pytest.approx(5 / 4), 2, pytest.approx(4.0))]


def test_a_note_is_over_at_its_end(table):
    notes = table([flute(60, 0.0, 1.0), flute(64, 1.0, 2.0)])
    assert polyphony(notes).rows() == [("a", pytest.approx(1.0), 1, pytest.approx(2.0))]


def test_notes_that_overlap_by_a_rounding_error_do_not_sound_together(table):
    notes = table([flute(60, 0.0, math.nextafter(1.0, 2.0)), flute(64, 1.0, 2.0)])
    assert polyphony(notes)["maximum_polyphony"].to_list() == [1]


def test_notes_without_duration_never_sound(table):
    notes = table([flute(60, 1.0, 1.0), flute(64, 1.0, 1.0)])
    assert polyphony(notes).rows() == [("a", None, 0, 0.0)]
    notes = table([flute(60, 0.0, 2.0), flute(60, 1.0, 1.0), flute(64, 1.0, 1.0)])
    assert polyphony(notes).rows() == [("a", pytest.approx(1.0), 1, pytest.approx(2.0))]


def test_drums_sound_only_when_asked(table):
    notes = table([flute(60, 0.0, 2.0), flute(36, 0.0, 1.0, name="Drums", track=1)])
    assert polyphony(notes)["mean_polyphony"].to_list() == pytest.approx([1.0])
    assert polyphony(notes, drums="include")["mean_polyphony"].to_list() == pytest.approx([1.5])
    assert polyphony(notes, drums="only")["sounding_seconds"].to_list() == pytest.approx([1.0])


def test_a_task_of_drums_alone_has_no_row(table):
    assert polyphony(table([flute(36, 0.0, 1.0, name="Drums")])).height == 0


@pytest.mark.parametrize("hours", [0, 1, 24, 1000])
def test_polyphony_late_in_a_long_recording_is_as_exact(table, hours):
    late = 3600.0 * hours
    notes = table(
        [
            flute(0, 0.0, 1.0),
            flute(127, late + 1, late + 2),
            flute(127, late + 2, late + 3),
            flute(60, late + 3, late + 5),
        ]
    )
    assert polyphony(notes).rows() == [("a", pytest.approx(1.0), 1, pytest.approx(5.0))]


@given(data=st.data(), drums=st.sampled_from(["exclude", "include", "only"]))
def test_polyphony_is_what_counting_step_by_step_gives(note_tables, data, drums):
    notes = data.draw(note_tables())
    names = {"include": {"Drums", "Flute", "Steel Drums"}, "exclude": {"Flute", "Steel Drums"}, "only": {"Drums"}}[
        drums
    ]
    expected = []
    for task in sorted({task for task, name, *_ in notes.rows() if name in names}):
        pitches = {}
        for _, name, pitch, start, end, _, _ in (row for row in notes.rows() if row[0] == task):
            if name in names:
                for step in range(round(start * 192), round(end * 192)):
                    pitches.setdefault(step, set()).add(pitch)
        counts = [len(sounding) for sounding in pitches.values()]
        mean = pytest.approx(sum(counts) / len(counts)) if counts else None
        expected.append((task, mean, max(counts, default=0), pytest.approx(len(counts) / 192)))
    assert polyphony(notes, drums=drums).rows() == expected


def test_golden_polyphony_is_muspys(golden, reference):
    assert polyphony(golden)["mean_polyphony"].item() == pytest.approx(reference["muspy.polyphony"], rel=1e-12)
    silence = reference["np.frac silent (pitched) = jSymbolic Complete Rests Fraction"]
    end = reference["pm.end_time"]
    assert polyphony(golden)["sounding_seconds"].item() == pytest.approx(end * (1 - silence), rel=1e-12)


def test_polyphony_of_the_samples_on_muspys_grid_is_muspys(samples, peers):
    steps = samples.with_columns((pl.col("start", "end") * MUSPY_STEPS).round(mode="half_to_even"))
    theirs = peers.drop_nulls("muspy_polyphony_24")
    ours = polyphony(steps)
    assert ours["task"].to_list() == theirs["task"].to_list()
    assert ours["mean_polyphony"].to_list() == pytest.approx(theirs["muspy_polyphony_24"].to_list(), rel=1e-9)


def test_polyphony_of_the_samples_is_muspys_but_for_its_grid(samples, peers):
    # muspy moves each start and end by up to half a step of 1/48 s. The samples' notes last 0.1 s and more as a rule:
    # the mean moves by 1 % at the most, in the pieces of the shortest notes, and by less than 0.1 % in most.
    theirs = peers.drop_nulls("muspy_polyphony_24")["muspy_polyphony_24"].to_list()
    ours = polyphony(samples)["mean_polyphony"].to_list()
    ratios = sorted(abs(a / b - 1) for a, b in zip(ours, theirs, strict=True))
    assert ratios[-1] < 0.013
    assert ratios[len(ratios) // 2] < 0.001


def test_polyphony_is_that_of_muspys_own_tests(samples, peer_tests):
    (expected,) = ((task, values["polyphony"]) for task, values in peer_tests.items() if "polyphony" in values)
    notes = samples.filter(pl.col("task").cast(pl.String) == expected[0])
    assert polyphony(notes)["mean_polyphony"].item() == pytest.approx(expected[1], rel=1e-9)


# polyphony_curve


def test_the_curve_runs_from_zero_to_the_last_end(table):
    notes = table([flute(60, 1.0, 3.0), flute(64, 2.0, 3.0), flute(67, 5.0, 6.0)])
    assert polyphony_curve(notes).rows() == [
        ("a", 0.0, 1.0, 0),
        ("a", 1.0, 2.0, 1),
        ("a", 2.0, 3.0, 2),
        ("a", 3.0, 5.0, 0),
        ("a", 5.0, 6.0, 1),
    ]


def test_the_curve_does_not_turn_where_the_number_of_pitches_stays(table):
    notes = table([flute(60, 0.0, 2.0), flute(60, 1.0, 3.0), flute(64, 3.0, 4.0), flute(65, 4.0, 4.0)])
    assert polyphony_curve(notes).rows() == [("a", 0.0, 4.0, 1)]


def test_a_task_in_which_nothing_sounds_has_no_curve(table):
    assert polyphony_curve(table([flute(60, 1.0, 1.0), flute(36, 0.0, 1.0, name="Drums", track=1)])).height == 0


@settings(max_examples=30)
@given(data=st.data())
def test_the_curve_is_what_counting_step_by_step_gives(note_tables, data):
    notes = data.draw(note_tables())
    pitches = {}
    for task, name, pitch, start, end, _, _ in notes.rows():
        for step in range(round(start * 192), round(end * 192)) if name != "Drums" else ():
            pitches.setdefault((task, step), set()).add(pitch)
    found, before = {}, {}
    for task, start, end, count in polyphony_curve(notes).rows():
        reached, last = before.get(task, (0.0, None))
        assert start == reached
        assert count != last
        before[task] = (end, count)
        found |= {(task, step): count for step in range(round(start * 192), round(end * 192)) if count}
    assert found == {place: len(sounding) for place, sounding in pitches.items()}


# polyphony_rate


def test_the_rate_counts_the_time_with_as_many_pitches_or_more(table):
    notes = table([flute(60, 0.0, 4.0), flute(64, 1.0, 4.0), flute(67, 3.0, 4.0)])
    assert polyphony_rate(notes).rows() == [("a", 0.75)]
    assert polyphony_rate(notes, threshold=1).rows() == [("a", 1.0)]
    assert polyphony_rate(notes, threshold=3).rows() == [("a", 0.25)]


def test_the_length_of_a_task_is_that_of_its_drums_too(table):
    notes = table([flute(60, 0.0, 2.0), flute(64, 0.0, 1.0), flute(36, 2.0, 4.0, name="Drums", track=1)])
    assert polyphony_rate(notes).rows() == [("a", 0.25)]
    assert silence_fraction(notes).rows() == [("a", 0.5)]


def test_a_task_of_drums_alone_is_silent(table):
    notes = table([flute(36, 0.0, 1.0, name="Drums")])
    assert polyphony_rate(notes, threshold=1).rows() == [("a", 0.0)]
    assert silence_fraction(notes).rows() == [("a", 1.0)]


def test_a_task_of_no_length_has_no_share_of_it(table):
    notes = table([flute(60, 0.0, 0.0)])
    assert polyphony_rate(notes).rows() == [("a", None)]
    assert silence_fraction(notes).rows() == [("a", None)]


@pytest.mark.parametrize("threshold", [0, -1])
def test_a_threshold_is_one_pitch_at_least(table, threshold):
    with pytest.raises(ValueError, match=f"threshold: expected 1 or more pitches, got {threshold}"):
        polyphony_rate(table([]), threshold=threshold)


def test_golden_rate_is_muspys(golden, reference):
    expected = reference["muspy.polyphony_rate threshold=1 (=>=2 pitches)"]
    assert polyphony_rate(golden)["polyphony_rate"].item() == pytest.approx(expected, rel=1e-12)
    expected = reference["muspy.polyphony_rate"]  # threshold=2 there is 3 here
    assert polyphony_rate(golden, threshold=3)["polyphony_rate"].item() == pytest.approx(expected, rel=1e-12)


def test_rates_of_the_samples_on_muspys_grid_are_muspys(samples, peers):
    steps = samples.with_columns((pl.col("start", "end") * MUSPY_STEPS).round(mode="half_to_even"))
    theirs = peers.drop_nulls("muspy_polyphony_rate_24")
    ours = polyphony_rate(steps, threshold=3).join(theirs.select("task"), on="task", how="semi").sort("task")
    assert ours["polyphony_rate"].to_list() == pytest.approx(theirs["muspy_polyphony_rate_24"].to_list(), rel=1e-9)


# silence_fraction


def test_silence_is_counted_from_zero_to_the_last_end(table):
    notes = table([flute(60, 1.0, 2.0), flute(64, 1.5, 2.0), flute(67, 3.0, 4.0)])
    assert silence_fraction(notes).rows() == [("a", 0.5)]


def test_golden_silence_is_jsymbolics(golden, reference):
    expected = reference["np.frac silent (pitched) = jSymbolic Complete Rests Fraction"]
    assert silence_fraction(golden)["silence_fraction"].item() == pytest.approx(expected, rel=1e-12)


@settings(max_examples=30)
@given(data=st.data(), drums=st.sampled_from(["exclude", "include", "only"]))
def test_what_is_not_silence_has_one_pitch_at_least(note_tables, data, drums):
    notes = data.draw(note_tables())
    rate = polyphony_rate(notes, threshold=1, drums=drums)["polyphony_rate"].to_list()
    silence = silence_fraction(notes, drums=drums)["silence_fraction"].to_list()
    assert [None if share is None else pytest.approx(1 - share, abs=1e-9) for share in silence] == rate


# instrument_activity


def test_an_instrument_plays_from_its_first_start_to_its_last_end(table):
    notes = table([flute(60, 1.0, 4.0), flute(62, 2.0, 3.0), flute(50, 2.0, 8.0, name="Oboe", track=1)])
    assert instrument_activity(notes).select("instrument", "notes", "first_start", "last_end").rows() == [
        ("Flute", 2, 1.0, 4.0),
        ("Oboe", 1, 2.0, 8.0),
    ]


def test_overlapping_notes_are_one_stretch_of_playing(table):
    notes = table([flute(60, 0.0, 3.0), flute(62, 1.0, 2.0), flute(64, 2.0, 4.0), flute(65, 6.0, 8.0)])
    assert instrument_activity(notes)["sounding_seconds"].to_list() == [6.0]


def test_the_share_is_of_the_length_of_the_task(table):
    notes = table([flute(60, 1.0, 2.0), flute(36, 2.0, 4.0, name="Drums", track=1)])
    assert instrument_activity(notes)["share"].to_list() == [0.25, 0.5]


def test_two_tracks_of_one_name_are_two_rows(table):
    notes = table([flute(60, 0.0, 1.0, track=0), flute(64, 0.0, 2.0, track=2), flute(62, 1.0, 2.0, track=0)])
    assert instrument_activity(notes).select("instrument", "track", "notes", "sounding_seconds").rows() == [
        ("Flute", 0, 2, 2.0),
        ("Flute", 2, 1, 2.0),
    ]


def test_a_task_of_no_length_has_no_shares(table):
    assert instrument_activity(table([flute(60, 0.0, 0.0)])).rows() == [("a", "Flute", 0, 1, 0.0, 0.0, 0.0, None)]


def test_tasks_and_tracks_are_sorted(table):
    notes = table(
        [flute(60, 0.0, 1.0, task="b", track=1), flute(60, 0.5, 1.0, task="b"), flute(60, 0.0, 1.0, task="a")]
    )
    assert instrument_activity(notes).select("task", "track").rows() == [("a", 0), ("b", 0), ("b", 1)]


@given(data=st.data())
def test_activity_is_what_counting_step_by_step_gives(note_tables, data):
    notes = data.draw(note_tables())
    tracks, lengths = {}, {}
    for task, name, _, start, end, _, track in notes.rows():
        first, last = round(start * 192), round(end * 192)
        tracks.setdefault((task, track, name), []).append((first, last))
        lengths[task] = max(lengths.get(task, 0), last)
    expected = []
    for (task, track, name), spans in sorted(tracks.items()):
        sounding = len(set().union(*(range(*span) for span in spans)))
        share = pytest.approx(sounding / lengths[task]) if lengths[task] else None
        ends = (min(first for first, _ in spans) / 192, max(last for _, last in spans) / 192)
        expected.append((task, name, track, len(spans), *ends, pytest.approx(sounding / 192), share))
    assert instrument_activity(notes).rows() == expected


def test_golden_instruments_sound_as_long_as_the_reference_says(golden, reference):
    for name, seconds in instrument_activity(golden).select("instrument", "sounding_seconds").rows():
        assert seconds == pytest.approx(reference[f"per-instrument {name}"]["sounding_s"], rel=1e-12)


# all of them


def test_columns_have_the_types_that_are_documented(table):
    notes = table([flute(60, 0.0, 1.0)])
    assert polyphony(notes).schema == {
        "task": pl.String,
        "mean_polyphony": pl.Float64,
        "maximum_polyphony": pl.UInt32,
        "sounding_seconds": pl.Float64,
    }
    span = {"start": pl.Float64, "end": pl.Float64}
    assert polyphony_curve(notes).schema == {"task": pl.String, **span, "pitches": pl.UInt32}
    assert polyphony_rate(notes).schema == {"task": pl.String, "polyphony_rate": pl.Float64}
    assert silence_fraction(notes).schema == {"task": pl.String, "silence_fraction": pl.Float64}
    assert instrument_activity(notes).schema == {
        "task": pl.String,
        "instrument": pl.String,
        "track": pl.UInt16,
        "notes": pl.UInt32,
        "first_start": pl.Float64,
        "last_end": pl.Float64,
        "sounding_seconds": pl.Float64,
        "share": pl.Float64,
    }


@pytest.mark.parametrize("helper", HELPERS)
def test_no_notes_give_no_rows_of_the_same_schema(table, helper):
    none = helper(table([]))
    assert none.height == 0
    assert none.schema == helper(table([flute(60, 0.0, 1.0)])).schema


@pytest.mark.parametrize("helper", HELPERS)
def test_starts_that_descend_are_an_error(table, helper):
    with pytest.raises(NotesOrderError, match=r"task a: notes are not in canonical order; call sort_notes\(notes\)"):
        helper(table([flute(60, 1.0, 2.0), flute(64, 0.0, 2.0)]))


def test_an_unknown_drums_policy_is_refused(table):
    with pytest.raises(ValueError, match="drums: expected one of 'exclude', 'include', 'only', got 'all'"):
        polyphony(table([]), drums="all")


@pytest.mark.parametrize("helper", HELPERS)
def test_a_lazy_table_gives_the_same_lazily(table, helper):
    notes = table([flute(60, 0.0, 1.0), flute(64, 0.5, 2.0)])
    assert helper(notes.lazy()).collect().equals(helper(notes))


@pytest.mark.parametrize("helper", HELPERS)
@settings(max_examples=30)
@given(data=st.data())
def test_shuffled_rows_give_the_right_answer_or_the_order_error(helper, note_tables, data):
    notes = data.draw(note_tables())
    shuffled = pl.DataFrame(data.draw(st.permutations(notes.rows())), schema=NOTES_SCHEMA, orient="row")
    try:
        result = helper(shuffled)
    except NotesOrderError:
        return
    assert [tuple(map(approximately, row)) for row in result.rows()] == helper(notes).rows()


def approximately(value):
    return pytest.approx(value) if isinstance(value, float) else value


@pytest.mark.parametrize("helper", HELPERS)
@settings(max_examples=30)
@given(data=st.data())
def test_tasks_worked_on_apart_and_put_together_are_the_same(helper, note_tables, data):
    notes = data.draw(note_tables(min_size=1))
    kept = notes.filter(pl.col("instrument") != "Drums")
    apart = pl.concat([helper(kept.head(0)), *map(helper, kept.partition_by("task", maintain_order=True))])
    assert apart.equals(helper(kept))
