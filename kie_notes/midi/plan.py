"""Notes as MIDI files will hold them, before there is a file: ticks, velocities, and what that loses.

A file keeps for each note two ticks, a pitch and a velocity of 1 to 127, and reading it back gives just these, since no
two notes of a pitch overlap within a MIDI track (``ticks.lanes``). So the plan tells what comes back without writing.
"""

from __future__ import annotations

import json
import unicodedata
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Final, Literal, NamedTuple

import msgspec
import numpy as np
import polars as pl

from kie_notes.midi.ticks import choose_clocks
from kie_notes.notes import NOTES_SCHEMA

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from kie_notes.midi.ticks import Clock, Seconds, Ticks
    from kie_notes.midi.writing_batches import Batch

#: One row per note that a MIDI file changes.
LOSSES_SCHEMA: Final = pl.Schema(
    {
        "task": pl.String(),
        "track": pl.UInt16(),
        "instrument": pl.String(),
        "pitch": pl.UInt8(),
        "start": pl.Float64(),
        "end": pl.Float64(),
        "velocity": pl.Float32(),
        "start_after": pl.Float64(),
        "end_after": pl.Float64(),
        "velocity_after": pl.Float32(),
        "reason": pl.String(),
    }
)

#: How the memo's text begins, by which it is known.
MEMO_BEGINS: Final = '{"kie_notes":'

#: The channels of melodic tracks in turn, as pretty_midi gives them by a track's position; 9 is the drums'.
MELODIC: Final = tuple(channel for channel in range(16) if channel != 9)

#: What no note of a MIDI file can be, and how it is said; the first that applies counts.
FAULTS: Final = [
    (pl.any_horizontal(pl.col(list(NOTES_SCHEMA)).is_null()), pl.lit("a value is missing")),
    (
        ~(pl.col("start").is_finite() & pl.col("end").is_finite()),
        pl.format("start {} s and end {} s must be finite numbers", "start", "end"),
    ),
    (pl.col("start") < 0, pl.format("start {} s is before 0", "start")),
    (pl.col("end") < pl.col("start"), pl.format("end {} s is before start {} s", "end", "start")),
    (pl.col("pitch") > 127, pl.format("pitch {} is above 127", "pitch")),
    (
        pl.col("velocity") > 1,
        pl.format("velocity {} is above 1 (did you pass MIDI velocities? divide by 127)", "velocity"),
    ),
    (pl.col("velocity") < 0, pl.format("velocity {} is below 0", "velocity")),
]


class Memo(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What a file made here says about itself in one text event, as JSON, so that it reads back as it was.

    Attributes
    ----------
    kie_notes
        Version of this memo.
    task
        The task's id.
    tracks
        For each MIDI track, in order, the track of the notes table that it belongs to.
    names
        Instruments of the tracks whose names are not ASCII; the MIDI track shows them without what ASCII lacks.
    divides
        See ``Clock``.
    """

    kie_notes: Literal[1]
    task: str
    tracks: list[Annotated[int, msgspec.Meta(ge=0, le=65535)]]
    names: dict[int, str] = msgspec.field(default_factory=dict)
    divides: bool = True

    def text(self) -> str:
        """Give the memo as ASCII, which every reader of a MIDI file decodes alike."""
        return json.dumps(msgspec.to_builtins(self, str_keys=True), separators=(",", ":"))


@dataclass(frozen=True)
class Plan:
    """The notes of a batch of tasks and what becomes of each, row by row.

    Attributes
    ----------
    batch
        The notes, in canonical order, and where tasks begin.
    clocks
        Each task's clock.
    start, end
        Ticks; ``end`` > ``start``.
    velocity
        1 to 127.
    """

    batch: Batch
    clocks: list[Clock]
    start: Ticks
    end: Ticks
    velocity: NDArray[np.uint8]

    def after(self) -> dict[str, NDArray[np.float64] | NDArray[np.float32]]:
        """Give each note's times and velocity as they come back from the file."""
        seconds = _clock_of_rows(self.clocks, self.batch.bounds).seconds
        velocity = velocity_of(np.arange(128, dtype=np.uint8))[self.velocity]
        return {"start": seconds(self.start), "end": seconds(self.end), "velocity": velocity}

    def changes(self) -> Changes:
        """Count for each task the notes that come back otherwise than they went."""
        firsts = self.batch.bounds[:-1]
        before, after = self.batch.notes, self.after()
        shift = np.maximum(*(np.abs(after[name] - before[name].to_numpy()) for name in ("start", "end")))
        moved, velocity = shift != 0, after["velocity"] != before["velocity"].to_numpy()
        notes, moved, velocity = (
            np.add.reduceat(one, firsts, dtype=np.int64) for one in (moved | velocity, moved, velocity)
        )
        return Changes(notes, moved, velocity, np.maximum.reduceat(shift, firsts))

    def losses(self) -> pl.DataFrame:
        """Give a row of ``LOSSES_SCHEMA`` for each note that comes back otherwise than it went."""
        before, after = self.batch.notes, self.after()
        lost = np.flatnonzero(np.any([after[name] != before[name].to_numpy() for name in after], axis=0))
        widened = _clock_of_rows(self.clocks, self.batch.bounds).ticks(before["end"].to_numpy()) == self.start
        return (
            before[lost]
            .with_columns(pl.Series(f"{name}_after", values[lost]) for name, values in after.items())
            .with_columns(pl.Series("widened", widened[lost]), pl.col("task", "instrument").cast(pl.String))
            .with_columns(reason=pl.concat_str(_reasons(), separator="; ", ignore_nulls=True))
            .select(LOSSES_SCHEMA.names())
        )


class Changes(NamedTuple):
    """For each task the number of notes that change at all, in time, in velocity, and the largest shift in seconds."""

    notes: NDArray[np.int64]
    moved: NDArray[np.int64]
    velocity: NDArray[np.int64]
    largest_shift: NDArray[np.float64]


def velocity_of(velocity: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Give MIDI velocities as the table's: n / 127, which is what the service sends."""
    return np.divide(velocity, 127, dtype=np.float32)


def plan(batch: Batch) -> Plan:
    """Plan the files of a batch of tasks, at least one, of which each has notes that a file can hold."""
    start, end, velocity = (batch.notes[name].to_numpy() for name in ("start", "end", "velocity"))
    clocks = choose_clocks(batch.bounds, start, end)
    ticks = _clock_of_rows(clocks, batch.bounds).ticks
    begins = ticks(start)
    return Plan(
        batch=batch,
        clocks=clocks,
        start=begins,
        end=np.maximum(ticks(end), begins + 1),
        velocity=np.clip(np.rint(velocity * np.float64(127)), 1, 127).astype(np.uint8),
    )


def first_fault(notes: pl.DataFrame) -> str | None:
    """Say which note has a value that no note can have, and which; None when none has."""
    said = pl.coalesce(pl.when(wrong).then(text) for wrong, text in FAULTS)
    faults = notes.with_row_index("row").select(pl.format("notes[{}]: {}", "row", said)).drop_nulls()
    return str(faults.item(0, 0)) if faults.height else None


def shown(name: str) -> str:
    """Give the nearest ASCII text to a name: accents dropped, other letters as question marks.

    Track names have no declared encoding: pretty_midi and mido read Latin-1, symusic reads UTF-8.
    """
    plain = "".join(letter for letter in unicodedata.normalize("NFKD", name) if not unicodedata.combining(letter))
    return plain.encode("ascii", "replace").decode("ascii")


def channels(drums: list[bool]) -> list[int]:
    """Give the MIDI channel on which pretty_midi writes each track."""
    return [9 if is_drums else MELODIC[place % len(MELODIC)] for place, is_drums in enumerate(drums)]


class _RowClock(NamedTuple):
    """``Clock`` of many tasks: numbers of each row, or one for all."""

    rate: NDArray[np.int64]
    divides: NDArray[np.bool_]

    def ticks(self, seconds: Seconds) -> Ticks:
        return np.rint(seconds * self.rate).astype(np.int64)

    def seconds(self, ticks: Ticks) -> Seconds:
        if self.divides.all():
            return ticks / self.rate
        return np.where(self.divides, ticks / self.rate, ticks * (1 / self.rate))


def _clock_of_rows(clocks: list[Clock], bounds: Ticks) -> _RowClock:
    if len(set(clocks)) == 1:
        return _RowClock(np.array(2 * clocks[0].ppq), np.array(clocks[0].divides))
    ppq, divides = zip(*clocks, strict=True)
    sizes = np.diff(bounds)
    return _RowClock(np.repeat(2 * np.array(ppq), sizes), np.repeat(divides, sizes))


def _reasons() -> list[pl.Expr]:
    """Say in words why each note comes back changed, one expression for each possible reason."""
    start, end, velocity = (pl.col(f"{name}_after") - pl.col(name) for name in ("start", "end", "velocity"))
    short = (
        pl.when(pl.col("start") == pl.col("end")).then(pl.lit("zero length")).otherwise(pl.lit("shorter than a tick"))
    )
    return [
        pl.when(start != 0).then(pl.format("off the grid: start moved by {} ms", _signed(1000 * start))),
        pl.when("widened")
        .then(pl.format("{}: became one tick, end moved by {} ms", short, _signed(1000 * end)))
        .when(end != 0)
        .then(pl.format("off the grid: end moved by {} ms", _signed(1000 * end))),
        pl.when(pl.col("velocity") == 0)
        .then(pl.lit("velocity 0 became 1/127"))
        .when(velocity != 0)
        .then(pl.format("velocity off the steps of 1/127: moved by {}", _signed(velocity))),
    ]


def _signed(number: pl.Expr) -> pl.Expr:
    digits = number.round_sig_figs(3).cast(pl.String)
    return pl.when(number > 0).then(pl.format("+{}", digits)).otherwise(digits)
