"""SciPy judges: what a comparison of two halves of the samples measures, live."""

import numpy as np
import polars as pl
import pytest

from kie_notes.analysis import compare, compare_histograms, pitch_histogram, task_summary

stats = pytest.importorskip("scipy.stats")
distance = pytest.importorskip("scipy.spatial.distance")


@pytest.fixture(scope="module")
def halves(samples):
    tasks = task_summary(samples).with_row_index("place")
    return [tasks.filter(pl.col("place") % 2 == k).drop("place") for k in (0, 1)]


@pytest.fixture(scope="module")
def compared(halves):
    """Give the comparison, feature by feature, and both halves' values without those that are null."""
    found = compare(*halves, resamples=0)
    return [
        (row, *(half[row["feature"]].drop_nulls().cast(pl.Float64).to_numpy() for half in halves))
        for row in found.rows(named=True)
    ]


def test_p_values_and_cliffs_delta_are_scipys_to_nine_decimals(compared):
    for row, first, second in compared:
        test = stats.mannwhitneyu(second, first, method="asymptotic")
        assert row["p_value"] == pytest.approx(test.pvalue, abs=1e-9), row["feature"]
        # U counts the pairs in which the second is higher, ties by half.
        delta = 2 * test.statistic / (len(first) * len(second)) - 1
        assert row["cliffs_delta"] == pytest.approx(delta, abs=1e-9), row["feature"]


def test_q_values_are_scipys_to_nine_decimals(compared):
    theirs = stats.false_discovery_control([row["p_value"] for row, _, _ in compared])
    assert [row["q_value"] for row, _, _ in compared] == pytest.approx(theirs, abs=1e-9)


def test_distances_are_scipys_to_nine_digits(compared):
    for row, first, second in compared:
        theirs = stats.wasserstein_distance(first, second)
        assert row["wasserstein"] == pytest.approx(theirs, rel=1e-9), row["feature"]


def test_overlaps_are_the_areas_under_scipys_densities_to_four_decimals(compared):
    # Both are sums over points, and not over the same ones.
    for row, first, second in compared:
        curves = [stats.gaussian_kde(side) for side in (first, second)]
        reach = 6 * max(curve.factor * side.std(ddof=1) for curve, side in zip(curves, (first, second), strict=True))
        values = np.concatenate([first, second])
        points = np.linspace(values.min() - reach, values.max() + reach, 20_001)
        area = np.trapezoid(np.minimum(*(curve(points) for curve in curves)), points)
        assert row["overlap"] == pytest.approx(area, abs=1e-4), row["feature"]


def test_distances_of_histograms_are_scipys_to_nine_decimals(samples, halves):
    shares = pitch_histogram(samples, normalize=True)
    parts = [shares.join(half, on="task", how="semi") for half in halves]
    found = dict(
        compare_histograms(*parts, bins="pitch", weight="share", resamples=0).select("measure", "value").rows()
    )
    means = [part.group_by("pitch").agg(pl.col("share").sum() / part["task"].n_unique()) for part in parts]
    first, second = (np.bincount(mean["pitch"].to_numpy(), mean["share"].to_numpy(), 128) for mean in means)
    assert found["jensen_shannon_distance"] == pytest.approx(distance.jensenshannon(first, second, base=2), abs=1e-9)
    pitches = np.arange(128)
    assert found["wasserstein"] == pytest.approx(stats.wasserstein_distance(pitches, pitches, first, second), abs=1e-9)
