"""Notes tables from MIDI files of anybody's, thousands of them: notes, files, and what could not be taken.

How a file is read is the same on both lanes (``engine``), and stated here:

- **Time** is an exact integer number of microseconds times ticks until one division at its end (``tempo_map``). Tempo
  events count in whatever track they stand; of several at one tick the last. SMPTE files count frames.
- **Tracks** are parts: what one program plays on one channel of one MIDI track, in that order (by MIDI track, channel,
  program). So a MIDI track that changes its program, or bears several channels, is several tracks, and two of one name
  stay two. A part is named as ``from_midi`` names it. Channel 10 is percussion.
- **Notes** are paired first in, first out: a note-off ends the note of its track, channel and pitch that began first of
  those that sound. Notes that overlap and notes of no length stay as they are. A note-on that is never ended is a
  reject (where one note-off was meant to end two notes, the one that is left takes the next note-off of its pitch, and
  so on: such a reject tells that the lengths of this pitch before it are doubtful); a note-off that ends nothing is
  none of a note and is passed over.
- **The pedal** (controller 64) is left aside, or applied: ``sustain`` says how. Other controllers, pitch bends and
  pressure have no place in the table.
- **Formats** 0 and 1 are one piece. In format 2 each MIDI track is a sequence of its own with tempo events of its own;
  all are given, each from 0 s on.
- **Damage** does not end the call. A track is read as far as its bytes make sense, the other tracks whole; what is
  wrong is a row of the rejects. A file of which nothing can be read is a failed task.
- **Files that kie_notes wrote** come back as ``from_midi`` gives them, bit for bit.
"""

from __future__ import annotations

import os
import sys
from collections import deque
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from importlib.util import find_spec
from itertools import islice
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np
import polars as pl

from kie_notes.errors import MissingExtraError
from kie_notes.midi.files import read_pieces, text
from kie_notes.midi.read import midi_files, task_name
from kie_notes.notes import NOTES_SCHEMA, REJECTS_SCHEMA, TASKS_SCHEMA, Flattened
from kie_notes.progress import bar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from numpy.typing import NDArray

    from kie_notes.midi.files import File, Piece

#: What reads the events; "auto" is symusic where it is installed.
Engine = Literal["auto", "symusic", "python"]

#: What becomes of the sustain pedal.
Pedal = Literal["ignore", "apply"]

#: Files that one of several processes is given at once.
_FILES: Final = 16

#: Columns reserve room for this many times the notes that they hold, at most; what is not used costs no memory.
_RESERVE: Final = 16

#: Pieces that wait for each process, so that it never waits itself and no more is held.
_AHEAD: Final = 4


def read_midi(
    source: str | os.PathLike[str] | Iterable[str | os.PathLike[str]],
    *,
    pedal: Pedal = "ignore",
    engine: Engine = "auto",
    workers: int = 1,
    progress: bool = True,
) -> Flattened:
    """Read MIDI files into one notes table, one row per file, and one row per thing that could not be taken.

    With symusic a hundred times as fast as a loop over ``pretty_midi.PrettyMIDI`` where files have thousands of notes
    (seventy times at 1,000, fifteen at 50), without it six times. For more than memory holds there is ``midi_batches``.

    Parameters
    ----------
    source
        A folder, whose ``.mid`` and ``.midi`` files are read to the bottom, in the order of their paths; a file; or
        several files, in their order.
    pedal
        Notes end when their key is let go ("ignore"), or sound on while their channel's sustain pedal is down, until
        their pitch begins again ("apply"). The pedal is read in Python, whatever ``engine`` is: symusic shows no
        channels.
    engine
        "symusic" (the extra ``fast``), "python", which needs nothing and takes some fifteen times as long, or the
        first where it is installed ("auto"). The result is the same; what symusic does not show, damage above all, is
        read in Python.
    workers
        Processes that read; 1 is this one. A process takes a second to start. They are spawned, so a script that asks
        for several needs ``if __name__ == "__main__":``.
    progress
        Show a bar on stderr, if that is a terminal.

    Returns
    -------
    ``Flattened(notes, tasks, rejects)``:

    - ``notes``: a notes table in canonical order, tasks in the order of their files; velocity is n / 127. A task is
      named by its file's path below the folder (below the folder that several files share) without the suffix, or as
      the file says that kie_notes wrote.
    - ``tasks``: one row per file: ``complete``, ``empty`` (no notes), or ``failed`` (nothing could be read); ``tracks``
      counts parts with note-ons, ``source`` is the path, ``error_message`` what is wrong with a file.
    - ``rejects``: one row per note-on that is never ended, whose ``index`` counts its track's note-ons; and, without
      ``index``, one per damage, per invalid tempo event, and per file whose task an earlier file bears: that file's
      notes are left out.

    Raises
    ------
    MidiError
        If ``source`` is one path, and nothing is there.
    MissingExtraError
        If ``engine`` is "symusic", and that is not installed.
    ValueError
        If ``pedal``, ``engine`` or ``workers`` has a value that it cannot have.

    References
    ----------
    Standard MIDI Files 1.0 (RP-001). pretty_midi 0.2 differs: there a note-off ends every open note of its pitch,
    notes of no length are dropped, tempo events count in the first track only, and a note belongs to the program at
    its end.

    Examples
    --------
    >>> import tempfile
    >>> events = bytes.fromhex("00c028 00903c7f 83603e7f 00803c00 83603e00 00ff2f00")  # program 40, two notes
    >>> header = b"MThd" + bytes.fromhex("00000006 0000 0001 01e0") + b"MTrk" + len(events).to_bytes(4, "big")
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = Path(folder, "duo.mid").write_bytes(header + events)
    ...     notes, tasks, rejects = read_midi(folder)
    >>> notes.rows()
    [('duo', 'Violin', 60, 0.0, 0.5, 1.0, 0), ('duo', 'Violin', 62, 0.5, 1.0, 1.0, 0)]
    >>> tasks.select("task", "state", "tracks", "notes").rows(), rejects.height
    ([('duo', 'complete', 1, 2)], 0)
    """
    whole = partial(midi_batches, batch_notes=sys.maxsize, pedal=pedal, engine=engine, workers=workers)
    schemas = (NOTES_SCHEMA, TASKS_SCHEMA, REJECTS_SCHEMA)
    return next(whole(source, progress=progress), Flattened(*(pl.DataFrame(schema=schema) for schema in schemas)))


def midi_batches(
    source: str | os.PathLike[str] | Iterable[str | os.PathLike[str]],
    *,
    batch_notes: int = 1_000_000,
    pedal: Pedal = "ignore",
    engine: Engine = "auto",
    workers: int = 1,
    progress: bool = True,
) -> Iterator[Flattened]:
    """Read MIDI files as ``read_midi`` does, some whole files at a time: for more than memory holds.

    What is held is one batch, the paths, the tasks' ids, and with ``workers`` a few files for each.

    Parameters
    ----------
    batch_notes
        A batch ends with the file that brings so many notes, >= 1.
    source, pedal, engine, workers, progress
        As for ``read_midi``.

    Yields
    ------
    ``Flattened(notes, tasks, rejects)``, as of ``read_midi``; put together they are its result. No files give nothing.

    Raises
    ------
    MidiError, MissingExtraError, ValueError
        As ``read_midi``, at the call.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for number, (notes, tasks, rejects) in enumerate(midi_batches(folder)):
    ...         notes.write_parquet(f"{number:05}.parquet")
    """
    if pedal not in ("ignore", "apply"):
        raise ValueError(f"pedal: expected 'ignore' or 'apply', got {pedal!r}")
    if workers < 1 or batch_notes < 1:
        raise ValueError(f"expected workers and batch_notes of 1 or more, got {workers} and {batch_notes}")
    fast = _chosen(engine) == "symusic" and pedal == "ignore"
    files = _named_files(source)
    return _batches(files, partial(read_pieces, fast=fast, pedal=pedal == "apply"), batch_notes, workers, progress)


def _chosen(engine: Engine) -> Engine:
    there = find_spec("symusic") is not None
    if engine == "auto":
        return "symusic" if there else "python"
    if engine not in ("symusic", "python"):
        raise ValueError(f"engine: expected one of 'auto', 'symusic', 'python', got {engine!r}")
    if engine == "symusic" and not there:
        raise MissingExtraError('symusic is not installed; engine="symusic" needs it: pip install "kie-notes[fast]"')
    return engine


def _named_files(source: str | os.PathLike[str] | Iterable[str | os.PathLike[str]]) -> list[tuple[str, str]]:
    """Give the files with their tasks' ids, should they bear none."""
    if not isinstance(source, str | os.PathLike):
        paths = [Path(path) for path in source]
        shared = os.path.commonpath([path.absolute().parent for path in paths]) if paths else ""
        return [(task_name(path.absolute().relative_to(shared)), str(path)) for path in paths]
    root = Path(source)
    files = midi_files(root)
    if files == [str(root)]:
        return [(text(root.name.removesuffix(root.suffix)), str(root))]
    above = len(str(root / "_")) - 1
    return [(text(path[above:].rpartition(".")[0]), path) for path in files]


def _batches(
    files: list[tuple[str, str]],
    read: Callable[[list[tuple[str, str]]], Iterator[Piece]],
    notes: int,
    workers: int,
    progress: bool,  # noqa: FBT001
) -> Iterator[Flattened]:
    building, seen, found, done = _Building(), dict[str, str](), 0, 0
    shown = bar(unit="file", total=len(files), progress=progress)
    for piece in read(files) if workers == 1 else _pieces(files, read, workers):
        shown.update(len(piece.files))
        found, done = found + sum(file.notes for file in piece.files), done + len(piece.files)
        rest = piece
        while rest.files:
            some, rest = rest.cut(notes - building.rows)
            building.add(some, seen, expected=min(notes, found * len(files) // done))
            if building.rows >= notes:
                yield building.done()
                building = _Building()
    shown.close()
    if building.files or building.rejects:
        yield building.done()


def _pieces(
    files: list[tuple[str, str]], read: Callable[[list[tuple[str, str]]], Iterator[Piece]], workers: int
) -> Iterator[Piece]:
    """Read some files at a time in other processes, in their order."""
    groups = (files[at : at + _FILES] for at in range(0, len(files), _FILES))
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        waiting = deque(pool.submit(_listed, read, group) for group in islice(groups, _AHEAD * workers))
        while waiting:
            yield from waiting.popleft().result()
            waiting.extend(pool.submit(_listed, read, group) for group in islice(groups, 1))


def _listed(read: Callable[[list[tuple[str, str]]], Iterator[Piece]], files: list[tuple[str, str]]) -> list[Piece]:
    return list(read(files))


class _Building:
    """A batch while pieces come in, in columns that grow in place."""

    def __init__(self) -> None:
        self.columns: dict[str, NDArray[Any]] = {}
        self.names: list[str] = []
        self.files: list[File] = []
        self.rejects: list[tuple[object, ...]] = []
        self.rows = 0

    def add(self, piece: Piece, seen: dict[str, str], *, expected: int) -> None:
        """Add a piece, but for files whose task an earlier file bears; ``expected`` is a guess of all rows."""
        kept = []
        for file in piece.files:
            kept.append(file.task not in seen)
            if kept[-1]:
                seen[file.task] = file.path
                self.files.append(file)
                self.rejects += [(file.task, *reject) for reject in file.rejects]
            else:
                reason = f"bears the task of {seen[file.task]}; its {file.notes} notes are left out"
                self.rejects.append((file.task, None, None, "task", file.path, reason))
        rows = slice(None) if all(kept) else np.repeat(kept, [file.notes for file in piece.files])
        self._append({name: values[rows] for name, values in piece.columns.items()}, expected)
        self.names += piece.names

    def _append(self, columns: dict[str, NDArray[Any]], expected: int) -> None:
        begin, self.rows = self.rows, self.rows + len(columns["pitch"])
        room = max(self.rows, min(_RESERVE * self.rows, expected + expected // 8))
        for name, values in columns.items():
            whole = self.columns.setdefault(name, values[:0])
            if self.rows > len(whole):
                self.columns[name] = np.empty(room, values.dtype)
                self.columns[name][:begin] = whole[:begin]
            self.columns[name][begin : self.rows] = values
        self.columns["instrument"][begin : self.rows] += len(self.names)

    def done(self) -> Flattened:
        notes: dict[str, Any] = {name: values[: self.rows] for name, values in self.columns.items()}
        sizes = [file.notes for file in self.files]
        task = np.repeat(np.arange(len(sizes), dtype=np.uint32), sizes)
        notes["task"] = _named([file.task for file in self.files], task)
        notes["instrument"] = _named(self.names, notes["instrument"])
        return Flattened(
            pl.DataFrame(notes, schema=NOTES_SCHEMA),
            pl.DataFrame([_task_row(file) for file in self.files], schema=TASKS_SCHEMA, orient="row"),
            pl.DataFrame(self.rejects, schema=REJECTS_SCHEMA, orient="row"),
        )


def _named(names: list[str], places: NDArray[np.uint32]) -> pl.Series:
    return pl.Series(names, dtype=pl.Categorical()).gather(pl.Series(places))


def _task_row(file: File) -> tuple[object, ...]:
    rejected = sum(index is not None for _, index, *_ in file.rejects)
    times = (None, None, None)
    return (file.task, file.state, None, *times, file.tracks, file.notes, rejected, None, file.message(), file.path)
