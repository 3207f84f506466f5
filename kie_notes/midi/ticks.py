"""From seconds to ticks: the clock of a MIDI file that loses least, and lanes for notes that overlap.

A file made here runs at 120 quarters a minute, so a resolution of ``ppq`` ticks a quarter is ``2 * ppq`` ticks a
second. A time comes back bit for bit when it is the double nearest to ``tick / (2 * ppq)``. The service's times are
multiples of 1/192 s: 480 ticks a quarter hold them all. For other times the **grid** is looked for: the least common
multiple of the denominators of the simplest fractions that the times are.
"""

from __future__ import annotations

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

    def seconds(self, ticks: Ticks) -> Seconds:
        """Give the time of each tick."""
        rate, count = 2 * self.ppq, ticks.astype(np.float64)
        return count / rate if self.divides else count * (1 / rate)

    def held(self, seconds: Seconds) -> int:
        """Count the times that this clock gives back bit for bit."""
        return int(np.count_nonzero(self.seconds(self.ticks(seconds)) == seconds))


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
    times = np.unique(times)
    largest = _largest_ppq(float(times[-1]) if times.size else 0.0)
    grid, held = _common_grid(times, 2 * largest)
    resolutions = _resolutions(grid // 2, largest)
    if not resolutions.size:
        resolutions, held = _resolutions(1, largest), False
    if not held:
        return Clock(int(resolutions[-1]))
    usual = resolutions[resolutions >= _USUAL_PPQ]
    clock = Clock(int(usual[0] if usual.size else resolutions[-1]))
    return clock if clock.held(times) == times.size else _multiplied(times, resolutions, clock)


def lanes(voice: Ticks, start: Ticks, end: Ticks) -> Ticks:
    """Spread notes that overlap within one voice over lanes in which none do.

    A note-off in a MIDI file does not say which of several sounding notes of its pitch it ends, and readers disagree.

    Parameters
    ----------
    voice
        What may not overlap: a number for each pair of track and pitch.
    start, end
        Ticks, ``start`` ascending, ``end`` > ``start``.

    Returns
    -------
    The lane of each note, from 0: the lowest one that is free. So of notes with one start, the earlier one in the table
    has the lower lane, which keeps their order.

    Examples
    --------
    >>> lanes(np.array([60, 60, 64, 60]), np.array([0, 1, 1, 2]), np.array([2, 3, 4, 4])).tolist()
    [0, 1, 0, 0]
    """
    until: dict[int, list[int]] = {}
    chosen = []
    for key, begins, ends in zip(voice.tolist(), start.tolist(), end.tolist(), strict=True):
        busy = until.setdefault(key, [])
        lane = next((lane for lane, free_from in enumerate(busy) if free_from <= begins), len(busy))
        busy[lane : lane + 1] = [ends]
        chosen.append(lane)
    return np.array(chosen, np.int64)


def _largest_ppq(last: float) -> int:
    """Give the finest resolution at which the time ``last`` is a tick that pretty_midi reads."""
    reach = _LAST_TICK / 2
    if last > reach:
        raise MidiError(f"the last note ends at {last:.7g} s; a MIDI file that pretty_midi reads ends by {reach:.0f} s")
    return min(_MAX_PPQ, int(reach / last)) if last > reach / _MAX_PPQ else _MAX_PPQ


def _resolutions(step: int, largest: int) -> Ticks:
    """Give the multiples of ``step`` at which pretty_midi writes 120 quarters a minute as 500,000 us, ascending.

    It truncates the product of two roundings, and at 4,871 resolutions the result is 499,999.
    """
    ppq = np.arange(step, largest + 1, step, dtype=np.int64)
    microseconds = (6e7 / (60.0 / (60.0 / (TEMPO * ppq) * ppq))).astype(np.int64)
    valid: Ticks = ppq[microseconds == 500_000]
    return valid


def _common_grid(times: Seconds, finest: int) -> tuple[int, bool]:
    """Give the coarsest grid (points a second, even) with most of the times, and whether it has them all."""
    denominators, counts = np.unique(_denominators(times, finest), return_counts=True)
    grid, held = 2, True
    for denominator in denominators[np.argsort(-counts, kind="stable")].tolist():
        finer = lcm(grid, denominator)  # lcm(grid, 0) is 0
        if 0 < finer <= finest:
            grid = finer
        else:
            held = False
    return grid, held


def _denominators(times: Seconds, finest: int) -> Ticks:
    """Give the denominator of the fraction that each time is, up to ``_NOISE`` units in the last place.

    0 where the denominator would exceed ``finest``. The fraction is a convergent of the time's continued fraction
    (Legendre: two fractions with denominators up to q differ by at least 1/q^2, far more than the noise).
    """
    found = np.zeros(times.size, np.int64)
    at, rest = np.arange(times.size), times
    before, now = (np.zeros(times.size), np.ones(times.size)), (np.ones(times.size), np.zeros(times.size))
    while at.size:
        whole = np.floor(rest)
        top, bottom = (whole * this + that for this, that in zip(now, before, strict=True))
        hit = (bottom <= finest) & (np.abs(top / bottom - times[at]) <= _NOISE * np.spacing(times[at]))
        found[at[hit]] = bottom[hit]
        go = ~hit & (bottom <= finest) & ((rest - whole) * finest >= 1)  # otherwise the next one exceeds it
        at, rest = at[go], 1 / (rest - whole)[go]
        before, now = (now[0][go], now[1][go]), (top[go], bottom[go])
    return found


def _multiplied(times: Seconds, resolutions: Ticks, clock: Clock) -> Clock:
    """Give the clock of pretty_midi's own arithmetic that holds most times, or ``clock`` when none holds more."""
    some = times[:: 1 + times.size // 256]
    candidates = [Clock(ppq, divides=False) for ppq in resolutions.tolist() if ppq <= _FINEST_ELSEWHERE]
    best = max(candidates, key=lambda one: (one.held(some), one.ppq >= _USUAL_PPQ, -one.ppq), default=clock)
    return best if best.held(times) > clock.held(times) else clock
