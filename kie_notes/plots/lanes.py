"""The plane of a piano roll: where pitches and drum keys stand, and boxes for notes in it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import polars as pl

from kie_notes.instruments import is_drums
from kie_notes.palette import COLOURS, GREY

if TYPE_CHECKING:
    from collections.abc import Mapping

    from matplotlib.axes import Axes
    from matplotlib.collections import PolyCollection
    from numpy.typing import NDArray

PITCH_LABEL = "pitch (C4 = 60)"
TIME_LABEL = "time (s)"

#: Share of the height that one row of drums gets, and that all of them get at the most.
_DRUM_ROW, _DRUM_LANE = 0.05, 0.45


class Lanes(NamedTuple):
    """Where things stand on the y axis: the pitches' edges, and below them the drum keys, the most used first."""

    pitched: bool
    low: float
    high: float
    row: float
    bottom: float
    keys: dict[int, float]


def with_drums(notes: pl.DataFrame) -> pl.DataFrame:
    """Say of each note in ``drum`` whether its instrument is percussion."""
    names = notes["instrument"].cast(pl.String)
    return notes.with_columns(instrument=names, drum=names.is_in([name for name in names.unique() if is_drums(name)]))


def lanes_of(notes: pl.DataFrame) -> Lanes:
    """Share the height out between pitches and drum keys."""
    pitches = notes.filter(~pl.col("drum"))["pitch"]
    pitched = not pitches.is_empty()
    low, high = pitch_span(pitches) if pitched else (0.0, 0.0)
    used = notes.filter("drum")["pitch"].value_counts(sort=True).sort("count", "pitch", descending=[True, False])
    keys = used["pitch"].to_list()
    share = min(_DRUM_ROW * len(keys), _DRUM_LANE)
    row = (high - low) * share / (1 - share) / len(keys) if keys and pitched else 1.0
    bottom = low - (len(keys) + 0.5) * row if keys else low
    heights = {key: bottom + (step + 0.5) * row for step, key in enumerate(sorted(keys))}
    return Lanes(pitched, low, high, row, bottom, {key: heights[key] for key in keys})


def pitch_span(pitches: pl.Series) -> tuple[float, float]:
    """Give the edges of the pitches' rows, at least an octave apart."""
    numbers = pitches.to_numpy()
    low, high = float(numbers.min()) - 0.5, float(numbers.max()) + 0.5
    more = max(0.0, 12.0 - (high - low)) / 2
    return low - more, high + more


def label(ax: Axes, lanes: Lanes) -> None:
    """Label the axes of a roll, empty ones too."""
    ax.set_xlabel(TIME_LABEL)
    ax.set_ylabel(PITCH_LABEL if lanes.pitched or not lanes.keys else "drum key")


def frame_lanes(ax: Axes, notes: pl.DataFrame, lanes: Lanes) -> None:
    """Make room for the notes, name the rows, and part the drums from the pitches by a line."""
    from kie_notes.plots.look import key_ticks, name_pitches, pitch_ticks

    start, end = notes["start"].to_numpy().min(), notes["end"].to_numpy().max()
    ax.update_datalim([(0.0 if start < 0.05 * end else start, lanes.bottom), (end, lanes.high)])
    ax.margins(x=0.01, y=0.01)
    ax.autoscale_view()
    if lanes.pitched and lanes.keys:
        spine = ax.spines["left"]
        ax.axhline(lanes.low - lanes.row / 4, color=spine.get_edgecolor(), linewidth=spine.get_linewidth())
        ax.set_ylabel(PITCH_LABEL, loc="top")
    name_pitches(ax, pitch_ticks(lanes.low, lanes.high) if lanes.pitched else [], key_ticks(lanes.keys))


def boxes(notes: pl.DataFrame, lanes: Lanes) -> NDArray[np.float64]:
    """Give the four corners of each note."""
    drum, keys = pl.col("drum"), pl.col("pitch").replace_strict(lanes.keys, default=0.0, return_dtype=pl.Float64)
    y, half = pl.when(drum).then(keys).otherwise("pitch"), pl.when(drum).then(0.4 * lanes.row).otherwise(0.4)
    left, right, middle, reach = notes.select("start", "end", y.alias("y"), half.alias("half")).to_numpy().T
    corners = [[left, left, right, right], [middle - reach, middle + reach, middle + reach, middle - reach]]
    return np.array(corners).transpose(2, 1, 0)


def add_boxes(ax: Axes, notes: pl.DataFrame, lanes: Lanes) -> PolyCollection:
    """Add a box for each note, whose colours the caller sets."""
    from matplotlib.collections import PolyCollection

    corners = boxes(notes, lanes)
    made = PolyCollection(corners, edgecolor="face", linewidth=0.4, alpha=0.9)  # type: ignore[arg-type]  # an array is what it is fastest with
    ax.add_collection(made, autolim=False)
    return made


def add_voices(ax: Axes, notes: pl.DataFrame, lanes: Lanes, colour: Mapping[str, str]) -> dict[str, PolyCollection]:
    """Add a collection for each value of ``voice``, those with few notes on top."""
    from kie_notes.plots.look import plain

    made = {}
    for voice in sorted(notes.partition_by("voice", maintain_order=True), key=len, reverse=True):
        name = voice["voice"][0]
        made[name] = add_boxes(ax, voice, lanes)
        made[name].set(facecolor=colour[name], label=plain(name))
    return made


def voice_colours(ax: Axes, notes: pl.DataFrame) -> dict[str, str]:
    """Give each voice a colour, in the order of tracks; drums are grey, since their lane already tells them apart."""
    from kie_notes.plots.look import colours

    voices = notes.group_by("voice").agg(pl.col("track").min(), pl.col("drum").first()).sort("track", "voice")
    given: dict[str, str] = {}
    for drum, base in ((False, COLOURS), (True, (GREY,))):
        names = voices.filter(pl.col("drum") == drum)["voice"].to_list()
        given |= dict(zip(names, colours(ax, len(names), base), strict=True))
    return given
