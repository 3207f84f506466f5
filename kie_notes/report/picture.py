"""A small piano roll as SVG, for a reader of the page who has JavaScript turned off."""

from __future__ import annotations

from typing import Final

import polars as pl

from kie_notes.instruments import is_drums
from kie_notes.palette import COLOURS, GREY

#: Width of the picture in its own units, and heights of a pitch and of the lane of drums.
_WIDTH, _ROW, _DRUM_ROW = 1000, 4, 4

#: Strokes at the most: one for all notes of a track and pitch that begin at the same of ``_WIDTH`` places.
_MOST: Final = 4000


def picture(notes: pl.DataFrame, task: str) -> str:
    """Draw one task's notes as an SVG element: time to the right, pitch upwards, drums below, a colour a track.

    Parameters
    ----------
    notes
        Notes table that holds the task.
    task
        Its id.
    """
    one = notes.filter(pl.col("task").cast(pl.String) == task)
    names = one.select("track", pl.col("instrument").cast(pl.String)).unique().sort("track", "instrument")
    drums = [name for name in names["instrument"].unique() if is_drums(name)]
    strokes, height = _strokes(one, drums)
    melodic = [name for name in names.rows() if name[1] not in drums]
    paths = []
    for (track, name), its in strokes.group_by("track", "instrument", maintain_order=True):
        colour = GREY if name in drums else COLOURS[melodic.index((track, name)) % len(COLOURS)]
        drawn = "".join(f"M{x} {y}h{wide}" for x, y, wide in its.select("x", "y", "wide").rows())
        paths.append(f'<path stroke="{colour}" d="{drawn}"/>')
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" role="img" fill="none"'
        f' aria-label="Piano roll" stroke-width="{_ROW - 1}">{"".join(paths)}</svg>'
    )


def _strokes(one: pl.DataFrame, drums: list[str]) -> tuple[pl.DataFrame, int]:
    """Give where strokes stand (track, instrument, x, y, wide), and the height of it all."""
    drum = pl.col("instrument").is_in(drums)
    rows = one.with_columns(pl.col("instrument").cast(pl.String)).with_columns(drum=drum)
    pitched, struck = (rows.filter(pl.col("drum") == wanted)["pitch"] for wanted in (False, True))
    top, low = (int(pitched.max()), int(pitched.min())) if pitched.len() else (0, 0)  # type: ignore[arg-type]
    lane = ((top - low + 3) if pitched.len() else 0) * _ROW
    keys = struck.unique().sort(descending=True).to_list()
    scale = _WIDTH / max(float(one["end"].max() or 0), 1e-9)  # type: ignore[arg-type]
    key = pl.col("pitch").replace_strict(keys, range(len(keys)), default=0, return_dtype=pl.Int64)
    y = pl.when("drum").then(lane + (key + 1) * _DRUM_ROW).otherwise((top - pl.col("pitch").cast(pl.Int64) + 1) * _ROW)
    x = (pl.col("start") * scale).cast(pl.Int64)
    drawn = rows.select("track", "instrument", x=x, y=y, wide=(pl.col("end") * scale).ceil().cast(pl.Int64) - x)
    merged = drawn.group_by("track", "instrument", "x", "y").agg(pl.col("wide").max().clip(lower_bound=1))
    return merged.sort("track", "instrument", "x", "y").head(_MOST), lane + (len(keys) + 2) * _DRUM_ROW
