"""From notes to MIDI: one object, many files, and what they change as a table."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
import polars as pl

from kie_notes.errors import MidiError, NotesOrderError
from kie_notes.instruments import instrument
from kie_notes.midi.plan import LOSSES_SCHEMA, Memo, by_task, channels, plan, shown
from kie_notes.midi.ticks import TEMPO
from kie_notes.progress import bar

if TYPE_CHECKING:
    import os

    import pretty_midi

    from kie_notes.midi.plan import Plan
    from kie_notes.midi.read import OnError
    from kie_notes.midi.ticks import Ticks
    from kie_notes.notes import Frame

#: One row per task that was to be written.
WRITTEN_SCHEMA: Final = pl.Schema(
    {
        "task": pl.String(),
        "path": pl.String(),
        "sha256": pl.String(),
        "bytes": pl.UInt64(),
        "ppq": pl.UInt16(),
        "tracks": pl.UInt32(),
        "extra_tracks": pl.UInt32(),
        "shared_channels": pl.UInt32(),
        "notes": pl.UInt32(),
        "exact": pl.UInt32(),
        "moved": pl.UInt32(),
        "velocity_changed": pl.UInt32(),
        "largest_shift": pl.Float64(),
        "reason": pl.String(),
    }
)

#: Tracks of a file beside the first, which bears the tempo: their number is a signed 16-bit one in mido.
_MOST_TRACKS: Final = 32766


def to_midi(notes: Frame) -> pretty_midi.PrettyMIDI:
    """Make a MIDI object of one task's notes.

    The tempo is 120 and says nothing about the music. A track's program and drum channel follow from its instrument's
    name (``instruments.instrument``); an unknown name plays as program 0, with a warning, and comes back as it was. The
    tracks stand in the table's order, then the extra tracks of overlapping notes. Names that are not ASCII are shown
    without accents and come back with them.

    Parameters
    ----------
    notes
        Notes table of one task, in canonical order. No notes make an object without tracks.

    Returns
    -------
    ``pretty_midi.PrettyMIDI``; its ``write(path)`` writes the file. Its times are already those that the file will give
    back. What differs from ``notes``: ``midi_losses``.

    Raises
    ------
    NotesSchemaError, NotesOrderError
        If ``notes`` is no notes table, or not in canonical order.
    MidiError
        If it has several tasks, a value that no note can have (an end before its start, a velocity above 1, a null),
        two instruments on one track, more than 32,766 tracks, or ends after 4,999,998 s, beyond which pretty_midi
        reads no file.

    References
    ----------
    C. Raffel and D. P. W. Ellis, "Intuitive analysis, creation and manipulation of MIDI data with pretty_midi",
    ISMIR 2014 late-breaking session. Velocity: round(127 v), at least 1, since 0 would end a note.

    Examples
    --------
    >>> from kie_notes.notes import NOTES_SCHEMA
    >>> note = {"pitch": 60, "start": 7 / 192, "end": 1.0, "velocity": 0.5}
    >>> notes = pl.DataFrame([{"task": "t1", "instrument": "Flute", "track": 0} | note], schema=NOTES_SCHEMA)
    >>> midi = to_midi(notes)
    >>> midi.resolution, midi.instruments
    (480, [Instrument(program=73, is_drum=False, name="Flute")])
    """
    tasks = by_task(notes)
    if len(tasks) > 1:
        raise MidiError(
            f"{len(tasks)} tasks in one table, a MIDI file holds one: filter(pl.col('task') == ...), or use write_midi"
        )
    return _to_pretty(plan(tasks[0])) if tasks else _empty()


def write_midi(
    notes: Frame, folder: str | os.PathLike[str], *, on_error: OnError = "raise", progress: bool = True
) -> pl.DataFrame:
    """Write each task's notes to a MIDI file of its own, and say what each file holds.

    A task's id comes from outside and is no file name: a file is named by the first 32 hexadecimal digits of the id's
    SHA-256, so it is the same wherever and whenever the task is written, and replaces an earlier one of that task. The
    id itself stands in the file.

    Parameters
    ----------
    notes
        Notes table, in canonical order.
    folder
        Where the files go; it is made when it is not there.
    on_error
        A task that no file can hold ends the call with its error ("raise"), or gives a row with the reason and no file
        ("skip").
    progress
        Show a bar on stderr, if that is a terminal.

    Returns
    -------
    One row per task, in the order of ``notes``:

    - ``task``, ``path``, ``sha256`` (String), ``bytes`` (UInt64)
    - ``ppq`` (UInt16): ticks a quarter, of which there are two a second
    - ``tracks`` (UInt32): MIDI tracks with notes; ``extra_tracks`` of them hold what overlaps in others
    - ``shared_channels`` (UInt32): tracks on whose channel another program plays, too. There are 16 channels. Readers
      keep the tracks apart; a synthesiser plays those with one program
    - ``notes``, ``exact``, ``moved`` (in time), ``velocity_changed`` (UInt32): counts; a note may be in both last ones
    - ``largest_shift`` (Float64): seconds by which a start or end moved at most
    - ``reason`` (String): why there is no file; all else but ``task`` and ``notes`` is null then

    Raises
    ------
    NotesSchemaError, NotesOrderError, MidiError
        As ``to_midi``, but for the number of tasks.
    OSError
        If the folder cannot be written.

    Examples
    --------
    >>> import tempfile
    >>> from kie_notes.notes import NOTES_SCHEMA
    >>> note = {"pitch": 60, "start": 7 / 192, "end": 1.0, "velocity": 1.0}
    >>> notes = pl.DataFrame([{"task": "../t1", "instrument": "Flute", "track": 0} | note], schema=NOTES_SCHEMA)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     written = write_midi(notes, folder)
    >>> written.select("task", "tracks", "notes", "exact", "largest_shift").rows()
    [('../t1', 1, 1, 1, 0.0)]
    >>> Path(written["path"][0]).name
    '97834940c5d62f48948ad0b88e27fb82.mid'
    """
    into = Path(folder)
    into.mkdir(parents=True, exist_ok=True)
    rows: list[dict[str, object]] = []
    tasks = by_task(notes)
    shown = bar(unit="file", total=len(tasks), progress=progress)
    for task in tasks:
        try:
            rows.append(_write(plan(task), into))
        except (MidiError, NotesOrderError) as fault:
            if on_error == "raise":
                raise
            rows.append({"task": task["task"][0], "notes": task.height, "reason": str(fault)})
        shown.update()
    shown.close()
    return pl.DataFrame(rows, schema=WRITTEN_SCHEMA)


def midi_losses(notes: Frame) -> pl.DataFrame:
    """List the notes that a trip through a MIDI file changes, as they are before and after, and why.

    Times move when no resolution that the task's length allows has them on a tick; a note of no length becomes one tick
    long; a velocity becomes the nearest n / 127 from 1/127 on. Nothing else changes, and no note is lost. An empty
    result means that ``from_midi(to_midi(task))`` equals each task's notes, row by row.

    Parameters
    ----------
    notes
        Notes table, in canonical order.

    Returns
    -------
    One row per note that changes, in the order of ``notes``:

    - ``task`` (String), ``track`` (UInt16), ``instrument`` (String), ``pitch`` (UInt8)
    - ``start``, ``end`` (Float64, seconds), ``velocity`` (Float32): as they are
    - ``start_after``, ``end_after``, ``velocity_after``: as they come back
    - ``reason`` (String): what changed and why, "; " between several reasons

    Raises
    ------
    NotesSchemaError, NotesOrderError, MidiError
        As ``to_midi``, but for the number of tasks.

    Examples
    --------
    >>> from kie_notes.notes import NOTES_SCHEMA
    >>> row = {"task": "t1", "instrument": "Flute", "pitch": 60, "start": 0.5, "velocity": 1.0, "track": 0}
    >>> notes = pl.DataFrame([row | {"end": 0.5}, row | {"end": 1.0}], schema=NOTES_SCHEMA)
    >>> midi_losses(notes).select("start", "end", "end_after", "reason").rows()
    [(0.5, 0.5, 0.5010416666666667, 'zero length: became one tick, end moved by +1.04 ms')]
    """
    return pl.concat([LOSSES_SCHEMA.to_frame(), *(plan(task).losses() for task in by_task(notes))])


def _to_pretty(planned: Plan) -> pretty_midi.PrettyMIDI:
    import pretty_midi

    tracks = _tracks(planned)
    if len(tracks) > _MOST_TRACKS:
        raise MidiError(f"task {planned.task!r}: {len(tracks)} tracks, a MIDI file holds at most {_MOST_TRACKS}")
    midi = pretty_midi.PrettyMIDI(resolution=planned.clock.ppq, initial_tempo=TEMPO)
    numbers, names = planned.notes["track"].to_list(), planned.notes["instrument"].to_list()
    columns = (
        planned.velocity,
        planned.notes["pitch"].to_numpy(),
        planned.clock.seconds(planned.start),
        planned.clock.seconds(planned.end),
    )
    for rows in tracks:
        name = names[rows[0]]
        plays = instrument(name)
        track = pretty_midi.Instrument(plays.program, plays.is_drums, shown(name))
        values = zip(*(column[rows].tolist() for column in columns), strict=True)
        track.notes = [pretty_midi.Note(*value) for value in values]
        midi.instruments.append(track)
    firsts = [int(rows[0]) for rows in tracks]
    memo = Memo(
        kie_notes=1,
        task=planned.task,
        tracks=[numbers[row] for row in firsts],
        names={numbers[row]: names[row] for row in firsts if shown(names[row]) != names[row]},
        divides=planned.clock.divides,
    )
    midi.text_events.append(pretty_midi.Text(memo.text(), 0.0))
    return midi


def _empty() -> pretty_midi.PrettyMIDI:
    import pretty_midi

    return pretty_midi.PrettyMIDI(resolution=480, initial_tempo=TEMPO)


def _tracks(planned: Plan) -> list[Ticks]:
    """Give the rows of each MIDI track: the table's tracks in order, then their second lanes, and so on."""
    key = planned.lane() * 65536 + planned.notes["track"].to_numpy()
    order = np.argsort(key, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(key[order])) + 1)


def _write(planned: Plan, folder: Path) -> dict[str, object]:
    """Write one file, whole or not at all, and give its row of ``WRITTEN_SCHEMA``."""
    midi = _to_pretty(planned)
    buffer = io.BytesIO()
    midi.write(buffer)
    content = buffer.getvalue()
    path = folder / f"{hashlib.sha256(planned.task.encode()).hexdigest()[:32]}.mid"
    part = path.with_suffix(".part")
    part.write_bytes(content)
    part.replace(path)
    losses = planned.losses()
    shifts = pl.concat([(losses[f"{name}_after"] - losses[name]).abs() for name in ("start", "end")])
    changed = losses.select(
        moved=(pl.col("start") != pl.col("start_after")) | (pl.col("end") != pl.col("end_after")),
        velocity_changed=pl.col("velocity") != pl.col("velocity_after"),
    ).sum()
    return {
        "task": planned.task,
        "path": str(path),
        "sha256": hashlib.sha256(content).hexdigest(),
        "bytes": len(content),
        "ppq": planned.clock.ppq,
        "tracks": len(midi.instruments),
        "extra_tracks": len(midi.instruments) - planned.notes["track"].n_unique(),
        "shared_channels": _shared_channels(midi),
        "notes": planned.notes.height,
        "exact": planned.notes.height - losses.height,
        **changed.row(0, named=True),
        "largest_shift": shifts.max() or 0.0,
    }


def _shared_channels(midi: pretty_midi.PrettyMIDI) -> int:
    """Count the tracks on whose channel a track of another program plays, too."""
    on = channels([track.is_drum for track in midi.instruments])
    programs = pl.DataFrame({"channel": on, "program": [track.program for track in midi.instruments]})
    return programs.filter(pl.col("program").n_unique().over("channel") > 1).height
