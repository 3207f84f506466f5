"""Commands by which notes come in: asked for, waited for, called back, read from files."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from kie_notes.cli.shell import (
    DEFAULT_STORE,
    FileOption,
    IdsArgument,
    JsonOption,
    StoreOption,
    app,
    client,
    examples,
    existing,
    show,
    task_ids,
)

if TYPE_CHECKING:
    from kie_notes.collect import CollectReport

WorkersOption = Annotated[int, typer.Option(min=1, max=32, help="Tasks asked for at a time.")]


@app.command(
    epilog=examples(
        "kie-notes fetch ID1 ID2",
        "kie-notes fetch --file ids.txt",
        "cat ids.txt | kie-notes fetch -",
        "kie-notes fetch ID --with-song --separation SEPARATION_ID",
    )
)
def fetch(  # noqa: PLR0913 -- the same words for ids, waits and origins
    ids: IdsArgument = None,
    *,
    file: FileOption = None,
    pending: Annotated[bool, typer.Option("--pending", help="All MIDI tasks of the store that are open.")] = False,
    store: StoreOption = DEFAULT_STORE,
    submitted: Annotated[
        datetime | None,
        typer.Option(formats=["%Y-%m-%d"], help="Day on which the tasks were submitted (UTC), if not today."),
    ] = None,
    with_song: Annotated[
        bool, typer.Option("--with-song", help="Bring the separations and the songs that the tasks were made of too.")
    ] = False,
    separation: Annotated[str | None, typer.Option(help="The separation that all these tasks were made of.")] = None,
    deadline: Annotated[float, typer.Option(help="Seconds to wait for tasks that are pending.")] = 600.0,
    workers: WorkersOption = 4,
    as_json: JsonOption = False,
) -> None:
    """Fetch the results of MIDI tasks into a store, waiting for those that are pending."""
    from kie_notes.collect import collect
    from kie_notes.store import Store

    tasks = [] if pending else task_ids(ids, file)
    with Store(existing(store) if pending else store) as kept, client() as service:
        tasks += kept.open_tasks().filter(kind="midi")["task"].to_list() if pending else []
        since = submitted.replace(tzinfo=UTC) if submitted else None
        kept.add(tasks, submitted_at=since, parent=separation)
        try:
            report = collect(tasks, kept, service, deadline=deadline, workers=workers, with_song=with_song)
        except KeyboardInterrupt:
            typer.echo(f"{kept.open_tasks().height} tasks remain pending in {store}", err=True)
            raise
    _tell(report, as_json=as_json)


@app.command(epilog=examples("kie-notes watch --store songs", "kie-notes watch --deadline 3600 --json"))
def watch(
    *,
    store: StoreOption = DEFAULT_STORE,
    deadline: Annotated[
        float | None, typer.Option(help="Seconds after which to stop, also when something is pending.")
    ] = None,
    workers: WorkersOption = 4,
    as_json: JsonOption = False,
) -> None:
    """Ask for all open tasks of a store, of every kind, until nothing is pending."""
    from kie_notes.collect import watch as run
    from kie_notes.store import Store

    with Store(existing(store)) as kept, client() as service:
        try:
            counts = run(kept, service, deadline=deadline, workers=workers)
        except KeyboardInterrupt:
            typer.echo(f"{kept.open_tasks().height} tasks remain open in {store}", err=True)
            raise
    show(counts, as_json=as_json)
    raise typer.Exit(3 if set(counts["state"]) & {"failed", "expired", "pending"} else 0)


@app.command(
    epilog=examples(
        "KIE_WEBHOOK_KEYS=... kie-notes listen --store songs",
        "kie-notes listen --port 9000 --path /x",
        "kie-notes listen --without-signature --no-confirm",
    )
)
def listen(
    *,
    store: StoreOption = DEFAULT_STORE,
    host: Annotated[
        str, typer.Option(help="Address to listen on; a reverse proxy with TLS belongs in front.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 takes a free one.")] = 8780,
    path: Annotated[str, typer.Option(help="Path at which callbacks are taken.")] = "/",
    without_signature: Annotated[
        bool, typer.Option("--without-signature", help="Take callbacks from anybody who finds the address.")
    ] = False,
    confirm: Annotated[
        bool, typer.Option("--confirm/--no-confirm", help="Ask the service for the tasks that were called back.")
    ] = True,
) -> None:
    """Take the service's callbacks into a store, until Ctrl-C; the keys that sign them are in KIE_WEBHOOK_KEYS."""
    from kie_notes.receiver import WITHOUT_SIGNATURE
    from kie_notes.receiver import listen as run
    from kie_notes.store import Store

    service = client()  # reads .env, too
    given = f"{os.environ.get('KIE_WEBHOOK_KEYS', '')} {os.environ.get('KIE_WEBHOOK_KEY', '')}"
    keys = given.replace(",", " ").split()
    if not keys and not without_signature:
        raise typer.BadParameter(
            "no webhook key: set KIE_WEBHOOK_KEYS (the service's settings page shows it), or say --without-signature"
        )
    asked = confirm and bool(os.environ.get("KIE_API_KEY", "").strip())

    def ready(url: str) -> None:
        signed = "without a signature, from anybody" if without_signature else f"signed with one of {len(keys)} keys"
        typer.echo(f"listening on {url} for callbacks {signed}; Ctrl-C ends it", err=True)
        if not asked:
            why = "as you asked" if not confirm else "there is no KIE_API_KEY"
            typer.echo(f"what they say is not confirmed ({why}); 'kie-notes fetch --pending' can do it later", err=True)

    with Store(store) as kept, service:
        run(
            kept,
            keys=WITHOUT_SIGNATURE if without_signature else keys,
            client=service if asked else None,
            host=host,
            port=port,
            path=path,
            ready=ready,
        )


@app.command(
    epilog=examples("kie-notes ingest --store songs answers/ more.zip", "kie-notes ingest --workers 4 answers/")
)
def ingest(
    paths: Annotated[list[str], typer.Argument(help="JSON files, folders, patterns, .jsonl, .gz, .zip.")],
    *,
    store: StoreOption = DEFAULT_STORE,
    workers: Annotated[int, typer.Option(help="Processes that read the files: for gigabytes.")] = 1,
    as_json: JsonOption = False,
) -> None:
    """Put JSON that you already have into a store."""
    from kie_notes.collect import ingest as put
    from kie_notes.store import Store

    with Store(store) as kept:
        _tell(put(paths, kept, workers=workers), as_json=as_json)


def _tell(report: CollectReport, *, as_json: bool) -> None:
    """Print what a run came to, and end with 3 when something is missing."""
    if as_json:
        show(report.tasks, as_json=True)
    else:
        typer.echo(str(report))
    raise typer.Exit(3 if report.missing or report.unread.height else 0)
