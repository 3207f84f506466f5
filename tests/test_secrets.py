"""The proof of secrets in its short form, and that its search finds keys wherever they are planted."""

import logging
import sqlite3

import polars as pl
import pytest

from kie_notes.store.ledger import zipped
from tests.proofs import secrets
from tests.proofs.secrets import Search

KEY = 'sesame/0+"\\>>?'


@pytest.fixture
def search():
    return Search("another key", KEY)


def test_no_key_is_in_anything_that_is_written_logged_raised_or_shown(capsys):
    assert secrets.main(["--short"]) == 0
    assert capsys.readouterr().out.endswith("44 of 44 planted keys were found; 0 hold a key\n")


@pytest.mark.parametrize(
    "text",
    [
        'Bearer sesame/0+"\\>>?.',
        r"sesame/0+\"\\>>?",  # JSON
        r"sesame\/0+\"\\>>?",  # JSON as PHP writes it
        r"sesame\\/0+\\\"\\\\>>?",  # JSON in JSON
        r"sesame/0+\u0022\u005C\u003e>?",
        "sesame%2F0%2B%22%5C%3E%3E%3F",
        "sesame/0%2b%22%5c%3e%3e%3f",
        "c2VzYW1lLzArIlw+Pj8=",  # base64 of the key
        "eDpzZXNhbWUvMCsiXD4+Pw==",  # ... after two letters
        "bWU6c2VzYW1lLzArIlw-Pj8h",  # ... after three, in the alphabet of addresses
    ],
)
def test_every_spelling_is_found(search, text):
    search.text("texts", "here", f"<p>{text}</p>")
    assert search.found == ["texts: here"]


def test_what_only_looks_like_a_key_is_none(search):
    search.text("texts", "here", "sesame/0 and another, c2VzYW1lLzA")
    assert search.found == []
    assert search.searched == {"texts": 1, "bytes": 33}


def test_a_key_is_found_in_a_file_and_in_what_a_file_keeps_compressed(search, tmp_path):
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "plain.log").write_text(f"so {KEY} it is")
    body = f"{KEY * 20}{'x' * 1000}".encode()
    pl.DataFrame({"body": [body]}).write_parquet(tmp_path / "part.parquet", compression="zstd", statistics=False)
    assert KEY.encode() * 2 not in (tmp_path / "part.parquet").read_bytes()
    with sqlite3.connect(tmp_path / "ledger.sqlite") as db:
        db.execute("CREATE TABLE inbox (size INTEGER, body BLOB)")
        db.execute("INSERT INTO inbox VALUES (?, ?)", (len(body), zipped(body)))
    db.close()
    search.folder(tmp_path)
    assert {"files: deep/plain.log", "columns: part.parquet", "rows: ledger.sqlite, inbox"} <= set(search.found)
    assert search.searched["files"] == 3


class Request:
    def __init__(self):
        self.headers = {"Authorization": [f"Bearer {KEY}"]}


def told():
    return ValueError("so", KEY)


def caused():
    fault = ValueError("so")
    fault.__cause__ = OSError(KEY)
    return fault


def in_the_context_of_another():
    fault = ValueError("so")
    fault.__context__ = caused()
    return fault


def noted():
    fault = ValueError("so")
    fault.add_note(KEY)
    return fault


def attributed():
    fault = ValueError("so")
    fault.body = KEY.encode()
    return fault


def attributed_to_an_attribute():
    fault = ValueError("so")
    fault.request = Request()
    return fault


def within_an_argument():
    return ValueError(caused())


@pytest.mark.parametrize(
    "fault",
    [told, caused, in_the_context_of_another, noted, attributed, attributed_to_an_attribute, within_an_argument],
)
def test_a_key_is_found_in_all_that_hangs_on_an_exception(search, fault):
    search.exception("here", fault())
    assert set(search.found) <= {"exceptions: here", "parts of exceptions: here"}
    assert search.found


def test_a_key_is_found_in_a_log_line_and_in_its_exception(search):
    with secrets.all_logged(search):
        logging.getLogger("urllib3").debug("sent %s", KEY)
        logging.getLogger("requests").error("so", exc_info=attributed())
    assert set(search.found) == {"log lines: urllib3", "parts of exceptions: log line of requests"}
    assert search.searched["log lines"] == 2
