"""What happens to a task in the ledger. Each function is a part of a transaction, so several make one step.

A state only rises (pending, expired, failed, empty, complete), so a second delivery changes nothing. One thing counts
more than a state: what the service itself answered. What only a callback said is a **hint**, because a callback's body
is not signed; a hint stays open until record-info confirms it or says otherwise.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, NamedTuple

from kie_notes.errors import RecordError
from kie_notes.store.ledger import now_ms, zipped

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable

    from kie_notes.store.reading import Kind, Reading

#: The service keeps results for 14 days (its documentation).
KEPT_MS = 14 * 24 * 3600 * 1000

STATES = ("pending", "expired", "failed", "empty", "complete")

#: Tasks that are to be looked at: the words of the index.
OPEN = "(state = 'pending' OR hint = 1)"

#: Answers whose notes count.
DECIDES = "t.kind = 'midi' AND t.state IN ('complete', 'empty')"

#: A lease that ends later than this many ms from now was taken by a clock that ran ahead.
_LONGEST_LEASE = 600_000


class Look(NamedTuple):
    """A task that one process may look at now; times in seconds since 1970."""

    task: str
    kind: Kind
    submitted: float
    expires: float
    hint: bool
    attempts: int


class Row(NamedTuple):
    """A MIDI task and what the answer of a place says of it; times in ms since 1970."""

    seq: int
    sha256: str
    task: str
    state: str
    audio_id: str | None
    created_at: int | None
    completed_at: int | None
    tracks: int
    notes: int
    rejected: int
    error_code: str | None
    error_message: str | None
    source: str


def add(
    db: sqlite3.Connection,
    tasks: Iterable[str],
    *,
    kind: Kind = "midi",
    created: int | None = None,
    label: str | None = None,
    parent: str | None = None,
) -> int:
    """Enter tasks as pending; those that are known stay as they are. Gives how many were new."""
    now = now_ms()
    at = now if created is None else min(created, now)  # nobody is asked before a time that is yet to come
    rows = [(task, kind, at, at + KEPT_MS, now, label, parent) for task in tasks]
    if created is not None:
        db.executemany(
            "UPDATE task SET created = ?, deadline = ? WHERE id = ? AND state = 'pending' AND created_at IS NULL",
            [(at, at + KEPT_MS, row[0]) for row in rows],
        )
    db.executemany(  # an id that was taken for another kind, and of which nothing ever came, was an error
        "UPDATE task SET kind = ?2, state = 'pending', next_look = 0, error_code = NULL, error_message = NULL"
        " WHERE id = ?1 AND kind <> ?2 AND seq IS NULL AND (?2 <> 'midi' OR state = 'failed')"
        " AND NOT EXISTS (SELECT 1 FROM submission WHERE submission.task = ?1 AND submission.kind <> ?2)",
        [row[:2] for row in rows],
    )
    if parent is not None:
        db.executemany("UPDATE task SET parent = ? WHERE id = ? AND kind = ?", [(parent, row[0], kind) for row in rows])
    before = db.total_changes
    db.executemany(
        "INSERT INTO task (id, kind, created, deadline, next_look, label, parent) VALUES (?, ?, ?, ?, ?, ?, ?)"
        " ON CONFLICT DO NOTHING",
        rows,
    )
    return db.total_changes - before


def enter(db: sqlite3.Connection, rows: Iterable[Row]) -> int:
    """Enter MIDI tasks with their answers, which are in a part; those that are known stay. Gives how many were new."""
    now = now_ms()
    values = []
    for row in rows:
        created = now if row.created_at is None else min(row.created_at, now)
        values.append((*row, created, created + KEPT_MS, now, now))
    columns = (*Row._fields, "created", "deadline", "next_look", "fetched_at")
    names, places = ", ".join("id" if name == "task" else name for name in columns), ", ".join("?" * len(columns))
    before = db.total_changes
    db.executemany(f"INSERT INTO task ({names}) VALUES ({places}) ON CONFLICT DO NOTHING", values)  # noqa: S608 -- ours
    return db.total_changes - before


def accept(
    db: sqlite3.Connection, said: Reading, body: bytes, *, received: int | None = None, kept: int | None = None
) -> bool:
    """Take an answer: keep the body and move the task's row, if the answer says more than the row does.

    ``kept`` is the place of a body that is kept already, in a part.
    """
    now = received or now_ms()
    row = db.execute(
        "SELECT state, hint, kind, sha256, seq, notes + rejected FROM task WHERE id = ?", (said.task,)
    ).fetchone()
    if row is None:
        add(db, [said.task], kind=said.kind, created=None if said.hint else said.created_at)
        row = ("pending", 0, said.kind, None, None, 0)
    state, hint, kind, known, seq, held = row
    if kind != said.kind:
        raise RecordError(f"task {said.task!r} is a {kind} task, and the answer is that of a {said.kind} task")
    if said.created_at is not None and not said.hint:  # whoever calls back could put off every look
        created = min(said.created_at, now_ms())
        db.execute(
            "UPDATE task SET created = ?1, deadline = ?2, created_at = ?3, audio_id = coalesce(?4, audio_id)"
            " WHERE id = ?5 AND state = 'pending'",
            (created, created + KEPT_MS, said.created_at, said.audio_id, said.task),
        )
    if not _says_more(said, state, hint=bool(hint)):
        return False
    sha256 = hashlib.sha256(body).hexdigest()
    if known != sha256 or seq is None:  # else the same failure again: one copy is enough
        if held:
            outdate(db, said.task, seq)
        seq = (
            kept
            or db.execute(
                "INSERT INTO inbox (task, source, received, sha256, size, body) VALUES (?, ?, ?, ?, ?, ?)",
                (said.task, said.source, now, sha256, len(body), zipped(body)),
            ).lastrowid
        )
    _move(db, said, seq=seq, sha256=sha256, now=now)
    return True


def _says_more(said: Reading, state: str, *, hint: bool) -> bool:
    if said.state == "pending":
        return False
    if hint and not said.hint:
        return True  # the service's own word, also when it says less
    return STATES.index(said.state) > STATES.index(state)


def _move(db: sqlite3.Connection, said: Reading, *, seq: int | None, sha256: str, now: int) -> None:
    """Write what an answer says into its task's row."""
    db.execute(
        "UPDATE task SET state = ?, hint = ?, seq = ?, sha256 = ?, audio_id = coalesce(?, audio_id), created_at = ?,"
        " completed_at = ?, fetched_at = ?, tracks = ?, notes = ?, rejected = ?, error_code = ?, error_message = ?,"
        " source = ?, parent = coalesce(?, parent), last_error = NULL, lease_until = 0, lease_by = NULL, next_look = ?"
        " WHERE id = ?",
        (
            said.state,
            int(said.hint),
            seq,
            sha256,
            said.audio_id,
            said.created_at,
            said.completed_at,
            now,
            said.tracks,
            said.notes,
            said.rejected,
            said.error_code,
            said.error_message,
            said.source,
            said.parent,
            now,
            said.task,
        ),
    )
    if said.kind != "midi":
        write_origins(db, said)


def write_origins(db: sqlite3.Connection, said: Reading) -> None:
    """Write a separation's stems or a music task's songs, in the place of those that were known."""
    table, width = ("stem", 7) if said.kind == "separation" else ("song", 8)
    db.execute(f"DELETE FROM {table} WHERE task = ?", (said.task,))  # noqa: S608 -- one of two words
    if table == "stem":
        columns = "task, position, id, name, part, url, duration, song, song_index"
    else:
        columns = "task, position, id, title, tags, prompt, model, duration, url, created_at"
    places = ", ".join("?" * (width + 2))
    db.executemany(
        f"INSERT INTO {table} ({columns}) VALUES ({places})",  # noqa: S608 -- words of this function
        [(said.task, at, *row) for at, row in enumerate(said.origins)],
    )


def outdate(db: sqlite3.Connection, task: str, seq: int | None) -> None:
    """Note that a sealed part holds notes of a task that another answer decides from now on."""
    db.execute(
        "INSERT OR IGNORE INTO stale (segment, task)"
        " SELECT id, ? FROM segment WHERE state = 'sealed' AND ? BETWEEN first AND last",
        (task, seq),
    )


def set_aside(
    db: sqlite3.Connection, task: str, body: bytes, *, source: str, reason: str, kind: Kind | None = None
) -> bool:
    """Keep a body that was not taken, once, with the reason. The task is entered, and looked at soon."""
    now = now_ms()
    known = db.execute("SELECT kind FROM task WHERE id = ?", (task,)).fetchone()
    if known is None:
        add(db, [task], kind=kind or "midi")
    kept = db.execute(
        "INSERT INTO aside (task, source, received, sha256, size, reason, body) VALUES (?, ?, ?, ?, ?, ?, ?)"
        " ON CONFLICT DO NOTHING",
        (task, source, now, hashlib.sha256(body).hexdigest(), len(body), reason, zipped(body)),
    ).rowcount
    if kept:
        db.execute("UPDATE task SET next_look = ? WHERE id = ? AND next_look > ?", (now, task, now))
    return bool(kept)


def settle(db: sqlite3.Connection, task: str, state: str, message: str) -> None:
    """End a pending task without an answer: it expired, or the service does not know it.

    What a callback said of it stays as unconfirmed when its time is over, and ends as failed when the service knows no
    such task. A task whose raw answer was lost and whose notes were not is complete, as before.
    """
    db.execute(
        "UPDATE task SET state = CASE WHEN seq IS NOT NULL AND sha256 IS NULL AND notes + rejected > 0"
        " THEN 'complete' ELSE ? END, error_message = ?, fetched_at = ?, lease_until = 0, lease_by = NULL"
        " WHERE id = ? AND state = 'pending'",
        (state, message, now_ms(), task),
    )
    row = db.execute("SELECT seq, state FROM task WHERE id = ? AND hint = 1", (task,)).fetchone()
    if row is None:
        return
    if state == "failed" and row[1] != "failed":
        outdate(db, task, row[0])
        db.execute(
            "UPDATE task SET state = 'failed', error_message = ?, notes = 0, rejected = 0 WHERE id = ?",
            (f"a callback came, and {message}", task),
        )
    db.execute(
        "UPDATE task SET hint = 2, last_error = ?, lease_until = 0, lease_by = NULL WHERE id = ?", (message, task)
    )


def reopen(db: sqlite3.Connection, tasks: Iterable[str]) -> None:
    """Make tasks pending again that ended without notes, and due at once those that wait."""
    ids = [(task,) for task in tasks]
    db.executemany(
        "UPDATE task SET state = 'pending', next_look = 0, hint = 0, error_code = NULL, error_message = NULL"
        " WHERE id = ? AND state IN ('failed', 'expired')",
        ids,
    )
    db.executemany("UPDATE task SET hint = 1 WHERE id = ? AND hint = 2", ids)
    db.executemany(f"UPDATE task SET next_look = 0 WHERE id = ? AND {OPEN}", ids)  # noqa: S608 -- words of this module


def _among(db: sqlite3.Connection, among: str | None) -> str:
    """The words for tasks whose ids are in a table: a few are looked up, many are met in the order of the index."""
    if not among:
        return ""
    (count,) = db.execute(f"SELECT count(*) FROM (SELECT 1 FROM {among} LIMIT 10001)").fetchone()  # noqa: S608 -- ours
    return f" AND {'+' if count > 10_000 else ''}id IN (SELECT id FROM {among})"  # noqa: S608 -- a table of ours


def lease(
    db: sqlite3.Connection, holder: str, *, until: int, limit: int, first_look: int = 0, among: str | None = None
) -> list[Look]:
    """Take the tasks to look at next for one holder: due, in nobody's hands, nearest expiry first, then oldest look.

    ``among`` names a table of ids; without it, all open tasks. ``first_look`` is how many ms after its submission a
    task is looked at first.
    """
    now = now_ms()
    chosen = _among(db, among)
    rows = db.execute(
        "SELECT id, kind, created, deadline, hint, attempts FROM task"  # noqa: S608 -- words of this module
        f" WHERE {OPEN} AND next_look <= ?1 AND (lease_until <= ?1 OR lease_until > ?1 + {_LONGEST_LEASE})"
        " AND (attempts > 0 OR hint OR created + ?2 <= ?1)"
        f"{chosen} ORDER BY deadline, next_look, lease_until, rowid LIMIT ?3",  # as the index has it: nothing is sorted
        (now, first_look, limit),
    ).fetchall()
    db.executemany(
        "UPDATE task SET lease_until = ?, lease_by = ? WHERE id = ?", [(until, holder, row[0]) for row in rows]
    )
    return [
        Look(task, kind, created / 1000, deadline / 1000, bool(hint), attempts)
        for task, kind, created, deadline, hint, attempts in rows
    ]


def renew(db: sqlite3.Connection, holder: str, tasks: Iterable[str], *, until: int) -> None:
    """Hold tasks for longer that are being looked at still."""
    db.executemany(
        "UPDATE task SET lease_until = ? WHERE id = ? AND lease_by = ?", [(until, task, holder) for task in tasks]
    )


def release(db: sqlite3.Connection, holder: str) -> None:
    """Give all tasks of a holder back."""
    db.execute(f"UPDATE task SET lease_until = 0, lease_by = NULL WHERE {OPEN} AND lease_by = ?", (holder,))  # noqa: S608


def looked(db: sqlite3.Connection, task: str, error: str | None, next_look: float) -> None:
    """Remember that a look at a task brought no result, why, and when the next is due (seconds since 1970)."""
    db.execute(
        "UPDATE task SET attempts = attempts + 1, last_error = ?, next_look = ?, lease_until = 0, lease_by = NULL"
        " WHERE id = ?",
        (error, int(next_look * 1000), task),
    )


def waiting(db: sqlite3.Connection, end: float, among: str | None = None) -> bool:
    """Tell whether a task is to be looked at before an end (seconds since 1970)."""
    chosen = _among(db, among)
    due = f"SELECT 1 FROM task WHERE {OPEN} AND next_look <= ?{chosen} LIMIT 1"  # noqa: S608
    return db.execute(due, (min(end * 1000, 2.0**62),)).fetchone() is not None


def expiring(db: sqlite3.Connection, since: float, until: float, among: str | None = None) -> list[tuple[str, float]]:
    """The first twenty open tasks whose result will be gone between two times (seconds since 1970)."""
    chosen = _among(db, among)
    rows = db.execute(
        f"SELECT id, deadline FROM task WHERE {OPEN} AND deadline BETWEEN ? AND ?{chosen} ORDER BY deadline LIMIT 20",  # noqa: S608
        (since * 1000, until * 1000),
    )
    return [(task, deadline / 1000) for task, deadline in rows]


def receive(db: sqlite3.Connection, task: str, body: bytes, said: Reading | RecordError, *, source: str) -> str:
    """Take a callback: its id is entered whatever it says, and what it says stands until something better comes."""
    if isinstance(said, Exception):
        return "unreadable" if set_aside(db, task, body, source=source, reason=str(said)) else "known"
    try:
        if accept(db, said, body):
            return "taken"
    except RecordError as fault:
        return "unreadable" if set_aside(db, task, body, source=source, reason=str(fault)) else "known"
    if said.state == "pending":
        reason = f"the callback brings no result ({said.kind}, pending); record-info is asked for it"
        return "taken" if set_aside(db, task, body, source=source, reason=reason, kind=said.kind) else "known"
    return "known"
