"""Commands between a store, tables and MIDI files."""

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


class Pedal(StrEnum):
    """What ``import-midi`` makes of the sustain pedal."""

    IGNORE = "ignore"
    APPLY = "apply"


@app.command("export-midi", epilog=examples("kie-notes export-midi --store songs midi/"))
def export_midi(
    folder: Annotated[Path, typer.Argument(help="Where to write one .mid per task.")],
    ids: IdsArgument = None,
    *,
    store: StoreOption = DEFAULT_STORE,
    workers: Annotated[int, typer.Option(min=1, help="Processes that write.")] = 1,
    as_json: JsonOption = False,
) -> None:
    """Write tasks as .mid files, and say of each how many notes are exact."""
    import polars as pl

    from kie_notes.midi import write_midi
    from kie_notes.store import Store

    with Store(existing(store)) as kept:
        notes = kept.scan_notes()
        chosen = notes.filter(pl.col("task").is_in(task_ids(ids, None))) if ids else notes
        written = write_midi(chosen, folder, workers=workers, on_error="skip")
    show(written, as_json=as_json)
    raise typer.Exit(0 if written["reason"].null_count() == written.height else 3)


@app.command(
    "import-midi",
    epilog=examples(
        "kie-notes import-midi midi/ notes.parquet",
        "kie-notes import-midi lakh/ notes.parquet --workers 8 --pedal apply",
    ),
)
def import_midi(
    source: Annotated[Path, typer.Argument(help="A .mid file, or a folder of them.", exists=True)],
    table: Annotated[Path, typer.Argument(help="Parquet file to write the notes table to.")],
    *,
    pedal: Annotated[Pedal, typer.Option(help="Whether notes sound on while the pedal is down.")] = Pedal.IGNORE,
    workers: Annotated[int, typer.Option(min=1, help="Processes that read.")] = 1,
    as_json: JsonOption = False,
) -> None:
    """Read .mid files of anybody's into a notes table, and say what could not be taken."""
    from kie_notes.midi import read_midi

    notes, tasks, rejects = read_midi(source, pedal=pedal.value, workers=workers)
    notes.write_parquet(table, mkdir=True)
    read = tasks.filter(state="complete").height
    typer.echo(f"{read} of {tasks.height} files with {notes.height} notes: {table}", err=True)
    if rejects.height:
        show(rejects, as_json=as_json)
    raise typer.Exit(0 if not tasks.filter(state="failed").height else 3)
