"""The sandbox's callbacks: a finished task is POSTed to its ``callBackUrl``, if that is on this machine."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import hmac
import socket
import threading
import time
from collections import deque
from http.client import HTTPConnection, HTTPException
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import SplitResult, urlsplit

from kie_notes.api.sandbox.server import is_loopback

if TYPE_CHECKING:
    from collections.abc import Callable

#: Seconds that a receiver has, and how often it is tried (documented); the pause between tries is our own.
_TIMEOUT = 15.0
_TRIES = 3
_PAUSE = 0.2

#: How many tries are remembered.
_MEMORY = 10_000


class Delivery(NamedTuple):
    """One try to call back. ``status`` is None where no answer came; ``attempt`` is 0 where the address is refused."""

    task: str
    url: str
    attempt: int
    status: int | None
    note: str


class Callbacks:
    """Call back in threads of their own, until ``close``.

    Parameters
    ----------
    webhook_key
        Signs callbacks; None leaves them unsigned.
    """

    def __init__(self, webhook_key: str | None) -> None:
        self._key = webhook_key
        self._closing = threading.Event()
        self._lock = threading.Lock()
        self._threads: set[threading.Thread] = set()
        self._lines: set[HTTPConnection] = set()
        self.deliveries: deque[Delivery] = deque(maxlen=_MEMORY)

    def announce(
        self, task: str, url: str, *, ready: float, body: Callable[[], bytes], times: int = 1, signed: str
    ) -> None:
        """Have a task called back.

        Parameters
        ----------
        task
            Its id, for ``deliveries``.
        url
            Where to; an address that is not http on loopback is refused and noted.
        ready
            When to begin, on the monotonic clock.
        body
            Makes the document, when it is time.
        times
            How often it is delivered.
        signed
            The task id that the signature is made for.
        """
        place = _receiver(url)
        if place is None:
            self.deliveries.append(Delivery(task, url, 0, None, "refused: callbacks go to http on loopback only"))
            return

        def call() -> None:
            self._closing.wait(max(0.0, ready - time.monotonic()))
            for _ in range(times):
                self._deliver(task, place, body, signed)
            with self._lock:
                self._threads.discard(threading.current_thread())

        thread = threading.Thread(target=call, daemon=True)
        with self._lock:
            self._threads.add(thread)
        thread.start()

    def close(self) -> None:
        """End every callback that is waiting or under way."""
        self._closing.set()
        end = time.monotonic() + 1.0
        while time.monotonic() < end:
            with self._lock:
                threads, lines = list(self._threads), list(self._lines)
            if not threads:
                break
            for line in lines:
                with contextlib.suppress(AttributeError, OSError):  # not connected yet: the next round finds it so
                    line.sock.shutdown(socket.SHUT_RDWR)
            threads[0].join(timeout=0.02)

    def _deliver(self, task: str, place: SplitResult, body: Callable[[], bytes], signed: str) -> None:
        for attempt in range(1, _TRIES + 1):
            if self._closing.is_set():
                return
            status, note = self._post(place, body(), self._signature(signed))
            self.deliveries.append(Delivery(task, place.geturl(), attempt, status, note))
            if status is not None and 200 <= status < 300:
                return
            self._closing.wait(_PAUSE)

    def _post(self, place: SplitResult, body: bytes, signature: dict[str, str]) -> tuple[int | None, str]:
        """Make one try: the status, or None and why no answer came."""
        headers = {"Content-Type": "application/json", "User-Agent": "kie-notes-sandbox"} | signature
        host = "127.0.0.1" if place.hostname == "localhost" else str(place.hostname)
        line = HTTPConnection(host, place.port or 80, timeout=_TIMEOUT)
        with self._lock:
            self._lines.add(line)
        try:
            line.request("POST", place._replace(scheme="", netloc="", fragment="").geturl() or "/", body, headers)
            return line.getresponse().status, ""
        except (OSError, HTTPException) as fault:
            return None, f"no answer: {fault!r}"
        finally:
            with self._lock:
                self._lines.discard(line)
            line.close()

    def _signature(self, task: str) -> dict[str, str]:
        if self._key is None:
            return {}
        now = str(int(time.time()))
        mac = hmac.new(self._key.encode(), f"{task}.{now}".encode(), hashlib.sha256).digest()
        return {"X-Webhook-Timestamp": now, "X-Webhook-Signature": base64.b64encode(mac).decode()}


def _receiver(url: str) -> SplitResult | None:
    """Give the parts of an http address on loopback; None for every other."""
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018 -- reading it is what checks it
    except ValueError:
        return None
    return parts if parts.scheme == "http" and is_loopback(parts.hostname) else None
