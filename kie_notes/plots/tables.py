"""Whether a table is the result that a picture draws, and what of it is drawn. Knows nothing of matplotlib."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np
import polars as pl

from kie_notes.errors import NotesSchemaError

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from matplotlib.axes import Axes

Table: TypeAlias = pl.DataFrame | pl.LazyFrame

#: What a column must hold.
Kind: TypeAlias = Literal["numbers", "whole numbers", "text", "lists of whole numbers"]

#: As many outlines can still be told apart.
_MOST_GROUPS = 14

#: More rows of names than this are no picture.
_MOST_ROWS = 200

#: More windows than a picture can show; hardly any task is a million windows long.
_MOST_WINDOWS = 1_000_000

#: Value columns of histograms, and what stands at their axis.
VALUES = {
    "count": "notes",
    "seconds": "duration (s)",
    "velocity": "sum of velocities",
    "velocity_seconds": "velocity x time (s)",
    "share": "share (1 = all)",
}


def axes(ax: Axes | None) -> Axes:
    """Give the axes to draw on: those passed, or those of a new figure."""
    if ax is not None:
        return ax
    import matplotlib.pyplot as plt

    return plt.subplots(layout="constrained")[1]


def nothing(ax: Axes, what: str) -> Axes:
    """Write into empty axes what there is none of."""
    colour = ax.xaxis.label.get_color()
    ax.text(0.5, 0.5, f"no {what}", transform=ax.transAxes, ha="center", va="center", color=colour)
    return ax


def read(
    result: Table,
    helper: str,
    columns: Mapping[str, Kind],
    *,
    one: Collection[str] | None = ("task",),
) -> pl.DataFrame:
    """Give the named columns of a helper's result, or say why it is none.

    ``one`` names the columns that must hold a single value (None: all columns but the named): a picture of one task.
    """
    schema = check(result, helper, columns)
    alone = [name for name in schema if (name not in columns if one is None else name in one)]
    refuse_several(result, helper, alone)
    return result.lazy().select(*columns).collect(engine="streaming")


def check(result: Table, helper: str, columns: Mapping[str, Kind]) -> pl.Schema:
    """Give the schema of a result that has these columns."""
    if not isinstance(result, pl.DataFrame | pl.LazyFrame):
        raise NotesSchemaError(f"not a result of {helper}: expected a frame, got {type(result).__name__}")
    schema = result.collect_schema()
    faults = [
        f"no column '{name}'" if name not in schema else f"'{name}' is {schema[name]}, expected {kind}"
        for name, kind in columns.items()
        if name not in schema or not _holds(schema[name], kind)
    ]
    if faults:
        raise NotesSchemaError(f"not a result of {helper}: {'; '.join(faults)}; {_have(schema)}")
    return schema


def _have(schema: pl.Schema) -> str:
    return "got " + (", ".join(f"'{name}' ({dtype})" for name, dtype in schema.items()) or "no columns")


def _holds(dtype: pl.DataType, kind: Kind) -> bool:
    if kind == "numbers":
        return dtype.is_numeric()
    if kind == "whole numbers":
        return dtype.is_integer()
    if kind == "text":
        return dtype in (pl.String, pl.Categorical, pl.Enum)
    return isinstance(dtype, pl.List) and dtype.inner is not None and pl.Series(dtype=dtype.inner).dtype.is_integer()


def refuse_several(result: Table, helper: str, alone: Collection[str]) -> None:
    """Raise if a column that must tell one thing tells several; a scan of many is not read for the refusal."""
    for name in alone:
        column = pl.col(name)
        some = result.lazy().select(column.unique().head(4)).collect(engine="streaming")[name]
        if len(some) > 1:
            values = some.cast(pl.String).to_list() if _holds(some.dtype, "text") else some.to_list()
            values = sorted(values, key=str)
            told = ", ".join(map(repr, values[:3])) + (", ..." if len(values) > 3 else "")
            keep = f".filter(pl.col({name!r}) == {values[0]!r})"
            raise ValueError(f"{helper}: a picture shows one {name}, got several ({told}): keep one with {keep}")


def read_rows(result: Table, helper: str, columns: Mapping[str, Kind]) -> pl.DataFrame:
    """Give a result that is drawn row by row, with what names a row in ``row``."""
    schema = check(result, helper, columns)
    by = [name for name in schema if name in ("task", "instrument", "track") and name not in columns]
    by = by or [name for name in schema if name not in columns][:1]
    frame = result.lazy().select(*by, *columns).collect(engine="streaming")
    check_rows(len(frame))
    told = [name for name in by if frame[name].n_unique() > 1] or by[:1]
    row = pl.concat_str([pl.col(name).cast(pl.String) for name in told], separator=", ") if told else pl.lit(helper)
    return frame.with_columns(row=row.fill_null("null"))


def names_of(frame: pl.DataFrame, name: str) -> list[str]:
    """Give the different names of rows in the order in which they come, if a picture can show them."""
    names = frame[name].unique(maintain_order=True).to_list()
    check_rows(len(names))
    return names


def track_names() -> pl.Expr:
    """Name each track after its instrument, with its number before it where several tracks have one name."""
    name, shared = pl.col("instrument").cast(pl.String), pl.col("track").n_unique().over("instrument") > 1
    return pl.when(shared).then(pl.format("{} {}", "track", name)).otherwise(name)


def check_rows(number: int) -> None:
    """Raise if no picture can show as many rows."""
    if number > _MOST_ROWS:
        raise ValueError(f"{number} rows, more than the {_MOST_ROWS} that a picture can show: filter the result")


def read_groups(
    result: Table, helper: str, position: str, values: Mapping[str, str], *, end: str = ""
) -> tuple[pl.DataFrame, list[str], str]:
    """Give a result, the columns that tell its groups apart and that of its values, or say why it is none.

    ``end`` names the column where a step that begins at ``position`` ends, if the result has one.
    """
    schema = check(result, helper, {end: "numbers"} if end else {})
    found = [name for name in values if name in schema]
    if position not in schema or len(found) != 1 or not all(schema[name].is_numeric() for name in (position, *found)):
        wanted = found[0] if len(found) == 1 else " or ".join(map(repr, values))
        raise NotesSchemaError(
            f"not a result of {helper}: expected numbers in '{position}' and {wanted}, {_have(schema)}"
        )
    by = [name for name in schema if name not in (position, found[0], end)]
    if by:
        groups = result.lazy().select(by).unique().head(_MOST_GROUPS + 1).collect(engine="streaming")
        if len(groups) > _MOST_GROUPS:
            many = f"over {_MOST_GROUPS} groups by {' and '.join(map(repr, by))}"
            raise ValueError(f"{many}, which no picture keeps apart: filter the result, or sum it up")
    frame = result.lazy().collect(engine="streaming")
    if frame.select(*by, position).is_duplicated().any():
        raise ValueError(f"the same '{position}' twice in a group: was a column lost that tells tasks apart?")
    return frame, by, found[0]


def check_range(frame: pl.DataFrame, position: str, lowest: int, highest: int) -> None:
    """Raise if a column of whole numbers holds others."""
    if not frame.schema[position].is_integer():
        raise ValueError(f"'{position}': expected whole numbers, got {frame.schema[position]}")
    wrong = frame.filter(~pl.col(position).is_between(lowest, highest))
    if not wrong.is_empty():
        raise ValueError(f"'{position}': expected {lowest} to {highest}, got {wrong[position][0]}")


def window_of(starts: pl.Series) -> float:
    """Give the length of the windows that begin at ``starts``: a single one, which does not say, counts as a second."""
    places = starts.unique().sort().to_numpy()
    window = float(np.diff(places).min()) if len(places) > 1 else 1.0
    steps = places / window
    if not np.allclose(steps, steps.round(), rtol=0.0, atol=1e-3) or np.ptp(steps) > _MOST_WINDOWS:
        raise ValueError("'window_start': windows of several lengths, expected one: draw them one after the other")
    return window
