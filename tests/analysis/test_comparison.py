import math

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kie_notes.analysis.comparison import compare, compare_histograms
from kie_notes.analysis.pitch import pitch_class_histogram, pitch_histogram
from kie_notes.analysis.resampling import adjust
from kie_notes.analysis.summary import task_summary

#: Two samples with ties, of different sizes, and what SciPy 1.17.1 says of them.
FIRST, SECOND = [1.0, 2.0, 2.0, 3.5, 5.0, 8.0, 8.5], [2.0, 4.0, 4.5, 8.0, 9.0, 12.0]

#: Two pitch-class histograms, as shares of 18 and of 16.
P, Q = [5, 0, 2, 0, 3, 1, 0, 4, 0, 2, 0, 1], [2, 1, 0, 3, 0, 0, 4, 1, 2, 0, 2, 1]

VALUES = st.lists(st.integers(-5, 5) | st.none(), min_size=1, max_size=12)


def features(values, *, kind=pl.Float64):
    return pl.DataFrame(
        {"task": [f"t{k:03}" for k in range(len(values))], "x": pl.Series(values, dtype=kind, strict=False)}
    )


def of(first, second, **options):
    return compare(features(first), features(second), **options).row(0, named=True)


def histogram(*tasks):
    rows = [(f"t{k:02}", j, count) for k, counts in enumerate(tasks) for j, count in enumerate(counts)]
    return pl.DataFrame(rows, schema={"task": pl.String, "pitch_class": pl.UInt8, "count": pl.UInt32}, orient="row")


def only(*classes):
    return histogram(*([int(k == one) for k in range(12)] for one in classes))


def values(answer):
    return dict(answer.select("measure", "value").rows())


# features


def test_the_test_is_scipys():
    # The p-value of scipy.stats.mannwhitneyu(SECOND, FIRST, method="asymptotic")
    assert of(FIRST, SECOND)["p_value"] == pytest.approx(0.249819364694559, rel=1e-12)


def test_cliffs_delta_is_the_chance_to_be_higher_less_the_chance_to_be_lower():
    # Of 42 pairs 28 are higher, 11 lower, 3 equal.
    assert of(FIRST, SECOND)["cliffs_delta"] == pytest.approx((28 - 11) / 42)


def test_the_distance_is_scipys():
    # As scipy.stats.wasserstein_distance(FIRST, SECOND) says
    assert of(FIRST, SECOND)["wasserstein"] == pytest.approx(2.2976190476190474, rel=1e-12)


def test_the_overlap_is_the_area_under_scipys_densities():
    # numpy.trapezoid over 200,001 points from -30 to 45 of the lower of scipy.stats.gaussian_kde(FIRST) and (SECOND)
    assert of(FIRST, SECOND)["overlap"] == pytest.approx(0.7779730324595979, abs=1e-5)


def test_means_medians_and_their_difference():
    row = of([1.0, 2.0, 6.0], [4.0, 8.0])
    names = ["first_mean", "second_mean", "first_median", "second_median", "difference"]
    assert [row[name] for name in names] == [3.0, 6.0, 2.0, 6.0, 3.0]


def test_nulls_are_counted_and_left_out():
    row = of([1.0, None, math.nan, 3.0], [math.inf, 5.0])
    assert [row[f"{side}_{what}"] for side in ("first", "second") for what in ("tasks", "nulls")] == [2, 2, 1, 1]
    assert (row["first_mean"], row["second_mean"]) == (2.0, 5.0)


def test_a_set_without_values_leaves_everything_null_but_the_other_sets_own():
    row = of([1.0, 2.0], [None, None])
    assert row["first_mean"] == 1.5
    assert {name for name, value in row.items() if value is None} == {
        *("second_mean", "second_median", "difference", "difference_low", "difference_high", "cliffs_delta"),
        *("cliffs_delta_low", "cliffs_delta_high", "overlap", "wasserstein", "p_value", "q_value"),
    }


@pytest.mark.parametrize(
    ("first", "second", "overlap"),
    [([2, 2, 2], [2, 2], 1.0), ([2, 2, 2], [3, 3], 0.0), ([2, 2, 2], [1, 2, 3], 0.0), ([2], [2, 3], None)],
)
def test_features_of_one_value_overlap_wholly_or_not_at_all(first, second, overlap):
    assert of(first, second)["overlap"] == overlap


def test_sets_far_apart_do_not_overlap():
    assert of([0.0, 1.0, 2.0], [1000.0, 1001.0, 1002.0])["overlap"] == pytest.approx(0.0, abs=1e-9)


def test_false_discoveries_are_counted_as_scipy_does():
    # As scipy.stats.false_discovery_control([.01, .04, .03, .2, .009]) says
    assert adjust(np.array([0.01, 0.04, 0.03, 0.2, 0.009])) == pytest.approx([0.025, 0.05, 0.05, 0.2, 0.025])


def test_q_values_count_the_features_that_were_tested():
    # Two tests of p .2498 and 1: the first is raised to .4996. The feature without values is no test.
    one, two = (features(v).with_columns(same=pl.lit(1), none=pl.lit(None, pl.Float64)) for v in (FIRST, SECOND))
    assert compare(one, two, resamples=0)["q_value"].to_list() == [pytest.approx(2 * 0.249819364694559), 1.0, None]


def test_intervals_are_those_of_the_bootstrap():
    # scipy.stats.bootstrap of the difference of means, method "percentile", 100,000 samples: -1.083 to 5.702
    row = of(FIRST, SECOND, resamples=20_000)
    assert [row["difference_low"], row["difference_high"]] == pytest.approx([-1.083, 5.702], abs=0.1)


def test_a_set_of_equal_values_has_an_interval_of_no_width():
    row = of([1, 1, 1], [3, 3])
    assert (row["difference_low"], row["difference_high"]) == (2.0, 2.0)
    assert (row["cliffs_delta_low"], row["cliffs_delta_high"]) == (1.0, 1.0)


def test_the_seed_decides_the_interval_and_nothing_else():
    one, same, other = (of(FIRST, SECOND, seed=seed) for seed in (1, 1, 2))
    assert one == same
    differing = {name for name in one if one[name] != other[name]}
    assert differing <= {"difference_low", "difference_high", "cliffs_delta_low", "cliffs_delta_high"}
    assert differing


def test_without_resamples_there_are_no_intervals():
    row = of(FIRST, SECOND, resamples=0)
    assert (row["difference_low"], row["cliffs_delta_high"]) == (None, None)


def test_the_other_features_do_not_change_a_features_answer():
    both = [features(v).with_columns(y=pl.lit(None, pl.Float64)) for v in (FIRST, SECOND)]
    assert compare(*both, features=["x"]).equals(compare(*both).head(1), null_equal=True)


def test_features_are_the_numbers_that_both_tables_have():
    one = pl.DataFrame({"task": ["a"], "b": [1], "name": ["x"], "a": [True], "mine": [1.0]})
    two = pl.DataFrame({"task": ["a"], "a": [False], "b": [2.0], "name": ["x"]})
    assert compare(one, two)["feature"].to_list() == ["b", "a"]


def test_summaries_of_the_samples_compare_with_themselves_as_equal(samples):
    summary = task_summary(samples)
    answer = compare(summary, summary, resamples=10)
    assert answer.select(pl.col("overlap").min(), pl.col("wasserstein").max(), pl.col("p_value").min()).row(0) == (
        1.0,
        0.0,
        1.0,
    )


@settings(max_examples=30)
@given(one=VALUES, two=VALUES)
def test_the_other_way_round_differences_change_their_sign_and_distances_do_not(one, two):
    there, back = of(one, two, resamples=0), of(two, one, resamples=0)
    for name in ("difference", "cliffs_delta"):
        if there[name] is not None:
            assert there[name] == pytest.approx(-back[name])
    for name in ("overlap", "wasserstein", "p_value"):
        assert there[name] == pytest.approx(back[name])


@settings(max_examples=30)
@given(one=VALUES, shift=st.integers(-9, 9))
def test_a_shift_is_the_difference_and_the_distance(one, shift):
    row = of(one, [value if value is None else value + shift for value in one], resamples=0)
    if row["difference"] is not None:
        assert (row["difference"], row["wasserstein"]) == (pytest.approx(shift), pytest.approx(abs(shift)))


@settings(max_examples=15)
@given(one=VALUES, two=VALUES)
def test_the_order_of_the_rows_does_not_matter(one, two):
    sides = features(one), features(two)
    assert compare(sides[0].reverse(), sides[1].reverse(), resamples=20).equals(compare(*sides, resamples=20))


def test_no_tasks_give_nulls_and_no_features_no_rows():
    row = of([], [])
    assert row["first_tasks"] == row["second_nulls"] == 0
    none = compare(features(["x"], kind=pl.String), features([1.0]))
    assert none.height == 0
    assert none.schema == compare(features([1]), features([2])).schema


@pytest.mark.parametrize(("helper", "make"), [(compare, features), (compare_histograms, lambda v: only(*v))])
def test_lazy_frames_give_lazy_frames_of_the_same(helper, make):
    sides = make([1, 2]), make([3])
    lazy = helper(sides[0].lazy(), sides[1].lazy())
    assert isinstance(lazy, pl.LazyFrame)
    assert lazy.collect().equals(helper(*sides))


def test_what_cannot_be_compared_is_refused():
    table = features([1.0])
    with pytest.raises(ValueError, match="second: expected a column 'task', got x"):
        compare(table, table.drop("task"))
    with pytest.raises(ValueError, match="features: 'y' is no column of numbers in both tables"):
        compare(table, table, features=["y"])
    with pytest.raises(ValueError, match="task 't000': expected one row per task, got several"):
        compare(pl.concat([table, table]), table)
    with pytest.raises(ValueError, match="resamples, seed: expected numbers from 0, got -1 and 0"):
        compare(table, table, resamples=-1)


# histograms


def test_all_c_and_all_g_are_a_fifth_apart():
    # mgeval's earth mover's distance is 0 here.
    assert values(compare_histograms(only(0), only(7))) == {
        "jensen_shannon_distance": 1.0,
        "wasserstein": 7.0,
        "circular_wasserstein": 5.0,
        "fifths_wasserstein": 1.0,
    }


def test_histogram_distances_are_scipys():
    # scipy.spatial.distance.jensenshannon(p, q, 2), scipy.stats.wasserstein_distance(range(12), range(12), p, q), and
    # scipy.optimize.linprog of the transport with costs round the semitones and round the fifths
    assert values(compare_histograms(histogram(P), histogram(Q))) == {
        "jensen_shannon_distance": pytest.approx(0.8081293248561366, rel=1e-12),
        "wasserstein": pytest.approx(1.1944444444444446, rel=1e-12),
        "circular_wasserstein": pytest.approx(0.9305555555555556, rel=1e-12),
        "fifths_wasserstein": pytest.approx(2.4444444444444446, rel=1e-12),
    }


def test_bins_that_are_not_there_are_zero_and_their_places_count():
    pitches = [pl.DataFrame({"task": ["a"], "pitch": [pitch], "count": [1]}) for pitch in (40, 52)]
    assert compare_histograms(*pitches, bins="pitch").select("measure", "unit", "value").rows() == [
        ("jensen_shannon_distance", "bits ** 0.5", 1.0),
        ("wasserstein", "semitones", 12.0),
    ]


def test_each_task_or_each_note_counts_the_same():
    long, short = [100, *[0] * 11], [0] * 7 + [1, *[0] * 4]
    both = histogram(long, short)
    assert values(compare_histograms(both, only(0)))["wasserstein"] == pytest.approx(3.5)
    assert values(compare_histograms(both, only(0), each="note"))["wasserstein"] == pytest.approx(7 / 101)


def test_tasks_with_empty_histograms_are_left_out():
    row = compare_histograms(histogram([0] * 12, P), histogram(Q)).row(0, named=True)
    assert (row["first_tasks"], row["second_tasks"]) == (1, 1)


def test_an_empty_set_has_no_distance():
    answer = compare_histograms(only(), only(1))
    assert answer["measure"].len() == 4
    assert answer.select("value", "low", "high", "p_value").unique().row(0) == (None, None, None, None)


def test_chance_explains_equal_sets_and_not_opposite_ones():
    mixed, other = only(*[0, 7] * 6), only(*[2, 6] * 6)
    equal = compare_histograms(mixed, mixed, resamples=200)
    assert equal["p_value"].min() == 1.0
    opposite = compare_histograms(mixed, other, resamples=200).row(0, named=True)
    assert opposite["p_value"] == pytest.approx(1 / 201)


def test_a_sure_distance_has_an_interval_of_no_width():
    row = compare_histograms(only(0, 0, 0), only(7, 7)).row(2, named=True)
    assert (row["low"], row["value"], row["high"]) == (5.0, 5.0, 5.0)


def test_the_golden_piece_is_as_far_from_itself_transposed_as_it_moved(golden):
    # Up by a fifth: seven semitones along the pitches. Round the fifths each class takes the place of the one before,
    # and the way is the sum of the shares' distances from their median. The shares are 1, 3, 4, twice 6, twice 8, 12
    # 48ths and four of nothing, and the median is 3.5.
    up = golden.with_columns(pl.when(pl.col("instrument") != "Drums").then(pl.col("pitch") + 7).otherwise("pitch"))
    pitches = compare_histograms(pitch_histogram(golden), pitch_histogram(up), bins="pitch")
    assert values(pitches)["wasserstein"] == pytest.approx(7.0)
    classes = compare_histograms(pitch_class_histogram(golden), pitch_class_histogram(up))
    assert values(classes)["fifths_wasserstein"] == pytest.approx(5 / 6)


@settings(max_examples=30)
@given(data=st.data(), up=st.integers(0, 11))
def test_round_the_circle_it_does_not_matter_where_c_is(data, up):
    counts = st.lists(st.integers(0, 9), min_size=12, max_size=12).filter(any)
    one, two = data.draw(counts), data.draw(counts)
    here = values(compare_histograms(histogram(one), histogram(two), resamples=0))
    moved = [side[up:] + side[:up] for side in (one, two)]
    there = values(compare_histograms(*map(histogram, moved), resamples=0))
    for measure in ("jensen_shannon_distance", "circular_wasserstein", "fifths_wasserstein"):
        assert there[measure] == pytest.approx(here[measure], abs=1e-7)
    assert here["circular_wasserstein"] <= here["wasserstein"] + 1e-12


def test_histograms_that_are_none_are_refused():
    good = only(0)
    with pytest.raises(ValueError, match="second: expected a column 'count'"):
        compare_histograms(good, good.drop("count"))
    with pytest.raises(ValueError, match="first: expected whole numbers in 'pitch_class'"):
        compare_histograms(good.cast({"pitch_class": pl.Float64}), good)
    with pytest.raises(ValueError, match="task 't00': expected one row per task and bin, got several"):
        compare_histograms(pl.concat([good, good]), good)
    with pytest.raises(ValueError, match=r"expected weights from 0, got -1\.0"):
        compare_histograms(good.with_columns(count=pl.lit(-1)), good)
    with pytest.raises(ValueError, match="each: expected one of 'task', 'note', got 'bar'"):
        compare_histograms(good, good, each="bar")
    with pytest.raises(ValueError, match="pitch_class: expected 0 to 11, got 12"):
        compare_histograms(pl.DataFrame({"task": ["a"], "pitch_class": [12], "count": [1]}), good)
