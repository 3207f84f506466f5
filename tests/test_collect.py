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
from kie_notes.collect import collect, ingest, submit
from kie_notes.errors import AuthenticationError, CreditsError, ExpiryWarning, TaskFailedError
from kie_notes.notes import flatten
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


def test_submitted_tasks_are_in_the_store_and_can_be_collected(store, client):
    table = submit(["s1", "unknown-1", "s1", "lost-1", "s2"], store, client, label="choir")
    assert table["separation_task"].to_list() == ["s1", "unknown-1", "lost-1", "s2"]
    assert table["state"].to_list() == ["submitted", "refused", "unknown", "submitted"]
    made = table["task"].drop_nulls().to_list()
    assert store.open_tasks().select("task", "label").rows() == [(task, "choir") for task in made]
    assert collect(made, store, client, **QUICK).of("complete") == made


def test_submitting_stops_when_there_are_no_credits(store, client):
    table = submit(["s1", "credits-1", "s2"], store, client)
    assert table["state"].to_list() == ["submitted", "unsent", "unsent"]
    assert table["reason"].str.contains("not enough credits").to_list() == [None, True, True]
    assert store.open_tasks()["task"].to_list() == [table["task"][0]]


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
