"""Curves over time: density, polyphony, harmonic change."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from kie_notes.palette import COLOURS
from kie_notes.plots.bars import draw_outlines, draw_stairs
from kie_notes.plots.lanes import TIME_LABEL
from kie_notes.plots.tables import Kind, Table, axes, nothing, read, read_groups, window_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: The circles of ``tonal_centroid``, in the order of its columns.
_CIRCLES = ("fifths", "minor_thirds", "major_thirds")


def onset_density(result: Table, ax: Axes | None = None) -> Axes:
    """Draw what ``kie_notes.onset_density`` gives: a step a window.

    One task is drawn filled, up to 14 as one outline each. Windows that the table lacks are left out of the line.

    Parameters
    ----------
    result
        Columns ``window_start``, ``notes_per_second``, and those that tell groups apart (``task``).
    ax
        Axes to draw on; without it, those of a new figure.

    Returns
    -------
    The axes: x in seconds, y in notes per second.

    Raises
    ------
    NotesSchemaError
        If ``result`` is no such table.
    ValueError
        If it has over 14 groups, or windows of several lengths.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> table = pl.DataFrame({"task": "t1", "window_start": [0.0, 1.0], "notes_per_second": [4.0, 2.0]})
    >>> onset_density(table, Figure().subplots()).get_ylabel()
    'onsets per second'
    """
    labels = {"notes_per_second": "onsets per second"}
    return _windows(result, ax, "onset_density", labels, "onsets")


def sounding_density(result: Table, ax: Axes | None = None) -> Axes:
    """Draw what ``kie_notes.sounding_density`` gives: a step a window.

    One task is drawn filled, up to 14 as one outline each. Windows that the table lacks are left out of the line.

    Parameters
    ----------
    result
        Columns ``window_start``, ``notes``, and those that tell groups apart (``task``).
    ax
        Axes to draw on; without it, those of a new figure.

    Returns
    -------
    The axes: x in seconds, y in notes that sound somewhere in the window.

    Raises
    ------
    NotesSchemaError
        If ``result`` is no such table.
    ValueError
        If it has over 14 groups, or windows of several lengths.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> table = pl.DataFrame({"task": "t1", "window_start": [0.0, 1.0], "notes": [3, 5]})
    >>> sounding_density(table, Figure().subplots()).get_ylabel()
    'notes sounding'
    """
    return _windows(result, ax, "sounding_density", {"notes": "notes sounding"}, "sounding notes")


def harmonic_change(result: Table, ax: Axes | None = None) -> Axes:
    """Draw what ``kie_notes.harmonic_change`` gives: a step a window, high where the harmony changes.

    One task is drawn filled, up to 14 as one outline each. Windows without a value are left out of the line.

    Parameters
    ----------
    result
        Columns ``window_start``, ``harmonic_change``, and those that tell groups apart (``task``).
    ax
        Axes to draw on; without it, those of a new figure.

    Returns
    -------
    The axes: x in seconds, y in the distance of tonal centroids, 0 to 3.

    Raises
    ------
    NotesSchemaError
        If ``result`` is no such table.
    ValueError
        If it has over 14 groups, or windows of several lengths.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> table = pl.DataFrame({"task": "t1", "window_start": [0.0, 1.0], "harmonic_change": [0.5, 0.25]})
    >>> harmonic_change(table, Figure().subplots()).get_ylabel()
    'harmonic change'
    """
    return _windows(result, ax, "harmonic_change", {"harmonic_change": "harmonic change"}, "harmonic change")


def polyphony_curve(result: Table, ax: Axes | None = None) -> Axes:
    """Draw what ``kie_notes.polyphony_curve`` gives: a step for each stretch of time.

    One task is drawn filled, up to 14 as one outline each.

    Parameters
    ----------
    result
        Columns ``start``, ``end``, ``pitches``, and those that tell groups apart (``task``), in the helper's order.
    ax
        Axes to draw on; without it, those of a new figure.

    Returns
    -------
    The axes: x in seconds, y in distinct pitches that sound.

    Raises
    ------
    NotesSchemaError
        If ``result`` is no such table.
    ValueError
        If it has over 14 groups, or stretches of a group overlap or do not ascend.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> table = pl.DataFrame({"task": "t1", "start": [0.0, 0.5], "end": [0.5, 2.0], "pitches": [1, 3]})
    >>> axes = polyphony_curve(table, Figure().subplots())
    >>> axes.get_ylabel(), axes.patches[0].get_data().edges.tolist()
    ('pitches sounding', [0.0, 0.5, 2.0])
    """
    from matplotlib.ticker import MaxNLocator

    labels = {"pitches": "pitches sounding"}
    frame, by, value = read_groups(result, "polyphony_curve", "start", labels, end="end")
    ax = axes(ax)
    ax.set(xlabel=TIME_LABEL, ylabel=labels[value])
    if frame.is_empty():
        return nothing(ax, "sounding notes")
    groups = frame.partition_by(by, maintain_order=True) if by else [frame]
    ax.margins(x=0.01)
    draw_stairs(ax, groups, by, [_stretches(group) for group in groups])
    ax.yaxis.set_major_locator(MaxNLocator(5, integer=True))
    return ax


def tonal_centroid(result: Table, ax: Axes | None = None) -> Axes:
    """Draw what ``kie_notes.tonal_centroid`` gives: six lines over time, one colour a circle.

    Sines are drawn through, cosines dashed. Silent windows, and those that the table lacks, are left out of the lines.

    Parameters
    ----------
    result
        Columns ``window_start`` and the six coordinates, of one task.
    ax
        Axes to draw on; without it, those of a new figure.

    Returns
    -------
    The axes: x in seconds, y from -1 to 1.

    Raises
    ------
    NotesSchemaError
        If ``result`` is no such table.
    ValueError
        If it holds several tasks, or windows of several lengths.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> names = [f"{circle}_{part}" for circle in ("fifths", "minor_thirds", "major_thirds") for part in ("sin", "cos")]
    >>> table = pl.DataFrame({"task": "t1", "window_start": [0.0, 1.0]} | {name: [0.5, -0.5] for name in names})
    >>> axes = tonal_centroid(table, Figure().subplots())
    >>> [text.get_text() for text in axes.get_legend().get_texts()][:2]
    ['fifths sin', 'fifths cos']
    """
    from kie_notes.plots.look import legend

    names = [f"{circle}_{part}" for circle in _CIRCLES for part in ("sin", "cos")]
    numbers: dict[str, Kind] = dict.fromkeys(["window_start", *names], "numbers")
    frame = read(result, "tonal_centroid", numbers).sort("window_start")
    ax = axes(ax)
    ax.set(xlabel=TIME_LABEL, ylabel="tonal centroid (-1 to 1)")
    if frame.is_empty():
        return nothing(ax, "tonal centroid")
    window = window_of(frame["window_start"])
    step = (pl.col("window_start") / window).round().cast(pl.Int64)
    frame = frame.with_columns(step=step)
    whole = pl.DataFrame({"step": np.arange(frame["step"][0], frame["step"][-1] + 1)})
    frame = whole.join(frame, on="step", how="left", maintain_order="left")
    middle = (frame["step"].to_numpy() + 0.5) * window
    ax.margins(x=0.01)
    drawn = []
    for at, name in enumerate(names):
        values = frame[name].cast(pl.Float64).fill_null(np.nan).to_numpy()
        stroke = "--" if at % 2 else "-"
        drawn += ax.plot(middle, values, stroke, color=COLOURS[at // 2], linewidth=0.9, label=name.replace("_", " "))
    legend(ax, drawn)
    return ax


def _windows(result: Table, ax: Axes | None, helper: str, labels: dict[str, str], what: str) -> Axes:
    """Draw one value a window; what is not there is a gap and no zero."""
    frame, by, value = read_groups(result, helper, "window_start", labels)
    ax = axes(ax)
    ax.set(xlabel=TIME_LABEL, ylabel=labels[value])
    known = frame.drop_nulls(value)
    if known.is_empty():
        return nothing(ax, what)
    window = window_of(frame["window_start"])
    steps = known.with_columns(step=(pl.col("window_start") / window).round().cast(pl.Int64))
    ax.margins(x=0.01)
    draw_outlines(ax, steps, by, "step", value, width=window, absent=np.nan)
    return ax


def _stretches(group: pl.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Give heights and edges of stretches of time, with a gap where one does not begin as the last one ends."""
    start, end, heights = group.sort("start").select("start", "end", "pitches").cast(pl.Float64).to_numpy().T
    if (end < start).any() or (end[:-1] > start[1:]).any():
        raise ValueError(
            "'start', 'end': expected stretches that do not overlap: was a column lost that tells tasks apart?"
        )
    edges = np.stack([start, end], axis=1).ravel()
    values = np.stack([heights, np.full(len(heights), np.nan)], axis=1).ravel()[:-1]
    kept = np.diff(edges) > 0
    return values[kept], edges[np.append(kept, True)]
