"""Parts made anew: small ones merged, outdated notes dropped, and everything read again from the raw answers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import pyarrow as pa

from kie_notes.errors import RecordError, StoreError
from kie_notes.notes import Flattened, flatten
from kie_notes.progress import bar
from kie_notes.store import tasks
from kie_notes.store.generations import CROWD, PATIENCE, every, outdated, rewrite, small
from kie_notes.store.ledger import unzip
from kie_notes.store.reading import CALLBACK, Reading, kind_of, read, reading
from kie_notes.store.seal import read_again

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable
    from pathlib import Path

    from kie_notes.api.records import Record
    from kie_notes.store.ledger import Ledger
    from kie_notes.store.seal import Segment


class Rebuilt(NamedTuple):
    """What came of a rebuild."""

    tasks: int
    notes_before: int
    notes: int
    taken: int


def any_outdated(ledger: Ledger) -> bool:
    """Tell whether a part holds notes that another answer took the place of."""
    with ledger.transaction("DEFERRED") as db:
        return db.execute("SELECT 1 FROM stale LIMIT 1").fetchone() is not None


def drop_outdated(root: Path, ledger: Ledger, *, patience: float) -> bool:
    """Rewrite the parts that hold outdated notes; gives whether another process stood in the way."""
    return any_outdated(ledger) and rewrite(root, ledger, outdated, _as_before, patience=patience) is None


def compact_a_crowd(root: Path, ledger: Ledger) -> None:
    """Merge small parts when there are many; when another process is rewriting, it can wait."""
    with ledger.transaction("DEFERRED") as db:
        crowd = sum(len(group) for group in small(db))
    if crowd >= CROWD:
        rewrite(root, ledger, small, _as_before, patience=0)


def compact(root: Path, ledger: Ledger) -> int:
    """Merge small parts; gives how many there are fewer."""
    merged: list[Segment] = []

    def choose(db: sqlite3.Connection) -> list[list[Segment]]:
        groups = small(db)
        merged.extend(segment for group in groups for segment in group[1:])
        return groups

    if rewrite(root, ledger, choose, _as_before) is None:
        raise StoreError(f"{root}: another process was rewriting parts for over {PATIENCE:.0f} s")
    return len(merged)


def _as_before(raw: pa.Table, deciding: dict[int, str]) -> Flattened:
    return flatten(_records(raw, deciding))


def _records(raw: pa.Table, deciding: dict[int, str]) -> list[Record]:
    """The answers among those of a part that decide their tasks, read again."""
    chosen = [at for at, seq in enumerate(raw.column("seq").to_pylist()) if seq in deciding]
    return [read_again(row["body"], task=row["task"], source=row["source"]) for row in _rows_at(raw, chosen)]


def rebuild(
    root: Path,
    ledger: Ledger,
    *,
    choose: Callable[[sqlite3.Connection], list[list[Segment]]] = every,
    progress: bool = True,
) -> Rebuilt:
    """Read sealed answers again, and let what they say now take the place of what they said before."""
    with ledger.transaction() as db:
        db.execute("DROP TABLE IF EXISTS temp.rebuilt")
        db.execute("CREATE TABLE temp.rebuilt (seq INTEGER PRIMARY KEY, id, state, tracks, notes, rejected, audio_id)")
        before, answers = db.execute(
            "SELECT coalesce(sum(notes), 0), coalesce(sum(answers), 0) FROM segment WHERE state = 'sealed'"
        ).fetchone()
    shown = bar(unit="answer", total=answers, progress=progress)
    origins: list[tuple[int, Reading]] = []

    def again(raw: pa.Table, deciding: dict[int, str]) -> Flattened:
        records = _records(raw, deciding)
        origins.extend(_origins(raw))
        with ledger.transaction() as db:
            db.executemany("INSERT OR REPLACE INTO temp.rebuilt VALUES (?, ?, ?, ?, ?, ?, ?)", _rows(deciding, records))
        shown.update(len(raw))
        return flatten(records)

    try:
        if rewrite(root, ledger, choose, again, at_the_switch=lambda db: _move_all(db, origins)) is None:
            raise StoreError(f"{root}: another process was rewriting parts for over {PATIENCE:.0f} s")
    finally:
        shown.close()
    with ledger.transaction() as db:
        (read_again,) = db.execute("SELECT count(*) FROM temp.rebuilt").fetchone()
        db.execute("DROP TABLE temp.rebuilt")
        (notes,) = db.execute("SELECT coalesce(sum(notes), 0) FROM segment WHERE state = 'sealed'").fetchone()
        taken = _try_again(db)
    return Rebuilt(read_again, before, notes, taken)


def _rows(deciding: dict[int, str], records: list[Record]) -> list[tuple[object, ...]]:
    rows: list[tuple[object, ...]] = []
    for (seq, task), record in zip(sorted(deciding.items()), records, strict=True):
        if record.state == "unreadable":
            rows.append((seq, task, "failed", 0, 0, 0, None))
        else:
            said = reading(record)
            rows.append((seq, task, said.state, said.tracks, said.notes, said.rejected, said.audio_id))
    return rows


def _origins(raw: pa.Table) -> list[tuple[int, Reading]]:
    """The separations and songs among a part's answers, read again, each with its place."""
    chosen = [at for at, source in enumerate(raw.column("source").to_pylist()) if kind_of(source) != "midi"]
    return [
        (row["seq"], read(row["body"], task=row["task"], source=row["source"], kind=kind_of(row["source"])))
        for row in _rows_at(raw, chosen)
    ]


def _rows_at(raw: pa.Table, positions: list[int]) -> list[dict[str, Any]]:
    return list(raw.select(["seq", "task", "source", "body"]).take(pa.array(positions, pa.int64())).to_pylist())


def _move_all(db: sqlite3.Connection, origins: list[tuple[int, Reading]]) -> None:
    """Write into the tasks' rows what was read again; a task that another answer decides by now stays as it is."""
    db.execute(
        "UPDATE task SET state = r.state, tracks = r.tracks, notes = r.notes, rejected = r.rejected,"
        " audio_id = coalesce(r.audio_id, task.audio_id)"
        " FROM temp.rebuilt r WHERE task.id = r.id AND task.seq = r.seq"
    )
    for seq, said in origins:
        if db.execute("SELECT 1 FROM task WHERE id = ? AND seq = ?", (said.task, seq)).fetchone():
            tasks.write_origins(db, said)


def _try_again(db: sqlite3.Connection) -> int:
    """Take those bodies that are aside and can be read now; gives how many."""
    taken = 0
    sql = "SELECT a.seq, a.task, t.kind, a.size, a.body FROM aside a JOIN task t ON t.id = a.task ORDER BY a.seq"
    for seq, task, kind, size, packed in db.execute(sql).fetchall():
        body = unzip(packed, size)
        try:
            said = read(body, task=task, source=CALLBACK, kind=kind, hint=True)
            if said.task == task and said.state != "pending":
                tasks.accept(db, said, body)
                db.execute("DELETE FROM aside WHERE seq = ?", (seq,))
                taken += 1
        except RecordError:
            continue
    return taken
