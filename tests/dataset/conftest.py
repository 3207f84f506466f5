"""Real notes, and a store with a song of which something is known."""

import json
import os
from pathlib import Path

import polars as pl
import pytest

from kie_notes.api.files import read_records
from kie_notes.api.origins import parse_music, parse_separation
from kie_notes.notes import NOTES_SCHEMA, flatten
from kie_notes.store import Store

os.environ.setdefault("HF_HUB_OFFLINE", "1")

SAMPLES = sorted((Path(__file__).parents[2] / "data" / "samples" / "records").glob("*.json"))


def _tune(task, *pitches, start=0.0, step=0.5):
    """A flute that plays pitches one after the other."""
    return pl.DataFrame(
        [(task, "Flute", pitch, start + step * k, start + step * (k + 1), 0.5, 0) for k, pitch in enumerate(pitches)],
        schema=NOTES_SCHEMA,
        orient="row",
    )


def _melody(task, number, *, shift=0, notes=40):
    """A melody that is like no other of another number: its intervals are the digits of a power."""
    digits = [int(digit) for digit in str((number * 2 + 3) ** 90)[:notes]]
    return _tune(task, *(50 + shift + digit for digit in digits))


@pytest.fixture(scope="session")
def sampled():
    """Notes, tasks and rejects of the packed samples."""
    return flatten(read_records(SAMPLES))


def _song(store, number, *tasks, music):
    """Enter a song of a generation, its separation, and MIDI tasks that were made of that."""
    separation = f"separation-{number}-of-{music}"
    told = {"taskId": separation, "musicId": f"song-{number}-of-{music}", "successFlag": "SUCCESS"}
    stem = {"id": f"stem-{number}-of-{music}", "stem_type_group_name": "Piano", "duration": 60.0}
    body = json.dumps({"code": 200, "msg": "success", "data": told | {"response": {"originData": [stem]}}}).encode()
    store.accept(parse_separation(body), body)
    store.add(tasks, parent=separation)


def _generation(store, music):
    """Enter a music task with its two songs."""
    songs = [
        {"id": f"song-{k}-of-{music}", "title": f"Title {k}", "tags": "calm", "prompt": "[Verse]", "duration": 60.0}
        for k in range(2)
    ]
    told = {"taskId": music, "status": "SUCCESS", "response": {"sunoData": songs}}
    body = json.dumps({"code": 200, "msg": "success", "data": told}).encode()
    store.accept(parse_music(body), body)


def _put(store, notes):
    """Put the notes of one task, all of one instrument."""
    task = notes["task"].cast(pl.String)[0]
    rows = notes.select("pitch", "start", "end", pl.col("velocity").cast(pl.Float64)).to_dicts()
    store.put({"state": "complete", "instruments": [{"name": "Flute", "notes": rows}]}, task=task)


@pytest.fixture
def store(tmp_path):
    with Store(tmp_path / "store") as one:
        yield one


@pytest.fixture(scope="session")
def tune():
    return _tune


@pytest.fixture(scope="session")
def melody():
    return _melody


@pytest.fixture(scope="session")
def song():
    return _song


@pytest.fixture(scope="session")
def generation():
    return _generation


@pytest.fixture(scope="session")
def put():
    return _put
