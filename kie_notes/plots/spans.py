"""What holds for stretches of time, one row a key, a chord or a track."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from kie_notes.plots.lanes import TIME_LABEL, voice_colours, with_drums
from kie_notes.plots.tables import Kind, Table, axes, names_of, nothing, read, track_names

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from matplotlib.collections import PolyCollection

_SPAN: dict[str, Kind] = {"start": "numbers", "end": "numbers"}
_TRACK: dict[str, Kind] = {"instrument": "text", "track": "whole numbers"}

#: Letters on the circle of fifths, from its flat end to its sharp one; a sharp is 7 steps on, a flat 7 back.
_FIFTHS = "FCGDAEB"


def key_windows(result: Table, ax: Axes | None = None) -> Axes:
    """Draw what ``kie_notes.key_windows`` gives: a bar for each interval of one key, in the row of its key.

    Rows are in the order of the circle of fifths, sharp keys on top, so that related keys are near; a minor key stands
    beneath its relative major.

    Parameters
    ----------
    result
        Columns ``start``, ``end``, ``key`` and ``confidence``, of one task.
    ax
        Axes to draw on; without it, those of a new figure.

    Returns
    -------
    The axes: x in seconds, y one row a key; colours are the confidence, 0 to 1, told by a colour bar.

    Raises
    ------
    NotesSchemaError
        If ``result`` is no such table.
    ValueError
        If it holds several tasks.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> spans = {"start": [0.0, 8.0], "end": [8.0, 12.0], "key": ["A minor", "C major"], "confidence": [0.9, 0.8]}
    >>> axes = key_windows(pl.DataFrame({"task": "t1"} | spans), Figure().subplots())
    >>> [text.get_text() for text in axes.get_yticklabels()]
    ['C major', 'A minor']
    """
    return _sure(result, ax, "key_windows", "key", "keys")


def chords(result: Table, ax: Axes | None = None) -> Axes:
    """Draw what ``kie_notes.chords`` gives: a bar for each interval of one chord, in the row of its chord.

    Rows are in the order of the circle of fifths by their roots, sharp ones on top; N, no chord, is the last.

    Parameters
    ----------
    result
        Columns ``start``, ``end``, ``chord`` and ``confidence``, of one task.
    ax
        Axes to draw on; without it, those of a new figure.

    Returns
    -------
    The axes: x in seconds, y one row a chord; colours are the confidence, 0 to 1, told by a colour bar.

    Raises
    ------
    NotesSchemaError
        If ``result`` is no such table.
    ValueError
        If it holds several tasks.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> spans = {"start": [0.0, 2.0], "end": [2.0, 4.0], "chord": ["C:maj", "G:7"], "confidence": [0.9, 0.8]}
    >>> axes = chords(pl.DataFrame({"task": "t1"} | spans), Figure().subplots())
    >>> [text.get_text() for text in axes.get_yticklabels()]
    ['G:7', 'C:maj']
    """
    return _sure(result, ax, "chords", "chord", "chords")


def activity_segments(result: Table, ax: Axes | None = None) -> Axes:
    """Draw what ``kie_notes.activity_segments`` gives: when each track sounds, one row a track.

    Colours are those of ``piano_roll`` by instrument: drums are grey.

    Parameters
    ----------
    result
        Columns ``instrument``, ``track``, ``start`` and ``end``, of one task.
    ax
        Axes to draw on; without it, those of a new figure.

    Returns
    -------
    The axes: x in seconds, y one row a track, in their order from the top.

    Raises
    ------
    NotesSchemaError
        If ``result`` is no such table.
    ValueError
        If it holds several tasks, or over 200 tracks.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> spans = {"instrument": ["Flute", "Tuba"], "track": [0, 1], "start": [0.0, 1.0], "end": [4.0, 2.0]}
    >>> axes = activity_segments(pl.DataFrame({"task": "t1"} | spans), Figure().subplots())
    >>> [text.get_text() for text in axes.get_yticklabels()]
    ['Flute', 'Tuba']
    """
    frame = with_drums(read(result, "activity_segments", _TRACK | _SPAN)).sort("track", "start")
    ax = axes(ax)
    ax.set(xlabel=TIME_LABEL)
    if frame.is_empty():
        return nothing(ax, "notes")
    frame = frame.with_columns(row=track_names(), voice="instrument")
    colour = voice_colours(ax, frame)
    rows = names_of(frame, "row")
    made = _bars(ax, frame, rows)
    made.set_facecolor([colour[voice] for voice in frame["voice"]])
    return ax


def hardest_windows(result: Table, ax: Axes | None = None) -> Axes:
    """Draw what ``kie_notes.hardest_windows`` gives: where each track is hardest, one row a track.

    Parameters
    ----------
    result
        Columns ``instrument``, ``track``, ``rank``, ``start`` and ``end``, of one task.
    ax
        Axes to draw on; without it, those of a new figure.

    Returns
    -------
    The axes: x in seconds, y one row a track, in their order from the top; the colour is the rank, the hardest window
    standing out most.

    Raises
    ------
    NotesSchemaError
        If ``result`` is no such table.
    ValueError
        If it holds several tasks, or over 200 tracks.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> spans = {"instrument": "Flute", "track": 0, "rank": [1, 2], "start": [8.0, 0.0], "end": [16.0, 8.0]}
    >>> axes = hardest_windows(pl.DataFrame({"task": "t1"} | spans), Figure().subplots())
    >>> [text.get_text() for text in axes.get_legend().get_texts()]
    ['1 (hardest)', '2']
    """
    from matplotlib.patches import Patch

    from kie_notes.plots.look import legend, ramp

    frame = read(result, "hardest_windows", _TRACK | {"rank": "whole numbers"} | _SPAN).sort("track", "rank")
    ax = axes(ax)
    ax.set(xlabel=TIME_LABEL)
    if frame.is_empty():
        return nothing(ax, "windows")
    frame = frame.with_columns(row=track_names())
    ranks = frame["rank"].unique().sort().to_list()
    strong = dict(zip(ranks, ramp(ax)(np.linspace(1.0, 0.0, len(ranks))), strict=True))
    made = _bars(ax, frame, names_of(frame, "row"))
    made.set_facecolor([strong[rank] for rank in frame["rank"]])
    names = {rank: f"{rank} (hardest)" if rank == 1 else str(rank) for rank in ranks}
    legend(ax, [Patch(color=strong[rank], label=names[rank]) for rank in ranks])
    return ax


def _sure(result: Table, ax: Axes | None, helper: str, name: str, what: str) -> Axes:
    """Draw spans of names in the order of fifths, coloured by confidence."""
    from kie_notes.plots.look import colour_bar, ramp

    frame = read(result, helper, {**_SPAN, name: "text", "confidence": "numbers"}).with_columns(
        row=pl.col(name).cast(pl.String)
    )
    ax = axes(ax)
    ax.set(xlabel=TIME_LABEL, ylabel=name)
    if frame.is_empty():
        return nothing(ax, what)
    made = _bars(ax, frame, sorted(names_of(frame, "row"), key=_by_fifths))
    sure = frame["confidence"].cast(pl.Float64).fill_null(0.0).to_numpy()
    made.set(array=sure, cmap=ramp(ax), clim=(0.0, 1.0))
    colour_bar(ax, made, "confidence (0-1)")
    return ax


def _by_fifths(name: str) -> tuple[float, bool, str]:
    """Give a key's or chord's place in the order of fifths, sharps first; what has no root comes last."""
    if name[0] not in _FIFTHS:
        return (np.inf, False, name)
    root = name.replace(":", " ").split(" ")[0]
    place = _FIFTHS.index(root[0]) + 7 * (root.count("#") - root.count("b"))
    minor = name.endswith("minor")
    return (3.0 - place if minor else -float(place), minor, name)


def _bars(ax: Axes, frame: pl.DataFrame, rows: Sequence[str]) -> PolyCollection:
    """Draw a bar for each span in the row of its name."""
    from matplotlib.collections import PolyCollection

    from kie_notes.plots.look import name_rows

    row = frame["row"].replace_strict(list(rows), range(len(rows)), return_dtype=pl.Float64).to_numpy()
    left, right = frame.select("start", "end").cast(pl.Float64).to_numpy().T
    corners = np.array([[left, left, right, right], [row - 0.4, row + 0.4, row + 0.4, row - 0.4]]).transpose(2, 1, 0)
    made = PolyCollection(corners, edgecolor="face", linewidth=0.4)  # type: ignore[arg-type]  # an array is what it is fastest with
    ax.add_collection(made, autolim=False)
    first = left.min()
    ax.update_datalim([(0.0 if first < 0.05 * right.max() else first, -0.5), (right.max(), len(rows) - 0.5)])
    ax.margins(x=0.01)
    ax.autoscale_view(scaley=False)
    name_rows(ax, rows)
    return made
