"""A store's notes as other engines read them: its Parquet parts, as they are, without this library.

Spark is not among them: it needs a Java machine. It reads the same files (plain Parquet 2.6, zstd, text with
dictionaries), and has the same duty as every engine that splits files: never to cut a task in two.
"""

import json
from pathlib import Path

import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import kie_notes as kn
from kie_notes.mapping import map_parts

RECORDS = Path(__file__).parents[1] / "data" / "samples" / "records"


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """The samples in a store, in two sealed parts."""
    folder = tmp_path_factory.mktemp("engines") / "store"
    with kn.Store(folder) as kept:
        for at, record in enumerate(sorted(RECORDS.glob("*.json"))):
            kept.put(record.read_bytes(), source=record.name)
            if at == 5:
                kept.seal()
        kept.seal()
    assert len(list((folder / "notes").glob("*.parquet"))) == 3  # the first has no rows
    return folder


@pytest.fixture(scope="module")
def expected():
    """Notes, sum of pitches, and sums of times and velocities of each task, added up from the service's JSON."""
    found = {}
    for record in RECORDS.glob("*.json"):
        data = json.loads(record.read_bytes())["data"]
        tracks = ((data or {}).get("midiData") or {}).get("instruments") or []
        notes = [note for track in tracks for note in track["notes"]]
        if notes and data["midiData"]["state"] == "complete":
            sums = [sum(float(note[field]) for note in notes) for field in ("pitch", "start", "end", "velocity")]
            found[data["taskId"]] = (len(notes), *(pytest.approx(one, rel=1e-6) for one in sums))  # 32-bit velocities
    return found


def test_duckdb_reads_the_folder(store, expected):
    with duckdb.connect() as db:
        notes = db.read_parquet(f"{store}/notes/*.parquet")
        sums = 'task, count(*), sum(pitch), sum(start), sum("end"), sum(velocity::DOUBLE)'
        rows = notes.aggregate(sums, "task").fetchall()
    assert {task: tuple(sums) for task, *sums in rows} == expected


def test_duckdb_sees_plain_types(store):
    with duckdb.connect() as db:
        notes = db.read_parquet(f"{store}/notes/*.parquet")
        kinds = dict(zip(notes.columns, map(str, notes.types), strict=True))
    assert kinds == {
        "task": "VARCHAR",
        "instrument": "VARCHAR",
        "pitch": "UTINYINT",
        "start": "DOUBLE",
        "end": "DOUBLE",
        "velocity": "FLOAT",
        "track": "USMALLINT",
    }


def test_pandas_reads_the_folder(store, expected):
    notes = pd.read_parquet(store / "notes")
    notes["velocity"] = notes["velocity"].astype("float64")
    sums = notes.groupby("task", observed=True)[["pitch", "start", "end", "velocity"]].sum()
    counts = notes.groupby("task", observed=True).size()
    assert {task: (counts[task], *sums.loc[task].tolist()) for task in counts.index} == expected


def test_pyarrow_reads_each_part_and_polars_what_it_read(store, expected):
    tables = [pl.from_arrow(pq.read_table(part)) for part in sorted((store / "notes").iterdir())]
    texts = [table.with_columns(pl.col("task").cast(pl.String)) for table in tables]
    counts = pl.concat(one.group_by("task").len() for one in texts)
    assert dict(counts.iter_rows()) == {task: sums[0] for task, sums in expected.items()}


def test_a_table_that_duckdb_wrote_goes_into_the_helpers(store, tmp_path):
    file = tmp_path / "chosen.parquet"
    with duckdb.connect() as db:
        some = db.read_parquet(f"{store}/notes/*.parquet").filter("instrument = 'Drums'")
        some.order('task, start, track, pitch, "end", velocity').write_parquet(str(file))
    with kn.Store(store) as kept:
        drums = kept.scan_notes().filter(pl.col("instrument").cast(pl.String) == "Drums").collect()
    assert drums.height > 0
    assert map_parts(file, kn.drum_density).equals(kn.drum_density(drums))


def test_polars_knows_the_names_in_a_part_as_its_own_categories(store):
    # Where its mark is missing it reads them as text first, which costs five times as much.
    part = max((store / "notes").glob("*.parquet"))
    ours = pq.read_schema(part)
    polars = pl.read_parquet(part).to_arrow().schema
    assert all(ours.field(name).metadata == polars.field(name).metadata for name in ("task", "instrument"))
    assert all(ours.field(name).type.index_type == pa.uint32() for name in ("task", "instrument"))
