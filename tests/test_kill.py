"""Kills lose nothing that was acknowledged, and the proof that says so notices what is lost."""

import hashlib
import json
import shutil
import sqlite3
from contextlib import closing

import polars as pl
import pytest

from kie_notes.store import Store
from kie_notes.store.check import check
from tests.proofs import kill
from tests.proofs.faulty import record
from tests.proofs.processes import judge

TASKS = ["a" * 32, "b" * 32, "c" * 32]
TAKEN = [(task, hashlib.sha256(record(task)).hexdigest()) for task in TASKS]


def test_kills_lose_nothing_that_was_acknowledged(capsys):
    assert kill.main(["--kills", "8", "--seed", "2"]) == 0
    assert "acknowledged results: 0 lost, 0 twice, 0 files that cannot be read" in capsys.readouterr().out


# The judge of the proof.


@pytest.fixture
def folder(tmp_path):
    with Store(tmp_path / "store") as store:
        for task in TASKS:
            store.put(record(task), source="record-info")
    return tmp_path / "store"


def by_hand(folder, sql):
    with closing(sqlite3.connect(folder / "ledger.sqlite")) as db, db:
        db.execute(sql, TASKS[:1])


def test_the_judge_finds_nothing_wrong_with_a_store_that_has_everything(folder):
    assert judge(folder, TASKS, TAKEN) == []


def test_the_judge_misses_an_answer_that_was_acknowledged_and_never_kept(folder):
    (told,) = judge(folder, TASKS, [*TAKEN, (TASKS[0], "0" * 64)])
    assert told == f"task {TASKS[0]}: lost, its answer is not among the raw ones"


def test_the_judge_misses_a_task(folder):
    assert judge(folder, ["d"], []) == ["task d: it is lost", "task d: lost, it has no notes"]


def test_the_judge_sees_a_notes_part_that_is_gone(folder):
    assert judge(folder, TASKS, TAKEN) == []
    (folder / "notes" / "part-000001.parquet").unlink()
    (told,) = judge(folder, TASKS, TAKEN)
    assert told.startswith("check: part-missing, notes/part-000001.parquet")


def test_the_judge_sees_a_notes_part_that_is_there_twice(folder):
    assert judge(folder, TASKS, TAKEN) == []
    shutil.copy(folder / "notes" / "part-000001.parquet", folder / "notes" / "part-000002.parquet")
    (told,) = judge(folder, TASKS, TAKEN)
    assert told.startswith("check: stray, parts/000001/notes/part-000002.parquet")


def test_the_judge_sees_a_row_of_the_ledger_that_is_gone(folder):
    assert judge(folder, TASKS, TAKEN) == []
    by_hand(folder, "DELETE FROM task WHERE id = ?")
    told = "\n".join(judge(folder, TASKS, TAKEN))
    assert f"the ledger does not know task '{TASKS[0]}'" in told


def test_the_judge_sees_an_answer_that_is_kept_twice(folder):
    by_hand(folder, "INSERT INTO inbox SELECT 9, task, source, received, sha256, size, body FROM inbox WHERE task = ?")
    assert judge(folder, TASKS, TAKEN) == [f"task {TASKS[0]}: the same answer is kept 2 times"]


def test_the_judge_sees_notes_that_are_not_those_that_were_sent(folder):
    with Store(folder) as store:
        store.put(record("d" * 32).replace(b'"velocity": 0.5', b'"velocity": 0.25'), source="record-info")
    (told,) = judge(folder, TASKS, TAKEN)
    assert told.startswith(f"task {'d' * 32}: ")


# What the proof found.


def bare(pitch):
    return [{"name": "Flute", "notes": [{"pitch": pitch, "start": 0, "end": 1, "velocity": 1}]}]


def test_notes_of_a_seal_that_was_killed_go_when_another_answer_decides_their_task(tmp_path, monkeypatch):
    def dies(*_):
        raise KeyboardInterrupt

    body = {"code": 200, "data": {"taskId": "a", "state": "complete", "instruments": bare(99)}}
    with Store(tmp_path / "store") as store:
        store.receive([("a", json.dumps(body).encode())])
        with monkeypatch.context() as killed:
            killed.setattr("kie_notes.store.seal.mark", dies)
            with pytest.raises(KeyboardInterrupt):
                store.seal()
        store.put({"state": "complete", "instruments": bare(60)}, task="a", source="record-info")
        store.seal()
        assert pl.read_parquet(store.folder / "notes")["pitch"].to_list() == [60]
        assert check(store.folder, progress=False).is_empty()


def test_what_a_killed_rewriting_was_writing_is_swept_by_the_next(tmp_path):
    with Store(tmp_path / "store") as store:
        for name in ("000001-raw-part-000004.parquet", "000002-notes-part-000009.parquet"):
            (store.folder / "tmp" / name).write_bytes(b"half")
        store.compact()
        left = [path.name for path in (store.folder / "tmp").iterdir()]
    assert left == ["000001-raw-part-000004.parquet"]  # of the generation that is read: a seal may be writing it
