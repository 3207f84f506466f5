"""The receiver over real sockets, with a real store: each callback has its outcome, what was acknowledged is kept."""

import contextlib
import http.client
import json
import logging
import os
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import textwrap
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import polars as pl
import pytest

from kie_notes.api.client import KieClient
from kie_notes.api.sandbox import Sandbox
from kie_notes.api.webhook import sign
from kie_notes.receiver import WITHOUT_SIGNATURE, app, create_app, work
from kie_notes.receiver.server import bound, server
from kie_notes.store import Store

KEY = "webhook-secret"
UNCONFIRMED = "callback (unconfirmed)"
NOTES = [{"pitch": 60, "start": 0, "end": "0.5", "velocity": 1}, {"pitch": 62, "start": 0.5, "end": 1, "velocity": 0.5}]


class Answer(NamedTuple):
    status: int
    word: str
    headers: dict[str, str]


def callback(task, notes=NOTES):
    data = {"taskId": task, "state": "complete", "instruments": [{"name": "Flute", "notes": notes}]}
    return json.dumps({"code": 200, "msg": "success", "data": data}).encode()


def failure(task):
    return json.dumps({"code": 500, "msg": "MIDI generation failed", "data": {"taskId": task}}).encode()


def signed(task, *, key=KEY, ago=0.0):
    stamp = str(int(time.time() - ago))
    return {"X-Webhook-Timestamp": stamp, "X-Webhook-Signature": sign(task, stamp, key)}


@contextlib.contextmanager
def receiving(store, *, patience=10.0, **options):
    """Run the receiver on a free port."""
    runner = server(create_app(store, **{"keys": [KEY]} | options), patience=patience)
    with bound("127.0.0.1", 0) as line:
        thread = threading.Thread(target=runner.run, kwargs={"sockets": [line]})
        thread.start()
        try:
            yield line.getsockname()[1]
        finally:
            runner.should_exit = True
            thread.join(30)
            assert not thread.is_alive()


def post(port, body, headers, *, path="/", method="POST", timeout=20.0):
    line = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    try:
        line.request(method, path, body, headers)
        answer = line.getresponse()
        text = answer.read().decode()
        word = json.loads(text)["msg"] if text.startswith("{") else text
        return Answer(answer.status, word, dict(answer.headers))
    finally:
        line.close()


def deliver(port, task, body=None, **how):
    return post(port, callback(task) if body is None else body, signed(task, **how))


def rows(store):
    """Task -> state, notes, source."""
    return {row[0]: row[1:] for row in store.scan_tasks().select("task", "state", "notes", "source").collect().rows()}


def soon(found, timeout=20.0):
    """Wait until something is so."""
    end = time.monotonic() + timeout
    while not (value := found()) and time.monotonic() < end:
        time.sleep(0.02)
    return value


@contextlib.contextmanager
def locked(store):
    """Another process writes to the ledger and does not end."""
    with contextlib.closing(sqlite3.connect(store.folder / "ledger.sqlite", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")


@pytest.fixture
def store(tmp_path):
    with Store(tmp_path / "store") as one:
        yield one


@pytest.fixture
def port(store):
    with receiving(store, max_bytes=100_000, seconds=1.0) as one:
        yield one


# What is in order


def test_a_callback_is_kept_byte_for_byte_and_marked_as_unconfirmed(store, port):
    body = callback("t1")
    assert deliver(port, "t1", body)[:2] == (200, "taken")
    assert store.raw("t1") == body
    assert rows(store) == {"t1": ("complete", 2, UNCONFIRMED)}
    assert store.scan_notes().collect()["end"].to_list() == [0.5, 1.0]


@pytest.mark.parametrize(
    "body",
    [
        b'{"task_id":"t1","code":200,"data":{"state":"complete","instruments":[]}}',
        b'{"success":true,"task_id":"t1","data":[{"state":"complete","instruments":[]}]}',
    ],
)
def test_a_callback_of_the_sister_service_is_taken_too(store, port, body):
    assert deliver(port, "t1", body)[:2] == (200, "taken")
    assert rows(store) == {"t1": ("empty", 0, UNCONFIRMED)}


def test_a_failure_is_taken_with_the_words_of_the_service(store, port):
    assert deliver(port, "t1", failure("t1"))[:2] == (200, "taken")
    (row,) = store.scan_tasks().collect().rows(named=True)
    assert (row["state"], row["error_code"], row["error_message"]) == ("failed", "500", "MIDI generation failed")


def test_a_second_delivery_changes_nothing(store, port):
    assert [deliver(port, "t1")[:2] for _ in range(3)] == [(200, "taken"), (200, "known"), (200, "known")]
    assert store.scan_notes().collect().height == 2


def test_of_many_deliveries_at_once_one_is_taken(store, port):
    with ThreadPoolExecutor(20) as pool:
        words = [answer.word for answer in pool.map(lambda _: deliver(port, "t1"), range(40))]
    assert (words.count("taken"), words.count("known")) == (1, 39)
    assert store.scan_notes().collect().height == 2


def test_a_result_after_a_failure_takes_its_place(store, port):
    assert deliver(port, "t1", failure("t1")).word == "taken"
    assert deliver(port, "t1").word == "taken"
    assert rows(store) == {"t1": ("complete", 2, UNCONFIRMED)}


def test_a_failure_after_a_result_changes_nothing(store, port):
    assert deliver(port, "t1").word == "taken"
    assert deliver(port, "t1", failure("t1")).word == "known"
    assert rows(store) == {"t1": ("complete", 2, UNCONFIRMED)}


def test_a_callback_that_comes_before_its_task_was_entered_is_taken(store, port):
    assert deliver(port, "t1").word == "taken"
    assert store.add(["t1"]) == 0
    assert rows(store) == {"t1": ("complete", 2, UNCONFIRMED)}


def test_a_task_that_waits_is_completed(store, port):
    store.add(["t1", "t2"], label="mine")
    assert deliver(port, "t2").word == "taken"
    assert rows(store) == {"t1": ("pending", 0, None), "t2": ("complete", 2, UNCONFIRMED)}


def test_a_connection_carries_many_callbacks(store, port):
    line = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    with contextlib.closing(line):
        for at in range(5):
            line.request("POST", "/?of=me", callback(f"t{at}"), signed(f"t{at}"))
            assert json.loads(line.getresponse().read()) == {"code": 200, "msg": "taken"}
    assert len(rows(store)) == 5


def test_a_body_in_pieces_of_unknown_number_is_taken(store, port):
    body = callback("t1")
    pieces = iter([body[:10], body[10:]])
    assert post(port, pieces, signed("t1")).word == "taken"
    assert store.raw("t1") == body


def test_a_get_is_answered_without_telling_anything(store, port):
    deliver(port, "t1")
    assert post(port, None, {}, method="GET")[:2] == (200, "ok")


@pytest.mark.parametrize(("method", "path", "status"), [("PUT", "/", 405), ("DELETE", "/", 405), ("POST", "/x", 404)])
def test_another_method_or_path_is_refused(port, method, path, status):
    assert post(port, b"", signed("t1"), method=method, path=path).status == status


def test_callbacks_can_have_a_path_of_their_own(store):
    with receiving(store, path="/hook/5c79be8e") as port:
        assert post(port, callback("t1"), signed("t1"), path="/hook/5c79be8e").status == 200
        assert post(port, callback("t1"), signed("t1")).status == 404


# Who speaks


@pytest.mark.parametrize(
    ("headers", "told"),
    [
        (lambda: signed("t1", key="another"), "the signature fits no key"),
        (lambda: signed("t2"), "the signature fits no key"),
        (lambda: signed("t1") | {"X-Webhook-Timestamp": str(int(time.time()) + 9)}, "the signature fits no key"),
        (lambda: signed("t1") | {"X-Webhook-Timestamp": "1"}, "over the tolerance of 300 s"),
        (dict, "not signed: the header X-Webhook-Timestamp is missing"),
        (lambda: {"X-Webhook-Timestamp": "1760335255"}, "not signed: the header X-Webhook-Signature is missing"),
        (lambda: signed("t1") | {"X-Webhook-Timestamp": "soon"}, "expected whole seconds since 1970"),
        (lambda: signed("t1") | {"X-Webhook-Signature": "\xe9" * 44}, "expected base64"),
        (lambda: signed("t1", ago=301), "over the tolerance of 300 s"),
        (lambda: signed("t1", ago=-303), "ahead of this machine's clock"),
    ],
)
def test_a_forged_callback_is_refused_and_nothing_is_kept(store, port, caplog, headers, told):
    answer = post(port, callback("t1"), headers())
    assert answer.status == 401
    assert told in answer.word
    assert rows(store) == {}
    (line,) = [one for one in caplog.records if one.name == "kie_notes.receiver"]
    assert line.levelno == logging.WARNING
    assert line.getMessage().startswith(("a callback is refused: ", "a callback about task 't1' is refused: "))
    assert KEY not in caplog.text


def test_a_forged_callback_changes_nothing_of_a_task_that_is_known(store, port):
    deliver(port, "t1", failure("t1"))
    assert post(port, callback("t1"), signed("t1", key="another")).status == 401
    assert rows(store)["t1"][0] == "failed"


def test_a_log_line_cannot_be_broken_by_an_id(port, caplog):
    task = "t1\nWARNING all is well\x1b[2J"
    assert post(port, callback(task), signed("t1")).status == 401
    assert r"task 't1\nWARNING all is well\x1b[2J' is refused" in caplog.text


@pytest.mark.parametrize("ago", [299, -299])
def test_a_clock_that_is_some_minutes_off_does_no_harm(port, ago):
    assert deliver(port, "t1", ago=ago).status == 200


def test_a_replay_within_the_tolerance_changes_nothing(store, port):
    body, headers = callback("t1"), signed("t1")
    assert post(port, body, headers).word == "taken"
    assert post(port, body, headers).word == "known"
    assert post(port, callback("t1", NOTES[:1]), headers).word == "known"
    assert store.raw("t1") == body


def test_a_replay_beyond_the_tolerance_is_refused(store):
    with receiving(store, tolerance=1.0) as port:
        headers = signed("t1")
        assert post(port, failure("t1"), headers).word == "taken"
        time.sleep(2.1)
        assert post(port, callback("t1"), headers).status == 401
    assert rows(store)["t1"][0] == "failed"


def test_while_keys_are_changed_both_are_taken_and_a_third_is_not(store):
    with receiving(store, keys=["new", "old"]) as port:
        assert [deliver(port, f"t-{key}", key=key).status for key in ("old", "new", "other")] == [200, 200, 401]
    assert sorted(rows(store)) == ["t-new", "t-old"]


@pytest.mark.parametrize("keys", [[], (), None, ""])
def test_running_without_a_key_must_be_asked_for_by_name(store, keys):
    with pytest.raises(ValueError, match="to take callbacks from anybody, say keys=WITHOUT_SIGNATURE"):
        create_app(store, keys=keys)


def test_without_a_key_on_purpose_callbacks_need_no_signature(store):
    with receiving(store, keys=WITHOUT_SIGNATURE) as port:
        assert post(port, callback("t1"), {}).word == "taken"
    assert rows(store) == {"t1": ("complete", 2, UNCONFIRMED)}


@pytest.mark.parametrize(
    ("option", "told"),
    [
        ({"keys": ["k", ""]}, "keys: expected texts"),
        ({"tolerance": 0}, "tolerance: expected seconds above 0"),
        ({"tolerance": float("inf")}, "tolerance: expected seconds above 0"),
        ({"seconds": 0}, "seconds: expected more than 0 and at most 12"),
        ({"seconds": float("nan")}, "seconds: expected more than 0 and at most 12"),
        ({"max_bytes": 0}, "max_bytes: expected from 1"),
        ({"path": "hook"}, "path: expected a path that begins with /"),
        ({"path": "/{task}"}, "path: expected a path that begins with / and holds no braces"),
    ],
)
def test_an_option_that_is_out_of_bounds_is_refused(store, option, told):
    with pytest.raises(ValueError, match=told):
        create_app(store, **{"keys": [KEY]} | option)


def test_no_repr_shows_a_key(store):
    made = create_app(store, keys=[KEY])
    (route,) = made.routes
    shown = [made, route, route.endpoint, route.endpoint.__self__, server(made), server(made).config]
    assert KEY not in " ".join(map(repr, shown))


# What they say


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (b"", "expected JSON"),
        (b"data=t1", "expected JSON"),
        (callback("t1")[:-20], "expected JSON"),
        (b'[{"taskId":"t1"}]', "expected a JSON object"),
        (b'{"code":200,"data":null}', "names no task"),
        (b'{"data":{"taskId":"t1","name":"\xe9"}}', "expected UTF-8"),
        (b'{"data":{"taskId":"\\ud800"}}', "half a character"),
        (b'{"taskId":"t1","deep":' + b"[" * 40_000 + b"]" * 40_000 + b"}", "nested too deeply"),
        (b'{"taskId":"%s"}' % (b"x" * 201), "at most 200 characters"),
    ],
)
def test_a_body_that_names_no_task_is_refused_with_a_reason(store, port, body, told):
    answer = deliver(port, "t1", body)
    assert answer.status == 400
    assert told in answer.word
    assert rows(store) == {}


@pytest.mark.parametrize("start", [b"NaN", b"1e999", b"-Infinity", b"9" * 5000, b'"soon"'])
def test_a_number_that_is_none_costs_its_note_and_no_other(store, port, start):
    body = callback("t1").replace(b'"start": 0,', b'"start": %s,' % start)
    assert deliver(port, "t1", body).word == "taken"
    assert rows(store) == {"t1": ("complete", 1, UNCONFIRMED)}
    assert store.scan_rejects().collect().select("task", "index", "field").rows() == [("t1", 0, "start")]
    assert store.raw("t1") == body


@pytest.mark.parametrize(
    "task", ["../../../etc/passwd", "/etc/passwd", "..", "a/b", "t1;DROP TABLE task", "%2e%2e", "é🎵"]
)
def test_an_id_is_text_and_never_a_path(store, port, tmp_path, task):
    assert deliver(port, task).word == "taken"
    store.seal()
    assert rows(store) == {task: ("complete", 2, UNCONFIRMED)}
    names = {path.name.split(".")[0] for path in tmp_path.rglob("*") if path.is_file()}
    assert all(re.fullmatch(r"ledger|seal|part-\d+", name) for name in names), names


@pytest.mark.parametrize(
    "body",
    [
        b'{"taskId":"t1"}',
        b'{"taskId":"t1","data":{"result":{"taskId":"t2","state":"complete","instruments":[]}}}',
        b'{"taskId":"t1","deep":' + b"[" * 900 + b"]" * 900 + b"}",
        b'{"code":429,"msg":"Too many requests","data":{"taskId":"t1"}}',
    ],
)
def test_a_body_without_a_record_is_set_aside_and_its_task_stays_open(store, port, body):
    assert [deliver(port, "t1", body)[:2] for _ in range(2)] == [(200, "unreadable"), (200, "known")]
    assert store.open_tasks()["task"].to_list() == ["t1"]
    assert rows(store)["t1"][:2] == ("pending", 0)


def test_a_callback_without_a_result_yet_is_set_aside_and_its_task_stays_open(store, port):
    body = b'{"code":200,"msg":"success","data":{"taskId":"t1","successFlag":0,"midiData":null}}'
    assert [deliver(port, "t1", body).word for _ in range(2)] == ["taken", "known"]
    assert store.open_tasks()["task"].to_list() == ["t1"]


# How they come


def test_a_body_of_the_largest_size_is_taken_and_one_byte_more_is_not(store, port):
    body = callback("t1")
    largest = body + b" " * (100_000 - len(body))
    assert deliver(port, "t1", largest).status == 200
    answer = deliver(port, "t2", callback("t2") + b" " * (100_001 - len(body)))
    assert (answer.status, answer.word) == (413, "the body is larger than 100000 bytes")
    assert answer.headers["connection"] == "close"
    assert list(rows(store)) == ["t1"]


def exchange(port, *pieces, pause=0.0, timeout=10.0):
    """Send raw pieces, and give all that comes until the other side hangs up."""
    with socket.create_connection(("127.0.0.1", port), timeout=timeout) as line, contextlib.suppress(ConnectionError):
        for piece in pieces:
            line.sendall(piece)
            time.sleep(pause)
        return b"".join(iter(lambda: line.recv(65536), b""))
    return b""


BARE = b"POST / HTTP/1.1\r\nHost: here\r\n"


def head():
    """The head of a signed request, but for its end."""
    return BARE + "".join(f"{name}: {value}\r\n" for name, value in signed("t1").items()).encode()


def test_an_oversized_body_is_refused_before_it_is_read(store, port):
    assert exchange(port, head() + b"Content-Length: 99999999999\r\n\r\n{").startswith(b"HTTP/1.1 413 ")


def test_a_body_that_grows_beyond_the_limit_is_refused_on_the_way(store, port):
    pieces = [b"4000\r\n" + b" " * 0x4000 + b"\r\n"] * 7
    answer = exchange(port, head() + b"Transfer-Encoding: chunked\r\n\r\n", *pieces, pause=0.01)
    assert answer.startswith(b"HTTP/1.1 413 ")


def test_a_slow_body_is_given_up(store, port):
    began = time.monotonic()
    pieces = [head() + b"Content-Length: 1000\r\n\r\n", *[b" "] * 8]
    assert exchange(port, *pieces, pause=0.1).startswith(b"HTTP/1.1 408 ")
    assert time.monotonic() - began < 3


def test_a_body_that_is_cut_short_is_not_kept(store, port):
    body = callback("t1")
    with socket.create_connection(("127.0.0.1", port)) as line:
        line.sendall(head() + b"Content-Length: %d\r\n\r\n" % len(body) + body[:-1])
    assert deliver(port, "t2").status == 200
    assert list(rows(store)) == ["t2"]


@pytest.mark.parametrize(
    "sent",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET\r\n\r\n",
        BARE + b"Content-Length: -1\r\n\r\n",
        BARE + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        BARE + b"Transfer-Encoding: chunked\r\n\r\nnothing\r\n",
        BARE + b"X: " + b"x" * 70_000 + b"\r\n\r\n",
    ],
)
def test_what_is_no_http_is_refused_and_hung_up_on(store, port, sent):
    answer = exchange(port, sent)
    assert answer == b"" or answer.startswith((b"HTTP/1.1 400 ", b"HTTP/1.1 401 "))
    assert deliver(port, "t1").status == 200


def test_who_sends_no_whole_head_is_hung_up_on(store):
    with receiving(store, patience=0.3) as port:
        began = time.monotonic()
        assert exchange(port, b"") == b""
        assert exchange(port, *[b"POST / HTTP/1.1\r\nX: ", *[b"x"] * 8], pause=0.1) == b""
        line = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        with contextlib.closing(line):
            line.request("POST", "/", callback("t1"), signed("t1"))
            line.getresponse().read()
            line.sock.sendall(b"POST / HTTP/1.1\r\n")
            assert line.sock.recv(1) == b""
        assert time.monotonic() - began < 5


def test_a_body_may_take_longer_than_a_head(store):
    body = callback("t1")
    with receiving(store, patience=0.2) as port:
        head = "".join(f"{name}: {value}\r\n" for name, value in signed("t1").items()).encode()
        head = BARE + head + b"Connection: close\r\nContent-Length: %d\r\n\r\n" % len(body)
        assert exchange(port, head, body[:50], body[50:], pause=0.3).startswith(b"HTTP/1.1 200 ")


def test_fifty_that_hang_do_not_delay_the_others(store):
    with receiving(store) as port, contextlib.ExitStack() as hanging:
        for at in range(50):
            line = hanging.enter_context(socket.create_connection(("127.0.0.1", port)))
            line.sendall(head() if at % 2 else head() + b"Content-Length: 9000\r\n\r\n{")
        took = []
        for at in range(20):
            began = time.monotonic()
            assert deliver(port, f"t{at}").status == 200
            took.append(time.monotonic() - began)
    assert max(took) < 1.0


# When the store cannot write


def test_a_full_disk_is_answered_with_503_and_nothing_is_acknowledged(store, port):
    deliver(port, "t1")
    (pages,) = store._ledger._db.execute("PRAGMA page_count").fetchone()
    store._ledger._db.execute(f"PRAGMA max_page_count={pages}")
    notes = [{"pitch": 60, "start": at / 7, "end": 99, "velocity": 0.1} for at in range(200)]
    answers = [deliver(port, f"f{at}", callback(f"f{at}", notes)) for at in range(30)]
    refused = [answer for answer in answers if answer.status == 503]
    assert refused
    assert all(answer.headers["retry-after"] == "5" for answer in refused)
    assert len(rows(store)) == 1 + sum(answer.status == 200 for answer in answers)
    store._ledger._db.execute("PRAGMA max_page_count=1000000")
    assert deliver(port, "t2").status == 200


def test_a_locked_store_is_answered_with_503_and_taken_later(store, port):
    store._ledger._db.execute("PRAGMA busy_timeout=50")
    with locked(store):
        assert deliver(port, "t1").status == 503
    assert deliver(port, "t1").status == 200


def test_an_answer_goes_out_in_any_case(store, port, monkeypatch):
    monkeypatch.setattr(app, "_ANSWER", 0.3)
    with locked(store):
        began = time.monotonic()
        assert deliver(port, "t1")[:2] == (503, "not on disk; please deliver it again")
        assert time.monotonic() - began < 2
    assert soon(lambda: rows(store)) == {"t1": ("complete", 2, UNCONFIRMED)}


def test_a_store_that_was_closed_is_answered_with_503_and_no_trace(store, caplog):
    with receiving(store) as port:
        store.close()
        answer = deliver(port, "t1")
    assert answer[:2] == (503, "not on disk; please deliver it again")
    assert "a callback about task 't1' could not be written" in caplog.text


def test_one_callback_that_cannot_be_written_spoils_no_other(store, port):
    store._ledger._db.execute(
        "CREATE TRIGGER poison BEFORE INSERT ON inbox WHEN NEW.task = 'poison' BEGIN SELECT RAISE(ABORT, 'no'); END"
    )
    tasks = ["t1", "t2", "poison", "t3", "t4"]
    with ThreadPoolExecutor(5) as pool:
        with locked(store):
            coming = [pool.submit(deliver, port, task) for task in tasks]
            time.sleep(0.5)
        statuses = [one.result().status for one in coming]
    assert statuses == [200, 200, 503, 200, 200]
    assert sorted(rows(store)) == ["t1", "t2", "t3", "t4"]


def test_connections_are_bounded_in_number(store):
    with receiving(store) as port, contextlib.ExitStack() as lines:
        for _ in range(500):
            lines.enter_context(socket.create_connection(("127.0.0.1", port)))
        assert soon(lambda: deliver(port, "t1").status == 503)
        lines.close()
        assert soon(lambda: deliver(port, "t1")[:2] == (200, "taken"))


def test_what_waits_is_bounded_in_number(store, port, monkeypatch):
    monkeypatch.setattr(work, "WAITING", 3)
    with ThreadPoolExecutor(8) as pool:
        with locked(store):
            coming = [pool.submit(deliver, port, f"t{at}") for at in range(8)]
            assert soon(lambda: sum(one.done() for one in coming) == 5)
        statuses = sorted(one.result().status for one in coming)
    assert statuses == [200] * 3 + [503] * 5
    assert len(rows(store)) == 3


def test_what_waits_is_bounded_in_bytes(store, port, monkeypatch):
    monkeypatch.setattr(app, "WAITING_BYTES", 1000)
    with ThreadPoolExecutor(8) as pool:
        with locked(store):
            coming = [pool.submit(deliver, port, f"t{at}", callback(f"t{at}") + b" " * 200) for at in range(8)]
            assert soon(lambda: sum(one.done() for one in coming) == 6)
        statuses = sorted(one.result().status for one in coming)
    assert statuses == [200] * 2 + [503] * 6
    assert deliver(port, "later").status == 200


# The end


def test_the_end_seals_what_was_taken(store):
    with receiving(store) as port:
        deliver(port, "t1")
    assert pl.read_parquet(store.folder / "notes").height == 2


def test_an_end_in_the_middle_loses_nothing_that_was_acknowledged(tmp_path):
    taken = []
    with Store(tmp_path / "store") as store:

        def send(at):
            with contextlib.suppress(OSError, http.client.HTTPException):
                if deliver(port, f"t{at}").status == 200:
                    taken.append(f"t{at}")

        with ThreadPoolExecutor(16) as pool:
            with receiving(store) as port:
                coming = [pool.submit(send, at) for at in range(400)]
                assert soon(lambda: len(taken) > 50)
            for one in coming:
                one.result()
    assert 50 < len(taken) < 400
    with Store(tmp_path / "store") as store:
        assert set(taken) <= set(rows(store))
        assert all(store.raw(task) == callback(task) for task in taken[::10])


LISTEN = """
from kie_notes.receiver import listen
from kie_notes.store import Store
with Store("store") as store:
    listen(store, keys=["webhook-secret"], port=0, ready=lambda url: print(url, flush=True))
"""


@contextlib.contextmanager
def process(tmp_path, code=LISTEN):
    started = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code)],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with started:
        try:
            address = started.stdout.readline()
            yield started, int(re.search(r":(\d+)/", address)[1])
        finally:
            started.kill()


def test_what_was_acknowledged_is_on_disk_before_the_answer(tmp_path):
    bodies = {f"t{at}": callback(f"t{at}") for at in range(20)}
    with process(tmp_path) as (started, port):
        for task, body in bodies.items():
            assert deliver(port, task, body).status == 200
        os.kill(started.pid, signal.SIGKILL)
        started.wait(10)
    with Store(tmp_path / "store") as store:
        assert {task: store.raw(task) for task in bodies} == bodies


def test_listening_ends_with_ctrl_c_and_seals(tmp_path):
    with process(tmp_path) as (started, port):
        assert deliver(port, "t1").status == 200
        started.send_signal(signal.SIGINT)
        _, told = started.communicate(timeout=20)
    assert told.strip().endswith("KeyboardInterrupt")
    assert pl.read_parquet(tmp_path / "store" / "notes").height == 2


@pytest.mark.parametrize("name", ["starlette", "uvicorn"])
def test_a_missing_extra_is_named(tmp_path, name):
    code = f"""
        import sys
        sys.modules[{name!r}] = sys.modules["{name}.applications"] = None
        {LISTEN.replace(chr(10), chr(10) + " " * 8)}
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert f'{name} is not installed; callbacks need it: pip install "kie-notes[webhook]"' in done.stderr


# Confirmation, with the sandbox as the service


@contextlib.contextmanager
def service(store, *, webhook_key=KEY, **options):
    """A sandbox that calls a receiver back, which asks the sandbox."""
    with (
        Sandbox(webhook_key=webhook_key, **options) as sandbox,
        KieClient(api_key=sandbox.key, base_url=sandbox.url) as client,
        receiving(store, client=client) as port,
    ):
        yield sandbox, client, f"http://127.0.0.1:{port}/"


def test_a_callback_is_confirmed_by_the_record(store):
    with service(store) as (sandbox, client, url):
        task = client.generate_midi("source", callback_url=url)
        soon(lambda: rows(store).get(task, [None])[-1] == "record-info")
        assert [(one.task, one.status) for one in sandbox.deliveries] == [(task, 200)]
    assert rows(store)[task][::2] == ("complete", "record-info")
    assert json.loads(store.raw(task))["data"]["successFlag"] == 1


def test_a_callback_that_comes_twice_is_confirmed_once(store):
    with service(store) as (sandbox, client, url):
        task = client.generate_midi("again-1", callback_url=url)
        soon(lambda: len(sandbox.deliveries) == 2 and rows(store)[task][-1] == "record-info")
        assert [one.status for one in sandbox.deliveries] == [200, 200]
        time.sleep(0.5)
        assert sum(one.path.endswith("record-info") for one in sandbox.requests) == 1
    assert store.scan_notes().collect().height == rows(store)[task][1]


def test_a_forged_callback_is_not_asked_about(store):
    with service(store) as (sandbox, client, url):
        client.generate_midi("forged-1", callback_url=url)
        assert soon(lambda: len(sandbox.deliveries) == 3)
        assert [one.status for one in sandbox.deliveries] == [401] * 3
        assert [one.path for one in sandbox.requests] == ["/api/v1/midi/generate"]
    assert rows(store) == {}


def test_a_failure_is_confirmed_too(store):
    with service(store) as (_, client, url):
        task = client.generate_midi("fail-1", callback_url=url)
        soon(lambda: rows(store).get(task, [None])[-1] == "record-info")
    assert rows(store)[task][::2] == ("failed", "record-info")


def test_what_the_record_says_takes_the_place_of_what_a_callback_said(store):
    flute = {"name": "Flute", "notes": NOTES[:1]}
    record = {"code": 200, "data": {"taskId": "t1", "successFlag": 1, "midiData": {"instruments": [flute]}}}
    with service(store, records={"t1": record}) as (_, _, url):
        assert deliver(int(re.search(r":(\d+)/", url)[1]), "t1").word == "taken"
        soon(lambda: rows(store)["t1"][-1] == "record-info")
    assert rows(store) == {"t1": ("complete", 1, "record-info")}
    assert store.scan_notes().collect().height == 1


def test_a_task_that_the_service_does_not_know_has_no_notes_in_the_end(store):
    store.add(["unknown-1"], submitted_at=datetime.now(UTC) - timedelta(hours=1))
    with service(store) as (_, _, url):
        assert deliver(int(re.search(r":(\d+)/", url)[1]), "unknown-1").word == "taken"
        soon(lambda: rows(store)["unknown-1"][0] == "failed")
    assert rows(store)["unknown-1"][:2] == ("failed", 0)
    assert store.scan_notes().collect().height == 0


def test_a_wrong_api_key_is_told_and_callbacks_are_taken_all_the_same(store, caplog):
    with (
        Sandbox(key="right") as sandbox,
        KieClient(api_key="wrong", base_url=sandbox.url) as client,
        receiving(store, client=client) as port,
    ):
        assert deliver(port, "t1").word == "taken"
        assert soon(lambda: "nothing can be confirmed" in caplog.text)
        assert deliver(port, "t2").word == "taken"
    assert rows(store) == {"t1": ("complete", 2, UNCONFIRMED), "t2": ("complete", 2, UNCONFIRMED)}


def test_a_callback_cannot_put_off_the_look_at_its_task(store, port):
    body = b'{"code":200,"data":{"taskId":"t1","createTime":253402300799000,"successFlag":0}}'
    assert deliver(port, "t1", body).status == 200
    assert (store.open_tasks()["expires_at"] < datetime.now(UTC) + timedelta(days=15)).all()


def test_what_is_not_signed_is_refused_before_its_body_comes(store, port):
    with contextlib.closing(socket.create_connection(("127.0.0.1", port), timeout=10)) as line:
        line.sendall(b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 90000\r\n\r\n")
        assert line.recv(100).startswith(b"HTTP/1.1 401 ")
