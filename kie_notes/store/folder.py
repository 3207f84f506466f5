"""The store as its users know it: what goes in, what comes out, its upkeep. The package says how it lies on disk."""

from __future__ import annotations

import json
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from kie_notes.api.records import Record, parse_record
from kie_notes.errors import RecordError, StoreError
from kie_notes.store import generations, scans, tasks, upkeep
from kie_notes.store.door import check_id, check_new, hint
from kie_notes.store.ledger import Ledger, in_rows, locked
from kie_notes.store.reading import CALLBACK, Kind, Reading, reading
from kie_notes.store.seal import plan, seal

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from datetime import datetime
    from types import TracebackType
    from typing import Self

    import polars as pl

    from kie_notes.api.origins import Music, Separation
    from kie_notes.store.tasks import Look


class Store:
    """Keep tasks, raw answers and notes in a folder.

    A folder that cannot be written is opened for reading.

    Parameters
    ----------
    folder
        Where the store is, or shall be: a new or empty folder.

    Raises
    ------
    StoreError
        If the folder holds other things, or cannot be read.

    Examples
    --------
    >>> import tempfile
    >>> flute = {"name": "Flute", "notes": [{"pitch": 60, "start": 0, "end": 0.5, "velocity": 1}]}
    >>> with Store(tempfile.mkdtemp()) as store:
    ...     record = store.put({"state": "complete", "instruments": [flute]}, task="t1")
    ...     store.scan_notes().select("task", "pitch", "end").collect().rows()
    [('t1', 60, 0.5)]
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder).absolute()
        ledger = self.folder / "ledger.sqlite"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            if not ledger.exists() or not ledger.stat().st_size:
                check_new(self.folder)
            self._ledger = Ledger(ledger)
            if self._ledger.writable:
                generations.prepare(self.folder, self._ledger)
        except OSError as fault:
            raise StoreError(f"{self.folder}: cannot be used as a store: {fault}") from fault

    def __repr__(self) -> str:
        return f"Store({str(self.folder)!r})"

    def _repr_html_(self) -> str | None:
        return scans.shown(self.folder, self._ledger)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the ledger; what is not sealed stays in it and is read from there."""
        self._ledger.close()

    # How things get in.

    def add(
        self,
        ids: Iterable[str],
        *,
        submitted_at: datetime | None = None,
        label: str | None = None,
        kind: Kind = "midi",
        parent: str | None = None,
    ) -> int:
        """Enter task ids as pending, before anything else happens to them.

        Parameters
        ----------
        ids
            Ids; those that the store knows stay as they are.
        submitted_at
            When they were given to the service, if not now: the 14 days run from then. Corrects an earlier word of
            yours, but not the service's.
        label
            Your own word for them.
        kind
            What made them: MIDI tasks, separations, or music tasks.
        parent
            The task that they were made from: the separation of MIDI tasks, the music task of separations.

        Returns
        -------
        How many were new.
        """
        ids = list(ids) if not isinstance(ids, str) else [ids]
        for task in ids:
            check_id(task)
        created = None if submitted_at is None else int(submitted_at.timestamp() * 1000)
        with self._ledger.transaction() as db:
            return tasks.add(db, ids, kind=kind, created=created, label=label, parent=parent)

    def put(self, body: bytes | str | dict[str, Any], *, task: str | None = None, source: str = "put") -> Record:
        """Accept what the service said of a MIDI task.

        When this returns, the answer is on disk. Putting the same task twice changes nothing; an answer that says more
        than the one before (a result after a failure) takes its place, and both are kept among the raw answers.

        Parameters
        ----------
        body
            Any form that ``parse_record`` reads.
        task
            The task's id where the body holds none.
        source
            Where it came from, for the tasks table.

        Returns
        -------
        The record that was read from the body.

        Raises
        ------
        RecordError
            If no record can be read from the body, or it names no task.
        StoreError
            If it cannot be written; then nothing was accepted.
        """
        record = parse_record(body, task=task, source=source)
        raw = json.dumps(body).encode() if isinstance(body, dict) else body.encode() if isinstance(body, str) else body
        self.accept(record, raw)
        return record

    def accept(self, said: Record | Separation | Music, body: bytes) -> bool:
        """Accept an answer that was read already; gives whether it said more than the store knew."""
        (word,) = self.take([(reading(said), body)])
        if isinstance(word, RecordError):
            raise word
        return word

    def take(self, answers: Sequence[tuple[Reading, bytes]]) -> list[bool | RecordError]:
        """Accept several answers in one transaction; gives for each whether it said more than the store knew."""
        words: list[bool | RecordError] = []
        with self._ledger.transaction() as db:
            for said, body in answers:
                try:
                    words.append(tasks.accept(db, said, body))
                except RecordError as fault:
                    words.append(fault)
        return words

    def receive(self, deliveries: Sequence[tuple[str, bytes]]) -> list[str]:
        """Take callbacks, which anybody may have sent: what they say is unconfirmed until record-info says it too.

        Parameters
        ----------
        deliveries
            Task and body of each; all of them are on disk when this returns.

        Returns
        -------
        For each, what became of it: ``taken`` (it says more than was known), ``known`` (nothing new), or
        ``unreadable`` (kept aside with the reason). Each task that is not known to be at its end is due for a look.

        Raises
        ------
        StoreError
            If they cannot be written; then none was taken.
        """
        with self._ledger.transaction("DEFERRED") as db:
            kinds = {
                task: row[0]
                for task, _ in deliveries
                if (row := db.execute("SELECT kind FROM task WHERE id = ?", (task,)).fetchone())
            }
        said = [hint(task, body, kinds.get(task)) for task, body in deliveries]
        with self._ledger.transaction() as db:
            return [
                tasks.receive(db, task, body, one, source=CALLBACK)
                for (task, body), one in zip(deliveries, said, strict=True)
            ]

    def expire(self, task: str) -> None:
        """Call a pending task expired: its 14 days are over and the service knows it no more."""
        with self._ledger.transaction() as db:
            tasks.settle(db, task, "expired", "the 14 days for which the service keeps results are over")

    def give_up(self, task: str, reason: str) -> None:
        """Call a pending task failed for a reason that no answer states."""
        with self._ledger.transaction() as db:
            tasks.settle(db, task, "failed", reason)

    def reopen(self, ids: Iterable[str]) -> None:
        """Make failed and expired tasks pending again, and due at once those that wait."""
        with self._ledger.transaction() as db:
            tasks.reopen(db, ids)

    def looked(self, task: str, *, error: str | None, next_look: float) -> None:
        """Remember that a look brought no result, why, and when the next is due (seconds since 1970)."""
        with self._ledger.transaction() as db:
            tasks.looked(db, task, error, next_look)

    @contextmanager
    def submitting(self) -> Iterator[Ledger]:
        """Be the one who gives the service new tasks from this store; ``kie_notes.orders`` is what does it.

        Raises
        ------
        StoreError
            If another process, or another thread, is at it.
        """
        with locked(self.folder / "submit.lock", patience=0) as got:
            if not got:
                raise StoreError(
                    f"{self.folder}: somebody else is submitting from this store; try again when that ends"
                )
            yield self._ledger

    # Whose turn it is.

    @contextmanager
    def asking(self, ids: Iterable[str]) -> Iterator[str]:
        """Name a set of ids for ``lease``, ``waiting`` and ``states`` while a run is at it."""
        name = f"temp.asked_{uuid4().hex}"
        with self._ledger.transaction() as db:
            db.execute(f"CREATE TABLE {name} (id TEXT PRIMARY KEY)")
            db.executemany(f"INSERT OR IGNORE INTO {name} VALUES (?)", in_rows(ids))  # noqa: S608 -- a name of ours
        try:
            yield name
        finally:
            with self._ledger.transaction() as db:
                db.execute(f"DROP TABLE {name}")

    def lease(
        self, holder: str, *, until: float, limit: int, first_look: float = 0.0, among: str | None = None
    ) -> list[Look]:
        """Take tasks to look at, which nobody else is given until then (seconds since 1970): nearest expiry first."""
        with self._ledger.transaction() as db:
            return tasks.lease(
                db, holder, until=int(until * 1000), limit=limit, first_look=int(first_look * 1000), among=among
            )

    def renew(self, holder: str, ids: Iterable[str], *, until: float) -> None:
        """Hold tasks for longer."""
        with self._ledger.transaction() as db:
            tasks.renew(db, holder, ids, until=int(until * 1000))

    def release(self, holder: str) -> None:
        """Give back all tasks of a holder."""
        with self._ledger.transaction() as db:
            tasks.release(db, holder)

    def waiting(self, end: float, *, among: str | None = None) -> bool:
        """Tell whether a task is to be looked at before an end (seconds since 1970)."""
        with self._ledger.transaction("DEFERRED") as db:
            return tasks.waiting(db, end, among)

    def expiring(self, since: float, until: float, *, among: str | None = None) -> list[tuple[str, float]]:
        """The first open tasks whose result will be gone between two times (seconds since 1970), and when."""
        with self._ledger.transaction("DEFERRED") as db:
            return tasks.expiring(db, since, until, among)

    # Upkeep.

    def seal(self, *, only_full: bool = False) -> int:
        """Write the answers that wait in the ledger into Parquet parts; several processes may call it.

        Parameters
        ----------
        only_full
            Leave what does not fill a segment yet, and all of it when another process is sealing already.

        Returns
        -------
        How many answers were sealed.
        """
        sealed = 0
        while True:
            stuck = upkeep.drop_outdated(self.folder, self._ledger, patience=0 if only_full else generations.PATIENCE)
            with locked(self.folder / "seal.lock", patience=0 if only_full else generations.PATIENCE) as got:
                if not got and not only_full:
                    raise StoreError(f"{self.folder}: another process was sealing for {generations.PATIENCE:.0f} s")
                while got and (segment := plan(self._ledger, only_full=only_full)) is not None:
                    with self._ledger.transaction("DEFERRED") as db:
                        home = generations.folder_of(self.folder, db)
                    sealed += seal(self._ledger, segment, home, self.folder / "tmp")
            if stuck or only_full or not upkeep.any_outdated(self._ledger):
                break
        if not only_full:
            upkeep.compact_a_crowd(self.folder, self._ledger)
        return sealed

    def compact(self) -> int:
        """Merge small parts that lie side by side, while others read and write; gives how many there are fewer."""
        return upkeep.compact(self.folder, self._ledger)

    def rebuild(self, *, progress: bool = True) -> upkeep.Rebuilt:
        """Make notes, tasks, rejects, songs and stems anew from the raw answers, while others read and write.

        What is read changes from the old to the new in one step, at the end. Bodies that were kept aside are tried
        again.

        Parameters
        ----------
        progress
            Show a bar on stderr, if that is a terminal.

        Returns
        -------
        ``Rebuilt(tasks, notes_before, notes, taken)``: tasks that were read again, notes in the parts before and
        after, and bodies that were aside and are taken now.

        Raises
        ------
        StoreError
            If a raw part is damaged (``check`` tells what can be done); then nothing changed.
        """
        self.seal()
        return upkeep.rebuild(self.folder, self._ledger, progress=progress)

    # How things are read.

    def scan_notes(self) -> pl.LazyFrame:
        """Scan the notes of all complete tasks: sealed parts and what waits in the ledger, each task once, whole."""
        return scans.notes(self.folder, self._ledger)

    def scan_rejects(self) -> pl.LazyFrame:
        """Scan the notes that could not be taken, and the bodies that are kept aside, with their reasons."""
        return scans.rejects(self.folder, self._ledger)

    def scan_tasks(self) -> pl.LazyFrame:
        """Scan the MIDI tasks, one row each (``TASKS_SCHEMA``), in the order in which the store came to know them.

        A ``source`` of "callback (unconfirmed)" says that a callback brought the answer and that record-info was not
        asked, or did not know: a callback's body is not signed.
        """
        return scans.tasks(self._ledger).lazy()

    def scan_songs(self) -> pl.LazyFrame:
        """Scan the songs of the music tasks: one row each, with title, tags, prompt, model, duration (seconds)."""
        return scans.songs(self._ledger).lazy()

    def scan_stems(self) -> pl.LazyFrame:
        """Scan the stems of the separations: one row each, with the song that they were parted from."""
        return scans.stems(self._ledger).lazy()

    def lineage(self) -> pl.LazyFrame:
        """Scan where the notes come from: one row per MIDI task, with its stem, separation and song where known.

        ``join_tasks(store.scan_notes(), store.lineage())`` gives every note its labels.
        """
        return scans.lineage(self._ledger).lazy()

    def open_tasks(self) -> pl.DataFrame:
        """Tasks without a confirmed end: the one that expires first stands first, then the one to look at next."""
        return scans.open_tasks(self._ledger)

    def states(self, among: str) -> pl.DataFrame:
        """State, counts and reason of the tasks of ``asking``."""
        return scans.states(self._ledger, among)

    def counts(self) -> pl.DataFrame:
        """How many tasks there are of each kind in each state (kind, state, tasks)."""
        return scans.counts(self._ledger)

    def failures(self) -> pl.DataFrame:
        """Tasks of any kind that failed or expired, each with the reason, the last first."""
        return scans.failures(self._ledger)

    def submissions(self) -> pl.DataFrame:
        """Orders that were given with ``submit`` and ``separate``, what came of each, and whether one is ``open``.

        Open is what was planned and not sent, and what was refused or is unknown and was not ordered again.
        """
        return scans.submissions(self._ledger)

    def size(self) -> scans.Size:
        """Answers that are sealed, answers that wait to be, and bytes on disk in all."""
        return scans.size(self.folder, self._ledger)

    def aside(self) -> pl.DataFrame:
        """Bodies that were kept and not taken, byte for byte, each with its task and the reason."""
        return scans.aside(self._ledger)

    def raw(self, task: str) -> bytes | None:
        """Give the answer that decided a task, byte for byte, or None when there is none."""
        return scans.raw(self.folder, self._ledger, task)
