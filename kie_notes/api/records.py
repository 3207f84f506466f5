"""From any envelope that the service uses to one typed ``Record``. Knows no HTTP.

The same notes arrive polled (``data.midiData``), called back (``data.instruments``, by two services), bare, in a list,
or as JSON inside a string; states arrive as numbers or words, times as numbers or strings. A well-formed body is
decoded by types, and its notes are packed by the same library into rows of equal width, so that no note is touched in
Python one by one. A body that does not fit goes a slower way, note by note, on which every good note is kept and every
bad one is named. A number may be spelled as text (``"0.0364"``): the service does so for numbers of many digits.
"""

from __future__ import annotations

import contextlib
import json
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, TypeAlias

import msgspec

from kie_notes.api.packing import Instrument, Track, pack, printable, unpack
from kie_notes.api.sifting import Reject, sift
from kie_notes.errors import RecordError

State: TypeAlias = Literal["pending", "complete", "empty", "failed", "not_found", "unreadable"]

#: What the service may mean by success without notes: its own pages contradict each other about split_stem.
EMPTY = (
    "the service finished but found no notes: either the audio holds none that it can hear, or the separation was made "
    "with split_stem, after which one stem must be named (generate_midi with audio_id)"
)

_FLAGS: dict[str, tuple[State, str | None]] = {
    "0": ("pending", None),
    "1": ("complete", None),
    "2": ("failed", "the service could not create the task"),
    "3": ("failed", "the service could not generate the notes"),
    "PENDING": ("pending", None),
    "WAITING": ("pending", None),
    "QUEUING": ("pending", None),
    "GENERATING": ("pending", None),
    "PROCESSING": ("pending", None),
    "SUCCESS": ("complete", None),
    "COMPLETE": ("complete", None),
    "CREATE_TASK_FAILED": ("failed", "the service could not create the task"),
    "GENERATE_AUDIO_FAILED": ("failed", "the service could not generate the notes"),
    "GENERATE_MIDI_FAILED": ("failed", "the service could not generate the notes"),
    "CALLBACK_EXCEPTION": ("pending", None),  # the callback failed, not the task: the result may still come
    "SENSITIVE_WORD_ERROR": ("failed", "the service refused the words of the request"),
    "FAIL": ("failed", "the service could not generate the notes"),
    "FAILED": ("failed", "the service could not generate the notes"),
    "ERROR": ("failed", "the service could not generate the notes"),
}

#: The table counts tracks in 16 bits.
MOST_TRACKS = 2**16

#: Body codes that are about the caller or the moment, not about the task.
_ABOUT_THE_REQUEST = {401, 402, 405, 408, 429, 430, 433, 455, 505}


class Record(msgspec.Struct, frozen=True):
    """What one body says about one task.

    ``packed`` holds the notes whose fields can be read, track after track (see ``packing``), and ``instruments`` gives
    them as objects; ``flatten`` judges their values. A note that stands in the body is in ``packed`` or in ``rejects``.
    """

    task: str | None
    state: State
    audio_id: str | None = None
    created_at: datetime | None = None
    completed_at: datetime | None = None
    error_code: str | None = None
    error_message: str | None = None
    source: str = ""
    tracks: tuple[Track, ...] = ()
    packed: bytes = b""
    rejects: tuple[Reject, ...] = ()

    @property
    def instruments(self) -> list[Instrument]:
        """The instruments with their notes, in the service's order."""
        return unpack(self.tracks, self.packed)

    def sifted(self) -> Record:
        """The record with those of its notes among the rejects whose values cannot be a note's."""
        kept, rejects = sift(msgspec.to_builtins(self.instruments))
        tracks, packed = pack(kept)
        return msgspec.structs.replace(self, tracks=tracks, packed=packed, rejects=(*self.rejects, *rejects))


class _Result(msgspec.Struct, gc=False):
    state: str | None = None
    instruments: list[Instrument] | None = None


class _Data(msgspec.Struct, gc=False):
    taskId: str | None = None  # noqa: N815 -- the service's spelling
    task_id: str | None = None
    audioId: str | None = None  # noqa: N815
    createTime: int | float | str | None = None  # noqa: N815
    completeTime: int | float | str | None = None  # noqa: N815
    successFlag: int | str | None = None  # noqa: N815
    errorCode: int | str | None = None  # noqa: N815
    errorMessage: str | None = None  # noqa: N815
    midiData: _Result | None = None  # noqa: N815
    state: str | None = None
    instruments: list[Instrument] | None = None


class _Envelope(msgspec.Struct, gc=False):
    code: int | str | None = None
    msg: str | None = None
    data: _Data | None = None
    taskId: str | None = None  # noqa: N815
    task_id: str | None = None
    state: str | None = None
    instruments: list[Instrument] | None = None


_decode_envelope = msgspec.json.Decoder(_Envelope, strict=False).decode


def parse_record(body: bytes | str | dict[str, Any], *, task: str | None = None, source: str = "") -> Record:
    """Read what a body says about a task: its state, its times, its instruments and notes.

    Parameters
    ----------
    body
        The service's answer or callback, as it came or as parsed JSON: a polled record, a callback of either service, a
        bare ``{"state": ..., "instruments": [...]}``, any of them in a list of one or as JSON inside a string.
    task
        The task's id where the body holds none.
    source
        Where the body came from, for the tasks table and for messages.

    Returns
    -------
    A ``Record``. Its ``state`` is ``complete`` (notes came), ``empty`` (success without notes), ``pending``, ``failed``
    (``error_message`` says of what kind) or ``not_found``. Unknown fields are ignored; the order of the instruments and
    their names, equal ones too, are kept.

    Raises
    ------
    RecordError
        If the body is no JSON object, says nothing about a task, or is nested deeper than any record.

    Examples
    --------
    >>> note = {"pitch": 60, "start": "0.5", "end": 1.0, "velocity": 1}
    >>> record = parse_record({"state": "complete", "instruments": [{"name": "Flute", "notes": [note]}]}, task="t1")
    >>> record.state, record.instruments[0].notes[0].start
    ('complete', 0.5)
    """
    try:
        if isinstance(body, dict):  # noqa: SIM108 -- one line would hide the two decoders
            envelope = msgspec.convert(body, _Envelope, strict=False)
        else:
            envelope = _decode_envelope(body)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return _read_loosely(body, task, source)
    data = envelope.data or _Data()
    result = data.midiData or data
    instruments = result.instruments if result.instruments is not None else envelope.instruments
    if instruments is None:
        return _read_loosely(body, task, source)
    facts = {
        "task": data.taskId or data.task_id or envelope.taskId or envelope.task_id or task,
        "flag": data.successFlag,
        "state": result.state or data.state or envelope.state,
        "code": envelope.code,
        "msg": envelope.msg,
        "audio_id": data.audioId,
        "created": data.createTime,
        "completed": data.completeTime,
        "error_code": data.errorCode,
        "error_message": data.errorMessage,
        "known": True,
        "other": False,
    }
    return _record(facts, instruments, pack(instruments), source, body)


def _record(
    facts: dict[str, Any],
    instruments: list[Any] | None,
    packed: tuple[tuple[Track, ...], bytes],
    source: str,
    body: object,
    rejects: tuple[Reject, ...] = (),
) -> Record:
    tracks, rows = packed
    if len(tracks) > MOST_TRACKS:
        raise RecordError(f"expected at most {MOST_TRACKS} instruments, got {len(tracks)}")
    state, message = _state(facts, has_notes=bool(rows or rejects), answered=instruments is not None, body=body)
    no_error = (None, "", 0, "0", 200, "200")
    codes = (facts["error_code"], facts["code"], facts["flag"]) if state in ("failed", "not_found") else ()
    return Record(
        task=printable(facts["task"]),
        state=state,
        audio_id=printable(facts["audio_id"]),
        created_at=_moment(facts["created"]),
        completed_at=_moment(facts["completed"]),
        error_code=next((str(code) for code in codes if code not in no_error), None),
        error_message=printable(message),
        source=source,
        tracks=tracks,
        packed=rows,
        rejects=rejects,
    )


def _state(facts: dict[str, Any], *, has_notes: bool, answered: bool, body: object) -> tuple[State, str | None]:
    """Judge the state by flags, notes and codes, in this order, and say why when it is no success."""
    flag = facts["flag"] if facts["flag"] is not None else facts["state"]
    word = str(flag).upper()
    if word in _FLAGS and _FLAGS[word][0] == "pending" and word != "CALLBACK_EXCEPTION":
        return "pending", None  # also with notes: they are not all
    if has_notes:
        return "complete", None
    if _number(facts["code"]) not in (None, 200):
        return _state_by_code(facts)
    if flag is None and not answered:
        if facts["known"]:
            return "pending", None
        if facts["code"] is None:
            raise RecordError(f"no task state and no instruments in the body, which begins {_start(body)}")
        return "not_found", "the service knows no such task (its data is null)"
    state, reason = _FLAGS.get(word, ("pending", None)) if flag is not None else ("complete", None)
    if state == "failed":
        told = facts["error_message"]
        return state, f"{reason}: {told}" if told else reason
    if state == "complete" and facts["other"]:
        raise RecordError(f"a result that holds no instruments, of another kind of task? It begins {_start(body)}")
    return ("empty", EMPTY) if state == "complete" or answered else (state, None)


def _state_by_code(facts: dict[str, Any]) -> tuple[State, str | None]:
    code, said = _number(facts["code"]), facts["msg"] or ""
    if code == 404 or (code == 422 and ("not exist" in said.lower() or "is null" in said.lower())):
        return "not_found", f"the service knows no such task ({said or code})"
    if code in _ABOUT_THE_REQUEST or (facts["task"] is None and code not in (501, 531)):
        raise RecordError(f"the answer is about the request and not about a task: code {code}, {said!r}")
    return "failed", said or f"the service answered with code {code}"


def _number(code: object) -> int | None:
    return int(code) if isinstance(code, int) or (isinstance(code, str) and code.isdecimal()) else None


def _moment(value: object) -> datetime | None:
    """Epoch milliseconds, as number or text, or "YYYY-MM-DD HH:MM:SS", which is taken as UTC; None for no such time."""
    moment = None
    with contextlib.suppress(ValueError, OverflowError):
        if isinstance(value, str) and not value.isdecimal():
            moment = datetime.fromisoformat(value)
            moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        elif isinstance(value, int | float | str):
            moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=int(value))
    return moment if moment and moment.year >= 2020 else None  # before the service: a 0, or seconds for milliseconds


def _start(body: object, length: int = 120) -> str:
    """The beginning of a body, safe to print."""
    text = bytes(body[: length * 4]).decode("utf-8", "replace") if isinstance(body, bytes | bytearray) else str(body)
    return repr(text[:length] + ("…" if len(text) > length else ""))


# The slower way: any JSON, any wrapping, and notes of which some are bad.

#: Where the services put the thing with ``instruments`` in it.
_INNER = ("data", "midiData", "resultJson", "response", "result", "info")

#: In a job's result, the thing with ``instruments`` in it may stand anywhere so deep.
_DEPTH = 6


def _read_loosely(body: bytes | str | dict[str, Any], task: str | None, source: str) -> Record:
    try:
        document = _unwrap(body if isinstance(body, dict) else _loads(body))
        if not isinstance(document, dict):
            raise RecordError(f"expected a JSON object, got {_start(body)}")
        return _read_layers(_layers(document), body, task, source)
    except RecursionError as fault:
        raise RecordError("expected a record, got JSON that is nested too deeply") from fault


def _read_layers(layers: list[dict[str, Any]], body: object, task: str | None, source: str) -> Record:
    facts = {
        "task": _first(layers[1:] + layers[:1], "taskId", "task_id", kind=str | int),
        "flag": _first(layers, "successFlag", "status", kind=str | int),
        "state": _first(layers[::-1], "state", kind=str),
        "code": _first(layers[:1], "code", kind=str | int),
        "msg": _first(layers[:1], "msg", kind=str),
        "audio_id": _first(layers, "audioId", kind=str),
        "created": _first(layers, "createTime", kind=str | int | float),
        "completed": _first(layers, "completeTime", kind=str | int | float),
        "error_code": _first(layers, "errorCode", "failCode", kind=str | int),
        "error_message": _first(layers, "errorMessage", "failMsg", kind=str),
        "known": len(layers) > 1,
        "other": any(layer.get(key) for layer in layers for key in ("response", "resultJson")),
    }
    facts["task"] = str(facts["task"]) if facts["task"] not in (None, "") else task
    instruments = next((layer["instruments"] for layer in layers if layer.get("instruments") is not None), None)
    if instruments is None:
        return _record(facts, None, ((), b""), source, body)
    try:
        kept, rejects = msgspec.convert(instruments, list[Instrument], strict=False), list[Reject]()
    except (msgspec.ValidationError, OverflowError):
        kept, rejects = sift(instruments)
    return _record(facts, kept, pack(kept), source, body, tuple(rejects))


def _loads(body: bytes | str) -> object:
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        pass  # NaN, Infinity and numbers beyond a double are no JSON, but one bad note must not cost the others
    try:
        return json.loads(body, parse_int=_whole)
    except (ValueError, RecursionError) as fault:
        raise RecordError(f"expected JSON, got {_start(body)} ({fault})") from fault


def _whole(digits: str) -> int | float:
    """Read a whole number; one of thousands of digits, which Python refuses, is beyond a double, and so infinite."""
    return int(digits) if len(digits) < 400 else float(digits)


def _unwrap(document: object) -> object:
    """Take JSON out of strings and a record out of a list of one."""
    for _ in range(4):
        if isinstance(document, str) and document.lstrip()[:1] in ("{", "["):
            document = _loads(document)
        elif isinstance(document, list) and len(document) == 1:
            document = document[0]
        elif isinstance(document, list) and document:
            raise RecordError(f"expected one record, got a list of {len(document)}; read_records reads them all")
        else:
            break
    return document


def _layers(document: dict[str, Any]) -> list[dict[str, Any]]:
    """The object and what is wrapped in it, outermost first."""
    layers = [document]
    for layer in layers:
        inner = (_unwrap(layer[key]) for key in _INNER if layer.get(key) is not None and len(layers) < 8)
        layers += [one for one in inner if isinstance(one, dict)]
    found = None if any("instruments" in layer for layer in layers) else _search(document.get("data"), _DEPTH)
    return [*layers, found] if found else layers


def _search(value: object, depth: int) -> dict[str, Any] | None:
    """Find an object with a list of instruments, however it is wrapped."""
    if isinstance(value, str) and value.lstrip()[:1] in ("{", "["):
        with contextlib.suppress(RecordError):
            value = _loads(value)
    if isinstance(value, dict) and isinstance(value.get("instruments"), list):
        return value
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    found = (_search(one, depth - 1) for one in inner if depth > 0)
    return next((one for one in found if one is not None), None)


def _first(layers: list[dict[str, Any]], *keys: str, kind: Any) -> Any:  # noqa: ANN401 -- any JSON value
    values = (layer.get(key) for layer in layers for key in keys)
    return next((value for value in values if isinstance(value, kind) and not isinstance(value, bool)), None)
