"""What the tests of the page share: pages, and one browser for all of them."""

import functools
import http.server
import threading
from pathlib import Path

import polars as pl
import pytest

import kie_notes as kn
from kie_notes.notes import NOTES_SCHEMA
from tests.report import screenshot

ROOT = Path(__file__).parents[2]
RECORDS = ROOT / "data" / "samples" / "records"

#: Jazz for piano, bass and drums.
MUSIC = "7ca1092342b6b9749ae58982793500d4"


@pytest.fixture
def table():
    """Make a notes table in canonical order."""
    return lambda rows: kn.sort_notes(pl.DataFrame(rows, schema=NOTES_SCHEMA, orient="row"))


@pytest.fixture(scope="session")
def samples():
    """The packed samples, flattened."""
    return kn.flatten(kn.read_records(RECORDS))


@pytest.fixture(scope="session")
def driver(tmp_path_factory):
    """Chromium, started once."""
    pytest.importorskip("selenium.webdriver", reason="selenium is not installed: pip install '.[test]'")
    lacking = screenshot.missing()
    if lacking:
        pytest.skip(lacking)
    started = screenshot.browser(tmp_path_factory.mktemp("chromium"))
    yield started
    started.quit()


@pytest.fixture
def served(tmp_path):
    """A folder on loopback: the folder, its address, and the paths that were asked for."""
    asked = []

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_):
            asked.append(self.path)

    handler = functools.partial(Handler, directory=str(tmp_path))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield tmp_path, f"http://127.0.0.1:{server.server_port}", asked
        server.shutdown()
