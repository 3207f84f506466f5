"""How far harmony moves: the tonal centroid, and its change.

The tonal centroid is the point at which the sounding pitch classes balance in a space of six dimensions: three circles,
on which neighbours are a fifth, a minor third and a major third apart (radii 1, 1 and 1/2). Notes of a chord lie close
together there, and so do chords that are close in harmony. A pitch class weighs the seconds that it sounds, notes of
one pitch class added up; sounding is ``[start, end)``.

How far the centroid moves from the window before to the window after is the harmonic change of a window: high where
chords change, near 0 where one is held. Its mean over a task says how restless its harmony is.
"""

from __future__ import annotations

import math
from functools import reduce
from operator import add
from typing import TYPE_CHECKING, Final

import numpy as np
import polars as pl

from kie_notes.analysis.batches import TaskNotes, over_tasks
from kie_notes.analysis.chroma import MICROSECONDS, windows
from kie_notes.analysis.door import notes_helper

if TYPE_CHECKING:
    from kie_notes.analysis.grouping import Drums

#: The six coordinates: sine and cosine on each circle.
_AXES: Final = (
    "fifths_sin",
    "fifths_cos",
    "minor_thirds_sin",
    "minor_thirds_cos",
    "major_thirds_sin",
    "major_thirds_cos",
)
#: Radius of each circle, and twelfths of it that a semitone goes round (Harte, Sandler and Gasser, equation 2).
_CIRCLES: Final = ((1.0, 7), (1.0, 9), (0.5, 4))

_CENTROIDS = pl.Schema({"task": pl.String, "window_start": pl.Float64, **dict.fromkeys(_AXES, pl.Float64)})


@notes_helper
def tonal_centroid(notes: pl.LazyFrame, *, window: float = 1.0, drums: Drums = "exclude") -> pl.LazyFrame:
    """Give the tonal centroid of what sounds in consecutive windows.

    Windows are half-open, ``[k * window, (k + 1) * window)``, and are laid from 0 s, not from the first onset.

    Parameters
    ----------
    notes
        Notes table in canonical order.
    window
        Length of a window in seconds, at least 0.001; taken to the microsecond.
    drums
        Whether percussion is left out, counted too, or counted alone.

    Returns
    -------
    One row per task and window, from the window of the task's first start to that of its last end, sorted by both; a
    task without such notes has no row:

    - ``task`` (String)
    - ``window_start`` (Float64): seconds, ``k * window``
    - ``fifths_sin``, ``fifths_cos``, ``minor_thirds_sin``, ``minor_thirds_cos`` (Float64): -1 to 1; all six are null
      where the window is silent
    - ``major_thirds_sin``, ``major_thirds_cos`` (Float64): -0.5 to 0.5

    Raises
    ------
    NotesSchemaError
        If ``notes`` is not a notes table.
    NotesOrderError
        If a task's notes do not stand together or their starts descend (an ``InvalidOperationError`` of the same text
        when a LazyFrame is collected).
    ValueError
        If ``window`` is below 0.001, or ``drums`` has a value that it cannot have.

    References
    ----------
    Harte, Sandler and Gasser, Detecting harmonic change in musical audio, ACM AMCMM (2006), equations 1 and 2;
    ``librosa.feature.tonnetz``. Seconds of notes take the place of the audio's constant-Q chroma.

    Examples
    --------
    >>> import polars as pl
    >>> from kie_notes.notes import NOTES_SCHEMA
    >>> rows = [("a", "Flute", pitch, 0.0, 1.0, 0.5, 0) for pitch in (60, 66)]
    >>> centroid = tonal_centroid(pl.DataFrame(rows, schema=NOTES_SCHEMA, orient="row"))
    >>> centroid.select("window_start", pl.col("fifths_sin", "fifths_cos").round(9)).rows()
    [(0.0, 0.0, 0.0)]
    """
    if not 0.001 <= window < math.inf:
        raise ValueError(f"window: expected seconds, at least 0.001, got {window!r}")
    turns = np.outer(np.arange(12), [step for _, step in _CIRCLES]) % 12 * (math.pi / 6)
    radii = np.array([radius for radius, _ in _CIRCLES])
    places = np.stack([radii * np.sin(turns), radii * np.cos(turns)], axis=2).reshape(12, 6)

    def answer(some: TaskNotes) -> pl.DataFrame:
        cut = windows(some, round(window * MICROSECONDS))
        total = cut.chroma.sum(axis=1, keepdims=True)
        # Twelve products and no matrix product: a row's result must not depend on how many rows there are.
        moments = sum((cut.chroma[:, [k]] * places[k] for k in range(12)), np.zeros((len(total), 6)))
        centroids = np.divide(moments, total, out=np.full(moments.shape, np.nan), where=total > 0)
        named = dict(zip(_AXES, centroids.T, strict=True))
        frame = {"task": some.names.gather(cut.task), "window_start": cut.start / MICROSECONDS, **named}
        return pl.DataFrame(frame, schema=_CENTROIDS).with_columns(pl.col(_AXES).fill_nan(None))

    return over_tasks(notes, drums, answer, _CENTROIDS).sort("task", "window_start")


@notes_helper
def harmonic_change(notes: pl.LazyFrame, *, window: float = 1.0, drums: Drums = "exclude") -> pl.LazyFrame:
    """Say how far the tonal centroid moves from the window before each window to the window after it.

    Parameters
    ----------
    notes
        Notes table in canonical order.
    window
        Length of a window in seconds, at least 0.001; taken to the microsecond.
    drums
        Whether percussion is left out, counted too, or counted alone.

    Returns
    -------
    One row per task and window, those of ``tonal_centroid``, sorted by both:

    - ``task`` (String)
    - ``window_start`` (Float64): seconds, ``k * window``
    - ``harmonic_change`` (Float64): Euclidean distance of the neighbours' centroids, 0 to 3; null for a task's first
      and last window, and beside a silent one

    Raises
    ------
    NotesSchemaError
        If ``notes`` is not a notes table.
    NotesOrderError
        If a task's notes do not stand together or their starts descend (an ``InvalidOperationError`` of the same text
        when a LazyFrame is collected).
    ValueError
        If ``window`` is below 0.001, or ``drums`` has a value that it cannot have.

    References
    ----------
    Harte, Sandler and Gasser (2006), "harmonic change detection function", equation 3. Their smoothing by a Gaussian is
    left out: a window of a second does the same for notes.

    Examples
    --------
    >>> import polars as pl
    >>> from kie_notes.notes import NOTES_SCHEMA
    >>> rows = [("a", "Flute", pitch, float(k), k + 1.0, 0.5, 0) for k, pitch in enumerate([60, 60, 60, 61])]
    >>> harmonic_change(pl.DataFrame(rows, schema=NOTES_SCHEMA, orient="row"))["harmonic_change"].round(6).to_list()
    [None, 0.0, 2.545987, None]
    """
    centroids = tonal_centroid(notes, window=window, drums=drums)
    moves = ((pl.col(axis).shift(-1) - pl.col(axis).shift(1)).over("task") ** 2 for axis in _AXES)
    squares = reduce(add, moves)  # sum_horizontal adds in an order that depends on the engine
    return centroids.select("task", "window_start", harmonic_change=squares.sqrt())
