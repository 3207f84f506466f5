"""Where notes come from: a store, files, folders, patterns, object stores; each becomes a list of parts."""

from __future__ import annotations

import glob
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import polars as pl

if TYPE_CHECKING:
    from kie_notes.notes import Frame
    from kie_notes.store import Store

#: A store; a Parquet file, a folder of them, a pattern, as a path or as an address; or several of these.
Source: TypeAlias = "Store | str | Path | Iterable[str | Path]"

#: What Polars is told about an object store: addresses, keys, regions.
StorageOptions: TypeAlias = dict[str, Any]


class Part(NamedTuple):
    """Notes of whole tasks: a Parquet file, or a table that is sent along; less tasks that do not count."""

    name: str
    table: pl.DataFrame | None = None
    without: tuple[str, ...] = ()

    def scan(self, storage_options: StorageOptions | None) -> pl.LazyFrame:
        """Scan all rows, those too that do not count."""
        if self.table is not None:
            return self.table.lazy()
        return pl.scan_parquet(self.name, glob=False, storage_options=storage_options)

    def counted(self, rows: Frame) -> Frame:
        """Leave out the rows of tasks that do not count."""
        outdated = pl.col("task").cast(pl.String).is_in(list(self.without)).fill_null(value=False)
        return rows.filter(~outdated) if self.without else rows


def parts_of(source: Source, storage_options: StorageOptions | None) -> list[Part]:
    """Give the parts of a source, in an order that does not depend on who asks."""
    if isinstance(source, str | Path):
        return [Part(name) for name in _files(str(source), storage_options)]
    if isinstance(source, Iterable):
        return [part for one in source for part in parts_of(one, storage_options)]
    return _of_store(source)


def _of_store(store: Store) -> list[Part]:
    """Parts of one moment, and what waits in the ledger behind them."""
    from kie_notes.store.ledger import Ledger
    from kie_notes.store.scans import snapshot

    with closing(Ledger(store.folder / "ledger.sqlite")) as ledger:
        seen = snapshot(store.folder, ledger, "notes")
    sealed = [Part(str(path), without=tuple(seen.outdated.get(path, ()))) for path in seen.parts]
    tail = seen.tail.notes
    return [*sealed, Part(f"what waits in the ledger of {store.folder}", tail)] if tail.height else sealed


def _files(source: str, storage_options: StorageOptions | None) -> list[str]:
    if "://" in source:
        return _addresses(source, storage_options)
    path = Path(source).absolute()  # a worker may have another working directory
    if (path / "ledger.sqlite").exists():
        raise ValueError(f"{source} is a store: pass Store({source!r}), or {source}/notes for what is sealed in it")
    if path.is_dir():
        found = sorted(str(file) for file in path.glob("*.parquet"))
    else:
        found = [str(path)] if path.exists() else sorted(glob.glob(str(path), recursive=True))  # noqa: PTH207 -- absolute patterns
    if not found:
        raise FileNotFoundError(f"{source}: no Parquet file is there, and no file matches it as a pattern")
    return found


def _addresses(source: str, storage_options: StorageOptions | None) -> list[str]:
    """Files that an address means; of patterns and folders Polars makes the list, by reading the files' footers."""
    if not source.endswith("/") and not glob.has_magic(source):
        return [source]
    files = pl.scan_parquet(source, storage_options=storage_options, include_file_paths="file").select(
        pl.col("file").unique()
    )
    return files.collect(engine="streaming")["file"].sort().to_list()
