"""The command line: one verb per public function, no logic of its own.

Data goes to stdout, everything else to stderr. Exit codes: 0 all well, 1 failure, 2 wrong usage, 3 some tasks missing,
4 key or credits, 130 stopped by Ctrl-C.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import threading
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kie_notes.errors import AuthenticationError, CreditsError, KieNotesError

if TYPE_CHECKING:
    import polars as pl

    from kie_notes.api.client import KieClient
    from kie_notes.collect import CollectReport

EXAMPLES = """Examples:

  kie-notes demo                                    real music, fetched from a service on this machine
  kie-notes fetch 5c79f0be8e1a4d2c9b7e6f5a4d3c2b1a  one task into ./kie-store; the key is in KIE_API_KEY or .env
  kie-notes fetch --store songs --file ids.txt      many tasks, an id a line; '-' reads them from stdin
  kie-notes ingest --store songs answers/*.json     JSON that you already have
  kie-notes describe --store songs --json           one row per task
  kie-notes export-midi --store songs midi/         a .mid per task
"""

app = typer.Typer(
    help="Fetch, keep, describe, see and export the notes that an audio-to-MIDI service transcribed.",
    epilog=EXAMPLES,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

StoreOption = Annotated[
    Path, typer.Option("--store", "-s", envvar="KIE_STORE", help="Folder that keeps tasks, answers and notes.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON, one object a line.")]
IdsArgument = Annotated[list[str] | None, typer.Argument(help="Task ids; '-' reads them from stdin, one a line.")]
FileOption = Annotated[Path | None, typer.Option("--file", "-f", help="Read task ids from a file, one a line.")]
DEFAULT_STORE = Path("kie-store")


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


@app.command(epilog="Example:  kie-notes demo --folder /tmp/demo")
def demo(
    folder: Annotated[Path, typer.Option(help="Where to put the store, the picture and the .mid files.")] = Path(
        "kie-notes-demo"
    ),
) -> None:
    """Fetch real music from a service on this machine, store it, describe it, picture it, export it."""
    from kie_notes.demo import demo as run

    made = run(folder)
    typer.echo(str(made.report), err=True)
    _print(made.summary, as_json=False)
    typer.echo(f"\npicture: {made.picture}\nMIDI:    {made.midi}\n", err=True)
    typer.echo("What to type next:", err=True)
    typer.echo(f"  kie-notes describe --store {folder / 'store'} --by instrument", err=True)
    typer.echo(
        f"  kie-notes plot --store {folder / 'store'} --kind pitch-class-histogram {_pictured()} out.png", err=True
    )
    typer.echo("  kie-notes fetch YOUR_TASK_ID        # with your key in KIE_API_KEY", err=True)


@app.command(
    epilog="Examples:  kie-notes fetch ID1 ID2  |  kie-notes fetch --file ids.txt  |  cat ids.txt | kie-notes fetch -"
)
def fetch(
    ids: IdsArgument = None,
    *,
    file: FileOption = None,
    pending: Annotated[bool, typer.Option("--pending", help="All tasks of the store that are pending.")] = False,
    store: StoreOption = DEFAULT_STORE,
    submitted: Annotated[
        datetime | None,
        typer.Option(formats=["%Y-%m-%d"], help="Day on which the tasks were submitted (UTC), if not today."),
    ] = None,
    deadline: Annotated[float, typer.Option(help="Seconds to wait for tasks that are pending.")] = 600.0,
    workers: Annotated[int, typer.Option(min=1, max=32, help="Tasks asked for at a time.")] = 4,
    as_json: JsonOption = False,
) -> None:
    """Fetch the results of MIDI tasks into a store, waiting for those that are pending."""
    from kie_notes.collect import collect
    from kie_notes.store import Store

    tasks = [] if pending else _ids(ids, file)
    with Store(store) as kept, _client() as client:
        tasks += kept.open_tasks()["task"].to_list() if pending else []
        since = submitted.replace(tzinfo=UTC) if submitted else None
        try:
            report = collect(tasks, kept, client, submitted_at=since, deadline=deadline, workers=workers)
        except KeyboardInterrupt:
            typer.echo(f"{kept.open_tasks().height} tasks remain pending in {store}", err=True)
            raise
    _tell(report, as_json=as_json)


@app.command(epilog="Example:  kie-notes submit SEPARATION_ID --label demo && kie-notes fetch --pending")
def submit(
    ids: IdsArgument = None,
    *,
    file: FileOption = None,
    store: StoreOption = DEFAULT_STORE,
    callback_url: Annotated[str | None, typer.Option(help="Where the service shall deliver the result.")] = None,
    audio_id: Annotated[str | None, typer.Option(help="One stem of the separation; without it, all of them.")] = None,
    label: Annotated[str | None, typer.Option(help="Your own word for the new tasks.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Have finished separation tasks transcribed; the new tasks are entered in the store."""
    from kie_notes.collect import submit as send
    from kie_notes.store import Store

    tasks = _ids(ids, file)
    with Store(store) as kept, _client() as client:
        table = send(tasks, kept, client, callback_url=callback_url, audio_id=audio_id, label=label)
    _print(table, as_json=as_json)
    states = set(table["state"])
    raise typer.Exit(4 if "unsent" in states else 3 if states - {"submitted"} else 0)


@app.command(epilog="Example:  kie-notes ingest --store songs answers/ more.zip")
def ingest(
    paths: Annotated[list[str], typer.Argument(help="JSON files, folders, patterns, .jsonl, .gz, .zip.")],
    *,
    store: StoreOption = DEFAULT_STORE,
    as_json: JsonOption = False,
) -> None:
    """Put JSON that you already have into a store."""
    from kie_notes.collect import ingest as put
    from kie_notes.store import Store

    with Store(store) as kept:
        _tell(put(paths, kept), as_json=as_json)


@app.command(epilog="Example:  kie-notes status --store songs --json")
def status(*, store: StoreOption = DEFAULT_STORE, as_json: JsonOption = False) -> None:
    """Show how many tasks are in which state, what failed and why, and what expires when."""
    from kie_notes.store import Store

    with Store(_existing(store)) as kept:
        tasks, waiting = kept.scan_tasks().collect(), kept.open_tasks()
    if as_json:
        _print(tasks, as_json=True)
        return
    _print(
        tasks.group_by("state").agg(tasks=_count(), notes=_sum("notes"), rejected=_sum("rejected")).sort("state"),
        as_json=False,
    )
    failed = tasks.filter(tasks["state"].is_in(["failed", "expired"])).select(
        "task", "state", "error_code", "error_message"
    )
    for title, table in (
        ("failed or expired", failed),
        ("pending, next to expire first", waiting.drop("next_look", "attempts")),
    ):
        if table.height:
            typer.echo(f"\n{title}:", err=True)
            _print(table, as_json=False)


@app.command(epilog="Example:  kie-notes describe --store songs --by instrument --json")
def describe(
    *,
    store: StoreOption = DEFAULT_STORE,
    by: Annotated[By, typer.Option(help="One row per task, or per task and instrument.")] = By.TASK,
    as_json: JsonOption = False,
) -> None:
    """Describe the stored notes: counts, lengths, ranges, density, polyphony."""
    from kie_notes.analysis.summary import instrument_summary, task_summary
    from kie_notes.store import Store

    with Store(_existing(store)) as kept:
        helper = task_summary if by is By.TASK else instrument_summary
        _print(helper(kept.scan_notes()).collect(engine="streaming"), as_json=as_json)


@app.command(epilog="Example:  kie-notes plot --store songs TASK_ID roll.png")
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

    with Store(_existing(store)) as kept:
        draw(kept.scan_notes(), task, picture, kind=kind.value)


@app.command("export-midi", epilog="Example:  kie-notes export-midi --store songs midi/")
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

    with Store(_existing(store)) as kept:
        notes = kept.scan_notes()
        chosen = notes.filter(pl.col("task").is_in(_ids(ids, None))) if ids else notes
        written = write_midi(chosen.collect(engine="streaming"), folder, on_error="skip")
    _print(written, as_json=as_json)
    raise typer.Exit(0 if written["reason"].null_count() == written.height else 3)


@app.command("import-midi", epilog="Example:  kie-notes import-midi midi/ notes.parquet")
def import_midi(
    source: Annotated[Path, typer.Argument(help="A .mid file, or a folder of them.", exists=True)],
    table: Annotated[Path, typer.Argument(help="Parquet file to write the notes table to.")],
) -> None:
    """Read .mid files into a notes table."""
    from kie_notes.midi import from_midi

    notes = from_midi(source)
    notes.write_parquet(table, mkdir=True)
    typer.echo(f"{notes['task'].n_unique()} tasks, {notes.height} notes: {table}", err=True)


@app.command(epilog="Example:  kie-notes sandbox --records data/samples/records --port 8765")
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


def main() -> None:
    """Run the command line and turn every expected error into one line and an exit code."""
    try:
        code = app(standalone_mode=False)
        sys.stdout.flush()
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


def _client() -> KieClient:
    from dotenv import load_dotenv

    from kie_notes.api.client import KieClient

    logging.getLogger("stamina").setLevel(logging.ERROR)  # what is tried again is told when it fails
    load_dotenv(Path.cwd() / ".env")
    return KieClient()


def _ids(ids: list[str] | None, file: Path | None) -> list[str]:
    """Ids from arguments, a file, and stdin, without blanks and comments."""
    lines = [one for given in ids or [] for one in (sys.stdin.read().splitlines() if given == "-" else [given])]
    lines += file.read_text(encoding="utf-8").splitlines() if file else []
    found = [line.strip() for line in lines if line.strip() and not line.lstrip().startswith("#")]
    if not found:
        raise typer.BadParameter("expected task ids: as arguments, with --file, or '-' for stdin")
    return found


def _existing(store: Path) -> Path:
    if not (store / "ledger.sqlite").is_file():
        raise typer.BadParameter(f"{store} is no store; 'fetch' and 'ingest' make one, --store or KIE_STORE names it")
    return store


def _tell(report: CollectReport, *, as_json: bool) -> None:
    """Print what a run came to, and end with 3 when something is missing."""
    if as_json:
        _print(report.tasks, as_json=True)
    else:
        typer.echo(str(report))
    raise typer.Exit(3 if report.missing or report.unread.height else 0)


def _print(table: pl.DataFrame, *, as_json: bool) -> None:
    if as_json:
        for row in table.iter_rows(named=True):
            typer.echo(json.dumps(row, ensure_ascii=False, default=str))
        return
    import polars as pl

    with pl.Config(
        tbl_rows=-1,
        tbl_cols=-1,
        tbl_hide_column_data_types=True,
        tbl_hide_dataframe_shape=True,
        tbl_width_chars=10_000,  # an id that is cut short helps nobody
        tbl_formatting="NOTHING",
        fmt_str_lengths=200,
        float_precision=2,
    ):
        typer.echo("\n".join(line.rstrip() for line in str(table).splitlines()))


def _pictured() -> str:
    from kie_notes.demo import PICTURED

    return PICTURED


def _count() -> pl.Expr:
    import polars as pl

    return pl.len()


def _sum(name: str) -> pl.Expr:
    import polars as pl

    return pl.col(name).sum()


if __name__ == "__main__":
    main()
