"""What an answer says of a task, in the ledger's words: read once, before the transaction that takes it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias

from kie_notes.api.origins import Music, Separation, parse_music, parse_separation
from kie_notes.api.records import Record, parse_record
from kie_notes.columns import without_impossible
from kie_notes.errors import RecordError

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

Kind: TypeAlias = Literal["midi", "separation", "music"]

#: Sources of answers that came over the network; those of files are their names. The words tell the kind of task when
#: nothing but the raw answers is left.
RECORD_INFO: dict[Kind, str] = {
    "midi": "record-info",
    "separation": "separation record-info",
    "music": "music record-info",
}
CALLBACK = "callback (unconfirmed)"


class Reading(NamedTuple):
    """What one answer says; times in ms since 1970."""

    task: str
    kind: Kind
    state: str
    source: str
    hint: bool
    audio_id: str | None
    created_at: int | None
    completed_at: int | None
    tracks: int
    notes: int
    rejected: int
    error_code: str | None
    error_message: str | None
    parent: str | None = None
    origins: tuple[tuple[Any, ...], ...] = ()  # rows of ``stem`` or ``song``, without the task


def kind_of(source: str) -> Kind:
    """Tell what kind of task an answer is about, by where it came from."""
    found = [kind for kind, name in RECORD_INFO.items() if source == name]
    return found[0] if found else "midi"


def read(body: bytes, *, task: str | None, source: str, kind: Kind = "midi", hint: bool = False) -> Reading:
    """Read an answer.

    Raises
    ------
    RecordError
        If it says nothing about a task, or names none and ``task`` does not either.
    """
    parsers: dict[Kind, Callable[..., Record | Separation | Music]]
    parsers = {"midi": parse_record, "separation": parse_separation, "music": parse_music}
    return reading(parsers[kind](body, task=task, source=source), hint=hint)


def reading(said: Record | Separation | Music, *, hint: bool = False) -> Reading:
    """What a parsed answer says.

    Raises
    ------
    RecordError
        If it names no task.
    """
    if not said.task:
        raise RecordError(f"a record ({said.source or said.state}) names no task: parse_record(body, task=...)")
    state = "failed" if said.state == "not_found" else said.state
    tail = (said.error_code, said.error_message)
    if isinstance(said, Music):
        songs = tuple(
            (one.id, one.title, one.tags, one.prompt, one.model, one.duration, one.url, _ms(one.created_at))
            for one in said.songs
        )
        return Reading(
            said.task, "music", state, said.source, hint, None, None, None, len(songs), 0, 0, *tail, None, songs
        )
    times = (_ms(said.created_at), _ms(said.completed_at))
    if isinstance(said, Separation):
        stems = tuple(
            (one.id, one.name, one.part, one.url, one.duration, said.song, said.song_index) for one in said.stems
        )
        return Reading(
            said.task, "separation", state, said.source, hint, None, *times, len(stems), 0, 0, *tail, None, stems
        )
    sifted = without_impossible(said)
    notes = sum(track.notes for track in sifted.tracks)
    rejected = sum(one.index is not None for one in sifted.rejects)
    return Reading(
        said.task,
        "midi",
        state,
        said.source,
        hint,
        said.audio_id,
        *times,
        len(said.tracks),
        notes,
        rejected,
        *tail,
    )


def _ms(moment: datetime | None) -> int | None:
    return None if moment is None else int(moment.timestamp() * 1000)
