"""The command that makes a page for people to look at and listen to."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from kie_notes.cli.shell import DEFAULT_STORE, app, examples, source_of


@app.command(
    epilog=examples(
        "kie-notes report songs -o songs.html",
        "kie-notes report songs -o two.html --task ID1 --task ID2",
        "kie-notes report notes.parquet -o notes.html --title 'My pieces'",
    )
)
def report(
    source: Annotated[
        Path, typer.Argument(metavar="STORE", envvar="KIE_STORE", help="A store, or a notes table as .parquet.")
    ] = DEFAULT_STORE,
    *,
    output: Annotated[Path, typer.Option("--output", "-o", help="HTML file to write.")] = Path("report.html"),
    task: Annotated[list[str] | None, typer.Option(help="Only this task; may be given several times.")] = None,
    title: Annotated[str | None, typer.Option(help="What stands at the top of the page.")] = None,
) -> None:
    """Write one HTML page that shows and plays tasks, opens anywhere, and needs no network."""
    from kie_notes.report import write_report

    with source_of(source) as given:
        write_report(given, output, tasks=task or None, title=title)
    typer.echo(f"{output}: {output.stat().st_size / 1e6:.1f} MB", err=True)
