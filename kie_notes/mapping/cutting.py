"""Cuts parts into pieces between tasks, and sees that each task's notes stand together in one part."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import polars as pl

from kie_notes.errors import NotesOrderError
from kie_notes.notes import check_notes

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from kie_notes.mapping.sources import Part, StorageOptions


class Piece(NamedTuple):
    """Some rows of a part, of whole tasks."""

    part: Part
    number: int  # of the part among all parts of the source
    first_row: int
    rows: int
    notes: int  # rows that count
    tasks: int
    first_task: str | None

    def scan(self, storage_options: StorageOptions | None) -> pl.LazyFrame:
        """Scan the notes."""
        return self.part.counted(self.part.scan(storage_options).slice(self.first_row, self.rows))


def runs(part: Part, *, storage_options: StorageOptions | None) -> pl.DataFrame:
    """Read which tasks a part holds: one row per stretch of notes of one task, in order; only ``task`` is read."""
    task = check_notes(part.scan(storage_options)).select("task", run=pl.col("task").rle_id())
    found = task.group_by("run").agg(pl.col("task").first(), rows=pl.len()).sort("run")
    return found.select(pl.col("task").cast(pl.String), "rows").collect(engine="streaming")


def check_whole(parts: Sequence[tuple[Part, pl.DataFrame]]) -> None:
    """Raise an error if a task stands in two places, of one part or of two."""
    every = [part.counted(tasks).select("task", at=pl.lit(at, pl.UInt32)) for at, (part, tasks) in enumerate(parts)]
    twice = pl.concat(every).filter(pl.col("task").is_duplicated()) if every else pl.DataFrame()
    if twice.height:
        task = twice["task"][0]
        one, two = twice.filter(pl.col("task").eq_missing(pl.lit(task)))["at"][:2]
        if one == two:
            raise NotesOrderError(
                f"{parts[one][0].name}: task '{task}' stands in two places; sort_notes(notes) mends it"
            )
        names = f"{parts[one][0].name} and {parts[two][0].name}"
        raise NotesOrderError(f"task '{task}' is in two parts, {names}: all its notes belong in one")


def pieces(number: int, part: Part, tasks: pl.DataFrame, chunk_notes: int) -> Iterator[Piece]:
    """Cut a part into equal pieces of about ``chunk_notes`` rows at the most; each cut is at the end of a task."""
    ends = np.concatenate([[0], tasks["rows"].cast(pl.Int64).cum_sum().to_numpy()])
    count = -(-int(ends[-1]) // chunk_notes)
    cuts = np.unique(np.searchsorted(ends, np.linspace(0, ends[-1], count + 1)))
    for at, end in pairwise(cuts.tolist()):
        some = part.counted(tasks[at:end])
        if some.height:
            rows = int(ends[end] - ends[at])
            yield Piece(part, number, int(ends[at]), rows, int(some["rows"].sum()), some.height, some["task"][0])
