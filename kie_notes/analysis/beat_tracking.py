"""When people would tap: the beats of a task.

Beats are times, one after the other, with neither number nor accent: nothing here knows where a bar begins. Helpers
that need beats (``kie_notes.analysis.positions``) take these, or anybody's own in a table with ``task`` and ``time``.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

import numpy as np
import polars as pl

from kie_notes.analysis.door import notes_helper
from kie_notes.analysis.pulse import (
    FASTEST,
    LONGEST_GAP,
    PERIODS,
    SLOWEST,
    autocorrelation,
    check_range,
    onsets,
    per_pulse,
    refined,
    salience,
    strength,
)
from kie_notes.analysis.tempi import peaks

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from kie_notes.analysis.grouping import Drums
    from kie_notes.analysis.pulse import Floats, Onsets

#: Frames of the strength function per beat, whatever the tempo: so one step of the search serves all tasks.
_FRAMES: Final = 32

#: Standard deviation of the strength function's smearing, in frames.
_SMEAR: Final = 1.5

#: Share of the accented strength function; the rest is the plain one's.
_ACCENTED: Final = 0.8

#: Shortest and longest step from beat to beat, in frames, and what a step that is an octave off costs.
_SHORTEST: Final = 19
_LONGEST: Final = 54
_TIGHTNESS: Final = 30.0

#: The steps, in the order of the frames that they come from, and what each costs.
_STEPS: Final = np.arange(_LONGEST, _SHORTEST - 1, -1)
_COST: Final = -_TIGHTNESS * np.log2(_STEPS / _FRAMES) ** 2

#: A beat is moved onto an onset that is this near, in frames.
_REACH: Final = 2.0

#: Tasks that are searched together, and frames that they have at most (memory, not results, depends on it).
_TOGETHER: Final = 128
_ROOM: Final = 2_000_000

_SCHEMA: Final = pl.Schema({"task": pl.String(), "time": pl.Float64()})


@notes_helper
def beats(
    notes: pl.LazyFrame,
    *,
    bpm: float | None = None,
    slowest: float = SLOWEST,
    fastest: float = FASTEST,
    drums: Drums = "include",
) -> pl.LazyFrame:
    """Give the times of each task's beats.

    Beats are the series of times that gathers most strength of onsets while its steps stay near the period of the
    task's best tempo: found exactly, by dynamic programming. A step may be from 0.6 to 1.7 times that period, so the
    beats follow a player's tempo where it wavers, but not one that doubles. A beat that an onset is near (a sixteenth
    of a beat) is at that onset. There is no beat before the first onset, after the last, or in a silence of more than
    ten seconds.

    Parameters
    ----------
    notes
        Notes table in canonical order.
    bpm
        The tempo of all tasks, where it is known (30 to 300); otherwise each task's best ``tempo`` is taken.
    slowest, fastest
        Tempi that are looked for, in BPM, 30 to 300, both inclusive.
    drums
        Whether percussion is left out, counted too, or counted alone.

    Returns
    -------
    One row per beat, sorted by task and time; a task with fewer than two onsets has no row:

    - ``task`` (String)
    - ``time`` (Float64): seconds from the start of the recording, ascending

    Raises
    ------
    NotesSchemaError
        If ``notes`` is not a notes table.
    NotesOrderError
        If a task's notes do not stand together or their starts descend (an ``InvalidOperationError`` of the same text
        when a LazyFrame is collected).
    ValueError
        If an option has a value that it cannot have.

    Notes
    -----
    Cost grows with the number of beats. The costs of steps and the share of accents were chosen (15 cases) on excerpts
    of scores that a machine played at wavering tempi.

    References
    ----------
    D. Ellis, "Beat tracking by dynamic programming", Journal of New Music Research 36, 2007. Different here: the
    strength comes from notes, a step costs by the octaves that it is off, and frames are fractions of a beat.

    Examples
    --------
    >>> import polars as pl
    >>> from kie_notes.notes import NOTES_SCHEMA
    >>> rows = [("a", "Flute", 60, 1 + k / 2, 1.4 + k / 2, 0.5, 0) for k in range(40)]
    >>> beats(pl.DataFrame(rows, schema=NOTES_SCHEMA, orient="row"))["time"].head(4).to_list()
    [1.0, 1.5, 2.0, 2.5]
    """
    check_range(slowest, fastest)
    if bpm is not None and not SLOWEST <= bpm <= FASTEST:
        raise ValueError(f"bpm: expected {SLOWEST:g} to {FASTEST:g}, got {bpm!r}")
    find = partial(_beats, bpm=bpm, slowest=slowest, fastest=fastest)
    found = per_pulse(notes, drums).map_batches(find, schema=_SCHEMA, streamable=True)
    return found.sort("task", "time")


def _beats(tasks: pl.DataFrame, *, bpm: float | None, slowest: float, fastest: float) -> pl.DataFrame:
    names: list[str] = []
    times: list[Floats] = [np.empty(0)]
    for group in _gathered(tasks, bpm, slowest, fastest):
        functions = [_function(found, period) for _, found, period in group]
        for (name, found, period), path in zip(group, _paths(functions), strict=True):
            at = _placed(path.astype(np.float64) * (period / _FRAMES), found, _REACH * period / _FRAMES)
            times.append(at)
            names += [name] * len(at)
    return pl.DataFrame([names, np.concatenate(times)], schema=_SCHEMA)


def _gathered(
    tasks: pl.DataFrame, bpm: float | None, slowest: float, fastest: float
) -> Iterator[list[tuple[str, Onsets, float]]]:
    """Give tasks with their onsets and period, in groups that are searched together: alike in their beats."""
    ready: list[tuple[str, Onsets, float]] = []
    for task, found in onsets(tasks):
        if len(found.time) < 2:
            continue
        if bpm is not None:
            ready.append((task, found, 60 / bpm))
            continue
        correlation = autocorrelation(found)
        best = peaks(salience(found, correlation), slowest, fastest)[0][:1]
        ready.append((task, found, float(refined(PERIODS[best], correlation)[0])))
    ready.sort(key=lambda one: one[1].time[-1] / one[2])
    group: list[tuple[str, Onsets, float]] = []
    for one in ready:
        frames = one[1].time[-1] / one[2] * _FRAMES
        if group and (len(group) == _TOGETHER or frames * (len(group) + 1) > _ROOM):
            yield group
            group = []
        group.append(one)
    if group:
        yield group


def _function(found: Onsets, period: float) -> Floats:
    plain, accented = strength(found, period / _FRAMES, _SMEAR)
    return (1 - _ACCENTED) * plain + _ACCENTED * accented


def _paths(functions: list[Floats]) -> list[NDArray[np.int64]]:
    """Find the best path through each strength function: the frames of its beats.

    ``score`` of a frame is its strength and the best score among the frames from which a step may come, if above 0.
    Frames that are less than the shortest step apart do not bear on each other, so that many are settled at once, in
    all tasks. Before the first frame stand as many of score 0 as the longest step is long.
    """
    sizes = np.array([len(function) for function in functions])
    width = -(-int(sizes.max()) // _SHORTEST) * _SHORTEST
    score = np.zeros((_LONGEST + width, len(functions)))
    for task, function in enumerate(functions):
        score[_LONGEST : _LONGEST + len(function), task] = function
    best, way = np.empty((2, _SHORTEST, len(functions)))
    for at in range(0, width, _SHORTEST):
        best[:] = 0
        for step, cost in enumerate(_COST.tolist(), at):
            np.maximum(best, np.add(score[step : step + _SHORTEST], cost, out=way), out=best)
        score[_LONGEST + at : _LONGEST + at + _SHORTEST] += best
    return _traced(score, sizes)


def _traced(score: Floats, sizes: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    """Go back from the best frame among the last beat's, in all tasks at once."""
    tasks, frame = np.arange(len(sizes)), np.arange(len(score))[:, None] - _LONGEST
    last = (frame >= 0) & (frame < sizes) & (frame >= sizes - _FRAMES)
    here = np.where(last, score, -np.inf).argmax(axis=0)
    going = np.ones(len(sizes), np.bool_)
    trail, alive = [here], [going]
    while going.any():
        ways = score[np.maximum(here - _STEPS[:, None], 0), tasks] + _COST[:, None]
        best = ways.argmax(axis=0)
        going = going & (ways[best, tasks] > 0)
        here = np.where(going, here - _STEPS[best], here)
        trail.append(here)
        alive.append(going)
    frames, kept = np.array(trail[::-1]) - _LONGEST, np.array(alive[::-1])
    return [frames[kept[:, task], task] for task in tasks]


def _placed(time: Floats, found: Onsets, reach: float) -> Floats:
    """Move beats onto near onsets, and give their times in the recording; none in a long silence."""
    after = np.clip(np.searchsorted(found.time, time), 1, len(found.time) - 1)
    nearest = after - (time - found.time[after - 1] < found.time[after] - time)
    hit = np.abs(found.time[nearest] - time) <= reach
    before = np.clip(np.searchsorted(found.time, time, side="right") - 1, 0, len(found.time) - 1)
    silent = np.diff(found.seconds, append=np.inf)[before] > LONGEST_GAP  # and so it is after the last
    placed = np.where(hit, found.seconds[nearest], found.seconds[before] + (time - found.time[before]))
    return np.unique(placed[hit | ~silent])
