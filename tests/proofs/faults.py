"""Every fault of the network and of the service, over real sockets, alone and mixed, and what comes of each task.

- **Alone**: tasks that meet one fault as long as it lasts, then the truth. While it lasts they are in the state that
  the fault calls for, with the reason; afterwards they are complete, each with exactly its notes.
- **The account**: after "too many requests" to one task, no request of any task goes out until the time is over.
- **Orders**: a POST after which nobody knows what became of it is made once, whatever is run again.
- **Mixed**: each request, GET or POST, meets a fault that passes, or the truth, at random. Each task ends as its truth
  says, with exactly its notes; each order is sent once, apart from those that the service refused in clear words.

The key must reach the one server, with every request, and nobody else.
"""

from __future__ import annotations

import argparse
import json
import logging
import random
import sys
import tempfile
import threading
import time
from collections import Counter, defaultdict
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Self
from uuid import uuid4

import polars as pl
import trustme

import kie_notes as kn
from kie_notes.errors import KieNotesError
from tests.proofs.faulty import FAULTS, Answer, Asked, Fault, Faulty, http, instruments_of, silent, whole

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

KEY = "k3y-of-the-proof-0123456789"

#: Short waits: the laws hold for any.
WAITS: dict[str, Any] = {"first_look": 0.0, "progress": False}
PATIENCE: dict[str, Any] = {
    "read_timeout": 0.5,
    "total_timeout": 0.7,
    "attempts": 2,
    "wait_max": 0.02,
    "max_bytes": 1 << 18,
}


class Row(NamedTuple):
    """One line of the table."""

    fault: str
    tasks: int
    requests: int
    ended: str
    expected: str

    def __str__(self) -> str:
        mark = " " if self.ended == self.expected else "!"
        return f"{mark} {self.fault:40}{self.tasks:6}{self.requests:9}  {self.ended:50}{self.expected}"


class Network:
    """The service, by as many servers as are wanted, and the hosts that the key must not reach."""

    def __init__(self) -> None:
        self._open = ExitStack()
        authority = trustme.CA()
        self._trusted = Path(self._open.enter_context(tempfile.TemporaryDirectory())) / "authority.pem"
        authority.cert_pem.write_to_path(str(self._trusted))
        self.services: list[Faulty] = []
        self._elsewhere = self._open.enter_context(Faulty(whole))
        unknown = self._open.enter_context(Faulty(whole, tls=trustme.CA()))
        misnamed = self._open.enter_context(Faulty(whole, tls=authority, name="elsewhere.invalid"))
        plain = self._open.enter_context(Faulty(whole))
        self._others = (self._elsewhere, unknown, misnamed, plain)
        #: Faults for which there is no service to answer, each with the address at which it is met.
        self.nobody = [
            (Fault("connection refused", silent, says="refused"), "http://127.0.0.1:1"),
            (Fault("no such name", silent, says="gaierror|Name"), "https://nowhere.invalid"),
            (Fault("TLS, unknown authority", silent, says="CERTIFICATE_VERIFY_FAILED"), unknown.url),
            (Fault("TLS, another name", silent, says="CERTIFICATE_VERIFY_FAILED"), misnamed.url),
            (Fault("no TLS", silent, says="SSLError"), f"https://localhost:{plain.port}"),
        ]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def service(self, answer: Callable[[Asked], Answer]) -> Faulty:
        self.services.append(Faulty(answer, elsewhere=self._elsewhere.url))
        return self.services[-1]

    def client(self, url: str, fault: Fault | None = None) -> kn.KieClient:
        """A client that has no patience, but for a fault that needs none: else a slow machine would be one, too."""
        slow = {} if fault is None or "timed out" in fault.says else {"read_timeout": 10.0, "total_timeout": 10.0}
        client = kn.KieClient(api_key=KEY, base_url=url, **PATIENCE | slow)
        client.session.verify = str(self._trusted)
        return client

    def strangers(self) -> int:
        """Requests that reached another host, and hosts that the key did."""
        return sum(len(one.seen) + (KEY.encode() in bytes(one.heard)) for one in self._others)

    def unkeyed(self) -> int:
        """Requests that reached the service without the key."""
        header = f"\r\nAuthorization: Bearer {KEY}".encode()
        return sum(header not in asked.head for service in self.services for asked in service.seen)


def expected_notes(tasks: list[str]) -> pl.DataFrame:
    rows = [
        (task, one["name"], note["pitch"], note["start"], note["end"], note["velocity"], at)
        for task in tasks
        for at, one in enumerate(instruments_of(task))
        for note in one["notes"]
    ]
    schema = kn.NOTES_SCHEMA | {"task": pl.String(), "instrument": pl.String()}
    return pl.DataFrame(rows, schema=schema, orient="row").sort("task", maintain_order=True)


def notes_are(store: kn.Store, tasks: list[str]) -> bool:
    """Whether the store has exactly the notes of these tasks."""
    texts = pl.col("task", "instrument").cast(pl.String)
    found = store.scan_notes().with_columns(texts).collect().sort("task", maintain_order=True)
    return found.equals(expected_notes(tasks))


def states(report: kn.CollectReport) -> str:
    return ", ".join(sorted(set(report.tasks["state"])))


def said(fault: Fault, reason: str | None) -> bool:
    return any(part in (reason or "") for part in fault.says.split("|"))


# One fault alone.


def alone(fault: Fault, network: Network, folder: Path, url: str | None = None) -> Row:
    """Collect some tasks while a fault lasts, and again when it is over; at ``url`` nobody is who they should be."""
    lasts = True
    tasks = [uuid4().hex for _ in range(3)]
    with network.service(lambda asked: fault.answer(asked) if lasts else whole(asked)) as service:
        with kn.Store(folder) as store:
            while_it_lasts = collected(tasks, store, network.client(url or service.url, fault), fault)
            lasts = False
            with network.client(service.url) as client:
                report = kn.collect(tasks, store, client, deadline=20.0, poll=(0.01, 0.05), **WAITS)
            after = states(report)
            right = notes_are(store, tasks if after == "complete" else [])
            rejected = int(report.tasks["rejected"].sum())
        requests = len(service.seen)
    kept = fault.ends if fault.ends in ("complete", "empty") else "complete"  # what is in the store is not asked again
    exact = right and rejected == (len(tasks) * fault.rejects if fault.ends == "complete" else 0)
    ended = f"{while_it_lasts}; {after}, {'exact' if exact else 'WRONG'} notes"
    return Row(fault.name, len(tasks), requests, ended, f"{fault.ends}; {kept}, exact notes")


def collected(tasks: list[str], store: kn.Store, client: kn.KieClient, fault: Fault) -> str:
    """The state of all tasks while a fault lasts, or the error that stopped the run and left them pending."""
    with client:
        try:
            deadline = 1.0 if fault.ends == "pending" else 20.0
            report = kn.collect(tasks, store, client, deadline=deadline, poll=(0.5, 0.5), grace=0.4, **WAITS)
        except KieNotesError as error:
            found = store.scan_tasks().collect()["state"].unique().to_list()
            return type(error).__name__ if found == ["pending"] else f"{type(error).__name__}, but {found}"
    for reason in report.tasks["reason"]:
        if not said(fault, reason):
            return f"{states(report)}, but {reason!r} without {fault.says!r}"
    return states(report)


# The whole account waits.


def too_many(network: Network, folder: Path, *, seconds: float, told: bool) -> Row:
    """One "too many requests", and what goes out in the seconds after it; ``told`` in a header, or not at all."""
    moments: list[float] = []
    lock = threading.Lock()

    def script(asked: Asked) -> Answer:
        with lock:
            if len(service.seen) >= 10 and not moments:
                moments.append(time.monotonic())
                return http(b'{"code":429,"msg":"slow down"}', **({"Retry_After": f"{seconds:g}"} if told else {}))
        time.sleep(0.1)  # so that there is something left to be asked
        return whole(asked)

    tasks = [uuid4().hex for _ in range(40)]
    with network.service(script) as service, kn.Store(folder) as store, network.client(service.url) as client:
        report = kn.collect(tasks, store, client, deadline=30.0, poll=(0.01, 0.05), **WAITS)
        right = notes_are(store, tasks)
    quiet = (moments[0] + 0.3, moments[0] + seconds - 0.05)  # what was under way when it was said is no matter
    early = sum(quiet[0] < asked.when < quiet[1] for asked in service.seen)
    right = right and any(asked.when >= quiet[1] for asked in service.seen)
    ended = f"{early} requests in {seconds:g} s; {states(report)}{'' if right else ', WRONG'}"
    name = f"429 to one task, {'Retry-After' if told else 'without a word'}"
    return Row(name, len(tasks), len(service.seen), ended, f"0 requests in {seconds:g} s; complete")


# Orders.


def posted(fault: Fault, network: Network, folder: Path, ends: str, posts: int) -> Row:
    """Give one order and try to send it again; then both again, three times, while the service is well."""
    well = False
    source = f"separation-{uuid4().hex}"
    good = new_task(uuid4().hex)
    ended = []
    with network.service(lambda asked: good if well else fault.answer(asked)) as service:
        for _ in range(4):
            with kn.Store(folder) as store, network.client(service.url, fault) as client:
                ended.append(kn.submit([source], store, client, progress=False)["state"][0])
                kn.submit_pending(store, client, progress=False)
            well = True
        count = len(service.seen)
    return Row(
        f"POST: {fault.name}", 1, count, f"{ended[0]}, {ended[-1]}; sent {count} times", f"{ends}; sent {posts} times"
    )


def new_task(task: str) -> Answer:
    return http(b'{"code":200,"msg":"success","data":{"taskId":"%s"}}' % task.encode())


def orders() -> Iterator[tuple[Fault, str, int]]:
    """Faults of a POST: how the order ends while they last and later, and how often it is sent in all."""
    for fault in FAULTS:
        if fault.ends in ("AuthenticationError", "CreditsError"):
            yield fault, "unsent, submitted", 3
        elif fault.name == "body 455":
            yield fault, "planned, submitted", 3
        elif fault.name.startswith(("HTTP 429", "body 429", "body 430")):  # the client may try each time again
            yield fault, "planned, submitted", 5
        elif fault.name == "record of another task":  # of a POST, that is how a task is named
            yield fault, "submitted, submitted", 1
        elif refused(fault):
            yield fault, "refused, submitted", 2
        else:
            yield fault, "unknown, unknown", 1


def refused(fault: Fault) -> bool:
    """Whether the service says in clear words that it made no task of an order."""
    words = ("HTTP 4", "body 4", "422", "body 501", "body 531")
    return fault.ends in ERRORS or (fault.name.startswith(words) and fault.name != "body 408")


# All of them, mixed.

#: "Too many requests" without a time: the whole account waits for two seconds, so these are rare in a mixture.
UNTOLD = ("HTTP 429", "body 429", "body 430")
#: What stops a run.
ERRORS = ("AuthenticationError", "CreditsError")

TRUTH = Fault("the truth", whole, "complete")
UNKNOWN = next(fault for fault in FAULTS if fault.name == "data null")
#: What the service says of a task for good, and for how many hours it has had the task.
TRUTHS = [(TRUTH, 0), (UNKNOWN._replace(name="unknown for an hour"), 1)]
TRUTHS += [(UNKNOWN._replace(name="unknown after 15 days", ends="expired", says="14 days"), 15 * 24)]
TRUTHS += [(fault, 0) for fault in FAULTS if not fault.passes and fault.ends not in ERRORS]

PASSING = [fault for fault in FAULTS if fault.passes]
POSTED = [fault for fault in FAULTS if fault.name != "record of another task"]
#: Of how many requests, on average, one meets a fault that passes.
SHARE = 0.6


class Mixture:
    """What a service says that answers at random: the same for the same seed, whatever comes first."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.truths: dict[str, Fault] = {}
        self.last: dict[str, Fault] = {}
        self.ended: dict[str, str] = {}
        self.orders: defaultdict[str, list[Fault]] = defaultdict(list)

    def __call__(self, asked: Asked) -> Answer:
        if asked.method == "POST":
            source = json.loads(asked.body)["taskId"]
            fault = self._met(POSTED, TRUTH, f"{source} {len(self.orders[source])}")
            self.orders[source].append(fault)
            return new_task(f"of-{source}") if fault is TRUTH else fault.answer(asked)
        truth = self.truths.setdefault(asked.task, TRUTH)
        fault = self.last[asked.task] = self._met(PASSING, truth, f"{asked.task} {asked.number}")
        return fault.answer(asked)

    def misjudged(self, table: pl.DataFrame) -> list[tuple[str, str]]:
        """Orders in another state than the last answer to them calls for."""
        found = []
        for source, state in table.select("separation_task", "state").rows():
            last = self.orders[source][-1:]  # nothing, if it was not sent
            again = not last or refused(last[0])
            expected = (
                ("planned", "refused", "unsent") if again else ("submitted",) if last == [TRUTH] else ("unknown",)
            )
            found += [] if state in expected else [(source, state)]
        return found

    def _met(self, faults: list[Fault], truth: Fault, request: str) -> Fault:
        chance = random.Random(f"{self.seed} {request}")  # noqa: S311 -- no secret
        weights = [0.02 if fault.name in UNTOLD else 1.0 for fault in faults]
        fault = chance.choices(faults, weights)[0] if chance.random() < SHARE else truth
        return truth if fault.ends == "complete" != truth.ends else fault  # a result is no fault of a task that failed


def mixed(requests: int, seed: int, network: Network, folder: Path) -> tuple[list[Row], list[str]]:
    """Collect, watch and submit until so many requests were answered; gives the table, and what ended wrongly."""
    mixture = Mixture(seed)
    wrong = []
    with network.service(mixture) as service:
        while (left := requests - len(service.seen)) > 0:
            tasks = max(20, min(250, left // 2))
            wrong += batch(tasks, mixture, lambda: network.client(service.url), folder / str(len(service.seen)))
    asked = Counter(mixture.truths[one.task].name for one in service.seen if one.method == "GET")
    rows = []
    for truth, _ in TRUTHS:
        ended = Counter(state for task, state in mixture.ended.items() if mixture.truths[task] is truth)
        told = ", ".join(f"{count} {state}" for state, count in ended.items()) or f"0 {truth.ends}"
        rows.append(
            Row(f"mixed: {truth.name}", ended.total(), asked[truth.name], told, f"{ended.total()} {truth.ends}")
        )
    posts = sum(map(len, mixture.orders.values()))
    told = f"{second_posts(mixture)} second POSTs"
    return [*rows, Row("mixed: orders", len(mixture.orders), posts, told, "0 second POSTs")], wrong


def batch(size: int, mixture: Mixture, connect: Callable[[], kn.KieClient], folder: Path) -> list[str]:
    """Collect tasks while others are submitted, then watch for those; gives what ended otherwise than it should."""
    chance = random.Random(f"{mixture.seed} {len(mixture.truths)}")  # noqa: S311 -- no secret
    given = [f"{chance.getrandbits(128):032x}" for _ in range(size)]
    sources = [f"separation-{task}" for task in given[:12]]
    options = {"poll": (0.01, 0.05), "workers": 8, "grace": 600.0} | WAITS
    with kn.Store(folder) as store, connect() as client, connect() as another, ThreadPoolExecutor(1) as pool:
        for task in given:
            truth, hours = TRUTHS[0] if chance.random() < 0.7 else chance.choice(TRUTHS)
            mixture.truths[task] = truth
            store.add([task], submitted_at=datetime.now(UTC) - timedelta(hours=hours))
        ordered = pool.submit(order, sources, store, another)
        kn.collect(given, store, client, deadline=120.0, **options)
        table = ordered.result()
        kn.watch(store, client, deadline=60.0, **options)
        with store.asking([*given, *table["task"].drop_nulls()]) as among:
            ended = store.states(among)
        wrong = [f"order {source}: {state}" for source, state in mixture.misjudged(table)]
        for task, state, rejected, reason in ended.select("task", "state", "rejected", "reason").rows():
            mixture.ended[task] = state
            truth = mixture.truths[task]
            rejects = mixture.last[task].rejects if state == "complete" else 0
            if (state, rejected) != (truth.ends, rejects) or not said(truth, reason):
                wrong.append(f"task {task}, {truth.name}: {state}, {rejected} notes rejected: {reason}")
        if not notes_are(store, ended.filter(state="complete")["task"].to_list()):
            wrong.append(f"{folder}: other notes than those of the tasks that are complete")
    return wrong


def order(sources: list[str], store: kn.Store, client: kn.KieClient) -> pl.DataFrame:
    """Submit until each order has a task, or may have one."""
    for _ in range(20):
        table = kn.submit(sources, store, client, progress=False)
        if set(table["state"]) <= {"submitted", "unknown"}:
            break
    return table


def second_posts(mixture: Mixture) -> int:
    """POSTs of an order after one that was not refused in clear words."""
    firsts = [[refused(fault) for fault in faults] for faults in mixture.orders.values()]
    return sum(len(one) - 1 - one.index(False) for one in firsts if False in one)


# All of it.


def all_alone(network: Network, folder: Path) -> Iterator[Row]:
    """Each fault by itself, some at a time, since most of it is waiting."""
    with ThreadPoolExecutor(16) as pool:
        met = [(fault, None) for fault in FAULTS] + network.nobody
        rows = [pool.submit(alone, fault, network, folder / f"{at}", url) for at, (fault, url) in enumerate(met)]
        rows += [
            pool.submit(posted, one[0], network, folder / f"post-{at}", *one[1:]) for at, one in enumerate(orders())
        ]
        for row in rows:
            yield row.result()
    for told, seconds in ((True, 1.0), (False, 2.0)):
        yield too_many(network, folder / f"waiting-{told}", seconds=seconds, told=told)


def main(argv: list[str] | None = None) -> int:
    """Meet every fault; gives 0 when every task ended as it should and the key stayed where it belongs."""
    parser = argparse.ArgumentParser(prog="python -m tests.proofs faults", description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--requests", type=int, default=1_500, help="requests in the mixture (default: 1_500)")
    parser.add_argument("--seed", type=int, default=1, help="the same seed mixes the same faults (default: 1)")
    options = parser.parse_args(argv)
    logging.getLogger("stamina").setLevel(logging.ERROR)  # it tells of every second try
    began = time.monotonic()
    with Network() as network, tempfile.TemporaryDirectory() as place:
        print(f"  {'':40}{'tasks':>6}{'requests':>9}  {'ended':50}expected")
        rows = []
        for row in all_alone(network, Path(place) / "alone"):
            rows.append(row)
            print(row, flush=True)
        last, wrong = mixed(options.requests, options.seed, network, Path(place) / "mixed")
        print("\n".join(map(str, [*last, *wrong[:50]])))
        others, unkeyed = network.strangers(), network.unkeyed()
    otherwise, second = sum(row.ended != row.expected for row in rows), last[-1].ended
    print(f"alone: {len(rows)} faults, {sum(row.requests for row in rows):,} requests, {otherwise} with another end")
    answered = f"mixed: {sum(row.requests for row in last):,} requests, {len(wrong)} tasks in a wrong state"
    print(f"{answered}, {others} requests to another host, {second}")
    print(f"{unkeyed} requests without the key; {time.monotonic() - began:.0f} s")
    return int(bool(otherwise or wrong or others or unkeyed) or second != last[-1].expected)


if __name__ == "__main__":
    sys.exit(main())
