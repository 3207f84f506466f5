"""``check --repair`` brings back everything that was raw, and loses nothing that can be read."""

import random
import shutil
import sqlite3
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import polars as pl
import pytest

from kie_notes.api.files import read_records
from kie_notes.api.records import parse_record
from kie_notes.errors import StoreError
from kie_notes.notes import flatten
from kie_notes.store import Store, renew
from kie_notes.store.check import check
from kie_notes.store.repair import REPAIRS_SCHEMA, repair

#: Tasks of which the ledger alone knows.
UNSEALED = {"waiting", "labelled", "odd", "e6a0bb5af924bcf84b48c3a96cf65ef0"}


def flip(path, share=0.5):
    content = bytearray(path.read_bytes())
    content[int(len(content) * share)] ^= 16
    path.write_bytes(content)


def cut(path, share=0.5):
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])


def overwrite(path, first=0.3, last=0.7):
    content = path.read_bytes()
    low, high = int(len(content) * first), int(len(content) * last)
    path.write_bytes(content[:low] + b"\x55" * (high - low) + content[high:])


def swap(one, other):
    aside = one.with_name("aside")
    one.rename(aside)
    other.rename(one)
    aside.rename(other)


def change(folder, sql):
    with closing(sqlite3.connect(folder / "ledger.sqlite", isolation_level=None)) as db:
        db.execute(sql)


def sealed(content):
    """What of a store's content lies in its parts."""
    notes, raw = content
    return [row for row in notes if row[0] not in UNSEALED], {k: v for k, v in raw.items() if k not in UNSEALED}


HARMLESS = {
    "a notes part is gone": lambda at: (at / "notes/part-000001.parquet").unlink(),
    "both notes parts are gone": lambda at: [part.unlink() for part in (at / "notes").glob("*[12].parquet")],
    "a byte of a notes part is flipped": lambda at: flip(at / "notes/part-000002.parquet"),
    "a notes part is cut": lambda at: cut(at / "notes/part-000001.parquet"),
    "a rejects part is gone": lambda at: (at / "rejects/part-000002.parquet").unlink(),
    "a rejects part is empty": lambda at: cut(at / "rejects/part-000002.parquet", 0),
    "notes parts are swapped": lambda at: swap(*(at / f"notes/part-00000{n}.parquet" for n in (1, 2))),
    "raw parts are swapped": lambda at: swap(*(at / f"raw/part-00000{n}.parquet" for n in (1, 2))),
    "a part was written by somebody else": lambda at: shutil.copy(
        at / "notes/part-000001.parquet", at / "notes/part-000002.parquet"
    ),
    "a count of notes is edited": lambda at: change(at, "UPDATE segment SET notes = 1"),
    "a count of answers is edited": lambda at: change(at, "UPDATE segment SET answers = 1 WHERE id = 2"),
    "checksums are edited": lambda at: change(at, "UPDATE segment SET checksums = '{}'"),
    "a task's count is edited": lambda at: change(at, "UPDATE task SET notes = 1 WHERE id = 'again'"),
    "a waiting task's count is edited": lambda at: change(at, "UPDATE task SET notes = 9 WHERE id = 'waiting'"),
    "a task points to another answer": lambda at: change(at, "UPDATE task SET seq = 1 WHERE id = 'again'"),
    "a task is gone from the ledger": lambda at: change(at, "DELETE FROM task WHERE id = 'loud'"),
    "segments overlap": lambda at: change(at, "UPDATE segment SET last = last + 1 WHERE id = 1"),
    "segments are gone from the ledger": lambda at: change(at, "DELETE FROM segment"),
    "generations are gone from the ledger": lambda at: change(at, "DELETE FROM generation"),
    "a link is gone": lambda at: (at / "notes").unlink(),
    "all links are gone": lambda at: [(at / n).unlink() for n in ("notes", "raw", "rejects", "parts/current")],
    "strange files are there": lambda at: [(at / n).write_bytes(b"x") for n in ("notes/a", "parts/b", "tmp/c")],
    "a generation is there that nobody knows": lambda at: shutil.copytree(at / "parts/000001", at / "parts/000002"),
    "a crash left a plan": lambda at: change(
        at, "INSERT INTO segment (first, last, state) VALUES (15, 15, 'planned'), (1, 7, 'building')"
    ),
}


@pytest.mark.parametrize("damage", HARMLESS)
def test_what_can_be_made_anew_is_made_anew_and_nothing_is_lost(broken, content, damage):
    expected = content(broken)
    HARMLESS[damage](broken)
    assert check(broken).height > 0
    done = repair(broken)
    assert done.filter(~pl.col("done")).height == 0
    assert done.schema == REPAIRS_SCHEMA
    assert check(broken).height == 0
    notes, raw = content(broken)
    assert notes == expected[0]
    assert dict(raw) == dict(expected[1])
    assert repair(broken).height == 0


def test_a_store_without_faults_is_left_as_it_is(broken):
    before = {path: path.stat().st_mtime_ns for path in broken.rglob("*.parquet")}
    assert repair(broken).height == 0
    assert {path: path.stat().st_mtime_ns for path in broken.rglob("*.parquet")} == before


def test_a_damaged_file_is_kept_as_it_was(broken):
    flip(broken / "notes/part-000001.parquet")
    damaged = (broken / "notes/part-000001.parquet").read_bytes()
    repair(broken)
    assert [path.name for path in (broken / "damaged").iterdir()] == ["parts-000001-notes-part-000001.parquet"]
    assert (broken / "damaged/parts-000001-notes-part-000001.parquet").read_bytes() == damaged


LEDGERS = {
    "deleted": lambda path: path.unlink(),
    "emptied": lambda path: cut(path, 0),
    "cut": cut,
    "overwritten in the middle": overwrite,
    "overwritten at its beginning": lambda path: overwrite(path, 0, 0.01),
    "another file": lambda path: path.write_bytes(b"no database" * 1000),
}


@pytest.mark.parametrize("damage", LEDGERS)
def test_a_lost_or_damaged_ledger_is_made_anew_from_the_raw_answers(broken, content, damage):
    expected = sealed(content(broken))
    LEDGERS[damage](broken / "ledger.sqlite")
    done = repair(broken)
    assert done["done"].all()
    assert "labels, pending ids and answers that stood nowhere else are lost" in done["outcome"][0]
    assert check(broken).height == 0
    assert sealed(content(broken)) == expected
    assert repair(broken).height == 0


def test_a_new_ledger_says_of_each_task_what_the_old_one_said(broken):
    said = pl.exclude("source")
    with Store(broken) as store:
        expected = store.scan_tasks().filter(~pl.col("task").is_in(UNSEALED)).sort("task").collect()
    (broken / "ledger.sqlite").unlink()
    repair(broken)
    with Store(broken) as store:
        tasks = store.scan_tasks().sort("task").collect()
        assert tasks.select(said).equals(expected.select(said))
        assert tasks["source"].to_list() == expected["source"].to_list()
        assert store.scan_rejects().collect()["task"].to_list() == ["loud"] * 3


def test_songs_and_stems_come_back_with_a_new_ledger(tmp_path):
    separation = (
        b'{"code":200,"data":{"taskId":"s","musicId":"m","successFlag":"SUCCESS","response":'
        b'{"originData":[{"duration":2.5,"audio_url":"https://x/y","stem_type_group_name":"Vocals","id":"stem-1"}]}}}'
    )
    music = (
        b'{"code":200,"data":{"taskId":"t","status":"SUCCESS","response":{"sunoData":[{"id":"m","title":"Waltz"}]}}}'
    )
    from kie_notes.api.origins import parse_music, parse_separation

    with Store(tmp_path / "store") as store:
        store.accept(parse_separation(separation, source="separation record-info"), separation)
        store.accept(parse_music(music, source="music record-info"), music)
        store.seal()
    (tmp_path / "store/ledger.sqlite").unlink()
    repair(tmp_path / "store")
    with Store(tmp_path / "store") as store:
        assert store.scan_stems().select("stem", "name", "duration").collect().rows() == [("stem-1", "Vocals", 2.5)]
        assert store.scan_songs().select("song", "title").collect().rows() == [("m", "Waltz")]
    assert check(tmp_path / "store").height == 0


def test_labels_pending_tasks_and_waiting_answers_are_taken_out_of_a_damaged_ledger(broken, content):
    expected = content(broken)
    with closing(sqlite3.connect(broken / "ledger.sqlite")) as db:  # the index of open tasks, and nothing else
        (page,) = db.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'task_open'").fetchone()
        (size,) = db.execute("PRAGMA page_size").fetchone()
    path = broken / "ledger.sqlite"
    data = bytearray(path.read_bytes())
    data[(page - 1) * size : page * size] = b"\x00" * size
    path.write_bytes(data)
    assert check(broken)["fault"].to_list()[0] == "ledger-damaged"
    repair(broken)
    assert content(broken) == expected
    with Store(broken) as store:
        assert store.open_tasks().filter(task="labelled")["label"].to_list() == ["choir"]
        assert store.aside()["body"].to_list() == [b"<html>"]


@pytest.mark.parametrize("seed", range(8))
def test_a_ledger_with_flipped_bytes_gives_back_all_that_is_sealed(broken, content, seed):
    expected, chance = sealed(content(broken)), random.Random(seed)  # noqa: S311 -- places, not secrets
    data = bytearray((broken / "ledger.sqlite").read_bytes())
    for _ in range(30):
        data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
    (broken / "ledger.sqlite").write_bytes(data)
    repair(broken)
    assert check(broken).height == 0
    assert sealed(content(broken)) == expected


def test_what_comes_after_a_new_ledger_gets_new_numbers(broken):
    (broken / "ledger.sqlite").unlink()
    repair(broken)
    numbers = pl.read_parquet(broken / "raw")["seq"].to_list()
    with Store(broken) as store:
        store.put({"state": "complete", "instruments": []}, task="new")
        store.seal()
        names = [path.name for path in sorted((broken / "raw").iterdir())]
    assert pl.read_parquet(broken / "raw").filter(task="new")["seq"].item() > max(numbers)
    assert names[-1] > "part-000002.parquet"
    assert check(broken).height == 0


def many(store, first, count):
    for at in range(first, first + count):
        note = {"pitch": at, "start": 0, "end": 1, "velocity": 0.5}
        store.put({"state": "complete", "instruments": [{"name": "A", "notes": [note]}]}, task=f"t{at}")


@pytest.fixture
def young(tmp_path):
    """A store of forty tasks of today, in one part."""
    with Store(tmp_path / "young") as store:
        many(store, 0, 40)
        store.seal()
    return tmp_path / "young"


def among_the_bodies(part, group):
    import pyarrow.parquet as pq

    with pq.ParquetFile(part) as file:
        column = file.metadata.row_group(group).column(5)
    return column.data_page_offset + column.total_compressed_size - 20


def test_a_flipped_byte_in_a_raw_part_costs_sixteen_answers_at_most_and_no_note(young):
    part = young / "raw/part-000001.parquet"
    data = bytearray(part.read_bytes())
    data[among_the_bodies(part, 1)] ^= 1
    part.write_bytes(data)
    done = repair(young)
    assert done.filter(fault="part-damaged")["outcome"].to_list() == [
        "24 answers were taken out and stored again, 16 are lost"
    ]
    lost = check(young)
    assert lost["fault"].to_list() == ["answer-lost"] * 16
    assert lost["where"].to_list() == [f"t{at}" for at in range(16, 32)]
    assert lost["repair"].str.starts_with("kie-notes fetch brings it again, until ").all()
    with Store(young) as store:
        assert sorted(store.scan_notes().collect()["pitch"]) == list(range(40))
        assert sorted(pl.read_parquet(young / "notes")["pitch"]) == list(range(40))
        assert store.raw("t15") is not None
        assert store.raw("t16") is None
        assert store.open_tasks()["task"].to_list() == [f"t{at}" for at in range(16, 32)]
        assert store.open_tasks()["last_error"].unique().to_list() == ["the raw answer is lost: its part was damaged"]
    assert repair(young)["done"].sum() == 0


def test_answers_that_come_again_after_they_were_lost_leave_a_store_without_faults(young):
    (young / "raw/part-000001.parquet").unlink()
    repair(young)
    with Store(young) as store:
        many(store, 0, 40)
        assert sorted(store.scan_notes().collect()["pitch"]) == list(range(40))
        store.seal()
        assert sorted(pl.read_parquet(young / "notes")["pitch"]) == list(range(40))
        assert store.open_tasks().height == 0
        assert store.raw("t7") is not None
    assert check(young).height == 0


def test_notes_whose_answer_was_lost_stay_when_the_service_forgets_the_task(young):
    (young / "raw/part-000001.parquet").unlink()
    repair(young)
    with Store(young) as store:
        store.expire("t3")
        assert store.scan_tasks().filter(task="t3").collect()["state"].item() == "complete"
        assert store.scan_notes().collect().height == 40
        store.compact()
        store.rebuild()
        assert store.scan_notes().collect().height == 40
    assert set(check(young)["fault"]) == {"answer-lost"}


def test_a_task_of_long_ago_whose_answer_is_lost_stays_as_it_is_and_says_so(broken, content):
    expected = content(broken)
    flip(broken / "raw/part-000001.parquet")
    repair(broken)
    faults = check(broken)
    lost = set(faults["where"])
    assert set(faults["fault"]) == {"answer-lost"}
    assert faults["repair"].null_count() == faults.filter(pl.col("where") != "again").height
    notes, raw = content(broken)
    assert notes == expected[0]
    assert {task: state for task, (state, _) in raw.items()} == {
        task: state for task, (state, _) in expected[1].items()
    }
    assert {k: v for k, v in raw.items() if k not in lost} == {k: v for k, v in expected[1].items() if k not in lost}


def test_a_task_whose_answer_and_notes_are_lost_is_expired_or_asked_for_again(broken):
    for kind in ("raw", "notes"):
        (broken / f"{kind}/part-000001.parquet").write_bytes(b"")
        (broken / f"{kind}/part-000002.parquet").write_bytes(b"")
    repair(broken)
    with Store(broken) as store:
        states = dict(store.scan_tasks().select("task", "state").collect().rows())
        assert store.scan_notes().collect()["pitch"].to_list() == [70]
    assert states["again"] == "pending"
    assert states["7ca1092342b6b9749ae58982793500d4"] == "expired"
    assert set(check(broken)["fault"]) == {"answer-lost"}


def test_a_lost_ledger_and_a_damaged_raw_part_leave_the_notes(young):
    with Store(young) as store:
        many(store, 40, 3)
        store.seal()
    (young / "ledger.sqlite").unlink()
    cut(young / "raw/part-000001.parquet")
    repair(young)
    assert set(check(young)["fault"]) == {"answer-lost"}
    with Store(young) as store:
        assert sorted(store.scan_notes().collect()["pitch"]) == list(range(43))
        many(store, 0, 43)
        store.seal()
    assert check(young).height == 0
    assert sorted(pl.read_parquet(young / "notes")["pitch"]) == list(range(43))


def test_a_body_that_cannot_be_unpacked_is_put_away_and_asked_for_again(young):
    with Store(young) as store:
        many(store, 40, 2)
    change(young, "UPDATE inbox SET body = x'0011' WHERE task = 't40'")
    with Store(young) as store, pytest.raises(StoreError, match="waits in the ledger cannot be unpacked"):
        store.scan_notes()
    repair(young)
    assert (young / "damaged/inbox-41.zst").read_bytes() == b"\x00\x11"
    with Store(young) as store:
        assert store.open_tasks()["task"].to_list() == ["t40"]
        assert 41 in store.scan_notes().collect()["pitch"]
    assert check(young).height == 0


def test_an_older_ledger_that_was_put_back_takes_in_what_came_since(young):
    older = (young / "ledger.sqlite").read_bytes()
    with Store(young) as store:
        many(store, 40, 5)
        store.seal()
        store.compact()
    (young / "ledger.sqlite").write_bytes(older)
    assert "stray" in check(young)["fault"].to_list()
    repair(young)
    assert check(young).height == 0
    with Store(young) as store:
        assert sorted(store.scan_notes().collect()["pitch"]) == list(range(45))
        assert store.raw("t44") is not None


class Killed(BaseException):
    """As if the process had ended here."""


@pytest.mark.parametrize("steps", range(0, 28, 4))
def test_a_repair_that_is_stopped_at_any_step_is_done_by_the_next(broken, content, monkeypatch, steps):
    expected = content(broken)
    overwrite(broken / "ledger.sqlite", 0.1, 0.12)
    (broken / "notes/part-000001.parquet").unlink()
    flip(broken / "rejects/part-000002.parquet")
    left = [steps]

    def dying(real):
        def act(*arguments, **options):
            left[0] -= 1
            if left[0] < 0:
                raise Killed
            return real(*arguments, **options)

        return act

    with monkeypatch.context() as deadly:
        for name in ("replace", "unlink", "rename", "hardlink_to", "symlink_to"):
            deadly.setattr(Path, name, dying(getattr(Path, name)))
        try:  # noqa: SIM105
            repair(broken)
        except Killed:
            pass
    repair(broken)
    assert check(broken).height == 0
    assert sealed(content(broken)) == sealed(expected)


def test_a_repair_that_is_killed_is_done_by_the_next(young):
    program = "import sys; from kie_notes.store.repair import repair; print('now', flush=True); repair(sys.argv[1])"
    for wait in (0.0, 0.05, 0.2):
        (young / "ledger.sqlite").unlink(missing_ok=True)
        with subprocess.Popen([sys.executable, "-c", program, str(young)], stdout=subprocess.PIPE) as worker:
            worker.stdout.readline()
            time.sleep(wait)
            worker.kill()
    repair(young)
    assert check(young).height == 0
    with Store(young) as store:
        assert sorted(store.scan_notes().collect()["pitch"]) == list(range(40))


def test_a_process_that_has_a_replaced_ledger_open_acknowledges_nothing(broken):
    with Store(broken) as store:
        overwrite(broken / "ledger.sqlite", 0.1, 0.12)
        repair(broken)
        with pytest.raises(StoreError, match=r"deleted or replaced while it was open|malformed"):
            store.put({"state": "complete", "instruments": []}, task="late")
    with Store(broken) as store:
        assert store.raw("late") is None


def test_notes_of_the_samples_are_those_of_their_records_after_everything_but_raw_was_lost(broken):
    (broken / "ledger.sqlite").unlink()
    for kind in ("notes", "rejects"):
        shutil.rmtree((broken / kind).resolve())
    repair(broken)
    samples = Path(__file__).parents[2] / "data" / "samples" / "records"
    expected = flatten(read_records(sorted(samples.glob("*.json")))).notes
    with Store(broken) as store:
        notes = store.scan_notes().filter(~pl.col("task").cast(pl.String).is_in(["again", "loud"])).collect()
    assert notes.equals(expected)


def test_who_waits_for_the_ledger_while_it_is_renewed_acknowledges_nothing(young, monkeypatch):
    change(young, "DELETE FROM task WHERE id = 't0'")
    one_note = {"state": "complete", "instruments": []}
    waiting = []
    build, unlink = renew._build, Path.unlink

    def slow_build(*arguments, **options):
        waiting.append(pool.submit(store.put, one_note, task="late"))
        time.sleep(0.3)
        return build(*arguments, **options)

    def slow_unlink(path, **options):
        if path.name == "ledger.sqlite-wal":
            time.sleep(0.5)
        return unlink(path, **options)

    with Store(young) as store, ThreadPoolExecutor(1) as pool:
        monkeypatch.setattr(renew, "_build", slow_build)
        monkeypatch.setattr(Path, "unlink", slow_unlink)
        repair(young)
        with pytest.raises(StoreError, match="deleted or replaced"):
            waiting[0].result()


def test_what_came_after_a_stopped_repair_is_in_the_ledger_of_the_next(young):
    change(young, "DELETE FROM task WHERE id = 't0'")
    with Store(young) as store:
        shutil.copy(young / "ledger.sqlite", young / "ledger.renewed")
        many(store, 40, 1)
        repair(young)
    with Store(young) as store:
        assert store.raw("t40") is not None
        assert sorted(store.scan_notes().collect()["pitch"]) == list(range(41))
    assert {"ledger.sqlite", "ledger.sqlite-wal"} <= {path.name for path in (young / "damaged").iterdir()}


def test_a_repair_that_was_stopped_when_the_old_ledger_was_gone_goes_on_with_the_new_one(young):
    with Store(young) as store:
        store.add(["mine"])
    (young / "ledger.sqlite").rename(young / "ledger.renewed")
    assert repair(young)["outcome"].to_list() == ["a new ledger, which an earlier repair had built"]
    with Store(young) as store:
        assert store.open_tasks()["task"].to_list() == ["mine"]


def test_stems_on_a_damaged_page_are_read_again(tmp_path):
    from kie_notes.api.origins import parse_separation

    source = "separation record-info"
    with Store(tmp_path / "store") as store:
        for at in range(60):
            body = (
                b'{"code":200,"data":{"taskId":"s%d","musicId":"m","successFlag":"SUCCESS","response":'
                b'{"originData":[{"audio_url":"https://x/y","stem_type_group_name":"Vocals","id":"stem-%d"}]}}}'
            ) % (at, at)
            store.accept(parse_separation(body, source=source), body)
        store.seal()
    path = tmp_path / "store/ledger.sqlite"
    with closing(sqlite3.connect(path)) as db:
        (page,) = db.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'stem'").fetchone()
        (size,) = db.execute("PRAGMA page_size").fetchone()
    data = bytearray(path.read_bytes())
    data[(page - 1) * size : (page - 1) * size + 200] = b"\xff" * 200
    path.write_bytes(data)
    repair(tmp_path / "store")
    with Store(tmp_path / "store") as store:
        stems = store.scan_stems().collect()
        assert sorted(stems["stem"]) == sorted(f"stem-{at}" for at in range(60))
    assert check(tmp_path / "store").height == 0


FAILED = b'{"code":200,"msg":"s","data":{"taskId":"t","successFlag":3,"errorMessage":"no"}}'
MIDI = b'{"state":"complete","instruments":[{"name":"F","notes":[{"pitch":60,"start":0,"end":1,"velocity":1}]}]}'
CALLBACK = b'{"code":200,"msg":"s","data":{"taskId":"t",' + MIDI[1:] + b"}"
RECORD = b'{"code":200,"msg":"s","data":{"taskId":"t","successFlag":1,"midiData":' + MIDI + b"}}"


def take(store, body):
    store.accept(parse_record(body, source="record-info"), body)
    store.seal()


def test_a_copy_of_an_older_part_changes_nothing(tmp_path):
    with Store(tmp_path / "store") as store:
        take(store, FAILED)
        assert store.receive([("t", CALLBACK)]) == ["taken"]
        store.seal()
    raw = tmp_path / "store/raw"
    shutil.copy(raw / "part-000001.parquet", raw / "part-000001 (copy).parquet")
    done = repair(tmp_path / "store")
    assert done["outcome"].to_list() == ["put away; 0 answers in it were not known, and are taken"]
    with Store(tmp_path / "store") as store:
        assert store.scan_tasks().select("state", "notes").collect().rows() == [("complete", 1)]
        assert store.scan_notes().collect().height == 1


def test_an_answer_that_is_found_takes_no_result_away(tmp_path):
    with Store(tmp_path / "other") as other:
        take(other, FAILED)
    with Store(tmp_path / "store") as store:
        assert store.receive([("t", CALLBACK)]) == ["taken"]
        store.seal()
    shutil.copy(tmp_path / "other/raw/part-000001.parquet", tmp_path / "store/raw/found.parquet")
    repair(tmp_path / "store")
    with Store(tmp_path / "store") as store:
        assert store.scan_tasks().select("state", "notes").collect().rows() == [("complete", 1)]


def test_a_damaged_raw_part_is_kept_when_the_repair_is_stopped_before_it_is_replaced(young, monkeypatch):
    part = (young / "raw/part-000001.parquet").resolve()
    cut(part)
    damaged = part.read_bytes()

    def die(*_arguments):
        raise Killed

    with monkeypatch.context() as deadly:
        for name in ("write_part", "keep"):
            deadly.setattr(f"kie_notes.store.repair.{name}", die)
        with pytest.raises(Killed, match=r"^$"):
            repair(young)
    repair(young)
    assert damaged in [path.read_bytes() for path in (young / "damaged").iterdir()]


def test_notes_whose_answer_was_lost_say_more_than_an_older_answer_when_the_ledger_is_lost_too(tmp_path):
    with Store(tmp_path / "store") as store:
        take(store, FAILED)
        store.reopen(["t"])
        take(store, RECORD)
    (tmp_path / "store/raw/part-000002.parquet").unlink()
    repair(tmp_path / "store")
    (tmp_path / "store/ledger.sqlite").unlink()
    repair(tmp_path / "store")
    with Store(tmp_path / "store") as store:
        assert store.scan_tasks().select("state", "notes").collect().rows() == [("pending", 1)]
        assert store.scan_notes().collect().height == 1
