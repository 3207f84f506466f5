"""The Parquet files of a store: how one is written so that it is small, whole, and durable.

Times are 64-bit seconds for whoever opens the file. Where all of them lie on the service's grid of 1/192 s their bytes
are split into streams (BYTE_STREAM_SPLIT), of which most are then constant: a quarter smaller than without, and as
fast.
"""

from __future__ import annotations

import hashlib
import os
import struct
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

#: Levels of zstd: bodies become no smaller by a higher one.
_LEVEL, _RAW_LEVEL = 3, 1

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
    """Answers as a table, byte for byte; their bodies are not copied."""
    *columns, body = RAW_SCHEMA
    arrays = [pa.array([answer[at] for answer in answers], field.type) for at, field in enumerate(columns)]
    return pa.Table.from_arrays([*arrays, pa.chunked_array(map(_alone, answers), body.type)], schema=RAW_SCHEMA)


def _alone(answer: Answer) -> pa.Array:
    """A column of one body."""
    ends = pa.py_buffer(struct.pack("=ii", 0, len(answer.body)))
    return pa.Array.from_buffers(pa.binary(), 1, [None, ends, pa.py_buffer(answer.body)])


def write_part(table: pl.DataFrame | pa.Table, part: Path, tmp: Path) -> str:
    """Write a table so that ``part`` is there whole or not at all, also after a power cut; gives its sha256."""
    building = tmp / f"{part.parent.parent.name}-{part.parent.name}-{part.name}"
    try:
        tmp.mkdir(exist_ok=True)
        checksum = write_file(table, building)
        building.replace(part)
        sync_folder(part.parent)
    except OSError as fault:
        with suppress(OSError):
            building.unlink(missing_ok=True)  # of a full disk, say
        raise StoreError(f"{part}: could not be written: {fault}") from fault
    return checksum


def write_file(table: pl.DataFrame | pa.Table, file: Path) -> str:
    """Write a table as a part is written, durably, but for its name; gives its sha256."""
    arrow = _narrow(table.to_arrow()) if isinstance(table, pl.DataFrame) else table
    with _writer(file, arrow.schema, _time_encoding(table)) as writer:
        writer.write_table(arrow, _ROW_GROUP if isinstance(table, pl.DataFrame) else _RAW_GROUP)
    return _synced(file, arrow.num_rows)


class RawFile:
    """Answers written group by group as they come, as a part is written, durably, but for its name."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self._rows = 0
        self._writer = _writer(file, RAW_SCHEMA, None)

    def add(self, answers: list[Answer]) -> None:
        """Write a row group."""
        self._writer.write_table(raw_table(answers))
        self._rows += len(answers)

    def close(self) -> str:
        """End the file; gives its sha256."""
        self._writer.close()
        return _synced(self.file, self._rows)


def _writer(file: Path, schema: pa.Schema, encoding: dict[str, str] | None) -> pq.ParquetWriter:
    return pq.ParquetWriter(
        file,
        schema,
        compression="zstd",
        compression_level=_RAW_LEVEL if schema == RAW_SCHEMA else _LEVEL,
        use_dictionary=[name for name in _DICTIONARY if name in schema.names],
        column_encoding=encoding,
        write_page_checksum=True,
    )


def _synced(file: Path, expected: int) -> str:
    """See that a file is whole and on disk; gives its sha256."""
    with file.open("rb+") as written:
        os.fsync(written.fileno())
        checksum = hashlib.file_digest(written, "sha256").hexdigest()
    rows = pq.read_metadata(file).num_rows
    if rows != expected:
        raise StoreError(f"{file}: expected {expected} rows in the footer, got {rows}")
    return checksum


def _narrow(table: pa.Table) -> pa.Table:
    """Give each column of categories a dictionary of its own values only: Polars shares one among all columns.

    The field and its 32-bit codes stay as Polars has them: by them it knows categories again, at a fifth of the cost.
    """
    for at, field in enumerate(table.schema):
        if pa.types.is_dictionary(field.type):
            shared = table.column(at).combine_chunks()
            codes = shared.indices.to_numpy()
            used = np.zeros(len(shared.dictionary), np.bool_)
            used[codes] = True
            own = (np.cumsum(used, dtype=np.uint32) - np.uint32(1))[codes]
            table = table.set_column(at, field, pa.DictionaryArray.from_arrays(own, shared.dictionary.filter(used)))
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
