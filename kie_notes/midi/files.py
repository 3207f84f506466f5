"""Some MIDI files at a time, from their bytes to columns of the notes table: the work of one process."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from kie_notes.errors import MidiError
from kie_notes.midi.assembly import Song, columns_of, memo_of
from kie_notes.midi.chunks import Chunks, read_chunks
from kie_notes.midi.events import read_events
from kie_notes.midi.symusic_lane import read_fast

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from kie_notes.midi.chunks import Reading

#: Tracks are numbered with 16 bits.
_MOST_PARTS: Final = 1 << 16

#: Notes that become columns at once: few enough to stay in a processor's cache, enough to be worth it.
_BATCH: Final = 1 << 14


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
    """Files, and their notes in canonical order; ``task`` counts ``files``, ``instrument`` counts ``names``."""

    files: list[File]
    batches: list[dict[str, NDArray[Any]]]
    names: list[str]


def read_piece(paths: list[tuple[str, Path]], *, fast: bool, pedal: bool) -> Piece:
    """Read files that are given with their tasks' ids, should they bear none: with symusic where it does (``fast``)."""
    opened = [_opened(path) for _, path in paths]
    sound = [chunks for _, chunks in opened if isinstance(chunks, Chunks)]
    readings = iter(read_fast(sound) if fast else [None] * len(sound))
    files: list[File] = []
    songs: dict[int, Song] = {}
    batches: list[dict[str, NDArray[Any]]] = []
    names: dict[str, int] = {}
    waiting = 0
    for (name, path), (content, chunks) in zip(paths, opened, strict=True):
        try:
            if isinstance(chunks, Exception):
                raise chunks
            song, rejects = _song(name, content, next(readings) or read_events(chunks, pedal=pedal))
        except (MidiError, OSError) as fault:
            reason = fault.strerror if isinstance(fault, OSError) else str(fault)
            files.append(
                File(name, text(path), "failed", 0, 0, [(None, None, "file", None, f"cannot be read: {reason}")])
            )
            continue
        count = len(song.reading.start)
        songs[len(files)] = song
        waiting += count
        state = "complete" if count else "empty"
        files.append(File(song.task, text(path), state, len(song.tracks), count, rejects))
        if waiting >= _BATCH:
            batches.append(columns_of(songs, names))
            songs, waiting = {}, 0
    return Piece(files, [*batches, columns_of(songs, names)], list(names))


def text(path: str | os.PathLike[str]) -> str:
    """Give a path as text; bytes that are none become question marks."""
    return os.fsencode(path).decode("utf-8", "replace")


def _opened(path: Path) -> tuple[bytes, Chunks | MidiError | OSError]:
    try:
        with path.open("rb", buffering=0) as file:
            content = file.read()
        return content, read_chunks(content)
    except (MidiError, OSError) as fault:
        return b"", fault


def _song(name: str, content: bytes, reading: Reading) -> tuple[Song, list[Any]]:
    if len(reading.parts) > _MOST_PARTS:
        raise MidiError(f"it has {len(reading.parts)} parts, and tracks are numbered up to {_MOST_PARTS - 1}")
    song, faults = memo_of(name, content, reading)
    return song, [
        (None if one.part is None else song.tracks[one.part][0], one.place, one.field, one.value, one.reason)
        for one in [*reading.faults, *faults]
    ]
