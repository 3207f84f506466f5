"""Sketches of scores: notes on a grid of beats, as MusicXML for any notation program and as pictures to print.

A sketch is what its name says, and says so in its heading. Nobody told the notes their metre: it is the option's, and
without a tempo or beats these are estimated. Bars are counted from the first beat. The key signature is ``key``'s, or
none without one, and spells the notes: the twelve fifths around its tonic. Pitches are those that sound.

====================  ===============================================================================================
a track               becomes a staff, in the order of the tracks
a keyboard's          two, where it is the only one of its instrument and ``hand_split`` finds two hands
drums                 a percussion staff, keys where drummers look for them; other percussion on its middle line
clefs                 guitar and bass as they are written, others by the middle of their pitches
====================  ===============================================================================================

``score_notes`` is the table behind a score: where each note stands, and by how much its start and end were moved.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
import polars as pl

from kie_notes.analysis.grouping import check_choice
from kie_notes.analysis.hands import hand_split
from kie_notes.analysis.keys import key as key_of
from kie_notes.analysis.positions import beat_lists
from kie_notes.errors import KieNotesError, MissingExtraError, NotesSchemaError
from kie_notes.midi.plan import first_fault
from kie_notes.notation.grid import PLACES_SCHEMA, Metre, grid_of, places
from kie_notes.notation.xml import heading, musicxml
from kie_notes.notes import NOTES_SCHEMA, check_notes
from kie_notes.progress import bar

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator

    from kie_notes.notation.grid import Grid
    from kie_notes.notes import Frame

#: One row per task whose score was written.
SCORES_SCHEMA: Final = pl.Schema(
    {
        "task": pl.String(),
        "path": pl.String(),
        "bytes": pl.UInt64(),
        "bars": pl.UInt32(),
        "bpm": pl.Float64(),
        "beats": pl.String(),
        "key": pl.String(),
        "notes": pl.UInt32(),
        "unwritten": pl.UInt32(),
        "median_start_moved": pl.Float64(),
        "largest_start_moved": pl.Float64(),
    }
)

#: What tells a note of a keyboard part, and its hand.
_HAND: Final = ("track", "start", "pitch", "hand")

#: A task that has no beats of its own is counted at this, in BPM.
_NO_TEMPO: Final = 120.0


class _Sketch(NamedTuple):
    """One task's notes in their places, and what its heading says."""

    task: str
    placed: pl.DataFrame
    bpm: float
    beats: str
    key: str | None


def score_notes(
    notes: Frame,
    *,
    bpm: float | None = None,
    beats: pl.DataFrame | pl.LazyFrame | None = None,
    metre: Metre = "4/4",
    steps: int | None = None,
    upbeat: int = 0,
) -> pl.DataFrame:
    """Say where each note stands in the score, and how far that is from where it was.

    Parameters
    ----------
    notes
        Notes table, in canonical order.
    bpm
        Beats a minute, 10 to 400, the first of them at 0 s. Without it, and without ``beats``, beats are estimated
        (``beats``); a task of which they cannot be has 120 a minute.
    beats
        Table with ``task`` (text) and ``time`` (Float64, seconds), one row per beat. Not to be given with ``bpm``.
    metre
        In those of eighths a beat is a dotted quarter.
    steps
        Lines of the grid to a beat: 1, 2, 3, 4 or 8, in metres of eighths 3, 6 or 12. Sixteenths by default.
    upbeat
        Beats before the first full bar. The bar that holds them begins with rests.

    Returns
    -------
    One row per note, tasks and notes in the order of ``notes``:

    - ``task`` (String), ``track`` (UInt16), ``instrument`` (String), ``pitch`` (UInt8), ``start``, ``end`` (Float64,
      seconds): the note as it is
    - ``bar`` (UInt32): from 1
    - ``onset``, ``duration`` (Float64): quarters, from the beginning of bar 1; > 0 the latter
    - ``staff`` (UInt8): 2 for the left hand of a keyboard part, otherwise 1; ``voice`` (UInt8): 1 or 2
    - ``written`` (Boolean): false where another note of its staff and pitch is written in its place
    - ``start_moved``, ``end_moved`` (Float64): seconds from where it was to where the score has it, positive where that
      is later. Ends are also moved where a note lasts less than a line or into the next of its pitch, where a third
      voice would be needed, and of drums

    Raises
    ------
    NotesSchemaError, NotesOrderError
        If ``notes`` is no notes table, has a value that no note can have, or is not in canonical order; or if ``beats``
        is no table of beats.
    ValueError
        If an option has a value that it cannot have.

    References
    ----------
    Lines are those of ``quantise(notes, beats=beats, steps=steps)``.

    Examples
    --------
    >>> from kie_notes.notes import NOTES_SCHEMA
    >>> rows = [("a", "Flute", 60, 0.0, 0.52, 0.5, 0), ("a", "Flute", 62, 0.51, 2.5, 0.5, 0)]
    >>> table = score_notes(pl.DataFrame(rows, schema=NOTES_SCHEMA, orient="row"), bpm=120)
    >>> table.select("pitch", "bar", "onset", "duration", pl.col("start_moved").round(3)).rows()
    [(60, 1, 0.0, 1.0, 0.0), (62, 1, 1.0, 4.0, -0.01)]
    """
    grid = _grid(metre, steps, upbeat)
    tables: list[pl.DataFrame] = [sketch.placed.select(*PLACES_SCHEMA) for sketch in _sketches(notes, bpm, beats, grid)]
    return pl.concat([PLACES_SCHEMA.to_frame(), *tables])


def to_musicxml(
    notes: Frame,
    *,
    bpm: float | None = None,
    beats: pl.DataFrame | pl.LazyFrame | None = None,
    metre: Metre = "4/4",
    steps: int | None = None,
    upbeat: int = 0,
) -> str:
    """Write one task's notes as a sketch of a score, in MusicXML.

    Parameters
    ----------
    notes
        Notes table of one task, in canonical order.
    bpm, beats, metre, steps, upbeat
        As ``score_notes``.

    Returns
    -------
    The text of a ``.musicxml`` file: every bar full, notes across barlines tied, what is not ``written`` left out.

    Raises
    ------
    MissingExtraError
        If music21 is not installed.
    NotesSchemaError, NotesOrderError, ValueError
        As ``score_notes``; the latter also if there is not one task in the table, but none or several.

    References
    ----------
    MusicXML 4.0 (W3C Music Notation Community Group), by music21.

    Examples
    --------
    >>> from kie_notes.notes import NOTES_SCHEMA
    >>> rows = [("a", "Flute", 60, 0.0, 0.52, 0.5, 0), ("a", "Flute", 62, 0.51, 2.5, 0.5, 0)]
    >>> text = to_musicxml(pl.DataFrame(rows, schema=NOTES_SCHEMA, orient="row"), bpm=120)
    >>> text.count("<measure "), text.count("<tie type"), "Sketch" in text
    (2, 2, True)
    """
    grid = _grid(metre, steps, upbeat)
    tasks = check_notes(notes).lazy().select(pl.col("task").n_unique()).collect().item()
    if tasks != 1:
        raise ValueError(f"notes: expected one task, got {tasks}: filter(pl.col('task') == ...), or use write_musicxml")
    (sketch,) = _sketches(notes, bpm, beats, grid)
    return _text(sketch, grid)


def to_svg(
    notes: Frame,
    *,
    bpm: float | None = None,
    beats: pl.DataFrame | pl.LazyFrame | None = None,
    metre: Metre = "4/4",
    steps: int | None = None,
    upbeat: int = 0,
) -> list[str]:
    """Draw one task's notes as a sketch of a score, on pages of A4.

    Parameters
    ----------
    notes
        Notes table of one task, in canonical order.
    bpm, beats, metre, steps, upbeat
        As ``score_notes``.

    Returns
    -------
    A text of SVG per page.

    Raises
    ------
    MissingExtraError
        If music21 or verovio is not installed.
    NotesSchemaError, NotesOrderError, ValueError
        As ``to_musicxml``.

    References
    ----------
    Pugin, Zitellini and Roland, "Verovio: a library for engraving MEI music notation into SVG", ISMIR 2014.

    Examples
    --------
    >>> from kie_notes.notes import NOTES_SCHEMA
    >>> rows = [("a", "Flute", 60, 0.0, 0.52, 0.5, 0), ("a", "Flute", 62, 0.51, 2.5, 0.5, 0)]
    >>> (page,) = to_svg(pl.DataFrame(rows, schema=NOTES_SCHEMA, orient="row"), bpm=120)
    >>> page[:4]
    '<svg'
    """
    text = to_musicxml(notes, bpm=bpm, beats=beats, metre=metre, steps=steps, upbeat=upbeat)
    try:
        import verovio
    except ImportError as fault:
        raise MissingExtraError("pictures of scores need verovio: pip install 'kie-notes[score]'") from fault
    drawing = verovio.toolkit()
    drawing.setOptions({"pageWidth": 2100, "pageHeight": 2970, "scale": 40, "adjustPageHeight": False})
    if not drawing.loadData(text):
        raise KieNotesError(f"verovio cannot read the score: {drawing.getLog()}")
    return [drawing.renderToSVG(page) for page in range(1, drawing.getPageCount() + 1)]


def write_musicxml(
    notes: Frame,
    folder: str | os.PathLike[str],
    *,
    bpm: float | None = None,
    beats: pl.DataFrame | pl.LazyFrame | None = None,
    metre: Metre = "4/4",
    steps: int | None = None,
    upbeat: int = 0,
    progress: bool = True,
) -> pl.DataFrame:
    """Write each task's notes to a MusicXML file of its own, and say what each holds.

    Files are named as ``write_midi`` names them: by the first 32 hexadecimal digits of the SHA-256 of the task's id.

    Parameters
    ----------
    notes
        Notes table, in canonical order.
    folder
        Where the files go; it is made when it is not there.
    bpm, beats, metre, steps, upbeat
        As ``score_notes``; they hold for every task.
    progress
        Show a bar on stderr, if that is a terminal.

    Returns
    -------
    One row per task, in the order of ``notes``:

    - ``task``, ``path`` (String), ``bytes`` (UInt64), ``bars`` (UInt32)
    - ``bpm`` (Float64): beats a minute, the median; ``beats`` (String): ``given``, ``estimated``, or ``none`` where
      they could not be
    - ``key`` (String): null where there is none
    - ``notes``, ``unwritten`` (UInt32): notes of the task, and how many of them are not ``written``
    - ``median_start_moved``, ``largest_start_moved`` (Float64): seconds, >= 0

    Raises
    ------
    MissingExtraError
        If music21 is not installed.
    NotesSchemaError, NotesOrderError, ValueError
        As ``score_notes``.
    OSError
        If the folder cannot be written.

    Examples
    --------
    >>> import tempfile
    >>> from kie_notes.notes import NOTES_SCHEMA
    >>> rows = [("../t1", "Flute", 60, 0.0, 0.52, 0.5, 0), ("../t1", "Flute", 62, 0.51, 2.5, 0.5, 0)]
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     written = write_musicxml(pl.DataFrame(rows, schema=NOTES_SCHEMA, orient="row"), folder, bpm=120)
    >>> Path(written["path"][0]).name, written["bars"][0]
    ('97834940c5d62f48948ad0b88e27fb82.musicxml', 2)
    """
    grid = _grid(metre, steps, upbeat)
    into = Path(folder)
    into.mkdir(parents=True, exist_ok=True)
    rows: list[dict[str, object]] = []
    shown = bar(unit="file", progress=progress)
    for sketch in _sketches(notes, bpm, beats, grid):
        path = into / f"{hashlib.sha256(sketch.task.encode()).hexdigest()[:32]}.musicxml"
        content = _text(sketch, grid).encode()
        part = path.with_suffix(".part")
        part.write_bytes(content)
        part.replace(path)
        rows.append(_row(sketch, grid) | {"path": str(path), "bytes": len(content)})
        shown.update()
    shown.close()
    return pl.DataFrame(rows, schema=SCORES_SCHEMA)


def _grid(metre: Metre, steps: int | None, upbeat: int) -> Grid:
    check_choice("metre", metre, Metre)
    return grid_of(metre, steps, upbeat)


def _sketches(
    notes: Frame, bpm: float | None, beats: pl.DataFrame | pl.LazyFrame | None, grid: Grid
) -> Iterator[_Sketch]:
    """Put the notes of each task into their places."""
    if bpm is not None and not 10 <= bpm <= 400:
        raise ValueError(f"bpm: expected 10 to 400, got {bpm!r}")
    if bpm is not None and beats is not None:
        raise ValueError("bpm, beats: expected one of the two, got both")
    table = check_notes(notes).select(list(NOTES_SCHEMA)).lazy().collect()
    fault = first_fault(table)
    if fault:
        raise NotesSchemaError(fault)
    name = pl.col("task").cast(pl.String)
    keys = dict(key_of(table).select("task", "key").rows())
    taps = {} if bpm else dict(beat_lists(table.lazy(), beats).collect().rows())
    hands = hand_split(table).select("task", *_HAND).unique(["task", *_HAND[:-1]])
    for notes_of in table.partition_by("task", maintain_order=True):
        task = str(notes_of["task"][0])
        times, source = taps.get(task, []), "estimated" if beats is None else "given"
        if bpm:
            times, source = [0.0, 60 / bpm], "given"
        elif len(times) < 2:
            times, source = [0.0, 60 / _NO_TEMPO], "none"
        placed = places(notes_of, hands.filter(name == task).select(_HAND), times, grid)
        yield _Sketch(task, placed, 60 / float(np.median(np.diff(times))), source, keys.get(task))


def _text(sketch: _Sketch, grid: Grid) -> str:
    head = heading(sketch.task, _told(sketch, grid), sketch.bpm * float(grid.beat), sketch.key)
    return musicxml(sketch.placed, head, grid)


def _told(sketch: _Sketch, grid: Grid) -> str:
    """Say in the score what it is and what in it is a guess."""
    counted = {"given": "beats given", "estimated": "beats estimated", "none": "no beats found, 120 assumed"}
    signature = f"key {sketch.key} estimated" if sketch.key else "no key found"
    parts = grid.steps if grid.beat == 1 else grid.steps * 2 // 3
    grain = f"grid 1/{4 * parts}" if parts != 3 else "grid of triplet eighths"
    return f"Sketch: {counted[sketch.beats]}, {grid.metre} assumed, {grain}, {signature}"


def _row(sketch: _Sketch, grid: Grid) -> dict[str, object]:
    placed = sketch.placed
    moved = placed["start_moved"].abs()
    last: Any = placed.select((pl.col("line") + pl.col("lines")).max()).item()
    return {
        "task": sketch.task,
        "bars": -(-last // grid.bar),
        "bpm": sketch.bpm,
        "beats": sketch.beats,
        "key": sketch.key,
        "notes": placed.height,
        "unwritten": placed.height - placed["written"].sum(),
        "median_start_moved": moved.median(),
        "largest_start_moved": moved.max(),
    }
