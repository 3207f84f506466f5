"""Rolls of notes of which a helper said something: which hand plays them, what is wrong with them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from kie_notes.plots.lanes import add_voices, frame_lanes, label, lanes_of, with_drums
from kie_notes.plots.tables import Kind, Table, axes, nothing, read

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_NOTE: dict[str, Kind] = {
    "instrument": "text",
    "pitch": "whole numbers",
    "start": "numbers",
    "end": "numbers",
}


def hand_split(result: Table, ax: Axes | None = None) -> Axes:
    """Draw what ``kie_notes.hand_split`` gives: a piano roll in two colours, one a hand.

    Parameters
    ----------
    result
        Columns ``instrument``, ``pitch``, ``start``, ``end`` and ``hand``, of one task.
    ax
        Axes to draw on; without it, those of a new figure.

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
    >>> row = {"task": "t1", "instrument": "Piano", "pitch": 60, "start": 0.0, "end": 1.0, "hand": "left"}
    >>> axes = hand_split(pl.DataFrame([row, row | {"pitch": 72, "hand": "right"}]), Figure().subplots())
    >>> [text.get_text() for text in axes.get_legend().get_texts()]
    ['right hand', 'left hand']
    """
    return _marked(result, ax, "hand_split", "hand", "notes of hands", " hand")


def note_flags(result: Table, ax: Axes | None = None) -> Axes:
    """Draw what ``kie_notes.note_flags`` gives: the notes that bear a flag, and no others, one colour a flag.

    A note that bears several is drawn once for each; of those, flags that few notes bear lie on top. To see them among
    all notes, give them to ``piano_roll``.

    Parameters
    ----------
    result
        Columns ``instrument``, ``pitch``, ``start``, ``end`` and ``flag``, of one task.
    ax
        Axes to draw on; without it, those of a new figure.

    Returns
    -------
    The axes: x in seconds, y in MIDI note numbers for pitched notes.

    Raises
    ------
    NotesSchemaError
        If ``result`` is no such table.
    ValueError
        If it holds several tasks.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> row = {"task": "t1", "instrument": "Tuba", "pitch": 90, "start": 0.0, "end": 1.0, "flag": "out_of_range"}
    >>> axes = note_flags(pl.DataFrame([row]), Figure().subplots())
    >>> [text.get_text() for text in axes.get_legend().get_texts()]
    ['out_of_range']
    """
    return _marked(result, ax, "note_flags", "flag", "flagged notes", "")


def _marked(result: Table, ax: Axes | None, helper: str, mark: str, what: str, suffix: str) -> Axes:
    """Draw notes in a colour for each value of ``mark``."""
    from kie_notes.plots.look import colours, legend

    notes = with_drums(read(result, helper, {**_NOTE, mark: "text"}))
    ax = axes(ax)
    lanes = lanes_of(notes)
    label(ax, lanes)
    if notes.is_empty():
        return nothing(ax, what)
    marked = notes.with_columns(voice=pl.col(mark).cast(pl.String).fill_null("no " + mark) + suffix)
    voices = marked["voice"].unique().sort(descending=bool(suffix)).to_list()
    made = add_voices(ax, marked, lanes, dict(zip(voices, colours(ax, len(voices)), strict=True)))
    legend(ax, [made[voice] for voice in voices])
    frame_lanes(ax, marked, lanes)
    return ax
