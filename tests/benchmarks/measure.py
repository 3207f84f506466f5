"""CPU times: the candidates run in turn, round after round, so that a machine that slows down slows them all."""

from __future__ import annotations

import gc
import resource
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


def cpu_seconds(candidates: dict[str, Callable[[], object]], rounds: int) -> dict[str, list[float]]:
    """CPU seconds of each candidate in each round; a first round warms up and does not count."""
    spent: dict[str, list[float]] = {name: [] for name in candidates}
    for round_ in range(rounds + 1):
        for name, act in candidates.items():
            gc.collect()
            began, children = time.process_time(), _children()
            result = act()
            seconds = time.process_time() - began + _children() - children
            del result
            if round_:
                spent[name].append(seconds)
    return spent


def _children() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime
