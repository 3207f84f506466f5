"""What happens to an order in the ledger: it is remembered before it is sent. Each function is a part of a transaction.

::

    planned ── sending ─┬─ submitted   the service made a task, which is entered by the same transaction
       ^                ├─ refused     it made none, and will not as things are
       └────────────────┼─ (planned)   it could not be asked now
                        └─ unknown     no clear answer came: the task may exist, and a person decides

An order is ``sending`` on disk before its request goes out. What is found in that state by the next process that
submits was left by one that died, and becomes ``unknown``; nothing that is ``sending`` or ``unknown`` is sent again.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias

from kie_notes.store import tasks
from kie_notes.store.ledger import now_ms

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable

Ordered: TypeAlias = Literal["midi", "separation"]

_COLUMNS = "id, kind, source_task, audio_id, options, label, state, sent_at, task, reason"

#: Options by which two orders do not differ.
_SAME = "json_remove({}, '$.callback_url')"


class Wanted(NamedTuple):
    """An order as a person gives it; ``options`` are those of its request, without what names the source."""

    kind: Ordered
    source_task: str
    audio_id: str | None
    label: str | None
    options: dict[str, str]


class Submission(NamedTuple):
    """An order in the ledger; ``sent_at`` in ms since 1970."""

    id: int
    kind: Ordered
    source_task: str
    audio_id: str | None
    options: dict[str, str]
    label: str | None
    state: str
    sent_at: int | None
    task: str | None
    reason: str | None


def abandon(db: sqlite3.Connection) -> None:
    """Call unknown what a process was sending that is no more; only for the one process that submits."""
    db.execute(
        "UPDATE submission SET state = 'unknown', reason = 'the process that sent it ended before the answer came'"
        " WHERE state = 'sending'"
    )


def plan(db: sqlite3.Connection, orders: Iterable[Wanted], *, again: bool = False) -> list[int]:
    """Enter orders as planned, before anything is sent, and give the row of each.

    An order like an earlier one has that one's row: what was submitted or is unknown stays so, unless ``again`` makes a
    new row of it; what was refused or never sent is planned.
    """
    return list(dict.fromkeys(_row_of(db, order, again=again) for order in orders))


def _row_of(db: sqlite3.Connection, order: Wanted, *, again: bool) -> int:
    options = json.dumps(order.options, sort_keys=True)
    key = (order.kind, order.source_task, order.audio_id or "")
    same = _SAME.format("options")
    known: dict[str, int] = {
        state: row
        for row, state in db.execute(
            "SELECT id, state FROM submission"  # noqa: S608 -- words of this module
            f" WHERE kind = ? AND source_task = ? AND audio_id = ? AND {same} = {_SAME.format('?')} ORDER BY id",
            (*key, options),
        )
    }
    for state in () if again else ("submitted", "unknown"):
        if state in known:
            return known[state]
    row = known.get("planned", known.get("refused"))
    if row is not None:
        db.execute(
            "UPDATE submission SET state = 'planned', planned_at = ?, options = ?, label = coalesce(?, label),"
            " reason = NULL WHERE id = ?",
            (now_ms(), options, order.label, row),
        )
        return row
    made = db.execute(
        "INSERT INTO submission (kind, source_task, audio_id, options, label, state, planned_at)"
        " VALUES (?, ?, ?, ?, ?, 'planned', ?)",
        (*key, options, order.label, now_ms()),
    ).lastrowid
    return made or 0  # it is never None after an INSERT


def planned(db: sqlite3.Connection, kind: Ordered) -> list[int]:
    """The rows of a kind that were never sent, in the order in which they were planned."""
    sql = "SELECT id FROM submission WHERE kind = ? AND state = 'planned' ORDER BY planned_at, id"
    return [row for (row,) in db.execute(sql, (kind,))]


def rows(db: sqlite3.Connection, ids: Iterable[int]) -> list[Submission]:
    """Orders as they stand, in the order of their ids given."""
    found = (db.execute(f"SELECT {_COLUMNS} FROM submission WHERE id = ?", (one,)).fetchone() for one in ids)  # noqa: S608
    return [Submission._make((*row[:3], row[3] or None, json.loads(row[4]), *row[5:])) for row in found]


def unknown(db: sqlite3.Connection, kind: Ordered, source: str, audio_id: str | None) -> list[Submission]:
    """The orders of a source that are unknown."""
    sql = "SELECT id FROM submission WHERE state = 'unknown' AND kind = ? AND source_task = ? AND audio_id = ?"
    return rows(db, [row for (row,) in db.execute(f"{sql} ORDER BY id", (kind, source, audio_id or ""))])


def order_of(db: sqlite3.Connection, task: str) -> int | None:
    """The order that made a task."""
    row = db.execute("SELECT id FROM submission WHERE task = ?", (task,)).fetchone()
    return row and int(row[0])


def state_of(db: sqlite3.Connection, task: str | None) -> str | None:
    """The state of a task that was made of an order."""
    row = db.execute("SELECT state FROM task WHERE id = ?", (task,)).fetchone()
    return row and str(row[0])


def sent_since(db: sqlite3.Connection, moment: int) -> list[int]:
    """When orders were sent since a moment (ms since 1970), in order of time."""
    return [
        row for (row,) in db.execute("SELECT sent_at FROM submission WHERE sent_at > ? ORDER BY sent_at", (moment,))
    ]


def sending(db: sqlite3.Connection, order: int) -> None:
    """Remember that an order is being sent, before it is."""
    db.execute("UPDATE submission SET state = 'sending', sent_at = ? WHERE id = ?", (now_ms(), order))


def submitted(db: sqlite3.Connection, order: Submission, task: str) -> None:
    """Remember the task that the service made of an order, and enter it; for a separation, its music task too."""
    db.execute("UPDATE submission SET state = 'submitted', task = ?, reason = NULL WHERE id = ?", (task, order.id))
    parent = order.source_task if order.kind == "midi" or order.audio_id else None  # else the address of a file
    db.execute(  # a callback may have been faster, and it says neither
        "UPDATE task SET kind = ?2, state = 'pending', hint = 0, seq = NULL, sha256 = NULL, next_look = 0"
        " WHERE id = ?1 AND kind <> ?2",
        (task, order.kind),
    )
    tasks.add(db, [task], kind=order.kind, label=order.label, parent=parent)
    db.execute(
        "UPDATE task SET label = coalesce(label, ?), audio_id = coalesce(audio_id, ?) WHERE id = ?",
        (order.label, order.audio_id, task),
    )
    if order.kind == "separation" and parent is not None:
        tasks.add(db, [parent], kind="music")


def answered(db: sqlite3.Connection, order: int, state: Literal["planned", "refused", "unknown"], reason: str) -> None:
    """Remember that no task came of an order that was sent, and why; what is planned was not sent, after all."""
    db.execute(
        "UPDATE submission SET state = ?1, reason = ?2, sent_at = iif(?1 = 'planned', NULL, sent_at) WHERE id = ?3",
        (state, reason, order),
    )
