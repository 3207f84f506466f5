"""Orders in the ledger: which are alike, which may be sent, and what each step leaves behind."""

import pytest

from kie_notes.errors import StoreError
from kie_notes.store import Store, submissions
from kie_notes.store.scans import SUBMISSIONS_SCHEMA
from kie_notes.store.submissions import Wanted


@pytest.fixture
def store(tmp_path):
    with Store(tmp_path / "store") as one:
        yield one


@pytest.fixture
def ledger(store):
    return store._ledger


def wanted(source="sep1", audio_id=None, label=None, kind="midi", **options):
    return Wanted(kind, source, audio_id, label, options)


def plan(ledger, *orders, again=False):
    with ledger.transaction() as db:
        return submissions.plan(db, orders, again=again)


def becomes(ledger, order, state):
    """Take an order to a state as sending does."""
    with ledger.transaction() as db:
        submissions.sending(db, order)
        if state == "submitted":
            (row,) = submissions.rows(db, [order])
            submissions.submitted(db, row, f"made-of-{order}")
        elif state != "sending":
            submissions.answered(db, order, state, "why")


def states(store):
    return store.submissions()["state"].to_list()


def test_no_submissions_give_an_empty_table_of_the_full_schema(store):
    assert store.submissions().schema == SUBMISSIONS_SCHEMA
    assert store.submissions().height == 0


@pytest.mark.parametrize("state", ["submitted", "unknown"])
def test_an_order_like_one_that_may_have_been_carried_out_is_that_one(store, ledger, state):
    (first,) = plan(ledger, wanted())
    becomes(ledger, first, state)
    assert plan(ledger, wanted()) == [first]
    assert states(store) == [state]


@pytest.mark.parametrize("state", ["refused", "planned"])
def test_an_order_like_one_of_which_nothing_was_made_is_planned_again(store, ledger, state):
    (first,) = plan(ledger, wanted())
    becomes(ledger, first, state)
    assert plan(ledger, wanted(label="choir")) == [first]
    assert store.submissions().select("state", "label", "reason").rows() == [("planned", "choir", None)]


@pytest.mark.parametrize("state", ["submitted", "unknown"])
def test_again_makes_a_new_row_of_what_was_sent(store, ledger, state):
    (first,) = plan(ledger, wanted())
    becomes(ledger, first, state)
    assert plan(ledger, wanted(), again=True) == [first + 1]
    assert states(store) == [state, "planned"]


def test_again_makes_no_second_row_of_what_is_planned(store, ledger):
    assert plan(ledger, wanted(), wanted(), again=True) == [1]
    assert plan(ledger, wanted(), again=True) == [1]
    assert states(store) == ["planned"]


@pytest.mark.parametrize(
    "other",
    [
        wanted("sep2"),
        wanted(audio_id="stem1"),
        wanted(kind="separation"),
        wanted(stem_name="Drums"),
    ],
)
def test_orders_that_differ_in_what_is_made_are_two(ledger, other):
    assert plan(ledger, wanted(), other) == [1, 2]


def test_where_the_service_delivers_makes_no_other_order(store, ledger):
    assert plan(ledger, wanted(), wanted(callback_url="https://example.com/")) == [1]
    assert store.submissions()["options"].to_list() == ['{"callback_url": "https://example.com/"}']


def test_what_a_dead_process_was_sending_is_unknown(store, ledger):
    for order in plan(ledger, wanted("a"), wanted("b"), wanted("c")):
        becomes(ledger, order, ["submitted", "sending", "planned"][order - 1])
    with ledger.transaction() as db:
        submissions.abandon(db)
    assert states(store) == ["submitted", "unknown", "planned"]
    assert store.submissions()["reason"][1] == "the process that sent it ended before the answer came"


def test_a_submitted_order_enters_its_task_with_label_and_origin(store, ledger):
    (order,) = plan(ledger, wanted(audio_id="stem1", label="choir"))
    becomes(ledger, order, "submitted")
    assert store.open_tasks().select("task", "kind", "label").rows() == [("made-of-1", "midi", "choir")]
    assert store.lineage().select("separation_task", "audio_id").collect().rows() == [("sep1", "stem1")]


def test_a_submitted_separation_enters_its_music_task_too(store, ledger):
    (order,) = plan(ledger, wanted("music1", "song1", kind="separation"))
    becomes(ledger, order, "submitted")
    assert store.open_tasks().select("task", "kind").rows() == [("made-of-1", "separation"), ("music1", "music")]


def test_the_separation_of_a_file_has_no_music_task(store, ledger):
    (order,) = plan(ledger, wanted("https://example.com/a.mp3", kind="separation"))
    becomes(ledger, order, "submitted")
    assert store.open_tasks()["task"].to_list() == ["made-of-1"]


def test_an_order_is_open_until_one_like_it_follows(store, ledger):
    becomes(ledger, plan(ledger, wanted("a"))[0], "unknown")
    becomes(ledger, plan(ledger, wanted("b"))[0], "submitted")
    becomes(ledger, plan(ledger, wanted("c"))[0], "refused")
    assert store.submissions()["open"].to_list() == [True, False, True]
    becomes(ledger, plan(ledger, wanted("a", callback_url="https://example.com/"), again=True)[0], "submitted")
    assert store.submissions()["open"].to_list() == [False, False, True, False]


def test_only_one_at_a_time_submits_from_a_store(store):
    told = pytest.raises(StoreError, match="somebody else is submitting from this store")
    with store.submitting(), Store(store.folder) as second, told, second.submitting():
        pass
    with store.submitting():
        pass
