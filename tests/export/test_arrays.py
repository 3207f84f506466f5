import csv
import math

import mir_eval
import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kie_notes.errors import NotesOrderError, NotesSchemaError
from kie_notes.export.arrays import from_note_array, to_mir_eval, to_note_array
from kie_notes.notes import NOTES_SCHEMA

INSTRUMENTS = ("Flute", "Drums", "Flute", "Cello")
CONVERTERS = [to_mir_eval, to_note_array]


def table(*rows):
    return pl.DataFrame(rows, schema=NOTES_SCHEMA, orient="row")


def flute(pitch, start, end, *, task="a", velocity=1.0, track=0, name="Flute"):
    return (task, name, pitch, start, end, velocity, track)


@st.composite
def tables(draw, step=192):
    """Draw a table in canonical order, its times on a grid and its velocities n / 127."""
    note = st.tuples(
        st.sampled_from("ab"),
        st.integers(0, 40_000),
        st.integers(0, 3),
        st.integers(0, 127),
        st.integers(1, 2000),
        st.integers(0, 127),
    )
    notes = sorted(draw(st.lists(note, max_size=20)), key=lambda n: (n[0], n[1], n[2], n[3], n[4], n[5]))
    return table(*((t, INSTRUMENTS[k], p, s / step, (s + d) / step, v / 127, k) for t, s, k, p, d, v in notes))


# mir_eval


def test_arrays_of_published_transcriptions_have_their_published_scores(shared):
    folder = shared / "samples" / "expected" / "mir_eval" / "transcription"
    with (shared / "samples" / "expected" / "mir_eval_transcription.csv").open(encoding="utf-8") as file:
        published = [row for row in csv.DictReader(file) if row["kind"] == "transcription"]
    assert published
    for row in published:
        rows = []
        for side in ("ref", "est"):
            lines = (folder / f"{side}{row['pair']}.txt").read_text(encoding="utf-8").splitlines()
            values = [map(float, line.split("\t")) for line in lines if not line.startswith("#")]
            # in the order of the file, on which it depends which of several best matchings mir_eval finds
            rows += (flute(round(69 + 12 * math.log2(hz / 440)), s, e, task=side) for s, e, hz in values)
        arrays = to_mir_eval(table(*rows))
        scores = mir_eval.transcription.evaluate(*arrays["ref"][:2], *arrays["est"][:2])
        for name in ("Precision", "Recall", "F-measure", "Average_Overlap_Ratio", "Onset_F-measure"):
            assert scores[name] == pytest.approx(float(row[name]), abs=1e-12), (row["pair"], name)


def test_all_three_arrays_are_the_arguments_of_mir_evals_velocity_scores():
    notes = table(flute(60, 0.0, 1.0, velocity=0.25), flute(64, 1.0, 2.0, velocity=0.75))
    ours = to_mir_eval(notes)["a"]
    assert mir_eval.transcription_velocity.evaluate(*ours, *ours)["F-measure"] == 1.0


def test_frequencies_are_mir_evals_own_for_every_pitch():
    notes = table(*(flute(pitch, pitch / 192, 1.0) for pitch in range(128)))
    expected = mir_eval.util.midi_to_hz(np.arange(128.0))
    np.testing.assert_array_equal(to_mir_eval(notes)["a"].pitches, expected)


def test_mir_eval_refuses_what_is_refused_here_and_the_error_says_where():
    notes = table(flute(60, 0.0, 1.0), flute(60, 1.5, 1.5))
    times = notes.select("start", "end").to_numpy()
    with pytest.raises(ValueError, match="must be strictly positive"):
        mir_eval.util.validate_intervals(times)
    with pytest.raises(NotesSchemaError, match=r"task 'a': notes\[1\] starts and ends at 1.5 s, .*leave them out"):
        to_mir_eval(notes)


def test_drums_without_duration_do_not_matter_where_drums_are_left_out():
    notes = table(flute(60, 0.0, 1.0), flute(36, 0.5, 0.5, name="Drums", track=1))
    assert to_mir_eval(notes, drums="exclude")["a"].intervals.tolist() == [[0.0, 1.0]]


def test_each_task_has_its_own_notes_in_the_order_of_the_table():
    arrays = to_mir_eval(table(flute(69, 0.5, 1.0, task="b"), flute(57, 0.0, 1.0, task="a"), flute(69, 2.0, 3.0)))
    assert [(task, one.pitches.tolist()) for task, one in arrays.items()] == [("b", [440.0]), ("a", [220.0, 440.0])]


# partitura


def test_partitura_takes_the_array_and_gives_the_same_notes(partitura):
    notes = table(flute(60, 7 / 192, 0.5, velocity=64 / 127), flute(36, 1 / 3, 2.0, name="Drums", track=4))
    ours = to_note_array(notes)["a"]
    theirs = partitura.performance.PerformedPart.from_note_array(ours).note_array()
    assert theirs.dtype.names == ours.dtype.names
    for name in ("onset_tick", "duration_tick", "pitch", "velocity", "track", "channel", "id"):
        assert theirs[name].tolist() == ours[name].tolist(), name
    np.testing.assert_array_equal(theirs["onset_sec"], ours["onset_sec"].astype("f4"))


def test_partituras_own_array_becomes_the_exact_table_again(partitura):
    rows = [flute(60, k / 192, (k + 5) / 192, velocity=1 / 127) for k in range(0, 60_000, 1001)]
    part = partitura.performance.PerformedPart.from_note_array(to_note_array(table(*rows))["a"])
    assert from_note_array(part.note_array(), task="a", instruments="Flute").equals(table(*rows))


def test_partitura_computes_its_piano_roll_from_the_array(partitura):
    array = to_note_array(table(flute(60, 0.0, 0.5), flute(62, 0.25, 1.0)))["a"]
    with pytest.warns(UserWarning, match="Do not consider drum track"):
        roll = partitura.utils.music.compute_pianoroll(array, time_unit="sec", time_div=8).toarray()
    assert np.argwhere(roll).tolist() == [[60, 0], [60, 1], [60, 2], [60, 3], *([62, k] for k in range(2, 8))]


# note arrays by hand


def test_a_note_array_has_seconds_ticks_and_midi_numbers():
    array = to_note_array(table(flute(60, 0.5, 0.75, velocity=0.5, track=2)))["a"]
    assert dict(zip(array.dtype.names, array.tolist()[0], strict=True)) == {
        "onset_sec": 0.5,
        "duration_sec": 0.25,
        "onset_tick": 480,
        "duration_tick": 240,
        "pitch": 60,
        "velocity": 64,
        "track": 2,
        "channel": 2,
        "id": "n0",
    }


def test_drums_are_on_channel_9_and_nothing_else_is():
    notes = [flute(60, k / 4, 9.0, track=k, name="Drums" if k == 1 else "Flute") for k in range(17)]
    channels = to_note_array(table(*notes))["a"]["channel"].tolist()
    assert channels == [0, 9, 2, 3, 4, 5, 6, 7, 8, 10, 11, 12, 13, 14, 15, 0, 1]


def test_ids_count_within_each_task():
    arrays = to_note_array(table(*(flute(60, float(k), 99.0, task=task) for task in "ab" for k in range(11))))
    assert arrays["b"]["id"].tolist() == [f"n{k}" for k in range(11)]


@settings(max_examples=50, deadline=None)
@given(tables())
def test_what_is_on_the_grid_comes_back_as_it_was(notes):
    names = dict(enumerate(INSTRUMENTS))
    for task, array in to_note_array(notes).items():
        assert from_note_array(array, task=task, instruments=names).equals(notes.filter(task=task))


@settings(max_examples=50, deadline=None)
@given(tables(step=997))
def test_off_the_grid_an_end_moves_by_a_unit_in_the_last_place_at_most(notes):
    for task, array in to_note_array(notes).items():
        before, after = notes.filter(task=task), from_note_array(array, task=task, instruments="Flute")
        assert after["start"].equals(before["start"])
        assert ((after["end"] - before["end"]).abs() <= np.spacing(before["end"].to_numpy())).all()


def test_seconds_stand_where_ticks_say_another_time():
    array = to_note_array(table(flute(60, 0.0004, 0.5)))["a"]
    assert from_note_array(array, task="a", instruments="Flute")["start"].to_list() == [0.0004]


def test_ticks_of_another_rate_are_read_at_that_rate():
    fields = [("onset_sec", "f4"), ("duration_sec", "f4"), ("onset_tick", "i4"), ("duration_tick", "i4")]
    array = np.array([(1 / 3, 1 / 3, 100, 100, 60, 127)], [*fields, ("pitch", "i4"), ("velocity", "i4")])
    back = from_note_array(array, task="a", instruments="Flute", ticks_per_second=300)
    assert back.select("start", "end").rows() == [(1 / 3, 2 / 3)]


def test_an_array_without_ticks_and_tracks_is_track_0():
    fields = [("onset_sec", "f8"), ("duration_sec", "f8"), ("pitch", "i4"), ("velocity", "i4")]
    array = np.array([(1.0, 0.5, 62, 127), (0.0, 0.5, 60, 0)], fields)
    back = from_note_array(array, task="a", instruments={0: "Oboe"})
    assert back.rows() == [("a", "Oboe", 60, 0.0, 0.5, 0.0, 0), ("a", "Oboe", 62, 1.0, 1.5, 1.0, 0)]


def test_a_missing_field_is_named():
    array = np.zeros(1, [("onset_sec", "f8"), ("pitch", "i4")])
    with pytest.raises(NotesSchemaError, match="missing fields 'duration_sec', 'velocity'; got"):
        from_note_array(array, task="a", instruments="Flute")


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("pitch", 128, r"array\[1\]: expected a pitch from 0 to 127, got 128"),
        ("velocity", -1, r"array\[1\]: expected a velocity from 0 to 127, got -1"),
        ("duration_sec", -2.0, r"array\[1\]: end -1.0 s is before start 1.0 s"),
        ("onset_sec", math.nan, r"array\[1\]: start NaN s and end NaN s must be finite numbers"),
    ],
)
def test_a_value_that_no_note_can_have_is_refused_with_its_place(field, value, said):
    array = to_note_array(table(flute(60, 0.0, 1.0), flute(60, 1.0, 2.0)))["a"].copy()
    array[field][1] = value
    with pytest.raises(NotesSchemaError, match=said):
        from_note_array(array, task="a", instruments="Flute")


def test_a_track_without_a_name_is_refused():
    array = to_note_array(table(flute(60, 0.0, 1.0, track=3)))["a"]
    with pytest.raises(ValueError, match=r"instruments: expected a name for each track, got none for \[3\]"):
        from_note_array(array, task="a", instruments={0: "Flute"})


def test_ticks_that_32_bits_do_not_hold_are_refused():
    with pytest.raises(NotesSchemaError, match=r"notes end at 2500000\.0 s, expected at most 2,236,962 s"):
        to_note_array(table(flute(60, 0.0, 2.5e6)))


# both


@pytest.mark.parametrize("convert", CONVERTERS)
def test_no_notes_make_no_arrays(convert):
    assert convert(table()) == {}


@pytest.mark.parametrize("convert", CONVERTERS)
def test_a_lazy_table_makes_the_same_arrays(convert):
    notes = table(flute(60, 0.0, 1.0), flute(60, 1.0, 2.0, task="b"))
    for task, arrays in convert(notes.lazy()).items():
        np.testing.assert_equal(arrays, convert(notes)[task])


@pytest.mark.parametrize("convert", CONVERTERS)
def test_a_task_in_two_places_is_an_error(convert):
    notes = table(flute(60, 0.0, 1.0), flute(60, 0.0, 1.0, task="b"), flute(60, 1.0, 2.0))
    with pytest.raises(NotesOrderError, match=r"task 'a': its notes do not stand together; call sort_notes\(notes\)"):
        convert(notes)


@pytest.mark.parametrize("convert", CONVERTERS)
def test_a_note_that_cannot_be_is_refused_with_its_row(convert):
    with pytest.raises(NotesSchemaError, match=r"notes\[1\]: velocity 96.0 is above 1 \(did you pass MIDI velocities"):
        convert(table(flute(60, 0.0, 1.0), flute(60, 0.0, 1.0, velocity=96.0)))


def test_an_empty_array_makes_an_empty_table():
    array = to_note_array(table(flute(60, 0.0, 1.0)))["a"][:0]
    assert from_note_array(array, task="a", instruments="Flute").equals(table())
