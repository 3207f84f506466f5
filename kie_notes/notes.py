"""The waist of the house: the notes table, its check, its order, and how records become it.

To the right of this module nobody knows that a provider exists. The table has one row per note, in **canonical
order**: a task's notes stand together, sorted by start (ties: track, pitch, end, velocity). ``flatten`` makes it so;
``sort_notes`` makes it so again after somebody shuffled rows. Times are seconds from the start of the audio,
velocities 0 to 1.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeVar

import msgspec
import numpy as np
import polars as pl

from kie_notes.api.packing import ROW
from kie_notes.api.sifting import Reject
from kie_notes.cards import card
from kie_notes.columns import read_columns
from kie_notes.errors import NotesSchemaError, RecordError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from kie_notes.api.records import Record, State

#: One row per note. The first six columns are the table that people ask for; ``track`` (position of the instrument in
#: its task's list) tells instruments of one name apart and makes the way back to the JSON and to MIDI lossless.
NOTES_SCHEMA = pl.Schema(
    {
        "task": pl.Categorical(),
        "instrument": pl.Categorical(),
        "pitch": pl.UInt8(),
        "start": pl.Float64(),
        "end": pl.Float64(),
        "velocity": pl.Float32(),
        "track": pl.UInt16(),
    }
)

_TIME = pl.Datetime("ms", "UTC")

#: One row per task.
TASKS_SCHEMA = pl.Schema(
    {
        "task": pl.String(),
        "state": pl.String(),  # pending | complete | empty | failed | expired
        "audio_id": pl.String(),
        "created_at": _TIME,
        "completed_at": _TIME,
        "fetched_at": _TIME,
        "tracks": pl.UInt32(),
        "notes": pl.UInt32(),
        "rejected": pl.UInt32(),
        "error_code": pl.String(),
        "error_message": pl.String(),
        "source": pl.String(),
    }
)

#: One row per note that could not be taken; ``index`` is its position in its track's list, ``value`` is text. Where a
#: larger piece could not be read (a whole document, a track without a list of notes), ``index`` or ``track`` is null.
REJECTS_SCHEMA = pl.Schema(
    {
        "task": pl.String(),
        "track": pl.UInt16(),
        "index": pl.UInt32(),
        "field": pl.String(),
        "value": pl.String(),
        "reason": pl.String(),
    }
)

#: The canonical order of a task's notes. The last two make it whole where one pitch starts twice at once in a track.
_ORDER = ("start", "track", "pitch", "end", "velocity")

#: Columns that somebody's own frame may bring as text.
_NAMES = ("task", "instrument")

#: A function over ``Frame`` gives a DataFrame for a DataFrame and a LazyFrame for a LazyFrame.
Frame = TypeVar("Frame", pl.DataFrame, pl.LazyFrame)


def check_notes(notes: Frame) -> Frame:
    """Give back the notes table that was passed, or say why it is none.

    Only the schema is read, so this costs nothing, on a LazyFrame too. Columns beside those of ``NOTES_SCHEMA`` are
    allowed and kept. ``task`` and ``instrument`` may be String (somebody's own frame) and become Categorical.

    Parameters
    ----------
    notes
        A frame with the columns of ``NOTES_SCHEMA``, in any order of columns.

    Returns
    -------
    The same frame, with ``task`` and ``instrument`` as Categorical.

    Raises
    ------
    NotesSchemaError
        If a column is missing or has another type; the message names every such column.

    Examples
    --------
    >>> import polars as pl
    >>> check_notes(pl.DataFrame({"task": ["t1"], "pitch": [60]}))
    Traceback (most recent call last):
        ...
    kie_notes.errors.NotesSchemaError: not a notes table: missing columns 'instrument', 'start', 'end', 'velocity', \
'track'; 'pitch' is Int64, expected UInt8
    """
    if not isinstance(notes, pl.DataFrame | pl.LazyFrame):
        msg = f"not a notes table: expected a polars DataFrame or LazyFrame, got {type(notes).__name__}"
        raise NotesSchemaError(msg)
    have = notes.collect_schema()
    missing = [f"'{name}'" for name in NOTES_SCHEMA if name not in have]
    faults = [f"missing column{'s' if len(missing) > 1 else ''} {', '.join(missing)}"] if missing else []
    texts = [name for name in _NAMES if have.get(name) == pl.String]
    faults += [
        f"'{name}' is {have[name]}, expected {dtype}"
        for name, dtype in NOTES_SCHEMA.items()
        if name in have and name not in texts and have[name] != dtype
    ]
    if faults:
        raise NotesSchemaError(f"not a notes table: {'; '.join(faults)}")
    return notes.with_columns(pl.col(texts).cast(pl.Categorical)) if texts else notes


def sort_notes(notes: Frame) -> Frame:
    """Put notes into canonical order: each task's notes together, by start, track, pitch, end, velocity.

    Tasks keep the order in which they first appear.

    Parameters
    ----------
    notes
        Notes table, any order.

    Returns
    -------
    The same rows, in canonical order; identical rows stay (nothing is dropped).

    Raises
    ------
    NotesSchemaError
        If ``notes`` is not a notes table.

    Examples
    --------
    >>> import polars as pl
    >>> row = {"instrument": "Flute", "pitch": 60, "end": 2.0, "velocity": 0.5, "track": 0}
    >>> rows = [row | {"task": "a", "start": 1.0}, row | {"task": "b", "start": 0.0}, row | {"task": "a", "start": 0.5}]
    >>> sort_notes(pl.DataFrame(rows, schema=NOTES_SCHEMA)).select("task", "start").rows()
    [('a', 0.5), ('a', 1.0), ('b', 0.0)]
    """
    row = "__position_in_the_unsorted_table"
    return (
        check_notes(notes)
        .with_row_index(row)
        .with_columns(pl.col(row).min().over("task"))
        .sort(row, *_ORDER, maintain_order=True)
        .drop(row)
    )


def join_tasks(notes: Frame, table: Frame, *, how: Literal["inner", "left", "semi", "anti"] = "left") -> Frame:
    """Join notes to any table that has one row per task, or keep or drop the notes of the tasks in it.

    Polars refuses to join the table's Categorical ``task`` to somebody's String column; this does it.

    Parameters
    ----------
    notes
        Notes table.
    table
        A frame with a column ``task`` (String or Categorical) and, for ``inner`` and ``left``, what is to be joined on.
    how
        ``left`` adds the columns of ``table`` (null where a task is not in it), ``inner`` also drops other tasks'
        notes, ``semi`` keeps the notes of the tasks in ``table`` and adds nothing, ``anti`` keeps all the others.

    Returns
    -------
    Notes in the order they had.

    Raises
    ------
    NotesSchemaError
        If ``notes`` is not a notes table, or ``table`` has no column ``task`` of text, or (``inner``, ``left``) a task
        twice: its notes would be doubled.

    Examples
    --------
    >>> import polars as pl
    >>> row = {"instrument": "Flute", "pitch": 60, "start": 0.0, "end": 1.0, "velocity": 0.5, "track": 0}
    >>> notes = pl.DataFrame([row | {"task": "a"}, row | {"task": "b"}], schema=NOTES_SCHEMA)
    >>> labels = pl.DataFrame({"task": ["a"], "genre": ["waltz"]})
    >>> join_tasks(notes, labels).select("task", "genre").rows()
    [('a', 'waltz'), ('b', None)]
    """
    checked = check_notes(notes)
    kind = table.collect_schema().get("task")
    if kind not in (pl.String, pl.Categorical, pl.Enum):
        raise NotesSchemaError(f"expected a table with a column 'task' of text, got {table.collect_schema()}")
    keys = table.select("task").lazy().collect()["task"]
    if how in ("inner", "left") and keys.is_duplicated().any():
        twice = keys.filter(keys.is_duplicated())[0]
        raise NotesSchemaError(f"expected a table with one row per task, got several of task '{twice}'")
    labels = table.with_columns(pl.col("task").cast(pl.Categorical))
    return checked.join(labels, on="task", how=how, maintain_order="left")


class Flattened(NamedTuple):
    """Records as three tables, each of the schema of its name."""

    notes: pl.DataFrame
    tasks: pl.DataFrame
    rejects: pl.DataFrame

    def _repr_html_(self) -> str:
        counts = {"notes": self.notes.height, "tasks": self.tasks.height, "rejects": self.rejects.height}
        return card("Flattened", counts, {"tasks": self.tasks, "rejects": self.rejects})


def flatten(records: Iterable[Record]) -> Flattened:
    """Turn records into one notes table, one row per task, and one row per note that could not be taken.

    A note is rejected when its pitch is not a whole number from 0 to 127, a time is not a finite number, it starts
    before 0 s or ends before its start, its velocity is not from 0 to 1, or a field is missing. Nothing is dropped:
    for every record, rows in ``notes`` and rows with an ``index`` in ``rejects`` add up to the notes in its JSON. When
    a task comes twice with notes (a poll and a callback, say), the first delivery is taken and each note of the second
    is a reject that says so.

    Parameters
    ----------
    records
        Records of any states; a generator is consumed in batches.

    Returns
    -------
    ``Flattened(notes, tasks, rejects)``: notes in canonical order, tasks in the order of their first record. A record
    that was not found is a failed task with that reason; one that could not be read is a reject without ``index``.

    Raises
    ------
    RecordError
        If a record names no task: ``parse_record(body, task=...)`` gives it one.

    Examples
    --------
    >>> from kie_notes.api.records import parse_record
    >>> flutes = [{"name": "Flute", "notes": [{"pitch": 60, "start": 0, "end": "0.5", "velocity": 1},
    ...                                       {"pitch": 300, "start": 0, "end": 1, "velocity": 1}]}]
    >>> flat = flatten([parse_record({"state": "complete", "instruments": flutes}, task="t1")])
    >>> flat.notes.rows()
    [('t1', 'Flute', 60, 0.0, 0.5, 1.0, 0)]
    >>> flat.rejects.select("index", "field", "value", "reason").rows()
    [(1, 'pitch', '300', 'expected a MIDI pitch from 0 to 127')]
    """
    building = _Building()
    for record in records:
        building.add(record)
    return building.done()


#: Notes that are turned into columns at once: few enough to stay in a processor's cache, enough to be worth it.
_BATCH = 1 << 14

#: The tasks table with its times as integers: Polars takes a datetime of Python ten times as slowly.
_TASKS_IN_MS = {name: pl.Int64() if dtype == _TIME else dtype for name, dtype in TASKS_SCHEMA.items()}
_EPOCH, _MS = datetime(1970, 1, 1, tzinfo=UTC), timedelta(milliseconds=1)

#: Which of two statements about one task stands.
_RANK = {"pending": 0, "not_found": 1, "failed": 2, "empty": 3, "complete": 4}


class _Building:
    """The tables while records come in."""

    def __init__(self) -> None:
        self.seen: dict[str, tuple[State, str]] = {}
        self.tasks: dict[str, tuple[object, ...]] = {}
        self.rejects: list[tuple[object, ...]] = []
        self.pieces: list[dict[str, NDArray[Any]]] = []
        self.tracks: dict[str, list[Any]] = {"task": [], "instrument": [], "track": []}
        self.batch: list[Record] = []
        self.rows = 0

    def add(self, record: Record) -> None:
        task, state = record.task, record.state
        if state == "unreadable":
            self._reject(None, record.rejects)
            return
        if not task:
            raise RecordError(f"a record ({record.source or state}) names no task: parse_record(body, task=...)")
        first, source = self.seen.get(task, (None, ""))
        if first == state == "complete":
            reason = f"second delivery: the task's notes were taken from {source or 'an earlier record'}"
            self._reject(task, [*_every_note(record, reason), *record.rejects])
            return
        if state == "pending":
            self._reject(task, _every_note(record, "the task is pending: its notes are not final"))
            record = msgspec.structs.replace(record, tracks=(), packed=b"")
        if first is not None and _RANK[state] <= _RANK[first]:
            return
        self.seen[task] = state, record.source
        self.tasks[task] = ()
        self.batch.append(record)
        self.rows += len(record.packed) // ROW
        if self.rows >= _BATCH or len(self.batch) >= _BATCH:
            self._flush()

    def done(self) -> Flattened:
        self._flush()
        return Flattened(
            _table(self.pieces, self.tracks),
            pl.DataFrame(list(self.tasks.values()), schema=_TASKS_IN_MS, orient="row").cast(TASKS_SCHEMA),
            pl.DataFrame(self.rejects, schema=REJECTS_SCHEMA, orient="row"),
        )

    def _reject(self, task: str | None, rejects: Iterable[Reject]) -> None:
        self.rejects += [(task, one.track, one.index, one.field, one.value, one.reason) for one in rejects]

    def _flush(self) -> None:
        records, columns = read_columns(self.batch)
        columns["slot"] += len(self.tracks["task"])
        self.pieces.append(columns)
        for record in records:
            self.tracks["task"] += [record.task] * len(record.tracks)
            self.tracks["instrument"] += [track.name for track in record.tracks]
            self.tracks["track"] += range(len(record.tracks))
            self._reject(record.task, record.rejects)
            self.tasks[str(record.task)] = _task_row(record)
        self.batch, self.rows = [], 0


def _every_note(record: Record, reason: str) -> list[Reject]:
    sizes = enumerate(track.notes for track in record.tracks)
    return [Reject(track, index, "task", record.task, reason) for track, size in sizes for index in range(size)]


def _ms(moment: datetime | None) -> int | None:
    return None if moment is None else (moment - _EPOCH) // _MS


def _task_row(record: Record) -> tuple[object, ...]:
    return (
        record.task,
        "failed" if record.state == "not_found" else record.state,
        record.audio_id,
        _ms(record.created_at),
        _ms(record.completed_at),
        None,
        len(record.tracks),
        len(record.packed) // ROW,
        sum([one.index is not None for one in record.rejects]),
        record.error_code,
        record.error_message,
        record.source,
    )


def _table(pieces: list[dict[str, NDArray[Any]]], tracks: dict[str, list[Any]]) -> pl.DataFrame:
    """The batches' columns as one notes table; ``slot`` counts positions in ``tracks``."""
    whole = {name: pl.Series(np.concatenate([piece[name] for piece in pieces])) for name in pieces[0]}
    slot = whole.pop("slot")
    by_track = {name: pl.Series(values, dtype=NOTES_SCHEMA[name]).gather(slot) for name, values in tracks.items()}
    return pl.DataFrame(whole | by_track, schema=NOTES_SCHEMA)
