"""Notes tables from MIDI files, whoever made them.

pretty_midi reads, so a foreign file gives the notes, times and pairing of note-offs that pretty_midi gives. In a file
that ``to_midi`` made, the text event at its start says which task it is and which track each MIDI track belongs to.
"""

from __future__ import annotations

import os
import warnings
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

import msgspec
import numpy as np
import polars as pl

from kie_notes.errors import MidiError
from kie_notes.instruments import DRUMS, PROGRAMS, Instrument, find_instrument
from kie_notes.midi.plan import MEMO_BEGINS, Memo, first_fault, shown, velocity_of
from kie_notes.midi.ticks import Clock
from kie_notes.notes import NOTES_SCHEMA, sort_notes

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pretty_midi
    from numpy.typing import NDArray

    from kie_notes.midi.ticks import Seconds

#: Endings of the files that are looked for in a folder, in any case.
_SUFFIXES: Final = ("mid", "midi")

#: How far from a whole tick a time may be and still be that tick: pretty_midi's rounding is below 1e-8 of one.
_TICK_NOISE: Final = 1e-6

#: What to do about a file that cannot be read, or a task that cannot be written.
OnError = Literal["raise", "skip"]


class MidiWarning(UserWarning):
    """A file was left out, or one that kie_notes made has other tracks than it was made with."""


def from_midi(
    source: pretty_midi.PrettyMIDI | str | os.PathLike[str], *, task: str = "midi", on_error: OnError = "raise"
) -> pl.DataFrame:
    """Make a notes table of a MIDI object, a file, or all files of a folder.

    A file that ``to_midi`` made gives back its notes with their task and tracks; see ``midi_losses`` for what it cannot
    hold. In any other file tracks are numbered as pretty_midi lists its instruments, which are those with notes.
    A track's name is kept if it is a General MIDI name of what the track plays; otherwise the instrument is named after
    its program, in the service's spelling, or "Drums" on channel 10. So every track is known by what it plays.

    Parameters
    ----------
    source
        A ``pretty_midi.PrettyMIDI``, whose times are taken as they are; a file; or a folder, whose ``.mid`` and
        ``.midi`` files are read to the bottom, in the order of their paths.
    task
        Id for a MIDI object that bears none. A file that bears none is named by its path below ``source`` without the
        suffix, a single file by its own name.
    on_error
        A file that cannot be read, or that bears the task of an earlier one, ends the call ("raise"), or is left out
        with a ``MidiWarning`` that names it ("skip").

    Returns
    -------
    Notes table in canonical order, tasks in the order of their files; velocity is n / 127. Files without notes give no
    rows.

    Raises
    ------
    MidiError
        If there is no such file or folder, a file cannot be read, two files bear one task, or a note of a MIDI object
        has a value that no note can have.

    References
    ----------
    pretty_midi 0.2: a note-off ends every open note of its pitch and channel, notes of no length are dropped, tempo
    events count in the first track only (it warns of others), and a file has at most 1e7 ticks.

    Examples
    --------
    >>> import pretty_midi
    >>> midi = pretty_midi.PrettyMIDI()
    >>> midi.instruments.append(pretty_midi.Instrument(33, name="low end"))
    >>> midi.instruments[0].notes.append(pretty_midi.Note(127, 40, 0.1, 0.7))
    >>> from_midi(midi, task="t1").rows()
    [('t1', 'Electric Bass (finger)', 40, 0.1, 0.7, 1.0, 0)]
    """
    import pretty_midi

    if isinstance(source, pretty_midi.PrettyMIDI):
        return sort_notes(_read(source, task).notes)
    root = Path(source)
    tables: dict[str, tuple[Path, pl.DataFrame]] = {}
    for path in map(Path, midi_files(root)):
        try:
            name = task_name(path.relative_to(root) if path != root else Path(path.name))
            found = _read_file(path, name)
            _check_new(found.task, path, tables)
            tables[found.task] = (path, found.notes)
        except MidiError as fault:
            if on_error == "raise":
                raise
            warnings.warn(f"left out: {fault}", MidiWarning, stacklevel=2)
    return sort_notes(pl.concat([NOTES_SCHEMA.to_frame(), *(table for _, table in tables.values())]))


class _Found(NamedTuple):
    task: str
    notes: pl.DataFrame


def midi_files(root: Path) -> list[str]:
    """Give the MIDI files of a folder to its bottom, in the order of their paths; or the one file that ``root`` is."""
    if root.is_dir():
        return sorted(_below(str(root / "_")[:-1]), key=lambda path: path.replace("/", "\0"))
    if root.is_file():
        return [str(root)]
    raise MidiError(f"{root}: no such file or folder")


def _below(folder: str) -> Iterator[str]:
    """Give the MIDI files below a folder, whose path ends with a slash; links to folders are not followed."""
    with suppress(PermissionError), os.scandir(folder or ".") as entries:
        for entry in entries:
            stem, _, suffix = entry.name.rpartition(".")
            if entry.is_dir(follow_symlinks=False):
                yield from _below(f"{folder}{entry.name}/")
            elif stem and suffix.lower() in _SUFFIXES and entry.is_file():
                yield folder + entry.name


def task_name(path: Path) -> str:
    """Give a path as a task's id; bytes that are no text become question marks."""
    return os.fsencode(path.with_suffix("").as_posix()).decode("utf-8", "replace")


def _read_file(path: Path, name: str) -> _Found:
    import pretty_midi

    try:
        midi = pretty_midi.PrettyMIDI(str(path))
    except Exception as fault:  # whatever mido and pretty_midi stumble over in bytes that are no MIDI file
        raise MidiError(f"{path}: cannot be read as a MIDI file: {type(fault).__name__}: {fault}") from fault
    try:
        return _read(midi, name)
    except MidiError as fault:
        raise MidiError(f"{path}: {fault}") from fault


def _check_new(task: str, path: Path, tables: dict[str, tuple[Path, pl.DataFrame]]) -> None:
    if task in tables:
        raise MidiError(f"{path}: bears the task {task!r}, as does {tables[task][0]}")


def _read(midi: pretty_midi.PrettyMIDI, task: str) -> _Found:
    """Give the notes of a MIDI object in the order of its tracks, and its task's id."""
    memo = _memo(midi)
    tracks = list(memo.tracks if memo else range(len(midi.instruments)))
    names = [part_name(track, number, memo) for number, track in zip(tracks, midi.instruments, strict=True)]
    place = np.repeat(np.arange(len(names)), [len(track.notes) for track in midi.instruments])
    rows = [(note.pitch, note.start, note.end, note.velocity) for track in midi.instruments for note in track.notes]
    pitch, start, end, velocity = np.array(rows, np.float64).reshape(-1, 4).T
    if memo and memo.divides:
        start, end = (_on_ticks(times, Clock(midi.resolution)) for times in (start, end))
    notes = pl.DataFrame(
        {
            "task": [memo.task if memo else task] * place.size,
            "instrument": pl.Series(names, dtype=pl.String).gather(place),
            "pitch": _seven_bits("pitch", pitch),
            "start": start,
            "end": end,
            "velocity": velocity_of(_seven_bits("velocity", velocity)),
            "track": np.array(tracks, np.uint16)[place],
        },
        schema=NOTES_SCHEMA,
    )
    fault = first_fault(notes)
    if fault:
        raise MidiError(fault)
    return _Found(memo.task if memo else task, notes)


def _memo(midi: pretty_midi.PrettyMIDI) -> Memo | None:
    """Read what a file made here says about itself; of one whose tracks were changed, only whose it is."""
    texts = [event.text for event in midi.text_events if event.text.startswith(MEMO_BEGINS)]
    if not texts:
        return None
    try:
        memo = msgspec.json.decode(texts[0], type=Memo)
    except msgspec.MsgspecError as fault:
        warnings.warn(f"kie_notes' text event cannot be read and is left aside: {fault}", MidiWarning, stacklevel=2)
        return None
    looks = [(track.name, track.program, track.is_drum) for track in midi.instruments]
    whole = len(texts) == 1 and len(looks) == len(memo.tracks)
    if whole and len(set(zip(memo.tracks, looks, strict=True))) == len(set(memo.tracks)):
        return memo
    text = f"task {memo.task!r}: the MIDI tracks are not those that kie_notes wrote; they are numbered in their order"
    warnings.warn(text, MidiWarning, stacklevel=2)
    return Memo(kie_notes=1, task=memo.task, tracks=list(range(len(looks))), divides=memo.divides)


def part_name(track: pretty_midi.Instrument, number: int, memo: Memo | None) -> str:
    """Give the track's name where it says how the track plays, and otherwise the name of what plays."""
    if not 0 <= track.program <= 127:
        raise MidiError(f"MIDI track {track.name!r}: program {track.program} is not from 0 to 127")
    full = memo.names.get(number, track.name) if memo else track.name
    name = str(full if shown(full) == track.name else track.name)
    drums = bool(track.is_drum)
    says = find_instrument(name) or (Instrument(name, 0) if memo else None)
    if says and says.is_drums == drums and (drums or says.program == track.program):
        return name
    return DRUMS.name if drums else PROGRAMS[track.program].name


def _on_ticks(times: Seconds, clock: Clock) -> Seconds:
    """Give times that are ticks but for rounding as the clock gives them; times that somebody moved stay."""
    ticks = clock.ticks(times)
    near = np.abs(times * (2 * clock.ppq) - ticks) < _TICK_NOISE
    return np.where(near, clock.seconds(ticks), times)


def _seven_bits(what: str, values: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Give numbers as MIDI's data bytes."""
    wrong = values[~((values >= 0) & (values <= 127) & (values == np.rint(values)))]
    if wrong.size:
        raise MidiError(f"{what} {wrong[0]:g} is not a whole number from 0 to 127")
    return values.astype(np.uint8)
