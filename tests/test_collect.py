"""Collecting against the sandbox: every fault id ends in the right state, and a later run repairs what can be."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import textwrap
import time
import warnings
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from kie_notes.api.client import KieClient
from kie_notes.api.files import read_records
from kie_notes.api.sandbox import Sandbox
from kie_notes.collect import collect, ingest, watch
from kie_notes.errors import AuthenticationError, CreditsError, ExpiryWarning, TaskFailedError
from kie_notes.notes import flatten, join_tasks
from kie_notes.orders import separate, submit
from kie_notes.store import Store

SAMPLES = Path(__file__).parents[1] / "data" / "samples" / "records"
QUICK = {"first_look": 0.0, "poll": (0.05, 0.1), "grace": 0.0, "deadline": 20.0, "progress": False}


@pytest.fixture
def sandbox():
    with Sandbox(SAMPLES) as service:
        yield service


@pytest.fixture
def client(sandbox):
    with KieClient(
        api_key=sandbox.key, base_url=sandbox.url, attempts=2, wait_max=0.02, read_timeout=1, max_bytes=1 << 22
    ) as one:
        yield one


@pytest.fixture
def store(tmp_path):
    with Store(tmp_path / "store") as one:
        yield one


def test_real_music_is_fetched_stored_and_sealed(store, client):
    tasks = [path.stem for path in sorted(SAMPLES.glob("*.json"))]
    report = collect(tasks, store, client, **QUICK | {"deadline": 1.0})
    assert report.tasks["task"].to_list() == tasks
    assert {state: len(report.of(state)) for state in ("complete", "empty", "failed", "pending")} == {
        "complete": 9,
        "empty": 1,
        "failed": 1,
        "pending": 1,
    }
    expected = flatten(read_records(SAMPLES)).notes
    stored = store.scan_notes().collect()
    assert_frame_equal(
        *(
            frame.with_columns(pl.col("task").cast(pl.String)).sort("task", maintain_order=True)
            for frame in (stored, expected)
        )
    )
    assert pl.read_parquet(store.folder / "notes").height == expected.height
    assert str(report).startswith(f"12 tasks: 9 complete, 1 empty, 1 failed, 1 pending; {expected.height} notes\n")


#: Fault id -> state after one run, what the reason says, state after a second run.
FAULTS = {
    "fail-1": ("failed", "could not generate the notes: MIDI generation failed", "failed"),
    "refuse-1": ("failed", "could not create the task", "failed"),
    "empty-1": ("empty", "split_stem", "empty"),
    "slow-1": ("complete", None, "complete"),
    "drop-1": ("complete", None, "complete"),
    "html-1": ("complete", None, "complete"),
    "blank-1": ("complete", None, "complete"),
    "plain-1": ("complete", None, "complete"),
    "strings-1": ("complete", None, "complete"),
    "latin-1": ("pending", "expected a JSON object|expected JSON", "pending"),
    "nan-1": ("complete", None, "complete"),
    "token-1": ("complete", None, "complete"),
    "huge-1": ("complete", None, "complete"),
    "expired-1": ("failed", "its data is null", "failed"),
    "unknown-1": ("failed", "the service knows no such task", "failed"),
    "other-1": ("pending", "got the record of", "pending"),
    "junk-1": ("pending", "expected a JSON object", "pending"),
    "deep-1": ("pending", "expected", "pending"),
    "big5-1": ("pending", "larger than max_bytes", "pending"),
    "bomb5-1": ("pending", "larger than max_bytes", "pending"),
    "redirect-1": ("pending", "where the key is not sent", "pending"),
    "html9-1": ("pending", "HTTP 502", "complete"),
    "drop9-1": ("pending", "drop9-1", "complete"),
    "code501-1": ("failed", "Server error", "complete"),
}


@pytest.mark.parametrize("task", FAULTS)
def test_each_fault_ends_in_the_right_state_with_a_reason_and_a_later_run_repairs_what_can_be(
    store, client, sandbox, task
):
    first, reason, later = FAULTS[task]
    waits = QUICK | {"deadline": 1.0 if task.endswith("9-1") else 5.0}
    if task.endswith("9-1"):
        waits |= {"poll": (30.0, 30.0)}
    (row,) = collect([task], store, client, **waits).tasks.rows(named=True)
    assert row["state"] == first
    if reason is None:
        assert row["reason"] is None
    else:
        assert any(part in row["reason"] for part in reason.split("|")), row["reason"]
        assert sandbox.key not in row["reason"]
    for _ in range(6):
        again = collect([task], store, client, **waits)
        if again.of(later):
            break
    assert again.of(later) == [task]


def test_one_bad_task_does_not_hold_up_the_others(store, client):
    tasks = ["hang9-1", *(path.stem for path in SAMPLES.glob("*.json"))]
    report = collect(tasks, store, client, **QUICK | {"deadline": 2.0})
    assert len(report.of("complete")) == 9
    assert "hang9-1" in report.of("pending")


def test_bad_notes_are_counted_and_kept_with_their_reasons(store, client):
    (row,) = collect(["nan-1"], store, client, **QUICK).tasks.rows(named=True)
    assert (row["notes"], row["rejected"]) == (4, 9)
    rejects = store.scan_rejects().collect()
    assert rejects.height == 9
    assert rejects["reason"].null_count() == 0


def test_what_is_in_the_store_is_not_asked_for_again(store, client, sandbox):
    collect(["strings-1", "empty-1"], store, client, **QUICK)
    asked = len(sandbox.requests)
    report = collect(["strings-1", "empty-1", "strings-1"], store, client, **QUICK)
    assert len(sandbox.requests) == asked
    assert report.tasks["task"].to_list() == ["strings-1", "empty-1"]


def test_a_wrong_key_stops_at_once_and_marks_nothing_failed(store, sandbox):
    with KieClient(api_key="wrong", base_url=sandbox.url) as client, pytest.raises(AuthenticationError):
        collect(["slow-1", "slow-2"], store, client, **QUICK)
    assert store.open_tasks()["task"].to_list() == ["slow-1", "slow-2"]


def test_missing_credits_stop_at_once(store, client):
    with pytest.raises(CreditsError):
        collect(["credits-1", "slow-2"], store, client, **QUICK)
    assert store.scan_tasks().collect()["state"].unique().to_list() == ["pending"]


def test_a_task_past_its_14_days_is_asked_for_once_more_before_it_is_expired(store, client, sandbox):
    then = datetime.now(UTC) - timedelta(days=15)
    report = collect(["expired-1", "strings-1"], store, client, submitted_at=then, **QUICK)
    assert report.of("expired") == ["expired-1"]
    assert report.of("complete") == ["strings-1"]
    assert [one.task for one in sandbox.requests].count("expired-1") == 1
    assert "14 days" in report.tasks["reason"][0]


def test_a_task_that_is_not_known_yet_gets_its_time(store, client):
    waits = QUICK | {"grace": 5.0}
    assert collect(["late-1"], store, client, **waits).of("complete") == ["late-1"]


def test_a_result_that_will_soon_be_gone_is_warned_of(store, client):
    then = datetime.now(UTC) - timedelta(days=13)
    with pytest.warns(ExpiryWarning, match=r"task slow9-1: its result will be gone in (23|24) hours"):
        collect(["slow9-1"], store, client, submitted_at=then, **QUICK | {"deadline": 0.1})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        collect(["slow8-1"], store, client, **QUICK | {"deadline": 0.1})


def test_the_task_that_expires_first_is_asked_for_first(store, client, sandbox):
    now = datetime.now(UTC)
    store.add(["strings-late"], submitted_at=now - timedelta(days=1))
    store.add(["strings-soon"], submitted_at=now - timedelta(days=9))
    collect(["strings-late", "strings-soon"], store, client, workers=1, **QUICK)
    assert [one.task for one in sandbox.requests] == ["strings-soon", "strings-late"]


def test_several_tasks_are_asked_for_at_a_time(store, sandbox):
    with KieClient(api_key=sandbox.key, base_url=sandbox.url, read_timeout=1, attempts=1) as client:
        began = time.monotonic()
        collect([f"hang1-{at}" for at in range(4)], store, client, workers=4, **QUICK)
        assert time.monotonic() - began < 3.5


def test_ctrl_c_keeps_what_came_and_the_next_run_goes_on(tmp_path, sandbox):
    program = textwrap.dedent("""
        import sys
        from kie_notes import KieClient, Store, collect
        with Store(sys.argv[1]) as store, KieClient(api_key=sys.argv[2], base_url=sys.argv[3]) as client:
            collect(["strings-1", "slow99-1"], store, client, first_look=0, poll=(0.2, 0.2))
    """)
    arguments = [sys.executable, "-c", program, str(tmp_path / "store"), sandbox.key, sandbox.url]
    with subprocess.Popen(arguments, stderr=subprocess.PIPE, env=os.environ | {"PYTHONWARNINGS": "ignore"}) as worker:
        while len(sandbox.requests) < 4:
            time.sleep(0.02)
        worker.send_signal(signal.SIGINT)
        assert b"KeyboardInterrupt" in worker.communicate(timeout=20)[1]
    assert pl.read_parquet(tmp_path / "store" / "notes").height > 0  # sealed on the way out
    with Store(tmp_path / "store") as store:
        assert store.open_tasks()["task"].to_list() == ["slow99-1"]


def test_json_on_disk_is_taken_in_and_what_cannot_be_read_is_told(store, tmp_path):
    (tmp_path / "bad.json").write_text("{")
    report = ingest([SAMPLES, tmp_path / "bad.json"], store, progress=False)
    assert report.tasks.height == 12
    assert report.unread["source"].to_list() == [(tmp_path / "bad.json").as_posix()]
    assert "bad.json: not taken: expected JSON" in str(report)
    assert pl.read_parquet(store.folder / "notes").height == flatten(read_records(SAMPLES)).notes.height
    assert (
        store.raw("2563b06b0c5007d373fdb880fde0984a")
        == (SAMPLES / "2563b06b0c5007d373fdb880fde0984a.json").read_bytes()
    )


def test_a_report_is_made_of_plain_values(store, client):
    report = collect(["fail-1"], store, client, **QUICK)
    assert json.loads(json.dumps(report.tasks.rows(named=True)))[0]["task"] == "fail-1"
    assert report.missing == ["fail-1"]


@contextlib.contextmanager
def serving(*records, **options):
    with Sandbox(*records, **options) as service, KieClient(api_key=service.key, base_url=service.url) as client:
        yield client


def record(task, **fields):
    note = {"pitch": 60, "start": 0, "end": 1, "velocity": 1}
    data = {"taskId": task, "midiData": {"instruments": [{"name": "A", "notes": [note]}]}, "successFlag": 1} | fields
    return {"code": 200, "msg": "success", "data": data}


#: Answers that must neither end the run nor be stored under the id that was asked for, and a word of the reason.
STRANGE = {
    "another task, outside of data": ({"code": 200, "taskId": "OTHER", "data": {"midiData": {}}}, "record of 'OTHER'"),
    "another task, in a list": (
        {"code": 200, "data": [{"taskId": "OTHER", "state": "complete", "instruments": []}]},
        "OTHER",
    ),
    "too many instruments": (record("bad", midiData={"instruments": [{"name": "", "notes": []}] * 65_537}), "65536"),
    "a result of another kind": (
        {"code": 200, "data": {"taskId": "bad", "successFlag": 1, "resultJson": '{"songs": [1]}'}},
        "kind",
    ),
}


@pytest.mark.parametrize("case", STRANGE)
def test_a_strange_answer_costs_its_own_task_only(store, case):
    answer, word = STRANGE[case]
    with serving({"bad": answer, "good": record("good")}) as client:
        report = collect(["bad", "good"], store, client, **QUICK | {"deadline": 2.0})
    assert report.of("complete") == ["good"]
    assert report.tasks.filter(task="bad")["state"].to_list() == ["pending"]
    assert word in report.tasks.filter(task="bad")["reason"][0]
    assert store.scan_tasks().collect()["task"].to_list() == ["bad", "good"]


def test_a_pending_task_that_shows_some_notes_is_waited_for(store):
    with serving({"a": record("a", successFlag=0)}) as client:
        assert collect(["a"], store, client, **QUICK | {"deadline": 0.3}).of("pending") == ["a"]
    assert store.scan_notes().collect().is_empty()


def test_a_deadline_holds_also_when_the_service_asks_to_wait(store):
    with serving(asks=99, retry_after=30) as client:
        began = time.monotonic()
        report = collect(["busy-1", "busy-2"], store, client, **QUICK | {"deadline": 1.0})
    assert time.monotonic() - began < 3.0
    assert report.of("pending") == ["busy-1", "busy-2"]


def test_a_present_reason_is_not_hidden_by_an_old_one(store, client, sandbox):
    collect(["fail-1"], store, client, **QUICK)
    sandbox.close()
    report = collect(["fail-1"], store, client, **QUICK | {"deadline": 0.3})
    assert report.of("pending") == ["fail-1"]
    assert "refused" in report.tasks["reason"][0]


def test_what_is_missing_can_be_raised(store, client):
    report = collect(["fail-1", "strings-1"], store, client, **QUICK)
    with pytest.raises(TaskFailedError, match="task fail-1: the service could not generate the notes"):
        report.raise_for_missing()
    collect(["strings-1"], store, client, **QUICK).raise_for_missing()


def test_two_files_of_one_name_are_never_taken_for_one_task(store, tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "notes.json").write_text(json.dumps(record("x")["data"]["midiData"] | {"of": name}))
    assert ingest(tmp_path, store, progress=False).of("complete") == ["a/notes", "b/notes"]
    report = ingest([tmp_path / "a" / "notes.json", tmp_path / "b" / "notes.json"], store, progress=False)
    assert "took the name 'notes' already" in report.unread["reason"][0]


def test_one_text_is_not_taken_for_a_list_of_letters(store, client):
    with pytest.raises(TypeError, match="expected several ids, got one text"):
        collect("abc", store, client, **QUICK)


#: The second of the two songs that the sandbox has for the music task ``m1``, and what it says of it.
SECOND_SONG = "3f054a63-b6cb-5bc3-81d9-03a0784800c1"
LABELS = {"title": "钢铁侠", "tags": "electrifying, rock", "model": "chirp-v3-5", "song_duration": 187.6}


def test_a_chain_from_the_song_to_the_notes_has_its_labels(store, client):
    (separation,) = separate([("m1", SECOND_SONG)], store, client, label="choir")["task"]
    watch(store, client, **QUICK)
    stems = store.scan_stems().select("separation_task", audio_id="stem").collect()
    made = submit(stems, store, client)["task"].to_list()
    watch(store, client, **QUICK)
    report = collect(made, store, client, **QUICK, with_song=True)
    assert report.origins.select("task", "separation_task", "song", "music_task", "reason").rows() == [
        (task, separation, SECOND_SONG, "m1", None) for task in made
    ]
    lineage = store.lineage().collect()
    assert lineage.select("task", "label", "stem").rows() == [
        (made[0], "choir", "Vocals"),
        (made[1], "choir", "Instrumental"),
    ]
    assert lineage.select(*LABELS).unique().rows(named=True) == [LABELS]
    assert lineage["prompt"].str.starts_with("[Verse]").all()
    labelled = join_tasks(store.scan_notes(), store.lineage()).collect()
    assert labelled.height == store.scan_notes().collect().height
    assert labelled["title"].null_count() == 0


def test_fetching_with_the_song_needs_no_more_than_the_separation(store, client, tmp_path):
    (separation,) = separate([("m1", SECOND_SONG)], store, client)["task"]
    (task,) = submit([separation], store, client)["task"]
    with Store(tmp_path / "other") as other:
        other.add([task], parent=separation)
        other.add([separation], kind="separation", parent="m1")
        assert collect([task], other, client, **QUICK, with_song=True).origins["reason"].to_list() == [None]
        row = other.lineage().collect().row(0, named=True)
    assert (row["stem"], row["song"], row["title"]) == (None, SECOND_SONG, "钢铁侠")


def test_a_task_of_which_no_separation_is_known_is_told_and_fetched_all_the_same(store, client):
    report = collect(["strings-1"], store, client, **QUICK, with_song=True)
    assert report.of("complete") == ["strings-1"]
    assert "it is not known which separation it was made of" in report.origins["reason"][0]
    assert "strings-1: no song: it is not known" in str(report)
    assert collect(["strings-1"], store, client, **QUICK).origins is None


def test_a_stem_that_a_known_separation_has_leads_to_it(store, client):
    (separation,) = separate([("m1", SECOND_SONG)], store, client)["task"]
    watch(store, client, **QUICK)
    stem = store.scan_stems().collect()["stem"][1]
    task = client.generate_midi(separation, audio_id=stem)
    report = collect([task], store, client, **QUICK, with_song=True)
    assert report.origins.row(0) == (task, separation, SECOND_SONG, "m1", None)


def separation_record(song, index, task="sep1"):
    stem = {"id": "stem1", "stem_type_group_name": "Bass", "audio_url": "https://a.invalid/b.mp3"}
    data = {"taskId": task, "musicId": song, "musicIndex": index, "successFlag": "SUCCESS"}
    return {"code": 200, "msg": "success", "data": data | {"response": {"originData": [stem]}}}


def music_record(task="music1"):
    songs = [{"id": f"song{at}", "title": f"Title {at}", "tags": "calm", "duration": 10.0 + at} for at in (1, 2)]
    return {
        "code": 200,
        "msg": "success",
        "data": {"taskId": task, "status": "SUCCESS", "response": {"sunoData": songs}},
    }


def test_a_separation_that_calls_the_music_task_its_song_gets_the_one_at_its_place(store):
    records = {"midi1": record("midi1"), "sep1": separation_record("music1", 1), "music1": music_record()}
    store.add(["midi1"], parent="sep1")
    with serving(records) as client:
        report = collect(["midi1"], store, client, **QUICK, with_song=True)
    assert report.origins.row(0) == ("midi1", "sep1", "song2", "music1", None)
    assert store.lineage().select("title", "song_duration").collect().rows() == [("Title 2", 12.0)]


@contextlib.contextmanager
def strict(*records):
    """A service that knows no music task but those that it was given, as the real one does."""

    class Strict(Sandbox):
        def _record(self, endpoint, task):
            known = endpoint != "music" or any(task in one for one in records)
            return super()._record(endpoint, task if known else "expired-music")

    with Strict(*records) as service, KieClient(api_key=service.key, base_url=service.url) as client:
        yield client


def test_a_song_that_is_no_music_task_is_told_and_enters_nothing(store):
    records = {"midi1": record("midi1"), "sep1": separation_record("song1", 0)}
    store.add(["midi1"], parent="sep1")
    with strict(records) as client:
        report = collect(["midi1"], store, client, **QUICK, with_song=True)
    (reason,) = report.origins["reason"]
    assert reason.startswith("song 'song1' is not among those that are known; asked for it as a music task: ")
    assert store.counts().rows() == [("midi", "complete", 1), ("separation", "complete", 1)]


def test_a_song_that_is_known_is_not_asked_for(store):
    records = {"midi1": record("midi1"), "sep1": separation_record("song1", 0), "music1": music_record()}
    store.add(["midi1"], parent="sep1")
    store.add(["music1"], kind="music")
    with strict(records) as client:
        watch(store, client, **QUICK)
        assert collect(["midi1"], store, client, **QUICK, with_song=True).origins.row(0) == (
            "midi1",
            "sep1",
            "song1",
            "music1",
            None,
        )


def test_a_separation_that_failed_is_the_reason(store):
    failed = {"code": 200, "data": {"taskId": "sep1", "successFlag": "GENERATE_AUDIO_FAILED", "response": {"id": None}}}
    store.add(["midi1"], parent="sep1")
    with serving({"midi1": record("midi1"), "sep1": failed}) as client:
        report = collect(["midi1"], store, client, **QUICK, with_song=True)
    assert report.origins["reason"][0].startswith("separation sep1: failed: the service could not make the audio")


def test_all_that_is_brought_is_within_one_deadline(store):
    store.add(["midi1"], parent="slow99-1")
    with serving({"midi1": record("midi1")}) as client:
        began = time.monotonic()
        report = collect(["midi1"], store, client, **QUICK | {"deadline": 0.5}, with_song=True)
    assert time.monotonic() - began < 3
    assert report.origins["reason"].to_list() == ["separation slow99-1: pending"]
    assert report.of("complete") == ["midi1"]


def test_watching_brings_tasks_of_every_kind_and_counts_them(store, client):
    store.add(["strings-1", "fail-1"])
    store.add(["slow-1"], kind="separation")
    counts = watch(store, client, **QUICK)
    assert counts.rows() == [("midi", "complete", 1), ("midi", "failed", 1), ("separation", "complete", 1)]


def test_a_file_of_a_name_that_the_store_has_for_other_music_is_not_taken_in_silence(tmp_path, store):
    for folder, pitch in (("x", 60), ("y", 72)):
        (tmp_path / folder).mkdir()
        notes = [{"pitch": pitch, "start": 0, "end": 1, "velocity": 1}]
        body = {"state": "complete", "instruments": [{"name": "Flute", "notes": notes}]}
        (tmp_path / folder / "song.json").write_text(json.dumps(body))
    assert ingest(tmp_path / "x" / "song.json", store).unread.height == 0
    assert ingest(tmp_path / "x" / "song.json", store).unread.height == 0
    (told,) = ingest(tmp_path / "y" / "song.json", store).unread["reason"]
    assert told == "it names no task, and the store has another answer of 'song'"
