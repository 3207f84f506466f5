"""Hostile bodies made from good ones: the same number gives the same body, everywhere and every time.

A body begins as one of the packed samples or the golden notes, cut to a few notes, in one of the forms that the
services send. Then its JSON is changed where its structure is (a type, a key, a number, an order, a nesting), then its
text (a key spelled with an escape, a bare number that is none), then its bytes.
"""

from __future__ import annotations

import copy
import functools
import json
import random
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hypothesis import strategies as st

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

DATA = Path(__file__).parents[2] / "data"

#: A string of this form becomes what stands after the mark, bare: JSON that no JSON library writes.
_BARE = "bare:"

_NUMBERS = [
    *(0, -1, 1, 127, 128, 255, 256, 300, 2**31, 2**53 + 1, 2**63, 2**64, 10**30, 10**300),
    *(
        0.5,
        -0.0,
        1.0,
        60.0,
        60.5,
        200.0,
        404.0,
        422,
        501,
        1760335251000.0,
        -1e-300,
        1e308,
        1.0000000000000002,
        5e-324,
        0.036458333333333336,
    ),
]
_BARE_NUMBERS = [
    *("NaN", "Infinity", "-Infinity", "1e999", "-1e999", "1e-999", "-0", "00", "+1", ".5", "1.", "0x1F", "1_000"),
    *("7" * 400, "7" * 5_000, "-" + "7" * 5_000, "0." + "1" * 2_000, "1E400", "1e", "nan", "undefined", "True"),
]
TEXTS = [
    *(
        "",
        " ",
        "a:b",
        ":",
        "::",
        '"',
        "\\",
        "]",
        "}",
        '"instruments":',
        "instruments",
        "0",
        "1",
        "60",
        "200",
        "1.0",
        "true",
        "0.5",
        "1:07",
    ),
    *("NaN", "inf", "-1", "1e999", " 1.0", "1_0", "٣", "9" * 5_000, "C4", "SUCCESS", "FAILED", "pending", "complete"),
    *("2025-10-13 06:00:51", "2025-10-13T06:00:51+05:00", "9999-12-31T23:59:59-14:00", "0001-01-01 00:00:00+14:00"),
    *(
        "1760335251000",
        "1e400",
        "ドラム",
        "\U0001f941",
        "\ud800",
        "\udfff\ud800",
        "\x00",
        "\x7f\x85\u2028",
        "a" * 3_000,
    ),
    *("{", "[", "[1]", "{}", '{"instruments":[]}', '{"instruments":[{"notes":[7]}]}', '[[[["x"]]]]', '{"data":'),
]
_OTHERS: list[Any] = [None, True, False, [], {}, [[]], [{}], {"": None}, [None, 1, "x"], {"instruments": []}]

KEYS = [
    *("code", "msg", "data", "taskId", "task_id", "audioId", "createTime", "completeTime", "successFlag", "status"),
    *("state", "errorCode", "errorMessage", "midiData", "resultJson", "response", "result", "info", "instruments"),
    *("name", "notes", "is_drum", "pitch", "start", "end", "velocity", "callbackUrl", "param", "x", "", "a:b", "ü"),
    *("originData", "sunoData", "vocal_separation_info", "musicId", "callbackType", "id", "title", "duration"),
]


class Again(str):
    """A key that can stand beside its equal in one dict, and so twice in the JSON made from it."""

    __slots__ = ()
    __hash__ = object.__hash__

    def __eq__(self, other: object) -> bool:
        return self is other


def _seed_tracks() -> Iterator[list[dict[str, Any]]]:
    """Lists of instruments, of a few notes each."""
    for path in sorted((DATA / "samples" / "records").glob("*.json")):
        result = json.loads(path.read_bytes())["data"]["midiData"]
        if result:
            yield [{**one, "notes": one["notes"][:3]} for one in result["instruments"][:3]]
    golden: dict[str, list[dict[str, Any]]] = {}
    for note in json.loads((DATA / "golden" / "fixture.json").read_bytes()):
        golden.setdefault(note.pop("instrument"), []).append(note)
    yield [{"name": name, "notes": notes[:4]} for name, notes in golden.items()]


def _polled(result: Any, **fields: Any) -> dict[str, Any]:
    data = {"taskId": "t1", "recordTaskId": -1, "audioId": "e231", "callbackUrl": "https://callback.invalid/"}
    data |= {"completeTime": 1760335255000, "midiData": result, "successFlag": 1, "createTime": 1760335251000}
    return {"code": 200, "msg": "success", "data": {**data, "errorCode": None, "errorMessage": None, **fields}}


#: The forms in which the services send a result.
FORMS: tuple[Callable[[dict[str, Any]], Any], ...] = (
    _polled,
    lambda result: _polled(json.dumps(result)),
    lambda result: {"code": 200, "msg": "success", "data": {"taskId": "t1", **result}},
    lambda result: {"task_id": "t1", "code": 200, "msg": "success", "data": result},
    lambda result: {"success": True, "task_id": "t1", "data": [result]},
    lambda result: result,
    lambda result: [_polled(result)],
    lambda result: json.dumps(_polled(result)),
    lambda result: {"code": 200, "data": {"taskId": "t1", "state": "success", "resultJson": json.dumps(result)}},
    lambda result: {"code": 200, "data": {"taskId": "t1", "resultJson": json.dumps({"midi": [{"deep": result}]})}},
)


@functools.cache
def seeds() -> tuple[bytes, ...]:
    """Good bodies: every list of instruments in every form, states without notes, and records of the other tasks."""
    results = [{"state": "complete", "instruments": tracks} for tracks in _seed_tracks()]
    found = [form(result) for result in results for form in FORMS]
    drums = [{**one, "is_drum": one["name"] == "Drums"} for one in results[0]["instruments"]]
    found += [{"code": 200, "data": {"taskId": "t1", "instruments": drums}}, _polled({"instruments": []})]
    found += [_polled(None), _polled(None, successFlag=0), _polled(None, successFlag=3, errorCode="500")]
    found += [{"code": 200, "msg": "success", "data": None}, {"code": 422, "msg": "recordInfo is null"}]
    found += [{"code": 500, "msg": "MIDI generation failed", "data": None, "task_id": "t1"}]
    stem = {"duration": 245.6, "audio_url": "https://a.invalid/1", "stem_type_group_name": "Vocals", "id": "3d70"}
    response = {"originUrl": None, "originData": [stem, {"extract": stem, "remove": stem}], "vocalUrl": "https://a"}
    separation = {"taskId": "s1", "musicId": "m1", "response": response, "successFlag": "SUCCESS", "createTime": "1"}
    song = {"id": "m1", "title": "Rain", "tags": "piano", "duration": 198.44, "createTime": "2025-10-13 06:00:51"}
    param = json.dumps({"prompt": "rain", "style": "calm", "model": "V5"})
    music = {"taskId": "g1", "param": param, "response": {"taskId": "g1", "sunoData": [song]}, "status": "SUCCESS"}
    found += [{"code": 200, "msg": "success", "data": data} for data in (separation, music)]
    found += [{"code": 200, "data": {"task_id": "s1", "vocal_separation_info": {"vocal_url": "https://a", "id": ""}}}]
    found += [{"code": 200, "data": {"task_id": "g1", "callbackType": "complete", "data": [song]}}]
    return tuple(json.dumps(one, separators=(",", ":")).encode() for one in found)


def payload(seed: int, number: int) -> bytes:
    """Make the body of a number."""
    rng = random.Random(f"{seed} {number}")  # noqa: S311 -- bodies, no secrets
    body = rng.choice(seeds())
    if rng.random() < 0.85:
        body = _write(_changed(json.loads(body), rng), rng)
    if rng.random() < 0.3:
        body = _with_bytes_changed(body, rng)
    return body


def hostile_value(rng: random.Random) -> Any:
    """A JSON value that some reader may stumble over; a string that begins with ``bare:`` is no string."""
    kind = rng.randrange(5)
    if kind == 0:
        return _BARE + rng.choice(_BARE_NUMBERS)
    return copy.deepcopy(rng.choice((_NUMBERS, _NUMBERS, TEXTS, TEXTS, _OTHERS)[kind]))


def _changed(document: Any, rng: random.Random) -> Any:
    """The document with one to four changes of its structure."""
    box = {"": document}
    for _ in range(rng.choice((1, 1, 1, 2, 2, 3, 4))):
        places = [(holder, key) for holder in _holders(box) for key in _keys(holder)]
        if places:
            rng.choice(_CHANGES)(*rng.choice(places), places, rng)
    return box.get("", box)


def _holders(value: Any) -> Iterator[Any]:
    waiting = [value]
    while waiting:
        one = waiting.pop()
        if isinstance(one, dict | list):
            yield one
            waiting += one.values() if isinstance(one, dict) else one


def _keys(holder: Any) -> Any:
    return list(holder) if isinstance(holder, dict) else range(len(holder))


_Places = list[tuple[Any, Any]]


def _replace(holder: Any, key: Any, _: _Places, rng: random.Random) -> None:
    holder[key] = hostile_value(rng)


def _drop(holder: Any, key: Any, _: _Places, __: random.Random) -> None:
    del holder[key]


def _double(holder: Any, key: Any, _: _Places, rng: random.Random) -> None:
    """A key twice, with another value or the same, before or after; an item twice."""
    if isinstance(holder, list):
        holder.insert(rng.randrange(len(holder) + 1), holder[key])
        return
    value = rng.choice((holder[key], hostile_value(rng)))
    fields = list(holder.items())
    fields.insert(rng.randrange(len(fields) + 1), (Again(key), value))
    holder.clear()
    holder.update(fields)


def _rename(holder: Any, key: Any, _: _Places, rng: random.Random) -> None:
    if isinstance(holder, dict):
        value = holder.pop(key)
        holder[rng.choice([*KEYS, str(key).upper(), f"{key} ", Again(rng.choice(KEYS))])] = value


def _add(holder: Any, _: Any, __: _Places, rng: random.Random) -> None:
    if isinstance(holder, dict):
        holder[rng.choice(KEYS)] = hostile_value(rng)
    else:
        holder.insert(rng.randrange(len(holder) + 1), hostile_value(rng))


def _move(holder: Any, key: Any, places: _Places, rng: random.Random) -> None:
    """A value to another place too: a copy, so that nothing holds itself."""
    other, place = rng.choice(places)
    other[place] = json.loads(json.dumps(holder[key]))


def _nest(holder: Any, key: Any, _: _Places, rng: random.Random) -> None:
    value = holder[key]
    deep = rng.choice((1, 1, 2, 5, 7, 40, 150))
    if deep > 7:
        value = functools.reduce(lambda inner, _: [inner], range(deep), value)
    for _ in range(deep if deep <= 2 else 1):
        name = rng.choice(KEYS)
        value = rng.choice(([value], [value, value], {name: value}, json.dumps(value), {"data": {name: value}}))
    holder[key] = value


def _shuffle(holder: Any, _: Any, __: _Places, rng: random.Random) -> None:
    entries = list(holder.items()) if isinstance(holder, dict) else list(holder)
    rng.shuffle(entries)
    holder.clear()
    if isinstance(holder, dict):
        holder.update(entries)
    else:
        holder.extend(entries)


_CHANGES = (_replace, _replace, _replace, _drop, _double, _double, _rename, _add, _move, _nest, _shuffle)


def _write(document: Any, rng: random.Random) -> bytes:
    """The document as text, in one of the ways to write it, with what no JSON library writes."""
    text = json.dumps(
        document,
        ensure_ascii=rng.random() < 0.5,
        separators=rng.choice(((",", ":"), (", ", ": "), (" ,", " : "), (",\n", ":\t"))),
        indent=rng.choice((None, None, None, 1)),
    )
    text = re.sub(rf'"{_BARE}([^"]*)"', r"\1", text)
    if rng.random() < 0.2:
        text = _escaped(text, rng)
    return text.encode("utf-8", "surrogatepass")


def _escaped(text: str, rng: random.Random) -> str:
    """One letter of a string spelled as its escape: ``pitch`` as ``pitc\\u0068``."""
    letters = [found.start() for found in re.finditer(r"[A-Za-z:](?=[A-Za-z0-9_ ]*\")", text)]
    at = rng.choice(letters) if letters else 0
    return f"{text[:at]}\\u{ord(text[at]):04x}{text[at + 1 :]}" if letters else text


_PIECES = [
    *(b"\xef\xbb\xbf", b"\xff\xfe", b"\x00", b"\xed\xa0\x80", b"\xc3", b"\xf8\x88\x80\x80\x80", b"\xe9", b"\r\n"),
    *(b'"', b"\\", b"{", b"}", b"[", b"]", b",", b":", b"\\u", b"\\ud800", b"\\u003a", b"null", b"NaN", b"-", b"1e999"),
    *(b"[" * 60, b'{"data":' * 60, b"[" * 3_000, b'{"a":' * 3_000, b"9" * 4_400, b'"pitch":1,', b'"instruments":[],'),
    *(b'"instruments":null,', b'"data":{},', b'"taskId":"x",', b"//", b"<html>"),
]


def _with_bytes_changed(body: bytes, rng: random.Random) -> bytes:
    """The body with one to three changes that know nothing of JSON."""
    changed = bytearray(body)
    for _ in range(rng.choice((1, 1, 2, 3))):
        at, to = sorted((rng.randrange(len(changed) + 1), rng.randrange(len(changed) + 1)))
        kind = rng.randrange(8)
        if kind == 0 and changed:
            changed[at % len(changed)] ^= 1 << rng.randrange(8)
        elif kind == 1:
            del changed[at:]
        elif kind == 2:
            del changed[at : min(to, at + 12)]
        elif kind == 3:
            changed[at:at] = changed[at : min(to, at + 200)]
        elif kind == 4:
            changed[at:to] = rng.choice(seeds())[at:to]
        elif kind == 5:
            changed = bytearray(rng.choice((b"\xef\xbb\xbf", b" \n", b"[", b'"', b"\x1f\x8b"))) + changed
        elif kind == 6 and rng.random() < 0.2:
            changed = bytearray(bytes(changed).decode("utf-8", "replace").encode(rng.choice(("utf-16", "utf-32"))))
        else:
            changed[at:at] = rng.choice(_PIECES)
    return bytes(changed)


def bodies() -> st.SearchStrategy[bytes]:
    """Bodies for Hypothesis: results of good and odd notes in every form, with odd facts around them."""
    words = st.sampled_from(["", "0.5", "1:07", "NaN", "1e999", "success", "pending", "{", '[{"instruments":[]}]'])
    leaf = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=6) | words
    keys = st.sampled_from(KEYS)
    odd = st.recursive(
        leaf, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3), max_leaves=5
    )
    seconds = st.floats(0, 600) | st.floats(0, 600).map(repr)
    fields = {"pitch": st.integers(0, 127), "start": seconds, "end": seconds, "velocity": st.floats(0, 1)}
    some = st.fixed_dictionaries({}, optional={key: one | leaf for key, one in fields.items()})
    note = st.fixed_dictionaries(fields) | some | odd
    instrument = st.fixed_dictionaries({"name": st.text(max_size=5) | odd, "notes": st.lists(note, max_size=4)})
    result = st.fixed_dictionaries({"instruments": st.lists(instrument, max_size=3) | odd}, optional={"state": leaf})

    def body(result: Any, form: Callable[[Any], Any], facts: dict[str, Any], indent: int | None) -> bytes:
        document = form(result)
        return json.dumps({**document, **facts} if isinstance(document, dict) else document, indent=indent).encode()

    return st.builds(
        body, result, st.sampled_from(FORMS), st.dictionaries(keys, odd, max_size=3), st.sampled_from([None, 1])
    )


_NOTE = '{"pitch":1,"start":0,"end":1,"velocity":1}'

#: Large bodies: what stands before, what is repeated, and what stands after.
LARGE = {
    "brackets": ("", "[", ""),
    "objects in objects": ("", '{"data":', ""),
    "a long number": ('{"code":', "9", "}"),
    "a long text": ('{"taskId":"', ":", '"}'),
    "escapes": ('{"taskId":"', "\\u003a", '"}'),
    "one key": ("{", '"data":1,', '"x":1}'),
    "empty lists": ('{"data":[', "[],", "0]}"),
    "texts that begin as JSON": ('{"data":[', '"[[[[",', "0]}"),
    "instruments that are none": ('{"instruments":[', "1,", "1]}"),
    "empty instruments": ('{"instruments":[', '{"notes":[]},', "1]}"),
    "notes that are none": ('{"instruments":[{"notes":[', "1,", "1]}]}"),
    "good notes": ('{"instruments":[{"name":"","notes":[', _NOTE + ",", _NOTE + "]}]}"),
    "good notes and a bad one": ('{"instruments":[{"name":"","notes":[', _NOTE + ",", "1]}]}"),
    "notes with a key twice": ('{"instruments":[{"name":"","notes":[', _NOTE[:-1] + ',"end":2},', "1]}]}"),
    "lists of instruments": ('{"data":[', '{"instruments":[]},', "0]}"),
}


def large(name: str, size: int) -> bytes:
    """Make a large body of a kind, of about so many bytes."""
    before, piece, after = LARGE[name]
    return (before + piece * (size // len(piece)) + after).encode()
