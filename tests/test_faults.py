"""Every fault alone, orders, a limited account, and a short mixture: the proof of faults, a test for each promise."""

from base64 import b64encode

import pytest

import kie_notes as kn
from kie_notes.api.bearer import Bearer
from kie_notes.errors import NoAnswerError
from tests.proofs import faults
from tests.proofs.faulty import FAULTS, Asked, Fault, Faulty, record, silent, whole

REQUEST = Asked(0.0, "GET", "/", f"GET / HTTP/1.1\r\nAuthorization: Bearer {faults.KEY}".encode(), b"", 1, "")
NOBODY = ("connection refused", "no such name", "TLS, unknown authority", "TLS, another name", "no TLS")


@pytest.fixture(scope="module")
def network():
    with faults.Network() as one:
        yield one


@pytest.fixture(scope="module")
def rows(network, tmp_path_factory):
    return {row.fault: row for row in faults.all_alone(network, tmp_path_factory.mktemp("alone"))}


@pytest.mark.parametrize("fault", [*(fault.name for fault in FAULTS), *NOBODY])
def test_tasks_end_as_one_lasting_fault_calls_for_and_are_complete_after_it(rows, fault):
    assert rows[fault].ended == rows[fault].expected


@pytest.mark.parametrize("fault", [fault.name for fault, *_ in faults.orders()])
def test_an_order_is_sent_again_only_after_a_clear_refusal(rows, fault):
    assert rows[f"POST: {fault}"].ended == rows[f"POST: {fault}"].expected


@pytest.mark.parametrize("told", ["Retry-After", "without a word"])
def test_the_whole_account_waits_after_too_many_requests(rows, told):
    row = rows[f"429 to one task, {told}"]
    assert row.ended == row.expected


def test_in_a_mixture_of_faults_every_task_ends_in_its_right_state(network, tmp_path):
    table, wrong = faults.mixed(300, 2, network, tmp_path)
    assert wrong == []
    assert sum(row.requests for row in table) >= 300
    assert table[-1].ended == "0 second POSTs"


def test_the_key_went_with_every_request_and_to_nobody_else(network, rows):
    assert (network.strangers(), network.unkeyed()) == (0, 0)


# The proof itself: it must see what is wrong.


def test_the_proof_sees_notes_that_are_missing_or_too_many(tmp_path):
    with kn.Store(tmp_path) as store:
        store.put(record("t1"))
        store.put(record("t2"))
        assert faults.notes_are(store, ["t1", "t2"])
        assert not faults.notes_are(store, ["t1"])
        assert not faults.notes_are(store, ["t1", "t2", "t3"])


def test_the_proof_sees_a_request_that_reached_another_host():
    with faults.Network() as network:
        network._elsewhere.seen.append(REQUEST)
        network._elsewhere.heard += REQUEST.head
        assert network.strangers() == 2  # one for the request, one for the key in it


def test_the_proof_sees_a_request_without_the_key():
    with faults.Network() as network, network.service(whole) as service:
        service.seen += [REQUEST, REQUEST._replace(head=b"GET / HTTP/1.1\r\nAuthorization: Bearer another")]
        assert network.unkeyed() == 1


@pytest.mark.parametrize(
    ("met", "second"),
    [
        (["body 401", "HTTP 429", "the truth"], 0),
        (["no answer"], 0),
        (["no answer", "the truth"], 1),
        (["body 455", "HTTP 502, HTML", "no answer", "the truth"], 2),
    ],
)
def test_the_proof_counts_posts_after_one_that_was_not_refused(met, second):
    named = {fault.name: fault for fault in FAULTS} | {"the truth": faults.TRUTH}
    mixture = faults.Mixture(1)
    mixture.orders["s1"] = [named[name] for name in met]
    assert faults.second_posts(mixture) == second


def test_the_proof_sees_a_task_in_a_wrong_state(network, tmp_path):
    lie = Fault("a lie", whole, "failed")
    row = faults.alone(lie, network, tmp_path)
    assert row.ended.startswith("complete; complete")
    assert row.expected.startswith("failed; complete")


# What the proofs brought to light.


@pytest.mark.parametrize(
    ("text", "hidden"),
    [
        ("sesame/0>>>", "***4="),  # the last letter shares its last bits
        ("x:sesame/0>>>", "eDp***g=="),
        ("me:sesame/0>>>!", "bWU6***4h"),
    ],
)
def test_a_key_in_base64_is_hidden_wherever_it_stands(text, hidden):
    assert Bearer("sesame/0>>>").hidden(b64encode(text.encode()).decode()) == hidden


def test_no_request_with_the_key_hangs_on_an_error_or_its_causes():
    with Faulty(silent) as service, kn.KieClient(api_key=faults.KEY, base_url=service.url, read_timeout=0.1) as client:
        with pytest.raises(NoAnswerError, match="timed out") as caught:
            client.midi_record("t1", attempts=1)
        link, links = caught.value, 0
        while link is not None:
            assert getattr(link, "request", None) is None
            link, links = link.__cause__ or link.__context__, links + 1
    assert links >= 2
