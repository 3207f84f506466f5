import hashlib
import io
import subprocess
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pretty_midi
import pytest

from kie_notes import instruments
from kie_notes.errors import MidiError, NotesOrderError, NotesSchemaError
from kie_notes.instruments import UnknownInstrumentWarning
from kie_notes.midi import LOSSES_SCHEMA, WRITTEN_SCHEMA, from_midi, midi_losses, to_midi, write_midi
from kie_notes.notes import NOTES_SCHEMA, sort_notes

pytestmark = pytest.mark.filterwarnings("ignore::kie_notes.instruments.UnknownInstrumentWarning")


def table(*rows, **common):
    base = {"task": "t1", "instrument": "Flute", "pitch": 60, "start": 0.0, "end": 1.0, "velocity": 1.0, "track": 0}
    return sort_notes(pl.DataFrame([base | common | row for row in rows], schema=NOTES_SCHEMA))


def written(midi):
    file = io.BytesIO()
    midi.write(file)
    return file.getvalue()


def trip(notes):
    return from_midi(pretty_midi.PrettyMIDI(io.BytesIO(written(to_midi(notes)))))


def listing(folder):
    return sorted(path.name for path in folder.iterdir())


def texts(notes):
    return notes.with_columns(pl.col("task", "instrument").cast(pl.String))


# what is lost ------------------------------------------------------------------------------------------------------


def test_a_note_of_no_length_becomes_one_tick():
    losses = midi_losses(table({"start": 0.5, "end": 0.5}))
    assert losses.select("end_after", "reason").rows() == [
        (0.5 + 1 / 960, "zero length: became one tick, end moved by +1.04 ms")
    ]


def test_a_time_off_the_grid_moves_to_the_nearest_tick():
    notes = table({"end": 0.25}, {"start": 1.0, "end": 2.0 + 1e-6}, {"start": 3.0, "end": 200.00001})
    losses = midi_losses(notes)
    assert losses["start"].to_list() == [1.0, 3.0]
    assert losses["start_after"].to_list() == [1.0, 3.0]
    assert losses["end_after"].to_list() == [2.0, 200.0]
    assert losses["reason"].to_list() == [
        "off the grid: end moved by -0.001 ms",
        "off the grid: end moved by -0.01 ms",
    ]


@pytest.mark.parametrize(
    ("velocity", "after", "reason"),
    [
        (0.0, 1 / 127, "velocity 0 became 1/127"),
        (0.001, 1 / 127, "velocity off the steps of 1/127: moved by +0.00687"),
        (0.5, 64 / 127, "velocity off the steps of 1/127: moved by +0.00394"),
    ],
)
def test_a_velocity_between_two_steps_takes_the_nearest_from_one_on(velocity, after, reason):
    losses = midi_losses(table({"velocity": velocity}))
    assert losses.select("velocity_after", "reason").rows() == [(np.float32(after), reason)]


def test_the_127_velocities_of_the_service_come_back_bit_for_bit():
    notes = table(*({"start": n / 1.0, "end": n + 0.5, "velocity": n / 127} for n in range(1, 128)))
    assert trip(notes)["velocity"].to_list() == [float(np.float32(n / 127)) for n in range(1, 128)]
    assert midi_losses(notes).is_empty()


def test_several_reasons_stand_in_one_row():
    notes = table({"start": 2**0.5, "end": 2**0.5, "velocity": 0.0}, {"end": 240.0})
    (reason,) = midi_losses(notes)["reason"]
    assert [part.partition(" ")[0] for part in reason.split("; ")] == ["off", "zero", "velocity"]


def test_a_name_that_is_no_instrument_is_no_loss():
    assert midi_losses(table({"instrument": "Theremin"})).is_empty()


def test_losses_of_an_empty_table_are_an_empty_table():
    assert midi_losses(NOTES_SCHEMA.to_frame()).schema == LOSSES_SCHEMA
    assert midi_losses(NOTES_SCHEMA.to_frame()).is_empty()


def test_losses_of_several_tasks_are_those_of_each():
    notes = pl.concat([table({"velocity": 0.0}, task="b"), table({}, task="c"), table({"velocity": 0.5}, task="a")])
    assert midi_losses(notes)["task"].to_list() == ["b", "a"]


def test_notes_of_one_pitch_that_overlap_nest_or_coincide_are_kept():
    spans = [(0.0, 2.0), (0.0, 2.0), (0.0, 4.0), (1.0, 2.0), (1.0, 3.0), (2.0, 3.0)]
    notes = table(*({"start": start, "end": end} for start, end in spans))
    assert trip(notes).select("start", "end").rows() == spans
    assert len(to_midi(notes).instruments) == 5


# to_midi -----------------------------------------------------------------------------------------------------------


def test_tracks_stand_in_the_tables_order_and_extra_ones_behind():
    notes = table(
        {"track": 4, "instrument": "Drums", "pitch": 38},
        {"track": 4, "instrument": "Drums", "pitch": 38, "end": 2.0},
        {"track": 1, "instrument": "Violin"},
        {"track": 9, "instrument": "String Ensemble 1"},
    )
    made = [(track.name, track.program, track.is_drum, len(track.notes)) for track in to_midi(notes).instruments]
    expected = [("Violin", 40, False, 1), ("Drums", 0, True, 1), ("String Ensemble 1", 48, False, 1)]
    assert made == [*expected, ("Drums", 0, True, 1)]
    assert trip(notes).equals(notes)


def test_a_name_beyond_ascii_is_shown_without_accents_and_comes_back_with_them():
    notes = table({"instrument": "Flûte à bec"}, {"instrument": "ピアノ", "track": 1})
    assert [track.name for track in to_midi(notes).instruments] == ["Flute a bec", "???"]
    assert trip(notes)["instrument"].to_list() == ["Flûte à bec", "ピアノ"]


def test_an_unknown_name_plays_as_program_0_and_warns(monkeypatch):
    monkeypatch.setattr(instruments, "_warned", set())  # it warns once of each name
    with pytest.warns(UnknownInstrumentWarning, match="'Nose Flute 7' is no General MIDI instrument"):
        midi = to_midi(table({"instrument": "Nose Flute 7"}))
    assert (midi.instruments[0].name, midi.instruments[0].program) == ("Nose Flute 7", 0)


def test_tracks_of_one_name_stay_apart():
    notes = table(*({"track": track, "instrument": "Voice Oohs"} for track in (0, 2, 3, 7)))
    assert trip(notes)["track"].to_list() == [0, 2, 3, 7]


def test_no_notes_make_an_object_without_tracks():
    midi = to_midi(NOTES_SCHEMA.to_frame())
    assert midi.instruments == []
    assert trip(NOTES_SCHEMA.to_frame()).schema == NOTES_SCHEMA
    assert trip(NOTES_SCHEMA.to_frame()).is_empty()


def test_a_lazy_frame_and_text_columns_are_taken_too():
    notes = table({"instrument": "Violin"})
    assert from_midi(to_midi(texts(notes).lazy())).equals(notes)


def test_two_tasks_fit_no_single_file():
    with pytest.raises(MidiError, match=r"2 tasks in one table, a MIDI file holds one: filter.*, or use write_midi"):
        to_midi(pl.concat([table({}), table({}, task="t2")]))


@pytest.mark.parametrize("call", [to_midi, midi_losses])
@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"velocity": 96.0}, r"notes\[0\]: velocity 96.0 is above 1 \(did you pass MIDI velocities\? divide by 127\)"),
        ({"velocity": -0.5}, r"velocity -0.5 is below 0"),
        ({"velocity": float("nan")}, r"velocity NaN is above 1"),
        ({"start": float("nan")}, r"start NaN s and end 1.0 s must be finite"),
        ({"end": float("inf")}, r"end inf s must be finite"),
        ({"start": -1.0}, r"start -1.0 s is before 0"),
        ({"start": 2.0}, r"end 1.0 s is before start 2.0 s"),
        ({"pitch": 128}, r"pitch 128 is above 127"),
        ({"velocity": None}, r"a value is missing"),
        ({"end": 5_000_000.0}, r"the last note ends at 5000000 s"),
    ],
)
def test_a_value_that_no_note_can_have_is_named(call, row, message):
    with pytest.raises(MidiError, match=rf"task 't1'.*{message}"):
        call(table(row))


def test_two_instruments_on_one_track_are_refused():
    with pytest.raises(MidiError, match=r"task 't1': track 0 bears two instruments, 'Flute' and 'Oboe'"):
        to_midi(table({}, {"instrument": "Oboe", "pitch": 61}))


def test_more_tracks_than_a_file_holds_are_refused():
    notes = table(*({"track": track} for track in range(32_767)))
    with pytest.raises(MidiError, match="task 't1': 32767 tracks, a MIDI file holds at most 32766"):
        to_midi(notes)


def test_notes_out_of_order_are_refused():
    with pytest.raises(NotesOrderError, match=r"task 't1': notes are not in canonical order; call sort_notes"):
        to_midi(table({"start": 0.0}, {"start": 0.5}).reverse())


def test_a_task_in_two_runs_is_refused():
    with pytest.raises(NotesOrderError, match=r"task 't1': its notes do not stand together; call sort_notes"):
        midi_losses(pl.concat([table({}), table({}, task="t2"), table({})]))


def test_another_frame_is_refused():
    with pytest.raises(NotesSchemaError, match="missing column"):
        to_midi(pl.DataFrame({"pitch": [60]}))


def test_three_hours_on_the_grid_are_exact():
    notes = table({"start": 7 / 192}, {"start": 3 * 3600 + 5 / 192, "end": 3 * 3600 + 6 / 192})
    assert trip(notes).equals(notes)
    assert to_midi(notes).resolution == 384


# write_midi --------------------------------------------------------------------------------------------------------


def test_a_file_is_named_by_a_digest_of_its_task_and_holds_the_id(tmp_path):
    ids = ["../../etc/passwd", "", "a/b", "A/B", "con", "x" * 5000, "日本"]
    notes = pl.concat([table({}, task=task) for task in ids])
    rows = write_midi(notes, tmp_path / "new" / "folder")
    assert listing(tmp_path / "new" / "folder") == sorted(
        f"{hashlib.sha256(task.encode()).hexdigest()[:32]}.mid" for task in ids
    )
    assert rows["task"].to_list() == ids
    assert [from_midi(path)["task"][0] for path in rows["path"]] == ids
    assert listing(tmp_path) == ["new"]


def test_a_row_says_what_the_file_holds(tmp_path):
    spans = [(0.0, 1.0, 1.0), (0.5, 1.0, 1.0), (1.0, 1.0, 1.0), (2.0, 3.0, 0.5)]
    rows = write_midi(table(*({"start": s, "end": e, "velocity": v} for s, e, v in spans)), tmp_path)
    assert rows.schema == WRITTEN_SCHEMA
    content = Path(rows["path"][0]).read_bytes()
    assert rows.drop("path").row(0, named=True) == {
        "task": "t1",
        "sha256": hashlib.sha256(content).hexdigest(),
        "bytes": len(content),
        "ppq": 480,
        "tracks": 2,
        "extra_tracks": 1,
        "shared_channels": 0,
        "notes": 4,
        "exact": 2,
        "moved": 1,
        "velocity_changed": 1,
        "largest_shift": pytest.approx(1 / 960, abs=1e-15),
        "reason": None,
    }


def test_seventeen_programs_share_two_channels(tmp_path):
    programs = [pretty_midi.program_to_instrument_name(program) for program in range(17)]
    notes = table(*({"track": track, "instrument": name} for track, name in enumerate(programs)))
    assert write_midi(notes, tmp_path).select("tracks", "shared_channels").rows() == [(17, 4)]
    same = table(*({"track": track} for track in range(40)))
    assert write_midi(same, tmp_path).select("tracks", "shared_channels").rows() == [(40, 0)]


def test_a_task_that_no_file_can_hold_is_a_row_with_its_reason_or_an_error(tmp_path):
    notes = pl.concat([table({}), table({"velocity": 96.0}, task="bad"), table({}, task="t3")])
    rows = write_midi(notes, tmp_path, on_error="skip")
    assert rows["path"].is_null().to_list() == [False, True, False]
    assert rows.row(1, named=True)["notes"] == 1
    assert rows["reason"][1].startswith("task 'bad': notes[0]: velocity 96.0 is above 1")
    assert from_midi(tmp_path)["task"].sort().to_list() == ["t1", "t3"]
    with pytest.raises(MidiError, match="task 'bad'"):
        write_midi(notes, tmp_path)


def test_writing_again_replaces_the_file(tmp_path):
    write_midi(table({"pitch": 60}), tmp_path)
    write_midi(table({"pitch": 61}), tmp_path)
    assert from_midi(tmp_path)["pitch"].to_list() == [61]
    assert len(listing(tmp_path)) == 1


def test_no_tasks_write_no_files(tmp_path):
    assert write_midi(NOTES_SCHEMA.to_frame(), tmp_path).schema == WRITTEN_SCHEMA
    assert listing(tmp_path) == []


def test_importing_the_module_does_not_import_pretty_midi():
    code = "import sys, kie_notes.midi; print('pretty_midi' in sys.modules, 'mido' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]
