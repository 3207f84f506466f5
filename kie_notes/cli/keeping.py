"""Commands about a store itself: what is in it, what is wrong with it, and its upkeep."""

from __future__ import annotations

import sys
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from kie_notes.cli.shell import DEFAULT_STORE, JsonOption, StoreOption, app, examples, existing, show

if TYPE_CHECKING:
    import polars as pl

    from kie_notes.store import Store

#: Rows of a table that ``status`` shows to people.
_ROWS = 20


class Table(StrEnum):
    """What ``list`` prints."""

    TASKS = "tasks"
    LINEAGE = "lineage"
    SONGS = "songs"
    STEMS = "stems"
    SUBMISSIONS = "submissions"
    ORDERS = "orders"


@app.command(epilog=examples("kie-notes status --store songs", "kie-notes status --json"))
def status(*, store: StoreOption = DEFAULT_STORE, as_json: JsonOption = False) -> None:
    """Show how many tasks are in which state, what expires when, what failed and why, what a person must decide."""
    from kie_notes.store import Store

    with Store(existing(store)) as kept:
        size = kept.size()
        for about, (title, table) in _state_of(kept).items():
            if as_json:
                show(table, as_json=True, about=about)
            elif table.height:
                typer.echo(f"{title} ({table.height}):" if title else "")
                show(table.head(_ROWS), as_json=False)
                typer.echo(f"... and {table.height - _ROWS} more\n" if table.height > _ROWS else "")
    if not as_json:
        typer.echo(f"{size.sealed} answers sealed, {size.waiting} waiting to be; {size.bytes / 1e6:.1f} MB on disk")


def _state_of(kept: Store) -> dict[str, tuple[str, pl.DataFrame]]:
    """The tables of ``status``, each with what it is about and its title."""
    import polars as pl

    from kie_notes.store.reading import CALLBACK

    waiting = kept.open_tasks().select("expires_at", "kind", "task", "label", "submitted_at", "attempts", "last_error")
    said = kept.scan_tasks().filter(pl.col("source") == CALLBACK).select("task", "state", "notes").collect()
    orders = kept.submissions().filter("open").select("state", "kind", "source_task", "audio_id", "sent_at", "reason")
    return {
        "count": ("tasks", kept.counts()),
        "open": ("open, next to expire first: 'watch' asks for them", waiting),
        "failed": ("failed or expired: 'fetch' asks once more", kept.failures().drop("fetched_at")),
        "unconfirmed": ("said by a callback, and not confirmed: 'watch' asks for those that are open", said),
        "planned": ("orders never sent: 'submit --pending', 'separate --pending'", orders.filter(state="planned")),
        "sending": ("orders being sent now, or when their process died", orders.filter(state="sending")),
        "refused": ("orders that the service refused: the same order again is sent", orders.filter(state="refused")),
        "unknown": (
            "orders without a clear answer: 'settle' one if you find its task on the service's site, else --again",
            orders.filter(state="unknown"),
        ),
        "aside": ("bodies kept aside, not taken", kept.aside().select("task", "received_at", "source", "reason")),
    }


@app.command("list", epilog=examples("kie-notes list lineage --json", "kie-notes list orders | kie-notes submit -"))
def list_(
    table: Annotated[
        Table, typer.Argument(help="What to list; 'orders' is CSV for 'submit': one order for each stem.")
    ] = Table.TASKS,
    *,
    store: StoreOption = DEFAULT_STORE,
    as_json: JsonOption = False,
) -> None:
    """List MIDI tasks, where they come from, songs, stems, or what was submitted."""
    from kie_notes.store import Store

    with Store(existing(store)) as kept:
        tables = {
            Table.TASKS: kept.scan_tasks(),
            Table.LINEAGE: kept.lineage(),
            Table.SONGS: kept.scan_songs(),
            Table.STEMS: kept.scan_stems(),
            Table.SUBMISSIONS: kept.submissions().lazy(),
            Table.ORDERS: kept.scan_stems().drop_nulls("stem").select("separation_task", audio_id="stem"),
        }
        rows = tables[table].collect()
    if table is Table.ORDERS and not as_json:
        sys.stdout.write(rows.write_csv())
    else:
        show(rows, as_json=as_json)


@app.command(epilog=examples("kie-notes seal --store songs"))
def seal(*, store: StoreOption = DEFAULT_STORE) -> None:
    """Write the answers that wait in the ledger into Parquet parts, as 'fetch' does when it ends."""
    from kie_notes.store import Store

    with Store(existing(store)) as kept:
        typer.echo(f"{kept.seal()} answers sealed", err=True)


@app.command(epilog=examples("kie-notes compact --store songs"))
def compact(*, store: StoreOption = DEFAULT_STORE) -> None:
    """Merge small Parquet parts, while others read and write."""
    from kie_notes.store import Store

    with Store(existing(store)) as kept:
        typer.echo(f"{kept.compact()} parts fewer", err=True)


@app.command(epilog=examples("kie-notes rebuild --store songs"))
def rebuild(*, store: StoreOption = DEFAULT_STORE) -> None:
    """Make all notes anew from the raw answers, while others read and write."""
    from kie_notes.store import Store

    with Store(existing(store)) as kept:
        made = kept.rebuild()
    typer.echo(f"{made.tasks} tasks read again: {made.notes_before} notes before, {made.notes} now", err=True)
    typer.echo(f"{made.taken} bodies that were kept aside were taken", err=True)


@app.command(epilog=examples("kie-notes check --store songs", "kie-notes check --store songs --repair"))
def check(
    *,
    store: StoreOption = DEFAULT_STORE,
    repair: Annotated[bool, typer.Option("--repair", help="Mend what can be mended; nothing is lost by it.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Hold a store's ledger, answers and notes against each other; exit code 3 when faults remain."""
    from kie_notes.store.check import check as look
    from kie_notes.store.repair import repair as mend

    found = mend(store) if repair else look(store)
    if found.height:
        show(found, as_json=as_json)
    remain = found.filter(~found["done"]).height if repair else found.height
    typer.echo(f"{remain} faults" + (" remain" if repair else ""), err=True)
    raise typer.Exit(3 if remain else 0)
