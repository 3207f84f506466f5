"""The MIDI tracks of a batch of files: which notes stand in which, and what each track is called and plays.

A file has the table's tracks in their order, then the second lanes of those in which notes of a pitch overlap, in
theirs, then the third ones. All is found for a batch at once, by sorting one whole number a note.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
import polars as pl

from kie_notes.errors import MidiError
from kie_notes.instruments import instrument
from kie_notes.midi.plan import MELODIC, Memo, channels, shown
from kie_notes.midi.ticks import lanes

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from kie_notes.midi.plan import Plan
    from kie_notes.midi.ticks import Clock, Ticks
    from kie_notes.midi.writing_batches import Faults

#: Tracks of a file beside the first, which bears the tempo: their number is a signed 16-bit one in mido.
_MOST_TRACKS: Final = 32766

#: The longest event that mido reads (its ``MAX_MESSAGE_LENGTH``), bytes.
_LONGEST_MEMO: Final = 1_000_000


class Part(NamedTuple):
    """A MIDI track: its name in ASCII, what it plays, and where its notes stand in the sheet."""

    name: str
    program: int
    is_drums: bool
    first: int
    after: int


class Song(NamedTuple):
    """A file: which of the plan's tasks it holds, its clock, its memo, and its MIDI tracks."""

    place: int
    task: str
    clock: Clock
    memo: str
    parts: list[Part]
    extra: int

    def shared_channels(self) -> int:
        """Count the tracks on whose channel a track of another program plays, too."""
        if len(self.parts) <= len(MELODIC):
            return 0
        on = channels([part.is_drums for part in self.parts])
        programs: dict[int, set[int]] = {}
        for channel, part in zip(on, self.parts, strict=True):
            programs.setdefault(channel, set()).add(part.program)
        return sum(len(programs[channel]) > 1 for channel in on)


class Sheet(NamedTuple):
    """Files to be written: ticks, pitches and velocities, MIDI track after MIDI track, each by start."""

    start: NDArray[np.int32]
    length: NDArray[np.int32]
    pitch: NDArray[np.int8]
    velocity: NDArray[np.int8]
    songs: list[Song]


class _Tracks(NamedTuple):
    """Rows by MIDI track, where each track begins in them, and the number of rows; the lane of each track."""

    rows: Ticks
    bounds: Ticks
    lane: Ticks


def sheet(plan: Plan) -> tuple[Sheet, Faults]:
    """Lay the notes of a plan out in MIDI tracks, and give the reasons of the tasks whose tracks fit no file."""
    notes = plan.batch.notes
    task = np.repeat(np.arange(len(plan.clocks)), np.diff(plan.batch.bounds))
    pitch = notes["pitch"].to_numpy()
    voice, rows = _sorted((task << 16 | notes["track"].to_numpy()) << 7 | pitch, np.arange(task.size))
    faults = _two_instruments(plan, task, rows, voice >> 7)
    tracks = _midi_tracks(plan, task, rows, voice)
    songs, large = _songs(plan, task, tracks, faults)
    length = (plan.end - plan.start).astype(np.int32)
    return Sheet(
        start=plan.start.astype(np.int32)[tracks.rows],
        length=length[tracks.rows],
        pitch=pitch.view(np.int8)[tracks.rows],
        velocity=plan.velocity.view(np.int8)[tracks.rows],
        songs=songs,
    ), faults | large


def _sorted(number: Ticks, rows: Ticks) -> tuple[Ticks, Ticks]:
    """Sort rows by number, then by row. One array of both takes a fifth of the time of a stable argsort."""
    bits = int(rows.max(initial=0)).bit_length()
    packed = np.sort(number << bits | rows)
    return packed >> bits, packed & ((1 << bits) - 1)


def _bounds(number: Ticks) -> Ticks:
    """Give the places at which a new number begins, and the number of places."""
    changes = np.flatnonzero(number[1:] != number[:-1]) + 1
    return np.concatenate([[0] if number.size else [], changes, [number.size]]).astype(np.int64)


def _midi_tracks(plan: Plan, task: Ticks, rows: Ticks, voice: Ticks) -> _Tracks:
    """Make MIDI tracks of the table's, given by voice, and others of what overlaps in them, behind the task's."""
    bounds = _bounds(voice >> 7)
    count = bounds.size - 1
    track = np.repeat(np.arange(count), np.diff(bounds))
    lane = lanes(voice, plan.start[rows], plan.end[rows])
    moved = np.flatnonzero(lane)
    most = int(lane.max()) + 1
    extra, moved = _sorted(track[moved] * most + lane[moved], moved)
    starts = _bounds(extra)
    kinds = extra[starts[:-1]]
    source, lane = np.append(np.arange(count), kinds // most), np.append(np.zeros(count, np.int64), kinds % most)
    order = np.lexsort((source, lane, task[rows[bounds[source]]]))
    rank = np.argsort(order)
    track[moved] = np.repeat(np.arange(count, order.size), np.diff(starts))
    track, rows = _sorted(rank[track], rows)
    return _Tracks(rows, _bounds(track), lane[order])


def _two_instruments(plan: Plan, task: Ticks, rows: Ticks, track: Ticks) -> Faults:
    """Name two instruments of a track that bears several, for each task that has one."""
    codes = plan.batch.notes["instrument"].to_physical().to_numpy()[rows]
    other = (codes[1:] != codes[:-1]) & (track[1:] == track[:-1])
    faults: Faults = {}
    for place in np.unique(task[rows[1:][other]]).tolist():
        notes = plan.batch.task(place).select("task", "track", pl.col("instrument").cast(pl.String))
        named = notes.unique().sort("track", "instrument")
        (name, number, first), (_, _, second) = named.filter(pl.col("track").is_duplicated()).rows()[:2]
        text = f"track {number} bears two instruments, {first!r} and {second!r}: number them apart"
        faults[name] = MidiError(f"task {name!r}: {text}")
    return faults


def _songs(plan: Plan, task: Ticks, tracks: _Tracks, faults: Faults) -> tuple[list[Song], Faults]:
    """Give the files of the tasks without faults, and the faults of those that are too large for one."""
    firsts = tracks.rows[tracks.bounds[:-1]]
    heads = plan.batch.notes[firsts].select("track", pl.col("instrument").cast(pl.String))
    numbers, names = heads["track"].to_list(), heads["instrument"].to_list()
    at, lane = tracks.bounds.tolist(), tracks.lane.tolist()
    edges = np.searchsorted(task[firsts], np.arange(len(plan.clocks) + 1)).tolist()
    looks = _Looks()
    songs: list[Song] = []
    large: Faults = {}
    for place, (name, clock, span) in enumerate(zip(plan.batch.tasks(), plan.clocks, pairwise(edges), strict=True)):
        if name is None or name in faults:
            continue
        here = slice(*span)
        ends = pairwise(at[span[0] : span[1] + 1])
        parts = [Part(*looks[named], *two) for named, two in zip(names[here], ends, strict=True)]
        memo = _memo(name, clock, list(zip(numbers[here], names[here], parts, strict=True)))
        if len(parts) > _MOST_TRACKS:
            text = f"{len(parts)} tracks, a MIDI file holds at most {_MOST_TRACKS}"
            large[name] = MidiError(f"task {name!r}: {text}")
        elif len(memo) > _LONGEST_MEMO:
            text = f"its id and tracks take {len(memo)} bytes of text, a MIDI file that mido reads has {_LONGEST_MEMO}"
            large[name] = MidiError(f"task {name[:40]!r}...: {text}")
        else:
            songs.append(Song(place, name, clock, memo, parts, sum(one > 0 for one in lane[here])))
    return songs, large


def _memo(task: str, clock: Clock, parts: list[tuple[int, str, Part]]) -> str:
    return Memo(
        kie_notes=1,
        task=task,
        tracks=[number for number, _, _ in parts],
        names={number: name for number, name, part in parts if part.name != name},
        divides=clock.divides,
    ).text()


class _Looks(dict[str, tuple[str, int, bool]]):
    """How each instrument's name is shown, its program, and whether it is percussion."""

    def __missing__(self, name: str) -> tuple[str, int, bool]:
        plays = instrument(name)
        self[name] = shown(name), plays.program, plays.is_drums
        return self[name]
