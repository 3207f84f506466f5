import json
from html.parser import HTMLParser

import polars as pl
import pytest

import kie_notes as kn
from kie_notes.cards import card

HOSTILE = "<img src=x onerror=alert(1)>"
#: A task with a note and one that cannot be taken, and one that failed.
RECORDS = [
    {
        "taskId": HOSTILE,
        "state": "complete",
        "instruments": [
            {
                "name": HOSTILE,
                "notes": [
                    {"pitch": 60, "start": 0, "end": 1, "velocity": 0.5},
                    {"pitch": HOSTILE, "start": 1, "end": 2, "velocity": 0.5},
                ],
            }
        ],
    },
    {"taskId": "t2", "state": "failed", "errorMessage": HOSTILE},
]


def tags(text):
    found = []
    parser = HTMLParser()
    parser.handle_starttag = lambda tag, _: found.append(tag)
    parser.feed(text)
    return found


def test_a_card_counts_and_shows_rows():
    told = card("Store", {"tasks": 2, "notes": 7}, {"tasks": pl.DataFrame({"task": ["a", "b"], "notes": [3, 4]})})
    assert told.startswith("<div><b>Store</b>: 2 tasks, 7 notes<details><summary>tasks (2)</summary>")
    assert '<tr><td dir="auto">a</td><td dir="auto">3</td></tr>' in told


def test_tables_without_rows_are_left_out():
    assert card("Store", {"tasks": 0}, {"tasks": pl.DataFrame({"task": []})}) == "<div><b>Store</b>: 0 tasks</div>"


def test_names_make_no_element():
    told = card(HOSTILE, {HOSTILE: HOSTILE}, {HOSTILE: pl.DataFrame({HOSTILE: [HOSTILE]})})
    assert "img" not in tags(told)


def test_ten_rows_are_shown_and_the_rest_is_counted():
    told = card("Store", {}, {"tasks": pl.DataFrame({"task": range(25)})})
    assert (tags(told).count("td"), "... and 15 more" in told) == (10, True)


def test_flattened_records_show_their_counts_tasks_and_rejects():
    told = kn.flatten(map(kn.parse_record, RECORDS))._repr_html_()
    assert told.startswith("<div><b>Flattened</b>: 1 notes, 2 tasks, 1 rejects<details><summary>tasks (2)</summary>")
    assert "<summary>rejects (1)</summary>" in told
    assert "img" not in tags(told)


@pytest.fixture
def store(tmp_path):
    with kn.Store(tmp_path / "<img src=x>") as made:
        yield made


def test_a_store_shows_what_waits_and_what_failed(store):
    for record in RECORDS:
        store.put(record)
    store.seal()
    store.add(["t3"])
    told = store._repr_html_()
    assert "</b>: 2 answers sealed, 0 waiting to be<details><summary>counts (3)</summary>" in told
    assert "<summary>open (1)</summary>" in told
    assert "<summary>failed (1)</summary>" in told
    assert "img" not in tags(told)


def test_a_closed_store_is_shown_as_text(store):
    store.close()
    assert store._repr_html_() is None


def test_a_report_shows_tasks_and_what_was_not_read(store, tmp_path):
    (tmp_path / "a.json").write_text(json.dumps(RECORDS[1] | {"taskId": HOSTILE}))
    (tmp_path / "b.json").write_text(json.dumps(HOSTILE))
    told = kn.ingest([tmp_path / "a.json", tmp_path / "b.json"], store)._repr_html_()
    assert told.startswith("<div><b>Collected</b>: 1 tasks, 1 missing<details><summary>tasks (1)</summary>")
    assert "<summary>unread (1)</summary>" in told
    assert "img" not in tags(told)
