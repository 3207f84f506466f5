"""What goes on beside the answering, in threads of its own: writing, sealing, confirming."""

from __future__ import annotations

import logging
import threading
from concurrent.futures import Future
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kie_notes.api.client import KieClient
    from kie_notes.store import Store

_log = logging.getLogger("kie_notes.receiver")

#: Most callbacks, and bytes of them, that are in memory at a time.
WAITING = 1_000
WAITING_BYTES = 256 * 1024 * 1024
#: Most callbacks in one transaction, and bytes after which no more are added.
_BATCH = 64
_BATCH_BYTES = 32 * 1024 * 1024
#: Seconds between two looks whether a part is full.
_SEAL_EVERY = 10.0
#: Seconds until confirming is tried again after a fault.
_PAUSE = 60.0


class _Delivery(NamedTuple):
    task: str
    body: bytes
    outcome: Future[str | None]


class Writer(threading.Thread):
    """The one thread that gives callbacks to the store, all that wait in one transaction."""

    def __init__(self, store: Store) -> None:
        super().__init__(name="kie-notes-writer", daemon=True)
        self._store = store
        self._queue: SimpleQueue[_Delivery | None] = SimpleQueue()
        self._lock = threading.Lock()
        self.count = 0
        self.size = 0
        self.wrote = threading.Event()

    def hand(self, task: str, body: bytes) -> Future[str | None]:
        """Have a callback written; the outcome is the store's word for it, or None when it cannot be written (now)."""
        outcome: Future[str | None] = Future()
        if self.count >= WAITING:
            outcome.set_result(None)
        else:
            self._waits(1, len(body))
            self._queue.put(_Delivery(task, body, outcome))
        return outcome

    def end(self) -> None:
        """Write what waits, then stop."""
        self._queue.put(None)

    def run(self) -> None:
        """Write until the end."""
        while batch := self._next():
            for one, word in zip(batch, self._write(batch), strict=True):
                self._waits(-1, -len(one.body))
                one.outcome.set_result(word)
            self.wrote.set()

    def _next(self) -> list[_Delivery]:
        """What waits, as much as goes into one transaction; nothing at the end."""
        batch: list[_Delivery] = []
        size = 0
        one = self._queue.get()
        while one is not None:
            batch.append(one)
            size += len(one.body)
            if len(batch) >= _BATCH or size >= _BATCH_BYTES:
                return batch
            try:
                one = self._queue.get_nowait()
            except Empty:
                return batch
        if batch:
            self._queue.put(None)  # for the next time
        return batch

    def _write(self, batch: list[_Delivery]) -> Sequence[str | None]:
        """The store's words; when it takes a batch as a whole not, one by one, so that none spoils the others."""
        try:
            return self._store.receive([(one.task, one.body) for one in batch])
        except Exception as fault:  # noqa: BLE001 -- whatever one callback does, the receiver goes on
            if len(batch) > 1:
                return [word for one in batch for word in self._write([one])]
            _log.error("a callback about task %r could not be written: %s", batch[0].task, fault)
            return [None]

    def _waits(self, count: int, size: int) -> None:
        with self._lock:
            self.count += count
            self.size += size


def seal_full(store: Store, writer: Writer, stop: threading.Event) -> None:
    """Seal parts that are full, until the end."""
    while not stop.wait(_SEAL_EVERY):
        if writer.wrote.is_set():
            writer.wrote.clear()
            seal(store, only_full=True)


def seal(store: Store, *, only_full: bool = False) -> None:
    """Seal what waits in the ledger; a fault is logged, and what is not sealed stays where it is."""
    try:
        store.seal(only_full=only_full)
    except Exception as fault:  # noqa: BLE001 -- it must end neither the receiving nor the last steps
        _log.error("callbacks could not be sealed; they are kept in the ledger: %s", fault)


def confirm(store: Store, client: KieClient, stop: threading.Event) -> None:
    """Ask for the tasks that are open, until the end; a fault is logged, and the asking begins again later."""
    from kie_notes.collect import watch

    while not stop.is_set():
        try:
            watch(store, client, stop=stop, progress=False)
        except Exception as fault:  # noqa: BLE001 -- callbacks are taken also while nothing can be confirmed
            _log.error("nothing can be confirmed, which is tried again in %.0f s: %s", _PAUSE, fault)
        stop.wait(_PAUSE)
