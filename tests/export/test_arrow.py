"""Every table is read by pyarrow, pandas and DuckDB through the Arrow stream protocol, with no code of this library."""

from pathlib import Path

import duckdb
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import kie_notes as kn

SAMPLES = Path(__file__).parents[2] / "data" / "samples" / "records"


@pytest.fixture(scope="module")
def flat():
    return kn.flatten(kn.read_records(SAMPLES))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A store's folder, filled."""
    folder = tmp_path_factory.mktemp("store")
    with kn.Store(folder) as store:
        kn.ingest(sorted(SAMPLES.glob("*.json"))[:3], store)
    return folder


@pytest.fixture(scope="module")
def tables(flat):
    return {
        "notes": flat.notes,
        "tasks": flat.tasks,
        "rejects": flat.rejects,
        "a result": kn.pitch_class_histogram(flat.notes),
        "a pivoted result": kn.describe(flat.notes),
        "no notes": flat.notes.clear(),
    }


@pytest.mark.parametrize("name", ["notes", "tasks", "rejects", "a result", "a pivoted result", "no notes"])
def test_pyarrow_reads_a_table_and_polars_reads_that_as_it_was(tables, name):
    assert pl.DataFrame(pa.table(tables[name])).equals(tables[name])


@pytest.mark.parametrize("name", ["notes", "tasks", "rejects", "a result", "a pivoted result", "no notes"])
def test_pandas_reads_a_table(tables, name):
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame.from_arrow(tables[name])
    assert list(frame.columns) == tables[name].columns
    assert len(frame) == tables[name].height


@pytest.mark.parametrize("name", ["notes", "tasks", "rejects", "a result", "a pivoted result", "no notes"])
def test_duckdb_reads_a_table_by_the_name_of_its_variable(tables, name):
    table = tables[name]
    with duckdb.connect() as database:
        database.register("given", table)
        assert database.sql("SELECT * FROM given").columns == table.columns
        assert database.sql("SELECT count(*) FROM given").fetchall() == [(table.height,)]


def test_duckdb_counts_the_notes_of_each_instrument(flat):
    notes = flat.notes
    expected = notes.group_by(pl.col("instrument").cast(pl.String)).len().sort("instrument").rows()
    with duckdb.connect() as database:
        assert database.sql("SELECT instrument, count(*) FROM notes GROUP BY 1 ORDER BY 1").fetchall() == expected


def test_names_are_dictionaries_in_pyarrow(flat):
    schema = pa.table(flat.notes).schema
    assert [schema.field(name).type for name in ("task", "instrument")] == [
        pa.dictionary(pa.uint32(), pa.string_view())
    ] * 2
    assert [str(schema.field(name).type) for name in ("pitch", "start", "velocity", "track")] == [
        *("uint8", "double", "float", "uint16")
    ]


def test_names_are_categories_in_pandas(flat):
    pandas = pytest.importorskip("pandas")
    kinds = pandas.DataFrame.from_arrow(flat.notes).dtypes
    expected = ["category", "category", "uint8", "float64", "float64", "float32", "uint16"]
    assert [str(kind) for kind in kinds] == expected


def test_unsigned_numbers_wrap_round_in_pandas(flat):
    pandas = pytest.importorskip("pandas")
    notes = flat.notes.head(2).with_columns(pitch=pl.Series([60, 62], dtype=pl.UInt8))
    assert (pandas.DataFrame.from_arrow(notes)["pitch"] - 61).tolist() == [255, 1]


def test_unsigned_numbers_below_0_are_an_error_in_duckdb_until_they_are_cast(flat):
    notes = flat.notes.head(1).with_columns(pitch=pl.lit(60, pl.UInt8))
    with duckdb.connect() as database:
        with pytest.raises(duckdb.OutOfRangeException, match="Overflow in subtraction of UINT8"):
            database.sql("SELECT pitch - 61 FROM notes").fetchall()
        assert database.sql("SELECT pitch::INT - 61 FROM notes").fetchall() == [(-1,)]
    assert notes.height == 1


def test_names_are_text_when_duckdb_gives_notes_back_and_the_check_makes_them_categorical(flat):
    notes = flat.notes
    with duckdb.connect() as database:
        back = pl.DataFrame(database.sql("SELECT * FROM notes"))
    assert back.schema["task"] == pl.String
    assert kn.check_notes(back).equals(notes)


def test_tables_of_other_categories_are_one_stream(flat):
    other = flat.notes.with_columns(task=pl.lit("another").cast(pl.Categorical))
    both = pl.concat([flat.notes, other])
    assert both.n_chunks() > 1
    assert set(pa.table(both)["task"].to_pylist()) == set(both["task"].to_list())


def test_a_stores_files_are_read_by_all_three(folder):
    pandas = pytest.importorskip("pandas")
    files = sorted(map(str, folder.glob("parts/current/notes/*.parquet")))
    with kn.Store(folder) as store:
        expected = store.scan_notes().collect()
    with duckdb.connect() as database:
        counted = database.sql("SELECT count(*), sum(pitch) FROM read_parquet($files)", params={"files": files})
        assert counted.fetchall() == [(expected.height, expected["pitch"].cast(pl.Int64).sum())]
    assert sum(len(pandas.read_parquet(file)) for file in files) == expected.height
    assert sum(pq.read_table(file).num_rows for file in files) == expected.height
