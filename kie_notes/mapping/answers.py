"""Any helper, or several in one scan, over all pieces of a source; the answers as one table."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from importlib.util import find_spec
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias, overload

import polars as pl

from kie_notes.errors import MissingExtraError
from kie_notes.mapping.cutting import Piece, check_whole, pieces, runs
from kie_notes.mapping.sources import Part, Source, StorageOptions, parts_of
from kie_notes.mapping.working import PartError, Workers, check_workers, outcomes
from kie_notes.notes import NOTES_SCHEMA

if TYPE_CHECKING:
    from collections.abc import Sequence

#: A function of a notes table that nothing has evaluated yet, which gives another such table with a column ``task``.
LazyHelper: TypeAlias = Callable[[pl.LazyFrame], pl.LazyFrame]

#: The engines that can be asked for.
Engine = Literal["streaming", "gpu"]

#: The one helper where there are not several by name.
ALONE = ""

#: A part, the row at which its piece begins (None: all of it), and what went wrong.
Fault: TypeAlias = tuple[str, int | None, Exception]

#: What ends the line of a message that says what is wrong; Polars goes on with the query.
_LINE = "\n"


class Work(NamedTuple):
    """What is to be done: the pieces, what hindered some parts, and how many parts there are in all shards."""

    pieces: list[Piece]
    faults: list[Fault]
    parts: int

    def tried(self) -> list[Piece]:
        """Give a piece without notes, with the columns of the others: what fails for it would fail for all."""
        first = self.pieces[0] if self.pieces else Piece(Part("", NOTES_SCHEMA.to_frame()), 0, 0, 0, 0, 0, None)
        return [first._replace(rows=0)]


@overload
def map_parts(
    source: Source,
    helper: LazyHelper,
    *,
    executor: Workers = None,
    shard: tuple[int, int] | None = None,
    chunk_notes: int = 1_000_000,
    storage_options: StorageOptions | None = None,
    engine: Engine = "streaming",
) -> pl.DataFrame: ...


@overload
def map_parts(
    source: Source,
    helper: Mapping[str, LazyHelper],
    *,
    executor: Workers = None,
    shard: tuple[int, int] | None = None,
    chunk_notes: int = 1_000_000,
    storage_options: StorageOptions | None = None,
    engine: Engine = "streaming",
) -> dict[str, pl.DataFrame]: ...


def map_parts(
    source: Source,
    helper: LazyHelper | Mapping[str, LazyHelper],
    *,
    executor: Workers = None,
    shard: tuple[int, int] | None = None,
    chunk_notes: int = 1_000_000,
    storage_options: StorageOptions | None = None,
    engine: Engine = "streaming",
) -> pl.DataFrame | dict[str, pl.DataFrame]:
    """Give a helper's answers about all tasks of a source, worked out piece by piece, here or by others.

    First each part's column ``task`` is read, so that each task is known to stand in one place; then the pieces are
    worked on. A worker holds the notes of one piece at a time, this process the answers. ``sink_parts`` holds neither.

    Parameters
    ----------
    source
        A ``Store`` (its parts of this moment and what waits in its ledger), or Parquet files of whole tasks: a file, a
        folder, a pattern, an address such as ``s3://bucket/notes/*.parquet``, or several of these.
    helper
        A function of a LazyFrame of notes that gives a LazyFrame with a column ``task``: any helper of
        ``kie_notes``, a ``functools.partial`` of one, or one's own. Several, by name, share one scan.
    executor
        Who works: this process (None); so many processes (a number); or any ``concurrent.futures.Executor``: a pool,
        or that of a cluster, such as ``dask.distributed.Client(...).get_executor(pure=False)``. When a process of a
        number dies, its work is given to new ones. Dask gives the work of a dead worker to others by itself. A pool of
        one's own that breaks is a fault of all that it had not done.
    shard
        ``(i, n)``: only the i-th of n shares of the parts, i from 0: each n-th part from the i-th on.
    chunk_notes
        Notes of a piece at the most, but for the end of a task. A part is cut into equal pieces.
    storage_options
        Keys, region, address of the object store, as ``polars.scan_parquet`` takes them.
    engine
        The engine of Polars that collects: its streaming engine, or a GPU where cudf-polars is installed. What a GPU
        cannot do Polars gives to the CPU without a word; by its documentation that is all that has categories.

    Returns
    -------
    The helper's table, in the order of parts, and in that of the helper in each piece, whoever worked. For helpers
    that sort by task, ``.sort("task", maintain_order=True)`` gives the order of one go. Of several helpers: a table of
    each, by name. Without notes, the helper's answer to an empty table.

    Raises
    ------
    NotesOrderError
        If a task stands in two parts, or twice in one; the message names it and them.
    PartError
        If parts cannot be read, are no notes tables, or a helper failed: raised when all others are done. It names
        each, and holds the others' answers. Those of other shards are not looked at.
    FileNotFoundError
        If there are no such files.
    ValueError
        If ``shard`` or ``chunk_notes`` is out of its range, the helper's table has no column ``task``, or the helper
        compares tasks with each other (``near_duplicates``).
    MissingExtraError
        If ``engine`` is ``gpu`` and cudf-polars is not installed.

    Examples
    --------
    >>> import tempfile
    >>> from kie_notes.analysis import pitch_histogram, polyphony
    >>> row = {"instrument": "Flute", "start": 0.0, "end": 1.0, "velocity": 0.5, "track": 0}
    >>> folder = tempfile.mkdtemp()
    >>> for task, pitch in [("a", 60), ("b", 67)]:
    ...     notes = pl.DataFrame([row | {"task": task, "pitch": pitch}], schema=NOTES_SCHEMA)
    ...     notes.write_parquet(f"{folder}/{task}.parquet")
    >>> map_parts(folder, pitch_histogram).rows()
    [('a', 60, 1), ('b', 67, 1)]
    >>> both = map_parts(f"{folder}/*.parquet", {"pitches": pitch_histogram, "voices": polyphony}, shard=(1, 2))
    >>> both["voices"].select("task", "maximum_polyphony").rows()
    [('b', 1)]
    """
    helpers = named(helper)
    check_workers(executor, helpers)
    work = divide(source, executor=executor, shard=shard, chunk_notes=chunk_notes, storage_options=storage_options)
    asked = partial(ask, helpers=helpers, storage_options=storage_options, engine=checked(engine))
    tables = [asked(piece) for piece in work.tried()]
    faults = list(work.faults)
    for piece, came in zip(work.pieces, outcomes(asked, work.pieces, executor), strict=True):
        if isinstance(came, Exception):
            faults.append((piece.part.name, piece.first_row, came))
        else:
            tables.append(came)
    whole = {name: pl.concat(one) for name, one in zip(helpers, zip(*tables, strict=True), strict=True)}
    result = whole if isinstance(helper, Mapping) else whole[ALONE]
    complain(faults, result)
    return result


def named(helper: LazyHelper | Mapping[str, LazyHelper]) -> dict[str, LazyHelper]:
    """Give helpers by name, and refuse the one whose answer about a part says nothing about the whole."""
    from kie_notes.analysis.similarity import near_duplicates

    helpers = dict(helper) if isinstance(helper, Mapping) else {ALONE: helper}
    for one in helpers.values():
        if getattr(one, "func", one) is near_duplicates:
            raise ValueError("near_duplicates compares all tasks with each other: pass it all notes in one go")
    return helpers


def checked(engine: Engine) -> Engine:
    """Refuse an engine that is not there."""
    if engine not in ("streaming", "gpu"):
        raise ValueError(f"engine: expected one of 'streaming', 'gpu', got {engine!r}")
    if engine == "gpu" and find_spec("cudf_polars") is None:
        raise MissingExtraError(
            "engine: 'gpu' needs cudf-polars, which is not installed: pip install 'polars[gpu]', on a machine with an"
            " NVIDIA GPU, where there is a cudf-polars for this version of Polars"
        )
    return engine


def divide(
    source: Source,
    *,
    executor: Workers,
    shard: tuple[int, int] | None,
    chunk_notes: int,
    storage_options: StorageOptions | None,
) -> Work:
    """Find the parts of a source, take a shard's share of them, and cut them into pieces."""
    if chunk_notes < 1:
        raise ValueError(f"chunk_notes: expected a number of notes above 0, got {chunk_notes}")
    first, step = shard or (0, 1)
    if not 0 <= first < step:
        raise ValueError(f"shard: expected (i, n) with 0 <= i < n, got {shard} (number an array of jobs from 0)")
    every = parts_of(source, storage_options)
    mine = list(enumerate(every))[first::step]
    readers = None if isinstance(executor, int) else executor  # to start processes takes longer than to read ids
    found = outcomes(partial(runs, storage_options=storage_options), [part for _, part in mine], readers)
    known: list[tuple[int, Part, pl.DataFrame]] = []
    faults: list[Fault] = []
    for (number, part), tasks in zip(mine, found, strict=True):
        if isinstance(tasks, Exception):
            faults.append((part.name, None, tasks))
        else:
            known.append((number, part, tasks))
    check_whole([(part, tasks) for _, part, tasks in known])
    return Work([piece for one in known for piece in pieces(*one, chunk_notes)], faults, len(every))


def ask(
    piece: Piece,
    *,
    helpers: Mapping[str, LazyHelper],
    storage_options: StorageOptions | None,
    engine: Engine,
) -> list[pl.DataFrame]:
    """Ask all helpers about a piece, in one scan."""
    notes = piece.scan(storage_options)
    queries = [helper(notes) for helper in helpers.values()]
    for query in queries:
        if not isinstance(query, pl.LazyFrame):
            raise TypeError(f"helper: expected one that gives a LazyFrame, got {type(query).__name__} from it")
    tables = pl.collect_all(queries, engine=engine)
    for table in tables:
        if "task" not in table.columns:
            told = "ask it of each task, and add the answers up"
            raise ValueError(f"helper: expected a column 'task', got {', '.join(table.columns)}: {told}")
    return tables


def complain(faults: Sequence[Fault], given: object) -> None:
    """Raise an error that tells all faults, if there are any."""
    if faults:
        rows = [(part, row, f"{type(fault).__name__}: {str(fault).partition(_LINE)[0]}") for part, row, fault in faults]
        schema = {"part": pl.String(), "first_row": pl.Int64(), "fault": pl.String()}
        raise PartError(pl.DataFrame(rows, schema=schema, orient="row"), given) from faults[0][2]
