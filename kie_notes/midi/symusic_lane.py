"""The lane that reads events with symusic, some fifteen times faster than ``events``, and with the same result.

symusic shows notes, tempo events, and what plays, in ticks; it pairs first in, first out, tells parts apart by track,
channel and program, and lists them in that order, as ``events`` does. What it does not show is found out or left to
``events``:

- Damage. It reads beyond a track's end where lengths are wrong, so it is given the tracks that ``chunks`` found, whole
  ones only; and where it raises, the file is left.
- Notes that are never ended, which it drops. Far behind the last event of each track, note-offs of every pitch are
  added: a note that ends with them had no end. Then they are added twice; if a note ends with the second, there may be
  more, and the file is left.
- A track's true end: a tempo event stands before those note-offs, and where it does not come back, the file is left.
- Running status after a system exclusive event, escaped events, tempo events that are none, several at one tick: the
  file is left. Where a delta time only looks like one of these, symusic is asked: it raises where no event begins.
"""

from __future__ import annotations

from functools import cache
from itertools import pairwise
from struct import iter_unpack
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from kie_notes.midi.chunks import CHUNK, Part, Reading, places, quantity
from kie_notes.midi.tempo_map import tempo_map

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kie_notes.midi.chunks import Chunks

    #: Notes as rows of ``_ROW``.
    Rows = bytes | memoryview

#: How a track ends, without the delta time.
_END: Final = b"\xff\x2f\x00"

#: The largest delta time: what is added stands so many ticks after a track's last event.
_LATER: Final = 0x0FFFFFFF
_DELAY: Final = b"\xff\xff\xff\x7f"

#: A text without letters, to wait with.
_EMPTY: Final = b"\xff\x01\x00"

#: What takes the place of ``_END``: nothing at its tick, and later a tempo of 1 us a quarter; a delta time of 0
#: follows.
_MARK: Final = _EMPTY + _DELAY + b"\xff\x51\x03\x00\x00\x01" + b"\x00"
_ADDED: Final = len(_MARK + _END)

#: What stands between two blocks of note-offs.
_AGAIN: Final = _EMPTY + _DELAY

#: A status that no event has (MIDI 1.0).
_NO_EVENT: Final = 0xF4

#: For the status of a channel's note-ons: the note-offs of all its pitches, a delta time of 0 behind each.
_OFFS: Final = [
    (0x90 | channel, bytes([0x80 | channel]) + b"".join(bytes([key, 0, 0]) for key in range(128)))
    for channel in range(16)
]

#: A note as symusic pickles it, after the number of notes; a tempo event is two integers.
_ROW: Final = np.dtype(
    {"names": ["time", "duration", "pitch", "velocity"], "formats": ["i4", "i4", "u1", "u1"], "itemsize": 12}
)
_COUNT: Final = 4


def read_fast(files: Sequence[Chunks], *, blocks: int = 1) -> list[Reading | None]:
    """Read files' events, or give None for those where ``events`` must.

    ``blocks`` says how often note-offs are added: where a note ends with the first, the file is read again with two.
    """
    marked = {place: content for place, one in enumerate(files) if (content := _marked(one, blocks))}
    shown = {place: found for place, content in marked.items() if (found := _shown(content, len(files[place].tracks)))}
    rows = np.frombuffer(b"".join([notes for _, looks in shown.values() for _, notes in looks]), _ROW)
    start, pitch, velocity = (rows[name] for name in ("time", "pitch", "velocity"))
    end = start + rows["duration"]
    ended = end < _LATER
    unended = not ended.all()
    readings: list[Reading | None] = [None] * len(files)
    until = 0
    for place, (tempos, looks) in shown.items():
        sizes = [len(notes) // _ROW.itemsize for _, notes in looks]
        own = slice(until, until := until + sum(sizes))
        if unended and blocks == 1 and not ended[own].all():
            readings[place] = read_fast([files[place]], blocks=2)[0]
        elif not unended or end[own].max(initial=0) < 2 * _LATER:
            clocks = [tempo_map(files[place].division, tempos)]
            columns = (start[own], end[own], pitch[own], velocity[own])
            reading = Reading(clocks, [part for part, _ in looks], sizes, *columns, files[place].faults)
            readings[place] = reading.closed(ended[own]) if unended else reading
    return readings


def _marked(chunks: Chunks, blocks: int) -> bytes | None:
    """Give a file of the tracks, the mark and the note-offs behind the end of each; None if it is not for symusic."""
    tracks = [data[: -len(_END)] for data in chunks.tracks if data.endswith(_END)]
    whole = b"".join(tracks)
    if chunks.apart() or len(tracks) < len(chunks.tracks) or list(map(len, chunks.tracks)) != chunks.promised:
        return None
    if not (_looks_plain(whole) or _is_plain(chunks.tracks)):
        return None
    pairs = [pair for pair in _OFFS if pair[0] in whole]
    pieces = [_header(len(tracks))]
    for data in tracks:
        offs = b"".join([block for status, block in pairs if status in data])
        added = offs if blocks == 1 else _AGAIN.join([offs] * blocks)
        pieces += (CHUNK.pack(b"MTrk", len(data) + len(added) + _ADDED), data, _MARK, added, _END)
    return b"".join(pieces)


def _looks_plain(data: bytes) -> bool:
    """Whether there is nothing in the tracks that symusic reads otherwise than ``events``, as far as bytes tell."""
    tempos = places(data, b"\xff\x51")
    return 0xF0 not in data and 0xF7 not in data and all(data[at + 2 : at + 3] == b"\x03" for at in tempos)


def _is_plain(tracks: Sequence[bytes]) -> bool:
    """Whether no event begins at a suspect place of the tracks.

    There the tracks are given a byte that symusic takes in a delta time or a text, but refuses where an event begins.
    """
    probes: list[bytes | bytearray] = []
    for data in tracks:
        if suspects := _suspects(data):
            probe = bytearray(data)
            for at in suspects:
                probe[at] = _NO_EVENT
            probes += [CHUNK.pack(b"MTrk", len(probe)), probe]
    return not probes or _score(b"".join([_header(len(probes) // 2), *probes])) is not None


def _suspects(data: bytes) -> list[int]:
    """Give the places of a track at which symusic reads otherwise than ``events``, should an event begin there."""
    found = [at for at in places(data, b"\xff\x51") if data[at + 2 : at + 3] != b"\x03"]
    found += [at for at in places(data, b"\xf0") if not _status_follows(data, at)]
    return [*found, *places(data, b"\xf7")]


def _status_follows(data: bytes, at: int) -> bool:
    """Whether a status comes after a system exclusive event and the meta events behind it, or the next such event."""
    try:
        size, at = quantity(data, at + 1)
        _, at = quantity(data, at + size)
        while data[at] == 0xFF and data[at + 1] != 0x2F:
            size, at = quantity(data, at + 2)
            _, at = quantity(data, at + size)
        return data[at] > 0x7F
    except IndexError:
        return False


def _header(tracks: int) -> bytes:
    return b"MThd\x00\x00\x00\x06\x00\x01" + tracks.to_bytes(2) + b"\x01\xe0"


def _score(content: bytes) -> Any:  # noqa: ANN401 -- one of symusic's, or None
    from symusic.core import ScoreTick

    try:
        return ScoreTick.from_midi(content)
    except (RuntimeError, OSError, ValueError):
        return None


def _shown(content: bytes, tracks: int) -> tuple[list[tuple[int, int]], list[tuple[Part, Rows]]] | None:
    """Give the tempo events and the parts with their notes as symusic reads them; None where it does not."""
    score = _score(content)
    tempos = None if score is None else _tempos(score, tracks)
    return None if tempos is None else (tempos, _looks(score.tracks))


def _tempos(score: Any, count: int) -> list[tuple[int, int]] | None:  # noqa: ANN401 -- one of symusic's
    """Give the tempo events but for the marks, which must all be there; None where they do not tell the truth."""
    if _packs():
        found = list(iter_unpack("=ii", score.tempos.__getstate__()[_COUNT:]))
    else:
        found = [(tempo.time, tempo.mspq) for tempo in score.tempos]
    true = len(found) - count
    if (
        true < 0
        or (true and found[true - 1][0] >= _LATER)  # ticks ascend
        or (count and not _LATER <= found[true][0] <= found[-1][0] < 2 * _LATER)
    ):
        return None
    found = found[:true]
    several = any(one[0] == other[0] and one != other for one, other in pairwise(found))
    return None if several or any(not tempo for _, tempo in found) else found


def _looks(tracks: Any) -> list[tuple[Part, Rows]]:  # noqa: ANN401 -- symusic's
    """Give the tracks that have notes as parts, and their notes as rows of ``_ROW``."""
    return [
        (Part(name if name.isascii() else "", track.program, track.is_drum, 0), _packed(notes))
        for track in tracks
        if (notes := track.notes)
        for name in [track.name]
    ]


def _packed(notes: Any) -> Rows:  # noqa: ANN401 -- one of symusic's
    """Give a list of notes as rows of ``_ROW``."""
    if _packs():
        return memoryview(notes.__getstate__())[_COUNT:]
    rows = np.empty(len(notes), _ROW)
    for name, values in notes.numpy().items():
        rows[name] = values
    return rows.tobytes()


@cache
def _packs() -> bool:
    """Whether symusic pickles lists as their number and rows, which is faster than its arrays."""
    from symusic.core import NoteTickList, TempoTickList

    times, mspq = np.array([1, 2], np.int32), np.array([3, 4], np.int32)
    pitch, velocity = np.array([5, 6], np.int8), np.array([7, 8], np.int8)
    notes = NoteTickList.from_numpy(times, mspq, pitch, velocity).__getstate__()
    tempos = TempoTickList.from_numpy(times, mspq).__getstate__()
    rows = np.array([(1, 3, 5, 7), (2, 4, 6, 8)], _ROW)
    if not all(isinstance(state, bytes) for state in (notes, tempos)) or len(notes) != _COUNT + rows.nbytes:
        return False
    packed = np.frombuffer(notes[_COUNT:], _ROW)
    return np.array_equal(packed, rows) and tempos[_COUNT:] == np.array([(1, 3), (2, 4)], np.int32).tobytes()
