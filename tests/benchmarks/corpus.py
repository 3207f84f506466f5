"""Corpora made from a seed, the same every time: records in the service's form, and the notes of the same as Parquet.

Tasks are drawn in pieces of about a million notes, each piece from the seed and its own number: any number of notes is
made in the memory of one piece, and a smaller corpus is the beginning of a larger one.
"""

from __future__ import annotations

import json
import sys
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
import polars as pl

from kie_notes.notes import NOTES_SCHEMA

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

#: What a pop song brings: name, share of the notes, lowest and highest pitch.
_BAND: Final = [
    ("Drums", 0.34, 35, 60),
    ("Electric Bass (finger)", 0.12, 28, 52),
    ("Acoustic Grand Piano", 0.22, 36, 90),
    ("String Ensembles 1", 0.12, 48, 84),
    ("Voice Oohs", 0.08, 55, 79),
    ("Voice Oohs", 0.06, 55, 79),
    ("Overdriven Guitar", 0.06, 40, 76),
]

#: Notes of a piece, which is a part of the notes as a store has them.
_PIECE: Final = 1_000_000

#: Steps of a second: the service's times are multiples of one.
_GRID: Final = 192


class Track(NamedTuple):
    """An instrument's notes in several tasks: whole numbers, a row a task, starts ascending in each."""

    instrument: str
    pitch: NDArray[Any]
    start: NDArray[Any]
    end: NDArray[Any]
    velocity: NDArray[Any]


def draw(tasks: int, notes: int, rng: np.random.Generator) -> list[Track]:
    """Draw tasks of some ``notes`` notes: times on the grid, velocities of 32 levels, chords on common onsets."""
    length = max(notes // 24, 2) * _GRID  # about 24 notes a second, all instruments together
    tracks = []
    for name, share, lowest, highest in _BAND:
        shape = tasks, max(int(notes * share), 1)
        start = np.sort(rng.integers(0, length // 24, shape) * 24 + rng.integers(0, 3, shape), axis=1)
        end = start + rng.integers(4, 384, shape)
        pitch = rng.integers(lowest, highest + 1, shape)
        tracks.append(Track(name, pitch, start, end, rng.integers(0, 32, shape) * 4 + 3))
    return tracks


def document(task: str, tracks: list[Track], at: int) -> bytes:
    """One of the tasks as a polled record."""
    keys = ("pitch", "start", "end", "velocity")
    instruments = []
    for name, pitch, start, end, velocity in tracks:
        columns = (pitch[at], start[at] / _GRID, end[at] / _GRID, velocity[at] / 127)
        notes = [
            dict(zip(keys, one, strict=True)) for one in zip(*(column.tolist() for column in columns), strict=True)
        ]
        instruments.append({"name": name, "notes": notes})
    data = {
        "taskId": task,
        "recordTaskId": -1,
        "audioId": "e2310000-0000-0000-0000-00008cadc7dc",
        "callbackUrl": "https://callback.invalid/",
        "completeTime": 1760335255000,
        "midiData": {"state": "complete", "instruments": instruments},
        "successFlag": 1,
        "createTime": 1760335251000,
        "errorCode": None,
        "errorMessage": None,
    }
    return json.dumps({"code": 200, "msg": "success", "data": data}, separators=(",", ":")).encode()


def record(task: str, notes: int, rng: np.random.Generator) -> bytes:
    """One polled record of some ``notes`` notes."""
    return document(task, draw(1, notes, rng), 0)


def table(names: list[str], tracks: list[Track]) -> pl.DataFrame:
    """The tasks as a notes table in canonical order."""
    parts = []
    for number, (instrument, pitch, start, end, velocity) in enumerate(tracks):
        columns = {
            "at": np.repeat(np.arange(len(names), dtype=np.uint32), pitch.shape[1]),
            "instrument": pl.repeat(instrument, pitch.size, eager=True, dtype=pl.Categorical()),
            "pitch": pitch.ravel().astype(np.uint8),
            "start": start.ravel() / _GRID,
            "end": end.ravel() / _GRID,
            "velocity": (velocity.ravel() / 127).astype(np.float32),
            "track": np.full(pitch.size, number, np.uint16),
        }
        parts.append(pl.DataFrame(columns))
    rows = pl.concat(parts).sort("at", "start", "track", "pitch", "end", "velocity")
    task = pl.Series(names, dtype=pl.Categorical()).gather(rows["at"]).alias("task")
    return rows.with_columns(task).select(NOTES_SCHEMA.names())


def pieces(notes: int, per_task: int, seed: int) -> Iterator[tuple[list[str], list[Track]]]:
    """Draw the tasks of a corpus, piece by piece: their names, and what they hold."""
    tasks, step = max(notes // per_task, 1), max(_PIECE // per_task, 1)
    for piece, (first, stop) in enumerate(pairwise([*range(0, tasks, step), tasks])):
        # Of the last piece, too, all tasks are drawn: else a task would depend on how many come after it.
        tracks = draw(step, per_task, np.random.default_rng([seed, piece]))
        names = [f"{at:032x}" for at in range(first, stop)]
        yield names, [Track(name, *(column[: len(names)] for column in rest)) for name, *rest in tracks]


def write_corpus(folder: Path, notes: int, *, per_task: int = 5_000, seed: int = 1) -> list[Path]:
    """Write records of about ``notes`` notes in all, one file a task."""
    paths = []
    for names, tracks in pieces(notes, per_task, seed):
        for at, name in enumerate(names):
            paths.append(folder / f"{name}.json")
            paths[-1].write_bytes(document(name, tracks, at))
    return paths


def write_parts(folder: Path, notes: int, *, per_task: int = 5_000, seed: int = 1) -> list[Path]:
    """Write the notes of the same records as Parquet, part by part, as a store writes its own."""
    from kie_notes.store.parts import write_part

    paths: list[Path] = []
    for names, tracks in pieces(notes, per_task, seed):
        paths.append(folder / f"part-{len(paths):06}.parquet")
        write_part(table(names, tracks), paths[-1], folder.parent / "tmp")
    return paths


def write_midi_files(folder: Path, notes: int, *, per_task: int = 5_000, seed: int = 1) -> list[Path]:
    """Write the notes of the same records as MIDI files."""
    from kie_notes.midi.write import write_midi

    for names, tracks in pieces(notes, per_task, seed):
        write_midi(table(names, tracks), folder, progress=False)
    return sorted(folder.iterdir())


#: What a corpus may hold, each in a folder of that name.
KINDS: Final = {"json": write_corpus, "parts": write_parts, "midi": write_midi_files}


def count(corpus: Path) -> int:
    """Count the notes of a corpus's Parquet files."""
    return int(pl.scan_parquet(corpus / "parts/*.parquet").select(pl.len()).collect().item())


def main() -> None:
    """Make a corpus, in a process whose memory nobody counts: FOLDER NOTES PER_TASK KIND."""
    folder, notes, per_task, kind = sys.argv[1:]
    into = Path(folder, kind)
    into.mkdir(parents=True)
    KINDS[kind](into, int(notes), per_task=int(per_task))


if __name__ == "__main__":
    main()
