import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kie_notes.analysis.splits import split_tasks

SHARES = {"train": 0.8, "valid": 0.1, "test": 0.1}

#: Clusters of tasks as somebody may have them: some share one, some have none.
CLUSTERS = st.dictionaries(st.text("abc", min_size=1, max_size=4), st.sampled_from(["x", "y", "z", None]), max_size=20)


def tasks_of(clusters):
    return pl.DataFrame(
        {"task": list(clusters), "cluster": list(clusters.values())}, schema={"task": pl.String, "cluster": pl.String}
    )


def splits(answer):
    return dict(answer.select("task", "split").rows())


def numbered(many):
    return pl.DataFrame({"task": [f"{k:05}" for k in range(many)]})


def test_splits_are_those_that_the_hash_has_always_given():
    # `printf a | b2sum -l 64` gives 40f89e395b66422f, that is 0.2538 of 2 ** 64; b 8472c2e34d854f75, 0.5174; c
    # 373f6364cd072c1b, 0.2158; d b5a5e556bca88c7b, 0.7096.
    tasks = pl.DataFrame({"task": ["a", "b", "c", "d"]})
    shares = {"one": 0.25, "two": 0.26, "three": 0.19, "four": 0.3}
    assert splits(split_tasks(tasks, shares=shares)) == {"a": "two", "b": "three", "c": "one", "d": "four"}


def test_shares_are_met_as_a_hash_meets_them():
    counts = dict(split_tasks(numbered(20_000), shares=SHARES).group_by("split").len().rows())
    for name, share in SHARES.items():  # within four standard deviations
        assert abs(counts[name] - share * 20_000) < 4 * (share * (1 - share) * 20_000) ** 0.5


@given(clusters=CLUSTERS, seed=st.integers(-5, 5))
def test_tasks_of_a_cluster_are_together(clusters, seed):
    answer = split_tasks(tasks_of(clusters), shares=SHARES, seed=seed)
    assert (
        answer.group_by("cluster").agg(pl.col("split").n_unique())["split"].to_list()
        == [1] * answer["cluster"].n_unique()
    )
    assert not answer["divided"].any()


@given(clusters=CLUSTERS, more=CLUSTERS)
def test_a_task_whose_cluster_keeps_its_id_stays_when_others_come(clusters, more):
    before = splits(split_tasks(tasks_of(clusters), shares=SHARES))
    after = splits(split_tasks(tasks_of(more | clusters), shares=SHARES))
    assert before.items() <= after.items()


@given(clusters=CLUSTERS, renamed=CLUSTERS)
def test_with_the_former_answer_no_task_ever_moves(clusters, renamed):
    before = split_tasks(tasks_of(clusters), shares=SHARES)
    after = split_tasks(tasks_of(clusters | renamed), shares=SHARES, previous=before)
    assert splits(before).items() <= splits(after).items()


def test_a_new_task_goes_where_its_cluster_is_even_under_a_new_id():
    before = pl.DataFrame({"task": ["m", "n"], "split": ["test", "train"]})
    # "a" joins m's music and gives it the smaller id; by its hash it would be train.
    tasks = tasks_of({"a": "a", "m": "a", "n": "n"})
    answer = split_tasks(tasks, shares=SHARES, previous=before)
    assert splits(answer) == {"a": "test", "m": "test", "n": "train"}
    assert splits(split_tasks(tasks.head(1), shares=SHARES)) == {"a": "train"}


def test_a_cluster_that_a_new_task_joins_from_two_splits_is_divided_and_says_so():
    before = pl.DataFrame({"task": ["m", "n"], "split": ["test", "train"]})
    answer = split_tasks(tasks_of({"z": "m", "m": "m", "n": "m", "o": "o"}), shares={"train": 1.0}, previous=before)
    assert answer.select("task", "split", "divided").rows() == [
        ("m", "test", True),
        ("n", "train", True),
        ("o", "train", False),
        ("z", "test", True),
    ]


def test_a_share_taken_from_the_last_moves_only_the_last():
    before = splits(split_tasks(numbered(500), shares={"train": 0.7, "test": 0.3}))
    after = splits(split_tasks(numbered(500), shares={"train": 0.7, "test": 0.2, "valid": 0.1}))
    moved = {(before[task], after[task]) for task in before if before[task] != after[task]}
    assert moved == {("test", "valid")}


def test_another_seed_gives_another_division():
    one, two = (split_tasks(numbered(200), shares=SHARES, seed=seed) for seed in (0, 1))
    assert not one["split"].equals(two["split"])


def test_a_split_without_a_share_is_empty():
    assert set(splits(split_tasks(numbered(200), shares={"train": 1.0, "test": 0})).values()) == {"train"}


@settings(max_examples=20)
@given(clusters=CLUSTERS)
def test_the_order_of_the_rows_does_not_matter(clusters):
    tasks = tasks_of(clusters)
    assert split_tasks(tasks.reverse(), shares=SHARES).equals(split_tasks(tasks, shares=SHARES))


def test_a_notes_table_can_be_split(golden):
    answer = split_tasks(golden, shares={"train": 1.0})
    assert answer.rows() == [("golden", "golden", "train", False)]


def test_no_tasks_give_no_rows_of_the_same_schema():
    none, some = (split_tasks(numbered(many), shares=SHARES) for many in (0, 1))
    assert none.height == 0
    assert none.schema == some.schema
    assert some.dtypes == [pl.String, pl.String, pl.String, pl.Boolean]


def test_lazy_frames_give_lazy_frames_of_the_same():
    lazy = split_tasks(numbered(9).lazy(), shares=SHARES)
    assert isinstance(lazy, pl.LazyFrame)
    assert lazy.collect().equals(split_tasks(numbered(9), shares=SHARES))


@pytest.mark.parametrize("shares", [{}, {"a": 0.5}, {"a": 1.5, "b": -0.5}, {"a": float("nan")}])
def test_shares_that_are_none_are_refused(shares):
    with pytest.raises(ValueError, match="shares: expected numbers from 0 that add up to 1"):
        split_tasks(numbered(1), shares=shares)


def test_a_task_of_two_clusters_is_refused():
    tasks = pl.DataFrame({"task": ["a", "a"], "cluster": ["x", "y"]})
    with pytest.raises(ValueError, match=r"task 'a': expected one cluster, got \['x', 'y'\]"):
        split_tasks(tasks, shares=SHARES)


def test_a_task_of_two_former_splits_is_refused():
    before = pl.DataFrame({"task": ["00000", "00000"], "split": ["test", "train"]})
    with pytest.raises(ValueError, match=r"task '00000': expected one former, got \['test', 'train'\]"):
        split_tasks(numbered(1), shares=SHARES, previous=before)


def test_a_task_without_an_id_is_refused():
    with pytest.raises(ValueError, match="task: expected text, got null"):
        split_tasks(pl.DataFrame({"task": [None]}, schema={"task": pl.String}), shares=SHARES)


def test_tables_without_their_columns_are_refused():
    with pytest.raises(ValueError, match="tasks: expected a column 'task', got id"):
        split_tasks(pl.DataFrame({"id": ["a"]}), shares=SHARES)
    with pytest.raises(ValueError, match="previous: expected a column 'split', got task"):
        split_tasks(numbered(1), shares=SHARES, previous=numbered(1))
