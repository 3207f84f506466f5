"""Notes as small text: whole ticks in columns, deflated, so that hundreds of tasks go into one page.

A task's notes are ordered by track, start, pitch, end and velocity; the tracks are counted, so that no note needs to
name its own. Four columns follow one another: ticks from the track's last start to this one (from 0 for its first),
ticks that it lasts, pitch, and velocity as ``round(127 v)``. A column is as many bytes a note as its largest value
needs, first the lowest byte of every note, then the next, and so on: the higher ones are nearly all 0 and vanish when
deflated.

A tick is 1/192 s where all times of the task are such multiples, as the service's are: then times are kept exactly.
Else it is 1 ms, and times are kept to half of one. ``static/data.js`` is the way back.
"""

from __future__ import annotations

import base64
import zlib
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
import polars as pl

from kie_notes.notes import check_notes

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from kie_notes.notes import Frame

#: Ticks a second: of the service's times, and of all others.
GRID: Final = 192
ELSE: Final = 1000

#: The largest time in seconds: at 1000 ticks a second it still is a number of four bytes.
LATEST: Final = 4_000_000.0


class Track(NamedTuple):
    """A track of a task: its number and name in the table, and its notes."""

    track: int
    instrument: str
    notes: int


class Packed(NamedTuple):
    """One task's notes.

    Attributes
    ----------
    task
        Its id.
    rate
        Ticks a second, ``GRID`` or ``ELSE``.
    widths
        Bytes a note of each column: starts, lengths, pitches, velocities.
    tracks
        In the order of their notes.
    data
        The columns, deflated (RFC 1950), in base64.
    """

    task: str
    rate: int
    widths: tuple[int, ...]
    tracks: tuple[Track, ...]
    data: str


def pack(notes: Frame) -> list[Packed]:
    """Pack the notes of each task, in the order in which tasks first appear.

    Memory is that of the table and about 50 bytes a note; time is that of a sort.

    Parameters
    ----------
    notes
        Notes table in any order.

    Raises
    ------
    NotesSchemaError
        If it is no notes table.
    ValueError
        If a time, pitch or velocity is none that a note can have, or a time is after 4,000,000 s.

    Examples
    --------
    >>> from kie_notes.notes import NOTES_SCHEMA
    >>> rows = [("a", "Flute", 60, 0.0, 1.0, 1.0, 0), ("a", "Flute", 64, 0.5, 1.0, 1.0, 0)]
    >>> flute = pack(pl.DataFrame(rows, schema=NOTES_SCHEMA, orient="row"))[0]
    >>> flute.rate, flute.widths, zlib.decompress(base64.b64decode(flute.data)).hex(" ")
    (192, (1, 1, 1, 1), '00 60 c0 60 3c 40 7f 7f')
    """
    table = _ordered(check_notes(notes).lazy()).collect(engine="streaming")
    if table.is_empty():
        return []
    sizes = table["run"].rle().struct.field("len").to_numpy().astype(np.int64)
    tracks = _tracks(table)
    rates, columns = _columns(table, sizes, tracks["notes"].to_numpy())
    ends = np.cumsum(sizes)
    named = tracks.partition_by("run", maintain_order=True, include_key=False)
    tasks = table["task"].cast(pl.String).gather(ends - 1).to_list()
    packed = []
    for task, rate, end, size, its in zip(tasks, rates, ends, sizes, named, strict=True):
        widths, data = _deflated([column[end - size : end] for column in columns])
        packed.append(Packed(task, int(rate), widths, tuple(map(Track._make, its.rows())), data))
    return packed


def _ordered(notes: pl.LazyFrame) -> pl.LazyFrame:
    """Order the notes by task and track, with the number of the task."""
    return (
        notes.with_row_index("row")
        .with_columns(pl.col("instrument").cast(pl.String), run=pl.col("row").min().over("task"))
        .sort("run", "track", "instrument", "start", "pitch", "end", "velocity")
    )


def _tracks(table: pl.DataFrame) -> pl.DataFrame:
    """Give one row a track, in the order of the notes: run, track, instrument, notes."""
    by = ["run", "track", "instrument"]
    return table.group_by(by, maintain_order=True).agg(notes=pl.len().cast(pl.Int64))


def _columns(
    table: pl.DataFrame, tasks: NDArray[np.int64], tracks: NDArray[np.int64]
) -> tuple[NDArray[np.int64], list[NDArray[np.uint32]]]:
    """Give the rate of each task, and the four columns of all, of the sizes of tasks and tracks."""
    seconds = table.select("start", "end").to_numpy()
    pitch, velocity = table["pitch"].to_numpy(), table["velocity"].to_numpy().astype(np.float64)
    _check(table, seconds, pitch, velocity)
    # NumPy divides; Polars would multiply by 1/192, and few times would be what they were.
    whole = (np.rint(seconds * GRID) / GRID == seconds).all(axis=1)
    rates = np.where(np.logical_and.reduceat(whole, np.cumsum(tasks) - tasks), GRID, ELSE)
    start, end = np.rint(seconds * np.repeat(rates, tasks)[:, None]).astype(np.int64).T
    begins = np.cumsum(tracks) - tracks
    steps = np.diff(start, prepend=0)
    steps[begins] = start[begins]
    return rates, [column.astype(np.uint32) for column in (steps, end - start, pitch, np.rint(velocity * 127))]


def _check(
    table: pl.DataFrame, seconds: NDArray[np.float64], pitch: NDArray[np.uint8], velocity: NDArray[np.float64]
) -> None:
    possible = (seconds >= 0).all(axis=1) & (seconds[:, 1] >= seconds[:, 0]) & (seconds[:, 1] <= LATEST)
    possible &= (pitch <= 127) & (velocity >= 0) & (velocity <= 1)
    if not possible.all():
        note = table.row(int(np.flatnonzero(~possible)[0]), named=True)
        told = ", ".join(f"{name} {note[name]}" for name in ("pitch", "start", "end", "velocity"))
        raise ValueError(f"task {note['task']!r}: no page can hold a note of {told}")


def _deflated(columns: list[NDArray[np.uint32]]) -> tuple[tuple[int, ...], str]:
    """Give the bytes a note of each column, and all bytes deflated, in base64."""
    widths = tuple(max(1, (int(column.max()).bit_length() + 7) // 8) for column in columns)
    deflate, pieces = zlib.compressobj(9), []
    for column, width in zip(columns, widths, strict=True):
        for plane in column.astype("<u4").view(np.uint8).reshape(-1, 4)[:, :width].T:
            # A block for each plane: each has a code of its own, a fifth less in all.
            pieces += [deflate.compress(plane.tobytes()), deflate.flush(zlib.Z_BLOCK)]
    return widths, base64.b64encode(b"".join([*pieces, deflate.flush()])).decode("ascii")
