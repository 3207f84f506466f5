"""A notes table of any size as batches of whole tasks, and the tasks among them that no MIDI file can hold.

The work on a batch is done for all its tasks at once. A batch has some 260,000 notes, or one task if that has more: so
much of the table is held at a time, when it comes from a scan, and the ids of the tasks that were seen.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
import polars as pl

from kie_notes.errors import MidiError, NotesOrderError
from kie_notes.midi.plan import FAULTS, first_fault
from kie_notes.midi.ticks import largest_ppq
from kie_notes.notes import NOTES_SCHEMA, check_notes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kie_notes.midi.ticks import Ticks
    from kie_notes.notes import Frame

#: Notes of a batch: few enough for a processor's cache, enough that NumPy's calls do not count.
_NOTES: Final = 1 << 18

#: Why a task has no file, by its id.
Faults = dict[str | None, MidiError | NotesOrderError]


class Batch(NamedTuple):
    """Notes of whole tasks.

    ``bounds``: the rows at which the tasks begin, and the number of rows.
    """

    notes: pl.DataFrame
    bounds: Ticks

    def tasks(self) -> list[str | None]:
        """Give the ids of the tasks."""
        return self.notes["task"].gather(self.bounds[:-1]).to_list()

    def task(self, place: int) -> pl.DataFrame:
        """Give the notes of one task."""
        first, after = self.bounds[place : place + 2].tolist()
        return self.notes[first:after]

    def without(self, places: list[int]) -> Batch:
        """Give the batch without some of its tasks."""
        sizes = np.diff(self.bounds)
        stays = np.ones(sizes.size, np.bool_)
        stays[places] = False
        bounds = np.concatenate([[0], np.cumsum(sizes[stays])])
        return Batch(self.notes.filter(pl.Series(np.repeat(stays, sizes))), bounds)


def batches(notes: Frame) -> Iterator[Batch]:
    """Take a notes table apart into batches of whole tasks, in its order.

    Raises
    ------
    NotesSchemaError
        If it is no notes table.
    NotesOrderError
        If a task's notes do not stand together.
    """
    held: list[pl.DataFrame] = []
    seen: set[str | None] = set()
    for piece in _pieces(check_notes(notes).select(list(NOTES_SCHEMA))):
        begins = _begins(piece["task"], held[-1]["task"][-1] if held else "", first=not held)
        _note_new(piece["task"].gather(begins).to_list(), seen)
        if not begins.size:
            held.append(piece)
            continue
        long = sum(part.height for part in held) > _NOTES  # such a task has a batch for itself
        at = 0
        for end in begins[[0, -1] if long else [-1]].tolist():
            yield from _batch([*held, piece[at:end]])
            held, at = [], end
        held.append(piece[at:])
    yield from _batch(held)


def count_tasks(notes: Frame) -> int | None:
    """Count the tasks of a table that is in memory, before the work begins; None for one that is not.

    Raises
    ------
    NotesSchemaError, NotesOrderError
        As ``batches``.
    """
    checked = check_notes(notes)
    if isinstance(checked, pl.LazyFrame):
        return None
    begins = _begins(checked["task"], "", first=True)
    _note_new(checked["task"].gather(begins).to_list(), set())
    return begins.size


def sift(batch: Batch) -> tuple[Batch, Faults]:
    """Part a batch into the tasks whose notes a file can hold, and the reasons of the others."""
    faults: Faults = {}
    for check in (_check_values, _check_order, _check_ends):
        if batch.notes.height:
            found = check(batch)
            ids = batch.tasks() if found else []
            faults |= {ids[place]: fault for place, fault in found.items()}
            batch = batch.without(list(found)) if found else batch
    return batch, faults


def _pieces(notes: pl.DataFrame | pl.LazyFrame) -> Iterator[pl.DataFrame]:
    if isinstance(notes, pl.DataFrame):
        yield from notes.iter_slices(_NOTES)
    else:
        for piece in notes.collect_batches(chunk_size=_NOTES, engine="streaming"):
            yield from piece.iter_slices(_NOTES)


def _begins(tasks: pl.Series, before: str | None, *, first: bool) -> Ticks:
    """Give the rows at which a task begins; the first one too, unless its task is that of the row before."""
    if tasks.is_empty():
        return np.array([], np.int64)
    codes = tasks.to_physical().fill_null(2**32 - 1).to_numpy()
    begins = np.flatnonzero(codes[1:] != codes[:-1]) + 1
    return begins if not first and tasks[0] == before else np.append(0, begins)


def _note_new(tasks: list[str | None], seen: set[str | None]) -> None:
    for task in tasks:
        if task in seen:
            raise NotesOrderError(f"task {task!r}: its notes do not stand together; call sort_notes(notes) first")
        seen.add(task)


def _batch(held: list[pl.DataFrame]) -> Iterator[Batch]:
    """Give what is held as a batch, if it has notes."""
    notes = pl.concat(held, rechunk=True) if held else NOTES_SCHEMA.to_frame()
    if notes.height:
        yield Batch(notes, np.append(_begins(notes["task"], "", first=True), notes.height))


def _places(batch: Batch, wrong: Ticks) -> list[int]:
    """Give the tasks of some rows."""
    places: list[int] = np.unique(np.searchsorted(batch.bounds, wrong, side="right") - 1).tolist()
    return places


def _check_values(batch: Batch) -> dict[int, MidiError]:
    wrong = batch.notes.select(pl.any_horizontal(wrong for wrong, _ in FAULTS).arg_true()).to_series()
    ids = batch.tasks() if wrong.len() else []
    return {
        place: MidiError(f"task {ids[place]!r}: {first_fault(batch.task(place))}")
        for place in _places(batch, wrong.to_numpy())
    }


def _check_order(batch: Batch) -> dict[int, NotesOrderError]:
    """Compare each note to the one before it in its task, column by column while they are equal."""
    start = batch.notes["start"].to_numpy()
    same, before = start[1:] == start[:-1], start[1:] < start[:-1]
    same[batch.bounds[1:-1] - 1] = before[batch.bounds[1:-1] - 1] = False
    at, wrong = np.flatnonzero(same) + 1, [np.flatnonzero(before) + 1]
    for column in ("track", "pitch", "end", "velocity"):
        values = batch.notes[column].to_numpy()
        wrong.append(at[values[at] < values[at - 1]])
        at = at[values[at] == values[at - 1]]
    ids = batch.tasks() if any(rows.size for rows in wrong) else []
    text = "notes are not in canonical order; call sort_notes(notes) first"
    return {place: NotesOrderError(f"task {ids[place]!r}: {text}") for place in _places(batch, np.concatenate(wrong))}


def _check_ends(batch: Batch) -> dict[int, MidiError]:
    faults = {}
    for place, last in enumerate(np.maximum.reduceat(batch.notes["end"].to_numpy(), batch.bounds[:-1]).tolist()):
        try:
            largest_ppq(last)
        except MidiError as fault:
            faults[place] = MidiError(f"task {batch.tasks()[place]!r}: {fault}")
            faults[place].__cause__ = fault
    return faults
