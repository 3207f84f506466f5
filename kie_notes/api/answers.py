"""What an answer means: HTTP status and body code together, by the service's table of codes."""

from __future__ import annotations

import contextlib
import json
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import msgspec

from kie_notes.api.packing import start_of
from kie_notes.errors import (
    ApiError,
    AuthenticationError,
    BadResponseError,
    CreditsError,
    MaintenanceError,
    NotFoundError,
    RateLimitError,
    RefusedError,
    ServerError,
    TaskFailedError,
)

#: Body codes, documented or recorded, and what a caller can do about them. 429 and 500 speak of credits at times.
_CODES: dict[int, tuple[type[ApiError], str]] = {
    400: (RefusedError, "bad request"),
    401: (AuthenticationError, "the key is missing or not valid"),
    402: (CreditsError, "not enough credits"),
    403: (AuthenticationError, "the key is not allowed to do this"),
    404: (NotFoundError, "not found"),
    405: (RateLimitError, "too many requests"),
    408: (ServerError, "no result for over ten minutes"),
    409: (RefusedError, "conflict"),
    413: (RefusedError, "the audio matches an existing work"),
    422: (RefusedError, "the request is not valid"),
    429: (RateLimitError, "too many requests"),
    430: (RateLimitError, "too many requests"),
    433: (CreditsError, "the key's own limit is used up"),
    451: (RefusedError, "the audio could not be fetched"),
    455: (MaintenanceError, "the service is being repaired"),
    500: (ServerError, "the service failed"),
    501: (TaskFailedError, "the service could not generate the notes"),
    505: (RefusedError, "the feature is switched off"),
    531: (TaskFailedError, "the service could not generate the notes; credits were given back"),
}


class _Answer(msgspec.Struct):
    code: int | str | None = None
    msg: Any = None
    data: msgspec.Raw = msgspec.Raw(b"null")


class _Ids(msgspec.Struct):
    taskId: Any = None  # noqa: N815 -- the service's spelling
    task_id: Any = None


_decode = msgspec.json.Decoder(_Answer, strict=False).decode
_decode_ids = msgspec.json.Decoder(_Ids).decode
_decode_number = msgspec.json.Decoder(float).decode


def judge(
    asked: str, *, url: str, status: int, body: bytes, wait: float | None = None, task: str | None = None
) -> None:
    """Return when the answer is a good one, about ``task`` if that is given; else raise what it is.

    Raises
    ------
    ApiError
        One of its children, with a message that names the request, the status and the start of the body.
    """
    facts = {"url": url, "status": status, "body": body, "retry_after": wait}
    try:
        answer = _read(body)
        code = int(answer.code) if answer.code is not None else None
    except (msgspec.MsgspecError, RecursionError, ValueError, TypeError, OverflowError):
        if status in (401, 403):
            raise AuthenticationError(f"{asked}: HTTP {status}: {start_of(body)}", **facts) from None  # type: ignore[arg-type]
        if status in _CODES or status >= 500:
            kind = _CODES[status][0] if status in _CODES else ServerError
            raise kind(f"{asked}: HTTP {status}, and the body is no JSON: {start_of(body)}", **facts) from None  # type: ignore[arg-type]
        raise BadResponseError(
            f"{asked}: HTTP {status}, expected a JSON object, got {start_of(body)} ({len(body)} bytes)",
            **facts,  # type: ignore[arg-type]
        ) from None
    facts["code"] = code if code is not None else None
    said = str(answer.msg or "")
    if status >= 400 and code in (None, 200):
        code = status
    if code is None:
        raise BadResponseError(f"{asked}: HTTP {status}, expected a 'code' in the body, got {start_of(body)}", **facts)  # type: ignore[arg-type]
    if code != 200:
        kind, meaning = _CODES.get(code, (ServerError if code >= 500 else RefusedError, "an unknown code"))
        if "credit" in said.lower() and code not in (501, 531):
            kind, meaning = CreditsError, "not enough credits"
        elif code == 422 and ("not exist" in said.lower() or "is null" in said.lower()):
            kind, meaning = NotFoundError, "the service knows no such task"
        raise kind(f"{asked}: HTTP {status}, code {code}: {meaning} ({said or start_of(body)})", **facts)  # type: ignore[arg-type]
    if task is not None:
        _judge_task(asked, bytes(answer.data), task, facts)


def _read(body: bytes) -> _Answer:
    try:
        return _decode(body)
    except msgspec.DecodeError:  # NaN is no JSON, but one bad note is no reason to refuse the others
        document = json.loads(body)
        if not isinstance(document, dict):
            raise ValueError("no JSON object") from None  # noqa: TRY004 -- what the caller expects of bad JSON
        return _Answer(
            document.get("code"), document.get("msg"), msgspec.Raw(msgspec.json.encode(document.get("data")))
        )


def refused(fault: ApiError) -> bool:
    """Whether an answer to an order says for certain that no task was made."""
    told = fault.code if fault.code is not None else fault.status
    unknown = isinstance(fault, RefusedError) and told not in _CODES  # a redirect, or a code without a known meaning
    if unknown or isinstance(fault, ServerError | BadResponseError):
        return False
    with contextlib.suppress(ValueError, RecursionError):
        return new_task(fault.body) is None
    return True


def new_task(body: bytes) -> str | None:
    """Id of the task that an order made, by a good answer; None where it names none."""
    task = None
    with contextlib.suppress(msgspec.MsgspecError):
        task = _decode_ids(_read(body).data).taskId
    return task if isinstance(task, str) and task else None


def amount(body: bytes) -> float | None:
    """The number that a good answer consists of; None where it is none."""
    with contextlib.suppress(msgspec.MsgspecError):
        return _decode_number(_read(body).data)
    return None


def _judge_task(asked: str, data: bytes, task: str, facts: dict[str, object]) -> None:
    if data == b"null":
        msg = f"{asked}: the service knows no such task (its data is null); it may be new, or older than 14 days"
        raise NotFoundError(msg, **facts)  # type: ignore[arg-type]
    with contextlib.suppress(msgspec.MsgspecError):  # a list, say: whoever reads the record compares again
        ids = _decode_ids(data)
        other = ids.taskId if ids.taskId is not None else ids.task_id
        if other is not None and str(other) != task:
            raise other_task(asked, task, str(other), **facts)


def other_task(
    asked: str, task: str, other: str, *, status: object = None, body: object = b"", **facts: object
) -> ApiError:
    """Make the error of an answer that is about another task; asking again does not help."""
    start = start_of(body) if isinstance(body, bytes) else ""
    msg = f"{asked}: HTTP {status}, asked for task {task!r}, got the record of {other!r}: {start}"
    fault = BadResponseError(msg, status=status, body=body, **facts)  # type: ignore[arg-type]
    fault.passing = False
    return fault


def retry_after(value: str | None) -> float | None:
    """Seconds that a ``Retry-After`` header asks for: a number, or a date; at most an hour, None when unreadable."""
    if value is None:
        return None
    with contextlib.suppress(ValueError):
        seconds = float(value)
        return min(max(seconds, 0.0), 3600.0) if seconds == seconds else None  # noqa: PLR0124 -- NaN is not itself
    with contextlib.suppress(ValueError):
        moment = parsedate_to_datetime(value)
        aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        return min(max((aware - datetime.now(UTC)).total_seconds(), 0.0), 3600.0)
    return None
