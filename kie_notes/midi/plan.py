"""One task's notes as a MIDI file will hold them, before there is a file: ticks, velocities, and what that loses.

A file keeps for each note two ticks, a pitch and a velocity of 1 to 127, and reading it back gives just these, since no
two notes of a pitch overlap within a MIDI track (``lanes``). So the plan tells what comes back without writing.
"""

from __future__ import annotations

import json
import unicodedata
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Final, Literal

import msgspec
import numpy as np
import polars as pl

from kie_notes.errors import MidiError, NotesOrderError
from kie_notes.midi.ticks import Clock, choose_clock, lanes
from kie_notes.notes import NOTES_SCHEMA, check_notes, sort_notes

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from kie_notes.midi.ticks import Ticks
    from kie_notes.notes import Frame

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
_CHANNELS: Final = tuple(channel for channel in range(16) if channel != 9)

#: What a table cannot bear on its way to a file, by the first reason that applies.
_FAULT: Final = (
    pl.when(pl.any_horizontal(pl.col(list(NOTES_SCHEMA)).is_null()))
    .then(pl.lit("a value is missing"))
    .when(~(pl.col("start").is_finite() & pl.col("end").is_finite()))
    .then(pl.format("start {} s and end {} s must be finite numbers", "start", "end"))
    .when(pl.col("start") < 0)
    .then(pl.format("start {} s is before 0", "start"))
    .when(pl.col("end") < pl.col("start"))
    .then(pl.format("end {} s is before start {} s", "end", "start"))
    .when(pl.col("pitch") > 127)
    .then(pl.format("pitch {} is above 127", "pitch"))
    .when(pl.col("velocity") > 1)
    .then(pl.format("velocity {} is above 1 (did you pass MIDI velocities? divide by 127)", "velocity"))
    .when(pl.col("velocity") < 0)
    .then(pl.format("velocity {} is below 0", "velocity"))
)


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
    """One task's notes and what becomes of each, row by row.

    Attributes
    ----------
    task
        Its id.
    notes
        The notes, in canonical order.
    clock
        The file's clock.
    start, end
        Ticks; ``end`` > ``start``.
    velocity
        1 to 127.
    """

    task: str
    notes: pl.DataFrame
    clock: Clock
    start: Ticks
    end: Ticks
    velocity: NDArray[np.int64]

    def lane(self) -> Ticks:
        """Give each note's lane: 0, or more where it overlaps others of its track and pitch and needs a MIDI track."""
        voice = self.notes["track"].to_numpy().astype(np.int64) * 128 + self.notes["pitch"].to_numpy()
        return lanes(voice, self.start, self.end)

    def after(self) -> pl.DataFrame:
        """Give each note's times and velocity as they come back from the file."""
        return pl.DataFrame(
            {
                "start_after": self.clock.seconds(self.start),
                "end_after": self.clock.seconds(self.end),
                "velocity_after": velocity_of(self.velocity),
            }
        )

    def losses(self) -> pl.DataFrame:
        """Give a row of ``LOSSES_SCHEMA`` for each note that comes back otherwise than it went."""
        widened = self.clock.ticks(self.notes["end"].to_numpy()) == self.start
        pairs = [(pl.col(name), pl.col(f"{name}_after")) for name in ("start", "end", "velocity")]
        return (
            pl.concat([self.notes, self.after()], how="horizontal")
            .with_columns(pl.Series("widened", widened), pl.col("task", "instrument").cast(pl.String))
            .filter(pl.any_horizontal(before != after for before, after in pairs))
            .with_columns(reason=pl.concat_str(_reasons(), separator="; ", ignore_nulls=True))
            .select(LOSSES_SCHEMA.names())
        )


def velocity_of(velocity: NDArray[np.int64] | NDArray[np.uint8]) -> NDArray[np.float32]:
    """Give MIDI velocities as the table's: n / 127, which is what the service sends."""
    return (velocity / 127).astype(np.float32)


def by_task(notes: Frame) -> list[pl.DataFrame]:
    """Take a notes table apart into one frame for each task, in the table's order.

    Raises
    ------
    NotesSchemaError
        If it is no notes table.
    NotesOrderError
        If a task's notes do not stand together.
    """
    table = check_notes(notes).select(list(NOTES_SCHEMA)).lazy().collect()
    runs = table["task"].rle().struct.field("value")
    if runs.n_unique() < runs.len():
        task = runs.filter(runs.is_duplicated())[0]
        raise NotesOrderError(f"task {task!r}: its notes do not stand together; call sort_notes(notes) first")
    return table.partition_by("task", maintain_order=True)


def plan(notes: pl.DataFrame) -> Plan:
    """Plan the file of one task, the only one in ``notes``, which has at least one row.

    Raises
    ------
    NotesOrderError
        If the notes are not in canonical order.
    MidiError
        If a value is none that a note can have, a track bears two instruments, or the task lasts too long.
    """
    task = str(notes["task"][0])
    _check_values(task, notes)
    start, end = (notes[name].to_numpy() for name in ("start", "end"))
    try:
        clock = choose_clock(np.concatenate([start, end]))
    except MidiError as fault:
        raise MidiError(f"task {task!r}: {fault}") from fault
    begins = clock.ticks(start)
    return Plan(
        task=task,
        notes=notes,
        clock=clock,
        start=begins,
        end=np.maximum(clock.ticks(end), begins + 1),
        velocity=np.clip(np.rint(notes["velocity"].to_numpy() * np.float64(127)), 1, 127).astype(np.int64),
    )


def first_fault(notes: pl.DataFrame) -> str | None:
    """Say which note has a value that no note can have, and which; None when none has."""
    faults = notes.with_row_index("row").select(pl.format("notes[{}]: {}", "row", _FAULT)).drop_nulls()
    return str(faults.item(0, 0)) if faults.height else None


def shown(name: str) -> str:
    """Give the nearest ASCII text to a name: accents dropped, other letters as question marks.

    Track names have no declared encoding: pretty_midi and mido read Latin-1, symusic reads UTF-8.
    """
    plain = "".join(letter for letter in unicodedata.normalize("NFKD", name) if not unicodedata.combining(letter))
    return plain.encode("ascii", "replace").decode("ascii")


def channels(drums: list[bool]) -> list[int]:
    """Give the MIDI channel on which pretty_midi writes each track."""
    return [9 if is_drums else _CHANNELS[place % len(_CHANNELS)] for place, is_drums in enumerate(drums)]


def _check_values(task: str, notes: pl.DataFrame) -> None:
    fault = first_fault(notes)
    if fault:
        raise MidiError(f"task {task!r}: {fault}")
    if not notes.equals(sort_notes(notes)):
        raise NotesOrderError(f"task {task!r}: notes are not in canonical order; call sort_notes(notes) first")
    named = notes.select("track", pl.col("instrument").cast(pl.String)).unique().sort("track", "instrument")
    shared = named.filter(pl.col("track").is_duplicated())
    if shared.height:
        (track, first), (_, second) = shared.rows()[:2]
        raise MidiError(
            f"task {task!r}: track {track} bears two instruments, {first!r} and {second!r}: number them apart"
        )


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
