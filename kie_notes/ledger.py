"""The ledger of a store: one SQLite file that knows every task, every answer not yet sealed, and every sealed segment.

A task's row is the truth about it. An answer is accepted in one transaction that moves the row and keeps the body; only
after its commit is anything acknowledged. A state only ever rises (pending, expired, failed, empty, complete), so a
second delivery changes nothing.
"""

from __future__ import annotations

import hashlib
import sqlite3
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

import pyarrow as pa

from kie_notes.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from kie_notes.api.records import Record

#: The service keeps results for 14 days (its documentation).
KEPT_MS = 14 * 24 * 3600 * 1000

_SCHEMA = """
CREATE TABLE task (
    id            TEXT PRIMARY KEY,
    state         TEXT NOT NULL DEFAULT 'pending'
                  CHECK (state IN ('pending', 'expired', 'failed', 'empty', 'complete')),
    created       INTEGER NOT NULL,           -- ms since 1970: when it was submitted, as far as known
    deadline      INTEGER NOT NULL,           -- ms: when the service forgets it
    next_look     INTEGER NOT NULL DEFAULT 0, -- ms
    attempts      INTEGER NOT NULL DEFAULT 0,
    lease_until   INTEGER NOT NULL DEFAULT 0, -- ms: somebody is looking
    last_error    TEXT,
    label         TEXT,
    seq           INTEGER,                    -- the answer that gave it its state
    sha256        TEXT,                       -- ... and its checksum
    audio_id      TEXT,
    created_at    INTEGER,
    completed_at  INTEGER,
    fetched_at    INTEGER,
    tracks        INTEGER NOT NULL DEFAULT 0,
    notes         INTEGER NOT NULL DEFAULT 0,
    rejected      INTEGER NOT NULL DEFAULT 0,
    error_code    TEXT,
    error_message TEXT,
    source        TEXT
) STRICT;
CREATE INDEX task_open ON task (state, deadline, next_look);
CREATE TABLE inbox (
    seq      INTEGER PRIMARY KEY AUTOINCREMENT,
    task     TEXT NOT NULL REFERENCES task (id),
    source   TEXT NOT NULL,
    received INTEGER NOT NULL,
    sha256   TEXT NOT NULL,
    size     INTEGER NOT NULL,
    body     BLOB NOT NULL                    -- zstd
) STRICT;
CREATE TABLE segment (
    id       INTEGER PRIMARY KEY,
    first    INTEGER NOT NULL,
    last     INTEGER NOT NULL,
    state    TEXT NOT NULL CHECK (state IN ('planned', 'sealed')),
    answers  INTEGER,
    notes    INTEGER,
    rejects  INTEGER,
    checksums TEXT                            -- JSON: file name -> sha256
) STRICT;
"""

#: Each entry takes the ledger from the version of its position to the next.
_MIGRATIONS = [_SCHEMA]

_STATES = ("pending", "expired", "failed", "empty", "complete")


class Answer(NamedTuple):
    """One body as it came: position in the ledger's order of arrival, and where and when it came from."""

    seq: int
    task: str
    source: str
    received: int
    sha256: str
    body: bytes


class Ledger:
    """The transactions of a store; one object may be shared by threads."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.RLock()
        try:
            self._db = sqlite3.connect(path, timeout=60.0, isolation_level=None, check_same_thread=False)
            for setting in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
                self._db.execute(f"PRAGMA {setting}")
            self._migrate()
        except sqlite3.OperationalError as fault:
            raise StoreError(f"{path}: cannot be opened for writing: {fault}") from fault
        except sqlite3.DatabaseError as fault:
            raise StoreError(f"{path}: expected the ledger of a store, got {fault}") from fault

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._db.close()

    def _migrate(self) -> None:
        with self.transaction() as db:
            (version,) = db.execute("PRAGMA user_version").fetchone()
            if version > len(_MIGRATIONS):
                known = f"this kie_notes knows {len(_MIGRATIONS)}: upgrade it"
                raise StoreError(f"{self._path}: the ledger has version {version}, {known}")
            for migration in _MIGRATIONS[version:]:
                for statement in migration.split(";"):
                    db.execute(statement)
            db.execute(f"PRAGMA user_version={len(_MIGRATIONS)}")

    @contextmanager
    def transaction(self, kind: str = "IMMEDIATE") -> Iterator[sqlite3.Connection]:
        """Everything inside happens, durably, or nothing of it."""
        with self._lock:
            try:
                self._db.execute(f"BEGIN {kind}")
                try:
                    yield self._db
                except BaseException:
                    if self._db.in_transaction:
                        self._db.execute("ROLLBACK")
                    raise
                self._db.execute("COMMIT")
            except sqlite3.Error as fault:
                raise StoreError(f"{self._path}: {fault}") from fault

    def add(self, tasks: Iterable[str], *, created: int | None = None, label: str | None = None) -> int:
        """Enter tasks as pending; those that are known stay as they are. Gives how many were new."""
        now = _now()
        at = now if created is None else created
        rows = [(task, at, at + KEPT_MS, now, label) for task in tasks]
        with self.transaction() as db:
            before = db.total_changes
            if created is not None:
                said = [(at, at + KEPT_MS, row[0]) for row in rows]
                db.executemany(
                    "UPDATE task SET created = ?, deadline = ?"
                    " WHERE id = ? AND state = 'pending' AND created_at IS NULL",
                    said,
                )
                before = db.total_changes
            db.executemany(
                "INSERT INTO task (id, created, deadline, next_look, label) VALUES (?, ?, ?, ?, ?)"
                " ON CONFLICT DO NOTHING",
                rows,
            )
            return db.total_changes - before

    def accept(self, record: Record, body: bytes, *, notes: int, rejected: int) -> bool:
        """Take an answer: move the task's row and keep the body, if the answer says more than the row does."""
        task, state = str(record.task), "failed" if record.state == "not_found" else str(record.state)
        now = _now()
        created = _ms(record.created_at)
        with self.transaction() as db:
            row = db.execute("SELECT state, sha256, seq FROM task WHERE id = ?", (task,)).fetchone()
            if row is None:
                at = created or now
                db.execute(
                    "INSERT INTO task (id, created, deadline, next_look) VALUES (?, ?, ?, ?)",
                    (task, at, at + KEPT_MS, now),
                )
            if created is not None:
                db.execute(
                    "UPDATE task SET created = ?1, deadline = ?2, created_at = ?1, audio_id = coalesce(?3, audio_id)"
                    " WHERE id = ?4 AND state = 'pending'",
                    (created, created + KEPT_MS, record.audio_id, task),
                )
            if _STATES.index(state) <= _STATES.index(row[0] if row else "pending"):
                return False
            sha256 = hashlib.sha256(body).hexdigest()
            seq = row[2] if row and row[1] == sha256 else None  # the same failure again: one copy is enough
            if seq is None:
                packed = pa.compress(body, codec="zstd", asbytes=True)
                seq = db.execute(
                    "INSERT INTO inbox (task, source, received, sha256, size, body) VALUES (?, ?, ?, ?, ?, ?)",
                    (task, record.source, now, sha256, len(body), packed),
                ).lastrowid
            db.execute(
                "UPDATE task SET state = ?, seq = ?, sha256 = ?, audio_id = ?, created_at = ?, completed_at = ?,"
                " fetched_at = ?, tracks = ?, notes = ?, rejected = ?, error_code = ?, error_message = ?, source = ?,"
                " last_error = NULL WHERE id = ?",
                (
                    state,
                    seq,
                    sha256,
                    record.audio_id,
                    created,
                    _ms(record.completed_at),
                    now,
                    len(record.tracks),
                    notes,
                    rejected,
                    record.error_code,
                    record.error_message,
                    record.source,
                    task,
                ),
            )
            return True

    def settle(self, task: str, state: str, message: str, code: str | None = None) -> None:
        """End a pending task without an answer: it expired, or is unknown to the service."""
        with self.transaction() as db:
            db.execute(
                "UPDATE task SET state = ?, error_message = ?, error_code = ?, fetched_at = ?"
                " WHERE id = ? AND state = 'pending'",
                (state, message, code, _now(), task),
            )

    def reopen(self, tasks: Iterable[str]) -> None:
        """Make tasks pending again that ended without notes, so that they are asked for once more."""
        with self.transaction() as db:
            db.executemany(
                "UPDATE task SET state = 'pending', next_look = 0, error_code = NULL, error_message = NULL"
                " WHERE id = ? AND state IN ('failed', 'expired')",
                [(task,) for task in tasks],
            )

    def looked(self, task: str, error: str | None, next_look: float) -> None:
        """Remember that a look at a task brought no result, why, and when the next is due (seconds since 1970)."""
        with self.transaction() as db:
            db.execute(
                "UPDATE task SET attempts = attempts + 1, last_error = ?, next_look = ? WHERE id = ?",
                (error, int(next_look * 1000), task),
            )

    def answers(self, first: int, last: int) -> Iterator[Answer]:
        """The bodies of a range that are still in the inbox, in their order of arrival."""
        with self._lock:
            rows = self._db.execute(
                "SELECT * FROM inbox WHERE seq BETWEEN ? AND ? ORDER BY seq", (first, last)
            ).fetchall()
        for seq, task, source, received, sha256, size, packed in rows:
            body = pa.decompress(packed, decompressed_size=size, codec="zstd", asbytes=True)
            yield Answer(seq, task, source, received, sha256, body)


def _now() -> int:
    return int(time.time() * 1000)


def _ms(moment: object) -> int | None:
    return None if moment is None else int(moment.timestamp() * 1000)  # type: ignore[attr-defined]
