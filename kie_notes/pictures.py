"""Pictures of stored notes, as files; no window, no notebook, no global state."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypeAlias

import polars as pl

from kie_notes.errors import KieNotesError

if TYPE_CHECKING:
    from pathlib import Path

Kind: TypeAlias = Literal["piano-roll", "pitch-histogram", "pitch-class-histogram", "onset-density"]


def draw(notes: pl.LazyFrame | pl.DataFrame, task: str, picture: Path, *, kind: Kind = "piano-roll") -> None:
    """Draw one task's notes into a file.

    Parameters
    ----------
    notes
        Notes table that holds the task.
    task
        Its id.
    picture
        File to write; its suffix (.png, .svg, .pdf) says how.
    kind
        What to draw.

    Raises
    ------
    KieNotesError
        If there are no notes of the task.
    """
    from matplotlib.figure import Figure

    from kie_notes import plots
    from kie_notes.analysis.pitch import pitch_class_histogram, pitch_histogram
    from kie_notes.analysis.rhythm import onset_density

    one = notes.lazy().filter(pl.col("task") == task).collect(engine="streaming")
    if one.is_empty():
        raise KieNotesError(f"task {task!r}: no notes of it are here")
    figure = Figure(figsize=(10, 5) if kind == "piano-roll" else (8, 3.5), dpi=144, layout="constrained")
    axes = figure.subplots()
    if kind == "piano-roll":
        plots.piano_roll(one, axes)
    elif kind == "pitch-histogram":
        plots.pitch_histogram(pitch_histogram(one), axes)
    elif kind == "pitch-class-histogram":
        plots.pitch_class_histogram(pitch_class_histogram(one), axes)
    else:
        plots.onset_density(onset_density(one), axes)
    picture.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(picture)
