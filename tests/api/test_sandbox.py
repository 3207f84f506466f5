"""The sandbox over real HTTP: a raw client, so that nothing between hides what is on the line."""

import base64
import contextlib
import gzip
import hashlib
import hmac
import http.client
import json
import re
import socket
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import NamedTuple
from urllib.parse import quote, urlsplit

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kie_notes.api.sandbox import BEHAVIOURS, Sandbox

MIDI = "/api/v1/midi/record-info"
SEPARATION = "/api/v1/vocal-removal/record-info"
MUSIC = "/api/v1/generate/record-info"
NEW_MIDI = "/api/v1/midi/generate"
NEW_SEPARATION = "/api/v1/vocal-removal/generate"
NOWHERE = "https://callback.invalid/"

UNKNOWN = {"code": 200, "msg": "success", "data": None}


class Answer(NamedTuple):
    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def json(self):
        return json.loads(self.body)


def talk(sandbox, method, path, *, body=None, key="sandbox-key", agent="test", timeout=10.0):
    """Make one exchange on a connection of its own."""
    parts = urlsplit(sandbox.url)
    line = http.client.HTTPConnection(parts.hostname, parts.port, timeout=timeout)
    headers = {"Authorization": f"Bearer {key}"} if key is not None else {}
    headers |= {"User-Agent": agent} if agent is not None else {}
    try:
        line.request(method, path, body if body is None or isinstance(body, bytes) else json.dumps(body), headers)
        answer = line.getresponse()
        return Answer(answer.status, answer.headers, answer.read())
    finally:
        line.close()


def ask(sandbox, task, path=MIDI, **how):
    return talk(sandbox, "GET", f"{path}?taskId={quote(task)}", **how)


def order(sandbox, path=NEW_MIDI, **fields):
    return talk(sandbox, "POST", path, body=fields)


def ordered(sandbox, source="source", *, callback=NOWHERE, path=NEW_MIDI, **fields):
    return order(sandbox, path, taskId=source, callBackUrl=callback, **fields).json["data"]["taskId"]


def soon(what, seconds=5.0):
    """Wait until ``what()`` is true, and give it."""
    end = time.monotonic() + seconds
    while not (found := what()):
        assert time.monotonic() < end, "it never came"
        time.sleep(0.01)
    return found


@pytest.fixture
def sandbox():
    with Sandbox() as server:
        yield server


@contextlib.contextmanager
def receiver(*statuses):
    """Listen for callbacks, answering with the statuses in turn (the last one again and again)."""
    came = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            came.append((dict(self.headers.items()), json.loads(body)))
            self.send_response(statuses[min(len(came), len(statuses)) - 1])
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_):
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/hook?of=me", came
        finally:
            server.shutdown()
            thread.join()


# Where it listens, and who may ask


@pytest.mark.parametrize("host", ["0.0.0.0", "", "::", "8.8.8.8", "192.168.1.1", "example.com", "127.0.0.1.nip.io"])  # noqa: S104
def test_a_host_that_is_not_loopback_is_refused_by_name(host):
    with pytest.raises(ValueError, match=rf"this machine only .*got '{re.escape(host)}'"):
        Sandbox(host=host)


@pytest.mark.parametrize(
    ("host", "begins"),
    [("localhost", "http://127.0.0.1:"), ("127.0.0.2", "http://127.0.0.2:"), ("::1", "http://[::1]:")],
)
def test_every_loopback_address_will_do(host, begins):
    if host == "::1" and not _has_ipv6():
        pytest.skip("no IPv6 on this machine")
    with Sandbox(host=host) as sandbox:
        assert sandbox.url.startswith(begins)
        assert talk(sandbox, "GET", "/api/v1/chat/credit").status == 200


def _has_ipv6():
    try:
        with socket.socket(socket.AF_INET6) as line:
            line.bind(("::1", 0))
    except OSError:
        return False
    return True


def test_an_empty_key_is_refused():
    with pytest.raises(ValueError, match="key: expected some text"):
        Sandbox(key="")


def test_a_folder_that_is_not_there_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"expected a folder of <task>\.json, got .*nowhere"):
        Sandbox(tmp_path / "nowhere")


@pytest.mark.parametrize("key", [None, "", "wrong", "sandbox-ke", "sandbox-key2"])
def test_without_the_right_key_the_body_says_401_and_has_no_data(sandbox, key):
    answer = ask(sandbox, "5c79****be8e", key=key)
    assert answer.status == 200
    assert answer.json["code"] == 401
    assert "data" not in answer.json


@pytest.mark.parametrize("agent", [None, "", "Python-urllib/3.11", "python-requests/2.32.3"])
def test_a_default_user_agent_is_turned_away_in_plain_text(sandbox, agent):
    parts = urlsplit(sandbox.url)
    line = http.client.HTTPConnection(parts.hostname, parts.port, timeout=10)
    line.putrequest("GET", f"{MIDI}?taskId=a")
    line.putheader("Authorization", "Bearer sandbox-key")
    if agent is not None:
        line.putheader("User-Agent", agent)
    line.endheaders()
    answer = line.getresponse()
    assert (answer.status, answer.read()) == (403, b"error code: 1010")
    line.close()


def test_requests_are_remembered_without_the_key(sandbox):
    ask(sandbox, "5c79****be8e")
    ask(sandbox, "holds sandbox-key too", key="another")
    order(sandbox, taskId="s", callBackUrl=NOWHERE)
    first, second, third = sandbox.requests
    assert (first.method, first.path, first.task, first.authorised) == ("GET", MIDI, "5c79****be8e", True)
    assert first.headers["authorization"] == "***"
    assert first.headers["user-agent"] == "test"
    assert (second.task, second.authorised) == ("holds *** too", False)
    assert third.fields == {"taskId": "s", "callBackUrl": NOWHERE}
    assert "sandbox-key" not in repr(sandbox.requests)
    assert "another" not in repr(sandbox.requests)


def test_the_key_is_in_no_answer_and_no_repr():
    said = []
    with Sandbox(key="s3cret", log=said.append) as sandbox:
        for path in (f"{MIDI}?taskId=5c79", f"{MIDI}?taskId=s3cret", "/api/v1/chat/credit", "/nowhere?key=s3cret"):
            answer = talk(sandbox, "GET", path, key="s3cret")
            assert b"s3cret" not in answer.body
        assert "s3cret" not in repr(sandbox)
    assert len(said) == 4
    assert not any("s3cret" in line for line in said)


def test_a_log_gets_one_line_a_request_and_nothing_is_printed(capfd):
    said = []
    with Sandbox(log=said.append) as sandbox:
        ask(sandbox, "unheard")
    with Sandbox() as sandbox:
        ask(sandbox, "unheard")
        ask(sandbox, "html-1")
    assert said == [f"GET {MIDI}?taskId=unheard -> HTTP 200, 40 bytes"]
    assert capfd.readouterr() == ("", "")


# What is known from the start


def test_the_documented_example_is_there_with_no_files(sandbox, shared):
    expected = json.loads((shared / "examples" / "record-info-success.json").read_bytes())
    assert ask(sandbox, "5c79****be8e").json == expected


def test_a_short_song_is_there_with_no_files(sandbox):
    instruments = ask(sandbox, "00000000000000000000000000000001").json["data"]["midiData"]["instruments"]
    assert [(each["name"], len(each["notes"])) for each in instruments] == [
        ("Acoustic Grand Piano", 48),
        ("Electric Bass (finger)", 32),
        ("Drums", 32),
    ]
    assert instruments[0]["notes"][0] == {"pitch": 60, "start": 0.0, "end": 0.9375, "velocity": 63 / 127}


def test_bodies_are_given_back_byte_for_byte():
    body = b'{ "code" : "200",\n"data":{"midiData":null}}'
    with Sandbox({"t1": body, "t2": {"state": "complete", "instruments": []}}) as sandbox:
        assert ask(sandbox, "t1").body == body
        assert ask(sandbox, "t2").json == {"state": "complete", "instruments": []}


def test_a_folder_gives_each_of_its_records_and_no_second_deliveries(tmp_path):
    (tmp_path / "t1.json").write_bytes(b'{"first":1}')
    (tmp_path / "t1.callback.json").write_bytes(b'{"second":2}')
    (tmp_path / "notes.txt").write_text("no record")
    with Sandbox(tmp_path) as sandbox:
        assert ask(sandbox, "t1").body == b'{"first":1}'
        assert ask(sandbox, "t1.callback").json == UNKNOWN
        assert ask(sandbox, "../t1").json == UNKNOWN


@pytest.mark.parametrize("path", [MIDI, SEPARATION])
def test_an_unknown_task_is_null(sandbox, path):
    assert ask(sandbox, "0123456789abcdef0123456789abcdef", path).json == UNKNOWN


def test_a_midi_task_is_null_at_the_other_endpoints(sandbox):
    task = ordered(sandbox)
    assert ask(sandbox, task, MUSIC).json == UNKNOWN
    assert ask(sandbox, task, SEPARATION).json == UNKNOWN
    assert ask(sandbox, "5c79****be8e", MUSIC).json == UNKNOWN
    assert ask(sandbox, task).json["data"]["taskId"] == task


def test_a_song_is_the_documented_one_with_the_id_put_in(sandbox, shared):
    expected = json.loads((shared / "examples" / "music-record-info.json").read_bytes())["data"]
    data = ask(sandbox, "song-of-mine", MUSIC).json["data"]
    assert data["taskId"] == data["response"]["taskId"] == "song-of-mine"
    assert data["param"] == expected["param"]
    assert data.keys() == expected.keys()
    made, documented = data["response"]["sunoData"][0], expected["response"]["sunoData"][0]
    assert made.keys() == documented.keys()
    assert (made["title"], made["tags"]) == (documented["title"], documented["tags"])


def test_a_music_task_has_two_songs_which_stay_the_same(sandbox):
    first, second = ask(sandbox, "song-of-mine", MUSIC).json["data"]["response"]["sunoData"]
    assert first["id"] != second["id"]
    assert (first["duration"], second["duration"]) == (198.44, 187.6)
    assert ask(sandbox, "song-of-mine", MUSIC).json["data"]["response"]["sunoData"] == [first, second]
    assert ask(sandbox, "another", MUSIC).json["data"]["response"]["sunoData"][0]["id"] != first["id"]


MADE_MUSIC = b'{"data":{"status":"SUCCESS","response":{"sunoData":[{"id":"m1"},{"id":"m2","duration":9.5}]}}}'
MADE_STEMS = b'{"data":{"successFlag":"SUCCESS","response":{"originData":[{"id":"s1"}]}}}'


def test_each_kind_of_record_is_given_back_byte_for_byte_at_its_own_endpoint_only(tmp_path):
    (tmp_path / "music.json").write_bytes(MADE_MUSIC)
    (tmp_path / "stems.json").write_bytes(MADE_STEMS)
    (tmp_path / "notes.json").write_bytes(b'{"data":{"midiData":null}}')
    with Sandbox(tmp_path) as sandbox:
        for task, own, body in (("music", MUSIC, MADE_MUSIC), ("stems", SEPARATION, MADE_STEMS)):
            assert ask(sandbox, task, own).body == body
            others = {MIDI, SEPARATION, MUSIC} - {own}
            assert [ask(sandbox, task, path).json for path in others] == [UNKNOWN, UNKNOWN]
        assert ask(sandbox, "notes").body == b'{"data":{"midiData":null}}'


def test_a_separation_is_of_a_song_that_was_there_from_the_start():
    with Sandbox({"music": MADE_MUSIC}) as sandbox:
        task = ordered(sandbox, "music", path=NEW_SEPARATION, audioId="m2")
        data = ask(sandbox, task, SEPARATION).json["data"]
    assert (data["musicId"], data["musicIndex"]) == ("m2", 1)
    assert [stem["duration"] for stem in data["response"]["originData"]] == [9.5, 9.5]


def test_a_music_task_without_songs_can_be_separated_all_the_same():
    with Sandbox({"music": b'{"data":{"status":"PENDING","response":null}}'}) as sandbox:
        task = ordered(sandbox, "music", path=NEW_SEPARATION, audioId="m2")
        assert ask(sandbox, task, SEPARATION).json["data"]["musicIndex"] == 0


def test_a_separation_that_was_there_from_the_start_can_be_pending_at_first():
    with Sandbox({"slow1-stems": MADE_STEMS}) as sandbox:
        data = ask(sandbox, "slow1-stems", SEPARATION).json["data"]
        assert (data["successFlag"], data["response"]) == ("PENDING", None)
        assert ask(sandbox, "slow1-stems", SEPARATION).body == MADE_STEMS


def test_credits_have_a_fraction(sandbox):
    assert talk(sandbox, "GET", "/api/v1/chat/credit").json == {"code": 200, "msg": "success", "data": 4012.5}


def test_an_unknown_path_is_404(sandbox):
    answer = talk(sandbox, "GET", "/api/v1/nowhere")
    assert (answer.status, answer.json["code"]) == (404, 404)


def test_no_task_id_is_422(sandbox):
    assert talk(sandbox, "GET", MIDI).json["code"] == 422


# New tasks


def test_a_new_task_is_finished_with_what_was_ordered(sandbox):
    task = ordered(sandbox, "source", audioId="stem-1", callback="https://callback.invalid/me")
    assert re.fullmatch("[0-9a-f]{32}", task)
    data = ask(sandbox, task).json["data"]
    assert (data["taskId"], data["audioId"], data["callbackUrl"]) == (task, "stem-1", "https://callback.invalid/me")
    assert (data["successFlag"], data["midiData"]["state"]) == (1, "complete")
    assert abs(data["createTime"] / 1000 - time.time()) < 60
    assert sandbox.created == [task]


def test_new_tasks_get_the_notes_of_the_records_in_turn(sandbox):
    names = [
        [each["name"] for each in ask(sandbox, ordered(sandbox)).json["data"]["midiData"]["instruments"]]
        for _ in range(3)
    ]
    assert names == [
        ["Drums", "Electric Bass (finger)"],
        ["Acoustic Grand Piano", "Electric Bass (finger)", "Drums"],
        ["Drums", "Electric Bass (finger)"],
    ]


def test_records_without_notes_are_passed_over_for_new_tasks():
    music = {"data": [{"state": "complete", "instruments": [{"name": "Flute", "notes": []}]}], "success": True}
    with Sandbox({"waiting": {"code": 200, "data": None}, "none": b"junk", "music": music}) as sandbox:
        for _ in range(3):
            instruments = ask(sandbox, ordered(sandbox)).json["data"]["midiData"]["instruments"]
            assert instruments == [{"name": "Flute", "notes": []}]


def test_a_task_is_pending_until_the_delay_is_over():
    with Sandbox(delay=0.3) as sandbox:
        begun = time.monotonic()
        task = ordered(sandbox)
        data = ask(sandbox, task).json["data"]
        assert (data["successFlag"], data["midiData"], data["completeTime"]) == (0, None, None)
        soon(lambda: ask(sandbox, task).json["data"]["successFlag"] == 1)
        assert time.monotonic() - begun >= 0.3


@pytest.mark.parametrize(
    ("fields", "code", "text"),
    [
        ({"taskId": "s"}, 422, "Please enter callBackUrl."),
        ({"taskId": "s", "callbackUrl": NOWHERE}, 422, "Please enter callBackUrl."),
        ({"taskId": "s", "callBackUrl": ""}, 422, "Please enter callBackUrl."),
        ({"callBackUrl": NOWHERE}, 422, "taskId cannot be empty"),
        ({"taskId": 7, "callBackUrl": NOWHERE}, 422, "taskId must be a string"),
        ({"taskId": "s", "audioId": ["a"], "callBackUrl": NOWHERE}, 422, "audioId must be a string"),
    ],
)
def test_a_midi_order_that_lacks_something_is_422_and_makes_no_task(sandbox, fields, code, text):
    answer = order(sandbox, **fields)
    assert answer.status == 200
    assert (answer.json["code"], answer.json["msg"]) == (code, text)
    assert sandbox.created == []


@pytest.mark.parametrize("body", [b"", b"taskId=s", b"[1]", b"[" * 100_000])
def test_an_order_that_is_no_object_is_400(sandbox, body):
    assert talk(sandbox, "POST", NEW_MIDI, body=body).json["code"] == 400


def test_an_order_of_over_a_megabyte_is_413(sandbox):
    parts = urlsplit(sandbox.url)
    with socket.create_connection((parts.hostname, parts.port), timeout=10) as line:
        line.sendall(f"POST {NEW_MIDI} HTTP/1.1\r\nHost: x\r\nContent-Length: 1048577\r\n\r\n".encode())
        assert line.recv(100).startswith(b"HTTP/1.1 413 ")


def test_a_separation_in_two_stems_leads_to_midi_of_one_stem(sandbox):
    music = ask(sandbox, "song-1", MUSIC).json["data"]["response"]["sunoData"][0]
    task = ordered(sandbox, "song-1", path=NEW_SEPARATION, audioId=music["id"])
    data = ask(sandbox, task, SEPARATION).json["data"]
    assert (data["taskId"], data["musicId"], data["successFlag"]) == (task, music["id"], "SUCCESS")
    vocals, rest = data["response"]["originData"]
    assert (vocals["stem_type_group_name"], rest["stem_type_group_name"]) == ("Vocals", "Instrumental")
    assert data["response"]["vocalUrl"] == vocals["audio_url"]
    assert data["response"]["drumsUrl"] is None
    midi = ordered(sandbox, task, audioId=vocals["id"])
    assert ask(sandbox, midi).json["data"]["audioId"] == vocals["id"]


def test_a_separation_of_the_second_song_says_so(sandbox):
    music = ask(sandbox, "song-1", MUSIC).json["data"]["response"]["sunoData"][1]
    task = ordered(sandbox, "song-1", path=NEW_SEPARATION, audioId=music["id"])
    data = ask(sandbox, task, SEPARATION).json["data"]
    assert (data["musicId"], data["musicIndex"]) == (music["id"], 1)
    assert [stem["duration"] for stem in data["response"]["originData"]] == [187.6, 187.6]


def test_a_separation_of_audio_from_an_address_is_of_no_song(sandbox):
    fields = {"audioUrl": "https://files.invalid/a.mp3", "callBackUrl": NOWHERE}
    task = order(sandbox, NEW_SEPARATION, **fields).json["data"]["taskId"]
    assert ask(sandbox, task, SEPARATION).json["data"]["musicId"] is None


def test_a_separation_in_all_stems_names_each_once(sandbox):
    task = ordered(sandbox, "song-1", path=NEW_SEPARATION, audioId="a", type="split_stem")
    stems = ask(sandbox, task, SEPARATION).json["data"]["response"]["originData"]
    assert len({stem["id"] for stem in stems}) == len({stem["stem_type_group_name"] for stem in stems}) == 14


def test_an_advanced_separation_takes_one_stem_out(sandbox):
    fields = {"audioUrl": "https://files.invalid/a.mp3", "callBackUrl": NOWHERE, "type": "split_stem_advanced"}
    task = order(sandbox, NEW_SEPARATION, **fields, stemName="Bass").json["data"]["taskId"]
    (pair,) = ask(sandbox, task, SEPARATION).json["data"]["response"]["originData"]
    assert pair["extract"]["stem_type_group_name"] == "Bass"
    assert pair["remove"]["stem_type_group_name"] == "No Bass"


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({}, "taskId and audioId, or audioUrl, cannot be empty"),
        ({"taskId": "s"}, "taskId and audioId, or audioUrl, cannot be empty"),
        ({"audioUrl": "u", "type": "karaoke"}, "type is not supported"),
        ({"audioUrl": "u", "type": "split_stem_advanced"}, "stemName cannot be empty"),
    ],
)
def test_a_separation_order_that_lacks_something_is_422(sandbox, fields, text):
    answer = order(sandbox, NEW_SEPARATION, callBackUrl=NOWHERE, **fields)
    assert (answer.json["code"], answer.json["msg"]) == (422, text)


# Limits


def test_the_twenty_first_new_task_within_ten_seconds_is_429_and_is_not_made():
    with Sandbox(rate_limits=True) as sandbox:
        codes = [order(sandbox, taskId="s", callBackUrl=NOWHERE).json["code"] for _ in range(21)]
        assert codes == [200] * 20 + [429]
        assert len(sandbox.created) == 20


def test_the_fourth_ask_for_a_task_within_a_second_is_429():
    with Sandbox(rate_limits=True) as sandbox:
        answers = [ask(sandbox, "5c79****be8e") for _ in range(4)]
        assert [answer.json["code"] for answer in answers] == [200, 200, 200, 429]
        assert answers[3].status == 200
        assert answers[3].headers["Retry-After"] is None
        assert ask(sandbox, "another").json["code"] == 200
        time.sleep(1.0)
        assert ask(sandbox, "5c79****be8e").json["code"] == 200


def test_retry_after_comes_on_demand():
    with Sandbox(rate_limits=True, retry_after=7) as sandbox:
        answers = [ask(sandbox, "busy-1") for _ in range(4)]
    assert [answer.status for answer in answers] == [429, 429, 200, 200]
    assert answers[0].headers["Retry-After"] == answers[3].headers["Retry-After"] == "7"
    assert answers[3].json["code"] == 429


def test_without_limits_nothing_is_too_often(sandbox):
    assert {ask(sandbox, "5c79****be8e").json["code"] for _ in range(10)} == {200}


# Faults on demand: outcomes


@pytest.mark.parametrize(
    ("task", "flag", "text"),
    [("fail-1", 3, "MIDI generation failed"), ("refuse-1", 2, "Failed to create task"), ("empty-1", 1, None)],
)
def test_a_task_ends_without_notes(sandbox, task, flag, text):
    for _ in range(3):
        data = ask(sandbox, task).json["data"]
        assert (data["successFlag"], data["errorMessage"], data["midiData"]) == (flag, text, None)


def test_a_separation_ends_in_words(sandbox):
    states = [ask(sandbox, f"{word}-1", SEPARATION).json["data"]["successFlag"] for word in ("slow", "fail", "refuse")]
    assert states == ["PENDING", "GENERATE_AUDIO_FAILED", "CREATE_TASK_FAILED"]
    assert ask(sandbox, "fail-1", MUSIC).json["data"]["status"] == "GENERATE_AUDIO_FAILED"


@pytest.mark.parametrize(("task", "asks"), [("slow-1", 2), ("slow5-1", 5), ("slow0-1", 0)])
def test_a_slow_task_is_pending_for_the_first_asks(sandbox, task, asks):
    flags = [ask(sandbox, task).json["data"]["successFlag"] for _ in range(asks + 2)]
    assert flags == [0] * asks + [1, 1]


def test_the_sandbox_says_how_long_faults_last_where_the_id_does_not():
    with Sandbox(asks=1) as sandbox:
        assert [ask(sandbox, "slow-1").json["data"]["successFlag"] for _ in range(2)] == [0, 1]


def test_a_task_made_just_now_is_null_at_first(sandbox):
    answers = [ask(sandbox, "late-1").json for _ in range(3)]
    assert answers[:2] == [UNKNOWN, UNKNOWN]
    assert answers[2]["data"]["successFlag"] == 1


def test_an_expired_task_is_null_for_ever(sandbox):
    assert [ask(sandbox, "expired-1").json for _ in range(4)] == [UNKNOWN] * 4


@pytest.mark.parametrize(
    ("task", "code", "text"),
    [
        ("unknown-1", 422, "Record does not exist"),
        ("credits-1", 402, "The current credits are insufficient. Please top up."),
        ("credits500-1", 500, "The current credits are insufficient. Please top up."),
    ],
)
def test_some_body_codes_stay(sandbox, task, code, text):
    for _ in range(4):
        answer = ask(sandbox, task)
        assert (answer.status, answer.json["code"], answer.json["msg"]) == (200, code, text)


@pytest.mark.parametrize(
    ("task", "code"), [("repair-1", 455), ("crowd-1", 430), ("code-1", 500), ("code433-1", 433), ("code408-1", 408)]
)
def test_some_body_codes_pass(sandbox, task, code):
    assert [ask(sandbox, task).json["code"] for _ in range(3)] == [code, code, 200]


@pytest.mark.parametrize(
    ("task", "status"), [("status-1", 503), ("status520-1", 520), ("html-1", 502), ("busy-1", 429)]
)
def test_some_http_statuses_pass(sandbox, task, status):
    assert [ask(sandbox, task).status for _ in range(3)] == [status, status, 200]


def test_a_busy_service_says_when_to_come_back(sandbox):
    assert ask(sandbox, "busy-1").headers["Retry-After"] == "1"


def test_the_page_of_a_gateway_is_html(sandbox):
    answer = ask(sandbox, "html-1")
    assert answer.headers["Content-Type"] == "text/html"
    assert answer.body.startswith(b"<html>")


# Faults on demand: the line


def test_the_line_is_cut_in_the_middle_of_the_body_at_first(sandbox):
    for _ in range(2):
        with pytest.raises(http.client.IncompleteRead, match="more expected"):
            ask(sandbox, "drop-1")
    assert ask(sandbox, "drop-1").json["data"]["taskId"] == "drop-1"


@pytest.mark.parametrize("task", ["hang1-1", "stall1-1"])
def test_an_answer_falls_silent_at_first(sandbox, task):
    with pytest.raises(TimeoutError, match="timed out"):
        ask(sandbox, task, timeout=0.2)
    assert ask(sandbox, task).json["data"]["successFlag"] == 1


def test_a_redirect_leads_to_another_host_name(sandbox):
    answer = ask(sandbox, "redirect-1")
    assert answer.status == 302
    assert urlsplit(answer.headers["Location"]).hostname == "localhost"
    assert urlsplit(sandbox.url).hostname == "127.0.0.1"


def test_a_body_can_be_empty_at_first(sandbox):
    assert [len(ask(sandbox, "blank1-1").body) > 0 for _ in range(2)] == [False, True]


# Faults on demand: the body


def test_times_can_be_text_and_midi_data_a_json_string(sandbox):
    notes = json.loads(ask(sandbox, "strings-1").json["data"]["midiData"])
    times = [note[side] for each in notes["instruments"] for note in each["notes"] for side in ("start", "end")]
    assert times
    assert all(isinstance(time, str) for time in times)


def test_a_record_can_be_that_of_another_task(sandbox):
    assert ask(sandbox, "other-1").json["data"]["taskId"] == "ffffffffffffffffffffffffffffffff"


def test_json_can_be_cut_short_under_a_right_length(sandbox):
    answer = ask(sandbox, "junk-1")
    assert int(answer.headers["Content-Length"]) == len(answer.body)
    with pytest.raises(ValueError, match=r"Expecting|Unterminated|delimiter"):
        json.loads(answer.body)


def test_the_right_answer_can_be_called_html(sandbox):
    answer = ask(sandbox, "plain-1")
    assert answer.headers["Content-Type"] == "text/html"
    assert answer.json["data"]["successFlag"] == 1


def test_a_record_can_hold_notes_that_cannot_be_taken(sandbox):
    bad, drums, bass = ask(sandbox, "nan-1").json["data"]["midiData"]["instruments"]
    assert len(bad["notes"]) == 10
    assert (len(drums["notes"]), len(bass["notes"])) == (2, 1)
    assert {"pitch": 300, "start": 0.5, "end": 1.0, "velocity": 0.5} in bad["notes"]
    assert {"pitch": 62, "start": "1:07", "end": 68.0, "velocity": 0.5} in bad["notes"]
    assert {"pitch": 65, "start": 3.0, "velocity": 0.5} in bad["notes"]
    assert {"pitch": 64, "start": 2.5, "end": 3.0, "velocity": 96} in bad["notes"]


@pytest.mark.parametrize(
    ("task", "piece"),
    [
        ("token-1", b'"start":NaN,'),
        ("huge-1", b'"start":1e999,'),
        ("twice-1", b'"start":0.5,"start":0.25,'),
        ("latin-1", b'"start":"\xe9",'),
        ("deep-1", b"[" * 5000 + b"]" * 5000),
        ("deep90-1", b'"extra":' + b"[" * 90 + b"]"),
    ],
)
def test_a_body_can_hold_what_json_writers_do_not_write(sandbox, task, piece):
    assert piece in ask(sandbox, task).body


def test_a_body_can_be_large(sandbox):
    assert len(ask(sandbox, "big3-1").body) > 3 * 2**20


def test_a_body_can_grow_when_unpacked(sandbox):
    answer = ask(sandbox, "bomb3-1")
    assert answer.headers["Content-Encoding"] == "gzip"
    assert len(answer.body) < 2**16
    assert len(gzip.decompress(answer.body)) > 3 * 2**20


def test_after_a_fault_the_record_of_that_name_is_given():
    with Sandbox({"html1-x": b'{"mine":1}'}) as sandbox:
        assert ask(sandbox, "html1-x").status == 502
        assert ask(sandbox, "html1-x").body == b'{"mine":1}'


def test_a_word_that_is_no_fault_is_part_of_a_plain_id(sandbox):
    assert ask(sandbox, "sandbox-1").json == UNKNOWN


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(task=st.text(min_size=1).filter(lambda text: not re.match(r"[a-z]+[0-9]*-", text)))
def test_whatever_the_id_is_an_unknown_task_is_null(sandbox, task):
    assert ask(sandbox, task.encode("utf-8", "replace").decode()).json == UNKNOWN


# Faults on demand: orders


def test_a_new_task_inherits_the_fault_of_its_source(sandbox):
    task = ordered(sandbox, "slow3-abc")
    assert re.fullmatch("slow3-[0-9a-f]{32}", task)
    assert [ask(sandbox, task).json["data"]["successFlag"] for _ in range(4)] == [0, 0, 0, 1]


@pytest.mark.parametrize(("source", "code"), [("refuse-1", 422), ("unknown-1", 422), ("credits-1", 402)])
def test_some_sources_are_never_taken(sandbox, source, code):
    codes = [order(sandbox, taskId=source, callBackUrl=NOWHERE).json["code"] for _ in range(4)]
    assert codes == [code] * 4
    assert sandbox.created == []


def test_some_sources_are_taken_later(sandbox):
    codes = [order(sandbox, taskId="code455-1", callBackUrl=NOWHERE).json["code"] for _ in range(3)]
    assert codes == [455, 455, 200]
    assert re.fullmatch("[0-9a-f]{32}", sandbox.created[0])


def test_an_answer_can_be_lost_after_the_task_was_made(sandbox):
    with pytest.raises(http.client.RemoteDisconnected, match="without response"):
        order(sandbox, taskId="lost-1", callBackUrl=NOWHERE)
    (task,) = sandbox.created
    assert ask(sandbox, task).json["data"]["successFlag"] == 1


# Callbacks


def test_a_finished_task_is_called_back_with_mixed_times(shared):
    expected = json.loads((shared / "examples" / "callback-success.json").read_bytes())["data"]["instruments"]
    numbers = json.loads(json.dumps(expected))
    for note in (note for each in numbers for note in each["notes"]):
        note |= {side: float(note[side]) for side in ("start", "end")}
    record = {"data": {"midiData": {"state": "complete", "instruments": numbers}}}
    with receiver(200) as (url, came), Sandbox({"t": record}) as sandbox:
        task = ordered(sandbox, callback=url)
        ((headers, body),) = soon(lambda: came)
        soon(lambda: sandbox.deliveries)
    assert body == {
        "code": 200,
        "msg": "success",
        "data": {"taskId": task, "state": "complete", "instruments": expected},
    }
    assert headers["Content-Type"] == "application/json"
    assert "X-Webhook-Signature" not in headers
    assert [(each.task, each.attempt, each.status) for each in sandbox.deliveries] == [(task, 1, 200)]


def test_a_callback_waits_for_the_delay():
    with receiver(200) as (url, came), Sandbox(delay=0.3) as sandbox:
        begun = time.monotonic()
        ordered(sandbox, callback=url)
        soon(lambda: came)
        assert time.monotonic() - begun >= 0.3


def test_a_callback_is_signed_over_task_and_time():
    with receiver(200) as (url, came), Sandbox(webhook_key="schlüssel") as sandbox:
        task = ordered(sandbox, callback=url)
        ((headers, _),) = soon(lambda: came)
    stamp = headers["X-Webhook-Timestamp"]
    assert abs(int(stamp) - time.time()) < 60
    mac = hmac.new("schlüssel".encode(), f"{task}.{stamp}".encode(), hashlib.sha256).digest()
    assert headers["X-Webhook-Signature"] == base64.b64encode(mac).decode()


def test_a_forged_callback_bears_another_signature():
    with receiver(200) as (url, came), Sandbox(webhook_key="k") as sandbox:
        task = ordered(sandbox, "forged-1", callback=url)
        ((headers, _),) = soon(lambda: came)
    mac = hmac.new(b"k", f"{task}.{headers['X-Webhook-Timestamp']}".encode(), hashlib.sha256).digest()
    assert headers["X-Webhook-Signature"] != base64.b64encode(mac).decode()


def test_a_callback_is_tried_three_times():
    with receiver(500) as (url, came), Sandbox() as sandbox:
        ordered(sandbox, callback=url)
        soon(lambda: len(sandbox.deliveries) == 3)
        time.sleep(0.4)
        assert [each.attempt for each in sandbox.deliveries] == [1, 2, 3]
        assert len(came) == 3


def test_a_callback_ends_with_the_first_2xx():
    with receiver(500, 204) as (url, _), Sandbox() as sandbox:
        ordered(sandbox, callback=url)
        soon(lambda: len(sandbox.deliveries) == 2)
        time.sleep(0.4)
        assert [each.status for each in sandbox.deliveries] == [500, 204]


def test_a_callback_can_come_twice():
    with receiver(200) as (url, came), Sandbox() as sandbox:
        ordered(sandbox, "again-1", callback=url)
        soon(lambda: len(came) == 2)
    assert came[0][1] == came[1][1]


def test_a_failure_is_called_back_too():
    with receiver(200) as (url, came), Sandbox() as sandbox:
        task = ordered(sandbox, "fail-1", callback=url)
        ((_, body),) = soon(lambda: came)
    assert body == {"code": 500, "msg": "MIDI generation failed", "data": {"taskId": task}}


def test_an_empty_result_is_called_back_with_no_instruments():
    with receiver(200) as (url, came), Sandbox() as sandbox:
        ordered(sandbox, "empty-1", callback=url)
        ((_, body),) = soon(lambda: came)
    assert body["data"]["instruments"] == []


def test_a_separation_is_called_back_without_stem_ids():
    with receiver(200) as (url, came), Sandbox() as sandbox:
        task = ordered(sandbox, "song-1", path=NEW_SEPARATION, audioId="a", callback=url)
        ((_, body),) = soon(lambda: came)
    assert body["data"]["task_id"] == task
    assert body["data"]["vocal_separation_info"]["vocal_url"].startswith("https://files.invalid/")
    assert "originData" not in json.dumps(body)


@pytest.mark.parametrize(
    "url",
    [
        "https://callback.invalid/",
        "https://127.0.0.1/",
        "http://example.com/",
        "http://127.0.0.1@example.com/",
        "http://127.0.0.1.example.com/",
        "http://0.0.0.0/",
        "http://169.254.169.254/latest",
        "http://[::1/",
        "http://127.0.0.1:http/",
        "file:///etc/passwd",
        "no address",
    ],
)
def test_a_callback_to_elsewhere_is_refused_and_noted(sandbox, url):
    task = ordered(sandbox, callback=url)
    (delivery,) = sandbox.deliveries
    assert (delivery.task, delivery.url, delivery.attempt, delivery.status) == (task, url, 0, None)
    assert delivery.note == "refused: callbacks go to http on loopback only"
    assert ask(sandbox, task).json["data"]["successFlag"] == 1


def test_a_callback_that_nobody_takes_is_noted(sandbox):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://localhost:{taken.getsockname()[1]}"
        ordered(sandbox, callback=url)
        soon(lambda: len(sandbox.deliveries) == 3)
    assert "refused" in sandbox.deliveries[0].note


def test_callbacks_can_be_switched_off():
    with receiver(200) as (url, came), Sandbox(callbacks=False) as sandbox:
        ordered(sandbox, callback=url)
        time.sleep(0.2)
        assert came == []
        assert sandbox.deliveries == []


# Its life


def test_many_may_ask_at_once(sandbox):
    codes = []

    def asker():
        codes.extend(ask(sandbox, "code-1").json["code"] for _ in range(5))

    threads = [threading.Thread(target=asker) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(codes) == [200] * 38 + [500] * 2
    assert len(sandbox.requests) == 40


def test_a_connection_serves_many_asks(sandbox):
    parts = urlsplit(sandbox.url)
    line = http.client.HTTPConnection(parts.hostname, parts.port, timeout=10)
    begun = time.monotonic()
    for _ in range(50):
        line.request("GET", "/api/v1/chat/credit", headers={"Authorization": "Bearer sandbox-key", "User-Agent": "t"})
        assert json.loads(line.getresponse().read())["code"] == 200
    assert time.monotonic() - begun < 1.5  # 40 ms each where small packets wait for each other
    line.close()


@pytest.mark.parametrize("task", ["hang-1", "stall-1", None])
def test_closing_does_not_wait_for_clients(task):
    sandbox = Sandbox()
    sandbox.start()
    parts = urlsplit(sandbox.url)
    with socket.create_connection((parts.hostname, parts.port), timeout=10) as line:
        if task:
            headers = "Host: x\r\nUser-Agent: t\r\nAuthorization: Bearer sandbox-key"
            line.sendall(f"GET {MIDI}?taskId={task} HTTP/1.1\r\n{headers}\r\n\r\n".encode())
            soon(lambda: sandbox.requests)
        begun = time.monotonic()
        sandbox.close()
        assert time.monotonic() - begun < 2
        with contextlib.suppress(ConnectionResetError):  # it was closed before it was even taken up
            while line.recv(4096):
                pass
    soon(lambda: not [thread for thread in threading.enumerate() if "process_request" in thread.name])


def test_closing_does_not_wait_for_callbacks():
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        sandbox = Sandbox()
        sandbox.start()
        ordered(sandbox, callback=f"http://127.0.0.1:{deaf.getsockname()[1]}/")
        with deaf.accept()[0]:
            begun = time.monotonic()
            sandbox.close()
            assert time.monotonic() - begun < 0.9
            soon(lambda: not [thread for thread in threading.enumerate() if "(call)" in thread.name])


def test_a_client_that_hangs_up_makes_no_noise(capfd):
    with Sandbox() as sandbox:
        parts = urlsplit(sandbox.url)
        with socket.create_connection((parts.hostname, parts.port), timeout=10) as line:
            headers = "Host: x\r\nUser-Agent: t\r\nAuthorization: Bearer sandbox-key"
            line.sendall(f"GET {MIDI}?taskId=big20-1 HTTP/1.1\r\n{headers}\r\n\r\n".encode())
            assert line.recv(10)
        soon(lambda: not [thread for thread in threading.enumerate() if "process_request" in thread.name])
    assert capfd.readouterr() == ("", "")


def test_a_sandbox_that_is_not_started_says_so():
    with pytest.raises(RuntimeError, match="not started"):
        _ = Sandbox().url


def test_starting_and_closing_twice_is_once():
    sandbox = Sandbox()
    sandbox.start()
    url = sandbox.url
    sandbox.start()
    assert sandbox.url == url
    sandbox.close()
    sandbox.close()
    with pytest.raises(RuntimeError, match="a closed sandbox stays closed"):
        sandbox.start()


def test_serving_forever_ends_when_it_is_closed():
    sandbox = Sandbox()
    sandbox.start()
    thread = threading.Thread(target=sandbox.serve_forever)
    thread.start()
    assert ask(sandbox, "5c79****be8e").status == 200
    sandbox.close()
    thread.join(timeout=5)
    assert not thread.is_alive()


def test_it_takes_the_port_that_it_is_given():
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with Sandbox(port=port) as sandbox:
        assert sandbox.url == f"http://127.0.0.1:{port}"


# What it says of itself


def test_every_behaviour_says_how_it_is_known():
    assert {each.basis for each in BEHAVIOURS} == {"documented", "recorded", "believed"}
    assert all(each.name and each.does for each in BEHAVIOURS)
    assert len({(each.name, each.does) for each in BEHAVIOURS}) == len(BEHAVIOURS)


def test_every_fault_is_in_the_tests_and_among_the_behaviours():
    words = {each.name[:-1] for each in BEHAVIOURS if each.name.endswith("-")}
    with open(__file__, encoding="utf-8") as file:  # noqa: PTH123 -- this file itself
        tested = set(re.findall(r'"([a-z]+)\d*-[\w-]+"', file.read()))
    assert {"fail", "slow", "lost", "bomb"} <= words
    assert words <= tested


def test_it_needs_the_standard_library_only():
    code = """
import importlib.util, sys, types
for name in ("kie_notes", "kie_notes.api"):  # the packages' own imports are not the sandbox's
    package = types.ModuleType(name); package.__path__ = [sys.argv[1] + "/" + name.replace(".", "/")]
    sys.modules[name] = package
before = set(sys.modules)
import kie_notes.api.sandbox
found = {name.partition(".")[0] for name in set(sys.modules) - before} - sys.stdlib_module_names
print(sorted(found))
"""
    root = __file__.rpartition("/tests/")[0]
    done = subprocess.run([sys.executable, "-c", code, root], capture_output=True, text=True, check=True)
    assert done.stdout == "['kie_notes']\n"
