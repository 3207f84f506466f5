"""Callbacks before anything is kept: signatures made by another tool (openssl), and ids in every kind of body."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kie_notes.api.webhook import sign, task_of, verify_signature
from kie_notes.errors import RecordError, SignatureError

TASK = "7ca1092342b6b9749ae58982793500d4"
STAMP = "1760335255"
NOW = 1760335255.0
#: printf '<task>.<stamp>' | openssl dgst -sha256 -hmac <key> -binary | base64
OLD = "HRl1vTWk/KooA7nz5HbKyz/7BVdaQPvTdeqfSVoNSL8="
UMLAUT = "uXwrKHjPB1sWlx5nhHbUzSPGId/WvHaAtwNlsKnoO+0="
DOTS = "bxWs/eBELQkUuvlM7xCsOnP+5uX0Rfd3VbgJWI05VUQ="


def verify(task=TASK, stamp=STAMP, signature=OLD, keys=("old-key",), *, now=NOW, **options):
    verify_signature(task, stamp, signature, keys, now=now, **options)


# Signatures


@pytest.mark.parametrize(
    ("task", "key", "expected"),
    [(TASK, "old-key", OLD), (TASK, "schlüssel", UMLAUT), ("../../etc/passwd", "old-key", DOTS)],
)
def test_a_signature_is_the_one_that_openssl_makes(task, key, expected):
    assert sign(task, STAMP, key) == expected


def test_a_good_signature_is_taken():
    verify()


@pytest.mark.parametrize("keys", [["old-key", "new-key"], ["new-key", "old-key"], ("a", "b", "old-key")])
def test_while_keys_are_changed_each_of_them_will_do(keys):
    verify(keys=keys)


def test_a_key_that_was_retired_fits_no_more():
    with pytest.raises(SignatureError, match="fits no key"):
        verify(keys=["new-key"])


@pytest.mark.parametrize("task", [TASK[:-1] + "5", TASK + " ", "", TASK.upper()])
def test_a_signature_is_for_one_task(task):
    with pytest.raises(SignatureError, match="fits no key"):
        verify(task=task)


def test_a_signature_is_for_one_time():
    with pytest.raises(SignatureError, match="fits no key"):
        verify(stamp="1760335256")


@pytest.mark.parametrize("now", [NOW - 300, NOW, NOW + 300])
def test_clocks_may_differ_by_the_tolerance_in_both_directions(now):
    verify(now=now)


@pytest.mark.parametrize(
    ("now", "told"),
    [
        (NOW + 300.5, r"signed 300 s ago, over the tolerance of 300 s \(sent again, or a wrong clock\?\)"),
        (NOW + 86400, "signed 86400 s ago"),
        (NOW - 301, "signed 301 s ahead of this machine's clock, over the tolerance of 300 s"),
    ],
)
def test_beyond_the_tolerance_a_good_signature_does_not_help(now, told):
    with pytest.raises(SignatureError, match=told):
        verify(now=now)


def test_the_tolerance_can_be_made_smaller():
    verify(now=NOW + 5, tolerance=5)
    with pytest.raises(SignatureError, match="signed 6 s ago, over the tolerance of 5 s"):
        verify(now=NOW + 6, tolerance=5)


def test_without_now_the_clock_of_this_machine_counts():
    with pytest.raises(SignatureError, match="s ago"):
        verify_signature(TASK, STAMP, OLD, ["old-key"])


@pytest.mark.parametrize("tolerance", [0, -1, 3601, float("inf"), float("nan")])
def test_a_tolerance_that_is_none_is_refused(tolerance):
    with pytest.raises(ValueError, match="tolerance: expected seconds above 0 and at most 3600"):
        verify(tolerance=tolerance)


@pytest.mark.parametrize("tolerance", [None, "300", True, False])
def test_a_tolerance_that_is_no_number_is_refused(tolerance):
    with pytest.raises(TypeError, match="tolerance: expected seconds as a number"):
        verify(tolerance=tolerance)


@pytest.mark.parametrize(
    ("stamp", "signature", "header"),
    [(None, OLD, "X-Webhook-Timestamp"), (STAMP, None, "X-Webhook-Signature"), (None, None, "X-Webhook-Timestamp")],
)
def test_a_header_that_is_missing_is_named(stamp, signature, header):
    with pytest.raises(SignatureError, match=f"not signed: the header {header} is missing"):
        verify(stamp=stamp, signature=signature)


@pytest.mark.parametrize(
    "stamp", ["", "abc", "1e9", "nan", "inf", "-1760335255", "+1760335255", " 1760335255", "1760335255\n", "0x68",
              "1760335255.0", "1_760_335_255", "١٧٦٠٣٣٥٢٥٥", "9" * 21, "9" * 5000]
)  # fmt: skip
def test_a_timestamp_is_whole_seconds_in_plain_digits(stamp):
    with pytest.raises(SignatureError, match="X-Webhook-Timestamp: expected whole seconds since 1970"):
        verify(stamp=stamp, signature=sign(TASK, stamp, "old-key"))


def test_milliseconds_are_told_as_such():
    with pytest.raises(SignatureError, match=r"ahead of this machine's clock.* \(milliseconds for seconds\?\)"):
        verify(stamp="1760335255000", signature="THgBGfAIrKMS4AXXkUb8cKEEH+Qba1Sp6xYlwAEGuq8=")


@pytest.mark.parametrize("signature", ["é" * 44, "a", OLD[:-1], OLD + "\n", "*" * 44, OLD.replace("=", "-")])
def test_a_signature_that_is_no_base64_is_refused(signature):
    with pytest.raises(SignatureError, match="X-Webhook-Signature: expected base64"):
        verify(signature=signature)


@pytest.mark.parametrize("signature", ["", "AAAA", OLD[:-4], OLD[4:], OLD.swapcase(), "A" * 40_000])
def test_a_signature_of_another_length_or_content_fits_no_key(signature):
    with pytest.raises(SignatureError, match="fits no key"):
        verify(signature=signature)


@pytest.mark.parametrize(
    "what", [{"signature": "AAAA"}, {"now": NOW + 999}, {"stamp": "x"}, {"stamp": None}, {"signature": "é"}]
)
def test_a_refusal_holds_neither_key_nor_signature(what):
    with pytest.raises(SignatureError, match=r".") as refused:
        verify(**what, keys=["old-key", "other-key"])
    told = f"{refused.value} {refused.value.args} {refused.value.__cause__}"
    assert not any(secret in told for secret in ("old-key", "other-key", OLD, OLD[:8]))


@pytest.mark.parametrize(
    ("keys", "error", "told"),
    [
        ([], ValueError, "expected at least one"),
        ([""], ValueError, "blank"),
        (["old-key", " "], ValueError, "blank"),
        ([None], ValueError, "no text"),
        ("old-key", TypeError, "put it into a list"),
    ],
)
def test_keys_that_can_be_none_are_refused(keys, error, told):
    with pytest.raises(error, match=told):
        verify(keys=keys)


@given(st.text(), st.text() | st.none(), st.text() | st.none())
def test_whatever_comes_is_a_refusal_and_no_other_error(task, stamp, signature):
    with pytest.raises(SignatureError, match=r"."):
        verify(task=task, stamp=stamp, signature=signature)


@given(st.text(), st.integers(0, 10**11), st.text(min_size=1).filter(str.strip))
def test_what_was_signed_is_taken_and_with_another_key_it_is_not(task, second, key):
    signature = sign(task, str(second), key)
    verify(task=task, stamp=str(second), signature=signature, keys=["another", key], now=second)
    with pytest.raises(SignatureError, match="fits no key"):
        verify(task=task, stamp=str(second), signature=signature, keys=[key + "x"], now=second)


# Ids


@pytest.mark.parametrize(
    ("body", "task"),
    [
        (b'{"code":200,"msg":"success","data":{"taskId":"a","state":"complete","instruments":[]}}', "a"),
        (b'{"code":500,"msg":"MIDI generation failed","data":{"taskId":"a"}}', "a"),
        (b'{"task_id":"a","code":500,"data":null}', "a"),
        (b'{"success":true,"task_id":"a","data":[{"state":"complete","instruments":[]}]}', "a"),
        (b'{"data":{"task_id":"b","taskId":"a"},"taskId":"c","task_id":"d"}', "a"),
        (b'{"data":{"task_id":"b"},"taskId":"c","task_id":"d"}', "b"),
        (b'{"data":{"other":"x"},"task_id":"d","taskId":"c"}', "c"),
        (b'{"data":"text","task_id":"d"}', "d"),
        (b'{"data":{"taskId":"","task_id":null},"taskId":"c"}', "c"),
        (b'{"data":{"taskId":true,"task_id":1.5},"taskId":["c"],"task_id":"d"}', "d"),
        (b'{"taskId":42}', "42"),
        (b'{"taskId":0}', "0"),
        (b'{"taskId":1}', "1"),
        (b'{"data":{"taskId":%s}}' % (b"9" * 200), "9" * 200),
        (b'{"taskId":"a","taskId":"b"}', "b"),
        (b'{"data":{"taskId":"a","x":NaN}}', "a"),
        (b'{"data":{"taskId":"a","x":-Infinity},"data":{"taskId":"b"}}', "b"),
        (b'{"data":{"taskId":7,"x":NaN}}', "7"),
        (b'{"data":{"taskId":"a","x":1e999}}', "a"),
        (b'{"data":{"taskId":"a","x":%s}}' % (b"9" * 5000), "a"),
        (b'{"data":{"taskId":"a","x":[NaN,%s]}}' % (b"9" * 5000), "a"),
        (b'{"data":{"taskId":"../../etc/passwd"}}', "../../etc/passwd"),
        (b'{"data":{"taskId":"\\u00e9\\ud83c\\udfb5"}}', "é🎵"),
        ('{"data":{"taskId":"é🎵"}}'.encode(), "é🎵"),
        (b'\xef\xbb\xbf {"taskId":"a"} \n', "a"),
        (b'{"taskId":"a","deep":' + b"[" * 90 + b"]" * 90 + b"}", "a"),
        (b'{"taskId":"%s"}' % (b"x" * 200), "x" * 200),
    ],
)
def test_the_task_is_found(body, task):
    assert task_of(body) == task


def test_the_task_is_found_in_the_published_callback(shared):
    assert task_of((shared / "examples" / "callback-success.json").read_bytes()) == "5c79****be8e"


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (b"", "expected JSON"),
        (b"taskId=a", "expected JSON"),
        (b'{"data":{"taskId":"a","x":[1,2', "expected JSON"),
        (b'{"taskId":"a"} {"taskId":"b"}', "expected JSON"),
        (b'[{"taskId":"a"}]', "expected a JSON object"),
        (b'"a"', "expected a JSON object"),
        (b"NaN", "expected a JSON object"),
        (b'{"taskId":"a","name":"\xe9"}', "expected UTF-8, got another byte at 22"),
        (b'{"taskId":"\xed\xa0\x80"}', "expected UTF-8"),
        ('{"taskId":"a"}'.encode("utf-16"), "expected UTF-8"),
        (b'{"taskId":"a","deep":' + b"[" * 100_000 + b"]" * 100_000 + b"}", "nested too deeply"),
        (b'{"a":' * 100_000, "nested too deeply"),
        (b"{}", "names no task"),
        (b'{"data":null}', "names no task"),
        (b'{"data":{"taskId":""}}', "names no task"),
        (b'{"data":{"taskId":null},"taskId":false}', "names no task"),
        (b'{"data":{"midiData":{"taskId":"a"}}}', "names no task"),
        (b'{"taskId":"%s"}' % (b"x" * 201), "at most 200 characters, got 201"),
        (b'{"taskId":%s}' % (b"9" * 201), "at most 200 characters, got 201"),
        (b'{"taskId":%s}' % (b"9" * 9000), "at most 200 characters, got 9000"),
        (b'{"taskId":"a\\ud800"}', "half a character"),
        (b'{"taskId":"\\udfb5\\ud83c"}', "half a character"),
    ],
)
def test_a_body_that_names_no_task_is_refused_with_a_reason(body, told):
    with pytest.raises(RecordError, match=told):
        task_of(body)


@given(st.binary())
def test_no_bytes_bring_another_error(body):
    with pytest.raises(RecordError, match=r"."):
        task_of(body)


_JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)
_NAMES = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=200)


@given(_NAMES, st.dictionaries(st.text().filter(lambda key: key not in ("taskId", "task_id", "data")), _JSON))
def test_the_task_is_found_whatever_else_the_body_holds(task, others):
    assert task_of(json.dumps(others | {"data": others | {"taskId": task}}).encode()) == task
    assert task_of(json.dumps({"task_id": task, "data": None} | others).encode()) == task


def test_a_large_body_of_nan_is_read_without_a_slow_parser():
    body = b'{"data":{"a":[' + b"NaN,-Infinity,[]," * 120_000 + b'1],"taskId":"t1"}}'
    assert len(body) > 1 << 20  # from where on there is no slow parser
    assert task_of(body) == "t1"


def test_a_large_body_that_only_a_slow_parser_reads_is_refused():
    body = b'{"data":{"taskId":"t1"},"x":"' + b"x" * (1 << 20) + b'","taskId":[]}'
    with pytest.raises(RecordError, match="expected JSON"):
        task_of(body)
