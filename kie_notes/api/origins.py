"""What comes before MIDI: separation records with their stems, music records with their songs. Knows no HTTP.

Three records make a note's origin: the MIDI record names a stem (``Record.audio_id``), the separation's record names
its stems and the song that they were taken from (``Stem.id``, ``Separation.song``), and the music task's record names
its songs (``Song.id``) with title, tags, prompt and model.

States are those of ``parse_record``. A task that is pending or failed keeps what its record shows all the same. A
container of the wrong type (``data``, ``response``, a list of stems or songs, an entry of one) is an error that says
where; a single value of the wrong type is None, as if it were missing.
"""

from __future__ import annotations

import contextlib
import re
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias

import msgspec

from kie_notes.api.loose import first, loads, unwrap
from kie_notes.api.packing import printable, start_of
from kie_notes.api.records import _FLAGS, State, _moment, _number, _state_by_code
from kie_notes.api.sifting import key_twice
from kie_notes.errors import RecordError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

#: What a stem is: one of several, or the one that was taken out by name, or what remained of that song.
Part: TypeAlias = Literal["stem", "extract", "remove"]


class Stem(msgspec.Struct, frozen=True):
    """One stem of a separation.

    ``id`` is what ``generate_midi`` takes as ``audio_id``, None where only an address was named; ``duration`` is in
    seconds.
    """

    id: str | None
    name: str
    part: Part
    url: str | None
    duration: float | None


class Separation(msgspec.Struct, frozen=True):
    """What one body says about one separation task.

    ``song`` is the ``Song.id`` that was separated, None for audio from an address; ``song_index`` is that song's
    position in its music task.
    """

    task: str | None
    state: State
    song: str | None = None
    song_index: int | None = None
    stems: tuple[Stem, ...] = ()
    created_at: datetime | None = None
    completed_at: datetime | None = None
    error_code: str | None = None
    error_message: str | None = None
    source: str = ""


class Song(msgspec.Struct, frozen=True):
    """One song of a music task; ``id`` is what a separation takes as ``audio_id``, ``duration`` is in seconds."""

    id: str | None
    title: str | None
    tags: str | None
    prompt: str | None
    model: str | None
    duration: float | None
    url: str | None
    created_at: datetime | None


class Music(msgspec.Struct, frozen=True):
    """What one body says about one music task; ``created_at`` is its first song's where the record has none."""

    task: str | None
    state: State
    songs: tuple[Song, ...] = ()
    created_at: datetime | None = None
    error_code: str | None = None
    error_message: str | None = None
    source: str = ""


#: The words of these two kinds of task beside those of MIDI tasks, and their reasons where those speak of notes.
_WORDS: dict[str, tuple[State, str | None]] = (
    _FLAGS
    | dict.fromkeys(("TEXT_SUCCESS", "FIRST_SUCCESS", "TEXT", "FIRST"), ("pending", None))
    | dict.fromkeys(
        ("3", "GENERATE_AUDIO_FAILED", "FAIL", "FAILED", "ERROR"), ("failed", "the service could not make the audio")
    )
)

#: Fields that only one kind of record has.
_MARKS = {"midiData": "MIDI", "instruments": "MIDI", "originData": "separation", "sunoData": "music"}

#: Names of stems that are not the words of the field that holds their address.
_SPELLINGS = {"Vocal": "Vocals", "Fx": "FX"}

_Seconds = Annotated[float, msgspec.Meta(ge=0, le=1e9)]
_Index = Annotated[int, msgspec.Meta(ge=0, lt=2**31)]


def parse_separation(body: bytes | str | dict[str, Any], *, task: str | None = None, source: str = "") -> Separation:
    """Read what a body says about a separation task: its state, its song, its stems.

    Parameters
    ----------
    body
        The service's answer or callback, as it came or as parsed JSON.
    task
        The task's id where the body holds none.
    source
        Where the body came from.

    Returns
    -------
    A ``Separation``. Its ``state`` is ``complete`` (stems came), ``empty`` (success without stems), ``pending``,
    ``failed`` (``error_message`` says why) or ``not_found``. Stems stand in the service's order. A record that names
    addresses only gives stems without ids, named after their fields (``vocalUrl``: Vocals). So does a callback of
    success, which is no more than a hint: its state is ``pending``, until the record is read.

    Raises
    ------
    RecordError
        If the body is no JSON object, is about the request or about another kind of task, or holds no list of stems
        where one should be.

    Examples
    --------
    >>> stem = {"id": "s1", "stem_type_group_name": "Vocals", "audio_url": "https://a.invalid/s1.mp3"}
    >>> data = {"taskId": "t1", "musicId": "m1", "successFlag": "SUCCESS", "response": {"originData": [stem]}}
    >>> separation = parse_separation({"code": 200, "msg": "success", "data": data})
    >>> separation.state, separation.song, [(stem.name, stem.id) for stem in separation.stems]
    ('complete', 'm1', [('Vocals', 's1')])
    """
    with _readable():
        layers = _layers(body, "separation")
        stems = tuple(_stems(layers))
        return Separation(
            **_facts(layers, task, body, nothing=None if stems else "the service finished, but names no stems"),
            song=_text(layers[1:], "musicId"),
            song_index=_number_of(layers[1:], "musicIndex", _Index),
            stems=stems,
            completed_at=_time(layers, "completeTime"),
            source=source,
        )


def parse_music(body: bytes | str | dict[str, Any], *, task: str | None = None, source: str = "") -> Music:
    """Read what a body says about the task that made songs: its state, and its songs with what describes them.

    Parameters
    ----------
    body
        The service's answer or callback, as it came or as parsed JSON.
    task
        The task's id where the body holds none.
    source
        Where the body came from.

    Returns
    -------
    A ``Music``. Its ``state`` is ``complete`` (all songs came), ``empty`` (success without songs), ``pending`` (also
    where the first songs or their texts are there), ``failed`` or ``not_found``. Songs stand in the service's order. A
    song without title, tags, prompt or model has what was asked for (``param``: title, style, prompt, model).

    Raises
    ------
    RecordError
        If the body is no JSON object, is about the request or about another kind of task, or holds no list of songs
        where one should be.

    Examples
    --------
    >>> song = {"id": "m1", "title": "Rain", "tags": "piano, calm", "duration": 198.44}
    >>> data = {"taskId": "t0", "status": "SUCCESS", "response": {"sunoData": [song]}}
    >>> music = parse_music({"code": 200, "msg": "success", "data": data})
    >>> music.state, music.songs[0].title, music.songs[0].duration
    ('complete', 'Rain', 198.44)
    """
    with _readable():
        layers = _layers(body, "music")
        songs = tuple(_songs(layers))
        facts = _facts(layers, task, body, nothing=None if songs else "the service finished, but names no songs")
        facts["created_at"] = facts["created_at"] or next((song.created_at for song in songs), None)
        return Music(**facts, songs=songs, source=source)


@contextlib.contextmanager
def _readable() -> Iterator[None]:
    """Say of a number of thousands of digits, which Python refuses to read or to write, that this is no record."""
    try:
        yield
    except ValueError as fault:
        if isinstance(fault, RecordError):
            raise
        raise RecordError(f"expected a record, got a value that cannot be read: {fault}") from fault


def _layers(body: object, kind: str) -> list[dict[str, Any]]:
    """The document and what is wrapped in it, outermost first."""
    document = unwrap(loads(body) if isinstance(body, bytes | str) else body)
    if not isinstance(document, dict):
        raise RecordError(f"expected a JSON object, got {start_of(body)}")
    layers, where = [_plain(document, "the body")], list[str]()
    for key in ("data", "response", "vocal_separation_info", "vocal_removal_info"):
        inner = unwrap(layers[-1].get(key))
        if isinstance(inner, dict):
            where.append(key)
            layers.append(_plain(inner, ".".join(where)))
        elif inner not in (None, "", []) and _number(document.get("code")) in (None, 200):
            raise RecordError(f"{'.'.join([*where, key])}: expected an object, got {start_of(inner)}")
    for mark, other in _MARKS.items():
        if other != kind and any(mark in layer for layer in layers):
            raise RecordError(f"expected the record of a {kind} task, got one of a {other} task: it has {mark!r}")
    return layers


def _facts(layers: list[dict[str, Any]], task: str | None, body: object, *, nothing: str | None) -> dict[str, Any]:
    """What both kinds of record say; ``nothing`` is what success means here if nothing came with it."""
    inner_first = layers[1:] + layers[:1]
    told = {
        "task": _text(inner_first, "taskId", "task_id") or task,
        "flag": first(inner_first, "successFlag", "status", "callbackType", "state", kind=str | int),
        "code": first(layers[:1], "code", kind=str | int),
        "msg": first(layers[:1], "msg", kind=str),
        "error_message": first(inner_first, "errorMessage", kind=str),
        "known": len(layers) > 1,
    }
    state, message = _state(told, body, nothing)
    codes = (first(inner_first, "errorCode", kind=str | int), told["code"], told["flag"])
    no_error = (None, "", 0, "0", 200, "200")
    failed = state in ("failed", "not_found")
    return {
        "task": printable(told["task"]),
        "state": state,
        "created_at": _time(layers, "createTime"),
        "error_code": next((printable(str(code)) for code in codes if failed and code not in no_error), None),
        "error_message": printable(message),
    }


def _state(told: dict[str, Any], body: object, nothing: str | None) -> tuple[State, str | None]:
    """Judge the state by code, flag and result, in this order, and say why when it is no success."""
    if _number(told["code"]) not in (None, 200):
        return _state_by_code(told)
    if told["flag"] is None:
        if told["known"]:
            return "pending", None
        if told["code"] is None:
            raise RecordError(f"no task state in the body, which begins {start_of(body)}")
        return "not_found", "the service knows no such task (its data is null)"
    word = str(told["flag"]).upper()
    state, reason = _WORDS.get(word, ("pending", None))
    if word == "CALLBACK_EXCEPTION" and nothing is None:
        return "complete", None
    if state == "failed" and told["error_message"]:
        return state, f"{reason}: {told['error_message']}"
    return ("empty", nothing) if state == "complete" and nothing else (state, reason)


def _stems(layers: list[dict[str, Any]]) -> Iterator[Stem]:
    given = next((layer["originData"] for layer in layers if layer.get("originData")), None)
    if given is None:
        yield from _addresses(layers[-1] if len(layers) > 1 else {})
        return
    for where, entry in _entries(given, "data.response.originData", "stems"):
        pair: tuple[Part, ...] = ("extract", "remove")
        named: dict[Part, Any] = {part: entry[part] for part in pair if part in entry}
        for part, stem in (named or {"stem": entry}).items():
            if isinstance(stem, dict):
                _plain(stem, where)
                name = _text([stem], "stem_type_group_name") or ""
                seconds = _number_of([stem], "duration", _Seconds)
                yield Stem(_text([stem], "id"), name, part, _text([stem], "audio_url", "audioUrl"), seconds)
            elif stem is not None:
                raise RecordError(f"{where}.{part}: expected a stem, got {start_of(stem)}")


def _addresses(response: dict[str, Any]) -> Iterator[Stem]:
    """Stems of which nothing is known but the address and the field that holds it."""
    for field, url in response.items():
        found = re.fullmatch(r"(\w+?)_?[Uu]rl", field)
        if found is not None and found[1] not in ("origin", "callback", "callBack") and url and isinstance(url, str):
            words = re.sub(r"(?<=[a-z])(?=[A-Z])|_", " ", found[1]).title()
            yield Stem(None, _SPELLINGS.get(words, words), "stem", printable(url), None)


def _songs(layers: list[dict[str, Any]]) -> Iterator[Song]:
    path, given = "data.response.sunoData", next((layer["sunoData"] for layer in layers if layer.get("sunoData")), None)
    if given is None and len(layers) > 1:
        path, given = "data.data", layers[1].get("data")  # a callback
    asked = list[dict[str, Any]]()
    with contextlib.suppress(RecordError):  # what was asked for is no reason to refuse what was made
        asked = [one for one in [unwrap(first(layers, "param", kind=str | dict))] if isinstance(one, dict)]
    for _, song in _entries(given or [], path, "songs"):
        yield Song(
            id=_text([song], "id"),
            title=_text([song, *asked], "title"),
            tags=_text([song], "tags") or _text(asked, "style"),
            prompt=_text([song, *asked], "prompt"),
            model=_text([song], "modelName", "model_name") or _text(asked, "model"),
            duration=_number_of([song], "duration", _Seconds),
            url=_text([song], "audioUrl", "audio_url"),
            created_at=_time([song], "createTime", "create_time"),
        )


def _entries(given: object, path: str, what: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """The objects of a list, each with where it stands; the list may be JSON inside a string."""
    found = given
    with contextlib.suppress(RecordError):
        found = loads(given) if isinstance(given, str) else given
    if not isinstance(found, list):
        raise RecordError(f"{path}: expected a list of {what}, got {start_of(found)}")
    for at, entry in enumerate(found):
        if not isinstance(entry, dict):
            raise RecordError(f"{path}[{at}]: expected an object, got {start_of(entry)}")
        yield f"{path}[{at}]", _plain(entry, f"{path}[{at}]")


def _plain(found: dict[str, Any], where: str) -> dict[str, Any]:
    """Pass on an object, unless a key stands in it twice: nobody knows which of the two is meant."""
    if twice := key_twice(found, found):
        raise RecordError(f"{where}: expected each key once, got {twice!r} twice")
    return found


def _text(layers: list[dict[str, Any]], *keys: str) -> str | None:
    """The first text that is not empty; a number is taken as text."""
    values = (layer.get(key) for layer in layers for key in keys)
    found = (str(one) for one in values if isinstance(one, str | int) and not isinstance(one, bool))
    return next((printable(text) for text in found if text), None)


def _number_of(layers: list[dict[str, Any]], key: str, kind: Any) -> Any:  # noqa: ANN401 -- a number of that kind
    """The first number, also as text; None where it is out of bounds."""
    with contextlib.suppress(msgspec.ValidationError, UnicodeError):
        return msgspec.convert(first(layers, key, kind=str | int | float), kind, strict=False)
    return None


def _time(layers: list[dict[str, Any]], *keys: str) -> datetime | None:
    return _moment(first(layers, *keys, kind=str | int | float))
