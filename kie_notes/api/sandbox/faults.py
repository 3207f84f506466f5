"""What the sandbox does when a task id asks for it: every way in which the service, or the line to it, can go wrong.

A task id of the form ``<word>-...`` or ``<word><number>-...`` (``html-a1``, ``html5-a1``) brings the fault of that word
about. What passes again lasts for the first ``number`` asks of the task, by default for the sandbox's ``asks``. Each
fault says where its knowledge comes from:

- ``documented``: the service's own documentation
- ``recorded``: traffic with the service that others recorded
- ``believed``: neither; what any HTTP service may do, or what we take to be so
"""

from __future__ import annotations

import gzip
import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from kie_notes.api.sandbox.documents import (
    BAD_NOTES,
    EXAMPLE,
    Document,
    Endpoint,
    midi_document,
    times_as_text,
    without_result,
)

if TYPE_CHECKING:
    from collections.abc import Callable

Basis = Literal["documented", "recorded", "believed"]


class Behaviour(NamedTuple):
    """One thing that the sandbox does: where, what, and how it is known."""

    name: str
    does: str
    basis: Basis


@dataclass(frozen=True)
class Reply:
    """An answer as it goes out on the line."""

    body: bytes
    status: int = 200
    kind: str = "application/json"
    headers: dict[str, str] = field(default_factory=dict)
    #: Bytes of the body that are sent before the line is cut (or falls silent); None sends all of it.
    cut: int | None = None
    silent: bool = False


@dataclass(frozen=True)
class Case:
    """One ask for a task whose id names a fault."""

    task: str
    endpoint: Endpoint
    document: Document
    number: int | None
    ask: int
    asks: int
    retry_after: int
    elsewhere: str

    @property
    def first(self) -> bool:
        """Whether what passes again is still going on."""
        return self.ask <= (self.asks if self.number is None else self.number)


def say(code: int, msg: str, **more: object) -> Reply:
    """Answer with a body code, as the service does: HTTP 200 all the same."""
    return as_json({"code": code, "msg": msg, **more})


def as_json(document: object, **how: Any) -> Reply:  # noqa: ANN401 -- the other fields of a Reply
    """Answer with a document."""
    return Reply(json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode(), **how)


def word_of(task: str) -> tuple[str | None, int | None]:
    """Split the fault and its number off a task id; None where it names no fault.

    >>> word_of("html5-a1"), word_of("slow-a1"), word_of("sandbox-1")
    (('html', 5), ('slow', None), (None, None))
    """
    found = re.match(r"([a-z]+)(\d{1,4})?-", task, re.ASCII)
    if found is None or found[1] not in FAULTS:
        return None, None
    return found[1], int(found[2]) if found[2] else None


def _failed(case: Case) -> Reply:
    return as_json(without_result(case.document, case.endpoint, "failed", "MIDI generation failed"))


def _refused(case: Case) -> Reply:
    return as_json(without_result(case.document, case.endpoint, "not created", "Failed to create task"))


def _empty(case: Case) -> Reply:
    return as_json(without_result(case.document, case.endpoint, "empty"))


def _slow(case: Case) -> Reply | None:
    return as_json(without_result(case.document, case.endpoint, "pending")) if case.first else None


def _passing(reply: Callable[[Case], Reply]) -> Callable[[Case], Reply | None]:
    return lambda case: reply(case) if case.first else None


def _numbered(reply: Callable[[Case], Reply]) -> Callable[[Case], Reply | None]:
    """Pass as well, but the number in the id says something else than how many asks it takes."""
    return lambda case: reply(case) if case.ask <= case.asks else None


def _null(_case: Case) -> Reply:
    return say(200, "success", data=None)


def _unknown(_case: Case) -> Reply:
    return say(422, "Record does not exist", data=None)


def _credits(case: Case) -> Reply:
    return say(case.number or 402, "The current credits are insufficient. Please top up.", data=None)


def _half(*, silent: bool) -> Callable[[Case], Reply]:
    def reply(case: Case) -> Reply:
        whole = as_json(case.document).body
        return Reply(whole, cut=len(whole) // 2, silent=silent)

    return reply


def _html(_case: Case) -> Reply:
    page = b"<html><head><title>502 Bad Gateway</title></head><body><h1>502 Bad Gateway</h1></body></html>"
    return Reply(page, 502, "text/html")


def _status(case: Case) -> Reply:
    number = case.number if case.number is not None and 400 <= case.number <= 599 else 503
    return Reply(f"error code: {number}".encode(), number, "text/plain")


def _strings(case: Case) -> Reply:
    data = dict(case.document["data"])
    if data.get("midiData"):
        instruments = times_as_text(data["midiData"]["instruments"], all_of_them=True)
        data["midiData"] = json.dumps(data["midiData"] | {"instruments": instruments})
    return as_json(case.document | {"data": data})


def _other(case: Case) -> Reply:
    return as_json(case.document | {"data": case.document["data"] | {"taskId": "f" * 32}})


def _bad_notes(case: Case) -> Reply:
    bad = [{"name": "Acoustic Grand Piano", "notes": BAD_NOTES}, *EXAMPLE]
    return as_json(midi_document(case.task, bad))


def _first_start(text: str) -> Callable[[Case], Reply]:
    """Put a token where the first note's start is that JSON writers do not write."""

    def reply(case: Case) -> Reply:
        note = {"pitch": 60, "start": "@", "end": 1.0, "velocity": 0.5}
        made = midi_document(case.task, [{"name": "Music Box", "notes": [note]}, *EXAMPLE])
        return Reply(as_json(made).body.replace(b'"@"', text.encode("latin-1")))

    return reply


def _deep(case: Case) -> Reply:
    depth = case.number or 5000
    nest = b'"extra":' + b"[" * depth + b"]" * depth + b","
    return Reply(as_json(case.document).body.replace(b'"data":{', b'"data":{' + nest, 1))


def _large(case: Case) -> bytes:
    padding = b'"padding":"' + b"x" * ((case.number or 72) << 20) + b'",'
    return as_json(case.document).body.replace(b'"data":{', b'"data":{' + padding, 1)


def _bomb(case: Case) -> Reply:
    return Reply(gzip.compress(_large(case), 1), headers={"Content-Encoding": "gzip"})


def _busy(case: Case) -> Reply:
    again = {"Retry-After": str(case.retry_after)}
    return as_json({"code": 429, "msg": "Too many requests"}, status=429, headers=again)


def _junk(case: Case) -> Reply:
    whole = as_json(case.document).body
    return Reply(whole[: len(whole) * 2 // 3])


def _redirect(case: Case) -> Reply:
    return Reply(b"", 302, "text/plain", {"Location": case.elsewhere})


def _plain(case: Case) -> Reply:
    return as_json(case.document, kind="text/html")


def _nothing(_case: Case) -> None:
    """Answer as if the id named no fault: this one is about POSTs or callbacks."""


#: Every word that a task id can begin with, what comes of it, and how that is known.
FAULTS: dict[str, tuple[Callable[[Case], Reply | None], str, Basis]] = {
    "fail": (_failed, "generating failed: successFlag 3, failure callback", "documented"),
    "refuse": (
        _refused,
        "as a source, POST answers body code 422; as a task, creating it failed: successFlag 2",
        "documented",
    ),
    "empty": (_empty, "success, and midiData is null", "documented"),
    "slow": (_slow, "pending for the first asks, then success", "documented"),
    "late": (_passing(_null), "data is null for the first asks, as for a task made just now, then success", "recorded"),
    "expired": (_null, "data is null for ever, as after 14 days", "believed"),
    "unknown": (_unknown, "body code 422 'Record does not exist', also to a POST that names it as source", "recorded"),
    "credits": (_credits, "body code 402 (credits500-: code 500 with the same text), also to a POST", "recorded"),
    "repair": (
        _passing(lambda _: say(455, "Service is under maintenance")),
        "body code 455, then success",
        "documented",
    ),
    "crowd": (
        _passing(lambda _: say(430, "Too many requests")),
        "body code 430, no Retry-After, then success",
        "documented",
    ),
    "busy": (_passing(_busy), "HTTP 429 with Retry-After, then success", "believed"),
    "code": (
        _numbered(lambda case: say(case.number or 500, "Server error", data=None)),
        "code455-: that body code, for the sandbox's asks, also to a POST; then success",
        "believed",
    ),
    "status": (
        _numbered(_status),
        "status503-: that HTTP status with a text, for the sandbox's asks, also to a POST",
        "believed",
    ),
    "html": (_passing(_html), "HTTP 502 with an HTML page, then success", "believed"),
    "drop": (_passing(_half(silent=False)), "the line is cut in the middle of the body, then success", "believed"),
    "stall": (_passing(_half(silent=True)), "half of the body, then silence, then success", "believed"),
    "hang": (_passing(lambda _: Reply(b"", cut=0, silent=True)), "no answer at all for the first asks", "believed"),
    "blank": (_passing(lambda _: Reply(b"")), "HTTP 200 with an empty body, then success", "believed"),
    "junk": (_junk, "JSON cut short, with a length that says it is whole", "believed"),
    "plain": (_plain, "the right answer, called text/html", "believed"),
    "strings": (_strings, "all times as text, and midiData as a JSON string", "recorded"),
    "other": (_other, "the record of another task", "believed"),
    "nan": (_bad_notes, "a record with nine notes that cannot be taken, and four that can", "believed"),
    "token": (_first_start("NaN"), "a time is the bare token NaN, which is no JSON", "believed"),
    "huge": (_first_start("1e999"), "a time is 1e999, which is no finite number", "believed"),
    "twice": (_first_start('0.5,"start":0.25'), "a note has its start twice, with two values", "believed"),
    "latin": (_first_start('"\xe9"'), "a byte that is no UTF-8", "believed"),
    "deep": (_deep, "5,000 arrays in each other (deep90-: 90)", "believed"),
    "big": (lambda case: Reply(_large(case)), "a body of 72 MiB (big5-: 5 MiB)", "believed"),
    "bomb": (_bomb, "72 MiB sent as a small piece of gzip (bomb5-: 5 MiB)", "believed"),
    "redirect": (_redirect, "HTTP 302 to another host name", "believed"),
    "lost": (_nothing, "as a source: POST makes the task, then the line is cut before the answer", "believed"),
    "again": (_nothing, "the callback is delivered twice", "documented"),
    "forged": (_nothing, "the callback's signature is wrong", "believed"),
}

#: Faults of a source that its POST is answered with; all others are passed on to the new task, whose id names them too.
AT_POST = ("refuse", "unknown", "credits", "code", "status")

_SERVICE: list[Behaviour] = [
    Behaviour("every request", "without 'Authorization: Bearer <key>': HTTP 200, body code 401, no data", "recorded"),
    Behaviour(
        "every request",
        "without a User-Agent, or with Python's own (python-requests/1, ...): HTTP 403, 'error code: 1010'",
        "recorded",
    ),
    Behaviour("every request", "an unknown path: HTTP 404, body code 404", "believed"),
    Behaviour(
        "POST /api/v1/midi/generate", "a new task id; taskId and callBackUrl needed, audioId may be given", "documented"
    ),
    Behaviour("POST /api/v1/midi/generate", "no callBackUrl: body code 422 'Please enter callBackUrl.'", "recorded"),
    Behaviour("POST /api/v1/midi/generate", "any source is taken, also one that was never separated", "believed"),
    Behaviour("POST /api/v1/vocal-removal/generate", "a new task id; all three types of separation", "documented"),
    Behaviour(
        "GET /api/v1/midi/record-info", "successFlag 0 until the delay is over, then 1 with midiData", "documented"
    ),
    Behaviour(
        "GET /api/v1/vocal-removal/record-info", "successFlag PENDING, then SUCCESS with originData", "documented"
    ),
    Behaviour(
        "GET /api/v1/vocal-removal/record-info",
        "musicId is the audioId of the order, musicIndex that song's position in its music task (0 for no such song)",
        "believed",
    ),
    Behaviour(
        "GET /api/v1/generate/record-info",
        "the documented example, with two songs, for every id but those of other tasks",
        "believed",
    ),
    Behaviour("GET /api/v1/*/record-info", "an unknown task, or one of another endpoint: data is null", "recorded"),
    Behaviour("GET /api/v1/*/record-info", "no taskId: body code 422", "believed"),
    Behaviour("GET /api/v1/chat/credit", "the number of credits, with a fraction", "recorded"),
    Behaviour("rate_limits", "over 20 new tasks in 10 s: body code 429, the excess is not queued", "documented"),
    Behaviour("rate_limits", "over 3 asks a second for one task: body code 429", "documented"),
    Behaviour("retry_after", "the header Retry-After with every 429", "believed"),
    Behaviour("callback", "a POST of JSON; 15 s to answer with 2xx, three tries in all", "documented"),
    Behaviour("callback", "times are numbers or text, mixed: text from 16 significant digits on", "recorded"),
    Behaviour("callback", "X-Webhook-Timestamp and X-Webhook-Signature, when there is a webhook key", "documented"),
    Behaviour("callback", "only http to loopback; every other address is refused and noted", "believed"),
]

#: All that the sandbox does, and how it is known: endpoints and the like first, then the words of task ids.
BEHAVIOURS: tuple[Behaviour, ...] = (
    *_SERVICE,
    *(Behaviour(f"{word}-", does, basis) for word, (_, does, basis) in FAULTS.items()),
)
