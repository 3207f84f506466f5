"""Orders as people give them: ids, tuples, frames, files. Nothing is sent here."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from kie_notes.store.door import check_id

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import TextIO

    import polars as pl


class Order(NamedTuple):
    """A separation to be transcribed: all its stems, or the one that ``audio_id`` names; ``label`` is your own word."""

    separation_task: str
    audio_id: str | None = None
    label: str | None = None


class SongOrder(NamedTuple):
    """A song to be separated: ``audio_id`` of a music task, or without it the address of an audio file."""

    music_task: str
    audio_id: str | None = None
    label: str | None = None


_Kind = TypeVar("_Kind", bound=Order | SongOrder)


def read_orders(source: str | Path | TextIO) -> list[Order]:
    r"""Read orders from a file: CSV with or without a header, or ids, one a line.

    Parameters
    ----------
    source
        A file's path, or an open text file. Columns are ``separation_task``, ``audio_id``, ``label``, in this order
        where there is no header. Blank lines and those that begin with ``#`` are skipped.

    Returns
    -------
    The orders, in the file's order.

    Raises
    ------
    ValueError
        If a line cannot be read; the message names the file and the line.

    Examples
    --------
    >>> import io
    >>> read_orders(io.StringIO("separation_task,label\n5c79,choir\n"))
    [Order(separation_task='5c79', audio_id=None, label='choir')]
    """
    return [Order(**fields) for fields in _lines(source, [Order._fields])]


def read_song_orders(source: str | Path | TextIO) -> list[SongOrder]:
    r"""Read what to separate from a file: CSV of ``music_task``, ``audio_id``, ``label``, or of ``url``, ``label``.

    Parameters
    ----------
    source
        As for ``read_orders``; without a header, a line of one field is an address.

    Returns
    -------
    The orders, in the file's order.

    Raises
    ------
    ValueError
        If a line cannot be read; the message names the file and the line.

    Examples
    --------
    >>> import io
    >>> read_song_orders(io.StringIO("5c79,8e1a\n"))
    [SongOrder(music_task='5c79', audio_id='8e1a', label=None)]
    """
    return [
        SongOrder(fields.get("url") or fields["music_task"], fields.get("audio_id"), fields.get("label"))
        for fields in _lines(source, [SongOrder._fields, ("url", "label")])
    ]


def as_orders(given: Iterable[str | tuple[str | None, ...]] | pl.DataFrame, kind: type[_Kind]) -> list[_Kind]:
    """Make orders of what a caller gave.

    Raises
    ------
    TypeError
        If it is one text.
    ValueError
        If a frame has other columns than orders, or a value is no text.
    """
    import polars as pl

    name = kind._fields[0]
    if isinstance(given, str):
        raise TypeError(f"{name}s: expected several ids, got one text; put it into a list")
    if isinstance(given, pl.DataFrame):
        if name not in given.columns or set(given.columns) - set(kind._fields):
            raise ValueError(f"expected a frame with the columns {', '.join(kind._fields)}, got {given.columns}")
        given = [tuple(row.get(field) for field in kind._fields) for row in given.iter_rows(named=True)]
    orders: list[_Kind] = [kind(*((one,) if isinstance(one, str) else one)) for one in given]  # type: ignore[arg-type]
    for made in orders:
        for value in (made[0], *(one for one in made[1:] if one is not None)):
            check_id(value)
    return orders


def _lines(source: str | Path | TextIO, tables: list[tuple[str, ...]]) -> Iterator[dict[str, str]]:
    """The fields of each line that are not empty, by the columns of the header, else of the first table."""
    file = str(source) if isinstance(source, str | Path) else str(getattr(source, "name", "the text"))
    try:
        text = Path(source).read_text("utf-8") if isinstance(source, str | Path) else source.read()
    except UnicodeDecodeError as fault:
        raise ValueError(f"{file}: expected a text in UTF-8, got {fault}") from fault
    given = io.StringIO(text.removeprefix("\ufeff"))
    lines = ("\n" if line.lstrip().startswith("#") else line for line in given)
    reader, before, columns = csv.reader(lines, strict=True, skipinitialspace=True), 0, tuple[str, ...]()
    try:
        for row in reader:
            where, before, began = f"{file}, line {before + 1}", reader.line_num, before + 1
            if before > began:
                raise ValueError(f"{where}: a quote is opened and not closed")
            fields = [field.strip() for field in row]
            if not any(fields):
                continue
            if not columns:
                columns = _header(fields, tables, where)
                if columns:
                    continue
                columns = tables[0]
            yield _fields(fields, columns, where)
    except csv.Error as fault:
        raise ValueError(f"{file}, line {before + 1}: {fault}") from fault


def _header(fields: list[str], tables: list[tuple[str, ...]], where: str) -> tuple[str, ...]:
    """The columns that a first line names; none where it is an order already."""
    named = tuple(field.lower() for field in fields)
    if not set(named) & {column for table in tables for column in table}:
        return ()
    for table in tables:
        if table[0] in named and set(named) <= set(table) and len(set(named)) == len(named):
            return named
    expected = " or ".join(", ".join(table) for table in tables)
    raise ValueError(f"{where}: expected the columns {expected}, got {', '.join(fields)}")


def _fields(fields: list[str], columns: tuple[str, ...], where: str) -> dict[str, str]:
    if len(fields) > len(columns):
        raise ValueError(f"{where}: expected {', '.join(columns)}, got {len(fields)} fields: {fields}")
    found = {column: field for column, field in zip(columns, fields, strict=False) if field}
    first = next(column for column in columns if column not in ("audio_id", "label"))
    if first not in found:
        raise ValueError(f"{where}: expected a {first}, got none")
    for column, field in found.items():
        if column != "label" and (set(field) & set(" ;\t") or not field.isprintable()):
            raise ValueError(f"{where}: expected a {column}, got {field!r}; commas part the fields")
    return found
