"""JSON on disk into a store: as with one process with several, whatever dies, and whoever else writes there."""

import json
import multiprocessing
import os
import random
import shutil
import signal
import subprocess
import sys
import textwrap
import threading
import time
from contextlib import suppress
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from kie_notes.api.files import Body, read_bodies
from kie_notes.collect import ingest
from kie_notes.errors import RecordError, StoreError, WorkerError
from kie_notes.store import Store, drafts
from kie_notes.store.check import check
from kie_notes.store.ledger import Ledger
from kie_notes.store.reading import read
from kie_notes.store.repair import repair

SAMPLES = Path(__file__).parents[1] / "data" / "samples" / "records"
ROOT = Path(__file__).parents[1]

#: The part without rows that every store has.
EMPTY = "part-000000.parquet"

#: Files of a share, each of which is worked on as a whole.
SHARE = 1_000


def said(*pitches, **more):
    """A result of one flute, which names no task."""
    notes = [{"pitch": pitch, "start": 0, "end": 1, "velocity": 1} for pitch in pitches]
    return {"state": "complete", "instruments": [{"name": "Flute", "notes": notes}]} | more


def put(path, document):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document))


def files(folder, count, first=0):
    """Results of a note each, in files that are named by numbers."""
    for at in range(first, first + count):
        put(folder / f"{at:05}.json", said(at % 128))


def body(task, document):
    return Body(f"{task}.json", task, json.dumps(document).encode())


def content(store):
    """All that a store holds, without the moments at which it came and the numbers of answers."""
    texts = pl.col("task", "instrument").cast(pl.String)
    raw = pl.read_parquet(store.folder / "raw").drop("received_at", "seq").sort("task", "sha256")
    tasks = store.scan_tasks().drop("fetched_at").collect()
    notes = store.scan_notes().with_columns(texts).collect().sort("task", maintain_order=True)
    return {"notes": notes, "tasks": tasks, "rejects": store.scan_rejects().collect().sort(pl.all()), "raw": raw}


def ids(store):
    return store.scan_tasks().collect()["task"].to_list()


@pytest.fixture
def store(tmp_path):
    with Store(tmp_path / "store") as one:
        yield one


def until(condition):
    for _ in range(600):
        if condition():
            return
        time.sleep(0.05)
    pytest.fail("it never came to that")


# Several processes.


@pytest.fixture(scope="module")
def mixed(tmp_path_factory):
    """Good and bad, known and twice, over several shares; the last file has the name of another's task."""
    given = tmp_path_factory.mktemp("mixed") / "json"
    files(given, 2 * SHARE + 100)
    put(given / "00007.json", {"code": 500, "msg": "MIDI generation failed", "data": {"taskId": "failed"}})
    put(given / "00008.json", said(60, 300, 61))
    put(given / "00009.json", said(60, taskId="again"))
    put(given / "00010.json", said(61, taskId="again"))
    put(given / "00011.json", {"code": 200, "data": {"taskId": "late", "successFlag": 0}})
    put(given / f"{SHARE + 10:05}.json", said(62, taskId="again"))
    put(given / f"{SHARE + 11:05}.json", said(63, taskId="late"))
    put(given / f"{SHARE + 12:05}.json", said(64, taskId="failed"))
    (given / f"{SHARE + 13:05}.json").write_text("{")
    (given / "more.jsonl").write_text("".join(f"{json.dumps(said(at % 128))}\n" for at in range(1_500)))
    put(given / "x" / "more-7.json", said(1))
    shutil.copytree(SAMPLES, given / "samples")
    return [given, given / "x" / "more-7.json"]


@pytest.fixture(scope="module")
def by_one(mixed, tmp_path_factory):
    """What one process makes of it, and what it says."""
    with Store(tmp_path_factory.mktemp("by-one") / "store") as store:
        report = ingest(mixed, store, progress=False)
        assert check(store.folder, progress=False).rows() == []
        return content(store), report


def test_several_processes_make_the_store_that_one_makes(mixed, by_one, store):
    report = ingest(mixed, store, workers=2, progress=False)
    for table, expected in by_one[0].items():
        assert_frame_equal(content(store)[table], expected)
    assert_frame_equal(report.tasks, by_one[1].tasks)
    assert_frame_equal(report.unread, by_one[1].unread)
    assert check(store.folder, progress=False).rows() == []


def test_what_is_taken_at_once_is_what_is_taken_one_by_one(mixed, by_one, store):
    readings = []
    for one in read_bodies(mixed):
        with suppress(RecordError):
            readings.append((read(one.content, task=one.task, source=one.source), one.content))
    store.take(readings)
    store.seal()
    for table, expected in by_one[0].items():
        assert_frame_equal(content(store)[table], expected, check_row_order=table != "tasks")


def test_every_document_is_accounted_for(by_one):
    tables, report = by_one
    assert report.tasks.height == tables["tasks"].height == 2_100 - 8 + 3 + 1_500 + 1 + 12
    assert tables["rejects"].filter(task="00008")["value"].to_list() == ["300"]
    states = dict(tables["tasks"].select("task", "state").rows())
    assert [states[task] for task in ("failed", "late", "again")] == ["complete"] * 3
    assert tables["notes"].filter(pl.col("task").is_in(["failed", "late", "again"]))["pitch"].to_list() == [60, 64, 63]
    unread, other = report.unread["reason"]
    assert unread.startswith("expected JSON, got '{'")
    assert other.endswith("more.jsonl:7 took the name 'more-7' already")


def test_a_worker_that_is_killed_costs_what_was_not_acknowledged_and_the_next_run_takes_that(tmp_path, store):
    files(tmp_path / "json", SHARE)
    os.mkfifo(tmp_path / "json" / "99999.json")  # its reader waits until somebody writes
    put(tmp_path / "more" / "last.json", said(1))
    paths = [tmp_path / "json" / "99999.json", tmp_path / "more"]
    fault = []

    def run():
        try:
            with Store(store.folder) as mine:
                ingest([tmp_path / "json", *paths], mine, workers=2, progress=False)
        except WorkerError as died:
            fault.append(died)

    running = threading.Thread(target=run)
    running.start()
    until(lambda: len(ids(store)) == SHARE)
    for worker in multiprocessing.active_children():
        os.kill(worker.pid, signal.SIGKILL)
    running.join(30)
    assert "one of the processes that read the files died (killed, or out of memory" in str(*fault)
    assert len(ids(store)) == SHARE
    assert check(store.folder, progress=False).rows() == []
    assert list((store.folder / "tmp").iterdir()) == []
    paths[0].unlink()
    report = ingest([tmp_path / "json", paths[1]], store, workers=2, progress=False)
    assert report.of("complete") == [f"{at:05}" for at in range(SHARE)] + ["last"]
    assert store.scan_notes().collect().height == SHARE + 1


def test_a_fault_in_a_worker_is_told_and_leaves_the_store_whole(tmp_path, store):
    files(tmp_path / "json", SHARE)
    waits = tmp_path / "json" / "99999.json"
    os.mkfifo(waits)
    fault = []

    def run():
        try:
            with Store(store.folder) as mine:
                ingest([tmp_path / "json", waits], mine, workers=2, progress=False)
        except StoreError as told:
            fault.append(str(told))

    running = threading.Thread(target=run)
    running.start()
    until(lambda: len(ids(store)) == SHARE)
    for folder in (store.folder / "tmp").glob("drafts-*"):
        shutil.rmtree(folder)
    waits.write_text(json.dumps(said(1)))
    running.join(30)
    assert "could not be written" in fault[0]
    assert len(ids(store)) == SHARE
    assert check(store.folder, progress=False).rows() == []


def test_there_is_at_least_one_process(store):
    with pytest.raises(ValueError, match="workers: expected at least 1, got 0"):
        ingest(SAMPLES, store, workers=0)


# One process, killed at random moments.

PROGRAM = textwrap.dedent("""
    import sys
    from kie_notes import Store, ingest
    from kie_notes.store import drafts
    drafts.SEGMENT_ANSWERS = 20
    with Store(sys.argv[2]) as store:
        print("up", flush=True)
        ingest(sys.argv[1], store, progress=False)
""")


def test_kills_cost_nothing_that_was_acknowledged_and_the_last_run_ends(tmp_path):
    files(tmp_path / "json", 600)
    folder, chance, before = tmp_path / "store", random.Random(5), 0  # noqa: S311 -- no secret
    command = [sys.executable, "-c", PROGRAM, str(tmp_path / "json"), str(folder)]
    for _ in range(3):
        with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT) as running:
            running.stdout.readline()
            time.sleep(chance.uniform(0.0, 0.6))
            running.kill()
        assert set(check(folder, progress=False)["fault"]) <= {"unfinished", "rubbish", "stray"}
        with Store(folder) as store:
            assert len(ids(store)) >= before
            before = len(ids(store))
            store.seal()
            assert store.scan_notes().collect().height == before
    subprocess.run(command, check=True, stdout=subprocess.PIPE, cwd=ROOT)
    assert check(folder, progress=False).rows() == []
    with Store(folder) as store:
        assert ids(store) == [f"{at:05}" for at in range(600)]
        assert pl.read_parquet(folder / "notes")["task"].cast(pl.String).sort().to_list() == ids(store)


# Drafts, and whoever else writes into the store.


@pytest.fixture
def ledger(store):
    one = Ledger(store.folder / "ledger.sqlite")
    yield one
    one.close()


@pytest.fixture
def folder(store):
    with drafts.drafting(store.folder) as one:
        yield one


def drafted(store, folder, *bodies):
    (one,) = drafts.drafts(store.folder, folder, bodies)
    return one


def test_a_draft_counts_from_its_admission_on(store, ledger, folder):
    draft = drafted(store, folder, body("a", said(60)), body("b", said(61, 300)))
    assert ids(store) == []
    assert check(store.folder, progress=False).rows() == []  # somebody is writing what lies under tmp/
    assert drafts.admit(store, ledger, draft)
    assert store.scan_notes().select("task", "pitch").collect().rows() == [("a", 60), ("b", 61)]
    assert store.raw("b") == body("b", said(61, 300)).content
    assert store.size().waiting == 0


def test_a_draft_does_not_count_when_another_brought_one_of_its_tasks(store, ledger, folder):
    draft = drafted(store, folder, body("a", said(60)), body("b", said(61)))
    store.put(said(99), task="b", source="record-info")
    assert not drafts.admit(store, ledger, draft)
    assert ids(store) == ["b"]
    assert check(store.folder, progress=False).rows() == []
    anew = drafts.again(store.folder, folder, draft)
    assert list(anew.rest) == [1]
    assert drafts.admit(store, ledger, anew)
    assert store.scan_notes().select("task", "pitch").collect().rows() == [("b", 99), ("a", 60)]


def test_a_task_that_comes_while_a_draft_is_admitted_stays_as_it_is(store, ledger, folder, monkeypatch):
    place = drafts._place

    def slowly(*arguments):
        store.put(said(99), task="a")
        return place(*arguments)

    monkeypatch.setattr(drafts, "_place", slowly)
    draft = drafted(store, folder, body("a", said(60)))
    assert not drafts.admit(store, ledger, draft)
    store.seal()
    assert pl.read_parquet(store.folder / "notes")["pitch"].to_list() == [99]
    assert check(store.folder, progress=False).rows() == []
    assert drafts.bodies_of(draft)[0].content == body("a", said(60)).content


def test_answers_that_came_before_a_draft_and_after_it_are_not_mixed_with_its_own(store, ledger, folder):
    store.put(said(50), task="before")
    draft = drafted(store, folder, body("a", said(60)))
    store.put(said(70), task="after")
    assert store.seal() == 2  # one segment, over the draft's numbers
    assert not drafts.admit(store, ledger, draft)
    assert drafts.admit(store, ledger, drafts.again(store.folder, folder, draft))
    assert check(store.folder, progress=False).rows() == []
    assert sorted(store.scan_notes().collect()["pitch"]) == [50, 60, 70]


def test_parts_on_both_sides_of_a_draft_are_not_merged_over_it(store, ledger, folder):
    store.put(said(50), task="before")
    store.seal()
    draft = drafted(store, folder, body("a", said(60)))
    store.put(said(70), task="after")
    store.seal()
    assert store.compact() == 0
    assert drafts.admit(store, ledger, draft)
    assert store.compact() == 2
    assert check(store.folder, progress=False).rows() == []


def test_a_draft_that_was_being_admitted_when_its_process_died_comes_to_nothing(store, ledger, folder, monkeypatch):
    def dies(*_):
        raise KeyboardInterrupt

    draft = drafted(store, folder, body("a", said(60)))
    with monkeypatch.context() as killed:
        killed.setattr(drafts, "_enter", dies)
        with pytest.raises(KeyboardInterrupt):
            drafts.admit(store, ledger, draft)
    assert check(store.folder, progress=False)["fault"].to_list() == ["unfinished"]
    assert store.seal() == 0
    assert check(store.folder, progress=False).rows() == []
    assert [part.name for kind in ("raw", "notes") for part in (store.folder / kind).iterdir()] == [EMPTY, EMPTY]


def test_drafts_of_a_process_that_died_are_swept_and_those_of_a_living_one_are_not(store, folder):
    left = store.folder / "tmp" / "drafts-of-the-dead"
    left.mkdir()
    (left / "000000000001-raw.parquet").write_bytes(b"half")
    assert check(store.folder, progress=False)["where"].to_list() == ["tmp/drafts-of-the-dead"]
    with drafts.drafting(store.folder) as other:
        assert sorted((store.folder / "tmp").iterdir()) == sorted([folder, other])
    left.mkdir()
    assert repair(store.folder, progress=False)["done"].to_list() == [True]
    assert list((store.folder / "tmp").iterdir()) == [folder]


def test_a_lost_ledger_is_made_anew_from_the_parts_of_drafts(store, ledger, folder):
    assert drafts.admit(store, ledger, drafted(store, folder, body("a", said(60)), body("b", said(61))))
    before = store.scan_notes().collect()
    ledger.close()
    store.close()
    for file in store.folder.glob("ledger.sqlite*"):
        file.unlink()
    assert repair(store.folder, progress=False)["done"].all()
    with Store(store.folder) as mended:
        assert_frame_equal(mended.scan_notes().collect(), before)
        assert mended.put(said(62), task="c").task == "c"
        assert ingest(SAMPLES, mended, progress=False).unread.is_empty()
    assert check(store.folder, progress=False).rows() == []


def test_a_second_run_writes_no_part(store):
    ingest(SAMPLES, store, progress=False)
    parts = sorted((store.folder / "parts").rglob("*"))
    report = ingest(SAMPLES, store, progress=False)
    assert (report.tasks.height, report.unread.height) == (12, 0)
    assert sorted((store.folder / "parts").rglob("*")) == parts


ORPHANS = textwrap.dedent("""
    import os, time
    from kie_notes.processes import pool
    if __name__ == "__main__":
        with pool(1) as others:
            others.submit(os.getpid).result()
            print("up", flush=True)
            time.sleep(60)
""")


def test_processes_end_when_the_one_that_started_them_is_killed(tmp_path):
    program = tmp_path / "program.py"
    program.write_text(ORPHANS)
    command = [sys.executable, str(program)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=os.environ | {"PYTHONPATH": str(ROOT)}) as running:
        assert running.stdout.readline() == b"up\n"
        running.kill()
        assert running.communicate(timeout=20)[0] == b""  # to its end: nobody writes there any more
