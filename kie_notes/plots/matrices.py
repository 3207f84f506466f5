"""Matrices: what follows what, and how parts stand to one another. Cells that the table lacks are empty."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from kie_notes.palette import COLOURS
from kie_notes.plots.tables import VALUES, Kind, Table, axes, check, check_range, nothing, read, read_rows

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from matplotlib.collections import QuadMesh

#: Names of flags in the columns of ``quality_score``.
_FLAGS = (
    "too_short",
    "duplicate",
    "echo",
    "fragment",
    "overlap",
    "octave_ghost",
    "out_of_range",
    "past_end",
    "constant_velocity",
    "off_grid",
)

#: Rows of n-grams that a picture shows.
_MOST_NGRAMS = 20

_PAIR: dict[str, Kind] = {
    "instrument": "text",
    "track": "whole numbers",
    "other_instrument": "text",
    "other_track": "whole numbers",
}

#: Where a pair of tracks stands in a matrix.
_PLACES = ("track", "other_track")


def pitch_class_transitions(result: Table, ax: Axes | None = None) -> Axes:
    """Draw what ``kie_notes.pitch_class_transitions`` gives: a matrix, from the row's pitch class to the column's.

    Parameters
    ----------
    result
        Columns ``from_pitch_class``, ``to_pitch_class``, and ``count``, ``share`` or ``probability``, of one group.
    ax
        Axes to draw on; without it, those of a new figure.

    Returns
    -------
    The axes: x and y from C (0) to B (11); colours are the value, told by a colour bar; pairs that do not occur are
    empty.

    Raises
    ------
    NotesSchemaError
        If ``result`` is no such table.
    ValueError
        If it holds several groups, or pitch classes beyond 0 to 11.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> table = pl.DataFrame({"task": "t1", "from_pitch_class": [0, 7], "to_pitch_class": [7, 0], "count": [3, 1]})
    >>> axes = pitch_class_transitions(table, Figure().subplots())
    >>> axes.get_xlabel(), axes.get_ylabel(), int(axes.collections[0].get_array()[0, 7])
    ('to pitch class', 'from pitch class', 3)
    """
    from kie_notes.plots.look import PITCH_CLASSES

    helper, places = "pitch_class_transitions", ("from_pitch_class", "to_pitch_class")
    labels = {
        "count": "transitions",
        "share": VALUES["share"],
        "probability": "probability (row sum 1)",
    }
    kinds: dict[str, Kind] = dict.fromkeys(places, "whole numbers")
    schema = check(result, helper, kinds)
    value = next((name for name in labels if name in schema), "count")
    frame = read(result, helper, {**kinds, value: "numbers"}, one=None)
    for place in places:
        check_range(frame, place, 0, 11)
    ax = axes(ax)
    ax.set(xlabel="to pitch class", ylabel="from pitch class")
    if frame.is_empty():
        return nothing(ax, "transitions")
    _matrix(ax, frame, places, value, (PITCH_CLASSES, PITCH_CLASSES), labels[value])
    return ax


def interval_ngrams(result: Table, ax: Axes | None = None) -> Axes:
    """Draw what ``kie_notes.interval_ngrams`` gives: pairs as a matrix, longer ones as bars of the most frequent.

    With ``n=2`` a row is an interval and a column the one that follows it. Otherwise the 20 n-grams that occur most
    stand in a row each, the most frequent on top (of equals the one that comes first in the table).

    Parameters
    ----------
    result
        Columns ``intervals``, and ``count`` or ``share``, of one group.
    ax
        Axes to draw on; without it, those of a new figure.

    Returns
    -------
    The axes: intervals in semitones, above 0 upwards; the value as colours told by a colour bar, or to the right.

    Raises
    ------
    NotesSchemaError
        If ``result`` is no such table.
    ValueError
        If it holds several groups, or n-grams of several lengths.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> table = pl.DataFrame({"task": "t1", "intervals": [[2, 2, 1], [-1, -2, -2]], "count": [3, 5]})
    >>> [text.get_text() for text in interval_ngrams(table, Figure().subplots()).get_yticklabels()]
    ['-1 -2 -2', '+2 +2 +1']
    """
    from kie_notes.plots.look import name_rows

    kinds: dict[str, Kind] = {"intervals": "lists of whole numbers"}
    schema = check(result, "interval_ngrams", kinds)
    value = "share" if "share" in schema else "count"
    frame = read(result, "interval_ngrams", {**kinds, value: "numbers"}, one=None)
    label = {"count": "occurrences", "share": VALUES["share"]}[value]
    ax = axes(ax)
    if frame.is_empty():
        ax.set(xlabel=label, ylabel="intervals (semitones)")
        return nothing(ax, "n-grams")
    lengths = frame["intervals"].list.len().unique()
    if len(lengths) > 1:
        raise ValueError(f"n-grams of several lengths ({', '.join(map(str, lengths.sort()))}): keep one")
    if lengths[0] == 2:
        _pairs(ax, frame, value, label)
        return ax
    ax.set(xlabel=label, ylabel="intervals (semitones)")
    top = frame.sort(value, descending=True, maintain_order=True).head(_MOST_NGRAMS)
    ax.barh(range(len(top)), top[value].to_numpy(), color=COLOURS[0])
    name_rows(ax, [" ".join(f"{step:+d}" if step else "0" for step in steps) for steps in top["intervals"]])
    return ax


def doubling(result: Table, ax: Axes | None = None) -> Axes:
    """Draw what ``kie_notes.doubling`` gives: a matrix of tracks, how much of the row's notes the column doubles.

    Parameters
    ----------
    result
        Columns ``instrument``, ``track``, ``other_instrument``, ``other_track`` and ``doubled_share``, of one task.
    ax
        Axes to draw on; without it, those of a new figure.

    Returns
    -------
    The axes: y the track whose notes are counted, x the numbers of the other tracks; colours are the share of its notes
    that are doubled on the same pitch or octaves away, 0 to 1, told by a colour bar.

    Raises
    ------
    NotesSchemaError
        If ``result`` is no such table.
    ValueError
        If it holds several tasks.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> one = {"task": "t1", "instrument": "Flute", "track": 0, "other_instrument": "Tuba", "other_track": 1}
    >>> axes = doubling(pl.DataFrame([one | {"doubled_share": 0.25}]), Figure().subplots())
    >>> [text.get_text() for text in axes.get_yticklabels()], float(axes.collections[0].get_array()[0, 1])
    (['0 Flute', '1 Tuba'], 0.25)
    """
    ax = axes(ax)
    _of_tracks(result, ax, "doubling", "doubled_share", "share doubled (0-1)")
    return ax


def onset_asynchrony(result: Table, ax: Axes | None = None) -> Axes:
    """Draw what ``kie_notes.onset_asynchrony`` gives: a matrix of tracks, how much later the column's is.

    Parameters
    ----------
    result
        Columns ``instrument``, ``track``, ``other_instrument``, ``other_track`` and ``mean_ms``, of one task.
    ax
        Axes to draw on; without it, those of a new figure.

    Returns
    -------
    The axes: y one track of each pair, x the number of the other; colours are the mean of the milliseconds by which the
    other is later, below 0 where it is earlier, told by a colour bar.

    Raises
    ------
    NotesSchemaError
        If ``result`` is no such table.
    ValueError
        If it holds several tasks.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> one = {"task": "t1", "instrument": "Flute", "track": 0, "other_instrument": "Tuba", "other_track": 1}
    >>> axes = onset_asynchrony(pl.DataFrame([one | {"mean_ms": -12.5}]), Figure().subplots())
    >>> float(axes.collections[0].get_array()[0, 1]), axes.collections[0].get_clim()
    (-12.5, (-12.5, 12.5))
    """
    from kie_notes.plots.look import two_sided

    ax = axes(ax)
    mesh = _of_tracks(result, ax, "onset_asynchrony", "mean_ms", "the other is later by (ms)")
    if mesh is not None:
        most = result.lazy().select(pl.col("mean_ms").abs().max()).collect().item() or 1.0
        mesh.set(cmap=two_sided(), clim=(-most, most))
    return ax


def quality_score(result: Table, ax: Axes | None = None) -> Axes:
    """Draw what ``kie_notes.quality_score`` gives: a matrix of tasks and flags, the share of notes that bear each.

    Parameters
    ----------
    result
        Columns ``task``, ``notes``, and one a flag.
    ax
        Axes to draw on; without it, those of a new figure.

    Returns
    -------
    The axes: y one row a task, in their order from the top, x one column a flag; colours are the share of the task's
    notes that bear it, 0 to 1, told by a colour bar; what was not asked is empty.

    Raises
    ------
    NotesSchemaError
        If ``result`` is no such table.
    ValueError
        If it has over 200 tasks.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> flags = dict.fromkeys(("duplicate", "echo", "fragment", "overlap", "octave_ghost", "out_of_range"), 0)
    >>> rest = {"past_end": None, "constant_velocity": 8, "off_grid": 0, "too_short": 2}
    >>> table = pl.DataFrame([{"task": "t1", "notes": 8} | flags | rest], schema_overrides={"past_end": pl.UInt32})
    >>> float(quality_score(table, Figure().subplots()).collections[0].get_array()[0, 0])
    0.25
    """
    frame = read_rows(result, "quality_score", dict.fromkeys(("notes", *_FLAGS), "numbers"))
    ax = axes(ax)
    ax.set(xlabel="flag")
    if frame.is_empty():
        return nothing(ax, "notes")
    shares = frame.with_row_index("at").unpivot(_FLAGS, index=["at", "notes"], variable_name="flag")
    places = shares.select(
        "at",
        column=pl.col("flag").replace_strict(_FLAGS, range(len(_FLAGS)), return_dtype=pl.Int64),
        share=pl.col("value") / pl.col("notes"),
    )
    names = [name.replace("_", " ") for name in _FLAGS]
    mesh = _matrix(ax, places, ("at", "column"), "share", (frame["row"].to_list(), names), "share of notes (0-1)")
    mesh.set_clim(0.0, 1.0)
    ax.tick_params(axis="x", rotation=90)
    return ax


def _of_tracks(result: Table, ax: Axes, helper: str, value: str, label: str) -> QuadMesh | None:
    """Draw pairs of tracks, if there are any."""
    frame = read(result, helper, {**_PAIR, value: "numbers"})
    ax.set(xlabel="other track", ylabel="track")
    if frame.is_empty():
        nothing(ax, "pairs of tracks")
        return None
    names: dict[int, str] = {}
    for name, of in (("instrument", "track"), ("other_instrument", "other_track")):
        names |= dict(frame.select(of, pl.format("{} {}", of, pl.col(name).cast(pl.String)).alias("name")).rows())
    tracks = sorted(names)
    places = [pl.col(of).replace_strict(tracks, range(len(tracks)), return_dtype=pl.Int64) for of in _PLACES]
    called = ([names[track] for track in tracks], list(map(str, tracks)))
    return _matrix(ax, frame.with_columns(places), _PLACES, value, called, label)


def _pairs(ax: Axes, frame: pl.DataFrame, value: str, label: str) -> None:
    """Draw which interval follows which."""
    from matplotlib.ticker import MaxNLocator

    from kie_notes.plots.look import colour_bar, ramp

    pairs = frame.select(pl.col("intervals").list.to_struct(fields=["first", "next"]), value).unnest("intervals")
    low = int(pairs.select(pl.min_horizontal(pl.col("first", "next").min())).item())
    high = int(pairs.select(pl.max_horizontal(pl.col("first", "next").max())).item())
    cells = np.full((high - low + 1, high - low + 1), np.nan)
    cells[pairs["first"].to_numpy() - low, pairs["next"].to_numpy() - low] = pairs[value].to_numpy()
    edges = np.arange(low, high + 2) - 0.5
    mesh = ax.pcolormesh(edges, edges, cells, cmap=ramp(ax))
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_locator(MaxNLocator(8, steps=[1, 2, 3, 6, 10], integer=True))
    ax.set(xlabel="next interval (semitones)", ylabel="interval (semitones)")
    colour_bar(ax, mesh, label)


def _matrix(
    ax: Axes,
    frame: pl.DataFrame,
    places: Sequence[str],
    value: str,
    names: tuple[Sequence[str], Sequence[str]],
    label: str,
) -> QuadMesh:
    """Draw values at whole-numbered rows and columns that have names, the first row on top."""
    from kie_notes.plots.look import colour_bar, name_columns, name_rows, ramp

    cells = np.full((len(names[0]), len(names[1])), np.nan)
    row, column = (frame[place].to_numpy() for place in places)
    cells[row, column] = frame[value].cast(pl.Float64).fill_null(np.nan).to_numpy()
    mesh = ax.pcolormesh(np.arange(cells.shape[1] + 1) - 0.5, np.arange(cells.shape[0] + 1) - 0.5, cells, cmap=ramp(ax))
    name_rows(ax, names[0])
    name_columns(ax, names[1])
    colour_bar(ax, mesh, label)
    return mesh
