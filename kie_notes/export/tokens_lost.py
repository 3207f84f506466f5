"""What tokens do not give back of the notes that they were made of, task by task."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
import polars as pl

from kie_notes.analysis.matching import Side, Tolerance, pair, same_codes
from kie_notes.export.arrays import sound_notes
from kie_notes.export.tokens import decoded
from kie_notes.instruments import instrument

if TYPE_CHECKING:
    import miditok

    from kie_notes.export.tokens import Decoded
    from kie_notes.notes import Frame

#: A note that comes back further off than this, in beats, is a lost one and another one.
_SAME_NOTE: Final = 0.5

#: Tempi of a task: that of its beats, and that of its Tempo tokens.
_TEMPI: Final = {"task": pl.String(), "bpm": pl.Float64(), "bpm_after": pl.Float64()}

#: What is measured of the notes of a pair.
_APART: Final = ("start_shift", "end_shift", "velocity_change")


def token_losses(notes: Frame, tokens: pl.DataFrame, tokenizer: miditok.MusicTokenizer) -> pl.DataFrame:
    """Measure what tokens do not give back of the notes that they were made of.

    The tokens are read back (``detokenize``), and the notes of both tables are paired, as many as can be: those of one
    task, pitch and track (program, where a sequence is the whole task's) that start within half a beat. What has no
    partner is lost, or was added.

    Parameters
    ----------
    notes
        Notes table, each task's notes together.
    tokens
        What ``tokenize`` made of it.
    tokenizer
        The tokenizer that made them.

    Returns
    -------
    One row per task of either table, sorted by task:

    - ``task`` (String), ``bpm`` (Float64): null for a task without tokens
    - ``bpm_after`` (Float64): the tempo that the tokens say, where they have Tempo tokens, otherwise null
    - ``tracks``, ``tracks_after``, ``notes``, ``notes_after`` (UInt32): counts before, and in the tokens
    - ``kept`` (UInt32): pairs; ``lost`` = ``notes`` - ``kept``, ``added`` = ``notes_after`` - ``kept``
    - ``exact`` (UInt32): pairs of equal start, end and velocity, bit for bit
    - ``mean_start_shift``, ``largest_start_shift``, ``mean_end_shift``, ``largest_end_shift`` (Float64): seconds, >= 0,
      between the notes of a pair; null without pairs
    - ``mean_velocity_change``, ``largest_velocity_change`` (Float64): 0 to 1, likewise

    Raises
    ------
    NotesSchemaError, NotesOrderError
        If ``notes`` is no notes table, has a value that no note can have, or a task's notes do not stand together.
    ValueError, TypeError, MissingExtraError
        As ``detokenize``.

    References
    ----------
    The matching is that of ``transcription_scores``. Nothing else that is known reports this.

    Examples
    --------
    >>> import miditok
    >>> from kie_notes.notes import NOTES_SCHEMA
    >>> from kie_notes.export.tokens import tokenize
    >>> rows = [("a", "Flute", 60, 0.01, 0.5, 1.0, 0), ("a", "Flute", 12, 0.5, 1.0, 1.0, 0)]
    >>> notes = pl.DataFrame(rows, schema=NOTES_SCHEMA, orient="row")
    >>> tokenizer = miditok.REMI()
    >>> losses = token_losses(notes, tokenize(notes, tokenizer), tokenizer)
    >>> losses.select("notes", "kept", "lost", "exact", "largest_start_shift").rows()
    [(2, 1, 1, 0, 0.01)]
    """
    before = sound_notes(notes).with_columns(pl.col("task", "instrument").cast(pl.String))
    read: list[Decoded] = decoded(tokens, tokenizer)
    tempi = pl.DataFrame([one[:3] for one in read], _TEMPI, orient="row").unique("task")
    both = pl.concat([before, *(one.notes for one in read)])
    voice = _programs(both["instrument"]) if tokenizer.one_token_stream else both["track"]
    both = both.with_columns(back=pl.int_range(pl.len()) >= before.height, voice=voice)
    counts = both.group_by("task").agg(
        *(_counted(name, pl.col("track").filter(back).n_unique()) for name, back in _sides("tracks")),
        *(_counted(name, back.sum()) for name, back in _sides("notes")),
    )
    table: pl.DataFrame = counts.join(_shifts(both, tempi), on="task", how="left").join(tempi, on="task", how="left")
    kept = pl.col("kept").fill_null(0)
    return table.select(
        *("task", "bpm", "bpm_after", "tracks", "tracks_after", "notes", "notes_after"),
        kept,
        (pl.col("notes") - kept).alias("lost"),
        (pl.col("notes_after") - kept).alias("added"),
        pl.col("exact").fill_null(0),
        *(f"{how}_{what}" for what in _APART for how in ("mean", "largest")),
    ).sort("task")


def _sides(name: str) -> tuple[tuple[str, pl.Expr], tuple[str, pl.Expr]]:
    return (name, ~pl.col("back")), (f"{name}_after", pl.col("back"))


def _counted(name: str, count: pl.Expr) -> pl.Expr:
    return count.cast(pl.UInt32).alias(name)


def _programs(instruments: pl.Series) -> pl.Series:
    """Give the program of each instrument, 128 for percussion."""
    names = instruments.unique()
    found = [instrument(name) for name in names]
    programs = pl.Series([128 if one.is_drums else one.program for one in found], dtype=pl.Int64)
    return instruments.replace_strict(names, programs)


def _shifts(both: pl.DataFrame, tempi: pl.DataFrame) -> pl.DataFrame:
    """Pair the notes of both tables, and say how far those of a pair are apart: one row per task with pairs."""
    beat = pl.col("bpm").fill_null(60.0) / 60
    numbered = both.join(tempi, on="task", how="left", maintain_order="left").with_columns(
        number=pl.col("task").rank("dense").cast(pl.Int64), begins=pl.col("start") * beat, ends=pl.col("end") * beat
    )
    parts = [numbered.filter(~pl.col("back")), numbered.filter("back")]
    before, after = map(_side, parts)
    i, j = pair(before, after, same_codes(before, after, instruments=True), Tolerance(_SAME_NOTE, None))
    one, two = parts[0][i], parts[1][j]
    apart = {
        "start_shift": (one["start"] - two["start"]).abs(),
        "end_shift": (one["end"] - two["end"]).abs(),
        "velocity_change": (one["velocity"] - two["velocity"]).abs().cast(pl.Float64),
    }
    return (
        pl.DataFrame({"task": one["task"], **apart})
        .group_by("task")
        .agg(
            _counted("kept", pl.len()),
            _counted("exact", pl.max_horizontal(*apart).eq(0).sum()),
            pl.col(*apart).mean().name.prefix("mean_"),
            pl.col(*apart).max().name.prefix("largest_"),
        )
    )


def _side(part: pl.DataFrame) -> Side:
    number, voice, pitch = (part[name].to_numpy().astype(np.int64) for name in ("number", "voice", "pitch"))
    return Side(np.arange(part.height), number, voice, pitch, part["begins"].to_numpy(), part["ends"].to_numpy())
