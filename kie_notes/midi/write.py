"""From notes to MIDI: one object, many files, their bytes in a table, and what they change as a table."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

import polars as pl

from kie_notes.errors import MidiError
from kie_notes.midi.plan import LOSSES_SCHEMA
from kie_notes.midi.writing_batches import count_tasks
from kie_notes.midi.writing_bytes import chosen, empty, pretty
from kie_notes.midi.writing_files import lay_out, written
from kie_notes.notes import check_notes

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator

    import pretty_midi

    from kie_notes.midi.read import OnError
    from kie_notes.midi.writing_bytes import Engine
    from kie_notes.midi.writing_files import Laid, Row
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

#: One row per task that was to be made into bytes: the file itself in place of its path.
BYTES_SCHEMA: Final = pl.Schema(
    {
        "midi" if name == "path" else name: pl.Binary() if name == "path" else dtype
        for name, dtype in WRITTEN_SCHEMA.items()
    }
)


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
    table = check_notes(notes).lazy().collect(engine="streaming")
    tasks = count_tasks(table)
    if tasks is not None and tasks > 1:
        raise MidiError(
            f"{tasks} tasks in one table, a MIDI file holds one: filter(pl.col('task') == ...), or use write_midi"
        )
    for laid in lay_out(table, on_error="raise"):
        if laid.sheet:
            return pretty(laid.sheet, laid.sheet.songs[0])
    return empty(480)


def write_midi(
    notes: Frame,
    folder: str | os.PathLike[str],
    *,
    engine: Engine = "auto",
    workers: int = 1,
    on_error: OnError = "raise",
    progress: bool = True,
) -> pl.DataFrame:
    """Write each task's notes to a MIDI file of its own, and say what each file holds.

    A task's id comes from outside and is no file name: a file is named by the first 32 hexadecimal digits of the id's
    SHA-256, so it is the same wherever and whenever the task is written, and replaces an earlier one of that task. The
    id itself stands in the file.

    Parameters
    ----------
    notes
        Notes table, in canonical order. Of a LazyFrame, say the scan of a Parquet file, some 260,000 notes are held at
        a time (or one task, if it has more), for each of ``workers`` twice as many; and what is returned.
    folder
        Where the files go; it is made when it is not there.
    engine
        What writes the bytes: symusic, which takes a hundredth of pretty_midi's time and comes with the extra ``fast``,
        or pretty_midi; "auto" is symusic where it is installed. The files hold the same and read back as the same
        table, but their bytes, hence ``sha256`` and ``bytes``, are not the same.
    workers
        Processes that make the files; 1 is this one. Others take a second or two to start, which pays from some ten
        million notes on, or with pretty_midi; a script that wants them needs ``if __name__ == "__main__":``.
    on_error
        A task that no file can hold ends the call with its error ("raise"; files of earlier tasks may have been
        written), or gives a row with the reason and no file ("skip").
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
    NotesSchemaError, MidiError
        As ``to_midi``, but for the number of tasks.
    NotesOrderError
        As ``to_midi``; whatever ``on_error`` is, if a task's notes do not stand together. In a LazyFrame that is seen
        when the task comes again.
    MissingExtraError
        If ``engine`` is symusic and that is not installed.
    OSError
        If the folder cannot be written.
    ValueError
        If ``engine`` or ``workers`` has a value that it cannot have.

    References
    ----------
    Standard MIDI Files 1.0 (MIDI Association, RP-001). Y. Liao and Z. Luo, "symusic: a swift and unified toolkit for
    symbolic music processing", ISMIR 2024 late-breaking session.

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
    engine = chosen(engine)
    into = Path(folder)
    into.mkdir(parents=True, exist_ok=True)
    rows = written(notes, into, engine, on_error=on_error, workers=workers, progress=progress)
    return _table(rows, WRITTEN_SCHEMA)


def midi_bytes(
    notes: Frame, *, engine: Engine = "auto", workers: int = 1, on_error: OnError = "raise", progress: bool = True
) -> pl.DataFrame:
    r"""Give each task's MIDI file as bytes in a table, and say what each holds, as ``write_midi`` does.

    Data sets keep whole MIDI files in a column; this is what such a file would hold, without the file system between.

    Parameters
    ----------
    notes
        Notes table, in canonical order. As in ``write_midi``, a LazyFrame is taken batch by batch; the bytes of all
        files are held, some 7 a note.
    engine, workers, on_error, progress
        As in ``write_midi``.

    Returns
    -------
    One row per task, in the order of ``notes``: the columns of ``write_midi``, but in the place of ``path``

    - ``midi`` (Binary): the file; null where ``reason`` says why there is none

    Raises
    ------
    NotesSchemaError, NotesOrderError, MidiError, MissingExtraError, ValueError
        As ``write_midi``.

    Examples
    --------
    >>> from kie_notes.notes import NOTES_SCHEMA
    >>> row = {"task": "t1", "instrument": "Flute", "pitch": 60, "start": 0.5, "end": 1.0, "velocity": 1.0, "track": 0}
    >>> files = midi_bytes(pl.DataFrame([row], schema=NOTES_SCHEMA))
    >>> files["midi"][0][:14], files["exact"][0]
    (b'MThd\x00\x00\x00\x06\x00\x01\x00\x02\x01\xe0', 1)
    """
    rows = written(notes, None, chosen(engine), on_error=on_error, workers=workers, progress=progress)
    return _table(rows, BYTES_SCHEMA)


def midi_losses(notes: Frame) -> pl.DataFrame:
    """List the notes that a trip through a MIDI file changes, as they are before and after, and why.

    Times move when no resolution that the task's length allows has them on a tick; a note of no length becomes one tick
    long; a velocity becomes the nearest n / 127 from 1/127 on. Nothing else changes, and no note is lost. An empty
    result means that ``from_midi(to_midi(task))`` equals each task's notes, row by row.

    Parameters
    ----------
    notes
        Notes table, in canonical order; a LazyFrame is taken batch by batch.

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
    return pl.concat([LOSSES_SCHEMA.to_frame(), *_losses(lay_out(notes, on_error="raise"))])


def _losses(batches: Iterator[Laid]) -> Iterator[pl.DataFrame]:
    for batch in batches:
        if batch.plan:
            yield batch.plan.losses()


def _table(batches: Iterator[list[Row]], schema: pl.Schema) -> pl.DataFrame:
    """Give rows as a table, whose bytes are not held twice."""
    return pl.concat([schema.to_frame(), *(pl.DataFrame(rows, schema, orient="row") for rows in batches)])
