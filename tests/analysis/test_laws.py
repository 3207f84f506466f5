"""The laws that hold for every function of ``kie_notes.analysis``, whatever it measures: a new one is asked as well."""

import inspect
import json
import os
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from kie_notes import analysis
from kie_notes.errors import NotesOrderError, NotesSchemaError
from kie_notes.notes import sort_notes

ROOT = Path(__file__).parents[2]
few = settings(max_examples=3, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))

#: What a function needs beside the notes.
NEEDED = {
    "find_motif": {"intervals": [1]},
    "in_scale_rate": {"root": 7},
    "split_tasks": {"shares": {"train": 0.75, "test": 0.25}},
    "transposition": {"low": 48, "high": 60},
    "trim_to_duration": {"durations": pl.DataFrame({"task": ["a", "b"], "duration": [1.0, 2.5]})},
}
#: Functions of two notes tables: the second is the first, a hundredth of a second later.
OF_TWO_TABLES = {"transcription_scores", "transcription_errors"}

#: Functions that are asked nothing about notes: the first two tell of functions, the others compare results.
OF_NO_NOTES = {"catalogue", "explain", "compare", "compare_histograms"}
#: The function that says that it looks across tasks.
ACROSS_TASKS = {"near_duplicates"}
#: Functions that give notes tables, whose names are Categorical and whose columns are those that came.
GIVE_NOTES = {name for name in analysis.__all__ if name.startswith(("drop_", "merge_", "snap_", "trim_"))} | {
    "quantise"
}
#: The function whose answer is about the order of rows: of equal notes the first stays, with its velocity.
ABOUT_ROW_ORDER = {"drop_duplicates"}
#: The function that takes any table of tasks.
OF_ANY_TABLE = {"split_tasks"}

NAMES = [name for name in analysis.__all__ if inspect.isfunction(getattr(analysis, name)) and name not in OF_NO_NOTES]


def ask(name, notes):
    """Ask a function about notes: the frames of its answer."""
    more = [notes.with_columns(pl.col("start", "end") + 0.01)] if name in OF_TWO_TABLES else []
    answer = getattr(analysis, name)(notes, *more, **NEEDED.get(name, {}))
    return list(answer) if isinstance(answer, analysis.Repaired) else [answer]


def assert_same(ours, theirs):
    for one, other in zip(ours, theirs, strict=True):
        assert_frame_equal(one, other, check_exact=True)


def in_one_order(name, *answers):
    """Sort the rows of notes tables, whose tasks keep the order in which they came."""
    if name not in GIVE_NOTES:
        return answers
    return [[f.with_columns(pl.col("task").cast(pl.String)).sort(pl.all()) for f in frames] for frames in answers]


def assert_same_apart(name, notes, pooled):
    apart = [ask(name, part) for part in notes.partition_by("task", maintain_order=True)]
    assert_same([pl.concat(frames) for frames in zip(*apart, strict=True)], pooled)


def assert_right_or_refused(name, notes):
    try:
        found = ask(name, notes)
    except NotesOrderError:
        with pytest.raises(
            pl.exceptions.InvalidOperationError,
            match=r"task .: notes are not in canonical order; call sort_notes\(notes\)",
        ):
            [frame.collect(engine="streaming") for frame in ask(name, notes.lazy())]
    else:
        assert_same(*in_one_order(name, found, ask(name, sort_notes(notes))))


@pytest.fixture(scope="module")
def pieces(golden, table):
    """The golden fixture as two tasks, the second transposed and later, and a task of one drum."""
    one = golden.with_columns(pl.lit("b", pl.Categorical()).alias("task"))
    later = one.with_columns(
        pl.lit("a", pl.Categorical()).alias("task"), pl.col("pitch") + 1, pl.col("start", "end") + 3.7
    )
    return pl.concat([later, one, table([("c", "Drums", 36, 0.0, 1.0, 0.5, 0)])])


@pytest.fixture(scope="module")
def right(pieces):
    """Give what a function says of the pieces, asked once."""
    return cache(lambda name: ask(name, pieces))


@pytest.mark.parametrize("name", NAMES)
def test_no_notes_give_no_rows_of_the_same_schema(name, pieces, right):
    for none, some in zip(ask(name, pieces.head(0)), right(name), strict=True):
        assert none.height == 0
        assert none.schema == some.schema


@pytest.mark.parametrize("name", NAMES)
def test_a_lazyframe_gives_the_same_by_either_engine(name, pieces, right):
    lazy, eager = ask(name, pieces.lazy()), right(name)
    assert all(isinstance(frame, pl.LazyFrame) for frame in lazy)
    assert [frame.collect_schema() for frame in lazy] == [frame.schema for frame in eager]
    assert_same([frame.collect(engine="streaming") for frame in lazy], eager)
    assert_same([frame.collect(engine="in-memory") for frame in lazy], eager)


@pytest.mark.parametrize("name", NAMES)
def test_nothing_is_evaluated_before_it_is_collected(name, pieces):
    def refuse(notes):
        raise AssertionError("evaluated")

    unread = pieces.lazy().map_batches(refuse, schema=pieces.schema)
    for frame in ask(name, unread):
        assert frame.collect_schema().names()
        with pytest.raises((AssertionError, pl.exceptions.ComputeError), match="evaluated"):
            frame.collect()


@pytest.mark.parametrize("name", [name for name in NAMES if name not in ACROSS_TASKS])
@few
@given(data=st.data())
def test_tasks_worked_on_apart_and_put_together_are_the_same_to_the_last_bit(name, note_tables, data):
    notes = data.draw(note_tables(min_size=1))
    assert_same_apart(name, notes, ask(name, notes))


@pytest.mark.parametrize("name", [name for name in NAMES if name not in ACROSS_TASKS])
def test_longer_tasks_worked_on_apart_are_the_same_to_the_last_bit_as_well(name, pieces, right):
    assert_same_apart(name, pieces, right(name))


@pytest.mark.parametrize("name", [name for name in NAMES if name not in ABOUT_ROW_ORDER])
@few
@given(data=st.data(), seed=st.integers(0, 99))
def test_shuffled_rows_give_the_right_answer_or_the_order_error(name, note_tables, data, seed):
    assert_right_or_refused(name, data.draw(note_tables(min_size=2)).sample(fraction=1, shuffle=True, seed=seed))


#: Notes that start together, as task and track, pitch, start and length in 192nds of a second, velocity in 127ths.
TOGETHER = (
    (
        "a0:59:2+48:3 a0:60:2+100:3 a0:72:2+1:63 a0:60:2+1:127 a0:48:2+1:3 a0:72:24+100:63 a2:59:48+100:127 "
        "a1:60:96+100:63 b0:59:2+48:63 b0:72:48+1:63"
    ),
    "a0:48:0+1:63 a0:60:2+100:63 a0:59:2+1:3 a1:60:2+1:3 b0:72:0+24:127 b0:72:2+24:63 b0:60:48+24:3",
    (
        "a0:48:2+48:3 a0:60:2+24:63 a0:60:2+1:63 a2:48:2+100:63 a0:60:2+1:3 a0:60:2+24:63 a0:59:24+1:127 "
        "b2:48:24+24:127 b1:59:24+24:127"
    ),
)


@pytest.mark.parametrize("name", [name for name in NAMES if name not in ABOUT_ROW_ORDER])
def test_notes_that_start_together_may_stand_in_any_order(name, table):
    for notes in TOGETHER:
        rows = []
        for note in notes.split():
            (task, track), (pitch, start, length, velocity) = note[:2], map(int, re.split("[:+]", note[3:]))
            names = task, ("Flute", "Drums", "Flute")[int(track)]
            rows.append((*names, pitch, start / 192, (start + length) / 192, velocity / 127, int(track)))
        assert_right_or_refused(name, table(rows))


@pytest.mark.parametrize("name", NAMES)
def test_a_task_in_two_stretches_gives_the_right_answer_or_the_order_error(name, pieces):
    assert_right_or_refused(name, pl.concat([pieces, pieces.filter(pl.col("task") == "a")]))


@pytest.mark.parametrize("name", NAMES)
def test_tasks_in_another_order_give_the_same(name, pieces, right):
    other_way = pl.concat(reversed(pieces.partition_by("task", maintain_order=True)))
    assert_same(*in_one_order(name, ask(name, other_way), right(name)))


@pytest.mark.parametrize("name", NAMES)
def test_names_are_text_in_results(name, right):
    for frame in right(name)[name in GIVE_NOTES :]:
        assert {frame.schema.get(column, pl.String()) for column in ("task", "instrument")} == {pl.String()}


@pytest.mark.parametrize("name", NAMES)
def test_names_as_text_and_other_columns_and_another_order_of_columns_change_nothing(name, pieces, right):
    own = pieces.select(
        *(
            pl.lit(7).alias(column)
            for column in ("mine", "notes", "score", "key", "time", "count", "share", "interval")
        ),
        *(pl.col(column) for column in reversed(pieces.columns)),
    ).cast({pl.Categorical(): pl.String()})
    found = [frame.select(one.columns) for frame, one in zip(ask(name, own), right(name), strict=True)]
    assert_same(found, right(name))


@pytest.mark.parametrize("name", [name for name in NAMES if name not in OF_ANY_TABLE])
def test_what_is_no_notes_table_is_refused(name, pieces):
    with pytest.raises(NotesSchemaError, match="not a notes table: missing column 'pitch'"):
        ask(name, pieces.drop("pitch"))


#: Asks every function about the notes of a file, in a process of its own.
ANEW = """
import json, sys, polars as pl
sys.path.insert(0, sys.argv[1])
from test_laws import NAMES, rows_of
print(json.dumps({name: rows_of(name, pl.read_parquet(sys.argv[2])) for name in NAMES}))
"""


def rows_of(name, notes):
    return [repr(frame.rows()) for frame in ask(name, notes)]


def test_neither_time_nor_the_number_of_threads_makes_a_difference(pieces, right, tmp_path):
    pieces.write_parquet(tmp_path / "notes.parquet")
    answers = []
    for threads in ("1", "3"):
        command = [sys.executable, "-c", ANEW, str(Path(__file__).parent), str(tmp_path / "notes.parquet")]
        environment = {**os.environ, "POLARS_MAX_THREADS": threads}
        said = subprocess.run(command, capture_output=True, text=True, check=True, env=environment, cwd=ROOT).stdout
        answers.append(json.loads(said))
    assert answers == [{name: [repr(frame.rows()) for frame in right(name)] for name in NAMES}] * 2
