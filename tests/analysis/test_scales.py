import csv

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kie_notes.analysis.scales import in_key_rate, in_scale_rate, scale_consistency
from kie_notes.notes import NOTES_SCHEMA

HELPERS = [scale_consistency, in_scale_rate, in_key_rate]
A_MINOR = [57, 59, 60, 62, 64, 65, 68, 69, 57]  # harmonic: G# and no G


def melody(pitches, *, task="a", name="Flute"):
    return [(task, name, p, float(k), k + 1.0, 0.5, 0) for k, p in enumerate(pitches)]


def test_the_best_scale_is_that_with_most_notes(table):
    notes = table([*melody([60, 62, 64, 65, 67, 69, 71, 61]), *melody([63, 65, 67], task="b")])
    assert scale_consistency(notes).rows() == [("a", 7 / 8, "C major"), ("b", 1.0, "Eb major")]


def test_a_note_counts_once_however_long_it_is(table):
    notes = table([("a", "Flute", 61, 0.0, 100.0, 0.5, 0), *melody([60, 62, 64, 65, 67, 69, 71])])
    assert scale_consistency(notes)["scale_consistency"].item() == 7 / 8


@pytest.mark.parametrize(
    ("root", "mode", "outside"),
    [
        (9, "minor", ["G#"]),
        (9, "harmonic_minor", []),
        (9, "major", ["C", "F"]),
        (0, "major", ["G#"]),
        (2, "major", ["C", "F", "G#"]),
    ],
)
def test_the_notes_in_a_scale_are_counted(table, root, mode, outside):
    notes = table(melody(A_MINOR))  # A B C D E F G# A A
    assert in_scale_rate(notes, root=root, mode=mode)["in_scale_rate"].item() == (9 - len(outside)) / 9


def test_the_scale_of_the_key_is_the_one_counted(table):
    assert in_key_rate(table(melody([*A_MINOR, 64, 57]))).rows() == [("a", "A minor", 10 / 11)]


def test_without_a_key_there_is_no_rate(table):
    notes = table([("a", "Flute", 60, 1.0, 1.0, 0.5, 0)])
    assert in_key_rate(notes).rows() == [("a", None, None)]


def test_the_golden_values_are_muspys(golden, reference):
    assert scale_consistency(golden).rows() == [("golden", reference["muspy.scale_consistency"], "C major")]
    assert in_scale_rate(golden)["in_scale_rate"].item() == reference["muspy.pitch_in_scale_rate C major"]
    assert in_key_rate(golden).rows() == [("golden", "C major", reference["muspy.pitch_in_scale_rate C major"])]


def test_the_samples_scale_consistency_is_muspys(samples, peers):
    ours = scale_consistency(samples)
    theirs = peers.drop_nulls("muspy_scale_consistency")
    assert ours["task"].to_list() == theirs["task"].to_list()
    assert ours["scale_consistency"].to_list() == pytest.approx(theirs["muspy_scale_consistency"].to_list(), abs=1e-12)


def test_rates_are_those_of_muspys_own_tests(samples, peer_tests):
    ((task, expected),) = ((t, values) for t, values in peer_tests.items() if "scale_consistency" in values)
    notes = samples.filter(pl.col("task").cast(pl.String) == task)
    assert in_scale_rate(notes)["in_scale_rate"].item() == pytest.approx(expected["pitch_in_scale_rate_C_major"])
    assert scale_consistency(notes)["scale_consistency"].item() == pytest.approx(expected["scale_consistency"])


def test_most_notes_of_the_samples_are_in_the_scale_that_people_named(shared, samples):
    with (shared / "samples" / "expected" / "key.csv").open(encoding="utf-8") as file:
        named = {row["task"]: row["key"] for row in csv.DictReader(file)}
    found = in_key_rate(samples).filter(pl.col("task").is_in(list(named)))
    assert found.height == len(named)
    assert found["in_key_rate"].min() > 0.65


@pytest.mark.parametrize("helper", HELPERS)
def test_drums_are_counted_only_if_asked(table, helper):
    notes = table([*melody([60, 64, 67]), *melody([61, 61], name="Drums", task="b")])
    assert helper(notes)["task"].to_list() == ["a"]
    assert helper(notes, drums="only")["task"].to_list() == ["b"]


@settings(max_examples=30)
@given(data=st.data(), up=st.integers(0, 11))
def test_transposing_moves_the_root_and_keeps_the_rate(note_tables, data, up):
    notes = data.draw(note_tables())
    higher = notes.with_columns((pl.col("pitch") + up).cast(pl.UInt8))
    assert in_scale_rate(higher, root=up).equals(in_scale_rate(notes))
    assert scale_consistency(higher).drop("scale").equals(scale_consistency(notes).drop("scale"))


@settings(max_examples=30)
@given(data=st.data())
def test_no_scale_has_more_notes_than_the_best(note_tables, data):
    notes = data.draw(note_tables())
    best = scale_consistency(notes)["scale_consistency"]
    rates = [in_scale_rate(notes, root=root)["in_scale_rate"] for root in range(12)]
    assert all((rate <= best).all() for rate in rates)
    assert best.is_between(7 / 12, 1).all()


@pytest.mark.parametrize("helper", HELPERS)
@settings(max_examples=20)
@given(data=st.data())
def test_tasks_worked_on_apart_and_put_together_are_the_same_to_the_last_bit(helper, note_tables, data):
    notes = data.draw(note_tables(min_size=1))
    parts = [notes.head(0), *notes.partition_by("task", maintain_order=True)]
    assert pl.concat(map(helper, parts)).equals(helper(notes))


@pytest.mark.parametrize("helper", HELPERS[:2])
@settings(max_examples=20)
@given(data=st.data())
def test_the_order_of_rows_makes_no_difference(helper, note_tables, data):
    notes = data.draw(note_tables())
    shuffled = pl.DataFrame(data.draw(st.permutations(notes.rows())), schema=NOTES_SCHEMA, orient="row")
    assert helper(shuffled).equals(helper(notes))


@pytest.mark.parametrize("helper", HELPERS)
def test_no_notes_give_no_rows_of_the_same_schema(table, helper):
    assert helper(table([])).height == 0
    assert helper(table([])).schema == helper(table(melody([60]))).schema


@pytest.mark.parametrize("helper", HELPERS)
def test_a_lazy_frame_gives_the_same(golden, helper):
    assert helper(golden.lazy()).collect().equals(helper(golden))


def test_columns_have_the_types_that_are_documented(golden):
    assert scale_consistency(golden).dtypes == [pl.String, pl.Float64, pl.String]
    assert in_scale_rate(golden).dtypes == [pl.String, pl.Float64]
    assert in_key_rate(golden).dtypes == [pl.String, pl.String, pl.Float64]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"root": 12}, r"root: expected a pitch class, 0 \(C\) to 11 \(B\), got 12"),
        ({"mode": "dorian"}, "mode: expected one of 'major', 'minor', 'harmonic_minor', got 'dorian'"),
        ({"drums": "no"}, "drums: expected one of 'exclude', 'include', 'only', got 'no'"),
    ],
)
def test_an_option_that_cannot_be_is_refused(table, options, message):
    with pytest.raises(ValueError, match=message):
        in_scale_rate(table([]), **options)
