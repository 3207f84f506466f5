"""How two data sets differ: in the features of their tasks, and in their histograms.

The unit is the **task**, never the note: notes of one piece resemble one another, so that a million notes of ten pieces
are ten observations. The two sets are taken as independent samples of tasks. Values that are null, or no finite number,
are counted and left out of that feature. What is measured, for a feature with values x in the first set and y in the
second:

- **difference** of the means, mean(y) - mean(x), in the feature's unit
- **Cliff's delta**, P(y > x) - P(y < x), -1 to 1, the effect size that needs no normal distribution (Cliff 1993)
- **overlap**, the area under both density curves, 0 to 1 (Yang and Lerch 2020). Curves are Gaussian kernel estimates,
  each with the bandwidth of Scott's rule, n^(-1/5) times the standard deviation (n - 1), on one support that reaches
  six bandwidths beyond the data, so that equal sets give 1. A feature of one value has no width: two such sets overlap
  wholly if the value is the same and not at all otherwise, and such a set never overlaps with one that varies
- **Wasserstein-1** distance, the mean way that values have to go to make one set the other, in the feature's unit
- **p-value** of the Mann-Whitney U test, two-sided, by the normal approximation with corrections for ties and
  continuity (below some eight values a side it is rough), and the **q-value** after Benjamini and Hochberg (1995) over
  the features of the table

Intervals are 95 % percentile intervals of a bootstrap that draws tasks (Efron and Tibshirani 1993), each set its own,
with NumPy's PCG64 and the seed given; rows are put in the order of their tasks first, so that neither the order of the
rows nor the other features matter.

This is not mgeval's comparison (Yang and Lerch's program), whose Kullback-Leibler divergence puts two densities on two
grids and is 0 for any shift, whose overlap of equal sets is .997, and whose earth mover's distance of a histogram of
nothing but C and one of nothing but G is 0.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np
import polars as pl

from kie_notes.analysis.distances import along, around, dominance, jensen_shannon, mann_whitney, overlap, wasserstein
from kie_notes.analysis.grouping import check_choice
from kie_notes.analysis.resampling import adjust, deals, draws, interval

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    from kie_notes.notes import Frame

    Values = NDArray[np.float64]

#: Whether each task or each note (each unit of weight) counts the same in a pooled histogram.
Each = Literal["task", "note"]

_NUMBER: Final = pl.Float64()

_COMPARED: Final = {
    "feature": pl.String(),
    **dict.fromkeys(("first_tasks", "first_nulls", "second_tasks", "second_nulls"), pl.UInt32()),
    **dict.fromkeys(("first_mean", "second_mean", "first_median", "second_median"), _NUMBER),
    **dict.fromkeys(("difference", "difference_low", "difference_high"), _NUMBER),
    **dict.fromkeys(("cliffs_delta", "cliffs_delta_low", "cliffs_delta_high"), _NUMBER),
    **dict.fromkeys(("overlap", "wasserstein", "p_value", "q_value"), _NUMBER),
}

_MEASURED: Final = {
    **dict.fromkeys(("measure", "unit"), pl.String()),
    **dict.fromkeys(("first_tasks", "second_tasks"), pl.UInt32()),
    **dict.fromkeys(("value", "low", "high", "p_value"), _NUMBER),
}


def compare(
    first: Frame,
    second: pl.DataFrame | pl.LazyFrame,
    *,
    features: Sequence[str] | None = None,
    resamples: int = 1000,
    seed: int = 0,
) -> Frame:
    """Compare two data sets feature by feature: means, effect size, overlap, distance, test.

    Parameters
    ----------
    first, second
        Tables of one row per task: ``task`` and columns of numbers, as ``task_summary`` gives them. They may share
        tasks; that they are the same recordings is not made use of.
    features
        Columns to compare; None: all numbers and Booleans (as 0 and 1) that both tables have, in the first's order.
    resamples
        Bootstrap samples, >= 0; 0 leaves the intervals null. They are what takes time, in proportion to their number
        and that of the tasks; the narrow intervals of very many tasks need fewer.
    seed
        Seed of the bootstrap, >= 0.

    Returns
    -------
    One row per feature, in their order; numbers are Float64 and null where a set has no value, if not said otherwise:

    - ``feature`` (String)
    - ``first_tasks``, ``second_tasks`` (UInt32): tasks with a value
    - ``first_nulls``, ``second_nulls`` (UInt32): tasks without one (null, NaN or infinite)
    - ``first_mean``, ``second_mean``, ``first_median``, ``second_median``: in the feature's unit
    - ``difference``: second mean - first mean; ``difference_low``, ``difference_high``: its interval
    - ``cliffs_delta``: -1 (the first set's values are all higher) to 1; ``cliffs_delta_low``, ``cliffs_delta_high``
    - ``overlap``: 0 to 1; also null where a set has a single value
    - ``wasserstein``: >= 0, in the feature's unit
    - ``p_value``, ``q_value``: 0 to 1

    Raises
    ------
    ValueError
        If a table has no column ``task``, a feature is no column of numbers in both, or an option is out of its range.
        If a task stands in several rows of a table (when the query runs).

    References
    ----------
    Cliff, "Dominance statistics", 1993; Yang and Lerch, "On the evaluation of generative models in music", 2020;
    Scott, "Multivariate density estimation", 1992; Mann and Whitney 1947; Benjamini and Hochberg 1995; Efron and
    Tibshirani, "An introduction to the bootstrap", 1993. ``scipy.stats``: ``mannwhitneyu`` (asymptotic),
    ``wasserstein_distance``, ``gaussian_kde``, ``false_discovery_control``.

    Examples
    --------
    >>> import polars as pl
    >>> first = pl.DataFrame({"task": ["a", "b", "c"], "notes": [1, 2, 3]})
    >>> second = pl.DataFrame({"task": ["d", "e", "f"], "notes": [4, 5, None]})
    >>> compare(first, second).select("difference", "cliffs_delta", "second_nulls", "wasserstein").rows()
    [(2.5, 1.0, 1, 2.5)]
    """
    _check_draws(resamples, seed)
    ours, theirs = (_schema(table, name, "task") for table, name in ((first, "first"), (second, "second")))
    names = list(features) if features is not None else [c for c in ours if c in theirs and _counts(ours, theirs, c)]
    for name in names:
        if name == "task" or not _counts(ours, theirs, name):
            raise ValueError(f"features: '{name}' is no column of numbers in both tables")
    work = partial(_compare, features=names, resamples=resamples, seed=seed)
    columns = [pl.col(name).cast(_NUMBER) for name in names]
    return _run(first, second, columns, work, _COMPARED)


def compare_histograms(
    first: Frame,
    second: pl.DataFrame | pl.LazyFrame,
    *,
    bins: str = "pitch_class",
    weight: str = "count",
    each: Each = "task",
    resamples: int = 1000,
    seed: int = 0,
) -> Frame:
    """Compare the histograms of two data sets: how far apart, and whether chance explains it.

    Parameters
    ----------
    first, second
        Tables of one row per task and bin, as ``pitch_histogram`` or ``pitch_class_histogram`` give them; a bin that is
        not there is 0.
    bins
        The column of the bins: whole numbers, such as ``pitch``, ``pitch_class``, an interval.
    weight
        The column of what is in the bins: numbers >= 0. Null is 0.
    each
        ``task``: each task's histogram is made to sum to 1 first, so that long pieces count no more than short ones.
        ``note``: the histograms are added up as they are.
    resamples
        Bootstrap samples and permutations, >= 0; 0 leaves intervals and p-values null.
    seed
        Seed of both, >= 0.

    Returns
    -------
    One row per measure, in this order:

    - ``measure`` (String): ``jensen_shannon_distance``; ``wasserstein`` along the bins; for ``pitch_class`` also
      ``circular_wasserstein`` round the twelve semitones and ``fifths_wasserstein`` round the circle of fifths
    - ``unit`` (String): ``bits ** 0.5`` (the root of the divergence to base 2, 0 to 1), ``semitones``, ``fifths``, or
      the name of the bins
    - ``first_tasks``, ``second_tasks`` (UInt32): tasks whose histogram is not empty; others are left out
    - ``value`` (Float64): >= 0; null where a set has no such task
    - ``low``, ``high`` (Float64): 95 % interval of the bootstrap. It lies above 0 even for equal sets: a sample is
      never quite like another
    - ``p_value`` (Float64): how often tasks dealt out at random are as far apart, (1 + those) / (1 + ``resamples``)

    Raises
    ------
    ValueError
        If a table has no column ``task``, ``bins`` (of whole numbers) or ``weight``, or an option has a value that it
        cannot have. If a bin stands twice in a task or weighs less than 0, or a pitch class is none (when the query
        runs).

    References
    ----------
    Lin, "Divergence measures based on the Shannon entropy", 1991; Endres and Schindelin, "A new metric for probability
    distributions", 2003; Werman, Peleg, Melter and Kong, "Bipartite graph matching for points on a line or a circle",
    1986 (the circle). ``scipy.spatial.distance.jensenshannon(base=2)``, ``scipy.stats.wasserstein_distance``.

    Examples
    --------
    >>> import polars as pl
    >>> only_c = pl.DataFrame({"task": ["a"], "pitch_class": [0], "count": [9]})
    >>> only_g = pl.DataFrame({"task": ["b"], "pitch_class": [7], "count": [5]})
    >>> compare_histograms(only_c, only_g, resamples=0).select("measure", "value").rows()
    [('jensen_shannon_distance', 1.0), ('wasserstein', 7.0), ('circular_wasserstein', 5.0), ('fifths_wasserstein', 1.0)]
    """
    check_choice("each", each, Each)
    _check_draws(resamples, seed)
    for table, name in ((first, "first"), (second, "second")):
        schema = _schema(table, name, "task", bins, weight)
        if not schema[bins].is_integer() or not schema[weight].is_numeric():
            raise ValueError(f"{name}: expected whole numbers in '{bins}' and numbers in '{weight}', got {schema}")
    work = partial(_compare_histograms, bins=bins, each=each, resamples=resamples, seed=seed)
    columns = [pl.col(bins).cast(pl.Int64).alias("bin"), pl.col(weight).cast(_NUMBER).fill_null(0).alias("weight")]
    return _run(first, second, columns, work, _MEASURED)


def _check_draws(resamples: int, seed: int) -> None:
    if resamples < 0 or seed < 0:
        raise ValueError(f"resamples, seed: expected numbers from 0, got {resamples} and {seed}")


def _schema(table: pl.DataFrame | pl.LazyFrame, name: str, *wanted: str) -> pl.Schema:
    schema = table.collect_schema()
    for column in wanted:
        if column not in schema:
            raise ValueError(f"{name}: expected a column '{column}', got {', '.join(schema)}")
    return schema


def _counts(ours: pl.Schema, theirs: pl.Schema, name: str) -> bool:
    kinds = (ours.get(name), theirs.get(name))
    return all(kind is not None and (kind.is_numeric() or kind == pl.Boolean()) for kind in kinds)


def _run(
    first: Frame,
    second: pl.DataFrame | pl.LazyFrame,
    columns: list[pl.Expr],
    work: Callable[[pl.DataFrame], pl.DataFrame],
    schema: dict[str, Any],
) -> Frame:
    """Let ``work`` answer, over the rows of both tables with ``__second``, by task."""
    sides = [
        table.lazy().select(pl.col("task").cast(pl.String), *columns, pl.lit(which).alias("__second"))
        for which, table in ((False, first), (True, second))
    ]
    answer = pl.concat(sides).map_batches(work, schema=schema)
    return answer if isinstance(first, pl.LazyFrame) else answer.collect(engine="streaming")


def _check_once(rows: pl.DataFrame, *keys: str) -> None:
    """Refuse two rows of a table for one task, or for one bin of it."""
    twice = rows.filter(pl.struct(keys).is_duplicated())["task"].to_list()
    if twice:
        raise ValueError(f"task '{min(twice)}': expected one row per task{' and bin' * (len(keys) > 2)}, got several")


def _compare(rows: pl.DataFrame, *, features: list[str], resamples: int, seed: int) -> pl.DataFrame:
    _check_once(rows, "task", "__second")
    rows = rows.sort("task")
    sides = [rows.filter(pl.col("__second") == which).select(features).to_numpy() for which in (False, True)]
    one, two = (np.where(np.isfinite(side), side, np.nan) for side in sides)
    drawn = _bootstrap(one, two, resamples, seed)
    answers = [_describe(x, y) | intervals for x, y, intervals in zip(one.T, two.T, drawn, strict=True)]
    table = pl.DataFrame(answers, schema={name: kind for name, kind in _COMPARED.items() if name != "feature"})
    p = table["p_value"].drop_nulls().to_numpy()
    q = pl.Series([None] * table.height, dtype=_NUMBER).scatter(table["p_value"].is_not_null().arg_true(), adjust(p))
    return table.with_columns(q_value=q, feature=pl.Series(features, dtype=pl.String)).select(*_COMPARED)


def _describe(one: Values, two: Values) -> dict[str, float | None]:
    """What needs no draws."""
    x, y = (np.sort(side[~np.isnan(side)]) for side in (one, two))
    counts = {"first_tasks": len(x), "second_tasks": len(y)}
    counts |= {"first_nulls": len(one) - len(x), "second_nulls": len(two) - len(y)}
    means = {name: float(f(v)) for name, f, v in _averages(x, y) if len(v)}
    if not len(x) or not len(y):
        return {**counts, **means}
    return {
        **counts,
        **means,
        "difference": means["second_mean"] - means["first_mean"],
        "cliffs_delta": dominance(x, y),
        "overlap": overlap(x, y) if min(len(x), len(y)) > 1 else None,
        "wasserstein": wasserstein(x, y),
        "p_value": mann_whitney(x, y),
    }


def _averages(x: Values, y: Values) -> Iterator[tuple[str, Callable[[Values], Any], Values]]:
    for side, values in (("first", x), ("second", y)):
        yield f"{side}_mean", np.mean, values
        yield f"{side}_median", np.median, values


def _bootstrap(one: Values, two: Values, resamples: int, seed: int) -> list[dict[str, float | None]]:
    """Intervals of the difference and of Cliff's delta, for each feature."""
    drawn: list[tuple[list[Values], list[Values]]] = [([], []) for _ in one.T]
    for drawn_weights in draws(len(one), len(two), resamples, seed):
        weights = [np.ascontiguousarray(side.T) for side in drawn_weights]
        for (means, deltas), x, y in zip(drawn, one.T, two.T, strict=True):
            difference, delta = _redo(x, y, *weights)
            means.append(difference)
            deltas.append(delta)
    answers = []
    for samples in drawn:
        (low, high), (weak, strong) = (interval(np.concatenate([np.zeros(0), *parts])) for parts in samples)
        answers.append({"difference_low": low, "difference_high": high})
        answers[-1] |= {"cliffs_delta_low": weak, "cliffs_delta_high": strong}
    return answers


def _redo(x: Values, y: Values, ours: Values, theirs: Values) -> tuple[Values, Values]:
    """Difference of means and Cliff's delta for each column of weights; NaN where a set's values are all left out."""
    rows = [np.argsort(side, kind="stable")[: np.count_nonzero(~np.isnan(side))] for side in (x, y)]
    x, y, ours, theirs = x[rows[0]], y[rows[1]], ours[rows[0]], theirs[rows[1]]
    n, m = ours.sum(axis=0), theirs.sum(axis=0)
    below = np.concatenate([np.zeros((1, ours.shape[1])), np.cumsum(ours, axis=0)])
    both = below[np.searchsorted(x, y, side="left")] + below[np.searchsorted(x, y, side="right")]
    with np.errstate(invalid="ignore"):
        return y @ theirs / m - x @ ours / n, np.einsum("ij,ij->j", theirs, both) / (n * m) - 1


def _compare_histograms(rows: pl.DataFrame, *, bins: str, each: Each, resamples: int, seed: int) -> pl.DataFrame:
    _check_once(rows, "task", "__second", "bin")
    if (rows["weight"] < 0).any():
        raise ValueError(f"expected weights from 0, got {min(rows['weight'].to_list())}")
    if bins == "pitch_class" and not rows["bin"].is_between(0, 11).all():
        raise ValueError(f"pitch_class: expected 0 to 11, got {max(rows['bin'].to_list())}")
    support = np.arange(12) if bins == "pitch_class" else rows["bin"].unique().sort().to_numpy()
    one, two = (_matrix(rows.filter(pl.col("__second") == which), support, each) for which in (False, True))
    measures = _measures(bins, support)
    drawn: dict[str, list[Values]] = {name: [] for name in measures}
    further = dict.fromkeys(measures, 0)
    whole = dict.fromkeys(measures, np.nan)
    if len(one) and len(two):
        whole = {
            name: float(far(_pool(one.sum(axis=0)), _pool(two.sum(axis=0)))) for name, (_, far) in measures.items()
        }
        for ours, theirs in draws(len(one), len(two), resamples, seed):
            for name, (_, far) in measures.items():
                drawn[name].append(far(_pool(ours @ one), _pool(theirs @ two)))
        every = np.concatenate([one, two])
        for dealt in deals(len(one), len(two), resamples, seed):
            for name, (_, far) in measures.items():
                distance = far(_pool(dealt @ every), _pool((1 - dealt) @ every))
                further[name] += int(np.sum(distance >= whole[name] - 1e-12))
    limits = {name: interval(np.concatenate([np.zeros(0), *parts])) for name, parts in drawn.items()}
    tested = resamples > 0 and len(one) > 0 and len(two) > 0
    answers = [
        {
            "measure": name,
            "unit": unit,
            "first_tasks": len(one),
            "second_tasks": len(two),
            "value": None if np.isnan(whole[name]) else whole[name],
            "low": limits[name][0],
            "high": limits[name][1],
            "p_value": (1 + further[name]) / (1 + resamples) if tested else None,
        }
        for name, (unit, _) in measures.items()
    ]
    return pl.DataFrame(answers, schema=_MEASURED)


def _matrix(rows: pl.DataFrame, support: NDArray[Any], each: Each) -> Values:
    """One row per task whose histogram is not empty, by task; one column per bin."""
    rows = rows.filter(pl.col("weight") > 0).sort("task", "bin")
    tasks = rows["task"].rank("dense").to_numpy().astype(np.int64) - 1
    table = np.zeros((rows["task"].n_unique(), len(support)))
    table[tasks, np.searchsorted(support, rows["bin"].to_numpy())] = rows["weight"].to_numpy()
    return _pool(table) if each == "task" else table


def _pool(weights: Values) -> Values:
    """Make each row sum to 1."""
    shares: Values = weights / weights.sum(axis=-1, keepdims=True)
    return shares


def _measures(bins: str, support: NDArray[Any]) -> dict[str, tuple[str, Callable[[Values, Values], Values]]]:
    """The measures that bins of a kind have: unit, and function of two rows of histograms."""
    semitones = "semitones" if bins in ("pitch", "pitch_class", "interval") else bins
    widths = np.diff(support).astype(float)
    fifths = np.arange(12) * 7 % 12
    line: dict[str, tuple[str, Callable[[Values, Values], Values]]] = {
        "jensen_shannon_distance": ("bits ** 0.5", jensen_shannon),
        "wasserstein": (semitones, partial(along, widths=widths)),
    }
    if bins != "pitch_class":
        return line
    return line | {
        "circular_wasserstein": (semitones, around),
        "fifths_wasserstein": ("fifths", lambda p, q: around(p[..., fifths], q[..., fifths])),
    }
