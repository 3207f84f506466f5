"""Everything held against everything: the ledger, the raw answers, the parts, the folder. Nothing is changed.

All that is told is of one moment, however long the look takes: one snapshot of the ledger, and of the parts the
generation that it names, which stays for an hour after another took its place. What lies in the folder beside is looked
at while nobody seals or rewrites.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from contextlib import closing
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl
import pyarrow.parquet as pq

from kie_notes.errors import RecordError, StoreError
from kie_notes.progress import bar
from kie_notes.store.generations import folder_of
from kie_notes.store.ledger import now_ms, opened_for_reading, unzip
from kie_notes.store.litter import litter
from kie_notes.store.reading import Kind, read
from kie_notes.store.salvage import answers_of
from kie_notes.store.schema import MIGRATIONS
from kie_notes.store.seal import KINDS
from kie_notes.store.verify import RENEW, REREAD, SALVAGE, UNREADABLE, Fault, Row, Sealed, verify

if TYPE_CHECKING:
    from collections.abc import Iterator

#: One row per fault: a short word for it, the file or task, what was expected and what came, what mends it (null when
#: nothing can), and how many tasks it touches.
FAULTS_SCHEMA = pl.Schema(
    {"fault": pl.String(), "where": pl.String(), "detail": pl.String(), "repair": pl.String(), "tasks": pl.UInt32()}
)

#: What SQLite says of a file that may be whole: somebody holds it, or this process may not read it.
_PASSING = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM, sqlite3.SQLITE_READONLY)


def check(folder: str | Path, *, progress: bool = True) -> pl.DataFrame:
    """Give what is wrong with a store; a store without faults gives an empty table.

    The store may be in use, read-only, or without its ledger. Time is linear in its size, memory bounded by its largest
    part.

    Parameters
    ----------
    folder
        The store's folder.
    progress
        Show a bar on stderr, if that is a terminal.

    Returns
    -------
    One row per fault (``FAULTS_SCHEMA``), in the order in which they were found:

    - ``fault`` (String): ``ledger-missing``, ``ledger-damaged``, ``ledger-version``, ``ledger-differs`` (from the raw
      answers), ``part-missing``, ``part-damaged``, ``part-differs`` (from its counts), ``notes-differ`` (from a task's
      count), ``answer-damaged`` (one that waits in the ledger), ``answer-lost``, ``link``, ``stray`` (a file that no
      segment owns), ``unfinished`` or ``rubbish`` (left by a crash)
    - ``where`` (String): file, or task
    - ``detail`` (String): what was expected, and what came
    - ``repair`` (String): what mends it, null when nothing can
    - ``tasks`` (UInt32): how many tasks it touches

    Raises
    ------
    StoreError
        If there is no store in the folder, or it may not be read.

    Examples
    --------
    >>> import tempfile
    >>> from kie_notes.store import Store
    >>> folder = Path(tempfile.mkdtemp())
    >>> with Store(folder) as store:
    ...     record = store.put({"state": "complete", "instruments": []}, task="t1")
    ...     sealed = store.seal()
    >>> check(folder).height
    0
    >>> (folder / "raw" / "part-000001.parquet").unlink()
    >>> check(folder).select("fault", "where").rows()
    [('part-missing', 'raw/part-000001.parquet'), ('answer-lost', 't1')]
    """
    return table(faults(Path(folder).absolute(), progress=progress))


def table(found: list[Fault]) -> pl.DataFrame:
    """Faults as a frame."""
    return pl.DataFrame([one[:5] for one in found], schema=FAULTS_SCHEMA, orient="row")


def faults(root: Path, *, progress: bool = True) -> list[Fault]:
    """Give what is wrong with a store."""
    path = root / "ledger.sqlite"
    if not (path.exists() or (root / "parts").is_dir() or (root / "raw").is_dir()):
        raise StoreError(f"{root}: expected a store, got no ledger.sqlite and no raw answers")
    if not path.exists() or not path.stat().st_size:
        told = "expected the ledger, got no file" if not path.exists() else "expected the ledger, got an empty file"
        return [Fault("ledger-missing", path.name, told, RENEW), *_parts_alone(root)]
    try:
        with closing(_opened(path)) as db:
            found = _look(root, db, progress=progress)
    except (sqlite3.DatabaseError, UnicodeDecodeError) as fault:
        if getattr(fault, "sqlite_errorcode", 0) & 0xFF in _PASSING:
            raise StoreError(f"{path}: cannot be read now: {fault}") from fault
        return [Fault("ledger-damaged", path.name, str(fault), RENEW), *_parts_alone(root)]
    except OSError as fault:
        raise StoreError(f"{root}: cannot be read: {fault}") from fault
    return found


def _opened(path: Path) -> sqlite3.Connection:
    try:
        db = sqlite3.connect(f"{path.as_uri()}?mode=rw", uri=True, isolation_level=None)
        db.execute("SELECT count(*) FROM sqlite_schema")
    except sqlite3.OperationalError:
        return opened_for_reading(path)
    return db


def _look(root: Path, db: sqlite3.Connection, *, progress: bool) -> list[Fault]:
    while True:
        db.execute("BEGIN")
        found = _ledger(db)
        if found:
            db.execute("ROLLBACK")
            return [*found, *(_parts_alone(root) if found[0].fault == "ledger-damaged" else [])]
        home = folder_of(root, db)
        found = [*_segments(db, home, progress=progress), *_waiting(db)]
        db.execute("COMMIT")  # so that the next look is at what is there by then
        still = db.execute("SELECT 1 FROM generation WHERE id = ?", (int(home.name),)).fetchone()
        if still or not found:  # else its files were removed while they were read
            return [*found, *litter(root, db)]


def _ledger(db: sqlite3.Connection) -> list[Fault]:
    """What is wrong with the ledger as a database."""
    (version,) = db.execute("PRAGMA user_version").fetchone()
    if version > len(MIGRATIONS):
        told = f"the ledger has version {version}, this kie_notes knows {len(MIGRATIONS)}"
        return [Fault("ledger-version", "ledger.sqlite", told, "upgrade kie_notes")]
    wrong = [row[0] for row in db.execute("PRAGMA integrity_check(5)") if row[0] != "ok"]
    wrong += [f"a row of {row[0]} without its {row[2]}" for row in db.execute("PRAGMA foreign_key_check")][:5]
    if not version:
        wrong.append("it has no tables")
    elif version < len(MIGRATIONS) and not wrong:
        told = f"the ledger has version {version}, this kie_notes reads {len(MIGRATIONS)}"
        return [Fault("ledger-version", "ledger.sqlite", told, "any writing command brings it up to date")]
    if not wrong:
        wrong = _contradictions(db)
    return [Fault("ledger-damaged", "ledger.sqlite", told, RENEW) for told in wrong]


def _contradictions(db: sqlite3.Connection) -> list[str]:
    wrong = []
    (current,) = db.execute("SELECT count(*) FROM generation WHERE retired IS NULL").fetchone()
    if current != 1:
        wrong.append(f"expected one generation of parts to be read, got {current}")
    places = db.execute("SELECT id, first, last FROM segment WHERE state <> 'building' ORDER BY first, last").fetchall()
    for one, other in pairwise(places):
        if other[1] <= one[2]:
            wrong.append(f"segments {one[0]} and {other[0]} overlap at answer {other[1]}")
    wrong += [f"segment {id_} goes from answer {first} to {last}" for id_, first, last in places if first > last]
    twice = db.execute("SELECT seq FROM task WHERE seq IS NOT NULL GROUP BY seq HAVING count(*) > 1 LIMIT 5")
    wrong += [f"answer {seq} decides several tasks" for (seq,) in twice]
    for (sums,) in db.execute("SELECT checksums FROM segment WHERE state = 'sealed'"):
        try:
            json.loads(sums)
        except (TypeError, ValueError):
            wrong.append(f"expected checksums of a segment, got {sums!r}")
    gone = db.execute("SELECT task FROM stale WHERE segment NOT IN (SELECT id FROM segment WHERE state = 'sealed')")
    wrong += [f"outdated notes of task {task!r} are said to be in a part that is none" for (task,) in gone.fetchmany(5)]
    return wrong


def _segments(db: sqlite3.Connection, home: Path, *, progress: bool) -> list[Fault]:
    """What is wrong with sealed segments, each with its tasks: both come in the order of the answers."""
    sealed = db.execute(
        "SELECT id, first, last, answers, notes, rejects, checksums FROM segment WHERE state = 'sealed' ORDER BY first"
    ).fetchall()
    decided = db.execute(
        "SELECT seq, id, kind, state, sha256, notes, rejected, deadline FROM task WHERE seq IS NOT NULL ORDER BY seq"
    )
    found: list[Fault] = []
    unread: list[Row] = []
    saved: set[tuple[str, str]] = set()
    shown = bar(unit="part", total=len(sealed), progress=progress)
    row = decided.fetchone()
    for id_, first, last, *counts, sums in sealed:
        segment = Sealed(id_, first, last, dict(zip(KINDS, (n or 0 for n in counts), strict=True)), json.loads(sums))
        rows: list[Row] = []
        while row is not None and row[0] <= last:
            if row[0] >= first:
                rows.append(Row(*row))
            else:
                found += _in_the_inbox(db, Row(*row))
            row = decided.fetchone()
        stale = {task for (task,) in db.execute("SELECT task FROM stale WHERE segment = ?", (id_,))}
        some = list(verify(db, home, segment, rows, stale))
        found += some
        if any(one.fault in ("part-missing", "part-damaged") and one.where == segment.name("raw") for one in some):
            unread += rows
            saved |= {(one.task, one.sha256) for one in answers_of(home / segment.name("raw"), rows)}
        else:
            unread += [one for one in rows if one.sha256 is None]
        shown.update()
    shown.close()
    while row is not None:
        found += _in_the_inbox(db, Row(*row))
        row = decided.fetchone()
    return found + [_lost(one) for one in unread if (one.task, one.sha256) not in saved]


def _in_the_inbox(db: sqlite3.Connection, row: Row) -> list[Fault]:
    held = db.execute("SELECT task, sha256 FROM inbox WHERE seq = ?", (row.seq,)).fetchone()
    if held == (row.task, row.sha256):
        return []
    if row.sha256 is None:
        return [_lost(row)]
    told = f"expected answer {row.seq}, which decided the task, got none"
    return [Fault("ledger-differs", row.task, told, RENEW, 1)]


def _lost(row: Row) -> Fault:
    mends = None
    if row.deadline > now_ms():
        day = f"{pl.Series([row.deadline]).cast(pl.Datetime('ms'))[0]:%Y-%m-%d %H:%M}"
        mends = f"kie-notes fetch brings it again, until {day} UTC"
        if row.sha256 is not None:
            mends = f"check --repair makes it pending; {mends}"
    kept = f"; its {row.notes} notes are kept" if row.sha256 is None and row.notes else ""
    return Fault("answer-lost", row.task, f"the raw answer is lost{kept}", mends, 1)


def _waiting(db: sqlite3.Connection) -> Iterator[Fault]:
    """What is wrong with the bodies that wait in the ledger, and with those that were kept aside."""
    sql = (
        "SELECT i.seq, i.task, i.source, i.size, i.sha256, i.body, t.kind, t.notes, t.seq = i.seq"
        " AND t.state IN ('complete', 'empty') FROM inbox i JOIN task t ON t.id = i.task ORDER BY i.seq"
    )
    for seq, task, source, size, sha256, packed, kind, notes, decides in db.execute(sql):
        try:
            body = unzip(packed, size)
        except StoreError as fault:
            yield Fault("answer-damaged", f"inbox {seq}", f"of task {task!r}: {fault}", SALVAGE, 1)
            continue
        if hashlib.sha256(body).hexdigest() != sha256:
            yield Fault("answer-damaged", f"inbox {seq}", f"of task {task!r}: its sha256 is another", SALVAGE, 1)
        elif decides and (got := _notes(body, task, source, kind)) != notes:
            yield Fault("notes-differ", task, f"expected {notes} notes in its answer, got {got}", REREAD, 1)
    for seq, task, size, sha256, packed in db.execute("SELECT seq, task, size, sha256, body FROM aside ORDER BY seq"):
        try:
            whole = hashlib.sha256(unzip(packed, size)).hexdigest() == sha256
        except StoreError:
            whole = False
        if not whole:
            yield Fault("answer-damaged", f"aside {seq}", f"of task {task!r}: it cannot be unpacked", SALVAGE, 1)


def _notes(body: bytes, task: str, source: str, kind: Kind) -> int | None:
    try:
        return read(body, task=task, source=source, kind=kind).notes
    except RecordError:
        return None


def _parts_alone(root: Path) -> Iterator[Fault]:
    """What is wrong with the parts when no ledger tells what they should be."""
    for kind in KINDS:
        for part in sorted((root / kind).glob("part-*.parquet")):
            try:
                with pq.ParquetFile(part, page_checksum_verification=True) as file:
                    for _ in file.iter_batches(64 if kind == "raw" else 1 << 16):
                        pass
            except UNREADABLE as fault:
                mends = SALVAGE if kind == "raw" else REREAD
                yield Fault("part-damaged", f"{kind}/{part.name}", f"cannot be read: {fault}", mends)
