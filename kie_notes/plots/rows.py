"""Drums, tempi and ranges: pictures with one row a drum key, a task or a part."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from kie_notes.palette import COLOURS, GREY
from kie_notes.plots.lanes import PITCH_LABEL
from kie_notes.plots.tables import (
    VALUES,
    Kind,
    Table,
    axes,
    check,
    check_rows,
    names_of,
    nothing,
    read,
    read_rows,
    track_names,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: Classes of drums, in the order in which a kit is told of.
_CLASSES = ("kick", "snare", "hat", "tom", "cymbal", "other", "unmapped")

#: Ticks of tempi, those first that must not be left out.
_TEMPI = (60, 120, 240, 30, 80, 160, 40, 320)


def drum_histogram(result: Table, ax: Axes | None = None) -> Axes:
    """Draw what ``kie_notes.drum_histogram`` gives: a bar a drum key, low keys below, one colour a class.

    Parameters
    ----------
    result
        Columns ``pitch``, ``drum``, ``drum_class``, and ``count`` or ``share``, of one group.
    ax
        Axes to draw on; without it, those of a new figure.

    Returns
    -------
    The axes: x in notes or shares, y one row a key that occurs.

    Raises
    ------
    NotesSchemaError
        If ``result`` is no such table.
    ValueError
        If it holds several groups.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> keys = {"pitch": [36, 38], "drum": ["Bass Drum 1", "Acoustic Snare"], "drum_class": ["kick", "snare"]}
    >>> axes = drum_histogram(pl.DataFrame({"task": "t1"} | keys | {"count": [8, 4]}), Figure().subplots())
    >>> axes.get_xlabel(), [text.get_text() for text in axes.get_yticklabels()]
    ('notes', ['Acoustic Snare', 'Bass Drum 1'])
    """
    from kie_notes.plots.look import legend, name_rows

    kinds: dict[str, Kind] = {"pitch": "whole numbers", "drum": "text", "drum_class": "text"}
    value = "share" if "share" in check(result, "drum_histogram", kinds) else "count"
    frame = read(result, "drum_histogram", {**kinds, value: "numbers"}, one=None).sort("pitch", descending=True)
    ax = axes(ax)
    ax.set(xlabel=VALUES[value], ylabel="drum key")
    if frame.is_empty():
        return nothing(ax, "drum notes")
    drawn = []
    for drum_class, colour in _class_colours().items():
        rows = (frame["drum_class"] == drum_class).arg_true()
        if len(rows):
            drawn.append(ax.barh(rows, frame[value].gather(rows), color=colour, label=drum_class))
    name_rows(ax, frame.select(pl.col("drum").fill_null(pl.format("key {}", "pitch"))).to_series().to_list())
    legend(ax, drawn)
    return ax


def drum_class_shares(result: Table, ax: Axes | None = None) -> Axes:
    """Draw what ``kie_notes.drum_class_shares`` gives: a bar a task (or other group), parted by class.

    Parameters
    ----------
    result
        Columns ``kick``, ``snare``, ``hat``, ``tom``, ``cymbal``, ``other``, ``unmapped``, and what names a row.
    ax
        Axes to draw on; without it, those of a new figure.

    Returns
    -------
    The axes: x the share of the group's drum notes, 0 to 1; y one row a group, in their order from the top.

    Raises
    ------
    NotesSchemaError
        If ``result`` is no such table.
    ValueError
        If it has over 200 rows.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> shares = {"kick": 0.5, "snare": 0.25, "hat": 0.25, "tom": 0.0, "cymbal": 0.0, "other": 0.0, "unmapped": 0.0}
    >>> axes = drum_class_shares(pl.DataFrame({"task": ["t1"]} | shares), Figure().subplots())
    >>> [float(bar.get_x()) for bar in axes.patches][:3]
    [0.0, 0.5, 0.75]
    """
    frame = read_rows(result, "drum_class_shares", dict.fromkeys(_CLASSES, "numbers"))
    ax = axes(ax)
    ax.set(xlabel="share of drum notes (1 = all)")
    return parted(ax, frame, _class_colours(), "drum notes")


def parted(ax: Axes, frame: pl.DataFrame, colour: dict[str, str], what: str) -> Axes:
    """Draw a bar a row, parted by columns, with a legend of those that are not 0 everywhere."""
    from kie_notes.plots.look import legend, name_rows

    if frame.is_empty():
        return nothing(ax, what)
    rows, left, drawn = range(len(frame)), np.zeros(len(frame)), []
    for name, its in colour.items():
        width = frame[name].cast(pl.Float64).fill_null(0.0).to_numpy()
        if width.any():
            drawn.append(ax.barh(rows, width, left=left, color=its, label=name.replace("_", " ")))
            left = left + width
    name_rows(ax, frame["row"].to_list())
    ax.set_xlim(0, left.max() or 1.0)
    if drawn:
        legend(ax, drawn)
    return ax


def tempo(result: Table, ax: Axes | None = None) -> Axes:
    """Draw what ``kie_notes.tempo`` gives: a dot a candidate, larger and stronger the more confidence it has.

    Parameters
    ----------
    result
        Columns ``task``, ``bpm`` and ``confidence``.
    ax
        Axes to draw on; without it, those of a new figure.

    Returns
    -------
    The axes: x in beats per minute, half and double equally far; y one row a task, in their order from the top;
    colours are the confidence, 0 to 1, told by a colour bar.

    Raises
    ------
    NotesSchemaError
        If ``result`` is no such table.
    ValueError
        If it has over 200 tasks.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> table = pl.DataFrame({"task": "t1", "rank": [1, 2], "bpm": [120.0, 60.0], "confidence": [0.7, 0.2]})
    >>> axes = tempo(table, Figure().subplots())
    >>> axes.collections[0].get_offsets().tolist()
    [[60.0, 0.0], [120.0, 0.0]]
    """
    from kie_notes.plots.look import colour_bar, name_places, name_rows, ramp

    frame = read(result, "tempo", {"task": "text", "bpm": "numbers", "confidence": "numbers"}, one=())
    ax = axes(ax)
    ax.set(xlabel="tempo (beats per minute)")
    if frame.is_empty():
        return nothing(ax, "tempo")
    tasks = names_of(frame, "task")
    frame = frame.with_columns(row=pl.col("task").cast(pl.String).replace_strict(tasks, range(len(tasks))))
    bpm, row, sure = frame.sort("confidence").select("bpm", "row", "confidence").cast(pl.Float64).to_numpy().T
    dots = ax.scatter(bpm, row, s=8 + 90 * sure, c=sure, cmap=ramp(ax), vmin=0, vmax=1, linewidths=0)
    ax.set_xscale("log", base=2)
    name_places(ax.xaxis, [(tick, str(tick)) for tick in _TEMPI])
    name_places(ax.xaxis, [], minor=True)
    ax.set_xlim(bpm.min() / 1.2, bpm.max() * 1.2)
    ax.grid(visible=True, axis="x", alpha=0.4, linewidth=0.5)
    ax.set_axisbelow(True)
    name_rows(ax, tasks)
    colour_bar(ax, dots, "confidence (0-1)")
    return ax


def pitch_range(result: Table, ax: Axes | None = None) -> Axes:
    """Draw what ``kie_notes.pitch_range`` gives: a bar from the lowest to the highest pitch of each group.

    Parameters
    ----------
    result
        Columns ``lowest``, ``highest``, and what names a row.
    ax
        Axes to draw on; without it, those of a new figure.

    Returns
    -------
    The axes: x in MIDI note numbers; y one row a group, in their order from the top.

    Raises
    ------
    NotesSchemaError
        If ``result`` is no such table.
    ValueError
        If it has over 200 rows.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> axes = pitch_range(pl.DataFrame({"task": ["t1"], "lowest": [48], "highest": [72]}), Figure().subplots())
    >>> float(axes.patches[0].get_x()), float(axes.patches[0].get_width())
    (47.5, 25.0)
    """
    return _ranges(result, ax, "pitch_range", {"lowest": "whole numbers", "highest": "whole numbers"})


def tessitura(result: Table, ax: Axes | None = None) -> Axes:
    """Draw what ``kie_notes.tessitura`` gives: a bar from its lowest to its highest pitch, and a tick at the median.

    Parameters
    ----------
    result
        Columns ``lowest``, ``highest``, ``median``, and what names a row.
    ax
        Axes to draw on; without it, those of a new figure.

    Returns
    -------
    The axes: x in MIDI note numbers; y one row a group, in their order from the top.

    Raises
    ------
    NotesSchemaError
        If ``result`` is no such table.
    ValueError
        If it has over 200 rows.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> table = pl.DataFrame({"task": ["t1"], "lowest": [48], "highest": [72], "median": [60.5]})
    >>> tessitura(table, Figure().subplots()).collections[0].get_segments()[0][:, 0].tolist()
    [60.5, 60.5]
    """
    kinds: dict[str, Kind] = {"lowest": "whole numbers", "highest": "whole numbers", "median": "numbers"}
    return _ranges(result, ax, "tessitura", kinds)


def instrument_fit(result: Table, ax: Axes | None = None) -> Axes:
    """Draw what ``kie_notes.instrument_fit`` gives: what a part asks for, over what its instrument can play.

    Parameters
    ----------
    result
        Columns ``instrument``, ``track``, ``lowest``, ``highest``, ``range_lowest``, ``range_highest``,
        ``tessitura_lowest`` and ``tessitura_highest``, of one task.
    ax
        Axes to draw on; without it, those of a new figure.

    Returns
    -------
    The axes: x in MIDI note numbers; y one row a track, in their order from the top: a pale bar for the recommended
    range, where there is one, a narrow one for the tessitura, a line from the lowest to the highest note.

    Raises
    ------
    NotesSchemaError
        If ``result`` is no such table.
    ValueError
        If it holds several tasks, or over 200 tracks.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> low = {"instrument": ["Viola"], "lowest": 50, "range_lowest": 48, "tessitura_lowest": 55}
    >>> high = {"track": 0, "highest": 80, "range_highest": 84, "tessitura_highest": 70}
    >>> axes = instrument_fit(pl.DataFrame({"task": "t1"} | low | high), Figure().subplots())
    >>> [text.get_text() for text in axes.get_legend().get_texts()]
    ['recommended range', 'tessitura', 'lowest to highest']
    """
    from kie_notes.plots.look import ink, legend, name_rows

    pitches = [f"{of}{end}" for of in ("", "range_", "tessitura_") for end in ("lowest", "highest")]
    kinds: dict[str, Kind] = {"instrument": "text", "track": "whole numbers"}
    frame = read(result, "instrument_fit", kinds | dict.fromkeys(pitches, "numbers")).sort("track")
    ax = axes(ax)
    ax.set(xlabel=PITCH_LABEL)
    if frame.is_empty():
        return nothing(ax, "pitched parts")
    check_rows(len(frame))
    rows = np.arange(len(frame))
    low, high, least, most, from_, to = frame.select(pitches).cast(pl.Float64).fill_null(np.nan).to_numpy().T
    wide = ax.barh(rows, most - least + 1, left=least - 0.5, color=COLOURS[5], alpha=0.6, label="recommended range")
    mid = ax.barh(rows, to - from_ + 1, left=from_ - 0.5, height=0.4, color=COLOURS[0], label="tessitura")
    line = ax.hlines(rows, low - 0.5, high + 0.5, color=ink(ax), linewidth=1.2, label="lowest to highest")
    _pitches_along(ax, np.nanmin([low, least]), np.nanmax([high, most]))
    name_rows(ax, frame.select(track_names()).to_series().to_list())
    legend(ax, [wide, mid, line])
    return ax


def _ranges(result: Table, ax: Axes | None, helper: str, kinds: dict[str, Kind]) -> Axes:
    """Draw a bar from ``lowest`` to ``highest`` in each row, and a tick at ``median`` if there is one."""
    from kie_notes.plots.look import name_rows

    frame = read_rows(result, helper, kinds)
    ax = axes(ax)
    ax.set(xlabel=PITCH_LABEL)
    seen = frame.drop_nulls(["lowest", "highest"])
    if seen.is_empty():
        return nothing(ax, "pitched notes")
    rows = np.arange(len(seen))
    low, high = seen.select("lowest", "highest").cast(pl.Float64).to_numpy().T
    ax.barh(rows, high - low + 1, left=low - 0.5, height=0.6, color=COLOURS[0])
    if "median" in kinds:
        middle = seen["median"].cast(pl.Float64).to_numpy()
        ax.vlines(middle, rows - 0.3, rows + 0.3, color=COLOURS[1], linewidth=2)
    _pitches_along(ax, low.min(), high.max())
    name_rows(ax, seen["row"].to_list())
    return ax


def _pitches_along(ax: Axes, low: float, high: float) -> None:
    """Name pitches at the x axis."""
    from kie_notes.plots.look import name_places, pitch_ticks

    name_places(ax.xaxis, pitch_ticks(low - 1, high + 1))
    ax.set_xlim(low - 1.5, high + 1.5)
    ax.grid(visible=True, axis="x", alpha=0.4, linewidth=0.5)
    ax.set_axisbelow(True)


def _class_colours() -> dict[str, str]:

    return dict(zip(_CLASSES, (*COLOURS[:6], GREY), strict=True))
