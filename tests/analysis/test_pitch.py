import math

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from kie_notes.analysis.pitch import pitch_class_histogram, pitch_histogram, pitch_range
from kie_notes.notes import NOTES_SCHEMA

HISTOGRAMS = [pitch_histogram, pitch_class_histogram]
WEIGHTS = ["count", "seconds", "velocity", "velocity_seconds"]


def weight_of(weight, start, end, velocity):
    return {"count": 1, "seconds": end - start, "velocity": velocity, "velocity_seconds": velocity * (end - start)}[
        weight
    ]


@pytest.fixture
def small(table):
    return table(
        [
            ("a", "Flute", 60, 0.0, 1.0, 0.5, 0),
            ("a", "Drums", 36, 0.0, 0.5, 1.0, 1),
            ("a", "Flute", 72, 1.0, 1.5, 0.25, 0),
            ("a", "Flute", 60, 2.0, 4.0, 1.0, 0),
            ("b", "Oboe", 61, 0.0, 0.0, 0.5, 0),
        ]
    )


@pytest.mark.parametrize(
    ("weight", "values"),
    [
        ("count", [2, 1, 1]),
        ("seconds", [3.0, 0.5, 0.0]),
        ("velocity", [1.5, 0.25, 0.5]),
        ("velocity_seconds", [2.5, 0.125, 0.0]),
    ],
)
def test_a_pitch_has_the_sum_of_its_notes_weights(small, weight, values):
    result = pitch_histogram(small, weight=weight)
    assert result.columns == ["task", "pitch", weight]
    assert result.rows() == [("a", 60, values[0]), ("a", 72, values[1]), ("b", 61, values[2])]


def test_shares_sum_to_one_in_each_group(small):
    result = pitch_histogram(small, weight="seconds", normalize=True)
    assert result.rows() == [("a", 60, 3.0 / 3.5), ("a", 72, 0.5 / 3.5), ("b", 61, None)]


@pytest.mark.parametrize("histogram", HISTOGRAMS)
def test_a_share_of_no_weight_is_null(small, histogram):
    result = histogram(small.filter(pl.col("task") == "b"), weight="seconds", normalize=True)
    assert result["share"].null_count() == result.height > 0


def test_pitch_classes_have_twelve_rows_a_group(small):
    result = pitch_class_histogram(small)
    assert result.filter(pl.col("task") == "a").rows() == [("a", 0, 3)] + [("a", k, 0) for k in range(1, 12)]
    assert result.filter(pl.col("task") == "b").rows() == [("b", k, int(k == 1)) for k in range(12)]


FIFTHS = [0, 7, 2, 9, 4, 11, 6, 1, 8, 3, 10, 5]  # C G D A E B F# C# G# D# A# F


def test_pitch_classes_come_in_fifths_when_asked(small):
    result = pitch_class_histogram(small, order="fifths")
    assert result.filter(pl.col("task") == "a").rows() == [("a", k, 3 if k == 0 else 0) for k in FIFTHS]
    assert result.filter(pl.col("task") == "b").rows() == [("b", k, int(k == 1)) for k in FIFTHS]


def test_an_unknown_order_is_refused(small):
    with pytest.raises(ValueError, match="order: expected one of 'chromatic', 'fifths', got 'fourths'"):
        pitch_class_histogram(small, order="fourths")


@given(data=st.data(), weight=st.sampled_from(WEIGHTS), by=st.sampled_from(["task", (), ("instrument", "track")]))
def test_the_order_of_pitch_classes_changes_nothing_else(note_tables, data, weight, by):
    notes = data.draw(note_tables())
    chromatic = pitch_class_histogram(notes, by=by, weight=weight)
    fifths = pitch_class_histogram(notes, by=by, weight=weight, order="fifths")
    assert fifths.sort(chromatic.columns[:-1]).equals(chromatic)
    assert fifths["pitch_class"].to_list() == FIFTHS * (fifths.height // 12)


def test_no_groups_pool_all_notes(small):
    assert pitch_histogram(small, by=()).rows() == [(60, 2), (61, 1), (72, 1)]
    assert pitch_class_histogram(small, by=())["count"].to_list() == [3, 1] + [0] * 10


@pytest.mark.parametrize(("drums", "pitches"), [("exclude", [60, 72]), ("include", [36, 60, 72]), ("only", [36])])
def test_drums_are_counted_as_asked(small, drums, pitches):
    assert pitch_histogram(small, drums=drums).filter(pl.col("task") == "a")["pitch"].to_list() == pitches


def test_a_group_of_drums_alone_has_no_row(small):
    drums = small.filter(pl.col("instrument") == "Drums")
    assert [f(drums).height for f in (pitch_histogram, pitch_class_histogram, pitch_range)] == [0, 0, 0]


def test_the_range_is_from_the_lowest_to_the_highest_pitch(small):
    assert pitch_range(small).rows() == [("a", 60, 72, 12), ("b", 61, 61, 0)]
    assert pitch_range(small, drums="include").rows()[0] == ("a", 36, 72, 36)
    assert pitch_range(small, by=()).rows() == [(60, 72, 12)]
    assert pitch_range(small, by=("instrument", "track")).rows() == [("Flute", 0, 60, 72, 12), ("Oboe", 0, 61, 61, 0)]


@pytest.mark.parametrize("histogram", HISTOGRAMS)
def test_an_unknown_weight_is_refused(small, histogram):
    with pytest.raises(ValueError, match="weight: expected one of 'count', 'seconds', 'velocity', 'velocity_seconds'"):
        histogram(small, weight="duration")


@pytest.mark.parametrize("helper", [*HISTOGRAMS, pitch_range])
def test_an_unknown_drums_policy_is_refused(small, helper):
    with pytest.raises(ValueError, match="drums: expected one of 'exclude', 'include', 'only', got 'none'"):
        helper(small, drums="none")


@pytest.mark.parametrize("by", ["task", (), ("instrument", "track"), "velocity"])
@pytest.mark.parametrize(
    "options", [{}, {"normalize": True}, {"weight": "seconds"}, {"weight": "seconds", "normalize": True}]
)
@pytest.mark.parametrize("histogram", HISTOGRAMS)
def test_no_notes_give_no_rows_of_the_same_schema(small, histogram, options, by):
    none = histogram(small.head(0), by=by, **options)
    assert none.height == 0
    assert none.schema == histogram(small, by=by, **options).schema


def test_no_notes_have_no_range(small):
    assert pitch_range(small.head(0)).height == 0
    assert pitch_range(small.head(0)).schema == pitch_range(small).schema


def test_columns_have_the_types_that_are_documented(small):
    count = {"task": pl.String, "pitch": pl.UInt8, "count": pl.UInt32}
    seconds = {"task": pl.String, "pitch_class": pl.UInt8, "seconds": pl.Float64}
    assert pitch_histogram(small).schema == count
    assert pitch_class_histogram(small, weight="seconds").schema == seconds
    assert pitch_range(small).dtypes == [pl.String, pl.UInt8, pl.UInt8, pl.UInt8]


@given(data=st.data(), weight=st.sampled_from(WEIGHTS), drums=st.sampled_from(["include", "exclude", "only"]))
@pytest.mark.parametrize("histogram", HISTOGRAMS)
def test_the_total_is_the_sum_over_the_notes(histogram, note_tables, data, weight, drums):
    notes = data.draw(note_tables())
    kept = {"include": {"Drums", "Flute", "Steel Drums"}, "exclude": {"Flute", "Steel Drums"}, "only": {"Drums"}}[drums]
    total = sum(weight_of(weight, s, e, v) for _, name, _, s, e, v, _ in notes.rows() if name in kept)
    assert histogram(notes, weight=weight, drums=drums)[weight].sum() == pytest.approx(total, rel=1e-12, abs=1e-12)


@given(data=st.data(), weight=st.sampled_from(WEIGHTS), normalize=st.booleans())
@pytest.mark.parametrize("histogram", HISTOGRAMS)
def test_tasks_worked_on_apart_and_put_together_are_the_same_to_the_last_bit(
    histogram, note_tables, data, weight, normalize
):
    notes = data.draw(note_tables(min_size=1))
    kept = notes.filter(pl.col("instrument") != "Drums")
    parts = [notes.head(0), *kept.partition_by("task", maintain_order=True)]
    apart = pl.concat(histogram(part, weight=weight, normalize=normalize) for part in parts)
    assert apart.equals(histogram(notes, weight=weight, normalize=normalize))


@given(data=st.data(), weight=st.sampled_from(WEIGHTS), by=st.sampled_from(["task", (), ("instrument", "track")]))
@pytest.mark.parametrize("histogram", HISTOGRAMS)
def test_the_order_of_rows_makes_no_difference_to_the_last_bit(histogram, note_tables, data, weight, by):
    notes = data.draw(note_tables())
    shuffled = pl.DataFrame(data.draw(st.permutations(notes.rows())), schema=NOTES_SCHEMA, orient="row")
    assert histogram(shuffled, weight=weight, by=by).equals(histogram(notes, weight=weight, by=by))
    assert pitch_range(shuffled, by=by).equals(pitch_range(notes, by=by))


@given(data=st.data(), normalize=st.booleans())
def test_pitch_classes_are_the_pitches_of_all_octaves(note_tables, data, normalize):
    notes = data.draw(note_tables())
    pitches = pitch_histogram(notes, weight="seconds", normalize=normalize)
    value = pitches.columns[-1]
    classes = pitch_class_histogram(notes, weight="seconds", normalize=normalize)
    sums = dict.fromkeys(((task, k) for task in pitches["task"].unique() for k in range(12)), 0.0)
    for task, pitch, x in pitches.rows():
        sums[task, pitch % 12] = math.nan if x is None else sums[task, pitch % 12] + x
    found = {
        (task, k): math.nan if x is None else x for task, k, x in classes.select("task", "pitch_class", value).rows()
    }
    assert found.keys() == sums.keys()
    assert all(math.isnan(found[key]) or found[key] == pytest.approx(sums[key]) for key in sums)


def precision(weight):
    return 1e-7 if "velocity" in weight else 1e-12  # velocities are Float32 here and whole numbers there


# What pretty_midi and muspy say about the golden fixture.


@pytest.mark.parametrize(
    ("weight", "key"),
    [
        ("count", "pm.pch dur=0 vel=0 norm"),
        ("velocity", "pm.pch dur=0 vel=1 norm"),
        ("seconds", "pm.pch dur=1 vel=0 norm"),
        ("velocity_seconds", "pm.pch dur=1 vel=1 norm"),
    ],
)
def test_golden_pitch_class_shares_are_pretty_midis(golden, reference, weight, key):
    shares = pitch_class_histogram(golden, weight=weight, normalize=True)["share"].to_list()
    assert shares == pytest.approx(reference[key], abs=precision(weight))


def test_golden_pitches_are_muspys(golden, reference):
    pitches = pitch_histogram(golden, normalize=True)
    classes = pitch_class_histogram(golden, normalize=True).filter(pl.col("share") > 0)
    assert pitches.height == reference["muspy.n_pitches_used"] == 25
    assert classes.height == reference["muspy.n_pitch_classes_used"] == 8
    assert pitch_range(golden).rows() == [("golden", 33, 91, reference["muspy.pitch_range"])]
    assert entropy(pitches["share"]) == pytest.approx(reference["muspy.pitch_entropy"], rel=1e-12)
    assert entropy(classes["share"]) == pytest.approx(reference["muspy.pitch_class_entropy"], rel=1e-12)


def entropy(shares):
    return -sum(share * math.log2(share) for share in shares if share)


# ... and about the samples.


@pytest.mark.parametrize(
    ("weight", "peer"), [("count", "count"), ("seconds", "duration"), ("velocity_seconds", "duration_velocity")]
)
def test_pitch_class_shares_of_the_samples_are_pretty_midis(samples, peers, weight, peer):
    if weight == "velocity_seconds":  # pretty_midi's velocities are whole numbers: compare where ours are 127ths
        steps = pl.col("velocity").cast(pl.Float64) * 127
        whole = (steps - steps.round()).abs().max() < 1e-4
        samples = samples.filter(whole.over("task"))
        peers = peers.filter(pl.col("task").is_in(samples["task"].cast(pl.String).unique().implode()))
        assert peers.height > 100
    ours = pitch_class_histogram(samples, weight=weight, normalize=True)
    theirs = peers.unpivot([f"pm_pc_{peer}_{k}" for k in range(12)], index="task", value_name="share").select(
        "task", pl.col("variable").str.extract(r"(\d+)$").cast(pl.UInt8).alias("pitch_class"), "share"
    )
    drums_alone = peers.filter(pl.col("n_notes") == pl.col("n_drum_notes"))["task"]
    assert theirs.filter(pl.col("task").is_in(drums_alone.implode()))["share"].max() in (0.0, None)
    theirs = theirs.filter(~pl.col("task").is_in(drums_alone.implode())).sort("task", "pitch_class")
    assert_frame_equal(ours, theirs, rel_tol=0, abs_tol=precision(weight))


def test_pitches_of_the_samples_are_muspys(samples, peers):
    theirs = peers.drop_nulls("muspy_pitch_range")
    ranges = pitch_range(samples).select("task", "lowest", "highest", "range").cast({pl.UInt8: pl.Int64})
    columns = {"lowest": "pitch_min", "highest": "pitch_max", "range": "muspy_pitch_range"}
    assert_frame_equal(ranges, theirs.select("task", **columns))
    shares = pitch_histogram(samples, normalize=True).group_by("task", maintain_order=True).agg("share")
    assert [len(x) for x in shares["share"]] == theirs["muspy_n_pitches_used"].to_list()
    assert [entropy(x) for x in shares["share"]] == pytest.approx(theirs["muspy_pitch_entropy"].to_list(), abs=1e-9)


def test_pitch_classes_of_the_samples_are_muspys(samples, peers):
    theirs = peers.drop_nulls("muspy_pitch_range")
    shares = pitch_class_histogram(samples, normalize=True).group_by("task", maintain_order=True).agg("share")
    assert [entropy(x) for x in shares["share"]] == pytest.approx(
        theirs["muspy_pitch_class_entropy"].to_list(), abs=1e-9
    )
    assert [sum(y > 0 for y in x) for x in shares["share"]] == theirs["muspy_n_pitch_classes_used"].to_list()


def test_pitches_are_those_of_muspys_own_tests(samples, peer_tests):
    compared = 0
    for task, expected in peer_tests.items():
        notes = samples.filter(pl.col("task").cast(pl.String) == task)
        if "n_pitches_used" in expected:
            assert pitch_histogram(notes).height == expected["n_pitches_used"]
            assert pitch_range(notes)["range"].item() == expected["pitch_range"]
            assert entropy(pitch_histogram(notes, normalize=True)["share"]) == pytest.approx(
                expected["pitch_entropy_bits"]
            )
            compared += 1
        if expected.get("pitches") == "0..127 once each, ascending":
            assert pitch_histogram(notes, drums="include").select("pitch", "count").rows() == [
                (k, 1) for k in range(128)
            ]
            compared += 1
    assert compared == 2
