"""Data sets from the command line, in real processes."""

import json
import os
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

from kie_notes.store import Store

SAMPLES = sorted((Path(__file__).parents[2] / "data" / "samples" / "records").glob("*.json"))


@pytest.fixture(scope="module")
def songs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("songs") / "store"
    with Store(folder) as store:
        for path in SAMPLES:
            store.put(path.read_bytes(), source=path.name)
    return folder


@pytest.fixture
def run(tmp_path):
    def act(*arguments):
        return subprocess.run(
            [sys.executable, "-m", "kie_notes.cli", *map(str, arguments)],
            cwd=tmp_path,
            env=os.environ | {"COLUMNS": "200"},
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )

    return act


def test_a_store_becomes_a_data_set_and_what_remains_is_said(run, songs, tmp_path):
    done = run("export", songs, "set")
    assert done.returncode == 0, done.stderr
    assert done.stdout.split()[:6] == ["split", "tasks", "groups", "notes", "files", "bytes"]
    assert "missing: licence: fill in 'license:' at the top of README.md" in done.stderr
    assert done.stderr.endswith("set: not ready to be published\n")
    assert pl.read_parquet(sorted((tmp_path / "set/notes").iterdir())).height == 8247


def test_options_reach_the_recipe_and_the_tables(run, songs, tmp_path):
    tasks = [path.stem for path in SAMPLES]
    pl.DataFrame({"task": tasks, "number": range(len(tasks))}).write_csv(tmp_path / "labels.csv")
    pl.DataFrame({"task": tasks, "group": "all"}).write_parquet(tmp_path / "groups.parquet")
    options = ["--license", "cc-by-4.0", "--title", "Songs", "--min-notes", "300", "--window", "5", "--ticks", "192"]
    options += ["--shares", "train=0.9,test=0.1", "--labels", "labels.csv", "--groups", "groups.parquet", "--json"]
    done = run("export", songs, "set", *options, "--duplicates", "0", "--min-quality", "0", "--seed", "3")
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert [line["split"] for line in lines if line["about"] == "split"] == ["train", "test"]
    recipe = json.loads((tmp_path / "set/export.json").read_text())["recipe"]
    assert (recipe["min_notes"], recipe["window"], recipe["ticks"], recipe["duplicates"]) == (300, 5.0, 192, None)
    made = pl.read_parquet(sorted((tmp_path / "set/tasks").iterdir()))
    assert {"number", "quality", "windows"} <= set(made.columns)
    assert made["group"].n_unique() == 1
    assert done.stderr.endswith("set: ready to be published\n")


def test_a_notes_table_in_a_file_is_taken_and_checked(run, songs, tmp_path):
    with Store(songs) as store:
        store.scan_notes().collect().write_parquet(tmp_path / "notes.parquet")
    assert run("export", "notes.parquet", "set").returncode == 0
    done = run("check-dataset", "set", "--json")
    assert done.returncode == 3
    assert {"about": "check", "check": "files", "state": "ok"}.items() <= json.loads(
        done.stdout.splitlines()[3]
    ).items()


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["export", ".", "set"], 2, ". is no store; 'fetch' and 'ingest' make one"),
        (["export", "{songs}", "set", "--shares", "train"], 2, "--shares: expected as train=0.9,test=0.1, got 'train'"),
        (["export", "{songs}", "."], 1, "expected a new or empty folder, or an export to take the place of"),
        (["export", "mine.txt", "set"], 1, "mine.txt: expected a Parquet file with a notes table, got: "),
        (["report", "mine.txt"], 1, "mine.txt: expected a Parquet file with a notes table, got: "),
        (["check-dataset", "."], 1, "expected the folder of an export, but it has no export.json"),
    ],
)
def test_what_cannot_be_done_is_one_line_and_a_code(run, songs, tmp_path, arguments, code, message):
    (tmp_path / "mine.txt").write_text("mine")
    done = run(*(str(songs) if argument == "{songs}" else argument for argument in arguments))
    assert done.returncode == code
    assert message in done.stderr
    assert "Traceback" not in done.stderr
