"""Which hand plays what in keyboard parts, and what each hand has to do.

The notes do not say which hand plays them. ``hand_split`` looks for a *boundary* on the keyboard, one at each onset,
below which the left hand plays. The boundaries of a part are those of least cost in sum (a Viterbi path), where one
each is the cost of

- **reach**: a semitone by which the notes that one hand strikes, at an onset and in the half second before it, are
  further apart than ``reach``: a hand neither stretches nor leaps as long as the other can play the note;
- **room**: a note struck right beside the boundary, which belongs into the gap between the hands; and a 64th of that
  for each semitone by which a note struck is nearer to it than 6, so that of boundaries that are as good as one another
  that in the middle of the gap is taken;
- **rest**: a semitone by which the boundary moves from one onset to the next: the hands keep their places.

Of paths of equal cost the lowest is taken, so what one hand can play alone is the right hand's. Only
differences of pitches count: a transposed part is split in the same way. Held notes do not count after their onset, as
a pedal makes notes longer than a hand holds them. Hands do not cross.

How right this is: of 21 pieces by human composers that come as two tracks for two staves, the upper taken as the right
hand's, the two tracks in one are split as they were written for 89 % of the notes, in the mean over the pieces (a
boundary fixed at middle C: 85 %; at each piece's mean pitch: 85 %).

The idea that hands are told apart by the cost of their spans and moves is that of Nakamura, Ono and Sagayama,
"Merged-Output HMM for Piano Fingering of Both Hands", ISMIR 2014, whose states are fingers; other ways are Hadjakos
and Lefebvre-Albaret, "Three Methods for Pianist Hand Assignment", SMC 2009, and Hadjakos, Waloschek and Leemhuis,
"Detecting Hands in Piano MIDI Data", 2019. The costs above are this module's own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal

import numpy as np
import polars as pl

from kie_notes.analysis.door import notes_helper, per_track
from kie_notes.analysis.grouping import INSTANT, check_choice, keep_drums
from kie_notes.analysis.instrument_ranges import has_program

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Ints = NDArray[np.int64]

#: Which parts are for two hands on keys: those whose General MIDI program is a piano, celesta or organ, or all but
#: drums.
Parts = Literal["keyboard", "all"]

#: General MIDI programs played with two hands on keys: pianos, harpsichord, clavinet, celesta; organs.
_KEYBOARDS: Final = frozenset([*range(9), *range(16, 21)])

#: Microseconds for which a hand is still where it struck.
_MEMORY: Final = 500_000

#: Semitones of room on either side of the boundary, and how many semitones too near cost as much as one too far.
_ROOM, _UNIT = 6, 64

#: Onsets that are worked on at once: few enough for their tables of costs to take some megabytes.
_BLOCK: Final = 1 << 14

#: Columns of the work: number of the part, notes of an onset of a hand.
_NUMBER, _ONSET = "__number", "__onset"

#: The columns of the notes in the result.
_NOTE: Final = ("task", "track", "instrument", "pitch", "start", "end", "velocity")


@notes_helper
def hand_split(notes: pl.LazyFrame, *, parts: Parts = "keyboard", reach: int = 12) -> pl.LazyFrame:
    """Say of each note of a keyboard part which hand plays it, as far as pitches and times can tell.

    Parameters
    ----------
    notes
        Notes table in canonical order. Drums are left out.
    parts
        ``keyboard``: the tracks of pianos, harpsichord, clavinet, celesta and organs; ``all``: every pitched track,
        whatever its instrument is called. Each track is split by itself: where a piano's hands are two tracks already,
        they are two parts.
    reach
        Semitones that a hand spans with ease, 1 to 127; an octave by default.

    Returns
    -------
    One row per note, sorted by task, start, track, pitch, end; no such notes, no rows:

    - ``task`` (String), ``track`` (UInt16), ``instrument`` (String), ``pitch`` (UInt8), ``start``, ``end`` (Float64,
      seconds), ``velocity`` (Float32): the note
    - ``hand`` (String): ``left`` or ``right``; of notes of one onset the left hand's are below the right hand's

    Raises
    ------
    NotesSchemaError
        If ``notes`` is not a notes table.
    NotesOrderError
        If a task's notes do not stand together or their starts descend (an ``InvalidOperationError`` of the same text
        when a LazyFrame is collected).
    ValueError
        If ``reach`` is out of bounds, or ``parts`` has a value that it cannot have.

    References
    ----------
    See the module's text. There is no ground truth in the notes: take the result as a proposal.

    Examples
    --------
    >>> import polars as pl
    >>> from kie_notes.notes import NOTES_SCHEMA
    >>> rows = [("a", "Celesta", pitch, 0.0, 1.0, 0.5, 0) for pitch in (43, 52, 72, 76)]
    >>> hands = hand_split(pl.DataFrame(rows, schema=NOTES_SCHEMA, orient="row"))
    >>> hands.select("pitch", "hand").rows()
    [(43, 'left'), (52, 'left'), (72, 'right'), (76, 'right')]
    """
    order = ("task", "start", "track", "pitch", "end", "velocity")
    return _split(notes, parts, reach).sort(order).select(*_NOTE, "hand")


@notes_helper
def hand_demands(notes: pl.LazyFrame, *, parts: Parts = "keyboard", reach: int = 12) -> pl.LazyFrame:
    """Give the spans, leaps and speed of each hand in keyboard parts.

    An onset is a time at which the hand strikes notes (within a microsecond); its span is from its lowest to its
    highest note, its centre half-way between. Notes are given to hands as ``hand_split`` does.

    Parameters
    ----------
    notes
        Notes table in canonical order. Drums are left out.
    parts
        ``keyboard``: the tracks of pianos, harpsichord, clavinet, celesta and organs; ``all``: every pitched track.
    reach
        Semitones that a hand spans with ease, 1 to 127.

    Returns
    -------
    One row per task, track and hand that has notes, sorted by these; no such notes, no rows:

    - ``task``, ``instrument`` (String), ``track`` (UInt16), ``hand`` (String): ``left`` or ``right``
    - ``notes``, ``onsets`` (UInt32): > 0
    - ``notes_per_second`` (Float64): (notes - 1) / (last onset - first onset); null where there is one onset
    - ``largest_span`` (UInt8), ``span_q95`` (Float64): semitones; the latter is the 95 % quantile over onsets, linear
      between neighbours
    - ``wide_share`` (Float64): onsets with a span above ``reach``, 0 to 1
    - ``largest_leap`` (Float64): semitones from centre to centre of successive onsets; null where there is one onset
    - ``displacement_per_second`` (Float64): semitones from centre to centre in sum / (last onset - first onset); null
      where there is one onset

    Raises
    ------
    NotesSchemaError
        If ``notes`` is not a notes table.
    NotesOrderError
        If a task's notes do not stand together or their starts descend (an ``InvalidOperationError`` of the same text
        when a LazyFrame is collected).
    ValueError
        If ``reach`` is out of bounds, or ``parts`` has a value that it cannot have.

    References
    ----------
    Chiu and Chen, "A Study on Difficulty Level Recognition of Piano Sheet Music", IEEE ISM 2012: hand stretch, hand
    displacement, playing speed. Sebastien et al., "Score Analyzer", ISMIR 2012: hand displacement.

    Examples
    --------
    >>> import polars as pl
    >>> from kie_notes.notes import NOTES_SCHEMA
    >>> chords = {0.0: (43, 52, 72, 76), 1.0: (41, 57, 72, 79)}
    >>> rows = [("a", "Celesta", pitch, t, t + 1, 0.5, 0) for t, pitches in chords.items() for pitch in pitches]
    >>> demands = hand_demands(pl.DataFrame(rows, schema=NOTES_SCHEMA, orient="row"))
    >>> demands.select("hand", "largest_span", "wide_share", "largest_leap", "displacement_per_second").rows()
    [('left', 16, 0.5, 1.5, 1.5), ('right', 7, 0.0, 1.5, 1.5)]
    """
    keys = ("task", "instrument", "track", "hand")
    hand = pl.col(_NUMBER) * 2 + (pl.col("hand") == "right")
    rows = _split(notes, parts, reach).with_columns(hand.alias(_NUMBER)).sort(_NUMBER, "start")
    other = (pl.col(_NUMBER) != pl.col(_NUMBER).shift()) | (pl.col("start").diff() > INSTANT)
    onsets = (
        rows.with_columns(other.fill_null(value=True).cum_sum().alias(_ONSET))
        .group_by(_ONSET)
        .agg(
            pl.col(_NUMBER, *keys, "start").first(),
            struck=pl.len(),
            low=pl.col("pitch").min(),
            high=pl.col("pitch").max(),
        )
        .sort(_ONSET)
    )
    span, doubled = pl.col("high") - pl.col("low"), pl.col("high").cast(pl.Int64) + pl.col("low")
    leaps, played = doubled.diff().abs(), pl.col("start").last() - pl.col("start").first()
    several = pl.len() > 1
    return (
        onsets.group_by(_NUMBER)
        .agg(
            pl.col(keys).first(),
            notes=pl.col("struck").sum().cast(pl.UInt32),
            onsets=pl.len().cast(pl.UInt32),
            notes_per_second=pl.when(several).then((pl.col("struck").sum() - 1) / played),
            largest_span=span.max(),
            span_q95=span.quantile(0.95, "linear"),
            wide_share=(span > reach).mean(),
            largest_leap=leaps.max() / 2,
            displacement_per_second=pl.when(several).then(leaps.sum() / 2 / played),
        )
        .drop(_NUMBER)
        .sort("task", "track", "instrument", "hand")
    )


def _split(notes: pl.LazyFrame, parts: Parts, reach: int) -> pl.LazyFrame:
    """Give the notes of the chosen parts, part after part, with the part's number and the hand."""
    check_choice("parts", parts, Parts)
    if not 1 <= reach <= 127:
        raise ValueError(f"reach: expected semitones from 1 to 127, got {reach!r}")
    pitched = keep_drums(notes, "exclude")
    chosen = pitched.filter(has_program(_KEYBOARDS)) if parts == "keyboard" else pitched
    lists = {name: pl.col(name) for name in ("pitch", "start", "end", "velocity")}
    rows = per_track(chosen, **lists).with_row_index(_NUMBER).explode(*lists)
    schema = pl.Schema(rows.collect_schema() | {"hand": pl.String()})
    return rows.map_batches(lambda some: _with_hands(some, reach), schema=schema)


def _with_hands(rows: pl.DataFrame, reach: int) -> pl.DataFrame:
    """Add the hand to the notes of whole parts, each of which stands together with its starts ascending."""
    start, pitch = rows["start"].to_numpy(), rows["pitch"].to_numpy().astype(np.int64)
    part = rows[_NUMBER].rle_id().to_numpy().astype(np.int64)
    new = np.ones(len(part), dtype=bool)
    new[1:] = (part[1:] != part[:-1]) | (np.diff(start) > INSTANT)
    onsets = np.bincount(part[new], minlength=1)
    place = np.empty(len(onsets), dtype=np.int64)
    place[np.argsort(-onsets, kind="stable")] = np.arange(len(onsets))
    order = np.argsort(place[part], kind="stable")  # the parts of most onsets first, so that a block's are alike
    part, pitch, new, start = place[part][order], pitch[order], new[order], start[order]
    right = np.zeros(len(part), dtype=bool)
    for first, last in _blocks(part, new):
        some = slice(first, last)
        right[order[some]] = _right(part[some], pitch[some], start[some], new[some], reach)
    return rows.with_columns(pl.Series("hand", np.where(right, "right", "left"), dtype=pl.String))


def _blocks(part: Ints, new: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Cut the notes into stretches of whole parts, with about ``_BLOCK`` onsets each."""
    edges = np.flatnonzero(np.r_[True, np.diff(part) != 0, True]) if len(part) else np.zeros(1, dtype=np.int64)
    before = np.r_[0, np.cumsum(new)][edges]  # onsets before each part
    cuts = edges[np.r_[True, np.diff(before[:-1] // _BLOCK) != 0, True]] if len(edges) > 1 else edges
    return list(zip(cuts[:-1].tolist(), cuts[1:].tolist(), strict=True))


def _right(
    part: Ints, pitch: Ints, start: NDArray[np.float64], new: NDArray[np.bool_], reach: int
) -> NDArray[np.bool_]:
    """Tell which notes of some parts are the right hand's."""
    onset = np.cumsum(new) - 1
    edges = np.flatnonzero(np.r_[True, np.diff(part) != 0])
    lowest = np.minimum.reduceat(pitch, edges)
    height = pitch - lowest[part - part[0]] + _ROOM  # above the lowest boundary that is looked at
    begins = np.r_[0, np.flatnonzero(np.diff(part[new])) + 1]
    time = np.minimum(start[new] * 1e6, 2.0**40).astype(np.int64) + (part[new] - part[0] << 42)
    since = np.searchsorted(time, time - _MEMORY)
    boundary = _cheapest(_costs(onset, height, since, reach), begins)
    right: NDArray[np.bool_] = height >= boundary[onset]
    return right


def _costs(onset: Ints, height: Ints, since: Ints, reach: int) -> Ints:
    """Give what each boundary costs at each onset: of the notes struck there, and of the notes in reach of memory.

    Below boundary ``b`` are the heights to ``b - 1``.
    """
    width = int(height.max()) + _ROOM + 2
    b = np.arange(width)
    struck = np.zeros((len(since), width), dtype=np.int32)
    np.add.at(struck, (onset, height), 1)
    near = np.where(b[:, None] >= b, b[:, None] - b, b - 1 - b[:, None])  # from a height to a boundary
    price = np.maximum(_ROOM - near, 0) + _UNIT * (near == 0)
    room = (struck.astype(np.float32) @ price.astype(np.float32)).astype(np.int64)
    counts = np.vstack([np.zeros((1, width), dtype=np.int32), struck.cumsum(0, dtype=np.int32)])
    recent = counts[1:] > counts[since]
    top = np.maximum.accumulate(np.where(recent, b, -1), axis=1)
    bottom = np.minimum.accumulate(np.where(recent, b, width)[:, ::-1], axis=1)[:, ::-1]
    below = np.c_[np.full(len(since), -1), top[:, :-1]] - bottom[:, :1]
    above = top[:, -1:] - bottom
    beyond = np.maximum(below - reach, 0) + np.maximum(above - reach, 0)
    costs: Ints = _UNIT * beyond + room
    return costs


def _cheapest(costs: Ints, begins: Ints) -> Ints:
    """Give the boundaries of least cost in sum for each part: the Viterbi path, all parts at a time.

    A move costs its semitones, so the best predecessor of every boundary is found in one sweep up and one down. Parts
    are in descending order of their onsets: those that go on are always the first.
    """
    lengths = np.diff(np.r_[begins, len(costs)])
    b = np.arange(costs.shape[1]) * _UNIT
    least = costs.copy()
    for step in range(1, lengths.max(initial=0)):
        at = begins[: np.count_nonzero(lengths > step)] + step
        up = np.minimum.accumulate(least[at - 1] - b, axis=1) + b
        down = np.minimum.accumulate((least[at - 1] + b)[:, ::-1], axis=1)[:, ::-1] - b
        least[at] += np.minimum(up, down)
    path = np.zeros(len(costs), dtype=np.int64)
    for step in range(lengths.max(initial=0) - 1, -1, -1):
        at = begins[: np.count_nonzero(lengths > step)] + step
        on = np.count_nonzero(lengths > step + 1)
        total = least[at]
        total[:on] += np.abs(b - _UNIT * path[at[:on] + 1][:, None])
        path[at] = total.argmin(axis=1)
    return path
