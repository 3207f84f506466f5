"""The pulse of a task: how strongly each onset is accented, and at which periods the accents come again.

What ``tempo`` and ``beats`` share. It works on whole tasks, one after the other, in NumPy; ``per_pulse`` is the way in.

- **Strength** of an onset (notes that start together are one onset): the velocities of its notes (plain), and the same
  with each note's accent as a weight (accented). An accent grows with duration (Parncutt 1994) and below A3, bass drum
  and snare drum have one, other percussion next to none. Loudness sums are compressed by a square root. No velocity
  counts as less than 1/127.
- **Strength function**: both, on frames of equal length, each onset shared by the two nearest frames and smeared.
- **Salience** of a period p: how well the strength functions (mean of both) correlate with themselves, at p (counted
  5/4), 2p, 4p (each counted 1) and p/2 (counted 3/4), no correlation below 0; less a log-normal penalty for tempi other
  than 120 BPM, and less a like penalty for other than two onsets a beat. This favours the level that people tap.

Silence of more than ten seconds between two onsets counts as ten: so cost grows with notes and not with seconds.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
import polars as pl

from kie_notes.analysis.door import per_task
from kie_notes.analysis.grouping import INSTANT, Drums, drums_mask, keep_drums

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

#: Beats per minute that can be asked for, both inclusive.
SLOWEST: Final = 30.0
FASTEST: Final = 300.0

#: Periods at which salience is known, in seconds: one percent apart, from ``FASTEST`` to ``SLOWEST``.
PERIODS: Final = np.geomspace(60 / FASTEST, 60 / SLOWEST, round(100 * math.log(FASTEST / SLOWEST)) + 1)

#: Frames of the strength function per second, and the standard deviation of its smearing in frames.
FRAMES: Final = 100
_SMEAR: Final = 2.0

#: Multiples of a period at which the onsets of metrical music come again (the levels of a duple hierarchy), and what
#: their correlations count: that between beats there are onsets is less sure than that there are on beats.
_LEVELS: Final = ((0.5, 0.75), (1.0, 1.25), (2.0, 1.0), (4.0, 1.0))

#: Period at which people tap best, and the standard deviation of the preference in octaves: the usual values of
#: Moelants (2002) and Ellis (2007), rounded.
_PREFERRED: Final = 0.5
_SPREAD: Final = 0.7

#: Onsets a beat that are preferred, in octaves, and how much an octave off counts against it.
_ONSETS_A_BEAT: Final = 1.0
_ONSETS_WEIGHT: Final = 0.15

#: Onsets that are closer than this are one when onsets a beat are counted.
_APART: Final = 0.03

#: The longest silence between two onsets that is taken at its length, in seconds.
LONGEST_GAP: Final = 10.0

#: Weights are whole multiples of this, so that their sums do not depend on the order of notes that start together.
_GRAIN: Final = 2.0**-20


class Onsets(NamedTuple):
    """The distinct onsets of one task.

    ``seconds`` are the times in the recording; ``time`` starts at 0 and has no gap above ``LONGEST_GAP``.
    """

    seconds: Floats
    time: Floats
    plain: Floats
    accented: Floats


def per_pulse(notes: pl.LazyFrame, drums: Drums) -> pl.LazyFrame:
    """Give one row per task with what ``onsets`` reads: starts and weights of its notes, as lists."""
    length = pl.col("end") - pl.col("start")
    percussion, pitch = drums_mask(), pl.col("pitch").cast(pl.Float64)
    struck = percussion & pl.col("pitch").is_between(35, 40)
    lasting = (1 - (length * -2.0).exp()).pow(2) * 1.5 + ((55 - pitch) * (1 / 24)).clip(0, 1)
    accent = pl.when(percussion).then(struck.cast(pl.Float64)).otherwise(lasting) + 0.15
    loud = pl.col("velocity").cast(pl.Float64).clip(lower_bound=1 / 127)
    weights = {"plain": loud, "accented": loud * accent}
    whole = {name: (weight * (1 / _GRAIN)).round().cast(pl.Int64) for name, weight in weights.items()}
    kept = keep_drums(notes, drums).select("task", "start", **whole)
    return per_task(kept, start=pl.col("start"), plain=pl.col("plain"), accented=pl.col("accented"))


def onsets(tasks: pl.DataFrame) -> Iterator[tuple[str, Onsets]]:
    """Give each task's onsets, in the order of the rows of ``per_pulse``."""
    edges = np.concatenate([[0], np.cumsum(tasks["start"].list.len().to_numpy(), dtype=np.int64)])
    start, plain, accented = (tasks[name].explode().to_numpy() for name in ("start", "plain", "accented"))
    for row, task in enumerate(tasks["task"]):
        notes = slice(edges[row], edges[row + 1])
        at = start[notes]
        first = np.flatnonzero(np.diff(at, prepend=-np.inf) > INSTANT)
        seconds = at[first]
        gaps = np.minimum(np.diff(seconds, prepend=seconds[0]), LONGEST_GAP)
        weights = (np.add.reduceat(values[notes], first).astype(np.float64) for values in (plain, accented))
        yield task, Onsets(seconds, np.cumsum(gaps), *weights)


def strength(found: Onsets, frame: float, smear: float) -> tuple[Floats, Floats]:
    """Give both strength functions, plain and accented, on frames of ``frame`` seconds; mean square 1 each."""
    place = found.time / frame
    left = place.astype(np.int64)
    right = place - left
    wide = math.ceil(3 * smear)
    bell = np.exp(-0.5 * (np.arange(-wide, wide + 1) / smear) ** 2)
    size = max(int(left[-1]) + 2, len(bell))

    def function(weight: Floats) -> Floats:
        struck = np.bincount(left, weight * (1 - right), size) + np.bincount(left + 1, weight * right, size)
        heard = np.sqrt(np.convolve(struck, bell, "same"))
        rms: Floats = heard / math.sqrt(float(np.mean(heard**2)))
        return rms

    return function(found.plain), function(found.accented)


def autocorrelation(found: Onsets) -> Floats:
    """Correlate the strength functions with themselves: mean of both, 1 at lag 0, to eight of the longest periods."""
    lags = int(8 * PERIODS[-1] * FRAMES) + 2
    functions = strength(found, 1 / FRAMES, _SMEAR)
    size = _fast_size(len(functions[0]) + lags)
    power = np.zeros(size // 2 + 1)
    for function in functions:
        centred = function - function.mean()
        energy = float(np.square(centred).sum())  # a dot product depends on the number of threads
        if energy > 0:
            spectrum = np.fft.rfft(centred, size)
            power += (spectrum.real**2 + spectrum.imag**2) / energy
    correlation: Floats = np.fft.irfft(power, size)[:lags] / len(functions)
    return correlation


def _fast_size(least: int) -> int:
    """Give the next length for which a Fourier transform is fast: 1, 5/4 or 3/2 times a power of two."""
    whole = 1 << math.ceil(math.log2(least))
    return min(size for size in (whole, whole * 3 // 4, whole * 5 // 8) if size >= least)


def salience(found: Onsets, correlation: Floats) -> Floats:
    """Say how much each of ``PERIODS`` is the beat: a number that compares within the task only."""
    at = np.arange(len(correlation)) / FRAMES
    like = np.maximum(correlation, 0)
    repeated = sum(weight * np.interp(PERIODS * level, at, like) for level, weight in _LEVELS)
    steps = np.count_nonzero(np.diff(np.round(found.time / _APART)))
    rate = (steps + 1) / max(float(found.time[-1]), 0.5)
    preferred = -0.5 * (np.log2(PERIODS / _PREFERRED) / _SPREAD) ** 2
    filled = -_ONSETS_WEIGHT * (np.log2(rate * PERIODS) - _ONSETS_A_BEAT) ** 2
    result: Floats = repeated + preferred + filled
    return result


def refined(periods: Floats, correlation: Floats) -> Floats:
    """Give periods more exactly, by their first eight multiples together: within 1.5 % of what they were."""
    near = periods[:, None] * np.linspace(0.985, 1.015, 61)
    place = near[..., None] * (np.arange(1, 9) * FRAMES)
    # A parabola through the three nearest lags: straight lines would draw every peak onto a frame.
    middle = np.rint(place).astype(np.int64).clip(1, len(correlation) - 2)
    before, here, after = (correlation[middle + side] for side in (-1, 0, 1))
    off = place - middle
    value = here + off * (after - before) / 2 + off**2 * (after + before - 2 * here) / 2
    best: Floats = near[np.arange(len(near)), value.sum(axis=2).argmax(axis=1)]
    return best


def check_range(slowest: float, fastest: float) -> None:
    """Refuse tempi that are not looked for."""
    if not SLOWEST <= slowest < fastest <= FASTEST:
        got = f"got {slowest!r} and {fastest!r}"
        raise ValueError(f"slowest, fastest: expected {SLOWEST:g} <= slowest < fastest <= {FASTEST:g} BPM, {got}")
