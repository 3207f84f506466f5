"""What must hold for every table, and for every sample: losses are exactly what comes back otherwise."""

import io
import json
from collections import Counter

import mido
import polars as pl
import pretty_midi
import pytest
import symusic
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from kie_notes.midi import from_midi, midi_losses, to_midi, write_midi
from kie_notes.notes import NOTES_SCHEMA, sort_notes

pytestmark = pytest.mark.filterwarnings("ignore::kie_notes.instruments.UnknownInstrumentWarning")

KEYS = list(NOTES_SCHEMA)


def table(*rows, **common):
    base = {"task": "t1", "instrument": "Flute", "pitch": 60, "start": 0.0, "end": 1.0, "velocity": 1.0, "track": 0}
    return sort_notes(pl.DataFrame([base | common | row for row in rows], schema=NOTES_SCHEMA))


def written(midi):
    file = io.BytesIO()
    midi.write(file)
    return file.getvalue()


def trip(notes):
    return from_midi(pretty_midi.PrettyMIDI(io.BytesIO(written(to_midi(notes)))))


def texts(notes):
    return notes.with_columns(pl.col("task", "instrument").cast(pl.String))


def changed_by(notes, losses):
    """Replace the rows that the losses name by what they say comes back, and sort by every column."""
    kept = texts(notes).join(losses.select(KEYS).unique(), on=KEYS, how="anti")
    after = {name: f"{name}_after" for name in ("start", "end", "velocity")}
    moved = losses.select(*[pl.col(after.get(name, name)).alias(name) for name in KEYS])
    return pl.concat([kept, moved]).sort(KEYS)


NAMES = st.one_of(
    st.sampled_from(["Flute", "Drums", "Voice Oohs", "Steel Drums", "String Ensembles 1", "", "Flûte", "ピアノ", "?"]),
    st.text(max_size=8),
)
TIMES = st.one_of(
    st.integers(0, 40).map(lambda k: k / 192),
    st.integers(0, 192 * 7200).map(lambda k: k / 192),
    st.integers(0, 400_000).map(lambda k: k / 1000),
    st.integers(0, 400_000).map(lambda k: k * (60 / (120 * 384))),
    st.floats(0, 30_000),
)
LENGTHS = st.one_of(
    st.just(0.0), st.integers(0, 40).map(lambda k: k / 192), st.floats(0, 3), st.floats(0, 1e-4), st.floats(0, 1e-320)
)
VELOCITIES = st.one_of(st.integers(0, 127).map(lambda n: n / 127), st.floats(0, 1, width=32), st.just(0.0))


@st.composite
def spans(draw):
    start = draw(TIMES)
    return start, start + draw(LENGTHS)


@st.composite
def spans_on_the_grid(draw):
    start = draw(st.integers(0, 192 * 60))
    return start / 192, (start + draw(st.integers(1, 400))) / 192


@st.composite
def tables(draw, span=spans(), velocity=VELOCITIES):  # noqa: B008 -- strategies hold no state
    most = draw(st.sampled_from([3, 40]))
    numbers = draw(st.lists(st.integers(0, 65535), min_size=1, max_size=most, unique=True))
    instruments = {number: draw(NAMES) for number in numbers}
    notes = draw(
        st.lists(
            st.tuples(st.sampled_from(numbers), st.integers(59, 61) | st.integers(0, 127), span, velocity),
            min_size=1,
            max_size=40,
        )
    )
    rows = [
        {"track": track, "instrument": instruments[track], "pitch": pitch, "start": start, "end": end, "velocity": v}
        for track, pitch, (start, end), v in notes
    ]
    return table(*rows, task=draw(st.text(max_size=10)))


ON_GRID = tables(span=spans_on_the_grid(), velocity=st.integers(1, 127).map(lambda n: n / 127))
SLOW = settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
FEW = settings(SLOW, max_examples=20)


# laws -----------------------------------------------------------------------------------------------------------


@SLOW
@given(tables())
@example(table({"start": -0.0}))
@example(table({"start": 1e-5, "end": 2e-5, "pitch": 61}, {"start": 1e-5, "end": 1e-5}, {"start": 1e-5, "end": 9.0}))
def test_losses_say_exactly_which_notes_come_back_otherwise_and_how(notes):
    losses, back = midi_losses(notes), trip(notes)
    assert back.schema == NOTES_SCHEMA
    assert_frame_equal(texts(back).sort(KEYS), changed_by(notes, losses), check_exact=True)
    assert back.equals(notes) == losses.is_empty()
    assert losses["reason"].null_count() == 0


@SLOW
@given(tables())
def test_the_object_gives_what_its_file_gives(notes):
    assert from_midi(to_midi(notes)).equals(trip(notes))


@FEW
@given(tables(), st.lists(st.text(max_size=5), min_size=1, max_size=3, unique=True))
def test_several_tasks_come_back_from_a_folder_each_as_from_its_own_file(tmp_path_factory, notes, tasks):
    folder = tmp_path_factory.mktemp("midi")
    together = pl.concat([notes.with_columns(task=pl.lit(task, pl.Categorical)) for task in tasks])
    rows = write_midi(together, folder)
    assert rows["task"].to_list() == tasks
    assert rows["exact"].to_list() == [notes.height - midi_losses(notes).height] * len(tasks)
    back = from_midi(folder).partition_by("task", as_dict=True)
    assert {task for (task,) in back} == set(tasks)
    alone = trip(notes).drop("task")
    assert all(one.drop("task").equals(alone) for one in back.values())


@SLOW
@given(ON_GRID)
def test_notes_on_the_services_grid_come_back_exactly(notes):
    assert midi_losses(notes).is_empty()
    assert_frame_equal(trip(notes), notes, check_exact=True)


@SLOW
@given(ON_GRID)
def test_symusic_and_mido_read_the_same_ticks_names_and_programs(notes):
    content = written(to_midi(notes))
    rows = texts(notes).select("pitch", "start", "end", "velocity").rows()
    ticks = Counter((pitch, round(960 * s), round(960 * e), round(127 * v)) for pitch, s, e, v in rows)
    score = symusic.Score.from_midi(content)
    assert score.tpq == 480
    found = [(note.pitch, note.start, note.end, note.velocity) for track in score.tracks for note in track.notes]
    assert Counter(found) == ticks
    assert Counter(note for _, _, notes_ in mido_tracks(content) for note in notes_) == ticks
    made = [(track.name, track.program, track.is_drum) for track in to_midi(notes).instruments]
    assert [(track.name, track.program, track.is_drum) for track in score.tracks] == made
    assert [(name, program, channel == 9) for name, (program, channel), _ in mido_tracks(content)] == made


def mido_tracks(content):
    """Pair note-ons and note-offs by hand, first in, first out."""
    for track in mido.MidiFile(file=io.BytesIO(content)).tracks[1:]:
        tick, name, plays, sounding, notes = 0, "", None, {}, []
        for event in track:
            tick += event.time
            if event.type == "track_name":
                name = event.name
            elif event.type == "program_change":
                plays = (event.program, event.channel)
            elif event.type == "note_on" and event.velocity:
                sounding.setdefault(event.note, []).append((tick, event.velocity))
            elif event.type == "note_on":
                start, velocity = sounding[event.note].pop(0)
                notes.append((event.note, start, tick, velocity))
        yield name, plays, notes


# judges ------------------------------------------------------------------------------------------------------------


def records(folder):
    """Read the notes of every sample record, whichever envelope it has."""
    for path in sorted(folder.glob("*.json")):
        data = json.loads(path.read_text()).get("data") or {}
        instruments = (data.get("midiData") or data).get("instruments") or []
        rows = [
            {"instrument": instrument["name"], "track": track, "pitch": note["pitch"]}
            | {"start": float(note["start"]), "end": float(note["end"]), "velocity": float(note["velocity"])}
            for track, instrument in enumerate(instruments)
            for note in instrument["notes"]
        ]
        if rows:
            yield table(*rows, task=path.name)


def test_every_sample_record_comes_back_but_for_the_notes_that_its_losses_name(shared, tmp_path):
    tasks = list(records(shared / "samples" / "records"))
    notes = pl.concat(tasks)
    rows, losses, back = write_midi(notes, tmp_path), midi_losses(notes), from_midi(tmp_path)
    assert len(tasks) == 129
    assert_frame_equal(texts(back).sort(KEYS), changed_by(notes, losses), check_exact=True)
    assert rows["exact"].to_list() == [one.height - losses.filter(task=str(one["task"][0])).height for one in tasks]
    exact = rows.filter(pl.col("exact") == pl.col("notes"))
    assert exact.height == 78
    assert rows["largest_shift"].max() < 26e-6


def test_the_golden_fixture_comes_back(request):
    golden = request.path.parents[2] / "data" / "golden"
    order = {"Acoustic Grand Piano": 0, "Electric Bass (finger)": 1, "Drums": 2}
    rows = [row | {"track": order[row["instrument"]]} for row in json.loads((golden / "fixture.json").read_text())]
    notes = table(*rows, task="fixture")
    assert from_midi(golden / "fixture.mid").equals(notes)
    assert midi_losses(notes).is_empty()
    assert trip(notes).equals(notes)
