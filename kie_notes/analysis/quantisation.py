"""Notes on a grid: their times moved to the nearest line, and how far each was moved.

Lines are either equally far apart in seconds, from 0 s on, or parts of the beats. A time goes to the nearest line; one
in the middle between two lines (to a microsecond) goes to the later. Nothing is dropped or merged: notes of one pitch
that come to lie on each other are both there.
"""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING, Final, Literal

import numpy as np
import polars as pl

from kie_notes.analysis.door import notes_helper, per_task
from kie_notes.analysis.grouping import INSTANT, check_choice
from kie_notes.analysis.positions import beat_lists, located, unfolded
from kie_notes.notes import sort_notes

if TYPE_CHECKING:
    from kie_notes.analysis.positions import Floats, Whole

#: What becomes of a note's end: moved to a line as well, moved by as much as the start, or left.
Ends = Literal["grid", "with start", "keep"]

_MOVED: Final = ("start_moved", "end_moved")
_ROW: Final = "__row"


@notes_helper
def quantise(
    notes: pl.LazyFrame,
    *,
    grid: float | None = None,
    beats: pl.LazyFrame | pl.DataFrame | None = None,
    steps: int = 4,
    ends: Ends = "grid",
) -> pl.LazyFrame:
    """Give the notes with their times on a grid, and how far each was moved.

    The result is a notes table again, in canonical order, with two columns more.

    Parameters
    ----------
    notes
        Notes table in canonical order. Drums are moved like any note.
    grid
        Seconds from line to line, > 0; lines are at ``k * grid``. Without it lines are parts of the beats.
    beats
        Table with ``task`` (text) and ``time`` (Float64, seconds), one row per beat; without it beats are estimated
        (``kie_notes.analysis.beat_tracking.beats``). Not to be given with ``grid``.
    steps
        Lines per beat, 1 to 96; before the first beat and after the last they go on as they were.
    ends
        ``grid``: ends are moved to the nearest line too, to the line after the start's where that would leave a note
        without duration. ``with start``: ends are moved as far as their starts, so that durations stay. ``keep``: ends
        stay, unless they would be before their start.

    Returns
    -------
    One row per note, in canonical order, tasks by name:

    - the columns of ``notes``, ``start`` and ``end`` moved; a note without duration has none afterwards, unless ends
      are kept; no time is below 0 s: what would be, goes to the first line that is not
    - ``start_moved``, ``end_moved`` (Float64): seconds, positive where the time is later than it was; null for a task
      that has fewer than two beats, whose times stay

    Raises
    ------
    NotesSchemaError
        If ``notes`` is not a notes table, or ``beats`` no table of beats.
    NotesOrderError
        If a task's notes do not stand together or their starts descend (an ``InvalidOperationError`` of the same text
        when a LazyFrame is collected).
    ValueError
        If an option has a value that it cannot have, ``grid`` and ``beats`` are both given, or ``notes`` has a column
        of the result's.

    References
    ----------
    With ``grid`` and ``ends="grid"`` times are those of ``numpy.round(start / grid) * grid``, middles apart, which
    NumPy sends to the even line.

    Examples
    --------
    >>> import polars as pl
    >>> from kie_notes.notes import NOTES_SCHEMA
    >>> rows = [("a", "Flute", 60, 0.125, 0.25, 0.5, 0), ("a", "Flute", 62, 0.5625, 1.125, 0.5, 0)]
    >>> result = quantise(pl.DataFrame(rows, schema=NOTES_SCHEMA, orient="row"), grid=0.5)
    >>> result.select("start", "end", "start_moved", "end_moved").rows()
    [(0.0, 0.5, -0.125, 0.25), (0.5, 1.0, -0.0625, -0.125)]
    """
    check_choice("ends", ends, Ends)
    if not 1 <= steps <= 96:
        raise ValueError(f"steps: expected 1 to 96, got {steps!r}")
    if grid is not None and not 0 < grid < math.inf:
        raise ValueError(f"grid: expected seconds above 0, got {grid!r}")
    if grid is not None and beats is not None:
        raise ValueError("grid, beats: expected one of the two, got both")
    schema = notes.collect_schema()
    taken = [name for name in _MOVED if name in schema]
    if taken:
        raise ValueError(f"notes: '{taken[0]}' is a column of the result; rename it first")
    names = [name for name in schema if name != "task"]
    lists = per_task(
        notes.with_columns(_task=pl.col("task")), ordered=True, **{name: pl.col(name) for name in [*names, "_task"]}
    )
    tasks = lists if grid is not None else lists.join(beat_lists(notes, beats), on="task", how="left")
    moved = {name: pl.List(pl.Float64()) for name in ("start", "end", *_MOVED)}
    result = tasks.collect_schema() | moved
    move = partial(_moved, grid=grid, steps=steps, ends=ends)
    rows = tasks.map_batches(move, schema=pl.Schema(result), streamable=True).sort("task")
    unfolded_rows = rows.select(pl.col("_task").alias("task"), *names, *_MOVED).explode("task", *names, *_MOVED)
    return sort_notes(unfolded_rows.select(*schema, *_MOVED))


def _moved(tasks: pl.DataFrame, *, grid: float | None, steps: int, ends: Ends) -> pl.DataFrame:
    rows, start = unfolded(tasks, "start")
    _, end = unfolded(tasks, "end")
    if grid is not None:
        new_start, new_end, line_after = (
            _on_grid(time, grid, more) for time, more in ((start, 0), (end, 0), (start, 1))
        )
    else:
        filled = tasks.with_columns(pl.col("tap").fill_null(pl.lit([], pl.List(pl.Float64()))))
        new_start, new_end, line_after = (
            _on_beats(filled, rows, time, steps, more) for time, more in ((start, 0), (end, 0), (start, 1))
        )
    if ends == "grid":
        new_end = np.where((end - start > INSTANT) & (new_end - new_start < INSTANT), line_after, new_end)
        new_end = np.maximum(new_end, new_start)
    else:
        new_end = new_start + (end - start) if ends == "with start" else np.maximum(end, new_start)
    values = {
        "start": np.where(np.isnan(new_start), start, new_start),
        "end": np.where(np.isnan(new_start), end, new_end),
        "start_moved": new_start - start,
        "end_moved": np.where(np.isnan(new_start), np.nan, new_end) - end,
    }
    flat = pl.DataFrame({_ROW: rows} | values).with_columns(pl.col(_MOVED).fill_nan(None))
    folded = flat.group_by(_ROW, maintain_order=True).agg(pl.all()).drop(_ROW)
    columns = [name for name in tasks.columns if name not in ("start", "end")]
    both = pl.concat([tasks.select(columns), folded], how="horizontal")
    return both.select(*tasks.columns, *_MOVED)


def _on_grid(time: Floats, grid: float, more: int) -> Floats:
    lines: Floats = (np.floor((time + INSTANT) / grid + 0.5) + more) * grid
    return lines


def _on_beats(tasks: pl.DataFrame, rows: Whole, time: Floats, steps: int, more: int) -> Floats:
    """Give the nearest line to each time, or one ``more`` lines later; NaN where a task has no two beats."""
    at = located(tasks, rows, time)
    span = at.after - at.before
    with np.errstate(invalid="ignore", divide="ignore"):
        line = np.floor(at.fraction * steps + 0.5 + INSTANT * steps / span)
        line += at.before + line * (span / steps) < -INSTANT
        line += more
        lines: Floats = np.where(line == steps, at.after, at.before + line * (span / steps))
    return np.where(np.isnan(at.fraction), np.nan, np.maximum(lines, 0))
