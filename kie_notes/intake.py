"""JSON that somebody already has, on its way into a store: read here or by other processes, taken in its order."""

from __future__ import annotations

from functools import partial
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from kie_notes.api.files import shares
from kie_notes.api.records import parse_record
from kie_notes.errors import RecordError
from kie_notes.processes import in_order
from kie_notes.store.drafts import Draft, Known, admit, again, bodies_of, drafting, drafts
from kie_notes.store.ledger import Ledger
from kie_notes.store.reading import read
from kie_notes.store.seal import SEGMENT_ANSWERS, SEGMENT_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from tqdm import tqdm

    from kie_notes.api.files import Body, Share
    from kie_notes.store import Store

#: How often a draft is made anew when others bring answers about its tasks, before all of it goes through the inbox.
_TRIES = 3


class Intake:
    """Bodies taken into a store, in their order, and what came of them.

    Attributes
    ----------
    tasks
        Of each task that was taken, in the order of their first bodies: the beginning of that body's checksum.
    unread
        Source and reason of each body that was not taken.
    """

    def __init__(self, store: Store) -> None:
        self.tasks: dict[str, int] = {}
        self.unread: list[tuple[str, str]] = []
        self._store = store
        self._ledger = Ledger(store.folder / "ledger.sqlite")

    def take(self, paths: str | Path | Iterable[str | Path], workers: int, shown: tqdm[Any]) -> None:
        """Take what ``read_records`` takes; it is acknowledged draft by draft."""
        try:
            with drafting(self._store.folder) as folder:
                for draft in _drafts(paths, workers, partial(_of_share, self._store.folder, folder)):
                    self._take(draft, folder)
                    shown.update(draft.bodies)
        finally:
            self._ledger.close()

    def _take(self, draft: Draft, folder: Path) -> None:
        for _ in range(_TRIES):
            if admit(self._store, self._ledger, draft):
                break
            draft = again(self._store.folder, folder, draft)
        else:
            draft = draft._replace(rows={}, rest=dict(sorted((draft.rest | bodies_of(draft)).items())))
        unread = dict(draft.unread)
        said = draft.known | {at: Known(row.source, row.task, row.sha256) for at, row in draft.rows.items()}
        old = self._put(draft.rest, said, unread)
        for at in sorted(said):
            if told := self._other(said[at], draft.rest.get(at), old=at in old):
                unread[at] = said[at].source, told
        self.unread += [unread[at] for at in sorted(unread)]

    def _put(self, bodies: dict[int, Body], said: dict[int, Known], unread: dict[int, tuple[str, str]]) -> set[int]:
        """Put bodies into the inbox, in one transaction; gives those that say no more than was known."""
        readings = {}
        for at, body in bodies.items():
            try:
                readings[at] = read(body.content, task=body.task, source=body.source)
            except RecordError as fault:
                unread[at] = body.source, str(fault)
        words = self._store.take([(reading, bodies[at].content) for at, reading in readings.items()])
        for (at, reading), word in zip(readings.items(), words, strict=True):
            if isinstance(word, RecordError):
                unread[at] = bodies[at].source, str(word)
            else:
                said[at] = Known(bodies[at].source, reading.task, sha256(bodies[at].content).hexdigest())
        self._store.seal(only_full=True)
        return {at for at, word in zip(readings, words, strict=True) if word is False}

    def _other(self, said: Known, body: Body | None, *, old: bool) -> str | None:
        """Say whose name a body bears that names no task itself, if the name is another's."""
        digest = int(said.sha256[:16], 16)
        if self.tasks.setdefault(said.task, digest) != digest:
            with self._ledger.transaction("DEFERRED") as db:
                (first,) = db.execute("SELECT source FROM task WHERE id = ?", (said.task,)).fetchone()
            told = f"it names no task, and {first or 'another file'} took the name {said.task!r} already"
        elif old and body is not None and self._store.raw(said.task) != body.content:
            told = f"it names no task, and the store has another answer of {said.task!r}"
        else:
            return None
        content = self._store.raw(said.task) if body is None else body.content
        return told if content is None or parse_record(content).task is None else None


def _drafts(
    paths: str | Path | Iterable[str | Path], workers: int, job: Callable[[Share], Iterator[Draft]]
) -> Iterator[Draft]:
    every = shares(paths, SEGMENT_BYTES, SEGMENT_ANSWERS)
    if workers == 1:
        return (draft for share in every for draft in job(share))
    return in_order(job, every, workers, here=lambda share: share.size > SEGMENT_BYTES)


def _of_share(root: Path, folder: Path, share: Share) -> Iterator[Draft]:
    return drafts(root, folder, share.bodies())
