"""The app itself: what is asked of a callback before it is written, and how each is answered."""

from __future__ import annotations

import asyncio
import logging
from contextlib import asynccontextmanager
from enum import Enum
from threading import Event, Thread
from typing import TYPE_CHECKING

from kie_notes.api.webhook import check_age, check_keys, check_tolerance, signed_with, task_of, verify_signature
from kie_notes.errors import MissingExtraError, RecordError, SignatureError
from kie_notes.receiver.work import WAITING_BYTES, Writer, confirm, seal, seal_full

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response

    from kie_notes.api.client import KieClient
    from kie_notes.store import Store

_log = logging.getLogger("kie_notes.receiver")

#: Seconds after which a callback is answered in any case; the service waits 15 (its documentation).
_ANSWER = 14.0
#: Most seconds that reading a body may be given, so that some are left for writing it.
_MOST_SECONDS = 12.0
#: Seconds that the end waits for each thread.
_END = 15.0


def missing(name: str) -> MissingExtraError:
    """The error of an extra that is not installed."""
    return MissingExtraError(f'{name} is not installed; callbacks need it: pip install "kie-notes[webhook]"')


class Unsigned(Enum):
    """The one way to say that callbacks shall be taken without a signature."""

    WITHOUT_SIGNATURE = "anybody who finds the address can say that a task has a result"


#: As ``keys``: callbacks are taken without a signature, from anybody who finds the address.
WITHOUT_SIGNATURE = Unsigned.WITHOUT_SIGNATURE


def create_app(
    store: Store,
    *,
    keys: Sequence[str] | Unsigned,
    client: KieClient | None = None,
    max_bytes: int = 16 * 1024 * 1024,
    seconds: float = 10.0,
    tolerance: float = 300.0,
    path: str = "/",
) -> Starlette:
    """An ASGI app that takes the service's callbacks into a store.

    A callback is a hint, since its body is not signed: with a client its task is asked for, without one the task stays
    marked as unconfirmed. The README has a table of what comes of every kind of callback.

    Parameters
    ----------
    store
        Where callbacks go. Run the app in one process for a store; other processes may use the store beside it.
    keys
        The ``webhookHmacKey`` of the service's settings page; while it is being changed, the old one and the new one.
        ``WITHOUT_SIGNATURE`` takes callbacks from anybody.
    client
        Whom to ask for the tasks.
    max_bytes
        Largest body that is taken.
    seconds
        In how many seconds a body must have come; above 0, at most 12.
    tolerance
        Seconds by which a callback's timestamp may differ from this machine's clock; above 0, at most 3600.
    path
        Where callbacks are taken by POST. A GET there answers "ok".

    Returns
    -------
    A Starlette application. It writes, seals and confirms in threads of its own, which its lifespan starts and ends.

    Raises
    ------
    ValueError
        If there are no keys, or a limit is out of bounds.
    MissingExtraError
        If starlette is not installed.

    Examples
    --------
    >>> import tempfile
    >>> from kie_notes.store import Store
    >>> with Store(tempfile.mkdtemp()) as store:
    ...     create_app(store, keys=[])
    Traceback (most recent call last):
    ValueError: keys: expected at least one webhook key; to take callbacks from anybody, say keys=WITHOUT_SIGNATURE
    """
    try:
        from starlette.applications import Starlette
        from starlette.routing import Route
    except ImportError as fault:
        raise missing("starlette") from fault
    if not isinstance(keys, Unsigned):
        if not keys:
            wanted = "to take callbacks from anybody, say keys=WITHOUT_SIGNATURE"
            raise ValueError(f"keys: expected at least one webhook key; {wanted}")
        check_keys(keys)
    check_tolerance(tolerance)
    if not 0 < seconds <= _MOST_SECONDS:
        raise ValueError(f"seconds: expected more than 0 and at most {_MOST_SECONDS:.0f}, got {seconds!r}")
    if not 0 < max_bytes <= WAITING_BYTES:
        raise ValueError(f"max_bytes: expected from 1 to {WAITING_BYTES}, got {max_bytes!r}")
    if not path.startswith("/") or "{" in path:
        raise ValueError(f"path: expected a path that begins with / and holds no braces, got {path!r}")
    writer = Writer(store)
    door = _Door(writer, keys if isinstance(keys, Unsigned) else tuple(keys), max_bytes, seconds, tolerance)
    app = Starlette(
        routes=[Route(path, door.answer, methods=["GET", "POST"])],
        lifespan=lambda _: _life(writer, store, client),
    )
    app.router.redirect_slashes = False
    return app


@asynccontextmanager
async def _life(writer: Writer, store: Store, client: KieClient | None) -> AsyncIterator[None]:
    """Threads that write, seal and confirm, from the start of the app to its end."""
    stop = Event()
    helpers = [Thread(target=seal_full, args=(store, writer, stop), name="kie-notes-sealer", daemon=True)]
    if client is not None:
        helpers.append(Thread(target=confirm, args=(store, client, stop), name="kie-notes-confirmer", daemon=True))
    for thread in (writer, *helpers):
        thread.start()
    try:
        yield
    finally:
        writer.end()
        stop.set()
        for thread in (writer, *helpers):
            await asyncio.to_thread(thread.join, _END)
        await asyncio.to_thread(seal, store)


class _Refusal(Exception):  # noqa: N818 -- an answer, not an error of ours
    """A callback that is not taken, and how that is answered."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


def _headers(request: Request) -> tuple[str | None, str | None]:
    return request.headers.get("x-webhook-timestamp"), request.headers.get("x-webhook-signature")


def _say(status: int, msg: str) -> Response:
    from starlette.responses import JSONResponse

    headers = {} if status == 200 else {"Connection": "close"}  # what is left of a refused request is not read
    headers |= {"Retry-After": "5"} if status == 503 else {}
    return JSONResponse({"code": status, "msg": msg}, status, headers)


class _Door:
    """Takes one request: reads it within its limits, checks it, and waits until it is on disk."""

    def __init__(
        self, writer: Writer, keys: tuple[str, ...] | Unsigned, max_bytes: int, seconds: float, tolerance: float
    ) -> None:
        self._writer = writer
        self._keys = keys
        self._max_bytes = max_bytes
        self._seconds = seconds
        self._tolerance = tolerance
        self._reading = 0  # bytes of bodies that are not whole yet

    async def answer(self, request: Request) -> Response:
        """Answer a GET with "ok", a POST with what became of it."""
        from starlette.responses import PlainTextResponse

        if request.method != "POST":
            return PlainTextResponse("ok")
        clock = asyncio.get_running_loop().time
        end = clock() + _ANSWER
        try:
            self._knock(request)
            body = await self._read(request)
            outcome = self._writer.hand(self._checked(request, body), body)
        except _Refusal as refusal:
            return _say(refusal.status, str(refusal))
        done, _ = await asyncio.wait([asyncio.wrap_future(outcome)], timeout=end - clock())
        word = done.pop().result() if done else None
        return _say(503, "not on disk; please deliver it again") if word is None else _say(200, word)

    def _knock(self, request: Request) -> None:
        """Refuse what cannot be signed before its body is read: reading a large one costs much."""
        if isinstance(self._keys, Unsigned):
            return
        try:
            stamp, _ = signed_with(*_headers(request))
            check_age(stamp, tolerance=self._tolerance)
        except SignatureError as fault:
            _log.warning("a callback is refused: %s", fault)
            raise _Refusal(401, str(fault)) from fault

    async def _read(self, request: Request) -> bytes:
        """The whole body, within its limits."""
        from starlette.requests import ClientDisconnect

        length = request.headers.get("content-length", "")
        too_large = _Refusal(413, f"the body is larger than {self._max_bytes} bytes")
        if length.isdecimal() and int(length) > self._max_bytes:
            raise too_large
        body = bytearray()
        try:
            async with asyncio.timeout(self._seconds):
                async for piece in request.stream():
                    body += piece
                    self._reading += len(piece)
                    if len(body) > self._max_bytes:
                        raise too_large
                    if self._reading + self._writer.size > WAITING_BYTES:
                        raise _Refusal(503, "too many bytes at once; please deliver it again")
        except TimeoutError as fault:
            raise _Refusal(408, f"the body did not come within {self._seconds:g} s") from fault
        except ClientDisconnect as fault:
            raise _Refusal(400, "the body was cut short") from fault  # nobody hears it
        finally:
            self._reading -= len(body)
        return bytes(body)

    def _checked(self, request: Request, body: bytes) -> str:
        """The task of a callback that is in order."""
        try:
            task = task_of(body)
        except RecordError as fault:
            raise _Refusal(400, str(fault)) from fault
        if not isinstance(self._keys, Unsigned):
            try:
                verify_signature(task, *_headers(request), self._keys, tolerance=self._tolerance)
            except SignatureError as fault:
                _log.warning("a callback about task %r is refused: %s", task, fault)
                raise _Refusal(401, str(fault)) from fault
        return task
