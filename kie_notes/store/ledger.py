"""The ledger of a store: one SQLite file, its transactions, and what guards them.

It knows every task, every answer that is not sealed yet, and every sealed segment; ``schema`` lists the tables. What a
transaction wrote is on disk when it ends, also after a power cut.
"""

from __future__ import annotations

import shutil
import sqlite3
import threading
import time
from contextlib import closing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, NamedTuple

import pyarrow as pa

from kie_notes.errors import StoreError
from kie_notes.store.schema import MIGRATIONS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

#: Seconds for which a transaction waits for another process's.
_PATIENCE = 60.0


class Answer(NamedTuple):
    """One body as it came: position in the ledger's order of arrival, and where and when it came from."""

    seq: int
    task: str
    source: str
    received: int
    sha256: str
    body: bytes


class Ledger:
    """The transactions of a store; one object may be shared by threads.

    A ledger that can be read and not written (a folder without the right to, a medium that is read-only) is opened for
    reading; ``writable`` tells.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.writable = True
        self._closed = False
        self._lock = threading.RLock()
        existed = path.exists()
        try:
            try:
                self._db = self._opened()
            except sqlite3.OperationalError:
                if not existed:
                    raise
                self._db, self.writable = opened_for_reading(path), False
            self._inodes = self._files()
            self._migrate()
        except sqlite3.OperationalError as fault:
            raise StoreError(f"{path}: cannot be opened: {fault}") from fault
        except (sqlite3.DatabaseError, UnicodeDecodeError) as fault:  # the latter of a message with its damaged name
            raise StoreError(f"{path}: expected the ledger of a store, got {fault}") from fault

    def _opened(self) -> sqlite3.Connection:
        db = sqlite3.connect(self.path, timeout=_PATIENCE, isolation_level=None, check_same_thread=False)
        try:
            for setting in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
                db.execute(f"PRAGMA {setting}")
            db.execute(
                "BEGIN IMMEDIATE"
            )  # whether it can be written; of a file that may only be read, this is no proof
            (version,) = db.execute("PRAGMA user_version").fetchone()
            db.execute(f"PRAGMA user_version={version}")
            db.execute("ROLLBACK")
        except BaseException:
            db.close()
            raise
        return db

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._closed = True
            self._db.close()

    def _migrate(self) -> None:
        (version,) = self._db.execute("PRAGMA user_version").fetchone()
        if version > len(MIGRATIONS):
            known = f"this kie_notes knows {len(MIGRATIONS)}: upgrade it"
            raise StoreError(f"{self.path}: the ledger has version {version}, {known}")
        if version == len(MIGRATIONS):
            return
        if not self.writable:
            msg = f"the ledger has version {version}, and must be opened where it can be written to become version"
            raise StoreError(f"{self.path}: {msg} {len(MIGRATIONS)}")
        with self.transaction() as db:
            (version,) = db.execute("PRAGMA user_version").fetchone()  # another process may have been faster
            for migration in MIGRATIONS[version:]:
                for statement in migration.split(";\n"):
                    db.execute(statement)
            db.execute(f"PRAGMA user_version={len(MIGRATIONS)}")

    @contextmanager
    def transaction(self, kind: str = "IMMEDIATE") -> Iterator[sqlite3.Connection]:
        """Everything inside happens, durably, or nothing of it.

        ``DEFERRED`` is for reading: all that is read is of one moment.
        """
        with self._lock:
            try:
                if kind != "DEFERRED" and not self.writable:
                    raise StoreError(f"{self.path.parent}: cannot be written (read-only)")
                if not (self.writable or self._closed):
                    self._open_again()
                self._db.execute(f"BEGIN {kind}")
                try:
                    yield self._db
                    if kind != "DEFERRED":
                        self._still_there()
                except BaseException:
                    if self._db.in_transaction:
                        self._db.execute("ROLLBACK")
                    raise
                self._db.execute("COMMIT")
                if kind != "DEFERRED":
                    self._still_there()  # others may have taken the log away while it was written into
            except sqlite3.Error as fault:
                if self._db_is_open() and self._db.in_transaction:  # a COMMIT that found the disk full
                    self._db.execute("ROLLBACK")
                raise StoreError(f"{self.path}: {fault}") from fault

    def _open_again(self) -> None:
        """Look at the file as it is now: one that is opened as immutable or copied shows nothing that others write."""
        self._db.close()
        try:
            self._db = opened_for_reading(self.path)
        except OSError as fault:
            raise StoreError(f"{self.path}: cannot be read: {fault}") from fault

    def _db_is_open(self) -> bool:
        try:
            return self._db.total_changes >= 0
        except sqlite3.ProgrammingError:
            return False

    def _still_there(self) -> None:
        """Notice when somebody took a file away: what is written into it then is gone when it is closed.

        Its log and index are taken away by another process that believes to be the last one. It does so when this
        process lost its locks, as POSIX has it when it closes the file another time: in a copy of the folder.
        """
        now = self._files()
        if now != self._inodes:
            what = "ledger" if now[0] != self._inodes[0] else "ledger's log"
            told = f"the {what} was deleted or replaced while it was open; nothing more is acknowledged"
            raise StoreError(f"{self.path}: {told}: open the store again")

    def _files(self) -> list[int | None]:
        """The inodes of the file, its log and the log's index, which stay while a connection is open."""
        inodes: list[int | None] = []
        for end in ("", "-wal", "-shm"):
            try:
                inodes.append(self.path.with_name(self.path.name + end).stat().st_ino)
            except OSError:
                inodes.append(None)
        return inodes

    def answers(self, first: int, last: int) -> Iterator[Answer]:
        """The bodies of a range that are still in the inbox, in their order of arrival."""
        with self._lock:
            rows = self._db.execute(
                "SELECT * FROM inbox WHERE seq BETWEEN ? AND ? ORDER BY seq", (first, last)
            ).fetchall()
        for seq, task, source, received, sha256, size, packed in rows:
            yield Answer(seq, task, source, received, sha256, unzip(packed, size))


def opened_for_reading(path: Path) -> sqlite3.Connection:
    """Open a ledger where nothing can be written; what a crash left beside it is read too."""
    wal = path.with_name(path.name + "-wal")
    try:
        return _connected(path, "mode=ro")
    except sqlite3.OperationalError:
        if not (wal.exists() and wal.stat().st_size):
            return _connected(path, "mode=ro&immutable=1")
    with TemporaryDirectory() as elsewhere:  # the one file holds what the other does not; both stay open
        for file in (path, wal):
            shutil.copyfile(file, Path(elsewhere) / file.name)
        return _connected(Path(elsewhere) / path.name, "mode=rw")


def _connected(path: Path, options: str) -> sqlite3.Connection:
    db = sqlite3.connect(f"{path.as_uri()}?{options}", uri=True, isolation_level=None, check_same_thread=False)
    try:
        db.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    except BaseException:
        db.close()
        raise
    return db


@contextmanager
def locked(path: Path, *, patience: float) -> Iterator[bool]:
    """Hold a lock among processes; SQLite's, so that one that dies gives it back. Gives whether it was got in time."""
    try:
        with closing(sqlite3.connect(path, timeout=patience, isolation_level=None)) as lock:
            try:
                lock.execute("BEGIN EXCLUSIVE")
            except sqlite3.OperationalError as fault:
                if "locked" not in str(fault):
                    raise
                yield False
                return
            yield True
    except sqlite3.Error as fault:
        raise StoreError(f"{path}: cannot be locked: {fault}") from fault


def zipped(body: bytes) -> bytes:
    """Pack a body for the ledger."""
    return bytes(pa.compress(body, codec="zstd", asbytes=True))


def unzip(packed: bytes, size: int) -> bytes:
    """Unpack a body of the ledger."""
    try:
        return bytes(pa.decompress(packed, decompressed_size=size, codec="zstd", asbytes=True))
    except (OSError, pa.ArrowException) as fault:
        told = "'kie-notes check' tells what can be done"
        raise StoreError(f"an answer that waits in the ledger cannot be unpacked: {fault} ({told})") from fault


def now_ms() -> int:
    """Milliseconds since 1970."""
    return int(time.time() * 1000)


def in_rows(values: Iterable[object]) -> list[tuple[object]]:
    """Values as rows of one column, for ``executemany``."""
    return [(value,) for value in values]
