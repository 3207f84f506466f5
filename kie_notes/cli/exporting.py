"""Commands that make data sets for others, and check them."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 -- typer reads the signatures
from typing import TYPE_CHECKING, Annotated

import typer

from kie_notes.cli.shell import JsonOption, app, examples, show, source_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    import polars as pl

    from kie_notes.dataset import DatasetReport


@app.command(
    epilog=examples(
        "kie-notes export songs my-set                                 what is to be done before it is published",
        "kie-notes export songs my-set --license cc-by-4.0 --min-notes 50 --min-quality 0.9",
        "kie-notes export songs my-set --labels genres.csv --window 10 --ticks 192",
        "kie-notes export notes.parquet my-set --shares train=0.9,test=0.1",
        "kie-notes check-dataset my-set                                checksums, licence, splits",
    )
)
def export(  # noqa: PLR0913 -- one option for each thing that a recipe says
    source: Annotated[Path, typer.Argument(help="A store, or a Parquet file with a notes table.", exists=True)],
    path: Annotated[Path, typer.Argument(help="Folder: new, empty, or an export, which is replaced.")],
    *,
    licence: Annotated[
        str | None, typer.Option("--license", "--licence", help="Identifier for the card, as cc-by-4.0.")
    ] = None,
    title: Annotated[str | None, typer.Option(help="Title for the card.")] = None,
    min_notes: Annotated[int, typer.Option(help="Exclude tasks with fewer notes.")] = 1,
    min_quality: Annotated[float | None, typer.Option(help="Exclude tasks of a lower quality, 0 to 1.")] = None,
    duplicates: Annotated[float, typer.Option(help="Likeness from which two tasks stay together; 0: none.")] = 0.3,
    shares: Annotated[str, typer.Option(help="Splits and their shares.")] = "train=0.8,validation=0.1,test=0.1",
    seed: Annotated[int, typer.Option(help="Another number gives another division.")] = 0,
    window: Annotated[float | None, typer.Option(help="Number windows of so many seconds in a column.")] = None,
    ticks: Annotated[int | None, typer.Option(help="Add times in ticks, so many a second.")] = None,
    shard_notes: Annotated[int, typer.Option(help="Notes in a file.")] = 1_000_000,
    labels: Annotated[
        Path | None, typer.Option(help="CSV or Parquet: 'task' and columns for the tasks.", exists=True)
    ] = None,
    groups: Annotated[
        Path | None, typer.Option(help="CSV or Parquet: 'task' and 'group', which stays in one split.", exists=True)
    ] = None,
    previous: Annotated[
        Path | None, typer.Option(help="A former export whose tasks stay where they are; else the one at PATH.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Make a data set of stored notes: Parquet in Hugging Face's layout, with splits, card and checksums."""
    from kie_notes.dataset import Recipe, export_dataset

    recipe = Recipe(
        min_notes=min_notes,
        min_quality=min_quality,
        duplicates=duplicates or None,
        shares=dict(_shares(shares)),
        seed=seed,
        window=window,
        ticks=ticks,
        shard_notes=shard_notes,
    )

    with source_of(source) as given:
        made = export_dataset(
            given,
            path,
            recipe=recipe,
            labels=_table(labels),
            groups=_table(groups),
            licence=licence,
            pretty_name=title,
            previous=previous,
        )
    _tell(made, as_json=as_json)


@app.command("check-dataset", epilog=examples("kie-notes check-dataset my-set --json"))
def check_dataset(
    path: Annotated[Path, typer.Argument(help="Folder of an export.", exists=True, file_okay=False)],
    *,
    as_json: JsonOption = False,
) -> None:
    """Check an export before it is published; exit code 3 while something is missing or damaged."""
    from kie_notes.dataset import check_dataset as look

    report = look(path)
    _tell(report, as_json=as_json)
    raise typer.Exit(0 if report.ready else 3)


def _shares(text: str) -> Iterator[tuple[str, float]]:
    for part in text.split(","):
        name, _, share = part.partition("=")
        try:
            yield name.strip(), float(share)
        except ValueError:
            raise typer.BadParameter(f"--shares: expected as train=0.9,test=0.1, got {part!r}") from None


def _table(path: Path | None) -> pl.DataFrame | None:
    """Read a table of the user's, whose ids are text also where they look like numbers."""
    import polars as pl

    if path is None:
        return None
    if path.suffix == ".parquet":
        return pl.read_parquet(path, glob=False)
    return pl.read_csv(path, glob=False, schema_overrides={"task": pl.String, "group": pl.String})


def _tell(report: DatasetReport, *, as_json: bool) -> None:
    """Print what there is, and what is to be done before it is published."""
    if as_json:
        show(report.splits, as_json=True, about="split")
        show(report.checks, as_json=True, about="check")
    else:
        show(report.splits, as_json=False)
    for check, state, detail in report.checks.filter(report.checks["state"] != "ok").rows():
        typer.echo(f"{state}: {check}: {detail}", err=True)
    typer.echo(f"{report.path}: {'ready' if report.ready else 'not ready'} to be published", err=True)
