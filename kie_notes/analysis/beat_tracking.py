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
    from kie_notes.analysis.pulse import Floats, Onsets, Whole

#: Frames of the strength function per beat, whatever the tempo: so one step of the search serves all tasks.
_FRAMES: Final = 16

#: How often each frame is added to the next, to smear the strength function.
_SMEAR: Final = 1

#: Share of the accented strength; the rest is the plain one's.
_ACCENTED: Final = 0.7

#: Shortest and longest step from beat to beat, in frames, and what a step that is an octave off costs.
_SHORTEST: Final = round(0.6 * _FRAMES)
_LONGEST: Final = round(1.7 * _FRAMES)
_TIGHTNESS: Final = 25.0

#: The steps, in the order of the frames that they come from, and what each costs.
_STEPS: Final = np.arange(_LONGEST, _SHORTEST - 1, -1)
_COST: Final = (-_TIGHTNESS * np.log2(_STEPS / _FRAMES) ** 2).astype(np.float32)

#: A beat is moved onto an onset that is this near, in beats.
_REACH: Final = 1 / 16

#: Tasks that are searched together, and frames that they have at most (memory and speed, not results, depend on it).
_TOGETHER: Final = 64
_ROOM: Final = 2**19

#: Times are compared as whole multiples of this, in seconds; between the times of two tasks there are so many.
_TICK: Final = 2.0**-30
_BETWEEN: Final = 2**35

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
    Cost grows with the number of beats: the search adds half to one and a half times what ``tempo`` costs. The costs of
    steps, the frames and the share of accents were chosen (54 cases) on excerpts of scores that a machine played at
    wavering tempi, on synthetic pieces, and on game music, drummers, songs and quartets whose beats are known. Scores
    on these are not those of music that nobody has looked at.

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
    tables = [_SCHEMA.to_frame()]
    for found in onsets(tasks):
        if bpm is None:
            correlation = autocorrelation(found)
            task, best, _ = peaks(salience(found, correlation), slowest, fastest, 1)
            period = refined(task, PERIODS[best], correlation)
        else:
            period = np.full(len(found.names), 60 / bpm)
        tables += [_tracked(found.of(some), period[some]) for some in _alike(found.last / period)]
    return pl.concat(tables)


def _alike(length: Floats) -> Iterator[Whole]:
    """Give groups of tasks that are searched together: alike in their length in beats."""
    order = np.argsort(length, kind="stable")
    frames = (length[order] * _FRAMES).tolist()
    first = 0
    for task, long in enumerate(frames):
        if task - first == _TOGETHER or (task > first and long * (task - first + 1) > _ROOM):
            yield order[first:task]
            first = task
    yield order[first:]


def _tracked(found: Onsets, period: Floats) -> pl.DataFrame:
    frames = _FRAMES / period
    sizes = (found.last * frames).astype(np.int64) + 2 + _SMEAR
    function = strength(found, frames, sizes, _SMEAR, _ACCENTED)
    function *= np.repeat(np.sqrt(sizes / 2**_SMEAR), sizes)  # so that the mean square is 1
    number, frame = _path(np.split(function, np.cumsum(sizes)[:-1]), sizes)
    task = np.repeat(np.arange(len(number)), number)
    top = _tops(function, sizes, task, frame)
    time = np.maximum((top - _SMEAR / 2) * (period / _FRAMES)[task], 0)
    placed, kept = _placed(found, task, time, _REACH * period[task])
    return pl.DataFrame({"task": found.names[task[kept]], "time": placed[kept]}, schema=_SCHEMA)


def _tops(function: Floats, sizes: Whole, task: Whole, frame: Whole) -> Floats:
    """Move frames to the top of the parabola through them and their neighbours, by half a frame at most."""
    middle = frame.clip(1, sizes[task] - 2)
    at = (np.cumsum(sizes) - sizes)[task] + middle
    before, here, after = (function[at + side] for side in (-1, 0, 1))
    bend = np.minimum(before + after - 2 * here, -1e-9)
    top: Floats = middle + ((before - after) / (2 * bend)).clip(-0.5, 0.5)
    return top


def _path(functions: list[Floats], sizes: Whole) -> tuple[Whole, Whole]:
    """Find the best path through each strength function: how many beats it has, and their frames.

    ``score`` of a frame is its strength and the best score among the frames from which a step may come, if above 0.
    Frames that are less than the shortest step apart do not bear on each other, so that many are settled at once, in
    all tasks. Before the first frame stand as many of score 0 as the longest step is long.
    """
    tasks, width = len(sizes), -(-int(sizes.max()) // _SHORTEST) * _SHORTEST
    score = np.zeros((_LONGEST + width, tasks), np.float32)
    for task, function in enumerate(functions):
        score[_LONGEST : _LONGEST + len(function), task] = function
    flat, together = score.ravel(), _SHORTEST * tasks
    sources = np.lib.stride_tricks.sliding_window_view(flat, together)[::tasks]
    ways, best, cost = np.empty((len(_COST), together), np.float32), np.empty(together, np.float32), _COST[:, None]
    for at in range(0, width, _SHORTEST):
        np.add(sources[at : at + len(_COST)], cost, out=ways)
        ways.max(axis=0, initial=0, out=best)
        flat[(_LONGEST + at) * tasks :][:together] += best
    return _traced(score, sizes)


def _traced(score: NDArray[np.float32], sizes: Whole) -> tuple[Whole, Whole]:
    """Go back from the best frame among the last beat's, in all tasks at once."""
    tasks, each = len(sizes), np.arange(len(sizes))
    ends = _LONGEST + np.maximum(sizes[:, None] - np.arange(_FRAMES, 0, -1), 0)
    end = ends[each, score[ends, each[:, None]].argmax(axis=1)]
    # A frame is a place in all of ``score`` from here on. Beside the steps there is one to stay, which is worth 0.
    flat, here = score.ravel(), end * tasks + each
    steps, ways = np.append(0, _STEPS) * tasks, np.zeros((tasks, 1 + len(_STEPS)), np.float32)
    trail, going = [here], True
    while going:
        ways[:, 1:] = flat.take(here[:, None] - steps[1:], mode="clip")
        ways[:, 1:] += _COST
        best = ways.argmax(axis=1)
        here = here - steps[best]
        trail.append(here)
        going = best.any()
    path = np.array(trail[::-1]).T
    kept = np.diff(path, prepend=-1) > 0
    return kept.sum(axis=1), path[kept] // tasks - _LONGEST


def _placed(found: Onsets, task: Whole, time: Floats, reach: Floats) -> tuple[Floats, NDArray[np.bool_]]:
    """Move beats onto near onsets, give their times in the recording, and say which are in no long silence."""
    lengths = np.rint(found.last / _TICK).astype(np.int64) + _BETWEEN
    base = np.cumsum(lengths) - lengths
    at = np.rint(found.time / _TICK).astype(np.int64) + np.repeat(base, np.diff(found.edges))
    tick = np.rint(time / _TICK).astype(np.int64) + base[task]
    before = np.searchsorted(at, tick, side="right") - 1
    after = np.minimum(before + 1, found.edges[task + 1] - 1)
    nearest = np.where(tick - at[before] < at[after] - tick, before, after)
    hit = np.abs(at[nearest] - tick) * _TICK <= reach
    gaps = np.diff(found.seconds, append=np.inf)
    gaps[found.edges[1:] - 1] = np.inf  # no beat after the last onset
    placed = np.where(hit, found.seconds[nearest], found.seconds[before] + (time - found.time[before]))
    return placed, hit | (gaps[before] <= LONGEST_GAP)
