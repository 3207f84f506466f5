"""What is looked at before it is let in: a folder, an id, a callback."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kie_notes.errors import RecordError, StoreError
from kie_notes.store.reading import CALLBACK, Kind, Reading, read

if TYPE_CHECKING:
    from pathlib import Path


def check_id(task: object) -> None:
    """See that an id is one: any text that is not empty and can be written."""
    if not isinstance(task, str) or not task or task != task.encode("utf-8", "replace").decode():
        raise ValueError(f"expected a task's id as text, got {task!r}")


def check_new(folder: Path) -> None:
    """See that a folder is empty, or say what it is instead."""
    names = {path.name for path in folder.iterdir() if not path.name.startswith(".")}
    ledger = folder / "ledger.sqlite"
    if ledger.exists() and ledger.stat().st_size:  # another process was faster
        return
    names -= {"ledger.sqlite", "ledger.sqlite-journal"}  # it has no byte yet
    if {"raw", "parts"} & names and {"notes", "tmp"} & names:
        told = "is missing: 'kie-notes check --repair' makes it anew from the raw answers"
        raise StoreError(f"{folder}: this was a store, but its ledger.sqlite {told}")
    if names - {"ledger.sqlite-wal", "ledger.sqlite-shm", "seal.lock", "work.lock", "submit.lock"}:
        raise StoreError(f"{folder}: expected a store or an empty folder, but other files are in it")


def hint(task: str, body: bytes, kind: Kind | None) -> Reading | RecordError:
    """What a callback says, as far as it can be read."""
    if kind is None:
        parted = b"vocal_separation_info" in body or b"vocal_removal_info" in body
        kind = "separation" if parted else "music" if b"callbackType" in body else "midi"
    try:
        said = read(body, task=task, source=CALLBACK, kind=kind, hint=True)
    except RecordError as fault:
        return fault
    return said if said.task == task else RecordError(f"expected the record of {task!r}, got that of {said.task!r}")
