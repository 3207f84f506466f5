"""Questions answered by SQL (DuckDB) and by data frames (pandas), from the same Parquet files.

Each gives the task and the columns of the answer, in rows of any order: sorted by task, where SQL says so.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import polars as pl

from kie_notes.analysis.keys import KEYS, profile_matrix
from kie_notes.instruments import is_drums
from tests.benchmarks.corpus import count

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import duckdb
    import pandas as pd

    from tests.benchmarks.measure import Ready, Way

#: What a query can ask; what it does not ask costs nothing.
_NAMED: Final = """
WITH notes AS (FROM read_parquet('{files}')), pitched AS (FROM notes WHERE instrument NOT IN ({kits})),
tops AS (SELECT task, track, start, max(pitch)::INT AS pitch FROM pitched GROUP BY ALL),
steps AS (SELECT task, track, pitch, lag(pitch) OVER voice AS before, lag(start) OVER voice AS since FROM tops
  WINDOW voice AS (PARTITION BY task, track ORDER BY start)),
gaps AS (SELECT task, start - lag(start) OVER (PARTITION BY task ORDER BY start) AS seconds FROM notes),
gaps_of_tracks AS (SELECT task, track, start - lag(start) OVER (PARTITION BY task, track ORDER BY start) AS seconds
  FROM notes),
onsets AS (SELECT task, floor(start + 1e-6)::INT AS k, count(*) AS n FROM notes GROUP BY ALL),
begun AS (SELECT task, unnest(range(floor(start + 1e-6)::INT, floor("end" - 1e-6)::INT + 1)) AS k FROM notes
  WHERE "end" - start > 1e-6),
sounding AS (SELECT task, k, count(*) AS n FROM begun GROUP BY ALL),
rolling AS (SELECT task, count(*) OVER (PARTITION BY task ORDER BY start
  RANGE BETWEEN CURRENT ROW AND 4.999999 FOLLOWING) AS held FROM notes),
lanes AS (SELECT task, pitch, start, "end", max("end") OVER (PARTITION BY task, pitch ORDER BY start, "end"
  ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS until FROM pitched WHERE "end" - start > 1e-6),
united AS (SELECT task, pitch, start, "end", sum((start > coalesce(until + 1e-6, -1))::INT) OVER
  (PARTITION BY task, pitch ORDER BY start, "end" ROWS UNBOUNDED PRECEDING) AS stretch FROM lanes),
stretches AS (SELECT task, min(start) AS first, max("end") AS last FROM united GROUP BY task, pitch, stretch),
turns AS (SELECT task, first AS edge, 1 AS step FROM stretches UNION ALL SELECT task, last, -1 FROM stretches),
sweep AS (SELECT task, sum(step) OVER turn AS pitches, lead(edge) OVER turn - edge AS seconds FROM turns
  WINDOW turn AS (PARTITION BY task ORDER BY edge, step ROWS UNBOUNDED PRECEDING)),
classes AS (SELECT task, pitch % 12 AS pitch_class, sum("end" - start) AS seconds FROM pitched GROUP BY ALL),
profiles(key, pitch_class, weight) AS (VALUES {profiles}),
norms AS (SELECT task, sqrt(sum(seconds * seconds) - sum(seconds) ** 2 / 12) AS norm FROM classes GROUP BY task),
scores AS (SELECT task, key, sum(weight * seconds) AS score FROM classes JOIN profiles USING (pitch_class) GROUP BY ALL)
"""

_SPANS: Final = """
SELECT task, k AS window_start, coalesce(n, 0) AS {name}
FROM (SELECT task, unnest(range(min(k), max(k) + 1)) AS k FROM {table} GROUP BY task) LEFT JOIN {table} USING (task, k)
ORDER BY ALL
"""

#: Queries by question.
SQL: Final[dict[str, str]] = {
    "pitch_histogram": "SELECT task, pitch, count(*) AS count FROM pitched GROUP BY ALL ORDER BY ALL",
    "pitch_classes_by_seconds": "FROM classes ORDER BY ALL",
    "pitch_range": "SELECT task, min(pitch) AS lowest, max(pitch) AS highest FROM pitched GROUP BY task ORDER BY task",
    "mean_pitch": "SELECT task, avg(pitch) AS mean_pitch, stddev_pop(pitch) AS standard_deviation FROM pitched"
    " GROUP BY task ORDER BY task",
    "note_density": 'SELECT task, count(*) / max("end") AS notes_per_second,'
    " (count(*) - 1) / (max(start) - min(start)) AS notes_per_second_of_onsets FROM notes GROUP BY task ORDER BY task",
    "onset_density": _SPANS.format(name="notes_per_second", table="onsets"),
    "rolling_density": "SELECT task, max(held) / 5 AS maximum_notes_per_second, avg(held) / 5 AS mean_notes_per_second"
    " FROM rolling GROUP BY task ORDER BY task",
    "sounding_density": _SPANS.format(name="notes", table="sounding"),
    "polyphony": "SELECT task, sum(pitches * seconds) / sum(seconds) FILTER (pitches > 0) AS mean_polyphony,"
    " max(pitches) AS maximum_polyphony FROM sweep GROUP BY task ORDER BY task",
    "inter_onset_histogram": "SELECT task, 2 ** floor(log2(seconds + 1e-6)) AS bin_start, count(*) AS count FROM gaps"
    " WHERE seconds > 1e-6 GROUP BY ALL ORDER BY ALL",
    "inter_onset_statistics": "SELECT task, count(*) AS intervals, avg(seconds) AS mean_seconds,"
    " stddev_pop(seconds) AS std_seconds, median(seconds) AS median_seconds, min(seconds) AS minimum_seconds,"
    " max(seconds) AS maximum_seconds FROM gaps WHERE seconds > 1e-6 GROUP BY task ORDER BY task",
    "duration_histogram": 'SELECT task, 2 ** floor(log2("end" - start + 1e-6)) AS bin_start, count(*) AS count'
    " FROM notes GROUP BY ALL ORDER BY ALL",
    "velocity_statistics": "SELECT task, avg(velocity) AS mean_velocity, stddev_pop(velocity) AS standard_deviation,"
    " min(velocity) AS lowest, max(velocity) AS highest FROM notes GROUP BY task ORDER BY task",
    "key": "SELECT task, arg_max(key, score) AS key, max(score) / first(norm) AS score FROM scores"
    " JOIN norms USING (task) GROUP BY task ORDER BY task",
    "pitch_class_transitions": "SELECT task, before % 12 AS from_pitch_class, pitch % 12 AS to_pitch_class,"
    " count(*) AS count FROM steps WHERE before IS NOT NULL GROUP BY ALL ORDER BY ALL",
    "interval_histogram": "SELECT task, pitch - before AS interval, count(*) AS count FROM steps"
    " WHERE before IS NOT NULL GROUP BY ALL ORDER BY ALL",
    "inter_onset_intervals_per_track": "SELECT task, track, seconds FROM gaps_of_tracks WHERE seconds > 1e-6"
    " ORDER BY task, track",
    "melodic_intervals": "SELECT task, track, since AS start, pitch - before AS interval FROM steps"
    " WHERE before IS NOT NULL ORDER BY task, track",
}


def _link(corpus: Path) -> Callable[[str], duckdb.DuckDBPyRelation]:
    """Give what answers a query about a corpus."""
    import duckdb

    files = str(corpus / "parts/*.parquet")
    names = pl.scan_parquet(files).select(pl.col("instrument").unique()).collect()["instrument"].to_list()
    kits = ", ".join(f"'{name}'" for name in names if is_drums(name)) or "''"
    rows = zip(KEYS, profile_matrix("krumhansl-kessler"), strict=True)
    profiles = ", ".join(f"('{key}', {at}, {weight})" for key, profile in rows for at, weight in enumerate(profile))
    named = _NAMED.format(files=files, kits=kits, profiles=profiles)
    link = duckdb.connect()
    return lambda query: link.sql(f"{named} {query}")


def sql(*queries: str) -> Way:
    """Make a way of queries, one after the other; gives the columns of the last as arrays."""

    def ready(corpus: Path) -> Ready:
        ask = _link(corpus)
        return (lambda: [ask(query).fetchnumpy() for query in queries][-1]), count(corpus)

    return ready


def _frame(*columns: str, drums: bool, answer: Callable[[pd.DataFrame], pd.DataFrame]) -> Way:
    """Make a way that reads columns with pandas."""

    def act(corpus: Path) -> pd.DataFrame:
        import pandas as pd

        notes = pd.read_parquet(corpus / "parts", columns=["task", "instrument", *columns])
        if not drums:
            kits = [name for name in notes["instrument"].unique() if is_drums(name)]
            notes = notes[~notes["instrument"].isin(kits)]
        return answer(notes).reset_index()

    def ready(corpus: Path) -> Ready:
        import pandas as pd  # noqa: F401 -- whether it is there

        return (lambda: act(corpus)), count(corpus)

    return ready


def _grouped(notes: pd.DataFrame, *keys: Any) -> Any:
    return notes.groupby(["task", *keys], observed=True)


def _octave(seconds: pd.Series[float]) -> pd.Series[float]:
    import numpy as np

    return (2.0 ** np.floor(np.log2(seconds + 1e-6))).rename("bin_start")


def _gaps(notes: pd.DataFrame) -> pd.DataFrame:
    same = notes["task"].cat.codes.diff() == 0
    gaps = notes.assign(seconds=notes["start"].diff())[same]
    return gaps[gaps["seconds"] > 1e-6]


def _velocities(notes: pd.DataFrame) -> pd.DataFrame:
    of_task = notes.astype({"velocity": float}).groupby("task", observed=True)["velocity"]
    ends = of_task.agg(mean_velocity="mean", lowest="min", highest="max")
    return ends.assign(standard_deviation=of_task.std(ddof=0))


#: Data frames by question: those that pandas answers without ado.
PANDAS: Final[dict[str, Way]] = {
    "pitch_histogram": _frame("pitch", drums=False, answer=lambda n: _grouped(n, "pitch").size().rename("count")),
    "pitch_classes_by_seconds": _frame(
        *("pitch", "start", "end"),
        drums=False,
        answer=lambda n: _grouped(n.assign(pitch_class=n["pitch"] % 12, seconds=n["end"] - n["start"]), "pitch_class")[
            ["seconds"]
        ].sum(),
    ),
    "pitch_range": _frame("pitch", drums=False, answer=lambda n: _grouped(n)["pitch"].agg(lowest="min", highest="max")),
    "inter_onset_histogram": _frame(
        "start",
        drums=True,
        answer=lambda n: _grouped(gaps := _gaps(n), _octave(gaps["seconds"])).size().rename("count"),
    ),
    "duration_histogram": _frame(
        *("start", "end"),
        drums=True,
        answer=lambda n: _grouped(n, _octave(n["end"] - n["start"])).size().rename("count"),
    ),
    "velocity_statistics": _frame("velocity", drums=True, answer=_velocities),
}
