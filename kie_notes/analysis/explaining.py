"""What each function means, where it comes from and what confirms it: the catalogue, and one row of it as text.

The catalogue is a file beside this module. Its words are those of the docstrings, made short; a docstring says more.
"""

from __future__ import annotations

import difflib
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

import polars as pl

if TYPE_CHECKING:
    from collections.abc import Iterable

#: One row per function; columns of describe apart by spaces.
_CATALOGUE: Final = Path(__file__).with_name("catalogue.csv")

#: The lines of an explanation: column of the catalogue, and what it is called there.
_LINES: Final = {
    "definition": "what",
    "unit": "unit",
    "drums": "drums",
    "null": "null",
    "source": "source",
    "confirmed_by": "confirmed by",
    "columns": "in describe()",
}


def catalogue() -> pl.DataFrame:
    """List what each function of ``kie_notes.analysis`` means.

    Returns
    -------
    One row per function, by subject:

    - ``name`` (String)
    - ``subject`` (String): of the kind of music, or of work, that it is about
    - ``definition`` (String): one sentence, with the formula in words
    - ``unit`` (String): units and ranges of what it gives, apart by semicolons
    - ``drums`` (String): what happens to percussion; where it says ``by default``, the option ``drums`` decides
    - ``null`` (String): where a value is null, or a row is not there
    - ``source`` (String): the paper, or the tool and the number of the feature there
    - ``confirmed_by`` (String): the program, or the case worked by hand, that its values are checked against
    - ``test`` (String): the test of this project that does so
    - ``columns`` (List(String)): of ``describe`` that come from it

    Examples
    --------
    >>> catalogue().filter(name="polyphony_rate").select("unit", "null", "columns").rows()
    [('share', 'where the length is 0', ['polyphony_rate'])]
    """
    text = pl.read_csv(_CATALOGUE, infer_schema=False)
    return text.with_columns(pl.col("columns").str.split(" ").fill_null([]))


def explain(name: str) -> None:
    """Print what a function, or a column of ``describe``, means.

    Parameters
    ----------
    name
        Of a function of ``kie_notes.analysis``, or of a column of ``describe``; where it is both, the function's.

    Returns
    -------
    Nothing; the text goes to the standard output.

    Raises
    ------
    ValueError
        If there is neither; the message names the nearest name that there is.

    Examples
    --------
    >>> explain("drum_hits_per_second")
    drum_hits_per_second, a column of describe() from drum_density (drums)
      what           Drum notes, and those of each class, / last end of the task
      unit           hits/s
      drums          drums alone
      null           where the last end is 0 s; no row without drums
      source         McKay, jSymbolic 2.2 manual, RT-5, of some of the notes
      confirmed by   the drums' part of jSymbolic's density for the golden fixture
      in describe()  drum_hits_per_second
    """
    rows = catalogue().rows(named=True)
    functions = {row["name"]: row for row in rows}
    columns = {column: row for row in rows for column in row["columns"]}
    row = functions.get(name) or columns.get(name)
    if row is None:
        near = nearest(name, [*functions, *columns])
        raise ValueError(f"no function and no column of describe is called {name!r}; the nearest is '{near}'")
    heading = name if name in functions else f"{name}, a column of describe() from {row['name']}"
    told = {line: ", ".join(row[of]) if of == "columns" else row[of] for of, line in _LINES.items()}
    lines = [f"  {line:<13}  {text}" for line, text in told.items() if text]
    sys.stdout.write("\n".join([f"{heading} ({row['subject']})", *lines, ""]))


def nearest(name: str, names: Iterable[str]) -> str:
    """Give the name that was most likely meant."""
    return difflib.get_close_matches(name, list(names), n=1, cutoff=0.0)[0]
