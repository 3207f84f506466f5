"""The pulse of a task: how strongly each onset is accented, and at which periods the accents come again.

What ``tempo`` and ``beats`` share. It works on batches of whole tasks, in NumPy; ``per_pulse`` is the way in.

- **Strength** of an onset (notes that start together are one onset): its share in the task's sum of velocities (plain),
  and in the same sum with each note's accent as a weight (accented). An accent grows with duration (Parncutt 1994) and
  below A3, bass drum and snare drum have one, other percussion next to none. No velocity counts as less than 1/127.
- **Strength function**: a mean of both on frames of equal length, each onset shared by the two nearest frames and
  smeared; of that the square root, which compresses loudness.
- **Salience** of a period p: how well the strength function (equal parts plain and accented) correlates with itself, at
  p (counted 5/4), 2p, 4p (each counted 1) and p/2 (counted 3/4), no correlation below 0; less a log-normal penalty for
  tempi other than 120 BPM, and less a like penalty for other than two onsets a beat. This favours the level that people
  tap.

Silence of more than ten seconds between two onsets counts as ten: so cost grows with notes and not with seconds. Of a
task of 700 notes and 80 seconds, about half the cost, reading aside, is that of the correlation.

What is said of a task depends on that task alone, to the last bit: nothing is added up over tasks but whole numbers,
and what is transformed are blocks of one length.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
import polars as pl

from kie_notes.analysis.door import per_task
from kie_notes.analysis.grouping import INSTANT, Drums, drums_mask, keep_drums

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Singles = NDArray[np.float32]
    Whole = NDArray[np.int64]

#: Beats per minute that can be asked for, both inclusive.
SLOWEST: Final = 30.0
FASTEST: Final = 300.0

#: Periods at which salience is known, in seconds: one percent apart, from ``FASTEST`` to ``SLOWEST``.
PERIODS: Final = np.geomspace(60 / FASTEST, 60 / SLOWEST, round(100 * math.log(FASTEST / SLOWEST)) + 1)

#: Frames of the strength function per second, and how often each is added to the next, which smears it: by 25 ms, as a
#: standard deviation. Of 20 to 100 frames, 32 are the fewest with which as many labelled tempi were found as with 100,
#: octave errors allowed or not; with 25 it was one piece of 47 fewer.
FRAMES: Final = 32
_SMEAR: Final = 2

#: A period is refined to the best of these multiples of it, and between them, by so many of its own multiples.
_NEAR: Final = np.linspace(0.985, 1.015, 13)
_MULTIPLES: Final = 8

#: Lags at which the strength function is correlated with itself, and frames of a block: as many as a lag at least.
_LAGS: Final = math.ceil(_MULTIPLES * PERIODS[-1] * _NEAR[-1] * FRAMES) + 2
_BLOCK: Final = 576

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

#: Notes of a batch, and blocks that are transformed together, one task's at least: memory and speed depend on them,
#: results do not. So few blocks stay in a processor's cache.
_BATCH: Final = 2**18
_TOGETHER: Final = 48


class Onsets(NamedTuple):
    """The distinct onsets of a batch of tasks, task after task, two or more of each.

    Those of task k stand from ``edges[k]`` to ``edges[k + 1]``. ``seconds`` are the times in the recording; ``time``
    starts at 0 in each task and has no gap above ``LONGEST_GAP``; ``plain`` and ``accented`` sum to 1 in each task.
    """

    names: pl.Series
    edges: Whole
    seconds: Floats
    time: Floats
    plain: Floats
    accented: Floats

    @property
    def last(self) -> Floats:
        """The time of each task's last onset."""
        return self.time[self.edges[1:] - 1]

    def of(self, tasks: Whole) -> Onsets:
        """Give the onsets of some tasks, in the order in which they are named."""
        number = np.diff(self.edges)[tasks]
        edges = np.append(0, np.cumsum(number))
        at = np.repeat(self.edges[tasks] - edges[:-1], number) + np.arange(edges[-1])
        return Onsets(self.names[tasks], edges, *(values[at] for values in self[2:]))

    def part(self, first: int, stop: int) -> Onsets:
        """Give the onsets of tasks that stand together."""
        edges = self.edges[first : stop + 1]
        values = (values[edges[0] : edges[-1]] for values in self[2:])
        return Onsets(self.names[first:stop], edges - edges[0], *values)


def per_pulse(notes: pl.LazyFrame, drums: Drums) -> pl.LazyFrame:
    """Give one row per task with what ``onsets`` reads of its notes, as lists; to pitches of drums 128 is added."""
    length = (pl.col("end") - pl.col("start")).cast(pl.Float32)
    pitch = pl.col("pitch") + drums_mask().cast(pl.UInt8) * 128
    kept = keep_drums(notes, drums).select("task", "start", "velocity", length=length, pitch=pitch)
    return per_task(
        kept, start=pl.col("start"), length=pl.col("length"), pitch=pl.col("pitch"), velocity=pl.col("velocity")
    )


def onsets(tasks: pl.DataFrame) -> Iterator[Onsets]:
    """Give the onsets of the rows of ``per_pulse``, batch by batch; tasks of one onset are left out."""
    edges = np.append(0, np.cumsum(tasks["start"].list.len().to_numpy(), dtype=np.int64))
    start, length, pitch, velocity = (tasks[name].explode().to_numpy() for name in tasks.columns[1:])
    for first, stop in _runs(np.diff(edges), _BATCH):
        some, begins = slice(edges[first], edges[stop]), edges[first:stop] - edges[first]
        loud = np.maximum(velocity[some], np.float32(1 / 127))
        found = _distinct(tasks["task"][first:stop], begins, start[some], loud, _accents(length[some], pitch[some]))
        several = np.diff(found.edges) > 1
        if several.any():
            yield found if several.all() else found.of(np.flatnonzero(several))


def _runs(sizes: Whole, room: int) -> Iterator[tuple[int, int]]:
    """Cut tasks into runs whose sizes are about ``room``, one task at least."""
    run = np.cumsum(sizes) // room
    return pairwise(np.flatnonzero(np.diff(run, prepend=-1, append=-1)).tolist())


def _distinct(names: pl.Series, begins: Whole, start: Floats, loud: Singles, accent: Singles) -> Onsets:
    """Give the onsets of tasks of which each one's notes begin at one of ``begins``."""
    new = np.empty(len(start), np.bool_)
    np.greater(np.diff(start), INSTANT, out=new[1:])
    new[begins] = True
    first, onset = np.flatnonzero(new), np.cumsum(new)  # which counts from 1 on
    seconds, edges = start[first], np.append(np.searchsorted(first, begins), len(first))
    shares = []
    for weight in (loud, loud * accent):  # of 24 bits, and so added up exactly: in any order of notes
        strong = np.bincount(onset, weight)[1:].astype(np.float64, copy=False)
        strong /= np.repeat(np.add.reduceat(strong, edges[:-1]), np.diff(edges))
        shares.append(strong)
    return Onsets(names, edges, seconds, _closed_up(seconds, edges), *shares)


def _accents(length: Singles, pitch: NDArray[np.uint8]) -> Singles:
    """Give each note's accent: duration and depth, or that of a drum, and a little in any case."""
    accent = length * np.float32(-2)
    np.exp(accent, out=accent)
    np.subtract(1, accent, out=accent)
    accent *= accent
    accent *= 1.5
    low = pitch.astype(np.float32)
    low *= -1 / 24
    low += 55 / 24
    accent += np.clip(low, 0, 1, out=low)
    drums = np.flatnonzero(pitch >= 128)
    key = pitch[drums] - np.uint8(128)
    accent[drums] = (key >= 35) & (key <= 40)
    accent += 0.15
    return accent


def _closed_up(seconds: Floats, edges: Whole) -> Floats:
    """Give the times since each task's first onset, with long silences shortened."""
    time = seconds - np.repeat(seconds[edges[:-1]], np.diff(edges))
    gaps = np.diff(seconds)
    gaps[edges[1:-1] - 1] = 0  # from task to task
    long = np.flatnonzero(gaps > LONGEST_GAP)
    for task in np.unique(np.searchsorted(edges, long, side="right") - 1).tolist():
        first, stop = edges[task : task + 2]
        time[first + 1 : stop] = np.cumsum(np.minimum(gaps[first : stop - 1], LONGEST_GAP))
    return time


def strength(found: Onsets, frames: Floats, sizes: Whole, smear: int, accented: float) -> Floats:
    """Give the tasks' strength functions, one after the other, each of its size.

    A second of a task has ``frames`` frames. Its last onset is ``smear`` + 2 frames or more before the end of its size.
    Each frame is added to the next ``smear`` times, so that the squares of a task's frames sum to 2 ** ``smear``.
    ``accented`` is the share of the accented strength.
    """
    number = np.diff(found.edges)
    place = found.time * np.repeat(frames, number)
    left = place.astype(np.int64)
    place -= left
    left += np.repeat(np.cumsum(sizes) - sizes, number)
    weight = found.plain * (1 - accented) + found.accented * accented
    late = weight * place
    weight -= late
    struck = np.bincount(left, weight, sizes.sum())
    left += 1
    struck += np.bincount(left, late, len(struck))
    before = np.empty_like(struck)
    for _ in range(smear):
        struck, before = before, struck
        struck[0] = before[0]
        np.add(before[1:], before[:-1], out=struck[1:])
    return np.sqrt(struck, out=struck)


def autocorrelation(found: Onsets) -> Floats:
    """Correlate each task's strength function with itself, 1 at lag 0: a row per task, a column per lag in frames."""
    used = (found.last * FRAMES).astype(np.int64) + 2 + _SMEAR
    runs = list(_runs(-(-used // _BLOCK), _TOGETHER))
    return np.concatenate([_correlated(found.part(first, stop), used[first:stop]) for first, stop in runs])


def _correlated(found: Onsets, used: Whole) -> Floats:
    """Correlate each block of a task with itself and the next: no lag is longer than a block.

    A transform has room for two blocks and is a ring. Every other block of a task is in its second half, so that the
    next block is after a block in either half.
    """
    blocks = -(-used // _BLOCK)
    stops = np.cumsum(blocks)
    function = strength(found, np.full(len(used), float(FRAMES)), blocks * _BLOCK, _SMEAR, 0.5)
    begins = (stops - blocks) * _BLOCK
    total = np.add.reduceat(function, begins)
    for begin, end, mean in zip(begins.tolist(), (begins + used).tolist(), (total / used).tolist(), strict=True):
        function[begin:end] -= mean
    block, ring = function.reshape(-1, _BLOCK), np.zeros((stops[-1], 2 * _BLOCK))
    second = (np.arange(stops[-1]) - np.repeat(stops - blocks, blocks)) % 2 == 1
    ring[~second, :_BLOCK], ring[second, _BLOCK:] = block[~second], block[second]
    spectrum = np.fft.rfft(ring)
    both = spectrum.copy()
    both[:-1] += spectrum[1:]
    both[stops - 1] = spectrum[stops - 1]
    both *= np.conj(spectrum, out=spectrum)
    power = np.array([task.sum(axis=0) for task in np.split(both, stops[:-1])])
    energy = 2**_SMEAR - total**2 / used
    correlation: Floats = np.fft.irfft(power)[:, :_LAGS] / energy[:, None]
    return correlation


def _parabola(place: Floats) -> tuple[Whole, tuple[Floats, Floats, Floats]]:
    """Say which lag is nearest to a place, and what it and its neighbours count in the parabola through the three."""
    middle = np.rint(place)
    off = place - middle
    return middle.astype(np.int64), (off * (off - 1) / 2, 1 - off * off, off * (off + 1) / 2)


def salience(found: Onsets, correlation: Floats) -> Floats:
    """Say how much each of ``PERIODS`` is the beat, a row per task: numbers that compare within the task only."""
    slot = np.rint(found.time * (1 / _APART))
    step = np.diff(slot, prepend=0) > 0
    step[found.edges[:-1]] = True
    rate = np.add.reduceat(step, found.edges[:-1], dtype=np.int64) / np.maximum(found.last, 0.5)
    filled = (np.log2(rate) - _ONSETS_A_BEAT)[:, None] + np.log2(PERIODS)
    preferred = -0.5 * (np.log2(PERIODS / _PREFERRED) / _SPREAD) ** 2
    repeated = np.zeros((len(PERIODS), len(rate)))
    like = np.ascontiguousarray(np.maximum(correlation, 0).T)
    for level, counted in _LEVELS:
        middle, parabola = _parabola(PERIODS * (level * FRAMES))
        for side, weight in zip((-1, 0, 1), parabola, strict=True):
            repeated += like[middle + side] * (weight * counted)[:, None]
    return preferred - _ONSETS_WEIGHT * filled**2 + repeated.T


def refined(rows: Whole, periods: Floats, correlation: Floats) -> Floats:
    """Give periods, each of a row of ``correlation``, more exactly: within 1.5 % of what they were.

    By their first eight multiples together, each read off the parabola through the three nearest lags: straight lines
    would draw every peak onto a frame.
    """
    near = periods[:, None] * _NEAR
    flat, begins = correlation.ravel(), (rows * correlation.shape[1])[:, None]
    value = np.zeros(near.shape)
    for multiple in range(1, _MULTIPLES + 1):
        middle, parabola = _parabola(near * (multiple * FRAMES))
        middle += begins
        for side, weight in zip((-1, 0, 1), parabola, strict=True):
            value += flat.take(middle + side, mode="clip") * weight
    top = value.argmax(axis=1).clip(1, len(_NEAR) - 2)
    before, here, after = (value[np.arange(len(top)), top + side] for side in (-1, 0, 1))
    bend = np.minimum(before + after - 2 * here, -1e-9)
    off = ((before - after) / (2 * bend)).clip(-1, 1)
    result: Floats = periods * (_NEAR[top] + off * (_NEAR[1] - _NEAR[0]))
    return result


def check_range(slowest: float, fastest: float) -> None:
    """Refuse tempi that are not looked for."""
    if not SLOWEST <= slowest < fastest <= FASTEST:
        got = f"got {slowest!r} and {fastest!r}"
        raise ValueError(f"slowest, fastest: expected {SLOWEST:g} <= slowest < fastest <= {FASTEST:g} BPM, {got}")
