import ast
import inspect
import re
from pathlib import Path

import polars as pl
import pytest

from kie_notes import analysis
from kie_notes.analysis import catalogue, describe, explain

TESTS = Path(__file__).parent
README = TESTS.parents[1] / "README.md"
FUNCTIONS = [name for name in analysis.__all__ if inspect.isfunction(getattr(analysis, name))]
ROWS = {row["name"]: row for row in catalogue().rows(named=True)}

#: What the catalogue says of drums, by the default of the option of that name.
POLICIES = {"exclude": "excluded by default", "include": "included by default"}


def readme_table():
    """The catalogue as the README shows it: one line per function."""
    lines = ["| name | definition | source | confirmed by |", "|---|---|---|---|"]
    for row in ROWS.values():
        cells = (f"`{row['name']}`", row["definition"], row["source"], row["confirmed_by"])
        lines.append(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |")
    return lines


def test_every_function_has_one_row():
    assert sorted(catalogue()["name"]) == sorted(FUNCTIONS)


def test_every_row_says_everything():
    texts = catalogue().select(pl.col(pl.String))
    empty = texts.filter(pl.any_horizontal(pl.all().fill_null("").str.strip_chars() == ""))
    assert empty.rows() == []


def test_rows_of_a_subject_stand_together():
    subjects = catalogue()["subject"]
    assert subjects.rle_id().n_unique() == subjects.n_unique()


@pytest.mark.parametrize("name", ROWS)
def test_what_is_said_of_drums_is_the_option(name):
    option = inspect.signature(getattr(analysis, name)).parameters.get("drums")
    said = ROWS[name]["drums"]
    assert said.endswith("by default") == (option is not None)
    assert option is None or said == POLICIES[option.default]


@pytest.mark.parametrize("name", ROWS)
def test_the_test_that_confirms_is_there(name):
    file, _, test = ROWS[name]["test"].partition("::")
    tests = [node.name for node in ast.parse((TESTS / file).read_text("utf-8")).body if hasattr(node, "name")]
    assert test in tests


@pytest.mark.parametrize("name", ROWS)
def test_the_test_that_confirms_calls_what_it_confirms(name):
    file, _, _ = ROWS[name]["test"].partition("::")
    assert re.search(rf"\b{name}\b", (TESTS / file).read_text("utf-8"))


def test_every_column_of_describe_is_explained(golden, capsys):
    for column in describe(golden.lazy()).collect_schema().names()[1:]:
        explain(column)
        assert capsys.readouterr().out.startswith(column)


def test_an_explanation_is_the_row(capsys):
    explain("tempo_bpm")
    said, row = capsys.readouterr().out, ROWS["tempo"]
    assert said.startswith("tempo_bpm, a column of describe() from tempo (tempo and groove)\n")
    for column in ("definition", "unit", "drums", "null", "source", "confirmed_by"):
        assert row[column] in said
    assert "tempo_bpm, tempo_confidence" in said


def test_a_misspelt_name_is_answered_with_the_nearest():
    with pytest.raises(ValueError, match="is called 'polyphony_rat'; the nearest is 'polyphony_rate'"):
        explain("polyphony_rat")


def test_the_readme_shows_the_catalogue():
    section = README.read_text("utf-8").partition("\n## Descriptors\n")[2].partition("\n## ")[0]
    assert [line for line in section.splitlines() if line.startswith("|")] == readme_table()
