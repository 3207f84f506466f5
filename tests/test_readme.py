"""What the README says is so: its Python gives the output that stands below it, and its files are there."""

import contextlib
import io
import re
from pathlib import Path

import matplotlib as mpl

import kie_notes as kn
from kie_notes import pictures, plots
from tests.midi.losses import PACKED, losses
from tests.report import screenshot

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text("utf-8")


def test_the_ten_lines_of_python_give_the_output_below_them(tmp_path, monkeypatch):
    code, shown = re.search(r"```python\n(.*?)```\n+```text\n(.*?)```", README, re.DOTALL).groups()
    (tmp_path / "data").symlink_to(ROOT / "data")
    monkeypatch.chdir(tmp_path)
    mpl.use("Agg")
    with contextlib.redirect_stdout(io.StringIO()) as said:
        exec(compile(code, "README.md", "exec"), {})  # noqa: S102 -- the README's own code
    assert said.getvalue() == shown


def test_every_file_that_the_readme_names_is_there():
    missing = [name for name in re.findall(r"\]\((?!https?://|#)([^)#]+)", README) if not (ROOT / name).exists()]
    assert missing == []


def test_the_losses_of_every_sample_are_told(shared):
    told = README.splitlines()
    assert [row for row in losses(shared / "samples" / "records") if row not in told] == []


def test_the_losses_of_the_packed_samples_are_told():
    told = README.splitlines()
    assert [row for row in losses(PACKED) if row not in told] == []


def test_every_function_that_the_readme_names_is_there():
    for home, name in (("kn", kn), ("plots", plots)):
        named = set(re.findall(rf"\b{home}\.([a-zA-Z_]\w*)", README))
        assert named - set(name.__all__) == set()


def test_every_plot_is_named_in_the_readme_or_is_that_of_a_helper_there():
    assert [name for name in plots.__all__ if name not in README] == []


def test_every_picture_of_the_readme_is_made_by_a_command_that_stands_there(tmp_path):
    shown = set(re.findall(r"!\[[^]]+\]\(([^)]+)\)", README))
    made = pictures.gallery(kn.flatten(kn.read_records(ROOT / "data" / "samples" / "records")).notes, tmp_path)
    taken = screenshot.PICTURE.relative_to(ROOT).as_posix()
    assert shown == {taken, *(f"data/{file.name}" for file in made)}
    words = " ".join(README.split())
    assert "python -m kie_notes.pictures data/samples/records data" in words
    assert "python -m tests.report.screenshot" in words
