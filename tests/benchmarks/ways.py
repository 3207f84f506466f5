"""Ways from the service's JSON on disk to a table of notes: this library's, and those of others.

Each takes paths of whole records, one a file, and gives a table with a row a note.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import polars as pl

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import duckdb
    import pandas as pd

_FIELDS: Final = {"pitch": pl.Int64, "start": pl.Float64, "end": pl.Float64, "velocity": pl.Float64}
_PARTS: Final = pl.List(pl.Struct({"name": pl.String, "notes": pl.List(pl.Struct(_FIELDS))}))
_DATA: Final = pl.Struct({"taskId": pl.String, "midiData": pl.Struct({"instruments": _PARTS})})
_PARTS_BY_SQL: Final = (
    'STRUCT("name" VARCHAR, notes STRUCT(pitch UTINYINT, "start" DOUBLE, "end" DOUBLE, velocity FLOAT)[])[]'
)


def kie_notes(paths: list[Path]) -> pl.DataFrame:
    """Read as this library does: values checked, in canonical order, with what was rejected in a table beside it."""
    from kie_notes import flatten, read_records

    return flatten(read_records(paths)).notes


def store(paths: list[Path]) -> None:
    """Put into a store: each answer byte for byte and durably, its notes as Parquet."""
    from kie_notes import Store, ingest

    with tempfile.TemporaryDirectory() as folder, Store(Path(folder) / "store") as kept:
        ingest(paths, kept, progress=False)


def read(paths: list[Path]) -> None:
    """Read the bytes, and forget them."""
    for path in paths:
        path.read_bytes()


def loads(paths: list[Path]) -> None:
    """Parse with orjson, and forget each document."""
    import orjson

    for path in paths:
        orjson.loads(path.read_bytes())


def _parts(paths: list[Path], loads: Callable[[bytes], Any]) -> Iterator[dict[str, Any]]:
    """Give each instrument as parsed JSON, with its task and place."""
    for path in paths:
        data = loads(path.read_bytes())["data"]
        for track, part in enumerate(data["midiData"]["instruments"]):
            yield {"task": data["taskId"], "track": track, **part}


def by_dictionaries(paths: list[Path], loads: Callable[[bytes], Any] = json.loads) -> pl.DataFrame:
    """Run the loop that people write: a dict a note, one DataFrame."""
    return pl.DataFrame(
        [
            {"task": part["task"], "instrument": part["name"], "track": part["track"], **note}
            for part in _parts(paths, loads)
            for note in part["notes"]
        ]
    )


def by_msgspec(paths: list[Path]) -> pl.DataFrame:
    """Run the same loop, parsing with msgspec."""
    import msgspec

    return by_dictionaries(paths, msgspec.json.decode)


def by_columns(paths: list[Path]) -> pl.DataFrame:
    """Parse with orjson, a list a field: as fast as one writes it without a compiler, and without a check."""
    import orjson

    columns: dict[str, list[Any]] = {name: [] for name in ("task", "instrument", "track", *_FIELDS)}
    for part in _parts(paths, orjson.loads):
        for name, value in (("task", part["task"]), ("instrument", part["name"]), ("track", part["track"])):
            columns[name] += [value] * len(part["notes"])
        for name in _FIELDS:
            columns[name] += [note[name] for note in part["notes"]]
    return pl.DataFrame(columns, schema_overrides=_FIELDS)


def by_pandas(paths: list[Path]) -> pd.DataFrame:
    """Normalise with pandas."""
    import pandas as pd

    return pd.json_normalize(list(_parts(paths, json.loads)), "notes", ["task", "track", "name"])


def by_polars(paths: list[Path]) -> pl.DataFrame:
    """Read each document as a line of NDJSON, by types."""
    return _unnested(pl.scan_ndjson(paths, schema={"data": _DATA}))


def by_pyarrow(paths: list[Path]) -> pl.DataFrame:
    """Read each document with pyarrow.json, by types."""
    import pyarrow as pa
    from pyarrow import json as reader

    seconds = dict.fromkeys(("start", "end", "velocity"), pa.float64())
    notes = pa.list_(pa.struct({"pitch": pa.uint8(), **seconds}))
    parts = pa.list_(pa.struct({"name": pa.string(), "notes": notes}))
    data = pa.struct({"taskId": pa.string(), "midiData": pa.struct({"instruments": parts})})
    how = reader.ParseOptions(explicit_schema=pa.schema({"data": data}), unexpected_field_behavior="ignore")
    read = [reader.read_json(one, reader.ReadOptions(block_size=one.stat().st_size + 1), how) for one in paths]
    return _unnested(pl.DataFrame(pa.concat_tables(read)).lazy())


def _unnested(records: pl.LazyFrame) -> pl.DataFrame:
    data = pl.col("data").struct
    parts = data.field("midiData").struct.field("instruments")
    tracks = records.select(task=data.field("taskId"), part=parts).explode("part").unnest("part")
    return tracks.explode("notes").unnest("notes").collect(engine="streaming")


def _by_sql(paths: list[Path]) -> duckdb.DuckDBPyRelation:
    import duckdb

    data = f'STRUCT("taskId" VARCHAR, "midiData" STRUCT(instruments {_PARTS_BY_SQL}))'
    files = ", ".join(f"'{path}'" for path in paths)
    query = f"""
        SELECT task, part."name", unnest(part.notes, recursive := true) FROM (
            SELECT data."taskId" AS task, unnest(data."midiData".instruments) AS part
            FROM read_json([{files}], columns = {{data: '{data}'}}))
    """  # noqa: S608 -- paths of our own
    return duckdb.connect().sql(query)


def by_duckdb(paths: list[Path]) -> dict[str, Any]:
    """Read with DuckDB, by types."""
    return _by_sql(paths).fetchnumpy()


def to_parquet(way: Callable[[list[Path]], pl.DataFrame]) -> Callable[[list[Path]], None]:
    """Make a way that writes its table to Parquet (zstd 3)."""

    def act(paths: list[Path]) -> None:
        with tempfile.TemporaryDirectory() as folder:
            way(paths).write_parquet(Path(folder) / "notes.parquet", compression="zstd", compression_level=3)

    return act


def by_duckdb_to_parquet(paths: list[Path]) -> None:
    """Copy from JSON to Parquet with DuckDB."""
    with tempfile.TemporaryDirectory() as folder:
        _by_sql(paths).write_parquet(f"{folder}/notes.parquet", compression="zstd")


OURS: Final = "kie_notes: flatten(read_records(...))"
#: To a table of notes.
TABLES: Final[dict[str, Callable[[list[Path]], object]]] = {
    OURS: kie_notes,
    "orjson, a list a field": by_columns,
    "json.loads, a dict a note": by_dictionaries,
    "msgspec.json.decode, a dict a note": by_msgspec,
    "pandas.json_normalize": by_pandas,
    "polars.scan_ndjson (compiled)": by_polars,
    "pyarrow.json (compiled)": by_pyarrow,
    "DuckDB read_json (compiled)": by_duckdb,
}
#: To Parquet.
FILES: Final[dict[str, Callable[[list[Path]], object]]] = {
    f"{OURS} to Parquet": to_parquet(kie_notes),
    "kie_notes: ingest into a store": store,
    "orjson, a list a field, to Parquet": to_parquet(by_columns),
    "json.loads, a dict a note, to Parquet": to_parquet(by_dictionaries),
    "polars.scan_ndjson to Parquet (compiled)": to_parquet(by_polars),
    "DuckDB COPY to Parquet (compiled)": by_duckdb_to_parquet,
}
