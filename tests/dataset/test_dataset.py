"""The folder as others see it: what loads, what is in it, and that nothing vanishes on the way."""

import json
import os
import subprocess
from pathlib import Path

import polars as pl
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from kie_notes.dataset import Recipe, export_dataset
from kie_notes.errors import KieNotesError, NotesSchemaError
from kie_notes.notes import NOTES_SCHEMA, flatten, sort_notes
from kie_notes.store import Store

SAMPLES = sorted((Path(__file__).parents[2] / "data" / "samples" / "records").glob("*.json"))

PLAIN = NOTES_SCHEMA | {"task": pl.String(), "instrument": pl.String()}


def read(folder, table="notes"):
    return pl.read_parquet(sorted((Path(folder) / table).glob("*.parquet")))


def by_task(notes):
    """Notes by task id, in canonical order, names as text: what an export of them holds."""
    plain = notes.with_columns(pl.col("task", "instrument").cast(pl.String))
    return plain.sort("task", "start", "track", "pitch", "end", "velocity", "instrument")


def content(folder):
    return {path.relative_to(folder): path.read_bytes() for path in Path(folder).rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def exported(sampled, tmp_path_factory):
    folder = tmp_path_factory.mktemp("exported") / "set"
    export_dataset(sampled, folder, recipe=Recipe(shard_notes=1500, window=5.0, ticks=192), licence="cc-by-4.0")
    return folder


def test_datasets_loads_both_tables_with_every_row_in_its_split(exported, sampled, tmp_path):
    datasets = pytest.importorskip("datasets")
    loaded = datasets.load_dataset(str(exported), cache_dir=tmp_path)
    assert list(loaded) == ["train", "validation", "test"]
    frames = [split.to_polars() for split in loaded.values()]
    notes = pl.concat(frames).select(*NOTES_SCHEMA)
    assert_frame_equal(by_task(notes), by_task(sampled.notes))
    tasks = datasets.load_dataset(str(exported), "tasks", cache_dir=tmp_path)
    for name, frame in zip(loaded, frames, strict=True):
        assert set(tasks[name]["task"]) == set(frame["task"])


def test_datasets_loads_what_has_a_split_without_tasks(tmp_path, tune):
    datasets = pytest.importorskip("datasets")
    export_dataset(tune("a", 60, 62), tmp_path / "set", recipe=Recipe(shares={"train": 1, "test": 0}))
    loaded = datasets.load_dataset(str(tmp_path / "set"), cache_dir=tmp_path / "cache")
    assert {name: split.num_rows for name, split in loaded.items()} == {"train": 2}


@pytest.mark.filterwarnings("ignore")  # of what mlcroissant calls in rdflib and pandas
def test_croissant_is_valid_and_reads_both_tables(tmp_path, sampled):
    mlcroissant = pytest.importorskip("mlcroissant")
    notes = sampled.notes.filter(pl.col("task").is_in(["6d17e1d0cabe7196e438c72e9a4b57eb", SAMPLES[1].stem]))
    export_dataset(notes, tmp_path / "set", pretty_name="Tänze: a/b", recipe=Recipe(shard_notes=200), licence="mit")
    described = mlcroissant.Dataset(jsonld=str(tmp_path / "set/croissant.json"))
    assert described.metadata.ctx.issues.errors == set()
    assert (described.metadata.name, described.metadata.license) == ("Tänze: a/b", ["mit"])
    rows = [{key.removeprefix("notes/"): value for key, value in row.items()} for row in described.records("notes")]
    found = pl.DataFrame(rows).with_columns(pl.col("task", "instrument").cast(pl.String)).select(*NOTES_SCHEMA)
    assert_frame_equal(by_task(found.cast(dict(PLAIN))), by_task(notes))
    lowest = [row["tasks/lowest"] for row in described.records("tasks")]  # the first is of drums alone
    assert sorted(lowest, key=str) == sorted(read(tmp_path / "set", "tasks")["lowest"].to_list(), key=str)


def test_checksums_are_those_that_sha256sum_finds(exported):
    done = subprocess.run(["sha256sum", "--strict", "-c", "SHA256SUMS"], cwd=exported, capture_output=True, check=False)
    assert done.returncode == 0, done.stdout
    told = {line.split("  ")[1] for line in (exported / "SHA256SUMS").read_text().splitlines()}
    assert told == {str(name) for name in content(exported)} - {"README.md", "SHA256SUMS"}


def test_types_are_those_that_every_reader_of_parquet_knows(exported):
    schema = pq.read_schema(next((exported / "notes").iterdir()))
    assert {field.name: str(field.type) for field in schema} == {
        "task": "string",
        "instrument": "string",
        "pitch": "uint8",
        "start": "double",
        "end": "double",
        "velocity": "float",
        "track": "uint16",
        "window": "uint32",
        "start_tick": "int64",
        "end_tick": "int64",
    }


def test_files_hold_whole_tasks_and_no_more_than_was_asked_for(exported):
    sizes = dict(read(exported, "tasks").select("task", "notes").iter_rows())
    found = [pl.read_parquet(path)["task"] for path in (exported / "notes").iterdir()]
    assert sorted(task for tasks in found for task in tasks.unique()) == sorted(sizes)
    for tasks in found:
        assert len(tasks) - sizes[tasks[-1]] < 1500


def test_names_of_files_count_them(exported):
    for split in ("train", "validation", "test"):
        names = sorted(path.name for path in (exported / "notes").glob(f"{split}-*"))
        assert names == [f"{split}-{k:05d}-of-{len(names):05d}.parquet" for k in range(len(names))]


def test_the_same_notes_give_the_same_bytes_in_whatever_order_the_tasks_come(sampled, tmp_path):
    tasks = sampled.notes.partition_by("task")
    backwards = pl.concat(tasks[::-1])
    recipe = Recipe(min_quality=0.5, window=2.5, ticks=960, shard_notes=1000)
    for name, notes in {"one/set": sampled.notes, "two/set": sampled.notes, "three/set": backwards}.items():
        export_dataset(notes, tmp_path / name, recipe=recipe)
    assert content(tmp_path / "one/set") == content(tmp_path / "two/set") == content(tmp_path / "three/set")


def test_stores_that_were_filled_in_another_order_give_the_same_bytes(tmp_path):
    bad = {"name": "Flute", "notes": [{"pitch": 60, "start": 0, "end": 1, "velocity": 96}]}
    for name, paths in {"one": SAMPLES, "two": SAMPLES[::-1]}.items():
        with Store(tmp_path / name / "store") as store:
            for task in sorted(["loud", "aloud"], reverse=name == "two"):
                store.put({"state": "complete", "instruments": [bad]}, task=task)
            for path in paths:
                store.put(path.read_bytes(), source=f"{name}/{path.name}")
                if path in paths[::4]:
                    store.seal()
            export_dataset(store, tmp_path / name / "set")
    assert content(tmp_path / "one/set") == content(tmp_path / "two/set")


def test_a_table_that_is_out_of_order_gives_the_same_bytes(sampled, tmp_path):
    export_dataset(sampled.notes, tmp_path / "one/set")
    export_dataset(sampled.notes.sample(fraction=1, shuffle=True, seed=1).lazy(), tmp_path / "two/set")
    assert content(tmp_path / "one/set") == content(tmp_path / "two/set")


def test_pieces_that_are_smaller_than_a_task_change_nothing_but_row_groups(sampled, tmp_path, monkeypatch):
    export_dataset(sampled.notes, tmp_path / "one/set")
    monkeypatch.setattr("kie_notes.dataset.buckets._NOTES", 100)
    export_dataset(sampled.notes, tmp_path / "two/set")
    for table in ("notes", "tasks"):
        assert_frame_equal(read(tmp_path / "one/set", table), read(tmp_path / "two/set", table))


def test_many_notes_come_back_as_they_were(sampled, tmp_path):
    many = int(os.environ.get("KIE_EXPORT_COPIES", "25"))  # 206,175 notes, several pieces; 122 make a million
    copies = [sampled.notes.with_columns(pl.format("{}-{}", "task", pl.lit(k)).alias("task")) for k in range(many)]
    notes = pl.concat(copies).with_columns(pl.col("instrument").cast(pl.String))
    export_dataset(notes, tmp_path / "set", recipe=Recipe(duplicates=None, shard_notes=50_000))
    assert_frame_equal(by_task(read(tmp_path / "set")), by_task(notes))


def test_windows_are_half_open_and_a_note_that_crosses_stands_once_whole(tmp_path):
    # 3.3 and 6.6 are edges, though as floats 3.3 / 1.1 is below 3.
    times = [(0.0, 1.1), (1.0, 2.5), (1.1, 1.2), (3.2, 7.0), (3.3, 3.4), (6.6, 6.7), (6.7, 8.0)]
    notes = pl.DataFrame([("a", "Flute", 60, *time, 0.5, 0) for time in times], schema=NOTES_SCHEMA, orient="row")
    export_dataset(notes, tmp_path / "set", recipe=Recipe(window=1.1))
    found = read(tmp_path / "set")
    assert found["window"].to_list() == [0, 0, 1, 2, 3, 6, 6]
    assert found.select("start", "end").rows() == times
    assert read(tmp_path / "set", "tasks")["windows"].to_list() == [7]


def test_ticks_are_the_nearest_and_of_two_the_even_one(tmp_path):
    times = [(0.0, 0.25), (0.5, 0.75), (1.0, 1.3)]
    rows = [("a", "Flute", 60, start, end, 0.5, 0) for start, end in times]
    notes = pl.DataFrame(rows, schema=NOTES_SCHEMA, orient="row")
    export_dataset(notes, tmp_path / "set", recipe=Recipe(ticks=2))  # 0, 0.5, 1, 1.5, 2, 2.6 ticks
    assert read(tmp_path / "set").select("start_tick", "end_tick").rows() == [(0, 0), (1, 2), (2, 3)]
    assert "| notes whose ticks are not exact; their seconds are | 3 |" in (tmp_path / "set/README.md").read_text()


def test_the_services_times_are_exact_ticks_of_a_192nd(exported):
    grid = read(exported).filter(((pl.col("start") * 192) % 1 == 0) & ((pl.col("end") * 192) % 1 == 0))
    assert grid.height > 0
    assert grid.select((pl.col("start") * 192 == pl.col("start_tick")).all()).item()


def test_what_is_filtered_out_is_listed_with_its_reasons(tmp_path, tune):
    stuck = pl.concat([tune("stuck", *[60] * 4, start=start, step=0.01) for start in (0.0, 1.0)])
    notes = pl.concat([tune("long", *range(60, 72)), tune("short", 60, 62), stuck])
    export_dataset(notes, tmp_path / "set", recipe=Recipe(min_notes=10, min_quality=0.9))
    assert read(tmp_path / "set", "tasks")["task"].to_list() == ["long"]
    assert pl.read_parquet(tmp_path / "set/excluded.parquet").rows() == [
        ("short", 2, 1.0, "short", "2 notes, expected 10 or more"),
        ("stuck", 8, 0.0, "stuck", "8 notes, expected 10 or more; quality 0.0, expected 0.9 or more"),
    ]


def test_tasks_of_a_store_that_have_no_notes_are_listed_with_the_reason(store, tmp_path):
    for path in SAMPLES:
        store.put(path.read_bytes())
    export_dataset(store, tmp_path / "set")
    excluded = pl.read_parquet(tmp_path / "set/excluded.parquet")
    told = store.scan_tasks().filter(notes=0).select("task", "state").collect().sort("task").rows()
    assert [
        (task, reason.split("(")[1].split(":")[0].rstrip(")"))
        for task, reason in excluded.select("task", "reason").rows()
    ] == told
    assert read(tmp_path / "set", "tasks").height + excluded.height == store.scan_tasks().collect().height


def test_notes_that_cannot_be_notes_are_kept_apart_and_the_others_go_on(tmp_path):
    nan, inf = float("nan"), float("inf")
    rows = [
        ("a", "Flute", 60, 0.0, 1.0, 0.5, 0),
        ("a", "Flute", 128, 0.0, 1.0, 0.5, 0),
        ("a", "Flute", 60, nan, 1.0, 0.5, 0),
        ("a", "Flute", 60, -1.0, 1.0, 0.5, 0),
        ("b", "Flute", 60, 2.0, 1.0, 0.5, 3),
        ("b", "Flute", 60, 2.0, inf, 0.5, 0),
        ("a", "Flute", 60, 0.0, 1.0, 64.0, 0),
        ("a", None, 60, 0.0, 1.0, 0.5, 0),
        (None, "Flute", 60, 0.0, 1.0, 0.5, 0),
        ("a", "Flute", 60, 0.0, 1.0, nan, 0),
    ]
    export_dataset(pl.DataFrame(rows, schema=NOTES_SCHEMA, orient="row"), tmp_path / "set")
    assert read(tmp_path / "set").rows() == rows[:1]
    assert read(tmp_path / "set", "tasks")["rejected"].to_list() == [6]
    assert pl.read_parquet(tmp_path / "set/excluded.parquet").select("task", "reason").rows() == [
        ("b", "no notes (all rejected)")
    ]
    rejects = pl.read_parquet(tmp_path / "set/rejects.parquet").sort("index")
    assert rejects.select("task", "track", "index", "field", "value").rows() == [
        ("a", 0, 1, "pitch", "128"),
        ("a", 0, 2, "start", "NaN"),
        ("a", 0, 3, "start", "-1.0"),
        ("b", 3, 4, "end", "1.0"),
        ("b", 0, 5, "end", "inf"),
        ("a", 0, 6, "velocity", "64.0"),
        ("a", 0, 7, "instrument", "null"),
        (None, 0, 8, "task", "null"),
        ("a", 0, 9, "velocity", "NaN"),
    ]
    assert "divide by 127" in rejects["reason"][5]


NOTE = st.tuples(
    st.sampled_from("abcd"),
    st.just("Flute"),
    st.integers(100, 140),
    st.floats(-0.5, 4),
    st.floats(0, 4),
    st.just(0.5),
    st.integers(0, 2),
)


@settings(max_examples=8, deadline=None)
@given(rows=st.lists(NOTE, max_size=12), least=st.integers(1, 4))
def test_every_note_is_in_the_set_or_excluded_or_rejected(tmp_path_factory, rows, least):
    folder = tmp_path_factory.mktemp("any") / "set"
    notes = pl.DataFrame(rows, schema=NOTES_SCHEMA, orient="row")
    report = export_dataset(notes, folder, recipe=Recipe(min_notes=least))
    excluded = pl.read_parquet(folder / "excluded.parquet")
    taken = [("notes", read(folder).height), ("excluded", excluded["notes"].sum())]
    assert sum(count for _, count in taken) + pl.read_parquet(folder / "rejects.parquet").height == len(rows)
    assert report.splits["notes"].sum() == read(folder).height
    assert {*read(folder, "tasks")["task"], *excluded["task"]} == {row[0] for row in rows}


def test_rejects_of_a_store_go_along(store, tmp_path):
    loud = {"name": "Flute", "notes": [{"pitch": 60, "start": 0, "end": 1, "velocity": v} for v in (0.5, 96)]}
    store.put({"state": "complete", "instruments": [loud]}, task="a")
    export_dataset(store, tmp_path / "set")
    assert pl.read_parquet(tmp_path / "set/rejects.parquet").select("task", "index", "value").rows() == [
        ("a", 1, "96.0")
    ]
    assert read(tmp_path / "set", "tasks")["rejected"].to_list() == [1]


def test_what_a_store_knows_of_a_song_and_the_users_labels_are_columns_of_the_tasks(
    store, tmp_path, melody, song, generation, put
):
    generation(store, "g")
    song(store, 1, "a", music="g")
    put(store, melody("a", 1))
    labels = pl.DataFrame({"task": ["a", "elsewhere"], "genre": pl.Series(["waltz", "jazz"], dtype=pl.Categorical)})
    export_dataset(store, tmp_path / "set", labels=labels)
    row = read(tmp_path / "set", "tasks").row(0, named=True)
    assert (row["title"], row["prompt"], row["music_task"], row["genre"]) == ("Title 1", "[Verse]", "g", "waltz")


def test_further_columns_of_a_notes_table_go_along(tmp_path, tune):
    notes = tune("a", 60, 62).with_columns(beat=pl.Series([1.0, 2.5]), hand=pl.Series(["L", "R"], dtype=pl.Categorical))
    export_dataset(notes, tmp_path / "set")
    assert read(tmp_path / "set").select("beat", "hand").rows() == [(1.0, "L"), (2.5, "R")]


def test_the_recipe_is_kept(exported):
    recipe = json.loads((exported / "export.json").read_text())["recipe"]
    assert Recipe(**recipe | {"faults": tuple(recipe["faults"])}) == Recipe(shard_notes=1500, window=5.0, ticks=192)


def test_no_notes_give_a_data_set_of_the_full_schema(sampled, tmp_path):
    export_dataset(NOTES_SCHEMA.to_frame(), tmp_path / "set")
    assert read(tmp_path / "set").schema == PLAIN
    export_dataset(flatten([]), tmp_path / "other")
    assert read(tmp_path / "other", "tasks").height == 0


def test_what_is_given_is_not_changed(sampled, tmp_path):
    before = sampled.notes.clone()
    export_dataset(sampled.notes, tmp_path / "set")
    assert_frame_equal(sampled.notes, before)
    assert_frame_equal(sort_notes(sampled.notes), before)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"labels": pl.DataFrame({"task": ["a", "a"], "x": [1, 2]})}, "one row per task, got several of task 'a'"),
        ({"labels": pl.DataFrame({"task": ["a"], "notes": [1]})}, "labels: 'notes' is a column of the tasks already"),
        ({"labels": pl.DataFrame({"id": ["a"]})}, "labels: expected a column 'task', got id"),
        ({"labels": pl.DataFrame({"task": ["a"], "x": [{"y": 1}]})}, r"labels: expected numbers, text.*'x' is Struct"),
        ({"groups": pl.DataFrame({"task": ["a"]})}, "groups: expected the columns 'task' and 'group', got task"),
    ],
)
def test_tables_that_do_not_fit_are_refused(tmp_path, options, message, tune):
    with pytest.raises(NotesSchemaError, match=message):
        export_dataset(tune("a", 60), tmp_path / "set", **options)
    assert list(tmp_path.iterdir()) == []


def test_a_column_that_the_recipe_adds_may_not_be_there_already(tmp_path, tune):
    notes = tune("a", 60).with_columns(window=pl.lit(1))
    with pytest.raises(NotesSchemaError, match="'window' is a column of the notes already; rename it first"):
        export_dataset(notes, tmp_path / "set", recipe=Recipe(window=1.0))


@pytest.mark.parametrize("source", ["notes.parquet", [1], None])
def test_what_is_no_source_is_refused(tmp_path, source):
    with pytest.raises(NotesSchemaError, match="expected a Store, a Flattened or a notes table, got"):
        export_dataset(source, tmp_path / "set")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"min_notes": 0}, "min_notes: expected 1 or more, got 0"),
        ({"min_quality": 2}, "min_quality: expected a number from 0 to 1, or None, got 2"),
        ({"faults": ("off_grid",)}, "faults: expected some of too_short"),
        ({"duplicates": 0.0}, "duplicates: expected a number above 0 up to 1, or None, got 0.0"),
        ({"shares": {"train": 0.5}}, "shares: expected numbers from 0 that add up to 1"),
        ({"shares": {"../train": 1.0}}, r"shares: expected names of a-z, 0-9 and '_', as 'train', got '../train'"),
        ({"window": 0.0}, "window: expected seconds, 0.001 or more, or None, got 0.0"),
        ({"window": float("nan")}, "window: expected seconds"),
        ({"ticks": 0}, "ticks: expected ticks a second, 1 to 1,000,000, or None, got 0"),
        ({"shard_notes": 0}, "shard_notes: expected 1 or more, got 0"),
    ],
)
def test_a_recipe_with_a_value_out_of_range_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        Recipe(**options)


def test_a_source_that_changes_while_it_is_read_is_an_error(tmp_path, tune):
    answers = iter([tune("a", 60, 62)])
    fickle = tune("a", 60, 62).lazy().map_batches(lambda notes: next(answers, notes.head(1)), schema=NOTES_SCHEMA)
    with pytest.raises(KieNotesError, match=r"expected 2 notes .*, got 1: the source changed while it was read"):
        export_dataset(fickle, tmp_path / "set")
    assert list(tmp_path.iterdir()) == []
