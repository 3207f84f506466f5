"""A server on loopback whose every byte is scripted: it hangs up, falls silent or drips wherever it is told to.

The sandbox answers as the service does; this one does what no HTTP server does on purpose. It remembers all that it
hears, byte for byte, so that a test can say what never reached it.
"""

from __future__ import annotations

import contextlib
import gzip
import json
import socket
import ssl
import struct
import threading
import time
from http.client import responses
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Self
from urllib.parse import parse_qs, urlsplit
from zlib import crc32

from kie_notes.api.sandbox.documents import midi_document

if TYPE_CHECKING:
    from collections.abc import Callable

    import trustme


class Answer(NamedTuple):
    """Bytes that go out, seconds between two of them, and what happens to the line then."""

    raw: bytes
    then: Literal["keep", "hang up", "reset", "stay silent"] = "keep"
    drip: float = 0.0


class Asked(NamedTuple):
    """One request: when it came on the monotonic clock, and its number among those for the same target."""

    when: float
    method: str
    target: str
    head: bytes
    body: bytes
    number: int
    elsewhere: str

    @property
    def task(self) -> str:
        return parse_qs(urlsplit(self.target).query).get("taskId", [""])[0]


def http(body: bytes, status: int = 200, kind: str | None = "application/json", **headers: str) -> Answer:
    """A whole answer; ``Retry_After="1"`` is the header Retry-After."""
    told = {"Content-Type": kind, "Content-Length": str(len(body))} | headers
    lines = [f"{name.replace('_', '-')}: {value}\r\n" for name, value in told.items() if value is not None]
    first = f"HTTP/1.1 {status} {responses.get(status, 'Unknown')}\r\n"
    return Answer(f"{first}{''.join(lines)}\r\n".encode("latin-1") + body)


def silent(_: Asked) -> Answer:
    """Hear, and say nothing."""
    return Answer(b"", "stay silent")


class Faulty:
    """Listens on loopback until it is closed; each connection has a thread of its own.

    Parameters
    ----------
    answer
        What to say to each request; called in several threads at once.
    tls
        Speak TLS, with a certificate of this authority for ``name``.
    elsewhere
        Where redirects lead.
    """

    def __init__(
        self,
        answer: Callable[[Asked], Answer] = silent,
        *,
        tls: trustme.CA | None = None,
        name: str = "localhost",
        elsewhere: str = "http://127.0.0.1:9",
    ) -> None:
        self.answer = answer
        self.elsewhere = elsewhere
        self.seen: list[Asked] = []
        self.heard = bytearray()
        self._numbers: dict[tuple[str, str], int] = {}
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._tls: ssl.SSLContext | None = None
        if tls is not None:
            self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            tls.issue_cert(name).configure_cert(self._tls)
        self._line = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port: int = self._line.getsockname()[1]
        self.url = f"https://localhost:{self.port}" if tls else f"http://127.0.0.1:{self.port}"
        threading.Thread(target=self._listen, daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Stop listening and end every connection."""
        with self._lock:
            for one in (self._line, *self._open):
                with contextlib.suppress(OSError):
                    one.shutdown(socket.SHUT_RDWR)
            self._line.close()

    def _listen(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                line, _ = self._line.accept()
                line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                with self._lock:
                    self._open.add(line)
                threading.Thread(target=self._serve, args=(line,), daemon=True).start()

    def _serve(self, line: socket.socket) -> None:
        spoken = line
        try:
            with contextlib.suppress(OSError):  # clients that hang up, and TLS that does not come about
                spoken = line if self._tls is None else self._tls.wrap_socket(line, server_side=True)
                while (asked := self._read(spoken)) and self._say(spoken, self.answer(asked)):
                    pass
        finally:
            spoken.close()
            with self._lock:
                self._open.discard(line)

    def _read(self, line: socket.socket) -> Asked | None:
        """The next request, or None when it is none."""
        got = b""
        while b"\r\n\r\n" not in got:
            got += self._piece(line)
            if got[:1] == b"\x16":  # TLS, which this server does not speak
                line.sendall(http(b"", 400).raw)
                return None
        head, _, body = got.partition(b"\r\n\r\n")
        fields = dict(one.lower().split(b": ", 1) for one in head.split(b"\r\n")[1:])
        while len(body) < int(fields.get(b"content-length", 0)):
            body += self._piece(line)
        method, target, _ = head.split(b"\r\n")[0].decode("latin-1").split(" ", 2)
        with self._lock:
            number = self._numbers[method, target] = self._numbers.get((method, target), 0) + 1
            self.seen.append(Asked(time.monotonic(), method, target, head, body, number, self.elsewhere))
            return self.seen[-1]

    def _piece(self, line: socket.socket) -> bytes:
        piece = line.recv(1 << 16)
        if not piece:
            raise ConnectionAbortedError
        self.heard += piece
        return piece

    def _say(self, line: socket.socket, answer: Answer) -> bool:
        """Send an answer; gives whether the line goes on."""
        if answer.drip:
            for at in range(len(answer.raw)):
                line.sendall(answer.raw[at : at + 1])
                time.sleep(answer.drip)
        else:
            line.sendall(answer.raw)
        if answer.then == "stay silent":
            line.recv(1)  # until the client hangs up
        if answer.then == "reset":
            line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        return answer.then == "keep"


# What is true of a task, and every way in which it does not come through.


def instruments_of(task: str) -> list[dict[str, Any]]:
    """One to four notes that no other task has in this order."""
    sign = crc32(task.encode())
    starts = [at / 2 + sign % 192 / 192 for at in range(1 + sign % 4)]
    notes = [
        {"pitch": (sign // 7 + at) % 128, "start": start, "end": start + 0.25, "velocity": 0.5}
        for at, start in enumerate(starts)
    ]
    return [{"name": "Music Box", "notes": notes}]


def record(task: str, **changes: Any) -> bytes:
    """The true record of a task, or one with other ``data``."""
    document = midi_document(task, instruments_of(task))
    return json.dumps(document | {"data": document["data"] | changes}).encode()


def whole(asked: Asked) -> Answer:
    """The truth."""
    return http(record(asked.task))


class Fault(NamedTuple):
    """One way in which an exchange goes wrong, and what must come of a task that meets nothing else.

    ``ends`` is the task's state, or the error that stops the run; ``says`` is a part of the reason. What ``passes`` is
    asked for again soon. ``rejects`` are the notes that cannot be taken.
    """

    name: str
    answer: Callable[[Asked], Answer]
    ends: str = "pending"
    says: str = ""
    passes: bool = True
    rejects: int = 0


def _page(status: int, body: bytes = b"<html><h1>Oh no</h1></html>") -> Callable[[Asked], Answer]:
    return lambda _: http(body, status, "text/html")


def _code(code: int, msg: str = "said the service", status: int = 200, **headers: str) -> Callable[[Asked], Answer]:
    return lambda _: http(json.dumps({"code": code, "msg": msg, "data": None}).encode(), status, **headers)


def _data(**changes: Any) -> Callable[[Asked], Answer]:
    return lambda asked: http(record(asked.task, **changes))


def _cut(at: int | None, then: Literal["hang up", "reset", "stay silent"] = "hang up") -> Callable[[Asked], Answer]:
    """The truth up to a byte; None is another one each time."""

    def answer(asked: Asked) -> Answer:
        raw = whole(asked).raw
        return Answer(raw[: crc32(f"{asked.task} {asked.number}".encode()) % len(raw) if at is None else at], then)

    return answer


def _bytes(change: Callable[[bytes], bytes], **headers: str) -> Callable[[Asked], Answer]:
    return lambda asked: http(change(record(asked.task)), **headers)


def _note(text: bytes) -> Callable[[Asked], Answer]:
    """One more note, with a token that JSON writers do not write."""
    head = b'"notes": ['
    return _bytes(lambda body: body.replace(head, head + b'{"velocity": 0.5, "end": 9, ' + text + b"}, ", 1))


def _beside(text: bytes) -> Callable[[Asked], Answer]:
    """One more field of ``data``."""
    return _bytes(lambda body: body.replace(b'"data": {', b'"data": {"extra": ' + text + b", ", 1))


def _elsewhere(status: int) -> Callable[[Asked], Answer]:
    return lambda asked: http(b"", status, Location=f"{asked.elsewhere}/api/v1/midi/record-info?taskId={asked.task}")


_STATUSES = (500, 502, 503, 504, *range(520, 527))
_WAIT = "too many requests|asked to wait"
_KEY, _CREDITS = "AuthenticationError", "CreditsError"
_UNKNOWN = "the service knows no such task|not found"
_EMPTY = "split_stem"

FAULTS = [
    Fault("no answer", silent, says="timed out"),
    Fault("silence in the head", _cut(30, "stay silent"), says="timed out"),
    Fault("silence in the body", _cut(-40, "stay silent"), says="timed out"),
    Fault("a byte now and then", lambda asked: Answer(whole(asked).raw, drip=0.02), says="still coming|timed out"),
    Fault("cut before the first byte", _cut(0), says="GET http"),
    Fault("cut before the last byte", _cut(-1), says="IncompleteRead"),
    Fault("cut at any byte", _cut(None), says="GET http"),
    Fault("reset before the first byte", _cut(0, "reset"), says="GET http"),
    Fault("reset at any byte", _cut(None, "reset"), says="GET http"),
    Fault("no HTTP", lambda _: Answer(b"220 ready\r\n", "hang up"), says="GET http"),
    *(Fault(f"HTTP {status}, HTML", _page(status), says=f"HTTP {status}") for status in _STATUSES),
    *(Fault(f"HTTP {status}, no body", _page(status, b""), says=f"HTTP {status}") for status in (500, 502, 524)),
    Fault("HTTP 500, good JSON", lambda asked: http(record(asked.task), 500), says="HTTP 500"),
    Fault("body 500", _code(500), says="code 500"),
    Fault("body 408", _code(408), says="code 408"),
    Fault("HTTP 200, HTML", _page(200), says="expected a JSON object"),
    Fault("HTTP 200, no body", _page(200, b""), says="expected a JSON object"),
    Fault("JSON cut short", _bytes(lambda body: body[: len(body) // 2]), says="expected a JSON object"),
    Fault(
        "gzip cut short",
        _bytes(lambda body: gzip.compress(body)[:-30], Content_Encoding="gzip"),
        says="expected a JSON object|GET http",
    ),
    Fault("no gzip, called so", _bytes(bytes, Content_Encoding="gzip"), says="GET http"),
    Fault("HTTP 429, Retry-After", _code(429, status=429, Retry_After="0.05"), says=_WAIT),
    Fault("HTTP 429", _page(429, b"slow down"), says=_WAIT),
    Fault("body 429, Retry-After", _code(429, Retry_After="0.05"), says=_WAIT),
    Fault("body 429", _code(429), says=_WAIT),
    Fault("body 430", _code(430), says=_WAIT),
    Fault("HTTP 503, Retry-After", _code(503, status=503, Retry_After="0.05"), says="HTTP 503"),
    Fault("body 455", _code(455), says="being repaired"),
    Fault("still working", _data(successFlag=0, midiData=None, createTime=None)),
    Fault("data null", _code(200), "failed", _UNKNOWN),
    Fault("HTTP 404", _page(404, b"not found"), "failed", _UNKNOWN),
    Fault("body 404", _code(404), "failed", _UNKNOWN),
    Fault("422 Record does not exist", _code(422, "Record does not exist"), "failed", _UNKNOWN),
    Fault("422 recordInfo is null", _code(422, "recordInfo is null"), "failed", _UNKNOWN),
    Fault("HTTP 401", _page(401), _KEY, passes=False),
    Fault("HTTP 403", _page(403, b"error code: 1010"), _KEY, passes=False),
    Fault("body 401", _code(401), _KEY, passes=False),
    Fault("body 402", _code(402), _CREDITS, passes=False),
    Fault("body 433", _code(433), _CREDITS, passes=False),
    Fault("body 500, credits", _code(500, "The current credits are insufficient"), _CREDITS, passes=False),
    Fault("body 429, credits", _code(429, "Insufficient credits"), _CREDITS, passes=False),
    Fault("body 501", _code(501), "failed", "said the service", passes=False),
    Fault("body 531", _code(531), "failed", "said the service", passes=False),
    Fault("successFlag 2", _data(successFlag=2, midiData=None), "failed", "could not create", passes=False),
    Fault("successFlag 3", _data(successFlag=3, midiData=None), "failed", "could not generate", passes=False),
    Fault("record of another task", _data(taskId="f" * 32), says="got the record of", passes=False),
    *(
        Fault(f"HTTP {status} elsewhere", _elsewhere(status), says="the key is not sent", passes=False)
        for status in (301, 302, 303, 307, 308)
    ),
    Fault("midiData null", _data(midiData=None), "empty", _EMPTY, passes=False),
    Fault("midiData {}", _data(midiData={}), "empty", _EMPTY, passes=False),
    Fault("no instruments", _data(midiData={"instruments": []}), "empty", _EMPTY, passes=False),
    Fault("a body over the limit", _beside(b'"' + b"x" * (1 << 20) + b'"'), says="larger than max_bytes", passes=False),
    Fault(
        "1 MB in 2 KB of gzip",
        lambda _: http(gzip.compress(b"x" * (1 << 20)), Content_Encoding="gzip"),
        says="larger than max_bytes",
        passes=False,
    ),
    Fault("nested 5,000 deep", _beside(b"[" * 5000 + b"]" * 5000), says="expected"),
    Fault(
        "invalid UTF-8 in a name",
        _bytes(lambda body: body.replace(b"Music", b"M\xfcsic")),
        says="expected",
        passes=False,
    ),
    Fault("JSON called text/html", lambda asked: http(record(asked.task), kind="text/html"), "complete"),
    Fault("JSON of no type", lambda asked: http(record(asked.task), kind=None), "complete"),
    Fault("JSON in gzip", _bytes(gzip.compress, Content_Encoding="gzip"), "complete"),
    Fault("a start of NaN", _note(b'"pitch": 60, "start": NaN'), "complete", rejects=1),
    Fault("a start of 1e999", _note(b'"pitch": 60, "start": 1e999'), "complete", rejects=1),
    Fault("a pitch of 400 digits", _note(b'"start": 0, "pitch": ' + b"1" * 400), "complete", rejects=1),
    Fault("a pitch of 5,000 digits", _note(b'"start": 0, "pitch": ' + b"1" * 5000), "complete", rejects=1),
    Fault("nested 90 deep", _beside(b"[" * 90 + b"]" * 90), "complete"),
    Fault("a key twice in a note", _note(b'"start": 0, "pitch": 60, "pitch": 61'), "complete", rejects=1),
]


# A service that repeats the key.


def echoes(key: str, spelt: list[str]) -> list[Callable[[Asked], Answer]]:
    """Answers that hold a key, in each of some spellings."""
    return [echo for text in spelt for echo in _echoes(text)] + _torn(key)


def _echoes(text: str) -> list[Callable[[Asked], Answer]]:
    said = {"code": 500, "msg": f"no such key: {text}", "data": None}
    page = f"<p>{text}</p>".encode()
    return [
        lambda _: http(page, 500, "text/html"),
        lambda _: http(page, 200, "text/html"),
        lambda _: http(gzip.compress(page), 502, "text/html", Content_Encoding="gzip"),
        lambda _: http(page + b"x" * (1 << 19), 200, "text/html"),
        lambda _: http(json.dumps(said).encode(), 200),
        lambda _: http(json.dumps(said | {"code": 401}).encode(), 401),
        lambda _: http(json.dumps(said | {"code": 402}).encode(), 200),
        lambda _: http(json.dumps(said | {"code": 404}).encode(), 200),
        lambda _: http(json.dumps(said | {"code": 429}).encode(), 429, Retry_After=text),
        lambda _: http(json.dumps(said | {"code": 501}).encode(), 200),
        lambda _: http(b'{"code":500,"msg":"%s"}' % text.encode(), 200),
        lambda asked: http(record(asked.task, callbackUrl=f"https://a.invalid/?key={text}")),
        lambda asked: http(record(asked.task, successFlag=3, errorMessage=text, midiData=None)),
        lambda asked: http(record(asked.task).replace(b"Music Box", json.dumps(text)[1:-1].encode())),
        lambda asked: http(record(asked.task), X_Echo=text, Set_Cookie=f"key={text}", ETag=text),
        lambda asked: http(b"", 302, Location=f"{asked.elsewhere}/?key={text}"),
        lambda _: http(page, 500, kind=text),
        lambda _: http(page, 200, Content_Encoding=text),
        lambda _: http(json.dumps({"code": 200, "msg": "success", "data": {"taskId": text}}).encode()),
    ]


def _torn(key: str) -> list[Callable[[Asked], Answer]]:
    """Answers that are no HTTP, or not all of it; HTTP libraries tell of those what came."""
    halves = "".join(f"{len(half):x}\r\n{half}\r\n" for half in (key[:9], key[9:]))
    torn = [
        f"HTTP/1.1 {key}\r\n\r\n",
        f"{key}\r\n\r\n",
        f"HTTP/1.1 200 {key}\r\n{key} is no header\r\nContent-Length: 2\r\n\r\n{{}}",
        f"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{key}\r\n",
        f"HTTP/1.1 500 OK\r\nTransfer-Encoding: chunked\r\n\r\n{halves}0\r\n\r\n",
        f"HTTP/1.1 302 OK\r\nLocation: http://[{key}\r\nContent-Length: 0\r\n\r\n",
        f"HTTP/1.1 200 OK\r\nContent-Length: {key}\r\n\r\n{key}",
        f"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{key}",
    ]
    return [lambda _, raw=raw: Answer(raw.encode(), "hang up") for raw in torn]
