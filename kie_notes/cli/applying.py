"""Command that asks any function about all notes of a store or of Parquet files, on a cluster about a share of them."""

from __future__ import annotations

import json
from functools import partial
from importlib import import_module
from inspect import signature
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kie_notes.cli.shell import DEFAULT_STORE, JsonOption, StoreOption, app, examples, existing, show

if TYPE_CHECKING:
    from collections.abc import Callable

    import polars as pl


@app.command(
    epilog=examples(
        "kie-notes apply polyphony --store songs --json",
        "kie-notes apply onset_density -p window=0.5 -p drums=only songs/notes -o density/",
        "kie-notes apply polyphony,key,tempo songs/notes -o results/ --processes 8",
        "kie-notes apply tempo 's3://bucket/notes/*.parquet' -o results/ --storage aws_region=eu-north-1",
        "sbatch --array=0-63 --wrap 'kie-notes apply tempo songs/notes -o results/ --shard $SLURM_ARRAY_TASK_ID/64'",
    )
)
def apply(  # noqa: PLR0913 -- those of sink_parts
    helpers: Annotated[
        str, typer.Argument(help="A function that takes notes, such as polyphony; several with commas.")
    ],
    paths: Annotated[
        list[str] | None, typer.Argument(help="Parquet files, folders, patterns or addresses, instead of a store.")
    ] = None,
    *,
    store: StoreOption = DEFAULT_STORE,
    parameter: Annotated[
        list[str] | None, typer.Option("--parameter", "-p", metavar="NAME=VALUE", help="An option of the function.")
    ] = None,
    out: Annotated[
        str | None,
        typer.Option("--out", "-o", help="Folder for the answers as Parquet; what is in it is not made again."),
    ] = None,
    shard: Annotated[
        str | None, typer.Option(metavar="I/N", help="Only the I-th of N shares of the files, I from 0.")
    ] = None,
    processes: Annotated[int, typer.Option(min=0, help="Processes that work; 0: this one, with all its threads.")] = 0,
    chunk_notes: Annotated[int, typer.Option(min=1, help="Notes that a process holds at a time.")] = 1_000_000,
    storage: Annotated[
        list[str] | None, typer.Option(metavar="NAME=VALUE", help="What Polars is told about an object store.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Apply a function of kie_notes to all notes, file by file, in bounded memory; several share one scan."""
    from kie_notes.mapping import map_parts, sink_parts
    from kie_notes.store import Store

    names = helpers.split(",")
    chosen = {name: _helper(name, parameter if len(names) == 1 else None) for name in names}
    if len(names) > 1 and (parameter or not out):
        raise typer.BadParameter("expected --out and no --parameter with several functions")
    given: Any = {
        "executor": processes or None,
        "shard": _shard(shard),
        "chunk_notes": chunk_notes,
        "storage_options": {key: value for key, _, value in (one.partition("=") for one in storage or [])} or None,
    }

    def run(source: Any) -> pl.DataFrame:  # noqa: ANN401 -- whatever the functions take
        asked: Any = chosen if len(names) > 1 else chosen[names[0]]
        return sink_parts(source, asked, out, **given) if out else map_parts(source, asked, **given)

    if paths:
        table = run(paths)
    else:
        with Store(existing(store)) as kept:
            table = run(kept)
    show(table, as_json=as_json)


def _helper(name: str, parameters: list[str] | None) -> Callable[..., Any]:
    """Find a function by its name, and give it its options."""
    analysis = import_module("kie_notes.analysis")
    found: Any = getattr(analysis, name) if name in analysis.__all__ else None
    if not hasattr(found, "__wrapped__"):
        raise typer.BadParameter(f"{name!r} is no function of notes; kie_notes.catalogue() lists them")
    known = list(signature(found).parameters)[1:]
    options = {}
    for one in parameters or []:
        key, _, value = one.partition("=")
        if key not in known:
            raise typer.BadParameter(f"{name} has no option {key!r}; it has {', '.join(known)}")
        options[key] = _value(value)
    given: Callable[..., Any] = partial(found, **options) if options else found
    return given


def _value(text: str) -> object:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _shard(text: str | None) -> tuple[int, int] | None:
    if text is None:
        return None
    first, _, step = text.partition("/")
    if not (first.isdecimal() and step.isdecimal() and int(first) < int(step)):
        raise typer.BadParameter(f"--shard: expected I/N, I from 0 and below N, got {text!r}")
    return int(first), int(step)
