"""A MIDI file's bytes as its header and tracks, and what one file gives when its events have been read.

Two lanes read the events of the tracks: ``events`` in Python, ``symusic_lane`` with symusic. Both give a ``Reading``,
and the same one: what symusic does not show (``symusic_lane`` lists it) is left to the other.
"""

from __future__ import annotations

from struct import Struct
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec
import numpy as np

from kie_notes.errors import MidiError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from kie_notes.midi.tempo_map import TempoMap

#: Length of the header chunk with its name and size (Standard MIDI Files 1.0).
_HEADER: Final = 14

#: The name and size of a chunk.
CHUNK: Final = Struct(">4sI")

#: Where the MIDI file begins in a RIFF file of form RMID: after the form, and the name and size of its chunk.
_IN_RIFF: Final = 20


class Fault(NamedTuple):
    """A piece of a file that could not be taken: of a part's note-on in its ``place``, or of the file."""

    field: str
    value: str | None
    reason: str
    part: int | None = None
    place: int | None = None


class Chunks(NamedTuple):
    """A MIDI file before its events are read.

    ``kind`` is the header's format, 0 to 2, ``division`` its 16 bits of division; ``tracks`` are their bytes,
    ``promised`` how many the file says that each has; ``faults`` are what is wrong with the structure.
    """

    kind: int
    division: int
    tracks: list[bytes]
    promised: list[int]
    faults: list[Fault]

    def apart(self) -> bool:
        """Whether each track is a sequence of its own, with its own tempo events."""
        return self.kind == 2 and len(self.tracks) > 1


class Part(msgspec.Struct, frozen=True, gc=False):
    """What one program plays on one channel of one MIDI track; ``clock`` is the position of its tempo map."""

    name: str
    program: int
    is_drum: bool
    clock: int


class Reading(NamedTuple):
    """What one file holds: parts by MIDI track, channel and program, and their notes in this order.

    A part's notes stand in the order of their note-ons; ``sizes`` says how many each part has. ``start`` and ``end``
    are ticks, ``velocity`` is 1 to 127.
    """

    clocks: list[TempoMap]
    parts: list[Part]
    sizes: list[int]
    start: NDArray[np.int64]
    end: NDArray[np.int64]
    pitch: NDArray[np.uint8]
    velocity: NDArray[np.uint8]
    faults: list[Fault]

    def closed(self, ended: NDArray[np.bool_]) -> Reading:
        """Give the reading without the notes that are never ended, each of which is a fault.

        A fault's place counts all note-ons of the part.
        """
        if ended.all():
            return self
        part = np.repeat(np.arange(len(self.sizes)), self.sizes)
        first = np.cumsum(self.sizes) - self.sizes
        faults = [
            Fault("end", None, f"pitch {pitch} that begins at tick {start} is never ended", of, at - int(first[of]))
            for at in np.flatnonzero(~ended).tolist()
            for pitch, start, of in [(self.pitch[at], self.start[at], int(part[at]))]
        ]
        return self._replace(
            sizes=np.bincount(part[ended], minlength=len(self.sizes)).tolist(),
            start=self.start[ended],
            end=self.end[ended],
            pitch=self.pitch[ended],
            velocity=self.velocity[ended],
            faults=[*self.faults, *faults],
        )


def read_chunks(content: bytes) -> Chunks:
    """Take a MIDI file's bytes apart into its tracks.

    Chunks of other names are passed over, as the standard asks. All tracks that are there count, whatever number the
    header gives; fewer are a fault. A track that the end of the file cuts is given as far as it goes.

    Raises
    ------
    MidiError
        If the bytes do not begin as a MIDI file does (alone or in a RIFF file), or have no ticks.
    """
    at = _IN_RIFF if content[:4] == b"RIFF" and content[8:12] == b"RMID" else 0
    header = content[at : at + _HEADER]
    if len(header) < _HEADER or header[:4] != b"MThd":
        raise MidiError(f"no MIDI file: expected a header of {_HEADER} bytes that begins with b'MThd', got {header!r}")
    kind, promised, division = (int.from_bytes(header[place : place + 2], "big") for place in (8, 10, 12))
    if not division & (0xFF if division > 0x7FFF else 0x7FFF):
        raise MidiError(f"its header has division {division:#06x}, which is no ticks a quarter or a frame")
    at += 8 + max(6, int.from_bytes(header[4:8], "big"))
    tracks, sizes = [], []
    last = len(content) - CHUNK.size
    while at <= last:
        name, size = CHUNK.unpack_from(content, at)
        begin, at = at + 8, at + 8 + size
        if name == b"MTrk":
            tracks.append(content[begin:at])
            sizes.append(size)
        elif not (name.isascii() and name.decode("ascii").isprintable()):
            break
    faults = []
    if len(tracks) < promised:
        reason = f"the header promises {promised} tracks, the file has {len(tracks)}"
        faults.append(Fault("tracks", str(len(tracks)), reason))
    return Chunks(kind, division, tracks, sizes, faults)


def places(data: bytes, event: bytes) -> Iterator[int]:
    """Give the places of an event's first bytes: the byte before ends a delta time, so it is below 128."""
    first = event[:1]
    at = data.find(first)  # one byte is looked for ten times as fast as two
    while at >= 0:
        if data.startswith(event, at) and data[at - 1] < 0x80:
            yield at
        at = data.find(first, at + 1)


def quantity(data: bytes, at: int) -> tuple[int, int]:
    """Give the variable-length quantity at a place, of four bytes at the most, and where it ends."""
    value = 0
    for place in range(at, at + 4):
        value = value << 7 | data[place] & 0x7F
        if data[place] < 0x80:
            return value, place + 1
    return value, at + 4
