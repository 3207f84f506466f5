"""Training, validation and test sets that no piece is in twice, and that stay as they are when tasks are added.

A task's split follows from its **cluster** alone (``near_duplicates`` finds them): the cluster's id, salted with the
seed, is hashed by BLAKE2b (RFC 7693) to a number from 0 to 1, and the splits' shares, laid end to end in the order
given, say whose stretch that is. So tasks of one cluster are always together, no random state is kept, the order and
the number of tasks do not matter, and the answer is the same on any machine and with any version of any library.

What is promised when tasks are added:

- a task whose cluster has the id that it had stays where it was, whatever else comes or goes
- a cluster's id is its smallest task id, so a new task with a smaller one, or one that joins two clusters, gives a
  cluster another id, and the hash may put it elsewhere. Give the former answer as ``previous``: then **no task ever
  moves**, a new task goes where its cluster's former tasks are, and only clusters that are wholly new are hashed. Where
  a new task joins clusters that were put into different splits, its cluster is in several at once: nothing is moved,
  ``divided`` says so, and one may leave the new task out
- a new share at the end, taken from the last, moves tasks of the last split only; any other change of the shares moves
  tasks across the bounds that it moves

Shares are met as a hash meets them: of n clusters about share * n, give or take sqrt(share * (1 - share) * n).
"""

from __future__ import annotations

import math
from functools import partial
from hashlib import blake2b
from itertools import accumulate
from typing import TYPE_CHECKING

import polars as pl

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kie_notes.notes import Frame


def split_tasks(
    tasks: Frame, *, shares: Mapping[str, float], seed: int = 0, previous: pl.DataFrame | pl.LazyFrame | None = None
) -> Frame:
    """Put each task into a split, clusters of like tasks whole, by a hash that forgets nothing and moves nothing.

    Parameters
    ----------
    tasks
        Any table with a column ``task`` of text and, if clusters are to stay together, ``cluster``: an answer of
        ``near_duplicates``, a table with one's own clusters (by song, artist, prompt), a notes table. Without
        ``cluster``, each task is its own.
    shares
        Names of the splits and their shares, >= 0, which add up to 1.
    seed
        Another number gives another division.
    previous
        A former answer, or any table with ``task`` and ``split``: its tasks stay where they are, and new tasks of their
        clusters join them.

    Returns
    -------
    One row per task, sorted; a LazyFrame for a LazyFrame:

    - ``task``, ``cluster`` (String): a task without a cluster (null) is its own
    - ``split`` (String): a name from ``shares``, or one from ``previous``
    - ``divided`` (Boolean): whether its cluster has tasks in several splits; never without ``previous``

    Where the former tasks of a cluster are in several splits, a new task goes where the smallest of their ids is.

    Raises
    ------
    ValueError
        If the shares are no shares, or a table has no ``task`` (or ``previous`` no ``split``). If a task has two
        clusters or two former splits (when the query runs).

    References
    ----------
    Saarinen and Aumasson, "The BLAKE2 cryptographic hash", RFC 7693, 2015. Splits by a hash of the id: Warden, "Speech
    commands", 2018, there of the speaker's id for the same reason.

    Examples
    --------
    >>> import polars as pl
    >>> songs = pl.DataFrame({"task": ["a", "b", "c", "d"], "cluster": ["a", "a", "c", "d"]})
    >>> split_tasks(songs, shares={"train": 0.5, "test": 0.5}).select("task", "split").rows()
    [('a', 'train'), ('b', 'train'), ('c', 'train'), ('d', 'test')]
    """
    _check_shares(shares)
    own = _columns(tasks, "tasks", "task")
    cluster = pl.col("cluster").cast(pl.String) if "cluster" in own else pl.lit(None, pl.String)
    task = pl.col("task").cast(pl.String)
    known = tasks.lazy().select(task, cluster=pl.coalesce(cluster, task)).unique().pipe(_once, "cluster")
    if previous is None:
        before = pl.LazyFrame(schema={"task": pl.String, "former": pl.String})
    else:
        _columns(previous, "previous", "task", "split")
        before = previous.lazy().select(task, former=pl.col("split").cast(pl.String)).unique().pipe(_once, "former")
    joined = known.join(before, on="task", how="left")
    heirs = (
        joined.drop_nulls("former").sort("task").group_by("cluster", maintain_order=True).agg(pl.col("former").first())
    )
    clusters = (
        known.select("cluster")
        .unique()
        .with_columns(hashed=pl.col("cluster").map_batches(partial(_hash, shares=dict(shares), seed=seed), pl.String))
        .join(heirs.rename({"former": "inherited"}), on="cluster", how="left")
    )
    found = joined.join(clusters, on="cluster", how="left").with_columns(
        split=pl.coalesce("former", "inherited", "hashed")
    )
    divided = (pl.col("split").min() != pl.col("split").max()).over("cluster")
    answer = found.select("task", "cluster", "split", divided=divided).sort("task")
    return answer if isinstance(tasks, pl.LazyFrame) else answer.collect(engine="streaming")


def _check_shares(shares: Mapping[str, float]) -> None:
    if not all(0 <= share <= 1 for share in shares.values()) or not math.isclose(math.fsum(shares.values()), 1):
        raise ValueError(f"shares: expected numbers from 0 that add up to 1, got {dict(shares)}")


def _columns(table: pl.DataFrame | pl.LazyFrame, name: str, *wanted: str) -> list[str]:
    have = table.collect_schema().names()
    for column in wanted:
        if column not in have:
            raise ValueError(f"{name}: expected a column '{column}', got {', '.join(have)}")
    return have


def _once(table: pl.LazyFrame, what: str) -> pl.LazyFrame:
    """Refuse a task with two values, or without an id."""

    def check(rows: pl.DataFrame) -> pl.DataFrame:
        if rows["task"].has_nulls():
            raise ValueError("task: expected text, got null")
        for task, values in rows.filter(pl.col("task").is_duplicated()).group_by("task").agg(what).sort("task").rows():
            raise ValueError(f"task '{task}': expected one {what}, got {sorted(values)}")
        return rows

    return table.map_batches(check)


def _hash(clusters: pl.Series, *, shares: Mapping[str, float], seed: int) -> pl.Series:
    """Name the split in whose stretch of 0 to 1 the hash of each cluster is."""
    salt = seed.to_bytes(16, "big", signed=True)
    numbers = [
        (int.from_bytes(blake2b(cluster.encode(), digest_size=8, salt=salt).digest(), "big") >> 11) / 2**53
        for cluster in clusters.to_list()
    ]
    ends = list(accumulate(shares.values()))[:-1]
    names = pl.Series(list(shares), dtype=pl.String)
    return names.gather(pl.Series(ends, dtype=pl.Float64).search_sorted(pl.Series(numbers, dtype=pl.Float64), "right"))
