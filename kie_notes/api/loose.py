"""The slower way from a body to what it says: any JSON, any wrapping, and notes of which some are bad.

The thing with ``instruments`` in it is the outermost object or what stands in it, in turn, under ``data``,
``midiData``, ``resultJson``, ``response``, ``result`` or ``info``; where none of these has any, it is looked for
anywhere in ``data`` to a depth of six. JSON inside a string and a list of one are taken for what they hold. A body
with two lists of instruments that differ is an error, and so is one in which a key that is read stands twice; what is
wrong within an instrument costs that instrument or note.
"""

from __future__ import annotations

import contextlib
import json
from typing import TYPE_CHECKING, Any

import msgspec

from kie_notes.api.packing import Instrument, start_of
from kie_notes.api.sifting import UNFIT, Doubled, Reject, key_twice, object_of, sift
from kie_notes.errors import RecordError

if TYPE_CHECKING:
    from collections.abc import Container, Iterator

#: The table counts tracks in 16 bits.
MOST_TRACKS = 2**16

#: Where the services put the thing with ``instruments`` in it.
_INNER = ("data", "midiData", "resultJson", "response", "result", "info")

#: In a job's result, the thing with ``instruments`` in it may stand anywhere so deep.
_DEPTH = 6

#: Keys that may not stand twice around the notes: all that are read.
READ = frozenset(
    (
        *_INNER,
        *("instruments", "taskId", "task_id", "audioId", "successFlag", "status", "state", "code", "msg"),
        *("createTime", "completeTime", "errorCode", "failCode", "errorMessage", "failMsg"),
    )
)


def read_loosely(
    body: bytes | str | dict[str, Any], task: str | None
) -> tuple[dict[str, Any], list[Instrument] | None, tuple[Reject, ...]]:
    """What a body says about its task, its good notes (None without any list of instruments), and its bad ones.

    Raises
    ------
    RecordError
        If no record can be read from the body.
    """
    try:
        document = unwrap(body if isinstance(body, dict) else loads(body))
        if not isinstance(document, dict):
            raise RecordError(f"expected a JSON object, got {start_of(body)}")
        layers = _layers(document)
        return _facts(layers, task), *_instruments(layers)
    except RecursionError as fault:
        raise RecordError("expected a record, got JSON that is nested too deeply") from fault


def _facts(layers: list[dict[str, Any]], task: str | None) -> dict[str, Any]:
    named = first(layers[1:] + layers[:1], "taskId", "task_id", kind=str | int)
    return {
        "task": task if named is None else str(named),
        "flag": first(layers, "successFlag", "status", kind=str | int),
        "state": first(layers[::-1], "state", kind=str),
        "code": first(layers[:1], "code", kind=str | int),
        "msg": first(layers[:1], "msg", kind=str),
        "audio_id": first(layers, "audioId", kind=str),
        "created": first(layers, "createTime", kind=str | int | float),
        "completed": first(layers, "completeTime", kind=str | int | float),
        "error_code": first(layers, "errorCode", "failCode", kind=str | int),
        "error_message": first(layers, "errorMessage", "failMsg", kind=str),
        "known": len(layers) > 1,
        "other": any(layer.get(key) for layer in layers for key in ("response", "resultJson")),
    }


def _instruments(layers: list[dict[str, Any]]) -> tuple[list[Instrument] | None, tuple[Reject, ...]]:
    given = [layer["instruments"] for layer in layers if layer.get("instruments") is not None]
    if not given:
        return None, ()
    instruments, *others = [one for one in given if one] or given[:1]
    if any(one != instruments for one in others):
        raise RecordError("expected one list of instruments, got several that differ")
    if isinstance(instruments, list) and len(instruments) > MOST_TRACKS:
        raise RecordError(f"expected at most {MOST_TRACKS} instruments, got {len(instruments)}")
    try:
        kept = msgspec.convert(instruments, list[Instrument], strict=False)
        if not any(isinstance(part, Doubled) for one in instruments for part in (one, *one["notes"])):
            return kept, ()
    except UNFIT:
        pass
    kept, rejects = sift(instruments)
    return kept, tuple(rejects)


def loads(body: bytes | str) -> object:
    """Read JSON, also with NaN, Infinity and numbers beyond a double: one bad note must not cost the others."""
    try:
        return json.loads(body, parse_int=_whole, object_pairs_hook=object_of)
    except (ValueError, RecursionError) as fault:
        raise RecordError(f"expected JSON, got {start_of(body)} ({fault})") from fault


def _whole(digits: str) -> int | float:
    """Read a whole number; one of thousands of digits, which Python refuses, is beyond a double, and so infinite."""
    try:
        return int(digits)
    except ValueError:
        return float(digits)


def unwrap(document: object) -> object:
    """Take JSON out of strings and a record out of a list of one."""
    for _ in range(4):
        if isinstance(document, str) and document.lstrip()[:1] in ("{", "["):
            document = loads(document)
        elif isinstance(document, list) and len(document) == 1:
            document = document[0]
        elif isinstance(document, list) and document:
            raise RecordError(f"expected one record, got a list of {len(document)}; read_records reads them all")
        else:
            break
    return _read_once(document)


def _read_once(document: object, keys: Container[str] = READ) -> object:
    """Pass on what is no object in which one of the keys stands twice."""
    if twice := key_twice(document, keys):
        raise RecordError(f"the key {twice!r} stands twice in an object of the body")
    return document


def _layers(document: dict[str, Any]) -> list[dict[str, Any]]:
    """The object and what is wrapped in it, outermost first."""
    layers = [document]
    for layer in layers:
        inner = (unwrap(layer[key]) for key in _INNER if layer.get(key) is not None)
        layers += [one for one in inner if isinstance(one, dict)]
    if all(layer.get("instruments") is None for layer in layers):
        layers += _search(document.get("data"), _DEPTH)
    return layers


def _search(value: object, depth: int) -> Iterator[dict[str, Any]]:
    """Find the objects with a list of instruments, however they are wrapped."""
    if isinstance(value, str) and value.lstrip()[:1] in ("{", "["):
        with contextlib.suppress(RecordError):
            value = loads(value)
    if isinstance(value, dict) and isinstance(value.get("instruments"), list):
        _read_once(value)
        yield value
    elif depth > 0 and isinstance(value, dict | list):
        every = [one for _, one in value.pairs] if isinstance(value, Doubled) else value
        for one in every.values() if isinstance(every, dict) else every:
            for found in _search(one, depth - 1):
                _read_once(value, value)
                yield found


def first(layers: list[dict[str, Any]], *keys: str, kind: Any) -> Any:  # noqa: ANN401 -- any JSON value
    """The first value of a type under one of the keys; an empty text is none, true is no number, 1.0 is 1."""
    given = (layer.get(key) for layer in layers for key in keys)
    values = (int(one) if isinstance(one, float) and one.is_integer() else one for one in given)
    return next((one for one in values if isinstance(one, kind) and not isinstance(one, bool) and one != ""), None)
