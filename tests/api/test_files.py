"""Records from JSON that somebody already has."""

import gzip
import json
import os
import subprocess
import sys
import zipfile

import pytest

from kie_notes.api.files import read_records
from kie_notes.errors import RecordError
from kie_notes.notes import flatten

FLUTE = {"name": "Flute", "notes": [{"pitch": 60, "start": 0, "end": 1, "velocity": 1}]}
BARE = {"state": "complete", "instruments": [FLUTE]}


def put(path, document):
    path.parent.mkdir(exist_ok=True, parents=True)
    path.write_text(json.dumps(document))
    return path


def ids(found):
    return [record.task for record in found]


def test_a_folder_is_read_to_the_bottom_in_the_order_of_names(tmp_path):
    put(tmp_path / "b.json", BARE)
    put(tmp_path / "sub" / "a.json", BARE)
    put(tmp_path / "notes.txt", BARE)
    assert ids(read_records(tmp_path)) == ["b", "sub/a"]


def test_files_and_patterns_mix(tmp_path):
    one = put(tmp_path / "one.json", BARE)
    put(tmp_path / "x1.json", BARE)
    put(tmp_path / "x2.json", BARE)
    assert ids(read_records([one, str(tmp_path / "x*.json")])) == ["one", "x1", "x2"]


def test_lists_and_lines_hold_several_bodies(tmp_path):
    put(tmp_path / "list.json", [BARE, BARE | {"taskId": "own"}])
    (tmp_path / "lines.jsonl").write_text(f"{json.dumps(BARE)}\n\n{json.dumps(BARE | {'taskId': 'mine'})}\n")
    assert ids(read_records(tmp_path)) == ["lines-1", "mine", "list-1", "own"]


def test_packed_files_are_unpacked(tmp_path):
    (tmp_path / "g.json.gz").write_bytes(gzip.compress(json.dumps(BARE).encode()))
    with zipfile.ZipFile(tmp_path / "z.zip", "w") as archive:
        archive.writestr("in/z1.json", json.dumps(BARE))
        archive.writestr("in/readme.txt", "no")
    found = list(read_records(tmp_path))
    assert ids(found) == ["g", "z/in/z1"]
    assert found[1].source.endswith("z.zip/in/z1.json")


def test_a_bad_file_does_not_cost_the_others_and_is_kept_with_its_reason(tmp_path):
    put(tmp_path / "good.json", BARE)
    (tmp_path / "bad.json").write_text('{"code": 200, "data"')
    (tmp_path / "cut.json.gz").write_bytes(gzip.compress(b"{}" * 1000)[:20])
    (tmp_path / "no.zip").write_bytes(b"no zip")
    flat = flatten(read_records(tmp_path))
    assert flat.tasks["task"].to_list() == ["good"]
    reasons = flat.rejects["reason"].to_list()
    assert len(reasons) == 3
    assert "bad.json: expected JSON, got" in reasons[0]
    assert "cut.json.gz: EOFError" in reasons[1]
    assert "no.zip: BadZipFile" in reasons[2]


def test_a_path_that_leads_nowhere_is_an_error(tmp_path):
    with pytest.raises(RecordError, match="no such file or folder"):
        list(read_records(tmp_path / "missing"))


def test_one_bad_body_in_a_list_does_not_cost_the_others(tmp_path):
    bad = json.dumps(BARE | {"taskId": "nan"}).replace('"end": 1', '"end": NaN')
    (tmp_path / "list.json").write_text(f"\ufeff[{json.dumps(BARE | {'taskId': 'good'})}, {bad}]", "utf-8")
    flat = flatten(read_records(tmp_path))
    assert flat.tasks.select("task", "notes", "rejected").rows() == [("good", 1, 0), ("nan", 0, 1)]


def test_a_damaged_member_does_not_cost_the_rest_of_its_archive(tmp_path):
    with zipfile.ZipFile(tmp_path / "z.zip", "w") as archive:
        archive.writestr("a.json", json.dumps(BARE))
        archive.writestr("b.json", json.dumps(BARE))
    content = (tmp_path / "z.zip").read_bytes()
    (tmp_path / "z.zip").write_bytes(content.replace(b"Flute", b"Flame", 1))
    assert [(record.task, record.state) for record in read_records(tmp_path)] == [
        (None, "unreadable"),
        ("z/b", "complete"),
    ]


@pytest.mark.parametrize("other", ["{}", '{"state": "complete", "instruments": [], "x": NaN}'])
def test_a_key_that_stands_twice_is_noticed_in_a_list_too(tmp_path, other):
    twice = json.dumps(BARE).replace('"pitch": 60', '"pitch": 60, "pitch": 61')
    (tmp_path / "list.json").write_text(f" [ {twice} ,\n{other} ]\n")
    first, _ = read_records(tmp_path)
    assert [(one.index, one.field, one.value) for one in first.rejects] == [(0, "pitch", "61")]


@pytest.mark.parametrize("content", ["[NaN", "[NaN,]", "[NaN] 1", "[NaN 1]", "[" * 5_000])
def test_a_list_that_does_not_end_as_one_is_one_body_that_cannot_be_read(tmp_path, content):
    (tmp_path / "list.json").write_text(content)
    assert [record.state for record in read_records(tmp_path)] == ["unreadable"]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_lines_may_end_as_on_any_system(tmp_path, end):
    (tmp_path / "lines.ndjson").write_bytes(end.join([json.dumps(BARE)] * 3).encode("utf-8-sig"))
    assert ids(read_records(tmp_path)) == ["lines-1", "lines-2", "lines-3"]


def test_the_lines_before_the_damage_of_a_packed_file_are_read(tmp_path):
    lines = [json.dumps(BARE | {"audioId": os.urandom(20_000).hex()}) for _ in range(20)]
    packed = gzip.compress("\n".join(lines).encode())
    (tmp_path / "cut.jsonl.gz").write_bytes(packed[: len(packed) // 2])
    found = list(read_records(tmp_path))
    assert {record.state for record in found[:-1]} == {"complete"}
    assert len(found) > 5
    assert "EOFError" in found[-1].rejects[0].reason


def test_a_file_of_lines_is_never_held_as_a_whole(tmp_path):
    line = json.dumps(BARE | {"audioId": "x" * 1_000_000}).encode() + b"\n"
    with (tmp_path / "long.jsonl").open("wb") as file:
        for _ in range(300):
            file.write(line)
    code = (
        "import resource, sys; from kie_notes.api.files import read_bodies; before = resource.getrusage(0).ru_maxrss;"
        "count = sum(1 for _ in read_bodies(sys.argv[1])); print(count, resource.getrusage(0).ru_maxrss - before)"
    )
    done = subprocess.run([sys.executable, "-c", code, tmp_path], capture_output=True, text=True, check=True)
    count, more = map(int, done.stdout.split())
    assert count == 300
    assert more * (1 if sys.platform == "darwin" else 1024) < 50_000_000


def test_names_in_a_folder_come_in_the_order_of_their_parts(tmp_path):
    for name in ("a/z.json", "a.json", "a-b.json", "a/b/c.json", ".hidden.json", "x..json", "A.JSON"):
        put(tmp_path / name, BARE)
    (tmp_path / "loop").symlink_to(tmp_path)
    (tmp_path / "folder.json").mkdir()
    paths = [path for path in sorted(tmp_path.rglob("*")) if path.is_file() and "loop" not in path.parts]
    assert [record.source for record in read_records(tmp_path)] == [path.as_posix() for path in paths]
    assert ids(read_records(tmp_path)) == [(path.parent / path.stem).relative_to(tmp_path).as_posix() for path in paths]


def test_several_processes_give_the_same_records_in_the_same_order(tmp_path, monkeypatch):
    monkeypatch.setattr("kie_notes.api.files._SHARE", 200)
    monkeypatch.setattr("kie_notes.api.files._LARGE", 3_000)
    for at in range(30):
        put(tmp_path / f"{at:02}.json", BARE)
    put(tmp_path / "10-large.json", BARE | {"audioId": "x" * 4_000})
    (tmp_path / "15-bad.json").write_text("{")
    assert list(read_records(tmp_path, workers=2)) == list(read_records(tmp_path))


def test_at_least_one_process_reads(tmp_path):
    with pytest.raises(ValueError, match="workers: expected at least 1, got 0"):
        read_records(tmp_path, workers=0)
