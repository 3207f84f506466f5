"""What the ways from JSON on disk to a table, and to Parquet, cost; and how much of a file a scan reads.

Each way is measured at a tenth of the notes and at all of them, in a process of its own, so that its peak memory is its
own. There it takes turns with ``orjson.loads`` on the same files and with reading their bytes, the least that anybody
can do: such ratios bear a machine that is busy, which times do not.
"""

from __future__ import annotations

import json
import resource
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final, NamedTuple

import polars as pl

from tests.benchmarks.corpus import write_corpus
from tests.benchmarks.measure import cpu_seconds
from tests.benchmarks.ways import FILES, OURS, TABLES, loads, read

ROOT: Final = Path(__file__).parents[2]

#: Seconds after which a measurement is given up.
_LIMIT: Final = 600


class Cost(NamedTuple):
    """What one measurement found: CPU seconds, their ratio to those of parsing and of reading, peak megabytes."""

    cpu: float
    parsing: float
    reading: float
    megabytes: float


def measure(way: str, folder: Path, rounds: int) -> Cost:
    """Measure a way in this process, in turn with parsing and reading alone."""
    paths = sorted(folder.iterdir())
    act = (TABLES | FILES)[way]
    spent = cpu_seconds({"way": lambda: act(paths), "parse": lambda: loads(paths), "read": lambda: read(paths)}, rounds)
    parsing, reading = (
        statistics.median(one / other for one, other in zip(spent["way"], spent[base], strict=True))
        for base in ("parse", "read")
    )
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1e6 if sys.platform == "darwin" else 1e3)
    return Cost(statistics.median(spent["way"]), parsing, reading, peak)


def apart(*arguments: str) -> str:
    """Let another process do it, and give what it printed."""
    command = [sys.executable, "-m", "tests.benchmarks.ingest", *arguments]
    done = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True, timeout=_LIMIT)
    return done.stdout


def ingesting(notes: int, per_task: int, rounds: int) -> None:
    """Print the table of ways."""
    with tempfile.TemporaryDirectory() as folder:
        small, large = Path(folder) / "small", Path(folder) / "large"
        for path, share in ((small, notes // 10), (large, notes)):
            apart("corpus", str(path), str(share), str(per_task))
        size = sum(path.stat().st_size for path in large.iterdir())
        print(f"\n{notes:,} notes in tasks of {per_task}, {size / 1e6:,.0f} MB of JSON; CPU of all threads, medians")
        print("ratios, round by round, to orjson.loads alone and to reading the bytes; to kie_notes (above 1: slower);")
        print("growth from a tenth of the notes, as parsing has it (linear is 10); memory is the process's peak")
        heads = ("ns a note", "/ orjson", "/ reading", "/ ours", "growth", "MB")
        print(f"{'':44}" + "".join(f"{head:>10}" for head in heads), flush=True)
        for ways in (TABLES, FILES):
            ours = 0.0
            for way in ways:
                costs = [json.loads(apart("way", str(at), way, str(rounds))) for at in (small, large)]
                if None in costs:
                    print(f"{way:44}  not installed", flush=True)
                    continue
                few, cost = (Cost(*one) for one in costs)
                ours = ours or cost.parsing
                ratios = f"{cost.parsing:10.2f}{cost.reading:10.0f}{cost.parsing / ours:10.2f}"
                growth = cost.parsing / few.parsing * 10
                print(f"{way:44}{cost.cpu / notes * 1e9:10.0f}{ratios}{growth:10.1f}{cost.megabytes:10.0f}", flush=True)


def scanning(notes: int) -> None:
    """Print how many bytes a scan reads: of two columns, and of all. Linux counts them."""
    with tempfile.TemporaryDirectory() as folder:
        part = Path(folder) / "notes.parquet"
        apart("corpus", f"{folder}/json", str(notes), "5000")
        apart("parquet", f"{folder}/json", str(part))
        print(f"\na scan of Parquet, {part.stat().st_size / 1e6:,.1f} MB")
        for name, columns in (("two columns (task, pitch)", "task pitch"), ("all columns", "")):
            print(f"{name:44}{int(apart('scan', str(part), columns)) / 1e6:10.1f} MB read")


def bytes_scanned(part: Path, columns: list[str]) -> int:
    """Count the bytes that a scan asks the system for, those of its footer too."""

    def asked() -> int:
        return int(Path("/proc/self/io").read_text("ascii").split()[1])

    frame = pl.scan_parquet(part)
    before = asked()
    frame.select(columns or pl.all()).collect(engine="streaming")
    return asked() - before


def main() -> None:
    """Do one piece of work for ``apart``."""
    what, path, *more = sys.argv[1:]
    if what == "corpus":
        Path(path).mkdir()
        write_corpus(Path(path), int(more[0]), per_task=int(more[1]))
    elif what == "parquet":
        TABLES[OURS](sorted(Path(path).iterdir())).write_parquet(more[0])
    elif what == "scan":
        print(bytes_scanned(Path(path), more[0].split()))
    else:
        try:
            print(json.dumps(measure(more[0], Path(path), int(more[1]))))
        except ModuleNotFoundError:
            print("null")


if __name__ == "__main__":
    main()
