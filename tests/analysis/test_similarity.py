import random

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kie_notes.analysis.similarity import near_duplicates
from kie_notes.errors import NotesOrderError
from kie_notes.notes import sort_notes


def melody(seed, *, notes=60):
    rng = random.Random(seed)  # noqa: S311 - music, no secret
    starts = [0.0]
    for _ in range(notes - 1):
        starts.append(starts[-1] + rng.choice([0.25, 0.5, 1.0]))
    return [(rng.randint(50, 80), start) for start in starts]


def play(task, line, *, up=0, stretch=1.0, name="Flute"):
    return [(task, name, p + up, s * stretch, (s + 0.25) * stretch, 0.5, 0) for p, s in line]


def clusters(answer):
    return dict(answer.select("task", "cluster").rows())


def test_a_transposed_and_slower_copy_is_the_same_music(table):
    notes = table(play("b", melody(1)) + play("a", melody(1), up=7, stretch=1.37) + play("c", melody(2)))
    answer = near_duplicates(notes)
    assert clusters(answer) == {"a": "a", "b": "a", "c": "c"}
    assert answer["similarity"].to_list() == [1.0, 1.0, None]


def test_similarity_is_the_share_of_n_grams_in_both(table):
    # Sixty notes have 56 n-grams. One note an octave higher spoils the five that it is in, and its copy has five new
    # ones: 51 of 61.
    changed = [(p + 12 * (k == 30), s) for k, (p, s) in enumerate(melody(1))]
    answer = near_duplicates(table(play("a", melody(1)) + play("b", changed)))
    assert answer["ngrams"].to_list() == [56, 56]
    assert answer["similarity"].to_list() == [51 / 61, 51 / 61]


@pytest.mark.parametrize(("threshold", "alone"), [(51 / 61, False), (0.84, True)])
def test_a_pair_at_the_threshold_is_one_and_below_it_is_none(table, threshold, alone):
    changed = [(p + 12 * (k == 30), s) for k, (p, s) in enumerate(melody(1))]
    answer = near_duplicates(table(play("a", melody(1)) + play("b", changed)), threshold=threshold)
    assert (answer["cluster"].n_unique() == 2) == alone


def test_another_rhythm_of_the_same_pitches_is_other_music(table):
    pitches = [p for p, _ in melody(1)]
    even, uneven = ([(p, s) for p, (_, s) in zip(pitches, melody(k), strict=True)] for k in (1, 2))
    assert clusters(near_duplicates(table(play("a", even) + play("b", uneven)))) == {"a": "a", "b": "b"}


def test_accompaniment_below_the_melody_does_not_matter(table):
    low = [("b", "Bass", 30 + k % 5, s, s + 0.25, 0.5, 1) for k, (_, s) in enumerate(melody(1))]
    kit = [("b", "Drums", 99, k / 8, k / 8 + 0.1, 0.5, 2) for k in range(100)]
    notes = sort_notes(table(play("a", melody(1)) + play("b", melody(1)) + low + kit))
    assert clusters(near_duplicates(notes)) == {"a": "a", "b": "a"}


def test_clusters_are_chains(table):
    lines = [melody(1, notes=200)[k : k + 120] for k in (0, 40, 80)]  # the ends have 36 of 196 in common
    lines = [[(p, s - line[0][1]) for p, s in line] for line in lines]
    notes = table([note for task, line in zip("abc", lines, strict=True) for note in play(task, line)])
    assert set(clusters(near_duplicates(notes, threshold=0.4)).values()) == {"a"}
    ends = near_duplicates(notes.filter(pl.col("task") != "b"), threshold=0.4)
    assert clusters(ends) == {"a": "a", "c": "c"}


def test_too_little_music_is_compared_with_none(table):
    short = melody(1, notes=11)  # seven n-grams
    notes = table(play("a", short) + play("b", short) + play("d", melody(2), name="Drums"))
    assert near_duplicates(notes).rows() == [("a", "a", None, 7), ("b", "b", None, 7), ("d", "d", None, 0)]


def test_many_copies_are_one_cluster(table):
    notes = table([note for k in range(300) for note in play(f"{k:03}", melody(k % 3), up=k % 12)])
    answer = near_duplicates(notes)
    assert answer["cluster"].unique().sort().to_list() == ["000", "001", "002"]
    assert answer["similarity"].min() == 1.0


def test_the_samples_in_two_forms_are_found_and_nothing_else(samples):
    # Pieces that the samples hold twice, in two forms of delivery. The next similar pair has a Jaccard index of 0.09.
    found = near_duplicates(samples).filter(pl.col("similarity").is_not_null())
    assert found.group_by("cluster").len().sort("cluster").rows() == [
        ("0ae1bcbcd2f5b21ba7d90664fd26cb50", 2),
        ("142e566b6fbd93d9c04818dd861ba225", 2),
        ("1ecf684b5f73fdc9c5d1ac0b70e56359", 2),
        ("3dd1856999420656008b1eaaacfc59b5", 2),
        ("9172e63f980293627271a3ec25320321", 2),
    ]


def test_copies_of_the_samples_are_found(samples):
    copies = samples.with_columns(
        pl.format("{}-copy", pl.col("task").cast(pl.String)).cast(pl.Categorical).alias("task"),
        (pl.col("pitch").cast(pl.Int16) - 1).clip(0).cast(pl.UInt8),
        pl.col("start", "end") * 2,
    )
    answer = near_duplicates(pl.concat([samples, copies]), chord_seconds=0.0)
    enough = answer.filter(pl.col("ngrams") >= 8)
    assert enough.height > 180
    assert enough["similarity"].min() == 1.0


@settings(max_examples=20)
@given(data=st.data(), seed=st.integers(0, 9))
def test_the_order_of_the_tasks_does_not_matter(table, data, seed):
    lines = [melody(data.draw(st.integers(0, 2)), notes=data.draw(st.integers(2, 40))) for _ in range(5)]
    tasks = [play(f"t{k}", line) for k, line in enumerate(lines)]
    answer = near_duplicates(table([note for task in tasks for note in task]))
    random.Random(seed).shuffle(tasks)  # noqa: S311
    assert near_duplicates(table([note for task in tasks for note in task])).equals(answer)


@settings(max_examples=20)
@given(data=st.data())
def test_every_task_has_one_row_and_the_smallest_names_the_cluster(note_tables, data):
    notes = data.draw(note_tables())
    answer = near_duplicates(notes)
    assert answer["task"].to_list() == sorted(set(notes["task"].to_list()))
    assert (answer["cluster"] <= answer["task"]).all()


def test_lazy_frames_give_lazy_frames_of_the_same(table):
    notes = table(play("a", melody(1)))
    assert near_duplicates(notes.lazy()).collect().equals(near_duplicates(notes))


def test_no_notes_give_no_rows_of_the_same_schema(table):
    none, some = near_duplicates(table([])), near_duplicates(table(play("a", melody(1))))
    assert (none.height, some.height) == (0, 1)
    assert (
        none.schema
        == some.schema
        == {
            "task": pl.String,
            "cluster": pl.String,
            "similarity": pl.Float64,
            "ngrams": pl.UInt32,
        }
    )


def test_starts_that_descend_are_an_error(table):
    with pytest.raises(NotesOrderError, match=r"task a: notes are not in canonical order; call sort_notes\(notes\)"):
        near_duplicates(table(play("a", melody(1))).reverse())


@pytest.mark.parametrize("threshold", [0, 1.1, float("nan")])
def test_a_threshold_out_of_its_range_is_refused(table, threshold):
    with pytest.raises(ValueError, match="threshold: expected a number above 0 and at most 1"):
        near_duplicates(table([]), threshold=threshold)
