import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kie_notes.analysis.paths import best_path, intervals


def total(evidence, path, change):
    return sum(row[state] for row, state in zip(evidence, path, strict=True)) - change * sum(
        a != b for a, b in itertools.pairwise(path)
    )


evidences = st.lists(st.lists(st.integers(-4, 4), min_size=3, max_size=3), min_size=1, max_size=6)


@settings(max_examples=60)
@given(tasks=st.lists(evidences, min_size=1, max_size=4), change=st.sampled_from([0, 1, 3]))
def test_the_path_is_as_good_as_the_best_of_all_paths(tasks, change):
    task = np.repeat(np.arange(len(tasks)), [len(rows) for rows in tasks])
    path = best_path(np.array([row for rows in tasks for row in rows], float), task, change)
    for at, rows in enumerate(tasks):
        every = itertools.product(range(3), repeat=len(rows))
        assert total(rows, path[task == at].tolist(), change) == max(total(rows, p, change) for p in every)


def test_a_change_comes_as_late_as_it_can():
    evidence = np.array([[5, 0], [0, 0], [0, 0], [0, 5]], float)
    assert best_path(evidence, np.zeros(4, int), 1.0).tolist() == [0, 0, 0, 1]


def test_no_rows_have_no_path():
    assert best_path(np.zeros((0, 3)), np.zeros(0, int), 1.0).tolist() == []


@pytest.mark.parametrize(
    ("task", "path", "first", "last"),
    [
        ([], [], [], []),
        ([0, 0, 0], [1, 1, 2], [0, 2], [1, 2]),
        ([0, 0, 1, 1], [1, 1, 1, 1], [0, 2], [1, 3]),
    ],
)
def test_intervals_are_the_longest_stretches_of_one_state_in_one_task(task, path, first, last):
    found = intervals(np.array(task, int), np.array(path, int))
    assert [ends.tolist() for ends in found] == [first, last]
