"""Print how fast things are, as ratios to peers in the same run: ``python -m tests.benchmarks``."""

from __future__ import annotations

import argparse
import json
import platform
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import orjson
import polars as pl

from kie_notes import Store, flatten, ingest, read_records
from tests.benchmarks.analysis import analysing
from tests.benchmarks.corpus import write_corpus
from tests.benchmarks.measure import cpu_seconds, table
from tests.benchmarks.midi_reading import reading
from tests.benchmarks.midi_writing import writing


def dictionaries(paths: list[Path]) -> pl.DataFrame:
    """The loop that people write: json.loads, a dict a note, one DataFrame."""
    rows: list[dict[str, Any]] = []
    for path in paths:
        data = json.loads(path.read_bytes())["data"]
        for track, instrument in enumerate(data["midiData"]["instruments"]):
            rows += [
                {"task": data["taskId"], "instrument": instrument["name"], "track": track, **note}
                for note in instrument["notes"]
            ]
    return pl.DataFrame(rows)


def loads(paths: list[Path]) -> None:
    """Only parse, and forget each document."""
    for path in paths:
        orjson.loads(path.read_bytes())


def keep(paths: list[Path]) -> list[Any]:
    """Only parse, and hold all documents, as a table holds all notes."""
    return [orjson.loads(path.read_bytes()) for path in paths]


def flattening(notes: int, per_task: int, rounds: int) -> None:
    """JSON on disk to a DataFrame, against parsing alone and against the loop that people write."""
    with tempfile.TemporaryDirectory() as folder:
        paths = write_corpus(Path(folder), notes, per_task=per_task)
        size = sum(path.stat().st_size for path in paths)
        count = flatten(read_records(paths)).notes.height
        print(f"\n{count:,} notes of {len(paths)} tasks, {size / 1e6:,.0f} MB of JSON to a DataFrame; CPU")
        spent = cpu_seconds(
            {
                "orjson.loads alone": lambda: loads(paths),
                "orjson.loads alone, all documents held": lambda: keep(paths),
                "kie_notes: flatten(read_records(...)), in canonical order": lambda: flatten(read_records(paths)),
                "json.loads, a dict a note, pl.DataFrame": lambda: dictionaries(paths),
            },
            rounds,
        )
        print(table(spent, "orjson.loads alone", count))


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
    flattening(options.notes, options.per_task, options.rounds)
    flattening(options.notes // 5, 50, options.rounds)
    storing(options.notes, options.per_task)
    starting(options.rounds)


if __name__ == "__main__":
    main()
