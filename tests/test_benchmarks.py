"""The benchmarks measure what they say: the corpora are the same every time, and peers answer the same question."""

import math

import numpy as np
import polars as pl
import pytest

import kie_notes as kn
from tests.benchmarks.analysis import QUESTIONS
from tests.benchmarks.corpus import KINDS
from tests.benchmarks.loops import LOOPS
from tests.benchmarks.queries import PANDAS, SQL, sql

#: Times are on a grid of 1/192 s; sums and means of floats differ by their rounding alone.
NEAR = {"rel_tol": 1e-6, "abs_tol": 1e-9}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """Four tasks of 600 notes in all the forms that a corpus may have."""
    folder = tmp_path_factory.mktemp("corpus")
    for kind, write in KINDS.items():
        (folder / kind).mkdir()
        write(folder / kind, 2_400, per_task=600)
    return folder


def notes_of(corpus):
    return pl.read_parquet(corpus / "parts/*.parquet")


def rows(table):
    """The rows of a table in one order, numbers as floats."""
    names = [name for name, kind in table.schema.items() if kind.is_numeric()]
    return table.with_columns(pl.col(names).cast(pl.Float64), pl.col("task").cast(pl.String)).sort(pl.all()).rows()


def same(one, other):
    """Whether two tables hold the same, but for rounding."""
    near = [
        len(mine) == len(theirs)
        and all(
            math.isclose(a, b, **NEAR) if isinstance(a, float) and isinstance(b, float) else a == b
            for a, b in zip(mine, theirs, strict=True)
        )
        for mine, theirs in zip(rows(one), rows(other), strict=True)
    ]
    return bool(near) and all(near)


def ours(question, corpus):
    helper, _, answer = QUESTIONS[question]
    return helper(notes_of(corpus)).select("task", *answer)


def test_a_seed_makes_the_same_corpus_twice(corpus, tmp_path):
    for kind, write in KINDS.items():
        (tmp_path / kind).mkdir()
        again = write(tmp_path / kind, 2_400, per_task=600)
        first = sorted((corpus / kind).iterdir())
        assert [path.read_bytes() for path in again] == [path.read_bytes() for path in first]


def test_a_small_corpus_is_the_beginning_of_a_larger_one(corpus, tmp_path):
    (small,) = KINDS["parts"](tmp_path, 1_200, per_task=600)
    assert pl.read_parquet(small).equals(notes_of(corpus).head(pl.read_parquet(small).height))


def test_a_corpus_of_several_pieces_holds_each_task_once(tmp_path):
    paths = KINDS["parts"](tmp_path, 2_000_000, per_task=900_000)
    tasks = [pl.scan_parquet(path).select(pl.col("task").cast(pl.String).unique()).collect()["task"] for path in paths]
    assert [list(some) for some in tasks] == [[f"{0:032x}"], [f"{1:032x}"]]


def test_the_records_of_a_corpus_hold_its_notes(corpus):
    flattened = kn.flatten(kn.read_records(sorted((corpus / "json").iterdir())))
    assert flattened.rejects.height == 0
    assert flattened.notes.equals(notes_of(corpus))


def test_another_seed_makes_another_corpus(corpus, tmp_path):
    (part,) = KINDS["parts"](tmp_path, 2_400, per_task=600, seed=2)
    assert not pl.read_parquet(part).equals(notes_of(corpus))


@pytest.mark.parametrize("question", SQL)
def test_sql_gives_the_answer_that_the_helper_gives(question, corpus):
    pytest.importorskip("duckdb")
    act, notes = sql(SQL[question])(corpus)
    assert notes == notes_of(corpus).height
    assert same(pl.DataFrame(act()), ours(question, corpus))


@pytest.mark.parametrize("question", LOOPS)
def test_a_loop_in_numpy_gives_the_answer_that_the_helper_gives(question, corpus):
    act, _ = LOOPS[question](corpus)
    tasks = notes_of(corpus)["task"].cast(pl.String).unique(maintain_order=True)
    answer = QUESTIONS[question].answer
    tables = [
        pl.DataFrame({name: np.atleast_1d(column) for name, column in zip(answer, columns, strict=True)}).select(
            pl.lit(task).alias("task"), *answer
        )
        for task, columns in zip(tasks, act(), strict=True)
    ]
    assert same(pl.concat(tables), ours(question, corpus))


@pytest.mark.parametrize("question", PANDAS)
def test_pandas_gives_the_answer_that_the_helper_gives(question, corpus):
    pytest.importorskip("pandas")
    act, _ = PANDAS[question](corpus)
    assert same(pl.DataFrame(act().to_dict("list")).select("task", *QUESTIONS[question].answer), ours(question, corpus))
