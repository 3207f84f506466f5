"""What is drawn over a piano roll, or any axes whose x is time in seconds: beats, motifs, the skyline, chord names.

Each makes empty axes into a time line, and takes others as they are: their labels and their y axis stay.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from kie_notes.palette import COLOURS
from kie_notes.plots.lanes import PITCH_LABEL, TIME_LABEL, pitch_span
from kie_notes.plots.tables import Table, axes, nothing, read

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def beats(result: Table, ax: Axes | None = None) -> Axes:
    """Draw what ``kie_notes.beats`` gives: a thin line at each beat, over what the axes show already.

    Parameters
    ----------
    result
        Column ``time``, of one task.
    ax
        Axes to draw on, such as those of a piano roll; without it, those of a new figure.

    Returns
    -------
    The axes: x in seconds.

    Raises
    ------
    NotesSchemaError
        If ``result`` is no such table.
    ValueError
        If it holds several tasks.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> axes = beats(pl.DataFrame({"task": "t1", "time": [0.5, 1.0, 1.5]}), Figure().subplots())
    >>> len(axes.collections[0].get_segments()), axes.get_xlabel()
    (3, 'time (s)')
    """
    times = read_beats(result)
    ax = _time_line(axes(ax))
    if times.is_empty():
        return nothing(ax, "beats")
    draw_beats(ax, times)
    return ax


def read_beats(result: Table) -> pl.Series:
    """Give the times of beats."""
    return read(result, "beats", {"time": "numbers"})["time"].drop_nulls()


def draw_beats(ax: Axes, times: pl.Series) -> None:
    """Draw a line from bottom to top at each time, behind the notes."""
    _lines(ax, times, 0.0, 1.0, alpha=0.35, label="beat")


def find_motif(result: Table, ax: Axes | None = None) -> Axes:
    """Draw what ``kie_notes.find_motif`` gives: a band over the time of each place, behind what the axes show already.

    Parameters
    ----------
    result
        Columns ``start`` and ``end``, of one task.
    ax
        Axes to draw on, such as those of a piano roll; without it, those of a new figure.

    Returns
    -------
    The axes: x in seconds.

    Raises
    ------
    NotesSchemaError
        If ``result`` is no such table.
    ValueError
        If it holds several tasks.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> axes = find_motif(pl.DataFrame({"task": "t1", "start": [0.5], "end": [2.0]}), Figure().subplots())
    >>> axes.collections[0].get_paths()[0].get_extents().intervalx.tolist()
    [0.5, 2.0]
    """
    places = read(result, "find_motif", {"start": "numbers", "end": "numbers"})
    ax = _time_line(axes(ax))
    if places.is_empty():
        return nothing(ax, "places of the motif")
    spans = [(start, end - start) for start, end in places.iter_rows()]
    made = ax.broken_barh(spans, (0, 1), transform=ax.get_xaxis_transform(), color=COLOURS[1], alpha=0.3, linewidth=0)
    made.set(zorder=0, label="motif")
    return ax


def skyline(result: Table, ax: Axes | None = None) -> Axes:
    """Draw what ``kie_notes.skyline`` gives: a line at the highest sounding pitch, over what the axes show already.

    Parameters
    ----------
    result
        Columns ``start``, ``end`` and ``pitch``, of one task.
    ax
        Axes to draw on, such as those of a piano roll; without it, those of a new figure.

    Returns
    -------
    The axes: x in seconds, y in MIDI note numbers.

    Raises
    ------
    NotesSchemaError
        If ``result`` is no such table.
    ValueError
        If it holds several tasks.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> table = pl.DataFrame({"task": "t1", "start": [0.0, 1.0], "end": [1.0, 2.0], "pitch": [60, 64]})
    >>> [line.tolist() for line in skyline(table, Figure().subplots()).collections[0].get_segments()]
    [[[0.0, 60.0], [1.0, 60.0]], [[1.0, 64.0], [2.0, 64.0]]]
    """
    from matplotlib.collections import LineCollection

    from kie_notes.plots.look import ink, name_pitches, pitch_ticks

    line = read(result, "skyline", {"start": "numbers", "end": "numbers", "pitch": "whole numbers"})
    ax = axes(ax)
    alone = not ax.has_data()
    if alone:
        ax.set(xlabel=TIME_LABEL, ylabel=PITCH_LABEL)
    if line.is_empty():
        return nothing(ax, "melody")
    start, end, pitch = line.cast(pl.Float64).to_numpy().T
    steps = np.array([[start, end], [pitch, pitch]]).transpose(2, 1, 0)
    ax.add_collection(LineCollection(list(steps), color=ink(ax), linewidth=1.4, label="skyline"), autolim=alone)
    if alone:
        low, high = pitch_span(line["pitch"])
        ax.update_datalim([(start.min(), low), (end.max(), high)])
        ax.margins(0.01)
        ax.autoscale_view()
        name_pitches(ax, pitch_ticks(low, high), [])
    return ax


def chord_names(ax: Axes, chords: pl.DataFrame, first: float, last: float) -> None:
    """Write chords above the axes, the longest first, and make a mark at the upper edge where each begins."""
    from kie_notes.plots.look import name_times, plain

    seen = chords.with_columns(pl.col("start").clip(first), pl.col("end").clip(None, last))
    longest = seen.sort(pl.col("end") - pl.col("start"), descending=True, maintain_order=True)
    places = longest.select((pl.col("start") + pl.col("end")) / 2, pl.col("chord").cast(pl.String))
    name_times(ax, [(place, plain(name)) for place, name in places.iter_rows()])
    _lines(ax, seen["start"], 0.96, 1.0, alpha=1.0, label="chord")


def _lines(ax: Axes, times: pl.Series, low: float, high: float, *, alpha: float, label: str) -> None:
    """Draw lines between two heights of the axes, 0 to 1, behind the notes; limits grow sideways only."""
    from matplotlib.collections import LineCollection

    from kie_notes.plots.look import ink

    at = times.to_numpy()
    segments = np.array([[at, at], [np.full(len(at), low), np.full(len(at), high)]]).transpose(2, 1, 0)
    made = LineCollection(list(segments), transform=ax.get_xaxis_transform(), color=ink(ax), linewidth=0.6)
    made.set(alpha=alpha, label=label, zorder=0.6)
    ax.add_collection(made, autolim=False)
    if len(at):
        ax.update_datalim([(at.min(), 0.0), (at.max(), 0.0)], updatey=False)
        ax.autoscale_view(scaley=False)


def _time_line(ax: Axes) -> Axes:
    """Label axes that show nothing yet."""
    if not ax.has_data():
        ax.set_xlabel(TIME_LABEL)
        ax.set_yticks([])
    return ax
