import csv
import gzip
from pathlib import Path

import numpy as np
import polars as pl
import pretty_midi
import pytest

from kie_notes.errors import MidiError
from kie_notes.instruments import find_instrument
from kie_notes.midi import MidiWarning, from_midi, to_midi, write_midi
from kie_notes.notes import NOTES_SCHEMA, sort_notes


def table(*rows, **common):
    base = {"task": "t1", "instrument": "Flute", "pitch": 60, "start": 0.0, "end": 1.0, "velocity": 1.0, "track": 0}
    return sort_notes(pl.DataFrame([base | common | row for row in rows], schema=NOTES_SCHEMA))


def midi_of(*tracks):
    """Make a MIDI object of (program, is_drum, name, notes) with notes of (velocity, pitch, start, end)."""
    midi = pretty_midi.PrettyMIDI()
    for program, is_drum, name, notes in tracks:
        track = pretty_midi.Instrument(program, is_drum, name)
        track.notes = [pretty_midi.Note(*note) for note in notes]
        midi.instruments.append(track)
    return midi


NOTE = (100, 60, 0.1, 0.7)


def test_somebodys_object_gives_its_seconds_as_they_are():
    starts = np.random.default_rng(7).uniform(0, 300, 100)
    midi = midi_of((73, False, "Flute", [(100, 60, start, start + 0.1) for start in starts]))
    notes = from_midi(midi, task="song")
    assert notes["start"].to_list() == sorted(starts)
    assert notes["end"].to_list() == sorted(starts + 0.1)
    assert notes["task"].unique().to_list() == ["song"]
    assert notes.schema == NOTES_SCHEMA


def test_velocity_is_the_127th_part():
    midi = midi_of((73, False, "Flute", [(64, 60, 0.0, 1.0), (127, 61, 0.0, 1.0)]))
    assert from_midi(midi)["velocity"].to_list() == [float(np.float32(64 / 127)), 1.0]


@pytest.mark.parametrize(
    ("program", "is_drum", "name", "expected"),
    [
        (73, False, "flute", "flute"),
        (48, False, "String Ensemble 1", "String Ensemble 1"),
        (48, False, "", "String Ensembles 1"),
        (33, False, "low end", "Electric Bass (finger)"),
        (33, False, "Flute", "Electric Bass (finger)"),
        (33, False, "Drums", "Electric Bass (finger)"),
        (0, False, "right hand", "Acoustic Grand Piano"),
        (0, True, "", "Drums"),
        (25, True, "Standard Kit", "Standard Kit"),
        (0, True, "Acoustic Grand Piano", "Drums"),
    ],
)
def test_a_track_is_named_by_what_it_plays(program, is_drum, name, expected):
    assert from_midi(midi_of((program, is_drum, name, [NOTE])))["instrument"].to_list() == [expected]


def test_tracks_are_numbered_in_the_objects_order_and_notes_sorted():
    midi = midi_of((73, False, "", [(100, 62, 1.0, 2.0), (100, 60, 1.0, 2.0)]), (0, True, "", [(100, 36, 0.5, 0.6)]))
    assert from_midi(midi).select("track", "pitch").rows() == [(1, 36), (0, 60), (0, 62)]


def test_an_object_without_notes_gives_an_empty_table():
    assert from_midi(pretty_midi.PrettyMIDI()).schema == NOTES_SCHEMA
    assert from_midi(midi_of((0, False, "", []))).is_empty()


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("pitch", 128, "pitch 128 is not a whole number from 0 to 127"),
        ("pitch", 60.5, "pitch 60.5 is not a whole number"),
        ("velocity", -1, "velocity -1 is not a whole number"),
        ("start", -1.0, r"notes\[0\]: start -1.0 s is before 0"),
        ("end", 0.05, r"notes\[0\]: end 0.05 s is before start 0.1 s"),
        ("end", float("nan"), r"must be finite numbers"),
    ],
)
def test_a_value_that_no_note_can_have_is_named(field, value, message):
    midi = midi_of((73, False, "", [NOTE]))
    setattr(midi.instruments[0].notes[0], field, value)
    with pytest.raises(MidiError, match=message):
        from_midi(midi)


def test_a_program_beyond_127_is_named():
    with pytest.raises(MidiError, match="MIDI track 'x': program 128 is not from 0 to 127"):
        from_midi(midi_of((128, False, "x", [NOTE])))


# objects that to_midi made and somebody changed ----------------------------------------------------------------------


def test_notes_that_were_moved_stay_where_they_were_moved_to():
    midi = to_midi(table({}, {"pitch": 61}))
    midi.instruments[0].notes[1].start = 0.123456
    assert from_midi(midi)["start"].to_list() == [0.0, 0.123456]


@pytest.mark.filterwarnings("ignore::kie_notes.instruments.UnknownInstrumentWarning")
def test_a_track_that_was_renamed_has_the_new_name():
    midi = to_midi(table({"instrument": "Flûte"}, {"instrument": "Épinette", "track": 1}))
    midi.instruments[0].name = "Acoustic Grand Piano"
    assert from_midi(midi)["instrument"].to_list() == ["Acoustic Grand Piano", "Épinette"]


@pytest.mark.filterwarnings("ignore::kie_notes.instruments.UnknownInstrumentWarning")
def test_another_program_gives_the_programs_name():
    midi = to_midi(table({"instrument": "Theremin"}))
    midi.instruments[0].program = 80
    assert from_midi(midi)["instrument"].to_list() == ["Lead 1 (square)"]


@pytest.mark.parametrize("change", ["remove", "add", "swap", "merge"])
def test_tracks_that_were_changed_are_numbered_in_their_order_with_a_warning(change):
    midi = to_midi(table({"track": 5}, {"track": 5, "end": 2.0}, {"track": 8, "instrument": "Oboe"}))
    if change == "remove":
        del midi.instruments[2]
    elif change == "add":
        midi.instruments.append(midi_of((73, False, "Flute", [NOTE])).instruments[0])
    elif change == "swap":
        midi.instruments[1:] = midi.instruments[:0:-1]
    else:
        midi.text_events.append(midi.text_events[0])
    with pytest.warns(MidiWarning, match="task 't1': the MIDI tracks are not those that kie_notes wrote"):
        notes = from_midi(midi)
    assert notes["task"].unique().to_list() == ["t1"]
    assert sorted(notes["track"].unique()) == list(range(len(midi.instruments)))


@pytest.mark.parametrize(
    "text",
    [
        '{"kie_notes":',
        '{"kie_notes":2,"task":"t","tracks":[0]}',
        '{"kie_notes":1,"task":"t","tracks":[-1]}',
        '{"kie_notes":1,"task":"t","tracks":[70000]}',
        '{"kie_notes":1,"task":5,"tracks":[0]}',
        '{"kie_notes":1,"tracks":[0]}',
        '{"kie_notes":1,"task":"\\ud800","tracks":[0]}',
    ],
)
def test_an_event_that_is_none_of_ours_is_left_aside_with_a_warning(text):
    midi = midi_of((73, False, "", [NOTE]))
    midi.text_events.append(pretty_midi.Text(text, 0.0))
    with pytest.warns(MidiWarning, match="kie_notes' text event cannot be read and is left aside"):
        notes = from_midi(midi, task="song")
    assert notes["task"].to_list() == ["song"]


def test_other_text_events_are_none_of_ours():
    midi = midi_of((73, False, "", [NOTE]))
    midi.text_events.append(pretty_midi.Text('{"title": "kie_notes"}', 0.0))
    assert from_midi(midi)["task"].to_list() == ["midi"]


# files and folders -------------------------------------------------------------------------------------------------


def put(path, midi):
    path.parent.mkdir(parents=True, exist_ok=True)
    midi.write(str(path))


def test_files_are_named_by_their_paths_and_read_in_their_order(tmp_path):
    for name in ("b.mid", "a/z.MIDI", "a/c.d.mid", "é.mid"):
        put(tmp_path / name, midi_of((73, False, "", [NOTE])))
    (tmp_path / "notes.txt").write_text("no MIDI")
    assert from_midi(tmp_path)["task"].to_list() == ["a/c.d", "a/z", "b", "é"]
    assert from_midi(str(tmp_path / "a" / "c.d.mid"))["task"].to_list() == ["c.d"]


def test_a_file_that_bears_its_task_has_it_wherever_it_lies(tmp_path):
    put(tmp_path / "x" / "renamed.mid", to_midi(table({})))
    assert from_midi(tmp_path)["task"].to_list() == ["t1"]
    assert from_midi(tmp_path / "x" / "renamed.mid", task="other")["task"].to_list() == ["t1"]


def test_a_folder_without_midi_files_gives_an_empty_table(tmp_path):
    assert from_midi(tmp_path).schema == NOTES_SCHEMA
    assert from_midi(tmp_path).is_empty()


def test_what_is_not_there_is_an_error(tmp_path):
    with pytest.raises(MidiError, match=r"gone.mid: no such file or folder"):
        from_midi(tmp_path / "gone.mid")


BROKEN = [b"", b"MThd", b"no MIDI at all", b"MThd\x00\x00\x00\x06\x00\x01\x00\x01\x00\x60MTrk\x00\x00\x00\x08\x00\x90"]


@pytest.mark.parametrize("content", BROKEN)
def test_a_file_that_cannot_be_read_is_named_and_can_be_left_out(tmp_path, content):
    put(tmp_path / "good.mid", midi_of((73, False, "", [NOTE])))
    (tmp_path / "bad.mid").write_bytes(content)
    with pytest.raises(MidiError, match=r"bad.mid: cannot be read as a MIDI file: \w+"):
        from_midi(tmp_path)
    with pytest.warns(MidiWarning, match=r"left out: .*bad.mid: cannot be read"):
        notes = from_midi(tmp_path, on_error="skip")
    assert notes["task"].to_list() == ["good"]


def test_a_cut_file_is_named(tmp_path):
    (written,) = write_midi(table({}), tmp_path)["path"]
    content = Path(written).read_bytes()
    Path(written).write_bytes(content[: len(content) // 2])
    with pytest.raises(MidiError, match="cannot be read as a MIDI file"):
        from_midi(tmp_path)


def test_two_files_of_one_task_are_an_error_or_the_first_counts(tmp_path):
    put(tmp_path / "a.mid", to_midi(table({"pitch": 60})))
    put(tmp_path / "b.mid", to_midi(table({"pitch": 61})))
    with pytest.raises(MidiError, match=r"b.mid: bears the task 't1', as does .*a.mid"):
        from_midi(tmp_path)
    with pytest.warns(MidiWarning, match=r"left out: .*b.mid: bears the task 't1'"):
        notes = from_midi(tmp_path, on_error="skip")
    assert notes["pitch"].to_list() == [60]


# judges ------------------------------------------------------------------------------------------------------------


def peer_notes(path):
    """Read what pretty_midi itself read from a sample: (pitch, start, end, velocity), and the instruments' names."""
    with gzip.open(path, "rt", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["reader"] == "pretty_midi"]
    notes = [(int(r["pitch"]), float(r["start"]), float(r["end"]), int(r["velocity"])) for r in rows]
    return sorted(notes), {r["instrument"] for r in rows}


@pytest.mark.filterwarnings("ignore:Tempo, Key or Time signature change events:RuntimeWarning")
def test_every_sample_file_gives_the_notes_that_pretty_midi_read(shared):
    files = sorted((shared / "samples" / "midi").glob("*.mid"))
    for path in files:
        expected, names = peer_notes(shared / "samples" / "roundtrip" / f"{path.stem}.csv.gz")
        notes = from_midi(path)
        found = notes.select("pitch", "start", "end", "velocity").rows()
        assert sorted((*note, round(127 * velocity)) for *note, velocity in found) == expected, path.name
        assert {find_instrument(name) for name in notes["instrument"]} == {find_instrument(name) for name in names}
        assert sort_notes(notes).equals(notes)
    assert len(files) == 93
