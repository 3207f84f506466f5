"""What the live judges share: the notes that they judge, all samples at hand, and the judged tables as dictionaries.

The peers that these tests ask are installed with the extra ``peers``; a module whose peer is missing is skipped.
"""

from pathlib import Path

import polars as pl
import pytest

from kie_notes import flatten, read_records, sort_notes

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def samples():
    """Give the notes of the shared samples, or of the packed ones where those are not beside this checkout."""
    shared, packed = ROOT.parent / "shared" / "samples" / "records", ROOT / "data" / "samples" / "records"
    notes = flatten(read_records(shared if shared.is_dir() else packed)).notes
    assert notes.height > 0
    return notes


@pytest.fixture(scope="session")
def pitched(samples):
    """Give the samples' notes that are not of drums, of which the service knows one name."""
    return samples.filter(pl.col("instrument").cast(pl.String) != "Drums")


@pytest.fixture(scope="session")
def on_grid(samples):
    """Give a function from steps per second to the samples' notes at the nearest steps: a peer's grid loses no more."""
    return lambda steps: sort_notes(samples.with_columns((pl.col("start", "end") * steps).round() / steps))


@pytest.fixture(scope="session")
def by_task():
    """Give a function from a table to each task's rows."""
    return lambda table: {part["task"][0]: part for part in table.partition_by("task", maintain_order=True)}


@pytest.fixture(scope="session")
def by_track():
    """Give a function from a table to the rows of each track, by its task and number."""
    return lambda table: {
        (part["task"][0], part["track"][0]): part
        for part in table.partition_by("task", "track", "instrument", maintain_order=True)
    }


@pytest.fixture(scope="session")
def values():
    """Give a function from a result to one of its columns by task (or by the keys that are named)."""

    def column(table, name, keys=("task",)):
        pairs = (((*row[:-1],), row[-1]) for row in table.select(*keys, name).rows())
        return {key[0] if len(key) == 1 else key: value for key, value in pairs}

    return column
