"""Any helper over all pieces of a source, each answer a Parquet file of its own: whole or not there, done once."""

from __future__ import annotations

import hashlib
import json
import pickle
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import polars as pl

from kie_notes.errors import StoreError
from kie_notes.mapping.answers import Engine, LazyHelper, Work, ask, checked, complain, divide, named
from kie_notes.mapping.working import Workers, check_workers, outcomes

if TYPE_CHECKING:
    from kie_notes.mapping.cutting import Piece
    from kie_notes.mapping.sources import Source, StorageOptions

#: Under which name a file says in its footer what it answers.
_ASKED = "kie_notes"

#: One row per file that there is.
_FILES = pl.Schema(
    {
        "part": pl.String(),
        "first_row": pl.Int64(),
        "notes": pl.Int64(),
        "helper": pl.String(),
        "file": pl.String(),
        "made": pl.Boolean(),
    }
)


def sink_parts(
    source: Source,
    helper: LazyHelper | Mapping[str, LazyHelper],
    out: str | Path,
    *,
    executor: Workers = None,
    shard: tuple[int, int] | None = None,
    chunk_notes: int = 1_000_000,
    storage_options: StorageOptions | None = None,
    engine: Engine = "streaming",
) -> pl.DataFrame:
    """Write a helper's answers about all tasks of a source into a folder, one Parquet file a piece; then go on.

    What ``map_parts`` holds in memory is on disk here. The same call again does only what is not there yet: after a
    fault was mended, after a crash, or when a source has more parts than before. All shards may write into one folder.

    Parameters
    ----------
    source, executor, shard, chunk_notes, storage_options, engine
        As for ``map_parts``.
    helper
        As for ``map_parts``; of several by name, each name becomes a folder in ``out``.
    out
        A folder, which is made; or the address of one in an object store, of which ``storage_options`` holds too.

    Returns
    -------
    One row per file of this shard, in the order of parts: ``pl.scan_parquet(table["file"].to_list())`` gives them so.

    - ``part`` (String): file that the notes came from
    - ``first_row`` (Int64): of it, at which the piece begins, from 0
    - ``notes`` (Int64): in the piece
    - ``helper`` (String): name, null where there is only one
    - ``file`` (String): where the answer is
    - ``made`` (Boolean): false, if it was there

    Files have numbers as names. Each is written under another name first and holds in its footer which notes and
    which helper with which options it is of. A helper's own code is not compared: when that changed, give a new folder.

    Raises
    ------
    NotesOrderError, PartError, FileNotFoundError, ValueError, MissingExtraError
        As by ``map_parts``; the answers that a ``PartError`` holds are the table of files.
    StoreError
        If a file in ``out`` is about a part that the source does not have, or about one that was cut otherwise (which
        is not looked for in an object store). One that answers something else is a ``PartError``: it is never replaced.

    Examples
    --------
    >>> import tempfile
    >>> from kie_notes.analysis import pitch_histogram
    >>> from kie_notes.notes import NOTES_SCHEMA
    >>> notes = pl.DataFrame([("a", "Flute", 60, 0.0, 1.0, 0.5, 0)], schema=NOTES_SCHEMA, orient="row")
    >>> folder = tempfile.mkdtemp()
    >>> notes.write_parquet(f"{folder}/notes.parquet")
    >>> first = sink_parts(f"{folder}/notes.parquet", pitch_histogram, f"{folder}/pitches")
    >>> first.select("first_row", "notes", "made").rows()
    [(0, 1, True)]
    >>> pl.read_parquet(first["file"].to_list()).rows()
    [('a', 60, 1)]
    >>> sink_parts(f"{folder}/notes.parquet", pitch_histogram, f"{folder}/pitches")["made"].to_list()
    [False]
    """
    helpers = named(helper)
    for name in helper if isinstance(helper, Mapping) else ():
        if not name.isidentifier():
            raise ValueError(f"helper: expected names of letters, digits and '_', which become folders, got {name!r}")
    check_workers(executor, helpers)
    work = divide(source, executor=executor, shard=shard, chunk_notes=chunk_notes, storage_options=storage_options)
    asked = partial(ask, helpers=helpers, storage_options=storage_options, engine=checked(engine))
    for piece in work.tried():
        asked(piece)
    folder = str(out) if "://" in str(out) else str(Path(out).absolute())
    for name in helpers:
        _check_folder(Path(folder, name), work, shard)
    job = partial(_answered, asked=asked, folder=folder, words={name: _words(one) for name, one in helpers.items()})
    rows: list[tuple[Any, ...]] = []
    faults = list(work.faults)
    for piece, made in zip(work.pieces, outcomes(job, work.pieces, executor), strict=True):
        if isinstance(made, Exception):
            faults.append((piece.part.name, piece.first_row, made))
            continue
        about = (piece.part.name, piece.first_row, piece.notes)
        rows += [(*about, name or None, _file(folder, name, piece), made) for name in helpers]
    table = pl.DataFrame(rows, schema=_FILES, orient="row")
    complain(faults, table)
    return table


def _file(folder: str, name: str, piece: Piece) -> str:
    """Where an answer is; folders and numbers, nothing from outside."""
    return "/".join(
        [folder.rstrip("/"), *([name] if name else []), f"part-{piece.number:06d}-{piece.first_row:010d}.parquet"]
    )


def _words(helper: LazyHelper) -> str:
    """Say which helper it is, by its name and by what is sent to another process: module, name, options."""
    function = getattr(helper, "func", helper)
    name = f"{getattr(function, '__module__', '')}.{getattr(function, '__qualname__', type(function).__name__)}"
    try:
        sent = pickle.dumps(helper, protocol=4)
    except Exception:  # noqa: BLE001 -- a function that nobody else can load, known by its name alone
        return name
    return f"{name} {hashlib.blake2b(sent, digest_size=8).hexdigest()}"


def _check_folder(folder: Path, work: Work, shard: tuple[int, int] | None) -> None:
    """Refuse a folder in which answers lie that this source, cut like this, would not give."""
    first, step = shard or (0, 1)
    mine = {Path(_file("", "", piece)).name for piece in work.pieces}
    hindered = set(range(work.parts)) - {piece.number for piece in work.pieces}
    for file in sorted(folder.glob("*.parquet")) if folder.is_dir() else []:
        number = int(file.stem[5:11]) if file.stem[5:11].isdecimal() else work.parts
        ours = number % step == first and number not in hindered
        if number >= work.parts or (ours and file.name not in mine):
            raise StoreError(f"{file}: expected answers about this source, cut like this; give a new folder")


def _answered(piece: Piece, *, asked: partial[list[pl.DataFrame]], folder: str, words: Mapping[str, str]) -> bool:
    """See that a piece's answers lie in the folder; gives whether they had to be made."""
    options = asked.keywords["storage_options"]
    files = {name: _file(folder, name, piece) for name in words}
    about = {"part": piece.part.name, "first_row": piece.first_row, "notes": piece.notes, "tasks": piece.tasks}
    told = {name: json.dumps(about | {"first": piece.first_task, "helper": word}) for name, word in words.items()}
    there = [_is_there(files[name], told[name], options) for name in words]
    if all(there):
        return False
    for (name, file), table in zip(files.items(), asked(piece), strict=True):
        metadata = {_ASKED: told[name]}
        if "://" in file:
            table.write_parquet(file, metadata=metadata, storage_options=options)
        else:
            building = Path(f"{file}.{uuid4().hex}")  # of two who are at it, each writes its own
            try:
                table.write_parquet(building, metadata=metadata, mkdir=True)
                building.replace(file)
            finally:
                building.unlink(missing_ok=True)
    return True


def _is_there(file: str, told: str, options: StorageOptions | None) -> bool:
    """Tell whether a file holds an answer; one that cannot be read is not there."""
    try:
        found = pl.read_parquet_metadata(file, storage_options=options).get(_ASKED)
    except (OSError, pl.exceptions.PolarsError):
        return False
    if found != told:
        asked, held = json.loads(told), json.loads(found or "{}")
        what, expected = next((key, value) for key, value in asked.items() if value != held.get(key))
        got = held.get(what, "unknown")
        raise StoreError(f"{file}: it holds another answer: its {what} is {got}, not {expected}; give a new folder")
    return True
