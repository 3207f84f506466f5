"""The use case: give the service new tasks, each remembered before it is sent, so that none is sent twice by accident.

All orders of a call are in the store before the first is sent, and each is marked as being sent before its request goes
out. So whatever ends the process, and whenever: what was sent is known, what was not can be sent (``submit_pending``),
and an order whose answer was lost is ``unknown`` and is not sent again, because the task may exist, and may have been
paid for. Whether to send that one again is a person's decision, ``again=True``.

One process at a time submits from a store, at the service's pace of 20 new tasks in 10 s.
"""

from __future__ import annotations

import time
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from kie_notes.errors import (
    AmbiguousError,
    ApiError,
    AuthenticationError,
    CreditsError,
    MaintenanceError,
    NoAnswerError,
    RateLimitError,
    StoreError,
)
from kie_notes.order_lists import Order, SongOrder, as_orders
from kie_notes.progress import bar
from kie_notes.store import submissions
from kie_notes.store.door import check_id
from kie_notes.store.submissions import Wanted

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Iterable, Iterator
    from typing import Any, Literal

    import polars as pl

    from kie_notes.api.client import KieClient
    from kie_notes.store import Store
    from kie_notes.store.ledger import Ledger
    from kie_notes.store.submissions import Ordered, Submission

#: New tasks in so many seconds, for an account (the service's documentation).
_TASKS, _SECONDS = 20, 10.0

#: Orders without a clear answer in a row, after which no more are sent: something is wrong that a person should see.
_UNCLEAR = 3

#: Faults that are no refusal of the order: it was not carried out, and would be later.
_LATER = (AuthenticationError, CreditsError, MaintenanceError, NoAnswerError, RateLimitError)

#: What a person can do about an order that is unknown.
DECIDE = (
    "the task may exist: if you find its id on the service's site, say so (settle_order, kie-notes settle);"
    " again=True (--again) sends a second order"
)


def submit(
    separation_tasks: Iterable[str | Order] | pl.DataFrame,
    store: Store,
    client: KieClient,
    *,
    callback_url: str | None = None,
    audio_id: str | None = None,
    label: str | None = None,
    again: bool = False,
    progress: bool = True,
) -> pl.DataFrame:
    """Have separation tasks transcribed, and enter the new MIDI tasks in a store.

    Each order is in the store before it is sent, and is sent once. One like an earlier order (same separation, same
    stem) is not sent again when that one was submitted, or may have been.

    Parameters
    ----------
    separation_tasks
        Ids of completed vocal-separation tasks, ``Order``s, or a frame with the columns of ``Order``.
    store
        Where orders are remembered and the new tasks are entered as pending, for ``collect`` and ``watch``.
    client
        Whom to ask.
    callback_url
        Where the service shall deliver; without it ``https://callback.invalid/`` is sent, a reserved name that leads
        nowhere, since the service wants one.
    audio_id, label
        For the orders that have none of their own.
    again
        Send also what was sent before, or may have been. That makes second tasks.
    progress
        Show a bar on stderr, if that is a terminal.

    Returns
    -------
    One row per order, in the order given, each once:

    - ``separation_task``, ``audio_id`` (null: all stems), ``label`` (String)
    - ``task`` (String): the MIDI task, null when none is known
    - ``state`` (String): ``submitted`` (now, or before: then the reason says when), ``refused`` (no task was made; a
      later call sends it again), ``unknown`` (the task may exist; it is sent again with ``again`` only), ``planned``
      (not sent, since the service cannot be asked now), or ``unsent`` (not sent, for the key or the credits);
      ``submit_pending`` sends the last two
    - ``reason`` (String)

    Raises
    ------
    ValueError
        If an order names no task; then none was sent.
    StoreError
        If somebody else is submitting from this store, or something cannot be written; the message names a task that
        was made and is not remembered.
    """
    wanted = [
        Wanted(
            "midi", order.separation_task, order.audio_id or audio_id, order.label or label, _sent_with(callback_url)
        )
        for order in as_orders(separation_tasks, Order)
    ]
    return _deliver(store, client, lambda db: submissions.plan(db, wanted, again=again), "midi", progress=progress)


def separate(  # noqa: PLR0913 -- three of them are facts about the orders
    songs: Iterable[str | tuple[str, str] | SongOrder] | pl.DataFrame,
    store: Store,
    client: KieClient,
    *,
    kind: Literal["separate_vocal", "split_stem", "split_stem_advanced"] = "separate_vocal",
    stem_name: str | None = None,
    callback_url: str | None = None,
    label: str | None = None,
    again: bool = False,
    progress: bool = True,
) -> pl.DataFrame:
    """Have songs separated into stems, and enter the new separation tasks, and their music tasks, in a store.

    Each order is in the store before it is sent, and is sent once: the service charges for every separation. What
    ``watch`` or ``collect`` bring of the tasks is in ``Store.scan_stems``, ``scan_songs`` and ``lineage``.

    Parameters
    ----------
    songs
        Pairs of music task and audio id, ``SongOrder``s, a frame with its columns, or addresses of audio files.
    store, client
        As for ``submit``.
    kind
        ``separate_vocal`` gives vocals and the rest, ``split_stem`` up to twelve stems, ``split_stem_advanced`` the
        stem that ``stem_name`` names and the rest.
    stem_name
        With ``split_stem_advanced`` only.
    callback_url, label, again, progress
        As for ``submit``. ``again`` is charged again.

    Returns
    -------
    One row per order, as from ``submit``, with ``music_task`` (or the address) in the place of ``separation_task``.

    Raises
    ------
    ValueError
        If an order names no song, or ``stem_name`` does not go with ``kind``; then none was sent.
    StoreError
        As for ``submit``.
    """
    if (stem_name is not None) != (kind == "split_stem_advanced"):
        told = f"got {stem_name!r} with {kind!r}"
        raise ValueError(f"stem_name: expected with kind 'split_stem_advanced' and no other, {told}")
    options = {"kind": kind} | ({"stem_name": stem_name} if stem_name else {}) | _sent_with(callback_url)
    wanted = [
        Wanted("separation", order.music_task, order.audio_id, order.label or label, options)
        for order in as_orders(songs, SongOrder)
    ]
    for order in wanted:
        if order.audio_id is None and "://" not in order.source_task:
            msg = "expected a music task with an audio id, or the address of an audio file, got"
            raise ValueError(f"{msg} {order.source_task!r}")
    return _deliver(
        store, client, lambda db: submissions.plan(db, wanted, again=again), "separation", progress=progress
    )


def submit_pending(store: Store, client: KieClient, *, kind: Ordered = "midi", progress: bool = True) -> pl.DataFrame:
    """Send the orders of a store that were planned and never sent, as after Ctrl-C or for want of credits.

    Parameters
    ----------
    store, client
        As for ``submit``.
    kind
        ``midi`` for those of ``submit``, ``separation`` for those of ``separate``.
    progress
        Show a bar on stderr, if that is a terminal.

    Returns
    -------
    One row per order, oldest first, as from ``submit`` or ``separate``.

    Raises
    ------
    StoreError
        As for ``submit``.
    """
    return _deliver(store, client, lambda db: submissions.planned(db, kind), kind, progress=progress)


def settle_order(
    source: str, task: str, store: Store, *, kind: Ordered = "midi", audio_id: str | None = None
) -> pl.DataFrame:
    """Say which task an order made whose answer was lost; it is entered, and the order is unknown no more.

    Parameters
    ----------
    source
        What was ordered: the separation task of ``submit``; the music task, or the address, of ``separate``.
    task
        The id that you found on the service's site.
    store
        Where the order is remembered.
    kind
        ``midi`` for an order of ``submit``, ``separation`` for one of ``separate``.
    audio_id
        The order's stem or song, where it named one.

    Returns
    -------
    One row, as from ``submit`` or ``separate``.

    Raises
    ------
    ValueError
        If there is not one such order that is unknown, or the task is that of another order.
    StoreError
        As for ``submit``.
    """
    check_id(task)
    with store.submitting() as ledger, ledger.transaction() as db:
        submissions.abandon(db)
        found = submissions.unknown(db, kind, source, audio_id)
        if len(found) != 1:
            which = f"{source!r}" + (f" with audio id {audio_id!r}" if audio_id else "")
            raise ValueError(f"expected one {kind} order of {which} that is unknown, got {len(found)}")
        if submissions.order_of(db, task) is not None:
            raise ValueError(f"task {task!r} was made by another order of this store")
        submissions.submitted(db, found[0], task)
        now = submissions.rows(db, [found[0].id])
    return _table(now, kind, None, {})


def _sent_with(callback_url: str | None) -> dict[str, str]:
    return {"callback_url": callback_url} if callback_url else {}


def _deliver(
    store: Store,
    client: KieClient,
    choose: Callable[[sqlite3.Connection], list[int]],
    kind: Ordered,
    *,
    progress: bool,
) -> pl.DataFrame:
    """Send those of some orders that are planned, and tell what came of all of them."""
    stop: tuple[str, str] | None = None
    unclear = 0
    with store.submitting() as ledger:
        with ledger.transaction() as db:
            submissions.abandon(db)
            ids = choose(db)
            before = submissions.rows(db, ids)
            recent = submissions.sent_since(db, int((time.time() - _SECONDS) * 1000))
        due = [order for order in before if order.state == "planned"]
        with bar(unit="order", total=len(due), progress=progress) as shown, ThreadPoolExecutor(1) as hand:
            for order in _paced(due, [moment / 1000 for moment in recent]):
                state, stop = hand.submit(_send, order, ledger, client).result()  # Ctrl-C waits for the order in hand
                unclear = unclear + 1 if state == "unknown" else 0
                if unclear == _UNCLEAR:
                    stop = ("planned", f"{_UNCLEAR} orders in a row had no clear answer, and no more were sent")
                if stop is not None:
                    break
                shown.update()
        with ledger.transaction("DEFERRED") as db:
            now = submissions.rows(db, ids)
            earlier = {
                order.id: _told(order, submissions.state_of(db, order.task))
                for order in before
                if order.state != "planned"
            }
    return _table(now, kind, stop, earlier)


def _table(
    orders: list[Submission], kind: Ordered, stop: tuple[str, str] | None, earlier: dict[int, str]
) -> pl.DataFrame:
    """Orders for the one who gave them, a row each."""
    import polars as pl

    rows = [
        (order.source_task, order.audio_id, order.label, order.task, *_outcome(order, stop, earlier.get(order.id)))
        for order in orders
    ]
    source = "separation_task" if kind == "midi" else "music_task"
    names = (source, "audio_id", "label", "task", "state", "reason")
    return pl.DataFrame(rows, schema=dict.fromkeys(names, pl.String), orient="row")


def _paced(due: list[Submission], recent: list[float]) -> Iterator[Submission]:
    """Orders, each when its turn is: other processes may have sent some in the last seconds.

    The client keeps the same pace, but an order that waits there counts as sent already.
    """
    moments = deque(recent, _TASKS)
    for order in due:
        if len(moments) == _TASKS:
            time.sleep(min(max(moments[0] + _SECONDS - time.time(), 0.0), _SECONDS))
        moments.append(time.time())
        yield order


def _send(order: Submission, ledger: Ledger, client: KieClient) -> tuple[str, tuple[str, str] | None]:
    """Send one order; gives its state now, and why no more can be sent, if so."""
    with ledger.transaction() as db:
        submissions.sending(db, order.id)
    try:
        task = _made(order, client)
    except Exception as fault:  # noqa: BLE001 -- whatever it is, nobody knows what became of the order
        clear = isinstance(fault, ApiError) and not isinstance(fault, AmbiguousError)
        state: Literal["planned", "refused", "unknown"]
        state = "unknown" if not clear else "planned" if isinstance(fault, _LATER) else "refused"
        told = str(fault) if isinstance(fault, ApiError) else f"{type(fault).__name__} while it was sent"
        with ledger.transaction() as db:
            submissions.answered(db, order.id, state, told)
        if state != "planned":
            return state, None
        return state, ("unsent" if isinstance(fault, AuthenticationError | CreditsError) else "planned", told)
    try:
        with ledger.transaction() as db:
            submissions.submitted(db, order, task)
    except (StoreError, UnicodeError) as fault:
        msg = f"task {task!r} was made of {order.source_task!r} and is not remembered: {fault}"
        raise StoreError(msg) from fault
    return "submitted", None


def _made(order: Submission, client: KieClient) -> str:
    """Have the service make the task of an order."""
    options: dict[str, Any] = dict(order.options)
    if order.kind == "midi":
        return client.generate_midi(order.source_task, audio_id=order.audio_id, **options)
    if order.audio_id is None:
        return client.separate(audio_url=order.source_task, **options)
    return client.separate(order.source_task, audio_id=order.audio_id, **options)


def _outcome(order: Submission, stop: tuple[str, str] | None, earlier: str | None) -> tuple[str, str | None]:
    """State and reason of an order for the one who gave it."""
    if order.state == "planned":
        return stop or ("planned", None)
    if order.state == "unknown":
        return "unknown", f"{earlier or order.reason}; {DECIDE}"
    return order.state, earlier or order.reason


def _told(order: Submission, state: str | None) -> str:
    """What is to be said of an order that was sent before, and not now."""
    moment = datetime.fromtimestamp((order.sent_at or 0) / 1000, UTC).strftime("%Y-%m-%d %H:%M UTC")
    if order.state == "submitted":
        return f"sent before, on {moment}, and the task is {state}; again=True (--again) sends a second order"
    return f"sent before, on {moment}, without a clear answer: {order.reason}"
