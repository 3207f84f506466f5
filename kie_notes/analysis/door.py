"""What happens at the door of every helper, in one place.

A helper is written once, lazily: it gets a checked LazyFrame and gives a LazyFrame. ``notes_helper`` lets people call
it with a DataFrame too. ``per_task`` and ``per_track`` are the ways to one row per task or per track: they need each
task's notes to stand together and, by default, the starts to ascend, and they see to it that a table in another order
is an error and never a wrong number.
"""

from __future__ import annotations

from functools import update_wrapper
from typing import TYPE_CHECKING, Concatenate, ParamSpec, Protocol, cast

import polars as pl

from kie_notes.errors import NotesOrderError
from kie_notes.notes import check_notes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from kie_notes.notes import Frame

P = ParamSpec("P")

#: The words by which an order fault in a running query is known again.
_NOT_IN_ORDER = "notes are not in canonical order; call sort_notes(notes) first"

#: Columns of the work: a stretch of rows of one task, whether its starts descend somewhere, and its tracks.
_RUN, DESCENDS, _LANE, TRACK_RUN = "__run", "__descends", "__lane", "__track_run"


class Helper(Protocol[P]):
    """A helper as people see it: a LazyFrame in, a LazyFrame out; a DataFrame in, a DataFrame out."""

    def __call__(self, notes: Frame, *args: P.args, **kwargs: P.kwargs) -> Frame:
        """Answer one question about the notes."""
        ...


def notes_helper(helper: Callable[Concatenate[pl.LazyFrame, P], pl.LazyFrame]) -> Helper[P]:
    """Make a lazy helper take a DataFrame as well, and check that what comes is a notes table."""

    def door(notes: Frame, *args: P.args, **kwargs: P.kwargs) -> Frame:
        checked = check_notes(notes)
        if isinstance(checked, pl.LazyFrame):
            return helper(checked, *args, **kwargs)
        try:
            return helper(checked.lazy(), *args, **kwargs).collect(engine="streaming")
        except pl.exceptions.InvalidOperationError as fault:
            if _NOT_IN_ORDER not in str(fault):
                raise
            task = str(fault).partition("task ")[2].partition(f": {_NOT_IN_ORDER}")[0]
            raise NotesOrderError(f"task {task}: {_NOT_IN_ORDER}") from fault

    update_wrapper(cast("Callable[..., object]", door), helper)
    return door


def per_task(notes: pl.LazyFrame, /, *, ordered: bool = True, **answers: pl.Expr) -> pl.LazyFrame:
    """Evaluate ``answers`` over each task's notes: one row per task, ``task`` as String first, in no particular order.

    A task in two stretches of rows, or (``ordered``) a start below its predecessor's, ends the query with an error that
    names the task.
    """
    return in_order(per_run(notes, descends(ordered=ordered), **answers))


def per_track(notes: pl.LazyFrame, /, **answers: pl.Expr) -> pl.LazyFrame:
    """Evaluate ``answers`` over the notes of each task's tracks, which come in the order of their starts.

    One row per task and track (and instrument, where somebody's own frame gives one number to several), in no
    particular order: ``task``, ``instrument`` as String, ``track``, the answers. Errors are those of ``per_task``.
    """
    return of_tracks(
        track_rows(notes, {name for answer in answers.values() for name in answer.meta.root_names()}), **answers
    )


def track_rows(notes: pl.LazyFrame, columns: Iterable[str]) -> pl.LazyFrame:
    """Lay the tracks of each task one after the other, unchecked, each numbered by ``TRACK_RUN``: for ``of_tracks``.

    Columns beside the names are ``columns``. No row waits for others than those of its task.
    """
    lane = pl.col("track").cast(pl.UInt64) * 2**32 + pl.col("instrument").to_physical().fill_null(2**32 - 1)
    # One sort of a struct: of columns each would be sorted by itself.
    row = pl.struct(_LANE, *sorted({*columns, "track", "instrument"})).sort_by(_LANE, maintain_order=True)
    rows = per_run(notes.with_columns(lane.alias(_LANE)), descends(ordered=True), row.alias(_LANE)).explode(_LANE)
    flat = rows.select("task", _RUN, DESCENDS, pl.col(_LANE).struct.unnest())
    other = (pl.col(_RUN) != pl.col(_RUN).shift()) | (pl.col(_LANE) != pl.col(_LANE).shift())
    return flat.with_columns(other.fill_null(value=True).cum_sum().rle_id().alias(TRACK_RUN)).drop(_LANE)


def of_tracks(rows: pl.LazyFrame, /, **answers: pl.Expr) -> pl.LazyFrame:
    """Evaluate ``answers`` over each track of ``track_rows``: what ``per_track`` gives."""
    names = pl.col("task", "instrument", "track", _RUN, DESCENDS).first()
    tracks = rows.group_by(TRACK_RUN).agg(names, **answers)
    return in_order(tracks.drop(TRACK_RUN).with_columns(pl.col("instrument").cast(pl.String)))


def per_run(notes: pl.LazyFrame, /, *answers: pl.Expr, **named_answers: pl.Expr) -> pl.LazyFrame:
    """Evaluate ``answers`` over each stretch of rows of one task, unchecked: a step on the way to ``in_order``.

    The streaming engine finds the stretches without hashing or sorting, provided that the key is a column of its own.
    """
    runs = notes.with_columns(pl.col("task").rle_id().alias(_RUN)).group_by(_RUN)
    return runs.agg(pl.col("task").first(), *answers, **named_answers)


def descends(*, ordered: bool) -> pl.Expr:
    """Say, among the answers to ``per_run``, whether the starts descend anywhere, if they may not."""
    return ((pl.col("start").diff() < 0).any() if ordered else pl.lit(value=False)).alias(DESCENDS)


def in_order(runs: pl.LazyFrame) -> pl.LazyFrame:
    """Let the answers of ``per_run`` through, ``task`` as String, unless the notes were not in canonical order."""
    apart = pl.col(_RUN) != pl.col(_RUN).min().over("task")
    fault = pl.when(pl.col(DESCENDS) | apart).then(pl.format("task {}: {}", pl.col("task"), pl.lit(_NOT_IN_ORDER)))
    return (
        runs.with_columns(pl.col("task").cast(pl.String))
        .filter(fault.cast(pl.Int8).is_null())  # a text is no Int8: the cast carries the message out of the engine
        .drop(_RUN, DESCENDS)
    )
