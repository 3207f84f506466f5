import math

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kie_notes.analysis.quality import FAULTS, FLAGS, note_flags, quality_score
from kie_notes.errors import NotesOrderError
from kie_notes.notes import NOTES_SCHEMA

HELPERS = [note_flags, quality_score]

#: Ranges of the drawn tables' instruments, from the General MIDI 2 tables; drums: keys of the standard kit.
RANGES = {"Flute": (60, 96), "Steel Drums": (52, 76), "Drums": (27, 87)}


def flute(pitch, start, end, *, velocity=0.5, track=0, name="Flute", task="a"):
    return (task, name, pitch, start, end, velocity, track)


def flags_of(table, *rows, flag, **options):
    found = note_flags(table(list(rows)), flags=[flag], **options)
    return found.select("track", "pitch", "start", "detail").rows()


def lengths(**seconds):
    return pl.DataFrame(
        {"task": list(seconds), "duration": list(seconds.values())}, schema_overrides={"task": pl.String}
    )


# note by note


def test_a_note_below_the_shortest_is_too_short(table):
    rows = [flute(60, 0.0, 0.049), flute(62, 1.0, 1.05)]
    assert flags_of(table, *rows, flag="too_short") == [(0, 60, 0.0, pytest.approx(0.049))]


def test_a_drum_is_never_too_short(table):
    assert flags_of(table, flute(36, 0.0, 0.0, name="Drums"), flag="too_short") == []


def test_the_shortest_can_be_chosen(table):
    assert flags_of(table, flute(60, 0.0, 0.2), flag="too_short", shortest=0.25) == [(0, 60, 0.0, pytest.approx(0.2))]


def test_pitches_outside_the_recommended_range_say_how_far(table):
    rows = [flute(58, 0.0, 1.0), flute(60, 1.0, 2.0), flute(96, 2.0, 3.0), flute(99, 3.0, 4.0)]
    assert flags_of(table, *rows, flag="out_of_range") == [(0, 58, 0.0, -2.0), (0, 99, 3.0, 3.0)]


def test_drums_are_out_of_range_outside_the_keys_of_the_kit(table):
    rows = [flute(pitch, float(pitch), 99.0, name="Drums") for pitch in (26, 27, 87, 88)]
    assert flags_of(table, *rows, flag="out_of_range") == [(0, 26, 26.0, -1.0), (0, 88, 88.0, 1.0)]


def test_an_instrument_that_general_midi_does_not_know_has_no_range(table):
    assert flags_of(table, flute(0, 0.0, 1.0, name="Theremin"), flag="out_of_range") == []


def test_a_note_that_ends_after_the_audio_is_past_its_end(table):
    rows = [flute(60, 0.0, 4.0), flute(62, 3.0, 4.5), flute(64, 5.0, 6.0)]
    found = flags_of(table, *rows, flag="past_end", durations=lengths(a=4.0))
    assert found == [(0, 62, 3.0, pytest.approx(0.5)), (0, 64, 5.0, pytest.approx(2.0))]


def test_nothing_is_past_an_end_that_is_not_known(table):
    assert flags_of(table, flute(60, 0.0, 9.0), flag="past_end", durations=lengths(b=4.0)) == []


def test_times_off_the_grid_say_by_how_much(table):
    rows = [flute(60, 7 / 192, 8 / 192), flute(62, 0.1, 1.0), flute(64, 1.0, 1.001)]
    found = flags_of(table, *rows, flag="off_grid")
    assert found == [(0, 62, 0.1, pytest.approx(abs(0.1 - 19 / 192))), (0, 64, 1.0, pytest.approx(0.001))]


# within a track


def test_the_second_of_equal_notes_is_a_duplicate_whatever_its_velocity(table):
    rows = [flute(60, 0.0, 1.0, velocity=0.25), flute(60, 0.0, 1.0, velocity=0.75), flute(60, 0.0, 2.0)]
    found = note_flags(table(rows), flags=["duplicate"])
    assert found.select("end", "velocity", "detail").rows() == [(1.0, 0.75, 0.0)]


def test_equal_notes_of_two_tracks_are_no_duplicates(table):
    assert flags_of(table, flute(60, 0.0, 1.0), flute(60, 0.0, 1.0, track=1), flag="duplicate") == []


def test_a_note_that_starts_where_another_of_its_pitch_ends_is_a_fragment(table):
    rows = [flute(60, 0.0, 1.0), flute(62, 1.0, 2.0), flute(60, 1.0, 1.5), flute(60, 1.75, 2.0)]
    assert flags_of(table, *rows, flag="fragment") == [(0, 60, 1.0, 0.5)]


def test_no_fragment_starts_while_a_longer_note_sounds(table):
    assert flags_of(table, flute(60, 0.0, 4.0), flute(60, 0.5, 1.0), flute(60, 1.0, 2.0), flag="fragment") == []


def test_times_that_differ_by_rounding_meet(table):
    assert flags_of(table, flute(60, 0.0, 0.1 * 3), flute(60, 0.3, 1.0), flag="fragment") != []
    assert flags_of(table, flute(60, 0.0, 0.1 * 3), flute(60, 0.3, 1.0), flag="overlap") == []


def test_overlap_is_the_time_in_which_both_sound(table):
    rows = [flute(60, 0.0, 4.0), flute(60, 1.0, 2.0), flute(60, 3.0, 6.0), flute(60, 3.0, 6.0)]
    assert flags_of(table, *rows, flag="overlap") == [(0, 60, 1.0, 1.0), (0, 60, 3.0, 1.0)]


def test_notes_of_two_pitches_do_not_overlap(table):
    assert (
        flags_of(table, flute(0, 0.0, 4.0), flute(127, 0.0, 9.0, track=1), flute(127, 1.0, 2.0), flag="overlap") == []
    )


@pytest.mark.parametrize("semitones", [12, 19, 24])
def test_a_weaker_partial_of_a_simultaneous_note_is_a_ghost(table, semitones):
    rows = [flute(60, 0.0, 1.0, velocity=0.75), flute(60 + semitones, 0.03, 1.0, velocity=0.5)]
    assert flags_of(table, *rows, flag="octave_ghost") == [(0, 60 + semitones, 0.03, float(semitones))]


@pytest.mark.parametrize(
    "other",
    [
        flute(72, 0.0, 1.0, velocity=0.75),  # not weaker
        flute(72, 0.031, 1.0, velocity=0.5),  # not simultaneous
        flute(67, 0.0, 1.0, velocity=0.5),  # no partial
        flute(48, 0.0, 1.0, velocity=0.5),  # below
        flute(72, 0.0, 1.0, velocity=0.5, track=1),  # another track's
    ],
)
def test_what_is_no_weaker_simultaneous_partial_above_is_no_ghost(table, other):
    assert flags_of(table, flute(60, 0.0, 1.0, velocity=0.75), other, flag="octave_ghost") == []


def test_drums_have_no_ghosts(table):
    rows = [flute(36, 0.0, 1.0, velocity=0.75, name="Drums"), flute(48, 0.0, 1.0, velocity=0.5, name="Drums")]
    assert flags_of(table, *rows, flag="octave_ghost") == []


def test_a_track_of_one_velocity_is_flagged_unless_it_is_one_note(table):
    rows = [flute(60, 0.0, 1.0), flute(62, 1.0, 2.0), flute(60, 0.0, 1.0, track=1)]
    rows += [flute(60, 0.0, 1.0, track=2), flute(60, 1.0, 2.0, track=2, velocity=0.25)]
    found = note_flags(table(sorted(rows, key=lambda row: row[3])), flags=["constant_velocity"])
    assert found.select("track", "detail").rows() == [(0, 0.5), (0, 0.5)]


# across tracks


def test_the_later_of_two_tracks_that_play_a_pitch_together_is_the_echo(table):
    rows = [flute(60, 0.0, 1.0, track=1), flute(60, 0.03, 1.0, name="Oboe"), flute(60, 0.031, 1.0, track=2)]
    assert flags_of(table, *rows, flag="echo") == [
        (0, 60, 0.03, pytest.approx(0.03)),
        (2, 60, 0.031, pytest.approx(0.001)),
    ]


def test_of_notes_that_start_at_one_time_the_higher_track_is_the_echo(table):
    assert flags_of(table, flute(60, 0.0, 1.0), flute(60, 0.0, 1.0, track=1), flag="echo") == [(1, 60, 0.0, 0.0)]


def test_a_track_does_not_echo_itself(table):
    assert flags_of(table, flute(60, 0.0, 1.0), flute(60, 0.01, 1.0), flag="echo") == []


def test_a_repetition_in_between_does_not_hide_the_note_that_is_echoed(table):
    rows = [flute(60, 0.0, 1.0, track=1), flute(60, 0.01, 1.0), flute(60, 0.02, 1.0)]
    assert [start for _, _, start, _ in flags_of(table, *rows, flag="echo")] == [0.01, 0.02]


def test_drums_do_not_echo_pitches(table):
    assert flags_of(table, flute(60, 0.0, 1.0), flute(60, 0.0, 1.0, name="Drums", track=1), flag="echo") == []


# all flags


def expected_flags(notes):
    """Every flag by its definition, comparing each note with all notes before it."""
    found = []
    us = [(round(start * 1e6), round(end * 1e6)) for _, _, _, start, end, _, _ in notes]
    for i, (task, name, pitch, start, end, _, track) in enumerate(notes):
        on, off = us[i]
        same = [(j, *us[j]) for j in range(i) if notes[j][0] == task and notes[j][6] == track and notes[j][2] == pitch]
        flags = set()
        if name != "Drums" and off - on < 50_000:
            flags.add("too_short")
        if any((on, off) == (a, b) for _, a, b in same):
            flags.add("duplicate")
        elif same and max(b for _, _, b in same) == on:
            flags.add("fragment")
        elif same and max(b for _, _, b in same) > on:
            flags.add("overlap")
        flags |= {"echo"} & {"echo" for j, n in enumerate(notes) if echoed(n, us[j][0], notes[i], on)}
        if name != "Drums" and any(ghost_of(notes, us, i, d) for d in (12, 19, 24)):
            flags.add("octave_ghost")
        if not RANGES[name][0] <= pitch <= RANGES[name][1]:
            flags.add("out_of_range")
        track_velocities = [n[5] for n in notes if n[0] == task and n[6] == track]
        if len(track_velocities) > 1 and len(set(track_velocities)) == 1:
            flags.add("constant_velocity")
        found += [(task, track, pitch, start, end, flag) for flag in flags]
    return sorted(found)


def echoed(other, other_on, note, on):
    alike = other[0] == note[0] and other[2] == note[2] and (other[1] == "Drums") == (note[1] == "Drums")
    return (
        alike
        and (0 < on - other_on <= 30_000 or on == other_on)
        and (other_on, other[6]) < (on, note[6])
        and (other[6] != note[6])
    )


def ghost_of(notes, us, i, semitones):
    task, _, pitch, _, _, velocity, track = notes[i]
    below = [
        (us[j], n[5])
        for j, n in enumerate(notes)
        if (n[0], n[6], n[2]) == (task, track, pitch - semitones) and us[j][0] <= us[i][0] + 30_000
    ]
    if not below:
        return False
    (on, _), loud = max(below)
    return on >= us[i][0] - 30_000 and loud > velocity


@settings(max_examples=30)
@given(data=st.data())
def test_flags_are_what_comparing_every_note_with_every_other_gives(note_tables, data):
    notes = data.draw(note_tables())
    found = note_flags(notes).filter(pl.col("flag") != "off_grid")
    ours = sorted(found.select("task", "track", "pitch", "start", "end", "flag").rows())
    assert ours == expected_flags(notes.rows())


def test_times_on_the_services_grid_are_never_off_it(table):
    notes = table([flute(60, k / 192, (k + 1) / 192) for k in range(0, 700_000, 997)])
    assert note_flags(notes, flags=["off_grid"]).height == 0


def test_flags_of_a_note_stand_together_in_the_order_of_the_table(table):
    rows = [flute(50, 0.0, 0.01), flute(50, 0.0, 0.01)]
    assert note_flags(table(rows))["flag"].to_list() == [
        *("too_short", "out_of_range", "constant_velocity", "off_grid"),
        *("too_short", "duplicate", "out_of_range", "constant_velocity", "off_grid"),
    ]


def test_columns_of_ones_own_do_not_disturb(table):
    notes = table([flute(60, 0.0, 1.0), flute(60, 1.0, 2.0)]).with_columns(fragment=pl.lit("mine"))
    assert note_flags(notes, flags=["fragment"]).height == 1


def test_a_time_in_the_far_future_does_not_hide_faults(table):
    rows = [flute(60, 0.0, 1e300), flute(127, 0.0, 0.01), flute(60, 1.0, 2.0)]
    assert flags_of(table, *rows, flag="overlap") == [(0, 60, 1.0, 1.0)]


# quality_score


def test_the_score_is_the_share_of_notes_without_a_fault(table):
    rows = [flute(60, 0.0, 1.0), flute(60, 1.0, 2.0, velocity=0.25), flute(50, 1.5, 1.5), flute(64, 2.0, 3.0)]
    score = quality_score(table(rows))
    assert score.select("notes", "fragment", "too_short", "out_of_range", "faulty_notes", "score").rows() == [
        (4, 1, 1, 1, 2, 0.5)
    ]


def test_notices_make_no_note_bad(table):
    score = quality_score(table([flute(60, 0.1, 0.7), flute(62, 0.7, 1.3)]))
    assert score.select("constant_velocity", "off_grid", "score").rows() == [(2, 2, 1.0)]


def test_the_faults_that_count_can_be_chosen(table):
    notes = table([flute(60, 0.0, 1.0), flute(50, 1.0, 1.0)])
    assert quality_score(notes, faults=["fragment"])["score"].to_list() == [1.0]
    assert quality_score(notes, faults=[])["score"].to_list() == [1.0]


def test_what_is_past_the_end_is_null_where_the_end_is_not_known(table):
    notes = table([flute(60, 0.0, 9.0), flute(60, 0.0, 9.0, task="b")])
    assert quality_score(notes, durations=lengths(a=4.0)).select("task", "past_end", "score").rows() == [
        ("a", 1, 0.0),
        ("b", None, 1.0),
    ]


@settings(max_examples=15)
@given(data=st.data())
def test_the_score_counts_the_flags(note_tables, data):
    notes = data.draw(note_tables(min_size=1))
    flags = note_flags(notes)
    for row in quality_score(notes).iter_rows(named=True):
        of_task = flags.filter(pl.col("task") == row["task"])
        for flag in set(FLAGS) - {"past_end"}:
            assert row[flag] == of_task.filter(pl.col("flag") == flag).height
        assert row["score"] == pytest.approx(1 - row["faulty_notes"] / row["notes"])
        assert row["notes"] == notes.filter(pl.col("task") == row["task"]).height


def test_the_golden_fixture_bears_no_fault_but_its_repeated_and_out_of_range_notes(golden):
    faults = note_flags(golden, flags=FAULTS)
    assert set(faults["flag"].to_list()) <= {"fragment", "out_of_range", "octave_ghost", "too_short"}


# both


def test_columns_have_the_types_that_are_documented(table):
    notes = table([flute(50, 0.0, 0.0)])
    assert note_flags(notes).schema == {
        "task": pl.String,
        "track": pl.UInt16,
        "instrument": pl.String,
        "pitch": pl.UInt8,
        "start": pl.Float64,
        "end": pl.Float64,
        "velocity": pl.Float32,
        "flag": pl.String,
        "detail": pl.Float64,
    }
    counts = dict.fromkeys(("notes", *FLAGS, "faulty_notes"), pl.UInt32)
    assert quality_score(notes).schema == {"task": pl.String} | counts | {"score": pl.Float64}


@pytest.mark.parametrize("helper", HELPERS)
def test_no_notes_give_no_rows_of_the_same_schema(table, helper):
    none = helper(table([]))
    assert none.height == 0
    assert none.schema == helper(table([flute(60, 0.0, 1.0)])).schema


@pytest.mark.parametrize("helper", HELPERS)
def test_a_lazyframe_gives_the_same_answer(golden, helper):
    assert helper(golden.lazy()).collect().equals(helper(golden))


@pytest.mark.parametrize("helper", HELPERS)
def test_starts_that_descend_are_an_error(table, helper):
    with pytest.raises(NotesOrderError, match=r"task a: notes are not in canonical order; call sort_notes\(notes\)"):
        helper(table([flute(60, 1.0, 2.0), flute(64, 0.0, 2.0)]))


@pytest.mark.parametrize("helper", HELPERS)
@settings(max_examples=15)
@given(data=st.data())
def test_shuffled_rows_give_the_right_answer_or_the_order_error(helper, note_tables, data):
    notes = data.draw(note_tables())
    shuffled = pl.DataFrame(data.draw(st.permutations(notes.rows())), schema=NOTES_SCHEMA, orient="row")
    try:
        result = helper(shuffled)
    except NotesOrderError:
        return
    hidden = [name for name in ("velocity", "instrument") if name in result.columns]
    assert result.drop(hidden).equals(helper(notes).drop(hidden))


@pytest.mark.parametrize("helper", HELPERS)
@settings(max_examples=15)
@given(data=st.data())
def test_tasks_worked_on_apart_and_put_together_are_the_same(helper, note_tables, data):
    notes = data.draw(note_tables(min_size=1))
    apart = pl.concat(map(helper, notes.partition_by("task", maintain_order=True)))
    assert apart.equals(helper(notes))


@settings(max_examples=15)
@given(data=st.data(), seconds=st.integers(1, 10_000))
def test_a_shift_in_time_changes_no_flag(note_tables, data, seconds):
    notes = data.draw(note_tables())
    later = note_flags(notes.with_columns(pl.col("start", "end") + seconds))
    columns = ["task", "track", "pitch", "flag"]
    assert later.select(columns).equals(note_flags(notes).select(columns))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"flags": ["loud"]}, "flags: expected one of 'too_short', .* got 'loud'"),
        ({"flags": []}, "flags: expected one or more, got none"),
        ({"shortest": -1}, "shortest: expected seconds, 0 or more, got -1"),
        ({"together": math.nan}, "together: expected seconds, 0 or more, got nan"),
        ({"durations": pl.DataFrame({"task": ["a"]})}, "durations: expected the columns 'task' .* and 'duration'"),
        ({"durations": lengths(a=1.0).vstack(lengths(a=2.0))}, "durations: expected one row per task, .* 'a'"),
    ],
)
def test_options_that_mean_nothing_are_refused(table, options, message):
    with pytest.raises(ValueError, match=message):
        note_flags(table([flute(60, 0.0, 1.0)]), **options)


def test_a_notice_is_no_fault(table):
    with pytest.raises(ValueError, match=r"faults: expected one of .* got 'off_grid'"):
        quality_score(table([]), faults=["off_grid"])
