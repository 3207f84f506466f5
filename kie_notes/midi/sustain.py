"""The sustain pedal, applied to notes: how long each sounds instead of how long its key is held.

A note whose key is let go while the pedal of its channel is down (controller 64 at 64 or more) sounds until the pedal
comes up, or until its pitch begins again on that channel, whichever is first. At one tick the pedal moves before keys
are let go. A pedal that never comes up does so at the file's last event. Percussion does not sustain.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from kie_notes.midi.ticks import Ticks

#: Bits of a tick in a key that is looked up.
_TICK_BITS: Final = 32


def sustained(
    channel: Ticks, pitch: Ticks, start: Ticks, end: Ticks, *, pedal: Ticks, tick: Ticks, down: Ticks, last: int
) -> Ticks:
    """Give each note's end with the pedal.

    Parameters
    ----------
    channel, pitch, start, end
        The notes, in any order; ``channel`` is any number of 0 or more that tells channels apart.
    pedal, tick, down
        The pedals' movements in the order in which they come: channel, tick, and whether it is down from here on.
    last
        The tick of the last event.

    Returns
    -------
    Ticks, each at least ``end``.

    Examples
    --------
    >>> key, begun, let_go = np.array([60, 60, 62]), np.array([0, 40, 0]), np.array([10, 50, 10])
    >>> moves = {"pedal": np.array([0, 0]), "tick": np.array([5, 100]), "down": np.array([1, 0]), "last": 200}
    >>> sustained(np.zeros(3, int), key, begun, let_go, **moves)
    array([ 40, 100, 100])
    """
    if not len(pedal):
        return end
    order = np.lexsort((tick, pedal))  # it is stable
    pedal, tick, down = pedal[order], tick[order], down[order]
    at = np.searchsorted(_key(pedal, tick), _key(channel, end), side="right") - 1
    held = (pedal[at] == channel) & (down[at] == 1) & (at >= 0)
    until = np.minimum(_lifted(pedal, tick, down, last)[at], _next_onset(channel << 7 | pitch, start, end))
    return np.where(held, np.maximum(end, until), end)


def _key(what: Ticks, tick: Ticks) -> Ticks:
    return what << _TICK_BITS | tick


def _lifted(pedal: Ticks, tick: Ticks, down: Ticks, last: int) -> Ticks:
    """Give for each movement the tick at which that pedal comes up next."""
    up = np.flatnonzero(down == 0)
    following = np.searchsorted(up, np.arange(len(tick)))
    found = up[np.minimum(following, len(up) - 1)] if len(up) else np.zeros(len(tick), np.int64)
    own = (following < len(up)) & (pedal[found] == pedal)
    return np.where(own, tick[found], last)


def _next_onset(voice: Ticks, start: Ticks, end: Ticks) -> Ticks:
    """Give the tick at which each note's pitch begins again once its key is let go, or one that is never reached."""
    onsets = np.sort(_key(voice, start))
    at = np.searchsorted(onsets, _key(voice, np.maximum(end, start + 1)))
    found = onsets[np.minimum(at, len(onsets) - 1)]
    never = (1 << _TICK_BITS) - 1
    return np.where((at < len(onsets)) & (found >> _TICK_BITS == voice), found & never, never)
