"""The benchmarks measure what they say: the corpora are the same every time, and peers answer the same question."""

import math
import signal
import subprocess
import sys

import numpy as np
import polars as pl
import pytest

import kie_notes as kn
from tests.benchmarks.__main__ import main
from tests.benchmarks.analysis import QUESTIONS
from tests.benchmarks.corpus import KINDS
from tests.benchmarks.loops import LOOPS
from tests.benchmarks.measure import Cost, GivenUpError, Worker
from tests.benchmarks.measurements import choose
from tests.benchmarks.memory import Cap
from tests.benchmarks.midi import mido_reads, mido_writes, pretty_midi_reads, pretty_midi_writes
from tests.benchmarks.objects import OBJECTS
from tests.benchmarks.queries import PANDAS, SQL, sql
from tests.benchmarks.table import HEADS, as_markdown, row

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


def test_pretty_midi_gives_the_pitch_classes_that_the_helper_gives(corpus):
    act, notes = OBJECTS["pitch_classes_by_seconds"]["pretty_midi"](corpus)
    table = ours("pitch_classes_by_seconds", corpus)
    seconds = [np.bincount(one["pitch_class"], one["seconds"], 12) for one in table.partition_by("task")]
    assert notes == notes_of(corpus).height
    assert np.allclose(act(), [one / one.sum() for one in seconds])


def test_a_piano_roll_of_pretty_midi_shows_as_many_pitches_as_the_helper_counts(corpus):
    act, _ = OBJECTS["polyphony"]["pretty_midi, a piano roll"](corpus)
    # Its columns are 1/100 s and the times k/192 s: what meets within a column is one too many.
    assert ours("polyphony", corpus)["maximum_polyphony"].to_list() == pytest.approx(act(), abs=1)


@pytest.mark.parametrize("reads", [mido_reads, pretty_midi_reads])
def test_a_loop_reads_the_notes_of_a_midi_file_that_the_library_reads(reads, corpus):
    path = min((corpus / "midi").iterdir())
    notes = kn.read_midi(path).notes
    theirs = sorted(
        (pitch, round(start, 4), round(end, 4), velocity) for _, _, pitch, start, end, velocity, _ in reads(path)
    )
    columns = notes.select("pitch", pl.col("start", "end").round(4), (pl.col("velocity") * 127).round().cast(pl.Int64))
    assert theirs == sorted(columns.rows())


@pytest.mark.parametrize("writes", [mido_writes, pretty_midi_writes])
def test_a_loop_writes_the_notes_that_it_is_given(writes, tmp_path):
    scale = [("a", "Flute", 60 + k, k / 4, k / 4 + 0.25, 64 / 127, 0) for k in range(8)]
    beats = [("a", "Drums", 36, k / 2, k / 2 + 0.125, 1.0, 1) for k in range(4)]
    notes = kn.sort_notes(pl.DataFrame(scale + beats, schema=kn.NOTES_SCHEMA, orient="row"))
    (tmp_path / "a.mid").write_bytes(writes(notes))
    again = kn.read_midi(tmp_path / "a.mid").notes
    assert np.allclose(
        again.select("pitch", "start", "end", "velocity", "track").to_numpy(),
        notes.select("pitch", "start", "end", "velocity", "track").to_numpy(),
        atol=1e-3,
    )


# The table.


def spent(*nanoseconds):
    """Rounds that took so many nanoseconds a note, of a thousand notes, and twice that on the clock."""
    return [Cost(cpu * 1e-6, cpu * 2e-6, 100 + cpu, 1_000, 0) for cpu in nanoseconds]


def test_a_row_names_the_best_peer_and_its_ratio_round_by_round():
    # Ours has two slow rounds, as has the peer: of 200/100, 900/300 and 660/300 the middle one is 2.2.
    peers = {"slow": spent(500, 500, 900), "good": spent(200, 900, 660), "gone": "gone is not installed"}
    found = dict(zip(HEADS, row("a", "ns", [spent(100, 300, 300)], peers, spent(50, 100, 100)).cells, strict=True))
    assert (found["best peer"], found["peer / ours"], found["CPU"], found["MB"]) == ("good", "2.2", "300", "400")
    assert found["ours / limit"] == "3"
    assert found["other peers / ours"] == "slow 3; gone: gone is not installed"


def test_growth_is_that_of_a_note_from_each_size_to_the_next():
    sizes = [spent(100, 100, 100), spent(110, 120, 130), spent(240, 240, 260)]
    assert row("a", "ns", sizes, {}, None).cells[HEADS.index("growth")] == "1.2, 2"


def test_bytes_and_milliseconds_are_told_as_such():
    sizes = [Cost(0.25, 0.5, 100, 1_000, 6_000)]
    assert row("a", "B", [sizes], {}, None).cells[2:4] == ("6 B", "")
    assert row("a", "ms", [sizes], {}, None).cells[1:4] == ("", "250 ms", "500 ms")


def test_markdown_has_a_cell_for_every_head():
    lines = as_markdown([row("a", "ns", [spent(1)], {}, None)]).splitlines()
    assert {line.count("|") for line in lines} == {len(HEADS) + 1}


def test_patterns_choose_rows_and_none_chooses_those_of_the_table():
    assert choose(["polyph*", "midi READ"]) == ["polyphony", "polyphony_curve", "polyphony_rate", "MIDI read"]
    assert {*QUESTIONS, "all sixteen, in chunks", "JSON to Parquet"} <= {*choose([])}
    assert "chords" not in choose([])
    assert "chords" in choose(["*"])


# The processes.


def test_a_worker_tells_what_kept_it_from_acting(corpus):
    with Worker() as worker, pytest.raises(GivenUpError, match="KeyError: 'nothing'"):
        worker.ask("nothing", "kie_notes", corpus, corpus)


def test_a_worker_tells_what_an_act_cost(corpus):
    with Worker() as worker:
        cost = worker.ask("pitch_range", "kie_notes", corpus, corpus)
    assert cost.notes == notes_of(corpus).height
    assert cost.cpu > 0
    assert cost.megabytes > 10


def test_what_takes_more_memory_than_its_cap_is_killed():
    try:
        cap = Cap(64 * 2**20)
    except OSError as fault:
        pytest.skip(f"no control group can be made: {fault}")
    code = "import pathlib, sys; pathlib.Path(sys.argv[1], 'cgroup.procs').write_text('0'); b'1' * 2**28"
    done = subprocess.run([sys.executable, "-c", code, cap.folder], check=False)
    peak = cap.peak()
    cap.close()
    assert done.returncode == -signal.SIGKILL
    assert peak <= 64 * 2**20 / 1e6
    assert not cap.folder.exists()


def test_the_command_prints_a_table_of_a_row_a_measurement(capsys, monkeypatch):
    options = ["--notes", "1000", "2000", "--per-task", "500", "--rounds", "1", "--only", "pitch_range", "--markdown"]
    monkeypatch.setattr(sys, "argv", ["benchmarks", *options])
    assert main() == 0
    table = [line.split("|") for line in capsys.readouterr().out.splitlines() if line.startswith("| ")]
    assert [cell.strip() for cell in table[0][1:-1]] == list(HEADS)
    assert [line[1:3] for line in table[2:]] == [[" pitch_range ", " 2,000 "]]
