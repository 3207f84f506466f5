"""The use case: ask the service for tasks until each has an end, keep every answer, and say what happened.

Each task is entered in the store before it is asked for, and each answer is on disk before it counts. So a run may be
stopped at any moment, by Ctrl-C, a crash or a deadline, and the next one goes on with what is left.

The package loads this module at once (its name is also a function's), so what is heavy is loaded where it is used.
"""

from __future__ import annotations

import heapq
import random
import time
import warnings
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kie_notes.errors import (
    AmbiguousError,
    ApiError,
    AuthenticationError,
    CreditsError,
    ExpiryWarning,
    MaintenanceError,
    NotFoundError,
    RecordError,
    TaskFailedError,
)
from kie_notes.progress import bar

if TYPE_CHECKING:
    from collections.abc import Iterable
    from concurrent.futures import Future
    from datetime import datetime
    from pathlib import Path

    import polars as pl
    from tqdm import tqdm

    from kie_notes.api.client import KieClient
    from kie_notes.store import Store

#: States in the order of a report.
_STATES = ("complete", "empty", "failed", "expired", "pending")

_TWO_DAYS = 2 * 24 * 3600


@dataclass(frozen=True)
class CollectReport:
    """What came of a run.

    Attributes
    ----------
    tasks
        One row per task that was asked for, in that order: task, state, notes, rejected, reason (why it failed, or what
        the last look at a pending task met).
    unread
        One row per document that could not be read: source, reason.
    """

    tasks: pl.DataFrame
    unread: pl.DataFrame

    def of(self, state: str) -> list[str]:
        """Ids of the tasks in a state: complete, empty, failed, expired, or pending."""
        return self.tasks.filter(self.tasks["state"] == state)["task"].to_list()

    @property
    def missing(self) -> list[str]:
        """Ids of the tasks from which nothing came: failed, expired, or pending still."""
        return [*self.of("failed"), *self.of("expired"), *self.of("pending")]

    def __str__(self) -> str:
        counts = [f"{len(self.of(state))} {state}" for state in _STATES if self.of(state)]
        lines = [f"{self.tasks.height} tasks: {', '.join(counts) or 'none'}; {self.tasks['notes'].sum()} notes"]
        told = self.tasks.drop_nulls("reason")
        lines += [
            f"  {task}: {state}: {reason}"
            for task, state, reason in told.select("task", "state", "reason").head(20).rows()
        ]
        lines += [f"  {source}: could not be read: {reason}" for source, reason in self.unread.head(20).rows()]
        more = max(told.height - 20, 0) + max(self.unread.height - 20, 0)
        return "\n".join([*lines, f"  ... and {more} more"] if more else lines)


def collect(  # noqa: PLR0913 -- the waits are facts about the service that may change
    tasks: Iterable[str],
    store: Store,
    client: KieClient,
    *,
    submitted_at: datetime | None = None,
    deadline: float = 600.0,
    workers: int = 4,
    first_look: float = 3.0,
    poll: tuple[float, float] = (10.0, 30.0),
    grace: float = 60.0,
    progress: bool = True,
) -> CollectReport:
    """Fetch the results of MIDI tasks into a store, waiting for those that are pending.

    Parameters
    ----------
    tasks
        Ids of MIDI tasks. Those with notes in the store are not asked for again; those that failed or expired are.
    store, client
        Where results go, and whom to ask.
    submitted_at
        When the tasks were given to the service, if not now. The 14 days run from then, unless the service says more.
    deadline
        Seconds after which what is still pending is left for another run.
    workers
        How many tasks are asked for at a time.
    first_look
        Seconds after its submission that a task is first asked for.
    poll
        Least and most seconds between two looks at a pending task; the wait grows, with jitter.
    grace
        Seconds after its submission for which a task may be unknown to the service before it counts as failed.
    progress
        Show a bar on stderr, if that is a terminal.

    Returns
    -------
    A ``CollectReport``; all that it counts is on disk and sealed.

    Raises
    ------
    AuthenticationError, CreditsError
        At once when the service says so; no task is marked failed for it.
    StoreError
        If an answer cannot be written.
    """
    asked = list(dict.fromkeys(tasks))
    store.add(asked, submitted_at=submitted_at)
    store.reopen(asked)
    run = _Run(store, client, first_look=first_look, poll=poll, grace=grace)
    run.enter(asked)
    shown = bar(unit="task", total=len(asked), progress=progress)
    shown.update(len(asked) - len(run.queue))
    try:
        run.until(time.time() + deadline, workers, shown)
    finally:
        shown.close()
        store.seal()
    return _report(store, asked)


def ingest(paths: str | Path | Iterable[str | Path], store: Store, *, progress: bool = True) -> CollectReport:
    """Put JSON that somebody already has into a store.

    Parameters
    ----------
    paths
        What ``read_records`` takes.
    store
        Where the answers go, byte for byte.
    progress
        Show a counter on stderr, if that is a terminal.

    Returns
    -------
    A ``CollectReport``; documents that could not be read are in its ``unread``, with their reasons.
    """
    from kie_notes.api.files import read_bodies

    seen: dict[str, None] = {}
    unread: list[tuple[str, str]] = []
    shown = bar(unit="body", progress=progress)
    for count, body in enumerate(read_bodies(paths), start=1):
        shown.update()
        try:
            fault = body.fault
            if fault is None:
                seen[str(store.put(body.content, task=body.task, source=body.source).task)] = None
        except RecordError as unreadable:
            fault = str(unreadable)
        if fault is not None:
            unread.append((body.source, fault))
        if count % 1_000 == 0:
            store.seal(only_full=True)
    shown.close()
    store.seal()
    return _report(store, list(seen), unread)


def submit(
    separation_tasks: Iterable[str],
    store: Store,
    client: KieClient,
    *,
    callback_url: str | None = None,
    audio_id: str | None = None,
    label: str | None = None,
) -> pl.DataFrame:
    """Have separation tasks transcribed, and enter the new MIDI tasks in a store.

    Each request is sent once; 20 in 10 seconds at most. After a fault the next separation task is tried, except when
    the key or the credits are at fault.

    Parameters
    ----------
    separation_tasks
        Ids of completed vocal-separation tasks.
    store
        Where the new tasks are entered as pending, for ``collect``.
    client
        Whom to ask.
    callback_url
        Where the service shall deliver; without it, a reserved name that leads nowhere.
    audio_id
        One stem of the separation; without it, all of them.
    label
        Your own word for the new tasks.

    Returns
    -------
    One row per separation task, in the order given: separation_task, task (null when none was made), state
    (``submitted``, ``refused``, or ``unknown`` when no answer came and the task may exist all the same), reason.

    Raises
    ------
    AuthenticationError, CreditsError
        At once when the service says so; what was submitted before is in the store.
    """
    options = {"audio_id": audio_id} | ({"callback_url": callback_url} if callback_url else {})
    rows: list[tuple[str, str | None, str, str | None]] = []
    for separation_task in dict.fromkeys(separation_tasks):
        try:
            task = client.generate_midi(separation_task, **options)  # type: ignore[arg-type]
            store.add([task], label=label)
            rows.append((separation_task, task, "submitted", None))
        except (AuthenticationError, CreditsError):
            raise
        except ApiError as fault:
            state = "unknown" if isinstance(fault, AmbiguousError) else "refused"
            rows.append((separation_task, None, state, str(fault)))
    import polars as pl

    return pl.DataFrame(
        rows, schema=dict.fromkeys(("separation_task", "task", "state", "reason"), pl.String), orient="row"
    )


def _report(store: Store, asked: list[str], unread: list[tuple[str, str]] | None = None) -> CollectReport:
    import polars as pl

    met = store.open_tasks().select("task", "last_error")
    known = store.scan_tasks().select("task", "state", "notes", "rejected", "error_message")
    table = (
        pl.LazyFrame({"task": asked}, schema={"task": pl.String})
        .join(known, on="task", how="left", maintain_order="left")
        .join(met.lazy(), on="task", how="left", maintain_order="left")
        .select("task", "state", "notes", "rejected", reason=pl.coalesce("error_message", "last_error"))
        .collect()
    )
    return CollectReport(
        table, pl.DataFrame(unread or [], schema={"source": pl.String, "reason": pl.String}, orient="row")
    )


class _Run:
    """The tasks of one run that have no end yet, by the time of their next look (seconds since 1970)."""

    def __init__(
        self, store: Store, client: KieClient, *, first_look: float, poll: tuple[float, float], grace: float
    ) -> None:
        self.store = store
        self.client = client
        self.first_look = first_look
        self.poll = poll
        self.grace = grace
        self.queue: list[tuple[float, float, str]] = []
        self.waits: dict[str, float] = {}

    def enter(self, asked: list[str]) -> None:
        """Line up the tasks that are pending; what expires first is looked at first."""
        wanted = set(asked)
        rows = self.store.open_tasks().select("task", "submitted_at", "expires_at").rows()
        self.entered = {task: (since.timestamp(), until.timestamp()) for task, since, until in rows if task in wanted}
        now = time.time()
        for task, (submitted, expires) in self.entered.items():
            heapq.heappush(self.queue, (max(now, submitted + self.first_look), expires, task))
            if now < expires < now + _TWO_DAYS:
                msg = f"task {task}: its result will be gone in {(expires - now) / 3600:.0f} hours and has not come yet"
                warnings.warn(msg, ExpiryWarning, stacklevel=3)

    def until(self, end: float, workers: int, shown: tqdm[Any]) -> None:
        """Look at each task when it is due, until all have an end or the time is over."""
        looking: dict[Future[float | None], tuple[float, str]] = {}
        with ThreadPoolExecutor(max_workers=workers) as pool:
            try:
                while self.queue or looking:
                    now = time.time()
                    while self.queue and self.queue[0][0] <= min(now, end) and len(looking) < workers:
                        _, expires, task = heapq.heappop(self.queue)
                        looking[pool.submit(self.look, task)] = (expires, task)
                    due = min(self.queue[0][0], end) - now if self.queue and len(looking) < workers else None
                    if not looking:
                        if now >= end or due is None:
                            break
                        time.sleep(min(due, 0.5))  # short, so that Ctrl-C is heard
                        continue
                    for future in wait(looking, timeout=due, return_when=FIRST_COMPLETED).done:
                        expires, task = looking.pop(future)
                        again = future.result()
                        if again is None:
                            shown.update()
                            self.store.seal(only_full=True)
                        else:
                            heapq.heappush(self.queue, (again, expires, task))
            except BaseException:
                pool.shutdown(wait=True, cancel_futures=True)
                raise

    def look(self, task: str) -> float | None:
        """Ask for a task once; gives when to look again, or None when it has an end or only a person can help."""
        from kie_notes.api.records import parse_record

        submitted, expires = self.entered[task]
        now = time.time()
        try:
            body = self.client.midi_record(task)
            record = parse_record(body, task=task, source="record-info")
        except (AuthenticationError, CreditsError):
            raise
        except NotFoundError as fault:
            return self._unknown(task, submitted, expires, fault)
        except TaskFailedError as fault:
            self.store.put(fault.body, task=task, source="record-info")
            return None
        except (ApiError, RecordError) as fault:
            slow = isinstance(fault, MaintenanceError)
            again = now + (2 * self.poll[1] if slow else self._wait(task))
            self.store.looked(task, error=str(fault), next_look=again)
            return again if getattr(fault, "passing", False) else None
        self.store.put(body, task=task, source="record-info")
        if record.state == "pending":
            again = now + self._wait(task)
            self.store.looked(task, error=None, next_look=again)
            return again
        return None

    def _unknown(self, task: str, submitted: float, expires: float, fault: NotFoundError) -> float | None:
        now = time.time()
        if now >= expires:
            self.store.expire(task)
            return None
        if now >= submitted + self.grace:
            self.store.give_up(task, f"the service knows no such task: {fault}")
            return None
        again = min(now + self._wait(task), submitted + self.grace)
        self.store.looked(task, error=str(fault), next_look=again)
        return again

    def _wait(self, task: str) -> float:
        """Seconds until the next look: growing from the least to the most, each with a fifth of jitter."""
        least, most = self.poll
        self.waits[task] = seconds = min(self.waits.get(task, least / 1.5) * 1.5, most)
        return seconds * random.uniform(0.8, 1.2)  # noqa: S311 -- jitter, no secret
