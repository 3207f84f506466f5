"""A store put right as far as that loses nothing. What is damaged is kept in ``damaged/``, whatever was read of it."""

from __future__ import annotations

import shutil
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl
import pyarrow.parquet as pq

from kie_notes.errors import RecordError, StoreError
from kie_notes.store import generations, tasks, upkeep
from kie_notes.store.check import FAULTS_SCHEMA, faults, table
from kie_notes.store.folder import Store
from kie_notes.store.ledger import Answer, Ledger, in_rows, now_ms, zipped
from kie_notes.store.litter import abandoned, strays
from kie_notes.store.parts import RAW_SCHEMA, write_part
from kie_notes.store.renew import again, alone, renew
from kie_notes.store.salvage import answers_of, keep
from kie_notes.store.seal import Segment, part_path
from kie_notes.store.verify import UNREADABLE, Fault, Row, rejected, runs

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable

#: One row per fault that was found, before or after: ``done`` tells whether it is gone, ``outcome`` what was done.
REPAIRS_SCHEMA = pl.Schema(dict(FAULTS_SCHEMA) | {"done": pl.Boolean(), "outcome": pl.String()})

_LEDGER = ("ledger-missing", "ledger-damaged", "ledger-differs")
_FILES = ("part-missing", "part-damaged")


def repair(folder: str | Path, *, progress: bool = True) -> pl.DataFrame:
    """Put right what is wrong with a store, and give what was found and what became of it.

    Nothing is lost by it: what cannot be read is moved to ``damaged/`` in the store. It may be stopped at any moment
    and begun again. Other processes may go on with the store, unless its ledger must be made anew: what they have open
    then is no longer the store's, and they say so.

    Parameters
    ----------
    folder
        The store's folder.
    progress
        Show bars on stderr, if that is a terminal.

    Returns
    -------
    One row per fault, the columns of ``check`` and:

    - ``done`` (Boolean): whether ``check`` does not find it any more
    - ``outcome`` (String): what was done

    Raises
    ------
    StoreError
        If there is no store in the folder, or it cannot be written.

    Examples
    --------
    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> with Store(folder) as store:
    ...     record = store.put({"state": "complete", "instruments": []}, task="t1")
    ...     sealed = store.seal()
    >>> (folder / "ledger.sqlite").unlink()
    >>> repair(folder).select("fault", "done", "outcome").row(0)[:2]
    ('ledger-missing', True)
    >>> repair(folder).height
    0
    """
    root = Path(folder).absolute()
    before = found = faults(root, progress=progress)
    if not before:
        return pl.DataFrame(schema=REPAIRS_SCHEMA)
    said: dict[str, str] = {}
    try:
        if any(one.fault in _LEDGER for one in found):
            said["ledger"] = _renewed(root, progress=progress)
            found = faults(root, progress=progress)
        ledger = Ledger(root / "ledger.sqlite")
        try:
            _mend(root, ledger, found, said, progress=progress)
        finally:
            ledger.close()
    except OSError as fault:
        raise StoreError(f"{root}: could not be repaired: {fault}") from fault
    return _report(before, faults(root, progress=progress), said)


def _renewed(root: Path, *, progress: bool) -> str:
    done = renew(root, progress=progress)
    if done is None:
        return "a new ledger, which an earlier repair had built"
    told = f"a new ledger: {done.read} tasks from what could be read of the old one, {done.replayed} answers read again"
    return f"{told}; labels, pending ids and answers that stood nowhere else are lost"


def _mend(root: Path, ledger: Ledger, found: list[Fault], said: dict[str, str], *, progress: bool) -> None:
    """Mend everything but the ledger, each step on what the one before left."""
    if not ledger.writable:
        raise StoreError(f"{root}: cannot be repaired where it cannot be written")
    generations.prepare(root, ledger)
    if any(one.fault == "stray" for one in found):
        said["stray"] = _adopt(root, ledger)
    unread = {one.segment for one in found if one.fault in _FILES and one.where.startswith("raw/")}
    if unread:
        said["raw"] = _take_out(root, ledger, sorted(id_ for id_ in unread if id_))
    damaged = [one.where.split() for one in found if one.fault == "answer-damaged"]
    if damaged:
        said["answer"] = _give_up_bodies(root, ledger, [(table_, int(seq)) for table_, seq in damaged])
    with Store(root) as store:
        store.seal()
    still = [one for one in faults(root, progress=progress) if one.segment and one.fault not in _LEDGER]
    if still:
        _make_anew(root, ledger, still, progress=progress)
    with alone(root):
        generations.clear(root, ledger)
        for path in filter(abandoned, (root / "tmp").iterdir()):
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def _make_anew(root: Path, ledger: Ledger, found: list[Fault], *, progress: bool) -> None:
    """Write the notes and rejects of segments with faults again from their answers."""
    with ledger.transaction("DEFERRED") as db:
        home = generations.folder_of(root, db)
    for part in {home / one.where for one in found if one.fault == "part-damaged" and not one.where.startswith("raw/")}:
        keep(root, part)
    upkeep.rebuild(
        root,
        ledger,
        choose=lambda db: [group for group in generations.every(db) if group[0].id in {one.segment for one in found}],
        progress=progress,
    )


def _take_out(root: Path, ledger: Ledger, ids: list[int]) -> str:
    """Store the answers again that can be read of damaged raw parts, and call the others lost; their notes stay.

    The answers go through the inbox into new parts. The damaged part is replaced by one without rows when that is
    written in the ledger.
    """
    with alone(root):
        with ledger.transaction() as db:
            home = generations.folder_of(root, db)
            sql = "SELECT id, first, last FROM segment WHERE id = ? AND answers > 0"
            segments = [Segment(*row) for id_ in ids for row in db.execute(sql, (id_,))]
            for part in (part_path(home, "raw", one.id) for one in segments):
                if part.exists():
                    keep(root, part)
            saved = sum(_store_again(db, home, segment) for segment in segments)
            lost = sum(_call_lost(db, root, home, segment) for segment in segments)
            db.executemany(
                "UPDATE segment SET answers = 0, bytes = 0 WHERE id = ?", in_rows(one.id for one in segments)
            )
        for id_ in ids:
            write_part(RAW_SCHEMA.empty_table(), part_path(home, "raw", id_), root / "tmp")
    return f"{saved} answers were taken out and stored again, {lost} are lost"


def _rows(db: sqlite3.Connection, segment: Segment) -> list[Row]:
    columns = "seq, id, kind, state, sha256, notes, rejected, deadline"
    sql = f"SELECT {columns} FROM task WHERE seq BETWEEN ? AND ? ORDER BY seq"  # noqa: S608 -- words of this function
    return [Row(*row) for row in db.execute(sql, (segment.first, segment.last))]


def _store_again(db: sqlite3.Connection, home: Path, segment: Segment) -> int:
    count = 0
    for answer in answers_of(part_path(home, "raw", segment.id), _rows(db, segment)):
        row = db.execute("SELECT seq, sha256 FROM task WHERE id = ?", (answer.task,)).fetchone()
        if row is not None and row[0] is not None:
            seq = _put_in(db, answer)
            if row[1] == answer.sha256:
                db.execute("UPDATE task SET seq = ? WHERE id = ?", (seq, answer.task))
                tasks.outdate(db, answer.task, row[0])
        elif _taken(db, answer):
            db.execute("INSERT OR IGNORE INTO stale (segment, task) VALUES (?, ?)", (segment.id, answer.task))
        count += 1
    return count


def _put_in(db: sqlite3.Connection, answer: Answer) -> int | None:
    return db.execute(
        "INSERT INTO inbox (task, source, received, sha256, size, body) VALUES (?, ?, ?, ?, ?, ?)",
        (answer.task, answer.source, answer.received, answer.sha256, len(answer.body), zipped(answer.body)),
    ).lastrowid


def _taken(db: sqlite3.Connection, answer: Answer) -> bool:
    """Accept an answer of a task, unless what is known says more: it may be older than that."""
    try:
        said = again(answer)
        row = db.execute("SELECT state FROM task WHERE id = ?", (answer.task,)).fetchone()
        if row is not None and tasks.STATES.index(said.state) < tasks.STATES.index(row[0]):
            return False
        tasks.add(db, [answer.task], kind=said.kind, created=answer.received or None)
        return tasks.accept(db, said, answer.body, received=answer.received)
    except RecordError:
        tasks.add(db, [answer.task])
        _put_in(db, answer)
        return False


def _call_lost(db: sqlite3.Connection, root: Path, home: Path, segment: Segment) -> int:
    """Mark the tasks whose answer is lost; what notes there are of them stay, and are their count."""
    held = _counted(root, part_path(home, "notes", segment.id), lambda part: runs(part).tasks)
    refused = _counted(root, part_path(home, "rejects", segment.id), rejected)
    moved = {task for (task,) in db.execute("SELECT task FROM stale WHERE segment = ?", (segment.id,))}
    used = {row.seq for row in _rows(db, segment)}
    free = (seq for seq in range(segment.first, segment.last + 1) if seq not in used)
    for task in held.keys() - moved:
        row = db.execute("SELECT seq, state FROM task WHERE id = ?", (task,)).fetchone()
        known = row is not None and row[0] is not None
        if not known or (row[0] not in used and row[1] != "complete"):  # its notes say more than all that is known
            tasks.add(db, [task])
            db.execute(
                "UPDATE task SET state = 'complete', hint = 0, seq = ?, sha256 = '', error_code = NULL,"
                " error_message = NULL WHERE id = ?",
                (next(free), task),
            )
        elif row[0] not in used:
            db.execute("INSERT OR IGNORE INTO stale (segment, task) VALUES (?, ?)", (segment.id, task))
    rows = [row for row in _rows(db, segment) if row.sha256 is not None]
    for row in rows:
        _mark_lost(db, row, held.get(row.task, 0), refused.get(row.task, 0))
    return len(rows)


def _mark_lost(db: sqlite3.Connection, row: Row, notes: int, refused: int) -> None:
    state = row.state
    if row.deadline > now_ms():
        state = "pending"
    elif row.kind == "midi" and row.state == "complete" and not notes + refused:
        state = "expired"
    db.execute(
        "UPDATE task SET sha256 = NULL, state = ?, notes = ?, rejected = ?, hint = 0, next_look = 0, lease_until = 0,"
        " last_error = 'the raw answer is lost: its part was damaged' WHERE id = ?",
        (state, notes, refused, row.task),
    )


def _counted(root: Path, part: Path, count: Callable[[Path], dict[str, int]]) -> dict[str, int]:
    """What a part holds of each task; one that cannot be read is put away."""
    if not part.exists():
        return {}
    with suppress(*UNREADABLE):
        return count(part)
    keep(root, part)
    part.unlink()
    return {}


def _give_up_bodies(root: Path, ledger: Ledger, damaged: list[tuple[str, int]]) -> str:
    """Take bodies out of the ledger that cannot be read, and let their tasks be asked for again."""
    (root / "damaged").mkdir(exist_ok=True)
    with ledger.transaction() as db:
        for where, seq in damaged:
            task, packed = db.execute(f"SELECT task, body FROM {where} WHERE seq = ?", (seq,)).fetchone()  # noqa: S608
            (root / "damaged" / f"{where}-{seq}.zst").write_bytes(packed)
            db.execute(f"DELETE FROM {where} WHERE seq = ?", (seq,))  # noqa: S608 -- one of two words
            db.execute("UPDATE task SET next_look = 0 WHERE id = ?", (task,))
            db.execute(
                "UPDATE task SET state = CASE WHEN deadline > ? THEN 'pending' WHEN state = 'complete' THEN 'expired'"
                " ELSE state END, hint = 0, seq = NULL, sha256 = NULL, notes = 0, rejected = 0,"
                " last_error = 'the raw answer is lost: its page of the ledger was damaged' WHERE id = ? AND seq = ?",
                (now_ms(), task, seq if where == "inbox" else None),
            )
    return "kept in damaged/; its task is asked for again while the service has it"


def _adopt(root: Path, ledger: Ledger) -> str:
    """Take in the answers of raw parts that the ledger does not know, and put away what nobody owns."""
    count = 0
    with alone(root):
        with ledger.transaction("DEFERRED") as db:
            unowned = list(strays(root, db))
            _list_held(db, generations.folder_of(root, db))
        for path in unowned:
            raw = sorted((path / "raw").glob("*.parquet")) if path.is_dir() else [path]
            for part in (one for one in raw if one.parent.name == "raw"):
                with ledger.transaction() as db:
                    new = sum(_unheld(db, answer) and _taken(db, answer) for answer in answers_of(part, ()))
                if new or path.is_file():
                    keep(root, part)
                count += new
            if path.is_dir() and path.name.isdecimal():
                continue  # ``clear`` removes it
            if path.is_file():
                keep(root, path)
                path.unlink()
            else:
                (root / "damaged").mkdir(exist_ok=True)
                path.rename(root / "damaged" / f"{path.name}-{now_ms()}")
    return f"put away; {count} answers in it were not known, and are taken"


def _list_held(db: sqlite3.Connection, home: Path) -> None:
    """List the answers that are in the inbox or in a part."""
    db.execute("DROP TABLE IF EXISTS temp.held")
    db.execute("CREATE TEMP TABLE held (task, sha256, PRIMARY KEY (task, sha256)) WITHOUT ROWID")
    db.execute("INSERT OR IGNORE INTO held SELECT task, sha256 FROM inbox")
    for (id_,) in db.execute("SELECT id FROM segment WHERE state = 'sealed' AND answers > 0").fetchall():
        with suppress(*UNREADABLE):
            names = pq.read_table(part_path(home, "raw", id_), columns=["task", "sha256"]).to_pydict()
            db.executemany("INSERT OR IGNORE INTO held VALUES (?, ?)", zip(*names.values(), strict=True))


def _unheld(db: sqlite3.Connection, answer: Answer) -> bool:
    """Whether an answer is not listed as held; from then on it is."""
    listing = "INSERT OR IGNORE INTO held VALUES (?, ?)"
    return db.execute(listing, (answer.task, answer.sha256)).rowcount == 1


def _report(before: list[Fault], after: list[Fault], said: dict[str, str]) -> pl.DataFrame:
    """What was found, and whether it is found still."""
    left = {(one.fault, one.where) for one in after}
    told = [(one, (one.fault, one.where) not in left) for one in before]
    known = {(one.fault, one.where) for one in before}
    told += [(one, False) for one in after if (one.fault, one.where) not in known]
    outcomes = [_outcome(one, said, done=done) for one, done in told]
    return table([one for one, _ in told]).with_columns(
        done=pl.Series([done for _, done in told], dtype=pl.Boolean), outcome=pl.Series(outcomes, dtype=pl.String)
    )


def _outcome(fault: Fault, said: dict[str, str], *, done: bool) -> str:
    if fault.fault == "answer-lost":
        return "it was read all the same" if done else "named; its task says so, and is asked for while there is time"
    if not done:
        return "it is still there"
    if fault.fault in _LEDGER:
        return said.get("ledger", "a new ledger")
    if fault.fault == "answer-damaged":
        return said.get("answer", "put right")
    if fault.fault in _FILES and fault.where.startswith("raw/"):
        return said.get("raw", "put right with the ledger")
    if fault.fault == "stray":
        return said.get("stray", "put right")
    return "made anew from the raw answers" if fault.segment or fault.fault in _FILES else "put right"
