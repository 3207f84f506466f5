"""Where in a beat a time is: what the helpers share that measure rhythm against beats.

Beats are a table with ``task`` and ``time`` (seconds), one row per beat, any order, other columns ignored; where none
is given, they are ``kie_notes.analysis.beat_tracking.beats`` of all the notes, drums included.

A time between two beats has the number of the beat before it, from 0, and as its **position** the fraction of the way
to the next, ``[0, 1)``. What is a microsecond short of a beat is on it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
import polars as pl

from kie_notes.analysis.beat_tracking import beats as beats_of
from kie_notes.analysis.door import per_task
from kie_notes.analysis.grouping import INSTANT, Drums, keep_drums
from kie_notes.errors import NotesSchemaError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Whole = NDArray[np.int64]

#: Times are compared as whole microseconds, each task's on a stretch of its own of one axis, twelve days wide.
_TICK: Final = 1e-6
_STRETCH: Final = 2**40

#: One row per distinct onset between two beats of its task: the number of beats that have a next one, the number of the
#: beat before the onset, the onset's position, and the seconds from that beat to the next.
_ONSETS: Final = pl.Schema(
    {
        "task": pl.String(),
        "beats": pl.Int64(),
        "beat": pl.Int64(),
        "position": pl.Float64(),
        "seconds": pl.Float64(),
    }
)


class Located(NamedTuple):
    """For each time: whether it is between two beats, the beats around it, their number, and how far on it is."""

    between: NDArray[np.bool_]
    number: Whole
    before: Floats
    after: Floats
    fraction: Floats


def beat_lists(notes: pl.LazyFrame, beats: pl.LazyFrame | pl.DataFrame | None) -> pl.LazyFrame:
    """Give one row per task with its beats as a list, ascending and distinct: those given, or else estimated."""
    if beats is None:
        times = beats_of(notes)
    else:
        have = beats.collect_schema()
        if have.get("task") not in (pl.String, pl.Categorical, pl.Enum) or have.get("time") != pl.Float64:
            got = ", ".join(f"'{name}' {dtype}" for name, dtype in have.items())
            raise NotesSchemaError(f"beats: expected columns 'task' of text and 'time' Float64, got {got}")
        times = beats.lazy().select(pl.col("task").cast(pl.String), "time")
    return times.group_by("task").agg(pl.col("time").unique().sort().alias("tap"))


def onset_positions(notes: pl.LazyFrame, beats: pl.LazyFrame | pl.DataFrame | None, drums: Drums) -> pl.LazyFrame:
    """Give one row per distinct onset that is between two beats of its task, in order within each task.

    Columns are those of ``_ONSETS``.
    """
    starts = per_task(keep_drums(notes, drums), start=pl.col("start"))
    tasks = starts.join(beat_lists(notes, beats), on="task", how="inner")
    return tasks.map_batches(_onset_positions, schema=_ONSETS, streamable=True)


def _onset_positions(tasks: pl.DataFrame) -> pl.DataFrame:
    rows, start = unfolded(tasks, "start")
    distinct = (np.diff(start, prepend=-np.inf) > INSTANT) | (np.diff(rows, prepend=-1) > 0)
    rows, start = rows[distinct], start[distinct]
    at = located(tasks, rows, start)
    kept = at.between
    columns = {
        "task": tasks["task"].gather(rows[kept]),
        "beats": tasks["tap"].list.len().cast(pl.Int64).gather(rows[kept]) - 1,
        "beat": at.number[kept],
        "position": np.clip(at.fraction[kept], 0, np.nextafter(1, 0)),
        "seconds": (at.after - at.before)[kept],
    }
    return pl.DataFrame(columns, schema=_ONSETS)


def unfolded(tasks: pl.DataFrame, name: str) -> tuple[Whole, Floats]:
    """Give the values of a column of lists one after the other, and the row that each is of."""
    rows = np.repeat(np.arange(tasks.height), tasks[name].list.len().to_numpy())
    return rows, tasks[name].explode(empty_as_null=False).to_numpy()


def located(tasks: pl.DataFrame, rows: Whole, time: Floats) -> Located:
    """Find times among the beats of their tasks; outside them, as if the first or last two went on as they do.

    Every row of ``tasks`` that ``rows`` names has beats in ``tap``; with fewer than two, nothing is found.
    """
    owner, tap = unfolded(tasks, "tap")
    edges = np.concatenate([[0], np.cumsum(tasks["tap"].list.len().to_numpy(), dtype=np.int64)])
    axis = owner * _STRETCH + np.round(tap / _TICK).astype(np.int64)
    place = rows * _STRETCH + np.round(time / _TICK).astype(np.int64)
    found = np.searchsorted(axis, place, side="right") - 1
    first, last = edges[rows], edges[rows + 1] - 2
    enough = last >= first
    nearest = np.clip(found, first, np.maximum(last, first))
    padded = np.append(tap, [np.nan, np.nan])  # for the last task, if it has no beats
    before, after = padded[nearest], padded[nearest + 1]
    with np.errstate(invalid="ignore", divide="ignore"):
        fraction = np.where(enough, (time - before) / (after - before), np.nan)
    return Located((found == nearest) & enough, nearest - first, before, after, fraction)
