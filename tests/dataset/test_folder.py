"""Whole or not at all, and never over what is somebody else's."""

import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import polars as pl
import pytest

from kie_notes.dataset import Recipe, check_dataset, export_dataset
from kie_notes.errors import KieNotesError, NotesSchemaError
from kie_notes.notes import NOTES_SCHEMA

ONE = Recipe(shares={"train": 1.0})


@pytest.fixture
def folder(tmp_path, tune):
    export_dataset(tune("a", 60, 62), tmp_path / "set", recipe=ONE, licence="mit")
    return tmp_path / "set"


def content(folder):
    return {path.relative_to(folder): path.read_bytes() for path in Path(folder).rglob("*") if path.is_file()}


def faults(folder):
    report = check_dataset(folder)
    assert not report.ready
    return report.checks.filter(check="files").select("state", "detail").rows()


def test_nothing_is_left_beside_the_export(folder):
    assert [path.name for path in folder.parent.iterdir()] == ["set"]


def test_a_folder_with_other_things_is_refused_and_stays(tmp_path, tune):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/thesis.txt").write_text("years")
    with pytest.raises(
        FileExistsError, match="mine: expected a new or empty folder, or an export to take the place of"
    ):
        export_dataset(tune("a", 60), tmp_path / "mine")
    assert content(tmp_path) == {Path("mine/thesis.txt"): b"years"}


def test_a_file_in_the_place_is_refused(tmp_path, tune):
    (tmp_path / "set").write_text("mine")
    with pytest.raises(FileExistsError, match="expected a new or empty folder"):
        export_dataset(tune("a", 60), tmp_path / "set")
    assert (tmp_path / "set").read_text() == "mine"


def test_an_empty_folder_is_taken(tmp_path, tune):
    (tmp_path / "set").mkdir()
    assert export_dataset(tune("a", 60), tmp_path / "set", recipe=ONE, licence="mit").ready


def test_files_that_were_added_beside_ours_move_over(folder, tune):
    (folder / "LICENSE").write_text("MIT")
    (folder / ".git").mkdir()
    (folder / ".git/HEAD").write_text("ref")
    export_dataset(tune("a", 60, 62, 64), folder, recipe=ONE)
    assert (folder / "LICENSE").read_text() == "MIT"
    assert (folder / ".git/HEAD").read_text() == "ref"
    assert check_dataset(folder).ready


def test_a_file_that_was_added_among_the_tables_is_not_overwritten(folder, tune):
    (folder / "notes/mine.csv").write_text("1,2")
    with pytest.raises(FileExistsError, match=r"notes/mine.csv: not a file of an export, which would be lost"):
        export_dataset(tune("a", 60), folder, recipe=ONE)


def test_an_error_on_the_way_leaves_the_former_export_as_it_was(folder, tune):
    before = content(folder)
    answers = iter([tune("a", 60, 62)])
    fickle = tune("a", 60).lazy().map_batches(lambda notes: next(answers, notes), schema=tune("a", 60).schema)
    with pytest.raises(KieNotesError, match="the source changed"):
        export_dataset(fickle, folder, recipe=ONE)
    assert content(folder.parent) == {Path("set") / name: body for name, body in before.items()}


def test_a_table_that_is_none_leaves_nothing(tmp_path):
    with pytest.raises(NotesSchemaError, match="missing columns"):
        export_dataset(pl.DataFrame({"task": ["a"]}), tmp_path / "set")
    assert list(tmp_path.iterdir()) == []


KILLED = """
    import os, sys
    from pathlib import Path
    import polars as pl
    from kie_notes.dataset import Recipe, export_dataset
    import kie_notes.dataset.folder as folder

    at = int(sys.argv[2])
    renames = []
    rename = Path.rename

    def killed(path, to):
        if len(renames) == at:
            os._exit(9)
        renames.append(path)
        return rename(path, to)

    Path.rename = killed
    notes = pl.read_parquet(sys.argv[1] + "/notes.parquet")
    export_dataset(notes, sys.argv[1] + "/set", recipe=Recipe(shares={"train": 1.0}))
"""


@pytest.mark.parametrize("at", [0, 1, 2])
def test_a_death_between_the_renames_loses_neither_the_data_nor_the_owners_files(folder, tune, tmp_path, at):
    (folder / "LICENSE").write_text("MIT")
    card = (folder / "README.md").read_text().replace("- midi", "- midi\n- mine")
    (folder / "README.md").write_text(card)
    tune("a", 60, 62, 64).write_parquet(tmp_path / "notes.parquet")
    code = textwrap.dedent(KILLED)
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path), str(at)], capture_output=True, check=False)
    assert done.returncode == 9, done.stderr
    report = export_dataset(tune("a", 60, 62, 64), folder, recipe=ONE)
    assert report.ready
    assert (folder / "LICENSE").read_text() == "MIT"
    assert "- mine" in (folder / "README.md").read_text()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["notes.parquet", "set"]


def test_two_exports_into_one_folder_at_once_are_refused(folder, tune):
    def meanwhile(notes):
        with pytest.raises(FileExistsError, match="another export is being written there"):
            export_dataset(tune("a", 60), folder, recipe=ONE)
        return notes

    notes = tune("a", 60, 62, 64).lazy().map_batches(meanwhile, schema=NOTES_SCHEMA)
    assert export_dataset(notes, folder, recipe=ONE).splits["notes"].to_list() == [3]


def test_a_folder_of_any_name_is_written(tmp_path, tune):
    path = tmp_path / "a [b] *c? ü%20 ~"
    assert export_dataset(tune("../x", 60), path, recipe=ONE, licence="mit").ready
    assert pl.read_parquet(path / "notes/train-00000-of-00001.parquet", glob=False)["task"].to_list() == ["../x"]


def test_a_link_to_a_folder_is_followed(tmp_path, folder, tune):
    (tmp_path / "link").symlink_to(folder)
    export_dataset(tune("a", 60), tmp_path / "link", recipe=ONE)
    assert (tmp_path / "link").is_symlink()
    assert pl.read_parquet(folder / "notes").height == 1


def test_a_changed_file_is_named(folder):
    path = folder / "notes/train-00000-of-00001.parquet"
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    assert faults(folder) == [("damaged", "notes/train-00000-of-00001.parquet: not what was written")]


def test_a_missing_file_and_one_too_many_are_named(folder):
    (folder / "croissant.json").unlink()
    shutil.copy(folder / "splits.parquet", folder / "notes/train-00001-of-00002.parquet")
    assert faults(folder) == [
        ("missing", "croissant.json is not there"),
        ("damaged", "notes/train-00001-of-00002.parquet: not a file of this export"),
    ]


def test_checksums_that_are_gone_are_missing(folder):
    (folder / "SHA256SUMS").unlink()
    assert faults(folder) == [("missing", "SHA256SUMS is not there")]


def test_a_card_that_is_gone_is_missing(folder):
    (folder / "README.md").unlink()
    report = check_dataset(folder)
    assert report.checks.filter(state="missing")["check"].to_list() == ["licence", "card"]


def test_what_is_no_export_is_not_checked(tmp_path):
    with pytest.raises(KieNotesError, match=r"expected the folder of an export, but it has no export.json"):
        check_dataset(tmp_path)
