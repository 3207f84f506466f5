"""The tables that a store gives: sealed parts and what waits in the ledger, of one moment, as Polars frames."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import polars as pl

from kie_notes.cards import card
from kie_notes.errors import StoreError
from kie_notes.notes import NOTES_SCHEMA, REJECTS_SCHEMA, TASKS_SCHEMA, Flattened
from kie_notes.store.generations import folder_of
from kie_notes.store.ledger import unzip
from kie_notes.store.seal import flattened, part_path
from kie_notes.store.tasks import DECIDES, OPEN

if TYPE_CHECKING:
    import sqlite3

    from kie_notes.store.ledger import Ledger

_TIME = pl.Datetime("ms", "UTC")

OPEN_SCHEMA = pl.Schema(
    {
        "task": pl.String(),
        "kind": pl.String(),
        "submitted_at": _TIME,
        "expires_at": _TIME,
        "next_look": _TIME,
        "attempts": pl.UInt32(),
        "last_error": pl.String(),
        "label": pl.String(),
    }
)

SONGS_SCHEMA = pl.Schema(
    {
        "song": pl.String(),
        "music_task": pl.String(),
        "position": pl.UInt16(),
        "title": pl.String(),
        "tags": pl.String(),
        "prompt": pl.String(),
        "model": pl.String(),
        "duration": pl.Float64(),
        "url": pl.String(),
        "created_at": _TIME,
    }
)

STEMS_SCHEMA = pl.Schema(
    {
        "stem": pl.String(),
        "separation_task": pl.String(),
        "position": pl.UInt16(),
        "name": pl.String(),
        "part": pl.String(),
        "duration": pl.Float64(),
        "url": pl.String(),
        "song": pl.String(),
        "song_index": pl.UInt16(),
        "music_task": pl.String(),
    }
)

FAILURES_SCHEMA = pl.Schema(
    {
        "task": pl.String(),
        "kind": pl.String(),
        "state": pl.String(),
        "error_code": pl.String(),
        "reason": pl.String(),
        "label": pl.String(),
        "fetched_at": _TIME,
    }
)

SUBMISSIONS_SCHEMA = pl.Schema(
    {
        "submission": pl.UInt32(),
        "kind": pl.String(),
        "source_task": pl.String(),
        "audio_id": pl.String(),
        "options": pl.String(),
        "label": pl.String(),
        "state": pl.String(),
        "planned_at": _TIME,
        "sent_at": _TIME,
        "task": pl.String(),
        "reason": pl.String(),
        "open": pl.Boolean(),
    }
)

ASIDE_SCHEMA = pl.Schema(
    {"task": pl.String(), "received_at": _TIME, "source": pl.String(), "reason": pl.String(), "body": pl.Binary()}
)

#: Rows of the ledger that become columns at a time.
_BATCH = 50_000


class Size(NamedTuple):
    """How much a store holds: answers in its parts, answers that wait in its ledger, bytes on disk."""

    sealed: int
    waiting: int
    bytes: int


class Snapshot(NamedTuple):
    """What there is of notes or rejects at one moment: parts, tasks in them that do not count, and the tail."""

    parts: list[Path]
    outdated: dict[Path, list[str]]
    tail: Flattened


def snapshot(root: Path, ledger: Ledger, kind: str) -> Snapshot:
    """Look at the sealed parts of a kind and at the answers that wait behind them, in one transaction."""
    with ledger.transaction("DEFERRED") as db:
        home = folder_of(root, db)
        rows = db.execute(
            f"SELECT id FROM segment WHERE state = 'sealed' AND {kind} > 0 ORDER BY first"  # noqa: S608 -- one of two words
        ).fetchall()
        parts = {row[0]: part_path(home, kind, row[0]) for row in rows}
        outdated: dict[Path, list[str]] = {}
        for segment, task in db.execute("SELECT segment, task FROM stale ORDER BY segment"):
            if segment in parts:
                outdated.setdefault(parts[segment], []).append(task)
        deciding = {
            seq
            for (seq,) in db.execute(
                f"SELECT i.seq FROM inbox i JOIN task t ON t.id = i.task AND t.seq = i.seq AND {DECIDES}"  # noqa: S608
            )
        }
        first, last = db.execute("SELECT min(seq), max(seq) FROM inbox").fetchone()
        answers = list(ledger.answers(first, last)) if deciding else []
    return Snapshot(list(parts.values()), outdated, flattened(answers, deciding))


def notes(root: Path, ledger: Ledger) -> pl.LazyFrame:
    """Scan the notes of all complete tasks."""
    seen = snapshot(root, ledger, "notes")
    return _scan(seen, seen.tail.notes.lazy(), NOTES_SCHEMA)


def rejects(root: Path, ledger: Ledger) -> pl.LazyFrame:
    """Scan the notes that could not be taken, and the bodies that were kept aside."""
    seen = snapshot(root, ledger, "rejects")
    with ledger.transaction("DEFERRED") as db:
        rows = db.execute("SELECT task, reason FROM aside ORDER BY seq").fetchall()
    bodies = pl.DataFrame(
        [(task, None, None, "document", None, reason) for task, reason in rows], schema=REJECTS_SCHEMA, orient="row"
    )
    return pl.concat([_scan(seen, seen.tail.rejects.lazy(), REJECTS_SCHEMA), bodies.lazy()])


def _scan(seen: Snapshot, tail: pl.LazyFrame, schema: pl.Schema) -> pl.LazyFrame:
    plain = [part for part in seen.parts if part not in seen.outdated]
    frames = [pl.scan_parquet(plain, schema=schema, glob=False)] if plain else []
    frames += [
        pl.scan_parquet(part, schema=schema, glob=False).filter(~pl.col("task").cast(pl.String).is_in(tasks))
        for part, tasks in seen.outdated.items()
    ]
    return pl.concat([*frames, tail]) if frames else tail


def tasks(ledger: Ledger) -> pl.DataFrame:
    """Give the MIDI tasks, in the order in which the store came to know them."""
    columns = ", ".join(["id", *list(TASKS_SCHEMA)[1:]])
    return _table(ledger, f"SELECT {columns} FROM task WHERE kind = 'midi' ORDER BY rowid", TASKS_SCHEMA)  # noqa: S608


def open_tasks(ledger: Ledger) -> pl.DataFrame:
    """Give the tasks that are to be looked at."""
    sql = (
        "SELECT id, kind, created, deadline, next_look, attempts, last_error, label FROM task"  # noqa: S608
        f" WHERE {OPEN} ORDER BY deadline, next_look, rowid"
    )
    return _table(ledger, sql, OPEN_SCHEMA)


def songs(ledger: Ledger) -> pl.DataFrame:
    """Give the songs of all music tasks."""
    sql = "SELECT id, task, position, title, tags, prompt, model, duration, url, created_at FROM song"
    return _table(ledger, sql + " ORDER BY task, position", SONGS_SCHEMA)


def stems(ledger: Ledger) -> pl.DataFrame:
    """Give the stems of all separations."""
    sql = (
        "SELECT s.id, s.task, s.position, s.name, s.part, s.duration, s.url, s.song, s.song_index, t.parent"
        " FROM stem s JOIN task t ON t.id = s.task ORDER BY s.task, s.position"
    )
    return _table(ledger, sql, STEMS_SCHEMA)


def states(ledger: Ledger, among: str) -> pl.DataFrame:
    """Give state, counts and reason of some tasks of any kind."""
    schema = {"task": pl.String(), "state": pl.String(), "notes": pl.UInt32(), "rejected": pl.UInt32()}
    return _table(
        ledger,
        "SELECT id, state, notes, rejected, coalesce(error_message, last_error) FROM task"  # noqa: S608 -- ours
        f" WHERE id IN (SELECT id FROM {among})",
        pl.Schema(schema | {"reason": pl.String()}),
    )


def counts(ledger: Ledger) -> pl.DataFrame:
    """Count the tasks of each kind in each state."""
    sql = "SELECT kind, state, count(*) FROM task GROUP BY kind, state ORDER BY kind, state"
    return _table(ledger, sql, pl.Schema({"kind": pl.String(), "state": pl.String(), "tasks": pl.Int64()}))


def failures(ledger: Ledger) -> pl.DataFrame:
    """Give the tasks of any kind that failed or expired."""
    sql = (
        "SELECT id, kind, state, error_code, coalesce(error_message, last_error), label, fetched_at FROM task"
        " WHERE state IN ('failed', 'expired') ORDER BY fetched_at DESC, rowid"
    )
    return _table(ledger, sql, FAILURES_SCHEMA)


def submissions(ledger: Ledger) -> pl.DataFrame:
    """Give the orders, and whether one is open: it brought no task, and no later one like it was given."""
    alike = " AND ".join(
        f"{word.format('later.')} = {word.format('s.')}"
        for word in ("{}kind", "{}source_task", "{}audio_id", "json_remove({}options, '$.callback_url')")
    )
    sql = (
        "SELECT id, kind, source_task, nullif(audio_id, ''), options, label, state, planned_at, sent_at, task, reason,"  # noqa: S608 -- words of this function
        " state <> 'submitted'"
        f" AND NOT EXISTS (SELECT 1 FROM submission later WHERE later.id > s.id AND {alike})"
        " FROM submission s ORDER BY id"
    )
    return _table(ledger, sql, SUBMISSIONS_SCHEMA)


def size(root: Path, ledger: Ledger) -> Size:
    """Count answers, and the bytes of all files."""
    with ledger.transaction("DEFERRED") as db:
        (sealed,) = db.execute("SELECT coalesce(sum(answers), 0) FROM segment WHERE state = 'sealed'").fetchone()
        (waiting,) = db.execute("SELECT count(*) FROM inbox").fetchone()
    files = (Path(folder) / name for folder, _, names in os.walk(root) for name in names)
    return Size(sealed, waiting, sum(file.lstat().st_size for file in files if file.exists()))


def shown(root: Path, ledger: Ledger) -> str | None:
    """Give what a notebook shows of a store; None, and then it shows text, when the store is closed."""
    try:
        sealed, waiting, _ = size(root, ledger)
        tables = {"counts": counts(ledger), "open": open_tasks(ledger), "failed": failures(ledger)}
    except StoreError:
        return None
    return card(f"Store {root.name}", {"answers sealed": sealed, "waiting to be": waiting}, tables)


def aside(ledger: Ledger) -> pl.DataFrame:
    """Give the bodies that were kept and not taken."""
    with ledger.transaction("DEFERRED") as db:
        rows = db.execute("SELECT task, received, source, reason, body, size FROM aside ORDER BY seq").fetchall()
    plain = [(*row[:4], unzip(row[4], row[5])) for row in rows]
    return pl.DataFrame(plain, schema=ASIDE_SCHEMA | {"received_at": pl.Int64()}, orient="row").cast(dict(ASIDE_SCHEMA))  # type: ignore[arg-type]


def raw(root: Path, ledger: Ledger, task: str) -> bytes | None:
    """Give the answer that decided a task, byte for byte, or None when there is none."""
    with ledger.transaction("DEFERRED") as db:
        row = db.execute("SELECT seq FROM task WHERE id = ?", (task,)).fetchone()
        if row is None or row[0] is None:
            return None
        held = next(ledger.answers(row[0], row[0]), None)
        if held is not None:
            return held.body
        place = db.execute("SELECT id FROM segment WHERE state = 'sealed' AND ? BETWEEN first AND last", row).fetchone()
        part = None if place is None else part_path(folder_of(root, db), "raw", place[0])
    if part is None:
        return None
    found = pl.scan_parquet(part, glob=False).filter(pl.col("seq") == row[0]).collect()
    return bytes(found["body"][0]) if found.height else None


def lineage(ledger: Ledger) -> pl.DataFrame:
    """Give one row per MIDI task: the stem that it was made from, its separation, and the song.

    A separation is the one that was told, else the one that has the stem. Its song is the one that was ordered, else
    the one that its record names, which may be the music task with the song's position in it.
    """
    names = ("task", "label", "audio_id", "parent")
    midi = _table(
        ledger,
        "SELECT id, label, audio_id, parent FROM task WHERE kind = 'midi' ORDER BY rowid",
        pl.Schema(dict.fromkeys(names, pl.String())),
    )
    told = _table(
        ledger,
        "SELECT id, label, audio_id, parent FROM task WHERE kind = 'separation'",
        pl.Schema(dict.fromkeys(("separation_task", "its_label", "ordered", "music_task"), pl.String())),
    )
    stem = stems(ledger)
    by_id = stem.drop_nulls("stem").unique("stem", keep="first", maintain_order=True)
    by_task = stem.unique("separation_task", keep="first", maintain_order=True)
    found = (
        midi.join(
            by_id.select(audio_id="stem", stem="name", of_stem="separation_task"),
            on="audio_id",
            how="left",
            maintain_order="left",
        )
        .with_columns(separation_task=pl.coalesce("parent", "of_stem"))
        .join(told, on="separation_task", how="left", maintain_order="left")
        .join(
            by_task.select("separation_task", "song", "song_index"),
            on="separation_task",
            how="left",
            maintain_order="left",
        )
        .with_columns(label=pl.coalesce("label", "its_label"))
    )
    return _with_song(found, songs(ledger).rename({"duration": "song_duration"}))


def _with_song(found: pl.DataFrame, song: pl.DataFrame) -> pl.DataFrame:
    """Join songs: by the id that was ordered, by what the separation names, by the position in its music task."""
    rows = song.with_row_index("row")
    by_id = rows.drop_nulls("song").unique("song", keep="first", maintain_order=True)
    place = rows.rename({"position": "song_index", "song": "its_id"})
    ways = [
        (by_id.select("row", ordered="song"), ["ordered"]),
        (by_id.select("row", "song"), ["song"]),
        (place.select("row", "song_index", song="music_task"), ["song", "song_index"]),
        (place.select("row", "song_index", unnamed="music_task"), ["unnamed", "song_index"]),
    ]
    named = pl.coalesce("ordered", "song")
    found = found.with_columns(unnamed=pl.when(named.is_null()).then("music_task"))
    for at, (way, keys) in enumerate(ways):
        found = found.join(way.rename({"row": f"row_{at}"}), on=keys, how="left", maintain_order="left")
    told = ["title", "tags", "prompt", "model", "song_duration"]
    return (
        found.with_columns(row=pl.coalesce(f"row_{at}" for at in range(len(ways))))
        .join(place.select("row", "its_id", *told, its_task="music_task"), on="row", how="left", maintain_order="left")
        .select(
            "task",
            "label",
            "audio_id",
            "stem",
            "separation_task",
            pl.when(pl.col("row").is_null()).then(named).otherwise("its_id").alias("song"),
            pl.coalesce("its_task", "music_task").alias("music_task"),
            *told,
        )
    )


def _table(ledger: Ledger, sql: str, schema: pl.Schema) -> pl.DataFrame:
    """Rows of the ledger as a frame of a schema; times are integers there."""
    plain = {
        name: dtype if dtype in (pl.String, pl.Float64, pl.Binary) else pl.Int64() for name, dtype in schema.items()
    }
    frames = [pl.DataFrame(schema=plain)]
    with ledger.transaction("DEFERRED") as db:
        cursor: sqlite3.Cursor = db.execute(sql)
        while rows := cursor.fetchmany(_BATCH):
            columns = zip(*rows, strict=True)
            frames.append(
                pl.DataFrame(
                    [
                        pl.Series(name, values, dtype=dtype)
                        for (name, dtype), values in zip(plain.items(), columns, strict=True)
                    ]
                )
            )
    return pl.concat(frames).cast(dict(schema))  # type: ignore[arg-type]
