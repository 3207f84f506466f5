"""Commands that show and export what is in a store."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path  # noqa: TC003 -- typer reads the signatures
from typing import Annotated

import typer

from kie_notes.cli.shell import (
    DEFAULT_STORE,
    JsonOption,
    StoreOption,
    app,
    examples,
    existing,
    show,
)


class Picture(StrEnum):
    """What ``plot`` draws."""

    PIANO_ROLL = "piano-roll"
    ACTIVITY_SEGMENTS = "activity-segments"
    BEATS = "beats"
    CHORDS = "chords"
    DRUM_HISTOGRAM = "drum-histogram"
    DURATION_HISTOGRAM = "duration-histogram"
    HAND_SPLIT = "hand-split"
    HARDEST_WINDOWS = "hardest-windows"
    HARMONIC_CHANGE = "harmonic-change"
    INSTRUMENT_FIT = "instrument-fit"
    INTER_ONSET_HISTOGRAM = "inter-onset-histogram"
    INTERVAL_HISTOGRAM = "interval-histogram"
    INTERVAL_NGRAMS = "interval-ngrams"
    KEY_WINDOWS = "key-windows"
    NOTE_FLAGS = "note-flags"
    ONSET_DENSITY = "onset-density"
    PITCH_CLASS_HISTOGRAM = "pitch-class-histogram"
    PITCH_CLASS_TRANSITIONS = "pitch-class-transitions"
    PITCH_HISTOGRAM = "pitch-histogram"
    POLYPHONY_CURVE = "polyphony-curve"
    SKYLINE = "skyline"
    SOUNDING_DENSITY = "sounding-density"
    TEMPO = "tempo"
    TONAL_CENTROID = "tonal-centroid"


class By(StrEnum):
    """What ``describe`` gives one row for."""

    TASK = "task"
    INSTRUMENT = "instrument"


@app.command(epilog=examples("kie-notes describe --store songs --by instrument --json"))
def describe(
    *,
    store: StoreOption = DEFAULT_STORE,
    by: Annotated[By, typer.Option(help="One row per task, or per task and instrument.")] = By.TASK,
    as_json: JsonOption = False,
) -> None:
    """Describe the stored notes: counts, lengths, ranges, density, polyphony."""
    from kie_notes.analysis.summary import instrument_summary, task_summary
    from kie_notes.store import Store

    with Store(existing(store)) as kept:
        helper = task_summary if by is By.TASK else instrument_summary
        show(helper(kept.scan_notes()).collect(engine="streaming"), as_json=as_json)


@app.command(epilog=examples("kie-notes plot --store songs TASK_ID roll.png"))
def plot(
    task: Annotated[str, typer.Argument(help="Id of the task.")],
    picture: Annotated[Path, typer.Argument(help="File to write: .png, .svg or .pdf.")],
    *,
    store: StoreOption = DEFAULT_STORE,
    kind: Annotated[Picture, typer.Option(help="What to draw.")] = Picture.PIANO_ROLL,
) -> None:
    """Draw one task's notes into a file."""
    from kie_notes.pictures import draw
    from kie_notes.store import Store

    with Store(existing(store)) as kept:
        draw(kept.scan_notes(), task, picture, kind=kind.value)
