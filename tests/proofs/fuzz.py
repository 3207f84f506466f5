"""Whatever the network sends: no exception outside the tree of errors, no note lost, bounded time and memory.

For every body, ``parse_record`` gives a record or raises an error of the tree, and so does ``flatten`` of the record.
Where the body is JSON and a record came:

- notes and rejects with an ``index`` together are as many as the notes that stand in the body, counted here anew;
- every note that was kept is possible;
- a key that stands twice is noticed, wherever it stands, and however it is spelled;
- the same JSON, parsed beforehand, gives the same record, unless a key stands twice in it, which parsed JSON hides.

The readers of the other tasks' records and of callbacks raise nothing outside the tree either. A body takes less than
a second of one processor; of large bodies, eight times the size takes about eight times as long, and memory stays
under a multiple of the size. Three engines make bodies: ``payloads`` (the bulk), Hypothesis, and, if wanted, atheris,
which follows the branches that a body reaches. A body that breaks a promise is written to a file, which is named.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import json
import multiprocessing
import os
import resource
import subprocess
import sys
import tempfile
import time
import tracemalloc
from collections import Counter
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any, NamedTuple

from tests.proofs import payloads

#: CPU seconds that one body may take, and bytes that a process may hold that looks at thousands.
MOST_SECONDS = 1.0
MOST_MEMORY = 512 << 20

#: Bytes of memory that a byte of a large body may take.
MOST_BYTES_A_BYTE = 256

#: Records that are flattened together: each call costs as much as some hundred notes.
_BATCH = 32

#: Bodies in one piece of work.
_CHUNK = 2_000


class PromiseError(AssertionError):
    """A promise that a body breaks."""

    def __init__(self, body: bytes, said: str) -> None:
        super().__init__(said)
        self.body = body


class Tally(NamedTuple):
    """What some bodies came to."""

    bodies: int = 0
    records: int = 0
    notes: int = 0
    rejects: int = 0
    seconds: float = 0.0  # of one processor
    worst: float = 0.0  # seconds of one body
    peak: int = 0  # bytes that a process held
    broken: tuple[tuple[str, bytes], ...] = ()

    def __or__(self, other: Tally) -> Tally:
        sums = (mine + its for mine, its in zip(self[:5], other[:5], strict=True))
        return Tally(*sums, max(self.worst, other.worst), max(self.peak, other.peak), self.broken + other.broken)


# What is looked at.


class Pairs(list):
    """A JSON object as its keys and values, each as often as it stands there."""

    def last(self, key: str) -> Any:
        return next((value for name, value in reversed(self) if name == key), None)


def read(text: bytes | str) -> tuple[Any, bool]:
    """The body as any JSON reader has it, numbers aside, and whether a key stands twice in one of its objects."""
    doubled = False

    def keep(pairs: list[tuple[str, Any]]) -> Pairs:
        nonlocal doubled
        doubled = doubled or len({key for key, _ in pairs}) < len(pairs)
        return Pairs(pairs)

    return json.loads(text, object_pairs_hook=keep, parse_int=lambda _: 0), doubled


def unwrapped(value: Any) -> Any:
    for _ in range(4):
        if isinstance(value, str) and value.lstrip()[:1] in ("{", "["):
            value = read(value)[0]
        elif isinstance(value, list) and not isinstance(value, Pairs) and len(value) == 1:
            value = value[0]
    return value


def notes_in(document: Any) -> int:
    """How many notes stand in the list of instruments that a record is about."""
    objects = [unwrapped(document)]
    for one in objects:
        for key in ("data", "midiData", "resultJson", "response", "result", "info"):
            inner = unwrapped(one.last(key))
            objects += [inner] if isinstance(inner, Pairs) else []
    lists = [one.last("instruments") for one in objects if one.last("instruments") is not None]
    lists = lists or list(_hidden(objects[0].last("data"), 6))
    instruments = next((one for one in lists if one), [])
    every = [one for one in instruments if isinstance(one, Pairs)] if type(instruments) is list else []
    return sum(len(notes) for one in every for key, notes in one if key == "notes" and type(notes) is list)


def _hidden(value: Any, depth: int) -> Any:
    try:
        value = read(value)[0] if isinstance(value, str) and value.lstrip()[:1] in ("{", "[") else value
    except (ValueError, RecursionError):
        return
    if isinstance(value, Pairs) and type(value.last("instruments")) is list:
        yield value.last("instruments")
    elif isinstance(value, list) and depth:
        for one in [inner for _, inner in value] if isinstance(value, Pairs) else value:
            yield from _hidden(one, depth - 1)


def parsed(body: bytes) -> Any:
    """The record of a body, or None where it was refused as it should be."""
    from kie_notes.api.origins import parse_music, parse_separation
    from kie_notes.api.records import parse_record
    from kie_notes.api.webhook import task_of
    from kie_notes.errors import KieNotesError

    for reader in (parse_separation, parse_music, task_of):
        try:
            reader(body)
        except KieNotesError:
            pass
        except Exception as fault:
            raise PromiseError(body, f"{reader.__name__} raised {type(fault).__name__}: {fault}") from fault
    try:
        record = parse_record(body, task="t")
    except KieNotesError:
        return None
    except Exception as fault:
        raise PromiseError(body, f"parse_record raised {type(fault).__name__}: {fault}") from fault
    return record


def whole(digits: str) -> int | float:
    """A whole number; those that Python refuses for their length are infinite."""
    return int(digits) if len(digits.lstrip("-")) <= sys.get_int_max_str_digits() else float(digits)


def check_record(body: bytes, record: Any) -> int:
    """The number of notes that stand in a body from which a record came."""
    from kie_notes.api.records import _read_by_types, parse_record

    try:
        document, doubled = read(body)
    except (ValueError, RecursionError) as fault:
        raise PromiseError(body, f"a record came of what is no JSON: {fault}") from fault
    if doubled and _read_by_types(body, "t") is not None:
        raise PromiseError(body, "a key stands twice, and nobody noticed")
    if isinstance(document, Pairs) and not doubled:
        try:
            beforehand = json.loads(body, parse_int=whole)
            same = parse_record(beforehand, task="t")
        except Exception as fault:
            raise PromiseError(body, f"parse_record of parsed JSON raised {type(fault).__name__}: {fault}") from fault
        if same != record:
            raise PromiseError(
                body, f"read from parsed JSON it is another record: {same!r:.500} instead of {record!r:.500}"
            )
    return notes_in(document)


def check_tables(held: list[tuple[bytes, Any, int]]) -> tuple[int, int]:
    """Look at the tables of bodies, their records and their numbers of notes; gives the notes and the rejects."""
    import msgspec

    from kie_notes.notes import flatten

    try:
        flat = flatten(msgspec.structs.replace(one, task=f"t{at}") for at, (_, one, _) in enumerate(held))
    except Exception as fault:
        for one in held if len(held) > 1 else []:  # which of them is it?
            check_tables([one])
        raise PromiseError(held[0][0], f"flatten raised {type(fault).__name__}: {fault}") from fault
    notes, rejects = flat.notes, flat.rejects.drop_nulls("index")
    have = Counter(notes["task"].cast(str).to_list() + rejects["task"].to_list())
    start, end, velocity = (notes[name].to_numpy() for name in ("start", "end", "velocity"))
    possible = (start >= 0) & (end >= start) & (end < float("inf")) & (velocity >= 0) & (velocity <= 1)
    impossible = set(notes.filter(~possible | (notes["pitch"].to_numpy() > 127))["task"].cast(str))
    for at, (body, _, count) in enumerate(held):
        if count != have[f"t{at}"]:
            raise PromiseError(body, f"{count} notes stand in the body, {have[f't{at}']} are notes or rejects")
        if f"t{at}" in impossible:
            raise PromiseError(body, "a note was kept that is impossible")
    return notes.height, rejects.height


def timed(body: bytes) -> tuple[Any, float]:
    """The record of a body, or None, and the seconds that it took."""
    before = time.process_time()
    record = parsed(body)
    spent = time.process_time() - before
    if spent > MOST_SECONDS:
        raise PromiseError(body, f"it took {spent:.1f} s")
    return record, spent


def check(body: bytes) -> Tally:
    """Look at one body; ``PromiseError`` if it breaks a promise."""
    record, spent = timed(body)
    if record is None:
        return Tally(bodies=1, worst=spent)
    return Tally(1, 1, *check_tables([(body, record, check_record(body, record))]), worst=spent)


# Who makes the bodies.


def mutated(seed: int, numbers: range) -> Tally:
    """Bodies of ``payloads``."""
    began, tally = time.process_time(), Tally()
    held: list[tuple[bytes, Any, int]] = []
    for number in numbers:
        body = payloads.payload(seed, number)
        try:
            record, spent = timed(body)
            tally |= Tally(bodies=1, worst=spent)
            if record is not None:
                held.append((body, record, check_record(body, record)))
            if len(held) == _BATCH:
                tally, held = tally | _tables(held), []
        except PromiseError as fault:
            tally |= Tally(broken=((str(fault), fault.body),))
    return tally | _tables(held) | Tally(seconds=time.process_time() - began, peak=_memory())


def _tables(held: list[tuple[bytes, Any, int]]) -> Tally:
    try:
        notes, rejects = check_tables(held)
        return Tally(records=len(held), notes=notes, rejects=rejects)
    except PromiseError as fault:
        return Tally(broken=((str(fault), fault.body),))


def invented(seed: int, bodies: int) -> Tally:
    """Bodies of Hypothesis; one that breaks a promise is made small before it is told."""
    import hypothesis

    tally, began = Tally(), time.process_time()

    @hypothesis.seed(seed)
    @hypothesis.settings(
        max_examples=bodies, database=None, deadline=None, suppress_health_check=list(hypothesis.HealthCheck)
    )
    @hypothesis.given(payloads.bodies())
    def look(body: bytes) -> None:
        nonlocal tally
        tally |= check(body)

    try:
        look()
    except PromiseError as fault:
        tally |= Tally(broken=((str(fault), fault.body),))
    return tally | Tally(seconds=time.process_time() - began, peak=_memory())


def guided(seed: int, bodies: int) -> Tally:
    """Bodies of atheris, which keeps those that reach a new branch; in a process of its own, which it ends itself."""
    began = resource.getrusage(resource.RUSAGE_CHILDREN)
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "seeds").mkdir()
        for number, one in enumerate(payloads.seeds()):
            (Path(folder) / "seeds" / str(number)).write_bytes(one)
        words = [*payloads.KEYS, "NaN", "1e999", "success"]
        (Path(folder) / "words").write_text("".join(f'"\\"{one}\\""\n' for one in words if one.isascii() and one))
        code = f"from tests.proofs import fuzz; fuzz._follow({seed}, {bodies}, {folder!r})"
        command = [sys.executable, "-c", code]
        done = subprocess.run(command, capture_output=True, check=False, cwd=Path(__file__).parents[2])
        text = done.stderr.decode("utf-8", "replace")
        crashes = [one.read_bytes() for one in Path(folder).glob("broken-*")]
        told = (Path(folder) / "tally").read_text() if (Path(folder) / "tally").exists() else "[0, 0, 0, 0, 0, 0]"
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    said = next((line for line in text.splitlines() if "PromiseError:" in line), text[-2_000:])
    if done.returncode and not crashes:
        raise RuntimeError(f"atheris ended with {done.returncode}: {text[-2_000:]}")
    spent = ended.ru_utime + ended.ru_stime - began.ru_utime - began.ru_stime
    tally = Tally(*json.loads(told), broken=tuple((said, one) for one in crashes))
    return tally | Tally(seconds=spent, peak=ended.ru_maxrss * 1024)


def _follow(seed: int, bodies: int, folder: str) -> None:
    import atheris

    with atheris.instrument_imports(include=["kie_notes.api", "kie_notes.columns", "kie_notes.notes"]):
        import kie_notes.api.origins
        import kie_notes.api.records
        import kie_notes.api.webhook
        import kie_notes.notes  # noqa: F401 -- what is loaded here is what is followed

    tally = Tally()

    def look(body: bytes) -> None:
        nonlocal tally
        tally |= check(body)
        if tally.bodies % 100 == 0:  # it ends without a word
            (Path(folder) / "tally").write_text(json.dumps(tally[:6]))

    options = [f"-runs={bodies}", f"-seed={seed}", "-max_len=3000", f"-dict={folder}/words", "-verbosity=0"]
    atheris.Setup(["fuzz", *options, f"-artifact_prefix={folder}/broken-", f"{folder}/seeds"], look)
    atheris.Fuzz()


def _memory() -> int:
    """The most bytes that this process has held."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


# Large bodies.


def scaled(name: str) -> str:
    """One line on a kind of large bodies; ``PromiseError`` if time or memory grow faster than the body."""

    def act(body: bytes) -> None:
        record = parsed(body)
        if record is not None:
            from kie_notes.notes import flatten

            flatten([record])

    seconds = []
    for size in (1 << 15, 1 << 17, 1 << 20):  # the first warms up
        body = payloads.large(name, size)
        spent = []
        for _ in range(3):  # the least counts: what else the machine does only adds to it
            before = time.process_time()
            act(body)
            spent.append(time.process_time() - before)
        seconds.append(min(spent))
    tracemalloc.start()
    act(payloads.large(name, 1 << 17))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    if seconds[2] > 24 * seconds[1] + 0.1:
        raise PromiseError(
            payloads.large(name, 1 << 20), f"{name}: 8 times the size takes {seconds[2] / seconds[1]:.0f} times as long"
        )
    if peak > MOST_BYTES_A_BYTE << 17:
        raise PromiseError(payloads.large(name, 1 << 17), f"{name}: {peak >> 17} bytes of memory a byte")
    return f"{name:28} {seconds[2]:8.3f} s a MiB {peak >> 17:6d} bytes of memory a byte"


# All of it.


def main(argv: list[str] | None = None) -> int:
    """Make and check the bodies; the exit code is 1 if a promise was broken."""
    parser = argparse.ArgumentParser(prog="python -m tests.proofs fuzz", description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--payloads", type=int, default=20_000, help="bodies in all (default: 20_000)")
    parser.add_argument("--seed", type=int, default=1, help="the same seed makes the same bodies (default: 1)")
    parser.add_argument("--workers", type=int, default=os.cpu_count(), help="processes (default: one a processor)")
    parser.add_argument("--atheris", action="store_true", help="a tenth by atheris, where it is installed")
    parser.add_argument("--only", type=Path, metavar="FILE", help="check the one body in a file")
    options = parser.parse_args(argv)
    if options.only:
        print(check(options.only.read_bytes()))
        return 0
    follow = options.atheris and importlib.util.find_spec("atheris") is not None
    if options.atheris and not follow:
        print("atheris is not installed (pip install atheris): its share is left to the other engines")
    began = time.monotonic()
    total = run(options.payloads, options.seed, options.workers, follow=follow)
    broken = [one for tally in total.values() for one in tally.broken]
    print(f"{'':14}    bodies   records      notes   rejects    CPU s  worst ms  peak MiB")
    for name, tally in total.items():
        numbers = "".join(f"{one:>{width},}" for one, width in zip(tally[:4], (10, 10, 11, 10), strict=True))
        print(f"{name:14}{numbers}{tally.seconds:9.0f}{tally.worst * 1000:10.0f}{tally.peak >> 20:10d}")
        if tally.peak > MOST_MEMORY:
            broken.append((f"{name}: a process held more than {MOST_MEMORY >> 20} MiB", b""))
    for name in payloads.LARGE:
        try:
            print(scaled(name))
        except PromiseError as fault:
            broken.append((str(fault), fault.body))
    for said, body in broken[:50]:
        print(f"{_kept(body)}: {said:.2000}")
    bodies = sum(tally.bodies for tally in total.values())
    print(f"{bodies:,} bodies in {time.monotonic() - began:.0f} s, {len(broken)} faults")
    return 1 if broken or not bodies else 0


def run(bodies: int, seed: int, workers: int, *, follow: bool) -> dict[str, Tally]:
    """What each engine's bodies came to."""
    hypothesis, atheris = bodies // 50, bodies // 10 * follow
    mine = bodies - hypothesis - atheris
    total = dict.fromkeys(("own mutations", "Hypothesis", "atheris"), Tally())
    with ProcessPoolExecutor(workers, multiprocessing.get_context("spawn")) as pool:
        jobs = {
            pool.submit(invented, seed + at, min(_CHUNK // 4, hypothesis - at)): "Hypothesis"
            for at in range(0, hypothesis, _CHUNK // 4)
        }
        for at in range(workers if atheris else 0):
            jobs[pool.submit(guided, seed * workers + at + 1, atheris // workers)] = "atheris"
        for at in range(0, mine, _CHUNK):
            jobs[pool.submit(mutated, seed, range(at, min(at + _CHUNK, mine)))] = "own mutations"
        for job in as_completed(jobs):
            total[jobs[job]] |= job.result()
    return total


def _kept(body: bytes) -> Path:
    """Where a body was written that broke a promise."""
    path = Path(tempfile.gettempdir()) / "kie-notes-fuzz" / f"{hashlib.sha256(body).hexdigest()[:16]}.json"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(body)
    return path


if __name__ == "__main__":
    sys.exit(main())
