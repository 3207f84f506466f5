"""What a store's acts cost as it grows: medians at each power of ten, and how the last step would go on.

A store is filled as a collector fills it, segment by segment. At each size sixteen of as many pending tasks are leased,
an answer is put and is on disk, everything is scanned, one task is looked up, the store is opened and checked, and ten
small parts are merged. Nothing that touches one task may grow with the store, and what touches all of it may grow no
faster than the store.
"""

from __future__ import annotations

import argparse
import math
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

import kie_notes as kn
from kie_notes.store import Store
from kie_notes.store.check import check
from kie_notes.store.reading import read
from kie_notes.store.seal import SEGMENT_ANSWERS
from tests.benchmarks.corpus import record

if TYPE_CHECKING:
    from collections.abc import Callable

#: Columns of times, in ms, and how each may grow with the number of tasks: with which power of it.
MAY_GROW = {
    "lease": 0.0,
    "put": 0.0,
    "seal": 0.0,
    "open": 0.0,
    "count": 1.0,
    "histogram": 1.0,
    "look-up": 1.0,
    "raw": 0.0,
    "check": 1.0,
    "compact": 1.0,
}

#: How many times, and by how many ms, a time may be above that: the machine has other work too.
SLACK, NOISE = 2.0, 20.0

#: Small parts that are merged.
SMALL = 10

#: Size that the last step is drawn out to.
FAR = 1_000_000


class Filling:
    """A store that grows by answers of about so many notes."""

    def __init__(self, store: Store, notes: int) -> None:
        self.store = store
        self.notes = notes
        self.tasks = 0
        self.beside = 0  # of these, put while measuring
        self.rng = np.random.default_rng(1)

    def next(self) -> tuple[str, bytes]:
        task = f"{self.tasks:032x}"
        self.tasks += 1
        return task, record(task, self.notes, self.rng)

    def put(self) -> float:
        """Put one answer; gives the ms until it is on disk."""
        self.beside += 1
        task, body = self.next()
        said = kn.parse_record(body, task=task, source="record-info")
        return ms(lambda: self.store.accept(said, body))

    def grow(self, tasks: int) -> float:
        """Fill up to a number of tasks, each segment in one transaction; gives the ms of the last segments' seals."""
        sealed = []
        while (left := tasks + self.beside - self.tasks) > 0:
            bodies = [self.next() for _ in range(min(left, SEGMENT_ANSWERS))]
            self.store.take([(read(body, task=task, source="record-info"), body) for task, body in bodies])
            sealed.append(ms(self.store.seal))
        return statistics.median(sealed[-5:])


def ms(act: Callable[[], object], times: int = 1) -> float:
    """The median of so many runs, in ms."""
    spent = []
    for _ in range(times):
        began = time.perf_counter()
        act()
        spent.append((time.perf_counter() - began) * 1000)
    return statistics.median(spent)


def costs(filling: Filling, sealing: float) -> dict[str, float]:
    """What each act costs at the present size, in ms."""
    store, folder = filling.store, filling.store.folder
    some = [f"{filling.tasks * at // 8:032x}" for at in range(1, 8)]
    puts = [filling.put() for _ in range(100)]
    store.seal()
    found = {
        "lease": leasing(folder.with_name(f"open-{filling.tasks}"), filling.tasks),
        "put": statistics.median(puts),
        "seal": sealing,
        "open": ms(lambda: Store(folder).close(), 9),
        "count": ms(lambda: store.scan_notes().select(pl.len()).collect(), 5),
        "histogram": ms(lambda: kn.pitch_histogram(store.scan_notes(), by=()).collect(), 3),
        "look-up": ms(lambda: store.scan_notes().filter(pl.col("task") == some.pop()).collect(), 3),
        "raw": ms(lambda: store.raw(some.pop()), 3),
        "check": ms(lambda: check(folder, progress=False)),
    }
    store.compact()
    for _ in range(SMALL):
        filling.put()
        store.seal()
    return found | {"compact": ms(store.compact)}


def leasing(folder: Path, tasks: int) -> float:
    """What it costs to take the next tasks to look at from among so many that are pending."""
    ids = [f"{at:032x}" for at in range(tasks)]
    with Store(folder) as store:
        store.add(ids)
        with store.asking(ids) as among:
            return ms(lambda: store.lease("proof", until=time.time() + 60, limit=16, among=among), 5)


def contents(folder: Path) -> dict[str, float]:
    """Files and MB by kind; a file that several generations share is one."""
    home = (folder / "parts" / "current").resolve()
    found: dict[str, float] = {}
    for kind in ("raw", "notes", "rejects"):
        sizes = [part.stat().st_size for part in (home / kind).iterdir()]
        found |= {f"{kind} files": len(sizes), f"{kind} MB": sum(sizes) / 1e6}
    found["ledger MB"] = sum(part.stat().st_size for part in folder.glob("ledger.sqlite*")) / 1e6
    inodes = {
        (place := Path(where, name).stat()).st_ino: place.st_size
        for where, _, names in os.walk(folder)
        for name in names
    }
    return found | {"all files": len(inodes), "all MB": sum(inodes.values()) / 1e6}


def table(rows: dict[int, dict[str, float]]) -> str:
    """A row per size, then the last step: by how much each column grew, and where that leads."""
    sizes = list(rows)
    names = list(rows[sizes[0]])
    widths = [max(len(name), 9) + 1 for name in names]
    lines = [f"{'tasks':>22}" + "".join(f"{name:>{width}}" for name, width in zip(names, widths, strict=True))]
    for size, row in rows.items():
        lines.append(
            f"{size:>22,}"
            + "".join(
                f"{value:>{width},.{0 if name.endswith('files') else 1}f}"
                for (name, value), width in zip(row.items(), widths, strict=True)
            )
        )
    if len(sizes) > 1:
        powers = [power(rows, name) for name in names]
        lines.append(
            f"{'last step, power':>22}"
            + "".join(f"{one:>{width}.2f}" for one, width in zip(powers, widths, strict=True))
        )
    if sizes[-1] >= FAR / 10:
        far = [rows[sizes[-1]][name] * (FAR / sizes[-1]) ** one for name, one in zip(names, powers, strict=True)]
        lines.append(
            f"{f'{FAR:,}, not measured':>22}"
            + "".join(f"{one:>{width},.0f}" for one, width in zip(far, widths, strict=True))
        )
    return "\n".join(lines)


def power(rows: dict[int, dict[str, float]], name: str) -> float:
    """With which power of the number of tasks a column grew in the last step."""
    before, after = list(rows)[-2:]
    one, other = rows[before][name], rows[after][name]
    return math.log(other / one) / math.log(after / before) if one > 0 and other > 0 else 0.0


def main(argv: list[str] | None = None) -> int:
    """Fill and measure; 0 when nothing grew faster than it may."""
    parser = argparse.ArgumentParser(prog="python -m tests.proofs growth", description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--tasks", type=int, default=2_000, help="tasks in the end (default: 2_000; in full 100_000)")
    parser.add_argument("--notes", type=int, default=50, help="notes of a task, about (default: 50)")
    args = parser.parse_args(argv)
    sizes = [size for size in (10**at for at in range(3, 10)) if size < args.tasks] + [args.tasks]
    times: dict[int, dict[str, float]] = {}
    folders: dict[int, dict[str, float]] = {}
    with tempfile.TemporaryDirectory() as place, Store(Path(place) / "store") as store:
        filling = Filling(store, args.notes)
        for size in sizes:
            began = time.monotonic()
            sealing = filling.grow(size)
            folders[size] = contents(store.folder)
            times[size] = costs(filling, sealing)
            print(f"{size:,} tasks after {time.monotonic() - began:.0f} s more", flush=True)
        notes = store.scan_notes().select(pl.len()).collect().item()
    print(f"\nms an act; {notes:,} notes in the end\n{table(times)}\n\nthe folder\n{table(folders)}")
    if args.tasks >= FAR / 10:
        print(f"\nthe row of {FAR:,} goes on with the power of the last step; it was not measured")
    if len(sizes) < 2:
        return 0
    before, after = sizes[-2:]
    steep = [
        f"{name} grew with power {power(times, name):.2f} of the tasks, and may with {most:g}"
        for name, most in MAY_GROW.items()
        if times[after][name] > SLACK * times[before][name] * (after / before) ** most + NOISE
    ]
    print("\n".join(steep) or "nothing grew faster than it may")
    return int(bool(steep))


if __name__ == "__main__":
    sys.exit(main())
