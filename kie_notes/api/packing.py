"""Notes packed into rows of equal width, so that a million of them become columns without a touch in Python.

MessagePack writes a map of four fixed keys, one integer from 0 to 127 and three doubles always in the same number of
bytes, each field at the same place. So a list of decoded notes, encoded once, is a table.
"""

from __future__ import annotations

from typing import Annotated, Any

import msgspec


class Note(msgspec.Struct, gc=False, frozen=True):
    """One note as the service sends it: MIDI pitch, seconds, velocity 0 to 1."""

    pitch: Annotated[int, msgspec.Meta(ge=0, le=127)]
    start: float
    end: float
    velocity: float


class Instrument(msgspec.Struct, gc=False, frozen=True):
    """One entry of a record's list of instruments, with its notes."""

    name: str
    notes: list[Note]
    is_drum: bool | None = None


class Track(msgspec.Struct, gc=False, frozen=True):
    """An instrument's name and the number of its good notes among the packed rows."""

    name: str
    notes: int
    is_drum: bool | None = None


#: Width of a packed note: MessagePack writes a map of four keys with one small integer and three doubles.
ROW = 54
#: Where each field stands in a packed row (NumPy's type code and offset); doubles are big-endian.
ROW_FIELDS = {"pitch": ("u1", 7), "start": (">f8", 15), "end": (">f8", 28), "velocity": (">f8", 46)}

_packer = msgspec.msgpack.Encoder()
_unpacker = msgspec.msgpack.Decoder(list[Note])


def pack(instruments: list[Instrument]) -> tuple[tuple[Track, ...], bytes]:
    """Pack instruments' notes, track after track."""
    tracks, notes = [], list[Note]()
    for one in instruments:
        name = one.name
        tracks.append(Track(name if name.isascii() else printable(name), len(one.notes), one.is_drum))
        notes += one.notes
    return tuple(tracks), _packer.encode(notes)[-ROW * len(notes) :] if notes else b""


def unpack(tracks: tuple[Track, ...], packed: bytes) -> list[Instrument]:
    """Give packed notes as objects again."""
    found, at = [], 0
    for track in tracks:
        rows = packed[at : at + track.notes * ROW]
        notes = _unpacker.decode(b"\xdd" + track.notes.to_bytes(4, "big") + rows)  # MessagePack's head of an array
        found.append(Instrument(track.name, notes, track.is_drum))
        at += len(rows)
    return found


def printable(text: Any) -> Any:  # noqa: ANN401 -- text, or None
    """Replace what is half a character (a lone surrogate, which no file can hold) by a question mark."""
    return text if text is None or text.isascii() else text.encode("utf-8", "replace").decode()


def start_of(body: object, length: int = 120) -> str:
    """The beginning of a body, safe to print."""
    try:
        text = (
            bytes(body[: length * 4]).decode("utf-8", "replace") if isinstance(body, bytes | bytearray) else str(body)
        )
    except (RecursionError, ValueError):  # parsed JSON too deep to be shown, or with a number too long
        text = f"a {type(body).__name__}"
    return repr(text[:length] + ("…" if len(text) > length else ""))
