"""The looks of one run of a collector: which task is looked at next, and what comes of a look.

What is due stands in the ledger, so several runs, also in several processes, share the work: each takes a few tasks at
a time that nobody else holds, nearest expiry first, and holds them until it has looked. A run that dies gives its
tasks back when its hold on them runs out.
"""

from __future__ import annotations

import random
import time
import warnings
from collections import deque
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from contextlib import suppress
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from kie_notes.api.origins import parse_music, parse_separation
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
from kie_notes.store.reading import RECORD_INFO

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable
    from concurrent.futures import Future

    from tqdm import tqdm

    from kie_notes.api.client import KieClient
    from kie_notes.store import Store
    from kie_notes.store.tasks import Look

_TWO_DAYS = 2 * 24 * 3600

#: Seconds for which a task is held; it is renewed while it is looked at, so this is how long a dead run's tasks rest.
_HOLD = 60.0

#: Seconds between two glances at the ledger when nothing is due: short, so that Ctrl-C is heard.
_IDLE = 0.1

#: Seconds until the next look after an answer at which only a person can help.
_HOUR = 3600.0


class Run:
    """Looks at the tasks of a store, or at those among them that were asked for."""

    def __init__(
        self,
        store: Store,
        client: KieClient,
        *,
        among: str | None = None,
        first_look: float = 3.0,
        poll: tuple[float, float] = (10.0, 30.0),
        grace: float = 60.0,
    ) -> None:
        self.store = store
        self.client = client
        self.among = among
        self.first_look = first_look
        self.poll = poll
        self.grace = grace
        self.holder = uuid4().hex
        self.faults: dict[str, int] = {}

    def warn(self) -> None:
        """Warn of tasks whose result will be gone within two days."""
        now = time.time()
        for task, expires in self.store.expiring(now, now + _TWO_DAYS, among=self.among):
            msg = f"task {task}: its result will be gone in {(expires - now) / 3600:.0f} hours and has not come yet"
            warnings.warn(msg, ExpiryWarning, stacklevel=3)

    def until(self, end: float, workers: int, shown: tqdm[Any], *, stop: threading.Event | None = None) -> None:
        """Look at each task when it is due, until all have an end, or the time is over, or (``stop``) it is set."""
        ready: deque[Look] = deque()
        looking: dict[Future[bool], Look] = {}
        pool = ThreadPoolExecutor(max_workers=workers)
        held = glanced = 0.0
        try:
            while (now := time.time()) < end and not (stop and stop.is_set()):
                if not ready and len(looking) < workers and now >= glanced:
                    ready += self.store.lease(
                        self.holder,
                        until=now + _HOLD,
                        limit=4 * workers,
                        first_look=self.first_look,
                        among=self.among,
                    )
                    glanced = now + (0.0 if ready else _IDLE)
                    if not ready and not looking and stop is None and not self.store.waiting(end, among=self.among):
                        break
                while ready and len(looking) < workers:
                    look = ready.popleft()
                    looking[pool.submit(self.look, look)] = look
                if now > held + _HOLD / 3 and (looking or ready):
                    mine = [look.task for look in (*looking.values(), *ready)]
                    self.store.renew(self.holder, mine, until=now + _HOLD)
                    held = now
                self._settle(looking, min(_IDLE, max(end - now, 0.01)), shown)
            while looking:
                self._settle(looking, 1.0, shown)
        finally:
            pool.shutdown(wait=False, cancel_futures=True)  # after a fault, no answer is worth waiting for
            with suppress(StoreError):
                self.store.release(self.holder)

    def _settle(self, looking: dict[Future[bool], Look], pause: float, shown: tqdm[Any]) -> None:
        """Wait for looks that end, for a moment."""
        if not looking:
            time.sleep(pause)
        for future in wait(looking, timeout=pause, return_when=FIRST_COMPLETED).done if looking else ():
            del looking[future]
            if future.result():
                shown.update()
                self.store.seal(only_full=True)

    def look(self, look: Look) -> bool:
        """Ask for a task once; gives whether it has an end now."""
        ask, parse = self._endpoint(look.kind)
        try:
            body = ask(look.task, attempts=1)
            record = parse(body, task=look.task, source=RECORD_INFO[look.kind])
            if record.task != look.task:
                told = f"asked for task {look.task!r}, got the record of {record.task!r}"
                return self._failed(look, RecordError(told))
            self.store.accept(record, body)
        except (AuthenticationError, CreditsError, StoreError):
            raise
        except NotFoundError as fault:
            return self._unknown(look, fault)
        except TaskFailedError as fault:
            with suppress(RecordError):
                self.store.accept(parse(fault.body, task=look.task, source=RECORD_INFO[look.kind]), fault.body)
            self.store.give_up(look.task, str(fault))  # if it is pending still, its answer being no record
            return True
        except Exception as fault:  # noqa: BLE001 -- whatever one answer does, the other tasks go on
            return self._failed(look, fault)
        if record.state != "pending":
            return True
        now = time.time()  # also after its 14 days: what the service calls pending, it has not forgotten
        self.store.looked(look.task, error=None, next_look=now + self._wait(look))
        return False

    def _endpoint(self, kind: str) -> tuple[Callable[..., bytes], Callable[..., Any]]:
        """Whom to ask about a task of a kind, and how to read the answer."""
        if kind == "separation":
            return self.client.separation_record, parse_separation
        return (self.client.music_record, parse_music) if kind == "music" else (self.client.midi_record, parse_record)

    def _failed(self, look: Look, fault: Exception) -> bool:
        """Remember what a look met, and when to look again."""
        told = str(fault) if isinstance(fault, KieNotesError) else f"{type(fault).__name__}: {fault}"
        if not getattr(fault, "passing", False):
            wait = _HOUR
        elif isinstance(fault, MaintenanceError):
            wait = getattr(fault, "retry_after", None) or 2 * self.poll[1]
        else:
            wait = getattr(fault, "retry_after", None) or self._backoff(look.task)
        self.store.looked(look.task, error=told, next_look=time.time() + wait)
        return False

    def _unknown(self, look: Look, fault: NotFoundError) -> bool:
        now = time.time()
        if now >= look.expires:
            self.store.expire(look.task)
            return True
        if now >= look.submitted + self.grace:
            self.store.give_up(look.task, f"the service knows no such task: {fault}")
            return True
        again = min(now + self._wait(look), look.submitted + self.grace)
        self.store.looked(look.task, error=str(fault), next_look=again)
        return False

    def _wait(self, look: Look) -> float:
        """Seconds until the next look: growing from the least to the most, each with a fifth of jitter."""
        least, most = self.poll
        return min(least * 1.5 ** min(look.attempts, 20), most) * random.uniform(0.8, 1.2)  # noqa: S311 -- no secret

    def _backoff(self, task: str) -> float:
        """Seconds after a fault: a half, and twice as many each time, up to the most between two looks."""
        self.faults[task] = count = self.faults.get(task, 0) + 1
        return min(0.25 * 2.0 ** min(count, 20), self.poll[1]) * random.uniform(0.8, 1.2)  # noqa: S311 -- jitter, no secret
