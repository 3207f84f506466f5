"""What each helper of ``kie_notes.analysis`` costs: seconds, growth with the notes, peak memory, ratios to peers.

The data is real music, the samples, repeated under new task ids with shifted times: written once as Parquet, scanned
lazily, collected by the streaming engine. Each helper is measured at each size in a process of its own, so that its
peak memory is its own; no times are passed or failed, they are printed.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import polars as pl

from kie_notes import analysis, flatten, read_records
from tests.benchmarks.analysis_peers import PEERS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

ROOT: Final = Path(__file__).parents[2]

#: Where samples are looked for: the first folder that there is.
SAMPLES: Final = (ROOT.parent / "shared" / "samples" / "records", ROOT / "data" / "samples" / "records")

#: Arguments without which a helper cannot be called.
ARGUMENTS: Final[dict[str, dict[str, Any]]] = {
    "find_motif": {"intervals": [2, 2, 1]},
    "transposition": {"low": 60, "high": 84},
}

#: Calls beside that with the defaults, which a peer answers too.
VARIANTS: Final[dict[str, tuple[str, dict[str, Any]]]] = {
    "pitch_class_histogram, seconds": ("pitch_class_histogram", {"weight": "seconds"}),
    "key, one profile": ("key", {"method": "krumhansl-kessler"}),
}

#: Functions that take answers of helpers, not notes.
OF_ANSWERS: Final = ("compare", "compare_histograms", "split_tasks")

#: The few that the short form measures: one of each way to work.
FEW: Final = (
    "pitch_class_histogram, seconds",
    "onset_density",
    "polyphony",
    "pitch_class_transitions",
    "key, one profile",
    "tempo",
    "chords",
)

#: Seconds after which a measurement is given up, and those after which no further round is worth while.
_LIMIT: Final = 120
_ENOUGH: Final = 0.5

#: How an answer begins that took too long, which is no fault.
_OVER: Final = f"over {_LIMIT} s"


class Cost(NamedTuple):
    """What one measurement found."""

    cpu: float
    wall: float
    megabytes: float
    rows: int


def helpers() -> dict[str, Callable[..., Any]]:
    """Find every public function of ``kie_notes.analysis`` whose first argument is a table of notes."""
    functions = {name: getattr(analysis, name) for name in analysis.__all__}
    return {name: function for name, function in functions.items() if hasattr(function, "__wrapped__")}


def cases() -> list[str]:
    """Name all that can be measured."""
    return sorted({*helpers(), *VARIANTS, *OF_ANSWERS})


def queries(case: str, notes: pl.LazyFrame) -> list[pl.LazyFrame]:
    """Make the queries of a case; whatever it needs beside the notes is computed here, and not measured."""
    name, arguments = VARIANTS.get(case, (case, ARGUMENTS.get(case, {})))
    if name in OF_ANSWERS:
        return [_of_answers(name, notes)]
    moved = notes.with_columns(pl.col("start", "end") + 1 / 192)
    length = notes.group_by(pl.col("task").cast(pl.String)).agg(duration=pl.col("end").max() - 1)
    extra: dict[str, Any] = {
        "trim_to_duration": lambda: {"durations": length.collect()},
        "transcription_scores": lambda: {"estimated": moved},
        "transcription_errors": lambda: {"estimated": moved},
    }
    answer = helpers()[name](notes, **arguments, **extra.get(name, dict)())
    return [answer] if isinstance(answer, pl.LazyFrame) else list(answer)


def _of_answers(name: str, notes: pl.LazyFrame) -> pl.LazyFrame:
    """Make a query of a function that takes answers of helpers: one row per task, or per task and pitch class."""
    source = analysis.pitch_class_histogram if name == "compare_histograms" else analysis.task_summary
    answers = source(notes).collect(engine="streaming")
    if name == "split_tasks":
        return analysis.split_tasks(answers.lazy(), shares={"train": 0.8, "test": 0.2})
    odd = pl.col("task").hash() % 2 == 1
    two = (answers.filter(odd).lazy(), answers.filter(~odd).lazy())
    return (analysis.compare if name == "compare" else analysis.compare_histograms)(*two, resamples=100)


def samples_folder() -> Path:
    """Give the first folder of samples that there is."""
    return next(folder for folder in SAMPLES if folder.is_dir())


def write_notes(path: Path, notes: int) -> None:
    """Write the samples as often as makes ``notes`` notes, in whole tasks, each copy 1/192 s later than the last."""
    bodies = [body for body in sorted(samples_folder().glob("*.json")) if "." not in body.stem]
    samples = flatten(read_records(bodies)).notes
    copies, left = [], notes
    while left > 0:
        some = samples
        if left < samples.height:  # of the last copy, the first tasks that reach the number
            sizes = samples.group_by("task", maintain_order=True).len()["len"].cum_sum()
            some = samples.head(sizes.filter(sizes >= left)[0])
        later = pl.col("start", "end") + len(copies) / 192
        name = pl.format(f"{len(copies):04}-{{}}", pl.col("task").cast(pl.String)).cast(pl.Categorical)
        copies.append(some.lazy().with_columns(name.alias("task"), later))
        left -= some.height
    pl.concat(copies).sink_parquet(path, row_group_size=1_000_000)


def measure(act: Callable[[], int]) -> Cost:
    """Act until half a second is over, at most five times, and keep the least; memory is the process's peak."""
    rounds = []
    while len(rounds) < 5 and sum(wall for _, wall, _ in rounds) < _ENOUGH:
        cpu, wall = time.process_time(), time.perf_counter()
        rows = act()
        rounds.append((time.process_time() - cpu, time.perf_counter() - wall, rows))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1e6 if sys.platform == "darwin" else 1e3)
    return Cost(min(cpu for cpu, _, _ in rounds), min(wall for _, wall, _ in rounds), peak, rounds[0][2])


def measure_case(case: str, path: Path) -> Cost:
    """Measure a helper in this process, after a look at the first notes that wakes the engine."""
    pl.collect_all(queries(case, pl.read_parquet(path, n_rows=2_000).lazy()), engine="streaming")
    ready = queries(case, pl.scan_parquet(path))
    return measure(lambda: sum(answer.height for answer in pl.collect_all(ready, engine="streaming")))


def apart(*arguments: str) -> Cost | str:
    """Let another process measure, and give what it found, or why it found nothing."""
    command = [sys.executable, "-m", "tests.benchmarks.analysis", *arguments]
    try:
        done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True, timeout=_LIMIT)
    except subprocess.TimeoutExpired:
        return _OVER
    except subprocess.CalledProcessError as fault:
        return (fault.stderr.strip().splitlines() or [f"ended with {fault.returncode}"])[-1][:90]
    return Cost(*json.loads(done.stdout)) if done.stdout else ""


def analysing(chosen: Sequence[str], notes: int) -> None:
    """Print the tables: what helpers cost at a tenth of the notes and at all of them, and what their peers do."""
    names = list(FEW) if not chosen else cases() if "all" in chosen else list(chosen)
    wrong = sorted(set(names) - set(cases()))
    if wrong:
        raise SystemExit(f"no such helper: {', '.join(wrong)}; there are {', '.join(cases())}")
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder) / f"{size}.parquet" for size in (notes // 10, notes)]
        sizes = []
        for path in paths:
            # A process that has held many notes hands its peak memory on to those that it starts: another writes.
            if fault := apart("write", path.stem, str(path)):
                raise SystemExit(f"no notes to measure with: {fault}")
            sizes.append(pl.scan_parquet(path).select(pl.len()).collect().item())
        idle = apart("case", "nothing", str(paths[0]))
        print(f"\n{samples_folder().parent}, repeated; helpers on {sizes[0]:,} and {sizes[1]:,} notes from Parquet")
        print("CPU of all threads; growth is that of CPU, linear is 10; a time is the least of up to five rounds")
        print(f"memory is the process's peak; {_memory(idle)} MB of it are there before any work")
        heads = ("CPU s", "wall s", "MB", "CPU s", "wall s", "MB", "growth", "ns a note")
        print(f"{'':32}" + "".join(f"{head:>10}" for head in heads) + f"{'rows':>12}", flush=True)
        failed: list[str] = []
        for name in names:
            _row(name, paths, sizes[1], failed)
        _peers([name for name in names if name in PEERS], paths[1], sizes[1])
    if failed:
        raise SystemExit(f"failed: {', '.join(failed)}")


def _memory(cost: Cost | str) -> str:
    return cost if isinstance(cost, str) else f"{cost.megabytes:.0f}"


def _row(name: str, paths: Sequence[Path], notes: int, failed: list[str]) -> None:
    """Measure and print a helper; whatever fails is added to ``failed``."""
    print(f"{name:32}", end="", flush=True)
    costs: list[Cost] = []
    for path in paths:
        slow = bool(costs) and costs[0].wall > _LIMIT / 12
        cost = f"{_OVER}, not tried" if slow else apart("case", name, str(path))
        if isinstance(cost, str):
            print(f"  {cost}", flush=True)
            if not cost.startswith(_OVER):
                failed.append(name)
            return
        print(f"{cost.cpu:10.3f}{cost.wall:10.3f}{cost.megabytes:10.0f}", end="", flush=True)
        costs.append(cost)
    small, large = costs
    print(f"{large.cpu / small.cpu:10.1f}{large.cpu / notes * 1e9:10.0f}{large.rows:12,}", flush=True)


def _peers(names: Sequence[str], path: Path, notes: int) -> None:
    """Measure and print some helpers once more, and their peers right after, while the machine is as it is."""
    print("\npeers, nanoseconds a note, and how many times what the helper takes (above 1: the helper is faster)")
    print(f"{'':32}{'':44}{'CPU':>10}{'wall':>10}{'x CPU':>10}{'x wall':>10}")
    for name in names:
        ours = apart("case", name, str(path))
        if isinstance(ours, str):
            print(f"{name:32}{'kie_notes':44}  {ours}")
            continue
        cpu, wall = (seconds / notes * 1e9 for seconds in (ours.cpu, ours.wall))
        print(f"{name:32}{'kie_notes':44}{cpu:10.0f}{wall:10.0f}", flush=True)
        for peer in PEERS[name]:
            cost = apart("peer", f"{name}: {peer}", str(path))
            if isinstance(cost, str):
                print(f"{'':32}{peer:44}  {cost}", flush=True)
                continue
            each, waited = (seconds / cost.rows * 1e9 for seconds in (cost.cpu, cost.wall))
            print(f"{'':32}{peer:44}{each:10.0f}{waited:10.0f}{each / cpu:10.2f}{waited / wall:10.2f}", flush=True)


def main() -> None:
    """Do one measurement for ``apart`` and print it as JSON."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.analysis")
    parser.add_argument("what", choices=("write", "case", "peer"))
    parser.add_argument("name")
    parser.add_argument("path", type=Path)
    options = parser.parse_args()
    if options.what == "write":
        write_notes(options.path, int(options.name))
    elif options.name == "nothing":
        print(json.dumps(measure(lambda: 0)))
    elif options.what == "case":
        print(json.dumps(measure_case(options.name, options.path)))
    else:
        case, peer = options.name.split(": ")
        act, notes = PEERS[case][peer](options.path)
        print(json.dumps(measure(act)._replace(rows=notes)))


if __name__ == "__main__":
    main()
