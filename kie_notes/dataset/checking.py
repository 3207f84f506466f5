"""Whether a data set can be published: what is missing, what is damaged, what its owner should know."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

import polars as pl

from kie_notes.dataset.card import TO_WRITE, words_of
from kie_notes.dataset.features import TABLES, WORDS
from kie_notes.dataset.folder import CARD, CROISSANT, MARK, SPLITS, SUMS, checksums, is_export
from kie_notes.errors import KieNotesError

if TYPE_CHECKING:
    import os

_CHECKS: Final = pl.Schema({"check": pl.String(), "state": pl.String(), "detail": pl.String()})

#: The states in which a data set is not ready.
_HINDERS: Final = ("missing", "damaged")


class DatasetReport(NamedTuple):
    """What a data set holds, and whether it can be published.

    Attributes
    ----------
    path
        The folder.
    ready
        Whether nothing is missing and nothing damaged.
    splits
        One row per split, in the recipe's order: ``split`` (String), ``tasks``, ``groups``, ``notes``, ``files``,
        ``bytes`` (Int64).
    checks
        One row per finding: ``check`` (String), ``state`` (String: ``ok``, ``advice``, ``missing``, ``damaged``),
        ``detail`` (String).
    """

    path: Path
    ready: bool
    splits: pl.DataFrame
    checks: pl.DataFrame


def check_dataset(path: str | os.PathLike[str]) -> DatasetReport:
    """Check an export: its files against their checksums, its card, its splits.

    Parameters
    ----------
    path
        The folder of the export.

    Returns
    -------
    ``DatasetReport(path, ready, splits, checks)``. It is not ready while the card names no licence (or ``other``
    without ``license_name`` and ``license_link``), while ``croissant.json`` names another one (export again: the card
    keeps your words), or when a file is missing, changed, or one too many. That the card's text is still to be written,
    that words of people (titles, prompts) go out with it,
    or that a group has tasks in several splits, is advice.

    Raises
    ------
    KieNotesError
        If the folder is no export.

    Examples
    --------
    >>> import tempfile
    >>> from kie_notes.dataset import Recipe, export_dataset
    >>> from kie_notes.notes import NOTES_SCHEMA
    >>> notes = pl.DataFrame([("a", "Flute", 60, 0.0, 1.0, 0.5, 0)], schema=NOTES_SCHEMA, orient="row")
    >>> folder = tempfile.mkdtemp()
    >>> made = export_dataset(notes, folder, recipe=Recipe(shares={"train": 1.0}))
    >>> check_dataset(folder).checks.select("check", "state").rows()
    [('files', 'ok'), ('licence', 'missing'), ('card', 'advice'), ('splits', 'ok')]
    """
    folder = Path(path)
    if not is_export(folder):
        raise KieNotesError(f"{folder}: expected the folder of an export, but it has no {MARK}")
    splits = count_splits(folder)
    rows = [*_files(folder), *_licence(folder), *_text(folder), *_words(folder), *_splits(folder, splits)]
    checks = pl.DataFrame(rows, schema=_CHECKS, orient="row")
    ready = not checks["state"].is_in(_HINDERS).any()
    return DatasetReport(folder, ready, splits, checks)


def count_splits(folder: Path) -> pl.DataFrame:
    """Count what each split holds."""
    recipe = json.loads((folder / MARK).read_text("utf-8"))["recipe"]
    rows = []
    for split in recipe["shares"]:
        files = [path for table in TABLES for path in sorted((folder / table).glob(f"{split}-*-of-*.parquet"))]
        tasks = [pl.read_parquet(path, columns=["group", "notes"], glob=False) for path in files if _of_tasks(path)]
        table = pl.concat(tasks) if tasks else pl.DataFrame(schema={"group": pl.String(), "notes": pl.UInt32()})
        sizes = (len(files), sum(path.stat().st_size for path in files))
        rows.append((split, table.height, table["group"].n_unique(), table["notes"].cast(pl.Int64).sum(), *sizes))
    schema = dict.fromkeys(("tasks", "groups", "notes", "files", "bytes"), pl.Int64())
    return pl.DataFrame(rows, schema={"split": pl.String(), **schema}, orient="row")


def _of_tasks(path: Path) -> bool:
    return path.parent.name == "tasks"


def _files(folder: Path) -> list[tuple[str, str, str]]:
    if not (folder / SUMS).is_file():
        return [("files", "missing", f"{SUMS} is not there")]
    lines = (folder / SUMS).read_text("utf-8").splitlines()
    told = {name: digest for digest, _, name in (line.partition("  ") for line in lines)}
    found = checksums(folder)
    faults = [("files", "missing", f"{name} is not there") for name in told if name not in found]
    faults += [
        ("files", "damaged", f"{name}: not what was written")
        for name in told
        if found.get(name, told[name]) != told[name]
    ]
    faults += [("files", "damaged", f"{name}: not a file of this export") for name in found if name not in told]
    return faults or [("files", "ok", f"{len(told)} files are as they were written")]


def _licence(folder: Path) -> list[tuple[str, str, str]]:
    card = folder / CARD
    words = words_of(card.read_text("utf-8")) if card.is_file() else {}
    licence = words.get("license")
    if licence is None:
        return [("licence", "missing", f"fill in 'license:' at the top of {CARD}, or export with a licence")]
    if licence == "other" and not (words["license_name"] and words["license_link"]):
        return [("licence", "missing", "a licence 'other' wants 'license_name:' and 'license_link:' beside it")]
    croissant = folder / CROISSANT
    if croissant.is_file() and json.loads(croissant.read_text("utf-8")).get("license") != licence:
        return [("licence", "missing", f"{CROISSANT} does not name '{licence}' yet: export again, your words stay")]
    return [("licence", "ok", licence)]


def _text(folder: Path) -> list[tuple[str, str, str]]:
    card = folder / CARD
    if not card.is_file():
        return [("card", "missing", f"{CARD} is not there: export again")]
    if TO_WRITE in card.read_text("utf-8"):
        return [("card", "advice", f"say in {CARD} what music this is, whose it is, what it may be used for")]
    return [("card", "ok", "written")]


def _words(folder: Path) -> list[tuple[str, str, str]]:
    """Name the columns in which people's words are published."""
    tasks = pl.scan_parquet(sorted((folder / "tasks").glob("*.parquet")), glob=False)
    said = [name for name in WORDS if name in tasks.collect_schema()]
    found = tasks.select(pl.col(said).count()).collect().row(0, named=True) if said else {}
    some = [name for name, count in found.items() if count]
    return [("words", "advice", f"see that {', '.join(some)} of the tasks may be published")] if some else []


def _splits(folder: Path, splits: pl.DataFrame) -> list[tuple[str, str, str]]:
    empty = splits.filter(pl.col("tasks") == 0)["split"].to_list()
    found = [("splits", "advice", f"{', '.join(empty)}: no tasks, so the card does not name it")] if empty else []
    divided = pl.read_parquet(folder / SPLITS, glob=False).filter("divided") if (folder / SPLITS).is_file() else None
    if divided is not None and divided.height:
        told = f"{divided['group'].n_unique()} groups of {divided.height} tasks are in several splits"
        found.append(("splits", "advice", f"{told}, where a former export put them: 'divided' in {SPLITS}"))
    return found or [("splits", "ok", "no group is in two splits")]
