"""A stand-in of the service on this machine, for demonstrations, tutorials and tests: no key, no cost, no network.

It is a real HTTP server that answers the way the service is documented to, and, for task ids that ask for it, in every
way in which an exchange can go wrong. What it does is listed in ``BEHAVIOURS``, each with how it is known: documented,
recorded from traffic with the service, or believed. Nothing here was measured against the service itself.

The server listens on loopback only and calls back to loopback only.
"""

from __future__ import annotations

import hmac
import json
import threading
import time
from collections import Counter, deque
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import parse_qsl

from kie_notes.api.sandbox.callbacks import Callbacks, Delivery
from kie_notes.api.sandbox.documents import (
    EXAMPLE,
    Document,
    Endpoint,
    built_in,
    callback_document,
    midi_document,
    missing_field,
    without_result,
)
from kie_notes.api.sandbox.faults import AT_POST, FAULTS, Case, Reply, as_json, say, word_of
from kie_notes.api.sandbox.server import SandboxServer, is_loopback
from kie_notes.api.sandbox.tasks import Made, Shelf, Tasks

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path
    from types import TracebackType
    from typing import Self

_RECORDS: dict[str, Endpoint] = {
    "GET /api/v1/midi/record-info": "midi",
    "GET /api/v1/vocal-removal/record-info": "separation",
    "GET /api/v1/generate/record-info": "music",
}
_ORDERS: dict[str, Endpoint] = {
    "POST /api/v1/midi/generate": "midi",
    "POST /api/v1/vocal-removal/generate": "separation",
}

#: The documented limits, a little lenient: who keeps them exactly must not be refused because the line was uneven.
_NEW_TASKS = (20, 9.5)
_ASKS_FOR_A_TASK = (3, 0.95)

#: How the User-Agent of Python's own clients begins.
_DEFAULT_AGENTS = ("python-", "python/")

#: How many requests are remembered.
_MEMORY = 10_000


class Asked(NamedTuple):
    """One request that came: what ``Sandbox.requests`` holds. The key's value is in none of its fields."""

    method: str
    path: str
    task: str | None
    authorised: bool
    headers: dict[str, str]
    fields: dict[str, Any]


class Sandbox:
    """Serve the service's endpoints on loopback.

    Parameters
    ----------
    records
        What is known from the start, and finished: task id -> body (bytes, or a dict), or a folder of ``<task>.json``.
        Bodies are given back byte for byte: one whose ``data`` has a ``response`` as a music task (with ``status``) or
        as a separation, every other as a MIDI task. Without it, the documented example and a short song. Tasks made by
        a POST get the notes of these records in turn.
    key
        The key that requests must bear. It is echoed nowhere.
    delay
        Seconds from the making of a task until it is finished.
    host
        ``127.0.0.1``, another loopback address, ``::1``, or ``localhost`` (which is 127.0.0.1 here).
    port
        0 takes a free one.
    webhook_key
        Signs callbacks; without it they bear no signature, as when the user never switched signing on.
    callbacks
        Whether finished tasks are called back to their ``callBackUrl``, where that is http on loopback.
    rate_limits
        Whether the documented limits are enforced: 20 new tasks in 10 s, 3 asks a second for a task.
    retry_after
        Seconds in the ``Retry-After`` of a 429; None sends the header only for ``busy-`` tasks, with 1.
    asks
        How many asks a passing fault lasts where the task id does not say it.
    log
        Called with one line a request, ``print`` for instance; without it nothing is printed.

    Raises
    ------
    ValueError
        If ``host`` is not loopback, or ``key`` is empty.
    FileNotFoundError
        If ``records`` is a folder that is not there.

    Examples
    --------
    >>> from urllib.request import Request, urlopen
    >>> with Sandbox() as sandbox:
    ...     headers = {"Authorization": f"Bearer {sandbox.key}", "User-Agent": "example"}
    ...     request = Request(f"{sandbox.url}/api/v1/chat/credit", headers=headers)
    ...     urlopen(request).read()
    b'{"code":200,"msg":"success","data":4012.5}'
    """

    def __init__(  # noqa: PLR0913 -- one keyword for each thing about the service that a test may want changed
        self,
        records: Mapping[str, bytes | dict[str, Any]] | str | Path | None = None,
        *,
        key: str = "sandbox-key",
        delay: float = 0.0,
        host: str = "127.0.0.1",
        port: int = 0,
        webhook_key: str | None = None,
        callbacks: bool = True,
        rate_limits: bool = False,
        retry_after: int | None = None,
        asks: int = 2,
        log: Callable[[str], object] | None = None,
    ) -> None:
        if not key:
            raise ValueError("key: expected some text, got ''")
        self.key = key
        self._host, self._port = _own_address(host), port
        self._tasks = Tasks(Shelf(built_in() if records is None else records), delay)
        self._calls_back = callbacks
        self._callbacks = Callbacks(webhook_key)
        self._rate_limits = rate_limits
        self._retry_after = retry_after
        self._asks = asks
        self._log = log
        self._requests: deque[Asked] = deque(maxlen=_MEMORY)
        self._counts: Counter[tuple[str, str]] = Counter()
        self._recent: dict[str, deque[float]] = {}
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._server: SandboxServer | None = None
        self._elsewhere = ""

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.url if self._server else 'not started'})"

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def url(self) -> str:
        """Base address, without a slash at its end.

        Raises
        ------
        RuntimeError
            If the sandbox is not started.
        """
        if self._server is None:
            raise RuntimeError("the sandbox is not started: use 'with Sandbox() as sandbox:', or call start()")
        return self._server.url

    @property
    def requests(self) -> list[Asked]:
        """The last 10,000 requests, oldest first."""
        return list(self._requests)

    @property
    def deliveries(self) -> list[Delivery]:
        """The last 10,000 tries to call back, oldest first, refused ones included."""
        return list(self._callbacks.deliveries)

    @property
    def created(self) -> list[str]:
        """Ids of the tasks that POSTs made, oldest first, also those whose answer was lost on purpose."""
        return list(self._tasks.made)

    def start(self) -> None:
        """Listen and answer, in threads of their own, until ``close``; twice is once.

        Raises
        ------
        RuntimeError
            If the sandbox was closed.
        """
        if self._closing.is_set():
            raise RuntimeError("a closed sandbox stays closed: make another")
        if self._server is None:
            self._server = SandboxServer(self._host, self._port, self._logged)
            self._elsewhere = f"http://localhost:{self._server.server_port}/elsewhere"

    def close(self) -> None:
        """Stop listening and end every connection and every callback that is under way; twice is once."""
        self._closing.set()
        self._callbacks.close()
        if self._server is not None:
            self._server.close()
            self._server = None

    def serve_forever(self) -> None:
        """Answer until ``close`` is called from another thread, or Ctrl-C."""
        self.start()
        try:
            self._closing.wait()
        finally:
            self.close()

    def _logged(self, method: str, target: str, headers: dict[str, str], body: bytes) -> Reply:
        reply = self._answer(method, target, headers, body)
        if self._log is not None:
            self._log(self._hide(f"{method} {target} -> HTTP {reply.status}, {len(reply.body)} bytes"))
        return reply

    def _hide(self, text: str) -> str:
        return text.replace(self.key, "***")

    def _answer(self, method: str, target: str, headers: dict[str, str], body: bytes) -> Reply:
        """Answer one request: note it, check who asks, and send it where its path leads."""
        path, _, query = target.partition("?")
        fields = dict(parse_qsl(query)) if method == "GET" else _fields(body)
        given = {name.lower(): value for name, value in headers.items()}
        expected = f"Bearer {self.key}".encode()
        authorised = hmac.compare_digest(given.get("authorization", "").encode("utf-8", "replace"), expected)
        self._note(method, path, fields or {}, authorised, given)
        agent = given.get("user-agent", "").lower()
        if not agent or agent.startswith(_DEFAULT_AGENTS):
            return Reply(b"error code: 1010", 403, "text/plain")
        if not authorised:
            return say(401, "You do not have access permissions")
        if fields is None:
            return say(400, "The request body must be a JSON object")
        return self._route(f"{method} {path}", fields)

    def _note(self, method: str, path: str, fields: dict[str, Any], authorised: bool, given: dict[str, str]) -> None:  # noqa: FBT001 -- one of the five facts
        shown = {name: "***" if name == "authorization" else self._hide(value) for name, value in given.items()}
        asked = {name: self._hide(value) if isinstance(value, str) else value for name, value in fields.items()}
        task = asked.get("taskId")
        asked_for = task if isinstance(task, str) else None
        self._requests.append(Asked(method, self._hide(path), asked_for, authorised, shown, asked))

    def _route(self, asked: str, fields: dict[str, Any]) -> Reply:
        if asked in _RECORDS:
            return self._record(_RECORDS[asked], fields.get("taskId", ""))
        if asked in _ORDERS:
            return self._make(_ORDERS[asked], fields)
        if asked == "GET /api/v1/chat/credit":
            return say(200, "success", data=4012.5)
        return as_json({"code": 404, "msg": "Not Found", "data": None}, status=404)

    def _record(self, endpoint: Endpoint, task: str) -> Reply:
        """Answer a record-info."""
        if not task:
            return say(422, "taskId cannot be empty", data=None)
        if self._too_often(f"{endpoint} {task}", *_ASKS_FOR_A_TASK):
            return self._too_many()
        document = self._tasks.document(endpoint, task)
        if document is None:
            return say(200, "success", data=None)
        if self._tasks.pending(task):
            return as_json(without_result(document, endpoint, "pending"))
        reply = self._fault(endpoint, task, document)
        if reply is not None:
            return reply
        kept = self._tasks.body(task)
        return as_json(document) if kept is None else Reply(kept)

    def _fault(self, endpoint: Endpoint, task: str, document: Document, method: str = "GET") -> Reply | None:
        """Give the answer that the task's id asks for, if it asks for one (still)."""
        word, number = word_of(task)
        if word is None:
            return None
        with self._lock:
            self._counts[f"{method} {endpoint}", task] += 1
            ask = self._counts[f"{method} {endpoint}", task]
        wait = 1 if self._retry_after is None else self._retry_after
        return FAULTS[word][0](Case(task, endpoint, document, number, ask, self._asks, wait, self._elsewhere))

    def _make(self, endpoint: Endpoint, fields: dict[str, Any]) -> Reply:
        """Answer a POST that makes a task."""
        missing = missing_field(endpoint, fields)
        if missing is not None:
            return say(422, missing)
        source = fields.get("taskId") or ""
        word, number = word_of(source)
        if word == "refuse":
            return say(422, "The task cannot be processed")
        fault = self._fault(endpoint, source, midi_document(source, EXAMPLE), "POST") if word in AT_POST else None
        if fault is not None:
            return fault
        if self._too_often("new tasks", *_NEW_TASKS):
            return self._too_many()
        passed_on = f"{word}{'' if number is None else number}-" if word and word not in AT_POST else ""
        task, made = self._tasks.make(endpoint, fields, passed_on)
        if self._calls_back:
            self._announce(task, made)
        reply = say(200, "success", data={"taskId": task})
        return replace(reply, cut=0) if word == "lost" else reply

    def _too_often(self, key: str, acts: int, seconds: float) -> bool:
        if not self._rate_limits:
            return False
        with self._lock:
            now = time.monotonic()
            past = self._recent.setdefault(key, deque(maxlen=acts))
            if len(past) == acts and now - past[0] < seconds:
                return True
            past.append(now)
            return False

    def _too_many(self) -> Reply:
        headers = {} if self._retry_after is None else {"Retry-After": str(self._retry_after)}
        return replace(say(429, "Too many requests, please try again later"), headers=headers)

    def _announce(self, task: str, made: Made) -> None:
        """See to it that a new task is called back when it is finished."""
        word = word_of(task)[0]

        def body() -> bytes:
            document = self._tasks.record(task)
            if word in ("fail", "empty", "nan"):
                reply = self._fault(made.endpoint, task, document, "callback")
                document = document if reply is None else json.loads(reply.body)
            return as_json(callback_document(document, made.endpoint)).body

        url, times = made.fields["callBackUrl"], 2 if word == "again" else 1
        signed = "another task" if word == "forged" else task
        self._callbacks.announce(task, url, ready=made.ready, body=body, times=times, signed=signed)


def _fields(body: bytes) -> dict[str, Any] | None:
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _own_address(host: str) -> str:
    if not is_loopback(host):
        msg = f"host: the sandbox listens on this machine only (127.0.0.1, ::1 or localhost), got {host!r}"
        raise ValueError(msg)
    return "127.0.0.1" if host == "localhost" else host
