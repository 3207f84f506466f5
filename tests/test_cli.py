"""The command line as people use it: real processes, exit codes, what goes to stdout and what to stderr."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import polars as pl
import pytest
from typer.main import get_command

from kie_notes.api.sandbox import Sandbox
from kie_notes.cli import app

ROOT = Path(__file__).parents[1]
SAMPLES = ROOT / "data" / "samples" / "records"
MUSIC = "7ca1092342b6b9749ae58982793500d4"


@pytest.fixture(scope="module")
def sandbox():
    with Sandbox(SAMPLES) as service:
        yield service


@pytest.fixture
def run(tmp_path, sandbox):
    def act(*arguments, key=sandbox.key, stdin="", **environment):
        base = {name: value for name, value in os.environ.items() if not name.startswith("KIE_")}
        return subprocess.run(
            [sys.executable, "-m", "kie_notes.cli", *map(str, arguments)],
            cwd=tmp_path,
            env=base | {"KIE_API_KEY": key, "KIE_BASE_URL": sandbox.url, "COLUMNS": "200"} | environment,
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )

    return act


@pytest.fixture
def filled(run, tmp_path):
    done = run("ingest", SAMPLES, "--store", "songs")
    assert done.returncode == 3, done.stderr  # one task failed, one is pending
    return tmp_path / "songs"


def test_several_processes_ingest_what_one_does(run, filled):
    done = run("ingest", SAMPLES, "--store", "other", "--workers", "2", "--json")
    assert done.returncode == 3, done.stderr
    told = [json.loads(line) for line in done.stdout.splitlines()]
    listed = [json.loads(line) for line in run("list", "--store", filled, "--json").stdout.splitlines()]
    assert {one["task"]: one["notes"] for one in told} == {one["task"]: one["notes"] for one in listed}


def test_help_ends_with_examples_and_every_command_has_one(run):
    told = run("--help").stdout
    assert told.index("Examples:") > told.index("Commands:")
    assert "kie-notes export-midi --store songs midi/" in told
    for name in get_command(app).commands:
        assert name in told
        assert "kie-notes " in run(name, "--help").stdout.rsplit("Example", 1)[1]


def test_help_loads_nothing_heavy(run):
    heavy = ("polars", "numpy", "matplotlib", "pretty_midi", "requests")
    code = f"import sys, kie_notes.cli; print([name for name in {heavy} if name in sys.modules])"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert loaded.strip() == "[]"


def test_ids_come_from_arguments_a_file_and_stdin(run, tmp_path):
    (tmp_path / "ids.txt").write_text("# mine\nstrings-file\n\n")
    done = run("fetch", "strings-argument", "-", "--file", "ids.txt", "--json", stdin="strings-stdin\n")
    assert done.returncode == 0, done.stderr
    assert [json.loads(line)["task"] for line in done.stdout.splitlines()] == [
        "strings-argument",
        "strings-stdin",
        "strings-file",
    ]


def test_what_is_missing_ends_with_3_and_says_why(run):
    done = run("fetch", "strings-1", "fail-1")
    assert done.returncode == 3
    assert "2 tasks: 1 complete, 1 failed" in done.stdout
    assert "fail-1: failed: the service could not generate the notes" in done.stdout
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(("task", "key", "word"), [("strings-1", "wrong", "not valid"), ("credits-1", None, "credits")])
def test_key_and_credits_end_with_4(run, sandbox, task, key, word):
    done = run("fetch", task, key=key or sandbox.key)
    assert done.returncode == 4
    assert done.stderr.startswith("kie-notes: GET http://127.0.0.1")
    assert word in done.stderr
    assert "Traceback" not in done.stderr
    assert (key or sandbox.key) not in done.stderr + done.stdout


def test_the_command_line_reads_a_key_from_env_file(run, tmp_path, sandbox):
    (tmp_path / ".env").write_text(f"KIE_API_KEY={sandbox.key}\nKIE_BASE_URL={sandbox.url}\n")
    base = {name: value for name, value in os.environ.items() if not name.startswith("KIE_")}
    command = [sys.executable, "-m", "kie_notes.cli", "fetch", "strings-1"]
    done = subprocess.run(command, cwd=tmp_path, env=base, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["fetch"], "expected task ids: as arguments, with --file, or '-' for stdin"),
        (["describe", "--store", "nowhere"], "nowhere is no store; 'fetch' and 'ingest' make one"),
        (["plot", "x", "y.png", "--kind", "pie"], "'pie' is not one of"),
        (["dance"], "No such command 'dance'"),
        (["submit"], "expected separations: as arguments, with --file, '-' for stdin, or --pending"),
        (["submit", "s1", "--pending"], "or --pending, not both"),
        (["separate", "m1"], "expected MUSIC_TASK:AUDIO_ID, or an address with --url, got 'm1'"),
    ],
)
def test_wrong_usage_ends_with_2_and_says_what_was_expected(run, arguments, message):
    done = run(*arguments)
    assert done.returncode == 2
    assert message in " ".join(done.stderr.replace("│", " ").split())


def test_an_expected_error_is_one_line_and_1(run, filled):
    done = run("plot", "nobody", "x.png", "--store", filled)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "kie-notes: task 'nobody': no notes of it are here\n"
    done = run("ingest", "missing/", "--store", filled)
    assert done.returncode == 1
    assert done.stderr == "kie-notes: missing/: no such file or folder, and no file matches it as a pattern\n"


def test_a_closed_pipe_is_no_error(filled):
    command = f"{sys.executable} -m kie_notes.cli describe --by instrument --json --store {filled} | head -n 1"
    done = subprocess.run(["bash", "-o", "pipefail", "-c", command], capture_output=True, text=True, check=False)
    assert json.loads(done.stdout)["task"]
    assert done.stderr == ""


def test_status_counts_and_explains(run, filled):
    done = run("status", "--store", filled)
    assert done.returncode == 0
    assert "complete" in done.stdout
    assert "MIDI generation failed" in done.stdout
    assert "answers sealed, 0 waiting to be" in done.stdout
    rows = [json.loads(line) for line in run("status", "--store", filled, "--json").stdout.splitlines()]
    assert {row["state"]: row["tasks"] for row in rows if row["about"] == "count"} == {
        "complete": 9,
        "empty": 1,
        "failed": 1,
        "pending": 1,
    }
    assert [row["task"] for row in rows if row["about"] == "open"] == ["e6a0bb5af924bcf84b48c3a96cf65ef0"]


def test_describe_gives_a_row_per_task_or_instrument(run, filled):
    tasks = [json.loads(line) for line in run("describe", "--store", filled, "--json").stdout.splitlines()]
    assert len(tasks) == 9
    assert {row["task"]: row["notes"] for row in tasks}[MUSIC] == 1043
    instruments = [
        json.loads(line)
        for line in run("describe", "--store", filled, "--by", "instrument", "--json").stdout.splitlines()
    ]
    assert len([row for row in instruments if row["task"] == MUSIC]) == 4


@pytest.mark.parametrize("kind", ["piano-roll", "beats", "key-windows", "pitch-histogram"])
def test_plot_writes_a_picture(run, filled, tmp_path, kind):
    done = run("plot", MUSIC, "pictures/out.png", "--kind", kind, "--store", filled)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "pictures" / "out.png").read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"


def test_notes_leave_as_midi_and_come_back_the_same(run, filled, tmp_path):
    done = run("export-midi", "midi", MUSIC, "--store", filled, "--json")
    assert done.returncode == 0, done.stderr
    assert [json.loads(line)["task"] for line in done.stdout.splitlines()] == [MUSIC]
    done = run("import-midi", "midi", "back.parquet")
    assert (done.returncode, done.stdout) == (0, "")
    stored = pl.read_parquet(filled / "notes").filter(pl.col("task") == MUSIC)
    assert pl.read_parquet(tmp_path / "back.parquet").equals(stored)


def lines(done):
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_submit_enters_the_new_tasks(run):
    done = run("submit", "s1", "unknown-2", "--store", "new", "--json")
    assert done.returncode == 3
    rows = lines(done)
    assert [row["state"] for row in rows] == ["submitted", "refused"]
    assert [row["task"] for row in lines(run("list", "--store", "new", "--json"))] == [rows[0]["task"]]
    assert run("fetch", "--pending", "--store", "new").returncode == 0


def test_orders_come_from_arguments_a_file_and_stdin(run, tmp_path):
    (tmp_path / "orders.csv").write_text("separation_task,audio_id,label\ns2,stem1,choir\n")
    done = run("submit", "s1", "-", "--file", "orders.csv", "--label", "rest", "--json", stdin="# mine\ns3\n")
    assert done.returncode == 0, done.stderr
    assert [(row["separation_task"], row["audio_id"], row["label"]) for row in lines(done)] == [
        ("s1", None, "rest"),
        ("s3", None, "rest"),
        ("s2", "stem1", "choir"),
    ]


def test_a_bad_line_of_orders_is_named_and_nothing_is_sent(run, tmp_path, sandbox):
    made = len(sandbox.created)
    (tmp_path / "orders.csv").write_text("separation_task,genre\ns1,jazz\n")
    done = run("submit", "s0", "--file", "orders.csv")
    assert done.returncode == 1
    assert "orders.csv, line 1: expected the columns separation_task, audio_id, label" in done.stderr
    assert len(sandbox.created) == made


def test_what_was_sent_is_not_sent_again_unless_a_person_says_so(run, sandbox):
    made = len(sandbox.created)
    assert run("submit", "s1").returncode == 0
    done = run("submit", "s1", "--json")
    assert (done.returncode, len(sandbox.created)) == (0, made + 1)
    assert lines(done)[0]["reason"].startswith("sent before, on 20")
    assert run("submit", "s1", "--again").returncode == 0
    assert len(sandbox.created) == made + 2


def test_an_unclear_order_ends_with_3_and_status_says_what_to_do(run):
    assert run("submit", "lost-1").returncode == 3
    told = run("status").stdout
    assert (
        "orders without a clear answer: 'settle' one if you find its task on the service's site, else --again (1):"
        in told
    )
    assert "lost-1" in told


def test_orders_that_a_wrong_key_left_are_sent_with_pending(run):
    done = run("submit", "s1", "s2", key="wrong")
    assert done.returncode == 4
    assert "orders never sent: 'submit --pending', 'separate --pending' (2):" in run("status").stdout
    done = run("submit", "--pending", "--json")
    assert (done.returncode, [row["state"] for row in lines(done)]) == (0, ["submitted", "submitted"])


def test_ctrl_c_in_submitting_says_what_remains(tmp_path):
    with Sandbox() as service:
        command = [sys.executable, "-m", "kie_notes.cli", "submit", *(f"s{at}" for at in range(25))]
        environment = os.environ | {"KIE_API_KEY": service.key, "KIE_BASE_URL": service.url}
        with subprocess.Popen(command, cwd=tmp_path, env=environment, stderr=subprocess.PIPE, text=True) as worker:
            while len(service.created) < 20:
                time.sleep(0.01)
            time.sleep(0.5)  # now the 21st waits for its turn
            worker.send_signal(signal.SIGINT)
            told = worker.communicate(timeout=30)[1]
        assert worker.returncode == 130
        assert "5 orders remain planned in kie-store: --pending sends them" in told
        assert len(service.created) == 20


def test_the_whole_chain_on_the_command_line(run):
    song = lines(run("separate", "m1:song1", "--label", "choir", "--json"))[0]
    assert song["state"] == "submitted"
    assert run("watch").returncode == 0
    orders = run("list", "orders").stdout
    assert orders.startswith("separation_task,audio_id\n")
    done = run("submit", "-", "--json", stdin=orders)
    tasks = [row["task"] for row in lines(done)]
    assert run("fetch", *tasks, "--with-song").returncode == 0
    lineage = lines(run("list", "lineage", "--json"))
    assert [(row["task"], row["stem"], row["label"]) for row in lineage] == [
        (tasks[0], "Vocals", "choir"),
        (tasks[1], "Instrumental", "choir"),
    ]
    assert len(lines(run("list", "songs", "--json"))) == 2
    assert len(lines(run("list", "stems", "--json"))) == 2
    assert len(lines(run("list", "submissions", "--json"))) == 3


def test_a_separation_can_be_named_when_fetching(run):
    separation = lines(run("separate", "--url", "https://example.com/a.mp3", "--store", "one", "--json"))[0]["task"]
    task = lines(run("submit", separation, "--store", "one", "--json"))[0]["task"]
    done = run("fetch", task, "--with-song", "--separation", separation, "--store", "two")
    assert done.returncode == 0, done.stderr
    assert f"{task}: no song: separation {separation} names no song" in done.stdout
    assert lines(run("list", "lineage", "--store", "two", "--json"))[0]["separation_task"] == separation


def test_watch_ends_with_3_when_something_failed(run):
    assert run("fetch", "fail-1").returncode == 3
    done = run("watch", "--json")
    assert done.returncode == 3
    assert lines(done) == [{"kind": "midi", "state": "failed", "tasks": 1}]


def test_ctrl_c_in_watching_says_what_remains(tmp_path, sandbox, run):
    run("fetch", "slow999-1", "--deadline", "0.1")
    before = len(sandbox.requests)
    command = [sys.executable, "-m", "kie_notes.cli", "watch"]
    environment = os.environ | {"KIE_API_KEY": sandbox.key, "KIE_BASE_URL": sandbox.url}
    with subprocess.Popen(command, cwd=tmp_path, env=environment, stderr=subprocess.PIPE, text=True) as worker:
        while len(sandbox.requests) == before:
            time.sleep(0.01)
        worker.send_signal(signal.SIGINT)
        told = worker.communicate(timeout=30)[1]
    assert worker.returncode == 130
    assert "1 tasks remain open in kie-store" in told
    assert "kie-notes: stopped; what came is stored" in told


def test_upkeep_says_what_it_did(run, filled):
    assert "0 answers sealed" in run("seal", "--store", filled).stderr
    assert "0 parts fewer" in run("compact", "--store", filled).stderr
    assert "8247 notes before, 8247 now" in run("rebuild", "--store", filled).stderr


def test_check_tells_a_damaged_part_and_mends_it(run, filled):
    assert run("check", "--store", filled).returncode == 0
    part = next((filled / "notes").glob("*.parquet"))
    part.write_bytes(b"rubbish")
    done = run("check", "--store", filled, "--json")
    assert done.returncode == 3
    assert lines(done)[0]["fault"] == "part-damaged"
    assert run("check", "--store", filled, "--repair").returncode == 0
    assert run("check", "--store", filled).returncode == 0


def test_listen_without_keys_says_what_is_wanted(run):
    done = run("listen", "--port", "0")
    assert done.returncode == 2
    assert "no webhook key: set KIE_WEBHOOK_KEYS" in " ".join(done.stderr.split())


def test_the_demo_does_the_whole_way(run, tmp_path):
    done = run("demo")
    assert done.returncode == 0, done.stderr
    assert MUSIC in done.stdout
    assert "What to type next:" in done.stderr
    made = tmp_path / "kie-notes-demo"
    assert (made / "piano-roll.png").stat().st_size > 10_000
    assert "<canvas" in (made / "page.html").read_text("utf-8")
    assert len(list((made / "midi").glob("*.mid"))) == 9
    assert run("demo").returncode == 0  # again, in the same folder


def test_the_sandbox_says_what_it_does_and_serves(run, tmp_path):
    listed = run("sandbox", "--list").stdout
    assert "fail-\t" in listed
    assert {line.rsplit("\t", 1)[1] for line in listed.splitlines()} == {"documented", "recorded", "believed"}
    command = [sys.executable, "-m", "kie_notes.cli", "sandbox", "--port", "0", "--delay", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as service:
        url, key = (service.stdout.readline().strip().partition("=")[2] for _ in range(2))
        done = run("fetch", "strings-1", KIE_BASE_URL=url, KIE_API_KEY=key)
        service.terminate()
    assert done.returncode == 0, done.stderr
