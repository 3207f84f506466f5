"""Records from JSON that somebody already has: files, folders, globs, NDJSON, ``.gz`` and ``.zip``."""

from __future__ import annotations

import codecs
import contextlib
import glob
import gzip
import io
import json
import lzma
import re
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

#: The largest that a packed file may become; a small one can be made to fill any memory.
_MOST_BYTES = 1 << 30

#: Finds where a value ends; what it reads is not looked at, so that no number is too long.
_SCANNER = json.JSONDecoder(parse_float=str, parse_int=str)
_BLANK = re.compile(r"[ \t\r\n]*")

#: What a damaged, locked or oddly packed file raises.
_UNREADABLE = (
    OSError,
    EOFError,
    zlib.error,
    lzma.LZMAError,
    zipfile.BadZipFile,
    RuntimeError,
    NotImplementedError,
    ValueError,
)


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
    One ``Record`` a body, in the order of the sorted names. A body that names no task gets the file's name below the
    folder that was given, without its suffix (and, where the file holds several, ``-`` and a number). A body that
    cannot be read is a record in state ``unreadable`` whose one reject says why, so that one bad file does not cost
    the others; ``flatten`` puts it among the rejects.

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


def read_bodies(paths: str | Path | Iterable[str | Path]) -> Iterator[Body]:
    """Read the bodies in files as they are, each with where it stands and what to call its task if it does not say.

    Takes what ``read_records`` takes, in the same order. What cannot be read comes with its ``fault``.
    """
    for path, name in _files(paths):
        for inner, content in _contents(path):
            source = path.joinpath(*inner.split("/")) if inner else path
            task = "/".join([name, *inner.split("/")[:-1], _stem(source.name)]) if inner else name
            if isinstance(content, Exception):
                yield Body(source.as_posix(), task, b"", f"{type(content).__name__}: {content}")
                continue
            bodies = _split(source, content)
            for number, one in enumerate(bodies, start=1):
                if len(bodies) == 1:
                    yield Body(source.as_posix(), task, one)
                else:
                    yield Body(f"{source.as_posix()}:{number}", f"{task}-{number}", one)


def _files(paths: str | Path | Iterable[str | Path]) -> Iterator[tuple[Path, str]]:
    """Files, each with its name below the folder that was given, without its suffix."""
    for given in [paths] if isinstance(paths, str | Path) else paths:
        path = Path(given)
        if path.is_dir():
            for one in sorted(path.rglob("*")):
                if one.name.lower().endswith(_SUFFIXES) and one.is_file():
                    yield one, "/".join([*one.relative_to(path).parts[:-1], _stem(one.name)])
        elif path.exists():
            yield path, _stem(path.name)
        else:
            found = sorted(glob.glob(str(given), recursive=True))  # noqa: PTH207 -- an absolute pattern is one too
            if not found:
                raise RecordError(f"{given}: no such file or folder, and no file matches it as a pattern")
            yield from _files(found)


def _stem(name: str) -> str:
    stem = name[:-3] if name.lower().endswith(".gz") else name
    return Path(stem).stem


def _contents(path: Path) -> Iterator[tuple[str, bytes | Exception]]:
    """What a file holds, unpacked: for an archive, each member under its name."""
    try:
        if path.suffix.lower() != ".zip":
            yield "", _unzipped(path.name, path.read_bytes())
            return
        with zipfile.ZipFile(path) as archive:
            for member in sorted(archive.infolist(), key=lambda one: one.filename):
                if member.filename.lower().endswith(_SUFFIXES[:-1]):
                    yield member.filename, _member(archive, member)
    except _UNREADABLE as fault:
        yield "", fault


def _member(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> bytes | Exception:
    try:
        if member.file_size > _MOST_BYTES:
            raise OSError(f"it unpacks to more than {_MOST_BYTES} bytes")
        return _unzipped(member.filename, archive.read(member))
    except _UNREADABLE as fault:
        return fault


def _unzipped(name: str, content: bytes) -> bytes:
    if not name.lower().endswith(".gz"):
        return content
    with gzip.open(io.BytesIO(content)) as file:
        unpacked = file.read(_MOST_BYTES + 1)
    if len(unpacked) > _MOST_BYTES:
        raise OSError(f"it unpacks to more than {_MOST_BYTES} bytes")
    return unpacked


def _split(path: Path, content: bytes) -> list[bytes]:
    """The bodies in a file: its lines, the items of a list, or the one that it is."""
    content = content.removeprefix(codecs.BOM_UTF8)
    if _packed_name(path).endswith(_LINES):
        return [line for line in content.splitlines() if line.strip()]
    if content.lstrip()[:1] == b"[":
        with contextlib.suppress(msgspec.DecodeError, UnicodeError, RecursionError):
            return [bytes(one) for one in msgspec.json.decode(content, type=list[msgspec.Raw])]
        with contextlib.suppress(ValueError, RecursionError):  # a bare NaN in one must not cost the others
            return list(_items(content.decode()))
    return [content]


def _items(text: str) -> Iterator[bytes]:
    """The items of a list, each as it stands in the text."""
    at = text.index("[") + 1
    while True:
        at = _BLANK.match(text, at).end()  # type: ignore[union-attr]
        _, end = _SCANNER.raw_decode(text, at)
        yield text[at:end].encode()
        at = _BLANK.match(text, end).end()  # type: ignore[union-attr]
        if text[at : at + 1] != ",":
            break
        at += 1
    if text[at:].strip() != "]":
        raise ValueError(f"expected the end of a list at {at}")


def _packed_name(path: Path) -> str:
    """A file's name in small letters, without the suffix of its packing."""
    return path.name.lower().removesuffix(".gz")


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
