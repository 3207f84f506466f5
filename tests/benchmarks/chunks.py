"""What helpers cost piece by piece: ``python -m tests.benchmarks.chunks --notes 10_000_000 100_000_000``.

The samples are repeated under new task ids into parts of about a million notes. Sixteen descriptors share one scan of
each piece; then come the helpers that hold gigabytes when they get ten million notes in one go. Each case runs in a
process of its own, whose peak memory is printed, and its answers go to disk.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

import polars as pl

import kie_notes as kn
from kie_notes.mapping import sink_parts
from tests.benchmarks.analysis import ROOT, samples_folder

if TYPE_CHECKING:
    from kie_notes.mapping.answers import LazyHelper

#: Notes of a part.
_PART: Final = 1_000_000

#: Descriptors of each kind: histograms, curves, ordered scans, harmony.
SIXTEEN: Final[dict[str, LazyHelper]] = {
    "pitch_histogram": kn.pitch_histogram,
    "pitch_classes_by_seconds": partial(kn.pitch_class_histogram, weight="seconds"),
    "pitch_range": kn.pitch_range,
    "mean_pitch": kn.mean_pitch,
    "note_density": kn.note_density,
    "onset_density": kn.onset_density,
    "rolling_density": kn.rolling_density,
    "sounding_density": kn.sounding_density,
    "polyphony": kn.polyphony,
    "inter_onset_histogram": kn.inter_onset_histogram,
    "inter_onset_statistics": kn.inter_onset_statistics,
    "duration_histogram": kn.duration_histogram,
    "velocity_statistics": kn.velocity_statistics,
    "key": partial(kn.key, method="krumhansl-kessler"),
    "pitch_class_transitions": kn.pitch_class_transitions,
    "interval_histogram": kn.interval_histogram,
}


def scores(both: pl.LazyFrame) -> pl.LazyFrame:
    """Score estimated notes that stand in one table with those of the reference."""
    return kn.transcription_scores(both.filter(~pl.col("estimated")), both.filter("estimated"))


def mended(notes: pl.LazyFrame) -> pl.LazyFrame:
    """Repair notes in three steps."""
    for repair in (kn.drop_duplicates, kn.merge_fragments, kn.trim_overlaps):
        notes = repair(notes).notes
    return notes


#: What is measured, and how many notes a piece has.
CASES: Final[dict[str, tuple[dict[str, LazyHelper], int]]] = {
    "sixteen descriptors, one scan": (SIXTEEN, 1_000_000),
    "nothing but the pieces": ({"pitch_range": kn.pitch_range}, 1_000_000),
    "note_flags": ({"flags": kn.note_flags}, 250_000),
    "quality_score": ({"quality": kn.quality_score}, 250_000),
    "difficulty_parts": ({"difficulty": kn.difficulty_parts}, 250_000),
    "three repairs": ({"notes": mended}, 250_000),
    "transcription_scores": ({"scores": scores}, 500_000),
}


def write_parts(folder: Path, notes: int, *, doubled: bool) -> int:
    """Write about ``notes`` notes as parts; doubled, each note has an estimate 1/192 s later. Gives the rows."""
    bodies = [body for body in sorted(samples_folder().glob("*.json")) if "." not in body.stem]
    samples = kn.flatten(kn.read_records(bodies)).notes
    copies = -(-min(_PART, notes) // samples.height)
    parts = max(notes // (copies * samples.height), 1)
    for at in range(parts):
        ids = [pl.format(f"{at * copies + k:06}-{{}}", pl.col("task").cast(pl.String)) for k in range(copies)]
        part = pl.concat([samples.with_columns(task=one.cast(pl.Categorical)) for one in ids])
        if doubled:
            moved = part.with_columns(pl.col("start", "end") + 1 / 192, estimated=True)
            part = kn.sort_notes(pl.concat([part.with_columns(estimated=False), moved]))
        part.write_parquet(folder / f"part-{at:06}.parquet", row_group_size=250_000, mkdir=True)
    return parts * copies * samples.height * (2 if doubled else 1)


def measure(case: str, folder: str) -> tuple[float, float, float, int]:
    """Work a case out in this process: CPU seconds, seconds, megabytes, files."""
    helpers, chunk_notes = CASES[case]
    with tempfile.TemporaryDirectory(dir=folder) as out:
        cpu, wall = time.process_time(), time.perf_counter()
        files = sink_parts(f"{folder}/*.parquet", helpers, out, chunk_notes=chunk_notes).height
        cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    return cpu, wall, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3, files


def apart(*arguments: str) -> str:
    """Let another process work, so that its memory is its own."""
    command = [sys.executable, "-m", "tests.benchmarks.chunks", *arguments]
    done = subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{arguments[1]}: {done.stderr[-2000:] or done.returncode}")
    return done.stdout


def main() -> None:
    """Read the options and print the table."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.chunks", description=__doc__)
    parser.add_argument("--notes", type=int, nargs="+", default=[1_000_000, 10_000_000])
    parser.add_argument("--cases", nargs="+", default=list(CASES), choices=list(CASES))
    parser.add_argument("--folder", help="where the parts shall lie meanwhile")
    options = parser.parse_args()
    print(f"{'':32}{'notes':>14}{'CPU ns a note':>15}{'wall s':>9}{'peak MB':>9}{'growth':>8}")
    before: dict[str, float] = {}
    for notes in options.notes:
        for doubled in (False, True):
            cases = [case for case in options.cases if (case == "transcription_scores") == doubled]
            if not cases:
                continue
            with tempfile.TemporaryDirectory(dir=options.folder) as folder:
                rows = int(apart("write", folder, str(notes), str(int(doubled))))
                for case in cases:
                    cpu, wall, memory, _ = json.loads(apart("case", case, folder))
                    growth = f"{cpu / rows / before[case]:8.2f}" if case in before else ""
                    before[case] = cpu / rows
                    row = f"{case:32}{rows:14,}{cpu / rows * 1e9:15.0f}{wall:9.1f}{memory:9.0f}{growth}"
                    print(row, flush=True)


if __name__ == "__main__":
    if sys.argv[1:2] == ["case"]:
        print(json.dumps(measure(*sys.argv[2:])))
    elif sys.argv[1:2] == ["write"]:
        print(write_parts(Path(sys.argv[2]), int(sys.argv[3]), doubled=sys.argv[4] == "1"))
    else:
        main()
