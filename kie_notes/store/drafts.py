"""Many answers at once, straight into parts: drafts of segments, which any process can make, and how one counts.

A draft holds answers about tasks that the ledger does not know. Its files are written aside, in a folder of their own
under ``tmp/``; they count when one transaction enters their tasks and marks their segment. Until then there is nothing
but files that nobody knows, so a process that makes drafts may die at any moment. What a draft cannot hold (a task that
is known already or comes twice, a task that is pending) is handed back, to be taken through the inbox.

Answers of a draft have numbers that are reserved before it is written, and no other answer ever gets. Those of two
drafts may be admitted in another order than they were reserved.
"""

from __future__ import annotations

import shutil
from contextlib import ExitStack, contextmanager
from hashlib import sha256
from itertools import islice
from pathlib import Path
from tempfile import mkdtemp
from typing import TYPE_CHECKING, NamedTuple

import polars as pl

from kie_notes.api.files import Body
from kie_notes.api.records import Record, parse_record
from kie_notes.errors import RecordError, StoreError
from kie_notes.notes import flatten
from kie_notes.store.generations import PATIENCE, folder_of, read_raw
from kie_notes.store.ledger import Answer, Ledger, locked, now_ms
from kie_notes.store.litter import abandoned
from kie_notes.store.parts import RawFile, sync_folder, write_file
from kie_notes.store.seal import KINDS, SEGMENT_ANSWERS, SEGMENT_BYTES, Built, Segment, mark, part_path, withdraw
from kie_notes.store.tasks import Row, enter

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Iterator

    from kie_notes.store.folder import Store

#: Bodies that are read, looked up and written together: so many, or so many bytes.
_GROUP, _GROUP_BYTES = 16, 1 << 20


class Known(NamedTuple):
    """A body that the store has already: it decided its task."""

    source: str
    task: str
    sha256: str


class Draft(NamedTuple):
    """Bodies by the order in which they came: those in the draft, and what is to be said or done about the others.

    ``first`` and ``last`` are the numbers that were reserved for its answers.
    """

    bodies: int
    first: int
    last: int
    rows: dict[int, Row]
    known: dict[int, Known]
    rest: dict[int, Body]
    unread: dict[int, tuple[str, str]]  # source, reason
    files: dict[str, Path]
    built: Built


@contextmanager
def drafting(root: Path) -> Iterator[Path]:
    """Have a folder for drafts, and take away those that processes left which died."""
    with ExitStack() as stack:
        with locked(root / "seal.lock", patience=PATIENCE):
            (root / "tmp").mkdir(exist_ok=True)
            for path in (root / "tmp").glob("drafts-*"):
                if abandoned(path):
                    shutil.rmtree(path, ignore_errors=True)
            folder = Path(mkdtemp(prefix="drafts-", dir=root / "tmp"))
            stack.callback(shutil.rmtree, folder, ignore_errors=True)
            stack.enter_context(locked(folder / "lock", patience=0))
        yield folder


def drafts(root: Path, folder: Path, bodies: Iterable[Body]) -> Iterator[Draft]:
    """Make drafts of all bodies, each of as many as a segment is planned to hold."""
    numbered = enumerate(bodies)
    ledger = Ledger(root / "ledger.sqlite")
    try:
        while (one := _Drafting(ledger, folder).of(numbered)).bodies:
            yield one
    except OSError as fault:
        raise StoreError(f"{folder}: could not be written: {fault}") from fault
    finally:
        ledger.close()


def again(root: Path, folder: Path, draft: Draft) -> Draft:
    """Make a draft anew, since the store came to know some of its tasks."""
    ledger = Ledger(root / "ledger.sqlite")
    try:
        one = _Drafting(ledger, folder).of(iter(bodies_of(draft).items()))
    finally:
        ledger.close()
    rest, known = dict(sorted((draft.rest | one.rest).items())), draft.known | one.known
    return one._replace(bodies=draft.bodies, known=known, rest=rest, unread=draft.unread)


def bodies_of(draft: Draft) -> dict[int, Body]:
    """The bodies whose answers are in a draft that does not count."""
    answers = read_raw(draft.files["raw"]).select(["source", "task", "body"]).to_pylist() if draft.rows else []
    return {at: Body(*answer.values()) for at, answer in zip(draft.rows, answers, strict=True)}


class _Drafting:
    """One draft while its bodies come in."""

    def __init__(self, ledger: Ledger, folder: Path) -> None:
        self.ledger, self.folder = ledger, folder
        self.bodies = self.size = self.answers = 0
        self.numbers = range(0)
        self.met: set[str] = set()
        self.taken: list[tuple[int, int, str]] = []  # of each answer: its body's place, its number, its checksum
        self.known: dict[int, Known] = {}
        self.rest: dict[int, Body] = {}
        self.unread: dict[int, tuple[str, str]] = {}
        self.raw: RawFile | None = None

    def of(self, bodies: Iterator[tuple[int, Body]]) -> Draft:
        """Take bodies until the draft is full, and write its files."""
        flat = flatten(record for group in self._groups(bodies) for record in self._fresh(group))
        sums, files = dict[str, str](), dict[str, Path]()
        if self.raw is not None:
            sums["raw"], files["raw"] = self.raw.close(), self.raw.file
            for kind, table in (("notes", flat.notes), ("rejects", flat.rejects)):
                if table.height:
                    files[kind] = self.raw.file.with_name(self.raw.file.name.replace("raw", kind))
                    sums[kind] = write_file(table, files[kind])
        said = flat.tasks.drop("fetched_at").with_columns(pl.col("created_at", "completed_at").cast(pl.Int64)).rows()
        rows = {at: Row(seq, digest, *row) for (at, seq, digest), row in zip(self.taken, said, strict=True)}
        built = Built(len(rows), flat.notes.height, flat.rejects.height, self.answers, sums)
        first, last = (self.numbers[0], self.numbers[-1]) if self.numbers else (0, 0)
        return Draft(self.bodies, first, last, rows, self.known, self.rest, self.unread, files, built)

    def _groups(self, bodies: Iterator[tuple[int, Body]]) -> Iterator[list[tuple[int, Body]]]:
        while self.bodies < SEGMENT_ANSWERS and self.size < SEGMENT_BYTES:
            group: list[tuple[int, Body]] = []
            held = 0
            for at, body in islice(bodies, min(_GROUP, SEGMENT_ANSWERS - self.bodies)):
                group.append((at, body))
                held += len(body.content)
                if held >= _GROUP_BYTES:
                    break
            if not group:
                return
            self.bodies += len(group)
            self.size += held
            yield group

    def _fresh(self, group: list[tuple[int, Body]]) -> list[Record]:
        """Write the answers of a group whose tasks are unknown, and give what they say."""
        read = [(at, body, record) for at, body in group if (record := self._read(at, body)) is not None]
        found = self._look_up([record.task or "" for *_, record in read])
        now, answers, records = now_ms(), list[Answer](), list[Record]()
        for at, body, record in read:
            task = record.task or ""
            digest = sha256(body.content).hexdigest()
            row = found.get(task)
            if row == ("midi", "complete", 0, digest):
                self.known[at] = Known(body.source, task, digest)
            elif row is not None or task in self.met or record.state == "pending":
                self.rest[at] = body
            else:
                self.numbers = self.numbers or self._reserved()
                seq = self.numbers[len(self.taken)]
                self.taken.append((at, seq, digest))
                answers.append(Answer(seq, task, body.source, now, digest, body.content))
                records.append(record)
            self.met.add(task)
        if answers:
            if self.raw is None:
                self.raw = RawFile(self.folder / f"{answers[0].seq:012d}-raw.parquet")
            self.raw.add(answers)
            self.answers += sum(len(answer.body) for answer in answers)
        return records

    def _read(self, at: int, body: Body) -> Record | None:
        if body.fault is not None:
            self.unread[at] = body.source, body.fault
            return None
        try:
            record = parse_record(body.content, task=body.task, source=body.source)
        except RecordError as fault:
            self.unread[at] = body.source, str(fault)
            return None
        if not record.task:
            self.unread[at] = body.source, f"a record ({body.source}) names no task: parse_record(body, task=...)"
            return None
        return record

    def _look_up(self, tasks: list[str]) -> dict[str, tuple[object, ...]]:
        sql = "SELECT id, kind, state, hint, sha256 FROM task WHERE id = ?"
        with self.ledger.transaction("DEFERRED") as db:
            rows = [db.execute(sql, (task,)).fetchone() for task in tasks]
        return {row[0]: row[1:] for row in rows if row is not None}

    def _reserved(self) -> range:
        """Numbers for as many answers as a draft can hold."""
        with self.ledger.transaction() as db:
            db.execute(
                "INSERT INTO sqlite_sequence (name, seq) SELECT 'inbox', 0"
                " WHERE NOT EXISTS (SELECT 1 FROM sqlite_sequence WHERE name = 'inbox')"
            )
            (before,) = db.execute("SELECT seq FROM sqlite_sequence WHERE name = 'inbox'").fetchone()
            db.execute("UPDATE sqlite_sequence SET seq = seq + ? WHERE name = 'inbox'", (SEGMENT_ANSWERS,))
        return range(before + 1, before + 1 + SEGMENT_ANSWERS)


class _MeanwhileError(Exception):
    """Another process entered a task of a draft."""


def admit(store: Store, ledger: Ledger, draft: Draft) -> bool:
    """Let a draft count: from now on its answers are acknowledged. False when the store knows one of its tasks by now.

    Answers with lower numbers are sealed first, so that the answers of no two segments are ever mixed.
    """
    if not draft.rows:
        return True
    store.seal()
    with locked(store.folder / "seal.lock", patience=PATIENCE) as got:
        if not got:
            raise StoreError(f"{store.folder}: another process was sealing for over {PATIENCE:.0f} s")
        segment = _planned(ledger, draft)
        if segment is None:
            return False
        with ledger.transaction("DEFERRED") as db:
            home = folder_of(store.folder, db)
        try:
            sums = _place(draft, segment, home)
            with ledger.transaction() as db:
                _enter(db, draft)
                mark(db, segment, draft.built._replace(checksums=sums))
        except _MeanwhileError:
            for kind, file in draft.files.items():
                part_path(home, kind, segment.id).replace(file)
            withdraw(ledger, segment, home)
            return False
        except OSError as fault:
            raise StoreError(f"{home}: could not be written: {fault}") from fault
    return True


def _enter(db: sqlite3.Connection, draft: Draft) -> None:
    if enter(db, draft.rows.values()) < len(draft.rows):
        raise _MeanwhileError


def _planned(ledger: Ledger, draft: Draft) -> Segment | None:
    """Write down that a draft's parts shall be a segment's; None if other answers lie among its numbers, or below."""
    with ledger.transaction() as db:
        mixed = db.execute(
            "SELECT 1 FROM segment WHERE first <= ?2 AND last >= ?1 UNION ALL SELECT 1 FROM inbox WHERE seq < ?1",
            (draft.first, draft.last),
        ).fetchone()
        if mixed:
            return None
        sql = "INSERT INTO segment (first, last, state) VALUES (?, ?, 'planned')"
        return Segment(int(db.execute(sql, (draft.first, draft.last)).lastrowid or 0), draft.first, draft.last)


def _place(draft: Draft, segment: Segment, home: Path) -> dict[str, str]:
    """Put a draft's files where a segment's parts are; gives their checksums by their names there."""
    sums = {}
    for kind in KINDS:
        part = part_path(home, kind, segment.id)
        if kind in draft.files:
            draft.files[kind].replace(part)
            sums[f"{kind}/{part.name}"] = draft.built.checksums[kind]
        else:
            part.unlink(missing_ok=True)
        sync_folder(part.parent)
    return sums
