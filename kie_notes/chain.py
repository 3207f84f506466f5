"""Where notes come from: the separations that MIDI tasks were made of, and the songs that were separated.

What a task was made of is known when it was submitted from the store, when somebody told it, or when a known separation
has its stem. What a separation was made of is known when it was ordered from the store; else its record names a song,
and since nothing says whether that is the song's own id or its music task's, it is asked for as a music task.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from kie_notes.api.origins import parse_music
from kie_notes.errors import ApiError, AuthenticationError, CreditsError, RecordError
from kie_notes.store.reading import RECORD_INFO

if TYPE_CHECKING:
    from collections.abc import Callable

    import polars as pl

    from kie_notes.api.client import KieClient
    from kie_notes.store import Store
    from kie_notes.store.reading import Kind

_UNTOLD = "it is not known which separation it was made of: say so with 'fetch --separation', or Store.add(parent=...)"


def trace(
    tasks: list[str], store: Store, client: KieClient, look: Callable[[list[str]], None], *, workers: int
) -> pl.DataFrame:
    """Bring the separations and music tasks of MIDI tasks into a store.

    Parameters
    ----------
    tasks
        Ids of MIDI tasks that the store knows.
    store, client
        Where answers go, and whom to ask.
    look
        Looks at tasks until they have an end, or the time is over.
    workers
        How many songs are asked for at a time.

    Returns
    -------
    One row per task: task, separation_task, song, music_task, reason (why the song is not known, null where it is).
    """
    import polars as pl

    def ask(kind: Kind, ids: pl.Series) -> None:
        known = ids.drop_nulls().unique(maintain_order=True).to_list()
        store.add(known, kind=kind)
        store.reopen(known)
        look(known)

    ask("separation", _origins(store, tasks)["separation_task"])
    found = _origins(store, tasks)
    named = found.filter(pl.col("music_task").is_null())["song"].drop_nulls().unique(maintain_order=True).to_list()
    with ThreadPoolExecutor(max_workers=workers) as pool:
        refused = dict(zip(named, pool.map(lambda song: _ask_for_song(song, store, client), named), strict=True))
    ask("music", _origins(store, tasks)["music_task"])
    found = _origins(store, tasks)
    with store.asking([*found["separation_task"].drop_nulls(), *found["music_task"].drop_nulls()]) as among:
        states = {row[0]: row for row in store.states(among).select("task", "state", "reason").rows()}
    songs = set(store.scan_songs().collect()["song"])
    reasons = [
        None if song in songs else _reason(states.get(separation), song, states.get(music), refused.get(song))
        for _, separation, song, music in found.rows()
    ]
    return found.with_columns(reason=pl.Series(reasons, dtype=pl.String))


def _origins(store: Store, tasks: list[str]) -> pl.DataFrame:
    import polars as pl

    asked = pl.LazyFrame({"task": tasks}, schema={"task": pl.String})
    columns = ("task", "separation_task", "song", "music_task")
    return asked.join(store.lineage().select(columns), on="task", how="left", maintain_order="left").collect()


def _ask_for_song(song: str, store: Store, client: KieClient) -> str | None:
    """Ask for the music task of a song's name; gives why there is none. It is entered only if the service knows it."""
    try:
        body = client.music_record(song, attempts=1)
        record = parse_music(body, task=song, source=RECORD_INFO["music"])
        if record.task != song:
            return f"asked for it as a music task, the service gave the record of {record.task!r}"
        store.accept(record, body)
    except (AuthenticationError, CreditsError):
        raise
    except (ApiError, RecordError) as fault:
        return f"asked for it as a music task: {fault}"
    return None


def _reason(
    separation: tuple[str, str, str | None] | None,
    song: str | None,
    music: tuple[str, str, str | None] | None,
    refused: str | None,
) -> str:
    """Why a song is not known."""
    if separation is None:
        return _UNTOLD
    for kind, task in (("separation", separation), ("music task", music)):
        if task is not None and task[1] != "complete":
            return f"{kind} {task[0]}: {task[1]}" + (f": {task[2]}" if task[2] else "")
    if song is None:
        return f"separation {separation[0]} names no song"
    return f"song {song!r} is not among those that are known" + (f"; {refused}" if refused else "")
