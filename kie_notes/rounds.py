"""The tasks of one run of a collector: when each is looked at next, and what comes of a look."""

from __future__ import annotations

import heapq
import random
import time
import warnings
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from kie_notes.api.records import parse_record
from kie_notes.errors import (
    AuthenticationError,
    CreditsError,
    ExpiryWarning,
    KieNotesError,
    MaintenanceError,
    NotFoundError,
    RecordError,
    StoreError,
    TaskFailedError,
)

if TYPE_CHECKING:
    from concurrent.futures import Future

    from tqdm import tqdm

    from kie_notes.api.client import KieClient
    from kie_notes.store import Store

_TWO_DAYS = 2 * 24 * 3600


class Run:
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
        self.faults: dict[str, int] = {}

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
        pool = ThreadPoolExecutor(max_workers=workers)
        try:
            while (now := time.time()) < end and (self.queue or looking):
                while self.queue and self.queue[0][0] <= now and len(looking) < workers:
                    _, expires, task = heapq.heappop(self.queue)
                    looking[pool.submit(self.look, task)] = (expires, task)
                due = self.queue[0][0] if self.queue and len(looking) < workers else end
                pause = min(max(due - now, 0.01), end - now, 0.5)  # short, so that Ctrl-C is heard
                if not looking:
                    time.sleep(pause)
                    continue
                for future in wait(looking, timeout=pause, return_when=FIRST_COMPLETED).done:
                    self._settle(future, *looking.pop(future), shown)
            for future in wait(looking).done:
                self._settle(future, *looking.pop(future), shown)
        finally:
            pool.shutdown(wait=False, cancel_futures=True)  # after a fault, no answer is worth waiting for

    def _settle(self, future: Future[float | None], expires: float, task: str, shown: tqdm[Any]) -> None:
        again = future.result()
        if again is None:
            shown.update()
            self.store.seal(only_full=True)
        else:
            heapq.heappush(self.queue, (again, expires, task))

    def look(self, task: str) -> float | None:
        """Ask for a task once; gives when to look again, or None when it has an end or only a person can help."""
        submitted, expires = self.entered[task]
        try:
            body = self.client.midi_record(task, attempts=1)
            record = parse_record(body, task=task, source="record-info")
            if record.task != task:
                told = f"asked for task {task!r}, got the record of {record.task!r}"
                return self._failed(task, RecordError(told))
            self.store.accept(record, body)
        except (AuthenticationError, CreditsError, StoreError):
            raise
        except NotFoundError as fault:
            return self._unknown(task, submitted, expires, fault)
        except TaskFailedError as fault:
            with suppress(RecordError):
                self.store.put(fault.body, task=task, source="record-info")
            self.store.give_up(task, str(fault))  # if it is pending still, its answer being no record
            return None
        except Exception as fault:  # noqa: BLE001 -- whatever one answer does, the other tasks go on
            return self._failed(task, fault)
        if record.state != "pending":
            return None
        if time.time() >= expires:
            self.store.expire(task)
            return None
        again = time.time() + self._wait(task)
        self.store.looked(task, error=None, next_look=again)
        return again

    def _failed(self, task: str, fault: Exception) -> float | None:
        """Remember what a look met; gives when to look again if that may help."""
        told = str(fault) if isinstance(fault, KieNotesError) else f"{type(fault).__name__}: {fault}"
        asked_to_wait = getattr(fault, "retry_after", None)
        slow = 2 * self.poll[1] if isinstance(fault, MaintenanceError) else None
        again = time.time() + (asked_to_wait or slow or self._backoff(task))
        self.store.looked(task, error=told, next_look=again)
        return again if getattr(fault, "passing", False) else None

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

    def _backoff(self, task: str) -> float:
        """Seconds after a fault: a half, and twice as many each time, up to the most between two looks."""
        self.faults[task] = count = self.faults.get(task, 0) + 1
        return min(0.25 * 2.0**count, self.poll[1]) * random.uniform(0.8, 1.2)  # noqa: S311 -- jitter, no secret
