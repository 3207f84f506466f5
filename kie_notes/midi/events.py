"""The lane that reads MIDI events in Python, whatever the file's state: nothing of it is hidden.

It goes through each track byte by byte and stops where the bytes make no sense; what came before stands, and a fault
says where and why. A note-off ends the note of its channel and pitch that has waited longest (first in, first out), in
its own track only; a note belongs to the program that its channel had when it began. An end-of-track event ends the
track. Running status goes on after a meta event and ends with a system exclusive one. A data byte above 127 is damage
where it would be a pitch, a velocity, a program, a controller or a bend.

mido, which pretty_midi reads with, cannot be this lane: it gives nothing of a file in which anything is wrong, be it a
key signature of nine sharps.
"""

from __future__ import annotations

from array import array
from collections import defaultdict, deque
from typing import TYPE_CHECKING, Final

import numpy as np

from kie_notes.midi.chunks import Fault, Part, Reading, quantity
from kie_notes.midi.sustain import sustained
from kie_notes.midi.tempo_map import tempo_map

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from kie_notes.midi.chunks import Chunks
    from kie_notes.midi.ticks import Ticks

#: Data bytes of each status, and which of them must be below 128. System messages have no place in a file, but a length
#: by which they can be passed over (MIDI 1.0).
_DATA: Final = {
    **dict.fromkeys(range(0x80, 0xA0), (2, slice(2))),
    **dict.fromkeys(range(0xA0, 0xB0), (2, slice(0))),
    **dict.fromkeys(range(0xB0, 0xC0), (2, slice(2))),
    **dict.fromkeys(range(0xC0, 0xD0), (1, slice(1))),
    **dict.fromkeys(range(0xD0, 0xE0), (1, slice(0))),
    **dict.fromkeys(range(0xE0, 0xF0), (2, slice(1, 2))),
    **dict.fromkeys((0xF1, 0xF3), (1, slice(0))),
    0xF2: (2, slice(0)),
    **dict.fromkeys((0xF6, 0xF8, 0xFA, 0xFB, 0xFC, 0xFE), (0, slice(0))),
}

#: Meta events that are read: the track's name, its end, a tempo.
_NAME, _END, _TEMPO = 0x03, 0x2F, 0x51

#: The sustain pedal's controller, and the value from which it is down (MIDI 1.0).
_PEDAL, _DOWN = 64, 64

#: The channel of percussion, counted from 0 (General MIDI 1).
_DRUMS: Final = 9

#: Ticks end here, as symusic's do.
_TICKS: Final = 2**31


class _Damage(Exception):  # noqa: N818 -- it never leaves this module
    """Bytes that are no event."""


class _Events:
    """What the events of a file's tracks say, one track after the other; notes in the order of their note-ons."""

    def __init__(self) -> None:
        self.start, self.end, self.key = array("q"), array("q"), array("q")
        self.pitch, self.velocity = array("B"), array("B")
        self.names: list[bytes] = []
        self.tempos: list[list[tuple[int, int]]] = []
        self.moves: list[tuple[int, int, int]] = []  # track and channel, tick, whether the pedal is down
        self.last = 0  # tick of the last event
        self.faults: list[Fault] = []

    def read(self, data: bytes, promised: int) -> None:
        """Read the next track's events, as far as they can be read."""
        track = len(self.names)
        try:
            self.walk(data)
            _checked(promised, data)
        except IndexError:
            reason = f"MIDI track {track} is cut: {len(data)} bytes of {promised} are there, or an event goes beyond"
            self.faults.append(Fault("track", str(track), reason))
        except _Damage as damage:
            self.faults.append(Fault("track", str(track), f"MIDI track {track} cannot be read on: {damage}"))

    def walk(self, data: bytes) -> None:
        """Go through a track's events."""
        line = len(self.names) << 4  # to which a channel is added
        self.names.append(b"")
        self.tempos.append([])
        self.program = [0] * 16
        self.waiting: defaultdict[int, deque[int]] = defaultdict(deque)
        at = tick = status = 0
        while at < len(data):
            delta, at = quantity(data, at) if data[at] & 0x80 else (data[at], at + 1)
            tick, begin = tick + delta, at
            byte = data[at]
            if byte & 0x80:
                at += 1
            else:
                byte = status
            if byte == 0xFF:
                kind = data[at]
                size, at = quantity(data, at + 1)
                at = _checked(at + size, data)
                if kind == _END:
                    break
                self._meta(tick, kind, data[at - size : at])
            elif byte in (0xF0, 0xF7):
                size, at = quantity(data, at)
                at, status = _checked(at + size, data), 0
            elif byte in _DATA and tick < _TICKS:
                size, low = _DATA[byte]
                values = data[at : _checked(at + size, data)]
                if not values[low].isascii():
                    raise _Damage(f"{max(values[low])} is no data byte of {byte:#04x} (tick {tick}, byte {at})")
                at, status = at + size, byte
                if byte < 0xA0:
                    self._note(tick, line, byte, *values)
                else:
                    self._control(tick, line, byte, values)
            else:
                raise _Damage(f"no event begins with {data[begin]:#04x} (tick {tick}, byte {begin})")
        self.last = max(self.last, tick)

    def _note(self, tick: int, line: int, status: int, pitch: int, velocity: int) -> None:
        channel = status & 0x0F
        waiting = self.waiting[channel << 7 | pitch]
        if velocity and status >= 0x90:
            waiting.append(len(self.start))
            self.start.append(tick)
            self.end.append(-1)
            self.key.append((line | channel) << 7 | self.program[channel])
            self.pitch.append(pitch)
            self.velocity.append(velocity)
        elif waiting:
            self.end[waiting.popleft()] = tick

    def _control(self, tick: int, line: int, status: int, values: bytes) -> None:
        kind, channel = status & 0xF0, status & 0x0F
        if kind == 0xC0:
            self.program[channel] = values[0]
        elif kind == 0xB0 and values[0] == _PEDAL:
            self.moves.append((line | channel, tick, values[1] >= _DOWN))

    def _meta(self, tick: int, kind: int, data: bytes) -> None:
        if kind == _NAME:
            self.names[-1] = data
        elif kind == _TEMPO and len(data) == 3 and any(data):
            self.tempos[-1].append((tick, int.from_bytes(data, "big")))
        elif kind == _TEMPO:
            reason = f"expected three bytes above 0 at tick {tick}; the tempo before goes on"
            self.faults.append(Fault("tempo", data.hex(" "), reason))


def read_events(chunks: Chunks, *, pedal: bool) -> Reading:
    """Read a file's events; with ``pedal``, notes sound on while their channel's pedal is down (``sustain``)."""
    events = _Events()
    for data, promised in zip(chunks.tracks, chunks.promised, strict=True):
        events.read(data, promised)
    apart = chunks.apart()
    tempos = events.tempos if apart else [[one for track in events.tempos for one in track]]
    order = np.argsort(np.frombuffer(events.key, np.int64), kind="stable")
    key, start, end = (np.frombuffer(column, np.int64)[order] for column in (events.key, events.start, events.end))
    pitch, velocity = (np.frombuffer(column, np.uint8)[order] for column in (events.pitch, events.velocity))
    parts, sizes = np.unique(key, return_counts=True)
    closed = end >= 0
    if pedal:
        end = np.where(closed, _held(events, key, pitch, start, end, apart=apart), end)
    return Reading(
        [tempo_map(chunks.division, sorted(some, key=lambda tempo: tempo[0])) for some in tempos],
        [
            Part(_text(events.names[one >> 11]), one & 0x7F, one >> 7 & 0x0F == _DRUMS, one >> 11 if apart else 0)
            for one in parts.tolist()
        ],
        sizes.tolist(),
        start,
        end,
        pitch,
        velocity,
        [*chunks.faults, *events.faults],
    ).closed(closed)


def _held(events: _Events, key: Ticks, pitch: NDArray[np.uint8], start: Ticks, end: Ticks, *, apart: bool) -> Ticks:
    """Give the ends with the pedal; a channel is the same one in every track, but in format 2."""
    line = key >> 7
    lines = ~0 if apart else 0x0F
    moves = np.array([one for one in events.moves if one[0] & 0x0F != _DRUMS], np.int64).reshape(-1, 3)
    return sustained(
        line & lines,
        pitch.astype(np.int64),
        start,
        end,
        pedal=moves[:, 0] & lines,
        tick=moves[:, 1],
        down=moves[:, 2],
        last=max(events.last, *(int(ticks.max(initial=0)) for ticks in (start, end, moves[:, 1]))),
    )


def _text(name: bytes) -> str:
    """Give a track's name; none that is not ASCII is an instrument's, and its encoding is not known."""
    return name.decode("ascii") if name.isascii() else ""


def _checked(at: int, data: bytes) -> int:
    if at > len(data):
        raise IndexError
    return at
