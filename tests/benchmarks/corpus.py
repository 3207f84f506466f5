"""Records in the service's form, made from a seed: as many as wanted, the same every time."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from pathlib import Path

#: What a pop song brings: name, share of the notes, lowest and highest pitch.
_BAND = [
    ("Drums", 0.34, 35, 60),
    ("Electric Bass (finger)", 0.12, 28, 52),
    ("Acoustic Grand Piano", 0.22, 36, 90),
    ("String Ensembles 1", 0.12, 48, 84),
    ("Voice Oohs", 0.08, 55, 79),
    ("Voice Oohs", 0.06, 55, 79),
    ("Overdriven Guitar", 0.06, 40, 76),
]


def record(task: str, notes: int, rng: np.random.Generator) -> bytes:
    """One polled record: times on the grid of 1/192 s, velocities n/127 of 32 levels, chords on common onsets."""
    length = max(notes // 24, 2) * 192  # about 24 notes a second, all instruments together
    instruments = []
    for name, share, lowest, highest in _BAND:
        count = max(int(notes * share), 1)
        start = np.sort(rng.integers(0, length // 24, count) * 24 + rng.integers(0, 3, count))
        end = start + rng.integers(4, 384, count)
        pitch = rng.integers(lowest, highest + 1, count)
        velocity = rng.integers(0, 32, count) * 4 + 3
        columns = (pitch.tolist(), (start / 192).tolist(), (end / 192).tolist(), (velocity / 127).tolist())
        keys = ("pitch", "start", "end", "velocity")
        instruments.append(
            {"name": name, "notes": [dict(zip(keys, one, strict=True)) for one in zip(*columns, strict=True)]}
        )
    data = {
        "taskId": task,
        "recordTaskId": -1,
        "audioId": "e2310000-0000-0000-0000-00008cadc7dc",
        "callbackUrl": "https://callback.invalid/",
        "completeTime": 1760335255000,
        "midiData": {"state": "complete", "instruments": instruments},
        "successFlag": 1,
        "createTime": 1760335251000,
        "errorCode": None,
        "errorMessage": None,
    }
    return json.dumps({"code": 200, "msg": "success", "data": data}, separators=(",", ":")).encode()


def write_corpus(folder: Path, notes: int, *, per_task: int = 5_000, seed: int = 1) -> list[Path]:
    """Write records of about ``notes`` notes in all, one file a task."""
    rng = np.random.default_rng(seed)
    paths = []
    for at in range(max(notes // per_task, 1)):
        path = folder / f"{at:032x}.json"
        path.write_bytes(record(path.stem, per_task, rng))
        paths.append(path)
    return paths
