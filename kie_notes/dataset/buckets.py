"""Notes on their way, in pieces of whole tasks that are small enough to be sorted in memory.

The source may have its tasks in any order; the export has them by id. So the notes go once through the disk: the
streaming engine deals them out to buckets, each of which is then sorted and written anew. Memory is that of one bucket,
cost is linear, and what comes out depends on the notes alone.
"""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any, Final

import polars as pl

from kie_notes.analysis.grouping import INSTANT
from kie_notes.analysis.quality import quality_score
from kie_notes.analysis.summary import task_summary
from kie_notes.errors import KieNotesError
from kie_notes.notes import NOTES_SCHEMA

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tqdm import tqdm

    from kie_notes.dataset.recipe import Recipe
    from kie_notes.dataset.source import Source

#: Notes in a bucket; a task is in one bucket whole, so one has this many and at most one task more.
_NOTES: Final = 1 << 17

#: The canonical order within a task, as far as its columns go.
_ORDER: Final = ("start", "track", "pitch", "end", "velocity", "instrument")

#: Columns of the work: a task's place in the order of ids, and its bucket.
PLACE: Final = "__place"
_BUCKET: Final = "__bucket"


class Buckets:
    """The notes of a source by task id, in canonical order, in files that are read one at a time."""

    def __init__(self, source: Source, folder: Path) -> None:
        self.folder = folder
        before = pl.col("notes").cum_sum() - pl.col("notes")
        plan = (
            source.counts.filter(pl.col("notes") > 0)
            .select("task", "notes")
            .with_row_index(PLACE)
            .with_columns((before // _NOTES).rle_id().alias(_BUCKET))
        )
        self.places = plan.select("task", PLACE)
        self.sizes = plan.group_by(_BUCKET).agg(pl.col("notes").sum()).sort(_BUCKET)["notes"].to_list()
        further = [name for name in source.notes.collect_schema() if name not in NOTES_SCHEMA]
        self._order = (PLACE, *_ORDER, *further)
        self._dealt = folder / "dealt"
        if self.sizes:
            where = plan.lazy().select(pl.col("task").cast(pl.Categorical), PLACE, _BUCKET)
            source.notes.join(where, on="task", how="inner").sink_parquet(
                pl.PartitionBy(self._dealt, key=_BUCKET, include_key=False), mkdir=True, engine="streaming"
            )

    def __len__(self) -> int:
        return len(self.sizes)

    def _path(self, number: int) -> Path:
        return self.folder / f"{number:09d}.parquet"

    def sort(self) -> Iterator[pl.DataFrame]:
        """Sort one bucket after the other, and give each."""
        for number, size in enumerate(self.sizes):
            dealt = self._dealt / f"{_BUCKET}={number}"
            names = pl.col("task", "instrument").cast(pl.String)
            files = sorted(dealt.iterdir())
            notes = pl.read_parquet(files, glob=False, hive_partitioning=False).with_columns(names).sort(self._order)
            if notes.height != size:
                told = "the source changed while it was read"
                raise KieNotesError(f"expected {size} notes in a piece of the source, got {notes.height}: {told}")
            shutil.rmtree(dealt)
            notes.write_parquet(self._path(number), compression="lz4")
            yield notes

    def read(self) -> Iterator[pl.DataFrame]:
        """Give one sorted bucket after the other."""
        for number in range(len(self)):
            yield pl.read_parquet(self._path(number), glob=False)

    def scan(self) -> pl.LazyFrame:
        """Scan the sorted notes as a notes table."""
        if not self.sizes:
            return NOTES_SCHEMA.to_frame().lazy()
        return pl.scan_parquet([self._path(number) for number in range(len(self))], glob=False).select(*NOTES_SCHEMA)


def describe_tasks(buckets: Buckets, source: Source, recipe: Recipe, shown: tqdm[Any]) -> pl.DataFrame:
    """Sort the buckets and describe their tasks: ``task_summary``; ``quality``, ``windows`` where they are asked for.

    One row per task that has notes, sorted by id.
    """
    durations = None
    if source.lineage is not None:
        durations = source.lineage.select("task", duration="song_duration").drop_nulls()
    rows = [_described(NOTES_SCHEMA.to_frame(), recipe, durations)]
    for notes in buckets.sort():
        rows.append(_described(notes.select(*NOTES_SCHEMA), recipe, durations))
        shown.update(notes.height)
    return pl.concat(rows)


def window_of(seconds: float) -> pl.Expr:
    """Give the number of the window in which a note starts."""
    return ((pl.col("start") + INSTANT) / seconds).floor().cast(pl.UInt32)


def _described(notes: pl.DataFrame, recipe: Recipe, durations: pl.DataFrame | None) -> pl.DataFrame:
    found = task_summary(notes)
    if recipe.min_quality is not None:
        score = quality_score(notes, faults=recipe.faults, durations=durations).select("task", quality="score")
        found = found.join(score, on="task", how="left", maintain_order="left")
    if recipe.window is not None:
        last = notes.group_by(pl.col("task").cast(pl.String)).agg(windows=window_of(recipe.window).max() + 1)
        found = found.join(last, on="task", how="left", maintain_order="left")
    return found
