"""Where each note of a task stands in a score: its place on the grid, its bar, staff and voice, and how far it moved.

Times are counted in **lines** of the grid, ``steps`` to a beat; line 0 begins bar 1. A time goes to the nearest line,
as ``quantise`` has it. What a score cannot show as it is, is changed here and nowhere else, and the table says by how
much:

- a note lasts at least one line
- of notes of one staff, pitch and line the longest is written, the others are not; and a note ends where the next of
its
  staff and pitch begins
- a staff has at most two voices: a note that a third one would have to go on with ends where that begins, and of chords
  that start together with more than two lengths all but the longest get the shortest one
- a stroke on percussion lasts until the next one or the end of its beat, since nobody hears where it ends
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Final, Literal

import numpy as np
import polars as pl

from kie_notes.analysis.grouping import INSTANT
from kie_notes.analysis.positions import located
from kie_notes.instruments import is_drums

if TYPE_CHECKING:
    from kie_notes.analysis.positions import Floats, Whole

#: Bars in the common ways of counting. In those of eighths a beat is a dotted quarter, in the others a quarter.
Metre = Literal["2/4", "3/4", "4/4", "5/4", "6/8", "9/8", "12/8"]

#: Lines to a beat of a quarter, and of a dotted quarter, that notes can be written with.
_STEPS: Final = {4: (1, 2, 3, 4, 8), 8: (3, 6, 12)}

#: Voices of a staff: with more, nobody reads it.
_VOICES: Final = 2

#: One row per note; ``line`` and ``lines`` are its place and length.
PLACES_SCHEMA: Final = pl.Schema(
    {
        "task": pl.String(),
        "track": pl.UInt16(),
        "instrument": pl.String(),
        "pitch": pl.UInt8(),
        "start": pl.Float64(),
        "end": pl.Float64(),
        "bar": pl.UInt32(),
        "onset": pl.Float64(),
        "duration": pl.Float64(),
        "staff": pl.UInt8(),
        "voice": pl.UInt8(),
        "written": pl.Boolean(),
        "start_moved": pl.Float64(),
        "end_moved": pl.Float64(),
    }
)


@dataclass(frozen=True)
class Grid:
    """How bars and beats are counted.

    Attributes
    ----------
    metre
        As it stands at the beginning of the staff.
    steps
        Lines to a beat.
    upbeat
        Beats before the first full bar.
    """

    metre: Metre
    steps: int
    upbeat: int = 0

    @property
    def beats(self) -> int:
        """Beats in a bar."""
        above, below = map(int, self.metre.split("/"))
        return above // 3 if below == 8 else above

    @property
    def bar(self) -> int:
        """Lines in a bar."""
        return self.beats * self.steps

    @property
    def beat(self) -> Fraction:
        """Quarters in a beat."""
        return Fraction(3, 2) if self.metre.endswith("8") else Fraction(1)

    def quarters(self, lines: int) -> Fraction:
        """Give a number of lines in quarters."""
        return lines * self.beat / self.steps


def grid_of(metre: Metre, steps: int | None, upbeat: int) -> Grid:
    """Give the grid of some options, or say which cannot be."""
    below = int(metre.split("/")[1])
    lines = (4 if below == 4 else 6) if steps is None else steps
    if lines not in _STEPS[below]:
        raise ValueError(f"steps: expected one of {_STEPS[below]} in {metre}, got {steps!r}")
    grid = Grid(metre, lines, upbeat)
    if not 0 <= upbeat < grid.beats:
        raise ValueError(f"upbeat: expected 0 to {grid.beats - 1} beats in {metre}, got {upbeat!r}")
    return grid


def places(notes: pl.DataFrame, hands: pl.DataFrame, beats: list[float], grid: Grid) -> pl.DataFrame:
    """Give a row of ``PLACES_SCHEMA``, ``line`` and ``lines`` for each note of one task, in the order of ``notes``.

    ``hands`` says who plays which note of a keyboard part; ``beats`` are two at least.
    """
    start, end = notes["start"].to_numpy(), notes["end"].to_numpy()
    line, starts = _lines(start, beats, grid.steps)
    last, _ = _lines(end, beats, grid.steps)
    lines = np.maximum(last - line, 1)
    line = line - grid.upbeat * grid.steps
    begin = -(-max(-int(line.min()), 0) // grid.bar) * grid.bar  # whole bars before the first beat
    alone = pl.col("track").n_unique().over("instrument") == 1  # two tracks of a piano are its two hands already
    placed = (
        notes.with_columns(line=pl.Series(line + begin), lines=pl.Series(lines))
        .join(hands, on=["track", "start", "pitch"], how="left", maintain_order="left")
        .with_columns(staff=pl.when((pl.col("hand") == "left") & alone).then(2).otherwise(1).cast(pl.UInt8))
    )
    voice, length = _voices(placed, grid)
    quarter = float(grid.beat / grid.steps)
    ends = _times(line + begin + length - begin + grid.upbeat * grid.steps, beats, grid.steps)
    return placed.with_columns(
        pl.col("task", "instrument").cast(pl.String),
        bar=(pl.col("line") // grid.bar + 1).cast(pl.UInt32),
        lines=pl.Series(length),
        onset=pl.col("line") * quarter,
        duration=pl.Series(length) * quarter,
        voice=pl.Series(np.maximum(voice, 1).astype(np.uint8)),
        written=pl.Series(voice > 0),
        start_moved=pl.Series(starts - start),
        end_moved=pl.Series(ends - end),
    ).select(*PLACES_SCHEMA, "line", "lines")


def _lines(time: Floats, beats: list[float], steps: int) -> tuple[Whole, Floats]:
    """Give the line nearest to each time, counted from the first beat, and the time of that line."""
    tasks = pl.DataFrame({"tap": [beats]})
    at = located(tasks, np.zeros(len(time), np.int64), time)
    span = at.after - at.before
    line = np.floor(at.fraction * steps + 0.5 + INSTANT * steps / span).astype(np.int64)
    return at.number * steps + line, at.before + line * (span / steps)


def _times(line: Whole, beats: list[float], steps: int) -> Floats:
    """Give the time of each line, counted from the first beat."""
    tap = np.array(beats)
    number = np.clip(line // steps, 0, len(tap) - 2)
    times: Floats = tap[number] + (line - number * steps) * ((tap[number + 1] - tap[number]) / steps)
    return times


def _voices(placed: pl.DataFrame, grid: Grid) -> tuple[Whole, Whole]:
    """Give each note its voice, from 1, or 0 where it is not written, and its length in lines."""
    voice = np.zeros(placed.height, np.int64)
    length = placed["lines"].to_numpy().copy()
    rows = placed.select("track", "instrument", "staff", "line", "pitch", "lines").with_row_index("row")
    for some in rows.partition_by("track", "staff", maintain_order=True):
        staff = _strokes(some, grid) if is_drums(str(some["instrument"][0])) else some
        kept = staff.sort("line", "pitch", "lines", descending=[False, False, True]).unique(
            ["line", "pitch"], keep="first", maintain_order=True
        )
        again = (pl.col("line").shift(-1) - pl.col("line")).over("pitch")
        kept = kept.with_columns(lines=pl.min_horizontal("lines", again))
        until, playing = [0] * _VOICES, [list[int]() for _ in range(_VOICES)]
        for onset in kept.partition_by("line", maintain_order=True):
            begin = int(onset["line"][0])
            idle = list(range(_VOICES))
            for chord, lines in _chords(onset):
                at = min(idle, key=lambda one: max(until[one] - begin, 0))
                idle.remove(at)
                if until[at] > begin:  # what sounds there ends here
                    length[playing[at]] = begin - int(placed["line"][playing[at][0]])
                until[at], playing[at] = begin + lines, chord
                voice[chord], length[chord] = at + 1, lines
    return voice, length


def _strokes(staff: pl.DataFrame, grid: Grid) -> pl.DataFrame:
    """Give strokes the length until the next one or the end of the beat."""
    line = pl.col("line")
    onsets = staff.select("line").unique().sort("line")
    beat = grid.steps - line % grid.steps
    lengths = onsets.with_columns(lines=pl.min_horizontal(line.shift(-1) - line, beat))
    return staff.drop("lines").join(lengths, on="line", how="left", maintain_order="left")


def _chords(onset: pl.DataFrame) -> list[tuple[list[int], int]]:
    """Part the notes of one line into chords of one length each, as many as there are voices, the highest first."""
    lengths = sorted(onset["lines"].unique().to_list(), reverse=True)
    shortest = lengths[-1] if len(lengths) > _VOICES else 0
    rows = onset.with_columns(
        lines=pl.when(pl.col("lines") == lengths[0]).then("lines").otherwise(shortest or pl.col("lines"))
    )
    chords = rows.group_by("lines").agg("row", high=pl.col("pitch").max()).sort("high", descending=True)
    return [(chord, lines) for lines, chord, _ in chords.select("lines", "row", "high").rows()]
