"""Questions answered by loops over tasks in NumPy: a peer that is hard to beat on large tasks.

A loop reads the columns that it needs from Parquet and gives, task by task, the columns of the answer; names and a
table of all tasks would cost more, so this favours it.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import polars as pl

from kie_notes.analysis.keys import KEYS, profile_matrix
from kie_notes.instruments import is_drums
from tests.benchmarks.corpus import count

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    from tests.benchmarks.measure import Ready, Way

    Array = NDArray[Any]
    #: The answer about a task, column by column.
    Columns = tuple[Any, ...]

#: Times that are closer than this are one.
_INSTANT: Final = 1e-6

#: From one pitch to the next, in microseconds: longer than any task.
_FAR: Final = 10**12


def loop(*columns: str, drums: bool, answer: Callable[..., Columns]) -> Way:
    """Make a way that reads columns and calls ``answer`` with those of each task."""

    def tasks(corpus: Path) -> list[Columns]:
        table = pl.read_parquet(corpus / "parts/*.parquet", columns=["task", "instrument", *columns])
        if not drums:
            kits = [name for name in table["instrument"].unique() if is_drums(name)]
            table = table.filter(~pl.col("instrument").is_in(kits))
        code = table["task"].to_physical().to_numpy()
        arrays = [table[column].to_numpy() for column in columns]
        edges = [0, *(np.flatnonzero(np.diff(code)) + 1).tolist(), table.height]
        return [answer(*(array[first:stop] for array in arrays)) for first, stop in pairwise(edges)]

    def ready(corpus: Path) -> Ready:
        return (lambda: tasks(corpus)), count(corpus)

    return ready


def _counted(numbers: Array, lowest: int = 0) -> Columns:
    """Give the numbers that occur, and how often."""
    counts = np.bincount(numbers)
    there = np.flatnonzero(counts)
    return there + lowest, counts[there]


def _pitch_classes(pitch: Array, start: Array, end: Array) -> Columns:
    seconds = np.bincount(pitch % 12, end - start, 12)
    there = np.flatnonzero(seconds)
    return there, seconds[there]


def _onsets(start: Array) -> Columns:
    window = (start + _INSTANT).astype(np.int64)
    counts = np.bincount(window - window[0])
    return window[0] + np.arange(len(counts)), counts


def _rolling(start: Array) -> Columns:
    held = np.searchsorted(start, start + (5 - _INSTANT), "right") - np.searchsorted(start, start - _INSTANT)
    return held.max() / 5, held.mean() / 5


def _sounding(start: Array, end: Array) -> Columns:
    sounds = end - start > _INSTANT
    first = (start[sounds] + _INSTANT).astype(np.int64)
    after = np.floor(end[sounds] - _INSTANT).astype(np.int64) + 1
    least, stop = first.min(), after.max()
    steps = np.bincount(first - least, minlength=stop - least + 1) - np.bincount(after - least)
    return np.arange(least, stop), np.cumsum(steps)[:-1]


def _polyphony(pitch: Array, start: Array, end: Array) -> Columns:
    """Give the mean and the most of distinct pitches: notes of one pitch are united, then a sweep counts them."""
    order = np.lexsort((start, pitch))
    lane = pitch[order].astype(np.int64) * _FAR
    on, off = (np.rint(time[order] * 1e6).astype(np.int64) + lane for time in (start, end))
    off = np.maximum.accumulate(off)
    first = np.flatnonzero(np.append(True, on[1:] > off[:-1]))
    on, off = on[first] - lane[first], off[np.append(first[1:], len(off)) - 1] - lane[first]
    times, steps = np.concatenate([off, on]), np.repeat([-1, 1], len(on))
    order = np.argsort(times, kind="stable")  # ends before starts at the same time
    sounding, spans = np.cumsum(steps[order])[:-1], np.diff(times[order])
    return (sounding * spans).sum() / spans[sounding > 0].sum(), sounding.max(initial=0)


def _gaps(start: Array) -> Array:
    gaps = np.diff(start)
    return gaps[gaps > _INSTANT]


def _octaves(seconds: Array) -> Columns:
    number = np.floor(np.log2(seconds + _INSTANT)).astype(np.int64)
    octave, counts = _counted(number + 64, -64)
    return 2.0**octave, counts


def _gap_statistics(start: Array) -> Columns:
    gaps = _gaps(start)
    return len(gaps), gaps.mean(), gaps.std(), np.median(gaps), gaps.min(), gaps.max()


def _gaps_per_track(start: Array, track: Array) -> Columns:
    order = np.lexsort((start, track))
    lane, onset = track[order], start[order]
    gaps = np.diff(onset)
    there = (lane[1:] == lane[:-1]) & (gaps > _INSTANT)
    return lane[1:][there], gaps[there]


def _velocities(velocity: Array) -> Columns:
    return velocity.mean(dtype=float), velocity.std(dtype=float), velocity.min(), velocity.max()


def _density(start: Array, end: Array) -> Columns:
    return len(start) / end.max(), (len(start) - 1) / (start[-1] - start[0])


_PROFILES: Final = profile_matrix("krumhansl-kessler")


def _key(pitch: Array, start: Array, end: Array) -> Columns:
    weights = np.bincount(pitch % 12, end - start, 12)
    weights -= weights.mean()
    correlations = _PROFILES @ weights / max(float(np.linalg.norm(weights)), 1e-9)
    best = correlations.argmax()
    return KEYS[best], correlations[best]


def _tops(pitch: Array, start: Array, track: Array) -> tuple[Array, ...]:
    """Give track, start and pitch of the highest note at each onset of each track, and whether the next is of it."""
    order = np.lexsort((pitch, start, track))
    lane, onset = track[order], start[order]
    last = np.append((lane[1:] != lane[:-1]) | (onset[1:] - onset[:-1] > _INSTANT), True)
    lane = lane[last]
    return lane, onset[last], pitch[order][last].astype(np.int64), lane[1:] == lane[:-1]


def _transitions(pitch: Array, start: Array, track: Array) -> Columns:
    _, _, top, same = _tops(pitch, start, track)
    kind = top % 12
    codes, counts = _counted((kind[:-1] * 12 + kind[1:])[same])
    return codes // 12, codes % 12, counts


def _intervals(pitch: Array, start: Array, track: Array) -> Columns:
    lane, onset, top, same = _tops(pitch, start, track)
    return lane[:-1][same], onset[:-1][same], np.diff(top)[same]


def _interval_counts(pitch: Array, start: Array, track: Array) -> Columns:
    _, _, top, same = _tops(pitch, start, track)
    return _counted(np.diff(top)[same] + 128, -128)


#: Loops by question.
LOOPS: Final[dict[str, Way]] = {
    "pitch_histogram": loop("pitch", drums=False, answer=_counted),
    "pitch_classes_by_seconds": loop("pitch", "start", "end", drums=False, answer=_pitch_classes),
    "pitch_range": loop("pitch", drums=False, answer=lambda pitch: (pitch.min(), pitch.max())),
    "mean_pitch": loop("pitch", drums=False, answer=lambda pitch: (pitch.mean(), pitch.std())),
    "note_density": loop("start", "end", drums=True, answer=_density),
    "onset_density": loop("start", drums=True, answer=_onsets),
    "rolling_density": loop("start", drums=True, answer=_rolling),
    "sounding_density": loop("start", "end", drums=True, answer=_sounding),
    "polyphony": loop("pitch", "start", "end", drums=False, answer=_polyphony),
    "inter_onset_histogram": loop("start", drums=True, answer=lambda start: _octaves(_gaps(start))),
    "inter_onset_statistics": loop("start", drums=True, answer=_gap_statistics),
    "duration_histogram": loop("start", "end", drums=True, answer=lambda start, end: _octaves(end - start)),
    "velocity_statistics": loop("velocity", drums=True, answer=_velocities),
    "key": loop("pitch", "start", "end", drums=False, answer=_key),
    "pitch_class_transitions": loop("pitch", "start", "track", drums=False, answer=_transitions),
    "interval_histogram": loop("pitch", "start", "track", drums=False, answer=_interval_counts),
    "inter_onset_intervals_per_track": loop("start", "track", drums=True, answer=_gaps_per_track),
    "melodic_intervals": loop("pitch", "start", "track", drums=False, answer=_intervals),
}
