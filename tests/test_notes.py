"""The notes table: its check, its order, its joins, and how records become it."""

import csv
import json
import random
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from kie_notes.api.files import read_records
from kie_notes.api.records import parse_record
from kie_notes.errors import NotesSchemaError, RecordError
from kie_notes.notes import NOTES_SCHEMA, REJECTS_SCHEMA, TASKS_SCHEMA, check_notes, flatten, join_tasks, sort_notes

SAMPLES = Path(__file__).parents[1] / "data" / "samples"


def record(instruments, task="t1", **fields):
    return parse_record({"state": "complete", "instruments": instruments} | fields, task=task)


def note(pitch=60, start=0.0, end=1.0, velocity=0.5):
    return {"pitch": pitch, "start": start, "end": end, "velocity": velocity}


def table(*rows):
    names = ("task", "instrument", "pitch", "start", "end", "velocity", "track")
    return pl.DataFrame([dict(zip(names, row, strict=True)) for row in rows], schema=NOTES_SCHEMA)


def test_the_first_six_columns_are_those_that_people_ask_for():
    assert list(NOTES_SCHEMA)[:6] == ["task", "instrument", "pitch", "start", "end", "velocity"]


def test_flattening_nothing_gives_three_empty_tables_of_the_full_schemas():
    flat = flatten([])
    assert (flat.notes.schema, flat.tasks.schema, flat.rejects.schema) == (NOTES_SCHEMA, TASKS_SCHEMA, REJECTS_SCHEMA)
    assert flat.notes.is_empty()


def test_notes_come_in_canonical_order_whatever_the_order_of_the_json():
    flat = flatten(
        [
            record(
                [
                    {"name": "A", "notes": [note(64, 1.0), note(60, 1.0), note(70, 0.5)]},
                    {"name": "B", "notes": [note(50, 1.0)]},
                ]
            ),
            record([{"name": "A", "notes": [note(1, 0.0)]}], task="t0"),
        ]
    )
    assert flat.notes.select("task", "start", "track", "pitch").rows() == [
        ("t1", 0.5, 0, 70),
        ("t1", 1.0, 0, 60),
        ("t1", 1.0, 0, 64),
        ("t1", 1.0, 1, 50),
        ("t0", 0.0, 0, 1),
    ]


def test_starts_that_differ_in_the_last_bit_are_told_apart():
    late = 2.5000000000000004
    flat = flatten([record([{"name": "A", "notes": [note(60, late, 3)]}, {"name": "B", "notes": [note(60, 2.5, 3)]}])])
    assert flat.notes.select("start", "track").rows() == [(2.5, 1), (late, 0)]


def test_a_pitch_that_starts_twice_at_once_is_ordered_by_its_end_and_velocity():
    notes = [note(60, 0, 2, 0.5), note(60, 0, 1, 0.75), note(60, 0, 1, 0.25)]
    assert flatten([record([{"name": "A", "notes": notes}])]).notes.select("end", "velocity").rows() == [
        (1.0, 0.25),
        (1.0, 0.75),
        (2.0, 0.5),
    ]


def test_a_start_beyond_all_bits_is_sorted_all_the_same():
    flat = flatten(
        [record([{"name": "A", "notes": [note(60, 1e300, 1e300), note(60, 5, 6), note(60, 2.0**40, 2.0**41)]}])]
    )
    assert flat.notes["start"].to_list() == [5.0, 2.0**40, 1e300]


IMPOSSIBLE = {
    "start": (note(start=-0.5), "the note starts before the audio"),
    "end": (note(start=2, end=1), "the note ends before its start at 2.0 s"),
    "velocity": (note(velocity=96), r"expected a velocity from 0 to 1 (did you pass MIDI velocities? divide by 127)"),
}


@pytest.mark.parametrize("field", IMPOSSIBLE)
def test_an_impossible_value_is_rejected_with_its_place_and_reason(field):
    bad, reason = IMPOSSIBLE[field]
    flat = flatten(
        [record([{"name": "A", "notes": [note()]}, {"name": "B", "notes": [note(), bad, note(61)]}]), record([], "t2")]
    )
    assert flat.rejects.select("task", "track", "index", "field", "reason").rows() == [("t1", 1, 1, field, reason)]
    assert flat.notes.height == 3
    assert flat.tasks.select("task", "state", "tracks", "notes", "rejected").rows() == [
        ("t1", "complete", 2, 3, 1),
        ("t2", "empty", 0, 0, 0),
    ]


@pytest.mark.parametrize(("text", "value"), [("nan", "NaN"), ("inf", "Infinity"), ("-Infinity", "-Infinity")])
def test_text_that_spells_no_finite_number_is_rejected(text, value):
    flat = flatten([record([{"name": "A", "notes": [note(end=text), note()]}])])
    assert flat.rejects.select("index", "field", "value").rows() == [(0, "end", value)]


def test_a_second_delivery_is_never_doubled_and_never_lost():
    first, second = record([{"name": "A", "notes": [note()]}]), record([{"name": "A", "notes": [note(), note(61)]}])
    flat = flatten([first, second])
    assert flat.notes.height == 1
    assert flat.rejects.height == 2
    assert flat.rejects["reason"].str.contains("second delivery").all()
    assert flat.tasks.height == 1


def test_a_result_takes_the_place_of_what_was_said_before_it():
    pending = parse_record({"code": 200, "data": {"taskId": "t1", "successFlag": 0}})
    failed = parse_record({"code": 500, "msg": "no", "data": {"taskId": "t1"}})
    flat = flatten([pending, failed, record([{"name": "A", "notes": [note()]}]), pending])
    assert flat.tasks.select("state", "notes").rows() == [("complete", 1)]


def test_a_record_without_an_id_is_an_error_that_says_how_to_give_one():
    with pytest.raises(RecordError, match=r"names no task: parse_record\(body, task=\.\.\.\)"):
        flatten([record([], task=None)])


def manifest(folder):
    return {row["task"]: row for row in csv.DictReader((folder / "manifest.csv").read_text("utf-8").splitlines())}


def count(document):
    """Notes in a JSON document, wherever they stand."""
    if isinstance(document, dict):
        return sum(
            len(value) if key == "notes" and isinstance(value, list) else count(value)
            for key, value in document.items()
        )
    return sum(map(count, document)) if isinstance(document, list) else 0


def test_counts_add_up_for_every_packed_sample():
    expected = manifest(SAMPLES)
    for path in sorted((SAMPLES / "records").glob("*.json")):
        flat = flatten([parse_record(path.read_bytes())])
        assert flat.notes.height + flat.rejects.height == count(json.loads(path.read_bytes()))
        if path.stem in expected:
            row = expected[path.stem]
            assert flat.notes.height == int(row["n_notes"])
            assert flat.notes["end"].max() == float(row["end"])


def test_counts_add_up_for_every_shared_sample_and_all_of_them_together(shared):
    paths = sorted((shared / "samples" / "records").glob("*.json"))
    assert len(paths) == 137
    flat = flatten(read_records(paths))
    assert flat.notes.height + flat.rejects.height == sum(count(json.loads(path.read_bytes())) for path in paths)
    assert flat.notes.height == 88_029
    expected = manifest(shared / "samples")
    for row in flat.tasks.filter(pl.col("state") == "complete").iter_rows(named=True):
        assert row["notes"] == int(expected[row["task"]]["n_notes"])
    states = {row["task"]: row["state"] for row in flat.tasks.iter_rows(named=True)}
    assert states["e6a0bb5af924bcf84b48c3a96cf65ef0"] == "pending"
    assert states["8d1f309f33b52a24ad8b498270298b0f"] == states["9be05ae66d0fda1c3556e07742d07499"] == "failed"
    assert states["2cd3bc944794b32b7f63c27d87212795"] == states["aa005f2a5c3b817c2016a5bb6ec79e9d"] == "empty"
    assert states["8680ce788af8e656af11b04247ab385d"] == "empty"
    assert states["20d693fabfdfe44ae5deb13c4cb5b768"] == states["b603faff5b2c50d8da7eab1817af86ba"] == "failed"


def test_the_polled_and_the_called_back_form_of_one_result_are_the_same_table(shared):
    folder = shared / "samples" / "records"
    polled, called = (
        flatten([parse_record((folder / f"2ef90389e470e74279d3d2742a82575d{end}").read_bytes())]).notes
        for end in (".json", ".callback.json")
    )
    assert_frame_equal(polled.drop("velocity"), called.drop("velocity"))


def test_notes_that_a_pending_task_shows_are_not_taken_and_not_doubled_later():
    early = parse_record({"taskId": "t1", "state": "pending", "instruments": [{"name": "A", "notes": [note()]}]})
    flat = flatten([early, record([{"name": "A", "notes": [note(), note(61)]}])])
    assert flat.notes["pitch"].to_list() == [60, 61]
    assert flat.rejects["reason"].to_list() == ["the task is pending: its notes are not final"]


def test_labels_that_name_a_task_twice_would_double_its_notes_and_are_refused():
    labels = pl.DataFrame({"task": ["a", "a"], "genre": ["waltz", "polka"]})
    with pytest.raises(NotesSchemaError, match="one row per task, got several of task 'a'"):
        join_tasks(table(("a", "A", 60, 0.0, 1.0, 0.5, 0)), labels)


times = st.one_of(st.integers(0, 2000).map(lambda k: k / 192), st.floats(-1, 30), st.just(float("nan")).map(str))
notes = st.fixed_dictionaries(
    {
        "pitch": st.integers(-2, 130),
        "start": times,
        "end": times,
        "velocity": st.sampled_from([0, 0.5, 1, 1.5, "0.25", None]),
    }
)
tracks = st.lists(
    st.fixed_dictionaries({"name": st.sampled_from(["A", "B", "Drums"]), "notes": st.lists(notes, max_size=8)}),
    max_size=4,
)


@settings(deadline=None)
@given(st.lists(tracks, max_size=4))
def test_notes_and_rejects_always_add_up_and_the_order_always_holds(tasks):
    flat = flatten(record(one, task=f"t{at}") for at, one in enumerate(tasks))
    assert flat.notes.height + flat.rejects.height == sum(len(track["notes"]) for one in tasks for track in one)
    assert_frame_equal(flat.notes, sort_notes(flat.notes))
    good = flat.notes.select(
        (pl.col("pitch") <= 127)
        & (pl.col("start") >= 0)
        & (pl.col("end") >= pl.col("start"))
        & pl.col("end").is_finite()
        & pl.col("velocity").is_between(0, 1)
    )
    assert good.to_series().all()


@settings(deadline=None)
@given(st.lists(tracks, max_size=4), st.integers(0, 2**32))
def test_sorting_brings_shuffled_rows_back(tasks, seed):
    canonical = flatten(record(one, task=f"t{at}") for at, one in enumerate(tasks)).notes
    rows = canonical.rows()
    random.Random(seed).shuffle(rows)  # noqa: S311 -- no secret
    shuffled = sort_notes(pl.DataFrame(rows, schema=NOTES_SCHEMA, orient="row"))
    for part in canonical.partition_by("task"):
        assert_frame_equal(shuffled.filter(pl.col("task") == part["task"][0]), part)


def test_sorting_keeps_the_tasks_in_the_order_in_which_they_first_appear():
    rows = [("b", "A", 60, 1.0, 2.0, 0.5, 0), ("a", "A", 60, 0.0, 2.0, 0.5, 0), ("b", "A", 60, 0.0, 2.0, 0.5, 0)]
    assert sort_notes(table(*rows)).select("task", "start").rows() == [("b", 0.0), ("b", 1.0), ("a", 0.0)]


def test_text_columns_are_taken_as_categories():
    frame = table(("a", "A", 60, 0.0, 1.0, 0.5, 0))
    as_text = frame.with_columns(pl.col("task", "instrument").cast(pl.String))
    assert_frame_equal(check_notes(as_text), frame)
    assert isinstance(check_notes(as_text.lazy()), pl.LazyFrame)


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (pl.DataFrame({"task": ["a"]}), "missing columns 'instrument', 'pitch'"),
        (
            table().drop("velocity").cast({"pitch": pl.Int64}),
            "missing column 'velocity'; 'pitch' is Int64, expected UInt8",
        ),
        ([1, 2], "expected a polars DataFrame or LazyFrame, got list"),
    ],
)
def test_what_is_no_notes_table_is_told_column_by_column(frame, message):
    with pytest.raises(NotesSchemaError, match=message):
        check_notes(frame)


def test_a_table_of_labels_with_text_ids_joins_keeps_and_drops():
    frame = table(("b", "A", 60, 0.0, 1.0, 0.5, 0), ("a", "A", 61, 0.0, 1.0, 0.5, 0))
    labels = pl.DataFrame({"task": ["a", "z"], "genre": ["waltz", "polka"]})
    assert join_tasks(frame, labels)["genre"].to_list() == [None, "waltz"]
    assert join_tasks(frame, labels, how="inner")["pitch"].to_list() == [61]
    assert join_tasks(frame, labels, how="semi").columns == frame.columns
    assert join_tasks(frame.lazy(), labels.lazy(), how="anti").collect()["pitch"].to_list() == [60]


def test_a_table_of_labels_needs_a_task_column():
    with pytest.raises(NotesSchemaError, match="expected a table with a column 'task' of text, got Schema"):
        join_tasks(table(), pl.DataFrame({"id": ["a"]}))
