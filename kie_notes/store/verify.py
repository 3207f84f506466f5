"""What is wrong with one segment's parts, when they are held against the ledger and against each other."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, NamedTuple

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from kie_notes.notes import NOTES_SCHEMA, REJECTS_SCHEMA
from kie_notes.store.parts import RAW_SCHEMA
from kie_notes.store.seal import KINDS

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator
    from pathlib import Path

#: What mends a fault, in the words of the table.
REREAD = "check --repair: made anew from the raw answers"
SALVAGE = "check --repair: what can be read is taken out; the rest is asked for again while the service has it"
RENEW = "check --repair: a new ledger from what can be read of this one and from the raw answers"
CLEAN = "check --repair: put right"

#: What is raised for a file that is no whole Parquet file.
UNREADABLE = (OSError, pa.ArrowException, ValueError, MemoryError, pl.exceptions.PolarsError)

#: Answers that are in memory at once.
_BATCH = 64

#: How notes follow each other within a task.
_ORDER = ("start", "track", "pitch", "end", "velocity")


class Fault(NamedTuple):
    """One thing that is not as it should be; ``segment`` is whose part it is."""

    fault: str
    where: str
    detail: str
    repair: str | None
    tasks: int = 0
    segment: int | None = None


class Sealed(NamedTuple):
    """A sealed segment, as the ledger knows it."""

    id: int
    first: int
    last: int
    counts: dict[str, int]
    checksums: dict[str, str]

    def name(self, kind: str) -> str:
        """The file of a kind, as the ledger calls it."""
        return f"{kind}/part-{self.id:06d}.parquet"

    def has(self, kind: str) -> bool:
        """Whether there is to be a file of a kind."""
        return kind == "raw" or self.counts[kind] > 0 or self.name(kind) in self.checksums


class Row(NamedTuple):
    """A task of which an answer was kept, as the ledger knows it; that answer is lost where ``sha256`` is None."""

    seq: int
    task: str
    kind: str
    state: str
    sha256: str | None
    notes: int
    rejected: int
    deadline: int


class Runs(NamedTuple):
    """The tasks of a notes part, in its order, with their numbers of notes; and what is wrong with its rows."""

    tasks: dict[str, int]
    wrong: str | None


def verify(db: sqlite3.Connection, home: Path, segment: Sealed, rows: list[Row], outdated: set[str]) -> Iterator[Fault]:
    """Hold a segment's files against its checksums and counts, and against its tasks.

    ``rows`` are the tasks that an answer of the segment decides; notes of ``outdated`` tasks do not count.
    """
    for kind in KINDS:
        part, name = home / segment.name(kind), segment.name(kind)
        mends = SALVAGE if kind == "raw" else REREAD
        if not segment.has(kind):
            yield from _counts(kind, segment, rows, {}, outdated)
        elif not part.exists():
            yield Fault("part-missing", name, "expected a file, got none", mends, len(rows), segment.id)
        elif name in segment.checksums and (why := _altered(part, segment.checksums[name])) is not None:
            yield Fault("part-damaged", name, why, mends, len(rows), segment.id)
        else:
            if name not in segment.checksums:
                told = "nothing tells whether it is the file that was written"
                yield Fault("part-damaged" if kind == "raw" else "part-differs", name, told, mends, 0, segment.id)
            try:
                yield from _content(db, kind, part, segment, rows, outdated)
            except UNREADABLE as fault:  # it was written so
                yield Fault("part-damaged", name, f"cannot be read: {fault}", mends, len(rows), segment.id)


def _altered(part: Path, expected: str) -> str | None:
    """How a file differs from the one that was written, or None."""
    with part.open("rb") as file:
        got = hashlib.file_digest(file, "sha256").hexdigest()
    if got == expected:
        return None
    try:
        with pq.ParquetFile(part, page_checksum_verification=True) as whole:
            for group in range(whole.num_row_groups):
                whole.read_row_group(group)
    except UNREADABLE as fault:
        return f"cannot be read: {fault}"
    return f"expected a file with sha256 {expected}, got {got}"


def _content(
    db: sqlite3.Connection, kind: str, part: Path, segment: Sealed, rows: list[Row], outdated: set[str]
) -> Iterator[Fault]:
    name, expected = segment.name(kind), segment.counts[kind]
    with pq.ParquetFile(part) as file:
        got = file.metadata.num_rows
    if got != expected:
        told = f"expected {expected} rows, got {got}"
        yield Fault("part-differs", name, told, REREAD, len(rows), segment.id)
    if kind == "raw":
        yield from _raw(db, part, segment, rows)
    elif kind == "notes":
        found = runs(part)
        if found.wrong is not None:
            yield Fault("part-differs", name, found.wrong, REREAD, len(found.tasks), segment.id)
        yield from _counts(kind, segment, rows, found.tasks, outdated)
    else:
        yield from _counts(kind, segment, rows, rejected(part), outdated)


def _raw(db: sqlite3.Connection, part: Path, segment: Sealed, rows: list[Row]) -> Iterator[Fault]:
    name, found, before = segment.name("raw"), set(), 0
    with pq.ParquetFile(part, page_checksum_verification=True) as file:
        if file.schema_arrow.remove_metadata() != RAW_SCHEMA:
            told = f"expected the columns of raw answers, got {file.schema_arrow.names}"
            yield Fault("part-damaged", name, told, SALVAGE, len(rows), segment.id)
            return
        for batch in file.iter_batches(_BATCH):
            for seq, task, _, _, sha256, body in zip(*(column.to_pylist() for column in batch.columns), strict=True):
                found.add((seq, task, sha256))
                if hashlib.sha256(body).hexdigest() != sha256:
                    told = f"answer {seq} of task {task!r} has not the sha256 that stands beside it"
                    yield Fault("part-damaged", name, told, SALVAGE, 1, segment.id)
                if not (segment.first <= seq <= segment.last and seq > before):
                    told = f"answer {seq} is not one of {segment.first} to {segment.last}, or not in its place"
                    yield Fault("ledger-differs", name, told, RENEW, 1, segment.id)
                if db.execute("SELECT 1 FROM task WHERE id = ?", (task,)).fetchone() is None:
                    yield Fault("ledger-differs", name, f"the ledger does not know task {task!r}", RENEW, 1, segment.id)
                before = seq
    for row in rows:
        if row.sha256 is not None and (row.seq, row.task, row.sha256) not in found:
            told = f"task {row.task!r} was decided by answer {row.seq}, which is not in the part"
            yield Fault("ledger-differs", name, told, RENEW, 1, segment.id)


def _counts(kind: str, segment: Sealed, rows: list[Row], got: dict[str, int], outdated: set[str]) -> Iterator[Fault]:
    """Hold the rows of each task in a part against its count: of those that an answer gave notes, or a lost one had."""
    counted = [row for row in rows if row.state in ("complete", "empty") or row.sha256 is None]
    expected = {row.task: row.notes if kind == "notes" else row.rejected for row in counted if row.kind == "midi"}
    tasks = sorted((expected.keys() | got.keys()) - outdated)
    wrong = [task for task in tasks if expected.get(task, 0) != got.get(task, 0)]
    if wrong:
        first = wrong[0]
        more = f", and {len(wrong) - 1} more tasks" if len(wrong) > 1 else ""
        told = f"task {first!r}: expected {expected.get(first, 0)} rows, got {got.get(first, 0)}{more}"
        yield Fault("notes-differ", segment.name(kind), told, REREAD, len(wrong), segment.id)


def runs(part: Path) -> Runs:
    """Read a notes part row group by row group: which tasks it has, and whether its rows are as they should be."""
    tasks: dict[str, int] = {}
    wrong = None
    before = pl.DataFrame(schema=NOTES_SCHEMA)
    with pq.ParquetFile(part, page_checksum_verification=True) as file:
        for group in range(file.num_row_groups):
            rows = pl.DataFrame(pl.from_arrow(file.read_row_group(group)))
            if rows.schema != NOTES_SCHEMA:
                return Runs(tasks, f"expected the columns of the notes table, got {dict(rows.schema)}")
            wrong = wrong or _wrong_rows(pl.concat([before, rows]))
            found = rows.group_by(pl.col("task").rle_id().alias("run"), maintain_order=True).agg(
                pl.col("task").first().cast(pl.String), rows=pl.len()
            )
            last = next(reversed(tasks), None)
            for at, (task, count) in enumerate(found.select("task", "rows").iter_rows()):
                if task in tasks and not (at == 0 and task == last):
                    wrong = wrong or f"the notes of task {task!r} do not stand together"
                tasks[task] = tasks.get(task, 0) + count
            before = rows.tail(1)
    return Runs(tasks, wrong)


def _wrong_rows(notes: pl.DataFrame) -> str | None:
    impossible = notes.filter(
        pl.any_horizontal(pl.all().is_null())
        | (pl.col("pitch") > 127)
        | ~(pl.col("start") >= 0)
        | ~(pl.col("end") >= pl.col("start"))
        | ~pl.col("end").is_finite()
        | pl.col("start").is_nan()
        | pl.col("end").is_nan()
        | ~pl.col("velocity").is_between(0, 1)
    )
    if impossible.height:
        return f"expected possible notes, got {impossible.row(0)}"
    less = pl.lit(value=False)
    for key in reversed(_ORDER):
        less = (pl.col(key) < pl.col(key).shift()) | ((pl.col(key) == pl.col(key).shift()) & less)
    unsorted = notes.filter((pl.col("task") == pl.col("task").shift()) & less)
    return f"expected canonical order, got {unsorted.row(0)} too late" if unsorted.height else None


def rejected(part: Path) -> dict[str, int]:
    """Read a rejects part: the tasks in it, with their numbers of rejected notes."""
    with pq.ParquetFile(part, page_checksum_verification=True) as file:
        rows = pl.DataFrame(pl.from_arrow(file.read()))
    if rows.schema != REJECTS_SCHEMA:
        raise ValueError(f"expected the columns of the rejects table, got {dict(rows.schema)}")
    counted = rows.filter(pl.col("index").is_not_null(), pl.col("task").is_not_null()).group_by("task").len()
    return {task: count for task, count in counted.iter_rows()}  # noqa: C416 -- typed pairs, not a sequence of rows
