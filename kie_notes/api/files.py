"""Records from JSON that somebody already has: files, folders, globs, NDJSON, ``.gz`` and ``.zip``."""

from __future__ import annotations

import contextlib
import glob
import gzip
import zipfile
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from kie_notes.api.records import Record, parse_record
from kie_notes.api.sifting import Reject
from kie_notes.errors import RecordError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


class Body(NamedTuple):
    """One JSON body in a file."""

    source: str
    task: str
    content: bytes
    fault: str | None = None


#: What a folder is searched for.
_SUFFIXES = (".json", ".jsonl", ".ndjson", ".json.gz", ".jsonl.gz", ".ndjson.gz", ".zip")
_LINES = (".jsonl", ".ndjson")


def read_records(paths: str | Path | Iterable[str | Path]) -> Iterator[Record]:
    """Read the records in JSON files that somebody already has, one after the other.

    Parameters
    ----------
    paths
        A file, a folder (searched to the bottom), a glob (``"2026/*.json"``), or several of them. A file holds one
        body, a list of bodies, or (``.jsonl``, ``.ndjson``) one body a line; it may be gzipped (``.gz``) or lie in a
        ``.zip``.

    Returns
    -------
    One ``Record`` a body, in the order of the sorted names. A body that names no task gets the file's name without its
    suffix (and, where the file holds several, ``-`` and a number). A body that cannot be read is a record in state
    ``unreadable`` whose one reject says why, so that one bad file does not cost the others; ``flatten`` puts it among
    the rejects.

    Raises
    ------
    RecordError
        If a path leads nowhere.

    Examples
    --------
    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> _ = (folder / "t1.json").write_text('{"state": "complete", "instruments": []}')
    >>> [(record.task, record.state) for record in read_records(folder)]
    [('t1', 'empty')]
    """
    return map(_record, read_bodies(paths))


def _files(paths: str | Path | Iterable[str | Path]) -> Iterator[Path]:
    for given in [paths] if isinstance(paths, str | Path) else paths:
        path = Path(given)
        if path.is_dir():
            yield from sorted(one for one in path.rglob("*") if one.name.lower().endswith(_SUFFIXES) and one.is_file())
        elif path.exists():
            yield path
        else:
            found = sorted(glob.glob(str(given), recursive=True))  # noqa: PTH207 -- an absolute pattern is one too
            if not found:
                raise RecordError(f"{given}: no such file or folder, and no file matches it as a pattern")
            yield from _files(found)


def read_bodies(paths: str | Path | Iterable[str | Path]) -> Iterator[Body]:
    """Read the bodies in files as they are, each with where it stands and what to call its task if it does not say.

    Takes what ``read_records`` takes, in the same order. What cannot be read comes with its ``fault``.
    """
    for path in _files(paths):
        for name, content in _contents(path):
            if isinstance(content, Exception):
                yield Body(name.as_posix(), name.stem, b"", f"{type(content).__name__}: {content}")
                continue
            bodies = _split(name, content)
            for number, one in enumerate(bodies, start=1):
                if len(bodies) == 1:
                    yield Body(name.as_posix(), name.stem, one)
                else:
                    yield Body(f"{name.as_posix()}:{number}", f"{name.stem}-{number}", one)


def _contents(path: Path) -> Iterator[tuple[Path, bytes | Exception]]:
    """What a file holds, unpacked, under its name without the packing's suffix."""
    try:
        if path.suffix.lower() == ".zip":
            with zipfile.ZipFile(path) as archive:
                members = sorted(name for name in archive.namelist() if name.lower().endswith(_SUFFIXES[:-1]))
                for name in members:
                    yield _unzipped(path / name, archive.read(name))
        else:
            yield _unzipped(path, path.read_bytes())
    except (OSError, EOFError, zlib.error, zipfile.BadZipFile, RuntimeError, NotImplementedError) as fault:
        yield path, fault


def _unzipped(path: Path, content: bytes) -> tuple[Path, bytes]:
    return (path.with_suffix(""), gzip.decompress(content)) if path.suffix.lower() == ".gz" else (path, content)


def _split(path: Path, content: bytes) -> list[bytes]:
    """The bodies in a file: its lines, the items of a list, or the one that it is."""
    if path.suffix.lower() in _LINES:
        return [line for line in content.splitlines() if line.strip()]
    if content.lstrip()[:1] == b"[":
        with contextlib.suppress(msgspec.DecodeError, UnicodeError, RecursionError):
            return [bytes(one) for one in msgspec.json.decode(content, type=list[msgspec.Raw])]
    return [content]


def _record(body: Body) -> Record:
    fault = body.fault
    if fault is None:
        try:
            return parse_record(body.content, task=body.task, source=body.source)
        except RecordError as unreadable:
            fault = str(unreadable)
    start = body.content[:200].decode("utf-8", "replace")
    reject = Reject(None, None, "document", start, f"{body.source}: {fault}")
    return Record(task=None, state="unreadable", source=body.source, rejects=(reject,))
