"""Which notes of two tables belong together: a maximum matching, for many tasks at once.

The notes are arrays here. Notes of different codes (task, pitch, instrument) are never compared, and notes of one code
only where their starts are near, so that the pairs that can match grow as the notes do. Mutually nearest notes are
paired first, in rounds over all codes at once. What is then free is matched along augmenting paths: a matching without
such a path is maximum (Berge, "Two theorems in graph theory", 1957). What a failed search has seen is never searched
again, since no later path leads through it; all failures together cost no more than the pairs that can match.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Numbers = NDArray[np.int64]
    Seconds = NDArray[np.float64]

#: How far ends may lie apart whatever the duration, in seconds (MIREX note tracking, second set-up).
_OFFSET_TOLERANCE: Final = 0.05

#: Distances are compared in these parts of a second, as in mir_eval.
_PER_SECOND: Final = 10_000

#: Bits of a start, in 0.1 ms, in a key: 59 hours.
_START_BITS: Final = 31

#: Rounds in which mutually nearest notes are paired; a longer chain of ever nearer neighbours is left to the paths.
_ROUNDS: Final = 32


class Tolerance(NamedTuple):
    """How far notes that match may lie apart: starts in seconds, ends as a part of the duration, or None: anyhow."""

    onset: float
    offset_ratio: float | None


class Side(NamedTuple):
    """The notes of one table, by start and end: the position of each in the frame, and what is asked about it."""

    row: Numbers
    task: Numbers
    instrument: Numbers
    pitch: Numbers
    start: Seconds
    end: Seconds

    def keep(self, which: NDArray[Any]) -> Side:
        """Give some of the notes."""
        return Side(*(column[which] for column in self))


def same_codes(one: Side, two: Side, *, instruments: bool, modulus: int = 256) -> tuple[Numbers, Numbers]:
    """Give notes of both sides one code where they may be compared: task, pitch or pitch class, instrument."""
    task = np.concatenate([one.task, two.task])
    name = np.concatenate([one.instrument, two.instrument]) if instruments else np.zeros_like(task)
    whole = task << 32 | name
    heads = np.flatnonzero(np.diff(whole, prepend=~whole[:1]))  # runs of equals, of which there are few
    numbers = np.unique(whole[heads], return_inverse=True)[1].astype(np.int64)
    groups = np.repeat(numbers, np.diff(heads, append=len(whole)))
    pitch = np.concatenate([one.pitch, two.pitch])
    codes = groups << 8 | np.where(pitch < 128, pitch % modulus, pitch)
    return codes[: len(one.row)], codes[len(one.row) :]


def _keys(codes: Numbers, seconds: Seconds) -> Numbers:
    """Give one number that ascends by code, then by time; a time outside the range is at its end."""
    parts = np.clip(np.rint(seconds * _PER_SECOND), 0, 2**_START_BITS - 1).astype(np.int64)
    return codes << _START_BITS | parts


def pair(reference: Side, guesses: Side, codes: tuple[Numbers, Numbers], allowed: Tolerance) -> tuple[Numbers, Numbers]:
    """Match notes of equal code, as many as can be: positions in either side, pair by pair."""
    # Both go by code, start and end, so that the order of the rows decides nothing.
    rows, order = (
        np.lexsort((side.end, _keys(code, side.start))) for code, side in zip(codes, (reference, guesses), strict=True)
    )
    keys = _keys(codes[1], guesses.start)[order]
    reach = allowed.onset + 2 / _PER_SECOND  # what is rounded away from the key and the distance
    low = np.searchsorted(keys, _keys(codes[0], reference.start - reach)[rows], side="left")
    high = np.searchsorted(keys, _keys(codes[0], reference.start + reach)[rows], side="right")
    many = high - low
    i = np.repeat(rows, many)
    j = order[np.arange(len(i)) + np.repeat(low - np.cumsum(many) + many, many)]
    onset, offset = (
        np.rint(np.abs(mine[i] - theirs[j]) * _PER_SECOND)
        for mine, theirs in ((reference.start, guesses.start), (reference.end, guesses.end))
    )
    near = onset / _PER_SECOND <= allowed.onset
    if allowed.offset_ratio is not None:
        apart = np.maximum(allowed.offset_ratio * (reference.end - reference.start), _OFFSET_TOLERANCE)
        near &= offset / _PER_SECOND <= apart[i]
    i, j = i[near], j[near]
    nearest = np.argsort(onset[near].astype(np.int64) << _START_BITS | offset[near].astype(np.int64), kind="stable")
    to_guess = _match(i[nearest], j[nearest], len(reference.row), len(guesses.row))
    matched = np.flatnonzero(to_guess >= 0)
    return matched, to_guess[matched]


def _match(i: Numbers, j: Numbers, n: int, m: int) -> Numbers:
    """Give each of ``n`` its partner in a maximum matching of the pairs (``i``, ``j``), -1 where it has none.

    Pairs come best first; while both of a pair are each other's best, they are partners.
    """
    to_guess, to_reference = np.full(n, -1), np.full(m, -1)
    first_i, first_j = np.empty(n, np.int64), np.empty(m, np.int64)
    a, b = i, j
    for _ in range(_ROUNDS):
        if not len(a):
            break
        at = np.arange(len(a))
        first_i[a[::-1]] = first_j[b[::-1]] = at[::-1]  # of several values for one place, the last is kept
        mutual = (first_i[a] == at) & (first_j[b] == at)
        to_guess[a[mutual]], to_reference[b[mutual]] = b[mutual], a[mutual]
        free = (to_guess[a] < 0) & (to_reference[b] < 0)
        a, b = a[free], b[free]
    hopeful = _hopeful(i, j, to_guess, to_reference)
    roots = np.unique(i[hopeful[j] & (to_guess[i] < 0)])
    if len(roots):
        _augment(roots, i, j, to_guess, to_reference)
    return to_guess


def _hopeful(i: Numbers, j: Numbers, to_guess: Numbers, to_reference: Numbers) -> NDArray[np.bool_]:
    """Say from which estimated notes a path may lead to a free one; few do, and the others need no search."""
    hopeful = np.zeros(len(to_reference), bool)
    hopeful[j] = to_reference[j] < 0
    for _ in range(_ROUNDS):
        partners = to_guess[i[hopeful[j]]]
        fresh = partners[(partners >= 0) & ~hopeful[partners]]
        if not len(fresh):
            return hopeful
        hopeful[fresh] = True
    return np.ones(len(to_reference), bool)


def _augment(roots: Numbers, i: Numbers, j: Numbers, to_guess: Numbers, to_reference: Numbers) -> None:
    """Enlarge the matching, in place, until no path from one of ``roots`` does."""
    order = np.argsort(i, kind="stable")
    neighbours, ends = j[order], np.cumsum(np.bincount(i, minlength=len(to_guess)))
    hopeless: set[int] = set()
    for root in roots.tolist():
        came_from: dict[int, int] = {}
        queue, goal = [root], None
        while queue and goal is None:
            layer, queue = queue, []
            for one in layer:
                for other in neighbours[ends[one - 1] if one else 0 : ends[one]].tolist():
                    if other in came_from or other in hopeless:
                        continue
                    came_from[other] = one
                    if to_reference[other] < 0:
                        goal = other
                        break
                    queue.append(int(to_reference[other]))
                if goal is not None:
                    break
        if goal is None:
            hopeless |= came_from.keys()
        while goal is not None:
            one = came_from[goal]
            to_reference[goal] = one
            to_guess[one], goal = goal, None if one == root else int(to_guess[one])


def inside(part: Side, around: Side, tolerance: float) -> NDArray[np.bool_]:
    """Say which notes of ``part`` start inside a note of ``around`` of the same pitch."""
    mine, theirs = same_codes(part, around, instruments=False)
    order = np.argsort(_keys(theirs, around.start), kind="stable")
    starts = _keys(theirs, around.start)[order]
    last_end = np.maximum.accumulate(_keys(theirs, around.end)[order])  # of the code, since the keys ascend by code
    before = np.searchsorted(starts, _keys(mine, part.start - tolerance), side="left") - 1
    own = before >= 0
    own[own] = last_end[before[own]] > _keys(mine, part.start)[own]
    return own
