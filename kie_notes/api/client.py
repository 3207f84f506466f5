"""HTTP only: the provider's endpoints, bodies in and out, with their codes, rates and retries. Knows no music.

Two things are judged in every exchange: the HTTP status and the body's own ``code``, since errors normally arrive as
HTTP 200. GETs are tried again after what may pass; POSTs are not, because a POST whose answer was lost may have been
carried out, and paid for, already.
"""

from __future__ import annotations

import logging
import os
import ssl
import threading
import time
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING
from urllib.parse import urlencode, urlsplit

import requests
import stamina
import urllib3

from kie_notes.api.answers import amount, judge, new_task, refused, retry_after
from kie_notes.api.bearer import Bearer
from kie_notes.api.pace import Pace
from kie_notes.api.packing import start_of
from kie_notes.errors import (
    AmbiguousError,
    ApiError,
    BadResponseError,
    MaintenanceError,
    NoAnswerError,
    NotFoundError,
    RateLimitError,
    RefusedError,
)

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Literal, Self

#: The vendor's host; a sister service has the same paths.
BASE_URL = "https://api.kie.ai"

#: Sent as ``callBackUrl`` by those who only poll: the field is mandatory, and names ending in .invalid lead nowhere
#: (RFC 2606, section 2).
NO_CALLBACK = "https://callback.invalid/"


def _user_agent() -> str:
    """Name this library: the service's network refuses the names that HTTP libraries give themselves."""
    try:
        return f"kie-notes/{version('kie-notes')}"
    except PackageNotFoundError:  # run from a checkout that was never installed
        return "kie-notes/0"


class KieClient:
    """Ask the service about tasks, and give it new ones.

    Parameters
    ----------
    api_key
        The account's key; without it, ``KIE_API_KEY``. It goes to the API's own host and nowhere else, and it is in no
        repr, log line or error.
    base_url
        Where the API is; without it, ``KIE_BASE_URL``, else the vendor's host. Only https, or http on loopback.
    connect_timeout, read_timeout
        Seconds to wait for a connection, and for each next piece of an answer.
    total_timeout
        Seconds after which an answer that is still coming is given up.
    attempts
        How often a GET is tried in all; waits grow from half a second to ``wait_max``, with jitter, or last as long as
        the service asks (``Retry-After``).
    max_bytes
        Largest answer that is taken, after decompression.

    Raises
    ------
    AuthenticationError
        At the first request, if there is no key.

    Examples
    --------
    >>> client = KieClient(api_key="secret", base_url="https://api.kie.ai")
    >>> client
    KieClient(base_url='https://api.kie.ai')
    """

    def __init__(
        self,
        *,
        api_key: str | None = None,
        base_url: str | None = None,
        connect_timeout: float = 10.0,
        read_timeout: float = 60.0,
        total_timeout: float = 300.0,
        attempts: int = 5,
        wait_max: float = 30.0,
        max_bytes: int = 64 * 1024 * 1024,
    ) -> None:
        self.base_url = (base_url or os.environ.get("KIE_BASE_URL") or BASE_URL).rstrip("/")
        parts = urlsplit(self.base_url)
        local = parts.hostname in ("localhost", "127.0.0.1", "::1")
        if "@" in parts.netloc:
            raise ValueError("base_url: expected an address without a name and a password in it")
        if not parts.hostname or parts.scheme not in ("https", "http") or (parts.scheme == "http" and not local):
            msg = f"base_url: expected an https address (or http on this machine), got {self.base_url!r}"
            raise ValueError(msg)
        self.session = requests.Session()
        self.session.headers["User-Agent"] = _user_agent()
        self.session.trust_env = not local  # a proxy from the environment cannot reach this machine's loopback
        self._auth = Bearer((api_key or os.environ.get("KIE_API_KEY") or "").strip())
        logging.getLogger("urllib3.connection").addFilter(self._auth)
        self._timeout = (connect_timeout, read_timeout)
        self._total_timeout = total_timeout
        self._attempts = attempts
        self._wait_max = wait_max
        self._max_bytes = max_bytes
        self._task_pace = Pace(3, 1.0)  # documented: record-info at most 3 times a second for a task
        self._submit_pace = Pace(20, 10.0)  # documented: 20 new tasks in 10 s for an account
        self._resume_at = 0.0
        self._resume_lock = threading.Lock()

    def __repr__(self) -> str:
        return f"{type(self).__name__}(base_url={self.base_url!r})"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections that are kept open."""
        self.session.close()
        logging.getLogger("urllib3.connection").removeFilter(self._auth)

    def midi_record(self, task: str, *, attempts: int | None = None) -> bytes:
        """Fetch what the service has on a MIDI task, byte for byte: ``parse_record`` reads it.

        A task that is pending, or that failed, is an answer like any other; only what says nothing about the task is an
        error.

        Parameters
        ----------
        task
            Id of a MIDI task.
        attempts
            How often to try, if not as often as the client does. With 1 nothing is waited for: where the service asked
            for a pause, that is an error at once.

        Raises
        ------
        NotFoundError
            If the service does not know the task (yet).
        BadResponseError
            If the answer is no JSON, cut short, too large, or about another task.
        ApiError
            Another of its children, by the table of codes.
        """
        return self._record("/api/v1/midi/record-info", task, attempts)

    def separation_record(self, task: str, *, attempts: int | None = None) -> bytes:
        """Fetch what the service has on a separation task, byte for byte; raises like ``midi_record``."""
        return self._record("/api/v1/vocal-removal/record-info", task, attempts)

    def music_record(self, task: str, *, attempts: int | None = None) -> bytes:
        """Fetch what the service has on the task that made a song, byte for byte; raises like ``midi_record``."""
        return self._record("/api/v1/generate/record-info", task, attempts)

    def credits(self) -> float:
        """Ask how many credits the account has left."""
        body = self._retrying("GET", "/api/v1/chat/credit", {}, None)
        left = amount(body)
        if left is None:
            msg = f"{self.base_url}/api/v1/chat/credit: expected a number of credits, got {start_of(body)}"
            raise BadResponseError(msg, url=self.base_url, body=body)
        return left

    def generate_midi(
        self, separation_task: str, *, callback_url: str = NO_CALLBACK, audio_id: str | None = None
    ) -> str:
        """Have the stems of a finished separation task transcribed, and give the new MIDI task's id.

        The request is sent once. Without ``callback_url`` a reserved name that leads nowhere is sent, since the field
        is mandatory also for those who only poll.

        Parameters
        ----------
        separation_task
            Id of a completed vocal-separation task (not of the music task).
        callback_url
            Where the service shall deliver the result.
        audio_id
            One stem (``originData[].id`` of the separation's record); without it, all stems.

        Raises
        ------
        AmbiguousError
            If no answer came after the request was sent: the task may exist, and its id is unknown.
        ApiError
            Another of its children, by the table of codes.
        """
        fields = {"taskId": separation_task, "callBackUrl": callback_url} | ({"audioId": audio_id} if audio_id else {})
        return self._create("/api/v1/midi/generate", fields)

    def separate(
        self,
        music_task: str | None = None,
        *,
        audio_id: str | None = None,
        audio_url: str | None = None,
        kind: Literal["separate_vocal", "split_stem", "split_stem_advanced"] = "separate_vocal",
        stem_name: str | None = None,
        callback_url: str = NO_CALLBACK,
    ) -> str:
        """Have a song separated into stems, and give the new separation task's id.

        The request is sent once: a second is charged again. The song is one of a music task, or any audio that the
        service can reach.

        Parameters
        ----------
        music_task
            Id of a completed music task; needs ``audio_id``.
        audio_id
            One of its songs (``sunoData[].id`` of its record).
        audio_url
            Where the audio is, in place of both.
        kind
            ``separate_vocal`` gives vocals and the rest, ``split_stem`` up to twelve stems, ``split_stem_advanced`` the
            stem that ``stem_name`` names and the rest.
        stem_name
            With ``split_stem_advanced`` only.
        callback_url
            Where the service shall deliver the result.

        Raises
        ------
        ValueError
            If the song is named in no way or in two, or ``stem_name`` does not go with ``kind``; nothing is sent.
        AmbiguousError
            If no answer came after the request was sent: the task may exist, and its id is unknown.
        ApiError
            Another of its children, by the table of codes.
        """
        named = {"taskId": music_task, "audioId": audio_id, "audioUrl": audio_url, "stemName": stem_name}
        fields = {field: value for field, value in named.items() if value}
        if fields.keys() - {"stemName"} not in ({"taskId", "audioId"}, {"audioUrl"}):
            msg = (
                f"expected a music_task with an audio_id, or an audio_url, got {music_task=}, {audio_id=}, {audio_url=}"
            )
            raise ValueError(msg)
        if ("stemName" in fields) != (kind == "split_stem_advanced"):
            raise ValueError(
                f"stem_name: expected with kind 'split_stem_advanced' and no other, got {stem_name!r} with {kind!r}"
            )
        return self._create("/api/v1/vocal-removal/generate", fields | {"type": kind, "callBackUrl": callback_url})

    def _create(self, path: str, fields: dict[str, str]) -> str:
        """Send the request for a task once, and give the task's id."""
        body = self._retrying("POST", path, {}, fields)
        task = new_task(body)
        if task is None:
            url = self.base_url + path
            msg = f"{url}: the request was accepted, but the answer names no task: {start_of(body)}"
            raise AmbiguousError(msg, url=url, body=body)
        return task

    def _record(self, path: str, task: str, attempts: int | None = None) -> bytes:
        if not task or not isinstance(task, str):
            msg = f"task: expected an id as text, got {task!r}"
            raise ValueError(msg)
        return self._retrying("GET", path, {"taskId": task}, None, attempts)

    def _retrying(
        self, method: str, path: str, query: dict[str, str], fields: dict[str, str] | None, attempts: int | None = None
    ) -> bytes:
        """Make an exchange, again where that is safe and may help."""
        attempts = attempts or self._attempts
        tries = stamina.retry_context(
            on=self._again if method == "GET" else self._again_after_refusal,
            attempts=attempts,
            timeout=None,
            wait_initial=0.5,
            wait_max=self._wait_max,
        )
        for attempt in tries:
            with attempt:
                if method == "GET":
                    self._task_pace.wait(path + query.get("taskId", ""))
                else:
                    self._submit_pace.wait()
                while (pause := self._resume_at - time.monotonic()) > 0:  # it may grow meanwhile
                    if attempts == 1:
                        msg = f"the service asked to wait, for {pause:.0f} s more"
                        raise RateLimitError(msg, url=self.base_url + path, retry_after=pause)
                    time.sleep(pause)
                return self._exchange(method, path, query, fields)
        raise AssertionError  # pragma: no cover -- the last attempt returns or raises

    def _again(self, fault: Exception) -> bool | float:
        """Whether to ask again, or after how many seconds."""
        slow = isinstance(fault, MaintenanceError | NotFoundError)  # for those to repeat who have minutes
        if not isinstance(fault, ApiError) or not fault.passing or slow:
            return False
        return fault.retry_after if fault.retry_after is not None else True

    def _again_after_refusal(self, fault: Exception) -> bool | float:
        """Whether to send again what was not carried out for certain: too many requests are refused, not queued."""
        return isinstance(fault, RateLimitError) and self._again(fault)

    def _exchange(self, method: str, path: str, query: dict[str, str], fields: dict[str, str] | None) -> bytes:
        """Make one exchange and judge it."""
        url = self.base_url + path + (f"?{urlencode(query)}" if query else "")
        asked = f"{method} {url}"
        self._auth.check(url)
        held = False
        try:
            status, place, wait, body, held = self._send(method, url, fields)
            if 300 <= status < 400:
                msg = f"{asked}: HTTP {status} leads to {place[:200] or 'no place'!r}, where the key is not sent"
                raise RefusedError(msg, url=url, status=status, body=body)
            judge(asked, url=url, status=status, body=body, wait=wait, task=query.get("taskId"))
            if held:
                told = "the answer holds the key that was sent with the request, and is not taken"
                echo = BadResponseError(f"{asked}: HTTP {status}, {told}", url=url, status=status)
                echo.passing = False
                raise echo
        except ApiError as fault:
            self._auth.hide_in(fault)
            fault.body = b"" if held else fault.body  # what is kept is kept byte for byte, or not at all
            if isinstance(fault, RateLimitError):
                with self._resume_lock:  # the account is limited, not the one task: every thread waits
                    self._resume_at = max(self._resume_at, time.monotonic() + (fault.retry_after or 2.0))
            if method == "GET" or refused(fault):
                raise
            msg = f"{fault}; the request may have been carried out all the same"
            raise AmbiguousError(msg, url=url, status=fault.status, code=fault.code, body=fault.body) from fault
        return body

    def _send(self, method: str, url: str, fields: dict[str, str] | None) -> tuple[int, str, float | None, bytes, bool]:
        """Send one request and read its answer to the end.

        Gives the status, ``Location``, the seconds to wait, the body without the key, and whether it held the key.
        """
        try:
            with self.session.request(
                method, url, json=fields, auth=self._auth, timeout=self._timeout, allow_redirects=False, stream=True
            ) as answer:
                place = self._auth.hidden(answer.headers.get("Location", ""))
                wait = retry_after(answer.headers.get("Retry-After"))
                return answer.status_code, place, wait, *self._auth.cut_out(self._read(answer, url))
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as fault:
            if method == "GET" or _unsent(fault):
                raise NoAnswerError(f"{method} {url}: {_reason(fault)}", url=url) from fault
            msg = f"{method} {url}: {_reason(fault)}; the request may have been carried out all the same"
            raise AmbiguousError(msg, url=url) from fault
        except ValueError as fault:  # requests reads the address of a redirect even where it shall not follow it
            msg = f"{method} {url}: it leads to an address that is none ({fault}), where the key is not sent"
            raise RefusedError(msg, url=url) from fault

    def _read(self, answer: requests.Response, url: str) -> bytes:
        pieces, size, end = [], 0, time.monotonic() + self._total_timeout
        while piece := answer.raw.read1(1 << 16, decode_content=True):  # as it comes, so that the clock is looked at
            pieces.append(piece)
            size += len(piece)
            if size > self._max_bytes:
                start = start_of(self._auth.cut_out(b"".join(pieces))[0])
                told = f"the answer is larger than max_bytes={self._max_bytes} and begins {start}"
                msg = f"{url}: HTTP {answer.status_code}, {told}"
                fault = BadResponseError(msg, url=url, status=answer.status_code)
                fault.passing = False
                raise fault
            if time.monotonic() > end:
                raise requests.Timeout(f"the answer was still coming after {self._total_timeout} s")
        return b"".join(pieces)


def _unsent(fault: BaseException | None) -> bool:
    """Whether a request never went out: nobody was reached, or whoever was reached could not prove its name."""
    before = requests.ConnectTimeout | urllib3.exceptions.NewConnectionError | ssl.SSLCertVerificationError
    while fault is not None and not isinstance(fault, before):
        fault = fault.__cause__ or fault.__context__
    return fault is not None


def _reason(fault: Exception) -> str:
    """The innermost reason of a chain of exceptions, in few words."""
    inner: BaseException = fault
    while (deeper := inner.__cause__ or inner.__context__ or getattr(inner, "reason", None)) is not None:
        if not isinstance(deeper, BaseException):
            break
        inner = deeper
    return f"{type(inner).__name__}: {inner}" if inner is not fault else f"{type(fault).__name__}: {fault}"
