"""What the sandbox knows: the records that it has from the start, and the tasks that POSTs make.

The chain holds together: a separation is of one of its music task's songs, and its stems have ids that a MIDI task can
be made from.
"""

from __future__ import annotations

import json
import secrets
import threading
import time
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kie_notes.api.sandbox.documents import (
    EXAMPLE,
    Document,
    Endpoint,
    Instruments,
    Songs,
    midi_document,
    music_document,
    separation_document,
)
from kie_notes.api.sandbox.faults import word_of

if TYPE_CHECKING:
    from collections.abc import Mapping


class Shelf:
    """The records that a sandbox has from the start, of any kind of task.

    Parameters
    ----------
    records
        Task id -> body, or a folder of ``<task>.json``, of which each file is read when it is asked for.

    Raises
    ------
    FileNotFoundError
        If the folder is not there.
    """

    def __init__(self, records: Mapping[str, bytes | Document] | str | Path) -> None:
        self._bodies: dict[str, bytes | Path] = {}
        if not isinstance(records, str | Path):
            for task, body in records.items():
                self._bodies[task] = body if isinstance(body, bytes) else json.dumps(body).encode()
            return
        folder = Path(records)
        if not folder.is_dir():
            raise FileNotFoundError(f"records: expected a folder of <task>.json, got {str(folder)!r}")
        files = sorted(folder.glob("*.json"))
        self._bodies.update({path.stem: path for path in files if not path.stem.endswith(".callback")})

    def __contains__(self, task: str) -> bool:
        return task in self._bodies

    def body(self, task: str) -> bytes | None:
        """Give a task's body byte for byte; None for a task that is not here."""
        body = self._bodies.get(task)
        return body.read_bytes() if isinstance(body, Path) else body

    def kind(self, task: str) -> Endpoint:
        """Say at which endpoint a task of the shelf is known."""
        data = _data(self.body(task) or b"")
        if "response" not in data:
            return "midi"
        return "music" if "status" in data else "separation"

    def document(self, task: str) -> Document:
        """Give a task's body as a document."""
        found: Document = json.loads(self.body(task) or b"")
        return found

    def instruments(self, task: str, chosen: int) -> Instruments:
        """Give a task's own instruments, else those of the ``chosen``-th record, or the next one that has any."""
        own = _instruments_of(self.body(task) or b"")
        tasks = list(self._bodies) if own is None else []
        for step in range(len(tasks)):
            own = own or _instruments_of(self.body(tasks[(chosen + step) % len(tasks)]) or b"")
        return own or EXAMPLE


@dataclass(frozen=True)
class Made:
    """A task that was made by a POST."""

    endpoint: Endpoint
    fields: dict[str, Any]
    instruments: Instruments
    created: int
    ready: float


class Tasks:
    """All tasks of a sandbox.

    Parameters
    ----------
    shelf
        Those that are known, and finished, from the start.
    delay
        Seconds from the making of a task until it is finished.
    """

    def __init__(self, shelf: Shelf, delay: float) -> None:
        self._shelf = shelf
        self._delay = delay
        self._lock = threading.Lock()
        self.made: dict[str, Made] = {}

    def make(self, endpoint: Endpoint, fields: dict[str, Any], prefix: str) -> tuple[str, Made]:
        """Make a task with the fields of a POST; ``prefix`` begins its id."""
        task = prefix + secrets.token_hex(16)
        with self._lock:
            instruments = self._shelf.instruments(fields.get("taskId") or "", len(self.made))
            made = Made(endpoint, fields, instruments, int(time.time() * 1000), time.monotonic() + self._delay)
            self.made[task] = made
        return task, made

    def pending(self, task: str) -> bool:
        """Say whether a task was made and is not finished."""
        made = self.made.get(task)
        return made is not None and time.monotonic() < made.ready

    def body(self, task: str) -> bytes | None:
        """Give the body of a task that was known from the start byte for byte; None for every other."""
        return self._shelf.body(task)

    def document(self, endpoint: Endpoint, task: str) -> Document | None:
        """Give the finished record of a task; None where this endpoint knows no such task."""
        if task in self.made:
            return self.record(task) if self.made[task].endpoint == endpoint else None
        if task in self._shelf:
            if self._shelf.kind(task) != endpoint:
                return None
            return self._shelf.document(task) if endpoint != "midi" else self._midi(task)
        named = word_of(task)[0] is not None
        if endpoint == "separation":
            return separation_document(task, {}) if named else None
        if endpoint == "midi":
            return self._midi(task) if named else None
        return music_document(task)

    def record(self, task: str) -> Document:
        """Give the finished record of a task that was made."""
        made = self.made[task]
        if made.endpoint == "separation":
            return separation_document(task, made.fields, songs=self._songs(made.fields), created=made.created)
        audio_id, callback_url = made.fields.get("audioId"), made.fields["callBackUrl"]
        return midi_document(task, made.instruments, audio_id=audio_id, callback_url=callback_url, created=made.created)

    def _midi(self, task: str) -> Document:
        return midi_document(task, self._shelf.instruments(task, zlib.crc32(task.encode("utf-8", "replace"))))

    def _songs(self, fields: dict[str, Any]) -> Songs:
        """The songs among which the one of a separation's order is."""
        music = self.document("music", fields["taskId"]) if fields.get("taskId") else None
        response = music["data"]["response"] if music is not None else None
        songs = response.get("sunoData") if isinstance(response, dict) else None
        return [song for song in songs if isinstance(song, dict)] if isinstance(songs, list) else []


def _data(body: bytes) -> dict[str, Any]:
    """The ``data`` of a body; empty where there is none."""
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    data = found.get("data") if isinstance(found, dict) else None
    return data if isinstance(data, dict) else {}


def _instruments_of(body: bytes) -> Instruments | None:
    """Find the instruments in a body of any of the service's forms; None where there are none."""
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        return None
    for key in ("data", "midiData"):
        found = found.get(key) or found if isinstance(found, dict) else found
        found = found[0] if isinstance(found, list) and found else found
        found = json.loads(found) if isinstance(found, str) else found
    instruments = found.get("instruments") if isinstance(found, dict) else None
    if not isinstance(instruments, list) or not all(isinstance(each, dict) for each in instruments):
        return None
    return instruments or None
