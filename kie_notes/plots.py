"""Pictures of results: a table in, axes in, the same axes out.

A function bears the name of the helper whose result it draws; ``piano_roll`` draws the notes themselves. Nothing is
computed here but where things stand. Axes are labelled with units, and that is all: titles, sizes, styles and files are
the caller's, and text and lines take the colours that are in force, so pictures work on dark backgrounds too. Legends
stand outside the axes, where they cover nothing; a figure made with ``layout="constrained"`` makes room for them.

matplotlib is loaded when the first picture is drawn.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np
import polars as pl

from kie_notes.instruments import is_drums
from kie_notes.notes import check_notes

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.collections import PolyCollection

#: As many outlines can still be told apart.
_MOST_GROUPS = 14

#: More windows than a picture can show; hardly any task is a million windows long.
_MOST_WINDOWS = 1_000_000

_PITCH_LABEL = "pitch (C4 = 60)"

#: Value columns of the histograms, and what stands at their axis.
_VALUES = {
    "count": "notes",
    "seconds": "duration (s)",
    "velocity": "sum of velocities",
    "velocity_seconds": "velocity x time (s)",
    "share": "share (1 = all)",
}

#: Share of the height that one row of drums gets, and that all of them get at the most.
_DRUM_ROW, _DRUM_LANE = 0.05, 0.45


def piano_roll(
    notes: pl.DataFrame | pl.LazyFrame,
    ax: Axes | None = None,
    *,
    color_by: Literal["instrument", "track"] = "instrument",
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
        ``"instrument"``: instruments of one name share a colour. ``"track"``: each has its own.

    Returns
    -------
    The axes: x in seconds from the start of the audio, y in MIDI note numbers for pitched notes.

    Raises
    ------
    NotesSchemaError
        If ``notes`` is not a notes table.
    ValueError
        If there are notes of several tasks.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> from kie_notes.notes import NOTES_SCHEMA
    >>> note = {"task": "t1", "instrument": "Flute", "pitch": 60, "start": 0.0, "end": 1.0, "velocity": 0.5, "track": 0}
    >>> axes = piano_roll(pl.DataFrame([note], schema=NOTES_SCHEMA), Figure(layout="constrained").subplots())
    >>> axes.get_xlabel(), axes.get_ylabel(), [text.get_text() for text in axes.get_legend().get_texts()]
    ('time (s)', 'pitch (C4 = 60)', ['Flute'])
    """
    from kie_notes.plots_look import key_ticks, legend, name_rows, pitch_ticks

    one = _one_task(notes)
    ax = _axes(ax)
    lanes = _lanes(one)
    ax.set_xlabel("time (s)")
    ax.set_ylabel(_PITCH_LABEL if lanes.pitched or not lanes.keys else "drum key")
    if one.is_empty():
        return ax
    legend(ax, _draw_notes(ax, one, lanes, color_by))
    start, end = one["start"].to_numpy().min(), one["end"].to_numpy().max()
    ax.update_datalim([(0.0 if start < 0.05 * end else start, lanes.bottom), (end, lanes.high)])
    ax.margins(x=0.01, y=0.01)
    ax.autoscale_view()
    if lanes.pitched and lanes.keys:
        spine = ax.spines["left"]
        ax.axhline(lanes.low - lanes.row / 4, color=spine.get_edgecolor(), linewidth=spine.get_linewidth())
        ax.set_ylabel(_PITCH_LABEL, loc="top")
    name_rows(ax, pitch_ticks(lanes.low, lanes.high) if lanes.pitched else [], key_ticks(lanes.keys))
    return ax


def pitch_histogram(result: pl.DataFrame | pl.LazyFrame, ax: Axes | None = None) -> Axes:
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
    ValueError
        If ``result`` is no such table, or has over 14 groups.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> axes = pitch_histogram(pl.DataFrame({"task": "t1", "pitch": [60, 64], "count": [3, 1]}), Figure().subplots())
    >>> axes.get_ylabel(), [int(bar.get_height()) for bar in axes.patches]
    ('notes', [3, 1])
    """
    frame, by, value = _checked(result, "pitch_histogram", "pitch", _VALUES)
    _check_range(frame, "pitch", 127)
    from kie_notes.plots_look import pitch_ticks

    frame = frame.filter(pl.col(value) != 0)
    ax = _axes(ax)
    _bins(ax, frame, by, "pitch", value)
    ax.set_xlabel(_PITCH_LABEL)
    ax.set_ylabel(_VALUES[value])
    if not frame.is_empty():
        ticks = pitch_ticks(*_pitch_span(frame["pitch"]))
        ax.set_xticks([place for place, _ in ticks], [name for _, name in ticks])
    return ax


def pitch_class_histogram(result: pl.DataFrame | pl.LazyFrame, ax: Axes | None = None) -> Axes:
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
    ValueError
        If ``result`` is no such table, or has over 14 groups.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> table = pl.DataFrame({"task": "t1", "pitch_class": [0, 7], "share": [0.75, 0.25]})
    >>> pitch_class_histogram(table, Figure().subplots()).get_ylabel()
    'share (1 = all)'
    """
    frame, by, value = _checked(result, "pitch_class_histogram", "pitch_class", _VALUES)
    _check_range(frame, "pitch_class", 11)
    from kie_notes.plots_look import PITCH_CLASSES

    ax = _axes(ax)
    _bins(ax, frame, by, "pitch_class", value)
    ax.set_xlabel("pitch class")
    ax.set_ylabel(_VALUES[value])
    ax.set_xticks(range(12), PITCH_CLASSES)
    ax.set_xlim(-0.7, 11.7)
    return ax


def onset_density(result: pl.DataFrame | pl.LazyFrame, ax: Axes | None = None) -> Axes:
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
    ValueError
        If ``result`` is no such table, or has over 14 groups.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> table = pl.DataFrame({"task": "t1", "window_start": [0.0, 1.0], "notes_per_second": [4.0, 2.0]})
    >>> onset_density(table, Figure().subplots()).get_ylabel()
    'onsets per second'
    """
    labels = {"notes_per_second": "onsets per second"}
    frame, by, value = _checked(result, "onset_density", "window_start", labels)
    ax = _axes(ax)
    ax.set_xlabel("time (s)")
    ax.set_ylabel(labels[value])
    if frame.is_empty():
        return ax
    window = _window(frame["window_start"])
    steps = frame.with_columns(step=(pl.col("window_start") / window).round().cast(pl.Int64))
    _outlines(ax, steps, by, "step", value, width=window, first=0.0)
    return ax


def _axes(ax: Axes | None) -> Axes:
    if ax is not None:
        return ax
    import matplotlib.pyplot as plt

    return plt.subplots(layout="constrained")[1]


def _one_task(notes: pl.DataFrame | pl.LazyFrame) -> pl.DataFrame:
    """Give the columns that are drawn, of a table that holds one task; a scan of many is not read for the refusal."""
    checked = check_notes(notes.lazy() if isinstance(notes, pl.DataFrame) else notes)
    tasks = checked.select(pl.col("task").unique().head(4).cast(pl.String)).collect(engine="streaming")["task"].sort()
    if len(tasks) > 1:
        some = ", ".join(map(repr, tasks[:3])) + (", ..." if len(tasks) > 3 else "")
        keep = f".filter(pl.col('task') == {tasks[0]!r})"
        raise ValueError(f"a piano roll shows one task, got several ({some}): keep one with {keep}")
    columns = (pl.col("instrument").cast(pl.String), "track", "pitch", "start", "end")
    one = checked.select(*columns).collect(engine="streaming")
    drums = [name for name in one["instrument"].unique() if is_drums(name)]
    return one.with_columns(drum=pl.col("instrument").is_in(drums))


class _Lanes(NamedTuple):
    """Where things stand on the y axis: the pitches' edges, and below them the drum keys, the most used first."""

    pitched: bool
    low: float
    high: float
    row: float
    bottom: float
    keys: dict[int, float]


def _lanes(one: pl.DataFrame) -> _Lanes:
    """Share the height out between pitches and drum keys."""
    pitches = one.filter(~pl.col("drum"))["pitch"]
    pitched = not pitches.is_empty()
    low, high = _pitch_span(pitches) if pitched else (0.0, 0.0)
    used = one.filter("drum")["pitch"].value_counts(sort=True).sort("count", "pitch", descending=[True, False])
    keys = used["pitch"].to_list()
    share = min(_DRUM_ROW * len(keys), _DRUM_LANE)
    row = (high - low) * share / (1 - share) / len(keys) if keys and pitched else 1.0
    bottom = low - (len(keys) + 0.5) * row if keys else low
    heights = {key: bottom + (step + 0.5) * row for step, key in enumerate(sorted(keys))}
    return _Lanes(pitched, low, high, row, bottom, {key: heights[key] for key in keys})


def _pitch_span(pitches: pl.Series) -> tuple[float, float]:
    """Give the edges of the pitches' rows, at least an octave apart."""
    numbers = pitches.to_numpy()
    low, high = float(numbers.min()) - 0.5, float(numbers.max()) + 0.5
    more = max(0.0, 12.0 - (high - low)) / 2
    return low - more, high + more


def _draw_notes(
    ax: Axes, one: pl.DataFrame, lanes: _Lanes, color_by: Literal["instrument", "track"]
) -> list[PolyCollection]:
    """Draw a collection a voice, those with few notes on top, and give them in the order of the legend."""
    from matplotlib.collections import PolyCollection

    from kie_notes.plots_look import plain

    drum, keys = pl.col("drum"), pl.col("pitch").replace_strict(lanes.keys, default=0.0, return_dtype=pl.Float64)
    one = one.with_columns(
        y=pl.when(drum).then(keys).otherwise("pitch"),
        half=pl.when(drum).then(0.4 * lanes.row).otherwise(0.4),
        voice=pl.format("{} (track {})", "instrument", "track") if color_by == "track" else "instrument",
    )
    colour = _voice_colours(one)
    made: dict[str, PolyCollection] = {}
    for voice in sorted(one.partition_by("voice", maintain_order=True), key=len, reverse=True):
        left, right, y, half = voice.select("start", "end", "y", "half").to_numpy().T
        corners = np.array([[left, left, right, right], [y - half, y + half, y + half, y - half]]).transpose(2, 1, 0)
        name = voice["voice"][0]
        made[name] = PolyCollection(
            corners,  # type: ignore[arg-type]  # an array is what it is fastest with
            facecolor=colour[name],
            edgecolor="face",
            linewidth=0.4,
            alpha=0.9,
            label=plain(name),
        )
        ax.add_collection(made[name], autolim=False)
    heights = one.group_by("voice").agg(pl.col("y").median()).sort("y", "voice", descending=[True, False])
    return [made[name] for name in heights["voice"]]


def _voice_colours(one: pl.DataFrame) -> dict[str, str]:
    """Give each voice a colour, in the order of tracks; drums are grey, since their lane already tells them apart."""
    from kie_notes.plots_look import COLOURS, GREY, colours

    voices = one.group_by("voice").agg(pl.col("track").min(), pl.col("drum").first()).sort("track", "voice")
    given: dict[str, str] = {}
    for drum, base in ((False, COLOURS), (True, (GREY,))):
        names = voices.filter(pl.col("drum") == drum)["voice"].to_list()
        given |= dict(zip(names, colours(len(names), base), strict=True))
    return given


def _checked(
    result: pl.DataFrame | pl.LazyFrame, helper: str, position: str, values: dict[str, str]
) -> tuple[pl.DataFrame, list[str], str]:
    """Give a helper's result, the columns that tell its groups apart and that of its values, or say why it is none."""
    if not isinstance(result, pl.DataFrame | pl.LazyFrame):
        raise ValueError(f"not a result of {helper}: expected a frame, got {type(result).__name__}")  # noqa: TRY004 -- as below
    schema = result.collect_schema()
    found = [name for name in values if name in schema]
    if position not in schema or len(found) != 1 or not all(schema[name].is_numeric() for name in (position, *found)):
        wanted = found[0] if len(found) == 1 else " or ".join(map(repr, values))
        have = ", ".join(f"'{name}' ({dtype})" for name, dtype in schema.items())
        raise ValueError(f"not a result of {helper}: expected numbers in '{position}' and {wanted}, got {have}")
    by = [name for name in schema if name not in (position, found[0])]
    if by:
        groups = result.lazy().select(by).unique().head(_MOST_GROUPS + 1).collect(engine="streaming")
        if len(groups) > _MOST_GROUPS:
            many = f"over {_MOST_GROUPS} groups by {' and '.join(map(repr, by))}"
            raise ValueError(f"{many}, which no picture keeps apart: filter the result, or sum it up")
    frame = result.lazy().collect()
    if frame.select(*by, position).is_duplicated().any():
        raise ValueError(f"the same '{position}' twice in a group: was a column lost that tells tasks apart?")
    return frame.drop_nulls(found[0]), by, found[0]


def _check_range(frame: pl.DataFrame, position: str, highest: int) -> None:
    if not frame.schema[position].is_integer():
        raise ValueError(f"'{position}': expected whole numbers, got {frame.schema[position]}")
    wrong = frame.filter(~pl.col(position).is_between(0, highest))
    if not wrong.is_empty():
        raise ValueError(f"'{position}': expected 0 to {highest}, got {wrong[position][0]}")


def _window(starts: pl.Series) -> float:
    """Give the length of the windows that begin at ``starts``: a single one, which does not say, counts as a second."""
    places = starts.unique().sort().to_numpy()
    window = float(np.diff(places).min()) if len(places) > 1 else 1.0
    steps = places / window
    if not np.allclose(steps, steps.round(), rtol=0.0, atol=1e-3) or np.ptp(steps) > _MOST_WINDOWS:
        raise ValueError("'window_start': windows of several lengths, expected one: draw them one after the other")
    return window


def _bins(ax: Axes, frame: pl.DataFrame, by: list[str], position: str, value: str) -> None:
    """Draw bars around whole numbers, or an outline for each of several groups."""
    from kie_notes.plots_look import COLOURS

    if not by or frame.select(by).n_unique() < 2:
        ax.bar(frame[position].to_numpy(), frame[value].to_numpy(), width=0.9, color=COLOURS[0])
    else:
        _outlines(ax, frame, by, position, value, width=1.0, first=-0.5)


def _outlines(
    ax: Axes, frame: pl.DataFrame, by: list[str], position: str, value: str, *, width: float, first: float
) -> None:
    """Draw a stair over each group's values, whose whole-numbered positions are ``width`` wide."""
    from matplotlib.colors import to_rgba

    from kie_notes.plots_look import colours, legend, plain

    groups = frame.partition_by(by, maintain_order=True) if by else [frame]
    told = [name for name in by if frame[name].n_unique() > 1]  # one task's id need not be said of each instrument
    drawn = []
    for group, colour in zip(groups, colours(len(groups)), strict=True):
        at = group[position].to_numpy().astype(np.int64)
        heights = np.full(at.max() - at.min() + 1, 0.0 if first else np.nan)
        heights[at - at.min()] = group[value].to_numpy()
        edges = (np.arange(at.min(), at.max() + 2) + first) * width
        face, line = (colour, 0.0) if len(groups) == 1 else (to_rgba(colour, 0.15), 0.9)
        stairs = ax.stairs(heights, edges, fill=True, facecolor=face, edgecolor=colour, linewidth=line)
        stairs.set_label(plain(", ".join(map(str, group.select(told).row(0))) if told else ""))
        drawn.append(stairs)
    if len(drawn) > 1:
        legend(ax, drawn)
