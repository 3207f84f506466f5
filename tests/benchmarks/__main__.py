"""Print one table of what everything costs, beside what others need for the same: ``python -m tests.benchmarks``.

Corpora are made from a seed, once per size. Each measurement runs in a process of its own for this library, at each
size, and in another one for the peers and for the physical limit; they take turns, round after round. No time passes or
fails; the exit code is 1 where something of this library did not work.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tests.benchmarks.measure import ROOT, Cost, GivenUpError, Worker
from tests.benchmarks.measurements import HERE, LIMIT, MEASUREMENTS, choose
from tests.benchmarks.table import LEGEND, Row, as_markdown, as_text, machine, row

if TYPE_CHECKING:
    from collections.abc import Sequence

#: Bytes that the sixteen descriptors may take, in chunks.
_CAP: Final = 2 * 2**30


class Corpora:
    """Corpora in a folder, each made when it is first asked for."""

    def __init__(self, folder: Path, per_task: int) -> None:
        self._folder, self._per_task = folder, per_task

    def folder(self, notes: int, kinds: Sequence[str]) -> Path:
        """Give where so many notes are, in these forms."""
        corpus = self._folder / f"{notes}-{self._per_task}"
        for kind in kinds:
            if not (corpus / kind).exists():
                _say(f"{notes:,} notes, {self._per_task:,} a task: making {kind}")
                command = [sys.executable, "-m", "tests.benchmarks.corpus", str(corpus)]
                subprocess.run([*command, str(notes), str(self._per_task), kind], cwd=ROOT, check=True)
        return corpus

    def small(self, kinds: Sequence[str]) -> Path:
        """Give where a few tasks are, on which an act wakes."""
        return self.folder(max(20_000, 4 * self._per_task), kinds)


class Peers:
    """One process for all peers, another one when that ended."""

    def __init__(self) -> None:
        self._worker = Worker()

    def ask(self, measurement: str, way: str, corpus: Path, small: Path) -> Cost | str:
        """Let a peer act once, and give what it cost, or why it did not."""
        if not self._worker.alive():
            self.close()
            self._worker = Worker()
        try:
            return self._worker.ask(measurement, way, corpus, small)
        except GivenUpError as fault:
            return str(fault)

    def close(self) -> None:
        """End the process."""
        self._worker.__exit__()


def measure(name: str, corpora: Corpora, sizes: Sequence[int], rounds: int, peers: Peers) -> Row:
    """Let all ways of a measurement take turns, and give its row."""
    chosen = MEASUREMENTS[name]
    small = corpora.small(chosen.needs)
    folders = [corpora.folder(notes, chosen.needs) for notes in sizes]
    remarks: list[str] = []
    ours: list[list[Cost]] = [[] for _ in sizes]
    others: dict[str, list[Cost] | str] = {way: [] for way in chosen.ways() if way != HERE}
    with ExitStack() as stack:
        workers = [stack.enter_context(_worker(capped=chosen.capped, remarks=remarks)) for _ in sizes]
        for _ in range(rounds):
            ours[-1].append(workers[-1].ask(name, HERE, folders[-1], small))
            for way, costs in others.items():
                if isinstance(costs, list):
                    found = peers.ask(name, way, folders[-1], small)
                    others[way] = found if isinstance(found, str) else [*costs, found]
            for at, folder in enumerate(folders[:-1]):
                ours[at].append(workers[at].ask(name, HERE, folder, small))
        for worker, costs in zip(workers, ours, strict=True):
            if worker.cap:
                kernel = f"the kernel counted {worker.cap.peak():,.0f} MB at the most, pages of files among them"
                remarks.append(f"{costs[0].notes:,} notes under a cap of {_CAP / 2**30:.0f} GiB: {kernel}")
    limit = others.pop(LIMIT, None)
    return row(name, chosen.unit, ours, others, limit)._replace(remarks=tuple(remarks))


def _worker(*, capped: bool, remarks: list[str]) -> Worker:
    if capped:
        try:
            return Worker(_CAP)
        except OSError as fault:
            remarks.append(f"not capped, no control group can be made: {fault}")
    return Worker()


def _say(what: str) -> None:
    print(what, file=sys.stderr, flush=True)


def main() -> int:
    """Read the options, measure, print; gives 1 where something did not work."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("--notes", type=int, nargs="+", default=[1_000_000, 10_000_000], help="sizes of the corpora")
    parser.add_argument("--per-task", type=int, nargs="+", default=[5_250], help="notes in a task; a table for each")
    parser.add_argument("--rounds", type=int, default=5, help="counted rounds (default: 5)")
    parser.add_argument(
        "--only", nargs="+", default=[], metavar="PATTERN", help="names of rows; '*' adds all helpers without a peer"
    )
    parser.add_argument("--markdown", action="store_true", help="print the table as the README shows it")
    options = parser.parse_args()
    names = choose(options.only)
    if not names:
        parser.error(f"--only: nothing matches; there are {', '.join(MEASUREMENTS)}")
    failed: list[str] = []
    for per_task in options.per_task:
        rows = _rows(names, sorted(set(options.notes)), per_task, options.rounds, failed)
        print(f"\n{machine()}; {per_task:,} notes a task, {options.rounds} rounds\n")
        print((as_markdown if options.markdown else as_text)(rows), flush=True)
        for one in rows:
            for remark in one.remarks:
                print(f"\n{one.cells[0]}: {remark}")
    print("", LEGEND, *failed, sep="\n")
    return 1 if failed else 0


def _rows(names: Sequence[str], sizes: Sequence[int], per_task: int, rounds: int, failed: list[str]) -> list[Row]:
    """Measure one after the other; what did not work is added to ``failed``."""
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        corpora, peers = Corpora(Path(folder), per_task), Peers()
        stack.callback(peers.close)
        for name in names:
            _say(name)
            try:
                rows.append(measure(name, corpora, sizes, rounds, peers))
                _say("  ".join(rows[-1].cells[1:]))
            except GivenUpError as fault:
                failed.append(f"{name}, {per_task:,} notes a task, failed: {fault}")
                _say(failed[-1])
    return rows


if __name__ == "__main__":
    sys.exit(main())
