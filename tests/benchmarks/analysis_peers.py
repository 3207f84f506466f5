"""What else answers the questions of ``kie_notes.analysis``: loops over tasks in NumPy, SQL, loops over objects.

A peer takes the path of the notes and gives an act and the number of notes that it acts upon. Loops in NumPy and SQL
read the Parquet file as the helpers do, and give bare arrays, which favours them: names and a table would cost more.
Object libraries get a few tasks as objects, made beforehand.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import polars as pl

from kie_notes.analysis.keys import profile_matrix
from kie_notes.instruments import is_drums

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    import pretty_midi
    from numpy.typing import NDArray

    Act = Callable[[], int]
    Peer = Callable[[Path], tuple[Act, int]]
    Array = NDArray[Any]

#: Notes for the object libraries, which take seconds for as many.
_FEW: Final = 5_000

#: From one pitch to the next, in microseconds: longer than any task.
_FAR: Final = 10**12


#: What a query can ask; what it does not ask costs nothing.
_NAMED: Final = """
WITH notes AS (FROM '{path}'), pitched AS (FROM notes WHERE instrument NOT IN ({kits})),
tops AS (SELECT task, track, start, max(pitch)::INT AS pitch FROM pitched GROUP BY ALL),
steps AS (SELECT task, pitch, lag(pitch) OVER (PARTITION BY task, track ORDER BY start) AS before FROM tops)
"""


def _count(path: Path) -> int:
    return int(pl.scan_parquet(path).select(pl.len()).collect().item())


def _first_tasks(path: Path) -> list[pl.DataFrame]:
    """Give the first whole tasks, but those of one note, which pretty_midi refuses to find a tempo in."""
    tasks = pl.read_parquet(path, n_rows=_FEW).partition_by("task", maintain_order=True)[:-1]
    return [task for task in tasks if task.height > 1]


def numpy_loop(*columns: str, drums: bool, answer: Callable[..., object]) -> Peer:
    """Make a peer that reads columns and calls ``answer`` with those of each task as arrays."""

    def tasks(path: Path) -> Iterator[list[Array]]:
        table = pl.read_parquet(path, columns=["task", "instrument", *columns])
        if not drums:
            kits = [name for name in table["instrument"].unique() if is_drums(name)]
            table = table.filter(~pl.col("instrument").is_in(kits))
        code = table["task"].to_physical().to_numpy()
        arrays = [table[column].to_numpy() for column in columns]
        edges = [0, *(np.flatnonzero(np.diff(code)) + 1).tolist(), table.height]
        for first, stop in pairwise(edges):
            yield [array[first:stop] for array in arrays]

    def peer(path: Path) -> tuple[Act, int]:
        return (lambda: len([answer(*task) for task in tasks(path)])), _count(path)

    return peer


def sql(query: str) -> Peer:
    """Make a peer of a query of ``notes``, ``pitched`` (those of no drums) and ``steps``: successive tops of tracks."""

    def peer(path: Path) -> tuple[Act, int]:
        import duckdb

        names = pl.scan_parquet(path).select(pl.col("instrument").unique()).collect()["instrument"].to_list()
        kits = ", ".join("'" + name.replace("'", "''") + "'" for name in names if is_drums(name)) or "''"
        named = _NAMED.format(path=path, kits=kits)
        link = duckdb.connect()
        return (lambda: len(link.sql(f"{named} {query}").fetchnumpy()["task"])), _count(path)

    return peer


def objects(answer: Callable[[pretty_midi.PrettyMIDI], object]) -> Peer:
    """Make a peer that calls ``answer`` with a few tasks as objects of pretty_midi."""

    def peer(path: Path) -> tuple[Act, int]:
        import pretty_midi

        scores, taken = [], 0
        for task in _first_tasks(path):
            score = pretty_midi.PrettyMIDI()
            for (name, _), track in task.partition_by("instrument", "track", as_dict=True).items():
                part = pretty_midi.Instrument(0, is_drum=is_drums(name))
                for pitch, start, end, velocity in track.select("pitch", "start", "end", "velocity").iter_rows():
                    part.notes.append(pretty_midi.Note(round(velocity * 127), pitch, start, end))
                score.instruments.append(part)
            scores.append(score)
            taken += task.height
        return (lambda: len([answer(score) for score in scores])), taken

    return peer


def mir_eval_scores(path: Path) -> tuple[Act, int]:
    """Make the peer of ``transcription_scores``: notes against themselves 1/192 s later, task by task."""
    import mir_eval

    pairs, taken = [], 0
    for task in _first_tasks(path):
        times = task.select("start", pl.max_horizontal("end", pl.col("start") + 1e-3)).to_numpy()
        pairs.append((times, 440 * 2 ** ((task["pitch"].to_numpy().astype(float) - 69) / 12)))
        taken += task.height
    score = mir_eval.transcription.precision_recall_f1_overlap
    return (lambda: len([score(t, hz, t + 1 / 192, hz, offset_ratio=None) for t, hz in pairs])), taken


def _polyphony(pitch: Array, start: Array, end: Array) -> tuple[int, float]:
    """Give the most and the mean of distinct pitches: notes of one pitch are united, then a sweep counts them."""
    order = np.lexsort((start, pitch))
    lane = pitch[order].astype(np.int64) * _FAR
    on, off = (np.rint(time[order] * 1e6).astype(np.int64) + lane for time in (start, end))
    off = np.maximum.accumulate(off)
    first = np.flatnonzero(np.append(True, on[1:] > off[:-1]))
    on, off = on[first] - lane[first], off[np.append(first[1:], len(off)) - 1] - lane[first]
    times, steps = np.concatenate([off, on]), np.repeat([-1, 1], len(on))
    order = np.argsort(times, kind="stable")  # ends before starts at the same time
    sounding, spans = np.cumsum(steps[order])[:-1], np.diff(times[order])
    return int(sounding.max(initial=0)), float((sounding * spans).sum() / spans[sounding > 0].sum())


def _tops(pitch: Array, start: Array, track: Array) -> tuple[Array, Array]:
    """Give the highest note at each onset of each track, and whether the next is of the same."""
    order = np.lexsort((pitch, start, track))
    lane, onset = track[order], start[order]
    last = np.append((lane[1:] != lane[:-1]) | (onset[1:] - onset[:-1] > 1e-6), True)
    lane = lane[last]
    return pitch[order][last], lane[1:] == lane[:-1]


def _transitions(pitch: Array, start: Array, track: Array) -> Array:
    top, same = _tops(pitch, start, track)
    kind = top % 12
    return np.bincount((kind[:-1].astype(int) * 12 + kind[1:])[same], minlength=144)


def _intervals(pitch: Array, start: Array, track: Array) -> Array:
    top, same = _tops(pitch, start, track)
    return np.diff(top.astype(int))[same]


def _key(pitch: Array, start: Array, end: Array) -> Array:
    weights = np.bincount(pitch % 12, end - start, 12)
    weights -= weights.mean()
    correlations = profile_matrix("krumhansl-kessler") @ weights / max(float(np.linalg.norm(weights)), 1e-9)
    return np.sort(correlations)[-2:]


def _rolling(start: Array) -> tuple[int, float]:
    counts = np.searchsorted(start, start + 5.0) - np.arange(len(start))
    return int(counts.max()), float(counts.mean())


def _distinct(start: Array) -> Array:
    gaps = np.diff(start)
    return gaps[gaps > 1e-6]


_LOOP: Final = "NumPy, a loop over tasks"
_SQL: Final = "DuckDB"
#: Peers by the case of ``tests.benchmarks.analysis`` that they answer.
PEERS: Final[dict[str, dict[str, Peer]]] = {
    "pitch_histogram": {
        _LOOP: numpy_loop("pitch", drums=False, answer=lambda pitch: np.bincount(pitch, minlength=128)),
        _SQL: sql("SELECT task, pitch, count(*) FROM pitched GROUP BY ALL ORDER BY ALL"),
    },
    "pitch_class_histogram, seconds": {
        _LOOP: numpy_loop(
            *("pitch", "start", "end"), drums=False, answer=lambda p, start, end: np.bincount(p % 12, end - start, 12)
        ),
        _SQL: sql('SELECT task, pitch % 12, sum("end" - start) FROM pitched GROUP BY ALL ORDER BY task, 2'),
        "pretty_midi, get_pitch_class_histogram": objects(lambda one: one.get_pitch_class_histogram(use_duration=True)),
    },
    "onset_density": {
        _LOOP: numpy_loop("start", drums=True, answer=lambda start: np.bincount((start + 1e-6).astype(int))),
        "DuckDB (without empty windows)": sql(
            "SELECT task, floor(start), count(*) FROM notes GROUP BY ALL ORDER BY ALL"
        ),
    },
    "rolling_density": {_LOOP: numpy_loop("start", drums=True, answer=_rolling)},
    "polyphony": {
        _LOOP: numpy_loop("pitch", "start", "end", drums=False, answer=_polyphony),
        "pretty_midi, get_piano_roll(fs=100)": objects(
            lambda one: (one.get_piano_roll(100) > 0).sum(axis=0).max(initial=0)
        ),
    },
    "inter_onset_intervals": {
        _LOOP: numpy_loop("start", drums=True, answer=_distinct),
        _SQL: sql(
            "SELECT * FROM (SELECT task, start - lag(start) OVER (PARTITION BY task ORDER BY start) AS gap FROM notes)"
            " WHERE gap > 1e-6 ORDER BY task"
        ),
    },
    "melodic_intervals": {
        _LOOP: numpy_loop("pitch", "start", "track", drums=False, answer=_intervals),
        _SQL: sql("SELECT task, pitch - before FROM steps WHERE before IS NOT NULL ORDER BY task"),
    },
    "pitch_class_transitions": {
        _LOOP: numpy_loop("pitch", "start", "track", drums=False, answer=_transitions),
        _SQL: sql(
            "SELECT task, before % 12, pitch % 12, count(*) FROM steps WHERE before IS NOT NULL"
            " GROUP BY ALL ORDER BY ALL"
        ),
        "pretty_midi (pairs of notes that meet)": objects(lambda one: one.get_pitch_class_transition_matrix()),
    },
    "key, one profile": {_LOOP: numpy_loop("pitch", "start", "end", drums=False, answer=_key)},
    "velocity_statistics": {
        _LOOP: numpy_loop(
            "velocity",
            drums=True,
            answer=lambda v: (v.mean(dtype=float), v.std(dtype=float), np.quantile(v, (0.25, 0.5, 0.75))),
        ),
        _SQL: sql(
            "SELECT task, avg(velocity), stddev_pop(velocity), quantile_cont(velocity, [0.25, 0.5, 0.75])"
            " FROM notes GROUP BY task ORDER BY task"
        ),
    },
    "pitch_range": {
        _LOOP: numpy_loop("pitch", drums=False, answer=lambda pitch: (pitch.min(), pitch.max())),
        _SQL: sql("SELECT task, min(pitch), max(pitch) FROM pitched GROUP BY task ORDER BY task"),
    },
    "tempo": {"pretty_midi, estimate_tempi": objects(lambda one: one.estimate_tempi())},
    "transcription_scores": {"mir_eval, precision_recall_f1_overlap": mir_eval_scores},
}
