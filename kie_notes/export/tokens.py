"""Notes as the tokens of a language model, by any tokenizer of miditok, back again, and what the tokens lost.

A tokenizer counts in beats, the table in seconds. So the notes are laid on beats of one tempo from 0 s on, 120 a minute
unless one says otherwise, in bars of 4/4 that begin at 0 s; nothing is known about the music's own bars. The tempo
stands beside the tokens, and ``detokenize`` reads their beats at it.

Every tokenizer rounds: times to steps of a beat, durations and velocities to those that it has, and what is outside its
range of pitches, programs, or bars, is left out. ``tokens_lost.token_losses`` reads the tokens back and measures that.

Only one task's MIDI objects exist at a time; the notes and the tokens, 4 bytes each, are in memory. The tokenizer takes
most of the time, in one thread: for more, give the files of a data set to several processes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
import polars as pl

from kie_notes.analysis.grouping import check_choice
from kie_notes.errors import MissingExtraError
from kie_notes.export.arrays import sound_notes
from kie_notes.instruments import DRUMS, PROGRAMS, instrument
from kie_notes.midi.plan import velocity_of
from kie_notes.midi.read import OnError
from kie_notes.notes import NOTES_SCHEMA, sort_notes
from kie_notes.progress import bar

if TYPE_CHECKING:
    import miditok
    import symusic
    from numpy.typing import NDArray

    from kie_notes.notes import Frame

#: Ticks a quarter of what a tokenizer gets. It rounds to steps of its own, of which this is a multiple in nearly every
#: configuration; at 120 beats a minute 1/192 s is 100 ticks.
_TICKS: Final = 9600

#: What ``detokenize`` reads, and its types; ``tokens`` has one of two.
_READ: Final = {"task": pl.String(), "track": pl.UInt16(), "instrument": pl.String(), "bpm": pl.Float64()}

#: A notes table while its names are text.
TEXTS: Final = pl.Schema({**NOTES_SCHEMA, "task": pl.String(), "instrument": pl.String()})

#: One token is a number, or several numbers, one of each vocabulary.
_ONE, _SEVERAL = pl.List(pl.Int32()), pl.List(pl.List(pl.Int32()))


class Decoded(NamedTuple):
    """One row of tokens, read."""

    task: str
    bpm: float
    bpm_after: float | None
    notes: pl.DataFrame


def tokenize(
    notes: Frame,
    tokenizer: miditok.MusicTokenizer,
    *,
    bpm: float | pl.DataFrame = 120.0,
    on_error: OnError = "raise",
    progress: bool = True,
) -> pl.DataFrame:
    """Give the tokens of each task, or of each track where the tokenizer makes a sequence of every track.

    Parameters
    ----------
    notes
        Notes table, each task's notes together.
    tokenizer
        Any tokenizer of miditok, made as one likes, or trained (byte pair encoding and its like).
    bpm
        Beats a minute, above 0, at which the notes are laid; or a table with ``task`` and ``bpm``, one row per task,
        such as ``tempo(notes).filter(rank=1)``.
    on_error
        What the tokenizer raises ends the call ("raise"; a note on the error names the task), or gives a row with the
        reason and no tokens ("skip").
    progress
        Show a bar on stderr, if that is a terminal.

    Returns
    -------
    One row per task where ``tokenizer.one_token_stream``, otherwise per task and track; in the table's order, tracks
    ascending:

    - ``task`` (String)
    - ``track`` (UInt16), ``instrument`` (String): null where the sequence is the whole task's
    - ``bpm`` (Float64): the tempo at which the notes were laid
    - ``notes`` (UInt32): notes that went in
    - ``tokens`` (List(Int32)): ids, encoded by a trained tokenizer's model; List(List(Int32)) if
      ``tokenizer.is_multi_voc``, each token being one id of each vocabulary. A track of which the tokenizer keeps
      nothing has none
    - ``reason`` (String): why there are no tokens; null but for ``on_error="skip"``

    Raises
    ------
    NotesSchemaError, NotesOrderError
        If ``notes`` is no notes table, has a value that no note can have, or a task's notes do not stand together.
    ValueError
        If ``bpm`` is not above 0, has no row or several for a task, or ``on_error`` has a value that it cannot have.
    TypeError
        If ``tokenizer`` is no tokenizer of miditok.
    MissingExtraError
        If miditok is not installed.

    References
    ----------
    Fradet et al., "MidiTok: A Python package for MIDI file tokenization", ISMIR 2021 late-breaking session. The tokens
    are those that it gives for a MIDI file of the same ticks. A name that General MIDI does not know is program 0.

    Examples
    --------
    >>> import miditok
    >>> rows = [("a", "Flute", 60, 0.0, 0.5, 1.0, 0), ("a", "Flute", 64, 0.5, 1.0, 1.0, 0)]
    >>> tokenizer = miditok.TSD()
    >>> tokens = tokenize(pl.DataFrame(rows, schema=NOTES_SCHEMA, orient="row"), tokenizer)
    >>> tokens.select("task", "track", "instrument", "bpm", "notes").rows()
    [('a', 0, 'Flute', 120.0, 2)]
    >>> [tokenizer[one] for one in tokens["tokens"][0]][:4]
    ['TimeSig_4/4', 'Pitch_60', 'Velocity_127', 'Duration_1.0.8']
    """
    _check(tokenizer)
    check_choice("on_error", on_error, OnError)
    table = sound_notes(notes).with_columns(pl.col("task", "instrument").cast(pl.String))
    tempi = _tempi(bpm, table["task"].unique(maintain_order=True))
    ids = _SEVERAL if tokenizer.is_multi_voc else _ONE
    schema = {**_READ, "notes": pl.UInt32(), "tokens": ids, "reason": pl.String()}
    rows: list[pl.DataFrame] = []
    shown = bar(unit="task", total=len(tempi), progress=progress)
    for task in table.partition_by("task", maintain_order=True):
        name = task["task"][0]
        try:
            found = _sequences(task, tokenizer, tempi[name])
        except Exception as fault:  # miditok and its tokenizers raise whatever Python does
            if on_error == "raise":
                fault.add_note(f"task {name!r}: {type(tokenizer).__name__} made no tokens of it")
                raise
            reason = f"{type(fault).__name__}: {fault}"
            found = [{"notes": task.height, "tokens": None, "reason": reason}]
        rows.append(pl.DataFrame([{"task": name, "bpm": tempi[name], **one} for one in found], schema=schema))
        shown.update()
    shown.close()
    return pl.concat(rows) if rows else pl.DataFrame(schema=schema)


def detokenize(tokens: pl.DataFrame, tokenizer: miditok.MusicTokenizer) -> pl.DataFrame:
    """Read tokens as notes: those of ``tokenize``, or a model's in the same columns.

    Parameters
    ----------
    tokens
        A frame with the columns ``task``, ``track``, ``instrument``, ``bpm`` and ``tokens`` of ``tokenize``. Rows
        without tokens (null) give no notes.
    tokenizer
        The tokenizer that made them.

    Returns
    -------
    Notes table, in canonical order. Where a row names its track and instrument, the notes have them. Otherwise tracks
    are numbered as the tokenizer gives them, which may be in another order than they were, those of one program
    together, and are named for their programs. Times are beats at ``bpm``; Tempo tokens, which tokenizers round, are
    not read, nor are pedals and other controls.

    Raises
    ------
    ValueError
        If ``tokens`` lacks a column, or has one of another type, or a row without tempo; or if the tokenizer makes a
        sequence of every track and a row names neither track nor instrument.
    TypeError
        If ``tokenizer`` is no tokenizer of miditok.
    MissingExtraError
        If miditok is not installed.

    Examples
    --------
    >>> import miditok
    >>> rows = [("a", "Flute", 60, 0.0, 0.5, 1.0, 3), ("a", "Flute", 64, 0.5, 1.0, 1.0, 3)]
    >>> notes = pl.DataFrame(rows, schema=NOTES_SCHEMA, orient="row")
    >>> tokenizer = miditok.REMI()
    >>> detokenize(tokenize(notes, tokenizer), tokenizer).equals(notes)
    True
    """
    notes = pl.concat([pl.DataFrame(schema=TEXTS), *(one.notes for one in decoded(tokens, tokenizer))])
    return sort_notes(notes)


def _check(tokenizer: object) -> None:
    try:
        import miditok
    except ImportError as fault:
        raise MissingExtraError('miditok is not installed; tokens need it: pip install "kie-notes[ml]"') from fault
    if not isinstance(tokenizer, miditok.MusicTokenizer):
        raise TypeError(f"tokenizer: expected one of miditok, such as miditok.REMI(), got {tokenizer!r}")


def _tempi(bpm: float | pl.DataFrame, tasks: pl.Series) -> dict[str, float]:
    """Give the tempo of each task."""
    names = tasks.to_list()
    if isinstance(bpm, pl.DataFrame):
        given = bpm.filter(pl.col("task").cast(pl.String).is_in(names)).select(pl.col("task").cast(pl.String), "bpm")
        lacking = [name for name in names if name not in set(given["task"])]
        if lacking:
            raise ValueError(f"bpm: no row for task {lacking[0]!r} ({len(lacking)} of {len(names)} tasks have none)")
        if given["task"].is_duplicated().any():
            twice = given.filter(pl.col("task").is_duplicated())["task"][0]
            raise ValueError(f"bpm: expected one row per task, got several of {twice!r}; filter(rank=1)?")
        tempi = dict(given.iter_rows())
    else:
        tempi = dict.fromkeys(names, float(bpm))
    wrong = {task: tempo for task, tempo in tempi.items() if tempo is None or not 0 < tempo < np.inf}
    for task, tempo in wrong.items():
        raise ValueError(f"bpm: expected beats a minute above 0, got {tempo} for task {task!r}")
    return tempi


def _sequences(task: pl.DataFrame, tokenizer: miditok.MusicTokenizer, bpm: float) -> list[dict[str, object]]:
    """Give the rows of one task."""
    tracks = task.partition_by("track", "instrument", maintain_order=True)
    score = _score(tracks, bpm)
    if tokenizer.one_token_stream:
        return [{"notes": task.height, "tokens": tokenizer.encode(score).ids}]
    prepared = tokenizer.preprocess_score(score)  # without the tracks of which it keeps nothing
    sequences = tokenizer.encode(prepared, no_preprocess_score=True)
    tokens = {int(track.name): one.ids for track, one in zip(prepared.tracks, sequences, strict=False)}
    return [
        {
            "track": one["track"][0],
            "instrument": one["instrument"][0],
            "notes": one.height,
            "tokens": tokens.get(at, []),
        }
        for at, one in enumerate(tracks)
    ]


def _score(tracks: list[pl.DataFrame], bpm: float) -> symusic.core.ScoreTick:
    """Lay the notes of one task on ticks; each track bears its position as its name."""
    from symusic import core

    score = core.ScoreTick(_TICKS)
    score.tempos.append(core.TempoTick(0, qpm=bpm))
    score.time_signatures.append(core.TimeSignatureTick(0, 4, 4))
    for at, track in enumerate(tracks):
        start, end = (np.rint(track[name].to_numpy() * (bpm / 60 * _TICKS)) for name in ("start", "end"))
        if end.max() >= 2**31:
            raise ValueError(f"its last note ends at beat {end.max() / _TICKS:.0f}, expected at most {2**31 // _TICKS}")
        played = instrument(track["instrument"][0])
        made = core.TrackTick(str(at), played.program, played.is_drums)
        made.notes = core.NoteTickList.from_numpy(
            start.astype(np.int32),
            np.maximum(end - start, 1).astype(np.int32),
            track["pitch"].to_numpy().astype(np.int8),
            np.clip(np.rint(track["velocity"].to_numpy() * np.float64(127)), 1, 127).astype(np.int8),
        )
        made.notes.sort()  # by time, duration, pitch, as symusic sorts what it reads from a file
        score.tracks.append(made)
    return score


def decoded(tokens: pl.DataFrame, tokenizer: miditok.MusicTokenizer) -> list[Decoded]:
    """Read each row that has any tokens."""
    _check(tokenizer)
    from miditok import TokSequence

    expected = {**_READ, "tokens": _SEVERAL if tokenizer.is_multi_voc else _ONE}
    have = {name: tokens.schema.get(name) for name in expected}
    faults = [f"'{name}' is {have[name]}, expected {dtype}" for name, dtype in expected.items() if have[name] != dtype]
    if faults:
        raise ValueError(f"not a table of this tokenizer's tokens: {'; '.join(faults)}")
    found = []
    for row, (task, track, name, bpm, ids) in enumerate(tokens.select(list(expected)).iter_rows()):
        if not ids:  # null, or empty, from which some tokenizers make an error
            continue
        whole = tokenizer.one_token_stream
        if None in ((task, bpm) if whole else (task, track, name, bpm)):
            raise ValueError(f"tokens[{row}]: expected a task and a tempo{'' if whole else ', a track and its name'}")
        sequence = TokSequence(ids=ids, are_ids_encoded=tokenizer.is_trained)
        programs = None if whole else [(instrument(name).program, instrument(name).is_drums)]
        score = tokenizer.decode(sequence if whole else [sequence], programs=programs)
        parts = [
            _notes(part.notes.numpy(), score.ticks_per_quarter * bpm).select(
                pl.lit(task).alias("task"),
                pl.lit((DRUMS if part.is_drum else PROGRAMS[part.program]).name if whole else name).alias("instrument"),
                pl.all(),
                pl.lit(at if whole else track, pl.UInt16).alias("track"),
            )
            for at, part in enumerate(score.tracks)
        ]
        said = float(score.tempos[0].qpm) if tokenizer.config.use_tempos else None
        found.append(Decoded(task, bpm, said, pl.concat([pl.DataFrame(schema=TEXTS), *parts])))
    return found


def _notes(arrays: dict[str, NDArray[Any]], rate: float) -> pl.DataFrame:
    """Give a track's notes, of ``rate`` ticks a minute."""
    start, duration = (arrays[name].astype(np.float64) for name in ("time", "duration"))
    return pl.DataFrame(
        {
            "pitch": arrays["pitch"].astype(np.uint8),
            "start": start * 60.0 / rate,
            "end": (start + duration) * 60.0 / rate,
            "velocity": velocity_of(arrays["velocity"].astype(np.uint8)),
        }
    )
