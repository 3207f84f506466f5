"""The arrays that evaluation and performance research take, made of a notes table, and a table of them again.

Each function answers for all tasks at once with a dict, task by task in the table's order; its arrays hold the notes
in the table's order. The arrays of one task: ``to_note_array(notes)["t1"]``. Together they take about as much memory
as the table, so a table that is too large goes file by file. A task without notes is not in the dict.

Velocities are MIDI's, ``round(127 v)`` from 0 to 127, which gives back each velocity that is n / 127 and moves others
by at most 1/254 (``midi_losses`` lists them).
"""

from __future__ import annotations

from itertools import pairwise, starmap
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
import polars as pl

from kie_notes.analysis.grouping import Drums, drums_mask, keep_drums
from kie_notes.errors import NotesOrderError, NotesSchemaError
from kie_notes.midi.plan import channels, first_fault, velocity_of
from kie_notes.notes import NOTES_SCHEMA, check_notes, sort_notes

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from kie_notes.notes import Frame

#: Ticks a second in the note arrays: 480 a quarter of 500,000 us, which is what partitura assumes of a performance.
TICKS_PER_SECOND: Final = 960

#: The fields of a note array but for its last, ``id``: partitura's, with seconds in 64 bits, where it has 32.
_FIELDS: Final = [("onset_sec", "f8"), ("duration_sec", "f8")] + [
    (name, "i4") for name in ("onset_tick", "duration_tick", "pitch", "velocity", "track", "channel")
]

#: Without these there is no note; partitura has all four in every performance's array.
_NEEDED: Final = ("onset_sec", "duration_sec", "pitch", "velocity")


class MirEvalNotes(NamedTuple):
    """One task's notes as ``mir_eval`` takes them, in the order of its arguments.

    Attributes
    ----------
    intervals
        N x 2, seconds: start and end of each note.
    pitches
        N, Hz.
    velocities
        N, 0 to 127.
    """

    intervals: NDArray[np.float64]
    pitches: NDArray[np.float64]
    velocities: NDArray[np.uint8]


def sound_notes(notes: Frame) -> pl.DataFrame:
    """Collect a notes table for those who trust its values.

    Raises
    ------
    NotesSchemaError
        If it is no notes table, or has a value that no note can have; the message names the first such row.
    NotesOrderError
        If a task's notes do not stand together.
    """
    table = check_notes(notes).select(list(NOTES_SCHEMA)).lazy().collect(engine="streaming")
    fault = first_fault(table)
    if fault:
        raise NotesSchemaError(fault)
    runs = table["task"].filter(table["task"].rle_id().diff().fill_null(1) != 0)
    if runs.n_unique() < runs.len():
        task = runs.filter(runs.is_duplicated())[0]
        raise NotesOrderError(f"task {task!r}: its notes do not stand together; call sort_notes(notes) first")
    return table


def to_mir_eval(notes: Frame, *, drums: Drums = "include") -> dict[str, MirEvalNotes]:
    """Give each task's notes as the arrays that ``mir_eval`` scores.

    With ``ours`` and ``theirs`` made of two tables, ``mir_eval.transcription_velocity.evaluate(*theirs[task],
    *ours[task])`` scores one task, and ``mir_eval.transcription.evaluate(*theirs[task][:2], *ours[task][:2])`` does
    without velocities. For scores of many tasks at once: ``transcription_scores``.

    Parameters
    ----------
    notes
        Notes table, each task's notes together. One instrument's notes: filter the table first.
    drums
        Whether percussion is left out, included (its keys as if they were pitches), or taken alone.

    Returns
    -------
    A dict from task to ``MirEvalNotes(intervals, pitches, velocities)``: seconds (N x 2), Hz (440 for pitch 69, equal
    temperament), 0 to 127.

    Raises
    ------
    NotesSchemaError, NotesOrderError
        If ``notes`` is no notes table, has a value that no note can have, or a task's notes do not stand together; or
        if a note has no duration, since ``mir_eval`` refuses all notes of such a task.
    ValueError
        If ``drums`` has a value that it cannot have.

    References
    ----------
    Raffel et al., "mir_eval: A transparent implementation of common MIR metrics", ISMIR 2014; the modules
    ``transcription`` and ``transcription_velocity``.

    Examples
    --------
    >>> rows = [("a", "Flute", 69, 0.0, 0.5, 1.0, 0), ("a", "Flute", 81, 0.5, 1.0, 0.0, 0)]
    >>> arrays = to_mir_eval(pl.DataFrame(rows, schema=NOTES_SCHEMA, orient="row"))
    >>> arrays["a"].intervals.tolist(), arrays["a"].pitches.tolist(), arrays["a"].velocities.tolist()
    ([[0.0, 0.5], [0.5, 1.0]], [440.0, 880.0], [127, 0])
    """
    table = sound_notes(notes).with_row_index("row")
    kept = keep_drums(table.lazy(), drums).collect()
    for row, task, start in kept.filter(pl.col("start") == pl.col("end")).select("row", "task", "start").head(1).rows():
        raise NotesSchemaError(
            f"task {task!r}: notes[{row}] starts and ends at {start} s, and mir_eval takes no notes without duration; "
            "leave them out: notes.filter(pl.col('end') > pl.col('start'))"
        )
    intervals = kept.select("start", "end").to_numpy(order="c")
    pitches = 440.0 * 2.0 ** ((kept["pitch"].to_numpy().astype(np.float64) - 69.0) / 12.0)
    velocities = _midi_velocity(kept).astype(np.uint8)
    return {task: MirEvalNotes(intervals[at], pitches[at], velocities[at]) for task, at in _parts(kept)}


def to_note_array(notes: Frame) -> dict[str, NDArray[Any]]:
    """Give each task's notes as a structured array with the fields of a partitura performance.

    ``partitura.performance.PerformedPart.from_note_array(array)`` takes it, and so do partitura's functions of a
    performance's note array. ``from_note_array`` makes it a notes table again.

    Parameters
    ----------
    notes
        Notes table, each task's notes together.

    Returns
    -------
    A dict from task to a structured array, one element per note:

    - ``onset_sec``, ``duration_sec`` (f8): seconds; partitura's own arrays have f4, which is 4 us off after a minute
    - ``onset_tick``, ``duration_tick`` (i4): 960 ticks a second (480 a quarter at 120), nearest to start and end; the
      service's times, multiples of 1/192 s, are whole ticks
    - ``pitch``, ``velocity`` (i4): 0 to 127
    - ``track`` (i4): the table's
    - ``channel`` (i4): 9 for percussion, otherwise the track's number in the other 15, as pretty_midi deals them out
    - ``id`` (text): ``n0``, ``n1``, ... in each task

    It has no place for the names of instruments. Drums are included.

    Raises
    ------
    NotesSchemaError, NotesOrderError
        If ``notes`` is no notes table, has a value that no note can have, ends after 2,236,962 s, where ticks leave 32
        bits, or a task's notes do not stand together.

    References
    ----------
    Cancino-Chacon et al., "Partitura: A Python package for symbolic music processing", MEC 2022; the fields are those
    of ``partitura.performance.PerformedPart.note_array``.

    Examples
    --------
    >>> row = {"task": "a", "instrument": "Flute", "pitch": 60, "velocity": 0.5, "track": 0}
    >>> notes = pl.DataFrame([row | {"start": 7 / 192, "end": 0.5}], schema=NOTES_SCHEMA)
    >>> to_note_array(notes)["a"][["onset_tick", "duration_tick", "pitch", "velocity", "id"]].tolist()
    [(35, 445, 60, 64, 'n0')]
    """
    table = sound_notes(notes)
    start, end = (table[name].to_numpy() for name in ("start", "end"))
    if table.height and end.max() * TICKS_PER_SECOND >= 2**31:
        raise NotesSchemaError(f"notes end at {end.max()} s, expected at most 2,236,962 s: ticks have 32 bits")
    ticks = [np.rint(seconds * TICKS_PER_SECOND).astype(np.int64) for seconds in (start, end)]
    numbers = table.select(pl.format("n{}", pl.int_range(pl.len()).over("task")))
    ids = numbers.to_series().to_numpy().astype(np.str_)
    track = table["track"].to_numpy()
    melodic = np.array(channels([False] * (1 + int(track.max(initial=0)))))
    array = np.empty(table.height, [*_FIELDS, ("id", ids.dtype if table.height else "U1")])
    array["onset_sec"], array["duration_sec"] = start, end - start
    array["onset_tick"], array["duration_tick"] = ticks[0], ticks[1] - ticks[0]
    array["pitch"], array["velocity"] = table["pitch"].to_numpy(), _midi_velocity(table)
    array["track"], array["id"] = track, ids
    array["channel"] = np.where(table.select(drums_mask()).to_series().to_numpy(), 9, melodic[track])
    return {task: array[at] for task, at in _parts(table)}


def from_note_array(
    array: NDArray[Any],
    *,
    task: str,
    instruments: str | Mapping[int, str],
    ticks_per_second: float = TICKS_PER_SECOND,
) -> pl.DataFrame:
    """Make a notes table of a performance's note array, partitura's or one of ``to_note_array``.

    Where a tick and its seconds say the same time, up to the rounding of the array's own numbers, the tick's is taken:
    it is exact. So ``to_note_array`` and back is the same table when its times are multiples of 1/960 s (the service's
    are) and its velocities n / 127, and partitura's 32-bit seconds get their other digits back. Elsewhere the end is
    ``onset_sec + duration_sec``, which may be one unit in the last place off.

    Parameters
    ----------
    array
        One-dimensional structured array with ``onset_sec``, ``duration_sec``, ``pitch`` and ``velocity``; ``track`` (0
        where it is missing), ``onset_tick`` and ``duration_tick`` are read when they are there, other fields are not.
    task
        The id that its notes get.
    instruments
        The instrument of all tracks, or of each track by its number.
    ticks_per_second
        Rate of the ticks. partitura's: ``1e6 * part.ppq / part.mpq`` of a file without changes of tempo.

    Returns
    -------
    Notes table, in canonical order. ``channel`` and ``id`` have no place in it.

    Raises
    ------
    NotesSchemaError
        If a field is missing, or a value is none that a note can have; the message names the first such element.
    ValueError
        If ``instruments`` lacks a track.

    Examples
    --------
    >>> fields = [("onset_sec", "f4"), ("duration_sec", "f4"), ("pitch", "i4"), ("velocity", "i4")]
    >>> array = np.array([(0.5, 0.25, 60, 127)], fields)
    >>> from_note_array(array, task="a", instruments="Flute").rows()
    [('a', 'Flute', 60, 0.5, 0.75, 1.0, 0)]
    """
    names = array.dtype.names or ()
    missing = [f"'{name}'" for name in _NEEDED if name not in names]
    if missing:
        raise NotesSchemaError(f"not a performance's note array: missing fields {', '.join(missing)}; got {names}")
    onset = array["onset_sec"].astype(np.float64)
    end = onset + array["duration_sec"].astype(np.float64)
    if {"onset_tick", "duration_tick"} <= {*names}:
        noise = 2.0 * np.finfo(array["onset_sec"].dtype).eps
        tick = array["onset_tick"].astype(np.int64)
        off_tick = tick + array["duration_tick"]
        onset, end = (
            _by_tick(seconds, at / ticks_per_second, noise) for seconds, at in ((onset, tick), (end, off_tick))
        )
    for field in ("pitch", "velocity"):
        outside = np.flatnonzero((array[field] < 0) | (array[field] > 127))
        if outside.size:
            at = outside[0]
            raise NotesSchemaError(f"array[{at}]: expected a {field} from 0 to 127, got {array[field][at]}")
    track = array["track"] if "track" in names else np.zeros(len(array), np.int64)
    table = pl.DataFrame(
        {
            "task": pl.repeat(task, len(array), eager=True, dtype=pl.String),
            "instrument": _named(track, instruments),
            "pitch": array["pitch"].astype(np.uint8),
            "start": onset,
            "end": end,
            "velocity": velocity_of(array["velocity"].astype(np.uint8)),
            "track": track.astype(np.uint16),
        }
    ).cast(NOTES_SCHEMA)
    fault = first_fault(table)
    if fault:
        raise NotesSchemaError(fault.replace("notes[", "array[", 1))
    return sort_notes(table)


def _by_tick(seconds: NDArray[np.float64], exact: NDArray[np.float64], noise: float) -> NDArray[np.float64]:
    """Take the exact time where it is the same but for rounding."""
    return np.where(np.abs(seconds - exact) <= noise * np.abs(exact), exact, seconds)


def _named(track: NDArray[Any], instruments: str | Mapping[int, str]) -> pl.Series:
    """Give each note the name of its track's instrument."""
    numbers, places = np.unique(track, return_inverse=True)
    if isinstance(instruments, str):
        return pl.repeat(instruments, len(track), eager=True, dtype=pl.String)
    lacking = [number for number in numbers.tolist() if number not in instruments]
    if lacking:
        raise ValueError(f"instruments: expected a name for each track, got none for {lacking}")
    return pl.Series([instruments[number] for number in numbers.tolist()], dtype=pl.String).gather(places)


def _midi_velocity(table: pl.DataFrame) -> NDArray[np.int64]:
    velocity: NDArray[np.int64] = np.rint(table["velocity"].to_numpy() * np.float64(127)).astype(np.int64)
    return velocity


def _parts(table: pl.DataFrame) -> list[tuple[str, slice]]:
    """Give each task and where its rows stand, which is in one piece."""
    heads = np.flatnonzero(np.diff(table["task"].rle_id().to_numpy().astype(np.int64), prepend=-1))
    tasks = table["task"].gather(heads).cast(pl.String).to_list()
    return list(zip(tasks, starmap(slice, pairwise([*heads.tolist(), table.height])), strict=True))
