import base64
import json
import re
import subprocess
import sys
from hashlib import sha256
from html.parser import HTMLParser
from xml.etree import ElementTree as ET

import polars as pl
import pytest

import kie_notes as kn
from kie_notes.report import player, write_report
from kie_notes.report.facts import gather
from kie_notes.report.page import page
from kie_notes.report.picture import picture

HOSTILE = "</script><script>alert(1)</script><!-- <img src=x onerror=alert(2)> & \u2028\u2029 \u202egnaw 🎹"


class Reader(HTMLParser):
    """Read a page as a browser does: its elements, and the text of scripts and styles."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.elements, self.texts, self.open = [], {}, None
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        self.open = (tag, dict(attributes).get("id"), len(self.elements))
        self.texts[self.open] = ""

    def handle_endtag(self, _):
        self.open = None

    def handle_data(self, text):
        if self.open:
            self.texts[self.open] += text

    def of(self, tag):
        return [text for (name, _, _), text in self.texts.items() if name == tag]

    def attributes(self, tag):
        return [attributes for name, attributes in self.elements if name == tag]


def data_of(text):
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.DOTALL)
    return json.loads(found[1])


@pytest.fixture
def hostile(table):
    return table([(HOSTILE, HOSTILE, 60 + k, k, k + 1.0, 0.5, k % 2) for k in range(4)])


@pytest.fixture
def written(hostile, tmp_path):
    return write_report(hostile, tmp_path / "new" / "page.html", title=HOSTILE).read_text("utf-8")


def test_names_from_outside_make_no_element(written, table, tmp_path):
    plain = table([("t", "Flute", 60 + k, k, k + 1.0, 0.5, k % 2) for k in range(4)])
    harmless = write_report(plain, tmp_path / "plain.html", title="t").read_text("utf-8")
    assert [tag for tag, _ in Reader(written).elements] == [tag for tag, _ in Reader(harmless).elements]


def test_names_from_outside_come_through_as_they_are(written):
    task = data_of(written)["tasks"][0]
    assert (task["name"], task["notes_packed"]["tracks"][0][1]) == (HOSTILE, HOSTILE)
    assert Reader(written).of("title") == [HOSTILE]


def test_data_hold_nothing_that_html_takes_for_its_own(written):
    text = re.search(r'id="data">(.*?)</script>', written, re.DOTALL)[1]
    assert not set("<>&\u2028\u2029") & set(text)


def test_the_policy_lets_these_scripts_and_this_style_run_and_nothing_else(written):
    read = Reader(written)
    policy = next(a["content"] for a in read.attributes("meta") if a.get("http-equiv") == "Content-Security-Policy")
    rules = dict(rule.split(maxsplit=1) for rule in policy.split("; "))
    assert (rules["default-src"], rules["base-uri"], rules["form-action"]) == ("'none'",) * 3
    scripts = [
        text for text, its in zip(read.of("script"), read.attributes("script"), strict=True) if "type" not in its
    ]

    def checksum(text):
        return f"'sha256-{base64.b64encode(sha256(text.encode()).digest()).decode()}'"

    assert rules["script-src"].split() == [checksum(text) for text in scripts]
    assert rules["style-src"].split() == [checksum(text) for text in read.of("style")]
    assert "connect-src" not in rules


def test_nothing_in_the_page_names_another_place(written):
    for _, attributes in Reader(written).elements:
        for name in ("src", "href", "action", "data", "poster"):
            assert (attributes.get(name) or "data:").startswith(("data:", "#"))
        assert "style" not in attributes
        assert not [name for name in attributes if name.startswith("on")]


def test_the_summary_counts(samples):
    text = page(gather(samples), title="t")
    assert "12 tasks (9 complete, 1 empty, 1 failed, 1 pending), 8,247 notes, " in text


def test_tables_say_how_many_rows_there_are(samples, tmp_path):
    rejects = pl.concat(
        [pl.DataFrame([("t", 0, 0, "pitch", "300", "no")] * 700, schema=samples.rejects.schema, orient="row")]
    )
    text = write_report(samples._replace(rejects=rejects), tmp_path / "a.html").read_text("utf-8")
    told = data_of(text)["more"][0]
    assert (told["title"], told["total"], len(told["rows"])) == ("Rejected", 700, 500)


def test_an_empty_table_makes_a_page(table, tmp_path):
    text = write_report(table([]), tmp_path / "empty.html").read_text("utf-8")
    assert data_of(text)["tasks"] == []
    assert "There are no notes." in text


def test_a_store_is_a_source(tmp_path):
    with kn.Store(tmp_path / "songs") as store:
        flute = {"name": "Flute", "notes": [{"pitch": 60, "start": 0, "end": 1, "velocity": 0.5}]}
        store.put({"state": "complete", "instruments": [flute]}, task="t1")
        text = write_report(store, tmp_path / "a.html").read_text("utf-8")
    assert Reader(text).of("title") == ["Notes in songs"]
    assert data_of(text)["tasks"][0]["notes"] == 1


def test_the_picture_has_a_path_a_track_and_a_stroke_a_note(table):
    rows = [("a", "Flute", 60 + k, k, k + 1.0, 0.5, 0) for k in range(3)] + [("a", "Drums", 36, 1.0, 1.5, 0.5, 1)]
    drawn = ET.fromstring(picture(table(rows), "a"))  # noqa: S314 -- our own picture
    strokes = [path.attrib["d"] for path in drawn]
    # 3 s are 1000 wide; each pitch is 4 high, the highest at 4; the drums stand two rows below the lowest
    assert strokes == ["M0 12h334M333 8h334M666 4h334", "M333 24h167"]
    assert len({path.attrib["stroke"] for path in drawn}) == 2


def test_the_player_is_the_page_in_a_frame_of_its_own(hostile):
    made = player(hostile)
    frame = Reader(made._repr_html_())
    assert [tag for tag, _ in frame.elements] == ["iframe"]
    assert frame.attributes("iframe")[0]["srcdoc"] == made.page
    assert frame.attributes("iframe")[0]["sandbox"] == "allow-scripts"


def test_a_player_that_would_be_too_large_is_refused(samples):
    with pytest.raises(ValueError, match=r"8247 notes make a player of \d+ bytes, over 100000: keep some tasks"):
        player(samples.notes, most_bytes=100_000)


def test_a_player_must_be_high(samples):
    with pytest.raises(ValueError, match="height: expected pixels above 0, got 0"):
        player(samples.notes, height=0)


def test_the_command_writes_a_page_of_a_store_and_of_a_table(tmp_path, samples):
    with kn.Store(tmp_path / "songs") as store:
        flute = {"name": "Flute", "notes": [{"pitch": 60, "start": 0, "end": 1, "velocity": 0.5}]}
        store.put({"state": "complete", "instruments": [flute]}, task="t1")
    samples.notes.write_parquet(tmp_path / "notes.parquet")
    for source, tasks in [("songs", 1), ("notes.parquet", 9)]:
        command = [sys.executable, "-m", "kie_notes.cli", "report", source, "-o", "page.html"]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stdout, done.stderr[:11]) == (0, "", "page.html: ")
        assert len(data_of((tmp_path / "page.html").read_text("utf-8"))["tasks"]) == tasks


def test_importing_the_report_loads_nothing_heavy():
    code = "import sys, kie_notes.report; print([n for n in ('matplotlib', 'polars', 'numpy') if n in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
