"""How far two samples, or two histograms, lie apart: the measures of ``compare``, over sorted NumPy arrays.

A histogram here is a row of shares that sum to 1; functions of histograms take many at once, one a row.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Values = NDArray[np.float64]

#: Bandwidths that the support of the densities reaches beyond the data, and the least steps of the grid in one.
_BEYOND: Final = 6
_STEPS: Final = 32


def dominance(x: Values, y: Values) -> float:
    """Give Cliff's delta, P(y > x) - P(y < x)."""
    below, upto = (np.searchsorted(x, y, side=side).sum() for side in ("left", "right"))
    return float(below + upto) / (len(x) * len(y)) - 1


def wasserstein(x: Values, y: Values) -> float:
    """Give the area between two cumulative distributions (scipy.stats.wasserstein_distance)."""
    steps = np.sort(np.concatenate([x, y]))
    ours, theirs = (np.searchsorted(side, steps[:-1], side="right") / len(side) for side in (x, y))
    return float(np.sum(np.abs(ours - theirs) * np.diff(steps)))


def mann_whitney(x: Values, y: Values) -> float:
    """Give the two-sided p-value of U, by the normal approximation; 1 if all values are equal."""
    n, m = len(x), len(y)
    size, u = n + m, (dominance(x, y) + 1) / 2 * n * m
    ties = np.unique(np.concatenate([x, y]), return_counts=True)[1].astype(float)
    variance = n * m / 12 * (size + 1 - float(np.sum(ties**3 - ties)) / (size * (size - 1)))
    if variance <= 0:
        return 1.0
    z = (abs(u - n * m / 2) - 0.5) / math.sqrt(variance)
    return min(math.erfc(z / math.sqrt(2)), 1.0)


def overlap(x: Values, y: Values) -> float:
    """Give the area under both densities, estimated on one grid by convolution."""
    spreads = [float(np.std(side, ddof=1)) if side[0] < side[-1] else 0.0 for side in (x, y)]
    if not all(spreads):
        return float(not any(spreads) and x[0] == y[0])
    widths = [spread * len(side) ** -0.2 for spread, side in zip(spreads, (x, y), strict=True)]
    low = min(x[0], y[0]) - _BEYOND * max(widths)
    reach = max(x[-1], y[-1]) + _BEYOND * max(widths) - low
    size = 1 << min(max(math.ceil(math.log2(reach / min(widths) * _STEPS)), 12), 20)
    step = reach / (size - 1)
    frequencies = 2 * np.pi * np.fft.rfftfreq(size, step)
    curves = []
    for side, width in zip((x, y), widths, strict=True):
        place = (side - low) / step
        left = np.minimum(place.astype(np.int64), size - 2)
        part = place - left  # a value is shared out between the grid points beside it
        heights = np.bincount(left, 1 - part, size) + np.bincount(left + 1, part, size)
        smooth = np.fft.irfft(np.fft.rfft(heights) * np.exp(-0.5 * (frequencies * width) ** 2), size)
        curves.append(np.maximum(smooth, 0) / len(side))
    return float(np.clip(1 - 0.5 * np.sum(np.abs(curves[0] - curves[1])), 0, 1))


def jensen_shannon(p: Values, q: Values) -> Values:
    """Give the root of the divergence to base 2, 0 to 1."""
    middle = (p + q) / 2
    with np.errstate(divide="ignore", invalid="ignore"):
        bits = [np.where(side > 0, side * np.log2(side / middle), 0.0).sum(axis=-1) for side in (p, q)]
    distance: Values = np.sqrt(np.clip((bits[0] + bits[1]) / 2, 0, 1))
    return distance


def along(p: Values, q: Values, widths: Values) -> Values:
    """Give the Wasserstein-1 distance on a line whose bins are ``widths`` apart."""
    between: Values = np.abs(np.cumsum(p - q, axis=-1)[..., :-1] * widths).sum(axis=-1)
    return between


def around(p: Values, q: Values) -> Values:
    """Give the Wasserstein-1 distance on a circle of bins one step apart: the best place to cut it is the median's."""
    flow = np.cumsum(p - q, axis=-1)
    way: Values = np.abs(flow - np.median(flow, axis=-1, keepdims=True)).sum(axis=-1)
    return way
