"""What decides which tasks and columns a data set has; it is stored in the export, so that others can do the same."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping  # noqa: TC003 -- a dataclass names it
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from kie_notes.analysis.quality import FAULTS

if TYPE_CHECKING:
    from kie_notes.analysis.quality import Fault

#: What a split may be called: its name is part of file names, and Hugging Face's ``datasets`` takes only words.
_SPLIT = re.compile(r"[a-z][a-z0-9_]{0,63}")


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """What a data set is made of, and how it is laid out.

    Parameters
    ----------
    min_notes
        Tasks with fewer notes are excluded, >= 1.
    min_quality
        Tasks with a lower ``quality_score`` are excluded, 0 to 1; 0 excludes none and adds the score to ``tasks``.
        None: the score is not worked out (it costs as much as all the rest).
    faults
        The faults of notes that lower the score.
    duplicates
        Jaccard index from which two tasks are the same music and stay in one split, above 0 to 1: the ``threshold`` of
        ``near_duplicates``. None: it is not looked for.
    shares
        Names of the splits and their shares, which add up to 1.
    seed
        Another number gives another division.
    window
        Adds ``window`` to the notes: number k of the window ``[k * window, (k + 1) * window)`` seconds, laid from 0 s,
        in which the note **starts**; a start less than a microsecond below an edge is on the edge. A note that crosses
        an edge stays whole and stands once, in the window of its start: its ``end`` may lie in a later one. None: no
        such column.
    ticks
        Adds ``start_tick`` and ``end_tick`` to the notes: seconds times this number, rounded to the nearest integer, of
        two as near to the even one. At 192 ticks a second the service's times are exact. None: no such columns.
    shard_notes
        Notes in a file; a task is in one file whole, so a file has this many and at most one task more.

    Raises
    ------
    ValueError
        If a value is out of its range.

    Examples
    --------
    >>> Recipe(min_notes=50, window=10.0).shares
    {'train': 0.8, 'validation': 0.1, 'test': 0.1}
    """

    min_notes: int = 1
    min_quality: float | None = None
    faults: tuple[Fault, ...] = FAULTS
    duplicates: float | None = 0.3
    shares: Mapping[str, float] = field(default_factory=lambda: {"train": 0.8, "validation": 0.1, "test": 0.1})
    seed: int = 0
    window: float | None = None
    ticks: int | None = None
    shard_notes: int = 1_000_000

    def __post_init__(self) -> None:
        bounds = {
            "min_notes": (self.min_notes >= 1, "1 or more"),
            "min_quality": (self.min_quality is None or 0 <= self.min_quality <= 1, "a number from 0 to 1, or None"),
            "faults": (set(self.faults) <= set(FAULTS), f"some of {', '.join(FAULTS)}"),
            "duplicates": (self.duplicates is None or 0 < self.duplicates <= 1, "a number above 0 up to 1, or None"),
            "shares": (
                all(share >= 0 for share in self.shares.values()) and math.isclose(math.fsum(self.shares.values()), 1),
                "numbers from 0 that add up to 1",
            ),
            "window": (self.window is None or 1e-3 <= self.window < math.inf, "seconds, 0.001 or more, or None"),
            "ticks": (self.ticks is None or 1 <= self.ticks <= 10**6, "ticks a second, 1 to 1,000,000, or None"),
            "shard_notes": (self.shard_notes >= 1, "1 or more"),
        }
        for option, (fits, expected) in bounds.items():
            if not fits:
                raise ValueError(f"{option}: expected {expected}, got {getattr(self, option)!r}")
        for name in self.shares:
            if not _SPLIT.fullmatch(name):
                raise ValueError(f"shares: expected names of a-z, 0-9 and '_', as 'train', got {name!r}")

    def as_json(self) -> dict[str, Any]:
        """Give the recipe as what JSON can hold."""
        return asdict(self) | {"faults": list(self.faults), "shares": dict(self.shares)}
