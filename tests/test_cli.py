"""The command line as people use it: real processes, exit codes, what goes to stdout and what to stderr."""

import json
import os
import subprocess
import sys
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
    rows = [json.loads(line) for line in run("status", "--store", filled, "--json").stdout.splitlines()]
    assert {row["state"] for row in rows} == {"complete", "empty", "failed", "pending"}


def test_describe_gives_a_row_per_task_or_instrument(run, filled):
    tasks = [json.loads(line) for line in run("describe", "--store", filled, "--json").stdout.splitlines()]
    assert len(tasks) == 9
    assert {row["task"]: row["notes"] for row in tasks}[MUSIC] == 1043
    instruments = [
        json.loads(line)
        for line in run("describe", "--store", filled, "--by", "instrument", "--json").stdout.splitlines()
    ]
    assert len([row for row in instruments if row["task"] == MUSIC]) == 4


@pytest.mark.parametrize("kind", ["piano-roll", "pitch-histogram", "pitch-class-histogram", "onset-density"])
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


def test_submit_enters_the_new_tasks(run, tmp_path):
    done = run("submit", "s1", "unknown-2", "--store", "new", "--json")
    assert done.returncode == 3
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert [row["state"] for row in rows] == ["submitted", "refused"]
    listed = run("status", "--store", "new", "--json").stdout
    assert json.loads(listed)["task"] == rows[0]["task"]
    assert run("fetch", "--pending", "--store", "new").returncode == 0


def test_the_demo_does_the_whole_way(run, tmp_path):
    done = run("demo")
    assert done.returncode == 0, done.stderr
    assert MUSIC in done.stdout
    assert "What to type next:" in done.stderr
    made = tmp_path / "kie-notes-demo"
    assert (made / "piano-roll.png").stat().st_size > 10_000
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
