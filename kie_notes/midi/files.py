"""Some MIDI files at a time, from their bytes to columns of the notes table: the work of one process."""

from __future__ import annotations

import os
from bisect import bisect_left
from io import FileIO
from itertools import accumulate
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from kie_notes.errors import MidiError
from kie_notes.midi.assembly import columns_of, memo_of
from kie_notes.midi.chunks import Chunks, read_chunks
from kie_notes.midi.events import read_events
from kie_notes.midi.symusic_lane import read_fast

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import NDArray

    from kie_notes.midi.assembly import Song
    from kie_notes.midi.chunks import Reading

#: Tracks are numbered with 16 bits.
_MOST_PARTS: Final = 1 << 16

#: Bytes that are read at once, some 65,000 notes: few enough to stay in a processor's cache, enough to be worth it.
_BATCH: Final = 1 << 19

#: Files that are read at once.
_FILES: Final = 256


class File(NamedTuple):
    """What is said about one file; ``rejects`` are rows of ``REJECTS_SCHEMA`` without the task."""

    task: str
    path: str
    state: str
    tracks: int
    notes: int
    rejects: list[tuple[int | None, int | None, str, str | None, str]]

    def message(self) -> str | None:
        """Say what is wrong with the file as a whole."""
        return "; ".join(reason for _, index, _, _, reason in self.rejects if index is None) or None


class Piece(NamedTuple):
    """Files, and their notes one after the other, each file's in canonical order; ``instrument`` counts ``names``."""

    files: list[File]
    columns: dict[str, NDArray[Any]]
    names: list[str]

    def cut(self, notes: int) -> tuple[Piece, Piece]:
        """Cut behind the file that brings so many notes."""
        ends = list(accumulate(file.notes for file in self.files))
        at = bisect_left(ends, notes) + 1
        if at >= len(ends):
            return self, Piece([], {}, [])
        halves = [
            Piece(files, {name: values[rows] for name, values in self.columns.items()}, self.names)
            for files, rows in (
                (self.files[:at], slice(ends[at - 1])),
                (self.files[at:], slice(ends[at - 1], None)),
            )
        ]
        return halves[0], halves[1]


class _Opened(NamedTuple):
    name: str
    path: str
    content: bytes
    chunks: Chunks | MidiError | OSError


def read_pieces(paths: Iterable[tuple[str, str]], *, fast: bool, pedal: bool) -> Iterator[Piece]:
    """Read files that are given with their tasks' ids, should they bear none: with symusic where it does (``fast``)."""
    opened: list[_Opened] = []
    size = 0
    for name, path in paths:
        opened.append(_opened(name, path))
        size += len(opened[-1].content)
        if size >= _BATCH or len(opened) == _FILES:
            yield _piece(opened, fast=fast, pedal=pedal)
            opened, size = [], 0
    if opened:
        yield _piece(opened, fast=fast, pedal=pedal)


def _piece(opened: list[_Opened], *, fast: bool, pedal: bool) -> Piece:
    sound = [one.chunks for one in opened if isinstance(one.chunks, Chunks)]
    readings = iter(read_fast(sound) if fast else [None] * len(sound))
    files: list[File] = []
    songs: list[Song] = []
    for name, path, content, chunks in opened:
        try:
            if isinstance(chunks, Exception):
                raise chunks
            song, rejects = _song(name, content, next(readings) or read_events(chunks, pedal=pedal))
        except (MidiError, OSError) as fault:
            reason = f"cannot be read: {fault.strerror if isinstance(fault, OSError) else fault}"
            files.append(File(name, text(path), "failed", 0, 0, [(None, None, "file", None, reason)]))
            continue
        count = len(song.reading.start)
        songs.append(song)
        files.append(File(song.task, text(path), "complete" if count else "empty", len(song.tracks), count, rejects))
    return Piece(files, *columns_of(songs))


def text(path: str) -> str:
    """Give a path as text; bytes that are none become question marks."""
    return path if path.isascii() else os.fsencode(path).decode("utf-8", "replace")


def _opened(name: str, path: str) -> _Opened:
    try:
        with FileIO(path) as file:
            content = file.readall()
        return _Opened(name, path, content, read_chunks(content))
    except (MidiError, OSError) as fault:
        return _Opened(name, path, b"", fault)


def _song(name: str, content: bytes, reading: Reading) -> tuple[Song, list[Any]]:
    if len(reading.parts) > _MOST_PARTS:
        raise MidiError(f"it has {len(reading.parts)} parts, and tracks are numbered up to {_MOST_PARTS - 1}")
    song, faults = memo_of(name, content, reading)
    return song, [
        (None if one.part is None else song.tracks[one.part][0], one.place, one.field, one.value, one.reason)
        for one in [*reading.faults, *faults]
    ]
