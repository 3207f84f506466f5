"""Which tasks are the same music again: transposed, at another tempo, transcribed anew, or with notes changed.

This is one of the few helpers that look **across tasks**: an answer about a piece of a data set is not a piece of the
answer about the whole.

A task's **fingerprint** is the set of what every five successive top notes (``motifs.top_notes``) do: four melodic
intervals in semitones, and three ratios between successive times from onset to onset, rounded to half octaves (a factor
of 1.41), so that neither transposition nor tempo nor uneven playing changes it. The similarity of two tasks is the
Jaccard index of their fingerprints: n-grams in both / n-grams in either, 0 to 1.

Comparing each task with each would cost the square of their number. Instead (Broder 1997; Leskovec, Rajaraman and
Ullman, "Mining of massive datasets", chapter 3) a signature of 240 minima of hashes, in 80 bands of 3, proposes pairs:
those of Jaccard index J share a band with probability 1 - (1 - J^3)^80, which is 0.89 at 0.3 and 0.995 at 0.4. In each
band a task is compared with the first task of its bucket and with its neighbour there, so that a thousand copies make
two thousand pairs and no million. Each proposed pair is then checked exactly. All constants are fixed: the same notes
give the same answer on any machine and with any version of the libraries.

Clusters are chains of pairs (single linkage): two tasks of one cluster need not be alike if a third is like both.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

import numpy as np
import polars as pl

from kie_notes.analysis.door import notes_helper
from kie_notes.analysis.grouping import keep_drums
from kie_notes.analysis.motifs import CHORD_SECONDS, top_notes

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Codes = NDArray[np.int64]
    Hashes = NDArray[np.uint64]

#: Notes in an n-gram. Four coincide by chance in pieces of one style; of six, one wrong note spoils too many.
_NOTES: Final = 5

#: Values of a rounded ratio, from a factor of 1/11 to 11: what is beyond is as far.
_RATIOS: Final = 15

#: Bands of a signature, and hashes in each.
_BANDS, _ROWS = 80, 3

#: A task with fewer distinct n-grams is compared with none: too little music to tell.
_ENOUGH: Final = 8

#: A pair is not checked exactly if its signatures say that it is this much below the threshold (3 deviations).
_DOUBT: Final = 0.1

#: N-grams that are looked up at once while pairs are checked.
_BATCH: Final = 1 << 22


@notes_helper
def near_duplicates(
    notes: pl.LazyFrame, *, threshold: float = 0.3, chord_seconds: float = CHORD_SECONDS
) -> pl.LazyFrame:
    """Put tasks that are the same music, transposed or at another tempo perhaps, into clusters.

    Parameters
    ----------
    notes
        Notes table in canonical order. Drums are left out.
    threshold
        Jaccard index from which two tasks are the same music, above 0 to 1; the bound itself is. Copies with every
        twentieth note changed have about 0.5, with every tenth 0.3; different pieces seldom reach 0.1.
    chord_seconds
        Starts that follow one another within this time are one onset, >= 0.

    Returns
    -------
    One row per task, sorted:

    - ``task`` (String)
    - ``cluster`` (String): the smallest task id of its cluster, its own if it is alone
    - ``similarity`` (Float64): the highest Jaccard index among the task's checked pairs that reach ``threshold``; null
      if the task is alone
    - ``ngrams`` (UInt32): distinct n-grams of the task; below 8 it is compared with none

    The ids of clusters can change when tasks are added: a smaller id may join. ``split_tasks`` says what follows.

    Raises
    ------
    NotesSchemaError
        If ``notes`` is not a notes table.
    NotesOrderError
        If a task's notes do not stand together or their starts descend (an ``InvalidOperationError`` of the same text
        when a LazyFrame is collected).
    ValueError
        If ``threshold`` or ``chord_seconds`` is out of its range.

    References
    ----------
    Broder, "On the resemblance and containment of documents", 1997. Intervals and ratios of inter-onset times as a
    melody's letters: Uitdenbogerd and Zobel 1999; Lemstroem and Ukkonen, "Including interval encoding into edit
    distance based music comparison and retrieval", 2000. No library of the field has this for notes.

    Examples
    --------
    >>> import polars as pl
    >>> from kie_notes.notes import NOTES_SCHEMA
    >>> melody = [60, 62, 64, 60, 67, 65, 64, 72, 71, 69, 67, 60, 61, 66, 62, 70]
    >>> a = [("a", "Flute", pitch, k / 2, k / 2 + 0.5, 0.5, 0) for k, pitch in enumerate(melody)]
    >>> b = [("b", "Flute", pitch + 5, k / 3, k / 3 + 0.3, 0.5, 0) for k, pitch in enumerate(melody)]
    >>> c = [("c", "Flute", pitch, k / 2, k / 2 + 0.5, 0.5, 0) for k, pitch in enumerate(sorted(melody))]
    >>> near_duplicates(pl.DataFrame(a + b + c, schema=NOTES_SCHEMA, orient="row")).rows()
    [('a', 'a', 1.0, 12), ('b', 'a', 1.0, 12), ('c', 'c', None, 11)]
    """
    if not 0 < threshold <= 1:
        raise ValueError(f"threshold: expected a number above 0 and at most 1, got {threshold!r}")
    melodies = top_notes(keep_drums(notes, "exclude"), voice="skyline", chord_seconds=chord_seconds)
    schema = {"task": pl.String(), "cluster": pl.String(), "similarity": pl.Float64(), "ngrams": pl.UInt32()}
    found = melodies.select("voice", "task", "pitch", "start").map_batches(
        partial(_find, threshold=threshold), schema=schema
    )
    tasks = notes.select("task").unique().with_columns(pl.col("task").cast(pl.String))
    return (
        tasks.join(found, on="task", how="left", nulls_equal=True)
        .with_columns(pl.col("cluster").fill_null(pl.col("task")), pl.col("ngrams").fill_null(0))
        .sort("task")
    )


def _find(melodies: pl.DataFrame, *, threshold: float) -> pl.DataFrame:
    """Find the clusters of melodies; a task is its rank among the ids, so that the rows' order decides nothing."""
    runs = melodies["voice"].to_numpy().astype(np.int64)
    heads = np.flatnonzero(np.diff(runs, prepend=-1))
    names = melodies["task"].gather(heads)
    order = names.arg_sort().to_numpy().astype(np.int64)
    rank = np.argsort(order)
    tasks = np.repeat(rank, np.diff(heads, append=len(runs)))
    keys, grams = _fingerprints(tasks, melodies["pitch"].to_numpy(), melodies["start"].to_numpy())
    sizes = np.bincount(keys >> 32, minlength=len(names))
    one, two = _similar(_signatures(keys, grams, sizes), sizes, threshold - _DOUBT)
    index = _jaccard(one, two, keys, sizes)
    reach = index >= threshold
    one, two, index = one[reach], two[reach], index[reach]
    best = np.full(len(names), np.nan)
    np.fmax.at(best, one, index)
    np.fmax.at(best, two, index)
    ids = names.gather(order)
    return pl.DataFrame(
        {
            "task": ids,
            "cluster": ids.gather(_components(one, two, len(names))),
            "similarity": pl.Series(best).fill_nan(None),
            "ngrams": pl.Series(sizes).cast(pl.UInt32),
        }
    )


def _fingerprints(tasks: Codes, pitches: NDArray[np.uint8], starts: NDArray[np.float64]) -> tuple[Codes, Hashes]:
    """Give each task's distinct n-grams: sorted keys (task, number of the n-gram), and the n-grams by number."""
    pitch = pitches.astype(np.int64)
    intervals = pitch[1:] - pitch[:-1] + 128
    with np.errstate(divide="ignore", invalid="ignore"):  # from one task to the next a time may go back; left out below
        times = np.log2(np.diff(starts))
        turns = np.rint(2 * np.diff(times))
    ratios = np.clip(np.nan_to_num(turns), -(_RATIOS // 2), _RATIOS // 2).astype(np.int64) + _RATIOS // 2
    many = max(len(tasks) - _NOTES + 1, 0)
    grams = np.zeros(many, np.int64)
    for k in range(_NOTES - 1):
        grams = grams << 8 | intervals[k : k + many]
    for k in range(_NOTES - 2):
        grams = grams << 4 | ratios[k : k + many]
    within = tasks[:many] == tasks[len(tasks) - many :]
    known, numbers = np.unique(grams[within], return_inverse=True)
    return np.unique(tasks[:many][within] << 32 | numbers.astype(np.int64)), known.astype(np.uint64)


def _mix(numbers: Hashes) -> Hashes:
    """Scramble 64 bits (the finaliser of SplitMix64: Steele, Lea and Flood 2014)."""
    mixed = numbers + np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> np.uint64(31))


def _signatures(keys: Codes, grams: Hashes, sizes: Codes) -> Hashes:
    """Give the minima of each task's hashed n-grams: one row per hash function, one column per task."""
    minima = np.zeros((_BANDS * _ROWS, len(sizes)), np.uint64)
    some = sizes > 0
    first = (np.cumsum(sizes) - sizes)[some]
    hashed = _mix(grams)[keys & 0xFFFFFFFF]
    salts = _mix(np.arange(2 * len(minima), dtype=np.uint64))
    for row, (factor, term) in enumerate(salts.reshape(-1, 2)):
        if len(first):
            minima[row, some] = np.minimum.reduceat(hashed * (factor | np.uint64(1)) + term, first)
    return minima


def _similar(minima: Hashes, sizes: Codes, least: float) -> tuple[Codes, Codes]:
    """Propose pairs of tasks, the smaller rank first: those that share a band and whose signatures are alike enough."""
    tasks = np.flatnonzero(sizes >= _ENOUGH)
    pairs = [np.zeros(0, np.int64)]
    bands = minima.reshape(_BANDS, _ROWS, -1)[:, :, tasks]
    for k, band in enumerate(bands):
        bucket = np.zeros(len(tasks), np.uint64)
        for row in band:
            bucket = _mix(bucket ^ row)
        # Of a full bucket's tasks, those that share one more hash are neighbours.
        order = np.lexsort((bands[k - 1, 0], bucket))
        fresh = np.diff(bucket[order], prepend=~bucket[order][:1]) != 0
        leader = order[np.maximum.accumulate(np.where(fresh, np.arange(len(order)), 0))]
        mine = tasks[order[~fresh]]
        theirs = (tasks[leader[~fresh]], tasks[np.roll(order, 1)[~fresh]])
        pairs += [np.minimum(mine, other) << 32 | np.maximum(mine, other) for other in theirs]
    found = np.unique(np.concatenate(pairs))
    one, two = found >> 32, found & 0xFFFFFFFF
    alike = np.zeros(len(found), np.int64)
    for row in minima:
        alike += row[one] == row[two]
    near = alike >= least * len(minima)
    return one[near], two[near]


def _jaccard(one: Codes, two: Codes, keys: Codes, sizes: Codes) -> NDArray[np.float64]:
    """Give the exact Jaccard index of pairs of tasks: each n-gram of one is looked up among the other's."""
    first = np.cumsum(sizes) - sizes
    common = np.zeros(len(one), np.int64)
    batches = np.cumsum(sizes[one]) // _BATCH
    for batch in np.unique(batches):
        at = np.flatnonzero(batches == batch)
        many = sizes[one[at]]
        pair = np.repeat(at, many)
        rows = np.arange(len(pair)) + np.repeat(first[one[at]] - np.cumsum(many) + many, many)
        wanted = two[pair] << 32 | (keys[rows] & 0xFFFFFFFF)
        where = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
        common += np.bincount(pair[keys[where] == wanted], minlength=len(one))
    index: NDArray[np.float64] = common / np.maximum(sizes[one] + sizes[two] - common, 1)
    return index


def _components(one: Codes, two: Codes, size: int) -> Codes:
    """Give each task the smallest rank that pairs lead to."""
    label = np.arange(size)
    while (label[one] != label[two]).any():
        low = np.minimum(label[one], label[two])
        np.minimum.at(label, label[one], low)
        np.minimum.at(label, label[two], low)
        while (label[label] != label).any():
            label = label[label]
    return label
