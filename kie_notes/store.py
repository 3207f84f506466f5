"""A folder that keeps what the service said: a ledger, the raw answers, and the notes in Parquet.

::

    store/
      ledger.sqlite              the truth about tasks, and answers that are not sealed yet
      raw/part-000001.parquet    answers byte for byte: seq, task, source, received_at, sha256, body
      notes/part-000001.parquet  the notes of the same answers, in canonical order
      rejects/part-000001.parquet  notes that could not be taken, where there are any
      tmp/                       being written; after a crash, rubbish

An answer is accepted by one transaction in the ledger and sealed into Parquet later, some thousand tasks at a time.
What a segment holds is written down before it is built, so after a crash the same segment is simply built again. Any
task's notes are in exactly one part, whole, so ``pl.read_parquet("store/notes")`` is right for everything that is
sealed.
"""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from kie_notes.api.records import parse_record
from kie_notes.errors import StoreError
from kie_notes.ledger import Answer, Ledger
from kie_notes.notes import NOTES_SCHEMA, REJECTS_SCHEMA, TASKS_SCHEMA, Flattened, flatten
from kie_notes.parts import raw_table, write_part

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from datetime import datetime
    from types import TracebackType
    from typing import Self

    from kie_notes.api.records import Record

#: A segment is planned to be at most so many answers and so many bytes of them.
SEGMENT_ANSWERS = 1_000
SEGMENT_BYTES = 64 * 1024 * 1024

_OPEN_SCHEMA = pl.Schema(
    {
        "task": pl.String(),
        "submitted_at": pl.Datetime("ms", "UTC"),
        "expires_at": pl.Datetime("ms", "UTC"),
        "next_look": pl.Datetime("ms", "UTC"),
        "attempts": pl.UInt32(),
        "last_error": pl.String(),
        "label": pl.String(),
    }
)


class Store:
    """Keep tasks, raw answers and notes in a folder.

    Parameters
    ----------
    folder
        Where the store is, or shall be: a new or empty folder.

    Raises
    ------
    StoreError
        If the folder holds other things, or cannot be read or written.

    Examples
    --------
    >>> import tempfile
    >>> flute = {"name": "Flute", "notes": [{"pitch": 60, "start": 0, "end": 0.5, "velocity": 1}]}
    >>> with Store(tempfile.mkdtemp()) as store:
    ...     record = store.put({"state": "complete", "instruments": [flute]}, task="t1")
    ...     store.scan_notes().select("task", "pitch", "end").collect().rows()
    [('t1', 60, 0.5)]
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder).absolute()
        ledger = self.folder / "ledger.sqlite"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            names = {path.name for path in self.folder.iterdir()}
            if names and not any(name.startswith(ledger.name) for name in names):
                raise StoreError(f"{self.folder}: expected a store or an empty folder, but other files are in it")
            self._ledger = Ledger(ledger)
            for name in ("raw", "notes", "tmp"):
                (self.folder / name).mkdir(exist_ok=True)
        except OSError as fault:
            raise StoreError(f"{self.folder}: cannot be used as a store: {fault}") from fault

    def __repr__(self) -> str:
        return f"Store({str(self.folder)!r})"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the ledger; what is not sealed stays in it and is read from there."""
        self._ledger.close()

    # How things get in.

    def add(self, tasks: Iterable[str], *, submitted_at: datetime | None = None, label: str | None = None) -> int:
        """Enter task ids as pending, before anything else happens to them.

        Parameters
        ----------
        tasks
            Ids; those that the store knows stay as they are.
        submitted_at
            When they were given to the service, if not now: the 14 days run from then. Corrects an earlier word of
            yours, but not the service's.
        label
            Your own word for them.

        Returns
        -------
        How many were new.
        """
        tasks = list(tasks) if not isinstance(tasks, str) else [tasks]
        for task in tasks:
            _check_id(task)
        created = None if submitted_at is None else int(submitted_at.timestamp() * 1000)
        return self._ledger.add(tasks, created=created, label=label)

    def put(self, body: bytes | str | dict[str, Any], *, task: str | None = None, source: str = "put") -> Record:
        """Accept what the service said of a task.

        When this returns, the answer is on disk. Putting the same task twice changes nothing; an answer that says more
        than the one before (a result after a failure) takes its place, and both are kept among the raw answers.

        Parameters
        ----------
        body
            Any form that ``parse_record`` reads.
        task
            The task's id where the body holds none.
        source
            Where it came from, for the tasks table.

        Returns
        -------
        The record that was read from the body.

        Raises
        ------
        RecordError
            If no record can be read from the body, or it names no task.
        StoreError
            If it cannot be written; then nothing was accepted.
        """
        record = parse_record(body, task=task, source=source)
        raw = json.dumps(body).encode() if isinstance(body, dict) else body.encode() if isinstance(body, str) else body
        self.accept(record, raw)
        return record

    def accept(self, record: Record, body: bytes) -> bool:
        """Accept an answer that was read already; gives whether it said more than the store knew."""
        counts = flatten([record]).tasks.row(0, named=True)  # of the notes whose values are possible
        return self._ledger.accept(record, body, notes=counts["notes"], rejected=counts["rejected"])

    def expire(self, task: str) -> None:
        """Call a pending task expired: its 14 days are over and the service knows it no more."""
        self._ledger.settle(task, "expired", "the 14 days for which the service keeps results are over")

    def give_up(self, task: str, reason: str) -> None:
        """Call a pending task failed for a reason that no answer states."""
        self._ledger.settle(task, "failed", reason)

    def reopen(self, tasks: Iterable[str]) -> None:
        """Make failed and expired tasks pending again, to be asked for once more."""
        self._ledger.reopen(tasks)

    def looked(self, task: str, *, error: str | None, next_look: float) -> None:
        """Remember that a look brought no result, why, and when the next is due (seconds since 1970)."""
        self._ledger.looked(task, error, next_look)

    def seal(self, *, only_full: bool = False) -> int:
        """Write the answers that wait in the ledger into Parquet parts; several processes may call it.

        Parameters
        ----------
        only_full
            Leave what does not fill a segment yet.

        Returns
        -------
        How many answers were sealed.
        """
        sealed = 0
        with self._sealing():
            while (segment := self._plan(only_full=only_full)) is not None:
                sealed += self._build(*segment)
        return sealed

    # How things are read.

    def scan_notes(self) -> pl.LazyFrame:
        """Scan the notes of all complete tasks: sealed parts and what waits in the ledger, each task once, whole."""
        parts, tail = self._snapshot("notes")
        return self._scan("notes", parts, tail.notes.lazy(), NOTES_SCHEMA)

    def scan_rejects(self) -> pl.LazyFrame:
        """Scan the notes that could not be taken, with their reasons."""
        parts, tail = self._snapshot("rejects")
        return self._scan("rejects", parts, tail.rejects.lazy(), REJECTS_SCHEMA)

    def scan_tasks(self) -> pl.LazyFrame:
        """Scan the tasks, one row each (``TASKS_SCHEMA``), in the order in which the store came to know them."""
        columns = ["id", *list(TASKS_SCHEMA)[1:]]
        with self._ledger.transaction("DEFERRED") as db:
            rows = db.execute(f"SELECT {', '.join(columns)} FROM task ORDER BY rowid").fetchall()  # noqa: S608
        frame = pl.DataFrame(rows, schema=_as_integers(TASKS_SCHEMA), orient="row")
        return frame.cast(dict(TASKS_SCHEMA)).lazy()  # type: ignore[arg-type]

    def open_tasks(self) -> pl.DataFrame:
        """Tasks without a result yet: the one that expires first stands first, then the one to look at next."""
        with self._ledger.transaction("DEFERRED") as db:
            rows = db.execute(
                "SELECT id, created, deadline, next_look, attempts, last_error, label FROM task WHERE state = 'pending'"
                " ORDER BY deadline, next_look, rowid"
            ).fetchall()
        return pl.DataFrame(rows, schema=_as_integers(_OPEN_SCHEMA), orient="row").cast(dict(_OPEN_SCHEMA))  # type: ignore[arg-type]

    def raw(self, task: str) -> bytes | None:
        """Give the answer that decided a task, byte for byte, or None when there is none yet."""
        with self._ledger.transaction("DEFERRED") as db:
            row = db.execute("SELECT seq FROM task WHERE id = ?", (task,)).fetchone()
            if row is None or row[0] is None:
                return None
            held = db.execute(
                "SELECT id FROM segment WHERE state = 'sealed' AND ? BETWEEN first AND last", row
            ).fetchone()
            if held is None:
                return next(answer.body for answer in self._ledger.answers(row[0], row[0]))
        part = pl.scan_parquet(self._part("raw", held[0])).filter(pl.col("seq") == row[0])
        return bytes(part.select("body").collect().item())

    # The parts.

    def _part(self, kind: str, segment: int) -> Path:
        return self.folder / kind / f"part-{segment:06d}.parquet"

    def _scan(self, kind: str, segments: list[int], tail: pl.LazyFrame, schema: pl.Schema) -> pl.LazyFrame:
        parts = [self._part(kind, segment) for segment in segments]
        return pl.concat([pl.scan_parquet(parts, schema=schema), tail]) if parts else tail

    def _snapshot(self, kind: str) -> tuple[list[int], Flattened]:
        """Ids of the sealed segments that have a part of this kind, and the tail behind them, at one moment."""
        with self._ledger.transaction("DEFERRED") as db:
            rows = db.execute(
                f"SELECT id FROM segment WHERE state = 'sealed' AND {kind} > 0 ORDER BY id"  # noqa: S608 -- one of two words
            ).fetchall()
            deciding = {seq for (seq,) in db.execute("SELECT t.seq FROM task t JOIN inbox i ON i.seq = t.seq")}
            first, last = db.execute("SELECT min(seq), max(seq) FROM inbox").fetchone()
            answers = list(self._ledger.answers(first, last)) if deciding else []
        return [row[0] for row in rows], _flatten(answers, deciding)

    @contextmanager
    def _sealing(self) -> Iterator[None]:
        """Hold the lock of this store's parts; SQLite's, so that a process that dies gives it back."""
        try:
            with closing(sqlite3.connect(self.folder / "seal.lock", timeout=600.0, isolation_level=None)) as lock:
                lock.execute("BEGIN EXCLUSIVE")
                yield
        except sqlite3.Error as fault:
            raise StoreError(f"{self.folder}: cannot be locked for sealing: {fault}") from fault

    def _plan(self, *, only_full: bool) -> tuple[int, int, int] | None:
        """The segment to build next: one that a crash left planned, or a new one, written down before it is built."""
        with self._ledger.transaction() as db:
            left = db.execute("SELECT id, first, last FROM segment WHERE state = 'planned'").fetchone()
            if left is not None:
                return int(left[0]), int(left[1]), int(left[2])
            rows = db.execute("SELECT seq, size FROM inbox ORDER BY seq LIMIT ?", (SEGMENT_ANSWERS,)).fetchall()
            size, count = 0, 0
            while count < len(rows) and (count == 0 or size + rows[count][1] <= SEGMENT_BYTES):
                size += rows[count][1]
                count += 1
            if count == 0 or (only_full and count == len(rows) < SEGMENT_ANSWERS):
                return None
            first, last = rows[0][0], rows[count - 1][0]
            segment = db.execute(
                "INSERT INTO segment (first, last, state) VALUES (?, ?, 'planned')", (first, last)
            ).lastrowid
            return int(segment or 0), first, last

    def _build(self, segment: int, first: int, last: int) -> int:
        answers = list(self._ledger.answers(first, last))
        with self._ledger.transaction("DEFERRED") as db:
            deciding = {seq for (seq,) in db.execute("SELECT seq FROM task WHERE seq BETWEEN ? AND ?", (first, last))}
        flat = _flatten(answers, deciding)
        tables = {"raw": raw_table(answers), "notes": flat.notes, "rejects": flat.rejects}
        written = [kind for kind, table in tables.items() if len(table) or kind == "raw"]
        parts = {kind: self._part(kind, segment) for kind in written}
        sums = {
            f"{kind}/{parts[kind].name}": write_part(tables[kind], parts[kind], self.folder / "tmp") for kind in written
        }
        with self._ledger.transaction() as db:
            db.execute(
                "UPDATE segment SET state = 'sealed', answers = ?, notes = ?, rejects = ?, checksums = ? WHERE id = ?",
                (len(answers), flat.notes.height, flat.rejects.height, json.dumps(sums), segment),
            )
            db.execute("DELETE FROM inbox WHERE seq BETWEEN ? AND ?", (first, last))
        return len(answers)


def _check_id(task: object) -> None:
    if not isinstance(task, str) or not task or task != task.encode("utf-8", "replace").decode():
        raise ValueError(f"expected a task's id as text, got {task!r}")


def _flatten(answers: list[Answer], deciding: set[int]) -> Flattened:
    """The notes of those answers that gave a task its state."""
    return flatten(
        parse_record(answer.body, task=answer.task, source=answer.source)
        for answer in answers
        if answer.seq in deciding
    )


def _as_integers(schema: pl.Schema) -> pl.Schema:
    """The schema as SQLite holds it: times are integers."""
    return pl.Schema({name: pl.Int64() if dtype != pl.String else pl.String() for name, dtype in schema.items()})
