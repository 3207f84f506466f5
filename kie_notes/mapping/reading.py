"""Whole tasks, some at a time, of whatever Polars can scan."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from kie_notes.errors import NotesOrderError
from kie_notes.mapping.sources import Source, StorageOptions, parts_of
from kie_notes.notes import check_notes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

#: Rows that come from the engine at a time: few, since what was begun of a task is copied when more of it comes.
_BATCH = 1 << 17


def chunks(
    source: pl.LazyFrame | pl.DataFrame | Source,
    *,
    notes: int = 1_000_000,
    storage_options: StorageOptions | None = None,
) -> Iterator[pl.DataFrame]:
    """Give notes in tables of whole tasks, one after the other, so that few are in memory at a time.

    For loops of one's own, over any query too (``store.scan_notes().filter(...)``): ``map_parts`` is faster where a
    helper is all that is asked.

    Parameters
    ----------
    source
        Notes table in canonical order; or what ``map_parts`` takes.
    notes
        Notes of a table at the most; a longer task is a table of its own.
    storage_options
        As for ``map_parts``; a LazyFrame knows its own.

    Returns
    -------
    An iterator of notes tables in canonical order, which together are all notes; none is empty. While one is in use,
    the engine reads ahead a little. Ids of tasks that were given are remembered.

    Raises
    ------
    NotesSchemaError
        If ``source`` is not a notes table.
    NotesOrderError
        If a task's notes do not stand together: when its second stretch comes.
    ValueError
        If ``notes`` is below 1.

    Examples
    --------
    >>> from kie_notes.notes import NOTES_SCHEMA
    >>> rows = [(task, "Flute", 60, 0.0, 1.0, 0.5, 0) for task in ("a", "a", "b", "c")]
    >>> table = pl.DataFrame(rows, schema=NOTES_SCHEMA, orient="row")
    >>> [some["task"].to_list() for some in chunks(table, notes=3)]
    [['a', 'a', 'b'], ['c']]
    """
    if notes < 1:
        raise ValueError(f"notes: expected a number above 0, got {notes}")
    if not isinstance(source, pl.DataFrame | pl.LazyFrame):
        source = pl.concat(part.counted(part.scan(storage_options)) for part in parts_of(source, storage_options))
    return _whole_tasks(check_notes(source.lazy()), notes)


def _whole_tasks(scan: pl.LazyFrame, most: int) -> Iterator[pl.DataFrame]:
    """Cut what comes where tasks end."""
    seen: set[str | None] = set()
    held = scan.head(0).collect()
    for batch in scan.collect_batches(chunk_size=_BATCH, lazy=True, engine="streaming"):
        held = pl.concat([held, batch])
        begins, at = _begins(held), 0
        while held.height - at > most and at < begins[-1]:  # the last task may go on
            fits = begins[np.searchsorted(begins, at + most, side="right") - 1]
            end = int(fits) if fits > at else int(begins[np.searchsorted(begins, at, side="right")])
            yield _given(held[at:end], seen)
            at = end
        held = held[at:]
    if held.height:
        yield _given(held, seen)


def _begins(held: pl.DataFrame) -> NDArray[np.uint32]:
    """Rows at which tasks begin."""
    run = held["task"].rle_id()
    return (run != run.shift(1)).fill_null(value=True).arg_true().to_numpy()


def _given(some: pl.DataFrame, seen: set[str | None]) -> pl.DataFrame:
    for task in some["task"].gather(_begins(some)).cast(pl.String):
        if task in seen:
            raise NotesOrderError(f"task '{task}' stands in two places; call sort_notes(notes) first")
        seen.add(task)
    return some
