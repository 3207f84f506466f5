"""Exact seconds of ticks, for the notes of many files at once.

A time is an integer number of microseconds times ticks a quarter (or of 1/1001 frames times ticks a frame), divided
once at the end, so it is the double nearest to the true quotient as long as that integer is below 2^53, which is 217
days at 480 ticks a quarter. No rounding adds up, however many tempo events there are.
"""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from kie_notes.midi.ticks import Seconds, Ticks

#: Microseconds a quarter before the first tempo event (Standard MIDI Files 1.0).
_USUAL_TEMPO: Final = 500_000

#: SMPTE frames a second, by the header's negative number, as a fraction: 29 is drop frame.
_FRAMES: Final = {24: (24, 1), 25: (25, 1), 29: (30_000, 1_001), 30: (30, 1)}

#: Bits of a tick in the key that looks a segment up.
_TICK_BITS: Final = 40


class TempoMap(NamedTuple):
    """How ticks become seconds: from ``tick[i]`` on, each adds ``rate[i]``; seconds are their sum / ``unit``."""

    tick: list[int]
    rate: list[int]
    unit: int


def tempo_map(division: int, tempos: Iterable[tuple[int, int]]) -> TempoMap:
    """Make a file's tempo map of its header's division and its tempo events, (tick, microseconds a quarter) by tick.

    Of several at one tick the last counts. With SMPTE division a tick is a part of a frame, and tempo events say
    nothing about time. A number of frames that is none of 24, 25, 29 and 30 is taken as it is.

    Examples
    --------
    >>> tempo_map(480, [(0, 600_000), (960, 300_000)])
    TempoMap(tick=[0, 960], rate=[600000, 300000], unit=480000000)
    >>> tempo_map(0xE728, [])  # 25 frames a second, 40 ticks a frame
    TempoMap(tick=[0], rate=[1], unit=1000)
    """
    if division > 0x7FFF:
        frames = 0x100 - (division >> 8)
        count, seconds = _FRAMES.get(frames, (frames, 1))
        return TempoMap([0], [seconds], count * (division & 0xFF))
    rates = {0: _USUAL_TEMPO} | dict(tempos)
    return TempoMap(list(rates), list(rates.values()), division * 1_000_000)


def seconds(ticks: Ticks, of: NDArray[np.intp], maps: Sequence[TempoMap]) -> Seconds:
    """Give the time of each tick; ``of`` is the position of its map in ``maps``.

    Examples
    --------
    >>> seconds(np.array([480, 480]), np.array([0, 1]), [tempo_map(480, []), tempo_map(960, [])])
    array([0.5 , 0.25])
    """
    if len(maps) and all(one == maps[0] for one in maps) and len(maps[0].rate) == 1:
        alike: Seconds = ticks * float(maps[0].rate[0]) / maps[0].unit  # as exact, and wide enough for any ticks
        return alike
    unit = np.array([one.unit for one in maps], np.float64)
    sizes = np.array([len(one.tick) for one in maps], np.int64)
    rate = np.fromiter(chain.from_iterable(one.rate for one in maps), np.int64)
    if len(rate) == len(maps):
        found: Seconds = ticks * rate[of] / unit[of]
        return found
    tick = np.fromiter(chain.from_iterable(one.tick for one in maps), np.int64)
    passed = np.cumsum(np.diff(tick, prepend=0) * np.append(0, rate[:-1]))
    passed -= np.repeat(passed[np.cumsum(sizes) - sizes], sizes)
    key = (np.repeat(np.arange(len(maps)), sizes) << _TICK_BITS) | tick
    segment = np.searchsorted(key, (of << _TICK_BITS) | ticks, side="right") - 1
    sums: Ticks = (passed - tick * rate)[segment] + ticks * rate[segment]
    return sums / unit[of]
