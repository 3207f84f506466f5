"""One act in a process of its own, as often as it is asked for: seconds of processor and clock, and peak memory.

The process that measures stays small and lets others work, since one that held much hands its peak on to those that it
starts. A ``Worker`` acts when it is asked and waits meanwhile, so several take turns, round after round: a machine that
slows down slows them all.
"""

from __future__ import annotations

import gc
import importlib
import json
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from tests.benchmarks.memory import Cap

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Self

    #: What is measured, made ready for a corpus: the act, and the number of notes (or of whatever) that it acts upon.
    Ready = tuple[Callable[[], object], int]
    Way = Callable[[Path], Ready]

ROOT: Final = Path(__file__).parents[2]

#: Seconds after which an act is given up.
LIMIT: Final = 3600


#: Seconds below which a round acts once more, and takes the mean.
_ENOUGH: Final = 0.2


class Cost(NamedTuple):
    """What one round found: seconds of all processors and on the clock, megabytes, notes, and the act's own number."""

    cpu: float
    wall: float
    megabytes: float
    notes: int
    value: float


class GivenUpError(Exception):
    """An act that found no end, or could not begin; the text says why."""


class Worker:
    """Another process that acts when it is asked to; with ``cap``, in a control group of so many bytes."""

    def __init__(self, cap: int | None = None) -> None:
        self.cap = Cap(cap) if cap else None
        command = [sys.executable, "-m", "tests.benchmarks.measure", *([str(self.cap.folder)] if self.cap else [])]
        self._process = subprocess.Popen(
            command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )

    def ask(self, measurement: str, way: str, corpus: Path, small: Path) -> Cost:
        """Let it act once on a corpus, the first time after it woke on a small one."""
        assert self._process.stdin
        assert self._process.stdout
        try:
            print(json.dumps([measurement, way, str(corpus), str(small)]), file=self._process.stdin, flush=True)
            answer = self._process.stdout.readline()
        except BrokenPipeError:
            answer = ""
        if not answer:
            ended = self._process.wait()
            raise GivenUpError(
                f"over {LIMIT} s"
                if ended == -signal.SIGALRM
                else "killed, out of memory"
                if ended == -signal.SIGKILL
                else f"ended with {ended}"
            )
        found = json.loads(answer)
        if isinstance(found, str):
            raise GivenUpError(found)
        return Cost(*found)

    def alive(self) -> bool:
        """Tell whether it can be asked once more."""
        return self._process.poll() is None

    def __enter__(self) -> Self:
        """Give the worker, which ``with`` ends."""
        return self

    def __exit__(self, *_: object) -> None:
        """Send it home."""
        assert self._process.stdin
        assert self._process.stdout
        self._process.kill()
        self._process.stdin.close()
        self._process.stdout.close()
        self._process.wait()
        if self.cap:
            self.cap.close()


def serve() -> None:
    """Act for a ``Worker``: a line of JSON tells what, a line of JSON tells what it cost."""
    ready: dict[tuple[str, str], Ready] = {}
    current, answers = "", sys.stdout
    sys.stdout = sys.stderr  # what an act prints is nobody's answer
    for line in sys.stdin:
        measurement, way, *folders = json.loads(line)
        if measurement != current:
            ready.clear()
            current = measurement
        signal.alarm(LIMIT)  # a timer of processor time would make that clock tick coarsely
        try:
            found: Any = _answer(ready, measurement, way, *map(Path, folders))
        except ModuleNotFoundError as fault:
            found = f"{fault.name} is not installed"
        except Exception as fault:  # noqa: BLE001 -- of other people's code, and told
            found = f"{type(fault).__name__}: {fault}".splitlines()[0][:120]
        signal.alarm(0)
        print(json.dumps(found), file=answers, flush=True)


def _answer(ready: dict[tuple[str, str], Ready], measurement: str, way: str, corpus: Path, small: Path) -> Cost:
    """Act once; what was made ready before is there still."""
    key = way, str(corpus)
    if key not in ready:
        of = importlib.import_module("tests.benchmarks.measurements").MEASUREMENTS[measurement].ways()[way]
        of(small)[0]()
        ready[key] = of(corpus)
    act, notes = ready[key]
    gc.collect()
    began, cpu, times, wall = time.perf_counter(), _cpu(), 0, 0.0
    while wall < _ENOUGH:
        result = act()
        times, wall = times + 1, time.perf_counter() - began
    cpu, wall = (_cpu() - cpu) / times, wall / times
    most = max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    value = float(result) if isinstance(result, int | float) else 0.0
    return Cost(cpu, wall, most / (1e6 if sys.platform == "darwin" else 1e3), notes, value)


def _cpu() -> float:
    """Processor seconds of this process, and of those that it started and that ended."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime


if __name__ == "__main__":
    for group in sys.argv[1:]:
        Path(group, "cgroup.procs").write_text("0", "ascii")  # 0 is whoever writes it
    serve()
