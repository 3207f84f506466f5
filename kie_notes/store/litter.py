"""What lies in a store's folder and is not as it should be: links, files that nobody owns, what a crash left."""

from __future__ import annotations

import sqlite3
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

import pyarrow.parquet as pq

from kie_notes.store.generations import folder_of
from kie_notes.store.seal import KINDS, part_path
from kie_notes.store.verify import CLEAN, UNREADABLE, Fault

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

#: Seconds to wait for a seal or a rewriting to end before the folder is looked at.
_PATIENCE = 5.0


def litter(root: Path, db: sqlite3.Connection) -> list[Fault]:
    """Tell what is wrong in the folder; where another process seals or rewrites just now, only of the links."""
    locks = root / "work.lock", root / "seal.lock"
    unmade = [lock for lock in locks if not lock.exists()]
    with _idle(locks[0]) as no_rewriting, _idle(locks[1]) as no_sealing:
        home = folder_of(root, db)
        found = list(_links(root, home))
        if found and not db.execute("SELECT 1 FROM segment LIMIT 1").fetchone():
            found = [Fault("unfinished", "parts", "the making of the store was cut off", CLEAN)]
        if no_rewriting and no_sealing:
            beside = list(_left(root, db))
            beside += [
                Fault("stray", path.relative_to(root).as_posix(), "no segment and no generation owns it", CLEAN)
                for path in strays(root, db)
            ]
            begun = any(lock.exists() for lock in unmade)  # by the first who ever sealed there, just now
            found += [] if begun else beside
    return found


@contextmanager
def _idle(lock: Path, patience: float = _PATIENCE) -> Iterator[bool]:
    """Keep others from beginning to seal or to rewrite; gives whether none is at it. Needs no right to write."""
    if not lock.exists():
        yield True
        return
    with closing(sqlite3.connect(f"{lock.as_uri()}?mode=ro", uri=True, timeout=patience, isolation_level=None)) as db:
        try:
            db.execute("BEGIN")
            db.execute("SELECT count(*) FROM sqlite_schema").fetchone()
        except sqlite3.OperationalError as fault:
            if "locked" not in str(fault):
                raise
            yield False
            return
        yield True


def _links(root: Path, home: Path) -> Iterator[Fault]:
    links = {f"{kind}": f"parts/current/{kind}" for kind in KINDS} | {"parts/current": home.name}
    for name, leads in links.items():
        link = root / name
        got = str(link.readlink()) if link.is_symlink() else "a folder or file" if link.exists() else "nothing"
        if got != leads:
            yield Fault("link", name, f"expected a link to {leads}, got {got}", CLEAN)
    for kind in KINDS:
        if not part_path(home, kind, 0).exists():
            yield Fault("link", f"{kind}/part-000000.parquet", "expected the part without rows, got no file", CLEAN)


def _left(root: Path, db: sqlite3.Connection) -> Iterator[Fault]:
    """What a crash left: harmless, and done or removed by the next one who works there."""
    for id_, state in db.execute("SELECT id, state FROM segment WHERE state <> 'sealed' ORDER BY id"):
        mends = "kie-notes seal" if state == "planned" else CLEAN
        yield Fault("unfinished", f"segment {id_}", f"it is {state}, and nobody is at it", mends)
    if (root / "tmp").is_dir():
        for path in sorted(one for one in (root / "tmp").iterdir() if abandoned(one)):
            yield Fault("rubbish", f"tmp/{path.name}", "nobody is writing it", CLEAN)


def abandoned(path: Path) -> bool:
    """Tell whether nobody is at work in a folder under ``tmp/``; a file there is nobody's."""
    with _idle(path / "lock", patience=0) as nobody:
        return nobody


def strays(root: Path, db: sqlite3.Connection) -> Iterator[Path]:
    """Files of the generation that is read which no segment owns, and generations that the ledger does not know."""
    home = folder_of(root, db)
    owned = {part_path(home, kind, 0) for kind in KINDS}
    for id_, state, *counts in db.execute("SELECT id, state, answers, notes, rejects FROM segment"):
        held = dict(zip(KINDS, counts, strict=True))
        owned |= {part_path(home, kind, id_) for kind in KINDS if kind == "raw" or state != "sealed" or held[kind]}
    for kind in KINDS:
        if (home / kind).is_dir():
            yield from sorted(set((home / kind).iterdir()) - owned)
            if part_path(home, kind, 0).exists() and not _without_rows(part_path(home, kind, 0)):
                yield part_path(home, kind, 0)
    known = {f"{generation:06d}" for (generation,) in db.execute("SELECT id FROM generation")}
    if (root / "parts").is_dir():
        yield from sorted(path for path in (root / "parts").iterdir() if path.name not in {*known, "current"})


def _without_rows(part: Path) -> bool:
    try:
        with pq.ParquetFile(part) as file:
            return bool(file.metadata.num_rows == 0)
    except UNREADABLE:
        return False
