"""Piano rolls: notes on a grid of frames and pitches, as arrays or as a table of the cells that sound, and back.

Frame k is the time ``[k / fps, (k + 1) / fps)``. A note sounds in every frame that shares time with ``[start, end)``;
one that lasts less than a frame, or nothing, sounds in the frame of its start, so no note is lost. Times are floats and
edges are met exactly: what is less than a microsecond off an edge is on it, so a start at 29/100 s is in frame 29 of
100 a second, though 0.29 * 100 is 28.999999999999996, and an end there is not.

What a roll cannot hold: times within a frame, and which of several notes of one pitch a cell belongs to.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal, NamedTuple

import numpy as np
import polars as pl

from kie_notes.analysis.grouping import INSTANT, Drums, check_choice, keep_drums
from kie_notes.errors import NotesSchemaError
from kie_notes.export.arrays import sound_notes
from kie_notes.midi.plan import velocity_of
from kie_notes.notes import NOTES_SCHEMA, sort_notes

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import NDArray

    from kie_notes.notes import Frame

#: What one roll shows: a task, or one of its tracks.
By = Literal["task", "track"]

#: Above this a frame is not much longer than the microsecond in which times are the same.
_MOST_FPS: Final = 10_000.0

_PITCHES: Final = 128

#: What tells one roll from another.
_KEYS: Final = {"task": ["task"], "track": ["task", "track", "instrument"]}

_FRAME: Final = pl.Schema({"first": pl.UInt32(), "stop": pl.UInt32(), "level": pl.UInt8()})


class PianoRoll(NamedTuple):
    """One roll; its arrays are frames x 128, a row a frame.

    Attributes
    ----------
    task
        The task's id.
    track, instrument
        The track's number and name, or None where the roll is the whole task's.
    fps
        Frames per second.
    sounding
        Where a note sounds (bool).
    onsets
        Where a note starts (bool).
    offsets
        Where a note sounds for the last time (bool).
    velocities
        The highest velocity among the notes that sound in the cell, 0 to 127 (uint8); 0 in silence.
    """

    task: str
    track: int | None
    instrument: str | None
    fps: float
    sounding: NDArray[np.bool_]
    onsets: NDArray[np.bool_]
    offsets: NDArray[np.bool_]
    velocities: NDArray[np.uint8]


def to_piano_rolls(
    notes: Frame, *, fps: float = 100.0, by: By = "task", drums: Drums = "exclude"
) -> Iterator[PianoRoll]:
    """Make piano rolls one after the other: ``next(to_piano_rolls(one_task))`` is the roll of one task.

    Only the roll at hand takes memory, 512 bytes a frame. For all cells of all tasks at once, as a table:
    ``piano_roll_cells``. A picture of a roll is ``piano_roll``.

    Parameters
    ----------
    notes
        Notes table, each task's notes together.
    fps
        Frames per second, above 0, up to 10,000.
    by
        One roll for each task, or for each of its tracks.
    drums
        Whether percussion is left out, included (its keys as if they were pitches), or taken alone.

    Yields
    ------
    A ``PianoRoll`` for each task, or each track, in the table's order. It has as many frames as the task's last note
    needs, whichever instrument plays that, so the rolls of one task have one shape. Where all notes are left out there
    is no roll.

    Returns
    -------
    An iterator; errors come when it is made.

    Raises
    ------
    NotesSchemaError, NotesOrderError
        If ``notes`` is no notes table, has a value that no note can have, or a task's notes do not stand together.
    ValueError
        If an option has a value that it cannot have.

    References
    ----------
    The four arrays are the targets of Hawthorne et al., "Onsets and Frames", ISMIR 2018. Against
    ``pretty_midi.PrettyMIDI.get_piano_roll(fs)`` (128 x frames): that cuts ``start * fs`` and ``end * fs`` to integers,
    so floats that are just short of an edge fall a frame early, notes shorter than a frame may vanish and a frame that
    a note's end only reaches into is silent; and it adds up the velocities of notes that share a cell, to more than
    127.

    Examples
    --------
    >>> rows = [("a", "Flute", 60, 0.0, 0.375, 1.0, 0), ("a", "Flute", 62, 0.25, 0.25, 0.5, 0)]
    >>> roll = next(to_piano_rolls(pl.DataFrame(rows, schema=NOTES_SCHEMA, orient="row"), fps=8))
    >>> roll.velocities[:, 60:63].tolist()
    [[127, 0, 0], [127, 0, 0], [127, 0, 64]]
    >>> np.argwhere(roll.onsets).tolist(), np.argwhere(roll.offsets).tolist()
    ([[0, 60], [2, 62]], [[2, 60], [2, 62]])
    """
    placed = _on_frames(notes, fps, by, drums)
    return (_dense(part, fps, by) for part in placed.partition_by("roll", maintain_order=True))


def piano_roll_cells(notes: Frame, *, fps: float = 100.0, by: By = "task", drums: Drums = "exclude") -> pl.DataFrame:
    """List the cells of the piano rolls in which a note sounds: the rolls in sparse form.

    ``scipy.sparse.coo_array((cells["velocity"], (cells["frame"], cells["pitch"])))`` of one task's cells is its matrix
    in SciPy. Time and memory are those of the cells, however long the silence between them.

    Parameters
    ----------
    notes
        Notes table, each task's notes together.
    fps
        Frames per second, above 0, up to 10,000.
    by
        Cells of each task, or of each of its tracks.
    drums
        Whether percussion is left out, included (its keys as if they were pitches), or taken alone.

    Returns
    -------
    One row per cell, roll by roll in the order of ``to_piano_rolls``, by frame and pitch:

    - ``task`` (String); by track: ``track`` (UInt16), ``instrument`` (String)
    - ``frame`` (UInt32): from 0; it begins at ``frame / fps`` seconds
    - ``pitch`` (UInt8)
    - ``velocity`` (UInt8): the highest among the notes that sound in the cell, 0 to 127
    - ``onset``, ``offset`` (Boolean): whether a note starts in it, and whether one sounds in it for the last time

    Raises
    ------
    NotesSchemaError, NotesOrderError
        If ``notes`` is no notes table, has a value that no note can have, or a task's notes do not stand together.
    ValueError
        If an option has a value that it cannot have.

    References
    ----------
    The cells of ``to_piano_rolls``, which tells how they differ from other programs'.

    Examples
    --------
    >>> rows = [("a", "Flute", 60, 0.0, 0.25, 1.0, 0), ("a", "Flute", 62, 0.125, 0.125, 0.5, 0)]
    >>> piano_roll_cells(pl.DataFrame(rows, schema=NOTES_SCHEMA, orient="row"), fps=8).rows()
    [('a', 0, 60, 127, True, False), ('a', 1, 60, 127, False, True), ('a', 1, 62, 64, True, True)]
    """
    placed = _on_frames(notes, fps, by, drums)
    cells = _cells(placed)
    heads = placed.unique("roll", keep="first").sort("roll").select(_KEYS[by])
    at = pl.col("at")
    return pl.concat([heads[cells["roll"]], cells], how="horizontal").select(
        *_KEYS[by],
        (at // _PITCHES).cast(pl.UInt32).alias("frame"),
        (at % _PITCHES).cast(pl.UInt8).alias("pitch"),
        *("velocity", "onset", "offset"),
    )


def from_piano_rolls(rolls: Iterable[PianoRoll], *, instrument: str = "Acoustic Grand Piano") -> pl.DataFrame:
    """Read the notes off piano rolls, those of ``to_piano_rolls`` or a model's.

    A note starts in each cell of ``onsets``, and where a pitch sounds that was silent in the frame before. It lasts
    until the pitch is silent or starts anew, and has the velocity of its first cell. A cell of ``onsets`` counts as
    sounding; ``offsets`` are not read, since they follow.

    From rolls by track this gives back the table where no two notes of a pitch share a frame within a track, all times
    are edges of frames, no note is without duration, and velocities are n / 127. Otherwise starts move down and ends up
    to the edges of their frames, by less than a frame (plus the frame that a note without duration takes); of notes
    that share a cell, the earlier one ends where the next starts, those that start in one frame become one, and a
    velocity is that of the loudest.

    Parameters
    ----------
    rolls
        Piano rolls; those of one task may come in any order. Numbers in place of truths are true where they are not 0.
    instrument
        Name for rolls without one, and track 0 for those without a track.

    Returns
    -------
    Notes table, in canonical order.

    Raises
    ------
    NotesSchemaError
        If an array is not frames x 128, the arrays of a roll differ in shape, or a velocity is above 127 or below 0.

    Examples
    --------
    >>> rows = [("a", "Flute", 60, 0.0, 0.25, 1.0, 0), ("a", "Flute", 60, 0.25, 0.5, 1.0, 0)]
    >>> notes = pl.DataFrame(rows, schema=NOTES_SCHEMA, orient="row")
    >>> from_piano_rolls(to_piano_rolls(notes, fps=8, by="track")).equals(notes)
    True
    """
    read = [_notes_of(roll, instrument) for roll in rolls]
    return sort_notes(pl.concat(read)) if read else pl.DataFrame(schema=NOTES_SCHEMA)


def _check(fps: float, by: str) -> None:
    check_choice("by", by, By)
    if not 0 < fps <= _MOST_FPS:
        raise ValueError(f"fps: expected frames per second above 0, up to {_MOST_FPS:.0f}, got {fps!r}")


def _on_frames(notes: Frame, fps: float, by: By, drums: Drums) -> pl.DataFrame:
    """Add the frames of each note: ``first``; ``stop``, the one after its last; ``frames``, of its task.

    ``roll`` counts the rolls in the table's order; ``level`` is the velocity from 0 to 127; the names are String.
    """
    check_choice("by", by, By)
    if not 0 < fps <= _MOST_FPS:
        raise ValueError(f"fps: expected frames per second above 0, up to {_MOST_FPS:.0f}, got {fps!r}")
    first = ((pl.col("start") + INSTANT) * fps).floor()
    stop = pl.max_horizontal(((pl.col("end") - INSTANT) * fps).ceil(), first + 1)
    level = (pl.col("velocity").cast(pl.Float64) * 127).round(mode="half_to_even")
    placed = sound_notes(notes).lazy().with_columns(first=first, stop=stop, level=level).cast(_FRAME)
    kept = keep_drums(placed.with_columns(frames=pl.col("stop").max().over("task")), drums)
    roll = pl.col("roll").min().over(_KEYS[by]).rank("dense") - 1  # of the roll's first row
    return kept.with_row_index("roll").with_columns(pl.col("task", "instrument").cast(pl.String), roll=roll).collect()


def _cells(placed: pl.DataFrame) -> pl.DataFrame:
    """Give the cells of the rolls, ascending: ``roll``, ``at`` (frame * 128 + pitch), ``velocity`` and flags."""
    columns = ("roll", "first", "stop", "pitch", "level")
    roll, first, stop, pitch, level = (placed[name].to_numpy().astype(np.int64) for name in columns)
    size = int(stop.max(initial=0)) * _PITCHES
    many = stop - first
    frame = np.arange(many.sum()) + np.repeat(first - np.cumsum(many) + many, many)
    by_velocity = np.sort((np.repeat(roll * size + pitch, many) + frame * _PITCHES) * _PITCHES + np.repeat(level, many))
    loudest = by_velocity[np.diff(by_velocity // _PITCHES, append=-1) != 0]
    place = loudest // _PITCHES
    onset, offset = (np.zeros(len(place), np.bool_) for _ in range(2))
    onset[np.searchsorted(place, roll * size + first * _PITCHES + pitch)] = True
    offset[np.searchsorted(place, roll * size + (stop - 1) * _PITCHES + pitch)] = True
    of, at = np.divmod(place, max(size, 1))
    velocity = (loudest % _PITCHES).astype(np.uint8)
    return pl.DataFrame({"roll": of, "at": at, "velocity": velocity, "onset": onset, "offset": offset})


def _dense(part: pl.DataFrame, fps: float, by: By) -> PianoRoll:
    cells = _cells(part)
    at = cells["at"].to_numpy()
    shape = (int(part["frames"][0]), _PITCHES)
    sounding, onsets, offsets = (np.zeros(shape, np.bool_) for _ in range(3))
    velocities = np.zeros(shape, np.uint8)
    sounding.reshape(-1)[at] = True
    onsets.reshape(-1)[at] = cells["onset"].to_numpy()
    offsets.reshape(-1)[at] = cells["offset"].to_numpy()
    velocities.reshape(-1)[at] = cells["velocity"].to_numpy()
    track, name = (int(part["track"][0]), str(part["instrument"][0])) if by == "track" else (None, None)
    return PianoRoll(str(part["task"][0]), track, name, fps, sounding, onsets, offsets, velocities)


def _notes_of(roll: PianoRoll, instrument: str) -> pl.DataFrame:
    shape = np.shape(roll.velocities)
    for name in ("sounding", "onsets", "velocities"):
        have = np.shape(getattr(roll, name))
        if len(have) != 2 or have[1] != _PITCHES or have != shape:
            raise NotesSchemaError(f"task {roll.task!r}: {name}: expected frames x 128 like the others, got {have}")
    # Pitch after pitch in one row, a silent frame behind each: the n-th start and the n-th last cell are one note's.
    width = shape[0] + 1
    sounding, onsets = (np.zeros((_PITCHES, width), np.bool_) for _ in range(2))
    onsets[:, :-1] = np.asarray(roll.onsets).T != 0
    sounding[:, :-1] = np.asarray(roll.sounding).T != 0
    sounding |= onsets
    row, starts = sounding.reshape(-1), onsets.reshape(-1)
    starts[0] |= row[0]
    starts[1:] |= row[1:] & ~row[:-1]
    lasts = row[:-1] & ~(row[1:] & ~starts[1:])
    pitch, first = np.divmod(np.flatnonzero(starts), width)
    velocity = np.asarray(roll.velocities)[first, pitch]
    if velocity.size and not (velocity.min() >= 0 and velocity.max() <= 127):
        raise NotesSchemaError(
            f"task {roll.task!r}: velocities: expected 0 to 127, got {velocity.min()} to {velocity.max()}"
        )
    notes = {
        "pitch": pitch.astype(np.uint8),
        "start": first / roll.fps,
        "end": (np.flatnonzero(lasts) % width + 1) / roll.fps,
        "velocity": velocity_of(velocity.astype(np.uint8)),
    }
    return pl.DataFrame(notes).select(
        pl.lit(roll.task).cast(pl.Categorical).alias("task"),
        pl.lit(roll.instrument or instrument).cast(pl.Categorical).alias("instrument"),
        *notes,
        pl.lit(roll.track or 0, pl.UInt16).alias("track"),
    )
