"""Readings of many files as columns of the notes table, at once: vectors over files, never a loop over notes."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec
import numpy as np

from kie_notes.midi.chunks import Fault, Part, quantity
from kie_notes.midi.plan import MEMO_BEGINS, Memo, velocity_of
from kie_notes.midi.read import part_name
from kie_notes.midi.tempo_map import seconds
from kie_notes.midi.ticks import Clock

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from kie_notes.midi.chunks import Reading
    from kie_notes.midi.ticks import Seconds, Ticks

#: The text event in which a file that kie_notes wrote bears its memo, up to the memo.
_MEMO: Final = re.compile(rb"\xff\x01(?=[\x80-\xff]{0,3}[\x00-\x7f]" + re.escape(MEMO_BEGINS.encode()) + rb")")

#: Microseconds a quarter in every file that kie_notes writes.
_TEMPO: Final = 500_000


class Song(NamedTuple):
    """A file that was read, as a task: for each of its parts the number of the track and the instrument's name.

    ``divides``: see ``ticks.Clock``; it is false in files only that say so of themselves.
    """

    task: str
    reading: Reading
    tracks: list[tuple[int, str]]
    divides: bool


def memo_of(name: str, content: bytes, reading: Reading) -> tuple[Song, list[Fault]]:
    """Give a file as a task, by what it says about itself if kie_notes wrote it, and what is wrong with that.

    Where somebody changed the tracks, the memo still says which task it is; they are numbered in their order.
    """
    plain = Song(name, reading, [(number, _named(part)) for number, part in enumerate(reading.parts)], divides=True)
    found = [match.end() for match in _MEMO.finditer(content)] if MEMO_BEGINS.encode() in content else []
    if not found:
        return plain, []
    size, begin = quantity(content, found[0])
    try:
        memo = msgspec.json.decode(content[begin : begin + size], type=Memo)
    except msgspec.MsgspecError as fault:
        return plain, [Fault("memo", None, f"kie_notes' text event cannot be read and is left aside: {fault}")]
    faults = []
    pairs = zip(memo.tracks, reading.parts, strict=False)
    looks = {(track, part.name, part.program, part.is_drum) for track, part in pairs}
    if len(found) > 1 or len(reading.parts) != len(memo.tracks) or len(looks) != len(set(memo.tracks)):
        reason = "the MIDI tracks are not those that kie_notes wrote; they are numbered in their order"
        faults = [Fault("memo", None, reason)]
        memo = Memo(kie_notes=1, task=memo.task, tracks=list(range(len(reading.parts))), divides=memo.divides)
    tracks = [
        (number, _named(part, memo.names.get(number, part.name)))
        for number, part in zip(memo.tracks, reading.parts, strict=True)
    ]
    return Song(memo.task, reading, tracks, memo.divides), faults


def columns_of(songs: list[Song]) -> tuple[dict[str, NDArray[Any]], list[str]]:
    """Give the notes of files as columns, file after file in canonical order; ``instrument`` counts the names."""
    readings = [song.reading for song in songs]
    sizes = np.array([size for one in readings for size in one.sizes], np.int64)
    tracks = [track for song in songs for track in song.tracks]
    names: dict[str, int] = {}
    number = np.array([number for number, _ in tracks], np.uint16)
    instrument = np.array([names.setdefault(name, len(names)) for _, name in tracks], np.uint32)
    task = np.repeat(np.arange(len(songs)), [len(song.tracks) for song in songs])
    start, end = (_joined([getattr(one, name) for one in readings], np.int32) for name in ("start", "end"))
    pitch, velocity = (_joined([getattr(one, name) for one in readings], np.uint8) for name in ("pitch", "velocity"))

    maps = [one for reading in readings for one in reading.clocks]
    firsts = np.cumsum([0, *(len(reading.clocks) for reading in readings)]).tolist()
    clocks = [first + part.clock for first, one in zip(firsts, readings, strict=False) for part in one.parts]
    clock = np.repeat(np.array(clocks, np.int64), sizes)

    def times(ticks: Ticks, clock: Ticks) -> Seconds:
        return _multiplied(songs, seconds(ticks, clock, maps), ticks)

    order = _order(task, number, sizes, start, end, pitch, velocity) if len(maps) == len(songs) else None
    if order is None:
        begin, stop = times(start, clock), times(end, clock)
        order = np.lexsort((velocity, stop, pitch, np.repeat(number, sizes), begin, np.repeat(task, sizes)))
        clock = clock[order]
    return {
        "instrument": np.repeat(instrument, sizes)[order],
        "track": np.repeat(number, sizes).take(order),  # of small numbers it is the faster way
        "pitch": pitch.take(order),
        "velocity": velocity_of(velocity.take(order)),
        "start": times(start[order], clock),
        "end": times(end[order], clock),
    }, list(names)


def _order(
    task: Ticks,
    number: NDArray[np.uint16],
    sizes: Ticks,
    start: Ticks,
    end: Ticks,
    pitch: NDArray[np.uint8],
    velocity: NDArray[np.uint8],
) -> Ticks | None:
    """Give the canonical order of notes of files with one clock each, whose times ascend as their ticks do.

    ``task``, ``number`` and ``sizes`` are of parts. One integer holds task, tick, track, pitch and row; sorting numbers
    is twice as fast as finding their order. Notes of a track and pitch that begin at once are few and compared
    afterwards. None where an integer does not suffice.
    """
    mosts = [int(one.max(initial=0)) for one in (task, start, number)]
    of_task, of_tick, of_track, of_row = (most.bit_length() for most in (*mosts, len(start)))
    if of_task + of_tick + of_track + 7 + of_row > 63:
        return None
    key = np.left_shift(start, of_track + 7, dtype=np.int64)
    key |= np.repeat((task << of_tick + of_track | number) << 7, sizes)
    key |= pitch
    key <<= of_row
    key |= np.arange(len(start))
    for song in np.split(key, np.cumsum(sizes)[np.flatnonzero(np.diff(task))]):  # each is sorted faster than all
        song.sort()
    note, order = key >> of_row, key & ((1 << of_row) - 1)
    tied = np.flatnonzero(note[1:] == note[:-1])
    if tied.size:
        doubtful = np.union1d(tied, tied + 1)
        some = order[doubtful]
        order[doubtful] = some[np.lexsort((velocity[some], end[some], note[doubtful]))]
    return order


@lru_cache(maxsize=1 << 14)
def _named(part: Part, full: str | None = None) -> str:
    """Name the part's instrument; ``full`` is the name that the memo of its file gives it."""
    memo = None if full is None else Memo(kie_notes=1, task="", tracks=[], names={0: full})
    return part_name(part, 0, memo)


def _joined(columns: list[NDArray[Any]], kind: type[np.integer[Any]]) -> NDArray[Any]:
    return np.concatenate([np.empty(0, kind), *columns])


def _multiplied(songs: list[Song], times: Seconds, ticks: Ticks) -> Seconds:
    """Give the times, but those of files whose clock multiplies as it does."""
    after = 0
    for song in songs:
        before, after = after, after + len(song.reading.start)
        clock = song.reading.clocks[0] if song.reading.clocks else None
        if clock and not song.divides and clock.rate == [_TEMPO]:
            times[before:after] = Clock(clock.unit // 1_000_000, divides=False).seconds(ticks[before:after])
    return times
