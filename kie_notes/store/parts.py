"""The Parquet files of a store: how one is written so that it is small, whole, and durable.

Times are 64-bit seconds for whoever opens the file. Where all of them lie on the service's grid of 1/192 s their bytes
are split into streams (BYTE_STREAM_SPLIT), of which most are then constant: a quarter smaller than without, and as
fast.
"""

from __future__ import annotations

import hashlib
import os
from contextlib import suppress
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from kie_notes.errors import StoreError

if TYPE_CHECKING:
    from pathlib import Path

    from kie_notes.store.ledger import Answer

#: Rows in a row group: large enough to compress, small enough that a scan holds few.
_ROW_GROUP = 1 << 20

#: Answers in a row group: where a byte of one is damaged, the other groups can still be read.
_RAW_GROUP = 16

#: Columns of few values, which a dictionary makes small; pitches are smaller as they are.
_DICTIONARY = ["task", "instrument", "velocity", "track", "field", "value", "reason", "source"]

#: The answers as they came.
RAW_SCHEMA = pa.schema(
    [
        pa.field("seq", pa.int64(), nullable=False),
        pa.field("task", pa.string(), nullable=False),
        pa.field("source", pa.string(), nullable=False),
        pa.field("received_at", pa.timestamp("ms", tz="UTC"), nullable=False),
        pa.field("sha256", pa.string(), nullable=False),
        pa.field("body", pa.binary(), nullable=False),
    ]
)


def raw_table(answers: list[Answer]) -> pa.Table:
    """Answers as a table, byte for byte."""
    arrays = [pa.array([answer[at] for answer in answers], field.type) for at, field in enumerate(RAW_SCHEMA)]
    return pa.Table.from_arrays(arrays, schema=RAW_SCHEMA)


def write_part(table: pl.DataFrame | pa.Table, part: Path, tmp: Path) -> str:
    """Write a table so that ``part`` is there whole or not at all, also after a power cut; gives its sha256."""
    arrow = _narrow(table.to_arrow()) if isinstance(table, pl.DataFrame) else table
    building = tmp / f"{part.parent.parent.name}-{part.parent.name}-{part.name}"
    try:
        tmp.mkdir(exist_ok=True)
        pq.write_table(
            arrow,
            building,
            row_group_size=_ROW_GROUP if isinstance(table, pl.DataFrame) else _RAW_GROUP,
            compression="zstd",
            compression_level=3,
            use_dictionary=[name for name in _DICTIONARY if name in arrow.column_names],
            column_encoding=_time_encoding(table),
            write_page_checksum=True,
        )
        with building.open("rb+") as file:
            os.fsync(file.fileno())
            checksum = hashlib.file_digest(file, "sha256").hexdigest()
        rows = pq.read_metadata(building).num_rows
        if rows != arrow.num_rows:
            raise StoreError(f"{building}: expected {arrow.num_rows} rows in the footer, got {rows}")
        building.replace(part)
        sync_folder(part.parent)
    except OSError as fault:
        with suppress(OSError):
            building.unlink(missing_ok=True)  # of a full disk, say
        raise StoreError(f"{part}: could not be written: {fault}") from fault
    return checksum


def _narrow(table: pa.Table) -> pa.Table:
    """Give each column of categories a dictionary of its own values only: Polars shares one among all columns."""
    for at, field in enumerate(table.schema):
        if pa.types.is_dictionary(field.type):
            own = table.column(at).cast(field.type.value_type).combine_chunks().dictionary_encode()
            table = table.set_column(at, field.name, own)
    return table


def _time_encoding(table: pl.DataFrame | pa.Table) -> dict[str, str] | None:
    if not isinstance(table, pl.DataFrame) or "start" not in table.columns:
        return None
    for name in ("start", "end"):
        times = table[name].to_numpy()
        if not np.array_equal(np.round(times * 192) / 192, times):  # Polars divides by a number inexactly
            return None
    return dict.fromkeys(("start", "end"), "BYTE_STREAM_SPLIT")


def sync_folder(folder: Path) -> None:
    """Make the names in a folder survive a power cut."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
