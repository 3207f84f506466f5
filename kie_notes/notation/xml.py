"""Placed notes as a music21 score, full in every bar, and that as MusicXML.

music21 writes the file since it alone of the libraries at hand beams, brackets triplets and typesets two staves and
percussion; it cuts nothing here: bars, ties, rests and spelling are those below.
"""

from __future__ import annotations

import statistics
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import polars as pl

from kie_notes.errors import MissingExtraError
from kie_notes.instruments import instrument, is_drums

if TYPE_CHECKING:
    from collections.abc import Iterator

    from music21.clef import Clef
    from music21.stream import Measure, Part, Score

    from kie_notes.notation.grid import Grid

#: Lengths in quarters that one note head can have.
_HEADS: Final = frozenset(
    Fraction(count) / parts for parts in (1, 2, 4, 8, 3, 6) for count in (1, 2, 4) if Fraction(count) / parts <= 4
) | {Fraction(3), Fraction(6), Fraction(3, 2), Fraction(3, 4), Fraction(3, 8)}

#: Natural notes in fifths from F, with the semitones that they are above C.
_STEPS: Final = {"F": 5, "C": 0, "G": 7, "D": 2, "A": 9, "E": 4, "B": 11}

#: Where percussion keys stand, and with which head (Weinberg, "Guidelines for drumset notation", 1998); others on the
#: middle line.
_KIT: Final = {
    "F4": (35, 36),
    "D4 x": (44,),
    "A4": (41, 43),
    "B4": (45, 47),
    "C5": (38, 40),
    "C5 x": (37, 39),
    "D5": (48,),
    "E5": (50,),
    "F5 x": (51, 53, 59),
    "G5 x": (42, 46),
    "A5 x": (49, 52, 55, 57),
}
_STANDS: Final = {key: place for place, keys in _KIT.items() for key in keys}


class Event(NamedTuple):
    """A chord, or a rest where there are no pitches, in lines from the beginning of its bar."""

    begin: int
    lines: int
    pitches: tuple[int, ...]
    tied_from: bool
    tied_on: bool


class Heading(NamedTuple):
    """What stands above the score: title, a line that says what it is, the tempo, and the key as fifths."""

    title: str
    told: str
    bpm: float
    fifths: int
    tonic: int


def heading(task: str, told: str, bpm: float, key: str | None) -> Heading:
    """Give the heading of a task's score; without a key it has no accidentals."""
    name, _, mode = (key or "C major").partition(" ")
    tonic = list(_STEPS).index(name[0]) - 1 + 7 * (name.count("#") - name.count("b"))
    return Heading(task, told, bpm, tonic if mode == "major" else tonic - 3, tonic)


def musicxml(placed: pl.DataFrame, head: Heading, grid: Grid) -> str:
    """Give one task's score as the text of a MusicXML file."""
    try:
        from music21 import musicxml as xml
    except ImportError as fault:
        raise MissingExtraError("scores need music21: pip install 'kie-notes[score]'") from fault
    exporter = xml.m21ToXml.GeneralObjectExporter(_score(placed, head, grid))
    exporter.makeNotation = False
    return exporter.parse().decode()


def _score(placed: pl.DataFrame, head: Heading, grid: Grid) -> Score:
    from music21 import layout, metadata, stream

    score = stream.Score()
    score.metadata = metadata.Metadata(title=f"{head.title} (sketch)", composer="no edition: placed by kie_notes")
    bars = max(-(-int(placed.select((pl.col("line") + pl.col("lines")).max()).item() or 0) // grid.bar), 1)
    for track in placed.sort("track").partition_by("track", maintain_order=True):
        staves = [track.filter(staff=staff) for staff in (1, 2)]
        if staves[1].is_empty() or staves[0].is_empty():
            staves = [track]
        parts: list[Part] = [stream.PartStaff() for _ in staves] if len(staves) > 1 else [stream.Part()]
        for part, notes in zip(parts, staves, strict=True):
            _fill(part, notes, head, grid, bars)
            score.insert(0, part)
        if len(parts) > 1:
            score.insert(0, layout.StaffGroup(parts, name=str(track["instrument"][0]), symbol="brace"))
    _label(score, head, grid)
    return score


def _fill(part: Part, notes: pl.DataFrame, head: Heading, grid: Grid, bars: int) -> None:
    """Write one staff."""
    from music21 import clef, key, meter, stream
    from music21.bar import Barline
    from music21.instrument import Instrument, UnpitchedPercussion

    name = str(notes["instrument"][0])
    drums = is_drums(name)
    plays = UnpitchedPercussion() if drums else Instrument(name)
    plays.partName, plays.midiProgram = name, None if drums else instrument(name).program
    part.partName = name
    part.insert(0, plays)
    voices = [list(_events(voice, grid, bars)) for voice in notes.filter("written").sort("voice").partition_by("voice")]
    for bar in range(bars):
        measure = stream.Measure(number=bar + 1)
        if bar == 0:
            signs = [clef.PercussionClef() if drums else _clef(name, notes["pitch"].to_list())]
            measure.append([*signs, key.KeySignature(0 if drums else head.fifths), meter.TimeSignature(grid.metre)])
        full = [voice[bar] for voice in voices if any(event.pitches for event in voice[bar])]
        for at, events in enumerate(full or [voices[0][bar]]):
            into = measure if len(full) < 2 else stream.Voice(id=str(at + 1))
            for event in events:
                into.insert(float(grid.quarters(event.begin)), _head(event, head, grid, drums=drums, hidden=at > 0))
            if into is not measure:
                measure.insert(0, into)
        if bar == bars - 1:
            measure.rightBarline = Barline("final")
        part.append(measure)
    _beam(part)


def _beam(part: Part) -> None:
    from music21.stream.makeNotation import makeTupletBrackets

    part.makeBeams(inPlace=True)
    for measure in part.getElementsByClass("Measure"):
        for voice in measure.voices or [measure]:
            makeTupletBrackets(voice, inPlace=True)
    part.makeAccidentals(inPlace=True)


def _label(score: Score, head: Heading, grid: Grid) -> None:
    from music21 import expressions, tempo

    first: Measure = score.parts[0].getElementsByClass("Measure")[0]
    referent = "quarter" if grid.beat == 1 else 1.5
    first.insert(0, tempo.MetronomeMark(number=round(head.bpm), referent=referent))
    said = expressions.TextExpression(head.told)
    said.placement = "above"
    first.insert(0, said)


def _clef(name: str, pitches: list[int]) -> Clef:
    """Give the clef that an instrument is written in, or that which its pitches lie in."""
    from music21 import clef

    family = instrument(name).family
    if family in ("Guitar", "Bass"):
        return clef.Treble8vbClef() if family == "Guitar" else clef.Bass8vbClef()
    return clef.TrebleClef() if statistics.median(pitches) >= 59 else clef.BassClef()


def _events(voice: pl.DataFrame, grid: Grid, bars: int) -> Iterator[list[Event]]:
    """Give each bar's chords and rests, cut so that each is one head, in order and without a gap."""
    chords = voice.group_by("line", maintain_order=True).agg("pitch", pl.col("lines").first()).sort("line")
    spans = [(line, line + lines, tuple(sorted(pitches))) for line, pitches, lines in chords.rows()]
    at = 0
    for bar in range(bars):
        here, last = bar * grid.bar, (bar + 1) * grid.bar
        events: list[Event] = []
        cursor = here
        while at < len(spans) and spans[at][0] < last:
            begin, end, pitches = spans[at]
            events += _cut(cursor - here, max(begin, here) - here, (), grid, from_=False, on=False)
            stop = min(end, last)
            events += _cut(max(begin, here) - here, stop - here, pitches, grid, from_=begin < here, on=end > last)
            cursor = stop
            if end > last:
                break
            at += 1
        if cursor == here:
            events = [Event(0, grid.bar, (), tied_from=False, tied_on=False)]
        else:
            events += _cut(cursor - here, grid.bar, (), grid, from_=False, on=False)
        yield events


def _cut(begin: int, end: int, pitches: tuple[int, ...], grid: Grid, *, from_: bool, on: bool) -> list[Event]:
    """Cut a stretch of a bar into lengths that one head can have and that show the beats."""
    pieces = list(_pieces(begin, end, grid))
    last = len(pieces) - 1
    return [
        Event(piece, lines, pitches, tied_from=from_ or at > 0, tied_on=on or at < last)
        for at, (piece, lines) in enumerate(pieces)
    ]


def _pieces(begin: int, end: int, grid: Grid) -> Iterator[tuple[int, int]]:
    """Give whole beats together, and parts of a beat by themselves; a beat's length from half a beat on may stand."""
    while begin < end:
        into = begin % grid.steps
        rest = end - begin
        if into == 0 and rest >= grid.steps:
            room = rest - rest % grid.steps
        elif 2 * into == grid.steps and rest >= grid.steps and grid.beat == 1:
            room = grid.steps
        else:
            room = min(rest, grid.steps - into)
        lines = next(one for one in range(room, 0, -1) if grid.quarters(one) in _HEADS and _shown(one, room, grid))
        yield begin, lines
        begin += lines


def _shown(lines: int, room: int, grid: Grid) -> bool:
    """Whether a length that begins on a beat ends on one, if there is room for beats."""
    return room < grid.steps or lines % grid.steps == 0


def _head(event: Event, head: Heading, grid: Grid, *, drums: bool, hidden: bool) -> Any:  # noqa: ANN401 -- one of five
    """Give the note, chord or rest of an event."""
    from music21 import chord, note, percussion, tie

    quarters = grid.quarters(event.lines)
    made: Any
    if not event.pitches:
        made = note.Rest(quarterLength=quarters)
        made.style.hideObjectOnPrint = hidden
        made.fullMeasure = event.lines == grid.bar
        return made
    if drums:
        heads = [_struck(pitch) for pitch in event.pitches]
        made = heads[0] if len(heads) == 1 else percussion.PercussionChord(heads)
    else:
        heads = [note.Note(_spelled(pitch, head.tonic)) for pitch in event.pitches]
        made = heads[0] if len(heads) == 1 else chord.Chord(heads)
    made.quarterLength = quarters
    if event.tied_from or event.tied_on:
        kind = "continue" if event.tied_from and event.tied_on else "stop" if event.tied_from else "start"
        for one in heads if len(heads) > 1 else [made]:
            one.tie = tie.Tie(kind)
    return made


def _struck(pitch: int) -> Any:  # noqa: ANN401 -- music21's Unpitched
    from music21 import note

    place, _, shape = _STANDS.get(pitch, "B4").partition(" ")
    struck = note.Unpitched(place)
    struck.notehead = "x" if shape else "normal"
    return struck


def _spelled(pitch: int, tonic: int) -> str:
    """Spell a pitch as one of the twelve fifths from five below the tonic to six above it."""
    fifths = next(one for one in range(tonic - 5, tonic + 7) if one * 7 % 12 == pitch % 12)
    step, sharps = list(_STEPS)[(fifths + 1) % 7], (fifths + 1) // 7
    octave = (pitch - sharps - _STEPS[step]) // 12 - 1
    return f"{step}{'#' * sharps}{'-' * -sharps}{octave}"
