"""Pictures of stored notes, as files; no window, no notebook, no global state.

``python -m kie_notes.pictures data/samples/records data`` makes the pictures of the README anew.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias

import polars as pl

from kie_notes.errors import KieNotesError

if TYPE_CHECKING:
    from collections.abc import Callable

    from matplotlib.axes import Axes

Kind: TypeAlias = Literal[
    "piano-roll",
    "activity-segments",
    "beats",
    "chords",
    "drum-histogram",
    "duration-histogram",
    "hand-split",
    "hardest-windows",
    "harmonic-change",
    "instrument-fit",
    "inter-onset-histogram",
    "interval-histogram",
    "interval-ngrams",
    "key-windows",
    "note-flags",
    "onset-density",
    "pitch-class-histogram",
    "pitch-class-transitions",
    "pitch-histogram",
    "polyphony-curve",
    "skyline",
    "sounding-density",
    "tempo",
    "tonal-centroid",
]

#: Pieces among the packed samples (see ATTRIBUTION.md beside them) of which the README shows pictures.
_JAZZ, _QUARTET = "7ca1092342b6b9749ae58982793500d4", "0ae1bcbcd2f5b21ba7d90664fd26cb50"
_WALTZ, _VARIATION = "bf656eba6822ec18d30ad810f62889d1", "2563b06b0c5007d373fdb880fde0984a"


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
        What to draw: the notes, or the result of the helper of that name with its defaults; beats over the notes.

    Raises
    ------
    KieNotesError
        If there are no notes of the task.
    """
    from kie_notes import analysis, plots

    one = notes.lazy().filter(pl.col("task") == task).collect(engine="streaming")
    if one.is_empty():
        raise KieNotesError(f"task {task!r}: no notes of it are here")
    helper = kind.replace("-", "_")

    def drawn(axes: Axes) -> None:
        if kind == "piano-roll":
            plots.piano_roll(one, axes)
        elif kind == "beats":
            plots.piano_roll(one, axes, beats=analysis.beats(one))
        else:
            getattr(plots, helper)(getattr(analysis, helper)(one), axes)

    _save(picture, (10, 5) if kind in ("piano-roll", "beats") else (8, 3.5), drawn)


def gallery(notes: pl.DataFrame, folder: Path) -> list[Path]:
    """Draw the pictures of the README from the packed samples.

    Parameters
    ----------
    notes
        Notes of the packed samples.
    folder
        Where to write them.

    Returns
    -------
    The files.
    """
    from kie_notes import analysis, plots

    jazz, quartet, waltz, variation = (
        notes.filter(pl.col("task") == task) for task in (_JAZZ, _QUARTET, _WALTZ, _VARIATION)
    )
    opening = variation.filter(pl.col("start") < 13)
    shown: dict[str, Callable[[Axes], Axes]] = {
        "hands": lambda axes: plots.hand_split(analysis.hand_split(opening), axes),
        "activity": lambda axes: plots.activity_segments(analysis.activity_segments(waltz), axes),
        "keys": lambda axes: plots.key_windows(analysis.key_windows(quartet), axes),
        "transitions": lambda axes: plots.pitch_class_transitions(analysis.pitch_class_transitions(jazz), axes),
    }
    files = [folder / "piano-roll.png", *(folder / f"{name}.png" for name in shown)]
    _save(files[0], (10, 5), lambda axes: plots.piano_roll(jazz, axes))
    for file, drawn in zip(files[1:], shown.values(), strict=True):
        _save(file, (5, 2.6), drawn)
    return files


def _save(picture: Path, inches: tuple[float, float], drawn: Callable[[Axes], object]) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=inches, dpi=144, layout="constrained")
    drawn(figure.subplots())
    picture.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(picture)


if __name__ == "__main__":
    from kie_notes.api.files import read_records
    from kie_notes.notes import flatten

    gallery(flatten(read_records(Path(sys.argv[1]))).notes, Path(sys.argv[2]))
