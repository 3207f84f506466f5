"""The onsets of a part: the times at which notes of one track of one task start, and what is struck there."""

from __future__ import annotations

from typing import Final

import polars as pl

from kie_notes.analysis.door import per_track
from kie_notes.analysis.grouping import INSTANT, entropy

#: Pitch classes of the black keys.
_BLACK: Final = (1, 3, 6, 8, 10)

#: The columns that name a part, and its number in the work.
PART: Final = ("task", "instrument", "track")
NUMBER, _ONSET = "__number", "__onset"


def fullest(window: float) -> tuple[pl.Expr, pl.Expr]:
    """Give the most notes that start in a window, and where the first such window begins."""
    start = pl.col("start")
    notes = start.search_sorted(start + (window - INSTANT), side="left").cast(pl.Int64) - pl.int_range(pl.len())
    return notes.max().cast(pl.Float64), start.gather(notes.arg_max()).first()


def part_onsets(notes: pl.LazyFrame, /, **answers: pl.Expr) -> pl.LazyFrame:
    """Give a row per part and onset, in order: its notes, its edges, and what lies between it and the one before."""
    start, pitch = pl.col("start"), pl.col("pitch")
    now = start + INSTANT
    begun = start.search_sorted(now, side="right").cast(pl.Int64)
    ended = pl.col("end").sort().search_sorted(now, side="right").cast(pl.Int64)
    parts = per_track(notes, onset=start, note=pitch, sounding=begun - ended, **answers).with_row_index(NUMBER)
    rows = parts.explode("onset", "note", "sounding")
    other = (pl.col(NUMBER) != pl.col(NUMBER).shift()) | (pl.col("onset").diff() > INSTANT)
    onsets = (
        rows.with_columns(other.fill_null(value=True).cum_sum().alias(_ONSET))
        .group_by(_ONSET)
        .agg(
            pl.col(NUMBER, *PART, *answers).first(),
            start=pl.col("onset").first(),
            struck=pl.len(),
            top=pl.col("note").max(),
            bottom=pl.col("note").min(),
            sounding=pl.col("sounding").max().cast(pl.UInt32),
        )
        .sort(_ONSET)
    )
    same = pl.col(NUMBER) == pl.col(NUMBER).shift()
    step = (pl.col("top").cast(pl.Int16) - pl.col("top").shift().cast(pl.Int16)).abs().cast(pl.UInt8)
    return onsets.with_columns(movement=pl.when(same).then(step), interval=pl.when(same).then(pl.col("start").diff()))


def of_notes(window: float) -> dict[str, pl.Expr]:
    """The demands that are answered over a part's notes."""
    pitch, start = pl.col("pitch"), pl.col("start")
    times, pitches = start.sort_by(pitch, maintain_order=True), pitch.sort()
    again = times.diff().filter((pitches == pitches.shift()) & (times.diff() > INSTANT))
    return {
        "notes": pl.len().cast(pl.UInt32),
        "peak_notes_per_second": fullest(window)[0],
        "fastest_repetition": 1 / again.min(),
        "pitch_range": pitch.max() - pitch.min(),
        "pitch_entropy": entropy(pitch.unique_counts()),
        "black_key_share": (pitch % 12).is_in(_BLACK).mean(),
    }
