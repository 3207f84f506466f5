"""One HTML page that opens anywhere, offline, and plays: for a store, for records, or for a notes table.

``write_report`` writes it, ``player`` shows it in a notebook. From left to right: ``packing`` (notes as small text),
``facts`` (what is said about tasks), ``picture`` (for readers without JavaScript), ``page`` (all of it as HTML), and
in ``static`` what the browser runs. The sound is webaudio-tinysynth 1.1.3 by Tatsuya Shinyagaito, as it was published,
under the Apache License 2.0 (``static/tinysynth-LICENSE.txt``).
"""

from __future__ import annotations

import html
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    import polars as pl

    from kie_notes.notes import Flattened
    from kie_notes.store import Store

__all__ = ["Player", "player", "write_report"]


def write_report(
    source: Store | Flattened | pl.DataFrame | pl.LazyFrame,
    path: str | Path,
    *,
    tasks: Iterable[str] | None = None,
    title: str | None = None,
) -> Path:
    """Write one HTML page that shows and plays tasks: a file that opens in any browser, without a network.

    The page has a piano roll that plays, a table of the tasks, what was rejected and why and, of a store, what failed
    and what expires when. Times on the service's grid of 1/192 s are kept exactly, other times to 0.5 ms; velocities to
    1/254. About 2 bytes a note of real music, and 110 KB for the page itself.

    Parameters
    ----------
    source
        A store, flattened records, or a notes table in canonical order.
    path
        File to write; one of that name is replaced. Its folder is made.
    tasks
        Ids of the tasks to show, in that order; None: all, in the source's order.
    title
        What stands at the top; None: what the source is.

    Returns
    -------
    The path.

    Raises
    ------
    NotesSchemaError, NotesOrderError
        If a table is no notes table, or not in canonical order.
    ValueError
        If a task is not in the source, there are more than 3,000,000 notes, or a value is none that a note can have.

    Examples
    --------
    >>> import tempfile
    >>> import polars as pl
    >>> from kie_notes.notes import NOTES_SCHEMA
    >>> rows = [("t1", "Flute", 60, 0.0, 0.5, 0.5, 0)]
    >>> notes = pl.DataFrame(rows, schema=NOTES_SCHEMA, orient="row")
    >>> written = write_report(notes, Path(tempfile.mkdtemp()) / "flute.html", title="One note")
    >>> "<title>One note</title>" in written.read_text("utf-8")
    True
    """
    from kie_notes.report.facts import gather
    from kie_notes.report.page import page

    path = Path(path)
    text = page(gather(source, tasks=tasks), title=_title(source) if title is None else title)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8", newline="\n")
    return path


class Player:
    """A page in a frame, which a notebook shows when it is a cell's result.

    Attributes
    ----------
    page
        The page's HTML.
    height
        Height of the frame in pixels.
    """

    def __init__(self, page: str, *, height: int) -> None:
        self.page = page
        self.height = height

    def __repr__(self) -> str:
        return f"Player({len(self.page) / 1e6:.2f} MB of HTML)"

    def _repr_html_(self) -> str:
        # Scripts may run in the frame, and nothing else: it has an origin of its own and no way to the notebook.
        return (
            f'<iframe srcdoc="{html.escape(self.page)}" title="Piano roll that plays" sandbox="allow-scripts"'
            f' allow="autoplay" style="width:100%;height:{self.height}px;border:0"></iframe>'
        )


def player(
    notes: pl.DataFrame | pl.LazyFrame,
    *,
    height: int = 720,
    most_bytes: int = 2_000_000,
) -> Player:
    """Show notes in a notebook: the piano roll of ``write_report``, which plays.

    The notebook keeps what a cell shows, so its file grows by the player's size: about 140 KB, and 2 bytes a note.

    Parameters
    ----------
    notes
        Notes table in canonical order: one task, or several, among which one can choose.
    height
        Height in pixels, > 0.
    most_bytes
        The largest player, as HTML in UTF-8.

    Returns
    -------
    A ``Player``, which a notebook shows when it is a cell's result.

    Raises
    ------
    NotesSchemaError, NotesOrderError
        If ``notes`` is no notes table, or not in canonical order.
    ValueError
        If the player would be larger, or ``height`` is not above 0.

    Examples
    --------
    >>> import polars as pl
    >>> from kie_notes.notes import NOTES_SCHEMA
    >>> rows = [("t1", "Flute", 60, 0.0, 0.5, 0.5, 0)]
    >>> player(pl.DataFrame(rows, schema=NOTES_SCHEMA, orient="row"))._repr_html_()[:15]
    '<iframe srcdoc='
    """
    from kie_notes.report.facts import gather
    from kie_notes.report.page import page

    if height <= 0:
        raise ValueError(f"height: expected pixels above 0, got {height!r}")
    facts = gather(notes)
    made = Player(page(facts, title="Player", kind="embedded"), height=height)
    size = len(made._repr_html_().encode())
    if size > most_bytes:
        advice = "keep some tasks, write_report a file, or raise most_bytes"
        raise ValueError(f"{facts.notes.height} notes make a player of {size} bytes, over {most_bytes}: {advice}")
    return made


def _title(source: Store | Flattened | pl.DataFrame | pl.LazyFrame) -> str:
    folder = getattr(source, "folder", None)
    return f"Notes in {Path(folder).name}" if folder is not None else "Transcribed notes"
