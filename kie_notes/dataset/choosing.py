"""Which tasks a data set has, and in which split each is.

Tasks are tied together that are the same music (``near_duplicates``), that come from one recording, one separation or
one generation (a store's lineage; a generation gives two songs), that are variants of one another (``origin``), or that
the user ties. What ties lead to is a **group**, named after its smallest task id, and ``split_tasks`` puts it whole
into a split by a hash. All tasks that have notes are looked at, whatever is excluded afterwards, so a filter moves
nobody.

Where a former export is known, **its tasks stay where they are**, and a new task joins the split of its group. A new
task whose group the former export has in several splits can be in none of them without being near another: it is
excluded, with that reason. Where the tie between former tasks of several splits is itself new (a song that became
known, a lower threshold), nobody is moved and nobody excluded; ``divided`` says so in ``splits.parquet``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import polars as pl

from kie_notes.analysis.similarity import near_duplicates
from kie_notes.analysis.splits import split_tasks
from kie_notes.dataset.features import MEANINGS
from kie_notes.dataset.source import plain
from kie_notes.errors import NotesSchemaError

if TYPE_CHECKING:
    from kie_notes.dataset.buckets import Buckets
    from kie_notes.dataset.recipe import Recipe
    from kie_notes.dataset.source import Source

#: Where each task is, and with whom: kept in the export, so that the next one moves nobody.
SPLITS_SCHEMA: Final = pl.Schema(
    {"task": pl.String(), "group": pl.String(), "split": pl.String(), "divided": pl.Boolean()}
)

#: Tasks that are not in the data set, and why.
EXCLUDED_SCHEMA: Final = pl.Schema(
    {"task": pl.String(), "notes": pl.UInt32(), "quality": pl.Float64(), "group": pl.String(), "reason": pl.String()}
)


class Chosen(NamedTuple):
    """Tasks that are in the data set (by id), those that are not, and where each is or will be."""

    tasks: pl.DataFrame
    excluded: pl.DataFrame
    splits: pl.DataFrame


def choose(
    described: pl.DataFrame,
    buckets: Buckets,
    source: Source,
    recipe: Recipe,
    *,
    ties: pl.DataFrame,
    former: pl.DataFrame,
) -> Chosen:
    """Group the described tasks, put them into splits, and part those that pass from those that do not.

    ``ties`` has ``task`` and ``link``, ``former`` has ``task``, ``group`` and ``split``.
    """
    grouped = _groups(described["task"], [source.links, ties, _alike(buckets, recipe)])
    own = former.select("task", "split")
    put = split_tasks(grouped.rename({"group": "cluster"}), shares=recipe.shares, seed=recipe.seed, previous=own)
    fresh = ~pl.col("task").is_in(own["task"].to_list())
    put = put.rename({"cluster": "group"}).with_columns(between=fresh & pl.col("divided"))
    told = described.join(put, on="task", maintain_order="left").with_columns(reason=_reasons(recipe, described))
    passed = told.filter(pl.col("reason") == "")
    here = put.filter(~pl.col("between")).select(*SPLITS_SCHEMA)
    gone = former.join(put, on="task", how="anti").select("task", "group", "split", divided=pl.lit(value=False))
    return Chosen(
        passed.select("task", "split", "group", *described.columns[1:]),
        _excluded(told.filter(pl.col("reason") != ""), source),
        pl.concat([here, gone]).sort("task"),
    )


def read_ties(groups: pl.DataFrame | pl.LazyFrame | None) -> pl.DataFrame:
    """Take the user's groups, any table with ``task`` and ``group``."""
    if groups is None:
        return pl.DataFrame(schema={"task": pl.String(), "link": pl.String()})
    have = groups.collect_schema()
    if "task" not in have or "group" not in have:
        raise NotesSchemaError(f"groups: expected the columns 'task' and 'group', got {', '.join(have)}")
    told = groups.lazy().select(pl.col("task").cast(pl.String), link=pl.col("group").cast(pl.String))
    return told.drop_nulls().collect()


def read_labels(labels: pl.DataFrame | pl.LazyFrame | None) -> pl.DataFrame:
    """Take the user's labels, any table with one row per ``task``."""
    if labels is None:
        return pl.DataFrame(schema={"task": pl.String()})
    have = labels.collect_schema().names()
    if "task" not in have:
        raise NotesSchemaError(f"labels: expected a column 'task', got {', '.join(have)}")
    if twice := sorted(set(have) & set(MEANINGS["tasks"]) - {"task"}):
        raise NotesSchemaError(f"labels: '{twice[0]}' is a column of the tasks already; rename it first")
    table = plain(labels.lazy(), "labels").collect()
    if table["task"].is_duplicated().any():
        task = table["task"].filter(table["task"].is_duplicated())[0]
        raise NotesSchemaError(f"labels: expected one row per task, got several of task '{task}'")
    return table


def _alike(buckets: Buckets, recipe: Recipe) -> pl.DataFrame:
    """Tie tasks of one cluster of near-duplicates."""
    if recipe.duplicates is None:
        return read_ties(None)
    found = near_duplicates(buckets.scan(), threshold=recipe.duplicates).collect(engine="streaming")
    return found.select("task", link="cluster")


def _groups(tasks: pl.Series, ties: list[pl.DataFrame]) -> pl.DataFrame:
    """Follow the ties: one row per task with the smallest task id that they lead to. Links of one table are alike."""
    names = tasks.to_list()
    leader: dict[str | tuple[int, str], str | tuple[int, str]] = {}

    def lead(one: str | tuple[int, str]) -> str | tuple[int, str]:
        while (above := leader.get(one, one)) != one:
            leader[one] = leader.get(above, above)  # half the way next time
            one = above
        return one

    known = set(names)
    for table, tie in enumerate(ties):
        for task, link in tie.select("task", "link").iter_rows():
            if task in known:
                leader[lead(task)] = lead((table, link))
    least: dict[str | tuple[int, str], str] = {}
    for task in sorted(names):
        least.setdefault(lead(task), task)
    groups = [least[lead(task)] for task in names]
    return pl.DataFrame({"task": names, "group": groups}, schema={"task": pl.String(), "group": pl.String()})


def _reasons(recipe: Recipe, described: pl.DataFrame) -> pl.Expr:
    """Say why a task does not pass, "; " between several reasons; nothing where it does."""
    reasons = [
        pl.when(pl.col("notes") < recipe.min_notes).then(
            pl.format("{} notes, expected {} or more", "notes", pl.lit(recipe.min_notes))
        ),
        pl.when(pl.col("between")).then(pl.lit("it ties groups together that a former export has in different splits")),
    ]
    if "quality" in described.columns:
        short = pl.format("quality {}, expected {} or more", pl.col("quality").round(4), pl.lit(recipe.min_quality))
        reasons.append(pl.when(pl.col("quality") < recipe.min_quality).then(short))
    return pl.concat_str(reasons, separator="; ", ignore_nulls=True)


def _excluded(failed: pl.DataFrame, source: Source) -> pl.DataFrame:
    """List the tasks that did not pass, and those that have no notes at all."""
    silent = (
        source.counts.filter(pl.col("notes") == 0)
        .join(source.without.unique("task", keep="last"), on="task", how="left")
        .select("task", "notes", reason=pl.format("no notes ({})", pl.col("reason").fill_null("all rejected")))
    )
    both = pl.concat([failed, silent.cast({"notes": pl.UInt32})], how="diagonal").sort("task")
    missing = [pl.lit(None, dtype).alias(name) for name, dtype in EXCLUDED_SCHEMA.items() if name not in both.columns]
    return both.with_columns(missing).select(*EXCLUDED_SCHEMA)
