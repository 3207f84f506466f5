"""A store with something of everything, to be broken; and what there is to be lost of one."""

import shutil
from pathlib import Path

import polars as pl
import pytest

from kie_notes.store import Store

SAMPLES = sorted((Path(__file__).parents[2] / "data" / "samples" / "records").glob("*.json"))


def bare(*pitches, velocity=0.5):
    """A result of one flute."""
    notes = [{"pitch": pitch, "start": 0, "end": 1, "velocity": velocity} for pitch in pitches]
    return {"state": "complete", "instruments": [{"name": "Flute", "notes": notes}]}


@pytest.fixture(scope="session")
def whole(tmp_path_factory):
    """A folder with two sealed segments, rejected notes, a failure that a result followed, and answers that wait."""
    folder = tmp_path_factory.mktemp("whole") / "store"
    with Store(folder) as store:
        store.put({"code": 500, "msg": "MIDI generation failed", "data": {"taskId": "again"}})
        for path in SAMPLES[:6]:
            store.put(path.read_bytes(), source=path.name)
        store.seal()
        store.put(bare(60, 61), task="again")
        store.put(bare(60, 61, 62, velocity=96), task="loud")
        for path in SAMPLES[6:]:
            store.put(path.read_bytes(), source=path.name)
        store.seal()
        store.put(bare(70), task="waiting")
        store.add(["labelled"], label="choir")
        store.receive([("odd", b"<html>")])
    return folder


@pytest.fixture
def broken(whole, tmp_path):
    """A copy of that store, to be broken."""
    return shutil.copytree(whole, tmp_path / "store", symlinks=True)


@pytest.fixture(scope="session")
def content():
    """Give what a store must not lose: its notes, and its tasks with state and raw answer."""

    def read(folder):
        with Store(folder) as store:
            notes = store.scan_notes().with_columns(pl.col("task", "instrument").cast(pl.String)).collect()
            tasks = store.scan_tasks().select("task", "state").collect().rows()
            raw = {task: (state, store.raw(task)) for task, state in tasks}
        return notes.sort("task", "start", "track", "pitch", "end", "velocity").rows(), raw

    return read
