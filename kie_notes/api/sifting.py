"""Good notes apart from bad ones, one by one, with a reason for each bad one."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import msgspec

from kie_notes.api.packing import Instrument, Note, printable

if TYPE_CHECKING:
    from collections.abc import Container


#: What ``msgspec.convert`` raises for parsed JSON: no such type, a number too large, half a character.
UNFIT = (msgspec.ValidationError, OverflowError, UnicodeError)


class Reject(msgspec.Struct, gc=False, frozen=True):
    """A note that could not be taken; without ``index``, a larger piece."""

    track: int | None
    index: int | None
    field: str
    value: str | None
    reason: str


class Doubled(dict[str, Any]):
    """A JSON object in which some key stands twice: a dict with the last value of each, as JSON libraries have it.

    ``pairs`` holds every key with every value, ``twice`` the keys that stand there again.
    """

    def __init__(self, pairs: list[tuple[str, Any]]) -> None:
        super().__init__(pairs)
        seen = set[str]()
        self.pairs = pairs
        self.twice = [key for key, _ in pairs if key in seen or seen.add(key)]  # type: ignore[func-returns-value]


def object_of(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object from its keys and values, which remembers if a key stands twice (``object_pairs_hook``)."""
    fields = dict(pairs)
    return fields if len(fields) == len(pairs) else Doubled(pairs)


def key_twice(value: object, keys: Container[str]) -> str | None:
    """The first of the keys that stands twice in a JSON object."""
    return next((key for key in value.twice if key in keys), None) if isinstance(value, Doubled) else None


def sift(instruments: object) -> tuple[list[Instrument], list[Reject]]:
    """Keep the good notes of instruments of which some part is bad, and name each bad part.

    An instrument whose name, notes or drum flag stands twice is not taken: it is a reject, and so is each of its notes,
    those of its every list counted on.
    """
    rejects: list[Reject] = []
    kept: list[Instrument] = []
    if not isinstance(instruments, list):
        rejects.append(Reject(None, None, "instruments", _text(instruments), "expected a list of instruments"))
        instruments = []
    for position, one in enumerate(instruments):
        fields = one if isinstance(one, dict) else {}
        notes = fields.get("notes")
        if not isinstance(one, dict) or not isinstance(notes, list | None):
            field, value = ("notes", notes) if isinstance(one, dict) else ("instrument", one)
            rejects.append(Reject(position, None, field, _text(value), "expected an instrument with a list of notes"))
        notes = notes if isinstance(notes, list) else []
        if twice := key_twice(one, _INSTRUMENT_FIELDS):
            reason = f"the key {twice!r} stands twice in the instrument"
            rejects.append(Reject(position, None, twice, _text(fields[twice]), reason))
            every = [note for key, some in one.pairs if key == "notes" and isinstance(some, list) for note in some]
            rejects += [Reject(position, index, twice, _text(note), reason) for index, note in enumerate(every)]
            notes = []
        good: list[Note] = []
        for index, note in enumerate(notes):
            if fault := _doubled_field(note) or note_fault(note):
                rejects.append(Reject(position, index, *fault))
            else:
                good.append(_note(note))
        is_drum = fields.get("is_drum")
        kept.append(Instrument(str(fields.get("name") or ""), good, is_drum if isinstance(is_drum, bool) else None))
    return kept, rejects


_INSTRUMENT_FIELDS = ("name", "notes", "is_drum")


def _doubled_field(note: Any) -> tuple[str, str | None, str] | None:  # noqa: ANN401 -- any JSON value
    twice = key_twice(note, _FIELDS)
    return (twice, _text(note[twice]), "the key stands twice in the note") if twice else None


def note_fault(note: object) -> tuple[str, str | None, str] | None:
    """Field, value as text, and reason why something is no note; None for a good note."""
    if not isinstance(note, dict):
        return "note", _text(note), "expected an object with pitch, start, end and velocity"
    read: dict[str, float] = {}
    for field, (kind, wanted) in _FIELDS.items():
        if field not in note:
            return field, None, "the field is missing"
        try:
            read[field] = msgspec.convert(note[field], kind, strict=False)
        except UNFIT:
            return field, _text(note[field]), f"expected {wanted}"
        if read[field] - read[field] != 0:  # NaN and the infinities
            return field, _text(note[field]), f"expected {wanted}"
    if not 0 <= read["pitch"] <= 127:
        return "pitch", _text(note["pitch"]), "expected a MIDI pitch from 0 to 127"
    if read["start"] < 0:
        return "start", _text(note["start"]), "the note starts before the audio"
    if read["end"] < read["start"]:
        return "end", _text(note["end"]), f"the note ends before its start at {read['start']} s"
    if not 0 <= read["velocity"] <= 1:
        hint = " (did you pass MIDI velocities? divide by 127)" if 1 < read["velocity"] <= 127 else ""
        return "velocity", _text(note["velocity"]), f"expected a velocity from 0 to 1{hint}"
    return None


_FIELDS: dict[str, tuple[type, str]] = {
    "pitch": (int, "a MIDI pitch as a whole number"),
    "start": (float, "seconds as a finite number"),
    "end": (float, "seconds as a finite number"),
    "velocity": (float, "a velocity as a number"),
}


def _note(fields: dict[str, Any]) -> Note:
    return msgspec.convert({field: fields[field] for field in _FIELDS}, Note, strict=False)


_encode = json.JSONEncoder(default=str).encode


def _text(value: object) -> str:
    """A JSON value as text, cut to a length that a table bears."""
    text = printable(value) if isinstance(value, str) else _encode(value)
    return text if len(text) <= 200 else text[:200] + "…"
