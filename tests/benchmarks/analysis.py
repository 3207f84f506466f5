"""The questions that are put to ``kie_notes.analysis`` and to its peers, and what each helper costs besides.

A question is a helper with its options. Its peers give the same columns of the answer, which the tests of this folder
compare; libraries of objects give what is nearest. The physical limit is reading the columns that it needs, and adding
each of them up.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import polars as pl

import kie_notes as kn
from kie_notes import analysis
from tests.benchmarks.corpus import count
from tests.benchmarks.loops import LOOPS
from tests.benchmarks.objects import OBJECTS
from tests.benchmarks.queries import PANDAS, SQL, sql

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from kie_notes.mapping.answers import LazyHelper
    from tests.benchmarks.measure import Ready, Way


class Question(NamedTuple):
    """A helper with its options, the columns that it needs beside the task, those of its answer that peers give too."""

    helper: LazyHelper
    needs: tuple[str, ...]
    answer: tuple[str, ...] = ()


_PITCHED: Final = ("instrument", "pitch")
_SPANNED: Final = ("instrument", "pitch", "start", "end")
_VOICED: Final = ("instrument", "pitch", "start", "track")
#: Descriptors of each kind, which one scan answers together: histograms, curves, ordered scans, harmony.
SIXTEEN: Final[dict[str, Question]] = {
    "pitch_histogram": Question(kn.pitch_histogram, _PITCHED, ("pitch", "count")),
    "pitch_classes_by_seconds": Question(
        partial(kn.pitch_class_histogram, weight="seconds"), _SPANNED, ("pitch_class", "seconds")
    ),
    "pitch_range": Question(kn.pitch_range, _PITCHED, ("lowest", "highest")),
    "mean_pitch": Question(kn.mean_pitch, _PITCHED, ("mean_pitch", "standard_deviation")),
    "note_density": Question(kn.note_density, ("start", "end"), ("notes_per_second", "notes_per_second_of_onsets")),
    "onset_density": Question(kn.onset_density, ("start",), ("window_start", "notes_per_second")),
    "rolling_density": Question(kn.rolling_density, ("start",), ("maximum_notes_per_second", "mean_notes_per_second")),
    "sounding_density": Question(kn.sounding_density, ("start", "end"), ("window_start", "notes")),
    "polyphony": Question(kn.polyphony, _SPANNED, ("mean_polyphony", "maximum_polyphony")),
    "inter_onset_histogram": Question(kn.inter_onset_histogram, ("start",), ("bin_start", "count")),
    "inter_onset_statistics": Question(
        kn.inter_onset_statistics,
        ("start",),
        ("intervals", "mean_seconds", "std_seconds", "median_seconds", "minimum_seconds", "maximum_seconds"),
    ),
    "duration_histogram": Question(kn.duration_histogram, ("start", "end"), ("bin_start", "count")),
    "velocity_statistics": Question(
        kn.velocity_statistics, ("velocity",), ("mean_velocity", "standard_deviation", "lowest", "highest")
    ),
    "key": Question(partial(kn.key, method="krumhansl-kessler"), _SPANNED, ("key", "score")),
    "pitch_class_transitions": Question(
        kn.pitch_class_transitions, _VOICED, ("from_pitch_class", "to_pitch_class", "count")
    ),
    "interval_histogram": Question(kn.interval_histogram, _VOICED, ("interval", "count")),
}
QUESTIONS: Final = SIXTEEN | {
    "inter_onset_intervals_per_track": Question(
        partial(kn.inter_onset_intervals, per="track"), ("start", "track"), ("track", "seconds")
    ),
    "melodic_intervals": Question(kn.melodic_intervals, _VOICED, ("track", "start", "interval")),
    "tempo": Question(kn.tempo, ("start",)),
}

#: Columns of a part: what a limit reads at the most.
_ALL: Final = ("instrument", "pitch", "start", "end", "velocity", "track")

#: Arguments without which a helper cannot be called.
_ARGUMENTS: Final[dict[str, dict[str, Any]]] = {
    "find_motif": {"intervals": [2, 2, 1]},
    "transposition": {"low": 60, "high": 84},
}

#: Functions that take answers of helpers, not notes.
_OF_ANSWERS: Final = ("compare", "compare_histograms", "split_tasks")


def asked(*helpers: LazyHelper) -> Way:
    """Make a way that answers questions by one scan."""

    def act(corpus: Path) -> list[pl.DataFrame]:
        notes = pl.scan_parquet(corpus / "parts/*.parquet")
        answers = [helper(notes) for helper in helpers]
        flat = [one for answer in answers for one in ([answer] if isinstance(answer, pl.LazyFrame) else answer)]
        return pl.collect_all(flat, engine="streaming")

    return lambda corpus: ((lambda: act(corpus)), count(corpus))


def read(*needs: str) -> Way:
    """Make the limit: columns are read, and each is added up."""
    numbers = [pl.col(name).to_physical() if name in ("task", "instrument") else pl.col(name) for name in needs]
    sums = [number.cast(pl.Float64).sum() for number in (pl.col("task").to_physical(), *numbers)]

    def act(corpus: Path) -> pl.DataFrame:
        return pl.scan_parquet(corpus / "parts/*.parquet").select(sums).collect(engine="streaming")

    return lambda corpus: ((lambda: act(corpus)), count(corpus))


def peers(question: str) -> dict[str, Way]:
    """Name what else answers a question."""
    found = {"NumPy loop": LOOPS.get(question), "pandas": PANDAS.get(question)}
    if question in SQL:
        found["DuckDB"] = sql(SQL[question])
    return {name: way for name, way in found.items() if way} | OBJECTS.get(question, {})


def all_sixteen() -> tuple[Way, dict[str, Way], Way]:
    """Answer all sixteen by one scan; peers answer them one after the other."""

    def loops(corpus: Path) -> Ready:
        acts = [LOOPS[name](corpus)[0] for name in SIXTEEN]
        return (lambda: [act() for act in acts][-1]), count(corpus)

    ours = asked(*(question.helper for question in SIXTEEN.values()))
    return ours, {"NumPy loops": loops, "DuckDB": sql(*(SQL[name] for name in SIXTEEN))}, read(*_ALL)


def other_helpers() -> dict[str, Way]:
    """Give every public function of ``kie_notes.analysis`` about notes, or about answers, as it is by default."""
    functions: dict[str, Callable[..., Any]] = {name: getattr(analysis, name) for name in analysis.__all__}
    helpers = [name for name, function in functions.items() if hasattr(function, "__wrapped__")]
    return {name: _helper(name, functions[name]) for name in sorted({*helpers, *_OF_ANSWERS} - {*QUESTIONS})}


def _helper(name: str, function: Callable[..., Any]) -> Way:
    """Make a way of a helper; whatever it needs beside the notes is made ready, and not measured."""

    def ready(corpus: Path) -> Ready:
        notes = pl.scan_parquet(corpus / "parts/*.parquet")
        if name in _OF_ANSWERS:
            query = _of_answers(name, notes)
            return (lambda: query.collect(engine="streaming")), count(corpus)
        moved = notes.with_columns(pl.col("start", "end") + 1 / 192)
        length = notes.group_by(pl.col("task").cast(pl.String)).agg(duration=pl.col("end").max() - 1)
        extra: dict[str, Any] = {
            "trim_to_duration": lambda: {"durations": length.collect(engine="streaming")},
            "transcription_scores": lambda: {"estimated": moved},
            "transcription_errors": lambda: {"estimated": moved},
        }
        return asked(partial(function, **_ARGUMENTS.get(name, {}), **extra.get(name, dict)()))(corpus)

    return ready


def _of_answers(name: str, notes: pl.LazyFrame) -> pl.LazyFrame:
    """Make a query of a function that takes answers of helpers: one row per task, or per task and pitch class."""
    source = kn.pitch_class_histogram if name == "compare_histograms" else kn.task_summary
    answers = source(notes).collect(engine="streaming")
    if name == "split_tasks":
        return kn.split_tasks(answers.lazy(), shares={"train": 0.8, "test": 0.2})
    odd = pl.col("task").hash() % 2 == 1
    two = (answers.filter(odd).lazy(), answers.filter(~odd).lazy())
    return (kn.compare if name == "compare" else kn.compare_histograms)(*two, resamples=100)
