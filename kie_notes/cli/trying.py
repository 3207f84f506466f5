"""Commands for trying things without a key: the demonstration, and the stand-in of the service."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from kie_notes.cli.shell import app, examples, show


@app.command(epilog=examples("kie-notes demo --folder /tmp/demo"))
def demo(
    folder: Annotated[
        Path, typer.Option(help="Where to put the store, the picture, the page and the .mid files.")
    ] = Path("kie-notes-demo"),
) -> None:
    """Fetch real music from a service on this machine, store it, describe it, picture it, export it."""
    from kie_notes.demo import PICTURED
    from kie_notes.demo import demo as run

    made = run(folder)
    store = folder / "store"
    typer.echo(str(made.report), err=True)
    show(made.summary, as_json=False)
    typer.echo(f"\npicture: {made.picture}\nMIDI:    {made.midi}", err=True)
    typer.echo(f"page:    {made.page} (open it in a browser: it plays)\n", err=True)
    typer.echo("What to type next:", err=True)
    typer.echo(f"  kie-notes describe --store {store} --by instrument", err=True)
    typer.echo(f"  kie-notes plot --store {store} --kind pitch-class-histogram {PICTURED} out.png", err=True)
    typer.echo("  kie-notes fetch YOUR_TASK_ID        # with your key in KIE_API_KEY", err=True)


@app.command(epilog=examples("kie-notes sandbox --records data/samples/records --port 8765"))
def sandbox(
    *,
    records: Annotated[Path | None, typer.Option(help="Folder of <task>.json bodies to serve.", exists=True)] = None,
    port: Annotated[int, typer.Option(help="Port on loopback; 0 takes a free one.")] = 8765,
    delay: Annotated[float, typer.Option(help="Seconds for which a new task is pending.")] = 3.0,
    behaviours: Annotated[bool, typer.Option("--list", help="Say what the sandbox does, and how it is known.")] = False,
) -> None:
    """Run a stand-in of the service on this machine, to try things without a key."""
    from kie_notes.api.sandbox import BEHAVIOURS, Sandbox

    if behaviours:
        for one in BEHAVIOURS:
            typer.echo("\t".join(one))
        return
    with Sandbox(records, port=port, delay=delay, rate_limits=True) as service:
        typer.echo(f"KIE_BASE_URL={service.url}\nKIE_API_KEY={service.key}")
        sys.stdout.flush()
        typer.echo("Put these two into the environment of another terminal. Ctrl-C ends the sandbox.", err=True)
        service.serve_forever()
