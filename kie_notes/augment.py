"""Seeded variants of tasks for training: other keys, tempi and loudness, and notes disturbed as by a transcriber.

``augment_notes`` changes a task as a whole and leaves its music intact; ``perturb_notes`` disturbs notes one by one, as
transcription does. Either gives ``copies`` variants of each task, never the task itself:
``pl.concat([notes, variants], how="diagonal")`` has both.

**Ids.** Variant ``k`` of task ``t`` is the task ``t~k``, k from 1 on, and its ``origin`` is ``t``. A variant of a
variant is ``t~k~j``, and its origin is still ``t``: so ``by="origin"`` pools what belongs together, and
``split_tasks`` with the origin as ``cluster`` keeps it together. What was done to a note stands in its row.

**Chance** is a hash and no stream of random numbers. So a result depends neither on the order of the rows, nor on
threads, nor on the pieces that a data set is worked on in, nor on how many copies are asked for besides. The hash:

- BLAKE2b (RFC 7693) of the task's id in UTF-8, salted with the seed and personalised with the function and the copy
  (16 bytes each, big-endian), has 32 bytes, which are four numbers of 64 bits, big-endian
- the first three draw a variant's transposition, stretch and velocity, or are the keys of three draws for each note:
  whether it is dropped, where it starts, how long it is
- note ``i`` of a task, from 0 in canonical order, draws output ``i + 1`` of the SplitMix64 generator whose state is the
  key (Steele, Lea and Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014)
- the upper 53 bits of a number, as a fraction of 2**53, are the draw: uniform in ``[0, 1)``

Notes are sorted, so memory is some ``copies + 2`` times that of the table: give whole tasks in portions where that is
too much; the answers are the same.
"""

from __future__ import annotations

import math
from functools import partial
from hashlib import blake2b
from typing import Final, Literal

import numpy as np
import polars as pl

from kie_notes.analysis.door import notes_helper
from kie_notes.analysis.grouping import drums_mask
from kie_notes.analysis.instrument_ranges import highest_in_range, lowest_in_range
from kie_notes.notes import sort_notes

#: Where transposed notes must stay: on the MIDI scale, in the range that General MIDI 2 recommends for their
#: instrument, or from one pitch to another, both inclusive.
Within = Literal["midi", "instrument"] | tuple[int, int]

#: A velocity above 0 stays above 0: MIDI's softest is 1/127, and what is softer already gets no softer.
_SOFTEST: Final = 1 / 127

#: Seconds below which no length is jittered; a note that is shorter already gets no shorter.
_SHORTEST: Final = 0.001

#: Columns of the work: a note's row, its task's first row, and its position in its task; a variant's id, its place
#: among all variants, and its draws or the keys of its notes' draws; the semitones by which a task can go down and up;
#: whether a note is dropped, and its new times.
_ROW, _BEGIN, _POSITION = "__row", "__begin", "__position"
_VARIANT, _PLACE, _FIRST, _SECOND, _THIRD = "__variant", "__place", "__first", "__second", "__third"
_DOWN, _UP = "__down", "__up"
_DROP, _START, _END = "__drop", "__start", "__end"

#: One row per task and copy.
_VARIANTS: Final = pl.Schema(
    {
        "task": pl.Categorical(),
        _VARIANT: pl.Categorical(),
        "origin": pl.Categorical(),
        _BEGIN: pl.UInt64(),
        _PLACE: pl.UInt64(),
        _FIRST: pl.UInt64(),
        _SECOND: pl.UInt64(),
        _THIRD: pl.UInt64(),
    }
)

_AUGMENTED: Final = ("transposition_drawn", "transposition", "stretch", "velocity_factor")
_PERTURBED: Final = ("dropped", "start_jitter", "end_jitter")


@notes_helper
def augment_notes(
    notes: pl.LazyFrame,
    *,
    transpose: int | tuple[int, int] = 0,
    within: Within = "midi",
    stretch: float | tuple[float, float] = 1.0,
    velocity: float | tuple[float, float] = 1.0,
    copies: int = 1,
    seed: int = 0,
) -> pl.LazyFrame:
    """Give variants of each task in another key, tempo and loudness.

    Where an option is a pair, each variant draws its own value, all values from the first to the second being equally
    likely; semitones are whole numbers, both bounds included.

    Parameters
    ----------
    notes
        Notes table, any order.
    transpose
        Semitones up, -127 to 127. Drums are not transposed.
    within
        Where pitches must stay. A task is never clipped note by note: where the semitones drawn would take a note out,
        the task takes the nearest number towards 0 that takes none out. A note that is out already goes no further;
        an instrument without a range has the MIDI scale.
    stretch
        Factor of all times, 0.01 to 100: 2 is half as fast.
    velocity
        Factor of all velocities, 0.01 to 100. Results stay up to 1; what is above 0 stays from 1/127 up, or, where it
        was below that, as it was.
    copies
        Variants of each task, >= 1.
    seed
        Another number gives others.

    Returns
    -------
    One row per note and variant, in canonical order, the variants of a task one after the other: the columns of
    ``notes``, changed, ``task`` being the variant's, and

    - ``origin`` (Categorical): the task that it is a variant of; kept where ``notes`` has it
    - ``transposition_drawn``, ``transposition`` (Int8): semitones, before and after ``within``; 0 for drums alone
    - ``stretch``, ``velocity_factor`` (Float64): the factors

    Raises
    ------
    NotesSchemaError
        If ``notes`` is not a notes table.
    ValueError
        If an option has a value that it cannot have, or ``notes`` has a column of the result's other than ``origin``.

    References
    ----------
    Ranges of instruments: General MIDI 2, RP-024. The module's text states the hash.

    Examples
    --------
    >>> from kie_notes.notes import NOTES_SCHEMA
    >>> rows = [("a", "Flute", pitch, 1.0, 2.0, 0.5, 0) for pitch in (60, 64, 95)]
    >>> notes = pl.DataFrame(rows, schema=NOTES_SCHEMA, orient="row")
    >>> higher = augment_notes(notes, transpose=3, within="instrument", stretch=1.5)
    >>> higher.select("task", "pitch", "start", "origin", "transposition_drawn", "transposition").rows()[0]
    ('a~1', 61, 1.5, 'a', 3, 1)
    >>> variants = augment_notes(notes, transpose=(-6, 5), copies=3, seed=1)
    >>> variants.select("task", "transposition").unique(maintain_order=True).rows()
    [('a~1', 3), ('a~2', -5), ('a~3', -2)]
    """
    semitones = _bounds("transpose", transpose, -127, 127)
    factor, loudness = _bounds("stretch", stretch, 0.01, 100), _bounds("velocity", velocity, 0.01, 100)
    lowest, highest = _range(within)
    kept, rows = _kept(notes, _AUGMENTED), notes.with_row_index(_ROW)
    pitched, pitch = ~drums_mask(), pl.col("pitch").cast(pl.Int16)
    room = notes.filter(pitched).group_by("task")
    reach = room.agg((pitch - lowest).clip(0).min().alias(_DOWN), (highest - pitch).clip(0).min().alias(_UP))
    drawn = pl.col("transposition_drawn").cast(pl.Int16).clip(-pl.col(_DOWN), pl.col(_UP))
    possible = pl.when(pl.col(_UP).is_null()).then(0).otherwise(drawn)
    variants = (
        _variants(rows, "augment", copies, seed)
        .with_columns(
            transposition_drawn=_between(_FIRST, semitones, whole=True).cast(pl.Int8),
            stretch=_between(_SECOND, factor),
            velocity_factor=_between(_THIRD, loudness),
        )
        .join(reach, on="task", how="left")
        .with_columns(transposition=possible.cast(pl.Int8))
    )
    velocities = pl.col("velocity").cast(pl.Float64)
    softest = pl.min_horizontal("velocity", pl.lit(_SOFTEST, pl.Float32))
    louder = (velocities * pl.col("velocity_factor")).clip(upper_bound=1).cast(pl.Float32)
    changed = _copied(rows, variants).with_columns(
        pl.when(pitched).then(pitch + pl.col("transposition")).otherwise(pitch).cast(pl.UInt8).alias("pitch"),
        pl.col("start", "end") * pl.col("stretch"),
        velocity=pl.max_horizontal(louder, softest),
    )
    return _in_order(changed).select(*kept, "origin", *_AUGMENTED)


@notes_helper
def perturb_notes(
    notes: pl.LazyFrame,
    *,
    drop: float = 0.0,
    start_jitter: float = 0.0,
    length_jitter: float = 0.0,
    copies: int = 1,
    seed: int = 0,
) -> pl.LazyFrame:
    """Give variants of each task with errors like a transcriber's: notes missing, early or late, too short or too long.

    Parameters
    ----------
    notes
        Notes table, any order. Drums are disturbed like any note.
    drop
        Probability with which a note is dropped, 0 to 1.
    start_jitter
        Seconds by which a start is moved at most, with its end, >= 0; all moves from minus to plus that are equally
        likely. No start is moved below 0 s.
    length_jitter
        Seconds by which a length is changed at most, >= 0. No length falls below 1 ms, or below itself where it was
        shorter.
    copies
        Variants of each task, >= 1.
    seed
        Another number gives others.

    Returns
    -------
    One row per note that is left and variant, in canonical order, the variants of a task one after the other: the
    columns of ``notes``, changed, ``task`` being the variant's, and

    - ``origin`` (Categorical): the task that it is a variant of; kept where ``notes`` has it
    - ``dropped`` (UInt32): notes that the variant lost; one that lost them all has no rows
    - ``start_jitter``, ``end_jitter`` (Float64): seconds, positive where the time is later than it was

    Raises
    ------
    NotesSchemaError
        If ``notes`` is not a notes table.
    ValueError
        If an option has a value that it cannot have, or ``notes`` has a column of the result's other than ``origin``.

    References
    ----------
    The module's text states the hash.

    Examples
    --------
    >>> from kie_notes.notes import NOTES_SCHEMA
    >>> rows = [("a", "Flute", pitch, 1.0, 2.0, 0.5, 0) for pitch in (60, 62, 64, 65)]
    >>> heard = perturb_notes(pl.DataFrame(rows, schema=NOTES_SCHEMA, orient="row"), drop=0.5, start_jitter=0.02)
    >>> heard.select("task", "pitch", pl.col("start", "end", "start_jitter").round(4), "dropped").rows()
    [('a~1', 65, 1.0002, 2.0002, 0.0002, 3)]
    """
    (share, _), (early, _) = _bounds("drop", drop, 0, 1), _bounds("start_jitter", start_jitter, 0, math.inf)
    longer, _ = _bounds("length_jitter", length_jitter, 0, math.inf)
    kept = _kept(notes, _PERTURBED)
    rows = sort_notes(notes).with_row_index(_ROW)
    start, end = pl.col("start"), pl.col("end")
    moved = pl.max_horizontal(start + _between(_SECOND, (-early, early)), pl.lit(0.0))
    change = pl.max_horizontal(_between(_THIRD, (-longer, longer)), pl.min_horizontal(_SHORTEST - (end - start), 0.0))
    new_start = pl.when(early > 0).then(moved).otherwise(start)
    changed = (
        _copied(rows, _variants(rows, "perturb", copies, seed))
        .with_columns((pl.col(_ROW) - pl.col(_BEGIN)).alias(_POSITION))
        .with_columns(_note_draw(key) for key in (_FIRST, _SECOND, _THIRD))
        .with_columns((_between(_FIRST, (0, 1)) < share).alias(_DROP), new_start.alias(_START))
        .with_columns(pl.max_horizontal(end + (pl.col(_START) - start) + change, _START).alias(_END))
        .with_columns(
            start=_START,
            end=_END,
            start_jitter=pl.col(_START) - start,
            end_jitter=pl.col(_END) - end,
            dropped=pl.col(_DROP).sum().over("task").cast(pl.UInt32),
        )
        .filter(~pl.col(_DROP))
    )
    return _in_order(changed).select(*kept, "origin", *_PERTURBED)


def _bounds(option: str, value: float | tuple[float, float], least: float, most: float) -> tuple[float, float]:
    first, second = value if isinstance(value, tuple) else (value, value)
    if not least <= first <= second <= most or math.isinf(second):
        expected = f"{least:g} or more" if math.isinf(most) else f"{least:g} to {most:g}"
        raise ValueError(f"{option}: expected {expected}, or two such numbers that do not descend, got {value!r}")
    return first, second


def _range(within: Within) -> tuple[pl.Expr, pl.Expr]:
    """Give the lowest and the highest pitch that a note may have."""
    if within == "instrument":
        low, high = lowest_in_range().fill_null(0), highest_in_range().fill_null(127)
        return low.cast(pl.Int16), high.cast(pl.Int16)
    pair = (0, 127) if within == "midi" else within
    if not isinstance(pair, tuple) or len(pair) != 2 or not 0 <= pair[0] <= pair[1] <= 127:
        raise ValueError(f"within: expected 'midi', 'instrument', or two pitches that do not descend, got {within!r}")
    return pl.lit(pair[0], pl.Int16), pl.lit(pair[1], pl.Int16)


def _kept(notes: pl.LazyFrame, adds: tuple[str, ...]) -> list[str]:
    """Give the names of the columns that stay, all but ``origin``, which is put behind them."""
    names = notes.collect_schema().names()
    taken = [name for name in adds if name in names]
    if taken:
        raise ValueError(f"notes: '{taken[0]}' is a column of the result; rename it first")
    return [name for name in names if name != "origin"]


def _variants(rows: pl.LazyFrame, function: str, copies: int, seed: int) -> pl.LazyFrame:
    """Give one row of ``_VARIANTS`` per task and copy."""
    if copies < 1:
        raise ValueError(f"copies: expected 1 or more, got {copies!r}")
    origin = pl.col("origin" if "origin" in rows.collect_schema() else "task").first()
    tasks = rows.group_by("task").agg(pl.col(_ROW).min().cast(pl.UInt64).alias(_BEGIN), origin=origin)
    draw = partial(_drawn, function=function, copies=copies, seed=seed)
    return tasks.map_batches(draw, schema=_VARIANTS)


def _drawn(tasks: pl.DataFrame, *, function: str, copies: int, seed: int) -> pl.DataFrame:
    salt = seed.to_bytes(16, "big", signed=True)
    numbers, variants = bytearray(), []
    for task in tasks["task"].cast(pl.String).to_list():
        if task is None:
            raise ValueError("task: expected text, got null")
        for copy in range(1, copies + 1):
            person = function.encode() + copy.to_bytes(9, "big")
            numbers += blake2b(task.encode(), digest_size=32, salt=salt, person=person).digest()
            variants.append(f"{task}~{copy}")
    keys = np.frombuffer(bytes(numbers), ">u8").astype(np.uint64).reshape(-1, 4)
    rows = tasks[np.repeat(np.arange(tasks.height), copies)]
    place = pl.col(_BEGIN) * copies + pl.int_range(pl.len(), dtype=pl.UInt64) % copies
    return rows.select(
        "task",
        pl.Series(_VARIANT, variants, pl.Categorical()),
        pl.col("origin").cast(pl.Categorical()),
        _BEGIN,
        place.alias(_PLACE),
        *(pl.Series(name, keys[:, at]) for at, name in enumerate((_FIRST, _SECOND, _THIRD))),
    )


def _copied(rows: pl.LazyFrame, variants: pl.LazyFrame) -> pl.LazyFrame:
    """Give each note once for each variant of its task, with the variant's columns, in no particular order."""
    both = rows.drop("origin", strict=False).join(variants, on="task", how="inner")
    return both.with_columns(task=pl.col(_VARIANT))


def _in_order(changed: pl.LazyFrame) -> pl.LazyFrame:
    """Put variants into the order of their tasks and copies, and their notes into canonical order."""
    return changed.sort(_PLACE, "start", "track", "pitch", "end", "velocity", _ROW)


def _between(name: str, bounds: tuple[float, float], *, whole: bool = False) -> pl.Expr:
    """Give the value between two bounds that each number of 64 bits draws."""
    fraction = pl.col(name).map_batches(_fraction, pl.Float64(), is_elementwise=True)
    first, second = bounds
    if whole:
        return (fraction * (second - first + 1)).floor() + first
    return fraction * (second - first) + first


def _note_draw(key: str) -> pl.Expr:
    return pl.struct(key, _POSITION).map_batches(partial(_split_mix, key=key), pl.UInt64()).alias(key)


def _split_mix(notes: pl.Series, *, key: str) -> pl.Series:
    """Give the output of SplitMix64 that is each note's."""
    mixed = notes.struct.field(_POSITION).cast(pl.UInt64).to_numpy() + np.uint64(1)
    mixed = mixed * np.uint64(0x9E3779B97F4A7C15) + notes.struct.field(key).to_numpy()
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return pl.Series(key, mixed ^ (mixed >> np.uint64(31)))


def _fraction(numbers: pl.Series) -> pl.Series:
    return pl.Series(numbers.name, (numbers.to_numpy() >> np.uint64(11)) * 2.0**-53)
