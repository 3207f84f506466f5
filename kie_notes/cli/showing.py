"""Commands that show and export what is in a store."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path  # noqa: TC003 -- typer reads the signatures
from typing import Annotated

import typer

from kie_notes.cli.shell import (
    DEFAULT_STORE,
    IdsArgument,
    JsonOption,
    StoreOption,
    app,
    examples,
    existing,
    show,
    task_ids,
)


class Picture(StrEnum):
    """What ``plot`` draws."""

    ROLL = "piano-roll"
    PITCH = "pitch-histogram"
    PITCH_CLASS = "pitch-class-histogram"
    DENSITY = "onset-density"


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
    kind: Annotated[Picture, typer.Option(help="What to draw.")] = Picture.ROLL,
) -> None:
    """Draw one task's notes into a file."""
    from kie_notes.pictures import draw
    from kie_notes.store import Store

    with Store(existing(store)) as kept:
        draw(kept.scan_notes(), task, picture, kind=kind.value)


@app.command("export-midi", epilog=examples("kie-notes export-midi --store songs midi/"))
def export_midi(
    folder: Annotated[Path, typer.Argument(help="Where to write one .mid per task.")],
    ids: IdsArgument = None,
    *,
    store: StoreOption = DEFAULT_STORE,
    as_json: JsonOption = False,
) -> None:
    """Write tasks as .mid files, and say of each how many notes are exact."""
    import polars as pl

    from kie_notes.midi import write_midi
    from kie_notes.store import Store

    with Store(existing(store)) as kept:
        notes = kept.scan_notes()
        chosen = notes.filter(pl.col("task").is_in(task_ids(ids, None))) if ids else notes
        written = write_midi(chosen.collect(engine="streaming"), folder, on_error="skip")
    show(written, as_json=as_json)
    raise typer.Exit(0 if written["reason"].null_count() == written.height else 3)


@app.command("import-midi", epilog=examples("kie-notes import-midi midi/ notes.parquet"))
def import_midi(
    source: Annotated[Path, typer.Argument(help="A .mid file, or a folder of them.", exists=True)],
    table: Annotated[Path, typer.Argument(help="Parquet file to write the notes table to.")],
) -> None:
    """Read .mid files into a notes table."""
    from kie_notes.midi import from_midi

    notes = from_midi(source)
    notes.write_parquet(table, mkdir=True)
    typer.echo(f"{notes['task'].n_unique()} tasks, {notes.height} notes: {table}", err=True)
