"""The range that General MIDI 2 recommends for an instrument, as expressions over ``instrument``.

The ranges are those of ``kie_notes.instruments``. For percussion they are the keys of the standard kit, 27 to 87; names
that General MIDI does not know, and programs for which it recommends nothing, have no range: null.
"""

from __future__ import annotations

from functools import partial
from typing import Final

import polars as pl

from kie_notes.instruments import drum_name, find_instrument

#: Keys that the General MIDI 2 standard kit names.
_DRUM_KEYS: Final = tuple(key for key in range(128) if drum_name(key) is not None)


def lowest_in_range() -> pl.Expr:
    """Give the lowest pitch of each note's instrument, UInt8, null where it has no range."""
    return pl.col("instrument").map_batches(partial(_bounds, at=0), return_dtype=pl.UInt8, is_elementwise=True)


def highest_in_range() -> pl.Expr:
    """Give the highest pitch of each note's instrument, UInt8, null where it has no range."""
    return pl.col("instrument").map_batches(partial(_bounds, at=1), return_dtype=pl.UInt8, is_elementwise=True)


def has_program(programs: frozenset[int]) -> pl.Expr:
    """Tell the notes whose instrument is one of these General MIDI programs; drums and unknown names are none."""
    return pl.col("instrument").map_batches(
        partial(_are_programs, programs=programs), return_dtype=pl.Boolean, is_elementwise=True
    )


def instrument_range(name: str) -> tuple[int | None, int | None]:
    """Give the lowest and the highest pitch that General MIDI 2 recommends for the instrument of that name."""
    found = find_instrument(name)
    if found is None:
        return None, None
    return (_DRUM_KEYS[0], _DRUM_KEYS[-1]) if found.is_drums else (found.lowest, found.highest)


def _bounds(instruments: pl.Series, at: int) -> pl.Series:
    # Names are looked up once per batch, not once per note.
    names = instruments.unique().drop_nulls()
    bounds = pl.Series("bound", [instrument_range(name)[at] for name in names], dtype=pl.UInt8)
    table = pl.DataFrame({"instrument": names, "bound": bounds})
    return instruments.to_frame("instrument").join(table, on="instrument", how="left", maintain_order="left")["bound"]


def _are_programs(instruments: pl.Series, programs: frozenset[int]) -> pl.Series:
    known = {name: find_instrument(name) for name in instruments.unique().drop_nulls()}
    chosen = [name for name, one in known.items() if one and not one.is_drums and one.program in programs]
    return instruments.is_in(chosen).fill_null(value=False)
