"""Parts that take the place of others while both are read: generations of a store's Parquet folder.

A generation is a folder with all parts of one moment, ``parts/000007/{raw,notes,rejects}``; ``parts/current`` points to
the one that is read, and ``notes``, ``raw`` and ``rejects`` beside it lead there. To merge small parts, to drop notes
that a later answer took the place of, or to make all notes anew, the next generation is built aside, with hard links to
the parts that stay. One transaction and one renamed link later it is read; the old one is removed after a grace time,
so that nobody who reads it is disturbed.
"""

from __future__ import annotations

import filecmp
import hashlib
import json
import shutil
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from kie_notes.errors import StoreError
from kie_notes.notes import NOTES_SCHEMA, REJECTS_SCHEMA, Flattened
from kie_notes.store.ledger import in_rows, locked, now_ms
from kie_notes.store.parts import RAW_SCHEMA, sync_folder, write_part
from kie_notes.store.salvage import keep
from kie_notes.store.seal import KINDS, SEGMENT_ANSWERS, SEGMENT_BYTES, Built, Segment, mark, part_path, write_segment
from kie_notes.store.tasks import DECIDES
from kie_notes.store.verify import UNREADABLE

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable
    from pathlib import Path

    from kie_notes.store.ledger import Ledger

#: How long an old generation stays for those who read it.
GRACE_MS = 3600 * 1000

#: Seconds to wait for another process's seal, or for its rewriting of parts.
PATIENCE = 600.0

#: Small parts that lie side by side before they are merged unasked.
CROWD = 64


class Rewriting(NamedTuple):
    """Segments that shall become one, and what was built of them."""

    old: list[Segment]
    new: Segment
    built: Built
    taken: set[str]  # tasks of which the new parts hold notes
    left: Flattened | None  # notes whose answers were lost


def folder_of(root: Path, db: sqlite3.Connection) -> Path:
    """The generation that is read."""
    (generation,) = db.execute("SELECT id FROM generation WHERE retired IS NULL").fetchone()
    return _folder(root, generation)


def _folder(root: Path, generation: int) -> Path:
    return root / "parts" / f"{generation:06d}"


def prepare(root: Path, ledger: Ledger) -> None:
    """See to the folders and links of a store, and mend what a crash left between a transaction and its link."""
    with ledger.transaction("DEFERRED") as db:
        home = folder_of(root, db)
    links = {root / kind: f"parts/current/{kind}" for kind in KINDS} | {root / "parts" / "current": home.name}
    empty = [part_path(home, kind, 0) for kind in KINDS]
    if all(link.is_symlink() and str(link.readlink()) == leads for link, leads in links.items()) and all(
        part.exists() for part in empty
    ):
        return
    with locked(root / "seal.lock", patience=PATIENCE):
        (root / "tmp").mkdir(exist_ok=True)
        for kind, part in zip(KINDS, empty, strict=True):
            part.parent.parent.mkdir(parents=True, exist_ok=True)
            if (root / kind).is_dir() and not (root / kind).is_symlink() and not part.parent.exists():
                (root / kind).rename(part.parent)  # as the first version had it
            part.parent.mkdir(exist_ok=True)
            if not part.exists():  # so that a reader of the folder finds the columns where there are no rows
                table = {"raw": RAW_SCHEMA.empty_table(), "notes": NOTES_SCHEMA, "rejects": REJECTS_SCHEMA}[kind]
                write_part(table if isinstance(table, pa.Table) else table.to_frame(), part, root / "tmp")
        for link, leads in links.items():
            if link.exists() and not link.is_symlink():
                _drop_copy(root, link, link.parent / leads if link.name == "current" else home / link.name)
            _point(link, leads)


def _drop_copy(root: Path, copy: Path, original: Path) -> None:
    """Remove what stands in a link's place: the copy of a folder, made with links followed. What differs is kept."""
    for file in [copy] if copy.is_file() else [path for path in copy.rglob("*") if path.is_file()]:
        also = original / file.relative_to(copy)
        if not (also.is_file() and filecmp.cmp(file, also, shallow=False)):
            keep(root, file)
    if copy.is_file():
        copy.unlink()
    else:
        shutil.rmtree(copy)


def _point(link: Path, leads: str) -> None:
    """Make a link lead somewhere, or elsewhere, in one step."""
    aside = link.with_name(f".{link.name}")  # one name: what a killed process left is taken away by the next
    aside.unlink(missing_ok=True)
    aside.symlink_to(leads)
    aside.replace(link)
    sync_folder(link.parent)


def rewrite(
    root: Path,
    ledger: Ledger,
    choose: Callable[[sqlite3.Connection], list[list[Segment]]],
    flattening: Callable[[pa.Table, dict[int, str]], Flattened],
    *,
    at_the_switch: Callable[[sqlite3.Connection], None] | None = None,
    patience: float = PATIENCE,
) -> int | None:
    """Build groups of neighbouring segments anew, each as one segment, and read these from then on.

    Parameters
    ----------
    root, ledger
        The store.
    choose
        Picks the groups among the sealed segments.
    flattening
        Makes the tables of a group from its raw answers and the deciding ones among them (seq -> task).
    at_the_switch
        What else is to happen in the transaction that switches.
    patience
        Seconds to wait while another process is rewriting.

    Returns
    -------
    How many groups were rewritten; None when another process kept at it.
    """
    with locked(root / "work.lock", patience=patience) as got:
        if not got:
            return None
        clear(root, ledger)
        with ledger.transaction("DEFERRED") as db:
            groups, old = choose(db), folder_of(root, db)
            (last,) = db.execute("SELECT max(id) FROM generation").fetchone()
        if not groups:
            return 0
        new = _folder(root, last + 1)
        for kind in KINDS:
            (new / kind).mkdir(parents=True)
        with ledger.transaction() as db:
            made = [_enter(db, group) for group in groups]
        try:
            done = [
                _build(ledger, group, segment, (old, new), root / "tmp", flattening)
                for group, segment in zip(groups, made, strict=True)
            ]
            with locked(root / "seal.lock", patience=PATIENCE) as alone:
                _switch(ledger, done, (old, new), at_the_switch, alone=alone)
                _point(root / "parts" / "current", new.name)
        except BaseException:
            clear(root, ledger)
            raise
    return len(groups)


def _enter(db: sqlite3.Connection, group: list[Segment]) -> Segment:
    first, last = group[0].first, group[-1].last
    made = db.execute("INSERT INTO segment (first, last, state) VALUES (?, ?, 'building')", (first, last))
    return Segment(int(made.lastrowid or 0), first, last)


def _build(
    ledger: Ledger,
    group: list[Segment],
    segment: Segment,
    folders: tuple[Path, Path],
    tmp: Path,
    flattening: Callable[[pa.Table, dict[int, str]], Flattened],
) -> Rewriting:
    """Build one group's parts in the new generation."""
    old, new = folders
    raw = pa.concat_tables([read_raw(part_path(old, "raw", one.id)) for one in group])
    with ledger.transaction("DEFERRED") as db:
        deciding = {}
        for task in dict.fromkeys(raw.column("task").to_pylist()):
            if (seq := _decided(db, task, segment)) is not None:
                deciding[seq] = task
        outdated = {task for (task,) in db.execute("SELECT task FROM stale WHERE segment = ?", (group[0].id,))}
    flat = flattening(raw, deciding)
    taken, left = set(deciding.values()), None
    if not len(raw):  # the answers were lost: their notes are all that is left
        flat = left = _left_over(ledger, tmp.parent, old, group[0], outdated)
        taken = set(flat.notes["task"].cast(str).to_list()) | set(flat.rejects["task"].to_list())
    return Rewriting(group, segment, write_segment(raw, flat, segment.id, new, tmp), taken, left)


def _left_over(ledger: Ledger, root: Path, folder: Path, segment: Segment, outdated: set[str]) -> Flattened:
    with ledger.transaction("DEFERRED") as db:
        sums = json.loads(db.execute("SELECT checksums FROM segment WHERE id = ?", (segment.id,)).fetchone()[0])
    notes, rejects = (
        _as_written(root, part_path(folder, kind, segment.id), schema, sums)
        for kind, schema in (("notes", NOTES_SCHEMA), ("rejects", REJECTS_SCHEMA))
    )
    stays = ~pl.col("task").cast(pl.String).is_in(list(outdated))
    return Flattened(notes.filter(stays), pl.DataFrame(), rejects.filter(stays))


def _as_written(root: Path, part: Path, schema: pl.Schema, sums: dict[str, str]) -> pl.DataFrame:
    """Read a part of which no answers are left; one that is not as it was written is put away, and has no rows."""
    if not part.exists():
        return schema.to_frame()
    try:
        with part.open("rb") as file:
            got = hashlib.file_digest(file, "sha256").hexdigest()
        if sums.get(f"{part.parent.name}/{part.name}", got) == got:  # none is known of a part of the first version
            with pq.ParquetFile(part, page_checksum_verification=True) as whole:
                rows = pl.DataFrame(pl.from_arrow(whole.read()))
            if rows.schema == schema:
                return rows
    except UNREADABLE:
        pass
    keep(root, part)
    return schema.to_frame()


def _recount(db: sqlite3.Connection, segment: Segment, left: Flattened) -> None:
    """Let tasks whose answers are lost have the counts of what is left, and say so where that is less than before."""
    notes = dict(left.notes.group_by(pl.col("task").cast(pl.String)).len().iter_rows())
    counted = left.rejects.filter(pl.col("index").is_not_null(), pl.col("task").is_not_null())
    refused = dict(counted.group_by("task").len().iter_rows())
    rows = db.execute(
        "SELECT id, notes, rejected FROM task WHERE seq BETWEEN ? AND ? AND sha256 IS NULL",
        (segment.first, segment.last),
    ).fetchall()
    for task, *known in rows:
        counts = [notes.get(task, 0), refused.get(task, 0)]
        if counts != known:
            db.execute(
                "UPDATE task SET notes = ?1, rejected = ?2, hint = 0, next_look = 0, lease_until = 0,"
                " state = CASE WHEN deadline > ?3 THEN 'pending'"
                " WHEN state = 'complete' AND ?1 + ?2 = 0 THEN 'expired' ELSE state END,"
                " last_error = 'the raw answer is lost, and the part with its notes was damaged' WHERE id = ?4",
                (*counts, now_ms(), task),
            )


def read_raw(part: Path) -> pa.Table:
    """Read the answers of a part, with the checksums of its pages verified."""
    try:
        with pq.ParquetFile(part, page_checksum_verification=True) as file:
            return file.read().cast(RAW_SCHEMA)
    except (OSError, pa.ArrowException) as fault:
        raise StoreError(f"{part}: cannot be read: {fault} ('kie-notes check' tells what can be done)") from fault


def _switch(
    ledger: Ledger,
    done: list[Rewriting],
    folders: tuple[Path, Path],
    at_the_switch: Callable[[sqlite3.Connection], None] | None,
    *,
    alone: bool,
) -> None:
    """Link what stays, and let the new generation be read from one transaction on."""
    old, new = folders
    if not alone:
        raise StoreError(f"{new}: another process was sealing for over {PATIENCE:.0f} s")
    replaced = {segment.id for one in done for segment in one.old}
    with ledger.transaction("DEFERRED") as db:
        stays = [row[0] for row in db.execute("SELECT id FROM segment WHERE state = 'sealed'")]
    for kind in KINDS:
        for segment in [0, *stays]:
            part = part_path(old, kind, segment)
            if segment not in replaced and part.exists():
                _share(part, part_path(new, kind, segment))
        sync_folder(new / kind)
    sync_folder(new)
    sync_folder(new.parent)
    with ledger.transaction() as db:
        for one in done:
            mark(db, one.new, one.built)
            if one.left is not None:
                _recount(db, one.new, one.left)
            for segment in one.old:  # outdated meanwhile
                rows = db.execute("DELETE FROM stale WHERE segment = ? RETURNING task", (segment.id,)).fetchall()
                still = [
                    (one.new.id, task) for (task,) in rows if task in one.taken and _decided(db, task, one.new) is None
                ]
                db.executemany("INSERT OR IGNORE INTO stale (segment, task) VALUES (?, ?)", still)
        db.executemany("DELETE FROM segment WHERE id = ?", in_rows(replaced))
        if at_the_switch is not None:
            at_the_switch(db)
        db.execute("UPDATE generation SET retired = ? WHERE retired IS NULL", (now_ms(),))
        db.execute("INSERT INTO generation (id) VALUES (?)", (int(new.name),))


def _share(part: Path, also: Path) -> None:
    try:
        also.hardlink_to(part)
    except OSError:  # a file system without hard links
        shutil.copy2(part, also)


def _decided(db: sqlite3.Connection, task: str, segment: Segment) -> int | None:
    """The answer of a segment that decides a task now, if one does."""
    sql = f"SELECT t.seq FROM task t WHERE t.id = ? AND t.seq BETWEEN ? AND ? AND {DECIDES}"  # noqa: S608 -- ours
    row = db.execute(sql, (task, segment.first, segment.last)).fetchone()
    return row and int(row[0])


def clear(root: Path, ledger: Ledger) -> None:
    """Remove what a rewriting left that did not come to its end, and generations that nobody can be reading."""
    with ledger.transaction() as db:
        db.execute("DELETE FROM segment WHERE state = 'building'")
        old = db.execute("SELECT id FROM generation WHERE retired < ?", (now_ms() - GRACE_MS,)).fetchall()
        db.executemany("DELETE FROM generation WHERE id = ?", old)
        known = {_folder(root, generation) for (generation,) in db.execute("SELECT id FROM generation")}
    for folder in (root / "parts").iterdir():
        if folder.name.isdecimal() and folder not in known:
            with suppress(FileNotFoundError):
                shutil.rmtree(folder)
    for file in (root / "tmp").glob("*-*-part-*.parquet"):
        if root / "parts" / file.name.partition("-")[0] not in known:
            file.unlink(missing_ok=True)


def outdated(db: sqlite3.Connection) -> list[list[Segment]]:
    """Segments that hold notes which another answer took the place of."""
    rows = db.execute(
        "SELECT id, first, last FROM segment WHERE state = 'sealed' AND id IN (SELECT segment FROM stale)"
        " ORDER BY first"
    )
    return [[Segment(*row)] for row in rows]


def every(db: sqlite3.Connection) -> list[list[Segment]]:
    """All sealed segments, each by itself."""
    rows = db.execute("SELECT id, first, last FROM segment WHERE state = 'sealed' ORDER BY first")
    return [[Segment(*row)] for row in rows]


def small(db: sqlite3.Connection) -> list[list[Segment]]:
    """Neighbouring segments that together are no more than one segment may be.

    Numbers that lie between two of them may be those of a draft that is being written.
    """
    rows = db.execute(
        "SELECT id, first, last, answers, bytes FROM segment WHERE state = 'sealed' ORDER BY first"
    ).fetchall()
    groups: list[list[Segment]] = [[]]
    count = size = 0
    for *place, answers, weight in rows:
        weighs = SEGMENT_BYTES if weight is None else weight  # unknown: of the first version
        too_many = count + answers > SEGMENT_ANSWERS or size + weighs > SEGMENT_BYTES
        if groups[-1] and (too_many or not answers or place[1] != groups[-1][-1].last + 1):
            groups.append([])
            count = size = 0
        groups[-1].append(Segment(*place))
        count, size = count + answers, size + weighs
        if not answers:  # nothing but notes whose answers were lost
            groups.append([])
            count = size = 0
    return [group for group in groups if len(group) > 1]
