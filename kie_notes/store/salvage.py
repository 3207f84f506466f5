"""What can still be read of damaged files: answers of a raw part, rows of a ledger."""

from __future__ import annotations

import filecmp
import hashlib
import shutil
import sqlite3
from contextlib import closing
from itertools import count
from typing import TYPE_CHECKING, Any

import pyarrow.parquet as pq

from kie_notes.store.ledger import Answer
from kie_notes.store.parts import RAW_SCHEMA, sync_folder
from kie_notes.store.verify import UNREADABLE, Row

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

#: The largest number of a row that is looked for.
_LAST = 2**62


def answers_of(part: Path, rows: Iterable[Row]) -> Iterator[Answer]:
    """The answers of a raw part that are whole, each proved by the checksum beside it or by that of its task.

    Each column is read as far as it can be. What is missing of an answer besides its body is taken from its task's row,
    as far as that knows it.
    """
    told = {row.sha256: row for row in rows}
    columns = {name: _column(part, name) for name in RAW_SCHEMA.names}
    for at, body in enumerate(columns["body"]):
        if not isinstance(body, bytes):
            continue
        seq, task, source, received, sha256 = (
            columns[name][at] if at < len(columns[name]) else None for name in RAW_SCHEMA.names[:-1]
        )
        digest = hashlib.sha256(body).hexdigest()
        row = told.get(digest)
        task = row.task if row else task
        if task and (row or digest == sha256):
            moment = 0 if received is None else int(received.timestamp() * 1000)
            yield Answer(row.seq if row else seq or 0, task, source or "raw", moment, digest, body)


def _column(part: Path, name: str) -> list[Any]:
    """A column as far as it can be read, with None for what cannot."""
    values: list[Any] = []
    try:
        with pq.ParquetFile(part, page_checksum_verification=True) as file:
            sizes = [file.metadata.row_group(group).num_rows for group in range(file.num_row_groups)]
        for group, size in enumerate(sizes):
            values += _chunk(part, name, group, size)
    except UNREADABLE:
        pass
    return values


def _chunk(part: Path, name: str, group: int, size: int) -> list[Any]:
    values: list[Any] = []
    try:
        with pq.ParquetFile(part, page_checksum_verification=True) as file:
            for batch in file.iter_batches(1, row_groups=[group], columns=[name]):
                values += batch.column(0).to_pylist()
    except UNREADABLE:
        pass
    return (values + [None] * size)[:size]


def rows_of(ledger: Path, table: str) -> Iterator[dict[str, Any]]:
    """The rows of a ledger's table that can be read, each once, going around pages that cannot."""
    try:
        with closing(sqlite3.connect(f"{ledger.as_uri()}?mode=rw", uri=True)) as db:
            db.text_factory = lambda content: content.decode("utf-8", "replace")
            yield from _rows(db, table)
    except (sqlite3.DatabaseError, UnicodeDecodeError):
        return


def _rows(db: sqlite3.Connection, table: str) -> Iterator[dict[str, Any]]:
    names = [row[1] for row in db.execute(f"PRAGMA table_info({table})")]
    key = "rowid" if table not in ("stem", "song") else None
    at, step = 0, 1
    while at < _LAST:
        where = f" WHERE rowid > {at} ORDER BY rowid" if key else ""
        first = f"{key}, " if key else ""
        try:
            for row in db.execute(f"SELECT {first}* FROM {table}{where}"):  # noqa: S608 -- words of ours
                yield dict(zip(names, row[1:] if key else row, strict=True))
                if key:
                    at, step = row[0], 1
        except (sqlite3.DatabaseError, UnicodeDecodeError):
            if key is None:
                return
            at, step = at + step, step * 2  # over what cannot be read
        else:
            return


def keep(root: Path, file: Path) -> None:
    """Keep a damaged file in ``damaged/``, beside what is there already; it stays where it is, too."""
    folder = root / "damaged"
    folder.mkdir(exist_ok=True)
    name = file.relative_to(root).as_posix().replace("/", "-")
    for turn in count():
        kept = folder / (f"{name}.{turn}" if turn else name)
        if not kept.exists():
            break
        if filecmp.cmp(file, kept, shallow=False):
            return
    try:
        kept.hardlink_to(file)
    except OSError:  # a file system without hard links
        shutil.copy2(file, kept)
    sync_folder(folder)
