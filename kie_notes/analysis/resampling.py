"""What chance does: bootstrap samples and random deals of tasks, intervals, and the false discoveries among many tests.

Draws are batches of weights, one row per sample and one column per task, so that a statistic that is linear in the
tasks is one matrix product.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    Values = NDArray[np.float64]

#: Ends of the percentile intervals: 95 %.
_LEVELS: Final = (0.025, 0.975)

#: Drawn weights that are in memory at once.
_BATCH: Final = 1 << 20


def draws(n: int, m: int, resamples: int, seed: int) -> Iterator[tuple[Values, Values]]:
    """How often each task of either set is drawn: batches of rows, one row per sample."""
    rng = np.random.default_rng(seed)
    at_once = max(_BATCH // max(n + m, 1), 1)
    for done in range(0, resamples, at_once):
        many = min(at_once, resamples - done)
        both = [np.empty((many, size)) for size in (n, m)]
        for k in range(many):
            for weights, size in zip(both, (n, m), strict=True):
                weights[k] = np.bincount(rng.integers(size, size=size), minlength=size) if size else 0
        yield both[0], both[1]


def deals(n: int, m: int, resamples: int, seed: int) -> Iterator[Values]:
    """Deal all tasks out to two sets of ``n`` and ``m`` at random: batches of rows, 1 where a task is in the first."""
    rng = np.random.default_rng(seed)
    at_once = max(_BATCH // max(n + m, 1), 1)
    for done in range(0, resamples, at_once):
        first = np.zeros((min(at_once, resamples - done), n + m))
        for row in first:
            row[rng.permutation(n + m)[:n]] = 1
        yield first


def interval(drawn: Values) -> tuple[float | None, float | None]:
    """Give the 95 % percentile interval of a statistic's draws; None where none could be computed."""
    found = drawn[~np.isnan(drawn)]
    if not len(found):
        return None, None
    low, high = np.quantile(found, _LEVELS)
    return float(low), float(high)


def adjust(p: Values) -> Values:
    """Benjamini and Hochberg's step-up: the smallest rate of false discoveries at which each is one."""
    order = np.argsort(p)
    raised = p[order] * len(p) / np.arange(1, len(p) + 1)
    q = np.empty_like(p)
    q[order] = np.minimum.accumulate(raised[::-1])[::-1]
    return q
