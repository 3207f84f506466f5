"""The client against a real server on loopback: what it sends, how it takes each answer, what it never tells."""

import json
import logging
import os
import socket
import ssl
import threading
import time
import traceback
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
import trustme

from kie_notes.api.answers import retry_after
from kie_notes.api.client import NO_CALLBACK, KieClient
from kie_notes.api.origins import parse_music, parse_separation
from kie_notes.api.pace import Pace
from kie_notes.api.records import parse_record
from kie_notes.api.sandbox import Sandbox
from kie_notes.errors import (
    AmbiguousError,
    ApiError,
    AuthenticationError,
    BadResponseError,
    CreditsError,
    MaintenanceError,
    NoAnswerError,
    NotFoundError,
    RateLimitError,
    RefusedError,
    ServerError,
    TaskFailedError,
)
from tests.proofs.faulty import Faulty, http

KEY = "kie-secret-0123456789"


@pytest.fixture
def sandbox():
    with Sandbox(key=KEY) as service:
        yield service


@pytest.fixture
def client(sandbox):
    with KieClient(api_key=KEY, base_url=sandbox.url, attempts=3, wait_max=0.05, read_timeout=5) as one:
        yield one


class Canned:
    """A server that gives the same answer to everything and remembers what came."""

    def __init__(self, status=200, body=b"{}", headers=(), tls=None):
        self.seen = []
        seen = self.seen

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                length = int(self.headers.get("Content-Length") or 0)
                seen.append((self.command, self.path, dict(self.headers), self.rfile.read(length)))
                self.send_response(status)
                for name, value in headers:
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            do_POST = do_GET  # noqa: N815 -- the name that http.server asks for

            def log_message(self, *_):
                pass

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.server.handle_error = lambda *_: None  # a client that hangs up
        if tls is not None:
            self.server.socket = tls.wrap_socket(self.server.socket, server_side=True)
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def __enter__(self):
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01})
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


def ask(status=200, body=b"{}", headers=(), act=lambda client: client.midi_record("t1"), **options):
    """Ask a canned server once; gives what came and what it saw."""
    body = body if isinstance(body, bytes) else json.dumps(body).encode()
    with Canned(status, body, headers) as server:
        options = {"attempts": 1} | options
        with KieClient(api_key=KEY, base_url=server.url, **options) as client:
            return act(client), server.seen


def test_a_record_comes_byte_for_byte():
    body = {"code": 200, "msg": "success", "data": {"taskId": "t1", "successFlag": 0}}
    text = json.dumps(body, indent=3).encode()
    assert ask(body=text)[0] == text


def test_the_key_and_an_own_user_agent_are_sent_and_the_id_is_quoted():
    answer = {"code": 200, "data": {"taskId": "a b/../&x=1"}}
    _, ((method, path, headers, _),) = ask(body=answer, act=lambda client: client.midi_record("a b/../&x=1"))
    assert (method, path) == ("GET", "/api/v1/midi/record-info?taskId=a+b%2F..%2F%26x%3D1")
    assert headers["Authorization"] == f"Bearer {KEY}"
    assert headers["User-Agent"].startswith("kie-notes/")


def test_key_and_address_come_from_the_environment(monkeypatch, sandbox):
    monkeypatch.setenv("KIE_API_KEY", KEY)
    monkeypatch.setenv("KIE_BASE_URL", sandbox.url)
    with KieClient() as client:
        assert client.credits() > 0


def test_a_netrc_does_not_replace_the_key(monkeypatch, tmp_path, sandbox):
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login somebody password else\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    with KieClient(api_key=KEY, base_url=sandbox.url) as client:
        assert client.credits() > 0


def test_without_a_key_nothing_is_sent(monkeypatch, sandbox):
    monkeypatch.delenv("KIE_API_KEY", raising=False)
    with KieClient(base_url=sandbox.url) as client, pytest.raises(AuthenticationError, match="set KIE_API_KEY"):
        client.credits()
    assert sandbox.requests == []


def test_a_key_with_a_line_break_is_refused_without_being_shown(sandbox):
    with KieClient(api_key="abc\ndef", base_url=sandbox.url) as client, pytest.raises(AuthenticationError) as caught:
        client.credits()
    assert "abc" not in str(caught.value)


@pytest.mark.parametrize("address", ["http://api.kie.ai", "ftp://127.0.0.1", "api.kie.ai", "https://"])
def test_the_key_is_never_sent_in_clear_over_a_network(address):
    with pytest.raises(ValueError, match="expected an https address"):
        KieClient(api_key=KEY, base_url=address)


CODES = {
    400: RefusedError,
    401: AuthenticationError,
    402: CreditsError,
    404: NotFoundError,
    405: RateLimitError,
    408: ServerError,
    409: RefusedError,
    413: RefusedError,
    422: RefusedError,
    429: RateLimitError,
    430: RateLimitError,
    433: CreditsError,
    451: RefusedError,
    455: MaintenanceError,
    500: ServerError,
    501: TaskFailedError,
    505: RefusedError,
    531: TaskFailedError,
    599: ServerError,
    418: RefusedError,
}


@pytest.mark.parametrize("as_text", [False, True])
@pytest.mark.parametrize("code", CODES)
def test_each_body_code_is_its_own_error_though_http_says_200(code, as_text):
    with pytest.raises(ApiError) as caught:
        ask(body={"code": str(code) if as_text else code, "msg": "said the service"})
    assert type(caught.value) is CODES[code]
    assert (caught.value.status, caught.value.code) == (200, code)
    for part in ("/api/v1/midi/record-info?taskId=t1", "HTTP 200", f"code {code}", "said the service"):
        assert part in str(caught.value)


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ({"code": 500, "msg": "Your credits are insufficient"}, CreditsError),
        ({"code": 429, "msg": "Insufficient credits"}, CreditsError),
        ({"code": 531, "msg": "failed, credits refunded"}, TaskFailedError),
        ({"code": 422, "msg": "Record does not exist"}, NotFoundError),
        ({"code": 422, "msg": "recordInfo is null"}, NotFoundError),
        ({"code": 200, "msg": "success", "data": None}, NotFoundError),
        ({"code": 200, "msg": "success", "data": {"taskId": "t2"}}, BadResponseError),
        ({"msg": "success"}, BadResponseError),
        ([1, 2], BadResponseError),
    ],
)
def test_texts_and_contents_count_as_well_as_codes(body, kind):
    with pytest.raises(ApiError) as caught:
        ask(body=body)
    assert type(caught.value) is kind


@pytest.mark.parametrize(
    ("status", "body", "kind", "message"),
    [
        (403, b"error code: 1010", AuthenticationError, "HTTP 403: 'error code: 1010'"),
        (502, b"<html>Bad Gateway</html>", ServerError, "HTTP 502, and the body is no JSON: '<html>Bad"),
        (524, b"", ServerError, "HTTP 524"),
        (200, b"<html>", BadResponseError, "HTTP 200, expected a JSON object, got '<html>'"),
        (200, b"", BadResponseError, r"got '' \(0 bytes\)"),
        (200, b'{"code":200,"data":{"taskId":"t1","mi', BadResponseError, 'got \'{"code":200'),
        (429, b"slow down", RateLimitError, "HTTP 429"),
        (500, b'{"code":200,"data":{}}', ServerError, "HTTP 500"),
        (401, b'{"code":401}', AuthenticationError, "code 401"),
    ],
)
def test_http_status_and_body_are_judged_together(status, body, kind, message):
    with pytest.raises(kind, match=message):
        ask(status=status, body=body)


def test_json_under_another_content_type_is_taken():
    body = {"code": 200, "data": {"taskId": "t1"}}
    assert ask(body=body, headers=[("Content-Type", "text/html")])[0]


def test_a_redirect_is_not_followed_with_the_key():
    with Canned() as elsewhere:
        with pytest.raises(
            RefusedError, match=r"HTTP 302 leads to 'http://127\.0\.0\.1:\d+', where the key is not sent"
        ):
            ask(status=302, headers=[("Location", elsewhere.url)])
        assert elsewhere.seen == []


@pytest.mark.parametrize("word", ["big5", "bomb5"])
def test_an_answer_over_the_limit_is_not_read_to_its_end(sandbox, word):
    with KieClient(api_key=KEY, base_url=sandbox.url, max_bytes=1 << 20) as client:
        with pytest.raises(BadResponseError, match="larger than max_bytes=1048576 and begins"):
            client.midi_record(f"{word}-1")
        assert len(sandbox.requests) == 1


@pytest.mark.parametrize("word", ["html", "drop", "blank", "junk2", "crowd", "busy", "code500", "status503"])
def test_what_passes_is_asked_again(sandbox, client, word):
    if word == "junk2":
        with pytest.raises(BadResponseError):
            client.midi_record("junk-1")
        assert len(sandbox.requests) == 3
    else:
        assert parse_record(client.midi_record(f"{word}-1")).state == "complete"
        assert len(sandbox.requests) == 3


@pytest.mark.parametrize("word", ["other", "redirect", "credits", "expired", "repair"])
def test_what_does_not_pass_soon_is_asked_once(sandbox, client, word):
    with pytest.raises(ApiError):
        client.midi_record(f"{word}-1")
    assert len(sandbox.requests) == 1


def test_retry_after_is_waited_for(sandbox):
    with KieClient(api_key=KEY, base_url=sandbox.url, wait_max=0.01) as client:
        began = time.monotonic()
        client.midi_record("busy-1")  # two refusals, each with Retry-After: 1
        assert time.monotonic() - began >= 2.0


def test_no_answer_names_the_address_and_the_reason():
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{closed.getsockname()[1]}"
    refused = pytest.raises(NoAnswerError, match=rf"GET {url}/api/v1/chat/credit: .*refused")
    with KieClient(api_key=KEY, base_url=url, attempts=1) as client, refused:
        client.credits()


def test_a_server_that_falls_silent_is_given_up(sandbox):
    with KieClient(api_key=KEY, base_url=sandbox.url, read_timeout=0.2, attempts=1) as client:
        with pytest.raises(NoAnswerError, match=r"[Tt]imed? ?out"):
            client.midi_record("hang-1")
        with pytest.raises(NoAnswerError, match=r"[Tt]imed? ?out"):
            client.midi_record("stall-1")


def test_making_a_task_sends_the_fields_that_the_service_wants(sandbox, client):
    task = client.generate_midi("separation-1", audio_id="stem-1")
    assert sandbox.created == [task]
    assert sandbox.requests[0].fields == {"taskId": "separation-1", "callBackUrl": NO_CALLBACK, "audioId": "stem-1"}
    client.generate_midi("separation-2", callback_url="http://127.0.0.1:9/x")
    assert sandbox.requests[1].fields == {"taskId": "separation-2", "callBackUrl": "http://127.0.0.1:9/x"}


def test_a_post_whose_answer_is_lost_is_sent_once_and_is_ambiguous(sandbox, client):
    with pytest.raises(AmbiguousError, match="may have been carried out all the same"):
        client.generate_midi("lost-1")
    assert len(sandbox.requests) == len(sandbox.created) == 1


@pytest.mark.parametrize(
    ("status", "body"), [(502, b"<html>"), (200, b"{"), (200, {"code": 500, "msg": "x"}), (200, {"code": 200})]
)
def test_a_post_without_a_clear_answer_is_ambiguous_and_sent_once(status, body):
    with Canned(status, body if isinstance(body, bytes) else json.dumps(body).encode()) as server:
        with KieClient(api_key=KEY, base_url=server.url, attempts=5) as client, pytest.raises(AmbiguousError):
            client.generate_midi("s1")
        assert len(server.seen) == 1


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (200, b'{"code":201,"msg":"created","data":{"taskId":"t1"}}'),
        (200, b'{"code":0,"msg":"ok","data":null}'),
        (200, b'{"code":422,"msg":"no","data":{"taskId":"t1"}}'),
        (302, b""),
        (303, b""),
    ],
)
def test_a_post_is_refused_only_by_an_answer_that_says_so(status, body):
    answer = http(body, status, **({"Location": "/x"} if status > 300 else {}))
    with Faulty(lambda _: answer) as service, KieClient(api_key=KEY, base_url=service.url) as client:
        with pytest.raises(AmbiguousError, match="may have been carried out"):
            client.generate_midi("s1")
        assert len(service.seen) == 1


def test_a_post_that_was_refused_for_its_rate_is_sent_again(sandbox, client):
    task = client.generate_midi("code429-1")  # refused twice, then taken
    assert len(sandbox.requests) == 3
    assert sandbox.created == [task]


@pytest.mark.parametrize("address", ["http://127.0.0.1:1", "https://nowhere.invalid"])
def test_a_post_that_reached_nobody_is_no_ambiguity(monkeypatch, address):
    monkeypatch.setenv("NO_PROXY", "*")
    with KieClient(api_key=KEY, base_url=address) as client, pytest.raises(NoAnswerError) as caught:
        client.generate_midi("s1")
    assert type(caught.value) is NoAnswerError


def test_a_post_to_whoever_cannot_prove_its_name_is_no_ambiguity():
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    with Canned(tls=context) as server:
        url = server.url.replace("http://127.0.0.1", "https://localhost")
        with KieClient(api_key=KEY, base_url=url) as client, pytest.raises(NoAnswerError) as caught:
            client.generate_midi("s1")
        assert type(caught.value) is NoAnswerError
        assert server.seen == []


@pytest.mark.parametrize(
    "rest",
    [b',"n":' + b"1" * 5000, b',"n":"\xff"', b',"n":' + b"[" * 900 + b"]" * 900, b',"n":1e999', b',"taskId":"t1"'],
)
def test_the_id_of_a_new_task_is_read_whatever_stands_beside_it(rest):
    body = b'{"code":200,"msg":"success","data":{"taskId":"t1"' + rest + b"}}"
    assert ask(body=body, act=lambda client: client.generate_midi("s1"))[0] == "t1"


@pytest.mark.parametrize("code", [b"[1]", b"{}", b"1e999", b"NaN", b'"x"', b"1" * 5000])
def test_a_code_that_is_no_number_is_an_error_of_the_tree(code):
    with pytest.raises(BadResponseError, match="HTTP 200, expected a"):
        ask(body=b'{"data":null,"code":' + code + b"}")


def test_the_other_records_are_given_too(client):
    assert json.loads(client.music_record("m1"))["data"]["status"] == "SUCCESS"
    separation = json.loads(client.separation_record(client.separate("m1", audio_id="a")))["data"]
    assert separation["response"]["originData"]


ADDRESS = "https://files.invalid/a.mp3"


@pytest.mark.parametrize(
    ("named", "fields"),
    [
        (
            {"music_task": "m1", "audio_id": "a1"},
            {"taskId": "m1", "audioId": "a1", "type": "separate_vocal", "callBackUrl": NO_CALLBACK},
        ),
        (
            {"audio_url": ADDRESS, "kind": "split_stem", "callback_url": "http://127.0.0.1:9/x"},
            {"audioUrl": ADDRESS, "type": "split_stem", "callBackUrl": "http://127.0.0.1:9/x"},
        ),
        (
            {"audio_url": ADDRESS, "kind": "split_stem_advanced", "stem_name": "Bass"},
            {"audioUrl": ADDRESS, "type": "split_stem_advanced", "stemName": "Bass", "callBackUrl": NO_CALLBACK},
        ),
    ],
)
def test_separating_sends_the_fields_that_the_service_wants(sandbox, client, named, fields):
    assert [client.separate(**named)] == sandbox.created
    (request,) = sandbox.requests
    assert (request.method, request.path) == ("POST", "/api/v1/vocal-removal/generate")
    assert request.fields == fields


@pytest.mark.parametrize(
    ("named", "message"),
    [
        ({}, "expected a music_task with an audio_id, or an audio_url, got music_task=None"),
        ({"music_task": "m1"}, "expected a music_task with an audio_id, or an audio_url, got music_task='m1'"),
        ({"audio_id": "a1"}, "or an audio_url, got music_task=None, audio_id='a1'"),
        ({"music_task": "m1", "audio_id": "a1", "audio_url": ADDRESS}, "got music_task='m1', audio_id='a1', audio_url"),
        ({"music_task": "m1", "audio_url": ADDRESS}, "got music_task='m1', audio_id=None, audio_url"),
        ({"audio_url": ""}, "audio_url=''"),
        ({"audio_url": ADDRESS, "stem_name": "Bass"}, "stem_name: expected .* got 'Bass' with 'separate_vocal'"),
        ({"audio_url": ADDRESS, "kind": "split_stem_advanced"}, "stem_name: .* got None with 'split_stem_advanced'"),
    ],
)
def test_a_separation_that_contradicts_itself_is_refused_before_it_is_sent(sandbox, client, named, message):
    with pytest.raises(ValueError, match=message):
        client.separate(**named)
    assert sandbox.requests == []


def test_a_separation_whose_answer_is_lost_is_sent_once_and_is_ambiguous(sandbox, client):
    with pytest.raises(AmbiguousError, match="may have been carried out all the same"):
        client.separate("lost-1", audio_id="a1")
    assert len(sandbox.requests) == len(sandbox.created) == 1


def test_a_separation_whose_answer_names_no_task_is_ambiguous():
    with pytest.raises(AmbiguousError, match="vocal-removal/generate: the request was accepted, but the answer names"):
        ask(body={"code": 200, "data": {}}, act=lambda client: client.separate("m1", audio_id="a1"))


def test_a_song_leads_to_stems_and_a_stem_to_notes(client):
    song = parse_music(client.music_record("m1")).songs[1]
    separation = parse_separation(client.separation_record(client.separate("m1", audio_id=song.id)))
    assert (separation.state, separation.song, separation.song_index) == ("complete", song.id, 1)
    stem = separation.stems[0]
    midi = parse_record(client.midi_record(client.generate_midi(separation.task, audio_id=stem.id)))
    assert (midi.state, midi.audio_id) == ("complete", stem.id)


@pytest.mark.parametrize("task", ["", None, 7])
def test_an_id_that_is_none_is_refused_before_it_is_asked_for(client, sandbox, task):
    with pytest.raises(ValueError, match="expected an id as text"):
        client.midi_record(task)
    assert sandbox.requests == []


def test_the_key_is_in_no_repr_log_or_exception(sandbox, caplog):
    caplog.set_level(logging.DEBUG)
    told = []
    with KieClient(api_key=KEY, base_url=sandbox.url, attempts=2, wait_max=0.01, read_timeout=0.2) as client:
        told += [repr(client), str(vars(client)), repr(client._auth)]
        for task in ("fail-1", "html-1", "credits-1", "hang-1", "other-1", "redirect-1", "drop-1"):
            try:
                client.midi_record(task)
            except ApiError as fault:
                chain = fault
                while chain is not None:
                    told += [str(chain), repr(chain), str(vars(chain))]
                    chain = chain.__cause__ or chain.__context__
    told += [record.getMessage() for record in caplog.records]
    assert not [text for text in told if KEY in text]


def test_a_key_that_the_service_does_not_know_is_told(sandbox):
    with (
        KieClient(api_key="another", base_url=sandbox.url) as client,
        pytest.raises(AuthenticationError, match="not valid"),
    ):
        client.credits()
    assert len(sandbox.requests) == 1


@pytest.mark.parametrize(
    ("header", "seconds"),
    [("2", 2.0), ("0.5", 0.5), ("-1", 0.0), ("99999", 3600.0), ("nan", None), ("x", None), (None, None)],
)
def test_retry_after_is_read_as_seconds(header, seconds):
    assert retry_after(header) == seconds


def test_retry_after_is_read_as_a_date():
    assert retry_after("Wed, 21 Oct 2015 07:28:00 GMT") == 0.0
    assert retry_after("Wed, 21 Oct 2315 07:28:00 GMT") == 3600.0


def test_a_pace_lets_so_many_through_and_has_the_next_wait():
    pace = Pace(3, 0.3)
    began = time.monotonic()
    for _ in range(3):
        pace.wait("a")
        pace.wait("b")
    assert time.monotonic() - began < 0.1
    pace.wait("a")
    assert time.monotonic() - began >= 0.3


def test_a_pace_forgets_keys_that_rest():
    pace = Pace(3, 0.01)
    for at in range(1000):
        pace.wait(str(at))
        if at % 100 == 0:
            time.sleep(0.02)
    assert len(pace._past) <= 100


def test_the_documented_rates_are_kept(sandbox):
    with (
        Sandbox(key=KEY, rate_limits=True) as service,
        KieClient(api_key=KEY, base_url=service.url, attempts=1) as client,
    ):
        began = time.monotonic()
        for _ in range(7):
            client.midi_record("slow9-1")
        assert time.monotonic() - began >= 2.0


def test_a_long_wait_for_the_account_holds_every_thread(sandbox):
    with KieClient(api_key=KEY, base_url=sandbox.url) as client:
        first = threading.Thread(target=client.midi_record, args=("busy1-1",))
        first.start()
        time.sleep(0.3)
        began = time.monotonic()
        client.credits()
        assert time.monotonic() - began > 0.3
        first.join()


def test_the_library_reads_no_env_file(tmp_path, monkeypatch, sandbox):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("KIE_API_KEY", raising=False)
    (tmp_path / ".env").write_text(f"KIE_API_KEY={KEY}\n")
    with KieClient(base_url=sandbox.url) as client, pytest.raises(AuthenticationError, match="no key"):
        client.credits()
    assert "KIE_API_KEY" not in os.environ


def test_a_key_that_the_service_echoes_is_hidden():
    with pytest.raises(ServerError) as caught:
        ask(body={"code": 500, "msg": f"bad key Bearer {KEY}"})
    assert "bad key Bearer ***" in str(caught.value)
    assert caught.value.body == b""


def test_an_answer_that_holds_the_key_is_refused_and_asked_for_once():
    body = {"code": 200, "data": {"taskId": "t1", "successFlag": 0, "callbackUrl": f"https://a.invalid/?{KEY}"}}
    with Canned(body=json.dumps(body).encode()) as server, KieClient(api_key=KEY, base_url=server.url) as client:
        with pytest.raises(BadResponseError, match="the answer holds the key that was sent with the request") as caught:
            client.midi_record("t1")
        assert (caught.value.passing, caught.value.body, len(server.seen)) == (False, b"", 1)


ODD = "k+/=\"'\\ 0123456789"


@pytest.mark.parametrize(
    "spelt",
    [
        ODD,
        r"k+/=\"'\\ 0123456789",  # JSON
        r"k+\/=\"'\\ 0123456789",  # JSON as PHP writes it
        r"k\u002b\u002F\u003D\u0022\u0027\u005C\u00200123456789",
        "k+/%3D%22%27%5C%200123456789",
        "k%2b%2f%3d%22%27%5c%200123456789",
    ],
)
def test_a_key_is_recognised_in_every_spelling(spelt):
    with (
        Canned(500, f"<p>{spelt}</p>".encode()) as server,
        KieClient(api_key=ODD, base_url=server.url, attempts=1) as client,
        pytest.raises(ServerError) as caught,
    ):
        client.credits()
    assert "no JSON: '<p>***</p>'" in str(caught.value)


def test_a_key_at_the_end_of_what_is_shown_is_not_shown_by_half():
    with pytest.raises(ServerError, match="HTTP 500") as caught:
        ask(500, b"x" * 110 + KEY.encode())
    assert KEY[:6] not in str(caught.value)


def test_a_short_key_does_not_make_every_answer_suspicious():
    body = json.dumps({"code": 200, "data": 1.5}).encode()
    with Canned(body=body) as server, KieClient(api_key="data", base_url=server.url) as client:
        assert client.credits() == 1.5


def shown(fault):
    """A traceback with local variables, without the test's own frame."""
    fault.__traceback__ = fault.__traceback__.tb_next
    return "".join(traceback.TracebackException.from_exception(fault, capture_locals=True).format())


@pytest.mark.parametrize(
    "answer",
    [
        f"HTTP/1.1 {KEY}\r\n\r\n",
        f"{KEY}\r\n\r\n",
        f"HTTP/1.1 200 {KEY}\r\n{KEY} is no header\r\nContent-Length: 2\r\n\r\n{{}}",
        f"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{KEY}\r\n",
        f"HTTP/1.1 302 OK\r\nLocation: http://[{KEY}\r\nContent-Length: 0\r\n\r\n",
        f"HTTP/1.1 429 OK\r\nRetry-After: {KEY}\r\nContent-Length: {len(KEY)}\r\n\r\n{KEY}",
        f"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{KEY}",
    ],
)
def test_a_key_in_a_broken_answer_is_in_no_traceback_local_variable_or_log_line(caplog, answer):
    caplog.set_level(logging.DEBUG)

    def speak():
        with line.accept()[0] as one:
            one.recv(65536)
            one.sendall(answer.encode())
            one.shutdown(socket.SHUT_WR)
            one.recv(1)

    with socket.create_server(("127.0.0.1", 0)) as line:
        thread = threading.Thread(target=speak)
        thread.start()
        url = f"http://127.0.0.1:{line.getsockname()[1]}"
        with KieClient(api_key=KEY, base_url=url, attempts=1) as client, pytest.raises(ApiError) as caught:
            client.midi_record("t1")
        thread.join()
    told = shown(caught.value)
    assert "midi_record" in told
    assert KEY not in told + "".join(record.getMessage() + str(record.exc_text) for record in caplog.records)


def test_the_header_is_in_no_local_variable_of_a_traceback(client):
    with pytest.raises(NoAnswerError) as caught:
        client.midi_record("drop9-1", attempts=1)
    assert caught.value.__cause__ is not None
    told = shown(caught.value)
    assert KEY not in told
    assert "IncompleteRead" in told or "Connection" in told


def test_an_address_with_a_password_is_refused_without_showing_it():
    with pytest.raises(ValueError, match="without a name and a password") as caught:
        KieClient(api_key=KEY, base_url="https://me:hunter2@api.kie.ai")
    assert "hunter2" not in str(caught.value)


def test_an_answer_that_trickles_is_given_up():
    class Slow(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header("Content-Length", "1000")
            self.end_headers()
            try:
                for _ in range(1000):
                    self.wfile.write(b" ")
                    time.sleep(0.05)
            except OSError:
                pass

        def log_message(self, *_):
            pass

    server = HTTPServer(("127.0.0.1", 0), Slow)
    thread = threading.Thread(target=server.handle_request)
    thread.start()
    url = f"http://127.0.0.1:{server.server_port}"
    given_up = pytest.raises(NoAnswerError, match=r"still coming after 0\.3 s")
    with KieClient(api_key=KEY, base_url=url, attempts=1, total_timeout=0.3) as client, given_up:
        client.credits()
    thread.join()
    server.server_close()


@pytest.mark.parametrize("place", ["http://[bad/", ""])
def test_a_redirect_to_nowhere_is_refused_like_any(place):
    with pytest.raises(RefusedError, match="where the key is not sent"):
        ask(status=302, headers=[("Location", place)])


def test_an_id_that_comes_as_a_number_is_the_same_id():
    assert ask(body={"code": 200, "data": {"taskId": 5}}, act=lambda client: client.midi_record("5"))[0]


def test_a_refusal_with_an_odd_text_is_a_refusal():
    with pytest.raises(AuthenticationError, match="code 401"):
        ask(body={"code": 401, "msg": 5})


def test_credits_beside_a_nan_are_read():
    assert ask(body=b'{"code":200,"data":3.5,"x":NaN}', act=lambda client: client.credits())[0] == 3.5
