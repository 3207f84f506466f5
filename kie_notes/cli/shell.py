"""What all commands share: the app, its options, how tables are printed, how a run ends."""

from __future__ import annotations

import json
import logging
import math
import os
import sys
import threading
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kie_notes.errors import AuthenticationError, CreditsError, KieNotesError, NotesSchemaError

if TYPE_CHECKING:
    from collections.abc import Iterator

    import polars as pl

    from kie_notes.api.client import KieClient
    from kie_notes.store import Store


def examples(*lines: str) -> str:
    """The end of a command's help: a line for each example, as it is to be typed."""
    return "\n".join(["Examples:", "", "\b", *(f"  {line}" for line in lines)])  # \b: these lines are not to be filled


app = typer.Typer(
    help="Fetch, keep, describe, see and export the notes that an audio-to-MIDI service transcribed.",
    epilog=examples(
        "kie-notes demo                                 real music, from a service on this machine",
        "kie-notes fetch TASK_ID                        one task; the key is in KIE_API_KEY or .env",
        "kie-notes fetch --store songs --file ids.txt   many tasks; '-' reads them from stdin",
        "kie-notes submit --file orders.csv             have separations transcribed, each once",
        "kie-notes watch                                until nothing is pending",
        "kie-notes ingest --store songs answers/*.json  JSON that you already have",
        "kie-notes describe --store songs --json        one row per task",
        "kie-notes export-midi --store songs midi/      a .mid per task",
    ),
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"max_content_width": 120},
)

StoreOption = Annotated[
    Path, typer.Option("--store", "-s", envvar="KIE_STORE", help="Folder that keeps tasks, answers and notes.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON, one object a line.")]
IdsArgument = Annotated[list[str] | None, typer.Argument(help="Task ids; '-' reads them from stdin, one a line.")]
FileOption = Annotated[Path | None, typer.Option("--file", "-f", help="Read task ids from a file, one a line.")]
DEFAULT_STORE = Path("kie-store")


def main() -> None:
    """Run the command line and turn every expected error into one line and an exit code."""
    try:
        code = app(standalone_mode=False)
        sys.stdout.flush()
        if code == 130:  # what typer makes of Ctrl-C
            raise KeyboardInterrupt  # noqa: TRY301
    except typer.Exit as end:
        code = end.exit_code
    except (AuthenticationError, CreditsError) as fault:
        code = _complain(fault, 4)
    except (KieNotesError, OSError, ValueError) as fault:
        code = _quiet() if isinstance(fault, BrokenPipeError) else _complain(fault, 1)
    except (KeyboardInterrupt, typer.Abort):
        code = _complain("stopped; what came is stored, and the same command goes on with the rest", 130)
    except Exception as fault:
        show = getattr(fault, "show", None)
        if show is not None:  # a usage error of the command line itself
            show()
            code = 2
        elif type(fault).__module__.startswith("polars"):  # a damaged part, say
            code = _complain(fault, 1)
        else:
            raise
    _leave(code or 0)


def _leave(code: int) -> None:
    """End at once: a look that hangs in the network is not waited for, all that counts is on disk."""
    if threading.active_count() > 1:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    sys.exit(code)


def _complain(fault: object, code: int) -> int:
    typer.echo(f"kie-notes: {fault}", err=True)
    return code


def _quiet() -> int:
    """End without a word when whoever read our output has gone."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


def client() -> KieClient:
    """Whoever asks the service, with what ``.env`` says."""
    from dotenv import load_dotenv

    from kie_notes.api.client import KieClient

    logging.getLogger("stamina").setLevel(logging.ERROR)  # what is tried again is told when it fails
    load_dotenv(Path.cwd() / ".env")
    return KieClient()


def task_ids(ids: list[str] | None, file: Path | None) -> list[str]:
    """Ids from arguments, a file, and stdin, without blanks and comments."""
    lines = [one for given in ids or [] for one in (sys.stdin.read().splitlines() if given == "-" else [given])]
    lines += file.read_text(encoding="utf-8").splitlines() if file else []
    lines = [line.removeprefix("\ufeff").strip() for line in lines]  # Windows writes a mark before the first
    found = [line for line in lines if line and not line.startswith("#")]
    if not found:
        raise typer.BadParameter("expected task ids: as arguments, with --file, or '-' for stdin")
    return found


def existing(store: Path) -> Path:
    """See that a store is there."""
    if not (store / "ledger.sqlite").is_file():
        raise typer.BadParameter(f"{store} is no store; 'fetch' and 'ingest' make one, --store or KIE_STORE names it")
    return store


@contextmanager
def source_of(path: Path) -> Iterator[Store | pl.LazyFrame]:
    """Give the store at a path, or the notes table in the Parquet file there."""
    if not path.is_file():
        from kie_notes.store import Store

        with Store(existing(path)) as kept:
            yield kept
        return
    import polars as pl

    notes = pl.scan_parquet(path, glob=False)
    try:
        notes.collect_schema()
    except pl.exceptions.PolarsError as fault:
        raise NotesSchemaError(f"{path}: expected a Parquet file with a notes table, got: {fault}") from fault
    yield notes


def show(table: pl.DataFrame, *, as_json: bool, **more: str) -> None:
    """Print a table for people, or as JSON with further fields first."""
    if as_json:
        for row in table.iter_rows(named=True):
            known = {name: None if isinstance(v, float) and not math.isfinite(v) else v for name, v in row.items()}
            typer.echo(json.dumps(more | known, ensure_ascii=False, default=str))
        return
    import polars as pl

    with pl.Config(
        tbl_rows=-1,
        tbl_cols=-1,
        tbl_hide_column_data_types=True,
        tbl_hide_dataframe_shape=True,
        tbl_width_chars=10_000,  # an id that is cut short helps nobody
        tbl_formatting="NOTHING",
        fmt_str_lengths=500,
        float_precision=2,
    ):
        typer.echo("\n".join(line.rstrip() for line in str(table).splitlines()))
