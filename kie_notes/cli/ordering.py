"""Commands that give the service new tasks, each remembered before it is sent."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path  # noqa: TC003 -- typer reads the signatures
from typing import TYPE_CHECKING, Annotated

import typer

from kie_notes.cli.shell import DEFAULT_STORE, JsonOption, StoreOption, app, client, examples, existing, show

if TYPE_CHECKING:
    from collections.abc import Iterator

    import polars as pl

    from kie_notes.order_lists import SongOrder
    from kie_notes.store import Store

CallbackOption = Annotated[
    str | None,
    typer.Option(help="Where the service shall deliver; without it, a reserved name that leads nowhere is sent."),
]
LabelOption = Annotated[str | None, typer.Option(help="Your own word for the new tasks.")]
PendingOption = Annotated[bool, typer.Option("--pending", help="Send what was planned in the store and never sent.")]
AgainOption = Annotated[
    bool, typer.Option("--again", help="Send also what was sent before or is unknown: that makes second tasks.")
]


class Separation(StrEnum):
    """What ``separate`` gives."""

    VOCALS = "separate_vocal"
    STEMS = "split_stem"
    ONE = "split_stem_advanced"


@app.command(
    epilog=examples(
        "kie-notes submit SEPARATION_ID --label demo && kie-notes watch",
        "kie-notes submit --file orders.csv (separation_task,audio_id,label)",
        "kie-notes list orders | kie-notes submit -",
        "kie-notes submit --pending",
    )
)
def submit(  # noqa: PLR0913 -- as many as separate has
    ids: Annotated[
        list[str] | None, typer.Argument(help="Ids of finished separations; '-' reads ids or CSV from stdin.")
    ] = None,
    *,
    file: Annotated[
        Path | None, typer.Option("--file", "-f", help="CSV of separation_task, audio_id, label; or an id a line.")
    ] = None,
    pending: PendingOption = False,
    again: AgainOption = False,
    store: StoreOption = DEFAULT_STORE,
    callback_url: CallbackOption = None,
    audio_id: Annotated[str | None, typer.Option(help="One stem of the separation; without it, all of them.")] = None,
    label: LabelOption = None,
    as_json: JsonOption = False,
) -> None:
    """Have finished separations transcribed; what was sent before, or may have been, is not sent again."""
    import kie_notes.orders as orders  # noqa: PLR0402 -- the package itself stays out of it
    from kie_notes.order_lists import Order, read_orders

    given = [Order(one) for one in ids or [] if one != "-"]
    given += read_orders(sys.stdin) if "-" in (ids or []) else []
    given += read_orders(file) if file else []
    _check(given, "separations: as arguments, with --file, '-' for stdin, or --pending", pending=pending)
    with _sending(store, pending=pending) as kept, client() as service:
        if pending:
            table = orders.submit_pending(kept, service)
        else:
            table = orders.submit(
                given, kept, service, callback_url=callback_url, audio_id=audio_id, label=label, again=again
            )
    _tell(table, as_json=as_json)


@app.command(
    epilog=examples(
        "kie-notes separate MUSIC_ID:AUDIO_ID --label demo && kie-notes watch",
        "kie-notes separate --url https://example.com/song.mp3 --kind split_stem",
        "kie-notes separate --file songs.csv (music_task,audio_id,label or url,label)",
    )
)
def separate(  # noqa: PLR0913 -- a song can be named in four ways
    songs: Annotated[
        list[str] | None, typer.Argument(help="MUSIC_TASK:AUDIO_ID of each song; '-' reads CSV from stdin.")
    ] = None,
    *,
    url: Annotated[list[str] | None, typer.Option(help="Address of an audio file; may be given again.")] = None,
    file: Annotated[
        Path | None, typer.Option("--file", "-f", help="CSV of music_task, audio_id, label; or of url, label.")
    ] = None,
    pending: PendingOption = False,
    again: AgainOption = False,
    store: StoreOption = DEFAULT_STORE,
    kind: Annotated[
        Separation, typer.Option(help="Vocals and the rest, up to twelve stems, or the one that --stem names.")
    ] = Separation.VOCALS,
    stem: Annotated[str | None, typer.Option(help="The stem to take out, with split_stem_advanced.")] = None,
    callback_url: CallbackOption = None,
    label: LabelOption = None,
    as_json: JsonOption = False,
) -> None:
    """Have songs separated into stems, which the service charges for; nothing is sent twice by accident."""
    import kie_notes.orders as orders  # noqa: PLR0402 -- the package itself stays out of it
    from kie_notes.order_lists import SongOrder, read_song_orders

    given = [_song(one) for one in songs or [] if one != "-"]
    given += [SongOrder(one) for one in url or []]
    given += read_song_orders(sys.stdin) if "-" in (songs or []) else []
    given += read_song_orders(file) if file else []
    _check(given, "songs: as MUSIC_TASK:AUDIO_ID, with --url or --file, '-' for stdin, or --pending", pending=pending)
    with _sending(store, pending=pending) as kept, client() as service:
        if pending:
            table = orders.submit_pending(kept, service, kind="separation")
        else:
            table = orders.separate(
                given,
                kept,
                service,
                kind=kind.value,
                stem_name=stem,
                callback_url=callback_url,
                label=label,
                again=again,
            )
    _tell(table, as_json=as_json)


@app.command(
    epilog=examples(
        "kie-notes settle SEPARATION_ID TASK_ID",
        "kie-notes settle MUSIC_ID TASK_ID --audio-id AUDIO_ID --separation",
    )
)
def settle(
    source: Annotated[str, typer.Argument(help="What was ordered: a separation, a music task, or an address.")],
    task: Annotated[str, typer.Argument(help="The id that you found on the service's site.")],
    *,
    audio_id: Annotated[str | None, typer.Option(help="The stem or song that the order named, if it did.")] = None,
    separation: Annotated[bool, typer.Option("--separation", help="An order of 'separate', not of 'submit'.")] = False,
    store: StoreOption = DEFAULT_STORE,
    as_json: JsonOption = False,
) -> None:
    """Say which task an order made whose answer was lost, so that it is unknown no more."""
    import kie_notes.orders as orders  # noqa: PLR0402 -- the package itself stays out of it
    from kie_notes.store import Store

    with Store(existing(store)) as kept:
        table = orders.settle_order(source, task, kept, kind="separation" if separation else "midi", audio_id=audio_id)
    _tell(table, as_json=as_json)


def _song(given: str) -> SongOrder:
    from kie_notes.order_lists import SongOrder

    music_task, _, audio_id = given.partition(":")
    if not music_task or not audio_id or "://" in given:
        raise typer.BadParameter(f"expected MUSIC_TASK:AUDIO_ID, or an address with --url, got {given!r}")
    return SongOrder(music_task, audio_id)


def _check(given: object, expected: str, *, pending: bool) -> None:
    if bool(given) == pending:
        raise typer.BadParameter(f"expected {expected}" + (", not both" if pending else ""))


@contextmanager
def _sending(folder: Path, *, pending: bool) -> Iterator[Store]:
    """Open a store to submit from, and say what remains when that is stopped."""
    import polars as pl

    from kie_notes.store import Store

    with Store(existing(folder) if pending else folder) as kept:
        try:
            yield kept
        except KeyboardInterrupt:
            left = kept.submissions().filter(pl.col("state") == "planned").height
            typer.echo(f"{left} orders remain planned in {folder}: --pending sends them", err=True)
            raise


def _tell(table: pl.DataFrame, *, as_json: bool) -> None:
    """Print what came of orders; end with 4 for the key or the credits, with 3 when a task is missing."""
    show(table, as_json=as_json)
    states = set(table["state"])
    raise typer.Exit(4 if "unsent" in states else 3 if states - {"submitted"} else 0)
