from datetime import UTC, datetime, timedelta

import polars as pl
import pytest

import kie_notes as kn
from kie_notes.errors import NotesOrderError, NotesSchemaError
from kie_notes.report import facts
from kie_notes.report.facts import gather


@pytest.fixture
def store(tmp_path):
    with kn.Store(tmp_path / "songs") as kept:
        good = {"pitch": 60, "start": 0, "end": 1, "velocity": 0.5}
        bad = {"pitch": 300, "start": 0, "end": 1, "velocity": 0.5}
        kept.put({"state": "complete", "instruments": [{"name": "Flute", "notes": [good, bad]}]}, task="t1")
        kept.put({"code": 500, "msg": "MIDI generation failed", "data": {"taskId": "t2"}})
        kept.add(["t3"], submitted_at=datetime.now(UTC) - timedelta(days=13))
        yield kept


def test_a_store_tells_states_counts_rejects_and_expiry(store):
    found = gather(store)
    rows = found.tasks.select("task", "state", "notes", "rejected").rows()
    assert sorted(rows) == [("t1", "complete", 1, 1), ("t2", "failed", 0, 0), ("t3", "pending", 0, 0)]
    assert found.rejects.select("task", "field", "value").rows() == [("t1", "pitch", "300")]
    assert found.waiting["task"].to_list() == ["t3"]
    left = found.waiting["expires_at"][0] - datetime.now(UTC)
    assert timedelta(hours=23) < left < timedelta(hours=25)
    assert found.failed.select("task", "state").rows() == [("t2", "failed")]


def test_flattened_records_tell_states_and_rejects(samples):
    found = gather(samples)
    assert found.tasks["task"].to_list() == samples.tasks["task"].to_list()
    assert found.tasks["state"].to_list() == samples.tasks["state"].to_list()
    assert (found.waiting.height, found.failed.height) == (0, 0)


def test_descriptors_are_those_of_the_helpers(samples):
    found = gather(samples.notes).tasks
    for name, helper, column in [
        ("key", kn.key, "key"),
        ("quality", kn.quality_score, "score"),
        ("density", kn.note_density, "notes_per_second"),
        ("duration", kn.task_summary, "duration"),
    ]:
        expected = dict(helper(samples.notes).select("task", column).rows())
        assert dict(found.select("task", name).drop_nulls().rows()) == expected


def test_a_notes_table_alone_is_enough(samples):
    found = gather(samples.notes.lazy())
    assert set(found.tasks["state"]) == {"complete"}
    assert found.tasks["notes"].sum() == samples.notes.height


def test_chosen_tasks_stand_in_the_order_that_was_asked_for(samples):
    two = samples.tasks.filter(state="complete")["task"].to_list()[:2][::-1]
    found = gather(samples, tasks=two)
    assert found.tasks["task"].to_list() == two
    assert set(found.notes["task"].cast(pl.String)) == set(two)


def test_a_task_that_is_not_there_is_named(samples):
    with pytest.raises(ValueError, match="tasks: 'nobody' is not in this source"):
        gather(samples, tasks=["nobody"])


def test_no_notes_give_no_tasks(table):
    assert gather(table([])).tasks.height == 0


def test_more_notes_than_a_page_holds_are_refused(samples, monkeypatch):
    monkeypatch.setattr(facts, "MOST_NOTES", 100)
    with pytest.raises(ValueError, match="8247 notes are too many for a page, which holds 100: choose some tasks"):
        gather(samples)


def test_what_is_no_notes_table_is_refused():
    with pytest.raises(NotesSchemaError, match="not a notes table"):
        gather(pl.DataFrame({"task": ["a"]}))


def test_what_is_no_source_is_refused():
    with pytest.raises(TypeError, match="source: expected a Store, Flattened or a notes table, got list"):
        gather([])


def test_notes_out_of_order_are_refused(samples):
    with pytest.raises(NotesOrderError, match=r"call sort_notes\(notes\) first"):
        gather(samples.notes.reverse())
