"""MIDI files of whole tasks: notes to bytes and back, beside the loops that people write and symusic's bare parser.

A loop keeps less: pretty_midi cuts notes of one pitch that overlap and rounds times to 220 ticks a quarter. Loops get a
few tasks, since all would take minutes.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import polars as pl

from kie_notes.instruments import instrument
from tests.benchmarks.corpus import count
from tests.benchmarks.objects import first_tasks, tracks

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.benchmarks.measure import Ready, Way


def written(corpus: Path) -> Ready:
    """Make the bytes of a MIDI file of each task of a table."""
    from kie_notes.midi.write import midi_bytes

    notes = pl.read_parquet(corpus / "parts/*.parquet")
    return (lambda: midi_bytes(notes, progress=False)), notes.height


def read(corpus: Path) -> Ready:
    """Read a folder of MIDI files into a table."""
    from kie_notes.midi.corpus import read_midi

    return (lambda: read_midi(corpus / "midi", progress=False)), count(corpus)


def read_without_symusic(corpus: Path) -> Ready:
    """Read it in Python alone."""
    from kie_notes.midi.corpus import read_midi

    return (lambda: read_midi(corpus / "midi", engine="python", progress=False)), count(corpus)


def dumped(corpus: Path) -> Ready:
    """Let symusic write what it has parsed: the limit of writing, over the first thousand files at the most."""
    import symusic

    scores = [symusic.Score(str(path)) for path in sorted((corpus / "midi").iterdir())[:1000]]
    return (lambda: [len(score.dumps_midi()) for score in scores]), sum(score.note_num() for score in scores)


def parsed(corpus: Path) -> Ready:
    """Let symusic parse: the limit of reading."""
    import symusic

    paths = [str(path) for path in sorted((corpus / "midi").iterdir())]
    return (lambda: [symusic.Score(path).tpq for path in paths]), count(corpus)


def written_by(loop: Callable[[pl.DataFrame], bytes]) -> Way:
    """Make a way of a loop that gives a task's file."""

    def ready(corpus: Path) -> Ready:
        tasks = first_tasks(corpus)
        return (lambda: [loop(task) for task in tasks]), sum(task.height for task in tasks)

    return ready


def read_by(loop: Callable[[Path], list[tuple[Any, ...]]]) -> Way:
    """Make a way of a loop that gives a file's notes as rows."""

    def ready(corpus: Path) -> Ready:
        tasks = first_tasks(corpus)
        paths = sorted((corpus / "midi").iterdir())[: len(tasks)]

        def act() -> pl.DataFrame:
            rows = [row for path in paths for row in loop(path)]
            return pl.DataFrame(rows, orient="row", infer_schema_length=None)

        return act, sum(task.height for task in tasks)

    return ready


def pretty_midi_writes(task: pl.DataFrame) -> bytes:
    """Make a PrettyMIDI object and write it."""
    import pretty_midi

    midi, file = pretty_midi.PrettyMIDI(), io.BytesIO()
    for name, part in tracks(task):
        plays = instrument(name)
        track = pretty_midi.Instrument(plays.program, plays.is_drums, name)
        for pitch, start, end, velocity in part.select("pitch", "start", "end", "velocity").iter_rows():
            track.notes.append(pretty_midi.Note(round(velocity * 127), pitch, start, end))
        midi.instruments.append(track)
    midi.write(file)
    return file.getvalue()


def pretty_midi_reads(path: Path) -> list[tuple[Any, ...]]:
    """Give a row a note from a PrettyMIDI object."""
    import pretty_midi

    return [
        (path.stem, track.name, note.pitch, note.start, note.end, note.velocity, number)
        for number, track in enumerate(pretty_midi.PrettyMIDI(str(path)).instruments)
        for note in track.notes
    ]


def mido_writes(task: pl.DataFrame) -> bytes:
    """Make a message of each onset and each end, in the order of time; 480 ticks a quarter at 120 a minute."""
    import mido

    midi, file = mido.MidiFile(), io.BytesIO()
    for number, (name, part) in enumerate(tracks(task)):
        plays, events = instrument(name), []
        channel = 9 if plays.is_drums else number % 9
        for pitch, start, end, velocity in part.select("pitch", "start", "end", "velocity").iter_rows():
            events += [(round(start * 960), round(velocity * 127), pitch), (round(end * 960), 0, pitch)]
        track = mido.MidiTrack([mido.MetaMessage("track_name", name=name)])
        track.append(mido.Message("program_change", channel=channel, program=plays.program))
        before = 0
        for tick, velocity, pitch in sorted(events):
            track.append(mido.Message("note_on", channel=channel, note=pitch, velocity=velocity, time=tick - before))
            before = tick
        midi.tracks.append(track)
    midi.save(file=file)
    return file.getvalue()


def mido_reads(path: Path) -> list[tuple[Any, ...]]:
    """Pair messages first in, first out; a file of one tempo, as these are."""
    import mido

    midi, rows = mido.MidiFile(path), []
    tempo = next((message.tempo for track in midi.tracks for message in track if message.type == "set_tempo"), 500_000)
    second = tempo / 1e6 / midi.ticks_per_beat
    for number, track in enumerate(midi.tracks):
        tick, held = 0, {}
        for message in track:
            tick += message.time
            if message.type not in ("note_on", "note_off"):
                continue
            sounding = held.setdefault((message.channel, message.note), [])
            if message.type == "note_on" and message.velocity:
                sounding.append((tick, message.velocity))
            elif sounding:
                begun, velocity = sounding.pop(0)
                rows.append((path.stem, track.name, message.note, begun * second, tick * second, velocity, number))
    return rows
