"""What a page says about tasks beside their notes: states, counts, descriptors, rejects, what expires when.

Nothing is computed here: descriptors are those of ``describe``, the rest is what the source says.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import polars as pl

from kie_notes.analysis.overview import describe
from kie_notes.analysis.quality import FLAGS
from kie_notes.notes import REJECTS_SCHEMA, Flattened, check_notes

if TYPE_CHECKING:
    from collections.abc import Iterable

    from kie_notes.store import Store

#: A page can hold as many notes; more would be slow to open, and belong into several pages.
MOST_NOTES: Final = 3_000_000

#: Columns of ``describe`` that a page shows, and their names there.
_DESCRIBED: Final = {
    "tracks": "described_tracks",
    "duration": "duration",
    "notes_per_second": "density",
    "key": "key",
    "tempo_bpm": "tempo",
    "tempo_confidence": "tempo_confidence",
    "quality_score": "quality",
    **{f"quality_{flag}": f"quality_{flag}" for flag in FLAGS},
}

_TIME: Final = pl.Datetime("ms", "UTC")

_NAMES_SCHEMA: Final = pl.Schema({"task": pl.String(), "name": pl.String(), "about": pl.String()})

_WAITING_SCHEMA: Final = pl.Schema(
    {
        "expires_at": _TIME,
        "kind": pl.String(),
        "task": pl.String(),
        "attempts": pl.UInt32(),
        "last_error": pl.String(),
    }
)

_FAILED_SCHEMA: Final = pl.Schema(
    {"task": pl.String(), "kind": pl.String(), "state": pl.String(), "error_code": pl.String(), "reason": pl.String()}
)


class Facts(NamedTuple):
    """What a page is made of.

    Attributes
    ----------
    notes
        The notes of all its tasks, in canonical order.
    tasks
        One row per task: task, name, about, state, notes, rejected, tracks, reason; duration, density, key, tempo,
        tempo_confidence, quality and the count of each flag, null where there are no notes.
    rejects
        What could not be taken.
    waiting
        Tasks without an end, the first to expire first: expires_at, kind, task, attempts, last_error.
    failed
        Tasks that failed or expired: task, kind, state, error_code, reason.
    """

    notes: pl.DataFrame
    tasks: pl.DataFrame
    rejects: pl.DataFrame
    waiting: pl.DataFrame
    failed: pl.DataFrame


def gather(source: Store | Flattened | pl.DataFrame | pl.LazyFrame, *, tasks: Iterable[str] | None = None) -> Facts:
    """Collect what a page shows of a store, of flattened records, or of a notes table.

    Parameters
    ----------
    source
        Where tasks are.
    tasks
        Ids of the tasks to show, in that order; None: all.

    Raises
    ------
    NotesSchemaError, NotesOrderError
        If a table is no notes table, or not in canonical order.
    TypeError
        If the source is none of these.
    ValueError
        If a task is not in the source, or there are more than ``MOST_NOTES`` notes.
    """
    notes, known, rejects, waiting, failed, names = _parts(source)
    if tasks is not None:
        chosen = list(dict.fromkeys(tasks))
        known = _chosen(known, chosen)
        notes = notes.filter(pl.col("task").cast(pl.String).is_in(chosen))
        rejects, waiting, failed = (table.filter(pl.col("task").is_in(chosen)) for table in (rejects, waiting, failed))
    count = int(notes.select(pl.len()).collect(engine="streaming").item())
    if count > MOST_NOTES:
        raise ValueError(f"{count} notes are too many for a page, which holds {MOST_NOTES}: choose some tasks")
    kept = notes.collect(engine="streaming")
    described = describe(kept, columns=list(_DESCRIBED)).rename(_DESCRIBED)
    counts = kept.group_by(pl.col("task").cast(pl.String)).agg(counted=pl.len().cast(pl.UInt32))
    table = (
        known.join(names, on="task", how="left", maintain_order="left")
        .join(counts, on="task", how="left", maintain_order="left")
        .join(described, on="task", how="left", maintain_order="left")
        .with_columns(
            name=pl.coalesce("name", "task"),
            notes=pl.coalesce("counted", pl.lit(0, pl.UInt32)),
            tracks=pl.coalesce("tracks", "described_tracks"),
        )
        .drop("counted", "described_tracks")
    )
    return Facts(kept, table, rejects, waiting, failed)


_Parts = tuple[pl.LazyFrame, pl.DataFrame, pl.DataFrame, pl.DataFrame, pl.DataFrame, pl.DataFrame]


def _parts(source: Store | Flattened | pl.DataFrame | pl.LazyFrame) -> _Parts:
    """Give a source's notes, tasks, rejects, waiting and failed tasks, and names."""
    if isinstance(source, Flattened):
        return _of_tables(source)
    if isinstance(source, pl.DataFrame | pl.LazyFrame):
        return _of_notes(check_notes(source.lazy()))
    from kie_notes.store import Store

    if not isinstance(source, Store):
        raise TypeError(f"source: expected a Store, Flattened or a notes table, got {type(source).__name__}")
    return _of_store(source)


def _of_notes(notes: pl.LazyFrame) -> _Parts:
    ids = notes.select(pl.col("task").unique(maintain_order=True).cast(pl.String)).collect(engine="streaming")
    nothing = pl.lit(None, pl.UInt32)
    known = ids.select(
        "task", state=pl.lit("complete"), rejected=nothing, tracks=nothing, reason=pl.lit(None, pl.String)
    )
    return notes, known, REJECTS_SCHEMA.to_frame(), *_empty()


def _of_tables(flat: Flattened) -> _Parts:
    return flat.notes.lazy(), _known(flat.tasks), flat.rejects, *_empty()


def _of_store(store: Store) -> _Parts:
    waiting = store.open_tasks().select(_WAITING_SCHEMA.names())
    failed = store.failures().select(_FAILED_SCHEMA.names())
    told = pl.concat_str("title", pl.coalesce("stem", "label"), separator=" - ", ignore_nulls=True)
    about = pl.concat_str("tags", "model", separator=" · ", ignore_nulls=True)
    names = store.lineage().select("task", name=_unless_empty(told), about=_unless_empty(about)).collect()
    rejects = store.scan_rejects().collect(engine="streaming")
    return store.scan_notes(), _known(store.scan_tasks().collect()), rejects, waiting, failed, names


def _unless_empty(text: pl.Expr) -> pl.Expr:
    return pl.when(text != "").then(text)


def _known(tasks: pl.DataFrame) -> pl.DataFrame:
    """Give what is shown of a tasks table."""
    tracks = pl.when(pl.col("state").is_in(["complete", "empty"])).then("tracks")
    return tasks.select("task", "state", "rejected", tracks, reason="error_message")


def _empty() -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    return _WAITING_SCHEMA.to_frame(), _FAILED_SCHEMA.to_frame(), _NAMES_SCHEMA.to_frame()


def _chosen(known: pl.DataFrame, chosen: list[str]) -> pl.DataFrame:
    found = pl.DataFrame({"task": chosen}, schema={"task": pl.String}).join(
        known, on="task", how="left", maintain_order="left"
    )
    absent = found.filter(pl.col("state").is_null())["task"]
    if absent.len():
        raise ValueError(f"tasks: {absent[0]!r} is not in this source")
    return found
