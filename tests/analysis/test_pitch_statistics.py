import math
import statistics
from collections import Counter

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from kie_notes.analysis.pitch_statistics import (
    mean_pitch,
    pitch_class_count,
    pitch_class_entropy,
    pitch_count,
    pitch_entropy,
    tessitura,
)
from kie_notes.errors import NotesSchemaError
from kie_notes.notes import NOTES_SCHEMA

HELPERS = [mean_pitch, pitch_entropy, pitch_class_entropy, pitch_count, pitch_class_count, tessitura]
WEIGHTED = [mean_pitch, pitch_entropy, pitch_class_entropy, tessitura]
few = settings(max_examples=25)


def notes_of(table, *pitches_and_seconds, task="a", instrument="Flute"):
    return table([(task, instrument, pitch, 1.0, 1.0 + seconds, 0.5, 0) for pitch, seconds in pitches_and_seconds])


@pytest.fixture
def small(table):
    return pl.concat(
        [
            notes_of(table, (60, 1.0), (60, 0.5), (72, 0.25), (76, 2.0)),
            notes_of(table, (36, 1.0), (38, 1.0), instrument="Drums"),
            notes_of(table, (61, 0.0), task="b"),
        ]
    )


# mean_pitch


def test_the_mean_pitch_and_its_population_deviation(table):
    notes = notes_of(table, (60, 1.0), (62, 1.0), (64, 1.0), (70, 1.0))
    assert mean_pitch(notes).rows() == [("a", 64.0, math.sqrt((16 + 4 + 0 + 36) / 4))]


def test_a_long_note_weighs_more_by_seconds(table):
    notes = notes_of(table, (60, 3.0), (64, 1.0))
    assert mean_pitch(notes, weight="seconds").rows() == [("a", 61.0, math.sqrt((3 * 1 + 1 * 9) / 4))]


@pytest.mark.parametrize("weight", ["count", "seconds"])
@pytest.mark.parametrize("seconds", [0.1, 1 / 3, 1e6])
def test_one_pitch_is_its_own_mean_to_the_last_bit(table, weight, seconds):
    assert mean_pitch(notes_of(table, *[(61, seconds)] * 7), weight=weight).rows() == [("a", 61.0, 0.0)]


def test_golden_mean_pitches_of_instruments_are_the_references(golden, reference):
    counted = mean_pitch(golden, by="instrument", drums="include")
    weighted = mean_pitch(golden, by="instrument", drums="include", weight="seconds")
    expected = [reference[f"per-instrument {name}"] for name in counted["instrument"]]
    assert counted["mean_pitch"].to_list() == pytest.approx([one["mean_pitch"] for one in expected], rel=1e-12)
    assert weighted["mean_pitch"].to_list() == pytest.approx([one["mean_pitch_durw"] for one in expected], rel=1e-12)


def test_means_of_the_samples_are_those_of_the_standard_library(samples):
    pitched = samples.filter(pl.col("instrument") != "Drums").cast({"task": pl.String})
    pitches = {task: part["pitch"].to_list() for (task,), part in pitched.partition_by("task", as_dict=True).items()}
    for task, mean, deviation in mean_pitch(samples).rows():
        assert mean == pytest.approx(statistics.fmean(pitches[task]), rel=1e-12)
        assert deviation == pytest.approx(statistics.pstdev(pitches[task]), abs=1e-9)


# entropies


def test_entropy_of_equal_parts_is_the_logarithm_of_their_number(table):
    eight = notes_of(table, *[(60 + 12 * (k % 2) + k, 0.5) for k in range(8)])
    assert pitch_entropy(eight).rows() == [("a", 3.0)]
    assert pitch_class_entropy(eight).rows() == [("a", 3.0)]


def test_entropy_of_unequal_parts(table):
    notes = notes_of(table, (60, 1.0), (60, 1.0), (72, 1.0), (76, 1.0))
    assert pitch_entropy(notes)["pitch_entropy"].item() == 1.5  # 1/2, 1/4, 1/4
    expected = -(0.75 * math.log2(0.75) + 0.25 * math.log2(0.25))
    assert pitch_class_entropy(notes)["pitch_class_entropy"].item() == pytest.approx(expected, rel=1e-12)


def test_entropy_of_seconds_goes_by_time(table):
    notes = notes_of(table, (60, 0.25), (60, 0.75), (62, 1.0), (64, 0.0))
    assert pitch_entropy(notes, weight="seconds").rows() == [("a", 1.0)]


def test_one_pitch_has_no_entropy_and_none_below_zero(table):
    value = pitch_entropy(notes_of(table, (60, 1.0), (60, 0.1)), weight="seconds")["pitch_entropy"].item()
    assert (value, math.copysign(1.0, value)) == (0.0, 1.0)


def test_twelve_equal_classes_have_the_greatest_entropy(table):
    notes = notes_of(table, *[(36 + k, 1.0) for k in range(12)])
    assert pitch_class_entropy(notes)["pitch_class_entropy"].item() == pytest.approx(3.585, abs=1e-3)


def test_golden_entropies_are_muspys(golden, reference):
    assert pitch_entropy(golden)["pitch_entropy"].item() == pytest.approx(reference["muspy.pitch_entropy"], rel=1e-12)
    classes = pitch_class_entropy(golden)["pitch_class_entropy"].item()
    assert classes == pytest.approx(reference["muspy.pitch_class_entropy"], rel=1e-12)


@pytest.mark.parametrize("helper", [pitch_entropy, pitch_class_entropy])
def test_entropies_of_the_samples_are_muspys(samples, peers, helper):
    name = helper.__name__
    theirs = peers.drop_nulls("muspy_pitch_range").select("task", pl.col(f"muspy_{name}").alias(name))
    assert_frame_equal(helper(samples), theirs, rel_tol=0, abs_tol=1e-9)


# counts


def test_a_pitch_that_returns_counts_once(small):
    assert pitch_count(small).rows() == [("a", 3), ("b", 1)]
    assert pitch_class_count(small).rows() == [("a", 2), ("b", 1)]


def test_golden_counts_are_muspys(golden, reference):
    assert pitch_count(golden)["pitches"].item() == reference["muspy.n_pitches_used"]
    assert pitch_class_count(golden)["pitch_classes"].item() == reference["muspy.n_pitch_classes_used"]


def test_counts_of_the_samples_are_muspys(samples, peers):
    theirs = peers.drop_nulls("muspy_pitch_range")
    assert pitch_count(samples)["task"].to_list() == theirs["task"].to_list()
    assert pitch_count(samples)["pitches"].to_list() == theirs["muspy_n_pitches_used"].to_list()
    assert pitch_class_count(samples)["pitch_classes"].to_list() == theirs["muspy_n_pitch_classes_used"].to_list()


# tessitura


def test_the_tessitura_is_from_the_first_quartile_of_the_time_to_the_third(table):
    # Cumulative time: 60: 1, 62: 3, 64: 7, 65: 8 seconds; quartiles at 2 and 6.
    notes = notes_of(table, (60, 1.0), (62, 2.0), (64, 4.0), (65, 1.0))
    assert tessitura(notes).rows() == [("a", 62, 64, 64.0, 2)]


def test_the_tessitura_of_notes_counts_each_as_one(table):
    notes = notes_of(table, (60, 1.0), (62, 2.0), (64, 4.0), (65, 1.0))
    assert tessitura(notes, weight="count").rows() == [("a", 60, 65, 63.0, 5)]


def test_a_quantile_that_falls_between_two_pitches_takes_both_in(table):
    # A quarter of the time is up with 60, and three quarters are up with 64.
    notes = notes_of(table, (60, 1.0), (62, 1.0), (64, 1.0), (66, 1.0))
    assert tessitura(notes).rows() == [("a", 60, 66, 63.0, 6)]


def test_a_quantile_is_met_in_spite_of_rounding(table):
    # Each lasts 0.1 s, but 100.1 - 100.0 is a little less than 0.1 - 0.0: the first quarter is not quite up with 60.
    starts = zip((60, 62, 64, 66), (100.0, 0.0, 0.0, 100.0), strict=True)
    notes = table([("a", "Flute", pitch, start, start + 0.1, 0.5, 0) for pitch, start in starts])
    assert tessitura(notes).rows() == [("a", 60, 66, 63.0, 6)]


def test_the_whole_coverage_is_the_range_of_what_sounds(table):
    notes = notes_of(table, (50, 0.0), (60, 0.1), (90, 5.0), (99, 0.0))
    assert tessitura(notes, coverage=1.0).rows() == [("a", 60, 90, 90.0, 30)]
    assert tessitura(notes, coverage=1.0, weight="count").rows() == [("a", 50, 99, 75.0, 49)]


@pytest.mark.parametrize("coverage", [-0.1, 1.1, math.nan])
def test_a_coverage_is_a_part(small, coverage):
    with pytest.raises(ValueError, match=f"coverage: expected 0 to 1, got {coverage}"):
        tessitura(small, coverage=coverage)


@few
@given(data=st.data(), coverage=st.sampled_from([0, 20, 50, 80, 90, 100]))
def test_the_tessitura_is_that_of_the_notes_laid_out_in_grid_steps(note_tables, data, coverage):
    notes = data.draw(note_tables())
    steps = {}
    for task, name, pitch, start, end, _, _ in notes.rows():
        if name != "Drums":
            steps.setdefault(task, []).extend([pitch] * round((end - start) * 192))
    found = {row[0]: row[1:4] for row in tessitura(notes, coverage=coverage / 100).rows()}
    assert found == {task: quantiles(sorted(laid), 100 - coverage) for task, laid in steps.items()}


def quantiles(laid, outside):
    if not laid:
        return (None, None, None)
    skipped = max(math.ceil(len(laid) * outside / 200), 1) - 1  # the lowest is the last of the least that suffice
    return (laid[skipped], laid[-1 - skipped], float(statistics.median(laid)))


@few
@given(data=st.data(), coverage=st.sampled_from([0.0, 0.5, 0.9, 1.0]), weight=st.sampled_from(["count", "seconds"]))
def test_a_mirrored_piece_has_the_mirrored_tessitura(note_tables, data, coverage, weight):
    notes = data.draw(note_tables())
    mirrored = notes.with_columns((127 - pl.col("pitch").cast(pl.Int16)).cast(pl.UInt8).alias("pitch"))
    ours = tessitura(notes, coverage=coverage, weight=weight)
    theirs = tessitura(mirrored, coverage=coverage, weight=weight)
    back = theirs.select(
        "task",
        lowest=(127 - pl.col("highest").cast(pl.Int16)).cast(pl.UInt8),
        highest=(127 - pl.col("lowest").cast(pl.Int16)).cast(pl.UInt8),
        median=127 - pl.col("median"),
        range=pl.col("range"),
    )
    assert_frame_equal(ours, back)


# What holds for all of them.


@pytest.mark.parametrize("helper", WEIGHTED)
def test_what_has_no_duration_has_no_value_by_seconds(small, helper):
    values = helper(small, weight="seconds").filter(pl.col("task") == "b").row(0)[1:]
    assert values == (None,) * len(values)


@pytest.mark.parametrize("helper", HELPERS)
def test_a_task_of_drums_alone_has_no_row(small, helper):
    assert helper(small.filter(pl.col("instrument") == "Drums")).height == 0
    assert helper(small, drums="only")["task"].to_list() == ["a"]


@pytest.mark.parametrize("helper", HELPERS)
def test_no_groups_pool_all_notes(small, helper):
    assert helper(small, by=()).equals(helper(small.with_columns(task=pl.lit("a"))).drop("task"))


@pytest.mark.parametrize("by", ["task", (), ("instrument", "track"), "velocity"])
@pytest.mark.parametrize("helper", HELPERS)
def test_no_notes_give_no_rows_of_the_same_schema(small, helper, by):
    none = helper(small.head(0), by=by)
    assert none.height == 0
    assert none.schema == helper(small, by=by).schema


def test_columns_have_the_types_that_are_documented(small):
    schemas = [helper(small).schema for helper in HELPERS]
    floats, count = pl.Float64(), pl.UInt32()
    assert [dict(schema) for schema in schemas] == [
        {"task": pl.String(), "mean_pitch": floats, "standard_deviation": floats},
        {"task": pl.String(), "pitch_entropy": floats},
        {"task": pl.String(), "pitch_class_entropy": floats},
        {"task": pl.String(), "pitches": count},
        {"task": pl.String(), "pitch_classes": count},
        {"task": pl.String(), "lowest": pl.UInt8(), "highest": pl.UInt8(), "median": floats, "range": pl.UInt8()},
    ]


@pytest.mark.parametrize("helper", HELPERS)
def test_a_lazyframe_gives_the_same(small, helper):
    lazy = helper(small.lazy())
    assert isinstance(lazy, pl.LazyFrame)
    assert lazy.collect().equals(helper(small))


@pytest.mark.parametrize("helper", HELPERS)
def test_what_is_no_notes_table_is_refused(small, helper):
    with pytest.raises(NotesSchemaError, match="missing column 'pitch'"):
        helper(small.drop("pitch"))


@pytest.mark.parametrize("helper", HELPERS)
def test_an_unknown_drums_policy_is_refused(small, helper):
    with pytest.raises(ValueError, match="drums: expected one of 'exclude', 'include', 'only', got 'none'"):
        helper(small, drums="none")


@pytest.mark.parametrize("helper", WEIGHTED)
def test_an_unknown_weight_is_refused(small, helper):
    with pytest.raises(ValueError, match="weight: expected one of 'count', 'seconds', got 'velocity'"):
        helper(small, weight="velocity")


@few
@given(data=st.data(), weight=st.sampled_from(["count", "seconds"]))
@pytest.mark.parametrize("helper", WEIGHTED)
def test_tasks_worked_on_apart_and_put_together_are_the_same_to_the_last_bit(helper, note_tables, data, weight):
    notes = data.draw(note_tables(min_size=1))
    parts = [notes.head(0), *notes.filter(pl.col("instrument") != "Drums").partition_by("task", maintain_order=True)]
    assert pl.concat(helper(part, weight=weight) for part in parts).equals(helper(notes, weight=weight))


@few
@given(data=st.data(), by=st.sampled_from(["task", (), ("instrument", "track")]))
@pytest.mark.parametrize("helper", HELPERS)
def test_the_order_of_rows_makes_no_difference_to_the_last_bit(helper, note_tables, data, by):
    notes = data.draw(note_tables())
    shuffled = pl.DataFrame(data.draw(st.permutations(notes.rows())), schema=NOTES_SCHEMA, orient="row")
    options = {"weight": "seconds"} if helper in WEIGHTED else {}
    assert helper(shuffled, by=by, **options).equals(helper(notes, by=by, **options))


@few
@given(data=st.data(), by=st.integers(-36, 55))
def test_a_transposed_piece_differs_by_the_transposition_alone(note_tables, data, by):
    notes = data.draw(note_tables())
    moved = notes.with_columns((pl.col("pitch").cast(pl.Int16) + by).cast(pl.UInt8).alias("pitch"))
    shift = pl.col("mean_pitch") + by
    assert_frame_equal(mean_pitch(moved), mean_pitch(notes).with_columns(shift), rel_tol=0, abs_tol=1e-9)
    for helper in (pitch_entropy, pitch_class_entropy, pitch_count, pitch_class_count):
        assert helper(moved).equals(helper(notes))


@few
@given(data=st.data(), factor=st.sampled_from([0.5, 2.0, 4.0]))
@pytest.mark.parametrize("helper", WEIGHTED)
def test_a_slower_piece_has_the_same_values(helper, note_tables, data, factor):
    notes = data.draw(note_tables())
    slower = notes.with_columns(pl.col("start", "end") * factor)
    assert_frame_equal(helper(slower, weight="seconds"), helper(notes, weight="seconds"), rel_tol=1e-9)


@few
@given(data=st.data())
def test_entropies_are_bounded_by_the_number_of_pitches(note_tables, data):
    notes = data.draw(note_tables())
    used = dict(pitch_count(notes).rows())
    assert all(-1e-12 <= bits <= math.log2(used[task]) + 1e-12 for task, bits in pitch_entropy(notes).rows())
    counts = Counter((task, pitch) for task, name, pitch, *_ in notes.rows() if name != "Drums")
    assert used == Counter(task for task, _ in counts)
