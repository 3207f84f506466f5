"""The best path through states: which key, or which chord, holds for how long.

Evidence says how well each state explains each stretch of time; a change of state costs a constant. The best path has
the highest sum of evidence less the costs of its changes (Viterbi, IEEE Transactions on Information Theory 13, 1967),
so what lasts too short to pay for two changes is passed over.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def best_path(evidence: NDArray[np.float64], task: NDArray[np.int64], change: float) -> NDArray[np.int64]:
    """Give the state of each row on the best path of its task.

    Parameters
    ----------
    evidence
        One row per stretch of time, one column per state: the gain of being in that state then.
    task
        The task of each row, ascending; within a task rows follow one another.
    change
        What a change of state costs, >= 0, whichever the states.

    Returns
    -------
    One state per row. Of equal paths, one whose changes come latest; of equal states, the first.
    """
    rows = np.arange(len(task))
    begin = np.flatnonzero(np.diff(task, prepend=-1))
    length = np.diff(begin, append=len(task))
    longest = np.argsort(-length, kind="stable")  # the tasks that still run at a step are the first so many
    begin, length = begin[longest], length[longest]
    running = np.searchsorted(-length, -np.arange(length.max(initial=0)), side="left")
    best = evidence[begin]
    leader, stays = np.zeros(len(task), np.int64), np.ones(evidence.shape, np.bool_)
    for step, many in enumerate(running[1:], 1):
        row, so_far = begin[:many] + step, best[:many]
        leader[row] = so_far.argmax(axis=1)
        moved = so_far[rows[:many], leader[row]][:, None] - change
        stays[row] = so_far > moved
        best[:many] = np.maximum(so_far, moved) + evidence[row]
    state, path = best.argmax(axis=1), np.zeros(len(task), np.int64)
    for step, many in reversed(list(enumerate(running))):
        row = begin[:many] + step
        path[row] = state[:many]
        state[:many] = np.where(stays[row, path[row]], path[row], leader[row])
    return path


def intervals(task: NDArray[np.int64], path: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Give the first row of each longest stretch of one state in one task, and the last."""
    new = np.append(True, (np.diff(path) != 0) | (np.diff(task) != 0)) if len(path) else np.zeros(0, np.bool_)
    first = np.flatnonzero(new)
    return first, np.append(first[1:], len(path))[: len(first)] - 1
