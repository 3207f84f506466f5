from fractions import Fraction

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kie_notes.analysis import polyphony, polyphony_curve
from kie_notes.analysis.sweep import exact_sums

SECONDS = st.floats(0, 1e5, allow_subnormal=False)


@given(st.lists(st.lists(SECONDS, min_size=1, max_size=20), min_size=1, max_size=5))
def test_sums_are_those_of_fractions_rounded_once(tasks):
    flat = np.array([seconds for task in tasks for seconds in task])
    first = np.cumsum([0, *map(len, tasks[:-1])])
    grains = [sum(round(Fraction(seconds) * 2**50) for seconds in task) for task in tasks]
    assert exact_sums(flat, first).tolist() == [float(Fraction(grain, 2**50)) for grain in grains]


def test_sums_do_not_depend_on_the_order():
    shuffled = np.random.default_rng(1)
    seconds = shuffled.uniform(0, 100, 10_000)
    first = np.array([0])
    assert exact_sums(seconds, first) == exact_sums(shuffled.permutation(seconds), first)


@pytest.mark.parametrize("weeks", [0, 1, 10_000])
def test_tasks_of_weeks_beside_others_leave_them_as_they_are(table, weeks):
    week = 7 * 24 * 3600.0
    late = [("late", "Flute", pitch, weeks * week, weeks * week + 1, 0.5, 0) for pitch in (60, 64)]
    short = [("short", "Flute", pitch, start, start + 2, 0.5, 0) for pitch, start in ((60, 0.0), (64, 1.0))]
    both = table([*late, *short])
    assert polyphony(both).drop("task").rows() == [(2.0, 2, 1.0), (pytest.approx(4 / 3), 2, 3.0)]
    assert polyphony_curve(both).filter(pl.col("task") == "short").drop("task").rows() == [
        (0.0, 1.0, 1),
        (1.0, 2.0, 2),
        (2.0, 3.0, 1),
    ]


@settings(max_examples=50)
@given(st.lists(st.tuples(st.integers(0, 40), st.integers(0, 40), st.integers(60, 62)), min_size=1, max_size=30))
def test_the_most_at_once_is_the_highest_step_of_the_curve(table, notes):
    rows = sorted((start / 8, pitch, (start + length) / 8) for start, length, pitch in notes)
    made = table([("a", "Flute", pitch, start, end, 0.5, 0) for start, pitch, end in rows])
    curve = polyphony_curve(made)["pitches"].max() or 0
    assert polyphony(made)["maximum_polyphony"].to_list() == [curve]
