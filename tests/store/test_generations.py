"""Parts take the place of others in one step: what is read is right at every moment, and nobody is disturbed."""

import json
import threading

import polars as pl
import pyarrow.parquet as pq
import pytest
from polars.testing import assert_frame_equal

from kie_notes.api.origins import parse_separation
from kie_notes.api.records import parse_record
from kie_notes.errors import RecordError, StoreError
from kie_notes.store import Store, seal
from kie_notes.store.check import check
from kie_notes.store.generations import every
from kie_notes.store.reading import read
from kie_notes.store.repair import repair
from kie_notes.store.upkeep import rebuild


def bare(*pitches, velocity=0.5):
    notes = [{"pitch": pitch, "start": 0, "end": 1, "velocity": velocity} for pitch in pitches]
    return {"state": "complete", "instruments": [{"name": "Flute", "notes": notes}]}


def pitches(frame):
    return dict(frame.select(pl.col("task").cast(pl.String), "pitch").rows())


@pytest.fixture
def store(tmp_path):
    with Store(tmp_path / "store") as one:
        yield one


def sealed_one_by_one(store, count, first=0):
    for at in range(first, first + count):
        store.put(bare(at), task=f"t{at}")
        store.seal()


def test_small_parts_become_one_and_hold_the_same_notes_and_answers(store):
    sealed_one_by_one(store, 5)
    notes, raw = (pl.read_parquet(store.folder / kind) for kind in ("notes", "raw"))
    assert store.compact() == 4
    assert_frame_equal(pl.read_parquet(store.folder / "notes"), notes)
    assert_frame_equal(pl.read_parquet(store.folder / "raw"), raw)
    assert [pl.read_parquet(part).height for part in sorted((store.folder / "notes").iterdir())] == [0, 5]
    assert json.loads(store.raw("t3")) == bare(3)
    assert store.compact() == 0


def test_many_small_parts_are_merged_unasked(store):
    sealed_one_by_one(store, 64)
    assert len(list((store.folder / "notes").iterdir())) == 2
    assert pitches(store.scan_notes().collect()) == {f"t{at}": at for at in range(64)}


def test_parts_are_not_merged_beyond_what_a_segment_may_hold(store, monkeypatch):
    monkeypatch.setattr("kie_notes.store.generations.SEGMENT_ANSWERS", 3)
    sealed_one_by_one(store, 7)
    store.compact()
    assert [pl.read_parquet(part).height for part in sorted((store.folder / "notes").iterdir())] == [0, 1, 3, 3]


def test_a_scan_that_began_before_goes_on_reading_what_it_saw(store):
    sealed_one_by_one(store, 3)
    before = store.scan_notes()
    store.compact()
    store.put(bare(9), task="later")
    store.seal()
    assert pitches(before.collect()) == {"t0": 0, "t1": 1, "t2": 2}
    assert pitches(store.scan_notes().collect()) == {"t0": 0, "t1": 1, "t2": 2, "later": 9}


def test_an_old_generation_goes_when_its_time_is_over(store, monkeypatch):
    sealed_one_by_one(store, 2)
    store.compact()
    assert len([path for path in (store.folder / "parts").iterdir() if path.name.isdecimal()]) == 2
    monkeypatch.setattr("kie_notes.store.generations.GRACE_MS", -1000)
    store.put(bare(9), task="later")
    store.seal()
    store.compact()
    assert [path.name for path in (store.folder / "parts").iterdir() if path.name.isdecimal()] == ["000002", "000003"]


def test_readers_of_the_folder_see_each_task_once_while_parts_are_merged_and_made_anew(store):
    sealed_one_by_one(store, 6)
    seen, faults, done = set(), [], threading.Event()

    def reads():
        while not done.is_set():
            try:
                tasks = pl.read_parquet(store.folder / "notes")["task"].cast(pl.String).to_list()
            except FileNotFoundError:  # the list of names was read before the switch, a file after it
                continue
            except Exception as fault:  # noqa: BLE001 -- a thread's fault is the test's
                faults.append(fault)
                return
            seen.add(tuple(sorted(tasks)))

    reader = threading.Thread(target=reads)
    reader.start()
    for _ in range(8):
        store.compact()
        store.rebuild(progress=False)
    done.set()
    reader.join()
    assert faults == []
    assert seen == {tuple(f"t{at}" for at in range(6))}


@pytest.mark.parametrize("step", ["_build", "_switch", "_point"])
def test_a_rewriting_that_dies_changes_nothing_and_leaves_nothing(store, monkeypatch, step):
    sealed_one_by_one(store, 3)

    def dies(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as broken:
        broken.setattr(f"kie_notes.store.generations.{step}", dies)
        with pytest.raises(KeyboardInterrupt):
            store.compact()
    with Store(store.folder) as again:
        assert pitches(again.scan_notes().collect()) == {"t0": 0, "t1": 1, "t2": 2}
        assert pitches(pl.read_parquet(store.folder / "notes")) == {"t0": 0, "t1": 1, "t2": 2}
        again.compact()
        assert len(list((store.folder / "notes").iterdir())) == 2
        current = (store.folder / "parts" / "current").readlink()
        assert (again.folder / "parts" / current / "notes").is_dir()


def test_a_rebuild_makes_everything_anew_from_the_raw_answers(store):
    store.put(bare(60, 61), task="a")
    store.put({"code": 500, "msg": "MIDI generation failed", "data": {"taskId": "b"}})
    store.put(bare(60, velocity=96), task="c")
    store.seal()
    notes, tasks, rejects = (scan().collect() for scan in (store.scan_notes, store.scan_tasks, store.scan_rejects))
    assert store.rebuild(progress=False) == (2, 2, 2, 0)
    assert_frame_equal(store.scan_notes().collect(), notes)
    assert_frame_equal(store.scan_tasks().collect(), tasks)
    assert_frame_equal(store.scan_rejects().collect(), rejects)


def test_a_rebuild_takes_what_a_better_reader_reads(store, monkeypatch):
    store.put(bare(60), task="a")
    cut = called_back(60).replace(b'"a"', b'"b"')[:-5]
    assert store.receive([("b", cut)]) == ["unreadable"]
    store.seal()
    monkeypatch.setattr(
        "kie_notes.store.seal.parse_record", lambda body, **said: parse_record(body.replace(b"60", b"61"), **said)
    )
    monkeypatch.setattr("kie_notes.store.upkeep.read", lambda body, **said: read(body + b"]}]}}", **said))
    before = store.scan_notes()
    assert store.rebuild(progress=False) == (1, 1, 1, 1)
    assert pitches(before.collect()) == {"a": 60}
    assert pitches(store.scan_notes().collect()) == {"a": 61}
    assert store.scan_tasks().select("task", "state", "notes").collect().rows() == [
        ("a", "complete", 1),
        ("b", "complete", 1),
    ]
    assert store.aside().is_empty()


def test_an_answer_that_cannot_be_read_any_more_is_a_reject_that_says_so(store, monkeypatch):
    store.put(bare(60), task="a")
    store.seal()
    monkeypatch.setattr("kie_notes.store.seal.parse_record", parse_separation)
    store.rebuild(progress=False)
    assert store.scan_notes().collect().is_empty()
    assert store.scan_tasks().select("state").collect().rows() == [("failed",)]
    assert "task a: " in store.scan_rejects().collect()["reason"][0]
    assert store.raw("a") is not None


def test_a_rebuild_of_a_damaged_raw_part_changes_nothing(store):
    store.put(bare(60), task="a")
    store.seal()
    part = store.folder / "raw" / "part-000001.parquet"
    column = pq.read_metadata(part).row_group(0).column(5)
    content = bytearray(part.read_bytes())
    content[column.data_page_offset + column.total_compressed_size - 3] ^= 0xFF
    part.write_bytes(content)
    with pytest.raises(StoreError, match=r"cannot be read: .*'kie-notes check' tells what can be done"):
        store.rebuild(progress=False)
    assert pitches(store.scan_notes().collect()) == {"a": 60}
    assert [path.name for path in (store.folder / "parts").iterdir() if path.name.isdecimal()] == ["000001"]


# What a callback says, and what takes its place.


def test_a_callback_is_unconfirmed_until_the_service_says_so_too(store):
    assert store.receive([("a", b'{"code":200,"data":{"taskId":"a","state":"complete","instruments":[]}}')]) == [
        "taken"
    ]
    assert store.scan_tasks().select("state", "source").collect().rows() == [("empty", "callback (unconfirmed)")]
    assert store.open_tasks()["task"].to_list() == ["a"]
    store.put(bare(60), task="a", source="record-info")
    assert store.scan_tasks().select("state", "source").collect().rows() == [("complete", "record-info")]
    assert store.open_tasks().is_empty()


def called_back(pitch):
    note = f'{{"pitch":{pitch},"start":"0","end":1,"velocity":1}}'
    return (
        f'{{"code":200,"data":{{"taskId":"a","state":"complete","instruments":[{{"name":"A","notes":[{note}]}}]}}}}'
    ).encode()


@pytest.mark.parametrize("sealed", [False, True])
@pytest.mark.parametrize(
    ("word", "left"),
    [
        (bare(60), {"a": 60, "b": 1}),
        ({"code": 501, "msg": "failed", "data": {"taskId": "a"}}, {"b": 1}),
    ],
)
def test_what_the_service_says_takes_the_place_of_a_forged_callback(store, sealed, word, left):
    store.receive([("a", called_back(99))])
    store.put(bare(1), task="b")
    if sealed:
        store.seal()
        assert pitches(pl.read_parquet(store.folder / "notes")) == {"a": 99, "b": 1}
    store.put(word, task="a", source="record-info")
    assert pitches(store.scan_notes().collect()) == left
    store.seal()
    assert pitches(store.scan_notes().collect()) == left
    assert pitches(pl.read_parquet(store.folder / "notes")) == left
    raw = pl.read_parquet(store.folder / "raw").filter(pl.col("task") == "a")
    assert sorted(raw["source"]) == ["callback (unconfirmed)", "record-info"]  # both are kept


def test_an_answer_that_is_outdated_while_its_part_is_built_is_not_read(store, monkeypatch):
    store.receive([("a", called_back(99))])
    write = seal.write_segment

    def meanwhile(*arguments):
        monkeypatch.setattr("kie_notes.store.seal.write_segment", write)
        built = write(*arguments)
        store.put(bare(60), task="a", source="record-info")
        return built

    monkeypatch.setattr("kie_notes.store.seal.write_segment", meanwhile)
    store.seal()
    assert pitches(store.scan_notes().collect()) == {"a": 60}
    assert pitches(pl.read_parquet(store.folder / "notes")) == {"a": 60}


def test_a_callback_changes_nothing_that_the_service_said(store):
    store.put(bare(60), task="a", source="record-info")
    assert store.receive([("a", called_back(99)), ("a", b'{"code":501,"msg":"x","data":{"taskId":"a"}}')]) == [
        "known",
        "known",
    ]
    assert pitches(store.scan_notes().collect()) == {"a": 60}


def test_the_same_callback_again_changes_nothing(store):
    assert [store.receive([("a", called_back(60))]) for _ in range(3)] == [["taken"], ["known"], ["known"]]
    store.seal()
    assert pl.read_parquet(store.folder / "raw").height == 1


def test_a_callback_of_a_task_that_the_service_does_not_know_ends_as_failed_and_its_notes_are_not_read(store):
    store.receive([("a", called_back(99))])
    store.seal()
    store.give_up("a", "the service knows no such task")
    assert store.scan_notes().collect().is_empty()
    assert store.scan_tasks().select("state", "error_message").collect().rows() == [
        ("failed", "a callback came, and the service knows no such task")
    ]
    store.seal()
    assert pl.read_parquet(store.folder / "notes").is_empty()
    assert pl.read_parquet(store.folder / "raw").height == 1


def test_a_callback_that_cannot_be_confirmed_any_more_stays_as_what_it_is(store):
    store.receive([("a", called_back(60))])
    store.expire("a")
    assert store.open_tasks().is_empty()
    assert pitches(store.scan_notes().collect()) == {"a": 60}
    assert store.scan_tasks().select("state", "source").collect().rows() == [("complete", "callback (unconfirmed)")]


def test_a_body_that_cannot_be_read_is_kept_aside_once_and_its_task_is_looked_at(store):
    bad = b'{"taskId": "a", "instruments": 5'
    assert [store.receive([("a", bad)]) for _ in range(2)] == [["unreadable"], ["known"]]
    (row,) = store.aside().select("task", "reason", "body").rows()
    assert (row[0], row[2]) == ("a", bad)
    assert "expected JSON" in row[1]
    assert store.open_tasks()["task"].to_list() == ["a"]
    assert store.scan_rejects().select("task", "field").collect().rows() == [("a", "document")]


def test_a_task_of_one_kind_is_not_answered_with_another(store):
    stem = b'{"id":"s","stem_type_group_name":"Vocals","duration":1.5,"audio_url":"https://x.invalid/"}'
    body = (
        b'{"code":200,"data":{"taskId":"a","musicId":"m","response":{"originData":[%s]},"successFlag":"SUCCESS"}}'
        % stem
    )
    store.accept(parse_separation(body, source="separation record-info"), body)
    assert store.scan_stems().select("stem", "name", "song").collect().rows() == [("s", "Vocals", "m")]
    with pytest.raises(RecordError, match="task 'a' is a separation task, and the answer is that of a midi task"):
        store.put(bare(60), task="a")
    assert store.receive([("a", called_back(60))]) == ["unreadable"]
    assert store.raw("a") == body


def separated(*stems):
    """What the service says of a separation: its stems, or that it failed."""
    data = {"taskId": "sep", "musicId": "m", "successFlag": "GENERATE_AUDIO_FAILED", "response": None}
    if stems:
        rows = [{"id": stem, "stem_type_group_name": "Vocals", "audio_url": "https://a/b"} for stem in stems]
        data |= {"successFlag": "SUCCESS", "response": {"originData": rows}}
    return json.dumps({"code": 200, "msg": "success", "data": data}).encode()


def test_an_older_failure_of_a_separation_that_is_read_again_leaves_the_stems_of_the_later_result(store):
    store.add(["sep"], kind="separation")
    for body in (separated(), separated("st1")):
        store.reopen(["sep"])
        store.accept(parse_separation(body, source="separation record-info"), body)
        store.seal()
    with_failure = lambda db: every(db)[:1]  # noqa: E731 -- the segment with the failure
    rebuild(store.folder, store._ledger, choose=with_failure, progress=False)
    assert store.scan_stems().collect()["stem"].to_list() == ["st1"]


@pytest.mark.parametrize("at", [40, -30])
def test_notes_that_were_altered_after_their_answers_were_lost_are_put_away_and_not_made_valid(tmp_path, at):
    folder = tmp_path / "store"
    with Store(folder) as store:
        for task, pitch in (("t1", 60), ("t2", 61)):
            store.put(bare(pitch), task=task)
        store.seal()
    (folder / "raw/part-000001.parquet").unlink()
    repair(folder, progress=False)
    (part,) = [one for one in (folder / "notes").iterdir() if "000000" not in one.name]
    data = bytearray(part.read_bytes())
    data[at] ^= 1
    part.write_bytes(data)
    repair(folder, progress=False)
    assert set(check(folder, progress=False)["fault"]) == {"answer-lost"}
    assert data in [one.read_bytes() for one in (folder / "damaged").iterdir()]
    with Store(folder) as store:
        assert store.scan_notes().collect().height == 0
        said = store.scan_tasks().select("task", "state", "notes", "rejected").collect().rows()
    assert said == [("t1", "pending", 0, 0), ("t2", "pending", 0, 0)]
