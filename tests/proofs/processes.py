"""Several collectors, each in a process of its own, share the tasks of one store: each is asked for and stored once."""

from __future__ import annotations

import argparse
import hashlib
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from kie_notes.api.client import KieClient
from kie_notes.api.sandbox import Sandbox
from kie_notes.collect import watch
from kie_notes.store import Store
from kie_notes.store.check import check
from tests.proofs.faulty import instruments_of, record

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


# What the collectors tell, and do.


def tell(*words: str) -> None:
    """Say a line to whoever started this process, in one write: it is heard whole or not at all."""
    os.write(1, (" ".join(words) + "\n").encode())


class Telling(Store):
    """A store that tells what it does, and what it has done."""

    def accept(self, said: Any, body: bytes) -> bool:
        more = super().accept(said, body)
        if more:
            tell("stored", said.task, hashlib.sha256(body).hexdigest())
        return more

    def seal(self, *, only_full: bool = False) -> int:
        with _told("seal"):
            return super().seal(only_full=only_full)

    def compact(self) -> int:
        with _told("compact"):
            return super().compact()


@contextmanager
def _told(word: str) -> Iterator[None]:
    tell(word)
    yield
    tell("end", word)


def collector(folder: str, url: str) -> None:
    """Watch a store, once it is said to go, until nothing is open."""
    with Telling(folder) as store, KieClient(api_key="sandbox-key", base_url=url) as client:
        tell("ready")
        sys.stdin.readline()
        watch(store, client, first_look=0.0, poll=(0.1, 0.5), progress=False)


# What must hold.


def expected(task: str) -> list[tuple[Any, ...]]:
    """The notes of a task, without its id."""
    return [
        (one["name"], note["pitch"], note["start"], note["end"], note["velocity"], at)
        for at, one in enumerate(instruments_of(task))
        for note in one["notes"]
    ]


def notes_in(frame: pl.DataFrame) -> dict[str, list[tuple[Any, ...]]]:
    """Notes by task."""
    return dict(frame.with_columns(pl.col("task", "instrument").cast(pl.String)).rows_by_key("task"))


def compared(notes: dict[str, list[tuple[Any, ...]]], where: str) -> list[str]:
    """Tasks of which the notes there are not exactly those that were sent."""
    return [
        f"task {task}: {len(rows)} notes in {where}, and {len(expected(task))} were sent"
        for task, rows in notes.items()
        if rows != expected(task)
    ]


def faults_of(folder: Path, left: tuple[str, ...]) -> list[str]:
    """What ``check`` finds, without what a crash leaves and the next seal, compaction or opening puts right."""
    rows = check(folder, progress=False).select("fault", "where", "detail").rows()
    return [
        f"check: {fault}, {where}: {detail}"
        for fault, where, detail in rows
        if not (fault in left and (fault != "stray" or where.count("/") == 1))  # else a file that is read
    ]


def judge(folder: Path, tasks: Iterable[str], acknowledged: Iterable[tuple[str, str]]) -> list[str]:
    """What is wrong with a store at the end: ``tasks`` must be complete, and each body (task, sha256) be kept once."""
    with Store(folder) as store:
        store.seal()
        store.compact()
        if wrong := faults_of(folder, ("rubbish",)):
            return wrong
        states = dict(store.scan_tasks().select("task", "state").collect().rows())
        scanned = notes_in(store.scan_notes().collect())
    raw = pl.read_parquet(folder / "raw", columns=["task", "body"]).rows()
    kept = Counter((task, hashlib.sha256(body).hexdigest()) for task, body in raw)
    read = notes_in(pl.read_parquet(folder / "notes"))
    acknowledged = set(acknowledged)
    tasks = {*tasks, *(task for task, _ in acknowledged)}
    return [
        *(f"task {task}: lost, its answer is not among the raw ones" for task, _ in acknowledged - kept.keys()),
        *(f"task {task}: the same answer is kept {count} times" for (task, _), count in kept.items() if count > 1),
        *(f"task {task}: it is {states.get(task, 'lost')}" for task in tasks if states.get(task) != "complete"),
        *(f"task {task}: lost, it has no notes" for task in tasks - read.keys()),
        *compared(read, "the folder"),
        *([] if scanned == read else ["the scan and the folder differ"]),
    ]


# The proof.


def started(folder: Path, url: str) -> subprocess.Popen[str]:
    """A collector in a process of its own, that waits for the word to go."""
    code = "import sys; from tests.proofs.processes import collector; collector(*sys.argv[1:])"
    return subprocess.Popen(
        [sys.executable, "-c", code, str(folder), url],
        cwd=Path(__file__).parents[2],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def shared(processes: int, tasks: int, folder: Path) -> list[str]:
    """Have so many processes collect, print what came of it, and give what is wrong."""
    ids = [f"{at:032x}" for at in range(tasks)]
    lines: list[str] = []
    with Sandbox({task: record(task) for task in ids}, log=lines.append) as sandbox:
        with Store(folder) as store:
            store.add(ids)
        collectors = [started(folder, sandbox.url) for _ in range(processes)]
        ready = [one.stdout.readline() for one in collectors if one.stdout]
        began = time.monotonic()
        with ThreadPoolExecutor(processes) as pool:
            said = list(pool.map(lambda one: one.communicate("go\n")[0].splitlines(), collectors))
        seconds = time.monotonic() - began
    stored = [[tuple(line.split()[1:]) for line in lines if line.startswith("stored ")] for lines in said]
    asked = Counter(line.partition("taskId=")[2].split()[0] for line in lines)
    done = Counter(task for one in stored for task, _ in one)
    wrong = [
        *(
            f"a collector said {word!r}, and ended with {one.returncode}"
            for word, one in zip(ready, collectors, strict=True)
            if word != "ready\n" or one.returncode
        ),
        *(f"task {task}: asked for {asked[task]} times" for task in {*ids, *asked} if asked[task] != 1),
        *(f"task {task}: stored {done[task]} times" for task in {*ids, *done} if done[task] != 1),
        *judge(folder, ids, [(task, hashlib.sha256(record(task)).hexdigest()) for task in ids]),
    ]
    shares = " + ".join(f"{len(one):,}" for one in stored)
    print(
        f"{processes} processes: {len(lines):,} requests for {tasks:,} tasks in {seconds:.1f} s"
        f" ({tasks / seconds:,.0f} a second); tasks done by each: {shares};"
        f" {'each exactly once' if not wrong else f'{len(wrong):,} FAULTS'}",
        flush=True,
    )
    return wrong


def main(argv: list[str] | None = None) -> int:
    """Collect with two processes and with four; 0 when each task was asked for and stored exactly once."""
    parser = argparse.ArgumentParser(prog="python -m tests.proofs processes", description=__doc__)
    parser.add_argument("--tasks", type=int, default=300, help="tasks of each store (default: 300)")
    parser.add_argument("--processes", type=int, nargs="+", default=[2, 4], help="how many at once (default: 2 4)")
    args = parser.parse_args(argv)
    wrong: list[str] = []
    for count in args.processes:
        with tempfile.TemporaryDirectory() as place:
            wrong += shared(count, args.tasks, Path(place) / "store")
    print("\n".join(wrong[:20]), end="\n" if wrong else "")
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main())
