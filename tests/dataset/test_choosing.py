"""Who is in which split, and that nobody moves."""

from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kie_notes.dataset import Recipe, export_dataset
from kie_notes.errors import KieNotesError
from kie_notes.notes import NOTES_SCHEMA

HALVES = Recipe(shares={"train": 0.5, "test": 0.5}, duplicates=None)
ALIKE = Recipe(shares={"train": 0.5, "test": 0.5})


def placed(folder, column="split"):
    tasks = pl.read_parquet(sorted((Path(folder) / "tasks").glob("*.parquet")))
    return dict(tasks.select("task", column).iter_rows())


def reasons(folder):
    return dict(pl.read_parquet(Path(folder) / "excluded.parquet").select("task", "reason").iter_rows())


def test_splits_are_those_of_the_hash_of_the_smallest_task(tmp_path, tune):
    # `printf a | b2sum -l 64` gives 40f8..., 0.25 of 2 ** 64; b 8472..., 0.52; c 373f..., 0.22; d b5a5..., 0.71.
    export_dataset(pl.concat([tune(task, 60) for task in "abcd"]), tmp_path / "set", recipe=HALVES)
    assert placed(tmp_path / "set") == {"a": "train", "b": "test", "c": "train", "d": "test"}


def test_near_duplicates_are_together_transposed_and_at_another_tempo(tmp_path, melody):
    slow = melody("b", 1, shift=5).with_columns(pl.col("start", "end") * 1.5)
    export_dataset(pl.concat([melody("a", 1), slow, melody("c", 2)]), tmp_path / "set", recipe=ALIKE)
    assert placed(tmp_path / "set", "group") == {"a": "a", "b": "a", "c": "c"}
    assert placed(tmp_path / "set")["a"] == placed(tmp_path / "set")["b"]


def test_the_two_songs_of_one_generation_and_all_their_stems_are_together(
    tmp_path, store, generation, song, put, melody
):
    generation(store, "g")
    song(store, 0, "b", "d", music="g")
    song(store, 1, "c", music="g")
    song(store, 0, "e", music="unknown-generation")
    for number, task in enumerate("abcde"):
        put(store, melody(task, number))
    export_dataset(store, tmp_path / "set", recipe=ALIKE)
    assert placed(tmp_path / "set", "group") == {"a": "a", "b": "b", "c": "b", "d": "b", "e": "e"}


def test_the_users_groups_and_the_music_tie_tasks_in_chains(tmp_path, melody):
    notes = pl.concat([melody("a", 1), melody("b", 2), melody("c", 2, shift=3), melody("d", 4)])
    groups = pl.DataFrame({"task": ["a", "b", "nobody", "d"], "group": ["x", "x", "x", None]})
    export_dataset(notes, tmp_path / "set", recipe=ALIKE, groups=groups)
    assert placed(tmp_path / "set", "group") == {"a": "a", "b": "a", "c": "a", "d": "d"}


def test_variants_stay_with_their_origin(tmp_path, tune):
    origins = {"a": None, "a~1": "a", "b~1": "b", "b~2": "b"}
    notes = pl.concat(
        [tune(task, 60).with_columns(origin=pl.lit(origin, pl.String)) for task, origin in origins.items()]
    )
    export_dataset(notes, tmp_path / "set", recipe=HALVES)
    assert placed(tmp_path / "set", "group") == {"a": "a", "a~1": "a", "b~1": "b~1", "b~2": "b~1"}


def test_a_new_task_that_is_like_an_old_one_joins_its_split_and_moves_nobody(tmp_path, melody):
    export_dataset(pl.concat([melody("b", 1), melody("c", 2)]), tmp_path / "set", recipe=ALIKE)
    before = placed(tmp_path / "set")
    assert before == {"b": "test", "c": "train"}
    # By its own hash, and as the smallest id of its group, "a" would be train.
    export_dataset(
        pl.concat([melody(*one) for one in zip("abc", (1, 1, 2), strict=True)]), tmp_path / "set", recipe=ALIKE
    )
    assert placed(tmp_path / "set") == before | {"a": "test"}


def test_a_new_task_that_ties_two_splits_is_excluded_and_stays_so(tmp_path, tune):
    folder = tmp_path / "set"
    ties = pl.DataFrame({"task": ["z", "z", "b", "c"], "group": ["x", "y", "x", "y"]})
    export_dataset(pl.concat([tune("b", 60), tune("c", 60)]), folder, recipe=HALVES)
    for _ in range(2):
        export_dataset(pl.concat([tune(task, 60) for task in "bcz"]), folder, recipe=HALVES, groups=ties)
        assert placed(folder) == {"b": "test", "c": "train"}
        assert reasons(folder) == {"z": "it ties groups together that a former export has in different splits"}


def test_old_tasks_of_two_splits_that_turn_out_to_be_one_group_stay_and_are_told(tmp_path, tune):
    notes = pl.concat([tune("b", 60), tune("c", 60)])
    export_dataset(notes, tmp_path / "set", recipe=HALVES)
    ties = pl.DataFrame({"task": ["b", "c"], "group": ["x", "x"]})
    report = export_dataset(notes, tmp_path / "set", recipe=HALVES, groups=ties, licence="mit")
    assert placed(tmp_path / "set") == {"b": "test", "c": "train"}
    assert report.checks.filter(check="splits")["detail"].to_list() == [
        "1 groups of 2 tasks are in several splits, where a former export put them: 'divided' in splits.parquet"
    ]
    assert report.ready


def test_a_task_that_was_gone_comes_back_to_where_it_was(tmp_path, tune):
    both = pl.concat([tune("b", 60), tune("c", 60)])
    mirrored = Recipe(shares={"test": 0.5, "train": 0.5}, duplicates=None)
    export_dataset(both, tmp_path / "set", recipe=HALVES)
    export_dataset(tune("c", 60), tmp_path / "set", recipe=mirrored)
    export_dataset(both, tmp_path / "set", recipe=mirrored)
    assert placed(tmp_path / "set") == {"b": "test", "c": "train"}


def test_a_filter_moves_nobody(tmp_path, melody):
    notes = pl.concat([melody("a", 1, notes=30), melody("b", 1), melody("c", 2)])
    export_dataset(notes, tmp_path / "all", recipe=ALIKE)
    export_dataset(notes, tmp_path / "long", recipe=Recipe(shares=ALIKE.shares, min_notes=35))
    assert placed(tmp_path / "long").items() <= placed(tmp_path / "all").items()
    assert set(reasons(tmp_path / "long")) == {"a"}


def test_a_former_export_elsewhere_is_followed(tmp_path, tune):
    export_dataset(tune("b", 60), tmp_path / "one", recipe=HALVES)
    other = Recipe(shares={"test": 0.0, "train": 1.0}, duplicates=None)
    export_dataset(tune("b", 60), tmp_path / "two", recipe=other, previous=tmp_path / "one")
    assert placed(tmp_path / "two") == {"b": "test"}


def test_a_former_export_that_is_none_is_refused(tmp_path, tune):
    with pytest.raises(
        KieNotesError, match=r"previous: .*: expected the folder of an export, but it has no export.json"
    ):
        export_dataset(tune("b", 60), tmp_path / "two", previous=tmp_path)


def test_a_former_split_that_the_recipe_does_not_name_is_refused(tmp_path, tune):
    export_dataset(tune("b", 60), tmp_path / "set", recipe=HALVES)
    with pytest.raises(ValueError, match=r"former export among train, dev, but the export .* has tasks in 'test'"):
        export_dataset(tune("b", 60), tmp_path / "set", recipe=Recipe(shares={"train": 0.5, "dev": 0.5}))
    assert placed(tmp_path / "set") == {"b": "test"}


TIES = st.lists(st.tuples(st.sampled_from("abcdefgh"), st.sampled_from("xyz")), max_size=8)


@settings(max_examples=6, deadline=None)
@given(first=TIES, second=TIES, tasks=st.sets(st.sampled_from("abcdefgh"), min_size=1))
def test_nobody_ever_moves_and_new_ties_part_nobody(tmp_path_factory, first, second, tasks):
    folder = tmp_path_factory.mktemp("any") / "set"

    def export(some, ties):
        notes = pl.DataFrame([(t, "Flute", 60, 0.0, 1.0, 0.5, 0) for t in some], schema=NOTES_SCHEMA, orient="row")
        groups = pl.DataFrame(ties, schema={"task": pl.String, "group": pl.String}, orient="row")
        export_dataset(notes, folder, recipe=HALVES, groups=groups)
        return placed(folder)

    before = export(sorted(tasks), first)
    after = export("abcdefgh", first + second)
    assert before.items() <= after.items()
    for _, tied in pl.DataFrame(first + second, schema=["task", "tie"], orient="row").group_by("tie"):
        fresh = {after[task] for task in tied["task"] if task in after and task not in before}
        old = {before[task] for task in tied["task"] if task in before}
        assert len(fresh | old) <= 1 or not fresh
