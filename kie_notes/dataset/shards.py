"""The Parquet files of a data set: plain types, whole tasks, the same bytes for the same rows.

Text is ``string`` and no dictionary type, times are 64-bit seconds, lists are lists: what pandas, DuckDB, Spark, Polars
and ``datasets`` read alike. Files are named ``<table>/<split>-00000-of-00002.parquet``, as Hugging Face names them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from kie_notes.dataset.buckets import PLACE, Buckets, window_of
from kie_notes.notes import NOTES_SCHEMA

if TYPE_CHECKING:
    from pathlib import Path

    from tqdm import tqdm

    from kie_notes.dataset.recipe import Recipe

#: Rows in a row group: what a reader holds at a time.
_ROW_GROUP: Final = 1 << 17


class _Shard:
    """One file that rows are added to; they are written when they fill a row group."""

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = pq.ParquetWriter(
            path, schema, compression="zstd", compression_level=3, write_page_checksum=True, write_page_index=True
        )
        self._schema = schema
        self._waiting: list[pl.DataFrame] = []

    def add(self, rows: pl.DataFrame) -> None:
        self._waiting.append(rows)
        if sum(part.height for part in self._waiting) >= _ROW_GROUP:
            self._flush()

    def close(self) -> None:
        self._flush()
        self._file.close()

    def _flush(self) -> None:
        if self._waiting:
            self._file.write_table(as_arrow(pl.concat(self._waiting)).cast(self._schema), row_group_size=_ROW_GROUP)
        self._waiting = []


def write_table(table: pl.DataFrame, path: Path) -> None:
    """Write a whole table into one file."""
    shard = _Shard(path, as_arrow(table.head(0)).schema)
    shard.add(table)
    shard.close()


def as_arrow(table: pl.DataFrame) -> pa.Table:
    """Give a table in the types of the files."""
    arrow = table.to_arrow()
    return arrow.cast(pa.schema([pa.field(field.name, _plain(field.type)) for field in arrow.schema]))


def _plain(kind: pa.DataType) -> pa.DataType:
    if pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        return pa.string()
    if pa.types.is_large_list(kind):
        return pa.list_(_plain(kind.value_type))
    return kind


def write_notes(buckets: Buckets, tasks: pl.DataFrame, recipe: Recipe, folder: Path, shown: tqdm[Any]) -> None:
    """Write the notes of the tasks that are in the data set, each split in files of whole tasks.

    A split without tasks has no file (``datasets`` refuses empty ones); where there are no tasks, the first has one.

    Parameters
    ----------
    buckets
        Sorted notes.
    tasks
        One row per task that is in the data set, by id: ``task``, ``split``, ``notes``.
    recipe
        The splits, the size of files, further columns.
    folder
        Where the files go.
    shown
        Counts the notes that are written.
    """
    before = (pl.col("notes").cast(pl.Int64).cum_sum() - pl.col("notes")).over("split")
    shards = tasks.select("task", "split", "notes", shard=before // recipe.shard_notes).with_columns(
        shard=pl.col("shard").rle_id().over("split")
    )
    counts = dict(shards.group_by("split").agg(pl.col("shard").max() + 1).rows())
    where = shards.select("task", "split", "shard").join(buckets.places, on="task").drop("task")
    empty = _laid_out(NOTES_SCHEMA.to_frame(), recipe)
    opened: dict[str, tuple[int, _Shard]] = {}

    def shard_of(split: str, number: int, schema: pa.Schema) -> _Shard:
        at, shard = opened.get(split, (-1, None))
        if shard is None or at != number:
            if shard is not None:
                shard.close()
            path = folder / f"{split}-{number:05d}-of-{counts.get(split, 1):05d}.parquet"
            shard = _Shard(path, schema)
            opened[split] = (number, shard)
        return shard

    for notes in buckets.read():
        rows = _laid_out(notes.join(where, on=PLACE, how="inner", maintain_order="left"), recipe)
        empty = rows.head(0).drop(PLACE, "split", "shard")
        schema = as_arrow(empty).schema
        parts = rows.drop(PLACE).partition_by("split", "shard", maintain_order=True, include_key=False, as_dict=True)
        for (split, number), part in parts.items():
            shard_of(str(split), int(str(number)), schema).add(part)
            shown.update(part.height)
    if not opened:
        shard_of(next(iter(recipe.shares)), 0, as_arrow(empty).schema)
    for _, shard in opened.values():
        shard.close()


def _laid_out(notes: pl.DataFrame, recipe: Recipe) -> pl.DataFrame:
    """Give notes as the files have them: names as text, further columns of the recipe."""
    further = []
    if recipe.window is not None:
        further.append(window_of(recipe.window).alias("window"))
    if recipe.ticks is not None:
        further += [tick(name, recipe.ticks).alias(f"{name}_tick") for name in ("start", "end")]
    return notes.with_columns(pl.col("task", "instrument").cast(pl.String), *further)


def tick(time: str, ticks: int) -> pl.Expr:
    """Give a time as the nearest tick, of two as near the even one."""
    return (pl.col(time) * ticks).round(mode="half_to_even").cast(pl.Int64)
