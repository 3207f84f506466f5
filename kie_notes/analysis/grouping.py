"""What a question is about: which notes it counts, what its rows are, and how values are added up.

Three rules hold for every helper that groups notes:

- **Drums** are the rows whose instrument is percussion (``kie_notes.instruments.is_drums``). What is left out is left
  out before anything is counted, so a group that has nothing else has no row.
- **Groups** are exactly the columns that ``by`` names, whatever the user joined onto the notes; a null is a group.
- **Sums are exact**: the answer depends neither on the order of the rows, nor on how many threads added them up, nor on
  the pieces that a data set was worked on in.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal, get_args

import numpy as np
import polars as pl

from kie_notes.instruments import is_drums

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

#: What becomes of the notes of drums: left out, counted with the others, or counted alone.
Drums = Literal["exclude", "include", "only"]

#: Times that are closer than this, in seconds, are the same time: what parts them is the rounding of floats. The finest
#: grid in use (960 ticks a quarter at 300 BPM) is 200 times coarser.
INSTANT: Final = 1e-6

#: Values are summed as integer multiples of this, in 128 bits. It is below the rounding of any time after 8 s.
_GRAIN: Final = 2.0**-50

#: The one group when ``by`` is empty, and the packed key of ``tally``.
_EVERYTHING, _CELL = "__everything", "__cell"

#: A task's code has 32 bits, a tally's code 16.
_CODES: Final = 2**16


def check_choice(option: str, value: str, choices: object) -> None:
    """Refuse a value that is none of a ``Literal``'s, naming them all."""
    if value not in get_args(choices):
        expected = ", ".join(f"'{choice}'" for choice in get_args(choices))
        raise ValueError(f"{option}: expected one of {expected}, got {value!r}")


def keep_drums(notes: pl.LazyFrame, drums: Drums) -> pl.LazyFrame:
    """Keep the notes that the option ``drums`` asks for."""
    check_choice("drums", drums, Drums)
    if drums == "include":
        return notes
    percussion = drums_mask()
    return notes.filter(percussion if drums == "only" else ~percussion)


def drums_mask() -> pl.Expr:
    """Tell percussion from pitched notes: an expression over ``instrument``, never null."""
    return _PERCUSSION


def _are_drums(instruments: pl.Series) -> pl.Series:
    # Names are read once per batch, not once per note: ten million names as text would cost more than most answers.
    names = instruments.gather(_one_of_each(instruments.to_physical())).to_list()
    mask = pl.repeat(value=False, n=len(instruments), dtype=pl.Boolean, eager=True)
    for kit in {name for name in names if name is not None and is_drums(name)}:
        mask |= instruments.eq_missing(kit)
    return mask


def _one_of_each(codes: pl.Series) -> pl.Series:
    """Give a row of each value: by a table of all values where they are small, as those of categories mostly are."""
    values = codes.to_numpy()
    if codes.null_count() or values.max(initial=0) > len(values):
        return codes.arg_unique()
    rows = np.zeros(len(values) + 1, np.uint32)
    rows[values] = np.arange(1, len(values) + 1)
    return pl.Series(rows[rows > 0] - 1)


#: One object for all queries: Polars works a call of Python out once for several queries only if it is the same object.
_PERCUSSION: Final = pl.col("instrument").map_batches(_are_drums, return_dtype=pl.Boolean, is_elementwise=True)


def group(notes: pl.LazyFrame, by: str | Sequence[str], *, result: Collection[str]) -> tuple[pl.LazyFrame, list[str]]:
    """Give the notes and the names of their group keys; with ``by`` empty, all notes get one key.

    ``result`` names the columns that the result adds, which no key may bear.
    """
    keys = [by] if isinstance(by, str) else list(by)
    have = notes.collect_schema().names()
    for key in keys:
        if key not in have:
            raise ValueError(f"by: no column '{key}'; there are {', '.join(have)}")
        if key in result:
            raise ValueError(f"by: '{key}' is a column of the result; rename it first")
        if keys.count(key) > 1:
            raise ValueError(f"by: '{key}' is named twice")
    if keys:
        return notes, keys
    return notes.with_columns(pl.lit(0, pl.UInt8).alias(_EVERYTHING)), [_EVERYTHING]


def finish_groups(groups: pl.LazyFrame, keys: list[str], *names: str, **columns: pl.Expr) -> pl.LazyFrame:
    """Give groups of one row their form: keys (names as String), ``names``, ``columns``; sorted by the keys."""
    shown = [key for key in keys if key != _EVERYTHING]
    texts = [pl.col(key).cast(pl.String) for key in shown if key in ("task", "instrument")]
    return groups.with_columns(texts).sort(keys).select(*shown, *names, **columns)


def finish(rows: pl.LazyFrame, keys: list[str], *, order: str, **columns: pl.Expr) -> pl.LazyFrame:
    """Give rows their form: keys (names as String), ``order``, ``columns``; sorted by the keys and ``order``.

    ``columns`` are evaluated over each group's rows, so a sum in them is the group's.
    """
    shown = [key for key in keys if key != _EVERYTHING]
    names = [pl.col(key).cast(pl.String) for key in shown if key in ("task", "instrument")]
    lists = {name: column.sort_by(order) for name, column in columns.items()}
    # Sorting groups and then unfolding them costs a quarter of sorting rows by their names.
    groups = rows.group_by(keys).agg(pl.col(order).sort(), **lists).with_columns(names)
    return groups.sort(keys).explode(order, *columns).select(*shown, order, *columns)


def tally(notes: pl.LazyFrame, keys: list[str], value: pl.Expr, /, **code: pl.Expr) -> pl.LazyFrame:
    """Aggregate ``value`` by the keys and a small integer, 0 to 65,535, which becomes a UInt16 column of its name.

    The task and the integer make one packed key, since hashing one number costs half of hashing two columns.
    """
    ((name, number),) = code.items()
    if "task" not in keys:
        return notes.group_by(*keys, number.cast(pl.UInt16).alias(name)).agg(value)
    task = pl.col("task").to_physical().cast(pl.UInt64).fill_null(2**32)
    others = [key for key in keys if key != "task"]
    cells = notes.group_by(*others, (task * _CODES + number).alias(_CELL)).agg(pl.col("task").first(), value)
    return cells.with_columns((pl.col(_CELL) % _CODES).cast(pl.UInt16).alias(name))


def as_categories(rows: pl.LazyFrame, keys: Collection[str]) -> pl.LazyFrame:
    """Make names among the keys categories: they unfold and hash for less. ``finish`` makes them names again."""
    return rows.with_columns(pl.col(key).cast(pl.Categorical) for key in keys if key in ("task", "instrument"))


def exact_sum(values: pl.Expr) -> pl.Expr:
    """Sum numbers as integers, in grains: exact in whatever order; ``as_number`` makes the result a number again."""
    return (values * (1 / _GRAIN)).round().cast(pl.Int128).sum()


def as_number(grains: pl.Expr) -> pl.Expr:
    """Give what ``exact_sum`` added up, as Float64."""
    return grains.cast(pl.Float64) * _GRAIN


def entropy(parts: pl.Expr) -> pl.Expr:
    """Give the entropy of whole numbers in bits, the same in whatever order, which that of Polars is not."""
    shares = parts.cast(pl.Float64) / parts.sum().cast(pl.Float64)
    return as_number(exact_sum(pl.when(parts > 0).then(-shares * shares.log(2))))


def share(part: pl.Expr) -> pl.Expr:
    """Give each part of a group's total as a fraction of it, null where the total is 0."""
    return (part.cast(pl.Float64) / part.sum().cast(pl.Float64)).fill_nan(None)
