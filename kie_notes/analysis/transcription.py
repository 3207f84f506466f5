"""How well a transcription agrees with its reference, note by note.

A reference note and an estimated note of one task **can match** when both have the same pitch (MIDI number), both are
percussion or neither is, their starts are at most ``onset_tolerance`` apart and, with ``match="onset_offset"``, their
ends are at most max(50 ms, ``offset_ratio`` times the reference note's duration) apart. Distances are rounded to 0.1 ms
first, so that 50 ms means 50 ms whatever the floats say. Each note matches at most once, and as many match as can: a
**maximum bipartite matching**. These are the definitions of ``mir_eval.transcription`` (Raffel et al. 2014) and of the
MIREX note tracking task; the numbers of matched notes, and so precision, recall and F1, are mir_eval's.

Deliberate differences from mir_eval:

- pitches are MIDI numbers and match exactly; mir_eval wants Hertz and takes MIDI numbers without a word, whereupon 60
  matches 61
- a percussion key is no pitch and never matches a pitched note of its number; mir_eval is blind to instruments
- notes without duration are allowed
- what is undefined is null, not 0
- of several maximum matchings (mostly equal notes, doubled) the one here prefers near starts, then near ends;
  mir_eval's is whichever comes, so that its average overlap ratio is another one there

mir_eval compares each note with each (8,000 by 8,000 notes: 2 GB); here the cost grows as the notes do (``matching``
says how, and why the matching is maximum). The notes of all tasks are in memory while they are matched.
"""

from __future__ import annotations

from functools import partial
from typing import Final, Literal

import numpy as np
import polars as pl

from kie_notes.analysis.door import notes_helper
from kie_notes.analysis.grouping import Drums, as_number, check_choice, drums_mask, exact_sum, keep_drums
from kie_notes.analysis.matching import Side, Tolerance, inside, pair, same_codes
from kie_notes.notes import check_notes

#: What must agree, besides the pitch, for two notes to match.
Match = Literal["onset", "onset_offset"]

#: Whether notes of different instruments may match.
Instruments = Literal["ignore", "respect"]

#: What became of a note, by the code that stands for it while the notes are arrays.
_FATES: Final = ("alone", "matched", "wrong_instrument", "octave", "split", "merged")


@notes_helper
def transcription_scores(
    reference: pl.LazyFrame,
    estimated: pl.DataFrame | pl.LazyFrame,
    *,
    match: Match = "onset",
    instruments: Instruments = "ignore",
    drums: Drums = "include",
    onset_tolerance: float = 0.05,
    offset_ratio: float = 0.2,
) -> pl.LazyFrame:
    """Give precision, recall, F1 and mean overlap of estimated notes against reference notes.

    Parameters
    ----------
    reference
        A notes table in any order.
    estimated
        The transcription: a notes table in any order, with the same task ids.
    match
        ``onset``: pitch and start must agree. ``onset_offset``: the end as well.
    instruments
        ``ignore``: a note may match one of any instrument. ``respect``: only one of the same name, and each
        instrument has a row of its own.
    drums
        Whether percussion is left out, counted too, or counted alone. It never matches pitched notes.
    onset_tolerance
        How far starts may lie apart, in seconds, >= 0; the bound itself is a match.
    offset_ratio
        How far ends may lie apart (``onset_offset`` only), as a part of the reference note's duration, >= 0, and 50 ms
        at least; the bound itself is a match.

    Returns
    -------
    One row per task that has notes in either table, or per task and instrument (``respect``), sorted:

    - ``task``, and with ``respect`` ``instrument`` (String)
    - ``reference_notes``, ``estimated_notes``, ``matched`` (UInt32): ``matched`` is the size of a maximum matching
    - ``precision`` (Float64): matched / estimated, 0 to 1; null where nothing was estimated
    - ``recall`` (Float64): matched / reference, 0 to 1; null where the reference has nothing
    - ``f1`` (Float64): 2 matched / (reference + estimated), 0 to 1
    - ``mean_overlap`` (Float64): over matched pairs, the time in which both sound / the time from the earlier start to
      the later end, at most 1, below 0 for pairs that do not sound together; null where there are none. A pair of notes
      without duration at one time is left out

    Raises
    ------
    NotesSchemaError
        If one of the tables is not a notes table.
    ValueError
        If an option has a value that it cannot have.

    References
    ----------
    Raffel et al., "mir_eval: A transparent implementation of common MIR metrics", ISMIR 2014,
    ``transcription.precision_recall_f1_overlap``; Bay, Ehmann and Downie, "Evaluation of multiple-F0 estimation and
    tracking systems", ISMIR 2009. Instruments respected: Gardner et al., "MT3", ICLR 2022 (multi-instrument F1).

    Examples
    --------
    >>> import polars as pl
    >>> from kie_notes.notes import NOTES_SCHEMA
    >>> reference = [("a", "Flute", 60, 0.0, 1.0, 0.5, 0), ("a", "Flute", 62, 1.0, 2.0, 0.5, 0)]
    >>> estimated = [("a", "Flute", 60, 0.03125, 0.53125, 0.5, 0)]
    >>> tables = [pl.DataFrame(rows, schema=NOTES_SCHEMA, orient="row") for rows in (reference, estimated)]
    >>> transcription_scores(*tables).select("matched", "precision", "recall", "mean_overlap").rows()
    [(1, 1.0, 0.5, 0.5)]
    >>> transcription_scores(*tables, match="onset_offset")["matched"].to_list()
    [0]
    """
    check_choice("match", match, Match)
    check_choice("instruments", instruments, Instruments)
    _check_tolerance("onset_tolerance", onset_tolerance)
    _check_tolerance("offset_ratio", offset_ratio)
    respect = instruments == "respect"
    allowed = Tolerance(onset_tolerance, offset_ratio if match == "onset_offset" else None)
    rows = _both(reference, estimated, drums).map_batches(
        partial(_score, allowed=allowed, respect=respect),
        schema=_INPUT | {"matched": pl.Boolean(), "overlap": pl.Float64()},
    )
    keys = ["task", "instrument"] if respect else ["task"]
    overlap = pl.col("overlap").drop_nulls()
    expected, guessed, matched = (pl.col(name) for name in ("reference_notes", "estimated_notes", "matched"))
    return (
        rows.group_by(keys)
        .agg(
            reference_notes=(~pl.col("estimated")).sum().cast(pl.UInt32),
            estimated_notes=pl.col("estimated").sum().cast(pl.UInt32),
            matched=pl.col("matched").sum().cast(pl.UInt32),
            mean_overlap=as_number(exact_sum(overlap)) / overlap.len(),
        )
        .select(
            *(pl.col(key).cast(pl.String) for key in keys),
            *("reference_notes", "estimated_notes", "matched"),
            precision=pl.when(guessed > 0).then(matched / guessed),
            recall=pl.when(expected > 0).then(matched / expected),
            f1=2 * matched / (expected + guessed),
            mean_overlap=pl.col("mean_overlap").fill_nan(None),
        )
        .sort(keys)
    )


@notes_helper
def transcription_errors(
    reference: pl.LazyFrame,
    estimated: pl.DataFrame | pl.LazyFrame,
    *,
    instruments: Instruments = "respect",
    drums: Drums = "include",
    onset_tolerance: float = 0.05,
) -> pl.LazyFrame:
    """Count what became of each reference note and of each estimated note, by kind of error.

    Each note has one fate, the first of these that fits; "agree" means starts within ``onset_tolerance``:

    1. matched: pitch, instrument (``respect``) and start agree, as in ``transcription_scores``
    2. wrong instrument: pitch and start agree
    3. octave: start and pitch class agree, not the pitch; percussion has no octaves
    4. split: an estimated note that starts inside a reference note of its pitch, of whatever instrument
    5. merged: a reference note that starts inside an estimated note of its pitch, of whatever instrument
    6. missed: any other reference note. Extra: any other estimated note

    The first three pair notes one to one, each by a maximum matching of what the former left. "Inside" is later than
    ``onset_tolerance`` after the start and before the end.

    Parameters
    ----------
    reference
        A notes table in any order.
    estimated
        The transcription: a notes table in any order, with the same task ids.
    instruments
        ``respect``: a note of another instrument's name is a wrong one. ``ignore``: names do not matter.
    drums
        Whether percussion is left out, counted too, or counted alone. It is never taken for pitched notes.
    onset_tolerance
        How far starts may lie apart, in seconds, >= 0; the bound itself agrees.

    Returns
    -------
    One row per task that has notes in either table, sorted; all counts are UInt32:

    - ``task`` (String)
    - ``reference_notes`` = ``matched`` + ``wrong_instrument`` + ``octave`` + ``merged`` + ``missed``
    - ``estimated_notes`` = ``matched`` + ``wrong_instrument`` + ``octave`` + ``split`` + ``extra``
    - ``matched``, ``wrong_instrument``, ``octave``: pairs of notes
    - ``merged``, ``missed``: reference notes
    - ``split``, ``extra``: estimated notes

    Raises
    ------
    NotesSchemaError
        If one of the tables is not a notes table.
    ValueError
        If an option has a value that it cannot have.

    References
    ----------
    ``matched`` is that of ``mir_eval.transcription.precision_recall_f1_overlap`` without offsets. The kinds of errors
    are those that transcribers' users name; no peer counts them.

    Examples
    --------
    >>> import polars as pl
    >>> from kie_notes.notes import NOTES_SCHEMA
    >>> reference = [("a", "Flute", 60, 0.0, 2.0, 0.5, 0), ("a", "Flute", 62, 2.0, 3.0, 0.5, 0)]
    >>> estimated = [("a", "Flute", pitch, start, start + 1, 0.5, 0) for pitch, start in ((60, 0), (60, 1), (74, 2))]
    >>> tables = [pl.DataFrame(rows, schema=NOTES_SCHEMA, orient="row") for rows in (reference, estimated)]
    >>> transcription_errors(*tables).select("matched", "octave", "split", "missed", "extra").rows()
    [(1, 1, 1, 0, 0)]
    """
    check_choice("instruments", instruments, Instruments)
    _check_tolerance("onset_tolerance", onset_tolerance)
    judge = partial(_judge, allowed=Tolerance(onset_tolerance, None), respect=instruments == "respect")
    rows = _both(reference, estimated, drums).map_batches(judge, schema=_INPUT | {"fate": pl.UInt8()})
    guessed, fate = pl.col("estimated"), pl.col("fate")
    counts = {
        "reference_notes": ~guessed,
        "estimated_notes": guessed,
        **{name: ~guessed & (fate == _FATES.index(name)) for name in ("matched", "wrong_instrument", "octave")},
        "merged": fate == _FATES.index("merged"),
        "missed": ~guessed & (fate == 0),
        "split": fate == _FATES.index("split"),
        "extra": guessed & (fate == 0),
    }
    found = rows.group_by("task").agg(**{name: which.sum().cast(pl.UInt32) for name, which in counts.items()})
    return found.with_columns(pl.col("task").cast(pl.String)).sort("task")


#: The columns of both tables together; ``pitch`` is 128 higher for percussion.
_INPUT: Final = {
    "task": pl.Categorical(),
    "instrument": pl.Categorical(),
    "pitch": pl.Int64(),
    "start": pl.Float64(),
    "end": pl.Float64(),
    "estimated": pl.Boolean(),
}


def _check_tolerance(option: str, value: float) -> None:
    if not 0 <= value < np.inf:
        raise ValueError(f"{option}: expected a number from 0, got {value!r}")


def _both(reference: pl.LazyFrame, estimated: pl.DataFrame | pl.LazyFrame, drums: Drums) -> pl.LazyFrame:
    """Both tables as one."""
    sides = [
        keep_drums(side, drums).select(
            *("task", "instrument"),
            pl.col("pitch").cast(pl.Int64) + 128 * drums_mask().cast(pl.Int64),
            *("start", "end"),
            pl.lit(guess).alias("estimated"),
        )
        for guess, side in ((False, reference), (True, check_notes(estimated.lazy())))
    ]
    return pl.concat(sides)


def _sides(frame: pl.DataFrame) -> tuple[Side, Side]:
    """Both tables as arrays."""
    codes = {name: pl.col(name).to_physical().cast(pl.Int64).fill_null(2**32 - 1) for name in ("task", "instrument")}
    numbers = frame.with_columns(row=pl.int_range(pl.len()), **codes)
    parts = [numbers.filter(~pl.col("estimated")), numbers.filter("estimated")]
    reference, guesses = (Side(*(part[name].to_numpy() for name in Side._fields)) for part in parts)
    return reference, guesses


def _score(frame: pl.DataFrame, *, allowed: Tolerance, respect: bool) -> pl.DataFrame:
    """Say of each reference note whether it matched, and how much of the pair sounds together."""
    reference, guesses = _sides(frame)
    i, j = pair(reference, guesses, same_codes(reference, guesses, instruments=respect), allowed)
    one, two = reference.keep(i), guesses.keep(j)
    together = np.minimum(one.end, two.end) - np.maximum(one.start, two.start)
    whole = np.maximum(one.end, two.end) - np.minimum(one.start, two.start)
    overlap = np.full(frame.height, np.nan)
    overlap[one.row] = np.divide(together, whole, out=np.full(len(i), np.nan), where=whole > 0)
    matched = np.zeros(frame.height, bool)
    matched[one.row] = True
    return frame.with_columns(matched=pl.Series(matched), overlap=pl.Series(overlap).fill_nan(None))


def _judge(frame: pl.DataFrame, *, allowed: Tolerance, respect: bool) -> pl.DataFrame:
    """Say what became of each note."""
    reference, guesses = _sides(frame)
    whole = reference, guesses
    fates = np.zeros(frame.height, np.uint8)
    steps = {"matched": (respect, 256), "wrong_instrument": (False, 256), "octave": (False, 12)}
    for fate, (by_name, modulus) in steps.items():
        codes = same_codes(reference, guesses, instruments=by_name, modulus=modulus)
        i, j = pair(reference, guesses, codes, allowed)
        fates[reference.row[i]] = fates[guesses.row[j]] = _FATES.index(fate)
        reference, guesses = (side.keep(fates[side.row] == 0) for side in (reference, guesses))
    for fate, part, around in (("split", guesses, whole[0]), ("merged", reference, whole[1])):
        fates[part.row[inside(part, around, allowed.onset)]] = _FATES.index(fate)
    return frame.with_columns(fate=pl.Series(fates))
