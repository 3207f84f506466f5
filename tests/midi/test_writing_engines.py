"""Both engines write the same music; pretty_midi, mido and symusic read it back and judge."""

import io
import json
import sys
from collections import Counter

import mido
import numpy as np
import polars as pl
import pretty_midi
import pytest
import symusic
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from kie_notes import flatten, read_records
from kie_notes.errors import MidiError, MissingExtraError
from kie_notes.instruments import UnknownInstrumentWarning
from kie_notes.midi import from_midi, midi_losses
from kie_notes.midi.write import BYTES_SCHEMA, WRITTEN_SCHEMA, midi_bytes, write_midi
from kie_notes.notes import NOTES_SCHEMA, sort_notes

pytestmark = pytest.mark.filterwarnings("ignore::kie_notes.instruments.UnknownInstrumentWarning")

KEYS = list(NOTES_SCHEMA)
SLOW = settings(suppress_health_check=[HealthCheck.too_slow], deadline=None, max_examples=30)


def table(*rows, **common):
    base = {"task": "t1", "instrument": "Flute", "pitch": 60, "start": 0.0, "end": 1.0, "velocity": 1.0, "track": 0}
    return sort_notes(pl.DataFrame([base | common | row for row in rows], schema=NOTES_SCHEMA))


def texts(notes):
    return notes.with_columns(pl.col("task", "instrument").cast(pl.String))


def file_of(notes, engine="symusic"):
    return midi_bytes(notes, engine=engine)["midi"][0]


def read(content):
    return from_midi(pretty_midi.PrettyMIDI(io.BytesIO(content)))


def tracks_of(content):
    """By mido: each track's name, program, channel and its notes in ticks, first in, first out."""
    found = []
    for track in mido.MidiFile(file=io.BytesIO(content)).tracks[1:]:
        tick, name, plays, sounding, notes = 0, "", None, {}, []
        for event in track:
            tick += event.time
            if event.type == "track_name":
                name = event.name
            elif event.type == "program_change":
                plays = (event.program, event.channel)
            elif event.type == "note_on" and event.velocity:
                sounding.setdefault((event.channel, event.note), []).append((tick, event.velocity))
            elif event.type in ("note_on", "note_off"):
                start, velocity = sounding[event.channel, event.note].pop(0)
                notes.append((event.note, start, tick, velocity))
        assert not any(sounding.values())
        found.append((name, plays, Counter(notes)))
    return found


NAMES = st.sampled_from(["Flute", "Flute", "Drums", "Steel Drums", "", "Flûte", "ピアノ", "?", "Nose Flute 7"])
TIMES = st.one_of(
    st.integers(0, 60).map(lambda k: k / 192),
    st.integers(0, 4000).map(lambda k: k / 1000),
    st.integers(0, 400_000).map(lambda k: k * (60 / (120 * 384))),
    st.floats(0, 20_000),
)
LENGTHS = st.one_of(st.just(0.0), st.integers(0, 60).map(lambda k: k / 192), st.floats(0, 3), st.floats(0, 1e-4))
VELOCITIES = st.one_of(st.integers(0, 127).map(lambda n: n / 127), st.floats(0, 1, width=32))
NOTE = st.tuples(st.integers(0, 39), st.integers(59, 61) | st.integers(0, 127), TIMES, LENGTHS, VELOCITIES)


@st.composite
def tables(draw):
    """Tables of a few tasks: overlaps, no lengths, times off every grid, velocity 0, more than 16 tracks."""
    tasks = draw(st.lists(st.text(max_size=5), min_size=1, max_size=3, unique=True))
    names = draw(st.lists(NAMES, min_size=40, max_size=40))
    most = draw(st.sampled_from([1, 3, 40]))
    rows = [
        {"task": task, "track": track % most, "instrument": names[track % most]}
        | {"pitch": pitch, "start": start, "end": start + length, "velocity": velocity}
        for task in tasks
        for track, pitch, start, length, velocity in draw(st.lists(NOTE, min_size=1, max_size=25))
    ]
    return table(*rows)


CROWD = table(*({"track": track, "instrument": "Drums" if track in (3, 20) else "Flute"} for track in range(40)))


# laws ---------------------------------------------------------------------------------------------------------------


@SLOW
@given(tables())
@example(CROWD)
def test_both_engines_write_the_same_tracks_names_programs_channels_and_ticks(notes):
    ours, peer = (midi_bytes(notes, engine=engine) for engine in ("symusic", "pretty_midi"))
    assert_frame_equal(ours.drop("midi", "sha256", "bytes"), peer.drop("midi", "sha256", "bytes"), check_exact=True)
    for mine, other in zip(ours["midi"], peer["midi"], strict=True):
        assert tracks_of(mine) == tracks_of(other)


@SLOW
@given(tables())
@example(CROWD)
def test_what_pretty_midi_reads_of_symusics_files_is_the_table_but_for_its_losses(notes):
    back = pl.concat([read(content) for content in midi_bytes(notes, engine="symusic")["midi"]])
    losses = midi_losses(notes)
    kept = texts(notes).join(losses.select(KEYS).unique(), on=KEYS, how="anti")
    after = {name: f"{name}_after" for name in ("start", "end", "velocity")}
    moved = losses.select(*[pl.col(after.get(name, name)).alias(name) for name in KEYS])
    assert_frame_equal(texts(back).sort(KEYS), pl.concat([kept, moved]).sort(KEYS), check_exact=True)


@SLOW
@given(tables())
def test_a_lazy_table_gives_the_files_of_the_table(notes):
    assert midi_bytes(texts(notes).lazy()).equals(midi_bytes(notes))


# the file -----------------------------------------------------------------------------------------------------------


def test_the_first_track_has_metre_tempo_and_the_memo_as_mido_reads_them():
    midi = mido.MidiFile(file=io.BytesIO(file_of(table({"instrument": "Flûte"}, task="t"))))
    assert (midi.type, midi.ticks_per_beat, len(midi.tracks)) == (1, 480, 2)
    metre, tempo, text, end = midi.tracks[0]
    assert (metre.type, metre.numerator, metre.denominator) == ("time_signature", 4, 4)
    assert (tempo.type, tempo.tempo, end.type) == ("set_tempo", 500_000, "end_of_track")
    assert (text.type, json.loads(text.text)) == (
        "text",
        {"kie_notes": 1, "task": "t", "tracks": [0], "names": {"0": "Flûte"}},
    )


@pytest.mark.parametrize("length", [0, 60, 70, 5_000, 20_000, 999_000])
def test_a_memo_of_any_length_is_read_back(length):
    content = file_of(table({}, task="x" * length))
    assert read(content)["task"].to_list() == ["x" * length]
    assert len(symusic.Score.from_midi(content).tracks) == 1


def test_a_memo_that_no_reader_takes_is_refused():
    with pytest.raises(
        MidiError, match=r"its id and tracks take 1000038 bytes of text, a MIDI file that mido reads has"
    ):
        midi_bytes(table({}, task="x" * 1_000_000))


def test_the_seventeenth_track_is_on_the_channel_that_pretty_midi_gives_it():
    channels = [channel for _, (_, channel), _ in tracks_of(file_of(CROWD))]
    assert channels[:5] == [0, 1, 2, 9, 4]
    assert channels[14:21] == [15, 0, 1, 2, 3, 4, 9]


def test_notes_that_overlap_stand_in_tracks_of_their_own():
    notes = table({"end": 2.0}, {"start": 0.5}, {"start": 0.75, "end": 3.0}, {"start": 2.0, "end": 3.0})
    ticks = [sorted(notes) for _, _, notes in tracks_of(file_of(notes))]
    assert ticks == [[(60, 0, 1920, 127), (60, 1920, 2880, 127)], [(60, 480, 960, 127)], [(60, 720, 2880, 127)]]


def test_a_task_of_pretty_midis_own_times_is_exact_beside_one_on_the_services_grid():
    tick = 60 / (120 * 384)
    others = table(*({"start": k * tick, "end": (k + 3) * tick} for k in range(1, 2000, 3)), task="other")
    notes = pl.concat([table({"end": 7 / 192}), others])
    files = midi_bytes(notes, engine="symusic")
    assert files["exact"].to_list() == files["notes"].to_list()
    assert pl.concat([read(content) for content in files["midi"]]).equals(notes)


def test_bytes_say_what_the_files_of_write_midi_hold(tmp_path):
    notes = pl.concat([CROWD, table({"velocity": 0.5}, task="t2")])
    files, rows = midi_bytes(notes), write_midi(notes, tmp_path)
    assert files.schema == BYTES_SCHEMA
    assert rows.schema == WRITTEN_SCHEMA
    assert files.drop("midi").equals(rows.drop("path"))
    assert files["midi"].to_list() == [(tmp_path / path).read_bytes() for path in rows["path"]]


def test_no_tasks_give_no_bytes():
    assert midi_bytes(NOTES_SCHEMA.to_frame()).schema == BYTES_SCHEMA
    assert midi_bytes(NOTES_SCHEMA.to_frame().lazy()).is_empty()


# judges -------------------------------------------------------------------------------------------------------------


def test_every_sample_is_read_by_pretty_midi_mido_and_symusic_note_by_note(shared):
    notes = flatten(read_records(sorted((shared / "samples" / "records").glob("*.json")))).notes
    losses = midi_losses(notes)
    files = midi_bytes(notes, engine="symusic")
    assert files.height == notes["task"].n_unique() > 100
    assert files["exact"].sum() == notes.height - losses.height
    back = {task: read(content) for task, content in files.select("task", "midi").iter_rows()}
    again = pl.concat(back.values())
    assert texts(notes).join(texts(again), on=KEYS, how="anti").height == losses.height
    exact = files.filter(pl.col("exact") == pl.col("notes")).select("task")
    assert texts(again).join(exact, on="task", how="semi").equals(texts(notes).join(exact, on="task", how="semi"))
    for task, content, ppq in files.select("task", "midi", "ppq").iter_rows():
        seconds = (pl.col(name) * 2 * ppq for name in ("start", "end"))
        rows = back[task].select("pitch", *seconds, pl.col("velocity") * 127).to_numpy()
        expected = Counter(map(tuple, np.rint(rows).astype(int).tolist()))
        assert sum((found for _, _, found in tracks_of(content)), Counter()) == expected
        columns = [track.notes.numpy() for track in symusic.Score.from_midi(content).tracks]
        spans = [(one["pitch"], one["time"], one["time"] + one["duration"], one["velocity"]) for one in columns]
        assert Counter(row for span in spans for row in zip(*(c.tolist() for c in span), strict=True)) == expected


# options ------------------------------------------------------------------------------------------------------------


def test_without_symusic_pretty_midi_writes(monkeypatch):
    notes = table({})
    with monkeypatch.context() as without:
        without.setitem(sys.modules, "symusic", None)
        there = midi_bytes(notes)
    assert there.equals(midi_bytes(notes, engine="pretty_midi"))
    assert not there.equals(midi_bytes(notes, engine="symusic"))
    assert midi_bytes(notes).equals(midi_bytes(notes, engine="symusic"))


def test_an_engine_that_is_missing_names_its_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "symusic", None)
    with pytest.raises(MissingExtraError, match=r'engine="symusic" needs it: pip install "kie-notes\[fast\]"'):
        midi_bytes(table({}), engine="symusic")


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"engine": "mido"}, "engine: expected one of 'auto', 'symusic', 'pretty_midi', got 'mido'"),
        ({"workers": 0}, "workers: expected a number of processes from 1 on, got 0"),
    ],
)
def test_an_option_that_cannot_be_is_refused_before_anything_is_written(tmp_path, option, message):
    with pytest.raises(ValueError, match=message):
        write_midi(table({}), tmp_path, **option)
    assert list(tmp_path.iterdir()) == []


def test_several_processes_write_what_one_does(tmp_path):
    notes = pl.concat([table({"velocity": v / 4}, {"end": 2.0}, task=f"t{v}") for v in range(4)])
    odd = pl.concat([notes, table({"instrument": "Two Processes"}, task="odd")])
    with pytest.warns(UnknownInstrumentWarning, match="'Two Processes' is no General MIDI instrument"):
        rows = write_midi(odd, tmp_path, workers=2)
    assert rows.drop("path").equals(midi_bytes(odd).drop("midi"))
    assert sorted(path.suffix for path in tmp_path.iterdir()) == [".mid"] * 5


def test_symusic_takes_the_largest_tick_that_a_file_may_have():
    notes = table({"start": 4_999_998.0, "end": 4_999_998.4})
    content = file_of(notes)
    assert read(content).select("start", "end").rows() == [(4_999_998.0, 4_999_998.5)]
    assert np.array_equal(symusic.Score.from_midi(content).tracks[0].notes.numpy()["time"], [9_999_996])
