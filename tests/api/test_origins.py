"""Separation and music records to typed values: forms, states, stems, songs, and documents that are none."""

import copy
import json
from datetime import UTC, datetime

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from kie_notes.api.origins import Music, Separation, Song, Stem, parse_music, parse_separation
from kie_notes.errors import RecordError

VOCALS = {
    "duration": 245.6,
    "audio_url": "https://files.invalid/vocals.mp3",
    "stem_type_group_name": "Vocals",
    "id": "3d7021c9-fa8b-4eda-91d1-3b9297ddb172",
}
DRUMS = {"duration": 245.6, "audio_url": "https://files.invalid/d.mp3", "stem_type_group_name": "Drums", "id": "d9"}
STEMS = ("instrumental", "vocal", "backingVocals", "drums", "bass", "guitar", "piano", "keyboard", "percussion")
MORE_STEMS = ("strings", "synth", "fx", "brass", "woodwinds")
NO_ADDRESSES = {f"{stem}Url": None for stem in STEMS + MORE_STEMS}
SEPARATION = {
    "code": 200,
    "msg": "success",
    "data": {
        "taskId": "5c79****be8e",
        "musicId": "e231****-****-****-****-****8cadc7dc",
        "callbackUrl": "https://example.callback",
        "musicIndex": 1,
        "createTime": 1753782854000,
        "completeTime": 1753782937000,
        "response": {"id": None, "originUrl": None, "originData": [VOCALS, DRUMS], **NO_ADDRESSES},
        "successFlag": "SUCCESS",
        "errorCode": None,
        "errorMessage": None,
    },
}
SONG = {
    "id": "e231****-****-****-****-****8cadc7dc",
    "audioUrl": "https://example.cn/****.mp3",
    "streamAudioUrl": "https://example.cn/****",
    "imageUrl": "https://example.cn/****.jpeg",
    "prompt": "[Verse] 夜晚城市 灯火辉煌",
    "modelName": "chirp-v3-5",
    "title": "钢铁侠",
    "tags": "electrifying, rock",
    "createTime": "2025-01-01 00:00:00",
    "duration": 198.44,
}
MUSIC = {
    "code": 200,
    "msg": "success",
    "data": {
        "taskId": "5c79****be8e",
        "parentMusicId": "",
        "param": '{"prompt":"A calm piano track","style":"Classical","title":"Peaceful Piano","customMode":true,'
        '"instrumental":true,"model":"V3_5"}',
        "response": {"taskId": "5c79****be8e", "sunoData": [SONG]},
        "status": "SUCCESS",
        "type": "GENERATE",
        "errorCode": None,
        "errorMessage": None,
    },
}
SEPARATED = {  # a callback
    "code": 200,
    "msg": "vocal separation generated successfully.",
    "data": {
        "task_id": "5c79****be8e",
        "vocal_separation_info": {
            "origin_url": "https://files.invalid/o.mp3",
            "vocal_url": "https://files.invalid/v.mp3",
            "backing_vocals_url": None,
            "instrumental_url": "https://files.invalid/i.mp3",
        },
    },
}
SUNG = {  # a callback
    "code": 200,
    "msg": "All generated successfully.",
    "data": {
        "callbackType": "complete",
        "task_id": "5c79****be8e",
        "data": [
            {
                "id": "8551****662c",
                "audio_url": "https://example.cn/****.mp3",
                "prompt": "[Verse] Iron man",
                "model_name": "chirp-v3-5",
                "title": "Iron Man",
                "tags": "electrifying, rock",
                "createTime": "2025-01-01 00:00:00",
                "duration": "198.44",
            }
        ],
    },
}


def separated(**fields):
    return SEPARATION | {"data": SEPARATION["data"] | fields}


def separated_into(stems, **fields):
    return separated(response=SEPARATION["data"]["response"] | {"originData": stems} | fields)


def made(**fields):
    return MUSIC | {"data": MUSIC["data"] | fields}


def made_of(*songs, **fields):
    return made(response={"taskId": "5c79****be8e", "sunoData": list(songs)}, **fields)


def the_song(**fields):
    (song,) = parse_music(made_of(SONG | fields)).songs
    return song


# The documented records


def test_the_record_of_a_separation_is_read_in_full():
    assert parse_separation(json.dumps(SEPARATION).encode(), source="a.json") == Separation(
        task="5c79****be8e",
        state="complete",
        song="e231****-****-****-****-****8cadc7dc",
        song_index=1,
        stems=(
            Stem(
                id="3d7021c9-fa8b-4eda-91d1-3b9297ddb172",
                name="Vocals",
                part="stem",
                url="https://files.invalid/vocals.mp3",
                duration=245.6,
            ),
            Stem(id="d9", name="Drums", part="stem", url="https://files.invalid/d.mp3", duration=245.6),
        ),
        created_at=datetime(2025, 7, 29, 9, 54, 14, tzinfo=UTC),
        completed_at=datetime(2025, 7, 29, 9, 55, 37, tzinfo=UTC),
        source="a.json",
    )


def test_the_record_of_a_song_is_read_in_full():
    assert parse_music(json.dumps(MUSIC).encode(), source="b.json") == Music(
        task="5c79****be8e",
        state="complete",
        songs=(
            Song(
                id="e231****-****-****-****-****8cadc7dc",
                title="钢铁侠",
                tags="electrifying, rock",
                prompt="[Verse] 夜晚城市 灯火辉煌",
                model="chirp-v3-5",
                duration=198.44,
                url="https://example.cn/****.mp3",
                created_at=datetime(2025, 1, 1, tzinfo=UTC),
            ),
        ),
        created_at=datetime(2025, 1, 1, tzinfo=UTC),
        source="b.json",
    )


def test_the_shared_example_of_a_song_is_the_one_above(shared):
    assert json.loads((shared / "examples" / "music-record-info.json").read_bytes()) == MUSIC


@pytest.mark.parametrize("kind", [str, bytes, dict, list])
def test_a_body_may_be_text_bytes_or_parsed(kind):
    text = json.dumps(SEPARATION)
    body = {str: text, bytes: text.encode(), dict: SEPARATION, list: [SEPARATION]}[kind]
    assert parse_separation(body).song_index == 1


def test_a_task_that_the_body_does_not_name_is_the_one_that_was_asked_for():
    assert parse_separation(separated(taskId=None), task="t7").task == "t7"
    assert parse_music(MUSIC, task="t7").task == "5c79****be8e"


# States


@pytest.mark.parametrize(
    ("flag", "state"),
    [
        ("PENDING", "pending"),
        (0, "pending"),
        ("SUCCESS", "complete"),
        ("success", "complete"),
        (1, "complete"),
        ("1", "complete"),
        ("CREATE_TASK_FAILED", "failed"),
        (2, "failed"),
        ("GENERATE_AUDIO_FAILED", "failed"),
        (3, "failed"),
        ("CALLBACK_EXCEPTION", "complete"),
        ("A_NEW_WORD", "pending"),
        (None, "pending"),
    ],
)
def test_a_separation_is_in_the_state_that_its_flag_says(flag, state):
    assert parse_separation(separated(successFlag=flag)).state == state


@pytest.mark.parametrize(
    ("word", "state"),
    [
        ("PENDING", "pending"),
        ("TEXT_SUCCESS", "pending"),
        ("FIRST_SUCCESS", "pending"),
        ("SUCCESS", "complete"),
        ("CREATE_TASK_FAILED", "failed"),
        ("GENERATE_AUDIO_FAILED", "failed"),
        ("CALLBACK_EXCEPTION", "complete"),
        ("SENSITIVE_WORD_ERROR", "failed"),
    ],
)
def test_a_music_task_is_in_the_state_that_its_status_says(word, state):
    music = parse_music(made(status=word))
    assert (music.state, len(music.songs)) == (state, 1)


@pytest.mark.parametrize("response", [None, {}, {"originData": None}, {"originData": []}, {"vocalUrl": ""}])
def test_success_without_stems_is_empty_and_says_so(response):
    separation = parse_separation(separated(response=response))
    assert (separation.state, separation.error_message) == ("empty", "the service finished, but names no stems")


@pytest.mark.parametrize("response", [None, {}, {"sunoData": None}, {"sunoData": []}])
def test_success_without_songs_is_empty_and_says_so(response):
    music = parse_music(made(response=response))
    assert (music.state, music.error_message) == ("empty", "the service finished, but names no songs")


def test_a_callback_that_failed_leaves_a_task_without_result_pending():
    assert parse_separation(separated(successFlag="CALLBACK_EXCEPTION", response=None)).state == "pending"
    assert parse_music(made(status="CALLBACK_EXCEPTION", response=None)).state == "pending"


@pytest.mark.parametrize(
    ("fields", "code", "message"),
    [
        ({"status": "CREATE_TASK_FAILED"}, "CREATE_TASK_FAILED", "the service could not create the task"),
        (
            {"status": "GENERATE_AUDIO_FAILED", "errorCode": 531, "errorMessage": "too long"},
            "531",
            "the service could not make the audio: too long",
        ),
        ({"status": "SENSITIVE_WORD_ERROR", "errorCode": "400"}, "400", "the service refused the words of the request"),
    ],
)
def test_a_failed_task_says_of_which_kind_with_the_services_words(fields, code, message):
    music = parse_music(made(response=None, **fields))
    assert (music.state, music.error_code, music.error_message) == ("failed", code, message)


@pytest.mark.parametrize("code", [None, "", 0, "0", 200, "200"])
def test_a_code_of_no_error_is_none(code):
    separation = parse_separation(separated(errorCode=code))
    assert (separation.state, separation.error_code) == ("complete", None)


@pytest.mark.parametrize("read", [parse_separation, parse_music])
@pytest.mark.parametrize(
    "body",
    [
        {"code": 200, "msg": "success", "data": None},
        {"code": 422, "msg": "Record does not exist", "data": None},
        {"code": "422", "msg": "recordInfo is null"},
    ],
)
def test_an_unknown_task_is_not_found(read, body):
    found = read(body, task="t1")
    assert (found.task, found.state) == ("t1", "not_found")


# Times and numbers


@pytest.mark.parametrize("time", [1753782854000, "1753782854000", 1753782854000.0, "2025-07-29 09:54:14"])
def test_a_time_is_milliseconds_or_text(time):
    assert parse_separation(separated(createTime=time)).created_at == datetime(2025, 7, 29, 9, 54, 14, tzinfo=UTC)


@pytest.mark.parametrize("time", [None, 0, "soon", [], 10**300, True])
def test_a_time_that_is_none_is_none(time):
    assert parse_separation(separated(createTime=time)).created_at is None


@pytest.mark.parametrize(
    ("given", "seconds"),
    [
        (198, 198.0),
        ("198.44", 198.44),
        (0, 0.0),
        (None, None),
        (float("nan"), None),
        ("NaN", None),
        (float("inf"), None),
        (-1, None),
        (10**400, None),
        (True, None),
        ("3:18", None),
        ("\ud800", None),
        ({}, None),
    ],
)
def test_a_duration_is_a_number_of_seconds_or_none(given, seconds):
    assert the_song(duration=given).duration == seconds


def test_a_bare_nan_in_the_text_of_a_body_costs_nothing_else():
    song = parse_music(json.dumps(MUSIC).replace("198.44", "NaN")).songs[0]
    assert (song.title, song.duration) == ("钢铁侠", None)


@pytest.mark.parametrize(
    ("given", "index"), [(0, 0), ("1", 1), (-1, None), (None, None), (2**40, None), (0.5, None), (False, None)]
)
def test_a_songs_position_is_a_whole_number_or_none(given, index):
    assert parse_separation(separated(musicIndex=given)).song_index == index


# Stems


def test_a_stem_that_was_taken_out_and_what_remained_are_told_apart():
    rest = {"duration": 245.6, "audio_url": "https://files.invalid/r.mp3", "stem_type_group_name": "Rest", "id": "r1"}
    stems = parse_separation(separated_into([{"extract": DRUMS, "remove": rest}])).stems
    assert [(stem.part, stem.name, stem.id) for stem in stems] == [("extract", "Drums", "d9"), ("remove", "Rest", "r1")]


def test_a_stem_that_was_taken_out_needs_no_rest():
    (stem,) = parse_separation(separated_into([{"extract": DRUMS, "remove": None}])).stems
    assert (stem.part, stem.id) == ("extract", "d9")


def test_stems_may_be_json_inside_a_string():
    assert [stem.name for stem in parse_separation(separated_into(json.dumps([VOCALS, DRUMS]))).stems] == [
        "Vocals",
        "Drums",
    ]


@pytest.mark.parametrize("stems", [None, []])
def test_addresses_alone_are_stems_without_ids_named_by_their_fields(stems):
    addresses = {"vocalUrl": "https://f.invalid/v", "backingVocalsUrl": "https://f.invalid/b", "fxUrl": "f", "id": "x"}
    separation = parse_separation(separated_into(stems, originUrl="https://f.invalid/o", drumsUrl="", **addresses))
    assert separation.state == "complete"
    assert [(stem.id, stem.name, stem.url) for stem in sorted(separation.stems, key=lambda stem: stem.name)] == [
        (None, "Backing Vocals", "https://f.invalid/b"),
        (None, "FX", "f"),
        (None, "Vocals", "https://f.invalid/v"),
    ]


def test_ids_of_stems_count_more_than_addresses():
    stems = parse_separation(separated_into([VOCALS], vocalUrl="https://files.invalid/v", bassUrl="b")).stems
    assert [stem.id for stem in stems] == ["3d7021c9-fa8b-4eda-91d1-3b9297ddb172"]


# Callbacks


@pytest.mark.parametrize("field", ["vocal_separation_info", "vocal_removal_info"])
def test_a_separation_that_is_called_back_is_only_a_hint(field):
    body = json.loads(json.dumps(SEPARATED).replace("vocal_separation_info", field))
    separation = parse_separation(body)
    assert (separation.task, separation.state) == ("5c79****be8e", "pending")
    assert [(stem.id, stem.name, stem.url) for stem in separation.stems] == [
        (None, "Vocals", "https://files.invalid/v.mp3"),
        (None, "Instrumental", "https://files.invalid/i.mp3"),
    ]


@pytest.mark.parametrize("code", [400, 451, 500])
def test_a_separation_whose_failure_is_called_back_is_failed(code):
    body = {"code": code, "msg": "audio could not be fetched", "data": {"task_id": "t1", "vocal_separation_info": None}}
    separation = parse_separation(body)
    assert (separation.task, separation.state) == ("t1", "failed")
    assert (separation.error_code, separation.error_message) == (str(code), "audio could not be fetched")


def test_songs_that_are_called_back_are_read_in_full():
    music = parse_music(SUNG)
    assert (music.task, music.state) == ("5c79****be8e", "complete")
    assert music.songs == (
        Song(
            id="8551****662c",
            title="Iron Man",
            tags="electrifying, rock",
            prompt="[Verse] Iron man",
            model="chirp-v3-5",
            duration=198.44,
            url="https://example.cn/****.mp3",
            created_at=datetime(2025, 1, 1, tzinfo=UTC),
        ),
    )


@pytest.mark.parametrize("stage", ["text", "first"])
def test_a_music_task_that_calls_back_before_its_end_is_pending(stage):
    body = SUNG | {"data": SUNG["data"] | {"callbackType": stage}}
    assert parse_music(body).state == "pending"


@pytest.mark.parametrize(
    "body",
    [
        {"code": 400, "msg": "refused", "data": {"callbackType": "error", "task_id": "t1", "data": None}},
        {"code": 200, "msg": "refused", "data": {"callbackType": "error", "task_id": "t1", "data": None}},
    ],
)
def test_a_music_task_whose_failure_is_called_back_is_failed(body):
    music = parse_music(body)
    assert (music.task, music.state) == ("t1", "failed")


# What was asked for


def test_a_song_that_says_nothing_of_itself_has_what_was_asked_for():
    song = the_song(title="", tags=None, prompt=None, modelName=None)
    assert (song.title, song.tags, song.prompt, song.model) == (
        "Peaceful Piano",
        "Classical",
        "A calm piano track",
        "V3_5",
    )


@pytest.mark.parametrize("param", [None, "", "{", "[1]", "[1,2]", 5, '{"title":{}}', "{" * 5000])
def test_what_was_asked_for_may_be_unreadable(param):
    (song,) = parse_music(made_of(SONG | {"title": None}, param=param)).songs
    assert (song.title, song.tags) == (None, "electrifying, rock")


def test_half_a_character_is_replaced_where_no_table_can_hold_it():
    assert the_song(title="A\ud800").title == "A?"
    assert parse_separation(separated_into(None, drumsUrl="b\ud800")).stems == (
        Stem(id=None, name="Drums", part="stem", url="b?", duration=None),
    )


# What is no record


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "expected JSON, got ''"),
        (b"<html>", "expected JSON, got '<html>'"),
        (b"7", "expected a JSON object, got '7'"),
        (b"\xff\xfe\xfa", "expected JSON"),
        (b"{}", "no task state in the body, which begins '{}'"),
        ({"code": 401, "msg": "no access"}, "about the request and not about a task: code 401, 'no access'"),
        ({"code": 200, "data": "text"}, r"^data: expected an object, got 'text'"),
        (separated(response=[1, 2]), "got a list of 2"),
        (separated(response=5), r"^data\.response: expected an object, got '5'"),
        (separated_into(5), r"^data\.response\.originData: expected a list of stems, got '5'"),
        (separated_into("[{"), r"^data\.response\.originData: expected a list of stems, got '\[\{'"),
        (separated_into([VOCALS, 5]), r"^data\.response\.originData\[1\]: expected an object, got '5'"),
        (separated_into([{"extract": 5}]), r"^data\.response\.originData\[0\]\.extract: expected a stem, got '5'"),
        (MUSIC, "expected the record of a separation task, got one of a music task: it has 'sunoData'"),
        ({"code": 200, "data": {"taskId": "t", "successFlag": 1, "midiData": None}}, "got one of a MIDI task"),
        (b'{"data":' * 5000 + b"1" + b"}" * 5000, "recursion depth"),
        (json.dumps(SEPARATION).replace('"id": "d9"', '"id": "d8", "id": "d9"'), r"originData\[1\]: .* got 'id' twice"),
        (separated_into([VOCALS | {"id": 10**5000}]), "a value that cannot be read"),
    ],
)
def test_what_is_no_record_of_a_separation_is_an_error_that_says_where(body, message):
    with pytest.raises(RecordError, match=message):
        parse_separation(body)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (SEPARATION, "expected the record of a music task, got one of a separation task: it has 'originData'"),
        (made(response={"sunoData": "all"}), r"^data\.response\.sunoData: expected a list of songs, got 'all'"),
        (made_of(SONG, None), r"^data\.response\.sunoData\[1\]: expected an object, got 'None'"),
        ({"code": 200, "data": {"callbackType": "text", "data": "x"}}, r"^data\.data: expected a list of songs"),
    ],
)
def test_what_is_no_record_of_songs_is_an_error_that_says_where(body, message):
    with pytest.raises(RecordError, match=message):
        parse_music(body)


def nested(depth):
    """A value so many lists or objects deep."""
    value = 1
    for _ in range(depth):
        value = [value] if depth % 2 else {"data": value}
    return value


def places(value, path=()):
    """Every place in a document, as a path of keys."""
    for key, inner in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        yield (*path, key)
        yield from places(inner, (*path, key))


HOSTILE = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(min_value=10**300, max_value=10**301),
    st.floats(),
    st.text(st.characters(), max_size=20),
    st.sampled_from(
        ["", "{", "[[", "\ud800", "9" * 5000, "1e999", '{"a":' * 2000, "[" * 5000, "SUCCESS", "2025-13-01"]
    ),
    st.recursive(
        st.none() | st.text(max_size=3),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
        max_leaves=6,
    ),
    st.integers(min_value=1, max_value=3000).map(nested),
)


PAIRED = separated_into([{"extract": VOCALS, "remove": DRUMS}], vocalUrl="https://files.invalid/v.mp3")


@st.composite
def documents(draw):
    """A record or callback in which up to three values are something else."""
    document = copy.deepcopy(draw(st.sampled_from([SEPARATION, PAIRED, MUSIC, SEPARATED, SUNG])))
    for _ in range(draw(st.integers(min_value=1, max_value=3))):
        *path, last = draw(st.sampled_from(list(places(document))))
        place = document
        for key in path:
            place = place[key]
        place[last] = draw(HOSTILE)
        if isinstance(place[last], dict | list):
            break  # what was put there may be too deep to be walked through
    return document


def outcome(read, body):
    """What was read, or that the body is none: nothing else may come."""
    try:
        found = read(body, task="t1")
    except RecordError as fault:
        return str(fault).encode()
    texts = [found.task, found.error_code, found.error_message]
    for one in found.stems if isinstance(found, Separation) else found.songs:
        texts += [value for value in (getattr(one, field) for field in one.__struct_fields__) if isinstance(value, str)]
        assert one.duration is None or 0 <= one.duration <= 1e9
    return [text.encode() for text in texts if text is not None]


@settings(max_examples=400, deadline=None)
@given(document=documents(), read=st.sampled_from([parse_separation, parse_music]))
@example(document=separated(errorCode=10**5000, successFlag="FAIL"), read=parse_separation)
@example(document=separated_into([VOCALS | {"id": 10**5000}]), read=parse_separation)
def test_whatever_a_parsed_document_holds_a_value_or_a_record_error_comes(document, read):
    outcome(read, document)


@settings(max_examples=400, deadline=None)
@given(
    document=documents(),
    read=st.sampled_from([parse_separation, parse_music]),
    cut=st.none() | st.tuples(st.integers(min_value=0, max_value=2000), st.binary(max_size=3)),
)
def test_whatever_the_bytes_of_a_body_are_a_value_or_a_record_error_comes(document, read, cut):
    try:
        body = json.dumps(document).encode()
    except RecursionError:  # nested too deeply even to be written
        body = b'{"data":' * 5000
    if cut is not None:
        body = body[: cut[0]] + cut[1] + body[cut[0] + len(cut[1]) :]
    outcome(read, body)
