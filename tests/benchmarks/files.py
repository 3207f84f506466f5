"""Ways in and out of files: JSON to notes, notes in Parquet; and how long it takes to start."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

import polars as pl
import pyarrow.parquet as pq

from tests.benchmarks.corpus import count

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.benchmarks.measure import Ready, Way

#: Notes that a peer gets at the most, where it holds an object a note.
_MOST: Final = 1_000_000

_TWO: Final = ["task", "pitch"]


def records(way: Callable[[list[Path]], object], *, most: int | None = None) -> Way:
    """Make a way of one that takes paths of records; with ``most``, it gets the first of them."""

    def ready(corpus: Path) -> Ready:
        paths = sorted((corpus / "json").iterdir())
        notes = count(corpus)
        some = paths[: max(len(paths) * most // notes, 1)] if most and notes > most else paths
        return (lambda: way(some)), notes * len(some) // len(paths)

    return ready


def few_records(way: Callable[[list[Path]], object]) -> Way:
    """Make a way of a peer that holds an object a note."""
    return records(way, most=_MOST)


def _first_part(corpus: Path) -> pl.DataFrame:
    return pl.read_parquet(min((corpus / "parts").iterdir()))


def part_written(corpus: Path) -> Ready:
    """Write a table as a part of a store: whole or not at all, with checksums, durably."""
    from kie_notes.store.parts import write_part

    table = _first_part(corpus)

    def act() -> None:
        with tempfile.TemporaryDirectory(dir=corpus) as folder:
            write_part(table, Path(folder, "part.parquet"), Path(folder, "tmp"))

    return act, table.height


def part_as(write: Callable[[pl.DataFrame, Path], object]) -> Way:
    """Make a way that writes the same table otherwise."""

    def ready(corpus: Path) -> Ready:
        table = _first_part(corpus)

        def act() -> None:
            with tempfile.TemporaryDirectory(dir=corpus) as folder:
                write(table, Path(folder, "part.parquet"))

        return act, table.height

    return ready


def by_polars(table: pl.DataFrame, path: Path) -> None:
    """Write with Polars, at the store's level of compression."""
    table.write_parquet(path, compression="zstd", compression_level=3)


def by_pyarrow(table: pl.DataFrame, path: Path) -> None:
    """Write with pyarrow, which Polars hands the table to."""
    pq.write_table(table.to_arrow(), path, compression="zstd", compression_level=3)


def by_duckdb(table: pl.DataFrame, path: Path) -> None:
    """Write with DuckDB, which Polars hands the table to."""
    import duckdb

    rows = table.to_arrow()
    link = duckdb.connect()
    link.register("rows", rows)
    link.sql("FROM rows").write_parquet(str(path), compression="zstd")


def bytes_written(corpus: Path) -> Ready:
    """Write the bytes of a part, durably: the limit of writing one."""
    part = min((corpus / "parts").iterdir())
    content = part.read_bytes()

    def act() -> None:
        with tempfile.TemporaryFile(dir=corpus) as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())

    return act, pq.read_metadata(part).num_rows


def size_of_parts(corpus: Path) -> Ready:
    """Count the bytes of all parts."""
    return (lambda: sum(part.stat().st_size for part in (corpus / "parts").iterdir())), count(corpus)


def size_as(write: Callable[[pl.DataFrame, Path], object]) -> Way:
    """Make a way that counts the bytes of a part that is written otherwise."""

    def ready(corpus: Path) -> Ready:
        table = _first_part(corpus)
        with tempfile.TemporaryDirectory(dir=corpus) as folder:
            path = Path(folder, "part.parquet")
            write(table, path)
            size = path.stat().st_size
        return (lambda: size), table.height

    return ready


def _scan(corpus: Path) -> pl.DataFrame:
    return pl.scan_parquet(corpus / "parts/*.parquet").select(_TWO).collect(engine="streaming")


def scanned(corpus: Path) -> Ready:
    """Scan two columns of the parts."""
    return (lambda: _scan(corpus)), count(corpus)


def scanned_by_pyarrow(corpus: Path) -> Ready:
    """Read them with pyarrow."""
    return (lambda: pq.read_table(corpus / "parts", columns=_TWO)), count(corpus)


def scanned_by_duckdb(corpus: Path) -> Ready:
    """Read them with DuckDB, as Arrow."""
    import duckdb

    query = f"SELECT {', '.join(_TWO)} FROM '{corpus}/parts/*.parquet'"  # noqa: S608 -- a path of our own
    link = duckdb.connect()
    return (lambda: link.sql(query).to_arrow_table()), count(corpus)


def _chunks(part: Path) -> list[tuple[int, int]]:
    """Give where the two columns stand in a file: offset and length, from its footer."""
    metadata = pq.read_metadata(part)
    columns = [
        metadata.row_group(group).column(at)
        for group in range(metadata.num_row_groups)
        for at in range(metadata.num_columns)
    ]
    return [
        (
            min(column.data_page_offset, column.dictionary_page_offset or column.data_page_offset),
            column.total_compressed_size,
        )
        for column in columns
        if column.path_in_schema in _TWO
    ]


def columns_read(corpus: Path) -> Ready:
    """Read the bytes of two columns and nothing else; gives their number."""
    chunks = {part: _chunks(part) for part in sorted((corpus / "parts").iterdir())}

    def act() -> int:
        read = 0
        for part, places in chunks.items():
            with part.open("rb") as file:
                for offset, length in places:
                    file.seek(offset)
                    read += len(file.read(length))
        return read

    return act, count(corpus)


def bytes_scanned(corpus: Path) -> Ready:
    """Count the bytes that a scan of two columns asks the system for, footers too; Linux tells."""

    def asked() -> int:
        return int(Path("/proc/self/io").read_text("ascii").split()[1])

    def act() -> int:
        before = asked()
        _scan(corpus)
        return asked() - before

    return act, count(corpus)


def python(*arguments: str) -> Way:
    """Make a way that starts Python."""

    def act() -> None:
        subprocess.run([sys.executable, *arguments], check=True, capture_output=True)

    return lambda _: (act, 1)


def importing(name: str) -> Way:
    """Make a way that imports a module that may be missing."""

    def ready(_: Path) -> Ready:
        from importlib.util import find_spec

        if not find_spec(name):
            raise ModuleNotFoundError(name=name)
        return python("-c", f"import {name}")(_)

    return ready
