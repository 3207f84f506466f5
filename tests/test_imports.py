"""Other transcribers' output: real files, bad rows, bad files, and that the rules and words are those of records."""

import csv
import io
import json
from pathlib import Path

import polars as pl
import pretty_midi
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from kie_notes.api.records import parse_record
from kie_notes.errors import RecordError
from kie_notes.imports import read_note_events
from kie_notes.notes import NOTES_SCHEMA, REJECTS_SCHEMA, TASKS_SCHEMA, flatten

GOLDEN = Path(__file__).parents[1] / "data" / "golden"
HEADER = "start_time_s,end_time_s,pitch_midi,velocity,pitch_bend\n"
PLAIN = {"pitch": "midi", "start": "on", "end": "off", "velocity": "loud"}
law = settings(deadline=None, max_examples=40, suppress_health_check=list(HealthCheck))


@pytest.fixture
def write(tmp_path):
    def written(name, content):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return written


def sequence(*notes, **more):
    return json.dumps({"ticksPerQuarter": 220, "notes": list(notes)} | more)


# a real file ---------------------------------------------------------------------------------------------------------


def test_basic_pitchs_own_table_gives_the_notes_of_basic_pitchs_own_midi_file():
    read = read_note_events(GOLDEN / "fixture_basic_pitch.csv", instrument="Electric Piano 1")
    (track,) = pretty_midi.PrettyMIDI(str(GOLDEN / "fixture_basic_pitch.mid")).instruments
    by = lambda note: (note[0], round(note[1], 2))  # noqa: E731 -- its MIDI file has ticks of 1/440 s
    ours = sorted(read.notes.select("pitch", "start", "velocity").rows(), key=by)
    theirs = sorted(((note.pitch, note.start, note.velocity) for note in track.notes), key=by)
    assert len(ours) == len(theirs) == 109
    assert [pitch for pitch, _, _ in ours] == [pitch for pitch, _, _ in theirs]
    assert [start for _, start, _ in ours] == pytest.approx([start for _, start, _ in theirs], abs=0.5 / 440 + 1e-9)
    assert [round(127 * velocity) for _, _, velocity in ours] == [velocity for _, _, velocity in theirs]


def test_a_real_table_loses_no_row_and_no_digit():
    path = GOLDEN / "fixture_basic_pitch.csv"
    read = read_note_events(path)
    with path.open(newline="") as file:
        rows = list(csv.reader(file))[1:]
    assert read.rejects.is_empty()
    assert sorted(read.notes.select("start", "end", "pitch").rows()) == sorted(
        (float(start), float(end), int(pitch)) for start, end, pitch, *_ in rows
    )
    assert read.tasks.select("task", "state", "tracks", "notes", "rejected", "source").rows() == [
        ("fixture_basic_pitch", "complete", 1, 109, 0, path.as_posix())
    ]


# tables -----------------------------------------------------------------------------------------------------------


def test_rows_of_any_length_are_rows(write):
    path = write("a.csv", HEADER + "0,1,60,127\n1,2,62,0,5\n2,3,64,127,1,2,3,4,5\n")
    assert read_note_events(path).notes["pitch"].to_list() == [60, 62, 64]


def test_a_bad_row_is_rejected_with_its_place_field_value_and_reason(write):
    rows = ["0,1,60,64", "0,1,300,64", "0,1,60.5,64", "x,1,60,64", "2,1,60,64", "-1,1,60,64", "0,1,60,200", "0,1,60"]
    read = read_note_events(write("song.csv", HEADER + "\n".join(rows)))
    assert read.notes.height == 1
    assert read.rejects.select("task", "track", "index", "field", "value", "reason").rows() == [
        ("song", 0, 1, "pitch", "300", "expected a MIDI pitch from 0 to 127"),
        ("song", 0, 2, "pitch", "60.5", "expected a MIDI pitch as a whole number"),
        ("song", 0, 3, "start", "x", "expected seconds as a finite number"),
        ("song", 0, 4, "end", "1", "the note ends before its start at 2.0 s"),
        ("song", 0, 5, "start", "-1", "the note starts before the audio"),
        ("song", 0, 6, "velocity", "200", "expected a MIDI velocity, a whole number from 0 to 127"),
        ("song", 0, 7, "velocity", None, "the field is missing"),
    ]
    assert read.tasks.select("state", "notes", "rejected").rows() == [("complete", 1, 7)]


def test_blank_lines_are_no_rows_but_count(write):
    read = read_note_events(write("a.csv", HEADER + "0,1,60,64\n\n0,1,x,64\n\n"))
    assert read.notes.height == 1
    assert read.rejects["index"].to_list() == [2]


def test_a_quotation_mark_that_stands_alone_costs_its_row_and_no_other(write):
    read = read_note_events(write("a.csv", HEADER + '0,1,60,64\n"1,2,60,64\n2,3,60,64\n'))
    assert read.notes["start"].to_list() == [0.0, 2.0]
    assert read.rejects.select("index", "field", "value").rows() == [(1, "start", '"1')]


def test_quoted_text_may_hold_the_separator(write):
    table = 'player,midi,on,off\n"Bird Tweet, Dog, Horse Gallop",60,0,1\n'
    columns = {"instrument": "player", "pitch": "midi", "start": "on", "end": "off"}
    read = read_note_events(write("a.csv", table), columns=columns, velocity=1.0)
    assert read.notes["instrument"].to_list() == ["Bird Tweet, Dog, Horse Gallop"]


def test_any_table_is_read_by_a_mapping_of_its_columns(write):
    table = "piece\tplayer\tmidi\ton\tlength\nB\tViolin\t60\t1.0\t0.5\nA\tFlute\t62\t0.25\t0.5\nB\tFlute\t64\t0.5\t-1\n"
    read = read_note_events(
        write("many.tsv", table),
        columns={"task": "piece", "instrument": "player", "pitch": "midi", "start": "on", "duration": "length"},
        velocity=0.5,
    )
    assert read.notes.rows() == [
        ("B", "Violin", 60, 1.0, 1.5, 0.5, 1),
        ("A", "Flute", 62, 0.25, 0.75, 0.5, 0),
    ]
    assert read.rejects.rows() == [("B", 0, 2, "duration", "-1", "the note ends before its start at 0.5 s")]
    assert read.tasks.select("task", "tracks", "notes", "rejected").rows() == [("B", 2, 1, 1), ("A", 1, 1, 0)]


def test_a_row_without_a_task_or_an_instrument_is_rejected(write):
    table = "piece,player,midi,on,off\n,Flute,60,0,1\nA,,60,0,1\nA,Flute,60,0,1\n"
    columns = {"task": "piece", "instrument": "player", "pitch": "midi", "start": "on", "end": "off"}
    read = read_note_events(write("a.csv", table), columns=columns, velocity=1.0)
    assert read.notes.height == 1
    assert read.rejects.select("task", "index", "field", "reason").rows() == [
        (None, 0, "task", "the field is missing"),
        ("A", 1, "instrument", "the field is missing"),
    ]


numbers = st.sampled_from(["0", "1", "0.5", "60", "60.0", "127", "128", "-1", "1e3", "nan", "inf", "x", "", "2.5e-3"])
lines = st.lists(st.tuples(numbers, numbers, numbers, numbers), max_size=12)


@law
@given(lines)
@example([("60.0", "0", "1", "1"), ("60", "1", "0", "x")])
def test_notes_and_rejects_are_those_of_a_record_with_the_same_numbers(tmp_path_factory, rows):
    path = tmp_path_factory.mktemp("law") / "t.csv"
    text = io.StringIO()
    csv.writer(text).writerows([["midi", "on", "off", "loud"], *rows, ["60", "0", "1", "1"]])
    path.write_text(text.getvalue())
    read = read_note_events(path, columns=PLAIN, velocity="unit", instrument="Flute")

    def value(one):
        try:
            return float(one)
        except ValueError:
            return one

    names = ("pitch", "start", "end", "velocity")
    notes = [{n: value(v) for n, v in zip(names, row, strict=True) if v} for row in [*rows, ("60", "0", "1", "1")]]
    body = {"state": "complete", "instruments": [{"name": "Flute", "notes": notes}]}
    kept = [at for at, row in enumerate([*rows, ("60", "0", "1", "1")]) if any(row)]  # a line of commas is blank
    body["instruments"][0]["notes"] = [notes[at] for at in kept]
    expected = flatten([parse_record(body, task="t")])
    assert_frame_equal(read.notes, expected.notes)
    assert read.rejects.select("field", "reason").rows() == expected.rejects.select("field", "reason").rows()
    assert read.rejects["index"].to_list() == [kept[at] for at in expected.rejects["index"]]


# note sequences --------------------------------------------------------------------------------------------------


def test_a_note_sequence_is_read_with_its_defaults(write):
    piano = {"pitch": 60, "velocity": 127, "startTime": 0.5, "endTime": 1.0}
    drum = {"pitch": 38, "velocity": 64, "endTime": 0.1, "isDrum": True, "instrument": 9}
    bass = {"pitch": 40, "velocity": 127, "endTime": 2.0, "program": 33, "instrument": 1}
    low = {"velocity": 127, "endTime": 3.0}
    read = read_note_events(write("song.json", sequence(drum, piano, bass, low, totalTime=3.0)))
    assert read.rejects.is_empty()
    assert read.notes.drop("velocity").rows() == [
        ("song", "Acoustic Grand Piano", 0, 0.0, 3.0, 0),
        ("song", "Electric Bass (finger)", 40, 0.0, 2.0, 1),
        ("song", "Drums", 38, 0.0, 0.1, 2),
        ("song", "Acoustic Grand Piano", 60, 0.5, 1.0, 0),
    ]


def test_a_note_sequence_with_the_names_of_the_proto_file_reads_the_same(write):
    first = write("a/x.json", sequence({"pitch": 60, "velocity": 1, "startTime": 0.5, "endTime": 1, "isDrum": True}))
    second = write(
        "b/x.json", sequence({"pitch": 60, "velocity": 1, "start_time": 0.5, "end_time": 1, "is_drum": True})
    )
    assert_frame_equal(read_note_events(first).notes, read_note_events(second).notes)


def test_bad_notes_of_a_sequence_are_rejects_and_the_others_notes(write):
    good = {"pitch": 60, "velocity": 64, "endTime": 1}
    notes = [
        good | {"endTime": "NaN"},
        7,
        good | {"program": 128},
        good | {"startTime": 2},
        good | {"velocity": -1},
        good,
    ]
    read = read_note_events(write("s.json", sequence(*notes)))
    assert read.notes.height == 1
    assert sorted(read.rejects.select("index", "field", "value", "reason").rows()) == [
        (0, "end", "NaN", "expected seconds as a finite number"),
        (1, "note", "7", "expected an object with pitch, start, end and velocity"),
        (2, "program", "128", "expected a MIDI program from 0 to 127"),
        (3, "end", "1", "the note ends before its start at 2.0 s"),
        (4, "velocity", "-1", "expected a MIDI velocity, a whole number from 0 to 127"),
    ]


# files -------------------------------------------------------------------------------------------------------------


def test_a_folder_is_read_to_the_bottom_and_tasks_are_named_by_their_paths(write, tmp_path):
    write("b/second.json", sequence({"pitch": 60, "velocity": 64, "endTime": 1}))
    write("first.csv", HEADER + "0,1,60,64\n")
    write("notes.txt", "nothing")
    write("silence.csv", HEADER)
    read = read_note_events(tmp_path)
    assert read.tasks.select("task", "state", "notes").rows() == [
        ("b/second", "complete", 1),
        ("first", "complete", 1),
        ("silence", "empty", 0),
    ]


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("a.csv", "", "cannot be read as a table: empty CSV"),
        (
            "a.csv",
            "start,end,pitch\n0,1,60\n",
            "missing column 'pitch_midi', 'start_time_s', 'end_time_s', 'velocity'; there are start, end, pitch",
        ),
        ("a.csv", b"start_time_s,\xff\xfe\n\xff,1\n", "a.csv: "),
        ("a.json", "[1, 2]", "expected a NoteSequence, an object with a list of notes"),
        ("a.json", '{"notes": 3}', "expected a NoteSequence, an object with a list of notes"),
        ("a.json", '{"notes": [', "expected a NoteSequence, an object with a list of notes"),
        ("a.txt", "1 2 3", "expected a file ending in .csv, .tsv or .json, got '.txt'"),
    ],
)
def test_a_file_that_cannot_be_read_costs_nothing_but_itself(write, name, content, reason):
    good, bad = write("good.csv", HEADER + "0,1,60,64\n"), write(name, content)
    read = read_note_events([bad, good])
    assert read.notes.height == 1
    (row,) = read.rejects.rows(named=True)
    assert (row["task"], row["index"], row["field"]) == ("a", None, "document")
    assert reason in row["reason"]


def test_a_second_file_of_one_task_is_never_doubled_and_never_lost(write):
    first, second = write("a/x.csv", HEADER + "0,1,60,64\n"), write("b/x.csv", HEADER + "0,1,60,64\n0,1,x,64\n")
    read = read_note_events([first, second])
    assert (read.notes.height, read.tasks.height) == (1, 1)
    assert read.rejects.select("task", "index").rows() == [("x", 0), ("x", 1)]
    assert read.rejects["reason"].to_list() == [f"second delivery: the task's notes were taken from {first}"] * 2


def test_no_files_give_three_empty_tables_of_the_full_schemas(tmp_path):
    read = read_note_events(tmp_path)
    assert (read.notes.schema, read.tasks.schema, read.rejects.schema) == (NOTES_SCHEMA, TASKS_SCHEMA, REJECTS_SCHEMA)
    assert read.notes.is_empty()


def test_a_path_that_leads_nowhere_is_an_error(tmp_path):
    with pytest.raises(RecordError, match=r"nowhere\.csv: no such file or folder"):
        read_note_events(tmp_path / "nowhere.csv")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"columns": PLAIN | {"onset": "on"}}, "columns: expected names of task, instrument, pitch"),
        (
            {"columns": {"pitch": "midi", "start": "on", "velocity": "v"}},
            "columns: expected pitch, start, end or duration",
        ),
        ({"columns": PLAIN | {"duration": "len"}}, "columns: expected pitch, start, end or duration"),
        ({"columns": PLAIN, "velocity": 0.5}, "columns: expected pitch, start, end or duration, and velocity or"),
        ({"velocity": "dB"}, "velocity: expected 'midi', 'unit', or a number from 0 to 1, got 'dB'"),
        ({"columns": {"pitch": "p", "start": "s", "end": "e"}, "velocity": 64.0}, "velocity: expected 'midi', 'unit'"),
    ],
)
def test_an_option_that_cannot_be_is_named(tmp_path, options, message):
    with pytest.raises(ValueError, match=message):
        read_note_events(tmp_path, **options)


def test_notes_of_all_files_are_in_canonical_order(write, tmp_path):
    write("a.csv", HEADER + "5,6,60,64\n0,1,60,64\n")
    assert read_note_events(tmp_path).notes["start"].to_list() == [0.0, 5.0]
    assert isinstance(read_note_events(tmp_path).notes, pl.DataFrame)
