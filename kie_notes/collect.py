"""The use case: ask the service for tasks until each has an end, keep every answer, and say what happened.

Each task is entered in the store before it is asked for, and each answer is on disk before it counts. So a run may be
stopped at any moment, by Ctrl-C, a crash or a deadline, and the next one goes on with what is left.

The package loads this module at once (its name is also a function's), so what is heavy is loaded where it is used.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from kie_notes.cards import card
from kie_notes.errors import (
    TaskExpiredError,
    TaskFailedError,
)
from kie_notes.progress import bar

if TYPE_CHECKING:
    import threading
    from collections.abc import Iterable
    from datetime import datetime
    from pathlib import Path

    import polars as pl

    from kie_notes.api.client import KieClient
    from kie_notes.store import Store

#: States in the order of a report.
_STATES = ("complete", "empty", "failed", "expired", "pending")


@dataclass(frozen=True)
class CollectReport:
    """What came of a run.

    Attributes
    ----------
    tasks
        One row per task that was asked for, in that order: task, state, notes, rejected, reason (why it failed, or what
        the last look at a pending task met).
    unread
        One row per document that was not taken: source, reason.
    origins
        With ``with_song``, one row per task: task, separation_task, song, music_task, reason (why its song is not
        known; null where it is).
    """

    tasks: pl.DataFrame
    unread: pl.DataFrame
    origins: pl.DataFrame | None = None

    def of(self, state: str) -> list[str]:
        """Ids of the tasks in a state: complete, empty, failed, expired, or pending."""
        return self.tasks.filter(self.tasks["state"] == state)["task"].to_list()

    @property
    def missing(self) -> list[str]:
        """Ids of the tasks from which nothing came: failed, expired, or pending still."""
        return [*self.of("failed"), *self.of("expired"), *self.of("pending")]

    def raise_for_missing(self) -> None:
        """Raise when a task has no result: ``TaskFailedError`` or ``TaskExpiredError`` for the first that has none.

        What is pending still is no error: another run may bring it.
        """
        for task, state, reason in self.tasks.select("task", "state", "reason").rows():
            if state in ("failed", "expired"):
                raise (TaskExpiredError if state == "expired" else TaskFailedError)(f"task {task}: {reason}")

    def __str__(self) -> str:
        counts = [f"{len(self.of(state))} {state}" for state in _STATES if self.of(state)]
        lines = [f"{self.tasks.height} tasks: {', '.join(counts) or 'none'}; {self.tasks['notes'].sum()} notes"]
        told = self.tasks.drop_nulls("reason")
        lines += [
            f"  {task}: {state}: {reason}"
            for task, state, reason in told.select("task", "state", "reason").head(20).rows()
        ]
        lines += [f"  {source}: not taken: {reason}" for source, reason in self.unread.head(20).rows()]
        songless = [] if self.origins is None else self.origins.drop_nulls("reason").select("task", "reason").rows()
        lines += [f"  {task}: no song: {reason}" for task, reason in songless[:20]]
        more = max(told.height - 20, 0) + max(self.unread.height - 20, 0) + max(len(songless) - 20, 0)
        return "\n".join([*lines, f"  ... and {more} more"] if more else lines)

    def _repr_html_(self) -> str:
        counts = {"tasks": self.tasks.height, "missing": len(self.missing)}
        return card("Collected", counts, {"tasks": self.tasks, "unread": self.unread})


def collect(  # noqa: PLR0913 -- the waits are facts about the service that may change
    tasks: Iterable[str],
    store: Store,
    client: KieClient,
    *,
    submitted_at: datetime | None = None,
    deadline: float = 600.0,
    workers: int = 4,
    first_look: float = 3.0,
    poll: tuple[float, float] = (10.0, 30.0),
    grace: float = 60.0,
    with_song: bool = False,
    progress: bool = True,
) -> CollectReport:
    """Fetch the results of MIDI tasks into a store, waiting for those that are pending.

    Parameters
    ----------
    tasks
        Ids of MIDI tasks. Those with notes in the store are not asked for again; those that failed or expired are.
    store, client
        Where results go, and whom to ask.
    submitted_at
        When the tasks were given to the service, if not now. The 14 days run from then, unless the service says more.
    deadline
        Seconds after which what is still pending is left for another run.
    workers
        How many tasks are asked for at a time.
    first_look
        Seconds after its submission that a task is first asked for.
    poll
        Least and most seconds between two looks at a pending task; the wait grows, with jitter.
    grace
        Seconds after its submission for which a task may be unknown to the service before it counts as failed.
    with_song
        Bring what each task was made of too: its separation with the stems, and the music task with the song. Then
        ``Store.lineage`` has their labels, and ``CollectReport.origins`` says of which task no song is known, and why.
    progress
        Show a bar on stderr, if that is a terminal.

    Returns
    -------
    A ``CollectReport``; all that it counts is on disk and sealed.

    Raises
    ------
    AuthenticationError, CreditsError
        At once when the service says so; no task is marked failed for it.
    StoreError
        If an answer cannot be written.
    """
    import polars as pl

    from kie_notes.chain import trace
    from kie_notes.rounds import Run

    if isinstance(tasks, str):
        raise TypeError("tasks: expected several ids, got one text; put it into a list")
    asked = list(dict.fromkeys(tasks))
    store.add(asked, submitted_at=submitted_at)
    store.reopen(asked)
    with store.asking(asked) as among:
        Run(store, client, among=among).warn()
    end = time.time() + deadline
    shown = bar(unit="task", total=0, progress=progress)

    def look(ids: list[str]) -> None:
        with store.asking(ids) as among:
            shown.total = (shown.total or 0) + len(ids)
            shown.update(store.states(among).filter(~pl.col("state").eq("pending")).height)
            run = Run(store, client, among=among, first_look=first_look, poll=poll, grace=grace)
            run.until(end, workers, shown)

    origins = None
    try:
        look(asked)
        if with_song:
            origins = trace(asked, store, client, look, workers=workers)
    finally:
        shown.close()
        store.seal()
    return replace(_report(store, asked), origins=origins)


def watch(  # noqa: PLR0913 -- the waits are facts about the service that may change
    store: Store,
    client: KieClient,
    *,
    deadline: float | None = None,
    workers: int = 4,
    first_look: float = 3.0,
    poll: tuple[float, float] = (10.0, 30.0),
    grace: float = 60.0,
    stop: threading.Event | None = None,
    progress: bool = True,
) -> pl.DataFrame:
    """Look at the open tasks of a store until none is left: those that are pending, and those to be confirmed.

    Several processes may watch one store: each task is looked at by one of them at a time, and stored once.

    Parameters
    ----------
    store, client
        Where tasks are and results go, and whom to ask.
    deadline
        Seconds after which to stop all the same; without it, only when nothing is open.
    workers
        How many tasks are asked for at a time.
    first_look, poll, grace
        As for ``collect``.
    stop
        Go on also when nothing is open, until this is set.
    progress
        Show a bar on stderr, if that is a terminal.

    Returns
    -------
    One row per kind and state: how many tasks the store has in it (kind, state, tasks).

    Raises
    ------
    AuthenticationError, CreditsError
        At once when the service says so; no task is marked failed for it.
    StoreError
        If an answer cannot be written.
    """
    from kie_notes.rounds import Run

    run = Run(store, client, first_look=first_look, poll=poll, grace=grace)
    run.warn()
    shown = bar(unit="task", progress=progress)
    try:
        run.until(time.time() + (deadline if deadline is not None else 1e9), workers, shown, stop=stop)
    finally:
        shown.close()
        store.seal()
    return store.counts()


def ingest(
    paths: str | Path | Iterable[str | Path], store: Store, *, workers: int = 1, progress: bool = True
) -> CollectReport:
    """Put JSON that somebody already has into a store.

    Answers about tasks that are new to the store are written into parts at once, a segment at a time, and then
    acknowledged together. When a run is cut off, the next one goes on with what was not acknowledged. Memory is bounded
    by a segment for each process (64 MB of JSON, or the largest file) and some 200 bytes a task.

    Parameters
    ----------
    paths
        What ``read_records`` takes.
    store
        Where the answers go, byte for byte.
    workers
        Above 1, so many other processes read the files and write parts, but for files above 64 MB, and this one keeps
        the ledger. They are started anew (``spawn``): a script that asks for them stands under
        ``if __name__ == "__main__":``, and gains from some 100 MB on. What comes of it is the same.
    progress
        Show a counter on stderr, if that is a terminal.

    Returns
    -------
    A ``CollectReport``; documents that could not be read are in its ``unread``, with their reasons.

    Raises
    ------
    RecordError
        If a path leads nowhere.
    StoreError
        If an answer cannot be written.
    ValueError
        If ``workers`` is below 1.
    WorkerError
        If one of the other processes died. What was acknowledged stays; the same call takes the rest.
    """
    from kie_notes.intake import Intake

    if workers < 1:
        raise ValueError(f"workers: expected at least 1, got {workers}")
    shown = bar(unit="body", progress=progress)
    intake = Intake(store)
    try:
        intake.take(paths, workers, shown)
    finally:
        shown.close()
    store.seal()
    return _report(store, list(intake.tasks), intake.unread)


def _report(store: Store, asked: list[str], unread: list[tuple[str, str]] | None = None) -> CollectReport:
    import polars as pl

    with store.asking(asked) as among:
        known = store.states(among)
    table = pl.DataFrame({"task": asked}, schema={"task": pl.String}).join(
        known, on="task", how="left", maintain_order="left"
    )
    return CollectReport(
        table, pl.DataFrame(unread or [], schema={"source": pl.String, "reason": pl.String}, orient="row")
    )
