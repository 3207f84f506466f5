"""From seconds to ticks: the clock of a MIDI file that loses least, and lanes for notes that overlap.

A file made here runs at 120 quarters a minute, so a resolution of ``ppq`` ticks a quarter is ``2 * ppq`` ticks a
second. A time comes back bit for bit when it is the double nearest to ``tick / (2 * ppq)``. The service's times are
multiples of 1/192 s: 480 ticks a quarter hold them all. For other times the **grid** is looked for: the least common
multiple of the denominators of the simplest fractions that the times are.
"""

from __future__ import annotations

from functools import cache
from heapq import heappop, heappush
from math import lcm
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from kie_notes.errors import MidiError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Seconds = NDArray[np.float64]
    Ticks = NDArray[np.int64]

#: Quarters a minute of every file.
TEMPO: Final = 120.0

#: The resolution is a signed 16-bit number (Standard MIDI Files 1.0, header chunk).
_MAX_PPQ: Final = 32767

#: What nearly every sequencer uses; with it pretty_midi's own seconds are exact on the grid of 1/192 s, too.
_USUAL_PPQ: Final = 480

#: pretty_midi reads files up to 1e7 ticks (its ``MAX_TICK``). It counts the end of the track, one tick after the last
#: event, and one more; a note of no length is given one tick.
_LAST_TICK: Final = 9_999_997

#: Resolutions that other programs use end here.
_FINEST_ELSEWHERE: Final = 1920

#: Lanes that are filled one at a time, which is ten times as fast per note, as long as there are few.
_LEVELS: Final = 8

#: Times that came out of another program's multiplication are off their grid by a few units in the last place.
_NOISE: Final = 4


class Clock(NamedTuple):
    """How a file counts time: ``ppq`` ticks a quarter, and how its ticks become seconds.

    ``divides``: seconds are tick / (2 ppq), correctly rounded. Otherwise tick * (1 / (2 ppq)), rounded twice, which is
    what pretty_midi computes: times that it made come back as it made them.
    """

    ppq: int
    divides: bool = True

    def ticks(self, seconds: Seconds) -> Ticks:
        """Give the tick nearest to each time."""
        return np.rint(seconds * (2 * self.ppq)).astype(np.int64)

    def seconds(self, ticks: Ticks | Seconds) -> Seconds:
        """Give the time of each tick."""
        rate, count = 2 * self.ppq, ticks.astype(np.float64, copy=False)
        return count / rate if self.divides else count * (1 / rate)

    def held(self, seconds: Seconds) -> int:
        """Count the times that this clock gives back bit for bit."""
        return int(np.count_nonzero(self.holds(seconds)))

    def holds(self, seconds: Seconds) -> NDArray[np.bool_]:
        """Say of each time whether this clock gives it back bit for bit."""
        held: NDArray[np.bool_] = self.seconds(np.rint(seconds * (2 * self.ppq))) == seconds
        return held


#: The clocks of the grid of 1/192 s and of milliseconds. Where the first holds every time, or the second but not the
#: first, it is the one that a search for the grid ends with.
_USUAL_CLOCKS: Final = (Clock(480), Clock(500))


def choose_clock(times: Seconds) -> Clock:
    """Choose the clock that gives most times back exactly, and moves the others least.

    Parameters
    ----------
    times
        Starts and ends of one task, in seconds, >= 0 and finite.

    Returns
    -------
    When one grid holds every time: its smallest resolution from 480 on (or the largest below, in a long task).
    Otherwise the largest resolution that the task's length allows, on the grid that holds most times: no time moves by
    more than half a tick, which is some 10 us in a song of four minutes.

    Raises
    ------
    MidiError
        If the last time is above 4,999,998 s (58 days), beyond which pretty_midi reads no file at this tempo.

    Examples
    --------
    >>> choose_clock(np.array([7 / 192, 1.0]))
    Clock(ppq=480, divides=True)
    >>> choose_clock(np.array([0.001, 3.142]))
    Clock(ppq=500, divides=True)
    >>> choose_clock(np.array([2**0.5, 240.0]))
    Clock(ppq=20832, divides=True)
    """
    return _choose([times])[0]


def choose_clocks(bounds: Ticks, start: Seconds, end: Seconds) -> list[Clock]:
    """Choose the clock of each of many tasks at once, as ``choose_clock`` does for one.

    Parameters
    ----------
    bounds
        Rows at which the tasks begin, and the number of rows; no task is empty.
    start, end
        Seconds, task after task, >= 0 and finite.

    Raises
    ------
    MidiError
        As ``choose_clock``.

    Examples
    --------
    >>> choose_clocks(np.array([0, 1, 3]), np.array([7 / 192, 0.0, 0.001]), np.array([1.0, 0.5, 3.142]))
    [Clock(ppq=480, divides=True), Clock(ppq=500, divides=True)]
    """
    firsts = bounds[:-1]
    clocks: list[Clock | None] = [None] * firsts.size
    last, missing = np.maximum.reduceat(end, firsts), np.arange(firsts.size)
    for clock in _USUAL_CLOCKS:
        held = clock.holds(start) & clock.holds(end)
        fits = np.logical_and.reduceat(held, firsts) & (last * (2 * clock.ppq) <= _LAST_TICK)
        for task in missing[fits[missing]].tolist():
            clocks[task] = clock
        missing = missing[~fits[missing]]
        if not missing.size:
            break
    spans = [slice(*bounds[task : task + 2]) for task in missing]
    found = iter(_choose([np.concatenate([start[span], end[span]]) for span in spans]))
    return [clock or next(found) for clock in clocks]


def _choose(tasks: list[Seconds]) -> list[Clock]:
    if not tasks:
        return []
    distinct = [np.unique(times) for times in tasks]
    largest = [largest_ppq(float(times[-1]) if times.size else 0.0) for times in distinct]
    finest = np.repeat(2 * np.array(largest, np.int64), [times.size for times in distinct])
    found = np.split(_denominators(np.concatenate(distinct), finest), np.cumsum([one.size for one in distinct])[:-1])
    return [_clock(*one) for one in zip(distinct, found, largest, strict=True)]


def lanes(voice: Ticks, start: Ticks, end: Ticks) -> Ticks:
    """Spread notes that overlap within one voice over lanes in which none do.

    A note-off in a MIDI file does not say which of several sounding notes of its pitch it ends, and readers disagree.

    Parameters
    ----------
    voice
        What may not overlap: a number for each pair of track and pitch. Ascending voices take least time.
    start, end
        Ticks from 0, ``start`` ascending within each voice, ``end`` > ``start``.

    Returns
    -------
    The lane of each note, from 0: the lowest one that is free. So of notes with one start, the earlier one in the table
    has the lower lane, which keeps their order.

    Examples
    --------
    >>> lanes(np.array([60, 60, 64, 60]), np.array([0, 1, 1, 2]), np.array([2, 3, 4, 4])).tolist()
    [0, 1, 0, 0]
    """
    order = np.argsort(voice, kind="stable")  # at once, where they ascend
    shift = np.cumsum(np.diff(voice[order], prepend=voice[order[:1]]) != 0) * (end.max(initial=0) + 1)
    begins, ends = start[order] + shift, end[order] + shift  # one line of time: the voices one after the other
    lane = np.zeros(voice.size, np.int64)
    joint = np.flatnonzero(_overlaps(begins, ends))
    lane[order[joint]] = _joint_lanes(begins[joint], ends[joint])
    return lane


def _joint_lanes(begins: Ticks, ends: Ticks) -> Ticks:
    """Give the lanes of notes that overlap, by start: filled one after the other while there are few."""
    lane = np.zeros(begins.size, np.int64)
    rest = np.arange(begins.size)
    for level in range(1, _LEVELS + 1):
        left = np.ones(rest.size, np.bool_)
        left[_one_by_one(begins[rest], ends[rest])] = False
        rest = rest[left]
        lane[rest] = level
        rest = rest[_overlaps(begins[rest], ends[rest])]
    lane[rest] += np.array(_first_free(begins[rest].tolist(), ends[rest].tolist()), np.int64)
    return lane


def _overlaps(begins: Ticks, ends: Ticks) -> NDArray[np.bool_]:
    """Say of each note, by start, whether it overlaps another."""
    late = begins[1:] < np.maximum.accumulate(ends)[:-1]
    found: NDArray[np.bool_] = np.append(False, late)[: begins.size] | np.append(late, False)[: begins.size]
    return found


def _one_by_one(begins: Ticks, ends: Ticks) -> list[int]:
    """Give the notes that one lane takes: the first, then each time the first that begins when that one has ended."""
    following = np.searchsorted(begins, ends).tolist()
    taken, at = [], 0
    while at < len(following):
        taken.append(at)
        at = following[at]
    return taken


def _first_free(begins: list[int], ends: list[int]) -> list[int]:
    """Give each note the lowest lane that is free when it begins."""
    chosen: list[int] = []
    free: list[int] = []
    busy: list[tuple[int, int]] = []
    for begin, end in zip(begins, ends, strict=True):
        while busy and busy[0][0] <= begin:
            heappush(free, heappop(busy)[1])
        chosen.append(heappop(free) if free else len(busy))
        heappush(busy, (end, chosen[-1]))
    return chosen


def largest_ppq(last: float) -> int:
    """Give the finest resolution at which the time ``last`` is a tick that pretty_midi reads.

    Raises
    ------
    MidiError
        If there is none.
    """
    reach = _LAST_TICK / 2
    if last > reach:
        raise MidiError(f"the last note ends at {last:.7g} s; a MIDI file that pretty_midi reads ends by {reach:.0f} s")
    return min(_MAX_PPQ, int(reach / last)) if last > reach / _MAX_PPQ else _MAX_PPQ


def _clock(times: Seconds, denominators: Ticks, largest: int) -> Clock:
    """Choose the clock of one task, whose distinct times and their denominators are known."""
    grid, held = _common_grid(denominators, 2 * largest)
    resolutions = _resolutions(grid // 2, largest)
    if not resolutions.size:
        resolutions, held = _resolutions(1, largest), False
    if not held:
        return Clock(int(resolutions[-1]))
    usual = resolutions[resolutions >= _USUAL_PPQ]
    clock = Clock(int(usual[0] if usual.size else resolutions[-1]))
    return clock if clock.held(times) == times.size else _multiplied(times, resolutions, clock)


def _resolutions(step: int, largest: int) -> Ticks:
    """Give the multiples of ``step`` at which pretty_midi writes 120 quarters a minute as 500,000 us, ascending."""
    valid = _exact_resolutions()
    multiples: Ticks = valid[(valid % step == 0) & (valid <= largest)]
    return multiples


@cache
def _exact_resolutions() -> Ticks:
    """Give all resolutions at which pretty_midi writes 500,000 us.

    It truncates the product of two roundings, and at 4,871 resolutions the result is 499,999.
    """
    ppq = np.arange(1, _MAX_PPQ + 1, dtype=np.int64)
    microseconds = (6e7 / (60.0 / (60.0 / (TEMPO * ppq) * ppq))).astype(np.int64)
    valid: Ticks = ppq[microseconds == 500_000]
    return valid


def _common_grid(denominators: Ticks, finest: int) -> tuple[int, bool]:
    """Give the coarsest grid (points a second, even) with most of the times, and whether it has them all."""
    found, counts = np.unique(denominators, return_counts=True)
    grid, held = 2, True
    for denominator in found[np.argsort(-counts, kind="stable")].tolist():
        finer = lcm(grid, denominator)  # lcm(grid, 0) is 0
        if 0 < finer <= finest:
            grid = finer
        else:
            held = False
    return grid, held


def _denominators(times: Seconds, finest: Ticks) -> Ticks:
    """Give the denominator of the fraction that each time is, up to ``_NOISE`` units in the last place.

    0 where the denominator would exceed the time's ``finest``. The fraction is a convergent of the time's continued
    fraction (Legendre: two fractions with denominators up to q differ by at least 1/q^2, far more than the noise).
    """
    found = np.zeros(times.size, np.int64)
    at, rest = np.arange(times.size), times
    before, now = (np.zeros(times.size), np.ones(times.size)), (np.ones(times.size), np.zeros(times.size))
    while at.size:
        whole, most = np.floor(rest), finest[at]
        top, bottom = (whole * this + that for this, that in zip(now, before, strict=True))
        hit = (bottom <= most) & (np.abs(top / bottom - times[at]) <= _NOISE * np.spacing(times[at]))
        found[at[hit]] = bottom[hit]
        go = ~hit & (bottom <= most) & ((rest - whole) * most >= 1)  # otherwise the next one exceeds it
        at, rest = at[go], 1 / (rest - whole)[go]
        before, now = (now[0][go], now[1][go]), (top[go], bottom[go])
    return found


def _multiplied(times: Seconds, resolutions: Ticks, clock: Clock) -> Clock:
    """Give the clock of pretty_midi's own arithmetic that holds most times, or ``clock`` when none holds more."""
    some = times[:: 1 + times.size // 256]
    candidates = [Clock(ppq, divides=False) for ppq in resolutions.tolist() if ppq <= _FINEST_ELSEWHERE]
    best = max(candidates, key=lambda one: (one.held(some), one.ppq >= _USUAL_PPQ, -one.ppq), default=clock)
    return best if best.held(times) > clock.held(times) else clock
