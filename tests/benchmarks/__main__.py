"""Print how fast things are, as ratios to peers in the same run: ``python -m tests.benchmarks``."""

from __future__ import annotations

import argparse
import platform
import subprocess
import sys
import tempfile
from pathlib import Path

import polars as pl

from kie_notes import Store, ingest
from tests.benchmarks.analysis import analysing
from tests.benchmarks.corpus import write_corpus
from tests.benchmarks.ingest import ingesting, scanning
from tests.benchmarks.measure import cpu_seconds
from tests.benchmarks.midi_reading import reading
from tests.benchmarks.midi_writing import writing


def storing(notes: int, per_task: int) -> None:
    """Bytes a note in a store's Parquet, against the usual settings."""
    with tempfile.TemporaryDirectory() as folder:
        paths = write_corpus(Path(folder), notes, per_task=per_task)
        with Store(Path(folder) / "store") as store:
            ingest(paths, store, progress=False)
            table_ = store.scan_notes().collect()
            size = sum(part.stat().st_size for part in (store.folder / "notes").iterdir())
        table_.write_parquet(Path(folder) / "usual.parquet", compression="zstd", compression_level=3)
        usual = (Path(folder) / "usual.parquet").stat().st_size
        each, other = size / table_.height, usual / table_.height
        print(f"\nParquet: {each:.2f} bytes a note in the store, {other:.2f} by write_parquet (zstd 3)")


def starting(rounds: int) -> None:
    """CPU seconds until the first word."""

    def run(*code: str) -> object:
        return subprocess.run([sys.executable, *code], check=True, capture_output=True)

    spent = cpu_seconds(
        {
            "python, nothing imported": lambda: run("-c", "pass"),
            "kie-notes --help": lambda: run("-m", "kie_notes.cli", "--help"),
            "import kie_notes": lambda: run("-c", "import kie_notes"),
            "import kie_notes, and all its public names": lambda: run("-c", "from kie_notes import *"),
            "import polars": lambda: run("-c", "import polars"),
        },
        rounds,
    )
    print("\nstarting up, CPU seconds")
    for name, seconds in spent.items():
        print(f"{name:58} {sorted(seconds)[len(seconds) // 2]:10.2f}")


def main() -> None:
    """Read the options and print the tables."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("--notes", type=int, default=1_000_000, help="notes in the corpus (default: 1_000_000)")
    parser.add_argument("--per-task", type=int, default=5_000, help="notes in a task (default: 5_000)")
    parser.add_argument("--rounds", type=int, default=5, help="counted rounds (default: 5)")
    parser.add_argument(
        "--analysis",
        nargs="*",
        metavar="HELPER",
        help="measure these helpers of kie_notes.analysis instead, or 'all'; without a name, a few",
    )
    parser.add_argument("--midi", action="store_true", help="measure MIDI files instead: 500 of them")
    options = parser.parse_args()
    print(f"{platform.processor() or platform.machine()}, Python {platform.python_version()}, Polars {pl.__version__}")
    if options.analysis is not None:
        analysing(options.analysis, options.notes)
        return
    if options.midi:
        writing(rounds=options.rounds)
        reading()
        return
    ingesting(options.notes, options.per_task, options.rounds)
    ingesting(options.notes // 10, 50, options.rounds)
    storing(options.notes, options.per_task)
    scanning(options.notes)
    starting(options.rounds)


if __name__ == "__main__":
    main()
