"""From notes to a folder that others can load: the steps in their order."""

from __future__ import annotations

import json
import shutil
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl
import pyarrow.parquet as pq

from kie_notes.analysis.grouping import INSTANT
from kie_notes.dataset.buckets import Buckets, describe_tasks
from kie_notes.dataset.card import Facts, check_words, make_card, words_of
from kie_notes.dataset.checking import DatasetReport, check_dataset, count_splits
from kie_notes.dataset.choosing import SPLITS_SCHEMA, Chosen, choose, read_labels, read_ties
from kie_notes.dataset.croissant import make_croissant
from kie_notes.dataset.features import TABLES, features
from kie_notes.dataset.folder import (
    CARD,
    CROISSANT,
    EXCLUDED,
    MARK,
    REJECTS,
    SPLITS,
    SUMS,
    checksums,
    is_export,
    replacing,
)
from kie_notes.dataset.recipe import Recipe
from kie_notes.dataset.shards import write_notes, write_table
from kie_notes.dataset.source import Source, open_source
from kie_notes.errors import KieNotesError, NotesSchemaError
from kie_notes.progress import bar

if TYPE_CHECKING:
    import os

    from kie_notes.dataset.source import Input


def export_dataset(
    source: Input,
    path: str | os.PathLike[str],
    *,
    recipe: Recipe | None = None,
    labels: pl.DataFrame | pl.LazyFrame | None = None,
    groups: pl.DataFrame | pl.LazyFrame | None = None,
    licence: str | None = None,
    pretty_name: str | None = None,
    previous: str | os.PathLike[str] | None = None,
) -> DatasetReport:
    """Write notes as a data set that ``datasets``, Polars and anything else that knows Parquet can load.

    The folder has two tables, ``notes`` (one row per note) and ``tasks`` (one row per task), in the layout of Hugging
    Face: ``datasets.load_dataset(path, "notes")``, or ``pl.scan_parquet(path + "/notes/*.parquet")``. Beside them:
    ``README.md`` (the card), ``croissant.json``, ``SHA256SUMS``, ``splits.parquet`` (where each task is, and with
    whom), ``excluded.parquet`` (tasks that are not in it, and why), ``rejects.parquet`` (notes that could not be taken,
    and why), ``export.json`` (the recipe). Nothing is written elsewhere, and what is there is there whole: the folder
    is made beside ``path`` and renamed.

    Splits part neither near-duplicates, nor the songs of one generation, nor the stems of one song; they follow from a
    hash, and no task that a former export has ever moves: ``kie_notes.dataset.choosing`` says how. The same input and
    the same former export give the same bytes (with the same versions of Polars and PyArrow), in whatever order the
    tasks come.

    Parameters
    ----------
    source
        A store; what ``flatten`` gives; or a notes table in any order, whose further columns are kept. A column
        ``origin`` (of ``augment_notes``) keeps variants together.
    path
        The folder: new, empty, or an export, which is replaced. Of that one's card all that its owner wrote stays, as
        do files that were added beside it.
    recipe
        Which tasks, which columns, how large the files are; ``Recipe()`` by default.
    labels
        Your own columns for ``tasks``: a table with one row per ``task``. Rows of other tasks are left out.
    groups
        Your own ties: a table with ``task`` and ``group`` (artist, prompt, album); tasks of one group stay in one
        split. A task may be in several.
    licence
        Identifier of the licence for the card, as "cc-by-4.0". None: what the card says already, else blank, and the
        data set is not ready.
    pretty_name
        Title for the card. None: what the card says already, else the name of the folder.
    previous
        A former export whose tasks are to stay where they are; the one at ``path`` by default.

    Returns
    -------
    ``DatasetReport(path, ready, splits, checks)``, as ``check_dataset`` gives it.

    Raises
    ------
    NotesSchemaError
        If the source is no notes table, or ``labels`` or ``groups`` is no such table.
    FileExistsError
        If there is something else at ``path``.
    ValueError
        If an option has a value that it cannot have, or a former export has splits that the recipe does not name.
    KieNotesError
        If ``previous`` is no export.

    References
    ----------
    Memory is that of a piece of 131,072 notes (and at most one task more), and of the melodies of all tasks while
    near-duplicates are looked for; cost is linear.

    Examples
    --------
    >>> import tempfile
    >>> from kie_notes.notes import NOTES_SCHEMA
    >>> rows = [(task, "Flute", 60 + k, k / 2, k / 2 + 0.5, 0.5, 0) for task in "ab" for k in range(3)]
    >>> folder = tempfile.mkdtemp()
    >>> made = export_dataset(pl.DataFrame(rows, schema=NOTES_SCHEMA, orient="row"), folder, licence="cc0-1.0")
    >>> made.splits.select("split", "tasks", "notes").rows(), made.ready
    ([('train', 2, 6), ('validation', 0, 0), ('test', 0, 0)], True)
    >>> pl.read_parquet(f"{folder}/notes/train-*.parquet").row(0)
    ('a', 'Flute', 60, 0.0, 0.5, 0.5, 0)
    """
    wanted = recipe or Recipe()
    check_words(licence, pretty_name)
    ties, own = read_ties(groups), read_labels(labels)
    target = Path(path).resolve()
    with replacing(target) as folder:
        opened = open_source(source)
        if twice := sorted(_own_columns(wanted) & set(opened.notes.collect_schema())):
            raise NotesSchemaError(f"'{twice[0]}' is a column of the notes already; rename it first")
        former = _former(Path(previous) if previous is not None else target, wanted, asked=previous is not None)
        chosen = _write_tables(opened, folder, wanted, ties=ties, former=former, labels=own)
        card = target / CARD
        written = card.read_text("utf-8") if card.is_file() else None
        facts = _facts(folder, opened, wanted, chosen)
        text = make_card(written, facts, name=target.name, licence=licence, pretty_name=pretty_name)
        (folder / CARD).write_text(text, "utf-8")
        words = words_of(text)
        described = make_croissant(
            folder, checksums(folder), name=words["pretty_name"] or target.name, licence=words["license"]
        )
        (folder / CROISSANT).write_text(described, "utf-8")
        sums = checksums(folder)
        (folder / SUMS).write_text("".join(f"{digest}  {name}\n" for name, digest in sums.items()), "utf-8")
    return check_dataset(target)


def _own_columns(recipe: Recipe) -> set[str]:
    """The columns that a recipe adds to the notes."""
    ticks = {"start_tick", "end_tick"} if recipe.ticks is not None else set()
    return ticks | ({"window"} if recipe.window is not None else set())


def _former(folder: Path, recipe: Recipe, *, asked: bool) -> pl.DataFrame:
    """Read where a former export has its tasks."""
    if not is_export(folder):
        if asked:
            raise KieNotesError(f"previous: {folder}: expected the folder of an export, but it has no {MARK}")
        return SPLITS_SCHEMA.to_frame()
    former = pl.read_parquet(folder / SPLITS, glob=False)
    strange = sorted(set(former["split"]) - set(recipe.shares))
    if strange:
        told = f"the export {folder} has tasks in '{strange[0]}'"
        raise ValueError(
            f"shares: expected the splits of the former export among {', '.join(recipe.shares)}, but {told}"
        )
    return former


def _write_tables(
    source: Source,
    folder: Path,
    recipe: Recipe,
    *,
    ties: pl.DataFrame,
    former: pl.DataFrame,
    labels: pl.DataFrame,
) -> Chosen:
    """Write all Parquet files, and the recipe."""
    work = folder / "work"
    work.mkdir()
    shown: Any = bar(unit="note", total=2 * int(source.counts["notes"].sum()))
    buckets = Buckets(source, work)
    described = describe_tasks(buckets, source, recipe, shown)
    chosen = choose(described, buckets, source, recipe, ties=ties, former=former)
    write_notes(buckets, chosen.tasks, recipe, folder / "notes", shown)
    shown.close()
    shutil.rmtree(work)
    tasks = _with_labels(chosen.tasks, source, labels)
    for at, split in enumerate(recipe.shares):
        rows = tasks.filter(pl.col("split") == split)
        if rows.height or (not tasks.height and at == 0):
            write_table(rows, folder / "tasks" / f"{split}-00000-of-00001.parquet")
    for name, table in {SPLITS: chosen.splits, EXCLUDED: chosen.excluded, REJECTS: source.rejects}.items():
        write_table(table, folder / name)
    marked = {"kie_notes_export": 1, "kie_notes": version("kie-notes"), "recipe": recipe.as_json()}
    (folder / MARK).write_text(json.dumps(marked, indent=1) + "\n", "utf-8")
    return chosen


def _with_labels(tasks: pl.DataFrame, source: Source, labels: pl.DataFrame) -> pl.DataFrame:
    """Add to the tasks how many notes were rejected, what is known of their songs, and the user's labels."""
    counts = source.rejects.filter(pl.col("index").is_not_null()).group_by("task").agg(rejected=pl.len())
    tables = [counts, *([] if source.lineage is None else [source.lineage]), labels]
    for table in tables:
        tasks = tasks.join(table, on="task", how="left", maintain_order="left")
    return tasks.with_columns(pl.col("rejected").fill_null(0).cast(pl.UInt32))


def _facts(folder: Path, source: Source, recipe: Recipe, chosen: Chosen) -> Facts:
    """Gather what the card tells."""
    schemas = {table: pq.read_schema(next((folder / table).iterdir())) for table in TABLES}
    losses = [
        ("notes that could not be taken", source.rejects.height, REJECTS),
        ("tasks that were excluded", chosen.excluded.height, EXCLUDED),
        ("notes of excluded tasks", int(chosen.excluded["notes"].sum()), EXCLUDED),
    ]
    if recipe.ticks is not None:
        losses.append(("notes whose ticks are not exact; their seconds are", _off(folder, recipe.ticks), "notes"))
    return Facts(
        recipe=recipe,
        splits=count_splits(folder),
        features={table: features(schema, table) for table, schema in schemas.items()},
        losses=losses,
        period=source.period,
    )


def _off(folder: Path, ticks: int) -> int:
    """Count the notes of which a time is more than a microsecond from its tick."""
    away = [(pl.col(time) - pl.col(f"{time}_tick") / ticks).abs() > INSTANT for time in ("start", "end")]
    notes = pl.scan_parquet(sorted((folder / "notes").iterdir()), glob=False)
    return int(notes.select(pl.any_horizontal(away).sum()).collect(engine="streaming").item())
