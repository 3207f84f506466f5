"""What is to be exported, whoever brings it: notes, and what is known of their tasks.

Values are checked here, since anybody may bring a table: a note that cannot be one becomes a row of the rejects, and
the others go on.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeAlias

import polars as pl

from kie_notes.errors import NotesSchemaError
from kie_notes.notes import NOTES_SCHEMA, REJECTS_SCHEMA, TASKS_SCHEMA, Flattened, check_notes

if TYPE_CHECKING:
    from kie_notes.store import Store

    Input: TypeAlias = Store | Flattened | pl.LazyFrame | pl.DataFrame

#: What is known of the origin of a task in a store, and goes into the table of tasks.
LINEAGE: Final = (
    "label",
    "audio_id",
    "stem",
    "separation_task",
    "song",
    "music_task",
    "title",
    "tags",
    "prompt",
    "model",
    "song_duration",
)

#: Columns that say which tasks come from one recording or one generation; their ids share one namespace, since a
#: separation may name its song by the song's own id or by its music task's.
_ORIGINS: Final = ("audio_id", "separation_task", "song", "music_task")

_START, _END, _VELOCITY = pl.col("start"), pl.col("end"), pl.col("velocity")

#: What a note must be, field by field: the condition, and how it is told where it does not hold.
_RULES: Final = {
    "task": (pl.col("task").is_not_null(), "expected a task's id"),
    "instrument": (pl.col("instrument").is_not_null(), "expected the name of an instrument"),
    "pitch": (pl.col("pitch") <= 127, "expected a MIDI pitch from 0 to 127"),
    "start": (_START.is_finite() & (_START >= 0), "expected seconds, 0 or more"),
    "end": (_END.is_finite() & (_END >= _START), "expected seconds, not before the start"),
    "velocity": (_VELOCITY.is_between(0, 1), "expected a number from 0 to 1 (for MIDI velocities divide by 127)"),
    "track": (pl.col("track").is_not_null(), "expected the number of a track"),
}

#: The first rule that a note breaks, as its place in ``_RULES``; null for a sound note.
_BROKEN: Final = pl.coalesce(
    pl.when(~holds.fill_null(value=False)).then(pl.lit(place, pl.UInt8))
    for place, (holds, _) in enumerate(_RULES.values())
)


@dataclass(frozen=True)
class Source:
    """Tables of one moment.

    Attributes
    ----------
    notes
        Sound notes, any order, with the user's further columns.
    counts
        One row per task that has notes or is known otherwise: ``task`` (String), ``notes`` (Int64, sound ones), sorted.
    rejects
        ``REJECTS_SCHEMA``, sorted by all columns.
    without
        Why a task has no notes, where that is known: ``task``, ``reason`` (String).
    lineage
        ``task`` and ``LINEAGE``; None where nothing is known.
    links
        What ties tasks together: ``task``, ``link`` (String), none of them null.
    period
        The first and the last time at which a task was completed, as text; empty where that is not known.
    """

    notes: pl.LazyFrame
    counts: pl.DataFrame
    rejects: pl.DataFrame
    without: pl.DataFrame
    lineage: pl.DataFrame | None
    links: pl.DataFrame
    period: tuple[str, ...]


def open_source(given: Input) -> Source:
    """Look at what is to be exported: one pass over the notes."""
    from kie_notes.store import Store

    lineage = None
    if isinstance(given, Store):
        notes, tasks, rejects = given.scan_notes(), given.scan_tasks().collect(), given.scan_rejects()
        lineage = given.lineage().select("task", *LINEAGE).collect()
    elif isinstance(given, Flattened):
        notes, tasks, rejects = given.notes.lazy(), given.tasks, given.rejects.lazy()
    elif isinstance(given, pl.DataFrame | pl.LazyFrame):
        notes, tasks, rejects = given.lazy(), TASKS_SCHEMA.to_frame(), REJECTS_SCHEMA.to_frame().lazy()
    else:
        raise NotesSchemaError(f"expected a Store, a Flattened or a notes table, got {type(given).__name__}")
    notes = check_notes(notes)
    further = [name for name in notes.collect_schema() if name not in NOTES_SCHEMA]
    notes = plain(notes.select(*NOTES_SCHEMA, *further), "notes", keep=("task", "instrument"))
    found = notes.group_by("task").agg(notes=_BROKEN.is_null().sum().cast(pl.Int64), broken=_BROKEN.count())
    by_task = found.collect(engine="streaming").with_columns(pl.col("task").cast(pl.String))
    bad = _broken(notes) if by_task["broken"].sum() else REJECTS_SCHEMA.to_frame()
    known = tasks.select("task", notes=pl.lit(0, pl.Int64))
    counts = pl.concat([by_task.select("task", "notes").drop_nulls("task"), known]).group_by("task")
    return Source(
        notes=notes.filter(_BROKEN.is_null()),
        counts=counts.agg(pl.col("notes").sum()).sort("task"),
        rejects=pl.concat([rejects.collect(engine="streaming"), bad]).sort(REJECTS_SCHEMA.names()),
        without=tasks.select("task", reason=pl.concat_str("state", "error_message", separator=": ", ignore_nulls=True)),
        lineage=lineage,
        links=_links(notes, lineage),
        period=_period(tasks),
    )


def plain(table: pl.LazyFrame, name: str, *, keep: tuple[str, ...] = ()) -> pl.LazyFrame:
    """Give a table whose columns any reader of Parquet knows: categories become text, but for those in ``keep``."""
    schema = table.collect_schema()
    casts = {}
    for column, dtype in schema.items():
        inner = dtype.inner if isinstance(dtype, pl.List) else dtype
        if inner in (pl.Categorical, pl.Enum) and column not in keep:
            casts[column] = pl.List(pl.String()) if isinstance(dtype, pl.List) else pl.String()
        known = inner in (pl.Boolean, pl.String, pl.Categorical, pl.Enum, pl.Date, pl.Datetime)
        if not (known or (inner.is_numeric() and inner not in (pl.Decimal, pl.Int128, pl.UInt128))):
            raise NotesSchemaError(
                f"{name}: expected numbers, text, truth values, dates, or lists of them; '{column}' is {dtype}"
            )
        if not column.isprintable() or not column.strip():
            raise NotesSchemaError(f"{name}: expected a name of a column that can be printed, got {column!r}")
    return table.with_columns(pl.col(column).cast(dtype) for column, dtype in casts.items())


def _broken(notes: pl.LazyFrame) -> pl.DataFrame:
    """Give a row of the rejects for each note that cannot be one; ``index`` is its row in the table."""
    fields = list(_RULES)
    rule = pl.col("rule")
    values = pl.coalesce(
        pl.when(rule == place).then(pl.col(name).cast(pl.String).fill_null("null")) for place, name in enumerate(fields)
    )
    return (
        notes.with_row_index("index")
        .with_columns(rule=_BROKEN)
        .filter(rule.is_not_null())
        .select(
            pl.col("task").cast(pl.String),
            "track",
            "index",
            field=rule.replace_strict(range(len(fields)), fields, return_dtype=pl.String),
            value=values,
            reason=rule.replace_strict(
                range(len(fields)), [told for _, told in _RULES.values()], return_dtype=pl.String
            ),
        )
        .collect(engine="streaming")
    )


def _links(notes: pl.LazyFrame, lineage: pl.DataFrame | None) -> pl.DataFrame:
    """Say which tasks come from one recording or one generation, and which are variants of one another."""
    tables = [pl.LazyFrame(schema={"task": pl.String(), "link": pl.String()})]
    if lineage is not None:
        tables += [lineage.lazy().select("task", link=f) for f in _ORIGINS]
    if "origin" in notes.collect_schema():  # of variants that augment_notes made
        tables.append(notes.select(pl.col("task", "origin").cast(pl.String)).unique().rename({"origin": "link"}))
        tables.append(notes.select(pl.col("task").cast(pl.String)).unique().with_columns(link="task"))
    return pl.concat(tables).drop_nulls().collect(engine="streaming")


def _period(tasks: pl.DataFrame) -> tuple[str, ...]:
    done = tasks["completed_at"].drop_nulls().dt.strftime("%Y-%m-%d")
    return (str(done.min()), str(done.max())) if done.len() else ()
