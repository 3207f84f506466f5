"""Records from JSON that somebody already has: files, folders, globs, NDJSON, ``.gz`` and ``.zip``."""

from __future__ import annotations

import codecs
import contextlib
import glob
import gzip
import io
import json
import lzma
import os
import re
import stat
import zipfile
import zlib
from functools import partial
from itertools import chain
from pathlib import Path
from typing import IO, TYPE_CHECKING, NamedTuple, TypeAlias, cast

import msgspec

from kie_notes.api.records import Record, parse_record
from kie_notes.api.sifting import Reject
from kie_notes.errors import RecordError
from kie_notes.processes import in_order

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator


#: Where a file is, and its name below the folder that was given, without its suffix.
_File: TypeAlias = tuple[str, str]


class Body(NamedTuple):
    """One JSON body in a file."""

    source: str
    task: str
    content: bytes
    fault: str | None = None


class Share(NamedTuple):
    """Some files, and their bytes; packed files count tenfold."""

    files: list[_File]
    size: int

    def bodies(self) -> Iterator[Body]:
        """Read the bodies in the files."""
        return _bodies_of(self.files)


#: What a folder is searched for.
_SUFFIXES = (".json", ".jsonl", ".ndjson", ".json.gz", ".jsonl.gz", ".ndjson.gz", ".zip")
_LINES = (".jsonl", ".ndjson")

#: The largest that a packed file may become; a small one can be made to fill any memory.
_MOST_BYTES = 1 << 30
_TOO_LARGE = f"it unpacks to more than {_MOST_BYTES} bytes"

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


#: Bytes of files that another process reads at once, and those above which a file is read in this one, body by body:
#: the records of a share are held together. Packed files count tenfold.
_SHARE, _LARGE = 1 << 22, 1 << 24


def read_records(paths: str | Path | Iterable[str | Path], *, workers: int = 1) -> Iterator[Record]:
    """Read the records in JSON files that somebody already has, one after the other.

    Parameters
    ----------
    paths
        A file, a folder (searched to the bottom), a glob (``"2026/*.json"``), or several of them. A file holds one
        body, a list of bodies, or (``.jsonl``, ``.ndjson``) one body a line; it may be gzipped (``.gz``) or lie in a
        ``.zip``.
    workers
        Above 1, so many other processes read the files, but those above 16 MB. They are started anew (``spawn``): a
        script that asks for them stands under ``if __name__ == "__main__":``, and gains from some 100 MB on.

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
    ValueError
        If ``workers`` is below 1.
    WorkerError
        If one of the other processes died.

    Examples
    --------
    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> _ = (folder / "t1.json").write_text('{"state": "complete", "instruments": []}')
    >>> [(record.task, record.state) for record in read_records(folder)]
    [('t1', 'empty')]
    """
    if workers < 1:
        raise ValueError(f"workers: expected at least 1, got {workers}")
    if workers == 1:
        return map(_record, read_bodies(paths))
    return in_order(_records, shares(paths, _SHARE), workers, here=lambda share: share.size > _LARGE)


def shares(paths: str | Path | Iterable[str | Path], most: int, files: int = 1 << 20) -> Iterator[Share]:
    """Consecutive files of so many bytes, and so many, at the most; a larger one is a share by itself."""
    share: list[_File] = []
    held = 0
    for path, name in _files(paths):
        found = _stat(path)
        size = (found.st_size if found else 0) * (10 if path.lower().endswith((".gz", ".zip")) else 1)
        if share and (held + size > most or len(share) == files):
            yield Share(share, held)
            share, held = [], 0
        share.append((path, name))
        held += size
    if share:
        yield Share(share, held)


def _records(share: Share) -> Iterator[Record]:
    return map(_record, share.bodies())


def read_bodies(paths: str | Path | Iterable[str | Path]) -> Iterator[Body]:
    """Read the bodies in files as they are, each with where it stands and what to call its task if it does not say.

    Takes what ``read_records`` takes, in the same order. What cannot be read comes with its ``fault``. One file is held
    at a time, and of a file of lines one line.
    """
    return _bodies_of(_files(paths))


def _bodies_of(files: Iterable[_File]) -> Iterator[Body]:
    for path, name in files:
        suffix = path[-5:].lower()
        if suffix == ".json":
            yield from _document(path, name)
        elif suffix.endswith(".zip"):
            yield from _members(path, name)
        else:
            yield from _bodies(path, name, partial(_opened, path))


def _document(path: str, task: str) -> Iterable[Body]:
    """The bodies in a file of JSON: one, where it begins with a brace."""
    try:
        with open(path, "rb", buffering=0) as file:  # noqa: PTH123 -- of a small file, a Path costs more than reading
            content = file.read()
    except _UNREADABLE as fault:
        return (_faulty(path, task, fault),)
    return (Body(path, task, content),) if content[:1] == b"{" else _bodies(path, task, partial(io.BytesIO, content))


def _files(paths: str | Path | Iterable[str | Path]) -> Iterator[_File]:
    """Files, each with its name below the folder that was given, without its suffix."""
    for given in [paths] if isinstance(paths, str | Path) else paths:
        path = str(given if isinstance(given, Path) else Path(given))
        found = _stat(path)
        if found is not None and stat.S_ISDIR(found.st_mode):
            yield from _below(path, "")
        elif found is not None:
            yield path, _stem(path.rpartition("/")[2])
        else:
            matching = sorted(glob.glob(str(given), recursive=True))  # noqa: PTH207 -- an absolute pattern is one too
            if not matching:
                raise RecordError(f"{given}: no such file or folder, and no file matches it as a pattern")
            yield from _files(matching)


def _stat(path: str) -> os.stat_result | None:
    """What the system says of a path; None where nothing is."""
    try:
        return os.stat(path)  # noqa: PTH116 -- of a small file, a Path costs more than the reading
    except (OSError, ValueError):
        return None


def _below(folder: str, above: str) -> Iterator[_File]:
    """The files in a folder and its folders, in the order of their names; a link to a folder is not followed."""
    try:
        with os.scandir(folder) as entries:
            inside = sorted((one.name, one.is_dir(follow_symlinks=False), one.is_file()) for one in entries)
    except PermissionError:
        return
    for name, is_folder, is_file in inside:
        path = name if folder == "." else f"{folder.rstrip('/')}/{name}"
        if is_folder:
            yield from _below(path, f"{above}{name}/")
        elif is_file and name.lower().endswith(_SUFFIXES):
            yield path, above + _stem(name)


def _stem(name: str) -> str:
    """A file's name without the suffixes of what it holds and of its packing."""
    name = name[:-3] if name.lower().endswith(".gz") else name
    stem, _, suffix = name.rpartition(".")
    return stem if stem and suffix else name


def _members(path: str, task: str) -> Iterator[Body]:
    """The bodies in an archive, each called by its name there."""
    try:
        with zipfile.ZipFile(path) as archive:
            for member in sorted(archive.infolist(), key=lambda one: one.filename):
                if member.filename.lower().endswith(_SUFFIXES[:-1]):
                    *folders, name = member.filename.split("/")
                    source, inner = Path(path, *folders, name).as_posix(), "/".join([task, *folders, _stem(name)])
                    yield from _bodies(source, inner, partial(_member, archive, member))
    except _UNREADABLE as fault:
        yield _faulty(path, task, fault)


def _opened(path: str) -> IO[bytes]:
    return open(path, "rb")  # noqa: PTH123 -- as above


def _member(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> IO[bytes]:
    if member.file_size > _MOST_BYTES:
        raise OSError(_TOO_LARGE)
    return archive.open(member)


def _bodies(source: str, task: str, opened: Callable[[], IO[bytes]]) -> Iterator[Body]:
    """The bodies in a file or an archive's member, numbered where they are several."""
    try:
        with opened() as file:
            bodies = _read(source.lower(), file)
            first, second = next(bodies, None), next(bodies, None)
            if first is not None and second is None:
                yield Body(source, task, first)
            elif first is not None and second is not None:
                for number, one in enumerate(chain((first, second), bodies), start=1):
                    yield Body(f"{source}:{number}", f"{task}-{number}", one)
    except _UNREADABLE as fault:
        yield _faulty(source, task, fault)


def _faulty(source: str, task: str, fault: Exception) -> Body:
    return Body(source, task, b"", f"{type(fault).__name__}: {fault}")


def _read(name: str, file: IO[bytes]) -> Iterator[bytes]:
    """The bodies in a file: its lines, the items of a list, or the one that it is."""
    packed = name.endswith(".gz")
    if packed:
        name, file = name[:-3], cast("IO[bytes]", gzip.GzipFile(fileobj=file))
    if name.endswith(_LINES):
        return _lines(file)
    content = file.read(_MOST_BYTES + 1 if packed else -1)
    if packed and len(content) > _MOST_BYTES:
        raise OSError(_TOO_LARGE)
    return iter(_split(content.removeprefix(codecs.BOM_UTF8)))


def _lines(file: IO[bytes]) -> Iterator[bytes]:
    """The lines of a file but empty ones, whatever ends them; one that is too long comes in pieces."""
    for number, line in enumerate(iter(partial(file.readline, _MOST_BYTES), b"")):
        text = line if number else line.removeprefix(codecs.BOM_UTF8)
        yield from [one for one in text.splitlines() if one.strip()]


def _split(content: bytes) -> list[bytes]:
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
