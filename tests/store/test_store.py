"""A store keeps every answer byte for byte, every note once, and stands a crash at any moment."""

import json
import signal
import sqlite3
import subprocess
import sys
import textwrap
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import polars as pl
import pyarrow.parquet as pq
import pytest
from polars.testing import assert_frame_equal

from kie_notes.api.files import read_records
from kie_notes.errors import RecordError, StoreError
from kie_notes.notes import NOTES_SCHEMA, REJECTS_SCHEMA, TASKS_SCHEMA, flatten, sort_notes
from kie_notes.store import Store
from kie_notes.store.parts import write_part

SAMPLES = Path(__file__).parents[2] / "data" / "samples" / "records"
PATHS = sorted(SAMPLES.glob("*.json"))


@pytest.fixture
def store(tmp_path):
    with Store(tmp_path / "store") as one:
        yield one


def fill(store, paths=PATHS):
    for path in paths:
        store.put(path.read_bytes(), source=path.name)


def parts(store, kind):
    """The parts that hold rows."""
    return [path for path in sorted((store.folder / kind).iterdir()) if pl.read_parquet(path).height]


def bare(*pitches, velocity=0.5):
    notes = [{"pitch": pitch, "start": 0, "end": 1, "velocity": velocity} for pitch in pitches]
    return {"state": "complete", "instruments": [{"name": "Flute", "notes": notes}]}


def test_an_empty_store_gives_empty_tables_of_the_full_schemas(store):
    assert store.scan_notes().collect().schema == NOTES_SCHEMA
    assert store.scan_tasks().collect().schema == TASKS_SCHEMA
    assert store.scan_rejects().collect().schema == REJECTS_SCHEMA
    assert store.seal() == 0


@pytest.mark.parametrize("sealed", [False, True])
def test_notes_are_those_of_the_answers_before_and_after_sealing(store, sealed):
    fill(store)
    if sealed:
        assert store.seal() == len(PATHS) - 1  # one task is pending: nothing of it is to be kept yet
    expected = flatten(read_records(PATHS))
    assert_frame_equal(store.scan_notes().collect(), expected.notes)
    said = pl.exclude("fetched_at", "source")
    assert_frame_equal(store.scan_tasks().select(said).collect(), expected.tasks.select(said))
    assert_frame_equal(sort_notes(store.scan_notes().collect()), expected.notes)


@pytest.mark.parametrize("sealed", [False, True])
def test_raw_answers_are_kept_byte_for_byte(store, sealed):
    fill(store)
    if sealed:
        store.seal()
    for path in PATHS:
        pending = path.stem == "e6a0bb5af924bcf84b48c3a96cf65ef0"
        assert store.raw(path.stem) == (None if pending else path.read_bytes())
    assert store.raw("nobody") is None


def test_putting_the_same_task_twice_changes_nothing(store):
    fill(store)
    store.seal()
    before = {path: path.read_bytes() for path in store.folder.rglob("*.parquet")}
    tasks = store.scan_tasks().collect()
    fill(store)
    store.seal()
    assert {path: path.read_bytes() for path in store.folder.rglob("*.parquet")} == before
    assert_frame_equal(store.scan_tasks().collect(), tasks)


def test_a_newcomer_reads_the_notes_folder_with_polars_and_with_duckdb(store):
    fill(store)
    store.seal()
    fill(store, [])
    expected = store.scan_notes().collect()
    read = pl.read_parquet(store.folder / "notes")
    assert_frame_equal(read, expected)
    assert read.schema == NOTES_SCHEMA
    with duckdb.connect() as db:
        sums = 'SELECT count(*), sum("end" - start) FROM read_parquet(?)'
        found = db.execute(sums, [f"{store.folder}/notes/*.parquet"]).fetchone()
    assert found == (expected.height, pytest.approx((expected["end"] - expected["start"]).sum()))


def test_sealed_parts_and_the_waiting_tail_are_one_table(store):
    store.put(bare(60), task="a")
    store.seal()
    store.put(bare(61), task="b")
    assert store.scan_notes().select("task", "pitch").collect().rows() == [("a", 60), ("b", 61)]
    assert pl.read_parquet(store.folder / "notes").height == 1


def test_rejected_notes_are_kept_with_their_reasons(store):
    store.put(bare(60, 61, velocity=96), task="a")
    store.put(bare(60), task="b")
    for _ in range(2):
        assert store.scan_rejects().select("task", "index", "field", "value").collect().rows() == [
            ("a", 0, "velocity", "96.0"),
            ("a", 1, "velocity", "96.0"),
        ]
        assert store.scan_tasks().select("task", "state", "notes", "rejected").collect().rows() == [
            ("a", "complete", 0, 2),
            ("b", "complete", 1, 0),
        ]
        store.seal()


def test_a_result_takes_the_place_of_a_failure_and_both_answers_are_kept(store):
    store.put({"code": 500, "msg": "MIDI generation failed", "data": {"taskId": "a"}})
    store.put(bare(60), task="a")
    store.put({"code": 500, "msg": "too late", "data": {"taskId": "a"}})
    assert store.scan_tasks().select("state", "notes").collect().rows() == [("complete", 1)]
    store.seal()
    raw = pl.read_parquet(store.folder / "raw")
    assert raw["task"].to_list() == ["a", "a"]
    assert json.loads(raw["body"][1]) == bare(60)


def test_a_body_that_is_no_record_is_refused_and_nothing_is_accepted(store):
    with pytest.raises(RecordError, match="expected JSON"):
        store.put(b"<html>", task="a")
    with pytest.raises(RecordError, match="names no task"):
        store.put(bare(60))
    assert store.scan_tasks().collect().is_empty()


def test_tasks_are_remembered_with_the_day_on_which_they_expire(store):
    then = datetime(2026, 11, 1, 12, tzinfo=UTC)
    assert store.add(["late", "soon"], submitted_at=then, label="choir") == 2
    assert store.add(["soon", "soonest"], submitted_at=then - timedelta(days=1)) == 1
    waiting = store.open_tasks()
    assert waiting["task"].to_list() == ["soon", "soonest", "late"]  # the later word about "soon" counts
    assert waiting["expires_at"][0] == datetime(2026, 11, 14, 12, tzinfo=UTC)
    assert waiting["label"].to_list() == ["choir", None, "choir"]


def test_what_the_service_says_of_its_time_counts_more(store):
    store.add(["a"])
    store.put({"code": 200, "data": {"taskId": "a", "successFlag": 0, "createTime": 1760335251000}})
    assert store.open_tasks()["submitted_at"][0] == datetime(2025, 10, 13, 6, 0, 51, tzinfo=UTC)


def test_ids_from_outside_are_never_file_names(store):
    hostile = ["../../escape", "a/b", "x\x00y", "CON", "é" * 300, "{task}", "'; DROP TABLE task; --"]
    for task in hostile:
        store.put(bare(60), task=task)
    store.seal()
    assert sorted(store.scan_notes().collect()["task"].cast(pl.String)) == sorted(hostile)
    names = {path.relative_to(store.folder).as_posix() for path in store.folder.rglob("*") if path.is_file()}
    assert {name for name in names if "ledger" not in name} == {
        "seal.lock",
        "parts/000001/raw/part-000000.parquet",
        "parts/000001/raw/part-000001.parquet",
        "parts/000001/notes/part-000000.parquet",
        "parts/000001/notes/part-000001.parquet",
        "parts/000001/rejects/part-000000.parquet",
    }
    assert not (store.folder.parent / "escape").exists()


def test_full_segments_are_sealed_and_the_rest_waits(store, monkeypatch):
    monkeypatch.setattr("kie_notes.store.seal.SEGMENT_ANSWERS", 3)
    for at in range(7):
        store.put(bare(60 + at), task=f"t{at}")
    assert store.seal(only_full=True) == 6
    assert store.seal(only_full=True) == 0
    assert [pl.read_parquet(path).height for path in parts(store, "notes")] == [3, 3]
    assert store.scan_notes().select(pl.len()).collect().item() == 7


def test_a_segment_holds_no_more_bytes_than_planned(store, monkeypatch):
    size = len(json.dumps(bare(60)))
    monkeypatch.setattr("kie_notes.store.seal.SEGMENT_BYTES", 2 * size)
    for at in range(5):
        store.put(bare(60), task=f"t{at}")
    store.seal()
    assert [pl.read_parquet(path).height for path in parts(store, "raw")] == [2, 2, 1]


@pytest.mark.parametrize("kind", ["raw", "notes"])
def test_a_seal_that_dies_half_way_is_built_again_the_same(store, monkeypatch, kind):
    fill(store)
    expected = store.scan_notes().collect()

    def dies(table, part, tmp):
        if part.parent.name == kind:
            (tmp / "rubbish").write_bytes(b"half")
            raise KeyboardInterrupt
        return write_part(table, part, tmp)

    with monkeypatch.context() as broken:
        broken.setattr("kie_notes.store.seal.write_part", dies)
        with pytest.raises(KeyboardInterrupt):
            store.seal()
    store.put(bare(60), task="later")
    assert_frame_equal(store.scan_notes().collect().head(expected.height), expected)
    assert store.seal() == len(PATHS)
    assert_frame_equal(pl.read_parquet(store.folder / "notes").head(expected.height), expected)
    assert len(parts(store, "raw")) == 2


def test_a_process_that_is_killed_at_any_moment_loses_nothing_that_it_acknowledged(tmp_path):
    program = textwrap.dedent("""
        import sys
        from kie_notes.store import Store
        note = {"pitch": 60, "start": 0, "end": 1, "velocity": 1}
        import kie_notes.store.seal
        kie_notes.store.seal.SEGMENT_ANSWERS = 5
        with Store(sys.argv[1]) as store:
            for at in range(int(sys.argv[2]), 100_000):
                store.put({"state": "complete", "instruments": [{"name": "A", "notes": [note]}]}, task=f"t{at}")
                print(at, flush=True)
                if at % 3 == 0:
                    store.seal(only_full=True)
    """)
    folder, first = tmp_path / "store", 0
    for wait in (11, 23, 40):
        with subprocess.Popen(
            [sys.executable, "-c", program, str(folder), str(first)], stdout=subprocess.PIPE, text=True
        ) as worker:
            acknowledged = [int(worker.stdout.readline()) for _ in range(wait)]
            worker.send_signal(signal.SIGKILL)
            acknowledged += [int(line) for line in worker.stdout.read().split()]
        first = acknowledged[-1] + 1
        with Store(folder) as store:
            notes = store.scan_notes().collect()
            assert set(range(first)) <= {int(task[1:]) for task in notes["task"].cast(pl.String)}
            assert notes["task"].n_unique() == notes.height
    with Store(folder) as store:
        store.seal()
        assert_frame_equal(pl.read_parquet(folder / "notes"), store.scan_notes().collect())


def test_several_threads_and_stores_of_one_folder_store_each_task_once(tmp_path):
    faults = []

    def work(offset):
        try:
            with Store(tmp_path / "store") as mine:
                for at in range(40):
                    mine.put(bare(60), task=f"t{(at + offset) % 40}")
                    if at % 10 == 0:
                        mine.seal()
        except Exception as fault:  # noqa: BLE001 -- a thread's fault is the test's
            faults.append(fault)

    threads = [threading.Thread(target=work, args=(offset,)) for offset in (0, 13, 26)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert faults == []
    with Store(tmp_path / "store") as store:
        store.seal()
        assert store.scan_notes().collect()["task"].n_unique() == 40
        assert pl.read_parquet(tmp_path / "store" / "notes").height == 40
        assert pl.read_parquet(tmp_path / "store" / "raw").height == 40


def test_times_on_the_grid_are_stored_small_and_exact(tmp_path):
    notes = flatten(read_records(SAMPLES / "0ae1bcbcd2f5b21ba7d90664fd26cb50.json")).notes
    (tmp_path / "notes").mkdir()
    write_part(notes, tmp_path / "notes" / "part.parquet", tmp_path / "tmp")
    column = pq.read_metadata(tmp_path / "notes" / "part.parquet").row_group(0).column(3)
    assert column.path_in_schema == "start"
    assert set(column.encodings) == {"BYTE_STREAM_SPLIT", "RLE"}
    assert (column.physical_type, column.statistics.max) == ("DOUBLE", notes["start"].max())
    assert_frame_equal(pl.read_parquet(tmp_path / "notes" / "part.parquet"), notes)


def test_a_flipped_byte_in_a_part_is_noticed(store):
    fill(store)
    store.seal()
    part = store.folder / "raw" / "part-000001.parquet"
    with pq.ParquetFile(part, page_checksum_verification=True) as file:
        column = file.metadata.row_group(0).column(5)
    content = bytearray(part.read_bytes())
    content[column.data_page_offset + column.total_compressed_size // 2] ^= 1
    part.write_bytes(content)
    with (
        pytest.raises(OSError, match=r"CRC|checksum|corrupt"),
        pq.ParquetFile(part, page_checksum_verification=True) as file,
    ):
        file.read()


def test_a_folder_with_other_files_is_not_taken_for_a_store(tmp_path):
    (tmp_path / "thesis.docx").write_text("mine")
    with pytest.raises(StoreError, match="expected a store or an empty folder, but other files are in it"):
        Store(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.docx"]


def test_a_ledger_that_is_none_is_told(tmp_path):
    (tmp_path / "ledger.sqlite").write_bytes(b"no database" * 1000)
    with pytest.raises(StoreError, match="expected the ledger of a store, got file is not a database"):
        Store(tmp_path)


def test_a_ledger_of_a_newer_version_is_left_alone(tmp_path):
    Store(tmp_path / "store").close()
    db = sqlite3.connect(tmp_path / "store" / "ledger.sqlite")
    db.execute("PRAGMA user_version=99")
    db.close()
    with pytest.raises(StoreError, match="has version 99, this kie_notes knows 2: upgrade it"):
        Store(tmp_path / "store")


def test_a_part_that_cannot_be_written_is_told_and_nothing_is_lost(store):
    store.put(bare(60), task="a")
    home = (store.folder / "raw").resolve()
    home.rename(home.with_name("elsewhere"))
    home.write_text("in the way")
    with pytest.raises(StoreError, match="could not be written"):
        store.seal()
    assert store.scan_notes().collect().height == 1
    assert list((store.folder / "tmp").iterdir()) == []
    home.unlink()
    home.with_name("elsewhere").rename(home)
    assert store.seal() == 1


@pytest.mark.parametrize("task", ["", None, 7, "\ud800"])
def test_an_id_that_no_table_can_hold_is_refused(store, task):
    with pytest.raises(ValueError, match="expected a task's id as text"):
        store.add([task])


def test_an_answer_that_is_sealed_by_another_process_meanwhile_is_given_all_the_same(store):
    store.put(bare(60), task="a")
    with Store(store.folder) as other:
        other.seal()
    assert json.loads(store.raw("a")) == bare(60)


def test_the_same_failure_again_is_kept_once(store):
    failed = {"code": 500, "msg": "MIDI generation failed", "data": {"taskId": "a"}}
    for _ in range(3):
        store.put(failed)
        store.reopen(["a"])
    store.seal()
    assert pl.read_parquet(store.folder / "raw").height == 1


def test_a_store_is_found_again_from_another_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with Store("here") as store:
        store.put(bare(60), task="a")
        monkeypatch.chdir("/")
        store.seal()
        assert store.scan_notes().collect().height == 1


def test_a_closed_store_and_a_damaged_ledger_are_told_as_such(tmp_path):
    store = Store(tmp_path / "store")
    store.close()
    with pytest.raises(StoreError, match="closed database"):
        store.put(bare(60), task="a")


@pytest.mark.parametrize("name", ["songs [2026]", "s?1", "st*r", "a{b}", "p%20q", "h#x", "x=1"])
def test_a_store_may_have_a_name_of_any_characters_and_reads_its_own_parts_only(tmp_path, name):
    for folder, pitch in (("sA1", 50), (name, 60)):
        with Store(tmp_path / folder) as store:
            store.put(bare(pitch), task="t1")
            store.seal()
            store.put(bare(pitch + 1), task="t2")
            store.seal()
            store.put({"code": 500, "msg": "MIDI generation failed", "data": {"taskId": "t3"}})
    with Store(tmp_path / name) as store:
        assert store.scan_notes().collect()["pitch"].to_list() == [60, 61]
        assert json.loads(store.raw("t1"))["instruments"][0]["notes"][0]["pitch"] == 60
        assert store.compact() == 1
        assert store.rebuild().notes == 2
