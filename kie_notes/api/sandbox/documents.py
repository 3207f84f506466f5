"""The documents of the sandbox: records and callbacks in the service's shapes, made from a list of instruments.

Shapes and examples are those of the service's documentation;
``BEHAVIOURS`` of ``kie_notes.api.sandbox`` says what the documentation leaves open.
"""

from __future__ import annotations

import json
import uuid
from copy import deepcopy
from typing import Any, Literal

Document = dict[str, Any]
Instruments = list[dict[str, Any]]
Songs = list[dict[str, Any]]
Endpoint = Literal["midi", "separation", "music"]

#: The instruments of the documented example.
EXAMPLE: Instruments = [
    {
        "name": "Drums",
        "notes": [
            {"pitch": 73, "start": 0.036458333333333336, "end": 0.18229166666666666, "velocity": 1},
            {"pitch": 61, "start": 0.046875, "end": 0.19270833333333334, "velocity": 1},
        ],
    },
    {
        "name": "Electric Bass (finger)",
        "notes": [{"pitch": 44, "start": 7.6875, "end": 7.911458333333333, "velocity": 1}],
    },
]

#: Notes that no notes table can hold, one for each way of being wrong, after one that is right.
BAD_NOTES: list[dict[str, Any]] = [
    {"pitch": 60, "start": 0.0, "end": 0.5, "velocity": 0.5},
    {"pitch": 300, "start": 0.5, "end": 1.0, "velocity": 0.5},
    {"pitch": 61, "start": "NaN", "end": 1.5, "velocity": 0.5},
    {"pitch": 62, "start": "1:07", "end": 68.0, "velocity": 0.5},
    {"pitch": 63, "start": 2.5, "end": 2.0, "velocity": 0.5},
    {"pitch": 64, "start": 2.5, "end": 3.0, "velocity": 96},
    {"pitch": 65, "start": 3.0, "velocity": 0.5},
    {"pitch": 66.5, "start": 3.5, "end": 4.0, "velocity": 0.5},
    {"pitch": 67, "start": -1.0, "end": 4.5, "velocity": 0.5},
    {"pitch": 68, "start": 4.5, "end": 5.0, "velocity": None},
]

#: What ``separate_vocal`` and ``split_stem`` give, with the field of the record that holds the address.
STEMS = {
    "Vocals": "vocalUrl",
    "Instrumental": "instrumentalUrl",
    "Backing Vocals": "backingVocalsUrl",
    "Drums": "drumsUrl",
    "Bass": "bassUrl",
    "Guitar": "guitarUrl",
    "Piano": "pianoUrl",
    "Keyboard": "keyboardUrl",
    "Percussion": "percussionUrl",
    "Strings": "stringsUrl",
    "Synth": "synthUrl",
    "FX": "fxUrl",
    "Brass": "brassUrl",
    "Woodwinds": "woodwindsUrl",
}

_CREATED = 1760335251000  # of the documented example; four seconds later it was done
_TAKES_MS = 4000

#: Lengths of the two songs of a music task; the first is the documented one.
_SECONDS = (198.44, 187.6)


def song() -> Instruments:
    """Eight bars at 120 beats a minute for piano, bass and drums; times are on the service's grid of 1/192 s."""
    chords = [(0, (60, 64, 67)), (1, (57, 60, 64)), (2, (53, 57, 60)), (3, (55, 59, 62))]
    bars = [(bar * 2.0 + turn * 8.0, chord) for turn in (0, 1) for bar, chord in chords]
    piano = [_note(pitch, at + half, 0.9375, 63) for at, chord in bars for half in (0.0, 1.0) for pitch in chord]
    bass = [_note(chord[0] - 24, at + beat, 0.4375, 95) for at, chord in bars for beat in (0.0, 0.5, 1.0, 1.5)]
    kit = [
        _note(key, at + beat, 0.125, 127)
        for at, _ in bars
        for beat, key in ((0.0, 36), (0.5, 38), (1.0, 36), (1.5, 38))
    ]
    return [
        {"name": "Acoustic Grand Piano", "notes": piano},
        {"name": "Electric Bass (finger)", "notes": bass},
        {"name": "Drums", "notes": kit},
    ]


def _note(pitch: int, start: float, length: float, velocity: int) -> dict[str, Any]:
    return {"pitch": pitch, "start": start, "end": start + length, "velocity": 1 if velocity == 127 else velocity / 127}


def built_in() -> dict[str, Document]:
    """Give the records that a sandbox has when it was given none: the documented example and a short song."""
    return {
        "5c79****be8e": midi_document("5c79****be8e", EXAMPLE),
        "0" * 31 + "1": midi_document("0" * 31 + "1", song()),
    }


def midi_document(
    task: str,
    instruments: Instruments,
    *,
    audio_id: str | None = "e231****-****-****-****-****8cadc7dc",
    callback_url: str = "https://example.callback",
    created: int = _CREATED,
) -> Document:
    """Give the record of a finished MIDI task."""
    data = {
        "taskId": task,
        "recordTaskId": -1,
        "audioId": audio_id,
        "callbackUrl": callback_url,
        "completeTime": created + _TAKES_MS,
        "midiData": {"state": "complete", "instruments": deepcopy(instruments)},
        "successFlag": 1,
        "createTime": created,
        "errorCode": None,
        "errorMessage": None,
    }
    return {"code": 200, "msg": "success", "data": data}


def separation_document(
    task: str, fields: dict[str, Any], *, songs: Songs | None = None, created: int = _CREATED
) -> Document:
    """Give the record of a finished separation task that was ordered with ``fields``, from one of ``songs``."""
    kind = fields.get("type", "separate_vocal")
    ids = [song.get("id") for song in songs or []]
    index = ids.index(fields.get("audioId")) if fields.get("audioId") in ids else 0
    seconds = songs[index].get("duration") if songs else _SECONDS[0]
    names = STEMS if kind == "split_stem" else ("Vocals", "Instrumental")
    stems = [_stem(task, name, seconds) for name in names]
    addresses = {STEMS[stem["stem_type_group_name"]]: stem["audio_url"] for stem in stems}
    if kind == "split_stem_advanced":
        name = fields["stemName"]
        stems = [{"extract": _stem(task, name, seconds), "remove": _stem(task, f"No {name}", seconds)}]
        addresses = {}
    data = {
        "taskId": task,
        "musicId": fields.get("audioId"),
        "callbackUrl": fields.get("callBackUrl", "https://example.callback"),
        "musicIndex": index,
        "createTime": created,
        "completeTime": created + _TAKES_MS,
        "response": {"id": None, "originUrl": None, "originData": stems} | dict.fromkeys(STEMS.values()) | addresses,
        "successFlag": "SUCCESS",
        "errorCode": None,
        "errorMessage": None,
    }
    return {"code": 200, "msg": "success", "data": data}


def _stem(task: str, name: str, seconds: float | None) -> dict[str, Any]:
    stem = str(uuid.uuid5(uuid.NAMESPACE_OID, f"{task}/{name}"))
    address = f"https://files.invalid/{stem}.mp3"
    return {"duration": seconds, "audio_url": address, "stem_type_group_name": name, "id": stem}


def music_document(task: str) -> Document:
    """Give the documented record of a music task, with the id put in, and two songs with ids of their own."""
    asked = {
        "prompt": "A calm piano track",
        "style": "Classical",
        "title": "Peaceful Piano",
        "customMode": True,
        "instrumental": True,
        "model": "V3_5",
    }
    songs = [_song(f"{task}{'/2' if at else ''}", seconds) for at, seconds in enumerate(_SECONDS)]
    data = {
        "taskId": task,
        "parentMusicId": "",
        "param": json.dumps(asked, separators=(",", ":")),
        "response": {"taskId": task, "sunoData": songs},
        "status": "SUCCESS",
        "type": "GENERATE",
        "errorCode": None,
        "errorMessage": None,
    }
    return {"code": 200, "msg": "success", "data": data}


def _song(name: str, seconds: float) -> dict[str, Any]:
    song = str(uuid.uuid5(uuid.NAMESPACE_OID, name))
    return {
        "id": song,
        "audioUrl": f"https://files.invalid/{song}.mp3",
        "streamAudioUrl": f"https://files.invalid/{song}",
        "imageUrl": f"https://files.invalid/{song}.jpeg",
        "prompt": "[Verse] 夜晚城市 灯火辉煌",
        "modelName": "chirp-v3-5",
        "title": "钢铁侠",
        "tags": "electrifying, rock",
        "createTime": "2025-01-01 00:00:00",
        "duration": seconds,
    }


#: Where each endpoint's state stands and what it says: field, field of the result, then pending, not created, failed.
_STATES: dict[Endpoint, tuple[str, str, Any, Any, Any]] = {
    "midi": ("successFlag", "midiData", 0, 2, 3),
    "separation": ("successFlag", "response", "PENDING", "CREATE_TASK_FAILED", "GENERATE_AUDIO_FAILED"),
    "music": ("status", "response", "PENDING", "CREATE_TASK_FAILED", "GENERATE_AUDIO_FAILED"),
}


def without_result(
    document: Document,
    endpoint: Endpoint,
    state: Literal["pending", "not created", "failed", "empty"],
    text: str | None = None,
) -> Document:
    """Give the same record without its result: not there yet, never to come, or empty."""
    flag, result, *states = _STATES[endpoint]
    data = document["data"] | {result: None}
    if state != "empty":
        data[flag] = states[("pending", "not created", "failed").index(state)]
    if state == "pending" and "completeTime" in data:
        data["completeTime"] = None
    if text is not None:
        data |= {"errorCode": "500", "errorMessage": text}
    return document | {"data": data}


def times_as_text(instruments: Instruments, *, all_of_them: bool) -> Instruments:
    """Give times as callbacks have them: as text where a value needs 16 significant digits or more, or all of them."""

    def time(value: object) -> object:
        digits = repr(value).replace(".", "").strip("-0")
        return str(value) if isinstance(value, float) and (all_of_them or len(digits) >= 16) else value

    def note(given: Any) -> Any:  # noqa: ANN401 -- what stands where a note should, and is none, stays as it is
        if not isinstance(given, dict):
            return given
        return {key: time(value) if key in ("start", "end") else value for key, value in given.items()}

    return [{**each, "notes": [note(given) for given in each.get("notes") or []]} for each in instruments]


def callback_document(record: Document, endpoint: Endpoint) -> Document:
    """Give what the service calls back with when ``record`` is reached: the result, or that there is none."""
    data = record["data"]
    if endpoint == "midi":
        notes = data["midiData"]
        if data["successFlag"] != 1:
            return {"code": 500, "msg": "MIDI generation failed", "data": {"taskId": data["taskId"]}}
        notes = {"state": "complete", "instruments": []} if notes is None else notes
        notes = json.loads(notes) if isinstance(notes, str) else notes
        instruments = times_as_text(notes["instruments"], all_of_them=False)
        done = {"taskId": data["taskId"], "state": "complete", "instruments": instruments}
        return {"code": 200, "msg": "success", "data": done}
    if data["response"] is None:
        return {"code": 500, "msg": "vocal separation failed", "data": {"task_id": data["taskId"]}}
    response = data["response"]
    urls = {"origin_url": "", "vocal_url": response["vocalUrl"], "instrumental_url": response["instrumentalUrl"]}
    return {
        "code": 200,
        "msg": "vocal separation generated successfully.",
        "data": {"task_id": data["taskId"], "vocal_separation_info": urls},
    }


def missing_field(endpoint: Endpoint, fields: dict[str, Any]) -> str | None:
    """Say what is wrong with the fields of a POST; None when they are right."""
    texts = ("callBackUrl", "taskId", "audioId", "audioUrl", "type", "stemName")
    wrong = [name for name in texts if fields.get(name) is not None and not isinstance(fields[name], str)]
    if wrong:
        return f"{wrong[0]} must be a string"
    if not fields.get("callBackUrl"):
        return "Please enter callBackUrl."
    if endpoint == "midi":
        return None if fields.get("taskId") else "taskId cannot be empty"
    if not fields.get("audioUrl") and not (fields.get("taskId") and fields.get("audioId")):
        return "taskId and audioId, or audioUrl, cannot be empty"
    kind = fields.get("type", "separate_vocal")
    if kind not in ("separate_vocal", "split_stem", "split_stem_advanced"):
        return "type is not supported"
    return "stemName cannot be empty" if kind == "split_stem_advanced" and not fields.get("stemName") else None
