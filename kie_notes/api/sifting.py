"""Good notes apart from bad ones, one by one, with a reason for each bad one."""

from __future__ import annotations

import json

import msgspec

from kie_notes.api.packing import Instrument, Note, printable


class Reject(msgspec.Struct, gc=False, frozen=True):
    """A note that could not be taken; without ``index``, a larger piece."""

    track: int | None
    index: int | None
    field: str
    value: str | None
    reason: str


def sift(instruments: object) -> tuple[list[Instrument], list[Reject]]:
    """Keep the good notes of instruments of which some part is bad, and name each bad part."""
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
        faults = [(index, note_fault(note)) for index, note in enumerate(notes if isinstance(notes, list) else [])]
        rejects += [Reject(position, index, *fault) for index, fault in faults if fault]
        good = [msgspec.convert(notes[index], Note, strict=False) for index, fault in faults if not fault]  # type: ignore[index]
        is_drum = fields.get("is_drum")
        kept.append(Instrument(str(fields.get("name") or ""), good, is_drum if isinstance(is_drum, bool) else None))
    return kept, rejects


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
        except (msgspec.ValidationError, OverflowError):
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


def _text(value: object) -> str:
    """A JSON value as text, cut to a length that a table bears."""
    text = printable(value) if isinstance(value, str) else json.dumps(value, default=str)
    return text if len(text) <= 200 else text[:200] + "…"
