"""What two sets of tasks, or two transcriptions of one task, differ by."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from kie_notes.palette import COLOURS, GREY
from kie_notes.plots.rows import parted
from kie_notes.plots.tables import Kind, Table, axes, check_rows, nothing, read, read_rows

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: Share of false discoveries below which a difference is drawn as a found one.
_FOUND = 0.05

#: Fates of notes in ``transcription_errors``.
_FATES = ("matched", "wrong_instrument", "octave", "merged", "missed", "split", "extra")


def compare(result: Table, ax: Axes | None = None) -> Axes:
    """Draw what ``kie_notes.compare`` gives: the effect size of each feature with its interval.

    Dots are full where ``q_value`` is below 0.05. Features without an effect size have an empty row.

    Parameters
    ----------
    result
        Columns ``feature``, ``cliffs_delta``, ``cliffs_delta_low``, ``cliffs_delta_high`` and ``q_value``.
    ax
        Axes to draw on; without it, those of a new figure.

    Returns
    -------
    The axes: x Cliff's delta, -1 (all of the first set's values are higher) to 1; y one row a feature, in their order
    from the top.

    Raises
    ------
    NotesSchemaError
        If ``result`` is no such table.
    ValueError
        If it has over 200 rows.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> delta = {"cliffs_delta": [0.5], "cliffs_delta_low": [0.25], "cliffs_delta_high": [0.75]}
    >>> axes = compare(pl.DataFrame({"feature": ["npvi"]} | delta | {"q_value": [0.01]}), Figure().subplots())
    >>> axes.collections[0].get_segments()[0].tolist(), [text.get_text() for text in axes.get_legend().get_texts()]
    ([[0.25, 0.0], [0.75, 0.0]], ['q < 0.05'])
    """
    names = ("cliffs_delta", "cliffs_delta_low", "cliffs_delta_high", "q_value")
    numbers: dict[str, Kind] = dict.fromkeys(names, "numbers")
    frame = read(result, "compare", {"feature": "text", **numbers})
    ax = axes(ax)
    ax.set(xlabel="Cliff's delta, 95 % interval\n(above 0: the second set is higher)")
    if frame.is_empty():
        return nothing(ax, "features")
    found = (frame["q_value"] < _FOUND).fill_null(value=False).to_numpy()
    marks = {f"q < {_FOUND}": found, f"q \N{GREATER-THAN OR EQUAL TO} {_FOUND}": ~found}
    _intervals(ax, frame["feature"].cast(pl.String).to_list(), frame.select(names[:3]), marks)
    ax.axvline(0.0, color=ax.spines["left"].get_edgecolor(), linewidth=0.8, zorder=0)
    ax.set_xlim(-1.05, 1.05)
    return ax


def compare_histograms(result: Table, ax: Axes | None = None) -> Axes:
    r"""Draw what ``kie_notes.compare_histograms`` gives: each distance with its interval.

    Dots are full where ``p_value`` is below 0.05. Measures without a value have an empty row.

    Parameters
    ----------
    result
        Columns ``measure``, ``unit``, ``value``, ``low``, ``high`` and ``p_value``.
    ax
        Axes to draw on; without it, those of a new figure.

    Returns
    -------
    The axes: x the distance, in the unit that stands with the name of its row; y one row a measure.

    Raises
    ------
    NotesSchemaError
        If ``result`` is no such table.
    ValueError
        If it has over 200 rows.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> row = {"measure": "wasserstein", "unit": "semitones", "value": 0.5, "low": 0.25, "high": 1.0, "p_value": 0.2}
    >>> axes = compare_histograms(pl.DataFrame([row]), Figure().subplots())
    >>> [text.get_text() for text in axes.get_yticklabels()]
    ['wasserstein\n(semitones)']
    """
    numbers: dict[str, Kind] = dict.fromkeys(("value", "low", "high", "p_value"), "numbers")
    frame = read(result, "compare_histograms", {"measure": "text", "unit": "text", **numbers})
    ax = axes(ax)
    ax.set(xlabel="distance, 95 % interval\n(in the row's unit)")
    if frame.is_empty():
        return nothing(ax, "distances")
    found = (frame["p_value"] < _FOUND).fill_null(value=False).to_numpy()
    marks = {f"p < {_FOUND}": found, f"p \N{GREATER-THAN OR EQUAL TO} {_FOUND}": ~found}
    short = pl.col("measure").cast(pl.String).str.replace("_distance", "").str.replace_all("_", " ")
    names = frame.select(pl.format("{}\n({})", short, "unit")).to_series().to_list()
    _intervals(ax, names, frame.select("value", "low", "high"), marks)
    ax.set_xlim(left=0.0)
    return ax


def transcription_scores(result: Table, ax: Axes | None = None) -> Axes:
    """Draw what ``kie_notes.transcription_scores`` gives: precision, recall and F1 of each task as dots.

    Parameters
    ----------
    result
        Columns ``precision``, ``recall``, ``f1``, and what names a row.
    ax
        Axes to draw on; without it, those of a new figure.

    Returns
    -------
    The axes: x the score, 0 to 1; y one row a task, in their order from the top.

    Raises
    ------
    NotesSchemaError
        If ``result`` is no such table.
    ValueError
        If it has over 200 rows.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> table = pl.DataFrame({"task": ["t1"], "precision": [1.0], "recall": [0.5], "f1": [2 / 3]})
    >>> [line.get_xdata().tolist() for line in transcription_scores(table, Figure().subplots()).lines]
    [[1.0], [0.5], [0.6666666666666666]]
    """
    from kie_notes.plots.look import legend, name_rows

    scores = ("precision", "recall", "f1")
    frame = read_rows(result, "transcription_scores", dict.fromkeys(scores, "numbers"))
    ax = axes(ax)
    ax.set(xlabel="score (0-1)")
    if frame.is_empty():
        return nothing(ax, "scores")
    rows = range(len(frame))
    drawn = []
    for score, marker, colour in zip(scores, "><D", (COLOURS[0], COLOURS[1], COLOURS[3]), strict=True):
        values = frame[score].cast(pl.Float64).fill_null(np.nan).to_numpy()
        drawn += ax.plot(values, rows, marker, color=colour, markersize=5, label=score, clip_on=False)
    name_rows(ax, frame["row"].to_list())
    ax.set_xlim(-0.02, 1.02)
    ax.grid(visible=True, axis="both", alpha=0.4, linewidth=0.5)
    ax.set_axisbelow(True)
    legend(ax, drawn)
    return ax


def transcription_errors(result: Table, ax: Axes | None = None) -> Axes:
    """Draw what ``kie_notes.transcription_errors`` gives: a bar a task, parted by the fates of its notes.

    Parameters
    ----------
    result
        Columns ``matched``, ``wrong_instrument``, ``octave``, ``merged``, ``missed``, ``split``, ``extra``, and what
        names a row.
    ax
        Axes to draw on; without it, those of a new figure.

    Returns
    -------
    The axes: x in notes, pairs counted once; y one row a task, in their order from the top.

    Raises
    ------
    NotesSchemaError
        If ``result`` is no such table.
    ValueError
        If it has over 200 rows.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> fates = {"wrong_instrument": 0, "octave": 0, "merged": 2, "missed": 1, "split": 0, "extra": 3}
    >>> axes = transcription_errors(pl.DataFrame({"task": ["t1"], "matched": 9} | fates), Figure().subplots())
    >>> [text.get_text() for text in axes.get_legend().get_texts()]
    ['matched', 'merged', 'missed', 'extra']
    """
    frame = read_rows(result, "transcription_errors", dict.fromkeys(_FATES, "numbers"))
    ax = axes(ax)
    ax.set(xlabel="notes")
    return parted(ax, frame, dict(zip(_FATES, (GREY, *COLOURS[:6]), strict=True)), "notes")


def _intervals(ax: Axes, names: list[str], numbers: pl.DataFrame, marks: dict[str, np.ndarray]) -> None:
    """Draw a dot with an interval in each row, full where the first of ``marks`` holds."""
    from kie_notes.plots.look import legend, name_rows

    check_rows(len(names))
    rows = np.arange(len(names))
    value, low, high = numbers.cast(pl.Float64).fill_null(np.nan).to_numpy().T
    ax.hlines(rows, low, high, color=COLOURS[0], linewidth=1.2)
    drawn = []
    for (name, kept), face in zip(marks.items(), (COLOURS[0], ax.get_facecolor()), strict=True):
        if kept.any():
            drawn += ax.plot(
                value[kept], rows[kept], "o", color=COLOURS[0], markerfacecolor=face, markersize=5, label=name
            )
    name_rows(ax, names)
    ax.grid(visible=True, axis="y", alpha=0.4, linewidth=0.5)
    ax.set_axisbelow(True)
    legend(ax, drawn)
