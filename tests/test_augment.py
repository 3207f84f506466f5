"""Variants of tasks: what stays, what changes, and that chance is a hash."""

from hashlib import blake2b
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from kie_notes.api.files import read_records
from kie_notes.augment import augment_notes, perturb_notes
from kie_notes.errors import NotesSchemaError
from kie_notes.instruments import instrument
from kie_notes.notes import NOTES_SCHEMA, check_notes, flatten, sort_notes

pytestmark = pytest.mark.filterwarnings("ignore::kie_notes.instruments.UnknownInstrumentWarning")

SAMPLES = Path(__file__).parents[1] / "data" / "samples" / "records"
BOTH = [
    lambda notes, **more: augment_notes(notes, transpose=(-12, 12), stretch=(0.5, 2.0), velocity=(0.5, 1.5), **more),
    lambda notes, **more: perturb_notes(notes, drop=0.3, start_jitter=0.1, length_jitter=0.1, **more),
]
#: A track's number says which instrument it is, as in a table that the service's answers make.
NAMES = ["Flute", "Drums", "Acoustic Grand Piano", "Theremin"]


def table(*rows):
    return pl.DataFrame(rows, schema=NOTES_SCHEMA, orient="row")


@st.composite
def rows(draw):
    track = draw(st.integers(0, 3))
    start = draw(st.integers(0, 400).map(lambda k: k / 192) | st.floats(0, 100))
    length = draw(st.sampled_from([0.0, 0.0005, 0.5]) | st.floats(0, 3))
    velocity = draw(st.sampled_from([0.0, 1e-30, 0.5, 1.0]) | st.floats(0, 1, width=32))
    task = draw(st.sampled_from(["a", "b", "a~1", "", "ü"]))
    return task, NAMES[track], draw(st.integers(0, 127)), start, start + length, velocity, track


NOTES = st.lists(rows(), max_size=25).map(lambda some: sort_notes(table(*some)))
SEEDS = st.integers(-(2**100), 2**100)
law = settings(deadline=None, max_examples=12, suppress_health_check=list(HealthCheck))


def samples():
    return flatten(read_records(SAMPLES)).notes


# what every variant is ------------------------------------------------------------------------------------------


@law
@given(NOTES, st.sampled_from(BOTH), SEEDS, st.integers(1, 3))
def test_a_result_is_a_notes_table_in_canonical_order_with_values_that_notes_can_have(notes, vary, seed, copies):
    found = vary(notes, seed=seed, copies=copies)
    assert_frame_equal(sort_notes(check_notes(found)), found)
    assert found.select(list(NOTES_SCHEMA)).schema == NOTES_SCHEMA
    possible = (
        (pl.col("pitch") <= 127)
        & (pl.col("start") >= 0)
        & (pl.col("end") >= pl.col("start"))
        & pl.col("velocity").is_between(0, 1)
    )
    assert found.select(possible.all()).item()
    assert found.select(pl.any_horizontal(pl.all().is_null()).any()).item() is False


@law
@given(NOTES, st.sampled_from(BOTH), SEEDS, st.randoms(use_true_random=False))
def test_the_order_of_the_rows_makes_no_difference(notes, vary, seed, chance):
    order = list(range(notes.height))
    chance.shuffle(order)
    shuffled = vary(notes[order], seed=seed)
    assert_frame_equal(shuffled.sort(NOTES_SCHEMA.names()), vary(notes, seed=seed).sort(NOTES_SCHEMA.names()))


@law
@given(NOTES, st.sampled_from(BOTH), SEEDS)
def test_tasks_worked_on_apart_give_what_they_give_together(notes, vary, seed):
    whole = vary(notes, seed=seed, copies=2)
    apart = [vary(part, seed=seed, copies=2) for part in notes.partition_by("task", maintain_order=True)]
    assert_frame_equal(pl.concat([whole.clear(), *apart]), whole)


@law
@given(NOTES, st.sampled_from(BOTH), SEEDS)
def test_a_lazy_table_gives_what_a_table_gives(notes, vary, seed):
    lazy = vary(notes.lazy(), seed=seed)
    assert isinstance(lazy, pl.LazyFrame)
    assert_frame_equal(lazy.collect(), vary(notes, seed=seed))


@law
@given(NOTES, st.sampled_from(BOTH), SEEDS)
def test_a_copy_is_the_same_however_many_are_asked_for(notes, vary, seed):
    one, three = vary(notes, seed=seed), vary(notes, seed=seed, copies=3)
    firsts = pl.format("{}~1", "origin") == pl.col("task").cast(pl.String)
    assert_frame_equal(three.filter(firsts), one)


@pytest.mark.parametrize("vary", BOTH)
def test_another_seed_gives_another_result_and_the_same_seed_the_same(vary):
    notes = samples()
    assert vary(notes, seed=7).equals(vary(notes, seed=7))
    assert not vary(notes, seed=7).equals(vary(notes, seed=8))


@pytest.mark.parametrize("vary", BOTH)
def test_an_empty_table_gives_an_empty_table_of_the_same_columns(vary):
    nothing, something = vary(table()), vary(table(("a", "Flute", 60, 0.0, 1.0, 0.5, 0)), copies=2)
    assert nothing.is_empty()
    assert nothing.schema == something.schema


def test_variants_are_named_after_their_task_and_remember_the_first_origin():
    notes = table(("a", "Flute", 60, 0.0, 1.0, 0.5, 0), ("b", "Flute", 60, 0.0, 1.0, 0.5, 0))
    twice = perturb_notes(augment_notes(notes, copies=2))
    assert twice.select(pl.col("task", "origin").cast(pl.String)).rows() == [
        ("a~1~1", "a"),
        ("a~2~1", "a"),
        ("b~1~1", "b"),
        ("b~2~1", "b"),
    ]


def test_columns_of_ones_own_come_along():
    notes = table(("a", "Flute", 60, 0.0, 1.0, 0.5, 0)).with_columns(genre=pl.lit("waltz"))
    assert augment_notes(notes, copies=2)["genre"].to_list() == ["waltz", "waltz"]
    assert perturb_notes(notes)["genre"].to_list() == ["waltz"]


# chance ----------------------------------------------------------------------------------------------------------


def split_mix(state, outputs):
    """SplitMix64 in whole numbers, after the paper."""
    for _ in range(outputs):
        state = (state + 0x9E3779B97F4A7C15) % 2**64
    mixed = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) % 2**64
    mixed = ((mixed ^ (mixed >> 27)) * 0x94D049BB133111EB) % 2**64
    return mixed ^ (mixed >> 31)


def fraction(number):
    return (number >> 11) / 2**53


def keys(task, function, copy, seed):
    person = function + copy.to_bytes(9, "big")
    digest = blake2b(task.encode(), digest_size=32, salt=seed.to_bytes(16, "big", signed=True), person=person).digest()
    return [int.from_bytes(digest[at : at + 8], "big") for at in (0, 8, 16)]


def test_the_generator_in_this_test_gives_the_published_numbers():
    published = [6457827717110365317, 3203168211198807973, 9817491932198370423]
    assert [split_mix(1234567, n) for n in (1, 2, 3)] == published


def test_a_tasks_draws_are_those_of_the_stated_hash():
    found = augment_notes(
        table(("tâche", "Flute", 60, 0.0, 1.0, 0.5, 0)), transpose=(-6, 5), stretch=(0.5, 2.0), copies=2, seed=-3
    )
    semitones, factor, _ = keys("tâche", b"augment", 2, -3)
    assert found["transposition"][1] == -6 + int(12 * fraction(semitones))
    assert found["stretch"][1] == 0.5 + 1.5 * fraction(factor)


def test_a_notes_draws_are_those_of_the_stated_hash():
    notes = table(*(("a", "Flute", 60 + k, 5.0 + k, 7.0 + k, 0.5, 0) for k in range(8)))
    found = perturb_notes(notes[::-1], drop=0.5, start_jitter=1.0, length_jitter=0.5, seed=9)
    drop, start, length = keys("a", b"perturb", 1, 9)
    expected = [
        (60 + k, 5 + k + moved, 7 + k + moved + longer)
        for k in range(8)
        for moved in [2 * fraction(split_mix(start, k + 1)) - 1]
        for longer in [fraction(split_mix(length, k + 1)) - 0.5]
        if fraction(split_mix(drop, k + 1)) >= 0.5
    ]
    assert found["pitch"].to_list() == [pitch for pitch, _, _ in expected]
    assert found["start"].to_list() == pytest.approx([start for _, start, _ in expected], abs=1e-12)
    assert found["end"].to_list() == pytest.approx([end for _, _, end in expected], abs=1e-12)


def test_draws_are_uniform_over_tasks_and_over_notes():
    notes = table(*((f"t{k}", "Flute", 60, 50.0, 60.0, 0.5, 0) for k in range(2000)))
    tasks = augment_notes(notes, stretch=(1.0, 2.0))["stretch"].to_numpy() - 1
    jitter = perturb_notes(table(*(("a", "Flute", 60, 50.0, 60.0, 0.5, 0) for k in range(2000))), start_jitter=1.0)
    for drawn in (tasks, (jitter["start_jitter"].to_numpy() + 1) / 2):
        apart = np.abs(np.sort(drawn) - (np.arange(2000) + 0.5) / 2000).max()  # Kolmogorov and Smirnov's distance
        assert apart < 1.95 / 2000**0.5  # exceeded once in a thousand


def entropy(pitches):
    """Shannon's entropy of pitch classes, in bits."""
    share = np.unique(pitches.to_numpy() % 12, return_counts=True)[1] / len(pitches)
    return -(share * np.log2(share)).sum()


# transposition -----------------------------------------------------------------------------------------------------


@law
@given(NOTES, st.integers(-127, 127))
def test_transposition_keeps_the_intervals_and_the_entropy_of_pitch_classes(notes, semitones):
    found = augment_notes(notes, transpose=semitones)
    for (task,), before in notes.filter(pl.col("instrument") != "Drums").partition_by("task", as_dict=True).items():
        after = found.filter((pl.col("origin") == task) & (pl.col("instrument") != "Drums"))
        assert np.diff(after["pitch"].cast(pl.Int64)).tolist() == np.diff(before["pitch"].cast(pl.Int64)).tolist()
        assert entropy(after["pitch"]) == pytest.approx(entropy(before["pitch"]))


@law
@given(NOTES, st.integers(-127, 127))
def test_drums_and_all_but_the_pitch_are_untouched_by_transposition(notes, semitones):
    found = augment_notes(notes, transpose=semitones)
    assert_frame_equal(
        found.select("instrument", "start", "end", "velocity", "track"),
        notes.select("instrument", "start", "end", "velocity", "track"),
    )
    drums = pl.col("instrument") == "Drums"
    assert found.filter(drums)["pitch"].to_list() == notes.filter(drums)["pitch"].to_list()


@law
@given(NOTES, st.integers(-60, 60), st.sampled_from(["midi", "instrument", (40, 80)]))
def test_a_transposition_is_the_farthest_that_takes_no_note_out_of_its_range(notes, semitones, within):
    found = augment_notes(notes, transpose=semitones, within=within)
    step = (semitones > 0) - (semitones < 0)

    def fits(rows, k):
        for name, pitch in rows:
            one = instrument(name)
            low, high = within if isinstance(within, tuple) else (0, 127)
            if within == "instrument":
                low, high = (0, 127) if one.lowest is None else (one.lowest, one.highest)
            if not one.is_drums and not min(low, pitch) <= pitch + k <= max(high, pitch):
                return False
        return True

    for (task,), part in notes.partition_by("task", as_dict=True).items():
        melodic = part.filter(pl.col("instrument") != "Drums").select(pl.col("instrument").cast(pl.String), "pitch")
        expected = 0
        while melodic.height and expected != semitones and fits(melodic.rows(), expected + step):
            expected += step
        done = found.filter(pl.col("origin") == task)
        assert set(done["transposition"]) == {expected}
        assert set(done["transposition_drawn"]) == {semitones}


# time and loudness ---------------------------------------------------------------------------------------------


@law
@given(NOTES, st.floats(0.01, 100))
def test_stretching_and_stretching_back_returns(notes, factor):
    there = augment_notes(notes, stretch=factor).drop(
        "stretch", "velocity_factor", "transposition", "transposition_drawn"
    )
    back = augment_notes(there, stretch=1 / factor)
    columns = ["instrument", "pitch", "start", "end", "velocity", "track"]
    order = ["start", "track", "pitch", "end", "velocity"]
    for (task,), part in notes.partition_by("task", as_dict=True).items():
        returned = back.filter(pl.col("origin") == task).select(columns)
        for name in ("start", "end"):
            assert returned[name].sort().to_list() == pytest.approx(part[name].sort().to_list(), rel=1e-12)
        assert returned.height == part.select(columns).sort(order).height


@law
@given(NOTES, st.floats(0.01, 100))
@example(table(*(("a", "Flute", 60 + k, 0.0, 1.0, v, 0) for k, v in enumerate([0.0, 1e-30, 0.01, 0.5, 1.0]))), 0.01)
def test_velocities_are_scaled_up_to_1_and_never_down_to_0(notes, factor):
    found = augment_notes(notes, velocity=factor)["velocity"].to_list()
    for before, after in zip(notes["velocity"].to_list(), found, strict=True):
        least = min(before, float(np.float32(1 / 127)))
        assert after == float(np.float32(min(max(before * factor, least), 1.0)))


# errors like a transcriber's -----------------------------------------------------------------------------------


@law
@given(NOTES, SEEDS, st.floats(0, 2), st.floats(0, 2))
def test_jitter_stays_in_its_bounds_and_is_recorded(notes, seed, early, longer):
    found = perturb_notes(notes, start_jitter=early, length_jitter=longer, seed=seed)
    assert found.height == notes.height
    before = found.select(start=pl.col("start") - pl.col("start_jitter"), end=pl.col("end") - pl.col("end_jitter"))
    assert np.sort(before["start"].to_numpy()) == pytest.approx(np.sort(notes["start"].to_numpy()), abs=1e-9)
    assert np.sort(before["end"].to_numpy()) == pytest.approx(np.sort(notes["end"].to_numpy()), abs=1e-9)
    length_before, length = before["end"] - before["start"], found["end"] - found["start"]
    assert (found["start_jitter"].abs() <= early + 1e-9).all()
    assert ((length - length_before).abs() <= longer + 1e-9).all()
    shortest = pl.Series(np.minimum(length_before.to_numpy(), 0.001))
    assert (length >= shortest - 1e-9).all()


@law
@given(NOTES, SEEDS)
def test_without_jitter_times_are_untouched(notes, seed):
    found = perturb_notes(notes, seed=seed)
    assert_frame_equal(found.select("start", "end"), notes.select("start", "end"), check_exact=True)
    assert found.select(pl.col("start_jitter", "end_jitter").abs().sum()).row(0) in {(0.0, 0.0), (None, None)}


@law
@given(NOTES, SEEDS, st.floats(0, 1))
def test_notes_left_and_notes_dropped_add_up(notes, seed, share):
    found = perturb_notes(notes, drop=share, seed=seed, copies=2)
    for (task,), part in notes.partition_by("task", as_dict=True).items():
        for copy in found.filter(pl.col("origin") == task).partition_by("task"):
            assert set(copy["dropped"]) == {part.height - copy.height}


def test_a_share_of_the_notes_is_dropped():
    notes = samples()
    left = perturb_notes(notes, drop=0.25).height / notes.height
    assert left == pytest.approx(0.75, abs=0.02)
    assert perturb_notes(notes, drop=1.0).is_empty()


# the door ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("vary", "options", "message"),
    [
        (augment_notes, {"transpose": 128}, "transpose: expected -127 to 127"),
        (augment_notes, {"transpose": (5, -5)}, "two such numbers that do not descend"),
        (augment_notes, {"within": "piano"}, "within: expected 'midi', 'instrument', or two pitches"),
        (augment_notes, {"within": (80, 40)}, "within: expected 'midi', 'instrument', or two pitches"),
        (augment_notes, {"stretch": 0.0}, "stretch: expected 0.01 to 100"),
        (augment_notes, {"velocity": float("nan")}, "velocity: expected 0.01 to 100"),
        (augment_notes, {"copies": 0}, "copies: expected 1 or more, got 0"),
        (perturb_notes, {"drop": 1.5}, "drop: expected 0 to 1"),
        (perturb_notes, {"start_jitter": -0.1}, "start_jitter: expected 0 or more"),
        (perturb_notes, {"length_jitter": float("inf")}, "length_jitter: expected 0 or more"),
    ],
)
def test_an_option_out_of_bounds_is_named(vary, options, message):
    with pytest.raises(ValueError, match=message):
        vary(table(), **options)


def test_a_column_of_the_results_is_not_overwritten():
    with pytest.raises(ValueError, match="'transposition_drawn' is a column of the result; rename it first"):
        augment_notes(augment_notes(table()))


def test_what_is_no_notes_table_is_refused():
    with pytest.raises(NotesSchemaError, match="missing column"):
        perturb_notes(pl.DataFrame({"task": ["a"]}))


def test_a_task_without_an_id_is_refused():
    with pytest.raises(ValueError, match="task: expected text, got null"):
        augment_notes(table((None, "Flute", 60, 0.0, 1.0, 0.5, 0)))
