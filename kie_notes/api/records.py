"""From any envelope that the service uses to one typed ``Record``. Knows no HTTP.

The same notes arrive polled (``data.midiData``), called back (``data.instruments``, by two services), bare, in a list,
or as JSON inside a string; states arrive as numbers or words, times as numbers or strings. A well-formed body is
decoded by types, and its notes are packed by the same library into rows of equal width, so that no note is touched in
Python one by one. A body that does not fit goes a slower way, note by note, on which every good note is kept and every
bad one is named. A number may be spelled as text (``"0.0364"``): the service does so for numbers of many digits.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, Literal, TypeAlias

import msgspec
import numpy as np

from kie_notes.api.loose import MOST_TRACKS, READ, read_loosely
from kie_notes.api.packing import ROW, Instrument, Track, pack, printable, start_of, unpack
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

#: Body codes that are about the caller or the moment, not about the task.
_ABOUT_THE_REQUEST = {401, 402, 405, 408, 429, 430, 433, 455, 505}


class Record(msgspec.Struct, gc=False, frozen=True):
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


#: Whether envelope, data and result are without keys that the slower way reads there and the types above do not.
_ELSEWHERE = tuple(
    (READ - {"code", "msg"} - set(kind.__struct_fields__)).isdisjoint for kind in (_Envelope, _Data, _Result)
)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_COLON = np.uint8(ord(":"))

_decode_envelope = msgspec.json.Decoder(_Envelope, strict=False).decode
_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder().encode


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
        If the body is no JSON object, says nothing about a task, is nested deeper than any record, holds several lists
        of instruments that differ, or has a key twice around them that is read. A note or an instrument with a key
        twice is among the rejects.

    Examples
    --------
    >>> note = {"pitch": 60, "start": "0.5", "end": 1.0, "velocity": 1}
    >>> record = parse_record({"state": "complete", "instruments": [{"name": "Flute", "notes": [note]}]}, task="t1")
    >>> record.state, record.instruments[0].notes[0].start
    ('complete', 0.5)
    """
    found = None if isinstance(body, dict) else _read_by_types(body, task)
    if found is None:
        facts, instruments, rejects = read_loosely(body, task)
        found = facts, None if instruments is None else pack(instruments), rejects
    return _record(*found, source, body)


#: Facts, packed notes if the body answers with any list of instruments, and what could not be taken.
_Found: TypeAlias = tuple[dict[str, Any], tuple[tuple[Track, ...], bytes] | None, tuple[Reject, ...]]


def _read_by_types(body: bytes | str, task: str | None) -> _Found | None:
    """Read a well-formed body; None for any other."""
    try:
        raw = body.encode() if isinstance(body, str) else body
        envelope = _decode_envelope(raw)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return None
    data = envelope.data or _Data()
    result = data.midiData or data
    instruments = result.instruments if result.instruments is not None else envelope.instruments
    if instruments is None or len(instruments) > MOST_TRACKS:
        return None
    packed = pack(instruments)
    if not _is_all(raw, *packed):
        return None
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
    return facts, packed, ()


def _is_all(raw: bytes, tracks: tuple[Track, ...], rows: bytes) -> bool:
    """Whether what was read by types is all that there is to read, told by the number of colons in the body.

    A key takes one colon, however it is spelled, and what was read says how many there must be: four a note, two an
    instrument. What stands around the instruments is small: it is read by itself, with 0 in their place, and written
    again. Any colon beyond these sends the body the slower way, which looks at the keys: one of a key that stands
    twice, of an unknown key in a note, in an instrument's name. Around the instruments, an escaped character could hide
    a colon or their end, so there must be none; if what was cut out is more than the instruments, either it holds
    another colon or what remains is no JSON.
    """
    begin, end = raw.find(b'"instruments"'), raw.rfind(b"]") + 1
    around = b'"instruments":0'.join((raw[:begin], raw[end:]))
    if begin < 0 or b"\\" in around:
        return False
    try:
        envelope = _decode(around)
        expected = _encode(envelope).count(b":") + 4 * len(rows) // ROW + 2 * len(tracks)
    except (msgspec.MsgspecError, UnicodeError, RecursionError, OverflowError):
        return False
    data = envelope.get("data") or {}
    outside, in_data, in_result = _ELSEWHERE
    if not (outside(envelope) and in_data(data) and in_result(data.get("midiData") or {})):
        return False
    more = int(np.count_nonzero(np.equal(np.frombuffer(raw, np.uint8), _COLON))) - expected
    return more == 0 or more == sum(track.is_drum is not None for track in tracks)


def _record(
    facts: dict[str, Any],
    packed: tuple[tuple[Track, ...], bytes] | None,
    rejects: tuple[Reject, ...],
    source: str,
    body: object,
) -> Record:
    tracks, rows = packed or ((), b"")
    state, message = _state(facts, has_notes=bool(rows or rejects), answered=packed is not None, body=body)
    no_error = (None, "", 0, "0", 200, "200")
    codes = (facts["error_code"], facts["code"], facts["flag"]) if state in ("failed", "not_found") else ()
    return Record(
        task=printable(facts["task"]),
        state=state,
        audio_id=printable(facts["audio_id"]) or None,
        created_at=_moment(facts["created"]),
        completed_at=_moment(facts["completed"]),
        error_code=next((printable(str(code)) for code in codes if code not in no_error), None),
        error_message=printable(message),
        source=source,
        tracks=tracks,
        packed=rows,
        rejects=rejects,
    )


def _state(facts: dict[str, Any], *, has_notes: bool, answered: bool, body: object) -> tuple[State, str | None]:
    """Judge the state by flags, notes and codes, in this order, and say why when it is no success."""
    flag = facts["flag"] if facts["flag"] not in (None, "") else facts["state"]
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
            raise RecordError(f"no task state and no instruments in the body, which begins {start_of(body)}")
        return "not_found", "the service knows no such task (its data is null)"
    state, reason = _FLAGS.get(word, ("pending", None)) if flag is not None else ("complete", None)
    if state == "failed":
        told = facts["error_message"]
        return state, f"{reason}: {told}" if told else reason
    if state == "complete" and facts["other"]:
        raise RecordError(f"a result that holds no instruments, of another kind of task? It begins {start_of(body)}")
    return ("empty", EMPTY) if state == "complete" or answered else (state, None)


def _state_by_code(facts: dict[str, Any]) -> tuple[State, str | None]:
    code, said = _number(facts["code"]), facts["msg"] or ""
    if code == 404 or (code == 422 and ("not exist" in said.lower() or "is null" in said.lower())):
        return "not_found", f"the service knows no such task ({said or code})"
    if code in _ABOUT_THE_REQUEST or (facts["task"] is None and code not in (501, 531)):
        raise RecordError(f"the answer is about the request and not about a task: code {code}, {said!r}")
    return "failed", said or f"the service answered with code {code}"


def _number(code: object) -> int | None:
    return (
        int(code) if isinstance(code, int) or (isinstance(code, str) and code.isdecimal() and len(code) < 9) else None
    )


def _moment(value: object) -> datetime | None:
    """Epoch milliseconds, as number or text, or "YYYY-MM-DD HH:MM:SS", which is taken as UTC; None for no such time."""
    if value is None:
        return None
    try:
        if isinstance(value, str) and not value.isdecimal():
            moment = datetime.fromisoformat(value)
            moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        elif isinstance(value, int | float | str):
            moment = _EPOCH + timedelta(milliseconds=int(value))
        else:
            return None
    except (ValueError, OverflowError):
        return None
    return moment if moment.year >= 2020 else None  # before the service: a 0, or seconds for milliseconds
