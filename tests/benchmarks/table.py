"""The table: what the rounds of a measurement come to, as text and as Markdown."""

from __future__ import annotations

import platform
from functools import partial
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Final, NamedTuple

import polars as pl

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tests.benchmarks.measure import Cost
    from tests.benchmarks.measurements import Unit

#: What stands over the columns, and below the table.
HEADS: Final = (
    *("", "notes", "CPU", "wall", "best peer", "peer / ours", "wall", "ours / limit", "growth", "MB"),
    "other peers / ours",
)
LEGEND: Final = """\
CPU: of all threads, ns a note (or what is said), median of the rounds; wall: on the clock. Ratios are medians of
ratios round by round, of CPU: peer / ours above 1 means that kie_notes is faster. The limit: for JSON orjson.loads
alone; for a part and for a scan its bytes written or read; for questions the columns that they need read from
Parquet and added up; for MIDI symusic's dump or parse alone; for starting Python alone. Growth: of CPU a note, from
each size to the next. MB: the peak of a process of its own.\
"""


class Row(NamedTuple):
    """A measurement's figures, as text."""

    cells: tuple[str, ...]
    remarks: tuple[str, ...] = ()


def figure(cost: Cost, unit: Unit) -> float:
    """What a measurement is about: CPU ns a note, bytes a note, CPU ms."""
    return cost.value / cost.notes if unit == "B" else _time(cost.cpu, cost, unit)


def clock(cost: Cost, unit: Unit) -> float:
    """The same of the time on the clock."""
    return _time(cost.wall, cost, unit)


def _time(seconds: float, cost: Cost, unit: Unit) -> float:
    return seconds * 1e3 if unit == "ms" else seconds / cost.notes * 1e9


def ratio(ours: Sequence[Cost], others: Sequence[Cost], of: Callable[[Cost], float]) -> float:
    """The median over the rounds of another's figure, as so many times ours."""
    return median(of(other) / max(of(one), 1e-9) for one, other in zip(ours, others, strict=True))


def row(
    name: str,
    unit: Unit,
    sizes: Sequence[Sequence[Cost]],
    peers: dict[str, list[Cost] | str],
    limit: list[Cost] | str | None,
) -> Row:
    """Make a row of the costs of each round: ours at each size, the last of which peers and limit had, too."""
    ours, of, on_clock = sizes[-1], partial(figure, unit=unit), partial(clock, unit=unit)
    suffix = "" if unit == "ns" else f" {unit}"
    there = {peer: costs for peer, costs in peers.items() if isinstance(costs, list)}
    raced = {peer: ratio(ours, costs, of) for peer, costs in there.items()}
    best, *others = sorted(raced, key=lambda peer: raced[peer]) or [""]
    least = ratio(ours, limit, of) if isinstance(limit, list) else 0.0  # also where a clock does not see so little
    told = [f"{peer} {shown(raced[peer])}" for peer in others]
    told += [f"{peer}: {costs}" for peer, costs in peers.items() if isinstance(costs, str)]
    growths = [ratio(small, large, of) for small, large in pairwise(sizes)]
    cells = (
        name,
        f"{ours[0].notes:,}" if unit != "ms" else "",
        f"{shown(median(map(of, ours)))}{suffix}",
        f"{shown(median(map(on_clock, ours)))}{suffix}" if unit != "B" else "",
        best,
        shown(raced[best]) if best else "",
        shown(ratio(ours, there[best], on_clock)) if best and unit != "B" else "",
        limit if isinstance(limit, str) else shown(1 / least) if least else "",
        ", ".join(map(shown, growths)) if unit != "ms" else "",
        f"{max(cost.megabytes for cost in ours):.0f}" if unit != "ms" else "",
        "; ".join(told),
    )
    return Row(cells)


def shown(number: float) -> str:
    """Give three digits that count, but all before the point."""
    return f"{number:.0f}" if number >= 100 else f"{number:.3g}"


def as_text(rows: Sequence[Row]) -> str:
    """Lay the table out in columns."""
    lines = [HEADS, *(one.cells for one in rows)]
    widths = [max(len(line[at]) for line in lines) for at in range(len(HEADS))]
    left = {0, 4, len(HEADS) - 1}
    return "\n".join(
        "  ".join(
            cell.ljust(width) if at in left else cell.rjust(width)
            for at, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )


def as_markdown(rows: Sequence[Row]) -> str:
    """Give the table as a README shows it."""
    lines = [HEADS, ("---",) * len(HEADS), *(one.cells for one in rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def machine() -> str:
    """Name the processor, its cores, Python and Polars."""
    names = [platform.processor() or platform.machine()]
    if Path("/proc/cpuinfo").exists():
        lines = Path("/proc/cpuinfo").read_text("utf-8", "replace").splitlines()
        names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")] or names
    cores = pl.thread_pool_size()
    return f"{names[0]}, {cores} cores; Python {platform.python_version()}, Polars {pl.__version__}"
