"""The piano roll: all notes of a task, and over them the beats and chords that were found in it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypeAlias, get_args

import polars as pl

from kie_notes.notes import check_notes
from kie_notes.palette import GREY
from kie_notes.plots.lanes import (
    add_boxes,
    add_voices,
    frame_lanes,
    label,
    lanes_of,
    voice_colours,
    with_drums,
)
from kie_notes.plots.layers import chord_names, draw_beats, read_beats
from kie_notes.plots.tables import Table, axes, nothing, read, refuse_several

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from kie_notes.plots.lanes import Lanes

#: What the colours of a roll tell apart.
ColorBy: TypeAlias = Literal["instrument", "track", "velocity", "flag"]

#: What note a flag is about.
_NOTE = ("track", "pitch", "start", "end")


def piano_roll(
    notes: Table,
    ax: Axes | None = None,
    *,
    color_by: ColorBy = "instrument",
    flags: Table | None = None,
    beats: Table | None = None,
    chords: Table | None = None,
) -> Axes:
    """Draw the notes of one task: time to the right, pitch upwards, one colour an instrument.

    Drums stand in a lane of their own below the pitched notes, one row a key, named as General MIDI names it (the
    service's drum labels are unreliable). Rows that are too narrow for their names keep only some, those with the most
    notes first; zooming in shows the others. The legend lists instruments from high to low by their median pitch.

    Parameters
    ----------
    notes
        Notes table of one task, any order.
    ax
        Axes to draw on; without it, those of a new figure.
    color_by
        ``"instrument"``: instruments of one name share a colour. ``"track"``: each has its own. ``"velocity"``: the
        louder, the further from the background, with a colour bar. ``"flag"``: notes that bear one of ``flags``, the
        others grey; a note that bears several has the colour of the one that the fewest notes bear.
    flags
        What ``kie_notes.note_flags`` gives for the notes; goes with ``color_by="flag"`` and only with it.
    beats
        What ``kie_notes.beats`` gives: a thin line a beat, between the first start and the last end of the notes.
    chords
        What ``kie_notes.chords`` gives: the chords' names above the axes, the longest first where there is no room for
        all, and a mark at the upper edge where each begins.

    Returns
    -------
    The axes: x in seconds from the start of the audio, y in MIDI note numbers for pitched notes.

    Raises
    ------
    NotesSchemaError
        If ``notes`` is not a notes table, or one of the others no result of its helper.
    ValueError
        If there are notes of several tasks, ``color_by`` has a value that it cannot have, or one of ``flags`` and
        ``color_by="flag"`` comes without the other.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> from kie_notes.notes import NOTES_SCHEMA
    >>> note = {"task": "t1", "instrument": "Flute", "pitch": 60, "start": 0.0, "end": 1.0, "velocity": 0.5, "track": 0}
    >>> axes = piano_roll(pl.DataFrame([note], schema=NOTES_SCHEMA), Figure(layout="constrained").subplots())
    >>> axes.get_xlabel(), axes.get_ylabel(), [text.get_text() for text in axes.get_legend().get_texts()]
    ('time (s)', 'pitch (C4 = 60)', ['Flute'])
    """
    if color_by not in get_args(ColorBy):
        raise ValueError(f"color_by: expected one of {', '.join(map(repr, get_args(ColorBy)))}, got {color_by!r}")
    if (flags is None) == (color_by == "flag"):
        raise ValueError("flags: expected with color_by='flag', and only with it: flags=kie_notes.note_flags(notes)")
    one = _one_task(notes)
    if flags is not None:
        one = _flagged(one, flags)
    times = None if beats is None else read_beats(beats)
    named = None if chords is None else read(chords, "chords", {"start": "numbers", "end": "numbers", "chord": "text"})
    ax = axes(ax)
    lanes = lanes_of(one)
    label(ax, lanes)
    if one.is_empty():
        return nothing(ax, "notes")
    _COLOURED[color_by](ax, one, lanes)
    frame_lanes(ax, one, lanes)
    start, end = one["start"].to_numpy().min(), one["end"].to_numpy().max()
    if times is not None:
        draw_beats(ax, times.filter(times.is_between(start, end)))
    if named is not None:
        chord_names(ax, named.filter((pl.col("end") > start) & (pl.col("start") < end)), start, end)
    return ax


def _one_task(notes: Table) -> pl.DataFrame:
    """Give the columns that are drawn, of a table that holds one task."""
    checked = check_notes(notes.lazy() if isinstance(notes, pl.DataFrame) else notes)
    refuse_several(checked, "piano_roll", ["task"])
    return with_drums(checked.select("instrument", *_NOTE, "velocity").collect(engine="streaming"))


def _flagged(one: pl.DataFrame, flags: Table) -> pl.DataFrame:
    """Give each note its rarest flag."""
    kinds = {"track": "whole numbers", "pitch": "whole numbers", "start": "numbers", "end": "numbers", "flag": "text"}
    borne = read(flags, "note_flags", kinds)  # type: ignore[arg-type]  # the values are kinds
    rarest = borne.with_columns(pl.col("flag").cast(pl.String), bearers=pl.len().over("flag"))
    rarest = rarest.sort("bearers", "flag").unique(_NOTE, keep="first", maintain_order=True)
    rarest = rarest.select(*(pl.col(name).cast(one.schema[name]) for name in _NOTE), "flag")
    return one.join(rarest, on=_NOTE, how="left", maintain_order="left")


def _by_instrument(ax: Axes, one: pl.DataFrame, lanes: Lanes) -> None:
    _draw_voices(ax, one.with_columns(voice="instrument"), lanes)


def _by_track(ax: Axes, one: pl.DataFrame, lanes: Lanes) -> None:
    _draw_voices(ax, one.with_columns(voice=pl.format("{} (track {})", "instrument", "track")), lanes)


def _draw_voices(ax: Axes, one: pl.DataFrame, lanes: Lanes) -> None:
    """Draw voices, with a legend from high to low that ends with the drums."""
    from kie_notes.plots.look import legend

    made = add_voices(ax, one, lanes, voice_colours(ax, one))
    height = pl.when("drum").then(pl.col("pitch") - 1000.0).otherwise(pl.col("pitch").cast(pl.Float64))
    heights = one.group_by("voice").agg(y=height.median()).sort("y", "voice", descending=[True, False])
    legend(ax, [made[name] for name in heights["voice"]])


def _by_velocity(ax: Axes, one: pl.DataFrame, lanes: Lanes) -> None:
    from kie_notes.plots.look import colour_bar, ramp

    made = add_boxes(ax, one.sort("velocity", maintain_order=True), lanes)
    made.set(array=one["velocity"].sort().to_numpy(), cmap=ramp(ax), clim=(0.0, 1.0))
    colour_bar(ax, made, "velocity (0-1)")


def _by_flag(ax: Axes, one: pl.DataFrame, lanes: Lanes) -> None:
    from kie_notes.plots.look import colours, legend

    flags = one["flag"].drop_nulls().unique().sort().to_list()
    colour = dict(zip(flags, colours(ax, len(flags)), strict=True)) | {"no flag": GREY}
    made = add_voices(ax, one.with_columns(voice=pl.col("flag").fill_null("no flag")), lanes, colour)
    legend(ax, [made[name] for name in colour if name in made])


_COLOURED = {"instrument": _by_instrument, "track": _by_track, "velocity": _by_velocity, "flag": _by_flag}
