"""How a repair is made of a step: what it changes becomes a table, and nothing is lost.

A step adds three columns to the notes: ``START`` and ``END``, the new times, and ``REASON``. A note without a reason
stays as it is; one with a reason and without times is gone.
"""

from __future__ import annotations

import math
from functools import update_wrapper
from typing import TYPE_CHECKING, Concatenate, Generic, NamedTuple, ParamSpec, Protocol, cast

import polars as pl

from kie_notes.analysis.door import notes_helper
from kie_notes.analysis.grouping import INSTANT
from kie_notes.analysis.quality import NOTE, ROW, SHORTEST, TOGETHER, flagged, lengths_of, timed
from kie_notes.notes import NOTES_SCHEMA, Frame, sort_notes

if TYPE_CHECKING:
    from collections.abc import Callable

    from kie_notes.analysis.quality import Flag

P = ParamSpec("P")

#: Columns of the work: what becomes of a note's times, and why; null where nothing does.
START, END, REASON = "__new_start", "__new_end", "__reason"

#: Columns of the work: whether a note goes on with an earlier one, whether it can be gone on with, and which belong
#: together.
PART, WHOLE, CHAIN = "__part", "__whole", "__chain"


class Repaired(NamedTuple, Generic[Frame]):
    """What a repair gives.

    Attributes
    ----------
    notes
        Notes table in canonical order, with the columns that came in.
    changes
        One row per note that is no longer as it was, sorted by task, start, track, pitch and end: ``task`` (String),
        ``track`` (UInt16), ``instrument`` (String), ``pitch`` (UInt8), ``start`` and ``end`` as they were,
        ``new_start`` and ``new_end`` (Float64, null: the note is gone), ``reason`` (String): the flag, or
        ``lengthened`` for a note that others were merged into.
    """

    notes: Frame
    changes: Frame


class Repair(Protocol[P]):
    """A repair as people see it: DataFrames for a DataFrame, LazyFrames for a LazyFrame."""

    def __call__(self, notes: Frame, *args: P.args, **kwargs: P.kwargs) -> Repaired[Frame]:
        """Mend one thing."""
        ...


def repair(step: Callable[Concatenate[pl.LazyFrame, P], pl.LazyFrame]) -> Repair[P]:
    """Make a repair of a step that adds new times and reasons to what ``timed`` gives."""

    def marked(notes: pl.LazyFrame, /, *args: P.args, **kwargs: P.kwargs) -> pl.LazyFrame:
        # The user's own columns step aside: they may bear the name of a flag.
        columns = {name: name if name in NOTES_SCHEMA else f"__own_{name}" for name in notes.collect_schema().names()}
        done = step(timed(notes.rename(columns)), *args, **kwargs)
        return done.select(*(pl.col(own).alias(name) for name, own in columns.items()), ROW, START, END, REASON)

    helper = notes_helper(marked)

    def door(notes: Frame, *args: P.args, **kwargs: P.kwargs) -> Repaired[Frame]:
        return _parted(helper(notes, *args, **kwargs))

    update_wrapper(cast("Callable[..., object]", door), step)
    return door


def _parted(marked: Frame) -> Repaired[Frame]:
    touched = pl.col(REASON).is_not_null()
    times = {"start": pl.coalesce(START, "start"), "end": pl.coalesce(END, "end")}
    stays = marked.filter(~touched | pl.col(START).is_not_null()).sort(ROW)
    notes = sort_notes(stays.with_columns(**times).drop(ROW, START, END, REASON))
    changes = (
        marked.filter(touched)
        .with_columns(pl.col("task", "instrument").cast(pl.String))
        .sort("task", "start", "track", "pitch", "end", ROW)
        .select(*NOTE[:-1], new_start=START, new_end=END, reason=REASON)
    )
    return Repaired(notes, changes)


def merged(chains: pl.LazyFrame, flag: Flag, *keys: str) -> pl.LazyFrame:
    """Let the parts of each chain go, and lengthen its first note to the last end."""
    end, part = pl.col("end"), pl.col(PART)
    last = pl.when(WHOLE).then(end).max().over(*keys, CHAIN)
    longer = pl.col(WHOLE) & ~part & (last > end)
    return chains.with_columns(
        pl.when(longer).then("start").alias(START),
        pl.when(longer).then(last).alias(END),
        pl.when(part).then(pl.lit(flag)).when(longer).then(pl.lit("lengthened")).alias(REASON),
    )


def ticks(option: str, seconds: float) -> int:
    """Give an option's seconds as whole microseconds."""
    if not 0 <= seconds < math.inf:
        raise ValueError(f"{option}: expected seconds, 0 or more, got {seconds!r}")
    return round(seconds / INSTANT)


def without(work: pl.LazyFrame, flag: Flag, *, shortest: float = SHORTEST, together: float = TOGETHER) -> pl.LazyFrame:
    """Let the notes that bear a flag go."""
    nothing = pl.lit(None, pl.Float64)
    gone = pl.when(pl.col(flag).is_not_null()).then(pl.lit(flag))
    marked = flagged(work, [flag], lengths_of(None), shortest, together)
    return marked.with_columns(nothing.alias(START), nothing.alias(END), gone.alias(REASON))
