"""What the tests of the helpers share: tables from rows, the golden fixture, the samples and their peers' values."""

import csv
import json
from pathlib import Path

import polars as pl
import pytest
from hypothesis import settings
from hypothesis import strategies as st

from kie_notes.notes import NOTES_SCHEMA

settings.register_profile("analysis", deadline=None)  # the first query of a session starts the engine
settings.load_profile("analysis")

DATA = Path(__file__).parents[2] / "data"

#: Instruments of the drawn tables by track: a name twice, percussion, and a drum that is none.
INSTRUMENTS = ("Flute", "Drums", "Flute", "Steel Drums")


def make_table(rows):
    return pl.DataFrame(rows, schema=NOTES_SCHEMA, orient="row")


@pytest.fixture(scope="session")
def table():
    """Make a notes table of rows (task, instrument, pitch, start, end, velocity, track)."""
    return make_table


@pytest.fixture(scope="session")
def note_tables():
    """Give a Hypothesis strategy of tables in canonical order on the service's grid: short, nested and equal notes."""
    note = st.tuples(
        st.sampled_from(["a", "b", "c"]),
        st.integers(0, 3),  # track
        st.sampled_from([36, 48, 59, 60, 61, 72]),  # pitch
        st.integers(0, 96) | st.sampled_from([192, 384, 1000]),  # start, in 192nds of a second
        st.sampled_from([0, 1, 24, 32]) | st.integers(0, 384),  # duration
        st.sampled_from([3, 63, 127]),  # velocity
    )

    def rows(notes):
        ordered = sorted(notes, key=lambda n: (n[0], n[3], n[1], n[2], n[4], n[5]))
        return [(t, INSTRUMENTS[k], p, s / 192, (s + d) / 192, v / 127, k) for t, k, p, s, d, v in ordered]

    return lambda min_size=0: st.lists(note, min_size=min_size, max_size=30).map(rows).map(make_table)


@pytest.fixture(scope="session")
def golden():
    """Give the golden fixture as a notes table, task ``golden``."""
    notes = json.loads((DATA / "golden" / "fixture.json").read_text(encoding="utf-8"))
    tracks = list(dict.fromkeys(note["instrument"] for note in notes))
    return in_order("golden", [(tracks.index(note["instrument"]), note["instrument"], note) for note in notes])


@pytest.fixture(scope="session")
def reference():
    """Give the peers' values for the golden fixture."""
    return json.loads((DATA / "golden" / "reference_values.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="session")
def samples(shared):
    """Give all samples with notes as one table."""
    with (shared / "samples" / "manifest.csv").open(encoding="utf-8") as file:
        docs = {row["task"]: row["doc"] for row in csv.DictReader(file)}
    return pl.concat(read_record(task, shared / "samples" / doc) for task, doc in docs.items())


@pytest.fixture(scope="session")
def peers(shared):
    """Give the peers' values per sample, one row per task, sorted by task."""
    return pl.read_csv(shared / "samples" / "expected" / "peers.csv").sort("task")


@pytest.fixture(scope="session")
def peer_tests(shared):
    """Give the values that peers assert in their own tests, by task."""
    cases = json.loads((shared / "samples" / "expected" / "peer_tests.json").read_text(encoding="utf-8"))
    return {
        task: {k: v for c in cases if c["task"] == task for k, v in c["expected"].items()}
        for task in {c["task"] for c in cases}
    }


def read_record(task, path):
    instruments = find_instruments(json.loads(path.read_text(encoding="utf-8")))
    return in_order(task, [(k, one["name"], note) for k, one in enumerate(instruments) for note in one["notes"]])


def find_instruments(body):
    """Find the list of instruments in a body of whatever envelope."""
    if isinstance(body, list):
        return next(filter(None, map(find_instruments, body)), None)
    if not isinstance(body, dict):
        return None
    return (
        body["instruments"] if "instruments" in body else next(filter(None, map(find_instruments, body.values())), None)
    )


def in_order(task, notes):
    """Make a table in canonical order of (track, name, note) triples; times may be text."""
    rows = [
        (task, name, note["pitch"], float(note["start"]), float(note["end"]), note["velocity"], track)
        for track, name, note in notes
    ]
    return make_table(sorted(rows, key=lambda row: (row[3], row[6], row[2])))
