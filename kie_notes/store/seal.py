"""From the ledger's inbox to Parquet: segments of answers, planned in writing, built, and marked.

What a segment holds is written down before it is built, so after a crash the same segment is simply built again. It is
marked, and its answers leave the inbox, in one transaction; until then readers take them from the inbox.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, NamedTuple

import pyarrow.compute as pc

from kie_notes.api.packing import start_of
from kie_notes.api.records import Record, parse_record
from kie_notes.api.sifting import Reject
from kie_notes.errors import RecordError
from kie_notes.notes import Flattened, flatten
from kie_notes.store.parts import raw_table, sync_folder, write_part
from kie_notes.store.tasks import DECIDES

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable
    from pathlib import Path

    import polars as pl
    import pyarrow as pa

    from kie_notes.store.ledger import Answer, Ledger

#: A segment is planned to be at most so many answers and so many bytes of them.
SEGMENT_ANSWERS = 1_000
SEGMENT_BYTES = 64 * 1024 * 1024

KINDS = ("raw", "notes", "rejects")


class Segment(NamedTuple):
    """A range of answers that is, or shall be, one part of each kind."""

    id: int
    first: int
    last: int


class Built(NamedTuple):
    """What was written of a segment."""

    answers: int
    notes: int
    rejects: int
    bytes: int
    checksums: dict[str, str]


def plan(ledger: Ledger, *, only_full: bool) -> Segment | None:
    """The segment to build next: one that a crash left planned, or a new one, written down before it is built.

    None when there is nothing to seal, or when parts that hold outdated notes must be rewritten first.
    """
    with ledger.transaction() as db:
        if db.execute("SELECT 1 FROM stale LIMIT 1").fetchone():
            return None
        left = db.execute("SELECT id, first, last FROM segment WHERE state = 'planned'").fetchone()
        if left is not None:
            return Segment(*left)
        rows = db.execute("SELECT seq, size FROM inbox ORDER BY seq LIMIT ?", (SEGMENT_ANSWERS,)).fetchall()
        size, count = 0, 0
        while count < len(rows) and (count == 0 or size + rows[count][1] <= SEGMENT_BYTES):
            size += rows[count][1]
            count += 1
        if count == 0 or (only_full and count == len(rows) < SEGMENT_ANSWERS):
            return None
        first, last = rows[0][0], rows[count - 1][0]
        made = db.execute("INSERT INTO segment (first, last, state) VALUES (?, ?, 'planned')", (first, last))
        return Segment(int(made.lastrowid or 0), first, last)


def seal(ledger: Ledger, segment: Segment, folder: Path, tmp: Path) -> int:
    """Build a planned segment's parts and mark it sealed; gives how many answers it has."""
    answers = list(ledger.answers(segment.first, segment.last))
    if not answers:
        withdraw(ledger, segment, folder)
        return 0
    with ledger.transaction("DEFERRED") as db:
        used = _deciding(db, segment)
    built = write_segment(raw_table(answers), flattened(answers, set(used)), segment.id, folder, tmp)
    with ledger.transaction() as db:
        mark(db, segment, built)
        outdated = set(used) - set(_deciding(db, segment))  # another answer came while the parts were written
        db.executemany(
            "INSERT OR IGNORE INTO stale (segment, task) VALUES (?, ?)",
            [(segment.id, used[seq]) for seq in outdated],
        )
        db.execute("DELETE FROM inbox WHERE seq BETWEEN ? AND ?", (segment.first, segment.last))
    return len(answers)


def withdraw(ledger: Ledger, segment: Segment, folder: Path) -> None:
    """Give up a planned segment of which the ledger has no answers: a draft that came to nothing."""
    for part in (part_path(folder, kind, segment.id) for kind in KINDS):
        part.unlink(missing_ok=True)
        sync_folder(part.parent)
    with ledger.transaction() as db:
        db.execute("DELETE FROM segment WHERE id = ? AND state = 'planned'", segment[:1])


def _deciding(db: sqlite3.Connection, segment: Segment) -> dict[int, str]:
    """The answers of a planned segment that decide their tasks, and those tasks."""
    rows = db.execute(
        f"SELECT i.seq, i.task FROM inbox i JOIN task t ON t.id = i.task AND t.seq = i.seq"  # noqa: S608 -- words of ours
        f" WHERE i.seq BETWEEN ? AND ? AND {DECIDES}",
        (segment.first, segment.last),
    )
    return dict(rows.fetchall())


def write_segment(raw: pa.Table, flat: Flattened, segment: int, folder: Path, tmp: Path) -> Built:
    """Write a segment's parts into a generation's folder; a kind without rows gets no part, except raw."""
    tables: dict[str, pl.DataFrame | pa.Table] = {"raw": raw, "notes": flat.notes, "rejects": flat.rejects}
    sums = {}
    for kind, table in tables.items():
        part = part_path(folder, kind, segment)
        if len(table) or kind == "raw":
            sums[f"{kind}/{part.name}"] = write_part(table, part, tmp)
        elif part.exists():  # a try that was killed wrote it, and by now other answers decide its tasks
            part.unlink()
            sync_folder(part.parent)
    size = pc.sum(pc.binary_length(raw.column("body"))).as_py() or 0
    return Built(len(raw), flat.notes.height, flat.rejects.height, size, sums)


def mark(db: sqlite3.Connection, segment: Segment, built: Built) -> None:
    """Call a segment sealed."""
    db.execute(
        "UPDATE segment SET state = 'sealed', answers = ?, notes = ?, rejects = ?, bytes = ?, checksums = ?"
        " WHERE id = ?",
        (built.answers, built.notes, built.rejects, built.bytes, json.dumps(built.checksums), segment.id),
    )


def part_path(folder: Path, kind: str, segment: int) -> Path:
    """Where a segment's part of a kind is."""
    return folder / kind / f"part-{segment:06d}.parquet"


def flattened(answers: Iterable[Answer], deciding: set[int]) -> Flattened:
    """The notes of those answers that gave a task its state."""
    return flatten(
        read_again(answer.body, task=answer.task, source=answer.source) for answer in answers if answer.seq in deciding
    )


def read_again(body: bytes, *, task: str, source: str) -> Record:
    """Read an answer that was taken before; should this version not be able to, that is a reject which says so."""
    try:
        return parse_record(body, task=task, source=source)
    except RecordError as fault:
        reject = Reject(None, None, "document", start_of(body), f"task {task}: {fault}")
        return Record(task=None, state="unreadable", source=source, rejects=(reject,))
