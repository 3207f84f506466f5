"""Notes tables from what other transcribers write: note events as a table, note sequences in JSON.

==================  ========================  ========================================================================
file                who writes it             what is read
==================  ========================  ========================================================================
``.csv``, ``.tsv``  basic-pitch, and anybody  a header, then one row per note; ``columns`` says which column is what
``.json``           MT3, note-seq             a ``NoteSequence`` as protobuf prints it in JSON, with defaults left out
==================  ========================  ========================================================================

What comes out is what ``flatten`` gives: notes in canonical order, one row per task, and one row per note that could
not be taken, judged by the same rules and in the same words. Nothing is repaired. What these files have beside notes
(pitch bends, tempi, pedals) is not read.

Files are read one by one and judged in columns; only notes that are rejected are looked at one by one.
"""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, get_args

import msgspec
import polars as pl

from kie_notes.api.sifting import note_fault
from kie_notes.errors import RecordError
from kie_notes.instruments import DRUMS, PROGRAMS
from kie_notes.notes import NOTES_SCHEMA, REJECTS_SCHEMA, TASKS_SCHEMA, Flattened, sort_notes

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

#: What a velocity is: a whole number up to 127, as in MIDI, or a number up to 1, as in the notes table.
VelocityScale = Literal["midi", "unit"]

#: Columns of basic-pitch's note events (``basic_pitch.inference.save_note_events``); pitch bends follow in each row.
BASIC_PITCH: Final = {"start": "start_time_s", "end": "end_time_s", "pitch": "pitch_midi", "velocity": "velocity"}

_SEPARATORS: Final = {".csv": ",", ".tsv": "\t"}

#: What a column can be.
_PARTS: Final = ("task", "instrument", "pitch", "start", "end", "duration", "velocity")

#: A note as it stands in its file; ``end`` may be a duration. ``index`` is its place in the file, from 0.
_RAW: Final = pl.Schema(
    {"index": pl.UInt32(), "track": pl.UInt16()}
    | dict.fromkeys(("task", "instrument", "pitch", "start", "end", "velocity"), pl.String())
)


class _File(NamedTuple):
    """The notes of a file as they stand there, and how to understand them."""

    notes: pl.DataFrame
    rejects: list[tuple[object, ...]]
    velocity: VelocityScale | float
    lasts: bool = False


class _UnreadableError(Exception):
    """A file that holds no note events; the text says why."""


def read_note_events(
    source: str | os.PathLike[str] | Iterable[str | os.PathLike[str]],
    *,
    columns: Mapping[str, str] = BASIC_PITCH,
    velocity: VelocityScale | float = "midi",
    instrument: str = PROGRAMS[0].name,
) -> Flattened:
    """Read what another transcriber wrote into the tables that ``flatten`` gives.

    A task is named by its file's path below the folder that was given, without the suffix, unless ``columns`` has a
    column ``task``. Instruments of a table are tracks in the order of their names. A ``NoteSequence``'s instruments
    are named after their programs, or "Drums"; each combination of instrument, program and drum flag is a track, in
    that order, and velocities are always MIDI's.

    Parameters
    ----------
    source
        A file, a folder (searched to the bottom for ``.csv``, ``.tsv`` and ``.json``), or several of them.
    columns
        For tables: which of their columns is our ``pitch``, ``start`` and ``end`` or ``duration`` (seconds), and, if
        there are such, ``velocity``, ``instrument`` and ``task``. basic-pitch's by default. Other columns are left.
    velocity
        For tables: ``midi`` (whole numbers, 0 to 127, divided by 127), ``unit`` (numbers, 0 to 1), or the velocity of
        every note, 0 to 1, where they have none.
    instrument
        For tables without a column of instruments: what plays.

    Returns
    -------
    ``Flattened(notes, tasks, rejects)``, as ``flatten``. A reject's ``index`` is the note's place in its file, from 0:
    the row after the header (blank lines counted) or the position in ``notes``; its ``field`` is our name. A file that
    cannot be read is a reject without ``index``, and has no row in ``tasks``. Where two files have one task, the first
    is taken and each note of the second is a reject.

    Raises
    ------
    RecordError
        If a path leads nowhere.
    ValueError
        If an option has a value that it cannot have.

    References
    ----------
    basic-pitch 0.4, ``save_note_events``; note-seq, ``music.proto``: a field that is left out is 0, or false.

    Examples
    --------
    >>> import tempfile
    >>> file = Path(tempfile.mkdtemp(), "song.csv")
    >>> header = "start_time_s,end_time_s,pitch_midi,velocity,pitch_bend"
    >>> _ = file.write_text(f"{header}{os.linesep}0.5,1.5,60,127,0,1{os.linesep}1,x,62,64")
    >>> read = read_note_events(file)
    >>> read.notes.rows()
    [('song', 'Acoustic Grand Piano', 60, 0.5, 1.5, 1.0, 0)]
    >>> read.rejects.rows()
    [('song', 0, 1, 'end', 'x', 'expected seconds as a finite number')]
    """
    mapping = _checked(columns, velocity)
    notes, tasks, rejects = [NOTES_SCHEMA.to_frame()], [TASKS_SCHEMA.to_frame()], list[tuple[object, ...]]()
    taken: dict[str, Path] = {}
    for path, name in _files([source] if isinstance(source, str | os.PathLike) else source):
        try:
            file = _read(path, name, mapping, velocity, instrument)
        except _UnreadableError as fault:
            rejects.append((name, None, None, "document", None, f"{path}: {fault}"))
            continue
        again = file.notes["task"].is_in(list(taken)) & file.notes["task"].is_not_null()
        rejects += [_second(row, taken) for row in file.notes.filter(again).iter_rows(named=True)]
        fresh = file._replace(notes=file.notes.filter(~again))
        good, bad = _judged(fresh)
        notes.append(good)
        rejects += bad
        made = _tasks(fresh.notes, good, bad, path, name)
        tasks.append(made.filter(~pl.col("task").is_in(list(taken))))
        taken |= dict.fromkeys(made["task"].to_list(), path)
    return Flattened(
        sort_notes(pl.concat(notes)),
        pl.concat(tasks),
        pl.DataFrame(rejects, schema=REJECTS_SCHEMA, orient="row"),
    )


def _checked(columns: Mapping[str, str], velocity: VelocityScale | float) -> dict[str, str]:
    strange = [name for name in columns if name not in _PARTS]
    if strange:
        raise ValueError(f"columns: expected names of {', '.join(_PARTS)}, got '{strange[0]}'")
    fixed = not isinstance(velocity, str)
    missing = [name for name in ("pitch", "start") if name not in columns]
    if missing or ("end" in columns) == ("duration" in columns) or ("velocity" in columns) == fixed:
        expected = "pitch, start, end or duration, and velocity or the option of that name as a number"
        raise ValueError(f"columns: expected {expected}, got {', '.join(columns)} and velocity={velocity!r}")
    if velocity not in get_args(VelocityScale) and not (fixed and 0 <= float(velocity) <= 1):
        raise ValueError(f"velocity: expected 'midi', 'unit', or a number from 0 to 1, got {velocity!r}")
    return {part: columns[part] for part in _PARTS if part in columns}


def _files(paths: Iterable[str | os.PathLike[str]]) -> Iterator[tuple[Path, str]]:
    """Give the files, each with what to call its task."""
    for given in paths:
        root = Path(given)
        if root.is_dir():
            inside = sorted(path for path in root.rglob("*") if path.suffix.lower() in (*_SEPARATORS, ".json"))
            yield from ((path, _name(path.relative_to(root))) for path in inside if path.is_file())
        elif root.exists():
            yield root, _name(Path(root.name))
        else:
            raise RecordError(f"{root}: no such file or folder")


def _name(path: Path) -> str:
    return os.fsencode(path.with_suffix("").as_posix()).decode("utf-8", "replace")


def _read(path: Path, name: str, columns: dict[str, str], velocity: VelocityScale | float, instrument: str) -> _File:
    suffix = path.suffix.lower()
    if suffix not in (*_SEPARATORS, ".json"):
        raise _UnreadableError(f"expected a file ending in .csv, .tsv or .json, got '{path.suffix}'")
    try:
        content = path.read_bytes()
    except OSError as fault:
        raise _UnreadableError(f"{type(fault).__name__}: {fault}") from fault
    if suffix == ".json":
        return _sequence(content, name)
    table = _table(content, _SEPARATORS[suffix])
    missing = [f"'{column}'" for column in columns.values() if column not in table.columns]
    if missing:
        raise _UnreadableError(f"missing column {', '.join(missing)}; there are {', '.join(table.columns)}")
    ends = "duration" if "duration" in columns else "end"
    named = {"task": pl.lit(name), "instrument": pl.lit(instrument), "velocity": pl.lit(None)}
    parts = named | {part: pl.col(column).str.strip_chars() for part, column in columns.items()}
    notes = (
        table.with_row_index("index")
        .filter(~pl.all_horizontal(pl.exclude("index").is_null()))
        .select("index", track=pl.lit(0), **parts)
        .rename({ends: "end"})
    )
    track = pl.col("instrument").rank("dense").over("task").cast(pl.UInt16) - 1
    return _File(
        notes.select(pl.col(part).cast(kind) for part, kind in _RAW.items()).with_columns(track=track),
        [],
        velocity,
        ends == "duration",
    )


def _table(content: bytes, separator: str) -> pl.DataFrame:
    """Read a table as text; rows may be longer or shorter than the header."""
    fault: Exception | None = None
    for quote in ('"', None):  # a quotation mark that stands alone would cost the whole file
        try:
            return pl.read_csv(
                io.BytesIO(content),
                separator=separator,
                quote_char=quote,
                infer_schema=False,
                truncate_ragged_lines=True,
            )
        except pl.exceptions.PolarsError as found:
            fault = fault or found
    raise _UnreadableError(f"cannot be read as a table: {fault}") from fault


def _sequence(content: bytes, task: str) -> _File:
    """Read a ``NoteSequence``; numbers stay as they are spelt."""
    try:
        whole = msgspec.json.decode(content, type=dict[str, msgspec.Raw])
        listed = msgspec.json.decode(whole.get("notes", b"[]"), type=list[msgspec.Raw])
    except (msgspec.DecodeError, UnicodeError) as fault:
        raise _UnreadableError(f"expected a NoteSequence, an object with a list of notes: {fault}") from fault
    rows, rejects = list[tuple[object, ...]](), list[tuple[object, ...]]()
    for index, one in enumerate(listed):
        try:
            note = {key: bytes(value).decode().strip('"') for key, value in _FIELDS.decode(one).items()}
        except (msgspec.DecodeError, UnicodeError):
            text = bytes(one).decode("utf-8", "replace")[:200]
            rejects.append((task, None, index, "note", text, "expected an object with pitch, start, end and velocity"))
            continue
        part = (note.get("instrument", "0"), note.get("program", "0"), _field(note, "isDrum", "is_drum"))
        plays = _plays(part)
        if plays is None:
            rejects.append((task, None, index, "program", part[1], "expected a MIDI program from 0 to 127"))
            continue
        times = (_field(note, "startTime", "start_time"), _field(note, "endTime", "end_time"))
        rows.append((index, part, task, plays, note.get("pitch", "0"), *times, note.get("velocity", "0")))
    order = {part: at for at, part in enumerate(sorted({row[1] for row in rows}, key=_numbered))}
    numbered = [(row[0], order[row[1]], *row[2:]) for row in rows]
    return _File(pl.DataFrame(numbered, schema=_RAW, orient="row"), rejects, "midi")


_FIELDS: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])


def _field(note: dict[str, str], name: str, other: str) -> str:
    """Give a field under protobuf's JSON name or its own, or the default."""
    return note.get(name, note.get(other, "0"))


def _plays(part: tuple[str, str, str]) -> str | None:
    _, program, drums = part
    if drums == "true":
        return DRUMS.name
    return PROGRAMS[int(program)].name if program.isascii() and program.isdigit() and int(program) < 128 else None


def _numbered(part: Any) -> tuple[int, str, int, str, str]:  # noqa: ANN401 -- three texts
    """Sort texts of numbers as the numbers: the shorter first."""
    return len(part[0]), part[0], len(part[1]), part[1], part[2]


def _judged(file: _File) -> tuple[pl.DataFrame, list[tuple[object, ...]]]:
    """Part the notes into good ones, as rows of ``NOTES_SCHEMA``, and rejects."""
    number = {part: pl.col(part).cast(pl.Float64, strict=False) for part in ("pitch", "start", "end", "velocity")}
    if not isinstance(file.velocity, str):
        number["velocity"] = pl.lit(float(file.velocity))
    read = file.notes.with_columns(number[part].alias(f"_{part}") for part in number)
    if file.lasts:
        read = read.with_columns(_end=pl.col("_start") + pl.col("_end"))
    pitch, start, end, velocity = (pl.col(f"_{part}") for part in number)
    midi = file.velocity == "midi"
    possible = (
        pl.col("task").is_not_null()
        & pl.col("instrument").is_not_null()
        & (pitch.is_between(0, 127) & (pitch == pitch.round()))
        & ((start >= 0) & (end >= start) & end.is_finite())
        & velocity.is_between(0, 127 if midi else 1)
        & ((velocity == velocity.round()) | (not midi))
    ).fill_null(value=False)
    values = {"pitch": pitch, "start": start, "end": end, "velocity": velocity / (127 if midi else 1)}
    good = read.filter(possible).select(
        (values[name] if name in values else pl.col(name)).cast(kind).alias(name) for name, kind in NOTES_SCHEMA.items()
    )
    return good, file.rejects + [_reject(row, file) for row in read.filter(~possible).iter_rows(named=True)]


def _reject(row: dict[str, Any], file: _File) -> tuple[object, ...]:
    """Give the row of ``REJECTS_SCHEMA`` for a note that is none."""
    absent = next((part for part in ("task", "instrument") if row[part] is None), None)
    if absent:
        return row["task"], row["track"], row["index"], absent, None, "the field is missing"
    texts = {part: row[part] for part in ("pitch", "start", "end", "velocity")}
    if not isinstance(file.velocity, str):
        texts["velocity"] = str(file.velocity)
    note = {part: text if row[f"_{part}"] is None else row[f"_{part}"] for part, text in texts.items() if text}
    if file.velocity == "midi" and "velocity" in note:
        note["velocity"] = 0.0  # what MIDI calls a velocity is judged below
    field, _, reason = note_fault(note) or ("velocity", None, "expected a MIDI velocity, a whole number from 0 to 127")
    value = row[field]
    named = "duration" if file.lasts and field == "end" else field
    return row["task"], row["track"], row["index"], named, value and value[:200], reason


def _second(row: dict[str, Any], taken: dict[str, Path]) -> tuple[object, ...]:
    reason = f"second delivery: the task's notes were taken from {taken[row['task']]}"
    return row["task"], row["track"], row["index"], "task", row["task"], reason


def _tasks(raw: pl.DataFrame, good: pl.DataFrame, bad: list[tuple[object, ...]], path: Path, name: str) -> pl.DataFrame:
    """Give a row of ``TASKS_SCHEMA`` for each task of a file; a file without notes is an empty task."""
    rejected = pl.DataFrame([(one[0],) for one in bad], schema={"task": pl.String}, orient="row")
    names = pl.concat([raw["task"], rejected["task"]]).drop_nulls().unique(maintain_order=True)
    tasks = pl.DataFrame({"task": names if len(names) else [name]}, schema={"task": pl.String})
    counts = {
        "tracks": raw.group_by("task").agg(tracks=pl.col("track").n_unique()),
        "notes": good.group_by(pl.col("task").cast(pl.String)).agg(notes=pl.len()),
        "rejected": rejected.group_by("task").agg(rejected=pl.len()),
    }
    for counted, count in counts.items():
        tasks = tasks.join(count, on="task", how="left", maintain_order="left").with_columns(
            pl.col(counted).fill_null(0)
        )
    states = pl.when(pl.col("notes") + pl.col("rejected") > 0).then(pl.lit("complete")).otherwise(pl.lit("empty"))
    told = tasks.with_columns(state=states, source=pl.lit(path.as_posix()))
    return told.select(
        (pl.col(column) if column in told.columns else pl.lit(None)).cast(kind).alias(column)
        for column, kind in TASKS_SCHEMA.items()
    )
