"""Callbacks of the service: which task each is about, and whether the service signed it. Knows no store and no server.

The signature is base64 of HMAC-SHA256 over the task's id, a full stop, and the time in seconds since 1970, under the
``webhookHmacKey`` of the service's settings page. The body itself is not signed: a good signature proves that somebody
who has the key spoke of this task at this time, and says nothing about the notes. So a callback is a hint, to be
confirmed by asking for the record. The service documents no greatest age; 300 s is customary.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import re
import time
from typing import TYPE_CHECKING, Any

import msgspec

from kie_notes.errors import RecordError, SignatureError

if TYPE_CHECKING:
    from collections.abc import Sequence

#: Longest id that is taken for one; the service's have 32 characters.
LONGEST_ID = 200

#: Most seconds that ``tolerance`` may be: beyond, an old callback could be sent again by anybody who saw it.
MOST_TOLERANCE = 3600.0


def sign(task: str, timestamp: str, key: str) -> str:
    """The signature that the service would send: ``X-Webhook-Signature`` for an ``X-Webhook-Timestamp``.

    Parameters
    ----------
    task
        Id of the task that the callback is about.
    timestamp
        Seconds since 1970, as text.
    key
        The ``webhookHmacKey``.

    Returns
    -------
    Standard base64 with padding.

    Examples
    --------
    >>> sign("5c79be8e", "1760335255", "secret")
    '6zYqAPfEEE1qz8X6mgBJsuAbHnp9JLavB0xrda7+fxw='
    """
    return base64.b64encode(_digest(task, timestamp, key)).decode()


def verify_signature(
    task: str,
    timestamp: str | None,
    signature: str | None,
    keys: Sequence[str],
    *,
    tolerance: float = 300.0,
    now: float | None = None,
) -> None:
    """Raise ``SignatureError`` unless a callback was signed with one of the keys, and not too long ago.

    All keys are compared, each in constant time, whether one fits or not.

    Parameters
    ----------
    task
        Id that ``task_of`` found in the body.
    timestamp, signature
        The headers ``X-Webhook-Timestamp`` and ``X-Webhook-Signature``; None where there is none.
    keys
        The ``webhookHmacKey``; while it is being changed, the old one and the new one.
    tolerance
        Seconds by which the timestamp may lie before or after ``now``, inclusive; above 0, at most 3600.
    now
        Seconds since 1970, if not this machine's clock.

    Raises
    ------
    SignatureError
        If a header is missing or malformed, no key fits, or the time is too far from ``now``. The message says which,
        and holds neither a key nor the signature that was expected.
    ValueError
        If there are no keys, one is blank, or ``tolerance`` is out of bounds.
    TypeError
        If ``keys`` is one text, or ``tolerance`` no number.

    Examples
    --------
    >>> signature = sign("5c79be8e", "1760335255", "new")
    >>> verify_signature("5c79be8e", "1760335255", signature, ["old", "new"], now=1760335300)
    >>> verify_signature("5c79be8e", "1760335255", signature, ["old", "new"], now=1760335556)
    Traceback (most recent call last):
    kie_notes.errors.SignatureError: signed 301 s ago, over the tolerance of 300 s (sent again, or a wrong clock?)
    """
    check_keys(keys)
    check_tolerance(tolerance)
    stamp, given = signed_with(timestamp, signature)
    fits = [hmac.compare_digest(given, _digest(task, stamp, key)) for key in keys]
    if not any(fits):
        raise SignatureError("the signature fits no key (another key in the service's settings, or a forgery?)")
    check_age(stamp, tolerance=tolerance, now=now)


def signed_with(timestamp: str | None, signature: str | None) -> tuple[str, bytes]:
    """The timestamp and the digest of a callback's headers, if they could be those of a signed one."""
    if timestamp is None or signature is None:
        missing = "X-Webhook-Timestamp" if timestamp is None else "X-Webhook-Signature"
        raise SignatureError(f"not signed: the header {missing} is missing")
    if not re.fullmatch(r"[0-9]{1,20}", timestamp):
        raise SignatureError(f"X-Webhook-Timestamp: expected whole seconds since 1970, got {timestamp[:40]!r}")
    try:
        return timestamp, base64.b64decode(signature, validate=True)
    except (binascii.Error, ValueError) as fault:
        raise SignatureError("X-Webhook-Signature: expected base64") from fault


def check_age(timestamp: str, *, tolerance: float, now: float | None = None) -> None:
    """Raise unless a callback was signed lately."""
    age = (time.time() if now is None else now) - int(timestamp)
    if not abs(age) <= tolerance:
        hint = " (milliseconds for seconds?)" if len(timestamp) > 11 else " (sent again, or a wrong clock?)"
        when = f"{age:.0f} s ago" if age > 0 else f"{-age:.0f} s ahead of this machine's clock"
        raise SignatureError(f"signed {when}, over the tolerance of {tolerance:.0f} s{hint}")


def check_keys(keys: Sequence[str]) -> None:
    """Raise unless there is a key, and every key could be one."""
    if isinstance(keys, str):
        raise TypeError("keys: expected several keys, got one text; put it into a list")
    if not keys:
        raise ValueError("keys: expected at least one webhook key")
    if not all(isinstance(key, str) and key.strip() for key in keys):
        raise ValueError("keys: expected texts, got one that is blank or no text")


def check_tolerance(tolerance: float) -> None:
    """Raise unless the tolerance bounds a callback's age, so that it cannot be switched off by accident."""
    if isinstance(tolerance, bool) or not isinstance(tolerance, int | float):
        raise TypeError(f"tolerance: expected seconds as a number, got {tolerance!r}")
    if not 0 < tolerance <= MOST_TOLERANCE:
        raise ValueError(f"tolerance: expected seconds above 0 and at most {MOST_TOLERANCE:.0f}, got {tolerance!r}")


def _digest(task: str, timestamp: str, key: str) -> bytes:
    message = f"{task}.{timestamp}".encode("utf-8", "surrogatepass")
    return hmac.new(key.encode("utf-8", "surrogatepass"), message, hashlib.sha256).digest()


class _Ids(msgspec.Struct, gc=False):
    taskId: str | int | None = None  # noqa: N815 -- the service's spelling
    task_id: str | int | None = None


class _Callback(_Ids, gc=False):
    data: msgspec.Raw = msgspec.Raw(b"null")


_decode = msgspec.json.Decoder(_Callback).decode
_decode_data = msgspec.json.Decoder(_Ids | None).decode

#: What JSON does not have and Python's writes all the same; and the largest body that a slow parser is given for it.
_NO_NUMBER = re.compile(r"-?\b(?:NaN|Infinity)\b")
_SLOW = 1 << 20


def task_of(body: bytes) -> str:
    """The id of the task that a callback is about.

    It is looked for in ``data.taskId``, ``data.task_id``, ``taskId`` and ``task_id``, in this order; a whole number is
    taken for its digits. All else in the body is passed over: unknown fields, NaN, numbers beyond a double; of a key
    that stands twice the last counts.

    Parameters
    ----------
    body
        The callback as it came.

    Raises
    ------
    RecordError
        If the body is no UTF-8, no JSON object, nested too deeply, or names no task by an id of 1 to 200 characters.

    Examples
    --------
    >>> task_of(b'{"code":200,"msg":"success","data":{"taskId":"5c79be8e","instruments":[]}}')
    '5c79be8e'
    """
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError as fault:
        raise RecordError(f"expected UTF-8, got another byte at {fault.start}") from fault
    try:
        ids = _quick_ids(text if len(text) <= _SLOW else _NO_NUMBER.sub("null", text))
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as fault:
        if len(text) > _SLOW:
            raise RecordError(f"expected JSON, got something else: {fault}") from fault
        ids = _ids(text)
    task = next((str(one) for one in ids if isinstance(one, str | int) and one != ""), None)
    if task is None:
        raise RecordError("the callback names no task: expected data.taskId, data.task_id, taskId or task_id")
    if len(task) > LONGEST_ID:
        raise RecordError(f"the task's id: expected at most {LONGEST_ID} characters, got {len(task)}")
    if any("\ud800" <= letter <= "\udfff" for letter in task):
        raise RecordError(f"the task's id: expected text, got half a character in {task!r}")
    return task


def _quick_ids(text: str) -> list[str | int | None]:
    found = _decode(text)
    data = bytes(found.data)
    inner = _decode_data(data) if data[:1] in (b"{", b"n") else None
    return [*([inner.taskId, inner.task_id] if inner else []), found.taskId, found.task_id]


def _ids(text: str) -> list[Any]:
    """What stands where an id may stand, by the slower parser that takes NaN and any form of ``data``."""
    try:
        document = json.loads(text, parse_int=str)
    except ValueError as fault:
        raise RecordError(f"expected JSON, got something else: {fault}") from fault
    except RecursionError as fault:
        raise RecordError("expected a callback, got JSON that is nested too deeply") from fault
    if not isinstance(document, dict):
        raise RecordError("expected a JSON object, got another kind of JSON")
    data = document.get("data")
    layers = [data, document] if isinstance(data, dict) else [document]
    found = [layer.get(name) for layer in layers for name in ("taskId", "task_id")]
    return [one for one in found if not isinstance(one, bool)]
