"""The line of work from a notes table to MIDI files or their bytes, batch after batch, in one process or in several.

This process plans; what takes most of the time, making the bytes, their digests and the files, is what others do.
"""

from __future__ import annotations

import hashlib
from collections import deque
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import closing
from multiprocessing import get_context
from typing import TYPE_CHECKING, Any, NamedTuple

from kie_notes.midi.plan import plan
from kie_notes.midi.writing_batches import batches, count_tasks, sift
from kie_notes.midi.writing_bytes import contents
from kie_notes.midi.writing_tracks import sheet
from kie_notes.progress import bar

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator
    from pathlib import Path

    from kie_notes.midi.plan import Plan
    from kie_notes.midi.read import OnError
    from kie_notes.midi.writing_batches import Faults
    from kie_notes.midi.writing_bytes import Engine
    from kie_notes.midi.writing_tracks import Sheet
    from kie_notes.notes import Frame


#: A row of ``WRITTEN_SCHEMA``, the task first.
Row = tuple[Any, ...]


class Laid(NamedTuple):
    """A batch on its way: the ids and sizes of its tasks, what their files will hold, and why some have none."""

    sizes: dict[str | None, int]
    plan: Plan | None
    sheet: Sheet | None
    faults: Faults


class Made(NamedTuple):
    """A file: its path, or itself; its digest and its size."""

    file: str | bytes
    sha256: str
    size: int


def lay_out(notes: Frame, *, on_error: OnError) -> Iterator[Laid]:
    """Plan the files of a notes table, batch after batch.

    Raises
    ------
    NotesSchemaError, NotesOrderError
        If ``notes`` is no notes table, or a task's notes do not stand together.
    MidiError, NotesOrderError
        With "raise": the fault of the first task that no file can hold.
    """
    for batch in batches(notes):
        sizes = dict(zip(batch.tasks(), (batch.bounds[1:] - batch.bounds[:-1]).tolist(), strict=True))
        good, faults = sift(batch)
        planned = plan(good) if good.notes.height else None
        laid, others = sheet(planned) if planned else (None, {})
        faults |= others
        if faults and on_error == "raise":
            raise next(faults[task] for task in sizes if task in faults)
        yield Laid(sizes, planned, laid, faults)


def written(
    notes: Frame, folder: Path | None, engine: Engine, *, on_error: OnError, workers: int, progress: bool
) -> Iterator[list[Row]]:
    """Make each task's file, in the folder or as bytes, and give a row about each, batch after batch.

    A row has the columns of ``WRITTEN_SCHEMA``, the bytes in place of the path where there is no folder.
    """
    shown = bar(unit="file", total=count_tasks(notes), progress=progress)
    with shown, closing(_made(lay_out(notes, on_error=on_error), folder, engine, workers)) as all_made:
        for laid, made in all_made:
            rows: dict[str | None, Row] = {}
            for row in _rows(laid, made):
                rows[row[0]] = row
                shown.update()
            yield [rows.get(task) or _no_file(task, laid) for task in laid.sizes]
            shown.update(len(laid.faults))


def _made(
    batches_laid: Iterator[Laid], folder: Path | None, engine: Engine, workers: int
) -> Generator[tuple[Laid, Iterable[Made]]]:
    """Make the files of each batch; several processes are never more than two batches each ahead."""
    if workers < 1:
        raise ValueError(f"workers: expected a number of processes from 1 on, got {workers!r}")
    if workers == 1:
        yield from ((laid, _files(laid.sheet, folder, engine)) for laid in batches_laid)
        return
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:  # Polars' threads outlive no fork
        ahead: deque[tuple[Laid, Future[list[Made]]]] = deque()
        for laid in batches_laid:
            ahead.append((laid, pool.submit(_all_files, laid.sheet, folder, engine)))
            if len(ahead) > 2 * workers:
                yield ahead[0][0], ahead.popleft()[1].result()
        yield from ((laid, made.result()) for laid, made in ahead)


def _all_files(laid: Sheet | None, folder: Path | None, engine: Engine) -> list[Made]:
    return list(_files(laid, folder, engine))


def _files(laid: Sheet | None, folder: Path | None, engine: Engine) -> Iterator[Made]:
    """Make the files of one sheet, each whole or not at all."""
    if laid is None:
        return
    for song, content in zip(laid.songs, contents(laid, engine), strict=True):
        digest = hashlib.sha256(content).hexdigest()
        if folder is None:
            yield Made(content, digest, len(content))
            continue
        path = folder / f"{hashlib.sha256(song.task.encode()).hexdigest()[:32]}.mid"
        part = path.with_suffix(".part")
        part.write_bytes(content)
        part.replace(path)
        yield Made(str(path), digest, len(content))


def _rows(laid: Laid, made: Iterable[Made]) -> Iterator[Row]:
    if laid.plan is None or laid.sheet is None:
        return
    changed, moved, velocity, shift = (column.tolist() for column in laid.plan.changes())
    for song, file in zip(laid.sheet.songs, made, strict=True):
        place, size = song.place, laid.sizes[song.task]
        tracks = (len(song.parts), song.extra, song.shared_channels())
        counts = (size, size - changed[place], moved[place], velocity[place], shift[place])
        yield song.task, *file, song.clock.ppq, *tracks, *counts, None


def _no_file(task: str | None, laid: Laid) -> Row:
    return task, *[None] * 7, laid.sizes[task], *[None] * 4, str(laid.faults[task])
