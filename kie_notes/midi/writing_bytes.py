"""A MIDI file's bytes, by symusic or by pretty_midi: which of the two writes is not heard, but felt.

Both write the same tracks, names, programs, channels and ticks. symusic puts what belongs to the whole file into the
first instrument's track, and has no text events at all; so here the first track is written by hand, as pretty_midi does
it, and symusic's tracks follow.
"""

from __future__ import annotations

import io
from importlib.util import find_spec
from typing import TYPE_CHECKING, Final, Literal

import numpy as np

from kie_notes.errors import MissingExtraError
from kie_notes.midi.ticks import TEMPO

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pretty_midi

    from kie_notes.midi.writing_tracks import Sheet, Song

#: What writes the bytes; "auto" is symusic where it is installed.
Engine = Literal["auto", "symusic", "pretty_midi"]

#: Events of the first track, each after a delta time of 0: 4/4, as pretty_midi adds it, and 500,000 us a quarter.
_METRE_AND_TEMPO: Final = bytes.fromhex("00ff580404021808 00ff510307a120")
_END_OF_TRACK: Final = bytes.fromhex("01ff2f00")


def chosen(engine: Engine) -> Engine:
    """Give the engine that is meant, and see that it is there.

    Raises
    ------
    MissingExtraError
        If it is symusic and that is not installed.
    ValueError
        If it is none of those that there are.
    """
    there = find_spec("symusic") is not None
    if engine == "auto":
        return "symusic" if there else "pretty_midi"
    if engine not in ("symusic", "pretty_midi"):
        raise ValueError(f"engine: expected one of 'auto', 'symusic', 'pretty_midi', got {engine!r}")
    if engine == "symusic" and not there:
        raise MissingExtraError('symusic is not installed; engine="symusic" needs it: pip install "kie-notes[fast]"')
    return engine


def contents(sheet: Sheet, engine: Engine) -> Iterator[bytes]:
    """Give the bytes of each of the sheet's files."""
    for song in sheet.songs:
        if engine == "symusic":
            yield _symusic(sheet, song)
        else:
            file = io.BytesIO()
            pretty(sheet, song).write(file)
            yield file.getvalue()


def pretty(sheet: Sheet, song: Song) -> pretty_midi.PrettyMIDI:
    """Make a MIDI object of one of the sheet's files."""
    import pretty_midi

    midi = empty(song.clock.ppq)
    for part in song.parts:
        span = slice(part.first, part.after)
        start = sheet.start[span].astype(np.int64)
        seconds = (song.clock.seconds(ticks).tolist() for ticks in (start, start + sheet.length[span]))
        values = zip(sheet.velocity[span].tolist(), sheet.pitch[span].tolist(), *seconds, strict=True)
        track = pretty_midi.Instrument(part.program, part.is_drums, part.name)
        track.notes = [pretty_midi.Note(*value) for value in values]
        midi.instruments.append(track)
    midi.text_events.append(pretty_midi.Text(song.memo, 0.0))
    return midi


def empty(ppq: int) -> pretty_midi.PrettyMIDI:
    """Make a MIDI object without notes."""
    import pretty_midi

    return pretty_midi.PrettyMIDI(resolution=ppq, initial_tempo=TEMPO)


def _symusic(sheet: Sheet, song: Song) -> bytes:
    from symusic.core import NoteTickList, ScoreTick, TrackTick

    score = ScoreTick(song.clock.ppq)
    columns = sheet[:4]
    for part in song.parts:
        track = TrackTick(part.name, part.program, part.is_drums)
        track.notes = NoteTickList.from_numpy(*(column[part.first : part.after] for column in columns))
        score.tracks.append(track)
    text = song.memo.encode("ascii")
    events = _METRE_AND_TEMPO + b"\x00\xff\x01" + _variable_length(len(text)) + text + _END_OF_TRACK
    header = b"MThd" + b"".join(number.to_bytes(size) for number, size in _header(song))
    tracks = memoryview(score.dumps_midi())[14:]  # without its header
    return b"".join([header, b"MTrk", len(events).to_bytes(4), events, tracks])


def _header(song: Song) -> list[tuple[int, int]]:
    """Give the numbers of the header and their sizes: its own length, format 1, tracks, ticks a quarter."""
    return [(6, 4), (1, 2), (1 + len(song.parts), 2), (song.clock.ppq, 2)]


def _variable_length(number: int) -> bytes:
    """Give a number as Standard MIDI Files have it: seven bits a byte, the eighth set in all but the last."""
    sevens = [number & 127]
    while number := number >> 7:
        sevens.append(number & 127 | 128)
    return bytes(reversed(sevens))
