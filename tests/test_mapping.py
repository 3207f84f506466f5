"""Helpers over parts: here, in processes, on a cluster, from an object store; what breaks, and what then remains."""

import json
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from urllib.request import Request, urlopen

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

import kie_notes as kn
from kie_notes.errors import MissingExtraError, NotesOrderError, NotesSchemaError, StoreError
from kie_notes.mapping import PartError, chunks, map_parts, sink_parts
from kie_notes.notes import NOTES_SCHEMA

ROOT = Path(__file__).parents[1]
RECORDS = ROOT / "data" / "samples" / "records"
ALL = {"pitches": kn.pitch_histogram, "voices": kn.polyphony, "windows": partial(kn.onset_density, window=2.0)}


def flutes(*tasks, notes=1):
    rows = [(task, "Flute", 60, float(k), k + 1.0, 0.5, 0) for task in tasks for k in range(notes)]
    return pl.DataFrame(rows, schema=NOTES_SCHEMA, orient="row")


def tasks_of(notes):
    """A helper of one's own: which tasks there are, and how many notes each has."""
    return notes.group_by(pl.col("task").cast(pl.String)).agg(pl.len()).sort("task")


def marked(notes, *, folder):
    """Another: as above, and leaves a file for each piece that was worked on."""
    Path(folder, f"{os.getpid()}-{time.monotonic_ns()}").touch()
    return tasks_of(notes)


def deadly(notes, *, flag, task):
    """Another: kills the process that works on a task, once if ``flag`` is a file that it can make, else each time."""
    if task in notes.select(pl.col("task").cast(pl.String).unique()).collect()["task"]:
        try:
            if flag is not None:
                Path(flag).touch(exist_ok=False)
        except FileExistsError:
            return tasks_of(notes)
        os.kill(os.getpid(), signal.SIGKILL)
    return tasks_of(notes)


@pytest.fixture(scope="module")
def notes():
    return kn.flatten(kn.read_records(RECORDS)).notes


@pytest.fixture(scope="module")
def folder(notes, tmp_path_factory):
    """The samples as four parts."""
    made = tmp_path_factory.mktemp("parts")
    for at, some in enumerate(chunks(notes, notes=notes.height // 3)):
        some.write_parquet(made / f"part-{at}.parquet", row_group_size=500)
    assert len(list(made.iterdir())) == 4
    return made


def whole(notes, helper):
    return helper(notes.lazy()).collect()


# One process


@pytest.mark.parametrize("chunk_notes", [1, 1_000, 10**9])
@pytest.mark.parametrize("helper", ALL.values(), ids=ALL)
def test_answers_of_pieces_are_those_of_one_go(notes, folder, helper, chunk_notes):
    answers = map_parts(folder, helper, chunk_notes=chunk_notes)
    assert_frame_equal(answers.sort("task", maintain_order=True), whole(notes, helper))


def test_several_helpers_give_what_each_gives_alone(folder):
    together = map_parts(folder, ALL)
    assert list(together) == list(ALL)
    for name, helper in ALL.items():
        assert_frame_equal(together[name], map_parts(folder, helper))


@settings(max_examples=25, deadline=None)
@given(sizes=st.lists(st.integers(1, 9), max_size=12), chunk_notes=st.integers(1, 30))
def test_whatever_the_sizes_each_note_is_in_one_piece_with_its_task(tmp_path_factory, sizes, chunk_notes):
    file = tmp_path_factory.mktemp("sizes") / "notes.parquet"
    parts = [flutes(f"t{at:02}", notes=size) for at, size in enumerate(sizes)]
    pl.concat([flutes(), *parts]).write_parquet(file, row_group_size=7)
    expected = [(f"t{at:02}", size) for at, size in enumerate(sizes)]
    assert map_parts(file, tasks_of, chunk_notes=chunk_notes).rows() == expected


def test_a_part_is_cut_where_tasks_end_into_pieces_of_equal_notes(tmp_path):
    sizes = {"a": 10, "b": 1, "c": 2, "d": 3, "e": 4}
    pl.concat([flutes(task, notes=size) for task, size in sizes.items()]).write_parquet(tmp_path / "notes.parquet")
    files = sink_parts(tmp_path / "notes.parquet", tasks_of, tmp_path / "out", chunk_notes=10)
    assert files.select("first_row", "notes").rows() == [(0, 10), (10, 10)]


def test_a_task_of_more_notes_than_a_piece_stays_whole(tmp_path):
    pl.concat([flutes("a"), flutes("b", notes=40), flutes("c")]).write_parquet(tmp_path / "notes.parquet")
    assert map_parts(tmp_path, tasks_of, chunk_notes=5).rows() == [("a", 1), ("b", 40), ("c", 1)]


def test_pieces_come_in_the_order_of_parts_and_rows(tmp_path):
    flutes("z", "a").write_parquet(tmp_path / "1.parquet")
    flutes("m").write_parquet(tmp_path / "2.parquet")
    assert map_parts(tmp_path, tasks_of, chunk_notes=1)["task"].to_list() == ["z", "a", "m"]


def test_no_notes_give_the_answer_to_an_empty_table(tmp_path):
    flutes().write_parquet(tmp_path / "none.parquet")
    assert_frame_equal(map_parts(tmp_path, kn.polyphony), kn.polyphony(flutes()))


def test_notes_without_a_task_are_a_task_of_their_own(tmp_path):
    flutes("a", None, "b").write_parquet(tmp_path / "1.parquet")
    assert map_parts(tmp_path, tasks_of, chunk_notes=1).rows() == [("a", 1), (None, 1), ("b", 1)]
    assert [some["task"].to_list() for some in chunks(tmp_path, notes=1)] == [["a"], [None], ["b"]]


def test_columns_of_ones_own_reach_the_helper(tmp_path):
    flutes("a").with_columns(genre=pl.lit("waltz")).write_parquet(tmp_path / "own.parquet")
    assert map_parts(tmp_path, lambda notes: notes.select("task", "genre"))["genre"].to_list() == ["waltz"]


def test_shards_together_are_the_whole(folder):
    every = [map_parts(folder, kn.pitch_histogram, shard=(at, 4)) for at in range(4)]
    assert all(one.height for one in every)
    assert_frame_equal(pl.concat(every), map_parts(folder, kn.pitch_histogram))


def test_a_shard_beyond_the_parts_is_empty(folder):
    assert map_parts(folder, kn.pitch_histogram, shard=(4, 5)).height == 0


@pytest.mark.parametrize("shard", [(4, 4), (-1, 4), (0, 0)])
def test_a_shard_must_be_one_of_those_that_there_are(folder, shard):
    with pytest.raises(ValueError, match=r"shard: expected \(i, n\) with 0 <= i < n, got .* from 0"):
        map_parts(folder, tasks_of, shard=shard)


def test_histograms_of_tasks_add_up_to_the_pooled_one(notes, folder):
    added = map_parts(folder, kn.pitch_histogram).group_by("pitch").agg(pl.col("count").sum()).sort("pitch")
    assert_frame_equal(added, kn.pitch_histogram(notes, by=()))


# Stores


def test_of_a_store_each_task_counts_once_also_what_is_outdated_or_waits(tmp_path):
    def result(*pitches):
        notes = [{"pitch": pitch, "start": 0, "end": 1, "velocity": 1} for pitch in pitches]
        return {"state": "complete", "instruments": [{"name": "Flute", "notes": notes}]}

    with kn.Store(tmp_path / "store") as store:
        store.receive([("hint", json.dumps({"data": {"taskId": "hint"} | result(60)}).encode())])
        store.put(result(60, 61), task="a")
        store.seal()
        store.put(result(70, 71, 72), task="hint")
        store.put(result(1), task="waiting")
        expected = tasks_of(store.scan_notes()).collect()
        assert expected["task"].to_list() == ["a", "hint", "waiting"]
        assert_frame_equal(map_parts(store, tasks_of).sort("task"), expected)
        assert pl.concat(chunks(store)).height == expected["len"].sum()


def test_a_stores_folder_is_told_from_a_folder_of_parts(tmp_path):
    kn.Store(tmp_path / "store").close()
    with pytest.raises(ValueError, match=r"is a store: pass Store\('.*store'\), or .*/notes"):
        map_parts(tmp_path / "store", tasks_of)


# What is wrong with parts and helpers


def test_a_task_in_two_parts_is_an_error_that_names_all_three(tmp_path):
    flutes("a", "b").write_parquet(tmp_path / "one.parquet")
    flutes("b", "c").write_parquet(tmp_path / "two.parquet")
    with pytest.raises(NotesOrderError, match=r"task 'b' is in two parts, .*one.parquet and .*two.parquet"):
        map_parts(tmp_path, tasks_of)


def test_a_task_twice_in_one_part_is_an_error_that_names_both(tmp_path):
    flutes("a", "b", "a").write_parquet(tmp_path / "one.parquet")
    with pytest.raises(NotesOrderError, match=r"one.parquet: task 'a' stands in two places; sort_notes"):
        map_parts(tmp_path, tasks_of, chunk_notes=1)


def test_bad_parts_are_named_and_the_others_answers_are_kept(tmp_path):
    flutes("a").write_parquet(tmp_path / "1.parquet")
    (tmp_path / "2.parquet").write_bytes(b"PAR1 no more")
    flutes("c").drop("velocity").write_parquet(tmp_path / "3.parquet")
    flutes("d").write_parquet(tmp_path / "4.parquet")
    with pytest.raises(
        PartError, match=r"pieces that failed: 2; .*\n.*2.parquet: .*\n.*3.parquet: .*missing column 'veloc"
    ) as told:
        map_parts(tmp_path, tasks_of)
    assert told.value.answers["task"].to_list() == ["a", "d"]
    assert told.value.faults.select("first_row").rows() == [(None,), (None,)]
    assert isinstance(told.value.__cause__, pl.exceptions.PolarsError | OSError)


def test_a_fault_of_a_piece_names_part_row_and_task(tmp_path):
    pl.concat([flutes("a"), flutes("b", notes=2).reverse()]).write_parquet(tmp_path / "1.parquet")
    with pytest.raises(PartError, match=r"1.parquet: .*task b: notes are not in canonical order") as told:
        map_parts(tmp_path, kn.polyphony, chunk_notes=1)
    assert told.value.faults["first_row"].to_list() == [1]
    assert told.value.answers["task"].to_list() == ["a"]


@pytest.mark.parametrize(
    ("helper", "message"),
    [
        (partial(kn.pitch_histogram, by=()), "expected a column 'task', got pitch, count: ask it of each task"),
        (kn.near_duplicates, "near_duplicates compares all tasks with each other"),
        (partial(kn.near_duplicates, threshold=0.5), "near_duplicates compares all tasks with each other"),
        (partial(kn.onset_density, window=0), "window: expected"),
    ],
)
def test_what_can_never_be_right_is_refused_before_any_work(folder, helper, message):
    with pytest.raises(ValueError, match=message):
        map_parts(folder, helper)


def test_what_gives_no_lazyframe_is_refused(folder):
    with pytest.raises(TypeError, match="expected one that gives a LazyFrame, got Repaired"):
        map_parts(folder, kn.drop_short)


def test_no_such_file_is_told(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no\*: no Parquet file is there, and no file matches it"):
        map_parts(tmp_path / "no*", tasks_of)


def test_a_gpu_that_cannot_be_used_is_told(folder):
    with pytest.raises(MissingExtraError, match="'gpu' needs cudf-polars, which is not installed"):
        map_parts(folder, tasks_of, engine="gpu")


# Other processes


@pytest.fixture(scope="module")
def pool():
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as workers:
        yield workers


def test_a_spawned_pool_gives_the_same_rows_in_the_same_order(folder, pool):
    assert_frame_equal(map_parts(folder, kn.polyphony, executor=pool, chunk_notes=1), map_parts(folder, kn.polyphony))


def test_threads_give_the_same_rows_in_the_same_order(folder):
    with ThreadPoolExecutor(2) as threads:
        assert_frame_equal(map_parts(folder, kn.polyphony, executor=threads), map_parts(folder, kn.polyphony))


def test_what_cannot_be_sent_to_a_process_is_told_at_once(folder):
    with pytest.raises(ValueError, match=r"helper: cannot be sent to another process .*a lambda cannot"):
        map_parts(folder, lambda notes: notes, executor=2)


def test_a_worker_that_is_killed_in_the_middle_changes_nothing(tmp_path, notes, folder):
    task = notes["task"].cast(pl.String)[-1]
    helper = partial(deadly, flag=tmp_path / "killed", task=task)
    answers = map_parts(folder, helper, executor=2, chunk_notes=1_000)
    assert (tmp_path / "killed").exists()
    assert_frame_equal(answers, map_parts(folder, tasks_of))


def test_a_piece_that_kills_every_worker_is_named_and_the_others_are_done(tmp_path):
    flutes(*"abcd").write_parquet(tmp_path / "1.parquet")
    with pytest.raises(
        PartError, match=r"pieces that failed: 1; .*\n.*1.parquet: .*the process that worked on it died"
    ) as told:
        map_parts(tmp_path, partial(deadly, flag=None, task="c"), executor=2, chunk_notes=1)
    assert told.value.faults["first_row"].to_list() == [2]
    assert told.value.answers["task"].to_list() == ["a", "b", "d"]


# Files


def test_answers_in_a_folder_are_those_in_memory(tmp_path, folder):
    files = sink_parts(folder, ALL, tmp_path, chunk_notes=1_000)
    for name, answers in map_parts(folder, ALL).items():
        assert_frame_equal(pl.read_parquet(files.filter(helper=name)["file"].to_list()), answers)
        assert_frame_equal(pl.read_parquet(tmp_path / name / "*.parquet"), answers)


def test_only_what_is_not_there_is_made(tmp_path, folder):
    helper = partial(marked, folder=tmp_path / "seen")
    (tmp_path / "seen").mkdir()
    first = sink_parts(folder, helper, tmp_path / "out")
    Path(first["file"][0]).unlink()
    Path(first["file"][1]).write_bytes(b"PAR1 cut")
    before = len(list((tmp_path / "seen").iterdir()))
    assert sink_parts(folder, helper, tmp_path / "out")["made"].to_list() == [True, True, False, False]
    assert len(list((tmp_path / "seen").iterdir())) - before == 3  # two, and the look at an empty table before


def test_shards_share_a_folder_and_new_parts_are_added(tmp_path, folder, notes):
    for at in range(4):
        assert sink_parts(folder, tasks_of, tmp_path, shard=(at, 4))["made"].all()
    flutes("new").write_parquet(tmp_path / "new.parquet.waits")
    files = sink_parts([folder, tmp_path / "new.parquet.waits"], tasks_of, tmp_path)
    assert files["made"].to_list() == [False, False, False, False, True]
    assert pl.read_parquet(tmp_path / "*.parquet")["len"].sum() == notes.height + 1


def test_after_a_fault_the_rest_is_in_the_folder_and_the_same_call_goes_on(tmp_path):
    (tmp_path / "in").mkdir()
    flutes("a").write_parquet(tmp_path / "in/1.parquet")
    (tmp_path / "in/2.parquet").write_bytes(b"cut")
    with pytest.raises(PartError, match=r"2.parquet") as told:
        sink_parts(tmp_path / "in", tasks_of, tmp_path / "out")
    assert told.value.answers["made"].to_list() == [True]
    flutes("b").write_parquet(tmp_path / "in/2.parquet")
    assert sink_parts(tmp_path / "in", tasks_of, tmp_path / "out")["made"].to_list() == [False, True]


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (
            {"helper": partial(kn.onset_density, window=2.0)},
            "it holds another answer: its helper is kie_notes.*, not kie",
        ),
        ({"chunk_notes": 2_100}, "it holds another answer: its notes is 2548, not 2046"),
        ({"source": 1}, "expected answers about this source, cut like this"),
    ],
)
def test_a_folder_with_other_answers_is_refused(tmp_path, folder, other, message):
    asked = {"source": folder, "helper": kn.onset_density} | other
    if other.get("source"):
        asked["source"] = folder / "part-0.parquet"
    sink_parts(folder, kn.onset_density, tmp_path)
    with pytest.raises((StoreError, PartError), match=message):
        sink_parts(asked.pop("source"), asked.pop("helper"), tmp_path, **asked)


def test_a_killed_writer_leaves_no_file_that_is_not_whole(tmp_path, folder):
    code = (
        "import sys; from kie_notes.mapping import sink_parts; import kie_notes as kn\n"
        "while True: sink_parts(sys.argv[1], kn.onset_density, sys.argv[2], chunk_notes=1); print(1, flush=True)"
    )
    command = [sys.executable, "-c", code, str(folder), str(tmp_path)]
    worker = subprocess.Popen(command, cwd=ROOT)
    while not list(tmp_path.glob("*.parquet")):
        time.sleep(0.001)
    worker.kill()
    worker.wait()
    assert all(pl.read_parquet(file).height for file in tmp_path.glob("*.parquet"))
    files = sink_parts(folder, kn.onset_density, tmp_path, chunk_notes=1)
    assert_frame_equal(pl.read_parquet(files["file"].to_list()), map_parts(folder, kn.onset_density))


@pytest.mark.parametrize("name", ["../up", "a b", ""])
def test_names_that_become_folders_are_plain(tmp_path, folder, name):
    with pytest.raises(ValueError, match="expected names of letters, digits and '_', which become folders"):
        sink_parts(folder, {name: tasks_of}, tmp_path)


# Chunks


@pytest.mark.parametrize("most", [1, 700, 10**9])
def test_chunks_are_whole_tasks_and_all_notes(notes, folder, most):
    some = list(chunks(folder, notes=most))
    assert_frame_equal(pl.concat(some), notes)
    assert all(one.height <= most or one["task"].n_unique() == 1 for one in some)


def test_chunks_of_a_query_are_those_of_its_result(notes, folder):
    drums = pl.col("instrument").cast(pl.String) == "Drums"
    scan = pl.scan_parquet(folder / "*.parquet").filter(drums)
    assert_frame_equal(pl.concat(chunks(scan, notes=100)), notes.filter(drums))


def test_chunks_of_a_task_in_two_places_are_an_error():
    with pytest.raises(NotesOrderError, match="task 'a' stands in two places"):
        list(chunks(flutes("a", "b", "a"), notes=1))


def test_chunks_of_another_table_are_refused():
    with pytest.raises(NotesSchemaError, match="missing column"):
        next(chunks(pl.DataFrame({"task": ["a"]})))


# An object store


@pytest.fixture(scope="module")
def bucket(folder):
    from moto.server import ThreadedMotoServer  # not at the top: workers load this file

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    address = f"http://{host}:{port}"
    for path, body in [("", None), *((f"notes/{part.name}", part.read_bytes()) for part in folder.iterdir())]:
        plain = {"Content-Type": "application/octet-stream"}
        urlopen(Request(f"{address}/songs/{path}", body, plain, method="PUT"), timeout=20).close()  # noqa: S310 -- on loopback
    yield {
        "aws_endpoint_url": address,
        "aws_access_key_id": "any",
        "aws_secret_access_key": "any",
        "aws_region": "us-east-1",
        "aws_allow_http": "true",
    }
    server.stop()


@pytest.mark.parametrize(
    "source", ["s3://songs/notes/*.parquet", "s3://songs/notes/", "s3://songs/notes/part-0.parquet"]
)
def test_parts_lie_in_an_object_store(folder, bucket, source):
    there = map_parts(source, kn.polyphony, storage_options=bucket, chunk_notes=1_000)
    here = map_parts(folder / "part-0.parquet" if "0" in source else folder, kn.polyphony)
    assert_frame_equal(there, here)


def test_answers_lie_in_an_object_store_and_are_not_made_twice(folder, bucket):
    files = sink_parts("s3://songs/notes/", kn.polyphony, "s3://songs/answers", storage_options=bucket)
    assert files["made"].all()
    there = pl.read_parquet("s3://songs/answers/*.parquet", storage_options=bucket)
    assert_frame_equal(there, map_parts(folder, kn.polyphony))
    again = sink_parts("s3://songs/notes/", kn.polyphony, "s3://songs/answers", storage_options=bucket)
    assert not again["made"].any()


def test_a_process_pool_reads_an_object_store(folder, bucket, pool):
    there = map_parts("s3://songs/notes/*", kn.polyphony, storage_options=bucket, executor=pool)
    assert_frame_equal(there, map_parts(folder, kn.polyphony))


# A cluster


@pytest.fixture(scope="module")
def client():
    """Two workers of Dask, each a process."""
    distributed = pytest.importorskip("distributed")
    cluster = distributed.LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None)
    with cluster, distributed.Client(cluster) as client:
        yield client


@pytest.mark.parametrize("helper", [kn.polyphony, kn.tempo, kn.chords], ids=lambda helper: helper.__name__)
def test_a_dask_cluster_gives_the_same_rows_in_the_same_order_to_the_last_bit(folder, client, helper):
    executor = client.get_executor(pure=False)
    assert_frame_equal(map_parts(folder, helper, executor=executor), map_parts(folder, helper), check_exact=True)


def test_a_dask_worker_that_is_killed_in_the_middle_changes_nothing(tmp_path, notes, folder, client):
    helper = partial(deadly, flag=tmp_path / "killed", task=notes["task"].cast(pl.String)[-1])
    answers = map_parts(folder, helper, executor=client.get_executor(pure=False), chunk_notes=1_000)
    assert (tmp_path / "killed").exists()
    assert_frame_equal(answers, map_parts(folder, tasks_of))


def test_a_bad_part_is_named_on_a_dask_cluster_too(tmp_path, client):
    flutes("a").write_parquet(tmp_path / "1.parquet")
    flutes("b", notes=2).reverse().write_parquet(tmp_path / "2.parquet")
    with pytest.raises(PartError, match=r"2.parquet: .*task b: notes are not in canonical order") as told:
        map_parts(tmp_path, kn.polyphony, executor=client.get_executor(pure=False))
    assert told.value.answers["task"].to_list() == ["a"]


# The command line


def run(*arguments):
    command = [sys.executable, "-m", "kie_notes.cli", "apply", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)


def test_shards_on_the_command_line_fill_a_folder(tmp_path, folder):
    for at in range(2):
        done = run("polyphony,note_density", folder, "-o", tmp_path, "--shard", f"{at}/2", "--json")
        assert done.returncode == 0, done.stderr
        assert [json.loads(line)["made"] for line in done.stdout.splitlines()] == [True] * 4
    assert_frame_equal(pl.read_parquet(tmp_path / "polyphony/*.parquet"), map_parts(folder, kn.polyphony))


def test_options_of_a_helper_are_given_on_the_command_line(folder):
    done = run("onset_density", folder, "-p", "window=1000", "-p", "drums=only", "--json")
    assert done.returncode == 0, done.stderr
    expected = map_parts(folder, partial(kn.onset_density, window=1000, drums="only"))
    assert [json.loads(line)["task"] for line in done.stdout.splitlines()] == expected["task"].to_list()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["dance"], "'dance' is no function of notes"),
        (["polyphony", "-p", "colour=1"], "polyphony has no option 'colour'; it has"),
        (["polyphony,key"], "expected --out and no --parameter with several functions"),
        (["polyphony", "--shard", "4/4"], "expected I/N, I from 0 and below N, got '4/4'"),
    ],
)
def test_wrong_usage_ends_with_2_and_says_what_was_expected(arguments, message):
    done = run(*arguments)
    assert done.returncode == 2
    assert message in " ".join(done.stderr.replace("│", " ").split())
