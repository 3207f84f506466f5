"""The rules that hold the house up: who imports whom, what is public, what is written down, what is small."""

import ast
import doctest
import importlib
import inspect
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest
from typer.main import get_command

import kie_notes
from kie_notes.cli import app

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "kie_notes"
MODULES = sorted(name for _, name, is_package in pkgutil.walk_packages([str(PACKAGE)], "kie_notes.") if not is_package)
PACKAGES = [
    "kie_notes",
    *sorted(n for _, n, is_package in pkgutil.walk_packages([str(PACKAGE)], "kie_notes.") if is_package),
]

#: Rooms from left to right; a module imports only from rooms to its left, or from its own.
ROOMS = [
    ("cards", "errors", "instruments", "palette", "processes", "progress"),
    ("api",),
    ("columns",),
    ("notes",),
    ("store",),
    ("intake", "rounds"),
    ("chain", "order_lists"),
    ("collect", "orders"),
    ("receiver",),
    ("analysis",),
    ("mapping",),
    ("midi", "plots", "report", "sound"),
    ("augment", "dataset", "export", "imports", "notation"),
    ("pictures",),
    ("demo",),
    ("cli",),
]
#: Rooms that stand side by side: neither knows the other.
APART = [({"analysis", "plots", "midi", "sound"}, {"api", "store", "collect", "rounds", "orders", "receiver"})]
#: Public functions without an example in their docstrings: they need a service, or files.
UNSHOWN = {"collect", "ingest", "separate", "settle_order", "submit", "submit_pending", "watch", "write_midi"}


def room(module):
    """Index of a module's room; ``midi_plan`` stands in the room of ``midi``."""
    first = module.split(".")[1]
    found = [at for at, names in enumerate(ROOMS) if first in names or first.split("_")[0] in names]
    assert found, f"{module} stands in no room"
    return found[0]


def imports(module, *, at_the_top_only=False):
    """The modules of the house that a module imports, inside functions too."""
    path = ROOT / module.replace(".", "/")
    path = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    tree = ast.parse(path.read_text("utf-8"))
    typing_only = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("kie_notes"):
            if at_the_top_only and id(node) in typing_only:
                continue
            yield node.module


@pytest.mark.parametrize("module", [*PACKAGES[1:], *MODULES])
def test_a_module_imports_only_from_the_left(module):
    for other in imports(module):
        if other != "kie_notes":
            assert room(other) <= room(module), f"{module} imports {other}"
        else:
            assert module == "kie_notes.pictures", f"{module} imports the package itself"


@pytest.mark.parametrize("module", [*PACKAGES[1:], *MODULES])
def test_what_answers_questions_knows_no_provider(module):
    for some, others in APART:
        if module.split(".")[1].split("_")[0] in some:
            for other in imports(module, at_the_top_only=True):
                assert other.split(".")[1] not in others, f"{module} imports {other}"


@pytest.mark.parametrize("package", [kie_notes, kie_notes.analysis, kie_notes.plots])
def test_all_is_sorted_and_honest(package):
    assert package.__all__ == sorted(package.__all__, key=lambda name: (not name.isupper(), name[0].islower(), name))
    for name in package.__all__:
        assert getattr(package, name) is not None
        assert name in dir(package)
    with pytest.raises(AttributeError, match=f"module '{package.__name__}' has no attribute 'nothing'"):
        getattr(package, "noth" + "ing")


@pytest.mark.parametrize("package", [kie_notes, kie_notes.analysis])
def test_names_have_one_home_each(package):
    homes = [name for names in package._HOMES.values() for name in names]
    at_once = {"CollectReport", "collect", "ingest", "watch"} & set(package.__all__)
    assert sorted([*homes, *at_once]) == sorted(package.__all__)


@pytest.mark.parametrize("package", PACKAGES)
def test_no_module_bears_the_name_of_a_function_that_it_would_hide(package):
    loaded = importlib.import_module(package)
    modules = {name for _, name, _ in pkgutil.iter_modules(loaded.__path__)}
    public = getattr(loaded, "__all__", [name for name, value in vars(loaded).items() if inspect.isfunction(value)])
    # ``kie_notes.collect`` is imported with the package, which then puts the function in the module's place.
    assert modules & set(public) <= ({"collect"} if package == "kie_notes" else set())


def test_importing_the_package_loads_nothing_heavy():
    heavy = ("matplotlib", "pretty_midi", "pyarrow", "requests", "polars", "numpy")
    code = f"import sys, kie_notes, kie_notes.analysis; print([name for name in {heavy} if name in sys.modules])"
    assert (
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"
    )


def test_the_helpers_and_the_notes_load_neither_matplotlib_nor_pretty_midi():
    code = "import sys; from kie_notes import *; print([n for n in ('matplotlib', 'pretty_midi') if n in sys.modules])"
    assert (
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"
    )


def test_a_page_and_a_sound_file_need_no_matplotlib(tmp_path):
    code = (
        "import sys, kie_notes as kn, polars as pl\n"
        "notes = pl.DataFrame([('a', 'Flute', 69, 0.0, 0.5, 0.5, 0)], schema=kn.NOTES_SCHEMA, orient='row')\n"
        "print(kn.write_report(notes, 'a.html'), kn.render_audio(notes, 'a.wav'), 'matplotlib' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout == "a.html a.wav False\n"


@pytest.mark.parametrize("module", [*PACKAGES, *MODULES])
def test_the_examples_in_docstrings_run(module):
    result = doctest.testmod(
        importlib.import_module(module), optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    )
    assert result.failed == 0


def test_the_names_of_the_analysis_are_names_of_the_package():
    assert set(kie_notes.analysis.__all__) <= set(kie_notes.__all__)
    assert all(getattr(kie_notes, name) is getattr(kie_notes.analysis, name) for name in kie_notes.analysis.__all__)


@pytest.mark.parametrize("name", [name for name in kie_notes.__all__ if not name.isupper()])
def test_every_public_name_says_what_it_gives_and_functions_show_it(name):
    thing = getattr(kie_notes, name)
    assert thing.__doc__
    if not isinstance(thing, type):
        assert "Returns" in thing.__doc__ or "Yields" in thing.__doc__, name
        assert ">>>" in thing.__doc__ or name in UNSHOWN, name


def test_every_command_is_in_the_readme():
    told = (ROOT / "README.md").read_text("utf-8")
    missing = [name for name in get_command(app).commands if f"kie-notes {name}" not in told]
    assert missing == []


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: path.name)
def test_a_file_has_about_400_lines_at_the_most(path):
    assert len(path.read_text("utf-8").splitlines()) <= 410
