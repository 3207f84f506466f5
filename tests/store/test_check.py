"""``check`` finds every kind of damage, and nothing in a store that is whole."""

import os
import random
import sqlite3
import subprocess
import sys
import threading
from contextlib import closing

import polars as pl
import pyarrow.parquet as pq
import pytest

from kie_notes.errors import StoreError
from kie_notes.store import Store
from kie_notes.store.check import FAULTS_SCHEMA, check
from kie_notes.store.ledger import Ledger, locked
from kie_notes.store.parts import write_part

FILES = [
    "raw/part-000001.parquet",
    "raw/part-000002.parquet",
    "notes/part-000001.parquet",
    "rejects/part-000002.parquet",
]


def flip(path, at, bit=0):
    content = bytearray(path.read_bytes())
    content[at] ^= 1 << bit
    path.write_bytes(content)


def change(folder, sql):
    with closing(sqlite3.connect(folder / "ledger.sqlite", isolation_level=None)) as db:
        db.execute(sql)


def found(folder):
    return check(folder).select("fault", "where").rows()


def note(**changed):
    row = {"task": "x", "instrument": "Flute", "pitch": 60, "start": 0.0, "end": 1.0, "velocity": 0.5, "track": 0}
    return row | changed


def test_a_store_without_faults_gives_an_empty_table(whole):
    faults = check(whole)
    assert faults.height == 0
    assert faults.schema == FAULTS_SCHEMA


def test_a_new_store_has_no_faults(tmp_path):
    Store(tmp_path / "store").close()
    assert found(tmp_path / "store") == []


@pytest.mark.parametrize("act", ["seal", "compact", "rebuild"])
def test_upkeep_leaves_no_faults(broken, act):
    with Store(broken) as store:
        store.put({"code": 501, "msg": "failed", "data": {"taskId": "later"}})
        store.receive([("hinted", b'{"state":"complete","instruments":[]}')])
        getattr(store, act)()
        assert found(broken) == []


def test_a_folder_that_is_no_store_is_told(tmp_path):
    with pytest.raises(StoreError, match="expected a store, got no ledger.sqlite and no raw answers"):  # noqa: RUF043
        check(tmp_path)


@pytest.mark.parametrize("name", FILES)
def test_every_flipped_byte_in_a_part_is_found(broken, name):
    path = broken / name
    intact, chance = path.read_bytes(), random.Random(7)  # noqa: S311 -- places, not secrets
    for _ in range(25):
        flip(path, chance.randrange(len(intact)), chance.randrange(8))
        assert ("part-damaged", name) in found(broken)
        path.write_bytes(intact)
    assert found(broken) == []


@pytest.mark.parametrize("seed", range(4))
def test_a_flipped_byte_in_the_ledger_is_found_or_changes_no_note_no_state_and_no_answer(broken, content, seed):
    path, expected, chance = broken / "ledger.sqlite", content(broken), random.Random(seed)  # noqa: S311
    intact = path.read_bytes()
    for _ in range(25):
        for beside in broken.glob("ledger.sqlite-*"):
            beside.unlink()
        path.write_bytes(intact)
        flip(path, chance.randrange(len(intact)), chance.randrange(8))
        if not found(broken):
            assert content(broken) == expected


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("left", [0, 3, 0.5, -1])
def test_a_truncated_part_is_found(broken, name, left):
    path = broken / name
    whole = path.read_bytes()
    path.write_bytes(whole[: int(left * len(whole)) if 0 < left < 1 else left])
    assert ("part-damaged", name) in found(broken)


@pytest.mark.parametrize("name", FILES)
def test_a_deleted_part_is_found(broken, name):
    (broken / name).unlink()
    assert ("part-missing", name) in found(broken)


def test_parts_that_were_swapped_are_found(broken):
    one, other = (broken / f"notes/part-00000{at}.parquet" for at in (1, 2))
    aside = one.with_name("aside")
    one.rename(aside)
    other.rename(one)
    aside.rename(other)
    assert found(broken) == [("part-damaged", f"notes/part-00000{at}.parquet") for at in (1, 2)]


def test_a_damaged_raw_part_names_the_tasks_whose_answers_cannot_be_read(broken):
    (broken / "raw/part-000002.parquet").write_bytes(b"")
    faults = check(broken)
    assert faults.select("fault", "where", "tasks").row(0) == ("part-damaged", "raw/part-000002.parquet", 7)
    assert faults.filter(fault="answer-lost")["where"].to_list()[:2] == ["again", "loud"]
    assert faults.filter(where="loud")["repair"][0].startswith(
        "check --repair makes it pending; kie-notes fetch brings"
    )
    assert faults.filter(where="9be05ae66d0fda1c3556e07742d07499")["repair"][0] is None  # its 14 days are over


@pytest.mark.parametrize(
    ("sql", "fault", "where"),
    [
        ("UPDATE segment SET notes = notes + 1 WHERE id = 1", "part-differs", "notes/part-000001.parquet"),
        ("UPDATE segment SET answers = 3 WHERE id = 1", "part-differs", "raw/part-000001.parquet"),
        ("UPDATE segment SET rejects = 9 WHERE id = 2", "part-differs", "rejects/part-000002.parquet"),
        ("UPDATE segment SET last = last + 1 WHERE id = 1", "ledger-damaged", "ledger.sqlite"),
        ("UPDATE segment SET checksums = 'x' WHERE id = 1", "ledger-damaged", "ledger.sqlite"),
        ("UPDATE task SET notes = 5 WHERE id = 'again'", "notes-differ", "notes/part-000002.parquet"),
        ("UPDATE task SET notes = 5 WHERE id = 'loud'", "notes-differ", "notes/part-000002.parquet"),
        ("UPDATE task SET rejected = 5 WHERE id = 'loud'", "notes-differ", "rejects/part-000002.parquet"),
        ("UPDATE task SET state = 'failed' WHERE id = 'again'", "notes-differ", "notes/part-000002.parquet"),
        ("UPDATE task SET notes = 5 WHERE id = 'waiting'", "notes-differ", "waiting"),
        ("UPDATE task SET seq = 1 WHERE id = 'again'", "ledger-differs", "raw/part-000001.parquet"),
        ("UPDATE task SET seq = 99 WHERE id = 'again'", "ledger-differs", "again"),
        ("UPDATE task SET sha256 = 'x' WHERE id = 'again'", "ledger-differs", "raw/part-000002.parquet"),
        ("DELETE FROM task WHERE id = 'again'", "ledger-differs", "raw/part-000001.parquet"),
        ("DELETE FROM segment WHERE id = 1", "stray", "parts/000001/notes/part-000001.parquet"),
        ("UPDATE inbox SET body = x'00' WHERE task = 'waiting'", "answer-damaged", "inbox 15"),
        ("UPDATE inbox SET sha256 = 'x' WHERE task = 'waiting'", "answer-damaged", "inbox 15"),
        ("UPDATE aside SET body = x'00'", "answer-damaged", "aside 1"),
        ("DELETE FROM inbox", "ledger-differs", "waiting"),
        ("DELETE FROM generation", "ledger-damaged", "ledger.sqlite"),
        ("INSERT INTO stale VALUES (77, 'again')", "ledger-damaged", "ledger.sqlite"),
        ("INSERT INTO segment (first, last, state) VALUES (15, 15, 'planned')", "unfinished", "segment 3"),
        ("INSERT INTO segment (first, last, state) VALUES (1, 7, 'building')", "unfinished", "segment 3"),
        ("PRAGMA user_version = 99", "ledger-version", "ledger.sqlite"),
        ("PRAGMA user_version = 1", "ledger-version", "ledger.sqlite"),
    ],
)
def test_a_ledger_that_was_edited_is_found(broken, sql, fault, where):
    change(broken, sql)
    assert (fault, where) in found(broken)


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        ([note(start=2.0, end=3.0), note()], "canonical order"),
        ([note(), note(task="y"), note()], "do not stand together"),
        ([note(pitch=200)], "possible notes"),
        ([note(start=-1.0)], "possible notes"),
        ([note(end=float("nan"))], "possible notes"),
        ([note(velocity=1.5)], "possible notes"),
    ],
)
def test_rows_that_no_part_may_hold_are_found(broken, rows, told):
    part = broken / "notes/part-000001.parquet"
    schema = pl.read_parquet_schema(part)
    change_sum = write_part(pl.DataFrame(rows, schema=schema), part.resolve(), broken / "tmp")
    change(
        broken,
        "UPDATE segment SET checksums = json_set(checksums, '$.\"notes/part-000001.parquet\"',"  # noqa: S608
        f" '{change_sum}'), notes = {len(rows)} WHERE id = 1",
    )
    details = check(broken).filter(fault="part-differs")["detail"]
    assert [one for one in details if told in one]


def test_a_part_with_other_columns_is_found(broken):
    part = broken / "notes/part-000001.parquet"
    other = write_part(pl.DataFrame({"a": [1]}), part.resolve(), broken / "tmp")
    change(
        broken,
        "UPDATE segment SET checksums = json_set(checksums, '$.\"notes/part-000001.parquet\"',"  # noqa: S608
        f" '{other}'), notes = 1 WHERE id = 1",
    )
    assert "expected the columns of the notes table" in " ".join(check(broken)["detail"])


@pytest.mark.parametrize("content", [b"", b"no database" * 1000])
def test_a_ledger_that_is_none_is_found(broken, content):
    (broken / "ledger.sqlite").write_bytes(content)
    assert found(broken)[0][0] == ("ledger-damaged" if content else "ledger-missing")


def test_without_its_ledger_the_parts_of_a_store_are_read_all_the_same(broken):
    (broken / "ledger.sqlite").unlink()
    assert found(broken) == [("ledger-missing", "ledger.sqlite")]
    path = broken / "raw/part-000001.parquet"
    with pq.ParquetFile(path) as file:
        column = file.metadata.row_group(0).column(5)
    flip(path, column.data_page_offset + column.total_compressed_size // 2)
    assert found(broken)[1:] == [("part-damaged", "raw/part-000001.parquet")]


@pytest.mark.parametrize("name", ["notes", "raw", "rejects", "parts/current"])
def test_a_link_that_is_gone_is_found(broken, name):
    (broken / name).unlink()
    assert ("link", name) in found(broken)


def test_files_that_nobody_owns_are_found(broken):
    (broken / "notes/mine.parquet").write_bytes(b"")
    (broken / "parts/000007").mkdir()
    (broken / "tmp/half").write_bytes(b"")
    assert found(broken) == [
        ("rubbish", "tmp/half"),
        ("stray", "parts/000001/notes/mine.parquet"),
        ("stray", "parts/000007"),
    ]


@pytest.mark.parametrize("lock", ["work.lock", "seal.lock"])
def test_what_a_process_is_writing_just_now_is_no_fault(broken, monkeypatch, lock):
    monkeypatch.setattr("kie_notes.store.litter._PATIENCE", 0.1)
    (broken / "tmp/half").write_bytes(b"")
    (broken / "parts/000002").mkdir()
    with locked(broken / lock, patience=0):
        assert found(broken) == []
    assert found(broken) == [("rubbish", "tmp/half"), ("stray", "parts/000002")]


def test_a_store_that_is_written_and_rewritten_meanwhile_has_no_faults(broken):
    stop, faults = threading.Event(), []

    def write():
        with Store(broken) as store:
            for at in range(10_000):
                if stop.is_set():
                    return
                note_ = {"pitch": at % 128, "start": 0, "end": 1, "velocity": 1}
                body = {"state": "complete", "instruments": [{"name": "A", "notes": [note_]}]}
                store.put(body, task=f"t{at}")
                if at % 3 == 0:
                    store.seal()
                if at % 7 == 0:
                    store.compact()

    writer = threading.Thread(target=write)
    writer.start()
    for _ in range(15):
        faults += found(broken)
    stop.set()
    writer.join()
    assert faults == []
    assert found(broken) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become nobody")
def test_a_store_that_may_only_be_read_is_checked(whole, tmp_path):
    program = (  # once before, so that everything is imported
        "import os, sys; from kie_notes.store.check import check; check(sys.argv[1]);"
        " os.setuid(65534); print(check(sys.argv[1]).rows())"
    )
    for folder in (whole.parent, *whole.parents):
        if folder.stat().st_uid == os.geteuid() and folder.name.startswith(("pytest", "popen", "whole")):
            folder.chmod(0o755)
    done = subprocess.run([sys.executable, "-c", program, str(whole)], capture_output=True, text=True, check=False)
    assert (done.stdout.strip(), done.stderr) == ("[]", "")


def test_a_store_whose_making_was_cut_off_is_unfinished_and_no_more(tmp_path):
    Ledger(tmp_path / "ledger.sqlite").close()
    assert found(tmp_path) == [("unfinished", "parts")]
    with Store(tmp_path):
        assert found(tmp_path) == []
