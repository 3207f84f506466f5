"""Histograms: how many notes, seconds or intervals there are of each pitch, pitch class, interval or length."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from kie_notes.plots.bars import draw_bins, draw_outlines
from kie_notes.plots.lanes import PITCH_LABEL, pitch_span
from kie_notes.plots.tables import VALUES, Table, axes, check_range, nothing, read_groups

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def pitch_histogram(result: Table, ax: Axes | None = None) -> Axes:
    """Draw what ``kie_notes.pitch_histogram`` gives: a bar a pitch.

    One group (one task, or all notes in one) is drawn as bars, up to 14 groups as one outline each.

    Parameters
    ----------
    result
        Columns ``pitch``, what tells groups apart, and ``count``, ``seconds``, ``velocity``, ``velocity_seconds`` or
        ``share``.
    ax
        Axes to draw on; without it, those of a new figure.

    Returns
    -------
    The axes: x in MIDI note numbers, y in the unit of the value.

    Raises
    ------
    NotesSchemaError
        If ``result`` is no such table.
    ValueError
        If it has over 14 groups, or values that it cannot have.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> axes = pitch_histogram(pl.DataFrame({"task": "t1", "pitch": [60, 64], "count": [3, 1]}), Figure().subplots())
    >>> axes.get_ylabel(), [int(bar.get_height()) for bar in axes.patches]
    ('notes', [3, 1])
    """
    frame, by, value = read_groups(result, "pitch_histogram", "pitch", VALUES)
    check_range(frame, "pitch", 0, 127)
    from kie_notes.plots.look import name_places, pitch_ticks

    frame = frame.filter(pl.col(value) != 0)
    ax = axes(ax)
    ax.set(xlabel=PITCH_LABEL, ylabel=VALUES[value])
    if frame.is_empty():
        return nothing(ax, "notes")
    draw_bins(ax, frame, by, "pitch", value)
    name_places(ax.xaxis, pitch_ticks(*pitch_span(frame["pitch"])))
    return ax


def pitch_class_histogram(result: Table, ax: Axes | None = None) -> Axes:
    """Draw what ``kie_notes.pitch_class_histogram`` gives: a bar for each of the twelve pitch classes.

    One group (one task, or all notes in one) is drawn as bars, up to 14 groups as one outline each.

    Parameters
    ----------
    result
        Columns ``pitch_class``, what tells groups apart, and ``count``, ``seconds``, ``velocity``,
        ``velocity_seconds`` or ``share``.
    ax
        Axes to draw on; without it, those of a new figure.

    Returns
    -------
    The axes: x from C (0) to B (11), y in the unit of the value.

    Raises
    ------
    NotesSchemaError
        If ``result`` is no such table.
    ValueError
        If it has over 14 groups, or values that it cannot have.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> table = pl.DataFrame({"task": "t1", "pitch_class": [0, 7], "share": [0.75, 0.25]})
    >>> pitch_class_histogram(table, Figure().subplots()).get_ylabel()
    'share (1 = all)'
    """
    frame, by, value = read_groups(result, "pitch_class_histogram", "pitch_class", VALUES)
    check_range(frame, "pitch_class", 0, 11)
    from kie_notes.plots.look import PITCH_CLASSES, name_columns

    ax = axes(ax)
    ax.set(xlabel="pitch class", ylabel=VALUES[value])
    name_columns(ax, PITCH_CLASSES)
    ax.set_xlim(-0.7, 11.7)
    if frame.is_empty():
        return nothing(ax, "notes")
    draw_bins(ax, frame, by, "pitch_class", value)
    return ax


def interval_histogram(result: Table, ax: Axes | None = None) -> Axes:
    """Draw what ``kie_notes.interval_histogram`` gives: a bar for each size of melodic interval.

    One group (one task, or all intervals in one) is drawn as bars, up to 14 groups as one outline each.

    Parameters
    ----------
    result
        Columns ``interval``, what tells groups apart, and ``count`` or ``share``.
    ax
        Axes to draw on; without it, those of a new figure.

    Returns
    -------
    The axes: x in semitones, above 0 upwards where the table has signs, y in intervals or shares.

    Raises
    ------
    NotesSchemaError
        If ``result`` is no such table.
    ValueError
        If it has over 14 groups, or values that it cannot have.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> table = pl.DataFrame({"task": "t1", "interval": [-2, 0, 7], "count": [5, 3, 1]})
    >>> [int(bar.get_height()) for bar in interval_histogram(table, Figure().subplots()).patches]
    [5, 3, 1]
    """
    from matplotlib.ticker import MaxNLocator

    labels = {"count": "melodic intervals", "share": VALUES["share"]}
    frame, by, value = read_groups(result, "interval_histogram", "interval", labels)
    check_range(frame, "interval", -127, 127)
    ax = axes(ax)
    ax.set(xlabel="interval (semitones)", ylabel=labels[value])
    if frame.is_empty():
        return nothing(ax, "intervals")
    draw_bins(ax, frame, by, "interval", value)
    ax.xaxis.set_major_locator(MaxNLocator(8, steps=[1, 2, 3, 6, 10], integer=True))
    return ax


def inter_onset_histogram(result: Table, ax: Axes | None = None) -> Axes:
    """Draw what ``kie_notes.inter_onset_histogram`` gives: a bar a bin, which doubles as steps go to the right.

    One group (one task or track) is drawn filled, up to 14 as one outline each.

    Parameters
    ----------
    result
        Columns ``bin_start``, ``bin_end``, what tells groups apart, and ``count`` or ``share``.
    ax
        Axes to draw on; without it, those of a new figure.

    Returns
    -------
    The axes: x in seconds, its ticks an octave of durations apart (place = log2), y in intervals or shares.

    Raises
    ------
    NotesSchemaError
        If ``result`` is no such table.
    ValueError
        If it has over 14 groups, or values that it cannot have.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> table = pl.DataFrame({"task": "t1", "bin_start": [0.25, 0.5], "bin_end": [0.5, 1.0], "count": [8, 2]})
    >>> axes = inter_onset_histogram(table, Figure().subplots())
    >>> axes.get_xlabel(), axes.patches[0].get_data().edges.tolist()
    ('inter-onset interval (s)', [-2.0, -1.0, 0.0])
    """
    return _octaves(result, ax, "inter_onset_histogram", "inter-onset interval (s)", "inter-onset intervals")


def duration_histogram(result: Table, ax: Axes | None = None) -> Axes:
    """Draw what ``kie_notes.duration_histogram`` gives: a bar a bin, which doubles as steps go to the right.

    One group (one task, or all notes in one) is drawn filled, up to 14 as one outline each. Notes without duration
    have a bar at 0, apart from the others.

    Parameters
    ----------
    result
        Columns ``bin_start``, ``bin_end``, what tells groups apart, and ``count`` or ``share``.
    ax
        Axes to draw on; without it, those of a new figure.

    Returns
    -------
    The axes: x in seconds, its ticks an octave of durations apart (place = log2), y in notes or shares.

    Raises
    ------
    NotesSchemaError
        If ``result`` is no such table.
    ValueError
        If it has over 14 groups, or values that it cannot have.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> table = pl.DataFrame({"task": "t1", "bin_start": [0.25, 0.5], "bin_end": [0.5, 1.0], "count": [8, 2]})
    >>> axes = duration_histogram(table, Figure().subplots())
    >>> axes.get_xlabel(), axes.get_ylabel(), axes.patches[0].get_data().values.tolist()
    ('duration (s)', 'notes', [8.0, 2.0])
    """
    return _octaves(result, ax, "duration_histogram", "duration (s)", "notes")


def _octaves(result: Table, ax: Axes | None, helper: str, label: str, counted: str) -> Axes:
    """Draw bins whose edges are powers of two, so many to an octave, at their logarithms."""
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    labels = {"count": counted, "share": VALUES["share"]}
    frame, by, value = read_groups(result, helper, "bin_start", labels, end="bin_end")
    ax = axes(ax)
    ax.set(xlabel=label, ylabel=labels[value])
    if frame.is_empty():
        return nothing(ax, counted)
    some = frame.filter(pl.col("bin_start") > 0)
    width = some.select((pl.col("bin_end") / pl.col("bin_start")).log(2).min()).item() or 1.0
    step = (pl.col("bin_start").log(2) / width).round()
    none = (some.select(step.min()).item() or 0.0) - 2.0  # no duration has no logarithm: its bar stands apart
    at = pl.when(pl.col("bin_start") > 0).then(step).otherwise(none).cast(pl.Int64)
    placed = frame.with_columns(step=at, bin_end=pl.lit(None))
    draw_outlines(ax, placed, by, "step", value, width=width)
    apart = (none + 1.5) * width if len(some) < len(frame) else -np.inf

    def name(place: float, _: object) -> str:
        return "0" if place < apart else f"{2.0**place:.2g}"

    ax.xaxis.set_major_locator(MaxNLocator(8, integer=True))
    ax.xaxis.set_major_formatter(FuncFormatter(name))
    ax.set_ylim(bottom=0)
    return ax
