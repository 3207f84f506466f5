"""What a notebook shows of a store, of flattened records, of a report: a few counts, and tables that open.

Objects of every room use it, so it knows none of them: titles, counts and frames come in, HTML goes out, and every text
is escaped.
"""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

    import polars as pl

#: Rows of a table that are shown; a sentence says how many more there are.
_ROWS: Final = 10


def card(title: str, counts: Mapping[str, object], tables: Mapping[str, pl.DataFrame]) -> str:
    """Give HTML for a notebook: a title, counts, and tables of which the first rows can be opened.

    Parameters
    ----------
    title
        What it is.
    counts
        Words and what stands for them.
    tables
        Titles and frames; those without rows are left out.

    Examples
    --------
    >>> import polars as pl
    >>> card("Store", {"tasks": 2}, {"tasks": pl.DataFrame({"task": ["<b>"]})})[:34]
    '<div><b>Store</b>: 2 tasks<details'
    """
    told = ", ".join(f"{escape(str(value))} {escape(word)}" for word, value in counts.items())
    parts = [_table(name, frame) for name, frame in tables.items() if frame.height]
    return f"<div><b>{escape(title)}</b>: {told}{''.join(parts)}</div>"


def _table(name: str, frame: pl.DataFrame) -> str:
    head = "".join(f"<th>{escape(column)}</th>" for column in frame.columns)
    rows = "".join(f"<tr>{''.join(map(_cell, row))}</tr>" for row in frame.head(_ROWS).iter_rows())
    more = f"<p>... and {frame.height - _ROWS} more</p>" if frame.height > _ROWS else ""
    summary = f"<summary>{escape(name)} ({frame.height})</summary>"
    return f"<details>{summary}<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>{more}</details>"


def _cell(value: object) -> str:
    text = "" if value is None else f"{value:.3g}" if isinstance(value, float) else str(value)
    return f'<td dir="auto">{escape(text if len(text) <= 80 else text[:79] + "…")}</td>'
