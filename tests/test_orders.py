"""Giving the service new tasks: what arrives there, what the store knows of it, and what a crash leaves behind."""

import contextlib
import io
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections import Counter

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kie_notes.api.client import NO_CALLBACK, KieClient
from kie_notes.api.sandbox import Sandbox
from kie_notes.collect import collect
from kie_notes.errors import StoreError
from kie_notes.order_lists import Order, SongOrder, read_orders, read_song_orders
from kie_notes.orders import _paced, separate, settle_order, submit, submit_pending
from kie_notes.store import Store

NOBODY = "http://127.0.0.1:9"  # the port of discard: nobody listens


@pytest.fixture
def sandbox():
    with Sandbox() as service:
        yield service


@pytest.fixture
def client(sandbox):
    with KieClient(api_key=sandbox.key, base_url=sandbox.url, attempts=1, wait_max=0.02, read_timeout=2) as one:
        yield one


@pytest.fixture
def store(tmp_path):
    with Store(tmp_path / "store") as one:
        yield one


def posts(sandbox):
    """The sources of the POSTs that arrived, in order."""
    return [one.task or one.fields.get("audioUrl") for one in sandbox.requests if one.method == "POST"]


def test_submitted_tasks_are_in_the_store_and_can_be_collected(store, client):
    table = submit(["s1", "unknown-1", "s1", "lost-1", "s2"], store, client, label="choir")
    assert table["separation_task"].to_list() == ["s1", "unknown-1", "lost-1", "s2"]
    assert table["state"].to_list() == ["submitted", "refused", "unknown", "submitted"]
    made = table["task"].drop_nulls().to_list()
    assert store.open_tasks().select("task", "label").rows() == [(task, "choir") for task in made]
    assert collect(made, store, client, first_look=0, progress=False).of("complete") == made


def test_a_table_has_a_row_per_order_with_its_stem_and_label(store, client):
    orders = [Order("s1", "stem1", "choir"), ("s1", "stem2"), "s2"]
    table = submit(orders, store, client, label="rest")
    assert table.columns == ["separation_task", "audio_id", "label", "task", "state", "reason"]
    assert table.select("separation_task", "audio_id", "label").rows() == [
        ("s1", "stem1", "choir"),
        ("s1", "stem2", "rest"),
        ("s2", None, "rest"),
    ]


def test_a_frame_of_orders_is_taken(store, client, sandbox):
    frame = pl.DataFrame({"audio_id": ["a1", None], "separation_task": ["s1", "s2"]})
    assert submit(frame, store, client)["state"].to_list() == ["submitted", "submitted"]
    assert [one.fields.get("audioId") for one in sandbox.requests] == ["a1", None]


def test_a_frame_with_other_columns_is_refused(store, client):
    with pytest.raises(ValueError, match=r"expected a frame with the columns .*, got \['task'\]"):
        submit(pl.DataFrame({"task": ["s1"]}), store, client)


def test_no_orders_give_an_empty_table(store, client):
    assert submit([], store, client).schema == dict.fromkeys(
        ["separation_task", "audio_id", "label", "task", "state", "reason"], pl.String
    )


def test_one_text_is_not_taken_for_a_list_of_letters(store, client):
    with pytest.raises(TypeError, match="separation_tasks: expected several ids, got one text"):
        submit("abc", store, client)


def test_an_order_that_is_none_keeps_all_from_being_sent(store, client, sandbox):
    with pytest.raises(ValueError, match="expected a task's id as text, got ''"):
        submit(["s1", ""], store, client)
    assert posts(sandbox) == []
    assert store.submissions().height == 0


def test_without_an_address_for_callbacks_a_reserved_name_is_sent(store, client, sandbox):
    submit(["s1"], store, client)
    submit(["s2"], store, client, callback_url="https://example.com/hook")
    assert [one.fields["callBackUrl"] for one in sandbox.requests] == [NO_CALLBACK, "https://example.com/hook"]


def test_what_was_sent_before_is_told_and_not_sent_again(store, client, sandbox):
    first = submit(["s1"], store, client)
    second = submit(["s1", "s2"], store, client)
    assert posts(sandbox) == ["s1", "s2"]
    assert second["task"][0] == first["task"][0]
    assert "sent before, on 20" in second["reason"][0]
    assert "the task is pending; again=True (--again) sends a second order" in second["reason"][0]


def test_an_order_without_a_clear_answer_waits_for_a_person(store, client, sandbox):
    first = submit(["lost-1"], store, client)
    assert "may have been carried out all the same" in first["reason"][0]
    second = submit(["lost-1"], store, client)
    assert second["state"].to_list() == ["unknown"]
    assert "again=True (--again) sends a second order" in second["reason"][0]
    assert posts(sandbox) == ["lost-1"]
    assert submit(["lost-1"], store, client, again=True)["state"].to_list() == ["unknown"]
    assert posts(sandbox) == ["lost-1", "lost-1"]


def test_again_makes_a_second_task_of_what_was_submitted(store, client, sandbox):
    first, second = submit(["s1"], store, client), submit(["s1"], store, client, again=True)
    assert [*first["task"], *second["task"]] == sandbox.created
    assert len(sandbox.created) == 2


def test_what_was_refused_is_sent_again(store, client, sandbox):
    for _ in range(2):
        assert submit(["refuse-1"], store, client)["state"].to_list() == ["refused"]
    assert posts(sandbox) == ["refuse-1", "refuse-1"]
    assert store.submissions().height == 1


def test_submitting_stops_when_there_are_no_credits(store, client, sandbox):
    table = submit(["s1", "credits-1", "s2"], store, client)
    assert table["state"].to_list() == ["submitted", "unsent", "unsent"]
    assert table["reason"].str.contains("not enough credits").to_list() == [None, True, True]
    assert store.open_tasks()["task"].to_list() == [table["task"][0]]
    assert store.submissions()["state"].to_list() == ["submitted", "planned", "planned"]
    assert posts(sandbox) == ["s1", "credits-1"]


def test_what_a_wrong_key_left_is_sent_when_asked_for(store, client, sandbox):
    with KieClient(api_key="wrong", base_url=sandbox.url) as wrong:
        assert submit(["s1", "s2"], store, wrong, label="choir")["state"].to_list() == ["unsent", "unsent"]
    table = submit_pending(store, client)
    assert table.select("separation_task", "label", "state").rows() == [
        ("s1", "choir", "submitted"),
        ("s2", "choir", "submitted"),
    ]
    assert submit_pending(store, client).height == 0


def test_when_nobody_listens_all_stays_planned(store):
    with KieClient(api_key="k", base_url=NOBODY, attempts=1, connect_timeout=1) as client:
        table = submit(["s1", "s2"], store, client)
    assert table["state"].to_list() == ["planned", "planned"]
    assert table["reason"].str.contains("refused").to_list() == [True, True]


def test_three_orders_in_a_row_without_a_clear_answer_are_enough(store, client, sandbox):
    table = submit([f"lost-{at}" for at in range(5)], store, client)
    assert table["state"].to_list() == ["unknown", "unknown", "unknown", "planned", "planned"]
    assert "3 orders in a row had no clear answer" in table["reason"][3]
    assert len(posts(sandbox)) == 3


def test_all_orders_are_in_the_store_before_the_first_is_sent(store, sandbox):
    seen = []

    class Looking(KieClient):
        def generate_midi(self, *arguments, **options):
            seen.append(store.submissions()["state"].to_list())
            return super().generate_midi(*arguments, **options)

    with Looking(api_key=sandbox.key, base_url=sandbox.url) as client:
        submit(["s1", "s2"], store, client)
    assert seen == [["sending", "planned"], ["submitted", "sending"]]


def test_somebody_else_who_submits_is_told_at_once(store, client, sandbox):
    with Store(store.folder) as other, other.submitting():
        began = time.monotonic()
        with pytest.raises(StoreError, match="somebody else is submitting"):
            submit(["s1"], store, client)
    assert time.monotonic() - began < 2
    assert posts(sandbox) == []


def test_two_threads_that_submit_the_same_send_it_once(store, client, sandbox):
    def act():
        with Store(store.folder) as own:
            for _ in range(50):
                try:
                    submit([f"s{at}" for at in range(5)], own, client)
                except StoreError:
                    time.sleep(0.02)
                else:
                    break

    threads = [threading.Thread(target=act) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(posts(sandbox)) == ["s0", "s1", "s2", "s3", "s4"]


SUBMITTING = textwrap.dedent("""
    import sys
    from kie_notes import KieClient, Store, submit
    with Store(sys.argv[1]) as store, KieClient(api_key=sys.argv[2], base_url=sys.argv[3]) as client:
        print("ready", flush=True)
        submit([f"s{at}" for at in range(15)], store, client)
""")


def submitting(store, sandbox):
    arguments = [sys.executable, "-c", SUBMITTING, str(store.folder), sandbox.key, sandbox.url]
    return subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=os.environ)


@pytest.mark.parametrize(("after", "pause"), [(1, 0.0), (3, 0.004), (6, 0.009), (11, 0.017)])
def test_a_process_that_is_killed_leads_to_no_second_request(store, client, sandbox, after, pause):
    with submitting(store, sandbox) as worker:
        worker.stdout.readline()
        while len(posts(sandbox)) < after and worker.poll() is None:
            time.sleep(0.001)
        time.sleep(pause)
        worker.send_signal(signal.SIGKILL)
    table = submit([f"s{at}" for at in range(15)], store, client)
    arrived = Counter(filter(None, posts(sandbox)))  # a head whose body was cut off by the kill orders nothing
    assert max(arrived.values()) == 1
    unknown = table.filter(state="unknown")["separation_task"].to_list()
    assert len(unknown) <= 1
    assert set(arrived) | set(unknown) == {f"s{at}" for at in range(15)}
    known = table.filter(state="submitted")["task"].to_list()
    assert set(known) <= set(sandbox.created)
    assert set(known) == set(store.open_tasks()["task"])


def test_ctrl_c_leaves_the_rest_planned(store, client, sandbox):
    with submitting(store, sandbox) as worker:
        worker.stdout.readline()
        while len(posts(sandbox)) < 3:
            time.sleep(0.001)
        worker.send_signal(signal.SIGINT)
        assert b"KeyboardInterrupt" in worker.communicate(timeout=20)[1]
    counts = Counter(store.submissions()["state"])
    assert counts["sending"] == counts["unknown"] == 0  # the order in hand was ended
    assert counts["planned"] > 0
    submit_pending(store, client)
    assert max(Counter(posts(sandbox)).values()) == 1


def test_an_order_that_a_dead_process_was_sending_is_unknown(store, client, sandbox):
    submit(["s1"], store, client)
    with store._ledger.transaction() as db:
        db.execute("UPDATE submission SET state = 'sending', task = NULL")
    table = submit(["s1", "s2"], store, client)
    assert table["state"].to_list() == ["unknown", "submitted"]
    assert "the process that sent it ended before the answer came" in table["reason"][0]
    assert posts(sandbox) == ["s1", "s2"]


def test_at_most_20_orders_go_out_in_10_seconds(store):
    now = time.time()
    due = [object() for _ in range(3)]
    recent = [now - 9.8] + [now - 9.6] * 19
    moments = [time.time() - now for _ in _paced(due, recent)]
    assert 0.1 < moments[0] < 0.39
    assert 0.39 < moments[1] < 0.6
    assert moments[2] - moments[1] < 0.1


def test_the_pace_holds_across_processes(store, sandbox):
    with KieClient(api_key=sandbox.key, base_url=sandbox.url) as first:
        submit([f"s{at}" for at in range(20)], store, first)
    with store._ledger.transaction() as db:
        db.execute("UPDATE submission SET sent_at = ?", (int((time.time() - 9.0) * 1000),))
    began = time.monotonic()
    with KieClient(api_key=sandbox.key, base_url=sandbox.url) as second:
        submit(["s20"], store, second)
    assert 0.5 < time.monotonic() - began < 5


def test_a_song_is_separated_once_and_its_chain_is_entered(store, client, sandbox):
    table = separate([("m1", "song1"), ("m1", "song1")], store, client, label="choir")
    assert table.columns == ["music_task", "audio_id", "label", "task", "state", "reason"]
    assert separate([SongOrder("m1", "song1")], store, client)["task"].to_list() == table["task"].to_list()
    assert sandbox.created == table["task"].to_list()
    assert store.open_tasks().select("task", "kind").rows() == [(table["task"][0], "separation"), ("m1", "music")]


def test_another_kind_of_separation_is_another_order(store, client, sandbox):
    separate([("m1", "song1")], store, client)
    separate([("m1", "song1")], store, client, kind="split_stem")
    separate([("m1", "song1")], store, client, kind="split_stem_advanced", stem_name="Drums")
    separate([("m1", "song1")], store, client, kind="split_stem_advanced", stem_name="Bass")
    assert [(one.fields["type"], one.fields.get("stemName")) for one in sandbox.requests] == [
        ("separate_vocal", None),
        ("split_stem", None),
        ("split_stem_advanced", "Drums"),
        ("split_stem_advanced", "Bass"),
    ]


def test_an_audio_file_is_separated_by_its_address(store, client, sandbox):
    separate(["https://example.com/a.mp3"], store, client)
    assert posts(sandbox) == ["https://example.com/a.mp3"]
    assert store.open_tasks()["kind"].to_list() == ["separation"]


@pytest.mark.parametrize(
    ("songs", "options", "message"),
    [
        (["m1"], {}, "expected a music task with an audio id, or the address of an audio file, got 'm1'"),
        ([("m1", "s1")], {"stem_name": "Drums"}, "stem_name: expected with kind 'split_stem_advanced'"),
        ([("m1", "s1")], {"kind": "split_stem_advanced"}, "stem_name: expected with kind 'split_stem_advanced'"),
    ],
)
def test_a_song_that_is_not_named_is_refused_before_anything_is_sent(store, client, sandbox, songs, options, message):
    with pytest.raises(ValueError, match=message):
        separate(songs, store, client, **options)
    assert posts(sandbox) == []


def test_planned_separations_are_sent_by_themselves(store, client, sandbox):
    with KieClient(api_key="wrong", base_url=sandbox.url) as wrong:
        submit(["s1"], store, wrong)
        separate([("m1", "song1")], store, wrong, kind="split_stem")
    before = len(sandbox.requests)
    assert submit_pending(store, client, kind="separation")["music_task"].to_list() == ["m1"]
    assert [one.fields["type"] for one in sandbox.requests[before:]] == ["split_stem"]


FILES = {
    "ids": "s1\ns2\n",
    "comments, blank lines, CRLF and a BOM": "\ufeff# mine\r\n\r\ns1\r\n  s2 \r\n",
    "a header": "separation_task,audio_id,label\ns1,,\ns2,,\n",
    "a header in another order": "label,separation_task\n,s1\n,s2\n",
    "quotes": '"separation_task"\n"s1"\n"s2"\n',
    "rows of blanks": "s1,,\n,,\ns2\n",
}


@pytest.mark.parametrize("case", FILES)
def test_orders_are_read_from_text(case, tmp_path):
    assert read_orders(io.StringIO(FILES[case])) == [Order("s1"), Order("s2")]
    (tmp_path / "orders.csv").write_bytes(FILES[case].encode())
    assert read_orders(tmp_path / "orders.csv") == [Order("s1"), Order("s2")]


def test_fields_are_stem_and_label():
    text = 's1,stem1,"choir, loud"\ns1,stem2\ns2,,"say ""yes"""\n'
    assert read_orders(io.StringIO(text)) == [
        Order("s1", "stem1", "choir, loud"),
        Order("s1", "stem2"),
        Order("s2", None, 'say "yes"'),
    ]


BAD = {
    "separation_task,genre\ns1,jazz\n": "line 1: expected the columns .*, label, got separation_task, genre",
    "label\nchoir\n": "line 1: expected the columns separation_task, audio_id, label, got label",
    "s1\n\n# x\ns2,a,b,c\n": r"line 4: expected separation_task, audio_id, label, got 4 fields",
    "s1\n,stem1\n": "line 2: expected a separation_task, got none",
    "s1;stem1\n": "line 1: expected a separation_task, got 's1;stem1'; commas part the fields",
    's1\n"s2\ns3\n': "line 2",
    's1\n"s2\ns3"\n': "line 2: a quote is opened and not closed",
}


@pytest.mark.parametrize("text", BAD)
def test_a_line_that_cannot_be_read_is_named(text, tmp_path):
    (tmp_path / "orders.csv").write_text(text)
    with pytest.raises(ValueError, match=f"orders.csv, {BAD[text]}"):
        read_orders(tmp_path / "orders.csv")


def test_a_file_that_is_no_utf_8_is_named(tmp_path):
    (tmp_path / "orders.csv").write_bytes("s1\n".encode("utf-16"))
    with pytest.raises(ValueError, match=r"orders\.csv: expected a text in UTF-8"):
        read_orders(tmp_path / "orders.csv")


def test_songs_are_read_as_pairs_and_as_addresses():
    assert read_song_orders(io.StringIO("m1,a1\nhttps://a.invalid/b.mp3\n")) == [
        SongOrder("m1", "a1"),
        SongOrder("https://a.invalid/b.mp3"),
    ]
    assert read_song_orders(io.StringIO("label,url\nchoir,https://a.invalid/b.mp3\n")) == [
        SongOrder("https://a.invalid/b.mp3", None, "choir")
    ]


@given(st.text())
def test_any_text_gives_orders_or_a_line_that_is_wrong(text):
    with contextlib.suppress(ValueError):
        assert all(order.separation_task for order in read_orders(io.StringIO(text)))


# What a review found.


def test_a_pending_separation_that_is_fetched_stays_a_separation(store, client):
    (made,) = separate([("m1", "a1")], store, client)["task"]
    collect([made], store, client, first_look=0, deadline=5, progress=False)
    assert store.counts().filter(kind="separation").select("state", "tasks").rows() == [("complete", 1)]
    assert store.scan_stems().collect().height == 2


@pytest.mark.parametrize(
    ("order", "source", "more"),
    [
        (lambda *to: submit(["lost-1"], *to), "lost-1", {}),
        (lambda *to: separate([("lost-1", "a1")], *to), "lost-1", {"kind": "separation", "audio_id": "a1"}),
    ],
)
def test_an_unknown_order_is_settled_by_its_task(store, client, sandbox, order, source, more):
    order(store, client)
    made = sandbox.created[-1]
    assert settle_order(source, made, store, **more).select("task", "state").rows() == [(made, "submitted")]
    assert order(store, client)["task"].to_list() == [made]
    assert made in store.open_tasks()["task"]
    assert len(posts(sandbox)) == 1


def test_an_order_that_is_not_unknown_is_not_settled(store, client):
    (made,) = submit(["s1"], store, client)["task"]
    with pytest.raises(ValueError, match="expected one midi order of 's1' that is unknown, got 0"):
        settle_order("s1", "another", store)
    submit(["lost-1"], store, client)
    with pytest.raises(ValueError, match=f"task '{made}' was made by another order"):
        settle_order("lost-1", made, store)


def test_a_callback_that_is_faster_than_the_answer_takes_neither_label_nor_kind(store, client, sandbox):
    failure = b'{"code":500,"msg":"failed","data":{"taskId":"%s"}}'

    class Faster(KieClient):
        def separate(self, *args, **more):
            task = super().separate(*args, **more)
            store.receive([(task, failure % task.encode())])
            return task

    with Faster(api_key=sandbox.key, base_url=sandbox.url) as faster:
        separate([("m1", "a1", "choir")], store, faster)
    assert store.open_tasks().filter(kind="separation")["label"].to_list() == ["choir"]
