"""A new ledger in the place of one that is gone or damaged, from what can be read of it and from the raw parts.

Rows of the old ledger stand where the raw answers bear them out. What is not there is taken from the raw answers, each
accepted again in its order; none of them is stored a second time. The new ledger is built aside and takes its place in
one step; the old one is kept in ``damaged/``.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import sqlite3
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, NamedTuple

import pyarrow.parquet as pq

from kie_notes.errors import RecordError, StoreError
from kie_notes.progress import bar
from kie_notes.store import tasks
from kie_notes.store.door import hint
from kie_notes.store.generations import PATIENCE, read_raw
from kie_notes.store.ledger import Answer, Ledger, locked, unzip
from kie_notes.store.parts import sync_folder
from kie_notes.store.reading import CALLBACK, Reading, kind_of, read
from kie_notes.store.salvage import keep, rows_of
from kie_notes.store.seal import KINDS, Built, Segment, mark, part_path
from kie_notes.store.verify import UNREADABLE

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

#: Tables of which rows are taken over besides those of tasks.
_TABLES = ("aside", "submission", "stem", "song", "inbox")

#: Columns that say what an answer said.
_SAID = "state = 'pending', hint = 0, seq = NULL, sha256 = NULL, tracks = 0, notes = 0, rejected = 0, next_look = 0"


class Renewed(NamedTuple):
    """What came of it: tasks in the old ledger that could be read, and answers that were accepted again."""

    read: int
    replayed: int


def renew(root: Path, *, progress: bool = True) -> Renewed | None:
    """Put a new ledger in the place of one that is gone or damaged; gives None when a repair before had built it."""
    path, fresh = root / "ledger.sqlite", root / "ledger.renewed"
    done = None
    with alone(root), _held(path):  # who waits to write finds the old ledger replaced, and acknowledges nothing
        if path.exists():
            fresh.unlink(missing_ok=True)  # the old one may have gone on since that was built
        built = fresh.exists()
        if not built:
            done = _build(root, path, progress=progress)
        for suffix in ("", "-wal"):
            if path.with_name(path.name + suffix).exists():
                keep(root, path.with_name(path.name + suffix))
        if not built:
            (root / "tmp" / "ledger.new").replace(fresh)
            sync_folder(root)
        for suffix in ("", "-wal", "-shm"):  # the old one first: without it, the one that was built is whole
            path.with_name(path.name + suffix).unlink(missing_ok=True)
        fresh.replace(path)
        sync_folder(root)
    return done


def _build(root: Path, path: Path, *, progress: bool) -> Renewed:
    tmp = root / "tmp"
    old = _copied(path, tmp)
    for left in tmp.glob("ledger.new*"):
        left.unlink()
    ledger = Ledger(tmp / "ledger.new")
    try:
        with ledger.transaction() as db:
            done = _Renewing(root, db, old, progress=progress).done()
    finally:
        ledger.close()
    shutil.rmtree(old.parent)
    return done


@contextmanager
def alone(root: Path) -> Iterator[None]:
    """Keep others from sealing and from rewriting parts."""
    with locked(root / "work.lock", patience=PATIENCE) as one, locked(root / "seal.lock", patience=PATIENCE) as other:
        if not (one and other):
            raise StoreError(f"{root}: another process was writing parts for {PATIENCE:.0f} s")
        yield


@contextmanager
def _held(ledger: Path) -> Iterator[None]:
    """Keep others from writing into a damaged ledger, as far as it lets itself be held."""
    db = sqlite3.connect(ledger, timeout=PATIENCE, isolation_level=None) if ledger.exists() else None
    try:
        if db is not None:
            with suppress(sqlite3.DatabaseError, UnicodeDecodeError):
                db.execute("BEGIN IMMEDIATE")
        yield
    finally:
        if db is not None:
            db.close()


def _copied(ledger: Path, tmp: Path) -> Path:
    """Copy a ledger and what was written beside it, to read there without changing either."""
    folder = tmp / "old-ledger"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for suffix in ("", "-wal"):
        beside = ledger.with_name(ledger.name + suffix)
        if beside.exists():
            shutil.copyfile(beside, folder / beside.name)
    return folder / ledger.name


def again(answer: Answer) -> Reading:
    """Read an answer of which nothing is known but what stands beside it."""
    if answer.source != CALLBACK:
        return read(answer.body, task=answer.task, source=answer.source, kind=kind_of(answer.source))
    said = hint(answer.task, answer.body, None)
    if isinstance(said, RecordError):
        raise said
    return said


class _Renewing:
    """One transaction that fills a new ledger."""

    def __init__(self, root: Path, db: sqlite3.Connection, old: Path, *, progress: bool) -> None:
        self.root, self.db, self.old, self.progress = root, db, old, progress
        self.home = _home(root)
        self.dark: list[Segment] = []  # parts whose answers cannot be read as they stand
        db.execute("PRAGMA defer_foreign_keys = ON")
        db.execute("CREATE TEMP TABLE archive (seq INTEGER PRIMARY KEY, task TEXT NOT NULL, sha256 TEXT NOT NULL)")

    def done(self) -> Renewed:
        places = {row["id"]: row for row in rows_of(self.old, "segment") if row.get("state") == "sealed"}
        unsealed = {row["id"] for row in rows_of(self.old, "segment")} - places.keys()
        found = self._take_over("task")
        for id_, part in sorted(_numbers(self.home / "raw").items()):
            if id_ and id_ not in unsealed:
                self._enter(id_, part, places.get(id_))
        for table in _TABLES:
            self._take_over(table)
        for segment in self.dark:
            self._enter_unread(segment, places.get(segment.id))
        self._doubt()
        replayed = self._replay()
        self._write_origins()
        self._go_on_above()
        self.db.execute("DELETE FROM stale")
        self._tidy()
        return Renewed(found, replayed)

    def _take_over(self, table: str) -> int:
        """Enter the rows of the old ledger that can be read and that the new one's rules allow."""
        known = [row[1] for row in self.db.execute(f"PRAGMA table_info({table})")]
        count = 0
        for row in rows_of(self.old, table):
            if table == "inbox" and not self._waits(row):
                continue
            names = [name for name in known if name in row]
            sql = f"INSERT OR IGNORE INTO {table} ({', '.join(names)}) VALUES ({', '.join('?' * len(names))})"  # noqa: S608
            with suppress(sqlite3.IntegrityError):
                count += self.db.execute(sql, [row[name] for name in names]).rowcount
        return count

    def _waits(self, row: dict[str, Any]) -> bool:
        """Whether a body of the old inbox is whole, and not in a part already."""
        try:
            whole = hashlib.sha256(unzip(row["body"], row["size"])).hexdigest() == row["sha256"]
        except (StoreError, TypeError, ValueError):
            return False
        return whole and not self.db.execute("SELECT 1 FROM archive WHERE seq = ?", (row["seq"],)).fetchone()

    def _enter(self, id_: int, part: Path, place: dict[str, Any] | None) -> None:
        """Enter a raw part as a sealed segment, with what its files hold."""
        try:
            raw = read_raw(part).select(["seq", "task", "sha256", "body"])
        except StoreError:
            raw = None
        rows = [] if raw is None else list(zip(*(column.to_pylist() for column in raw.columns), strict=True))
        if not rows or any(hashlib.sha256(body).hexdigest() != sha256 for *_, sha256, body in rows):
            self.dark.append(Segment(id_, *((place["first"], place["last"]) if place else (0, 0))))
            return
        segment = Segment(id_, rows[0][0], rows[-1][0])
        if self._taken(segment):
            return  # a copy of another part
        self.db.executemany("INSERT INTO archive VALUES (?, ?, ?)", [row[:3] for row in rows])
        sums = _sums(place)
        with part.open("rb") as file:
            sums[f"raw/{part.name}"] = hashlib.file_digest(file, "sha256").hexdigest()
        self._mark(segment, len(rows), sum(len(row[3]) for row in rows), sums)

    def _mark(self, segment: Segment, answers: int, size: int, sums: dict[str, str]) -> None:
        """Enter a sealed segment; a part without its checksum of old is to be made anew."""
        rows = {kind: _length(part_path(self.home, kind, segment.id)) for kind in KINDS}
        self.db.execute("INSERT INTO segment (id, first, last, state) VALUES (?, ?, ?, 'sealed')", segment)
        mark(self.db, segment, Built(answers, rows["notes"], rows["rejects"], size, sums))

    def _taken(self, segment: Segment) -> bool:
        overlaps = "SELECT 1 FROM segment WHERE first <= ? AND last >= ?"
        return self.db.execute(overlaps, (segment.last, segment.first)).fetchone() is not None

    def _enter_unread(self, segment: Segment, place: dict[str, Any] | None) -> None:
        """Enter a part whose answers cannot be read as they stand, for ``repair`` to take out of it what it can.

        Where its answers belong is known from the old ledger; else it gets a new place with room for all its tasks.
        """
        if place is not None and not self._taken(segment):
            self._mark(segment, place["answers"], place["bytes"] or 0, _sums(place))
            return
        room = max(_length(part_path(self.home, kind, segment.id)) for kind in KINDS)
        top = self._top()
        self._mark(Segment(segment.id, top + 1, top + max(room, 1)), max(room, 1), 0, {})

    def _doubt(self) -> None:
        """Make tasks pending whose answer is not where the old ledger says, so that their answers speak for them."""
        self.db.execute(
            f"UPDATE task SET {_SAID} WHERE seq IS NOT NULL"  # noqa: S608 -- words of this module
            " AND NOT EXISTS (SELECT 1 FROM archive a WHERE a.seq = task.seq AND a.task = id"
            "  AND a.sha256 = task.sha256)"
            " AND NOT EXISTS (SELECT 1 FROM inbox i WHERE i.seq = task.seq AND i.task = task.id"
            "  AND i.sha256 = task.sha256)"
            " AND NOT EXISTS (SELECT 1 FROM segment s WHERE task.seq BETWEEN s.first AND s.last"
            "  AND NOT EXISTS (SELECT 1 FROM archive a WHERE a.seq = s.first))"
        )

    def _replay(self) -> int:
        """Accept the answers of tasks again of which the ledger knows none, in their order."""
        self.db.execute(
            "CREATE TEMP TABLE todo AS SELECT DISTINCT task AS id FROM"
            " (SELECT task FROM archive UNION SELECT task FROM inbox)"
            " WHERE task NOT IN (SELECT id FROM task WHERE seq IS NOT NULL)"
        )
        (total,) = self.db.execute("SELECT count(*) FROM archive WHERE task IN (SELECT id FROM todo)").fetchone()
        shown = bar(unit="answer", total=total, progress=self.progress)
        for answer in self._answers({task for (task,) in self.db.execute("SELECT id FROM todo")}):
            with suppress(RecordError):  # then it stays in its part, and its task is pending
                tasks.add(self.db, [answer.task], kind=kind_of(answer.source), created=answer.received)
                said = again(answer)
                tasks.add(self.db, [answer.task], kind=said.kind)
                tasks.accept(self.db, said, answer.body, received=answer.received, kept=answer.seq)
            shown.update()
        shown.close()
        return int(total)

    def _write_origins(self) -> None:
        """Write stems and songs anew from the answers that decide their tasks; a damaged page may have held them."""
        decided = "SELECT id, seq FROM task WHERE kind <> 'midi' AND sha256 IS NOT NULL"
        deciding = dict(self.db.execute(decided).fetchall())
        for answer in self._answers(set(deciding)):
            if answer.seq == deciding[answer.task]:
                with suppress(RecordError):
                    tasks.write_origins(self.db, again(answer))

    def _answers(self, todo: set[str]) -> Iterator[Answer]:
        """The answers of some tasks, in their order."""
        if not todo:
            return
        sealed = "SELECT s.id FROM segment s JOIN archive a ON a.seq = s.first ORDER BY s.first"
        for (id_,) in self.db.execute(sealed).fetchall():
            raw = read_raw(part_path(self.home, "raw", id_))
            for row in raw.to_pylist():
                if row["task"] in todo:
                    moment = int(row["received_at"].timestamp() * 1000)
                    yield Answer(row["seq"], row["task"], row["source"], moment, row["sha256"], row["body"])
        waiting = "SELECT seq, task, source, received, sha256, size, body FROM inbox ORDER BY seq"
        for seq, task, source, received, sha256, size, packed in self.db.execute(waiting):
            if task in todo:
                yield Answer(seq, task, source, received, sha256, unzip(packed, size))

    def _top(self) -> int:
        return int(
            self.db.execute(
                "SELECT max((SELECT coalesce(max(last), 0) FROM segment), (SELECT coalesce(max(seq), 0) FROM inbox),"
                " (SELECT coalesce(max(seq), 0) FROM task))"
            ).fetchone()[0]
        )

    def _go_on_above(self) -> None:
        """See that no number is given twice: of an answer, a part, or a generation."""
        parts = [id_ for one in (self.root / "parts").iterdir() for id_ in _numbers(one / "raw")]
        for table, last in (("inbox", self._top()), ("segment", max(parts, default=0))):
            self.db.execute("DELETE FROM sqlite_sequence WHERE name = ?", (table,))
            self.db.execute("INSERT INTO sqlite_sequence (name, seq) VALUES (?, ?)", (table, last))
        self.db.execute("UPDATE generation SET id = ?", (int(self.home.name),))

    def _tidy(self) -> None:
        for table in ("stem", "song", "inbox"):
            self.db.execute(f"DELETE FROM {table} WHERE task NOT IN (SELECT id FROM task)")  # noqa: S608
        self.db.execute("DROP TABLE archive")
        self.db.execute("DROP TABLE todo")


def _numbers(folder: Path) -> dict[int, Path]:
    """The parts in a folder, by their numbers."""
    found = folder.glob("part-*.parquet") if folder.is_dir() else ()
    return {int(part.stem[5:]): part for part in found if part.stem[5:].isdecimal()}


def _sums(place: dict[str, Any] | None) -> dict[str, str]:
    try:
        return dict(json.loads((place or {})["checksums"]))
    except (KeyError, TypeError, ValueError):
        return {}


def _length(part: Path) -> int:
    if not part.exists():
        return 0
    with suppress(*UNREADABLE):
        return int(pq.read_metadata(part).num_rows)
    return 1


def _home(root: Path) -> Path:
    """The generation that is to be read: the one that the link leads to, or else the one with most answers."""
    parts = root / "parts"
    link = parts / "current"
    if link.is_symlink() and link.resolve().is_dir() and link.resolve().name.isdecimal():
        return parts / link.resolve().name
    folders = [path for path in parts.glob("*") if path.name.isdecimal()] if parts.is_dir() else []
    if folders:
        return max(folders, key=lambda one: (sum(_length(part) for part in _numbers(one / "raw").values()), one.name))
    home = parts / "000001"
    home.mkdir(parents=True)
    for kind in KINDS:  # as the first version had it
        if (root / kind).is_dir() and not (root / kind).is_symlink():
            (root / kind).rename(home / kind)
    return home
