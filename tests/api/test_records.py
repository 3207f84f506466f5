"""Any envelope to one typed record: forms, states, times, and notes of which some are bad."""

import json
import math
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kie_notes.api import records
from kie_notes.api.records import parse_record
from kie_notes.errors import RecordError
from kie_notes.notes import flatten

SAMPLES = Path(__file__).parents[2] / "data" / "samples" / "records"

NOTE = {"pitch": 60, "start": 0.5, "end": 1.0, "velocity": 1}
FLUTE = {"name": "Flute", "notes": [NOTE]}
RESULT = {"state": "complete", "instruments": [FLUTE]}


def polled(**fields):
    data = {"taskId": "t1", "midiData": RESULT, "successFlag": 1, "createTime": 1760335251000} | fields
    return {"code": 200, "msg": "success", "data": data}


ENVELOPES = {
    "polled": polled(),
    "polled, the result as text": polled(midiData=json.dumps(RESULT)),
    "called back": {"code": 200, "msg": "success", "data": {"taskId": "t1", **RESULT}},
    "called back by the sister service": {"task_id": "t1", "code": 200, "msg": "success", "data": RESULT},
    "called back with a list": {"success": True, "task_id": "t1", "data": [RESULT]},
    "job": {"code": 200, "data": {"taskId": "t1", "state": "success", "resultJson": json.dumps({"midi": 1, **RESULT})}},
    "bare": {"taskId": "t1", **RESULT},
    "in a list": [polled()],
    "in a string": json.dumps(polled()),
}


@pytest.mark.parametrize("form", ENVELOPES)
def test_every_envelope_of_the_same_notes_gives_the_same_record(form):
    record = parse_record(json.dumps(ENVELOPES[form]).encode())
    assert (record.task, record.state) == ("t1", "complete")
    assert [(one.name, [(n.pitch, n.start, n.end, n.velocity) for n in one.notes]) for one in record.instruments] == [
        ("Flute", [(60, 0.5, 1.0, 1.0)])
    ]
    assert record.rejects == ()


@pytest.mark.parametrize("kind", [str, bytes, dict])
def test_a_body_may_be_text_bytes_or_parsed(kind):
    text = json.dumps(polled())
    body = {str: text, bytes: text.encode(), dict: json.loads(text)}[kind]
    assert parse_record(body).created_at == datetime(2025, 10, 13, 6, 0, 51, tzinfo=UTC)


@pytest.mark.parametrize(
    ("flag", "state"),
    [
        (0, "pending"),
        ("0", "pending"),
        (2, "failed"),
        (3, "failed"),
        ("PENDING", "pending"),
        ("CREATE_TASK_FAILED", "failed"),
        ("GENERATE_AUDIO_FAILED", "failed"),
        ("CALLBACK_EXCEPTION", "pending"),
        (1, "empty"),
        ("SUCCESS", "empty"),
    ],
)
def test_states_come_as_numbers_and_as_words(flag, state):
    assert parse_record(polled(midiData=None, successFlag=flag)).state == state


def test_a_failed_task_says_of_which_kind_with_the_services_words():
    made = parse_record(polled(midiData=None, successFlag=2, errorCode="500", errorMessage="no stems"))
    assert made.error_message == "the service could not create the task: no stems"
    assert made.error_code == "500"
    assert "could not generate" in parse_record(polled(midiData=None, successFlag=3)).error_message


@pytest.mark.parametrize(
    "result", [None, {"state": "complete", "instruments": []}, {"instruments": [{"name": "A", "notes": []}]}]
)
def test_success_without_notes_is_empty_and_names_both_explanations(result):
    record = parse_record(polled(midiData=result))
    assert record.state == "empty"
    assert "split_stem" in record.error_message
    assert "audio" in record.error_message


def test_a_result_that_a_failed_callback_left_behind_is_complete():
    assert parse_record(polled(successFlag="CALLBACK_EXCEPTION")).state == "complete"


@pytest.mark.parametrize(
    "body",
    [
        {"code": 200, "msg": "success", "data": None},
        {"code": 422, "msg": "Record does not exist", "data": None},
        {"code": "422", "msg": "recordInfo is null"},
        {"code": 404, "msg": "Not Found"},
    ],
)
def test_an_unknown_task_is_not_found(body):
    assert parse_record(body, task="t9").state == "not_found"


@pytest.mark.parametrize(
    "body",
    [
        {"code": 500, "msg": "MIDI generation failed", "data": {"taskId": "t1"}},
        {"code": 500, "msg": "MIDI generation failed", "data": None, "task_id": "t1"},
        {"code": 501, "msg": "MIDI generation failed", "data": None, "task_id": "t1"},
    ],
)
def test_a_failure_that_is_called_back_is_a_failed_task(body):
    record = parse_record(body)
    assert (record.task, record.state, record.error_message) == ("t1", "failed", "MIDI generation failed")


def test_an_answer_about_the_key_is_no_record():
    with pytest.raises(RecordError, match=r"about the request and not about a task: code 401, 'You do not have access"):
        parse_record({"code": 401, "msg": "You do not have access permissions"}, task="t1")


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "expected JSON, got ''"),
        (b"<html><h1>502</h1></html>", "expected JSON, got '<html><h1>502"),
        (b'{"code": 200, "data": {"taskId": "t1", "midiDa', "expected JSON"),
        (b"\xff\xfe{}", "expected JSON"),
        (b"[" * 100_000, "recursion depth"),
        (b'{"data":' * 5_000 + b"1" + b"}" * 5_000, "recursion depth"),
        (b"7", "expected a JSON object, got '7'"),
        (b"[]", "expected a JSON object"),
        (b'[{"state": "complete"}, {"state": "complete"}]', "a list of 2; read_records reads them all"),
        (b'{"hello": 1}', "no task state and no instruments in the body, which begins"),
    ],
)
def test_what_is_no_record_is_an_error_that_shows_its_beginning(body, message):
    with pytest.raises(RecordError, match=message):
        parse_record(body)


def test_names_and_order_are_kept_also_when_they_repeat():
    names = ["Voice Oohs", "Drums", "Voice Oohs", "", "ドラム"]
    body = polled(midiData={"instruments": [{"name": name, "notes": [NOTE]} for name in names]})
    assert [track.name for track in parse_record(body).tracks] == names


def test_unknown_fields_are_ignored_everywhere():
    note = NOTE | {"confidence": 0.3, "bends": [1, [2]]}
    body = polled(midiData=RESULT | {"instruments": [{"name": "Flute", "notes": [note], "x": {}}]}, more=[1])
    assert len(parse_record(json.dumps(body)).instruments[0].notes) == 1


@given(st.floats(min_value=0, max_value=1e6, allow_nan=False))
def test_a_time_as_text_is_the_identical_double(seconds):
    body = polled(midiData={"instruments": [{"name": "A", "notes": [NOTE | {"start": repr(seconds), "end": seconds}]}]})
    (note,) = parse_record(json.dumps(body)).instruments[0].notes
    assert math.copysign(1, note.start) == math.copysign(1, seconds)
    assert note.start == note.end == seconds


BAD = {
    "pitch 300": (NOTE | {"pitch": 300}, "pitch", "300"),
    "pitch below 0": (NOTE | {"pitch": -1}, "pitch", "-1"),
    "half a pitch": (NOTE | {"pitch": 60.5}, "pitch", "60.5"),
    "pitch as a name": (NOTE | {"pitch": "C4"}, "pitch", "C4"),
    "pitch true": (NOTE | {"pitch": True}, "pitch", "true"),
    "time of a clock": (NOTE | {"start": "1:07"}, "start", "1:07"),
    "time null": (NOTE | {"end": None}, "end", "null"),
    "time with blanks": (NOTE | {"end": " 1.0"}, "end", " 1.0"),
    "velocity as a word": (NOTE | {"velocity": "loud"}, "velocity", "loud"),
    "velocity missing": ({k: v for k, v in NOTE.items() if k != "velocity"}, "velocity", None),
    "no note": (7, "note", "7"),
}


@pytest.mark.parametrize("case", BAD)
def test_one_bad_note_is_named_and_costs_no_other(case):
    bad, field, value = BAD[case]
    body = polled(midiData={"instruments": [FLUTE, {"name": "Harp", "notes": [NOTE, bad, NOTE | {"pitch": 61}]}]})
    record = parse_record(json.dumps(body))
    (reject,) = record.rejects
    assert (reject.track, reject.index, reject.field, reject.value) == (1, 1, field, value)
    assert [[note.pitch for note in one.notes] for one in record.instruments] == [[60], [60, 61]]


def test_nan_and_numbers_beyond_a_double_are_named_and_cost_no_other():
    text = json.dumps(polled(midiData={"instruments": [{"name": "A", "notes": [NOTE] * 3}]}))
    text = text.replace("0.5", "NaN", 1).replace("1.0", "1e999", 2).replace("1e999", "1.0", 1)
    record = parse_record(text).sifted()
    assert [(reject.index, reject.field, reject.value) for reject in record.rejects] == [
        (0, "start", "NaN"),
        (1, "end", "Infinity"),
    ]
    assert len(record.instruments[0].notes) == 1


def test_larger_pieces_that_cannot_be_read_are_named_too():
    record = parse_record(polled(midiData={"instruments": [FLUTE, {"name": "B", "notes": "none"}, 5]}))
    assert [(reject.track, reject.index, reject.field) for reject in record.rejects] == [
        (1, None, "notes"),
        (2, None, "instrument"),
    ]
    assert [track.notes for track in record.tracks] == [1, 0, 0]


@pytest.mark.parametrize("path", sorted(SAMPLES.glob("*.json")), ids=lambda path: path.stem[:8])
def test_every_note_of_a_packed_sample_is_there_as_json_has_it(path):
    data = json.loads(path.read_bytes())["data"]
    result = data.get("midiData") or data
    expected = [
        (one["name"], [(n["pitch"], float(n["start"]), float(n["end"]), n["velocity"]) for n in one["notes"]])
        for one in result.get("instruments") or []
    ]
    record = parse_record(path.read_bytes())
    assert [
        (one.name, [(n.pitch, n.start, n.end, n.velocity) for n in one.notes]) for one in record.instruments
    ] == expected


@pytest.mark.parametrize("flags", [{"successFlag": 0}, {"successFlag": "PENDING"}])
def test_a_pending_task_stays_pending_whatever_it_shows(flags):
    assert parse_record(polled(**flags)).state == "pending"
    assert parse_record(polled(midiData={"instruments": []}, **flags)).state == "pending"
    assert parse_record({"taskId": "t1", "state": "pending", "instruments": [FLUTE]}).state == "pending"


def test_half_a_character_is_replaced_where_no_table_can_hold_it():
    text = json.dumps(polled(midiData={"instruments": [{"name": "A\ud800", "notes": [NOTE]}]}))
    assert parse_record(text).tracks[0].name == "A?"


def test_a_number_of_thousands_of_digits_costs_its_own_note_only():
    text = json.dumps(polled(midiData={"instruments": [{"name": "A", "notes": [NOTE, NOTE | {"pitch": 7}]}]}))
    record = parse_record(text.replace('"pitch": 7', '"pitch": ' + "7" * 5_000))
    assert (len(record.instruments[0].notes), record.rejects[0].field) == (1, "pitch")


@pytest.mark.parametrize("wrap", [lambda x: {"resultObject": x}, lambda x: {"midi": [{"deep": x}]}])
def test_the_instruments_of_a_job_are_found_somewhere_in_its_result(wrap):
    body = {"code": 200, "data": {"taskId": "t1", "state": "success", "resultJson": json.dumps(wrap(RESULT))}}
    assert parse_record(body).state == "complete"


def test_a_result_of_another_kind_is_never_called_empty():
    with pytest.raises(RecordError, match="holds no instruments, of another kind of task"):
        parse_record({"code": 200, "data": {"taskId": "s", "successFlag": "SUCCESS", "response": {"vocalUrl": "u"}}})


@pytest.mark.parametrize("time", [0, 1760335251, "1970-01-01 00:00:00", "soon"])
def test_a_time_before_the_service_is_none(time):
    assert parse_record(polled(createTime=time)).created_at is None


# Keys that stand twice.

TWO_NOTES = (
    '{"code":200,"msg":"a:b","data":{"taskId":"t1","audioId":"a1","createTime":1760335251000,"midiData":{"state":'
    '"complete","instruments":[{"name":"Flute","notes":[{"pitch":60,"start":0,"end":1,"velocity":1},'
    '{"pitch":61,"start":"1","end":2,"velocity":0.5}]},{"name":"Lead: a]}\\"","notes":[]}]},"successFlag":1}}'
)


def rejects(text):
    return [(one.track, one.index, one.field, one.value, one.reason) for one in parse_record(text).rejects]


def test_a_note_with_a_key_twice_is_named_with_the_value_that_json_would_take_and_costs_no_other():
    text = TWO_NOTES.replace('"pitch":61', '"pitch":61,"pitch":"62"')
    assert rejects(text) == [(0, 1, "pitch", "62", "the key stands twice in the note")]
    assert [note.pitch for note in parse_record(text).instruments[0].notes] == [60]


@pytest.mark.parametrize(
    "spelling", ['"pitc\\u0068":61', '"pitch" :61', '"\\u0070\\u0069\\u0074\\u0063\\u0068"\n:\n61']
)
def test_a_key_twice_is_noticed_however_it_is_spelled(spelling):
    text = TWO_NOTES.replace('"velocity":0.5', f'"velocity":0.5,{spelling}')
    assert rejects(text) == [(0, 1, "pitch", "61", "the key stands twice in the note")]


def test_an_instrument_with_a_key_twice_is_a_reject_and_so_is_each_of_its_notes():
    text = TWO_NOTES.replace('"name":"Flute"', '"name":"Harp","name":"Flute"')
    reason = "the key 'name' stands twice in the instrument"
    assert rejects(text) == [
        (0, None, "name", "Flute", reason),
        (0, 0, "name", '{"pitch": 60, "start": 0, "end": 1, "velocity": 1}', reason),
        (0, 1, "name", '{"pitch": 61, "start": "1", "end": 2, "velocity": 0.5}', reason),
    ]
    assert [track.notes for track in parse_record(text).tracks] == [0, 0]


def test_the_notes_of_both_lists_of_an_instrument_are_counted():
    text = TWO_NOTES.replace('"notes":[]', '"notes":[1,2],"notes":[3]')
    assert [(track, index, value) for track, index, _, value, _ in rejects(text)] == [
        (1, None, "[3]"),
        (1, 0, "1"),
        (1, 1, "2"),
        (1, 2, "3"),
    ]


@pytest.mark.parametrize(
    ("piece", "key"),
    [
        ('"code":200', "code"),
        ('"msg":"a:b"', "msg"),
        ('"data":{}', "data"),
        ('"taskId":"t1"', "taskId"),
        ('"audioId":"a1"', "audioId"),
        ('"midiData":{}', "midiData"),
        ('"instruments":[]', "instruments"),
        ('"instruments":null', "instruments"),
        ('"state":"complete"', "state"),
        ('"successFlag":1', "successFlag"),
    ],
)
def test_a_key_twice_around_the_instruments_is_an_error_that_names_it(piece, key):
    text = TWO_NOTES.replace(f'"{key}":', f'{piece},"{key}":', 1)
    with pytest.raises(RecordError, match=f"the key '{key}' stands twice"):
        parse_record(text)


@pytest.mark.parametrize("colon", [":", "\\u003a"])
def test_no_colon_in_a_text_makes_up_for_that_of_a_key(colon):
    text = TWO_NOTES.replace("Lead:", "Lead").replace(
        '"code":200,"msg":"a:b"', f'"code":200,"code":200,"msg":"{colon}"'
    )
    with pytest.raises(RecordError, match="the key 'code' stands twice"):
        parse_record(text)


def test_a_key_twice_is_noticed_in_json_inside_a_string():
    result = json.dumps(RESULT).replace('"pitch": 60', '"pitch": 61, "pitch": 60')
    assert [one[2] for one in rejects(json.dumps(polled(midiData=result)))] == ["pitch"]
    with pytest.raises(RecordError, match="the key 'state' stands twice"):
        parse_record(polled(midiData='{"state":"x",' + json.dumps(RESULT)[1:]))


def test_instruments_that_a_second_key_hides_are_no_empty_result():
    inner = f'{{"deep": {json.dumps(RESULT)}, "deep": {{}}}}'
    with pytest.raises(RecordError, match="the key 'deep' stands twice"):
        parse_record(f'{{"code": 200, "data": {{"taskId": "t1", "state": "success", "x": {inner}}}}}')


def test_a_key_that_nobody_reads_may_stand_twice():
    text = TWO_NOTES.replace('"pitch":60', '"x":1,"x":2,"pitch":60').replace('"code"', '"y":[1],"y":[2],"code"')
    assert parse_record(text) == parse_record(TWO_NOTES)


def plain(value):
    """JSON as text in pieces, and where each of its objects begins: its number, its keys."""
    pieces, objects = [], []

    def write(one):
        if isinstance(one, dict):
            pieces.append("{")
            objects.append((len(pieces), list(one)))
            for at, (key, inner) in enumerate(one.items()):
                pieces.extend([","] * (at > 0) + [json.dumps(key), ":"])
                write(inner)
            pieces.append("}")
        elif isinstance(one, list):
            pieces.append("[")
            for at, inner in enumerate(one):
                pieces.extend([","] * (at > 0))
                write(inner)
            pieces.append("]")
        else:
            pieces.append(json.dumps(one))

    write(value)
    return pieces, objects


BLANKS = st.text(" \t\r\n", max_size=2)
VALUES = st.sampled_from(
    ["0", "null", "[]", "{}", '"a:b"', '"]"', '"\\u003a\\""', '{"instruments":[]}', "[1,[2]]", "1e999"]
)


@given(
    name=st.text('a:]}"\\{[,ü', max_size=5) | st.just('"instruments":[]'),
    which=st.integers(0, 10_000),
    escaped=st.sets(st.integers(0, 10)),
    value=VALUES,
    blanks=st.lists(BLANKS, min_size=100, max_size=100),
)
def test_no_key_that_is_read_stands_twice_unnoticed(name, which, escaped, value, blanks):
    drums = {"name": name, "notes": [NOTE, NOTE | {"start": "0.75"}], "is_drum": True}
    pieces, objects = plain(polled(midiData={"state": "complete", "instruments": [FLUTE, drums]}, audioId=name))
    places = [(at, key) for at, keys in objects for key in keys]
    at, key = places[which % len(places)]
    spelled = "".join(f"\\u{ord(one):04x}" if place in escaped else one for place, one in enumerate(key))
    pieces[at:at] = [f'"{spelled}"', ":", value, ","]
    text = "".join(piece + blanks[number % 100] for number, piece in enumerate(pieces))
    try:
        found = {(one.field, "stands twice" in one.reason) for one in parse_record(text.encode()).rejects}
    except RecordError as fault:
        found = {(key, f"the key '{key}' stands twice" in str(fault))}
    assert (key, True) in found


@pytest.mark.parametrize("path", sorted(SAMPLES.glob("*.json")), ids=lambda path: path.stem[:8])
def test_a_body_as_the_service_sends_it_is_read_by_types(path):
    body = path.read_bytes()
    assert (records._read_by_types(body, None) is not None) == (b'"instruments"' in body)


# Bodies that were found by the proof in tests/proofs/fuzz.py, each smallest.


@pytest.mark.parametrize(
    "text",
    [
        '{"code": 404.0, "data": {"taskId": "t1", "midiData": {"instruments": []}}}',
        '{"code": 200, "audioId": "a1", "data": {"taskId": "t1", "instruments": []}}',
        '{"data": {"taskId": "t1", "status": "FAILED", "midiData": {"instruments": []}}}',
        '{"taskId": "t0", "data": {"taskId": "", "state": "", "instruments": []}}',
        '{"code": ' + "7" * 400 + ', "data": {"taskId": "t1", "instruments": []}}',
        '{"code": 200, "data": {"instruments": [], "midiData": {"instruments": [{"name": "A", "notes": []}]}}}',
    ],
)
def test_parsed_json_gives_the_same_record_as_its_text(text):
    assert parse_record(json.loads(text), task="t") == parse_record(text, task="t")


@pytest.mark.parametrize(
    ("note", "field"),
    [
        (NOTE | {"start": "\ud800"}, "start"),
        ({"pitch": 60, "start": 0, "velocity\ud800": 1, "end": 1}, "velocity"),
        (NOTE | {"pitch": "\udfff\ud800"}, "pitch"),
    ],
)
def test_half_a_character_in_a_note_costs_that_note_only(note, field):
    text = json.dumps(polled(midiData={"instruments": [{"name": "A", "notes": [NOTE, note]}]}))
    assert [(one[1], one[2]) for one in rejects(text)] == [(1, field)]


@pytest.mark.parametrize("note", [NOTE | {"x\ud800": 1}, NOTE | {"x": "\ud800"}])
def test_half_a_character_beside_the_fields_of_a_note_costs_nothing(note):
    text = json.dumps(polled(midiData={"instruments": [{"name": "A", "notes": [note]}]}), ensure_ascii=False)
    assert len(parse_record(text.encode("utf-8", "surrogatepass")).instruments[0].notes) == 1


def test_half_a_character_in_an_unknown_key_costs_nothing():
    body = json.dumps(polled()).encode().replace(b'"msg"', b'"\xed\xa0\x80": 1, "msg"')
    assert parse_record(body).state == "complete"


def test_bytes_that_are_no_text_are_an_error_also_in_an_unknown_key():
    with pytest.raises(RecordError, match="expected JSON"):
        parse_record(json.dumps(polled()).encode().replace(b'"msg"', b'"\xf8\x88": 1, "msg"'))


def test_half_a_character_in_an_error_code_is_replaced():
    record = parse_record(polled(midiData=None, successFlag=3, errorCode="E\ud800"))
    assert flatten([record]).tasks["error_code"].to_list() == ["E?"]


def test_a_code_of_thousands_of_digits_is_none():
    assert parse_record(polled(code="9" * 5_000)).state == "complete"


def test_two_lists_of_instruments_that_differ_are_an_error():
    other = {"instruments": [FLUTE | {"name": "Harp"}]}
    assert parse_record(polled(response=RESULT)).state == "complete"
    with pytest.raises(RecordError, match="expected one list of instruments, got several that differ"):
        parse_record(json.dumps(polled(response=other)))


def test_more_instruments_than_the_table_can_count_are_an_error():
    body = b'{"state": "complete", "instruments": [' + b'{"name": "", "notes": []},' * 65_536 + b"1]}"
    with pytest.raises(RecordError, match="at most 65536 instruments, got 65537"):
        parse_record(body)


@pytest.mark.parametrize("form", [lambda body: body, json.dumps])
def test_an_audio_id_without_a_letter_is_none(form):
    assert parse_record(form(polled(audioId=""))).audio_id is None
